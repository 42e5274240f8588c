"""How much shapes of the gallery, liked and disliked, help a photo find its kind.

    python benchmarks/examples.py PHOTOS GALLERY [--most 400]

PHOTOS holds a folder per class of GALLERY. For each photo the first shape of its class among the first 30 is
liked, and the first one of another class is not. Prints first tier (FT) and nearest neighbour (NN) over the
other shapes, for the photo alone, with either, with both, and for the shapes without the photo.
"""

import argparse
from pathlib import Path

import numpy as np

from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.query.parse import Query, find_queries
from hifa_cli.query.retrieve import QueryEncoder, QueryOptions, Ranking, encoder_for, rank

LOOKED_AT = 30  # first shapes, which a person would look at


def classes_of(
    encoder: QueryEncoder,
    gallery: Gallery,
    query: Query | None,
    like: tuple[str, ...],
    unlike: tuple[str, ...],
) -> Ranking:
    """Return the whole ranking of a photo and examples."""
    wanted = QueryOptions(len(gallery), like=like, unlike=unlike)
    return rank(encoder, gallery, [query] if query else [], wanted)[0][0]


def scores(ranking: Ranking, wanted: str, left_out: set[str], count: int) -> tuple[float, float]:
    """Return FT and NN over the shapes that are no examples; ``count`` of them are of the wanted class."""
    found = [match.class_name == wanted for match in ranking.matches if match.shape not in left_out]
    return float(np.mean(found[:count])), float(found[0])


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description="how much liked and disliked shapes help")
    parser.add_argument("photos", type=Path)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--most", type=int, default=400, help="photos, drawn at random")
    given = parser.parse_args()
    gallery = read_gallery(given.gallery)
    encoder = encoder_for(gallery, None, "cpu")
    queries = find_queries([str(given.photos)], Path())
    order = np.random.default_rng(0).permutation(len(queries))[: given.most]
    names = ("photo", "photo, like", "photo, unlike", "photo, both", "like", "like, unlike")
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for query in (queries[place] for place in order.tolist()):
        wanted = str(query.class_name)
        plain = classes_of(encoder, gallery, query, (), ())
        first = plain.matches[:LOOKED_AT]
        like = tuple(one.shape for one in first if one.class_name == wanted)[:1]
        unlike = tuple(one.shape for one in first if one.class_name != wanted)[:1]
        if not like or not unlike:
            continue
        count = sum(one.class_name == wanted for one in plain.matches) - 1
        for name in names:
            ranking = plain if name == "photo" else classes_of(
                encoder, gallery, query if "photo" in name else None,
                like if "like" in name.replace("unlike", "") or "both" in name else (),
                unlike if "unlike" in name or "both" in name else (),
            )  # fmt: skip
            rows[name].append(scores(ranking, wanted, {*like, *unlike}, count))
    for name, values in rows.items():
        tier, nearest = np.mean(values, axis=0)
        print(f"{name:14} FT {tier:.3f}  NN {nearest:.3f}  ({len(values)} photos)")


if __name__ == "__main__":
    main()
