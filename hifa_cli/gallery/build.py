"""A gallery from whatever there is: an export, rendered views, or the meshes themselves."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hifa_cli.config import IndexConfig, RankingConfig, RenderConfig
from hifa_cli.data.tree import checked_split
from hifa_cli.embeddings.encoder import (
    FROZEN,
    MODEL_ABOUT,
    MODEL_WEIGHTS,
    PictureEncoder,
    frozen_model,
    graph_encoder,
    open_encoder,
    save_frozen,
)
from hifa_cli.embeddings.io import read_shapes_heading, sample_images
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, VIEWS, Gallery, model_folder, read_gallery, unit
from hifa_cli.gallery.assets import sweep_generations
from hifa_cli.gallery.embedding import Embedder
from hifa_cli.gallery.own import stale
from hifa_cli.gallery.places import taken_over
from hifa_cli.gallery.ranking import ranker_of, ranking_document
from hifa_cli.gallery.snapshot import Making, Plan, write_generation
from hifa_cli.gallery.sources import Source, export_source, holds_meshes, meshes_source, views_source
from hifa_cli.models.about import read_about
from hifa_cli.runtime import threads
from hifa_cli.runtime.kinds import refuse_other
from hifa_cli.runtime.lock import LOCK_FILE, sole_writer
from hifa_cli.runtime.progress import Talk
from hifa_cli.search import faiss_index

SHARDS = ".embedded"  # what a killed run had embedded


@dataclass(frozen=True)
class Work:
    """How a source is read.

    Attributes:
        render: how meshes are drawn.
        workers: processes that render; None means all cores.
        device: where the network runs, and FAISS where it can.
        split: use only this split of views or meshes.
        force: draw again what is there.
        ranking: how shapes are ranked by photos; None ranks as the paper does.
    """

    render: RenderConfig = field(default_factory=RenderConfig)
    workers: int | None = None
    device: str = "cpu"
    split: str | None = None
    force: bool = False
    ranking: RankingConfig | None = None


def build_gallery(
    source: Path,
    out: Path,
    *,
    model: Path | None,
    split: str | None,
    index_config: IndexConfig,
    render_config: RenderConfig,
    workers: int | None,
    device: object,
    force: bool,
    talk: Talk,
    ranking: RankingConfig | None = None,
) -> dict[str, Any]:
    """Make the gallery ``out`` of ``source``, whatever it held before.

    Args:
        source: an HDF5 export, a folder of rendered views, or a folder of meshes (or one mesh).
        out: the gallery; meshes are rendered into it, so that a second call renders and embeds only what
            changed.
        model: a run of ``hifa train``; None means the export's own, or the pretrained encoder.
        split: use only this split of views or meshes.
        index_config: how it is searched.
        render_config: how meshes are drawn.
        workers: processes that render.
        device: where the network runs.
        force: replace a gallery that is there.
        talk: notes and progress.
        ranking: how shapes are ranked by photos; None ranks as the paper does. An export's, and those of a
            trained model, are always ranked as the paper does.

    Returns:
        ``shapes``, ``dimension``, ``factory``, ``failed`` (meshes that could not be drawn).

    Raises:
        HifaError: nothing usable at ``source``, ``out`` is taken, or somebody else is writing there.
    """
    if "://" in str(source) or ":/" in str(source)[2:]:
        raise HifaError(f"{source} is a URL, and hifa reads files: download it first")
    if not source.exists():
        raise HifaError(f"nothing at {source}: give an export, a folder of views or a folder of meshes")
    check_wanted(source, split, index_config)
    _refuse_strange(out)
    work = Work(render_config, workers, str(device), split, force, ranking)
    with TemporaryDirectory() as scratch, writing(out):
        if not holds_meshes(source) and (out / MAIN_FILE).exists() and not force:
            raise HifaError(f"{out} is a gallery already: choose another --out or give --force")
        old = _old(out, talk)
        offered, making, embedder = open_source(
            source, out, taken_over(origins_of(old), source), model, work, Path(scratch), talk
        )
        ranked = ranking_of(making, work) if embedder is not None else None
        alike = old is not None and old.model == making.model and _same_vectors(old, ranked)
        if alike and old is not None and ranked is not None and old.own is not None:
            ranked["own"] = old.document["ranking"]["own"]
        kept, fresh = unchanged(old if alike else None, offered)
        document = write_generation(
            out, Plan(old, kept, [(offered, fresh)], making, index_config,
            _photos(source, index_config), ranked, str(device), talk, moved=True),
        )  # fmt: skip
        if embedder is not None:
            embedder.forget()
        if (folder := model_folder(out, making.model)).is_dir():
            _write_graph(folder, talk)
    say_stale(out, talk)
    return {**summary(document), "failed": failures(offered)}


def say_stale(folder: Path, talk: Talk) -> None:
    """Say how many shapes of a gallery its own map was not learned of, where there are any."""
    gallery = read_gallery(folder)
    if said := stale(folder, gallery.digests, gallery.own):
        talk.note(said)


def check_wanted(source: Path, split: str | None, config: IndexConfig) -> None:
    """Refuse what cannot succeed before anything is rendered or embedded.

    Raises:
        HifaError: the source is of another kind, or there is no such split or factory string.
    """
    refuse_other(source, "an export", "a folder of rendered views", wanted="meshes, views or an export")
    checked_split(split)
    faiss_index.check_factory(config.factory)


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """What is worth saying of a gallery that was written."""
    said = {key: document[key] for key in ("shapes", "dimension", "factory", "model", "method")}
    effort = document["effort"]
    return {**said, "recall": {key: effort[key] for key in ("recall", "target", "at", "sample", "queries")}
            if effort else {"recall": 1.0, "target": 1.0}}  # fmt: skip


def failures(source: Source) -> list[dict[str, str]]:
    """Meshes that could not be drawn, for the report."""
    return [{"path": str(failure.path), "reason": failure.reason} for failure in source.failed]


def unchanged(old: Gallery | None, source: Source) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[int]]:
    """Rows of ``old`` that the source offers just so, ascending, and the offers that are new."""
    if old is None:
        return np.zeros(0, dtype=np.int64), list(range(len(source.offers)))
    digests = np.asarray(old.digests)
    known = {name: (row, digests[row].tobytes()) for row, name in enumerate(old.ids)}
    kept, fresh = [], []
    for number, offer in enumerate(source.offers):
        row, digest = known.get(offer.id, (-1, b""))
        if digest == offer.digest and old.class_of(row) == offer.class_name and old.paths[row] == offer.path:
            kept.append(row)
        else:
            fresh.append(number)
    return np.array(sorted(kept), dtype=np.int64), fresh


def open_source(
    place: Path, out: Path, origins: Sequence[dict[str, Any]], model: Path | None, work: Work, scratch: Path,
    talk: Talk,
) -> tuple[Source, Making, Embedder | None]:  # fmt: skip
    """What ``place`` offers, the model that makes vectors of it, and what embeds it.

    Raises:
        HifaError: there is nothing usable, or the model is not that of an export.
    """
    if place.is_file() and not holds_meshes(place) and place.suffix.lower() in (".h5", ".hdf5", ".hdf", ""):
        offered = export_source(place, talk)
        return offered, _export_making(place, model, scratch, talk), None
    encoder, folder = _encoder(model, work.device, scratch, talk)
    making = Making(encoder.digest, encoder.method, folder)
    ranker = ranker_of(ranking_of(making, work), encoder.digest)
    embedder = Embedder(encoder, out / SHARDS, ranker=ranker, talk=talk)
    if holds_meshes(place):
        views = out / VIEWS / views_name(origins, place)
        workers = work.workers or threads.allowed()
        source: Source = meshes_source(
            place, views, work.render, split=work.split, embedder=embedder, workers=workers, force=work.force,
            talk=talk,
        )  # fmt: skip
    else:
        source = views_source(place, split=work.split, embedder=embedder, talk=talk)
    return source, making, embedder


def ranking_of(making: Making, work: Work) -> dict[str, Any] | None:
    """Return how shapes of a model are ranked; a trained one's as it was trained to be."""
    if work.ranking is None or making.method != FROZEN:
        return None
    return ranking_document(work.ranking, making.model)


