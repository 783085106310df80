"""How good a Sum-of-Parts model of texts is, and what its groups are worth.

Everything stands beside what it must be held against: the backbone, and groups of as
many parts at random places of the same text.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from naejax.data.tokenized import TokenizedTexts
from naejax.evaluation import classification_scores, log_probabilities
from naejax.explain import metrics
from naejax.explain.groups import union_mask, used_groups
from naejax.ops.tokens import PART, pool_positions, spread_to_positions
from naejax.texts.fitted import TextSOP, explain_texts, score_texts
from naejax.types import SOPOutput

_CHUNK = 64
_OVERLAPS = {
    "iou": partial(metrics.iou, axis=-1),
    "object_ratio": partial(metrics.object_ratio, axis=-1),
    "recall": partial(metrics.object_coverage, axis=-1),
}


def evaluate_texts(
    fitted: TextSOP, texts: TokenizedTexts, *, seed: int = 0
) -> dict[str, Any]:
    """Scores of a model and its backbone, and of the groups it uses.

    For every used group of the predicted class its overlap with the tokens that people
    marked, and the same for all used groups as one mask, their union; beside them
    groups of as many parts at random places of the text. With p the backbone's
    probability of the class that it predicts from the whole text::

        comprehensiveness = p(text) - p(text without the union)
        sufficiency       = p(text) - p(the union alone)

    and the same for as many parts as the union has, drawn at random.

    Args:
        fitted: a fitted model.
        texts: with labels and, for some or all of them, rationales.
        seed: of everything random.

    Returns:
        ``backbone``, ``sop`` and, over the texts with a rationale if there are any,
        ``backbone_on_rationales`` (it sees nothing else): scores by name. ``groups``:
        number of ``used`` groups and ``covered`` share of the tokens that masks can
        remove; over the texts with a rationale, under ``sop`` and ``random``, the
        ``iou``, ``object_ratio`` (precision) and ``recall`` of single groups and,
        beginning with ``union_``, of their union. ``comprehensiveness`` (larger is
        better) and ``sufficiency`` (smaller is better): of ``sop`` and ``random``.

    Raises:
        ValueError: if the texts have other classes than the model.

    Example:
        >>> from naejax.models.sop import SumOfParts
        >>> from naejax.types import Backbone, BackboneOutput
        >>> def masked(words, x, mask, count):
        ...     kept = jnp.where(x[..., 3] < 0, 1, mask) * x[..., 2]
        ...     found = words[x[..., 0].astype(int)]
        ...     return BackboneOutput((found * kept[..., None]).sum(1), None, found)
        >>> def apply(words, x):
        ...     return masked(words, x, jnp.ones(x.shape[:2]), None)
        >>> backbone = Backbone(apply, jnp.ones((9, 2)), None, masked,
        ...                     lambda x: x[..., 3].astype(int))
        >>> x = np.array([[[2, 0, 1, -1], [5, 0, 1, 0], [6, 0, 1, 1]]], np.float32)
        >>> texts = TokenizedTexts(x, np.array([1]), x[..., 0] > 5, [["", "a", "b"]], 2,
        ...                        ("no", "yes"), 0)
        >>> model = SumOfParts(backbone, 2, num_groups=2, encoder="shared")
        >>> variables = jax.jit(model.init)(jax.random.key(0), x)
        >>> fitted = TextSOP(model, variables, backbone, texts.classes)
        >>> scores = evaluate_texts(fitted, texts)
        >>> sorted(scores["groups"]), sorted(scores["sufficiency"])
        (['covered', 'random', 'sop', 'used'], ['random', 'sop'])

    Source: DeYoung et al., ERASER, ACL 2020.
    """
    if texts.classes != fitted.classes:
        raise ValueError(
            f"the texts have the classes {', '.join(texts.classes)}, the model "
            f"{', '.join(fitted.classes)}; give texts with the same classes"
        )
    number = len(texts.x)
    size = _chunk_rows(fitted, number)
    chunks = []
    # By chunks: the masks of all groups of all texts would fill the memory.
    for start in range(0, number, size):
        # The last chunk wraps around, so that one program serves all.
        rows = np.arange(start, start + size) % number
        key = jax.random.fold_in(jax.random.key(seed), start)
        chunks.append(
            _evaluate_chunk(fitted, texts.x[rows], texts.rationale[rows], key)
        )
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[:number], *chunks)
    has = texts.rationale.any(axis=1)
    scores, groups = joined.pop("scores"), joined.pop("groups")
    results = {
        name: _class_scores(texts.label, scores[name]) for name in ("backbone", "sop")
    }
    if has.any():
        shown = scores["backbone_on_rationales"][has]
        results["backbone_on_rationales"] = _class_scores(texts.label[has], shown)
    against = {name: groups.pop(name) for name in ("sop", "random")}
    results["groups"] = _means(groups)
    if has.any():
        results["groups"] |= _means(jax.tree.map(lambda a: a[has], against))
    return results | _means(joined)


def random_groups(key: jax.Array, output: SOPOutput, parts: Array) -> SOPOutput:
    """The same output with the parts of every group at random places of the text.

    Every group keeps as many parts as before, any of those that the text has equally
    likely, with all their tokens.

    Args:
        key: random key.
        output: of a model for B texts.
        parts: part of every position, (B, L) whole numbers.

    Returns:
        The output with other masks.

    Example:
        >>> masks, one = np.array([[[0.0, 1.0, 1.0, 0.0]]]), np.ones((1, 1))
        >>> output = SOPOutput(one, np.zeros(1), one[..., None], masks, one[..., None],
        ...                    one, one[..., None], np.ones((1, 1, 2)) / 2)
        >>> moved = random_groups(
        ...     jax.random.key(0), output, jnp.array([[-1, 0, 0, 1]])
        ... ).masks
        >>> moved.tolist() in ([[[0, 1, 1, 0]]], [[[0, 0, 0, 1]]])
        True
    """
    num_parts = output.attention.shape[-1]
    kept = pool_positions(jnp.moveaxis(output.masks, 1, 2), parts, num_parts)
    moved = _shuffle_parts(key, jnp.moveaxis(kept, 2, 1), parts)
    return output._replace(masks=spread_to_positions(moved, parts))


def _shuffle_parts(
    key: jax.Array, values: Float[Array, "B G P"], parts: Array
) -> Float[Array, "B G P"]:
    """The values of the parts that a text has in random order, in every group anew."""
    count = parts.max(axis=1) + 1
    draws = jax.random.uniform(key, values.shape)
    absent = jnp.arange(values.shape[2])[None] >= count[:, None]
    # Parts are 0, 1, ... without gaps: absent ones stay behind all others.
    order = jnp.argsort(jnp.where(absent[:, None], 2.0, draws), axis=-1)
    return jnp.take_along_axis(values, order, axis=-1)


def _evaluate_chunk(
    fitted: TextSOP, x: np.ndarray, rationale: np.ndarray, key: jax.Array
) -> dict[str, Any]:
    """Scores (N, C) of the models, and measures (N,) of the groups, of some texts."""
    backbone = fitted.backbone
    output = explain_texts(fitted, x)
    groups, union, drawn = _measures(key, output, x[..., PART], rationale)
    whole = score_texts(backbone, x)
    label = log_probabilities(whole).argmax(axis=1)
    result: dict[str, Any] = {
        "scores": {
            "backbone": whole,
            "sop": output.prediction,
            "backbone_on_rationales": score_texts(backbone, x, rationale),
        },
        "groups": groups,
        "comprehensiveness": {},
        "sufficiency": {},
    }
    before = _probability(whole, label)
    for name, mask in (("sop", np.asarray(union)), ("random", np.asarray(drawn))):
        without, alone = (score_texts(backbone, x, m) for m in (~mask, mask))
        result["comprehensiveness"][name] = before - _probability(without, label)
        result["sufficiency"][name] = before - _probability(alone, label)
    return result


# Compiled: one by one these many small operations take seconds at first.
@jax.jit
def _measures(
    key: jax.Array, output: SOPOutput, parts: Array, rationale: Array
) -> tuple[dict[str, Any], Array, Array]:
    """What the used groups keep of each text; their union, and a random one like it."""
    parts = parts.astype(jnp.int32)
    for_groups, for_union = jax.random.split(key)
    union, removable = union_mask(output), parts >= 0
    covered = metrics.object_coverage(union, removable, axis=-1)
    measures: dict[str, Any] = {
        "used": used_groups(output).used.sum(axis=1),
        "covered": covered,
    }
    moved = random_groups(for_groups, output, parts)
    for name, shown in (("sop", output), ("random", moved)):
        measures[name] = _against_rationale(shown, rationale)
    as_group = output._replace(masks=union[:, None].astype(jnp.float32))
    drawn = random_groups(for_union, as_group, parts).masks[:, 0] > 0
    return measures, jnp.asarray(union), jnp.asarray(drawn)


def _against_rationale(output: SOPOutput, rationale: Array) -> dict[str, Array]:
    """Overlap of the used groups with the rationale, mean and union, (N,)."""
    used, union = used_groups(output).used, union_mask(output)
    measures = {}
    for name, function in _OVERLAPS.items():
        single = function(output.masks, rationale[:, None])
        measures[name] = (used * single).sum(axis=1) / used.sum(axis=1)
        measures[f"union_{name}"] = function(union, rationale)
    return measures


def _probability(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Probability of one class of each text, (N,)."""
    return np.exp(log_probabilities(scores)[np.arange(len(label)), label])


def _class_scores(label: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return classification_scores(label, log_probabilities(scores))


def _means(measures: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda a: float(a.mean()), measures)


def _chunk_rows(fitted: TextSOP, number: int) -> int:
    """Texts at once: as many whole chunks of the model as there is room for."""
    own = fitted.model.chunk_rows
    return min(number, own * max(1, _CHUNK // own))
