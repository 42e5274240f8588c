"""The command line: quick help, one line an error, the right exit code, nothing half-written."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hifa_cli import __version__
from hifa_cli.cli import app
from tests.conftest import write_photos

HEAVY = (
    "starlette",
    "uvicorn",
    "python_multipart",
    "torch",
    "torchvision",
    "timm",
    "faiss",
    "trimesh",
    "pyrender",
    "numba",
    "h5py",
    "matplotlib",
    "sklearn",
)
VERBS = (
    "render",
    "train",
    "export",
    "index",
    "query",
    "evaluate",
    "compare",
    "plot",
    "demo",
    "doctor",
    "data",
)


def hifa(*words: object) -> tuple[int, str, str]:
    """Run the command in this process: exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="hifa")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def one_line(stderr: str) -> str:
    """The last line on stderr, which must be the only error."""
    lines = stderr.strip().splitlines()
    assert sum(line.startswith("error:") for line in lines) == 1
    assert "Traceback" not in stderr
    return lines[-1]


@pytest.fixture
def export_file(tmp_path: Path) -> Path:
    """A schema-1 file that h5py alone wrote."""
    path = tmp_path / "mine.h5"
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["chair", "cup"]
        for name, count in (("images", 4), ("shapes", 6)):
            group = file.create_group(name)
            group["ids"] = [f"{name}/{index}" for index in range(count)]
            group["labels"] = np.arange(count) % 2
            group["vectors"] = generator.normal(size=(count, 5)).astype(np.float32)
    return path


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from hifa_cli.cli import app\n"
        "try:\n    app(['--help'], prog_name='hifa')\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_python_m_works_and_says_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"hifa {__version__}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    code, out, _ = hifa(verb, "--help")
    assert code == 0
    assert "Usage" in out


def test_the_readme_mentions_every_verb() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"hifa {verb}" not in readme] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "--images", "nowhere", "--out", "e.h5"], "nowhere"),
        (["train", "--images", "nowhere", "--shapes", "views", "--out", "run"], "nowhere"),
        (["render", "nowhere", "--out", "views"], "nowhere"),
        (["index", "nowhere", "--out", "g"], "nowhere"),
        (["query", "a.jpg", "-g", "nowhere"], "no gallery at nowhere"),
        (["evaluate", "nowhere.h5"], "nowhere.h5"),
        (["export", "--model", "nowhere", "--images", "photos", "--out", "e.h5"], "no model in nowhere"),
        (["export", "--images", "empty", "--out", "e.h5"], "empty"),
        (["index", "empty", "--out", "g"], "empty"),
        (["export", "--shapes", "photos/meshes", "--out", "e.h5"], "hifa render"),
        (["export", "--images", "photos", "--out", "e.h5", "--device", "cuda:77"], "cuda:77"),
        (["train", "--images", "photos", "--shapes", "empty", "--out", "run"], "empty"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_1(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", each=1)
    (tmp_path / "photos" / "meshes").mkdir()
    (tmp_path / "photos" / "meshes" / "a.off").write_text("OFF\n0 0 0\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = hifa(*words)
    assert code == 1
    assert out == ""
    assert said in one_line(err)
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written left behind


@pytest.mark.parametrize(
    "words",
    [
        ["export", "--out", "e.h5"],
        ["train", "--images", "photos", "--out", "run"],
        ["train", "--images", "photos", "--out", "run", "--method", "dlae"],
        ["query", "a.jpg"],
        ["query", "a.jpg", "-g", "g", "--top", "0"],
        ["paint", "everything"],
        ["evaluate", "--frobnicate", "e.h5"],
    ],
)
def test_wrong_usage_is_exit_2(words: list[str]) -> None:
    code, out, _ = hifa(*words)
    assert code == 2
    assert out == ""


def test_a_configuration_file_gives_defaults_and_flags_win(export_file: Path, tmp_path: Path) -> None:
    settings = tmp_path / "hifa.toml"
    settings.write_text('[evaluate]\nprofile = "psb"\n')
    for words in (
        ["evaluate", export_file, "--json", "--config", settings],
        ["--config", settings, "evaluate", export_file, "--json"],
    ):
        code, out, _ = hifa(*words)
        assert code == 0
        assert json.loads(out)["profile"] == "psb"
    _, out, _ = hifa("--config", settings, "evaluate", export_file, "--json", "--profile", "mi3dor")
    assert json.loads(out)["profile"] == "mi3dor"


@pytest.mark.parametrize(
    "text",
    ["[evaluate]\nprofil = 'psb'\n", "[evaluat]\nprofile = 'psb'\n", "profile = 'psb'\n", "[evaluate\n"],
)
def test_a_misspelt_setting_is_a_usage_error(text: str, export_file: Path, tmp_path: Path) -> None:
    settings = tmp_path / "hifa.toml"
    settings.write_text(text)
    for words in (
        ["--config", settings, "evaluate", export_file],
        ["evaluate", export_file, "--config", settings],
    ):
        assert hifa(*words)[0] == 2


def test_index_and_query_take_a_file_that_h5py_wrote(export_file: Path, tmp_path: Path) -> None:
    code, out, _ = hifa("index", export_file, "--out", tmp_path / "gallery", "--json")
    assert code == 0
    assert json.loads(out)["shapes"] == 6
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code, _, err = hifa("query", tmp_path / "a.png", "-g", tmp_path / "gallery")
    assert code == 1
    assert "holds vectors but no model" in one_line(err)
    code, _, err = hifa("index", export_file, "--out", tmp_path / "gallery")
    assert code == 1
    assert "--force" in one_line(err)


def test_an_export_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "future.h5"
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 2
    for words in (["evaluate", path], ["index", path, "--out", tmp_path / "g"]):
        code, out, err = hifa(*words)
        assert (code, out) == (1, "")
        assert "schema" in one_line(err)
    assert not (tmp_path / "g").exists()


def test_a_gallery_is_not_built_into_a_folder_of_something_else(export_file: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("1")
    code, _, err = hifa("index", export_file, "--out", tmp_path / "thesis", "--force")
    assert code == 1
    assert "is not a gallery" in one_line(err)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "error: a.h5: Permission denied; see that it is there and may be used"),
        (errno.ENOSPC, "error: No space left on device: make room, then give the same command again"),
    ],
)
def test_what_the_system_refuses_is_one_line_that_names_the_file(
    number: int, words: str, export_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), "a.h5")

    monkeypatch.setattr("hifa_cli.embeddings.io.read_export", refuse)
    code, out, err = hifa("evaluate", export_file)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == words
    assert "Traceback" not in err


