"""Folders of Hugging Face: what they may look like, and what is refused."""

import json
import sys
import types

import jax
import ml_dtypes
import numpy as np
import pytest
from hugging_face_folders import CONFIGS, SMALL_CASES, load, state_of, write
from safetensors.numpy import load_file, save_file

from naejax.interop import bert_from_hugging_face, vit_from_hugging_face


@pytest.fixture
def folder(tmp_path, request):
    """A folder of the case that is the parameter."""
    return write(tmp_path, CONFIGS[request.param], state_of(request.param))


def test_settings_come_from_the_folder(tmp_path):
    config = {**CONFIGS["bert_small"], "hidden_act": "relu"}
    model, _ = load(write(tmp_path, config, state_of("bert_small")))
    assert (model.num_outputs, model.heads, model.activation) == (3, 2, "relu")
    assert (model.removed, model.epsilon) == (3, 0.02)
    for key in ("pad_token_id", "layer_norm_eps", "hidden_act"):
        del config[key]
    model, _ = load(write(tmp_path, config, state_of("bert_small")))
    assert (model.removed, model.epsilon, model.activation) == (0, 1e-12, "gelu")


def same(one, other):
    return jax.tree.all(jax.tree.map(np.array_equal, one[1], other[1]))


@pytest.mark.parametrize("folder", SMALL_CASES, indirect=True)
def test_several_files_hold_the_same_model(folder):
    whole = load(folder)
    path = folder / "model.safetensors"
    state = load_file(path)
    path.unlink()
    names, places = sorted(state), {}
    for i, part in enumerate((names[::2], names[1::2])):
        file = f"model-{i}.safetensors"
        save_file({n: state[n] for n in part}, folder / file)
        places |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert same(load(folder), whole)
    for bad in ({}, {"a": "../model-0.safetensors"}, {"a": 1}):
        index.write_text(json.dumps({"weight_map": bad}))
        with pytest.raises(ValueError, match="no weight_map of file names"):
            load(folder)
    index.write_text(json.dumps({"weight_map": {"a": "none.safetensors"}}))
    with pytest.raises(ValueError, match=r"cannot read .*none\.safetensors"):
        load(folder)


def test_old_names_and_counted_positions_are_known(tmp_path):
    state, config = state_of("bert_small"), CONFIGS["bert_small"]
    whole = load(write(tmp_path, config, state))
    old = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): a
        for n, a in state.items()
    }
    old["bert.embeddings.position_ids"] = np.arange(12)[None]
    old["cls.seq_relationship.bias"] = np.ones(2)
    assert same(load(write(tmp_path, config, old)), whole)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_weights_of_any_precision_become_float32(tmp_path, dtype):
    state = {n: a.astype(dtype) for n, a in state_of("vit_small").items()}
    _, variables = load(write(tmp_path, CONFIGS["vit_small"], state))
    kernel = variables["params"]["classifier"]["kernel"]
    assert kernel.dtype == np.float32
    assert np.array_equal(kernel.T, state["classifier.weight"].astype(np.float32))


@pytest.mark.parametrize("case", ["vit_small", "bert_small"])
@pytest.mark.parametrize("bare", [True, False])
def test_models_without_classifier_get_a_new_one(tmp_path, case, bare):
    """As the base models save themselves: their names have no beginning."""
    state, prefix = state_of(case), f"{case[: case.index('_')]}."
    whole = load(write(tmp_path, CONFIGS[case], state))
    if bare:
        state = {
            n.removeprefix(prefix): a for n, a in state.items() if "classifier" not in n
        }
        if case == "vit_small":
            state["pooler.dense.weight"] = np.ones((16, 16), np.float32)
        write(tmp_path, CONFIGS[case], state)
        with pytest.raises(ValueError, match=r"no tensor 'classifier\.weight'; pass"):
            load(tmp_path)
    model, variables = load(tmp_path, num_outputs=5)
    last = variables["params"].pop("classifier")
    assert model.num_outputs == 5 and last["kernel"].shape == (16, 5)
    spread = np.std(last["kernel"]) / (0.02 * np.sqrt(768 / 16))
    assert 0.6 < spread < 1.2 and not last["bias"].any()
    del whole[1]["params"]["classifier"]
    assert same((model, variables), whole)


