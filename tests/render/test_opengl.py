"""OpenGL draws what the built-in renderer draws; where it is missing, that is said and survived."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig, Shading
from hifa_cli.errors import HifaError
from hifa_cli.render import backend as choice
from hifa_cli.render import cameras, opengl
from hifa_cli.render.backend import choose
from hifa_cli.render.cameras import Frame
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.opengl import Driver, projection
from hifa_cli.render.views import MeshViews
from tests.render.shapes import ball, box, chair, joined, soup

COMPARE = """
import sys, numpy as np
from hifa_cli.config import RenderConfig
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.views import MeshViews
shading, views, size, ground, framing, source, target = sys.argv[1:]
with np.load(source) as arrays:
    meshes = [Mesh(arrays[f"v{k}"], arrays[f"f{k}"]) for k in range(len(arrays.files) // 2)]
draw = MeshViews(RenderConfig(views=int(views), size=int(size), ground=int(ground), shading=shading,
                              framing=framing, renderer="opengl"))
np.savez(target, *[draw.draw(mesh, "z") for mesh in meshes])
"""


@pytest.fixture(scope="module")
def driver() -> Driver:
    try:
        return opengl.probe()
    except HifaError as error:
        pytest.skip(f"NO OPENGL: {error}")


def by_opengl(meshes: list[Mesh], config: RenderConfig, folder: Path) -> list[NDArray[np.uint8]]:
    """Pictures drawn in another process, so that no driver's crash or leak reaches the tests."""
    arrays: dict[str, Any] = {f"v{k}": mesh.vertices for k, mesh in enumerate(meshes)}
    arrays |= {f"f{k}": mesh.faces for k, mesh in enumerate(meshes)}
    np.savez(folder / "in.npz", **arrays)
    settings = [config.shading, config.views, config.size, config.ground, config.framing]
    files = folder / "in.npz", folder / "out.npz"
    command = [sys.executable, "-c", COMPARE, *map(str, (*settings, *files))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as pictures:
        return [pictures[name] for name in pictures.files]


def assert_agree(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    """Two renderers may see another face at a few samples on edges, and round one grey otherwise."""
    difference = np.abs(a.astype(int) - b)
    assert difference.mean() < 0.25
    assert (difference > 8).mean() < 2e-3
    assert (difference > 40).mean() < 2e-4


@pytest.mark.opengl
@pytest.mark.parametrize(("shading", "framing"), [("mvcnn", "box"), ("smooth", "sphere")])
@pytest.mark.usefixtures("driver")
def test_the_renderers_agree(tmp_path: Path, shading: Shading, framing: str) -> None:
    half = chair().faces.copy()
    half[::2] = half[::2, ::-1]
    meshes = [
        ball(24),
        box(1, 2, 3),
        chair(),
        Mesh(chair().vertices, half),
        soup(0),
        joined([box(), ball(40)]),
    ]
    config = RenderConfig(shading=shading, framing=framing)  # type: ignore[arg-type]
    views = MeshViews(config)
    for mesh, pictures in zip(meshes, by_opengl(meshes, config, tmp_path), strict=True):
        assert_agree(pictures, views.draw(mesh, "z"))


@pytest.mark.opengl
@pytest.mark.parametrize(("count", "size", "ground"), [(1, 64, 0), (40, 33, 100)])
@pytest.mark.usefixtures("driver")
def test_any_number_and_size_of_views_and_ground_agree(
    tmp_path: Path, count: int, size: int, ground: int
) -> None:
    config = RenderConfig(views=count, size=size, ground=ground)
    (pictures,) = by_opengl([chair()], config, tmp_path)
    assert_agree(pictures, MeshViews(config).draw(chair(), "z"))


@pytest.mark.opengl
@pytest.mark.usefixtures("driver")
def test_more_faces_and_views_than_fit_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = "from hifa_cli.render import opengl\nopengl.FACES_AT_ONCE, opengl.ATLAS_SIDE = 100, 200\n"
    patched = COMPARE.replace("draw = ", f"{smaller}draw = ")
    monkeypatch.setitem(globals(), "COMPARE", patched)
    config = RenderConfig(views=7, size=48)
    (pictures,) = by_opengl([joined([chair(), ball(20)])], config, tmp_path)
    assert_agree(pictures, MeshViews(config).draw(joined([chair(), ball(20)]), "z"))


@pytest.mark.opengl
@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("driver")
def test_the_renderers_agree_on_real_meshes(tmp_path: Path, real_data: Path) -> None:
    from hifa_cli.render.meshes import read_mesh

    meshes = [read_mesh(path) for path in sorted((real_data / "meshes").glob("*/*.off"))[::40]]
    shadings: tuple[Shading, ...] = ("mvcnn", "smooth")
    for shading in shadings:
        config = RenderConfig(shading=shading)
        for mesh, pictures in zip(meshes, by_opengl(meshes, config, tmp_path), strict=True):
            assert_agree(pictures, MeshViews(config).draw(mesh, "z"))


def test_clip_space_and_pixels_are_one_projection() -> None:
    points = ball(6).vertices
    frame = Frame(scale=400.0, left=100.0, top=120.0)
    for camera in cameras.rig(5, 25.0):
        clip = np.column_stack([points, np.ones(len(points))]) @ projection(camera, frame, 224).T
        x, y, depth = clip[:, 0] / clip[:, 3], clip[:, 1] / clip[:, 3], clip[:, 2] / clip[:, 3]
        expected = cameras.project(points, camera, frame)
        np.testing.assert_allclose(112 * (1 + x), expected[:, 0], atol=1e-9)
        np.testing.assert_allclose(112 * (1 - y), expected[:, 1], atol=1e-9)
        np.testing.assert_allclose(clip[:, 3], 1 / expected[:, 2], atol=1e-12)
        assert np.abs(depth).max() < 1
        order = np.argsort(expected[:, 2])
        assert (np.diff(depth[order]) < 1e-12).all()  # nearer is smaller


def test_a_missing_library_is_a_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    program = (
        "import sys; sys.modules['OpenGL'] = None\n"
        "from hifa_cli.render import opengl\n"
        "try: opengl.OpenGLRenderer(None, 32, 255)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("HifaError OpenGL cannot be loaded"), done.stderr
    assert "libegl1" in done.stdout


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "dies when a context is made"),
        ("import time; time.sleep(60)", "hangs"),
        ('print(\'{"error": "no EGL here"}\')', "no EGL here"),
    ],
)
def test_a_driver_that_crashes_or_hangs_is_found_out(
    monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    whole = subprocess.run

    def run(command: list[str], **options: object) -> object:
        return whole([command[0], "-c", program], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(HifaError, match=reason):
        opengl.probe(patience=1.5)


def pretend(monkeypatch: pytest.MonkeyPatch, found: Driver | HifaError, nodes: list[str]) -> None:
    def probe() -> Driver:
        if isinstance(found, HifaError):
            raise found
        return found

    monkeypatch.setattr(opengl, "probe", probe)
    monkeypatch.setattr(choice, "gpu_nodes", lambda: nodes)


GPU = Driver("NVIDIA H100/PCIe/SSE2", "NVIDIA Corporation", "4.6.0")
CPU = Driver("llvmpipe (LLVM 15.0.6, 256 bits)", "Mesa", "4.5")


@pytest.mark.parametrize(
    ("wanted", "found", "nodes", "renderer", "fell_back"),
    [
        ("auto", GPU, ["/dev/nvidia0"], "opengl", False),
        ("auto", CPU, ["/dev/nvidia0"], "builtin", False),
        ("auto", GPU, [], "builtin", False),
        ("auto", HifaError("no EGL"), ["/dev/nvidia0"], "builtin", False),
        ("builtin", GPU, ["/dev/nvidia0"], "builtin", False),
        ("opengl", GPU, [], "opengl", False),
        ("opengl", CPU, [], "opengl", False),
        ("opengl", HifaError("no EGL"), [], "builtin", True),
    ],
)
def test_the_renderer_is_chosen_by_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    found: Driver | HifaError,
    nodes: list[str],
    renderer: str,
    fell_back: bool,
) -> None:
    pretend(monkeypatch, found, nodes)
    chosen = choose(wanted)  # type: ignore[arg-type]
    assert (chosen.renderer, chosen.fell_back) == (renderer, fell_back)
    assert chosen.reason


def test_nothing_of_opengl_is_loaded_to_draw_with_the_builtin_renderer() -> None:
    program = (
        "import sys; from hifa_cli.config import RenderConfig; from hifa_cli.render.views import MeshViews\n"
        "MeshViews(RenderConfig()).warm_up()\n"
        "print([name for name in ('OpenGL', 'pyrender', 'trimesh', 'torch') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"
