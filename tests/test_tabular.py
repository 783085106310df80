"""A fitted table: units, links, classes, and the file that keeps it."""

from dataclasses import replace

import numpy as np
import pytest
from tiers import first_quick

from naejax import artifact
from naejax.data import infer_schema
from naejax.evaluation import classification_scores, regression_scores
from naejax.models.nae import contribution_range
from naejax.settings import Settings
from naejax.tabular import evaluate_table, explain_rows, fit_table, predict_table

QUICK = Settings(num_experts=4, hidden=(8,), epochs=3)


def make_table(kind: str, rows: int = 80):
    """A small table with a number, a category, a missing cell and a target."""
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 9, rows)
    city = np.array(["Oslo", "Bergen"], dtype=object)[rng.integers(2, size=rows)]
    value = 1000 + 500 * size + 800 * (city == "Oslo")
    classes = np.array(["low", "mid", "high"], dtype=object)
    y = {
        "regression": value,
        "binary": classes[(value > 3500).astype(int)],
        "multiclass": classes[np.digitize(value, [2700, 4300])],
    }[kind]
    size[:5] = np.nan
    return {"size": size, "city": city, "y": y}


@pytest.fixture(scope="module", params=["regression", "binary", "multiclass"])
def fitted_table(request):
    columns = make_table(request.param)
    schema = infer_schema(columns, "y")
    return fit_table(columns, columns, schema, QUICK, progress=False)[0], columns


def test_parts_sum_in_the_unit_of_the_target(fitted_table):
    fitted, columns = fitted_table
    output = explain_rows(fitted, columns)
    total = output.bias[None] + output.contributions.sum(1)
    size = np.abs(output.prediction).max()
    np.testing.assert_allclose(output.prediction, total, atol=1e-5 * size)
    parts = (output.gates[..., None] * output.experts).sum(2)
    np.testing.assert_allclose(output.contributions, parts, atol=1e-5 * size)
    lower, upper = contribution_range(output)
    assert (lower <= output.contributions + 1e-5 * size).all()
    assert (upper >= output.contributions - 1e-5 * size).all()


def test_predictions_agree_with_the_scores(fitted_table):
    fitted, columns = fitted_table
    table, scores = predict_table(fitted, columns), evaluate_table(fitted, columns)
    if fitted.encoder.schema.target.kind == "regression":
        expected = regression_scores(columns["y"], table["prediction"])
        assert scores == pytest.approx(expected)
        assert abs(table["prediction"].mean() - columns["y"].mean()) < 2000
    else:
        hit = np.mean(table["prediction"] == columns["y"])
        assert scores["accuracy"] == pytest.approx(hit)


