"""What a sweep found: a table, all models, the one to take, and a picture."""

import csv
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from naejax.data.cells import unknown_name
from naejax.data.schema import Schema
from naejax.evaluation import best_score_name
from naejax.explain.figure import new_figure
from naejax.explain.style import COLORS
from naejax.explain.tradeoff import plot_tradeoff
from naejax.files import write_file
from naejax.tabular import TabularNAE


class Pick(NamedTuple):
    """A setting of a sweep, with means over its seeds.

    Attributes:
        settings: what was swept, by name.
        validation: mean score on the validation rows.
        test: mean score on the test rows.
        additivity: mean additivity.
        rows: rows of the table, one for each seed.
        row: the one with the best validation score.
    """

    settings: dict[str, Any]
    validation: float
    test: float
    additivity: float
    rows: np.ndarray
    row: int


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A grid of settings, each trained with several seeds.

    Attributes:
        table: columns of one row per model: the swept settings, ``seed``, scores
            ``validation_*`` and ``test_*``, ``additivity`` (of the test rows,
            `naejax.explain.model_additivity`), ``best_epoch`` and ``diverged``, whose
            scores are NaN.
        points: the swept settings by name, one mapping per cell of the grid.
        cells: the cell of every row of the table.
        models: of every row.
        schema: of the data.
        seconds: of training, in all.
    """

    table: dict[str, np.ndarray]
    points: list[dict[str, Any]]
    cells: np.ndarray
    models: list[TabularNAE]
    schema: Schema
    seconds: float

    @property
    def score(self) -> str:
        """The score that picks: ``rmse``, ``auc`` or ``accuracy``."""
        return best_score_name(self.schema.target)

    def model(self, row: int) -> TabularNAE:
        """The model of a row of the table.

        Args:
            row: its number.

        Returns:
            The fitted model.
        """
        return self.models[row]

    def means(self, column: str) -> np.ndarray:
        """Means over the seeds.

        Args:
            column: of numbers in the table.

        Returns:
            One for each of `points`; NaN where a seed diverged or was not trained.
        """
        if column not in self.table:
            raise ValueError(unknown_name(f"no column {column!r}", column, self.table))
        rows = [np.flatnonzero(self.cells == cell) for cell in range(len(self.points))]
        most = max(map(len, rows))
        values = np.asarray(self.table[column], np.float64)
        return np.array([values[r].mean() if len(r) == most else np.nan for r in rows])

    def pick(self, additivity: float | None = None) -> Pick:
        """The setting with the best mean validation score.

        Args:
            additivity: the least mean additivity that the setting must have, in [0, 1];
                None: any.

        Returns:
            The setting.

        Raises:
            ValueError: if no setting is so additive, or all diverged.
        """
        validation = self.means(f"validation_{self.score}")
        is_possible = np.isfinite(validation)
        if not is_possible.any():
            raise ValueError(
                "no setting was trained with all seeds without diverging; lower the "
                "learning rate"
            )
        found = self.means("additivity")
        if additivity is not None:
            highest = found[is_possible].max()
            is_possible &= found >= additivity
            if not is_possible.any():
                raise ValueError(
                    f"no setting has an additivity of {additivity}, the highest is "
                    f"{highest:.3f}; sweep larger values of expert_variance"
                )
        sign = 1 if self.score == "rmse" else -1
        cell = int(np.argmin(np.where(is_possible, sign * validation, np.inf)))
        rows = np.flatnonzero(self.cells == cell)
        scores = self.table[f"validation_{self.score}"][rows]
        return Pick(
            self.points[cell],
            float(validation[cell]),
            float(self.means(f"test_{self.score}")[cell]),
            float(found[cell]),
            rows,
            int(rows[np.argmin(sign * scores)]),
        )

    def to_frame(self) -> Any:
        """The table as a data frame.

        Returns:
            A pandas DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed: pip install pandas, or "
                "use the result's table"
            ) from error
        return pandas.DataFrame(self.table)

    def save(self, folder: str | Path) -> list[str]:
        """Writes the table as CSV, and as Parquet where pandas and pyarrow are there.

        Args:
            folder: where, an existing one.

        Returns:
            Names of the files.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.table)
        columns = [column.tolist() for column in self.table.values()]
        writer.writerows(zip(*columns, strict=True))
        write_file(Path(folder) / "sweep.csv", buffer.getvalue())
        if not (find_spec("pandas") and find_spec("pyarrow")):
            return ["sweep.csv"]
        parquet = self.to_frame().to_parquet(index=False)
        write_file(Path(folder) / "sweep.parquet", parquet)
        return ["sweep.csv", "sweep.parquet"]

    def plot(self, ax: Any = None, *, along: str | None = None) -> Any:
        """Draws test scores against additivity, `naejax.explain.plot_tradeoff`.

        Args:
            ax: matplotlib Axes; None: of a new figure.
            along: the setting whose values a line joins; None: ``expert_variance``,
                else the first of the grid. Each combination of the others has a line.

        Returns:
            The Axes.
        """
        names = list(self.points[0])
        if along is None:
            along = "expert_variance" if "expert_variance" in names else names[0]
        if along not in names:
            raise ValueError(unknown_name(f"along is {along!r}", along, names))
        if ax is None:
            ax = new_figure(figsize=(6, 4)).subplots()
        others = [name for name in names if name != along]
        lines: dict[tuple[Any, ...], list[int]] = {}
        complete = np.isfinite(self.means(f"test_{self.score}"))
        for cell in np.flatnonzero(complete).tolist():
            values = tuple(self.points[cell][name] for name in others)
            lines.setdefault(values, []).append(cell)
        for number, (values, cells) in enumerate(lines.items()):
            rows = np.stack([np.flatnonzero(self.cells == cell) for cell in cells], 1)
            pairs = zip(others, values, strict=True)
            plot_tradeoff(
                self.table["additivity"][rows],
                self.table[f"test_{self.score}"][rows],
                ax,
                settings=[value_text(self.points[cell][along]) for cell in cells],
                name=", ".join(f"{name} {value_text(v)}" for name, v in pairs),
                score_name=f"{self.score} on test rows",
                color=COLORS[number % len(COLORS)],
            )
        if others and lines:
            ax.legend(fontsize=7, frameon=False)
        ax.set_title(f"along {along}", fontsize=9)
        return ax


def value_text(value: Any) -> str:
    """A value of a setting as text, as `naejax.sweeps.parse_grid` reads it.

    Args:
        value: a number, a word, widths or None.

    Returns:
        The text.

    Example:
        >>> value_text(0.1), value_text((32, 32))
        ('0.1', '32x32')
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
