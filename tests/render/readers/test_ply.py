"""PLY in every dress that real files wear."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.parsing import Polygons
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers import ply
from tests.render.shapes import box
from tests.render.writers import Ply

FORMS = ("ascii", "binary_little_endian", "binary_big_endian")
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
RING = np.array([[0, 0, 0], [6, 0, 0], [6, 6, 0], [0, 6, 0], [0, 4, 0], [4, 4, 0], [4, 2, 0], [0, 2, 0.0]])


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def read(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    path.write_bytes(content)
    return ply.read(path)


@st.composite
def soups(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]]]:
    count = draw(st.integers(3, 12))
    numbers = st.floats(-1e6, 1e6, width=32)
    vertices = draw(st.lists(st.tuples(numbers, numbers, numbers), min_size=count, max_size=count))
    polygon = st.lists(st.integers(0, count - 1), min_size=3, max_size=7)
    return np.array(vertices), draw(st.lists(polygon, min_size=1, max_size=8))


@settings(max_examples=150, deadline=None)
@given(
    soup=soups(),
    form=st.sampled_from(FORMS),
    newline=st.sampled_from(("\n", "\r\n", "\r")),
    axes=st.sampled_from(("float", "double", "float32", "float64")),
    length=st.sampled_from(("uchar", "char", "ushort", "int", "uint32")),
    corner=st.sampled_from(("int", "uint", "short", "uint8", "float", "double")),
    extra=st.booleans(),
    name=st.sampled_from(("vertex_indices", "vertex_index", "corners")),
)
def test_any_polygons_in_any_encoding_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    soup: tuple[np.ndarray, list[list[int]]],
    form: str,
    newline: str,
    axes: str,
    length: str,
    corner: str,
    extra: bool,
    name: str,
) -> None:
    if name == "corners" and (extra or corner in ("float", "double")):
        name = "vertex_indices"  # another name is taken for one only where there is a single list of integers
    vertices, polygons = soup
    content = Ply(form, newline, axes, length, corner, extra, name=name).bytes_of(vertices, polygons)
    found, faces = read(tmp_path_factory.getbasetemp() / "soup.ply", content)
    np.testing.assert_allclose(found, vertices, rtol=1e-15, atol=0)
    starts = np.cumsum([0, *(len(polygon) for polygon in polygons)])
    expected = triangles(Polygons(found, starts, np.concatenate(polygons)))
    np.testing.assert_array_equal(faces, expected)


@pytest.mark.parametrize("form", FORMS)
def test_strips_become_triangles(tmp_path: Path, form: str) -> None:
    strips = [[0, 1, 2, 3], [4, 5, 6], [0, 1], [2, 3, 4, 5, 6]]
    content = Ply(form, length="int", strips=True).bytes_of(box().vertices, strips)
    _, faces = read(tmp_path / "a.ply", content)
    expected = [[0, 1, 2], [2, 1, 3], [4, 5, 6], [2, 3, 4], [4, 3, 5], [4, 5, 6]]
    np.testing.assert_array_equal(faces, expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "end"), [("uchar", 255), ("ushort", 65535), ("uint", 4294967295), ("short", -1)]
)
def test_strips_of_numbers_without_a_sign_end_with_the_largest(
    tmp_path: Path, form: str, kind: str, end: int
) -> None:
    content = Ply(form, length="int", corner=kind).bytes_of(box().vertices, [[0, 1, 2, 3, end, 4, 5, 6, end]])
    path = tmp_path / "a.ply"
    path.write_bytes(content.replace(b"element face", b"element tristrips"))
    mesh = read_mesh(path)
    assert len(mesh.faces) == 3
    assert mesh.remark == ""


@pytest.mark.parametrize("form", FORMS)
def test_concave_polygons_are_not_filled_in(tmp_path: Path, form: str) -> None:
    vertices, faces = read(tmp_path / "a.ply", Ply(form).bytes_of(RING, [[*range(8)]]))
    assert area(vertices, faces) == pytest.approx(36 - 8)


SAME = {
    "blank lines": lambda text: text.replace(b"\n", b"\n\n  \n\n").replace(
        b"end_header\n\n  \n", b"end_header\n"
    ),
    "bytes after the end": lambda text: text + b"bye",
    "no end of the last line": lambda text: text.rstrip(),
    "numbers that no property has": lambda text: text.replace(b"\n4 ", b"\n 4 ").replace(
        b"0.5\n", b"0.5 99\n"
    ),
    "all in one line": lambda text: (
        text.split(b"end_header\n")[0] + b"end_header\n" + text.split(b"end_header\n")[1].replace(b"\n", b" ")
    ),
    "capitals": lambda text: text.replace(b"element vertex", b"element Vertex").replace(
        b"double x", b"double X"
    ),
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "utf-16 without a mark": lambda text: text.decode().encode("utf-16-be"),
    "tabs": lambda text: text.replace(b" ", b"\t"),
    "Fortran's exponents": lambda text: text.replace(b"0.5", b"5.0D-1"),
}


@pytest.mark.parametrize("way", SAME)
def test_text_in_trouble_is_a_box_all_the_same(tmp_path: Path, way: str) -> None:
    (tmp_path / "a.ply").write_bytes(SAME[way](Ply().bytes_of(box().vertices, QUADS)))
    mesh = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, box().vertices)
    assert len(mesh.faces) == 12


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_binary_body_may_begin_with_a_line_feed_and_be_followed(tmp_path: Path, form: str) -> None:
    """The first property is a byte, here 10: LF. A header in CR alone ends before it."""
    header = Ply(form, "\r", extra=True).bytes_of(box().vertices, QUADS)
    begin = header.index(b"end_header\r") + len(b"end_header\r")
    vertices, faces = read(tmp_path / "a.ply", header[:begin] + b"\n" + header[begin + 1 :] + bytes(8))
    np.testing.assert_array_equal(vertices, box().vertices)
    assert len(faces) == 12


def test_faces_may_come_before_vertices(tmp_path: Path) -> None:
    text = (
        "ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int vertex_index\nelement vertex 3\n"
        "property float z\nproperty float x\nproperty float y\nend_header\n3 0 1 2\n9 0 0\n9 1 0\n9 0 1\n"
    )
    with pytest.raises(HifaError, match="more records of 'vertex'"):
        read(tmp_path / "a.ply", text.replace("3 0 1 2\n9", "3 0 1 2\n3 0 1 2\n9").encode())
    vertices, faces = read(tmp_path / "a.ply", text.encode())
    np.testing.assert_array_equal(vertices, [[0, 0, 9], [1, 0, 9], [0, 1, 9]])
    np.testing.assert_array_equal(faces, [[0, 1, 2]])


TEXT = Ply().bytes_of(box().vertices, QUADS)
BINARY = Ply("binary_little_endian").bytes_of(box().vertices, QUADS)
REFUSED = {
    "cut in its vertices": (
        TEXT[: TEXT.index(b"-0.5 0.5 0.5")],
        "cut off or damaged: 3 of 8 records of 'vertex'",
    ),
    "cut in its faces": (TEXT[:-20], "records of 'face' can be read"),
    "a vertex of two numbers": (TEXT.replace(b"-0.5 0.5 0.5", b"-0.5 0.5"), "cut off or damaged"),
    "binary that is cut": (BINARY[:-9], "cut off or damaged: 5 of 6 records of 'face'"),
    "more vertices than bytes": (BINARY.replace(b"vertex 8", b"vertex 99999999999"), "cut off"),
    "more faces than bytes": (BINARY.replace(b"face 6", b"face 9999999999"), "cut off"),
    "fewer faces in the header": (TEXT.replace(b"face 6", b"face 3"), "more records of 'face' than the 3"),
    "fewer faces in a binary header": (
        BINARY.replace(b"face 6", b"face 3"),
        "more records of 'face' than the 3",
    ),
    "points": (Ply().bytes_of(box().vertices, []), "points but no faces"),
    "nothing": (Ply().bytes_of(np.empty((0, 3)), []), "no vertices"),
    "nothing in binary": (Ply(FORMS[2]).bytes_of(np.empty((0, 3)), []), "no vertices"),
    "no y": (TEXT.replace(b"double y", b"double why"), "without x, y and z"),
    "no list": (TEXT.replace(b"list uchar int vertex_indices", b"int first"), "without a list of vertices"),
    "no end of its header": (TEXT.replace(b"end_header", b"end_head"), "has no end"),
    "an unknown type": (TEXT.replace(b"double x", b"quad x"), "unknown type: 'property quad x'"),
    "an unknown format": (TEXT.replace(b"ascii", b"morse"), "unknown format: 'format morse"),
    "an unknown count": (TEXT.replace(b"vertex 8", b"vertex eight"), "without a count"),
    "decimal commas": (TEXT.replace(b"0.5", b"0,5"), r"commas \(-0,5\)"),
}


@pytest.mark.parametrize("trouble", REFUSED)
def test_what_cannot_be_drawn_whole_is_refused_with_the_true_reason(tmp_path: Path, trouble: str) -> None:
    content, reason = REFUSED[trouble]
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(HifaError, match=reason):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8, 0.97])
def test_a_file_that_is_cut_off_is_never_drawn(tmp_path: Path, form: str, kept: float) -> None:
    content = Ply(form, extra=True).bytes_of(box().vertices, [*QUADS, [0, 1, 2]])
    (tmp_path / "a.ply").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(HifaError, match=r"a\.ply: "):
        read_mesh(tmp_path / "a.ply")


def test_a_bad_corner_costs_its_face_only(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(Ply().bytes_of(box().vertices, [*QUADS, [0, 1, 99], [0, 1, -1, 2]]))
    assert len(read_mesh(tmp_path / "a.ply").faces) == 12


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("length", ["float", "double"])
def test_lists_counted_by_reals_are_lists(tmp_path: Path, form: str, length: str) -> None:
    (tmp_path / "a.ply").write_bytes(Ply(form, length=length).bytes_of(box().vertices, QUADS))
    mesh = read_mesh(tmp_path / "a.ply")
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)
    mixed = [*QUADS[:3], *box().faces.tolist()[6:]]
    (tmp_path / "a.ply").write_bytes(Ply(form, length=length, extra=True).bytes_of(box().vertices, mixed))
    mesh = read_mesh(tmp_path / "a.ply")
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)


@pytest.mark.parametrize("count", [2.5, -1.0, float("nan"), float("inf"), 1e30])
def test_a_list_of_no_whole_number_of_corners_is_refused(tmp_path: Path, count: float) -> None:
    content = Ply("binary_little_endian", length="float").bytes_of(box().vertices, QUADS)
    three = np.float32(4).tobytes()
    (tmp_path / "a.ply").write_bytes(
        content[::-1].replace(three[::-1], np.float32(count).tobytes()[::-1], 1)[::-1]
    )
    with pytest.raises(HifaError, match="cut off or damaged: 5 of 6 records of 'face'"):
        read_mesh(tmp_path / "a.ply")
