"""One number per cell: normal quantiles, level codes and target statistics.

Pure functions on one column. A transform looks at one value at a time, so the result
does not depend on the other rows of the batch, to the last bit.
"""

from statistics import NormalDist

import numpy as np

_CLIP = 1e-7
"""Smallest probability: normal quantiles stay within ndtri(1e-7) = -5.2 and 5.2."""


def fit_quantiles(
    values: np.ndarray, *, num_quantiles: int = 2000, noise: float = 1e-3, seed: int = 0
) -> np.ndarray:
    """Quantiles of a column to which a little Gaussian noise was added.

    The noise spreads repeated values, so that each lands in the middle of the ranks
    that it occupies. Its standard deviation is ``noise * min(std, IQR / 1.349)``, the
    robust scale of Silverman's rule (std where the IQR is 0): with std alone, one
    outlier would drown the rest of the column in noise. The result does not depend on
    the order of the rows.

    Args:
        values: the column without missing values, (B,), B >= 1, in its own unit.
        num_quantiles: at most this many quantiles (never more than B).
        noise: size of the noise relative to the scale of the column.
        seed: seed of the noise.

    Returns:
        Increasing quantiles at evenly spaced ranks from 0 to 1, (Q,) float64.

    Example:
        >>> fit_quantiles(np.array([3.0, 1.0, 2.0]), noise=0.0)
        array([1., 2., 3.])
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    std = standard_deviation(ordered)
    low, high = np.quantile(ordered, [0.25, 0.75])
    scale = min(std, (high - low) / 1.349) if high > low else std
    draws = np.random.default_rng(seed).standard_normal(len(ordered))
    ranks = np.linspace(0.0, 1.0, min(num_quantiles, len(ordered)))
    return np.quantile(ordered + noise * scale * draws, ranks)


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


def to_normal(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Maps values to the quantiles of a standard normal distribution.

    ``z = ndtri(u(x))``, where u interpolates the rank of x among the quantiles and
    is clipped to [1e-7, 1 - 1e-7], so that |z| <= 5.2. Where quantiles repeat, x gets
    the middle of its ranks.

    Args:
        values: (B,) in the unit of the column; NaN stays NaN.
        quantiles: result of `fit_quantiles`, (Q,).

    Returns:
        Normal scores, (B,) float64.

    Example:
        >>> to_normal(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])).round(2)
        array([-5.2,  0. ,  5.2])
    """
    ranks = _clipped_ranks(len(quantiles))
    below = np.interp(-values, -quantiles[::-1], -ranks[::-1])
    return _normal_quantiles(0.5 * (np.interp(values, quantiles, ranks) - below))


def from_normal(scores: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Inverts `to_normal` between the smallest and the largest quantile.

    Args:
        scores: normal scores, (B,); NaN stays NaN.
        quantiles: result of `fit_quantiles`, (Q,).

    Returns:
        Values in the unit of the column, (B,) float64.

    Example:
        >>> from_normal(np.array([0.0, 5.2]), np.array([1.0, 2.0, 3.0]))
        array([2., 3.])
    """
    from scipy.special import ndtr

    return np.interp(ndtr(scores), _clipped_ranks(len(quantiles)), quantiles)


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


def _clipped_ranks(num_quantiles: int) -> np.ndarray:
    """Evenly spaced ranks, kept inside (0, 1) so that their normal score is finite."""
    return np.clip(np.linspace(0.0, 1.0, num_quantiles), _CLIP, 1.0 - _CLIP)


def _normal_quantiles(probabilities: np.ndarray) -> np.ndarray:
    """Quantiles of the standard normal distribution; NaN stays NaN."""
    try:
        from scipy.special import ndtri
    except ImportError:
        # `naejax.serving` predicts with numpy alone: slower, equal to 1e-14.
        quantile = NormalDist().inv_cdf
        return np.array([quantile(p) for p in probabilities.tolist()], np.float64)
    return ndtri(probabilities)