def _same_vectors(old: Gallery, ranked: dict[str, Any] | None) -> bool:
    """Whether a gallery's vectors can be used again under another ranking."""
    before = old.document.get("ranking")
    if before is None or ranked is None:
        return before is ranked
    return bool(before["projection"] == ranked["projection"])


def origins_of(gallery: Gallery | None) -> list[dict[str, Any]]:
    """Where a gallery's shapes came from."""
    return list(gallery.document["origins"]) if gallery else []


def views_name(origins: Sequence[dict[str, Any]], place: Path) -> str:
    """The folder below ``views/`` for the meshes at ``place``: their own, or a new one."""
    mine = next((one.get("views") for one in origins if one["path"] == str(place.resolve())), None)
    taken = [int(one["views"]) for one in origins if str(one.get("views")).isdigit()]
    return str(mine) if mine is not None else str(max(taken, default=-1) + 1)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Hold ``out`` against other writers; what fails at once leaves no empty folder behind.

    What a killed writer left is removed first, for a change that finds nothing to do would leave it for
    ever; and what this one leaves unfinished in the end.

    Raises:
        HifaError: somebody else is writing there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HifaError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    with sole_writer(out):
        try:
            _swept(out)
            yield
        finally:
            _swept(out)
            with suppress(OSError):  # or somebody has taken the folder away
                if [path.name for path in out.iterdir()] == [LOCK_FILE]:
                    (out / LOCK_FILE).unlink()
                    out.rmdir()


