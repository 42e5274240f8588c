"""Rendered views: hifa's own folders, MI3DOR's trees, MVCNN's flat folders, or a list."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hifa_cli.data import layouts
from hifa_cli.data.formats import MESH_SUFFIXES, is_mesh
from hifa_cli.data.items import Candidate, Collection, Problem, collection_of
from hifa_cli.data.labels import Lookup, class_of, label_lookup
from hifa_cli.data.lists import Finder, Row, is_list, read_list
from hifa_cli.data.mi3dor import MI3DOR2_CLASSES, MI3DOR_CLASSES
from hifa_cli.data.pictures import photo_signs
from hifa_cli.data.tree import (
    Folder,
    checked_split,
    clean,
    existing_folder,
    is_picture,
    places,
    stem,
    walk,
)
from hifa_cli.errors import HifaError
from hifa_cli.runtime.kinds import refuse_other

_MESH = "|".join(ending[1:] for ending in sorted(MESH_SUFFIXES))
_SAMPLED = 5  # shapes, and pictures of each, that are looked at to tell views from photos
_TAKE_PHOTOS = "'hifa query' takes photos, 'hifa train' and 'hifa export' take them as --images"
_NAMES = (
    re.compile(r"(?P<shape>(?P<class>.+)_(?P<split>train|test)_\d+)_(?P<view>\d{3})"),  # MI3DOR, from 001
    re.compile(rf"(?P<shape>.+?)(\.({_MESH}))?[._](shaded_)?v(?P<view>\d{{2,3}})"),  # mvcnn_pytorch
    re.compile(r"(?P<shape>.+)_(?P<view>\d{3})"),  # MVCNN, from 001
    re.compile(r"(?P<shape>.+)\.(?P<view>\d{1,3})"),  # BlenderPhong, from 0
    re.compile(r"(?P<shape>)(?P<view>\d{1,3})"),  # ours, from 00: the folder is the shape
)
_NUMBERED = re.compile(r"(?P<class>.+)_\d{4}")  # chair_0001, as ModelNet numbers its models


class View(NamedTuple):
    """The parts of a view's file name."""

    shape: str
    number: int
    class_name: str | None
    split: str | None


class Shape(NamedTuple):
    """The views that belong together, by number."""

    parts: tuple[str, ...]
    class_name: str | None
    split: str | None
    views: dict[int, Path]


def find_shapes(root: Path, *, split: str | None = None, layout: str = layouts.AUTO) -> Collection:
    """Return the shapes whose rendered views lie under a folder or are listed in a file.

    Read are ``<id>/00.png …`` as ``hifa render`` writes them, MI3DOR's
    ``<class>_<split>_0001_001.png … _012.png`` (class and split from the file name, wherever it
    lies), MVCNN's ``chair_0001_001.jpg`` and ``name.obj.shaded_v001.png``, and BlenderPhong's
    ``name.0.png``. A shape without views is left out and noted; one with fewer than the others is
    noted and kept.

    Args:
        root: folder of views, or a CSV, TSV, JSON or text list of them.
        split: ``train``, ``test`` or ``val``.
        layout: of a data set whose renders carry no view number (data/layouts); ``auto`` recognises it.

    Returns:
        The shapes, sorted by id, and the classes of all splits.

    Raises:
        HifaError: nothing is there, meshes are in place of views, no view is found, or none of the
            split.
    """
    root, split = Path(root), checked_split(split)
    problems: list[Problem] = []
    candidates = shape_candidates(root, problems, layout)
    found = collection_of(candidates, problems, split)
    if not found.items:
        raise HifaError(_nothing(root, split, candidates))
    return found


def shapes_of_meshes(meshes: Iterable[tuple[str, Path]], split: str | None = None) -> Collection:
    """The shapes that meshes will make: id, class and split as their views in a folder of the id would tell.

    Args:
        meshes: ids and files.
        split: ``train``, ``test`` or ``val``.

    Returns:
        A shape's only "view" is its mesh.
    """
    shapes = [Shape(tuple(name.split("/")), None, None, {0: path}) for name, path in meshes]
    placed = _placed(shapes, lambda parts: None, ("shapes", "meshes"))
    candidates = [
        Candidate(clean("/".join(one.parts)), one.class_name, one.split, (one.views[0],)) for one in placed
    ]
    return collection_of(candidates, [], split)


