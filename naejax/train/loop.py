"""Training: a jitted scan over minibatches, driven from the host in chunks.

Between two chunks the host shows progress, validates, stops early and hears Ctrl-C;
within a chunk nothing leaves the device. Steps that convolve on a CPU are called one by
one instead, see `naejax.ops.chunks.must_unroll`.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from tqdm.auto import tqdm

from naejax.objectives import losses
from naejax.ops.chunks import must_unroll
from naejax.train.batch import Batch, make_batch
from naejax.train.evaluate import make_evaluate
from naejax.train.step import Metrics, TrainState, init_state, make_train_step

_CHUNK_STEPS = 256


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


def default_optimizer(
    learning_rate: float, total_steps: int, weight_decay: float = 1e-2
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """AdamW whose rate warms up over the first 5 % of steps, then falls as a cosine.

    Args:
        learning_rate: the highest rate.
        total_steps: steps until the rate is 0.
        weight_decay: decoupled weight decay.

    Returns:
        The optimiser and its schedule ``step -> rate``.

    Example:
        >>> _, schedule = default_optimizer(1e-3, total_steps=100)
        >>> float(schedule(0)), round(float(schedule(5)), 6), float(schedule(100))
        (0.0, 0.001, 0.0)
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(1, total_steps // 20), max(2, total_steps)
    )
    return optax.adamw(schedule, weight_decay=weight_decay), schedule


def fit(
    model: nn.Module,
    variables: Any,
    data: tuple,
    *,
    loss: str | losses.Loss = "squared",
    optimizer: float | optax.GradientTransformation = 1e-3,
    weight_decay: float = 1e-2,
    epochs: int = 100,
    batch_size: int = 256,
    seed: int = 0,
    penalties: Mapping[str, float] | None = None,
    validation: tuple | None = None,
    patience: int | None = None,
    progress: bool = True,
) -> FitResult:
    """Trains a model by minibatches and keeps the best parameters.

    Minimises the weighted mean of ``loss`` plus the weighted ``penalties``; see
    `naejax.train.step.make_train_step`. The same seed on the same machine gives bitwise
    the same parameters.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput` or
            `naejax.SOPOutput`.
        variables: its initial variables, from ``model.init``; the collection
            ``params`` is trained, others stay as they are.
        data: ``(x, target)`` or ``(x, target, weight)`` for `make_batch`.
        loss: name of a loss in `naejax.losses`, or any ``loss(score, target)`` that
            returns one value per row.
        optimizer: highest learning rate of `default_optimizer`, or any optax one.
        weight_decay: of `default_optimizer`.
        epochs: passes over the rows.
        batch_size: rows per step; fewer when there are fewer rows.
        seed: seed of the shuffling, dropout and Gumbel draws.
        penalties: weights of `naejax.penalties` by name.
        validation: like ``data``; its mean loss picks the best epoch.
        patience: epochs without a better validation loss before training stops;
            None never stops early.
        progress: whether to show a progress bar.

    Returns:
        The best variables and the history. Ctrl-C ends training with the best so far.

    Raises:
        TrainingDivergedError: when the loss becomes NaN or infinite.
        ValueError: for rows, targets, names or numbers that cannot be used.

    Example:
        >>> import jax, numpy as np
        >>> from naejax import NAE
        >>> x = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
        >>> model = NAE(num_experts=4, hidden=(16, 16))
        >>> variables = model.init(jax.random.key(0), x)
        >>> result = fit(model, variables, (x, np.sin(x[:, 0])), epochs=30,
        ...              batch_size=16, optimizer=1e-2, progress=False)
        >>> result.history[-1]["loss"] < 0.05
        True
    """
    train = make_batch(*data)
    check = None if validation is None else make_batch(*validation)
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"epochs is {epochs} and batch_size {batch_size}, expected at least 1"
        )
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}, expected at least 1 epoch")
    if patience is not None and check is None:
        raise ValueError("patience needs validation rows; pass validation=(x, target)")
    loss = losses.get(loss)
    shape = _epoch_shape(len(train.x), batch_size)
    schedule = None
    if not isinstance(optimizer, optax.GradientTransformation):
        total_steps = epochs * shape[0] * shape[1]
        optimizer, schedule = default_optimizer(optimizer, total_steps, weight_decay)
    run_chunk = make_run_chunk(make_train_step(model, loss, optimizer, penalties or {}))
    evaluate = make_evaluate(model, loss)
    # The state is donated to the first chunk, so the caller's variables are copied.
    state = init_state(jax.tree.map(jnp.array, dict(variables)), optimizer, seed)
    history: list[dict[str, float | int | None]] = []
    best = FitResult(variables, history, 0, "finished")
    best_score, start = np.inf, time.perf_counter()
    bar = tqdm(total=epochs, unit="epoch", disable=not progress, dynamic_ncols=True)
    try:
        for epoch in range(1, epochs + 1):
            sums = np.zeros(3)
            for rows in _shuffled_rows(len(train.x), shape, (seed, epoch)):
                state, metrics = run_chunk(state, train, rows)
                metrics = jax.device_get(metrics)
                _check_finite(metrics, state, schedule, best)
                sums += [m.sum() for m in metrics]
            score = None if check is None else evaluate(_variables(state), check)
            history.append(
                {
                    "epoch": epoch,
                    "seconds": time.perf_counter() - start,
                    "learning_rate": schedule and float(schedule(state.step)),
                    "loss": float(sums[0] / sums[2]),
                    "objective": float(sums[1] / sums[2]),
                    "validation": score,
                }
            )
            if score is None or score < best_score:
                best_score = np.inf if score is None else score
                kept = jax.tree.map(jnp.copy, _variables(state))
                best = best._replace(variables=kept, best_epoch=epoch)
            bar.set_postfix(_postfix(history[-1], best.best_epoch), refresh=False)
            bar.update()
            if patience is not None and epoch - best.best_epoch >= patience:
                return best._replace(stopped="early")
    except KeyboardInterrupt:
        return best._replace(stopped="interrupted")
    finally:
        bar.close()
    return best


