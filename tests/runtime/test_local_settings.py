"""Settings files of libraries in the current folder change nothing: they could name code to run."""

import ast
import subprocess
from pathlib import Path

import pytest

import hifa_cli
from hifa_cli.runtime.child import program_command

PACKAGE = Path(hifa_cli.__file__).parent
STARTS = {  # who may start a process, and only by hifa_cli.runtime.child's commands
    "doctor.py",
    "render/readers/fbx.py",
    "render/isolated.py",
    "render/opengl.py",
    "runtime/workers.py",
    "synthetic/world.py",
}
WORKERS = (
    "render/workers.py",
    "pipelines/compare/workers.py",
    "synthetic/photo_worker.py",
)  # say what it starts
NUMBA = """
from hifa_cli.render.compiled import compiled
@compiled
def loop(number):
    return number + 1
loop(1)
import numba
print("planted" in numba.config.CACHE_DIR)
"""
MATPLOTLIB = """
from hifa_cli.viz import figures
with figures.style():
    import matplotlib
    print(matplotlib.rcParams["text.usetex"])
"""


@pytest.mark.parametrize(("program", "said"), [(NUMBA, "False"), (MATPLOTLIB, "False")])
def test_a_librarys_settings_in_the_current_folder_are_not_read(
    program: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: /tmp/planted\n")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    done = subprocess.run(program_command(program), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [said], done.stderr


def test_processes_are_started_in_one_way_only() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            assert not any(name.split(".")[0] == "multiprocessing" for name in named), path
            assert "ProcessPoolExecutor" not in ast.dump(node) or not isinstance(node, ast.ImportFrom), path
            if any(name.split(".")[0] == "subprocess" for name in named):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found <= STARTS
    assert "self.command()," in (PACKAGE / "runtime/workers.py").read_text(encoding="utf-8")
    for name in {*found - {"runtime/workers.py"}, *WORKERS}:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        assert "sys.executable" not in text, name
        assert "module_command(" in text or "program_command(" in text, name
