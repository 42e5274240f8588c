"""One table says which formats of meshes there are; everything else reads it."""

import ast
import importlib.util
import re
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from hifa_cli.data.formats import MESH_FORMATS, MESH_SUFFIXES, READ_SUFFIXES, MeshFormat, format_of_suffix

ROOT = Path(__file__).resolve().parents[2]
READERS = ROOT / "hifa_cli" / "render" / "readers"


def tool(name: str) -> ModuleType:
    path = str(ROOT / "tools" / name)
    spec = importlib.util.spec_from_loader(name, SourceFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_table_of_the_code() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert tool("format_table").with_table(page) == page, "run tools/format_table --write"
    assert page.count("| STL | `.stl` | hifa |") == 1


def test_no_ending_belongs_to_two_formats() -> None:
    assert sum(len(one.suffixes) for one in MESH_FORMATS) == len(MESH_SUFFIXES)
    assert format_of_suffix(".STP") is format_of_suffix(".step")
    assert format_of_suffix(".txt") is None


@pytest.mark.parametrize("one", [one for one in MESH_FORMATS if one.reader], ids=lambda one: one.name)
def test_every_format_has_its_reader(one: MeshFormat) -> None:
    names = {node.name for node in ast.parse((READERS / f"{one.reader}.py").read_text()).body
             if isinstance(node, ast.FunctionDef)}  # fmt: skip
    assert "read" in names
    assert one.up != "file" or "up_axis" in names
    assert bool(one.extra) == bool(one.module)
    assert set(one.suffixes) <= set(READ_SUFFIXES)


def test_every_extra_can_be_installed() -> None:
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{one.extra} = ", extras, re.MULTILINE) for one in MESH_FORMATS if one.extra)


def test_nothing_else_lists_formats() -> None:
    """A list of three or more endings of meshes; the demo's writers are keyed by theirs."""
    apart = {"hifa_cli/data/formats.py", "hifa_cli/synthetic/meshfiles.py"}
    others = []
    for path in sorted((ROOT / "hifa_cli").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
            endings = [one for one in items if isinstance(one, ast.Constant) and one.value in MESH_SUFFIXES]
            if len(endings) > 2 and name not in apart:
                others.append(f"{name}:{node.lineno}")  # type: ignore[attr-defined]
    assert others == []
