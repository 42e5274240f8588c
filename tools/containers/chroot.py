"""Run the steps of a Dockerfile in bare chroots: what an engine would do. As root, on Linux."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.containers.dockerfile import DATED, ROOT, Stage, context, copied

PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
# How this machine reaches package registries: what an engine and 'docker build --build-arg' would bring. All
# are copies: a package that is installed in the chroot (ca-certificates) wrote into the machine's own files.
PASSED = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL")
NETWORK = ("/etc/resolv.conf", "/etc/hosts")
CERTIFICATES = ".certificates"
DEVICES = ("null", "zero", "full", "random", "urandom")


def base(work: Path, stage: Stage) -> Path:
    """Return a folder with the base that a stage starts from, as debootstrap makes it."""
    found = DATED.fullmatch(stage.base)
    assert found, f"{stage.base} is not a dated Debian image"
    place = work / f"base-{found['suite']}"
    if not (place / "usr" / "bin" / "apt-get").exists():
        subprocess.run(["debootstrap", "--variant=minbase", found["suite"], place], check=True)
    return place


def inside(
    root: Path, words: Sequence[str], *, environment: Mapping[str, str], user: str = "0:0", folder: str = "/"
) -> list[str]:
    """Return the command that runs a program in a chroot, as process 1 of its own namespaces.

    Args:
        root: folder of the chroot.
        words: program and arguments.
        environment: all that it gets.
        user: numbers of user and group.
        folder: where it starts, inside.

    Returns:
        A command for a process that is root.
    """
    mounts = ["mount -t proc proc proc", "mount -t tmpfs tmpfs dev", "mkdir dev/shm dev/pts"]
    mounts += ["chmod 1777 dev/shm", "mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts"]
    mounts += ["ln -s pts/ptmx dev/ptmx"]
    for name in DEVICES:
        mounts.append(f"touch dev/{name} && mount --bind /dev/{name} dev/{name}")
    number, _, group = user.partition(":")
    final = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    final += ["setpriv", f"--reuid={number}", f"--regid={group}", "--clear-groups", *words]
    program = f"cd {shlex.quote(folder)} && exec {shlex.join(final)}"
    # The new root is reached with the chroot's own shell; env then looks programs up in the image's PATH.
    script = " && ".join([*mounts, f"exec chroot . /bin/sh -c {shlex.quote(program)}"])
    new = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*new, "sh", "-c", f"cd {shlex.quote(str(root))} && {script}"]


def build(work: Path, found: Sequence[Stage]) -> Path:
    """Do all stages of a Dockerfile.

    Args:
        work: a folder; stage N is made in its ``stage-N``.
        found: the stages, in order.

    Returns:
        The folder of the last one: the image.
    """
    places: dict[str, Path] = {}
    for number, stage in enumerate(found):
        place = work / f"stage-{number}"
        subprocess.run(["cp", "-a", places.get(stage.base) or base(work, stage), place], check=True)
        brought = _bring(place)
        _steps(place, stage, places)
        for path in brought:
            path.unlink()
        places[stage.name or str(number)] = place
    return place


def _bring(place: Path) -> list[Path]:
    """Copy what the network needs; what engines leave out of an image."""
    own = {path: place / path.lstrip("/") for path in NETWORK}
    if certificates := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
        own[certificates] = place / CERTIFICATES
    return [Path(shutil.copyfile(path, copy)) for path, copy in own.items()]


def _steps(place: Path, stage: Stage, others: Mapping[str, Path]) -> None:
    environment = {**PLAIN, **{name: os.environ[name] for name in PASSED if name in os.environ}}
    if (place / CERTIFICATES).exists():
        environment["PIP_CERT"] = f"/{CERTIFICATES}"
    folder, user = "/", "0:0"
    for kind, value in stage.steps:
        print(f"  {kind} {value[:100]}", flush=True)
        if kind == "RUN":
            command = inside(
                place, ["/bin/sh", "-c", value], environment=environment, user=user, folder=folder
            )
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        elif kind == "COPY":
            _copy(place, folder, *copied(value), others)
        elif kind == "ENV":
            environment |= Stage("", "", [(kind, value)]).environment()
        elif kind == "USER":
            user = value
        elif kind == "WORKDIR":
            folder = value
            (place / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def _copy(
    place: Path, folder: str, stage: str, sources: Sequence[str], destination: str, others: Mapping[str, Path]
) -> None:
    """Do a COPY: a folder's content goes into the destination, a file into it or under its name."""
    target = place / str(Path(folder, destination)).lstrip("/")
    for source in sources:
        if stage:
            subprocess.run(
                ["cp", "-a", f"{others[stage] / source.lstrip('/')}/.", _folder(target)], check=True
            )
            continue
        below = [name for name in sorted(context()) if name == source or name.startswith(f"{source}/")]
        assert below, f"COPY {source}: it is not in the context"
        for name in below:
            if (ROOT / name).is_dir():
                continue
            inner = os.path.relpath(name, source) if (ROOT / source).is_dir() else Path(name).name
            into_folder = destination.endswith("/") or len(sources) > 1 or (ROOT / source).is_dir()
            end = target / inner if into_folder else target
            _folder(end.parent)
            shutil.copy2(ROOT / name, end)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def megabytes(place: Path) -> int:
    """Return what a folder takes, without what is mounted."""
    said = subprocess.check_output(["du", "-s", "-x", "--block-size=1000000", place], text=True)
    return int(said.split()[0])
