"""One random stream a purpose, each a pure function of (seed, purpose, step).

Nothing here has a state: a stream is derived anew wherever it is needed. Hence switching one loss on
or off shifts no other draw, and a resumed run draws what an uninterrupted one would have drawn.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for ``purpose``, e.g. ``derive_seed(seed, "augment", step, "images")``."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator for ``purpose``."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def torch_stream(seed: int, *purpose: str | int) -> "torch.Generator":
    """Return a CPU torch generator for ``purpose``."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
