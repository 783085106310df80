"""One file of named arrays with a JSON header: safetensors, never a pickle.

Reading needs numpy alone, executes nothing from the file, and takes memory only for
what the file is long enough to hold: its index is checked first.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save as serialize

from naejax.files import write_file
from naejax.strict_json import parse_object

MAX_INDEX = 64 * 2**20
"""Bytes of the longest index: room for a million names of categories. A longer one is
refused before it is read."""

# Little-endian, as in the file.
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
_KEY = "naejax"
_NO_DIGEST = "0" * 64
# How code fails on values that it does not expect. RuntimeError is also that of
# recursion, for JSON nested some thousand levels deep.
_SURPRISES = (LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)


class Spec(NamedTuple):
    """What the index of a file says about an array.

    Attributes:
        dtype: F32, F64, I32 or I64.
        shape: of the array.
    """

    dtype: str
    shape: tuple[int, ...]


Header = dict[str, Any]
Index = dict[str, Spec]
Check = Callable[[Header, Index], None]


def write_container(
    path: str | Path, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays and a header so that a reader finds the old file or the new one.

    The header gets a member ``sha256``: the digest of the file in which these 64
    characters are zeros.

    Args:
        path: where; an existing file is replaced.
        header: plain values, none of them NaN or infinite.
        tensors: arrays by name, of type float32, float64, int32 or int64.

    Raises:
        ValueError: for other types or values, a header longer than ``MAX_INDEX``, or a
            place that cannot be written.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.safetensors"
        >>> write_container(path, {"kind": "test"}, {"x": np.arange(3.0)})
        >>> header, tensors = read_container(path)
        >>> header["kind"], tensors["x"]
        ('test', array([0., 1., 2.]))
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES.values():
            raise ValueError(
                f"array {name!r} has type {tensor.dtype}, expected float32, float64, "
                "int32 or int64; convert it"
            )
    try:
        text = json.dumps({"sha256": _NO_DIGEST, **header}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"cannot write {path}: the header holds what JSON cannot ({error})"
        ) from error
    # The library writes the memory as it lies, also of transposed views.
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = serialize(arrays, {_KEY: text})
    (length,) = struct.unpack("<Q", content[:8])
    if length > MAX_INDEX:
        raise ValueError(
            f"cannot write {path}: names and settings take {length} bytes, at most "
            f"{MAX_INDEX} can be read back; use fewer levels"
        )
    # The header opens the file, so the first 64 zeros are the digest's place.
    digest = hashlib.sha256(content).hexdigest()
    write_file(path, content.replace(_NO_DIGEST.encode(), digest.encode(), 1))


def read_container(
    path: str | Path, check: Check = lambda header, index: None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Reads what `write_container` wrote.

    Args:
        path: of the file.
        check: is called with the header and the index before any array is read, to
            refuse files whose arrays do not fit their header.

    Returns:
        The header and the arrays.

    Raises:
        ValueError: if the file is missing or damaged, or what ``check`` raises.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_container(path, {}, {"x": np.arange(3.0)})
        >>> read_container(path)[1]
        {'x': array([0., 1., 2.])}
    """
    path = Path(path)
    with _open(path) as file:
        index_text, header, index = _read_index(file, path)
        with blaming(path):
            check(header, index)
        digest = header.get("sha256")
        known = digest.encode() if isinstance(digest, str) else b""
        hashed = hashlib.sha256(struct.pack("<Q", len(index_text)))
        hashed.update(index_text.replace(known, _NO_DIGEST.encode(), 1))
        tensors = {}
        for name, spec in index.items():
            tensors[name] = np.empty(spec.shape, _DTYPES[spec.dtype])
            data = tensors[name].reshape(-1).view(np.uint8)
            if file.readinto(data) != data.size:
                raise _damaged(path, "it ends too early")
            hashed.update(data)
    if "sha256" in header and hashed.hexdigest() != digest:
        raise _damaged(path, "its contents do not match their checksum")
    return header, tensors


def read_index(path: str | Path) -> tuple[Header, Index]:
    """Reads the header and the index of a file, and no array.

    Args:
        path: of the file.

    Returns:
        The header, and the type and shape of every array in the order of the file.

    Raises:
        ValueError: if the file is missing or damaged.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.safetensors"
        >>> write_container(path, {"kind": "test"}, {"x": np.arange(3.0)})
        >>> read_index(path)[1]
        {'x': Spec(dtype='F64', shape=(3,))}
    """
    path = Path(path)
    with _open(path) as file:
        return _read_index(file, path)[1:]


@contextlib.contextmanager
def blaming(path: str | Path) -> Iterator[None]:
    """Turns what goes wrong with the contents of a file into one line with its name.

    Args:
        path: of the file.

    Yields:
        Nothing.

    Raises:
        ValueError: if the block fails as code fails on values that it does not expect.

    Example:
        >>> with blaming("a.safetensors"):
        ...     pass
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {_first_line(str(error))}") from error
    except _SURPRISES as error:
        raise _damaged(path, _reason(error)) from error


def _open(path: Path) -> io.BufferedReader:
    """The file, if it is one."""
    try:
        if path.is_file():
            return open(path, "rb")
        what = "is not a file" if path.exists() else "does not exist"
        what = "is a folder" if path.is_dir() else what
    except OSError as error:
        raise ValueError(
            f"cannot read {path} ({error.strerror}); make it readable"
        ) from error
    raise ValueError(f"{path} {what}, expected a model file that naejax saved")


def _read_index(file: io.BufferedReader, path: Path) -> tuple[bytes, Header, Index]:
    """The index as it stands in the file, and what it says."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if len(start) < 8:
        raise _damaged(path, f"it has {size} bytes")
    (length,) = struct.unpack("<Q", start)
    if length > min(size - 8, MAX_INDEX):
        raise _damaged(
            path,
            f"it claims an index of {length} bytes, and has {size}; at most "
            f"{MAX_INDEX} are read",
        )
    text = file.read(length)
    try:
        members = parse_object(text)
        header = parse_object(members.pop("__metadata__")[_KEY])
        index = _index(members, size - 8 - length)
    except (ValueError, *_SURPRISES) as error:
        raise _damaged(path, _reason(error)) from error
    return text, header, index


def _index(members: Mapping[str, Any], size: int) -> Index:
    """Types and shapes in the order of the arrays, which fill the file without gaps."""
    index, offset = {}, 0
    for name, member in sorted(members.items(), key=lambda m: m[1]["data_offsets"]):
        dtype, shape = member["dtype"], member["shape"]
        if set(member) != {"dtype", "shape", "data_offsets"} or dtype not in _DTYPES:
            raise ValueError(f"array {name!r} is described as {member}")
        if len(shape) > 8 or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"array {name!r} has the shape {shape}")
        stop = offset + math.prod(shape) * _DTYPES[dtype].itemsize
        if member["data_offsets"] != [offset, stop]:
            raise ValueError(f"array {name!r} is at {member['data_offsets']}")
        index[name], offset = Spec(dtype, tuple(shape)), stop
    if offset != size:
        raise ValueError(f"its arrays take {offset} bytes, the file has {size}")
    return index


def _reason(error: Exception) -> str:
    """An error in a few words on one line."""
    return _first_line(f"{type(error).__name__}: {error}")[:200]


def _first_line(text: str) -> str:
    """Text up to the first break."""
    return (text.splitlines() or [""])[0]


def _damaged(path: str | Path, why: str) -> ValueError:
    """The one line about a file that cannot be read."""
    return ValueError(
        f"{path} is not a model that naejax saved, or it is damaged ({why})"
    )
