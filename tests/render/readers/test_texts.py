"""STL, OBJ and OFF as careless programs write them: read whole, or refused with the true reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.readers.stl import FACE, HEAD
from tests.render.readers.test_ply import area
from tests.render.shapes import box, obj_text, off_text, stl_bytes, stl_text
from tests.render.writers import Ply

STL, OBJ, OFF, BINARY = stl_text(box()), obj_text(box()), off_text(box()), stl_bytes(box())
WRITERS = {"stl": STL, "obj": OBJ, "off": OFF}
DRESS: dict[str, Callable[[str], bytes]] = {
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "carriage returns": lambda text: text.replace("\n", "\r").encode(),
    "both line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "tabs": lambda text: text.replace(" ", "\t").encode(),
    "blank lines": lambda text: text.replace("\n", "\n \n\n").encode(),
    "Fortran's exponents": lambda text: text.replace("0.5", "5.0D-01").encode(),
}


def count_of(number: int) -> bytes:
    return BINARY[:80] + np.uint32(number).tobytes() + BINARY[HEAD:]


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("dress", DRESS)
def test_text_in_any_dress_is_a_box(tmp_path: Path, suffix: str, dress: str) -> None:
    (path := tmp_path / f"a.{suffix}").write_bytes(DRESS[dress](WRITERS[suffix]))
    mesh = read_mesh(path)
    assert len(mesh.faces) == 12
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)


@pytest.mark.parametrize("suffix", WRITERS)
def test_decimal_commas_are_named(tmp_path: Path, suffix: str) -> None:
    (path := tmp_path / f"a.{suffix}").write_text(WRITERS[suffix].replace("0.5", "0,5"))
    with pytest.raises(HifaError, match=r"numbers with commas \(-0,5\): write them with decimal points"):
        read_mesh(path)
    path.write_text(WRITERS[suffix].replace("0.5", "0,5", 1))  # one is enough
    with pytest.raises(HifaError, match="commas"):
        read_mesh(path)


@pytest.mark.parametrize("number", [0, 1, 3, 6, 11, 0xFFFFFFFF])
def test_a_wrong_count_of_triangles_costs_none_where_the_size_is_whole(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.stl").write_bytes(count_of(number))
    assert len(read_mesh(tmp_path / "a.stl").faces) == 12


@pytest.mark.parametrize("number", [0, 6, 0xFFFFFFFF])
def test_a_wrong_count_and_no_whole_size_is_refused(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.stl").write_bytes(count_of(number) + b"more")
    with pytest.raises(
        HifaError, match=f"announces {number} triangles, and its .* bytes fit no whole number"
    ):
        read_mesh(tmp_path / "a.stl")


def test_a_count_beyond_the_file_is_refused_as_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(count_of(13))
    with pytest.raises(HifaError, match="cut off: 12 of 13"):
        read_mesh(tmp_path / "a.stl")


@pytest.mark.parametrize("more", [b"\xff" * 50, bytes(200), b"end of the file, " * 25, b"x"])
def test_other_data_behind_the_triangles_is_not_drawn(tmp_path: Path, more: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(BINARY + more)
    assert len(read_mesh(tmp_path / "a.stl").faces) == 12


def test_files_one_after_the_other_are_all_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(BINARY + stl_bytes(box(2, 2, 2)) + BINARY)
    assert len(read_mesh(tmp_path / "a.stl").faces) == 36
    (tmp_path / "b.stl").write_text(STL + stl_text(box(2, 2, 2)))
    assert len(read_mesh(tmp_path / "b.stl").faces) == 24


def test_colours_in_binary_stl_are_passed_over(tmp_path: Path) -> None:
    content = bytearray(stl_bytes(box(), b"solid COLOR=\xff\xff\xff\xff"))
    np.frombuffer(content, dtype=FACE, offset=HEAD)["attributes"][:] = 0x7FFF
    (tmp_path / "a.stl").write_bytes(content)
    assert len(read_mesh(tmp_path / "a.stl").faces) == 12


ONE_LINE = {
    "all in one line": STL.replace("\n", " "),
    "a vertex's three words in three lines": STL.replace("vertex ", "vertex\n"),
    "a face a line": STL.replace("\n", " ").replace("endfacet", "endfacet\n"),
    "capitals": STL.upper().replace("E-", "e-"),
    "a name with words of the format": STL.replace("solid a shape", "solid vertex 1 2 3 endloop"),
    "a line before its name": "# made by hand\n" + STL,
    "no endloop": STL.replace("endloop", ""),
    "no names": STL.replace("a shape", ""),
}


@pytest.mark.parametrize("way", ONE_LINE)
def test_stl_text_is_words_and_not_lines(tmp_path: Path, way: str) -> None:
    (tmp_path / "a.stl").write_text(ONE_LINE[way])
    mesh = read_mesh(tmp_path / "a.stl")
    assert len(mesh.faces) == 12
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)


def test_stl_faces_of_four_corners_are_whole(tmp_path: Path) -> None:
    corners = "".join(f"vertex {x} {y} 0\n" for x, y in ((0, 0), (4, 0), (4, 4), (1, 1)))
    text = f"solid\nfacet normal 0 0 1\nouter loop\n{corners}endloop\nendfacet\n" * 3 + "endsolid\n"
    (tmp_path / "a.stl").write_text(text.replace("solid\nfacet", "facet").replace("facet", "solid\nfacet", 1))
    mesh = read_mesh(tmp_path / "a.stl")
    assert area(mesh.vertices, mesh.faces) == pytest.approx(3 * 8)


def test_an_obj_that_lost_its_line_ends_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(OBJ.replace("\n", " "))
    with pytest.raises(HifaError, match="several vertices or faces in one line"):
        read_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize("words", [("f ", "fo "), ("f ", "F "), ("v ", "V "), ("f ", "FO ")])
def test_obj_keywords_may_be_capitals_and_faces_of_the_old_form(
    tmp_path: Path, words: tuple[str, str]
) -> None:
    (tmp_path / "a.obj").write_text(OBJ.replace(*words))
    mesh = read_mesh(tmp_path / "a.obj")
    assert len(mesh.faces) == 12
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)


@pytest.mark.parametrize(
    "word", ["surf 0 1 0 1 1 2 3 4", "CALL other.obj", "bzp 1 2 3 4", "bsp 1 2", "cdp 1"]
)
@pytest.mark.parametrize("beside", [OBJ, OBJ.split("f ")[0]])
def test_an_obj_of_surfaces_that_are_not_read_names_them(tmp_path: Path, word: str, beside: str) -> None:
    """Curved surfaces and other files would be missing in the picture without a word."""
    (tmp_path / "a.obj").write_text(f"{beside}\n{word}\nend\n")
    with pytest.raises(HifaError, match=rf"has '{word.split()[0].lower()}' statements, which are not read"):
        read_mesh(tmp_path / "a.obj")


def test_words_that_begin_as_those_of_surfaces_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(OBJ + "surface 1\ncallout 2\ns 1\nbspline\nsurf_\n")
    assert len(read_mesh(tmp_path / "a.obj").faces) == 12


def test_an_off_of_four_coordinates_is_divided_by_the_last(tmp_path: Path) -> None:
    head, *rest = OFF.splitlines()
    four = [" ".join(str(2 * float(one)) for one in line.split()) + " 2" for line in rest[1:9]]
    (tmp_path / "a.off").write_text("\n".join(["4" + head, rest[0], *four, *rest[9:], ""]))
    mesh = read_mesh(tmp_path / "a.off")
    np.testing.assert_allclose(mesh.vertices, box().vertices)
    (tmp_path / "a.off").write_text(" ".join(["4" + head, rest[0], *four, *rest[9:], ""]))
    np.testing.assert_allclose(read_mesh(tmp_path / "a.off").vertices, box().vertices)


@pytest.mark.parametrize(("tag", "more"), [("N", " 0 0 1"), ("ST", " 1 1"), ("STN", " 0 0 1 1 1")])
def test_an_off_of_one_line_passes_over_normals_and_texture_places(
    tmp_path: Path, tag: str, more: str
) -> None:
    head, *rest = OFF.splitlines()
    lines = [tag + head, rest[0], *(line + more for line in rest[1:9]), *rest[9:]]
    (tmp_path / "a.off").write_text(" ".join([*lines, ""]))
    mesh = read_mesh(tmp_path / "a.off")
    np.testing.assert_allclose(mesh.vertices, box().vertices)
    assert len(mesh.faces) == 12


def test_an_off_of_one_line_with_colours_is_refused_by_name(tmp_path: Path) -> None:
    head, *rest = OFF.splitlines()
    lines = ["C" + head, rest[0], *(line + " 1 1 1" for line in rest[1:9]), *rest[9:]]
    (tmp_path / "a.off").write_text(" ".join([*lines, ""]))
    with pytest.raises(HifaError, match="is COFF whose vertices share lines: give each one its own"):
        read_mesh(tmp_path / "a.off")


@pytest.mark.parametrize(("space", "more"), [(2, ""), (3, ""), (4, " 1")])
def test_an_off_of_other_dimensions_is_read_where_space_has_them(
    tmp_path: Path, space: int, more: str
) -> None:
    head, *rest = OFF.splitlines()
    points = [" ".join(line.split()[:space]) + more for line in rest[1:9]]
    (tmp_path / "a.off").write_text("\n".join(["n" + head, str(space), rest[0], *points, *rest[9:], ""]))
    if space > 3:
        with pytest.raises(HifaError, match="is OFF of 4 dimensions: only those of space are read"):
            read_mesh(tmp_path / "a.off")
    else:
        sides = np.ptp(read_mesh(tmp_path / "a.off").vertices, axis=0)
        np.testing.assert_allclose(sides, [1, 1, 1 if space == 3 else 0])


def binary_off(tag: bytes = b"OFF BINARY\n", width: int = 3, colours: int = 0, faces: int = 12) -> bytes:
    points = np.ones((8, width))
    points[:, :3] = box().vertices
    tail = np.ones(colours, ">f4").tobytes()
    rows = [np.array([3, *face, colours], ">i4").tobytes() + tail for face in box().faces]
    head = np.array([8, faces, 0], ">i4").tobytes()
    return tag + head + points.astype(">f4").tobytes() + b"".join(rows)


@pytest.mark.parametrize(
    ("tag", "width", "colours"),
    [
        (b"OFF BINARY\n", 3, 0),
        (b"OFF BINARY\r\n", 3, 3),
        (b"CNOFF BINARY\n", 10, 4),
        (b"STOFF BINARY\n", 5, 1),
        (b"4OFF BINARY\n", 4, 0),
    ],
)
def test_binary_off_is_read(tmp_path: Path, tag: bytes, width: int, colours: int) -> None:
    (tmp_path / "a.off").write_bytes(binary_off(tag, width, colours))
    mesh = read_mesh(tmp_path / "a.off")
    np.testing.assert_allclose(mesh.vertices, box().vertices)
    np.testing.assert_array_equal(mesh.faces, box().faces)


def test_binary_off_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = binary_off()
    for end in (len(content) - 1, len(content) // 2, 60, 20):
        (tmp_path / "a.off").write_bytes(content[:end])
        with pytest.raises(HifaError, match="is cut off"):
            read_mesh(tmp_path / "a.off")
    (tmp_path / "a.off").write_bytes(binary_off(faces=11))
    with pytest.raises(HifaError, match="has more than the 8 vertices and 11 faces that it announces"):
        read_mesh(tmp_path / "a.off")


NOISE = np.random.default_rng(7).integers(0, 256, 20_000, dtype=np.uint8).tobytes()


@pytest.mark.parametrize("size", [40, 50, 83, 84, 100, 500, 1_000, 20_000])
@pytest.mark.parametrize("ending", ["stl", "obj", "glb", "gltf", "off", "ply", "dae"])
def test_bytes_of_anything_are_said_to_be_no_mesh(tmp_path: Path, ending: str, size: int) -> None:
    (path := tmp_path / f"a.{ending}").write_bytes(NOISE[:size])
    with pytest.raises(HifaError) as caught:
        read_mesh(path)
    reason = str(caught.value).removeprefix(f"{path}: ")
    assert reason.startswith(("is not ", "cannot be read as ")), reason


def test_a_binary_stl_that_is_cut_off_is_called_so_however_little_is_left(tmp_path: Path) -> None:
    for size in (HEAD + 40, HEAD + 50, HEAD + 170, len(BINARY) - 1):
        (tmp_path / "a.stl").write_bytes(BINARY[:size])
        with pytest.raises(HifaError, match="cut off"):
            read_mesh(tmp_path / "a.stl")


def test_an_off_that_lost_its_line_ends_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(OFF.replace("\n", " "))
    assert len(read_mesh(tmp_path / "a.off").faces) == 12


@pytest.mark.parametrize("counts", ["8 6 0", "8 0 0", "7 12 0"])
def test_an_off_that_goes_on_behind_its_end_is_refused(tmp_path: Path, counts: str) -> None:
    (tmp_path / "a.off").write_text(OFF.replace("8 12 0", counts))
    with pytest.raises(HifaError, match=r"has more than the|cut off or damaged"):
        read_mesh(tmp_path / "a.off")


@pytest.mark.parametrize("suffix", ["stl", "obj", "off"])
def test_mostly_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    """Seven of eight vertices have lost their last number to a typing error."""
    words = WRITERS[suffix].replace("-0.5", "-O.5")
    (tmp_path / f"a.{suffix}").write_text(words)
    with pytest.raises(
        HifaError, match=r"triangles have corners that are (missing|not numbers)|no face that spans"
    ):
        read_mesh(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["obj", "off", "ply"])
def test_polygons_of_vertices_that_are_missing_are_damage_and_no_cloud_of_points(
    tmp_path: Path, suffix: str
) -> None:
    quads = [[0, 1, 3, 99]] * 4 + [[0, 1, 3, 2]]
    contents = {
        "ply": Ply().bytes_of(box().vertices, quads).decode(),
        "obj": OBJ.split("f ")[0] + "".join(f"f {a + 1} {b + 1} {c + 1} {d + 1}\n" for a, b, c, d in quads),
        "off": OFF.split("\n3 ")[0].replace("8 12 0", "8 5 0")
        + "".join(f"\n4 {a} {b} {c} {d}" for a, b, c, d in quads),
    }
    (tmp_path / f"a.{suffix}").write_text(contents[suffix])
    with pytest.raises(HifaError, match="damaged: 4 of 6 triangles have corners that are missing"):
        read_mesh(tmp_path / f"a.{suffix}")


def test_a_text_that_is_no_mesh_is_not_called_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_text("Dear customer, the model that you asked for is not available. " * 5)
    with pytest.raises(HifaError, match="is not an STL: it has no vertices, neither in text nor in binary"):
        read_mesh(tmp_path / "a.stl")


@pytest.mark.parametrize("suffix", ["obj", "off"])
def test_a_damaged_number_is_refused_where_a_face_uses_it(tmp_path: Path, suffix: str) -> None:
    vertices = ["0 0 0", "1 0 0", "1 1 0", "0 1 0", "0 0 1", "5 5 5"]
    faces = ["0 1 2", "0 2 3", "0 1 4", "1 2 4"]

    def text(damaged: int, said: str) -> str:
        points = [said if number == damaged else one for number, one in enumerate(vertices)]
        if suffix == "off":
            return "\n".join(["OFF", "6 4 0", *points, *(f"3 {one}" for one in faces), ""])
        named = [" ".join(str(int(word) + 1) for word in one.split()) for one in faces]
        return "\n".join([*(f"v {one}" for one in points), *(f"f {one}" for one in named), ""])

    path = tmp_path / f"a.{suffix}"
    path.write_text(text(4, "0 0 -0.:999"))
    with pytest.raises(HifaError, match="is damaged: 2 of 4 triangles have corners that are not numbers"):
        read_mesh(path)
    path.write_text(text(5, "5 5 -0.:999"))  # no face uses it
    assert len(read_mesh(path).faces) == 4
    path.write_text(text(4, "0 0 nan"))  # a program wrote that it is none
    assert len(read_mesh(path).faces) == 2
