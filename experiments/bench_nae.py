"""Training throughput of NAE at the authors' architecture, beside the machine's limit.

Command: python experiments/bench_nae.py [--authors CHECKOUT]
Time: about 2 minutes on two cores; 3 with --authors.
Score: on two cores about a third of the measured matrix-product ceiling.

Architecture: K 32, k 2, four blocks of 64, batches of 256. GFLOP count the matrix
products of forward and backward passes alone. --authors takes a checkout of the
authors' PyTorch code (torch must be installed) and times its training step on the same
rows in the same run.
"""

import argparse
import itertools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from naejax import NAE, losses
from naejax.train.batch import Batch
from naejax.train.chunk import make_run_chunk
from naejax.train.optimizer import default_optimizer
from naejax.train.step import init_state, make_train_step

BATCH = 256


def median_seconds(run, repeats):
    """Median wall time of a call that blocks until it is done."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def ceiling(size=2048):
    """GFLOP/s of one large float32 matrix product."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = median_seconds(lambda: product(a).block_until_ready(), 7)
    return 2 * size**3 / seconds / 1e9


def step_flops(model, features):
    """Floating-point operations in the matrix products of one training step."""
    widths = (1, *model.hidden)
    dense = sum(i * o for i, o in itertools.pairwise(widths))
    own = features * (dense + widths[-1] * model.num_experts * model.num_outputs)
    inputs, outputs = features * widths[-1], features * model.num_experts
    rank = model.gate_rank
    gate = inputs * outputs if rank is None else rank * (inputs + outputs)
    return 3 * 2 * BATCH * (own + gate)  # backward costs two products per product


class Bench:
    """A compiled epoch of training on synthetic rows."""

    def __init__(self, features, rows, gate_rank=None):
        self.model = NAE(gate_rank=gate_rank)
        self.steps = rows // BATCH
        x = jax.random.normal(jax.random.key(1), (rows, features))
        self.data = Batch(x, jnp.sin(x).sum(1), jnp.ones(rows))
        optimizer, _ = default_optimizer(1e-3, 100 * self.steps)
        train_step = make_train_step(
            self.model, losses.squared, optimizer, {"expert_variance": 0.1}
        )
        self.traces = 0

        def counted(state, batch):
            self.traces += 1
            return train_step(state, batch)

        self.run_chunk = make_run_chunk(counted)
        variables = jax.jit(self.model.init)(jax.random.key(0), x[:1])
        self.state = init_state(variables, optimizer, seed=0)
        self.order = np.random.default_rng(0).permutation(rows).astype(np.int32)
        start = time.perf_counter()
        self.epoch()
        self.first = time.perf_counter() - start

    def epoch(self):
        rows = self.order[: self.steps * BATCH].reshape(self.steps, BATCH)
        self.state, metrics = self.run_chunk(self.state, self.data, rows)
        jax.block_until_ready(metrics)

    def measure(self, repeats=7):
        seconds = median_seconds(self.epoch, repeats)
        return {
            "ms/step": 1e3 * seconds / self.steps,
            "rows/s": self.steps * BATCH / seconds,
            "GFLOP/s": self.steps
            * step_flops(self.model, self.data.x.shape[1])
            / seconds
            / 1e9,
            "compile s": self.first - seconds,
            "traces": self.traces,
        }


def authors_step(checkout, features):
    """One training step of the authors' PyTorch code on random rows, as a function."""
    sys.path.insert(0, f"{checkout}/src")
    import torch
    from model import NAE as Original

    torch.manual_seed(0)
    model = Original("regression", features, 64, 4, 1, C=32, k=2, var_penalty=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-8)
    x, y = torch.randn(BATCH, features), torch.randn(BATCH)

    def step():
        optimizer.zero_grad()
        loss, _ = model(x, y)
        loss.backward()
        optimizer.step()

    return step


def show(label, numbers, limit):
    """Prints one line."""
    share = numbers["GFLOP/s"] / limit
    print(
        f"{label:28} {numbers['ms/step']:9.2f} {numbers['rows/s']:10,.0f} "
        f"{numbers['GFLOP/s']:9.1f} {share:8.0%} {numbers['compile s']:9.1f} "
        f"{numbers['traces']:6d}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--authors", help="checkout of the authors' PyTorch code")
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds")
    options = parser.parse_args()
    california = 14_448 // (8 if options.quick else 1)
    limit = ceiling()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {limit:.0f} GFLOP/s")
    print(
        f"{'':28} {'ms/step':>9} {'rows/s':>10} {'GFLOP/s':>9} {'ceiling':>8} "
        f"{'compile s':>9} {'traces':>6}"
    )
    bench = Bench(8, california)
    # The machine is shared: the ceiling is measured before and after, the mean counts.
    numbers = bench.measure(1 if options.quick else 7)
    limit = (limit + ceiling()) / 2
    show(f"F 8, {california} rows", numbers, limit)
    if options.authors:
        step = authors_step(options.authors, 8)
        step()
        ratios = []
        for _ in range(3):  # in turn, so that a drift of the machine hits both
            theirs = median_seconds(step, 10)
            ratios.append(1e3 * theirs / bench.measure(3)["ms/step"])
            print(f"  authors' step {1e3 * theirs:.1f} ms, ratio {ratios[-1]:.1f}")
        print(f"  training throughput over the authors': {np.median(ratios):.1f}x")
    for rank in (None, 16):
        for features in (32,) if options.quick else (8, 32, 128, 512):
            numbers = Bench(features, 8 * BATCH, rank).measure(3)
            show(f"F {features}, gate {rank or 'full'}", numbers, limit)
    for rows in (1024,) if options.quick else (2048, 8192, 32_768, 131_072):
        show(f"F 8, {rows} rows", Bench(8, rows).measure(3), limit)


if __name__ == "__main__":
    main()
