"""One trainer for all related methods: learning rates and seeds side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


class Method(NamedTuple):
    """A model of rows x (B, F) with one target each.

    Attributes:
        init: ``(key, x) -> params``.
        losses: what is minimised, one after the other: ``(params, x, y, key)`` to a
            number.
        predict: ``(params, x) -> (B,)``, without any noise.
        note: ``(params, x)`` to a number that says how sparse the model is, and what
            it is.
    """

    init: Callable
    losses: tuple[Callable, ...]
    predict: Callable
    note: Callable | None = None
    note_name: str = ""


class MLP(nn.Module):
    """Dense layers with ReLU; the last has none."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        *hidden, last = self.widths
        for width in hidden:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(last)(x)


def per_feature(x: jax.Array, widths: tuple[int, ...]) -> jax.Array:
    """A network of its own for every column, within a compact module, (B, F)."""
    columns = nn.vmap(
        MLP, in_axes=1, out_axes=1, variable_axes={"params": 0},
        split_rngs={"params": True},
    )  # fmt: skip
    return columns((*widths, 1))(x[..., None])[..., 0]


def squared(prediction: jax.Array, y: jax.Array) -> jax.Array:
    """The mean squared error."""
    return jnp.square(prediction - y).mean()


@partial(jax.jit, static_argnames=("method", "rates", "seeds", "epochs", "batch_size"))
def train(
    method: Method,
    data: tuple,
    validation: tuple,
    rates: tuple[float, ...],
    seeds: int,
    epochs: int,
    batch_size: int = 128,
) -> tuple[Any, jax.Array]:
    """Adam with a cosine schedule on minibatches, one program for equal shapes.

    Args:
        method: the model.
        data: rows x (N, F) and standardised targets y (N,).
        validation: likewise; the epoch with the least squared error there is kept,
            which later losses start from.
        rates: highest learning rates.
        seeds: how many.
        epochs: over the rows, of each of the losses.
        batch_size: rows of a step.

    Returns:
        Parameters with leading axes (rates, seeds), and their validation errors.
    """
    x, y = data
    steps = max(1, len(x) // batch_size)
    optimizer = optax.adam(optax.cosine_decay_schedule(1.0, steps * epochs))

    def run_epoch(loss, rate, carry, key):
        params, state, best, least = carry
        order_key, noise_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(x))
        rows = order[: steps * batch_size].reshape(steps, -1)

        def step(carry, each):
            params, state = carry
            chosen, noise = each
            gradient = jax.grad(loss)(params, x[chosen], y[chosen], noise)
            updates, state = optimizer.update(gradient, state)
            updates = jax.tree.map(lambda update: rate * update, updates)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(noise_key, steps)
        (params, state), _ = jax.lax.scan(step, (params, state), (rows, keys))
        error = squared(method.predict(params, validation[0]), validation[1])
        is_better = error < least
        best = jax.tree.map(
            lambda new, old: jnp.where(is_better, new, old), params, best
        )
        return (params, state, best, jnp.minimum(error, least)), None

    def member(rate, key):
        first, *rest = jax.random.split(key, 1 + len(method.losses))
        best, least = method.init(first, x[:1]), jnp.inf
        for loss, key in zip(method.losses, rest, strict=True):
            carry = best, optimizer.init(best), best, least
            (_, _, best, least), _ = jax.lax.scan(
                lambda carry, key, loss=loss: run_epoch(loss, rate, carry, key),
                carry,
                jax.random.split(key, epochs),
            )
        return best, least

    members = jax.vmap(jax.vmap(member, (None, 0)), (0, None))
    keys = jax.random.split(jax.random.key(0), seeds)
    return members(jnp.array(rates), keys)
