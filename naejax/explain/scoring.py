"""Scores of masked examples: what every test by perturbation runs."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from naejax.types import Numbers

ScoreFn = Callable[[Array], Array]
"""``score_fn(x (N, *spatial, Ch)) -> scores (N, C)``, pure, on the link scale.

Compiled once per function object, so pass the same one again. Weights that a plain
function closes over become constants of its program; those of
``jax.tree_util.Partial(apply, params)`` stay arguments, so that new weights need no
new program.
"""

Value = Literal["probability", "score"]
Protocol = Literal["fair", "reference"]
PROTOCOLS = ("fair", "reference")


def probabilities(scores: Float[Array, "N C"]) -> Float[Array, "N C"]:
    """Softmax over C > 1 outputs; for C = 1 the sigmoid, P(class 1)."""
    return jax.nn.softmax(scores) if scores.shape[1] > 1 else jax.nn.sigmoid(scores)


def as_pytree(score_fn: ScoreFn) -> Partial:
    """The score function as an argument that ``jax.jit`` takes."""
    return score_fn if isinstance(score_fn, Partial) else Partial(score_fn)


def check_choice(name: str, got: str, choices: tuple[str, ...]) -> None:
    """Refuses a word that is not among the choices."""
    if got not in choices:
        raise ValueError(f"got {name}={got!r}; choose one of {', '.join(choices)}")


def check_finite(name: str, array: Array) -> None:
    """Refuses NaN and infinity, which have no place in an order; traced ones pass."""
    if not isinstance(array, jax.core.Tracer) and not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite entries, expected finite numbers")


@jax.jit
def ranks(scores: Float[Array, "... P"]) -> Int[Array, "... P"]:
    """Places along the last axis, 0 for the largest; of equal ones the first leads."""
    order = jnp.argsort(scores, axis=-1, stable=True, descending=True)
    return jnp.argsort(order, axis=-1)


def as_examples(x: Numbers) -> Float[Array, "B *spatial Ch"]:
    """Examples on the device, checked to have spatial axes and channels."""
    x = jnp.asarray(x)
    if x.ndim < 3 or 0 in x.shape:
        raise ValueError(
            f"got x of shape {x.shape}, expected (B, *spatial, Ch) with B >= 1; give "
            "one channel as x[..., None]"
        )
    return x


def as_target(
    score_fn: ScoreFn,
    x: Float[Array, "B *spatial Ch"],
    target: ArrayLike | None,
    batch_size: int,
) -> Int[Array, "B"]:
    """The output each curve follows: the one given, or the largest score of x."""
    scores = jax.eval_shape(score_fn, x)
    if not isinstance(scores, jax.ShapeDtypeStruct):
        raise ValueError(
            f"score_fn returned a {type(scores).__name__}, expected scores (N, C); "
            "wrap it in a function that returns that array alone"
        )
    if scores.ndim != 2 or scores.shape[0] != len(x):
        raise ValueError(
            f"score_fn returned shape {scores.shape} for {len(x)} examples, expected "
            f"({len(x)}, C); return scores[:, None] when there is one output"
        )
    if target is None:
        function = as_pytree(score_fn)
        return _in_chunks(lambda rows: _largest(function, x, rows), len(x), batch_size)
    target = jnp.asarray(target)
    if target.shape not in ((), (len(x),)) or target.dtype.kind not in "iu":
        raise ValueError(
            f"got a target of shape {target.shape} and type {target.dtype}, expected "
            f"one whole number or {len(x)} of them, one per example"
        )
    outputs = scores.shape[1]
    if not isinstance(target, jax.core.Tracer) and not (
        0 <= target.min() and target.max() < outputs
    ):
        raise ValueError(
            f"got targets from {target.min()} to {target.max()}, expected indices of "
            f"the {outputs} outputs, 0 to {outputs - 1}"
        )
    return jnp.broadcast_to(target, len(x))


def masked_values(
    score_fn: ScoreFn,
    x: Numbers,
    arrival: Int[Array, "B *spatial"],
    counts: np.ndarray,
    *,
    target: ArrayLike | None,
    baseline: ArrayLike,
    value: Value,
    batch_size: int,
) -> Float[Array, "B S"]:
    """The target's value for x with the pixels that arrive before each count.

    ``v[b, s] = value(score_fn(where(arrival[b] < counts[s], x[b], baseline[b])))`` of
    ``target[b]``. All B x S inputs run in equal chunks of at most ``batch_size``, each
    one call from the host: convolutions inside a loop on the device are slow on CPU.
    """
    check_choice("value", value, ("probability", "score"))
    if batch_size < 1:
        raise ValueError(f"got batch_size={batch_size}; choose at least 1")
    x = as_examples(x)
    target = as_target(score_fn, x, target, batch_size)
    if arrival.shape != x.shape[:-1]:
        raise ValueError(
            f"got masks or importance for examples of shape {arrival.shape}, expected "
            f"{x.shape[:-1]}, that of x without channels"
        )
    inputs = (as_pytree(score_fn), x, baseline, arrival, target)
    rows = np.repeat(np.arange(len(x)), len(counts))
    shown = np.tile(counts, len(x))
    values = _in_chunks(
        lambda i: _values(*inputs, rows[i], shown[i], value=value),
        len(rows),
        batch_size,
    )
    return values.reshape(len(x), len(counts))


def as_baseline(baseline: ArrayLike, x: Array) -> Array:
    """What stands where x is removed, in the shape of x."""
    baseline = jnp.asarray(baseline, x.dtype)
    try:
        return jnp.broadcast_to(baseline, x.shape)
    except ValueError:
        raise ValueError(
            f"got a baseline of shape {baseline.shape}, expected one number or a shape "
            f"that broadcasts to that of x, {x.shape}"
        ) from None


def _in_chunks(
    function: Callable[[np.ndarray], Array], total: int, batch_size: int
) -> Array:
    """Concatenates ``function(indices)`` over equal chunks of 0 to total - 1."""
    chunks = -(-total // batch_size)
    size = -(-total // chunks)
    # The last chunk wraps around, so that one compiled program serves all.
    index = np.arange(chunks * size) % total
    parts = [function(rows) for rows in index.reshape(chunks, size)]
    return jnp.concatenate(parts)[:total]


@jax.jit
def _largest(score_fn: Partial, x: Array, rows: Array) -> Array:
    """Index of the largest score of some examples."""
    return score_fn(x[rows]).argmax(-1)


@partial(jax.jit, static_argnames="value")
def _values(
    score_fn: Partial,
    x: Array,
    baseline: ArrayLike,
    arrival: Array,
    target: Array,
    rows: Array,
    counts: Array,
    value: Value,
) -> Array:
    """The target's value of examples ``rows``, each with its count of arrivals."""
    shown = arrival[rows] < counts.reshape(-1, *[1] * (arrival.ndim - 1))
    removed = as_baseline(baseline, x)[rows]
    scores = score_fn(jnp.where(shown[..., None], x[rows], removed))
    values = probabilities(scores) if value == "probability" else scores
    return jnp.take_along_axis(values, target[rows][:, None], axis=1)[:, 0]
