"""Small pictures as data URIs: an image, one of its groups, all of them, an outline."""

import base64
import io

import numpy as np

from naejax.explain.style import sign_color

_COLORS = 96
_YELLOW, _BLACK = (240, 228, 66), (0, 0, 0)
_STRONGEST = 0.75


def data_uri(picture: np.ndarray, side: int) -> str:
    """A picture as a PNG inside a URI.

    Args:
        picture: red, green, blue and perhaps alpha from 0 to 1, (H, W, 3 or 4).
        side: the longer side in pixels that the result has at least, if the picture is
            enlarged, or at most, if it is shrunk.

    Returns:
        The URI.

    Example:
        >>> data_uri(np.zeros((2, 2, 3)), 4)[:30]
        'data:image/png;base64,iVBORw0K'
    """
    return _encode(enlarge(picture, side))


def draw_group(
    picture: np.ndarray, mask: np.ndarray, contribution: float, side: int
) -> str:
    """A group: the picture where the mask is 1, pale where it is 0, and an outline.

    Args:
        picture: (H, W, 3).
        mask: what the group keeps, (H, W); scaled to a largest value of 1.
        contribution: its sign chooses the outline's colour.
        side: as for `data_uri`.

    Returns:
        The URI.
    """
    alpha = (mask / (mask.max() or 1))[..., None]
    pale = 0.8 + 0.2 * picture.mean(axis=-1, keepdims=True)
    shown = enlarge(alpha * picture + (1 - alpha) * pale, side)
    line = outline(_scaled_mask(mask > 0, shown.shape), _width(side))
    shown[line] = _rgb(sign_color(contribution))
    return _encode(shown)


def draw_flat(
    picture: np.ndarray, ranks: np.ndarray, contributions: np.ndarray, side: int
) -> str:
    """The strongest group at every pixel: its sign as colour, its size as strength.

    Args:
        picture: (H, W, 3).
        ranks: the group at each pixel, (H, W); n where there is none.
        contributions: of the n groups, (n,).
        side: as for `data_uri`.

    Returns:
        The URI.
    """
    shown = 0.4 + 0.6 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    top = np.abs(contributions).max(initial=0) or 1.0
    for rank, contribution in enumerate(contributions.tolist()):
        alpha = _STRONGEST * (0.2 + 0.8 * abs(contribution) / top)
        inside = ranks == rank
        color = _rgb(sign_color(contribution))
        shown[inside] = (1 - alpha) * shown[inside] + alpha * color
    large = enlarge(shown, side)
    for rank in range(len(contributions)):
        line = outline(_scaled_mask(ranks == rank, large.shape), 1)
        large[line] = 1.0
    return _encode(large)


def draw_outline(parts: np.ndarray, side: int) -> str:
    """The edge of the true parts, all else transparent, to lie over a picture.

    Args:
        parts: inside where not 0, (H, W).
        side: as for `data_uri`.

    Returns:
        The URI.
    """
    inside = enlarge(np.asarray(parts != 0, float)[..., None], side)[..., 0] > 0.5
    shown = np.zeros((*inside.shape, 4))
    # Yellow on black shows on every picture.
    shown[outline(inside, _width(side) + 1)] = (*(np.array(_BLACK) / 255), 1)
    shown[outline(inside, _width(side))] = (*(np.array(_YELLOW) / 255), 1)
    return _encode(shown)


def enlarge(picture: np.ndarray, side: int) -> np.ndarray:
    """Repeats the pixels of a small picture, or averages those of a large one.

    Args:
        picture: (H, W, n).
        side: as for `data_uri`.

    Returns:
        Another picture, (h, w, n).

    Example:
        >>> enlarge(np.zeros((32, 16, 3)), 100).shape
        (128, 64, 3)
        >>> enlarge(np.zeros((320, 160, 3)), 100).shape
        (80, 40, 3)
    """
    longest = max(picture.shape[:2])
    if longest <= side:
        factor = -(-side // longest)
        return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)
    step = -(-longest // side)
    height, width = (n // step for n in picture.shape[:2])
    cropped = picture[: height * step, : width * step]
    blocks = cropped.reshape(height, step, width, step, -1)
    return blocks.mean(axis=(1, 3))


def outline(inside: np.ndarray, width: int) -> np.ndarray:
    """The pixels inside a mask that are near its edge.

    Args:
        inside: (H, W) bool.
        width: of the line in pixels.

    Returns:
        (H, W) bool.

    Example:
        >>> outline(np.ones((5, 5), bool), 1).sum()
        np.int64(16)
    """
    from scipy.ndimage import binary_erosion

    return inside & ~binary_erosion(inside, iterations=width)


def _scaled_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask at the size of an enlarged or shrunk picture."""
    return enlarge(mask.astype(float)[..., None], max(shape[:2]))[..., 0] > 0.5


def _width(side: int) -> int:
    """Of a line that shows at this size."""
    return max(1, side // 64)


def _rgb(color: str) -> np.ndarray:
    """A colour as numbers from 0 to 1."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _encode(picture: np.ndarray) -> str:
    """A picture as the text of a URI; few colours keep photographs small."""
    from PIL import Image

    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if picture.shape[-1] == 3:
        image = image.quantize(_COLORS)
    else:
        image = image.quantize(_COLORS, method=Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
