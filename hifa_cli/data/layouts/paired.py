"""Data sets of photos that are paired with meshes: Pix3D and ABO; and Topex-Printer's renders and photos."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hifa_cli.data.items import Candidate
from hifa_cli.data.layouts.base import (
    EXAMPLES,
    Laid,
    Named,
    Tree,
    named,
    objects,
    read_document,
    read_table,
    strings,
)
from hifa_cli.data.layouts.patterns import ABO, abo, abo_class, abo_listings, by_pattern
from hifa_cli.data.tree import SPLITS, is_picture, places, walk
from hifa_cli.errors import HifaError

PIX3D_LIST = "pix3d.json"


def is_pix3d(tree: Tree) -> bool:
    """Return whether Pix3D's list lies in the root, or above its folder of meshes, photos or a class."""
    path = tree.nearby(PIX3D_LIST)
    if path is None:
        return False
    below = tree.root.absolute().relative_to(path.parent).parts
    return not below or below[0] in ("model", "img")


def _pix3d(tree: Tree) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder of the list and its entries that name a photo and a mesh.

    Raises:
        HifaError: the list is absent or empty.
    """
    path = tree.nearby(PIX3D_LIST)
    if path is None:
        raise HifaError(f"{tree.root} has no {PIX3D_LIST}: give the folder that pix3d.zip was unpacked into")
    texts = ("img", "category", "model")
    entries = [
        one for one in objects(read_document(path)) if all(isinstance(one.get(key), str) for key in texts)
    ]
    if not entries:
        raise HifaError(f"{path} names no photo with a category and a model: download it again")
    return path.parent, entries


def _pix3d_ids(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return the id of every listed mesh: its folder, with the file's name where that has several."""
    meshes = {str(one["model"]): str(one["category"]) for one in entries}
    folders = Counter(str(PurePosixPath(mesh).parent) for mesh in meshes)
    ids = {}
    for mesh, kind in meshes.items():
        path = PurePosixPath(mesh)
        name = path.parent.name if folders[str(path.parent)] == 1 else f"{path.parent.name}_{path.stem}"
        ids[mesh] = named(name, kind)
    return ids


def pix3d_meshes(tree: Tree) -> Laid:
    """Name the meshes that the list names."""
    base, entries = _pix3d(tree)
    ids = {str(base / mesh): name for mesh, name in _pix3d_ids(entries).items()}
    shapes = [Named(ids[tree.whole[path]], path) for path in tree.meshes if tree.whole[path] in ids]
    strangers = [path for path in tree.meshes if tree.whole[path] not in ids]
    return Laid(sorted(shapes), (), strangers, _absent(tree, base, entries))


def _absent(tree: Tree, base: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Return which meshes of the list should be below the root and are not, on a line."""
    there, inside = set(tree.whole.values()), tree.root.absolute()
    listed = sorted({str(one["model"]) for one in entries if (base / one["model"]).is_relative_to(inside)})
    lacking = [one for one in listed if str(base / one) not in there]
    shown = ", ".join(lacking[:EXAMPLES]) + (", …" if len(lacking) > EXAMPLES else "")
    return [f"{len(lacking)} of {len(listed)} listed meshes are not there: {shown}"] if lacking else []


def _photo_id(one: dict[str, Any]) -> str:
    return named(PurePosixPath(one["img"]).stem, one["category"])


def pix3d_photos(tree: Tree) -> list[Candidate]:
    """Return the photos of the list, without masks, with their categories."""
    base, entries = _pix3d(tree)
    inside = tree.root.absolute()
    found = [(one, base / one["img"]) for one in entries]
    return [
        Candidate(_photo_id(one), one["category"], None, (path,))
        for one, path in found
        if path.is_relative_to(inside) or not inside.is_relative_to(base / "img")
    ]


def pix3d_pairs(tree: Tree) -> dict[str, str]:
    """Return the mesh that each photo shows."""
    entries = _pix3d(tree)[1]
    ids = _pix3d_ids(entries)
    return {_photo_id(one): ids[one["model"]] for one in entries}


def is_abo(tree: Tree) -> bool:
    """Return whether the meshes are ABO's, or the folder has its photos and listings."""
    if tree.meshes:
        return sum(ABO.search(path) is not None for path in tree.whole.values()) >= 0.9 * len(tree.meshes)
    return _abo_images(tree) is not None and bool(tree.nearby("listings/metadata/listings_0.json.gz"))


def abo_meshes(tree: Tree) -> Laid:
    """Name ABO's meshes by product type and model."""
    return by_pattern(ABO, abo, tree)


def _abo_images(tree: Tree) -> Path | None:
    return tree.nearby("images/metadata/images.csv.gz")


def _abo_pairs(tree: Tree) -> Iterator[tuple[str, str | None, str]]:
    """Yield image, class and model of every product that has a 3D model and a main photo."""
    for row in abo_listings(tree):
        image, model = row.get("main_image_id"), row.get("3dmodel_id")
        if isinstance(image, str) and isinstance(model, str):
            yield image, abo_class(row), model


def abo_photos(tree: Tree) -> list[Candidate]:
    """Return the main photos of the products that have a 3D model."""
    table = _abo_images(tree)
    if table is None:
        raise HifaError(f"{tree.root} has no images/metadata/images.csv.gz: unpack ABO's images there")
    paths = strings(read_table(table), "image_id", "path")
    folder = table.parent.parent
    found = {}
    for image, kind, _ in _abo_pairs(tree):
        places_of = [folder / size / paths.get(image, "") for size in ("original", "small")]
        if image in paths:
            there = next((path for path in places_of if path.is_file()), places_of[0])
            found[named(image, kind)] = Candidate(named(image, kind), kind, None, (there,))
    return list(found.values())


def abo_pairs(tree: Tree) -> dict[str, str]:
    """Return the 3D model that each main photo shows."""
    return {named(image, kind): named(model, kind) for image, kind, model in _abo_pairs(tree)}


def is_topex(tree: Tree) -> bool:
    """Return whether a folder is called Topex-Printer and has its two halves."""
    root = tree.root.absolute()
    return "topex" in root.name.lower() and all((root / half).is_dir() for half in ("train", "test"))


def _topex(tree: Tree) -> dict[tuple[str, str], list[Path]]:
    """Return the pictures of every half and part."""
    found: dict[tuple[str, str], list[Path]] = {}
    folders = list(walk(tree.root, []))
    for folder, place in zip(folders, places([one.parts for one in folders]), strict=True):
        pictures = [folder.path / name for name in folder.files if is_picture(name)]
        if place.class_name and place.split in SPLITS and pictures:
            found.setdefault((place.split or "", place.class_name), []).extend(pictures)
    return found


def topex_photos(tree: Tree) -> list[Candidate]:
    """Return the real photos, which are the test half."""
    return [
        Candidate(named(path.stem, part, "test"), part, "test", (path,))
        for (half, part), paths in _topex(tree).items() if half == "test"
        for path in paths
    ]  # fmt: skip


def topex_views(tree: Tree) -> list[Candidate]:
    """Return the machine parts, each with all its renders as views."""
    return [
        Candidate(named(part, part), part, None, tuple(paths))
        for (half, part), paths in _topex(tree).items() if half == "train"
    ]  # fmt: skip
