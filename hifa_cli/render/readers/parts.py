"""A scene's parts, put together as one mesh."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError

# (n, 3) vertices and (m, 3) faces as a reader gives them, and perhaps what it left out, to be said
Arrays = tuple[NDArray[Any], NDArray[Any]] | tuple[NDArray[Any], NDArray[Any], str]

_STAY = np.eye(4)
MOST_FACES = 1 << 28  # of a scene with all its copies: a worker's memory ends before


class Parts:
    """Triangles of several bodies, each moved to its place."""

    def __init__(self) -> None:
        self._vertices: list[NDArray[np.float64]] = []
        self._faces: list[NDArray[np.int64]] = []
        self._offset = 0
        self._count = 0

    def add(
        self, vertices: NDArray[np.float64], faces: NDArray[np.int64], place: NDArray[np.float64]
    ) -> None:
        """Add a body; its faces that name vertices that it does not have become −1.

        Args:
            vertices: (n, 3).
            faces: (m, 3).
            place: (4, 4) that moves columns (x, y, z, 1).

        Raises:
            HifaError: all parts together have more faces than any machine holds.
        """
        self._count += len(faces)
        if self._count > MOST_FACES:
            raise HifaError(f"has more than {MOST_FACES:,} faces with all its copies: make it smaller")
        if not np.array_equal(place, _STAY):
            with np.errstate(invalid="ignore", over="ignore"):
                vertices = vertices @ place[:3, :3].T + place[:3, 3]
        moved = faces + self._offset if self._offset else faces
        if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
            exist = ((faces >= 0) & (faces < len(vertices))).all(axis=1)
            moved = np.where(np.reshape(exist, (-1, 1)), moved, -1)
        self._vertices.append(vertices)
        self._faces.append(moved)
        self._offset += len(vertices)

    def joined(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return (n, 3) vertices and (m, 3) faces of all parts."""
        if len(self._faces) == 1:
            return self._vertices[0], self._faces[0]
        none = np.empty((0, 3), dtype=np.int64)
        return np.concatenate([np.empty((0, 3)), *self._vertices]), np.concatenate([none, *self._faces])
