"""In which contexts a feature acts how, in words: a shallow tree over the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from naejax.data.cells import Columns
from naejax.data.codec import level_indices, to_numbers
from naejax.data.schema import Feature, Schema
from naejax.explain.conditions import EVERY_CONTEXT, Condition, levels_of, words
from naejax.explain.members import ROUNDING
from naejax.explain.positions import cells_of

_MIN_FIDELITY = 0.1
_MIN_GAIN = 0.02
_MAX_LEVELS = 50
_FEWEST = 5


@dataclass(frozen=True, eq=False)
class Rule:
    """One regime: the contexts of one leaf, and the contribution there.

    Attributes:
        text: the contexts in words, such as ``HouseAge > 38 and sex is male``.
        share: of the rows.
        curve: mean contribution in these contexts at n positions, (n, C).
        conditions: what ``text`` says; none for every context.
    """

    text: str
    share: float
    curve: np.ndarray
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class ContextRules:
    """The regimes of one feature.

    Attributes:
        leaves: the rules, the most frequent first; every row falls under one.
        fidelity: the share of the context variation that such rules explain in rows
            held back: 1 where there is no variation, 0 where nothing was found.
        groups: index of the rule of every row, (B,).
    """

    leaves: list[Rule]
    fidelity: float
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class _Input:
    """One column of the tree: ranks of numbers or whether it is a level; NaN missing.

    Ranks, because the tree computes in float32, which large numbers overflow.
    """

    index: int
    ranks: np.ndarray
    values: np.ndarray | None = None
    level: str = ""


def context_rules(
    curves: ArrayLike,
    weights: ArrayLike,
    columns: Columns,
    schema: Schema,
    feature: int,
    max_leaves: int = 4,
    min_share: float = 0.05,
    seed: int = 0,
) -> ContextRules:
    """Finds which values of the other features make a feature act differently.

    A regression tree over the raw cells of the other features predicts every row's
    curve. With ``d_b(p) = f_b(p) - mean_b f_b(p)`` at position p, and ``t_b`` what the
    tree says of row b::

        fidelity = 1 - sum_bp w_p (d_b(p) - t_b(p))^2 / sum_bp w_p d_b(p)^2

    measured on a third of the rows (drawn by the seed) with a tree fitted to the
    others; the rules are those of a tree fitted to all rows. A split must explain 2 %
    of the variation; a tree with a fidelity below 0.1 gives way to one rule, "in every
    context", with fidelity 0.

    Args:
        curves: of `naejax.explain.context_curves` for B rows, (B, n, C).
        weights: of the positions, such as the rows at each, (n,).
        columns: raw cells of the same rows.
        schema: of the table.
        feature: whose curves they are.
        max_leaves: most rules.
        min_share: smallest share of the rows that a rule may cover.
        seed: of the rows held back.

    Returns:
        The rules.

    Raises:
        ValueError: curves, weights and columns do not fit each other.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> age = np.arange(100.0)
        >>> columns = {"x": age % 7, "age": age, "y": age}
        >>> curves = np.where(age > 38, 1.0, -1.0)[:, None, None] * np.ones((1, 2, 1))
        >>> rules = context_rules(curves, np.ones(2), columns,
        ...                       infer_schema(columns, "y"), feature=0)
        >>> [rule.text for rule in rules.leaves], rules.fidelity
        (['age > 38', 'age ≤ 38'], 1.0)
    """
    curves, weights = np.asarray(curves, np.float64), np.asarray(weights, np.float64)
    if curves.ndim != 3 or weights.shape != curves.shape[1:2] or not weights.sum() > 0:
        raise ValueError(
            f"curves have shape {curves.shape} and weights {weights.shape}, expected "
            "(rows, n, outputs) and (n,), not all of them 0"
        )
    rows = len(curves)
    context = curves - curves.mean(axis=0)
    size = np.abs(curves).max()
    if rows < 2 * _FEWEST or np.abs(context).max() <= ROUNDING * size:
        return _one_rule(curves, float(np.abs(context).max() <= ROUNDING * size))
    inputs = [
        one
        for i, other in enumerate(schema.features)
        if i != feature
        for one in _inputs(i, other, cells_of(columns, other.name, rows))
    ]
    if not inputs:
        return _one_rule(curves, 0.0)
    scale = np.sqrt(weights / weights.sum())[:, None]
    target = (context * scale).reshape(rows, -1)
    table = np.stack([one.ranks for one in inputs], axis=1).astype(np.float32)
    fitted, held = np.array_split(
        np.random.default_rng(seed).permutation(rows), [2 * rows // 3]
    )
    tree = _fit(table[fitted], target[fitted], max_leaves, min_share, seed)
    predicted = tree.predict(table[held]).reshape(len(held), -1)
    variation = ((target[held] - target[fitted].mean(axis=0)) ** 2).sum()
    error = ((target[held] - predicted) ** 2).sum()
    fidelity = 1 - error / variation if variation > 0 else 0.0
    tree = _fit(table, target, max_leaves, min_share, seed)
    leaf = tree.apply(table)
    paths = _paths(tree.tree_)
    if fidelity < _MIN_FIDELITY or len(paths) < 2:
        return _one_rule(curves, 0.0)
    order = sorted(paths, key=lambda node: -(leaf == node).sum())
    rules = []
    for node in order:
        here = leaf == node
        conditions = _conditions(paths[node], inputs, columns, schema)
        curve = curves[here].mean(axis=0)
        text = words(conditions, schema)
        rules.append(Rule(text, float(here.mean()), curve, conditions))
    groups = np.argmax(leaf[:, None] == np.array(order), axis=1)
    return ContextRules(rules, float(fidelity), groups)


def _one_rule(curves: np.ndarray, fidelity: float) -> ContextRules:
    """One rule for all rows."""
    rule = Rule(EVERY_CONTEXT, 1.0, curves.mean(axis=0), ())
    return ContextRules([rule], fidelity, np.zeros(len(curves), np.intp))


def _inputs(index: int, feature: Feature, column: np.ndarray) -> list[_Input]:
    """What the tree sees of a column: one input for numbers, else one per level."""
    if feature.kind == "numeric":
        numbers = to_numbers(feature.name, column)
        known = ~np.isnan(numbers)
        values, ranks = np.unique(numbers[known], return_inverse=True)
        inputs = np.full(len(numbers), np.nan)
        inputs[known] = ranks
        return [_Input(index, inputs, values)] if known.any() else []
    levels = levels_of(feature)
    found = level_indices(levels, column)
    counts = np.bincount(found[found >= 0], minlength=len(levels))
    frequent = np.argsort(-counts, kind="stable")[:_MAX_LEVELS]
    # Of two levels one input says all.
    frequent = frequent[: 1 if len(levels) == 2 else len(frequent)]
    return [
        _Input(index, np.where(found < 0, np.nan, found == i), None, levels[i])
        for i in frequent
        if counts[i]
    ]


def _fit(table, target, max_leaves: int, min_share: float, seed: int):
    """The tree on some rows; splits that explain little are not made."""
    from sklearn.tree import DecisionTreeRegressor

    least = max(_FEWEST, int(np.ceil(min_share * len(table))))
    tree = DecisionTreeRegressor(
        max_leaf_nodes=max(max_leaves, 2),
        min_samples_leaf=least,
        min_impurity_decrease=_MIN_GAIN * target.var(axis=0).mean(),
        random_state=seed,
    )
    return tree.fit(table, target)


def _paths(tree) -> dict[int, list[tuple[int, float, bool, bool]]]:
    """For every leaf its splits: input, threshold, whether below, whether with NaN."""
    paths: dict[int, list[tuple[int, float, bool, bool]]] = {}
    open_nodes: list[tuple[int, list[tuple[int, float, bool, bool]]]] = [(0, [])]
    while open_nodes:
        node, path = open_nodes.pop()
        if tree.children_left[node] < 0:
            paths[node] = path
            continue
        split = int(tree.feature[node]), float(tree.threshold[node])
        left = bool(tree.missing_go_to_left[node])
        open_nodes += [
            (tree.children_left[node], [*path, (*split, True, left)]),
            (tree.children_right[node], [*path, (*split, False, not left)]),
        ]
    return paths


def _conditions(
    path: list[tuple[int, float, bool, bool]],
    inputs: list[_Input],
    columns: Columns,
    schema: Schema,
) -> tuple[Condition, ...]:
    """The splits of one leaf, merged into one condition per feature."""
    found: dict[int, Condition] = {}
    for which, threshold, is_below, with_missing in path:
        one = inputs[which]
        feature = schema.features[one.index]
        old = found.get(one.index)
        if old is None:
            gone = level = None
            if feature.kind == "numeric":
                gone = np.isnan(to_numbers(feature.name, columns[feature.name])).any()
            else:
                level = levels_of(feature)
                gone = (level_indices(level, columns[feature.name]) < 0).any()
            old = Condition(one.index, levels=level, missing=bool(gone))
        found[one.index] = _narrow(old, one, threshold, is_below, with_missing)
    return tuple(found.values())


def _narrow(
    old: Condition, one: _Input, threshold: float, is_below: bool, with_missing: bool
) -> Condition:
    """A condition after one more split."""
    missing = old.missing and with_missing
    if one.values is None:
        keeps = [
            level for level in old.levels or () if (level == one.level) != is_below
        ]
        if np.isinf(threshold):
            keeps = list(old.levels or ()) if is_below else []
        return old._replace(levels=tuple(keeps), missing=missing)
    if np.isinf(threshold):
        return old._replace(missing=missing, known=old.known and is_below)
    bound = _shortest(*one.values[int(threshold) : int(threshold) + 2])
    if is_below:
        return old._replace(upper=min(old.upper, bound), missing=missing)
    return old._replace(lower=max(old.lower, bound), missing=missing)


def _shortest(low: float, high: float) -> float:
    """The number of fewest digits t with ``low <= t < high``; whole between whole."""
    are_whole = low == np.round(low) and high == np.round(high)
    for digits in range(1, 17):
        for near in (low + (high - low) / 2, low):
            bound = float(f"{near:.{digits}g}")
            if low <= bound < high and (bound.is_integer() or not are_whole):
                return bound
    return float(low)
