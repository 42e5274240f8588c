"""NumPy files are read by several threads at once, and never unpickled."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.runtime.arrays import read_array, read_arrays

# Rubbish with a finalizer lets threads change places in the middle of a parse: CPython fails.
THREADS = """
import gc, sys, threading
from pathlib import Path
from hifa_cli.runtime.arrays import read_array, read_arrays
sys.setswitchinterval(1e-6)
gc.set_threshold(20)
failed = []

class Rubbish:
    def __init__(self):
        self.me = self
    def __del__(self):
        for _ in range(50):
            pass

def read(number):
    try:
        for _ in range(1_000):
            Rubbish()
            if number % 2:
                read_array(Path(sys.argv[1]), mapped=number > 2)
            else:
                read_arrays(Path(sys.argv[2]))
    except BaseException as error:
        failed.append(repr(error))

threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*failed, sep="\\n", end="")
"""


def test_threads_read_arrays_side_by_side(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((3, 4, 5)))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.ones((2, 2)))
    command = [sys.executable, "-c", THREADS, str(tmp_path / "one.npy"), str(tmp_path / "two.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stdout


def test_the_arrays_that_are_wanted_are_read_by_name() -> None:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3), b=np.ones(2))
    file.seek(0)
    found = read_arrays(file, ("a",))
    assert list(found) == ["a"]
    assert found["a"].tolist() == [0, 1, 2]
    with pytest.raises(KeyError):
        read_arrays(io.BytesIO(file.getvalue()), ("c",))


def test_one_array_is_not_taken_for_several_nor_several_for_one(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "two.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="several"):
        read_array(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="several"):
        read_arrays(tmp_path / "one.npy")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        read_array(tmp_path / "bad.npy")


def test_numpy_files_are_read_in_one_place_only() -> None:
    code = Path(__file__).parents[2] / "hifa_cli"
    found = [path.name for path in code.rglob("*.py") if "np.load(" in path.read_text(encoding="utf-8")]
    assert found == ["arrays.py"]
