"""A set like MI3DOR-2's shapes, from ModelNet40.

MI3DOR-2's 3D side is almost surely the subset of ModelNet40 that MVCNN used: of each class at most the
first 80 training and the first 20 test meshes (Zhou et al. 2020, section 4.1; Su et al. 2015).
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hifa_cli.data.mi3dor import MI3DOR2_CLASSES
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_folder

PER_CLASS: Mapping[str, int] = {"train": 80, "test": 20}


@dataclass(frozen=True)
class LaidOut:
    """The number of meshes of each split that were laid out, and the classes that are absent."""

    counts: dict[str, int]
    missing: tuple[str, ...]


def lay_out(modelnet: Path, out: Path, *, copy: bool = False) -> LaidOut:
    """Lay the chosen meshes out as ``OUT/<split>/<class>/<name>.off``, with a list of them in ``list.csv``.

    Files are linked where the file system can, for ModelNet40 takes 10 GB; with ``copy`` they are copied.

    Args:
        modelnet: the unpacked ModelNet40, with ``<class>/<split>/<class>_0001.off``.
        out: folder to make, whole or not at all.
        copy: copy rather than link.

    Returns:
        Counts by split, and the classes that are absent.

    Raises:
        HifaError: ``modelnet`` has no such tree, a mesh cannot be read, or ``out`` cannot be written.
    """
    root = _root(modelnet)
    chosen = {
        (split, name): _first(root / name / split, most)
        for split, most in PER_CLASS.items()
        for name in MI3DOR2_CLASSES
    }
    with written_folder(out) as temporary:
        lines = ["path,class,split"]
        for (split, name), meshes in progress.track(chosen.items(), "lay out", total=len(chosen)):
            folder = temporary / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for mesh in meshes:
                _place(mesh, folder / mesh.name, copy=copy)
                lines.append(f"{split}/{name}/{mesh.name},{name},{split}")
        (temporary / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return LaidOut(
        counts={split: sum(len(chosen[split, name]) for name in MI3DOR2_CLASSES) for split in PER_CLASS},
        missing=tuple(
            name for name in MI3DOR2_CLASSES if not any(chosen[split, name] for split in PER_CLASS)
        ),
    )


def _root(modelnet: Path) -> Path:
    """Return the folder with the class folders: the archive has a folder of its own inside."""
    if not modelnet.is_dir():
        raise HifaError(f"the folder {modelnet} does not exist: unpack ModelNet40.zip and give its folder")
    for root in (modelnet, modelnet / "ModelNet40"):
        if any((root / name / "train").is_dir() for name in MI3DOR2_CLASSES):
            return root
    raise HifaError(
        f"{modelnet} is not ModelNet40: it has no <class>/train/<class>_0001.off, such as chair/train"
    )


def _first(folder: Path, most: int) -> list[Path]:
    """Return the first meshes by number, as ModelNet counts on from training to test."""
    meshes = [path for path in folder.glob("*.off") if path.is_file() and not path.name.startswith(".")]
    return sorted(meshes, key=_number)[:most]


def _number(path: Path) -> tuple[int, str]:
    match = re.search(r"(\d+)$", path.stem)
    return (int(match[1]) if match else 0, path.name)


def _place(source: Path, target: Path, *, copy: bool) -> None:
    if not copy:
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    try:
        source.open("rb").close()
    except OSError as error:
        raise HifaError(
            f"cannot read {source}: {error.strerror}; a set without it is not such a set"
        ) from error
    shutil.copyfile(source, target)
