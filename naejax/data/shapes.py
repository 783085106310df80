"""Images whose label is a pair of shapes, with the pixels of that pair."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from naejax.data.images import Images

PAIRS = ("square, triangle", "square, cross", "disc, triangle", "disc, cross")
SAME_OR_DIFFERENT = ("different", "same")

Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]

# A kind: which points (u, v), in units of half its width, are inside, v pointing down;
# and its area as a share of its box.
_KINDS: dict[str, tuple[Inside, float]] = {
    "square": (lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 1, 1.0),
    "disc": (lambda u, v: u**2 + v**2 <= 1, np.pi / 4),
    "triangle": (lambda u, v: (2 * np.abs(u) <= 1 + v) & (v <= 1), 0.5),
    "cross": (
        lambda u, v: (
            (np.maximum(np.abs(u), np.abs(v)) <= 1)
            & (np.minimum(np.abs(u), np.abs(v)) <= 0.4)
        ),
        0.64,
    ),
    "ring": (lambda u, v: np.abs(u**2 + v**2 - 0.625) <= 0.375, 3 * np.pi / 16),
    "bars": (
        lambda u, v: (np.abs(u) <= 1) & (np.abs(np.abs(v) - 2 / 3) <= 1 / 3),
        2 / 3,
    ),
}
_NAMES = tuple(_KINDS)
_RING = _NAMES.index("ring")
_TRIES = 32


def make_shapes(
    rows: int,
    *,
    side: int = 32,
    distractors: int = 1,
    same_or_different: bool = False,
    coverage: float = 0.18,
    contrast: float = 0.8,
    texture: float = 0.15,
    seed: int = 0,
) -> Images:
    """Draws images of two deciding shapes and some distractors on a texture.

    One deciding shape is a square or a disc, the other a triangle or a cross, each
    with probability 1/2; the class is the pair, an index into `PAIRS`. A distractor
    is a ring or a pair of bars and decides nothing. With ``same_or_different`` both
    shapes are of any of the four kinds, and the class, an index into
    `SAME_OR_DIFFERENT`, says whether they are of the same.

    Kinds differ in form only. Whatever its kind, a shape covers
    ``coverage * side^2 / 2 * U(0.9, 1.1)`` pixels, up to rounding; its value in each
    channel is ``z * contrast * U(0.75, 1.25)`` with ``z`` = 1 or -1; and it lies
    anywhere, its box at least a pixel away from the others. The background is Gaussian
    noise of standard deviation ``texture``, smoothed over a few pixels.

    Args:
        rows: number of images N >= 1.
        side: height and width of the images in pixels, at least 16.
        distractors: number of shapes besides the two that decide.
        same_or_different: whether the class is "same kind" instead of the pair.
        coverage: share of the image that the two deciding shapes cover, on average.
        contrast: mean absolute value of the shapes.
        texture: standard deviation of the background.
        seed: of the draws.

    Returns:
        Images (N, side, side, 3), classes (N,), and the pixels of the deciding shapes.

    Raises:
        ValueError: if a number is out of range or the shapes do not fit.

    Example:
        >>> images = make_shapes(100)
        >>> images.x.shape, images.parts.shape
        ((100, 32, 32, 3), (100, 32, 32))
        >>> PAIRS[images.target[0]], round(float(images.parts.mean()), 2)
        ('disc, triangle', 0.18)
    """
    _check("rows", rows, rows >= 1, "at least 1")
    _check("side", side, side >= 16, "at least 16 pixels")
    _check("distractors", distractors, distractors >= 0, "at least 0")
    _check("coverage", coverage, 0 < coverage <= 0.3, "a share in (0, 0.3]")
    _check("contrast", contrast, contrast > 0, "a value > 0")
    _check("texture", texture, texture >= 0, "a standard deviation >= 0")
    rng = np.random.default_rng(seed)
    kinds, target = _draw_kinds(rng, rows, distractors, same_or_different)
    area = coverage * side**2 / 2 * rng.uniform(0.9, 1.1, kinds.shape)
    width = np.sqrt(area / np.array([share for _, share in _KINDS.values()])[kinds])
    centre = _place(rng, width, side)
    colour = rng.choice([-contrast, contrast], (*kinds.shape, 1))
    colour = colour * rng.uniform(0.75, 1.25, (*kinds.shape, 3))
    colour = colour.astype(np.float32)
    x = np.float32(texture) * _noise(rng, rows, side)
    parts = np.zeros((rows, side, side), bool)
    for i in range(kinds.shape[1]):
        inside = _rasterise(kinds[:, i], width[:, i], centre[:, i], side)
        np.copyto(x, colour[:, i, None, None], where=inside[..., None])
        if i < 2:
            parts |= inside
    return Images(x, target.astype(np.int32), parts)


def _check(name: str, value: float, valid: bool, expected: str) -> None:
    """Refuses a number out of range."""
    if not valid:
        raise ValueError(f"got {name}={value}, expected {expected}; choose it so")


def _draw_kinds(
    rng: np.random.Generator, rows: int, distractors: int, same_or_different: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Kinds of the shapes, the two deciding ones first, (N, 2 + distractors)."""
    if same_or_different:
        target = rng.integers(2, size=rows)
        first = rng.integers(4, size=rows)
        second = (first + rng.integers(1, 4, size=rows) * (1 - target)) % 4
    else:
        first, second = rng.integers(2, size=(2, rows))
        target = 2 * first + second
        second = 2 + second
    others = _RING + rng.integers(2, size=(rows, distractors))
    return np.column_stack([first, second, others]), target


