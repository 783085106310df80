"""The progress of a training as plain arrays with a checksum, for checkpoints."""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

P = TypeVar("P", bound=NamedTuple)

_HEADER = "header"
_TEXTS = ("history", "stopped")


def _leaves(progress: Any) -> list[Any]:
    """The arrays of a progress; what training never changes is left out."""
    state = progress.state._replace(constants={})
    texts = dict.fromkeys(_TEXTS)
    return jax.tree.leaves(progress._replace(state=state, **texts))


def pack(progress: Any, fingerprint: str) -> dict[str, np.ndarray]:
    """A progress as arrays of the host, none of which training will overwrite.

    Args:
        progress: a NamedTuple of arrays with ``state``, ``history`` and ``stopped``;
            what training never changes, ``state.constants``, is left out.
        fingerprint: of the training.

    Returns:
        Arrays by name.
    """
    tree = {f"{i:05d}": np.array(_plain(a)) for i, a in enumerate(_leaves(progress))}
    header = {name: getattr(progress, name) for name in _TEXTS}
    header |= {"fingerprint": fingerprint, "checksum": _checksum(tree)}
    tree[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8).copy()
    return tree


def read_header(tree: dict[str, np.ndarray]) -> dict[str, Any]:
    """Takes the texts out of packed arrays.

    Args:
        tree: result of `pack`.

    Returns:
        The texts by name, ``fingerprint`` among them.

    Raises:
        ValueError: if the arrays are not what they were.
    """
    header = json.loads(np.asarray(tree[_HEADER]).tobytes())
    arrays = {name: a for name, a in tree.items() if name != _HEADER}
    if header["checksum"] != _checksum(arrays):
        raise ValueError("its checksum is wrong")
    return header


def unpack(tree: dict[str, np.ndarray], start: P, folder: Path) -> P:
    """The progress that was packed.

    Args:
        tree: result of `pack`.
        start: a progress of the same form.
        folder: where it was found, for the message.

    Returns:
        The progress, with the constants of ``start``.

    Raises:
        ValueError: if it has another form.
    """
    header, leaves = read_header(tree), []
    for i, like in enumerate(_leaves(start)):
        leaf, plain = tree.get(f"{i:05d}"), np.asarray(_plain(like))
        if leaf is None or (leaf.shape, leaf.dtype) != (plain.shape, plain.dtype):
            raise ValueError(
                f"the checkpoints in {folder} are of another version of naejax, or of "
                "an optimiser of another kind; delete the folder to start anew"
            )
        leaves.append(_like(leaf, like))
    texts = dict.fromkeys(_TEXTS)
    state: Any = start.state._replace(constants={})  # type: ignore[attr-defined]
    form = jax.tree.structure(start._replace(state=state, **texts))
    progress: Any = jax.tree.unflatten(form, leaves)
    constants = start.state.constants  # type: ignore[attr-defined]
    return progress._replace(
        state=progress.state._replace(constants=constants),
        **{name: header[name] for name in _TEXTS},
    )


def _like(leaf: np.ndarray, like: Any) -> Any:
    """An array as a Python number, a random key or an array of JAX, as another is."""
    if isinstance(like, int | float):
        return leaf.item()
    if not isinstance(like, jax.Array):
        return leaf
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(
            jax.numpy.array(leaf), impl=jax.random.key_impl(like)
        )
    return jax.numpy.array(leaf)


def _plain(array: Any) -> Any:
    """Random keys as numbers."""
    if isinstance(array, jax.Array) and jax.dtypes.issubdtype(
        array.dtype, jax.dtypes.prng_key
    ):
        return jax.random.key_data(array)
    return array


def _checksum(tree: dict[str, np.ndarray]) -> int:
    """A checksum of arrays and their names."""
    checksum = 0
    for name, array in sorted(tree.items()):
        what = f"{name}{array.dtype}{array.shape}".encode()
        array = np.ascontiguousarray(array)
        checksum = zlib.crc32(array, zlib.crc32(what, checksum))
    return checksum
