"""A gallery from whatever there is: an export, rendered views, or the meshes themselves."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
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
from hifa_cli.embeddings.text import TEXT_ABOUT, TEXT_WEIGHTS
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, VIEWS, Gallery, model_folder, read_gallery, unit
from hifa_cli.gallery.adapted import digest_in, with_maps
from hifa_cli.gallery.assets import sweep_generations
from hifa_cli.gallery.embedding import Embedder
from hifa_cli.gallery.growth import write_change
from hifa_cli.gallery.mesh_source import Drawing, meshes_source
from hifa_cli.gallery.metadata import read_metadata
from hifa_cli.gallery.own import stale
from hifa_cli.gallery.places import taken_over
from hifa_cli.gallery.ranking import ranker_of, ranking_document
from hifa_cli.gallery.shard import Shard, shard_document, shard_of
from hifa_cli.gallery.snapshot import Making, Plan
from hifa_cli.gallery.sources import Source, SourceEntry, export_source, holds_meshes, views_source
from hifa_cli.gallery.stores import usable_store
from hifa_cli.gallery.stores.base import StoreError
from hifa_cli.models.about import read_about
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.pipeline import SETTINGS
from hifa_cli.render.up_taken import read_taken, valid_taken
from hifa_cli.runtime import progress, threads
from hifa_cli.runtime.kinds import EXPORT_SUFFIXES, refuse_other, refuse_url
from hifa_cli.runtime.lock import LOCK_FILE, sole_writer
from hifa_cli.search import faiss_index

SHARDS = ".embedded"  # what a killed run had embedded


@dataclass(frozen=True)
class BuildOptions:
    """Options of reading a source.

    Attributes:
        render: how meshes are drawn.
        workers: processes that render; None means all cores.
        device: where the network runs, and FAISS where it can.
        split: use only this split of views or meshes.
        force: draw again what is there.
        keep_views: keep the pictures of meshes, too, as ``hifa render`` writes them.
        ranking: how shapes are ranked by photos; None ranks as the paper does.
        factory: FAISS's factory string, to be checked against the encoder before anything is drawn.
        shard: take only the shapes of this shard; None takes all.
    """

    render: RenderConfig = field(default_factory=RenderConfig)
    workers: int | None = None
    device: str = "cpu"
    split: str | None = None
    force: bool = False
    ranking: RankingConfig | None = None
    keep_views: bool = False
    factory: str = "auto"
    shard: Shard | None = None


def build_gallery(
    sources: Path | Sequence[Path],
    out: Path,
    *,
    model: Path | None,
    split: str | None,
    index_config: IndexConfig,
    render_config: RenderConfig,
    workers: int | None,
    device: object,
    force: bool,
    ranking: RankingConfig | None = None,
    keep_views: bool = False,
    maps: Path | None = None,
    metadata: Path | None = None,
    shard: Shard | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Make the gallery ``out`` of one source or several, whatever it held before.

    Args:
        sources: HDF5 exports, folders of rendered views, folders of meshes or single meshes.
        out: the gallery; a second call draws and embeds only what changed.
        model: a run of ``hifa train``; None means the export's own, or the pretrained encoder.
        split: use only this split of views or meshes.
        index_config: how it is searched.
        render_config: how meshes are drawn.
        workers: processes that render.
        device: where the network runs.
        force: replace a gallery that is there, and use nothing of it again.
        ranking: how shapes are ranked by photos; None ranks as the paper does. An export's, and those of a
            trained model without a fused descriptor, are always ranked as the paper does.
        keep_views: keep the pictures of meshes, too; a gallery that has kept them goes on.
        maps: of ``hifa adapt``, by which the export was adapted; photos go through them too.
        metadata: a table about the shapes (:mod:`~hifa_cli.gallery.metadata`), joined to them.
        shard: make only this shard of the gallery, for :func:`~hifa_cli.gallery.merge.merge_shards`.
        store: where the vectors live: ``lance:PATH``, ``qdrant://HOST[:PORT]/COLLECTION`` or ``local``; by
            default where they lived, in the gallery's own folder if it is new.

    Returns:
        ``shapes``, ``dimension``, ``factory``, ``failed`` (meshes that could not be drawn), ``layouts``, and
        ``metadata`` (what was joined) where a table was given.

    Raises:
        HifaError: nothing usable at a source, an id is in two of them, they are of different models, ``out``
            is taken, or somebody else is writing there.
    """
    places = [sources] if isinstance(sources, Path) else list(sources)
    check_sources(places, split, index_config, render_config.layout)
    refuse_strange(out)
    table = None if metadata is None else read_metadata(metadata)
    home = None if store is None else usable_store(store, out)
    work = BuildOptions(
        render_config, workers, str(device), split, force, ranking, keep_views, index_config.factory, shard
    )
    searched = index_config
    if shard is not None:  # the merged gallery is indexed
        searched = replace(index_config, factory=faiss_index.EXACT)
    with TemporaryDirectory() as scratch, writing(out):
        if not all(map(holds_meshes, places)) and (out / MAIN_FILE).exists() and not force:
            raise HifaError(f"{out} is a gallery already: choose another --out or give --force")
        old = old_gallery(out, force=force)
        _refuse_other_shard(old, shard, force=force)
        if maps is not None:
            model = with_maps(places[0], maps, model, Path(scratch))
        opened = _opened(places, out, origins_of(old), model, work, Path(scratch))
        if shard is not None and not any(source.entries for source, _, _ in opened):
            raise HifaError(f"no shape falls into the shard {shard}: make fewer shards of so few shapes")
        making, embedders = opened[0][1], [one for _, _, one in opened if one is not None]
        ranked = ranking_of(embedders[0].encoder, work) if len(embedders) == len(opened) else None
        alike = old is not None and old.model == making.model and _same_vectors(old, ranked)
        again = old if alike and not force else None
        if again is not None and ranked is not None and again.own is not None:
            ranked["own"] = again.document["ranking"]["own"]
        fresh, offered = _told_apart(again, [source for source, _, _ in opened])
        for embedder in embedders if force else ():
            embedder.forget()
        fresh = [(source, source.prepare(rows)) for source, rows in fresh]
        document = write_change(
            out, Plan(old, np.array(sorted(offered), dtype=np.int64), fresh, making, searched,
            _photos(places[0], index_config), ranked, str(device), offered=offered, metadata=table,
            shard=None if shard is None else shard_document(shard, index_config), store=home),
        )  # fmt: skip
        for embedder in embedders:
            embedder.forget()
        if (folder := model_folder(out, making.model)).is_dir():
            _write_graph(folder)
    say_stale(out)
    read = [source for source, _, _ in opened]
    return {
        **summary(document),
        "failed": [one for source in read for one in failures(source)],
        "layouts": [one for source in read for one in source.origin.get("layout", ())],
        **({} if table is None else {"metadata": table.report}),
    }


