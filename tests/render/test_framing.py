"""How large and where a shape is drawn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hifa_cli.errors import HifaError
from hifa_cli.render import cameras
from hifa_cli.render.framing import PLANE, box_frames, outline_area
from hifa_cli.render.views import within_unit_sphere
from tests.render.shapes import ball, box, chair, soup


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(20, 140), share=st.floats(0.05, 0.6))
@settings(max_examples=80, deadline=None)
def test_holes_count_as_area_as_scipy_fills_them(seed: int, size: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((size, size)) < share
    mask[[0, -1]] = mask[:, [0, -1]] = False
    bits = np.zeros((size, (size // 64 + 1) * 64), dtype=np.uint8)
    bits[:, :size] = mask
    words = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    structure = ndimage.generate_binary_structure(2, 1)
    assert outline_area(words, size) == ndimage.binary_fill_holes(mask, structure).sum()


def test_a_spiral_is_walked_to_its_end() -> None:
    size = 41
    free = np.zeros((size, size), dtype=bool)
    row, column, length, step = size // 2, size // 2, 2, (0, 1)
    for _ in range(18):
        for _ in range(length):
            free[row, column] = True
            row, column = row + step[0], column + step[1]
        step = (step[1], -step[0])
        length += 2
    mask = ~(free | (np.indices((size, size)) % (size - 1) == 0).any(axis=0))
    bits = np.zeros((size, 64), dtype=np.uint8)
    bits[:, :size] = mask
    words = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    assert outline_area(words, size) == ndimage.binary_fill_holes(mask).sum()


@pytest.mark.parametrize("mesh", [ball(24), box(1, 2, 3), chair(), soup(1), box(0.01, 0.02, 3)])
@pytest.mark.parametrize("size", [64, 224])
def test_a_view_reaches_one_of_the_two_limits_and_passes_neither(mesh: object, size: int) -> None:
    vertices = within_unit_sphere(mesh.vertices, mesh.faces)  # type: ignore[attr-defined]
    rig = cameras.rig(12, 30.0)
    for camera, frame in zip(rig, box_frames(vertices, mesh.faces, rig, size), strict=True):  # type: ignore[attr-defined]
        columns, rows, _ = cameras.project(vertices, camera, frame).T
        sides = np.ptp(columns), np.ptp(rows)
        assert max(sides) <= 0.9 * size + 1e-9
        assert (columns.min() + columns.max()) / 2 == pytest.approx(size / 2)
        assert (rows.min() + rows.max()) / 2 == pytest.approx(size / 2)
        if max(sides) < 0.9 * size - 1e-9:
            assert sides[0] * sides[1] > 0.3 * size**2  # only so can the area have been the limit


def test_the_largest_area_is_three_tenths_of_the_picture() -> None:
    mesh = ball(48)
    rig = cameras.rig(1, 0.0)
    vertices = within_unit_sphere(mesh.vertices, mesh.faces)
    (frame,) = box_frames(vertices, mesh.faces, rig, 224)
    columns = cameras.project(vertices, rig[0], frame)[:, 0]
    assert math.pi * np.ptp(columns) ** 2 / 4 == pytest.approx(0.3 * 224**2, rel=2e-3)


def test_a_shape_that_is_a_line_at_its_size_is_refused() -> None:
    face = np.array([[0, 1, 2]], dtype=np.int32)
    with pytest.raises(HifaError, match="no face that spans an area beside"):
        within_unit_sphere(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1e30, -1e38]]), face)
    assert np.isfinite(
        within_unit_sphere(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1e38]]), face)
    ).all()


def test_a_sphere_frame_holds_the_unit_sphere() -> None:
    frame = cameras.sphere_frame(100)
    for camera in cameras.rig(5, 20.0):
        projected = cameras.project(ball(64).vertices, camera, frame)[:, :2]
        radius = np.hypot(*(projected - 50).T).max()
        assert radius == pytest.approx(45, abs=0.05)  # the outline passes between two of its vertices


def test_the_rig_looks_from_where_matlab_looks() -> None:
    rig = cameras.rig(12, 30.0)
    for view, camera in enumerate(rig):
        azimuth, elevation = math.radians(30 * view), math.radians(30)
        expected = [
            math.sin(azimuth) * math.cos(elevation),
            -math.cos(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
        np.testing.assert_allclose(camera[2], expected, atol=1e-15)
        np.testing.assert_allclose(camera @ camera.T, np.eye(3), atol=1e-15)
        assert np.linalg.det(camera) == pytest.approx(1)
        assert camera[1, 2] > 0  # up in the picture is up


@pytest.mark.parametrize("elevation", [-90.0, 90.0])
def test_a_rig_may_look_straight_down_or_up(elevation: float) -> None:
    rig = cameras.rig(4, elevation)
    np.testing.assert_allclose(rig[:, 2], [[0, 0, np.sign(elevation)]] * 4, atol=1e-15)


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_the_axis_that_is_up_becomes_z_without_mirroring(up: str, axis: int) -> None:
    turned = cameras.upright(np.eye(3), up)  # type: ignore[arg-type]
    np.testing.assert_array_equal(turned[axis], [0, 0, 1])
    assert np.linalg.det(turned) == pytest.approx(1)


def test_the_plane_itself_is_a_frame() -> None:
    point = np.array([[0.2, 0.0, 0.3]])
    (u, row, inverse) = cameras.project(point, cameras.rig(1, 0.0)[0], PLANE)[0]
    assert inverse == pytest.approx(1 / cameras.DISTANCE)
    assert (u, row) == pytest.approx((0.2 * inverse, -0.3 * inverse))
