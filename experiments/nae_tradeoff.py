"""Accuracy against additivity on real tables, and where other models stand.

Command: python experiments/nae_tradeoff.py --folder DATA [--publish | --out FOLDER]
Time: about an hour on two cores; 3 minutes on 16 cores with an H200.
Score: along the penalty Bike goes from RMSE 38 at additivity 0.72 to 78 at 0.96 (NAM
    and EBM without pairs: about 100 at 1), California from 0.46 at 0.88 to 0.54 at 1.

One NAE, at its defaults but for the strength of the expert variance penalty, as one
population of strengths x seeds per table; NAM, EBM with and without pairs, XGBoost and
the linear model at theirs, with one seed. Additivity is measured on predictions alone,
the same way for all: the R2 of the additive function that follows a model's scores best
(`table_models.additivity`). Training, validation and test rows as in nae_tables.py.
"""

import numpy as np
from publish import at_least_one, deliver, make_parser, mean_sd, table
from real_tables import (
    TABLES,
    add_tables,
    check_tables,
    load_table,
    split_table,
)
from table_models import (
    MODELS,
    additivity,
    build,
    installed,
    model_scores,
    test_score,
)

import naejax
from naejax.data.columns import read_columns
from naejax.explain.figure import new_figure
from naejax.explain.style import COLORS
from naejax.explain.tradeoff import plot_tradeoff
from naejax.settings import Settings
from naejax.tabular.predict import score_rows

STRENGTHS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
OTHERS = ("nam", "ebm", "ebm-main", "xgboost", "linear")
MARKERS = "sD^vP"


def path(data, options):
    """RMSE and additivity of NAE along the penalty, (strengths, seeds) each."""
    x, x_test, y, y_test = data
    result = naejax.sweep(
        x.assign(target=y),
        "target",
        grid={"expert_variance": list(options.strengths)},
        seeds=options.seeds,
        settings=Settings(epochs=options.epochs),
        test=x_test.assign(target=y_test),
    )
    scores, test_scores = (
        np.column_stack([score_rows(model, part)[:, 0] for model in result.models])
        for part in map(read_columns, (x, x_test))
    )
    found = additivity(scores, x, test_scores, x_test)
    shape = len(options.strengths), options.seeds
    return result.table["test_rmse"].reshape(shape), np.reshape(found, shape)


def others(data, options):
    """RMSE and additivity of the other models, by name."""
    x, x_test, y, y_test = data
    found = {}
    for model in options.models:
        estimator = build(model, False, 0, epochs=options.epochs).fit(x, y)
        scores, test_scores = (model_scores(estimator, p, 0) for p in (x, x_test))
        rmse = test_score(estimator, x_test, y_test, 0)
        found[model] = rmse, additivity(scores, x, test_scores, x_test)
        print(f"{MODELS[model]}: {rmse:.4f}, additivity {found[model][1]:.3f}")
    return found


def draw(found, strengths):
    """RMSE against additivity, a panel for each table."""
    figure = new_figure(figsize=(4.6 * len(found), 3.8), dpi=80)
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    names = [f"{strength:g}" for strength in strengths]
    for ax, (name, (own, rest)) in zip(axes, found.items(), strict=True):
        rmse, additive = own
        plot_tradeoff(additive.T, rmse.T, ax, settings=names, name="NAE, by penalty")
        for i, (model, (score, at)) in enumerate(rest.items()):
            style = {"color": COLORS[1 + i], "marker": MARKERS[i], "linestyle": ""}
            ax.plot(at, score, label=MODELS[model], **style)
        ax.set_title(name, fontsize=10)
        ax.set_ylabel("test RMSE", fontsize=8)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right", fontsize=8)
    return figure


def rows(name, own, rest, strengths):
    """Lines of the table."""
    digits = 2 if name in ("bike", "diabetes", "year") else 4
    for strength, rmse, additive in zip(strengths, *own, strict=True):
        yield [
            name,
            f"NAE, penalty {strength:g}",
            mean_sd(rmse, digits),
            mean_sd(additive, 3),
        ]
    for model, (rmse, additive) in rest.items():
        yield [name, MODELS[model], f"{rmse:.{digits}f}", f"{additive:.3f}"]


def main():
    parser = make_parser(__doc__, seeds=3)
    numbers = [n for n, t in TABLES.items() if not t.classes] + ["diabetes"]
    add_tables(parser, numbers, ["california", "bike"])
    parser.add_argument("--epochs", type=at_least_one, help="default: by the rows")
    options = parser.parse_args()
    options.strengths = STRENGTHS
    if options.quick:
        options.tables, options.seeds, options.epochs = ["diabetes"], 1, 2
        options.strengths = STRENGTHS[:2]
    check_tables(parser, options)
    options.models = installed(OTHERS)
    found = {}
    for name in options.tables:
        data = split_table(name, *load_table(name, options.folder), 0)
        found[name] = path(data, options), others(data, options)
    lines = [
        line
        for name, (own, rest) in found.items()
        for line in rows(name, own, rest, options.strengths)
    ]
    text = table(["table", "model", "test RMSE", "additivity"], lines)
    deliver(
        options,
        "nae_tradeoff",
        text,
        {"table_tradeoffs": draw(found, options.strengths)},
    )


if __name__ == "__main__":
    main()
