"""What is released: wheel and sdist as 'python -m build' makes them, and the command that they install."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hifa_cli as hifa
from tests.api.conftest import write_meshes

ROOT = Path(__file__).resolve().parents[1]
UNTRACKED = [line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()]
BUILD = [sys.executable, "-m", "build", "--no-isolation", "--outdir"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy: what an earlier build left in build/ would go into the wheel."""
    place = tmp_path_factory.mktemp("release") / "checkout"
    return Path(copytree(ROOT, place, ignore=ignore_patterns(".git", *UNTRACKED)))


def built(tree: Path, kind: str) -> Path:
    """The wheel or the sdist of a tree."""
    out = tree.parent / f"{tree.name}-{kind}"
    done = subprocess.run(
        [*BUILD, str(out), f"--{kind}", str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built(checkout, "wheel")


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    return built(checkout, "sdist")


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    """Modules and the files that they read: fitted matrices, the page, the licence."""
    found = {name: data for name, data in members(wheel).items() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "hifa_cli").rglob("*") if path.is_file())
    own = {path.relative_to(ROOT).as_posix(): path for path in files if "__pycache__" not in path.parts}
    assert set(found) == set(own)
    assert all(found[name] == path.read_bytes() for name, path in own.items())
    about = {name.partition("/")[2] for name in members(wheel) if ".dist-info/" in name}
    assert {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"} <= about


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not in every patch release
        archive.extractall(tmp_path)
    again = built(tmp_path / sdist.name.removesuffix(".tar.gz"), "wheel")
    assert again.name == wheel.name
    assert members(again) == members(wheel)


def test_the_metadata_are_valid_and_name_this_version(wheel: Path) -> None:
    folder = f"hifa_cli-{hifa.__version__}.dist-info"
    raw = members(wheel)[f"{folder}/METADATA"]
    about = Metadata.from_email(raw, validate=True)
    assert (about.name, str(about.version)) == ("hifa-cli", hifa.__version__)
    assert about.license_expression == "MIT"
    assert about.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert BytesParser().parsebytes(raw)["Description-Content-Type"] == "text/markdown"
    assert wheel.name == f"hifa_cli-{hifa.__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A new environment with this wheel; its dependencies are those of the interpreter here."""
    place = wheel.parents[1] / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    own = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    shared = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    (own / "shared.pth").write_text("\n".join(shared) + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--ignore-installed", str(wheel)], check=True)
    return place


def test_the_installed_command_finds_a_shape_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str, program: str = "hifa") -> str:
        done = subprocess.run(
            [installed / "bin" / program, *words], cwd=tmp_path, env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import hifa_cli; print(hifa_cli.__file__)", program="python")
    assert Path(where.strip()).is_relative_to(installed), "the test would look at the checkout"
    assert hifa.__version__ in run("--version")
    assert not any(tmp_path.iterdir())
    write_meshes(tmp_path / "meshes")
    run("index", "meshes", "--out", "gallery", "--workers", "1", "--keep-views")
    view = next((tmp_path / "gallery" / "views").rglob("round/ball/02.png"))
    found = json.loads(run("query", str(view), "-g", "gallery", "--json", "--html", "page.html"))
    assert found["results"][0]["matches"][0]["shape"] == "round/ball"
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")


def requirements(name: str) -> dict[str, Requirement]:
    """The lines of a file of slim/ by the names of their packages."""
    lines = (ROOT / "slim" / name).read_text(encoding="utf-8").splitlines()
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    return {canonicalize_name(one.name): one for one in map(Requirement, texts)}


def test_a_slim_install_has_or_leaves_out_each_dependency_by_name(wheel: Path) -> None:
    """pip takes slim/requirements.txt whole; uv leaves slim/overrides.txt out of what the wheel asks for."""
    raw = members(wheel)[f"hifa_cli-{hifa.__version__}.dist-info/METADATA"]
    asked = Metadata.from_email(raw).requires_dist or []
    own = {canonicalize_name(one.name) for one in asked if "extra" not in str(one.marker)}
    kept, dropped = requirements("requirements.txt"), requirements("overrides.txt")
    assert own - set(kept) == set(dropped)
    assert all(one.marker and not one.marker.evaluate() for one in dropped.values())
