"""The forward pass of Neural Additive Experts, written a second time in numpy.

It follows `naejax.NAE`, batch last in the networks, in float32. A model with knots
becomes tables once, by `prepare`; rows then look them up without any compilation, which
is how estimators predict, and how machines do on which JAX is too large to install.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from naejax.layout import ModelConfig

_NETWORKS: tuple[str, ...] = (
    "params/features/",
    "params/monotone_features/",
    "params/gates/router/summary/",
)
_EPSILON = 1e-5
"""Of `naejax.models.layers.LayerNorm`."""
_BLOCK = 32
"""Rows of one matrix product: a row's sum must not depend on the rows beside it."""
_CHUNK = 128 * _BLOCK


class Scores(NamedTuple):
    """What a model computes for a batch of rows; see `naejax.types.NAEOutput`.

    Attributes:
        prediction: (B, C).
        bias: (C,).
        contributions: (B, F, C).
        gates: (B, F, K).
        experts: (B, F, K, C).
    """

    prediction: np.ndarray
    bias: np.ndarray
    contributions: np.ndarray
    gates: np.ndarray
    experts: np.ndarray


class Member(NamedTuple):
    """One model, ready for rows.

    Attributes:
        config: the model.
        variables: by their paths, float32.
        table: of a model with knots, experts and what is told to the gates,
            (F, T + 2, K C + R): entry T is for a missing value, the last is never used.
    """

    config: ModelConfig
    variables: Mapping[str, np.ndarray]
    table: np.ndarray

    @property
    def knots(self) -> np.ndarray:
        """Where the entries of the tables stand, (F, T)."""
        return self.variables["knots/at"]


