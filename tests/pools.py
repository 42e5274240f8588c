"""A pool that does tasks in this process, and a cluster of Ray's on this machine."""

from collections import deque

from hifa_cli.errors import HifaError
from hifa_cli.runtime.cluster import Made, Task, perform


class Here:
    """Does each task in this process, and counts; a node is lost after some."""

    def __init__(self, dies_after: int = 99) -> None:
        self.waiting: deque[tuple[Task, bytes]] = deque()
        self.made: list[str] = []
        self.most, self.dies_after = 0, dies_after

    def capacity(self) -> int:
        return 2

    def submit(self, task: Task, shared: bytes) -> None:
        self.waiting.append((task, shared))
        self.most = max(self.most, len(self.waiting))

    def next(self) -> Made:
        if len(self.made) == self.dies_after:
            raise HifaError("a task was lost")
        task, shared = self.waiting.popleft()
        self.made.append(task.name)
        return perform(task, shared)
