"""One step of training as a pure function, the same on one device and on many."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from naejax.objectives import penalties as penalty_terms
from naejax.objectives.losses import Loss
from naejax.train.batch import Batch, add_offset
from naejax.train.optimizer import best_guess

_SMALL = 1 << 16


class TrainState(NamedTuple):
    """What the next step needs.

    Attributes:
        step: number of steps done.
        params: the model's parameters.
        constants: collections of variables that training leaves as they are.
        opt_state: the optimiser's state.
        key: random key; every step folds its number into it.
    """

    step: Int[Array, ""]
    params: Any
    constants: Any
    opt_state: optax.OptState
    key: jax.Array

    @property
    def fitted(self) -> Any:
        """The parameters to predict with: their mean, where the optimiser keeps one."""
        return best_guess(self.params, self.opt_state)


class Metrics(NamedTuple):
    """Sums over rows, so that batches and devices merge by addition.

    Attributes:
        loss: sum of weight times loss, without penalties.
        objective: sum of weight times (loss plus penalties).
        weight: sum of weights.
    """

    loss: Float[Array, ""]
    objective: Float[Array, ""]
    weight: Float[Array, ""]


def init_state(
    variables: Any, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step.

    Args:
        variables: the model's initial variables; only ``params`` are trained.
        optimizer: the optimiser whose state to set up.
        seed: seed of dropout and Gumbel draws.

    Returns:
        A `TrainState` at step 0.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> variables = {"params": {"w": jnp.ones(2)}}
        >>> int(init_state(variables, optax.sgd(0.1), seed=0).step)
        0
    """
    constants = {k: v for k, v in variables.items() if k != "params"}
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        constants=constants,
        opt_state=optimizer.init(params),
        key=jax.random.key(seed),
    )


def make_train_step(
    model: nn.Module,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    penalties: Mapping[str, float],
) -> Callable[..., tuple[TrainState, Metrics]]:
    """Builds ``train_step(state, batch, axis_name=None) -> (state, metrics)``.

    The step follows the gradient of::

        sum_b w_b loss(score_b, target_b) / sum_b w_b + sum_p lambda_p penalty_p

    With an axis name, sums and penalties run over the devices of that axis, and every
    device makes the same update. Each draws its own dropout.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput` or
            `naejax.SOPOutput`.
        loss: ``loss(score (B, C), target) -> (B,)``.
        optimizer: any optax optimiser.
        penalties: weights of `naejax.penalties` by name.

    Returns:
        The step, a pure function to be jitted, scanned, vmapped or pmapped.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from naejax import NAE, losses
        >>> model, x = NAE(num_experts=4, hidden=(8,)), jnp.ones((6, 2))
        >>> variables = model.init(jax.random.key(0), x)
        >>> optimizer = optax.adamw(1e-3)
        >>> step = make_train_step(
        ...     model, losses.squared, optimizer, {"expert_variance": 0.1}
        ... )
        >>> state = init_state(variables, optimizer, seed=0)
        >>> state, metrics = step(state, Batch(x, jnp.ones(6), jnp.ones(6)))
        >>> int(state.step), float(metrics.weight)
        (1, 6.0)
    """

    def objective(params, constants, batch: Batch, key, total: Array, axis_name):
        dropout, gumbel = jax.random.split(key)
        output: Any = model.apply(
            {"params": params, **constants},
            batch.x,
            train=True,
            rngs={"dropout": dropout, "gumbel": gumbel},
        )
        score = add_offset(output.prediction, batch)
        task = (batch.weight * loss(score, batch.target)).sum()
        penalty = penalty_terms.total(output, penalties, batch.weight, axis_name)
        value = task + batch.weight.sum() * penalty
        return value / total, Metrics(task, value, batch.weight.sum())

    def train_step(
        state: TrainState, batch: Batch, axis_name: str | None = None
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        total = batch.weight.sum()
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
            total = jax.lax.psum(total, axis_name)
        # A batch of weight 0 leaves gradients of exactly zero, not 0 / 0.
        total = jnp.where(total > 0, total, 1.0)
        grads, metrics = jax.grad(objective, has_aux=True)(
            state.params, state.constants, batch, key, total, axis_name
        )
        if axis_name is not None:
            grads, metrics = _sum_over(axis_name, (grads, metrics))
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        state = state._replace(step=state.step + 1, params=params, opt_state=opt_state)
        return state, metrics

    return train_step


def _sum_over(axis_name: str, tree: Any) -> Any:
    """Sums over devices; small arrays in one go, since each sum waits for the network.

    Large ones go alone, because joining them would take their memory once more.
    """
    leaves, form = jax.tree.flatten(tree)
    small = [
        i
        for i, leaf in enumerate(leaves)
        if leaf.size <= _SMALL and leaf.dtype == jnp.float32
    ]
    sizes = np.cumsum([leaves[i].size for i in small])
    joined = jnp.concatenate([leaves[i].ravel() for i in small])
    parts = jnp.split(jax.lax.psum(joined, axis_name), sizes[:-1])
    sums = {i: p.reshape(leaves[i].shape) for i, p in zip(small, parts, strict=True)}
    return jax.tree.unflatten(
        form,
        [
            sums[i] if i in sums else jax.lax.psum(leaf, axis_name)
            for i, leaf in enumerate(leaves)
        ],
    )
