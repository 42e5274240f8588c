"""The ten kinds: sound geometry, variety inside a kind, one thing a seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.synthetic.primitives import (
    Part,
    ball,
    box,
    curve,
    lathe,
    loft,
    oval,
    prism,
    rod,
    rotation,
    tube,
)
from hifa_cli.synthetic.shapes import KINDS, joined, make_thing

SEEDS = range(12)


def volume(part: Part) -> float:
    """By the divergence theorem: six times the sum of tetrahedra on the origin, over six."""
    corners = part.vertices[part.faces]
    return float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def edges_without_partner(part: Part) -> int:
    """Directed edges, between welded points, that no face runs through the other way."""
    _, point = np.unique(part.vertices.round(9), axis=0, return_inverse=True)
    faces = point.reshape(-1)[part.faces]
    forward = {(int(face[i]), int(face[(i + 1) % 3])) for face in faces for i in range(3)}
    return sum((b, a) not in forward for a, b in forward)


CLOSED = {
    "box": box((1, 2, 3), (4, 5, 6), "x"),
    "soft box": box((1, 2, 3), (0, 0, 0), "x", bevel=0.2, steps=3),
    "ball": ball((1, 2, 3), (1, 1, 1), "x"),
    "lathe": lathe([(0, 0), (1, 0), (1, 2), (0, 2)], "x"),
    "rod": rod((0, 0, 0), (1, 2, 3), 0.1, "x"),
    "bent tube": tube(curve([(0, 0, 0), (0, 0, 1), (1, 0, 1)], 12), 0.1, "x"),
    "ring": tube([(np.cos(t), np.sin(t), 0) for t in np.linspace(0, 6, 12)], 0.1, "x", looped=True),
    "plate": prism(oval(2, 1), 0.3, "x", bevel=0.05),
    "mirrored": rod((0, 0, 0), (1, 2, 3), 0.1, "x").scaled(y=-1),
}


@pytest.mark.parametrize("name", CLOSED)
def test_solid_parts_are_closed_and_wound_outward(name: str) -> None:
    part = CLOSED[name]
    assert edges_without_partner(part) == 0
    assert volume(part) > 0


def test_volumes_are_those_of_the_solids() -> None:
    assert volume(CLOSED["box"]) == pytest.approx(6)
    # a cylinder of 24 sides: half of 24 sin(15°) squares of the radius, times the height
    assert volume(CLOSED["lathe"]) == pytest.approx(12 * np.sin(np.pi / 12) * 2)
    # rounding takes a little off the box's 6, never more than a fifth at this radius
    assert 4.8 < volume(CLOSED["soft box"]) < 6
    assert volume(ball((1, 1, 1), (0, 0, 0), "x", sides=64)) == pytest.approx(4 / 3 * np.pi, rel=0.01)


def test_a_bevel_rounds_edges_to_its_radius() -> None:
    part = box((2, 2, 2), (0, 0, 0), "x", bevel=0.5, steps=3)
    inner = np.clip(part.vertices, -0.5, 0.5)
    np.testing.assert_allclose(np.linalg.norm(part.vertices - inner, axis=1), 0.5, atol=1e-12)


def test_a_loft_drops_faces_without_area() -> None:
    tip = np.tile([0.0, 0.0, 1.0], (1, 6, 1))
    ring = np.column_stack([oval(2, 2, sides=6), np.zeros(6)])[None]
    cone = loft(np.concatenate([ring, tip]), "x")
    corners = cone.vertices[cone.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert len(cone.faces) == 12  # six sides, six under them
    assert (areas > 1e-6).all()


def test_a_curve_passes_through_its_points() -> None:
    points = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)])
    np.testing.assert_allclose(curve(points, 9)[[0, 4, 8]], points, atol=1e-12)


@given(st.sampled_from("xyz"), st.floats(-360, 360))
def test_rotations_keep_lengths_and_hands(axis: str, degrees: float) -> None:
    matrix = rotation(axis, degrees)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    np.testing.assert_allclose(rotation("z", 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_every_thing_is_sound(kind: str) -> None:
    for seed in SEEDS:
        vertices, faces, owner = joined(make_thing(kind, np.random.default_rng(seed)))
        assert np.isfinite(vertices).all()
        assert 400 <= len(faces) <= 15_000
        assert faces.min() >= 0
        assert faces.max() < len(vertices)
        assert len(owner) == len(faces)
        extent = np.ptp(vertices, axis=0)
        assert 1.0 <= extent.max() <= 1.1
        assert extent.min() > 0.02
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32))
def test_any_seed_makes_a_finite_thing(kind: str, seed: int) -> None:
    vertices, faces, _ = joined(make_thing(kind, np.random.default_rng(seed)))
    assert np.isfinite(vertices).all()
    assert 400 <= len(faces) <= 15_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_one_thing(kind: str) -> None:
    first, again = (joined(make_thing(kind, np.random.default_rng(5))) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_things_of_a_kind_differ_in_more_than_size(kind: str) -> None:
    made = [make_thing(kind, np.random.default_rng(seed)) for seed in range(40)]
    makes = {tuple((part.role, len(part.faces)) for part in parts) for parts in made}
    assert len(makes) >= 4  # different parts, not the same ones stretched


def silhouette(kind: str, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Where the points lie, as 6 x 6 x 6 cells of the bounding cube: crude, and blind to colour."""
    vertices, faces, _ = joined(make_thing(kind, np.random.default_rng(seed)))
    centres = vertices[faces].mean(axis=1) + np.array([0.55, 0.55, 0])
    cells, _ = np.histogramdd(centres, bins=6, range=[(0, 1.1)] * 3)
    return np.asarray((cells > 0).ravel(), dtype=np.float64)


def test_kinds_are_told_apart_by_where_their_faces_lie() -> None:
    kinds = sorted(KINDS)
    vectors = np.array([silhouette(kind, seed) for kind in kinds for seed in SEEDS])
    labels = np.repeat(np.arange(len(kinds)), len(SEEDS))
    away = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    assert (labels[away.argmin(axis=1)] == labels).mean() > 0.7  # chance is a tenth
