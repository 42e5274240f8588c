"""A Ray cluster over two machines makes what one machine makes, and goes on when one of them is lost."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hifa_cli.runtime.parts import number_of
from tests.conftest import write_photos
from tests.gallery.test_shards import contents as without_lock
from tests.gallery.test_update import write_mesh
from tests.namespaces import Machine, ray_on_two_machines
from tests.render.test_cluster import contents

pytest.importorskip("ray")
PARTS = 6


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Machine, Machine]]:
    with ray_on_two_machines() as both:
        yield both


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("two")
    for number in range(24):
        write_mesh(place / "meshes" / "box" / f"{number}.off", 0.3 + number / 7)
    (place / "meshes/box/bad.off").write_text("OFF\n1 1")
    assert {number_of(f"box/{number}", PARTS) for number in range(24)} == set(range(1, PARTS + 1))
    write_photos(place / "photos", each=2)
    return place


def hifa(machine: Machine, *words: object) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(machine.run("-m", "hifa_cli", *words, "--json", "-q"))
    return said


ON_BOTH = ("--engine", "ray", "--shards", PARTS)


@pytest.mark.slow
def test_views_and_embeddings_are_those_of_one_machine(
    machines: tuple[Machine, Machine], place: Path
) -> None:
    first, _ = machines
    here = hifa(first, "render", place / "meshes", "--out", place / "views", "--workers", 1)
    there = hifa(first, "render", place / "meshes", "--out", place / "views-there", *ON_BOTH)
    assert contents(place / "views") == contents(place / "views-there")
    assert here["failed"] == there["failed"]
    sources = ("export", "--images", place / "photos", "--shapes", place / "views")
    hifa(first, *sources, "--out", place / "here.h5")
    hifa(first, *sources, "--out", place / "there.h5", *ON_BOTH)
    assert (place / "here.h5").read_bytes() == (place / "there.h5").read_bytes()


@pytest.mark.slow
def test_a_machine_that_is_killed_while_it_works_costs_its_part_alone(
    machines: tuple[Machine, Machine], place: Path
) -> None:
    first, second = machines
    here = hifa(first, "index", place / "meshes", "--out", place / "here", "--workers", 1)
    command = first.start(
        "-m", "hifa_cli", "index", place / "meshes", "--out", place / "there", "--json", *ON_BOTH
    )
    kept = place / ".there.shards"
    while command.poll() is None:
        working = any("ray::perform" in one for one in second.processes().values())
        if finished := {one.name for one in kept.glob("[0-9]*") if working}:
            break
        time.sleep(0.02)
    assert finished
    assert len(finished) < PARTS
    second.stop()
    stdout, stderr = command.communicate(timeout=300)
    assert command.returncode == 0, stderr
    said = json.loads(stdout)
    assert said["shards"] == PARTS
    assert said["failed"] == here["failed"]
    assert without_lock(place / "here") == without_lock(place / "there")
