"""A cluster makes the gallery that one machine makes, whatever becomes of its nodes."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hifa_cli.config import RankingConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import cluster, read_gallery
from hifa_cli.gallery.cluster import ClusterOptions, build_on
from hifa_cli.gallery.shard import Shard
from hifa_cli.runtime.cluster import Task, perform
from hifa_cli.runtime.parts import number_of, packed, parts_for
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.runtime.ray_pool import _RayWords
from tests.cli.test_cli import hifa, one_line
from tests.gallery.test_shards import build, contents, small
from tests.gallery.test_update import write_mesh
from tests.pools import Here

__all__ = ["small"]


class Noted(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def options_of(small: Path) -> ClusterOptions:
    return ClusterOptions(
        model=small / "run", render=RenderConfig(views=2, size=64), ranking=RankingConfig(), keep_views=True
    )


@pytest.fixture(scope="module")
def alone(small: Path) -> Path:
    """What one machine makes of the small network's meshes."""
    build(small / "meshes", small / "alone", model=small / "run", keep_views=True)
    return small / "alone"


def same(one: Path, other: Path) -> list[str]:
    """Names of files that differ, but for the sources' place in the heading."""
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    return [name for name, content in first.items() if second[name] != content]


def test_shards_of_a_cluster_are_the_gallery_of_one_machine_and_finished_ones_are_not_made_again(
    small: Path, alone: Path
) -> None:
    out = small / "made"
    with pytest.raises(HifaError, match="a task was lost"):
        build_on(Here(dies_after=1), [small / "meshes"], out, options_of(small), shards=4)
    assert not out.exists()
    again = Here()
    report = build_on(again, [small / "meshes"], out, options_of(small), shards=4)
    assert report["shards"] == 4
    assert again.made == ["2/4", "3/4", "4/4"]
    assert again.most == 2  # few wait at a time
    assert same(alone, out) == []
    assert [path.name for path in small.iterdir() if path.name.startswith(".made")] == []


def test_a_mesh_that_changed_meanwhile_and_other_options_make_their_shards_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "make_shard", lambda work, model: packed(tmp_path / "nothing"))
    meshes, out = Path(shutil.copytree(small / "meshes", tmp_path / "meshes")), tmp_path / "g"
    options = replace(options_of(small), keep_views=False)

    def stopped(given: ClusterOptions, after: int = 3) -> list[str]:
        """Which shards a run makes that is stopped before the last one is there."""
        pool = Here(dies_after=after)
        with pytest.raises(HifaError):
            build_on(pool, [meshes], out, given, shards=4)
        return pool.made

    assert stopped(options) == ["1/4", "2/4", "3/4"]
    assert stopped(options, after=0) == []
    write_mesh(meshes / "a" / "0.off", 0.77)
    changed = number_of("a/0", 4)
    assert stopped(options, after=1) == [f"{changed}/4"]
    assert len(stopped(replace(options, ranking=None))) == 3


def test_broken_meshes_are_reported_and_left_out(small: Path, tmp_path: Path) -> None:
    meshes = Path(shutil.copytree(small / "meshes", tmp_path / "meshes"))
    (meshes / "a" / "bad.off").write_text("OFF\n1 1")
    report = build_on(Here(), [meshes], tmp_path / "g", options_of(small), shards=2)
    assert [Path(one["path"]).name for one in report["failed"]] == ["bad.off"]
    assert len(read_gallery(tmp_path / "g")) == 12


def test_no_shard_is_empty_and_each_shape_is_of_one() -> None:
    names = [f"kind/{number}" for number in range(3000)]
    assert [number_of(name, 7) for name in names] == [
        next(number for number in range(1, 8) if name in Shard(number, 7)) for name in names
    ]
    assert parts_for(names, None) == 11
    assert parts_for(names[:3], 3) <= 3
    assert len({number_of(name, parts_for(names[:5], 5)) for name in names[:5]}) == parts_for(names[:5], 5)
    assert parts_for([], None) == 1


