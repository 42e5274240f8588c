"""Moving the vectors of a gallery: into a store, into another one, or back into its own folder."""

from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.config import IndexConfig
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.build import summary, writing
from hifa_cli.gallery.snapshot import Making, Plan, write_generation
from hifa_cli.gallery.stores import address_of, usable_store
from hifa_cli.runtime import progress


def rehouse(folder: Path, store: str, *, device: str = "cpu") -> dict[str, Any]:
    """Have the vectors of a gallery live elsewhere, to the bit as they are; all else stays.

    Args:
        folder: the gallery.
        store: ``lance:PATH``, ``qdrant://HOST[:PORT]/COLLECTION`` or ``local``.
        device: where FAISS builds an index, which a large local gallery has.

    Returns:
        What the gallery is now.

    Raises:
        HifaError: no gallery exists, the store cannot be used or holds another gallery, or somebody else
            writes.
    """
    address = usable_store(store, folder)
    read_gallery(folder)
    with writing(folder):
        old = read_gallery(folder)
        document = old.document
        if address == address_of(document, folder):
            progress.note(f"the vectors of {folder} live there already")
            return summary(document)
        config = IndexConfig(factory=str(document["wanted"]), views="drop" if old.views is None else "keep")
        plan = Plan(
            old, np.arange(len(old)), [], Making(old.model, old.method, old.model_folder), config,
            ranking=document.get("ranking"), device=device, taught=old.taught, shard=document.get("shard"),
            store=address,
        )  # fmt: skip
        return summary(write_generation(folder, plan))
