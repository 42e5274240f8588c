"""COLLADA: what a scene shows is drawn whole, whatever else of the file is missing or damaged."""

from pathlib import Path

import numpy as np
import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.views import up_axis
from tests.render.readers.test_ply import QUADS, RING, area
from tests.render.shapes import box, moved
from tests.render.writers import dae_text

VERTEX = '<input semantic="VERTEX" source="#v" offset="0"/>'
PLATE = Mesh(RING, np.array([[0, 1, 2]], dtype=np.int32))
SKIN = (
    '<library_controllers><controller id="c"><skin source="#g">{bind}</skin></controller>'
    '<controller id="m"><morph source="#c" method="NORMALIZED"/></controller></library_controllers>'
)


def listed(rows: list[list[int]]) -> str:
    return " ".join(str(one) for row in rows for one in row)


def read(tmp_path: Path, text: str | bytes) -> Mesh:
    path = tmp_path / "a.dae"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_mesh(path)


POLYGONS = {
    "polylist": f'<polylist count="6">{VERTEX}<vcount>{"4 " * 6}</vcount><p>{listed(QUADS)}</p></polylist>',
    "polygons": f"<polygons>{VERTEX}{''.join(f'<p>{listed([one])}</p>' for one in QUADS)}</polygons>",
    "tristrips": (
        f"<tristrips>{VERTEX}{''.join(f'<p>{a} {b} {d} {c}</p>' for a, b, c, d in QUADS)}</tristrips>"
    ),
    "trifans": f"<trifans>{VERTEX}{''.join(f'<p>{listed([one])}</p>' for one in QUADS)}</trifans>",
    "triangles with normals that are missing": (
        '<triangles><input semantic="NORMAL" source="#gone" offset="1"/>'
        f"{VERTEX}<p>{' '.join(f'{one} 99' for one in box().faces.ravel())}</p></triangles>"
    ),
    "an empty primitive and a line beside": (
        f'<triangles material="gone"/><lines>{VERTEX}<p>0 1</p></lines>'
        f"<triangles>{VERTEX}<p>{listed(box().faces.tolist())}</p></triangles>"
    ),
}


@pytest.mark.parametrize("kind", POLYGONS)
def test_every_primitive_is_drawn(tmp_path: Path, kind: str) -> None:
    mesh = read(tmp_path, dae_text(box(), faces=POLYGONS[kind]))
    np.testing.assert_array_equal(mesh.vertices, box().vertices)
    assert area(mesh.vertices, mesh.faces) == pytest.approx(6)


