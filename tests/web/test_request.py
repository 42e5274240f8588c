"""A request is a photo's bytes or a form, and every field is checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hifa_cli.errors import HifaError
from hifa_cli.query.parse import Box
from hifa_cli.web.app import Photo
from hifa_cli.web.request import parse_search
from tests.web.conftest import form


def test_bytes_alone_are_one_photo() -> None:
    photos, wanted, _ = parse_search("top=4&crop=1,2,3,4&class=a&class=b&threshold=0.5", "image/png", b"xyz")
    assert photos == [Photo("photo", b"xyz", Box(1, 2, 3, 4))]
    assert (wanted.top, wanted.classes, wanted.threshold, wanted.fuse) == (4, ("a", "b"), 0.5, False)


@given(contents=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_a_form_gives_every_photo_as_it_was(contents: list[bytes]) -> None:
    sent = [(f"{number}.png", content) for number, content in enumerate(contents)]
    body, kind = form(*sent, top="7", fuse="1", **{"class": "ä"})
    photos, wanted, _ = parse_search("", kind, body)
    assert [(one.name, one.content) for one in photos] == sent
    assert (wanted.top, wanted.fuse, wanted.classes) == (7, True, ("ä",))


def test_shapes_are_named_in_the_form_or_in_the_address() -> None:
    body, kind = form(like=["a/1", ""], unlike="b")
    photos, wanted, _ = parse_search("like=c%2F2", kind, body)
    assert photos == []
    assert (wanted.like, wanted.unlike) == (("a/1", "c/2"), ("b",))


def test_each_photo_of_a_form_has_its_own_crop() -> None:
    body, kind = form(("a", b"1"), ("b", b"2"), crop=["", "1,2,3,4"])
    assert [one.crop for one in parse_search("", kind, body)[0]] == [None, Box(1, 2, 3, 4)]


def test_a_photos_name_has_no_folders() -> None:
    body, kind = form(("../../etc/a%22b.png", b"1"), ("C:\\x\\c.png", b"2"), ("", b"3"))
    assert [one.name for one in parse_search("", kind, body)[0]] == ['a"b.png', "c.png", "photo"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("top=0", "top takes a whole number"),
        ("top=x", "top takes a whole number"),
        ("pictures=1025", "pictures takes pixels from 0 to 1024"),
        ("pictures=x", "pictures takes pixels"),
        ("fuse=maybe", "fuse takes 0, 1, true, false"),
        ("tpo=3", "option 'tpo' does not exist: there are top,"),
        ("threshold=2", "threshold takes a number from -1 to 1"),
        ("threshold=nan", "threshold takes"),
        ("find=thing", "find takes both, kind, part, not 'thing'"),
        ("crop=9", "crop takes x,y,w,h in pixels"),
        ("crop=a,b,c,d", "crop takes x,y,w,h in pixels"),
        ("crop=1,2,3,4&crop=1,2,3,4", "2 crops for 1 photos"),
    ],
)
def test_a_wrong_field_is_named(address: str, said: str) -> None:
    with pytest.raises(HifaError, match=said):
        parse_search(address, "", b"x")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"--a\r\ncut"),
        ("multipart/form-data; boundary=a", b""),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n--a--"),
        ("multipart/form-data; boundary=a", b"--a\r\nX: y\r\n\r\nbody\r\n--a--"),
        ("multipart/form-data; boundary=a", b"--a\r\n" * 2000 + b"--a--"),
    ],
)
def test_a_broken_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(HifaError, match="form"):
        parse_search("", kind, body)
