"""What members say one by one, against sums by hand and the ensemble itself."""

import jax
import numpy as np
import pytest

from naejax import NAE, NAEEnsemble, predict
from naejax.explain import active_experts, agreement, member_contributions
from naejax.types import NAEOutput

pytestmark = pytest.mark.slow

MEMBERS = 3


@pytest.fixture(scope="module")
def ensemble():
    model = NAEEnsemble(NAE(num_outputs=2, num_experts=5, hidden=(8,)), size=MEMBERS)
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    return model, variables, x, predict(model, variables, x)


def output_of(f):
    """An ensemble of one expert each with contributions (S, B, F, C)."""
    experts = np.moveaxis(np.asarray(f, float), 0, 2)
    mean = experts.mean(axis=2)
    gates = np.full(experts.shape[:3], 1 / experts.shape[2])
    return NAEOutput(mean.sum(1), np.zeros(mean.shape[-1]), mean, gates, experts)


def test_members_are_the_models_alone(ensemble):
    model, variables, x, output = ensemble
    f = member_contributions(output, MEMBERS)
    for m in range(MEMBERS):
        own = {
            name: jax.tree.map(lambda leaf, m=m: leaf[m], value["member"])
            for name, value in variables.items()
        }
        alone = predict(model.member, own, x)
        np.testing.assert_allclose(f[m], alone.contributions, atol=1e-6)
    np.testing.assert_allclose(f.mean(axis=0), output.contributions, atol=1e-6)


def test_one_model_contributes_what_it_says(ensemble):
    output = ensemble[-1]
    np.testing.assert_array_equal(
        member_contributions(output, 1), output.contributions[None]
    )


def test_active_experts_make_the_members_contributions(ensemble):
    output = ensemble[-1]
    weights, values = active_experts(output, MEMBERS)
    # Two experts of each member speak.
    assert weights.shape == (MEMBERS, 40, 4, 2)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
    assert (np.diff(weights, axis=-1) <= 0).all()
    np.testing.assert_allclose(
        (weights[..., None] * values).sum(axis=-2),
        member_contributions(output, MEMBERS),
        atol=1e-6,
    )


def test_fewer_active_experts_are_padded_with_zeros():
    gates = np.array([[[0.0, 1.0, 0.0]], [[0.2, 0.5, 0.3]]])
    experts = np.arange(1.0, 7).reshape(2, 1, 3, 1)
    f = (gates[..., None] * experts).sum(axis=2)
    weights, values = active_experts(NAEOutput(f[:, 0], np.zeros(1), f, gates, experts))
    np.testing.assert_array_equal(weights[0, :, 0], [[1, 0, 0], [0.5, 0.3, 0.2]])
    np.testing.assert_array_equal(values[0, :, 0, :, 0], [[2, 0, 0], [5, 6, 4]])


def test_agreement_is_one_for_members_alike_up_to_constants():
    f = np.random.default_rng(0).normal(size=(1, 60, 2, 1))
    f = f + np.array([0.0, 5.0, -40.0]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(agreement(output_of(f), 3), 1)


@pytest.mark.parametrize("members", [2, 3, 8])
def test_agreement_is_the_share_in_common(members):
    rng = np.random.default_rng(members)
    common = rng.normal(size=(1, 20_000, 4, 1))
    own = rng.normal(size=(members, 20_000, 4, 1))
    share = np.array([0.0, 0.3, 0.7, 0.95]).reshape(4, 1)
    f = np.sqrt(share) * common + np.sqrt(1 - share) * own
    np.testing.assert_allclose(agreement(output_of(f), members), share, atol=0.03)


def test_agreement_of_unrelated_members_is_zero_on_average():
    f = np.random.default_rng(0).normal(size=(4, 12, 300, 1))
    # Clipped at 0, so a little above; without correction 1 / S and more.
    assert agreement(output_of(f), 4).mean() < 0.1


def test_members_that_contradict_each_other_do_not_agree():
    f = np.random.default_rng(0).normal(size=(1, 50, 1, 1))
    np.testing.assert_array_equal(agreement(output_of(np.concatenate([f, -f])), 2), 0)


def test_agreement_without_evidence_is_one():
    f = np.random.default_rng(0).normal(size=(2, 9, 1, 1))
    np.testing.assert_array_equal(agreement(output_of(f), 1), 1)
    np.testing.assert_array_equal(agreement(output_of(f[:, :1]), 2), 1)
    np.testing.assert_array_equal(agreement(output_of(f * 0 + 0.1), 2), 1)


@pytest.mark.parametrize("function", [member_contributions, active_experts, agreement])
@pytest.mark.parametrize("members", [0, 2])
def test_members_that_do_not_fit(function, members, ensemble):
    with pytest.raises(ValueError, match=f"15 experts .* to {members} members"):
        function(ensemble[-1], members)
