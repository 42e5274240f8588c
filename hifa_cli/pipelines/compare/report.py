"""The report of a comparison: the paper's tables, paired differences, gains, and one JSON document."""

import platform
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from hifa_cli import __version__
from hifa_cli.evaluation.metrics import METRICS, PROFILES, WHOLE_LIST
from hifa_cli.pipelines.compare.published import (
    DCG_NOTE,
    HIFA,
    MISPRINT_NOTE,
    MISPRINTED,
    PAPER_METRICS,
    PRINTED_NAMES,
    SOURCE,
    published,
)
from hifa_cli.pipelines.compare.run import Comparison
from hifa_cli.pipelines.compare.summary import Paired, gain, paired, reference_pairs, spread
from hifa_cli.viz.tables import Row, Table, Value

SCHEMA = 1
_BESIDE = {"DCG": "DCG_legacy"}  # our name of what the paper calls so


def tables(done: Comparison, reference: str | None = None) -> list[Table]:
    """Scores, published scores, gains, paired differences and failures; only those that there are."""
    found = [_scores(done), _published(done), _gains(done), _differences(done, reference), _failures(done)]
    return [table for table in found if table is not None and table.rows]


def _scores(done: Comparison) -> Table:
    """Methods down, metrics across: mean ± sample deviation over seeds."""
    profile = PROFILES[done.shared.profile]
    note = (
        f"{profile.name}: {profile.note}. Mean ± sample deviation over seeds "
        f"{', '.join(map(str, done.seeds))}. ANMRR: lower is better."
    )
    for name, settings in done.plan.unlike.items():
        note += f" {name} differs from the others in {', '.join(settings)}."
    if len(set().union(*done.codes().values())) > 1:
        note += f" MIXED VERSIONS OF THE CODE: {_by_code(done)}; --force does all again."
    rows = tuple(_score_row(done, arm.name) for arm in done.arms)
    title = f"{done.benchmark or 'scores'}: {done.counts[done.shared.test_split]['photos']} photos, "
    title += f"{done.counts[done.shared.test_split]['shapes']} shapes"
    return Table("method", (*METRICS, "seeds"), rows, ranked=frozenset(METRICS), title=title, note=note)


def _by_code(done: Comparison) -> str:
    """Return rows by the version of the code that made their scores."""
    rows: dict[str, list[str]] = {}
    for name, codes in done.codes().items():
        for code in sorted(codes):
            rows.setdefault(code, []).append(name)
    return "; ".join(f"{code or 'not known'}: {', '.join(names)}" for code, names in rows.items())


def _score_row(done: Comparison, name: str) -> Row:
    wanted = sum(row == name for row, _ in done.plan.jobs)
    count = len(done.of(name))
    seeds: Value = count if count == wanted else f"{count} of {wanted}" if count else "failed"
    if not count:
        return Row(name, {"seeds": seeds})
    spreads = {metric: spread(list(done.metric(name, metric).values())) for metric in METRICS}
    deviations = {metric: one.deviation for metric, one in spreads.items() if one.deviation is not None}
    seeds = "any" if (name, None) in done.scores else seeds
    return Row(
        name,
        {**{metric: one.mean for metric, one in spreads.items()}, "seeds": seeds},
        deviations=deviations,
    )


def mean_scores(done: Comparison) -> dict[str, dict[str, float]]:
    """Return the mean of each metric over seeds, by row; rows without any score are left out."""
    return {
        arm.name: {metric: spread(list(done.metric(arm.name, metric).values())).mean for metric in METRICS}
        for arm in done.arms
        if done.of(arm.name)
    }


def _published(done: Comparison) -> Table | None:
    """Ours, and in brackets the paper's, on the benchmarks that it used."""
    theirs, ours = published(done.benchmark), mean_scores(done)
    if not theirs:
        return None

    def cell(name: str, metric: str) -> str:
        mark = "†" if (done.benchmark, name, metric) in MISPRINTED else ""
        measured = ours.get(name, {}).get(_BESIDE.get(metric, metric))
        return f"{'–' if measured is None else f'{measured:.3f}'} ({theirs[name][metric]:.3f}{mark})"

    rows = tuple(
        Row(PRINTED_NAMES[name], {metric: cell(name, metric) for metric in PAPER_METRICS}) for name in theirs
    )
    note = f"In brackets: {SOURCE}. {DCG_NOTE}"
    if any(benchmark == done.benchmark for benchmark, _, _ in MISPRINTED):
        note += f" {MISPRINT_NOTE}"
    if done.differences:
        note += f" Not the published data: {'; '.join(done.differences[:3])}."
    return Table("method", PAPER_METRICS, rows, title=f"{done.benchmark}: measured (published)", note=note)


