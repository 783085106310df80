"""The report on a model of a table, as the data of its page."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from naejax.data.table import encode_target
from naejax.evaluation import log_probabilities
from naejax.explain.outputs import score_name
from naejax.reports.cautions import cautions
from naejax.reports.diagnostics import calibration, confusion, residuals, sample_rows
from naejax.reports.features import Limits, cut, feature_json, pairs_json
from naejax.reports.find import find
from naejax.reports.findings import Findings, TableRows, num_rows, take
from naejax.reports.numbers import rounded
from naejax.reports.page import to_script_json
from naejax.reports.rows import choose_rows, rows_json
from naejax.tabular import TabularNAE, raw_target, score_rows
from naejax.tabular.fitted import LOG_LINK

MOST_BYTES = 1_800_000
"""Of the data; the page around it has 200 KB."""

_SCORED = 5_000

LADDER = (
    Limits(),
    Limits(rows=20),
    Limits(rows=20, experts=4),
    Limits(rows=20, experts=0, members=False),
    Limits(rows=12, experts=0, members=False, positions=24),
    Limits(rows=12, experts=0, members=False, positions=16, outputs=6, pairs=6),
    Limits(
        rows=8, experts=0, members=False, positions=16, outputs=4, pairs=6, features=200
    ),
    Limits(
        rows=5, experts=0, members=False, positions=12, outputs=3, pairs=4, features=60
    ),
)
"""What a report holds, step by step less until it is small enough: rows, experts'
curves, members' curves, positions, outputs, features."""


