"""How far a training has come: all that is needed to go on from there."""

from typing import Any, NamedTuple

import numpy as np

from naejax.train.step import TrainState


class Progress(NamedTuple):
    """A training between two chunks of steps.

    Attributes:
        state: for the next step.
        best: parameters of the best epoch so far.
        best_score: its validation loss, (); infinite before the first epoch.
        best_epoch: its number; 0 is before training.
        metrics: sums of the epoch's steps so far, (3, steps): loss, objective, weight.
        epoch: the one under way, counted from 1.
        steps: steps of it that are done.
        history: see `naejax.FitResult`.
        stopped: why training ended; empty while it goes on.
    """

    state: TrainState
    best: Any
    best_score: float
    best_epoch: int
    metrics: np.ndarray
    epoch: int
    steps: int
    history: list[dict[str, float | int | None]]
    stopped: str
