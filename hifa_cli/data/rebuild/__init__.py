"""MI3DOR again from the sets that it was taken from: ImageNet, ShapeNetCore, ModelNet40, PSB, NTU.

The benchmark itself is given out by its authors on agreement. Lists of all its items were published with a
later method (Wyyspace1203/MA on GitHub, ``data/mi3dor/*.txt``); an item's name says which source it is from.
"""

from hifa_cli.data.rebuild.build import Built, build
from hifa_cli.data.rebuild.holdings import Holdings
from hifa_cli.data.rebuild.names import Origin, origin_of, read_lists

__all__ = ["Built", "Holdings", "Origin", "build", "origin_of", "read_lists"]
