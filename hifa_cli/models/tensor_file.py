"""Read the tensors of a file that ``torch.save`` wrote, with neither torch nor any code of the file's own.

Both forms are read: the zip archive of today and the plain stream of pickles that older wheels carry. The
unpickler knows five names; a file that asks for another one is refused before anything of it is built.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError

Tensors = dict[str, NDArray[Any]]
_MAGIC = 0x1950A86A20F9469CFC6C  # at the head of the older form
_PROTOCOL = 1001
_KINDS = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?",
}  # fmt: skip
_MOST_PICKLED = 64 << 20  # bytes of names and shapes


class _Storage(NamedTuple):
    """A run of numbers that several tensors may share."""

    key: str
    kind: str  # of numpy
    length: int


class _Described(NamedTuple):
    """A tensor before its numbers are read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(pickle.UnpicklingError):
    """A file that this reader refuses, in words for the user."""


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of a state dict as arrays, in the order of the file.

    Raises:
        HifaError: the file cannot be read, is damaged, or holds more than named tensors.
    """
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _from_zip(file)
            file.seek(0)
            return _from_stream(file)
    except OSError as error:
        raise HifaError(f"cannot read the weights {path}: {error.strerror}") from error
    except (pickle.UnpicklingError, zipfile.BadZipFile, ValueError, TypeError, KeyError, EOFError,
            AttributeError, IndexError, struct.error, RecursionError, MemoryError, OverflowError,
            NotImplementedError, ImportError) as error:  # fmt: skip
        why = str(error) if isinstance(error, _Refused) else "save model.state_dict() again"
        raise HifaError(f"the weights {path} are damaged or hold more than tensors: {why}") from error


class _Tensors(pickle.Unpickler):
    """Rebuilds descriptions of tensors, ordered dictionaries and plain values; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in _KINDS:
            return _KINDS[name]
        raise _Refused(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise _Refused("it refers to something that is not a storage")
        _, kind, key, _, count = pid[:5]
        if kind not in _KINDS.values() or not isinstance(key, str) or type(count) is not int or count < 0:
            raise _Refused("it describes a storage that cannot be")
        return _Storage(key, kind, count)


def _described(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Described:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or any(type(one) is not int or one < 0 for one in numbers):
        raise _Refused("it describes a tensor that cannot be")
    return _Described(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> _Described:
    if not isinstance(tensor, _Described):
        raise _Refused("it describes a parameter that is not a tensor")
    return tensor


def _from_zip(file: IO[bytes]) -> Tensors:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _Refused("an archive of tensors is not compressed")
        main = next(name for name in names if name.endswith("/data.pkl"))
        root = main.removesuffix("data.pkl")
        if archive.getinfo(main).file_size > _MOST_PICKLED:
            raise _Refused("too many names")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise _Refused("big-endian numbers")
        with archive.open(main) as content:
            found = _Tensors(content, encoding="utf-8").load()
        return _filled(found, lambda storage: archive.read(f"{root}data/{storage.key}"))


def _from_stream(file: IO[bytes]) -> Tensors:
    if _Tensors(file).load() != _MAGIC or _Tensors(file).load() != _PROTOCOL:
        raise _Refused("not a file of torch.save")
    if _Tensors(file).load().get("little_endian") is not True:
        raise _Refused("big-endian numbers")
    found = _Tensors(file, encoding="utf-8").load()
    keys = _Tensors(file, encoding="utf-8").load()
    kinds = {one.storage.key: one.storage for one in _state(found).values()}
    contents: dict[str, bytes] = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        contents[key] = file.read(_bytes(kinds[key]) if count == kinds[key].length else -1)
    return _filled(found, lambda storage: contents[storage.key])


def _state(found: Any) -> dict[str, _Described]:
    """Return the state dict in what was unpickled: itself, or under ``state_dict``."""
    if isinstance(found, dict):
        found = found.get("state_dict", found)
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(one, _Described) for name, one in found.items()
    ):
        raise _Refused("it is not a state dict: save model.state_dict()")
    return found


def _filled(found: Any, content: Callable[[_Storage], bytes]) -> Tensors:
    return {name: _array(one, content(one.storage)) for name, one in _state(found).items()}


def _bytes(storage: _Storage) -> int:
    return storage.length * np.dtype(storage.kind).itemsize


def _array(one: _Described, content: bytes) -> NDArray[Any]:
    """Return the tensor's numbers, copied; none lies outside its storage and none is used twice."""
    if len(content) != _bytes(one.storage):
        raise _Refused("a storage is shorter than its description")
    numbers = np.frombuffer(content, dtype=one.storage.kind)
    if len(one.shape) != len(one.strides):
        raise _Refused("a tensor of two shapes")
    if not prod(one.shape):
        return np.zeros(one.shape, dtype=numbers.dtype)
    reach = sum((side - 1) * stride for side, stride in zip(one.shape, one.strides, strict=True))
    if one.offset + reach >= len(numbers) or prod(one.shape) > len(numbers):
        raise _Refused("a tensor lies outside its storage")
    strides = tuple(stride * numbers.itemsize for stride in one.strides)
    view = np.lib.stride_tricks.as_strided(numbers[one.offset :], one.shape, strides, writeable=False)
    return np.array(view, order="C")
