"""Test scores of NAE at its defaults on six tables, beside other models.

Command: python experiments/bench_tables.py --folder DATA [--out TABLES.md]
    DATA holds california_housing.csv, bike.csv and adult.data (UCI's file); the small
    tables come with scikit-learn. EBM needs interpret-core, XGBoost xgboost-cpu.
Time: about 100 minutes on two cores (the ensembles 100 to 220 s each, EBM 200 s).
Score: ensemble of 8: California RMSE 0.436 (EBM 0.451, in over twice the time), Bike
    RMSE 37.5, Adult AUC 0.928; the README has the table.

Every model is at its defaults and gets the same 80 % of the rows, of which it takes its
own validation part if it wants one. Category columns go to the models as such; MLP and
the linear model get them one-hot, and numbers standardised, for MLP the target as well
(without, its RMSE on diabetes is 109). The large tables keep one split and move the
model's seed; the small ones, whose test parts are tiny, move the split with it.
"""

import argparse
import os
import platform
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier as HistClassifier
from sklearn.ensemble import HistGradientBoostingRegressor as HistRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from naejax import NAEClassifier, NAERegressor
from naejax.files import write_file

ADULT = (
    "age workclass fnlwgt education education_num marital_status occupation "
    "relationship race sex capital_gain capital_loss hours_per_week native_country "
    "income"
).split()
LARGE = {
    "california": ("california_housing.csv", "MedHouseVal"),
    "bike": ("bike.csv", "count"),
    "adult": ("adult.data", "income"),
}
SMALL = {
    "breast-cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}
CLASSES = {"adult": 2, "breast-cancer": 2, "wine": 3}
MODELS = {
    "nae": "NAE",
    "ensemble": "NAE ensemble",
    "ebm": "EBM",
    "xgboost": "XGBoost",
    "hist": "HistGradientBoosting",
    "mlp": "MLP",
    "linear": "linear",
}
PEERS = {"ebm": "interpret", "xgboost": "xgboost"}


class Run(NamedTuple):
    """One fit: its test score, and the seconds of fitting and of predicting."""

    score: float
    fit: float
    predict: float


def load(table, folder):
    """Features as a frame with category columns, and values or class numbers."""
    if table in SMALL:
        return SMALL[table](as_frame=True, return_X_y=True)
    file, target = LARGE[table]
    options = {} if file.endswith(".csv") else {"header": None, "names": ADULT}
    frame = pd.read_csv(folder / file, skipinitialspace=True, na_values="?", **options)
    y = frame.pop(target)
    words = frame.select_dtypes(exclude="number").columns
    frame[words] = frame[words].astype("category")
    return frame, y.astype("category").cat.codes if table in CLASSES else y


def one_hot():
    """Numbers standardised, a column of 0 and 1 for every category."""
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
    )


def build(model, has_classes, seed, options):
    """A model at its defaults."""
    state = {"random_state": seed}
    if model in ("nae", "ensemble"):
        nae = NAEClassifier if has_classes else NAERegressor
        members = options.members if model == "ensemble" else 1
        return nae(n_members=members, epochs=options.epochs, **state)
    if model == "ebm":
        from interpret import glassbox

        if has_classes:
            return glassbox.ExplainableBoostingClassifier(**state)
        return glassbox.ExplainableBoostingRegressor(**state)
    if model == "xgboost":
        import xgboost

        booster = xgboost.XGBClassifier if has_classes else xgboost.XGBRegressor
        return booster(enable_categorical=True, **state)
    if model == "hist":
        return (HistClassifier if has_classes else HistRegressor)(**state)
    if model == "mlp":
        if has_classes:
            return make_pipeline(one_hot(), MLPClassifier(**state))
        mlp = make_pipeline(one_hot(), MLPRegressor(**state))
        return TransformedTargetRegressor(mlp, transformer=StandardScaler())
    linear = LogisticRegression(max_iter=1000) if has_classes else LinearRegression()
    return make_pipeline(one_hot(), linear)


