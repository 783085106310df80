"""How much memory training takes, known before anything is allocated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from naejax.objectives import losses
from naejax.train.batch import Batch
from naejax.train.chunk import ParallelChunk, RunChunk, make_run_chunk
from naejax.train.evaluate import Evaluate, ParallelEvaluate, make_evaluate
from naejax.train.order import epoch_shape
from naejax.train.shards import Plan, plan_shards
from naejax.train.shares import Shares
from naejax.train.step import init_state, make_train_step

_CGROUP = Path("/sys/fs/cgroup")


class MemoryEstimate(NamedTuple):
    """Bytes of memory that training takes at its peak, by what they are for.

    Attributes:
        parameters: the model's variables: the caller's, the trained and the best.
        optimizer: the optimiser's state.
        data: rows on the device at once.
        temporaries: what one step, or the validation of some rows, computes.
    """

    parameters: int
    optimizer: int
    data: int
    temporaries: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return sum(self)


def estimate_memory(
    model: nn.Module,
    data: tuple,
    *,
    loss: str | losses.Loss = "squared",
    optimizer: optax.GradientTransformation | None = None,
    batch_size: int = 256,
    penalties: Mapping[str, float] | None = None,
    validation: tuple | None = None,
    device_budget: int | None = None,
) -> MemoryEstimate:
    """Estimates the memory of `naejax.fit` without allocating any of it.

    Parameters and data are counted; temporaries are what the compiler reserves for the
    compiled step and for scoring validation rows, whichever is more. Memory that the
    compiler itself needs for a moment is not counted.

    Args:
        model: as for `naejax.fit`.
        data: ``(x, target)``, ``(x, target, weight)`` or ``(x, target, weight,
            offset)``: arrays, or `jax.ShapeDtypeStruct` of float32 in their place.
        loss: as for `naejax.fit`.
        optimizer: any optax one; None: AdamW.
        batch_size: as for `naejax.fit`.
        penalties: as for `naejax.fit`.
        validation: like ``data``.
        device_budget: as for `naejax.fit`.

    Returns:
        The estimate.

    Raises:
        ValueError: if the budget is too small, or a name unknown.

    Example:
        >>> from naejax import NAE
        >>> rows, features = 100_000, 20
        >>> x = jax.ShapeDtypeStruct((rows, features), jnp.float32)
        >>> y = jax.ShapeDtypeStruct((rows,), jnp.float32)
        >>> estimate = estimate_memory(NAE(num_experts=4, hidden=(8,)), (x, y))
        >>> estimate.data >= 4 * rows * features
        True
    """
    train, check = _shapes(data), None if validation is None else _shapes(validation)
    optimizer = optimizer or optax.adamw(1e-3)
    loss = losses.get(loss)
    run_chunk = make_run_chunk(make_train_step(model, loss, optimizer, penalties or {}))
    evaluate = make_evaluate(model, loss)
    example = jax.ShapeDtypeStruct((1, *train.x.shape[1:]), train.x.dtype)
    variables = jax.eval_shape(model.init, jax.random.key(0), example)
    check_rows = 0 if check is None else evaluate.chunk_rows(check.x.shape[0])
    shape = epoch_shape(train.x.shape[0], batch_size)
    plan = plan_shards(train, check, shape, check_rows, device_budget)
    return estimate_run(run_chunk, evaluate, variables, optimizer, train, check, plan)


def estimate_run(
    run_chunk: RunChunk | ParallelChunk,
    evaluate: Evaluate | ParallelEvaluate,
    variables: Any,
    optimizer: optax.GradientTransformation,
    train: Any,
    check: Any,
    plan: Plan | Shares,
) -> MemoryEstimate:
    """The estimate for programs that will run; they are compiled here, once.

    Args:
        run_chunk: takes the steps.
        evaluate: scores validation rows.
        variables: the model's, or their shapes.
        optimizer: the optimiser.
        train: training rows, or their shapes.
        check: validation rows, or their shapes, or None.
        plan: where rows are kept.

    Returns:
        The estimate.
    """
    state = jax.eval_shape(lambda v: init_state(v, optimizer, 0), dict(variables))
    if isinstance(plan, Shares):
        state = plan.parallel.shapes(state, split=False)
    temporaries = [temporary_bytes(run_chunk.lower(state, *plan.shapes(train)))]
    if check is not None:
        kept = {"params": state.fitted, **state.constants}
        temporaries.append(temporary_bytes(evaluate.lower(kept, check)))
    return MemoryEstimate(
        parameters=3 * tree_bytes(variables),
        optimizer=tree_bytes(state.opt_state),
        data=plan.data_bytes,
        temporaries=max(temporaries),
    )


def require_memory(estimate: MemoryEstimate, batch_size: int) -> None:
    """Refuses training that would not fit.

    Args:
        estimate: what it takes.
        batch_size: rows per step, for the message.

    Raises:
        ValueError: with the estimate, the limit and what to lower.

    Example:
        >>> require_memory(MemoryEstimate(3, 2, 1, 1), batch_size=32)
    """
    limit = available_memory()
    if limit is None or estimate.total <= limit:
        return
    parts = ", ".join(f"{_size(n)} {name}" for name, n in estimate._asdict().items())
    raise ValueError(
        f"training needs about {_size(estimate.total)} of memory ({parts}), but "
        f"{_size(limit)} are free; lower batch_size (now {batch_size}) or the model's "
        "num_experts, hidden or gate_rank, or set device_budget if the data are large"
    )


def available_memory() -> int | None:
    """Bytes that can still be allocated where models are trained.

    Returns:
        Free bytes of the device, on a CPU of the machine; None where that is not known.

    Example:
        >>> free = available_memory()
        >>> free is None or free > 0
        True
    """
    device = _device()
    free = _free_on_device(device)
    return _free_on_host() if free is None and device.platform == "cpu" else free


def usual_budget() -> int | None:
    """Bytes that data may take on the device: half of what is free there.

    Returns:
        Bytes; None if the device does not tell, or is the host itself.

    Example:
        >>> budget = usual_budget()
        >>> budget is None or budget > 0
        True
    """
    free = _free_on_device(_device())
    return None if free is None else free // 2


def free_host_memory() -> int | None:
    """Bytes that are free for data on the host, whatever the device.

    Returns:
        Bytes; None if the system does not tell.

    Example:
        >>> free = free_host_memory()
        >>> free is None or free > 0
        True
    """
    return _free_on_host()


def _device() -> jax.Device:
    """Where computations run."""
    (device,) = jnp.zeros(()).devices()
    return device


def _free_on_device(device: jax.Device) -> int | None:
    """Free bytes of a device, if it tells."""
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def _free_on_host() -> int | None:
    """Free bytes of the machine, or of the container; Linux tells."""
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free.append(1024 * int(fields["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        return None
    try:
        most = int((_CGROUP / "memory.max").read_text())
        free.append(most - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return min(free)


def _shapes(data: tuple) -> Batch:
    """Shapes of rows as `naejax.train.batch.make_batch` would give them."""
    x, target, _, offset = (*data, None, None)[:4]
    rows, array = x.shape[0], jax.ShapeDtypeStruct
    shapes: list[Any] = [
        array(x.shape, jnp.float32),
        array(target.shape, jax.dtypes.canonicalize_dtype(target.dtype)),
        array((rows,), jnp.float32),
    ]
    if offset is not None:
        shapes.append(array((rows, *(offset.shape[1:] or (1,))), jnp.float32))
    return Batch(*shapes)


def temporary_bytes(lowered: jax.stages.Lowered) -> int:
    """Bytes that a program reserves beside its arguments and donated results.

    Args:
        lowered: the program; it is compiled.

    Returns:
        Bytes of one device.
    """
    stats: Any = lowered.compile().memory_analysis()
    if stats is None:
        return 0
    new = stats.output_size_in_bytes - stats.alias_size_in_bytes
    return stats.temp_size_in_bytes + new


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree.

    Args:
        tree: arrays, or their shapes.

    Returns:
        Bytes.
    """
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(tree))


def _size(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"
