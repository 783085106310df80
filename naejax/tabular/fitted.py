"""A model of a table with all that is needed to use it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from naejax.data.table import TableEncoder
from naejax.layout import config_of, flatten
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.models.predict import predict, predict_scores
from naejax.numpy_nae import Member, apply_numpy, prepare
from naejax.objectives import losses
from naejax.types import NAEOutput

_BLOCK = 8192
"""Rows whose parts are kept at once."""

CUSTOM_LOSS = "custom"
"""Stands for a loss that is a function of the user's; its link is the identity."""

LOG_LINK = {"poisson": 0.0, "tweedie": 0.0, "gamma": float(np.nextafter(0, 1))}
"""Losses with a logarithmic link, and the smallest target that each can have."""


@dataclass(frozen=True, eq=False)
class TabularNAE:
    """A fitted model with all that is needed to use it on a table.

    Attributes:
        model: the module.
        variables: its variables.
        encoder: how columns become the module's input.
        loss: name of the loss it was trained with.
        loss_parameter: of that loss (`naejax.settings.NAEOptions`), or None.
    """

    model: NAE | NAEEnsemble
    variables: Any
    encoder: TableEncoder
    loss: str
    loss_parameter: float | None = None

    @cached_property
    def _members(self) -> list[Member]:
        """The members in numpy, with their tables."""
        return prepare(config_of(self.model), flatten(self.variables))

    def apply(self, x: np.ndarray) -> NAEOutput:
        """What the model computes for encoded rows (N, F), on the standardised scale.

        With knots rows look tables up, and nothing is compiled.
        """
        if getattr(self.model, "member", self.model).num_knots and len(x):
            return NAEOutput(*apply_numpy(self._members, x))
        return predict(self.model, self.variables, x)

    def score(self, x: np.ndarray) -> np.ndarray:
        """The prediction of `apply` alone, (N, C), with little memory for its parts."""
        if not getattr(self.model, "member", self.model).num_knots:
            return predict_scores(self.model, self.variables, x)
        blocks = (x[first : first + _BLOCK] for first in range(0, len(x), _BLOCK))
        return np.concatenate([self.apply(block).prediction for block in blocks])

    @property
    def target_scale(self) -> tuple[float, float]:
        """Mean and standard deviation that turn scores into the target's unit."""
        if self.loss in LOG_LINK:
            return 0.0, 1.0
        return self.encoder.target_mean, self.encoder.target_std

    def inverse_link(self, score: np.ndarray) -> np.ndarray:
        """The mean that belongs to scores in the target's unit, of any shape (N, C)."""
        if self.loss == CUSTOM_LOSS:
            return score
        link: Callable = losses.inverse_link(self.loss)
        return np.asarray(link(jnp.asarray(score)))