@pytest.mark.parametrize("stride", ['stride="2"', 'stride="0"', ""])
def test_positions_in_a_plane_have_no_height(tmp_path: Path, stride: str) -> None:
    text = dae_text(PLATE, places="0 0 3 0 0 2", faces=f"<triangles>{VERTEX}<p>0 1 2</p></triangles>")
    text = text.replace('<param name="Z" type="float"/>', "").replace('stride="3"', stride)
    mesh = read(tmp_path, text)
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [3, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize(
    ("names", "wanted"), [("ZYX", [[3, 2, 1]]), ("XY", [[1, 2, 0]]), ("YXWZ", [[2, 1, 4]]), ("X", [])]
)
def test_positions_come_in_any_order_of_their_names(
    tmp_path: Path, names: str, wanted: list[list[float]]
) -> None:
    params = "".join(f'<param name="{name}" type="float"/>' for name in names)
    places = " ".join(str(n + 1 + row ** (n + 1)) for row in (0, 1, 2) for n in range(len(names)))
    text = dae_text(PLATE, places=f"{places} 5 5", faces=f"<triangles>{VERTEX}<p>0 1 2</p></triangles>")
    begin, end = text.index("<param"), text.index("</accessor>")
    text = (text[:begin] + params + text[end:]).replace('stride="3"', f'stride="{len(names)}"')
    if not wanted:
        with pytest.raises(HifaError, match="fewer than two numbers"):
            read(tmp_path, text)
        return
    np.testing.assert_array_equal(read(tmp_path, text).vertices[:1], wanted)


@pytest.mark.parametrize("kind", ["polylist", "polygons"])
def test_concave_polygons_are_not_filled_in(tmp_path: Path, kind: str) -> None:
    counts = "<vcount>8</vcount>" if kind == "polylist" else ""
    mesh = read(tmp_path, dae_text(PLATE, faces=f"<{kind}>{VERTEX}{counts}<p>0 1 2 3 4 5 6 7</p></{kind}>"))
    assert area(mesh.vertices, mesh.faces) == pytest.approx(28)


@pytest.mark.parametrize("seed", range(20))
def test_holes_stay_open(tmp_path: Path, seed: int) -> None:
    """A square of 10, turned anywhere in space, with up to nine square holes wound either way."""
    generator = np.random.default_rng(seed)
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
    rings, hollow = [10 * square], 0.0
    for place in generator.permutation(9)[: generator.integers(1, 10)]:
        side = generator.uniform(0.5, 2.5)
        corner = [1 + 3 * (place % 3), 1 + 3 * (place // 3), 0]
        hole = np.roll(square * side + corner, generator.integers(4), axis=0)
        rings.append(hole[:: int(generator.choice([1, -1]))])
        hollow += side**2
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    vertices = np.concatenate(rings) @ turn.T + generator.normal(0, 10, 3)
    names = [" ".join(str(4 * ring + corner) for corner in range(4)) for ring in range(len(rings))]
    holes = "".join(f"<h>{name}</h>" for name in names[1:])
    faces = f"<polygons>{VERTEX}<ph><p>{names[0]}</p>{holes}</ph></polygons>"
    mesh = read(tmp_path, dae_text(Mesh(vertices, box().faces), faces=faces))
    assert area(mesh.vertices, mesh.faces) == pytest.approx(100 - hollow)


@pytest.mark.parametrize("name", ["c", "m"])
def test_controllers_draw_their_source_geometry_at_their_node(tmp_path: Path, name: str) -> None:
    scene = f'<node><translate>0 0 5</translate><instance_controller url="#{name}"/></node>'
    mesh = read(tmp_path, dae_text(box(), scene=scene, libraries=SKIN.format(bind="")))
    np.testing.assert_array_equal(mesh.vertices, moved(box(), 0, 0, 5).vertices)


def test_a_skin_lies_where_its_bind_shape_puts_it_unless_its_node_does(tmp_path: Path) -> None:
    bind = "<bind_shape_matrix>1 0 0 0 0 1 0 0 0 0 1 5 0 0 0 1</bind_shape_matrix>"
    scene = '<node>{}<instance_controller url="#c"/></node>'
    for place in ("", "<translate>0 0 5</translate>"):
        text = dae_text(box(), scene=scene.format(place), libraries=SKIN.format(bind=bind))
        np.testing.assert_array_equal(read(tmp_path, text).vertices, moved(box(), 0, 0, 5).vertices)


PLACES = {
    "<matrix>2 0 0 1 0 2 0 2 0 0 2 3 0 0 0 1</matrix>": lambda v: 2 * v + [1, 2, 3],
    "<translate>1 2 3</translate><scale>2 3 4</scale>": lambda v: v * [2, 3, 4] + [1, 2, 3],
    "<scale>2 2 2</scale><translate>1 2 3</translate>": lambda v: 2 * v + [2, 4, 6],
    "<rotate>0 0 2 90</rotate>": lambda v: v @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).T,
    "<rotate>0 0 0 90</rotate>": lambda v: v,
    "<lookat>1 2 3  1 2 -7  0 1 0</lookat>": lambda v: v * 1 + [1, 2, 3],
    "<lookat>0 0 0  -1 0 0  0 1 0</lookat>": lambda v: v @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]).T,
}


@pytest.mark.parametrize("place", PLACES)
def test_nodes_move_their_parts_by_every_kind_of_transform(tmp_path: Path, place: str) -> None:
    thin = box(1, 2, 3)
    mesh = read(tmp_path, dae_text(thin, scene=f'<node>{place}<instance_geometry url="#g"/></node>'))
    np.testing.assert_allclose(mesh.vertices, PLACES[place](thin.vertices), atol=1e-12)


def test_instanced_nodes_are_drawn_every_time(tmp_path: Path) -> None:
    inner = '<node id="n"><translate>0 0 2</translate><instance_geometry url="#g"/></node>'
    nodes = f"<library_nodes>{inner}</library_nodes>"
    again = '<node><translate>9 0 0</translate><instance_node url="#n"/></node>'
    scene = f'<node><instance_node url="#n"/>{again}</node>'
    mesh = read(tmp_path, dae_text(box(), scene=scene, libraries=nodes))
    expected = np.concatenate([moved(box(), 0, 0, 2).vertices, moved(box(), 9, 0, 2).vertices])
    assert {tuple(one) for one in mesh.vertices} == {tuple(one) for one in expected}


