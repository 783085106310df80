"""Rows of train, validation and test in a data set that is prepared for TFDS."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SPLITS = ("train", "validation", "test")

Sizes = Mapping[str, float] | Mapping[str, int]
Splits = dict[str, np.ndarray]
"""Split -> numbers of its rows, increasing; in the order of `SPLITS`."""


def split_by_size(rows: int, sizes: Sizes, seed: int = 0) -> Splits:
    """Divides rows by shares, drawn, or by numbers, one after the other.

    Args:
        rows: how many there are.
        sizes: train, validation and test: shares that sum to 1, or whole numbers that
            sum to all rows.
        seed: of the draw.

    Returns:
        The splits.

    Raises:
        ValueError: if the sizes are not as above.

    Example:
        >>> split_by_size(5, {"train": 3, "test": 2})
        {'train': array([0, 1, 2]), 'test': array([3, 4])}
    """
    if unknown := [name for name in sizes if name not in SPLITS]:
        raise ValueError(
            f"got a split {unknown[0]!r}, expected train, validation or test; rename it"
        )
    if not all(size > 0 for size in sizes.values()):
        raise ValueError(
            f"got the splits {dict(sizes)}, expected each above 0; leave out the others"
        )
    total, order = sum(sizes.values()), np.arange(rows)
    stops = np.cumsum(list(sizes.values()))
    if all(isinstance(size, int) for size in sizes.values()):
        if total != rows:
            raise ValueError(
                f"the splits {dict(sizes)} are {total} rows, but there are {rows}; "
                "make them all of the rows, or give shares"
            )
    elif not np.isclose(total, 1):
        raise ValueError(
            f"the shares {dict(sizes)} sum to {total:g}, expected 1, or numbers of "
            "rows, all of them whole"
        )
    else:
        order = np.random.default_rng(seed).permutation(rows)
        stops = np.round(stops * rows).astype(int)
    parts = map(np.sort, np.split(order, stops[:-1]))
    return _in_order(dict(zip(sizes, parts, strict=True)))


def split_by_name(names: Sequence[Any]) -> Splits:
    """Divides rows that say their split.

    Args:
        names: of every row.

    Returns:
        The splits.

    Raises:
        ValueError: if a name is none of a split, or no row is to train on.

    Example:
        >>> split_by_name(["test", "train", "train"])
        {'train': array([1, 2]), 'test': array([0])}
    """
    for row, name in enumerate(names):
        if name not in SPLITS:
            raise ValueError(
                f"row {row + 1} is of the split {name!r}, expected train, validation "
                "or test; rename it"
            )
    found = np.array(names)
    return _in_order({name: np.flatnonzero(found == name) for name in SPLITS})


def check_classes(target: str, labels: np.ndarray, splits: Splits) -> None:
    """Refuses classes that cannot be learnt.

    Args:
        target: what the labels are called.
        labels: of all rows.
        splits: numbers of the rows of every split.

    Raises:
        ValueError: if rows of train lack a class.

    Example:
        >>> check_classes("kind", np.array(["a", "b"]), {"train": np.arange(2)})
    """
    known = set(labels[splits["train"]].tolist())
    for split, rows in splits.items():
        if new := set(labels[rows].tolist()) - known:
            raise ValueError(
                f"{split} holds the class {min(new)!r} of {target!r}, which no row of "
                "train has; divide the rows differently"
            )


def _in_order(splits: Splits) -> Splits:
    """Splits that have rows, train first."""
    found = {name: splits[name] for name in SPLITS if len(splits.get(name, ()))}
    if "train" not in found:
        raise ValueError("no row is in the split train, expected some")
    return found
