"""The evaluation stage: from an export to scores, intervals and differences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import confusion, evaluate
from hifa_cli.evaluation.metrics import METRICS, PROFILES
from tests import reference_metrics as reference
from tests.worked_case import GALLERY_LABELS, QUERY_LABELS, vectors

CLASSES = ("a", "b", "c", "d")


def embeddings(prefix: str, labels: object, values: object) -> Embeddings:
    numbers = np.asarray(labels, dtype=np.int64)
    return Embeddings(
        tuple(f"{prefix}{i}" for i in range(len(numbers))), numbers, np.asarray(values, dtype=np.float32)
    )


def random_export(seed: int = 0, *, queries: int = 40, gallery: int = 60, noise: float = 1.0) -> Export:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).random((4, 12))
    asked, held = generator.integers(0, 4, queries), generator.integers(0, 4, gallery)
    return Export(
        embeddings(
            "p", asked, centres[asked] + noise * np.random.default_rng(seed + 1).normal(size=(queries, 12))
        ),
        embeddings(
            "s", held, centres[held] + noise * np.random.default_rng(seed + 2).normal(size=(gallery, 12))
        ),
        CLASSES,
    )


def parts(export: Export) -> tuple[Embeddings, Embeddings]:
    assert export.images is not None
    assert export.shapes is not None
    return export.images, export.shapes


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 40))
def test_scores_of_integer_vectors_agree_with_exact_arithmetic(seed: int, queries: int, gallery: int) -> None:
    generator = np.random.default_rng(seed)
    asked, held = generator.integers(0, 3, queries), generator.integers(0, 3, gallery)
    asked[0] = held[0]
    photos, shapes = generator.integers(-2, 4, (queries, 5)), generator.integers(-2, 4, (gallery, 5))
    export = Export(embeddings("p", asked, photos), embeddings("s", held, shapes), CLASSES)
    sizes = np.bincount(held, minlength=3)
    counted = [row for row in range(queries) if sizes[asked[row]]]
    lists = [
        reference.relevance(
            reference.exact_order(photos[row].tolist(), shapes.tolist()), int(asked[row]), held.tolist()
        )
        for row in counted
    ]
    own_sizes = [int(sizes[asked[row]]) for row in counted]
    scores = evaluate(export)
    values = scores.values()
    expected = reference.mi3dor(lists, own_sizes, int(sizes.max()))
    assert {name: values[name] for name in METRICS} == pytest.approx(expected, abs=1e-12)
    assert values["AUC"] == pytest.approx(reference.area(lists, own_sizes), abs=1e-12)
    assert scores.skipped == queries - len(counted)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_worked_case_holds_at_any_scale_with_negative_entries(scale: float) -> None:
    photos, shapes = vectors(scale)
    export = Export(
        embeddings("p", QUERY_LABELS, photos), embeddings("s", GALLERY_LABELS, shapes), ("A", "B", "C")
    )
    values = evaluate(export).values()
    expected = {"NN": 0.666667, "FT": 0.533333, "ST": 0.772222, "F": 0.5, "DCG": 0.580545, "ANMRR": 0.447977}
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
def test_scores_do_not_depend_on_the_block_size(profile: str) -> None:
    export = random_export()
    whole = evaluate(export, profile=profile).values()
    for rows in (1, 7, 39):
        assert evaluate(export, profile=profile, rows=rows).values() == whole


@pytest.mark.parametrize("profile", PROFILES)
def test_the_first_ranks_suffice_for_the_contracts_metrics(profile: str) -> None:
    export = random_export(gallery=300)
    whole, first = (evaluate(export, profile=profile, whole_list=flag).values() for flag in (True, False))
    assert {name: first[name] for name in METRICS} == {name: whole[name] for name in METRICS}


def test_scores_do_not_depend_on_the_order_of_photos_nor_of_distinct_shapes() -> None:
    export = random_export()
    generator = np.random.default_rng(1)

    def shuffled(part: Embeddings) -> Embeddings:
        rows = generator.permutation(len(part))
        return Embeddings(tuple(part.ids[row] for row in rows), part.labels[rows], part.vectors[rows])

    images, shapes = parts(export)
    mixed = replace(export, images=shuffled(images), shapes=shuffled(shapes))
    assert evaluate(mixed).values() == pytest.approx(evaluate(export).values(), abs=1e-12)


def test_scores_do_not_depend_on_how_classes_are_numbered() -> None:
    export = random_export()
    other = export.relabelled(("d", "x", "b", "a", "c"))
    assert evaluate(other).values() == evaluate(export).values()


def test_queries_without_an_answer_are_skipped_and_counted() -> None:
    export = random_export()
    images, shapes = parts(export)
    labels = images.labels.copy()
    labels[:3] = -1
    gone = shapes.labels != 3
    fewer = Embeddings(tuple(np.array(shapes.ids)[gone]), shapes.labels[gone], shapes.vectors[gone])
    scores = evaluate(replace(export, images=replace(images, labels=labels), shapes=fewer))
    kept = (labels >= 0) & (labels != 3)
    assert (len(scores.ids), scores.skipped, scores.gallery) == (kept.sum(), (~kept).sum(), gone.sum())
    rows = np.flatnonzero(kept)
    only = Embeddings(tuple(images.ids[row] for row in rows), images.labels[rows], images.vectors[rows])
    assert evaluate(replace(export, images=only, shapes=fewer)).values() == scores.values()


def test_shapes_without_a_class_are_distractors() -> None:
    export = random_export(noise=0.3)
    images, shapes = parts(export)
    strangers = embeddings("x", np.full(30, -1), np.tile(images.vectors[:30], (1, 1)))
    more = Embeddings(
        strangers.ids + shapes.ids,
        np.concatenate([strangers.labels, shapes.labels]),
        np.concatenate([strangers.vectors, shapes.vectors]),
    )
    with_strangers = evaluate(replace(export, shapes=more))
    assert with_strangers.gallery == 90
    assert with_strangers.sizes.sum() == 60
    assert with_strangers.values()["NN"] < evaluate(export).values()["NN"]


def test_the_document_begins_with_the_contracts_keys() -> None:
    document = evaluate(random_export()).document()
    assert list(document)[:10] == [*METRICS, "queries", "gallery", "skipped_queries"]


def test_classes_average_to_the_whole() -> None:
    scores = evaluate(random_export())
    counts = np.bincount(scores.labels, minlength=4)
    for name in ("NN", "FT", "ANMRR"):
        mean = sum(counts[label] * scores.of_class(label)[name] for label in range(4)) / counts.sum()
        assert mean == pytest.approx(scores.values()[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": None}, "has no photos"),
        ({"shapes": None}, "has no shapes"),
        ({"shapes": embeddings("s", [], np.zeros((0, 12)))}, "has no shapes"),
        ({"shapes": embeddings("s", [-1], np.ones((1, 12))), "classes": ()}, "no photo in E has a class"),
    ],
)
def test_what_cannot_be_scored_is_named(change: dict[str, object], said: str) -> None:
    export = replace(random_export(), **change)  # type: ignore[arg-type]
    if not export.classes and export.images:
        export = replace(export, images=replace(export.images, labels=np.full(40, -1)))
    with pytest.raises(HifaError, match=said):
        evaluate(export, name="E")


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(HifaError, match="choose one of mi3dor, mi3dor-legacy"):
        evaluate(random_export(), profile="trec")


def test_confusion_counts_the_classes_of_the_answers() -> None:
    held = embeddings("s", [0, 1, 1, -1], np.eye(4))
    asked = embeddings("p", [0, 0, 1, 3], [[9, 1, 0, 0], [1, 9, 0, 0], [0, 0, 9, 1], [0, 0, 1, 9]])
    nearest = confusion(Export(asked, held, CLASSES))
    assert nearest.tolist() == [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert confusion(Export(asked, held, CLASSES), best=2)[0].tolist() == [0.5, 0.5, 0, 0]