POSITIONS = "vit.embeddings.position_embeddings"
DENSE = "vit.encoder.layer.1.attention.output.dense.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(DENSE), f"has no tensor '{DENSE}'; it holds"),
        (
            lambda s: s.update({DENSE: np.ones((16, 1))}),
            rf"tensor '{DENSE}' of shape \(16, 1\), expected \(16,\)",
        ),
        (
            lambda s: s.update({"vit.extra": np.ones(1)}),
            r"also holds tensors \['vit\.extra'\] \(1 in all\)",
        ),
        (
            lambda s: s.update({POSITIONS: np.ones((1, 5, 16))}),
            r"of shape \(1, 5, 16\), expected \(1, 13, 16\)",
        ),
    ],
)
def test_wrong_tensors_are_named(tmp_path, change, message):
    state = state_of("vit_small")
    change(state)
    with pytest.raises(ValueError, match=message) as stop:
        load(write(tmp_path, CONFIGS["vit_small"], state))
    assert str(tmp_path) in str(stop.value) and "\n" not in str(stop.value)


def test_blocks_beyond_the_settings_are_refused(tmp_path):
    config = {**CONFIGS["vit_small"], "num_hidden_layers": 2}
    with pytest.raises(ValueError, match=r"encoder\.layer\.2.*16 in all"):
        load(write(tmp_path, config, state_of("vit_small")))


@pytest.mark.parametrize(
    ("case", "key", "value", "message"),
    [
        ("vit_small", "hidden_size", None, "has no 'hidden_size'; add it"),
        ("vit_small", "hidden_size", "16", "'16', expected a whole number from 1 on"),
        ("vit_small", "hidden_size", 0, "0, expected a whole number from 1 on"),
        ("vit_small", "hidden_act", "swish", "'swish', expected 'gelu' or 'gelu_new'"),
        ("vit_small", "hidden_act", ["gelu"], r"\['gelu'\], expected 'gelu' or"),
        ("vit_small", "layer_norm_eps", -1, "-1, expected a number above 0"),
        ("vit_small", "image_size", None, "has no 'image_size'"),
        ("vit_small", "image_size", [24, 30], "expected one or two multiples of patch"),
        ("vit_small", "image_size", "24", "expected one or two multiples of patch"),
        ("vit_small", "qkv_bias", "no", "'no', expected True or False"),
        ("bert_small", "vocab_size", None, "has no 'vocab_size'"),
        ("bert_small", "position_embedding_type", "relative_key", "'absolute'"),
        ("bert_small", "is_decoder", True, "True, expected False"),
    ],
)
def test_wrong_settings_are_named(tmp_path, case, key, value, message):
    config = {**CONFIGS[case], key: value}
    with pytest.raises(ValueError, match=message) as stop:
        load(write(tmp_path, config, {"a": np.ones(1)}))
    assert f"{tmp_path / 'config.json'} has" in str(stop.value)
    assert repr(key) in str(stop.value) and "\n" not in str(stop.value)


def test_other_models_are_refused(tmp_path):
    write(tmp_path, {**CONFIGS["bert_small"], "model_type": "roberta"}, {})
    with pytest.raises(ValueError, match="'model_type': 'roberta', expected 'bert'"):
        bert_from_hugging_face(tmp_path)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json; download it"):
        vit_from_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["vit_small"]))
    with pytest.raises(ValueError, match=r"has no model\.safetensors; download it"):
        vit_from_hugging_face(tmp_path)
    with pytest.raises(ValueError, match=r"config\.json is a file, expected a folder"):
        vit_from_hugging_face(tmp_path / "config.json")


def test_a_pickle_is_never_opened(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["vit_small"]))
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"has pytorch_model\.bin, a pickle"):
        vit_from_hugging_face(tmp_path)


@pytest.mark.parametrize("folder", ["vit_small"], indirect=True)
@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_truncated_files_are_named(folder, file):
    content = (folder / file).read_bytes()
    for length in (0, 4, 9, len(content) // 2, len(content) - 1):
        (folder / file).write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"cannot read .*{file}") as stop:
            vit_from_hugging_face(folder)
        assert "\n" not in str(stop.value)


def test_without_the_hub_a_folder_must_exist(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"a/b does not exist.* or pip install"):
        vit_from_hugging_face("a/b")


@pytest.mark.parametrize("folder", ["vit_small"], indirect=True)
def test_models_of_the_hub_are_downloaded(folder, monkeypatch):
    """By a stand-in for the package: tests reach no network."""
    calls = []

    def snapshot_download(name, allow_patterns):
        calls.append((name, allow_patterns))
        if name != "a/b":
            raise OSError("404\nnot found")
        return str(folder)

    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert same(vit_from_hugging_face("a/b"), vit_from_hugging_face(folder))
    assert len(calls) == 1 and "*.safetensors" in calls[0][1]
    assert not any("bin" in p or p in ("*", "*.*") for p in calls[0][1])
    with pytest.raises(ValueError, match=r"no model .* downloaded \(OSError: 404\)"):
        vit_from_hugging_face("a/c")
