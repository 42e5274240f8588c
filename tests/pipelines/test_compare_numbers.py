"""Rows as they are written, what seeds say together, and the paper's own gains."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hifa_cli.config import TrainConfig
from hifa_cli.pipelines.compare.published import MISPRINTED, PAPER_METRICS, published
from hifa_cli.pipelines.compare.report import relative_gains
from hifa_cli.pipelines.compare.rows import Arm, parse_arm, parse_arms
from hifa_cli.pipelines.compare.summary import RunScores, gain, paired, reference_pairs, spread
from hifa_cli.settings import typed


def test_rows_are_read_as_they_are_written() -> None:
    assert parse_arm("hifa") == Arm("hifa", "trained", "hifa")
    placebo = parse_arm(" hifa( weight_mutual = 0 , radius=30 ) ")
    assert placebo == Arm(
        "hifa(weight_mutual=0,radius=30)", "trained", "hifa", (("weight_mutual", "0"), ("radius", "30"))
    )
    assert parse_arm("mine.methods:Best").method == "mine.methods:Best"
    assert parse_arm("mine.methods:Best(rate=1)").method == "mine.methods:Best"
    assert parse_arm("frozen").backbone == ""
    other = parse_arm("frozen:resnet50(weights=a/b.pt)")
    assert (other.kind, other.backbone, other.overrides) == ("frozen", "resnet50", (("weights", "a/b.pt"),))


def test_a_shallow_row_stands_on_source_only_or_on_what_it_names() -> None:
    def base(text: str) -> str:
        found = parse_arm(text)
        assert found.kind == "adapted"
        assert found.base is not None
        return found.base.name

    assert base("jgsa") == "source-only"
    assert base("meda(dimension=30)") == "source-only"
    assert base("jgsa:frozen:resnet50") == "frozen:resnet50"
    assert base("jgsa:hifa(weight_mutual=0)") == "hifa(weight_mutual=0)"
    assert base("jgsa(dimension=30):hifa(weight_mutual=0)") == "hifa(weight_mutual=0)"
    assert parse_arm("jgsa(dimension=30):hifa(weight_mutual=0)").overrides == (("dimension", "30"),)


def test_commas_in_parentheses_part_no_rows_and_repeated_rows_count_once() -> None:
    names = [arm.name for arm in parse_arms("source-only, hifa(a=1,b=2),frozen,hifa(a=1, b=2),")]
    assert names == ["source-only", "hifa(a=1,b=2)", "frozen"]


@pytest.mark.parametrize(
    "text",
    ["", " , ", "hifa(", "hifa)", "hifa(a)", "(a=1)", "hifa(a=1)b", "hifa(=1)", "jgsa:meda", "frozen(a=1):x"],
)
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_arms(text)


def test_settings_take_the_type_of_their_field() -> None:
    texts = {"steps": "30", "radius": "1e1", "augment": "False", "fit": "pad", "backbone": "7"}
    assert typed(TrainConfig, texts) == {
        "steps": 30, "radius": 10.0, "augment": False, "fit": "pad", "backbone": "7"
    }  # fmt: skip
    for key, text in (("steps", "3.5"), ("radius", "x"), ("augment", "1"), ("fit", "x"), ("nothing", "1")):
        with pytest.raises(ValueError, match=key):
            typed(TrainConfig, {key: text})
    with pytest.raises(ValueError, match="method"):
        typed(TrainConfig, {"method": "hifa"}, sealed=("method",))


def test_mean_and_sample_deviation_of_a_worked_case() -> None:
    found = spread([0.5, 0.6, 0.7])
    assert found == pytest.approx((0.6, 0.1, 3))  # sqrt((0.01 + 0 + 0.01) / 2)
    assert spread([0.5]) == (0.5, None, 1)


def test_paired_differences_of_a_worked_case() -> None:
    first: RunScores = {0: 0.5, 1: 0.7, 2: 0.6, 9: 0.1}
    second: RunScores = {0: 0.4, 1: 0.4, 2: 0.7}
    # differences 0.1, 0.3, −0.1: mean 0.1, deviation sqrt((0 + 0.04 + 0.04) / 2) = 0.2, error 0.2 / sqrt 3
    assert paired(first, second, "FT") == pytest.approx((0.1, 0.2 / math.sqrt(3), 2, 3))
    assert paired(first, second, "ANMRR") == pytest.approx((0.1, 0.2 / math.sqrt(3), 1, 3))
    assert paired({0: 0.5}, {0: 0.5}, "FT") == (0.0, None, 0, 1)  # a tie is not a win
    assert paired({0: 0.5}, {1: 0.5}, "FT") is None


def test_a_row_that_no_seed_changes_meets_every_seed() -> None:
    seeded: RunScores = {0: 0.5, 3: 0.7}
    constant: RunScores = {None: 0.4}
    there, back = paired(seeded, constant, "FT"), paired(constant, seeded, "FT")
    assert there == pytest.approx((0.2, 0.1, 2, 2))
    assert back == pytest.approx((-0.2, 0.1, 0, 2))
    assert paired(constant, {}, "FT") is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_paired_differences_are_numpys(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    first: RunScores = dict(enumerate(a.tolist()))
    second: RunScores = dict(enumerate(b.tolist()))
    found = paired(first, second, "FT")
    assert found is not None
    assert found.error is not None
    assert found.mean == pytest.approx(float((a - b).mean()), abs=1e-12)
    assert found.error == pytest.approx(float((a - b).std(ddof=1) / len(a) ** 0.5), abs=1e-9)
    assert found.wins == int((a > b).sum())
    assert spread(a.tolist()).deviation == pytest.approx(float(a.std(ddof=1)), abs=1e-9)


def test_rows_are_paired_along_the_ablation_and_against_source_only() -> None:
    arms = parse_arms("frozen,hifa,source-only,hifa(weight_mutual=0),hifa-gl")
    assert reference_pairs(arms) == [
        ("hifa-gl", "source-only"),
        ("hifa(weight_mutual=0)", "hifa-gl"),
        ("hifa", "hifa(weight_mutual=0)"),
        ("hifa", "hifa-gl"),
        ("frozen", "source-only"),
        ("hifa", "source-only"),
        ("hifa(weight_mutual=0)", "source-only"),
    ]
    assert reference_pairs(arms[:2]) == [("hifa", "frozen")]
    assert reference_pairs(arms[:3], "hifa") == [("frozen", "hifa"), ("source-only", "hifa")]


# Section 5.1 of the paper: the least and the greatest gain over the other methods, in percent.
PAPER_RANGES = {
    "MI3DOR": {
        "NN": (1.83, 83.49), "FT": (10.75, 91.33), "ST": (7.26, 63.75), "F": (5.59, 52.53),
        "DCG": (9.55, 89.56), "ANMRR": (14.01, 45.73),
    },
    "MI3DOR-2": {
        "NN": (3.45, 39.96), "FT": (2.70, 60.56), "ST": (4.26, 45.49), "F": (2.00, 60.56),
        "DCG": (0.84, 56.14), "ANMRR": (2.59, 34.34),
    },
}  # fmt: skip
# Two lower ends in the text are not their table's: F says 2.00 where FT, its equal, says 2.70, and NN says
# 3.45, which is 0.025 over HIFA's 0.725 and not over DLEA's 0.700 (3.57).
SLIPS = {("MI3DOR-2", "F", 0): 2.70, ("MI3DOR-2", "NN", 0): 3.57}


@pytest.mark.parametrize("benchmark", PAPER_RANGES)
def test_the_papers_gains_come_out_of_its_tables(benchmark: str) -> None:
    """To the two digits of the text, so from the same quotients of the three digits of the tables."""
    scores = published(benchmark)
    gains = relative_gains({name: row for name, row in scores.items() if name not in ("hifa-g", "hifa-gl")})
    for metric, bounds in PAPER_RANGES[benchmark].items():
        # the text's 52.53 % of F is the gain over AlexNet: MEDA's misprinted 0.046 and JAN are left out
        rivals = ("source-only", "dlea") if (benchmark, metric) == ("MI3DOR", "F") else tuple(gains)
        found = [100 * value for name in rivals if (value := gains[name][metric]) is not None]
        for place, (mine, theirs) in enumerate(zip((min(found), max(found)), bounds, strict=True)):
            if (benchmark, metric, place) not in SLIPS:
                assert mine == pytest.approx(theirs, abs=0.006), (metric, place)


# Section 5.2: the gain of a step of the ablation, on MI3DOR and MI3DOR-2, in percent.
PAPER_STEPS = {
    ("hifa-g", "source-only"): (
        (62.03, 26.45), (71.16, 46.76), (58.21, 36.07), (33.33, 46.76), (72.17, 41.25), (37.18, 26.07)
    ),
    ("hifa-gl", "hifa-g"): (
        (9.61, 2.75), (5.45, 4.99), (1.35, 3.31), (12.12, 4.99), (7.24, 3.20), (9.55, 6.02)
    ),
    ("hifa", "hifa-gl"): (
        (3.32, 7.73), (3.00, 4.20), (2.13, 3.50), (2.03, 4.20), (2.07, 4.36), (1.70, 5.49)
    ),
}  # fmt: skip
# 32 of the 36 follow from table 3; for these four the text has another number than the table gives.
STEP_SLIPS = {
    ("hifa-g", "FT", "MI3DOR"): 76.16, ("hifa-gl", "DCG", "MI3DOR-2"): 5.91,
    ("hifa", "DCG", "MI3DOR"): 2.67, ("hifa", "ANMRR", "MI3DOR"): 4.49,
}  # fmt: skip


@pytest.mark.parametrize(("row", "before"), PAPER_STEPS)
def test_the_papers_steps_of_the_ablation_come_out_of_its_table(row: str, before: str) -> None:
    for metric, both in zip(PAPER_METRICS, PAPER_STEPS[row, before], strict=True):
        for benchmark, said in zip(("MI3DOR", "MI3DOR-2"), both, strict=True):
            scores = published(benchmark)
            mine = gain(scores[row][metric], scores[before][metric], metric)
            assert mine is not None
            expected = STEP_SLIPS.get((row, metric, benchmark), said)
            assert 100 * mine == pytest.approx(expected, abs=0.006), (metric, benchmark)


def test_a_gain_over_nothing_is_none() -> None:
    assert gain(0.5, 0.0, "FT") is None
    assert gain(0.2, 0.4, "ANMRR") == pytest.approx(0.5)


def test_the_published_tables_agree_with_what_the_paper_says_of_them() -> None:
    """Gallery classes of 20 make F = FT on MI3DOR-2, and the misprinted cells are those that cannot be."""
    assert all(row["F"] == row["FT"] for row in published("MI3DOR-2").values())
    for name, row in published("MI3DOR").items():
        precision = row["F"] * (20 * 21 + 3848) / (2 * 20 * 21)  # of the first 20, from pooled F
        impossible = precision > row["NN"] + 0.01 or precision < row["FT"] - 0.05
        assert impossible == (("MI3DOR", name, "F") in MISPRINTED), name
    assert published("something else") == {}
    assert all(tuple(row) == PAPER_METRICS for row in published("MI3DOR").values())
