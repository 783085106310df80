"""Reports as the page gets them: small, complete, and made without a model.

Names and numbers look like those of real tables; every array has the shape that
`naejax.reports` promises.
"""

import numpy as np

HOSTILE = (
    "</script><img src=x onerror=\"document.title='broken'\">",
    "long " * 40,
    "درجة الحرارة القصوى",
    "🌡️ temperature 🌧️",
    "<!-- <script>",
    "a & b \u2028 c",
    "$title ${x} %s {y}",
    "\u202eflow right\\",
)
HOMES = (
    "MedInc",
    "HouseAge",
    "AveRooms",
    "AveBedrms",
    "Population",
    "AveOccup",
    "Latitude",
    "Longitude",
)
REGIMES = ("Latitude ≤ 34.2", "Latitude > 34.2 and HouseAge ≤ 28")
REGIMES += ("Latitude > 34.2 and HouseAge > 28",)
CITIES = ("Oslo", "Bergen", "Trondheim", "Tromsø", "Kristiansand", "Ålesund")
SHARES = (0.43, 0.36, 0.21)


def fake_report(
    kind: str = "regression",
    *,
    names: tuple[str, ...] = HOMES,
    classes: tuple[str, ...] = (),
    members: int = 1,
    rows: int = 24,
    title: str = "california: MedHouseVal",
    seed: int = 0,
) -> dict:
    """A report on a table, whose outputs are the classes if there are three or more.

    Every fifth column is categorical, every seventh boolean; every fourth one has
    missing cells.
    """
    rng = np.random.default_rng(seed)
    outputs = list(classes) if kind == "multiclass" else ["MedHouseVal"]
    if kind == "binary":
        outputs = [f"log-odds of {classes[1]}"]
    features = [
        _feature(rng, i, name, outputs, members) for i, name in enumerate(names)
    ]
    importance = np.array([f["importance"] for f in features]).mean(axis=1)
    bias = rng.normal(2, 0.1, len(outputs)).round(4).tolist()
    metrics = ("rmse", "mae", "r2") if kind == "regression" else ("auc", "log_loss")
    return {
        "kind": "table",
        "title": title,
        "about": [
            ["data", "california, 20,640 rows"],
            ["model", "32 experts per column, 2 active, hidden layers 64, 64"],
            ["command", "naejax explain runs/california --out report.html"],
            ["naejax", "0.1.0"],
        ],
        "target": {"name": "MedHouseVal", "kind": kind, "classes": list(classes)},
        "outputs": outputs,
        "score_name": "contribution to "
        + (outputs[0] if len(outputs) == 1 else "the score of each class"),
        "rows": {
            "training": 14448,
            "validation": 2064,
            "test": 4128,
            "shown_from": "training rows of california",
            "scored_on": "test rows of california",
        },
        "scores": [
            {
                "name": model,
                "split": "test",
                "values": {m: 0.44 + k / 9 for k, m in enumerate(metrics, start)},
            }
            for start, model in enumerate(("NAE", "linear"))
        ],
        "notes": ["Shapes come from an even sample of 4,000 training rows (seed 0)."],
        "warnings": _warnings(len(names)),
        "bias": bias,
        "additivity": [0.83] * len(outputs),
        "members": members,
        "order": np.argsort(-importance, kind="stable").tolist(),
        "features": features,
        **_interactions(rng, features, len(outputs)),
        "table": {"rows": _rows(rng, features, kind, classes, bias, rows)},
        **_errors(rng, kind, classes),
    }


def _warnings(features: int) -> list[dict]:
    return [
        {
            "level": "warn",
            "title": "Latitude and Longitude tell much the same",
            "text": "Their contributions have a correlation of 0.87. Read their shapes "
            "together: one can take over what the other says.",
            "features": list(range(features))[-2:],
        },
        {
            "level": "info",
            "title": "3 experts are never used",
            "text": "Of 256 experts, 3 have a mean weight below 0.03 %.",
            "features": [],
        },
    ]


def _feature(rng, i: int, name: str, outputs: list[str], members: int) -> dict:
    """One column whose curve, spread, range and experts hang together."""
    num_outputs = len(outputs)
    kind = {4: "categorical", 6: "boolean"}.get(i % 7, "numeric")
    if kind == "numeric":
        window = (
            [1.0, 52.0] if i == 1 else [round(-2.0 * i, 2), 10.0 + 1000.0 * (i == 5)]
        )
        count = 24 if i % 2 else 9
        positions = np.linspace(*window, count).round(3).tolist()
    else:
        window = None
        levels = CITIES if i % 2 else tuple(f"category {k}" for k in range(18))
        positions = list(levels if kind == "categorical" else ("false", "true"))
    if i % 4 == 3:
        positions.append(None)
    n = len(positions)
    size = 1.2 * 0.8**i + 0.002
    t = np.linspace(-1, 1, n)
    phase = rng.uniform(0, 3, num_outputs)
    mean = size * np.sin(2.2 * t[:, None] + phase)
    mean -= mean.mean(axis=0)
    width = size * (0.2 + 0.25 * np.cos(t))[:, None] * np.ones(num_outputs)
    wiggles = rng.normal(0, 1, (5, num_outputs, 1)) * width.T
    experts = mean.T + np.cumsum([0.9, -1.6, 1.2, 0.3, -0.5])[:, None, None] * wiggles
    edges = np.linspace(*window, 21).tolist() if window else []
    member = mean.T + 0.1 * rng.normal(0, size, (members, num_outputs, n))
    importance = np.abs(mean).mean(axis=0)

    def listed(x):
        return np.round(x, 4).tolist()

    return {
        "name": name,
        "kind": kind,
        "missing": 37 if positions[-1] is None else 0,
        "unique": n * 11 if kind == "numeric" else n,
        "range": [window[0] - 1, window[1] + 3] if window else None,
        "levels": 0 if window else n,
        "importance": listed(importance),
        "member_importance": listed(
            importance[:, None] * rng.uniform(0.9, 1.1, members)
        )
        if members > 1
        else None,
        "additivity": rng.uniform(0.5, 1, num_outputs).round(3).tolist(),
        "agreement": [0.74] * num_outputs if members > 1 else None,
        "explained_by_others": [0.61 if i % 3 == 0 else 0.2] * num_outputs,
        "positions": positions,
        "window": window,
        "edges": listed(edges),
        "histogram": (50 + 400 * np.exp(-(np.linspace(-2, 3, 20) ** 2)))
        .round()
        .tolist()
        if window
        else [],
        "counts": rng.integers(4, 600, n).tolist(),
        "shift": [0.05] * num_outputs,
        "mean": listed(mean.T),
        "low": listed((mean - width).T),
        "high": listed((mean + width).T),
        "lower": listed((mean - 2.4 * width).T),
        "upper": listed((mean + 2.1 * width).T),
        "experts": listed(np.swapaxes(experts, 0, 1)),
        "expert_weight": [0.4, 0.3, 0.15, 0.1, 0.02],
        "hidden_experts": 27,
        "member_means": listed(np.swapaxes(member, 0, 1)) if members > 1 else None,
        "rules": _rules(i, positions, mean, width),
    }


