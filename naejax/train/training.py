"""A training, chunk after chunk, from wherever it stands."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from naejax.train.ahead import ahead
from naejax.train.batch import Batch
from naejax.train.order import shuffled_rows
from naejax.train.programs import Programs
from naejax.train.progress import Progress
from naejax.train.result import FitResult, TrainingDivergedError
from naejax.train.shards import Plan
from naejax.train.shares import Shares


class Training(NamedTuple):
    """A training, ready to run.

    Attributes:
        programs: what it runs.
        plan: where rows are kept, and how they are sent.
        train: training rows, where the plan has them.
        check: validation rows, or None.
        num_rows: training rows of all processes.
        shape: result of `naejax.train.order.epoch_shape`.
        epochs: passes over the rows.
        seed: of the order of rows.
        patience: see `naejax.fit`.
    """

    programs: Programs
    plan: Plan | Shares
    train: Batch
    check: Batch | None
    num_rows: int
    shape: tuple[int, int, int]
    epochs: int
    seed: int
    patience: int | None

    def run(self, progress: Progress) -> Iterator[Progress]:
        """Goes on to the end.

        Args:
            progress: where it stands; its state is overwritten.

        Yields:
            The progress after every chunk. Its state lasts until the next one.

        Raises:
            TrainingDivergedError: when the loss becomes NaN or infinite.
        """
        if progress.stopped:
            return
        before = progress.history[-1]["seconds"] if progress.history else 0.0
        start = time.perf_counter() - float(before or 0.0)
        with contextlib.closing(ahead(self._chunks(progress))) as chunks:
            for arguments in chunks:
                state, metrics = self.programs.run_chunk(progress.state, *arguments)
                progress = self._after_chunk(progress, state, jax.device_get(metrics))
                if progress.steps == progress.metrics.shape[1]:
                    progress = self._after_epoch(progress, time.perf_counter() - start)
                yield progress
                if progress.stopped:
                    return

    def _chunks(self, progress: Progress) -> Iterator[tuple[Any, ...]]:
        """The arguments of every chunk from here on."""
        done = progress.steps
        for epoch in range(progress.epoch, self.epochs + 1):
            order = shuffled_rows(self.num_rows, self.shape, (self.seed, epoch))
            order = order.reshape(-1, self.plan.rows)
            for start in range(done, len(order), self.plan.steps):
                rows = order[start : start + self.plan.steps]
                yield self.plan.send(self.train, rows)
            done = 0

    def _after_chunk(self, progress: Progress, state: Any, metrics: Any) -> Progress:
        """The progress with the steps of one more chunk."""
        self._check_finite(metrics, state, progress)
        sums, done = progress.metrics.copy(), progress.steps + len(metrics.loss)
        sums[:, progress.steps : done] = metrics
        return progress._replace(state=state, metrics=sums, steps=done)

    def _after_epoch(self, progress: Progress, seconds: float) -> Progress:
        """The progress with one more epoch: validated, and kept if it is the best."""
        # One sum over all steps, whatever the chunks, is the same to the last bit.
        loss, objective, weight = progress.metrics.sum(axis=1, dtype=np.float64)
        state, schedule, score = progress.state, self.programs.schedule, None
        if self.check is not None:
            variables = {"params": state.fitted, **state.constants}
            score = self.programs.evaluate(variables, self.check)
        row = {
            "epoch": progress.epoch,
            "seconds": seconds,
            "learning_rate": schedule and float(schedule(np.asarray(state.step))),
            "loss": float(loss / weight),
            "objective": float(objective / weight),
            "validation": score,
        }
        if score is None or score < progress.best_score:
            progress = progress._replace(
                best=_copy(state.fitted),
                best_score=np.inf if score is None else score,
                best_epoch=progress.epoch,
            )
        stopped = ""
        waited = progress.epoch - progress.best_epoch
        if self.patience is not None and waited >= self.patience:
            stopped = "early"
        elif progress.epoch == self.epochs:
            stopped = "finished"
        return progress._replace(
            metrics=np.zeros_like(progress.metrics),
            epoch=progress.epoch + 1,
            steps=0,
            history=[*progress.history, row],
            stopped=stopped,
        )

    def _check_finite(self, metrics: Any, state: Any, progress: Progress) -> None:
        """Stops at the first step of a chunk that went wrong."""
        values, schedule = metrics.objective, self.programs.schedule
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            at, what = int(bad[0]), f"the loss is {values[bad[0]]}"
        elif not _is_finite(state.params):
            at, what = len(values) - 1, "parameters are not finite after the update"
        else:
            return
        step = int(state.step) - len(values) + at
        rate = f"{float(schedule(step)):.3g}" if schedule else "the optimiser's own"
        raise TrainingDivergedError(
            f"{what} at step {step + 1} (learning rate {rate}); lower the learning "
            "rate, or look for huge or missing values in the data",
            to_result(progress._replace(stopped="finished"), state.constants),
        )


def to_result(progress: Progress, constants: Any) -> FitResult:
    """What training leaves where it stands.

    Args:
        progress: where it stands.
        constants: variables that were not trained.

    Returns:
        The result; its arrays lie where JAX puts new ones.
    """
    # Of arrays on several devices every one has all; a process reaches only its own.
    best = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), progress.best)
    return FitResult(
        {"params": best, **constants},
        progress.history,
        progress.best_epoch,
        progress.stopped,
    )


@jax.jit
def _copy(tree: Any) -> Any:
    """Arrays that stay when others are overwritten."""
    return jax.tree.map(jnp.copy, tree)


@jax.jit
def _is_finite(params: Any) -> jax.Array:
    """Whether no parameter is NaN or infinite."""
    return jnp.all(jnp.array([jnp.isfinite(p).all() for p in jax.tree.leaves(params)]))
