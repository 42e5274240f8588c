"""One row at one seed: train, export, adapt, evaluate; what is done already is taken as it is.

FOLDER/run/          the training run ('hifa train' wrote it)
FOLDER/test.h5       embeddings of the test split
FOLDER/train.h5      of the training split, where a shallow method is to be fitted on them
FOLDER/scores.json   written last: with it, the job is done
"""

import json
import math
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hifa_cli
from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data import Collection, find_images, find_shapes
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.metrics import METRICS
from hifa_cli.pipelines.compare.rows import Kind
from hifa_cli.runtime.atomic import remove_folder, written_file
from hifa_cli.runtime.progress import Reporter, current, reporting

if TYPE_CHECKING:
    import torch

    from hifa_cli.embeddings.extract import Encoder
    from hifa_cli.embeddings.io import Export

T = TypeVar("T")
SCORES_FILE = "scores.json"
NUMBERS = (  # what decides numbers; the rest of the code may change between two rows
    "config", "losses", "adaptation/", "data/", "embeddings/", "evaluation/", "methods/", "models/",
    "search/", "training/",
)  # fmt: skip
SCHEMA = 1


@dataclass(frozen=True)
class Shared:
    """The data that all jobs of a comparison share.

    Attributes:
        images: folder or list of photos.
        shapes: folder or list of rendered shapes.
        train_split: split to train on.
        test_split: split to score.
        profile: definitions of the metrics.
        device: as ``pick_device`` takes it.
        features: folder of the frozen trunks' features.
        test_data: digest of the test split.
        meshes: that the shapes were drawn from, for rows with a first stage; "" where none are given.
    """

    images: str
    shapes: str
    train_split: str
    test_split: str
    profile: str
    device: str
    features: str
    test_data: str
    meshes: str = ""


@dataclass(frozen=True)
class Job:
    """A row at a seed.

    Attributes:
        folder: where all of it stays; named by every setting that training depends on.
        name: of the row.
        kind: of the row.
        method: of training, ``frozen``, or the shallow method.
        seed: None where no seed changes the row.
        train: every field of ``TrainConfig``.
        adapt: settings of the shallow method.
        base: folder of the job whose embeddings are adapted.
        fits: whether a shallow method needs the embeddings of the training split.
        own_input: whether pictures are prepared as the backbone's pretraining did, not as ``train`` says.
        side: then, pixels a side; 0 is what the pretraining had.
    """

    folder: str
    name: str
    kind: Kind
    method: str
    seed: int | None
    train: dict[str, Any]
    adapt: dict[str, Any] = field(default_factory=dict)
    base: str = ""
    fits: bool = False
    own_input: bool = False
    side: int = 0

    @property
    def test(self) -> Path:
        """Return the embeddings that are scored."""
        return Path(self.folder) / "test.h5"

    @property
    def units(self) -> int:
        """Return how much of the progress bar it takes: its steps of training, or one."""
        return int(self.train["steps"]) if self.kind == "trained" else 1


def finished(job: Job, shared: Shared) -> dict[str, Any] | None:
    """Return the scores of a job that was done before on the same test data by the same definitions."""
    document = _read_scores(job.folder)
    if document is None or not job.test.is_file() or (job.fits and not _train_file(job.folder).is_file()):
        return None
    same = document.get("test_data") == shared.test_data and document.get("profile") == shared.profile
    return document if same and _is_whole(document) else None


