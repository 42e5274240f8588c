"""Join the embeddings of photos and shapes to one export."""

from collections.abc import Callable, Sequence
from typing import Any

from hifa_cli import __version__
from hifa_cli.data import Collection, Item
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError


class NothingRead(HifaError):
    """None of the items can be read.

    Args:
        label: of the work.
    """

    def __init__(self, label: str) -> None:
        super().__init__(f"nothing could be read ({label}); check the folder with 'hifa data check'")


def joined(
    images: Collection | None,
    shapes: Collection | None,
    embedded: Callable[[Sequence[Item], str], Embeddings],
    *,
    method: str,
    model: str,
    config: dict[str, Any],
) -> Export:
    """Embed photos, shapes or both; one list holds the classes of both.

    Args:
        images: photos.
        shapes: rendered shapes.
        embedded: embeds the items of a domain, ``images`` or ``shapes``.
        method: of the model.
        model: its digest.
        config: of the model, and where everything came from.

    Returns:
        The export; a domain that is None stays None.

    Raises:
        HifaError: nothing of a domain can be read.
    """
    classes = tuple(sorted({name for part in (images, shapes) if part for name in part.classes}))
    return Export(
        images=embedded(images.relabelled(classes).items, "images") if images else None,
        shapes=embedded(shapes.relabelled(classes).items, "shapes") if shapes else None,
        classes=classes,
        hifa_version=__version__,
        method=method,
        model=model,
        config=config,
    )
