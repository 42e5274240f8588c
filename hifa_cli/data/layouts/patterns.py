"""Layouts that the paths of the meshes alone tell apart, with the lists that name classes and splits."""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from pathlib import Path

from hifa_cli.data.layouts.base import (
    EXAMPLES,
    Laid,
    Named,
    Tree,
    named,
    objects,
    read_document,
    read_lines,
    read_table,
    strings,
)

_SHARE = 0.9  # of the meshes must follow a pattern before a tree is taken for a set's
Namer = Callable[[Tree], tuple[Callable[[re.Match[str]], str], list[str]]]

# fmt: off
SYNSETS: Mapping[str, str] = {
    "02691156": "airplane", "02747177": "trash_bin", "02773838": "bag", "02801938": "basket",
    "02808440": "bathtub", "02818832": "bed", "02828884": "bench", "02834778": "bicycle",  # v1 alone
    "02843684": "birdhouse", "02858304": "boat",  # v1 alone
    "02871439": "bookshelf", "02876657": "bottle", "02880940": "bowl", "02924116": "bus",
    "02933112": "cabinet", "02942699": "camera", "02946921": "can", "02954340": "cap", "02958343": "car",
    "02992529": "cellphone", "03001627": "chair", "03046257": "clock", "03085013": "keyboard",
    "03207941": "dishwasher", "03211117": "display", "03261776": "earphone", "03325088": "faucet",
    "03337140": "file", "03467517": "guitar", "03513137": "helmet", "03593526": "jar", "03624134": "knife",
    "03636649": "lamp", "03642806": "laptop", "03691459": "loudspeaker", "03710193": "mailbox",
    "03759954": "microphone", "03761084": "microwave", "03790512": "motorcycle", "03797390": "mug",
    "03928116": "piano", "03938244": "pillow", "03948459": "pistol", "03991062": "pot", "04004475": "printer",
    "04074963": "remote", "04090263": "rifle", "04099429": "rocket", "04225987": "skateboard",
    "04256520": "sofa", "04330267": "stove", "04379243": "table", "04401088": "telephone",
    "04460130": "tower", "04468005": "railroad_train", "04530566": "watercraft", "04554684": "washer",
}
# fmt: on
_MODEL = r"(?P<id>[0-9a-f]{24,32}|[0-9A-Za-z-]{20,40})"
SHAPENET1 = re.compile(rf"(?:^|/)(?P<synset>\d{{8}})/{_MODEL}/model\.obj$")
SHAPENET2 = re.compile(rf"(?:^|/)(?P<synset>\d{{8}})/{_MODEL}/models/model_normalized\.obj$")
OBJAVERSE = re.compile(r"(?:^|/)\d{3}-\d{3}/(?P<id>[0-9a-f]{32})\.glb$")
ABO = re.compile(r"(?:^|/)(?P<last>[0-9A-Z])/(?P<id>[0-9A-Z]{9}(?P=last))\.glb$")
GSO = re.compile(r"(?:^|/)(?P<id>[^/]+)/meshes/model\.obj$")
FUTURE = re.compile(
    r"(?:^|/)(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?P<kind>raw|normalized)_model\.obj$"
)
TOYS4K = re.compile(r"(?:^|/)(?P<class>[^/]+)/(?P<id>(?P=class)_\d+)/mesh\.obj$")
MCB = re.compile(r"(?:^|/)(?P<split>train|test)/(?P<class>[^/]+)/(?P<id>\d{8})\.obj$")
MODELNET = re.compile(r"(?:^|/)(?P<class>[^/]+)/(?P<split>train|test)/(?P<id>(?P=class)_\d{4})\.off$")
ABC = re.compile(
    r"(?:^|/)(?P<id>\d{8})/(?P=id)_[0-9a-f]{20,32}_(?P<kind>trimesh|step)_(?P<part>\d{3})\.(?:obj|stl|step)$"
)
THINGI10K = re.compile(r"(?:^|/)raw_meshes/(?P<id>\d+)\.(?:stl|obj|ply|off)$")
FUSION_STEP = re.compile(r"(?:^|/)(?P<id>[^/]+_[0-9a-f]{8}_\d{4})_(?P<step>\d{4})\.(?:obj|step)$")
FUSION_WHOLE = re.compile(r"(?:^|/)(?P<id>[^/]+)/assembly\.(?:obj|step)$")
_ABO_LISTS = tuple(
    f"{folder}listings_{digit}.json.gz"
    for folder in ("listings/metadata/", "")
    for digit in "0123456789abcdef"
)


