"""What training leaves, also when it goes wrong."""

from typing import Any, NamedTuple


class FitResult(NamedTuple):
    """What training leaves.

    Attributes:
        variables: variables of the best epoch by validation, or of the last one.
        history: a list with one mapping per epoch: ``epoch``, ``seconds`` since the
            start, ``learning_rate``, ``objective`` (loss plus penalties) and ``loss``
            on the training rows while training, ``validation`` loss or None.
        best_epoch: the epoch of ``variables``, counted from 1; 0 is before training.
        stopped: ``finished``, ``early`` or ``interrupted``.
    """

    variables: Any
    history: list[dict[str, float | int | None]]
    best_epoch: int
    stopped: str


class TrainingDivergedError(ValueError):
    """The loss became NaN or infinite; ``result`` keeps the last good parameters."""

    def __init__(self, message: str, result: FitResult):
        super().__init__(message)
        self.result = result
