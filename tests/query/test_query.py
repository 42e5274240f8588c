"""Whatever a query is made of, it is answered as the network would answer it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.data import Item, read_picture
from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.extract import embed, frozen_encoder, load_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.models.network import save_network
from hifa_cli.query.parse import Query, find_queries, parse_box
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from tests.cli.test_cli import hifa, one_line
from tests.conftest import PATTERNS, write_photos, write_views

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and a gallery of rendered shapes of the same three kinds."""
    return made_world(tmp_path_factory.mktemp("world"))


def made_world(root: Path) -> Path:
    """Write ``photos``, ``views``, ``run`` and ``gallery`` into a folder."""
    write_photos(root / "photos", each=3)
    write_views(root / "views", each=3)
    config = ModelConfig(backbone="test_resnet", embedding=16, size=32, resize=40)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="hifa", hifa_version="0")
    build_gallery(
        root / "views", root / "gallery", model=root / "run", split=None, index_config=IndexConfig(),
        render_config=RenderConfig(), workers=1, device=CPU, force=False)  # fmt: skip
    return root


def asked(world: Path, *words: object) -> dict[str, Any]:
    code, out, err = hifa("query", *words, "-g", world / "gallery", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def photo(world: Path, kind: str = "bars", number: int = 0) -> Path:
    return world / "photos" / kind / f"{number}.png"


def ranked(world: Path, *words: object) -> list[tuple[str, float]]:
    return [(one["shape"], one["score"]) for one in asked(world, *words)["results"][0]["matches"]]


def test_the_graph_scores_as_the_network_does(world: Path) -> None:
    pytest.importorskip("onnxruntime", reason="NO onnxruntime: the light path is not tested")
    gallery = read_gallery(world / "gallery")
    folder = gallery.model_folder
    assert folder is not None
    light = graph_encoder(folder)
    assert light is not None
    queries = [Query(str(path), path) for path in sorted((world / "photos").rglob("*.png"))]
    one, _ = rank(light, gallery, queries, QueryOptions(9))
    other, _ = rank(load_encoder(folder, CPU), gallery, queries, QueryOptions(9))
    for first, second in zip(one, other, strict=True):
        scores = {match.shape: match.score for match in second.matches}
        assert len(scores) == 9
        for match in first.matches:
            assert match.score == pytest.approx(scores[match.shape], abs=1e-5)


def test_scores_are_those_of_an_export(world: Path) -> None:
    """The stages meet: a query's vector is the one that ``hifa export`` writes for the same photo."""
    encoder, path = load_encoder(world / "run", CPU), photo(world)
    wanted = embed(encoder, [Item("a", -1, (path,))], label="").vectors
    _, vectors = rank(encoder, read_gallery(world / "gallery"), [Query("a", path)], QueryOptions(1))
    np.testing.assert_allclose(vectors.part, wanted, rtol=1e-4, atol=1e-5)


def test_a_photo_is_answered_without_torch(world: Path) -> None:
    pytest.importorskip("onnxruntime", reason="NO onnxruntime: the light path is not tested")
    script = (
        "import sys\nfrom hifa_cli.cli import app\n"
        "try:\n    app(sys.argv[1:], prog_name='hifa')\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([n for n in ('torch', 'timm', 'faiss', 'h5py', 'numba', 'trimesh') if n in sys.modules],"
        " file=sys.stderr)\n"
    )
    words = ["query", str(photo(world)), "-g", str(world / "gallery"), "--json"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert len(json.loads(done.stdout)["results"][0]["matches"]) == 9


@pytest.mark.parametrize("name", ["graph.onnx", "graph.json", "model.json"])
def test_a_graph_that_is_not_of_these_weights_is_not_used(name: str, world: Path, tmp_path: Path) -> None:
    folder = read_gallery(world / "gallery").model_folder
    assert folder is not None
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert graph_encoder(tmp_path) is not None
    content = (tmp_path / name).read_bytes()
    changed = content.replace(b"0", b"1") if name.endswith("json") else content[:-1] + b"\0"
    (tmp_path / name).write_bytes(changed)
    assert graph_encoder(tmp_path) is None


def test_every_way_to_name_a_photo_finds_the_same(world: Path, tmp_path: Path) -> None:
    wanted = ranked(world, photo(world))
    listed = tmp_path / "list.txt"
    listed.write_text(f"{photo(world)}\n")
    pattern = world / "photos" / "bars" / "0.*"
    for word in (f"@{listed}", pattern):
        assert ranked(world, word) == wanted
    words = ["query", "-", "-g", str(world / "gallery"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", *words],
        input=photo(world).read_bytes(),
        capture_output=True,
        check=True,
    )
    result = json.loads(done.stdout)["results"][0]
    assert result["query"] == "-"
    assert [(one["shape"], one["score"]) for one in result["matches"]] == wanted


def test_a_folder_of_classes_is_scored_beside_the_ranking(world: Path) -> None:
    found = asked(world, world / "photos")
    assert [one["class"] for one in found["results"]] == [kind for kind in PATTERNS for _ in range(3)]
    nearest = [one["matches"][0]["class"] == one["class"] for one in found["results"]]
    assert found["metrics"]["NN"] == pytest.approx(np.mean(nearest))
    assert found["metrics"]["queries"] == 9
    assert "metrics" not in asked(world, photo(world))


def test_threshold_top_and_class_only_take_away(world: Path) -> None:
    everything = ranked(world, photo(world), "--top", "99")
    assert len(everything) == 9
    assert ranked(world, photo(world), "--top", "4") == everything[:4]
    middle = everything[4][1]
    assert ranked(world, photo(world), "--threshold", middle) == everything[:5]
    for kinds in (("rings",), ("bars", "blobs")):
        words = [word for kind in kinds for word in ("--class", kind)]
        part = [one for one in everything if one[0].split("/")[0] in kinds]
        assert ranked(world, photo(world), *words) == part
    code, _, err = hifa("query", photo(world), "-g", world / "gallery", "--class", "zebra")
    assert code == 1
    assert "no class 'zebra'" in one_line(err)


def test_a_crop_is_what_cutting_the_photo_would_be(world: Path, tmp_path: Path) -> None:
    Image.open(photo(world)).crop((8, 4, 40, 50)).save(tmp_path / "cut.png")
    assert ranked(world, photo(world), "--crop", "8,4,32,46") == ranked(world, tmp_path / "cut.png")
    code, _, err = hifa("query", photo(world), "-g", world / "gallery", "--crop", "900,0,10,10")
    assert code == 1
    assert "lies outside" in err
    assert hifa("query", photo(world), "-g", world / "gallery", "--crop", "1,2,3")[0] == 2


@pytest.mark.parametrize(("side", "colour"), [(64, (255, 255, 255)), (64, (9, 120, 30)), (1, (200, 10, 10))])
def test_a_blank_photo_is_refused_and_others_are_answered(
    side: int, colour: tuple[int, int, int], world: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (side, side), colour).save(tmp_path / "blank.png")
    code, out, err = hifa("query", tmp_path / "blank.png", "-g", world / "gallery")
    assert (code, out) == (1, "")
    assert f"blank.png: blank: its {side} x {side} pixels are of one colour" in err
    code, out, _ = hifa("query", tmp_path / "blank.png", photo(world), "-g", world / "gallery", "--json")
    assert code == 0
    good, bad = json.loads(out)["results"]
    assert len(good["matches"]) == 9
    assert bad["error"].startswith("blank")


def test_a_blank_part_is_named_and_a_faint_photo_is_not_blank(world: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(photo(world)).convert("RGB")).copy()
    pixels[:8, :8] = 77
    Image.fromarray(pixels).save(tmp_path / "part.png")
    code, _, err = hifa("query", tmp_path / "part.png", "--crop", "0,0,6,6", "-g", world / "gallery")
    assert code == 1
    assert "blank: its 6 x 6 pixels within --crop 0,0,6,6 are of one colour" in err
    faint = 128 + (pixels.astype(float) - pixels.mean()) / 16
    Image.fromarray(faint.astype(np.uint8)).save(tmp_path / "faint.png")
    assert len(asked(world, tmp_path / "faint.png")["results"][0]["matches"]) == 9


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,0,4", "-1,2,3,4", "a,b,c,d", "1,2,3,4,5"])
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_box(text)


def test_transparency_is_laid_on_the_white_of_the_views(world: Path, tmp_path: Path) -> None:
    colours = np.asarray(Image.open(photo(world)).convert("RGB")).copy()
    alpha = np.zeros(colours.shape[:2], dtype=np.uint8)
    alpha[10:50, 10:50] = 255
    hidden = np.dstack((colours, alpha))
    hidden[alpha == 0, :3] = (255, 0, 0)  # what nobody sees
    Image.fromarray(hidden).save(tmp_path / "cutout.png")
    colours[alpha == 0] = 255
    Image.fromarray(colours).save(tmp_path / "white.png")
    assert ranked(world, tmp_path / "cutout.png") == ranked(world, tmp_path / "white.png")
    assert read_picture(tmp_path / "cutout.png").getpixel((0, 0)) == (255, 255, 255)


def test_fused_photos_are_ranked_once_by_the_mean_of_their_scores(world: Path) -> None:
    photos = [photo(world, number=number) for number in range(3)]
    single = [dict(ranked(world, one)) for one in photos]
    found = asked(world, *photos, "--fuse", "--top", "9")["results"]
    assert len(found) == 1
    order = [one["shape"] for one in found[0]["matches"]]
    means = [float(np.mean([scores[name] for scores in single])) for name in order]
    assert means == sorted(means, reverse=True)
    scale = [one["score"] / mean for one, mean in zip(found[0]["matches"], means, strict=True)]
    assert np.ptp(scale) < 1e-4


def test_a_view_of_a_shape_is_recognised_with_its_number(world: Path) -> None:
    for view in (0, 5, 11):
        path = world / "views" / "rings" / "shape1" / f"{view:02d}.png"
        first = next(
            one for one in asked(world, path)["results"][0]["matches"] if one["shape"] == "rings/shape1"
        )
        assert first["view"] == view
        assert first["azimuth"] is None  # these views.json do not say where the cameras stood


def test_the_csv_has_a_line_a_match(world: Path) -> None:
    code, out, _ = hifa("query", photo(world), "-g", world / "gallery", "--csv", "--top", "3")
    assert code == 0
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [(line["shape"], float(line["score"])) for line in lines] == ranked(
        world, photo(world), "--top", "3"
    )
    assert hifa("query", photo(world), "-g", world / "gallery", "--csv", "--json")[0] == 2


def test_one_broken_photo_among_many_is_named_and_left_out(world: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    code, out, err = hifa("query", photo(world), tmp_path / "broken.png", "-g", world / "gallery", "--json")
    assert code == 0
    good, bad = json.loads(out)["results"]
    assert good["query"] == str(photo(world))
    assert "error" not in good
    assert bad["query"].endswith("broken.png")
    assert bad["matches"] == []
    assert "cannot be read" in bad["error"] or "picture" in bad["error"]
    assert "broken.png" in err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nowhere.jpg", "no photo at"),
        ("@nowhere.txt", "no list at"),
        ("no*.jpg", "nothing fits"),
        ("@a.jpg", "no list"),
    ],
)
def test_what_is_not_there_is_named(word: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(HifaError, match=said):
        find_queries([word], tmp_path)


def test_empty_standard_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="standard input is empty"):
        find_queries(["-"], tmp_path, stdin=io.BytesIO())


def test_encoders_of_other_models_are_refused(world: Path, tmp_path: Path) -> None:
    config = ModelConfig(backbone="test_resnet", embedding=16, size=32, resize=40)
    network = frozen_encoder(CPU, config, "none").network
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_network(network, tmp_path, method="hifa", hifa_version="0")
    with pytest.raises(HifaError, match="made by another model"):
        encoder_for(read_gallery(world / "gallery"), tmp_path, "auto")
