"""3MF: what is built is drawn, wherever in the package it lies."""

from pathlib import Path

import numpy as np
import pytest

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, read_mesh
from tests.render.shapes import ball, box, joined, moved
from tests.render.writers import model_xml, object_xml, package

ROOT = "3D/3dmodel.model"
COMPONENTS = '<object id="{}"><components>{}</components></object>'


def read(tmp_path: Path, content: bytes) -> Mesh:
    (tmp_path / "a.3mf").write_bytes(content)
    return read_mesh(tmp_path / "a.3mf")


def assert_same(found: Mesh, expected: Mesh) -> None:
    """The same triangles, in whatever order."""
    triangles = [(np.round(one.vertices[one.faces], 9) + 0.0).tolist() for one in (found, expected)]
    assert sorted(map(str, triangles[0])) == sorted(map(str, triangles[1]))


def test_every_item_is_moved_to_its_place(tmp_path: Path) -> None:
    items = '<item objectid="1"/><item objectid="1" transform="0 2 0 -2 0 0 0 0 2 5 6 7"/>'
    found = read(tmp_path, package({ROOT: model_xml(object_xml(box(1, 2, 3)), items)}))
    turned = box(1, 2, 3).vertices @ np.array([[0, 2, 0], [-2, 0, 0], [0, 0, 2]]) + [5, 6, 7]
    assert_same(found, joined([box(1, 2, 3), Mesh(turned, box().faces)]))


def test_components_in_components_are_moved_by_both(tmp_path: Path) -> None:
    inner = COMPONENTS.format(2, '<component objectid="1" transform="2 0 0 0 2 0 0 0 2 1 0 0"/>')
    outer = COMPONENTS.format(3, '<component objectid="2" transform="1 0 0 0 1 0 0 0 1 0 10 0"/>' * 2)
    build = '<item objectid="3" transform="1 0 0 0 1 0 0 0 1 0 0 100"/>'
    found = read(tmp_path, package({ROOT: model_xml(object_xml(box()) + inner + outer, build)}))
    one = Mesh(2 * box().vertices + [1, 10, 100], box().faces)
    assert_same(found, joined([one, one]))


@pytest.mark.parametrize("path", ["/3D/Objects/a.model", "/3d/objects/A.MODEL", "3D/Objects/a.model"])
def test_items_and_components_may_lie_in_other_models_with_equal_ids(tmp_path: Path, path: str) -> None:
    component = f'<component objectid="1" p:path="{path}"/>'
    build = '<item objectid="1" p:path="/3D/Objects/b.model"/><item objectid="2"/><item objectid="1"/>'
    parts = {
        ROOT: model_xml(object_xml(box()) + COMPONENTS.format(2, component), build),
        "3D/Objects/a.model": model_xml(object_xml(moved(box(), 5, 0, 0)), ""),
        "3D/Objects/b.model": model_xml(object_xml(moved(box(), 0, 5, 0)), ""),
    }
    found = read(tmp_path, package(parts))
    assert_same(found, joined([box(), moved(box(), 5, 0, 0), moved(box(), 0, 5, 0)]))


def test_components_of_another_model_name_its_own_objects(tmp_path: Path) -> None:
    other = model_xml(object_xml(ball(4)) + COMPONENTS.format(7, '<component objectid="1"/>'), "")
    build = '<item objectid="7" p:path="/3D/other.model"/>'
    found = read(tmp_path, package({ROOT: model_xml(object_xml(box()), build), "3D/other.model": other}))
    assert_same(found, ball(4))


@pytest.mark.parametrize("root", ["/3D/model_a.model", "/Other/place.model", "/3D/with%20space.model"])
def test_the_root_is_what_the_package_says(tmp_path: Path, root: str) -> None:
    parts = {root[1:].replace("%20", " "): model_xml(object_xml(box())), ROOT: model_xml(object_xml(ball(4)))}
    assert_same(read(tmp_path, package(parts, root)), box())


@pytest.mark.parametrize("stored", ["3D/my part.model", "3D/my%20part.model", "3d/MY part.model"])
@pytest.mark.parametrize("said", ["/3D/my part.model", "/3D/my%20part.model"])
def test_parts_are_found_with_their_names_encoded_or_not(tmp_path: Path, stored: str, said: str) -> None:
    item = f'<item objectid="1" p:path="{said}"/>'
    parts = {ROOT: model_xml("", item), stored: model_xml(object_xml(box()), None)}
    assert_same(read(tmp_path, package(parts)), box())
    assert_same(read(tmp_path, package({stored: model_xml(object_xml(box()))}, said)), box())


@pytest.mark.parametrize("root", [None, "/gone.model"])
def test_where_the_package_does_not_say_the_usual_or_only_model_is_the_root(
    tmp_path: Path, root: str | None
) -> None:
    other = {"3D/other.model": model_xml(object_xml(ball(4)))}
    assert_same(read(tmp_path, package({ROOT: model_xml(object_xml(box())), **other}, root)), box())
    assert_same(read(tmp_path, package(other, root)), ball(4))


@pytest.mark.parametrize("build", [None, ""])
def test_without_items_every_object_is_drawn_once(tmp_path: Path, build: str | None) -> None:
    component = '<component objectid="1" transform="1 0 0 0 1 0 0 0 1 9 0 0"/>'
    objects = object_xml(box()) + COMPONENTS.format(2, component) + object_xml(moved(box(), 0, 9, 0), 3)
    found = read(tmp_path, package({ROOT: model_xml(objects, build)}))
    assert_same(found, joined([moved(box(), 9, 0, 0), moved(box(), 0, 9, 0)]))
    parts = {ROOT: model_xml("", build), "3D/other.model": model_xml(object_xml(box()), None)}
    assert_same(read(tmp_path, package(parts)), box())


