"""A stray vertex far out is left out and said; a shape of which something can be seen is drawn whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.pipeline import render
from hifa_cli.render.strays import FAR, without_strays
from hifa_cli.render.views import MeshViews
from hifa_cli.runtime import progress
from tests.render.shapes import ball, box, joined, off_text


def spiked(times: float) -> Mesh:
    spike = np.array([[0.5, 0, 0], [0.5, 0.1, 0], [times, 0, 0]])
    return joined([box(), Mesh(spike, np.array([[0, 1, 2]], dtype=np.int32))])


@pytest.mark.parametrize("framing", ["box", "sphere"])
@pytest.mark.parametrize("shading", ["mvcnn", "smooth"])
def test_the_rest_of_a_spiked_shape_is_drawn_as_if_the_spike_were_not_there(
    framing: Any, shading: Any
) -> None:
    views = MeshViews(RenderConfig(framing=framing, shading=shading))
    pictures = views.draw(spiked(1e6), "z")
    assert views.remark == (
        "drawn without 1 of its 11 vertices, which lie up to 1e+06 times as far out as the others, and "
        "without the 1 faces that use them"
    )
    np.testing.assert_array_equal(pictures, views.draw(box(), "z"))
    assert views.remark == ""


@pytest.mark.parametrize("times", [10, 30, 60])
def test_what_can_be_seen_is_drawn_whole(times: float) -> None:
    views = MeshViews(RenderConfig(views=2))
    pictures = views.draw(spiked(times), "z")
    assert views.remark == ""
    assert (pictures < 255).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("times", [300, 1e3, 3e3, 1e4, 1e9, 1e150])
def test_the_rest_is_drawn_where_it_would_be_a_dot(axis: int, times: float) -> None:
    views = MeshViews(RenderConfig(views=2))
    mesh = ball(8)
    whole = float(np.mean(views.draw(mesh, "z") < 255))
    mesh.vertices[[5, 60]] = 0
    mesh.vertices[5, axis] = times
    mesh.vertices[60, (axis + 1) % 3] = -times
    pictures = views.draw(mesh, "z")
    assert "drawn without 2 of its 144 vertices" in views.remark
    assert float(np.mean(pictures < 255)) > 0.95 * whole


def test_vertices_far_out_that_fill_the_pictures_are_said() -> None:
    views = MeshViews(RenderConfig(views=2))
    mesh = ball(8)
    views.draw(mesh, "z")
    assert views.remark == ""
    mesh.vertices[mesh.faces[70]] = np.eye(3) * 1e6
    pictures = views.draw(mesh, "z")
    assert "3 of its 144 vertices lie up to 1e+06 times as far out as the others, which are" in views.remark
    assert float(np.mean(pictures < 255)) > 0.05


def legitimate() -> dict[str, Mesh]:
    far = ball(6)
    return {
        "two bodies far apart": joined([box(), Mesh(far.vertices + 1e6, far.faces)]),
        "a long thin rod": box(1, 1e-6, 1e-6),
        "a small part at the end of a long rod": joined([box(1e5, 0.1, 0.1), ball(4)]),
        "a dense small body beside large sparse ones": joined([
            ball(12), *(Mesh(box(10, 10, 10).vertices + 1e4 * offset, box().faces) for offset in np.eye(3))
        ]),
    }  # fmt: skip


@pytest.mark.parametrize("name", legitimate())
def test_shapes_with_many_far_vertices_lose_none(name: str) -> None:
    mesh = legitimate()[name]
    assert without_strays(mesh) is None
    views = MeshViews(RenderConfig(views=2))
    try:
        views.draw(mesh, "z")
    except HifaError as error:
        assert "nothing of it can be seen" in str(error)  # noqa: PT017
    assert views.remark == ""


def test_only_what_is_beyond_a_hundred_times_is_stray() -> None:
    assert without_strays(spiked(FAR / 2)) is None
    rest = without_strays(spiked(1e4))
    assert rest is not None
    assert (len(rest.mesh.vertices), len(rest.mesh.faces)) == (8, 12)


def test_shapes_that_are_too_thin_are_refused() -> None:
    views = MeshViews(RenderConfig(views=2))
    with pytest.raises(HifaError, match="too thin"):
        views.draw(box(1, 1e-6, 1e-6), "z")
    assert (views.draw(box(1, 0.01, 0.01), "z") < 255).any()


def test_the_stage_says_what_was_left_out_and_blank_shapes_fail(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    many = joined(
        [box(), *(Mesh(spiked(1e6 + n).vertices[8:], np.array([[0, 1, 2]], np.int32)) for n in range(9))]
    )
    for name, mesh in (("spike", spiked(1e6)), ("many", many), ("box", box())):
        (tmp_path / "in" / f"{name}.off").write_text(off_text(mesh))
    said: list[str] = []

    class Listener(progress.Reporter):
        def warn(self, message: str) -> None:
            said.append(message)

    with progress.reporting(Listener()):
        report = render([tmp_path / "in"], tmp_path / "out", RenderConfig(views=2, size=64), workers=1)
    assert report.rendered == 2
    assert [failure.path.name for failure in report.failed] == ["many.off"]
    assert report.failed[0].reason.startswith("nothing of it can be seen beside")
    assert [line for line in said if "spike.off: drawn without 1 of its 11 vertices" in line]
    assert not (tmp_path / "out" / "many").exists()
