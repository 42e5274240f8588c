"""The metrics of a batch of queries whose classes are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hifa_cli.config import Find
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Ranking
from hifa_cli.runtime import progress
from hifa_cli.search.rerank import QueryVectors

WHOLE_LIST = 50_000  # shapes up to which every rank is sorted, which mAP needs


def batch_scores(
    gallery: Gallery, rankings: Sequence[Ranking], vectors: QueryVectors, find: Find = "both"
) -> dict[str, Any]:
    """NN, FT, ST, F, DCG, ANMRR of the queries, against the whole gallery and whatever was shown of it.

    Args:
        gallery: with classes.
        rankings: of q queries.
        vectors: (q, D) that they were found with.
        find: what was looked for.

    Returns:
        What ``hifa evaluate --json`` says; nothing where no query's class is in the gallery.
    """
    label = {name: number for number, name in enumerate(gallery.classes)}
    asked = np.array([label.get(one.class_name or "", -1) for one in rankings], dtype=np.int64)
    images = Embeddings(tuple(one.query for one in rankings), asked, vectors.part)
    shapes = Embeddings(tuple(gallery.ids), np.asarray(gallery.labels, dtype=np.int64), gallery.vectors)
    export = Export(images, shapes, gallery.classes)
    try:
        orders = None
        if gallery.ranking is not None:
            orders = gallery.ranking.rank(vectors, len(gallery), find=find)[1]
        whole = len(gallery) <= WHOLE_LIST
        return evaluate(export, whole_list=whole, orders=orders, name="the batch").document()
    except HifaError as error:
        progress.note(str(error))
        return {}
