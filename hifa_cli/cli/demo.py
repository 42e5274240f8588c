"""``hifa demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hifa_cli.cli.options import Config, Device, Force, Json, Quiet, Seed, Verbose, Workers, out_option
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.config import DemoConfig, WorldConfig

if TYPE_CHECKING:
    from hifa_cli.pipelines.demo import DemoReport


def demo(
    out: Annotated[Path, out_option("Folder for everything that the demo makes.")] = Path("hifa-demo"),
    small: Annotated[
        bool, typer.Option("--small", help="A tiny world and a few steps: shows that all works, no more.")
    ] = False,
    workers: Workers = 0,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Do the whole job, offline, on a world made on the spot: minutes on two cores.

    Makes shapes and photos of ten kinds, renders, trains HIFA and the source-only network, exports,
    indexes, queries, evaluates. Interrupted, it goes on where it stopped.
    """
    from hifa_cli.pipelines.demo import MARK, run_demo
    from hifa_cli.runtime import threads
    from hifa_cli.runtime.atomic import remove_folder
    from hifa_cli.runtime.device import pick_device

    start_reporting(quiet=quiet, verbose=verbose)
    if force and (out / MARK).is_file():
        remove_folder(out, last=MARK)
    world = WorldConfig(**SMALL_WORLD) if small else WorldConfig()
    settings = DemoConfig(steps=20) if small else DemoConfig()
    summary = run_demo(
        out,
        world,
        settings,
        seed=seed,
        workers=workers or threads.allowed(),
        device=pick_device(device),
    )
    if as_json:
        print_json(_document(summary))
        return
    from hifa_cli.evaluation.metrics import SHOWN
    from hifa_cli.viz.tables import scores_table, to_terminal

    # two shapes a class: only what the first rank says can be right
    metrics = ("NN",) if small else SHOWN
    print_result(to_terminal(scores_table(list(summary.scores.items()), metrics=metrics)))
    print_result(*_below_source_only(summary, small=small))
    print_result(_times(summary), _what_next(summary))


SMALL_WORLD: dict[str, Any] = {"shapes_train": 3, "shapes_test": 2, "photos_train": 4, "photos_test": 2}


def _document(summary: "DemoReport") -> dict[str, Any]:
    return {
        "out": str(summary.folder),
        "sheet": str(summary.sheet),
        "scores": {method: scores.document() for method, scores in summary.scores.items()},
        "seconds": summary.seconds,
    }


def _below_source_only(summary: "DemoReport", *, small: bool) -> list[str]:
    """Say plainly where HIFA did not do better than the network without adaptation, and what that means."""
    scores = {method: one.values()["NN"] for method, one in summary.scores.items()}
    base = scores.get("source-only")
    below = [name for name in ("hifa", "default") if base is not None and scores.get(name, 1.0) <= base]
    if not below:
        return []
    theirs = ", ".join(f"{name} {scores[name]:.3f}" for name in below)
    how = f"NN of {theirs}, of source-only {base:.3f}: here adaptation did not help the first hit."
    why = (
        "After so few steps on so few shapes that says nothing about the method (leave --small out)."
        if small
        else "One run of a small world is noise of this size; 'hifa compare --seeds 5' tells more."
    )
    return [how, why]


def _times(summary: "DemoReport") -> str:
    parts = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in summary.seconds.items())
    return f"\nTime: {parts}; {sum(summary.seconds.values()):.0f} s in all."


def _what_next(summary: "DemoReport") -> str:
    folder = summary.folder
    return f"""
Look at {summary.sheet}: a photo of each kind, and the shapes it finds (blue frame: right kind).

Go on with what the demo made:
  hifa query {folder}/photos/test/chair/*.jpg -g {folder}/gallery --top 5
  hifa evaluate {folder}/default.h5 --per-class
  hifa plot {folder}/default.h5 --out tsne.png

The same with folders of your own (photos in a folder a class, meshes in any folder):
  hifa render meshes --out views --rig eye
  hifa train --images photos --shapes views --out run
  hifa index meshes --model run --rig eye --out gallery
  hifa query photo.jpg -g gallery

Or, with no training at all:
  hifa index meshes --out gallery && hifa query photo.jpg -g gallery"""
