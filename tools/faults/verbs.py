"""The verbs that faults are tried on: each command at its smallest, what it reads, and what it must leave."""

import dataclasses
import hashlib
import importlib
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from hifa_cli.render.meshes import Mesh
from tests.render.shapes import box, write_off

STRAY = re.compile(r"\..*\.(part|old|lock)$")
SMALL = "--backbone test_resnet --weights none --device cpu"
WHOLE = (".",)  # what is written, itself


class Verb(NamedTuple):
    """A command and what it must leave.

    Attributes:
        name: of the verb, and of its variant.
        line: what is typed after ``hifa``; ``{out}`` is where it writes, ``{world}`` where everything is.
        out: name of what it writes.
        same: patterns of the files below ``out`` that must be the same to the byte; ``.`` is ``out`` itself.
        reads: patterns of files in the world that it cannot do without, or whose loss it must report.
        base: what there is before, which the verb changes; none where it makes something new.
        prepare: what a process does before it is the verb.
        slow: it takes long, so fewer of the rarer faults are tried.
        listing: file below ``out`` that names what counts of these; what was made of other inputs stays.
    """

    name: str
    line: str
    out: str
    same: tuple[str, ...]
    reads: tuple[str, ...] = ()
    base: str = ""
    prepare: Callable[[], object] = lambda: None
    slow: bool = False
    listing: str = ""

    def words(self, world: Path, out: Path) -> list[str]:
        """What is typed."""
        words = self.line.split()
        return [word.replace("{out}", str(out)).replace("{world}", str(world)) for word in words]

    @property
    def changes(self) -> bool:
        """Whether it changes what is there rather than making something new."""
        return bool(self.base)


def smallest_demo() -> None:
    """Have ``hifa demo --small`` make the smallest world that its stages take."""
    demo: Any = importlib.import_module("hifa_cli.cli.demo")  # the package shows the function of that name
    demo.SMALL_WORLD = {"classes": ("bottle", "mug"), "shapes_train": 1, "shapes_test": 1,
                        "photos_train": 2, "photos_test": 1}  # fmt: skip
    whole = demo.DemoConfig
    demo.DemoConfig = lambda **given: dataclasses.replace(whole(**given), steps=3, size=64)


GALLERY = ("{generation}/ids.txt", "{generation}/vectors.f32", "{generation}/*.npy")
TRAINED = ("photos/*/*/*.png", "made/views/*/*/*/*.png")
FEEDING = ("render", "train", "export", "index", "index meshes")  # what others read or change
MODEL = ("made/run/model.safetensors", "made/run/model.json")


def verbs() -> list[Verb]:
    """All verbs that write, in the order in which they feed each other."""
    return [*_stages(), *_galleries(), *_looks(), *_whole()]


def _stages() -> list[Verb]:
    render = "render {world}/meshes --out {out} --size 32 --views 4 --workers 1 --renderer builtin"
    train = (
        f"train --images {{world}}/photos --shapes {{world}}/made/views --split train --out {{out}} {SMALL} "
        "--steps 12 --checkpoint 1 --photos-per-step 4 --shapes-per-step 2 --views 2 --embedding 8 "
        "--set size=32"
    )
    export = (
        "export --model {world}/made/run --images {world}/photos --shapes {world}/made/views --out {out} -q"
    )
    adapt = "adapt {world}/made/emb.h5 --fit {world}/made/emb.h5 --dimension 4 --out {out}"
    layout = "data modelnet {world}/modelnet --copy --out {out}"
    return [
        Verb("render", render, "views", ("**/*.png",), ("meshes/*/*/*.off",), slow=True),
        Verb("train", train, "run", ("model.safetensors", "model.json"), TRAINED),
        Verb("export", export, "emb.h5", WHOLE, (*TRAINED, *MODEL)),
        Verb("adapt", adapt, "adapted.h5", WHOLE, ("made/emb.h5",)),
        Verb("data modelnet", layout, "laid-out", ("**/*.off", "list.csv"), ("modelnet/*/*/*.off",)),
    ]


def _galleries() -> list[Verb]:
    index = "index {world}/made/emb.h5 --out {out} --device cpu"
    meshes = "index {world}/meshes --model {world}/made/run --workers 1 --out {out} --device cpu"
    add = "index --add {world}/more --workers 1 --out {out} --device cpu"
    remove = "index --remove train/* --out {out}"
    return [
        Verb("index", index, "gallery", GALLERY, ("made/emb.h5",)),
        Verb("index meshes", meshes, "meshed", GALLERY, ("meshes/*/*/*.off", MODEL[0]), slow=True),
        Verb("index --add", add, "added", GALLERY, ("more/*/*.off",), base="meshed", slow=True),
        Verb("index --remove", remove, "fewer", GALLERY, base="meshed"),
    ]


