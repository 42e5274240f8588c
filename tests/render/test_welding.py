"""One vertex a place: what is drawn of a soup is what is drawn of the mesh that it was made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.config import RenderConfig
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.views import MeshViews
from hifa_cli.render.welding import one_a_place
from tests.render.shapes import ball, chair


@given(seed=st.integers(0, 10**6), faces=st.integers(1, 200), steps=st.sampled_from([1, 3, 50]))
@settings(max_examples=60, deadline=None)
def test_every_place_has_one_vertex_and_no_corner_moves(seed: int, faces: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    vertices = generator.integers(-steps, steps + 1, (3 * faces, 3)) / 7 * generator.choice([-1.0, 1.0])
    corners = generator.permutation(3 * faces).reshape(-1, 3).astype(np.int32)
    places, welded = one_a_place(vertices, corners)
    np.testing.assert_array_equal(places[welded], vertices[corners])
    assert len(places) == len(np.unique(vertices + 0.0, axis=0))


def test_vertices_that_are_shared_are_left_as_they_are() -> None:
    mesh = ball(12)
    vertices, faces = one_a_place(mesh.vertices, mesh.faces)
    assert vertices is mesh.vertices
    assert faces is mesh.faces


def test_neighbours_that_differ_in_the_last_bit_stay_apart() -> None:
    corner = np.array([1.0, 2.0, 3.0])
    vertices = np.stack([corner, np.nextafter(corner, 4), corner, np.zeros(3)])
    places, faces = one_a_place(vertices, np.array([[0, 1, 3], [2, 1, 3]], dtype=np.int32))
    assert len(places) == 3
    assert faces.tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("shading", ["mvcnn", "smooth"])
def test_a_soup_is_drawn_as_its_mesh_bit_by_bit(shading: str) -> None:
    views = MeshViews(RenderConfig(views=3, shading=shading))  # type: ignore[arg-type]
    for mesh in (ball(24), chair()):
        apart = Mesh(
            mesh.vertices[mesh.faces].reshape(-1, 3),
            np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3),
        )
        np.testing.assert_array_equal(views.draw(apart, "y"), views.draw(mesh, "y"))
