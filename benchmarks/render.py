"""Meshes per second, against the script that a user would write: both in one run, taking turns.

The script loads an OFF file with trimesh, makes a pyrender OffscreenRenderer for it, renders twelve views
and saves them with Pillow. Ours does the same work with ``MeshViews`` and our PNG writer. Each runs in a
process of its own, is warmed up, and takes turns with the other mesh by mesh, so that both see the same
machine. CPU time counts all threads; on an idle core it is the time of one worker.

    python benchmarks/render.py [--renderer builtin|opengl] [--shading mvcnn|smooth] [--in-memory] [--quick]
        [--meshes 1k,10k] [--json]
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZE, VIEWS = 224, 12
Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


def ball(rings: int, around: int) -> Mesh:
    """A bumpy sphere of about 2·rings·around triangles."""
    p, a = np.meshgrid(
        np.pi * np.arange(rings + 1) / rings, 2 * np.pi * np.arange(around) / around, indexing="ij"
    )
    r = 1 + 0.15 * np.sin(5 * a) * np.sin(4 * p)
    vertices = np.stack([r * np.sin(p) * np.cos(a), r * np.sin(p) * np.sin(a), r * np.cos(p)], axis=-1)
    at = np.arange((rings + 1) * around).reshape(rings + 1, around)
    right = np.roll(at, -1, axis=1)
    faces = np.concatenate(
        [
            np.stack([at[:-1], at[1:], right[1:]], axis=-1).reshape(-1, 3),
            np.stack([at[:-1], right[1:], right[:-1]], axis=-1).reshape(-1, 3),
        ]
    )
    return vertices.reshape(-1, 3), faces


def soup(mesh: Mesh) -> Mesh:
    """The same triangles with nothing shared and every other one wound the other way."""
    vertices, faces = mesh[0][mesh[1]].reshape(-1, 3), np.arange(mesh[1].size).reshape(-1, 3)
    faces[::2] = faces[::2, ::-1]
    return vertices, faces


def meshes() -> dict[str, Callable[[], Mesh]]:
    """Name to maker, the name being the number of faces."""
    return {
        "1k": lambda: ball(23, 23),
        "10k": lambda: ball(71, 71),
        "10k soup": lambda: soup(ball(71, 71)),
        "100k": lambda: ball(224, 224),
        "100k soup": lambda: soup(ball(224, 224)),
        "1M": lambda: ball(708, 708),
    }


def write_off(path: Path, mesh: Mesh) -> int:
    """Write OFF with the six digits that most files have; returns the faces."""
    with path.open("w") as file:
        file.write(f"OFF\n{len(mesh[0])} {len(mesh[1])} 0\n")
        np.savetxt(file, mesh[0], fmt="%.6f")
        np.savetxt(file, mesh[1], fmt="3 %d %d %d")
    return len(mesh[1])


def the_users_script(save: bool) -> Callable[[Path, Path], None]:
    """What one writes from pyrender's README."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    import pyrender
    import trimesh
    from PIL import Image

    def script(path: Path, folder: Path) -> None:
        mesh: Any = trimesh.load(path, force="mesh")
        mesh.apply_translation(-mesh.bounds.mean(axis=0))
        mesh.apply_scale(1 / np.linalg.norm(mesh.vertices, axis=1).max())
        scene = pyrender.Scene(bg_color=[1.0, 1.0, 1.0, 1.0], ambient_light=[0.3, 0.3, 0.3])
        scene.add(pyrender.Mesh.from_trimesh(mesh))
        camera = scene.add(pyrender.PerspectiveCamera(yfov=math.radians(40)))
        light = scene.add(pyrender.DirectionalLight(intensity=3.0))
        renderer = pyrender.OffscreenRenderer(SIZE, SIZE)
        for view in range(VIEWS):
            a, e = 2 * math.pi * view / VIEWS, math.radians(30)
            back = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
            right = np.array([-math.sin(a), math.cos(a), 0.0])
            pose = np.eye(4)
            pose[:3] = np.column_stack([right, np.cross(back, right), back, 3 * back])
            scene.set_pose(camera, pose)
            scene.set_pose(light, pose)
            colour, _ = renderer.render(scene)
            if save:
                Image.fromarray(colour).save(folder / f"{view:02d}.png")
        renderer.delete()

    return script


