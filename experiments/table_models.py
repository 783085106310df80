"""The models that experiments hold against each other on tables, at their defaults."""

import pickle
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier as HistClassifier
from sklearn.ensemble import HistGradientBoostingRegressor as HistRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score, root_mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import naejax
from naejax import NAEClassifier, NAERegressor

MODELS = {
    "nae": "NAE",
    "ensemble": "NAE ensemble",
    "nam": "NAM",
    "ebm": "EBM",
    "ebm-main": "EBM, no pairs",
    "xgboost": "XGBoost",
    "hist": "HistGradientBoosting",
    "catboost": "CatBoost",
    "tabm": "TabM",
    "realmlp": "RealMLP",
    "mlp": "MLP",
    "linear": "linear",
}
PEERS = {
    "ebm": "interpret",
    "ebm-main": "interpret",
    "xgboost": "xgboost",
    "catboost": "catboost",
    "tabm": "pytabkit",
    "realmlp": "pytabkit",
}
PYTABKIT = {"tabm": "TabM_D", "realmlp": "RealMLP_TD"}


def installed(models):
    """Those of the models that can be imported; says which cannot."""
    absent = [m for m in models if m in PEERS and not find_spec(PEERS[m])]
    for model in absent:
        print(f"{MODELS[model]} is left out: {PEERS[model]} is not installed")
    return [model for model in models if model not in absent]


def build(model, has_classes, seed, members=8, epochs=None):
    """A model at its defaults.

    Category columns go to the models as such; MLP and the linear model get them one-hot
    and numbers standardised, for MLP the target as well. Missing numbers are means for
    these two, TabM and RealMLP.

    Args:
        model: a key of `MODELS`.
        has_classes: whether the target is a class.
        seed: of the model.
        members: of the ensemble.
        epochs: of NAE and NAM; None: by the rows.

    Returns:
        An estimator.
    """
    state = {"random_state": seed}
    if model in ("nae", "ensemble", "nam"):
        nae = NAEClassifier if has_classes else NAERegressor
        own = {"n_members": members} if model == "ensemble" else {}
        if model == "nam":
            own = {"gate": "none", "num_experts": 1}
        return nae(**own, epochs=epochs, **state)
    if model in ("ebm", "ebm-main"):
        from interpret import glassbox

        own = {"interactions": 0} if model == "ebm-main" else {}
        if has_classes:
            return glassbox.ExplainableBoostingClassifier(**own, **state)
        return glassbox.ExplainableBoostingRegressor(**own, **state)
    if model == "xgboost":
        import xgboost

        booster = xgboost.XGBClassifier if has_classes else xgboost.XGBRegressor
        return booster(enable_categorical=True, **state)
    if model == "hist":
        return (HistClassifier if has_classes else HistRegressor)(**state)
    if model == "catboost":
        import catboost

        booster = (
            catboost.CatBoostClassifier if has_classes else catboost.CatBoostRegressor
        )
        own = {"verbose": 0, "allow_writing_files": False}
        return CatBoost(booster(random_seed=seed, **own))
    if model in PYTABKIT:
        import pytabkit

        kind = "Classifier" if has_classes else "Regressor"
        network = getattr(pytabkit, f"{PYTABKIT[model]}_{kind}")
        return make_pipeline(_whole(), network(**state))
    if model == "mlp":
        if has_classes:
            return make_pipeline(_one_hot(), MLPClassifier(**state))
        mlp = make_pipeline(_one_hot(), MLPRegressor(**state))
        return TransformedTargetRegressor(mlp, transformer=StandardScaler())
    linear = LogisticRegression(max_iter=1000) if has_classes else RidgeCV()
    return make_pipeline(_one_hot(), linear)


class CatBoost:
    """CatBoost, told which columns are categories; it wants these as text.

    Args:
        model: one of CatBoost's estimators.
    """

    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        """Fits; a missing category is one of its own."""
        words = list(x.select_dtypes("category"))
        self.model.fit(_as_text(x), y, cat_features=words)
        return self

    def predict(self, x):
        """Values or classes of rows."""
        return self.model.predict(_as_text(x))

    def predict_proba(self, x):
        """Probabilities of rows, (N, C)."""
        return self.model.predict_proba(_as_text(x))


