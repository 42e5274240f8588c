"""Learning a gallery's own map: generate photos of its shapes, embed and keep them, learn the map of them.

    photos/MARK/ab/DIGEST.npy    (P, D) float16 unit vectors of the photos generated of one shape, and of
                                 worn copies of all but the first, which is held out

A shape's photos are made once: what a killed run has left, and what was there before shapes were added, is
used again.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.adaptation.own_map import Examples, Learned, learn_map
from hifa_cli.config import LearnConfig, RenderConfig
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import PictureEncoder, open_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, Gallery, read_gallery
from hifa_cli.gallery.build import writing
from hifa_cli.gallery.columns import DAMAGED
from hifa_cli.gallery.own import MAPS, PHOTOS, Own, write_map
from hifa_cli.gallery.ranking import ranker_of
from hifa_cli.gallery.sources import mesh_offer_digest, render_config
from hifa_cli.render.workers import Job, draw_all
from hifa_cli.runtime import progress, threads
from hifa_cli.runtime.arrays import read_array
from hifa_cli.runtime.atomic import written_file
from hifa_cli.search.rerank import OwnMap, unit
from hifa_cli.synthetic.photo_worker import STYLE, WEAR, PhotoWorker, photo_mark

_MADE = ".photos"  # pictures between a worker and the encoder
_LEAST = 10  # shapes
_FIGURES = ("recall@1", "recall@10", "MRR")
_SECONDS_A_PHOTO, SECONDS_A_STEP = 0.09, 0.2  # of one core's time, measured (docs/results.md)


class Pupil(NamedTuple):
    """A shape that photos can be generated of."""

    row: int
    id: str
    mesh: Path
    digest: bytes


class PhotoStore:
    """The vectors of generated photos that a gallery keeps.

    Args:
        folder: the gallery.
        encoder: digest of its encoder.
        config: how many photos, and how large.
    """

    def __init__(self, folder: Path, encoder: str, config: LearnConfig) -> None:
        mark = f"{encoder} {config.photos} {config.longest} {STYLE} {WEAR}"
        self.whole = folder / PHOTOS
        self.folder = self.whole / hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()
        self.pictures = 2 * config.photos - 1

    def path(self, digest: bytes) -> Path:
        """Return where the vectors of a shape's photos lie."""
        return self.folder / digest.hex()[:2] / f"{digest.hex()}.npy"

    def read(self, digest: bytes, width: int) -> NDArray[np.float16] | None:
        """Return (P, D) vectors, or None where they are not there or damaged."""
        try:
            found = read_array(self.path(digest))
        except DAMAGED:
            return None
        if found.dtype != np.float16 or found.shape != (self.pictures, width) or not np.isfinite(found).all():
            return None
        return np.asarray(found)

    def write(self, digest: bytes, vectors: NDArray[np.float32]) -> None:
        """Keep (P, D) vectors."""
        with written_file(self.path(digest)) as beside, beside.open("wb") as file:
            np.save(file, vectors.astype(np.float16))

    def sweep(self, digests: NDArray[np.uint8]) -> None:
        """Remove what was made otherwise, or of shapes that the gallery does not have any more."""
        named = {row.tobytes().hex() for row in np.asarray(digests)}
        for other in self.whole.glob("*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        for old in self.folder.glob("*/*"):
            if old.stem not in named:
                old.unlink(missing_ok=True)


def learn(
    folder: Path, config: LearnConfig, *, workers: int | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Learn the own map of a gallery and put it in force.

    Args:
        folder: the gallery.
        config: photos, steps, rate.
        workers: processes that generate photos; None means all cores.
        device: where the network runs.

    Returns:
        ``shapes`` and ``photos`` learned of, ``steps``, ``held_out`` (recall@1, recall@10 and MRR before
        and after), ``failed``.

    Raises:
        HifaError: the gallery does not exist, it cannot be learned, or somebody else is writing there.
    """
    read_gallery(folder)
    with writing(folder):
        gallery = read_gallery(folder)
        model = check_learnable(gallery)
        pupils = _pupils(gallery, config)
        encoder = open_encoder(model, "cpu" if device == "auto" else device)
        store = PhotoStore(folder, encoder.digest, config)
        failed = _photographed(gallery, pupils, store, encoder, config, workers)
        known, photos = _photos_of(pupils, store, gallery.vectors.shape[1])
        if len(known) < _LEAST:
            raise HifaError(f"photos could be generated of {len(known)} shapes only; see the warnings")
        learned = _learned(gallery, known, photos, config)
        digests = np.frombuffer(b"".join(one.digest for one in known), dtype=np.uint8).reshape(len(known), -1)
        said = _put(gallery, learned, digests, config) if learned.steps else None
        store.sweep(np.asarray(gallery.digests))
    if said is None:
        progress.warn("the map finds no more held-out photos than without it: the gallery is left as it was")
    return {
        "shapes": len(known), "photos": len(known) * config.photos, "steps": learned.steps,
        "held_out": {
            name: [before, after]
            for name, before, after in zip(_FIGURES, learned.before, learned.after, strict=True)
        },
        "failed": failed,
    }  # fmt: skip


def check_learnable(gallery: Gallery) -> Path:
    """Return the folder of the gallery's model, where a map can be learned for it.

    Raises:
        HifaError: it ranks as the paper does, keeps no views, no model or no meshes.
    """
    if gallery.document.get("ranking") is None:
        raise HifaError(
            f"the gallery {gallery.folder} ranks as the paper does and has no use of an own map: "
            "build it without --ranking paper and --model"
        )
    if gallery.document["ranking"].get("residual") or gallery.document.get("taught") is not None:
        raise HifaError(
            f"the gallery {gallery.folder} is of a trained run or was taught by labelled photos: --learn is "
            "for galleries of a pretrained encoder alone"
        )
    if gallery.views is None:
        raise HifaError(f"the gallery {gallery.folder} keeps no vectors of views: build it with --views keep")
    if gallery.model_folder is None:
        raise HifaError(f"the model of {gallery.folder} is gone: build the gallery again")
    if not any(origin["kind"] == "meshes" for origin in gallery.document["origins"]):
        raise HifaError(
            f"photos are generated of meshes, and {gallery.folder} was made of views: index meshes"
        )
    return gallery.model_folder


def _pupils(gallery: Gallery, config: LearnConfig) -> list[Pupil]:
    """Return the shapes whose meshes are still what they were, at most as many as are learned of.

    Raises:
        HifaError: there are too few.
    """
    configs = [_config_of(origin) for origin in gallery.document["origins"]]
    found: list[Pupil] = []
    lost = 0
    digests = np.asarray(gallery.digests)
    order = sorted(range(len(gallery)), key=lambda row: digests[row].tobytes())
    for row in order:
        drawn = configs[int(gallery.origins[row])]
        mesh = gallery.source(row)
        if drawn is None or mesh is None:
            continue
        if len(found) == config.shapes:
            progress.note(f"the map is learned of {config.shapes} of {len(gallery)} shapes: those are enough")
            break
        if mesh_offer_digest(mesh, drawn) != digests[row].tobytes():
            lost += 1
            continue
        found.append(Pupil(row, gallery.ids[row], mesh, digests[row].tobytes()))
    if lost:
        progress.warn(
            f"{lost} meshes are gone or have changed: 'hifa index --update --out {gallery.folder}' follows"
        )
    if len(found) < _LEAST:
        raise HifaError(
            f"{len(found)} shapes of {gallery.folder} have meshes to generate photos of: a map needs {_LEAST}"
        )
    return sorted(found)


def _config_of(origin: dict[str, Any]) -> RenderConfig | None:
    return render_config(origin) if origin["kind"] == "meshes" else None


def _photographed(
    gallery: Gallery, pupils: Sequence[Pupil], store: PhotoStore, encoder: PictureEncoder,
    config: LearnConfig, workers: int | None,
) -> list[dict[str, str]]:  # fmt: skip
    """Generate and embed the photos that are not there yet; return what could not be made."""
    width = gallery.vectors.shape[1]
    missing = [one for one in pupils if store.read(one.digest, width) is None]
    count = min(workers or threads.allowed(), max(len(missing), 1))
    progress.note(cost(len(pupils), len(missing), config, count))
    made = gallery.folder / _MADE
    failed = []
    shutil.rmtree(made, ignore_errors=True)  # of a killed run
    try:
        for one, reason in progress.track(
            _made(gallery, missing, made, config, count), "generating photos", total=len(missing)
        ):
            if reason is None:
                store.write(one.digest, _embedded(made / one.digest.hex(), encoder))
            else:
                progress.warn(f"no photos of {one.id}: {reason}")
                failed.append({"path": str(one.mesh), "reason": reason})
            shutil.rmtree(made / one.digest.hex(), ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return failed


def cost(
    shapes: int, missing: int, config: LearnConfig, workers: int, seconds_a_step: float = SECONDS_A_STEP
) -> str:
    """Return what learning will take, in words.

    Args:
        shapes: that are learned of.
        missing: those whose photos are not there yet.
        config: photos a shape, and steps.
        workers: processes.
        seconds_a_step: of one core.

    Returns:
        A sentence.
    """
    photos = missing * config.photos
    seconds = photos * _SECONDS_A_PHOTO / workers + config.steps * seconds_a_step
    there = f" ({shapes - missing} have theirs)" if missing < shapes else ""
    return (
        f"learning of {shapes} shapes: {photos} photos to generate{there} and {config.steps} steps, some "
        f"{max(seconds / 60, 1):.0f} minutes on {workers} free cores; it can be interrupted and goes on"
    )


def _made(
    gallery: Gallery, missing: Sequence[Pupil], folder: Path, config: LearnConfig, workers: int
) -> Iterator[tuple[Pupil, str | None]]:
    """Yield each shape once its photos lie in a folder, or why it has none."""
    for number, origin in enumerate(gallery.document["origins"]):
        mine = {one.digest.hex(): one for one in missing if int(gallery.origins[one.row]) == number}
        drawn = _config_of(origin)
        if not mine or drawn is None:
            continue
        jobs = make_jobs(mine, folder, config)
        for outcome in draw_all(jobs, drawn, min(workers, len(jobs)), PhotoWorker):
            yield mine[outcome.job.id], outcome.reason


def make_jobs(pupils: Mapping[str, Pupil], folder: Path, config: LearnConfig) -> list[Job]:
    """Return what the workers are to do: photos of each shape and worn copies, into a folder of its name.

    Args:
        pupils: shapes by their digests.
        folder: of the photos.
        config: photos a shape.

    Returns:
        One job for each shape.
    """
    return [
        Job(
            name,
            one.mesh,
            folder / name,
            photo_mark(one.digest, config.photos, config.longest, worn_too=True),
        )
        for name, one in pupils.items()
    ]


def _embedded(folder: Path, encoder: PictureEncoder) -> NDArray[np.float32]:
    """Return (P, D) unit vectors of the photos in a folder, in order."""
    pixels = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as photo:
            pixels.append(to_pixels(photo, encoder.config))
    return unit(encoder.each_picture(np.stack(pixels)))


def _photos_of(
    pupils: Sequence[Pupil], store: PhotoStore, width: int
) -> tuple[list[Pupil], NDArray[np.float32]]:
    """Return the shapes that have photos, and the (m, P, D) vectors of those."""
    read = [(one, store.read(one.digest, width)) for one in pupils]
    there = [(one, vectors) for one, vectors in read if vectors is not None]
    photos = [vectors.astype(np.float32) for _, vectors in there]
    return [one for one, _ in there], np.stack(photos) if photos else np.zeros(
        (0, store.pictures, width), np.float32
    )


def _learned(
    gallery: Gallery, known: Sequence[Pupil], photos: NDArray[np.float32], config: LearnConfig
) -> Learned:
    """Learn the map in the space that the gallery compares photos and views in."""
    ranker = ranker_of(gallery.document["ranking"], gallery.model)
    assert ranker is not None
    assert gallery.views is not None
    views = np.asarray(gallery.views[[one.row for one in known]], dtype=np.float32)
    return learn_map(
        Examples(ranker.views(photos), views), config,
        track=lambda steps: progress.track(steps, "learning the map", total=len(steps)),
    )  # fmt: skip


def _put(
    gallery: Gallery, learned: Learned, digests: NDArray[np.uint8], config: LearnConfig
) -> dict[str, Any]:
    """Write the map, have ``gallery.json`` name it, and remove the one before."""
    digest = write_map(gallery.folder, Own(OwnMap(learned.matrix, learned.shift), digests))
    said = {
        "map": digest, "floor": config.floor, "weight": config.weight, "shapes": len(digests),
        "photos": config.photos, "steps": learned.steps,
        "before": list(learned.before), "after": list(learned.after),
    }  # fmt: skip
    _name_map(gallery.folder, said)
    for old in (gallery.folder / MAPS).glob("*.npz"):
        if old.stem != digest:
            old.unlink(missing_ok=True)
    return said


def _name_map(folder: Path, own: dict[str, Any] | None) -> None:
    """Have ``gallery.json`` name a map, or none."""
    path = folder / MAIN_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    document["ranking"] = {**document["ranking"], "own": own}
    with written_file(path) as beside:
        beside.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def forget(folder: Path) -> None:
    """Take a gallery's own map out of force, and remove it with the photos that it was learned of.

    Raises:
        HifaError: the gallery does not exist, or somebody else is writing there.
    """
    read_gallery(folder)
    with writing(folder):
        if read_gallery(folder).own is not None:
            _name_map(folder, None)
        for name in (MAPS, PHOTOS):
            with suppress(OSError):
                shutil.rmtree(folder / name)
