"""Training: a jitted scan over minibatches, driven from the host in chunks.

Between two chunks the host shows progress, validates, stops early and hears Ctrl-C;
within a chunk nothing leaves the device.
"""

import functools
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm.auto import tqdm

from naejax.objectives import losses
from naejax.train.batch import make_batch
from naejax.train.chunk import RunChunk, make_run_chunk
from naejax.train.evaluate import Evaluate, make_evaluate
from naejax.train.memory import estimate_run, require_memory, usual_budget
from naejax.train.order import epoch_shape, shuffled_rows
from naejax.train.shards import plan_shards
from naejax.train.step import TrainState, init_state, make_train_step


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
    device_budget: int | None = None,
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
        data: ``(x, target)``, ``(x, target, weight)`` or ``(x, target, weight,
            offset)`` for `make_batch`.
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
        device_budget: most bytes of rows on the device; more stay on the host and are
            sent in shards, with bitwise the same result. None: half of the device's
            free memory, if it tells.
        progress: whether to show a progress bar.

    Returns:
        The best variables and the history. Ctrl-C ends training with the best so far.

    Raises:
        TrainingDivergedError: when the loss becomes NaN or infinite.
        ValueError: for rows, targets, names or numbers that cannot be used, and, before
            anything is allocated, for training that the memory is too small for.

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
    train = make_batch(*data, on_host=True)
    check = None if validation is None else make_batch(*validation, on_host=True)
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"epochs is {epochs} and batch_size {batch_size}, expected at least 1"
        )
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}, expected at least 1 epoch")
    if patience is not None and check is None:
        raise ValueError("patience needs validation rows; pass validation=(x, target)")
    if device_budget is not None and device_budget < 1:
        raise ValueError(
            f"device_budget is {device_budget} bytes, expected a positive number"
        )
    loss = losses.get(loss)
    shape = epoch_shape(len(train.x), batch_size)
    total_steps = epochs * shape[0] * shape[1]
    strengths = tuple((penalties or {}).items())
    key = model, loss, optimizer, weight_decay, total_steps, strengths
    optimizer, schedule, run_chunk, evaluate = _programs(*key)
    budget = usual_budget() if device_budget is None else device_budget
    check_rows = 0 if check is None else evaluate.chunk_rows(len(check.x))
    plan = plan_shards(train, check, shape, check_rows, budget)
    estimate = estimate_run(
        run_chunk, evaluate, variables, optimizer, train, check, plan
    )
    require_memory(estimate, batch_size)
    if not plan.on_host:
        train, check = jax.tree.map(jnp.asarray, (train, check))
    # The state is donated to the first chunk, so the caller's variables are copied.
    state = init_state(jax.tree.map(jnp.array, dict(variables)), optimizer, seed)
    history: list[dict[str, float | int | None]] = []
    best = FitResult(variables, history, 0, "finished")
    best_score, start = np.inf, time.perf_counter()
    bar = tqdm(total=epochs, unit="epoch", disable=not progress, dynamic_ncols=True)
    try:
        for epoch in range(1, epochs + 1):
            chunks = []
            order = shuffled_rows(len(train.x), shape, (seed, epoch))
            for rows in plan.chunks(order):
                state, metrics = run_chunk(state, *plan.send(train, rows))
                chunks.append(jax.device_get(metrics))
                _check_finite(chunks[-1], state, schedule, best)
            # One sum over all steps, whatever the chunks, is the same to the last bit.
            sums = np.concatenate(chunks, axis=1).sum(axis=1, dtype=np.float64)
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


class _Programs(NamedTuple):
    """What training runs; compiled when first run."""

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule | None
    run_chunk: RunChunk
    evaluate: Evaluate


def _make_programs(
    model: nn.Module,
    loss: losses.Loss,
    optimizer: float | optax.GradientTransformation,
    weight_decay: float,
    total_steps: int,
    penalties: tuple[tuple[str, float], ...],
) -> _Programs:
    """Builds the optimiser and the programs of a training."""
    schedule = None
    if not isinstance(optimizer, optax.GradientTransformation):
        optimizer, schedule = default_optimizer(optimizer, total_steps, weight_decay)
    step = make_train_step(model, loss, optimizer, dict(penalties))
    run_chunk, evaluate = make_run_chunk(step), make_evaluate(model, loss)
    return _Programs(optimizer, schedule, run_chunk, evaluate)


_kept_programs = functools.lru_cache(maxsize=8, typed=True)(_make_programs)


def _programs(model: nn.Module, loss: Any, optimizer: Any, *rest: Any) -> _Programs:
    """Programs of an earlier training of the same kind, or new ones.

    A function of the user's may depend on more than its arguments: it is not kept.
    """
    key = model, loss, optimizer, *rest
    if loss not in losses.LOSSES.values() or not isinstance(optimizer, float):
        return _make_programs(*key)
    try:
        return _kept_programs(*key)
    except TypeError:  # The model has no hash.
        return _make_programs(*key)


def _variables(state: TrainState) -> dict[str, Any]:
    """The model's variables in a state."""
    return {"params": state.params, **state.constants}


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
