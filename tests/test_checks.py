"""Models, examples and targets that do not fit together end before training."""

import jax
import numpy as np
import pytest

import naejax

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    model = naejax.NAE(4, num_experts=2, hidden=(4,))
    return model, model.init(jax.random.key(0), X[:1])


@pytest.mark.parametrize(("wrong", "named"), [(4, "class 4"), (-1, "class -1")])
def test_classes_have_an_output_each(network, wrong, named):
    y = np.append(np.arange(19) % 4, wrong)
    with pytest.raises(ValueError, match=f"{named}, expected classes from 0 to 3"):
        naejax.fit(*network, (X, y), loss="softmax_cross_entropy")


def test_examples_have_the_shape_of_the_variables(network):
    message = r"x has shape \(20, 2\), which does not fit the variables"
    with pytest.raises(ValueError, match=message):
        naejax.fit(*network, (X[:, :2], np.zeros((20, 4))))
    with pytest.raises(ValueError, match=message):
        naejax.predict(*network, X[:, :2])


def test_classes_want_their_loss(network):
    with pytest.raises(ValueError, match="take loss='softmax_cross_entropy' for cla"):
        naejax.fit(*network, (X, np.arange(20) % 4))
    with pytest.raises(ValueError, match=r"number classes with np.unique\(y, return"):
        naejax.fit(*network, (X, ["a"] * 20))
