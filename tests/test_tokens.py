"""Sums over the parts of texts: closed forms, and loops over seeded random texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from naejax.ops.grouping import strided_groups
from naejax.ops.tokens import (
    PART,
    PRESENT,
    TOKEN,
    TYPE,
    pool_positions,
    present_parts,
    spread_to_positions,
    strided_candidates,
)

B, L, P, D, G = 3, 11, 6, 4, 5
pool = jax.jit(pool_positions, static_argnums=2)
candidates = jax.jit(strided_candidates, static_argnums=(1, 2))


@pytest.fixture(params=range(3))
def rng(request):
    return np.random.default_rng(request.param)


def draw_parts(rng):
    """Parts as texts have them, but also gaps, other orders, and parts beyond P."""
    return rng.integers(-1, P + 2, (B, L)).astype(np.int32)


def test_channels():
    assert (TOKEN, TYPE, PRESENT, PART) == (0, 1, 2, 3)


def test_pooling_is_the_mean_of_a_loop(rng):
    values, parts = rng.normal(size=(B, L, D)).astype(np.float32), draw_parts(rng)
    expected = np.zeros((B, P, D))
    for b in range(B):
        for p in range(P):
            if (parts[b] == p).any():
                expected[b, p] = values[b, parts[b] == p].mean(axis=0)
    np.testing.assert_allclose(pool(values, parts, P), expected, atol=1e-6)
    there = jax.jit(present_parts, static_argnums=1)(parts, P)
    assert there.dtype == bool
    np.testing.assert_array_equal(there, (expected != 0).any(axis=-1))


def test_pooling_has_a_gradient(rng):
    values, parts = rng.normal(size=(B, L, D)).astype(np.float32), draw_parts(rng)

    def loss(values):
        return jnp.square(pool(values, parts, P)).sum()

    check_grads(loss, (values,), 1, ("rev",), eps=1e-2, atol=1e-2)
    gradient = np.asarray(jax.jit(jax.grad(loss))(values))
    nowhere = (parts < 0) | (parts >= P)
    assert nowhere.any() and (gradient[nowhere] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, bool])
def test_spreading_is_a_look_up(rng, dtype):
    values, parts = rng.integers(2, size=(B, G, P)).astype(dtype), draw_parts(rng)
    expected = np.zeros((B, G, L), dtype)
    for b, g, position in np.ndindex(B, G, L):
        if 0 <= parts[b, position] < P:
            expected[b, g, position] = values[b, g, parts[b, position]]
    found = jax.jit(spread_to_positions)(values, parts)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_pooling_undoes_spreading(rng):
    values, parts = rng.normal(size=(B, G, P)).astype(np.float32), draw_parts(rng)
    spread = jax.jit(spread_to_positions)(values, parts).swapaxes(1, 2)
    back = np.asarray(pool(spread, parts, P)).swapaxes(1, 2)
    there = np.asarray(present_parts(parts, P))[:, None]
    np.testing.assert_allclose(back, np.where(there, values, 0), atol=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("num_groups", [1, 7, 20])
def test_candidates_are_those_of_an_image_of_as_many_parts(heads, num_groups):
    counts = np.arange(60)
    head, part = map(np.asarray, candidates(counts, heads, num_groups))
    assert head.shape == part.shape == (60, num_groups)
    for n, h, p in zip(np.maximum(counts, 1).tolist(), head, part, strict=True):
        assert (0 <= p).all() and (p < n).all() and (0 <= h).all() and (h < heads).all()
        index = (h * n + p).tolist()
        if heads * n >= num_groups:
            assert index == strided_groups(heads * n, num_groups).tolist()
        else:
            assert set(index) == set(range(heads * n)) and index == sorted(index)


def test_vmap_is_a_loop(rng):
    counts = rng.integers(9, size=8)
    head, part = candidates(counts, 2, 5)
    for i, count in enumerate(counts):
        alone = candidates(counts[i : i + 1], 2, 5)
        np.testing.assert_array_equal(alone[0][0], head[i])
        np.testing.assert_array_equal(alone[1][0], part[i], err_msg=str(count))
