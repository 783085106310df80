"""The theory experiment: closed forms, and its shortcuts against plain enumeration."""

import importlib.util
import sys
from itertools import permutations
from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest


def load(name):
    """A script of the folder of experiments, as a module."""
    path = Path(__file__).parents[1] / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Its siblings are found beside it, as when it is run.
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


theory = load("sop_theory")


def members(d):
    """Which features each subset holds, (2^d, d)."""
    return np.arange(2**d)[:, None] >> np.arange(d) & 1


@pytest.mark.parametrize("d", range(2, 16))
def test_best_total_deletion_error_of_the_monomial(d):
    target = theory.deletion(theory.polynomial_values(theory.monomial(d), d))
    best = theory.feature_error(target, theory.best_alpha(target, [d]))
    assert best == pytest.approx(comb(d, d // 2) - 1, rel=1e-9)
    # An optimum in closed form: 1 / m for every feature, with m about d / 2.
    alphas = [np.full(d, 1 / m) for m in (d // 2, d // 2 + 1)]
    closed = min(theory.feature_error(target, alpha) for alpha in alphas)
    assert closed == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("d", [3, 6, 9, 12, 15])
def test_best_total_insertion_error_of_the_binomial(d):
    target = theory.insertion(theory.polynomial_values(theory.binomial(d), d))
    best = theory.feature_error(target, theory.best_alpha(target, [d // 3] * 3))
    assert best == pytest.approx(2 if d == 3 else 2 ** (d // 3 + 1), rel=1e-9)
    zero = theory.feature_error(target, np.zeros(d))
    assert zero == 2 ** (d // 3 + 1)


def test_the_best_error_grows_exponentially():
    totals = []
    for d in range(2, 21):
        target = theory.deletion(theory.polynomial_values(theory.monomial(d), d))
        totals.append(theory.feature_error(target, theory.best_alpha(target, [d])))
    slope, intercept = theory.log_fit(range(2, 21), totals)
    assert slope == pytest.approx(0.664, abs=5e-4)
    assert intercept == pytest.approx(-1.159, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "d", "blocks"),
    [("monomial", d, [d]) for d in range(2, 9)]
    + [("binomial", d, [d // 3] * 3) for d in (3, 6)],
)
@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_one_unknown_per_block_is_enough(name, d, blocks, kind):
    values = theory.polynomial_values(getattr(theory, name)(d), d)
    target = getattr(theory, kind)(values)
    reduced, full = (
        theory.feature_error(target, theory.best_alpha(target, sizes))
        for sizes in (blocks, [1] * d)
    )
    assert reduced == pytest.approx(full, rel=1e-9)
    rng = np.random.default_rng(d)
    for _ in range(50):
        assert theory.feature_error(target, rng.normal(0, 1 / d, d)) >= full - 1e-9


@pytest.mark.parametrize(("name", "d"), [("monomial", 7), ("binomial", 9)])
@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_one_group_per_monomial_has_no_error(name, d, kind):
    monomials = getattr(theory, name)(d)
    target = getattr(theory, kind)(theory.polynomial_values(monomials, d))
    assert np.abs(target).sum() > 0
    ones = np.ones(len(monomials))
    assert theory.group_error(target, monomials, ones, kind) == 0
    assert theory.group_error(target, monomials, 0 * ones, kind) == target.sum()


def test_any_polynomial_has_no_error_with_its_monomials_as_groups():
    rng = np.random.default_rng(0)
    groups = rng.choice(2**8 - 1, 6, replace=False) + 1
    coefficients = rng.integers(-3, 4, 6)
    values = sum(
        c * (members(8)[:, members(8)[g] == 1].all(1))
        for g, c in zip(groups, coefficients, strict=True)
    )
    for kind in ("insertion", "deletion"):
        target = getattr(theory, kind)(values)
        assert theory.group_error(target, groups, coefficients, kind) == 0
        assert theory.group_error(target, groups, coefficients + 1, kind) > 0


def test_targets_by_deleting_and_inserting_one_by_one():
    d = 6
    parts = members(d)

    def f(x):
        return x[:, :4].prod(1) + x[:, 2:].prod(1)

    values = theory.polynomial_values(theory.binomial(d), d)
    np.testing.assert_array_equal(values, f(parts))
    np.testing.assert_array_equal(theory.insertion(values + 5), f(parts))
    np.testing.assert_array_equal(theory.deletion(values + 5), 2 - f(1 - parts))
    alpha = np.random.default_rng(0).normal(size=d)
    np.testing.assert_allclose(theory.subset_sums(alpha), parts @ alpha, atol=1e-12)


def test_shapley_values_are_the_mean_over_orders():
    d = 4
    values = np.random.default_rng(0).normal(size=2**d)
    expected = np.zeros(d)
    for order in permutations(range(d)):
        subset = 0
        for i in order:
            expected[i] += values[subset | 1 << i] - values[subset]
            subset |= 1 << i
    np.testing.assert_allclose(theory.shapley(values, d), expected / factorial(d))


def test_lime_is_weighted_least_squares():
    d, width = 6, 0.25
    values = np.random.default_rng(0).normal(size=2**d)
    cosine = members(d).sum(1) / np.sqrt(np.maximum(members(d).sum(1), 1) * d)
    root = np.sqrt(np.sqrt(np.exp(-((1 - cosine) ** 2) / width**2)))[:, None]
    design = np.concatenate([np.ones((2**d, 1)), members(d)], 1)
    expected = np.linalg.lstsq(root * design, root[:, 0] * values)[0][1:]
    np.testing.assert_allclose(theory.lime(values, d), expected, atol=1e-10)


@pytest.mark.parametrize(("name", "d"), [("monomial", 11), ("binomial", 12)])
def test_shapley_and_integrated_gradients_split_a_monomial_evenly(name, d):
    monomials = getattr(theory, name)(d)
    expected = sum(members(d)[m] / members(d)[m].sum() for m in monomials)
    values = theory.polynomial_values(monomials, d)
    np.testing.assert_allclose(theory.shapley(values, d), expected, rtol=1e-12)
    gradients = theory.integrated_gradients(monomials, d)
    np.testing.assert_allclose(gradients, expected, rtol=1e-12)


def test_the_table_of_one_size():
    row = theory.errors("monomial, deletion", 9)
    assert row["Shapley"] == pytest.approx(2**8 - 1)
    assert row["integrated gradients"] == pytest.approx(2**8 - 1)
    assert row["best per feature"] == pytest.approx(125)
    assert row["LIME"] > row["best per feature"]
    assert row["groups"] == 0
    row = theory.errors("binomial, insertion", 9)
    assert row["best per feature"] == pytest.approx(16)
    assert min(row["Shapley"], row["LIME"]) > 16
    assert row["groups"] == 0


def test_the_curves_are_drawn_and_tabled():
    rows = {d: theory.errors("monomial, deletion", d) for d in (2, 3, 4)}
    (ax,) = theory.draw({"monomial, deletion": rows}).axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert lines["groups"] == [0, 0, 0]
    assert lines["best per feature"] == pytest.approx([1, 2, 5])
    *_, last = theory.errors_table("monomial, deletion", rows).splitlines()
    assert last == "| 4 | 7.0 | 6.3 | 7.0 | 5.0 | 0.0 | 5 |"
