"""From folders of photos and views to items: numpy and Pillow only, no tensors."""

from hifa_cli.data.formats import MESH_SUFFIXES, is_mesh
from hifa_cli.data.images import find_images
from hifa_cli.data.items import Collection, Item, Problem
from hifa_cli.data.pictures import MAX_PIXELS, read_picture
from hifa_cli.data.shapes import find_shapes
from hifa_cli.data.tree import PICTURE_SUFFIXES, SPLITS

__all__ = [
    "MAX_PIXELS",
    "MESH_SUFFIXES",
    "PICTURE_SUFFIXES",
    "SPLITS",
    "Collection",
    "Item",
    "Problem",
    "find_images",
    "find_shapes",
    "is_mesh",
    "read_picture",
]
