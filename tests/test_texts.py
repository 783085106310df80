"""Sum-of-Parts on texts: scores of what is left of them, against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_sop_parts import OUTPUTS, bag_of_words, make_texts

from naejax.data import TokenizedTexts
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.ops.tokens import PART, PRESENT, TOKEN
from naejax.texts import TextSOP, evaluate_texts, explain_texts, score_texts
from naejax.texts.evaluate import random_groups
from naejax.types import SOPOutput

CLASSES = ("a", "b", "c")


def tokenized(lengths, positions=24, seed=0, marked=0.3):
    """Random texts with random labels and rationales, each fourth without."""
    x = make_texts(lengths, positions, seed)
    rng = np.random.default_rng(seed + 1)
    rationale = (x[..., PART] >= 0) & (rng.random(x.shape[:2]) < marked)
    rationale[::4] = False
    label = rng.integers(OUTPUTS, size=len(x))
    pieces = [
        [f"w{int(token)}" for token in row[row[:, PRESENT] > 0, TOKEN]] for row in x
    ]
    return TokenizedTexts(x, label, rationale, pieces, 20, CLASSES, 0)


def build(x, **options):
    options = {"num_groups": 5, "keep": 0.3, "encoder": "shared", **options}
    backbone = bag_of_words()
    model = SumOfParts(backbone, OUTPUTS, **options)
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])
    return TextSOP(model, variables, backbone, CLASSES)


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(5)
    return tokenized([*rng.integers(3, 22, 44), 0])


@pytest.fixture(scope="module")
def fitted(texts):
    return build(texts.x, selector_scale=0.3)


def closed_form(backbone, x, kept):
    """Scores of the bag of words with the tokens where ``kept`` (N, L)."""
    words = backbone.params["embedding"][x[..., TOKEN].astype(int)]
    pooled = np.tanh((words * (kept * x[..., PRESENT])[..., None]).sum(axis=1))
    return pooled @ backbone.params["classifier"]


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_scores_of_what_a_mask_leaves(texts):
    backbone, x = bag_of_words(), texts.x
    mask = np.random.default_rng(0).random(x.shape[:2]) < 0.5
    whole = closed_form(backbone, x, np.ones(x.shape[:2]))
    np.testing.assert_allclose(score_texts(backbone, x), whole, atol=1e-5)
    left = closed_form(backbone, x, mask | (x[..., PART] < 0))
    np.testing.assert_allclose(score_texts(backbone, x, mask), left, atol=1e-5)
    alone = score_texts(backbone, x[33:34], mask[33:34])
    np.testing.assert_array_equal(alone, score_texts(backbone, x, mask)[33:34])


def test_one_program_serves_every_number_of_texts(texts):
    backbone, traces = bag_of_words(), []

    def masked(params, x, mask, count):
        traces.append(x.shape)
        return bag_of_words().masked(params, x, mask, count)

    backbone = dataclasses.replace(backbone, masked=masked)
    for number in (1, 7, 45):
        found = score_texts(backbone, texts.x[:number], texts.rationale[:number])
        assert found.shape == (number, OUTPUTS) and found.dtype == np.float32
    assert len(traces) == 1


def test_explanations_are_the_models(fitted, texts):
    output = explain_texts(fitted, texts.x)
    raw = predict(fitted.model, fitted.variables, texts.x)
    assert all(map(np.array_equal, output, raw))
    sums = output.contributions.sum(axis=1)
    np.testing.assert_allclose(output.prediction, sums, atol=1e-5)


def overlaps(mask, marked):
    """IoU, precision and recall of two sets of tokens."""
    both, either = (mask & marked).sum(), (mask | marked).sum()
    return [
        a / b if b else 0.0
        for a, b in ((both, either), (both, mask.sum()), (both, marked.sum()))
    ]


def test_measures_are_those_by_hand(fitted, texts):
    found = evaluate_texts(fitted, texts)
    output = explain_texts(fitted, texts.x)
    x, backbone = texts.x, fitted.backbone
    single, together, used, covered, unions = [], [], [], [], []
    for i, marked in enumerate(texts.rationale):
        groups = output.selection[i, :, np.argmax(output.prediction[i])] > 0
        masks = output.masks[i][groups] > 0
        union = masks.any(axis=0)
        removable = x[i, :, PART] >= 0
        unions.append(union)
        used.append(groups.sum())
        covered.append(union.sum() / max(removable.sum(), 1))
        if marked.any():
            single.append(np.mean([overlaps(mask, marked) for mask in masks], axis=0))
            together.append(overlaps(union, marked))
    names = ["iou", "object_ratio", "recall"]
    groups = found["groups"]
    assert groups["used"] == pytest.approx(np.mean(used)) and 1 < groups["used"] < 5
    assert groups["covered"] == pytest.approx(np.mean(covered), rel=1e-5)
    mine = [groups["sop"][name] for name in names]
    np.testing.assert_allclose(mine, np.mean(single, axis=0), rtol=1e-4)
    mine = [groups["sop"][f"union_{name}"] for name in names]
    np.testing.assert_allclose(mine, np.mean(together, axis=0), rtol=1e-4)

    unions, stays = np.array(unions), x[..., PART] < 0
    whole = softmax(closed_form(backbone, x, np.ones(x.shape[:2])))
    label, rows = whole.argmax(axis=1), np.arange(len(x))
    for name, mask in (("comprehensiveness", ~unions), ("sufficiency", unions)):
        left = softmax(closed_form(backbone, x, mask | stays))
        loss = (whole[rows, label] - left[rows, label]).mean()
        assert found[name]["sop"] == pytest.approx(loss, abs=1e-5)
        assert found[name]["random"] != pytest.approx(loss, abs=1e-3)

    truth = texts.label
    assert found["backbone"]["accuracy"] == pytest.approx((label == truth).mean())
    right = output.prediction.argmax(axis=1) == truth
    assert found["sop"]["accuracy"] == pytest.approx(right.mean())
    has = texts.rationale.any(axis=1)
    assert 0 < has.sum() < len(has)
    left = softmax(closed_form(backbone, x, texts.rationale | stays))[has]
    loss = -np.log(left[np.arange(has.sum()), truth[has]]).mean()
    assert found["backbone_on_rationales"]["log_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("mask", ["hard", "sparse"])
def test_random_groups_keep_as_many_parts(texts, mask):
    fitted = build(texts.x, mask=mask, heads=2, num_parts=20)
    output = explain_texts(fitted, texts.x)
    parts = texts.x[..., PART].astype(int)
    moved = random_groups(jax.random.key(3), output, jnp.asarray(parts))
    moved = np.asarray(moved.masks)
    differ = 0
    for row, before, after in zip(parts, output.masks, moved, strict=True):
        assert (after[:, row < 0] == 0).all()
        for old, new in zip(before, after, strict=True):
            values = [
                [kept[row == p] for p in range(row.max() + 1)] for kept in (old, new)
            ]
            # Whole parts, and the same values among them.
            assert all(np.ptp(part) == 0 for part in values[1])
            first = [sorted(float(part[0]) for part in kept) for kept in values]
            np.testing.assert_allclose(*first, atol=1e-6)
            differ += not np.array_equal(old, new)
    assert differ > len(parts)


def test_random_groups_are_everywhere_alike():
    parts = np.array([[-1, 0, 0, 1, 2, 3, -1, -1]])
    rows = np.repeat(parts, 800, axis=0)
    masks = np.repeat((parts == 2)[:, None], 800, axis=0).astype(np.float32)
    one = np.ones((800, 1), np.float32)
    attention = np.ones((800, 1, 6), np.float32) / 6
    wide = one[..., None]
    output = SOPOutput(one, np.zeros(1), wide, masks, wide, one, wide, attention)
    moved = np.asarray(random_groups(jax.random.key(0), output, rows).masks)[:, 0]
    shares = moved.mean(axis=0)
    assert (shares[parts[0] < 0] == 0).all()
    np.testing.assert_allclose(shares[parts[0] >= 0], 0.25, atol=0.05)


def test_texts_without_rationales_have_no_overlaps(fitted, texts):
    bare = texts._replace(rationale=np.zeros_like(texts.rationale))
    found = evaluate_texts(fitted, bare)
    assert "backbone_on_rationales" not in found
    assert set(found["groups"]) == {"used", "covered"}
    assert evaluate_texts(fitted, bare) == found
    other = evaluate_texts(fitted, bare, seed=1)
    assert other["sufficiency"]["sop"] == found["sufficiency"]["sop"]
    assert other["sufficiency"]["random"] != found["sufficiency"]["random"]


def test_what_does_not_fit_is_refused(fitted, texts):
    with pytest.raises(ValueError, match="the classes a, b, the model a, b, c"):
        evaluate_texts(fitted, texts._replace(classes=("a", "b")))
    with pytest.raises(ValueError, match=r"expected \(texts, tokens, 4\)"):
        score_texts(fitted.backbone, texts.x[0])
    with pytest.raises(ValueError, match="a number for each token"):
        score_texts(fitted.backbone, texts.x, texts.rationale[:, :5])
    bare = dataclasses.replace(fitted.backbone, masked=None)
    with pytest.raises(ValueError, match="has no `masked`"):
        score_texts(bare, texts.x, texts.rationale)