def test_a_file_that_may_not_be_read_is_no_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"")
    path.chmod(0)
    weak = "from tools.faults.running import weaken; weaken(); from hifa_cli.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", weak, "evaluate", str(path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert "a.h5" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def sent(number: int, program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that sends itself a signal."""
    return subprocess.run(
        [sys.executable, "-c", program, str(int(number))], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


LOST = """
import os, signal, sys, time
from hifa_cli.cli import signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
class Library:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.05)
with signals.heeded():
    try:
        one = Library()
        del one
        time.sleep(20)
        print("lost")
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_comes_while_a_library_clears_up_is_not_lost(number: int, status: int) -> None:
    done = sent(number, LOST)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


STARTING = """
import _imp, os, signal, sys, time
from hifa_cli.cli import signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
begin = _imp.exec_dynamic
def starts(module):
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(0.05)
    print("as if nothing had happened")
    return begin(module)
with signals.heeded():
    try:
        _imp.exec_dynamic = starts
        import PIL._imaging
        _imp.exec_dynamic = begin
        time.sleep(20)
        print("lost")
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_until_a_compiled_module_has_started(number: int, status: int) -> None:
    done = sent(number, STARTING)
    assert (done.returncode, done.stdout, done.stderr) == (status, "as if nothing had happened\n", "")


TURNED = """
import os, signal, sys, time
from hifa_cli import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
def app(prog_name):
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(20)
    except BaseException:
        raise OSError(9, "Bad file descriptor")  # as tempfile does, whose file was closed already
cli.app = app
cli.main()
"""
LEAVING = """
import os, signal, sys, time
from contextlib import contextmanager
from hifa_cli import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
heeded = cli.signals.heeded
@contextmanager
def left_late():
    with heeded() as asked:
        yield asked
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(20)
cli.app = lambda prog_name: None
cli.signals.heeded = left_late
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("program", [TURNED, LEAVING], ids=["turned", "leaving"])
@pytest.mark.parametrize(
    ("number", "status", "words"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "stopped\n")]
)
def test_a_signal_is_no_bug_of_ours_whatever_became_of_it(
    number: int, status: int, words: str, program: str
) -> None:
    done = sent(number, program)
    assert (done.returncode, done.stderr) == (status, words)


AT_THE_END = """
import atexit, os, signal, sys, time
from hifa_cli.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
atexit.register(lambda: (os.kill(os.getpid(), int(sys.argv.pop())), time.sleep(0.05)))
sys.argv[1:1] = ["--version"]
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_when_all_is_done_ends_without_a_traceback(number: int) -> None:
    done = sent(number, AT_THE_END)
    assert (done.returncode, done.stderr) == (-number, "")
