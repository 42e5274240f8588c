"""Processes that generate photos of meshes: as those that draw views, each its own."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from hifa_cli.render.cameras import upright
from hifa_cli.render.job import DrawShape, Pictures
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.views import up_axis
from hifa_cli.render.workers import Worker, main
from hifa_cli.runtime.child import module_command
from hifa_cli.synthetic.mesh_photos import make_mesh_photo
from hifa_cli.synthetic.wear import worn

STYLE = 1  # raised whenever the same seed gives another photo
QUALITY = 92  # of the JPEGs
WEAR = 1  # raised whenever the same seed gives another worn copy
_STREAM, _WEAR_STREAM = 991, 992  # of the random numbers, apart from those of the benchmarks


class PhotoWorker(Worker):
    """One process that generates photos."""

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        return module_command("hifa_cli.synthetic.photo_worker")


def photo_mark(digest: bytes, photos: int, longest: int, *, worn_too: bool = False) -> str:
    """Return the mark of a shape's photos: all that they depend on.

    Args:
        digest: of the shape.
        photos: how many.
        longest: pixels of the longer side.
        worn_too: whether a worn copy of each but the first follows them.

    Returns:
        A text that differs where the photos would.
    """
    mark = {"digest": digest.hex(), "photos": photos, "longest": longest, "style": STYLE}
    return json.dumps({**mark, "worn": WEAR} if worn_too else mark)


class PhotographShape(DrawShape):
    """A mesh file to a folder of photos, ``00.jpg`` and so on."""

    def pictures(self, path: Path, mark: str) -> Pictures:
        """Return the photos that a mark asks for."""
        wanted = json.loads(mark)
        mesh = read_mesh(path)
        vertices = upright(mesh.vertices, up_axis(path, self.views.config, self.views.rules))
        seed = int.from_bytes(bytes.fromhex(wanted["digest"])[:8], "big")
        made = [
            make_mesh_photo(
                vertices, mesh.faces, np.random.default_rng([seed, number, _STREAM]), int(wanted["longest"])
            ).picture
            for number in range(int(wanted["photos"]))
        ]
        rng = np.random.default_rng([seed, _WEAR_STREAM])
        pairs = zip(made[1:], [*made[2:], made[0]], strict=True) if "worn" in wanted else ()
        return made + [worn(picture, other, rng) for picture, other in pairs]

    def write(self, folder: Path, pictures: Pictures, mark: str) -> None:
        """Write the photos into an empty folder.

        Args:
            folder: empty.
            pictures: (n, height, width, 3) photos.
            mark: what they depend on; it is written with them.
        """
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{number:02d}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main(lambda: PhotographShape)