def shape_candidates(root: Path, problems: list[Problem], layout: str = layouts.AUTO) -> list[Candidate]:
    """Return the shapes of every split, in the order of the tree or list; what is wrong goes to ``problems``.

    Args:
        root: folder of views, or a list of them.
        problems: takes what was found wrong.
        layout: of a data set; ``auto`` recognises it.

    Returns:
        The shapes, not numbered by class yet.

    Raises:
        HifaError: nothing is there, or meshes or photos in place of views.
    """
    if not is_list(root) and (of_set := layouts.views_of(existing_folder(root, "views"), layout)) is not None:
        candidates, chosen = of_set
        chosen.report()
        return candidates
    shapes = _listed(root, problems) if is_list(root) else _found(root, problems)
    _note_incomplete(shapes, problems)
    return [
        Candidate(
            clean("/".join(shape.parts)),
            shape.class_name,
            shape.split,
            tuple(shape.views[number] for number in sorted(shape.views)),
        )
        for shape in shapes
    ]


def view_of(name: str) -> View | None:
    """Return what a picture's file name says; None where it has no view number."""
    for pattern in _NAMES:
        if match := pattern.fullmatch(stem(name)):
            known = match.groupdict()
            return View(match["shape"], int(match["view"]), known.get("class"), known.get("split"))
    return None


def _found(root: Path, problems: list[Problem]) -> list[Shape]:
    refuse_other(root, "a folder of rendered views", wanted="a folder of rendered views")
    shapes: list[Shape] = []
    strangers, meshes = 0, False
    for folder in walk(root, problems):
        pictures = [name for name in folder.files if is_picture(name)]
        views = [(view, name) for name in pictures if (view := view_of(name)) is not None]
        shapes += _in_folder(folder, views, root, problems)
        strangers += len(pictures) - len(views)
        meshes = meshes or any(is_mesh(folder.path / name) for name in folder.files)
        if folder.parts and not pictures and not folder.folders:
            problems.append(Problem("/".join(map(clean, folder.parts)), "has no views; left out"))
    if not shapes and meshes:
        raise HifaError(f"{root} holds meshes, not views: run 'hifa render {root} --out VIEWS' first")
    if not shapes and strangers:
        raise HifaError(
            f"the {strangers} pictures in {root} carry no view number (00.png, …_001.png): "
            f"they are photos; {_TAKE_PHOTOS}; views come from 'hifa render'"
        )
    if not (root / "views.json").is_file():  # hifa's own views
        _refuse_photos(root, shapes)
    if strangers:
        problems.append(Problem(str(root), f"holds {strangers} pictures without a view number; left out"))
    return _placed(shapes, label_lookup(root))


