"""Neural Additive Experts: a sum of gated experts, one group of them per feature."""

import difflib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.typing import Dtype
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from naejax.models.experts import FeatureExperts
from naejax.models.gates import GATES, Gate
from naejax.models.knots import KNOTS, quantile_knots, spread_knots
from naejax.models.monotone import MonotoneExperts
from naejax.models.tables import NAETables, look_up, look_up_sum, place_all
from naejax.ops.precision import at_least_float32
from naejax.types import NAEOutput, Numbers

Rows = Float[Numbers, "B F"]


class NAE(nn.Module):
    """Neural Additive Experts.

    With ``z_i = enc_i(x_i)`` the encoding of feature i and ``e_ic`` its expert c::

        e_ic  = w_ic . z_i + b_ic                    what expert c proposes, sees x_i
        g_i   = gate([z_1 .. z_F])_i                 weights of the experts, simplex
        f_i   = sum_c g_ic e_ic                      contribution of feature i
        score = bias + sum_i f_i                     on the link scale

    so ``min_c e_ic <= f_i <= max_c e_ic`` whatever the other features are, and the
    model is a plain additive one where the experts of a feature agree.

    Attributes:
        num_outputs: C: 1 for regression and two classes, else the number of classes.
        num_experts: K, experts per feature.
        top_k: k, experts active per feature and row (gates context and equal); at
            most K.
        hidden: widths of the blocks of a feature's encoder; the last one is H.
        gate: ``context``, ``equal``, ``own`` or ``none``; see `naejax.models.Gate`.
            ``own`` and ``none``, and K = 1, make the model exactly additive.
        gate_rank: rank of the gate's matrix; None for a full one. Cost grows with
            F squared without a rank, with F times rank with one.
        dropout: rate of dropout after each block of an encoder.
        expert_dropout: rate at which experts drop out of the choice in training.
        num_knots: T, values of each feature at which its networks run; rows interpolate
            between them, so that experts and what gates see are piecewise linear in the
            feature, and a step costs T F network passes whatever the batch. 0: networks
            run on every row, the paper's model. Place them with `place_knots`.
        monotone: -1, 0 or 1 for every feature: the score never rises (-1) or never
            falls (1) with it. Such a feature has `MonotoneExperts`, and no gate sees
            it. None: all 0.
        tabulated: the parameters are the tables at the knots, and no networks: what
            `naejax.models.tabulate` makes of a fitted model.
        dtype: type of the networks' computation, such as ``jnp.bfloat16``; parameters,
            gates and sums stay float32.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model = NAE(num_experts=4, hidden=(8, 8))
        >>> x = jnp.ones((5, 3))
        >>> variables = model.init(jax.random.key(0), x)
        >>> output = model.apply(variables, x)
        >>> output.prediction.shape, output.contributions.shape, output.gates.shape
        ((5, 1), (5, 3, 1), (5, 3, 4))

    Source: Xiong, Sinha, Zhang, "Neural Additive Experts: Context-Gated Experts for
    Controllable Model Additivity", AISTATS 2026, arXiv 2602.10585.
    """

    num_outputs: int = 1
    num_experts: int = 32
    top_k: int = 2
    hidden: Sequence[int] = (64, 64, 64, 64)
    gate: str = "context"
    gate_rank: int | None = None
    dropout: float = 0.0
    expert_dropout: float = 0.0
    num_knots: int = 0
    monotone: Sequence[int] | None = None
    tabulated: bool = False
    dtype: Dtype | None = None

    def __post_init__(self):
        _check_settings(self)
        super().__post_init__()

    def setup(self):
        self.features = nn.vmap(
            FeatureExperts,
            in_axes=(0, None),
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
        )(
            self.num_experts,
            self.num_outputs,
            self.hidden,
            self.dropout,
            self.dtype,
            self.num_knots,
        )
        if self.monotone is not None and any(self.monotone):
            self.monotone_features = nn.vmap(
                MonotoneExperts,
                variable_axes={"params": 0},
                split_rngs={"params": True},
            )(self.num_experts, self.num_outputs, self.num_knots)
        # One expert leaves nothing to choose, nor do hidden features: no router then.
        hides_all = self.monotone is not None and all(self.monotone)
        self.gates = Gate(
            "none" if self.num_experts == 1 or hides_all else self.gate,
            self.num_experts,
            min(self.top_k, self.num_experts),
            self.gate_rank,
            self.expert_dropout,
            self.dtype,
        )
        self.bias = self.param("bias", nn.initializers.zeros, (self.num_outputs,))

    def encode(
        self, x: Rows, train: bool = False
    ) -> tuple[Float[Array, "seen R B"], Float[Array, "F K C B"]]:
        """What features tell the gates, and the experts, of rows; no gate runs.

        Args:
            x: the encoded table, (B, F).
            train: draw dropout.

        Returns:
            What the features that are not monotone tell (features, R, B), with R = H
            where the gate has no rank, and the experts of all (F, K, C, B).
        """
        columns = jnp.asarray(x).T
        if not self.num_knots:
            z, experts = self.features(columns, train)
            return self.gates.tell(z), at_least_float32(experts)
        tables = self.tables(len(columns), train)
        weights = place_all(tables, columns)
        seen = _seen(self.monotone, len(columns))
        return look_up(tables.told, weights[seen]), look_up(tables.experts, weights)

    @nn.compact
    def tables(self, num_features: int, train: bool = False) -> NAETables:
        """What the networks give at the knots: all that rows need of them.

        Args:
            num_features: F.
            train: draw dropout, the same for all rows.

        Returns:
            The tables of all features.
        """
        even = jnp.tile(spread_knots(self.num_knots), (num_features, 1))
        knots = self.variable(KNOTS, "at", lambda: even).value
        seen = _seen(self.monotone, num_features)
        if self.tabulated:
            slots = self.num_knots + 1
            zeros = nn.initializers.zeros
            size = (num_features, self.num_experts, self.num_outputs, slots)
            experts = self.param("experts", zeros, size)
            told_size = (len(seen), self.gates.told_size(self.hidden[-1]), slots)
            told = (
                self.param("told", zeros, told_size)
                if told_size[1]
                else jnp.zeros(told_size)
            )
            return NAETables(knots, experts, told)
        columns = jnp.pad(knots, ((0, 0), (0, 1)), constant_values=jnp.nan)
        if len(seen) == num_features:
            z, experts = self.features(columns, train)
            return NAETables(knots, at_least_float32(experts), self.gates.tell(z))
        bound = np.setdiff1d(np.arange(num_features), seen)
        signs = _signs(self.monotone, num_features)
        steps = self.monotone_features(jnp.asarray(signs[bound]))
        if not len(seen):
            return NAETables(knots, steps, jnp.zeros((0, 0, columns.shape[1])))
        z, experts = self.features(columns[seen], train)
        order = np.argsort(np.concatenate([seen, bound]))
        experts = jnp.concatenate([at_least_float32(experts), steps])[order]
        return NAETables(knots, experts, self.gates.tell(z))

    def router_logits(self, x: Rows) -> Float[Array, "F K B"]:
        """The router's logits (F, K, B) for rows ``x``; gate ``none`` has none."""
        return self.gates.logits(self.encode(x)[0], x.shape[1])

    def __call__(self, x: Rows, train: bool = False) -> NAEOutput:
        """Scores rows ``x`` (B, F), NaN where a value is missing.

        Args:
            x: the encoded table, about standard normal, (B, F).
            train: draw dropout (rng ``dropout``) and Gumbel gates (rng ``gumbel``).

        Returns:
            The prediction and its parts.
        """
        if x.ndim != 2:
            raise ValueError(
                f"x has shape {x.shape}, expected (rows, features); "
                "add an axis of length 1 to a single row or column"
            )
        told, experts = self._encode_sum(x, train)
        gates = self.gates(told, x.shape[1], train)
        contributions = (gates[:, :, None] * experts).sum(axis=1)
        prediction = contributions.sum(axis=0) + self.bias[:, None]
        return NAEOutput(
            prediction=prediction.T,
            bias=self.bias,
            contributions=contributions.transpose(2, 0, 1),
            gates=gates.transpose(2, 0, 1),
            experts=experts.transpose(3, 0, 1, 2),
        )

    def _encode_sum(self, x: Rows, train: bool) -> tuple[Any, Float[Array, "F K C B"]]:
        """`encode`, but what features tell is summed where the gates need only that."""
        if not (self.num_knots and self.gate_rank and self.gates.sees_context):
            return self.encode(x, train)
        columns = jnp.asarray(x).T
        tables = self.tables(len(columns), train)
        weights = place_all(tables, columns)
        seen = _seen(self.monotone, len(columns))
        told = look_up_sum(tables.told, weights[seen])
        return told, look_up(tables.experts, weights)


