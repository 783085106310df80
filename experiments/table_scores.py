"""Test scores of NAE at its defaults on three public tables, beside other models.

Command: python experiments/table_scores.py --folder DATA [--seeds 5] [--peers]
    DATA holds california_housing.csv, bike.csv and adult.data (UCI's file).
Time: about 8 minutes on two cores without --peers.
Score: California RMSE about 0.455 (100,000 USD).

Splits: 20 % test (random_state 0, classes stratified), then 12.5 % of the rest to
validate on; the split stays, the seed moves. --peers fits the Explainable Boosting
Machine (interpret-core) and XGBoost (xgboost-cpu) where they are installed.
"""

import argparse
import csv
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from naejax.data import infer_schema, read_columns, split_rows
from naejax.evaluation import best_score_name
from naejax.settings import Settings
from naejax.tabular import evaluate_table, fit_table

ADULT = (
    "age workclass fnlwgt education education_num marital_status occupation "
    "relationship race sex capital_gain capital_loss hours_per_week native_country "
    "income"
).split()
TABLES = {
    "california": ("california_housing.csv", "MedHouseVal"),
    "bike": ("bike.csv", "count"),
    "adult": ("adult.data", "income"),
}


def load(path: Path):
    """The columns of one of the tables; adult.data has no header."""
    if path.suffix == ".csv":
        return read_columns(path)
    with open(path, newline="") as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    columns = dict(zip(ADULT, zip(*rows, strict=True), strict=True))
    words = {name for name, cells in columns.items() if not cells[0].isdigit()}
    return read_columns(
        {n: c if n in words else [float(v) for v in c] for n, c in columns.items()}
    )


def frame(columns, schema):
    """Features as a pandas frame, as the peers want them, and the target."""
    import pandas as pd

    data = {}
    for feature in schema.features:
        column = columns[feature.name]
        is_number = feature.kind == "numeric"
        data[feature.name] = (
            column if is_number else pd.Categorical(column, categories=feature.levels)
        )
    y = columns[schema.target.name]
    return pd.DataFrame(data), y if not schema.target.classes else np.array(
        [schema.target.classes.index(v) for v in y]
    )


def peer_scores(schema, training, test):
    """Test scores of EBM and XGBoost on the same rows, validation rows included."""
    from sklearn.metrics import roc_auc_score

    is_regression = schema.target.kind == "regression"
    models = {}
    if find_spec("interpret"):
        from interpret.glassbox import (
            ExplainableBoostingClassifier,
            ExplainableBoostingRegressor,
        )

        ebm = (
            ExplainableBoostingRegressor
            if is_regression
            else ExplainableBoostingClassifier
        )
        models["EBM"] = ebm(random_state=0, n_jobs=2)
        models["EBM, no pairs"] = ebm(random_state=0, n_jobs=2, interactions=0)
    if find_spec("xgboost"):
        import xgboost

        booster = xgboost.XGBRegressor if is_regression else xgboost.XGBClassifier
        models["XGBoost"] = booster(enable_categorical=True, n_jobs=2, random_state=0)
    x, y = frame(training, schema)
    x_test, y_test = frame(test, schema)
    for name, model in models.items():
        start = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - start
        if is_regression:
            score = np.sqrt(np.mean((model.predict(x_test) - y_test) ** 2))
        else:
            score = roc_auc_score(y_test, model.predict_proba(x_test)[:, 1])
        yield name, float(score), seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    for table in options.tables:
        file, target = TABLES[table]
        columns = load(options.folder / file)
        schema = infer_schema(columns, target)
        training, validation, test = split_rows(columns, schema, seed=0)
        measure = best_score_name(schema.target)
        print(f"{table}: {schema.rows} rows, test {measure}", flush=True)
        scores = []
        for seed in range(options.seeds):
            start = time.perf_counter()
            fitted, result = fit_table(
                training,
                validation,
                schema,
                Settings(epochs=options.epochs),
                seed=seed,
                progress=False,
            )
            seconds = time.perf_counter() - start
            scores.append(evaluate_table(fitted, test)[measure])
            print(
                f"  NAE seed {seed}: {scores[-1]:.4f}  {seconds:.0f} s, epoch "
                f"{result.best_epoch} of {len(result.history)}",
                flush=True,
            )
        spread = np.std(scores, ddof=1) if len(scores) > 1 else float("nan")
        print(f"  NAE, {len(scores)} seeds: {np.mean(scores):.4f} +- {spread:.4f}")
        if options.peers:
            both = {n: np.concatenate([training[n], validation[n]]) for n in training}
            for name, score, seconds in peer_scores(schema, both, test):
                print(f"  {name}: {score:.4f}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
