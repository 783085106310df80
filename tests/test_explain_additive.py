"""Experts, members and the additivity of a whole model, against closed forms."""

import numpy as np
import pandas as pd
import pytest

from naejax.data.schema import Feature, Schema, Target
from naejax.explain import (
    compute_shapes,
    importance_order,
    member_contributions,
    model_additivity,
)
from naejax.types import NAEOutput


def random_output(seed, rows=300, features=2, experts=6, outputs=2, members=1):
    """Experts and gates of every member at random; parts add up."""
    rng = np.random.default_rng(seed)
    e = rng.normal(size=(rows, features, experts, outputs))
    share = experts // members
    gates = rng.dirichlet(np.full(share, 0.5), size=(rows, features, members))
    gates = gates.reshape(rows, features, experts) / members
    f = (gates[..., None] * e).sum(axis=2)
    return NAEOutput(f.sum(axis=1), np.zeros(outputs), f, gates, e)


def output_of(f):
    """An output with contributions (B, F) of one expert."""
    f = np.asarray(f, float)[:, :, None]
    gates = np.ones((*f.shape[:2], 1))
    return NAEOutput(f.sum(axis=1), np.zeros(1), f, gates, f[:, :, None])


def schema_of(count, rows=0):
    features = tuple(Feature(f"x{i}", "numeric") for i in range(count))
    return Schema(features, Target("y", "regression"), rows)


def columns_of(x):
    return {f"x{i}": x[:, i] for i in range(x.shape[1])}


@pytest.mark.parametrize("members", [1, 2, 3])
def test_experts_and_members_agree_with_group_by(members):
    output = random_output(0, members=members)
    x = np.random.default_rng(1).integers(0, 5, (300, 2)).astype(float)
    x[:30, 1] = np.nan
    shapes = compute_shapes(output, columns_of(x), schema_of(2), members)
    for i, shape in enumerate(shapes):
        keys = pd.Series(x[:, i]).fillna(99)
        each = member_contributions(output, members)[:, :, i].mean(axis=1)
        for c in range(2):
            table = pd.DataFrame(output.experts[:, i, :, c]).groupby(keys).mean()
            own = np.repeat(each[:, c], output.experts.shape[2] // members)
            np.testing.assert_allclose(shape.experts[:, :, c] + own, table)
        usage = pd.DataFrame(output.gates[:, i]).groupby(keys).mean()
        np.testing.assert_allclose(shape.usage, usage)
        np.testing.assert_allclose(shape.usage.sum(axis=1), 1)
        parts = (output.gates[..., None] * output.experts)[:, i] * members
        parts = parts.reshape(300, members, -1, 2).sum(axis=2)
        for m in range(members):
            own = parts[:, m] - parts[:, m].mean(axis=0)
            expected = pd.DataFrame(own).groupby(keys).mean()
            np.testing.assert_allclose(shape.members[m], expected)
            np.testing.assert_allclose(
                shape.member_importance[m], np.abs(own).mean(axis=0)
            )
        np.testing.assert_allclose(shape.members.mean(axis=0), shape.mean)


def test_one_model_is_its_only_member():
    output = random_output(3)
    x = np.random.default_rng(4).normal(size=(300, 2))
    for shape in compute_shapes(output, columns_of(x), schema_of(2)):
        np.testing.assert_array_equal(shape.members, shape.mean[None])
        np.testing.assert_allclose(shape.member_importance, shape.importance[None])


def test_members_differ_by_constants_alone():
    experts = np.arange(20.0).reshape(20, 1, 1, 1) + np.array([0.0, 100.0])[:, None]
    f = experts.mean(axis=2)
    output = NAEOutput(f[:, 0], np.zeros(1), f, np.full((20, 1, 2), 0.5), experts)
    x = np.arange(20.0)[:, None] % 4
    (shape,) = compute_shapes(output, columns_of(x), schema_of(1), members=2)
    np.testing.assert_allclose(shape.members[0], shape.members[1], atol=1e-12)
    np.testing.assert_allclose(shape.experts[:, 0], shape.mean, atol=1e-12)
    np.testing.assert_allclose(shape.experts[:, 1], shape.mean, atol=1e-12)


def test_members_that_do_not_fit():
    output, x = random_output(3), np.zeros((300, 2))
    with pytest.raises(ValueError, match="6 experts per feature cannot belong to 4"):
        compute_shapes(output, columns_of(x), schema_of(2), members=4)


def test_shapes_of_float32_do_not_drift():
    # 1e5 rows at one position: a float32 sum would be off in the fourth digit.
    f = np.full((100_000, 1, 1), 0.1, np.float32)
    output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones_like(f), f[..., None])
    (shape,) = compute_shapes(output, {"x0": np.zeros(100_000)}, schema_of(1))
    np.testing.assert_allclose(shape.experts, 0, atol=1e-9)


