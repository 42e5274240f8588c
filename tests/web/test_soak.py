"""A minute of searches, swaps and hostile uploads: nothing is lost, and the memory stays flat."""

import os
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hifa_cli.config import IndexConfig
from hifa_cli.gallery import update as curate
from hifa_cli.render.workers import resident_memory
from tests.web.conftest import ask, serving

SECONDS = 60.0
SETTLED = 0.4  # of the time, after which memory is compared
GROWTH = 60e6  # bytes that caches and threads may still take


@pytest.mark.slow
def test_a_minute_of_swaps_and_hostile_uploads_loses_nothing(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "g", tmp_path / "g")
    (tmp_path / "table.csv").write_text("id,price\nrod/1,1\n")
    photo = (world / "photos/bars/0.png").read_bytes()
    hostile = [
        b"",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 4000,
        photo[: len(photo) // 2],
        b"<svg/>",
        b"--x\r\n" * 500,
    ]
    end = time.monotonic() + SECONDS
    statuses: Counter[tuple[str, int]] = Counter()
    memory: list[float] = []
    guard = threading.Lock()

    def asking(me: int, port: int) -> None:
        number = me
        while time.monotonic() < end:
            number += 1
            good = me < 3
            body = photo if good else hostile[number % len(hostile)]
            kind = "multipart/form-data; boundary=x" if not good and number % 2 else "image/png"
            status, _, _ = ask(port, "POST", f"/v1/search?top={1 + number % 3}", body, Content_Type=kind)
            with guard:
                statuses["good" if good else "hostile", status] += 1

    def swapping() -> int:
        swaps = 0
        while time.monotonic() < end:
            curate.annotate(tmp_path / "g", tmp_path / "table.csv", IndexConfig())
            swaps += 1
            memory.append(resident_memory(os.getpid()))
            time.sleep(0.5)
        return swaps

    with serving(tmp_path / "g") as port, ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(asking, me, port) for me in range(5)]
        swaps = threads.submit(swapping).result()
        for one in asked:
            one.result()
    assert swaps > 5
    assert set(statuses) == {("good", 200), ("hostile", 422)}
    early = memory[int(SETTLED * len(memory))]
    assert memory[-1] - early < GROWTH, [round(one / 1e6) for one in memory]