def place_knots(variables: Any, x: ArrayLike) -> dict[str, Any]:
    """Moves a model's knots from even steps to where the values of a table are.

    See `naejax.models.knots.quantile_knots`.

    Args:
        variables: initial variables of a model with knots.
        x: encoded rows, (N, F).

    Returns:
        The same variables with other knots.

    Example:
        >>> import jax
        >>> model = NAE(num_experts=2, hidden=(4,), num_knots=3)
        >>> x = jnp.array([[0.0], [1.0], [9.0]])
        >>> variables = place_knots(model.init(jax.random.key(0), x), x)
        >>> variables["knots"]["at"].tolist()
        [[0.0, 1.0, 9.0]]
    """
    num_knots = variables[KNOTS]["at"].shape[-1]
    return {**variables, KNOTS: {"at": jnp.asarray(quantile_knots(x, num_knots))}}


def contribution_range(
    output: NAEOutput, members: int = 1
) -> tuple[Float[Numbers, "B F C"], Float[Numbers, "B F C"]]:
    """The context range of every contribution: certified bounds over all contexts.

    ``min_c e_ic(x_i) <= f_i(x) <= max_c e_ic(x_i)`` because gates lie on the simplex
    and experts see ``x_i`` alone. It says how far the other features could move the
    contribution; it is not an uncertainty interval. The range of an ensemble's mean is
    the mean of its members' ranges: each member weighs its own experts.

    Args:
        output: what `NAE` or `naejax.NAEEnsemble` returned for B rows.
        members: S of an ensemble.

    Returns:
        Lower and upper bounds, each (B, F, C).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model = NAE(num_experts=4, hidden=(8, 8))
        >>> variables = model.init(jax.random.key(0), jnp.ones((5, 3)))
        >>> output = model.apply(variables, jnp.ones((5, 3)))
        >>> lower, upper = contribution_range(output)
        >>> bool((lower <= output.contributions + 1e-6).all())
        True
    """
    rows, features, _, outputs = output.experts.shape
    experts = output.experts.reshape(rows, features, members, -1, outputs)
    return experts.min(axis=3).mean(axis=2), experts.max(axis=3).mean(axis=2)


