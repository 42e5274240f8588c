"""Duplicates are found whatever their format, pose, size and triangles, and nothing else is."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.config import DuplicatesConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.duplicates import Duplicates, find_duplicates, kind_of
from tests.render.test_surfaces import bracket, turned

KINDS = {
    "copy": "copy", "obj": "re-encoded", "turned": "moved", "scaled": "scaled", "mirrored": "mirrored",
    "subdivided": "re-tessellated", "longer": "variant",
}  # fmt: skip


def write_parts(folder: Path) -> None:
    """Write a bracket, its relatives, and three other parts."""
    body = bracket()
    longer = body.copy()
    longer.vertices[16:24] += [0.03, 0, 0]
    image = body.copy()
    image.apply_transform(np.diag([-1.0, 1, 1, 1]))
    parts = {
        "a/first.off": body, "a/obj.obj": body, "a/turned.off": turned(body, 1),
        "a/scaled.off": body.copy().apply_scale(25.4), "a/mirrored.off": turned(image, 2),
        "a/subdivided.off": body.subdivide(), "a/longer.off": longer,
        "b/cube.off": trimesh.creation.box((1, 1, 1)), "b/rod.off": trimesh.creation.box((9, 1, 1)),
        "b/ball.off": trimesh.creation.icosphere(2),
    }  # fmt: skip
    for name, part in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        part.export(folder / name)
    shutil.copy(folder / "a/first.off", folder / "a/copy.off")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twins")
    write_parts(root / "meshes")
    done = CliRunner().invoke(app, ["index", str(root / "meshes"), "-o", str(root / "g")])
    assert done.exit_code == 0, done.output
    return root / "g"


@pytest.fixture(scope="module")
def found(gallery: Path) -> Duplicates:
    return find_duplicates(read_gallery(gallery), DuplicatesConfig())


def test_all_relatives_of_a_part_are_one_family_and_other_parts_are_not_in_it(found: Duplicates) -> None:
    [family] = found.families
    assert {member.shape for member in family} == {"a/first", *(f"a/{name}" for name in KINDS)}
    assert (found.shapes, found.failed) == (11, [])


def test_each_relative_is_called_by_what_differs(gallery: Path) -> None:
    [family] = find_duplicates(read_gallery(gallery), DuplicatesConfig()).families
    head = family[0].shape.removeprefix("a/")
    kinds = {member.shape.removeprefix("a/"): member.kind for member in family[1:]}
    if head in ("first", "copy"):
        kinds.pop("first", None)
        assert kinds == {name: kind for name, kind in KINDS.items() if name in kinds}
    assert kinds["mirrored"] in ("mirrored", "moved")


def test_nothing_but_equal_surfaces_is_found_within_0(gallery: Path) -> None:
    [family] = find_duplicates(read_gallery(gallery), DuplicatesConfig(within=0.0)).families
    assert {member.shape for member in family} == {"a/first", *(f"a/{name}" for name in KINDS)} - {"a/longer"}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ((), "re-encoded"), (("format",), "re-encoded"), (("pose",), "moved"), (("pose", "scale"), "scaled"),
        (("pose", "scale", "tessellation"), "re-tessellated"), (("mirror", "pose"), "mirrored"),
        (("shape", "mirror"), "variant"),
    ],
)  # fmt: skip
def test_the_gravest_change_names_the_kind(changes: tuple[str, ...], kind: str) -> None:
    assert kind_of(changes) == kind  # type: ignore[arg-type]


def test_the_command_writes_a_table_a_page_a_picture_and_one_document(gallery: Path, tmp_path: Path) -> None:
    outs = {name: tmp_path / f"twins.{name}" for name in ("csv", "html", "png")}
    words = ["duplicates", str(gallery), "--json", "--csv", str(outs["csv"]), "--html", str(outs["html"])]
    done = CliRunner().invoke(app, [*words, "--sheet", str(outs["png"])])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["shapes"] == 11
    assert len(document["families"][0]) == 8
    rows = list(csv.DictReader(outs["csv"].read_text(encoding="utf-8").splitlines()))
    assert {row["shape"] for row in rows} == {member["shape"] for member in document["families"][0]}
    page = outs["html"].read_text(encoding="utf-8")
    assert page.count("<img") == 8
    assert "default-src 'none'" in page
    with Image.open(outs["png"]) as picture:
        assert picture.width > 8 * 160
    again = CliRunner().invoke(app, [*words, "--sheet", str(outs["png"])])
    assert again.exit_code == 1
    assert "--force" in again.output


def test_a_mesh_that_is_gone_is_named_and_the_others_are_compared(gallery: Path, tmp_path: Path) -> None:
    shutil.copytree(gallery.parent, tmp_path / "w")
    (tmp_path / "w/meshes/b/ball.off").unlink()
    found = find_duplicates(read_gallery(tmp_path / "w/g"), DuplicatesConfig())
    assert [one["shape"] for one in found.failed] == ["b/ball"]
    assert len(found.families[0]) == 8


def test_a_gallery_without_meshes_is_refused_in_one_line(gallery: Path) -> None:
    opened = read_gallery(gallery)
    opened.document["origins"] = [{**one, "kind": "export"} for one in opened.document["origins"]]
    with pytest.raises(HifaError, match="was not made of meshes"):
        find_duplicates(opened, DuplicatesConfig())
