"""Turn rankings into JSON: the one place that ``hifa query --json``, the page and the server share."""

from collections.abc import Sequence
from typing import Any

from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Failed, Match, Ranking


def rankings_document(
    gallery: Gallery,
    rankings: Sequence[Ranking],
    metrics: dict[str, Any] | None = None,
    failed: Sequence[Failed] = (),
) -> dict[str, Any]:
    """Return what ``hifa query --json`` prints.

    Args:
        gallery: where the queries were searched.
        rankings: what they found.
        metrics: of the batch, where the classes of the queries are known.
        failed: queries that could not be read.

    Returns:
        ``gallery``, ``queries`` and ``failed`` (counts), ``results`` (those found, then those that failed,
        with ``error``), and ``metrics`` where there are any.
    """
    results = [ranking_document(gallery, ranking) for ranking in rankings]
    results += [{"query": one.query, "matches": [], "error": one.error} for one in failed]
    document: dict[str, Any] = {
        "gallery": str(gallery.folder),
        "queries": len(results),
        "failed": len(failed),
        "results": results,
    }
    return {**document, "metrics": metrics} if metrics else document


def ranking_document(gallery: Gallery, ranking: Ranking) -> dict[str, Any]:
    """Return one query with its matches, best first; ``class`` and examples only where there are any."""
    known: dict[str, Any] = {} if ranking.class_name is None else {"class": ranking.class_name}
    examples = {"like": list(ranking.like), "unlike": list(ranking.unlike)}
    known |= {name: ids for name, ids in examples.items() if ids}
    if ranking.text:
        known["text"] = ranking.text
    if ranking.nothing_here is not None:
        known["nothing_here"] = ranking.nothing_here
    matches = [match_document(gallery, match) for match in ranking.matches]
    return {"query": ranking.query, **known, "matches": matches}


def match_document(gallery: Gallery, match: Match) -> dict[str, Any]:
    """Return one match: what was found, from where it was seen, and where its files lie.

    ``likelihood`` stands only where the gallery's scores are calibrated.
    """
    thumbnail, source = gallery.thumbnail(match.row), gallery.source(match.row)
    return {
        "rank": match.rank,
        "shape": match.shape,
        "class": match.class_name,
        "score": match.score,
        **({} if match.likelihood is None else {"likelihood": match.likelihood}),
        "view": match.view,
        "azimuth": match.azimuth,
        "elevation": match.elevation,
        "source": str(source) if source else None,
        "thumbnail": str(thumbnail) if thumbnail else None,
    }
