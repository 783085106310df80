"""What a fitted model says of some rows, and ways to look at it."""

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from naejax.data.cells import Columns, unknown_name
from naejax.data.schema import Schema
from naejax.explain import (
    LocalExplanation,
    Shape,
    compute_shapes,
    local_explanation,
    plot_importance,
    plot_shapes,
    plot_waterfall,
    shape_data,
)
from naejax.explain.bars import new_axes
from naejax.explain.local import cell_texts
from naejax.explain.outputs import output_index, score_name
from naejax.explain.summary import MAX_ROWS, summary_html
from naejax.tabular.fitted import LOG_LINK, TabularNAE
from naejax.tabular.predict import explain_rows, name_parts
from naejax.types import NAEOutput

# As many as `plot_importance` and `plot_waterfall` draw.
_MOST_BARS, _MOST_STEPS = 20, 13


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The scores of B rows and their parts, with pictures and tables of them.

    ``prediction = bias + contributions.sum(axis=1)`` on the link scale: in the unit of
    the target for the identity link, else as log-odds or logarithm.

    Attributes:
        fitted: the model.
        columns: raw cells of the rows.
        output: what `naejax.tabular.explain_rows` returned for them.
    """

    fitted: TabularNAE
    columns: Columns
    output: NAEOutput

    @property
    def prediction(self) -> Float[np.ndarray, "B C"]:
        """Score of each row and output, (B, C)."""
        return np.asarray(self.output.prediction)

    @property
    def bias(self) -> Float[np.ndarray, "C"]:
        """Score of a row whose contributions are all zero, (C,)."""
        return np.asarray(self.output.bias)

    @property
    def contributions(self) -> Float[np.ndarray, "B F C"]:
        """What each feature adds to the score, (B, F, C)."""
        return np.asarray(self.output.contributions)

    @property
    def gates(self) -> Float[np.ndarray, "B F K"]:
        """Weights over a feature's experts, on the simplex, (B, F, K)."""
        return np.asarray(self.output.gates)

    @property
    def experts(self) -> Float[np.ndarray, "B F K C"]:
        """The contribution each expert proposes, (B, F, K, C)."""
        return np.asarray(self.output.experts)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the F features."""
        return tuple(feature.name for feature in self._schema.features)

    @property
    def classes(self) -> tuple[str, ...]:
        """The target's classes as text; empty in regression."""
        return self._schema.target.classes

    @property
    def members(self) -> int:
        """S: models in the ensemble, 1 if it is none."""
        return getattr(self.fitted.model, "size", 1)

    @cached_property
    def shapes(self) -> list[Shape]:
        """The shape of every feature over the rows, see `naejax.explain.Shape`."""
        return compute_shapes(self.output, self.columns, self._schema, self.members)

    @cached_property
    def importance(self) -> Float[np.ndarray, "F C"]:
        """Mean over the rows of ``|f_i - mean f_i|``, (F, C)."""
        f = self.contributions.astype(np.float64)
        return np.abs(f - f.mean(axis=0, keepdims=True)).mean(axis=0)

    def rows(
        self, row: int, *, label: int | str | None = None, centred: bool = True
    ) -> LocalExplanation:
        """One row as a sum over the features.

        Args:
            row: index of the row, from 0 to B - 1.
            label: the output to explain, by index or class; None: the predicted class.
            centred: whether contributions are differences from the mean over all rows
                of this explanation, which moves into the bias, as in the shapes: what
                a feature adds to every row alike explains none of them.

        Returns:
            The row's cells, contributions and context ranges.

        Raises:
            ValueError: there is no such row or output.
        """
        shift = self.contributions.mean(axis=0, dtype=np.float64) if centred else None
        return local_explanation(
            self.output,
            self.columns,
            self._schema,
            row,
            label=label,
            members=self.members,
            shift=shift,
        )

    def to_frame(self) -> Any:
        """All rows as a data frame.

        Returns:
            A pandas DataFrame with the columns of `naejax.tabular.predict_table`:
            ``prediction``, for classes ``probability:CLASS``, then ``bias`` and
            ``contribution:FEATURE`` as float64; with several outputs, for each class.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            # No dependency of naejax: whoever wants a frame has it.
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed: pip install pandas, "
                "or use naejax.tabular.predict_table"
            ) from error
        parts = name_parts(self.fitted, self.prediction, self.bias, self.contributions)
        frame = pandas.DataFrame(parts)
        return frame.astype(dict.fromkeys(frame.select_dtypes("number"), np.float64))

    def plot(
        self,
        feature: int | str | None = None,
        *,
        label: int | str | None = None,
        experts: bool = False,
        members: bool = False,
        title: str = "",
        max_panels: int = 24,
    ) -> Any:
        """Draws the shape of one feature, or of the most important ones.

        Args:
            feature: index or name; None: all features.
            label: the one output to draw, by index or class; None: all of them.
            experts: whether to draw the curves of the most used experts.
            members: whether to draw the range of the means of an ensemble's members.
            title: of the figure.
            max_panels: features to draw at most.

        Returns:
            A matplotlib Figure.

        Raises:
            ValueError: there is no such feature or output, or experts or members of
                several outputs are asked for.
        """
        shapes = self.shapes
        if feature is not None:
            shapes = [shapes[self._index(feature)]]
        return plot_shapes(
            shapes,
            target=self._target,
            classes=self.classes,
            title=title,
            max_panels=max_panels,
            label=label,
            experts=experts,
            members=members,
        )

    def plot_importance(self, *, label: int | str | None = None) -> Any:
        """Draws the importance of the features as bars.

        Args:
            label: the output, by index or class; None: the mean over the outputs.

        Returns:
            A matplotlib Figure.
        """
        ax = new_axes(min(len(self.names), _MOST_BARS))
        return plot_importance(
            self.shapes,
            ax,
            unit=self._score_name(label),
            classes=self.classes,
            label=label,
        ).get_figure()

    def plot_row(
        self,
        row: int,
        *,
        label: int | str | None = None,
        centred: bool = True,
        title: str | None = None,
    ) -> Any:
        """Draws one row as bars that lead from the bias to its score.

        Args:
            row: index of the row, from 0 to B - 1.
            label: the output to explain, by index or class; None: the predicted class.
            centred: whether bars are differences from the mean over all rows, see
                `rows`.
            title: of the figure; None: which row it is, and its predicted class.

        Returns:
            A matplotlib Figure.

        Raises:
            ValueError: there is no such row or output.
        """
        local = self.rows(row, label=label, centred=centred)
        if title is None:
            predicted = f": predicted {self._predictions(row)[0]}"
            title = f"row {row}{predicted if self.classes else ''}"
        ax = new_axes(min(len(self.names), _MOST_STEPS) + 2)
        return plot_waterfall(
            local,
            ax,
            unit=self._score_name(local.label),
            title=title,
            bias_name="mean score" if centred else "bias",
        ).get_figure()

    def data(self, key: int | str | None = None) -> dict[str, Any]:
        """A feature's shape, or the importances, with the keys of InterpretML.

        Args:
            key: index or name of a feature; None: importances of all features.

        Returns:
            For a feature see `naejax.explain.shape_data`: ``names``, ``scores``,
            ``lower_bounds`` and ``upper_bounds`` (the context range, no error bars),
            ``density``. For all: ``names`` and ``scores``, the mean over the outputs.

        Raises:
            ValueError: there is no such feature.
        """
        if key is None:
            scores = self.importance.mean(axis=1).tolist()
            return {"type": "univariate", "names": [*self.names], "scores": scores}
        return shape_data(self.shapes[self._index(key)], self.classes)

    def __repr__(self) -> str:
        rows, features, outputs = self.contributions.shape
        name = self._schema.target.name
        return f"Explanation({rows=}, {features=}, {outputs=}, target={name!r})"

    def _repr_html_(self) -> str:
        """Importances and the first rows, for notebooks."""
        first = [self.rows(row) for row in range(min(len(self.prediction), MAX_ROWS))]
        return summary_html(
            title=f"{len(self.prediction)} rows, contributions to {self._score_name()}",
            importance=dict(zip(self.names, self.importance.mean(axis=1), strict=True)),
            rows=first,
            predictions=self._predictions(0, len(first)),
        )

    @property
    def _schema(self) -> Schema:
        """Of the table that the model was fitted to."""
        return self.fitted.encoder.schema

    @property
    def _target(self) -> str:
        """The target on the link scale."""
        name = self._schema.target.name
        return f"log of {name}" if self.fitted.loss in LOG_LINK else name

    def _predictions(self, first: int, count: int = 1) -> list[str]:
        """Predicted classes or values of some rows."""
        rows = slice(first, first + count)
        parts = self.prediction[rows], self.bias, self.contributions[rows]
        found = name_parts(self.fitted, *parts)["prediction"]
        return [*found] if self.classes else cell_texts(found)

    def _score_name(self, label: int | str | None = None) -> str:
        """What the contributions to one output, or to each, add up to."""
        c = None
        if label is not None:
            c = output_index(label, self.classes, len(self.bias))
        return score_name(self._target, self.classes, c)

    def _index(self, key: int | str) -> int:
        """The index of a feature from its name or index."""
        if isinstance(key, str):
            if key not in self.names:
                message = f"no feature {key!r}"
                raise ValueError(unknown_name(message, key, self.names))
            return self.names.index(key)
        if not 0 <= key < len(self.names):
            raise ValueError(
                f"feature is {key}, expected an index from 0 to {len(self.names) - 1}"
            )
        return int(key)


def explain_table(fitted: TabularNAE, columns: Columns) -> Explanation:
    """Explains the scores of the rows of a table.

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        Scores, contributions and experts, with pictures and tables of them.

    Raises:
        ValueError: if a column is missing or holds text where numbers are expected.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> explanation = explain_table(fitted, columns)
        >>> explanation
        Explanation(rows=64, features=1, outputs=1, target='y')
        >>> explanation.rows(3).cells
        ('3',)
    """
    return Explanation(fitted, columns, explain_rows(fitted, columns))
