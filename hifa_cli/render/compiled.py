"""Compiled loops that start quickly: numba with its compilation kept on disk wherever a place is left."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hifa_cli.runtime import local_settings

P = ParamSpec("P")
T = TypeVar("T")


def compiled(loop: Callable[P, T]) -> Callable[P, T]:
    """Compile ``loop`` at its first call and keep the result for later processes.

    The result is kept beside the module, else in the user's cache folder (numba's own order), else in
    the temporary folder: a read-only installation of a user without a home still compiles only once.

    Note:
        A kept result is thrown away when its own file changes, but not when a compiled function that it
        calls from another file does: compiled functions that call each other stand in one file, and
        constants come in as arguments.
    """
    made: Callable[P, T] = _kept(loop)
    return made


def helper(loop: Callable[P, T]) -> Callable[P, T]:
    """Compile a function that compiled loops call and that makes no arrays; see :func:`compiled`.

    Numba counts the references to every array that a function is given unless it is told that nothing is
    allocated. Counting is locked against other threads, and takes three times as long as reading a number.
    """
    with local_settings.ignored():
        from numba.core.options import DefaultOptions

    made: Callable[P, T] = _kept(loop, **({"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}))
    return made


def _kept(loop: Callable[P, T], **options: Any) -> Any:
    with local_settings.ignored():
        import numba

        numba.core.config._config_fname = os.devnull  # it looks again at every compilation
    kept: Any
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        kept = numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # numba found no place to write
        vars(numba.config)["CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"] = str(_private_cache())
        try:
            kept = numba.njit(cache=True, **options)(loop)
        except (RuntimeError, OSError):
            kept = numba.njit(**options)(loop)
    return kept


def row_writer(instructions: Callable[..., None]) -> Callable[..., None]:
    """Make a function that compiled loops can call of ``instructions`` on a part of a row.

    Args:
        instructions: writes LLVM's instructions, given a builder, a pointer to an array's first element
            and the other six arguments of the function.

    Returns:
        A function of the array, an index into it, a start and a step (float64), two columns and a mark.
    """
    with local_settings.ignored():
        from numba.core import types
        from numba.extending import intrinsic

    def typed(  # numba gives no arguments to an open list of them
        context: Any, array: Any, at: Any, start: Any, step: Any, first: Any, last: Any, mark: Any
    ) -> Any:
        def code(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = target.make_array(signature.args[0])(target, builder, values[0]).data
            instructions(builder, pointer, *values[1:])
            return target.get_dummy_value()

        return types.void(array, at, start, step, first, last, mark), code

    made: Callable[..., None] = intrinsic(typed)
    return made


def tuple_writer(instructions: Callable[..., None]) -> Callable[..., None]:
    """Make a function that compiled loops can call of ``instructions`` on an array and three tuples.

    Args:
        instructions: writes LLVM's instructions, given a builder, a pointer to the array's first element
            and the tuples, each of numbers of one kind.

    Returns:
        A function of the array and the tuples.
    """
    with local_settings.ignored():
        from numba.core import types
        from numba.extending import intrinsic

    def typed(context: Any, array: Any, one: Any, two: Any, three: Any) -> Any:
        def code(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = target.make_array(signature.args[0])(target, builder, values[0]).data
            instructions(builder, pointer, *values[1:])
            return target.get_dummy_value()

        return types.void(array, one, two, three), code

    made: Callable[..., None] = intrinsic(typed)
    return made


def bit_finder() -> Any:
    """Make a function that compiled loops can call for the place of a word's lowest set bit.

    Returns:
        A function of 64 bits; 64 where none is set.
    """
    with local_settings.ignored():
        from numba.core import types
        from numba.extending import intrinsic

    def typed(context: Any, word: Any) -> Any:
        def code(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            from llvmlite import ir

            return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), code

    return intrinsic(typed)


def word_reader() -> Any:
    """Make a function that compiled loops can call for eight bytes of an array, the first one lowest.

    Returns:
        A function of an array of bytes and a place, which has seven more behind it.
    """
    with local_settings.ignored():
        from numba.core import types
        from numba.extending import intrinsic

    def typed(context: Any, text: Any, place: Any) -> Any:
        def code(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            from llvmlite import ir

            first = builder.gep(
                target.make_array(signature.args[0])(target, builder, values[0]).data, [values[1]]
            )
            word = builder.load(builder.bitcast(first, ir.IntType(64).as_pointer()), align=1)
            return word if sys.byteorder == "little" else builder.bswap(word)

        return types.uint64(text, types.int64), code

    return intrinsic(typed)


def _private_cache() -> Path:
    """Return a folder in the temporary one that nobody else can write to: what lies there is executed."""
    folder = Path(tempfile.gettempdir()) / f"hifa-compiled-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not stat.S_ISDIR(status.st_mode) or not ours or status.st_mode & 0o022:
            raise PermissionError(folder)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hifa-compiled-"))
    return folder
