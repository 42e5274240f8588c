"""Text formats against Python's own numbers, hand-written files and the oddities that libraries hold."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Polygons, ended, integer, number, numbers_of, parse_obj, parse_stl_text
from hifa_cli.render.polygons import FEW, normal_of, same, triangles, turn
from hifa_cli.render.readers.off import parse_off
from tests.render.shapes import box, obj_text, off_text, soup, stl_text

_POWERS = np.array([10.0**power for power in range(23)])


def content(text: str | bytes) -> NDArray[np.uint8]:
    return np.array(list(text.encode() if isinstance(text, str) else text), dtype=np.uint8)


def parsed(word: str) -> float:
    value, end = number(ended(content(word)), 0, _POWERS)
    assert end == len(word)
    return value


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{!r}", "{:.17g}", "{:.6f}", "{:e}"])
)
@settings(max_examples=400, deadline=None)
def test_numbers_are_pythons_but_for_the_last_places(value: float, form: str) -> None:
    word = form.format(value)
    expected = float(word)
    if 1e-290 < abs(expected) < 1e300 or expected == 0:
        usual = 1e-5 < abs(expected) < 1e22
        assert abs(parsed(word) - expected) <= (2 if usual else 8) * math.ulp(expected)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15))
@settings(max_examples=200, deadline=None)
def test_numbers_of_up_to_15_digits_are_rounded_correctly(digits: int, places: int) -> None:
    word = f"{digits / 1:.0f}"
    sign, word = ("-", word[1:]) if word.startswith("-") else ("", word)
    word = word.rjust(places + 1, "0")
    word = sign + (f"{word[:-places]}.{word[-places:]}" if places else word)
    assert parsed(word) == float(word)


@pytest.mark.parametrize(
    "word", [".5", "5.", "+1", "-0", "1e3", "1E+3", "1.e-3", "00012", "1" * 40, "0." + "1" * 40]
)
def test_every_way_to_write_a_number_is_read(word: str) -> None:
    assert parsed(word) == pytest.approx(float(word), rel=1e-15)


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "inf", "-inf", "x", ".", "-", "e5", "1..2", "1e", "1,5", "0x10", "1.#IND"]
)
def test_what_is_no_finite_number_becomes_not_a_number(word: str) -> None:
    assert math.isnan(parsed(word))


def corner_sets(mesh: Polygons) -> list[NDArray[np.float64]]:
    return [mesh.vertices[face] for face in triangles(mesh)]


@pytest.mark.parametrize(
    "tag",
    [
        "OFF\n",
        "OFF",
        "OFF ",
        "off\n",
        "# made by hand\n\nOFF # so\n# there\n",
        "",
        "\ufeffOFF\r\n",
        "  OFF\t",
    ],
)
def test_off_is_read_however_its_tag_is_written(tag: str) -> None:
    mesh = soup(0, 7)
    found = parse_off(content(off_text(mesh, tag)))
    np.testing.assert_allclose(found.vertices, mesh.vertices, rtol=1e-15)
    np.testing.assert_array_equal(triangles(found), mesh.faces)


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n\n", " # aside\n"])
def test_off_is_read_whatever_ends_its_lines(newline: str) -> None:
    mesh = box()
    found = parse_off(content(off_text(mesh).replace("\n", newline)))
    np.testing.assert_array_equal(triangles(found), mesh.faces)


def test_off_colours_and_normals_are_passed_over() -> None:
    text = """COFF
