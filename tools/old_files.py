"""Write a small file of every kind with the hifa that is imported, to be read by later versions.

tests/old/written_by_0.1.0.tar.xz was made so, from a checkout of 0.1.0 (commit fc0d5f0):

    git worktree add ../hifa-0.1.0 fc0d5f0
    PYTHONPATH=../hifa-0.1.0 python tools/old_files.py FOLDER
    tar --create --xz --file tests/old/written_by_0.1.0.tar.xz --directory FOLDER .

Weights are all but zero, so that they pack well; only the command line is used, which every version has.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TINY = {"size": 32, "resize": 32, "weight_global": 0.05}


def hifa(*words: object) -> Any:
    """Run a verb of the hifa that Python finds, and return its JSON document."""
    line = [sys.executable, "-P", "-m", "hifa_cli", *map(str, words), "--json"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout.strip() else None


def interrupt(words: Sequence[object], run: Path) -> None:
    """Start a training run, and ask it to stop as soon as it has a checkpoint."""
    line = [sys.executable, "-P", "-m", "hifa_cli", *map(str, words)]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (run / "checkpoint.safetensors").exists():
            time.sleep(0.01)
        process.terminate()
    if not (run / "checkpoint.safetensors").exists():
        raise SystemExit("the run was done before it could be stopped: give it more steps")


def write_meshes(folder: Path) -> Path:
    """Write a box and a wedge."""
    for name, height in (("box", 1.0), ("slab", 0.2)):
        corners = [(x, y, z * height) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
        faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        lines = ["OFF", "8 6 0", *("{} {} {}".format(*one) for one in corners)]
        lines += ["4 {} {} {} {}".format(*one) for one in faces]
        path = folder / name / f"{name}1.off"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_photos(folder: Path) -> Path:
    """Write two plain pictures of each kind."""
    for label, name in enumerate(("box", "slab")):
        for number in range(2):
            grey = np.full((32, 32, 3), 60 + 90 * label, np.uint8)
            grey[8 : 24 - 6 * label, 8 + number : 24] = 220
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey).save(path)
    return folder


def write_weights(path: Path) -> Path:
    """Write weights of timm's smallest network that are mostly zero."""
    import timm
    import torch
    from safetensors.torch import save_file

    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if tensor.dim() > 1:
            kept = torch.rand(tensor.shape, generator=generator) < 0.02
            state[name] = torch.where(kept, torch.round(8 * tensor) / 8 + 0.25, 0.0)
    save_file(state, path)
    return path


def main(folder: Path) -> None:
    """Write views, a finished and an unfinished run, an export and two galleries into ``folder``."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = write_weights(Path(scratch) / "weights.safetensors")
        meshes, photos = write_meshes(folder / "meshes"), write_photos(folder / "photos")
        hifa("render", meshes, "--out", folder / "views", "--views", 2, "--size", 32, "--workers", 1)
        given = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
        train = [
            "train", "--images", photos, "--shapes", folder / "views", "--backbone", "test_resnet",
            "--weights", weights, "--freeze", "trunk", "--embedding", 4, "--method", "hifa-g",
            "--photos-per-step", 4, "--shapes-per-step", 2, "--views", 2, "--device", "cpu", *given,
        ]  # fmt: skip
        hifa(*train, "--out", folder / "run", "--steps", 2)
        interrupt([*train, "--out", folder / "stopped", "--steps", 40, "--checkpoint", 1], folder / "stopped")
        hifa("export", "--model", folder / "run", "--images", photos, "--shapes", folder / "views", "--out",
             folder / "all.h5", "--device", "cpu")  # fmt: skip
        hifa("index", folder / "all.h5", "--out", folder / "gallery", "--device", "cpu")
        (folder / "answers.json").write_text(
            json.dumps(hifa("evaluate", folder / "all.h5"), indent=1) + "\n", encoding="utf-8"
        )
        shutil.rmtree(folder / "gallery" / "models", ignore_errors=True)  # as large as the run's


if __name__ == "__main__":
    main(Path(sys.argv[1]))
