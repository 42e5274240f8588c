"""One page about a run: what it believed of the shapes, its curves, and both domains before and after."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file
from hifa_cli.viz.pages import escaped, png_source, thumbnail_source

if TYPE_CHECKING:
    from hifa_cli.training.points import Points

REPORT_FILE = "report.html"
MOST_CLASSES = 60  # whose shapes are shown: a page of pictures should open at once
_TERMS = {  # of the log, in the paper's symbols where it has them
    "total": "total loss", "classification": "L_C", "mutual_information": "λ L_MI", "global": "β L_G",
    "local": "γ L_L", "accuracy_held_out": "accuracy on held-out photos",
    "predicted_classes": "classes predicted", "norm_images": "norm of photos",
    "norm_shapes": "norm of shapes",
}  # fmt: skip
_POINTS = 250  # of each domain
_EDGE = 112  # pixels of a picture
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 1100px; padding: 0 20px 32px; }
h1 { font-size: 20px; overflow-wrap: anywhere; } h2 { font-size: 16px; margin: 28px 0 8px; border-top: 1px solid #d4d4d4; padding-top: 14px; }
h3 { font-size: 14px; margin: 14px 0 4px; } p { margin: 4px 0 8px; max-width: 75ch; } .soft { color: #555; } .warn { color: #9a3412; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 12px 3px 0; border-bottom: 1px solid #e5e5e5; } th:first-child, td:first-child { text-align: left; }
figure { margin: 0; } figure > img { max-width: 100%; height: auto; min-width: 520px; }
ul { display: flex; flex-wrap: wrap; gap: 8px; list-style: none; margin: 0; padding: 0; }
li { width: 112px; font-size: 12px; overflow-wrap: anywhere; } li img, .none { width: 112px; height: 112px; object-fit: contain; border: 1px solid #d4d4d4; display: block; }
.unsure img { border-style: dashed; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 0 24px; }
@media (max-width: 500px) { ul { gap: 6px; } li { width: calc((100% - 12px) / 3); } li img, .none { width: 100%; height: auto; aspect-ratio: 1; box-sizing: border-box; } figure > img { min-width: 0; } }
"""  # noqa: E501


def write_report(folder: Path, points: "Points | None", classes: tuple[str, ...]) -> Path:
    """Write ``report.html`` of a finished run; its pictures are in the page, and no script is.

    Args:
        folder: of the run.
        points: a sample before and after; None leaves the plane of both out.
        classes: names of the photos' classes.

    Returns:
        The page.

    Raises:
        HifaError: the run's files are damaged, or the page cannot be written.
    """
    settings, health = _read(folder / "run.json"), _read(folder / "health.json", {})
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escaped(folder.resolve().name)} · run of hifa</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">',
        f"<style>{_STYLE}</style></head><body>",
        *_heading(folder, settings),
        *_first_stage(settings.get("pretrained")),
        *_beliefs(health),
        *_curves(folder),
        *_planes(points, classes),
        *_examples(health),
        "</body></html>\n",
    ]
    with written_file(folder / REPORT_FILE) as path:
        path.write_text("\n".join(parts), encoding="utf-8")
    return folder / REPORT_FILE


def _read(path: Path, default: Any = None) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if default is None:
            raise HifaError(f"{path} is gone: train again") from None
        return dict(default)
    except (OSError, ValueError) as error:
        raise HifaError(f"cannot read {path}: damaged; train again with --force") from error
    if not isinstance(found, dict):
        raise HifaError(f"cannot read {path}: damaged; train again with --force")
    return found


def _heading(folder: Path, settings: dict[str, Any]) -> list[str]:
    recipe, train = settings.get("recipe", {}), settings.get("train", {})
    done = settings.get("finished") or {}
    ours = str(recipe.get("not_of_the_paper", "-"))
    said = "Input, pooling and labels are the paper's." if ours == "-" else f"Not of the paper: {ours}."
    return [
        f"<h1>{escaped(folder.resolve().name)}: {escaped(train.get('method', ''))}, "
        f"preset {escaped(train.get('preset', ''))}</h1>",
        f"<p>{settings.get('photos', {}).get('count', 0)} photos, "
        f"{settings.get('shapes', {}).get('count', 0)} shapes, "
        f"{done.get('steps', 0)} steps in {done.get('seconds', 0)} s, seed {settings.get('seed', 0)}, "
        f"{escaped(train.get('backbone', ''))}, freeze {escaped(train.get('freeze', ''))}.</p>",
        f"<p class='soft'>{escaped(said)} "
        "Everything here comes from photos, their labels and pictures of the shapes. "
        "No label of a shape was read.</p>",
    ]


def _first_stage(record: dict[str, Any] | None) -> list[str]:
    """Return what was learned from generated photos, where anything was."""
    if not record:
        return []
    rows = "".join(
        f"<tr><td>{escaped(name)}</td><td>{before:.3f}</td><td>{after:.3f}</td></tr>"
        for name, (before, after) in record["held_out"].items()
    )
    what = "a map of the photos" if record["learned"] == "map" else f"the last {escaped(record['learned'])}"
    left = f" {record['left_out']} shapes had no mesh and were left out." if record["left_out"] else ""
    return [
        "<h2>First stage: generated photos</h2>",
        f"<p>{record['photos']} photos generated of {record['shapes']} shapes taught {what}, in "
        f"{record['seconds']} s; the best step was {record['steps']}.{left} No label was read. How one "
        "held-out photo of each shape finds its very shape:</p>",
        f"<div class='wide'><table><tr><th></th><th>before</th><th>after</th></tr>{rows}</table></div>",
    ]


