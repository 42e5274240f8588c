"""Reading a mesh in a process of its own, where the format's reader can take its process down.

Those are libraries of native code: of STEP and other formats, and the decoders of compressed glTF.


``hifa render`` reads every mesh so (:mod:`.workers`); this is for whoever wants the mesh itself.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hifa_cli.config import RenderConfig
from hifa_cli.data.formats import ARCHIVE_SUFFIXES
from hifa_cli.errors import HifaError
from hifa_cli.render.contents import format_of
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.readers import gltf
from hifa_cli.runtime.arrays import read_array
from hifa_cli.runtime.child import module_command

_REFUSED = 3  # exit status
_REMARK = "remark.txt"
_REASON = "reason.txt"  # why, if so: libraries write to standard error what they like


def read_safely(path: Path) -> Mesh:
    """Return ``read_mesh``, apart where the format's reader is fragile.

    Raises:
        HifaError: as ``read_mesh``, or the process died or took too long.
    """
    if not _fragile(path):
        return read_mesh(path)
    with TemporaryDirectory() as scratch:
        command = module_command("hifa_cli.render.isolated", str(path.absolute()), scratch)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=RenderConfig.timeout,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise HifaError(f"{path}: takes longer than {RenderConfig.timeout:g} s to read") from error
        if done.returncode == _REFUSED:
            raise HifaError((Path(scratch) / _REASON).read_text(encoding="utf-8"))
        if done.returncode:
            raise HifaError(f"{path}: its reader broke down (status {done.returncode}): save it as GLB")
        vertices, faces = (read_array(Path(scratch) / f"{name}.npy") for name in Mesh._fields)
        mesh = Mesh(vertices, faces)
        mesh.remark = (Path(scratch) / _REMARK).read_text(encoding="utf-8")
        return mesh


def _fragile(path: Path) -> bool:
    """Return whether a library would read the file, or what it is packed in, by its first bytes."""
    try:
        found = format_of(path)
        packed = path.suffix.lower() in ARCHIVE_SUFFIXES
        return packed or found.isolated or (found.reader == "gltf" and gltf.is_compressed(path))
    except (HifaError, OSError):  # nothing reads it, and read_mesh says why
        return False


def main(path: Path, out: Path) -> int:
    """Read ``path`` and leave its arrays in ``out``; an exit status."""
    try:
        mesh = read_mesh(path)
    except HifaError as error:
        (out / _REASON).write_text(" ".join(str(error).split()), encoding="utf-8")
        return _REFUSED
    for name, part in mesh._asdict().items():
        np.save(out / f"{name}.npy", part)
    (out / _REMARK).write_text(mesh.remark, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
