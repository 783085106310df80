"""Rows of a report: the listed ones with their sums, and which are listed."""

from typing import Any

import numpy as np

from naejax.data.schema import Target
from naejax.evaluation import log_probabilities
from naejax.explain.local import cell_texts
from naejax.reports.diagnostics import sample_rows
from naejax.reports.features import Limits, cut
from naejax.reports.findings import Findings
from naejax.reports.numbers import rounded
from naejax.tabular import TabularNAE

_WORST = 10
_MOVERS = 5


def choose_rows(
    wrong: np.ndarray | None, rows: int, most: int, seed: int
) -> np.ndarray:
    """Rows to list: the worst predicted first, the others drawn evenly.

    Args:
        wrong: how far off each prediction is, (N,), or None.
        rows: N.
        most: how many to list.
        seed: of the draw.

    Returns:
        Indices, the quarter (at most 10) that is worst predicted after the others.

    Example:
        >>> choose_rows(np.array([0.0, 9.0, 0.0, 0.0, 0.0]), 5, 4, seed=0)[-1]
        np.int64(1)
    """
    if wrong is None:
        return sample_rows(rows, most, seed)
    worst = np.argsort(-wrong, kind="stable")[: min(_WORST, most // 4, rows)]
    others = np.setdiff1d(np.arange(rows), worst)
    return np.append(others[sample_rows(len(others), most - len(worst), seed)], worst)


def rows_json(
    findings: Findings, features: list[int], outputs: np.ndarray, limits: Limits
) -> list[dict[str, Any]]:
    """The listed rows as the report's page wants them.

    Args:
        findings: of the model.
        features: those in the report.
        outputs: which outputs are shown.
        limits: how many rows.

    Returns:
        One entry per row; contributions are raw, so that with the bias they add up to
        the score.
    """
    listed, fitted = findings.listed, findings.fitted
    target = fitted.encoder.schema.target
    names = [fitted.encoder.schema.features[i].name for i in features]
    cells = [cell_texts(listed.columns[name]) for name in names]
    scores = np.asarray(listed.output.prediction)
    predictions = prediction_texts(fitted, scores)
    truths: list[str] | None = None
    if target.name in listed.columns:
        truths = list(cell_texts(listed.columns[target.name]))
    # The last ones are the worst: of fewer rows, both kinds should stay.
    kept = np.arange(len(listed.index))
    if len(kept) > limits.rows:
        kept = kept[np.linspace(0, len(kept) - 1, limits.rows).round().astype(int)]
    place = {feature: at for at, feature in enumerate(features)}
    entries = []
    for b in kept.tolist():
        size = np.abs(listed.output.contributions[b]).max() or None
        sums = {
            "contributions": listed.output.contributions[b],
            "lower": listed.lower[b],
            "upper": listed.upper[b],
        }
        entries.append(
            {
                "id": f"{findings.rows.row_name} {listed.index[b] + 1:,}",
                "cells": [cut(column[b]) for column in cells],
                "truth": None if truths is None else cut(truths[b]),
                "prediction": cut(predictions[b]),
                "score": rounded(scores[b, outputs], unit=size, digits=5),
            }
            | {
                name: rounded(values[features][:, outputs].T, unit=size, digits=5)
                for name, values in sums.items()
            }
            | {"movers": _movers(findings, b, place, target)}
        )
    return entries


def prediction_texts(fitted: TabularNAE, scores: np.ndarray) -> list[str]:
    """Predictions in words: a value of the target, or a class with its probability.

    Args:
        fitted: a fitted model.
        scores: on the link scale, (N, C).

    Returns:
        N texts.
    """
    classes = fitted.encoder.schema.target.classes
    if not classes:
        means = np.asarray(fitted.inverse_link(scores), np.float64)[:, 0]
        # Of a target far from 0 the digits that vary are worth reading.
        shown = rounded(means, unit=fitted.encoder.target_std, digits=4)
        return list(cell_texts(np.array(shown, np.float64)))
    probability = np.exp(log_probabilities(scores))
    guess = probability.argmax(axis=1)
    return [
        f"{classes[c]} ({100 * p[c]:.3g} %)"
        for c, p in zip(guess, probability, strict=True)
    ]


def _movers(
    findings: Findings, b: int, place: dict[int, int], target: Target
) -> list[list[Any]]:
    """Who moved whom most, for the predicted class: [mover, moved, effect]."""
    scores = np.asarray(findings.listed.output.prediction[b])
    c = int(scores.argmax()) if target.kind == "multiclass" else 0
    effects = findings.listed.effects[b, :, :, c]
    found: list[list[Any]] = []
    for flat in np.argsort(-effects, axis=None, kind="stable"):
        i, j = np.unravel_index(flat, effects.shape)
        if len(found) == _MOVERS or effects[i, j] <= 0:
            break
        moved, mover = findings.interacting[i], findings.interacting[j]
        if moved in place and mover in place:
            found.append([place[mover], place[moved], rounded(effects[i, j], digits=3)])
    return found
