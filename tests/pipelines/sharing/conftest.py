"""A run and a gallery, made once, and a stand-in of the Hub for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import hifa_cli as hifa
from tests.api.conftest import write_meshes
from tests.conftest import write_photos
from tests.pipelines.sharing.stand_in import WRITER, StandIn, stand_in


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """The stand-in, reached as the Hub is, by one who may write."""
    with stand_in() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
        yield found


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared-run")
    hifa.train(
        write_photos(root / "photos", each=1), out=root / "run", method="source-only", backbone="test_resnet",
        weights="none", size=32, resize=32, embedding=8, steps=1, photos_per_step=3, device="cpu",
    )  # fmt: skip
    return root / "run"


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared-gallery")
    hifa.build_gallery(
        write_meshes(root / "meshes"), root / "gallery", workers=1, device="cpu", keep_views=True
    )
    return root / "gallery"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "made" / "run"))


@pytest.fixture
def gallery(indexed: Path, tmp_path: Path) -> Path:
    """A copy of the gallery that a test may change."""
    shutil.copytree(indexed.parent, tmp_path / "made" / "here")
    return tmp_path / "made" / "here" / "gallery"
