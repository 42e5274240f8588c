"""The geodesic flow kernel: inner products along the path from one domain's subspace to the other's."""

import numpy as np
from scipy import linalg

from hifa_cli.adaptation.neighbours import Floats


def principal_axes(vectors: Floats, count: int) -> Floats:
    """Return (D, count) orthonormal directions of the largest variance of (n, D) vectors."""
    centred = vectors - vectors.mean(axis=0)
    if len(vectors) < vectors.shape[1]:
        axes: Floats = np.linalg.svd(centred, full_matrices=False)[2][:count].T
        return axes
    size = vectors.shape[1]
    _, found = linalg.eigh(centred.T @ centred, subset_by_index=[size - count, size - 1])
    axes = found[:, ::-1]
    return axes


def geodesic_map(source: Floats, target: Floats) -> Floats:
    """Return a map whose products are the kernel's: G = ∫₀¹ Φ(t) Φ(t)ᵀ dt = P Pᵀ.

    Φ(t) runs from the source's subspace to the target's along the shortest path: with principal angles θ,
    Φ(t) = A cos(tθ) + B sin(tθ), A the source's principal vectors and B the directions towards the target's.

    Args:
        source: (D, d) orthonormal basis.
        target: (D, d) orthonormal basis, d ≤ D / 2.

    Returns:
        P, (D, 2 d). MEDA's code multiplies by G's symmetric root, (D, D); the products are the same.

    References:
        Gong et al., CVPR 2012, eq. 4 to 6 and appendix.
    """
    left, cosines, right = np.linalg.svd(source.T @ target)
    at_source, at_target = source @ left, target @ right.T
    away = at_target - at_source * np.clip(cosines, -1, 1)
    sines = np.linalg.norm(away, axis=0)
    angles = np.arctan2(sines, cosines)
    onward = away / np.where(sines > 0, sines, 1.0)  # where the angle is nothing its weight is too
    return _rooted(at_source, onward, angles)


def _rooted(at_source: Floats, onward: Floats, angles: Floats) -> Floats:
    """[A, B] times the root of the 2 × 2 blocks ∫ (cos tθ, sin tθ)ᵀ (cos tθ, sin tθ) dt."""
    # sin 2θ / 2θ by np.sinc, which knows its limit
    ratio = np.sinc(2 * angles / np.pi)
    cross = np.sin(angles) * np.sinc(angles / np.pi) / 2  # (1 - cos 2θ) / 4θ
    matrices = np.stack([[(1 + ratio) / 2, cross], [cross, (1 - ratio) / 2]]).transpose(2, 0, 1)
    values, vectors = np.linalg.eigh(matrices)
    roots = (vectors * np.sqrt(np.clip(values, 0, None))[:, None]) @ vectors.transpose(0, 2, 1)
    first = at_source * roots[:, 0, 0] + onward * roots[:, 1, 0]
    second = at_source * roots[:, 0, 1] + onward * roots[:, 1, 1]
    return np.concatenate((first, second), axis=1)
