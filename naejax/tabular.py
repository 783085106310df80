"""Neural Additive Experts on a table: from named columns to a fitted model and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from naejax.data.cells import Columns
from naejax.data.schema import Schema
from naejax.data.table import (
    TableEncoder,
    encode,
    encode_target,
    encode_training,
    fit_encoder,
)
from naejax.evaluation import (
    Scores,
    classification_scores,
    log_probabilities,
    regression_scores,
)
from naejax.models.nae import NAE
from naejax.models.predict import predict
from naejax.objectives import losses
from naejax.settings import Settings
from naejax.train.loop import FitResult, fit
from naejax.types import NAEOutput

_LOG_LINK = {"poisson": 0.0, "tweedie": 0.0, "gamma": np.nextafter(0, 1)}
"""Losses with a logarithmic link, and the smallest target that each can have."""


_USUAL_LOSS = {
    "regression": "squared",
    "binary": "logistic",
    "multiclass": "softmax_cross_entropy",
}


@dataclass(frozen=True, eq=False)
class TabularNAE:
    """A fitted model with all that is needed to use it on a table.

    Attributes:
        model: the module.
        variables: its variables.
        encoder: how columns become the module's input.
        loss: name of the loss it was trained with.
    """

    model: NAE
    variables: Any
    encoder: TableEncoder
    loss: str

    @property
    def target_scale(self) -> tuple[float, float]:
        """Mean and standard deviation that turn scores into the target's unit."""
        if self.loss in _LOG_LINK:
            return 0.0, 1.0
        return self.encoder.target_mean, self.encoder.target_std


def fit_table(
    training: Columns,
    validation: Columns,
    schema: Schema,
    settings: Settings,
    *,
    seed: int = 0,
    progress: bool = True,
) -> tuple[TabularNAE, FitResult]:
    """Trains Neural Additive Experts on named columns.

    Args:
        training: training rows, with the target.
        validation: rows that pick the best epoch.
        schema: result of `naejax.data.infer_schema`.
        settings: how to build and train the model.
        seed: seed of everything random.
        progress: whether to show a progress bar.

    Returns:
        The fitted model and the history of training.

    Raises:
        ValueError: if the loss does not suit the target.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> columns = {"x": np.arange(64.0), "y": np.sin(np.arange(64.0) / 10)}
        >>> settings = Settings(epochs=2, num_experts=4)
        >>> fitted, result = fit_table(
        ...     columns, columns, infer_schema(columns, "y"), settings, progress=False
        ... )
        >>> explain_rows(fitted, {"x": np.array([3.0])}).contributions.shape
        (1, 1, 1)
    """
    rows = len(training[schema.target.name])
    # Any: for_rows leaves no None, which the types of the fields cannot say.
    chosen: Any = settings.for_rows(rows, len(schema.features), schema.target.kind)
    loss = chosen.loss or _USUAL_LOSS[schema.target.kind]
    _check_loss(loss, schema, training)
    encoder = fit_encoder(
        training,
        schema,
        numeric=chosen.numeric,
        categorical=chosen.categorical,
        seed=seed,
    )
    model = NAE(
        num_outputs=schema.target.num_outputs,
        num_experts=chosen.num_experts,
        top_k=min(chosen.top_k, chosen.num_experts),
        hidden=chosen.hidden,
        gate=chosen.gate,
        gate_rank=chosen.gate_rank or None,
        dropout=chosen.dropout,
        expert_dropout=chosen.expert_dropout,
    )
    x = encode_training(encoder, training)
    # Compiled: initialising one operation at a time takes seconds.
    variables = jax.jit(model.init)(jax.random.key(seed), x[:1])
    fitted = TabularNAE(model, variables, encoder, loss)
    result = fit(
        model,
        variables,
        (x, _training_target(fitted, training)),
        loss=loss,
        optimizer=chosen.learning_rate,
        weight_decay=chosen.weight_decay,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        seed=seed,
        penalties={
            name: getattr(chosen, name)
            for name in (
                "expert_variance",
                "output_energy",
                "utilisation",
                "concurvity",
            )
        },
        validation=(
            encode(encoder, validation),
            _training_target(fitted, validation),
        ),
        patience=chosen.patience,
        progress=progress,
    )
    return replace(fitted, variables=result.variables), result


