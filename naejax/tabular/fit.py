"""Training Neural Additive Experts on named columns."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.schema import Schema
from naejax.data.table import TableEncoder, encode, encode_training, fit_encoder
from naejax.models.ensemble import NAEEnsemble
from naejax.models.knots import KNOTS
from naejax.models.nae import NAE, place_knots
from naejax.objectives import losses
from naejax.settings import Settings
from naejax.tabular.fitted import CUSTOM_LOSS, TabularNAE
from naejax.tabular.predict import raw_target
from naejax.tabular.rows import Rows, draw, join
from naejax.tabular.target import (
    USUAL_LOSS,
    check_loss,
    training_loss,
    training_target,
)
from naejax.train.loop import FitResult, fit
from naejax.train.population import fit_population

_PENALTIES = ("expert_variance", "output_energy", "utilisation", "concurvity")


def fit_table(
    training: Columns,
    validation: Columns | None,
    schema: Schema,
    settings: Settings,
    *,
    weight: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    validation_weight: np.ndarray | None = None,
    validation_offset: np.ndarray | None = None,
    validation_fraction: float = 0.125,
    loss_function: losses.Loss | None = None,
    start: TabularNAE | None = None,
    device_budget: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[TabularNAE, FitResult]:
    """Trains Neural Additive Experts on named columns.

    Several members (``settings.members``) are trained by one program and predict their
    mean, `naejax.models.ensemble.NAEEnsemble`.

    Args:
        training: training rows, with the target.
        validation: rows that pick the best epoch; None draws them from the training
            rows, other ones for every member.
        schema: result of `naejax.data.infer_schema`.
        settings: how to build and train the model.
        weight: of the training rows, (N,); None: all 1.
        offset: added to the score of the training rows, on the link scale and in the
            target's unit, (N,) or (N, C): the model learns what is left.
        validation_weight: of the validation rows.
        validation_offset: of the validation rows.
        validation_fraction: share of rows to draw; 0, or fewer than 40 rows, draw none
            and keep the last epoch.
        loss_function: own ``loss(score (B, C), target (B,)) -> (B,)`` in the target's
            unit, in place of ``settings.loss``.
        start: a model to go on from: its parameters and its encoder are kept.
        device_budget: see `naejax.fit`; not for several members.
        seed: seed of everything random.
        progress: whether to show a progress bar.

    Returns:
        The fitted model and the history of training; of several members ``best_epoch``
        is the median.

    Raises:
        ValueError: if the loss does not suit the target, or settings the table.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import explain_rows
        >>> columns = {"x": np.arange(64.0), "y": np.sin(np.arange(64.0) / 10)}
        >>> settings = Settings(epochs=2, num_experts=4)
        >>> fitted, result = fit_table(
        ...     columns, columns, infer_schema(columns, "y"), settings, progress=False
        ... )
        >>> explain_rows(fitted, {"x": np.array([3.0])}).contributions.shape
        (1, 1, 1)
    """
    kind = schema.target.kind
    num_rows = len(training[schema.target.name])
    # Any: for_rows leaves no None, which the types of the fields cannot say.
    chosen: Any = settings.for_rows(num_rows, len(schema.features), kind)
    loss = CUSTOM_LOSS if loss_function else chosen.loss or USUAL_LOSS[kind]
    if not loss_function:
        check_loss(loss, chosen.loss_parameter, schema, training)
    if start is None:
        encoder = _encoder(training, schema, chosen, offset, seed)
    else:
        encoder = start.encoder
    model = _module(schema, chosen)
    fitted = TabularNAE(model, {}, encoder, loss, chosen.loss_parameter)
    x = encode(encoder, training) if start else encode_training(encoder, training)
    rows = _rows(fitted, x, training, weight, offset)
    check = None
    if validation is not None:
        x = encode(encoder, validation)
        check = _rows(fitted, x, validation, validation_weight, validation_offset)
        validation_fraction = 0.0
    seeds = [seed]
    if chosen.members > 1:
        # Drawn from the seed: members of neighbouring seeds must not coincide.
        words = np.random.SeedSequence(seed).generate_state(chosen.members)
        seeds = (words >> 1).tolist()
    labels = rows.target if schema.target.classes else None
    draws = [
        draw(num_rows, validation_fraction, labels, s, bootstrap=chosen.bootstrap)
        for s in seeds
    ]
    has_validation = check is not None or len(draws[0][1]) > 0
    options: dict[str, Any] = {
        "loss": training_loss(fitted, loss_function),
        "weight_decay": chosen.weight_decay,
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "penalties": {name: getattr(chosen, name) for name in _PENALTIES},
        "patience": chosen.patience if has_validation else None,
        "progress": progress,
    }
    if start is None:
        variables = _initial(model, rows.x, seeds)
    elif start.model == model:
        variables = start.variables
    else:
        raise ValueError(
            f"cannot go on from {start.model}, the settings ask for {model}; keep the "
            "settings, or start anew"
        )
    if isinstance(model, NAEEnsemble):
        if device_budget is not None:
            raise ValueError(
                f"device_budget is {device_budget} and members {chosen.members}; rows "
                "are sent in shards to one model only: leave one of them out"
            )
        result = _fit_members(
            model,
            variables,
            rows,
            check,
            draws,
            seeds,
            chosen.learning_rate,
            options,
        )
    else:
        (own, drawn), *_ = draws
        check = check if check is not None or not has_validation else rows.take(drawn)
        result = fit(
            model,
            variables,
            rows.take(own),
            optimizer=chosen.learning_rate,
            seed=seed,
            validation=check,
            device_budget=device_budget,
            **options,
        )
    return replace(fitted, variables=result.variables), result


def _encoder(
    training: Columns,
    schema: Schema,
    chosen: Any,
    offset: np.ndarray | None,
    seed: int,
) -> TableEncoder:
    """The encoder of the training rows; the target's scale is that of what is left."""
    encoder = fit_encoder(
        training,
        schema,
        numeric=chosen.numeric,
        categorical=chosen.categorical,
        seed=seed,
    )
    if offset is None or schema.target.kind != "regression":
        return encoder
    left = raw_target(encoder, training) - np.asarray(offset, np.float64).reshape(-1)
    std = float(np.std(left))
    return replace(
        encoder, target_mean=float(np.mean(left)), target_std=std if std > 0 else 1.0
    )


