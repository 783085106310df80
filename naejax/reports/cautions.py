"""What a reader of a report should beware of, found in the model and its rows."""

from typing import Any

import numpy as np

from naejax.data.cells import as_text, is_missing
from naejax.data.suspects import is_identifier
from naejax.explain.positions import find_positions
from naejax.reports.findings import Findings, num_rows
from naejax.tabular import raw_target

_ADDITIVE, _CONTEXT = 0.8, 0.5
_TOGETHER, _TOLD, _ALONE, _AUC = 0.8, 0.9, 0.9, 0.99
_MATTERS = 0.05
_FEW = 300
_UNUSED, _UNSEEN, _DRIFT = 0.5, 0.01, 0.05
_NAMED = 5

Caution = dict[str, Any]


def cautions(findings: Findings) -> list[Caution]:
    """Everything worth a warning, the gravest first.

    Features with less than a twentieth of the largest importance are left alone where
    their shape is at issue.

    Args:
        findings: of a model.

    Returns:
        For each its ``level`` (warn or info), a ``title``, a ``text`` in full sentences
        and the ``features`` by index.
    """
    importance = np.array([shape.importance.mean() for shape in findings.shapes])
    matters = importance > _MATTERS * max(importance.max(), 1e-30)
    found = [
        *_leaks(findings),
        *_identifiers(findings),
        *_context(findings, matters),
        *_concurvity(findings, matters),
        *_unseen_levels(findings),
        *_missing_drift(findings),
        *_few_rows(findings),
        *_dead_experts(findings),
    ]
    return sorted(found, key=lambda caution: caution["level"] != "warn")


def _leaks(findings: Findings) -> list[Caution]:
    """Columns that alone tell nearly all: their mean contribution at each value."""
    if len(findings.shapes) < 2:
        return []
    found = []
    for i, name in enumerate(_names(findings)):
        # Contributions themselves know the other columns, through the gate.
        alone = _alone(findings, i)
        share = _squared_correlation(alone, findings.prediction).mean()
        if share > _ALONE:
            reason = f"tells {_percent(share)} of the variance of the score"
        elif (area := _area(findings, alone)) > _AUC:
            reason = f"tells the classes apart, with {area:.3f} under the ROC curve"
        else:
            continue
        text = (
            f"{name} alone {reason}. If that is too good to be true, the column may be "
            "known only after the target is: check where it comes from."
        )
        found.append(_caution("warn", f"Does {name} leak the target?", text, [i]))
    return found


def _identifiers(findings: Findings) -> list[Caution]:
    """Columns that number the rows."""
    schema, shown = findings.fitted.encoder.schema, findings.rows.shown
    found = [
        i
        for i, feature in enumerate(schema.features)
        if is_identifier(feature, schema.rows, shown[feature.name])
    ]
    if not found:
        return []
    text = (
        f"{_listed(findings, found)}: nearly every row has a value of its own, as in "
        "an identifier. What a model learns from it does not hold for new rows."
    )
    return [_caution("warn", "Columns that may be identifiers", text, found)]


def _context(findings: Findings, matters: np.ndarray) -> list[Caution]:
    """Shapes that are not the whole story."""
    additivity = float(findings.additivity.mean())
    low = [
        i
        for i in findings.order
        if matters[i] and findings.shapes[i].additivity.mean() < _CONTEXT
    ]
    if additivity >= _ADDITIVE and not low:
        return []
    text = f"The shapes tell {_percent(additivity)} of the variance of the score. "
    if low:
        text += (
            f"What {_listed(findings, low)} add{'s' if len(low) == 1 else ''} "
            "depends mostly on other columns. "
        )
    text += "Read the shapes with their context: rules, pairs and single rows."
    level = "warn" if additivity < _ADDITIVE else "info"
    return [_caution(level, "Shapes are not the whole story", text, low)]


def _concurvity(findings: Findings, matters: np.ndarray) -> list[Caution]:
    """Contributions that rise and fall together, or that the others tell."""
    together = findings.concurvity.mean(axis=2)
    pairs = [
        (float(together[i, j]), i, j)
        for i in range(len(together))
        for j in range(i)
        if matters[i] and matters[j] and together[i, j] > _TOGETHER
    ]
    found = []
    names = _names(findings)
    if pairs:
        pairs.sort(reverse=True)
        listed = "; ".join(
            f"{names[j]} and {names[i]} ({r:.2f})" for r, i, j in pairs[:_NAMED]
        )
        more = f"; and {len(pairs) - _NAMED} more pairs" if len(pairs) > _NAMED else ""
        text = (
            f"Contributions rise and fall together (correlation): {listed}{more}. The "
            "model could have shared the effect out otherwise: read them as one."
        )
        features = sorted({k for _, i, j in pairs for k in (i, j)})
        found.append(
            _caution("warn", "Columns that stand for each other", text, features)
        )
    explained = findings.explained.mean(axis=1)
    told = [i for i in np.flatnonzero(matters & (explained > _TOLD)).tolist()]
    if told and not pairs:
        text = (
            f"The other columns' contributions tell more than {_percent(_TOLD)} of "
            f"the contributions of {_listed(findings, told)}: the effect could have "
            "been shared out otherwise."
        )
        found.append(_caution("info", "Effects that others could carry", text, told))
    return found