def _check_settings(model: NAE) -> None:
    """Refuses settings that no model can have, in one line each."""
    if model.gate not in GATES:
        close = difflib.get_close_matches(str(model.gate), GATES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"gate is {model.gate!r}, expected one of {GATES}{hint}")
    counts = {
        "num_outputs": model.num_outputs,
        "num_experts": model.num_experts,
        "top_k": model.top_k,
        "gate_rank": 1 if model.gate_rank is None else model.gate_rank,
        "every width in hidden": min(model.hidden, default=0),
    }
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")
    if model.num_knots < 0 or model.num_knots == 1:
        raise ValueError(f"num_knots is {model.num_knots}, expected 0 or at least 2")
    if model.monotone is not None and any(model.monotone):
        if not model.num_knots:
            raise ValueError("monotone experts need knots; set num_knots, such as 64")
        if model.gate == "own":
            raise ValueError(
                "gate is 'own', which sees the feature itself, so a monotone one has "
                "none; use 'context', 'equal' or 'none'"
            )
    for name in ("dropout", "expert_dropout"):
        rate = getattr(model, name)
        if not 0 <= rate < 1:
            raise ValueError(f"{name} is {rate}, expected a rate in [0, 1)")


def _seen(monotone: Sequence[int] | None, num_features: int) -> np.ndarray:
    """The features that have networks, which gates see: those that are not monotone."""
    return np.flatnonzero(_signs(monotone, num_features) == 0)


def _signs(monotone: Sequence[int] | None, num_features: int) -> np.ndarray:
    """-1, 0 or 1 for every feature, (F,) float32."""
    signs = np.zeros(num_features) if monotone is None else np.asarray(monotone)
    if signs.shape != (num_features,) or not np.isin(signs, (-1, 0, 1)).all():
        raise ValueError(
            f"monotone is {monotone}, expected -1, 0 or 1 for each of the "
            f"{num_features} features"
        )
    return signs.astype(np.float32)
