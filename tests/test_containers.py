"""The images are made of what is in the repository, run without root, and serve as their page says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hifa_cli.config import ServeConfig
from hifa_cli.web.v1 import OPEN
from tools.containers.chroot import inside
from tools.containers.dockerfile import DATED, PLACE, ROOT, Stage, context, copied, stages

FILES = sorted(PLACE.glob("*.Dockerfile"))
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")


def image(file: Path) -> Stage:
    return stages(file)[-1]


def test_there_are_two_images() -> None:
    assert [file.stem for file in FILES] == ["cpu", "cuda"]
    assert all(f"-f {file.relative_to(ROOT)}" in PAGE for file in FILES)


@EACH
def test_bases_carry_a_date(file: Path) -> None:
    bases = {stage.base for stage in stages(file)}
    assert len(bases) == 1
    assert all(DATED.fullmatch(base) for base in bases)


@EACH
def test_what_is_copied_is_sent_to_the_engine(file: Path) -> None:
    sent, names = context(), {stage.name for stage in stages(file)}
    for kind, value in (step for stage in stages(file) for step in stage.steps):
        if kind == "COPY":
            stage, sources, _ = copied(value)
            assert stage in names
            assert stage or all(source in sent for source in sources), value


def test_nothing_else_is_sent_to_the_engine() -> None:
    """A checkout has an environment of gigabytes, and may have photos."""
    tops = {Path(name).parts[0] for name in context()}
    assert tops == {".dockerignore", "LICENSE", "README.md", "hifa_cli", "pyproject.toml", "slim"}
    assert not any("__pycache__" in name for name in context())


@EACH
def test_images_do_not_run_as_root_and_keep_no_tools_for_building(file: Path) -> None:
    last = image(file)
    kinds = [kind for kind, _ in last.steps]
    assert last.value("USER").split(":")[0].isdigit()
    assert last.value("USER").split(":")[0] != "0"
    assert "RUN" not in kinds[kinds.index("USER") :]
    assert "venv" not in " ".join(value for kind, value in last.steps if kind == "RUN")


@EACH
def test_an_image_serves_and_asks_its_own_health(file: Path) -> None:
    last = image(file)
    assert last.command("ENTRYPOINT") == ["hifa"]
    assert last.command("CMD")[:2] == ["serve", "gallery"]
    assert last.value("EXPOSE") == str(ServeConfig.port)
    health = " ".join(last.command("HEALTHCHECK"))
    assert any(f":{ServeConfig.port}{path}'" in health for path in OPEN)
    assert last.command("HEALTHCHECK")[1] == "-I", "the current folder must not become code"
    assert last.environment()["HIFA_TOKEN"] == "random"


def test_both_images_are_used_alike() -> None:
    def used(file: Path) -> list[tuple[str, str]]:
        return [step for step in image(file).steps if step[0] not in ("ENV", "RUN", "COPY")]

    assert used(FILES[0]) == used(FILES[1])


def test_the_small_image_installs_the_slim_list_and_the_large_one_everything() -> None:
    runs = {file.stem: " ".join(value for _, value in stages(file)[0].steps) for file in FILES}
    assert "--no-deps -r /src/slim/requirements.txt" in runs["cpu"]
    assert "--no-deps /src" in runs["cpu"]
    assert "--no-deps" not in runs["cuda"]


def test_a_chroot_has_nothing_of_the_machine_that_it_could_write_to(tmp_path: Path) -> None:
    """A package that is installed there writes certificates: once they were this machine's own."""
    script = inside(tmp_path, ["true"], environment={})[-1]
    bound = [text.split()[0] for text in script.split("mount --bind ")[1:]]
    assert bound
    assert all(Path(path).is_char_device() for path in bound)
    assert "rbind" not in script


@pytest.mark.slow
def test_the_small_image_does_what_its_page_says() -> None:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("needs root and debootstrap")
    subprocess.run([ROOT / "scripts" / "containers"], check=True)
