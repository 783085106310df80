"""Rows of a table as arrays, and which of them a member trains and validates on."""

from typing import Any, NamedTuple

import jax
import numpy as np

_FEWEST = 40
"""Of fewer rows none is spared for validation."""


class Rows(NamedTuple):
    """Encoded rows with what the loss needs of them.

    Attributes:
        x: (N, F).
        target: (N,).
        weight: (N,) or None.
        offset: on the standardised scale, (N,), (N, C) or None.
    """

    x: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def take(self, index: np.ndarray) -> "Rows":
        """Some of the rows."""
        return jax.tree.map(lambda part: part[index], self)


def join(first: Rows, second: Rows) -> Rows:
    """Rows of both; weights are 1 and offsets 0 where only one has them.

    Args:
        first: N rows.
        second: M rows.

    Returns:
        N + M rows.
    """

    def both(name: str, fill: float) -> Any:
        a, b = getattr(first, name), getattr(second, name)
        if a is None and b is None:
            return None
        like = a if a is not None else b
        shapes = (len(first.x), *like.shape[1:]), (len(second.x), *like.shape[1:])
        parts = [
            np.full(shape, fill, np.float32) if part is None else part
            for part, shape in zip((a, b), shapes, strict=True)
        ]
        return np.concatenate(parts)

    return Rows(both("x", 0), both("target", 0), both("weight", 1), both("offset", 0))


def draw(
    num_rows: int,
    share: float,
    labels: np.ndarray | None,
    seed: int,
    *,
    bootstrap: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the rows to train on and those to validate on.

    Args:
        num_rows: N.
        share: of the rows to validate on, in [0, 1); of fewer than 40 rows, none.
        labels: class indices, whose shares both parts keep, (N,); or None.
        seed: of the draw.
        bootstrap: whether the training rows are drawn with replacement from those that
            are left.

    Returns:
        Indices to train on and to validate on.

    Raises:
        ValueError: if the share is not in [0, 1).
    """
    from sklearn.model_selection import train_test_split

    if not 0 <= share < 1:
        raise ValueError(f"validation_fraction is {share}, expected a share in [0, 1)")
    training, validation = np.arange(num_rows), np.arange(0)
    if share > 0 and num_rows >= _FEWEST:
        size = int(np.ceil(share * num_rows))
        counts = np.zeros(1) if labels is None else np.bincount(labels)
        is_possible = counts[counts > 0].min(initial=0) > 1 and size >= len(counts)
        training, validation = train_test_split(
            training,
            test_size=size,
            random_state=seed,
            stratify=labels if is_possible else None,
        )
    if bootstrap:
        training = np.random.default_rng(seed).choice(training, len(training))
    return training, validation