def explain_rows(fitted: TabularNAE, columns: Columns) -> NAEOutput:
    """The prediction of every row and its parts, in the unit of the target.

    For a regression with the identity link everything is multiplied by the target's
    standard deviation and the bias moved by its mean, so parts still sum to the
    prediction; otherwise numbers stay on the link scale (log-odds or logarithm).

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        Arrays of numpy; prediction (N, C).

    Raises:
        ValueError: if a column is missing or holds text where numbers are expected.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> output = explain_rows(fitted, columns)
        >>> total = output.bias + output.contributions.sum(axis=1)
        >>> bool(np.allclose(output.prediction, total, rtol=1e-3))
        True
    """
    output = predict(fitted.model, fitted.variables, encode(fitted.encoder, columns))
    mean, std = fitted.target_scale
    return NAEOutput(
        prediction=output.prediction * np.float32(std) + np.float32(mean),
        bias=output.bias * np.float32(std) + np.float32(mean),
        contributions=output.contributions * np.float32(std),
        gates=output.gates,
        experts=output.experts * np.float32(std),
    )


def evaluate_table(fitted: TabularNAE, columns: Columns) -> Scores:
    """Scores of a fitted model on rows with a known target.

    Args:
        fitted: a fitted model.
        columns: rows with the target.

    Returns:
        See `naejax.evaluation.regression_scores` and `classification_scores`.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> sorted(evaluate_table(fitted, columns))
        ['mae', 'r2', 'rmse']
    """
    score = np.asarray(explain_rows(fitted, columns).prediction)
    target = fitted.encoder.schema.target
    if target.kind == "regression":
        mean = np.asarray(losses.inverse_link(fitted.loss)(jnp.asarray(score[:, 0])))
        return regression_scores(raw_target(fitted.encoder, columns), mean)
    truth = encode_target(fitted.encoder, columns)
    return classification_scores(truth, log_probabilities(score))


def predict_table(fitted: TabularNAE, columns: Columns) -> dict[str, np.ndarray]:
    """Predictions of rows as named columns, with what each feature contributed.

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        ``prediction`` (a number or a class), for classes ``probability:CLASS``, then
        ``bias`` and ``contribution:FEATURE`` on the scale of `explain_rows`; with
        several outputs one of each per class.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> list(predict_table(fitted, {"x": np.array([3.0])}))
        ['prediction', 'bias', 'contribution:x']
    """
    output = jax.tree.map(np.asarray, explain_rows(fitted, columns))
    schema = fitted.encoder.schema
    classes, rows = schema.target.classes, len(output.prediction)
    if classes:
        probability = np.exp(log_probabilities(output.prediction))
        labels = np.array(classes, dtype=object)[probability.argmax(axis=1)]
        table: dict[str, np.ndarray] = {"prediction": labels}
        table |= {f"probability:{c}": probability[:, j] for j, c in enumerate(classes)}
    else:
        link = losses.inverse_link(fitted.loss)
        table = {"prediction": np.asarray(link(jnp.asarray(output.prediction[:, 0])))}
    several = classes if schema.target.num_outputs > 1 else ("",)
    for j, name in enumerate(several):
        suffix = f":{name}" if name else ""
        table[f"bias{suffix}"] = np.full(rows, output.bias[j])
        for i, feature in enumerate(schema.features):
            column = output.contributions[:, i, j]
            table[f"contribution:{feature.name}{suffix}"] = column
    return table


def raw_target(encoder: TableEncoder, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The target as numbers in its own unit, or as class indices.

    Args:
        encoder: a fitted encoder.
        columns: rows with the target.

    Returns:
        (N,).

    Example:
        >>> from naejax.data import fit_encoder, infer_schema
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> raw_target(encoder, columns)[-1].item()
        11.0
    """
    encoded = encode_target(encoder, columns)
    if encoder.schema.target.kind != "regression":
        return encoded
    return np.asarray(columns[encoder.schema.target.name], np.float64)


def _training_target(fitted: TabularNAE, columns: Columns) -> np.ndarray:
    """The target as the loss expects it."""
    if fitted.loss in _LOG_LINK:
        return raw_target(fitted.encoder, columns).astype(np.float32)
    return encode_target(fitted.encoder, columns)


def _check_loss(loss: str, schema: Schema, training: Columns) -> None:
    """Refuses a loss that cannot learn this target."""
    losses.get(loss)
    kinds = {"logistic": "binary", "softmax_cross_entropy": "multiclass"}
    kind = kinds.get(loss, "regression")
    if kind != schema.target.kind:
        raise ValueError(
            f"loss {loss!r} needs a {kind} target, but {schema.target.name!r} is "
            f"{schema.target.kind}; choose another loss or leave it out"
        )
    if loss in _LOG_LINK:
        smallest = float(np.min(training[schema.target.name]))
        if smallest < _LOG_LINK[loss]:
            raise ValueError(
                f"loss {loss!r} needs a target of at least {_LOG_LINK[loss]:.3g}, but "
                f"{schema.target.name!r} goes down to {smallest:g}; use 'squared'"
            )
