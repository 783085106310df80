"""What one model says of Bike: a shape with its range, and who moves whom.

Command: python experiments/nae_bike.py --folder DATA [--publish | --out FOLDER]
Time: two minutes on two cores.
Score: RMSE 38, where an additive model has 100; the hour's contribution is moved most
    by the working day.

One NAE at its defaults, on the rows of nae_tables.py; everything is computed on the
test rows. Without --folder the table is fetched; --quick takes diabetes.
"""

import numpy as np
from publish import at_least_one, deliver, make_parser, table
from real_tables import add_tables, check_tables, load_table, split_table
from table_models import test_score

from naejax import NAERegressor
from naejax.data.table import encode
from naejax.explain import (
    context_effects,
    importance_order,
    interaction_matrix,
    plot_interactions,
    plot_shape,
)
from naejax.explain.figure import new_figure
from naejax.explain.style import COLORS

# The shape to draw, and the column whose values it is split by.
DRAWN = {"bike": ("hour", "workingday"), "diabetes": ("bmi", "sex")}


def interactions(explanation, rows=512):
    """How far each column moves the contribution of each other one, in the target's
    unit."""
    fitted = explanation.fitted
    x = encode(fitted.encoder, explanation.columns)
    effects = context_effects(fitted.model, fitted.variables, x[:rows], x)
    return interaction_matrix(effects)[..., 0] * fitted.target_scale[1]


def draw_split(explanation, feature, context, ax):
    """A shape, and its mean contribution for each value of another column."""
    i = explanation.names.index(feature)
    shape = explanation.shapes[i]
    plot_shape(shape, ax, unit="the score")
    cells, others = explanation.columns[feature], explanation.columns[context]
    contributions = explanation.contributions[:, i, 0] - shape.shift
    for color, value in zip(COLORS[1:], np.unique(others), strict=False):
        values, which = np.unique(cells[others == value], return_inverse=True)
        sums = np.bincount(which, contributions[others == value])
        label = f"mean where {context} = {value:g}"
        means = sums / np.bincount(which)
        ax.plot(values, means, color=color, linewidth=1.2, label=label)


def rows(explanation, matrix):
    """A line per column: what it weighs, and who moves its contribution."""
    for i in importance_order(explanation.shapes):
        shape, by = explanation.shapes[i], int(matrix[i].argmax())
        yield [
            explanation.names[i],
            f"{shape.importance[0]:.1f}",
            f"{shape.additivity[0]:.2f}",
            f"{np.mean(shape.upper - shape.lower):.0f}",
            f"{explanation.names[by]}, by {matrix[i, by]:.1f}",
        ]


def main():
    parser = make_parser(__doc__)
    add_tables(parser, ["bike"], ["bike"])
    parser.add_argument("--epochs", type=at_least_one, help="default: by the rows")
    options = parser.parse_args()
    if options.quick:
        options.tables, options.epochs = ["diabetes"], 2
    check_tables(parser, options)
    (name,) = options.tables
    x, x_test, y, y_test = split_table(name, *load_table(name, options.folder), 0)
    model = NAERegressor(epochs=options.epochs, verbose=1).fit(x, y)
    explanation = model.explain(x_test)
    matrix = interactions(explanation)
    figure = new_figure(figsize=(9, 4), dpi=100)
    shape, heat = figure.subplots(1, 2)
    draw_split(explanation, *DRAWN[name], shape)
    plot_interactions(matrix, explanation.names, heat, unit="the score")
    entries = shape.get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower left", ncols=3, fontsize=7)
    head = ["column", "importance", "additivity", "context range", "moved most by"]
    text = (
        f"Test RMSE {test_score(model, x_test, y_test, 0):.2f}.\n\n"
        f"{table(head, rows(explanation, matrix))}"
    )
    deliver(options, "nae_bike", text, {"bike_hour": figure})


if __name__ == "__main__":
    main()
