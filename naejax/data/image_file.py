"""Images from a user's own .npz file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from naejax.data.images import ImageSource, as_images


def read_npz(path: str | Path) -> ImageSource:
    """Reads images and targets from an .npz file (``numpy.savez``).

    Args:
        path: of a file with the arrays ``x``, images (N, H, W, Ch) or (N, H, W), bytes
            or floats whose 0 is the neutral value of a removed pixel; ``y``, classes
            (N,) as whole numbers, booleans or text, or values (N,) or (N, C) as
            floats; and, if known, ``parts`` (N, H, W), the pixels that decide.

    Returns:
        The images, bytes mapped to ``x / 127.5 - 1``; classes are sorted.

    Raises:
        ValueError: if the file cannot be read or an array is not as above.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "own.npz"
        >>> np.savez(file, x=np.zeros((3, 8, 8), np.uint8), y=["cat", "dog", "cat"])
        >>> source = read_npz(file)
        >>> source.images.x.shape, source.classes, source.images.target
        ((3, 8, 8, 1), ('cat', 'dog'), array([0, 1, 0], dtype=int32))
    """
    arrays = read_arrays(Path(path))
    for name in ("x", "y"):
        if name not in arrays:
            raise ValueError(
                f"{path} holds {', '.join(arrays) or 'no arrays'}, expected the arrays "
                f"x and y; add {name} with numpy.savez"
            )
    target, classes = _classes(arrays["y"])
    images = as_images(arrays["x"], target, arrays.get("parts"))
    outputs = 0 if classes else images.target.shape[1]
    targets = ("y",) if outputs == 1 else tuple(f"y{i}" for i in range(outputs))
    return ImageSource(images, classes, targets)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name; pickled objects are never loaded."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"cannot read {path} ({type(error).__name__}), expected an .npz file; "
            "check the path, or write it again with numpy.savez"
        ) from error
    except (ValueError, TypeError) as error:
        # Objects need pickle; a lone .npy array is no file of arrays.
        raise ValueError(
            f"cannot read {path}, expected an .npz file of plain numeric or text "
            "arrays; write it with numpy.savez, text as array.astype(str)"
        ) from error


def _classes(y: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices and the names of the classes; floats are left alone."""
    if y.dtype.kind == "f":
        return y, ()
    if y.dtype.kind not in "biuU" or y.ndim != 1:
        raise ValueError(
            f"got y of type {y.dtype} and shape {y.shape}, expected classes (N,) as "
            "whole numbers or text, or floats; convert it with y.astype"
        )
    if y.dtype.kind == "b":
        y = np.where(y, "true", "false")
    values, target = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise ValueError(
            f"got {len(values)} classes in y, expected at least two; add images of "
            "another class, or save y as floats for a regression"
        )
    return target, tuple(map(str, values))
