"""Checks of a folder: its kind, its contents and its faults."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hifa_cli.data import layouts
from hifa_cli.data.formats import is_mesh
from hifa_cli.data.images import image_candidates
from hifa_cli.data.items import Candidate, Problem
from hifa_cli.data.lists import LIST_SUFFIXES, is_list
from hifa_cli.data.mi3dor import MI3DOR2_CLASSES, MI3DOR_CLASSES, PUBLISHED
from hifa_cli.data.pictures import read_picture
from hifa_cli.data.rebuild.faults import bytes_twice, named_twice, photo_faults
from hifa_cli.data.shapes import shape_candidates, sign_of_photos, view_of
from hifa_cli.data.tree import SPLITS, clean, existing_folder, is_picture, places, suffix, walk
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.kinds import refuse_other

Domain = Literal["images", "shapes", "meshes"]
_WORDS = {"images": "photos", "shapes": "shapes (rendered views)", "meshes": "meshes"}
_MOST_VIEWS = 100  # more under one name, and they are numbered photos
_ALIKE = 0.75  # share of a benchmark's class names from which a folder is taken for it
_COMPANIONS = (".mtl", ".bin")  # of OBJ and glTF
MeshReader = Callable[[Sequence[Path], int], Iterable[tuple[Path, str]]]
_AHEAD = 64  # pictures handed to the readers before the first is waited for


@dataclass(frozen=True)
class Holding:
    """The items of one domain: how many of each class in each split ('' if absent)."""

    domain: Domain
    counts: Mapping[str, Mapping[str, int]]
    pictures: int

    @property
    def items(self) -> int:
        """Return how many in all."""
        return sum(sum(splits.values()) for splits in self.counts.values())

    def split_total(self, split: str) -> int:
        """Return how many in one split."""
        return sum(splits.get(split, 0) for splits in self.counts.values())


@dataclass(frozen=True)
class Check:
    """The findings about a folder or list.

    Attributes:
        path: what was looked at.
        layout: in words.
        holdings: an entry a domain that was found.
        benchmark: ``MI3DOR`` or ``MI3DOR-2`` where the classes are theirs, or ''.
        differences: where the counts are not the published ones.
        problems: unreadable pictures and meshes, missing views, names that clash.
        ignored: files of kinds that no verb reads.
        notes: what is known of the benchmark's photos and is nobody's fault here.
        chosen: the layouts of meshes, and of photos and views that a set's lists tell of.
    """

    path: Path
    layout: str
    holdings: tuple[Holding, ...]
    benchmark: str
    differences: tuple[str, ...]
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...] = ()
    chosen: tuple[layouts.Chosen, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON document of ``hifa data check``."""
        return {
            "path": str(self.path),
            "layout": self.layout,
            "layouts": [one.document() for one in self.chosen],
            **{
                one.domain: {
                    "items": one.items,
                    "pictures": one.pictures,
                    "classes": {k: dict(v) for k, v in one.counts.items()},
                }
                for one in self.holdings
            },
            "benchmark": self.benchmark,
            "differences": list(self.differences),
            "notes": list(self.notes),
            "problems": [problem._asdict() for problem in self.problems],
            "ignored": list(self.ignored),
        }


def check(
    root: Path,
    *,
    domain: Domain | None = None,
    read: bool = True,
    workers: int = 1,
    read_meshes: MeshReader | None = None,
    layout: str = layouts.AUTO,
) -> Check:
    """Look at a folder or list as ``find_images`` and ``find_shapes`` would, and say what they see.

    Args:
        root: folder of photos, views or meshes, an unpacked benchmark, or a list.
        domain: take it for this; by default told from the names.
        read: also decode every picture, and read every mesh.
        workers: threads or processes that decode.
        read_meshes: yields the meshes that cannot be read; the layer that reads them is above this one.
        layout: of a data set; ``auto`` recognises it.

    Returns:
        Layout, counts by class and split, and what is wrong.

    Raises:
        HifaError: nothing is there there that hifa reads.
    """
    root = Path(root)
    refuse_other(root, "a folder of rendered views", wanted="a folder of photos, views or meshes")
    problems: list[Problem] = []
    chosen: list[layouts.Chosen] = []
    domains = [domain] if domain else _domains(root, layout)
    found = {one: _candidates(root, one, problems, layout, chosen) for one in domains}
    found = {one: candidates for one, candidates in found.items() if candidates}
    if not found:
        raise HifaError(
            f"{root} holds no photos, views or meshes that hifa reads: see docs/data.md for the layouts"
        )
    if read:
        pictures = [view for one in found if one != "meshes" for item in found[one] for view in item.views]
        problems += _unreadable(pictures, workers)
        if read_meshes is not None and (meshes := [item.views[0] for item in found.get("meshes", ())]):
            problems += [Problem(str(path), reason) for path, reason in sorted(read_meshes(meshes, workers))]
    problems += [problem for candidates in found.values() for problem in _too_high(root, candidates)]
    problems += [
        problem for one, candidates in found.items() for problem in _twice(one, candidates, read=read)
    ]
    holdings = tuple(_holding(one, candidates) for one, candidates in found.items())
    benchmark = _benchmark(holdings)
    return Check(
        path=root,
        layout=_layout(root, found, chosen),
        holdings=holdings,
        benchmark=benchmark,
        differences=tuple(_differences(root, benchmark, holdings)),
        problems=tuple(problems),
        ignored=tuple(_ignored(root)),
        chosen=tuple(chosen),
        notes=tuple(photo_faults(found.get("images", ()))),
    )


