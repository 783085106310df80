"""`NAERegressor`: Neural Additive Experts that predict a number."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, column_or_1d

from naejax.data.schema import TargetKind
from naejax.estimators.base import BaseNAE


class NAERegressor(RegressorMixin, BaseNAE):
    """Neural Additive Experts that predict a number, as a scikit-learn estimator.

    Every prediction is a bias plus one contribution per feature (`explain`). Settings
    that are None are chosen by the number of rows and features, see
    `naejax.settings.Settings.for_rows`.

    Args:
        hidden: widths of the dense layers of a feature's encoder.
        learning_rate: the highest one.
        weight_decay: of AdamW.
        epochs: passes over the rows; None: by steps.
        batch_size: rows per step.
        patience: epochs without a better validation loss before training stops.
        num_experts: K, experts per feature.
        top_k: k, experts active per feature and row.
        gate: context, equal, own or none; the last two make the model additive.
        gate_rank: rank of the gate's matrix, 0 for a full one.
        num_knots: most values of a feature at which its networks run, between which
            rows interpolate; 0: networks run on every row.
        dropout: rate of dropout in the encoders.
        expert_dropout: rate at which experts drop out of the choice in training.
        expert_variance: penalty that slides from interactions (0) to a plain additive
            model (large).
        output_energy: penalty on large contributions.
        utilisation: penalty on unevenly used experts.
        concurvity: penalty on correlated contributions.
        loss: name of a loss in `naejax.losses` (squared, absolute, huber, quantile,
            poisson, gamma, tweedie), or an own one, ``loss(score, target) -> (B,)``,
            with the identity link.
        loss_parameter: delta of huber, q of quantile or power of tweedie.
        numeric: quantile (normal quantiles) or standard (mean 0, variance 1).
        categorical: levels (one number per level), target (statistics of the target,
            never of the row's own), or auto: target above 16 levels.
        categorical_features: names or positions of columns to read as categories though
            they hold numbers. Text, booleans and categories of pandas are in any case.
        monotone: name or position of a feature -> 1 (the prediction never falls when
            the feature rises), -1 (never rises) or 0.
        averaging: decay of the mean of parameters over steps that predicts; 0: no mean.
        steps: of the training, at most, where epochs is None.
        n_members: models whose mean is predicted.
        bootstrap: whether each member draws its rows with replacement.
        validation_fraction: part of the rows that picks the best epoch, when `fit` gets
            no ``eval_set``; 0 trains on all rows.
        calibration_fraction: part of the rows that is held back for
            `predict_interval`.
        warm_start: whether `fit` goes on from what was fitted, with the same encoding.
        random_state: seed of everything random; None for another one at every fit.
        device_budget: bytes of device memory for the data; larger data stays on the
            host and is sent in shards.
        verbose: whether to show a progress bar.

    Attributes:
        n_features_in_: F.
        feature_names_in_: names of the columns, if `X` was a data frame with names.
        n_iter_: epochs trained.
        history_: one mapping per epoch of the last fit, see `naejax.train.FitResult`.
        best_epoch_: the epoch of that fit whose parameters were kept, from 1.
        fitted_: the `naejax.tabular.TabularNAE`.
        calibration_: absolute residuals of the rows held back, increasing.

    Example:
        >>> x = np.linspace(0, 1, 64)[:, None]
        >>> model = NAERegressor(num_experts=4, hidden=(8,), epochs=2)
        >>> model.fit(x, 3 * x[:, 0]).predict(x).shape
        (64,)

    Source: Xiong, Sinha, Zhang, "Neural Additive Experts: Context-Gated Experts for
    Controllable Model Additivity", AISTATS 2026, arXiv 2602.10585.
    """

    def predict(self, X: Any, init_score: Any = None) -> np.ndarray:
        """Predicts the mean (or what else the loss aims at) of rows.

        Args:
            X: rows, (N, F).
            init_score: as in `fit`, (N,).

        Returns:
            In the unit of the target, (N,) float64. A row's result is bitwise the same
            alone or among others.

        Raises:
            ValueError: if a column is missing or holds text where numbers are expected.
        """
        return self._inverse_link(self._scores(X, init_score))[:, 0]

    def predict_interval(
        self, X: Any, alpha: float = 0.1, init_score: Any = None
    ) -> np.ndarray:
        """Intervals that hold the truth with probability 1 - alpha.

        ``prediction -+ q`` with q the `conformal_quantile` of the absolute residuals of
        the rows held back: for exchangeable rows the coverage is at least 1 - alpha, on
        average over rows and fits, whatever the model.

        Source: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), Distribution-Free
        Predictive Inference for Regression, JASA 113.

        Args:
            X: rows, (N, F).
            alpha: how often the truth may be missed, in (0, 1).
            init_score: as in `fit`, (N,).

        Returns:
            Lower and upper ends in the unit of the target, (N, 2) float64.

        Raises:
            ValueError: no rows were held back, or too few for alpha.
        """
        margin = self._conformal_threshold(alpha)
        prediction = self.predict(X, init_score)
        return np.stack([prediction - margin, prediction + margin], axis=1)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None):
        """Trains one epoch on these rows, going on from what was fitted.

        The first call fits the encoding, which later calls keep. Each call is one
        short cycle of the learning rate and keeps its last parameters.

        Args:
            X: rows, (N, F).
            y: value of every row, (N,).
            sample_weight: (N,), not negative.

        Returns:
            The estimator.

        Raises:
            ValueError: if the data cannot be used.
        """
        return self._partial_fit(X, y, sample_weight)

    def _read_target(self, y: Any, classes: Any) -> tuple[np.ndarray, TargetKind]:
        return self._read_known_target(y), "regression"

    def _read_known_target(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        return check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")

    def _nonconformity(self, score: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return np.abs(truth - self._inverse_link(score)[:, 0])

    def _inverse_link(self, score: np.ndarray) -> np.ndarray:
        """Scores (N, C) as values of the target, in float64."""
        from naejax.tabular.fitted import LOG_LINK

        return np.exp(score) if self.fitted_.loss in LOG_LINK else score
