"""A gallery from whatever there is: an export, rendered views, or the meshes themselves."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from hifa_cli import __version__
from hifa_cli.config import IndexConfig, RenderConfig
from hifa_cli.data import MESH_SUFFIXES, Collection, find_shapes
from hifa_cli.errors import HifaError
from hifa_cli.export import FROZEN, Encoder, export, frozen_encoder, load_encoder
from hifa_cli.gallery import MAIN_FILE, VIEWS, write_gallery
from hifa_cli.model import CONFIG_FILE, read_about, save_network
from hifa_cli.render.library import Failure
from hifa_cli.render.stage import SETTINGS, render
from hifa_cli.store import Export, read_export
from hifa_cli.talk import Talk

COVER = 1  # the view that stands for a shape: 30° round from the front, where most objects show most


def build_gallery(
    source: Path,
    out: Path,
    *,
    model: Path | None,
    split: str | None,
    index_config: IndexConfig,
    render_config: RenderConfig,
    workers: int | None,
    device: torch.device,
    force: bool,
    talk: Talk,
) -> dict[str, Any]:
    """Make the gallery ``out`` of ``source``.

    Args:
        source: an HDF5 export, a folder of rendered views, or a folder of meshes (or one mesh).
        out: the gallery; meshes are rendered into it, so that a second call renders only what changed.
        model: a run of ``hifa train``; None means the export's own, or the pretrained encoder.
        split: use only this split of views or meshes.
        index_config: how it is searched.
        render_config: how meshes are drawn.
        workers: processes that render.
        device: where the network runs.
        force: replace a gallery that is there.
        talk: notes and progress.

    Returns:
        ``shapes``, ``dimension``, ``factory``, ``failed`` (meshes that could not be drawn).

    Raises:
        HifaError: nothing usable at ``source``, or ``out`` is taken.
    """
    if not source.exists():
        raise HifaError(f"nothing at {source}: give an export, a folder of views or a folder of meshes")
    _refuse_strange(out)
    failed: list[Failure] = []
    with TemporaryDirectory() as scratch:
        if source.is_file() and source.suffix.lower() not in MESH_SUFFIXES:
            _refuse_taken(out, force)
            made = read_export(source)
            folder = model or _model_of(made, Path(scratch), talk)
            _check_model(made, folder)
            thumbnails = _covers(_views_of(made, talk), made)
        else:
            views = source
            if _holds_meshes(source):
                views = out / VIEWS
                failed = _render(source, views, render_config, workers=workers, force=force, talk=talk)
            else:
                _refuse_taken(out, force)
            shapes = find_shapes(views, split=split)
            shapes.tell(talk)
            encoder = load_encoder(model, device)
            about = {"source": str(source.resolve()), "shapes": str(views.resolve())}
            made = export(encoder, None, shapes, about=about, talk=talk)
            folder = model or _saved(encoder, Path(scratch))
            thumbnails = _covers(shapes, made)
        document = write_gallery(out, made, index_config, model=folder, thumbnails=thumbnails)
    return {
        **{key: document[key] for key in ("shapes", "dimension", "factory", "model", "method")},
        "failed": [{"path": str(failure.path), "reason": failure.reason} for failure in failed],
    }


def _render(
    source: Path, views: Path, config: RenderConfig, *, workers: int | None, force: bool, talk: Talk
) -> list[Failure]:
    """Draw the meshes into the gallery's own folder of views; name those that could not be drawn."""
    report = render([source], views, config, workers=workers or os.cpu_count() or 1, force=force, talk=talk)
    if not report.rendered and not report.skipped:
        raise HifaError(
            f"none of the {len(report.failed)} meshes in {source} could be drawn; see the warnings"
        )
    return list(report.failed)


def _saved(encoder: Encoder, folder: Path) -> Path:
    """Write an encoder into ``folder`` as ``hifa train`` writes its model."""
    save_network(encoder.network, folder, method=encoder.method, hifa_version=__version__)
    return folder


def _model_of(made: Export, scratch: Path, talk: Talk) -> Path | None:
    """The folder of the model that made an export, where it is still to be had."""
    named = made.config.get("run")
    if isinstance(named, str) and (Path(named) / CONFIG_FILE).is_file():
        return Path(named) if read_about(Path(named)).get("digest") == made.model else None
    if made.method == FROZEN:
        encoder = frozen_encoder(torch.device("cpu"))
        if encoder.digest == made.model:
            return _saved(encoder, scratch)
    talk.warn("the model that made this export is not to be found: a photo query will need --model RUN")
    return None


def _check_model(made: Export, folder: Path | None) -> None:
    if folder is not None and made.model and read_about(folder).get("digest") != made.model:
        raise HifaError(f"the export was not made by the model in {folder}: give the run that made it")


def _views_of(made: Export, talk: Talk) -> Collection:
    """The views that an export was made of, where they are still there: they give the thumbnails."""
    named = made.config.get("shapes")
    if isinstance(named, str) and Path(named).is_dir():
        try:
            return find_shapes(Path(named))
        except HifaError:
            pass
    talk.note("the views of this export are not to be found: the gallery has no thumbnails")
    return Collection((), ())


def _covers(shapes: Collection, made: Export) -> dict[str, Path]:
    """One picture for each shape of the export."""
    wanted = set(made.shapes.ids) if made.shapes else set()
    return {
        item.id: item.views[min(COVER, len(item.views) - 1)] for item in shapes.items if item.id in wanted
    }


def _holds_meshes(source: Path) -> bool:
    """Whether ``source`` is a mesh, or a folder with meshes in it and no rendered views at its root."""
    if source.is_file():
        return True
    if (source / SETTINGS).is_file():
        return False
    return any(path.suffix.lower() in MESH_SUFFIXES for path in source.rglob("*"))


def _refuse_strange(out: Path) -> None:
    """Never build a gallery into a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise HifaError(f"{out} is a file: choose another --out")
    ours = (MAIN_FILE, VIEWS)
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in ours):
        raise HifaError(f"{out} exists and is no gallery: choose another --out")


def _refuse_taken(out: Path, force: bool) -> None:
    if (out / MAIN_FILE).exists() and not force:
        raise HifaError(f"{out} is a gallery already: choose another --out or give --force")
