"""From rows and seeds to jobs: every row gets the same settings but those that it asks for itself."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hifa_cli.config import DEFAULT_RECIPE, TrainConfig
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import settings_of
from hifa_cli.pipelines.compare.jobs import Job
from hifa_cli.pipelines.compare.rows import Arm
from hifa_cli.settings import recipe, run_settings, typed, with_settings

# What decides how much a row may learn, or from what: a row that changes it is not compared like for like.
SHARED = (
    "backbone", "weights", "freeze", "embedding", "steps", "images", "shapes", "views", "size", "resize",
    "fit", "augment", "balanced", "rate", "validation", "keep",
)  # fmt: skip

# A folder's name must not change for what most rows do not have.
LATER = ("own", "norm", "pretrain", "pretrain_photos", "pretrain_steps", "pretrain_batch", "pretrain_rate")


@dataclass(frozen=True)
class Plan:
    """The jobs of a comparison.

    Attributes:
        jobs: by row's name and seed, rows that others are built on among them; bases stand before those.
        unlike: rows with settings of their own among ``SHARED``, and which.
    """

    jobs: Mapping[tuple[str, int | None], Job]
    unlike: Mapping[str, tuple[str, ...]]


def plan(
    arms: Sequence[Arm], seeds: Sequence[int], config: TrainConfig, out: Path, *, train_data: str, device: str
) -> Plan:
    """Lay out the jobs.

    Args:
        arms: rows.
        seeds: of every row that has random streams.
        config: the settings that all rows share.
        out: folder of the comparison.
        train_data: digest of the training split.
        device: kind of device: numbers differ from one to another.

    Returns:
        The jobs by row and seed, and the rows that differ from the others.

    Raises:
        ValueError: a row asks for a setting that does not exist.
    """
    bases = [arm.base for arm in arms if arm.base is not None]
    every = {arm.name: arm for arm in (*bases, *arms)}
    fitted = {arm.name for arm in bases}
    jobs: dict[tuple[str, int | None], Job] = {}
    for arm in sorted(every.values(), key=lambda arm: arm.kind == "adapted"):
        settings = _settings(arm, config)
        for seed in (None,) if seedless(arm) else seeds:
            base = jobs[arm.base.name, seed].folder if arm.base else ""
            named = {**settings, "train_data": train_data, "device": device, "kind": arm.kind, "base": base}
            folder = out / "arms" / _slug(arm.name, named) / ("once" if seed is None else f"seed-{seed}")
            job = Job(
                folder=str(folder), name=arm.name, kind=arm.kind, method=arm.method, seed=seed, base=base,
                fits=arm.name in fitted, **settings,
            )  # fmt: skip
            if arm.kind == "adapted":  # a seed chooses the landmarks, where there are any
                job = replace(job, adapt={**job.adapt, "seed": seed or 0})
            jobs[arm.name, seed] = job
    unlike = {arm.name: found for arm in arms if (found := _unlike(arm, config))}
    return Plan(jobs, unlike)


def seedless(arm: Arm) -> bool:
    """Return whether no seed changes a row: nothing in it is drawn."""
    return arm.kind == "frozen" or (arm.base is not None and seedless(arm.base))


def row_config(arm: Arm, config: TrainConfig) -> TrainConfig:
    """Return the shared settings with those of a trained or frozen row.

    Raises:
        ValueError: the row asks for a setting that does not exist.
    """
    try:
        kind = settings_of(arm.method) if arm.kind == "trained" else None
        own = run_settings(dict(arm.overrides), kind)
        if arm.kind == "trained":
            ours = _default_recipe(config) if arm.default else {}
            preset = DEFAULT_RECIPE[1] if arm.default else config.preset
            return with_settings(replace(config, method=arm.method, preset=preset), {**ours, **own}, kind)
        if "norm" in own:
            raise ValueError("statistics of shapes are taken by training: write adabn or source-only(norm=…)")
        other = {"backbone": arm.backbone, "weights": TrainConfig.weights} if arm.backbone else {}
        return with_settings(replace(config, method=TrainConfig.method), {**other, **own})
    except (ValueError, HifaError) as error:
        raise ValueError(f"{arm.name}: {error}") from error


def _default_recipe(config: TrainConfig) -> dict[str, Any]:
    """Return the default recipe of ``hifa train`` but for its budget, which all rows share."""
    numbers = recipe(DEFAULT_RECIPE[1], {"backbone": config.backbone})
    return {name: value for name, value in numbers.items() if name not in SHARED}


def _settings(arm: Arm, config: TrainConfig) -> dict[str, Any]:
    """Return the fields of a job that its row decides."""
    if arm.kind == "adapted":
        return {"train": {}, "adapt": _adaptation(arm)}
    train = asdict(row_config(arm, config))
    for name in LATER:
        if train[name] == getattr(TrainConfig, name):
            del train[name]
    settings: dict[str, Any] = {"train": train}
    if arm.backbone:
        settings |= {"own_input": True, "side": int(dict(arm.overrides).get("size", 0))}
    return settings


def _adaptation(arm: Arm) -> dict[str, Any]:
    from hifa_cli.config import AdaptConfig

    try:
        own = typed(AdaptConfig, dict(arm.overrides), sealed=("method", "seed"))
        return asdict(AdaptConfig(**{"method": arm.method, **own}))
    except ValueError as error:
        raise ValueError(f"{arm.name}: {error}") from error


def _unlike(arm: Arm, config: TrainConfig) -> tuple[str, ...]:
    """Shared settings in which a row differs from the others."""
    if arm.kind == "adapted":
        return _unlike(arm.base, config) if arm.base else ()
    mine, ours = asdict(row_config(arm, config)), asdict(config)
    return tuple(name for name in SHARED if mine[name] != ours[name])


def _slug(name: str, settings: Mapping[str, Any]) -> str:
    """Return a folder's name: readable, and another one where any setting is another."""
    readable = re.sub(r"[^A-Za-z0-9.=]+", "-", name).strip("-.")[:60]
    text = json.dumps(settings, sort_keys=True)
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def checked(arms: Sequence[Arm], config: TrainConfig) -> None:
    """Check that every row and every base asks for settings that exist.

    Raises:
        ValueError: one does not.
    """
    for arm in (*arms, *(arm.base for arm in arms if arm.base is not None)):
        _settings(arm, config)
