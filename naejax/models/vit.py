"""Vision transformer: an image as a sequence of patches."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from naejax.models.backbones import as_output, from_linen
from naejax.models.groups import PatchEncoder
from naejax.models.transformer import Block, attention_bias, initial, layer_norm
from naejax.types import Backbone, BackboneOutput, Numbers


class ViT(nn.Module):
    """Transformer over the patches of an image, with norms before the parts of a block.

    ``[class token, W patch_1 + c, ..., W patch_P + c] + positions`` go through the
    blocks; the class token's state is normalised and seen by the classifier. As it is:
    ViT-B/16.

    Attributes:
        num_outputs: C.
        patch: side of a patch in pixels.
        width: width D of the states.
        depth: number of blocks.
        heads: heads of a block's attention.
        mlp: inner width of a block's network.
        activation: ``gelu``, ``gelu_tanh`` or ``relu``.
        epsilon: added to the variance by the norms.
        qkv_bias: whether queries, keys and values have offsets.
        drop_zeros: whether no state sees a patch whose pixels are all 0, as if the
            patch were not there. Removed pixels are 0, so that whole patches are then
            dropped, be they set to 0 or left out by ``kept``.

    Example:
        >>> model = ViT(3, patch=4, width=8, depth=2, heads=2, mlp=16)
        >>> x = jnp.ones((2, 12, 16, 3))
        >>> output, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
        >>> output.scores.shape, output.pooled.shape, output.features.shape
        ((2, 3), (2, 8), (2, 3, 4, 8))

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, arXiv 2010.11929.
    """

    num_outputs: int
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    activation: str = "gelu"
    epsilon: float = 1e-12
    qkv_bias: bool = True
    drop_zeros: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Numbers, "B height width Ch"],
        kept: Int[Numbers, "B n"] | None = None,
    ) -> BackboneOutput:
        """Scores images ``x`` (B, H, W, Ch).

        Args:
            x: the images; patches must cover them.
            kept: the patches that are computed, counted row by row, (B, n); None: all.

        Returns:
            Scores, the class token's state that the classifier sees, and the states of
            the patches that enter the last block, (B, h, w, D); None with ``kept``.
        """
        tokens = self._embed(x)
        grid = tokens.shape[1:3]
        tokens = tokens.reshape(len(tokens), -1, self.width)
        if kept is not None:
            tokens = jnp.take_along_axis(tokens, jnp.asarray(kept)[..., None], axis=1)
        bias = attention_bias(self._seen(x, kept)) if self.drop_zeros else None
        init = initial(self.width)
        token = self.param("class_token", init, (1, 1, self.width))
        first = token + self.param("class_position", init, (1, 1, self.width))
        first = jnp.broadcast_to(first, (len(tokens), 1, self.width))
        h = jnp.concatenate([first, tokens], axis=1)
        for i in range(self.depth):
            before = h
            block = Block(
                self.heads,
                self.mlp,
                activation=self.activation,
                epsilon=self.epsilon,
                use_bias=self.qkv_bias,
                name=f"block_{i}",
            )
            h = block(h, bias)
        pooled = layer_norm(self.epsilon, "norm")(h[:, 0])
        classify = nn.Dense(self.num_outputs, kernel_init=init, name="classifier")
        shape = (len(h), *grid, self.width)
        features = before[:, 1:].reshape(shape) if kept is None else None
        return BackboneOutput(classify(pooled), pooled, features)

    def _seen(
        self, x: Numbers, kept: Int[Numbers, "B n"] | None
    ) -> Float[Array, "B L"]:
        """1 for the class token and every patch with a pixel that is not 0, else 0."""
        batch, height, width = x.shape[:3]
        side = self.patch
        patches = (batch, height // side, side, width // side, -1)
        seen = (jnp.asarray(x).reshape(patches) != 0).any(axis=(2, 4))
        seen = seen.reshape(batch, -1)
        if kept is not None:
            seen = jnp.take_along_axis(seen, jnp.asarray(kept), axis=1)
        return jnp.pad(seen.astype(jnp.float32), ((0, 0), (1, 0)), constant_values=1)

    def _embed(self, x: Numbers) -> Float[Array, "B h w D"]:
        """The patches of images as states, with their positions."""
        x = jnp.asarray(x)
        if x.shape[1] % self.patch or x.shape[2] % self.patch:
            raise ValueError(
                f"images are {x.shape[1]} x {x.shape[2]}, expected multiples of patch "
                f"{self.patch}; resize them"
            )
        tokens = PatchEncoder(self.width, (self.patch,) * 2, name="patches")(x)
        shape = tokens.shape[1:]
        held: Any = self.get_variable("params", "positions")
        if held is not None and held.shape != shape:
            raise ValueError(
                f"images are {x.shape[1]} x {x.shape[2]}, expected "
                f"{held.shape[0] * self.patch} x {held.shape[1] * self.patch}, for "
                "which the model has positions; resize them"
            )
        return tokens + self.param("positions", initial(self.width), shape)[None]


def vit_backbone(model: ViT, variables: Any, drop_tokens: bool = False) -> Backbone:
    """A `ViT` as a backbone, its classifier's weights included.

    Args:
        model: the network.
        variables: its variables.
        drop_tokens: whether removed patches are left out, not set to 0: the others do
            not see them, and computing n of P patches costs about n / P. Masks must
            then be hard and on the grid of the patches.

    Returns:
        The backbone.

    Example:
        >>> model = ViT(3, patch=4, width=8, depth=1, heads=2, mlp=16)
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
        >>> vit_backbone(model, variables, drop_tokens=True).class_weights.shape
        (3, 8)
    """
    weights = variables["params"]["classifier"]["kernel"].T
    backbone = from_linen(model, variables, weights)

    def masked(params: Any, x: Any, mask: Any, count: int | None) -> BackboneOutput:
        grid = (x.shape[1] // model.patch, x.shape[2] // model.patch)
        if mask.shape != (len(x), *grid):
            raise ValueError(
                f"masks are {mask.shape[1:]}, expected the grid of the patches {grid}; "
                f"use patches of {model.patch} pixels, or drop_tokens=False"
            )
        if count is None:
            raise ValueError(
                "masks that keep patches in part cannot drop them, expected hard ones "
                "of one size; use mask='hard', or drop_tokens=False"
            )
        # The highest, not the positive: a fixed number for a program of fixed shapes.
        kept = jax.lax.top_k(mask.reshape(len(x), -1), count)[1]
        return as_output(model.apply({"params": params}, x, kept))

    return dataclasses.replace(backbone, masked=masked) if drop_tokens else backbone
