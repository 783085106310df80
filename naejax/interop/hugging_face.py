"""ViT and BERT with weights that Hugging Face's transformers saved."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from naejax.interop.config import Config
from naejax.interop.layers import blocks, classifier, sizes_of
from naejax.interop.snapshot import find_folder
from naejax.interop.tensors import Tensors
from naejax.models.bert import BERT
from naejax.models.vit import ViT

VIT_BLOCK = {
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "out": "attention.output.dense",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm_0": "layernorm_before",
    "norm_1": "layernorm_after",
}
"""Their names of the parts of a block of a ViT by ours."""

BERT_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm_0": "attention.output.LayerNorm",
    "norm_1": "output.LayerNorm",
}
"""Their names of the parts of a block of BERT by ours."""

# Layers for other tasks, and counted positions.
_VIT_IGNORED = ("pooler.", "vit.pooler.", "embeddings.mask_token")
_BERT_IGNORED = ("cls.", "embeddings.position_ids", "bert.embeddings.position_ids")


def vit_from_hugging_face(
    folder: str | Path, num_outputs: int | None = None
) -> tuple[ViT, dict[str, Any]]:
    """The model and variables of a ViT that Hugging Face's transformers saved.

    Images are then (B, H, W, Ch) as its preprocessor makes them, channels last.

    Args:
        folder: with config.json and model.safetensors (one file, or several and their
            index), or the name of a model on the Hugging Face Hub, which needs the
            package huggingface_hub.
        num_outputs: C; None: the classifier of the folder. Else a new one is drawn, by
            a fixed seed, to be trained.

    Returns:
        The model and its variables.

    Raises:
        ValueError: if a file, a setting or a tensor is missing, or another than
            expected, or there are tensors without a place.

    Example:
        >>> import json, tempfile
        >>> import numpy as np
        >>> from safetensors.numpy import save_file
        >>> folder = Path(tempfile.mkdtemp())
        >>> config = {"model_type": "vit", "image_size": 4, "patch_size": 2,
        ...           "hidden_size": 8, "intermediate_size": 8,
        ...           "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> _ = (folder / "config.json").write_text(json.dumps(config))
        >>> tensors = {"embeddings.cls_token": (1, 1, 8),
        ...            "embeddings.position_embeddings": (1, 5, 8),
        ...            "embeddings.patch_embeddings.projection.weight": (8, 3, 2, 2),
        ...            "embeddings.patch_embeddings.projection.bias": (8,),
        ...            "layernorm.weight": (8,), "layernorm.bias": (8,)}
        >>> for name in VIT_BLOCK.values():
        ...     name = f"encoder.layer.0.{name}"
        ...     tensors[f"{name}.weight"] = (8,) if "norm" in name else (8, 8)
        ...     tensors[f"{name}.bias"] = (8,)
        >>> ones = {name: np.ones(tensors[name], np.float32) for name in tensors}
        >>> save_file(ones, folder / "model.safetensors")
        >>> model, variables = vit_from_hugging_face(folder, num_outputs=3)
        >>> model.patch, variables["params"]["positions"].shape
        (2, (2, 2, 8))
    """
    path = find_folder(folder)
    config = Config(path, "vit")
    patch, channels = config.whole("patch_size"), config.whole("num_channels", 3)
    sizes = sizes_of(config)
    width = sizes["width"]
    use_bias = config.choice("qkv_bias", [True, False], True)
    grid = _grid(config, patch)
    tensors = Tensors(path, _VIT_IGNORED)
    prefix = "vit." if tensors.has("vit.embeddings.cls_token") else ""
    last = classifier(tensors, width, num_outputs)
    places = tensors.take(
        f"{prefix}embeddings.position_embeddings", (1, 1 + grid[0] * grid[1], width)
    )
    projection = f"{prefix}embeddings.patch_embeddings.projection"
    kernel = tensors.take(f"{projection}.weight", (width, channels, patch, patch))
    params = {
        "patches": {
            "dense": {
                "kernel": kernel.transpose(2, 3, 1, 0).reshape(-1, width),
                "bias": tensors.take(f"{projection}.bias", (width,)),
            }
        },
        "class_token": tensors.take(f"{prefix}embeddings.cls_token", (1, 1, width)),
        "class_position": places[:, :1],
        "positions": places[0, 1:].reshape(*grid, width),
        "norm": tensors.norm(f"{prefix}layernorm", width),
        "classifier": last,
        **blocks(tensors, f"{prefix}encoder", VIT_BLOCK, sizes, use_bias),
    }
    tensors.check_all_taken()
    model = ViT(len(last["bias"]), patch, qkv_bias=use_bias, **sizes)
    return model, {"params": jax.tree.map(jnp.asarray, params)}


def bert_from_hugging_face(
    folder: str | Path, num_outputs: int | None = None
) -> tuple[BERT, dict[str, Any]]:
    """The model and variables of a BERT that Hugging Face's transformers saved.

    The token whose embedding removed words get is the folder's padding.

    Args:
        folder: with config.json and model.safetensors (one file, or several and their
            index), or the name of a model on the Hugging Face Hub, which needs the
            package huggingface_hub.
        num_outputs: C; None: the classifier of the folder. Else a new one is drawn, by
            a fixed seed, to be trained.

    Returns:
        The model and its variables.

    Raises:
        ValueError: if a file, a setting or a tensor is missing, or another than
            expected, or there are tensors without a place.

    Example:
        >>> import json, tempfile
        >>> import numpy as np
        >>> from safetensors.numpy import save_file
        >>> folder = Path(tempfile.mkdtemp())
        >>> config = {"model_type": "bert", "vocab_size": 9, "type_vocab_size": 2,
        ...           "hidden_size": 8, "intermediate_size": 8,
        ...           "max_position_embeddings": 6,
        ...           "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> _ = (folder / "config.json").write_text(json.dumps(config))
        >>> tensors = {"embeddings.word_embeddings.weight": (9, 8),
        ...            "embeddings.token_type_embeddings.weight": (2, 8),
        ...            "embeddings.position_embeddings.weight": (6, 8),
        ...            "embeddings.LayerNorm.weight": (8,),
        ...            "embeddings.LayerNorm.bias": (8,),
        ...            "pooler.dense.weight": (8, 8), "pooler.dense.bias": (8,)}
        >>> for name in BERT_BLOCK.values():
        ...     name = f"encoder.layer.0.{name}"
        ...     tensors[f"{name}.weight"] = (8,) if "Norm" in name else (8, 8)
        ...     tensors[f"{name}.bias"] = (8,)
        >>> ones = {name: np.ones(tensors[name], np.float32) for name in tensors}
        >>> save_file(ones, folder / "model.safetensors")
        >>> model, variables = bert_from_hugging_face(folder, num_outputs=2)
        >>> model.vocabulary, variables["params"]["classifier"]["kernel"].shape
        (9, (8, 2))
    """
    path = find_folder(folder)
    config = Config(path, "bert")
    config.choice("position_embedding_type", ["absolute"], "absolute")
    config.choice("is_decoder", [False], False)
    sizes = sizes_of(config)
    width = sizes["width"]
    tables = {
        "words": ("word_embeddings", config.whole("vocab_size")),
        "types": ("token_type_embeddings", config.whole("type_vocab_size")),
        "positions": ("position_embeddings", config.whole("max_position_embeddings")),
    }
    removed = config.whole("pad_token_id", 0, least=0)
    tensors = Tensors(path, _BERT_IGNORED)
    prefix = "bert." if tensors.has("bert.embeddings.word_embeddings.weight") else ""
    last = classifier(tensors, width, num_outputs)
    params = {
        **{
            ours: {
                "embedding": tensors.take(
                    f"{prefix}embeddings.{theirs}.weight", (rows, width)
                )
            }
            for ours, (theirs, rows) in tables.items()
        },
        "norm": tensors.norm(f"{prefix}embeddings.LayerNorm", width),
        "pooler": tensors.dense(f"{prefix}pooler.dense", width, width),
        "classifier": last,
        **blocks(tensors, f"{prefix}encoder", BERT_BLOCK, sizes),
    }
    tensors.check_all_taken()
    model = BERT(
        len(last["bias"]),
        vocabulary=tables["words"][1],
        types=tables["types"][1],
        positions=tables["positions"][1],
        removed=removed,
        **sizes,
    )
    return model, {"params": jax.tree.map(jnp.asarray, params)}


def _grid(config: Config, patch: int) -> tuple[int, int]:
    """Patches along both axes of an image."""
    size = config.get("image_size")
    pair = size if isinstance(size, list) else [size, size]
    if len(pair) != 2 or any(type(s) is not int or s < 1 or s % patch for s in pair):
        raise config.error("image_size", f"one or two multiples of patch_size {patch}")
    return pair[0] // patch, pair[1] // patch
