"""Columns that are hardly features, and what is said of them before training."""

import numpy as np
import pytest

from naejax.data import infer_schema
from naejax.data.suspects import suspicions

ROWS = 1200
RNG = np.random.default_rng(0)
DAYS = np.array(
    [f"2011-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(ROWS)], object
)


def lines(column, rows=ROWS):
    columns = {"the x": column[:rows], "y": RNG.normal(size=rows)}
    return suspicions(infer_schema(columns, "y"), columns)


@pytest.mark.parametrize(
    ("column", "suspected"),
    [
        (np.arange(ROWS) + 7000.0, True),
        (RNG.permutation(ROWS) * 1000.0, True),
        (np.array([f"u{i}" for i in range(ROWS)], object), True),
        (np.array(["a", "b"] * (ROWS // 2), object), False),
        (RNG.normal(size=ROWS), False),
        (RNG.integers(0, 9, ROWS) * 1.0, False),
        # Scaled to [0, 1]: the ends are whole numbers, the rest is not.
        (np.linspace(0, 1, ROWS), False),
        (np.append(RNG.permutation(ROWS - 1) * 1000.0, np.nan), False),
        (np.arange(ROWS) % 2 == 0, False),
    ],
)
def test_identifiers(column, suspected):
    said = lines(column)
    assert bool(said) == suspected
    assert not said or "may be an identifier" in said[0]
    assert not said or "--drop 'the x'" in said[0]


def test_few_numbers_far_apart_are_measured():
    assert not lines(RNG.permutation(ROWS) * 1000.0, rows=600)
    assert not lines(np.arange(ROWS) + 0.0, rows=40)


@pytest.mark.parametrize("end", ["", "T10:30", " 10:30:15.5", "T10:30:00Z"])
def test_dates(end):
    (line,) = lines(DAYS + end)
    assert "holds dates" in line and "--drop 'the x'" in line
    # The levels may be as many as the rows.
    assert "holds dates" in lines(DAYS[:12] + end, rows=12)[0]
    assert not lines(np.where(np.arange(ROWS) % 9, DAYS, "never"))
