"""`NAEClassifier`: Neural Additive Experts that predict a class."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from naejax.data.cells import number_text
from naejax.data.schema import TargetKind
from naejax.estimators.base import BaseNAE
from naejax.evaluation import log_probabilities


class NAEClassifier(ClassifierMixin, BaseNAE):
    """Neural Additive Experts that predict a class, as a scikit-learn estimator.

    The score of every row, the log-odds of the second of two classes or one score per
    class, is a bias plus one contribution per feature (`explain`).

    Args:
        hidden, ..., verbose: as `NAERegressor`, except:
        loss: None for the logistic loss or, above two classes, cross-entropy; or an own
            one, ``loss(score, class_index) -> (B,)``, on the same scores.
        calibration_fraction: part of the rows that is held back for `predict_set`.

    Attributes:
        classes_: the labels, sorted, with the type that they have in `y`.
        calibration_: one minus the probability of the true class of the rows held back,
            increasing.
        n_features_in_, ..., fitted_: as `NAERegressor`.

    Example:
        >>> x = np.linspace(0, 1, 64)[:, None]
        >>> y = np.where(x[:, 0] > 0.5, "high", "low")
        >>> model = NAEClassifier(num_experts=4, hidden=(8,), epochs=2).fit(x, y)
        >>> model.classes_.tolist(), model.predict_proba(x).shape
        (['high', 'low'], (64, 2))

    Source: Xiong, Sinha, Zhang, "Neural Additive Experts: Context-Gated Experts for
    Controllable Model Additivity", AISTATS 2026, arXiv 2602.10585.
    """

    def predict(self, X: Any, init_score: Any = None) -> np.ndarray:
        """Predicts the most probable class of rows.

        Args:
            X: rows, (N, F).
            init_score: as in `fit`, (N,) or (N, C).

        Returns:
            Labels, (N,), of the type of ``classes_``.

        Raises:
            ValueError: if a column is missing or holds text where numbers are expected.
        """
        score = self._scores(X, init_score)
        if score.shape[1] == 1:
            return self.classes_[(score[:, 0] > 0).astype(int)]
        return self.classes_[score.argmax(axis=1)]

    def decision_function(self, X: Any, init_score: Any = None) -> np.ndarray:
        """The scores of rows on the link scale.

        Args:
            X: rows, (N, F).
            init_score: as in `fit`, (N,) or (N, C).

        Returns:
            Log-odds of ``classes_[1]``, (N,), or one score per class, (N, C).
        """
        score = self._scores(X, init_score)
        return score[:, 0] if score.shape[1] == 1 else score

    def predict_log_proba(self, X: Any, init_score: Any = None) -> np.ndarray:
        """The logarithm of the probability of every class.

        Args:
            X: rows, (N, F).
            init_score: as in `fit`, (N,) or (N, C).

        Returns:
            (N, number of classes) float64.
        """
        return log_probabilities(self._scores(X, init_score))

    def predict_proba(self, X: Any, init_score: Any = None) -> np.ndarray:
        """The probability of every class.

        Args:
            X: rows, (N, F).
            init_score: as in `fit`, (N,) or (N, C).

        Returns:
            (N, number of classes) float64; rows sum to 1.
        """
        return np.exp(self.predict_log_proba(X, init_score))

    def predict_set(
        self, X: Any, alpha: float = 0.1, init_score: Any = None
    ) -> np.ndarray:
        """Sets of classes that hold the true one with probability 1 - alpha.

        A class c is in the set if ``1 - p_c <= q``, with q the `conformal_quantile` of
        ``1 - p_y`` over the rows held back. A set may be empty.

        Source: Sadinle, Lei, Wasserman (2019), Least Ambiguous Set-Valued Classifiers
        with Bounded Error Levels, JASA 114.

        Args:
            X: rows, (N, F).
            alpha: how often the truth may be missed, in (0, 1).
            init_score: as in `fit`, (N,) or (N, C).

        Returns:
            Whether each class is in the set, (N, number of classes) bool.

        Raises:
            ValueError: no rows were held back, or too few for alpha.
        """
        threshold = self._conformal_threshold(alpha)
        return 1 - self.predict_proba(X, init_score) <= threshold

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ):
        """Trains one epoch on these rows, going on from what was fitted.

        The first call fits the encoding, which later calls keep. Each call is one
        short cycle of the learning rate and keeps its last parameters.

        Args:
            X: rows, (N, F).
            y: label of every row, (N,).
            classes: all labels that will come; needed in the first call unless `y`
                holds all.
            sample_weight: (N,), not negative.

        Returns:
            The estimator.

        Raises:
            ValueError: if the data cannot be used, or a label is not in `classes`.
        """
        if classes is not None and hasattr(self, "fitted_"):
            if not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes are {_listed(np.unique(classes))}, but the first call "
                    f"had {_listed(self.classes_)}: leave them out, or start anew"
                )
        return self._partial_fit(X, y, sample_weight, classes)

    def _read_target(self, y: Any, classes: Any) -> tuple[np.ndarray, TargetKind]:
        self.classes_ = np.unique(_labels(y) if classes is None else classes)
        self._check_classes(self.classes_)
        kind: TargetKind = "binary" if len(self.classes_) == 2 else "multiclass"
        return self._read_known_target(y), kind

    def _read_known_target(self, y: Any) -> np.ndarray:
        y = _labels(y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds the classes {_listed(unknown)}, which training lacks; "
                f"expected: {_listed(self.classes_)}"
            )
        texts = np.array(self._class_texts(), dtype=object)
        return texts[np.searchsorted(self.classes_, y)]

    def _check_classes(self, truth: np.ndarray) -> None:
        if len(set(truth)) < 2:
            raise ValueError(
                f"there is one class only ({truth[0]!s}, among rows of positive "
                "weight), expected at least two"
            )

    def _class_texts(self) -> tuple[str, ...]:
        labels = self.classes_.tolist()
        if self.classes_.dtype.kind in "iuf":
            return tuple(number_text(label) for label in labels)
        return tuple(str(label) for label in labels)

    def _nonconformity(self, score: np.ndarray, truth: np.ndarray) -> np.ndarray:
        index = {text: i for i, text in enumerate(self._class_texts())}
        at = np.array([index[text] for text in truth])
        return 1 - np.exp(log_probabilities(score))[np.arange(len(at)), at]


def _labels(y: Any) -> np.ndarray:
    """Checks labels, (N,)."""
    labels = column_or_1d(y, warn=True)
    if labels.dtype == object:
        for row, label in enumerate(labels):
            if not isinstance(label, str):
                raise ValueError(
                    f"Unknown label type: y holds {label!r} in row {row + 1}, expected "
                    "one kind in all rows: text, whole numbers or booleans"
                )
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _listed(labels: np.ndarray) -> str:
    """The first ten labels."""
    more = ", ..." if len(labels) > 10 else ""
    return ", ".join(map(repr, labels[:10].tolist())) + more
