"""The forward pass of Neural Additive Experts, written a second time in numpy.

It follows `naejax.NAE` line by line, batch last, in float32, for machines on which JAX
is too large to install or too slow to start.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from naejax.layout import ModelConfig

_EPSILON = 1e-5
"""Of `naejax.models.layers.LayerNorm`."""


class Scores(NamedTuple):
    """What a model computes for a batch of rows; see `naejax.types.NAEOutput`.

    Attributes:
        prediction: (B, C).
        bias: (C,).
        contributions: (B, F, C).
    """

    prediction: np.ndarray
    bias: np.ndarray
    contributions: np.ndarray


class _Variables(NamedTuple):
    """The variables of one member, found by their paths."""

    tensors: Mapping[str, np.ndarray]
    member: int | None

    def __call__(self, path: str) -> np.ndarray:
        """One array in float32."""
        if self.member is None:
            return np.asarray(self.tensors[path], np.float32)
        collection, _, rest = path.partition("/")
        stacked = self.tensors[f"{collection}/member/{rest}"]
        return np.asarray(stacked[self.member], np.float32)


def apply_numpy(
    config: ModelConfig, tensors: Mapping[str, np.ndarray], x: np.ndarray
) -> Scores:
    """Scores rows as ``model.apply`` does; an ensemble gives the mean of its members.

    Args:
        config: the model.
        tensors: its variables by their paths, of the shapes that
            `naejax.layout.parameter_shapes` gives.
        x: the encoded table, (B, F); NaN where a value is missing.

    Returns:
        The prediction and its parts, float32.

    Example:
        >>> from naejax.layout import parameter_shapes
        >>> config = ModelConfig(1, 4, 2, (8,), "context", None, 0.0, 0.0)
        >>> shapes = parameter_shapes(config, num_features=3)
        >>> tensors = {path: np.ones(shape) for path, shape in shapes.items()}
        >>> apply_numpy(config, tensors, np.zeros((5, 3))).contributions.shape
        (5, 3, 1)
    """
    columns = np.asarray(x, np.float32).T
    members = [None] if config.members is None else range(config.members)
    outputs = [_apply(config, _Variables(tensors, m), columns) for m in members]
    bias = np.mean([output[0] for output in outputs], axis=0)
    contributions = np.mean([output[1] for output in outputs], axis=0)
    prediction = contributions.sum(axis=0) + bias[:, None]
    return Scores(prediction.T, bias, contributions.transpose(2, 0, 1))


def _apply(
    config: ModelConfig, get: _Variables, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The bias (C,) and the contributions (F, C, B) of one member."""
    bound = config.monotone_features(len(columns))
    knots = get("knots/at") if config.num_knots else np.zeros((len(columns), 0))
    shape = (len(columns), config.num_experts, config.num_outputs, columns.shape[1])
    experts = np.empty(shape, np.float32)
    z = np.empty((0, config.hidden[-1], columns.shape[1]), np.float32)
    if bound.any():
        signs = np.array(config.monotone, np.float32)[bound]
        experts[bound] = _monotone_experts(get, columns[bound], knots[bound], signs)
    if not bound.all():
        z = _encode(config, get, columns[~bound], knots[~bound])
        w = get("params/features/experts/dense/kernel")
        b = get("params/features/experts/dense/bias")
        # (F, K, H, C) with (F, H, B): one matrix product per expert.
        experts[~bound] = w.swapaxes(2, 3) @ z[:, None] + b[..., None]
    gates = _gates(config, get, z, len(columns))
    return get("params/bias"), (gates[:, :, None] * experts).sum(axis=1)


def _encode(
    config: ModelConfig, get: _Variables, columns: np.ndarray, knots: np.ndarray
) -> np.ndarray:
    """The features' encodings, (F, H, B)."""
    missing = np.isnan(columns)
    x = np.where(missing, np.float32(0), columns)
    z = x[:, None]
    for block in range(len(config.hidden)):
        path = f"params/features/encoder/{{}}_{block}/{{}}".format
        kernel, bias = get(path("dense", "kernel")), get(path("dense", "bias"))
        z = kernel.swapaxes(1, 2) @ z + bias[..., None]
        if block == 0:
            if config.num_knots:
                slopes = get("params/features/encoder/hats/kernel")
                z += slopes.swapaxes(1, 2) @ _hats(x, knots)
            learned = get("params/features/encoder/missing")
            z = np.where(missing[:, None], learned[..., None], z)
        z -= z.mean(axis=1, keepdims=True)
        z /= np.sqrt(np.square(z).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
        z *= get(path("norm", "scale"))[..., None]
        z += get(path("norm", "bias"))[..., None]
        np.maximum(z, 0, out=z)
    return z


def _monotone_experts(
    get: _Variables, columns: np.ndarray, knots: np.ndarray, signs: np.ndarray
) -> np.ndarray:
    """Experts of the monotone features, (F, K, C, B)."""
    roots = get("params/monotone_features/roots")
    missing = np.isnan(columns)
    up = _ramps(np.where(missing, np.float32(0), columns), knots)
    rise = np.square(roots) @ up[:, None]
    bias = get("params/monotone_features/bias")[..., None]
    learned = get("params/monotone_features/missing")[..., None]
    known = signs[:, None, None, None] * rise + bias
    return np.where(missing[:, None, None], learned, known)


def _ramps(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """How far x (F, B) has come from each knot to the next, (F, T - 1, B)."""
    left, right = knots[:, :-1, None], knots[:, 1:, None]
    width = np.maximum(right - left, np.finfo(np.float32).tiny)
    # A step over equal knots overflows before it is clipped.
    with np.errstate(over="ignore"):
        return np.clip((x[:, None] - left) / width, 0, 1)


def _hats(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The hat functions of the knots at x (F, B), (F, T, B)."""
    up = _ramps(x, knots)
    ones = np.ones_like(x)[:, None]
    return np.concatenate([ones, up], 1) - np.concatenate([up, 0 * ones], 1)


def _gates(
    config: ModelConfig, get: _Variables, z: np.ndarray, num_features: int
) -> np.ndarray:
    """Weights of the experts, (F, K, B)."""
    num_experts, rows = config.num_experts, z.shape[-1]
    router = config.router(num_features)
    if router == "none":
        return np.full((num_features, num_experts, rows), np.float32(1 / num_experts))
    kernel = get("params/gates/router/dense/kernel")
    bias = get("params/gates/router/dense/bias")
    if router == "own":
        logits = kernel.swapaxes(1, 2) @ z
        chosen = np.ones(logits.shape, bool)
    else:
        seen = z.reshape(-1, rows)
        if config.gate_rank is not None:
            summary = get("params/gates/router/summary/kernel")
            seen = summary.reshape(-1, config.gate_rank).T @ seen
        logits = kernel.reshape(len(seen), -1).T @ seen
        logits = logits.reshape(num_features, num_experts, rows)
        chosen = np.zeros(logits.shape, bool)
    logits = logits + bias[..., None]
    if router != "own":
        # Stable: of equal logits, the one with the lower index comes first.
        order = np.argsort(-logits, axis=1, kind="stable")
        best = order[:, : min(config.top_k, num_experts)]
        np.put_along_axis(chosen, best, True, axis=1)
    if router == "equal":
        logits = np.zeros_like(logits)
    highest = logits.max(axis=1, keepdims=True, where=chosen, initial=-np.inf)
    weights = np.where(chosen, np.exp(np.minimum(logits - highest, 0)), 0)
    return weights / weights.sum(axis=1, keepdims=True)
