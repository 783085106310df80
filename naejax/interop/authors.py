"""Weights from the original PyTorch implementations of both methods."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from naejax.models.nae import NAE


def nae_from_torch(
    state_dict: Mapping[str, np.ndarray], top_k: int = 2, gate: str = "context"
) -> tuple[NAE, dict[str, Any]]:
    """The model and variables of a state dict of the NAE authors' PyTorch code.

    There one layer norm serves every feature and block, so each gets a copy of it. A
    missing value, which that code does not know, gets the encoding of the value 0.

    Args:
        state_dict: numpy arrays by the names ``enc_list.J.0.{w,b}``,
            ``norm.{weight,bias}``, ``experts.{w,b}``, ``router.{weight,bias}`` or
            ``router.{w,b}``, and ``bias``; ``enc_list.J.1.*`` repeat the norm.
        top_k: k; the state dict does not hold it.
        gate: ``context``, ``equal`` or ``own``, by the class the weights come from
            (NAE, NAE_E, NAE_D).

    Returns:
        The model and its variables.

    Raises:
        ValueError: if a tensor is missing, unexpected or misshapen.

    Example:
        >>> import numpy as np
        >>> F, H, K = 2, 3, 4
        >>> shapes = {"enc_list.0.0.w": (F, H, 1), "enc_list.0.0.b": (1, F, H),
        ...           "norm.weight": (H,), "norm.bias": (H,), "bias": (1, 1),
        ...           "experts.w": (F, K, H), "experts.b": (1, F, K),
        ...           "router.weight": (F * K, F * H), "router.bias": (F * K,)}
        >>> state = {name: np.ones(shape) for name, shape in shapes.items()}
        >>> model, variables = nae_from_torch(state)
        >>> model.hidden, model.num_experts
        ((3,), 4)
    """
    if gate not in ("context", "equal", "own"):
        raise ValueError(
            f"gate is {gate!r}, expected 'context' (NAE), 'equal' (NAE_E) or 'own' "
            "(NAE_D), the classes of the original code"
        )
    tensors = _Tensors(state_dict, "NAE")
    num_blocks = tensors.count_blocks()
    num_features, width, _ = tensors.shape("enc_list.0.0.w", 3)
    _, num_experts, _ = tensors.shape("experts.w", 3)
    encoder: dict[str, Any] = {}
    for block in range(num_blocks):
        inputs = width if block else 1
        name = f"enc_list.{block}.0"
        encoder[f"dense_{block}"] = {
            "kernel": tensors.take(f"{name}.w", (num_features, width, inputs)).mT,
            "bias": tensors.take(f"{name}.b", (1, num_features, width))[0],
        }
        encoder[f"norm_{block}"] = {
            ours: np.tile(tensors.take(f"norm.{theirs}", (width,)), (num_features, 1))
            for ours, theirs in (("scale", "weight"), ("bias", "bias"))
        }
    encoder["missing"] = encoder["dense_0"]["bias"].copy()
    experts = {
        "kernel": tensors.take("experts.w", (num_features, num_experts, width))[
            ..., None
        ],
        "bias": tensors.take("experts.b", (1, num_features, num_experts))[0][..., None],
    }
    if gate == "own":
        router = {
            "kernel": tensors.take("router.w", (num_features, num_experts, width)).mT,
            "bias": tensors.take("router.b", (1, num_features, num_experts))[0],
        }
    else:
        inputs, outputs = num_features * width, num_features * num_experts
        kernel = tensors.take("router.weight", (outputs, inputs)).T
        router = {
            "kernel": kernel.reshape(num_features, width, num_features, num_experts),
            "bias": tensors.take("router.bias", (outputs,)).reshape(num_features, -1),
        }
    params = {
        "bias": tensors.take("bias", (1, 1))[0],
        "features": {"encoder": encoder, "experts": {"dense": experts}},
        "gates": {"router": {"dense": router}},
    }
    tensors.check_all_taken()
    hidden = (width,) * num_blocks
    model = NAE(num_experts=num_experts, top_k=top_k, hidden=hidden, gate=gate)
    return model, {"params": params}


def sop_from_torch(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The trainable parameters of a state dict of the Sum-of-Parts authors' code.

    The value blocks and output projections of that code never reach a result and are
    left out, as is the backbone. A projection that is a patchify convolution becomes
    the encoder of ``encoder="patches"``; one that is a copy of the backbone has the
    backbone's own names and is left to the caller.

    Args:
        state_dict: numpy arrays by the names ``input_attn.multihead_attns.J.*``,
            ``output_attn.multihead_attn.*``, ``class_weights``, and perhaps
            ``projection.*`` and ``blackbox_model.*``.

    Returns:
        The collection ``params`` of `naejax.SumOfParts`: generator, selector and, from
        a patchify convolution, encoder.

    Raises:
        ValueError: if a tensor is missing or misshapen.

    Example:
        >>> import numpy as np
        >>> state = {"input_attn.multihead_attns.0.input_weights": np.ones((12, 4)),
        ...          "output_attn.multihead_attn.input_weights": np.ones((9, 3)),
        ...          "class_weights": np.ones((2, 3))}
        >>> params = sop_from_torch(state)
        >>> params["generator"]["query"].shape, params["selector"]["key"].shape
        ((1, 4, 4), (3, 3))
    """
    tensors = _Tensors(state_dict, "Sum-of-Parts")
    heads, name = 0, "input_attn.multihead_attns.{}.input_weights"
    while heads == 0 or name.format(heads) in state_dict:
        heads += 1
    width = tensors.shape(name.format(0), 2)[1]
    blocks = [tensors.take(name.format(j), (3 * width, width)) for j in range(heads)]
    # Each matrix stacks value, key and query; there they act from the left.
    _, key, query = np.split(np.stack(blocks), 3, axis=1)
    outputs, pooled = tensors.shape("class_weights", 2)
    selector = tensors.take(
        "output_attn.multihead_attn.input_weights", (3 * pooled, pooled)
    )
    _, selector_key, selector_query = np.split(selector, 3)
    params: dict[str, Any] = {
        "generator": {"query": query.mT, "key": key.mT},
        "selector": {
            "class_weights": tensors.take("class_weights", (outputs, pooled)),
            "query": selector_query.T,
            "key": selector_key.T,
        },
    }
    if "projection.weight" in state_dict:
        _, *patch = tensors.shape("projection.weight", 4)
        kernel = tensors.take("projection.weight", (width, *patch))
        kernel = kernel.transpose(2, 3, 1, 0).reshape(-1, width)
        bias = tensors.take("projection.bias", (width,))
        params["encoder"] = {"dense": {"kernel": kernel, "bias": bias}}
    return params


