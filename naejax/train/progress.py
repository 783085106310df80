"""How far a training has come: all that is needed to go on from there, and a bar."""

import sys
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm as TextBar

from naejax.train.step import TrainState

_FIRST, _SECONDS = 2.0, 60.0


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


def progress_bar(epochs: int, *, silent: bool) -> Any:
    """A bar that fits the place: a terminal, a notebook, or one without widgets.

    In a file it is a line soon, one a minute, and one at the end.

    Args:
        epochs: its length.
        silent: whether to show nothing.

    Returns:
        The bar of tqdm.

    Example:
        >>> with progress_bar(3, silent=True) as bar:
        ...     bar.update()
    """
    with warnings.catch_warnings():
        # Jupyter without ipywidgets: a bar of text will do, also where none is shown.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tqdm.auto import tqdm
    is_live = sys.stderr.isatty() or "ipykernel" in sys.modules
    kind = tqdm if is_live or silent else _Lines
    return kind(total=epochs, unit="epoch", disable=silent, dynamic_ncols=True)


class _Lines(TextBar):
    """A bar for files: a line soon, one a minute, and the last one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._next = time.monotonic() + _FIRST
        super().__init__(*args, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Writes a line when it is time, or the bar is being closed."""
        if self.disable:
            self.fp.write(str(self))
        elif 0 < self.n < self.total and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS
            self.fp.write(f"{self}\n")