def sign_of_photos(shapes: Iterable[Sequence[Path]]) -> str | None:
    """Return what tells that the pictures of most shapes are photos; None where they may be rendered views.

    A renderer draws a shape's views in one size, on a plain ground or without colour.
    """
    several = [views for views in shapes if len(views) > 1]
    looked_at = several[:: max(1, len(several) // _SAMPLED)][:_SAMPLED]
    found = [photo_signs(views[:_SAMPLED]) for views in looked_at]
    if sum(one.sizes > 1 for one in found) > len(found) / 2:
        return "those of one folder have several sizes"
    if sum(one.camera for one in found) > len(found) / 2:
        return "they have no plain background"
    return None


def _refuse_photos(root: Path, shapes: Sequence[Shape]) -> None:
    if sign := sign_of_photos([*shape.views.values()] for shape in shapes):
        raise HifaError(
            f"the pictures in {root} look like photos, not like rendered views: {sign}; {_TAKE_PHOTOS}. "
            "Name views that look so in a list, an id for each shape (docs/data.md)"
        )


def _in_folder(
    folder: Folder, views: Iterable[tuple[View, str]], root: Path, problems: list[Problem]
) -> list[Shape]:
    """Return the shapes of one folder: the folder itself where it bears their name (or they none)."""
    shapes: dict[str, Shape] = {}
    for view, name in views:
        own = not view.shape or (folder.parts and view.shape == folder.parts[-1])
        parts = (folder.parts or (root.resolve().name,)) if own else (*folder.parts, view.shape)
        shape = shapes.setdefault(view.shape, Shape(parts, view.class_name, view.split, {}))
        if view.number in shape.views:
            problems.append(
                Problem("/".join((*folder.parts, name)), f"view {view.number} is there twice; left out")
            )
        else:
            shape.views[view.number] = folder.path / name
    return list(shapes.values())


def _placed(shapes: Sequence[Shape], label_of: Lookup, domains: Sequence[str] = ("shapes",)) -> list[Shape]:
    """Class and split: from the file names, else the folders, else a label list, else a ModelNet name."""
    placed = []
    for shape, place in zip(shapes, places([shape.parts[:-1] for shape in shapes]), strict=True):
        if place.domain not in (None, *domains):
            continue
        told = class_of(shape.class_name or label_of(shape.parts), place.class_name)
        name = told or _modelnet_class(shape.parts[-1])
        placed.append(
            shape._replace(class_name=clean(name) if name else None, split=shape.split or place.split)
        )
    return placed


def _modelnet_class(name: str) -> str | None:
    match = _NUMBERED.fullmatch(name)
    return match["class"] if match and match["class"] in {*MI3DOR_CLASSES, *MI3DOR2_CLASSES} else None


def _note_incomplete(shapes: Sequence[Shape], problems: list[Problem]) -> None:
    """Note the shapes whose view numbers are not those that most shapes have."""
    if not shapes:
        return
    sets = Counter(frozenset(shape.views) for shape in shapes)
    usual = max(sets, key=lambda numbers: (sets[numbers], len(numbers), -min(numbers)))
    for shape in shapes:
        if missing := usual - set(shape.views):
            which = ", ".join(map(str, sorted(missing)[:4])) + (", …" if len(missing) > 4 else "")
            reason = f"has {len(shape.views)} views where others have {len(usual)} (missing {which}); kept"
            problems.append(Problem(clean("/".join(shape.parts)), reason))


def _listed(path: Path, problems: list[Problem]) -> list[Shape]:
    """Shapes of a list: rows of views with a common id, name or folder; or a row a folder or shape."""
    finder = Finder(path.parent, problems)
    shapes: dict[str, Shape] = {}
    for row, file, name in _listed_views(read_list(path), finder, problems):
        view = view_of(file.name)
        parts = tuple(name.split("/"))
        own = view is None or not view.shape or (len(parts) > 1 and view.shape == parts[-2])
        parts = (parts[:-1] or (path.stem,)) if own else (*parts[:-1], view.shape if view else "")
        shape = shapes.setdefault(
            row.id or "/".join(parts),
            Shape(
                tuple(row.id.split("/")) if row.id else parts,
                class_of(row.class_name, view.class_name if view else None),
                row.split or (view.split if view else None),
                {},
            ),
        )
        number = view.number if view else len(shape.views)
        if number in shape.views:
            problems.append(
                Problem(name, f"view {number} of {'/'.join(shape.parts)} is listed twice; left out")
            )
        else:
            shape.views[number] = file
    return _placed(list(shapes.values()), lambda parts: None)


def _listed_views(
    rows: Iterable[Row], finder: Finder, problems: list[Problem]
) -> Iterable[tuple[Row, Path, str]]:
    """Yield every listed view; a listed folder stands for the views in it."""
    for row in rows:
        for found in filter(None, map(finder.find, row.paths)):
            file, name = found
            if file.is_file():
                yield row, file, name
                continue
            inside = sorted(one.name for one in file.iterdir() if is_picture(one.name) and view_of(one.name))
            if not inside:
                problems.append(Problem(name, "has no views; left out"))
            yield from ((row, file / one, f"{name}/{one}") for one in inside)


def _nothing(root: Path, split: str | None, candidates: Sequence[Candidate]) -> str:
    if candidates and split:
        there = sorted({one.split for one in candidates if one.split})
        has = f"it has {', '.join(there)}" if there else "no folder in it is a split"
        return f"{root} has no shapes of the split '{split}': {has}; leave --split out or choose another"
    return f"{root} holds no rendered views and no meshes: give a folder of meshes, or views of 'hifa render'"
