"""Measures of explanations against truths made by hand."""

import itertools

import numpy as np
import pytest

from naejax.data.schema import Feature, Schema, Target
from naejax.data.synthetic import make_synthetic
from naejax.explain import (
    additivity_error,
    compute_shapes,
    interaction_auc,
    pair_strengths,
    range_coverage,
    shape_recovery,
    true_additivity,
)
from naejax.types import NAEOutput


def shape_of(x, f, kind="numeric"):
    f = np.asarray(f, float).reshape(len(x), 1, -1)
    output = NAEOutput(
        f[:, 0], np.zeros(f.shape[2]), f, np.ones((len(x), 1, 1)), f[:, :, None]
    )
    feature = Feature("x", kind, ("a", "b") if kind == "categorical" else ())
    schema = Schema((feature,), Target("y", "regression"), len(x))
    return compute_shapes(output, {"x": np.asarray(x)}, schema)[0]


def test_recovery_of_the_truth_is_one():
    x = np.repeat(np.arange(5.0), [1, 2, 3, 4, 5])
    both = np.stack([x**2 + 7, 2 * x**2], axis=1)
    recovery = shape_recovery(shape_of(x, both), np.square)
    # Twice the truth is wrong by all its variance.
    # A sum of rounded products is 0 up to its last bits.
    np.testing.assert_allclose(recovery, [1, 0], atol=1e-12)


def test_recovery_is_a_weighted_r2():
    x = np.repeat(np.arange(3.0), [1, 3, 6])
    truth, found = np.array([0.0, 1.0, 4.0]), np.array([1.0, 1.0, 2.0])
    w = np.array([0.1, 0.3, 0.6])
    error = (found - w @ found) - (truth - w @ truth)
    expected = 1 - w @ error**2 / (w @ (truth - w @ truth) ** 2)
    shape = shape_of(x, found[x.astype(int)])
    np.testing.assert_allclose(shape_recovery(shape, np.square), expected)


def test_recovery_leaves_missing_values_out():
    x = np.append(np.arange(5.0), [np.nan] * 5)
    f = np.where(np.isnan(x), 1000.0, x)
    np.testing.assert_allclose(shape_recovery(shape_of(x, f), lambda x: x), 1)


def test_recovery_of_nothing_is_not_a_number():
    x = np.arange(5.0)
    assert np.isnan(shape_recovery(shape_of(x, x), np.zeros_like)).all()


def test_recovery_needs_numbers():
    cells = np.array(["a", "b"], dtype=object)
    with pytest.raises(ValueError, match="'x' is categorical, expected a numeric"):
        shape_recovery(shape_of(cells, [1, 2], "categorical"), np.square)


def test_coverage_counts_rows():
    lower, upper = np.zeros((4, 2, 1)), np.ones((4, 2, 1))
    truth = np.array([[0, 0.5, 1, 1.1], [-1, 2, 3, 4]]).T[:, :, None]
    np.testing.assert_array_equal(range_coverage(lower, upper, truth), [0.75, 0])


def test_pairs_count_whoever_carries_them():
    matrix = np.array([[0.0, 3.0, 0.0], [4.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    expected = [[0, 5, 0], [5, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(pair_strengths(matrix), expected)


def test_auc_ranks_pairs():
    matrix = np.triu(np.arange(16.0).reshape(4, 4), k=1)
    order = sorted(itertools.combinations(range(4), 2), key=lambda pair: matrix[pair])
    assert interaction_auc(matrix, order[-2:]) == 1
    assert interaction_auc(matrix.T, [pair[::-1] for pair in order[-2:]]) == 1
    assert interaction_auc(matrix, order[:2]) == 0
    assert interaction_auc(np.ones((4, 4)), order[:2]) == 0.5
    assert interaction_auc(matrix, [order[0], order[-1]]) == 0.5
    for pairs in ([], order):
        with pytest.raises(ValueError, match="of 6 pairs interact"):
            interaction_auc(matrix, pairs)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("additive", {}, 1),
        ("product", {}, 0),
        ("xor", {}, 0),
        ("product", {"offset": 1.0}, 6 / 7),
        ("switch", {"threshold": 0.5}, 0.25),
    ],
)
def test_true_additivity(name, settings, expected):
    # Products: variance 1/9 of each, and 2/3 of the shapes that an offset gives.
    data = make_synthetic(name, rows=200_000, noise=0.0, seed=0, **settings)
    assert true_additivity(data, data.x) == pytest.approx(expected, abs=0.01)


def test_additivity_error_is_a_mean():
    assert additivity_error([1.0, 0.5, 0.0], [1.0, 0.0, 1.0]) == pytest.approx(0.5)
