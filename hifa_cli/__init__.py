"""HIFA: find 3D shapes from a photo."""

__version__ = "0.2.0"
