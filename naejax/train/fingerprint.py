"""What tells one training from another."""

import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
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
        settings: numbers, names, arrays, modules, functions, and tuples of them; of a
            function its name and what it closes over count, of other objects their
            type.

    Returns:
        Hexadecimal digits.

    Example:
        >>> one = fingerprint({"w": np.ones(2)}, np.ones(3), (0.1, "squared"))
        >>> one == fingerprint({"w": np.ones(2)}, np.ones(3), (0.1, "squared"))
        True
        >>> one == fingerprint({"w": np.ones(2)}, np.zeros(3), (0.1, "squared"))
        False
    """
    digest = zlib.crc32(repr(_described(settings, ())).encode())
    for path, leaf in jax.tree.leaves_with_path((variables, rows)):
        what = jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype)
        digest = zlib.crc32(repr(what).encode(), digest)
        if isinstance(leaf, RowSource):
            # Some rows tell; the targets are all here.
            leaf = leaf[np.linspace(0, len(leaf) - 1, min(len(leaf), 256), dtype=int)]
        if isinstance(leaf, np.ndarray | jax.Array):
            digest = _crc32(leaf, digest)
    return "-".join(f"{one:08x}" for one in over_processes(digest))


def _described(value: Any, within: tuple[int, ...]) -> Any:
    """A setting as plain values, whose text is the same in another process."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str):
        return value
    if isinstance(value, np.ndarray | jax.Array):
        return value.shape, str(value.dtype), _crc32(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    if id(value) in within:  # a function that closes over itself
        return name
    parts: Any = ()
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, tuple | list):
        parts = value
    elif isinstance(value, partial):
        parts = value.func, value.args, value.keywords
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif hasattr(value, "__wrapped__"):  # what jax.jit makes
        parts = (value.__wrapped__,)
    elif getattr(value, "__closure__", None):
        parts = [cell.cell_contents for cell in value.__closure__]
    return name, [_described(part, (*within, id(value))) for part in parts]


def _crc32(array: Any, before: int = 0) -> int:
    """A checksum of what an array holds."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    return zlib.crc32(np.ascontiguousarray(array), before)
