"""A gallery answers the same whatever form a photo has, and says what it cannot use."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hifa_cli as hifa
from tests.api.conftest import World


def answers(hits: hifa.Hits) -> list[tuple[str, float]]:
    return [(hit.shape_id, hit.score) for hit in hits]


def forms(photo: Path) -> dict[str, Any]:
    """The same picture in every form."""
    picture = Image.open(photo).convert("RGB")
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    array = np.asarray(picture)
    return {
        "str": str(photo),
        "path": photo,
        "pil": picture,
        "array": array,
        "floats": array / 255,
        "grey": array[..., 0],
        "with alpha": np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
        "bytes": packed.getvalue(),
        "memoryview": memoryview(packed.getvalue()),
    }


def test_every_form_of_a_photo_finds_the_same_shapes_with_the_same_scores(world: World) -> None:
    wanted = answers(world.gallery.query(world.photo))
    assert wanted[0][0] == "round/ball"
    for name, form in forms(world.photo).items():
        assert answers(world.gallery.query(form)) == wanted, name


def test_a_list_gives_a_list_in_its_order(world: World) -> None:
    photos = list(forms(world.photo).values())
    found = world.gallery.query([*photos, photos[0]], top_k=1)
    assert len(found) == len(photos) + 1
    assert all(len(hits) == 1 and hits[0].shape_id == "round/ball" for hits in found)
    assert found[0].query == str(world.photo)


def test_an_empty_list_gives_an_empty_list(world: World) -> None:
    assert list(world.gallery.query([])) == []


def test_a_hit_names_the_view_and_the_mesh(world: World) -> None:
    hit = world.gallery.query(world.photo, top_k=1)[0]
    assert (hit.rank, hit.class_name, hit.elevation) == (1, "round", 15.0)
    assert hit.path == world.meshes / "round" / "ball.off"
    assert hit.azimuth is not None
    assert hit.azimuth % 30 == 0
    assert hit.thumbnail is not None
    assert hit.thumbnail.is_file()


def test_a_mesh_is_a_query_too(world: World) -> None:
    assert world.gallery.query(world.meshes / "box" / "cube.off", top_k=1)[0].shape_id == "box/cube"


def test_reprs_are_short(world: World) -> None:
    hits = world.gallery.query(world.photo, top_k=2)
    for text in (repr(world.gallery), repr(hits[0]), repr(hits)):
        assert len(text) < 60 + len(str(world.root)) + 60
        assert "\n" not in text
    assert repr(hits[0]).startswith("Hit('round/ball', 0.")


def test_a_notebook_shows_a_contact_sheet_that_can_be_decoded(world: World) -> None:
    import base64
    import re

    from hifa_cli.viz.contact_sheet import QUERIES

    one = world.gallery.query(world.photo, top_k=2)
    many = world.gallery.query([world.photo, Image.open(world.photo)], top_k=3)
    for shown, size in ((one, QUERIES.size(1, 3)), (many, QUERIES.size(2, 4))):
        match = re.fullmatch(
            r'<img src="data:image/jpeg;base64,([^"]+)" alt="[^"<>]+" title="[^"<>]+">', shown._repr_html_()
        )
        assert match
        assert Image.open(io.BytesIO(base64.b64decode(match[1]))).size == size


def test_names_in_a_notebook_cannot_hold_markup(world: World) -> None:
    hits = hifa.Hits("<script>'\"", (), "no photo at <b>")
    assert "<script>" not in hits._repr_html_()
    assert "<b>" not in hits._repr_html_()


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        ("gone.jpg", "no photo at gone.jpg"),
        (b"", "photo 1"),
        (b"\x89PNG\r\n\x1a\nbroken", "photo 1"),
        (np.zeros((3, 224, 224), np.uint8), r"shape \(3, 224, 224\) is not a photo"),
        (np.zeros((2, 8, 8, 3), np.uint8), "several photos as a list"),
        (np.full((8, 8, 3), 3.0), "between 0 and 1"),
        (np.full((8, 8, 3), np.nan), "between 0 and 1"),
        (np.zeros((8, 8, 3), np.int64), "int64 is not a photo"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (7, "int is not a photo"),
    ],
)  # fmt: skip
def test_what_is_not_a_photo_is_said(photo: Any, said: str, world: World) -> None:
    with pytest.raises(hifa.HifaError, match=said) as error:
        world.gallery.query(photo)
    assert "photo-0" not in str(error.value)  # a scratch file of ours


def test_one_bad_photo_of_many_is_named_and_skipped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hifa_cli"):
        found = world.gallery.query(["gone.jpg", world.photo, b"junk", {"a": 1}], top_k=1)  # type: ignore[list-item]
    assert [len(hits) for hits in found] == [0, 1, 0, 0]
    assert [hits.error is None for hits in found] == [False, True, False, False]
    assert "gone.jpg" in str(found[0].error)
    assert "photo 3" in str(found[2].error)
    assert "gone.jpg" in caplog.text
    assert "photo 3" in caplog.text


def test_a_list_of_bad_photos_is_a_list_of_errors(world: World) -> None:
    found = world.gallery.query([b"junk", b"more"])
    assert [hits.error is not None for hits in found] == [True, True]
    assert "photo 2" in repr(found[1])


def test_classes_threshold_and_crop_narrow_what_is_found(world: World) -> None:
    gallery = world.gallery
    assert {hit.class_name for hit in gallery.query(world.photo, classes="box")} == {"box"}
    assert len(gallery.query(world.photo, threshold=1.1)) == 0
    with pytest.raises(hifa.HifaError, match="no class 'mug'"):
        gallery.query(world.photo, classes=["mug"])
    with pytest.raises(hifa.HifaError, match="lies outside"):
        gallery.query(world.photo, crop=(9_000, 0, 10, 10))
    with pytest.raises(hifa.HifaError, match="at least one shape"):
        gallery.query(world.photo, top_k=0)


def test_the_pretrained_encoder_answers_without_torch(world: World) -> None:
    program = f"""
import json, sys
import hifa_cli as hifa
hits = hifa.open_gallery({str(world.gallery.path)!r}).query({str(world.photo)!r}, top_k=1)
print(json.dumps([hits[0].shape_id, "torch" in sys.modules, "trimesh" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["round/ball", False, False]


def test_the_command_line_finds_the_same(world: World) -> None:
    from tests.cli.test_cli import hifa as command

    code, out, err = command("query", world.photo, "-g", world.gallery.path, "--json")
    assert code == 0, err
    matches = json.loads(out)["results"][0]["matches"]
    assert answers(world.gallery.query(world.photo)) == [(one["shape"], one["score"]) for one in matches]


def test_shapes_of_the_gallery_steer_a_query(world: World) -> None:
    found = world.gallery.query(world.photo, like="box/cube")
    assert "box/cube" not in [hit.shape_id for hit in found]
    assert answers(found) != [
        one for one in answers(world.gallery.query(world.photo)) if one[0] != "box/cube"
    ]


def test_shapes_alone_are_a_query(world: World) -> None:
    found = world.gallery.query(like=["box/cube"])
    assert found.query == "like box/cube"
    assert "box/cube" not in [one.shape_id for one in found]
    assert "<" in found._repr_html_()
    with pytest.raises(hifa.HifaError, match="top_k is 0"):
        world.gallery.query(None, 0, like="box/cube")


def test_hits_say_how_likely_they_are(world: World) -> None:
    found = world.gallery.query(world.photo)
    assert found.nothing_here in (True, False)
    assert all(one.likelihood is not None and 0 <= one.likelihood <= 1 for one in found)
