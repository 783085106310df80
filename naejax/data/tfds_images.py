"""Images that TensorFlow Datasets has prepared, read without TensorFlow."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from naejax.data.examples import ExampleReader
from naejax.data.images import Images, ImageSource
from naejax.data.streamed import must_stream
from naejax.data.tfds_records import how_to_prepare, open_folder, quiet

SIDE = 64


@dataclass(frozen=True)
class TFDSImages:
    """How to read a data set of TFDS.

    Attributes:
        builder: its name there, with the configuration.
        splits: names of the training and the test split.
        classes: names of the classes; empty for those that TFDS has.
        parts: feature that holds the mask of the deciding pixels.
        inside: value of the mask at those pixels; None for any but 0.
    """

    builder: str = ""
    splits: tuple[str, ...] = ("train", "test")
    classes: tuple[str, ...] = ()
    parts: str = "parts"
    inside: int | None = None


TFDS_IMAGES = {
    "mnist": TFDSImages("mnist"),
    "fashion_mnist": TFDSImages("fashion_mnist"),
    "cifar10": TFDSImages("cifar10"),
    "imagenette": TFDSImages(
        "imagenette/160px-v2",
        splits=("train", "validation"),
        classes=(
            "tench",
            "English springer",
            "cassette player",
            "chain saw",
            "church",
            "French horn",
            "garbage truck",
            "gas pump",
            "golf ball",
            "parachute",
        ),
    ),
    # A trimap: 1 is the pet, 2 the background, 3 the border between them.
    "oxford_iiit_pet": TFDSImages(
        "oxford_iiit_pet", parts="segmentation_mask", inside=1
    ),
}


def read_tfds(
    name: str,
    rows: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    side: int = SIDE,
    stream: bool | None = None,
) -> ImageSource:
    """Reads one of `TFDS_IMAGES`, prepared as array_record, without TensorFlow.

    Images whose size varies are stretched to ``side`` x ``side`` pixels, each pixel
    an average over those it stands for.

    Args:
        name: a key of `TFDS_IMAGES`.
        rows: about how many images to read, chosen at random; None for all.
        seed: of that choice.
        data_dir: where TFDS keeps its data; None for the variable ``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``.
        side: height and width in pixels of images whose size varies.
        stream: whether images are decoded when they are needed, in place of all at
            once; None if memory is too small for all of them. It takes grain.

    Returns:
        The training split and the test split.

    Raises:
        ValueError: if the data is not prepared.

    Example:
        >>> import tensorflow_datasets as tfds
        >>> with tfds.testing.mock_data(num_examples=20):
        ...     source = read_tfds("mnist")
        >>> source.images.x.shape, len(source.test)
        ((20, 28, 28, 1), 20)
    """
    spec = TFDS_IMAGES[name]
    with quiet():
        import tensorflow_datasets as tfds

        folder = data_dir or os.environ.get("TFDS_DATA_DIR")
        builder = tfds.builder(spec.builder, data_dir=folder)
        try:
            splits = _open(builder, spec.splits)
        except (KeyError, NotImplementedError, OSError, ValueError) as error:
            raise ValueError(
                how_to_prepare(name, spec.builder, builder.data_dir, folder)
            ) from error
        return _read(builder.info, spec, splits, rows, seed, side, stream)


def read_tfds_folder(
    folder: str | Path,
    rows: int | None = None,
    seed: int = 0,
    side: int = SIDE,
    stream: bool | None = None,
) -> ImageSource:
    """Reads a data set of the user's own that TFDS prepared, without TensorFlow.

    The input and the target are its supervised keys, or else the features ``image``
    and ``label``: an image (or a tensor of floats whose 0 is neutral), and a class
    label (or floats). A feature ``parts``, an image or a tensor of the same height and
    width, is not 0 where pixels decide.

    Args:
        folder: of one version, with ``dataset_info.json``, prepared as array_record.
        rows: about how many images to read, chosen at random; None for all.
        seed: of that choice.
        side: height and width in pixels of images whose size varies.
        stream: whether images are decoded when they are needed, in place of all at
            once; None if memory is too small for all of them. It takes grain.

    Returns:
        The split ``train`` (or the only one) and, if there is one, ``test`` or else
        ``validation``.

    Raises:
        ValueError: if the folder or its features are not as above.

    Example:
        >>> read_tfds_folder("nowhere")
        Traceback (most recent call last):
        ValueError: no dataset_info.json in nowhere, expected a folder ...
    """
    builder = open_folder(folder)
    with quiet():
        there = list(builder.info.splits)
        first = "train" if "train" in there else there[0] if len(there) == 1 else None
        if first is None:
            raise ValueError(
                f"got the splits {', '.join(there) or 'none'} in {folder}, expected "
                "train; name the split for training so"
            )
        other = [name for name in ("test", "validation") if name in there]
        names = [first, *[name for name in other if name != first][:1]]
        splits = _open(builder, names)
        spec = TFDS_IMAGES.get(builder.info.name, TFDSImages())
        return _read(builder.info, spec, splits, rows, seed, side, stream)


class _Split(NamedTuple):
    """One split: its examples, and the same with nothing decoded but the target."""

    examples: Sequence[Any]
    targets: Sequence[Any]


def _open(builder: Any, names: Sequence[str]) -> list[_Split]:
    """Opens splits."""
    import tensorflow_datasets as tfds

    _, label = _keys(builder.info)
    others = set(builder.info.features) - {label}
    skip = {name: tfds.decode.SkipDecoding() for name in others}
    examples = builder.as_data_source(split=list(names))
    targets = builder.as_data_source(split=list(names), decoders=skip)
    return list(map(_Split, examples, targets))


def _keys(info: Any) -> tuple[str, str]:
    """Names of the features that hold the image and the target."""
    image, label = (info.supervised_keys or ("image", "label"))[:2]
    return image, label


def _read(
    info: Any,
    spec: TFDSImages,
    splits: Sequence[_Split],
    rows: int | None,
    seed: int,
    side: int,
    stream: bool | None,
) -> ImageSource:
    """Reads the splits, the first to train and the second to test."""
    image, label = _keys(info)
    if image not in info.features or label not in info.features:
        raise ValueError(
            f"got the features {', '.join(info.features)} in {info.name}, expected "
            "image and label; name them so, or set supervised_keys"
        )
    feature = info.features[label]
    classes = spec.classes or tuple(getattr(feature, "names", None) or ())
    if not classes and not np.issubdtype(feature.np_dtype, np.floating):
        raise ValueError(
            f"got the target {feature!r} in {info.name}, expected a ClassLabel or "
            "floats; declare it so"
        )
    reader = ExampleReader(
        image,
        label,
        parts=spec.parts if spec.parts in info.features else None,
        inside=spec.inside,
        size=(side, side) if None in info.features[image].shape else None,
    )
    rng = np.random.default_rng(seed)
    counts = [len(split.examples) for split in splits]
    if not all(counts):
        raise ValueError(
            f"got a split of {info.name} without images, expected some in each; "
            "prepare it again"
        )
    share = 1.0 if rows is None else min(1.0, rows / sum(counts))
    if stream is None:
        first = reader.pixels(splits[0].examples[0])
        stream = must_stream(math.ceil(share * sum(counts)), first.shape)

    def read(split: _Split) -> Images:
        count = len(split.examples)
        chosen = np.sort(rng.permutation(count)[: math.ceil(share * count)])
        if stream:
            return reader.stream(split.examples, split.targets, chosen)
        return reader.read(split.examples, chosen)

    training, *test = map(read, splits)
    outputs = 0 if classes else training.target.shape[1]
    targets = (label,) if outputs == 1 else tuple(f"{label}{i}" for i in range(outputs))
    return ImageSource(training, classes, targets, *test)
