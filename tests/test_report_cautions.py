"""Each caution of a report appears when it should, and not otherwise."""

import dataclasses

import numpy as np
import pytest

from naejax.data import infer_schema
from naejax.reports.cautions import cautions
from naejax.reports.find import find
from naejax.reports.findings import TableRows
from naejax.settings import Settings
from naejax.tabular import fit_table

pytestmark = pytest.mark.slow

ROWS = 600


def columns_of(**more):
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, ROWS)).round(3)
    city = np.array(["Oslo", "Bergen", "Tromsø"], object)[rng.integers(3, size=ROWS)]
    return {"a": a, "b": b, "c": c, "city": city, **more, "y": a + b + c}


def findings_of(columns, scored=None, target="y"):
    """What is found of a model that is hardly trained."""
    schema = infer_schema(columns, target)
    settings = Settings(epochs=1, num_experts=4, hidden=(8,), num_knots=0)
    fitted, _ = fit_table(columns, columns, schema, settings, progress=False)
    rows = TableRows(columns, "training rows", scored or columns, "test rows")
    return find(fitted, rows, listed=np.arange(3))


@pytest.fixture(scope="module")
def plain():
    """Findings about which there is nothing to say."""
    found = findings_of(columns_of())
    rng = np.random.default_rng(1)
    contributions = rng.normal(size=(ROWS, 4, 1)).astype(np.float32)
    together = np.broadcast_to(np.eye(4)[..., None], (4, 4, 1))
    shapes = [
        dataclasses.replace(shape, importance=np.ones(1), additivity=np.ones(1))
        for shape in found.shapes
    ]
    return dataclasses.replace(
        found,
        shapes=shapes,
        contributions=contributions,
        prediction=contributions.sum(axis=1),
        additivity=np.ones(1),
        concurvity=together,
        explained=np.zeros((4, 1)),
        dead=np.zeros(4, int),
    )


def titles(findings):
    return [caution["title"] for caution in cautions(findings)]


def only(findings, title):
    """The one caution, of that title."""
    (caution,) = cautions(findings)
    assert caution["title"] == title
    return caution


def with_shape(findings, i, **changed):
    shapes = list(findings.shapes)
    shapes[i] = dataclasses.replace(
        shapes[i], **{name: np.array([value]) for name, value in changed.items()}
    )
    return dataclasses.replace(findings, shapes=shapes)


def test_nothing_is_said_of_a_model_without_faults(plain):
    assert titles(plain) == []


def with_mean(findings, i, function):
    """Findings in which the shape of feature i is a function of its value."""
    shapes = list(findings.shapes)
    mean = function(shapes[i].positions)[:, None]
    shapes[i] = dataclasses.replace(shapes[i], mean=mean - mean.mean())
    return dataclasses.replace(findings, shapes=shapes)


def test_one_column_that_tells_all_is_suspected(plain):
    score = 10 * plain.sample["c"][:, None] + plain.prediction
    found = dataclasses.replace(with_mean(plain, 2, lambda x: x), prediction=score)
    caution = only(found, "Does c leak the target?")
    assert caution["features"] == [2] and caution["level"] == "warn"
    assert "96 % of the variance" in caution["text"]
    # Not the column alone: its contribution sees the others.
    unclear = dataclasses.replace(
        plain, contributions=np.repeat(score[:, None], 4, axis=1), prediction=score
    )
    assert titles(unclear) == []


def test_one_column_that_parts_the_classes_is_suspected():
    columns = columns_of()
    columns["y"] = np.array(["no", "yes"], object)[(columns["b"] > 0).astype(int)]
    found = with_mean(findings_of(columns), 1, lambda x: 0.01 * x)
    noise = np.random.default_rng(1).normal(size=found.prediction.shape)
    texts = [
        c["text"]
        for c in cautions(dataclasses.replace(found, prediction=noise))
        if c["title"] == "Does b leak the target?"
    ]
    assert len(texts) == 1 and "under the ROC curve" in texts[0]