def test_saved_model_is_bitwise_the_same(fitted_table, tmp_path):
    fitted, columns = fitted_table
    path = tmp_path / "model.safetensors"
    artifact.save(path, fitted)
    loaded = artifact.load(path)
    before, after = predict_table(fitted, columns), predict_table(loaded, columns)
    assert list(before) == list(after)
    for name in before:
        assert (before[name] == after[name]).all()
    artifact.save(tmp_path / "again", loaded)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_row_order_and_company_do_not_matter(fitted_table):
    fitted, columns = fitted_table
    order = np.random.default_rng(0).permutation(80)
    whole = explain_rows(fitted, columns).prediction
    mixed = explain_rows(fitted, {n: c[order] for n, c in columns.items()}).prediction
    alone = explain_rows(fitted, {n: c[7:8] for n, c in columns.items()}).prediction
    assert (whole[order] == mixed).all() and (whole[7] == alone[0]).all()


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_scaling_the_target_scales_the_contributions(loss):
    """Huber's delta too is in the target's unit."""
    columns = make_table("regression")
    outputs = []
    for scale in (1, 1e-4):
        c = {**columns, "y": columns["y"] * scale}
        delta = 300.0 * scale if loss == "huber" else None
        settings = replace(QUICK, loss=loss, loss_parameter=delta)
        fitted, _ = fit_table(c, c, infer_schema(c, "y"), settings, progress=False)
        outputs.append(explain_rows(fitted, columns))
    np.testing.assert_allclose(
        outputs[0].contributions, outputs[1].contributions * 1e4, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("loss", first_quick(["poisson", "gamma", "tweedie"]))
def test_log_links_predict_positive_means(loss):
    columns = make_table("regression")
    columns["y"] = np.round(columns["y"] / 500)
    settings = Settings(
        num_experts=4,
        hidden=(8,),
        epochs=60,
        loss=loss,
        learning_rate=1e-2,
        expert_variance=0.1,
    )
    schema = infer_schema(columns, "y")
    fitted, _ = fit_table(columns, columns, schema, settings, progress=False)
    table = predict_table(fitted, columns)
    assert (table["prediction"] > 0).all()
    parts = table["bias"] + table["contribution:size"] + table["contribution:city"]
    np.testing.assert_allclose(np.log(table["prediction"]), parts, atol=1e-4)
    assert evaluate_table(fitted, columns)["r2"] > 0.5


@pytest.mark.parametrize(
    ("kind", "loss", "message"),
    [
        ("binary", "squared", "needs a regression target"),
        ("regression", "logistic", "needs a binary target"),
        ("binary", "softmax_cross_entropy", "needs a multiclass target"),
        ("regression", "poisson", "goes down to -"),
        ("regression", "squird", "did you mean 'squared'"),
    ],
)
def test_losses_that_do_not_suit_are_refused(kind, loss, message):
    columns = make_table(kind)
    if kind == "regression":
        columns["y"] = columns["y"] - 5000
    schema = infer_schema(columns, "y")
    with pytest.raises(ValueError, match=message):
        fit_table(columns, columns, schema, Settings(loss=loss), progress=False)


def test_settings_follow_the_size_of_the_table_but_never_overrule():
    small, large = Settings().for_rows(300), Settings().for_rows(50_000)
    assert small.batch_size == 32 and large.batch_size == 1024
    assert small.epochs > large.epochs and small.hidden == large.hidden
    own = Settings(epochs=7, batch_size=11, hidden=(3,), gate_rank=5, dropout=0.5)
    chosen = own.for_rows(300)
    assert (chosen.epochs, chosen.batch_size, chosen.hidden) == (7, 11, (3,))
    assert (chosen.gate_rank, chosen.dropout) == (5, 0.5)


def test_settings_have_no_cliff_in_the_number_of_rows():
    """One row more changes a batch by one row, and steps stay as many."""
    for rows in [*range(40, 3000, 7), *range(3000, 200_000, 997), 3_000_000, 10**7]:
        one, more = (Settings().for_rows(n) for n in (rows, rows + 1))
        assert 0 <= more.batch_size - one.batch_size <= 1
        steps = one.epochs * (rows // one.batch_size)
        assert 2000 <= steps <= 2000 + 2 * (rows // one.batch_size)


@pytest.mark.slow
def test_the_encoding_is_a_setting():
    columns = make_table("regression")
    settings = Settings(
        epochs=1, num_experts=4, numeric="standard", categorical="target"
    )
    schema = infer_schema(columns, "y")
    fitted, _ = fit_table(columns, columns, schema, settings, progress=False)
    assert [c.kind for c in fitted.encoder.codecs] == ["standard", "statistics"]


def test_scores_agree_with_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    truth, guess = rng.normal(size=50), rng.normal(size=50)
    scores = regression_scores(truth, guess)
    assert scores["r2"] == pytest.approx(metrics.r2_score(truth, guess))
    rmse = metrics.root_mean_squared_error(truth, guess)
    assert scores["rmse"] == pytest.approx(rmse)
    labels = rng.integers(3, size=50)
    log_probability = np.log(rng.dirichlet(np.ones(3), size=50))
    scores = classification_scores(labels, log_probability)
    loss = metrics.log_loss(labels, np.exp(log_probability))
    assert scores["log_loss"] == pytest.approx(loss)
    assert "auc" not in scores
