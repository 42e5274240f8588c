"""A gallery is changed whole or not at all, and only what changed is done again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery import update as curate
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.models.network import save_network
from hifa_cli.render.pipeline import draw_jobs
from hifa_cli.runtime.progress import Reporter, reporting

CONFIG = IndexConfig()
CPU = torch.device("cpu")


class Heard(Reporter):
    """Remembers what it is warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network, as ``hifa train`` writes one."""
    folder = tmp_path_factory.mktemp("run")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(frozen_encoder(CPU, config, "none").network, folder, method="hifa", hifa_version="0")
    return folder


def write_mesh(path: Path, size: float, *, kind: str = "box") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = (
        trimesh.creation.box((1, 1, size))
        if kind == "box"
        else trimesh.creation.cylinder(0.3, size, sections=7)
    )
    made.export(path)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Meshes, and the gallery that was made of them."""
    root = tmp_path_factory.mktemp("library")
    for number in range(4):
        write_mesh(root / "meshes" / "box" / f"{number}.off", 0.5 + number)
    for number in range(3):
        write_mesh(root / "meshes" / "rod" / f"{number}.stl", 1.0 + number, kind="rod")
    build_gallery(
        root / "meshes", root / "gallery", model=model, split=None, index_config=CONFIG,
        render_config=RenderConfig(), workers=1, device=CPU, force=False, keep_views=True)  # fmt: skip
    return root


def copied(library: Path, copy: Path) -> Path:
    shutil.copytree(library, copy)
    main = copy / "gallery" / "gallery.json"
    main.write_text(main.read_text().replace(str(library), str(copy)))
    return copy


