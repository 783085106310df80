"""A small convolutional network that keeps what Sum-of-Parts needs of it."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from naejax.models.backbones import from_linen
from naejax.ops.pooling import halve
from naejax.types import Backbone, BackboneOutput, Numbers


class CNN(nn.Module):
    """Convolutions with pooling, then dense layers.

    Every block convolves ``depth`` times, each followed by the leaky rectifier
    ``max(u, slope u)``, and halves the map by maximum pooling; the last is flattened.

    Attributes:
        num_outputs: C.
        channels: channels of every block.
        hidden: widths of the dense layers; the last one is D, the pooled width.
        depth: convolutions of a block.
        kernel: side of the convolutions.
        padding: ``SAME`` or ``VALID``.
        features: block whose pooled map is the features; -1 is the last.
        negative_slope: slope of the rectifier below 0.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.ones((2, 32, 32, 1))
        >>> output, _ = CNN(3).init_with_output(jax.random.key(0), x)
        >>> output.scores.shape, output.pooled.shape, output.features.shape
        ((2, 3), (2, 64), (2, 8, 8, 64))
    """

    num_outputs: int
    channels: Sequence[int] = (32, 64, 64)
    hidden: Sequence[int] = (64,)
    depth: int = 1
    kernel: int = 3
    padding: str = "SAME"
    features: int = -2
    negative_slope: float = 0.01

    @nn.compact
    def __call__(self, x: Float[Numbers, "B height width Ch"]) -> BackboneOutput:
        """Scores images ``x`` (B, H, W, Ch)."""
        if not -len(self.channels) <= self.features < 0:
            raise ValueError(
                f"features is {self.features}, expected a block from "
                f"{-len(self.channels)} to -1, counted from the last"
            )
        h = jnp.asarray(x)
        maps = []
        for i, width in enumerate(self.channels):
            for j in range(self.depth):
                size, name = (self.kernel, self.kernel), f"conv_{i}_{j}"
                h = nn.Conv(width, size, padding=self.padding, name=name)(h)
                h = nn.leaky_relu(h, self.negative_slope)
            h = halve(h)
            maps.append(h)
        h = h.reshape(len(h), -1)
        for i, width in enumerate(self.hidden):
            h = nn.Dense(width, name=f"dense_{i}")(h)
            h = nn.leaky_relu(h, self.negative_slope)
        scores = nn.Dense(self.num_outputs, name="classifier")(h)
        return BackboneOutput(scores, h, maps[self.features])


def cosmogrid_cnn(num_outputs: int = 2) -> CNN:
    """The CNN of the published experiments on CosmoGrid maps of 66 x 66 pixels.

    Args:
        num_outputs: C, cosmological parameters.

    Returns:
        The module: convolutions 1-16-32-48 of side 4 without padding, dense layers
        1200-128-64-32; its features are the 14 x 14 map of the second block.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.ones((1, 66, 66, 1))
        >>> output, _ = cosmogrid_cnn().init_with_output(jax.random.key(0), x)
        >>> output.pooled.shape, output.features.shape
        ((1, 32), (1, 14, 14, 32))

    Source: the released Sum-of-Parts code.
    """
    return CNN(
        num_outputs,
        channels=(16, 32, 48),
        hidden=(128, 64, 32),
        kernel=4,
        padding="VALID",
    )


def cnn_backbone(model: CNN, variables: Any) -> Backbone:
    """A `CNN` as a backbone, its classifier's weights included.

    Args:
        model: the network.
        variables: its variables.

    Returns:
        The backbone.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model = CNN(3)
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 16, 16, 1)))
        >>> cnn_backbone(model, variables).class_weights.shape
        (3, 64)
    """
    return from_linen(model, variables, variables["params"]["classifier"]["kernel"].T)
