"""Reports reach the reporter that is set, and nobody else."""

import threading

from hifa_cli.runtime import progress
from hifa_cli.runtime.progress import Reporter, reporting


class Recorder(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(f"note {message}")

    def warn(self, message: str) -> None:
        self.said.append(f"warn {message}")


def test_nobody_hears_reports_by_default() -> None:
    progress.note("a")
    progress.warn("b")
    progress.status("c")
    assert list(progress.track([1, 2], "d")) == [1, 2]


def test_a_reporter_hears_its_block_and_nothing_after_it() -> None:
    outer, inner = Recorder(), Recorder()
    with reporting(outer):
        progress.note("before")
        with reporting(inner):
            progress.left_out("a/1", "it is broken")
        progress.note("after")
    progress.note("late")
    assert outer.said == ["note before", "note after"]
    assert inner.said == ["warn left out a/1: it is broken"]


def test_the_main_threads_reporter_hears_the_threads_that_its_block_starts() -> None:
    with reporting(Recorder()) as recorder:
        thread = threading.Thread(target=progress.note, args=["from a thread"])
        thread.start()
        thread.join()
    assert recorder.said == ["note from a thread"]


def test_two_threads_with_reporters_of_their_own_do_not_hear_each_other() -> None:
    recorders, ready = [Recorder(), Recorder()], threading.Barrier(2)

    def work(number: int) -> None:
        with reporting(recorders[number]):
            ready.wait()
            progress.note(str(number))
            ready.wait()

    threads = [threading.Thread(target=work, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.said for one in recorders] == [["note 0"], ["note 1"]]


def test_steps_of_training_are_tracked_like_any_other_work_unless_a_reporter_counts_them() -> None:
    with reporting(Recorder()):
        assert list(progress.track_steps(range(3), "training", 3)) == [0, 1, 2]
