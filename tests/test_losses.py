"""Losses against scikit-learn, closed-form gradients, finite differences, extremes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from sklearn import metrics

from naejax.objectives import losses

EXTREMES = [-1e4, -1e3, -100.0, -20.0, -1.0, 0.0, 1.0, 20.0, 100.0, 1e3, 1e4]
LOSSES = {name: jax.jit(loss) for name, loss in losses.LOSSES.items()}
SETTINGS = {
    "huber_2": partial(losses.huber, delta=2.0),
    "quantile_9": partial(losses.quantile, q=0.9),
    "tweedie_12": partial(losses.tweedie, power=1.2),
    "tweedie_1999": partial(losses.tweedie, power=1.999),
}
ELEMENTWISE = LOSSES | {name: jax.jit(loss) for name, loss in SETTINGS.items()}
softmax_cross_entropy = ELEMENTWISE.pop("softmax_cross_entropy")
DEVIANCES = [n for n in ELEMENTWISE if n.startswith(("poisson", "gamma", "tweedie"))]


def targets(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random targets in the loss's domain, with zeros where they are allowed."""
    rng = np.random.default_rng(1)
    if name == "logistic":
        return rng.integers(0, 2, shape).astype(np.float32)
    if name.startswith("gamma"):
        return rng.gamma(2.0, 1.0, shape).astype(np.float32)
    if name.startswith(("poisson", "tweedie")):
        return rng.poisson(1.5, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def scores(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("squared", metrics.mean_squared_error),
        ("absolute", metrics.mean_absolute_error),
        ("quantile", partial(metrics.mean_pinball_loss, alpha=0.5)),
        ("quantile_9", partial(metrics.mean_pinball_loss, alpha=0.9)),
    ],
)
def test_regression_losses_equal_scikit_learn(name, metric):
    score, target = scores((50, 2)), targets(name, (50, 2))
    value = ELEMENTWISE[name](score, target).mean()
    np.testing.assert_allclose(value, metric(target, score), rtol=1e-5)


def test_huber_is_quadratic_then_linear():
    error = np.array([0.0, 0.5, -2.0, 2.0, 5.0, -5.0], np.float32)
    value = ELEMENTWISE["huber_2"](np.zeros((6, 1), np.float32), error)
    np.testing.assert_allclose(value, [0.0, 0.125, 2.0, 2.0, 8.0, 8.0])


def test_classification_losses_equal_scikit_learn():
    score, label = scores((50, 1)), targets("logistic", (50,))
    probability = 1 / (1 + np.exp(-score[:, 0].astype(float)))
    np.testing.assert_allclose(
        LOSSES["logistic"](score, label).mean(),
        metrics.log_loss(label, probability),
        rtol=1e-5,
    )
    score, label = scores((50, 4)), np.arange(50) % 4
    odds = np.exp(score.astype(float))
    np.testing.assert_allclose(
        softmax_cross_entropy(score, label).mean(),
        metrics.log_loss(label, odds / odds.sum(1, keepdims=True)),
        rtol=1e-5,
    )


def test_two_class_softmax_is_logistic_of_the_difference():
    score, label = scores((50, 2)), np.arange(50) % 2
    np.testing.assert_allclose(
        softmax_cross_entropy(score, label),
        LOSSES["logistic"](score[:, 1:] - score[:, :1], label),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("poisson", metrics.mean_poisson_deviance),
        ("gamma", metrics.mean_gamma_deviance),
        ("tweedie", partial(metrics.mean_tweedie_deviance, power=1.5)),
        ("tweedie_12", partial(metrics.mean_tweedie_deviance, power=1.2)),
        ("tweedie_1999", partial(metrics.mean_tweedie_deviance, power=1.999)),
    ],
)
def test_deviances_equal_scikit_learn(name, metric):
    score, target = 2 * scores((50, 1)), targets(name, (50,))
    mean = np.exp(score[:, 0].astype(float))
    value = ELEMENTWISE[name](score, target).mean()
    np.testing.assert_allclose(2 * value, metric(target, mean), rtol=1e-5)