4 2 0
0 0 0 255 0 0 255
1 0 0 0 255 0 255
1 1 0 0 0 255 255
0 1 0 0 0 0 255
3 0 1 2 0.5 0.5 0.5
3 0 2 3 12
"""
    found = parse_off(content(text))
    np.testing.assert_array_equal(found.vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(triangles(found), [[0, 1, 2], [0, 2, 3]])


def test_off_without_lines_is_read_as_a_row_of_numbers() -> None:
    found = parse_off(content("OFF 3 1 0 0 0 0 1 0 0\n 0 1\n 0 3 0\n 1 2"))
    np.testing.assert_array_equal(found.vertices, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(triangles(found), [[0, 1, 2]])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OFF\n", "no counts"),
        ("hello\n", "not an OFF"),
        ("OFF\n4 2 0\n0.5 0.5 0.5\n1.5 0.5 0.5\n", "only 2 of 4 vertices"),
        ("OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "only 1 of 2 faces"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "only 0 of 1 faces"),
        ("OFF\n99999999999 1 0\n0 0 0\n", "announces"),
        ("OFF\n-3 1 0\n0 0 0\n", "no counts"),
        ("OFF BINARY\n\x00\x00", "its counts are missing"),
        ("4OFF\n1 1 0\n0 0 0 0\n", "only 0 of 1 faces"),
        ("nOFF\n5\n1 1 0\n0 0 0 0 0\n", "OFF of 5 dimensions"),
        ("nOFF BINARY\n\x00\x00", "the kind 'nOFF BINARY'"),
    ],
)
def test_off_that_is_none_or_cut_off_says_so(text: str, reason: str) -> None:
    with pytest.raises(HifaError, match=reason):
        parse_off(content(text))


@given(cut=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_damaged_off_file_is_read_or_refused_but_never_more(cut: float, seed: int) -> None:
    text = content(off_text(box()))
    text = text[: int(cut * len(text))]
    noise = np.random.default_rng(seed)
    if len(text):
        text[noise.integers(0, len(text), 3)] = noise.integers(0, 256, 3)
    try:
        found = parse_off(text)
    except HifaError:
        return
    assert found.starts[-1] == len(found.corners)
    assert len(triangles(found)) <= len(text)


def test_obj_is_read_with_all_its_ways_to_name_a_corner() -> None:
    text = r"""# a square, four times
mtllib not-there.mtl
o thing
v 0 0 0 1.0
v 1 0 0
vt 0.5 0.5
vn 0 0 1
v 1 1 0 0.2 0.3 0.4
v 0 1 0
usemtl red
s off
f 1 2 3
f 1/1 2/1 4/1
f -4//1 -3//1 -2//1
f 1/1/1 \
  3/1/1 4/1/1
