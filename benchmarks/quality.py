"""How often a photo finds its kind, through 'hifa index' and 'hifa query' with nothing but the install.

    python benchmarks/quality.py PHOTOS MESHES [--ranking paper] [--find kind] [--backbone efficientnet_lite2]

PHOTOS and MESHES hold a folder per class. Prints NN, FT, ST, F, DCG, ANMRR and mAP of all photos against all
meshes, and the CPU seconds of both commands.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SHOWN = ("NN", "FT", "ST", "F", "DCG", "ANMRR", "mAP")


def run(words: list[str]) -> tuple[str, float]:
    """Run ``hifa`` with some words; its standard output and the CPU seconds that it took."""
    before = os.times()
    command = [str(Path(sys.executable).with_name("hifa")), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, spent


def main() -> None:
    """Index, query and print."""
    parser = argparse.ArgumentParser(description="how often a photo finds its kind")
    parser.add_argument("photos", type=Path)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--ranking", default="default", choices=("default", "paper"))
    parser.add_argument("--find", default="both", choices=("both", "kind", "part"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--gallery", type=Path, help="keep the gallery here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        gallery = given.gallery or Path(scratch) / "gallery"
        index = ["index", str(given.meshes), "--out", str(gallery), "--ranking", given.ranking, "--json"]
        index += ["--backbone", given.backbone] * (given.backbone != "efficientnet_lite0")
        text, indexing = run(index)
        shapes = json.loads(text)["shapes"]
        text, asking = run(
            ["query", str(given.photos), "-g", str(gallery), "--top", "1", "--find", given.find, "--json"]
        )
    metrics = json.loads(text)["metrics"]
    how = f"--ranking {given.ranking} --find {given.find} --backbone {given.backbone}"
    print(f"{metrics['queries']} photos, {shapes} shapes, {how}")
    print("  ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN))
    print(f"index {indexing:.1f} CPU s ({indexing / shapes:.3f} a shape), query {asking:.1f} CPU s")


if __name__ == "__main__":
    main()
