"""Training a backbone so that it knows masked examples."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.ops.grouping import upsample_nearest
from naejax.types import Numbers


class Prediction(NamedTuple):
    """What a classifier or regressor predicts.

    Attributes:
        prediction: score of each example and output on the link scale, (B, C).
    """

    prediction: Float[Numbers, "B C"]


class PatchMasked(nn.Module):
    """A backbone that sees some training examples through random patches only.

    In training, each example is left whole with probability ``1 - rate``; else each of
    its patches stays with a probability drawn from U(0, 1) for the example, and the
    rest becomes 0. In prediction nothing is masked.

    Attributes:
        model: a module that returns `naejax.types.BackboneOutput`.
        grid: patches along each axis of the example.
        rate: share of the examples that are masked.

    Example:
        >>> from naejax.models.cnn import CNN
        >>> model, x = PatchMasked(CNN(3), grid=(8, 8)), jnp.ones((2, 32, 32, 1))
        >>> variables = model.init(jax.random.key(0), x)
        >>> rngs = {"dropout": jax.random.key(1)}
        >>> model.apply(variables, x, train=True, rngs=rngs).prediction.shape
        (2, 3)
    """

    model: nn.Module
    grid: tuple[int, ...]
    rate: float = 0.5

    def __call__(self, x: Numbers, train: bool = False) -> Prediction:
        """Scores examples ``x``; draws masks (rng ``dropout``) in training."""
        if train and self.rate > 0:
            x = mask_patches(self.make_rng("dropout"), x, self.grid, self.rate)
        return Prediction(self.model(x).scores)


def mask_patches(
    key: jax.Array, x: Numbers, grid: tuple[int, ...], rate: float
) -> Float[Array, "..."]:
    """Removes random patches from some examples; see `PatchMasked`.

    Args:
        key: random key.
        x: examples, (B, \\*spatial, ...).
        grid: patches along each axis.
        rate: share of the examples that are masked.

    Returns:
        The examples, 0 where a patch was removed.

    Example:
        >>> x = jnp.ones((3, 4, 4, 1))
        >>> mask_patches(jax.random.key(0), x, (2, 2), rate=0.0).sum().item()
        48.0
    """
    x = jnp.asarray(x)
    for_example, for_share, for_patch = jax.random.split(key, 3)
    ones = [1] * len(grid)
    share = jax.random.uniform(for_share, (len(x), *ones))
    kept = jax.random.uniform(for_patch, (len(x), *grid)) < share
    whole = ~jax.random.bernoulli(for_example, rate, (len(x), *ones))
    mask = upsample_nearest(kept | whole, x.shape[1 : 1 + len(grid)])
    return x * mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)).astype(x.dtype)
