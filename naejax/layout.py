"""The arrays that a configuration of Neural Additive Experts asks for.

Nothing here imports JAX, so that files can be checked and served without it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from naejax.strict_json import is_number, is_whole

GATES = ("context", "equal", "own", "none")
DTYPES = ("float32", "float64", "bfloat16", "float16")

Shapes = dict[str, tuple[int, ...]]


class ModelConfig(NamedTuple):
    """The fields of `naejax.NAE`, and of an ensemble around it, as plain values.

    Attributes:
        num_outputs: C.
        num_experts: K.
        top_k: k.
        hidden: widths of the blocks of an encoder.
        gate: context, equal, own or none.
        gate_rank: rank of the gate's matrix, or None.
        dropout: rate in training.
        expert_dropout: rate in training.
        num_knots: T, or 0.
        monotone: -1, 0 or 1 for every feature, or None.
        tabulated: whether the variables are tables in place of networks.
        dtype: name of the type that the networks compute in, or None.
        members: S of an ensemble; None for a single model.
    """

    num_outputs: int
    num_experts: int
    top_k: int
    hidden: tuple[int, ...]
    gate: str
    gate_rank: int | None
    dropout: float
    expert_dropout: float
    num_knots: int = 0
    monotone: tuple[int, ...] | None = None
    tabulated: bool = False
    dtype: str | None = None
    members: int | None = None

    def monotone_features(self, num_features: int) -> np.ndarray:
        """Which features are monotone, bool (F,)."""
        signs = self.monotone or (0,) * num_features
        return np.array(signs, dtype=bool)

    def router(self, num_features: int) -> str:
        """The gate that runs: ``none`` where there is nothing to choose or to see."""
        hides_all = self.monotone_features(num_features).all()
        return "none" if self.num_experts == 1 or hides_all else self.gate

    def told(self, num_features: int) -> int:
        """R, how many numbers a feature tells the gates."""
        router = self.router(num_features)
        if router in ("none", "own"):
            return self.num_experts if router == "own" else 0
        return self.gate_rank or self.hidden[-1]


def config_of(model: Any) -> ModelConfig:
    """The configuration of a module, a `naejax.NAE` or an ensemble of them."""
    members = getattr(model, "size", None)
    member = model if members is None else model.member
    fields = {name: getattr(member, name) for name in ModelConfig._fields[:-2]}
    dtype = None if member.dtype is None else np.dtype(member.dtype).name
    return ModelConfig(**fields, dtype=dtype, members=members)


def flatten(variables: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dicts by their paths, such as ``params/bias``."""
    if not isinstance(variables, Mapping):
        return {prefix: np.asarray(variables)}
    flat: dict[str, np.ndarray] = {}
    for name, branch in variables.items():
        flat |= flatten(branch, f"{prefix}/{name}" if prefix else name)
    return flat


def model_config(header: Mapping[str, Any]) -> ModelConfig:
    """The model of a header, its values checked.

    Args:
        header: of a file, of kind "nae" or "estimator".

    Returns:
        The configuration.

    Raises:
        ValueError: if a value is missing, of the wrong type, or fits no model.

    Example:
        >>> model = {"num_outputs": 1, "num_experts": 4, "top_k": 2, "hidden": [8],
        ...          "gate": "context", "gate_rank": None, "dropout": 0.0,
        ...          "expert_dropout": 0.0}
        >>> features = [{"name": "x", "kind": "numeric"}]
        >>> model_config({"model": model}).hidden
        (8,)
    """
    fields = header["model"]
    required = ModelConfig._fields[: -len(ModelConfig._field_defaults)]
    if not set(required) <= set(fields) <= set(ModelConfig._fields):
        raise ValueError(
            f"the model has the fields {sorted(fields)}, expected "
            f"{sorted(ModelConfig._fields)}; update naejax"
        )
    lists = {name: fields.get(name) for name in ("hidden", "monotone")}
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in lists.items()}
    config = ModelConfig(**{**fields, **lists})
    counts = (config.num_outputs, config.num_experts, config.top_k)
    optional = (config.gate_rank, config.members)
    rates = (config.dropout, config.expert_dropout)
    signs = config.monotone
    valid = {
        "num_outputs, num_experts or top_k": all(is_whole(n, 1) for n in counts),
        "gate_rank or members": all(n is None or is_whole(n, 1) for n in optional),
        "hidden": isinstance(config.hidden, tuple)
        and len(config.hidden) > 0
        and all(is_whole(n, 1) for n in config.hidden),
        "gate": config.gate in GATES,
        "dropout": all(is_number(rate) and 0 <= rate < 1 for rate in rates),
        "num_knots": is_whole(config.num_knots) and config.num_knots != 1,
        "monotone": signs is None
        or (isinstance(signs, tuple) and all(type(s) is int for s in signs)),
        "tabulated": type(config.tabulated) is bool
        and (config.num_knots > 0 or not config.tabulated),
        "dtype": config.dtype in (None, *DTYPES),
    }
    wrong = [name for name, fits in valid.items() if not fits]
    if wrong:
        values = fields.get(wrong[0], "wrong")
        raise ValueError(f"{wrong[0]} is {values!r}, which fits no model")
    return config


