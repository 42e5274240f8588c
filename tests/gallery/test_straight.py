"""Meshes go straight through: pixels from the workers to the encoder, no picture that nobody asked for."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.data import read_picture
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.gallery import read_gallery, update
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import SHARDS, BuildOptions, build_gallery
from hifa_cli.gallery.store import Stored, VectorStore
from hifa_cli.models.network import save_network
from hifa_cli.render.pipeline import draw_jobs, render
from tests.gallery.test_update import write_mesh

CPU = torch.device("cpu")
DRAWN = RenderConfig(views=3, size=40)
COUNT = 9


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine meshes and a network that cuts its pictures out of larger ones."""
    root = tmp_path_factory.mktemp("straight")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=36)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="hifa", hifa_version="0")
    for number in range(COUNT):
        write_mesh(root / "meshes" / ("a", "b")[number % 2] / f"{number}.off", 0.4 + number / 3)
    return root


def build(root: Path, source: Path, out: Path, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"render_config": DRAWN, "workers": 1, "force": False, **more}
    return build_gallery(
        source, out, model=root / "run", split=None, index_config=IndexConfig(), device=CPU,
        **settings,
    )  # fmt: skip


def contents(gallery: Path) -> dict[str, bytes]:
    return {
        path.relative_to(gallery).as_posix(): path.read_bytes()
        for path in gallery.rglob("*")
        if path.is_file() and path.name not in (".lock", "graph.onnx", "graph.json")
    }


def test_only_thumbnails_are_written_and_vectors_are_those_of_the_png_files(
    root: Path, tmp_path: Path
) -> None:
    build(root, root / "meshes", tmp_path / "straight")
    pictures = sorted((tmp_path / "straight").rglob("*.png"))
    assert len(pictures) == COUNT
    assert {path.parent.parent.name for path in pictures} == {"thumbnails"}
    render([root / "meshes"], tmp_path / "views", DRAWN, workers=1)
    build(root, tmp_path / "views", tmp_path / "through")
    straight, through = read_gallery(tmp_path / "straight"), read_gallery(tmp_path / "through")
    assert list(straight.ids) == list(through.ids)
    assert straight.classes == through.classes == ("a", "b")
    assert np.array_equal(straight.labels, through.labels)
    assert np.array_equal(straight.vectors, through.vectors)
    assert np.array_equal(np.asarray(straight.views), np.asarray(through.views))
    assert straight.direction(0, 1) == through.direction(0, 1) == (120.0, 30.0)
    for row in range(COUNT):
        mine, other = straight.thumbnail(row), through.thumbnail(row)
        assert mine is not None
        assert other is not None
        assert np.array_equal(np.asarray(read_picture(mine)), np.asarray(read_picture(other)))
    assert audit.verify(tmp_path / "straight") == []


def test_pictures_are_kept_on_demand_and_stay_kept(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "meshes", tmp_path / "meshes")
    out = tmp_path / "g"
    build(root, tmp_path / "meshes", out, keep_views=True)
    assert len(list((out / "views").rglob("*.png"))) == 3 * COUNT
    render([tmp_path / "meshes"], tmp_path / "views", DRAWN, workers=1)
    for path in (tmp_path / "views").rglob("*.png"):
        assert (out / "views" / "0" / path.relative_to(tmp_path / "views")).read_bytes() == path.read_bytes()
    write_mesh(tmp_path / "meshes" / "b" / "new.off", 7.0)
    (out / "views" / "0" / "a" / "0" / "01.png").unlink()
    build(root, tmp_path / "meshes", out)  # goes on as it was made
    assert len(list((out / "views").rglob("*.png"))) == 3 * (COUNT + 1)
    (tmp_path / "meshes" / "b" / "new.off").unlink()
    update.update(out, IndexConfig(), BuildOptions(workers=1), model=None)
    assert len(list((out / "views").rglob("*.png"))) == 3 * COUNT


