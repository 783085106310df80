"""Data sets by name or path; the fetchers never touch the network here."""

import http.client
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from naejax.data.datasets import available, load_dataset
from naejax.data.schema import infer_schema
from naejax.data.table import encode_target, encode_training, fit_encoder

FETCHERS = {
    "california": "fetch_california_housing",
    "adult": "fetch_openml",
    "covertype": "fetch_covtype",
}


@pytest.mark.parametrize("name", ["diabetes", "breast-cancer", "wine", "digits"])
def test_embedded_sets_are_what_the_registry_says(name):
    info = available()[name]
    data = load_dataset(name)
    assert not info.network
    assert (data.name, data.target, data.task) == (name, info.target, info.task)
    assert data.description == info.description
    schema = infer_schema(data.columns, data.target, task=data.task)
    assert (schema.rows, len(schema.features)) == (info.rows, info.features)
    assert (schema.target.kind == "regression") == (info.task == "regression")
    encoder = fit_encoder(data.columns, schema)
    x, y = encode_training(encoder, data.columns), encode_target(encoder, data.columns)
    assert x.shape == (info.rows, info.features)
    assert np.isfinite(x).all()
    assert y.shape == (info.rows,)


def test_columns_mean_something():
    diabetes = load_dataset("diabetes")
    assert list(diabetes.columns)[:3] == ["age", "sex", "bmi"]
    assert set(diabetes.columns["sex"]) == {"1", "2"}
    assert diabetes.columns["age"].max() == 79
    cancer = load_dataset("breast-cancer").columns["diagnosis"]
    assert (cancer == "malignant").sum() == 212
    assert set(load_dataset("wine").columns["cultivar"]) == {
        "class_0",
        "class_1",
        "class_2",
    }
    digits = load_dataset("digits")
    schema = infer_schema(digits.columns, digits.target, task=digits.task)
    assert schema.target.classes == tuple("0123456789")


def test_another_target_or_task_may_be_chosen():
    other = load_dataset("wine", "hue")
    assert (other.target, other.task) == ("hue", "auto")
    assert "cultivar" in other.columns
    assert load_dataset("digits", task="regression").task == "regression"
    assert load_dataset("digits", "digit").task == "classification"


def test_csv_files(tmp_path):
    path = tmp_path / "wine"
    path.write_text("a,b\n1,x\n2,y\n")
    data = load_dataset(str(path), "b", "classification")
    assert (data.name, data.target, data.task) == (str(path), "b", "classification")
    assert data.columns["a"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"no target column given for .*one of: a, b"):
        load_dataset(str(path))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("diabtes", None, r"did you mean 'diabetes'\?.* or give the path of a .csv"),
        ("nothing like it", None, "There are: diabetes, breast-cancer"),
        ("lost.csv", "y", "cannot read lost.csv"),
        ("folder/lost", "y", "cannot read folder.lost"),
        ("wine", "Hue", "no target column 'Hue'; did you mean 'hue'"),
    ],
)
def test_unknown_names_are_refused_in_one_line(source, target, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(source, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FETCHERS)
@pytest.mark.parametrize(
    "error",
    [
        URLError("no route\nto host"),
        TimeoutError(),
        ConnectionResetError(),
        http.client.IncompleteRead(b""),
    ],
)
def test_without_a_network_one_line_says_so(monkeypatch, name, error):
    def fail(**options):
        raise error

    monkeypatch.setattr(sklearn.datasets, FETCHERS[name], fail)
    assert available()[name].network
    with pytest.raises(ValueError, match=f"'{name}' is downloaded once") as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["california", "covertype"])
def test_fetched_tables(monkeypatch, name):
    names = ["a", "b"]
    bunch = Bunch(data=np.eye(12, 2), feature_names=names, target=np.arange(12.0))
    monkeypatch.setattr(sklearn.datasets, FETCHERS[name], lambda n_retries: bunch)
    data = load_dataset(name)
    assert list(data.columns) == [*names, available()[name].target]
    np.testing.assert_array_equal(data.columns["b"], bunch.data[:, 1])
    np.testing.assert_array_equal(data.columns[data.target], bunch.target)


def test_adult_needs_no_pandas(monkeypatch):
    def fetch(*, as_frame, parser, **options):
        assert (as_frame, parser) == (False, "liac-arff")
        assert (options["name"], options["version"]) == ("adult", 2)
        return Bunch(
            data=np.array([[39, 1], [50, np.nan], [28, 0]]),
            feature_names=["age", "workclass"],
            categories={"workclass": ["Private", "State-gov"]},
            target=np.array(["<=50K", ">50K", "<=50K"], dtype=object),
        )

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    columns = load_dataset("adult").columns
    assert columns["age"].tolist() == [39.0, 50.0, 28.0]
    assert columns["workclass"].tolist() == ["State-gov", None, "Private"]
    assert columns["income"].tolist() == ["<=50K", ">50K", "<=50K"]