def prepare(config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> list[Member]:
    """The members of a model, with their tables if they have knots.

    Args:
        config: the model.
        tensors: its variables by their paths, of the shapes that
            `naejax.layout.parameter_shapes` gives.

    Returns:
        One member, or those of an ensemble.
    """
    members = []
    for m in [None] if config.members is None else range(config.members):
        own = {name: np.asarray(t, np.float32) for name, t in tensors.items()}
        if m is not None:
            own = {name.replace("/member/", "/"): t[m] for name, t in own.items()}
        member = Member(config, own, np.zeros((0, 0, 0), np.float32))
        if config.num_knots:
            member = member._replace(table=_make_table(member))
        members.append(member)
    return members


def tabulate(
    config: ModelConfig, tensors: Mapping[str, np.ndarray]
) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """A model with tables in place of its networks: the same numbers, a tenth the size.

    Args:
        config: a model with knots.
        tensors: its variables by their paths.

    Returns:
        The model that `naejax.NAE` calls ``tabulated``, and its variables.
    """
    networks = (*_NETWORKS, "params/gates/") if config.gate == "own" else _NETWORKS
    members = []
    for member in prepare(config, tensors):
        get, size = member.variables, config.num_experts * config.num_outputs
        table = np.asarray(member.table)[:, :-1].swapaxes(1, 2)
        shape = (config.num_experts, config.num_outputs, table.shape[2])
        seen = ~config.monotone_features(len(table))
        own = {
            "params/experts": table[:, :size].reshape(len(table), *shape),
            "params/told": table[seen, size:],
            **{k: v for k, v in get.items() if not k.startswith(networks)},
        }
        # A gate that is told nothing has no array of nothing.
        members.append({k: np.ascontiguousarray(v) for k, v in own.items() if v.size})
    kept = config._replace(tabulated=True)
    if config.members is None:
        return kept, members[0]
    stacked = {name: np.stack([own[name] for own in members]) for name in members[0]}
    return kept, {name.replace("/", "/member/", 1): v for name, v in stacked.items()}


def apply_numpy(members: Sequence[Member], x: np.ndarray) -> Scores:
    """Scores rows as ``model.apply`` does; an ensemble gives the mean of its members.

    A row's numbers are bitwise the same alone, permuted or among others.

    Args:
        members: result of `prepare`.
        x: the encoded table, (B, F), at least one row; NaN where a value is missing.

    Returns:
        The prediction and its parts, float32.

    Example:
        >>> from naejax.layout import parameter_shapes
        >>> config = ModelConfig(1, 4, 2, (8,), "context", None, 0.0, 0.0)
        >>> shapes = parameter_shapes(config, num_features=3)
        >>> tensors = {path: np.ones(shape) for path, shape in shapes.items()}
        >>> apply_numpy(prepare(config, tensors), np.zeros((5, 3))).contributions.shape
        (5, 3, 1)
    """
    x = np.asarray(x, np.float32)
    chunks = [
        _apply_chunk(members, x[first : first + _CHUNK])
        for first in range(0, len(x), _CHUNK)
    ]
    if len(chunks) == 1:
        return chunks[0]
    joined = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
    return Scores(*joined)._replace(bias=chunks[0].bias)


def _apply_chunk(members: Sequence[Member], x: np.ndarray) -> Scores:
    """The scores of a few thousand rows."""
    rows = len(x)
    x = np.pad(x, ((0, -rows % _BLOCK), (0, 0)))
    outputs = [_apply(member, x) for member in members]
    gates, experts = (
        parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        for parts in zip(*outputs, strict=True)
    )
    gates = gates / np.float32(len(members)) if len(members) > 1 else gates
    gates, experts = gates[:rows], experts[:rows]
    contributions = (gates[..., None] * experts).sum(axis=2)
    bias = np.mean([m.variables["params/bias"] for m in members], axis=0)
    prediction = contributions.sum(axis=1) + bias
    return Scores(prediction, bias, contributions, gates, experts)


def _apply(member: Member, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gates (B, F, K) and experts (B, F, K, C) of one member."""
    config, features = member.config, x.shape[1]
    if not config.num_knots:
        experts, told = _run_networks(member, x.T)
        experts, told = experts.transpose(3, 0, 1, 2), told.transpose(2, 0, 1)
    else:
        numbers = look_up(member.knots, member.table, x)
        size = config.num_experts * config.num_outputs
        experts = numbers[..., :size]
        experts = experts.reshape(*x.shape, config.num_experts, config.num_outputs)
        told = numbers[:, ~config.monotone_features(features), size:]
    return _gates(member, told, features), experts


def look_up(knots: np.ndarray, table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolates the tables of all features at rows.

    Args:
        knots: (F, T).
        table: see `Member`, (F, T + 2, numbers).
        x: (B, F); NaN where a value is missing.

    Returns:
        (B, F, numbers).
    """
    features, num_knots = knots.shape
    low, high = knots[:, 0], knots[:, -1]
    # Features side by side on one axis, so that one search serves all.
    shift = np.arange(features) * (float((high - low).max()) + 1.0) - low
    missing = np.isnan(x)
    x = np.where(missing, low, np.clip(x, low, high))
    axis = (knots + shift[:, None]).ravel()
    at = np.searchsorted(axis, (x + shift).ravel(), side="left").reshape(x.shape) - 1
    first = np.arange(features) * num_knots
    at = np.clip(at - first, 0, num_knots - 2)
    flat = knots.ravel()
    left, right = flat[at + first], flat[at + first + 1]
    width = np.maximum(right - left, np.finfo(np.float32).tiny)
    share = np.where(missing, np.float32(0), np.clip((x - left) / width, 0, 1))
    at = np.where(missing, num_knots, at) + np.arange(features) * table.shape[1]
    entries = table.reshape(-1, table.shape[2])
    below, above = entries[at], entries[at + 1]
    share = share[..., None]
    return (1 - share) * below + share * above


def _make_table(member: Member) -> np.ndarray:
    """The tables of a member, from its networks or as they are, see `Member`."""
    config, knots = member.config, member.knots
    features = len(knots)
    slots = np.pad(knots, ((0, 0), (0, 1)), constant_values=np.nan)
    seen = ~config.monotone_features(features)
    if config.tabulated:
        experts = member.variables["params/experts"]
        told = member.variables.get("params/told")
        if told is None:
            told = np.zeros((seen.sum(), 0, slots.shape[1]), np.float32)
    else:
        experts, told = _run_networks(member, slots)
    all_told = np.zeros((features, *told.shape[1:]), np.float32)
    all_told[seen] = told
    table = np.concatenate([experts.reshape(features, -1, slots.shape[1]), all_told], 1)
    return np.pad(table, ((0, 0), (0, 0), (0, 1))).swapaxes(1, 2).copy()


def _run_networks(member: Member, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Experts (F, K, C, B) and what features tell (seen, R, B) at values (F, B)."""
    config, get = member.config, member.variables
    bound = config.monotone_features(len(columns))
    shape = (len(columns), config.num_experts, config.num_outputs, columns.shape[1])
    experts = np.empty(shape, np.float32)
    told = np.empty((0, 0, columns.shape[1]), np.float32)
    if bound.any():
        signs = np.array(config.monotone, np.float32)[bound]
        experts[bound] = _monotone_experts(get, signs)
    if not bound.all():
        z = _encode(config, get, columns[~bound])
        w = get["params/features/experts/dense/kernel"]
        b = get["params/features/experts/dense/bias"]
        # (F, K, H, C) with (F, H, B): one matrix product per expert.
        experts[~bound] = w.swapaxes(2, 3) @ z[:, None] + b[..., None]
        told = _tell(config, get, z, len(columns))
    return experts, told


def _encode(
    config: ModelConfig, get: Mapping[str, np.ndarray], columns: np.ndarray
) -> np.ndarray:
    """The features' encodings, (F, H, B)."""
    missing = np.isnan(columns)
    x = np.where(missing, np.float32(0), columns)
    z = x[:, None]
    for block in range(len(config.hidden)):
        path = f"params/features/encoder/{{}}_{block}/{{}}".format
        kernel, bias = get[path("dense", "kernel")], get[path("dense", "bias")]
        z = kernel.swapaxes(1, 2) @ z + bias[..., None]
        if block == 0:
            if config.num_knots:
                steps = np.cumsum(get["params/features/encoder/steps"], axis=2)
                z += np.pad(steps, ((0, 0), (0, 0), (1, 1)))
            learned = get["params/features/encoder/missing"]
            z = np.where(missing[:, None], learned[..., None], z)
        z -= z.mean(axis=1, keepdims=True)
        z /= np.sqrt(np.square(z).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
        z *= get[path("norm", "scale")][..., None]
        z += get[path("norm", "bias")][..., None]
        np.maximum(z, 0, out=z)
    return z


def _monotone_experts(get: Mapping[str, np.ndarray], signs: np.ndarray) -> np.ndarray:
    """Experts of the monotone features at their knots, (F, K, C, T + 1)."""
    roots = get["params/monotone_features/roots"]
    rise = np.cumsum(np.square(roots), axis=-1)
    rise = np.concatenate([np.zeros((*rise.shape[:-1], 1), np.float32), rise], axis=-1)
    bias = get["params/monotone_features/bias"][..., None]
    known = signs[:, None, None, None] * rise + bias
    learned = get["params/monotone_features/missing"][..., None]
    return np.concatenate([known, learned], axis=-1)


def _tell(
    config: ModelConfig, get: Mapping[str, np.ndarray], z: np.ndarray, features: int
) -> np.ndarray:
    """What features tell the gates, (seen, R, B); of the gate ``own`` their logits."""
    router = config.router(features)
    if router == "none":
        return z[:, :0]
    if router == "own":
        kernel = get["params/gates/router/dense/kernel"]
        bias = get["params/gates/router/dense/bias"]
        return kernel.swapaxes(1, 2) @ z + bias[..., None]
    if config.gate_rank is None:
        return z
    return get["params/gates/router/summary/kernel"].swapaxes(1, 2) @ z


def _gates(member: Member, told: np.ndarray, features: int) -> np.ndarray:
    """Weights of the experts, (B, F, K), from what is told (B, seen, R)."""
    config, rows = member.config, len(told)
    router, num_experts = config.router(features), config.num_experts
    if router == "none":
        shape = (rows, features, num_experts)
        return np.full(shape, np.float32(1 / num_experts))
    chosen = np.ones((rows, features, num_experts), bool)
    if router == "own":
        logits = told
    else:
        kernel = member.variables["params/gates/router/dense/kernel"]
        bias = member.variables["params/gates/router/dense/bias"]
        if config.gate_rank is not None:
            told = told.sum(axis=1)
        kernel = kernel.reshape(-1, features * num_experts)
        # Products of one size, whatever the number of rows.
        logits = told.reshape(-1, _BLOCK, len(kernel)) @ kernel
        logits = logits.reshape(rows, features, num_experts) + bias
        chosen = _largest(logits, min(config.top_k, num_experts))
    if router == "equal":
        logits = np.zeros_like(logits)
    highest = logits.max(axis=2, keepdims=True, where=chosen, initial=-np.inf)
    weights = np.where(chosen, np.exp(np.minimum(logits - highest, 0)), 0)
    return weights / weights.sum(axis=2, keepdims=True)


def _largest(logits: np.ndarray, count: int) -> np.ndarray:
    """Marks the largest logits of (B, F, K); of equal ones those with lower index."""
    if count == logits.shape[2]:
        return np.ones(logits.shape, bool)
    chosen = np.zeros(logits.shape, bool)
    order = np.argsort(-logits, axis=2, kind="stable")
    np.put_along_axis(chosen, order[..., :count], True, axis=2)
    return chosen
