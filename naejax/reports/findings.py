"""What was found of a model of a table and its rows, before it becomes a report."""

from dataclasses import dataclass, field

import numpy as np

from naejax.data.cells import Columns, is_missing
from naejax.explain import ContextRules, Shape
from naejax.tabular import TabularNAE
from naejax.types import NAEOutput


@dataclass(frozen=True, eq=False)
class TableRows:
    """The rows that a report is about.

    Attributes:
        shown: those that shapes and interactions are computed from.
        shown_from: what they are, in words.
        scored: those that are listed, and scored where their target is known.
        scored_on: what they are, in words.
        counts: of training, validation and test rows where that is known.
        row_name: what a scored row is called, before its number.
    """

    shown: Columns
    shown_from: str
    scored: Columns
    scored_on: str
    counts: dict[str, int] = field(default_factory=dict)
    row_name: str = "row"

    @property
    def has_split(self) -> bool:
        """Whether shapes and scores come from different rows."""
        return self.shown is not self.scored


@dataclass(frozen=True, eq=False)
class Rules:
    """Rules of one feature, at r of its positions (r,)."""

    positions: np.ndarray
    rules: ContextRules


@dataclass(frozen=True, eq=False)
class Listed:
    """Rows of the scored ones that are listed one by one, n of them.

    Attributes:
        index: which rows, (n,).
        columns: their cells.
        output: of the model, in the target's unit.
        lower: context range of their contributions, (n, F, C).
        upper: its other end.
        effects: how far each of m features moves the contribution of each, in these
            rows, (n, m, m, C).
    """

    index: np.ndarray
    columns: Columns
    output: NAEOutput
    lower: np.ndarray
    upper: np.ndarray
    effects: np.ndarray


@dataclass(frozen=True, eq=False)
class Findings:
    """What was computed of a model and its rows; F features, C outputs.

    Attributes:
        fitted: the model.
        rows: the rows.
        sample: the rows shown that everything but scores was computed from, B of them.
        contributions: of the sample, (B, F, C).
        prediction: of the sample on the link scale, (B, C).
        bias: (C,).
        members: S of an ensemble, else 1.
        num_experts: K, all members together.
        shapes: one per feature.
        order: features by falling importance.
        additivity: of the model, (C,).
        agreement: of an ensemble's members, (F, C), or None.
        concurvity: (F, F, C).
        explained: share of each feature's contributions that the others tell, (F, C).
        dead: experts per feature that are hardly used, (F,).
        interacting: the m features that interactions are computed among.
        interactions: (m, m, C).
        rules: by feature.
        listed: rows one by one.
        notes: what was sampled.
    """

    fitted: TabularNAE
    rows: TableRows
    sample: Columns
    contributions: np.ndarray
    prediction: np.ndarray
    bias: np.ndarray
    members: int
    num_experts: int
    shapes: list[Shape]
    order: list[int]
    additivity: np.ndarray
    agreement: np.ndarray | None
    concurvity: np.ndarray
    explained: np.ndarray
    dead: np.ndarray
    interacting: list[int]
    interactions: np.ndarray
    rules: dict[int, Rules]
    listed: Listed
    notes: list[str]


def take(columns: Columns, rows: np.ndarray) -> Columns:
    """Some rows of a table."""
    return {name: column[rows] for name, column in columns.items()}


def num_rows(columns: Columns) -> int:
    """The number of rows of a table."""
    return len(next(iter(columns.values())))


def positions_kept(shape: Shape, most: int) -> np.ndarray:
    """Which positions of a shape to keep: missing, and at most so many others.

    Args:
        shape: of a feature.
        most: number of others; numbers are thinned evenly, of levels those with the
            most rows stay.

    Returns:
        Indices, rising.
    """
    known = np.flatnonzero(~is_missing(shape.positions))
    if len(known) > most:
        if shape.window is None:
            known = np.sort(np.argsort(-shape.counts[known], kind="stable")[:most])
        else:
            known = known[np.linspace(0, len(known) - 1, most).round().astype(int)]
    return np.append(known, np.flatnonzero(is_missing(shape.positions)))