def ours(renderer: Any, shading: Any, save: bool) -> Callable[[Path, Path], None]:
    """The same job with hifa, in one process."""
    from hifa_cli.config import RenderConfig
    from hifa_cli.render.view_io import write_views
    from hifa_cli.render.views import MeshViews

    views = MeshViews(RenderConfig(renderer=renderer, shading=shading))

    def draw(path: Path, folder: Path) -> None:
        pictures = views(path)
        if save:
            write_views(folder, pictures, "")

    return draw


def be_a_child(kind: str, shading: str, save: bool) -> None:
    """Do one mesh a line of standard input; answer with CPU and wall seconds."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = the_users_script(save) if kind == "script" else ours(kind, shading, save)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            cpu, wall = time.process_time(), time.perf_counter()
            job(Path(line.rstrip("\n")), Path(folder))
            answer = time.process_time() - cpu, time.perf_counter() - wall
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def child(kind: str, arguments: argparse.Namespace) -> Callable[[Path], tuple[float, float]]:
    """Start a child; returns a function from a mesh to CPU and wall seconds."""
    command = [sys.executable, __file__, "--child", kind, "--shading", arguments.shading]
    command += ["--in-memory"] if arguments.in_memory else []
    settings = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=settings, encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def time_one(path: Path) -> tuple[float, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        cpu, wall = json.loads(process.stdout.readline())
        return cpu, wall

    return time_one


class Row(NamedTuple):
    """A mesh: medians of both, and how many times the script's cost ours is."""

    mesh: str
    faces: int
    script_cpu_ms: float
    hifa_cpu_ms: float
    script_per_s: float
    hifa_per_s: float
    cpu_ratio: float
    wall_ratio: float

    def line(self) -> str:
        """Return the row in Markdown."""
        cells = [self.mesh, f"{self.faces:,}", f"{self.script_cpu_ms:.0f}", f"{self.hifa_cpu_ms:.1f}"]
        cells += [f"{self.script_per_s:.2f}", f"{self.hifa_per_s:.2f}"]
        return f"| {' | '.join([*cells, f'{self.cpu_ratio:.1f} ×', f'{self.wall_ratio:.1f} ×'])} |"


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Measure mesh after mesh."""
    script, hifa = child("script", arguments), child(arguments.renderer, arguments)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.meshes.split(","):
            path = Path(folder) / f"{name}.off"
            faces = write_off(path, meshes()[name]())
            turns = 1 if faces > 500_000 or arguments.quick else 5
            if faces <= 500_000:
                script(path), hifa(path)
            times = [(script(path), hifa(path)) for _ in range(turns)]
            cpu = [statistics.median(pair[who][0] for pair in times) for who in (0, 1)]
            wall = [statistics.median(pair[who][1] for pair in times) for who in (0, 1)]
            yield Row(
                mesh=name,
                faces=faces,
                script_cpu_ms=round(1000 * cpu[0], 1),
                hifa_cpu_ms=round(1000 * cpu[1], 1),
                script_per_s=round(1 / wall[0], 2),
                hifa_per_s=round(1 / wall[1], 2),
                cpu_ratio=round(cpu[0] / cpu[1], 1),
                wall_ratio=round(wall[0] / wall[1], 1),
            )


def main() -> None:
    """Print a table in Markdown, line by line as it is measured, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--renderer", choices=("builtin", "opengl"), default="builtin")
    parser.add_argument("--shading", choices=("mvcnn", "smooth"), default="mvcnn")
    parser.add_argument("--in-memory", action="store_true", help="leave the PNG files out on both sides")
    parser.add_argument("--quick", action="store_true", help="one turn a mesh")
    parser.add_argument("--meshes", default=",".join(meshes()), help="of them, behind commas")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        be_a_child(arguments.child, arguments.shading, not arguments.in_memory)
        return
    what = "12 views in memory" if arguments.in_memory else "12 PNG files"
    title = f"OFF file to {what}, {arguments.renderer} renderer, {arguments.shading} shading"
    if arguments.json:
        json.dump({"what": title, "rows": [one._asdict() for one in rows(arguments)]}, sys.stdout, indent=2)
        return
    print(
        f"{title}; {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n", flush=True
    )
    print("| mesh | faces | script, CPU ms | hifa, CPU ms | script/s | hifa/s | CPU ratio | wall ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for row in rows(arguments):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
