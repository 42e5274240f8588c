"""The sets that somebody holds, and where an item of theirs lies."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hifa_cli.data.formats import MESH_FORMATS
from hifa_cli.data.layouts.base import read_table
from hifa_cli.data.rebuild.names import Origin, SourceName
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

_PHOTOS = (".JPEG", ".jpeg", ".jpg", ".JPG")
_BELOW = ("", "train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train", "ILSVRC2012_img_train")
_CSVS = ("all.csv", "train.csv", "val.csv", "test.csv")
_MESHES = frozenset(end for one in MESH_FORMATS if one.reader in ("off", "obj") for end in one.suffixes)
# Classes whose ShapeNet shapes are of one synset beyond doubt.
_SURE: Mapping[str, str] = {
    "airplane": "02691156", "bed": "02818832", "camera": "02942699", "car": "02958343", "chair": "03001627",
    "guitar": "03467517", "knife": "03624134", "pistol": "03948459", "rifle": "04090263",
}  # fmt: skip


@dataclass
class Holdings:
    """Folders of the source sets, as they were unpacked; None where one is not held.

    Attributes:
        imagenet: with ``<synset>/<synset>_<number>.JPEG``, also below ``train`` or the folders of ILSVRC.
        modelnet: ModelNet40, with ``<class>/{train,test}/<class>_0001.off``.
        shapenet: the release of SHREC'16, with ``model_012345.obj``; or ShapeNetCore with ``all.csv``.
        psb: the Princeton Shape Benchmark, with ``m1047.off``.
        ntu: the NTU 3D Model Database.
    """

    imagenet: Path | None = None
    modelnet: Path | None = None
    shapenet: Path | None = None
    psb: Path | None = None
    ntu: Path | None = None
    _synsets: dict[str, Path | None] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse folders that are not there, or hold archives that are still packed.

        Raises:
            HifaError: so it is.
        """
        for name in ("imagenet", "modelnet", "shapenet", "psb", "ntu"):
            folder = getattr(self, name)
            if folder is None:
                continue
            if not folder.is_dir():
                raise HifaError(f"--{name} {folder} is not a folder: unpack the set and give its folder")
            inside = [entry.name for entry in os.scandir(folder)]
            packed = [one for one in inside if one.endswith((".tar", ".zip", ".tar.gz", ".tgz", ".7z"))]
            if packed and len(packed) == len(inside):
                raise HifaError(f"--{name} {folder} holds nothing but archives ({packed[0]}, …): unpack them")

    def held(self, source: SourceName) -> bool:
        """Return whether the set of a source was given at all."""
        return getattr(self, source) is not None

    def find(self, origin: Origin) -> Path | None:
        """Return the file of an item, or None where the set does not have it."""
        finders: dict[SourceName, Callable[[Origin], Path | None]] = {
            "imagenet": self._photo, "modelnet": self._modelnet, "shapenet": self._shapenet,
            "psb": self._by_stem, "ntu": self._by_stem,
        }  # fmt: skip
        return finders[origin.source](origin) if self.held(origin.source) else None

    def _by_stem(self, origin: Origin) -> Path | None:
        return self._stems(origin.source).get(origin.id.lower())

    def _photo(self, origin: Origin) -> Path | None:
        synset = origin.id.partition("_")[0]
        if synset not in self._synsets:
            assert self.imagenet is not None
            folders = (self.imagenet / below / synset for below in _BELOW)
            self._synsets[synset] = next((one for one in folders if one.is_dir()), None)
        folder = self._synsets[synset]
        if folder is None:
            return None
        return next((path for end in _PHOTOS if _there(path := folder / f"{origin.id}{end}")), None)

    def _modelnet(self, origin: Origin) -> Path | None:
        assert self.modelnet is not None
        kind = re.sub(r"_\d+$", "", origin.id)
        for root in (self.modelnet, self.modelnet / "ModelNet40"):
            for split in ("train", "test"):
                if _there(path := root / kind / split / f"{origin.id}.off"):
                    return path
        return None

    def _shapenet(self, origin: Origin) -> Path | None:
        if (path := self._stems("shapenet").get(origin.id.lower())) is not None:
            return path
        if (row := self._models.get(origin.id.removeprefix("model_"))) is None:
            return None
        assert self.shapenet is not None
        folder = self.shapenet / row[0] / row[1]
        names = ("models/model_normalized.obj", "model.obj", "model_normalized.obj")
        return next((path for name in names if _there(path := folder / name)), None)

    @cached_property
    def _models(self) -> dict[str, tuple[str, str]]:
        """Return synset and model of every number in the lists beside ShapeNetCore."""
        assert self.shapenet is not None
        lists = [path for name in _CSVS if (path := self.shapenet / name).is_file()]
        rows = [row for path in lists for row in read_table(path)]
        return {
            row["id"].zfill(6): (row.get("synsetId", "").zfill(8), row.get("modelId", ""))
            for row in rows
            if row.get("id", "").isdigit()
        }

    def check_version(self, origins: Iterable[Origin]) -> None:
        """Refuse a list beside ShapeNetCore that numbers its models otherwise than MI3DOR's names do.

        Raises:
            HifaError: most shapes of nine classes would be of other synsets.
        """
        if self.shapenet is None:
            return
        sure = [one for one in origins if one.source == "shapenet" and one.class_name in _SURE]
        told = [(one, row) for one in sure if (row := self._models.get(one.id.removeprefix("model_")))]
        wrong = [one for one, row in told if row[0] != _SURE[one.class_name]]
        if told and len(wrong) > len(told) / 2:
            raise HifaError(
                f"the lists in {self.shapenet} are of another version: {len(wrong)} of {len(told)} numbers "
                f"are of another synset than their class, such as {wrong[0].id} ({wrong[0].class_name}); "
                "take SHREC'16's"
            )

    def _stems(self, source: SourceName) -> dict[str, Path]:
        """Return the meshes of a set by their names without ending, in small letters."""
        if source not in self._walked:
            root = getattr(self, source)
            wanted = _flat_meshes(root) if source == "shapenet" else _all_meshes(root)
            self._walked[source] = {path.stem.lower(): path for path in wanted}
        return self._walked[source]

    @cached_property
    def _walked(self) -> dict[SourceName, dict[str, Path]]:
        return {}


def _flat_meshes(root: Path) -> Iterator[Path]:
    """Yield ``model_*.obj`` in the root and the folders below it, as SHREC'16 gave them out."""
    for pattern in ("model_*.obj", "*/model_*.obj", "*/*/model_[0-9]*.obj"):
        yield from (path for path in root.glob(pattern) if _there(path))


def _all_meshes(root: Path) -> Iterator[Path]:
    """Yield every mesh below the root; links between folders are followed once."""
    seen = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        real = {name: os.path.realpath(Path(folder) / name) for name in folders}
        folders[:] = [name for name in sorted(folders) if real[name] not in seen]
        seen.update(real.values())
        for name in progress.track(sorted(files), f"look through {root.name}"):
            if Path(name).suffix.lower() in _MESHES and _there(path := Path(folder) / name):
                yield path


def _there(path: Path) -> bool:
    """Return whether a path is a file; a link that leads nowhere counts, for it is reported as such."""
    return path.is_file() or path.is_symlink()
