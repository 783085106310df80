"""Losses of a score on the link scale: ``loss(score, target) -> (B,)``.

The score is (B, C). The target is (B, C), or (B,) when C = 1; element-wise losses
take the mean over C. Hyperparameters are keywords, to be set with
``functools.partial``. Other shapes, and hyperparameters out of range, raise
ValueError; values cannot be checked under ``jit``: keep targets in the loss's domain.
A loss is computed in float32 at least.
"""

import difflib
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

PerRow = Float[Array, "B"]
Loss = Callable[[Array, Array], PerRow]

# exp() goes on along its tangent from here: gradients stay finite in float32, and so
# do their squares, which Adam keeps.
_MAX_EXPONENT = 30.0


def _align(score: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    """Score and target as (B, C) of one float type, float32 at least."""
    score, target = jnp.asarray(score), jnp.asarray(target)
    if score.ndim != 2:
        raise ValueError(
            f"got a score of shape {score.shape}, expected (B, C); pass "
            "output.prediction, or score[:, None] when there is one output"
        )
    rows, outputs = score.shape
    if target.shape != score.shape and (target.shape != (rows,) or outputs != 1):
        raise ValueError(
            f"got a target of shape {target.shape}, expected {score.shape} like the "
            "score; reshape it, or take loss='softmax_cross_entropy' for classes"
        )
    dtype = jnp.promote_types(score.dtype, jnp.float32)
    return score.astype(dtype), target.astype(dtype).reshape(score.shape)


def _check_between(name: str, value: float | Array, low: float, high: float) -> None:
    """Refuse a hyperparameter outside the open interval; a traced one passes."""
    if not isinstance(value, jax.core.Tracer) and not low < value < high:
        raise ValueError(f"got {name}={value}; choose it between {low} and {high}")


def _extended(function: Callable[[Array], Array], exponent: Array) -> Array:
    """``exp`` or ``expm1``, continued along its tangent beyond ``_MAX_EXPONENT``."""
    tail = math.exp(_MAX_EXPONENT) * jnp.maximum(exponent - _MAX_EXPONENT, 0.0)
    return function(jnp.minimum(exponent, _MAX_EXPONENT)) + tail


def _log_ratio(score: Array, target: Array) -> Array:
    """Log of mean over target; a target of 0 is read as the smallest normal number."""
    tiny = jnp.finfo(target.dtype).tiny
    return score - jnp.log(jnp.where(target == 0.0, tiny, target))


def _power_excess(score: Array, target: Array, power: float | Array) -> Array:
    """``m^power - y^power``, power > 0, with all its digits where m is near y."""
    exponent = power * _log_ratio(score, target)
    near = (jnp.abs(exponent) < 1.0) & (target != 0.0)
    close = target**power * jnp.expm1(jnp.where(near, exponent, 0.0))
    far = _extended(jnp.exp, power * score) - target**power
    return jnp.where(near, close, far)


def squared(score: Array, target: Array) -> PerRow:
    """Squared error ``(target - score)^2``; its minimiser is the mean.

    Args:
        score: prediction, (B, C).
        target: value, (B, C), or (B,) when C = 1.

    Returns:
        Loss of each row, (B,).

    Example:
        >>> squared(jnp.array([[1.0], [4.0]]), jnp.array([1.0, 2.0])).tolist()
        [0.0, 4.0]
    """
    score, target = _align(score, target)
    return jnp.mean(optax.losses.squared_error(score, target), axis=-1)


def absolute(score: Array, target: Array) -> PerRow:
    """Absolute error ``|target - score|``; its minimiser is the median.

    Args:
        score: prediction, (B, C).
        target: value, (B, C), or (B,) when C = 1.

    Returns:
        Loss of each row, (B,). The gradient at a perfect fit is 0.

    Example:
        >>> absolute(jnp.array([[1.0], [4.0]]), jnp.array([1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    score, target = _align(score, target)
    return jnp.mean(jnp.maximum(target - score, score - target), axis=-1)


def huber(score: Array, target: Array, *, delta: float | Array = 1.0) -> PerRow:
    """Huber loss: ``e^2 / 2`` for ``|e| <= delta``, else ``delta (|e| - delta / 2)``.

    Source: Huber (1964), Robust Estimation of a Location Parameter.

    Args:
        score: prediction, (B, C).
        target: value, (B, C), or (B,) when C = 1.
        delta: error from which the loss grows linearly, in units of the target.

    Returns:
        Loss of each row, (B,).

    Example:
        >>> huber(jnp.array([[1.0], [4.0]]), jnp.array([0.0, 1.0])).tolist()
        [0.5, 2.5]
    """
    _check_between("delta", delta, 0.0, math.inf)
    score, target = _align(score, target)
    return jnp.mean(optax.losses.huber_loss(score, target, delta=delta), axis=-1)


def quantile(score: Array, target: Array, *, q: float | Array = 0.5) -> PerRow:
    """Pinball loss ``max(q e, (q - 1) e)``, ``e = target - score``: the q-quantile.

    Source: Koenker and Bassett (1978), Regression Quantiles.

    Args:
        score: prediction, (B, C).
        target: value, (B, C), or (B,) when C = 1.
        q: level of the quantile, in (0, 1).

    Returns:
        Loss of each row, (B,).

    Example:
        >>> loss = functools.partial(quantile, q=0.75)
        >>> loss(jnp.array([[1.0], [4.0]]), jnp.array([3.0, 2.0])).tolist()
        [1.5, 0.5]
    """
    _check_between("q", q, 0.0, 1.0)
    score, target = _align(score, target)
    error = target - score
    return jnp.mean(jnp.maximum(q * error, (q - 1.0) * error), axis=-1)


def logistic(score: Array, target: Array) -> PerRow:
    """Binary cross-entropy ``-y log p - (1 - y) log(1 - p)``, ``p = sigmoid(score)``.

    Args:
        score: logit, (B, C); several outputs are independent binary labels.
        target: label or probability in [0, 1], (B, C), or (B,) when C = 1.

    Returns:
        Loss of each row in nats, (B,).

    Example:
        >>> logistic(jnp.array([[0.0], [1e4]]), jnp.array([1, 0])).round(3).tolist()
        [0.6930000185966492, 10000.0]
    """
    score, target = _align(score, target)
    return jnp.mean(optax.losses.sigmoid_binary_cross_entropy(score, target), axis=-1)


def softmax_cross_entropy(score: Array, target: Array) -> PerRow:
    """Cross-entropy ``logsumexp(score) - score[target]`` of a class index.

    Args:
        score: log-odds of the classes, (B, C) with C >= 2.
        target: class index in 0..C-1, integer, (B,).

    Returns:
        Loss of each row in nats, (B,).

    Example:
        >>> softmax_cross_entropy(jnp.array([[0.0, 1e4]]), jnp.array([0])).tolist()
        [10000.0]
    """
    score, target = jnp.asarray(score), jnp.asarray(target)
    if score.ndim != 2 or score.shape[1] < 2:
        raise ValueError(
            f"got a score of shape {score.shape}, expected (B, C) with C >= 2 classes; "
            "set num_outputs to the number of classes, or use the logistic loss"
        )
    if target.shape != score.shape[:1] or not jnp.issubdtype(target.dtype, jnp.integer):
        raise ValueError(
            f"got a target of shape {target.shape} and type {target.dtype}, expected "
            f"class indices of shape {score.shape[:1]}; use integers 0..C-1"
        )
    score = score.astype(jnp.promote_types(score.dtype, jnp.float32))
    return optax.losses.softmax_cross_entropy_with_integer_labels(score, target)


def poisson(score: Array, target: Array) -> PerRow:
    """Half the Poisson deviance ``y log(y / m) - y + m`` with mean ``m = exp(score)``.

    It is the negative log-likelihood, shifted to be 0 at a perfect fit; its gradient
    is ``m - y``. Beyond ``m = e^30`` it follows its tangent.

    Args:
        score: log of the mean, (B, C).
        target: count >= 0, (B, C), or (B,) when C = 1; a negative one gives NaN.

    Returns:
        Loss of each row, (B,).

    Example:
        >>> poisson(jnp.array([[0.0], [0.0]]), jnp.array([1.0, 0.0])).tolist()
        [0.0, 1.0]
    """
    score, target = _align(score, target)
    deviance = _power_excess(score, target, 1.0) - target * _log_ratio(score, target)
    return jnp.mean(deviance, axis=-1)


def gamma(score: Array, target: Array) -> PerRow:
    """Half the gamma deviance ``y / m - log(y / m) - 1`` with mean ``m = exp(score)``.

    Its gradient is ``1 - y / m``. Beyond ``y / m = e^30`` it follows its tangent.

    Args:
        score: log of the mean, (B, C).
        target: amount > 0, (B, C), or (B,) when C = 1; a negative one gives NaN, a 0
            (of a padded row) something finite.

    Returns:
        Loss of each row, (B,).

    Example:
        >>> gamma(jnp.array([[0.0], [0.0]]), jnp.array([1.0, 2.0])).round(3).tolist()
        [0.0, 0.3070000112056732]
    """
    score, target = _align(score, target)
    ratio = _log_ratio(score, target)
    return jnp.mean(_extended(jnp.expm1, -ratio) + ratio, axis=-1)


def tweedie(score: Array, target: Array, *, power: float | Array = 1.5) -> PerRow:
    """Half the Tweedie deviance with mean ``m = exp(score)`` and ``p = power``.

    Source: Jorgensen (1987), Exponential Dispersion Models.

    It is ``y^(2-p) / ((1-p) (2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)``, with
    gradient ``m^(2-p) - y m^(1-p)``: between `poisson` (p = 1) and `gamma` (p = 2),
    for amounts that are often exactly 0. Powers of m beyond ``e^30`` follow their
    tangent.

    Args:
        score: log of the mean, (B, C).
        target: amount >= 0, (B, C), or (B,) when C = 1; a negative one gives NaN.
        power: exponent of the variance ``m^p``, strictly between 1 and 2.

    Returns:
        Loss of each row, (B,).

    Example:
        >>> tweedie(jnp.array([[0.0], [0.0]]), jnp.array([1.0, 0.0])).tolist()
        [0.0, 2.0]
    """
    _check_between("power", power, 1.0, 2.0)
    score, target = _align(score, target)
    a, b = power - 1.0, 2.0 - power
    falling = target**b * _extended(jnp.expm1, -a * _log_ratio(score, target))
    return jnp.mean(falling / a + _power_excess(score, target, b) / b, axis=-1)


LOSSES: dict[str, Loss] = {
    "squared": squared,
    "absolute": absolute,
    "huber": huber,
    "quantile": quantile,
    "logistic": logistic,
    "softmax_cross_entropy": softmax_cross_entropy,
    "poisson": poisson,
    "gamma": gamma,
    "tweedie": tweedie,
}

_INVERSE_LINKS: dict[Loss, Callable[[Array], Array]] = {
    logistic: jax.nn.sigmoid,
    softmax_cross_entropy: jax.nn.softmax,
    poisson: jnp.exp,
    gamma: jnp.exp,
    tweedie: jnp.exp,
}


def get(loss: str | Loss) -> Loss:
    """The loss of that name; a callable is returned unchanged.

    Args:
        loss: one of `LOSSES`, or a function ``loss(score, target) -> (B,)``.

    Returns:
        The loss function.

    Raises:
        ValueError: if there is no loss of that name; it names the nearest.

    Example:
        >>> get("huber") is huber
        True
    """
    if callable(loss):
        return loss
    if loss not in LOSSES:
        nearest = difflib.get_close_matches(loss, LOSSES, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"got {loss!r}, expected one of {list(LOSSES)}; did you mean {nearest!r}?"
        )
    return LOSSES[loss]


def inverse_link(loss: str | Loss) -> Callable[[Array], Array]:
    """The function from score (B, C) to mean (B, C) that belongs to a loss.

    Sigmoid for logistic, softmax over C for softmax_cross_entropy, exp for poisson,
    gamma and tweedie, else the identity.

    Args:
        loss: name of a loss, its function, or a ``functools.partial`` of that.

    Returns:
        The inverse of the link function.

    Raises:
        ValueError: if the loss is not one of `LOSSES`, so that its link is unknown.

    Example:
        >>> inverse_link("poisson")(jnp.zeros((1, 1))).tolist()
        [[1.0]]
    """
    function = get(loss)
    if isinstance(function, functools.partial):
        function = function.func
    if function not in LOSSES.values():
        raise ValueError(
            f"got the loss {loss!r}, expected one of {list(LOSSES)}; apply the "
            "inverse link of your own loss to output.prediction yourself"
        )
    return _INVERSE_LINKS.get(function, jnp.asarray)
