"""Layers whose batch is the last axis.

Flax's own layers want the batch first. With it last, sums over units, experts and
norms run over leading axes: on CPUs they vectorise over rows, on TPUs rows fill the
lanes.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype, Initializer
from jaxtyping import Array, Float

from naejax.ops.precision import at_least_float32


class Dense(nn.Module):
    """Affine map of everything but the batch.

    ``y[o, b] = sum_i W[i, o] x[i, b] + c[o]``; ``i`` and ``o`` may each stand for
    several axes.

    Attributes:
        features: shape of one row's output.
        use_bias: whether to add ``c``.
        kernel_init: initial values of ``W`` (\\*input shape, \\*features).
        bias_init: initial values of ``c`` (\\*features).
        dtype: type of the computation; parameters stay float32.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.ones((3, 2, 10))
        >>> Dense((4, 5)).init_with_output(jax.random.key(0), x)[0].shape
        (4, 5, 10)
    """

    features: Sequence[int]
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "... B"]) -> Float[Array, "... B"]:
        """Maps ``x`` (\\*input shape, B) to (\\*features, B)."""
        *inputs, rows = x.shape
        kernel = self.param("kernel", self.kernel_init, (*inputs, *self.features))
        bias = (
            self.param("bias", self.bias_init, tuple(self.features))
            if self.use_bias
            else None
        )
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        # As one plain matrix product: XLA copies operands of the general form.
        matrix = kernel.reshape(math.prod(inputs), math.prod(self.features))
        y = matrix.T @ x.reshape(math.prod(inputs), rows)
        y = y.reshape(*self.features, rows)
        return y if bias is None else y + bias[..., None]


class LayerNorm(nn.Module):
    """Normalises the units of every row: ``y = a (x - mean) / sqrt(var + eps) + b``.

    Mean and variance run over the first axis, in float32.

    Attributes:
        epsilon: added to the variance.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.array([[1.0, 5.0], [3.0, 5.0]])
        >>> y, _ = LayerNorm().init_with_output(jax.random.key(0), x)
        >>> y.round(3).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]

    Source: Ba, Kiros, Hinton 2016, arXiv 1607.06450.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "H B"]) -> Float[Array, "H B"]:
        """Normalises ``x`` (H, B) over its first axis."""
        scale = self.param("scale", nn.initializers.ones, x.shape[:1])
        bias = self.param("bias", nn.initializers.zeros, x.shape[:1])
        wide = at_least_float32(x)
        variance = wide.var(axis=0, keepdims=True)
        y = jax.nn.standardize(wide, 0, variance=variance, epsilon=self.epsilon)
        return (y * scale[:, None] + bias[:, None]).astype(x.dtype)
