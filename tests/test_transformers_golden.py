"""ViT and BERT against the numbers of Hugging Face's transformers (tests/golden)."""

import jax
import numpy as np
import pytest
from hugging_face_folders import (
    CONFIGS,
    GOLDEN,
    SMALL_CASES,
    inputs,
    load,
    state_of,
    write,
)


def hold_to_golden(case, folder):
    """Scores and the states after every block are those of transformers."""
    file, (model, variables) = np.load(GOLDEN), load(folder)
    whole = file[f"{case}/hidden"].shape[-1] == model.width

    @jax.jit
    def run(variables, *arrays):
        return model.apply(
            variables,
            *arrays,
            capture_intermediates=lambda module, _: "block_" in str(module.name),
        )

    output, captured = run(variables, *inputs(case))
    scores = file[f"{case}/scores"]
    assert output.scores.shape == scores.shape
    assert np.allclose(output.scores, scores, rtol=0, atol=1e-4)
    captured = captured["intermediates"]
    found = [captured[f"block_{i}"]["__call__"][0] for i in range(model.depth)]
    found = np.stack(found)
    hidden, norms = file[f"{case}/hidden"][1:], file[f"{case}/norms"][1:]
    part = found if whole else found[:, :, :5, ::32]
    assert np.allclose(part, hidden, rtol=0, atol=1e-4 * max(1, np.abs(hidden).max()))
    assert np.allclose(np.linalg.norm(found, axis=(2, 3)), norms, rtol=1e-5)
    # The features are the second to last of transformers' hidden states.
    features = output.features.reshape(2, -1, model.width)
    skip = found.shape[2] - features.shape[1]
    assert np.array_equal(features, found[-2][:, skip:])


@pytest.mark.parametrize("case", SMALL_CASES)
def test_small_models_compute_what_transformers_computes(case, tmp_path):
    hold_to_golden(case, write(tmp_path, CONFIGS[case], state_of(case)))


@pytest.mark.optimised
@pytest.mark.parametrize("case", ["vit_base", "bert_base"])
def test_base_models_compute_what_transformers_computes(case, tmp_path):
    hold_to_golden(case, write(tmp_path, CONFIGS[case], state_of(case)))
    (tmp_path / "model.safetensors").unlink()  # pytest would keep some 300 MB


@pytest.mark.parametrize("case", SMALL_CASES)
def test_parameters_are_those_that_the_model_makes(case, tmp_path):
    model, variables = load(write(tmp_path, CONFIGS[case], state_of(case)))
    made = jax.eval_shape(model.init, jax.random.key(0), *inputs(case))
    told = jax.tree.map(lambda a: (a.shape, a.dtype), variables)
    assert told == jax.tree.map(lambda a: (a.shape, a.dtype), made)