def _looks() -> list[Verb]:
    ask = "query {world}/photos/train/flat/0.png -g {world}/made/gallery --device cpu"
    gallery = ("photos/train/flat/0.png", "made/gallery/gallery.json", "made/gallery/generation-*/ids.txt")
    export = ("made/emb.h5",)
    return [
        Verb("query", f"{ask} --sheet {{out}}", "sheet.png", WHOLE, gallery),
        Verb("query --html", f"{ask} --html {{out}}", "page.html", WHOLE, gallery),
        Verb("evaluate", "evaluate {world}/made/emb.h5 --csv --out {out}", "scores.csv", WHOLE, export),
        Verb("plot", "plot {world}/made/emb.h5 --kind pr --out {out}", "curves.png", WHOLE, export),
    ]


def _whole() -> list[Verb]:
    compare = (
        "compare --images {world}/photos --shapes {world}/made/views --out {out} --seeds 1 --jobs 1 "
        f"--methods source-only,jgsa(dimension=4) {SMALL} --steps 3 --set size=32 --set images=4 "
        "--set shapes=2 --set views=2 --set embedding=8"
    )
    made = ("photos/**/*.jpg", "shapes/**/*.*", "views/**/*.png", "*.h5", "runs/*/model.safetensors",
            "gallery/{generation}/vectors.f32", "queries.png")  # fmt: skip
    demo = "demo --small --workers 1 --device cpu --out {out}"
    return [
        Verb(
            "compare",
            compare,
            "comparison",
            ("arms/**/model.safetensors", "arms/**/*.h5"),
            TRAINED,
            slow=True,
            listing="compare.json",
        ),
        Verb("demo", demo, "demo", made, prepare=smallest_demo, slow=True),
    ]


def make_world(world: Path) -> None:
    """Meshes and photos of two kinds in two splits, more meshes, and a folder like ModelNet40."""
    generator = np.random.default_rng(0)

    def mesh(kind: str) -> Mesh:
        x, y, z = generator.uniform(0.5, 1.5, 3)
        return box(x, y, z * (0.2 if kind == "flat" else 3))

    for kind in ("flat", "tall"):
        for number in range(5):
            split = "test" if number > 2 else "train"
            write_off(world / "meshes" / split / kind / f"{number}.off", mesh(kind))
            picture = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            path = world / "photos" / split / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        for number in range(2):
            write_off(world / "more" / kind / f"more-{number}.off", mesh(kind))
    for kind in ("bed", "chair", "lamp"):
        for split in ("train", "test"):
            for number in range(6):
                path = world / "modelnet" / kind / split / f"{kind}_{number + 1:04d}.off"
                write_off(path, mesh("flat"))


def begin(verb: Verb, world: Path, out: Path) -> None:
    """What there is before the verb."""
    if verb.base:
        shutil.copytree(world / "made" / verb.base, out)


def digest(verb: Verb, out: Path) -> str:
    """Of everything that must be the same; ``nothing`` otherwise."""
    total = hashlib.sha256()
    files = {path for pattern in verb.same for path in _found(out, pattern) if path.is_file()}
    if verb.listing and (out / verb.listing).is_file():
        named = (out / verb.listing).read_text(encoding="utf-8")
        files = {path for path in files if "/".join(path.relative_to(out).parts[:2]) in named}
    for path in sorted(files):
        name = re.sub(r"generation-\d+", "generation", str(path.relative_to(out.parent)))  # a running number
        total.update(f"{name}\0".encode() + path.read_bytes())
    return total.hexdigest() if files else "nothing"


def holds(verb: Verb, out: Path) -> str:
    """As ``digest``, but for the order of a gallery's shapes: those that came later stand behind."""
    if not any(one.startswith("{generation}") for one in verb.same) or not (out / "gallery.json").is_file():
        return digest(verb, out)
    current = out / json.loads((out / "gallery.json").read_text(encoding="utf-8"))["generation"]
    names, rows = (current / "ids.txt").read_bytes(), (current / "vectors.f32").read_bytes()
    ends = [0, *np.load(current / "ids.npy", allow_pickle=False).tolist()]
    width = len(rows) // (len(ends) - 1)
    pairs = sorted(
        (names[begin:end], rows[row * width : (row + 1) * width])
        for row, (begin, end) in enumerate(itertools.pairwise(ends))
    )
    return hashlib.sha256(b"".join(name + row for name, row in pairs)).hexdigest()


def _found(out: Path, pattern: str) -> list[Path]:
    if pattern == ".":
        return [out]
    if "{generation}" in pattern:
        gallery = out / pattern.partition("{generation}")[0]
        if not (gallery / "gallery.json").is_file():
            return []
        current = json.loads((gallery / "gallery.json").read_text(encoding="utf-8"))["generation"]
        pattern = pattern.replace("{generation}", current)
    return list(out.glob(pattern))


def strays(folder: Path) -> list[str]:
    """Half-written things, and generations of galleries that no gallery names; a gallery's lock is none."""
    found = [path for path in folder.rglob("*") if STRAY.match(path.name)]
    names = [path.name for path in found if not (path.name == ".lock" and path.parent != folder)]
    for about in folder.rglob("gallery.json"):
        current = json.loads(about.read_text(encoding="utf-8"))["generation"]
        names += [path.name for path in about.parent.glob("generation-*") if path.name != current]
    return names
