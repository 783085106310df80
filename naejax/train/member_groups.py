"""How many members of a population have room at once."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from naejax.train.batch import Batch
from naejax.train.members import MemberPrograms
from naejax.train.memory import available_memory, temporary_bytes, tree_bytes

_SHARE = 0.8
"""Of the free memory, what a population may take."""
_CPU_MEMBERS = 128
"""On a processor, more members at once leave its caches: steps of 936 took 1.7x."""


class Group(NamedTuple):
    """Members that are trained together.

    Attributes:
        members: their numbers; a last group that is not full goes on with the first
            members of all, to no purpose.
        own: those of them that count.
    """

    members: np.ndarray
    own: np.ndarray


class ChunkShape(NamedTuple):
    """How many rows the programs of a group take at once.

    Attributes:
        steps: of a chunk.
        rows: of a step and member.
        check_rows: validation rows that are scored at once; 0 for none.
    """

    steps: int
    rows: int
    check_rows: int


def plan_groups(num_members: int, num_devices: int, most: int) -> list[Group]:
    """Splits members into groups of one size, a multiple of the devices.

    Args:
        num_members: S.
        num_devices: N.
        most: members on a device at once.

    Returns:
        As few groups as there can be.

    Example:
        >>> for group in plan_groups(5, num_devices=2, most=2):
        ...     print(group.members, group.own)
        [0 1 2 3] [0 1 2 3]
        [4 0 1 2] [4]
    """
    each = _even(num_members, num_devices, most)
    size = each * num_devices
    groups = []
    for first in range(0, num_members, size):
        members = np.arange(first, first + size)
        own = members[members < num_members]
        groups.append(Group(members % num_members, own))
    return groups


def members_at_once(
    programs: MemberPrograms,
    members: Any,
    data: Batch,
    shape: ChunkShape,
    budget: int | None,
) -> int:
    """Finds how many members a device trains at once, before anything is allocated.

    On a processor they are at most 128, which it trains faster than more. States and
    rows are counted; temporaries are what the compiler reserves for the programs of a
    group. Only where they leave too little room, programs of smaller groups are
    compiled.

    Args:
        programs: of the population.
        members: variables, scalars and seeds of all, (S, ...).
        data: all rows.
        shape: of a group's chunks.
        budget: bytes of one device; None: 80 % of what is free, if it tells.

    Returns:
        Members on a device.

    Raises:
        ValueError: if not even one fits.
    """
    count, devices = len(members[-1]), programs.num_devices
    if budget is None:
        budget = _usual_budget(devices)
    fastest = _CPU_MEMBERS if jax.default_backend() == "cpu" else count
    if budget is None:
        return _even(count, devices, fastest)
    fixed = tree_bytes(data)
    # The state, the best parameters, old and new, and two chunks of order.
    (state, *_), _ = _arguments(programs, members, data, shape, devices)
    each = tree_bytes((state, state.params, state.params)) // devices
    each += 8 * shape.steps * shape.rows
    most = _even(count, devices, max(1, min(fastest, (budget - fixed) // each)))
    while True:
        chunk, check = _arguments(programs, members, data, shape, most * devices)
        temporaries = temporary_bytes(programs.run_chunk.lower(*chunk))
        if shape.check_rows:
            scored = temporary_bytes(programs.loss_sums.lower(*check))
            temporaries = max(temporaries, scored)
        need = fixed + most * each + temporaries
        if need <= budget:
            return most
        if most == 1:
            raise ValueError(
                f"memory_budget is {budget} bytes, but one member and the rows need "
                f"{need}: pass at least that, or lower batch_size or the model's size"
            )
        fits = (budget - fixed) // (each + temporaries // most)
        most = _even(count, devices, max(1, min(most - 1, fits)))


def _usual_budget(devices: int) -> int | None:
    """What a population may take of each device."""
    free = available_memory()
    if free is None:
        return None
    # Devices that are one processor share its memory.
    return int(_SHARE * free) // (devices if jax.default_backend() == "cpu" else 1)


def _arguments(
    programs: MemberPrograms, members: Any, data: Batch, shape: ChunkShape, size: int
) -> tuple[tuple, tuple]:
    """Shapes of what a chunk and the scoring of rows take for a group of this size."""
    some = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), members
    )
    state, own = programs.state_shapes(*some), programs.shapes(some[1])
    rows = programs.data_shapes(data)
    order = jax.ShapeDtypeStruct((size, shape.steps, shape.rows), jnp.int32)
    index = jax.ShapeDtypeStruct((size, shape.check_rows), jnp.int32)
    chunk = state, own, rows, programs.shapes(order), np.int32(shape.steps)
    counts = np.zeros(shape.check_rows, np.float32)
    return chunk, (state, rows, programs.shapes(index), counts)


def _even(num_members: int, num_devices: int, most: int) -> int:
    """Members of a device, so that groups are alike and as few as with the most."""
    needed = math.ceil(num_members / num_devices)
    return math.ceil(needed / math.ceil(needed / most))
