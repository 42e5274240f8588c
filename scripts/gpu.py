"""What scripts/gpu does: every claim about CUDA, tried on the GPUs that are here; the findings go to docs/gpu.md.

Every section runs in a process of its own and prints one JSON document; one that fails or takes too long is
written down as such, and the others go on. ``--rehearse`` runs the sections on the CPU, small, and prints the
page in place of writing it: what can be tested without a GPU.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gpu.md"
LIMIT = 150.0  # seconds a section; ten minutes in all
CLASSES = ("chair", "table", "car")
Found = dict[str, Any]


class Scale:
    """How large the sections are: a GPU's, or a rehearsal's.

    Args:
        rehearse: small, for a CPU.
    """

    def __init__(self, rehearse: bool) -> None:
        self.size = 64 if rehearse else 224
        self.photos, self.shapes, self.views = (4, 2, 2) if rehearse else (42, 24, 12)
        self.steps = 2 if rehearse else 15
        self.vectors = 2_000 if rehearse else 500_000
        self.pictures = 16 if rehearse else 2_048
        self.meshes = 1 if rehearse else 12


# ---- sections: each takes the device and the scale ----


def machine(device: str, scale: Scale) -> Found:
    """Which GPUs, driver and libraries."""
    import torch

    found: Found = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if device == "cuda":
        found["gpus"] = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        found["driver"] = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        found["memory_gb"] = round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1)
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def tests(device: str, scale: Scale) -> Found:
    """Every test marked gpu."""
    files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py")
                   if "mark.gpu" in path.read_text(encoding="utf-8"))  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    if done.returncode:
        raise SystemExit("\n".join([*lines[-40:-1], lines[-1]]))
    return {"said": lines[-1], **{f"skipped, {n}": line for n, line in enumerate(lines, 1) if "SKIP" in line}}


def _network(backbone: str, size: int) -> Any:
    import torch

    from hifa_cli.config import ModelConfig
    from hifa_cli.models.weights import build_network
    from hifa_cli.runtime.seeding import torch_stream

    torch.manual_seed(0)
    model = ModelConfig(
        backbone=backbone, embedding=64, classes=("a", "b", "c"), size=size, resize=size, dropout=0.0
    )
    weights = "imagenet" if backbone == "efficientnet_lite0" else "none"
    network = build_network(model, weights, torch_stream(0, "initialise", "head"))
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0  # AlexNet's own: devices do not draw the same
    return network


def _batches(scale: Scale, size: int) -> Callable[[int], Any]:
    import torch

    from hifa_cli.data.loader import Batch

    def batch(step: int) -> Any:
        draw = torch.Generator().manual_seed(step)
        photos = torch.randint(0, 256, (scale.photos, 1, 3, size, size), dtype=torch.uint8, generator=draw)
        shapes = torch.randint(
            0, 256, (scale.shapes, scale.views, 3, size, size), dtype=torch.uint8, generator=draw
        )
        return Batch(photos, torch.arange(scale.photos) % 3, shapes, torch.arange(scale.shapes))

    return batch


def _stepper(
    backbone: str, device: str, scale: Scale, **settings: Any
) -> tuple[Any, Callable[[int], Any], Any]:
    import torch

    from hifa_cli.config import TrainConfig
    from hifa_cli.methods.registry import build_objective
    from hifa_cli.training.optim import TrainStep

    chosen: Found = {
        "method": "hifa", "backbone": backbone, "embedding": 64, "freeze": "none", "steps": 1_000,
        "images": scale.photos, "shapes": scale.shapes, "views": scale.views, "amp": "off", "tf32": False,
        "warmup": 0, "rate": 1e-3,
    }  # fmt: skip
    config = replace(TrainConfig(), **{**chosen, **settings})
    network = _network(backbone, scale.size if backbone != "alexnet" else max(scale.size, 224))
    objective = build_objective(network, config, 0)
    objective.expect(scale.shapes)
    objective = objective.to(device).train()
    step = TrainStep(objective, config, torch.device(device))
    return step, _batches(scale, network.config.size), objective


def training(device: str, scale: Scale) -> Found:
    """Whole-network HIFA on random pictures: the first steps against the CPU's, steps a second, memory."""
    return {name: _speeds(name, device, scale) for name in ("alexnet", "efficientnet_lite0")}


def _speeds(backbone: str, device: str, scale: Scale) -> Found:
    row: Found = {"largest relative difference of a loss from the CPU's": _apart(backbone, device)}
    for name, settings in {
        "float32": {}, "TF32": {"tf32": True}, "bfloat16": {"amp": "bf16"}, "float16": {"amp": "fp16"},
    }.items():  # fmt: skip
        if device == "cpu" and name != "float32":
            continue
        speed, memory = _speed(backbone, device, scale, **settings)
        row[f"steps a second, {name}"] = speed
        row[f"pictures a second, {name}"] = speed * (scale.photos + scale.shapes * scale.views)
        if memory:
            row[f"memory in GB, {name}"] = memory
    return row


