"""Several models of one shape, trained side by side by one compiled program."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.typing import ArrayLike

from naejax.objectives import losses
from naejax.train.batch import make_batch
from naejax.train.member_groups import ChunkShape, members_at_once, plan_groups
from naejax.train.member_ledger import Ledger, PopulationResult
from naejax.train.member_training import GroupTraining, Standing
from naejax.train.members import MemberPrograms, Scalars
from naejax.train.order import epoch_shape
from naejax.train.parallel import choose_devices
from naejax.train.progress import progress_bar
from naejax.train.result import TrainingDivergedError

_CHUNK_STEPS = 256
_LEAST_STEPS = 16
_CHECK_ROWS = 8192
_LEAST_CHECK_ROWS = 128


def fit_population(
    model: nn.Module,
    variables: Any,
    data: tuple,
    rows: np.ndarray,
    *,
    validation_rows: np.ndarray | None = None,
    loss: str | losses.Loss = "squared",
    learning_rate: ArrayLike = 1e-3,
    weight_decay: ArrayLike = 1e-2,
    epochs: int = 100,
    batch_size: int = 256,
    seeds: Sequence[int],
    penalties: Mapping[str, ArrayLike] | None = None,
    averaging: float = 0.0,
    patience: int | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    memory_budget: int | None = None,
    skip_diverged: bool = False,
    progress: bool = True,
) -> PopulationResult:
    """Trains S members at once, each on rows, and with settings and a seed, of its own.

    Member m ends where `naejax.fit` on ``rows[m]`` with ``seeds[m]`` ends, up to the
    rounding of sums: the step is that of `naejax.train.step.make_train_step` under
    ``vmap``, on several devices under ``pmap`` of ``vmap``. A member that no longer
    improves keeps its best parameters; training ends when all have stopped. Members
    that have no room together are trained in groups, all by one compiled program.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput`.
        variables: initial variables; leaves have a leading axis S.
        data: ``(x, target)``, with weight and offset if there are any, for
            `naejax.train.batch.make_batch`.
        rows: indices into the data that a member trains on, (S, n).
        validation_rows: indices of rows that pick its best epoch, (S, m).
        loss: as in `naejax.fit`.
        learning_rate: the highest one, of all members or of each, () or (S,).
        weight_decay: of AdamW, () or (S,).
        epochs: passes over the rows.
        batch_size: rows per step and member.
        seeds: of shuffling, dropout and Gumbel draws, one per member, below 2^31.
        penalties: weights of `naejax.penalties` by name, () or (S,).
        averaging: as in `naejax.fit`.
        patience: epochs without a better validation loss before a member stops.
        devices: how many, or which, as in `naejax.fit`; each has its own members.
        memory_budget: bytes that members and rows may take on a device; None: 80 % of
            what is free, where that is known.
        skip_diverged: whether members whose loss becomes NaN or infinite stop alone, in
            place of an error.
        progress: whether to show a progress bar.

    Returns:
        The members' best variables and the history. Ctrl-C ends training early.

    Raises:
        TrainingDivergedError: when the loss of a member becomes NaN or infinite.
        ValueError: for rows or numbers that cannot be used, or a budget too small.

    Example:
        >>> from naejax import NAE
        >>> x = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
        >>> model = NAE(num_experts=4, hidden=(8,))
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> variables = jax.vmap(model.init, in_axes=(0, None))(keys, x[:1])
        >>> rows = np.stack([np.arange(0, 64, 2), np.arange(1, 64, 2)])
        >>> result = fit_population(model, variables, (x, np.sin(x[:, 0])), rows,
        ...                         learning_rate=[1e-3, 1e-2], epochs=2, seeds=(0, 1),
        ...                         progress=False)
        >>> result.variables["params"]["bias"].shape
        (2, 1)
    """
    batch, count = make_batch(*data, on_host=True), len(seeds)
    rows = _check_rows("rows", rows, count)
    if validation_rows is not None:
        validation_rows = _check_rows("validation_rows", validation_rows, count)
    elif patience is not None:
        raise ValueError("patience needs validation rows; pass validation_rows")
    if not 0 <= averaging < 1:
        raise ValueError(f"averaging is {averaging}, expected a decay in [0, 1)")
    if jax.process_count() > 1:
        raise ValueError(
            f"{jax.process_count()} processes train together, expected one: members "
            "are spread over the devices of one process; start a single one"
        )
    scalars = Scalars(
        _each("learning_rate", learning_rate, count),
        _each("weight_decay", weight_decay, count),
        # What no member has is left out of the program.
        {
            name: _each(name, values, count)
            for name, values in (penalties or {}).items()
            if np.any(values)
        },
    )
    members = (variables, scalars, _check_seeds(seeds))
    parallel = choose_devices(devices)
    chunks, steps, batch_size = epoch_shape(rows.shape[1], batch_size)
    epoch_steps = chunks * steps
    num_devices = 1 if parallel is None else len(parallel.devices)
    each = -(-count // num_devices)
    checks = 0
    if validation_rows is not None:
        checks = max(_LEAST_CHECK_ROWS, _CHECK_ROWS // each)
        checks = min(validation_rows.shape[1], checks)
    shape = ChunkShape(
        min(epoch_steps, max(_LEAST_STEPS, _CHUNK_STEPS // each)), batch_size, checks
    )
    programs = MemberPrograms(
        model, losses.get(loss), epochs * epoch_steps, averaging, parallel
    )
    most = members_at_once(programs, members, batch, shape, memory_budget)
    groups = plan_groups(count, num_devices, most)
    training = GroupTraining(
        programs,
        programs.send_data(batch),
        (chunks, steps, batch_size),
        shape,
        epochs,
        patience,
    )
    variables, *_ = members = jax.device_get(members)
    ledger = Ledger(programs, variables, scalars.learning_rate, epoch_steps)
    is_early = True
    with progress_bar(epochs * len(groups), silent=not progress) as bar:
        try:
            for group in groups:
                ledger.begin(group)
                chosen = group.members
                some = jax.tree.map(lambda a, i=chosen: a[i], members)
                checked = None if validation_rows is None else validation_rows[chosen]
                own_rows = rows[chosen], checked, len(group.own)
                with contextlib.closing(training.run(some, *own_rows)) as epochs_run:
                    for standing in epochs_run:
                        ledger.add(standing)
                        _show(bar, standing)
                        if standing.diverged.any() and not skip_diverged:
                            raise _diverged(ledger)
                is_early &= not standing.running.any()
        except KeyboardInterrupt:
            return ledger.result("interrupted")
    return ledger.result("early" if is_early else "finished")


def _show(bar: Any, standing: Standing) -> None:
    """Moves the progress bar on by an epoch."""
    if standing.trained.any():
        loss = standing.losses[standing.trained].mean()
        bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
    bar.update()


def _each(name: str, values: ArrayLike, count: int) -> np.ndarray:
    """A setting of every member, (S,) float32."""
    array = np.asarray(values, np.float32)
    if array.shape not in ((), (count,)):
        raise ValueError(
            f"{name} has shape {array.shape}, expected one number, or {count}: one for "
            "each seed"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is {array.tolist()}, expected finite numbers")
    return np.array(np.broadcast_to(array, (count,)))


def _check_rows(name: str, rows: np.ndarray, count: int) -> np.ndarray:
    """Row indices of every member, (S, n)."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != count or rows.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {rows.shape}, expected ({count}, n): as many lists of "
            "row indices as seeds"
        )
    return rows


def _check_seeds(seeds: Sequence[int]) -> np.ndarray:
    """The seeds, (S,) int32."""
    bad = [seed for seed in seeds if not 0 <= seed < 2**31]
    if bad or not len(seeds):
        raise ValueError(f"seeds are {list(seeds)}, expected some from 0 to 2^31 - 1")
    return np.array(seeds, np.int32)


def _diverged(ledger: Ledger) -> TrainingDivergedError:
    """The error for members whose loss is no longer finite."""
    result = ledger.result("finished")
    return TrainingDivergedError(
        f"the loss of {result.diverged.sum()} of {len(result.diverged)} members is not "
        f"finite in epoch {ledger.epoch}; lower the learning rate, or look for huge "
        "values in the data",
        result.to_fit_result(),
    )