def measure(table):
    """What is reported: RMSE, the area under the ROC curve, or accuracy."""
    return {0: "RMSE", 2: "AUC", 3: "accuracy"}[CLASSES.get(table, 0)]


def run(table, model, data, seed, options):
    """Fits one model on 80 % of the rows and scores it on the others."""
    x, y = data
    x, x_test, y, y_test = train_test_split(
        x,
        y,
        test_size=0.2,
        random_state=seed if table in SMALL else 0,
        stratify=y if table in CLASSES else None,
    )
    estimator = build(model, table in CLASSES, seed, options)
    start = time.perf_counter()
    estimator.fit(x, y)
    fitted = time.perf_counter()
    if measure(table) == "AUC":
        prediction, score = estimator.predict_proba(x_test)[:, 1], roc_auc_score
    elif measure(table) == "accuracy":
        prediction, score = estimator.predict(x_test), lambda a, b: np.mean(a == b)
    else:
        prediction, score = estimator.predict(x_test), root_mean_squared_error
    end = time.perf_counter()
    return Run(float(score(y_test, prediction)), fitted - start, end - fitted)


def row(table, model, runs):
    """A line of the markdown table."""
    score, fit, predict = np.array(runs).T
    digits = 2 if table in ("bike", "diabetes") else 4
    spread = f" ± {np.std(score, ddof=1):.{digits}f}" if len(runs) > 1 else ""
    return (
        f"| {table} | {measure(table)} | {MODELS[model]} "
        f"| {score.mean():.{digits}f}{spread} | {fit.mean():.1f} "
        f"| {predict.mean():.2f} |"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*LARGE, *SMALL]
    parser.add_argument("--folder", type=Path, help="where the large tables are")
    parser.add_argument("--tables", nargs="+", choices=names, metavar="TABLE")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--members", type=int, default=8, help="of the ensemble")
    parser.add_argument("--epochs", type=int, help="of NAE; default: by the rows")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    parser.add_argument(
        "--quick", action="store_true", help="small tables, one seed, 2 epochs, for CI"
    )
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.members, options.epochs = 1, 2, 2
    tables = options.tables or (list(SMALL) if options.quick else names)
    files = [LARGE[table][0] for table in tables if table in LARGE]
    for file in files:
        if options.folder is None or not (options.folder / file).is_file():
            parser.error(
                f"got --folder {options.folder}, expected a folder with {file}; "
                f"without one: --tables {' '.join(SMALL)}"
            )
    if options.out and not options.out.absolute().parent.is_dir():
        parser.error(f"--out {options.out}: there is no such folder to write into")
    absent = [m for m in options.models if m in PEERS and not find_spec(PEERS[m])]
    for model in absent:
        print(f"{MODELS[model]} is left out: {PEERS[model]} is not installed")
    models = [model for model in options.models if model not in absent]
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # MLP: 200 epochs
    lines = [
        f"{options.seeds} seeds, {options.members} members; {platform.machine()}, "
        f"{os.cpu_count()} cores. Mean ± standard deviation; seconds are means, "
        "compilation included.",
        "",
        "| table | measure | model | test score | fit, s | predict, s |",
        "|---|---|---|---|---|---|",
    ]
    for table in tables:
        data = load(table, options.folder)
        runs: dict[str, list[Run]] = {model: [] for model in models}
        # Models take turns, so that the machine's noise hits all alike.
        for seed in range(options.seeds):
            for model in models:
                runs[model].append(run(table, model, data, seed, options))
                score, fit, _ = runs[model][-1]
                print(
                    f"{table}, {MODELS[model]}, seed {seed}: {score:.4f}, {fit:.1f} s",
                    flush=True,
                )
        lines += [row(table, model, runs[model]) for model in models]
    text = "\n".join(lines) + "\n"
    print("\n" + text, end="")
    if options.out:
        write_file(options.out, text)


if __name__ == "__main__":
    main()
