"""Sum-of-Parts against numbers that the authors' PyTorch code computed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.interop import sop_from_torch
from naejax.models.backbones import from_function
from naejax.models.sop import SumOfParts

GOLDEN = Path(__file__).parent / "golden"


def golden_backbone(state):
    """The small network of the golden files: conv, tanh, mean pool, two linear maps."""

    def apply(params, x):
        layout = ("NHWC", "HWIO", "NHWC")
        kernel = params["c.weight"].transpose(2, 3, 1, 0)
        h = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=layout
        )
        h = jnp.tanh(h + params["c.bias"].reshape(1, 1, 1, -1))
        batch, side, _, channels = h.shape
        h = h.reshape(batch, 4, side // 4, 4, side // 4, channels).mean((2, 4))
        h = h.transpose(0, 3, 1, 2).reshape(batch, -1)
        pooled = jax.nn.relu(h @ params["f.weight"].T + params["f.bias"][None])
        scores = pooled @ params["classifier.weight"].T
        return scores + params["classifier.bias"][None], pooled

    prefix = "blackbox_model."
    params = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    return from_function(apply, params)


@pytest.fixture(params=["sop_a", "sop_b"], scope="module")
def case(request):
    """The file, the model, its variables and its output."""
    file = np.load(GOLDEN / f"{request.param}.npz")
    state = {name[3:]: file[name] for name in file.files if name[:3] == "sd/"}
    _, _, patch, width, _, outputs, heads, groups, blur = file["cfg"].tolist()
    model = SumOfParts(
        golden_backbone(state),
        outputs,
        num_groups=groups,
        keep=float(file["k"]),
        scale="signed",
        heads=heads,
        patch=patch,
        width=width,
        generator_scale=float(file["gen_scale"]),
        selector_scale=float(file["sel_scale"]),
        blur=blur,
        blur_sigma=float(file["blur_sigma"]),
        chunk=7,
    )
    x = file["x"].transpose(0, 2, 3, 1)
    backbone = {"params": model.backbone.params}
    variables = {"params": sop_from_torch(state), "backbone": backbone}
    return file, model, variables, jax.jit(model.apply)(variables, x)


def test_masks_are_the_same_parts(case):
    file, _, _, output = case
    np.testing.assert_array_equal(output.masks, file["out/masks"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss_scale", lambda o: o.scale),
        ("logits_all", lambda o: o.scale[..., None] * o.group_scores),
        ("mask_weights", lambda o: o.selection),
        ("group_attributions", lambda o: o.contributions),
        ("logits", lambda o: o.prediction),
    ],
)
def test_every_part_is_the_same_number(case, name, value):
    file, _, _, output = case
    np.testing.assert_allclose(value(output), file[f"out/{name}"], rtol=1e-5, atol=1e-5)


def test_the_backbone_is_the_same(case):
    file, model, _, _ = case
    x = jnp.asarray(file["x"].transpose(0, 2, 3, 1))
    output = model.backbone.apply(model.backbone.params, x)
    np.testing.assert_allclose(output.scores, file["backbone/logits"], atol=1e-5)
    np.testing.assert_allclose(output.pooled, file["backbone/pooled"], atol=1e-5)


def test_converted_variables_are_those_of_the_model(case):
    file, model, variables, _ = case
    x = file["x"].transpose(0, 2, 3, 1)
    expected = jax.eval_shape(model.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("class_weights"), "no tensor 'class_weights'.*Sum-of-Parts"),
        (lambda s: s.pop("input_attn.multihead_attns.0.input_weights"), "no tensor"),
        (
            lambda s: s.update({"projection.bias": np.zeros(3)}),
            r"projection.bias.*expected \(10,\)",
        ),
    ],
)
def test_a_wrong_state_dict_is_refused(change, message):
    file = np.load(GOLDEN / "sop_a.npz")
    state = {name[3:]: file[name] for name in file.files if name[:3] == "sd/"}
    change(state)
    with pytest.raises(ValueError, match=message):
        sop_from_torch(state)
