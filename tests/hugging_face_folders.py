"""Folders as Hugging Face's transformers writes them, without it.

Weights and inputs follow from names, by the rule of experiments/golden_transformers.py.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from naejax.interop import bert_from_hugging_face, vit_from_hugging_face

GOLDEN = Path(__file__).parent / "golden" / "transformers.npz"
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
VIT = {"model_type": "vit", "hidden_act": "gelu", "layer_norm_eps": 1e-12}
BERT = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}
CONFIGS = {
    "vit_small": {
        **VIT,
        **SMALL,
        "image_size": [24, 32],
        "patch_size": 8,
        "layer_norm_eps": 0.02,
    },
    "vit_plain": {
        **VIT,
        **SMALL,
        "image_size": 16,
        "patch_size": 8,
        "num_channels": 1,
        "qkv_bias": False,
        "hidden_act": "gelu_new",
    },
    "vit_base": {**VIT, **BASE, "image_size": 224, "patch_size": 16, "qkv_bias": True},
    "bert_small": {
        **BERT,
        **SMALL,
        "vocab_size": 30,
        "max_position_embeddings": 12,
        "layer_norm_eps": 0.02,
        "pad_token_id": 3,
    },
    "bert_base": {**BERT, **BASE, "vocab_size": 30522, "max_position_embeddings": 512},
}
SMALL_CASES = ["vit_small", "vit_plain", "bert_small"]


def uniform(name, shape):
    """Numbers in [-1, 1) that follow from a name."""
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    return ((bits >> 40) / 2**23 - 1).astype(np.float32).reshape(shape)


def weight(name, shape):
    values = uniform(name, shape)
    if "norm" in name.lower() and name.endswith("weight"):
        return 1 + values / 4
    if len(shape) == 1:
        return values / 4
    if "embeddings" in name and "projection" not in name:
        return values
    return values * np.float32(math.sqrt(3 / math.prod(shape[1:])))


def state_of(case):
    """The tensors of a case by their names."""
    file = np.load(GOLDEN)
    shapes = [json.loads(str(s)) for s in file[f"{case}/shapes"]]
    names = [str(n) for n in file[f"{case}/names"]]
    return {n: weight(n, s) for n, s in zip(names, shapes, strict=True)}


def write(folder, config, state):
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


def load(folder, **options):
    """The model and variables of a folder of either kind."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    if kind == "vit":
        return vit_from_hugging_face(folder, **options)
    return bert_from_hugging_face(folder, **options)


def inputs(case):
    """Images; or tokens of texts, their types, and which are no padding."""
    config = CONFIGS[case]
    if case.startswith("vit"):
        size = config["image_size"]
        size = size if isinstance(size, list) else [size, size]
        images = uniform(case, (2, config.get("num_channels", 3), *size))
        return [images.transpose(0, 2, 3, 1)]
    length = min(config["max_position_embeddings"] - 2, 24)
    tokens = ((uniform(case, (2, length)) + 1) / 2 * config["vocab_size"]).astype(int)
    second = np.tile(np.arange(length) >= length // 2, (2, 1)).astype(int)
    present = (np.arange(length) < np.array([[length], [length - 3]])).astype(int)
    return [tokens, second, present]
