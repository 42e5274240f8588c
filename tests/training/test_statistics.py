"""Runs with statistics of shapes apart: whose they are, resuming, exports, and what is refused."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import TrainConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.extract import export, load_encoder
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.models.network import load_network
from hifa_cli.models.norms import DomainNorm, Statistics
from hifa_cli.runtime.progress import reporting
from hifa_cli.training import statistics
from hifa_cli.training.estimate import estimate_cost
from hifa_cli.training.setup import by_content, setup_run
from hifa_cli.training.statistics import take_statistics
from tests.training.test_trainer import CPU, TINY, Listening, StopAt, run, same

RUNS: dict[str, dict[str, Any]] = {
    "adabn": {"method": "adabn"},
    "adabn, last block": {"method": "adabn", "freeze": "blocks:1"},
    "adabn, whole": {"method": "adabn", "freeze": "none"},
    "hifa on adabn": {"method": "hifa", "norm": "adabn"},
    "default on adabn": {
        "method": "hifa-l", "norm": "adabn", "centred": True, "pooling": "mean", "descriptor": "fused",
        "pseudo_labels": "propagated",
    },
    "transnorm, last block": {"method": "transnorm", "freeze": "blocks:1"},
    "transnorm, whole": {"method": "transnorm", "freeze": "none"},
    "mcc on transnorm": {"method": "mcc", "norm": "transnorm", "freeze": "blocks:2"},
}  # fmt: skip


def of_shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: one for name, one in state.items() if name.endswith(("shapes_mean", "shapes_var"))}


LONG = ("adabn, whole", "hifa on adabn", "mcc on transnorm", "transnorm, whole")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in RUNS]
)
def test_an_interrupted_run_goes_on_to_the_bit(name: str, photos: Path, views: Path, tmp_path: Path) -> None:
    whole = run(photos, views, tmp_path / "whole", **RUNS[name])
    with pytest.raises(Stopped), reporting(StopAt(2, signal.SIGINT)):
        run(photos, views, tmp_path / "part", features=tmp_path / "kept", **RUNS[name])
    assert same(whole, run(photos, views, tmp_path / "part", features=tmp_path / "kept", **RUNS[name]))
    plain = {n.rsplit(".", 1)[0]: one for n, one in whole.items() if n.endswith("running_mean")}
    moved = {n.rsplit(".", 1)[0]: one for n, one in of_shapes(whole).items() if n.endswith("mean")}
    assert moved
    assert all(not torch.equal(one, plain[at]) for at, one in moved.items())


@pytest.mark.parametrize("name", ["adabn", "adabn, whole", "transnorm, last block"])
def test_labels_of_shapes_change_no_bit(name: str, photos: Path, views: Path, tmp_path: Path) -> None:
    plain = run(photos, views, tmp_path / "plain", **RUNS[name])
    (views / "bars").rename(views / "zebra")
    assert same(plain, run(photos, views, tmp_path / "moved", **RUNS[name]))


@pytest.mark.parametrize("freeze", ["trunk", "blocks:1", "none"])
def test_adabns_statistics_are_of_the_training_shapes_and_the_trained_trunk(
    freeze: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    made = run(photos, views, tmp_path / "run", method="adabn", freeze=freeze)
    network = load_network(tmp_path / "run")
    for _, module in network.trunk.named_modules():
        if hasattr(module, "shapes_mean"):
            module.shapes_mean.zero_()
    take_statistics(network, by_content(find_shapes(views)), CPU)
    assert all(torch.equal(made[name], one) for name, one in of_shapes(dict(network.state_dict())).items())


def test_adabn_is_source_only_but_for_how_shapes_are_seen(photos: Path, views: Path, tmp_path: Path) -> None:
    plain = run(photos, views, tmp_path / "plain", method="source-only")
    made = run(photos, views, tmp_path / "adabn", method="adabn")
    assert of_shapes(made)
    assert same(plain, {name: one for name, one in made.items() if name not in of_shapes(made)})


@pytest.mark.parametrize("name", ["adabn", "transnorm, last block"])
def test_an_export_sees_each_domain_by_its_own_statistics(
    name: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    run(photos, views, tmp_path / "run", **RUNS[name])
    encoder, network = load_encoder(tmp_path / "run", CPU), load_network(tmp_path / "run")
    images, shapes = find_images(photos), find_shapes(views)
    made = export(encoder, images, shapes, about={})
    kept = [export(encoder, images, shapes, about={}, features=tmp_path / "kept") for _ in range(2)]
    for part, items, domain in ((made.images, images, "images"), (made.shapes, shapes, "shapes")):
        assert part is not None
        row = part.ids.index(items.items[3].id)
        from hifa_cli.data.reading import plain_pixels

        seen = np.stack([plain_pixels(path, network.config) for path in items.items[3].views])
        with torch.inference_mode():
            wanted = network(torch.from_numpy(seen)[None], domain).pooled[0].numpy()
            other = network(torch.from_numpy(seen)[None], "shapes" if domain == "images" else "images")
        np.testing.assert_allclose(part.vectors[row], wanted, rtol=1e-4, atol=1e-5)
        assert not np.allclose(part.vectors[row], other.pooled[0].numpy(), rtol=1e-3, atol=1e-4)
        for again in kept:
            found = getattr(again, domain)
            np.testing.assert_array_equal(found.vectors, part.vectors)


def test_statistics_are_kept_for_other_runs_and_damaged_ones_taken_anew(
    photos: Path, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(photos, views, tmp_path / "first", method="adabn", features=tmp_path / "kept")
    (kept,) = (tmp_path / "kept/norms").iterdir()
    content = kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Statistics, "add", lambda *_: pytest.fail("taken again"))
        again = run(photos, views, tmp_path / "again", method="adabn", features=tmp_path / "kept")
    kept.write_bytes(content[:100])
    anew = run(photos, views, tmp_path / "anew", method="adabn", features=tmp_path / "kept")
    assert same(first, again)
    assert same(first, anew)
    assert kept.read_bytes() == content


def test_a_damaged_view_is_named_and_the_others_count(photos: Path, views: Path, tmp_path: Path) -> None:
    broken = next(views.rglob("03.png"))
    broken.write_bytes(b"no picture")
    listener = Listening()
    with reporting(listener):
        run(photos, views, tmp_path / "run", method="adabn")
    assert any(str(broken) in said for said in listener.said)


def test_views_none_of_which_can_be_read_are_one_line(photos: Path, views: Path, tmp_path: Path) -> None:
    for path in views.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(HifaError, match="none of the views of the shapes can be read"):
        run(photos, views, tmp_path / "run", method="adabn")


def test_few_pictures_of_many_stand_for_all(
    photos: Path, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(statistics, "MOST", 20)
    monkeypatch.setattr(statistics, "BATCH", 8)
    add = Statistics.add

    def watched(self: Statistics, layer: DomainNorm, count: int, *rest: torch.Tensor) -> None:
        seen.append(count)
        add(self, layer, count, *rest)

    monkeypatch.setattr(Statistics, "add", watched)
    run(photos, views, tmp_path / "run", method="adabn")
    assert seen[0] * 12 == seen[len(seen) // 2] * 8  # the last batch takes the rest


def test_its_cost_is_estimated(photos: Path, views: Path) -> None:
    for name in ("adabn", "transnorm, last block", "transnorm, whole"):
        config = replace(TINY, **RUNS[name])
        ready = setup_run(find_images(photos), find_shapes(views), config, seed=0, device=CPU)
        assert estimate_cost(ready).seconds_a_step > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "transnorm"}, "learns with the trunk, which is frozen: give --freeze"),
        ({"method": "source-only", "norm": "transnorm", "freeze": "none"}, "source-only never sees shapes"),
        ({"method": "transnorm", "freeze": "none", "chunk": 4}, "--set chunk=0"),
        ({"method": "transnorm", "freeze": "none", "compile": True}, "--set compile=false"),
        ({"method": "adabn", "backbone": "test_vit", "size": 160, "resize": 160}, "batch normalisation"),
        ({"method": "adabn", "backbone": "alexnet", "size": 64, "resize": 64}, "needs batch normalisation"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(changes: dict[str, Any], said: str, photos: Path, views: Path) -> None:
    config: TrainConfig = replace(TINY, **changes)
    with pytest.raises(HifaError, match=said) as caught:
        setup_run(find_images(photos), find_shapes(views), config, seed=0, device=CPU)
    assert "\n" not in str(caught.value)


def test_shapes_are_needed(photos: Path, views: Path) -> None:
    none = replace(find_shapes(views), items=())
    with pytest.raises(HifaError, match="norm=adabn needs shapes"):
        setup_run(find_images(photos), none, replace(TINY, method="adabn"), seed=0, device=CPU)


def test_a_method_says_its_norm_and_a_setting_overrides_it(photos: Path, views: Path) -> None:
    for changes, wanted in (
        ({"method": "adabn"}, "adabn"),
        ({"method": "adabn", "norm": "shared"}, "shared"),
        ({"method": "hifa"}, "shared"),
        ({"method": "hifa", "norm": "adabn"}, "adabn"),
    ):
        config = replace(TINY, **changes)  # type: ignore[arg-type]
        found = setup_run(find_images(photos), find_shapes(views), config, seed=0, device=CPU)
        assert found.model.norm == wanted
