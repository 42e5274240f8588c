"""A Dockerfile as its stages: what each one starts from, its steps, and what its image says."""

import io
import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(__file__).resolve().parent
DATED = re.compile(r"debian:(?P<suite>[a-z]+)-\d{8}-slim")
KNOWN = {
    "RUN", "COPY", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT",
    "CMD",
}  # fmt: skip


@dataclass
class Stage:
    """One FROM and what follows it, in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def value(self, kind: str) -> str:
        """Return the last value of an instruction; empty where it does not stand there."""
        return next((value for name, value in reversed(self.steps) if name == kind), "")

    def command(self, kind: str) -> list[str]:
        """Return ENTRYPOINT, CMD or the command of HEALTHCHECK, which stand there as JSON."""
        text = self.value(kind)
        return [str(word) for word in json.loads(text[text.index("[") :])]

    def environment(self) -> dict[str, str]:
        """Return what ENV sets."""
        words = [word for kind, value in self.steps if kind == "ENV" for word in shlex.split(value)]
        return dict(word.partition("=")[::2] for word in words)


def stages(path: Path) -> list[Stage]:
    """Return the stages of a Dockerfile.

    Raises:
        SystemExit: it has an instruction that is not known here.
    """
    found: list[Stage] = []
    parser = DockerfileParser(fileobj=io.BytesIO(path.read_bytes()))
    for step in parser.structure:
        kind, value = step["instruction"], step["value"]
        if kind == "FROM":
            base, _, name = value.partition(" AS ")
            found.append(Stage(base, name))
        elif kind in KNOWN:
            found[-1].steps.append((kind, value))
        elif kind != "COMMENT":
            raise SystemExit(f"{path}: {kind} is not known here: add it to tools/containers")
    return found


def copied(value: str) -> tuple[str, list[str], str]:
    """Return the stage ('' is the context), the sources and the destination of a COPY."""
    *words, destination = shlex.split(value)
    stage = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), "")
    return stage, [word for word in words if not word.startswith("--")], destination


def context() -> set[str]:
    """Return the files and folders that an engine is sent: all that .dockerignore leaves."""
    patterns = [
        line.strip()
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return set(exclude_paths(str(ROOT), patterns))