def _gains(done: Comparison) -> Table | None:
    """Return what HIFA gains over each other row, relative to it, as the paper's text gives it."""
    gains = relative_gains(mean_scores(done))
    rows = tuple(
        Row(name, {metric: _percent(one) for metric, one in values.items()}) for name, values in gains.items()
    )
    note = "(HIFA − rival) / rival of the means; for ANMRR the decline, so that plus is better everywhere."
    return Table("over", METRICS, rows, title="relative gain of hifa", note=note)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value + 0.0:+.2f} %".replace("-0.00", "+0.00").replace("-", "−")


def relative_gains(means: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return the gain of the row ``hifa`` over every other, by row and metric; empty without that row."""
    if HIFA not in means:
        return {}
    return {
        name: {metric: gain(means[HIFA][metric], value, metric) for metric, value in values.items()}
        for name, values in means.items()
        if name != HIFA
    }


def paired_differences(done: Comparison, reference: str | None) -> dict[tuple[str, str], dict[str, Paired]]:
    """Differences of the rows that are compared, by row, against which, and metric."""
    found = {}
    for name, against in reference_pairs(done.arms, reference):
        values = {}
        for metric in METRICS:
            one = paired(done.metric(name, metric), done.metric(against, metric), metric)
            if one is not None:
                values[metric] = one
        if values:
            found[name, against] = values
    return found


def _differences(done: Comparison, reference: str | None) -> Table:
    rows = tuple(
        Row(f"{name} − {against}", {metric: _difference(one) for metric, one in values.items()})
        for (name, against), values in paired_differences(done, reference).items()
    )
    note = (
        "Mean of the differences seed by seed ± its standard error; better in how many seeds of how many. "
        "For ANMRR, less is better."
    )
    return Table("difference", METRICS, rows, title="paired differences", note=note)


def _difference(one: Paired) -> str:
    error = "" if one.error is None else f" ± {one.error:.3f}"
    return f"{one.mean:+.3f}{error}, {one.wins}/{one.seeds}".replace("-", "−")


def _failures(done: Comparison) -> Table:
    rows = tuple(
        Row(name, {"seed": "any" if seed is None else seed, "reason": reason})
        for (name, seed), reason in done.failed.items()
    )
    return Table("failed", ("seed", "reason"), rows, title="what failed")


def document(done: Comparison, reference: str | None = None) -> dict[str, Any]:
    """Return the JSON document of ``hifa compare``."""
    profile = PROFILES[done.shared.profile]
    theirs = published(done.benchmark)
    return {
        "schema": SCHEMA,
        "hifa_version": __version__,
        "profile": profile.name,
        "definitions": profile.note,
        "device": done.device,
        "seeds": list(done.seeds),
        "splits": {"train": done.shared.train_split, "test": done.shared.test_split},
        "data": {
            split: {**counts, "digest": done.digests.get(split, "")} for split, counts in done.counts.items()
        },
        "versions": _versions(),
        "settings": {key: value for key, value in asdict(done.config).items() if key != "method"},
        "arms": [_arm(done, arm.name) for arm in done.arms],
        "differences": [
            {"arm": name, "against": against, **{metric: one._asdict() for metric, one in values.items()}}
            for (name, against), values in paired_differences(done, reference).items()
        ],
        "gains": [{"over": name, **values} for name, values in relative_gains(mean_scores(done)).items()],
        "benchmark": done.benchmark or None,
        "benchmark_differences": list(done.differences),
        "published": {"source": SOURCE, "scores": theirs, "gains": relative_gains(theirs)}
        if theirs
        else None,
    }


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that scores depend on; those that are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in (
        "torch",
        "torchvision",
        "timm",
        "numpy",
        "scikit-learn",
        "openvino",
        "onnxruntime",
        "pillow",
    ):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _arm(done: Comparison, name: str) -> dict[str, Any]:
    """Return a row's runs, means and deviations, and what failed."""
    runs = [
        {
            "seed": seed,
            "folder": str(Path(done.plan.jobs[name, seed].folder).relative_to(done.folder)),
            "seconds": scored["seconds"],
            "model": scored["model"],
            **{metric: scored[metric] for metric in (*METRICS, *WHOLE_LIST) if metric in scored},
        }
        for seed, scored in done.of(name)
    ]
    spreads = {metric: spread(list(done.metric(name, metric).values())) for metric in METRICS} if runs else {}
    return {
        "name": name,
        "runs": runs,
        "mean": {metric: one.mean for metric, one in spreads.items()},
        "deviation": {metric: one.deviation for metric, one in spreads.items()},
        "failed": [
            {"seed": seed, "reason": reason} for (row, seed), reason in done.failed.items() if row == name
        ],
        "differs_in": list(done.plan.unlike.get(name, ())),
        "code": sorted(done.codes().get(name, ())),
    }
