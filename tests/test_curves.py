"""Insertion and deletion against hand-made sums, a plain oracle, and each other."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from numpy.testing import assert_allclose, assert_array_equal

from naejax.explain.curves import deletion, insertion


def random_model(seed, size, outputs=3):
    """A model without any symmetry, and its scores in numpy."""
    weights = np.random.default_rng(seed).normal(size=(size, outputs))
    weights = weights.astype(np.float32)

    def score_fn(x):
        flat = x.reshape(len(x), -1)
        return jnp.tanh(flat @ weights) + 0.5 * flat @ weights[::-1]

    def oracle(x):
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        return np.tanh(flat @ weights) + 0.5 * flat @ weights[::-1]

    return score_fn, oracle


def linear(x):
    """Outputs: the sum of all pixels, and its double."""
    total = x.reshape(len(x), -1).sum(1)
    return jnp.stack([total, 2 * total], axis=1)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def part_of(pixel, grid, spatial):
    """Flat index of the part of a pixel."""
    place = tuple(i * p // s for i, p, s in zip(pixel, grid, spatial, strict=True))
    return np.ravel_multi_index(place, grid)


def oracle_values(oracle, x, importance, shown, target, baseline, value):
    """Pixel by pixel: values of one example with sets of parts shown."""
    spatial, grid = x.shape[:-1], importance.shape
    values = []
    for parts in shown:
        masked = np.full(x.shape, baseline, np.float64)
        for pixel in np.ndindex(*spatial):
            if part_of(pixel, grid, spatial) in parts:
                masked[pixel] = x[pixel]
        scores = oracle(masked[None])[0]
        values.append((softmax(scores) if value == "probability" else scores)[target])
    return np.array(values)


def case(seed, examples, spatial, grid, channels=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, *spatial, channels)).astype(np.float32)
    # Whole numbers, so that there are ties.
    return x, rng.integers(-3, 4, (examples, *grid)).astype(np.float32)


@pytest.mark.parametrize("protocol", ["fair", "reference"])
@pytest.mark.parametrize(
    ("spatial", "grid", "steps", "value", "baseline"),
    [
        ((13,), (5,), None, "probability", 0.0),
        ((7, 10), (3, 4), 5, "probability", 0.7),
        ((6, 4), (3, 2), None, "score", -0.3),
        ((3, 3), (3, 3), 2, "score", 0.0),
        ((5, 4), (1, 1), 1, "probability", 0.0),
    ],
)
def test_against_a_plain_oracle(spatial, grid, steps, value, baseline, protocol):
    x, importance = case(3, 4, spatial, grid)
    score_fn, oracle = random_model(5, x[0].size)
    options = dict(steps=steps, baseline=baseline, value=value, protocol=protocol)
    inserted = insertion(score_fn, x, importance, **options, batch_size=7)
    deleted = deletion(score_fn, x, importance, **options, batch_size=7)
    parts = importance[0].size
    steps = steps or parts
    counts = [s * parts // steps for s in range(steps + 1)]
    if protocol == "reference":
        counts = counts[1:]
    for b, target in enumerate(oracle(x).argmax(1)):
        order = np.argsort(-importance[b].ravel(), kind="stable").tolist()
        shown = [set(order[:n]) for n in counts]
        left = [set(order[n:]) for n in counts]
        if protocol == "reference":
            left = [set(order[parts - n :]) for n in counts]
        for curve, sets in ((inserted, shown), (deleted, left)):
            expected = oracle_values(
                oracle, x[b], importance[b], sets, target, baseline, value
            )
            assert_allclose(curve.values[b], expected, atol=2e-6, rtol=1e-5)
            assert_allclose(curve.fractions[b], np.array(counts) / parts, rtol=1e-6)
            area = np.trapezoid(expected, np.array(counts) / parts)
            if protocol == "reference":
                area = expected.mean() / expected[-1]
            assert_allclose(curve.area[b], area, atol=5e-6, rtol=1e-5)


def test_linear_model_by_hand():
    x = np.array([3.0, 1.0, 6.0, 2.0], np.float32).reshape(1, 4, 1)
    order = np.array([[1.0, 9.0, 5.0, 5.0]])
    values = [0, 1, 7, 9, 12]
    curve = insertion(linear, x, order, target=0, value="score")
    assert_array_equal(curve.values, [values])
    assert_array_equal(curve.fractions, [[0, 0.25, 0.5, 0.75, 1]])
    assert_allclose(curve.area, [(0 / 2 + 1 + 7 + 9 + 12 / 2) / 4])
    curve = deletion(linear, x, order, target=0, value="score")
    assert_array_equal(curve.values, [[12, 11, 5, 3, 0]])
    assert_allclose(curve.area, [(12 / 2 + 11 + 5 + 3) / 4])
    reference = insertion(
        linear, x, order, target=1, value="score", protocol="reference"
    )
    assert_array_equal(reference.values, [[2, 14, 18, 24]])
    assert_allclose(reference.area, [(2 + 14 + 18 + 24) / 4 / 24])
    # Least important first: 3, then 2 (a tie: the first leads in removal), then 6, 1.
    reference = deletion(
        linear, x, order, target=0, value="score", protocol="reference"
    )
    assert_array_equal(reference.values, [[3, 5, 11, 12]])
    assert_array_equal(reference.fractions, [[0.25, 0.5, 0.75, 1]])
    assert_allclose(reference.area, [(3 + 5 + 11 + 12) / 4 / 12])


@pytest.mark.parametrize("seed", range(3))
def test_area_of_a_linear_model(seed):
    # A pixel that arrives r-th is there from (r + 1) / P on, and half before.
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, 12, 1)).astype(np.float32)
    importance = rng.normal(size=(5, 12))
    rank = np.argsort(np.argsort(-importance, axis=1), axis=1)
    expected = (x[..., 0] * (1 - (rank + 0.5) / 12)).sum(1)
    total = x.sum((1, 2))
    options = dict(target=0, value="score")
    inserted = insertion(linear, x, importance, **options)
    deleted = deletion(linear, x, importance, **options)
    assert_allclose(inserted.area, expected, atol=1e-5)
    assert_allclose(deleted.area, total - expected, atol=1e-5)
    assert_allclose(deleted.values, total[:, None] - inserted.values, atol=1e-5)
    # No order beats that of the pixels' own values, nor is worse than its reverse.
    best = insertion(linear, x, x[..., 0], **options).area
    worst = insertion(linear, x, -x[..., 0], **options).area
    assert (best >= inserted.area).all()
    assert (worst <= inserted.area).all()


def test_deletion_is_insertion_from_the_other_end():
    x, _ = case(0, 4, (6, 6), (3, 3))
    importance = np.random.default_rng(1).random((4, 3, 3))
    score_fn, _ = random_model(2, x[0].size)
    deleted = deletion(score_fn, x, importance)
    inserted = insertion(score_fn, x, -importance)
    assert_allclose(deleted.values, inserted.values[:, ::-1], rtol=1e-6)
    assert_allclose(deleted.area, inserted.area, rtol=1e-6)
    for curve, function in (
        (deleted, deletion),
        (insertion(score_fn, x, importance), insertion),
    ):
        reference = function(score_fn, x, importance, protocol="reference")
        values = curve.values if function is insertion else curve.values[:, ::-1]
        assert_allclose(reference.values, values[:, 1:], rtol=1e-6)


def test_examples_do_not_mix():
    x, importance = case(0, 6, (6, 6), (3, 3))
    score_fn, _ = random_model(0, x[0].size)
    shuffle = np.random.default_rng(1).permutation(6)
    for function in (insertion, deletion):
        curve = function(score_fn, x, importance)
        for batch_size in (1, 13, 10_000):
            other = function(score_fn, x, importance, batch_size=batch_size)
            for one, two in zip(curve, other, strict=True):
                assert_allclose(one, two, rtol=1e-5)
        moved = function(score_fn, x[shuffle], importance[shuffle])
        for one, two in zip(curve, moved, strict=True):
            assert_allclose(one[shuffle], two, rtol=1e-5)


def test_target_is_that_of_the_whole_example():
    # Class 1 wins on the whole example, class 0 before the last pixel arrives.
    def score_fn(x):
        count = x.sum((1, 2))
        return jnp.stack([3.5 + 0 * count, count], axis=1)

    x, importance = np.ones((1, 4, 1), np.float32), np.zeros((1, 4))
    curve = insertion(score_fn, x, importance, value="score")
    assert_array_equal(curve.values, [[0, 1, 2, 3, 4]])
    for target in (1, np.int64(1), np.array([1]), jnp.array([1])):
        same = insertion(score_fn, x, importance, value="score", target=target)
        assert_array_equal(same.values, curve.values)
    other = insertion(score_fn, x, importance, value="score", target=0)
    assert_array_equal(other.values, [[3.5] * 5])


def test_targets_of_several_examples():
    x, importance = case(0, 3, (4, 4), (2, 2))
    score_fn, oracle = random_model(0, x[0].size)
    curve = insertion(score_fn, x, importance, target=np.array([2, 0, 1]))
    assert_allclose(
        curve.values[:, -1], softmax(oracle(x))[[0, 1, 2], [2, 0, 1]], rtol=1e-5
    )
    largest = insertion(score_fn, x, importance)
    assert_allclose(largest.values[:, -1], softmax(oracle(x)).max(1), rtol=1e-5)


def test_one_output_is_followed_as_the_probability_of_class_one():
    def score_fn(x):
        return x.sum((1, 2))[:, None]

    x = np.array([[[-1.0], [-2.0]], [[1.0], [0.5]]], np.float32)
    curve = insertion(score_fn, x, np.array([[1.0, 0.0], [1.0, 0.0]]))
    scores = np.array([[0, -1, -3], [0, 1, 1.5]])
    assert_allclose(curve.values, 1 / (1 + np.exp(-scores)), rtol=1e-6)


def test_baseline_of_each_example():
    x = np.ones((2, 4, 1), np.float32)
    baseline = np.array([0.0, -1.0]).reshape(2, 1, 1)
    options = dict(target=0, value="score", baseline=baseline)
    curve = insertion(linear, x, np.zeros((2, 4)), **options)
    assert_array_equal(curve.values, [[0, 1, 2, 3, 4], [-4, -2, 0, 2, 4]])
    assert_allclose(curve.area, [2, 0])


def test_normalised_area():
    x, importance = case(0, 4, (6, 6), (3, 3))
    score_fn, _ = random_model(0, x[0].size)
    for function, whole in ((insertion, -1), (deletion, 0)):
        raw = function(score_fn, x, importance, steps=4)
        curve = function(score_fn, x, importance, steps=4, normalise=True)
        assert_array_equal(curve.values, raw.values)
        assert_allclose(curve.area, raw.area / raw.values[:, whole], rtol=1e-6)
    nothing = np.zeros((1, 6, 6, 2), np.float32)
    for protocol in ("fair", "reference"):
        options = dict(target=0, value="score", normalise=True, protocol=protocol)
        curve = insertion(linear, nothing, np.zeros((1, 3, 3)), **options)
        assert_array_equal(curve.area, [0])


def test_one_program_for_all_chunks_and_for_new_weights():
    traces = []

    def apply(weights, x):
        traces.append(x.shape)
        return x.reshape(len(x), -1) @ weights

    x, importance = case(0, 5, (4, 4), (4, 4), channels=1)
    weights = np.random.default_rng(0).normal(size=(2, 16, 3)).astype(np.float32)
    first = insertion(Partial(apply, weights[0]), x, importance, batch_size=8)
    # Shapes are looked at once; then a program for x and one for masked examples.
    assert traces == [(5, 4, 4, 1), (5, 4, 4, 1), (8, 4, 4, 1)]
    second = insertion(Partial(apply, weights[1]), x, importance, batch_size=8)
    assert len(traces) == 4
    assert not np.allclose(first.values, second.values)
    expected = softmax(x.reshape(5, -1) @ weights[1]).max(1)
    assert_allclose(second.values[:, -1], expected, rtol=1e-5)


def test_inside_a_program():
    x, importance = case(0, 3, (4, 4), (2, 2))
    score_fn, _ = random_model(0, x[0].size)
    target = np.array([2, 0, 1])
    for function in (insertion, deletion):
        program = jax.jit(functools.partial(function, score_fn))
        expected = function(score_fn, x, importance, target=target)
        curve = program(x, importance, target=target)
        assert_allclose(curve.area, expected.area, rtol=1e-5)


GOOD = dict(x=np.ones((2, 6, 6, 1), np.float32), importance=np.zeros((2, 3, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(importance=np.zeros((3, 3, 3))), r"importance of shape \(3, 3, 3\)"),
        (dict(importance=np.zeros((2, 3))), r"importance of shape \(2, 3\)"),
        (dict(importance=np.zeros((2, 7, 3))), "1 part to all pixels"),
        (dict(importance=np.full((2, 3, 3), np.nan)), "importance has NaN"),
        (
            dict(x=np.ones((2, 6), np.float32), importance=np.zeros(2)),
            r"\(B, \*spatial",
        ),
        (dict(x=np.ones((0, 6, 1)), importance=np.zeros((0, 3))), "B >= 1"),
        (dict(steps=10), "steps=10 for 9 parts"),
        (dict(steps=0), "steps=0 for 9 parts"),
        (dict(target=2), "targets from 2 to 2, expected indices of the 2 outputs"),
        (dict(target=[0, -1]), "targets from -1 to 0"),
        (dict(target=[0, 1, 1]), r"target of shape \(3,\)"),
        (dict(target=0.5), "type float32"),
        (dict(baseline=np.zeros(5)), r"baseline of shape \(5,\)"),
        (dict(value="logit"), "value='logit'; choose one of probability, score"),
        (dict(protocol="old"), "protocol='old'; choose one of fair, reference"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(score_fn=lambda x: x.sum((1, 2, 3))), r"shape \(2,\) for 2 examples"),
        (dict(score_fn=lambda x: (linear(x),)), "returned a tuple"),
    ],
)
def test_bad_input(change, message):
    arguments = GOOD | dict(score_fn=linear) | change
    for function in (insertion, deletion):
        with pytest.raises(ValueError, match=message) as error:
            function(**arguments)
        assert "\n" not in str(error.value)


def test_steps_divide_the_parts_as_evenly_as_they_can():
    x = np.ones((1, 7, 1), np.float32)
    for steps in (1, 3, 5, 7):
        curve = insertion(
            linear, x, np.zeros((1, 7)), steps=steps, value="score", target=0
        )
        assert_allclose(curve.values, 7 * curve.fractions, atol=1e-5)
        widths = np.diff(np.round(7 * curve.fractions[0])).tolist()
        assert sum(widths) == 7
        assert max(abs(a - b) for a, b in itertools.product(widths, widths)) <= 1
        assert_allclose(curve.area, 3.5, rtol=1e-6)
