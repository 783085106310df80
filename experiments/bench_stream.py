"""Training on rows that are read from Parquet in streams: rows a second, and memory.

Command: python experiments/bench_stream.py [--rows 10000000] [--features 20] [--quick]
Time: some minutes on two cores, and 1.4 GB of disk; --quick (a hundredth of the rows)
seconds.
Score: none, it is printed.

Writes a table of numbers in row groups of 500,000 into a temporary folder. One process
reads it and trains one epoch at the settings for so many rows; it says how long reading
and training took, and Linux how much memory it had at most.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GROUP_ROWS = 500_000


def write_rows(path: Path, rows: int, features: int) -> None:
    """Writes a table whose target takes two features together."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, names = np.random.default_rng(0), [f"x{i}" for i in range(features)]
    schema = pa.schema([(name, pa.float64()) for name in [*names, "y"]])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, GROUP_ROWS):
            size = min(GROUP_ROWS, rows - first)
            x = rng.normal(size=(features, size)).astype(np.float32)
            y = np.sin(2 * x[0]) + x[1] * x[2] + 0.1 * rng.normal(size=size)
            columns = [*x.astype(np.float64), y]
            writer.write_table(pa.table(columns, schema=schema), GROUP_ROWS)


def train(path: str) -> None:
    """Reads and trains one epoch; prints what it took as JSON."""
    import jax

    from naejax.data.streamed_table import StreamedTable, open_streamed
    from naejax.settings import Settings
    from naejax.tabular.streamed import fit_streamed

    seconds: dict[str, float] = {}
    read = StreamedTable.read

    def timed(*arguments):
        before = time.perf_counter()
        found = read(*arguments)
        seconds["read"] = time.perf_counter() - before
        jax.jit(lambda: 0)()  # so that JAX has started
        seconds["cpu"] = -time.process_time()
        return found

    StreamedTable.read = timed
    before = time.perf_counter()
    table = open_streamed(path, "y")
    seconds["sample"] = time.perf_counter() - before
    settings = Settings(epochs=1)
    _, result = fit_streamed(table, settings, progress=False)
    seconds["cpu"] += time.process_time()
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text().split("\n")[:-1]
    )
    last = result.history[-1]
    found = {
        "rows": table.sizes(),
        "seconds": seconds | {"training": last["seconds"]},
        "validation": last["validation"],
        "batch_size": settings.for_rows(table.sizes()[0]).batch_size,
        "peak_gb": int(status["VmHWM"].split()[0]) * 1024 / 1e9,
    }
    print(json.dumps(found))


def main() -> None:
    """Writes the table, trains in a process of its own, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train:
        train(asked.train)
        return
    rows = asked.rows // 100 if asked.quick else asked.rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_rows(path, rows, asked.features)
        size = path.stat().st_size / 1e9
        command = [sys.executable, __file__, "--train", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    training, validation, _ = found["rows"]
    seconds = found["seconds"]
    print(
        f"{rows:,} rows x {asked.features} features, {size:.2f} GB of Parquet; "
        f"batches of {found['batch_size']:,}\n"
        f"sample and target: {seconds['sample']:.1f} s\n"
        f"reading: {rows / seconds['read']:,.0f} rows/s ({seconds['read']:.1f} s)\n"
        f"training: {training / seconds['training']:,.0f} rows/s "
        f"({training:,} rows, with {validation:,} to validate on, "
        f"{seconds['training']:.1f} s)\n"
        f"the same with compilation: {seconds['cpu']:.0f} s of CPU, "
        f"{training / seconds['cpu']:,.0f} rows per second of one core\n"
        f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
        f"most memory: {found['peak_gb']:.2f} GB; validation {found['validation']:.4f}"
    )


if __name__ == "__main__":
    main()