def follow(pattern: re.Pattern[str], tree: Tree) -> bool:
    """Return whether nine in ten of a tree's meshes have paths of a pattern."""
    return bool(tree.meshes) and _share(pattern, tree) >= _SHARE


def _share(pattern: re.Pattern[str], tree: Tree) -> float:
    return sum(pattern.search(path) is not None for path in tree.whole.values()) / len(tree.meshes)


def by_pattern(pattern: re.Pattern[str], namer: Namer, tree: Tree) -> Laid:
    """Name every mesh whose path follows ``pattern``; of several with one id the best is drawn.

    The best has the greatest ``step`` (of a construction), else the kind ``raw`` and OBJ before others.

    Args:
        pattern: of a path below the root, with named groups.
        namer: makes id, class and split of a match.
        tree: of the data set.

    Returns:
        The meshes with their names, and what was left out.
    """
    name, remarks = namer(tree)
    groups: dict[str, list[tuple[tuple[int, int, str], Path]]] = {}
    strangers = []
    for path in tree.meshes:
        if match := pattern.search(tree.whole[path]):
            groups.setdefault(name(match), []).append((_rank(match, path), path))
        else:
            strangers.append(path)
    shapes, spare = [], []
    for identity, members in sorted(groups.items()):
        members.sort()
        shapes.append(Named(identity, members[0][1]))
        spare += [path for _, path in members[1:]]
    return Laid(shapes, spare, strangers, remarks)


def _rank(match: re.Match[str], path: Path) -> tuple[int, int, str]:
    known = match.groupdict()
    secondary = known.get("kind") in ("normalized", "step")
    return (-int(known.get("step") or 0), int(secondary), "" if path.suffix == ".obj" else path.suffix)


def known_ids(pattern: re.Pattern[str], tree: Tree) -> list[str]:
    """Return the ids of the meshes whose paths follow a pattern, each once."""
    matches = (pattern.search(path) for path in tree.whole.values())
    return sorted({match["id"] for match in matches if match})


def unlisted(path: Path, ids: Sequence[str], listed: Container[str], what: str) -> list[str]:
    """Return what a list of a set lacks, on a line; nothing where it names every shape.

    Args:
        path: of the list.
        ids: of the shapes.
        listed: ids that the list names.
        what: it should say of them, such as ``class``.

    Returns:
        At most one remark, with three examples.
    """
    lacking = [one for one in ids if one not in listed]
    if not lacking:
        return []
    if len(lacking) == len(ids):
        return [f"{path.name} names no {what} of any of the {len(ids)} shapes: is it of another version?"]
    shown = ", ".join(lacking[:EXAMPLES]) + (", …" if len(lacking) > EXAMPLES else "")
    return [f"{path.name} names no {what} of {len(lacking)} of {len(ids)} shapes: {shown}"]


