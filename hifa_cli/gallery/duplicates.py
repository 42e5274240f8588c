"""Find shapes of a gallery that are the same part: copies, poses, scales, mirrors, variants."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import DuplicatesConfig
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.gallery import Gallery
    from hifa_cli.render.surfaces import Surface

Change = Literal["format", "pose", "scale", "mirror", "tessellation", "shape"]
Kind = Literal["copy", "re-encoded", "moved", "scaled", "mirrored", "re-tessellated", "variant"]
_TURNED = 0.5  # degrees from which on a shape counts as turned
_SHIFTED = 1e-3  # RMS radii from which on it counts as shifted
_SCALED = 1e-3  # relative difference of the radii from which on it counts as scaled


@dataclass(frozen=True)
class Member:
    """A shape of a family, compared with the family's first.

    Attributes:
        row: its row in the gallery.
        shape: its id.
        path: its mesh.
        kind: how it differs from the first, in one word; None for the first itself.
        changes: everything that differs: file format, pose, scale, mirror, tessellation, shape.
        distance: mean distance of the surfaces in per cent of the RMS radius.
        farthest: greatest distance that was measured, in per cent of the RMS radius.
        scale: its size as a multiple of the first's.
        angle: degrees by which it is turned.
    """

    row: int
    shape: str
    path: str
    kind: Kind | None = None
    changes: tuple[Change, ...] = ()
    distance: float = 0.0
    farthest: float = 0.0
    scale: float = 1.0
    angle: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return what JSON output says of the shape."""
        return {name: value for name, value in asdict(self).items() if name != "row"}


