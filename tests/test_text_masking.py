"""Random parts of texts are removed in training, whole ones and no others."""

import jax
import numpy as np

from naejax.models.bert import BERT
from naejax.models.text_masking import PartMasked, draw_parts
from naejax.ops.tokens import PART, PRESENT, TOKEN

X = np.zeros((400, 12, 4), np.float32)
X[..., TOKEN], X[:, :10, PRESENT] = 5, 1
X[..., PART] = [-1, 0, 0, 1, 2, 2, 2, 3, 4, -1, -1, -1]


def test_whole_parts_go_and_the_rest_stays():
    stays = np.asarray(draw_parts(jax.random.key(0), X, rate=1.0))
    assert stays[:, X[0, :, PART] < 0].all()
    assert (stays[:, 1] == stays[:, 2]).all() and (stays[:, 4] == stays[:, 6]).all()
    # The share that stays is drawn for each text from U(0, 1).
    shares = stays[:, [1, 3, 4, 7, 8]].mean(axis=1)
    assert abs(shares.mean() - 0.5) < 0.05 and shares.std() > 0.25


def test_a_share_of_the_texts_is_left_whole():
    for rate in (0.0, 0.25):
        whole = np.asarray(draw_parts(jax.random.key(1), X, rate)).all(axis=1)
        # Of five parts all stay with probability 1 / 6.
        assert abs(whole.mean() - (1 - rate * 5 / 6)) < 0.06


def test_nothing_is_removed_in_prediction():
    model = PartMasked(
        BERT(2, vocabulary=9, width=8, depth=1, heads=2, mlp=8), rate=1.0
    )
    variables = jax.jit(model.init)(jax.random.key(0), X[:2])
    variables = jax.tree.map(lambda a: 20 * a, variables)
    plain = jax.jit(model.model.apply)(
        {"params": variables["params"]["model"]}, X[:2, :, 0].astype(int), None,
        X[:2, :, PRESENT],
    ).scores  # fmt: skip
    apply = jax.jit(model.apply, static_argnames="train")
    found = apply(variables, X[:2]).prediction
    np.testing.assert_allclose(found, plain, atol=1e-6)
    rngs = {"dropout": jax.random.key(1)}
    masked = apply(variables, X[:2], train=True, rngs=rngs).prediction
    assert np.abs(masked - plain).max() > 1e-5