@pytest.fixture
def mine(library: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the library whose gallery names the copy's meshes."""
    copy = copied(library, tmp_path / "library")
    yield copy
    assert [fault for fault in audit.verify(copy / "gallery") if "gone" not in fault] == []


def updated(root: Path) -> curate.Change:
    return curate.update(root / "gallery", CONFIG, BuildOptions(workers=1), model=None)


def added(
    root: Path,
    *sources: Path,
) -> curate.Change:
    return curate.add(root / "gallery", sources, CONFIG, BuildOptions(workers=1), model=None)


def table(gallery: Gallery) -> dict[str, Any]:
    """What matters of a gallery, whatever the order of its rows."""
    return {
        name: (
            gallery.class_of(row),
            gallery.vectors[row].tolist(),
            gallery.source(row),
            gallery.thumbnail(row) is None,
        )
        for row, name in enumerate(gallery.ids)
    }


def rebuilt(root: Path, model: Path) -> dict[str, Any]:
    """The same from scratch."""
    fresh = root / "fresh"
    build_gallery(
        root / "meshes", fresh, model=model, split=None, index_config=CONFIG, render_config=RenderConfig(),
        workers=1, device=CPU, force=False)  # fmt: skip
    return table(read_gallery(fresh))


def test_a_gallery_knows_where_every_shape_came_from(mine: Path) -> None:
    gallery = read_gallery(mine / "gallery")
    assert len(gallery) == 7
    for row, name in enumerate(gallery.ids):
        source = gallery.source(row)
        assert source is not None
        assert source.is_file()
        assert source.relative_to(mine / "meshes").with_suffix("").as_posix() == name
        assert gallery.class_of(row) == name.split("/")[0]


def test_what_a_killed_writer_left_goes_even_when_there_is_nothing_to_do(mine: Path) -> None:
    gallery = mine / "gallery"
    (gallery / "generation-99").mkdir()
    (model,) = (gallery / "models").iterdir()
    (model / ".graph.onnx.00c0ffee-1-abcdefgh.part").write_bytes(b"half")
    assert updated(mine).added == 0
    assert not (gallery / "generation-99").exists()
    assert [path.name for path in model.iterdir() if path.name.startswith(".")] == []


def test_a_change_that_fails_at_its_last_step_leaves_no_generation(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = mine / "gallery"
    before = sorted(path.name for path in gallery.iterdir())

    def full(*_: Any) -> None:
        raise HifaError("no room")

    monkeypatch.setattr("hifa_cli.gallery.snapshot.put_thumbnails", full)
    with pytest.raises(HifaError, match="no room"):
        curate.remove(gallery, ["box/1"], CONFIG)
    assert sorted(path.name for path in gallery.iterdir()) == before


def test_a_mesh_that_vanishes_once_it_was_drawn_is_no_trouble(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mesh(mine / "more" / "ball" / "new.off", 3.0)

    def vanishing(*arguments: Any) -> Any:
        yield from draw_jobs(*arguments)
        shutil.rmtree(mine / "more" / "ball")

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", vanishing)
    assert added(mine, mine / "more").added == 1
    assert "ball/new" in read_gallery(mine / "gallery").ids


def test_an_update_does_only_what_changed_and_equals_a_gallery_from_scratch(
    mine: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def counted(jobs: Any, *arguments: Any) -> Any:
        seen.extend(job.id for job in jobs)
        return draw_jobs(jobs, *arguments)

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", counted)
    write_mesh(mine / "meshes" / "box" / "0.off", 9.0)  # changed
    write_mesh(mine / "meshes" / "cone" / "new.off", 2.0)  # new
    (mine / "meshes" / "rod" / "1.stl").unlink()  # vanished
    change = updated(mine)
    assert (change.added, change.changed, change.removed, change.unchanged) == (1, 1, ["rod/1"], 5)
    assert sorted(seen) == ["box/0", "cone/new"]
    assert table(read_gallery(mine / "gallery")) == rebuilt(mine, model)


def test_an_update_that_finds_nothing_new_writes_nothing(mine: Path) -> None:
    before = (mine / "gallery" / "gallery.json").read_bytes()
    change = updated(mine)
    assert (change.added, change.changed, change.removed, change.unchanged) == (0, 0, [], 7)
    assert (mine / "gallery" / "gallery.json").read_bytes() == before


def test_a_mesh_that_breaks_keeps_what_it_had(mine: Path) -> None:
    before = table(read_gallery(mine / "gallery"))
    (mine / "meshes" / "box" / "0.off").write_text("OFF\nbroken\n")
    change = updated(mine)
    assert [Path(one["path"]).name for one in change.failed] == ["0.off"]
    assert change.removed == []
    assert table(read_gallery(mine / "gallery")) == before


def test_a_source_that_is_gone_does_not_empty_the_gallery(mine: Path) -> None:
    (mine / "meshes").rename(mine / "elsewhere")
    with pytest.raises(HifaError, match="is gone: bring it back"):
        updated(mine)
    assert len(read_gallery(mine / "gallery")) == 7


def test_removal_takes_ids_and_patterns_and_all_that_belongs_to_them(mine: Path) -> None:
    reporter = Heard()
    with reporting(reporter):
        change = curate.remove(mine / "gallery", ["box/[01]", "rod/2", "no/*"], CONFIG)
    assert change.removed == ["box/0", "box/1", "rod/2"]
    assert reporter.said == ["no shape fits 'no/*'"]
    gallery = read_gallery(mine / "gallery")
    assert sorted(gallery.ids) == ["box/2", "box/3", "rod/0", "rod/1"]
    assert len(list((mine / "gallery" / "thumbnails").glob("*/*.png"))) == 4
    assert sorted(path.name for path in (mine / "gallery" / "views" / "0" / "box").iterdir()) == ["2", "3"]


def test_removing_nothing_or_everything_is_refused(mine: Path) -> None:
    for patterns, said in ((["nobody"], "no shape of"), (["*"], "nothing would be left")):
        with pytest.raises(HifaError, match=said):
            curate.remove(mine / "gallery", patterns, CONFIG)
    assert len(read_gallery(mine / "gallery")) == 7


def test_what_was_removed_and_added_again_is_as_before(mine: Path) -> None:
    before = table(read_gallery(mine / "gallery"))
    curate.remove(mine / "gallery", ["rod/*"], CONFIG)
    change = added(mine, mine / "meshes")
    assert (change.added, change.unchanged) == (3, 4)
    assert table(read_gallery(mine / "gallery")) == before


def test_shapes_of_another_folder_are_added_and_taken_ids_are_told(mine: Path) -> None:
    other = mine.parent / "more"
    write_mesh(other / "box" / "0.off", 7.5)  # the id of another shape
    write_mesh(other / "box" / "77.off", 7.7)
    before = table(read_gallery(mine / "gallery"))
    change = added(mine, other)
    assert (change.added, len(change.failed)) == (1, 1)
    assert "'box/0' is another shape's" in change.failed[0]["reason"]
    after = table(read_gallery(mine / "gallery"))
    assert after.pop("box/77")[2] == other / "box" / "77.off"
    assert after == before
    write_mesh(other / "box" / "77.off", 0.1)
    assert updated(mine).changed == 1  # both sources are followed


def test_a_broken_mesh_among_the_added_costs_nothing_else(mine: Path) -> None:
    other = mine.parent / "more"
    write_mesh(other / "box" / "77.off", 7.7)
    (other / "box" / "78.off").write_text("OFF\nbroken\n")
    change = added(mine, other)
    assert (change.added, len(change.failed)) == (1, 1)


def test_an_export_of_another_model_is_not_added(mine: Path) -> None:
    shapes = Embeddings(("x",), np.zeros(1, dtype=np.int64), np.ones((1, 8), dtype=np.float32))
    write_export(mine / "e.h5", Export(None, shapes, ("x",), "0", "hifa", "another", {}))
    with pytest.raises(HifaError, match="not made by the model"):
        added(mine, mine / "e.h5")


def test_a_view_that_looks_like_the_photo_is_named_with_its_direction(mine: Path) -> None:
    from hifa_cli.query.retrieve import encoder_for, query_paths

    gallery = read_gallery(mine / "gallery")
    encoder = encoder_for(gallery, None, "cpu")
    for view in (0, 3, 7):
        photo = mine / "gallery" / "views" / "0" / "rod" / "1" / f"{view:02d}.png"
        matches = query_paths(encoder, gallery, [photo], top=7)[0].matches
        itself = next(match for match in matches if match.shape == "rod/1")
        shown = gallery.views
        assert shown is not None
        # views of a thing with symmetries are alike: the one that is named is as near as any
        cosines = np.asarray(shown[itself.row], dtype=np.float64) @ np.asarray(
            shown[itself.row, view], dtype=float
        )
        assert itself.view is not None
        assert cosines[itself.view] == pytest.approx(cosines.max(), abs=2e-3)
        assert (itself.azimuth, itself.elevation) == (30.0 * itself.view, 30.0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda g: np.memmap(g.place / "vectors.f32", np.float32, "r+").__setitem__(3, np.nan), "not finite"),
        (lambda g: np.memmap(g.place / "vectors.f32", np.float32, "r+").__setitem__(3, 9.0), "unit length"),
        (lambda g: np.memmap(g.place / "views.f16", np.float16, "r+").__setitem__(3, np.inf), "a view whose"),
        (lambda g: next((g.folder / "thumbnails").glob("*/*")).unlink(), "has no thumbnail"),
        (lambda g: next((g.folder / "thumbnails").glob("*/*")).write_bytes(b""), "thumbnail is empty"),
        (lambda g: (g.model_folder / "model.safetensors").write_bytes(b"x"), "cannot load the model"),
        (lambda g: shutil.rmtree(g.folder / "models"), "the model that made the vectors is gone"),
        (lambda g: (g.place / "ids.txt").write_bytes(b"box/0" * 7), "is there 7 times"),
        (lambda g: (g.place / "labels.npy").unlink(), "is gone"),
    ],
)
def test_verify_names_every_fault(spoil: Any, said: str, library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    shutil.copytree(library / "gallery", folder)
    assert audit.verify(folder) == []
    spoil(read_gallery(folder))
    assert any(said in fault for fault in audit.verify(folder))


def test_verify_sees_an_index_of_other_vectors(tmp_path: Path) -> None:
    folder, generator = tmp_path / "g", np.random.default_rng(0)
    for name in ("one", "two"):
        shapes = Embeddings(
            tuple(map(str, range(500))),
            np.zeros(500, dtype=np.int64),
            generator.random((500, 8), dtype=np.float32),
        )
        write_export(tmp_path / f"{name}.h5", Export(None, shapes, ("x",), "0", "", "", {}))
        build_gallery(
            tmp_path / f"{name}.h5", tmp_path / name, model=None, split=None,
            index_config=IndexConfig(factory="IVF16,SQ8"), render_config=RenderConfig(), workers=1,
            device=CPU, force=False)  # fmt: skip
    folder = tmp_path / "one"
    assert audit.verify(folder) == []
    shutil.copyfile(
        tmp_path / "two" / "generation-1" / "index.faiss", folder / "generation-1" / "index.faiss"
    )
    assert any("the index misses" in fault for fault in audit.verify(folder))


def test_a_trained_index_is_used_again_for_a_small_change_and_not_for_a_large_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def export(name: str, count: int) -> Path:
        ids = tuple(f"{name}{number}" for number in range(count))
        part = Embeddings(
            ids, np.zeros(count, dtype=np.int64), generator.random((count, 8), dtype=np.float32)
        )
        write_export(tmp_path / f"{name}.h5", Export(None, part, ("x",), "0", "", "", {}))
        return tmp_path / f"{name}.h5"

    config = IndexConfig(factory="auto", exact_floats=1000)
    folder = tmp_path / "g"
    build_gallery(
        export("a", 1000), folder, model=None, split=None, index_config=config, render_config=RenderConfig(),
        workers=1, device=CPU, force=False)  # fmt: skip
    for name, count, factory, learned in (("b", 200, "IVF126,SQ8", 1000), ("c", 3000, "IVF259,SQ8", 4200)):
        change = curate.add(folder, [export(name, count)], config, BuildOptions(), model=None)
        assert change.gallery["factory"] == factory
        assert read_gallery(folder).document["learned_from"] == learned
        assert audit.verify(folder) == []


# kill -9 at any moment


def command(*words: str | Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "hifa_cli",
        *map(str, words),
        "--quiet",
        "--workers",
        "1",
        "--device",
        "cpu",
    ]


def killed_after(words: list[str], seconds: float) -> bool:
    """Run a command and kill it and its workers after so long; whether it was still running."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def storm(library: Path, model: Path, root: Path, attempts: int) -> int:
    """Kill changes at random moments; after each the gallery must be what it was, or what it was to be.

    The moments are shares of what the first change took. Where others slow the machine meanwhile, a change
    may end before its moment comes: the next ones are then killed sooner.
    """
    copied(library, root)
    write_mesh(root / "more" / "ball" / "1.off", 3.0)
    gallery = root / "gallery"
    generator, kills = random.Random(5), 0
    build = command("index", root / "meshes", "--out", gallery, "--model", model)
    changes = {
        "add": (command("index", "--add", root / "more", "--out", gallery), {"ball/1"}, set()),
        "remove": (command("index", "--remove", "ball/*", "--out", gallery), set(), {"ball/1"}),
    }
    everything = set(read_gallery(gallery).ids)
    began = time.monotonic()
    subprocess.run(changes["add"][0], check=True)
    whole = time.monotonic() - began
    for attempt in range(attempts):
        kind = ("remove", "index", "add")[attempt % 3]
        before = set(read_gallery(gallery).ids)
        words, more, fewer = changes.get(kind, ([*build, "--force"], set(), {"ball/1"}))
        if killed_after(words, generator.uniform(0.3, 1.0) * whole):
            kills += 1
        else:
            whole *= 0.7
        after = set(read_gallery(gallery).ids)
        assert after in (before, (before | more) - fewer)
        assert everything <= after
        assert audit.verify(gallery) == []
    subprocess.run([*build, "--force"], check=True)  # goes on where the killed left off, and clears up
    assert set(read_gallery(gallery).ids) == everything
    left = {path.name for path in gallery.iterdir()}
    main = json.loads((gallery / "gallery.json").read_text())
    assert left == {".lock", "gallery.json", "models", "thumbnails", "views", main["generation"]}
    assert audit.verify(gallery) == []
    return kills


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 on Windows")
def test_a_killed_change_leaves_a_gallery_that_is_right(library: Path, model: Path, tmp_path: Path) -> None:
    assert storm(library, model, tmp_path / "storm", attempts=4) >= 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 on Windows")
def test_many_killed_changes_leave_a_gallery_that_is_right(
    library: Path, model: Path, tmp_path: Path
) -> None:
    assert storm(library, model, tmp_path / "storm", attempts=45) >= 20


@pytest.mark.real
def test_real_meshes_are_added_removed_and_followed(real_data: Path, model: Path, tmp_path: Path) -> None:
    for kind in ("cup", "fish"):
        meshes = sorted((real_data / "meshes" / kind).iterdir())[:4]
        for mesh in meshes:
            (tmp_path / kind / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(mesh, tmp_path / kind / kind)
    gallery = tmp_path / "gallery"
    build_gallery(
        tmp_path / "cup", gallery, model=model, split=None, index_config=CONFIG, render_config=RenderConfig(),
        workers=1, device=CPU, force=False)  # fmt: skip
    assert added(tmp_path, tmp_path / "fish").added == 4
    assert read_gallery(gallery).classes == ("cup", "fish")
    assert audit.verify(gallery) == []
    assert len(curate.remove(gallery, ["cup/*"], CONFIG).removed) == 4
    assert audit.verify(gallery) == []
    assert updated(tmp_path).added == 0  # the folder of cups is no origin any more
    assert read_gallery(gallery).classes == ("fish",)
