"""A model of a table with all that is needed to use it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from naejax.data.table import TableEncoder
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.objectives import losses

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
