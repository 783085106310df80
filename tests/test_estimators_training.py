"""The estimators: weights, initial scores, eval_set, going on."""

import numpy as np
import pytest
from small_tables import LABELS, MORE, SMALL, X, Y

from naejax.estimators import NAEClassifier, NAERegressor

pytestmark = pytest.mark.slow


def regressor(**changes):
    return NAERegressor(**{**SMALL, **changes})


def classifier(**changes):
    return NAEClassifier(**{**SMALL, **changes})


def test_weight_zero_is_a_row_left_out():
    keep = np.arange(len(X)) % 3 > 0
    weighted = regressor().fit(X, np.where(keep, Y, 1e6), sample_weight=keep * 1.0)
    without = regressor().fit(X[keep], Y[keep])
    np.testing.assert_array_equal(weighted.predict(MORE), without.predict(MORE))


def test_weights_move_the_prediction():
    x, y = np.zeros((96, 1)), np.arange(96) % 2
    weight = np.where(y == 1, 9.0, 1.0)
    all_rows = {"validation_fraction": 0.0}
    model = regressor(epochs=30, **all_rows).fit(x, y, sample_weight=weight)
    assert model.predict(x[:1])[0] == pytest.approx(0.9, abs=0.05)
    model = classifier(epochs=60, **all_rows).fit(x, y, sample_weight=weight)
    assert model.predict_proba(x[:1])[0, 1] == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.r_[-1.0, np.ones(95)], "weight of row 1 is -1.0"),
        (np.r_[np.ones(95), np.nan], "weight of row 96 is nan"),
        (np.zeros(96), "weights of all 96 rows are zero"),
        (np.ones(95), r"shape \(95,\), expected \(96,\)"),
        (np.r_[1.0, np.zeros(95)], "1 row has a positive sample_weight"),
    ],
)
def test_weights_that_cannot_be_used(weight, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(X, Y, sample_weight=weight)


def test_the_model_learns_what_an_initial_score_leaves():
    base = 30 * X[:, 2]
    model = regressor().fit(X, Y + base, init_score=base)
    plain = regressor().fit(X, Y)
    np.testing.assert_allclose(model.predict(MORE), plain.predict(MORE), rtol=1e-3)
    moved = model.predict(MORE, init_score=np.arange(40.0))
    np.testing.assert_allclose(moved, model.predict(MORE) + np.arange(40.0))


def test_an_exposure_multiplies_the_mean():
    rng = np.random.default_rng(0)
    exposure = rng.uniform(1, 20, 96)
    counts = rng.poisson(2 * exposure)
    model = regressor(loss="poisson", epochs=40)
    model.fit(X, counts, init_score=np.log(exposure))
    rate = model.predict(X).mean()
    assert rate == pytest.approx(2, rel=0.2)
    ten = model.predict(X, init_score=np.full(96, np.log(10)))
    np.testing.assert_allclose(ten, 10 * model.predict(X), rtol=1e-12)


def test_an_initial_score_per_class():
    y = np.arange(96) % 3
    score = np.zeros((96, 3))
    model = classifier(epochs=1).fit(X, y, init_score=score)
    push = np.tile([0.0, 50.0, 0.0], (96, 1))
    assert (model.predict(X, init_score=push) == 1).all()
    assert (model.decision_function(X, push) - model.decision_function(X)).max() == 50
    with pytest.raises(ValueError, match=r"shape \(96, 1\), expected \(96, 3\)"):
        model.fit(X, y, init_score=score[:, 0])
    with pytest.raises(ValueError, match="init_score holds NaN"):
        model.predict(X, init_score=score * np.nan)


def test_eval_set_picks_the_epoch_by_its_loss():
    weight = np.linspace(0.5, 2, 40)
    truth = 50 + 10 * (2 * MORE[:, 0] - MORE[:, 1])
    model = regressor(epochs=6).fit(X, Y, eval_set=(MORE, truth, weight))
    error = np.average((model.predict(MORE) - truth) ** 2, weights=weight)
    history = [row["validation"] for row in model.history_]
    assert min(history) == history[model.best_epoch_ - 1]
    assert min(history) * np.var(Y) == pytest.approx(error, rel=1e-4)


def test_eval_set_needs_its_own_initial_score():
    with pytest.raises(ValueError, match=r"pass eval_set=\(X, y, weight, init_score\)"):
        regressor().fit(X, Y, init_score=Y, eval_set=(X, Y))
    model = regressor().fit(X, Y, init_score=Y, eval_set=(X, Y, None, Y))
    assert model.history_[-1]["validation"] < 1e-2


@pytest.mark.parametrize("eval_set", [X, (X,), [(X, Y)], "test"])
def test_eval_set_of_another_form(eval_set):
    with pytest.raises(ValueError, match=r"expected \(X, y\), \(X, y, weight\)"):
        regressor().fit(X, Y, eval_set=eval_set)


def test_labels_of_eval_set_that_training_lacks():
    with pytest.raises(ValueError, match=r"y holds .*'left'.* training lacks.*'up'"):
        classifier().fit(X, LABELS, eval_set=(X[:2], ["left", "up"]))


def test_warm_start_goes_on():
    model = regressor(warm_start=True, validation_fraction=0.0).fit(X, Y)
    first, encoder = model.history_[0]["loss"], model.fitted_.encoder
    last = model.history_[-1]["loss"]
    model.fit(X, Y)
    assert model.history_[0]["loss"] < (first + last) / 2
    assert model.fitted_.encoder is encoder
    assert model.n_iter_ == 8
    cold = model.set_params(warm_start=False).fit(X, Y)
    assert cold.history_[0]["loss"] == first
    assert cold.n_iter_ == 4


def test_warm_start_keeps_columns_and_classes():
    model = classifier(warm_start=True, epochs=1).fit(X, LABELS)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.fit(X[:, :2], LABELS)
    with pytest.raises(ValueError, match="training lacks"):
        model.fit(X, np.arange(96) % 3)


def test_partial_fit_goes_on_by_one_epoch():
    model = regressor()
    losses = [model.partial_fit(X, Y).history_[0]["loss"] for _ in range(6)]
    assert losses[-1] < 0.7 * losses[0]
    assert model.n_iter_ == 6
    again = regressor()
    for _ in range(6):
        again.partial_fit(X, Y)
    assert (again.predict(MORE) == model.predict(MORE)).all()


@pytest.mark.parametrize("n_members", [1, 2])
def test_going_on_with_more_rows_keeps_the_model(n_members):
    model = regressor(hidden=None, warm_start=True, n_members=n_members)
    model.partial_fit(X, Y)
    module = model.fitted_.model
    many = np.resize(X, (5000, 3))
    model.set_params(batch_size=2500, epochs=1).fit(many, np.resize(Y, 5000))
    assert model.fitted_.model == module


def test_partial_fit_knows_all_classes_from_the_first_call():
    model = classifier().partial_fit(X[:32], ["up"] * 32, classes=["down", "up"])
    assert model.predict_proba(X).shape == (96, 2)
    model.partial_fit(X, LABELS)
    with pytest.raises(ValueError, match="'left', which training lacks"):
        model.partial_fit(X, ["left"] * 96)
    with pytest.raises(ValueError, match="classes are 'up', but the first call had"):
        model.partial_fit(X, LABELS, classes=["up"])
    with pytest.raises(ValueError, match="one class only"):
        classifier().partial_fit(X, ["up"] * 96, classes=["up"])
