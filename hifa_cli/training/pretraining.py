"""The first stage of a run, before any label is read: photos generated of the shapes find their own shapes.

The loss, the held-out photo of each shape and the rule of which step is kept are those of a gallery's own
map (:mod:`hifa_cli.adaptation.own_map`). Of a frozen trunk the map of the photos' feature is learned, of a
trunk whose last blocks train (``--freeze blocks:N``) these blocks. The truth is which shape a photo was
generated of.

    RUN/pretraining.safetensors    what was learned, or how far it is; removed when the run is finished
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hifa_cli.adaptation.own_map import Examples, Found, find_own, learn_map
from hifa_cli.config import LearnConfig, TrainConfig, last_blocks
from hifa_cli.data import Item
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, gather_features
from hifa_cli.errors import HifaError
from hifa_cli.gallery.learning import SECONDS_A_STEP, cost
from hifa_cli.losses import own_shape
from hifa_cli.models.network import TrunkFeatures, write_tensors
from hifa_cli.runtime import progress, threads
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.distributed import barrier, world
from hifa_cli.runtime.seeding import numpy_stream
from hifa_cli.search.rerank import SHIFT_SCALE, Floats, unit
from hifa_cli.training.generated import find_pupils, forget_photos, photograph
from hifa_cli.training.setup import Run

FILE = "pretraining.safetensors"
LEAST = 10  # shapes, as a gallery's map needs
BLOCKS_BATCH, BLOCKS_VIEWS = 32, 2  # shapes a step and views of each, where blocks train
CHECKED, CHECKED_VIEWS = 200, 4  # shapes and views of each that held-out photos are compared with, then
BEST, NOW, MEAN, SQUARE = "best/", "now/", "mean/", "square/"
SECONDS_A_PICTURE = 0.01  # forward and backward through the last blocks (docs/training.md)
_CHUNK = 32  # pictures
_FIGURES = ("recall@1", "recall@10", "MRR")
Tensors = dict[str, Tensor]
About = dict[str, Any]
Rows = NDArray[np.int64]


class Lesson(NamedTuple):
    """What is learned from.

    Attributes:
        photos: (n, P, …) the trunk's features, or maps of its early blocks, of the photos of n shapes.
        shapes: (n, V, …) of their views.
        of: digests of the n shapes, joined: what was kept of other shapes is not taken up.
    """

    photos: TrunkFeatures
    shapes: TrunkFeatures
    of: str


def learn_config(config: TrainConfig) -> LearnConfig:
    """Return the settings of a gallery's map with what a run says of its own."""
    batch = config.pretrain_batch or (BLOCKS_BATCH if last_blocks(config.freeze) else LearnConfig.batch)
    return replace(
        LearnConfig(), photos=config.pretrain_photos, steps=config.pretrain_steps, batch=batch,
        rate=config.pretrain_rate,
    )  # fmt: skip


def pretrain(run: Run, shapes: TrunkFeatures, out: Path, meshes: Path | None, features: Path | None) -> None:
    """Take the first stage, or what of it was done before, and put what it learned into the network.

    Args:
        run: whose network is changed.
        shapes: what the trunk, or its early blocks, made of the readable shapes.
        out: folder of the run.
        meshes: that the shapes were drawn from.
        features: folder that keeps features and photos for other runs, or None.

    Raises:
        HifaError: too few of the shapes have meshes to generate photos of.
    """
    if kept_record(out) is None and world().leads:
        started = time.monotonic()
        progress.note(expected(run))
        lesson = _lesson(run, shapes, features or out, meshes, features)
        learn = _blocks_learned if run.network.kept >= 0 else _map_learned
        tensors, about = learn(run, lesson, out)
        about |= {
            "shapes": len(lesson.photos.high),
            "photos": len(lesson.photos.high) * run.config.pretrain_photos,
            "left_out": len(shapes.high) - len(lesson.photos.high),
            "seconds": round(time.monotonic() - started, 1),
        }
        _write(out, {f"{BEST}{name}": tensor for name, tensor in tensors.items()}, {"record": about})
        _say(about)
    barrier()
    state = run.network.state_dict()
    for name, tensor in _read(out)[0].items():
        state[name.removeprefix(BEST)].copy_(tensor)


def expected(run: Run) -> str:
    """Return what a first stage will take, in words."""
    config = learn_config(run.config)
    count = min(len(run.views), config.shapes)
    pictures = config.batch * (1 + BLOCKS_VIEWS)
    each = pictures * SECONDS_A_PICTURE if last_blocks(run.config.freeze) else SECONDS_A_STEP
    return f"first stage: {cost(count, count, config, min(threads.allowed(), count), each)}"


