"""NAE at its defaults on real tables, beside other models.

Command: python experiments/nae_tables.py --folder DATA [--publish | --out FOLDER]
Time: about 130 minutes on two cores (EBM and the ensembles take 70 to 300 s each);
    --kept FILE keeps every fit, and goes on from there after an interruption.
Score: ensemble of 8: California RMSE 0.437 (EBM 0.451), Bike RMSE 37.5 (EBM 51.0),
    Adult AUC 0.928 (EBM 0.927).

DATA holds the tables' files. Without --folder those that may be handed out are fetched.
    california  california_housing.csv: scikit-learn's columns, target MedHouseVal
    bike        bike.csv: OpenML's Bike_Sharing_Demand, target count
    adult       adult.data: as UCI has it, without a header
    year        YearPredictionMSD.txt: as UCI has it; its last 51,630 rows are the test
    credit      creditcard.csv: a header, target Class
    mimic2, mimic3   mimic2.csv, mimic3.csv: your own extract, as comma-separated values
                with a header, a row for each stay, 0 or 1 under mortality, and any
                other columns as features (numbers, or text for categories; empty cells
                are missing)
The twelve others are described in bench_tables.py, which has scores of the suite.

Every model is at its defaults and gets the same 80 % of the rows, of which it takes its
own validation part if it wants one. The large tables keep one split and move the
model's seed; breast-cancer, wine and diabetes, which come with scikit-learn, move the
split with it. EBM needs interpret-core, XGBoost xgboost-cpu.
"""

import itertools
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from publish import at_least_one, deliver, make_parser, mean_sd, table
from real_tables import (
    CLASSES,
    SMALL,
    TABLES,
    add_tables,
    check_tables,
    load_table,
    split_table,
)
from sklearn.exceptions import ConvergenceWarning
from table_models import (
    MODELS,
    additivity,
    build,
    installed,
    measure,
    model_scores,
    size,
    test_score,
)
from table_scores import keep, read_kept

LARGE = ("california", "bike", "adult")
USUAL = ("nae", "ensemble", "nam", "ebm", "xgboost", "linear")
# MLP needs minutes on the large tables, EBM on classes that a few columns separate.
FEW = ("nae", "ensemble", "nam", "xgboost", "mlp", "linear")


class Run(NamedTuple):
    """One fit.

    Attributes:
        score: on test rows.
        fit: seconds, compilation included.
        predict: milliseconds per thousand rows, compiled before.
        size: kilobytes.
        additivity: of the test rows' scores; NaN where they are too few.
    """

    score: float
    fit: float
    predict: float
    size: float
    additivity: float


def run(name, model, data, seed, options):
    """Fits one model on 80 % of the rows and scores it on the others."""
    classes = CLASSES[name]
    x, x_test, y, y_test = split_table(name, *data, seed)
    estimator = build(model, classes > 0, seed, options.members, options.epochs)
    start = time.perf_counter()
    estimator.fit(x, y)
    fit = time.perf_counter() - start
    score = test_score(estimator, x_test, y_test, classes)
    start = time.perf_counter()
    estimator.predict(x_test)
    predict = 1e6 * (time.perf_counter() - start) / len(x_test)
    additive = np.nan
    if name in TABLES:
        parts = ((model_scores(estimator, p, classes), p) for p in (x, x_test))
        (scores, x), (test_scores, x_test) = parts
        additive = additivity(scores, x, test_scores, x_test)
    return Run(float(score), fit, predict, size(estimator), float(additive))


def row(name, model, runs):
    """A line of the table."""
    digits = 2 if name in ("bike", "diabetes", "year") else 4
    score, fit, predict, kilobytes, additive = zip(*runs, strict=True)
    return [
        name,
        measure(CLASSES[name]),
        MODELS[model],
        mean_sd(score, digits),
        mean_sd(additive, 3) if name in TABLES else "-",
        # Medians: other programs can disturb a fit.
        f"{np.median(fit):.1f}",
        f"{np.median(predict):.1f}",
        f"{np.median(kilobytes):,.0f}",
    ]


def read_options():
    """The options, and the fits that are kept already."""
    parser = make_parser(__doc__, seeds=5)
    add_tables(parser, [*TABLES, *SMALL], [*LARGE, *SMALL])
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument(
        "--members", type=at_least_one, default=8, help="of the ensemble"
    )
    parser.add_argument("--epochs", type=at_least_one, help="default: by the rows")
    parser.add_argument("--kept", type=Path, help="file for the fits, to go on from")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.members, options.epochs = 1, 2, 2
        options.tables = ["wine", "diabetes"]
    check_tables(parser, options)
    return options, read_kept(parser, options.kept, Run, 5)


def run_all(options, runs):
    """Fits what is not kept yet.

    Returns:
        Lists of `Run` over the seeds, by table and model.
    """
    found = {}
    for name in options.tables:
        models = installed(options.models or (FEW if name in SMALL else USUAL))
        found |= {(name, model): [] for model in models}
        data = load_table(name, options.folder)
        # Models take turns, so that the machine's noise hits all alike.
        for seed, model in itertools.product(range(options.seeds), models):
            key = (name, model, seed, options.members, options.epochs)
            if key not in runs:
                runs[key] = run(name, model, data, seed, options)
                keep(options.kept, key, runs[key])
            found[name, model].append(runs[key])
            score, fit, *_ = runs[key]
            print(f"{name}, {model}, {seed}: {score:.4f}, {fit:.1f} s", flush=True)
    return found


def main():
    options, runs = read_options()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # MLP: 200 epochs
    found = run_all(options, runs)
    seconds = sum(run.fit for each in found.values() for run in each)
    head = ["table", "measure", "model", "test score", "additivity", "fit, s"]
    head += ["predict, ms per 1,000 rows", "size, kB"]
    text = (
        f"{options.seeds} seeds, {options.members} members, {seconds:.0f} s of fitting."
        f"\n\n{table(head, [row(*key, each) for key, each in found.items()])}"
    )
    deliver(options, "nae_tables", text)


if __name__ == "__main__":
    main()
