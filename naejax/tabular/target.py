"""What a loss sees of a table's target: its scale, offsets and hyperparameters."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from naejax.data.cells import Columns
from naejax.data.schema import Schema
from naejax.data.table import encode_target
from naejax.objectives import losses
from naejax.tabular.fitted import CUSTOM_LOSS, LOG_LINK, TabularNAE
from naejax.tabular.predict import raw_target

USUAL_LOSS = {
    "regression": "squared",
    "binary": "logistic",
    "multiclass": "softmax_cross_entropy",
}
_PARAMETERS = {"quantile": "q", "huber": "delta", "tweedie": "power"}


def training_target(fitted: TabularNAE, columns: Columns) -> np.ndarray:
    """The target as the loss expects it: standardised, a count or a class index.

    Args:
        fitted: a model whose variables may still be missing.
        columns: rows with the target.

    Returns:
        (N,).
    """
    if fitted.loss in LOG_LINK:
        return raw_target(fitted.encoder, columns).astype(np.float32)
    return encode_target(fitted.encoder, columns)


def training_loss(
    fitted: TabularNAE, function: Callable[[Any, Any], Any] | None
) -> losses.Loss:
    """The loss of standardised scores and targets.

    A user's own function gets both in the target's unit, and so does huber's delta.

    Args:
        fitted: a model whose variables may still be missing.
        function: own loss, where ``fitted.loss`` is ``custom``.

    Returns:
        ``loss(score (B, C), target) -> (B,)``.
    """
    mean, std = fitted.target_scale
    if fitted.loss == CUSTOM_LOSS and function is not None:

        def in_unit(score, target):
            if fitted.encoder.schema.target.kind == "regression":
                score, target = score * std + mean, target * std + mean
            return function(score, target)

        return in_unit
    loss, value = losses.get(fitted.loss), fitted.loss_parameter
    if value is None:
        return loss
    scaled = value / std if fitted.loss == "huber" else value
    return functools.partial(loss, **{_PARAMETERS[fitted.loss]: scaled})


def check_loss(
    loss: str, parameter: float | None, schema: Schema, training: Columns
) -> None:
    """Refuses a loss that cannot learn this target.

    Args:
        loss: name of a loss.
        parameter: its hyperparameter, or None.
        schema: of the table.
        training: training rows, with the target.

    Raises:
        ValueError: saying what does not fit.
    """
    losses.get(loss)
    target = schema.target
    kinds = {"logistic": "binary", "softmax_cross_entropy": "multiclass"}
    kind = kinds.get(loss, "regression")
    if kind != target.kind:
        raise ValueError(
            f"loss {loss!r} needs a {kind} target, but {target.name!r} is "
            f"{target.kind}; choose another loss or leave it out"
        )
    if parameter is not None and loss not in _PARAMETERS:
        raise ValueError(
            f"loss {loss!r} has no parameter, got loss_parameter={parameter}; leave it "
            f"out, or choose one of {', '.join(_PARAMETERS)}"
        )
    if loss in LOG_LINK:
        smallest = float(np.min(training[target.name]))
        if smallest < LOG_LINK[loss]:
            raise ValueError(
                f"loss {loss!r} needs a target of at least {LOG_LINK[loss]:.3g}, but "
                f"{target.name!r} goes down to {smallest:g}; use 'squared'"
            )
