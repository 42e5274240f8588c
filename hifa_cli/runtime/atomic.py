"""Writing that is whole or not there: beside the target, then renamed."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from hifa_cli.errors import FULL, MAKE_ROOM, HifaError, NoRoom

# What is half-written bears the machine and the process that writes it.
_HALF = re.compile(r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\w{8}\.(?P<kind>part|old)")
_FORGOTTEN = 86_400.0  # seconds after which another machine's half-written things count as given up


def _beside(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(f"cannot write in {target.parent}")
    except OSError as error:
        raise _failure(target, error) from error
    _swept(target.parent.absolute())
    return target.parent


def _failure(target: Path, error: OSError) -> HifaError:
    why = f"cannot write {target}: {error.strerror or error}"
    return NoRoom(f"{why}; {MAKE_ROOM}") if error.errno in FULL else HifaError(f"{why}; choose another --out")


@cache
def _swept(folder: Path) -> None:
    """Sweep a folder once a process: it may hold a hundred thousand entries."""
    sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left half-written in ``folder``; put back what they moved aside.

    What a living process of this machine is writing is left alone.
    """
    with suppress(OSError):
        halves = [path for path in folder.iterdir() if path.suffix in (".part", ".old")]
        for path in halves:
            if not (found := _HALF.fullmatch(path.name)) or _is_alive(found, path):
                continue
            target = folder / found["name"]
            if found["kind"] == "old" and not target.exists():
                os.rename(path, target)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_alive(half: "re.Match[str]", path: Path) -> bool:
    """Return whether somebody may still be writing."""
    if half["machine"] != _machine():
        return time.time() - path.stat().st_mtime < _FORGOTTEN
    process = int(half["process"])
    if os.name == "nt":  # there, asking for a process by a signal ends it; what is open cannot be removed
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@cache
def _machine() -> str:
    return hashlib.blake2b(socket.gethostname().encode("utf-8", "replace"), digest_size=4).hexdigest()


def _prefix(target: Path) -> str:
    return f".{target.name}.{_machine()}-{os.getpid()}-"


@contextmanager
def written_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` when the block ends well.

    Raises:
        HifaError: the folder cannot be written to.
        NoRoom: the disk is full.
    """
    folder = _beside(target)
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=".part", dir=folder)
    except OSError as error:
        raise _failure(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise _failure(target, error) from error
    finally:
        with suppress(OSError):  # renamed already, or the folder has been taken away
            temporary.unlink()


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; put it in ``target``'s place when the block ends well.

    A folder already at ``target`` is moved aside first and removed last, so that one of the two is
    always whole.

    Raises:
        HifaError: the folder cannot be written to.
        NoRoom: the disk is full.
    """
    parent = _beside(target)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".part", dir=parent))
    except OSError as error:
        raise _failure(target, error) from error
    old = temporary.with_suffix(".old")
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            os.rename(target, old)
        os.rename(temporary, target)
    except OSError as error:
        raise _failure(target, error) from error
    finally:
        if old.exists() and not target.exists():  # also where Ctrl-C came between the two
            os.rename(old, target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(folder: Path, *, last: str) -> None:
    """Remove a folder and all that is in it; the file ``last`` goes last.

    Who is killed meanwhile leaves a folder that still says what it is, and may be removed by the next.
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != last:
            path.unlink()
    shutil.rmtree(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
