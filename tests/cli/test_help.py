"""The help of every verb: whole at every width, every default said, examples that the command line takes."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from hifa_cli.cli import app
from hifa_cli.cli.examples import EXAMPLES
from hifa_cli.cli.help import first_paragraph
from hifa_cli.cli.verbs import ABOUT
from tests.cli.test_cli import hifa
from tests.gallery.test_update import write_mesh

ROOT: Any = typer.main.get_command(app)
GROUPED = ("train", "index", "query", "evaluate", "render", "export", "compare", "adapt", "serve", "demo")


def commands() -> Iterator[tuple[str, Any]]:
    """Every verb by the words that call it."""
    for name, command in ROOT.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())
        else:
            yield name, command


VERBS = dict(commands())


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("verb", VERBS)
def test_help_is_whole_at_every_width(verb: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = hifa(*verb.split(), "--help")
    assert code == 0
    assert all(len(line) <= width for line in out.splitlines())
    for option in VERBS[verb].params:
        assert all(name in out for name in option.opts if name.startswith("-")), option.name
    words = " ".join(out.split())
    assert all(" ".join((option.help or "").split()) in words for option in VERBS[verb].params)
    assert "<" not in out.replace("OUT/train/<class>", "")


def test_the_lines_of_the_verbs_are_the_first_paragraphs_of_their_helps() -> None:
    assert {name: first_paragraph(command.help) for name, command in ROOT.commands.items()} == ABOUT
    assert list(ROOT.commands) == list(ABOUT)


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        ("--help", []),
        ("--version", []),
        ("nope", []),
        ("export --help", ["export"]),
        ("data check --help", ["data"]),
        ("help plot", ["plot"]),
    ],
)
def test_only_the_verb_that_is_asked_for_is_imported(words: str, loaded: list[str]) -> None:
    program = (
        "import sys\n"
        "from hifa_cli.cli import app\n"
        f"try:\n    app({words.split()!r}, prog_name='hifa')\nexcept SystemExit:\n    pass\n"
        f"verbs = [one for one in {[*ABOUT]!r} if one != 'help' and 'hifa_cli.cli.' + one in sys.modules]\n"
        "print(verbs, 'numpy' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == f"{loaded} False"


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_happens_without_it(verb: str) -> None:
    words = " ".join(hifa(*verb.split(), "--help")[1].split())
    plain = [one for one in VERBS[verb].params if not (one.required or getattr(one, "is_flag", False))]
    assert words.count("default: ") == len(plain), [one.name for one in plain]


def test_brackets_in_a_text_are_no_markup() -> None:
    assert "[train] table in --config" in " ".join(hifa("compare", "--help")[1].split())


@pytest.mark.parametrize("verb", GROUPED)
def test_options_of_large_verbs_are_grouped(verb: str) -> None:
    panels = {getattr(option, "rich_help_panel", None) for option in VERBS[verb].params}
    assert "Output and control" in panels
    assert len(panels) >= 3
    loose = [one for one in VERBS[verb].params if getattr(one, "rich_help_panel", None) is None]
    assert len(loose) <= 8


def test_an_output_and_a_gallery_are_spelt_alike_everywhere() -> None:
    for verb, command in VERBS.items():
        for option in command.params:
            if option.name in ("out", "gallery"):
                long, short = f"--{option.name}", f"-{option.name[0]}"
                assert {long, short} <= set(option.opts), verb
    assert {"-g", "--gallery", "-o", "--out"} <= set(next(
        one for one in VERBS["index"].params if one.name == "out"
    ).opts)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_three_examples_that_its_command_line_takes(verb: str) -> None:
    lines = [part.strip() for _, line in EXAMPLES[verb] for part in line.split("&&")]
    assert len(lines) >= 3
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "hifa"
        assert words[: len(verb.split())] == verb.split()
        VERBS[verb].make_context(verb, words[len(verb.split()) :])
        assert line in hifa(*verb.split(), "--help")[1].replace("\n  ", " ")


def test_help_of_a_verb_is_its_help() -> None:
    assert hifa("help", "query") == hifa("query", "--help")
    assert hifa("help", "data", "check") == hifa("data", "check", "--help")
    assert hifa("help") == hifa("--help")
    code, _, err = hifa("help", "nope")
    assert code == 2
    assert "'nope' is not a verb" in err


def test_a_verb_without_arguments_shows_its_help() -> None:
    code, out, err = hifa("query")
    assert code == 2
    assert (out.rstrip(), err) == (hifa("query", "--help")[1].rstrip(), "")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("completed")
    write_mesh(root / "meshes" / "chair" / "one.off", 1.0)
    write_mesh(root / "meshes" / "lamp" / "two.off", 2.0)
    code, _, err = hifa("index", root / "meshes", "--out", root / "g", "--workers", "1", "-q")
    assert code == 0, err
    return root / "g"


def completed(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a shell is offered for the last word of a line."""
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    monkeypatch.setenv("_HIFA_COMPLETE", "complete_bash")
    return hifa()[1].split("\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hifa qu", "query"),
        ("hifa train --method hifa-", "hifa-gl"),
        ("hifa train --preset st", "stable"),
        ("hifa export --backbone dino", "dinov2-small"),
        ("hifa evaluate --format la", "latex"),
        ("hifa evaluate --metrics NN,F", "NN,FT"),
        ("hifa plot a.h5 --out fig.p", "fig.pdf"),
        ("hifa compare --methods source-only,da", "source-only,dann"),
        ("hifa index --up *.obj=", "*.obj=y"),
        ("hifa query a.jpg -g {gallery} --class ch", "chair"),
        ("hifa index --out {gallery} --remove lamp", "lamp/two"),
        ("hifa query a.jpg --device cu", "cuda"),
        ("hifa help ev", "evaluate"),
    ],
)
def test_values_are_completed(
    line: str, offered: str, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered in completed(line.replace("{gallery}", str(gallery)), monkeypatch)


def test_completion_of_a_gallery_that_is_not_there_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("hifa query a.jpg -g nowhere --class ch", monkeypatch) in ([""], ["", ""])


def test_a_gallery_is_looked_over_without_out(gallery: Path) -> None:
    assert hifa("index", "--stats", gallery, "--json") == hifa("index", "--stats", "-g", gallery, "--json")
    assert hifa("index", "--verify", gallery)[0] == 0
    code, _, err = hifa("index", "--stats")
    assert code == 2
    assert "which gallery" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("query a.jpg -g g --top many", "--top takes a whole number of at least 1, not 'many'"),
        ("query a.jpg -g g --threshold high", "--threshold takes a number from -1.0 to 1.0, not 'high'"),
        ("query a.jpg -g g --find thing", "--find takes one of both, kind, part, not 'thing'"),
        ("plot a.h5 --out a.xls", "--out: a.xls must end in .png or .pdf or .svg"),
        ("query a.jpg", "Missing option '--gallery' / '-g'"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_is_taken(line: str, said: str) -> None:
    code, out, err = hifa(*line.split())
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err
    assert re.search(r"see 'hifa \w+ --help'$", err.strip())
