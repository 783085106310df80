"""Training of Sum-of-Parts: many devices, and steps that convolve on a CPU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.objectives import losses
from naejax.ops.chunks import must_unroll
from naejax.train import chunk
from naejax.train.batch import Batch, make_batch
from naejax.train.chunk import make_run_chunk
from naejax.train.loop import fit
from naejax.train.step import init_state, make_train_step


@pytest.fixture(scope="module")
def case():
    """A model, its variables, images and classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 8, 8, 1)).astype(np.float32)
    y = rng.integers(3, size=16).astype(np.int32)
    cnn = CNN(3, channels=(4, 6), hidden=(5,))
    backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), x))
    model = SumOfParts(backbone, 3, num_groups=4, keep=0.3, encoder="copy")
    return model, jax.jit(model.init)(jax.random.key(1), x), x, y


@pytest.mark.parametrize("devices", [4])
@pytest.mark.slow
def test_devices_together_make_the_step_of_one(case, devices):
    model, variables, x, y = case
    strengths = {"coverage": 0.1, "diversity": 0.1}
    optimizer = optax.sgd(0.1)
    step = make_train_step(model, losses.softmax_cross_entropy, optimizer, strengths)
    batch = Batch(jnp.asarray(x), jnp.asarray(y), jnp.ones(16).at[13:].set(0.0))
    state = init_state(variables, optimizer, seed=0)
    single, sums = jax.jit(step)(state, batch)
    split = jax.tree.map(lambda a: a.reshape(devices, -1, *a.shape[1:]), batch)
    together, psums = jax.pmap(
        partial(step, axis_name="data"),
        axis_name="data",
        in_axes=(None, 0),
        out_axes=(None, None),
        devices=jax.devices()[:devices],
    )(state, split)
    for ours, theirs in zip(
        *map(jax.tree.leaves, (single.params, together.params)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(psums, sums, rtol=1e-5)


def test_steps_one_by_one_are_the_steps_of_the_scan(case, monkeypatch):
    """On a CPU a step that convolves is called for each batch; results are the same."""
    model, variables, x, y = case
    # Not Adam, which makes whole steps of gradients that are only rounding.
    optimizer = optax.sgd(1e-1)
    step = make_train_step(model, losses.softmax_cross_entropy, optimizer, {})
    rows = np.arange(16).reshape(4, 4)
    traces = []

    def counted(state, batch):
        traces.append(1)
        return step(state, batch)

    results = {}
    for unroll in (True, False):
        monkeypatch.setattr(chunk, "must_unroll", lambda jaxpr, u=unroll: u)
        state = init_state(jax.tree.map(jnp.array, variables), optimizer, seed=0)
        state, metrics = make_run_chunk(counted)(state, make_batch(x, y), rows)
        results[unroll] = (state.params, metrics)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        *results.values(),
    )
    # The scan is traced to find the convolution; the single step once, not per batch.
    assert len(traces) == 3


def test_a_step_that_convolves_leaves_the_scan(case):
    model, variables, x, _ = case

    def forward(x):
        return model.apply(variables, x).prediction

    assert must_unroll(jax.make_jaxpr(forward)(x))
    assert not must_unroll(jax.make_jaxpr(lambda x: x @ x.mT)(x))


@pytest.mark.slow
def test_the_callers_variables_survive_and_the_best_epoch_is_whole(case):
    model, variables, x, y = case
    before = jax.tree.map(np.array, variables)
    result = fit(
        model,
        variables,
        (x, y),
        loss="softmax_cross_entropy",
        epochs=3,
        batch_size=8,
        validation=(x, y),
        progress=False,
    )
    jax.tree.map(np.testing.assert_array_equal, before, variables)
    assert jax.tree.structure(result.variables) == jax.tree.structure(dict(variables))
    best = min(h["validation"] for h in result.history)
    prediction = predict(model, result.variables, x, chunk_rows=16).prediction
    score = losses.softmax_cross_entropy(prediction, y)
    assert float(score.mean()) == pytest.approx(best, rel=1e-4)
