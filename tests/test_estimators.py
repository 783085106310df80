"""The estimators: parameters, weights, initial scores, losses, going on."""

import copy
import dataclasses
import inspect
import io
import pickle

import jax.numpy as jnp
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from small_tables import LABELS, MORE, SIGNAL, SMALL, X, Y
from tiers import first_quick

from naejax.estimators import NAEClassifier, NAERegressor
from naejax.settings import Settings


def regressor(**changes):
    return NAERegressor(**{**SMALL, **changes})


def classifier(**changes):
    return NAEClassifier(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def fitted():
    return regressor(epochs=20, gate="context").fit(X, Y)


@pytest.fixture(scope="module")
def fitted_classifier():
    return classifier(epochs=20, gate="context").fit(X, LABELS)


@pytest.mark.parametrize("kind", [NAERegressor, NAEClassifier])
def test_every_setting_is_a_parameter_with_its_default(kind):
    names = {"members": "n_members"}
    settings = {
        names.get(f.name, f.name): f.default for f in dataclasses.fields(Settings)
    }
    settings["monotone"] = None
    own = {
        "categorical_features": None,
        "validation_fraction": 0.125,
        "calibration_fraction": 0.0,
        "warm_start": False,
        "random_state": 0,
        "device_budget": None,
        "verbose": 0,
    }
    assert kind().get_params() == settings | own


@pytest.mark.parametrize("method", ["fit", "predict", "explain", "score"])
@pytest.mark.parametrize("kind", [NAERegressor, NAEClassifier])
def test_public_methods_are_explained(kind, method):
    assert inspect.getdoc(getattr(kind, method))


def test_it_learns(fitted, fitted_classifier):
    assert fitted.score(X, Y) > 0.9
    assert fitted_classifier.score(X, LABELS) > 0.9


def test_score_is_that_of_scikit_learn(fitted, fitted_classifier):
    weight = np.linspace(0, 1, len(X))
    r2 = r2_score(Y, fitted.predict(X), sample_weight=weight)
    assert fitted.score(X, Y, weight) == pytest.approx(r2, rel=1e-12)
    share = accuracy_score(LABELS, fitted_classifier.predict(X), sample_weight=weight)
    assert fitted_classifier.score(X, LABELS, weight) == pytest.approx(share)


def test_explanations_add_up_in_the_unit_of_the_target(fitted):
    output = fitted.explain(MORE)
    total = output.bias + output.contributions.sum(axis=1)
    np.testing.assert_allclose(total[:, 0], fitted.predict(MORE), rtol=1e-5, atol=1e-4)
    assert output.contributions.shape == (40, 3, 1)
    assert np.std(output.contributions[:, 0]) > 10


def test_explanations_add_up_to_the_log_odds(fitted_classifier):
    output = fitted_classifier.explain(MORE)
    total = (output.bias + output.contributions.sum(axis=1))[:, 0]
    score = fitted_classifier.decision_function(MORE)
    np.testing.assert_allclose(total, score, rtol=1e-5, atol=1e-5)
    probability = fitted_classifier.predict_proba(MORE)
    np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-score)), rtol=1e-12)


def test_a_prediction_does_not_depend_on_the_rows_beside_it(fitted):
    alone = np.concatenate([fitted.predict(MORE[i : i + 1]) for i in range(10)])
    assert (fitted.predict(MORE)[:10] == alone).all()
    many = np.tile(MORE, (30, 1))
    assert (fitted.predict(many) == np.tile(fitted.predict(MORE), 30)).all()


def test_a_target_far_from_zero_keeps_its_digits():
    far = regressor(epochs=1).fit(X, 1e9 + Y)
    near = regressor(epochs=1).fit(X, Y)
    np.testing.assert_allclose(far.predict(X) - 1e9, near.predict(X), atol=1e-3)


def test_random_state_decides_everything(fitted):
    again = regressor(epochs=20, gate="context").fit(X, Y)
    assert (again.predict(MORE) == fitted.predict(MORE)).all()
    draws = [
        regressor(random_state=np.random.RandomState(5)).fit(X, Y).predict(MORE)
        for _ in range(2)
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != regressor(random_state=1).fit(X, Y).predict(MORE)).any()
    anew = [regressor(random_state=None).fit(X, Y).predict(MORE) for _ in range(2)]
    assert (anew[0] != anew[1]).any()


def test_copies_predict_the_same(fitted):
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    expected = fitted.predict(MORE)
    copies = (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(file),
    )
    for twin in copies:
        assert (twin.predict(MORE) == expected).all()
    with pytest.raises(NotFittedError):
        clone(fitted).predict(MORE)
    leaves = vars(fitted.fitted_)["variables"]["params"]
    assert isinstance(leaves["bias"], np.ndarray)


def test_set_params(fitted):
    model = clone(fitted).set_params(epochs=1, gate="equal", hidden=(4,))
    assert model.fit(X, Y).n_iter_ == 1
    assert model.fitted_.model.gate == "equal"


def test_attributes(fitted, fitted_classifier):
    assert fitted.n_features_in_ == 3
    assert not hasattr(fitted, "feature_names_in_")
    assert fitted.n_iter_ == len(fitted.history_) == 20
    assert 1 <= fitted.best_epoch_ <= 20
    assert fitted_classifier.classes_.tolist() == ["down", "up"]
    assert "NAERegressor" in fitted._repr_html_()


