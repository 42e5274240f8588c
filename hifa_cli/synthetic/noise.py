"""Smooth noise in space, from which textures, clouds and foliage are made."""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled
from hifa_cli.synthetic.primitives import Floats

LATTICE = 32  # knots a side of the repeating cube; a power of two


def noise_table(rng: np.random.Generator) -> Floats:
    """Return a (LATTICE, LATTICE, LATTICE) block of uniform numbers that `noise` looks up."""
    return rng.random((LATTICE, LATTICE, LATTICE))


def noise(table: Floats, points: Floats, octaves: int = 1) -> Floats:
    """Value noise with one knot a unit, each further octave twice as fine and half as strong.

    Args:
        table: from `noise_table`.
        points: (n, 3).
        octaves: how many.

    Returns:
        (n,) in 0 … 1.
    """
    values = np.empty(len(points))
    fill_noise(table, np.ascontiguousarray(points, dtype=np.float64), octaves, values)
    return values


@compiled
def fill_noise(table: Floats, points: Floats, octaves: int, values: NDArray[np.float64]) -> None:
    """Fill in the trilinear interpolation between the table's knots, summed over octaves.

    Args:
        table: (k, k, k) knots, which repeat.
        points: (n, 3).
        octaves: how many, each of half the size and weight.
        values: (n,) set in place.
    """
    mask = table.shape[0] - 1
    for point in range(len(points)):
        total, weight, whole, pitch = 0.0, 1.0, 0.0, 1.0
        for octave in range(octaves):
            x = points[point, 0] * pitch + 7.3 * octave
            y = points[point, 1] * pitch + 7.3 * octave
            z = points[point, 2] * pitch + 7.3 * octave
            fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
            i, j, k = int(fx) & mask, int(fy) & mask, int(fz) & mask
            u, v, w = x - fx, y - fy, z - fz
            i2, j2, k2 = (i + 1) & mask, (j + 1) & mask, (k + 1) & mask
            near = (table[i, j, k] * (1 - u) + table[i2, j, k] * u) * (1 - v)
            near += (table[i, j2, k] * (1 - u) + table[i2, j2, k] * u) * v
            far = (table[i, j, k2] * (1 - u) + table[i2, j, k2] * u) * (1 - v)
            far += (table[i, j2, k2] * (1 - u) + table[i2, j2, k2] * u) * v
            total += weight * (near * (1 - w) + far * w)
            whole += weight
            weight *= 0.5
            pitch *= 2.0
        values[point] = total / whole
