"""Ranking one gallery's shapes, against the same steps written out for all shapes at once."""

import numpy as np
import pytest

from hifa_cli.config import Find, RankingConfig
from hifa_cli.gallery.ranking import GalleryRanking, Lift
from hifa_cli.search.rerank import QueryVectors, neighbour_graph, unit
from hifa_cli.search.searcher import Searcher

KINDS, EACH, VIEWS, WIDTH = 10, 8, 6, 24


def world(seed: int = 0, each: int = EACH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views (n, V, D) of shapes of ten kinds, one query of each kind, and the kinds of the shapes."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(KINDS), each)
    centres = rng.normal(size=(KINDS, WIDTH))
    shapes = centres[kinds] + 0.7 * rng.normal(size=(len(kinds), WIDTH))
    views = unit(shapes[:, None] + 0.5 * rng.normal(size=(len(kinds), VIEWS, WIDTH))).astype(np.float16)
    return views, unit(centres + 0.8 * rng.normal(size=centres.shape)), kinds


def ranking_of(
    views: np.ndarray, config: RankingConfig | None = None, *, graph: bool = True
) -> GalleryRanking:
    means = unit(views.astype(np.float32).mean(axis=1))
    config = config or RankingConfig()
    neighbours = neighbour_graph(means, config.neighbours) if graph else None
    return GalleryRanking(config, Searcher(means), views, neighbours)


def reference_kind(views: np.ndarray, query: np.ndarray, k: int = 5) -> np.ndarray:
    """The smoothed scores of all shapes: each step by its definition, in double precision."""
    whole = views.astype(float)
    cosines = np.sort(whole @ query, axis=1)
    scores = cosines[:, VIEWS // 2 :].mean(axis=1)
    means = whole.mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    centred = means - means.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    graph = np.maximum(centred @ centred.T, 0)
    np.fill_diagonal(graph, 0)
    graph[graph < np.sort(graph, axis=1)[:, -k][:, None]] = 0
    graph /= graph.sum(axis=1, keepdims=True)
    powers = np.exp(2 * (scores - scores.mean()) / scores.std())
    return np.asarray(powers + graph @ powers)


def test_by_kind_shapes_are_ordered_as_the_definition_says() -> None:
    views, queries, _ = world()
    _, rows = ranking_of(views).rank(QueryVectors(queries, queries), 80, find="kind")
    for query, mine in zip(queries, rows, strict=True):
        values = reference_kind(views, query.astype(float))[mine]
        assert sorted(mine.tolist()) == list(range(80))
        assert (np.diff(values) <= 1e-4 * values[:-1]).all()


def test_by_part_scores_fall_and_are_signed_cosines() -> None:
    views, queries, _ = world()
    scores, rows = ranking_of(views).rank(QueryVectors(queries, queries), 80, find="part")
    assert (np.diff(scores, axis=1) <= 0).all()
    assert scores.min() < 0
    wanted = np.sort(views[rows[0]].astype(float) @ queries[0], axis=1)[:, VIEWS // 2 :].mean(axis=1)
    np.testing.assert_allclose(scores[0], wanted, atol=1e-4)


def test_no_query_touches_another() -> None:
    views, queries, _ = world()
    ranking = ranking_of(views)
    together = ranking.rank(QueryVectors(queries, queries), 20)[1]
    for number in range(len(queries)):
        alone = ranking.rank(QueryVectors(queries[number : number + 1], queries[number : number + 1]), 20)[1]
        np.testing.assert_array_equal(alone[0], together[number])


def test_smoothing_finds_more_of_a_kind() -> None:
    views, queries, kinds = world()
    found = {}
    for graph in (False, True):
        _, rows = ranking_of(views, graph=graph).rank(QueryVectors(queries, queries), EACH, find="kind")
        found[graph] = float((kinds[rows] == np.arange(KINDS)[:, None]).mean())
    assert found[True] > found[False]


def test_a_learned_map_lifts_what_stands_out_and_keeps_the_order_of_the_rest() -> None:
    views, queries, _ = world()
    means = unit(views.astype(np.float32).mean(axis=1))
    graph = neighbour_graph(means, 5)
    lift = Lift(floor=2.0, weight=3.0)
    learned = GalleryRanking(RankingConfig(), Searcher(means), views, graph, lift=lift)
    vectors = QueryVectors(queries, unit(views[::8].astype(np.float32).mean(axis=1)))  # surely shape 8i
    rows = learned.rank(vectors, 80, find="both")[1]
    kind = learned.rank(vectors, 80, find="kind")[1]
    for number in range(len(queries)):
        assert rows[number, 0] == 8 * number
        scores = np.sort(views.astype(float) @ vectors.part[number], axis=1)[:, VIEWS // 2 :].mean(axis=1)
        lifted = np.flatnonzero((scores - scores.mean()) / scores.std() > 2.001)
        left = [row for row in kind[number] if row not in lifted]
        assert [row for row in rows[number] if row in left][: len(left)] == left


@pytest.mark.parametrize("find", ["kind", "part", "both"])
def test_only_wanted_rows_are_found(find: Find) -> None:
    views, queries, _ = world()
    among = np.arange(3, 80, 7)
    _, rows = ranking_of(views).rank(QueryVectors(queries, queries), 50, find=find, among=among)
    for mine in rows:
        assert sorted(mine[mine >= 0].tolist()) == among.tolist()


def test_missing_views_change_nothing() -> None:
    views, queries, _ = world()
    filled = np.concatenate([views, np.zeros_like(views)], axis=1)
    means = unit(views.astype(np.float32).mean(axis=1))
    plain = ranking_of(views, graph=False).rank(QueryVectors(queries, queries), 30, find="part")
    other = GalleryRanking(RankingConfig(), Searcher(means), filled, None).rank(
        QueryVectors(queries, queries), 30, find="part"
    )
    np.testing.assert_array_equal(other[1], plain[1])
    np.testing.assert_allclose(other[0], plain[0], atol=1e-6)


def test_candidates_of_a_large_gallery_give_the_first_ranks_of_the_whole() -> None:
    views, queries, _ = world(each=40)
    whole = ranking_of(views).rank(QueryVectors(queries, queries), 10, find="kind")[1]
    few = RankingConfig(candidates=120)
    part = ranking_of(views, few).rank(QueryVectors(queries, queries), 10, find="kind")[1]
    shared = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(whole, part, strict=True)]
    assert np.mean(shared) >= 9


@pytest.mark.parametrize("find", ["kind", "both"])
def test_a_gallery_of_one_shape_answers(find: Find) -> None:
    views, queries, _ = world()
    scores, rows = ranking_of(views[:1], graph=False).rank(
        QueryVectors(queries[:1], queries[:1]), 5, find=find
    )
    assert rows.tolist() == [[0]]
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("find", ["kind", "part", "both"])
def test_one_wanted_shape_of_a_large_gallery_is_found(find: Find, graph: bool) -> None:
    views, queries, _ = world(each=40)
    ranking = ranking_of(views, RankingConfig(candidates=20), graph=graph)
    scores, rows = ranking.rank(QueryVectors(queries, queries), 5, find=find, among=np.array([17]))
    assert rows[:, 0].tolist() == [17] * KINDS
    assert np.isfinite(scores[:, 0]).all()


def test_evidence_takes_each_shape_and_its_neighbours_by_kind() -> None:
    views, queries, _ = world()
    ranking, background = ranking_of(views), unit(np.random.default_rng(1).normal(size=(9, WIDTH)))
    rows = np.array([7, 70, 3])
    found = ranking.evidence(background, queries[0], queries[1], rows)
    cosines = np.sort(views.astype(float) @ queries[0], axis=1)[:, VIEWS // 2 :].mean(axis=1)
    assert ranking.graph is not None
    near = (ranking.graph.weights[rows] * cosines[ranking.graph.rows[rows]]).sum(axis=1)
    others = background @ queries[0]
    np.testing.assert_allclose(found[:, 0], (cosines[rows] - others.mean()) / others.std(), atol=1e-3)
    np.testing.assert_allclose(found[:, 1], (near - others.mean()) / others.std(), atol=1e-3)
    assert ranking.evidence(background, queries[0], queries[1], rows[:0]).shape == (0, 5)


def test_without_a_graph_a_shape_is_its_own_neighbour() -> None:
    views, queries, _ = world()
    found = ranking_of(views, graph=False).evidence(queries[:4], queries[0], queries[0], np.arange(3))
    np.testing.assert_allclose(found[:, 0], found[:, 1])
