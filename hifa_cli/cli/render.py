"""``hifa render``: twelve Phong views of every mesh."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from hifa_cli.cli.options import (
    DRAW,
    PICTURES,
    RUN,
    Config,
    Engine,
    Force,
    Json,
    LayoutName,
    Quiet,
    Shards,
    Strict,
    UpList,
    Ups,
    Verbose,
    Workers,
    check_engine,
    chosen_up,
    out_option,
    refuse_ending,
)
from hifa_cli.config import RIGS, Framing, RenderConfig, Renderer, Shading
from hifa_cli.runtime import progress

DEFAULT = RenderConfig()


def render(
    meshes: Annotated[
        list[Path],
        typer.Argument(metavar="MESHES…", help="Mesh files, or folders of them."),
    ],
    out: Annotated[Path, out_option("Folder for the views.")],
    views: Annotated[
        int, typer.Option(min=1, max=1000, help="Views a shape.", rich_help_panel=DRAW)
    ] = DEFAULT.views,
    rig: Annotated[
        Literal["paper", "eye"],
        typer.Option(
            help="From where: paper (30° above, Su et al. 2015) or eye (15°, as people take photos).",
            rich_help_panel=DRAW,
        ),
    ] = "paper",
    elevation: Annotated[
        float | None,
        typer.Option(
            min=-90,
            max=90,
            help="Degrees of the cameras above the horizon.",
            show_default="the rig's",
            rich_help_panel=DRAW,
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=16, max=4096, help="Pixels a side.", rich_help_panel=DRAW)
    ] = DEFAULT.size,
    layout: LayoutName = "auto",
    up: Ups = None,
    up_list: UpList = None,
    shading: Annotated[
        Shading,
        typer.Option(
            help="mvcnn: flat under a headlight, as the public MI3DOR views; smooth: round.",
            rich_help_panel=DRAW,
        ),
    ] = DEFAULT.shading,
    framing: Annotated[
        Framing,
        typer.Option(
            help="box: every view fills its picture; sphere: one scale for all views.", rich_help_panel=DRAW
        ),
    ] = DEFAULT.framing,
    ground: Annotated[
        int, typer.Option(min=0, max=255, help="Grey behind the shape; 255 is white.", rich_help_panel=DRAW)
    ] = DEFAULT.ground,
    renderer: Annotated[
        Renderer,
        typer.Option(help="auto: OpenGL on a GPU, else builtin. See 'hifa doctor'.", rich_help_panel=RUN),
    ] = DEFAULT.renderer,
    engine: Engine = "local",
    shards: Shards = None,
    workers: Workers = 0,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds a mesh may take.", rich_help_panel=RUN)
    ] = DEFAULT.timeout,
    memory: Annotated[
        float,
        typer.Option(min=0, help="GB a mesh may take; 0: its share of the machine.", rich_help_panel=RUN),
    ] = DEFAULT.memory,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(
            help="Also write one picture with all shapes on it.",
            metavar="FILE.png",
            show_default="none is written",
        ),
    ] = None,
    strict: Strict = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Draw MESHES… from all sides: twelve grey Phong views a shape.

    Every shape gets a folder named by its path, with 00.png … 11.png. What is there and current is
    skipped, so a run that was stopped goes on where it was.
    """
    from hifa_cli.cli.terminal import print_json, print_result, start_reporting
    from hifa_cli.errors import HifaError
    from hifa_cli.render.pipeline import render as render_meshes
    from hifa_cli.runtime.threads import allowed
    from hifa_cli.viz.contact_sheet import shape_sheet

    refuse_ending(contact_sheet, "--contact-sheet", PICTURES)
    check_engine(engine, shards)
    axis, ups = chosen_up(up, up_list)
    settings = RenderConfig(
        views=views, elevation=RIGS[rig] if elevation is None else elevation, size=size, up=axis, ups=ups,
        shading=shading, framing=framing, ground=ground, renderer=renderer, timeout=timeout, memory=memory,
        layout=layout,
    )  # fmt: skip
    start_reporting(quiet=quiet, verbose=verbose)
    if engine == "ray":
        from hifa_cli.render.cluster import render_on_ray

        report = render_on_ray(meshes, out, settings, workers=workers or 1, parts=shards, force=force)
    else:
        report = render_meshes(meshes, out, settings, workers=workers or allowed(), force=force)
    if contact_sheet is not None:
        shown = shape_sheet(contact_sheet, report.shapes)
        progress.note(f"{shown} of {len(report.shapes)} shapes are on {contact_sheet}")
    if as_json:
        print_json(
            {
                "rendered": report.rendered,
                "skipped": report.skipped,
                "failed": [{"path": str(path), "reason": reason} for path, reason in report.failed],
                "layouts": [one.document() for one in report.layouts],
                "up_taken": [asdict(one) for one in report.taken],
                "renderer": report.renderer,
                "seconds": round(report.seconds, 3),
                "out": str(out),
            }
        )
    if report.failed and not report.rendered and not report.skipped:
        path, reason = report.failed[0]
        raise HifaError(f"nothing could be drawn; {path}: {reason}")
    if not as_json:
        print_result(
            f"{report.rendered} rendered, {report.skipped} already there, {len(report.failed)} failed"
        )
    if strict and report.failed:
        raise typer.Exit(1)
