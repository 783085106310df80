"""Rows with weights and initial scores, as an estimator hands them to training."""

import math
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_consistent_length

from naejax.data.cells import Columns
from naejax.data.schema import Target

MIN_ROWS = 2


class Rows(NamedTuple):
    """Rows of a table as `naejax.tabular.fit_table` takes them.

    Attributes:
        columns: the features and the target, each (N,).
        weight: (N,), all positive, or None.
        offset: on the link scale, (N, C), or None.
    """

    columns: Columns
    weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of the rows, by index or mask."""
        return Rows(
            {name: column[rows] for name, column in self.columns.items()},
            None if self.weight is None else self.weight[rows],
            None if self.offset is None else self.offset[rows],
        )


def make_rows(
    columns: Columns, truth: np.ndarray, target: Target, weight: Any, score: Any
) -> Rows:
    """Checks features, target, weights and initial scores; drops rows of weight 0."""
    check_consistent_length(next(iter(columns.values())), truth)
    count = len(truth)
    offset = None if score is None else read_offset(score, count, target.num_outputs)
    rows = Rows({**columns, target.name: truth}, None, offset)
    if weight is None:
        return rows
    weight = read_weight(weight, count)
    return rows._replace(weight=weight).take(weight > 0)


def hold_back(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows | None]:
    """Draws a share of the rows to calibrate on: the others, and these."""
    if not 0 <= share < 1:
        raise ValueError(f"calibration_fraction is {share}, expected 0 <= fraction < 1")
    if share == 0:
        return rows, None
    count = len(next(iter(rows.columns.values())))
    held = math.ceil(share * count)
    if count - held < MIN_ROWS:
        raise ValueError(
            f"calibration_fraction={share} leaves {count - held} of {count} rows to "
            f"train on, expected at least {MIN_ROWS}: make it smaller"
        )
    order = np.random.default_rng((seed, 1)).permutation(count)
    return rows.take(np.sort(order[held:])), rows.take(np.sort(order[:held]))


def read_weight(weight: Any, rows: int) -> np.ndarray:
    """Checks the weights of rows.

    Args:
        weight: (N,), not negative.
        rows: N.

    Returns:
        float64, (N,).

    Raises:
        ValueError: weights are not N finite numbers, negative or all zero.

    Example:
        >>> read_weight([1, 2], 2)
        array([1., 2.])
    """
    weight = np.asarray(weight, np.float64)
    if weight.shape != (rows,):
        raise ValueError(
            f"weights have shape {weight.shape}, expected ({rows},): one per row"
        )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise ValueError(
            f"the weight of row {bad[0] + 1} is {weight[bad[0]]}, expected a finite "
            "number of at least 0"
        )
    if not weight.any():
        raise ValueError(f"the weights of all {rows} rows are zero: raise some")
    return weight


def read_offset(score: Any, rows: int, outputs: int) -> np.ndarray:
    """Checks scores to start from.

    Args:
        score: on the link scale, (N,) or (N, C).
        rows: N.
        outputs: C.

    Returns:
        float64, (N, C).

    Raises:
        ValueError: another shape, or not finite.

    Example:
        >>> read_offset([0.5, 1.0], 2, 1).shape
        (2, 1)
    """
    score = np.asarray(score, np.float64)
    if score.ndim == 1:
        score = score[:, None]
    if score.shape != (rows, outputs):
        raise ValueError(
            f"init_score has shape {score.shape}, expected ({rows}, {outputs}): one "
            "score per row and output, on the link scale"
        )
    if not np.isfinite(score).all():
        raise ValueError("init_score holds NaN or infinite values; give finite scores")
    return score