def parameter_shapes(config: ModelConfig, num_features: int) -> Shapes:
    """The shapes of a model's variables, as ``model.init`` gives them.

    Args:
        config: of the model.
        num_features: F.

    Returns:
        Shapes by path, such as ``params/bias``.

    Example:
        >>> config = ModelConfig(1, 4, 2, (8,), "none", None, 0.0, 0.0)
        >>> parameter_shapes(config, num_features=3)["params/features/encoder/missing"]
        (3, 8)
    """
    C, K, T = config.num_outputs, config.num_experts, config.num_knots
    bound = int(config.monotone_features(num_features).sum())
    free, H = num_features - bound, config.hidden[-1]
    shapes: Shapes = {"params/bias": (C,)}
    if T:
        shapes["knots/at"] = (num_features, T)
    if config.tabulated:
        told = config.told(num_features)
        shapes["params/experts"] = (num_features, K, C, T + 1)
        if free and told:
            shapes["params/told"] = (free, told, T + 1)
    elif bound:
        for name, last in (("bias", ()), ("missing", ()), ("roots", (T - 1,))):
            shapes[f"params/monotone_features/{name}"] = (bound, K, C, *last)
    if free and not config.tabulated:
        shapes |= {
            f"params/features/encoder/{name}": (free, *shape)
            for name, shape in _encoder_shapes(config).items()
        }
        shapes["params/features/experts/dense/kernel"] = (free, K, H, C)
        shapes["params/features/experts/dense/bias"] = (free, K, C)
    dense = "params/gates/router/dense"
    router, rank = config.router(num_features), config.gate_rank
    if router != "none" and not (router == "own" and config.tabulated):
        shapes[f"{dense}/bias"] = (num_features, K)
    if router == "own" and not config.tabulated:
        shapes[f"{dense}/kernel"] = (num_features, H, K)
    elif router in ("context", "equal") and rank is None:
        shapes[f"{dense}/kernel"] = (free, H, num_features, K)
    elif router in ("context", "equal") and rank is not None:
        shapes[f"{dense}/kernel"] = (rank, num_features, K)
        if not config.tabulated:
            shapes["params/gates/router/summary/kernel"] = (free, H, rank)
    if config.members is None:
        return shapes
    split = (name.partition("/") for name in shapes)
    return {
        f"{collection}/member/{rest}": (config.members, *shapes[f"{collection}/{rest}"])
        for collection, _, rest in split
    }


def _encoder_shapes(config: ModelConfig) -> Shapes:
    """Shapes of one feature's encoder."""
    shapes: Shapes = {"missing": (config.hidden[0],)}
    if config.num_knots:
        shapes["steps"] = (config.hidden[0], config.num_knots - 1)
    widths = (1, *config.hidden)
    for block, width in enumerate(config.hidden):
        shapes[f"dense_{block}/kernel"] = (widths[block], width)
        for name in (
            f"dense_{block}/bias",
            f"norm_{block}/scale",
            f"norm_{block}/bias",
        ):
            shapes[name] = (width,)
    return shapes
