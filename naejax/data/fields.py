"""Lognormal random fields: maps whose two targets set amplitude and skewness."""

import numpy as np
from jaxtyping import Float

from naejax.data.images import Images

FIELD_TARGETS = ("amplitude", "shape")


def make_lognormal_fields(
    rows: int,
    *,
    side: int = 66,
    amplitude: tuple[float, float] = (0.2, 1.0),
    shape: tuple[float, float] = (0.2, 0.8),
    seed: int = 0,
) -> Images:
    """Draws maps that look like maps of mass: broad voids and rare high peaks.

    ``x = a (exp(s g - s^2 / 2) - 1) / sqrt(exp(s^2) - 1)`` with targets
    ``a ~ U(*amplitude)`` and ``s ~ U(*shape)``. g is Gaussian noise on a torus,
    ``g ~ N(0, 1)`` at every pixel, with power
    ``P(k) ~ |k|^-2 exp(-4 pi^2 |k|^2)`` at frequency k in cycles per pixel and
    ``P(0) = 0``: noise with a power law, smoothed by a Gaussian of one pixel.

    Over all maps with targets (a, s), a pixel has mean 0, standard deviation a and
    skewness ``(exp(s^2) + 2) sqrt(exp(s^2) - 1)``. A single map has few independent
    patches, so both targets can be estimated from it but not read off.

    Args:
        rows: number of maps N >= 1.
        side: height and width of the maps in pixels, at least 8.
        amplitude: lowest and highest standard deviation, > 0.
        shape: lowest and highest standard deviation of the logarithm, > 0.
        seed: of the draws.

    Returns:
        Maps (N, side, side, 1) and targets (a, s), (N, 2); nobody knows the parts.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> maps = make_lognormal_fields(100)
        >>> maps.x.shape, maps.target.shape
        ((100, 66, 66, 1), (100, 2))
        >>> spread = maps.x.std(axis=(1, 2, 3))
        >>> bool(np.corrcoef(spread, maps.target[:, 0])[0, 1] > 0.8)
        True
    """
    if rows < 1:
        raise ValueError(f"got rows={rows}, expected at least 1; ask for one map")
    if side < 8:
        raise ValueError(f"got side={side}, expected at least 8 pixels; enlarge it")
    for name, bounds in {"amplitude": amplitude, "shape": shape}.items():
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError(
                f"got {name}={bounds}, expected 0 < lowest <= highest; choose them so"
            )
    rng = np.random.default_rng(seed)
    low, high = np.array([amplitude, shape]).T
    target = rng.uniform(low, high, (rows, 2)).astype(np.float32)
    a, s = target.T[:, :, None, None]
    g = _gaussian_fields(rng, rows, side)
    x = a * np.expm1(s * g - s**2 / 2) / np.sqrt(np.expm1(s**2))
    return Images(x[..., None], target)


def _gaussian_fields(
    rng: np.random.Generator, rows: int, side: int
) -> Float[np.ndarray, "N H W"]:
    """White noise, its waves weighted by the root of the power."""
    from scipy import fft

    k = np.hypot(fft.fftfreq(side)[:, None], fft.fftfreq(side))
    k[0, 0] = np.inf
    weight = np.exp(-2 * (np.pi * k) ** 2) / k
    weight /= np.sqrt((weight**2).mean())
    weight = weight[:, : side // 2 + 1].astype(np.float32)
    noise = rng.standard_normal((rows, side, side), dtype=np.float32)
    return fft.irfft2(fft.rfft2(noise) * weight, s=(side, side))