def check_sources(
    places: Sequence[Path], split: str | None, config: IndexConfig, layout: str = "auto"
) -> None:
    """Refuse what cannot succeed before anything is rendered or embedded.

    Args:
        places: what the user gave, in order.
        split: the split that is asked for.
        config: how the gallery is to be searched.
        layout: of the folders of meshes.

    Raises:
        HifaError: a source is a URL, is not there, is of another kind or given twice, an id is in two of
            them, or the split or factory string does not exist.
    """
    for place in places:
        refuse_url(place)
        if not place.exists():
            raise HifaError(f"nothing at {place}: give an export, a folder of views or a folder of meshes")
        check_wanted(place, split, config)
    repeated = [place for place, count in Counter(one.resolve() for one in places).items() if count > 1]
    if repeated:
        raise HifaError(f"{repeated[0]} is given twice: give each source once")
    if split is None and len(places) > 1:
        refuse_collisions(
            [
                (str(one), [mesh.id for mesh in find_meshes([one], layout)[0]])
                for one in places
                if holds_meshes(one)
            ]
        )


def refuse_collisions(sources: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse sources that name two shapes alike.

    Args:
        sources: of each, its name for the message and its ids.

    Raises:
        HifaError: an id is in two of them.
    """
    owners: dict[str, str] = {}
    for place, ids in sources:
        both = [(name, owners[name]) for name in ids if name in owners]
        if both:
            name, other = both[0]
            raise HifaError(
                f"{other} and {place} both have the id '{name}'{_more(len(both) - 1)}: rename one, or "
                "put both folders into one and index that, so that the folders' names tell the ids apart"
            )
        owners.update(dict.fromkeys(ids, place))


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _opened(
    places: Sequence[Path], out: Path, origins: list[dict[str, Any]], model: Path | None, work: BuildOptions,
    scratch: Path,
) -> list[tuple[Source, Making, Embedder | None]]:  # fmt: skip
    """Open all sources; they are of one model and their ids are distinct.

    Raises:
        HifaError: they are not.
    """
    opened: list[tuple[Source, Making, Embedder | None]] = []
    for place in places:
        origins = taken_over(origins, place)
        opened.append(open_source(place, out, origins, model, work, scratch))
        origins = [*origins, opened[-1][0].origin]
        if opened[-1][1].model != opened[0][1].model:
            raise HifaError(
                f"{places[0]} and {place} are of different models: give --model RUN, the one that made the "
                "export, or make a gallery of each"
            )
    refuse_collisions(
        [(source.origin["path"], [one.id for one in source.entries]) for source, _, _ in opened]
    )
    return opened


def _told_apart(
    old: Gallery | None, sources: Sequence[Source]
) -> tuple[list[tuple[Source, list[int]]], dict[int, tuple[int, SourceEntry]]]:
    """Return what is new of each source, and the old rows that are used again, with their entries."""
    fresh: list[tuple[Source, list[int]]] = []
    offered: dict[int, tuple[int, SourceEntry]] = {}
    for number, source in enumerate(sources):
        same, new = unchanged(old, source)
        by_id = {entry.id: entry for entry in source.entries} if old is not None else {}
        offered.update({row: (number, by_id[old.ids[row]]) for row in same.tolist()} if old else {})
        fresh.append((source, new))
    return fresh, {**offered, **(renamed(old, set(offered), fresh) if old is not None else {})}


def renamed(
    old: Gallery, kept: set[int], fresh: Sequence[tuple[Source, list[int]]]
) -> dict[int, tuple[int, SourceEntry]]:
    """Find rows that would go but whose content is offered under another id or path.

    Args:
        old: the gallery.
        kept: rows that stay anyway.
        fresh: sources and the rows of their entries that seem new; those found are taken out.

    Returns:
        For each such row of ``old`` the number of the source and its entry.
    """
    digests = np.asarray(old.digests)
    left: dict[bytes, list[int]] = {}
    for row in range(len(old)):
        if row not in kept:
            left.setdefault(digests[row].tobytes(), []).append(row)
    found = {}
    for number, (source, rows) in enumerate(fresh):
        new = []
        for one in rows:
            entry = source.entries[one]
            if left.get(entry.digest):
                found[left[entry.digest].pop(0)] = (number, entry)
            else:
                new.append(one)
        rows[:] = new
    return found


def say_stale(folder: Path) -> None:
    """Say how many shapes of a gallery its own map was not learned of, where there are any."""
    gallery = read_gallery(folder)
    if said := stale(folder, gallery.digests, gallery.own):
        progress.note(said)


def check_wanted(source: Path, split: str | None, config: IndexConfig) -> None:
    """Refuse what cannot succeed before anything is rendered or embedded.

    Args:
        source: what the user gave.
        split: that is asked for.
        config: how the gallery is to be searched.

    Raises:
        HifaError: the source is of another kind, or the split or factory string does not exist.
    """
    refuse_other(source, "an export", "a folder of rendered views", wanted="meshes, views or an export")
    checked_split(split)
    faiss_index.check_factory(config.factory)


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """Return what is worth saying of a gallery that was written."""
    said = {key: document[key] for key in ("shapes", "dimension", "factory", "model", "method")}
    effort = document["effort"]
    if (shard := shard_of(document)) is not None:
        said["shard"] = str(shard)
    return {**said, "recall": {key: effort[key] for key in ("recall", "target", "at", "sample", "queries")}
            if effort else {"recall": 1.0, "target": 1.0}}  # fmt: skip


def failures(source: Source) -> list[dict[str, str]]:
    """Meshes that could not be drawn, for the report."""
    return [{"path": str(failure.path), "reason": failure.reason} for failure in source.failed]


def unchanged(old: Gallery | None, source: Source) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[int]]:
    """Return rows of ``old`` that the source offers just so, ascending, and the entries that are new."""
    if old is None:
        return np.zeros(0, dtype=np.int64), list(range(len(source.entries)))
    digests = np.asarray(old.digests)
    known = {name: (row, digests[row].tobytes()) for row, name in enumerate(old.ids)}
    kept, fresh = [], []
    for number, entry in enumerate(source.entries):
        row, digest = known.get(entry.id, (-1, b""))
        if digest == entry.digest and old.class_of(row) == entry.class_name and old.paths[row] == entry.path:
            kept.append(row)
        else:
            fresh.append(number)
    return np.array(sorted(kept), dtype=np.int64), fresh


def open_source(
    place: Path, out: Path, origins: Sequence[dict[str, Any]], model: Path | None, work: BuildOptions,
    scratch: Path,
) -> tuple[Source, Making, Embedder | None]:  # fmt: skip
    """Return what ``place`` offers, the model that makes vectors of it, and what embeds it.

    Args:
        place: export, views or meshes.
        out: the gallery.
        origins: of the gallery as it is.
        model: folder of a run; None means the export's own, or the pretrained encoder.
        work: how the source is read.
        scratch: folder for what is made on the way.

    Returns:
        Source, model, and the embedder; None where vectors are there already.

    Raises:
        HifaError: nothing is there usable, or the model is not that of an export.
    """
    if place.is_file() and not holds_meshes(place) and place.suffix.lower() in (*EXPORT_SUFFIXES, ""):
        if work.shard is not None:
            raise HifaError(f"{place} is embedded already: index the export whole, without --shard")
        offered = export_source(place)
        return offered, _export_making(place, model, scratch), None
    encoder, folder = _encoder(model, work.device, scratch)
    if work.factory not in ("auto", faiss_index.EXACT):
        faiss_index.check_factory(work.factory, encoder.width)
    making = Making(encoder.digest, encoder.method, folder)
    ranker = ranker_of(ranking_of(encoder, work), encoder.digest)
    embedder = Embedder(encoder, out / SHARDS, ranker=ranker)
    if holds_meshes(place):
        mine = next((one for one in origins if one["path"] == str(place.resolve())), {})
        views = out / VIEWS / views_name(origins, place)
        known = valid_taken(mine["up_taken"]) if "up_taken" in mine else read_taken(views / SETTINGS)
        drawing = Drawing(
            work.render, work.workers or threads.allowed(),
            views if work.keep_views or mine.get("views") else None, work.force,
        )  # fmt: skip
        source: Source = meshes_source(
            place, drawing, split=work.split, known=known, embedder=embedder, shard=work.shard
        )
    else:
        source = views_source(place, split=work.split, embedder=embedder, shard=work.shard)
    return source, making, embedder


def ranking_of(encoder: PictureEncoder, work: BuildOptions) -> dict[str, Any] | None:
    """Return how shapes of a model are ranked; None as the paper does, without the trunk's own feature."""
    if work.ranking is None:
        return None
    if encoder.method == FROZEN:
        return ranking_document(work.ranking, encoder.digest)
    if encoder.config.descriptor != "fused":
        return None
    known = None if encoder.has_default_trunk() else encoder.digest
    return ranking_document(work.ranking, known, encoder.residual)


def _same_vectors(old: Gallery, ranked: dict[str, Any] | None) -> bool:
    """Return whether a gallery's vectors can be used again under another ranking."""
    before = old.document.get("ranking")
    if before is None or ranked is None:
        return before is ranked
    return all(before.get(name) == ranked.get(name) for name in ("projection", "residual"))


def origins_of(gallery: Gallery | None) -> list[dict[str, Any]]:
    """Return where a gallery's shapes came from."""
    return list(gallery.document["origins"]) if gallery else []


def views_name(origins: Sequence[dict[str, Any]], place: Path) -> str:
    """Return the folder below ``views/`` for the meshes at ``place``: their own, or a new one."""
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
        sweep_generations(out, read_gallery(out).document if is_gallery else None)


def old_gallery(out: Path, *, force: bool = False) -> Gallery | None:
    """Return the gallery that is there; None if absent, or one that cannot be opened any more.

    Args:
        out: the gallery.
        force: whether one counts as not to be opened whose vectors live in a store that does not answer.

    Raises:
        StoreError: its vectors live in such a store; the gallery itself may be right.
    """
    if not (out / MAIN_FILE).exists():
        return None
    try:
        return read_gallery(out)
    except HifaError as error:
        if isinstance(error, StoreError) and not force:
            raise StoreError(f"{error} (--force makes it anew, from its sources)") from error
        progress.warn(f"nothing of the old gallery is used again: {error}")
        return None


def _refuse_other_shard(old: Gallery | None, shard: Shard | None, *, force: bool) -> None:
    """Refuse to make a shard, or a whole gallery, in the place of another shard.

    Raises:
        HifaError: another one is there, and ``force`` is not given.
    """
    there = None if old is None else shard_of(old.document)
    if old is not None and there != shard and not force:
        what = "a whole gallery" if there is None else f"shard {there} of a gallery"
        raise HifaError(f"{old.folder} is {what} already: choose another --out or give --force")


def _photos(source: Path, config: IndexConfig) -> Any:
    """Photos of the same export, to tune the search with what it will be asked."""
    if not source.is_file() or holds_meshes(source) or source.suffix.lower() in (".csv", ".json", ".txt"):
        return None
    found = sample_images(source, config.sample)
    return None if found is None else unit(found)


def _encoder(model: Path | None, device: str, scratch: Path) -> tuple[PictureEncoder, Path]:
    """The model that makes the vectors, and its folder; on a CPU its graph is made first, to work with.

    Raises:
        HifaError: no model exists, or its weights are not those it was saved with.
    """
    if model is None:
        save_frozen(scratch)
        return open_encoder(scratch, device), scratch
    if device == "cpu" and graph_encoder(model) is None:
        mine = scratch / "model"
        mine.mkdir(exist_ok=True)
        for name in (MODEL_WEIGHTS, MODEL_ABOUT, TEXT_WEIGHTS, TEXT_ABOUT):
            with suppress(OSError):  # loading says what is wrong; words are known to few
                shutil.copyfile(model / name, mine / name)
        try:
            model = mine if (mine / MODEL_ABOUT).is_file() and _write_graph(mine) else model
        except HifaError as error:
            raise HifaError(str(error).replace(str(mine), str(model))) from error
    encoder = open_encoder(model, device)
    if not encoder.knows_shapes:  # a graph of photos alone
        import torch

        from hifa_cli.embeddings.extract import load_encoder

        return load_encoder(model, torch.device("cpu" if device == "auto" else device)), model
    return encoder, model


def _write_graph(folder: Path) -> bool:
    """Write the model's graph if absent; torch is loaded only for that."""
    if graph_encoder(folder) is not None:
        return True
    from hifa_cli.embeddings.onnx_export import export_onnx

    return export_onnx(folder)


def _export_making(path: Path, model: Path | None, scratch: Path) -> Making:
    """Return the model that made an export, where it is still to be had.

    Raises:
        HifaError: ``model`` is another one.
    """
    header = read_shapes_heading(path)
    if model is not None:
        digest = digest_in(model)
        if header.model not in ("", digest):
            raise HifaError(f"the export was not made by the model in {model}: {_remedy(header.config)}")
        return Making(digest, header.method, model)
    named = header.config.get("run")
    if isinstance(named, str) and (Path(named) / MODEL_ABOUT).is_file():
        if read_about(Path(named)).get("digest") == header.model:
            return Making(header.model, header.method, Path(named))
    elif header.method == FROZEN and frozen_model().digest == header.model:
        save_frozen(scratch)
        return Making(header.model, header.method, scratch)
    if "adapt" in header.config:
        progress.warn(f"photos cannot be held against adapted shapes yet: {_remedy(header.config)}")
    else:
        progress.warn("the model that made this export cannot be found: a photo query will need --model RUN")
    return Making(header.model, header.method)


def _remedy(config: dict[str, Any]) -> str:
    """Return what to give with an export, by what it says of its making."""
    return (
        "give --maps MAPS, which 'hifa adapt --maps' keeps"
        if "adapt" in config
        else "give the run that made it"
    )


def refuse_strange(out: Path) -> None:
    """Never build a gallery into a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise HifaError(f"{out} is a file: choose another --out")
    ours = (MAIN_FILE, VIEWS, LOCK_FILE)
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in ours):
        raise HifaError(f"{out} exists and is not a gallery: choose another --out")
