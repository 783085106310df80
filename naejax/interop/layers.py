"""Settings and layers that Hugging Face's ViT and BERT have in common."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from naejax.interop.config import Config
from naejax.interop.tensors import Tensors
from naejax.models.transformer import initial

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""Our names of the activations by theirs."""


def sizes_of(config: Config) -> dict[str, Any]:
    """The settings that both models have, by the names of our attributes.

    Args:
        config: of the model.

    Returns:
        Width, depth, heads, mlp, activation and epsilon.

    Raises:
        ValueError: if one is missing, or another than expected.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> values = {"model_type": "vit", "hidden_size": 8, "intermediate_size": 16,
        ...           "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> _ = (folder / "config.json").write_text(json.dumps(values))
        >>> list(sizes_of(Config(folder, "vit")).values())
        [8, 1, 2, 16, 'gelu', 1e-12]
    """
    return {
        "width": config.whole("hidden_size"),
        "depth": config.whole("num_hidden_layers"),
        "heads": config.whole("num_attention_heads"),
        "mlp": config.whole("intermediate_size"),
        "activation": ACTIVATIONS[config.choice("hidden_act", ACTIVATIONS, "gelu")],
        "epsilon": config.positive("layer_norm_eps", 1e-12),
    }


def blocks(
    tensors: Tensors,
    encoder: str,
    names: Mapping[str, str],
    sizes: Mapping[str, Any],
    use_bias: bool = True,
) -> dict[str, Any]:
    """The parameters of all blocks, by the names of our modules.

    Args:
        tensors: of the model.
        encoder: what comes before ``layer.0`` in their names.
        names: their names of the parts of a block, by ours.
        sizes: width, depth and mlp.
        use_bias: whether queries, keys and values have offsets.

    Returns:
        The parameters of ``block_0`` and so on.

    Raises:
        ValueError: if a tensor is missing or misshapen.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from safetensors.numpy import save_file
        >>> path = Path(tempfile.mkdtemp())
        >>> names = {ours: ours for ours in (
        ...     "query", "key", "value", "out", "inner", "outer", "norm_0", "norm_1")}
        >>> state = {f"e.layer.0.{name}.bias": np.ones(4) for name in names}
        >>> for name in names:
        ...     shape = (4,) if "norm" in name else (4, 4)
        ...     state[f"e.layer.0.{name}.weight"] = np.ones(shape)
        >>> save_file(state, path / "model.safetensors")
        >>> found = blocks(Tensors(path), "e", names, dict(width=4, depth=1, mlp=4))
        >>> found["block_0"]["attention"]["qkv"]["kernel"].shape
        (4, 12)
    """
    width, mlp = sizes["width"], sizes["mlp"]
    found = {}
    for i in range(sizes["depth"]):
        at = {ours: f"{encoder}.layer.{i}.{theirs}" for ours, theirs in names.items()}
        three = [
            tensors.dense(at[part], width, width, use_bias)
            for part in ("query", "key", "value")
        ]
        found[f"block_{i}"] = {
            "attention": {
                "qkv": {
                    kind: np.concatenate([part[kind] for part in three], axis=-1)
                    for kind in three[0]
                },
                "out": tensors.dense(at["out"], width, width),
            },
            "mlp": {
                "inner": tensors.dense(at["inner"], width, mlp),
                "outer": tensors.dense(at["outer"], mlp, width),
            },
            "norm_0": tensors.norm(at["norm_0"], width),
            "norm_1": tensors.norm(at["norm_1"], width),
        }
    return found


def classifier(
    tensors: Tensors, width: int, num_outputs: int | None = None
) -> dict[str, np.ndarray]:
    """The last layer: the folder's, or a new one.

    Args:
        tensors: of the model.
        width: D of what the layer sees.
        num_outputs: C of a new one, drawn by a fixed seed; None: the folder's.

    Returns:
        Its kernel (D, C) and bias (C,).

    Raises:
        ValueError: if the folder has none, or one of another width.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from safetensors.numpy import save_file
        >>> path = Path(tempfile.mkdtemp())
        >>> save_file({"classifier.weight": np.ones((3, 4)),
        ...            "classifier.bias": np.ones(3)}, path / "model.safetensors")
        >>> classifier(Tensors(path), 4)["kernel"].shape
        (4, 3)
        >>> classifier(Tensors(path), 4, num_outputs=2)["kernel"].shape
        (4, 2)
    """
    if num_outputs is not None:
        # No part of the model: nothing to complain about when it is left.
        tensors.ignored += ("classifier.",)
        kernel = initial(width)(jax.random.key(0), (width, num_outputs))
        bias = np.zeros(num_outputs, np.float32)
        return {"kernel": np.asarray(kernel), "bias": bias}
    if not tensors.has("classifier.weight"):
        raise ValueError(
            f"{tensors.path} has no tensor 'classifier.weight'; pass num_outputs to "
            "get a new classifier, which must be trained"
        )
    return tensors.dense("classifier", width, tensors.shape("classifier.weight")[0])
