"""Meshes on disk: which files there are and what their shapes are called."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hifa_cli.data import layouts
from hifa_cli.data.formats import format_of_suffix, is_read, rank, shape_name
from hifa_cli.render.validate import gltf_buffers
from hifa_cli.runtime import progress


class MeshFile(NamedTuple):
    """A mesh file and its shape's id, as the layout of its folder has it."""

    id: str
    path: Path


class Failure(NamedTuple):
    """A mesh that was not drawn, and why."""

    path: Path
    reason: str


class Found(NamedTuple):
    """The meshes of some places, what stands in the way of others, and the layout of every folder."""

    meshes: list[MeshFile]
    failures: list[Failure]
    layouts: list[layouts.Chosen]


def find_meshes(places: Sequence[Path], layout: str = layouts.AUTO) -> Found:
    """Return the mesh files among ``places`` and below its folders, sorted within each place.

    Links are followed, hidden files and folders left out. A file given directly is taken whatever its
    ending and has its stem as id. In a folder the layout gives the ids: of plain folders the path in it, with
    ``/`` and without the ending.

    Args:
        places: files and folders.
        layout: of the folders; ``auto`` recognises it.

    Returns:
        The meshes, their ids distinct and none a folder of another; and what stands in the way: places
        that do not exist, links that lead nowhere, and meshes whose id is taken.

    Raises:
        HifaError: the layout does not exist, or a list of the data set cannot be read.
    """
    chosen: list[layouts.Chosen] = []
    meshes: dict[str, MeshFile] = {}
    failures: list[Failure] = []
    seen: set[Path] = set()
    for place in places:
        for mesh in _meshes_of(Path(place), layout, failures, chosen):
            if mesh.path.absolute() in seen:
                continue  # the same file given twice
            seen.add(mesh.path.absolute())
            if not mesh.path.is_file():
                reason = "is not an ordinary file" if mesh.path.exists() else "does not exist"
                failures.append(Failure(mesh.path, reason))
            elif mesh.id in meshes:
                other = meshes[mesh.id].path
                failures.append(Failure(mesh.path, f"has the same id '{mesh.id}' as {other}: rename one"))
            else:
                meshes[mesh.id] = mesh
    for name in _folders_of_others(meshes):
        reason = f"its id '{name}' is also the folder of other shapes: rename one"
        failures.append(Failure(meshes.pop(name).path, reason))
    return Found(list(meshes.values()), failures, chosen)


def _meshes_of(
    place: Path, layout: str, failures: list[Failure], chosen: list[layouts.Chosen]
) -> Iterator[MeshFile]:
    if not place.is_dir():
        yield MeshFile(shape_name(place), place)
        return
    files = sorted(_files_below(place, frozenset(), failures))
    paths = _originals([path for path in files if is_read(path)])
    if paths:
        shapes, one = layouts.lay_out(place, paths, layout)
        chosen.append(one)
        yield from (MeshFile(shape.id, shape.path) for shape in shapes)


def _originals(paths: list[Path]) -> list[Path]:
    """Leave out the copies of a shape that lie beside it in formats that libraries read, or packed."""
    files: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        files[path.parent / shape_name(path)].append(path)
    copies = {path for same in files.values() for path in _copies(same)}
    if copies:
        more = f" and {len(copies) - 1} more" if len(copies) > 1 else ""
        progress.note(f"{min(copies).name}{more}: left out, the same shapes lie beside them in other formats")
    return [path for path in paths if path not in copies]


def _copies(same: list[Path]) -> list[Path]:
    """Return which files of one shape do not count: hifa reads none of them itself, or others."""
    own = [path for path in same if (found := format_of_suffix(path.suffix)) and not found.isolated]
    return [path for path in same if path not in (own or [min(same, key=rank)])]


def _files_below(folder: Path, above: frozenset[str], failures: list[Failure]) -> Iterator[Path]:
    """Files below ``folder``; ``above`` holds the real paths on the way down, so that links cannot loop."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        failures.append(Failure(folder, f"cannot be listed: {error.strerror}"))
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files_below(folder / entry.name, above | {real}, failures)
        else:
            yield folder / entry.name


def _folders_of_others(ids: dict[str, MeshFile]) -> set[str]:
    parents = {parent.as_posix() for name in ids for parent in Path(name).parents}
    return parents & ids.keys()


def mesh_digest(path: Path) -> str:
    """A digest of everything that a mesh is read from: its bytes, and the buffers that a glTF names."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (path, *gltf_buffers(path)):
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