def test_nothing_that_was_embedded_is_drawn_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(root, root / "meshes", tmp_path / "whole")
    drawn: list[str] = []

    def interrupted(jobs: Any, *more: Any) -> Any:
        for outcome in draw_jobs(jobs, *more):
            drawn.append(outcome.job.id)
            yield outcome
            if len(drawn) == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", interrupted)
    monkeypatch.setattr("hifa_cli.gallery.embedding.wanted", lambda: 1)  # two shapes at once
    with pytest.raises(KeyboardInterrupt):
        build(root, root / "meshes", tmp_path / "g")
    (store,) = (tmp_path / "g" / SHARDS).iterdir()
    assert len(VectorStore(store)) == 4
    store.write_bytes(store.read_bytes()[:-3])  # as a power cut leaves it
    build(root, root / "meshes", tmp_path / "g")
    assert len(drawn) == 5 + COUNT - 3
    assert contents(tmp_path / "g") == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 on Windows")
def test_a_kill_loses_nothing_that_was_done(root: Path, tmp_path: Path) -> None:
    build(root, root / "meshes", tmp_path / "whole", render_config=RenderConfig())
    words = ("index", root / "meshes", "--model", root / "run", "--device", "cpu", "--workers", "1")
    command = [sys.executable, "-m", "hifa_cli", *map(str, words), "--quiet", "--out", str(tmp_path / "g")]
    process = subprocess.Popen(command, start_new_session=True)
    done: list[Path] = []
    while process.poll() is None and not done:
        time.sleep(0.001)
        done = [path for path in (tmp_path / "g").glob(f"{SHARDS}/*") if path.stat().st_size]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert done
    subprocess.run(command, check=True)
    assert contents(tmp_path / "g") == contents(tmp_path / "whole")


def test_broken_meshes_cost_only_themselves_and_only_broken_ones_are_an_error(
    root: Path, tmp_path: Path
) -> None:
    meshes = tmp_path / "meshes"
    write_mesh(meshes / "good.off", 1.0)
    (meshes / "bad.off").write_text("OFF\nbroken\n")
    report = build(root, meshes, tmp_path / "g")
    assert report["shapes"] == 1
    assert [Path(one["path"]).name for one in report["failed"]] == ["bad.off"]
    (meshes / "good.off").unlink()
    with pytest.raises(HifaError, match=r"none of the 1 meshes in .* could be drawn"):
        build(root, meshes, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_force_makes_everything_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(root, root / "meshes", tmp_path / "g")
    drawn: list[int] = []

    def counted(jobs: Any, *more: Any) -> Any:
        drawn.append(len(jobs))
        return draw_jobs(jobs, *more)

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", counted)
    build(root, root / "meshes", tmp_path / "g")
    assert drawn == []
    build(root, root / "meshes", tmp_path / "g", force=True)
    assert drawn == [COUNT]


def record(number: int) -> Stored:
    generator = np.random.default_rng(number)
    return Stored(
        generator.random(5).astype(np.float32), generator.random((number + 1, 5)).astype(np.float16), b"png"
    )


def test_a_store_keeps_every_whole_record_and_cuts_off_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "s" / "x.vectors"
    store = VectorStore(path)
    ends = []
    for number in range(3):
        store.put(bytes([number]) * 16, record(number))
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    for end in range(0, len(content) + 1, 7):
        path.write_bytes(content[:end])
        store = VectorStore(path)
        assert len(store) == sum(one <= end for one in ends)
        store.put(b"new" + bytes(13), record(4))
        for number in range(len(store) - 1):
            found, wanted = store.get(bytes([number]) * 16), record(number)
            assert np.array_equal(found.vector, wanted.vector)
            assert np.array_equal(found.views, wanted.views)
            assert found.cover == wanted.cover
        assert b"new" + bytes(13) in VectorStore(path)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    store = VectorStore(tmp_path / "x.vectors")
    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(NoRoom, match="No space left on device; make room"):
        store.put(bytes(16), record(0))


def test_meshes_below_linked_folders_are_meshes(root: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    for name in ("a", "b"):
        (tmp_path / "linked" / name).symlink_to(root / "meshes" / name)
    assert build(root, tmp_path / "linked", tmp_path / "gallery")["shapes"] == COUNT
