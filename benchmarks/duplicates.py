"""Precision and recall of 'hifa duplicates' on meshes with known copies.

    python benchmarks/duplicates.py MESHES [--most 40] [--work FOLDER]

Takes meshes spread over MESHES and writes of each: the file again, the same as OBJ, binary STL and PLY,
turned, scaled, mirrored, turned and subdivided, and decimated to half of its faces (by fast-simplification);
makes a gallery of all, and runs the command. A pair of shapes counts as right when both come from one mesh.
Prints precision, and recall for each kind of copy. Meshes that are equal in MESHES itself count as wrong:
look at the pairs that are printed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import read_mesh


def write_copies(path: Path, number: int, out: Path) -> None:
    """Write a mesh and its copies into folders named after their kinds."""
    mesh = read_mesh(path)
    body: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    generator = np.random.default_rng(number)
    turn = np.eye(4)
    turn[:3, :3] = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    turn[:3, :3] *= np.sign(np.linalg.det(turn[:3, :3]))
    turn[:3, 3] = generator.normal(size=3) * body.extents.max()
    turned = body.copy().apply_transform(turn)
    mirrored = body.copy()
    mirrored.apply_transform(np.diag([-1.0, 1.0, 1.0, 1.0]))
    whole: Any = trimesh.Trimesh(mesh.vertices, mesh.faces)  # with its vertices joined
    name = f"{number:04d}"
    for kind, ending, made in (
        ("original", "off", body), ("copy", "off", body), ("obj", "obj", body), ("stl", "stl", body),
        ("ply", "ply", body), ("turned", "off", turned),
        ("scaled", "off", body.copy().apply_scale(25.4)), ("mirrored", "obj", mirrored),
        ("subdivided", "ply", turned.subdivide()),
        ("decimated", "off", whole.simplify_quadric_decimation(percent=0.5)),
    ):  # fmt: skip
        (out / kind).mkdir(parents=True, exist_ok=True)
        made.export(out / kind / f"{name}.{ending}")


def main() -> None:
    """Write copies, index them, look for duplicates, count."""
    parser = argparse.ArgumentParser(description="precision and recall of 'hifa duplicates'")
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    every = find_meshes([given.meshes])[0]
    chosen = [one.path for one in every[:: max(1, len(every) // given.most)]][: given.most]
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        hifa = [sys.executable, "-m", "hifa_cli"]
        if not (work / "gallery").is_dir():
            for number, path in enumerate(chosen):
                write_copies(path, number, work / "meshes")
            subprocess.run(
                [*hifa, "index", str(work / "meshes"), "-o", str(work / "gallery"), "-q"], check=True
            )
        started = time.monotonic()
        done = subprocess.run(
            [*hifa, "duplicates", str(work / "gallery"), "--json"], check=True, capture_output=True, text=True
        )
        seconds = time.monotonic() - started
    found = json.loads(done.stdout)
    report(found, len(chosen), seconds)


def report(found: dict[str, object], count: int, seconds: float) -> None:
    """Print the figures."""
    families: list[list[dict[str, str]]] = found["families"]  # type: ignore[assignment]
    kinds = ("copy", "obj", "stl", "ply", "turned", "scaled", "mirrored", "subdivided", "decimated")
    together = {}
    right = wrong = 0
    for family in families:
        ids = [member["shape"].split("/") for member in family]
        for place, (kind, name) in enumerate(ids):
            for other, twin in ids[place + 1 :]:
                right, wrong = right + (name == twin), wrong + (name != twin)
                if name != twin and "original" in (kind, other):
                    print(f"different meshes in one family: {kind}/{name} {other}/{twin}")
                if name == twin and "original" in (kind, other):
                    together[kind if other == "original" else other, name] = True
    print(f"{found['shapes']} shapes, {found['pairs']} pairs, {seconds:.0f} s")
    print(f"precision {right / max(1, right + wrong):.4f}")
    for kind in kinds:
        print(f"recall {kind}: {sum(one == kind for one, _ in together) / count:.3f}")


if __name__ == "__main__":
    main()
