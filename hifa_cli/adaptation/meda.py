"""MEDA: a classifier on manifold features that evens out the domains (Wang et al., ACM MM 2018).

F = K β solves ((E + λ M + ρ L) K + η I) β = E Y: right on the photos (E), the same distribution in both
domains (M), smooth over the graph of neighbours (L), small (η). Shapes are labelled by F itself and M is
made anew, T times. Y has a column a class; rows of F, the class scores, are what is retrieved with.

Between rounds only M changes, and it is a sum of C + 1 outer products: the matrix without it is factorised
once and the rest is a small correction (Woodbury), where the authors' code solves anew each round.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse

from hifa_cli.adaptation.geodesic_flow import geodesic_map, principal_axes
from hifa_cli.adaptation.neighbours import (
    Floats,
    Labels,
    blocks,
    cosine_graph,
    laplacian,
    nearest_labels,
    squared_distances,
    unit_rows,
)
from hifa_cli.config import AdaptConfig

_JITTER = 1e-10  # of the mean diagonal, where landmarks lie so near each other that the system is singular


@dataclass(frozen=True)
class Meda:
    """A fitted classifier.

    Attributes:
        projection: (D, 2 d) to the manifold's features.
        points: (m, 2 d) of unit length: the training vectors, photos first, or the landmarks.
        coefficients: (m, C) β.
        width: (1,) σ of the Gaussian kernel exp(−‖x − y‖² / 2σ²).
        balance: (rounds,) μ of each round: 0 evens out the whole domains, 1 the classes.
    """

    projection: Floats
    points: Floats
    coefficients: Floats
    width: Floats
    balance: Floats

    def manifold(self, vectors: NDArray[np.floating]) -> Floats:
        """Return (n, D) to (n, 2 d) features of unit length."""
        return unit_rows(vectors.astype(np.float64) @ self.projection)

    def __call__(self, vectors: NDArray[np.floating]) -> Floats:
        """Return (n, D) to (n, C) class scores."""
        features, scores = self.manifold(vectors), np.empty((len(vectors), self.coefficients.shape[1]))
        for block in blocks(len(features), len(self.points)):
            scores[block] = gaussian(features[block], self.points, self.width[0]) @ self.coefficients
        return scores


class Problem(NamedTuple):
    """The matrices that stay the same in all rounds.

    Attributes:
        kernel: (n, m) of all training vectors, photos first, with the points.
        system: LU factors of the (m, m) matrix without M, transposed.
        given: (m, C) right-hand side.
        points: (m,) rows of the points, or None where all are.
    """

    kernel: Floats
    system: tuple[Floats, NDArray[np.int32]]
    given: Floats
    points: NDArray[np.int64] | None


def memory_needed(count: int, landmarks: int) -> float:
    """Bytes for the matrices of ``count`` vectors: kernel and system, and what a product makes meanwhile."""
    points = landmarks or count
    return 8.0 * (count * points + (points * points if not landmarks else count * points + 2 * points**2))


def fit_meda(
    source: Floats,
    labels: Labels,
    target: Floats,
    config: AdaptConfig,
    dimension: int,
    generator: np.random.Generator,
) -> Meda:
    """Fit the classifier.

    Args:
        source: (n_s, D) photos.
        labels: (n_s,) their classes, none negative.
        target: (n_t, D) shapes.
        config: λ, ρ, η, T, neighbours and landmarks.
        dimension: d ≤ min(D / 2, n_s − 1, n_t − 1).
        generator: chooses the landmarks.

    Returns:
        The classifier and its manifold.
    """
    projection = geodesic_map(principal_axes(source, dimension), principal_axes(target, dimension))
    plain = np.concatenate((source, target)) @ projection
    features, count = unit_rows(plain), len(source)
    width = float(np.sqrt(np.linalg.norm(features, axis=1).mean())) or 1.0  # one, unless there are zeros
    classes = np.unique(labels)
    problem = pose(features, labels, width, config, generator)
    guesses = nearest_labels(features[:count], labels, features[count:])
    balance = []
    for _ in range(config.iterations):
        balance.append(estimated_balance(plain[:count], labels, plain[count:], guesses))
        directions, weights = mean_differences(labels, guesses, balance[-1])
        beta = solved(problem, directions, config.alignment * weights)
        before, guesses = guesses, classes[(problem.kernel[count:] @ beta).argmax(axis=1)]
        if np.array_equal(before, guesses):
            break  # every further round would solve the same system
    points = features if problem.points is None else features[problem.points]
    return Meda(projection, points, beta, np.array([width]), np.array(balance))


def gaussian(left: Floats, right: Floats, width: float) -> Floats:
    """Return (n, F) and (m, F) to the (n, m) kernel, block by block: no other matrix of its size is made.

    Args:
        left: (n, F).
        right: (m, F).
        width: of the kernel: exp(−‖x − y‖² / (2 width²)).

    Returns:
        (n, m).
    """
    kernel = np.empty((len(left), len(right)))
    for block in blocks(len(left), len(right)):
        kernel[block] = squared_distances(left[block], right)
    kernel /= -2 * width**2
    found: Floats = np.exp(kernel, out=kernel)
    return found


def pose(
    features: Floats, labels: Labels, width: float, config: AdaptConfig, generator: np.random.Generator
) -> Problem:
    """Set up and factorise what stays the same.

    With m landmarks (Nyström) F = K_nm γ, and (K_mn (E + λ M + ρ L) K_nm + η K_mm) γ = K_mn E Y makes the
    same sum of penalties smallest among these functions; with all vectors as landmarks it is the same F.

    Args:
        features: (n, F) of photos, then shapes.
        labels: (n,) classes, −1 for shapes.
        width: of the kernel.
        config: λ, ρ, η, neighbours and landmarks.
        generator: chooses the landmarks.

    Returns:
        The factorised problem.
    """
    count, photos = len(features), len(labels)
    graph = laplacian(cosine_graph(features, config.neighbours)) * config.rho
    wanted = (labels[:, None] == np.unique(labels)).astype(np.float64)  # Y on the photos
    chosen = None
    if 0 < config.landmarks < count:
        chosen = np.sort(generator.choice(count, config.landmarks, replace=False)).astype(np.int64)
    kernel = gaussian(features, features if chosen is None else features[chosen], width)
    system = _penalised(graph, kernel, photos)
    if chosen is None:
        given = np.concatenate((wanted, np.zeros((count - photos, wanted.shape[1]))))
        system[np.diag_indices_from(system)] += config.eta
    else:
        given = kernel[:photos].T @ wanted
        system = kernel.T @ system + config.eta * kernel[chosen]
        system[np.diag_indices_from(system)] += _JITTER * np.trace(system) / len(system)
    return Problem(kernel, linalg.lu_factor(system.T, overwrite_a=True), given, chosen)


def _penalised(graph: sparse.csr_array, kernel: Floats, photos: int) -> Floats:
    """Return (E + ρ L) K."""
    product: Floats = graph @ kernel
    for block in blocks(photos, kernel.shape[1]):
        product[block] += kernel[block]
    return product


def mean_differences(labels: Labels, guesses: Labels, balance: float) -> tuple[Floats, Floats]:
    """M = U diag(w) Uᵀ, of Frobenius norm one: (1 − μ) C e eᵀ + μ Σ_c e_c e_cᵀ.

    Args:
        labels: (n_s,) of the photos.
        guesses: (n_t,) of the shapes.
        balance: μ.

    Returns:
        (n, C + 1) U and its weights. A class without a shape has no e_c; in the authors' code it draws its
        photos' mean score towards zero instead.
    """
    classes, count = np.unique(labels), len(labels) + len(guesses)
    columns = [
        np.concatenate((np.full(len(labels), 1 / len(labels)), np.full(len(guesses), -1 / len(guesses))))
    ]
    weights = [(1 - balance) * len(classes)]
    for label in classes:
        if len(theirs := np.flatnonzero(guesses == label)):
            column, mine = np.zeros(count), np.flatnonzero(labels == label)
            column[mine], column[len(labels) + theirs] = 1 / len(mine), -1 / len(theirs)
            columns.append(column)
            weights.append(balance)
    directions, found = np.stack(columns, axis=1), np.array(weights)
    norm = np.sqrt(found @ (directions.T @ directions) ** 2 @ found)
    return directions, found / (norm or 1.0)


def solved(problem: Problem, directions: Floats, weights: Floats) -> Floats:
    """β for this round's M: (A + U D V) β = R by Woodbury's identity, V = Uᵀ K.

    Args:
        problem: of :func:`pose`.
        directions: (n, r) U.
        weights: (r,) D.

    Returns:
        β, or γ with landmarks.
    """
    right = directions.T @ problem.kernel  # V, (r, m)
    left = directions if problem.points is None else right.T
    both = np.concatenate((problem.given, left), axis=1)
    done = linalg.lu_solve(problem.system, both, trans=1)  # what was factorised is transposed
    plain, steep = done[:, : problem.given.shape[1]], done[:, problem.given.shape[1] :]
    small = np.eye(len(weights)) + weights[:, None] * (right @ steep)
    beta: Floats = plain - steep @ np.linalg.solve(small, weights[:, None] * (right @ plain))
    return beta


def estimated_balance(source: Floats, labels: Labels, target: Floats, guesses: Labels) -> float:
    """μ = d_c / (d_0 + d_c), from how well a line tells the domains apart, whole (d_0) and by class (d_c).

    The authors' code compares every class of photos with the shapes guessed to be of the *first* class, a
    slip against the paper; here each is compared with its own, and classes without shapes are left out.

    Args:
        source: (n_s, D) photos.
        labels: (n_s,) their classes.
        target: (n_t, D) shapes.
        guesses: (n_t,) classes that the shapes are taken for.

    Returns:
        μ, 0 to 1.
    """
    whole = proxy_distance(source, target)
    parts = [
        proxy_distance(source[labels == label], target[guesses == label])
        for label in np.unique(labels)
        if (guesses == label).any()
    ]
    by_class = float(np.mean(parts)) if parts else 0.0
    return by_class / (whole + by_class) if whole + by_class > 0 else 0.5


def proxy_distance(source: Floats, target: Floats) -> float:
    """Return the proxy A-distance 2 (1 − 2 ε) of a linear classifier's training error ε; never negative.

    References:
        Ben-David et al., NIPS 2006. The classifier is an SVM with squared hinge loss and λ = 1 / n, as smooth
        as L-BFGS wants it; MATLAB's ``fitclinear``, which the authors use, draws random numbers.
    """
    inputs = np.concatenate((source, target))
    inputs = np.concatenate((inputs, np.ones((len(inputs), 1))), axis=1)
    sides = np.concatenate((np.ones(len(source)), -np.ones(len(target))))

    found = optimize.minimize(
        hinge, np.zeros(inputs.shape[1]), args=(inputs, sides), jac=True, method="L-BFGS-B"
    )
    errors = np.mean(np.where(inputs @ found.x >= 0, 1.0, -1.0) != sides)
    return max(2 * (1 - 2 * float(errors)), 0.0)


def hinge(weights: Floats, inputs: Floats, sides: Floats) -> tuple[float, Floats]:
    """Return (‖w‖² / 2 + Σ max(0, 1 − y wᵀx)²) / n and its gradient; the offset is not penalised.

    Args:
        weights: (F + 1,).
        inputs: (n, F + 1), the last column one.
        sides: (n,) 1 or −1.

    Returns:
        The value, and (F + 1,).
    """
    slack = np.maximum(1 - sides * (inputs @ weights), 0)
    kept = np.append(weights[:-1], 0.0)
    value = float(kept @ kept / 2 + slack @ slack) / len(sides)
    return value, (kept - 2 * inputs.T @ (sides * slack)) / len(sides)
