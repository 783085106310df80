"""One number per cell: normal quantiles, level codes and target statistics.

Pure functions on one column. A transform looks at one value at a time, so the result
does not depend on the other rows of the batch, to the last bit.
"""

from statistics import NormalDist

import numpy as np

from naejax.ops.value_knots import value_knots

_TAIL = 1e-3
"""Share of a normal distribution left beyond the outermost knots, at -3.1 and 3.1."""


def fit_knots(values: np.ndarray, num_knots: int) -> np.ndarray:
    """Knots of a column, and the normal quantiles of their ranks.

    A knot of which a share q of the rows lies below, and half of its own, gets
    ``ndtri(e + (1 - 2 e) q)`` with e = 0.001, so that what networks see is about
    standard normal whatever the unit, and without extremes. Between knots the encoding
    is linear (`to_normal`).

    Args:
        values: the column without missing values, (B,), B >= 1, in its own unit.
        num_knots: T, at least 2; see `naejax.ops.value_knots`.

    Returns:
        Increasing knots, and their codes, (2, n) float64 with n <= T.

    Example:
        >>> fit_knots(np.array([3.0, 1.0, 2.0]), num_knots=8).round(2)
        array([[ 1.  ,  2.  ,  3.  ],
               [-0.96,  0.  ,  0.96]])
    """
    ordered = np.sort(np.asarray(values, np.float64))
    knots = value_knots(ordered, num_knots)
    below = np.searchsorted(ordered, knots, "left")
    shares = (below + np.searchsorted(ordered, knots, "right")) / (2 * len(ordered))
    return np.stack([knots, _normal_quantiles(_TAIL + (1 - 2 * _TAIL) * shares)])


def standard_deviation(values: np.ndarray) -> float:
    """The standard deviation, also of numbers whose squares over- or underflow.

    Args:
        values: finite numbers, (B,), B >= 1.

    Returns:
        The population standard deviation.

    Example:
        >>> standard_deviation(np.array([-1e300, 1e300]))
        1e+300
    """
    largest = np.abs(values).max()
    if largest == 0 or 1e-150 < largest < 1e150:
        return float(np.std(values))
    return float(np.std(values / largest) * largest)


def to_normal(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Maps values to about normal scores, linearly between knots.

    Args:
        values: (B,) in the unit of the column; NaN stays NaN.
        knots: result of `fit_knots`, (2, n).

    Returns:
        Scores, (B,) float64; beyond the ends those of the ends.

    Example:
        >>> to_normal(np.array([0.0, 2.0, 9.0]), np.array([[1.0, 3.0], [-2.0, 2.0]]))
        array([-2.,  0.,  2.])
    """
    scores = np.interp(values, *knots)
    # Two knots may be so near that the slope between them overflows: a step, then.
    steep = np.isinf(scores)
    scores[steep] = knots[1, np.searchsorted(knots[0], values[steep])]
    # With a single knot np.interp gives a number for NaN.
    return np.where(np.isnan(values), np.nan, scores)


def from_normal(scores: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Inverts `to_normal` between the smallest and the largest knot.

    Args:
        scores: (B,); NaN stays NaN.
        knots: result of `fit_knots`, (2, n).

    Returns:
        Values in the unit of the column, (B,) float64.

    Example:
        >>> from_normal(np.array([0.0, 5.2]), np.array([[1.0, 3.0], [-2.0, 2.0]]))
        array([2., 3.])
    """
    return np.where(np.isnan(scores), np.nan, np.interp(scores, *knots[::-1]))


def level_codes(num_levels: int) -> np.ndarray:
    """Spreads n unordered levels like n draws from a normal distribution.

    Level j gets ``ndtri((j + 0.5) / n)``. No label is used, hence none can leak.

    Args:
        num_levels: n >= 1.

    Returns:
        Increasing codes, symmetric about 0, (n,) float64.

    Example:
        >>> level_codes(3).round(3)
        array([-0.967,  0.   ,  0.967])
    """
    return _normal_quantiles((np.arange(num_levels) + 0.5) / num_levels)


def target_statistics(
    levels: np.ndarray, labels: np.ndarray, num_levels: int, *, smoothing: float = 10.0
) -> np.ndarray:
    """Codes levels by the mean label of their rows, shrunk to the global mean.

    The m-estimate of level l is ``(n_l mean_l + m mean) / (n_l + m)`` for n_l rows and
    strength m; the codes are then standardised over the rows (Micci-Barreca 2001, "A
    preprocessing scheme for high-cardinality categorical attributes").

    Args:
        levels: index of the level of every row, in [0, num_levels), (B,).
        labels: value or 0/1 class of every row, (B,).
        num_levels: number of levels n; a level may have no rows.
        smoothing: m, in rows.

    Returns:
        The code of every level and, last, of a level never seen, (n + 1,) float64.

    Example:
        >>> levels, labels = np.array([0, 0, 1, 1]), np.array([0.0, 0.0, 1.0, 1.0])
        >>> target_statistics(levels, labels, 2)
        array([-1.,  1.,  0.])
    """
    counts = np.bincount(levels, minlength=num_levels + 1)
    sums = np.bincount(levels, labels - labels.mean(), minlength=num_levels + 1)
    shifts = sums / (counts + smoothing)
    mean = counts @ shifts / len(labels)
    std = np.sqrt(counts @ (shifts - mean) ** 2 / len(labels))
    return (shifts - mean) / (std if std > 0 else 1.0)


def out_of_fold_statistics(
    levels: np.ndarray,
    labels: np.ndarray,
    num_levels: int,
    *,
    folds: int = 5,
    seed: int = 0,
    smoothing: float = 10.0,
) -> np.ndarray:
    """Target statistics of training rows, each computed without the row's own fold.

    The rows of a fold get the `target_statistics` of the rows of all other folds, so a
    row's label never enters its own input. Leaving out only the row itself would not
    do: within a level of n rows with sum s the leave-one-out mean is
    ``(s - y) / (n - 1)``, a decreasing function of the row's own label y, from which
    the model could read the label back. Here the n / folds rows of a level that share
    a fold also share their code, which tells no more than the mean of their labels.

    Args:
        levels: index of the level of every row, in [0, num_levels), (B,).
        labels: value or 0/1 class of every row, (B,).
        num_levels: number of levels.
        folds: number of folds, at least 2; rows are dealt to them at random.
        seed: seed of the deal.
        smoothing: strength of the shrinkage, in rows.

    Returns:
        One code per row, (B,) float64.

    Example:
        >>> levels = np.repeat([0, 1], 50)
        >>> codes = out_of_fold_statistics(levels, levels.astype(float), 2)
        >>> bool(codes[:50].max() < -0.9), bool(codes[50:].min() > 0.9)
        (True, True)
    """
    codes = np.zeros(len(levels))
    fold = np.random.default_rng(seed).permutation(len(levels)) % folds
    for held_out in range(folds):
        inside, outside = fold == held_out, fold != held_out
        if outside.any():
            codes[inside] = target_statistics(
                levels[outside], labels[outside], num_levels, smoothing=smoothing
            )[levels[inside]]
    return codes


def _normal_quantiles(probabilities: np.ndarray) -> np.ndarray:
    """Quantiles of the standard normal distribution; NaN stays NaN."""
    try:
        from scipy.special import ndtri
    except ImportError:
        # `naejax.serving` predicts with numpy alone: slower, equal to 1e-14.
        quantile = NormalDist().inv_cdf
        return np.array([quantile(p) for p in probabilities.tolist()], np.float64)
    return ndtri(probabilities)
