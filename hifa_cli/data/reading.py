"""Reading the pictures of items ahead of whoever looks at them, in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from hifa_cli.config import ModelConfig
from hifa_cli.data.items import Item
from hifa_cli.data.pictures import read_picture
from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

T = TypeVar("T")
R = TypeVar("R")


def prefetch(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield ``map(function, items)`` in order, a few items ahead in threads (decoding frees the interpreter).

    Args:
        function: of one item.
        items: what it is applied to.
        workers: threads.

    Yields:
        The results.
    """
    source = iter(items)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(source, workers + 2))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(source, 1))
            yield done


def plain_pixels(path: Path, model: ModelConfig) -> Pixels:
    """Return (3, size, size) uint8 pixels of a picture as the network sees it when it does not learn.

    Raises:
        HifaError: the picture cannot be read.
    """
    return to_pixels(read_picture(path), model)


def item_pixels(items: Sequence[Item], model: ModelConfig, *, workers: int) -> Iterator[Pixels | None]:
    """Yield (V, 3, S, S) uint8 pixels of every item, in order.

    Args:
        items: photos or rendered shapes.
        model: how pictures are prepared.
        workers: threads that read.

    Yields:
        None for an item with a picture that cannot be read; it is named in a warning.
    """

    def read(item: Item) -> Pixels | HifaError:
        try:
            return np.stack([plain_pixels(path, model) for path in item.views])
        except HifaError as error:
            return error

    for item, found in zip(items, prefetch(read, items, workers), strict=True):
        if isinstance(found, HifaError):
            progress.left_out(item.id, str(found))
            yield None
        else:
            yield found
