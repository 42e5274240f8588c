"""Photos: a folder a class, or none at all, or a list."""

from pathlib import Path

from hifa_cli.data import layouts
from hifa_cli.data.formats import is_mesh
from hifa_cli.data.items import Candidate, Collection, Problem, collection_of
from hifa_cli.data.labels import class_of, label_lookup
from hifa_cli.data.lists import Finder, is_list, read_list
from hifa_cli.data.tree import (
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


def find_images(root: Path, *, split: str | None = None, layout: str = layouts.AUTO) -> Collection:
    """Return the photos under a folder, in a list file, or the one photo that ``root`` is.

    An id is the path relative to ``root`` without its ending; the class its first folder that is no
    split folder. A data set whose lists say more (Pix3D, ABO) is recognised by its layout. Pictures are not
    opened.

    Args:
        root: folder of photos (MI3DOR's and MI3DOR-2's trees as they are unpacked among them), a CSV,
            TSV, JSON or text list, or one picture.
        split: ``train``, ``test`` or ``val``: only items under a folder of that name (or so listed).
        layout: of a data set (data/layouts); ``auto`` recognises it.

    Returns:
        The photos, sorted by id, and the classes of all splits.

    Raises:
        HifaError: nothing is there, no picture is found, or none of the split.
    """
    root, split = Path(root), checked_split(split)
    problems: list[Problem] = []
    candidates = image_candidates(root, problems, layout)
    found = collection_of(candidates, problems, split)
    if not found.items:
        raise HifaError(_nothing(root, split, candidates, problems))
    return found


def image_candidates(root: Path, problems: list[Problem], layout: str = layouts.AUTO) -> list[Candidate]:
    """Return the photos of every split, in the order of the tree or list; what is wrong goes to ``problems``.

    Args:
        root: folder of photos, or a list.
        problems: takes what was found wrong.
        layout: of a data set; ``auto`` recognises it.

    Returns:
        The photos, not numbered by class yet.

    Raises:
        HifaError: nothing is there, or views or meshes in place of photos.
    """
    if is_list(root):
        return _listed(root, problems)
    if root.is_file() and is_picture(root.name):
        return [Candidate(clean(stem(root.name)), None, None, (root,))]
    existing_folder(root, "photos")
    if (of_set := layouts.photos_of(root, layout)) is not None:
        candidates, chosen = of_set
        chosen.report()
        return present(candidates, problems)
    return _found(root, problems)


def present(candidates: list[Candidate], problems: list[Problem]) -> list[Candidate]:
    """Return the items whose pictures are there; the others go to ``problems``."""
    missing = [one for one in candidates if not all(path.is_file() for path in one.views)]
    gone = {one.id for one in missing}
    problems += [Problem(str(one.views[0]), "is listed and not there; left out") for one in missing]
    return [one for one in candidates if one.id not in gone]


def _found(root: Path, problems: list[Problem]) -> list[Candidate]:
    if (root / "views.json").is_file():
        raise HifaError(f"{root} holds rendered views of shapes, not photos: give it as --shapes")
    refuse_other(root, wanted="a folder of photos")
    names, paths, meshes = [], [], 0
    for folder in walk(root, problems):
        pictures = [name for name in folder.files if is_picture(name)]
        names += [(*folder.parts, name) for name in pictures]
        paths += [folder.path / name for name in pictures]
        meshes += any(is_mesh(folder.path / name) for name in folder.files)
        if folder.parts and not folder.files and not folder.folders:
            problems.append(Problem("/".join(map(clean, folder.parts)), "is an empty folder"))
    if meshes and not names:
        raise HifaError(f"{root} holds meshes, not photos: 'hifa render' makes views of them, for --shapes")
    label_of = label_lookup(root)
    return [
        Candidate(_identity(parts), class_of(label_of(parts), place.class_name), place.split, (path,))
        for parts, path, place in zip(names, paths, places([parts[:-1] for parts in names]), strict=True)
        if place.domain in (None, "images")
    ]


def _identity(parts: tuple[str, ...]) -> str:
    return clean("/".join((*parts[:-1], stem(parts[-1]))))


def _listed(path: Path, problems: list[Problem]) -> list[Candidate]:
    finder = Finder(path.parent, problems)
    rows, names, files = [], [], []
    for row in read_list(path):
        for name in row.paths:
            if (found := finder.find(name)) is not None:
                rows.append(row)
                files.append(found[0])
                names.append(tuple(found[1].split("/")))
    return [
        Candidate(
            clean(row.id) if row.id and len(row.paths) == 1 else _identity(parts),
            class_of(row.class_name and clean(row.class_name), place.class_name),
            row.split or place.split,
            (file,),
        )
        for row, file, parts, place in zip(
            rows, files, names, places([parts[:-1] for parts in names]), strict=True
        )
    ]


def _nothing(root: Path, split: str | None, candidates: list[Candidate], problems: list[Problem]) -> str:
    if candidates and split:
        there = sorted({one.split for one in candidates if one.split})
        has = f"it has {', '.join(there)}" if there else "no folder in it is a split"
        return f"{root} has no photos of the split '{split}': {has}; leave --split out or choose another"
    why = f" ({problems[0].path}: {problems[0].reason})" if problems else ""
    return f"no picture is found in {root}{why}: give a folder of .jpg, .png, … photos, or a list of them"
