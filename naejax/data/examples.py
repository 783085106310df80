"""Images with targets from the examples of a data source: all at once, or streamed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from naejax.data.images import Images, as_images, as_pixels, as_target
from naejax.data.streamed import StreamedRows

Example = Mapping[str, Any]


@dataclass(frozen=True)
class ExampleReader:
    """What the features of an example are.

    Attributes:
        image: name of the image, (H, W, Ch) or (H, W).
        target: name of a class index, or of values.
        parts: name of the mask of the deciding pixels; None where there is none.
        inside: value of the mask at those pixels; None for any but 0.
        size: height and width to stretch images to; None for those of one size.

    Example:
        >>> reader = ExampleReader("image", "label")
        >>> example = {"image": np.full((8, 8), 255, np.uint8), "label": 3}
        >>> images = reader.read([example] * 5, np.arange(2))
        >>> images.x.shape, images.target.tolist()
        ((2, 8, 8, 1), [3, 3])
    """

    image: str
    target: str
    parts: str | None = None
    inside: int | None = None
    size: tuple[int, int] | None = None

    def pixels(self, example: Example) -> UInt8[np.ndarray, "H W Ch"] | np.ndarray:
        """The image of an example, as it is stored but for its size.

        Args:
            example: values by the names of the features.

        Returns:
            Bytes, or floats.
        """
        pixels = np.asarray(example[self.image])
        return _resize(pixels.reshape(*pixels.shape[:2], -1), self.size)

    def mask(self, example: Example, shape: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """The deciding pixels of an example.

        Args:
            example: values by the names of the features.
            shape: height and width of its image.

        Returns:
            True where they are.
        """
        name: Any = self.parts
        mask = np.asarray(example[name])
        mask = mask.reshape(*mask.shape[:2], -1)[..., :1]
        mask = mask != 0 if self.inside is None else mask == self.inside
        return _resize(mask.astype(np.float32), shape)[..., 0] >= 0.5

    def read(self, examples: Sequence[Example], rows: Int[np.ndarray, "R"]) -> Images:
        """Reads examples.

        Args:
            examples: all of a split.
            rows: numbers of those to read.

        Returns:
            They, in memory.

        Raises:
            ValueError: if images are not of one shape, or hold no finite numbers.
        """
        x, target, parts = [], [], []
        for example in map(examples.__getitem__, rows.tolist()):
            x.append(self.pixels(example))
            target.append(example[self.target])
            if self.parts is not None:
                parts.append(self.mask(example, x[-1].shape[:2]))
        return as_images(
            np.stack(x), np.stack(target), np.stack(parts) if parts else None
        )

    def stream(
        self,
        examples: Sequence[Example],
        targets: Sequence[Example],
        rows: Int[np.ndarray, "R"],
    ) -> Images:
        """The same as `read`, but images and masks stay where they are.

        Args:
            examples: all of a split.
            targets: the same, where nothing need be decoded but the target.
            rows: numbers of those to take.

        Returns:
            They, to be read when they are needed; only targets are in memory.

        Raises:
            ValueError: if grain is not installed.
        """
        x: Any = StreamedRows(examples, lambda e: as_pixels(self.pixels(e)[None])[0])
        target = as_target(np.stack([targets[i][self.target] for i in rows.tolist()]))
        if self.parts is None:
            return Images(x.take(rows), target)
        height, width, _ = x.shape[1:]
        parts: Any = StreamedRows(examples, lambda e: self.mask(e, (height, width)))
        return Images(x.take(rows), target, parts.take(rows))


def _resize(x: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Stretches (H, W, Ch), smoothed against aliasing."""
    if size is None or size == x.shape[:2]:
        return x
    from PIL import Image

    def stretch(channel: np.ndarray) -> np.ndarray:
        resized = Image.fromarray(channel).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(resized)

    return np.stack([stretch(channel) for channel in np.moveaxis(x, -1, 0)], axis=-1)
