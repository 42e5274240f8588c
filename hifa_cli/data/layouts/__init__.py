"""The layouts of data sets: the one table of how each is recognised and where it says class, id and split.

To add a set, add a row to ``LAYOUTS``, a miniature of it to ``tests/data/miniatures.py`` and a line to
docs/datasets.md. The first row that fits a tree is taken; ``folders`` fits every tree.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hifa_cli.data.formats import shape_name
from hifa_cli.data.items import Candidate
from hifa_cli.data.layouts import paired, patterns
from hifa_cli.data.layouts.base import Laid, Layout, Named, Tree
from hifa_cli.data.tree import clean, places
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

__all__ = [
    "AUTO",
    "LAYOUTS",
    "NAMES",
    "Chosen",
    "Laid",
    "Layout",
    "Named",
    "lay_out",
    "pairs_of",
    "photos_of",
    "views_of",
]

AUTO = "auto"
EXAMPLES = 3
_IDLIKE = re.compile(r"[0-9]{3,}|[0-9a-f-]{12,}|[0-9]+-[0-9]+|[A-Z0-9]{1}|B0[A-Z0-9]{8}")
_HOLDERS = frozenset(
    ("meshes", "models", "model", "raw_meshes", "obj", "objs", "stl", "glbs", "data", "dataset", "files")
)


def _never(tree: Tree) -> bool:
    return False


def _folders(tree: Tree) -> Laid:
    """Name a mesh by its path in the root, without its ending."""
    return Laid([Named((path.relative_to(tree.root).parent / shape_name(path)).as_posix(), path)
                 for path in tree.meshes])  # fmt: skip


def _flat(tree: Tree) -> Laid:
    """Name a mesh by its path with ``_`` in place of ``/``, so that no folder is a class."""
    laid = _folders(tree)
    return Laid([Named(one.id.replace("/", "_"), one.path) for one in laid.shapes])


def _pattern(
    name: str, title: str, recognised: str, says: str, evidence: str, pattern: re.Pattern[str],
    namer: patterns.Namer = patterns.parted,
) -> Layout:  # fmt: skip
    fits, meshes = patterns.rule(pattern, namer)
    return Layout(name, title, recognised, says, evidence, fits, meshes)


def _mi3dor(tree: Tree) -> bool:
    """Return whether the root has MI3DOR's or MI3DOR-2's halves."""
    root = tree.root
    first = sum((root / name / "test").is_dir() for name in ("image", "view", "model")) >= 2
    return first or all((root / "test" / half).is_dir() for half in ("2D", "3D"))


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "mi3dor", "MI3DOR or MI3DOR-2",
        "image/, view/ and model/ with train/ and test/; or train/ and test/ with 2D/ and 3D/",
        "class and split: the folders, or the names of the views; id: the path",
        "the lists published with Wyyspace1203/MA name every file", _mi3dor, _folders,
    ),
    Layout(
        "pix3d", "Pix3D", "pix3d.json beside img/ and model/",
        "pix3d.json: category, img and model, and so the mesh that each photo shows; id: the mesh's folder",
        "xingyuansun/pix3d; the reader of tensorflow/datasets takes img, category and model likewise",
        paired.is_pix3d, paired.pix3d_meshes, paired.pix3d_photos, pairs=paired.pix3d_pairs,
    ),
    _pattern(
        "shapenet-v2", "ShapeNetCore v2", "<synset>/<model>/models/model_normalized.obj",
        "class: the synset's name; split: all.csv; id: the model",
        "pytorch3d/datasets/shapenet of facebookresearch/pytorch3d; several public readers take all.csv",
        patterns.SHAPENET2, patterns.shapenet,
    ),
    _pattern(
        "shapenet-v1", "ShapeNetCore v1", "<synset>/<model>/model.obj",
        "class: the synset's name; split: all.csv; id: the model",
        "shapenet_core.py and shapenet_synset_dict_v1.json (57 names) of facebookresearch/pytorch3d",
        patterns.SHAPENET1, patterns.shapenet,
    ),
    _pattern(
        "objaverse", "Objaverse", "glbs/000-0NN/<uid>.glb",
        "class: lvis-annotations.json.gz (Objaverse-LVIS); id: the uid",
        "objaverse/__init__.py of allenai/objaverse-xl reads lvis-annotations.json.gz as {class: [uid]}",
        patterns.OBJAVERSE, patterns.objaverse,
    ),
    Layout(
        "abo", "Amazon Berkeley Objects", "3dmodels/original/<last>/<ASIN>.glb, or images/ and listings/",
        "class: product_type of listings_*.json.gz; id: the model or image; main_image_id shows 3dmodel_id",
        "the set's own README.md (3dmodels.csv.gz, images.csv.gz, listings_?.json.gz), as copies of it show",
        paired.is_abo, paired.abo_meshes, paired.abo_photos, pairs=paired.abo_pairs,
    ),
    _pattern(
        "gso", "Google Scanned Objects", "<Name>/meshes/model.obj",
        "class: metadata.pbtxt, where it names one; id: the object's name",
        "metadata.pbtxt in luoyan407/Benchmark_3D_Generative_Models; fuel_metadata.proto of gz-msgs",
        patterns.GSO, patterns.scanned,
    ),
    _pattern(
        "3d-future", "3D-FUTURE", "<uuid>/raw_model.obj and normalized_model.obj",
        "class: category of model_info.json; id: the uuid; raw_model.obj is drawn",
        "public toolkits of 3D-FRONT read both files and model_info.json (model_id, category)",
        patterns.FUTURE, patterns.future,
    ),
    _pattern(
        "toys4k", "Toys4K", "<class>/<class>_000/mesh.obj", "class and id: the folders",
        "public scripts name toys4k_obj_files/airplane/airplane_007/mesh.obj", patterns.TOYS4K,
    ),
    _pattern(
        "mcb", "Mechanical Components Benchmark", "{train,test}/<class>/<8 digits>.obj",
        "class and split: the folders; id: the number",
        "public loaders glob {train,test}/<class>/*.obj; names such as 00019166.obj are in "
        "nedatghd/3D-mechanical-components-classification-", patterns.MCB,
    ),
    _pattern(
        "fusion360", "Fusion 360 Gallery, reconstruction", "<design>_NNNN.obj, one a step",
        "split: train_test.json; id: the design; the last step is drawn; no classes",
        "docs/reconstruction.md and tools/search/main.py of AutodeskAILab/Fusion360GalleryDataset",
        patterns.FUSION_STEP, patterns.fusion_designs,
    ),
    Layout(
        "fusion360-assembly", "Fusion 360 Gallery, assemblies", "<id>/assembly.json, assembly.obj and bodies",
        "split: train_test.json; id: the folder; the whole assembly is drawn, not its bodies; no classes",
        "docs/assembly.md of AutodeskAILab/Fusion360GalleryDataset",
        patterns.has_assemblies, patterns.fusion_assemblies,
    ),
    _pattern(
        "abc", "ABC", "<8 digits>/<8 digits>_<hash>_trimesh_NNN.obj", "id: the number; no classes",
        "public scripts name abc_0000_obj_v00/00000002/00000002_1ffb81a71e5b402e966b9341_trimesh_001.obj",
        patterns.ABC, patterns.abc,
    ),
    _pattern(
        "thingi10k", "Thingi10K", "raw_meshes/<number>.stl",
        "class: Category of contextual_data.csv by the thing's number in input_summary.csv; id: the number",
        "src/thingi10k/_builder.py of Thingi10K/Thingi10K, and both lists in its first commit",
        patterns.THINGI10K, patterns.thingi10k,
    ),
    Layout(
        "topex-printer", "Topex-Printer", "a folder called topex… with train/<part>/ and test/<part>/",
        "class: the part; train: renders, all views of one shape; test: real photos",
        "dennisritter/synthnet-transfer-learning trains on renders in train/ and tests on photos in test/",
        paired.is_topex, photos=paired.topex_photos, views=paired.topex_views,
    ),
    _pattern(
        "modelnet", "ModelNet10 or ModelNet40", "<class>/{train,test}/<class>_0001.off",
        "class and split: the folders; id: <class>/<split>/<name>",
        "the archive's own names; MVCNN and many others read it so", patterns.MODELNET, patterns.modelnet,
    ),
    Layout("folders", "folders", "anything else", "class: the first folder that is not a split; id: the path",
           "hifa's own", lambda tree: True, _folders),
    Layout("flat", "no classes", "only where --layout flat asks for it", "id: the path; no classes",
           "hifa's own", _never, _flat),
)  # fmt: skip
_BY_NAME = {one.name: one for one in LAYOUTS}
NAMES = (AUTO, *_BY_NAME)


class Chosen(NamedTuple):
    """The layout that was taken for a place, and what it made of it.

    Attributes:
        place: the folder.
        layout: the row of the table.
        examples: up to three (file, id, class, split).
        spare: how many further files of the same shapes are left.
        strangers: meshes that do not follow the layout and are left out.
        remarks: what is missing.
        doubt: why the folders may mean something else, or ''.
    """

    place: Path
    layout: Layout
    examples: tuple[tuple[str, str, str, str], ...] = ()
    spare: int = 0
    strangers: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    doubt: str = ""

    def document(self) -> dict[str, Any]:
        """Return what JSON outputs say of it."""
        keys = ("file", "id", "class", "split")
        return {
            "path": str(self.place.absolute()),
            "name": self.layout.name,
            "title": self.layout.title,
            "says": self.layout.says,
            "examples": [dict(zip(keys, one, strict=True)) for one in self.examples],
            "spare": self.spare,
            "strangers": len(self.strangers),
            "first_strangers": [str(path.absolute()) for path in self.strangers[:EXAMPLES]],
            "remarks": list(self.remarks),
            "doubt": self.doubt,
        }

    def report(self) -> None:
        """Say which layout was taken, what is doubtful, and what is left out."""
        shown = "; ".join(
            f"{file} is {identity}" + (f" of class {name}" if name else "") + (f", {split}" if split else "")
            for file, identity, name, split in self.examples
        )
        line = f"{self.place}: layout {self.layout.name} ({self.layout.says})"
        progress.note(f"{line}; {shown}" if shown else line)
        if self.doubt:
            progress.warn(
                f"{self.place} fits no layout that hifa knows, and {self.doubt}: if that is not what you "
                f"mean ({self.layout.says}), give --layout flat (no classes) or another of {', '.join(NAMES)}"
            )
        for remark in self.remarks:
            progress.warn(f"{self.place}: {remark}")
        if self.spare:
            progress.note(f"{self.place}: {self.spare} further files of the same shapes are not drawn")
        if self.strangers:
            named = ", ".join(map(str, self.strangers[:EXAMPLES]))
            progress.warn(
                f"{self.place}: {len(self.strangers)} meshes do not follow the layout {self.layout.name} and "
                f"are left out: {named}{', …' if len(self.strangers) > EXAMPLES else ''}"
            )


def lay_out(root: Path, meshes: Sequence[Path], layout: str = AUTO) -> tuple[list[Named], Chosen]:
    """Give the meshes below a folder their ids, as the data set's layout has them.

    Args:
        root: the folder that was given.
        meshes: the mesh files below it, in order.
        layout: a name of ``LAYOUTS``, or ``auto``: the first that fits.

    Returns:
        The meshes that are drawn, with ids ``[split/][class/]name``, and what was taken for what.

    Raises:
        HifaError: the layout does not exist, it has no meshes, or none of the meshes follows it.
    """
    tree = Tree(root, meshes)
    row = _chosen(tree, layout, lambda one: one.meshes)
    assert row.meshes is not None
    laid = row.meshes(tree)
    if meshes and not laid.shapes:
        raise HifaError(
            f"no mesh in {root} follows the layout {row.name} ({row.recognised}): leave out --layout"
        )
    doubt = _doubt(laid.shapes) if row.name == "folders" and layout == AUTO else ""
    chosen = Chosen(
        root,
        row,
        _examples(root, laid.shapes),
        len(laid.spare),
        tuple(laid.strangers),
        tuple(laid.remarks),
        doubt,
    )
    return list(laid.shapes), chosen


def photos_of(root: Path, layout: str = AUTO) -> tuple[list[Candidate], Chosen] | None:
    """Return the photos of a set whose folders do not tell it all; None where folders do."""
    return _candidates(root, layout, lambda one: one.photos)


def views_of(root: Path, layout: str = AUTO) -> tuple[list[Candidate], Chosen] | None:
    """Return the rendered shapes of such a set likewise."""
    return _candidates(root, layout, lambda one: one.views)


def pairs_of(root: Path, layout: str = AUTO) -> dict[str, str]:
    """Return the id of the mesh that each photo of a set shows.

    Raises:
        HifaError: the set does not say so.
    """
    tree = Tree(root)
    row = _chosen(tree, layout, lambda one: one.pairs)
    if row.pairs is None:
        known = ", ".join(one.title for one in LAYOUTS if one.pairs is not None)
        raise HifaError(f"{root} does not say which mesh a photo shows; these do: {known}")
    return row.pairs(tree)


def _candidates(
    root: Path, layout: str, part: Callable[[Layout], Callable[[Tree], list[Candidate]] | None]
) -> tuple[list[Candidate], Chosen] | None:
    tree = Tree(root)
    row = _chosen(tree, layout, part)
    find = part(row)
    if find is None:
        return None
    found = find(tree)
    examples = tuple(
        (str(one.views[0]), one.id, one.class_name or "", one.split or "") for one in found[:EXAMPLES]
    )
    return found, Chosen(root, row, examples)


def _chosen(tree: Tree, layout: str, part: Callable[[Layout], Any]) -> Layout:
    """Return the row of that name, or the first that fits and has the part; else ``folders``."""
    if layout != AUTO:
        if layout not in _BY_NAME:
            raise HifaError(f"the layout '{layout}' does not exist: choose one of {', '.join(NAMES)}")
        return _BY_NAME[layout]
    return next((one for one in LAYOUTS if part(one) is not None and one.fits(tree)), _BY_NAME["folders"])


def _examples(root: Path, shapes: Sequence[Named]) -> tuple[tuple[str, str, str, str], ...]:
    """Return up to three shapes, spread over the tree, with what their ids say."""
    step = max(1, len(shapes) // EXAMPLES)
    found = places([tuple(one.id.split("/")[:-1]) for one in shapes])
    chosen = [(shapes[i], found[i]) for i in range(0, min(len(shapes), step * EXAMPLES), step)]
    return tuple(
        (one.path.relative_to(root).as_posix(), clean(one.id), place.class_name or "", place.split or "")
        for one, place in chosen
    )


def _doubt(shapes: Sequence[Named]) -> str:
    """Return why the first folders of a tree are hardly classes, or ''."""
    found = places([tuple(one.id.split("/")[:-1]) for one in shapes])
    counts = Counter(place.class_name for place in found if place.class_name)
    if len(shapes) < EXAMPLES or not counts:
        return ""
    stems = Counter(one.id.rsplit("/", 1)[-1] for one in shapes)
    name, most = stems.most_common(1)[0]
    if most > len(shapes) / 2 and most > 2:
        return f"most of its files are called '{name}'"
    if len(counts) > 2 and max(counts.values()) == 1:
        return "each of its folders holds one mesh"
    idlike = [one for one in counts if _IDLIKE.fullmatch(one)]
    if len(idlike) > len(counts) / 2:
        return f"its folders are called as items are ('{idlike[0]}')"
    if len(counts) == 1 and (only := next(iter(counts))).lower() in _HOLDERS:
        return f"its only folder is called '{only}'"
    return ""