def _say(about: About) -> None:
    before, after = about["held_out"]["recall@1"]
    progress.note(
        f"first stage: held-out generated photos find their own shape first in {before:.0%} before, "
        f"{after:.0%} after {about['steps']} steps"
    )
    if not about["steps"]:
        progress.warn(
            "the first stage found no more held-out photos than without it: the network is unchanged"
        )


def _lesson(
    run: Run, shapes: TrunkFeatures, place: Path, meshes: Path | None, features: Path | None
) -> Lesson:
    """Generate the photos and look at them."""
    if meshes is None:
        raise HifaError("--pretrain generated makes photos of the shapes' meshes: give --meshes FOLDER")
    config = learn_config(run.config)
    pupils = find_pupils(run.readable, meshes)[: config.shapes]
    made = photograph(pupils, place, config)
    pupils = [one for one in pupils if one.digest in made]
    if len(pupils) < LEAST:
        raise HifaError(
            f"{len(pupils)} shapes have photos generated of their meshes: the first stage needs {LEAST}; "
            "give --meshes the folder that 'hifa render' drew them from, or leave out --pretrain"
        )
    items = [Item(one.digest, -1, made[one.digest]) for one in pupils]
    looked = extract_features(
        run.network, items, maps=False, device=run.device, label="looking at the generated photos",
        workers=max(run.config.workers, 2),
        cache=FeatureCache(features, run.network, run.device) if features else None,
    )  # fmt: skip
    photos, read = gather_features(looked, items)
    rows = torch.tensor([pupils[row].row for row in read])
    return Lesson(
        photos, TrunkFeatures(*(part[rows] for part in shapes)), "".join(pupils[row].digest for row in read)
    )


def _map_learned(run: Run, lesson: Lesson, out: Path) -> tuple[Tensors, About]:
    """Learn the map of the photos' feature: seconds to a minute, so that a killed run does it again."""
    del out
    config = learn_config(run.config)
    width = len(run.network.photo_shift)
    photos, views = (unit(part.high[..., :width].numpy()) for part in (lesson.photos, lesson.shapes))
    learned = learn_map(
        Examples(photos, views), config, seed=run.seed,
        track=lambda steps: progress.track(steps, "first stage: learning the map", total=len(steps)),
    )  # fmt: skip
    shift = torch.from_numpy(learned.shift / SHIFT_SCALE)
    tensors = {"photo_map": torch.from_numpy(learned.matrix), "photo_shift": shift}
    return tensors, _about("map", learned.steps, learned.before, learned.after)


def _about(what: str, steps: int, before: Found, after: Found) -> About:
    pairs = zip(_FIGURES, before, after, strict=True)
    return {"learned": what, "steps": steps, "held_out": {name: [b, a] for name, b, a in pairs}}


