"""Meshes that the tests make themselves, and writers of their files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.meshes import Mesh

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]

_BOX_QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def box(x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Mesh:
    """A closed box of these edge lengths around the origin, 12 faces on 8 shared vertices."""
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    faces = [face for a, b, c, d in _BOX_QUADS for face in ((a, b, c), (a, c, d))]
    return Mesh(corners * [x, y, z], np.array(faces, dtype=np.int32))


def ball(rings: int = 96) -> Mesh:
    """A unit sphere of 4·rings² − 4·rings triangles, its poles on z."""
    polar = np.pi * np.arange(rings + 1) / rings
    around = np.pi * np.arange(2 * rings) / rings
    p, a = np.meshgrid(polar, around, indexing="ij")
    vertices = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=-1).reshape(-1, 3)
    at = np.arange((rings + 1) * 2 * rings).reshape(rings + 1, 2 * rings)
    right = np.roll(at, -1, axis=1)
    lower = np.stack([at[:-1], at[1:], right[1:]], axis=-1)[: rings - 1]  # none at the last pole
    upper = np.stack([at[:-1], right[1:], right[:-1]], axis=-1)[1:]  # none at the first
    faces = np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)])
    return Mesh(vertices, faces.astype(np.int32))


def soup(seed: int, faces: int = 40) -> Mesh:
    """Triangles anywhere, that share nothing and face everywhere."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(-1, 1, (faces, 1, 3))
    corners = centres + generator.normal(0, 0.3, (faces, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * faces, dtype=np.int32).reshape(-1, 3))


def chair() -> Mesh:
    """Boxes that make a chair: looks different from every side."""
    parts = [box(1, 1, 0.1), moved(box(1, 0.1, 1), 0, 0.45, 0.5)]
    for x in (-0.4, 0.4):
        for y in (-0.4, 0.4):
            parts.append(moved(box(0.1, 0.1, 0.9), x, y, -0.45))
    return joined(parts)


def joined(parts: list[Mesh]) -> Mesh:
    """One mesh of several bodies."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces).astype(np.int32))


def moved(mesh: Mesh, x: float, y: float, z: float) -> Mesh:
    """The mesh in another place."""
    return Mesh(mesh.vertices + np.array([x, y, z]), mesh.faces)


def turned(mesh: Mesh, degrees: float) -> Mesh:
    """The mesh turned counter-clockwise about z."""
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return Mesh(mesh.vertices @ turn.T, mesh.faces)


def off_text(mesh: Mesh, tag: str = "OFF\n") -> str:
    """OFF, each number with all its digits."""
    lines = [f"{tag}{len(mesh.vertices)} {len(mesh.faces)} 0"]
    lines += [" ".join(repr(float(value)) for value in vertex) for vertex in mesh.vertices]
    lines += [f"3 {a} {b} {c}" for a, b, c in mesh.faces]
    return "\n".join(lines) + "\n"


def obj_text(mesh: Mesh) -> str:
    """OBJ of plain vertices and faces."""
    lines = ["v " + " ".join(repr(float(value)) for value in vertex) for vertex in mesh.vertices]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces]
    return "\n".join(lines) + "\n"


def stl_text(mesh: Mesh) -> str:
    """STL in its text form."""
    lines = ["solid a shape"]
    for face in mesh.vertices[mesh.faces]:
        corners = [f"      vertex {x!r} {y!r} {z!r}" for x, y, z in face.tolist()]
        lines += ["  facet normal 0 0 0", "    outer loop", *corners, "    endloop", "  endfacet"]
    return "\n".join([*lines, "endsolid a shape", ""])


def stl_bytes(mesh: Mesh, header: bytes = b"") -> bytes:
    """STL in its binary form."""
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    faces = np.zeros(len(mesh.faces), dtype=kind)
    faces["corners"] = mesh.vertices[mesh.faces]
    return bytes(header.ljust(80, b"\0") + np.uint32(len(faces)).tobytes() + faces.tobytes())


def write_off(path: Path, mesh: Mesh) -> Path:
    """An OFF file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(off_text(mesh), encoding="utf-8")
    return path
