"""The programs of a training, kept for the next one of the same kind."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import optax

from naejax.objectives import losses
from naejax.train.chunk import ParallelChunk, RunChunk, make_run_chunk
from naejax.train.evaluate import Evaluate, ParallelEvaluate, make_evaluate
from naejax.train.optimizer import default_optimizer, mean_of_parameters
from naejax.train.parallel import DataParallel
from naejax.train.step import make_train_step


class Programs(NamedTuple):
    """What training runs; compiled when first run."""

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule | None
    run_chunk: RunChunk | ParallelChunk
    evaluate: Evaluate | ParallelEvaluate


def make_programs(
    model: nn.Module,
    loss: losses.Loss,
    optimizer: float | optax.GradientTransformation,
    weight_decay: float,
    total_steps: int,
    penalties: tuple[tuple[str, float], ...],
    averaging: float,
    parallel: DataParallel | None,
) -> Programs:
    """Builds the optimiser and the programs of a training.

    Args:
        model: as for `naejax.fit`.
        loss: likewise.
        optimizer: likewise.
        weight_decay: likewise.
        total_steps: of the training.
        penalties: names and strengths.
        averaging: as for `naejax.fit`.
        parallel: the devices; None for a single one.

    Returns:
        The programs.
    """
    schedule = None
    if not isinstance(optimizer, optax.GradientTransformation):
        optimizer, plain = default_optimizer(optimizer, total_steps, weight_decay)
        # Compiled: the history asks for a rate after every epoch.
        schedule = jax.jit(plain)
    if averaging:
        optimizer = optax.chain(optimizer, mean_of_parameters(averaging))
    step = make_train_step(model, loss, optimizer, dict(penalties))
    run_chunk = make_run_chunk(step, parallel)
    return Programs(
        optimizer, schedule, run_chunk, make_evaluate(model, loss, parallel)
    )


kept_programs = functools.lru_cache(maxsize=8, typed=True)(make_programs)


def find_programs(
    model: nn.Module, loss: Any, optimizer: Any, *others: Any
) -> Programs:
    """Programs of an earlier training of the same kind, or new ones.

    A function of the user's may depend on more than its arguments: it is not kept.

    Args:
        model: as for `make_programs`.
        loss: likewise.
        optimizer: likewise.
        *others: the other arguments of `make_programs`.

    Returns:
        The programs.
    """
    asked = model, loss, optimizer, *others
    if loss not in losses.LOSSES.values() or not isinstance(optimizer, float):
        return make_programs(*asked)
    try:
        return kept_programs(*asked)
    except TypeError:  # The model has no hash.
        return make_programs(*asked)
