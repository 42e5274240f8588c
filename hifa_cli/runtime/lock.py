"""One writer at a time, by a lock that the system drops when its holder dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hifa_cli.errors import HifaError

LOCK_FILE = ".lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold a gallery's ``folder`` against other writers; readers are not kept out.

    Raises:
        HifaError: somebody else is writing, or the folder cannot be written to.
    """
    handle = _held(folder / LOCK_FILE, f"changing the gallery {folder}")
    try:
        yield
    finally:
        os.close(handle)  # drops the lock; the file stays, so that all lock the same one


@contextmanager
def sole_output(target: Path) -> Iterator[None]:
    """Hold a file or a folder that is being written, there yet or not, against other writers.

    The lock lies beside ``target``, which may be replaced meanwhile, and goes when the block ends.

    Raises:
        HifaError: somebody else is writing it, or the place cannot be written to.
    """
    target = target.resolve()  # one lock, whatever it is called
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HifaError(f"cannot write {target}: {error.strerror}; choose another --out") from error
    path = target.with_name(f".{target.name}{LOCK_FILE}")
    handle = _held(path, f"writing {target}")
    try:
        yield
    finally:
        with suppress(OSError):  # removed while held: who locks it next sees that it is gone
            path.unlink()
        os.close(handle)


def _held(path: Path, doing: str) -> int:
    """Open and lock a file, and write this process into it."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise HifaError(
                f"cannot write in {path.parent}: {error.strerror}; choose another --out"
            ) from error
        if not _taken(handle):
            who = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise HifaError(f"another hifa (process {who}) is {doing}: wait until it has done")
        if _is_still(handle, path):
            break
        os.close(handle)  # its holder removed it between our opening and locking
    with suppress(OSError):  # a full disk holds locks all the same
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    return handle


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _taken(handle: int) -> bool:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # a byte that nobody reads: locks are mandatory here
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
