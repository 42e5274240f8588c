"""Which architectures of timm and torchvision a gallery can be made with: exported, and equal to torch.

    python benchmarks/architectures.py [NAME …] [--out table.md]

For each name (one small model of every family where none is given): build it with random weights, save it
as 'hifa index --backbone NAME' does, write its graph, and encode pictures with the graph, as a query does,
and with torch. Prints pixels a side, numbers of a vector, pooling, the largest 1 − cosine and the largest
difference of a number relative to the vector's largest, or why the backbone is refused. Weights are random,
so nothing is said of how well it finds shapes.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.extract import load_encoder, save_backbone
from hifa_cli.embeddings.onnx_export import export_onnx
from hifa_cli.errors import HifaError
from hifa_cli.models.backbones import backbone_of
from hifa_cli.models.network import Network, TimmTrunk, Trunk
from hifa_cli.runtime.progress import Reporter, reporting

Vectors = NDArray[np.float32]

TOLERANCE = 1e-4  # of the cosine
PICTURES = 4
NAMES = Path(__file__).with_suffix(".txt")  # a small model of each family of both libraries


class Row(NamedTuple):
    """What became of one backbone; ``reason`` is "" where queries need no torch and find the same."""

    name: str
    size: int = 0
    width: int = 0
    pooling: str = ""
    cosine: float = float("nan")
    largest: float = float("nan")
    seconds: float = 0.0
    reason: str = ""


class _Notes(Reporter):
    """Keeps the last note: why a graph could not be written."""

    def __init__(self) -> None:
        self.last = ""

    def note(self, message: str) -> None:
        """Keep ``message``."""
        self.last = message


def pictures(size: int) -> list[Image.Image]:
    """Return pictures that differ: gradients, noise, stripes and a disc."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 255, size)[None, :].repeat(size, 0)
    disc = 255.0 * (np.hypot(across - 127, across.T - 127) < 70)
    stripes = 255.0 * ((np.arange(size) // 9) % 2)[:, None].repeat(size, 1)
    noise = rng.integers(0, 256, (size, size)).astype(float)
    planes = (
        (across, across.T, disc),
        (noise, noise.T, across),
        (stripes, disc, noise),
        (disc, stripes, stripes.T),
    )
    made = [np.stack(three, axis=2) for three in planes]
    return [Image.fromarray(one.astype(np.uint8)) for one in made[:PICTURES]]


def check(name: str) -> Row:
    """Build, save and export a backbone with random weights, and compare the graph with torch."""
    start, notes = time.perf_counter(), _Notes()
    try:
        row = backbone_of(name)
        with tempfile.TemporaryDirectory() as scratch, reporting(notes), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = save_backbone(Path(scratch), name, weights="none")
            if not export_onnx(folder):
                return Row(name, row.size, reason=notes.last, seconds=time.perf_counter() - start)
            light, heavy = graph_encoder(folder), load_encoder(folder, torch.device("cpu"))
            if light is None:
                return Row(name, row.size, reason="its graph cannot be opened again")
            pixels = np.stack([to_pixels(one, light.config) for one in pictures(row.size)])
            return compared(
                name, pooling_of(heavy.network.trunk), light.each_picture(pixels), heavy.each_picture(pixels),
                own_vectors(heavy.network, pixels), row.size, start,
            )  # fmt: skip
    except HifaError as error:
        return Row(name, reason=str(error), seconds=time.perf_counter() - start)
    except Exception as error:  # a fault of ours: it must not hide behind the other rows
        said = (str(error).strip() or "it says no more").splitlines()[0]
        return Row(name, reason=f"FAULT {type(error).__name__}: {said[:150]}")


def own_vectors(network: Network, pixels: Pixels) -> Vectors | None:
    """Return what timm itself makes of (n, 3, S, S) pixels; None for another library."""
    if not isinstance(network.trunk, TimmTrunk):
        return None
    with torch.inference_mode():
        scaled = torch.from_numpy(pixels).float() / 255
        found: Vectors = network.trunk.net((scaled - network.mean) / network.std).numpy()
    return found


def pooling_of(trunk: Trunk) -> str:
    """Return how a trunk makes one vector of a map or of tokens, by its library's word."""
    if not isinstance(trunk, TimmTrunk):
        return "class token" if getattr(trunk, "tokens", False) else "avg"
    for part in (trunk.net, getattr(trunk.net, "head", None)):
        pool = getattr(part, "global_pool", None)
        pool = getattr(pool, "pool_type", pool)
        if isinstance(pool, str) and pool:
            return pool
    return "its own"


def cosine_error(found: Vectors, wanted: Vectors) -> float:
    """Return the largest 1 − cosine of (n, D) vectors."""
    one, other = found.astype(np.float64), wanted.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.abs(1 - (one * other).sum(1) / np.maximum(lengths, 1e-300)).max())


def compared(
    name: str, pooling: str, found: Vectors, wanted: Vectors, own: Vectors | None, size: int, start: float
) -> Row:
    """Return how far (n, D) vectors of the graph are from torch's, and these from the library's own."""
    one, other = found.astype(np.float64), wanted.astype(np.float64)
    error = cosine_error(found, wanted)
    largest = float((np.abs(one - other).max(1) / np.abs(other).max(1)).max())
    alike = float(np.abs(other - other[:1]).max()) == 0
    reason = "" if error < TOLERANCE else f"cosines differ by {error:.1e}"
    reason = "all pictures get one vector" if alike else reason
    if own is not None and (error_of_ours := cosine_error(wanted, own)) >= TOLERANCE:
        reason = f"not what timm itself gives: cosines differ by {error_of_ours:.1e}"
    return Row(name, size, found.shape[1], pooling, error, largest, time.perf_counter() - start, reason)


def line(row: Row) -> str:
    """Return a row of the table."""
    if row.reason:
        return f"| {row.name} | {row.size or '–'} | – | – | – | – | {row.reason} |"
    return (
        f"| {row.name} | {row.size} | {row.width} | {row.pooling} | {row.cosine:.0e} | {row.largest:.0e} | |"
    )


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description="which architectures a gallery can be made with")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, help="write the table here too")
    given = parser.parse_args()
    rows, lines = (
        [],
        [
            "| backbone | pixels | numbers | pooling | 1 − cos | largest | refused |",
            "|---|--:|--:|---|--:|--:|---|",
        ],
    )
    print("\n".join(lines), flush=True)
    for name in given.names or NAMES.read_text(encoding="utf-8").split():
        rows.append(check(name))
        lines.append(line(rows[-1]))
        print(lines[-1], flush=True)
    good = sum(not row.reason for row in rows)
    lines.append(f"\n{good} of {len(rows)} give a graph that finds the same as torch.")
    print(lines[-1])
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