l 1 2
p 1
fo 1 2 3
"""
    found = parse_obj(content(text))
    np.testing.assert_array_equal(found.vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(triangles(found), [[0, 1, 2], [0, 1, 3], [0, 1, 2], [0, 2, 3], [0, 1, 2]])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_obj_text_comes_back(newline: str) -> None:
    mesh = soup(2, 9)
    found = parse_obj(content(obj_text(mesh).replace("\n", newline)))
    np.testing.assert_allclose(found.vertices, mesh.vertices, rtol=1e-15)
    np.testing.assert_array_equal(triangles(found), mesh.faces)


def test_a_large_obj_is_counted_first_and_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = content(obj_text(box()) + "f 1 \\\\\\ 2 3\\\n 4\n" * 5)
    small = parse_obj(text)
    monkeypatch.setattr("hifa_cli.render.parsing.SMALL", 0)
    large = parse_obj(text)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_array_equal(one, other)


def test_obj_corners_that_do_not_exist_are_left_out() -> None:
    found = parse_obj(
        content("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nf 1 2 9 3\nf 0 1 2\nf a b c\nf 1 2 -7 3\nf 1 2\n")
    )
    kept = [face for face in triangles(found).tolist() if min(face) >= 0 and max(face) < 3]
    assert kept == [[0, 1, 2]]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_damaged_obj_text_never_reads_or_writes_out_of_bounds(seed: int) -> None:
    noise = np.random.default_rng(seed)
    text = content(obj_text(box()))
    text[noise.integers(0, len(text), 12)] = noise.choice(list(b" \n\r\\/vf-19.e#\0\xff"), 12)
    found = parse_obj(text[: noise.integers(0, len(text) + 1)])
    assert found.starts[-1] == len(found.corners)


def test_stl_text_comes_back_in_either_case() -> None:
    mesh = soup(3, 5)
    expected = mesh.vertices[mesh.faces].reshape(-1, 3)
    for text in (stl_text(mesh), stl_text(mesh).upper(), stl_text(mesh).replace("\n", "\r\n")):
        np.testing.assert_allclose(parse_stl_text(content(text)).vertices, expected, rtol=1e-15)


def test_stl_text_cut_within_a_face_says_so() -> None:
    text = stl_text(soup(3, 5))
    with pytest.raises(HifaError, match="13 corners"):
        parse_stl_text(content(text[: text.rindex("vertex", 0, text.rindex("vertex"))]))


def polygon_area(ring: NDArray[np.float64]) -> float:
    """By the shoelace formula."""
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def area_of_triangles(found: Polygons) -> float:
    corners = found.vertices[triangles(found)]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum() / 2)


def one_polygon(ring: NDArray[np.float64]) -> Polygons:
    vertices = np.column_stack([ring, np.zeros(len(ring))])
    return Polygons(vertices, np.array([0, len(ring)]), np.arange(len(ring)))


@given(
    seed=st.integers(0, 2**32 - 1),
    corners=st.integers(4, 40),
    turn=st.integers(0, 39),
    offset=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=80, deadline=None)
def test_a_polygon_with_dents_is_cut_without_a_gap_or_an_overlap(
    seed: int, corners: int, turn: int, offset: float
) -> None:
    generator = np.random.default_rng(seed)
    angle = np.sort(generator.uniform(0, 2 * np.pi, corners))
    radius = generator.uniform(0.2, 1, corners)
    ring = np.roll(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), turn, axis=0)
    if np.diff(angle, append=angle[0] + 2 * np.pi).max() > 3:
        return  # not a star around the origin
    found = one_polygon(ring + offset)
    assert len(triangles(found)) == corners - 2
    assert area_of_triangles(found) == pytest.approx(polygon_area(ring), rel=1e-6)


def test_a_comb_is_cut_without_a_gap_or_an_overlap() -> None:
    teeth = [(x + d, y) for x in range(0, 20, 2) for d, y in ((0, 0.1), (0, 1), (1, 1), (1, 0.1))]
    ring = np.array([*teeth, (19.0, -1.0), (0.0, -1.0)])
    for way in (ring, ring[::-1]):
        assert area_of_triangles(one_polygon(way)) == pytest.approx(polygon_area(ring))


def test_a_hole_bridged_to_the_rim_stays_a_hole() -> None:
    square = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]
    hole = [(1, 1), (1, 3), (3, 3), (3, 1), (1, 1)]
    found = one_polygon(np.array(square + hole, dtype=np.float64))
    assert area_of_triangles(found) == pytest.approx(12)


def cut_slowly(found: Polygons) -> list[list[int]]:
    """Ears cut off one after the other, every corner looked at for each: the rule as it is written."""
    vertices, ring = found.vertices, found.corners.tolist()
    normal = normal_of(vertices, found.corners)
    faces, place, missed = [], 0, 0
    while len(ring) > 3:
        size = len(ring)
        a, b, c = ring[place - 1], ring[place], ring[(place + 1) % size]
        ear = turn(vertices, a, b, c, normal) > 0 and not any(
            min(turn(vertices, *edge, point, normal) for edge in ((a, b), (b, c), (c, a))) >= 0
            for point in ring
            if not any(same(vertices, point, corner) for corner in (a, b, c))
        )
        if ear or missed >= size:
            faces.append([a, b, c])
            del ring[place]
            place, missed = max(place - 1, 0), 0
        else:
            place, missed = (place + 1) % size, missed + 1
    return [*faces, ring]


@given(
    seed=st.integers(0, 2**32 - 1),
    corners=st.integers(FEW + 1, 3 * FEW),
    crowded=st.booleans(),
    crossing=st.booleans(),
    bent=st.sampled_from([0.0, 0.01]),
    offset=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=40, deadline=None)
def test_many_corners_are_cut_as_by_looking_at_all_of_them(
    seed: int, corners: int, crowded: bool, crossing: bool, bent: float, offset: float
) -> None:
    generator = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(corners) / corners
    radius = generator.uniform(0.2, 1, corners) ** (20 if crowded else 1)
    ring = np.column_stack(
        [radius * np.cos(angle), radius * np.sin(angle), bent * generator.normal(size=corners)]
    )
    if crossing:
        swapped = generator.permutation(corners)[:4]
        ring[swapped] = ring[np.sort(swapped)]
    tilted = ring @ np.linalg.qr(generator.normal(size=(3, 3)))[0] + offset
    found = Polygons(tilted, np.array([0, corners]), np.arange(corners))
    assert triangles(found).tolist() == cut_slowly(found)


def test_holes_bridged_to_a_rim_of_many_corners_stay_holes() -> None:
    angle = 2 * np.pi * np.arange(60) / 60
    rim = np.column_stack([np.cos(angle), np.sin(angle)])
    hole = 0.5 * rim[::-1]
    ring = np.concatenate([rim, rim[:1], hole[-1:], hole])  # to the hole, round it, and back
    found = one_polygon(ring)
    assert len(triangles(found)) == len(ring) - 2
    assert area_of_triangles(found) == pytest.approx(0.75 * polygon_area(rim))


def test_a_polygon_of_fifty_thousand_corners_is_cut_in_seconds() -> None:
    corners = 50_000
    angle = 2 * np.pi * np.arange(corners) / corners
    radius = np.random.default_rng(1).uniform(0.5, 1, corners)
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    began = time.process_time()
    found = one_polygon(ring)
    assert area_of_triangles(found) == pytest.approx(polygon_area(ring))
    assert time.process_time() - began < 30  # compiling counts; looking at all corners takes minutes


def test_a_polygon_that_crosses_itself_everywhere_ends_in_seconds() -> None:
    ring = np.random.default_rng(2).uniform(size=(5_000, 2))
    assert len(triangles(one_polygon(ring))) == len(ring) - 2


@pytest.mark.parametrize("strange", [math.nan, math.inf, 1e200])
def test_coordinates_that_are_no_numbers_leave_polygons_of_many_corners_readable(strange: float) -> None:
    ring = np.random.default_rng(3).uniform(size=(100, 2))
    ring[50] = strange
    assert len(triangles(one_polygon(ring))) == len(ring) - 2


def test_a_convex_polygon_becomes_a_fan() -> None:
    angle = 2 * np.pi * np.arange(7) / 7
    found = one_polygon(np.column_stack([np.cos(angle), np.sin(angle)]))
    assert triangles(found).tolist() == [[0, k, k + 1] for k in range(1, 6)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "-", "+"]), st.integers(0, 20), st.integers(0, 20), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 10**6),
)
@settings(max_examples=200, deadline=None)
def test_numbers_within_a_text_are_read_as_each_is_alone(
    forms: list[tuple[str, int, int, bool]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    words = []
    for sign, before, behind, power in forms:
        digits = "".join(map(str, generator.integers(0, 10, before + behind)))
        point = "." if behind or seed % 2 else ""
        words.append(f"{sign}{digits[:before]}{point}{digits[before:]}{'e-3' if power else ''}" or "nan")
    values, lines = numbers_of(content(generator.choice([" ", "\n", "\t", "\r\n", "  "]).join(words)))
    np.testing.assert_array_equal(values, [parsed(word) for word in words])
    few = [len(word.strip("+-").replace(".", "")) <= 15 and "e" not in word for word in words]
    exact = [
        float(word) if is_few and any(map(str.isdigit, word)) else np.nan
        for word, is_few in zip(words, few, strict=True)
    ]
    np.testing.assert_array_equal(values[np.isfinite(exact)], np.array(exact)[np.isfinite(exact)])
    assert len(lines) >= 1


@given(st.lists(st.integers(-(10**17), 10**18), min_size=1, max_size=30), st.integers(1, 18))
@settings(max_examples=100, deadline=None)
def test_whole_numbers_of_any_length_are_read(numbers: list[int], length: int) -> None:
    shorter = [int(math.copysign(abs(one) % 10**length, one)) for one in numbers]
    text, place = ended(content(" ".join(map(str, shorter)))), 0
    for expected in shorter:
        value, place = integer(text, place)
        assert value == expected
        place += 1
