"""JGSA, MEDA and the geodesic flow kernel as their papers write them: dense (n, n) matrices and loops."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def nearest(vectors: Floats, labels: Labels, queries: Floats) -> Labels:
    """1-NN, one query at a time."""
    found = []
    for query in queries:
        distances = [float(((query - vector) ** 2).sum()) for vector in vectors]
        found.append(labels[int(np.argmin(distances))])
    return np.array(found, dtype=np.int64)


def mmd_matrix(labels: Labels, guesses: Labels, marginal: float, conditional: float) -> tuple[Floats, Floats]:
    """marginal · C e eᵀ + conditional · Σ e_c e_cᵀ over classes in both domains; and C e eᵀ alone."""
    n, m, classes = len(labels), len(guesses), sorted(set(labels.tolist()))
    e = np.array([1 / n] * n + [-1 / m] * m)
    whole = len(classes) * np.outer(e, e)
    matrix = marginal * whole
    for label in classes:
        mine = [i for i in range(n) if labels[i] == label]
        theirs = [i for i in range(m) if guesses[i] == label]
        if theirs:
            e = np.zeros(n + m)
            e[mine] = 1 / len(mine)
            e[[n + i for i in theirs]] = -1 / len(theirs)
            matrix = matrix + conditional * np.outer(e, e)
    return matrix, whole


def jgsa_matrices(
    xs: Floats, labels: Labels, xt: Floats, guesses: Labels, alpha: float, beta: float, mu: float
) -> tuple[Floats, Floats]:
    """Samples in rows; S_max and S_min of the paper's equation 14, without a ridge."""
    n, m, d = len(xs), len(xt), xs.shape[1]
    matrix, whole = mmd_matrix(labels, guesses, 1.0, 1.0)
    matrix = matrix / np.linalg.norm(whole)
    ts, tt = xs.T @ matrix[:n, :n] @ xs, xt.T @ matrix[n:, n:] @ xt
    tst, tts = xs.T @ matrix[:n, n:] @ xt, xt.T @ matrix[n:, :n] @ xs
    within, between = np.zeros((d, d)), np.zeros((d, d))
    for label in sorted(set(labels.tolist())):
        mine = xs[labels == label]
        centring = np.eye(len(mine)) - np.ones((len(mine), len(mine))) / len(mine)
        within += mine.T @ centring @ mine
        off = (mine.mean(axis=0) - xs.mean(axis=0))[:, None]
        between += len(mine) * off @ off.T
    centring = np.eye(m) - np.ones((m, m)) / m
    zero, same = np.zeros((d, d)), np.eye(d)
    greatest = np.block([[beta * between, zero], [zero, mu * xt.T @ centring @ xt]])
    least = np.block(
        [
            [ts + alpha * same + beta * within, tst - alpha * same],
            [tts - alpha * same, tt + (alpha + mu) * same],
        ]
    )
    return greatest, least


def flow_kernel(source: Floats, target: Floats, steps: int = 2000) -> Floats:
    """∫ Φ Φᵀ dt by the midpoint rule, Φ(t) orthonormalised from the path of the principal vectors."""
    left, cosines, right = np.linalg.svd(source.T @ target)
    start, end = source @ left, target @ right.T
    total = np.zeros((len(source), len(source)))
    for t in (np.arange(steps) + 0.5) / steps:
        columns = []
        for a, b, c in zip(start.T, end.T, cosines, strict=True):
            angle = np.arccos(np.clip(c, -1, 1))
            if angle < 1e-9:
                columns.append(a)
            else:  # spherical interpolation from a to b
                columns.append((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
        phi = np.stack(columns, axis=1)
        total += phi @ phi.T / steps
    return total


def graph_laplacian(vectors: Floats, neighbours: int) -> Floats:
    """Cosine weights to the nearest by cosine, symmetrised, self-connected, normalised."""
    n = len(vectors)
    weights = np.zeros((n, n))
    for i in range(n):
        cosines = []
        for j in range(n):
            norms = np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j])
            cosines.append(float(vectors[i] @ vectors[j] / norms) if norms else 0.0)
        order = sorted((j for j in range(n) if j != i), key=lambda j: -cosines[j])
        for j in order[:neighbours]:
            weights[i, j] = max(cosines[j], 0.0)
        weights[i, i] = 1.0
    weights = np.maximum(weights, weights.T)
    degrees = weights.sum(axis=1)
    return np.array(
        [
            [float(i == j) - weights[i, j] / np.sqrt(degrees[i] * degrees[j]) for j in range(n)]
            for i in range(n)
        ]
    )


def meda_kernel(features: Floats) -> Floats:
    """exp(−‖x − y‖² / 2σ²) with σ² the mean length, entry by entry."""
    n = len(features)
    squared_width = sum(float(np.linalg.norm(row)) for row in features) / n
    return np.array(
        [
            [np.exp(-((features[i] - features[j]) ** 2).sum() / (2 * squared_width)) for j in range(n)]
            for i in range(n)
        ]
    )


def meda_scores(
    features: Floats,
    labels: Labels,
    balances: list[float],
    alignment: float,
    rho: float,
    eta: float,
    neighbours: int,
) -> Floats:
    """F after as many rounds as there are balances; a dense solve a round. Photos first."""
    n, count = len(labels), len(features)
    classes = np.array(sorted(set(labels.tolist())))
    kernel, graph = meda_kernel(features), graph_laplacian(features, neighbours)
    known = np.diag([1.0] * n + [0.0] * (count - n))
    wanted = np.zeros((count, len(classes)))
    for i, label in enumerate(labels):
        wanted[i, classes.tolist().index(label)] = 1
    guesses = nearest(features[:n], labels, features[n:])
    for balance in balances:
        matrix, _ = mmd_matrix(labels, guesses, 1 - balance, balance)
        matrix = matrix / np.linalg.norm(matrix)
        system = (known + alignment * matrix + rho * graph) @ kernel + eta * np.eye(count)
        scores = kernel @ np.linalg.solve(system, known @ wanted)
        guesses = classes[scores[n:].argmax(axis=1)]
    return np.asarray(scores)
