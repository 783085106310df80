"""The progress of a training as bytes with a checksum, for checkpoints."""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

P = TypeVar("P", bound=NamedTuple)

_TEXTS = ("history", "stopped")
_CHECKSUM, _LENGTH = 4, 8


def _leaves(progress: Any) -> list[Any]:
    """The arrays of a progress; what training never changes is left out."""
    state = progress.state._replace(constants={})
    texts = dict.fromkeys(_TEXTS)
    return jax.tree.leaves(progress._replace(state=state, **texts))


def pack(progress: Any, fingerprint: str) -> np.ndarray:
    """A progress as bytes of the host, none of which training will overwrite.

    They are a checksum of all that follows, the length of a header, the header (JSON:
    texts, and the arrays' types and shapes) and the arrays.

    Args:
        progress: a NamedTuple of arrays with ``state``, ``history`` and ``stopped``;
            what training never changes, ``state.constants``, is left out.
        fingerprint: of the training.

    Returns:
        The bytes.
    """
    arrays = [np.asarray(_plain(leaf)) for leaf in _leaves(progress)]
    header = {name: getattr(progress, name) for name in _TEXTS}
    header["fingerprint"] = fingerprint
    header["arrays"] = [_kind(array) for array in arrays]
    text = json.dumps(header).encode()
    packed = np.concatenate(
        [
            np.zeros(_CHECKSUM, np.uint8),
            np.frombuffer(len(text).to_bytes(_LENGTH, "little"), np.uint8),
            np.frombuffer(text, np.uint8),
            *(np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays),
        ]
    )
    packed[:_CHECKSUM] = _checksum(packed)
    return packed


def read_header(packed: np.ndarray) -> dict[str, Any]:
    """Takes the header out of packed bytes.

    Args:
        packed: result of `pack`.

    Returns:
        The texts by name, ``fingerprint`` among them.

    Raises:
        ValueError: if the bytes are not what they were.
    """
    if not np.array_equal(packed[:_CHECKSUM], _checksum(packed)):
        raise ValueError("its checksum is wrong")
    return json.loads(packed[_CHECKSUM + _LENGTH : _start(packed)].tobytes())


def unpack(packed: np.ndarray, start: P, folder: Path) -> P:
    """The progress that was packed.

    Args:
        packed: result of `pack`.
        start: a progress of the same form.
        folder: where it was found, for the message.

    Returns:
        The progress, with the constants of ``start``.

    Raises:
        ValueError: if it has another form.
    """
    header, likes = read_header(packed), _leaves(start)
    plain = [np.asarray(_plain(like)) for like in likes]
    if header["arrays"] != [_kind(array) for array in plain]:
        raise ValueError(
            f"the checkpoints in {folder} are of another version of naejax, or of an "
            "optimiser of another kind; delete the folder to start anew"
        )
    ends = _start(packed) + np.cumsum([array.nbytes for array in plain])
    leaves = [
        _like(packed[end - a.nbytes : end].view(a.dtype).reshape(a.shape), like)
        for a, like, end in zip(plain, likes, ends, strict=True)
    ]
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
        return leaf.copy()
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


def _kind(array: np.ndarray) -> list[Any]:
    """The type and shape of an array, as JSON gives them back."""
    return [str(array.dtype), list(array.shape)]


def _start(packed: np.ndarray) -> int:
    """Where the arrays begin."""
    length = packed[_CHECKSUM : _CHECKSUM + _LENGTH].tobytes()
    return _CHECKSUM + _LENGTH + int.from_bytes(length, "little")


def _checksum(packed: np.ndarray) -> np.ndarray:
    """A checksum of what follows it."""
    number = zlib.crc32(packed[_CHECKSUM:])
    return np.frombuffer(number.to_bytes(_CHECKSUM, "little"), np.uint8)
