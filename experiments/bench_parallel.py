"""What many devices cost and bring: overhead, time between chunks, scaling.

Command: python experiments/bench_parallel.py [--quick]
Time: about 8 minutes on two cores; --quick 1.
Score: one device by pmap costs under 5 % more than the plain path, and the host takes
under 2 % of the time between chunks.

The devices are fake ones on a CPU, each of which computes on one thread, so N of them
can be no faster than the cores that there are. Strong scaling: a batch of 1,024 rows is
shared by all devices. Weak scaling: every device has 256 rows of a batch. Processes
share the devices, and sum gradients over the network (gloo). Times are those of the
fastest epoch, because others may use the machine, too; the first one compiles.
"""

import argparse
import functools
import json
import os
import socket
import subprocess
import sys
import time
from unittest import mock

import jax
import numpy as np

from naejax import NAE, fit
from naejax.runs.distributed import together
from naejax.train import loop
from naejax.train.processes import own_part

STRONG_BATCH, WEAK_BATCH = 1024, 256
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
LAYOUTS = [(1, 1), (2, 1), (4, 1), (8, 1), (2, 2), (4, 2)]


@functools.cache
def rows(count):
    """Rows of eight features."""
    x = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    return x, np.sin(x).sum(axis=1)


def train(count, batch_size, epochs, own=lambda rows: rows, **options):
    """Seconds of the fastest epoch."""
    model = NAE(num_experts=16, top_k=4, hidden=(64, 64, 64))
    variables = jax.jit(model.init)(jax.random.key(0), np.ones((1, 8), np.float32))
    result = fit(
        model,
        variables,
        own(rows(count)),
        penalties={"expert_variance": 0.1},
        batch_size=batch_size,
        epochs=epochs,
        progress=False,
        **options,
    )
    return float(np.diff([row["seconds"] for row in result.history]).min())


def overhead(count, epochs, rounds):
    """Seconds of an epoch by pmap on one device over those of the plain path."""
    ways = [1, jax.devices()[:1]]
    seconds = np.zeros((rounds, 2))
    for i in range(rounds):
        # Each is first in turn, so that a drift of the machine hits both.
        for way in (0, 1) if i % 2 else (1, 0):
            seconds[i, way] = train(count, 256, epochs, devices=ways[way])
    plain, mapped = seconds.T
    return float(np.median(mapped / plain) - 1), float(np.median(plain))


class TimedChunk:
    """A program for chunks that notes when it began and ended."""

    def __init__(self, run_chunk):
        self.run_chunk, self.lower, self.times = run_chunk, run_chunk.lower, []

    def __call__(self, *arguments):
        start = time.perf_counter()
        done = jax.block_until_ready(self.run_chunk(*arguments))
        self.times.append((start, time.perf_counter()))
        return done

    def share_between(self):
        """Share of the time in which no chunk ran, and seconds of a chunk; medians."""
        # The first one compiles.
        starts, ends = np.transpose(self.times[1:])
        pauses, lengths = starts[1:] - ends[:-1], ends - starts
        pause, length = float(np.median(pauses)), float(np.median(lengths))
        return pause / (pause + length), length


def between_chunks(count, epochs, **options):
    """What `TimedChunk.share_between` says of a training."""
    chunks = []
    find = loop.find_programs

    def timed(*asked):
        programs = find(*asked)
        chunks.append(TimedChunk(programs.run_chunk))
        return programs._replace(run_chunk=chunks[0])

    with mock.patch.object(loop, "find_programs", timed):
        train(count, 256, epochs, **options)
    return chunks[0].share_between()


def work(options):
    """One process of a measurement: process 0 prints seconds of an epoch."""
    asked = options["count"], options["batch_size"], options["epochs"]
    if options["processes"] == 1:
        print(json.dumps(train(*asked, devices=options["devices"])))
        return
    with together(options["coordinator"], options["processes"], options["process"]):
        print(json.dumps(train(*asked, own_part)))


def measure(devices, processes, **options):
    """Seconds of an epoch with so many devices in so many processes."""
    with socket.create_server(("", 0)) as free:
        coordinator = f"localhost:{free.getsockname()[1]}"
    environment = dict(
        os.environ,
        JAX_NUM_CPU_DEVICES=str(devices // processes),
        XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}",
    )
    options |= {"coordinator": coordinator, "processes": processes, "devices": devices}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", json.dumps(options | {"process": i})],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for i in range(processes)
    ]
    said = [process.communicate()[0] for process in running]
    return json.loads(said[0])


def scaling(steps, epochs, layouts):
    """Prints the table, a line for each layout."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    print(
        f"\n{'':22} {'strong':>29}   {'weak':>29}\n{'devices processes':17} limit"
        + 2 * f" {'ms/step':>9} {'rows/s':>9} {'speed-up':>10}  "
    )
    first = {}
    for devices, processes in layouts:
        line = f"{devices:7d} {processes:9d} {min(devices, cores):4d}x "
        for kind, batch in ("strong", STRONG_BATCH), ("weak", devices * WEAK_BATCH):
            sizes = {"count": steps * batch, "batch_size": batch, "epochs": epochs}
            seconds = measure(devices, processes, **sizes)
            rate = steps * batch / seconds
            gain = rate / first.setdefault(kind, rate)
            line += f" {1e3 * seconds / steps:9.2f} {rate:9,.0f} {gain:9.2f}x  "
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, which measure little"
    )
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    count, epochs = (1_024, 3) if options.quick else (14_448, 12)
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {count:,} rows")
    more, plain = overhead(count, epochs, rounds=1 if options.quick else 7)
    steps = count // 256
    print(f"plain path on one device: {1e3 * plain / steps:.2f} ms a step")
    print(f"pmap on one device: {more:+.1%} (goal: under +5 %)")
    ways = [("plain path", 1), ("pmap", jax.devices()[:1])]
    for name, devices in ways:
        share, chunk = between_chunks(count, epochs, devices=devices)
        print(
            f"between chunks of {1e3 * chunk:.0f} ms, {name}: {share:.2%} of the time "
            "(goal: under 2 %)",
            flush=True,
        )
    layouts = [(2, 2)] if options.quick else LAYOUTS
    scaling(4 if options.quick else 16, epochs, layouts)


if __name__ == "__main__":
    main()