def test_what_a_cluster_cannot_do_is_said_before_any_work(small: Path, alone: Path, tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="is a gallery already"):
        build_on(Here(), [small / "meshes"], alone, options_of(small))
    assert (
        "install the same one" in perform(Task(1, 2, lambda given, shared: shared, None, "0.0.1"), b"").error
    )
    code, _, stderr = hifa("index", small / "meshes", "--out", tmp_path / "g", "--shards", 2)
    assert code == 2
    assert "--engine ray" in stderr


def test_an_absent_ray_is_named(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("index", small / "meshes", "--out", tmp_path / "g", "--engine", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, stderr = hifa(*words)
    assert code == 1
    assert "pip install 'hifa-cli[ray]'" in one_line(stderr)


def test_what_ray_prints_becomes_a_line_on_stderr() -> None:
    with reporting(Noted()) as heard, redirect_stdout(_RayWords()):
        print("\x1b[33m(raylet)\x1b[0m Task make_shard failed.\n[state-dump] 1\n[state-dump] 2")  # noqa: T201
        print("[state-dump] more")  # noqa: T201
        print("x" * 1000)  # noqa: T201
    assert heard.said == ["(raylet) Task make_shard failed.", f"{'x' * 200}…"]


# --- Ray itself ---


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes with one CPU each, of Ray's own processes on this machine."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    memory: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
    found = Cluster(initialize_head=True, head_node_args={**memory, "include_dashboard": False})
    found.add_node(**memory)
    monkeypatch.setenv("RAY_ADDRESS", found.address)
    try:
        yield found
    finally:
        found.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's
def test_a_node_that_dies_costs_its_shard_alone(
    small: Path, alone: Path, nodes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out, kept = small / "on-ray", small / ".on-ray.shards"
    finished: list[set[str]] = []

    def kill() -> None:
        while not (done := {path.name for path in kept.glob("[0-9]*") if (path / "gallery.json").exists()}):
            time.sleep(0.05)
        finished.append(done)
        nodes.remove_node(nodes.list_all_nodes()[1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    report = cluster.build_on_ray([small / "meshes"], out, options_of(small), shards=4)
    killer.join()
    assert report["shards"] == 4
    assert finished[0]
    assert same(alone, out) == []
    assert capsys.readouterr().out == ""  # the place of the result


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's
def test_the_commands_on_a_cluster_make_what_they_make_here(tmp_path: Path, nodes: Any) -> None:
    for number in range(6):
        write_mesh(tmp_path / "meshes" / "box" / f"{number}.off", 0.3 + number / 7)
    (tmp_path / "t.json").write_text(json.dumps([{"id": "box/1", "price": 3}]))
    source, more = tmp_path / "meshes", ("--metadata", tmp_path / "t.json")
    assert hifa("index", source, "--out", tmp_path / "here", *more)[0] == 0
    words = ("index", source, "--out", tmp_path / "there", "--engine", "ray", "--shards", 2, *more)
    code, _, stderr = hifa(*words, "--store", f"lance:{tmp_path / 'lance'}")
    assert code == 0, stderr
    assert read_gallery(tmp_path / "there").shelf is not None
    assert hifa("index", tmp_path / "there", "--store", "local")[0] == 0
    here, there = read_gallery(tmp_path / "here"), read_gallery(tmp_path / "there")
    assert list(there.ids) == list(here.ids)
    assert here.views is not None
    assert there.views is not None
    assert there.views.tobytes() == here.views.tobytes()
    assert there.fields["price"].value(list(there.ids).index("box/1")) == 3
    for verb, given in (("render", [source]), ("export", ["--shapes", tmp_path / "render-here"])):
        ending = ".h5" if verb == "export" else ""
        places = [tmp_path / f"{verb}-{where}{ending}" for where in ("here", "there")]
        said = []
        for place, on in zip(places, ([], ["--engine", "ray", "--shards", 2]), strict=True):
            code, stdout, stderr = hifa(verb, *given, "--out", place, "--json", *on)
            assert code == 0, stderr
            said.append({**json.loads(stdout), "seconds": 0, "out": ""})
        assert said[0] == said[1]
        if ending:
            assert places[0].read_bytes() == places[1].read_bytes()
        else:
            assert same(*places) == []
