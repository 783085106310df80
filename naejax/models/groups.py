"""The two attentions of Sum-of-Parts: one makes groups, the other selects them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer
from jaxtyping import Array, Bool, Float, Int

from naejax.ops.grouping import gaussian_blur
from naejax.ops.sparsemax import sparsemax
from naejax.types import Numbers


class GroupGenerator(nn.Module):
    """Scores every part for every group by attention between the parts' features.

    A group starts from a candidate: one part t asked by one head h. With features
    ``f``::

        score_p = scale (W_query,h f_t) . (W_key,h f_p)

    then blurred over the grid of the parts p. Only the groups that run are computed.
    Parts that an example lacks get -inf, and the blur does not see them.

    Attributes:
        heads: number of heads, each with matrices of its own.
        scale: factor of the scores before the blur.
        blur: steps of the Gaussian blur, odd; 1 is none.
        blur_sigma: its standard deviation in parts.

    Example:
        >>> import jax
        >>> features = jnp.ones((2, 3, 4, 5))
        >>> model = GroupGenerator(heads=2)
        >>> scores, _ = model.init_with_output(
        ...     jax.random.key(0), features, jnp.array([0, 7, 23])
        ... )
        >>> scores.shape
        (2, 3, 3, 4)

    Source: You et al., arXiv 2310.16316, and the released code.
    """

    heads: int = 1
    scale: float = 1.0
    blur: int = 1
    blur_sigma: float = 1.0

    @nn.compact
    def __call__(
        self,
        features: Float[Numbers, "B *grid d"],
        groups: Int[Numbers, "G"] | Int[Numbers, "B G"],
        present: Bool[Array, "B *grid"] | None = None,
    ) -> Float[Array, "B G *grid"]:
        """Scores of the parts for the groups of the candidates.

        Args:
            features: of the parts.
            groups: candidates, head times P plus part, (G,), or (B, G).
            present: which parts an example has; None: all.

        Returns:
            The scores.
        """
        batch, *grid, width = features.shape
        parts = features.reshape(batch, -1, width)
        init = nn.initializers.xavier_uniform(batch_axis=(0,))
        query = self.param("query", init, (self.heads, width, width))
        key = self.param("key", init, (self.heads, width, width))
        groups = jnp.asarray(groups)
        head = jax.nn.one_hot(groups // parts.shape[1], self.heads, dtype=parts.dtype)
        part = groups % parts.shape[1]
        if groups.ndim == 1:
            asking, axes = parts[:, part], "gh"
        else:
            asking = jnp.take_along_axis(parts, part[..., None], axis=1)
            axes = "bgh"
        # The small side goes through both matrices, never all parts through the keys.
        asking = jnp.einsum(f"bgd,hde,{axes}->bge", asking, query, head)
        asking = jnp.einsum(f"bge,hde,{axes}->bgd", asking, key, head)
        scores = self.scale * jnp.einsum("bgd,bpd->bgp", asking, parts)
        scores = scores.reshape(batch, -1, *grid)
        if present is None:
            return gaussian_blur(scores, len(grid), self.blur, self.blur_sigma)
        here = present[:, None]
        sums, weights = (
            gaussian_blur(a, len(grid), self.blur, self.blur_sigma)
            for a in (jnp.where(here, scores, 0.0), here.astype(scores.dtype))
        )
        return jnp.where(here, sums / jnp.where(here, weights, 1.0), -jnp.inf)


class GroupSelector(nn.Module):
    """Weighs the groups for every output by sparse attention.

    With class weights ``w_c`` as queries and pooled features ``z_g`` as keys::

        theta_c = sparsemax_g(scale (W_query w_c) . (W_key z_g))

    Both matrices start as the identity: a group starts with the weight that its own
    score for the output asks for.

    Attributes:
        class_weights: initial values of ``w``, a trainable copy, by an initialiser
            (key, shape (C, D)).
        num_outputs: C.
        scale: factor of the scores; the smaller, the more groups are used.

    Example:
        >>> import jax
        >>> model = GroupSelector(nn.initializers.ones, num_outputs=2)
        >>> pooled = jnp.array([[[0.0], [0.5], [-3.0]]])
        >>> theta, _ = model.init_with_output(jax.random.key(0), pooled)
        >>> theta[0, :, 0].tolist()
        [0.25, 0.75, 0.0]

    Source: You et al., arXiv 2310.16316; sparsemax of Martins and Astudillo 2016.
    """

    class_weights: Initializer
    num_outputs: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, pooled: Float[Numbers, "B G D"]) -> Float[Array, "B G C"]:
        """Weights of the groups, on the simplex over G for every output."""
        width = pooled.shape[-1]
        weights = self.param(
            "class_weights", self.class_weights, (self.num_outputs, width)
        )
        query = self.param("query", _identity, (width, width))
        key = self.param("key", _identity, (width, width))
        logits = self.scale * jnp.einsum("cd,de,bge->bgc", weights, query, pooled @ key)
        return sparsemax(logits, axis=1)


class PatchEncoder(nn.Module):
    """Features of the parts as one affine map of each patch of the example.

    Attributes:
        features: width d.
        patch: positions of a patch along every axis; what is left over at the end of an
            axis is seen by no patch.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 9, 8, 3))
        >>> PatchEncoder(16, (4, 4)).init_with_output(jax.random.key(0), x)[0].shape
        (2, 2, 2, 16)
    """

    features: int
    patch: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Numbers, "B ..."]) -> Float[Array, "B *grid d"]:
        """Maps examples (B, \\*spatial, channels) to features (B, \\*grid, d)."""
        batch, *shape = x.shape
        spatial = shape[: len(self.patch)]
        grid = [s // p for s, p in zip(spatial, self.patch, strict=True)]
        if min(grid) < 1:
            raise ValueError(
                f"patch {self.patch} is larger than the example {tuple(spatial)}; "
                "lower patch"
            )
        whole = tuple(slice(g * p) for g, p in zip(grid, self.patch, strict=True))
        x = jnp.asarray(x)[(slice(None), *whole)]
        x = x.reshape(batch, *np.ravel(list(zip(grid, self.patch, strict=True))), -1)
        axes = range(1, 2 * len(grid), 2)
        order = [0, *axes, *(a + 1 for a in axes), 2 * len(grid) + 1]
        patches = x.transpose(order).reshape(batch, *grid, -1)
        return nn.Dense(self.features, name="dense")(patches)


def standardise(
    features: Float[Array, "B *grid d"], present: Bool[Array, "B *grid"] | None = None
) -> Float[Array, "B *grid d"]:
    """Centres features over the parts of an example and scales them to mean square 1.

    ``(f_p - mean_q f_q) / sqrt(mean over q and channels of (f_q - mean f)^2)``.

    Args:
        features: of the parts, (B, \\*grid, d).
        present: which parts an example has, (B, \\*grid), the only ones that count;
            None: all.

    Returns:
        The same, standardised; 0 where all parts of an example are alike.

    Example:
        >>> import jax.numpy as jnp
        >>> standardise(jnp.array([[[1.0], [3.0]]])).round(3).tolist()
        [[[-1.0], [1.0]]]
    """
    parts = tuple(range(1, features.ndim - 1))
    here = None if present is None else present[..., None]
    features = features - features.mean(parts, keepdims=True, where=here)
    square = jnp.square(features).mean(
        (*parts, features.ndim - 1), keepdims=True, where=here
    )
    return features * jax.lax.rsqrt(square + 1e-6)


def class_weights_init(weights: Float[Numbers, "C D"] | None) -> Initializer:
    """An initialiser of the selector's queries.

    Args:
        weights: of the backbone's last layer, (C, D); None: the identity where pooled
            features are the scores, so that each output asks for its own, else random.

    Returns:
        A function of a key and the shape (C, D).

    Raises:
        ValueError: in that function, if the weights have another shape.

    Example:
        >>> import jax
        >>> class_weights_init(None)(jax.random.key(0), (2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def init(key: jax.Array, shape: tuple[int, int]) -> Array:
        if weights is None and shape[0] == shape[1]:
            return jnp.eye(*shape)
        if weights is None:
            return nn.initializers.xavier_uniform()(key, shape)
        if np.shape(weights) != shape:
            raise ValueError(
                f"class_weights of the backbone have shape {np.shape(weights)}, "
                f"expected {shape}: outputs x pooled features"
            )
        return jnp.array(weights, jnp.float32)

    return init


def _identity(key: jax.Array, shape: tuple[int, int]) -> Array:
    """An initialiser that gives the identity matrix."""
    return jnp.eye(*shape)
