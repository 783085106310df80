"""How right explanations are, where the truth is known."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from naejax.data.cells import is_missing
from naejax.data.synthetic import Process
from naejax.explain.additive import Shape


def shape_recovery(
    shape: Shape, truth: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """R2 of a shape's mean curve for the true one, each less its mean.

    ``1 - sum_p w_p (mean_p - h(x_p))^2 / sum_p w_p h(x_p)^2`` over the positions p that
    are numbers, weighted by their rows.

    Args:
        shape: of a numeric feature.
        truth: h, as in `naejax.data.synthetic.Process.shapes`.

    Returns:
        At most 1, (C,); NaN where the truth is constant.

    Raises:
        ValueError: the feature is not numeric.

    Example:
        >>> from naejax.data.schema import Feature
        >>> x, f, one = np.array([-1.0, 1.0]), np.array([[-2.0], [2.0]]), np.ones(1)
        >>> shape = Shape(Feature("x", "numeric"), x, np.array([5, 5]), f, f, f, f, f,
        ...               one, one, one, (-1.0, 1.0), np.zeros(0), np.zeros(0))
        >>> shape_recovery(shape, lambda x: 2 * x + 7), shape_recovery(shape, np.sign)
        (array([1.]), array([0.]))
    """
    if shape.feature.kind != "numeric":
        raise ValueError(
            f"the feature {shape.feature.name!r} is {shape.feature.kind}, expected a "
            "numeric one: the truth is a function of numbers"
        )
    known = ~is_missing(shape.positions)
    weights = shape.counts[known] / shape.counts[known].sum()
    mean, true = shape.mean[known], truth(shape.positions[known])[:, None]
    mean, true = mean - weights @ mean, true - weights @ true
    total = weights @ true**2
    error = weights @ (mean - true) ** 2
    return 1 - error / np.where(total > 0, total, np.nan)


def range_coverage(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """The share of rows whose true contribution lies in the context range.

    Args:
        lower: of `naejax.contribution_range`, (B, F, C), with the shift subtracted that
            makes it comparable to the truth.
        upper: likewise.
        truth: true contributions, (B, F, C).

    Returns:
        Share of the rows, mean over the outputs, (F,).

    Example:
        >>> range_coverage([[[-1.0]], [[2.0]]], [[[1.0]], [[3.0]]], [[[0.0]], [[0.0]]])
        array([0.5])
    """
    lower, upper, truth = map(np.asarray, (lower, upper, truth))
    return ((lower <= truth) & (truth <= upper)).mean(axis=(0, 2))


def pair_strengths(matrix: ArrayLike) -> np.ndarray:
    """The interaction of two features whichever of them carries it.

    ``sqrt(I_ij^2 + I_ji^2)``: a product of two features can show as a contribution of
    either one that the other moves.

    Args:
        matrix: of `naejax.explain.interaction_matrix` for one output, (F, F).

    Returns:
        Symmetric, (F, F).

    Example:
        >>> pair_strengths([[0.0, 3.0], [4.0, 0.0]])
        array([[0., 5.],
               [5., 0.]])
    """
    matrix = np.asarray(matrix)
    return np.hypot(matrix, matrix.T)


def interaction_auc(matrix: ArrayLike, pairs: Iterable[tuple[int, int]]) -> float:
    """How well interactions rank the pairs that truly interact before the others.

    Args:
        matrix: of `naejax.explain.interaction_matrix` for one output, (F, F).
        pairs: (i, j) that truly interact, as in
            `naejax.data.synthetic.Process.interactions`.

    Returns:
        Area under the ROC curve of `pair_strengths`: the chance that a true pair is
        stronger than another one, 0.5 for chance.

    Raises:
        ValueError: all pairs are true, or none.

    Example:
        >>> interaction_auc([[0, 9, 1], [0, 0, 2], [0, 3, 0]], [(0, 1)])
        1.0
    """
    from sklearn.metrics import roc_auc_score

    strengths = pair_strengths(matrix)
    upper = np.triu_indices(len(strengths), k=1)
    is_true = np.zeros(strengths.shape, bool)
    for i, j in pairs:
        is_true[i, j] = is_true[j, i] = True
    truth = is_true[upper]
    if truth.all() or not truth.any():
        raise ValueError(
            f"{truth.sum()} of {len(truth)} pairs interact, expected some but not all: "
            "there is nothing to rank"
        )
    return float(roc_auc_score(truth, strengths[upper]))


def true_additivity(process: Process, x: np.ndarray) -> float:
    """The share of the variance of a known function that its shapes explain.

    Args:
        process: knows the function and its shapes; features are independent.
        x: rows, (N, F).

    Returns:
        R2 of the sum of the shapes for the function, at most 1.

    Example:
        >>> from naejax.data.synthetic import make_synthetic
        >>> data = make_synthetic("additive", rows=100)
        >>> true_additivity(data, data.x)
        1.0
    """
    signal = process.function(x)
    shapes = sum(shape(x[:, i]) for i, shape in enumerate(process.shapes))
    return float(1 - np.var(signal - shapes) / np.var(signal))


def additivity_error(estimated: ArrayLike, true: ArrayLike) -> float:
    """Mean absolute error of additivity.

    Args:
        estimated: numbers in [0, 1] of any shape.
        true: as many.

    Returns:
        0 at best, 1 at worst.

    Example:
        >>> additivity_error([0.5, 1.0], [0.0, 1.0])
        0.25
    """
    return float(np.abs(np.asarray(estimated) - np.asarray(true)).mean())