def table_report(
    fitted: TabularNAE,
    rows: TableRows,
    *,
    title: str,
    about: Sequence[tuple[str, str]] = (),
    scores: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    seed: int = 0,
    most_bytes: int = MOST_BYTES,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Builds the data of a report on a model of a table.

    Args:
        fitted: a fitted model.
        rows: what to explain it by.
        title: of the page.
        about: labels and texts on where the model comes from.
        scores: entries with ``name``, ``split`` and ``values`` by name.
        notes: sentences to add.
        seed: of all samples.
        most_bytes: size of the data as JSON that must not be exceeded; it holds less
            and less, in the order of `LADDER`, until it fits.
        say: gets a line on what is done.

    Returns:
        Plain values for `naejax.reports.page.render`.

    Raises:
        ValueError: if a column is missing or holds text where numbers are expected.
    """
    diagnosis, wrong = _diagnose(fitted, rows, seed)
    listed = choose_rows(wrong, num_rows(rows.scored), LADDER[0].rows, seed)
    findings = find(fitted, rows, listed=listed, seed=seed, say=say)
    warnings = cautions(findings)
    data: dict[str, Any] = {}
    for step, limits in enumerate(LADDER):
        outputs = shown_outputs(findings, limits.outputs)
        features = sorted(findings.order[: limits.features])
        target = fitted.encoder.schema.target
        data = {
            "kind": "table",
            "title": cut(title),
            "about": [[cut(label), cut(text)] for label, text in about],
            "target": {
                "name": cut(target.name),
                "kind": target.kind,
                "classes": [cut(name) for name in target.classes],
            },
            "outputs": [cut(name) for name in _output_names(fitted, outputs)],
            "score_name": f"contribution to {_score_name(fitted)}",
            "rows": {
                **{k: rows.counts.get(k) for k in ("training", "validation", "test")},
                "shown_from": rows.shown_from,
                "scored_on": rows.scored_on,
            },
            "scores": [
                {**entry, "values": {k: rounded(v) for k, v in entry["values"].items()}}
                for entry in scores
            ],
            "notes": [*notes, *findings.notes, *_left_out(findings, limits, step)],
            "warnings": [_placed(warning, features) for warning in warnings],
            "bias": rounded(findings.bias[outputs], unit=_size(findings), digits=5),
            "additivity": rounded(findings.additivity[outputs]),
            "members": findings.members,
            "order": [features.index(i) for i in findings.order if i in set(features)],
            "features": [feature_json(findings, i, outputs, limits) for i in features],
            "interactions": _interactions(findings, features, outputs),
            "pairs": pairs_json(findings, features, outputs, limits),
            "table": {"rows": rows_json(findings, features, outputs, limits)},
            **diagnosis,
        }
        if json_bytes(data) <= most_bytes:
            break
    return data


def json_bytes(data: dict[str, Any]) -> int:
    """The size of a report's data in its page.

    Args:
        data: of a report.

    Returns:
        Bytes.

    Example:
        >>> json_bytes({"a": [1, 2]})
        11
    """
    return len(to_script_json(data).encode())


def shown_outputs(findings: Findings, most: int) -> np.ndarray:
    """The outputs of a report: all, or the classes that are predicted most.

    Args:
        findings: of the model.
        most: how many.

    Returns:
        Indices, rising.
    """
    num_outputs = len(findings.bias)
    if num_outputs <= most:
        return np.arange(num_outputs)
    share = np.exp(log_probabilities(findings.prediction)).mean(axis=0)
    return np.sort(np.argsort(-share, kind="stable")[:most])


def _diagnose(
    fitted: TabularNAE, rows: TableRows, seed: int
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Residuals, calibration, confusion; and how far off each scored row is, (N,)."""
    empty = {"residuals": None, "calibration": None, "confusion": None}
    target = fitted.encoder.schema.target
    if target.name not in rows.scored:
        return empty, None
    chosen = sample_rows(num_rows(rows.scored), _SCORED, seed)
    some = take(rows.scored, chosen)
    score = score_rows(fitted, some)
    wrong = np.full(num_rows(rows.scored), -np.inf)
    if target.kind == "regression":
        truth = raw_target(fitted.encoder, some)
        prediction = np.asarray(fitted.inverse_link(score), np.float64)[:, 0]
        wrong[chosen] = np.abs(truth - prediction)
        return {**empty, "residuals": residuals(truth, prediction, seed=seed)}, wrong
    classes = encode_target(fitted.encoder, some)
    logs = log_probabilities(score)
    wrong[chosen] = -logs[np.arange(len(classes)), classes]
    return {
        **empty,
        "calibration": calibration(classes, np.exp(logs), target.classes),
        "confusion": confusion(classes, logs.argmax(axis=1), target.classes),
    }, wrong


def _score_name(fitted: TabularNAE) -> str:
    """What contributions add up to."""
    target = fitted.encoder.schema.target
    if fitted.loss in LOG_LINK:
        return f"the logarithm of {cut(target.name)}"
    if target.kind == "multiclass":
        return "the score of each class"
    return score_name(cut(target.name), tuple(map(cut, target.classes)))


def _output_names(fitted: TabularNAE, outputs: np.ndarray) -> list[str]:
    """Names of the outputs for the page's class selector."""
    target = fitted.encoder.schema.target
    if target.kind == "multiclass":
        return [target.classes[c] for c in outputs]
    return [_score_name(fitted)]


def _left_out(findings: Findings, limits: Limits, step: int) -> list[str]:
    """Sentences on what the page does not hold."""
    notes = []
    target, rows = findings.fitted.encoder.schema.target, findings.rows
    listed = min(limits.rows, len(findings.listed.index))
    total = num_rows(rows.scored)
    if listed < total:
        how = "drawn evenly"
        if target.name in rows.scored:
            how = "most drawn evenly, the last ones those predicted worst"
        notes.append(f"{listed} of the {total:,} {rows.scored_on} are listed, {how}.")
    if target.name in rows.scored and total > _SCORED:
        what = (
            "Errors are"
            if target.kind == "regression"
            else "Calibration and confusion are"
        )
        notes.append(f"{what} computed from {_SCORED:,} of these rows.")
    if len(findings.bias) > limits.outputs:
        notes.append(
            f"{limits.outputs} of {len(findings.bias)} classes are shown, those "
            "predicted most."
        )
    if len(findings.order) > limits.features:
        notes.append(
            f"{limits.features} of {len(findings.order)} columns are shown, the most "
            "important ones; in single rows the others are the rest of the sum."
        )
    if step:
        full = LADDER[0]
        less = [f"no more than {limits.rows} single rows"]
        if limits.experts < full.experts:
            less.append(f"curves of {limits.experts or 'no'} experts per column")
        if limits.positions < full.positions:
            less.append(f"at most {limits.positions} positions per column")
        if findings.members > 1 and not limits.members:
            less.append("no curves of single members")
        notes.append(f"To stay below 2 MB the page holds {', '.join(less)}.")
    return notes


def _placed(warning: dict[str, Any], features: list[int]) -> dict[str, Any]:
    """A warning whose features are named by their place in the report."""
    place = {feature: at for at, feature in enumerate(features)}
    kept = [place[i] for i in warning["features"] if i in place]
    return {**warning, "features": kept}


def _interactions(
    findings: Findings, features: list[int], outputs: np.ndarray
) -> dict[str, Any] | None:
    """The interaction matrix of the features in the report."""
    place = {feature: at for at, feature in enumerate(features)}
    kept = [k for k, i in enumerate(findings.interacting) if i in place]
    if len(kept) < 2:
        return None
    matrix = np.moveaxis(findings.interactions[np.ix_(kept, kept)], -1, 0)[outputs]
    return {
        "features": [place[findings.interacting[k]] for k in kept],
        "matrix": rounded(matrix, digits=3),
    }


def _size(findings: Findings) -> float | None:
    """The largest contribution there is."""
    return float(np.abs(findings.contributions).max()) or None
