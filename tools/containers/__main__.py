"""Do the steps of a Dockerfile in a bare chroot, and use the image as its page says.

    scripts/containers [FOLDER]      as root; needs debootstrap; FOLDER is kept, a temporary one is removed

Only the CPU image is made: the CUDA image takes 9 GB and a GPU to be tried on. Its file is read by the tests.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.containers.chroot import PLAIN, base, build, inside, megabytes
from tools.containers.dockerfile import PLACE, Stage, stages

SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


class Image:
    """Runs commands in an image as an engine would: its user, folder, environment and entry point."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self.root, self.stage = root, stage
        self.environment = {**PLAIN, "HOME": "/home/hifa", **stage.environment()}

    def command(self, words: list[str], *, user: str | None = None, **more: str) -> list[str]:
        """Return the command that starts words in the image."""
        return inside(
            self.root, words, environment={**self.environment, **more}, user=user or self.stage.value("USER"),
            folder=self.stage.value("WORKDIR"),
        )  # fmt: skip

    def __call__(self, *words: str, user: str | None = None) -> str:
        """Run a verb; its standard output."""
        began = time.monotonic()
        command = self.command([*self.stage.command("ENTRYPOINT"), *words], user=user)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "Traceback" in done.stderr:
            sys.exit(f"hifa {' '.join(words)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        print(f"  hifa {' '.join(words)}: {time.monotonic() - began:.1f} s", flush=True)
        return done.stdout

    def healthy(self) -> bool:
        """Return what HEALTHCHECK says."""
        done = subprocess.run(
            self.command(self.stage.command("HEALTHCHECK")), capture_output=True, check=False
        )
        return done.returncode == 0


def world(data: Path) -> None:
    """Write four boxes of two kinds."""
    for kind, (wide, high) in {"slab": (3.0, 0.4), "pole": (0.4, 3.0)}.items():
        for number in range(2):
            x, y, z = wide + number / 5, wide, high
            corners = [f"{i * x} {j * y} {k * z}" for i in (0, 1) for j in (0, 1) for k in (0, 1)]
            lines = ["OFF", "8 6 0", *corners, *(f"4 {' '.join(map(str, side))}" for side in SIDES)]
            path = data / "meshes" / kind / f"{number}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


def use(image: Image) -> None:
    """Run the verbs that the page shows, as the image's user and as another one."""
    data = image.root / "data"
    world(data)
    assert "Usage" in image("--help")
    image("index", "meshes", "--out", "gallery", "--keep-views")
    view = str(next((data / "gallery" / "views").rglob("slab/1/05.png")).relative_to(data))
    found = json.loads(image("query", view, "-g", "gallery", "--json"))
    assert found["results"][0]["matches"][0]["shape"].startswith("slab/"), found
    own = data / "own"
    own.mkdir()
    shutil.copy(data / view, own / "photo.png")
    for path in (own, own / "photo.png"):
        os.chown(path, 12345, 12345)
    image("query", "own/photo.png", "-g", "gallery", "--csv", "own/found.csv", user="12345:12345")
    image("doctor")
    serve(image)


def serve(image: Image) -> None:
    """Start what the image starts by itself; ask its health; end it as engines do."""
    trap = image.root / "data" / "urllib.py"  # the current folder must not become code
    trap.write_text("raise SystemExit(0)\n")
    assert not image.healthy(), "the health check is content with nothing"
    words = [*image.stage.command("ENTRYPOINT"), *image.stage.command("CMD")]
    process = subprocess.Popen(
        image.command(words),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert "token=" in address, address
        assert image.healthy()
        print(f"  hifa {' '.join(image.stage.command('CMD'))}: healthy", flush=True)
        began = time.monotonic()
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        process.wait(timeout=20)
        print(f"  SIGTERM to process 1: ended after {time.monotonic() - began:.1f} s", flush=True)
    finally:
        process.kill()
        trap.unlink()


def main() -> None:
    """Build, measure, use."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("scripts/containers needs root and debootstrap: apt-get install debootstrap")
    with TemporaryDirectory() as scratch:
        work = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        found = stages(PLACE / "cpu.Dockerfile")
        began = time.monotonic()
        root = build(work, found)
        size, bare = megabytes(root), megabytes(base(work, found[-1]))
        print(f"{size} MB, of which Debian {bare}; {time.monotonic() - began:.0f} s", flush=True)
        use(Image(root, found[-1]))
    print("the image does what its page says")


if __name__ == "__main__":
    main()