def test_what_is_not_built_is_not_drawn(tmp_path: Path) -> None:
    objects = object_xml(box()) + object_xml(moved(ball(4), 50, 0, 0), 2)
    assert_same(read(tmp_path, package({ROOT: model_xml(objects)})), box())


def test_a_built_object_without_a_mesh_is_said(tmp_path: Path) -> None:
    empty = '<object id="7"/>' + COMPONENTS.format(8, "")
    build = '<item objectid="1"/><item objectid="7"/><item objectid="8"/>'
    found = read(tmp_path, package({ROOT: model_xml(object_xml(box()) + empty, build)}))
    assert_same(found, box())
    assert found.remark == "2 of its objects hold no mesh and are left out (7, 8)"


def test_prefixes_and_other_spaces_do_not_matter(tmp_path: Path) -> None:
    model = model_xml(object_xml(box())).replace("xmlns=", "xmlns:m=")
    for name in (
        "model",
        "resources",
        "object",
        "mesh",
        "vertices",
        "vertex",
        "triangles",
        "triangle",
        "build",
    ):
        model = model.replace(f"<{name}", f"<m:{name}").replace(f"</{name}", f"</m:{name}")
    assert_same(read(tmp_path, package({ROOT: model.replace("<item", "<m:item")})), box())
    undeclared = model_xml(object_xml(box())).replace("<resources>", "<resources><ms:thing/>")
    assert_same(read(tmp_path, package({ROOT: undeclared})), box())


def test_a_bad_corner_costs_its_triangle_only(tmp_path: Path) -> None:
    model = model_xml(object_xml(box()) + object_xml(ball(4), 2), '<item objectid="1"/><item objectid="2"/>')
    found = read(tmp_path, package({ROOT: model.replace('v1="0"', 'v1="12"', 1)}))
    assert len(found.faces) == 11 + len(ball(4).faces)


GOOD = model_xml(object_xml(box()))
REFUSED = {
    "an object that is not there": (
        GOOD.replace('objectid="1"', 'objectid="7"'),
        "object that it does not have",
    ),
    "a model that is not there": (GOOD.replace("<item", '<item p:path="/gone.model"'), "'gone.model'"),
    "a circle": (
        model_xml(COMPONENTS.format(1, '<component objectid="1"/>')),
        "components in a circle",
    ),
    "many copies": (
        model_xml(
            object_xml(box())
            + "".join(COMPONENTS.format(n, f'<component objectid="{n - 1}"/>' * 10) for n in range(2, 12)),
            '<item objectid="11"/>',
        ),
        "copies",
    ),
    "beams": (GOOD.replace("</mesh>", "<b:beamlattice/></mesh>"), "'beamlattice'"),
    "a Boolean shape": (GOOD.replace("<mesh>", "<bo:booleanshape/><mesh>"), "'booleanshape'"),
    "a vertex without z": (GOOD.replace(" z=", " w=", 1), "<vertex> without a number for z"),
    "a coordinate that is a word": (GOOD.replace('x="-0.5"', 'x="left"', 1), "something else than numbers"),
    "decimal commas": (GOOD.replace('x="-0.5"', 'x="-0,5"', 1), "something else than numbers|commas"),
    "a transform of eleven numbers": (
        GOOD.replace("<item", '<item transform="1 0 0 0 1 0 0 0 1 0 0"'),
        "damaged transform",
    ),
    "half of the XML": (GOOD[: len(GOOD) // 2], "cut off or damaged"),
    "encryption": ("\x07\x01 not XML at all", "cut off or damaged"),
    "no triangles": (model_xml(object_xml(Mesh(box().vertices, box().faces[:0]))), "points but no faces"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_would_leave_a_part_out_is_refused_by_its_name(tmp_path: Path, fault: str) -> None:
    model, reason = REFUSED[fault]
    with pytest.raises(HifaError, match=reason):
        read(tmp_path, package({ROOT: model}))


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    for content, reason in (
        (b"PK\x03\x04" + bytes(50), "not a whole zip archive"),
        (package({ROOT: GOOD})[:-30], "not a whole zip archive"),
        (package({"readme.txt": "x"}, None), "no models are in it"),
        (package({"a.model": GOOD, "b.model": GOOD}, None), "2 models are in it, none the root"),
    ):
        with pytest.raises(HifaError, match=reason):
            read(tmp_path, content)


UNUSUAL = {
    "single quotes": ('"', "'"),
    "line ends between attributes": (' y="', '\n  y = "'),
    "a comment in a list": ("<triangles>", "<triangles><!-- <triangle/> -->"),
    "a character by its number": ('x="-0.5"', 'x="&#45;0.5"'),
    "closing tags": ("/></vertices>", "></vertex></vertices>"),
    "other attributes": ("<vertex ", '<vertex pid="7" xx="9" '),
    "a list in a comment": ("<mesh>", "<mesh><!-- <vertices><vertex x='1' y='1' z='1'/></vertices> -->"),
    "CDATA": ("<resources>", "<resources><metadata><![CDATA[<vertices><vertex/></vertices>]]></metadata>"),
    "capital exponents": ('"0.5"', '"+5E-1"'),
}


@pytest.mark.parametrize("way", UNUSUAL)
def test_lists_in_any_writing_are_read_the_same(tmp_path: Path, way: str) -> None:
    """Plain lists are scanned, others go through the XML: both ways say the same."""
    old, new = UNUSUAL[way]
    assert old in GOOD
    assert_same(read(tmp_path, package({ROOT: GOOD.replace(old, new)})), box())
