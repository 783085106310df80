"""What the regressor and the classifier have in common; a fit imports JAX."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from naejax.data.cells import Columns
from naejax.data.schema import Schema, Target, TargetKind, infer_features
from naejax.data.table import encode
from naejax.estimators.conformal import conformal_quantile
from naejax.estimators.inputs import (
    directions,
    feature_names,
    prediction_columns,
    read_eval_set,
    target_name,
    training_columns,
)
from naejax.estimators.rows import MIN_ROWS, Rows, hold_back, make_rows, read_offset
from naejax.settings import Settings

if TYPE_CHECKING:
    from naejax.explanation import Explanation
    from naejax.objectives.losses import Loss
    from naejax.tabular import TabularNAE

_RENAMED = ("members", "monotone", "loss")
_SAME_NAME = [f.name for f in fields(Settings) if f.name not in _RENAMED]


class BaseNAE(BaseEstimator):
    """An estimator around `naejax.tabular.fit_table`; see its two subclasses."""

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = Settings.hidden,
        learning_rate: float = Settings.learning_rate,
        weight_decay: float = Settings.weight_decay,
        epochs: int | None = Settings.epochs,
        batch_size: int | None = Settings.batch_size,
        patience: int | None = Settings.patience,
        num_experts: int = Settings.num_experts,
        top_k: int | None = Settings.top_k,
        gate: str = Settings.gate,
        gate_rank: int = Settings.gate_rank,
        num_knots: int = Settings.num_knots,
        dropout: float = Settings.dropout,
        expert_dropout: float = Settings.expert_dropout,
        expert_variance: float = Settings.expert_variance,
        output_energy: float = Settings.output_energy,
        utilisation: float = Settings.utilisation,
        concurvity: float = Settings.concurvity,
        loss: "str | Loss | None" = Settings.loss,
        loss_parameter: float | None = Settings.loss_parameter,
        numeric: Literal["quantile", "standard"] = Settings.numeric,
        categorical: Literal["auto", "levels", "target"] = Settings.categorical,
        categorical_features: Sequence[str | int] | None = None,
        monotone: Mapping[str | int, int] | None = None,
        averaging: float = Settings.averaging,
        steps: int = Settings.steps,
        n_members: int = Settings.members,
        bootstrap: bool = Settings.bootstrap,
        validation_fraction: float = 0.125,
        calibration_fraction: float = 0.0,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        device_budget: int | None = None,
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.num_experts = num_experts
        self.top_k = top_k
        self.gate = gate
        self.gate_rank = gate_rank
        self.num_knots = num_knots
        self.dropout = dropout
        self.expert_dropout = expert_dropout
        self.expert_variance = expert_variance
        self.output_energy = output_energy
        self.utilisation = utilisation
        self.concurvity = concurvity
        self.loss = loss
        self.loss_parameter = loss_parameter
        self.numeric = numeric
        self.categorical = categorical
        self.categorical_features = categorical_features
        self.monotone = monotone
        self.averaging = averaging
        self.steps = steps
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.validation_fraction = validation_fraction
        self.calibration_fraction = calibration_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.device_budget = device_budget
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        init_score: Any = None,
    ):
        """Trains on rows; with ``warm_start`` it goes on from what was fitted.

        A row of weight 0 is left out. Without an `eval_set`, a part
        ``validation_fraction`` of the rows picks the best epoch.

        Args:
            X: data frame of pandas or polars, or (N, F) array; NaN is missing.
            y: value or label of every row, (N,).
            sample_weight: (N,), not negative.
            eval_set: ``(X, y)``, ``(X, y, weight)`` or ``(X, y, weight, init_score)``
                that pick the best epoch.
            init_score: known part of the score on the link scale, (N,) or (N, C), such
                as the log of an exposure; the model learns the rest. Pass the same to
                the methods that predict.

        Returns:
            The estimator.

        Raises:
            ValueError: if the data cannot be used; the message says what to do.
        """
        goes_on = self.warm_start and hasattr(self, "fitted_")
        rows, schema = self._read(X, y, sample_weight, init_score, goes_on)
        check = None
        if eval_set is not None:
            check = self._read_eval_set(eval_set, schema, init_score is not None)
        seed = self._seed()
        rows, held_back = hold_back(rows, self.calibration_fraction, seed)
        settings, share = self._settings(), self.validation_fraction
        self._train(rows, check, schema, settings, seed, goes_on, share)
        if held_back is not None:
            score = self._link_scores(held_back.columns)
            if held_back.offset is not None:
                score += held_back.offset
            truth = held_back.columns[schema.target.name]
            self.calibration_ = np.sort(self._nonconformity(score, truth))
        return self

    def explain(self, X: Any) -> "Explanation":
        """The score of every row and what each feature contributes to it.

        Args:
            X: rows, (N, F).

        Returns:
            See `naejax.explanation.Explanation`: scores and contributions, which add
            up to them, in the unit of the target for the identity link, otherwise on
            the link scale (log-odds, logarithm); shapes, pictures and tables of them.

        Raises:
            ValueError: if a column is missing or holds text where numbers are expected.
        """
        from naejax.explanation import explain_table

        check_is_fitted(self)
        return explain_table(self.fitted_, prediction_columns(self, X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    @abstractmethod
    def _read_target(self, y: Any, classes: Any) -> tuple[np.ndarray, TargetKind]:
        """Checks the target of training rows, (N,); a classifier learns its classes."""

    @abstractmethod
    def _read_known_target(self, y: Any) -> np.ndarray:
        """Checks the target of other rows, (N,)."""

    @abstractmethod
    def _nonconformity(self, score: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """How badly scores (N, C) miss the truth (N,) of rows, (N,)."""

    def _check_classes(self, truth: np.ndarray) -> None:
        """Refuses labels among which there is nothing to choose."""

    def _class_texts(self) -> tuple[str, ...]:
        """The classes as text."""
        return ()

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None):
        """Trains one epoch on all rows, going on from what was fitted."""
        goes_on = hasattr(self, "fitted_")
        rows, schema = self._read(X, y, sample_weight, None, goes_on, classes)
        settings = replace(self._settings(), epochs=1)
        # Each call shuffles and drops out differently.
        seed = self._seed() + (self.n_iter_ if goes_on else 0)
        self._train(rows, None, schema, settings, seed, goes_on, 0.0)
        return self

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        init_score: Any,
        goes_on: bool,
        classes: Any = None,
    ) -> tuple[Rows, Schema]:
        """Reads training rows, without those of weight 0, and describes them."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None"
            )
        if goes_on:
            schema = self.fitted_.encoder.schema
            columns = prediction_columns(self, X)
            truth = self._read_known_target(y)
        else:
            columns = training_columns(self, X, self.categorical_features)
            truth, kind = self._read_target(y, classes)
            target = Target(target_name(y, columns), kind, self._class_texts())
            schema = Schema(infer_features(columns), target, len(truth))
        rows = make_rows(columns, truth, schema.target, sample_weight, init_score)
        left = len(rows.columns[schema.target.name])
        if left < MIN_ROWS and not goes_on:
            raise ValueError(
                f"{left} row has a positive sample_weight, expected at least {MIN_ROWS}"
            )
        if classes is None and not goes_on:
            self._check_classes(rows.columns[schema.target.name])
        return rows, schema

    def _read_eval_set(self, eval_set: Any, schema: Schema, has_offset: bool) -> Rows:
        """Reads the rows that pick the best epoch."""
        x, y, weight, score = read_eval_set(eval_set)
        if has_offset and score is None:
            raise ValueError(
                "init_score is given for the training rows only: pass eval_set=(X, y, "
                "weight, init_score), weight may be None"
            )
        columns, truth = prediction_columns(self, x), self._read_known_target(y)
        return make_rows(columns, truth, schema.target, weight, score)

    def _settings(self) -> Settings:
        """The parameters as `fit_table` takes them."""
        chosen: dict[str, Any] = {name: getattr(self, name) for name in _SAME_NAME}
        if chosen["hidden"] is not None:
            chosen["hidden"] = tuple(chosen["hidden"])
        return Settings(
            **chosen,
            members=self.n_members,
            loss=None if callable(self.loss) else self.loss,
            monotone=directions(self.monotone or {}, feature_names(self)),
        )

    def _train(
        self,
        rows: Rows,
        check: Rows | None,
        schema: Schema,
        settings: Settings,
        seed: int,
        goes_on: bool,
        validation_fraction: float,
    ) -> None:
        """Trains and sets the fitted attributes."""
        import jax

        from naejax.tabular import fit_table

        before = getattr(self, "n_iter_", 0) if goes_on else 0
        fitted, result = fit_table(
            rows.columns,
            None if check is None else check.columns,
            schema,
            settings,
            seed=seed,
            progress=bool(self.verbose),
            weight=rows.weight,
            offset=rows.offset,
            validation_weight=None if check is None else check.weight,
            validation_offset=None if check is None else check.offset,
            validation_fraction=validation_fraction,
            loss_function=self.loss if callable(self.loss) else None,
            start=self.fitted_ if goes_on else None,
            device_budget=self.device_budget,
        )
        # As numpy arrays, variables can be pickled and copied on any machine.
        variables = jax.tree.map(np.asarray, fitted.variables)
        self.fitted_: TabularNAE = replace(fitted, variables=variables)
        self.history_ = result.history
        self.best_epoch_ = result.best_epoch
        self.n_iter_ = before + len(result.history)
        # Scores of another model tell nothing about this one.
        self.__dict__.pop("calibration_", None)

    def _scores(self, X: Any, init_score: Any = None) -> np.ndarray:
        """Scores of rows on the link scale, (N, C) float64."""
        check_is_fitted(self)
        score = self._link_scores(prediction_columns(self, X))
        if init_score is None:
            return score
        return score + read_offset(init_score, *score.shape)

    def _link_scores(self, columns: Columns) -> np.ndarray:
        """Scores of rows that were read, (N, C) float64."""
        fitted = self.fitted_
        score = fitted.score(encode(fitted.encoder, columns))
        mean, std = fitted.target_scale
        # In float64: a target far from 0 keeps its digits.
        return score.astype(np.float64) * std + mean

    def _conformal_threshold(self, alpha: float) -> float:
        """The nonconformity that a new row exceeds with probability at most alpha."""
        check_is_fitted(self)
        if not hasattr(self, "calibration_"):
            raise ValueError(
                f"this {type(self).__name__} held no rows back to calibrate on: fit it "
                "with calibration_fraction=0.2, for example"
            )
        return conformal_quantile(self.calibration_, alpha)

    def _seed(self) -> int:
        """A seed for everything random, from ``random_state``."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))
