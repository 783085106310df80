"""Many models of one table and one architecture, trained by one compiled program."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from naejax.compiled import keep_compiled_programs
from naejax.data.cells import Columns
from naejax.data.schema import Schema
from naejax.data.table import encode, encode_training
from naejax.models.ensemble import NAEEnsemble
from naejax.settings import Settings
from naejax.tabular.build import (
    encode_rows,
    initial_variables,
    make_encoder,
    make_module,
    table_knots,
)
from naejax.tabular.fit import PENALTIES
from naejax.tabular.fitted import TabularNAE
from naejax.tabular.rows import join
from naejax.tabular.target import USUAL_LOSS, check_loss, training_loss
from naejax.train.population import PopulationResult, fit_population

SCALARS = ("learning_rate", "weight_decay", *PENALTIES)
"""Settings that are numbers in the program: members of one can differ in them."""


def fit_members(
    training: Columns,
    validation: Columns,
    schema: Schema,
    settings: Settings,
    *,
    seeds: Sequence[int],
    scalars: Mapping[str, ArrayLike] | None = None,
    encoder_seed: int = 0,
    devices: int | Sequence[jax.Device] | None = None,
    memory_budget: int | None = None,
    progress: bool = True,
) -> tuple[list[TabularNAE], PopulationResult]:
    """Trains S models of a table side by side, with seeds and settings of their own.

    Member m is what `naejax.tabular.fit_table` gives with ``seed=seeds[m]`` and its
    settings, up to rounding, and but for the encoder, which all share. Members whose
    loss becomes NaN or infinite stop alone.

    Args:
        training: training rows, with the target.
        validation: rows that pick every member's best epoch.
        schema: result of `naejax.data.infer_schema`.
        settings: of all members.
        seeds: of initial variables, shuffling and dropout, one per member.
        scalars: settings of `SCALARS` that differ, one value per member.
        encoder_seed: of the encoder.
        devices: see `naejax.train.population.fit_population`.
        memory_budget: likewise.
        progress: whether to show a progress bar.

    Returns:
        The members, and how training them went.

    Raises:
        ValueError: if settings do not suit the table.

    Example:
        >>> from naejax.data import infer_schema
        >>> columns = {"x": np.arange(64.0), "y": np.sin(np.arange(64.0) / 10)}
        >>> members, result = fit_members(
        ...     columns, columns, infer_schema(columns, "y"),
        ...     Settings(epochs=1, num_experts=4, hidden=(8,)), seeds=[0, 0],
        ...     scalars={"expert_variance": [0.0, 10.0]}, progress=False)
        >>> len(members), result.best_epochs.tolist()
        (2, [1, 1])
    """
    keep_compiled_programs()
    kind, num_rows = schema.target.kind, len(training[schema.target.name])
    chosen: Any = settings.for_rows(num_rows)
    if chosen.members > 1:
        raise ValueError(
            f"members is {chosen.members}, expected 1: every model here stands alone"
        )
    loss = chosen.loss or USUAL_LOSS[kind]
    check_loss(loss, chosen.loss_parameter, schema, training)
    encoder = make_encoder(training, schema, chosen, None, encoder_seed)
    x = encode_training(encoder, training)
    knots = table_knots(encoder, x, chosen.num_knots)
    model = make_module(schema, chosen, knots.shape[1])
    fitted = TabularNAE(model, {}, encoder, loss, chosen.loss_parameter)
    rows = encode_rows(fitted, x, training, None, None)
    check = encode_rows(fitted, encode(encoder, validation), validation, None, None)
    given = dict(scalars or {})
    variables = _initial(model, rows.x, knots, seeds)
    num_checks = len(check.x)
    result = fit_population(
        model,
        variables,
        join(rows, check),
        np.broadcast_to(np.arange(num_rows), (len(seeds), num_rows)),
        validation_rows=np.broadcast_to(
            np.arange(num_rows, num_rows + num_checks), (len(seeds), num_checks)
        ),
        loss=training_loss(fitted, None),
        learning_rate=given.get("learning_rate", chosen.learning_rate),
        weight_decay=given.get("weight_decay", chosen.weight_decay),
        penalties={name: given.get(name, getattr(chosen, name)) for name in PENALTIES},
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        seeds=seeds,
        averaging=chosen.averaging,
        patience=chosen.patience,
        devices=devices,
        memory_budget=memory_budget,
        skip_diverged=True,
        progress=progress,
    )
    members = [
        replace(fitted, variables=jax.tree.map(lambda a, m=m: a[m], result.variables))
        for m in range(len(seeds))
    ]
    return members, result


def _initial(model: Any, x: np.ndarray, knots: np.ndarray, seeds: Sequence[int]) -> Any:
    """Initial variables of all members, (S, ...); those of one seed are the same."""
    own, places = np.unique(np.asarray(seeds), return_inverse=True)
    nested = initial_variables(NAEEnsemble(model, len(own)), x, knots, own.tolist())
    stacked = {name: value["member"] for name, value in jax.device_get(nested).items()}
    return jax.tree.map(lambda a: a[places], stacked)
