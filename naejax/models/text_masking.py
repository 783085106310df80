"""Training a text backbone on texts with parts removed."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from naejax.models.bert import BERT
from naejax.models.masking import Prediction
from naejax.models.text_backbone import run_bert
from naejax.ops.tokens import PART
from naejax.types import Numbers


class PartMasked(nn.Module):
    """A text model that sees some training examples through random parts only.

    In training, each text is left whole with probability ``1 - rate``; else each of its
    parts stays with a probability drawn from U(0, 1) for the text, and the rest is
    removed. In prediction nothing is removed.

    Attributes:
        model: the network.
        rate: share of the texts that are masked.
        removal: what becomes of removed tokens, as in
            `naejax.models.text_backbone.bert_backbone`.

    Example:
        >>> model = BERT(2, vocabulary=10, width=8, depth=1, heads=2, mlp=16)
        >>> x = jnp.array([[[2, 0, 1, -1], [5, 0, 1, 0], [3, 0, 1, -1]]])
        >>> masked = PartMasked(model)
        >>> variables = masked.init(jax.random.key(0), x)
        >>> rngs = {"dropout": jax.random.key(1)}
        >>> masked.apply(variables, x, train=True, rngs=rngs).prediction.shape
        (1, 2)
    """

    model: BERT
    rate: float = 0.5
    removal: str = "attention"

    def __call__(self, x: Shaped[Numbers, "B L 4"], train: bool = False) -> Prediction:
        """Scores texts ``x``; draws masks (rng ``dropout``) in training."""
        mask = None
        if train and self.rate > 0:
            mask = draw_parts(self.make_rng("dropout"), x, self.rate)
        return Prediction(run_bert(self.model, x, mask, self.removal).scores)


def draw_parts(
    key: jax.Array, x: Shaped[Numbers, "B L 4"], rate: float
) -> Bool[Array, "B L"]:
    """Which tokens stay when random parts of some texts are removed; see `PartMasked`.

    Args:
        key: random key.
        x: texts, (B, L, 4).
        rate: share of the texts that are masked.

    Returns:
        True for tokens that stay, (B, L); tokens of no part always do.

    Example:
        >>> x = jnp.array([[[2, 0, 1, -1], [5, 0, 1, 0], [3, 0, 1, -1]]])
        >>> draw_parts(jax.random.key(0), x, rate=0.0).tolist()
        [[True, True, True]]
    """
    part = jnp.asarray(x)[..., PART].astype(jnp.int32)
    for_text, for_share, for_part = jax.random.split(key, 3)
    share = jax.random.uniform(for_share, (len(part), 1))
    # No text has more parts than positions.
    drawn = jax.random.uniform(for_part, part.shape) < share
    stays = jnp.take_along_axis(drawn, jnp.maximum(part, 0), axis=1)
    whole = ~jax.random.bernoulli(for_text, rate, (len(part), 1))
    return stays | whole | (part < 0)
