"""VRML 97: a scene is drawn whole, as its specification says, or refused by the name of what is not read."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.readers.vrml_parser import MOST_DEPTH
from hifa_cli.render.views import up_axis
from tests.render.readers.foreign import vrml_text
from tests.render.readers.test_ply import RING, area

HEAD = "#VRML V2.0 utf8\n"


def read(tmp_path: Path, text: str | bytes) -> Mesh:
    path = tmp_path / "a.wrl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_mesh(path)


def sides(mesh: Mesh) -> list[float]:
    return [round(float(side), 4) for side in np.ptp(mesh.vertices, axis=0)]


def shape(geometry: str) -> str:
    return f"Shape {{ geometry {geometry} }}\n"


def refused(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(HifaError) as caught:
        read(tmp_path, text)
    reason = str(caught.value).removeprefix(f"{tmp_path / 'a.wrl'}: ")
    assert "\n" not in reason
    return reason


DRESS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "carriage returns": lambda text: text.replace("\n", "\r").encode(),
    "one line but the first": lambda text: text.replace("\n", " ").replace("utf8 ", "utf8\n", 1).encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "comments": lambda text: text.replace("coordIndex [", "coordIndex\n#[\n[ # 9 9 9 ]\n").encode(),
    "no last -1": lambda text: text.replace("-1 ]", "]").encode(),
    "commas alone": lambda text: text.replace(" -1 ", ",-1,").encode(),
    "other fields": lambda text: text.replace(
        "coordIndex", "creaseAngle 0.5 solid FALSE color NULL texCoordIndex [] coordIndex"
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("dress", DRESS)
def test_a_box_is_a_box_in_any_dress(tmp_path: Path, dress: str) -> None:
    mesh = read(tmp_path, DRESS[dress](vrml_text()))
    assert sides(mesh) == [2, 2, 3]
    assert len(mesh.faces) == 12
    assert float(mesh.vertices[:, 0].min()) == 5
    assert mesh.remark == ""
    assert up_axis(tmp_path / "a.wrl", RenderConfig()) == "y"


def test_what_no_view_shows_is_passed_over(tmp_path: Path) -> None:
    others = """
    WorldInfo { title "a } \\" { Shape" info [ "x", "y" ] }
    Material { } Coordinate { point [ 1 2 3 ] }
    NavigationInfo { type [ "EXAMINE" "ANY" ] headlight TRUE speed 2 }
    DEF view-1 Viewpoint { position 0 0 10 description "front" }
    Background { skyColor [ 0 0 0, 1 1 1 ] skyAngle 1.5 }
    DEF clock TimeSensor { cycleInterval 4 loop TRUE }
    DEF way PositionInterpolator { key [ 0 1 ] keyValue [ 0 0 0, 9 9 9 ] }
    DEF s Script { eventIn SFTime go eventOut SFVec3f moved field SFNode other USE clock
      field MFString list [ "a" "b" ] field SFBool on TRUE directOutput TRUE
      url "javascript: function go() { }" }
    ROUTE clock.fraction_changed TO way.set_fraction
    Shape { appearance Appearance { material DEF red Material { diffuseColor 1 0 0 }
      texture PixelTexture { image 2 1 3 0xFF0000 0x00ff00 } textureTransform TextureTransform { scale 2 2 } }
      geometry IndexedLineSet { coord Coordinate { point [ 0 0 0, 90 0 0 ] } coordIndex [ 0 1 ] } }
    """
    mesh = read(tmp_path, vrml_text(others))
    assert sides(mesh) == [2, 2, 3]
    assert len(mesh.faces) == 12


def test_transforms_move_turn_and_scale_about_their_centre(tmp_path: Path) -> None:
    half = math.pi / 2
    inner = f"Transform {{ rotation 0 0 1 {half} center 1 0 0 children {shape('Box { size 2 4 6 }')} }}"
    mesh = read(tmp_path, f"{HEAD}Transform {{ translation 0 0 7 scale 1 1 2 children [ {inner} ] }}")
    assert sides(mesh) == [4, 2, 12]
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), [1, -1, 7], atol=1e-12)
    skewed = (
        f"Transform {{ scale 3 1 1 scaleOrientation 0 0 1 {half} children {shape('Box { size 1 1 1 }')} }}"
    )
    assert sides(read(tmp_path, HEAD + skewed)) == [1, 3, 1]


def test_every_use_of_a_name_is_drawn(tmp_path: Path) -> None:
    text = f"""{HEAD}DEF one Transform {{ translation 4 0 0 children DEF b {shape("Box { }")} }}
    Transform {{ translation 0 9 0 children [ USE one, USE b ] }}"""
    mesh = read(tmp_path, text)
    assert len(mesh.faces) == 36
    assert sides(mesh) == [6, 11, 2]


def test_groups_show_their_children_and_choices_what_they_say(tmp_path: Path) -> None:
    small, large = shape("Box { size 1 1 1 }"), shape("Box { size 9 9 9 }")
    for group in ("Group", "Anchor", "Billboard", "Collision"):
        assert sides(read(tmp_path, f"{HEAD}{group} {{ children [ {small} ] }}")) == [1, 1, 1]
    assert sides(read(tmp_path, f"{HEAD}Collision {{ children {small} proxy {large} }}")) == [1, 1, 1]
    assert sides(read(tmp_path, f"{HEAD}LOD {{ range [ 5 ] level [ {small} {large} ] }}")) == [1, 1, 1]
    switch = f"{HEAD}Switch {{ choice [ {large} {small} ] whichChoice 1 }}"
    assert sides(read(tmp_path, switch)) == [1, 1, 1]
    hidden = f"{HEAD}Switch {{ choice [ {large} ] }} {small}"  # -1: none
    assert sides(read(tmp_path, hidden)) == [1, 1, 1]
    assert "shows no faces" in refused(tmp_path, f"{HEAD}Switch {{ choice [ {large} ] }}")


BODIES = {
    "Box { }": ([2, 2, 2], 24.0, 8.0),
    "Sphere { radius 2 }": ([4, 4, 4], 16 * math.pi, 32 / 3 * math.pi),
    "Cylinder { radius 2 height 3 }": ([4, 3, 4], 20 * math.pi, 12 * math.pi),
    "Cylinder { radius 2 height 3 top FALSE bottom FALSE }": ([4, 3, 4], 12 * math.pi, 0),
    "Cone { bottomRadius 3 height 4 }": ([6, 4, 6], 24 * math.pi, 12 * math.pi),
    "Cone { bottomRadius 3 height 4 side FALSE }": ([6, 0, 6], 9 * math.pi, 0),
    "Extrusion { }": ([2, 1, 2], 16.0, 4.0),
    "Extrusion { beginCap FALSE endCap FALSE }": ([2, 1, 2], 8.0, 0),
    "Extrusion { spine [ 0 0 0, 5 0 0 ] scale [ 1 1, 2 2 ] }": ([5, 4, 4], 0, 5 * (4 + 8 + 16) / 3),
    "Extrusion { spine [ 0 0 0, 0 3 0 ] orientation [ 0 1 0 0, 0 1 0 1.5707963 ] }": ([2, 3, 2], 0, 0),
    "Extrusion { crossSection [1 0, 0 -1, -1 0, 0 1, 1 0] spine [4 0 0, 0 0 -4, -4 0 0, 0 0 4, 4 0 0] }": (
        [10, 2, 10], 0, 0),
    "ElevationGrid { xDimension 3 zDimension 2 xSpacing 2 zSpacing 5 height [ 0 0 0 1 1 1 ] }": (
        [4, 1, 5], 4 * math.sqrt(26), 0),
}  # fmt: skip


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("body", BODIES)
def test_bodies_have_their_measures(tmp_path: Path, body: str) -> None:
    extent, surface, content = BODIES[body]
    mesh = read(tmp_path, HEAD + shape(body))
    np.testing.assert_allclose(sides(mesh), extent, rtol=0.01, atol=0.05)
    if surface:
        assert area(mesh.vertices, mesh.faces) == pytest.approx(surface, rel=0.02)
    if content:  # faces look outwards
        assert volume(mesh) == pytest.approx(content, rel=0.03)


def test_an_extrusion_keeps_its_outline_upright_to_its_way(tmp_path: Path) -> None:
    """A way in the plane of x and y: the outline's z is along z everywhere, its size unchanged."""
    way = ", ".join(f"{5 * math.sin(a)} {5 * math.cos(a)} 0" for a in np.linspace(0, math.pi, 40))
    mesh = read(tmp_path, f"{HEAD}{shape('Extrusion { spine [ ' + way + ' ] }')}")
    radii = np.linalg.norm(mesh.vertices[:, :2], axis=1)
    assert radii.min() == pytest.approx(4, abs=0.02)
    assert radii.max() == pytest.approx(6, abs=0.02)
    assert sides(mesh)[2] == 2
    assert abs(volume(mesh)) == pytest.approx(4 * math.pi * 5, rel=0.01)


def test_concave_faces_are_not_filled_in(tmp_path: Path) -> None:
    points = ", ".join(" ".join(map(str, one)) for one in RING.tolist())
    ring = " ".join(map(str, range(len(RING))))
    face = (
        f"IndexedFaceSet {{ convex FALSE coord Coordinate {{ point [ {points} ] }} coordIndex [ {ring} ] }}"
    )
    mesh = read(tmp_path, HEAD + shape(face))
    turned = np.roll(RING, -1, axis=0)
    exact = float(np.linalg.norm(np.cross(RING, turned).sum(axis=0)) / 2)
    assert area(mesh.vertices, mesh.faces) == pytest.approx(exact)


def test_clockwise_faces_are_turned_round(tmp_path: Path) -> None:
    straight, other = read(tmp_path, vrml_text()), read(tmp_path, vrml_text(more="ccw FALSE"))
    assert volume(other) == pytest.approx(-volume(straight))


PROTOTYPE = """PROTO Block [ field SFVec3f size 1 1 1 exposedField SFVec3f place 0 0 0 eventIn SFTime go
  field MFNode more [ ] field SFNode inside Box { size 5 5 5 } ]
{ Transform { translation IS place
    children [ Shape { geometry DEF b Box { size IS size } } Group { children IS more } ] }
  Shape { geometry Sphere { radius 99 } } }
"""


def test_prototypes_stand_for_their_first_node(tmp_path: Path) -> None:
    mesh = read(tmp_path, HEAD + PROTOTYPE + "Block { }")
    assert sides(mesh) == [1, 1, 1]
    mesh = read(tmp_path, HEAD + PROTOTYPE + "Block { size 1 2 3 place 4 0 0 }")
    assert sides(mesh) == [1, 2, 3]
    assert float(mesh.vertices[:, 0].mean()) == pytest.approx(4)
    both = "Block { size IS s } Block { place 9 0 0 }"
    nested = f"PROTO Two [ field SFVec3f s 1 1 1 ] {{ Group {{ children [ {both} ] }} }}"
    assert sides(read(tmp_path, f"{HEAD}{PROTOTYPE}{nested} Two {{ s 1 4 1 }}")) == [10, 4, 1]
    given = "Block { size 1 1 1 more [ Shape { geometry Box { size 7 7 7 } } ] }"
    assert sides(read(tmp_path, HEAD + PROTOTYPE + given)) == [7, 7, 7]


def test_what_a_prototype_is_given_belongs_to_who_gives_it(tmp_path: Path) -> None:
    inner = "PROTO A [ field MFNode c [ ] field SFVec3f s 8 8 8 ] { Group { children IS c } }"
    outer = f"PROTO B [ field SFVec3f s 1 1 1 ] {{ A {{ c {shape('Box { size IS s }')} }} }}"
    assert sides(read(tmp_path, f"{HEAD}{inner} {outer} B {{ s 1 2 3 }}")) == [1, 2, 3]


def test_prototypes_stand_for_geometry_and_coordinates(tmp_path: Path) -> None:
    body = "PROTO Cube [ field SFFloat s 1 ] { Cylinder { radius IS s } } Shape { geometry Cube { s 3 } }"
    assert sides(read(tmp_path, HEAD + body)) == [6, 2, 6]
    points = "PROTO P [ field MFVec3f p [ ] ] { Coordinate { point IS p } }"
    face = "IndexedFaceSet { coord P { p [ 0 0 0, 2 0 0, 0 3 0 ] } coordIndex [ 0 1 2 ] }"
    assert sides(read(tmp_path, HEAD + points + shape(face))) == [2, 3, 0]


def test_text_is_left_out_and_said(tmp_path: Path) -> None:
    mesh = read(tmp_path, vrml_text(shape('Text { string [ "hello" ] fontStyle FontStyle { size 2 } }')))
    assert mesh.remark == "drawn without its texts, which do not belong to a shape"
    assert sides(mesh) == [2, 2, 3]


def test_a_face_with_a_corner_that_is_missing_costs_itself_and_is_said(tmp_path: Path) -> None:
    mesh = read(tmp_path, vrml_text(corners="0 1 3 2 -1 4 6 7 5 -1 0 4 5 1 -1 2 3 99 6 -1"))
    assert len(mesh.faces) == 6
    assert "drawn without 1 of its 7 triangles" in mesh.remark
    mesh = read(tmp_path, vrml_text().replace("1 2 3 ]", "1 nan 3 ]"))
    assert len(mesh.faces) == 6
    assert "drawn without" in mesh.remark


REFUSED = {
    "VRML 1": ("#VRML V1.0 ascii\nSeparator { Cube { } }", "is VRML V1.0 ascii: only VRML 97"),
    "an inline": (vrml_text('Inline { url "../secret.wrl" }'), "in another file by Inline (../secret.wrl)"),
    "an unknown node": (vrml_text("NurbsSurface { uDimension 4 }"), "has the VRML node NurbsSurface, which"),
    "unknown geometry": (vrml_text(shape("TriangleSet { }")), "has the VRML node TriangleSet, which"),
    "other coordinates": (
        vrml_text(shape("IndexedFaceSet { coord GeoCoordinate { } }")), "node GeoCoordinate"),
    "an external prototype": (
        vrml_text('EXTERNPROTO Ext [ field SFVec3f size ] [ "a.wrl#Ext" ] Ext { size 1 2 3 }'),
        "node Ext, which"),
    "a name of nothing": (vrml_text("USE nothing"), "uses a node that it does not name before ('nothing')"),
    "a name within itself": (vrml_text("DEF g Group { children USE g }"), "does not name before ('g')"),
    "points alone": (
        HEAD + shape("PointSet { coord Coordinate { point [ 0 0 0 ] } }"), "points or lines but no"),
    "texts alone": (HEAD + shape('Text { string "a" }'), "has texts but no faces"),
    "geometry of no shape": (vrml_text("Box { }"), "has the VRML node Box outside of a Shape"),
    "nothing": (HEAD + "WorldInfo { }", "is empty: its scene shows no faces"),
    "an odd number": (vrml_text().replace("1 2 3 ]", "1 2 ]"), "has a point of 23 numbers, not of 3 each"),
    "a short transform": (vrml_text("Transform { scale 1 2 children [ ] }"), "its scale is not 3 numbers"),
    "decimal commas": (
        HEAD + shape("IndexedFaceSet { coord Coordinate { point [ 0,5 0,0 1,0 2,5 1,0 0,0 1,5 1,5 1,5 ] } "
                     "coordIndex [ 0 1 2 ] }"), "has numbers with commas (0,5)"),
    "a missing bracket": (
        vrml_text().replace("coordIndex [", "coordIndex ("), "line 5 has something else than"),
    "numbers among nodes": (vrml_text("Group { children [ 1 2 Group { } ] }"), "than a list of one kind"),
    "nodes among numbers": (vrml_text("Group { children [ Group { } 1 2 ] }"), "than a list of one kind"),
    "lists in lists": (
        vrml_text("Group { children " + "[" * 5_000 + "]" * 5_000 + " }"), "which has no lists in it"),
    "an inline of a node": (vrml_text("Inline { url [ Group { } ] }"), "in another file by Inline ()"),
    "a huge number": (
        vrml_text(shape(f"Sphere {{ radius 0x{'F' * 400} }}")), "its radius is not 1 numbers"),
    "heights": (HEAD + shape("ElevationGrid { xDimension 3 zDimension 3 height [ 1 2 ] }"), "has 2 heights"),
    "a deep scene": (
        HEAD + "Group { children [ " * (MOST_DEPTH + 1) + "] } " * (MOST_DEPTH + 1), "nested deeper than"),
    "prototypes without end": (
        HEAD + "PROTO P0 [ field SFVec3f s 1 1 1 ] { Shape { geometry Box { size IS s } } }\n"
        + "".join(f"PROTO P{n} [ field SFVec3f s 1 1 1 ] {{ P{n-1} {{ s IS s }} }}\n" for n in range(1, 999))
        + "P998 { }", "prototypes nested deeper than"),
    "a text without end": (HEAD + 'WorldInfo { title "never ends }', "a text in quotes has no end"),
    "many copies": (
        HEAD + "DEF a0 Group { children Shape { geometry Box { } } } "
        + " ".join(f"DEF a{n} Group {{ children [ {f'USE a{n - 1} ' * 10} ] }}" for n in range(1, 9)),
        "nodes with all copies"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_would_leave_a_part_out_is_refused_by_its_name(tmp_path: Path, fault: str) -> None:
    text, reason = REFUSED[fault]
    assert reason in refused(tmp_path, text)


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.8, 0.99])
def test_a_file_that_is_cut_off_is_never_drawn(tmp_path: Path, kept: float) -> None:
    text = vrml_text()
    assert "cut off" in refused(tmp_path, text[: int(kept * len(text))])


def test_a_scene_that_uses_itself_by_prototypes_ends(tmp_path: Path) -> None:
    text = "PROTO A [ field MFNode c [ ] ] { Group { children IS c } }"
    used = "A { c A { c Shape { geometry Box { } } } }"
    assert sides(read(tmp_path, f"{HEAD}{text} {used}")) == [2, 2, 2]
