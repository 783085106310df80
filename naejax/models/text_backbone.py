"""BERT as a backbone over texts as arrays, and what it means to remove a token."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from naejax.models.backbones import as_output
from naejax.models.bert import BERT
from naejax.ops.tokens import PART, PRESENT, TOKEN, TYPE
from naejax.types import Backbone, BackboneOutput, Numbers

REMOVALS = ("attention", "embedding")


@dataclass(frozen=True, eq=False, kw_only=True)
class BertBackbone(Backbone):
    """A backbone that knows what it was made of, so that it can be saved.

    Attributes:
        model: the network.
        removal: what becomes of a removed token.
    """

    model: BERT
    removal: str


def bert_backbone(
    model: BERT, variables: Any, removal: str = "attention"
) -> BertBackbone:
    """A `BERT` as a backbone over texts, its classifier's weights included.

    A text is ``x`` (L, 4), one row for each position: token, type, whether there is a
    token, and the part that it belongs to, -1 for one that no mask removes.

    Args:
        model: the network.
        variables: its variables.
        removal: what becomes of a token that a mask m removes: ``attention`` weighs
            it by m in every attention, so that at 0 the others do not see it;
            ``embedding`` makes its word ``m words[token] + (1 - m) words[removed]``
            and keeps its place and type.

    Returns:
        The backbone, with `masked` and `parts`.

    Raises:
        ValueError: for another removal.

    Example:
        >>> import jax
        >>> model = BERT(2, vocabulary=10, width=8, depth=1, heads=2, mlp=16)
        >>> x = jnp.array([[[2, 0, 1, -1], [5, 0, 1, 0], [3, 0, 1, -1], [0, 0, 0, -1]]])
        >>> variables = model.init(jax.random.key(0), x[..., 0])
        >>> backbone = bert_backbone(model, variables)
        >>> backbone.parts(x).tolist()
        [[-1, 0, -1, -1]]
    """
    if removal not in REMOVALS:
        raise ValueError(f"removal is {removal!r}, expected one of {REMOVALS}")

    def run(params: Any, x: Any, mask: Any = None) -> BackboneOutput:
        read = nn.apply(run_bert, model)
        return as_output(read({"params": params}, x, mask, removal))

    def masked(params: Any, x: Any, mask: Any, count: int | None) -> BackboneOutput:
        return run(params, x, mask)

    params = variables["params"]
    return BertBackbone(
        apply=run,
        params=params,
        class_weights=params["classifier"]["kernel"].T,
        masked=masked,
        parts=lambda x: _channel(x, PART),
        model=model,
        removal=removal,
    )


def run_bert(
    model: BERT, x: Numbers, mask: Numbers | None = None, removal: str = "attention"
) -> BackboneOutput:
    """What a bound `BERT` says of texts of which a mask may remove tokens.

    Args:
        model: the network, within a call of its own or of another module.
        x: texts, (B, L, 4).
        mask: how much of each token stays, (B, L); None: all.
        removal: see `bert_backbone`.

    Returns:
        Its output.

    Example:
        >>> import jax
        >>> model = BERT(2, vocabulary=10, width=8, depth=1, heads=2, mlp=16)
        >>> x = jnp.array([[[2, 0, 1, -1], [5, 0, 1, 0]]])
        >>> run = nn.init_with_output(run_bert, model)
        >>> run(jax.random.key(0), x)[0].scores.shape
        (1, 2)
    """
    tokens, types = _channel(x, TOKEN), _channel(x, TYPE)
    present, kept = jnp.asarray(x)[..., PRESENT].astype(jnp.float32), None
    if mask is not None:
        stays = jnp.where(_channel(x, PART) < 0, 1, jnp.asarray(mask, jnp.float32))
        if removal == "attention":
            present = present * stays
        else:
            kept = stays
    return model(tokens, types, present, kept)


def _channel(x: Numbers, channel: int) -> Array:
    """One channel of texts as whole numbers, (B, L)."""
    return jnp.asarray(x)[..., channel].astype(jnp.int32)
