"""An export made by a cluster: a task embeds the photos and shapes of a part, this process joins them.

The model is sent to the cluster once, and opened once by every process there that embeds. Finished parts are
kept beside the export until it is written, under names made of all that they depend on.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli import __version__
from hifa_cli.config import TrainConfig
from hifa_cli.data import Collection, Item
from hifa_cli.data.items import UNKNOWN
from hifa_cli.embeddings.encoder import GRAPH_FILES, MODEL_ABOUT, MODEL_WEIGHTS
from hifa_cli.embeddings.io import GROUPS, Embeddings, Export
from hifa_cli.embeddings.joining import NothingRead, joined
from hifa_cli.errors import HifaError
from hifa_cli.models.about import read_about
from hifa_cli.pipelines.export import EncoderChoice, Exporter, Sources, open_exporter, run_export
from hifa_cli.runtime.arrays import read_array
from hifa_cli.runtime.cluster import Pool, Task, keep_parts
from hifa_cli.runtime.device import settled_device
from hifa_cli.runtime.parts import KeptParts, digest_of, divided, packed, parts_for, state_of, unpack
from hifa_cli.runtime.ray_pool import device_of_nodes, ray_pool
from hifa_cli.runtime.threads import use

_ABOUT = "about.json"  # of a part: ids, and the model that made the vectors
_MODEL = (MODEL_ABOUT, MODEL_WEIGHTS, *GRAPH_FILES)

Entry = tuple[str, tuple[str, ...]]  # an item's id, and the absolute paths of its pictures


class ExportOptions(NamedTuple):
    """Settings of all parts.

    Attributes:
        device: where the network runs; a task on ``cuda`` asks for one GPU.
        features: folder that keeps what a frozen trunk makes of the pictures, at the same path on all nodes.
        threads: of a task, which asks for as many CPUs.
        parts: how many; by default one for 256 photos or shapes.
    """

    device: str = "cpu"
    features: Path | None = None
    threads: int = 1
    parts: int | None = None


class EmbedWork(NamedTuple):
    """The work of a task.

    Attributes:
        entries: the items of each domain, ``images`` and ``shapes``.
        choice: the encoder; a model's place is what messages call it.
        device: where it runs.
        features: folder that keeps what a frozen trunk makes of the pictures.
        threads: of the network.
    """

    entries: dict[str, tuple[Entry, ...]]
    choice: EncoderChoice
    device: str
    features: str | None
    threads: int


def export_on(
    pool: Pool, choice: EncoderChoice, sources: Sources, out: Path, options: ExportOptions, *,
    force: bool = False,
) -> Export:  # fmt: skip
    """Write the export that this machine alone would write, by the tasks of a pool.

    Args:
        pool: where they run.
        choice: the encoder.
        sources: photos and shapes; one of them may be None.
        out: file to write.
        options: of all parts.
        force: overwrite it.

    Returns:
        As :func:`~hifa_cli.pipelines.export.run_export`.

    Raises:
        HifaError: as there, and where a part cannot be made.
    """
    place = out.with_name(f".{out.name}.parts")
    done = run_export(
        choice, sources, out=out, force=force, exporter=lambda: partial(_export, pool, choice, options, place)
    )
    shutil.rmtree(place, ignore_errors=True)
    return done


def export_on_ray(
    choice: EncoderChoice, sources: Sources, out: Path, options: ExportOptions, *, force: bool = False
) -> Export:
    """Write an export by a Ray cluster.

    Args:
        choice: the encoder.
        sources: photos and shapes; one of them may be None.
        out: file to write.
        options: of all parts; the device may be ``auto``.
        force: overwrite it.

    Returns:
        As :func:`~hifa_cli.pipelines.export.run_export`.

    Raises:
        HifaError: as :func:`export_on`, and where there is no Ray, or no cluster that answers.
    """
    options = options._replace(device=device_of_nodes(options.device))
    with ray_pool(cpus=options.threads, device=options.device) as pool:
        return export_on(pool, choice, sources, out, options, force=force)


def _export(
    pool: Pool, choice: EncoderChoice, options: ExportOptions, place: Path, images: Collection | None,
    shapes: Collection | None, *, about: dict[str, Any],
) -> Export:  # fmt: skip
    """Have the parts made that are not in ``place``, and join all."""
    model = _packed_model(choice)
    works = _works(images, shapes, choice, options)
    common = (
        __version__, choice._replace(model=None), hashlib.sha256(model).hexdigest(), options.device,
        options.features is not None, options.threads,
    )  # fmt: skip
    kept = KeptParts(place, {number: _name(number, common, work) for number, work in works.items()})
    tasks = {number: Task(number, len(works), embed_part, work) for number, work in works.items()}
    parts = keep_parts(pool, kept, tasks, "embedding", model)
    headings = _headings(parts)
    if len(headings) > 1:
        kept.remove()
        raise HifaError(
            "nodes have different pretrained encoders: install the same packages on all of them, then give "
            "the same command again"
        )
    if not headings:
        raise NothingRead("embedding photos and shapes")
    heading = headings[0]
    return joined(
        images, shapes, partial(_joined, parts), method=heading["method"], model=heading["model"],
        config={**heading["config"], **about},
    )  # fmt: skip


def _packed_model(choice: EncoderChoice) -> bytes:
    """Return the model's folder as an archive; empty for the pretrained encoder, which every node has.

    Raises:
        HifaError: no model exists.
    """
    if choice.is_default:
        return b""
    with TemporaryDirectory() as scratch:
        folder = choice.model
        if folder is None:
            from hifa_cli.embeddings.extract import save_backbone

            name, weights = choice.backbone or TrainConfig.backbone, choice.weights or TrainConfig.weights
            folder = save_backbone(Path(scratch), name, size=choice.size, weights=weights)
        read_about(folder)  # says what is wrong with it before any work
        return packed(folder, only=_MODEL)


def _works(
    images: Collection | None, shapes: Collection | None, choice: EncoderChoice, options: ExportOptions
) -> dict[int, EmbedWork]:
    """Divide the items of both domains by their ids."""
    items = [
        (domain, item)
        for domain, found in zip(GROUPS, (images, shapes), strict=True)
        for item in (found.items if found is not None else ())
    ]
    count = parts_for([item.id for _, item in items], options.parts)
    features = None if options.features is None else str(options.features.absolute())
    return {
        number: EmbedWork(
            {
                domain: tuple(_entry(item) for where, item in part if where == domain)
                for domain in GROUPS
            },
            choice, options.device, features, options.threads,
        )
        for number, part in divided(items, count, lambda one: one[1].id).items()
    }  # fmt: skip


def _entry(item: Item) -> Entry:
    return item.id, tuple(str(path.absolute()) for path in item.views)


def _name(number: int, common: tuple[Any, ...], work: EmbedWork) -> str:
    """Return the name of a part, made of all that it depends on; pictures count by size and time."""
    states = {
        domain: [[name, [_state(path) for path in paths]] for name, paths in entries]
        for domain, entries in work.entries.items()
    }
    return f"{number}-{digest_of(common, states)}"


def _state(path: str) -> tuple[str, int, int]:
    try:
        return state_of(Path(path))
    except OSError:  # it cannot be read, and whoever reads it says so
        return path, -1, -1


def _headings(parts: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what the parts say of their model, each version of it once; parts of nothing say nothing."""
    said = [one["heading"] for one in map(_about, parts) if one["heading"] is not None]
    return list({json.dumps(one, sort_keys=True): one for one in said}.values())


