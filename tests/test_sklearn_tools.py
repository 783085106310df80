"""The estimators inside scikit-learn's pipelines, searches and meta-estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from small_tables import LABELS, MORE, SMALL, X, Y

from naejax.estimators import NAEClassifier, NAERegressor

pytestmark = pytest.mark.slow

# The folds of 96 rows are equally large: one program for all.
REGRESSOR = NAERegressor(**{**SMALL, "epochs": 12}, validation_fraction=0.0)
CLASSIFIER = NAEClassifier(**{**SMALL, "epochs": 12}, validation_fraction=0.0)


def test_pipeline():
    model = make_pipeline(SimpleImputer(), StandardScaler(), clone(REGRESSOR))
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.02, np.nan, X)
    assert model.fit(gaps, Y).score(X, Y) > 0.7
    model.fit(X, Y, naeregressor__sample_weight=np.ones(96))


def test_column_transformer_with_names():
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    table["city"] = np.where(np.arange(96) % 2, "Oslo", "Rome")
    columns = ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["a", "b"]),
            ("city", OneHotEncoder(sparse_output=False), ["city"]),
        ],
        remainder="passthrough",
    ).set_output(transform="pandas")
    model = make_pipeline(columns, clone(REGRESSOR)).fit(table, Y)
    assert model.score(table, Y) > 0.7
    assert model[-1].feature_names_in_[0] == "scaled__a"
    assert model.predict(table[["city", "c", "b", "a"]]).shape == (96,)


def test_grid_search():
    grid = {"gate": ["none", "context"]}
    search = GridSearchCV(REGRESSOR, grid, cv=2, error_score="raise").fit(X, Y)
    assert search.best_score_ > 0.5
    assert search.best_estimator_.gate in grid["gate"]
    assert search.predict(MORE).shape == (40,)


def test_cross_validation():
    assert cross_val_score(REGRESSOR, X, Y, cv=3, error_score="raise").mean() > 0.7
    scores = cross_val_score(
        CLASSIFIER, X, LABELS, cv=2, scoring="roc_auc", error_score="raise"
    )
    assert scores.mean() > 0.85
    probability = cross_val_predict(CLASSIFIER, X, LABELS, cv=2, method="predict_proba")
    assert probability.shape == (96, 2)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_classifier(method):
    model = CalibratedClassifierCV(CLASSIFIER, method=method, cv=2).fit(X, LABELS)
    assert model.score(X, LABELS) > 0.8
    np.testing.assert_allclose(model.predict_proba(MORE).sum(axis=1), 1)


def test_permutation_importance():
    model = NAERegressor(**{**SMALL, "epochs": 12}).fit(X, Y)
    importance = permutation_importance(model, X, Y, n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() == 0
    assert importance.importances_mean[2] < 0.1 * importance.importances_mean[0]


def test_ensembles_of_scikit_learn():
    assert BaggingRegressor(REGRESSOR, n_estimators=2).fit(X, Y).score(X, Y) > 0.7
    stack = StackingRegressor([("nae", REGRESSOR)], LinearRegression(), cv=2)
    assert stack.fit(X, Y).score(X, Y) > 0.7
    log = TransformedTargetRegressor(
        REGRESSOR, func=np.cbrt, inverse_func=lambda z: z**3
    )
    assert log.fit(X, Y).score(X, Y) > 0.5
    three = np.digitize(X[:, 0], [-0.5, 0.5])
    assert OneVsRestClassifier(CLASSIFIER).fit(X, three).score(X, three) > 0.7
