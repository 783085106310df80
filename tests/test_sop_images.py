"""Attributions of parts have their closed forms; all methods are cut to one size."""

import doctest
import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from naejax import explain
from naejax.data.images import Images
from naejax.explain.figure import png
from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.sop import SumOfParts
from naejax.vision import ImageBackbone, ImageSOP, score_images

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
GRID = (2, 3)


@pytest.fixture
def module(monkeypatch):
    """Imports a script of the folder of experiments."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module


def polynomial(order):
    """A score (N, 2) of 4 x 6 pixels, and examples; parts of 2 x 2 pixels interact.

    Order 1 is additive, 2 has products of two parts, 3 the product of all.
    """
    rng = np.random.default_rng(0)
    linear = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    pairs = jnp.asarray(rng.normal(size=(6, 6, 2)), jnp.float32)

    def score(scale, x):
        z = x.reshape(len(x), 2, 2, 3, 2).mean(axis=(2, 4)).reshape(len(x), 6)
        total = 1.0 + z @ linear
        if order > 1:
            total += jnp.einsum("np,nq,pqc->nc", z, z, pairs)
        if order > 2:
            total += 5 * z.prod(axis=1, keepdims=True)
        return scale * total

    x = rng.normal(1, 0.3, size=(3, 4, 6, 1)).astype(np.float32)
    return Partial(score, jnp.float32(2.0)), x, np.asarray(linear), np.asarray(pairs)


def parts_of(x):
    """Means of the parts, (B, 6)."""
    return x.reshape(len(x), 2, 2, 3, 2).mean(axis=(2, 4)).reshape(len(x), 6)


def test_masked_scores_are_those_of_the_masked_examples(module, monkeypatch):
    parts = module("baselines.part_scores")
    monkeypatch.setattr(parts, "_CHUNK", 4)
    score, x, *_ = polynomial(3)
    shown = np.random.default_rng(1).random((3, 5, *GRID)) < 0.5
    found = parts.score_shown(score, x, shown)
    for b, m in np.ndindex(3, 5):
        mask = shown[b, m].repeat(2, axis=0).repeat(2, axis=1)[..., None]
        expected = score((x[b] * mask)[None])[0]
        assert np.allclose(found[b, m], expected, atol=1e-5)


def test_examples_of_the_shared_part(module):
    assert doctest.testmod(module("baselines.part_scores")).failed == 0


def test_an_additive_score_has_its_own_parts_as_attributions(module, key):
    score, x, linear, _ = polynomial(1)
    expected = 2 * parts_of(x)[..., None] * linear
    shapley = module("baselines.shapley_parts").shapley_parts
    one = shapley(key, score, x, GRID, 1)
    assert np.allclose(one.values.reshape(3, 6, 2), expected, atol=1e-5)
    lime = module("baselines.lime_parts").lime_parts
    fit = lime(key, score, x, GRID, 40, ridge=1e-6)
    assert np.allclose(fit.values.reshape(3, 6, 2), expected, atol=1e-3)
    assert np.allclose(fit.base, 2.0, atol=1e-3)


def test_two_orders_give_exact_shapley_values_of_pairs(module, key):
    score, x, linear, pairs = polynomial(2)
    z = parts_of(x)[..., None]
    both = z[:, :, None] * z[:, None] * (pairs + pairs.swapaxes(0, 1)) / 2
    expected = 2 * (z * linear + both.sum(axis=2))
    shapley = module("baselines.shapley_parts").shapley_parts
    found = shapley(key, score, x, GRID, 2)
    assert np.allclose(found.values.reshape(3, 6, 2), expected, atol=1e-4)
    one = shapley(key, score, x, GRID, 1)
    assert not np.allclose(one.values.reshape(3, 6, 2), expected, atol=1e-2)


@pytest.mark.parametrize("orders", [1, 3, 4])
def test_shapley_values_add_up_whatever_the_orders(module, key, orders):
    score, x, *_ = polynomial(3)
    found = module("baselines.shapley_parts").shapley_parts(key, score, x, GRID, orders)
    assert found.calls == orders * 5 + 2
    assert np.allclose(found.base, 2.0)
    assert np.allclose(found.base + found.sums(), score(x), atol=1e-4)


def test_the_fit_is_that_of_weighted_least_squares(module):
    """scikit-learn's ridge on the same masks and weights."""
    from sklearn.linear_model import Ridge

    lime, rng = module("baselines.lime_parts"), np.random.default_rng(0)
    shown = rng.random((2, 9, 6)) < 0.5
    scores = rng.normal(size=(2, 9, 3)).astype(np.float32)
    values, base = lime._fit(shown, scores, 0.25, 1.0)
    for b in range(2):
        weight = np.exp(-(((1 - np.sqrt(shown[b].mean(axis=1))) / 0.25) ** 2))
        ridge = Ridge(alpha=1.0).fit(shown[b].astype(float), scores[b], weight)
        assert np.allclose(values[b], ridge.coef_.T, atol=1e-4)
        assert np.allclose(base[b], ridge.intercept_, atol=1e-4)


def fitted(names, values):
    """Untrained models of 16 x 16 images, and images."""
    cnn, rng = CNN(len(names), channels=(4, 8), hidden=(8,)), np.random.default_rng(0)
    x = rng.normal(size=(12, 16, 16, 1)).astype(np.float32)
    variables = jax.jit(cnn.init)(jax.random.key(0), x[:1])
    # Untrained scores differ too little to be told from rounding.
    variables = jax.tree.map(lambda a: 2 * a, variables)
    centre, spread = ((2.0, -1.0), (3.0, 0.5)) if values else ((0.0,) * 3, (1.0,) * 3)
    kinds = ((), names) if values else (names, ())
    backbone = ImageBackbone(cnn, variables, x.shape[1:], *kinds, centre, spread)
    model = SumOfParts(
        cnn_backbone(cnn, variables),
        len(names),
        num_groups=5,
        keep=0.25,
        encoder="copy",
        standardise=True,
        generator_scale=1.0,
    )
    target = rng.integers(0, 3, 12)
    if values:
        target = rng.normal(size=(12, 2)).astype(np.float32)
    parts = None if values else x[..., 0] > 0
    sop = ImageSOP(model, jax.jit(model.init)(jax.random.key(1), x), backbone)
    return sop, Images(x, target, parts)


