"""The block that transformers are made of: self-attention, then a small network."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer
from jaxtyping import Array, Float, Real

from naejax.ops.precision import at_least_float32
from naejax.types import Numbers

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
}
"""Names of the functions between the two maps of a block's network."""


def initial(width: int) -> Initializer:
    """Initial values of the matrices and embeddings of a transformer of width D.

    Normal with standard deviation ``0.02 sqrt(768 / D)``, cut at twice that: for
    D = 768 as in BERT, and so that maps of narrower states pass on as much.

    Args:
        width: D.

    Returns:
        An initialiser.

    Example:
        >>> values = initial(192)(jax.random.key(0), (99, 99))
        >>> bool(jnp.abs(values).max() <= 0.08)
        True
    """
    return nn.initializers.truncated_normal(0.02 * (768 / width) ** 0.5)


def attention_bias(weights: Real[Numbers, "B L"]) -> Float[Array, "B 1 1 L"]:
    """What is added to the logits of attention so that positions count by weights.

    ``b_l = log w_l``: attention is then ``w_l exp(s_l) / sum_m w_m exp(s_m)``. Where
    ``w_l = 0`` it is the lowest finite number, which gives attention 0 and gradient 0;
    an example without any position attends to all of them alike.

    Args:
        weights: 0 hides a position, 1 leaves it as it is, (B, L).

    Returns:
        The same for every head and every position that asks, (B, 1, 1, L).

    Example:
        >>> bias = attention_bias(jnp.array([[1.0, 1.0, 2.0, 0.0]]))
        >>> jax.nn.softmax(bias)[0, 0, 0].tolist()
        [0.25, 0.25, 0.5, 0.0]
    """
    weights = at_least_float32(weights)
    limits = jnp.finfo(weights.dtype)
    seen = weights >= limits.tiny
    # The inner where keeps the gradient finite: that of log is infinite at 0.
    logs = jnp.log(jnp.where(seen, weights, 1))
    return jnp.where(seen, logs, limits.min)[:, None, None, :]


class SelfAttention(nn.Module):
    """Attention of every position to all of them, with several heads.

    For head h, with ``q, k, v = W x + c`` of width ``d = D / heads``::

        a_tl = softmax_l(q_t . k_l / sqrt(d) + bias_l)
        y_t  = sum_l a_tl v_l

    and one affine map of the heads' results, side by side.

    Attributes:
        heads: number of heads; it divides the width.
        use_bias: whether queries, keys and values have the offset c.

    Example:
        >>> x = jnp.ones((2, 5, 8))
        >>> SelfAttention(heads=2).init_with_output(jax.random.key(0), x)[0].shape
        (2, 5, 8)

    Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762.
    """

    heads: int
    use_bias: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], bias: Float[Array, "B 1 1 L"] | None = None
    ) -> Float[Array, "B L D"]:
        """Maps states ``x`` (B, L, D) to states of the same shape."""
        batch, length, width = x.shape
        if width % self.heads:
            raise ValueError(
                f"width {width} is not a multiple of heads {self.heads}; change one"
            )
        init = initial(width)
        qkv = nn.Dense(3 * width, self.use_bias, kernel_init=init, name="qkv")(x)
        # Heads before positions: plain batched products, the fastest on CPUs.
        qkv = qkv.reshape(batch, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        query, key, value = qkv
        logits = query * (width // self.heads) ** -0.5 @ key.mT
        if bias is not None:
            logits = logits + bias
        y = (jax.nn.softmax(logits) @ value).transpose(0, 2, 1, 3)
        return nn.Dense(width, kernel_init=init, name="out")(y.reshape(x.shape))


class Block(nn.Module):
    """Self-attention and a network of two maps, each added to what it gets.

    ``x + f(norm(x))`` for both in turn, or ``norm(x + f(x))`` with the norm after.

    Attributes:
        heads: heads of the attention.
        mlp: inner width of the network.
        norm_first: whether norms come before the parts (ViT) or after (BERT).
        activation: a name of `ACTIVATIONS`.
        epsilon: added to the variance by the norms.
        use_bias: whether queries, keys and values have offsets.

    Example:
        >>> x = jnp.ones((2, 5, 8))
        >>> block = Block(heads=2, mlp=16)
        >>> jax.eval_shape(block.init_with_output, jax.random.key(0), x)[0].shape
        (2, 5, 8)
    """

    heads: int
    mlp: int
    norm_first: bool = True
    activation: str = "gelu"
    epsilon: float = 1e-12
    use_bias: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L D"], bias: Float[Array, "B 1 1 L"] | None = None
    ) -> Float[Array, "B L D"]:
        """Maps states ``x`` (B, L, D) to states of the same shape."""
        norms = [layer_norm(self.epsilon, f"norm_{i}") for i in range(2)]
        attention = SelfAttention(self.heads, self.use_bias, name="attention")
        network = MLP(self.mlp, self.activation, name="mlp")
        if self.norm_first:
            x = x + attention(norms[0](x), bias)
            return x + network(norms[1](x))
        x = norms[0](x + attention(x, bias))
        return norms[1](x + network(x))


class MLP(nn.Module):
    """Two affine maps of every position with a function between them.

    Attributes:
        hidden: width between the maps.
        activation: a name of `ACTIVATIONS`.

    Example:
        >>> x = jnp.ones((2, 5, 8))
        >>> MLP(16).init_with_output(jax.random.key(0), x)[0].shape
        (2, 5, 8)
    """

    hidden: int
    activation: str = "gelu"

    @nn.compact
    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B L D"]:
        """Maps states ``x`` (B, L, D) to states of the same shape."""
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation is {self.activation!r}, expected one of "
                f"{list(ACTIVATIONS)}"
            )
        width = x.shape[-1]
        init = initial(width)
        h = nn.Dense(self.hidden, kernel_init=init, name="inner")(x)
        h = ACTIVATIONS[self.activation](h)
        return nn.Dense(width, kernel_init=init, name="outer")(h)


def layer_norm(epsilon: float, name: str) -> nn.LayerNorm:
    """A norm over the last axis, its variance computed the accurate way.

    Args:
        epsilon: added to the variance.
        name: of the module.

    Returns:
        The module.

    Example:
        >>> x = 1e4 + jnp.array([[-1.0, 1.0]])
        >>> norm = layer_norm(1e-12, "norm")
        >>> norm.init_with_output(jax.random.key(0), x)[0].tolist()
        [[-1.0, 1.0]]
    """
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)