def _apart(backbone: str, device: str) -> float:
    """The largest relative difference of a loss from the CPU's over two steps in float32."""
    import torch

    small = Scale(rehearse=True)
    losses = {}
    for where in ("cpu", device):
        torch.manual_seed(0)
        step, batch, _ = _stepper(backbone, where, small)
        terms = [step(batch(n).to(torch.device(where)), n) for n in range(2)]
        losses[where] = [{name: float(term) for name, term in one.items()} for one in terms]
    return max(
        abs(one[name] - other[name]) / max(abs(one[name]), 1e-3)
        for one, other in zip(losses["cpu"], losses[device], strict=True)
        for name in one
    )


def _speed(backbone: str, device: str, scale: Scale, **settings: Any) -> tuple[float, float]:
    """Steps a second on pictures that lie on the device, and the most memory in GB."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step, batch, _ = _stepper(backbone, device, scale, **settings)
    one = batch(0).to(torch.device(device))
    for number in range(min(scale.steps, 5)):
        step(one, number)
    _wait(device)
    began = time.perf_counter()
    for number in range(scale.steps):
        step(one, number)
    _wait(device)
    speed = scale.steps / (time.perf_counter() - began)
    return speed, torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0


def compiled(device: str, scale: Scale) -> Found:
    """``torch.compile`` of the trunk in bfloat16: what it costs and what it brings."""
    if device == "cpu":
        return {"skipped": "tried on CUDA only"}
    found: Found = {}
    for backbone in ("alexnet", "efficientnet_lite0"):
        plain, _ = _speed(backbone, device, scale, amp="bf16")
        began = time.perf_counter()
        step, batch, _ = _stepper(backbone, device, scale, amp="bf16", compile=True)
        import torch

        step(batch(0).to(torch.device(device)), 0)
        _wait(device)
        found[f"{backbone}: seconds of the first step"] = time.perf_counter() - began
        fast, _ = _speed(backbone, device, scale, amp="bf16", compile=True)
        found[f"{backbone}: times the steps a second"] = fast / plain
    return found


def runs(device: str, scale: Scale) -> Found:
    """``hifa train`` as users call it: the same bits twice, after a kill, in float16, and next to the CPU."""
    import numpy as np

    from hifa_cli.embeddings.encoder import stored_digest

    found: Found = {}
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        photos, views = _data(place, scale)
        words = [
            "train", "--images", photos, "--shapes", views, "--method", "hifa", "--preset", "stable", "--backbone",
            "efficientnet_lite0", "--freeze", "none", "--steps", 8, "--checkpoint", 2, "--photos-per-step", 6,
            "--shapes-per-step", 3, "--set", f"size={scale.size}", "--set", f"resize={scale.size}", "--quiet",
        ]  # fmt: skip
        _hifa(*words, "--device", device, "--out", place / "one")
        _hifa(*words, "--device", device, "--out", place / "two")
        _killed([*words, "--device", device, "--out", place / "three"], place / "three")
        _hifa(*words, "--device", device, "--out", place / "three")
        first = stored_digest(place / "one")
        found["the same bits twice"] = stored_digest(place / "two") == first
        found["the same bits after a kill"] = stored_digest(place / "three") == first
        if device != "cpu":
            _killed(
                [*words, "--device", device, "--set", "amp=fp16", "--out", place / "half"], place / "half"
            )
            _hifa(*words, "--device", device, "--set", "amp=fp16", "--out", place / "half")
            _hifa(*words, "--device", device, "--set", "amp=fp16", "--out", place / "half2")
            same = stored_digest(place / "half") == stored_digest(place / "half2")
            found["the same bits after a kill, float16"] = same
        exact = [*words, "--set", "amp=off", "--set", "dropout=0"]
        vectors = {}
        for where in dict.fromkeys(("cpu", device)):
            _hifa(*exact, "--device", where, "--out", place / f"on-{where}")
            _hifa("export", "--model", place / f"on-{where}", "--images", photos, "--shapes", views, "--device", where,
                  "--out", place / f"{where}.h5", "--quiet")  # fmt: skip
            vectors[where] = _vectors(place / f"{where}.h5")
        mine, wanted = vectors[device], vectors["cpu"]
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(wanted, axis=1)
        found["least cosine with the CPU's vectors, 8 steps in float32"] = float(
            ((mine * wanted).sum(1) / lengths).min()
        )
        _hifa(
            "train",
            "--images",
            photos,
            "--shapes",
            views,
            "--device",
            device,
            "--out",
            place / "default",
            "--quiet",
        )
        found["the default recipe"] = "runs"
    return found


def _hifa(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"hifa {words[0]}: {done.stderr[-2000:]}")


def _killed(words: list[object], run: Path) -> None:
    """Kill a run once it has written a checkpoint."""
    with subprocess.Popen(
        [sys.executable, "-m", "hifa_cli", *map(str, words)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as child:
        while child.poll() is None and not list(run.glob("checkpoint*")):
            time.sleep(0.005)
        child.kill()


def _vectors(export: Path) -> Any:
    import numpy as np

    from hifa_cli.embeddings.io import read_export

    found = read_export(export)
    return np.concatenate([found.images.vectors, found.shapes.vectors]).astype(float)


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def distributed(device: str, scale: Scale) -> Found:
    """``torchrun`` over all GPUs (two processes on a CPU): the run of one process and of all."""
    import torch

    from hifa_cli.embeddings.encoder import stored_digest

    count = torch.cuda.device_count() if device == "cuda" else 2
    if count < 2:
        return {"skipped": "one GPU: nothing to distribute over"}
    with TemporaryDirectory() as scratch:
        photos, views = _data(Path(scratch), scale)
        words = [
            "-m", "hifa_cli", "train", "--images", str(photos), "--shapes", str(views), "--method", "source-only",
            "--backbone", "efficientnet_lite0", "--steps", "2", "--device", device, "--quiet", "--freeze", "none",
        ]  # fmt: skip
        run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        began = time.perf_counter()
        subprocess.run([*run, *words, "--out", f"{scratch}/all"], check=True, cwd=ROOT, capture_output=True)
        return {"processes": count, "seconds": time.perf_counter() - began,
                "model": stored_digest(Path(scratch) / "all")[:12]}  # fmt: skip


def _data(scratch: Path, scale: Scale) -> tuple[Path, Path]:
    """Photos and views of the demo's world."""
    from hifa_cli.config import RenderConfig, WorldConfig
    from hifa_cli.render.pipeline import render
    from hifa_cli.synthetic.world import make_world

    world = WorldConfig(
        classes=CLASSES, shapes_train=max(scale.meshes // 3, 1), shapes_test=0, photos_train=4, photos_test=0,
    )  # fmt: skip
    make_world(scratch / "world", world, seed=0, workers=1)
    config = RenderConfig(views=scale.views, renderer="builtin")
    render([scratch / "world" / "shapes" / "train"], scratch / "views", config, workers=1)
    return scratch / "world" / "photos" / "train", scratch / "views"


def rendering(device: str, scale: Scale) -> Found:
    """The same meshes by OpenGL on the GPU and by the built-in renderer: pictures compared, both timed."""
    import numpy as np

    from hifa_cli.config import RenderConfig, WorldConfig
    from hifa_cli.render.backend import choose
    from hifa_cli.render.discover import find_meshes
    from hifa_cli.render.views import MeshViews
    from hifa_cli.synthetic.world import make_world

    choice = choose("auto")
    if choice.renderer != "opengl":
        return {"skipped": choice.reason}
    with TemporaryDirectory() as scratch:
        world = WorldConfig(
            classes=CLASSES, shapes_train=max(scale.meshes // 3, 1), shapes_test=0, photos_train=0, photos_test=0,
        )  # fmt: skip
        make_world(Path(scratch) / "world", world, seed=0, workers=1)
        meshes = [mesh.path for mesh in find_meshes([Path(scratch) / "world" / "shapes"])[0]]
        pictures, seconds = {}, {}
        for renderer in ("builtin", "opengl"):
            draw = MeshViews(RenderConfig(renderer=renderer))  # type: ignore[arg-type]
            draw.warm_up()
            for path in meshes:
                draw(path)  # readers are compiled when they are first met
            began = time.perf_counter()
            pictures[renderer] = np.stack([draw(path) for path in meshes]).astype(float)
            seconds[renderer] = (time.perf_counter() - began) / len(meshes)
    apart = np.abs(pictures["builtin"] - pictures["opengl"])
    return {
        "device": choice.reason, "meshes": len(meshes), "mean difference, of 255": float(apart.mean()),
        "pixels that differ by more than 40": float((apart > 40).mean()),
        **{f"seconds a mesh, {name}": one for name, one in seconds.items()},
    }  # fmt: skip


def faiss(device: str, scale: Scale) -> Found:
    """FAISS on the GPU after torch and before it: build, search, recall of the exact answers."""
    code = "import {0}, {1}; import numpy as np; import faiss; print(getattr(faiss, 'get_num_gpus', int)())"
    orders = {
        f"{first} first": subprocess.run(
            [sys.executable, "-c", code.format(first, second)], capture_output=True, text=True, check=False
        )
        for first, second in (("torch", "faiss"), ("faiss", "torch"))
    }
    found: Found = {f"GPUs that FAISS sees, {name}": done.stdout.strip() or done.stderr.strip().splitlines()[-1:]
                    for name, done in orders.items()}  # fmt: skip
    if device == "cuda" and not all(
        done.stdout.strip().isdecimal() and int(done.stdout) for done in orders.values()
    ):
        return {"skipped": "FAISS with CUDA is not installed here", **found}
    import numpy as np

    from hifa_cli.config import IndexConfig
    from hifa_cli.search import faiss_index
    from hifa_cli.search.exact import exact_search, recall

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(scale.vectors, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:100] + 0.02 * rng.normal(size=(100, 128)).astype(np.float32)
    for where in ("cpu", device) if device != "cpu" else ("cpu",):
        began = time.perf_counter()
        built = faiss_index.build(vectors, "IVF64,SQ8", IndexConfig(), device=where)
        found[f"seconds to build, {where}"] = time.perf_counter() - began
        faiss_index.set_effort(built, 16)
        placed = faiss_index.to_device(built, where)
        faiss_index.propose(placed, queries, 10)
        began = time.perf_counter()
        rows = faiss_index.propose(placed, queries, 10)
        found[f"milliseconds a query, {where}"] = 10 * (time.perf_counter() - began)
        found[f"recall@10, {where}"] = recall(rows, exact_search(vectors, queries, 10)[1])
    return found


def export(device: str, scale: Scale) -> Found:
    """Pictures a second through the default encoder, and its vectors against the CPU's."""
    import numpy as np
    import torch

    from hifa_cli.embeddings.extract import frozen_encoder

    pixels: Any = np.random.default_rng(0).integers(0, 256, (scale.pictures, 3, 224, 224)).astype(np.uint8)
    encoder = frozen_encoder(torch.device(device))
    encoder.each_picture(pixels[:64])
    began = time.perf_counter()
    found = np.concatenate([encoder.each_picture(pixels[at : at + 64]) for at in range(0, len(pixels), 64)])
    seconds = time.perf_counter() - began
    wanted = frozen_encoder(torch.device("cpu")).each_picture(pixels[:16]).astype(float)
    mine = found[:16].astype(float)
    cosines = (wanted * mine).sum(1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(mine, axis=1)
    return {"pictures a second": len(pixels) / seconds, "least cosine with the CPU's": float(cosines.min())}


SECTIONS: dict[str, Callable[[str, Scale], Found]] = {
    "machine": machine, "tests": tests, "training": training, "compiled": compiled, "runs": runs,
    "distributed": distributed, "rendering": rendering, "faiss": faiss, "export": export,
}  # fmt: skip


# ---- the page ----


def run_section(name: str, *, rehearse: bool) -> Found:
    """Run a section in a process of its own; what it found, or why it did not."""
    command = [sys.executable, str(Path(__file__)), "--section", name, *(["--rehearse"] if rehearse else [])]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT * (4 if rehearse else 1)
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {LIMIT:g} s"}
    if done.returncode:
        print(done.stderr[-4_000:], file=sys.stderr)
        return {"failed": (done.stderr.strip().splitlines() or ["without a word"])[-1]}
    found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "took, s": time.perf_counter() - began}


def page(found: dict[str, Found]) -> str:
    """The findings as Markdown."""
    lines = [
        "# On CUDA",
        "",
        "Written by `scripts/gpu`; every figure is from one run on the machine below.",
        "",
    ]
    for name, section in found.items():
        title = (SECTIONS[name].__doc__ or name).strip().splitlines()[0]
        lines += [f"## {name.capitalize()}", "", title, "", "| what | found |", "|---|---|"]
        for what, value in section.items():
            rows = value.items() if isinstance(value, dict) else [("", value)]
            lines += [f"| {f'{what}: {part}' if part else what} | {_shown(one)} |" for part, one in rows]
        lines.append("")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "/").replace("\n", " ")


def main() -> int:
    """Run all sections, or one; an exit status."""
    parser = argparse.ArgumentParser(description="prove what is claimed of CUDA; writes docs/gpu.md")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, small; prints the page")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.section:
        device = "cpu" if given.rehearse else "cuda"
        print(json.dumps(SECTIONS[given.section](device, Scale(given.rehearse))))
        return 0
    os.chdir(ROOT)
    if not given.rehearse:
        import torch

        if not torch.cuda.is_available():
            print(
                "no CUDA device: nothing was proved and nothing written; run scripts/gpu on a machine with an "
                "NVIDIA GPU ('hifa doctor' says what is missing; --rehearse runs the sections on the CPU)",
                file=sys.stderr,
            )
            return 1
    found = {}
    for name in SECTIONS:
        print(f"== {name}", file=sys.stderr, flush=True)
        found[name] = run_section(name, rehearse=given.rehearse)
    if given.rehearse:
        print(page(found))
    else:
        PAGE.write_text(page(found), encoding="utf-8")
        print(PAGE, file=sys.stderr)
    return int(any("failed" in one for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
