"""Reading a mesh in a process of its own, for formats whose reader can take its process down (STEP).

``hifa render`` reads every mesh so (:mod:`.workers`); this is for whoever wants the mesh itself.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.runtime.child import module_command

FRAGILE = (".step", ".stp")
_REFUSED = 3  # exit status: the reason stands on standard error


def read_safely(path: Path) -> Mesh:
    """``read_mesh``, apart where the format's reader is fragile.

    Raises:
        HifaError: as ``read_mesh``, or the process died or took too long.
    """
    if path.suffix.lower() not in FRAGILE:
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
            raise HifaError(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
        if done.returncode:
            raise HifaError(f"{path}: its reader broke down (status {done.returncode}): save it as GLB")
        vertices, faces = (
            np.load(Path(scratch) / f"{name}.npy", allow_pickle=False) for name in Mesh._fields
        )
        return Mesh(vertices, faces)


def main(path: Path, out: Path) -> int:
    """Read ``path`` and leave its arrays in ``out``; an exit status."""
    try:
        mesh = read_mesh(path)
    except HifaError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return _REFUSED
    for name, array in mesh._asdict().items():
        np.save(out / f"{name}.npy", array)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
