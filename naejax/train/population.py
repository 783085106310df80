"""Several models of one shape, trained side by side by one compiled program."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from tqdm.auto import tqdm

from naejax.objectives import losses
from naejax.train.batch import Batch, add_offset, make_batch
from naejax.train.loop import FitResult, TrainingDivergedError, default_optimizer
from naejax.train.order import epoch_shape, shuffled_rows
from naejax.train.step import init_state, make_train_step

_CHUNK_STEPS = 256
_CHUNK_ROWS = 1024


class PopulationResult(NamedTuple):
    """What training several models leaves.

    Attributes:
        variables: of every member's best epoch; leaves have a leading axis S.
        history: one mapping per epoch, as in `naejax.FitResult`, means over members.
        best_epochs: the epoch of every member's variables, (S,).
        stopped: ``finished``, ``early`` or ``interrupted``.
    """

    variables: Any
    history: list[dict[str, float | int | None]]
    best_epochs: np.ndarray
    stopped: str

    def to_fit_result(self) -> FitResult:
        """The same for readers of one model: its best epoch is the members' median."""
        best_epoch = int(np.median(self.best_epochs))
        return FitResult(self.variables, self.history, best_epoch, self.stopped)


def fit_population(
    model: nn.Module,
    variables: Any,
    data: tuple,
    rows: np.ndarray,
    *,
    validation_rows: np.ndarray | None = None,
    loss: str | losses.Loss = "squared",
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    epochs: int = 100,
    batch_size: int = 256,
    seeds: Sequence[int],
    penalties: Mapping[str, float] | None = None,
    patience: int | None = None,
    progress: bool = True,
) -> PopulationResult:
    """Trains S members at once, each on rows, and with a seed, of its own.

    Member m ends where `naejax.fit` on ``rows[m]`` with ``seeds[m]`` ends, up to the
    rounding of sums: the step is that of `naejax.train.step.make_train_step` under
    ``vmap``. A member that no longer improves keeps its best parameters; training ends
    when all have stopped.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput`.
        variables: initial variables; leaves have a leading axis S.
        data: ``(x, target)``, with weight and offset if there are any, for
            `naejax.train.batch.make_batch`.
        rows: indices into the data that a member trains on, (S, n).
        validation_rows: indices of rows that pick its best epoch, (S, m).
        loss: as in `naejax.fit`.
        learning_rate: the highest one.
        weight_decay: of AdamW.
        epochs: passes over the rows.
        batch_size: rows per step and member.
        seeds: of shuffling, dropout and Gumbel draws, one per member.
        penalties: weights of `naejax.penalties` by name.
        patience: epochs without a better validation loss before a member stops.
        progress: whether to show a progress bar.

    Returns:
        The members' best variables and the history. Ctrl-C ends training early.

    Raises:
        TrainingDivergedError: when the loss of a member becomes NaN or infinite.
        ValueError: for rows or numbers that cannot be used.

    Example:
        >>> from naejax import NAE
        >>> x = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
        >>> model = NAE(num_experts=4, hidden=(8,))
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> variables = jax.vmap(model.init, in_axes=(0, None))(keys, x[:1])
        >>> rows = np.stack([np.arange(0, 64, 2), np.arange(1, 64, 2)])
        >>> result = fit_population(model, variables, (x, np.sin(x[:, 0])), rows,
        ...                         epochs=2, seeds=(0, 1), progress=False)
        >>> result.variables["params"]["bias"].shape
        (2, 1)
    """
    batch, members = make_batch(*data), len(seeds)
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != members or rows.shape[1] == 0:
        raise ValueError(
            f"rows has shape {rows.shape}, expected ({members}, n): as many lists of "
            "row indices as seeds"
        )
    loss = losses.get(loss)
    num_rows = rows.shape[1]
    chunks, steps, batch_size = epoch_shape(
        num_rows, batch_size, max(1, _CHUNK_STEPS // members)
    )
    optimizer, schedule = default_optimizer(
        learning_rate, epochs * chunks * steps, weight_decay
    )
    train_step = make_train_step(model, loss, optimizer, penalties or {})
    evaluate = _make_evaluate(model, loss)

    @jax.jit
    def run_chunk(state, data: Batch, order: Array):
        def one_member(state, indices):
            return train_step(state, jax.tree.map(lambda a: a[indices], data))

        return jax.lax.scan(jax.vmap(one_member), state, order)

    state = jax.vmap(lambda v, s: init_state(v, optimizer, s))(
        variables, jnp.asarray(seeds)
    )
    best_score = np.full(members, np.inf)
    best_epochs = np.zeros(members, int)
    result = PopulationResult(variables, [], best_epochs, "finished")
    start = time.perf_counter()
    bar = tqdm(total=epochs, unit="epoch", disable=not progress, dynamic_ncols=True)
    try:
        for epoch in range(1, epochs + 1):
            shape = (chunks, steps, batch_size)
            orders = [
                own[shuffled_rows(num_rows, shape, (seed, epoch))]
                for own, seed in zip(rows, seeds, strict=True)
            ]
            sums = np.zeros((3, members))
            for order in np.stack(orders, axis=2):  # (chunks, steps, S, batch)
                state, metrics = run_chunk(state, batch, order)
                sums += np.stack([m.sum(axis=0) for m in jax.device_get(metrics)])
            if not np.isfinite(sums).all():
                raise _diverged(sums, epoch, result)
            score = np.full(members, np.nan)
            if validation_rows is not None:
                score = evaluate(_variables(state), batch, validation_rows)
            waits = epoch - best_epochs
            is_running = patience is None or waits <= patience
            better = is_running & ((score < best_score) | (validation_rows is None))
            best_score = np.where(better, score, best_score)
            best_epochs = np.where(better, epoch, best_epochs)
            kept = _choose(better, _variables(state), result.variables)
            row = {
                "epoch": epoch,
                "seconds": time.perf_counter() - start,
                "learning_rate": float(schedule(epoch * chunks * steps)),
                "loss": float((sums[0] / sums[2]).mean()),
                "objective": float((sums[1] / sums[2]).mean()),
                "validation": None if validation_rows is None else float(score.mean()),
            }
            result = PopulationResult(
                kept, [*result.history, row], best_epochs, "finished"
            )
            bar.set_postfix(loss=f"{row['loss']:.4g}", refresh=False)
            bar.update()
            if patience is not None and (epoch - best_epochs >= patience).all():
                return result._replace(stopped="early")
    except KeyboardInterrupt:
        return result._replace(stopped="interrupted")
    finally:
        bar.close()
    return result


def _make_evaluate(model: nn.Module, loss: losses.Loss):
    """``evaluate(variables, data, rows (S, m)) -> weighted mean losses (S,)``."""

    @jax.jit
    def sums(variables, data: Batch, rows: Array, counts: Array):
        def one_member(variables, indices):
            part = jax.tree.map(lambda a: a[indices], data)
            output: Any = model.apply(variables, part.x)
            score = add_offset(output.prediction, part)
            weight = part.weight * counts
            return (weight * loss(score, part.target)).sum(), weight.sum()

        return jax.vmap(one_member)(variables, rows)

    def evaluate(variables, data: Batch, rows: np.ndarray) -> np.ndarray:
        size = rows.shape[1]
        chunk = min(size, _CHUNK_ROWS)
        total = np.zeros((2, len(rows)))
        for first in range(0, size, chunk):
            index = np.arange(first, first + chunk)
            # Past the end come the first rows once more; they count for nothing.
            counts = jnp.asarray(index < size, jnp.float32)
            total += np.stack(sums(variables, data, rows[:, index % size], counts))
        return total[0] / total[1]

    return evaluate


def _variables(state) -> dict[str, Any]:
    """The members' variables in a state."""
    return {"params": state.params, **state.constants}


@jax.jit
def _choose(better: Array, new: Any, old: Any) -> Any:
    """The new leaf for members that got better, else the old one."""

    def choose(a, b):
        return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)


def _diverged(sums: np.ndarray, epoch: int, result: PopulationResult) -> ValueError:
    """The error for members whose loss is no longer finite."""
    bad = np.flatnonzero(~np.isfinite(sums).all(axis=0))
    return TrainingDivergedError(
        f"the loss of {len(bad)} of {sums.shape[1]} members is not finite in epoch "
        f"{epoch}; lower the learning rate, or look for huge values in the data",
        result.to_fit_result(),
    )
