"""Whatever a file holds, it is read rightly or refused in one line, and nothing else is touched."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.faults.bombs import more_meshes, more_pictures
from tools.faults.corpus import OUTSIDE, Case, configs, exports, meshes, pictures
from tools.faults.fuzz import KINDS, MISSING, mutants
from tools.faults.probe import Probe, Verdict
from tools.faults.readers import PATIENCE
from tools.faults.spoilt import caches, lists, models, photo_galleries, runs, swollen
from tools.faults.stored import galleries

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="watches through /proc")
SAMPLE = 8  # mutations of a kind; scripts/faults runs as many as it is told
CASES = (
    meshes, pictures, more_meshes, more_pictures, exports, configs, galleries, models, runs, photo_galleries,
    lists, caches, swollen,
)  # fmt: skip
REACHED = ("obj", "stl", "3mf", "png", "jpg", "h5")  # some of whose mutations are read, behind the checksums


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    with Probe() as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / OUTSIDE).write_text("3" * 1000)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def trouble(case: Case, verdict: Verdict) -> str | None:
    if verdict.fine and case.wanted in ("either", verdict.outcome):
        return None
    return f"{case.name}: {verdict.outcome} ({verdict.words}) {verdict.strange}; wanted: {case.wanted}"


@pytest.mark.parametrize("cases", CASES)
def test_hostile_files_are_read_rightly_or_refused_in_one_line(
    cases: Callable[[], list[Case]], folder: Path, probe: Probe
) -> None:
    found = []
    for case in cases():
        path = folder / case.name
        case.write(path)
        found.append(trouble(case, probe.read(case.kind, path)))
        if path.is_dir():
            shutil.rmtree(path)
        elif case.name != "good.h5":  # others link to it
            path.unlink()
    assert [one for one in found if one] == []
    assert len(found) > 1


@pytest.mark.parametrize("name", KINDS)
def test_mutations_are_read_or_refused(name: str, tmp_path: Path, probe: Probe) -> None:
    outcomes = Counter[str]()
    for number, content in enumerate(mutants(name, SAMPLE, seed=0)):
        (place := tmp_path / str(number)).mkdir()
        verdict = probe.read(KINDS[name].reader, KINDS[name].write(place, content))
        assert verdict.fine, (number, verdict)
        outcomes[verdict.outcome] += 1
        shutil.rmtree(place)
    assert outcomes["read"] > 0 or name not in REACHED


@pytest.mark.parametrize("name", MISSING)
def test_every_format_is_tried(name: str) -> None:
    pytest.skip(f"not tried: {name}")


@pytest.mark.parametrize(
    ("deed", "outcome", "strange"),
    [
        ("die", "died", ""), ("grow", "grew", ""), ("raise", "raised", ""), ("look", "read", "opened"),
        ("write", "read", "wrote"), ("run", "read", "subprocess"), ("hang", "hung", ""),
    ],
)  # fmt: skip
def test_what_no_reader_may_do_is_noticed(deed: str, outcome: str, strange: str, folder: Path) -> None:
    path = folder / f"{deed}.x"
    path.write_text("x")
    with Probe(patience=1.0 if deed == "hang" else PATIENCE) as probe:
        verdict = probe.read("trouble", path)
    assert verdict.outcome == outcome
    assert not verdict.fine
    assert strange in " ".join(verdict.strange)


def test_mutations_are_the_same_for_the_same_seed_and_differ_from_what_was_sound() -> None:
    for suffix in ("off", "h5", "png", "gallery.json", "3mf"):
        first, again, other = (list(mutants(suffix, 20, seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other
        assert len(set(first)) > 15