def _twice(domain: Domain, candidates: Sequence[Candidate], *, read: bool) -> Iterator[Problem]:
    """Yield what stands under two classes or in two splits: by MI3DOR's names, and by the files' bytes."""
    found = named_twice(candidates)
    known = {one.items for one in found}
    if read and domain != "shapes":  # views of one shape from two sides may well be the same picture
        found += [one for one in bytes_twice(candidates) if one.items not in known]
    yield from (Problem(one.items[0], one.reason()) for one in found)


def _ignored(root: Path) -> Iterator[str]:
    """Yield the files below ``root`` of kinds that no verb reads."""
    if not root.is_dir():
        return
    read = {*LIST_SUFFIXES, *_COMPANIONS}
    for folder in walk(root, []):
        for name in folder.files:
            if not is_picture(name) and not is_mesh(folder.path / name) and suffix(name) not in read:
                yield str(folder.path / name)


def _candidates(
    root: Path, domain: Domain, problems: list[Problem], layout: str, chosen: list[layouts.Chosen]
) -> list[Candidate]:
    if domain == "meshes":
        return _mesh_candidates(root, problems, layout, chosen)
    find = layouts.photos_of if domain == "images" else layouts.views_of
    if root.is_dir() and (of_set := find(root, layout)) is not None:
        chosen.append(of_set[1])
    read = image_candidates if domain == "images" else shape_candidates
    return read(root, problems, layout)


def _domains(root: Path, layout: str) -> list[Domain]:
    """Return what the names under ``root`` look like, or what its layout says."""
    if root.is_dir() and (told := _told(root, layout)):
        return told
    if is_list(root):
        return _listed_domains(root)
    if root.is_file():
        return ["images"]
    existing_folder(root, "photos, views or meshes")
    views: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    marked: Counter[str] = Counter()
    pictures = meshes = 0
    folders = list(walk(root, []))
    for folder, place in zip(folders, places([folder.parts for folder in folders]), strict=True):
        names = [name for name in folder.files if is_picture(name)]
        for name in names:
            if view := view_of(name):
                views[str(folder.path), view.shape].append(folder.path / name)
        marked[place.domain or ""] += len(names)
        pictures += len(names)
        meshes += sum(is_mesh(folder.path / name) for name in folder.files)
    if marked["images"] or marked["shapes"]:
        kinds: list[Domain] = [one for one in ("images", "shapes") if marked[one]]
        return [*kinds, "meshes"] if meshes else kinds
    if not pictures:
        return ["meshes"] if meshes else []
    seen = (root / "views.json").is_file() or _looks_like_views([*views.values()], pictures)
    kinds = ["shapes" if seen else "images"]
    return [*kinds, "meshes"] if meshes else kinds


def _looks_like_views(views: Sequence[Sequence[Path]], pictures: int) -> bool:
    """Return whether most pictures are numbered, by few numbers a name, and are not a camera's."""
    numbered = sum(map(len, views))
    few = numbered > pictures / 2 and 2 <= numbered / len(views) <= _MOST_VIEWS
    return few and sign_of_photos(views) is None


def _listed_domains(root: Path) -> list[Domain]:
    shapes = shape_candidates(root, [])
    views = sum(len(shape.views) for shape in shapes)
    return ["shapes"] if shapes and 2 <= views / len(shapes) <= _MOST_VIEWS else ["images"]


def _told(root: Path, layout: str) -> list[Domain]:
    """Return what a data set with lists of its own holds; nothing of any other folder."""
    found: list[Domain] = ["images"] if layouts.photos_of(root, layout) is not None else []
    found += ["shapes"] if layouts.views_of(root, layout) is not None else []
    meshes = (
        any(is_mesh(folder.path / name) for folder in walk(root, []) for name in folder.files)
        if found
        else False
    )
    return [*found, "meshes"] if meshes else found


