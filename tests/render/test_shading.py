"""The Phong model against its closed form on a sphere, and the constants of the presets."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from hifa_cli.config import RenderConfig, Shading
from hifa_cli.render import builtin, cameras, shading
from hifa_cli.render.builtin import BuiltinRenderer
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.normals import corner_normals
from hifa_cli.render.raster import barycentrics, visible
from hifa_cli.render.shading import FILL, HEADLIGHT, KEY, PRESETS, Light, Phong
from hifa_cli.render.views import MeshViews
from tests.render.shapes import ball, box

SIZE = 224


def closed_form(phong: Phong) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a perfect unit sphere looks like through every pixel, and how far out on its disc that is."""
    frame = cameras.sphere_frame(SIZE)
    centres = np.arange(SIZE) + 0.5
    u, v = np.meshgrid((centres - frame.left) / frame.scale, (frame.top - centres) / frame.scale)
    ray = np.stack([u, v, -np.ones_like(u)], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    eye = np.array([0.0, 0.0, cameras.DISTANCE])
    half = ray @ eye
    under = half**2 - (cameras.DISTANCE**2 - 1)
    normal = eye + (-half - np.sqrt(np.maximum(under, 0)))[..., None] * ray
    intensity = np.full(u.shape, phong.ambient)
    for light in phong.lights:
        direction = np.array(light.direction)
        to_light = (
            -ray if not direction.any() else np.broadcast_to(direction / np.linalg.norm(direction), ray.shape)
        )
        lit = np.maximum((normal * to_light).sum(-1), 0)
        mirrored = 2 * lit[..., None] * normal - to_light
        shine = np.where(lit > 0, np.maximum((mirrored * -ray).sum(-1), 0), 0) ** phong.shininess
        intensity = intensity + light.strength * (phong.diffuse * lit + phong.specular * shine)
    out = np.hypot(u, v) * np.sqrt(cameras.DISTANCE**2 - 1)  # 1 at the outline
    return 255 * np.minimum(intensity, 1), out


@pytest.mark.parametrize(
    "phong",
    [
        PRESETS["smooth"],
        dataclasses.replace(PRESETS["mvcnn"], crease=40.0),
        Phong(0.1, 0.3, 0.6, 7, (HEADLIGHT, KEY, FILL), crease=40.0),
        Phong(0.6, 0.9, 0.9, 3, (Light((0.0, 0.0, 1.0), 2.0),), crease=40.0),  # more than white
    ],
)
def test_a_spheres_shading_is_the_closed_form(phong: Phong) -> None:
    mesh = ball(160)
    normals = corner_normals(mesh.vertices, mesh.faces, 40.0)
    renderer = BuiltinRenderer(phong, SIZE, 255)
    rig = cameras.rig(3, 30.0)
    pictures = renderer.draw(mesh.vertices, mesh.faces, normals, rig, [cameras.sphere_frame(SIZE)] * 3)
    expected, out = closed_form(phong)
    for picture in pictures:
        error = np.abs(picture - expected)[out < 0.97]
        assert error.max() < 2.0  # facets of 1.1°, and rounding
        assert error.mean() < 0.4


def test_flat_shading_of_a_fine_sphere_is_the_closed_form_too() -> None:
    mesh = ball(160)
    rig = cameras.rig(2, 30.0)
    renderer = BuiltinRenderer(PRESETS["mvcnn"], SIZE, 255)
    pictures = renderer.draw(mesh.vertices, mesh.faces, None, rig, [cameras.sphere_frame(SIZE)] * 2)
    expected, out = closed_form(PRESETS["mvcnn"])
    for picture in pictures:
        error = np.abs(picture - expected)[out < 0.9]
        assert error.max() < 4.0  # a facet of 1.1° is one grey
        assert error.mean() < 1.0


def test_a_face_under_the_headlight_has_the_grey_of_the_formula() -> None:
    for tilt in (0.0, 20.0, 45.0, 70.0):
        a = np.radians(tilt)
        square = np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * 0.3
        turned = square @ np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
        rig = cameras.rig(1, 0.0)
        renderer = BuiltinRenderer(PRESETS["mvcnn"], SIZE, 255)
        picture = renderer.draw(turned, faces, None, rig, [cameras.sphere_frame(SIZE)])[0]
        assert picture[SIZE // 2, SIZE // 2] == pytest.approx(255 * (0.3 + 0.6 * np.cos(a)), abs=2)


def test_the_mvcnn_preset_is_that_of_su_et_al() -> None:
    phong = PRESETS["mvcnn"]
    assert (phong.ambient, phong.diffuse, phong.specular, phong.crease) == (0.3, 0.6, 0.0, None)
    assert phong.lights == (HEADLIGHT,)
    assert [round(255 * 0.3), round(255 * 0.9)] == [76, 230]


@pytest.mark.parametrize("name", ["mvcnn", "smooth"])
def test_the_lit_side_does_not_depend_on_winding(name: Shading) -> None:
    views = MeshViews(RenderConfig(shading=name, views=4))
    mesh = ball(20)
    for every in (1, 2, 3):
        faces = mesh.faces.copy()
        faces[::every] = faces[::every, ::-1]
        difference = views.draw(mesh, "z").astype(int) - views.draw(Mesh(mesh.vertices, faces), "z")
        assert np.abs(difference).max() <= 1


def test_boxes_stay_boxes() -> None:
    pictures = MeshViews(RenderConfig(shading="smooth", views=1, ground=0)).draw(box(), "z")
    counts = np.unique(pictures, return_counts=True)[1]
    assert (counts > 500).sum() >= 2  # few greys, each over a whole face: lights are far, faces flat
    flat = np.abs(np.diff(pictures[0].astype(int), axis=1))
    assert (flat <= 2).mean() > 0.95


def test_spheres_are_round_and_smooth_across_their_facets() -> None:
    pictures = MeshViews(RenderConfig(shading="smooth", views=1)).draw(ball(16), "z")[0].astype(int)
    inner = pictures[80:144, 80:144]
    assert np.abs(np.diff(inner, axis=1)).max() < 12  # facets of 11° would jump by more than 20
    flat = MeshViews(RenderConfig(views=1)).draw(ball(16), "z")[0].astype(int)[80:144, 80:144]
    assert (np.diff(flat, axis=1) == 0).mean() > 0.6


def test_normals_of_a_sphere_point_out_from_its_centre() -> None:
    mesh = ball(48)
    normals = corner_normals(mesh.vertices, mesh.faces, 40.0).astype(np.float64)
    cosine = np.abs((normals * mesh.vertices[mesh.faces]).sum(axis=-1))
    assert cosine.min() > np.cos(np.radians(4))


@pytest.mark.parametrize("weld", [True, False])
def test_normals_of_a_box_are_those_of_its_faces(weld: bool) -> None:
    mesh = box()
    vertices, faces = mesh.vertices / np.sqrt(0.75), mesh.faces
    if not weld:
        vertices, faces = vertices[faces].reshape(-1, 3), np.arange(36, dtype=np.int32).reshape(-1, 3)
    normals = corner_normals(vertices, faces, 40.0)
    corners = vertices[faces]
    own = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    np.testing.assert_allclose(normals, np.repeat(own[:, None], 3, axis=1), atol=1e-6)


def test_the_crease_angle_decides_what_is_smoothed() -> None:
    ridge = np.radians(30)  # between the planes of two faces
    vertices = np.array(
        [[0, -0.5, 0], [0, 0.5, 0], [0.5, 0, 0], [-0.5 * np.cos(ridge), 0, 0.5 * np.sin(ridge)]]
    )
    faces = np.array([[0, 2, 1], [0, 3, 1]], dtype=np.int32)  # the second is wound the other way
    for crease, together in ((40.0, True), (20.0, False)):
        normals = corner_normals(vertices, faces, crease)
        cosine = abs(float(normals[0, 0] @ normals[1, 0]))
        assert cosine == pytest.approx(1.0 if together else np.cos(ridge), abs=1e-6)
        own = abs(float(normals[0, 0] @ [0, 0, 1]))  # the first face lies flat
        assert own == pytest.approx(np.cos(ridge / 2) if together else 1.0, abs=1e-6)


def test_normals_are_interpolated_in_perspective_over_a_face() -> None:
    triangle = np.array([[-0.6, -0.7, -0.5], [0.7, 0.6, -0.4], [0.0, 0.1, 0.8]])  # runs away from the eye
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    normals = np.array([[[0.0, -1, 0.2], [0.8, -0.6, 0], [-0.5, -0.7, 0.5]]], dtype=np.float32)
    phong = Phong(0.0, 1.0, 0.0, 1, (HEADLIGHT,), crease=40.0)
    (camera,), frame = cameras.rig(1, 0.0), cameras.sphere_frame(SIZE)
    picture = BuiltinRenderer(phong, SIZE, 0).draw(triangle, faces, normals, camera[None], [frame])[0]
    projected = cameras.project(triangle, camera, frame)
    ids, _ = visible(projected, faces, SIZE, SIZE)
    weights = barycentrics(projected, faces, ids).astype(np.float64)
    to_eye = cameras.DISTANCE * camera[2] - weights @ triangle
    normal = weights @ normals[0].astype(np.float64)
    lengths = np.linalg.norm(to_eye, axis=-1) * np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    expected = 255 * np.abs((to_eye * normal).sum(axis=-1)) / lengths
    inner = ndimage.binary_erosion(ids == 0, iterations=2)
    assert inner.sum() > 3000
    assert np.abs(picture - expected)[inner].max() <= 1


def test_a_fan_of_many_faces_takes_no_square_of_their_number() -> None:
    count = 60_000  # compared all with all: 3.6e9 products
    angle = 2 * np.pi * np.arange(count) / count
    rim = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])
    vertices = np.concatenate([[[0.0, 0.0, 0.01]], rim])
    at = np.arange(count)
    faces = np.column_stack([np.zeros(count), 1 + at, 1 + (at + 1) % count]).astype(np.int32)
    normals = corner_normals(vertices, faces, 40.0)
    np.testing.assert_allclose(normals[:, 0], [[0, 0, 1]] * count, atol=0.02)


def test_lights_turn_with_the_camera() -> None:
    lights = shading.lights_of(PRESETS["smooth"])
    camera = cameras.rig(12, 30.0)[5]
    turned = shading.in_space(lights, camera)
    np.testing.assert_allclose(turned[:, :3] @ camera.T, lights[:, :3], atol=1e-15)
    np.testing.assert_array_equal(turned[:, 3], lights[:, 3])
    np.testing.assert_allclose(np.linalg.norm(lights[:, :3], axis=1), 1)


def test_greys_of_all_faces_at_once_are_those_of_each_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    views = MeshViews(RenderConfig(views=3))
    at_once = [views.draw(mesh, "z") for mesh in (ball(30), box(1, 2, 3))]
    monkeypatch.setattr(builtin, "MOST_SHADED", 0)
    for mesh, pictures in zip((ball(30), box(1, 2, 3)), at_once, strict=True):
        np.testing.assert_array_equal(views.draw(mesh, "z"), pictures)
