"""Any model as a `naejax.types.Backbone`: plain functions, Linen, NNX and torch."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax import nnx

from naejax.types import Backbone, BackboneOutput, Numbers


def from_function(
    function: Callable[[Any, Any], Any],
    params: Any,
    class_weights: Numbers | None = None,
) -> Backbone:
    """A backbone from a pure function.

    Args:
        function: ``function(params, x)``; it returns scores (B, C), or the tuple
            ``(scores, pooled)`` or ``(scores, pooled, features)``, or a
            `naejax.types.BackboneOutput`; pooled and features may be None.
        params: its parameters, a pytree of arrays.
        class_weights: weights of the last layer, pooled features to scores, (C, D).

    Returns:
        The backbone.

    Example:
        >>> import jax.numpy as jnp
        >>> backbone = from_function(lambda w, x: x @ w, jnp.ones((3, 2)))
        >>> backbone.apply(backbone.params, jnp.ones((4, 3))).scores.shape
        (4, 2)
    """
    return Backbone(
        lambda params, x: as_output(function(params, x)), params, class_weights
    )


def as_output(result: Any) -> BackboneOutput:
    """What a backbone's function or module returned, as a record.

    Args:
        result: as `from_function` says.

    Returns:
        The record.

    Raises:
        ValueError: if the scores are not (B, C).

    Example:
        >>> as_output(np.ones((4, 2))).scores.shape
        (4, 2)
    """
    if isinstance(result, BackboneOutput):
        output = result
    elif isinstance(result, tuple) and len(result) <= 3:
        output = BackboneOutput(*result)
    else:
        output = BackboneOutput(result)
    if getattr(output.scores, "ndim", None) != 2:
        found = getattr(output.scores, "shape", type(output.scores).__name__)
        raise ValueError(
            f"the backbone returned {found}, expected scores of shape (examples, "
            "outputs), or a tuple (scores, pooled, features)"
        )
    return output


def from_linen(
    module: nn.Module,
    variables: Any,
    class_weights: Numbers | None = None,
    **options: Any,
) -> Backbone:
    """A backbone from a Flax Linen module.

    Args:
        module: its call returns what `from_function` says.
        variables: its variables; collections other than ``params``, such as running
            means, are constants.
        class_weights: weights of the last layer, (C, D); a Dense kernel transposed.
        **options: keywords of every call, such as ``train=False``.

    Returns:
        The backbone, with the collection ``params`` as its parameters.

    Raises:
        ValueError: if the variables are no collections.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> module, x = nn.Dense(2), jnp.ones((4, 3))
        >>> backbone = from_linen(module, module.init(jax.random.key(0), x))
        >>> backbone.apply(backbone.params, x).scores.shape
        (4, 2)
    """
    if variables and "params" not in variables:
        raise ValueError(
            f"the variables hold {sorted(map(str, variables))[:5]}, expected "
            "collections with 'params' among them; pass {'params': params}"
        )
    rest = {name: value for name, value in variables.items() if name != "params"}
    return from_function(
        lambda params, x: module.apply({"params": params, **rest}, x, **options),
        variables.get("params", {}),
        class_weights,
    )


def from_nnx(module: Any, class_weights: Numbers | None = None) -> Backbone:
    """A backbone from a Flax NNX module, as it is in evaluation.

    Args:
        module: an `nnx.Module`; its call returns what `from_function` says; it is
            split, and left as it is.
        class_weights: weights of the last layer, (C, D).

    Returns:
        The backbone; changes of state in a call are dropped.

    Raises:
        ValueError: if it is another kind of module.

    Example:
        >>> from flax import nnx
        >>> import jax.numpy as jnp
        >>> backbone = from_nnx(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> backbone.apply(backbone.params, jnp.ones((4, 3))).scores.shape
        (4, 2)
    """
    if not isinstance(module, nnx.Module):
        raise ValueError(
            f"got a {type(module).__name__}, expected an nnx.Module; use from_linen, "
            "from_torch or from_function for others"
        )
    graph, *states = nnx.split(module, nnx.Param, ...)
    params, rest = states

    def function(params: Any, x: Any) -> Any:
        merged = nnx.merge(graph, params, rest)
        merged.eval()
        return merged(x)

    return from_function(function, params, class_weights)


def from_torch(module: Any, class_weights: Any = None) -> Backbone:
    """A backbone from a torch module, called on the host with its gradient.

    The module is frozen and put into evaluation; a gradient flows to its input, never
    to its parameters. Every call leaves the program for the host: fine for one CPU or
    GPU machine, slow on TPUs.

    Args:
        module: takes images channels first, or sequences as they are; returns scores
            (B, C), or a tuple as `from_function` says (features channels first), or an
            object with ``logits`` and perhaps ``pooler_output``.
        class_weights: weights of the last layer, (C, D), an array or a tensor.

    Returns:
        The backbone; it has no parameters of its own.

    Example:
        >>> import jax.numpy as jnp, pytest
        >>> torch = pytest.importorskip("torch")
        >>> backbone = from_torch(torch.nn.Linear(3, 2))
        >>> backbone.apply(backbone.params, jnp.ones((4, 3))).scores.shape
        (4, 2)
    """
    torch = importlib.import_module("torch")
    module = module.eval()

    def run(x: Any, grad: bool) -> tuple[Any, tuple[Any, ...]]:
        """The module's input and outputs as tensors, channels first."""
        tensor = torch.from_numpy(np.array(_channels_first(np.asarray(x), x.ndim)))
        tensor.requires_grad_(grad)
        with torch.set_grad_enabled(grad):
            outputs = _torch_outputs(module(tensor))
        return tensor, outputs

    def forward(x: Any) -> tuple[np.ndarray, ...]:
        _, outputs = run(x, grad=False)
        return tuple(_channels_last(o.numpy(), o.ndim) for o in outputs)

    def backward(x: Any, cotangents: Sequence[Any]) -> np.ndarray:
        tensor, outputs = run(x, grad=True)
        pairs = [
            (o, torch.from_numpy(np.array(_channels_first(np.asarray(c), o.ndim))))
            for o, c in zip(outputs, cotangents, strict=True)
            if o.requires_grad
        ]
        results, grads = zip(*pairs, strict=True)
        grad = torch.autograd.grad(results, tensor, grads)[0]
        return _channels_last(grad.numpy(), grad.ndim)

    @jax.custom_vjp
    def call(x):
        # Every output but its length is known from a batch of one.
        shapes = forward(np.zeros((1, *x.shape[1:]), x.dtype))
        result = [jax.ShapeDtypeStruct((len(x), *s.shape[1:]), s.dtype) for s in shapes]
        return jax.pure_callback(forward, tuple(result), x, vmap_method="sequential")

    def call_fwd(x):
        return call(x), x

    def call_bwd(x, cotangents):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return (
            jax.pure_callback(backward, shape, x, cotangents, vmap_method="sequential"),
        )

    call.defvjp(call_fwd, call_bwd)
    if class_weights is not None and hasattr(class_weights, "detach"):
        class_weights = class_weights.detach().numpy()
    return from_function(lambda params, x: call(x), {}, class_weights)


def _torch_outputs(result: Any) -> tuple[Any, ...]:
    """Tensors of what a torch module returned."""
    if hasattr(result, "logits"):
        pooled = getattr(result, "pooler_output", None)
        return (result.logits,) if pooled is None else (result.logits, pooled)
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _channels_first(x: np.ndarray, ndim: int) -> np.ndarray:
    """Images (B, H, W, Ch) as torch wants them; other arrays as they are."""
    return x.transpose(0, 3, 1, 2) if ndim == 4 else x


def _channels_last(x: np.ndarray, ndim: int) -> np.ndarray:
    """Images (B, Ch, H, W) as JAX wants them; other arrays as they are."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if ndim == 4 else x
