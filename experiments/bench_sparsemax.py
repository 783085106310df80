"""Time of sparsemax beside softmax, a sort and Optax's projection.

Command: python experiments/bench_sparsemax.py [--quick]
Time: about 30 seconds on two cores.
Expected: at 4096 x 197 "newton" at least 8 times faster than "sort" and than Optax
(25 to 40 times measured).

All contenders take turns in one run, so that a drift of the machine hits all; the table
holds the median and the minimum of milliseconds, and medians over that of "newton".
"""

import argparse
import time

import jax
import numpy as np
import optax

from naejax.ops.sparsemax import METHODS, sparsemax

SHAPES = ((16384, 20), (4096, 197), (2048, 1024))


def contenders():
    """Compiled functions from scores (rows, n) to weights of the same shape."""
    functions = {"softmax": jax.nn.softmax}
    for method in METHODS:
        functions[method] = lambda z, method=method: sparsemax(z, method=method)
    functions["optax"] = jax.vmap(optax.projections.projection_simplex)
    return {name: jax.jit(function) for name, function in functions.items()}


def measure(shape, repeats):
    """Seconds of every contender in every round, (repeats,) each."""
    z = jax.random.normal(jax.random.key(0), shape)
    functions = contenders()
    seconds = {name: [] for name in functions}
    expected = np.asarray(functions["sort"](z))
    for name, function in functions.items():
        y = np.asarray(function(z))
        if name != "softmax":
            np.testing.assert_allclose(y, expected, atol=1e-6)
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function(z).block_until_ready()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds")
    options = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}")
    print(f"{'rows x n':12} {'':12} {'median':>8} {'min':>8} {'over newton':>12}")
    for rows, n in SHAPES:
        shape = (rows // 16, n) if options.quick else (rows, n)
        seconds = measure(shape, 5 if options.quick else 25)
        newton = np.median(seconds["newton"])
        for name, times in seconds.items():
            median = np.median(times)
            print(
                f"{shape[0]} x {n:<6} {name:12} {1e3 * median:8.2f} "
                f"{1e3 * min(times):8.2f} {median / newton:12.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
