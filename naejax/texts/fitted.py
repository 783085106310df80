"""Fitted models of texts, and what they say about texts as arrays."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.ops.precision import at_least_float32
from naejax.types import Backbone, Numbers, SOPOutput

_CHUNK = 32


@dataclass(frozen=True, eq=False)
class TextSOP:
    """A trained Sum-of-Parts model with all that is needed to use it on texts.

    Attributes:
        model: the module.
        variables: its variables; the backbone's parameters are among them.
        backbone: what it is built around, with `masked` and `parts`.
        classes: names of the C classes, or of two for C = 1, the log-odds of the
            second.
    """

    model: SumOfParts
    variables: Any = field(repr=False)
    backbone: Backbone
    classes: tuple[str, ...]


def explain_texts(fitted: TextSOP, x: Float[Numbers, "N L 4"]) -> SOPOutput:
    """Prediction and its parts for texts, in log-odds.

    Masks are 1 at the tokens of the parts that a group keeps, and 0 also at those that
    no mask ever removes.

    Args:
        fitted: a fitted model.
        x: texts as `naejax.data.tokenize_texts` makes them, (N, L, 4).

    Returns:
        The output for the N texts, as numpy arrays.

    Raises:
        ValueError: if x has another shape.

    Example:
        >>> from naejax.types import BackboneOutput
        >>> def masked(words, x, mask, count):
        ...     kept = jnp.where(x[..., 3] < 0, 1, mask) * x[..., 2]
        ...     found = words[x[..., 0].astype(int)]
        ...     return BackboneOutput((found * kept[..., None]).sum(1), None, found)
        >>> def apply(words, x):
        ...     return masked(words, x, jnp.ones(x.shape[:2]), None)
        >>> backbone = Backbone(apply, jnp.ones((9, 2)), None, masked,
        ...                     lambda x: x[..., 3].astype(int))
        >>> x = jnp.array([[[2.0, 0, 1, -1], [5, 0, 1, 0], [6, 0, 1, 1]]])
        >>> model = SumOfParts(backbone, 2, num_groups=2, encoder="shared")
        >>> variables = jax.jit(model.init)(jax.random.key(0), x)
        >>> fitted = TextSOP(model, variables, backbone, ("no", "yes"))
        >>> output = explain_texts(fitted, x)
        >>> output.contributions.shape, output.masks.shape
        ((1, 2, 2), (1, 2, 3))
    """
    _check(x)
    output: SOPOutput = predict(fitted.model, fitted.variables, x)
    return output


def score_texts(
    backbone: Backbone,
    x: Float[Numbers, "N L 4"],
    mask: Float[Numbers, "N L"] | None = None,
) -> Float[np.ndarray, "N C"]:
    """The backbone's scores of whole texts, or of what a mask leaves of them.

    Texts run in chunks of one size, the last one padded, so that every length is
    compiled once. What is left of a text includes the tokens that no mask removes.

    Args:
        backbone: a backbone over texts.
        x: texts, (N, L, 4).
        mask: 1 where a token stays and 0 where it goes, (N, L); None: all stay.

    Returns:
        Scores on the link scale, (N, C).

    Raises:
        ValueError: if shapes do not fit, or the backbone cannot remove tokens.

    Example:
        >>> from naejax.types import BackboneOutput
        >>> def masked(params, x, mask, count):
        ...     kept = jnp.where(x[..., 3] < 0, 1, mask) * x[..., 2]
        ...     return BackboneOutput((x[..., 0] * kept).sum(1, keepdims=True))
        >>> def apply(params, x):
        ...     return masked(params, x, jnp.ones(x.shape[:2]), None)
        >>> backbone = Backbone(apply, {}, masked=masked)
        >>> x = np.array([[[2, 0, 1, -1], [5, 0, 1, 0], [7, 0, 1, 1]]])
        >>> score_texts(backbone, x).tolist()
        [[14.0]]
        >>> score_texts(backbone, x, np.array([[0, 0, 1]])).tolist()
        [[9.0]]
    """
    x = np.asarray(x, np.float32)
    _check(x)
    if mask is None:
        return _in_chunks(partial(_scores, backbone.apply, backbone.params), x)
    mask = np.asarray(mask, np.float32)
    if mask.shape != x.shape[:2]:
        raise ValueError(
            f"the mask has shape {mask.shape}, expected {x.shape[:2]}: a number for "
            "each token"
        )
    if backbone.masked is None:
        raise ValueError(
            "the backbone has no `masked`, expected one that can remove tokens; see "
            "naejax.models.text_backbone.bert_backbone"
        )
    run = partial(_masked_scores, backbone.masked, backbone.params)
    return _in_chunks(run, x, mask)


@partial(jax.jit, static_argnums=0)
def _scores(apply: Callable[..., Any], params: Any, x: Array) -> Array:
    return at_least_float32(apply(params, x).scores)


@partial(jax.jit, static_argnums=0)
def _masked_scores(
    masked: Callable[..., Any], params: Any, x: Array, mask: Array
) -> Array:
    return at_least_float32(masked(params, x, mask, None).scores)


def _in_chunks(run: Callable[..., Array], *arrays: np.ndarray) -> np.ndarray:
    """What a function gives for all rows, in padded chunks of one size."""
    results = []
    for start in range(0, len(arrays[0]), _CHUNK):
        rows = [array[start : start + _CHUNK] for array in arrays]
        gap = _CHUNK - len(rows[0])
        padded = [np.pad(a, [(0, gap), *[(0, 0)] * (a.ndim - 1)]) for a in rows]
        results.append(np.asarray(run(*map(jnp.asarray, padded))))
    return np.concatenate(results)[: len(arrays[0])]


def _check(x: Numbers) -> None:
    """Refuses what are no texts as arrays."""
    if np.ndim(x) != 3 or x.shape[-1] != 4 or not x.shape[0]:
        raise ValueError(
            f"x has shape {np.shape(x)}, expected (texts, tokens, 4) with at least one "
            "text; make it with naejax.data.tokenize_texts"
        )