def _about(part: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((part / _ABOUT).read_text(encoding="utf-8"))
    return found


def _joined(parts: Sequence[Path], items: Sequence[Item], domain: str) -> Embeddings:
    """Return the vectors of a domain in the order of its items.

    Raises:
        HifaError: nothing of it could be read.
    """
    vectors: dict[str, NDArray[np.float32]] = {}
    for part in parts:
        ids = _about(part)["ids"].get(domain, [])
        vectors |= zip(ids, read_array(part / f"{domain}.npy") if ids else (), strict=True)
    known = [item for item in items if item.id in vectors]
    if not known:
        raise NothingRead(f"embedding {domain}")
    return Embeddings(
        ids=tuple(item.id for item in known),
        labels=np.array([item.label for item in known], dtype=np.int64),
        vectors=np.stack([vectors[item.id] for item in known]),
    )


def embed_part(work: EmbedWork, model: bytes) -> bytes:
    """Embed the items of a part: what a node does.

    Args:
        work: the part.
        model: its folder as an archive; empty for the pretrained encoder.

    Returns:
        The ids that could be read, their vectors, and what made them, as an archive.

    Raises:
        HifaError: the model cannot be opened.
    """
    use(work.threads, by_load=False)
    export = _opened(work.choice, model, settled_device(work.device), work.features)
    with TemporaryDirectory() as scratch:
        ids: dict[str, list[str]] = {}
        heading = None
        for domain, entries in work.entries.items():
            found = _embedded(export, domain, entries)
            if found is None:
                continue
            part: Embeddings = getattr(found, domain)
            ids[domain] = list(part.ids)
            np.save(Path(scratch, f"{domain}.npy"), part.vectors)
            heading = {"method": found.method, "model": found.model, "config": found.config}
        text = json.dumps({"ids": ids, "heading": heading})
        Path(scratch, _ABOUT).write_text(text, encoding="utf-8")
        return packed(Path(scratch))


@lru_cache(maxsize=1)
def _opened(choice: EncoderChoice, model: bytes, device: str, features: str | None) -> Exporter:
    """Open the encoder; a process that makes several parts opens it once."""
    cache = None if features is None else Path(features)
    if not model:
        return open_exporter(choice, device, cache)
    with TemporaryDirectory() as scratch:
        unpack(model, Path(scratch))
        try:
            return open_exporter(EncoderChoice(Path(scratch)), device, cache)
        except HifaError as error:
            raise HifaError(str(error).replace(scratch, str(choice.model or choice.backbone))) from error


def _embedded(export: Exporter, domain: str, entries: Sequence[Entry]) -> Export | None:
    """Embed the items of one domain; None where none of them can be read."""
    items = tuple(Item(name, UNKNOWN, tuple(map(Path, paths))) for name, paths in entries)
    given: dict[str, Collection | None] = dict.fromkeys(GROUPS)
    given[domain] = Collection(items, ()) if items else None
    try:
        return export(given["images"], given["shapes"], about={}) if items else None
    except NothingRead:
        return None
