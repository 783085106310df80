"""Training: a jitted scan over minibatches, driven from the host in chunks.

Between two chunks the host shows progress, validates, stops early and hears Ctrl-C;
within a chunk nothing leaves the device.
"""

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
from naejax.train.step import Batch, Loss, TrainState, init_state, make_train_step

_CHUNK_STEPS = 256
_EVALUATION_ROWS = 1024


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


def make_batch(
    x: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> Batch:
    """Checks and gathers rows, targets and weights into a `Batch`.

    Args:
        x: encoded rows, (N, F).
        target: (N,) or (N, C).
        weight: (N,), non-negative; None gives every row weight 1.

    Returns:
        The rows as device arrays.

    Raises:
        ValueError: if lengths differ, or a weight or target is not finite.

    Example:
        >>> make_batch([[1.0], [2.0]], [0.0, 1.0]).weight.tolist()
        [1.0, 1.0]
    """
    x, target = np.asarray(x, np.float32), np.asarray(target)
    if target.dtype == np.float64:
        target = target.astype(np.float32)
    weight = (
        np.ones(len(x), np.float32) if weight is None else np.asarray(weight, np.float32)
    )
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(
            f"x has shape {x.shape}, expected (rows, features) with at least one row"
        )
    if not len(x) == len(target) == len(weight) or weight.ndim != 1:
        raise ValueError(
            f"x has {len(x)} rows, target {target.shape}, weight {weight.shape}; "
            "expected one target and one weight per row"
        )
    if np.isinf(x).any():
        raise ValueError("x holds infinite values; replace them, or mark them as NaN")
    if not np.isfinite(target).all():
        raise ValueError("the target holds NaN or infinite values; drop those rows")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(
            "weights must be finite, not negative, and not all zero; check the weights"
        )
    return Batch(jnp.asarray(x), jnp.asarray(target), jnp.asarray(weight))


def fit(
    model: nn.Module,
    variables: Any,
    data: tuple,
    *,
    loss: str | Loss = "squared",
    optimizer: float | optax.GradientTransformation = 1e-3,
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
    `naejax.train.make_train_step`. The same seed on the same machine gives bitwise
    the same parameters.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput`.
        variables: its initial variables, from ``model.init``.
        data: ``(x, target)`` or ``(x, target, weight)``; see `make_batch`.
        loss: name of a loss in `naejax.losses`, or any ``loss(score, target)`` that
            returns one value per row.
        optimizer: highest learning rate of `default_optimizer`, or any optax one.
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
    if patience is not None and check is None:
        raise ValueError("patience needs validation rows; pass validation=(x, target)")
    loss = losses.get(loss)
    num_rows = len(train.x)
    batch_size = min(batch_size, num_rows)
    steps = num_rows // batch_size
    # Equal chunks compile once; an epoch gives up at most a few of its batches.
    chunks = -(-steps // _CHUNK_STEPS)
    chunk_steps = steps // chunks
    schedule = None
    if not isinstance(optimizer, optax.GradientTransformation):
        optimizer, schedule = default_optimizer(
            optimizer, epochs * chunks * chunk_steps
        )
    run_chunk = _make_run_chunk(make_train_step(model, loss, optimizer, penalties or {}))
    evaluate = make_evaluate(model, loss)
    # Donated to the first chunk, so the caller's parameters are copied.
    state = init_state(jax.tree.map(jnp.array, variables["params"]), optimizer, seed)
    best = FitResult(variables, [], 0, "finished")
    best_score, start = float("inf"), time.perf_counter()
    history: list[dict[str, float | int | None]] = []
    bar = tqdm(total=epochs, unit="epoch", disable=not progress, dynamic_ncols=True)
    try:
        for epoch in range(1, epochs + 1):
            order = np.random.default_rng([seed, epoch]).permutation(num_rows)
            order = order[: chunks * chunk_steps * batch_size].astype(np.int32)
            sums = np.zeros(3)
            for rows in order.reshape(chunks, chunk_steps, batch_size):
                state, metrics = run_chunk(state, train, rows)
                metrics = jax.device_get(metrics)
                _check_finite(metrics, state, schedule, best._replace(history=history))
                sums += [m.sum() for m in metrics]
            score = None if check is None else float(evaluate(state.params, check))
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
                params = jax.tree.map(jnp.copy, state.params)
                best = FitResult({"params": params}, history, epoch, "finished")
            bar.update()
            bar.set_postfix(_postfix(history[-1], best.best_epoch))
            if patience is not None and epoch - best.best_epoch >= patience:
                best = best._replace(stopped="early")
                break
    except KeyboardInterrupt:
        best = best._replace(stopped="interrupted")
    finally:
        bar.close()
    return best._replace(history=history)


def make_evaluate(model: nn.Module, loss: Loss) -> Callable[[Any, Batch], jax.Array]:
    """Builds ``evaluate(params, batch) -> weighted mean loss`` in bounded memory.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput`.
        loss: ``loss(score (B, C), target) -> (B,)``.

    Returns:
        A jitted function; rows are scored in chunks, the last one padded.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from naejax import NAE, losses
        >>> model, x = NAE(num_experts=4, hidden=(8,)), jnp.ones((6, 2))
        >>> params = model.init(jax.random.key(0), x)["params"]
        >>> evaluate = make_evaluate(model, losses.squared)
        >>> evaluate(params, make_batch(x, jnp.ones(6))).shape
        ()
    """

    @jax.jit
    def evaluate(params, batch: Batch):
        num_rows = len(batch.weight)
        chunk = min(num_rows, _EVALUATION_ROWS)
        chunks = -(-num_rows // chunk)

        def fold(array):
            pads = [(0, chunks * chunk - num_rows)] + [(0, 0)] * (array.ndim - 1)
            # Edge rows are valid rows, so padding of weight 0 stays finite.
            return jnp.pad(array, pads, "edge").reshape(chunks, chunk, *array.shape[1:])

        folded = jax.tree.map(fold, batch)
        kept = (jnp.arange(chunks * chunk) < num_rows).reshape(chunks, chunk)

        def sum_loss(rows: Batch):
            score = model.apply({"params": params}, rows.x).prediction
            return (rows.weight * loss(score, rows.target)).sum()

        weight = jnp.where(kept, folded.weight, 0.0)
        return jax.lax.map(sum_loss, folded._replace(weight=weight)).sum() / weight.sum()

    return evaluate


def _make_run_chunk(train_step: Callable) -> Callable:
    """The jitted scan of ``train_step`` over the rows (S, B) of one chunk."""

    def run_chunk(state: TrainState, data: Batch, rows: jax.Array):
        def body(state, indices):
            return train_step(state, jax.tree.map(lambda a: a[indices], data))

        return jax.lax.scan(body, state, rows)

    return jax.jit(run_chunk, donate_argnums=0)


def _check_finite(metrics, state, schedule, result: FitResult) -> None:
    """Stops at the first step of a chunk whose objective is not finite."""
    bad = np.flatnonzero(~np.isfinite(metrics.objective))
    if len(bad):
        step = int(state.step) - len(metrics.objective) + int(bad[0])
        rate = f"{float(schedule(step)):.3g}" if schedule else "the optimiser's own"
        raise TrainingDivergedError(
            f"the loss is {metrics.objective[bad[0]]} at step {step + 1} (learning rate "
            f"{rate}); lower the learning rate, or look for huge values in the data",
            result,
        )


def _postfix(row: Mapping[str, Any], best_epoch: int) -> dict[str, str]:
    """What the progress bar says beside the bar."""
    text = {"loss": f"{row['loss']:.4g}"}
    if row["validation"] is not None:
        text |= {"validation": f"{row['validation']:.4g}", "best": f"epoch {best_epoch}"}
    return text
