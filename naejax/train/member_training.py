"""The training of a group of members, epoch after epoch."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import numpy as np

from naejax.train.ahead import ahead
from naejax.train.batch import Batch
from naejax.train.member_groups import ChunkShape
from naejax.train.members import MemberPrograms
from naejax.train.order import shuffled_rows


class Standing(NamedTuple):
    """Where the M members of a group stand after an epoch.

    Attributes:
        best: parameters of every member's best epoch, on the devices.
        best_epochs: its number, (M,); 0 is before training.
        best_scores: its validation loss, (M,); infinite before the first.
        running: members that still train, (M,).
        diverged: members whose loss became NaN or infinite, (M,).
        trained: members that trained in this epoch, and well, (M,).
        losses: of this epoch, on the training rows while training, (M,).
        objectives: likewise, with penalties, (M,).
        scores: validation losses, (M,); NaN without validation rows.
    """

    best: Any
    best_epochs: np.ndarray
    best_scores: np.ndarray
    running: np.ndarray
    diverged: np.ndarray
    trained: np.ndarray
    losses: np.ndarray
    objectives: np.ndarray
    scores: np.ndarray


class GroupTraining(NamedTuple):
    """The training of any group of a population.

    Attributes:
        programs: what it runs.
        data: all rows, on the devices.
        epoch_shape: result of `naejax.train.order.epoch_shape`.
        chunk: how many rows the programs take at once.
        epochs: passes over the rows.
        patience: see `naejax.train.population.fit_population`.
    """

    programs: MemberPrograms
    data: Batch
    epoch_shape: tuple[int, int, int]
    chunk: ChunkShape
    epochs: int
    patience: int | None

    def run(
        self,
        members: Any,
        rows: np.ndarray,
        check_rows: np.ndarray | None,
        num_own: int,
    ) -> Generator[Standing]:
        """Trains members until all have stopped.

        Args:
            members: variables, scalars and seeds, (M, ...).
            rows: of every member, (M, n).
            check_rows: rows to validate on, (M, m), or None.
            num_own: members that count, the first ones; the others never train.

        Yields:
            Where they stand after every epoch.
        """
        variables, scalars, seeds = members
        own = self.programs.send(scalars)
        state = self.programs.start(
            self.programs.send(variables), own, self.programs.send(seeds)
        )
        best = self.programs.send(variables["params"])
        count = len(seeds)
        best_epochs, best_scores = np.zeros(count, int), np.full(count, np.inf)
        running, diverged = np.arange(count) < num_own, np.zeros(count, bool)
        chunks: Any = ahead(self._chunks(rows, seeds))
        with contextlib.closing(chunks):
            for epoch in range(1, self.epochs + 1):
                state, sums = self._train_epoch(state, own, chunks)
                scores = np.full(count, np.nan)
                if check_rows is not None:
                    scores = self._validate(state, check_rows)
                finite = self.programs.fetch(self.programs.is_finite(state.params))
                finite = finite & np.isfinite(sums).all(axis=0)
                diverged = diverged | (running & ~finite)
                better = trained = running & finite
                if check_rows is not None:
                    better = trained & (scores < best_scores)
                best = self.programs.keep(
                    self.programs.send(better), state.fitted, best
                )
                best_scores = np.where(better, scores, best_scores)
                best_epochs = np.where(better, epoch, best_epochs)
                running = trained
                if self.patience is not None:
                    running = trained & (epoch - best_epochs < self.patience)
                yield Standing(
                    best,
                    best_epochs,
                    best_scores,
                    running,
                    diverged,
                    trained,
                    sums[0] / sums[2],
                    sums[1] / sums[2],
                    scores,
                )
                if not running.any():
                    return

    def _train_epoch(
        self, state: Any, own: Any, chunks: Iterator[tuple[Any, int]]
    ) -> tuple[Any, np.ndarray]:
        """The state after an epoch, and its sums of loss, objective and weight."""
        num_chunks, steps, _ = self.epoch_shape
        sums, waiting = 0.0, None
        for _ in range(-(-num_chunks * steps // self.chunk.steps)):
            order, count = next(chunks)
            state, metrics = self.programs.run_chunk(
                state, own, self.data, order, np.int32(count)
            )
            # One chunk is at work while the sums of the one before are fetched.
            sums, waiting = sums + self._sum(waiting), metrics
        return state, np.asarray(sums + self._sum(waiting))

    def _sum(self, metrics: Any) -> Any:
        """Sums of the metrics of a chunk, (3, M); 0 for none."""
        if metrics is None:
            return 0.0
        return np.stack(self.programs.fetch(metrics)).sum(axis=2, dtype=np.float64)

    def _chunks(
        self, rows: np.ndarray, seeds: np.ndarray
    ) -> Generator[tuple[Any, int]]:
        """Rows of every chunk of the training, on the devices, and its steps."""
        num_chunks, steps, batch = self.epoch_shape
        steps, size = num_chunks * steps, self.chunk.steps
        for epoch in range(1, self.epochs + 1):
            # Members of a sweep share few seeds.
            orders = {
                seed: shuffled_rows(rows.shape[1], self.epoch_shape, (seed, epoch))
                for seed in set(seeds.tolist())
            }
            for first in range(0, steps, size):
                count = min(size, steps - first)
                order = np.zeros((len(seeds), size, batch), np.int32)
                for member, seed in enumerate(seeds.tolist()):
                    places = orders[seed].reshape(steps, batch)[first : first + count]
                    order[member, :count] = rows[member, places]
                yield self.programs.send(order), count

    def _validate(self, state: Any, rows: np.ndarray) -> np.ndarray:
        """Weighted mean losses on rows (M, m), (M,)."""
        size, most = rows.shape[1], self.chunk.check_rows
        total = np.zeros((2, len(rows)))
        for first in range(0, size, most):
            index = np.arange(first, first + most)
            # Past the end come the first rows once more; they count for nothing.
            counts = (index < size).astype(np.float32)
            part = self.programs.send(rows[:, index % size])
            sums = self.programs.loss_sums(state, self.data, part, counts)
            total += np.stack(self.programs.fetch(sums))
        return total[0] / total[1]
