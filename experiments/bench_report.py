"""Size of a report and seconds to write it, after the fit.

Command: python experiments/bench_report.py [--rows 100000] [--features 100]
Time: about 2 minutes on two cores.
Score: 100 features x 100,000 rows: below 60 s and 2 MB.

The table has numbers, categories, booleans and missing cells; its target is a sum of
shapes and products. The model is NAE at its defaults for that size, trained for one
epoch of 5,000 rows: what a report costs does not depend on how good the model is.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from naejax.data import infer_schema, split_rows
from naejax.reports.findings import TableRows
from naejax.reports.page import render
from naejax.reports.table import table_report
from naejax.settings import Settings
from naejax.tabular import fit_table

LIMIT_BYTES = 2_000_000
FITTED = 5_000


def make_table(rows, features, seed=0):
    """Columns of three kinds, some with missing cells; the target needs pairs."""
    rng = np.random.default_rng(seed)
    levels = np.array([f"level {k}" for k in range(12)], dtype=object)
    columns, score, before = {}, rng.normal(size=rows), 0
    for i in range(features):
        x = rng.normal(size=rows)
        score += (np.sin(x) + before * x) / (1 + i)
        before = x
        cells = x
        if i % 10 == 7:
            cells = np.where(rng.random(rows) < 0.05, np.nan, x)
        elif i % 10 == 8:
            cells = x > 0
        elif i % 10 == 9:
            cells = levels[np.digitize(x, np.linspace(-2, 2, 11))]
        columns[f"feature {i}"] = cells
    return {**columns, "target": score}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--members", type=int, default=1, help="of an ensemble")
    parser.add_argument("--out", type=Path, help="keep the page in this file")
    parser.add_argument("--quick", action="store_true", help="a small table, for CI")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.features = 2_000, 12
    columns = make_table(options.rows, options.features)
    schema = infer_schema(columns, "target")
    training, validation, test = split_rows(columns, schema, seed=0)
    settings = Settings(epochs=1, members=options.members).for_rows(
        len(training["target"])
    )
    some = {name: column[:FITTED] for name, column in training.items()}
    start = time.perf_counter()
    fitted, _ = fit_table(some, validation, schema, settings, progress=False)
    print(f"fit of one epoch: {time.perf_counter() - start:.0f} s")

    start = time.perf_counter()

    def say(line):
        print(f"  {time.perf_counter() - start:5.1f} s  {line}", flush=True)

    rows = TableRows(training, "training rows", test, "test rows")
    data = table_report(fitted, rows, title="bench", say=say)
    say("rendering")
    page = render(data)
    out = options.out or Path(tempfile.mkdtemp()) / "report.html"
    out.write_text(page, encoding="utf-8")
    seconds, size = time.perf_counter() - start, len(page.encode())
    print(
        f"{options.features} features x {options.rows:,} rows: {seconds:.1f} s, "
        f"{size / 1e6:.2f} MB"
    )
    for note in data["notes"]:
        print(f"  {note}")
    if size > LIMIT_BYTES:
        raise SystemExit(f"above {LIMIT_BYTES:,} bytes")


if __name__ == "__main__":
    main()
