"""Synthetic regression data whose additive shapes and interactions are known.

Features not named in an equation are irrelevant: they have the same kind of
distribution as the others, shape 0 and no interaction.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from naejax.data.cells import unknown_name

Function = Callable[[Float[np.ndarray, "N F"]], Float[np.ndarray, "N"]]
Shape = Callable[[Float[np.ndarray, "M"]], Float[np.ndarray, "M"]]
Sampler = Callable[[np.random.Generator, int], Float[np.ndarray, "N F"]]


@dataclass(frozen=True, eq=False)
class Process:
    """A distribution of rows and a function of them.

    Attributes:
        sampler: ``sampler(rng, rows)`` draws fresh rows, (rows, F).
        function: the regression function, rows (N, F) -> signal (N,).
        shapes: per feature, values (M,) -> additive effect (M,): the function with
            feature i set to the value, averaged over the other features, less its
            mean. This is ``E[y | x_i] - E[y]`` where features are independent.
        interactions: the pairs (i, j), i < j, that the function is not additive in.
    """

    sampler: Sampler
    function: Function
    shapes: tuple[Shape, ...]
    interactions: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Synthetic(Process):
    """Rows drawn from a process, and the process.

    Attributes:
        name: of the generator.
        x: features, (N, F) float64.
        y: target, signal plus Gaussian noise, (N,).
        signal: target without noise, (N,).
        feature_names: ``x0``, ``x1``, ...
    """

    name: str
    x: Float[np.ndarray, "N F"]
    y: Float[np.ndarray, "N"]
    signal: Float[np.ndarray, "N"]
    feature_names: tuple[str, ...]


def make_synthetic(
    name: str,
    rows: int = 2000,
    features: int | None = None,
    noise: float = 0.1,
    seed: int | np.random.Generator = 0,
    **settings: float,
) -> Synthetic:
    """Draws rows from a named generator: ``y = function(x) + noise * N(0, 1)``.

    Args:
        name: one of `GENERATORS`; their docstrings state the equations.
        rows: number of rows N >= 1.
        features: number of features F; None for the generator's own.
        noise: standard deviation of the noise >= 0, in units of y.
        seed: seed of the draws; the same x is drawn whatever the noise.
        **settings: keywords of the generator, such as ``correlation``.

    Returns:
        A `Synthetic`.

    Raises:
        ValueError: if the name is unknown or a number out of range.

    Example:
        >>> data = make_synthetic("switch", rows=3, noise=0.0)
        >>> data.x.shape, data.interactions
        ((3, 5), ((0, 1),))
        >>> bool((data.y == data.function(data.x)).all())
        True
    """
    if name not in GENERATORS:
        raise ValueError(unknown_name(f"no generator {name!r}", name, GENERATORS))
    _check(rows >= 1, f"rows={rows}, expected at least 1")
    _check(noise >= 0, f"noise={noise}, expected a standard deviation >= 0")
    if features is not None:
        settings["features"] = features
    process = GENERATORS[name](**settings)
    rng = np.random.default_rng(seed)
    x = process.sampler(rng, rows)
    signal = process.function(x)
    return Synthetic(
        **vars(process),
        name=name,
        x=x,
        y=signal + noise * rng.standard_normal(rows),
        signal=signal,
        feature_names=tuple(f"x{i}" for i in range(x.shape[1])),
    )


def _check(valid: bool, message: str) -> None:
    """Refuse a number out of range."""
    if not valid:
        raise ValueError(f"got {message}; choose it in that range")


def _independent(
    features: int,
    bounds: Sequence[tuple[float, float]],
    function: Function,
    shapes: Sequence[Shape] = (),
    interactions: tuple[tuple[int, int], ...] = (),
    rest: tuple[float, float] = (-1.0, 1.0),
) -> Process:
    """Independent uniform features: those of the equation, then irrelevant ones."""
    spare = features - len(bounds)
    _check(spare >= 0, f"features={features}, expected at least {len(bounds)}")
    low, high = np.array([*bounds, *[rest] * spare]).T
    return Process(
        lambda rng, rows: rng.uniform(low, high, (rows, features)),
        function,
        (*shapes, *[np.zeros_like] * (features - len(shapes))),
        interactions,
    )


_CUBE = ((-1.0, 1.0), (-1.0, 1.0))

# Centred under U(-1, 1).
_EFFECTS: tuple[Shape, ...] = (
    lambda x: np.sin(np.pi * x),
    lambda x: 1.5 * x**2 - 0.5,
    lambda x: 2 * np.abs(x) - 1,
    lambda x: np.where(x > 0, 0.5, -0.5),
    lambda x: np.exp(x) - np.sinh(1),
)


def additive(features: int = 5) -> Process:
    """A sum of shapes: ``y = sum_{i<5} h_i(x_i)``, ``x ~ U(-1, 1)``.

    ``h_0 = sin(pi x)``, ``h_1 = 1.5 x^2 - 0.5``, ``h_2 = 2 |x| - 1``,
    ``h_3 = 0.5 sign(x)``, ``h_4 = exp(x) - sinh(1)``.
    """
    effects = _EFFECTS[:features]

    def function(x):
        return sum(effect(x[:, i]) for i, effect in enumerate(effects))

    return _independent(features, _CUBE[:1], function, effects)


def correlated(features: int = 8, correlation: float = 0.8) -> Process:
    """The function of `additive` on features U(-1, 1) that are all correlated.

    ``x = 2 Phi(sqrt(r) z + sqrt(1 - r) z_i) - 1`` with z, z_i standard normal and
    ``r = 2 sin(pi correlation / 6)``, which gives every pair of features the Pearson
    correlation asked for, in [0, 1]. Here shapes are not ``E[y | x_i]``.
    """
    _check(0 <= correlation <= 1, f"correlation={correlation}, expected it in [0, 1]")
    process = additive(features)
    shared = 2 * math.sin(math.pi * correlation / 6)

    def sampler(rng, rows):
        from scipy.special import ndtr

        common = rng.standard_normal((rows, 1))
        own = rng.standard_normal((rows, features))
        normal = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
        return 2 * ndtr(normal) - 1

    return Process(sampler, process.function, process.shapes, ())


def product(features: int = 5, pairs: int = 2, offset: float = 0.0) -> Process:
    """Products: ``y = sum_{p<pairs} (x_{2p} + offset) (x_{2p+1} + offset)``.

    ``x ~ U(-1, 1)``; shapes are ``offset * x_i``, so that offset 0 leaves nothing to
    an additive model.
    """
    _check(pairs >= 1, f"pairs={pairs}, expected at least 1")

    def function(x):
        factors = x[:, : 2 * pairs] + offset
        return (factors[:, 0::2] * factors[:, 1::2]).sum(axis=1)

    shapes = [lambda x: offset * x] * (2 * pairs)
    interactions = tuple((2 * p, 2 * p + 1) for p in range(pairs))
    return _independent(features, _CUBE * pairs, function, shapes, interactions)


def switch(features: int = 5, threshold: float = 0.0) -> Process:
    """A context turns a slope around: ``y = x_0 if x_1 > threshold else -x_0``.

    ``x ~ U(-1, 1)``; the shape of ``x_0`` is ``-threshold * x_0``, all others are 0.
    """
    _check(-1 < threshold < 1, f"threshold={threshold}, expected it in (-1, 1)")

    def function(x):
        return np.where(x[:, 1] > threshold, x[:, 0], -x[:, 0])

    shapes = [lambda x: -threshold * x]
    return _independent(features, _CUBE, function, shapes, ((0, 1),))


def xor(features: int = 5) -> Process:
    """Exclusive or of signs: ``y = 1 if (x_0 > 0) != (x_1 > 0) else 0``.

    ``x ~ U(-1, 1)``; every shape is 0.
    """

    def function(x):
        return ((x[:, 0] > 0) != (x[:, 1] > 0)).astype(float)

    return _independent(features, _CUBE, function, (), ((0, 1),))


def multimodal(features: int = 5, modes: int = 3) -> Process:
    """One ``x_0``, several values: ``y = sin(pi x_0) + a(x_1) (1 + x_0^2)``.

    ``x ~ U(-1, 1)``; ``a`` is a staircase of ``modes`` equal steps from -1 to 1, so
    that ``y`` given ``x_0`` has that many modes and ``x_1`` decides which. Shapes are
    ``sin(pi x_0)`` and ``4/3 a(x_1)``.
    """
    _check(modes >= 2, f"modes={modes}, expected at least 2")

    def level(x):
        step = np.clip(np.floor((x + 1) / 2 * modes), 0, modes - 1)
        return 2 * step / (modes - 1) - 1

    def function(x):
        return np.sin(np.pi * x[:, 0]) + level(x[:, 1]) * (1 + x[:, 0] ** 2)

    shapes = [lambda x: np.sin(np.pi * x), lambda x: 4 / 3 * level(x)]
    return _independent(features, _CUBE, function, shapes, ((0, 1),))


def friedman1(features: int = 10) -> Process:
    """``y = 10 sin(pi x_0 x_1) + 20 (x_2 - 0.5)^2 + 10 x_3 + 5 x_4``, ``x ~ U(0, 1)``.

    Source: Friedman (1991), Multivariate Adaptive Regression Splines.
    """
    from scipy.special import sici

    def function(x):
        sine = 10 * np.sin(np.pi * x[:, 0] * x[:, 1])
        return sine + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]

    # The integral of (1 - cos t) / t from 0 to pi is gamma + log(pi) - Ci(pi).
    mean = 10 / np.pi * (np.euler_gamma + np.log(np.pi) - sici(np.pi)[1])

    def sine(x):
        return 5 * np.pi * x * np.sinc(x / 2) ** 2 - mean

    shapes = [
        sine,
        sine,
        lambda x: 20 * (x - 0.5) ** 2 - 5 / 3,
        lambda x: 10 * (x - 0.5),
        lambda x: 5 * (x - 0.5),
    ]
    unit = (0.0, 1.0)
    return _independent(features, [unit] * 5, function, shapes, ((0, 1),), unit)


# Resistance, angular frequency, inductance and capacitance of a circuit.
_CIRCUIT = ((0.0, 100.0), (40 * np.pi, 560 * np.pi), (0.0, 1.0), (1.0, 11.0))


def _reactance(x: np.ndarray) -> np.ndarray:
    """``x_1 x_2 - 1 / (x_1 x_3)``."""
    return x[:, 1] * x[:, 2] - 1 / (x[:, 1] * x[:, 3])


def _circuit_shape(function: Function, feature: int, values: np.ndarray) -> np.ndarray:
    """The shape of a feature by quadrature over the others."""
    points, weights = np.polynomial.legendre.leggauss(16)
    # Squared, so that nodes gather at 0, where the functions have a kink.
    root = (points[:, None] + 1) / 2
    low, high = np.array(_CIRCUIT).T
    nodes, weights = low + (high - low) * root**2, weights * root[:, 0]
    others = np.delete(nodes, feature, axis=1).T
    mesh = np.stack(np.meshgrid(*others, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.einsum("i,j,k->ijk", weights, weights, weights).ravel()

    def average(value):
        return weight @ function(np.insert(mesh, feature, value, axis=1))

    mean = sum(w * average(v) for w, v in zip(weights, nodes[:, feature], strict=True))
    return np.array([average(v) for v in values]) - mean


def _circuit(features: int, function: Function) -> Process:
    """A process of the circuit: all four of its features interact."""
    shapes = [functools.partial(_circuit_shape, function, i) for i in range(4)]
    pairs = tuple(itertools.combinations(range(4), 2))
    return _independent(features, _CIRCUIT, function, shapes, pairs, (0.0, 1.0))


def friedman2(features: int = 4) -> Process:
    """Impedance: ``y = sqrt(x_0^2 + (x_1 x_2 - 1 / (x_1 x_3))^2)``.

    ``x_0 ~ U(0, 100)``, ``x_1 ~ U(40 pi, 560 pi)``, ``x_2 ~ U(0, 1)``,
    ``x_3 ~ U(1, 11)``, others ``U(0, 1)``. The spread of y is 380; ``x_3`` interacts by
    less than 1e-6 of it. Shapes are integrated numerically, to 1e-6 of it.

    Source: Friedman (1991), Multivariate Adaptive Regression Splines.
    """
    return _circuit(features, lambda x: np.hypot(x[:, 0], _reactance(x)))


def friedman3(features: int = 4) -> Process:
    """Phase: ``y = arctan((x_1 x_2 - 1 / (x_1 x_3)) / x_0)``.

    Features as in `friedman2`. The spread of y is 0.32; ``x_3`` interacts by less than
    1e-5 of it. Shapes are integrated numerically, to 1e-4 of it.

    Source: Friedman (1991), Multivariate Adaptive Regression Splines.
    """
    return _circuit(features, lambda x: np.arctan2(_reactance(x), x[:, 0]))


GENERATORS: dict[str, Callable[..., Process]] = {
    "additive": additive,
    "correlated": correlated,
    "product": product,
    "switch": switch,
    "xor": xor,
    "multimodal": multimodal,
    "friedman1": friedman1,
    "friedman2": friedman2,
    "friedman3": friedman3,
}