def make_run_chunk(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
) -> Callable[[TrainState, Batch, ArrayLike], tuple[TrainState, Metrics]]:
    """Builds ``run_chunk(state, data, rows) -> (state, metrics)``.

    A jitted scan; on a CPU, a step that convolves is jitted and called for each row.

    Args:
        train_step: ``train_step(state, batch) -> (state, metrics)``.

    Returns:
        A function that takes one step for each row of the indices ``rows`` (S, B)
        into ``data``; metrics are stacked (S,). It donates the state it is given.

    Example:
        >>> import jax.numpy as jnp
        >>> from naejax.train.batch import make_batch
        >>> def count(state, batch):
        ...     return state + batch.weight.sum(), batch.weight.sum()
        >>> data = make_batch(jnp.ones((6, 1)), jnp.ones(6))
        >>> state, sums = make_run_chunk(count)(0.0, data, jnp.arange(6).reshape(3, 2))
        >>> float(state), sums.shape
        (6.0, (3,))
    """

    def step(state, data, indices):
        return train_step(state, jax.tree.map(lambda a: a[indices], data))

    def scan(state, data, rows):
        return jax.lax.scan(lambda s, indices: step(s, data, indices), state, rows)

    step_jit = jax.jit(step, donate_argnums=0)
    scan_jit = jax.jit(scan, donate_argnums=0)

    unroll: bool | None = None

    def run_chunk(state: TrainState, data: Batch, rows: ArrayLike):
        nonlocal unroll
        rows = jnp.asarray(rows)
        if unroll is None:
            # jit keeps the trace: the call that follows does not trace again.
            unroll = must_unroll(scan_jit.trace(state, data, rows).jaxpr)
        if not unroll:
            return scan_jit(state, data, rows)
        metrics = []
        for indices in rows:
            state, one = step_jit(state, data, indices)
            metrics.append(one)
        return state, jax.tree.map(lambda *m: jnp.stack(m), *metrics)

    return run_chunk


def _variables(state: TrainState) -> dict[str, Any]:
    """The model's variables in a state."""
    return {"params": state.params, **state.constants}


def _epoch_shape(num_rows: int, batch_size: int) -> tuple[int, int, int]:
    """Chunks, steps per chunk and rows per step of an epoch.

    Equal chunks compile once; an epoch gives up at most a few of its batches.
    """
    batch_size = min(batch_size, num_rows)
    steps = num_rows // batch_size
    chunks = -(-steps // _CHUNK_STEPS)
    return chunks, steps // chunks, batch_size


def _shuffled_rows(
    num_rows: int, shape: tuple[int, int, int], seed: tuple[int, int]
) -> np.ndarray:
    """Row indices of an epoch in random order; the remainder is left out."""
    order = np.random.default_rng(seed).permutation(num_rows).astype(np.int32)
    return order[: math.prod(shape)].reshape(shape)


def _check_finite(metrics, state, schedule, result: FitResult) -> None:
    """Stops at the first step of a chunk that went wrong."""
    values = metrics.objective
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
        f"{what} at step {step + 1} (learning rate {rate}); lower the learning rate, "
        "or look for huge values in the data",
        result,
    )


@jax.jit
def _is_finite(params) -> jax.Array:
    """Whether no parameter is NaN or infinite."""
    return jnp.all(jnp.array([jnp.isfinite(p).all() for p in jax.tree.leaves(params)]))


def _postfix(row: Mapping[str, Any], best_epoch: int) -> dict[str, str]:
    """What the progress bar says beside the bar."""
    text = {"loss": f"{row['loss']:.4g}"}
    if row["validation"] is not None:
        text |= {
            "validation": f"{row['validation']:.4g}",
            "best": f"epoch {best_epoch}",
        }
    return text
