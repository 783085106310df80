"""One feature of a report: its column, shape, experts, members and rules."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from naejax.explain.positions import find_positions
from naejax.reports.findings import Findings, positions_kept
from naejax.reports.groups import split_rows
from naejax.reports.numbers import positions_json, rounded, rounded_axis

_NAME = 300


@dataclass(frozen=True)
class Limits:
    """How much a report holds.

    Attributes:
        rows: listed one by one.
        experts: curves of the most used experts, per feature.
        members: whether the curves of an ensemble's members are in it.
        positions: of numbers or levels, per feature.
        pairs: of interacting features whose shapes are shown by groups.
        outputs: classes of a multiclass target.
        features: the most important ones.
    """

    rows: int = 40
    experts: int = 8
    members: bool = True
    positions: int = 48
    pairs: int = 12
    outputs: int = 12
    features: int = 1000


def feature_json(
    findings: Findings, i: int, outputs: np.ndarray, limits: Limits
) -> dict[str, Any]:
    """A feature as the report's page wants it.

    Args:
        findings: of the model.
        i: index of the feature.
        outputs: which outputs are shown.
        limits: how much of it.

    Returns:
        Plain values; arrays are output-major.
    """
    shape = findings.shapes[i]
    feature, kept = shape.feature, positions_kept(shape, limits.positions)
    agreement = findings.agreement
    several = findings.members > 1

    def curves(values: np.ndarray) -> list[Any]:
        """Values (n, C) at the positions kept, output-major."""
        return rounded(values[np.ix_(kept, outputs)].T)

    data = {
        "name": cut(feature.name),
        "kind": feature.kind,
        "missing": feature.missing,
        "unique": feature.unique,
        "range": None if feature.range is None else rounded(feature.range, digits=6),
        "levels": len(feature.levels),
        "importance": rounded(shape.importance[outputs]),
        "member_importance": rounded(shape.member_importance.T[outputs])
        if several
        else None,
        "additivity": rounded(shape.additivity[outputs]),
        "agreement": None if agreement is None else rounded(agreement[i, outputs]),
        "explained_by_others": rounded(findings.explained[i, outputs]),
        "positions": [_text(p) for p in positions_json(shape.positions[kept])],
        "window": None if shape.window is None else rounded(shape.window, digits=6),
        "edges": rounded_axis(shape.edges),
        "histogram": shape.histogram.tolist(),
        "counts": shape.counts[kept].tolist(),
        "shift": rounded(shape.shift[outputs]),
    }
    for name in ("mean", "low", "high", "lower", "upper"):
        data[name] = curves(getattr(shape, name))
    data |= _experts(findings, i, kept, outputs, limits.experts)
    data["member_means"] = None
    if several and limits.members:
        means = np.moveaxis(shape.members[:, kept][..., outputs], 2, 0)
        data["member_means"] = rounded(means)
    data["rules"] = _rules(findings, i, outputs)
    return data


def pairs_json(
    findings: Findings, features: list[int], outputs: np.ndarray, limits: Limits
) -> list[dict[str, Any]]:
    """The pairs of which one moves the other most, with its shape by groups of rows.

    Args:
        findings: of the model.
        features: those in the report; pairs name them by their place here.
        outputs: which outputs are shown.
        limits: how many pairs, at which positions.

    Returns:
        For each pair the feature ``i`` that is moved and ``j`` that moves it, the
        ``strength`` per output, and the mean contribution of i in groups of rows by j.
    """
    matrix = findings.interactions[..., outputs]
    strength = matrix.mean(axis=2)
    np.fill_diagonal(strength, -1)
    names = findings.interacting
    pairs: list[dict[str, Any]] = []
    place = {feature: at for at, feature in enumerate(features)}
    for flat in np.argsort(-strength, axis=None, kind="stable"):
        a, b = np.unravel_index(flat, strength.shape)
        if len(pairs) == limits.pairs or strength[a, b] <= 0:
            break
        i, j = names[a], names[b]
        if i not in place or j not in place:
            continue
        pairs.append(
            {
                "i": place[i],
                "j": place[j],
                "strength": rounded(matrix[a, b]),
                "groups": _groups(findings, i, j, outputs, limits),
            }
        )
    return pairs


def cut(text: str) -> str:
    """Text of the user's, which may be a novel, cut to 300 characters."""
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def _text(position: Any) -> Any:
    """A level cut, a number as it is."""
    return cut(position) if isinstance(position, str) else position


def _experts(
    findings: Findings, i: int, kept: np.ndarray, outputs: np.ndarray, most: int
) -> dict[str, Any]:
    """Curves of the experts that speak most, and how loudly they do on average."""
    shape = findings.shapes[i]
    weight = shape.counts @ shape.usage / shape.counts.sum()
    shown = np.argsort(-weight, kind="stable")[:most]
    shown = shown[weight[shown] > 0]
    experts = np.moveaxis(shape.experts[kept][:, shown][..., outputs], 0, -1)
    return {
        "experts": rounded(experts.swapaxes(0, 1), digits=3) if len(shown) else None,
        "expert_weight": rounded(weight[shown], digits=3),
        "hidden_experts": len(weight) - len(shown),
    }


def _rules(findings: Findings, i: int, outputs: np.ndarray) -> dict[str, Any] | None:
    """In words which context goes with which shape."""
    if i not in findings.rules:
        return None
    positions, rules = findings.rules[i].positions, findings.rules[i].rules
    return {
        "fidelity": rounded(rules.fidelity),
        "at": [_text(p) for p in positions_json(positions)],
        "leaves": [
            {
                "text": cut(leaf.text),
                "share": rounded(leaf.share),
                "curve": rounded(leaf.curve.T[outputs]),
            }
            for leaf in rules.leaves
        ],
    }


def _groups(
    findings: Findings, i: int, j: int, outputs: np.ndarray, limits: Limits
) -> list[dict[str, Any]]:
    """The mean centred contribution of feature i in groups of rows by feature j."""
    shape, sample = findings.shapes[i], findings.sample
    kept = positions_kept(shape, limits.positions)
    where = find_positions(shape.feature, sample[shape.feature.name]).groups
    centred = findings.contributions[:, i] - shape.shift.astype(np.float32)
    groups = []
    mover = findings.shapes[j].feature
    for label, member in split_rows(mover, sample[mover.name]):
        rows = np.bincount(where[member], minlength=len(shape.positions))
        curve = [
            np.bincount(where[member], centred[member, c], len(shape.positions))
            for c in outputs
        ]
        with np.errstate(invalid="ignore"):
            means = np.array(curve) / rows
        groups.append(
            {
                "label": label,
                "rows": int(member.sum()),
                "curve": rounded(means[:, kept]),
            }
        )
    return groups
