"""Galleries of adapted embeddings: the maps of ``hifa adapt`` lie beside the model's weights."""

import shutil
from contextlib import suppress
from pathlib import Path

from hifa_cli.embeddings.encoder import GRAPH_FILES, MODEL_ABOUT, MODEL_WEIGHTS, frozen_model, save_frozen
from hifa_cli.embeddings.io import Header, read_shapes_heading
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAPS_FILE, maps_of
from hifa_cli.models.about import read_about


def digest_in(folder: Path) -> str:
    """Return the digest of what makes vectors: of the maps in a model's folder, else of the model itself.

    Raises:
        HifaError: the folder holds no model, or maps that are damaged or were fitted on another model.
    """
    own = str(read_about(folder)["digest"])
    maps = maps_of(folder)
    if maps is None:
        return own
    if maps.base != own:
        raise HifaError(f"the maps in {folder} were fitted on embeddings of another model than the one there")
    return maps.digest()


def with_maps(export: Path, maps: Path, model: Path | None, scratch: Path) -> Path:
    """Put the model of an adapted export and its maps into one folder, as a gallery keeps them.

    Args:
        export: what ``hifa adapt`` wrote.
        maps: what it kept (``--maps``).
        model: folder of the run; None means the one that the export names, or the pretrained encoder.
        scratch: folder to make the new one in.

    Returns:
        The folder.

    Raises:
        HifaError: the export was not adapted by these maps, or the model below them cannot be found.
    """
    from hifa_cli.adaptation.adapters import load_maps

    learnt, header = load_maps(maps), read_shapes_heading(export)
    if header.model != learnt.digest():
        raise HifaError(
            f"{export} was not adapted by {maps}: give the file that 'hifa adapt --maps' kept with it"
        )
    folder = scratch / "adapted"
    folder.mkdir(exist_ok=True)
    if model is None and frozen_model().digest == learnt.base:
        save_frozen(folder)
    else:
        base = model or _named(header)
        if base is None or read_about(base).get("digest") != learnt.base:
            raise HifaError(
                f"{maps} was fitted on another model's embeddings: give --model RUN, the run that made them"
            )
        for name in (MODEL_WEIGHTS, MODEL_ABOUT):
            shutil.copyfile(base / name, folder / name)
        for name in GRAPH_FILES:
            with suppress(FileNotFoundError):  # made anew where it is wanted
                shutil.copyfile(base / name, folder / name)
    shutil.copyfile(maps, folder / MAPS_FILE)
    return folder


def _named(header: Header) -> Path | None:
    """Return the run that an adapted export names, where it still is."""
    base = header.config.get("base")
    named = base.get("run") if isinstance(base, dict) else None
    return Path(named) if isinstance(named, str) and (Path(named) / MODEL_ABOUT).is_file() else None
