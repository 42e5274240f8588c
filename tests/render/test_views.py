"""The views of a shape: what may not change them, what must, and the statistics of the public data."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hifa_cli.config import Framing, RenderConfig, Shading
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.views import MeshViews, up_axis, within_unit_sphere
from tests.render.shapes import ball, box, chair, joined, moved, soup, turned, write_off

Pictures = NDArray[np.uint8]

_VIEWS = {
    (name, framing): MeshViews(RenderConfig(shading=name, framing=framing))
    for name in ("mvcnn", "smooth")
    for framing in ("box", "sphere")
}
every_way = pytest.mark.parametrize(("name", "framing"), list(_VIEWS))


def drawn(mesh: Mesh, name: Shading = "mvcnn", framing: Framing = "box") -> Pictures:
    return _VIEWS[name, framing].draw(mesh, "z")


def assert_alike(a: Pictures, b: Pictures, *, pixels: float = 2e-3) -> None:
    """The same but for rounding: no more than a few pixels on edges may be seen differently."""
    difference = np.abs(a.astype(int) - b)
    assert (difference > 2).mean() < pixels
    assert difference.mean() < 0.1


@every_way
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 11))
@settings(max_examples=6, deadline=None)
def test_turning_the_shape_permutes_its_views(name: Shading, framing: Framing, seed: int, steps: int) -> None:
    mesh = soup(seed)
    expected = np.roll(drawn(mesh, name, framing), steps, axis=0)
    assert_alike(drawn(turned(mesh, 30.0 * steps), name, framing), expected)


def test_turning_a_chair_permutes_its_views_and_its_views_differ() -> None:
    views = drawn(chair())
    assert_alike(drawn(turned(chair(), 90.0)), np.roll(views, 3, axis=0))
    apart = [np.abs(a.astype(int) - b).mean() for a, b in zip(views, np.roll(views, 1, axis=0), strict=True)]
    assert min(apart) > 2


@every_way
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-150, 1e-30, 1e-6, 0.3, 7.0, 1e6, 1e30, 1e150, 1e306]),
    shift=st.tuples(*[st.floats(-50, 50)] * 3),
)
@settings(max_examples=6, deadline=None)
def test_size_and_place_do_not_matter(
    name: Shading, framing: Framing, seed: int, scale: float, shift: tuple[float, float, float]
) -> None:
    mesh = soup(seed)
    moved = Mesh((mesh.vertices + np.array(shift)) * scale, mesh.faces)
    assert_alike(drawn(moved, name, framing), drawn(mesh, name, framing))


@every_way
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=6, deadline=None)
def test_winding_does_not_matter(name: Shading, framing: Framing, seed: int) -> None:
    mesh = soup(seed)
    flipped = mesh.faces.copy()
    half = np.random.default_rng(seed).random(len(flipped)) < 0.5
    flipped[half] = flipped[half][:, ::-1]
    assert_alike(drawn(Mesh(mesh.vertices, flipped), name, framing), drawn(mesh, name, framing))


@every_way
def test_neither_order_nor_sharing_of_vertices_matters(name: Shading, framing: Framing) -> None:
    mesh = joined([chair(), ball(12)])
    loose = Mesh(
        mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3)
    )
    shuffled = np.random.default_rng(0).permutation(loose.faces).astype(np.int32)
    assert_alike(drawn(Mesh(loose.vertices, shuffled), name, framing), drawn(mesh, name, framing))


def assert_has_the_statistics_of_the_public_views(pictures: Pictures) -> None:
    """Facts of 26,189 public MI3DOR views, allowed for the pixels on edges that 2 × 2 samples blend."""
    seen = pictures < 255
    aside = []
    for view in seen.reshape(-1, *seen.shape[-2:]):
        rows, columns = (np.flatnonzero(view.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            continue
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 202
        aside += [abs(rows[0] + rows[-1] - 223) / 2, abs(columns[0] + columns[-1] - 223) / 2]
    assert np.quantile(aside, 0.98) <= 1
    assert max(aside) <= 5  # where a tip is too thin to be seen
    assert pictures[seen].min() >= 76
    corners = pictures[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all()


@pytest.mark.parametrize("mesh", [ball(24), box(1, 2, 3), chair(), soup(4), box(3, 0.02, 0.02)])
def test_views_have_the_statistics_of_the_public_ones(mesh: Mesh) -> None:
    pictures = drawn(mesh)
    assert_has_the_statistics_of_the_public_views(pictures)
    seen = pictures < 255
    assert seen.mean(axis=(1, 2)).max() < 0.312  # the largest of the public ones
    inner = seen & (np.stack([np.roll(pictures, s, axis=a) for s in (1, -1) for a in (1, 2)]) < 255).all(
        axis=0
    )
    assert (pictures[inner] > 231).mean() < 0.02


@pytest.mark.real
def test_real_shapes_have_the_statistics_of_the_public_ones(real_data: Path) -> None:
    paths = sorted((real_data / "meshes").glob("*/*.off"))[::15]
    views = np.stack([_VIEWS["mvcnn", "box"](path) for path in paths])
    assert_has_the_statistics_of_the_public_views(views)
    seen = views < 255
    areas = seen.mean(axis=(2, 3)).ravel()
    assert np.quantile(areas, 0.99) < 0.312
    lengths = np.maximum(seen.any(axis=2).sum(axis=2), seen.any(axis=3).sum(axis=2)).ravel()
    assert ((lengths >= 199) | (areas >= 0.28)).mean() > 0.95
    assert (views[seen] > 230).mean() < 0.02


def test_every_view_is_drawn_at_the_size_and_on_the_ground_asked_for() -> None:
    pictures = MeshViews(RenderConfig(views=5, size=90, ground=40)).draw(chair(), "z")
    assert pictures.shape == (5, 90, 90)
    assert pictures.dtype == np.uint8
    assert (pictures[:, [0, -1]] == 40).all()
    assert pictures.max() > 100


def test_elevation_is_that_of_the_camera() -> None:
    plate = box(1, 1, 0.004)
    from_above, from_the_side = (
        MeshViews(RenderConfig(views=1, elevation=degrees)).draw(plate, "z")[0] for degrees in (90.0, 0.0)
    )
    assert (from_above < 255).mean() == pytest.approx(0.3, abs=0.01)
    assert (from_the_side < 255).mean() < 0.01
    assert from_above[112, 112] == pytest.approx(230, abs=1)


def test_a_sphere_frame_keeps_one_scale_for_all_views() -> None:
    long = box(3, 0.5, 0.5)
    widths = [(picture < 255).any(axis=0).sum() for picture in drawn(long, framing="sphere")]
    assert max(widths) > 2 * min(widths)
    assert max(widths) <= 202


def test_what_stands_upright_is_upright_in_every_view() -> None:
    cone_on_a_pole = joined([box(0.2, 0.2, 2), moved(box(1, 1, 0.4), 0, 0, 1)])
    for picture in drawn(cone_on_a_pole):
        widths = (picture < 255).sum(axis=1)
        rows = np.flatnonzero(widths)
        upper, lower = widths[rows[: len(rows) // 4]].mean(), widths[rows[-len(rows) // 4 :]].mean()
        assert upper > 2 * lower


@pytest.mark.parametrize(
    ("name", "axis"),
    [("a.off", "z"), ("a.obj", "z"), ("a.STL", "z"), ("a.glb", "y"), ("a.GLTF", "y"), ("a.3mf", "z")],
)
def test_up_is_taken_from_the_format(name: str, axis: str) -> None:
    assert up_axis(Path(name), RenderConfig()) == axis
    assert up_axis(Path(name), RenderConfig(up="x")) == "x"


@pytest.mark.parametrize(("text", "axis"), [("X_UP", "x"), ("Y_UP", "y"), ("Z_UP", "z"), ("", "y")])
def test_up_is_what_a_dae_file_says(tmp_path: Path, text: str, axis: str) -> None:
    path = tmp_path / "a.dae"
    path.write_text(f"<COLLADA><asset>{f'<up_axis> {text} </up_axis>' if text else ''}</asset></COLLADA>")
    assert up_axis(path, RenderConfig()) == axis


def test_the_centre_turns_with_the_shape() -> None:
    mesh = joined([box(), moved(box(0.1, 0.1, 4), 2, 1, 0)])
    expected = turned(Mesh(within_unit_sphere(mesh.vertices, mesh.faces), mesh.faces), 30).vertices
    found = within_unit_sphere(turned(mesh, 30).vertices, mesh.faces)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.linalg.norm(found, axis=1).max() == pytest.approx(1)


def test_a_file_is_drawn_as_its_mesh_is(tmp_path: Path) -> None:
    path = write_off(tmp_path / "stuhl ü.off", chair())
    np.testing.assert_array_equal(_VIEWS["mvcnn", "box"](path), drawn(chair()))


def test_a_plate_seen_along_its_edge_is_an_empty_view() -> None:
    plate = Mesh(np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]), box().faces[:1])
    pictures = MeshViews(RenderConfig(elevation=0.0)).draw(plate, "z")
    assert (pictures[3] == 255).all()
    assert (pictures[0] < 255).any()