@pytest.mark.parametrize("name", DEVIANCES)
def test_deviance_is_zero_at_a_perfect_fit_and_quadratic_near_it(name):
    """``0.5 y^(2-p) r^2`` for mean ``y e^r``: no digits are lost to cancellation."""
    power = {"poisson": 1.0, "gamma": 2.0, "tweedie": 1.5, "tweedie_12": 1.2}
    loss = ELEMENTWISE[name]
    target = np.array([1e-6, 0.3, 1.0, 7.0, 1e4, 1e7])
    fit = np.log(target).astype(np.float32)[:, None]
    scale = target ** (2 - power.get(name, 1.999))
    # The score itself is rounded, at most by this.
    rounding = np.spacing(np.abs(fit[:, 0])) + 1e-7
    assert (np.abs(loss(fit, target)) <= scale * rounding**2).all()
    value = loss(fit + np.float32(0.01), target)
    np.testing.assert_allclose(value, 0.5e-4 * scale, rtol=0.01)


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("squared", lambda s, y: 2 * (s - y)),
        ("absolute", lambda s, y: np.sign(s - y)),
        ("huber_2", lambda s, y: np.clip(s - y, -2, 2)),
        ("quantile_9", lambda s, y: np.where(s > y, 0.1, -0.9)),
        ("logistic", lambda s, y: 1 / (1 + np.exp(-s)) - y),
        ("poisson", lambda s, y: np.exp(s) - y),
        ("gamma", lambda s, y: 1 - y / np.exp(s)),
        ("tweedie", lambda s, y: np.exp(0.5 * s) - y * np.exp(-0.5 * s)),
        ("tweedie_12", lambda s, y: np.exp(0.8 * s) - y * np.exp(-0.2 * s)),
    ],
)
def test_gradients_are_those_of_the_likelihood(name, gradient):
    score, target = 3 * scores((50, 2)), targets(name, (50, 2))
    grad = jax.grad(lambda s: ELEMENTWISE[name](s, target).sum())(score)
    expected = gradient(score.astype(float), target) / 2
    np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients_equal_finite_differences(name):
    score, target = scores((50, 2)).astype(float), targets(name, (50, 2))
    with jax.enable_x64(True):
        loss = partial(ELEMENTWISE[name], target=target)
        assert loss(score).dtype == jnp.float64
        check_grads(loss, (score,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


def test_softmax_gradient_is_probability_minus_one_hot():
    score, label = scores((50, 4)), np.arange(50) % 4
    grad = jax.grad(lambda s: softmax_cross_entropy(s, label).sum())(score)
    expected = jax.nn.softmax(score) - jax.nn.one_hot(label, 4)
    np.testing.assert_allclose(grad, expected, atol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_extreme_scores_give_finite_values_and_gradients(name):
    target = np.array([0.0, 1e-20, 0.3, 1.0] + [7.0, 1e6] * (name != "logistic"))
    score, target = np.meshgrid(np.array(EXTREMES, np.float32), target)
    score = score.reshape(-1, 1)

    def total(s):
        value = ELEMENTWISE[name](s, target.ravel())
        return value.sum(), value

    grad, value = jax.grad(total, has_aux=True)(score)
    assert np.isfinite(value).all() and (value >= 0).all()
    assert np.isfinite(grad).all() and np.isfinite(np.square(grad)).all()
    if name in DEVIANCES:  # no gradient may point away from the fit
        fit = np.log(np.maximum(target, 1e-37)).reshape(-1, 1)
        assert (np.sign(score - fit) * grad >= 0)[(target > 0).ravel()].all()
        if name != "gamma":  # whose targets are positive
            assert (grad[(target == 0).ravel()] >= 0).all()


@pytest.mark.parametrize("score", [1e3, 1e4, -1e4])
def test_extreme_values_are_the_limits(score):
    score = np.full((1, 1), score, np.float32)
    size = abs(score[0, 0])
    wrong = (score[0] < 0).astype(float)
    assert LOSSES["logistic"](score, wrong) == size
    assert LOSSES["logistic"](score, 1 - wrong) == 0
    two = np.concatenate([score, np.zeros_like(score)], 1)
    assert softmax_cross_entropy(two, wrong.astype(int)) == 0
    assert softmax_cross_entropy(two, 1 - wrong.astype(int)) == size
    assert LOSSES["squared"](score, np.zeros(1)) == size**2
    assert LOSSES["poisson"](-abs(score), np.zeros(1)) == 0
    assert LOSSES["poisson"](-abs(score), np.ones(1)) == size - 1
    assert LOSSES["gamma"](abs(score), np.ones(1)) == size - 1


@pytest.mark.parametrize("name", DEVIANCES)
def test_negative_targets_give_nan(name):
    assert jnp.isnan(ELEMENTWISE[name](np.zeros((1, 1)), np.array([-1.0]))).all()


@pytest.mark.parametrize("name", DEVIANCES)
def test_tangent_continues_value_and_gradient(name):
    """Across the cap on exponents nothing jumps, and the loss stays convex."""
    score = np.linspace(-80, 80, 2001, dtype=np.float32)
    loss = ELEMENTWISE[name]
    grad = jax.vmap(jax.grad(lambda s: loss(s[None, None], jnp.ones(1))[0]))(score)
    assert (np.diff(grad) >= -1e-6 * np.abs(grad[1:])).all()
    # A step of 0.08 changes no term of the gradient by more than 8.4 %.
    far = np.abs(score[1:]) > 5
    assert (np.abs(np.diff(grad)) <= 0.09 * np.abs(grad[1:]))[far].all()


@pytest.mark.parametrize(
    ("power", "limit"), [(1 + 1e-4, "poisson"), (2 - 1e-4, "gamma")]
)
def test_tweedie_lies_between_poisson_and_gamma(power, limit):
    score, target = scores((50, 1)), targets("gamma", (50,))
    np.testing.assert_allclose(
        losses.tweedie(score, target, power=power),
        LOSSES[limit](score, target),
        rtol=2e-3,
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_target_may_be_a_vector_or_a_column_and_outputs_are_averaged(name):
    loss = ELEMENTWISE[name]
    score, target = scores((5, 2)), targets(name, (5, 2))
    each = [loss(score[:, [c]], target[:, c]) for c in range(2)]
    assert each[0].shape == (5,)
    column = loss(score[:, :1], target[:, :1])
    np.testing.assert_array_equal(column, each[0])
    np.testing.assert_allclose(loss(score, target), sum(each) / 2, rtol=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize(
    ("score", "target"),
    [
        ((5,), (5,)),
        ((5, 2), (2,)),
        ((5, 2), (5, 1)),
        ((5, 1), (1, 5)),
        ((5, 1), (4,)),
        ((5, 1), ()),
        ((5, 1), (5, 1, 1)),
        ((1, 5, 1), (5, 1)),
    ],
)
def test_wrong_shapes_are_refused_when_tracing(name, score, target):
    shapes = [jax.ShapeDtypeStruct(s, jnp.int32) for s in (score, target)]
    with pytest.raises(
        ValueError, match=r"^got a (score|target) of .*, expected .*; .*"
    ):
        jax.eval_shape(losses.LOSSES[name], *shapes)


@pytest.mark.parametrize("name", sorted(set(losses.LOSSES) - {"softmax_cross_entropy"}))
def test_one_target_for_two_outputs_is_refused(name):
    with pytest.raises(ValueError, match=r"\(5,\), expected \(5, 2\)"):
        losses.LOSSES[name](jnp.zeros((5, 2)), jnp.zeros(5))


def test_softmax_refuses_one_output_and_floating_labels():
    with pytest.raises(ValueError, match="C >= 2"):
        softmax_cross_entropy(np.zeros((3, 1)), np.zeros(3, int))
    with pytest.raises(ValueError, match="float32, expected class indices"):
        softmax_cross_entropy(np.zeros((3, 2)), np.zeros(3, np.float32))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_jit_vmap_and_eager_agree(name):
    loss = losses.LOSSES[name]
    if name == "softmax_cross_entropy":
        score, target = scores((3, 7, 4)), np.arange(21).reshape(3, 7) % 4
    else:
        score, target = scores((3, 7, 2)), targets(name, (3, 7, 2))
    loop = np.stack([loss(s, t) for s, t in zip(score, target, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(score, target), loop, rtol=1e-5)
    np.testing.assert_allclose(
        jax.jit(loss)(score[0], target[0]), loop[0], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", losses.LOSSES)
def test_bfloat16_is_computed_in_float32(name):
    outputs = 4 if name == "softmax_cross_entropy" else 1
    score = jnp.asarray(scores((9, outputs)), jnp.bfloat16)
    target = np.arange(9) % 4 if outputs == 4 else targets(name, (9,))
    value = LOSSES[name](score, target)
    assert value.dtype == jnp.float32
    expected = LOSSES[name](score.astype(jnp.float32), target)
    np.testing.assert_array_equal(value, expected)
    grad = jax.grad(lambda s: LOSSES[name](s, target).sum())(score)
    assert grad.dtype == jnp.bfloat16 and jnp.isfinite(grad).all()


@pytest.mark.parametrize(
    ("loss", "setting", "values"),
    [
        (losses.huber, "delta", [0.0, -1.0]),
        (losses.quantile, "q", [0.0, 1.0, 2.0]),
        (losses.tweedie, "power", [1.0, 2.0, 3.0]),
    ],
)
def test_hyperparameters_are_checked_and_may_be_traced(loss, setting, values):
    score, target = scores((4, 1)), targets("gamma", (4,))
    for value in values:
        with pytest.raises(ValueError, match=f"^got {setting}={value}; choose it"):
            loss(score, target, **{setting: value})
    swept = jax.vmap(lambda v: loss(score, target, **{setting: v}))
    allowed = np.array([0.25, 0.75]) + (setting == "power")
    expected = [loss(score, target, **{setting: v}) for v in allowed]
    np.testing.assert_allclose(swept(allowed), expected, rtol=1e-5, atol=1e-7)


def test_get_by_name():
    for name, loss in losses.LOSSES.items():
        assert losses.get(name) is loss and loss.__name__ == name
    custom = partial(losses.huber, delta=3.0)
    assert losses.get(custom) is custom
    for typo, name in {"squard": "squared", "Poisson": "poisson", "?": ""}.items():
        with pytest.raises(ValueError, match=f"did you mean '{name}"):
            losses.get(typo)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_inverse_link_gives_the_mean_that_minimises_the_loss(name):
    """At a constant score s, the loss of target ``inverse_link(s)`` is stationary."""
    outputs = 3 if name == "softmax_cross_entropy" else 1
    score = jnp.asarray(scores((1, outputs)))
    mean = losses.inverse_link(name)(score)
    if outputs == 3:
        np.testing.assert_allclose(mean.sum(), 1.0, rtol=1e-6)
        rows, target, weight = jnp.repeat(score, 3, 0), jnp.arange(3), mean[0]
    else:
        rows, target, weight = score, mean, jnp.ones(1)
    grad = jax.grad(lambda shift: weight @ LOSSES[name](rows + shift[None], target))(
        jnp.zeros(outputs)
    )
    np.testing.assert_allclose(grad, 0.0, atol=1e-6)
    assert mean.shape == score.shape


def test_inverse_link_of_functions():
    assert losses.inverse_link(losses.gamma) is jnp.exp
    assert losses.inverse_link(partial(losses.tweedie, power=1.1)) is jnp.exp
    with pytest.raises(ValueError, match="your own loss"):
        losses.inverse_link(lambda score, target: score[:, 0])
    with pytest.raises(ValueError, match="did you mean"):
        losses.inverse_link("logistc")
