"""One training, as a process of several runs it, or one process with all devices."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from naejax import NAE, FitResult, SumOfParts, fit
from naejax.models.cnn import CNN, cnn_backbone
from naejax.runs.distributed import together
from naejax.train.processes import own_part


def train_nae(own: Callable[[Any], Any], **options: Any) -> FitResult:
    """Rows with weights, every penalty, and validation; the last batch is short."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(71, 2)).astype(np.float32)
    rows = x, (x[:, 0] * x[:, 1]).astype(np.float32), rng.uniform(size=71)
    check = tuple(a[:9] for a in rows)
    model = NAE(num_experts=4, top_k=2, hidden=(8,), dropout=0.0, expert_dropout=0.0)
    strengths = {"expert_variance": 0.1, "utilisation": 0.1, "concurvity": 0.1}
    variables = jax.jit(model.init)(jax.random.key(0), x)
    train = partial(fit, model, variables, own(rows), validation=own(check))
    return train(penalties=strengths, batch_size=16, epochs=20, **options)


def train_sop(own: Callable[[Any], Any], **options: Any) -> FitResult:
    """Small images around a backbone, with both penalties."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(21, 8, 8, 1)).astype(np.float32)
    rows = x, rng.integers(3, size=21)
    cnn = CNN(3, channels=(4, 8))
    backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(1), x))
    model = SumOfParts(backbone, num_outputs=3, num_groups=4, keep=0.25)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    train = partial(fit, model, variables, own(rows), validation=own(rows))
    strengths = {"coverage": 0.1, "diversity": 0.1}
    loss = "softmax_cross_entropy"
    return train(loss=loss, penalties=strengths, batch_size=8, epochs=3, **options)


TRAININGS = {"nae": train_nae, "sop": train_sop}


def flat(result: FitResult) -> np.ndarray:
    """All parameters in a row."""
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(result.variables)])


def main(port: str, process: str, name: str, backend: str, out: str) -> None:
    """Trains as one of two processes and leaves what came out of it."""
    with together(f"localhost:{port}", 2, int(process)):
        result = TRAININGS[name](own_part, backend=backend)
        losses = [[row["loss"], row["validation"]] for row in result.history]
        np.savez(out, params=flat(result), losses=losses, best=result.best_epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
