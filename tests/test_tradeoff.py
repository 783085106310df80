"""Along the expert variance penalty a model turns additive (nae.md, statement 4)."""

import jax
import numpy as np
import pytest

from naejax import NAE, fit, penalties, predict
from naejax.data import make_synthetic

STRENGTHS = (0.001, 0.1, 10.0, 1000.0)


def additivity(contributions: np.ndarray, x: np.ndarray, bins: int = 20) -> float:
    """Mean over features of Var(E[f_i | x_i]) / Var(f_i), by equal-count bins."""
    shares = []
    for i in range(x.shape[1]):
        order = np.argsort(x[:, i])
        groups = contributions[order, i].reshape(bins, -1)
        shares.append(groups.mean(1).var() / contributions[:, i].var())
    return float(np.mean(shares))


@pytest.mark.optimised
def test_more_penalty_less_expert_variance_more_additivity():
    data = make_synthetic("multimodal", rows=2000, seed=0)
    x, y = data.x.astype(np.float32), (data.y / data.y.std()).astype(np.float32)
    model = NAE(num_experts=8, hidden=(32, 32))
    variance = np.zeros((2, len(STRENGTHS)))
    shares, errors = np.zeros_like(variance), np.zeros_like(variance)
    for seed in range(len(variance)):
        variables = jax.jit(model.init)(jax.random.key(seed), x[:1])
        for j, strength in enumerate(STRENGTHS):
            result = fit(
                model,
                variables,
                (x, y),
                optimizer=3e-3,
                epochs=40,
                batch_size=128,
                seed=seed,
                penalties={"expert_variance": strength},
                progress=False,
            )
            output = predict(model, result.variables, x)
            variance[seed, j] = penalties.expert_variance(output)
            # The other features are noise: their contributions hardly vary.
            shares[seed, j] = additivity(output.contributions[:, :2, 0], x[:, :2])
            errors[seed, j] = result.history[-1]["loss"]
    assert (np.diff(variance.mean(0)) < 0).all(), variance
    assert variance[:, -1].max() < 1e-3 * variance[:, 0].min(), variance
    assert (np.diff(shares.mean(0)) > -0.01).all() and shares[:, -1].min() > 0.99, (
        shares
    )
    # The interaction is what the additive end can no longer fit.
    assert errors[:, -1].min() > 3 * errors[:, 0].max(), errors


@pytest.mark.optimised
def test_default_model_predicts_the_same_row_bitwise_the_same():
    """With the compiler's optimisations on, at the default architecture."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 8)).astype(np.float32)
    model = NAE()
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])
    whole = predict(model, variables, x)
    order = rng.permutation(len(x))
    mixed = predict(model, variables, x[order])
    for name in ("prediction", "contributions", "gates", "experts"):
        assert (getattr(whole, name)[order] == getattr(mixed, name)).all(), name
    for row in rng.choice(len(x), 20):
        alone = predict(model, variables, x[row : row + 1])
        assert (alone.prediction[0] == whole.prediction[row]).all()


@pytest.mark.optimised
def test_same_seed_is_bitwise_the_same_with_optimisations():
    data = make_synthetic("friedman1", rows=1000, seed=0)
    x, y = data.x.astype(np.float32), (data.y / data.y.std()).astype(np.float32)
    model = NAE(num_experts=8, hidden=(16, 16), dropout=0.1, expert_dropout=0.1)
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])
    runs = [
        fit(model, variables, (x, y), epochs=3, seed=5, progress=False)
        for _ in range(2)
    ]
    first, second = (jax.tree.leaves(run.variables) for run in runs)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