def parted(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take class and split, where there are any, from the path itself."""

    def name(match: re.Match[str]) -> str:
        known = match.groupdict()
        return named(match["id"], known.get("class"), known.get("split"))

    return name, []


def modelnet(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Keep ModelNet's own order, class before split."""
    return lambda match: f"{match['class']}/{match['split']}/{match['id']}", []


def shapenet(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from the synset, its split from ``all.csv``.

    ``taxonomy.json`` names synsets beyond the 57 of ShapeNetCore. WordNet's ``train`` is called
    ``railroad_train``, for ``train`` is a split.
    """
    remarks = []
    classes = {**_taxonomy(tree), **SYNSETS}
    splits: dict[tuple[str, str], str] = {}
    if path := tree.nearby("all.csv"):
        for row in read_table(path):
            if row.get("split", "").lower() in ("train", "val", "test"):
                splits[row.get("synsetId", "").zfill(8), row.get("modelId", "")] = row["split"].lower()
        found = (SHAPENET1.search(one) or SHAPENET2.search(one) for one in tree.whole.values())
        ids = sorted(f"{match['synset']}/{match['id']}" for match in found if match)
        remarks += unlisted(path, ids, {"/".join(one) for one in splits}, "split")
    else:
        remarks.append("all.csv is not beside it, so that no shape has a split")

    def name(match: re.Match[str]) -> str:
        synset = match["synset"]
        return named(match["id"], classes.get(synset, synset), splits.get((synset, match["id"])))

    return name, remarks


def _taxonomy(tree: Tree) -> dict[str, str]:
    path = tree.nearby("taxonomy.json")
    names = strings(objects(read_document(path)), "synsetId", "name") if path else {}
    return {synset: text.split(",")[0].strip().replace(" ", "_") for synset, text in names.items()}


def objaverse(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from ``lvis-annotations.json.gz``; most objects of Objaverse have none."""
    path = tree.nearby("lvis-annotations.json.gz", "lvis-annotations.json")
    if path is None:
        return parted(tree)[0], ["lvis-annotations.json.gz is not beside it, so that no shape has a class"]
    document = read_document(path)
    classes = {
        uid: label
        for label, uids in (document.items() if isinstance(document, dict) else ())
        if isinstance(uids, list)
        for uid in uids
    }
    ids = known_ids(OBJAVERSE, tree)
    remarks = [] if classes else unlisted(path, ids, classes, "class")  # most objects are in no class
    return lambda match: named(match["id"], classes.get(match["id"])), remarks


def abo_listings(tree: Tree) -> list[dict[str, object]]:
    """Return the products of ABO's listings that lie beside the meshes or photos."""
    found = [path for name in _ABO_LISTS if (path := tree.nearby(name))]
    return [row for path in dict.fromkeys(found) for row in read_lines(path)]


def abo_class(row: Mapping[str, object]) -> str | None:
    """Return a product's type, in small letters."""
    kinds = objects(row.get("product_type"))
    value = kinds[0].get("value") if kinds else None
    return value.lower() if isinstance(value, str) else None


def abo(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from ``product_type`` of the listing that names the 3D model."""
    rows = abo_listings(tree)
    classes = {str(row.get("3dmodel_id")): abo_class(row) for row in rows if row.get("3dmodel_id")}
    remarks = [] if rows else ["listings_*.json.gz are not beside it, so that no shape has a class"]
    if rows and not classes:
        remarks = ["listings_*.json.gz name no 3dmodel_id, so that no shape has a class"]
    return lambda match: named(match["id"], classes.get(match["id"])), remarks


def scanned(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from the object's ``metadata.pbtxt``, where that names one."""
    folders = {tree.whole[path]: path.parent.parent for path in tree.meshes}
    first = re.compile(r'categories\s*\{\s*first:\s*"([^"]+)"')

    def name(match: re.Match[str]) -> str:
        try:
            found = first.search((folders[match.string] / "metadata.pbtxt").read_text("utf-8", "replace"))
        except OSError:
            found = None
        return named(match["id"], told(found[1]) if found else None)

    return name, []


def future(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from ``model_info.json``: the category, else the super-category."""
    path = tree.nearby("model_info.json")
    if path is None:
        return parted(tree)[0], ["model_info.json is not beside it, so that no shape has a class"]
    rows = objects(read_document(path))
    classes = {**strings(rows, "model_id", "super-category"), **strings(rows, "model_id", "category")}
    remarks = unlisted(path, known_ids(FUTURE, tree), classes, "class")
    return lambda match: named(match["id"], classes.get(match["id"])), remarks + _normalized_alone(tree)


def _normalized_alone(tree: Tree) -> list[str]:
    """Return which shapes of 3D-FUTURE lack the mesh that is drawn."""
    kinds: dict[str, set[str]] = {}
    for path in tree.whole.values():
        if match := FUTURE.search(path):
            kinds.setdefault(match["id"], set()).add(match["kind"])
    lacking = sorted(one for one, there in kinds.items() if "raw" not in there)
    if not lacking or len(lacking) == len(kinds):  # some copies hold the normalized ones alone
        return []
    shown = ", ".join(lacking[:EXAMPLES]) + (", …" if len(lacking) > EXAMPLES else "")
    return [f"{len(lacking)} of {len(kinds)} shapes have no raw_model.obj, drawn by the other: {shown}"]


def thingi10k(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Take the class from ``contextual_data.csv``, over the thing's number in ``input_summary.csv``."""
    files = tree.nearby("input_summary.csv", "metadata/input_summary.csv")
    things = tree.nearby("contextual_data.csv", "metadata/contextual_data.csv")
    if files is None or things is None:
        return parted(tree)[0], ["input_summary.csv and contextual_data.csv are not beside it: no classes"]
    thing = strings(read_table(files), "ID", "Thing ID")
    category = strings(read_table(things), "Thing ID", "Category")
    ids = known_ids(THINGI10K, tree)
    remarks = unlisted(files, ids, thing, "thing")
    with_thing = [one for one in ids if one in thing]
    remarks += unlisted(things, with_thing, {one for one in thing if thing[one] in category}, "category")
    return lambda match: named(match["id"], told(category.get(thing.get(match["id"], "")))), remarks


def told(category: str | None) -> str | None:
    """Return a category, or None where a set spells the absence of one: ``None``."""
    return None if category is None or category.strip().lower() == "none" else category


def abc(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Name a model by its eight digits, with the part's number where it has several meshes."""
    matches = [match for path in tree.whole.values() if (match := ABC.search(path))]
    parts: dict[str, set[str]] = {}
    for match in matches:
        parts.setdefault(match["id"], set()).add(match["part"])

    def name(match: re.Match[str]) -> str:
        several = len(parts[match["id"]]) > 1
        return named(f"{match['id']}_{match['part']}" if several else match["id"])

    return name, []


def fusion_designs(tree: Tree) -> tuple[Callable[[re.Match[str]], str], list[str]]:
    """Name a design or an assembly by its file or folder; its split is in ``train_test.json``."""
    path = tree.nearby("train_test.json")
    document = read_document(path) if path else {}
    splits = {
        design: split
        for split, designs in (document.items() if isinstance(document, dict) else ())
        if split in ("train", "val", "test") and isinstance(designs, list)
        for design in designs
        if isinstance(design, str)
    }
    remarks = ["train_test.json is not beside it, so that no shape has a split"]
    if path:
        ids = known_ids(FUSION_WHOLE if has_assemblies(tree) else FUSION_STEP, tree)
        remarks = unlisted(path, ids, splits, "split")
    return lambda match: named(match["id"], None, splits.get(match["id"])), remarks


def has_assemblies(tree: Tree) -> bool:
    """Return whether every folder with meshes has a whole assembly and its description."""
    folders = {path.parent for path in tree.meshes}
    return bool(folders) and all(
        (folder / "assembly.json").is_file()
        and any((folder / f"assembly.{kind}").is_file() for kind in ("obj", "step"))
        for folder in folders
    )


def fusion_assemblies(tree: Tree) -> Laid:
    """Draw the whole assemblies; the bodies that they are made of are spare."""
    laid = by_pattern(FUSION_WHOLE, fusion_designs, tree)
    return Laid(laid.shapes, [*laid.spare, *laid.strangers], (), laid.remarks)


def rule(pattern: re.Pattern[str], namer: Namer) -> tuple[Callable[[Tree], bool], Callable[[Tree], Laid]]:
    """Return what recognises and what places the meshes of a pattern."""
    return partial(follow, pattern), partial(by_pattern, pattern, namer)
