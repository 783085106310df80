"""Split-conformal prediction: how far off a model may be, from rows it never saw."""

import math

import numpy as np


def conformal_quantile(scores: np.ndarray, alpha: float) -> float:
    """The nonconformity score that a new row exceeds with probability at most alpha.

    The ``ceil((n + 1) (1 - alpha))``-th smallest of n scores. If the n rows and the new
    one are exchangeable and there are no ties, the new row's score is at most this one
    with a probability between ``1 - alpha`` and ``1 - alpha + 1 / (n + 1)``.

    Source: Vovk, Gammerman, Shafer (2005), Algorithmic Learning in a Random World;
    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), Distribution-Free Predictive
    Inference for Regression, JASA 113.

    Args:
        scores: of the n calibration rows, increasing, (n,).
        alpha: how often a new row may be missed, in (0, 1).

    Returns:
        The score.

    Raises:
        ValueError: alpha is out of range, or too small for so few rows.

    Example:
        >>> conformal_quantile(np.arange(1.0, 20.0), alpha=0.1)
        18.0
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, expected a share between 0 and 1")
    n = len(scores)
    # Rounded: 100 * (1 - 0.43) is a little more than 57.
    rank = math.ceil(round((n + 1) * (1 - alpha), 9))
    if rank > n:
        least = math.ceil(round(1 / alpha, 9)) - 1
        raise ValueError(
            f"alpha={alpha} needs at least {least} rows to calibrate on, but {n} were "
            f"held back: take alpha >= {1 / (n + 1):.3g}, or a larger "
            "calibration_fraction"
        )
    return float(scores[rank - 1])
