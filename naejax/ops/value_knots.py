"""Where the knots of a column stand: at its values, none of which counts for too much.

In numpy alone: columns are encoded on the host.
"""

import numpy as np


def value_knots(values: np.ndarray, num_knots: int) -> np.ndarray:
    """Picks knots among the values of a column.

    Up to T distinct values are all knots. Beyond that, knots stand at even ranks, where
    no value counts for more than a T-th of the rows: else one that fills most rows,
    such as a zero, would leave the others without knots.

    Args:
        values: without missing ones, (N,).
        num_knots: T, at least 2.

    Returns:
        Increasing values, the smallest and the largest among them, at most T.

    Example:
        >>> value_knots(np.array([0.0, 0.0, 0.0, 4.0, 6.0, 7.0]), num_knots=3)
        array([0., 4., 7.])
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= num_knots:
        return distinct
    weights = np.minimum(counts, counts.sum() / num_knots)
    ranks = np.cumsum(weights) - weights / 2
    wanted = np.linspace(ranks[0], ranks[-1], num_knots)
    nearest = np.rint(np.interp(wanted, ranks, np.arange(len(ranks))))
    return distinct[np.unique(nearest.astype(np.intp))]


def fill_up(knots: list[np.ndarray], num_knots: int) -> np.ndarray:
    """Knots of all features as one array: fewer than T are filled up with the last.

    Args:
        knots: increasing, one array per feature; none of a feature without values.
        num_knots: T.

    Returns:
        (F, T) float32.

    Example:
        >>> fill_up([np.array([1.0, 2.0]), np.array([])], 3).tolist()
        [[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]
    """
    filled = np.zeros((len(knots), num_knots), np.float32)
    for row, own in zip(filled, knots, strict=True):
        if len(own):
            row[: len(own)], row[len(own) :] = own, own[-1]
    return filled
