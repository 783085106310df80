"""Shapes: what each feature contributes along its own axis, over all contexts.

Everything here is computed from a model's output for some rows and the raw cells of
the same rows; no model runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from naejax.data.cells import Columns
from naejax.data.schema import Feature, Schema
from naejax.explain.members import ROUNDING, member_contributions
from naejax.explain.positions import cells_of, find_density, find_positions
from naejax.models.nae import contribution_range
from naejax.types import NAEOutput

SPREAD = (10, 90)


@dataclass(frozen=True, eq=False)
class Shape:
    """One feature's contribution at n positions of its own axis.

    All contributions are centred: their mean over the rows is 0, and `shift` says what
    was subtracted, so the model's score is
    ``(bias + sum of shifts) + sum of centred contributions``.

    Attributes:
        feature: the column.
        positions: numbers, rising, in the unit of the column (float64), or texts of
            levels (object), (n,). Where rows lack a value, one more position comes
            last, NaN or None; `naejax.data.cells.is_missing` finds it.
        counts: rows at each position, (n,).
        mean: mean contribution E[f_i | x_i], (n, C).
        low: 10th percentile of the contributions of the rows there, (n, C).
        high: 90th percentile, (n, C). Other features make the difference; the mean of
            a skewed spread can lie outside.
        lower: smallest contribution that any context can give a row there, (n, C).
        upper: largest one, (n, C).
        shift: mean of f_i over the rows, subtracted from all of the above, (C,).
        importance: mean of ``|f_i - shift|`` over the rows, (C,).
        additivity: estimate of ``Var(E[f_i | x_i]) / Var(f_i)`` in [0, 1], (C,).
        window: 0.5th and 99.5th percentile of the numbers (all of them if these are
            equal); None for levels.
        histogram: rows in m <= 40 equally wide bars over the window, (m,); empty for
            levels and for distinct numbers, where `counts` says it all.
        edges: where the bars begin and end, (m + 1,); empty where `histogram` is.
        experts: mean contribution that each of the K experts (all of an ensemble's)
            proposes to the rows there, less the mean over all rows of what its member
            contributes (`shift`, for one model), (n, K, C); empty if unknown.
        usage: mean gate of each expert there, (n, K); rows sum to 1.
        members: mean contribution of each of the S members of an ensemble, less the
            member's own mean over the rows, (S, n, C); one model is its only member.
        member_importance: mean of ``|f_im - mean f_im|`` for each member, (S, C).
    """

    feature: Feature
    positions: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    shift: np.ndarray
    importance: np.ndarray
    additivity: np.ndarray
    window: tuple[float, float] | None
    histogram: np.ndarray
    edges: np.ndarray
    experts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    usage: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    members: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    member_importance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def compute_shapes(
    output: NAEOutput, columns: Columns, schema: Schema, members: int = 1
) -> list[Shape]:
    """Computes the shape of every feature from a model's output for B rows.

    Positions are those of `naejax.explain.positions.find_positions`: levels, numbers or
    bins. With n positions and the sums of squares of f_i within positions and in
    total::

        A_i = 1 - (within / (B - n)) / (total / (B - 1)),  at least 0

    estimates ``Var(E[f_i | x_i]) / Var(f_i)``. Dividing by degrees of freedom keeps it
    near 0 for contributions that do not depend on x_i however few rows there are. It is
    an estimate by binning: what f_i varies inside a bin counts as context, so a steep
    function of a continuous feature stays a little below 1. It is 1 where f_i does not
    vary beyond rounding and where no two rows share a position.

    Args:
        output: what the model returned for the rows, contributions (B, F, C) and
            experts (B, F, K, C) in the unit of the target or as log-odds.
        columns: raw cells of the same rows.
        schema: of the table; feature i of the model is ``schema.features[i]``.
        members: S of an ensemble.

    Returns:
        One shape per feature, in the order of the schema.

    Raises:
        ValueError: a column is missing, or rows, features or members do not match the
            output.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(12.0) % 3, "y": np.arange(12.0)}
        >>> f = 10.0 * columns["x"].reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0] + 5, np.array([5.0]), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> (shape,) = compute_shapes(output, columns, infer_schema(columns, "y"))
        >>> shape.positions, shape.mean[:, 0], shape.shift
        (array([0., 1., 2.]), array([-10.,   0.,  10.]), array([10.]))

    Source: additivity is the correlation ratio; this estimate is Kelley's epsilon
    squared, "An Unbiased Correlation Ratio Measure", PNAS 1935.
    """
    _check(output, schema)
    contributions = np.asarray(output.contributions)
    gates, experts = np.asarray(output.gates), np.asarray(output.experts)
    by_member = member_contributions(output, members)
    lower, upper = map(np.asarray, contribution_range(output, members))
    return [
        _shape(
            feature,
            cells_of(columns, feature.name, len(contributions)),
            np.asarray(contributions[:, i], np.float64),
            np.asarray(lower[:, i], np.float64),
            np.asarray(upper[:, i], np.float64),
            gates[:, i],
            experts[:, i],
            np.asarray(by_member[:, :, i], np.float64),
        )
        for i, feature in enumerate(schema.features)
    ]


def model_additivity(
    output: NAEOutput, columns: Columns, schema: Schema, members: int = 1
) -> np.ndarray:
    """How much of the score the shapes tell: 1 for a plain additive model.

    With what context adds to a contribution, ``d_i = f_i - E[f_i | x_i]``::

        A = 1 - Var(sum_i d_i) / Var(sum_i f_i)

    estimated as the additivity of one feature is (`compute_shapes`), which A is for a
    single feature. It is the R2 of the sum of the shapes for the score, equal to
    ``Var(sum_i E[f_i | x_i]) / Var(sum_i f_i)`` where that sum and the context's are
    uncorrelated. The estimate of n_i positions' means costs feature i, by
    ``q_i = B / (B - n_i)``, what it costs there::

        Var(sum_i d_i) = mean_b((sum_i q_i d_ib)^2) - sum_i (q_i^2 - q_i) mean_b(d_ib^2)

    Args:
        output: what the model returned for B rows.
        columns: raw cells of the same rows.
        schema: of the table.
        members: S of an ensemble, which is measured as the one model that it is.

    Returns:
        One number in [0, 1] per output, (C,); 1 for a score that does not vary.

    Raises:
        ValueError: as `compute_shapes`.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(12.0) % 3, "y": np.arange(12.0)}
        >>> f = columns["x"].reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> model_additivity(output, columns, infer_schema(columns, "y"))
        array([1.])
    """
    _check(output, schema)
    contributions = np.asarray(output.contributions, np.float64)
    rows = len(contributions)
    context, excess = np.zeros(contributions[:, 0].shape), 0.0
    for i, feature in enumerate(schema.features):
        groups = find_positions(feature, cells_of(columns, feature.name, rows)).groups
        counts = np.bincount(groups)
        if rows == len(counts):
            continue
        f = contributions[:, i] - contributions[:, i].mean(axis=0)
        sums = [np.bincount(groups, column) for column in f.T]
        deviation = f - (np.stack(sums, axis=1) / counts[:, None])[groups]
        factor = rows / (rows - len(counts))
        context += factor * deviation
        excess += (factor**2 - factor) * (deviation**2).sum(axis=0)
    score = contributions.sum(axis=1)
    size = np.abs(contributions).sum(axis=1).max(axis=0)
    varies = np.ptp(score, axis=0) > ROUNDING * size
    total = np.where(varies, score.var(axis=0, ddof=min(1, rows - 1)), 1)
    unexplained = ((context**2).sum(axis=0) - excess) / rows / total
    return np.where(varies, np.clip(1 - unexplained, 0, 1), 1.0)


def importance_order(shapes: Sequence[Shape]) -> list[int]:
    """Sorts features by importance, the mean over the outputs.

    Args:
        shapes: result of `compute_shapes`.

    Returns:
        Indices into ``shapes``, most important first; ties keep their order.

    Example:
        >>> from types import SimpleNamespace as Fake
        >>> importance_order([Fake(importance=np.array([v])) for v in (0.1, 0.3)])
        [1, 0]
    """
    scores = np.array([shape.importance.mean() for shape in shapes])
    return np.argsort(-scores, kind="stable").tolist()


def _check(output: NAEOutput, schema: Schema) -> None:
    """Refuses an output without rows, or of a model of another table."""
    shape, num_features = output.contributions.shape, len(schema.features)
    if len(shape) != 3 or shape[0] == 0 or shape[1] != num_features:
        raise ValueError(
            f"contributions have shape {shape}, expected (rows, {num_features}, "
            "outputs) with at least one row and one column per feature: pass the "
            "output and the schema of the same model"
        )


def _shape(
    feature: Feature,
    column: np.ndarray,
    contributions: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    gates: np.ndarray,
    experts: np.ndarray,
    by_member: np.ndarray,
) -> Shape:
    """One feature's shape, from its cells (B,), and its part of a model's output."""
    positions, groups = find_positions(feature, column)
    counts = np.bincount(groups)
    starts = np.cumsum(counts) - counts
    order = np.argsort(groups, kind="stable")
    shift = contributions.mean(axis=0)
    centred = contributions[order] - shift
    mean = np.add.reduceat(centred, starts) / counts[:, None]
    spread = [
        np.percentile(rows, SPREAD, axis=0) for rows in np.split(centred, starts[1:])
    ]
    low, high = np.stack(spread, axis=1)
    members = len(by_member)
    # Position by position: a float64 copy of all experts could be larger than memory.
    there = np.split(order, starts[1:])
    proposed = np.stack([experts[rows].mean(axis=0, dtype=float) for rows in there])
    usage = np.stack([gates[rows].mean(axis=0, dtype=float) for rows in there])
    member_shift = by_member.mean(axis=1)
    by_member = by_member - member_shift[:, None]
    sums = np.add.reduceat(by_member[:, order], starts, axis=1)
    return Shape(
        feature=feature,
        positions=positions,
        counts=counts,
        mean=mean,
        low=low,
        high=high,
        lower=np.minimum.reduceat(lower[order], starts) - shift,
        upper=np.maximum.reduceat(upper[order], starts) - shift,
        shift=shift,
        importance=np.abs(centred).mean(axis=0),
        additivity=_additivity(contributions, mean, counts, shift),
        **find_density(feature, column)._asdict(),
        # Constants of single members say nothing: only their mean is in the score.
        experts=proposed - np.repeat(member_shift, experts.shape[1] // members, axis=0),
        usage=usage,
        members=sums / counts[:, None],
        member_importance=np.abs(by_member).mean(axis=1),
    )


def _additivity(
    contributions: np.ndarray, mean: np.ndarray, counts: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Epsilon squared of contributions (B, C) grouped into n positions, (C,)."""
    rows, n = len(contributions), len(counts)
    size = np.abs(contributions).max(axis=0)
    varies = np.ptp(contributions, axis=0) > ROUNDING * size
    if rows == n:
        return np.ones(len(shift))
    total = ((contributions - shift) ** 2).sum(axis=0)
    within = total - counts @ mean**2
    unexplained = within / (rows - n) / np.where(varies, total / (rows - 1), 1)
    return np.where(varies, np.clip(1 - unexplained, 0, 1), 1.0)
