"""Surfaces are compared whatever their pose, size, hand and triangles."""

import math
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.surfaces import EXACT, align, nearest_on, sample, surface_of


def bracket() -> Any:
    """A part without any symmetry: three boxes of different sizes."""
    made: Any = trimesh
    boxes = [((3, 1, 0.4), (0, 0, 0)), ((0.5, 1, 2), (1.2, 0, 1.1)), ((0.4, 0.3, 0.9), (-1.2, 0.3, 0.6))]
    return made.util.concatenate(
        [made.creation.box(size, made.transformations.translation_matrix(at)) for size, at in boxes]
    )


def mesh_of(body: Any) -> Mesh:
    return Mesh(np.asarray(body.vertices), np.asarray(body.faces, dtype=np.int32))


def turned(body: Any, seed: int) -> Any:
    matrix = trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))
    matrix[:3, 3] = [5.0, -3.0, 20.0]
    return body.copy().apply_transform(matrix)


def test_centroid_radius_and_moments_of_a_square_are_those_worked_by_hand() -> None:
    square = Mesh(
        np.array([[0.0, 0, 5], [2, 0, 5], [2, 2, 5], [0, 2, 5]]), np.array([[0, 1, 2], [0, 2, 3]], "i4")
    )
    surface = surface_of(square)
    assert surface.centre == pytest.approx([1, 1, 5])
    assert surface.radius == pytest.approx(math.sqrt(2 / 3))  # each axis: ∫x²dx over [−1, 1] / 2 = 1/3
    assert surface.moments == pytest.approx([0.5, 0.5, 0], abs=1e-12)
    assert surface.areas.sum() == pytest.approx(4 / (2 / 3))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_moments_do_not_change_with_pose_size_and_triangles(seed: int, scale: float) -> None:
    body = bracket()
    other = turned(body, seed).subdivide().apply_scale(scale)
    one, two = surface_of(mesh_of(body)), surface_of(mesh_of(other))
    assert two.moments == pytest.approx(one.moments, abs=1e-9)
    assert two.radius == pytest.approx(scale * one.radius, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_turned_and_subdivided_part_lies_exactly_on_itself(seed: int) -> None:
    body = bracket()
    found = align(surface_of(mesh_of(turned(body, seed).subdivide())), surface_of(mesh_of(body)))
    assert found is not None
    assert found.farthest < 1e-6
    assert not found.mirrored


def test_an_unmoved_part_is_not_said_to_be_turned() -> None:
    cube = surface_of(mesh_of(trimesh.creation.box((1, 1, 1))))
    found = align(cube, cube)
    assert found is not None
    assert found.angle < 1e-3


def test_a_mirror_image_is_told_from_a_turned_part() -> None:
    body = bracket()
    image = body.copy().apply_transform(np.diag([-1.0, 1, 1, 1]))
    found = align(surface_of(mesh_of(turned(image, 3))), surface_of(mesh_of(body)))
    assert found is not None
    assert found.mirrored
    assert found.farthest < 1e-6


@pytest.mark.parametrize(
    "body", [trimesh.creation.box((1, 1, 1)), trimesh.creation.cylinder(0.5, 3, sections=12)]
)
def test_parts_with_equal_moments_are_aligned_too(body: Any) -> None:
    found = align(surface_of(mesh_of(turned(body, 5))), surface_of(mesh_of(body)))
    assert found is not None
    assert found.farthest < EXACT
    assert not found.mirrored


def test_a_part_with_a_piece_moved_is_near_but_not_the_same() -> None:
    body = bracket()
    moved = body.copy()
    moved.vertices[16:24] += [0.1, 0, 0]
    found = align(surface_of(mesh_of(moved)), surface_of(mesh_of(body)))
    assert found is not None
    assert 0.001 < found.mean < 0.03
    assert found.farthest > EXACT


def test_shapes_far_from_each_other_are_given_up_early() -> None:
    ball = surface_of(mesh_of(trimesh.creation.icosphere(2)))
    rod = surface_of(mesh_of(trimesh.creation.box((10, 0.1, 0.1))))
    assert align(ball, rod, give_up=0.05) is None


def test_the_nearest_point_is_the_one_that_a_search_of_all_triangles_finds() -> None:
    generator = np.random.default_rng(0)
    closest_point: Any = trimesh.triangles.closest_point
    triangles, points = generator.normal(size=(40, 3, 3)), generator.normal(size=(60, 3))
    low, high = triangles.min(axis=1), triangles.max(axis=1)
    found, rows = nearest_on(points, triangles, low, high, np.zeros(60, dtype=np.int64))
    for point, mine, row in zip(points, found, rows, strict=True):
        theirs = closest_point(triangles, np.repeat(point[None], 40, axis=0))
        apart = np.linalg.norm(theirs - point, axis=1)
        assert np.linalg.norm(mine - point) == pytest.approx(apart.min(), abs=1e-12)
        assert apart[row] == pytest.approx(apart.min(), abs=1e-12)


def test_samples_lie_evenly_on_the_surface() -> None:
    triangles = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0.0, 0, 1], [3, 0, 1], [0, 1, 1]]])
    points, which = sample(triangles, np.array([0.5, 1.5]), 4000, 0)
    assert np.mean(which) == pytest.approx(0.75, abs=0.01)
    assert points[which == 0].mean(axis=0) == pytest.approx([1 / 3, 1 / 3, 0], abs=0.02)


def test_a_surface_without_area_is_refused() -> None:
    with pytest.raises(HifaError, match="no area"):
        surface_of(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]], dtype=np.int32)))