@pytest.mark.parametrize(
    ("column", "suspected"),
    [
        (np.arange(ROWS) + 1000.0, True),
        (np.random.default_rng(0).permutation(ROWS) * 1.0, True),
        (np.array([f"u{i}" for i in range(ROWS)], object), True),
        (np.random.default_rng(0).normal(size=ROWS), False),
        (np.random.default_rng(0).permutation(ROWS) * 1000.0, False),
        (np.arange(ROWS) // 2 * 1.0, False),
        (np.arange(ROWS) % 2 == 0, False),
    ],
)
def test_columns_that_number_the_rows_are_suspected(plain, column, suspected):
    schema = infer_schema({**columns_of(), "a": column}, "y")
    encoder = dataclasses.replace(
        plain.fitted.encoder,
        schema=dataclasses.replace(schema, features=schema.features),
    )
    found = dataclasses.replace(
        plain,
        fitted=dataclasses.replace(plain.fitted, encoder=encoder),
        rows=dataclasses.replace(plain.rows, shown=columns_of() | {"a": column}),
    )
    is_there = "Columns that may be identifiers" in titles(found)
    assert is_there == suspected


def test_low_additivity_sends_the_reader_to_the_context(plain):
    low = dataclasses.replace(plain, additivity=np.array([0.6]))
    caution = only(low, "Shapes are not the whole story")
    assert caution["level"] == "warn" and "60 %" in caution["text"]
    one = only(with_shape(plain, 3, additivity=0.2), "Shapes are not the whole story")
    assert (
        one["features"] == [3] and one["level"] == "info" and "city adds" in one["text"]
    )
    unimportant = with_shape(plain, 3, additivity=0.2, importance=0.01)
    assert titles(unimportant) == []


def test_contributions_that_move_together_are_named(plain):
    together = plain.concurvity.copy()
    together[0, 2] = together[2, 0] = 0.93
    found = dataclasses.replace(plain, concurvity=together)
    caution = only(found, "Columns that stand for each other")
    assert caution["features"] == [0, 2] and "a and c (0.93)" in caution["text"]
    explained = plain.explained.copy()
    explained[1] = 0.95
    caution = only(
        dataclasses.replace(plain, explained=explained),
        "Effects that others could carry",
    )
    assert caution["features"] == [1]


def test_levels_that_training_lacks_are_counted(plain):
    scored = {name: column.copy() for name, column in plain.rows.scored.items()}
    scored["city"][:3] = "Atlantis"
    few = dataclasses.replace(
        plain, rows=dataclasses.replace(plain.rows, scored=scored)
    )
    caution = only(few, "Unknown categories")
    assert caution["level"] == "info" and "city (0.5 %)" in caution["text"]
    scored["city"][:60] = "Atlantis"
    assert only(few, "Unknown categories")["level"] == "warn"
    scored["city"][:60] = None
    assert "Unknown categories" not in titles(few)


def test_drift_of_missing_cells_is_seen_beyond_chance(plain):
    scored = {name: column.copy() for name, column in plain.rows.scored.items()}
    scored["b"][:60] = np.nan
    found = dataclasses.replace(
        plain, rows=dataclasses.replace(plain.rows, scored=scored)
    )
    caution = only(found, "More or fewer missing cells")
    assert caution["features"] == [1] and "from 0 % to 10 %" in caution["text"]
    few = {name: column[59:80] for name, column in scored.items()}
    found = dataclasses.replace(plain, rows=dataclasses.replace(plain.rows, scored=few))
    assert titles(found) == []


def test_few_rows_and_idle_experts_are_told(plain):
    few = {name: column[:100] for name, column in plain.rows.shown.items()}
    rows = TableRows(few, "training rows", few, "training rows")
    caution = only(dataclasses.replace(plain, rows=rows), "Few rows")
    assert "100 rows" in caution["text"]
    idle = dataclasses.replace(plain, dead=np.full(4, 3))
    assert "12 of 16 experts" in only(idle, "Experts without work")["text"]
    assert titles(dataclasses.replace(plain, dead=np.full(4, 1))) == []


def test_warnings_come_before_hints(plain):
    both = dataclasses.replace(plain, additivity=np.array([0.5]), dead=np.full(4, 3))
    assert [c["level"] for c in cautions(both)] == ["warn", "info"]
