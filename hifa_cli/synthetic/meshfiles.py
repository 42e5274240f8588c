"""Meshes written as libraries have them: five formats, and now and then a mess."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.synthetic.primitives import Floats, Part, apply, rotation
from hifa_cli.synthetic.sampling import chance, pick
from hifa_cli.synthetic.shapes import joined

Faces = NDArray[np.int32]
UNITS = (1.0, 1.0, 0.01, 39.37, 1000.0)  # of a thing about 1 long; files say nothing about theirs


def write_messy(parts: list[Part], path: Path, suffix: str, rng: np.random.Generator) -> None:
    """Write a thing to ``path`` in the format of ``suffix``: turned, in some unit, not always clean.

    Headings stray a little about the common one, as within one library's kind, and one in eight lies a
    quarter turn off. Three shapes in ten are flawed: parts wound inward, faces doubled, vertices that
    no face uses.

    Args:
        parts: of the thing.
        path: of the file.
        suffix: of the format: .off, .obj, .stl, .ply or .glb.
        rng: chooses heading, unit and flaws.
    """
    heading = rng.normal(0, 8) + pick(rng, (0.0, 90.0, 180.0, -90.0), (21, 1, 1, 1))
    parts = [part.turned("z", heading) for part in parts]
    if flawed := chance(rng, 0.3):
        parts = [_inside_out(part) if chance(rng, 0.3) else part for part in parts]
    vertices, faces, _ = joined(parts)
    vertices = vertices * pick(rng, UNITS)
    if chance(rng, 0.3):
        vertices = vertices + rng.normal(0, 3, 3) * np.ptp(vertices)
    if flawed:
        vertices, faces = _soiled(vertices, faces, rng)
    WRITERS[suffix](path, vertices, faces)


def _inside_out(part: Part) -> Part:
    return Part(part.vertices, part.faces[:, ::-1], part.role)


def _soiled(vertices: Floats, faces: Faces, rng: np.random.Generator) -> tuple[Floats, Faces]:
    """Faces doubled and out of order, stray vertices at the end."""
    doubled = faces[rng.integers(len(faces), size=max(1, len(faces) // 50))]
    strays = vertices[rng.integers(len(vertices), size=5)] + rng.normal(0, 0.01, (5, 3)) * np.ptp(vertices)
    shuffled = rng.permutation(np.concatenate([faces, doubled]), axis=0)
    return np.concatenate([vertices, strays]), shuffled


def _lines(rows: NDArray[np.generic], form: str) -> str:
    return (form + "\n") * len(rows) % tuple(rows.ravel().tolist())


def write_off(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write the Object File Format, as text.

    Args:
        path: of the file.
        vertices: (n, 3).
        faces: (m, 3).
    """
    head = f"OFF\n{len(vertices)} {len(faces)} 0\n"
    path.write_text(head + _lines(vertices, "%.6g %.6g %.6g") + _lines(faces, "3 %d %d %d"), encoding="ascii")


def write_obj(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write Wavefront's format, as text, counting from one.

    Args:
        path: of the file.
        vertices: (n, 3).
        faces: (m, 3).
    """
    path.write_text(_lines(vertices, "v %.6g %.6g %.6g") + _lines(faces + 1, "f %d %d %d"), encoding="ascii")


def write_stl(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write binary STL: a soup of triangles with their normals.

    Args:
        path: of the file.
        vertices: (n, 3).
        faces: (m, 3).
    """
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-30)
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
    rows = np.zeros(len(faces), dtype=record)
    rows["normal"], rows["corners"] = normals, corners
    path.write_bytes(bytes(80) + struct.pack("<I", len(faces)) + rows.tobytes())


def write_ply(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write binary PLY, little-endian.

    Args:
        path: of the file.
        vertices: (n, 3).
        faces: (m, 3).
    """
    head = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(faces), dtype=np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    path.write_bytes(head.encode("ascii") + vertices.astype("<f4").tobytes() + rows.tobytes())


def write_glb(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write binary glTF 2.0, whose up is +Y by its specification: the thing is laid over accordingly.

    Args:
        path: of the file.
        vertices: (n, 3), upright along +z.
        faces: (m, 3).
    """
    points = apply(rotation("x", -90), vertices).astype("<f4")
    binary = points.tobytes() + faces.astype("<u4").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3",
             "min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()},
            {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": points.nbytes},
            {"buffer": 0, "byteOffset": points.nbytes, "byteLength": faces.nbytes},
        ],
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    text = json.dumps(document).encode("ascii")
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)


WRITERS: dict[str, Callable[[Path, Floats, Faces], None]] = {
    ".off": write_off, ".obj": write_obj, ".stl": write_stl, ".ply": write_ply, ".glb": write_glb,
}  # fmt: skip
