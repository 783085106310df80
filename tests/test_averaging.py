"""The mean of parameters: its closed form, and what training returns of it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from naejax import NAE, fit
from naejax.train.optimizer import best_guess, mean_of_parameters
from naejax.train.population import fit_population

MODEL = NAE(num_experts=2, hidden=(4,), num_knots=3)
X = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
DATA = (X, X[:, 0])
VARIABLES = jax.jit(MODEL.init)(jax.random.key(0), X)


def weights(decay: float, steps: int) -> np.ndarray:
    """How much of the parameters before and after each step is in the mean."""
    keep = np.minimum(decay, np.arange(1, steps + 1) / (np.arange(1, steps + 1) + 9))
    later = np.append(np.cumprod(keep[::-1])[::-1], 1.0)
    return later * np.append(1.0, 1 - keep)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99])
def test_the_mean_is_that_of_the_closed_form(decay):
    path = np.random.default_rng(0).normal(size=(41, 3)).astype(np.float32)
    mean = mean_of_parameters(decay)
    state = mean.init({"w": jnp.asarray(path[0])})
    update = jax.jit(mean.update)
    for now, then in itertools.pairwise(path):
        step = {"w": jnp.asarray(then - now)}
        updates, state = update(step, state, {"w": jnp.asarray(now)})
        np.testing.assert_array_equal(updates["w"], step["w"])
    share = weights(decay, 40)
    assert share.sum() == pytest.approx(1) and int(state.step) == 40
    np.testing.assert_allclose(state.mean["w"], share @ path, atol=1e-5)


def test_the_mean_is_found_wherever_it_is_in_the_optimizer():
    params = {"w": jnp.ones(2)}
    mean = mean_of_parameters(0.9)
    for optimizer in (mean, optax.chain(optax.adam(1e-3), mean)):
        state = optimizer.init({"w": jnp.zeros(2)})
        assert best_guess(params, state)["w"].tolist() == [0, 0]
    state = optax.adam(1e-3).init({"w": jnp.zeros(2)})
    assert best_guess(params, state)["w"].tolist() == [1, 1]


def parameters_of_epochs(epochs: int) -> list:
    """Initial parameters, and those after every epoch of a single step."""
    found = [VARIABLES["params"]]
    options = {"batch_size": 32, "optimizer": optax.sgd(0.1), "progress": False}
    for count in range(1, epochs + 1):
        result = fit(MODEL, VARIABLES, DATA, epochs=count, **options)
        found.append(result.variables["params"])
    return found


@pytest.mark.parametrize("averaging", [0.0, 0.3])
def test_fit_returns_the_mean_and_without_averaging_the_parameters(averaging):
    """Of a plain descent, whose steps do not depend on how many there are."""
    steps = parameters_of_epochs(3)
    found = fit(
        MODEL,
        VARIABLES,
        DATA,
        epochs=3,
        batch_size=32,
        optimizer=optax.sgd(0.1),
        averaging=averaging,
        progress=False,
    ).variables
    share = weights(averaging, 3) if averaging else [0, 0, 0, 1]
    expected = jax.tree.map(lambda *a: sum(map(np.multiply, share, a)), *steps)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        found["params"],
        expected,
    )
    np.testing.assert_array_equal(found["knots"]["at"], VARIABLES["knots"]["at"])


def test_validation_judges_the_mean():
    """The kept epoch's loss is that of the variables that come back."""
    result = fit(
        MODEL,
        VARIABLES,
        DATA,
        validation=DATA,
        epochs=6,
        batch_size=16,
        optimizer=0.1,
        averaging=0.9,
        progress=False,
    )
    output = jax.jit(MODEL.apply)(result.variables, X)
    loss = float(np.mean((output.prediction[:, 0] - X[:, 0]) ** 2))
    best = result.history[result.best_epoch - 1]
    assert loss == pytest.approx(best["validation"], rel=1e-4)
    plain = fit(
        MODEL,
        VARIABLES,
        DATA,
        validation=DATA,
        epochs=6,
        batch_size=16,
        optimizer=0.1,
        progress=False,
    )
    assert plain.history[-1]["loss"] == pytest.approx(result.history[-1]["loss"])
    assert plain.history[-1]["validation"] != best["validation"]


@pytest.mark.parametrize("averaging", [-0.1, 1.0, float("nan")])
def test_decays_that_cannot_be_are_refused(averaging):
    message = r"averaging is .*, expected a decay in \[0, 1\)"
    with pytest.raises(ValueError, match=message):
        fit(MODEL, VARIABLES, DATA, averaging=averaging, progress=False)
    stacked = jax.tree.map(lambda a: a[None], VARIABLES)
    with pytest.raises(ValueError, match=message):
        fit_population(
            MODEL,
            stacked,
            DATA,
            np.arange(32)[None],
            seeds=[0],
            averaging=averaging,
            progress=False,
        )
