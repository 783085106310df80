"""Training Neural Additive Experts on named columns."""

from dataclasses import replace
from typing import Any

import numpy as np

from naejax.compiled import keep_compiled_programs
from naejax.data.cells import Columns
from naejax.data.schema import Schema
from naejax.data.table import encode, encode_training
from naejax.models.ensemble import NAEEnsemble
from naejax.objectives import losses
from naejax.settings import Settings
from naejax.tabular.build import (
    encode_rows,
    initial_variables,
    make_encoder,
    make_module,
    table_knots,
)
from naejax.tabular.fitted import CUSTOM_LOSS, TabularNAE
from naejax.tabular.rows import Rows, draw, join
from naejax.tabular.target import (
    USUAL_LOSS,
    check_loss,
    training_loss,
)
from naejax.train.checkpoint import Checkpoints
from naejax.train.loop import fit
from naejax.train.population import fit_population
from naejax.train.processes import own_part
from naejax.train.result import FitResult

PENALTIES = ("expert_variance", "output_energy", "utilisation", "concurvity")


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
    devices: int | None = None,
    checkpoints: Checkpoints | None = None,
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
        devices: see `naejax.fit`.
        checkpoints: likewise; several members keep none.
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
    keep_compiled_programs()
    kind = schema.target.kind
    num_rows = len(training[schema.target.name])
    # Any: for_rows leaves no None, which the types of the fields cannot say.
    chosen: Any = settings.for_rows(num_rows)
    loss = CUSTOM_LOSS if loss_function else chosen.loss or USUAL_LOSS[kind]
    if not loss_function:
        check_loss(loss, chosen.loss_parameter, schema, training)
    if start is None:
        encoder = make_encoder(training, schema, chosen, offset, seed)
    else:
        encoder = start.encoder
    x = encode(encoder, training) if start else encode_training(encoder, training)
    if start is None:
        knots = table_knots(encoder, x, chosen.num_knots)
        model = make_module(schema, chosen, knots.shape[1])
    else:
        before = getattr(start.model, "member", start.model)
        num_knots = before.num_knots if chosen.num_knots else 0
        model = make_module(schema, chosen, num_knots, tabulated=before.tabulated)
    fitted = TabularNAE(model, {}, encoder, loss, chosen.loss_parameter)
    rows = encode_rows(fitted, x, training, weight, offset)
    check = None
    if validation is not None:
        x = encode(encoder, validation)
        check = encode_rows(fitted, x, validation, validation_weight, validation_offset)
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
    options = fit_options(chosen, has_validation=has_validation) | {
        "loss": training_loss(fitted, loss_function),
        "devices": devices,
        "progress": progress,
    }
    if start is None:
        variables = initial_variables(model, rows.x, knots, seeds)
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
            own_part(rows.take(own)),
            optimizer=chosen.learning_rate,
            seed=seed,
            validation=own_part(check),
            device_budget=device_budget,
            checkpoints=checkpoints,
            **options,
        )
    return replace(fitted, variables=result.variables), result


def fit_options(chosen: Any, *, has_validation: bool) -> dict[str, Any]:
    """What settings say of a training, as arguments of `naejax.fit`.

    Args:
        chosen: settings without None.
        has_validation: whether some rows pick the best epoch.

    Returns:
        Arguments by name.
    """
    return {
        "weight_decay": chosen.weight_decay,
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "penalties": {name: getattr(chosen, name) for name in PENALTIES},
        "averaging": chosen.averaging,
        "patience": chosen.patience if has_validation else None,
    }


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
