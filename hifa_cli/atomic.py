"""Writing that is whole or not there: beside the target, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hifa_cli.errors import HifaError


def _beside(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(f"cannot write in {target.parent}")
    except OSError as error:
        raise HifaError(f"cannot write {target}: {error}; choose another --out") from error
    return target.parent


@contextmanager
def written_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` when the block ends well.

    Raises:
        HifaError: the folder cannot be written to, or the disk is full.
    """
    folder = _beside(target)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise HifaError(f"cannot write {target}: {error.strerror}; choose another --out") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise HifaError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; put it in ``target``'s place when the block ends well.

    A folder already at ``target`` is moved aside first and removed last, so that one of the two is
    always whole.

    Raises:
        HifaError: the folder cannot be written to, or the disk is full.
    """
    parent = _beside(target)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=parent))
    except OSError as error:
        raise HifaError(f"cannot write {target}: {error.strerror}; choose another --out") from error
    old = temporary.with_suffix(".old")
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            os.rename(target, old)
        os.rename(temporary, target)
    except OSError as error:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise HifaError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
