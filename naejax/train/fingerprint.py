"""What tells one training from another."""

import zlib
from typing import Any

import jax
import numpy as np

from naejax.train.parallel import over_processes
from naejax.train.sources import RowSource


def fingerprint(variables: Any, rows: Any, settings: tuple[Any, ...]) -> str:
    """A short text that is the same for the same training, in every process.

    Args:
        variables: initial ones; with them come the model's shapes and its seed.
        rows: for training and validation, of this process.
        settings: numbers, names, functions; of a function its name counts, of other
            objects their type.

    Returns:
        Hexadecimal digits.

    Example:
        >>> one = fingerprint({"w": np.ones(2)}, np.ones(3), (0.1, "squared"))
        >>> one == fingerprint({"w": np.ones(2)}, np.ones(3), (0.1, "squared"))
        True
        >>> one == fingerprint({"w": np.ones(2)}, np.zeros(3), (0.1, "squared"))
        False
    """
    digest = zlib.crc32(repr(jax.tree.map(_plain, settings)).encode())
    for path, leaf in jax.tree.leaves_with_path((variables, rows)):
        what = jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype)
        digest = zlib.crc32(repr(what).encode(), digest)
        if isinstance(leaf, RowSource):
            # Some rows tell; the targets are all here.
            leaf = leaf[np.linspace(0, len(leaf) - 1, min(len(leaf), 256), dtype=int)]
        if isinstance(leaf, np.ndarray | jax.Array):
            digest = zlib.crc32(np.ascontiguousarray(leaf), digest)
    return "-".join(f"{one:08x}" for one in over_processes(digest))


def _plain(value: Any) -> Any:
    """A setting as something whose text is the same in another process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
