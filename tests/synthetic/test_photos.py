"""Photos: of the right size, showing their subject, one a seed."""

import io

import numpy as np
import pytest
from PIL import Image

from hifa_cli.synthetic.camera import Camera, Framing, develop, frame, looking
from hifa_cli.synthetic.composition import VIEWS, staged
from hifa_cli.synthetic.lighting import Light, Shadows
from hifa_cli.synthetic.materials import ROLES, from_hsv, furnish
from hifa_cli.synthetic.noise import noise, noise_table
from hifa_cli.synthetic.photos import Photo, make_photo
from hifa_cli.synthetic.primitives import box
from hifa_cli.synthetic.scene import PLACES, SPANS
from hifa_cli.synthetic.shapes import KINDS, make_thing

SIZE = 96


@pytest.fixture(scope="module")
def photos() -> list[tuple[str, Photo]]:
    return [
        (kind, make_photo(kind, np.random.default_rng([seed, 4]), SIZE))
        for kind in KINDS
        for seed in range(6)
    ]


def test_photos_have_the_asked_size_and_several_formats(photos: list[tuple[str, Photo]]) -> None:
    assert all(max(photo.picture.shape[:2]) == SIZE for _, photo in photos)
    assert all(min(photo.picture.shape[:2]) >= SIZE // 2 for _, photo in photos)
    assert len({photo.picture.shape for _, photo in photos}) >= 3


def test_photos_survive_a_file(photos: list[tuple[str, Photo]]) -> None:
    held = io.BytesIO()
    Image.fromarray(photos[0][1].picture).save(held, format="JPEG", quality=88)
    read = np.asarray(Image.open(held), dtype=np.float64)
    assert np.abs(read - photos[0][1].picture).mean() < 8


def test_photos_are_neither_blank_nor_burnt_out(photos: list[tuple[str, Photo]]) -> None:
    for _, photo in photos:
        assert photo.picture.std() > 5
        assert 20 < photo.picture.mean() < 250


def test_the_subject_is_in_the_picture(photos: list[tuple[str, Photo]]) -> None:
    shares = {kind: [] for kind in KINDS}  # type: dict[str, list[float]]
    for kind, photo in photos:
        assert photo.mask.shape == photo.picture.shape[:2]
        assert 0.004 < photo.mask.mean() < 0.9
        shares[kind].append(float(photo.mask.mean()))
    assert np.mean([np.mean(share) for share in shares.values()]) > 0.1


def test_the_subject_can_be_seen_against_what_is_around_it(photos: list[tuple[str, Photo]]) -> None:
    apart = []
    for _, photo in photos:
        inside, outside = photo.picture[photo.mask > 0.9], photo.picture[photo.mask < 0.1]
        if len(inside) and len(outside):
            apart.append(np.abs(inside.mean(axis=0) - outside.mean(axis=0)).max())
    assert np.median(apart) > 15


def test_a_seed_takes_one_photo() -> None:
    for kind in ("boat", "mug"):
        one, same, other = (make_photo(kind, np.random.default_rng(seed), SIZE).picture for seed in (8, 8, 9))
        np.testing.assert_array_equal(one, same)
        assert one.shape != other.shape or (one != other).any()


def test_every_kind_has_places_sizes_and_views() -> None:
    assert set(PLACES) == set(SPANS) == set(VIEWS) == set(KINDS)


def test_every_role_has_a_material() -> None:
    roles = {
        part.role
        for kind in KINDS
        for seed in range(25)
        for part in make_thing(kind, np.random.default_rng(seed))
    }
    assert roles <= set(ROLES)


def test_furnishing_gives_each_role_a_material_with_colours_that_light_can_have() -> None:
    for seed in range(30):
        for material in furnish(
            "chair", ["seat", "frame", "leg", "back"], np.random.default_rng(seed)
        ).values():
            assert material.colours.shape == (2, 3)
            assert ((material.colours >= 0) & (material.colours <= 1)).all()


def test_colours_of_known_hues() -> None:
    np.testing.assert_allclose(from_hsv(0, 1, 1), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(from_hsv(1 / 3, 1, 1), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(from_hsv(0.7, 0, 0.5), [0.5**2.2] * 3)


def test_noise_is_the_table_at_its_knots_and_between_them_elsewhere() -> None:
    table = noise_table(np.random.default_rng(0))
    knots = np.array([(0, 0, 0), (3, 5, 7), (31, 2, 9), (-1, 2, 9), (35, 5, 7)], dtype=np.float64)
    index = knots.astype(int) % 32
    np.testing.assert_allclose(noise(table, knots), table[index[:, 0], index[:, 1], index[:, 2]])
    middle = noise(table, np.array([[3.5, 5, 7]]))
    np.testing.assert_allclose(middle, [(table[3, 5, 7] + table[4, 5, 7]) / 2])


def test_a_camera_projects_as_a_pinhole() -> None:
    way, axes = looking(0, 0, 0)
    camera = Camera(5 * way, axes, 100.0, np.array([50.0, 40.0]), (80, 100))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    # seen from +X: +Y lies to the right, +Z up, and the origin is 5 away
    seen = camera.project(np.array([(0.0, 0, 0), (0, 1, 0), (0, 0, 1), (10, 0, 0)]))
    np.testing.assert_allclose(seen[:3], [(50, 40, 0.2), (70, 40, 0.2), (50, 20, 0.2)], atol=1e-9)
    assert seen[3, 2] <= 0


@pytest.mark.parametrize("cropped", [False, True])
def test_framing_fills_the_share_asked_for(cropped: bool) -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(0, 0.2, (300, 3)) * [1, 2, 0.5]
    for fill in (0.45, 0.7, 0.9):
        camera = frame(points, Framing(30, 20, fill, cropped), 200, rng)
        seen = camera.project(points)[:, :2]
        height, width = camera.size
        share = float((np.ptp(seen, axis=0) / (width, height)).max())
        inside = ((seen > -0.5) & (seen < np.array([width, height]) + 0.5)).all()
        assert share == pytest.approx(fill, rel=0.05)
        assert inside != cropped


def test_a_box_casts_its_shadow_away_from_the_light() -> None:
    block = [box((1, 1, 1), (0, 0, 0.5), "thing")]
    scene = staged("chair", block, [], block, np.random.default_rng(0))
    way = np.array([1.0, 0, 1]) / np.sqrt(2)
    shadows = Shadows(scene, Light(way, np.ones(3), np.ones(3), np.ones(3), 0.5))
    # light from +X at 45 degrees: the shadow of the unit block reaches to x = -1.5
    ground = np.array(
        [(-1.3, 0.0, 0), (-1.0, 0.3, 0), (-1.7, 0, 0), (1.0, 0, 0), (-1.0, 0.8, 0), (50, 50, 0)]
    )
    np.testing.assert_array_equal(shadows.lit(ground), [0, 0, 1, 1, 1, 1])
    top = np.array([(0.0, 0, 1), (0.3, 0.3, 1)])
    np.testing.assert_array_equal(shadows.lit(top), [1, 1])
    free = shadows.open(np.array([(0.0, 0, 0), (3.0, 3.0, 0)]))
    assert free[0] < 0.6
    assert free[1] == pytest.approx(1)


def test_development_keeps_the_order_of_light() -> None:
    ramp = np.tile(np.linspace(0, 1, 64)[None, :, None], (16, 1, 3))
    for seed in range(5):
        shown = develop(ramp, 0.36, np.random.default_rng(seed)).mean(axis=(0, 2))
        assert shown[-8:].mean() > shown[28:36].mean() > shown[:8].mean()
