"""One training on a streamed table, as one of two processes runs it."""

import sys

import numpy as np
from train_together import flat

from naejax.data.streamed_table import open_streamed
from naejax.runs.distributed import together
from naejax.settings import Settings
from naejax.tabular.streamed import fit_streamed

# Every process draws dropout of its own.
SETTINGS = Settings(
    epochs=2,
    batch_size=100,
    num_experts=2,
    hidden=(8,),
    gate_rank=4,
    num_knots=8,
    dropout=0.0,
)


def main(port: str, process: str, path: str, out: str) -> None:
    """Trains on the row groups of this process and leaves what came out of it."""
    with together(f"localhost:{port}", 2, int(process)):
        table = open_streamed(path, "y")
        fitted, result = fit_streamed(table, SETTINGS, progress=False)
        losses = [[row["loss"], row["validation"]] for row in result.history]
        np.savez(out, params=flat(result), losses=losses, std=fitted.encoder.target_std)


if __name__ == "__main__":
    main(*sys.argv[1:])
