"""Fit and measure how ``--up auto`` sees which way is up; ``--write`` keeps the weights.

    python benchmarks/up_axis.py MESHES… [--write]

MESHES are folders ``<class>/<mesh>``, every mesh upright along +z. Each fold is scored by weights that have
not seen its classes. A mesh turned at random has one right direction among six, one right axis among three;
"y or z" is the question that files pose: this axis or the one that another program would have taken.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hifa_cli.errors import HifaError
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.up_features import DIRECTIONS, features, sides
from hifa_cli.render.up_look import WEIGHTS, decide

FOLDS = 10
RIDGE = 0.003
SMOOTHING = 0.05  # of the labels
UP = DIRECTIONS.index((2, 1))
LEVEL = [number for number, (axis, _) in enumerate(DIRECTIONS) if axis != 2]
FOLDERS = (1, 4, 32)  # files of a drawn folder
DRAWS = 400

Numbers = NDArray[np.float64]


def collected(places: list[Path]) -> tuple[Numbers, NDArray[np.str_], list[str]]:
    """(n, 6, f) features, classes and the features' names."""
    rows, classes, names, began = [], [], [], time.perf_counter()
    for mesh in find_meshes(places)[0]:
        try:
            seen = sides(read_mesh(mesh.path))
        except HifaError as error:
            sys.stderr.write(f"{error}\n")
            continue
        found = [features(seen, way) for way in DIRECTIONS]
        names = list(found[0])
        rows.append([list(one.values()) for one in found])
        classes.append(mesh.path.parent.name)
    each = (time.perf_counter() - began) / max(len(rows), 1)
    print(f"{len(rows)} meshes of {len(set(classes))} classes, {1e3 * each:.1f} ms each with reading")
    return np.array(rows), np.array(classes), names


def fitted(numbers: Numbers, classes: NDArray[np.str_]) -> dict[str, Any]:
    """Weights of a conditional logit: the softmax over the six directions, classes weighted by √size."""
    flat = numbers.reshape(-1, numbers.shape[-1])
    mean, scale = flat.mean(axis=0), flat.std(axis=0) + 1e-6
    inputs = np.clip((numbers - mean) / scale, -4, 4)
    _, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
    importance = 1 / np.sqrt(counts[which])
    importance /= importance.sum()
    target = np.full(len(DIRECTIONS), SMOOTHING / len(DIRECTIONS))
    target[UP] += 1 - SMOOTHING

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        scores = inputs @ weights
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        value = -float(importance @ (np.log(chances + 1e-300) @ target))
        slope = np.einsum("n,nd,ndf->f", importance, chances - target, inputs)
        return value + RIDGE * float(weights @ weights), slope + 2 * RIDGE * weights

    found = minimize(loss, np.zeros(numbers.shape[-1]), jac=True, method="L-BFGS-B")
    return {"mean": mean, "scale": scale, "weight": found.x}


def scored(numbers: Numbers, model: dict[str, Any]) -> Numbers:
    """(n, 6) log-odds, up to a constant a mesh."""
    scores: Numbers = np.clip((numbers - model["mean"]) / model["scale"], -4, 4) @ model["weight"]
    return scores


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("meshes", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    numbers, classes, names = collected(arguments.meshes)
    random = np.random.default_rng(0)
    kinds = np.unique(classes)
    fold = dict(zip(random.permutation(kinds), np.arange(len(kinds)) % FOLDS, strict=True))
    folds = np.array([fold[name] for name in classes])
    scores = np.zeros(numbers.shape[:2])
    for number in range(FOLDS):
        model = fitted(numbers[folds != number], classes[folds != number])
        scores[folds == number] = scored(numbers[folds == number], model)
    report(scores, classes)
    if arguments.write:
        model = fitted(numbers, classes)
        columns = zip(names, model["mean"], model["scale"], model["weight"], strict=True)
        text = ",\n".join(
            f"{json.dumps(name)}: [{mean:.6g}, {scale:.6g}, {weight:.6g}]"
            for name, mean, scale, weight in columns
        )
        WEIGHTS.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
        print(f"{len(names)} weights in {WEIGHTS}")


def report(scores: Numbers, classes: NDArray[np.str_]) -> None:
    """Print what fraction is right, a mesh and a folder."""
    axes = np.maximum(scores[:, ::2], scores[:, 1::2])
    margins = scores[:, [UP]] - scores[:, LEVEL]
    print(f"one of six directions {(scores.argmax(axis=1) == UP).mean():.3f}, ", end="")
    print(f"one of three axes {(axes.argmax(axis=1) == 2).mean():.3f}, y or z {(margins > 0).mean():.3f}")
    random = np.random.default_rng(0)
    kinds = np.unique(classes)
    for kind, count in [(kind, count) for kind in ("one class", "mixed") for count in FOLDERS]:
        right = wrong = 0
        for _ in range(DRAWS):
            among = np.flatnonzero(classes == random.choice(kinds)) if kind == "one class" else None
            pool = np.arange(len(classes)) if among is None else among
            rows = random.choice(pool, min(count, len(pool)), replace=False)
            # where the files' z is level: a direction each program agrees on within a folder
            level = LEVEL[random.integers(len(LEVEL))]
            side = next(one for one in LEVEL if DIRECTIONS[one][0] != DIRECTIONS[level][0])
            taken = decide(scores[rows][:, [side, UP, level]])  # as y-up files: x, y, z
            right, wrong = right + (taken == "y"), wrong + (taken not in ("y", None))
            taken = decide(scores[rows][:, [side, level, UP]])  # as z-up files
            right, wrong = right + (taken == "z"), wrong + (taken not in ("z", None))
        total = 2 * DRAWS
        left = total - right - wrong
        print(f"folder of {count:2d}, {kind}: right {right / total:.3f}, ", end="")
        print(f"left to the format {left / total:.3f}, wrong {wrong / total:.3f}")


if __name__ == "__main__":
    main()