def _place(
    rng: np.random.Generator, width: Float[np.ndarray, "N S"], side: int
) -> Float[np.ndarray, "N S 2"]:
    """Places boxes one after another where there is room; starts again if none is."""
    centre = np.empty((*width.shape, 2))
    pending = np.arange(len(width))
    budget = 20 * len(width) + 2_000
    while len(pending):
        budget -= len(pending)
        if budget < 0:
            raise ValueError(
                f"got {width.shape[1]} shapes that do not fit into {side} x {side} "
                "pixels without overlap, expected room for them; lower coverage or "
                "distractors"
            )
        placed = np.ones(len(pending), bool)
        for i in range(width.shape[1]):
            w = width[pending, i, None, None]
            tries = rng.uniform(w / 2, side - w / 2, (len(pending), _TRIES, 2))
            distance = np.abs(tries[:, :, None] - centre[pending, None, :i]).max(-1)
            apart = (width[pending, :i] + w[:, 0]) / 2 + 1
            fits = (distance >= apart[:, None]).all(-1)
            centre[pending, i] = tries[np.arange(len(pending)), fits.argmax(1)]
            placed &= fits.any(1)
        pending = pending[~placed]
    return centre


def _rasterise(
    kinds: np.ndarray, width: np.ndarray, centre: np.ndarray, side: int
) -> Bool[np.ndarray, "N H W"]:
    """Marks the pixels whose centres are inside the shapes."""
    pixels = np.arange(side) + 0.5
    u, v = ((pixels - centre[:, i, None]) * 2 / width[:, None] for i in (0, 1))
    inside = np.empty((len(kinds), side, side), bool)
    for kind, (formula, _) in enumerate(_KINDS.values()):
        rows = kinds == kind
        inside[rows] = formula(u[rows, None, :], v[rows, :, None])
    return inside


def _noise(
    rng: np.random.Generator, rows: int, side: int
) -> Float[np.ndarray, "N H W 3"]:
    """Gaussian noise of variance 1, smoothed by a Gaussian of 1.5 pixels."""
    from scipy.ndimage import gaussian_filter1d

    kernel = gaussian_filter1d(np.eye(side), 1.5, mode="wrap")
    kernel = (kernel / np.linalg.norm(kernel[0])).astype(np.float32)
    noise = rng.standard_normal((rows, 3, side, side), dtype=np.float32)
    return np.ascontiguousarray(np.moveaxis(kernel @ noise @ kernel, 1, -1))
