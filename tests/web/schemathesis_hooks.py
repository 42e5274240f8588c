"""Data for Schemathesis: photos, and ids, classes and conditions that the tests' gallery has."""

import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

KNOWN = {
    "class": (["rod"], ["box", "rod"], []),
    "like": (["rod/1"], ["rod/1", "box/1"], []),
    "unlike": (["rod/2"], []),
    "where": ("watertight", "faces < 5000 and class = 'rod'", ""),
    "crop": (["1,1,20,20"], [""], []),
    "text": ("", "a chair"),
}
PHOTOS = [one.read_bytes() for one in sorted(Path(os.environ["HIFA_TEST_PHOTOS"]).glob("*/*.png"))]
photos = st.sampled_from(PHOTOS)
bodies = photos | photos | photos.map(lambda one: one[: len(one) // 2]) | st.binary(max_size=99)

for kind in ("image/*", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, bodies)


@schemathesis.hook
def flatmap_path_parameters(context: Any, found: Any) -> Any:
    """Name shapes that exist half of the time."""
    if not found or "id" not in found:
        return st.just(found)
    shapes = st.sampled_from(["rod/1", "rod/2", "box/1"])
    return shapes.map(lambda name: {**found, "id": name}) | st.just(found)


@schemathesis.hook
def flatmap_query(context: Any, found: Any) -> Any:
    """Replace options by ones that the gallery can answer half of the time."""
    known = {name: st.sampled_from(values) for name, values in KNOWN.items() if name in (found or {})}
    if not known:
        return st.just(found)
    return st.fixed_dictionaries(known).map(lambda some: {**found, **some}) | st.just(found)
