"""Scores of predictions on rows, and the baselines to hold them against."""

import warnings
from typing import Any

import numpy as np
from scipy.special import log_softmax

from naejax.data.cells import Columns
from naejax.data.codec import level_indices, to_numbers
from naejax.data.schema import Schema, Target

Scores = dict[str, float]


def regression_scores(truth: np.ndarray, prediction: np.ndarray) -> Scores:
    """Root mean squared error, mean absolute error and R2, in the target's unit.

    ``R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2``; NaN for fewer than two rows.

    Args:
        truth: (N,).
        prediction: (N,).

    Returns:
        ``rmse``, ``mae`` and ``r2``.

    Example:
        >>> regression_scores(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
        {'rmse': 0.7071067811865476, 'mae': 0.5, 'r2': 0.5}
    """
    error = np.asarray(truth, np.float64) - prediction
    spread = np.square(truth - np.mean(truth)).sum()
    return {
        "rmse": float(np.sqrt(np.square(error).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": float(1 - np.square(error).sum() / spread)
        if spread > 0
        else float("nan"),
    }


def classification_scores(truth: np.ndarray, log_probability: np.ndarray) -> Scores:
    """Accuracy, log-loss and, for two classes, the area under the ROC curve.

    Args:
        truth: class indices, (N,).
        log_probability: log-probability of every class, (N, number of classes).

    Returns:
        ``auc`` (two classes; NaN where one of them is absent), ``accuracy`` and
        ``log_loss`` (nats).

    Example:
        >>> half = np.log(np.full((2, 2), 0.5))
        >>> classification_scores(np.array([0, 1]), half)["log_loss"].__round__(3)
        0.693
    """
    from sklearn.metrics import roc_auc_score

    scores: Scores = {}
    if log_probability.shape[1] == 2:
        odds = log_probability[:, 1] - log_probability[:, 0]
        both = 0 < np.mean(truth) < 1
        scores["auc"] = float(roc_auc_score(truth, odds)) if both else float("nan")
    scores["accuracy"] = float(np.mean(log_probability.argmax(axis=1) == truth))
    scores["log_loss"] = float(-log_probability[np.arange(len(truth)), truth].mean())
    return scores


def log_probabilities(score: np.ndarray) -> np.ndarray:
    """Log-probability of every class from scores on the link scale.

    ``log softmax(score)``; one score is the log-odds of the second of two classes.

    Args:
        score: (N, C), C = 1 for two classes.

    Returns:
        (N, number of classes).

    Example:
        >>> np.exp(log_probabilities(np.zeros((1, 1)))).tolist()
        [[0.5, 0.5]]
    """
    score = np.asarray(score, np.float64)
    if score.shape[1] == 1:
        score = np.concatenate([np.zeros_like(score), score], axis=1)
    return log_softmax(score, axis=1)


def baseline_scores(
    schema: Schema,
    training: Columns,
    truth: np.ndarray,
    test: Columns,
    answer: np.ndarray,
) -> dict[str, Scores]:
    """Scores of a linear and of a constant model on test rows.

    The linear one is least squares, or logistic regression, on standardised numbers
    (missing ones at their mean) and one indicator per category.

    Args:
        schema: of the table.
        training: training rows.
        truth: their targets, values or class indices, (N,).
        test: test rows.
        answer: their targets.

    Returns:
        Scores under ``linear`` and ``constant``.

    Example:
        >>> from naejax.data import infer_schema
        >>> columns = {"x": np.arange(12.0), "y": 2 * np.arange(12.0)}
        >>> schema = infer_schema(columns, "y")
        >>> y = columns["y"]
        >>> scores = baseline_scores(schema, columns, y, columns, y)
        >>> round(scores["linear"]["rmse"], 6), round(scores["constant"]["r2"], 6)
        (0.0, 0.0)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, x_test = _design(schema, training), _design(schema, test)
    prepare = (SimpleImputer(keep_empty_features=True), StandardScaler())
    if schema.target.kind == "regression":
        linear: Any = make_pipeline(*prepare, LinearRegression()).fit(x, truth)
        return {
            "linear": regression_scores(answer, linear.predict(x_test)),
            "constant": regression_scores(answer, np.full(len(answer), truth.mean())),
        }
    linear = make_pipeline(*prepare, LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        # A baseline near its optimum is good enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear.fit(x, truth)
    classes = len(schema.target.classes)
    # A class that no training row has gets the smallest probability there is.
    fitted = np.full((len(x_test), classes), np.finfo(np.float64).tiny)
    fitted[:, linear.classes_] = linear.predict_proba(x_test)
    shares = (np.bincount(truth, minlength=classes) + 1) / (len(truth) + classes)
    constant = np.broadcast_to(np.log(shares), (len(answer), classes))
    floor = np.maximum(fitted, np.finfo(np.float64).tiny)
    return {
        "linear": classification_scores(answer, np.log(floor)),
        "constant": classification_scores(answer, constant),
    }


def best_score_name(target: Target) -> str:
    """The score by which models of this target are usually compared.

    Args:
        target: what is predicted.

    Returns:
        ``rmse``, ``auc`` or ``accuracy``.

    Example:
        >>> best_score_name(Target("y", "regression"))
        'rmse'
    """
    return {"regression": "rmse", "binary": "auc", "multiclass": "accuracy"}[
        target.kind
    ]


def _design(schema: Schema, columns: Columns) -> np.ndarray:
    """Numbers as they are and one indicator per category, (N, columns)."""
    blocks = []
    for feature in schema.features:
        column = columns[feature.name]
        if feature.kind == "numeric":
            largest = max(map(abs, feature.range or (0.0,)))
            # Squares of larger numbers would overflow; a linear model needs no unit.
            scale = largest if largest > 1e100 else 1.0
            blocks.append(to_numbers(feature.name, column)[:, None] / scale)
        else:
            indicator = np.eye(len(feature.levels) + 1)[:, :-1]
            blocks.append(indicator[level_indices(feature.levels, column)])
    return np.concatenate(blocks, axis=1)