def _swept(out: Path) -> None:
    """Remove what is half-written; of a gallery that cannot be opened, nothing."""
    with suppress(HifaError, OSError):
        is_gallery = (out / MAIN_FILE).exists()
        sweep_generations(out, read_gallery(out).document["generation"] if is_gallery else "")


def _old(out: Path, talk: Talk) -> Gallery | None:
    """The gallery that is there; None where there is none, or one that cannot be opened any more."""
    if not (out / MAIN_FILE).exists():
        return None
    try:
        return read_gallery(out)
    except HifaError as error:
        talk.warn(f"nothing of the old gallery is used again: {error}")
        return None


def _photos(source: Path, config: IndexConfig) -> Any:
    """Photos of the same export, to tune the search with what it will be asked."""
    if not source.is_file() or holds_meshes(source) or source.suffix.lower() in (".csv", ".json", ".txt"):
        return None
    found = sample_images(source, config.sample)
    return None if found is None else unit(found)


def _encoder(model: Path | None, device: str, scratch: Path, talk: Talk) -> tuple[PictureEncoder, Path]:
    """The model that makes the vectors, and its folder; on a CPU its graph is made first, to work with.

    Raises:
        HifaError: there is no model, or its weights are not those it was saved with.
    """
    if model is None:
        save_frozen(scratch)
        return open_encoder(scratch, device), scratch
    if device == "cpu" and graph_encoder(model) is None:
        mine = scratch / "model"
        mine.mkdir(exist_ok=True)
        for name in (MODEL_WEIGHTS, MODEL_ABOUT):
            with suppress(OSError):  # loading says what is wrong
                shutil.copyfile(model / name, mine / name)
        if (mine / MODEL_ABOUT).is_file() and _write_graph(mine, talk):
            model = mine
    encoder = open_encoder(model, device)
    if encoder.config.tells_domains:  # its graph is of photos alone
        import torch

        from hifa_cli.embeddings.extract import load_encoder

        return load_encoder(model, torch.device("cpu" if device == "auto" else device)), model
    return encoder, model


def _write_graph(folder: Path, talk: Talk) -> bool:
    """Write the model's graph where there is none; torch is loaded only for that."""
    if graph_encoder(folder) is not None:
        return True
    from hifa_cli.embeddings.onnx_export import write_graph

    return write_graph(folder, talk)


def _export_making(path: Path, model: Path | None, scratch: Path, talk: Talk) -> Making:
    """The model that made an export, where it is still to be had.

    Raises:
        HifaError: ``model`` is another one.
    """
    heading = read_shapes_heading(path)
    if model is not None and heading.model and read_about(model).get("digest") != heading.model:
        raise HifaError(f"the export was not made by the model in {model}: give the run that made it")
    if model is not None:
        return Making(str(read_about(model)["digest"]), heading.method, model)
    named = heading.config.get("run")
    if isinstance(named, str) and (Path(named) / MODEL_ABOUT).is_file():
        if read_about(Path(named)).get("digest") == heading.model:
            return Making(heading.model, heading.method, Path(named))
    elif heading.method == FROZEN and frozen_model().digest == heading.model:
        save_frozen(scratch)
        return Making(heading.model, heading.method, scratch)
    talk.warn("the model that made this export is not to be found: a photo query will need --model RUN")
    return Making(heading.model, heading.method)


def _refuse_strange(out: Path) -> None:
    """Never build a gallery into a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise HifaError(f"{out} is a file: choose another --out")
    ours = (MAIN_FILE, VIEWS, LOCK_FILE)
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in ours):
        raise HifaError(f"{out} exists and is no gallery: choose another --out")
