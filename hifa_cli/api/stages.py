"""The stages as functions: str or Path everywhere, a default for whatever can have one."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hifa_cli.api.gallery import Gallery, open_gallery
from hifa_cli.api.pictures import PathLike
from hifa_cli.api.results import Run, Views
from hifa_cli.config import (
    RIGS,
    Framing,
    IndexConfig,
    MetricProfile,
    Preset,
    RankingConfig,
    RenderConfig,
    Renderer,
    Shading,
)
from hifa_cli.errors import HifaError
from hifa_cli.runtime.progress import reporting_somewhere
from hifa_cli.settings import choose_recipe, train_config

if TYPE_CHECKING:
    from hifa_cli.embeddings.io import Export
    from hifa_cli.evaluation.evaluate import Scores

__all__ = ["build_gallery", "embed", "evaluate", "merge_shards", "open_gallery", "render", "train"]

Rig = Literal["paper", "eye"]
_DRAW = RenderConfig()


def render(
    meshes: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    rig: Rig = "paper",
    views: int = _DRAW.views,
    elevation: float | None = None,
    size: int = _DRAW.size,
    up: str | Sequence[str] = _DRAW.up,
    shading: Shading = _DRAW.shading,
    framing: Framing = _DRAW.framing,
    renderer: Renderer = _DRAW.renderer,
    split: str | None = None,
    workers: int = 0,
    force: bool = False,
) -> Views:
    """Draw grey Phong views of meshes; what is there and current is left as it is.

    Args:
        meshes: mesh files, or folders of them.
        out: folder for the views, a folder per shape.
        rig: ``paper``: from 30° above (Su et al. 2015); ``eye``: from 15°, as people take photos.
        views: how many views of a shape.
        elevation: degrees above the horizon, in place of the rig's.
        size: pixels a side.
        up: ``auto``, ``x``, ``y``, ``z``, or patterns such as ``["*.obj=y"]``.
        shading: ``mvcnn``: flat, as the public MI3DOR views; ``smooth``: round.
        framing: ``box``: every view fills its picture; ``sphere``: one scale for all views.
        renderer: ``auto``, ``builtin`` or ``opengl``.
        split: only the meshes of this split.
        workers: processes that draw; 0: as many as there are cores.
        force: draw again what is there.

    Returns:
        The folder, which stands for a path, and what became of every mesh.

    Raises:
        HifaError: no mesh is found, none can be drawn, or ``out`` cannot be written.

    Example:
        >>> import hifa_cli as hifa
        >>> views = hifa.render("meshes", "views", rig="eye")  # doctest: +SKIP
        >>> len(views), views.failed  # doctest: +SKIP
        (120, ())
    """
    from hifa_cli.render.pipeline import render as stage
    from hifa_cli.render.up_rules import parse_up
    from hifa_cli.runtime.threads import allowed

    try:
        axis, ups = parse_up([up] if isinstance(up, str) else up)
    except ValueError as error:
        raise HifaError(f"up: {error}") from error
    config = RenderConfig(
        views=views, elevation=_elevation(rig) if elevation is None else elevation, size=size, up=axis,
        ups=ups, shading=shading, framing=framing, renderer=renderer,
    )  # fmt: skip
    with reporting_somewhere():
        report = stage(
            _paths(meshes), Path(out), config, workers=workers or allowed(), force=force, split=split
        )
    if report.failed and not report.shapes:
        path, reason = report.failed[0]
        raise HifaError(f"nothing could be drawn; {path}: {reason}")
    return Views.of(Path(out), report)


def train(
    images: PathLike,
    shapes: PathLike | None = None,
    *,
    out: PathLike,
    method: str | None = None,
    preset: Preset | None = None,
    split: str | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    feature_cache: PathLike | None = None,
    tensorboard: bool = False,
    report: bool = True,
    photos_per_step: int | None = None,
    shapes_per_step: int | None = None,
    meshes: PathLike | None = None,
    **settings: Any,
) -> Run:
    """Train on labelled photos and unlabelled shapes; an interrupted run goes on where it stopped.

    Args:
        images: labelled photos: a folder per class, or a list file.
        shapes: rendered shapes (:func:`render`); the names of their folders are not read. May be left out for
            methods that see photos only.
        out: folder of the run.
        method: a name of the table in ``docs/methods.md``, or ``package.module:Class``.
        preset: ``propagated``, ``stable``, ``paper`` or ``lab``; see ``hifa train --help`` for the defaults.
        split: only this split, such as ``train``.
        seed: of every random stream.
        device: auto, cpu, cuda, cuda:N or mps.
        force: throw away a run that is in ``out``.
        feature_cache: folder that keeps what a frozen trunk makes of the pictures, for further runs.
        tensorboard: write TensorBoard scalars as well.
        report: write ``report.html``: beliefs, curves, t-SNE before and after, examples.
        photos_per_step: photos of a step; the preset's by default.
        shapes_per_step: shapes of a step; likewise.
        meshes: folder of the meshes that the shapes were drawn from, for ``pretrain="generated"``.
        **settings: any number of the run by its name in ``TrainConfig``: ``steps=100``, ``momentum=0.8``.

    Returns:
        The run's folder, which stands for a path, and what it came to.

    Raises:
        HifaError: unusable data or settings, another run in ``out``, or a loss that is not a number.

    Example:
        >>> import hifa_cli as hifa
        >>> run = hifa.train("photos", "views", out="run", method="hifa", steps=300)  # doctest: +SKIP
        >>> run.last["loss"]  # doctest: +SKIP
        0.41
    """
    from hifa_cli.data import Collection, find_images, find_shapes
    from hifa_cli.methods.registry import find_method, settings_of
    from hifa_cli.pipelines.train import run_training as stage
    from hifa_cli.runtime.device import pick_device
    from hifa_cli.runtime.distributed import joined

    per_step = {"images": photos_per_step, "shapes": shapes_per_step}
    given = {**settings, **{name: count for name, count in per_step.items() if count is not None}}
    method, preset = choose_recipe(method, preset)
    config = train_config(method, preset, given, settings_of(method))
    if find_method(method)[0].sees_shapes and shapes is None:
        raise HifaError(f"the method {config.method} aligns photos with shapes: give shapes=VIEWS")
    with reporting_somewhere():
        photos = find_images(Path(images), split=split)
        targets = find_shapes(Path(shapes), split=split) if shapes is not None else Collection((), ())
        photos.report()
        targets.report()
        with joined(pick_device(device)) as where:
            done = stage(
                photos, targets, Path(out), config, seed=seed, device=where, force=force,
                features=_optional(feature_cache), tensorboard=tensorboard, report=report,
                meshes=_optional(meshes),
            )  # fmt: skip
    return Run(Path(out), config.method, done.steps, done.seconds, done.digest, done.last, asdict(config))


def embed(
    model: PathLike | None = None,
    *,
    images: PathLike | None = None,
    shapes: PathLike | None = None,
    split: str | None = None,
    out: PathLike | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    size: int = 0,
    device: str = "auto",
    force: bool = False,
    feature_cache: PathLike | None = None,
) -> "Export":
    """Embed photos, shapes or both.

    Args:
        model: folder of a run; the pretrained encoder by default.
        images: photos: a folder per class, or none.
        shapes: rendered shapes (:func:`render`).
        split: only this split, such as ``test``.
        out: HDF5 file to write as well, as ``hifa export`` writes it.
        backbone: without ``model``: another pretrained encoder, such as ``dinov2-small``.
        weights: of that encoder: ``imagenet``, ``none``, or a file.
        size: pixels a side that it sees; 0: as in its pretraining.
        device: auto, cpu, cuda, cuda:N or mps.
        force: overwrite ``out``.
        feature_cache: folder that keeps what a frozen trunk makes of the pictures.

    Returns:
        Vectors, ids and labels of both domains.

    Raises:
        HifaError: nothing to embed, unusable data, or no such model.

    Example:
        >>> import hifa_cli as hifa
        >>> embeddings = hifa.embed("run", images="photos", shapes="views", split="test")  # doctest: +SKIP
        >>> embeddings.images.vectors.shape  # doctest: +SKIP
        (367, 256)
    """
    if images is None and shapes is None:
        raise HifaError("nothing to embed: give images=PHOTOS, shapes=VIEWS or both")
    if model is not None and (backbone or weights or size):
        raise HifaError("a model has its own backbone, weights and size: leave these out")
    from hifa_cli.pipelines.export import EncoderChoice, Sources, run_export

    with reporting_somewhere():
        return run_export(
            EncoderChoice(_optional(model), backbone, weights, size),
            Sources(_optional(images), _optional(shapes), split),
            device=device,
            features=_optional(feature_cache),
            out=_optional(out),
            force=force,
        )


def evaluate(
    embeddings: "Export | PathLike", *, profile: MetricProfile = "mi3dor", whole_list: bool = True
) -> "Scores":
    """Score embeddings: ask for each photo which shapes are nearest.

    Args:
        embeddings: of :func:`embed`, or an HDF5 file of ``hifa export``, with labels in both domains.
        profile: whose definitions of the metrics: see ``docs/metrics.md``.
        whole_list: rank all shapes, which mAP and AUC need; False is quicker on huge galleries.

    Returns:
        The scores: ``print`` shows them, ``.to_dict()`` and ``.per_class()`` give the numbers.

    Raises:
        HifaError: photos or shapes are missing, or no photo has a class that a shape has.

    Example:
        >>> import numpy as np
        >>> import hifa_cli as hifa
        >>> from hifa_cli.embeddings.io import Embeddings
        >>> photos = Embeddings(("a", "b"), np.array([0, 1]), np.array([[1, 0], [0, 1]], np.float32))
        >>> shapes = Embeddings(("s", "t"), np.array([0, 1]), np.array([[9, 1], [1, 9]], np.float32))
        >>> scores = hifa.evaluate(hifa.Export(photos, shapes, ("chair", "mug")))
        >>> scores.to_dict()["NN"], scores.per_class()["mug"]["FT"]
        (1.0, 1.0)
    """
    from hifa_cli.embeddings.io import Export, read_export
    from hifa_cli.evaluation.evaluate import evaluate as stage
    from hifa_cli.runtime import progress

    with reporting_somewhere():
        if isinstance(embeddings, Export):
            return stage(embeddings, profile=profile, whole_list=whole_list)
        path = Path(embeddings)
        scores = stage(read_export(path), profile=profile, whole_list=whole_list, name=str(path))
        if scores.skipped:
            progress.warn(f"{path}: {scores.skipped} photos have no class that a shape has; skipped")
        return scores


def build_gallery(
    source: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    model: PathLike | None = None,
    ranking: Literal["default", "paper"] = "default",
    rig: Rig | None = None,
    up: str | Sequence[str] = _DRAW.up,
    split: str | None = None,
    factory: str = IndexConfig.factory,
    workers: int = 0,
    keep_views: bool = False,
    maps: PathLike | None = None,
    metadata: PathLike | None = None,
    shard: str | None = None,
    store: str | None = None,
    device: str = "auto",
    force: bool = False,
) -> Gallery:
    """Make a folder of shapes that photos can be held against, and open it.

    Args:
        source: meshes (folders or files), folders of rendered views, HDF5 exports; several make one gallery.
        out: folder of the gallery. Given again with the same meshes, only what changed is drawn.
        model: folder of a run; the pretrained encoder by default.
        ranking: ``default``, or ``paper`` as the paper's benchmark does.
        rig: from where meshes are drawn: ``eye`` (15° above) or ``paper`` (30°). By default ``eye``, and
            ``paper`` with ``ranking="paper"`` or a ``model`` without a fused descriptor.
        up: ``auto``, ``x``, ``y``, ``z``, or patterns such as ``["*.obj=y"]``.
        split: only this split of views or meshes.
        factory: FAISS factory string; ``auto`` goes by size.
        workers: processes that render; 0: as many as there are cores.
        keep_views: keep the drawn views as pictures in the gallery.
        maps: of ``hifa adapt --maps``, for an export that it adapted; photos go through them too.
        metadata: a table about the shapes (CSV, JSON, JSON lines) with a column ``id`` or ``path``.
        shard: ``i/n`` makes only the i-th of n parts, which :func:`merge_shards` joins.
        store: where the vectors live: ``lance:PATH``, ``qdrant://HOST[:PORT]/COLLECTION`` or ``local``; by
            default where they lived, in the gallery's own folder if it is new.
        device: where the network runs: auto, cpu, cuda, cuda:N or mps.
        force: replace a gallery that is there.

    Returns:
        The open gallery. Meshes that could not be drawn are named in warnings and in ``gallery.failed``.

    Raises:
        HifaError: nothing usable at ``source``, or ``out`` is taken.

    Example:
        >>> import hifa_cli as hifa
        >>> hifa.build_gallery("meshes", "gallery")  # doctest: +SKIP
        Gallery('gallery', 120 shapes, 10 classes, frozen)
    """
    from hifa_cli.gallery.build import build_gallery as stage
    from hifa_cli.gallery.shard import parse_shard
    from hifa_cli.models.about import has_fused_descriptor
    from hifa_cli.render.up_rules import parse_up
    from hifa_cli.runtime.device import settled_device

    try:
        axis, ups = parse_up([up] if isinstance(up, str) else up)
    except ValueError as error:
        raise HifaError(f"up: {error}") from error
    try:
        part = None if shard is None else parse_shard(shard)
    except ValueError as error:
        raise HifaError(f"shard: {error}") from error
    as_paper = ranking == "paper"
    trained_as_paper = model is not None and not has_fused_descriptor(Path(model))
    elevation = _elevation(rig or ("paper" if as_paper or trained_as_paper else "eye"))
    with reporting_somewhere():
        report = stage(
            _paths(source), Path(out), model=_optional(model), split=split,
            index_config=IndexConfig(factory=factory),
            render_config=RenderConfig(up=axis, ups=ups, elevation=elevation), workers=workers or None,
            device=settled_device(device), force=force, ranking=None if as_paper else RankingConfig(),
            keep_views=keep_views, maps=_optional(maps),
            metadata=_optional(metadata), shard=part, store=store,
        )  # fmt: skip
    gallery = open_gallery(out, model=model, device=device)
    gallery.failed = tuple((one["path"], one["reason"]) for one in report["failed"])
    return gallery


def merge_shards(
    shards: Sequence[PathLike], out: PathLike, *, device: str = "auto", force: bool = False
) -> Gallery:
    """Join the shards of a gallery to the one that a single machine would have made, and open it.

    Args:
        shards: folders that ``build_gallery(…, shard="i/n")`` made: all n of them, in any order.
        out: folder of the gallery.
        device: where FAISS builds an index: auto, cpu, cuda or cuda:N.
        force: replace a gallery that is there.

    Returns:
        The open gallery.

    Raises:
        HifaError: a shard is missing, there twice or made otherwise than the others, or ``out`` is taken.

    Example:
        >>> import hifa_cli as hifa
        >>> hifa.merge_shards(["shard-1", "shard-2"], "gallery")  # doctest: +SKIP
        Gallery('gallery', 120 shapes, 10 classes, frozen)
    """
    from hifa_cli.gallery.merge import merge_shards as stage
    from hifa_cli.runtime.device import settled_device

    with reporting_somewhere():
        stage([Path(one) for one in shards], Path(out), force=force, device=str(settled_device(device)))
    return open_gallery(out, device=device)


def _elevation(rig: str) -> float:
    """Return a rig's degrees above the horizon.

    Raises:
        HifaError: no such rig exists.
    """
    if rig not in RIGS:
        raise HifaError(f"rig '{rig}' does not exist: choose {', '.join(RIGS)}")
    return RIGS[rig]


def _paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    return [Path(one) for one in given] if isinstance(given, list | tuple) else [Path(given)]  # type: ignore[arg-type]


def _optional(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)
