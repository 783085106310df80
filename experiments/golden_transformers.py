"""Writes tests/golden/transformers.npz with the PyPI package transformers.

Command: pip install torch transformers && python experiments/golden_transformers.py
Time: a minute; about 1 GB of memory.

In an environment of its own: naejax needs neither package. Scores and hidden states of
ViTForImageClassification and BertForSequenceClassification (transformers 5.17, torch
2.13) whose weights follow from the names of their tensors, so that tests make the same
ones without torch. The file holds, for every case, the names and shapes as they stand
in model.safetensors, the scores, and the hidden states: whole for small models, else a
part of them and their norms.
"""

import argparse
import math
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

SMALL = dict(
    hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24
)
CASES = {
    "vit_small": dict(
        **SMALL, image_size=[24, 32], patch_size=8, layer_norm_eps=0.02, num_labels=3
    ),
    "vit_plain": dict(
        **SMALL,
        image_size=16,
        patch_size=8,
        num_channels=1,
        qkv_bias=False,
        hidden_act="gelu_new",
        num_labels=2,
    ),
    "vit_base": dict(num_labels=10),
    "bert_small": dict(
        **SMALL,
        vocab_size=30,
        max_position_embeddings=12,
        layer_norm_eps=0.02,
        pad_token_id=3,
        num_labels=3,
    ),
    "bert_base": dict(num_labels=2),
}


def uniform(name, shape):
    """Numbers in [-1, 1) that follow from a name."""
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    return ((bits >> 40) / 2**23 - 1).astype(np.float32).reshape(shape)


def weight(name, shape):
    """A tensor that keeps what flows through the model at size 1 or so."""
    values = uniform(name, shape)
    if "norm" in name.lower() and name.endswith("weight"):
        return 1 + values / 4
    if len(shape) == 1:
        return values / 4
    if "embeddings" in name and "projection" not in name:
        return values
    return values * np.float32(math.sqrt(3 / math.prod(shape[1:])))


def make(case):
    """The model, and the shapes of the tensors in its file by their names."""
    kind, options = case.partition("_")[0], CASES[case]
    model, config = {
        "vit": (ViTForImageClassification, ViTConfig),
        "bert": (BertForSequenceClassification, BertConfig),
    }[kind]
    with tempfile.TemporaryDirectory() as folder:
        model(config(**options)).save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        shapes = {name: array.shape for name, array in load_file(path).items()}
        state = {name: weight(name, shape) for name, shape in shapes.items()}
        save_file(state, path, {"format": "pt"})
        return model.from_pretrained(folder).eval(), shapes


def inputs(case, config):
    """Images, or texts of two types, the second one with padding."""
    if case.startswith("vit"):
        size = config.image_size
        size = size if isinstance(size, list | tuple) else [size, size]
        return dict(pixel_values=uniform(case, (2, config.num_channels, *size)))
    length = min(config.max_position_embeddings - 2, 24)
    tokens = ((uniform(case, (2, length)) + 1) / 2 * config.vocab_size).astype(int)
    types = np.tile(np.arange(length) >= length // 2, (2, 1)).astype(int)
    present = (np.arange(length) < np.array([[length], [length - 3]])).astype(int)
    return dict(input_ids=tokens, token_type_ids=types, attention_mask=present)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="tests/golden/transformers.npz")
    options = parser.parse_args()
    arrays = {}
    for case in CASES:
        model, shapes = make(case)
        given = {k: torch.tensor(v) for k, v in inputs(case, model.config).items()}
        with torch.no_grad():
            output = model(**given, output_hidden_states=True)
        hidden = np.stack([h.numpy() for h in output.hidden_states])
        arrays |= {
            f"{case}/names": np.array(list(shapes)),
            f"{case}/shapes": np.array([str(list(s)) for s in shapes.values()]),
            f"{case}/scores": output.logits.numpy(),
            f"{case}/norms": np.linalg.norm(hidden, axis=(2, 3)),
            f"{case}/hidden": hidden[:, :, :5, ::32] if "base" in case else hidden,
        }
        print(case, output.logits.numpy().round(3).tolist())
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
