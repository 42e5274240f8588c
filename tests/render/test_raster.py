"""Which face is seen through a pixel, against testing every pixel against every face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hifa_cli.render.raster import (
    BATCH,
    barycentrics,
    cleared,
    facing_away,
    fill_nearest,
    fill_outline,
    new_keys,
    visible,
)

HEIGHT, WIDTH = 37, 50


def scene(seed: int, faces: int, snap: bool) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Triangles that share no vertex and have no depth in common, on or between the pixels' centres."""
    generator = np.random.default_rng(seed)
    points = generator.uniform([-20, -20, 0.1], [WIDTH + 20, HEIGHT + 20, 1.0], (3 * faces, 3))
    if snap:
        points[:, :2] = np.round(2 * points[:, :2]) / 2
    return points, np.arange(3 * faces, dtype=np.int32).reshape(-1, 3)


def by_testing_everything(
    points: NDArray[np.float64], faces: NDArray[np.int32], height: int = HEIGHT, width: int = WIDTH
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Face ids, inverse depths, and the pixels whose centre lies on no edge (where two answers are right)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ids, depth = np.full((height, width), -1), np.zeros((height, width))
    clear = np.ones((height, width), dtype=bool)
    for face, (a, b, c) in enumerate(points[faces]):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        alpha = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
        beta = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
        weights = np.stack([alpha, beta, 1 - alpha - beta])
        here = weights[0] * a[2] + weights[1] * b[2] + weights[2] * c[2]
        nearer = (weights.min(axis=0) >= 0) & (here > depth)
        ids[nearer], depth[nearer] = face, here[nearer]
        clear &= np.abs(weights.min(axis=0)) > 1e-7
    return ids, depth, clear


@given(seed=st.integers(0, 2**32 - 1), faces=st.integers(1, 30), snap=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_nearest_face_is_seen_and_its_depth_is_exact(seed: int, faces: int, snap: bool) -> None:
    points, corners = scene(seed, faces, snap)
    ids, depth = visible(points, corners, HEIGHT, WIDTH)
    expected, exact, clear = by_testing_everything(points, corners)
    np.testing.assert_array_equal(ids[clear], expected[clear])
    np.testing.assert_allclose(depth[clear], exact[clear], rtol=0, atol=1e-6)  # float32 of values ≤ 1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_barycentrics_bring_back_the_point_under_the_pixel(seed: int) -> None:
    generator = np.random.default_rng(seed)
    space = generator.uniform([-1, -1, 2], [1, 1, 6], (3, 3))  # x, y and the distance along the axis
    pixels = np.column_stack([25 + 20 * space[:, 0] / space[:, 2], 18 + 20 * space[:, 1] / space[:, 2]])
    points = np.column_stack([pixels, 1 / space[:, 2]])
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    ids, depth = visible(points, faces, HEIGHT, WIDTH)
    weights = barycentrics(points, faces, ids)
    for row, column in np.argwhere(ids == 0):
        x, y, w = weights[row, column] @ space
        assert x / w * 20 + 25 == pytest.approx(column + 0.5, abs=1e-3)
        assert y / w * 20 + 18 == pytest.approx(row + 0.5, abs=1e-3)
        assert 1 / w == pytest.approx(depth[row, column], abs=1e-5)
    assert not weights[ids < 0].any()


def test_faces_that_share_edges_leave_no_crack_and_overlap_nowhere() -> None:
    generator = np.random.default_rng(3)
    steps = np.linspace(-5, 60, 30)
    x, y = np.meshgrid(steps, steps)
    inner = (slice(1, -1), slice(1, -1))
    x[inner] += generator.uniform(-0.9, 0.9, x[inner].shape)
    y[inner] += generator.uniform(-0.9, 0.9, y[inner].shape)
    points = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 0.5)])
    at = np.arange(x.size, dtype=np.int32).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]))
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    assert (visible(points, faces, HEIGHT, WIDTH)[0] >= 0).all()


