"""Dependence of contributions and use of experts, against numpy and regressions."""

import numpy as np
import pytest

from naejax.explain import concurvity, dead_experts, explained_by_others, utilisation
from naejax.types import NAEOutput


def output_of(f, gates=None):
    f = np.asarray(f, float)
    gates = np.ones((*f.shape[:2], 1)) if gates is None else gates
    experts = np.repeat(f[:, :, None], gates.shape[2], axis=2)
    return NAEOutput(f.sum(1), np.zeros(f.shape[2]), f, gates, experts)


def mixed(seed, rows=200, features=5, outputs=2):
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(rows, features, outputs))
    return f + f[:, :1] * rng.normal(size=(1, features, 1))


def test_concurvity_is_the_correlation():
    f = mixed(0)
    matrix = concurvity(output_of(f + 100))
    for c in range(2):
        np.testing.assert_allclose(
            matrix[:, :, c], np.abs(np.corrcoef(f[:, :, c], rowvar=False))
        )


def test_explained_is_the_adjusted_r2_of_a_regression():
    f = mixed(1, rows=60)
    shares = explained_by_others(output_of(f))
    for i in range(5):
        for c in range(2):
            others = np.column_stack([np.delete(f[:, :, c], i, axis=1), np.ones(60)])
            rest = np.linalg.lstsq(others, f[:, i, c], rcond=None)[1][0] / (60 - 5)
            expected = max(0, 1 - rest / f[:, i, c].var(ddof=1))
            assert shares[i, c] == pytest.approx(expected)


def test_independent_contributions_explain_nothing():
    f = np.random.default_rng(0).normal(size=(80, 30, 20))
    assert explained_by_others(output_of(f)).mean() < 0.12
    assert concurvity(output_of(np.tile(f, (200, 1, 1))[:, :3])).max() <= 1


def test_copies_explain_each_other_and_leave_the_rest_alone():
    f = np.random.default_rng(0).normal(size=(500, 4, 1)).astype(np.float32)
    f[:, 2] = -3 * f[:, 0]
    shares = explained_by_others(output_of(f))[:, 0]
    np.testing.assert_allclose(shares[[0, 2]], 1, atol=1e-9)
    assert shares[[1, 3]].max() < 0.05
    assert concurvity(output_of(f))[0, 2, 0] == pytest.approx(1)


def test_what_does_not_vary_depends_on_nothing():
    f = np.random.default_rng(0).normal(size=(100, 3, 1))
    f[:, 1] = 0.1
    f[::2, 1] += 1e-9
    matrix = concurvity(output_of(f))[:, :, 0]
    np.testing.assert_array_equal(matrix[1], [0, 1, 0])
    assert explained_by_others(output_of(f))[1, 0] == 0


def test_as_many_features_as_rows_explain_all():
    f = np.random.default_rng(0).normal(size=(4, 4, 1))
    np.testing.assert_array_equal(explained_by_others(output_of(f)), 1)
    one = np.random.default_rng(0).normal(size=(9, 1, 1))
    np.testing.assert_allclose(explained_by_others(output_of(one)), 0, atol=1e-12)


def test_utilisation_is_the_mean_gate():
    gates = np.random.default_rng(0).dirichlet(np.ones(4), size=(50, 2))
    usage = utilisation(output_of(np.zeros((50, 2, 1)), gates))
    np.testing.assert_allclose(usage, gates.mean(axis=0))
    np.testing.assert_allclose(usage.sum(axis=1), 1)


@pytest.mark.parametrize("members", [1, 2])
def test_dead_experts_are_counted(members):
    # Four experts per member; equal shares are 1/4 and death is below 1/400.
    own = np.array([[0.5, 0.4936, 0.004, 0.0024], [0.25, 0.25, 0.25, 0.25]])
    gates = np.tile(own, (10, 1, members)) / members
    output = output_of(np.zeros((10, 2, 1)), gates)
    np.testing.assert_array_equal(dead_experts(output, members), [members, 0])
    with pytest.raises(ValueError, match="cannot belong to 3 members"):
        dead_experts(output, 3)
