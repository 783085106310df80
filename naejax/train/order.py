"""Which rows each step of an epoch sees."""

import math

import numpy as np


def epoch_shape(
    num_rows: int, batch_size: int, chunk_steps: int = 256
) -> tuple[int, int, int]:
    """Chunks, steps per chunk and rows per step of an epoch.

    Equal chunks compile once; an epoch gives up at most a few of its batches.

    Args:
        num_rows: N.
        batch_size: wished rows per step.
        chunk_steps: most steps of a chunk.

    Returns:
        Three counts whose product is at most N.

    Example:
        >>> epoch_shape(1000, 64, chunk_steps=8)
        (2, 7, 64)
    """
    batch_size = min(batch_size, num_rows)
    steps = num_rows // batch_size
    chunks = -(-steps // chunk_steps)
    return chunks, steps // chunks, batch_size


def shuffled_rows(
    num_rows: int, shape: tuple[int, int, int], seed: tuple[int, int]
) -> np.ndarray:
    """Row indices of an epoch in random order; the remainder is left out.

    Args:
        num_rows: N.
        shape: result of `epoch_shape`.
        seed: of the order: the training's seed and the epoch.

    Returns:
        Distinct indices of that shape, int32.

    Example:
        >>> len(set(shuffled_rows(5, (1, 2, 2), (0, 1)).ravel().tolist()))
        4
    """
    order = np.random.default_rng(seed).permutation(num_rows).astype(np.int32)
    return order[: math.prod(shape)].reshape(shape)
