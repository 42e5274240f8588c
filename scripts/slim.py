"""What scripts/slim does: an empty environment, the slim requirements, every verb."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
MOST = 600  # MB
HEAVY = ("torch", "faiss", "nvidia", "triton", "matplotlib", "sklearn", "openvino")
REFUSED = {  # verbs that need more, and what they must name
    ("train", "--images", "photos", "--shapes", "views", "--out", "run"): "torch",
    ("plot", "e.h5", "--out", "figure.png"): "matplotlib",
}


def installed(place: Path) -> Path:
    """Make the environment; its folder."""
    venv.create(place, with_pip=True)
    pip = [
        place / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    subprocess.run([*pip, "-r", ROOT / "slim" / "requirements.txt"], check=True)
    subprocess.run([*pip, ROOT], check=True)
    return place


def megabytes(place: Path) -> float:
    """What an environment takes, without pip itself and compiled copies."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    return (
        sum(
            path.stat().st_size
            for path in files
            if "__pycache__" not in path.parts and "pip" not in path.parts
        )
        / 1e6
    )


def world(work: Path) -> None:
    """Two kinds of boxes."""
    for kind, (wide, high) in {"slab": (3.0, 0.4), "pole": (0.4, 3.0)}.items():
        for number in range(2):
            x, y, z = wide + number / 5, wide, high
            corners = [(i * x, j * y, k * z) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
            sides = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
            lines = ["OFF", "8 6 0", *(" ".join(map(str, corner)) for corner in corners)]
            lines += [f"4 {' '.join(map(str, side))}" for side in sides]
            path = work / "meshes" / kind / f"{number}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


class Slim:
    """Runs verbs of the environment in a folder."""

    def __init__(self, place: Path, work: Path) -> None:
        self.command, self.work = [str(place / "bin" / "python"), "-m", "hifa_cli"], work

    def __call__(self, *words: str, status: int = 0) -> str:
        """Run a verb; its standard output, or its error where ``status`` says so."""
        done = subprocess.run(
            [*self.command, *words], cwd=self.work, capture_output=True, text=True, check=False
        )
        if done.returncode != status or "Traceback" in done.stderr:
            sys.exit(f"hifa {' '.join(words)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        print(f"  hifa {' '.join(words)}", flush=True)
        return done.stderr if status else done.stdout

    def serve(self) -> None:
        """Start the server, fetch its page, end it."""
        process = subprocess.Popen(
            [*self.command, "serve", "gallery", "--port", "0", "--quiet"], cwd=self.work, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=30) as page:
                assert b"<html" in page.read()
        finally:
            process.terminate()
            process.communicate(timeout=30)
        print("  hifa serve gallery", flush=True)


def verbs(place: Path, work: Path) -> None:
    """Run every verb that has to work, and those that have to say what they need."""
    hifa = Slim(place, work)
    hifa("--help")
    hifa("render", "meshes", "--out", "views")
    for kind in ("slab", "pole"):
        for number in range(2):
            photo = work / "photos" / kind / f"{number}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(work / "views" / kind / str(number) / "05.png", photo)
    hifa("index", "meshes", "--out", "gallery")
    hifa("index", "views", "--out", "gallery-of-views")
    hifa("index", "--update", "--out", "gallery")
    hifa("index", "--stats", "--out", "gallery")
    hifa("index", "--verify", "--out", "gallery")
    found = json.loads(hifa("query", "photos/slab/1.png", "-g", "gallery", "--json"))
    assert found["results"][0]["matches"][0]["shape"].startswith("slab/"), found
    hifa("query", "photos", "-g", "gallery", "--html", "page.html", "--sheet", "sheet.png")
    hifa("query", "meshes/pole/0.off", "-g", "gallery", "--json")
    hifa.serve()
    hifa("export", "--images", "photos", "--shapes", "views", "--out", "e.h5")
    scores = json.loads(hifa("evaluate", "e.h5", "--json"))
    assert scores["exports"], scores
    hifa("index", "e.h5", "--out", "gallery-of-export")
    hifa("data", "check", "photos")
    hifa("doctor")
    for words, needed in REFUSED.items():
        said = hifa(*words, status=1).strip().splitlines()[-1]
        assert f"needs {needed}" in said, said
        assert "pip install" in said, said


def main() -> None:
    """Install, measure, run."""
    os.environ.pop("PYTHONPATH", None)
    with TemporaryDirectory() as scratch:
        work = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        work.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        place = installed(work / "env")
        size = megabytes(place)
        print(f"{size:.0f} MB in {time.monotonic() - began:.0f} s", flush=True)
        assert size <= MOST, f"{size:.0f} MB are more than {MOST}"
        packages = {path.name for path in place.glob("lib/python*/site-packages/*")}
        assert not packages & set(HEAVY), packages & set(HEAVY)
        world(work)
        verbs(place, work)
    print("every verb runs")


if __name__ == "__main__":
    main()
