"""Sparsemax against sorting, closed forms, optimality conditions and entmax."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from naejax.ops import sparsemax as module
from naejax.ops.sparsemax import METHODS, sparsemax

SIZES = (1, 2, 20, 197, 1024)
SCALES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e4)
# Written by `python experiments/golden_sparsemax.py` (entmax 1.3, torch 2.13).
GOLDEN = Path(__file__).parent / "golden" / "sparsemax.npz"

each_method = pytest.mark.parametrize("method", METHODS)
compiled = jax.jit(sparsemax, static_argnames=("axis", "method"))


@partial(jax.jit, static_argnames=("axis", "method"))
def value_and_pull(z, cotangent, axis=-1, method="newton"):
    """Weights, and the gradient of their product with ``cotangent``."""
    y, pull = jax.vjp(lambda z: sparsemax(z, axis, method), z)
    return y, pull(cotangent)[0]


def oracle(z):
    """The textbook algorithm in float64, one row at a time."""
    rows = []
    for row in np.asarray(z, np.float64).reshape(-1, z.shape[-1]):
        falling = np.sort(row)[::-1]
        sums = np.cumsum(falling)
        size = max(
            m for m in range(1, row.size + 1) if m * falling[m - 1] > sums[m - 1] - 1
        )
        rows.append(np.maximum(row - (sums[size - 1] - 1) / size, 0))
    return np.reshape(rows, z.shape)


def projector(y):
    """Jacobian of sparsemax at a row of weights: centring over the support."""
    support = (y > 0).astype(float)
    return np.diag(support) - np.outer(support, support) / support.sum()


def scores(n, scale, rows=5):
    """Normal scores; the second row has ties, the third masked entries."""
    rng = np.random.default_rng(n)
    z = rng.normal(size=(rows, n))
    z[1] = np.round(z[1])
    z[2, 1::2] = -np.inf
    return (scale * z).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "method"),
    [(n, "newton") for n in SIZES] + [(197, "newton_fixed"), (197, "sort")],
)
def test_float32_values_and_gradients_are_the_oracles(n, method):
    for scale in SCALES:
        z = scores(n, scale)
        cotangent = np.random.default_rng(1).normal(size=z.shape).astype(np.float32)
        expected = oracle(z)
        gradient = [projector(y) @ c for y, c in zip(expected, cotangent, strict=True)]
        y, pulled = map(np.asarray, value_and_pull(z, cotangent, method=method))
        assert y.dtype == pulled.dtype == np.float32
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(pulled, gradient, rtol=0, atol=1e-6)
        np.testing.assert_allclose(np.sum(y, -1), 1, rtol=0, atol=1e-6)
        assert ((y == 0) == (expected == 0)).all()
        assert (pulled[y == 0] == 0).all()


@each_method
@pytest.mark.parametrize("n", SIZES)
def test_float64_values_and_gradients_are_those_of_entmax(n, method):
    with np.load(GOLDEN) as golden, jax.enable_x64(True):
        units = np.where(golden[f"masked_{n}"], -np.inf, golden[f"z_{n}"])
        for i, scale in enumerate(golden["scales"]):
            y, pulled = value_and_pull(
                units * (scale / 64), golden[f"cotangent_{n}"] / 64, method=method
            )
            assert y.dtype == pulled.dtype == np.float64
            expected, gradient = golden[f"values_{n}"][i], golden[f"gradients_{n}"][i]
            np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
            np.testing.assert_allclose(pulled, gradient, rtol=0, atol=1e-12)


@each_method
@pytest.mark.parametrize("scale", SCALES)
def test_optimality_conditions(method, scale):
    z = scores(20, scale, rows=100)
    y = np.asarray(compiled(z, method=method))
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(-1), 1, atol=1e-6)
    # One threshold per row: z - y equals it on the support and lies below elsewhere.
    rest = z - y
    tau = rest.max(-1, where=y > 0, initial=-np.inf, keepdims=True)
    np.testing.assert_allclose(
        rest[y > 0], np.broadcast_to(tau, z.shape)[y > 0], rtol=3e-7, atol=1e-6
    )
    assert (z <= np.where(y > 0, np.inf, tau + 1e-6)).all()


@each_method
def test_closed_forms(method):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 2)).astype(np.float32)
    first = np.clip((z[:, 0] - z[:, 1] + 1) / 2, 0, 1)
    y = compiled(z, method=method)
    np.testing.assert_allclose(y, np.stack([first, 1 - first], 1), atol=1e-6)
    equal = compiled(np.full(197, 7, np.float32), method=method)
    np.testing.assert_allclose(equal, 1 / 197, rtol=1e-6)
    winner = np.array([0, 5, 3.9, -1e4], np.float32)
    assert compiled(winner, method=method).tolist() == [0, 1, 0, 0]
    simplex = rng.dirichlet(np.ones(9), 50).astype(np.float32)
    np.testing.assert_allclose(compiled(simplex, method=method), simplex, atol=1e-6)


@each_method
def test_shifts_change_nothing_and_permutations_permute(method):
    z = np.round(8 * scores(20, 1.0, rows=30)) / 8
    y = np.asarray(compiled(z, method=method))
    np.testing.assert_allclose(compiled(z + 1024, method=method), y, atol=1e-7)
    order = np.random.default_rng(0).permutation(20)
    permuted = compiled(z[:, order], method=method)
    np.testing.assert_allclose(permuted, y[:, order], atol=2e-7)


@each_method
def test_derivatives_agree_with_finite_differences(method):
    with jax.enable_x64(True):
        z, weights = np.random.default_rng(0).normal(size=(2, 4, 7))

        @jax.jit
        def loss(z):
            return jnp.sin(sparsemax(z, method=method) * weights).sum()

        modes = ["fwd", "rev"]
        jax.test_util.check_grads(loss, (z,), order=2, modes=modes, eps=1e-6)


@each_method
def test_second_derivatives_in_closed_form(method):
    rng = np.random.default_rng(0)
    z = rng.normal(size=12).astype(np.float32)
    matrix = rng.normal(size=(12, 12)).astype(np.float32)

    def loss(z):
        y = sparsemax(z, method=method)
        return y @ matrix @ y

    centre = projector(oracle(z))
    assert 1 < (np.diag(centre) > 0).sum() < 12
    expected = centre @ (matrix + matrix.T) @ centre
    np.testing.assert_allclose(jax.jit(jax.hessian(loss))(z), expected, atol=1e-5)
    reverse = jax.jit(jax.jacrev(jax.grad(loss)))(z)
    np.testing.assert_allclose(reverse, expected, atol=1e-5)


@each_method
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_axis(method, axis):
    z, cotangent = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    got = value_and_pull(z, cotangent, axis, method)
    last = value_and_pull(
        np.moveaxis(z, axis, -1), np.moveaxis(cotangent, axis, -1), -1, method
    )
    for a, b in zip(got, last, strict=True):
        np.testing.assert_allclose(a, np.moveaxis(b, -1, axis), atol=1e-7)


@each_method
def test_vmap_is_a_loop(method):
    # Rows of one batch need different numbers of Newton steps.
    z, cotangent = np.random.default_rng(0).normal(size=(2, 8, 20)).astype(np.float32)
    z *= np.logspace(-3, 2, 8, dtype=np.float32)[:, None]
    mapped = jax.jit(jax.vmap(lambda *row: value_and_pull(*row, method=method)))
    loop = [
        value_and_pull(*row, method=method) for row in zip(z, cotangent, strict=True)
    ]
    for a, b in zip(mapped(z, cotangent), zip(*loop, strict=True), strict=True):
        np.testing.assert_allclose(a, np.stack(b), atol=1e-7)


@each_method
def test_masked_scores_are_as_if_absent(method):
    kept = np.arange(20) % 3 != 1
    z, cotangent = np.random.default_rng(0).normal(size=(2, 9, 20)).astype(np.float32)
    masked = np.where(kept, z, -np.inf).astype(np.float32)
    y, pulled = map(np.asarray, value_and_pull(masked, cotangent, method=method))
    absent = value_and_pull(z[:, kept], cotangent[:, kept], method=method)
    np.testing.assert_allclose(y[:, kept], absent[0], atol=1e-7)
    np.testing.assert_allclose(pulled[:, kept], absent[1], atol=1e-6)
    assert (y[:, ~kept] == 0).all()
    assert (pulled[:, ~kept] == 0).all()


@each_method
def test_rows_without_a_largest_score(method):
    z = np.array([[-np.inf] * 3, [0, np.nan, 1], [0.5, 0, -2]], np.float32)
    cotangent = np.array([[1, 2, 3]] * 3, np.float32)
    y, pulled = value_and_pull(z, cotangent, method=method)
    np.testing.assert_allclose(y, [[0] * 3, [np.nan] * 3, [0.75, 0.25, 0]], atol=1e-7)
    np.testing.assert_allclose(pulled, [[0] * 3, [np.nan] * 3, [-0.5, 0.5, 0]])
    empty = value_and_pull(*np.zeros((2, 3, 0), np.float32), method=method)
    assert [a.shape for a in empty] == [(3, 0)] * 2


@each_method
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_rounds_the_result_only(method, dtype):
    z, cotangent = np.random.default_rng(0).normal(size=(2, 20, 197)).astype(dtype)
    y, pulled = value_and_pull(z, cotangent, method=method)
    assert y.dtype == pulled.dtype == dtype
    wide = value_and_pull(
        z.astype(np.float32), cotangent.astype(np.float32), method=method
    )
    for a, b in zip((y, pulled), wide, strict=True):
        assert (np.asarray(a) == np.asarray(b.astype(dtype))).all()


def slow_rows(levels):
    """A row from which each Newton step drops only the lower half of the support."""
    row, gap = np.zeros(2), 1e-4
    for _ in range(levels):
        tau = (row.sum() - 1) / row.size
        row = np.concatenate([row, np.full(row.size, tau - gap)])
        gap *= 1.2
    return row


def test_newton_takes_the_steps_it_needs_and_fixed_its_twelve():
    with jax.enable_x64(True):
        for levels, exact in ((8, True), (14, False)):
            row = slow_rows(levels)
            assert row.min() > -1
            expected = oracle(row)
            np.testing.assert_allclose(compiled(row), expected, atol=1e-12)
            error = abs(compiled(row, method="newton_fixed") - expected).max()
            assert (error < 1e-12) == exact


def test_programs_have_the_loops_they_claim():
    def program(method):
        return str(
            jax.make_jaxpr(lambda z: sparsemax(z, -1, method))(jnp.zeros((3, 4)))
        )

    assert "while[" in program("newton")
    for method in ("newton", "newton_fixed"):
        assert "sort[" not in program(method)
    for method in ("newton_fixed", "sort"):
        assert "while[" not in program(method)
    assert "sort[" in program("sort")


def test_one_trace_for_all_calls_of_a_shape(monkeypatch, key):
    steps, traces = [], []
    original = module._newton_step
    monkeypatch.setattr(
        module, "_newton_step", lambda *args: steps.append(1) or original(*args)
    )
    z = jax.random.normal(key, (3, 23))
    sparsemax(z)
    first = len(steps)
    assert first > 0

    @jax.jit
    def compiled(z):
        traces.append(1)
        return sparsemax(z)

    for _ in range(3):
        sparsemax(z)
        compiled(z)
    assert (len(steps), len(traces)) == (first, 1)


def test_sharded_rows_need_no_communication_inside_shard_map(key):
    mesh = jax.make_mesh((4,), ("batch",))
    spec = jax.sharding.PartitionSpec("batch")
    z = jax.random.normal(key, (8, 20))
    rows = jax.device_put(z, jax.sharding.NamedSharding(mesh, spec))
    for method in METHODS:
        local = jax.jit(
            jax.shard_map(
                lambda z, method=method: sparsemax(z, -1, method),
                mesh=mesh,
                in_specs=spec,
                out_specs=spec,
            )
        )
        np.testing.assert_allclose(local(rows), oracle(z), atol=1e-6)
        assert "all-reduce" not in local.lower(rows).compile().as_text()
    fixed = jax.jit(lambda z: sparsemax(z, -1, "newton_fixed"))
    assert "all-reduce" not in fixed.lower(rows).compile().as_text()


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="method is 'bisect', expected one of") as info:
        sparsemax(jnp.zeros(3), method="bisect")
    assert "\n" not in str(info.value)
