"""Masked examples: scoring them in bounded memory, and training a backbone on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.models.backbones import as_output
from naejax.ops.chunks import map_chunks, must_unroll
from naejax.ops.grouping import upsample_nearest
from naejax.ops.precision import at_least_float32
from naejax.types import BackboneOutput, Numbers


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
        model: a module that returns what `naejax.backbones.from_function` says.
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
        return Prediction(as_output(self.model(x)).scores)


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


def masked_scores(
    apply: Callable[[Any, Any], BackboneOutput],
    params: Any,
    x: Numbers,
    masks: Float[Array, "B G *grid"],
    chunk: int = 64,
    remat: bool = True,
    masked: Callable[[Any, Any, Any, int | None], BackboneOutput] | None = None,
    count: int | None = None,
) -> tuple[Float[Array, "B G C"], Float[Array, "B G D"]]:
    """Scores and pooled features of a backbone on every masked example.

    ``h(m_g * x)`` for every group, with 0 where the mask is 0, or what the backbone's
    own way to remove parts gives. Groups fold into the batch and run in chunks; masks
    are spread from their grid to the example within a chunk, and never exist per
    channel.

    Args:
        apply: of a `naejax.types.Backbone`.
        params: its parameters.
        x: examples, (B, \\*spatial, ...).
        masks: of the groups, on a grid or on the example itself, (B, G, \\*grid).
        chunk: most masked examples at once.
        remat: compute chunks again in the backward pass instead of keeping them, where
            a gradient flows.
        masked: of a `naejax.types.Backbone`, how it removes parts; None: they are 0.
        count: parts that every mask keeps, for ``masked``; None: it differs.

    Returns:
        Scores (B, G, C) and pooled features (B, G, D); scores where there are none.

    Example:
        >>> import jax.numpy as jnp
        >>> def apply(params, x):
        ...     return BackboneOutput(x.sum(axis=1, keepdims=True))
        >>> masks = jnp.array([[[1.0, 0.0], [1.0, 1.0]]])
        >>> masked_scores(apply, None, jnp.array([[3.0, 4.0]]), masks)[0].tolist()
        [[[3.0], [7.0]]]
    """
    x = jnp.asarray(x)
    batch, num_groups, *grid = masks.shape
    spatial = x.shape[1 : 1 + len(grid)]

    def score(items: tuple[Array, Array]) -> tuple[Array, Array]:
        row, mask = items
        if masked is None:
            kept = upsample_nearest(mask, spatial)
            kept = kept.reshape(*kept.shape, *[1] * (x.ndim - kept.ndim))
            output = apply(params, x[row] * kept.astype(x.dtype))
        else:
            output = masked(params, x[row], mask, count)
        scores = at_least_float32(output.scores)
        if len(scores) != len(mask):
            raise ValueError(
                f"the backbone returned {len(scores)} rows of scores for {len(mask)} "
                "examples, expected one for each"
            )
        pooled = scores if output.pooled is None else at_least_float32(output.pooled)
        return scores, pooled

    items = (
        jnp.arange(batch * num_groups) // num_groups,
        masks.reshape(batch * num_groups, *grid),
    )
    first = jax.tree.map(lambda a: a[:1], items)
    unroll = batch * num_groups > chunk and must_unroll(jax.make_jaxpr(score)(first))
    results = map_chunks(
        jax.checkpoint(score) if remat and batch * num_groups > chunk else score,
        items,
        chunk,
        unroll,
    )
    scores, pooled = (a.reshape(batch, num_groups, *a.shape[1:]) for a in results)
    return scores, pooled