class _Blocks:
    """The last blocks of a trunk and their optimiser.

    Args:
        run: whose network is trained.
        lesson: what it is trained on.
    """

    def __init__(self, run: Run, lesson: Lesson) -> None:
        self.run, self.lesson, self.config = run, lesson, learn_config(run.config)
        self.network = run.network
        self.width = (self.network.trunk.blocks or (self.network.trunk.width,))[0]
        trunk = self.network.trunk.named_parameters()
        self.weights = {f"trunk.{name}": one for name, one in trunk if one.requires_grad}
        self.optimiser = torch.optim.Adam(self.weights.values(), lr=self.config.rate)

    def step(self, number: int) -> None:
        """Take a step on some shapes: one photo and some views of each."""
        draw = numpy_stream(self.run.seed, "first stage", number)
        count, photos = self.lesson.photos.low.shape[:2]
        rows = np.sort(draw.permutation(count)[: self.config.batch])
        chosen = draw.integers(1, photos, len(rows)) if photos > 1 else np.zeros(len(rows), dtype=np.int64)
        most = self.lesson.shapes.low.shape[1]
        views = np.stack([draw.permutation(most)[:BLOCKS_VIEWS] for _ in rows])
        self.network.train()
        loss = own_shape(
            self._features(self.lesson.photos, rows[:, None], chosen[:, None])[:, 0],
            self._features(self.lesson.shapes, rows[:, None], views), self.config.temperature,
        )  # fmt: skip
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def _features(self, seen: TrunkFeatures, rows: Any, columns: Any) -> Tensor:
        """Return (b, v, D) unit pooled features of some pictures."""
        maps = seen.low[torch.from_numpy(rows), torch.from_numpy(columns)].to(self.run.device)
        high = self.network.looked(TrunkFeatures(maps, maps.new_empty(*maps.shape[:2], 0))).high
        return torch.nn.functional.normalize(high[..., : self.width].float(), dim=-1)

    @torch.inference_mode()
    def found(self) -> Found:
        """Return how the held-out photos of some shapes find them."""
        self.network.eval()
        count, most = self.lesson.shapes.low.shape[:2]
        sample = np.linspace(0, count - 1, min(CHECKED, count)).astype(np.int64)
        columns = np.linspace(0, most - 1, min(CHECKED_VIEWS, most)).astype(np.int64)
        held = self._looked(self.lesson.photos, sample, np.zeros(1, dtype=np.int64))
        return find_own(held[:, 0], self._looked(self.lesson.shapes, sample, columns))

    def _looked(self, seen: TrunkFeatures, rows: Rows, columns: Rows) -> Floats:
        parts = np.array_split(rows, max(len(rows) // _CHUNK, 1))
        return np.concatenate(
            [self._features(seen, part[:, None], columns[None]).cpu().numpy() for part in parts]
        )

    def state(self) -> Tensors:
        """Return weights and the optimiser's running means."""
        found = {f"{NOW}{name}": one.detach().cpu().clone() for name, one in self.weights.items()}
        for name, one in self.weights.items():
            kept = self.optimiser.state[one]
            found |= {f"{MEAN}{name}": kept["exp_avg"].cpu(), f"{SQUARE}{name}": kept["exp_avg_sq"].cpu()}
        return found

    @torch.no_grad()
    def take_up(self, tensors: Tensors, step: int) -> None:
        """Go on from a state after some steps."""
        for name, one in self.weights.items():
            one.copy_(tensors[f"{NOW}{name}"])
            self.optimiser.state[one] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"{MEAN}{name}"].to(one.device),
                "exp_avg_sq": tensors[f"{SQUARE}{name}"].to(one.device),
            }

    def best(self) -> Tensors:
        """Return the weights as they are, as the best."""
        return {f"{BEST}{name}": one.detach().cpu().clone() for name, one in self.weights.items()}


def _blocks_learned(run: Run, lesson: Lesson, out: Path) -> tuple[Tensors, About]:
    """Train the last blocks; a killed run goes on after the last look at the held-out photos."""
    blocks, config = _Blocks(run, lesson), learn_config(run.config)
    tensors, kept = _read(out)
    if kept.get("of") == lesson.of:
        step, steps = int(kept["step"]), int(kept["steps"])
        before, after = Found(*kept["before"]), Found(*kept["after"])
        best = {name: one for name, one in tensors.items() if name.startswith(BEST)}
        blocks.take_up(tensors, step)
    else:
        step = steps = 0
        before = after = blocks.found()
        best = blocks.best()
    for number in _tracked(step, config.steps):
        blocks.step(number)
        if (number + 1) % config.check and number + 1 != config.steps:
            continue
        found = blocks.found()
        if found.mrr > after.mrr:
            best, after, steps = blocks.best(), found, number + 1
        said = {"of": lesson.of, "step": number + 1, "steps": steps, "before": before, "after": after}
        _write(out, {**best, **blocks.state()}, said)
    what = f"blocks:{last_blocks(run.config.freeze)}"
    return {name.removeprefix(BEST): one for name, one in best.items()}, _about(what, steps, before, after)


def _tracked(start: int, stop: int) -> Iterator[int]:
    yield from progress.track(range(start, stop), "first stage: training the last blocks", total=stop - start)


def _write(out: Path, tensors: Tensors, about: About) -> None:
    with written_file(out / FILE) as path:
        write_tensors(
            {name: one.contiguous() for name, one in tensors.items()}, path, {"about": json.dumps(about)}
        )


def _read(out: Path) -> tuple[Tensors, About]:
    """Return what is kept of the stage; nothing where there is nothing or it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(out / FILE, "pt") as file:
            about = json.loads(file.metadata()["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, LookupError, TypeError, ValueError, SafetensorError):
        return {}, {}


def kept_record(out: Path) -> About | None:
    """Return what a finished first stage of an unfinished run came to."""
    record: About | None = _read(out)[1].get("record")
    return record


def tidy_stage(out: Path) -> None:
    """Remove what only an unfinished run needs of the stage."""
    (out / FILE).unlink(missing_ok=True)
    forget_photos(out)
