"""Parity with numbers computed by the authors' PyTorch code (tests/golden)."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import contribution_range, losses, penalties, predict
from naejax.interop import nae_from_torch

GOLDEN = Path(__file__).parent / "golden"
CASES = {"nae_a": "context", "nae_b": "context", "nae_e_a": "equal", "nae_d_a": "own"}


@pytest.fixture(scope="module", params=CASES)
def golden(request):
    """The file's arrays with the model and variables made from its state dict."""
    arrays = dict(np.load(GOLDEN / f"{request.param}.npz"))
    state = {k[3:]: v for k, v in arrays.items() if k.startswith("sd/")}
    top_k = int(arrays["config"][4])
    return arrays, *nae_from_torch(state, top_k, CASES[request.param])


def parts(model, variables, x):
    """Encodings, logits and output, in one program."""
    z, _ = model.apply(variables, x, method="encode")
    logits = model.apply(variables, x, method="router_logits")
    return z, logits, model.apply(variables, x)


def relative_error(got, expected) -> float:
    """Largest error relative to the largest expected number."""
    return float(np.abs(np.asarray(got) - expected).max() / np.abs(expected).max())


def test_parts_agree(golden):
    arrays, model, variables = golden
    run = jax.jit(partial(parts, model))
    z, logits, output = jax.tree.map(np.asarray, run(variables, arrays["x"]))
    # The gate "own" is told its logits.
    told = "router" if model.gate == "own" else "Z"
    assert relative_error(z.transpose(2, 0, 1), arrays[told]) < 1e-5
    assert relative_error(logits.transpose(2, 0, 1), arrays["router"]) < 1e-5
    assert relative_error(output.experts[..., 0], arrays["experts"]) < 1e-5
    for ours, theirs in (
        (output.gates, "gates"),
        (output.contributions[..., 0], "contrib"),
        (output.prediction[:, 0], "pred"),
    ):
        if theirs in arrays:
            assert relative_error(ours, arrays[theirs]) < 1e-5


def golden_loss(variables, model, arrays):
    """Task loss + 0.3 expert variance + 0.05 output energy, as the files have it."""
    output = model.apply(variables, jnp.asarray(arrays["x"]))
    is_binary = set(np.unique(arrays["y"])) <= {0.0, 1.0}
    task = losses.logistic if is_binary else losses.squared
    strengths = {"expert_variance": 0.3, "output_energy": 0.05}
    return task(output.prediction, jnp.asarray(arrays["y"])).mean() + penalties.total(
        output, strengths
    )


def test_loss_agrees(golden):
    arrays, model, variables = golden
    if "loss" not in arrays:
        assert model.gate == "own"  # the original draws its gates at random
        return
    value = jax.jit(lambda v: golden_loss(v, model, arrays))(variables)
    assert relative_error(value, arrays["loss"]) < 1e-5


def test_gradients_agree(golden):
    arrays, model, variables = golden
    theirs = {k[5:]: v for k, v in arrays.items() if k.startswith("grad/")}
    if not theirs:
        assert model.gate in ("own", "equal")  # no gradients are stored for these
        return
    gradient = jax.jit(jax.grad(lambda v: golden_loss(v, model, arrays)))(variables)
    ours = jax.tree.map(np.asarray, gradient["params"])
    encoder, router = ours["features"]["encoder"], ours["gates"]["router"]["dense"]
    experts = ours["features"]["experts"]["dense"]
    width, blocks = len(arrays["sd/norm.bias"]), int(arrays["config"][2])
    renamed = {
        "bias": ours["bias"][None],
        "experts.w": experts["kernel"][..., 0],
        "experts.b": experts["bias"][None, ..., 0],
        "router.weight": router["kernel"]
        .reshape(len(theirs["router.weight"][0]), -1)
        .T,
        "router.bias": router["bias"].reshape(-1),
        # One norm there, a copy per feature and block here: the gradients add up.
        "norm.weight": sum(
            encoder[f"norm_{b}"]["scale"].reshape(-1, width).sum(0)
            for b in range(blocks)
        ),
        "norm.bias": sum(
            encoder[f"norm_{b}"]["bias"].reshape(-1, width).sum(0)
            for b in range(blocks)
        ),
    }
    for block in range(blocks):
        dense = encoder[f"dense_{block}"]
        renamed[f"enc_list.{block}.0.w"] = dense["kernel"].mT
        renamed[f"enc_list.{block}.0.b"] = dense["bias"][None]
    assert renamed.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert renamed[name].shape == gradient.shape
        # Every number is held to the largest of its tensor, or to the whole gradient
        # where the true value is zero but for rounding (a bias before a norm).
        scale = max(np.abs(gradient).max(), 1e-3)
        assert float(np.abs(np.asarray(renamed[name]) - gradient).max()) < 1e-4 * scale


def test_bounds_hold_on_original_weights(golden):
    arrays, model, variables = golden
    output = predict(model, variables, arrays["x"], chunk_rows=len(arrays["x"]))
    lower, upper = contribution_range(output)
    assert (output.contributions >= lower - 1e-6).all()
    assert (output.contributions <= upper + 1e-6).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("experts.w"), "no tensor 'experts.w'"),
        (lambda s: s.pop("enc_list.0.0.w"), "no tensor 'enc_list.0.0.w'"),
        (lambda s: s.update(extra=np.ones(1)), "also holds"),
        (lambda s: s.update({"router.bias": np.ones(3)}), "expected"),
        (lambda s: s.update({"enc_list.0.0.w": np.ones(3)}), "expected 3 axes"),
    ],
)
def test_wrong_state_dict_is_named(change, message):
    arrays = np.load(GOLDEN / "nae_a.npz")
    state = {k[3:]: arrays[k] for k in arrays if k.startswith("sd/")}
    change(state)
    with pytest.raises(ValueError, match=message):
        nae_from_torch(state)


def test_wrong_gate_is_named():
    arrays = np.load(GOLDEN / "nae_d_a.npz")
    state = {k[3:]: arrays[k] for k in arrays if k.startswith("sd/")}
    with pytest.raises(ValueError, match=r"no tensor 'router\.weight'"):
        nae_from_torch(state, gate="context")
    with pytest.raises(ValueError, match="expected 'context'"):
        nae_from_torch(state, gate="none")
