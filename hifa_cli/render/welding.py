"""One vertex a place: soups of triangles name each place five or six times, and each would be projected."""

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled

MANY = 0.75  # vertices a face: closed meshes that share theirs have a half, and are left as they are
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio (Knuth, TAOCP 6.4)


def one_a_place(
    vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the same triangles with one vertex where several lie; a mesh of few vertices as it is.

    Only vertices whose coordinates are equal are one, so that all that is computed of a face stays as it was.

    Args:
        vertices: (n, 3).
        faces: (m, 3).

    Returns:
        (k, 3) vertices in the order of their first appearance, and (m, 3) faces.
    """
    if len(vertices) < MANY * len(faces):
        return vertices, faces
    numbers, places = np.empty(len(vertices), dtype=np.int32), np.empty_like(vertices)
    count = weld_equal(vertices, numbers, places)
    return places[:count], numbers[faces]


@compiled
def weld_equal(vertices: NDArray[np.float64], numbers: NDArray[np.int32], places: NDArray[np.float64]) -> int:
    """Number the distinct places among ``vertices``.

    Args:
        vertices: (n, 3), all finite.
        numbers: (n,) set to the number of each vertex's place.
        places: (n, 3) set from the front to the places.

    Returns:
        How many there are.
    """
    size = 16
    while 2 * size < 3 * len(vertices):
        size *= 2
    table, last = np.full(size, -1, dtype=np.int32), np.uint64(size - 1)
    count = 0
    for vertex in range(vertices.shape[0]):
        x, y, z = vertices[vertex, 0] + 0.0, vertices[vertex, 1] + 0.0, vertices[vertex, 2] + 0.0  # −0 is 0
        mark = np.float64(x).view(np.uint64) * _MIX
        mark = ((mark ^ (mark >> np.uint64(32))) + np.float64(y).view(np.uint64)) * _MIX
        mark = ((mark ^ (mark >> np.uint64(32))) + np.float64(z).view(np.uint64)) * _MIX
        slot = (mark ^ (mark >> np.uint64(32))) & last
        number = table[slot]
        while number >= 0 and not (
            places[number, 0] == x and places[number, 1] == y and places[number, 2] == z
        ):
            slot = (slot + np.uint64(1)) & last
            number = table[slot]
        if number < 0:
            table[slot] = number = count
            places[count, 0], places[count, 1], places[count, 2] = x, y, z
            count += 1
        numbers[vertex] = number
    return count
