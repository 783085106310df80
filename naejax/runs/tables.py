"""The two kinds of table that a run trains on: in memory, and read in streams."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.data.cells import Columns
from naejax.data.datasets import Dataset, load_dataset
from naejax.data.parquet_files import join_cells
from naejax.data.schema import Schema, Task, infer_schema
from naejax.data.split import split_rows
from naejax.data.streamed_table import (
    TEST,
    VALIDATION,
    StreamedTable,
    must_stream,
    open_streamed,
)
from naejax.data.suspects import suspicions
from naejax.evaluation import baseline_scores
from naejax.settings import Settings
from naejax.tabular import (
    TabularNAE,
    evaluate_table,
    fit_table,
    raw_target,
    score_rows,
)
from naejax.tabular.predict import evaluate_against
from naejax.tabular.streamed import fit_streamed
from naejax.train.result import FitResult

_PARTS = ("training", "validation", "test")
_TEST_ROWS = 100_000


def open_data(
    source: str,
    target: str | None = None,
    task: Task = "auto",
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    *,
    seed: int = 0,
) -> Dataset | StreamedTable:
    """Loads a table, or opens one that is too large for that.

    Args:
        source: see `naejax.data.load_dataset`; Parquet files of more than 20 million
            cells are read in streams.
        target: likewise.
        task: likewise.
        categories: likewise.
        drop: likewise.
        seed: of the run.

    Returns:
        The table.

    Raises:
        ValueError: it cannot be read.

    Example:
        >>> open_data("wine").target
        'cultivar'
    """
    if must_stream(source):
        return open_streamed(source, target, task, categories, drop, seed=seed)
    return load_dataset(source, target, task, categories, drop)


class WholeTable:
    """A table in memory, split into training, validation and test rows.

    Args:
        dataset: the table.
        seed: of the split.

    Attributes:
        name: of the data set.
        schema: of the table.
        sizes: rows of every part.
        shown: rows to draw shapes over.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self._dataset, self.name = dataset, dataset.name
        self.schema: Schema = infer_schema(
            dataset.columns, dataset.target, task=dataset.task
        )
        self._seed = seed

    def split(self) -> None:
        """Draws the parts; refuses classes with too few rows."""
        parts = split_rows(
            self._dataset.columns, self.schema, self._seed, self._dataset.parts
        )
        self.parts = dict(zip(_PARTS, parts, strict=True))
        target = self.schema.target.name
        self.sizes = {name: len(part[target]) for name, part in self.parts.items()}
        self.shown: Columns = self.parts["training"]

    def some_rows(self) -> dict[str, Columns]:
        """Rows of every part: all."""
        return self.parts

    def lines(self) -> tuple[str, list[str]]:
        """What the table is, and cautions."""
        cautions = suspicions(self.schema, self._dataset.columns)
        return self._dataset.description, cautions

    def fit(self, settings: Settings, **options: Any) -> tuple[TabularNAE, FitResult]:
        """Trains, see `naejax.tabular.fit_table`."""
        training, validation = self.parts["training"], self.parts["validation"]
        return fit_table(training, validation, self.schema, settings, **options)

    def scores(self, fitted: TabularNAE) -> dict[str, Any]:
        """Scores of a model and of the baselines."""
        training, test = self.parts["training"], self.parts["test"]
        truth, answer = (raw_target(fitted.encoder, part) for part in (training, test))
        return {
            "validation": evaluate_table(fitted, self.parts["validation"]),
            "test": evaluate_table(fitted, test),
            "baselines": baseline_scores(self.schema, training, truth, test, answer),
        }


class LargeTable:
    """A table that is read in streams; it has what `WholeTable` has.

    Args:
        table: the table.
    """

    def __init__(self, table: StreamedTable):
        self._table, self.name, self.schema = table, table.name, table.schema
        self.shown = table.sample.columns

    def split(self) -> None:
        """Counts the rows of the parts."""
        self.sizes = dict(zip(_PARTS, self._table.sizes(), strict=True))

    def lines(self) -> tuple[str, list[str]]:
        """What the table is, and cautions."""
        sampled, groups = len(self._table.sample.rows), len(self._table.table.groups)
        own = Schema(self.schema.features, self.schema.target, sampled)
        what = (
            f"Parquet, {groups} row group{'s' if groups > 1 else ''}, read in streams; "
            f"values, levels and missing cells are those of {sampled:,} training rows"
        )
        return what, suspicions(own, self.shown)

    def fit(self, settings: Settings, **options: Any) -> tuple[TabularNAE, FitResult]:
        """Trains, see `naejax.tabular.streamed.fit_streamed`."""
        return fit_streamed(self._table, settings, **options)

    def scores(self, fitted: TabularNAE) -> dict[str, Any]:
        """Scores of a model on all rows, of the baselines on at most 100,000.

        These are fitted on the sample of the table.
        """
        found: dict[int, tuple[list[Any], list[Any]]]
        found = {VALIDATION: ([], []), TEST: ([], [])}
        for part, columns in self._table.parts((VALIDATION, TEST)):
            truths, scores = found[part]
            truths.append(raw_target(fitted.encoder, columns))
            scores.append(score_rows(fitted, columns))
        validation, test = (
            evaluate_against(fitted, *map(np.concatenate, arrays))
            for arrays in found.values()
        )
        training, few = self.shown, self.few_test_rows()
        truth, answer = (raw_target(fitted.encoder, part) for part in (training, few))
        baselines = baseline_scores(self.schema, training, truth, few, answer)
        return {"validation": validation, "test": test, "baselines": baselines}

    def some_rows(self) -> dict[str, Columns]:
        """The sample of training rows, and some test rows."""
        return {"training": self.shown, "test": self.few_test_rows()}

    def few_test_rows(self) -> Columns:
        """Every so manieth of the test rows, about 100,000 at most."""
        step = -(-self._table.sizes()[2] // _TEST_ROWS)
        parts = [
            {name: column[::step] for name, column in columns.items()}
            for _, columns in self._table.parts((TEST,))
        ]
        kinds = self._table.table.kinds
        return {
            name: join_cells([part[name] for part in parts], kinds[name])
            for name in self._table.names
        }


def as_run_table(data: Dataset | StreamedTable, seed: int) -> WholeTable | LargeTable:
    """A table as a run needs it.

    Args:
        data: result of `open_data`.
        seed: of the run.

    Returns:
        The table, not yet split.
    """
    return (
        LargeTable(data) if isinstance(data, StreamedTable) else WholeTable(data, seed)
    )
