"""When each term of the paper helps: every arm on the same kept features, a run in seconds.

    python benchmarks/ablation.py PHOTOS VIEWS --out rows.jsonl [--features FOLDER] [--seeds 5] [--size 224]
        [--arms terms,mutual,rivals,default]
    python benchmarks/ablation.py --table rows.jsonl

PHOTOS and VIEWS hold the splits ``train`` and ``test``. Each finished run is a line of the file, so a
stopped benchmark goes on where it was. Labels of training shapes are read for the column ``right`` and for
the arm ``oracle`` alone, never for another arm. Pictures are looked at once, through the four blocks of the
default; the paper's input is the first of these.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hifa_cli.adaptation.adapters import adapt
from hifa_cli.config import AdaptConfig, TrainConfig
from hifa_cli.data import Collection, Item, find_images, find_shapes
from hifa_cli.data.loader import FeatureBatches
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, gather_features
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.models.weights import build_network
from hifa_cli.runtime.seeding import torch_stream
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import Run, believe, model_config, setup_run

CPU = torch.device("cpu")
SHOWN = ("NN", "FT", "ST", "F", "DCG", "ANMRR")
POOLED = 1280  # of the four blocks, the paper's input
RIVALS = ("dann", "jan", "dlea", "mstn", "afn", "safn", "coral")
SHALLOW = ("jgsa", "meda")


class Arm(NamedTuple):
    """One row: a method, what it reads, how views are pooled, whose labels it uses."""

    method: str
    inputs: str  # raw: pooled features as they are; centred: the default's four blocks
    pooling: str
    labels: str  # argmax, propagated, permuted, oracle; - where the method uses none
    descriptor: str = "embedding"

    def config(self) -> TrainConfig:
        """The run's settings: 300 steps, all views for the maximum, four of them for the mean."""
        ours = self.inputs == "centred"
        return TrainConfig(
            method=self.method, freeze="trunk", steps=300, augment=False,
            inputs="blocks" if ours else "pooled", centred=ours, pooling=self.pooling,  # type: ignore[arg-type]
            views=12 if self.pooling == "max" else 4,
            pseudo_labels="argmax" if self.labels in ("argmax", "-") else
            "permuted" if self.labels == "permuted" else "propagated",
            descriptor=self.descriptor,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """Features of one split; ``labels`` are the classes of the items."""

    items: tuple[Item, ...]
    labels: NDArray[np.int64]
    seen: TrunkFeatures  # of the four blocks


def arms(kinds: str) -> Iterator[Arm]:
    """The rows of the kinds that are asked for, quick ones first."""
    wanted = kinds.split(",")
    cells = [(inputs, pooling) for inputs in ("raw", "centred") for pooling in ("max", "mean")]
    if "default" in wanted:
        for labels in ("propagated", "argmax", "permuted", "oracle"):
            yield Arm("hifa-l", "centred", "mean", labels)
        for labels in ("propagated", "permuted"):
            yield Arm("hifa-l", "centred", "mean", labels, "fused")
    if "terms" in wanted:
        for method in ("source-only", "hifa-g"):
            yield from (Arm(method, *cell, "-") for cell in cells)
        for labels in ("argmax", "propagated", "permuted"):
            yield from (Arm("hifa-gl", *cell, labels) for cell in cells)
    if "mutual" in wanted:
        for labels in ("argmax", "propagated"):
            yield from (Arm("hifa", *cell, labels) for cell in cells)
    if "rivals" in wanted:
        for method in RIVALS:
            yield Arm(method, "centred", "mean", "argmax" if method in ("dlea", "mstn") else "-")
        for method in ("dlea", "mstn"):
            yield Arm(method, "centred", "mean", "propagated")
        yield from (Arm(method, "centred", "mean", "-") for method in SHALLOW)


def keep(
    photos: Path, views: Path, features: Path, size: int, split: str, *, maps: bool
) -> tuple[Kept, Kept]:
    """Look at the pictures of a split once, or take what ``features`` has."""
    config = replace(Arm("hifa", "centred", "mean", "-").config(), size=size)
    network = build_network(model_config(config, ("any",)), "imagenet", torch_stream(0, "initialise", "head"))
    cache = FeatureCache(features, network, CPU)
    found: list[Kept] = []
    for items in (find_images(photos, split=split).items, find_shapes(views, split=split).items):
        looked = extract_features(
            network, items, maps=maps, device=CPU, label="looking", workers=1, cache=cache,
        )  # fmt: skip
        seen, rows = gather_features(looked, items)
        chosen = tuple(items[row] for row in rows)
        found.append(Kept(chosen, np.array([item.label for item in chosen]), seen))
    return found[0], found[1]


def narrowed(seen: TrunkFeatures, arm: Arm, *, maps: bool) -> TrunkFeatures:
    """What an arm may read of the kept features."""
    high = seen.high if arm.inputs == "centred" else seen.high[..., :POOLED].contiguous()
    return TrunkFeatures(seen.low if maps else high.new_empty(*high.shape[:2], 0, 0, 0), high)


class Bench:
    """The data of a benchmark, found and looked at once."""

    def __init__(self, photos: Path, views: Path, features: Path, size: int, *, maps: bool = True) -> None:
        self.size = size
        self.photos, self.shapes = find_images(photos, split="train"), find_shapes(views, split="train")
        self.train = keep(photos, views, features, size, "train", maps=maps)
        self.test = keep(photos, views, features, size, "test", maps=False)

    def trained(self, arm: Arm, seed: int, known: Sequence[int] | None = None) -> Run:
        """Train an arm; its shapes' own labels reach it only where it is the oracle.

        Args:
            arm: the row.
            seed: of all random streams.
            known: classes whose photos are there; None means all.
        """
        method = "source-only" if arm.method in SHALLOW else arm.method
        config = replace(arm.config(), method=method, size=self.size)
        if method == "source-only":
            config = replace(config, pseudo_labels="argmax")
        unlabelled = Collection(tuple(i._replace(label=-1) for i in self.shapes.items), ())
        rows, labels, photos_there = self._of_classes(known)
        run = setup_run(photos_there, unlabelled, config, seed=seed, device=CPU)
        order = [self._row(views[0].parent) for views in run.views]
        maps = run.objective.reads_maps
        photos = TrunkFeatures(*(part[rows] for part in narrowed(self.train[0].seen, arm, maps=maps)))
        shapes = TrunkFeatures(*(part[order] for part in narrowed(self.train[1].seen, arm, maps=maps)))
        believe(run, photos, labels, shapes)
        if arm.labels == "oracle" and run.objective.assigned is not None:
            run.objective.assigned.copy_(torch.from_numpy(self.train[1].labels[order]))
        steps, train_step = (
            FeatureBatches(photos, labels, shapes, run.config, seed),
            TrainStep(run.objective, run.config, CPU),
        )
        run.objective.train()
        for step in range(run.config.steps):
            train_step(steps(step), step)
        run.network.eval()
        return run

    def _of_classes(
        self, known: Sequence[int] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Collection]:
        """Rows of the photos of some classes, their labels among these, and the photos."""
        kept = self.train[0]
        chosen = sorted(set(known)) if known is not None else list(range(len(self.photos.classes)))
        rows = np.flatnonzero(np.isin(kept.labels, chosen))
        labels = np.searchsorted(chosen, kept.labels[rows]).astype(np.int64)
        pairs = zip(rows.tolist(), labels.tolist(), strict=True)
        items = tuple(kept.items[row]._replace(label=label) for row, label in pairs)
        return rows, labels, Collection(items, tuple(self.photos.classes[one] for one in chosen))

    def _row(self, folder: Path) -> int:
        if not hasattr(self, "_rows"):
            self._rows = {item.views[0].parent: row for row, item in enumerate(self.train[1].items)}
        return self._rows[folder]

    @torch.inference_mode()
    def export(self, network: Network, arm: Arm, split: tuple[Kept, Kept]) -> Export:
        """The descriptors of a split."""
        parts = []
        for kept, domain in zip(split, ("images", "shapes"), strict=True):
            vectors = network.describe(narrowed(kept.seen, arm, maps=False), domain)[1].float().numpy()
            parts.append(Embeddings(tuple(item.id for item in kept.items), kept.labels, vectors))
        return Export(parts[0], parts[1], self.photos.classes, model="benchmark")

    def measured(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Train, score, and say how large the offset is and how many labels were right."""
        started = time.process_time()
        run = self.trained(arm, seed)
        export = self.export(run.network, arm, self.test)
        row: dict[str, Any] = {"offset": _offset(export)}
        if arm.method in SHALLOW:
            settings = AdaptConfig(method=arm.method)  # type: ignore[arg-type]
            export = adapt(export, self.export(run.network, arm, self.train), settings)
        scores = evaluate(export).values()
        row |= {name: round(scores[name], 4) for name in SHOWN}
        row["right"] = self._right(run, arm)
        row["seconds"] = round(time.process_time() - started, 1)
        return row

    @torch.inference_mode()
    def _right(self, run: Run, arm: Arm) -> float:
        """Share of training shapes whose label, assigned or the classifier's at the end, is right."""
        order = [self._row(views[0].parent) for views in run.views]
        truth = self.train[1].labels[order]
        if run.objective.assigned is not None:
            guesses = run.objective.assigned[: len(truth)].numpy()
        else:
            guesses = (
                run.network(narrowed(self.train[1].seen, arm, maps=False), "shapes").logits.argmax(1).numpy()
            )
            truth = self.train[1].labels
        return float((guesses == truth).mean())


def _offset(export: Export) -> float:
    """Distance of the domains' mean unit descriptors over the photos' own spread."""
    assert export.images is not None
    assert export.shapes is not None
    images, shapes = (
        x.vectors / np.linalg.norm(x.vectors, axis=1, keepdims=True) for x in (export.images, export.shapes)
    )
    spread = np.sqrt(((images - images.mean(axis=0)) ** 2).sum(axis=1).mean())
    return float(np.linalg.norm(images.mean(axis=0) - shapes.mean(axis=0)) / spread)


def table(path: Path) -> str:
    """Means and deviations over seeds as Markdown; FT also paired with source-only on the same input."""
    rows: dict[tuple[str, ...], dict[int, dict[str, Any]]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[tuple(row["arm"])][row["seed"]] = row
    lines = [
        "| method | input | views | labels | NN | FT | ANMRR | FT − source-only | offset | right | seeds |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key, by_seed in rows.items():
        method, inputs, pooling, labels, descriptor = key
        base = rows.get(("source-only", inputs, pooling, "-", "embedding"), {})
        pairs = [by_seed[seed]["FT"] - base[seed]["FT"] for seed in by_seed if seed in base]
        paired = "–"
        if pairs and method != "source-only":
            error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
            paired = f"{statistics.mean(pairs):+.3f} ± {error:.3f} ({sum(p > 0 for p in pairs)}/{len(pairs)})"
        name = f"{method}, fused" if descriptor == "fused" else method
        scores = [_mean(by_seed, metric) for metric in ("NN", "FT", "ANMRR")]
        signs = [_mean(by_seed, sign, 2) for sign in ("offset", "right")]
        cells = [name, inputs, pooling, labels, *scores, paired, *signs, str(len(by_seed))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(by_seed: dict[int, dict[str, Any]], name: str, digits: int = 3) -> str:
    values = [row[name] for row in by_seed.values()]
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    """Run what is not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("views", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, help="file of finished runs, a line each")
    parser.add_argument("--table", type=Path, help="print the table of such a file and end")
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--arms", default="default,terms,mutual")
    given = parser.parse_args()
    if given.table:
        print(table(given.table))
        return
    torch.set_num_threads(1)
    bench = Bench(given.photos, given.views, given.features, given.size)
    done = set()
    if given.out.exists():
        lines = (json.loads(line) for line in given.out.read_text(encoding="utf-8").splitlines())
        done = {(*line["arm"], line["seed"]) for line in lines}
    for seed in range(given.seeds):
        for arm in arms(given.arms):
            if (*arm, seed) in done:
                continue
            row = {"arm": list(arm), "seed": seed, **bench.measured(arm, seed)}
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    print(table(given.out))


if __name__ == "__main__":
    main()
