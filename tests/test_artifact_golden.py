"""Files of format 2 load for ever, and predict what they predicted."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from test_artifact import header_with, rebuilt

import naejax
from naejax.artifact import describe
from naejax.data import read_columns
from naejax.serving import to_numpy_predictor
from naejax.tabular import TabularNAE, explain_rows
from naejax.texts import TextSOP, explain_texts
from naejax.vision import ImageSOP, explain_images, score_images

FOLDER = Path(__file__).parent / "golden" / "format2"
NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def columns_of(arrays) -> dict[str, np.ndarray]:
    """The table beside a golden file; categories are missing where they are empty."""
    cells = {k.partition(":")[2]: v for k, v in arrays.items() if ":" in k}
    return read_columns(cells)


def predictions(fitted, arrays) -> dict[str, np.ndarray]:
    """What a model says of the rows or images beside its file."""
    if isinstance(fitted, naejax.NAERegressor):
        interval = fitted.predict_interval(arrays["x"], 0.2)
        return {"prediction": fitted.predict(arrays["x"]), "interval": interval}
    if isinstance(fitted, naejax.NAEClassifier):
        scores = fitted.decision_function(arrays["x"])
        return {"prediction": fitted.predict(arrays["x"]), "scores": scores}
    if isinstance(fitted, TabularNAE):
        output = explain_rows(fitted, columns_of(arrays))
    elif isinstance(fitted, ImageSOP):
        output = explain_images(fitted, arrays["x"])
    elif isinstance(fitted, TextSOP):
        output = explain_texts(fitted, arrays["x"])
    else:
        return {"prediction": score_images(fitted, arrays["x"])}
    return {
        "prediction": np.asarray(output.prediction),
        "contributions": np.asarray(output.contributions),
    }


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_predict_what_they_predicted(name, tmp_path):
    fitted = naejax.load(FOLDER / f"{name}.safetensors")
    arrays = np.load(FOLDER / f"{name}.npz")
    found = predictions(fitted, arrays)
    for part, values in found.items():
        size = np.abs(arrays[part]).max()
        np.testing.assert_allclose(values, arrays[part], atol=1e-5 * size)
    # Saved again, by the format of today, it is bitwise the same model.
    naejax.save(tmp_path / "again", fitted)
    again = predictions(naejax.load(tmp_path / "again"), arrays)
    assert all((again[part] == values).all() for part, values in found.items())
    assert describe(tmp_path / "again")["version"] == naejax.__version__


def test_every_kind_and_maker_has_its_golden_file():
    spec = importlib.util.spec_from_file_location(
        "m", FOLDER.parent / "make_format2.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert sorted(module.MAKERS) == NAMES
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert len(sizes) == 2 * len(NAMES) and max(sizes) < 60_000


@pytest.mark.parametrize(
    ("name", "read"),
    [
        *((name, read) for name in NAMES for read in (naejax.load, describe)),
        ("regression", to_numpy_predictor),
        ("classifier", to_numpy_predictor),
    ],
)
def test_files_of_format_1_are_refused_with_what_to_do(name, read, tmp_path):
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    path = tmp_path / "model"
    path.write_bytes(rebuilt(content, header_with(format=1)))
    message = r"format 1, .* train the model again, or load it with .* before format 2"
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