def _read_scores(folder: str) -> dict[str, Any] | None:
    try:
        document = json.loads((Path(folder) / SCORES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and document.get("schema") == SCHEMA else None


def _is_whole(document: dict[str, Any]) -> bool:
    """Return whether every metric is there and a number; what is not is scored again."""
    scores = [document.get(name) for name in METRICS]
    numbers = all(isinstance(one, int | float) and abs(one) < math.inf for one in scores)
    return numbers and isinstance(document.get("seconds"), dict)


class RecordingReporter(Reporter):
    """Passes all on to ``listener``, and remembers whether a picture was left out."""

    def __init__(self, listener: Reporter) -> None:
        self.lacks_pictures = False
        self.note, self.warn, self.status = listener.note, listener.warn, listener.status  # type: ignore[method-assign]
        self.track, self.track_steps = listener.track, listener.track_steps  # type: ignore[method-assign]
        self._left_out = listener.left_out

    def left_out(self, item: str, reason: str) -> None:
        """Remember that ``item`` was left out, and pass it on."""
        self.lacks_pictures = True
        self._left_out(item, reason)

    def raise_if_missing(self, images: Collection, shapes: Collection) -> None:
        """See that what could not be read is damaged, which it is for every row, and not gone.

        Raises:
            HifaError: a picture is gone.
        """
        if self.lacks_pictures:
            data_digest(images, shapes)


class Runner:
    """Does jobs one after another; the data are looked for once."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def __call__(self, job: Job) -> dict[str, Any]:
        """Do what of a job is not done.

        Raises:
            HifaError: it cannot be done.
            Stopped: it was asked to stop; a checkpoint was written.
        """
        from hifa_cli.evaluation.evaluate import evaluate

        started = time.monotonic()
        export, seconds = self._adapted(job) if job.kind == "adapted" else self._embedded(job)
        scores = evaluate(export, profile=self.shared.profile, name=str(job.test))
        document = {
            "schema": SCHEMA,
            "arm": job.name,
            "seed": job.seed,
            "test_data": self.shared.test_data,
            "model": export.model,
            "hifa_version": export.hifa_version,
            "code": code_digest(),
            "seconds": {"train": seconds, "all": round(time.monotonic() - started, 1)},
            **scores.document(),
        }
        with written_file(Path(job.folder) / SCORES_FILE) as path:
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return document

    def _embedded(self, job: Job) -> tuple["Export", float]:
        """Return the test split as a trained or frozen network sees it, and the seconds of training."""
        encoder, seconds = self._encoder(job)
        if job.fits:
            self._export(encoder, job, *self._train, _train_file(job.folder))
        return self._export(encoder, job, *self._test, job.test), seconds

    def _encoder(self, job: Job) -> tuple["Encoder", float]:
        from hifa_cli.embeddings.extract import frozen_encoder, load_encoder
        from hifa_cli.training.checkpoint import RUN_FILE
        from hifa_cli.training.trainer import train

        config = TrainConfig(**job.train)
        if job.kind == "frozen":
            model = frozen_model(job, config, self._device)
            return frozen_encoder(self._device, model, config.weights), 0.0
        run = Path(job.folder) / "run"
        with reporting(RecordingReporter(current())) as heard:
            report = train(
                *self._train, run, config, seed=job.seed or 0, device=self._device, force=False,
                features=Path(self.shared.features),
                meshes=Path(self.shared.meshes) if self.shared.meshes else None,
            )  # fmt: skip
        try:
            heard.raise_if_missing(*self._train)
        except HifaError:
            remove_folder(run, last=RUN_FILE)  # it saw less than the other rows
            raise
        return load_encoder(run, self._device), report.seconds

    def _export(
        self, encoder: "Encoder", job: Job, images: Collection, shapes: Collection, out: Path
    ) -> "Export":
        """Embed a split, unless the same network has done so."""
        from hifa_cli.embeddings.extract import export
        from hifa_cli.embeddings.io import read_export, write_export

        digest = data_digest(images, shapes)
        if out.is_file():
            before = read_export(out)
            if (before.model, before.config.get("data")) == (encoder.digest, digest):
                return before
        about = {
            "run": str((Path(job.folder) / "run").resolve()) if job.kind == "trained" else None,
            "weights": job.train["weights"],
            "images": str(Path(self.shared.images).resolve()),
            "shapes": str(Path(self.shared.shapes).resolve()),
            "data": digest,
        }
        with reporting(RecordingReporter(current())) as heard:
            done = export(encoder, images, shapes, about=about, features=Path(self.shared.features))
        heard.raise_if_missing(images, shapes)
        write_export(out, done)
        return done

    def _adapted(self, job: Job) -> tuple["Export", float]:
        """The base's embeddings of the test split, adapted by what was fitted on the training split."""
        from hifa_cli.adaptation.adapters import adapt
        from hifa_cli.config import AdaptConfig
        from hifa_cli.embeddings.io import read_export, write_export

        base, started = Path(job.base), time.monotonic()
        if (_read_scores(job.base) or {}).get("test_data") != self.shared.test_data:
            raise HifaError(f"its base has not been done: see the row of {base.parent.name}")
        done = adapt(
            read_export(base / "test.h5"),
            read_export(_train_file(job.base)),
            AdaptConfig(**job.adapt),
        )
        write_export(job.test, done)
        return done, round(time.monotonic() - started, 1)

    @cached_property
    def _device(self) -> "torch.device":
        from hifa_cli.runtime.device import pick_device

        return pick_device(self.shared.device)

    @cached_property
    def _train(self) -> tuple[Collection, Collection]:
        return found(self.shared, self.shared.train_split)

    @cached_property
    def _test(self) -> tuple[Collection, Collection]:
        return found(self.shared, self.shared.test_split)


def _train_file(folder: str) -> Path:
    return Path(folder) / "train.h5"


def found(shared: Shared, split: str) -> tuple[Collection, Collection]:
    """Photos and shapes of a split.

    Raises:
        HifaError: none exist.
    """
    return find_images(Path(shared.images), split=split), find_shapes(Path(shared.shapes), split=split)


def code_digest() -> str:
    """Return what tells versions of the code apart on whose text a score depends: 16 hexadecimal digits."""
    import hashlib

    root = Path(hifa_cli.__file__).parent
    total = hashlib.sha256()
    for path in sorted(one for part in NUMBERS for one in root.glob(f"{part}*") if one.suffix == ".py"):
        total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def data_digest(images: Collection, shapes: Collection) -> str:
    """Return what tells data apart without reading them: ids, classes and the sizes of the files.

    Raises:
        HifaError: a file is gone.
    """
    import hashlib

    total = hashlib.sha256()
    for part in (images, shapes):
        total.update(f"{part.classes}".encode())
        for item in part.items:
            try:
                sizes = [path.stat().st_size for path in item.views]
            except OSError as error:
                raise HifaError(
                    f"{error.filename} went away: put it back, then give the same command"
                ) from error
            total.update(f"{item.id} {item.label} {sizes}\n".encode())
    return total.hexdigest()


def frozen_model(job: Job, config: TrainConfig, device: "torch.device") -> ModelConfig:
    """Return the network of a frozen row.

    Of the comparison's own backbone, pictures are prepared as for the trained rows; of another, as its
    pretraining did, in the size that the row asks for.

    Args:
        job: the row.
        config: of the comparison.
        device: where it runs.

    Returns:
        Architecture and preparation of pictures.
    """
    from hifa_cli.embeddings.extract import untrained
    from hifa_cli.training.setup import model_config, resolved_freeze

    if not job.own_input:
        known = replace(config, freeze=resolved_freeze(config, device))
        return replace(model_config(known, ()), embedding=0, dropout=0.0, norm="shared", norm_last=0)
    model = untrained(config.backbone)
    side = job.side or model.size
    return replace(model, fit=config.fit, size=side, resize=side)
