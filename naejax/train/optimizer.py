"""The optimiser that is used where the user names only a learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int


class MeanState(NamedTuple):
    """What `mean_of_parameters` keeps.

    Attributes:
        step: number of steps done.
        mean: of the parameters.
    """

    step: Int[Array, ""]
    mean: Any


def default_optimizer(
    learning_rate: float, total_steps: int, weight_decay: float = 1e-2
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """AdamW whose rate warms up over the first 5 % of steps, then falls as a cosine.

    Args:
        learning_rate: the highest rate.
        total_steps: steps until the rate is 0.
        weight_decay: decoupled weight decay.

    Returns:
        The optimiser and its schedule ``step -> rate``.

    Example:
        >>> _, schedule = default_optimizer(1e-3, total_steps=100)
        >>> float(schedule(0)), round(float(schedule(5)), 6), float(schedule(100))
        (0.0, 0.001, 0.0)
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(1, total_steps // 20), max(2, total_steps)
    )
    return optax.adamw(schedule, weight_decay=weight_decay), schedule


def mean_of_parameters(decay: float) -> optax.GradientTransformation:
    """Keeps a mean of the parameters that forgets old ones; updates pass unchanged.

    ``m_t = d_t m_{t-1} + (1 - d_t) p_t`` with ``d_t = min(decay, t / (t + 9))``, so
    that early on the mean is over the last few steps. Put it last in a chain.

    Args:
        decay: in [0, 1); about the last ``1 / (1 - decay)`` steps count.

    Returns:
        A transformation whose state holds the mean, see `best_guess`.

    Example:
        >>> mean = mean_of_parameters(0.5)
        >>> state = mean.init({"w": jnp.zeros(())})
        >>> _, state = mean.update({"w": jnp.ones(())}, state, {"w": jnp.zeros(())})
        >>> round(float(state.mean["w"]), 6)
        0.9

    Source: Polyak, Juditsky 1992; the decay of the first steps is that of TensorFlow's
    ExponentialMovingAverage.
    """

    def init(params: Any) -> MeanState:
        return MeanState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: MeanState, params: Any) -> tuple[Any, MeanState]:
        step = state.step + 1
        keep = jnp.minimum(decay, step / (step + 9))
        new = optax.apply_updates(params, updates)
        mean = jax.tree.map(lambda m, p: keep * m + (1 - keep) * p, state.mean, new)
        return updates, MeanState(step, mean)

    return optax.GradientTransformation(init, update)


def best_guess(params: Any, opt_state: Any) -> Any:
    """The mean of parameters, if the optimiser keeps one, else the parameters.

    Args:
        params: as they are.
        opt_state: of the optimiser.

    Returns:
        The parameters to predict with.

    Example:
        >>> optimizer = optax.chain(optax.sgd(1.0), mean_of_parameters(0.9))
        >>> params = {"w": jnp.ones(())}
        >>> float(best_guess(params, optimizer.init(params))["w"])
        1.0
    """
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda s: isinstance(s, MeanState))
    means = [leaf.mean for leaf in leaves if isinstance(leaf, MeanState)]
    return means[0] if means else params
