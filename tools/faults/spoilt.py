"""Hostile forms of hifa's own files: models, runs, lists, caches, marks, galleries that take photos."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tools.faults import made
from tools.faults.corpus import OUTSIDE, Case, raw, write_good_export
from tools.faults.stored import sealed_model

Change = Callable[[Path], object]


def spoilt() -> list[Case]:
    """All of them."""
    return [*models(), *runs(), *photo_galleries(), *lists(), *caches(), *swollen()]


def _of(files: Callable[[], made.Files], *changes: Change) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        made.put(files(), path)
        for change in changes:
            change(path)

    return write


def _set(name: str, *keys: Any, to: Any) -> Change:
    """Set a value of a JSON file, by the way to it; ``name`` may be a pattern."""

    def change(folder: Path) -> None:
        path = next(folder.glob(name))
        document = holder = json.loads(path.read_text(encoding="utf-8"))
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = to
        path.write_text(json.dumps(document), encoding="utf-8")

    return change


def _text(name: str, content: bytes | str) -> Change:
    return lambda folder: raw(content)(folder / name)


def models() -> list[Case]:
    """Models: networks that would fill the memory, come from a hub, or make pictures without end."""
    changes: dict[str, tuple[str, Any]] = {
        "hub": ("backbone", "hf-hub:nobody/nothing"), "folder": ("backbone", f"local-dir:../{OUTSIDE}"),
        "backbone-number": ("backbone", 7), "backbone-list": ("backbone", ["test_resnet"]),
        "embedding-huge": ("embedding", 10**8), "embedding-text": ("embedding", "4"),
        "embedding-negative": ("embedding", -4), "embedding-float": ("embedding", 4.0),
        "classes-numbers": ("classes", [1, 2]), "classes-text": ("classes", "ab"),
        "classes-deep": ("classes", [["a"]]),
        "size-huge": ("size", 10**6), "size-zero": ("size", 0), "size-float": ("size", 32.5),
        "resize-huge": ("resize", 10**6), "resize-less": ("resize", 16), "fit-unknown": ("fit", "x"),
        "mean-short": ("mean", [0.5]), "mean-text": ("mean", ["a", "b", "c"]), "std-zero": ("std", [0.0,
        0.0, 0.0]),
        "std-nan": ("std", [float("nan")] * 3), "dropout-text": ("dropout", "x"), "dropout-5": ("dropout",
        5.0),
        "head-unknown": ("head_init", "x"), "flag-text": ("freeze_norm", "no"),
    }  # fmt: skip
    cases = [Case("model", "good-model", "read", _of(made.model))]
    for name, (key, value) in changes.items():
        write = _of(made.model, _set("model.json", "model", key, to=value), sealed_model)
        cases.append(Case("model", f"model-{name}", "refused", write))
    for name, text in (("deep", "[" * 100_000), ("list", "[]"), ("numbers", "9" * 10_000), ("none", "null")):
        cases.append(Case("model", f"model-is-{name}", "refused", _of(made.model, _text("model.json", text))))
    cases.append(Case("model", "model-nan", "refused", _of(made.model, _nan_weights, sealed_model)))
    cases += [Case("weights", f"weights-{name}", "refused", write) for name, write in _weights().items()]
    return cases


def _nan_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file({name: one * float("nan") if one.is_floating_point() else one for name, one in state.items()},
              folder / "model.safetensors")  # fmt: skip


def _weights() -> dict[str, Callable[[Path], None]]:
    import torch
    from safetensors.torch import load

    state = load(made.model()["model.safetensors"])
    huge = torch.zeros(1).expand(10**6, 10**6)
    strange: dict[str, Any] = {
        "numbered.pt": {1: torch.zeros(2)}, "tuples.pt": {("a",): torch.zeros(2)}, "expanded.pt": {"a": huge},
        "sparse.pt": {name: one.to_sparse() for name, one in state.items()},
        "meta.pt": {name: one.to("meta") for name, one in state.items()},
        "complex.pt": {name: one.to(torch.complex64) for name, one in state.items()},
        "empty.pt": {}, "tensor.pt": torch.zeros(3), "list.pt": [torch.zeros(3)],
        "deep.pt": {"state_dict": 3},
        "nan.pt": {name: one * float("nan") for name, one in state.items()},
    }  # fmt: skip
    return {name: partial(torch.save, what) for name, what in strange.items()}


def runs() -> list[Case]:
    """Training runs to go on with, the settings and scores of others, and fitted maps."""
    checkpoint = "checkpoint.safetensors"
    changes: dict[str, tuple[Change, str]] = {
        "log-list": (_text("log.jsonl", "[1]\n"), "read"), "log-no-step": (_text("log.jsonl", "{}\n"),
        "read"),
        "log-text-step": (_text("log.jsonl", '{"step": "x"}\n'), "read"),
        "log-not-utf8": (_text("log.jsonl", b"\xff\xfe\n"), "read"),
        "log-deep": (_text("log.jsonl", "[" * 100_000), "read"),
        "finished-list": (_set("run.json", "finished", to=[]), "refused"),
        "finished-empty": (_set("run.json", "finished", to={}), "refused"),
        "finished-text": (_set("run.json", "finished", to={"steps": "x", "seconds": [], "digest": 3,
        "last": 7}),
                          "refused"),
        "settings-deep": (_text("run.json", "[" * 100_000), "refused"),
        "step-far": (_step("1000000000000"), "refused"), "step-before": (_step("-5"), "refused"),
        "step-none": (_step("x"), "refused"),
        "momentum-wide": (_momentum((7, 7)), "refused"), "momentum-far": (_momentum((3, 4), "momentum/99"),
        "refused"),
        "momentum-text": (_momentum((3, 4), "momentum/x"), "refused"),
        "checkpoint-claims": (_text(checkpoint, (1 << 60).to_bytes(8, "little") + b"{}"), "refused"),
        "best-empty": (_text("best.safetensors", b""), "refused"),
    }  # fmt: skip
    cases = [Case("checkpoint", "good-run", "read", _of(made.run))]
    for name, (change, wanted) in changes.items():
        cases.append(Case("checkpoint", f"run-{name}", wanted, _of(made.run, change)))
    metrics: tuple[Any, ...] = ("x", None, [1], {}, float("nan"), "1e999")
    for metric in metrics:
        write = _of(made.scores, _set("scores.json", "FT", to=metric))
        cases.append(Case("scores", f"scores-{str(metric).strip('[]{}') or 'empty'}", "read", write))
    values: tuple[Any, ...] = (7, "x", [], None, {"train": "x"})
    for value in values:
        write = _of(made.scores, _set("scores.json", "seconds", to=value))
        cases.append(Case("scores", f"seconds-{type(value).__name__}", "read", write))
    cases.append(Case("scores", "scores-deep", "read", _of(made.scores, _text("scores.json", "[" * 100_000))))
    for name in ("world.json", "demo.json"):
        cases += [
            Case(
                "demo",
                f"{name}-{what}",
                "refused" if name == "world.json" else "either",
                _of(made.demo, change),
            )
            for what, change in (("deep", _text(name, "[" * 100_000)), ("not-utf8", _text(name, b"\xff")))
        ]
    return cases


def _step(step: str) -> Change:
    return _checkpoint(lambda tensors, about: about.update(step=step))


def _momentum(shape: tuple[int, ...], name: str = "momentum/0") -> Change:
    return _checkpoint(lambda tensors, about: tensors.update({name: np.zeros(shape, dtype=np.float32)}))


def _checkpoint(change: Callable[[dict[str, Any], dict[str, str]], None]) -> Change:
    def write(folder: Path) -> None:
        from safetensors import safe_open
        from safetensors.numpy import save_file

        with safe_open(folder / "checkpoint.safetensors", "numpy") as file:
            tensors, about = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118
        change(tensors, about)
        save_file(tensors, folder / "checkpoint.safetensors", metadata=about)

    return write


def photo_galleries() -> list[Case]:
    """Galleries with all that a photo needs: settings that name other folders, markup, odd types."""
    main = "gallery.json"
    origin = {
        "kind": "meshes",
        "path": "/nowhere",
        "root": "/nowhere",
        "views": "0",
        "split": None,
        "rig": None,
    }
    changes: dict[str, tuple[str, Change]] = {
        "origin-text": ("refused", _set(main, "origins", to=["x"])),
        "origin-empty": ("refused", _set(main, "origins", to=[{}])),
        "origin-number": ("refused", _set(main, "origins", 0, "root", to=7)),
        "origin-nul": ("refused", _set(main, "origins", 0, "root", to="a\0b")),
        "views-above": ("refused", _set(main, "origins", to=[{**origin, "views": "../.."}])),
        "views-absolute": ("refused", _set(main, "origins", to=[{**origin, "views": "/etc"}])),
        "rig-empty": ("refused", _set(main, "origins", 0, "rig", to={"x": 1})),
        "rig-text": ("refused", _set(main, "origins", 0, "rig", to={"azimuths": ["x", "y"],
        "elevation": "z"})),
        "render-unknown": ("refused", _set(main, "origins", to=[{**origin, "render": {"views": "x"}}])),
        "classes-numbers": ("refused", _set(main, "classes", to=[1, 2])),
        "classes-twice": ("either", _set(main, "classes", to=["a", "a"])),
        "classes-markup": ("either", _set(main, "classes", to=["a", "[/b]"])),
        "classes-escape": ("either", _set(main, "classes", to=["a", "\x1b]0;x\x07\x1b[31m"])),
        "classes-surrogate": ("refused", _set(main, "classes", to=["a", "\ud800"])),
        "effort-text": ("refused", _set(main, "effort", "depth", to="x")),
        "effort-negative": ("refused", _set(main, "effort", "effort", to=-7)),
        "effort-nan": ("refused", _set(main, "effort", "recall", to=None)),
        "model-above": ("refused", _set(main, "model", to="../../../in/x")),
        "model-list": ("refused", _set(main, "model", to=["x"])),
        "method-number": ("refused", _set(main, "method", to=7)),
        "version-gone": ("refused", _set(main, "hifa_version", to=None)),
        "wanted-number": ("refused", _set(main, "wanted", to=3)),
        "learned-text": ("refused", _set(main, "learned_from", to="x")),
        "views-zero": ("either", _set(main, "views", to=0)),
        "graph-size": ("either", _set("models/*/model.json", "model", "size", to=10**6)),
        "graph-resize": ("either", _set("models/*/model.json", "model", "resize", to=10**6)),
        "graph-about": ("either", _text("models/x/graph.json", "[]")),
        "ids-markup": ("either", _ids(b"[/x]")), "ids-escape": ("either", _ids(b"\x1b[3")),
        "ids-not-utf8": ("either", _ids(b"\xff\xfea")), "ids-lines": ("either", _ids(b"a\n\r\0")),
        "paths-above": ("either", _ids(b"../x", "paths")), "paths-nul": ("either", _ids(b"a\0/x", "paths")),
        "vectors-nan": ("either", _numbers("vectors.f32", np.nan)),
        "vectors-inf": ("either", _numbers("vectors.f32", np.inf)),
        "thumbnail-text": ("either",
        lambda folder: [one.write_bytes(b"x") for one in folder.glob("thumbnails/*/*")]),
    }  # fmt: skip
    cases = [Case("query", "good-photo-gallery", "read", _of(made.gallery))]
    return cases + [
        Case("query", f"photo-{name}", wanted, _of(made.gallery, change))
        for name, (wanted, change) in changes.items()
    ]


def _ids(first: bytes, column: str = "ids") -> Change:
    """Spoil every id in its place: they are three bytes long."""

    def change(folder: Path) -> None:
        path = next(folder.glob(f"generation-*/{column}.txt"))
        count = path.stat().st_size // 3
        path.write_bytes(first * count)
        ends = len(first) * np.arange(1, count + 1, dtype=np.int64)
        np.save(path.with_suffix(".npy"), ends)

    return change


def _numbers(name: str, value: float) -> Change:
    def change(folder: Path) -> None:
        path = next(folder.glob(f"generation-*/{name}"))
        numbers = np.frombuffer(path.read_bytes(), dtype="<f4").copy()
        numbers[::3] = value
        path.write_bytes(numbers.tobytes())

    return change


def lists() -> list[Case]:
    """Lists of pictures: numbers that are none, paths without end, names that no system has."""
    texts: dict[str, tuple[str, bytes | str]] = {
        "long-number.txt": ("either", "a.png " + "9" * 10_000), "signs.txt": ("either", "a.png +-5"),
        "superscript.txt": ("either", "a.png ²"), "long-path.txt": ("refused", "a/" * 200_000 + "x.png 1"),
        "long-name.txt": ("refused", "a" * 5_000 + ".png"), "nul.txt": ("refused", "a\0b.png 1"),
        "long-name.csv": ("refused", "path,class\n" + "a" * 5_000 + ".png,a"),
        "huge-field.csv": ("refused", "path,class\n" + "a" * 500_000 + ",a"),
        "quote.csv": ("refused", 'path,class\n"a.png,a\n'), "surrogate.json": ("refused", '["\\ud800.png"]'),
        "surrogate-class.json": ("either", '[{"path": "a.png", "class": "\\ud800"}]'),
        "surrogate-id.json": ("either", '[{"path": "a.png", "id": "\\ud800"}]'),
        "deep.json": ("refused", "[" * 100_000), "number.json": ("refused", "7"),
        "nested.json": ("refused", "[[[]]]"),
        "long-number.json": ("refused", '[{"path": "a.png", "class": ' + "9" * 10_000 + "}]"),
        "absolute.txt": ("read", "/etc/passwd 1"), "above.txt": ("either", f"../{OUTSIDE} 1"),
        "not-utf8.txt": ("refused", b"\xff\xfe\xfd"), "utf16.csv": ("refused",
        "path\na.png".encode("utf-16")),
        "self.txt": ("either", "self.txt"), "folder.txt": ("either", "."), "escape.txt": ("refused",
        "\x1b[31m.png"),
    }  # fmt: skip

    def beside(text: bytes | str) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            raw(made.picture("PNG"))(path.with_name("a.png"))
            raw(text)(path)

        return write

    return [Case("list", f"list-{name}", wanted, beside(text)) for name, (wanted, text) in texts.items()]


def caches() -> list[Case]:
    """What other runs kept, and what folders of views say of themselves."""
    from safetensors.numpy import save

    def part(name: str, array: Any) -> Change:
        return _text(f"{name}.safetensors", save({name: np.asarray(array, dtype=np.float32)}))

    cases = [Case("features", "good-features", "read", _of(made.features))]
    for name, change in {
        "wide": part("high", np.zeros((2, 99))), "flat": part("high", np.zeros(2)),
        "fewer": part("high", np.zeros((1, 96))), "none": part("high", np.zeros((0, 96))),
        "nan": part("high", np.full((2, 96), np.nan)), "maps-flat": part("maps", np.zeros(2)),
        "maps-many": part("maps", np.zeros((5, 2, 3, 3))), "empty": _text("high.safetensors", b""),
    }.items():  # fmt: skip
        cases.append(Case("features", f"features-{name}", "read", _of(made.features, change)))
    for name, text in {
        "deep": "[" * 100_000, "list": "[]", "numbers": '{"azimuths": [1e400], "elevation": 1}',
        "long": '{"azimuths": [' + "9" * 400 + '], "elevation": 1}',
        "text": '{"azimuths": "abc", "elevation": "x"}',
        "empty": "",
    }.items():  # fmt: skip
        cases.append(Case("views", f"views-{name}", "read", _of(made.views, _text("views.json", text))))
    for name, label in {
        "long-number": "x/a/1/00.png " + "9" * 10_000, "signs": "a/1/00.png +-5",
        "long-path": "a/" * 100_000 + "x 1",
    }.items():  # fmt: skip
        cases.append(Case("views", f"label-{name}", "either", _of(made.views, _text("label.txt", label))))
    return cases


def swollen() -> list[Case]:
    """Files whose parts name one long text again and again: some kilobytes that would be gigabytes."""

    def ids(path: Path) -> None:
        write_good_export(path)
        with h5py.File(path, "a") as file:
            for name in ("ids", "labels", "vectors"):
                del file["shapes"][name]
            count = 20_000
            file["shapes/labels"] = np.zeros(count, dtype=np.int64)
            file["shapes/vectors"] = np.zeros((count, 4), dtype=np.float32)
            column = file["shapes"].create_dataset("ids", shape=(count,), dtype=h5py.string_dtype())
            column[0] = "x" * 1_000_000
            file.flush()
            place = column.id.get_offset()
        _repeat(path, place, count)

    def classes(path: Path) -> None:
        write_good_export(path)
        mark = "hostile" * 150_000
        with h5py.File(path, "a") as file:
            file.attrs["classes"] = [mark, *[f"{number:04d}" for number in range(3_000)]]
        content = path.read_bytes()
        place = content.find(len(mark).to_bytes(4, "little"))  # length, then where it is: 16 bytes a name
        _repeat(path, place, 3_000)

    return [
        Case("export", "swollen-ids.h5", "refused", ids),
        Case("export", "swollen-classes.h5", "refused", classes),
    ]


def _repeat(path: Path, place: int, count: int) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + 16 * count] = content[place : place + 16] * count
    path.write_bytes(content)