def test_winding_does_not_matter() -> None:
    points, faces = scene(5, 40, snap=True)
    forward, backward = (visible(points, f, HEIGHT, WIDTH) for f in (faces, faces[:, ::-1].copy()))
    np.testing.assert_array_equal(forward[0], backward[0])
    np.testing.assert_allclose(forward[1], backward[1], rtol=1e-6)


def test_of_faces_at_the_same_depth_the_first_is_seen() -> None:
    points, faces = scene(6, 1, snap=False)
    ids, _ = visible(points, np.repeat(faces, 3, axis=0), HEIGHT, WIDTH)
    assert set(np.unique(ids)) <= {-1, 0}


def test_faces_at_or_behind_the_eye_are_left_out() -> None:
    points = np.array([[5.0, 5.0, 1.0], [40.0, 5.0, 1.0], [20.0, 30.0, 0.0]])
    assert (visible(points, np.array([[0, 1, 2]], dtype=np.int32), HEIGHT, WIDTH)[0] == -1).all()


def test_no_number_is_too_strange() -> None:
    strange = [0.0, 1.0, -1.0, 25.0, 1e-300, 1e9, -1e300, 1e300, np.inf, -np.inf, np.nan]
    generator = np.random.default_rng(7)
    points = generator.choice(strange, (60, 3))
    faces = generator.integers(0, 60, (4000, 3)).astype(np.int32)
    ids, depth = visible(points, faces, HEIGHT, WIDTH)
    assert ids.min() >= -1
    assert ids.max() < len(faces)
    assert not np.isnan(depth).any()


