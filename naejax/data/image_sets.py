"""Image data sets by name: drawn, scikit-learn's, TFDS's, and the user's own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from naejax.data.cells import unknown_name
from naejax.data.fields import FIELD_TARGETS, make_lognormal_fields
from naejax.data.image_file import read_npz
from naejax.data.images import (
    ImageDataset,
    Images,
    ImageSource,
    split_images,
    take_images,
)
from naejax.data.schema import Task
from naejax.data.shapes import PAIRS, SAME_OR_DIFFERENT, make_shapes
from naejax.data.tfds_images import SIDE, read_tfds, read_tfds_folder

Load = Callable[[int | None, int, str | None], ImageSource]


@dataclass(frozen=True)
class ImageInfo:
    """An entry of the registry.

    Attributes:
        name: to pass to `load_images`.
        rows: number of images.
        shape: height, width and channels of an image.
        task: "regression" or "classification".
        network: whether it must be downloaded and prepared once.
        description: one line.
        load: ``load(rows, seed, data_dir)`` reads or draws the images.
    """

    name: str
    rows: int
    shape: tuple[int, int, int]
    task: Task
    network: bool
    description: str
    load: Load = field(repr=False)


def available_images() -> dict[str, ImageInfo]:
    """The image data sets that `load_images` knows by name.

    Returns:
        Name -> entry, those that need no network first.

    Example:
        >>> available_images()["digits"].shape
        (8, 8, 1)
    """
    return dict(_REGISTRY)


def load_images(
    source: str,
    *,
    seed: int = 0,
    rows: int | None = None,
    data_dir: str | None = None,
    side: int = SIDE,
) -> ImageDataset:
    """Loads images by name, from an .npz file, or from a folder that TFDS prepared.

    A source with a test split (or else a validation split) of its own keeps it to test
    with, and a tenth of its training split validates; any other source is shuffled and
    split 80 : 10 : 10.

    Args:
        source: a name listed by `available_images`; the path of an .npz file, see
            `read_npz`; or of a folder, see `read_tfds_folder`.
        seed: of the shuffling, and of the images where they are drawn.
        rows: how many images to draw, or to read at random; None for all.
        data_dir: where TFDS keeps its data; None for the variable ``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``.
        side: height and width that images of a folder are stretched to where theirs
            vary.

    Returns:
        The data set.

    Raises:
        ValueError: the source is unknown, not prepared, not readable or too small.

    Example:
        >>> digits = load_images("digits")
        >>> digits.training.x.shape, len(digits.validation), len(digits.test)
        ((1439, 8, 8, 1), 179, 179)
    """
    if rows is not None and rows < 10:
        raise ValueError(
            f"got rows={rows}, expected at least 10 to split into training, "
            "validation and test; ask for more"
        )
    info = _REGISTRY.get(source)
    if info is not None:
        found, description = info.load(rows, seed, data_dir), info.description
    elif Path(source).suffix == ".npz":
        found, description = read_npz(source), f"file {Path(source).name}"
        found = _sample(found, rows, seed)
    elif Path(source).is_dir():
        found = read_tfds_folder(source, rows=rows, seed=seed, side=side)
        description = f"folder {Path(source).name}"
    else:
        message = unknown_name(f"no image data set {source!r}", source, _REGISTRY)
        raise ValueError(
            f"{message}, or give the path of an .npz file or of a folder with "
            "dataset_info.json"
        )
    training, validation, test = split_images(found.images, seed, found.test)
    return ImageDataset(
        name=source,
        description=description,
        classes=found.classes,
        targets=found.targets,
        training=training,
        validation=validation,
        test=test,
    )


def _sample(source: ImageSource, rows: int | None, seed: int) -> ImageSource:
    """At most so many images, chosen at random."""
    if rows is None or rows >= len(source.images):
        return source
    order = np.random.default_rng(seed).permutation(len(source.images))
    images = take_images(source.images, order[:rows])
    return ImageSource(images, source.classes, source.targets)


_DRAWN = 12_500


def _shapes(
    rows: int | None, seed: int, data_dir: str | None, same_or_different: bool
) -> ImageSource:
    images = make_shapes(rows or _DRAWN, same_or_different=same_or_different, seed=seed)
    return ImageSource(images, SAME_OR_DIFFERENT if same_or_different else PAIRS)


def _fields(rows: int | None, seed: int, data_dir: str | None) -> ImageSource:
    images = make_lognormal_fields(rows or _DRAWN, seed=seed)
    return ImageSource(images, targets=FIELD_TARGETS)


def _digits(rows: int | None, seed: int, data_dir: str | None) -> ImageSource:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., None] / 8 - 1).astype(np.float32)
    images = Images(x, bunch.target.astype(np.int32))
    return _sample(ImageSource(images, tuple("0123456789")), rows, seed)


_REGISTRY = {
    entry.name: entry
    for entry in (
        ImageInfo(
            "shapes",
            _DRAWN,
            (32, 32, 3),
            "classification",
            False,
            "which two shapes there are, the pixels of both known; drawn",
            partial(_shapes, same_or_different=False),
        ),
        ImageInfo(
            "shapes-same",
            _DRAWN,
            (32, 32, 3),
            "classification",
            False,
            "whether two shapes are of the same kind, their pixels known; drawn",
            partial(_shapes, same_or_different=True),
        ),
        ImageInfo(
            "fields",
            _DRAWN,
            (66, 66, 1),
            "regression",
            False,
            "amplitude and shape of lognormal random fields; drawn",
            _fields,
        ),
        ImageInfo(
            "digits",
            1797,
            (8, 8, 1),
            "classification",
            False,
            "handwritten digits",
            _digits,
        ),
        ImageInfo(
            "mnist",
            70_000,
            (28, 28, 1),
            "classification",
            True,
            "handwritten digits",
            partial(read_tfds, "mnist"),
        ),
        ImageInfo(
            "fashion_mnist",
            70_000,
            (28, 28, 1),
            "classification",
            True,
            "ten kinds of clothes, shoes and bags",
            partial(read_tfds, "fashion_mnist"),
        ),
        ImageInfo(
            "cifar10",
            60_000,
            (32, 32, 3),
            "classification",
            True,
            "ten kinds of animals and vehicles",
            partial(read_tfds, "cifar10"),
        ),
        ImageInfo(
            "imagenette",
            13_394,
            (SIDE, SIDE, 3),
            "classification",
            True,
            "ten easy classes of ImageNet",
            partial(read_tfds, "imagenette"),
        ),
        ImageInfo(
            "oxford_iiit_pet",
            7_349,
            (SIDE, SIDE, 3),
            "classification",
            True,
            "37 breeds of cats and dogs, the pixels of the animal known",
            partial(read_tfds, "oxford_iiit_pet"),
        ),
    )
}