def test_model_additivity_of_one_feature_is_that_of_its_shape():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    output = output_of(np.sin(x) + rng.normal(size=(400, 1)))
    (shape,) = compute_shapes(output, columns_of(x), schema_of(1))
    additivity = model_additivity(output, columns_of(x), schema_of(1))
    np.testing.assert_allclose(additivity, shape.additivity)
    assert 0.1 < additivity < 0.9


def test_model_additivity_of_a_sum_of_functions_is_one():
    x = np.random.default_rng(0).integers(0, 9, (500, 3)).astype(float)
    output = output_of(np.stack([x[:, 0], x[:, 1] ** 2, -3 * x[:, 2]], axis=1))
    np.testing.assert_allclose(
        model_additivity(output, columns_of(x), schema_of(3)), 1, atol=1e-12
    )


def test_model_additivity_of_a_pure_interaction_is_zero():
    x = np.random.default_rng(0).normal(size=(4000, 2))
    half = x[:, :1] * x[:, 1:] / 2
    output = output_of(np.hstack([half, half]))
    assert model_additivity(output, columns_of(x), schema_of(2)) < 0.03


@pytest.mark.parametrize("shared", [0.0, 1.0])
@pytest.mark.parametrize("features", [1, 4, 12])
def test_model_additivity_of_noise_is_zero_however_few_rows(shared, features):
    estimates = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(240, features))
        own = rng.normal(size=(240, features))
        noise = shared * own[:, :1] + (1 - shared) * own
        estimates.append(
            model_additivity(output_of(noise), columns_of(x), schema_of(features))
        )
    # Means of 24 positions per feature alone would explain a tenth to all of it.
    assert np.mean(estimates) < 0.06


def test_model_additivity_between_zero_and_one():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (20_000, 3)) * 2.0 - 1
    # Variances: 4 + 1 from shapes, 5 from an interaction.
    f = np.stack(
        [2 * x[:, 0], x[:, 1] + np.sqrt(5) * x[:, 1] * x[:, 2], 0 * x[:, 2]], axis=1
    )
    np.testing.assert_allclose(
        model_additivity(output_of(f), columns_of(x), schema_of(3)), 0.5, atol=0.02
    )


def test_what_context_cancels_is_no_lack_of_additivity():
    x = np.random.default_rng(0).normal(size=(2000, 2))
    both = x[:, 0] * x[:, 1]
    output = output_of(np.stack([x[:, 0] + both, -both], axis=1))
    additivity = model_additivity(output, columns_of(x), schema_of(2))
    shapes = compute_shapes(output, columns_of(x), schema_of(2))
    assert additivity > 0.97
    assert shapes[0].additivity < 0.6


def test_model_additivity_without_evidence_is_one():
    x = np.arange(30.0).reshape(10, 3)
    for f in (np.zeros((10, 3)), x, np.stack([x[:, 0], -x[:, 0], x[:, 0] * 0], 1)):
        np.testing.assert_array_equal(
            model_additivity(output_of(f), columns_of(x), schema_of(3)), 1
        )
    one = output_of(x[:1])
    assert model_additivity(one, columns_of(x[:1]), schema_of(3)) == 1


def test_model_additivity_checks_its_input():
    with pytest.raises(ValueError, match="expected \\(rows, 2, outputs\\)"):
        model_additivity(output_of(np.zeros((3, 1))), {}, schema_of(2))
    with pytest.raises(ValueError, match="lacks the column 'x0'"):
        model_additivity(output_of(np.zeros((3, 1))), {}, schema_of(1))


def test_order_of_importance_needs_no_experts():
    output = output_of(np.arange(12.0).reshape(4, 3) * [1, 5, 2])
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert importance_order(compute_shapes(output, columns_of(x), schema_of(3))) == [
        1,
        2,
        0,
    ]