def _mesh_candidates(
    root: Path, problems: list[Problem], layout: str, chosen: list[layouts.Chosen]
) -> list[Candidate]:
    if root.is_file():
        return [Candidate(clean(root.stem), None, None, (root,))]
    paths = [
        folder.path / name
        for folder in walk(existing_folder(root, "meshes"), problems)
        for name in folder.files
        if is_mesh(folder.path / name)
    ]
    if not paths:
        return []
    shapes, one = layouts.lay_out(root, paths, layout)
    chosen.append(one)
    problems += [
        Problem(str(path), f"does not follow the layout {one.layout.name}; left out")
        for path in one.strangers
    ]
    problems += [Problem(str(root), remark) for remark in one.remarks]
    return [
        Candidate(shape.id, place.class_name, place.split, (shape.path,))
        for shape, place in zip(
            shapes, places([tuple(one.id.split("/")[:-1]) for one in shapes]), strict=True
        )
        if place.domain in (None, "meshes", "shapes")
    ]


def _unreadable(pictures: Sequence[Path], workers: int) -> list[Problem]:
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        reasons = _in_order(pool, pictures)
        tracked = progress.track(reasons, "read pictures", total=len(pictures))
        return [Problem(str(path), reason) for path, reason in tracked if reason]


def _in_order(pool: ThreadPoolExecutor, pictures: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield a few pictures ahead of the one waited for, so that memory and Ctrl-C stay in hand."""
    waiting = [(path, pool.submit(_fault, path)) for path in pictures[:_AHEAD]]
    for path in pictures[_AHEAD:]:
        first, reason = waiting.pop(0)
        yield first, reason.result()
        waiting.append((path, pool.submit(_fault, path)))
    for path, reason in waiting:
        yield path, reason.result()


def _fault(path: Path) -> str:
    try:
        read_picture(path)
    except HifaError as error:
        return str(error)
    return ""


def _too_high(root: Path, candidates: Sequence[Candidate]) -> Iterator[Problem]:
    """Yield one class with folders in it: the folder above the one that was meant."""
    names = {one.class_name for one in candidates}
    if len(names) != 1 or (name := names.pop()) is None:
        return
    inner = {tuple(one.id.split("/")[:-1]) for one in candidates}
    below = {parts[parts.index(name) + 1] for parts in inner if name in parts[:-1]}
    if len(below - set(SPLITS)) > 1:
        reason = (
            f"all are of one class, '{name}', which holds folders: are {root / name}'s folders the classes?"
        )
        yield Problem(str(root), reason)


def _holding(domain: Domain, candidates: Sequence[Candidate]) -> Holding:
    counts: dict[str, Counter[str]] = {}
    for one in candidates:
        counts.setdefault(one.class_name or "", Counter())[one.split or ""] += 1
    return Holding(domain, dict(sorted(counts.items())), sum(len(one.views) for one in candidates))


def _layout(root: Path, found: Mapping[Domain, Sequence[Candidate]], chosen: Sequence[layouts.Chosen]) -> str:
    """In words, from what tells most."""
    what = " and ".join(_WORDS[one] for one in found)
    candidates = [one for items in found.values() for one in items]
    classes = "a folder a class" if any(one.class_name for one in candidates) else "without classes"
    splits = sorted({one.split for one in candidates if one.split})
    split = f", split into {', '.join(splits)}" if splits else ""
    if is_list(root):
        return f"a list of {what}"
    if chosen and (row := chosen[0].layout).name not in ("folders", "mi3dor"):
        return f"{row.title} (layout {row.name}: {row.says}): {what}, {classes}{split}"
    if (root / "views.json").is_file():
        return f"{what} as 'hifa render' writes them, {classes}{split}"
    if "shapes" in found and (view := view_of(found["shapes"][0].views[0].name)) and view.class_name:
        return f"{what} as MI3DOR names them{split}"
    return f"{what}, {classes}{split}"


def _benchmark(holdings: Iterable[Holding]) -> str:
    found = {name for one in holdings for name in one.counts if name}
    for name, classes in (("MI3DOR", set(MI3DOR_CLASSES)), ("MI3DOR-2", set(MI3DOR2_CLASSES))):
        if found and len(found & classes) >= _ALIKE * len(found | classes):
            return name
    return ""


def _differences(root: Path, benchmark: str, holdings: Iterable[Holding]) -> Iterator[str]:
    """Yield where a benchmark's splits hold other counts than are published."""
    own = root.name.lower() if root.name.lower() in SPLITS else ""
    for one in holdings:
        for split in SPLITS:
            key = split if one.split_total(split) or split != own else ""
            published = PUBLISHED.get((benchmark, "shapes" if one.domain == "meshes" else one.domain, split))
            if published is None or not (total := one.split_total(key)):
                continue
            where = f"{benchmark} {split} {one.domain}"
            if total != published.total:
                yield f"{where}: {total} of {published.total} published"
            for name, count in published.classes.items():
                if (here := one.counts.get(name, {}).get(key, 0)) != count:
                    yield f"{where}, {name}: {here} of {count} published"
