"""Formats that libraries read: the box is the box, what would be missing is refused by name."""

import gzip
import math
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.data.formats import MESH_FORMATS
from hifa_cli.errors import HifaError
from hifa_cli.render.isolated import read_safely
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.views import up_axis
from tests.render.readers.foreign import fbx_text, threeds_bytes, usda_text, x3d_text
from tests.render.shapes import box
from tests.render.stepfile import step_text
from tests.render.writers import model_xml, object_xml, package


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"NO {module}: install the extra 'dev'")


def extents(mesh: Mesh) -> list[float]:
    return [round(float(side), 4) for side in np.ptp(mesh.vertices, axis=0)]


def area(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def made_by_occ(path: Path) -> Path:
    from OCP.BRepPrimAPI import BRepPrimAPI_MakeBox
    from OCP.BRepTools import BRepTools
    from OCP.IGESControl import IGESControl_Writer

    shape = BRepPrimAPI_MakeBox(1.0, 2.0, 3.0).Shape()
    if path.suffix == ".brep":
        BRepTools.Write_s(shape, str(path))
    else:
        writer = IGESControl_Writer()
        writer.AddShape(shape)
        writer.ComputeModel()
        writer.Write(str(path))
    return path


def packaged(path: Path) -> Path:
    from pxr import Usd, UsdUtils

    inside = written(path.with_suffix(".usda"), usda_text())
    Usd.Stage.Open(str(inside)).Export(str(path.with_suffix(".usdc")))
    assert UsdUtils.CreateNewUsdzPackage(str(path.with_suffix(".usdc")), str(path))
    return path


def crate(path: Path) -> Path:
    from pxr import Usd

    Usd.Stage.Open(str(written(path.with_suffix(".usda"), usda_text()))).Export(str(path))
    return path


Y_UP = [1.0, 3.0, 2.0]  # of a box with +z up, turned
BOXES: dict[str, tuple[str, Callable[[Path], Path], list[float]]] = {
    "a.fbx": ("ufbx", lambda path: written(path, fbx_text()), [1.0, 2.0, 3.0]),
    "zup.fbx": ("ufbx", lambda path: written(path, fbx_text(up=2)), Y_UP),
    "a.3ds": ("assimp_py", lambda path: written(path, threeds_bytes()), Y_UP),
    "a.x3d": ("assimp_py", lambda path: written(path, x3d_text()), [2.0, 2.0, 3.0]),
    "a.usda": ("pxr", lambda path: written(path, usda_text()), Y_UP),
    "yup.usd": ("pxr", lambda path: written(path, usda_text(up="Y")), [1.0, 2.0, 3.0]),
    "a.usdc": ("pxr", crate, Y_UP),
    "a.usdz": ("pxr", packaged, Y_UP),
    "a.step": ("cascadio", lambda path: written(path, step_text(1, 2, 3)), [1.0, 2.0, 3.0]),
    "a.igs": ("cascadio", made_by_occ, [1.0, 2.0, 3.0]),
    "a.brep": ("OCP", made_by_occ, [1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("name", BOXES)
def test_a_box_is_a_box_in_every_format(tmp_path: Path, name: str) -> None:
    module, write, sides = BOXES[name]
    pytest.importorskip(module)
    if write is made_by_occ:
        pytest.importorskip("OCP")
    mesh = read_mesh(write(tmp_path / name))
    scale = extents(mesh)[0] / sides[0]  # STEP and IGES: metres
    np.testing.assert_allclose(np.divide(extents(mesh), scale), sides, rtol=1e-3)
    assert len(mesh.faces) == 12
    a, b, c = sides
    assert area(mesh) / scale**2 == pytest.approx(2 * (a * b + b * c + c * a), rel=1e-3)
    assert up_axis(tmp_path / name, RenderConfig()) == ("z" if module in ("cascadio", "OCP") else "y")


@pytest.mark.parametrize("one", [one for one in MESH_FORMATS if one.extra], ids=lambda one: one.name)
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: object) -> None:
    monkeypatch.setattr("hifa_cli.render.meshes.find_spec", lambda name: None)
    written(tmp_path / f"a{one.suffix}", "x")  # type: ignore[attr-defined]
    extra = one.extra  # type: ignore[attr-defined]
    with pytest.raises(HifaError, match=rf'pip install "hifa-cli\[{extra}\]"') as caught:
        read_mesh(tmp_path / f"a{one.suffix}")  # type: ignore[attr-defined]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("one", [one for one in MESH_FORMATS if one.extra], ids=lambda one: one.name)
def test_damage_is_refused_in_one_line_from_a_process_of_its_own(tmp_path: Path, one: object) -> None:
    pytest.importorskip(one.module)  # type: ignore[attr-defined]
    path = written(tmp_path / f"a{one.suffix}", b"no such thing\0\xff" * 40)  # type: ignore[attr-defined]
    with pytest.raises(HifaError) as caught:
        read_safely(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "Error" not in str(caught.value)


@needs("ufbx")
def test_fbx_places_turn_and_scale(tmp_path: Path) -> None:
    model = (
        'P: "Lcl Rotation", "Lcl Rotation", "", "A",0,0,90\nP: "Lcl Scaling", "Lcl Scaling", "", "A",10,1,1\n'
    )
    assert extents(read_mesh(written(tmp_path / "a.fbx", fbx_text(model=model)))) == [2.0, 10.0, 3.0]


@needs("ufbx")
def test_fbx_that_is_hidden_is_drawn_only_where_nothing_else_is(tmp_path: Path) -> None:
    more = (
        'Geometry: 11, "Geometry::", "Mesh" {\nVertices: *9 {\na: 0,0,0,9,0,0,0,9,0\n}\n'
        'PolygonVertexIndex: *3 {\na: 0,1,-3\n}\n}\nModel: 21, "Model::more", "Mesh" {\n}\n'
    )
    both = fbx_text(visible=False, more=more).replace("20,0\n", '20,0\nC: "OO",11,21\nC: "OO",21,0\n')
    assert len(read_mesh(written(tmp_path / "a.fbx", both)).faces) == 1
    assert len(read_mesh(written(tmp_path / "b.fbx", fbx_text(visible=False))).faces) == 12


@needs("ufbx")
def test_fbx_with_nurbs_is_refused_by_name(tmp_path: Path) -> None:
    surface = ('Geometry: 12, "Geometry::", "NurbsSurface" {\nType: "NurbsSurface"\n'
               'NurbsSurfaceOrder: 2,2\nDimensions: 2,2\nStep: 4,4\nForm: "Open", "Open"\n'
               'Points: *16 {\na: 0,0,0,1,1,0,0,1,0,1,0,1,1,1,0,1\n}\n'
               'KnotVectorU: *4 {\na: 0,0,1,1\n}\nKnotVectorV: *4 {\na: 0,0,1,1\n}\n}\n'
               'Model: 22, "Model::s", "NurbsSurface" {\n}\n')  # fmt: skip
    text = fbx_text(more=surface).replace("20,0\n", '20,0\nC: "OO",12,22\nC: "OO",22,0\n')
    with pytest.raises(HifaError, match="has a nurbs surface, which is not read"):
        read_mesh(written(tmp_path / "a.fbx", text))


@needs("ufbx")
def test_many_fbx_files_in_one_process_end_well(tmp_path: Path) -> None:
    written(tmp_path / "a.fbx", fbx_text())
    program = (
        "import sys; from pathlib import Path; from hifa_cli.render.meshes import read_mesh\n"
        "for _ in range(5): assert len(read_mesh(Path(sys.argv[1])).faces) == 12"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.fbx")], check=False)
    assert done.returncode == 0


@needs("assimp_py")
@pytest.mark.parametrize("node", ["ProtoInstance", "Inline", "LOD", "Switch", "NurbsPatchSurface"])
def test_x3d_that_assimp_would_show_in_part_is_refused(tmp_path: Path, node: str) -> None:
    with pytest.raises(HifaError, match=f"has the X3D node {node}, which is not read"):
        read_mesh(written(tmp_path / "a.x3d", x3d_text(f"<{node}/>")))


@needs("pxr")
def test_usd_draws_what_is_visible_and_every_copy(tmp_path: Path) -> None:
    hidden = usda_text(mesh='token visibility = "invisible"', more='def Cube "c" {\ndouble size = 1\n}')
    assert extents(read_mesh(written(tmp_path / "a.usda", hidden))) == [1.0, 1.0, 1.0]
    with pytest.raises(HifaError, match="has nothing that is visible"):
        read_mesh(written(tmp_path / "b.usda", usda_text(mesh='token visibility = "invisible"')))
    guide = usda_text(more='def Cube "c" {\ndouble size = 50\nuniform token purpose = "guide"\n}')
    assert len(read_mesh(written(tmp_path / "c.usda", guide)).faces) == 12
    copies = (
        'def PointInstancer "i" {\nrel prototypes = </i/p>\nint[] protoIndices = [0, 0, 0]\n'
        "point3f[] positions = [(0, 0, 0), (10, 0, 0), (20, 0, 0)]\nquath[] orientations = [(1, 0, 0, 0), "
        '(1, 0, 0, 0), (1, 0, 0, 0)]\ndef Cube "p" {\ndouble size = 2\n}\n}'
    )
    mesh = read_mesh(written(tmp_path / "d.usda", usda_text(up="Y", more=copies)))
    assert len(mesh.faces) == 48
    assert extents(mesh) == [22.0, 3.0, 4.0]


@needs("pxr")
@pytest.mark.parametrize(
    ("kind", "measures", "sides", "surface"),
    [
        ("Sphere", "double radius = 2", [4, 4, 4], 16 * math.pi),
        ("Cylinder", 'double radius = 1\ndouble height = 3\nuniform token axis = "Y"', [2, 3, 2],
         8 * math.pi),
        ("Cone", 'double radius = 1\ndouble height = 2\nuniform token axis = "X"', [2, 2, 2],
         math.pi * (1 + math.sqrt(5))),
        ("Capsule", 'double radius = 1\ndouble height = 2\nuniform token axis = "Z"', [2, 2, 4], 8 * math.pi),
        ("Cylinder_1", "double radiusBottom = 2\ndouble radiusTop = 1\ndouble height = 1", [4, 4, 1],
         math.pi * (5 + 3 * math.sqrt(2))),
        ("Capsule_1", "double radiusBottom = 1\ndouble radiusTop = 1\ndouble height = 2", [2, 2, 4],
         8 * math.pi),
        ("Plane", 'double width = 2\ndouble length = 3\nuniform token axis = "Z"', [2, 3, 0], 6),
    ],
)  # fmt: skip
def test_usd_bodies_have_their_measures(
    tmp_path: Path, kind: str, measures: str, sides: list[float], surface: float
) -> None:
    mesh = read_mesh(
        written(tmp_path / "a.usda", f'#usda 1.0\n(\nupAxis = "Y"\n)\ndef {kind} "a" {{\n{measures}\n}}\n')
    )
    np.testing.assert_allclose(extents(mesh), sides, rtol=0.02)
    assert area(mesh) == pytest.approx(surface, rel=0.03)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    np.testing.assert_allclose(low + high, 0, atol=0.05)  # centred, as the specification has it


@needs("pxr")
def test_usd_composes_layers_from_its_own_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "own" / "parts").mkdir(parents=True)
    written(tmp_path / "secret.usda", usda_text())
    written(tmp_path / "own" / "parts" / "box.usda", usda_text())
    reference = '#usda 1.0\n(\nupAxis = "Z"\n)\ndef Xform "a" (prepend references = @{}@</top>)\n{{\n}}\n'
    own = written(tmp_path / "own" / "a.usda", reference.format("./parts/box.usda"))
    assert len(read_mesh(own).faces) == 12
    for name in ("../secret.usda", str(tmp_path / "secret.usda")):
        with pytest.raises(HifaError, match="composes a layer outside its folder"):
            read_mesh(written(tmp_path / "own" / "b.usda", reference.format(name)))
    for name in ("./gone.usda", "gone.usda"):
        with pytest.raises(HifaError, match="composes a layer that is gone"):
            read_mesh(written(tmp_path / "own" / "c.usda", reference.format(name)))
    sublayer = usda_text(head="subLayers = [@../secret.usda@]\n")
    with pytest.raises(HifaError, match="composes a layer outside its folder"):
        read_mesh(written(tmp_path / "own" / "d.usda", sublayer))


@needs("pxr")
def test_usd_surfaces_that_are_not_read_are_refused_by_name(tmp_path: Path) -> None:
    text = usda_text(more='def NurbsPatch "n" {}')
    with pytest.raises(HifaError, match="has a NurbsPatch, which is not read"):
        read_mesh(written(tmp_path / "a.usda", text))


@needs("OCP")
@needs("cascadio")
@pytest.mark.parametrize("ending", ["step", "stp", "stl", "obj", "brep"])
def test_iges_is_iges_under_every_ending(tmp_path: Path, ending: str) -> None:
    content = made_by_occ(tmp_path / "a.igs").read_bytes()
    assert len(read_mesh(written(tmp_path / f"b.{ending}", content)).faces) == 12


@needs("cascadio")
@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_step_in_every_encoding_is_read(tmp_path: Path, coding: str) -> None:
    assert len(read_mesh(written(tmp_path / "a.step", step_text(1, 2, 3).encode(coding))).faces) == 12


@needs("OCP")
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.67, 0.9, 0.99])
def test_a_brep_that_is_cut_off_is_refused_before_it_is_read(tmp_path: Path, kept: float) -> None:
    """Open CASCADE crashes on some of them, and fills the memory for others."""
    content = made_by_occ(tmp_path / "a.brep").read_bytes()
    with pytest.raises(HifaError, match="it is cut off or damaged"):
        read_mesh(written(tmp_path / "b.brep", content[: int(kept * len(content))]))
    old = content.rstrip() + b" \n0\n\n"
    assert len(read_mesh(written(tmp_path / "c.brep", old)).faces) == 12


@needs("assimp_py")
@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_x3d_in_every_encoding_and_with_commas_is_read(tmp_path: Path, coding: str) -> None:
    text = x3d_text().replace(" -1", ",-1,").replace('UTF-8"', 'UTF-16"' if "16" in coding else 'UTF-8"')
    assert len(read_mesh(written(tmp_path / "a.x3d", text.encode(coding))).faces) == 12


@needs("assimp_py")
def test_what_assimp_does_not_know_is_refused_by_its_name_and_what_is_hidden_too(tmp_path: Path) -> None:
    strip = "<Shape><TriangleStripSet stripCount='4'/></Shape>"
    with pytest.raises(HifaError, match="has the X3D node TriangleStripSet, which is not read"):
        read_mesh(written(tmp_path / "a.x3d", x3d_text(strip)))
    with pytest.raises(HifaError, match="nodes that are hidden"):
        read_mesh(written(tmp_path / "b.x3d", x3d_text('<Shape visible="false"><Box/></Shape>')))


@needs("pxr")
def test_a_stage_that_shows_nothing_says_why(tmp_path: Path) -> None:
    for word in ("over", "class"):
        text = usda_text().replace('def Xform "top"', f'{word} "top"')
        with pytest.raises(HifaError, match="its meshes are classes, or overrides"):
            read_mesh(written(tmp_path / "a.usda", text))
    with pytest.raises(HifaError, match="its stage has no surfaces"):
        read_mesh(written(tmp_path / "b.usda", '#usda 1.0\ndef Xform "a" {\n}\n'))


@needs("pxr")
@pytest.mark.parametrize("ending", ["usd", "usda", "usdc", "usdz"])
@pytest.mark.parametrize("content", ["usda", "usdc", "usdz"])
def test_usd_under_the_ending_of_its_other_forms_is_read(tmp_path: Path, content: str, ending: str) -> None:
    from pxr import UsdUtils

    file = crate(tmp_path / "b.usdc")
    if content == "usda":
        written(file := tmp_path / "b.usda", usda_text())
    elif content == "usdz":
        assert UsdUtils.CreateNewUsdzPackage(str(file), str(tmp_path / "b.usdz"))
        file = tmp_path / "b.usdz"
    assert len(read_mesh(written(tmp_path / f"a.{ending}", file.read_bytes())).faces) == 12


@needs("pxr")
def test_a_3mf_under_an_ending_of_usd_is_read(tmp_path: Path) -> None:
    content = package({"3D/3dmodel.model": model_xml(object_xml(box()))})
    assert len(read_mesh(written(tmp_path / "a.usdz", content)).faces) == 12


@needs("pxr")
@pytest.mark.parametrize("content", ["usda", "usdc", "gz"])
def test_usd_under_another_name_is_read(tmp_path: Path, content: str) -> None:
    data = crate(tmp_path / "b.usdc").read_bytes() if content == "usdc" else usda_text().encode()
    name = "a.ply.gz" if content == "gz" else "a.ply"
    assert (
        len(read_mesh(written(tmp_path / name, gzip.compress(data) if content == "gz" else data)).faces) == 12
    )


@needs("OCP")
def test_curves_alone_are_refused_as_such(tmp_path: Path) -> None:
    from OCP.BRepBuilderAPI import BRepBuilderAPI_MakeEdge
    from OCP.BRepTools import BRepTools
    from OCP.gp import gp_Pnt

    BRepTools.Write_s(
        BRepBuilderAPI_MakeEdge(gp_Pnt(0, 0, 0), gp_Pnt(1, 0, 0)).Edge(), str(tmp_path / "a.brep")
    )
    with pytest.raises(HifaError, match="has curves or points but no faces"):
        read_mesh(tmp_path / "a.brep")