def _module(schema: Schema, chosen: Any) -> NAE | NAEEnsemble:
    """The module that settings ask for."""
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
        num_knots=chosen.num_knots,
        monotone=tuple(signs.values()) if chosen.monotone else None,
    )
    return member if chosen.members == 1 else NAEEnsemble(member, chosen.members)


def _rows(
    fitted: TabularNAE,
    x: np.ndarray,
    columns: Columns,
    weight: np.ndarray | None,
    offset: np.ndarray | None,
) -> Rows:
    """Encoded rows with targets, weights and standardised offsets."""
    if offset is not None:
        offset = (np.asarray(offset) / fitted.target_scale[1]).astype(np.float32)
    return Rows(x, training_target(fitted, columns), weight, offset)


@partial(jax.jit, static_argnums=0)
def _init(model: NAE, key: jax.Array, x: jax.Array) -> Any:
    """Initial variables; compiled, one operation at a time would take seconds."""
    return model.init(key, x)


def _initial(model: NAE | NAEEnsemble, x: np.ndarray, seeds: list[int]) -> Any:
    """Initial variables with knots where the rows are."""
    if not isinstance(model, NAEEnsemble):
        variables = _init(model, jax.random.key(seeds[0]), x[:1])
        return place_knots(variables, x) if model.num_knots else variables
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    init = partial(_init, model.member)
    variables = jax.vmap(init, in_axes=(0, None))(keys, x[:1])
    if model.member.num_knots:
        knots = place_knots(variables, x)[KNOTS]
        tiled = jax.tree.map(lambda a: jnp.tile(a, (len(seeds), 1, 1)), knots)
        variables = {**variables, KNOTS: tiled}
    return {collection: {"member": value} for collection, value in variables.items()}


def _fit_members(
    model: NAEEnsemble,
    variables: Any,
    rows: Rows,
    check: Rows | None,
    draws: list[tuple[np.ndarray, np.ndarray]],
    seeds: list[int],
    learning_rate: float,
    options: dict[str, Any],
) -> FitResult:
    """Trains all members by one program."""
    validation = np.stack([drawn for _, drawn in draws])
    if check is not None:
        first = len(rows.x)
        rows = join(rows, check)
        validation = np.tile(np.arange(first, len(rows.x)), (len(seeds), 1))
    result = fit_population(
        model.member,
        {collection: value["member"] for collection, value in variables.items()},
        rows,
        np.stack([own for own, _ in draws]),
        validation_rows=validation if validation.size else None,
        learning_rate=learning_rate,
        seeds=seeds,
        **options,
    ).to_fit_result()
    nested = {collection: {"member": v} for collection, v in result.variables.items()}
    return result._replace(variables=nested)
