"""Programs that train members of a population side by side.

Arrays of the members of a group have a leading axis M, on several devices (N, M), of
which every device has its own part; rows are whole on every device.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from naejax.objectives.losses import Loss
from naejax.train.batch import Batch, add_offset
from naejax.train.optimizer import default_optimizer, mean_of_parameters
from naejax.train.parallel import DataParallel
from naejax.train.step import Metrics, TrainState, init_state, make_train_step


class Scalars(NamedTuple):
    """Settings of members that are numbers, so that one program is for all.

    Attributes:
        learning_rate: the highest one, (S,).
        weight_decay: of AdamW, (S,).
        penalties: weights of `naejax.penalties` by name, each (S,).
    """

    learning_rate: Any
    weight_decay: Any
    penalties: Mapping[str, Any]


class MemberPrograms:
    """What trains a group of members; compiled when first run, once for all groups."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        total_steps: int,
        averaging: float,
        parallel: DataParallel | None,
    ):
        self._parallel = parallel
        _, self.schedule = default_optimizer(1.0, total_steps)

        def optimizer(own: Scalars) -> optax.GradientTransformation:
            # A schedule wants a Python number as its rate, so the rate comes after it.
            plain, _ = default_optimizer(1.0, total_steps, own.weight_decay)
            chain = [plain, optax.scale(own.learning_rate)]
            if averaging:
                chain.append(mean_of_parameters(averaging))
            return optax.chain(*chain)

        def start(variables, own: Scalars, seed) -> TrainState:
            return init_state(variables, optimizer(own), seed)

        def step(state: TrainState, own: Scalars, batch: Batch):
            one = make_train_step(model, loss, optimizer(own), own.penalties)
            return one(state, batch)

        def run_chunk(state, own, data, order, count):
            """The first ``count`` steps of a chunk, ``order`` (M, steps, batch)."""

            def body(i, carry):
                state, sums = carry
                rows = jax.tree.map(lambda a: a[order[:, i]], data)
                state, one = jax.vmap(step)(state, own, rows)
                return state, jax.tree.map(lambda s, o: s.at[:, i].set(o), sums, one)

            empty = Metrics(*(jnp.zeros(order.shape[:2]) for _ in Metrics._fields))
            return jax.lax.fori_loop(0, count, body, (state, empty))

        def loss_sums(state: TrainState, data: Batch, rows: Array, counts: Array):
            """Sums of weight times loss, and of weights, of ``rows`` (M, m)."""

            def one_member(variables, indices):
                part = jax.tree.map(lambda a: a[indices], data)
                output: Any = model.apply(variables, part.x)
                score = add_offset(output.prediction, part)
                weight = part.weight * counts
                return (weight * loss(score, part.target)).sum(), weight.sum()

            variables = {"params": state.fitted, **state.constants}
            return jax.vmap(one_member)(variables, rows)

        self._start = jax.vmap(start)
        self.start = self._for_members(self._start, (0, 0, 0))
        self.run_chunk = self._for_members(
            run_chunk, (0, 0, None, 0, None), donated=(0,)
        )
        self.loss_sums = self._for_members(loss_sums, (0, None, 0, None))
        self.keep = self._for_members(_keep, (0, 0, 0))
        self.is_finite = self._for_members(_is_finite, (0,))

    @property
    def num_devices(self) -> int:
        """N, devices that members are spread over."""
        return 1 if self._parallel is None else len(self._parallel.devices)

    def send(self, tree: Any) -> Any:
        """Sends copies of arrays with a leading axis of all members of a group."""
        if self._parallel is None:
            return jax.tree.map(lambda a: jax.device_put(np.array(a)), tree)
        parts = self.num_devices
        split = jax.tree.map(
            lambda a: np.array(a).reshape(parts, -1, *a.shape[1:]), tree
        )
        return self._parallel.split(split)

    def send_data(self, data: Batch) -> Batch:
        """Sends all rows to every device."""
        if self._parallel is None:
            return jax.device_put(data)
        return self._parallel.same(data)

    def fetch(self, tree: Any) -> Any:
        """Fetches arrays with a leading axis of all members of a group."""
        if self._parallel is None:
            return jax.device_get(tree)
        return jax.tree.map(lambda a: np.asarray(a).reshape(-1, *a.shape[2:]), tree)

    def state_shapes(self, variables: Any, own: Any, seeds: Any) -> TrainState:
        """The shapes of states of members, as they lie on the devices."""
        return self.shapes(jax.eval_shape(self._start, variables, own, seeds))

    def shapes(self, tree: Any) -> Any:
        """What `send` would give for arrays, or their shapes."""
        if self._parallel is None:
            return jax.tree.map(_shape, tree)
        parts = self.num_devices
        split = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(
                (1, a.shape[0] // parts, *a.shape[1:]), a.dtype
            ),
            tree,
        )
        return self._parallel.shapes(split, split=True)

    def data_shapes(self, data: Batch) -> Any:
        """What `send_data` would give."""
        if self._parallel is None:
            return jax.tree.map(_shape, data)
        return self._parallel.shapes(data, split=False)

    def _for_members(
        self, function: Callable, in_axes: tuple, *, donated: tuple[int, ...] = ()
    ) -> Any:
        """Compiles a function of a group's members: their arguments have axis 0."""
        if self._parallel is None:
            return jax.jit(function, donate_argnums=donated)
        return jax.pmap(
            function,
            in_axes=in_axes,
            devices=self._parallel.devices,
            donate_argnums=donated,
        )


def _keep(better: Array, new: Any, old: Any) -> Any:
    """The new leaf for members that got better, else the old one."""

    def choose(a, b):
        return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)


def _is_finite(params: Any) -> Array:
    """Whether no parameter of a member is NaN or infinite, (M,)."""
    finite = [
        jnp.isfinite(p).all(axis=tuple(range(1, p.ndim)))
        for p in jax.tree.leaves(params)
    ]
    return jnp.stack(finite).all(axis=0)


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    """Shape and type of an array."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