class _Tensors:
    """A state dict that checks names and shapes as tensors are taken from it."""

    def __init__(self, state_dict: Mapping[str, np.ndarray], method: str):
        self.method = method
        self.arrays = {k: np.asarray(v, np.float32) for k, v in state_dict.items()}
        self.taken: set[str] = set()

    def shape(self, name: str, ndim: int) -> tuple[int, ...]:
        """The shape of a tensor that must be there with ``ndim`` axes."""
        if name not in self.arrays:
            raise ValueError(
                f"the state dict has no tensor {name!r}, expected one of the original "
                f"{self.method} code; it holds {sorted(self.arrays)[:6]}"
            )
        shape = self.arrays[name].shape
        if len(shape) != ndim:
            raise ValueError(f"tensor {name!r} has shape {shape}, expected {ndim} axes")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor of that name, which must have that shape."""
        if self.shape(name, len(shape)) != shape:
            raise ValueError(
                f"tensor {name!r} has shape {self.arrays[name].shape}, expected "
                f"{shape}; was it saved with another gate or number of features?"
            )
        self.taken.add(name)
        return self.arrays[name]

    def count_blocks(self) -> int:
        """The number of encoder blocks, at least 1."""
        blocks = 0
        while f"enc_list.{blocks}.0.w" in self.arrays:
            blocks += 1
        return max(blocks, 1)

    def check_all_taken(self) -> None:
        """Refuses tensors that the model has no place for."""
        left = [
            name
            for name in self.arrays
            if name not in self.taken and not name.startswith("enc_list.")
        ]
        if left:
            raise ValueError(
                f"the state dict also holds {sorted(left)}, which an NAE model has no "
                "place for; pass the state dict of the model alone"
            )
