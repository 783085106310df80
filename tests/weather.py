"""A small table, and the two ways in which training on bad ones may end."""

import jax
import numpy as np
import pandas as pd
import pytest

from naejax import NAEClassifier, NAERegressor

N = 60
TINY = dict(num_experts=4, hidden=(8,), epochs=2, num_knots=4, batch_size=32)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
Y = X[:, 0] + X[:, 1]


def frame(**columns):
    """Three columns of numbers, some replaced or added."""
    return pd.DataFrame(dict(zip("abc", X.T, strict=True)) | columns)


def column(values, i=1):
    """The array with one column replaced."""
    changed = X.copy()
    changed[:, i] = values
    return changed


def check_finite(model, x):
    """All that a model says of rows is finite, and parts sum to the whole."""
    output = jax.tree.map(np.asarray, model.explain(x).output)
    assert all(np.isfinite(part).all() for part in output)
    total = output.bias + output.contributions.sum(axis=1)
    scale = np.abs(output.contributions).max() + np.abs(output.bias).max()
    np.testing.assert_allclose(output.prediction, total, atol=1e-5 * scale)
    if isinstance(model, NAEClassifier):
        probability = model.predict_proba(x)
        assert ((probability >= 0) & (probability <= 1)).all()
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-12)
        assert set(model.predict(x)) <= set(model.classes_)
    else:
        assert np.isfinite(model.predict(x)).all()


def regress(x, y=Y, rows=None, **arguments):
    settings = {
        k: arguments.pop(k) for k in list(arguments) if k in ("numeric", "loss")
    }
    model = NAERegressor(**TINY, **settings).fit(x, y, **arguments)
    check_finite(model, x if rows is None else rows)
    return model


def classify(x, y, **arguments):
    model = NAEClassifier(**TINY).fit(x, y, **arguments)
    check_finite(model, x)
    return model


def one_line(call, *words):
    """The message of the error that a call must end in."""
    with pytest.raises(ValueError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and len(message) < 400, message
    for word in words:
        assert word in message, message