def _as_text(x):
    """Category columns as text without gaps."""
    words = list(x.select_dtypes("category"))
    text = x[words].astype(object)
    return x.assign(**text.where(text.notna(), "missing").astype(str))


def _whole():
    """Frames without missing numbers."""
    columns = make_column_selector(dtype_include="number")
    return make_column_transformer(
        (SimpleImputer(), columns),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")


def _one_hot():
    """Numbers standardised, a column of 0 and 1 for every category."""
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
    )


def measure(classes):
    """What is reported, by the number of classes (0: a number is predicted)."""
    return {0: "RMSE", 2: "AUC"}.get(classes, "accuracy")


def test_score(estimator, x, y, classes):
    """`measure` on test rows."""
    if measure(classes) == "AUC":
        return roc_auc_score(y, estimator.predict_proba(x)[:, 1])
    if measure(classes) == "accuracy":
        return np.mean(np.asarray(y) == estimator.predict(x))
    return root_mean_squared_error(y, estimator.predict(x))


def model_scores(estimator, x, classes):
    """What a model adds up: its values, or the log-odds of its last class, (N,)."""
    if not classes:
        return np.asarray(estimator.predict(x), float)
    positive = estimator.predict_proba(x)[:, -1].astype(float).clip(1e-6, 1 - 1e-6)
    return np.log(positive / (1 - positive))


def additivity(scores, x, test_scores, x_test):
    """How much of any model's score is a sum of one function per column.

    R2, on test rows, of the sum of one piecewise linear function per column (one value
    per level of a category) that fits the scores of the training rows best. 1 for an
    additive model, but for what so few pieces cannot follow. It needs nothing but
    predictions, so it is the same for all models.

    Args:
        scores: of the training rows, (N,), or (N, M) of M models.
        x: their features, a frame.
        test_scores: of other rows.
        x_test: their features.

    Returns:
        At most 1; of M models (M,).
    """
    # More rows would only cost memory.
    step = 1 + len(x) // 20_000
    x, scores = x[::step], scores[::step]
    columns = [_basis(x[name], x_test[name], 2000 // x.shape[1]) for name in x]
    basis, test_basis = (np.hstack(part) for part in zip(*columns, strict=True))
    # One decomposition of the basis serves all models, and is nearly all of the time.
    ridge = RidgeCV(np.logspace(-2, 2, 5), alpha_per_target=scores.ndim > 1)
    fitted = ridge.fit(basis, scores).predict(test_basis)
    found = r2_score(test_scores, fitted, multioutput="raw_values")
    return found if scores.ndim > 1 else found[0]


def _basis(column, test, most):
    """Functions of one column whose sums are piecewise linear, on both parts."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = np.arange(-1, len(column.cat.categories))
        return [
            (part.cat.codes.to_numpy()[:, None] == levels) for part in (column, test)
        ]
    column, test = (part.to_numpy(float) for part in (column, test))
    center, scale = np.nanmean(column), np.nanstd(column) + 1e-12
    levels = np.unique(column[~np.isnan(column)])
    # Knots by rows, and as many by values: few rows can decide a steep function.
    ranks = np.linspace(0, 1, min(most, 200) // 2)
    knots = np.unique(
        [*np.nanquantile(column, ranks), *np.quantile(levels, ranks, method="nearest")]
    )
    return [
        np.column_stack(
            [
                np.isnan(part),
                np.nan_to_num((part - center) / scale),
                *(
                    np.nan_to_num(np.interp(part, knots, hat))
                    for hat in np.eye(len(knots))
                ),
            ]
        )
        for part in (column, test)
    ]


def size(estimator):
    """Kilobytes of the pickled model."""
    return len(pickle.dumps(estimator)) / 1000


def file_size(estimator):
    """Kilobytes of the file that keeps a model: `naejax.save`'s, or a pickle."""
    if not isinstance(estimator, NAEClassifier | NAERegressor):
        return size(estimator)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        naejax.save(path, estimator)
        return path.stat().st_size / 1000
