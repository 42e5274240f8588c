"""The kind of a folder or file, told from what lies in it, and the verb that takes it."""

from pathlib import Path

from hifa_cli.errors import HifaError

_MARKS = {
    "gallery.json": "a gallery",
    "views.json": "a folder of rendered views",
    "model.safetensors": "a run of 'hifa train'",
    "compare.json": "a comparison of 'hifa compare'",
}
_TAKEN_BY = {
    "a gallery": "hifa query PHOTO -g {place}",
    "a folder of rendered views": "hifa index {place} --out GALLERY",
    "a run of 'hifa train'": "hifa export --model {place} --images PHOTOS --shapes VIEWS --out all.h5",
    "a comparison of 'hifa compare'": "hifa compare --out {place}",
    "an export": "hifa index {place} --out GALLERY",
}
EXPORT_SUFFIXES = (".h5", ".hdf5", ".hdf", ".parquet")


def kind_of(place: Path) -> str | None:
    """Return what hifa itself wrote at ``place`` ("a gallery", "an export", …), or None."""
    if place.is_file():
        return "an export" if place.suffix.lower() in EXPORT_SUFFIXES else None
    for name, kind in _MARKS.items():
        if (place / name).is_file():
            return kind
    return None


def refuse_url(place: Path) -> None:
    """Refuse a URL, of which a path keeps one of the slashes.

    Raises:
        HifaError: it is one.
    """
    scheme, colon, rest = str(place).partition(":/")
    if colon and len(scheme) > 1 and scheme.isalnum() and not place.exists():
        raise HifaError(f"{scheme}://{rest.lstrip('/')} is a URL, and hifa reads files: download it first")


def refuse_other(place: Path, *taken: str, wanted: str) -> None:
    """Refuse what hifa wrote for another verb.

    Args:
        place: a folder or file that a user gave.
        taken: kinds of :func:`kind_of` that the verb takes.
        wanted: what the verb takes, in words.

    Raises:
        HifaError: it is a URL, or of another kind; the message says which verb takes it.
    """
    refuse_url(place)
    kind = kind_of(place)
    if kind is None or kind in taken:
        return
    verb = _TAKEN_BY[kind].format(place=place)
    raise HifaError(f"{place} is {kind}, not {wanted}: '{verb}' takes it")