@pytest.mark.parametrize(
    ("loss", "parameter"),
    first_quick(
        [("tweedie", 1.3), ("huber", 5.0), ("poisson", None), ("gamma", None)], 2
    ),
)
def test_losses(loss, parameter):
    truth = np.exp(1 + 0.25 * SIGNAL)
    model = regressor(loss=loss, loss_parameter=parameter, epochs=30).fit(X, truth)
    assert model.score(X, truth) > 0.6
    if loss != "huber":
        log_mean = model.explain(X).prediction[:, 0]
        np.testing.assert_allclose(model.predict(X), np.exp(log_mean), rtol=1e-5)


@pytest.mark.parametrize("q", first_quick([0.9, 0.1]))
def test_quantile_loss(q):
    x, y = np.zeros((96, 1)), np.random.default_rng(0).normal(size=96)
    model = regressor(loss="quantile", loss_parameter=q, epochs=30)
    model.set_params(validation_fraction=0.0).fit(x, y)
    share = np.mean(y < model.predict(x))
    assert share == pytest.approx(q, abs=0.08)


def test_own_losses_see_the_unit_of_the_target():
    def shifted(score, target):
        return jnp.abs(score[:, 0] - (target + 100))

    model = regressor(loss=shifted, epochs=40).fit(X, Y)
    assert r2_score(Y + 100, model.predict(X)) > 0.7
    assert clone(model).loss is shifted

    def opposite(score, target):
        return jnp.log1p(jnp.exp(jnp.where(target == 1, 1, -1) * score[:, 0]))

    assert classifier(loss=opposite, epochs=20).fit(X, LABELS).score(X, LABELS) < 0.1


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (regressor(loss="poisson"), -Y, "at least 0"),
        (regressor(loss="logistic"), Y, "binary target"),
        (classifier(loss="squared"), LABELS, "regression target"),
        (regressor(loss="squred"), Y, "did you mean 'squared'"),
        (regressor(calibration_fraction=1.0), Y, "expected 0 <= fraction < 1"),
        (regressor(validation_fraction=1.5), Y, "validation_fraction is 1.5"),
        (regressor(epochs=0), Y, "epochs is 0"),
        (regressor(monotone={"x9": 1}), Y, "monotone names 'x9'.*x0, x1, x2"),
        (regressor(monotone={3: 1}), Y, "holds 3, expected .* from 0 to 2"),
        (regressor(monotone={0: 2}), Y, "monotone of 0 is 2"),
        (regressor(categorical_features=[-1]), Y, "categorical_features holds -1"),
    ],
)
def test_settings_that_do_not_fit(model, y, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("monotone", first_quick([{"x0": 1, "x1": -1}, {0: 1, 1: -1}]))
def test_monotone_by_position_and_by_name(monotone):
    noise = np.random.default_rng(1).normal(size=96) * 20
    model = regressor(monotone=monotone, num_knots=4).fit(X, Y + noise)
    line = np.linspace(-3, 3, 50)
    for feature, sign in ((0, 1), (1, -1)):
        rows = np.tile(MORE[:5], (50, 1))
        rows[:, feature] = np.repeat(line, 5)
        path = model.predict(rows).reshape(50, 5)
        assert (sign * np.diff(path, axis=0) >= -1e-4).all()


def test_members_predict_their_mean():
    model = regressor(n_members=2, bootstrap=True, gate="context").fit(X, Y)
    assert model.fitted_.model.size == 2
    output = model.explain(MORE)
    total = (output.bias + output.contributions.sum(axis=1))[:, 0]
    np.testing.assert_allclose(total, model.predict(MORE), rtol=1e-5, atol=1e-4)
    assert model.n_iter_ == 4
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(s, marks=[pytest.mark.slow] * (s != (2, 1)))
        for s in [(2, 1), (2, 3), (5, 12)]
    ],
)
def test_few_rows(shape):
    x = np.random.default_rng(0).normal(size=shape)
    y = np.arange(shape[0])
    assert np.isfinite(regressor(epochs=1).fit(x, y).predict(x)).all()
    assert set(classifier(epochs=1).fit(x, y % 2).predict(x)) <= {0, 1}


def test_one_row_or_one_class():
    with pytest.raises(ValueError, match="1 sample"):
        regressor().fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match="one class only"):
        classifier().fit(X, ["a"] * 96)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        regressor().fit(X, Y[:-1])


def test_targets_that_cannot_be_used():
    with pytest.raises(ValueError, match="y contains NaN"):
        regressor().fit(X, np.r_[np.nan, Y[1:]])
    with pytest.raises(ValueError, match="y contains infinity"):
        regressor().fit(X, np.r_[np.inf, Y[1:]])
    with pytest.raises(ValueError, match="y holds nan in row 2"):
        classifier().fit(X[:3], np.array(["a", np.nan, "b"], object))
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, Y)
    with pytest.warns(DataConversionWarning):
        regressor(epochs=1).fit(X, Y[:, None])


def test_verbose_shows_a_bar(capfd):
    regressor(epochs=1).fit(X, Y)
    assert capfd.readouterr().err == ""
    regressor(epochs=1, verbose=1).fit(X, Y)
    assert "epoch" in capfd.readouterr().err
