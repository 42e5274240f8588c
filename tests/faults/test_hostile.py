"""Whatever a file holds, it is read rightly or refused in one line, and nothing else is touched."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.corpus import OUTSIDE, Case, configs, exports, meshes, pictures
from tests.faults.fuzz import KINDS, mutants, reader_of
from tests.faults.probe import PATIENCE, Probe, Verdict
from tests.faults.stored import GALLERIES, galleries, generation, write_gallery

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="watches through /proc")
SAMPLE = 25  # mutations a format; scripts/faults runs as many as it is told


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


@pytest.mark.parametrize("cases", [meshes, pictures, exports, configs, galleries])
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
    assert len(found) > 10


@pytest.mark.parametrize("suffix", KINDS)
def test_mutations_are_read_or_refused(suffix: str, folder: Path, probe: Probe) -> None:
    for number, content in enumerate(mutants(suffix, SAMPLE, seed=0)):
        path = folder / f"{number}.{suffix}"
        path.write_bytes(content)
        verdict = probe.read(reader_of(suffix), path)
        assert verdict.fine, (number, verdict)


@pytest.mark.parametrize("factory", GALLERIES[1:])
def test_mutated_indices_are_searched_or_refused(factory: str, folder: Path, probe: Probe) -> None:
    write_gallery(folder / "g", factory)
    path = generation(folder / "g") / "index.faiss"
    import numpy as np

    good, generator = path.read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for number in range(SAMPLE):
        changed = bytearray(good)
        for place in generator.integers(0, min(len(good), 256 if number % 2 else len(good)), 4):
            changed[place] = 255 if number % 3 else int(generator.integers(256))
        path.write_bytes(changed)
        verdict = probe.read("gallery", folder / "g")
        assert verdict.fine, (number, verdict)
        outcomes.add(verdict.outcome)
    assert outcomes == {"read", "refused"}


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
    with Probe(patience=5.0 if deed == "hang" else PATIENCE) as probe:
        verdict = probe.read("trouble", path)
    assert verdict.outcome == outcome
    assert not verdict.fine
    assert strange in " ".join(verdict.strange)


def test_mutations_are_the_same_for_the_same_seed_and_differ_from_what_was_sound() -> None:
    for suffix in ("off", "h5", "png"):
        first, again, other = (list(mutants(suffix, 20, seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other
        assert len(set(first)) > 15
