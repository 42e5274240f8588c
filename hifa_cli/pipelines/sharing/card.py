"""The model card of a repository: what it is, how to use it, its figures, its licence."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hifa_cli import __version__
from hifa_cli.errors import HifaError
from hifa_cli.pipelines.sharing.contents import RUN, Parcel

_KNOWN = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0")
_METRICS = ("NN", "FT", "ST", "F", "DCG", "ANMRR", "mAP", "AUC")
_OF_RUN = (
    "method",
    "preset",
    "backbone",
    "freeze",
    "embedding",
    "inputs",
    "pooling",
    "descriptor",
    "size",
    "steps",
)
_MOST_NAMED = 100  # classes


def weights_licence(model: Mapping[str, Any]) -> str:
    """Return the licence of the weights that a network started from; "" where nobody says.

    Args:
        model: what ``model.json`` says.
    """
    from hifa_cli.models.backbones import backbone_of

    name = (model.get("model") or {}).get("backbone")
    try:
        return backbone_of(str(name)).licence if name else ""
    except (HifaError, ModuleNotFoundError):  # the library that knows it is not installed
        return ""


def card_of(parcel: Parcel, repo: str, *, licence: str | None, scores: Mapping[str, Any] | None) -> str:
    """Return the card as Markdown with its table of metadata.

    Args:
        parcel: what is sent.
        repo: ``USER/NAME``.
        licence: of what is sent; that of the weights where it is left out.
        scores: document of ``hifa evaluate --json``, if there is one.

    Returns:
        The text of ``README.md``.
    """
    from huggingface_hub import ModelCardData

    own = weights_licence(parcel.model)
    chosen = (licence or own or "unknown").lower()
    known = chosen if chosen in (*_KNOWN, "unknown") else "other"
    data = ModelCardData(
        library_name="hifa", license=known, license_name=None if known != "other" else _plain(chosen),
        pipeline_tag="image-feature-extraction",
        tags=["hifa", "3d", "image-based-3d-shape-retrieval", parcel.kind],
    )  # fmt: skip
    parts = [
        _title(parcel, repo),
        _use(parcel, repo),
        _scores(scores),
        _configuration(parcel),
        _licence(own, licence),
    ]
    return f"---\n{data.to_yaml()}\n---\n" + "\n".join(filter(None, parts))


def _title(parcel: Parcel, repo: str) -> str:
    said = (
        "A network that embeds photos and 3D shapes into one space."
        if parcel.kind == RUN
        else f"A gallery of {parcel.about['shapes']:,} 3D shapes that photos find."
    )
    return f"# {repo.partition('/')[2]}\n\n{said} Written by `hifa push`, version {__version__}.\n"


def _use(parcel: Parcel, repo: str) -> str:
    if parcel.kind == RUN:
        then, python = (
            "hifa index meshes/ --model run --out gallery",
            f'run = hifa.Run.from_pretrained("{repo}")',
        )
    else:
        then = "hifa query photo.jpg -g gallery"
        python = f'hits = hifa.Gallery.from_pretrained("{repo}").query("photo.jpg")'
    return (
        f"## Use\n\n```sh\npip install 'hifa-cli[hub]'\nhifa pull {repo} --out {parcel.kind}\n{then}\n```\n\n"
        f"```python\nimport hifa_cli as hifa\n\n{python}\n```\n"
    )


def _scores(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return ""
    rows = document.get("exports") or [document]
    names = [name for name in _METRICS if all(type(row.get(name)) in (int, float) for row in rows)]
    lines = [[str(row.get("export", "")), *(f"{row[name]:.3f}" for name in names)] for row in rows]
    return "## Scores\n\nOf `hifa evaluate`.\n\n" + _table(["export", *names], lines)


def _configuration(parcel: Parcel) -> str:
    if parcel.kind == RUN:
        rows = _of_run(parcel.about)
    else:
        about = parcel.about
        rows = [[name, about.get(name)] for name in ("shapes", "dimension", "views", "factory", "method")]
        rows.append(["sources", ", ".join(sorted({str(one["kind"]) for one in about["origins"]}))])
    network = parcel.model.get("model") or {}
    classes = [str(name) for name in (network if parcel.kind == RUN else parcel.about).get("classes", ())]
    if parcel.kind != RUN and network:
        rows.append(["encoder", network.get("backbone")])
    rows.append(["classes", ", ".join(classes[:_MOST_NAMED]) + (" …" if classes[_MOST_NAMED:] else "")])
    rows.append(["model", str(parcel.model.get("digest", ""))[:12]])
    rows = [row for row in rows if row[1] not in (None, "")]
    return "## Configuration\n\n" + _table(["", ""], [[str(cell) for cell in row] for row in rows])


def _of_run(about: Mapping[str, Any]) -> list[list[Any]]:
    rows = [[name, about["train"][name]] for name in _OF_RUN if name in about["train"]]
    rows += [
        ["seed", about.get("seed")],
        ["hifa", about.get("hifa_version")],
        ["torch", about.get("torch_version")],
    ]
    rows += [[kind, (about.get(kind) or {}).get("count")] for kind in ("photos", "shapes")]
    last = (about.get("finished") or {}).get("last") or {}
    rows += [[f"last {name}", f"{value:.4g}"] for name, value in last.items() if type(value) in (int, float)]
    return rows


def _licence(own: str, given: str | None) -> str:
    said = [f"Weights of the backbone: {own or 'licence not stated'}."]
    said += [f"What was made with them: {_plain(given)}."] if given else []
    return "## Licence\n\n" + " ".join(said) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines) + "\n"


def _plain(text: str) -> str:
    """Return a name so that it stays a name in Markdown and HTML: names of classes come from folders."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(text.split()))
