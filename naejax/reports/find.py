"""Everything that a report says about a model of a table, computed once."""

from collections.abc import Callable

import numpy as np

from naejax.data.cells import Columns
from naejax.data.codec import encode_column
from naejax.data.table import encode
from naejax.explain import (
    Shape,
    agreement,
    compute_shapes,
    concurvity,
    context_curves,
    context_effects,
    context_rules,
    dead_experts,
    explained_by_others,
    importance_order,
    interaction_matrix,
    model_additivity,
)
from naejax.models.nae import contribution_range
from naejax.reports.diagnostics import sample_rows
from naejax.reports.findings import (
    Findings,
    Listed,
    Rules,
    TableRows,
    num_rows,
    positions_kept,
    take,
)
from naejax.tabular import TabularNAE, explain_rows

# Experts are (rows, features, experts, outputs) of float32.
_EXPERT_BYTES = 128_000_000
_EFFECT_BYTES = 64_000_000
_EFFECT_ROWS, _DRAWS = 256, 2
_INTERACTING, _RULED = 30, 12
_RULE_ROWS, _RULE_POSITIONS = 500, 16
# Below this share of the largest importance a feature has no rule worth reading.
_MATTERS = 0.01


def find(
    fitted: TabularNAE,
    rows: TableRows,
    *,
    listed: np.ndarray,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Findings:
    """Computes what a report on a model of a table says.

    Of many rows an even sample is taken: experts (B, F, K, C) fill at most 128 MB.
    Interactions are computed among the 30 most important features and rules for 12.

    Args:
        fitted: a fitted model.
        rows: what to explain it by.
        listed: indices of the scored rows to list.
        seed: of the samples.
        say: gets a line on what is done.

    Returns:
        The findings.
    """
    schema = fitted.encoder.schema
    members = getattr(fitted.model, "size", 1)
    member = getattr(fitted.model, "member", fitted.model)
    num_experts, num_features = member.num_experts * members, len(schema.features)
    row_bytes = 4 * num_features * num_experts * member.num_outputs
    total = num_rows(rows.shown)
    chosen = sample_rows(total, max(_EXPERT_BYTES // row_bytes, 100), seed)
    sample = take(rows.shown, chosen)
    say(f"explaining {len(chosen):,} rows ({rows.shown_from})")
    output = explain_rows(fitted, sample)
    shapes = compute_shapes(output, sample, schema, members)
    order = importance_order(shapes)
    # The largest array by far, needed for nothing below.
    dead = dead_experts(output, members)
    additivity = model_additivity(output, sample, schema, members)
    agreed = agreement(output, members) if members > 1 else None
    output = output._replace(experts=output.experts[:0], gates=output.gates[:0])

    interacting = order[:_INTERACTING] if num_features > 1 else []
    say(f"interactions among {len(interacting)} columns")
    some = take(rows.scored, listed)
    matrix, effects = _interactions(fitted, some, sample, interacting, seed)
    largest = max(float(shape.importance.mean()) for shape in shapes)
    ruled = [
        i
        for i in order[:_RULED]
        if num_features > 1 and shapes[i].importance.mean() > _MATTERS * largest
    ]
    say(f"context rules of {len(ruled)} columns")
    return Findings(
        fitted=fitted,
        rows=rows,
        sample=sample,
        contributions=np.asarray(output.contributions),
        prediction=np.asarray(output.prediction),
        bias=np.asarray(output.bias),
        members=members,
        num_experts=num_experts,
        shapes=shapes,
        order=order,
        additivity=additivity,
        agreement=agreed,
        concurvity=concurvity(output),
        explained=explained_by_others(output),
        dead=dead,
        interacting=interacting,
        interactions=matrix,
        rules=_rules(fitted, sample, shapes, ruled, seed),
        listed=_list(fitted, some, listed, effects, members),
        notes=_notes(rows, total, len(chosen), num_features, seed),
    )


def _interactions(
    fitted: TabularNAE,
    listed: Columns,
    sample: Columns,
    features: list[int],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Interactions (m, m, C), and those of the listed rows (n, m, m, C)."""
    encoder, outputs = fitted.encoder, fitted.encoder.schema.target.num_outputs
    n, m = num_rows(listed), len(features)
    if m < 2:
        return np.zeros((m, m, outputs)), np.zeros((n, m, m, outputs))
    most = int(np.clip(_EFFECT_BYTES // (4 * m * m * outputs) - n, 32, _EFFECT_ROWS))
    chosen = sample_rows(num_rows(sample), most, seed)
    background = encode(encoder, sample)
    effects = context_effects(
        fitted.model,
        fitted.variables,
        np.concatenate([encode(encoder, listed), background[chosen]]),
        background,
        features=features,
        draws=_DRAWS,
        seed=seed,
    )
    effects = np.asarray(effects) * np.float32(fitted.target_scale[1])
    return np.asarray(interaction_matrix(effects[n:])), effects[:n]


def _rules(
    fitted: TabularNAE,
    sample: Columns,
    shapes: list[Shape],
    features: list[int],
    seed: int,
) -> dict[int, Rules]:
    """Context rules of some features."""
    encoder, std = fitted.encoder, fitted.target_scale[1]
    rows = take(sample, sample_rows(num_rows(sample), _RULE_ROWS, seed))
    x = encode(encoder, rows)
    found = {}
    for i in features:
        shape, feature = shapes[i], encoder.schema.features[i]
        at = positions_kept(shape, _RULE_POSITIONS)
        grid = encode_column(feature, encoder.codecs[i], shape.positions[at])
        curves = context_curves(fitted.model, fitted.variables, x, i, grid)
        curves = np.asarray(curves) * np.float32(std) - shape.shift.astype(np.float32)
        rules = context_rules(curves, shape.counts[at], rows, encoder.schema, i)
        found[i] = Rules(shape.positions[at], rules)
    return found


def _list(
    fitted: TabularNAE,
    columns: Columns,
    index: np.ndarray,
    effects: np.ndarray,
    members: int,
) -> Listed:
    """The rows to list one by one, explained."""
    output = explain_rows(fitted, columns)
    lower, upper = map(np.asarray, contribution_range(output, members))
    return Listed(index, columns, output, lower, upper, effects)


def _notes(
    rows: TableRows, total: int, kept: int, num_features: int, seed: int
) -> list[str]:
    """What was computed from which rows."""
    notes = []
    if kept < total:
        notes.append(
            f"Shapes, importance and warnings are computed from {kept:,} of the "
            f"{total:,} {rows.shown_from}, drawn evenly with seed {seed}."
        )
    else:
        notes.append(
            f"Shapes, importance and warnings are computed from all {total:,} "
            f"{rows.shown_from}."
        )
    if num_features > 1:
        among = (
            f" among the {_INTERACTING} most important columns"
            if num_features > _INTERACTING
            else ""
        )
        notes.append(
            f"Interactions are computed{among} on at most {_EFFECT_ROWS} of these rows,"
            f" each with {_DRAWS} draws of the other column's value."
        )
        notes.append(
            f"Context rules are computed for at most the {_RULED} most important "
            f"columns, on at most {_RULE_ROWS} rows at {_RULE_POSITIONS} positions."
        )
    return notes