@pytest.mark.parametrize("size", [63, 64, 65, 200])
def test_the_outline_is_where_any_face_is_seen(size: int) -> None:
    generator = np.random.default_rng(8)
    points = generator.uniform([2, 2, 0.5], [size - 2, size - 2, 1], (30, 3))
    faces = generator.integers(0, 30, (12, 3)).astype(np.int32)
    faces = faces[(np.diff(np.sort(faces, axis=1), axis=1) > 0).all(axis=1)]
    outline = np.zeros((size, size // 64 + 1), dtype=np.uint64)
    fill_outline((points - [3, 4, 0]) / [7, 7, 1], faces, 7.0, 3.0, 4.0, size, 0.0, outline)
    bits = np.unpackbits(outline.view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[:, :size], visible(points, faces, size, size)[0] >= 0)
    assert not bits[:, size:].any()


def closed_shape() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Two tetrahedra, wound outwards, one through the other."""
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) - 0.25
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], dtype=np.int32)
    return np.concatenate([corners, 0.7 * corners + 0.15]), np.concatenate([faces, faces + 4])


def test_only_a_closed_consistently_wound_surface_has_faces_that_look_away() -> None:
    vertices, faces = closed_shape()
    assert facing_away(vertices, faces) == 1
    assert facing_away(vertices, faces[:, ::-1].copy()) == -1
    assert facing_away(vertices, faces[1:]) == 0
    one_turned = faces.copy()
    one_turned[2] = one_turned[2, ::-1]
    assert facing_away(vertices, one_turned) == 0


def test_vertices_at_one_place_close_a_surface_as_one_vertex_does() -> None:
    vertices, faces = closed_shape()
    apart = vertices[faces].reshape(-1, 3)
    apart[0] = np.where(apart[0] == 0, -0.0, apart[0])
    assert facing_away(apart, np.arange(faces.size, dtype=np.int32).reshape(-1, 3)) == 1


def keys_of(points: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.int64]:
    keys = cleared(new_keys(HEIGHT, WIDTH), HEIGHT, WIDTH)
    fill_nearest(points, faces, 0.0, 0.0, keys)
    return keys


@given(seed=st.integers(0, 10**6), faces=st.sampled_from([1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 7]))
@settings(max_examples=10, deadline=None)
def test_faces_are_drawn_together_as_each_is_alone(seed: int, faces: int) -> None:
    generator = np.random.default_rng(seed)
    places = generator.uniform([-3, -3, 0.1], [WIDTH + 3, HEIGHT + 3, 1.0], (faces, 1, 3))
    reach = generator.choice([0.3, 1, 2, 5, 30], (faces, 1, 1)) * [1, 1, 0]
    points = (places + reach * generator.uniform(-1, 1, (faces, 3, 3))).reshape(-1, 3)
    triangles = np.arange(3 * faces, dtype=np.int32).reshape(-1, 3)
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    for face in range(faces):
        alone = keys_of(points, triangles[face : face + 1])
        expected = np.maximum(expected, np.where(alone > 0, alone - face, 0))
    np.testing.assert_array_equal(keys_of(points, triangles), expected)


@given(seed=st.integers(0, 10**6), snap=st.booleans(), reach=st.sampled_from([20, 60, 150]))
@settings(max_examples=40, deadline=None)
def test_wide_faces_are_drawn_as_all_others(seed: int, snap: bool, reach: int) -> None:
    height, width = 21, 200
    generator = np.random.default_rng(seed)
    points = generator.uniform([100 - reach, -5, 0.1], [100 + reach, 26, 1.0], (12, 3))
    if snap:
        points[:, :2] = np.round(2 * points[:, :2]) / 2
    triangles = np.arange(12, dtype=np.int32).reshape(-1, 3)
    ids, depth = visible(points, triangles, height, width)
    expected, exact, clear = by_testing_everything(points, triangles, height, width)
    np.testing.assert_array_equal(ids[clear], expected[clear])
    np.testing.assert_allclose(depth[clear], exact[clear], rtol=0, atol=1e-5)


@given(seed=st.integers(0, 10**6), wide=st.sampled_from([1, 4, 8, 9, 20]), snap=st.booleans())
@settings(max_examples=60, deadline=None)
def test_faces_of_few_columns_are_drawn_as_all_others(seed: int, wide: int, snap: bool) -> None:
    generator = np.random.default_rng(seed)
    places = generator.uniform([-3, -3, 0.1], [WIDTH + 3, HEIGHT + 3, 1.0], (60, 1, 3))
    reach = [wide / 2, generator.choice([1, 9]), 0]
    points = (places + generator.uniform(np.negative(reach), reach, (60, 3, 3))).reshape(-1, 3)
    points[:, 2] = generator.uniform(0.1, 1.0, len(points))
    if snap:
        points[:, :2] = np.round(2 * points[:, :2]) / 2
    triangles = np.arange(180, dtype=np.int32).reshape(-1, 3)
    ids, depth = visible(points, triangles, HEIGHT, WIDTH)
    expected, exact, clear = by_testing_everything(points, triangles)
    np.testing.assert_array_equal(ids[clear], expected[clear])
    np.testing.assert_allclose(depth[clear], exact[clear], rtol=0, atol=1e-5)


def test_nothing_is_written_outside_the_keys() -> None:
    generator = np.random.default_rng(2)
    places = generator.uniform([-5, -5], [WIDTH + 5, HEIGHT + 5], (3000, 1, 2))
    points = np.ones((9000, 3))
    points[:, :2] = (places + generator.uniform(-4, 4, (3000, 3, 2))).reshape(-1, 2)
    room = np.full(HEIGHT * WIDTH + 2000, 7, dtype=np.int64)
    keys = cleared(room[1000:], HEIGHT, WIDTH)
    fill_nearest(points, np.arange(9000, dtype=np.int32).reshape(-1, 3), 0.0, 0.0, keys)
    assert (keys > 0).mean() > 0.9
    assert (room[:1000] == 7).all()
    assert (room[1000 + HEIGHT * WIDTH :] == 7).all()


@pytest.mark.parametrize("away", [1.0, -1.0])
def test_one_side_of_a_closed_surface_has_the_outline_of_both(away: float) -> None:
    size = 100
    vertices, faces = closed_shape()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    flat = vertices @ turn.T
    outlines = [np.zeros((size, size // 64 + 1), dtype=np.uint64) for _ in range(2)]
    fill_outline(flat, faces, 40.0, 50.0, 50.0, size, 0.0, outlines[0])
    fill_outline(flat, faces, 40.0, 50.0, 50.0, size, away, outlines[1])
    assert outlines[0].any()
    np.testing.assert_array_equal(outlines[1], outlines[0])