@dataclass
class Duplicates:
    """Families of shapes that are the same part.

    Attributes:
        families: each with its first shape first, then by distance; larger families first.
        shapes: how many shapes were compared.
        pairs: how many pairs were compared closely.
        failed: shapes that could not be compared, with the reason.
    """

    families: list[list[Member]] = field(default_factory=list)
    shapes: int = 0
    pairs: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return what JSON output says."""
        kinds = Counter(member.kind for family in self.families for member in family if member.kind)
        return {
            "shapes": self.shapes,
            "pairs": self.pairs,
            "kinds": dict(sorted(kinds.items())),
            "families": [[member.document() for member in family] for family in self.families],
            "failed": self.failed,
        }


class _Facts(NamedTuple):
    path: Path
    digest: str
    radius: float
    centre: NDArray[np.float64]
    counts: tuple[int, int]  # vertices, faces
    invariants: NDArray[np.float64]


class _Link(NamedTuple):
    """Two rows of facts, and how the second differs from the first."""

    one: int
    other: int
    distance: float
    farthest: float
    scale: float
    angle: float
    changes: tuple[Change, ...]


class _Groups:
    """Hold disjoint sets of rows."""

    def __init__(self, count: int) -> None:
        self.root = list(range(count))

    def top(self, row: int) -> int:
        """Return the row that stands for the set of a row."""
        while self.root[row] != row:
            self.root[row] = self.root[self.root[row]]
            row = self.root[row]
        return row

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        self.root[self.top(other)] = self.top(one)

    def same(self, one: int, other: int) -> bool:
        """Return whether two rows are in one set."""
        return self.top(one) == self.top(other)


def find_duplicates(gallery: "Gallery", config: DuplicatesConfig) -> Duplicates:
    """Find families of duplicates among the meshes of a gallery; nothing is changed.

    Files of equal bytes are copies. Of the rest, pairs with like invariants (principal moments and distance
    quantiles of the surface), and pairs with like embeddings, are candidates; a pair counts when one surface,
    turned, scaled and, if need be, mirrored, lies on the other.

    Args:
        gallery: made of meshes, which must still lie where they were.
        config: thresholds.

    Returns:
        The families, and the shapes that could not be compared.

    Raises:
        HifaError: the gallery knows no meshes.
    """
    found = Duplicates()
    rows, facts = _facts(gallery, found)
    found.shapes = len(facts)
    firsts = _copies(facts)
    unique = [row for row, first in enumerate(firsts) if row == first]
    candidates = _candidates([facts[row] for row in unique], _vectors(gallery, rows, unique), config)
    links: dict[tuple[int, int], _Link] = {}
    known = _Groups(len(facts))
    for pair in progress.track(candidates, "comparing surfaces", total=len(candidates)):
        one, other = unique[pair[0]], unique[pair[1]]
        if known.same(one, other):
            continue  # both are the same surface as a third
        found.pairs += 1
        link = _compared(facts, one, other, config)
        if link is not None:
            links[link.one, link.other] = link
            if "shape" not in link.changes:
                known.join(one, other)
    shapes = [Member(row, gallery.ids[row], str(one.path)) for row, one in zip(rows, facts, strict=True)]
    found.families = list(_families(shapes, facts, firsts, links))
    return found


def _facts(gallery: "Gallery", found: Duplicates) -> tuple[list[int], list[_Facts]]:
    rows, facts = [], []
    meshes = [row for row in range(len(gallery)) if gallery.origin(row)["kind"] == "meshes"]
    if not meshes:
        raise HifaError(
            f"{gallery.folder} was not made of meshes: index the meshes to compare their surfaces"
        )
    for row in progress.track(meshes, "reading surfaces", total=len(meshes)):
        path = gallery.source(row)
        try:
            if path is None or not path.is_file():
                raise HifaError(f"{path}: does not exist; 'hifa index --relocate' says where meshes went")
            facts.append(_read(path))
            rows.append(row)
        except HifaError as error:
            found.failed.append({"shape": gallery.ids[row], "reason": str(error)})
            progress.left_out(gallery.ids[row], str(error))
    return rows, facts


def _read(path: Path) -> _Facts:
    from hifa_cli.render.meshes import read_mesh
    from hifa_cli.render.surfaces import surface_of

    mesh = read_mesh(path)
    surface = surface_of(mesh)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HifaError(f"{path}: cannot be read: {error.strerror or error}") from error
    counts = len(mesh.vertices), len(mesh.faces)
    return _Facts(path, digest, surface.radius, surface.centre, counts, surface.invariants)


@lru_cache(maxsize=256)
def _surface(path: Path) -> "Surface":
    from hifa_cli.render.meshes import read_mesh
    from hifa_cli.render.surfaces import surface_of

    return surface_of(read_mesh(path))


def _copies(facts: Sequence[_Facts]) -> list[int]:
    """Return for each row the first row whose file has the same bytes."""
    seen: dict[str, int] = {}
    return [seen.setdefault(one.digest, row) for row, one in enumerate(facts)]


def _vectors(gallery: "Gallery", rows: Sequence[int], unique: Sequence[int]) -> NDArray[np.float32]:
    vectors = np.asarray(gallery.vectors[[rows[row] for row in unique]], dtype=np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(lengths, 1e-12)
    return vectors


def _candidates(
    facts: Sequence[_Facts], vectors: NDArray[np.float32], config: DuplicatesConfig
) -> list[tuple[int, int]]:
    """Return pairs of rows worth comparing, by invariants and by embeddings."""
    from scipy.spatial import cKDTree

    if len(facts) < 2:
        return []
    invariants = np.stack([one.invariants for one in facts])
    invariants[:, :3] *= 4  # moments are exact; quantiles are of a sample
    pairs: set[tuple[int, int]] = set()
    tree = cKDTree(invariants)
    near = min(config.neighbours + 1, len(facts))
    apart, rows = tree.query(invariants, k=near, p=np.inf, distance_upper_bound=config.invariants)
    for row, (distances, others) in enumerate(zip(apart, rows, strict=True)):
        for other in map(int, others[np.isfinite(distances)]):
            if other != row:
                pairs.add((min(row, other), max(row, other)))
    for start in range(0, len(facts), 512):
        cosines = vectors[start : start + 512] @ vectors.T
        best = np.argsort(-cosines, axis=1)[:, : min(6, len(facts))]
        for row, others in enumerate(best, start):
            for other in others:
                gap = np.abs(invariants[row] - invariants[other]).max()
                if (
                    other != row
                    and cosines[row - start, other] > config.cosine
                    and gap < 3 * config.invariants
                ):
                    pairs.add((min(row, int(other)), max(row, int(other))))
    gaps = {pair: float(np.abs(invariants[pair[0]] - invariants[pair[1]]).max()) for pair in pairs}
    return sorted(gaps, key=lambda pair: (gaps[pair], pair))


def _compared(facts: Sequence[_Facts], one: int, other: int, config: DuplicatesConfig) -> _Link | None:
    """Compare two surfaces; None where they are not of one family."""
    from hifa_cli.render.surfaces import EXACT, align

    first, second = facts[one], facts[other]
    found = align(_surface(second.path), _surface(first.path), give_up=max(3 * config.within / 100, 0.02))
    exact = found is not None and found.farthest < EXACT
    if found is None or not (exact or 100 * found.mean <= config.within):
        return None
    scale = second.radius / first.radius
    shift = float(np.linalg.norm(first.centre - second.centre)) / first.radius
    changes: list[Change] = []
    if first.path.suffix.lower() != second.path.suffix.lower():
        changes.append("format")
    if found.angle > _TURNED or (shift > _SHIFTED and abs(scale - 1) <= _SCALED and exact):
        changes.append("pose")
    if abs(scale - 1) > (_SCALED if exact else config.within / 100):
        changes.append("scale")
    if found.mirrored:
        changes.append("mirror")
    if first.counts[1] != second.counts[1]:
        changes.append("tessellation")
    if not exact:
        changes.append("shape")
    return _Link(one, other, 100 * found.mean, 100 * found.farthest, scale, found.angle, tuple(changes))


def kind_of(changes: Sequence[Change]) -> Kind:
    """Return the one word for a set of changes, the gravest first."""
    gravest: tuple[tuple[Change, Kind], ...] = (
        ("shape", "variant"), ("mirror", "mirrored"), ("tessellation", "re-tessellated"), ("scale", "scaled"),
        ("pose", "moved"),
    )  # fmt: skip
    return next((kind for change, kind in gravest if change in changes), "re-encoded")


def _families(
    shapes: Sequence[Member],
    facts: Sequence[_Facts],
    firsts: Sequence[int],
    links: dict[tuple[int, int], _Link],
) -> Iterator[list[Member]]:
    """Yield families, larger ones first, each compared with its first shape."""
    families = _Groups(len(shapes))
    for row, first in enumerate(firsts):
        families.join(first, row)
    for one, other in links:
        families.join(one, other)
    groups: dict[int, list[int]] = {}
    for row in range(len(shapes)):
        groups.setdefault(families.top(row), []).append(row)
    for rows in sorted(
        (rows for rows in groups.values() if len(rows) > 1), key=lambda rows: (-len(rows), rows)
    ):
        yield _family(shapes, facts, firsts, rows, firsts[rows[0]], links)


def _family(
    shapes: Sequence[Member],
    facts: Sequence[_Facts],
    firsts: Sequence[int],
    rows: Sequence[int],
    head: int,
    links: dict[tuple[int, int], _Link],
) -> list[Member]:
    others = []
    for row in rows:
        if row == head:
            continue
        if firsts[row] == head:
            others.append(replace(shapes[row], kind="copy"))
            continue
        link = _seen_from(head, firsts[row], links)
        link = link or _compared(facts, head, firsts[row], DuplicatesConfig(within=math.inf))
        if link is not None:
            others.append(
                replace(
                    shapes[row],
                    kind=kind_of(link.changes),
                    changes=link.changes,
                    scale=round(link.scale, 6),
                    distance=round(link.distance, 4),
                    farthest=round(link.farthest, 4),
                    angle=round(link.angle, 2),
                )
            )
    order = sorted(others, key=lambda member: (member.distance, member.shape))
    return [shapes[head], *order]


def _seen_from(head: int, row: int, links: dict[tuple[int, int], _Link]) -> _Link | None:
    """Return the link of two rows as seen from ``head``."""
    if (link := links.get((head, row))) is not None:
        return link
    if (link := links.get((row, head))) is not None:
        return link._replace(one=head, other=row, scale=1 / link.scale)
    return None
