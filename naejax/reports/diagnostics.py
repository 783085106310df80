"""How far predictions are off: residuals, calibration, and which class is taken for
which.
"""

from typing import Any

import numpy as np

from naejax.reports.numbers import rounded, rounded_axis

_POINTS = 500
_BARS = 40
_BINS = 10
_CURVES = 12
_CONFUSED = 24


def residuals(
    truth: np.ndarray, prediction: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
    """Predictions beside true values, and a histogram of ``prediction - truth``.

    Args:
        truth: values of the target, (N,).
        prediction: in the same unit, (N,).
        seed: which 500 rows are points if there are more.

    Returns:
        ``points`` (prediction, truth), and 40 equally wide bars by ``edges`` (41,) and
        ``counts`` (40,).

    Example:
        >>> r = residuals(np.array([1.0, 2.0]), np.array([1.0, 1.5]))
        >>> r["points"], sum(r["counts"]), r["edges"][0], r["edges"][-1]
        ([[1, 1], [1.5, 2]], 2, -0.5, 0)
    """
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction)
    rows = sample_rows(len(truth), _POINTS, seed)
    error = prediction - truth
    counts, edges = np.histogram(error, bins=_BARS)
    spread = float(max(np.ptp(truth), np.ptp(prediction)))
    points = np.stack([prediction[rows], truth[rows]], axis=1)
    return {
        "points": rounded(points, unit=spread or None),
        "edges": rounded_axis(edges),
        "counts": counts.tolist(),
    }


def calibration(
    truth: np.ndarray, probability: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Any]:
    """How often a class is true among rows that get about the same probability of it.

    Rows are sorted by the probability and cut into at most 10 bins of equally many;
    equal probabilities stay together. Of two classes only the second has a curve, of
    more than 12 only the most frequent 12.

    Args:
        truth: class indices, (N,).
        probability: of every class, (N, number of classes).
        classes: their names.

    Returns:
        ``classes``: for each its ``name``, ``bins`` (mean ``predicted`` probability,
        ``observed`` frequency, number of ``rows``) and ``histogram`` of the
        probabilities in 20 equally wide bars from 0 to 1.

    Example:
        >>> truth, sure = np.array([0, 1, 1, 1]), np.full((4, 2), 0.5)
        >>> calibration(truth, sure, ("no", "yes"))["classes"][0]["bins"]
        [{'predicted': 0.5, 'observed': 0.75, 'rows': 4}]
    """
    shown = [1]
    if len(classes) > 2:
        counts = np.bincount(truth, minlength=len(classes))
        shown = sorted(np.argsort(-counts, kind="stable")[:_CURVES].tolist())
    return {
        "classes": [
            {
                "name": classes[c],
                "bins": _bins(probability[:, c], truth == c),
                "histogram": np.histogram(probability[:, c], 20, (0, 1))[0].tolist(),
            }
            for c in shown
        ]
    }


def confusion(
    truth: np.ndarray, prediction: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Any] | None:
    """How often each class is taken for each.

    Args:
        truth: class indices, (N,).
        prediction: class indices, (N,).
        classes: their names.

    Returns:
        ``classes`` and ``counts[true][predicted]``; None for more than 24 classes,
        which no table shows well.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ("a", "b"))["counts"]
        [[1, 1], [0, 1]]
    """
    from sklearn.metrics import confusion_matrix

    if len(classes) > _CONFUSED:
        return None
    counts = confusion_matrix(truth, prediction, labels=range(len(classes)))
    return {"classes": list(classes), "counts": counts.tolist()}


def sample_rows(rows: int, most: int, seed: int) -> np.ndarray:
    """Indices of at most so many rows, drawn evenly, in rising order.

    Args:
        rows: number of rows.
        most: how many at most.
        seed: of the draw.

    Returns:
        Indices.

    Example:
        >>> sample_rows(3, 5, seed=0), len(sample_rows(100, 5, seed=0))
        (array([0, 1, 2]), 5)
    """
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _bins(probability: np.ndarray, is_true: np.ndarray) -> list[dict[str, Any]]:
    """Predicted and observed shares in bins of about equally many rows."""
    inner = np.quantile(probability, np.arange(1, _BINS) / _BINS, method="lower")
    _, groups = np.unique(
        np.searchsorted(np.unique(inner), probability, side="left"),
        return_inverse=True,
    )
    rows = np.bincount(groups)
    predicted = np.bincount(groups, probability) / rows
    observed = np.bincount(groups, is_true) / rows
    return [
        {"predicted": p, "observed": o, "rows": int(n)}
        for p, o, n in zip(rounded(predicted), rounded(observed), rows, strict=True)
    ]
