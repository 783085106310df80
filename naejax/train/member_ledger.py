"""What is known of the members of a population, group after group."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from naejax.train.member_groups import Group
from naejax.train.member_training import Standing
from naejax.train.members import MemberPrograms
from naejax.train.result import FitResult


class PopulationResult(NamedTuple):
    """What training several models leaves.

    Attributes:
        variables: of every member's best epoch; leaves have a leading axis S, on the
            host.
        history: one mapping per epoch, as in `naejax.FitResult`, means over the members
            that still trained.
        best_epochs: the epoch of every member's variables, (S,); 0 is before training.
        best_scores: validation loss of that epoch, (S,); NaN where there is none.
        diverged: whether a member's loss became NaN or infinite, (S,).
        stopped: ``finished``, ``early`` or ``interrupted``.
    """

    variables: Any
    history: list[dict[str, float | int | None]]
    best_epochs: np.ndarray
    best_scores: np.ndarray
    diverged: np.ndarray
    stopped: str

    def to_fit_result(self) -> FitResult:
        """The same for readers of one model: its best epoch is the members' median."""
        best_epoch = int(np.median(self.best_epochs))
        variables = jax.tree.map(jnp.asarray, self.variables)
        return FitResult(variables, self.history, best_epoch, self.stopped)


class Ledger:
    """Collects where groups stand, one after the other.

    Args:
        programs: of the population.
        variables: initial ones of all members, on the host, (S, ...).
        rates: highest learning rates, (S,).
        epoch_steps: steps of an epoch.
    """

    def __init__(
        self,
        programs: MemberPrograms,
        variables: Any,
        rates: np.ndarray,
        epoch_steps: int,
    ):
        self._programs, self._rates, self._epoch_steps = programs, rates, epoch_steps
        self._variables = dict(variables)
        self._groups: list[Group] = []
        self._epochs: list[list[tuple[Standing, float]]] = []

    @property
    def epoch(self) -> int:
        """Epochs that the last group has trained."""
        return len(self._epochs[-1])

    def begin(self, group: Group) -> None:
        """Notes that a group starts; the parameters of the last one leave the devices.

        Args:
            group: the group.
        """
        self._fetch()
        self._groups.append(group)
        self._epochs.append([])
        self._start = time.perf_counter()

    def add(self, standing: Standing) -> None:
        """Notes where the group stands after one more epoch.

        Args:
            standing: where its members stand.
        """
        if self._epochs[-1]:
            last, seconds = self._epochs[-1][-1]
            self._epochs[-1][-1] = last._replace(best=None), seconds
        self._epochs[-1].append((standing, time.perf_counter() - self._start))

    def result(self, stopped: str) -> PopulationResult:
        """What all groups have left so far.

        Args:
            stopped: why training ended.

        Returns:
            The result.
        """
        self._fetch()
        count = len(self._rates)
        best_epochs, best_scores = np.zeros(count, int), np.full(count, np.nan)
        diverged = np.zeros(count, bool)
        for group, epochs in zip(self._groups, self._epochs, strict=True):
            if epochs:
                own, (last, _) = group.own, epochs[-1]
                known = np.isfinite(last.best_scores[: len(own)])
                best_epochs[own] = last.best_epochs[: len(own)]
                best_scores[own[known]] = last.best_scores[: len(own)][known]
                diverged[own] = last.diverged[: len(own)]
        longest = max((len(epochs) for epochs in self._epochs), default=0)
        history = [self._row(epoch) for epoch in range(longest)]
        return PopulationResult(
            self._variables, history, best_epochs, best_scores, diverged, stopped
        )

    def _fetch(self) -> None:
        """Takes in the best parameters of the group that trained last."""
        if not self._epochs or not self._epochs[-1]:
            return
        own, (last, seconds) = self._groups[-1].own, self._epochs[-1][-1]
        if last.best is None:
            return

        def take(all_members, group):
            # A copy of the caller's, or the one made for the group before.
            taken = np.array(all_members)
            taken[own] = group[: len(own)]
            return taken

        best = self._programs.fetch(last.best)
        params = jax.tree.map(take, self._variables["params"], best)
        self._variables = {**self._variables, "params": params}
        self._epochs[-1][-1] = last._replace(best=None), seconds

    def _row(self, epoch: int) -> dict[str, float | int | None]:
        """A row of the history: means over the members that trained in this epoch."""
        parts: dict[str, list[np.ndarray]] = {"loss": [], "objective": []}
        parts |= {"validation": [], "learning_rate": []}
        seconds, schedule = 0.0, self._programs.schedule
        rate = float(schedule(np.int32((epoch + 1) * self._epoch_steps)))
        for group, epochs in zip(self._groups, self._epochs, strict=True):
            if epochs:
                # Groups train one after the other: their times add up.
                seconds += epochs[min(epoch, len(epochs) - 1)][1]
            if epoch < len(epochs):
                standing, own = epochs[epoch][0], group.own
                trained = standing.trained[: len(own)]
                parts["loss"].append(standing.losses[: len(own)][trained])
                parts["objective"].append(standing.objectives[: len(own)][trained])
                parts["validation"].append(standing.scores[: len(own)][trained])
                parts["learning_rate"].append(rate * self._rates[own][trained])
        means = {name: _mean(np.concatenate(part)) for name, part in parts.items()}
        validation = means["validation"]
        return {
            "epoch": epoch + 1,
            "seconds": seconds,
            "learning_rate": means["learning_rate"],
            "loss": means["loss"],
            "objective": means["objective"],
            "validation": None if np.isnan(validation) else validation,
        }


def _mean(values: np.ndarray) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
