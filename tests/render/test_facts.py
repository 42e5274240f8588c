"""What is measured of a mesh is what its geometry says, whatever the format repeats."""

from typing import Any

import numpy as np
import pytest
import trimesh

from hifa_cli.render.facts import facts_of
from hifa_cli.render.meshes import Mesh, sanitised


def as_mesh(made: Any) -> Mesh:
    return sanitised(np.asarray(made.vertices), np.asarray(made.faces))


def test_a_box_has_the_measures_of_a_box() -> None:
    made = trimesh.creation.box((2, 3, 4))
    made.apply_translation((1e4, -5, 7))
    facts = facts_of(as_mesh(made))
    assert [facts["extent_x"], facts["extent_y"], facts["extent_z"]] == pytest.approx([2, 3, 4])
    assert facts["area"] == pytest.approx(52)
    assert facts["volume"] == pytest.approx(24)
    assert (facts["faces"], facts["bodies"], facts["watertight"]) == (12, 1, True)


def test_triangles_that_share_no_corner_in_the_file_measure_alike() -> None:
    made = trimesh.creation.icosphere(2, 1.5)
    loose = made.triangles.reshape(-1, 3)
    soup = sanitised(loose, np.arange(len(loose)).reshape(-1, 3))
    assert facts_of(soup) == pytest.approx(facts_of(as_mesh(made)))


def test_an_open_surface_has_no_volume() -> None:
    made = trimesh.creation.box((1, 1, 1))
    facts = facts_of(sanitised(made.vertices, made.faces[1:]))
    assert (facts["volume"], facts["watertight"], facts["faces"]) == (None, False, 11)


def test_a_closed_surface_that_is_wound_both_ways_has_no_volume() -> None:
    made = trimesh.creation.box((1, 1, 1))
    faces = made.faces.copy()
    faces[0] = faces[0][::-1]
    facts = facts_of(sanitised(made.vertices, faces))
    assert (facts["volume"], facts["watertight"]) == (None, True)


def test_parts_that_share_no_corner_are_bodies() -> None:
    parts = [trimesh.creation.box((1, 1, 1), np.diag([1, 1, 1, 1])) for _ in range(3)]
    for place, part in enumerate(parts):
        part.apply_translation((3 * place, 0, 0))
    facts = facts_of(as_mesh(trimesh.util.concatenate(parts)))
    assert (facts["bodies"], facts["watertight"]) == (3, True)
    assert facts["volume"] == pytest.approx(3)


def test_an_edge_of_four_triangles_is_not_watertight() -> None:
    one, other = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1))
    other.apply_translation((1, 1, 0))
    facts = facts_of(as_mesh(trimesh.util.concatenate([one, other])))
    assert (facts["watertight"], facts["bodies"]) == (False, 1)


def test_what_overflows_is_not_known() -> None:
    made = trimesh.creation.box((1, 1, 1))
    facts = facts_of(sanitised(np.asarray(made.vertices) * 1e190, np.asarray(made.faces)))
    assert (facts["area"], facts["volume"], facts["faces"]) == (None, None, 12)