def _rules(i: int, positions: list, mean, width) -> dict | None:
    if i >= 5:
        return None
    at = [p for p in positions if p is not None]
    leaves = zip(REGIMES, SHARES, (-1, 0.2, 1), strict=True)
    return {
        "fidelity": 0.71,
        "at": at,
        "leaves": [
            {
                "text": text,
                "share": share,
                "curve": (mean + side * width)[: len(at)].T.round(4).tolist(),
            }
            for text, share, side in leaves
        ],
    }


def _interactions(rng, features: list[dict], num_outputs: int) -> dict:
    m = min(len(features), 30)
    if m < 2:
        return {"interactions": None, "pairs": []}
    strength = rng.exponential(0.03, (num_outputs, m, m)).round(4)
    strength[:, 1, 0] = 0.31
    strength[:, 0, m - 1] = 0.22
    strength[:, range(m), range(m)] = 0
    pairs = []
    for i, j in ((1, 0), (0, m - 1)):
        mean = np.array(features[i]["mean"])
        sides = (-0.3, 0.0, 0.3)
        groups = [
            {
                "label": f"{features[j]['name']} {label}",
                "rows": 1376,
                "curve": (mean * (1 + side) + side / 4).round(4).tolist(),
            }
            for label, side in zip(("≤ 2.5", "2.5 to 4.7", "> 4.7"), sides, strict=True)
        ]
        groups[0]["curve"][0][0] = None
        pairs.append(
            {"i": i, "j": j, "strength": strength[:, i, j].tolist(), "groups": groups}
        )
    matrix = {"features": list(range(m)), "matrix": strength.tolist()}
    return {"interactions": matrix, "pairs": pairs}


def _rows(rng, features, kind, classes, bias, rows) -> list[dict]:
    found = []
    for b in range(rows):
        size = np.array([f["importance"] for f in features]).T
        contributions = (size * rng.normal(0, 1.5, size.shape)).round(4)
        reach = np.abs(contributions) + 0.2 * size
        score = bias + contributions.sum(axis=1)
        if kind == "regression":
            truth, prediction = f"{score[0] + 0.2:.3g}", f"{score[0]:.3g}"
        else:
            truth = classes[b % len(classes)]
            prediction = f"{classes[int(score.argmax())]} (82 %)"
        found.append(
            {
                "id": f"test row {17 + 31 * b}",
                "cells": [
                    "missing" if p is None else str(p)
                    for p in (f["positions"][b % len(f["positions"])] for f in features)
                ],
                "truth": truth,
                "prediction": prediction,
                "score": score.round(4).tolist(),
                "contributions": contributions.tolist(),
                "lower": (contributions - reach * 0.6).round(4).tolist(),
                "upper": (contributions + reach * 1.4).round(4).tolist(),
                "movers": [
                    [0, min(1, len(features) - 1), 0.29],
                    [len(features) - 1, 0, 0.1],
                ],
            }
        )
    return found


def _errors(rng, kind: str, classes: tuple[str, ...]) -> dict:
    if kind == "regression":
        truth = rng.gamma(4, 0.5, 400)
        points = np.stack([truth + rng.normal(0, 0.35, 400), truth], axis=1)
        counts, edges = np.histogram(points[:, 0] - points[:, 1], 30)
        residuals = {
            "points": points.round(3).tolist(),
            "edges": edges.round(3).tolist(),
            "counts": counts.tolist(),
        }
        return {"residuals": residuals, "calibration": None, "confusion": None}
    middles = np.linspace(0.05, 0.95, 10)
    bins = [
        {
            "predicted": p,
            "observed": round(p**1.2, 3),
            "rows": int(40 + 900 * (p - 0.5) ** 2),
        }
        for p in middles.round(3).tolist()
    ]
    shown = classes[1:] if kind == "binary" else classes
    counts = rng.integers(0, 20, (len(classes), len(classes)))
    counts[range(len(classes)), range(len(classes))] += 150
    return {
        "residuals": None,
        "calibration": {"classes": [{"name": name, "bins": bins} for name in shown]},
        "confusion": {"classes": list(classes), "counts": counts.tolist()},
    }