def _unseen_levels(findings: Findings) -> list[Caution]:
    """Categories among the scored rows that the model has not been trained on."""
    encoder, scored = findings.fitted.encoder, findings.rows.scored
    found, told, largest = [], [], 0.0
    names = _names(findings)
    for i, (feature, codec) in enumerate(
        zip(encoder.schema.features, encoder.codecs, strict=True)
    ):
        if not codec.levels:
            continue
        texts = as_text(scored[feature.name])
        unseen = ~is_missing(texts) & ~np.isin(texts, np.array(codec.levels, object))
        if unseen.any():
            found.append(i)
            largest = max(largest, float(unseen.mean()))
            told.append(f"{names[i]} ({_share(unseen.mean())})")
    if not found:
        return []
    text = (
        f"Categories that no training row has, in the {findings.rows.scored_on}: "
        f"{_first(told)} of the rows. They count as missing."
    )
    level = "warn" if largest > _UNSEEN else "info"
    return [_caution(level, "Unknown categories", text, found)]


def _missing_drift(findings: Findings) -> list[Caution]:
    """Columns whose share of missing cells differs between the rows."""
    rows = findings.rows
    if not rows.has_split:
        return []
    found, told = [], []
    for i, feature in enumerate(findings.fitted.encoder.schema.features):
        before = is_missing(rows.shown[feature.name])
        after = is_missing(rows.scored[feature.name])
        p, q = before.mean(), after.mean()
        # Four standard errors: chance alone does that once in 16,000 columns.
        pooled = (before.sum() + after.sum()) / (len(before) + len(after))
        error = np.sqrt(pooled * (1 - pooled) * (1 / len(before) + 1 / len(after)))
        if abs(p - q) > max(_DRIFT, 4 * error):
            found.append(i)
            told.append(f"{_names(findings)[i]} (from {_percent(p)} to {_percent(q)})")
    if not found:
        return []
    text = (
        f"The share of missing cells differs between the {rows.shown_from} and the "
        f"{rows.scored_on}: {_first(told)}. Such rows are predicted from less."
    )
    return [_caution("warn", "More or fewer missing cells", text, found)]


def _few_rows(findings: Findings) -> list[Caution]:
    """Too few rows to read details of shapes."""
    rows = num_rows(findings.rows.shown)
    if rows >= _FEW:
        return []
    text = (
        f"Shapes come from {rows} rows: their small bends are chance as likely as not."
    )
    return [_caution("info", "Few rows", text, [])]


def _dead_experts(findings: Findings) -> list[Caution]:
    """Experts that hardly ever speak."""
    dead, total = findings.dead, findings.num_experts
    if total == 1 or dead.sum() < _UNUSED * total * len(dead):
        return []
    text = (
        f"{dead.sum():,} of {total * len(dead):,} experts are hardly ever chosen. The "
        "model is smaller than it looks; that does no harm, and fewer experts would do."
    )
    return [_caution("info", "Experts without work", text, [])]


def _alone(findings: Findings, i: int) -> np.ndarray:
    """What the column's own value says of each row: its mean contribution, (B, C)."""
    shape = findings.shapes[i]
    column = findings.sample[shape.feature.name]
    return shape.mean[find_positions(shape.feature, column).groups]


def _area(findings: Findings, alone: np.ndarray) -> float:
    """The area under the ROC curve of scores (B, C), 0 if unknown."""
    from sklearn.metrics import roc_auc_score

    target = findings.fitted.encoder.schema.target
    if not target.classes or target.name not in findings.sample:
        return 0.0
    truth = raw_target(findings.fitted.encoder, findings.sample)
    pairs = [(truth == c, alone[:, c]) for c in range(alone.shape[1])]
    if len(pairs) == 1:
        pairs = [(truth == 1, alone[:, 0])]
    areas = [roc_auc_score(is_c, s) for is_c, s in pairs if 0 < is_c.mean() < 1]
    return float(np.mean(areas)) if areas else 0.0


def _squared_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Pearson correlation of columns (B, C), 0 where one does not vary."""
    a = a - a.mean(axis=0, dtype=np.float64)
    b = b - b.mean(axis=0, dtype=np.float64)
    size = (a**2).sum(axis=0) * (b**2).sum(axis=0)
    return np.where(size > 0, (a * b).sum(axis=0) ** 2 / np.where(size > 0, size, 1), 0)


def _names(findings: Findings) -> list[str]:
    """Names of the features, short enough for a sentence."""
    return [
        name if len(name := shape.feature.name) <= 60 else f"{name[:59]}…"
        for shape in findings.shapes
    ]


def _listed(findings: Findings, features: list[int]) -> str:
    """Some features by name."""
    names = _names(findings)
    return _first([names[i] for i in features])


def _first(texts: list[str]) -> str:
    """The first few of some texts, and how many more there are."""
    if len(texts) <= _NAMED:
        return ", ".join(texts)
    return f"{', '.join(texts[:_NAMED])} and {len(texts) - _NAMED} more"


def _share(value: float) -> str:
    """A share of rows in a few characters."""
    return "under 0.1 %" if value < 0.001 else f"{100 * value:.1f} %"


def _percent(value: float) -> str:
    """A share in whole percents."""
    return f"{100 * value:.0f} %"


def _caution(level: str, title: str, text: str, features: list[int]) -> Caution:
    """One entry."""
    return {"level": level, "title": title, "text": text, "features": features}
