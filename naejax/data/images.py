"""Images with targets and, where it is known, the pixels that decide them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from naejax.train.sources import RowSource

Target = Int[np.ndarray, "N"] | Float[np.ndarray, "N C"]


@dataclass(frozen=True, eq=False)
class Images:
    """Examples with targets.

    Attributes:
        x: pixels, (N, H, W, Ch) float32, scaled so that 0 is the neutral value of a
            removed pixel; bytes become ``x / 127.5 - 1``. A `RowSource` may stand
            for them, and for parts: what is taken from it is read then.
        target: classes by their index, (N,) int32, or values, (N, C) float32.
        parts: the pixels that decide the target, (N, H, W) bool; None where nobody
            knows them.
    """

    x: Float[np.ndarray, "N H W Ch"]
    target: Target
    parts: Bool[np.ndarray, "N H W"] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images to train on, to choose by and to test with.

    Attributes:
        name: of the data set, or the path of the file or folder.
        description: one line.
        classes: names of the classes; empty for a regression.
        targets: names of the C outputs of a regression; empty for classes.
        training: to fit parameters on.
        validation: to choose settings and the epoch to stop at.
        test: to report on.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    training: Images
    validation: Images
    test: Images


@dataclass(frozen=True, eq=False)
class ImageSource:
    """What a source of images holds, before it is split.

    Attributes:
        images: to split into training, validation and test images.
        classes: names of the classes; empty for a regression.
        targets: names of the C outputs of a regression; empty for classes.
        test: the test images, where the source has its own.
    """

    images: Images
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    test: Images | None = None


def as_images(
    x: np.ndarray, target: np.ndarray, parts: np.ndarray | None = None
) -> Images:
    """Checks arrays and makes them `Images`; bytes become ``x / 127.5 - 1``.

    Args:
        x: pixels (N, H, W, Ch) or (N, H, W), bytes or floats whose 0 is neutral.
        target: class indices (N,), or values (N,) or (N, C) as floats.
        parts: masks (N, H, W) of booleans or whole numbers, or None.

    Returns:
        The examples.

    Raises:
        ValueError: if an array has the wrong shape or type, or is not finite.

    Example:
        >>> images = as_images(np.full((2, 8, 8), 255, np.uint8), np.array([0.5, 2.0]))
        >>> images.x.shape, float(images.x.max()), images.target.tolist()
        ((2, 8, 8, 1), 1.0, [[0.5], [2.0]])
    """
    pixels = as_pixels(x)
    for name, array in {"y": target, "parts": parts}.items():
        if array is not None and array.shape[:1] != x.shape[:1]:
            raise ValueError(
                f"got {name} of shape {array.shape}, expected {len(x)} rows as in x; "
                "give one row for each image"
            )
    return Images(pixels, as_target(target), _as_parts(parts, x.shape[:3]))


def as_pixels(x: np.ndarray) -> Float[np.ndarray, "N H W Ch"]:
    """Checks pixels and makes them floats; bytes become ``x / 127.5 - 1``.

    Args:
        x: pixels (N, H, W, Ch) or (N, H, W), bytes or floats whose 0 is neutral.

    Returns:
        The pixels, float32.

    Raises:
        ValueError: if they have the wrong shape or type, or are not finite.

    Example:
        >>> as_pixels(np.full((1, 1, 2), 255, np.uint8)).tolist()
        [[[[1.0], [1.0]]]]
    """
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise ValueError(
            f"got x of shape {x.shape}, expected (N, H, W, Ch) or (N, H, W), none of "
            "them 0; reshape it"
        )
    floats = np.issubdtype(x.dtype, np.floating)
    if x.dtype != np.uint8 and not floats:
        raise ValueError(
            f"got x of type {x.dtype}, expected uint8 or floats; convert it with "
            "x.astype"
        )
    _check_finite("x", x)
    pixels = x.astype(np.float32, copy=not floats)
    if not floats:
        pixels /= np.float32(127.5)
        pixels -= np.float32(1)
    return pixels[..., None] if x.ndim == 3 else pixels


def as_target(target: np.ndarray) -> Target:
    """Checks values and makes them (N, C) float32, or indices int32.

    Args:
        target: class indices (N,), or values (N,) or (N, C) as floats.

    Returns:
        The targets.

    Raises:
        ValueError: if values have the wrong shape or are not finite.

    Example:
        >>> as_target(np.array([0.5, 2.0])).tolist()
        [[0.5], [2.0]]
    """
    if not np.issubdtype(target.dtype, np.floating):
        return target.astype(np.int32)
    if target.ndim > 2 or 0 in target.shape:
        raise ValueError(
            f"got y of shape {target.shape}, expected values (N,) or (N, C); reshape it"
        )
    _check_finite("y", target)
    return target.astype(np.float32).reshape(len(target), -1)


def _as_parts(parts: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Checks masks and makes them booleans."""
    if parts is None:
        return None
    if parts.shape != shape or parts.dtype.kind not in "biu":
        raise ValueError(
            f"got parts of type {parts.dtype} and shape {parts.shape}, expected "
            f"booleans {shape}, one for each pixel; convert it with parts.astype(bool)"
        )
    return parts.astype(bool)


def _check_finite(name: str, array: np.ndarray) -> None:
    """Refuses NaN, infinity, and what float32 cannot hold."""
    limit = np.finfo(np.float32).max
    bad = array.size - np.count_nonzero(np.abs(array) <= limit)
    if bad:
        raise ValueError(
            f"got {bad} values in {name} that are NaN or infinite, expected finite "
            "numbers; replace them or drop those rows"
        )


def take_images(images: Images, rows: np.ndarray | slice) -> Images:
    """Takes some of the examples, into memory.

    Args:
        images: N examples.
        rows: their indices, a mask (N,), or a slice.

    Returns:
        Those examples.

    Example:
        >>> images = Images(np.zeros((5, 8, 8, 3), np.float32), np.arange(5))
        >>> take_images(images, np.array([4, 0])).target
        array([4, 0])
    """
    parts = None if images.parts is None else images.parts[rows]
    return Images(images.x[rows], images.target[rows], parts)


def split_images(
    images: Images, seed: int, test: Images | None = None
) -> tuple[Images, Images, Images]:
    """Shuffles and splits: 80 % to train, 10 % to validate, 10 % to test.

    Args:
        images: at least 10 examples.
        seed: of the shuffling.
        test: the test images, where the source has its own; then 90 % train and 10 %
            validate.

    Returns:
        Training, validation and test images.

    Raises:
        ValueError: if there are too few examples.

    Example:
        >>> images = Images(np.zeros((50, 8, 8, 3), np.float32), np.arange(50))
        >>> [len(part) for part in split_images(images, seed=0)]
        [40, 5, 5]
    """
    if len(images) < 10:
        raise ValueError(
            f"got {len(images)} images, expected at least 10 to split into training, "
            "validation and test; use more images"
        )
    # Not the numbers that drew the images: those made the labels.
    order = np.random.default_rng([seed, 1]).permutation(len(images))
    tenth = len(images) // 10
    validation, rest = order[:tenth], order[tenth:]
    if test is None:
        test, rest = _choose(images, rest[:tenth]), rest[tenth:]
    return _choose(images, rest), _choose(images, validation), test


def _choose(images: Images, rows: np.ndarray) -> Images:
    """Some of the examples; what is not in memory stays where it is."""

    def choose(array: Any) -> Any:
        return array.take(rows) if isinstance(array, RowSource) else array[rows]

    parts = None if images.parts is None else choose(images.parts)
    return Images(choose(images.x), images.target[rows], parts)