@pytest.fixture(scope="module")
def classifier():
    return fitted(("a", "b", "c"), values=False)


@pytest.fixture(scope="module")
def regression():
    return fitted(("u", "v"), values=True)


@pytest.mark.parametrize("kind", ["classifier", "regression"])
def test_all_methods_are_judged_alike(module, request, monkeypatch, key, kind):
    sop, images = request.getfixturevalue(kind)
    maps, judges = module("part_maps"), module("part_measures")
    explained = maps.explain(sop, images)
    assert np.allclose(explained.scores, score_images(sop.backbone, images.x))
    assert np.allclose(explained.score(images.x), explained.scores, atol=1e-5)
    found = maps.attributions(explained, key, [maps.Budget(2, 2)])
    calls = [one.calls for one in found.values()]
    assert calls == [6, 1, 16, 8, 8, 0]
    judged, score = [], judges.score_cuts
    monkeypatch.setattr(
        judges, "score_cuts", lambda *a: judged.append(a[1]) or score(*a)
    )
    measures, models, kept, curves = judges.measure(sop, explained, found)
    outputs = 1 if kind == "classifier" else 2
    sizes = kept["Sum-of-Parts"].sum(axis=(2, 3))
    assert sizes.shape == (12, outputs) and 16 <= sizes.min() and sizes.max() < 64
    cuts = [shown for shown in judged if shown.shape[2] == 2]
    assert len(cuts) == len(found)
    assert all((cut[:, :, 1].sum(axis=(2, 3)) == 16).all() for cut in cuts)
    for name, cut in kept.items():
        assert (cut.sum(axis=(2, 3)) == sizes).all(), name
        assert np.isclose(curves[name][-1], models["backbone"], atol=1e-5), name
    # Complete by construction: Sum-of-Parts of itself, and Shapley of the backbone.
    for name in ("Sum-of-Parts", "SHAP, 8 calls"):
        assert measures[name]["based"] < 1e-6, name
    assert "based" not in measures["gradient"]


@pytest.mark.parametrize("name", ["insertion", "deletion"])
def test_areas_are_those_of_the_fair_protocol(module, classifier, key, name):
    sop, images = classifier
    maps, judges = module("part_maps"), module("part_measures")
    explained = maps.explain(sop, images)
    found = maps.attributions(explained, key, [])["gradient"]
    order = maps.importance(explained, found)
    scores = judges.follow(explained, order)[name == "deletion"]
    # Ten steps do not divide 64 parts evenly, as little as in the fair protocol.
    curve = getattr(explain, name)(
        explained.score,
        images.x,
        order[:, 0],
        target=explained.labels[:, 0],
        steps=judges.STEPS,
    )
    found = judges.area(explained, scores)
    assert found == pytest.approx(float(curve.area.mean()), abs=1e-5)


def test_importance_is_of_the_output_explained(module, regression):
    sop, images = regression
    maps = module("part_maps")
    explained = maps.explain(sop, images)
    # In a regression the sign does not count.
    values = np.array([-1, 1]) * (np.arange(2) + np.arange(16).reshape(1, 4, 4, 1))
    values = np.broadcast_to(values, (12, 4, 4, 2))
    of = maps.importance(explained, maps.Attributions(values, None, 0))
    assert of.shape == (12, 2, 8, 8)
    assert of[0, 1, 0, 0] == 1 and of[0, 0, 7, 7] == 15 and of[0, 0, 1, 1] == 0
    counts = np.full((12, 2), 4)
    shown = np.asarray(maps.top(of, counts))
    assert (shown.sum(axis=(2, 3)) == 4).all() and shown[0, 0, 6:, 6:].all()


def test_pictures_of_an_image_of_each_class_and_of_the_shares(
    module, monkeypatch, classifier, key
):
    sop, images = classifier
    maps, pictures = module("part_maps"), module("part_pictures")
    explained = maps.explain(sop, images)
    found = maps.attributions(explained, key, [])
    _, models, kept, curves = module("part_measures").measure(sop, explained, found)
    monkeypatch.setattr(pictures, "SHOWN", 1)
    figure = pictures.draw_cuts(explained, kept, ("a", "b", "c"))
    drawn = len(set(explained.labels[:, 0]))
    assert len(figure.axes) == drawn * (1 + 1 + 1 + 2)
    total = explained.output.prediction[0, explained.labels[0, 0]]
    bars = figure.axes[2].patches
    assert len(bars) == 3  # of the strongest group, of the rest, and of the sum
    assert bars[-1].get_height() == pytest.approx(total, abs=1e-5)
    curves = {"x": {name: [curve] for name, curve in curves.items()}}
    figure = pictures.draw_shares(curves, {"x": models}, {"x": "Accuracy"})
    assert png(figure)[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "shape"], "no image data set 'shape'"),
        (["--data", "mnist"], "mnist"),
        (["--images", "0"], "expected a number from 1 on"),
    ],
)
def test_mistakes_end_before_the_work(
    module, monkeypatch, capsys, tmp_path, words, message
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["sop_images.py", *words])
    with pytest.raises(SystemExit) as stop:
        module("sop_images").main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