BROKEN = {
    "no material": ('url="#g"/>', 'url="#g"><bind_material/></instance_geometry>'),
    "a material that is not there": (
        'url="#g"/>',
        'url="#g"><bind_material><technique_common><instance_material symbol="x" target="#gone"/>'
        "</technique_common></bind_material></instance_geometry>",
    ),
    "a broken effect": (
        "<library_geometries>",
        "<library_effects><effect/></library_effects><library_geometries>",
    ),
    "an image elsewhere": (
        "<library_geometries>",
        '<library_images><image id="i"><init_from>http://x/y.png</init_from></image></library_images>'
        "<library_geometries>",
    ),
    "a camera and a light that are not there": (
        "<node>",
        '<node><instance_camera url="#gone"/><instance_light url="other.dae#gone"/></node><node>',
    ),
    "a broken colour": (
        "<library_geometries>",
        '<library_effects><effect id="e"><profile_COMMON><technique sid="t"><phong><diffuse>'
        "<color>red</color></diffuse></phong></technique></profile_COMMON></effect></library_effects><library_geometries>",
    ),
    "a prefix that is not declared": ("<asset>", "<asset><ms:more/>"),
    "latin-1 in a name": ("<asset>", "<asset><contributor><author>Andr\xe9</author></contributor>"),
    "no scene": ('<scene><instance_visual_scene url="#s"/></scene>', ""),
    "no accessor": ("<technique_common>", "<technique>"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_no_view_shows_may_be_missing_or_damaged(tmp_path: Path, fault: str) -> None:
    text = dae_text(box())
    old, new = BROKEN[fault]
    assert old in text
    text = text.replace(old, new)
    if fault == "no accessor":
        text = text.replace("</technique_common>", "</technique>").replace("accessor", "nothing")
    mesh = read(tmp_path, text.encode("latin-1"))
    np.testing.assert_array_equal(mesh.vertices, box().vertices)
    assert len(mesh.faces) == 12


FACES = {
    "an index that does not exist": listed(box().faces.tolist()[:11]) + " 0 1 99",
    "an index that is negative": listed(box().faces.tolist()[:11]) + " 0 1 -1",
    "an index that is not a number": listed(box().faces.tolist()[:11]) + " 0 1 x",
    "two corners of a triangle": listed(box().faces.tolist()[:11]) + " 0 1",
}


@pytest.mark.parametrize("fault", FACES)
def test_a_bad_face_costs_itself_only(tmp_path: Path, fault: str) -> None:
    mesh = read(tmp_path, dae_text(box(), faces=f"<triangles>{VERTEX}<p>{FACES[fault]}</p></triangles>"))
    assert len(mesh.faces) == 11


def test_a_vertex_that_is_no_number_costs_its_faces_only(tmp_path: Path) -> None:
    numbers = " ".join(repr(float(one)) for one in box().vertices.ravel()) + " NaN 0 0"
    faces = f"<triangles>{VERTEX}<p>{listed(box().faces.tolist())} 0 1 8</p></triangles>"
    mesh = read(tmp_path, dae_text(box(), faces=faces, places=numbers).replace('count="8"', 'count="9"'))
    assert len(mesh.faces) == 12


def test_places_beyond_all_numbers_are_refused_without_a_warning(tmp_path: Path) -> None:
    far = "<scale>1e200 1e200 1e200</scale>"
    scene = f'<node>{far}<node>{far}<instance_geometry url="#g"/></node></node>'
    with pytest.raises(HifaError):
        read(tmp_path, dae_text(box(), scene=scene))


def test_one_skin_on_two_skeletons_is_refused_and_on_one_drawn_twice(tmp_path: Path) -> None:
    libraries = SKIN.format(bind="<bind_shape_matrix>1 0 0 0 0 1 0 5 0 0 1 0 0 0 0 1</bind_shape_matrix>")
    shown = '<node><instance_controller url="#c"><skeleton>#{}</skeleton></instance_controller></node>'
    text = dae_text(box(), libraries=libraries, scene=shown.format("a") + shown.format("b"))
    with pytest.raises(HifaError, match="one skin on several skeletons"):
        read(tmp_path, text)
    assert len(read(tmp_path, text.replace("#b<", "#a<")).faces) == 24
    apart = text.replace("<node>", "<node><translate>9 0 0</translate>", 1)
    assert len(read(tmp_path, apart).faces) == 24


def test_positions_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="positions that are not numbers"):
        read(tmp_path, dae_text(box(), places="0,0,0,6,0,0,6,6,0"))


def test_blanks_and_zeros_around_the_document_do_no_harm(tmp_path: Path) -> None:
    for coding in ("utf-8", "utf-16-le"):
        text = "\n \n" + dae_text(box()) + "\n\0\0\0\0"
        assert len(read(tmp_path, text.encode(coding)).faces) == 12


UP = '<unit meter="1"/><up_axis>{}_UP</up_axis>'


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_the_axis_is_found_wherever_the_xml_says_it(tmp_path: Path, axis: str) -> None:
    text = dae_text(box(), asset=UP.format(axis.upper()))
    declared = text.replace('version="1.0"', 'version="1.0" encoding="utf-16"')
    ways = {
        "plain": text.encode(),
        "utf-16": declared.encode("utf-16"),
        "behind a long comment": text.replace("<asset>", f"<!--{'-x' * 200_000} --><asset>").encode(),
        "in another comment's shadow": text.replace(
            "<asset>", "<!-- <up_axis>Q_UP</up_axis> --><asset>"
        ).encode(),
        "spaced": text.replace("<up_axis>", "<up_axis >\n ").replace("_UP<", "_UP \n<").encode(),
        "with a prefix": text.replace("xmlns=", 'xmlns:c="u" xmlns=')
        .replace("up_axis>", "c:up_axis>")
        .encode(),
        "behind the geometry": _asset_last(text).encode(),
    }
    for way, content in ways.items():
        (path := tmp_path / f"{way}.dae").write_bytes(content)
        assert up_axis(path, RenderConfig()) == axis, way
        assert len(read_mesh(path).faces) == 12, way


def _asset_last(text: str) -> str:
    asset = text[text.index("<asset>") : text.index("</asset>") + 8]
    return text.replace(asset, "").replace("</COLLADA>", f"{asset}</COLLADA>")


REFUSED = {
    "a geometry in another file": (("#g", "other.dae#g"), r"another file \(other.dae\)"),
    "a geometry that is not there": (("#g", "#gone"), "geometry that it does not have"),
    "positions that are not there": (("#p", "#gone"), "source that it does not have"),
    "a node in another file": (("<node>", '<node><instance_node url="x.dae#n"/>'), "another file"),
    "nodes in a circle": (("<node>", '<node id="n"><instance_node url="#n"/>'), "in a circle"),
    "a sheared node": (("<node>", "<node><skew>45 1 0 0 0 1 0</skew>"), "<skew>"),
    "a matrix of three numbers": (("<node>", "<node><matrix>1 0 0</matrix>"), "16 numbers are wanted"),
    "decimal commas": (("-0.5", "-0,5"), "commas"),
    "lines alone": (("triangles", "lines"), "has lines but no faces"),
    "a scene of nothing": (('<instance_geometry url="#g"/>', ""), "its scene has none of its geometry"),
    "COLLADA 1.3": (("<asset>", '<library type="GEOMETRY"/><asset>'), "is COLLADA 1.4.1: only 1.4 and 1.5"),
    "commas in a transform": (("<node>", "<node><translate>1,5 0 0</translate>"), r"commas \(1,5\)"),
    "a document type": (("<COLLADA", '<!DOCTYPE a [<!ENTITY b "c">]><COLLADA'), "document type"),
    "another kind of XML": (("COLLADA", "KML"), "XML of another kind"),
    "an end too early": (("</library_geometries>", ""), "cut off or damaged at line 1"),
    "corners that do not add up": (
        (f'<triangles count="12">{VERTEX}', f"<polylist>{VERTEX}<vcount>4 4</vcount>"),
        "polygons of 8 corners and lists 36",
    ),
    "a hull": (("<mesh>", '<convex_mesh convex_hull_of="#h"/><mesh>'), "convex_mesh"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_would_leave_a_part_out_is_refused_by_its_name(tmp_path: Path, fault: str) -> None:
    (old, new), reason = REFUSED[fault]
    text = dae_text(box())
    assert old in text
    text = text.replace(old, new)
    if "polylist" in new:
        text = text.replace("</triangles>", "</polylist>")
    with pytest.raises(HifaError, match=reason):
        read(tmp_path, text)


@pytest.mark.parametrize("said", ["latin-1", "utf8", "ascii", "utf-16", "utf-32", "cp1252", "ANSI", "x-none"])
@pytest.mark.parametrize(
    "written", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_xml_may_be_in_another_encoding_than_it_says(tmp_path: Path, said: str, written: str) -> None:
    text = dae_text(box(), asset="<title>Stühle</title><up_axis>Z_UP</up_axis>")
    text = text.replace("?>", f' encoding="{said}"?>', 1)
    assert len(read(tmp_path, text.encode(written)).faces) == 12
    assert up_axis(tmp_path / "a.dae", RenderConfig()) == "z"


@pytest.mark.parametrize("written", ["utf-8", "utf-16", "utf-32", "utf-32-be"])
def test_a_document_type_is_refused_in_every_encoding(tmp_path: Path, written: str) -> None:
    text = dae_text(box()).replace("?>", '?><!DOCTYPE COLLADA [<!ENTITY a "b">]>', 1)
    with pytest.raises(HifaError, match="XML document type"):
        read(tmp_path, text.encode(written))
