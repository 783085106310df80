"""Writes tests/golden/sparsemax.npz with the PyPI package entmax.

Command: pip install torch entmax && python experiments/golden_sparsemax.py
Time: seconds.

Values of entmax 1.3 in float64, and gradients of their product with a fixed vector.
Inputs are stored as whole numbers, in units of ``scale / 64``, so that there are ties;
in the last row of each size every third score but the first is -inf.
"""

import argparse

import numpy as np
import torch
from entmax import sparsemax

ROWS = {1: 2, 2: 8, 20: 8, 197: 3, 1024: 2}
SCALES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="tests/golden/sparsemax.npz")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    arrays = {"scales": np.array(SCALES)}
    for n, rows in ROWS.items():
        z, cotangent = np.round(64 * rng.normal(size=(2, rows, n))).astype(np.int16)
        masked = np.zeros((rows, n), bool)
        masked[-1, 1::3] = True
        values, gradients = [], []
        for scale in SCALES:
            scores = np.where(masked, -np.inf, z * (scale / 64))
            leaf = torch.tensor(scores, requires_grad=True)
            y = sparsemax(leaf, dim=-1)
            (y * torch.tensor(cotangent / 64)).sum().backward()
            values.append(y.detach().numpy())
            gradients.append(leaf.grad.numpy())
        arrays |= {
            f"z_{n}": z,
            f"masked_{n}": masked,
            f"cotangent_{n}": cotangent,
            f"values_{n}": np.stack(values),
            f"gradients_{n}": np.stack(gradients),
        }
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
