"""Fitted estimators as files: bitwise the same, and served by numpy alone."""

import struct

import jax
import numpy as np
import pytest
from test_artifact import header_with, rebuilt

import naejax
from naejax.artifact import describe
from naejax.data import fit_encoder, infer_schema, read_columns
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.serving import to_numpy_predictor
from naejax.tabular import TabularNAE

QUICK = {"num_experts": 2, "top_k": 1, "hidden": (4,), "epochs": 1, "num_knots": 3}
ROWS = 60
X = np.array([[0.5, np.nan, -3.0], [1.0, -2.0, 0.1]]).T
LABELS = {
    "text": np.array(["no", "yes"]),
    "three": np.array(["a", "b", "c"]),
    "whole": np.array([-1, 5]),
    "truth": np.array([False, True]),
    "objects": np.array(["a", "bé"], dtype=object),
}


def make_estimator(kind: str):
    """A regressor or a classifier as if fitted: with random variables, in no time."""
    rng = np.random.default_rng(0)
    if kind == "number":
        model = naejax.NAERegressor(**QUICK, calibration_fraction=0.3, n_members=2)
        target = 100 + 10 * rng.normal(size=ROWS)
        model.calibration_ = np.sort(rng.exponential(size=18))
        module = NAEEnsemble(NAE(num_experts=2, hidden=(4,), num_knots=3), 2)
    else:
        model = naejax.NAEClassifier(**QUICK, monotone={1: 1})
        model.classes_ = LABELS[kind]
        target = np.array(model._class_texts())[np.arange(ROWS) % len(LABELS[kind])]
        outputs = 1 if len(LABELS[kind]) == 2 else len(LABELS[kind])
        module = NAE(outputs, 2, hidden=(4,), num_knots=3, monotone=(0, 1))
    columns = {"x0": rng.normal(size=ROWS), "x1": rng.normal(size=ROWS), "y": target}
    columns = read_columns(columns, text={"y"} if kind != "number" else ())
    schema = infer_schema(columns, "y")
    encoder = fit_encoder(columns, schema)
    row = np.zeros((1, 2), np.float32)
    shapes = dict(jax.eval_shape(module.init, jax.random.key(0), row))
    variables = jax.tree.map(
        lambda a: np.sort(rng.normal(size=a.shape)).astype(np.float32), shapes
    )
    loss = {0: "squared", 2: "logistic"}.get(
        len(schema.target.classes), "softmax_cross_entropy"
    )
    model.fitted_ = TabularNAE(module, variables, encoder, loss)
    model.n_features_in_, model.n_iter_, model.best_epoch_ = 2, 1, 0
    model.history_ = [{"loss": 0.5}]
    return model


@pytest.fixture(scope="module")
def trained():
    """A regressor, a classifier and rows."""
    return make_estimator("number"), make_estimator("text"), X


@pytest.fixture(scope="module", params=["number", *LABELS])
def fitted(request, tmp_path_factory):
    """An estimator, rows, and its file."""
    model = make_estimator(request.param)
    path = tmp_path_factory.mktemp("saved") / "model"
    naejax.save(path, model)
    return model, X, path


def test_saved_estimators_are_bitwise_the_same(fitted, tmp_path):
    model, x, path = fitted
    loaded = naejax.load(path)
    assert type(loaded) is type(model) and loaded.get_params() == model.get_params()
    before, after = model.predict(x), loaded.predict(x)
    assert (before == after).all() and before.dtype == after.dtype
    before_parts, after_parts = model.explain(x).output, loaded.explain(x).output
    for part, other in zip(before_parts, after_parts, strict=True):
        np.testing.assert_array_equal(np.asarray(part), np.asarray(other))
    if hasattr(model, "classes_"):
        assert (loaded.predict_proba(x) == model.predict_proba(x)).all()
        assert (loaded.classes_ == model.classes_).all()
        assert loaded.classes_.dtype == model.classes_.dtype
    else:
        found = loaded.predict_interval(x, 0.2)
        np.testing.assert_array_equal(found, model.predict_interval(x, 0.2))
    naejax.save(tmp_path / "again", loaded)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_numpy_predicts_labels_and_numbers(fitted):
    model, x, path = fitted
    columns = read_columns({"x0": x[:, 0], "x1": x[:, 1]})
    for source in (path, str(path), model):
        predictor = to_numpy_predictor(source)
        found, expected = predictor.predict(columns), model.predict(x)
        if hasattr(model, "classes_"):
            assert (found == expected).all() and found.dtype == expected.dtype
            share = predictor.predict_proba(columns)
            np.testing.assert_allclose(share, model.predict_proba(x), atol=1e-5)
            scores = predictor.decision_function(columns)
            np.testing.assert_allclose(scores, model.decision_function(x), atol=1e-5)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_file_says_what_was_trained(fitted):
    model, _, path = fitted
    header = describe(path)
    assert header["kind"] == "estimator"
    assert header["summary"]["epochs"] == model.n_iter_
    assert header["estimator"]["class"] == type(model).__name__


def test_estimators_are_exported(trained, tmp_path):
    model, _, x = trained
    naejax.export(model, tmp_path / "program", {"x0": x[:, 0], "x1": x[:, 1]})
    assert (tmp_path / "program").is_file()


def test_what_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        naejax.save(tmp_path / "model", naejax.NAERegressor())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header_with(kind="nae"), "unknown field 'estimator'"),
        (header_with(estimator=None), "model"),
        (header_with(estimator={}), "model"),
        (header_with(estimator__labels=["a"]), "labels do not fit"),
        (header_with(estimator__labels=["no", "maybe"]), "labels"),
        (header_with(estimator__labels=["a", {}]), "labels"),
        (header_with(estimator__labels="ab"), "labels do not fit"),
        (header_with(estimator__label_dtype="<U100000000"), "labels do not fit"),
        (header_with(estimator__label_dtype="V8"), "labels do not fit"),
        (header_with(estimator__label_dtype="magic"), "magic"),
        (header_with(estimator__label_dtype="<i8"), "invalid literal"),
        (header_with(estimator__n_features=3), "features"),
        (header_with(estimator__feature_names=["a", "b"]), "names of features"),
        (header_with(estimator__parameters={"magic": 1}), "magic"),
    ],
)
def test_damaged_headers_are_refused(change, message, trained, tmp_path):
    path = tmp_path / "model"
    naejax.save(path, trained[1])
    path.write_bytes(rebuilt(path.read_bytes(), change))
    with pytest.raises(ValueError, match=message) as caught:
        naejax.load(path)
    assert "\n" not in str(caught.value)


def test_damaged_calibration_scores_are_refused(trained, tmp_path):
    path = tmp_path / "model"
    naejax.save(path, trained[0])
    content = rebuilt(path.read_bytes(), lambda header, index: None)
    at = content.index(b'"estimator/calibration"')
    start = int(content[at:].split(b'"data_offsets": [')[1].split(b",")[0])
    (length,) = struct.unpack("<Q", content[:8])
    at = 8 + length + start
    path.write_bytes(content[:at] + struct.pack("<d", 1e9) + content[at + 8 :])
    with pytest.raises(ValueError, match="calibration scores"):
        naejax.load(path)
