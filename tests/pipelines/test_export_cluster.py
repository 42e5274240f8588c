"""A cluster writes the export that one machine writes."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from hifa_cli.config import ModelConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.errors import HifaError
from hifa_cli.models.network import save_network
from hifa_cli.pipelines import export_cluster
from hifa_cli.pipelines.export import EncoderChoice, Sources, run_export
from hifa_cli.pipelines.export_cluster import ExportOptions, export_on
from hifa_cli.runtime.cluster import Task
from hifa_cli.runtime.parts import number_of, packed
from hifa_cli.runtime.progress import reporting
from tests.conftest import write_photos, write_views
from tests.pools import Here
from tests.render.test_pipeline import Ear

THREE = ExportOptions(parts=3)


def write_model(folder: Path, embedding: int = 8) -> None:
    """A small random network, as ``hifa train`` writes one."""
    config = ModelConfig(backbone="test_resnet", embedding=embedding, size=32, resize=32)
    network = frozen_encoder(torch.device("cpu"), config, "none").network
    save_network(network, folder, method="hifa", hifa_version="0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, one of them broken, views, and a small random network."""
    place = tmp_path_factory.mktemp("exported")
    write_photos(place / "photos", each=2)
    (place / "photos/bars/broken.png").write_bytes(b"\x89PNG")
    write_views(place / "views", each=2, views=2)
    write_model(place / "run")
    return place


@pytest.fixture(autouse=True)
def same_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks leave the threads of this process as they are."""
    monkeypatch.setattr(export_cluster, "use", lambda wanted, by_load: wanted)


def both(place: Path) -> tuple[EncoderChoice, Sources]:
    return EncoderChoice(place / "run"), Sources(place / "photos", place / "views")


def test_parts_of_a_cluster_are_the_export_of_one_machine(place: Path) -> None:
    with reporting(Ear()) as alone:
        run_export(*both(place), out=place / "here.h5", device="cpu")
    with pytest.raises(HifaError, match="a task was lost"):
        export_on(Here(dies_after=2), *both(place), place / "there.h5", THREE)
    assert not (place / "there.h5").exists()
    again = Here()
    with reporting(Ear()) as shared:
        export_on(again, *both(place), place / "there.h5", THREE)
    assert again.made == ["3/3"]
    assert (place / "there.h5").read_bytes() == (place / "here.h5").read_bytes()
    assert shared.warnings == alone.warnings
    assert "bars/broken" in shared.warnings[0]
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_another_picture_and_another_model_make_their_parts_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_cluster, "embed_part", lambda work, model: packed(tmp_path / "nothing"))
    photos = Path(shutil.copytree(place / "photos", tmp_path / "photos"))

    def stopped(choice: EncoderChoice, after: int = 2) -> list[str]:
        """Which parts a run makes that is stopped before the last one is there."""
        pool = Here(dies_after=after)
        with pytest.raises(HifaError):
            export_on(pool, choice, Sources(photos, place / "views"), tmp_path / "e.h5", THREE)
        return pool.made

    mine = EncoderChoice(place / "run")
    assert stopped(mine) == ["1/3", "2/3"]
    assert stopped(mine, after=0) == []
    os.utime(photos / "rings/0.png", ns=(1, 1))
    assert stopped(mine, after=1) == [f"{number_of('rings/0', 3)}/3"]
    assert len(stopped(EncoderChoice(None, "test_resnet", "none", 32))) == 2


def test_a_backbone_is_sent_as_it_is_here(place: Path, tmp_path: Path) -> None:
    choice, sources = EncoderChoice(None, "test_resnet", "none", 32), Sources(None, place / "views")
    run_export(choice, sources, out=tmp_path / "here.h5", device="cpu")
    export_on(Here(), choice, sources, tmp_path / "there.h5", ExportOptions(parts=2))
    assert (tmp_path / "there.h5").read_bytes() == (tmp_path / "here.h5").read_bytes()


def test_nodes_with_different_encoders_are_refused(place: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "run", embedding=9)

    class Mixed(Here):
        """Gives one node another network."""

        def submit(self, task: Task, shared: bytes) -> None:
            super().submit(task, packed(tmp_path / "run") if task.number == 2 else shared)

    with pytest.raises(HifaError, match="different pretrained encoders"):
        export_on(Mixed(), *both(place), tmp_path / "e.h5", THREE)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_pictures_that_cannot_be_read_alone_are_an_error(place: Path, tmp_path: Path) -> None:
    broken = place / "photos/bars/broken.png"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(broken.read_bytes())
    with pytest.raises(HifaError, match="nothing could be read"):
        export_on(
            Here(), EncoderChoice(place / "run"), Sources(tmp_path / "photos", None), tmp_path / "e.h5", THREE
        )
    with pytest.raises(HifaError, match="nothing could be read"):
        export_on(
            Here(), EncoderChoice(place / "run"), Sources(tmp_path / "photos", place / "views"),
            tmp_path / "e.h5", THREE,
        )  # fmt: skip


def test_a_folder_without_a_model_is_said_before_any_work(place: Path, tmp_path: Path) -> None:
    pool = Here()
    with pytest.raises(HifaError, match=str(tmp_path)):
        export_on(pool, EncoderChoice(tmp_path), Sources(place / "photos", None), tmp_path / "e.h5", THREE)
    assert pool.made == []
