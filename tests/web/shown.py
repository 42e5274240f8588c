"""Two queries of the small gallery, with names that try to be markup."""

from pathlib import Path

from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Match, Ranking

NASTY = "</script><script>alert(1)</script><!-- \u2028 <img src=x onerror=alert(2)> & \"'<!--SCRIPT-->"


def rankings_of(gallery: Gallery, photos: Path) -> list[Ranking]:
    """Return a ranking for a photo of bars and one of rings; both are said to show a rod."""
    rankings = []
    for name, rows in (("bars", (0, 1, 2)), ("rings", (2, 0, 1))):
        matches = tuple(
            Match(rank + 1, gallery.ids[row], gallery.class_of(row), 0.9 - rank / 10, row, 3 * rank,
                  90.0 * rank, 30.0)
            for rank, row in enumerate(rows)
        )  # fmt: skip
        rankings.append(Ranking(f"{name} {NASTY}", matches, (photos / name / "0.png",), "rod"))
    return rankings