def _beliefs(health: dict[str, Any]) -> list[str]:
    if "agreement" not in health:
        return ["<h2>Classes of the shapes</h2><p>This method gives shapes no classes before it trains.</p>"]
    lines = [
        "<h2>Classes of the shapes</h2>",
        f"<p>Two independent opinions name one class for <b>{health['agreement']:.0%}</b> of the shapes: "
        "at most about as many labels are right, for both may err alike. Where it is low, or classes have no "
        "shapes or are hard to tell apart, training helps little.</p>",
        f"<p>Before training the domains lie <b>{health.get('offset', 0):.2f}</b> spreads of the photos "
        "apart.</p>",
    ]
    if "told_apart" in health:
        lines.append(
            "<p>Photos of a class that is left out are told from known ones to "
            f"<b>{health['told_apart']:.2f}</b> (0 not at all, 1 without an error). Below a half, photos of "
            "kinds that have none here are answered as if they were of kinds that have.</p>"
        )
    if health.get("without_shapes"):
        lines.append(
            f"<p class='warn'>No shape was taken for {escaped(', '.join(health['without_shapes']))}: "
            "the library may hold none, or they look like others.</p>"
        )
    for first, second in health.get("merged", []):
        lines.append(
            f"<p class='warn'>Shapes of {escaped(first)} and {escaped(second)} are hard to tell apart: "
            "check that the photos of both show different things.</p>"
        )
    rows = "".join(
        f"<tr><td>{escaped(name)}</td><td>{health.get('photos', {}).get(name, '')}</td><td>{count}</td></tr>"
        for name, count in health["shapes"].items()
    )
    return [
        *lines,
        "<div class='wide'><table><tr><th>class</th><th>photos</th><th>shapes taken for it</th></tr>"
        f"{rows}</table></div>",
    ]


def _curves(folder: Path) -> list[str]:
    from hifa_cli.viz.figures import as_png, style, training_figure

    terms: dict[str, list[tuple[int, float]]] = {}
    try:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines:
            said = json.loads(line)
            for name, title in _TERMS.items():
                if isinstance(value := said.get(name), int | float) and np.isfinite(value):
                    terms.setdefault(title, []).append((int(said["step"]), float(value)))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise HifaError(f"cannot read {folder / 'log.jsonl'}: damaged; train again with --force") from error
    if not terms:
        return []
    with style():
        figure = as_png(training_figure(terms))
    return ["<h2>Curves</h2>", _figure(figure, "the terms of the loss over the steps")]


def _planes(points: "Points | None", classes: tuple[str, ...]) -> list[str]:
    head = "<h2>Photos and shapes before and after (t-SNE)</h2>"
    if points is None or len(points.labels) + len(points.believed) < 5:
        return [
            head,
            "<p>Not drawn: the whole network was trained, a trunk that moves went on from a checkpoint, or "
            "too few photos and shapes are there.</p>",
        ]
    from hifa_cli.viz.figures import as_png, style, tsne, tsne_figure

    laid = []
    for name, (photos, shapes) in (("before", points.before), ("after", points.after)):
        parts = [
            Embeddings(tuple(map(str, range(len(one)))), labels, one)
            for one, labels in ((photos, points.labels), (shapes, points.believed))
        ]
        laid.append(
            (
                name,
                tsne(Export(parts[0], parts[1], classes), points=_POINTS, perplexity=30, seed=0, clamp=False),
            )
        )
    with style():
        figure = as_png(tsne_figure(laid, classes))
    return [
        head,
        "<p>Left by domain, right by class: of a photo its own, of a shape the one it was taken for.</p>",
        _figure(figure, "t-SNE of photos and shapes before and after training"),
    ]


def _examples(health: dict[str, Any]) -> list[str]:
    if not health.get("examples"):
        return []
    found = [
        "<h2>The shapes most and least surely labelled</h2>",
        "<p>The per cent is the class's share of all classes' scores for the shape. Wrong pictures among the "
        "surest mean that training learns something wrong of this class: give it more or other photos.</p>",
    ]
    if len(health["examples"]) > MOST_CLASSES:
        found.append(f"<p>{MOST_CLASSES} of {len(health['examples'])} classes; health.json names all.</p>")
    for name, both in list(health["examples"].items())[:MOST_CLASSES]:
        found.append("<div class='pair'>")
        for kind, title in (("sure", "most surely"), ("unsure", "least surely")):
            if both[kind]:
                items = "".join(_item(Path(path), share) for path, share in both[kind])
                found.append(f"<div><h3>{escaped(name)}, {title}</h3><ul class='{kind}'>{items}</ul></div>")
        found.append("</div>")
    return found


def _item(path: Path, share: float) -> str:
    name = escaped(path.parent.name)
    try:
        shown = f"<img alt='{name}' src='{thumbnail_source(path, _EDGE, mode='L')}'>"
    except HifaError:
        shown = "<div class='none'>the picture is gone</div>"
    return f"<li>{shown}{name}<br>{share:.0%}</li>"


def _figure(picture: bytes, words: str) -> str:
    return f"<figure class='wide'><img alt='{escaped(words)}' src='{png_source(picture)}'></figure>"
