"""``import hifa_cli`` offers the whole interface and loads nothing for it."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hifa_cli

PUBLIC: dict[str, str] = vars(hifa_cli)["_HOMES"]  # the stub does not show it
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "faiss",
    "trimesh",
    "numba",
    "matplotlib",
    "openvino",
    "numpy",
    "PIL",
)
STUB = Path(hifa_cli.__file__).with_suffix(".pyi")


def fresh(program: str) -> object:
    """Run a program in a new process and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, json, hifa_cli; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    assert fresh(program) == []


def test_every_public_name_is_listed_before_it_is_loaded() -> None:
    program = (
        "import json, hifa_cli; print(json.dumps([n for n in hifa_cli.__all__ if n not in dir(hifa_cli)]))"
    )
    assert fresh(program) == []


def test_every_public_name_can_be_had() -> None:
    for name in PUBLIC:
        assert getattr(hifa_cli, name) is not None


def test_the_stub_declares_the_names_of_the_table() -> None:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    imported = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == PUBLIC


def test_the_package_says_that_it_is_typed() -> None:
    assert STUB.with_name("py.typed").exists()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        hifa_cli.rendr  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("first", ["import hifa_cli.render.pipeline", "import hifa_cli.api.stages", "pass"])
def test_render_is_a_function_whatever_was_imported_before(first: str, tmp_path: Path) -> None:
    program = f"""
{first}
import json
import hifa_cli
try:
    hifa_cli.render({str(tmp_path / "none")!r}, {str(tmp_path / "out")!r})
except hifa_cli.HifaError as error:
    print(json.dumps(str(error)))
"""
    assert "no meshes" in str(fresh(program)) or "none" in str(fresh(program))


def test_every_function_documents_every_argument() -> None:
    for name in ("render", "train", "embed", "evaluate", "build_gallery", "open_gallery"):
        function = getattr(importlib_stages(), name)
        said = inspect.getdoc(function) or ""
        for argument in inspect.signature(function).parameters:
            assert f"{argument}: " in said, f"{name}: {argument}"


def importlib_stages() -> object:
    """Return the module of the functions."""
    from hifa_cli.api import stages

    return stages
