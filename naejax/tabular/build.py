"""What a training on a table starts from: encoder, module, rows, initial variables."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.schema import Schema
from naejax.data.table import TableEncoder, fit_encoder
from naejax.models.ensemble import NAEEnsemble
from naejax.models.knots import KNOTS
from naejax.models.nae import NAE
from naejax.ops.value_knots import fill_up, value_knots
from naejax.tabular.fitted import TabularNAE
from naejax.tabular.predict import raw_target
from naejax.tabular.rows import Rows
from naejax.tabular.target import training_target

FINE = 1000
"""Knots of an encoding whose networks see every row."""


def make_encoder(
    training: Columns,
    schema: Schema,
    chosen: Any,
    offset: np.ndarray | None,
    seed: int,
) -> TableEncoder:
    """The encoder of the training rows; the target's scale is that of what is left.

    Args:
        training: training rows, with the target.
        schema: of the table.
        chosen: settings without None.
        offset: of the training rows, or None.
        seed: of the encoder.

    Returns:
        The encoder.
    """
    encoder = fit_encoder(
        training,
        schema,
        numeric=chosen.numeric,
        categorical=chosen.categorical,
        num_knots=chosen.num_knots or FINE,
        seed=seed,
    )
    if offset is None or schema.target.kind != "regression":
        return encoder
    left = raw_target(encoder, training) - np.asarray(offset, np.float64).reshape(-1)
    std = float(np.std(left))
    return replace(
        encoder, target_mean=float(np.mean(left)), target_std=std if std > 0 else 1.0
    )


def make_module(
    schema: Schema, chosen: Any, num_knots: int, *, tabulated: bool = False
) -> NAE | NAEEnsemble:
    """The module that settings ask for.

    Args:
        schema: of the table.
        chosen: settings without None.
        num_knots: T, or 0.
        tabulated: whether its parameters are tables: that of a model that was loaded.

    Returns:
        One model, or an ensemble.

    Raises:
        ValueError: if settings do not suit the table.
    """
    if chosen.members < 1:
        raise ValueError(f"members is {chosen.members}, expected at least 1 model")
    names = [feature.name for feature in schema.features]
    signs = dict.fromkeys(names, 0)
    for name, sign in chosen.monotone:
        if name not in signs:
            raise ValueError(
                unknown_name(f"monotone names the column {name!r}", name, names)
            )
        kind = schema.features[names.index(name)].kind
        if kind == "categorical" or schema.target.kind == "multiclass":
            raise ValueError(
                f"monotone names {name!r}: a score can rise or fall with numbers and "
                "true/false, for regression and two classes; got a "
                f"{kind} column and a {schema.target.kind} target"
            )
        signs[name] = sign
    member = NAE(
        num_outputs=schema.target.num_outputs,
        num_experts=chosen.num_experts,
        top_k=min(chosen.top_k, chosen.num_experts),
        hidden=tuple(chosen.hidden),
        gate=chosen.gate,
        gate_rank=chosen.gate_rank or None,
        dropout=chosen.dropout,
        expert_dropout=chosen.expert_dropout,
        num_knots=num_knots,
        monotone=tuple(signs.values()) if chosen.monotone else None,
        tabulated=tabulated,
    )
    return member if chosen.members == 1 else NAEEnsemble(member, chosen.members)


def encode_rows(
    fitted: TabularNAE,
    x: np.ndarray,
    columns: Columns,
    weight: np.ndarray | None,
    offset: np.ndarray | None,
) -> Rows:
    """Encoded rows with targets, weights and standardised offsets.

    Args:
        fitted: a model whose variables may still be missing.
        x: the encoded features, (N, F).
        columns: the same rows, with the target.
        weight: (N,) or None.
        offset: in the target's unit, (N,), (N, C) or None.

    Returns:
        The rows.
    """
    if offset is not None:
        offset = (np.asarray(offset) / fitted.target_scale[1]).astype(np.float32)
    return Rows(x, training_target(fitted, columns), weight, offset)


@partial(jax.jit, static_argnums=0)
def _init(model: NAE, key: jax.Array, x: jax.Array) -> Any:
    """Initial variables; compiled, one operation at a time would take seconds."""
    return model.init(key, x)


def table_knots(encoder: TableEncoder, x: np.ndarray, num_knots: int) -> np.ndarray:
    """Where the knots of every feature stand: at those of its encoding, or its levels.

    Args:
        encoder: of the table.
        x: encoded training rows, (N, F).
        num_knots: T, at most; 0 for none.

    Returns:
        Non-decreasing, (F, T) float32; T is smaller where no feature needs as many.
    """
    if not num_knots:
        return np.zeros((x.shape[1], 0), np.float32)
    found = []
    for codec, column in zip(encoder.codecs, x.T, strict=True):
        if codec.kind == "quantile":
            found.append(codec.table[1])
        elif codec.kind == "levels" and len(codec.levels) <= num_knots:
            found.append(codec.table)
        else:
            found.append(value_knots(column[~np.isnan(column)], num_knots))
    return fill_up(found, max(2, *map(len, found)))


def initial_variables(
    model: NAE | NAEEnsemble, x: np.ndarray, knots: np.ndarray, seeds: list[int]
) -> Any:
    """Initial variables with knots where they belong.

    Args:
        model: one model, or an ensemble with as many members as seeds.
        x: encoded training rows, (N, F).
        knots: result of `table_knots`.
        seeds: of the members.

    Returns:
        The model's variables.
    """
    member = getattr(model, "member", model)
    # This generator compiles four times as fast, but must not be vmapped over seeds.
    keys = [jax.random.key(seed, impl="unsafe_rbg") for seed in seeds]
    each = [jax.device_get(_init(member, key, x[:1])) for key in keys]
    if member.num_knots:
        each = [{**variables, KNOTS: {"at": knots}} for variables in each]
    if not isinstance(model, NAEEnsemble):
        return each[0]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    return {collection: {"member": value} for collection, value in stacked.items()}
