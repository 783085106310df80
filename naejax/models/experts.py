"""One feature's networks: an encoder of its value and its experts.

Written for ONE feature; `naejax.models.nae.NAE` lifts them over the features with
``nn.vmap``. The batch is the last axis (see `naejax.models.layers`).
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer
from jaxtyping import Array, Float

from naejax.models.layers import Dense, LayerNorm


def uniform(bound: float) -> Initializer:
    """Initial values drawn uniformly from [-bound, bound).

    Args:
        bound: half the width of the interval.

    Returns:
        An initializer ``(key, shape, dtype) -> array``.

    Example:
        >>> import jax
        >>> float(abs(uniform(0.1)(jax.random.key(0), (8,))).max()) <= 0.1
        True
    """

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def small_uniform(inputs: int, outputs: int) -> Initializer:
    """Kaiming's uniform rule with ``inputs * outputs`` in place of the fan-in.

    Values from ``+-sqrt(6 / (inputs outputs))``; experiments/init_rules.py compares
    this with the usual rule.

    Args:
        inputs: numbers that a unit reads.
        outputs: units of the layer.

    Returns:
        An initializer ``(key, shape, dtype) -> array``.

    Example:
        >>> import jax
        >>> kernel = small_uniform(2, 3)(jax.random.key(0), (2, 3))
        >>> bool((abs(kernel) <= 1.0).all())
        True

    Source: the initial weights of the NAE authors' code.
    """
    return uniform(math.sqrt(6 / (inputs * outputs)))


_ROUGHNESS = 3.0
"""Standard deviation that the steps from the first knot to the last add up to at first;
chosen among 0, 0.3, 1, 3 and 10 on validation rows of small tables."""


class FeatureEncoder(nn.Module):
    """Encodes one feature's values by blocks of dense, layer norm, ReLU, dropout.

    ``z = enc(x)``. Where the values are the knots ``t_0 < t_1 < ...`` of the feature,
    the first dense layer also adds up free steps from knot to knot,
    ``w t_j + b + v_1 + ... + v_j``, so that a feature may jump between two values,
    which a few smooth layers cannot follow. They start as a random walk. A missing
    value (NaN) has a learned vector of its own in place of the first dense layer's
    output, so nothing is imputed.

    Attributes:
        hidden: width of every block; the last one is H.
        dropout: rate of dropout after each block.
        dtype: type of the computation; parameters stay float32.
        num_knots: T where the values are those of T knots and NaN; 0: any values.
    """

    hidden: Sequence[int]
    dropout: float = 0.0
    dtype: Dtype | None = None
    num_knots: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B"], train: bool = False
    ) -> Float[Array, "H B"]:
        """Encodes the values ``x`` (B,) of one feature as ``z`` (H, B)."""
        missing = jnp.isnan(x)
        x = jnp.where(missing, 0.0, x)
        z = x[None]
        for block, width in enumerate(self.hidden):
            z = Dense(
                (width,),
                kernel_init=small_uniform(z.shape[0], width),
                bias_init=nn.initializers.zeros if block else uniform(1.0),
                dtype=self.dtype,
                name=f"dense_{block}",
            )(z)
            if block == 0 and self.num_knots:
                # As many small steps as knots add up to about the same height.
                init = uniform(_ROUGHNESS * math.sqrt(3 / self.num_knots))
                steps = self.param("steps", init, (width, self.num_knots - 1))
                z += jnp.pad(jnp.cumsum(steps, axis=1), ((0, 0), (1, 1)))
            if block == 0:
                learned = self.param("missing", uniform(1.0), (width,))
                z = jnp.where(missing, learned[:, None].astype(z.dtype), z)
            z = LayerNorm(name=f"norm_{block}")(z)
            z = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(z))
        return z


class Expert(nn.Module):
    """One expert of one feature: ``e = w . z + b``.

    Attributes:
        num_outputs: C.
        kernel_init: initial values of ``w``.
        dtype: type of the computation; parameters stay float32.
    """

    num_outputs: int
    kernel_init: Initializer
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "H B"]) -> Float[Array, "C B"]:
        """Maps the encoding ``z`` (H, B) to a proposed contribution (C, B)."""
        return Dense(
            (self.num_outputs,),
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="dense",
        )(z)


class FeatureExperts(nn.Module):
    """One feature's encoder and its K experts, which share the encoding.

    Attributes:
        num_experts: K.
        num_outputs: C.
        hidden: widths of the encoder's blocks; the last one is H.
        dropout: rate of dropout after each block.
        dtype: type of the computation; parameters stay float32.
        num_knots: as of `FeatureEncoder`.
    """

    num_experts: int
    num_outputs: int
    hidden: Sequence[int]
    dropout: float = 0.0
    dtype: Dtype | None = None
    num_knots: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B"], train: bool = False
    ) -> tuple[Float[Array, "H B"], Float[Array, "K C B"]]:
        """Maps the values ``x`` (B,) to their encoding and the experts' outputs."""
        z = FeatureEncoder(
            self.hidden, self.dropout, self.dtype, self.num_knots, name="encoder"
        )(x, train)
        experts = nn.vmap(
            Expert,
            in_axes=None,
            axis_size=self.num_experts,
            variable_axes={"params": 0},
            split_rngs={"params": True},
        )
        kernel_init = small_uniform(z.shape[0], self.num_experts)
        return z, experts(self.num_outputs, kernel_init, self.dtype, name="experts")(z)
