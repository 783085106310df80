"""Chunks of masked examples: the same numbers, in bounded memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.models.backbones import from_function
from naejax.models.cnn import CNN, cnn_backbone, cosmogrid_cnn
from naejax.models.masking import masked_scores
from naejax.models.sop import SumOfParts


@pytest.mark.optimised
def test_memory_is_bounded_by_the_chunk():
    """Five times the groups need hardly more temporary memory than their results."""
    cnn, x = cosmogrid_cnn(), jnp.ones((2, 66, 66, 1))
    backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), x))

    def temporary(num_groups):
        model = SumOfParts(
            backbone, 2, num_groups=num_groups, chunk=16, encoder="shared"
        )
        variables = jax.eval_shape(model.init, jax.random.key(0), x)
        run = jax.jit(lambda v, x: model.apply(v, x).contributions)
        compiled = run.lower(variables, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(100) < 1.5 * temporary(20)


@pytest.mark.parametrize("chunk", [4, 7, 15, 100])
@pytest.mark.parametrize("kind", ["convolution", "product"])
def test_chunks_change_nothing(chunk, kind):
    """Convolutions unroll on CPUs, products loop on the device."""
    rng = np.random.default_rng(7)
    images = rng.normal(size=(3, 17, 12, 2)).astype(np.float32)
    if kind == "product":
        weight = rng.normal(size=(17 * 12 * 2, 4)).astype(np.float32)
        backbone = from_function(lambda w, x: x.reshape(len(x), -1) @ w, weight)
    else:
        cnn = CNN(4, channels=(5, 6), hidden=(7,))
        backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), images))
    masks = rng.uniform(size=(3, 5, 4, 3)).astype(np.float32)

    def scores(chunk):
        run = partial(masked_scores, backbone.apply, chunk=chunk)
        return jax.jit(run)(backbone.params, images, masks)[0]

    whole, chunked = scores(15), scores(chunk)
    np.testing.assert_allclose(chunked, whole, rtol=1e-5, atol=1e-5)
