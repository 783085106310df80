"""The memory of Sum-of-Parts, read off the compiled program."""

import jax
import jax.numpy as jnp

from naejax.models.cnn import cnn_backbone, cosmogrid_cnn
from naejax.models.sop import SumOfParts


def test_memory_is_bounded_by_the_chunk():
    """Five times the groups need hardly more temporary memory than their results."""
    cnn, x = cosmogrid_cnn(), jnp.ones((4, 66, 66, 1))
    backbone = cnn_backbone(cnn, cnn.init(jax.random.key(0), x))

    def temporary(num_groups):
        model = SumOfParts(
            backbone, 2, num_groups=num_groups, chunk=16, encoder="shared"
        )
        variables = jax.eval_shape(model.init, jax.random.key(0), x)
        run = jax.jit(lambda v, x: model.apply(v, x).contributions)
        compiled = run.lower(variables, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(100) < 1.5 * temporary(20)
