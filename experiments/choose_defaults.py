"""How NAE's defaults are chosen: by validation rows, judged on tables left out.

Command: python experiments/choose_defaults.py --folder DATA [MORE ...]
        [--kept FILE] [--publish | --out FOLDER]
Time: about 6 hours on two cores for the suite; --kept FILE goes on from there.
Score: see README.md, "How the defaults are chosen".

Settings, and numbers of members, are fitted on every table of bench_tables.py, where
it says what DATA holds. Test rows are never read: of the 80 % that bench_tables.py
learns from, three quarters are fitted here and the last quarter is scored (RMSE, 1 -
AUC, log loss), by a split with a seed of its own. Errors are relative to the least of
their table.

What is best on average on all tables fits these tables a little. So for each table,
what is best on average on all others is chosen; its regret is its relative error on the
table that was left out. --kept FILE keeps every fit, and several runs may share it; it
does not know the code: take a new file when the defaults change.
"""

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from publish import at_least_one, deliver, make_parser, table
from real_tables import (
    CLASSES,
    SMALL,
    SUITE,
    add_tables,
    check_tables,
    load_table,
    split_rows,
)
from table_models import build
from table_scores import (
    choose,
    error,
    fit_costs,
    keep,
    leave_one_out,
    read_kept,
    suite_score,
    to_best,
)

# Keyword arguments of NAERegressor and NAEClassifier.
SETTINGS = {
    "as it is": {},
    "expert_variance 0.02": {"expert_variance": 0.02},
    "expert_variance 0.2": {"expert_variance": 0.2},
    "expert_variance 1": {"expert_variance": 1.0},
    "dropout 0": {"dropout": 0.0},
    "dropout 0.1": {"dropout": 0.1},
    "hidden 64 64 64": {"hidden": (64, 64, 64)},
    "num_knots 32": {"num_knots": 32},
    "num_experts 16": {"num_experts": 16},
    "gate_rank 16": {"gate_rank": 16},
    "learning_rate 0.005": {"learning_rate": 0.005},
    "steps 1000": {"steps": 1000},
    "steps 4000": {"steps": 4000},
}
MEMBERS = {f"n_members {n}": {"n_members": n} for n in (1, 4, 8)}
INNER = 1000  # Added to the seed of the outer split.


class Run(NamedTuple):
    """One fit.

    Attributes:
        error: on validation rows.
        cpu: seconds of fitting, of all cores.
    """

    error: float
    cpu: float


def validation_split(name, x, y, seed):
    """Rows to fit and rows to score, all of them training rows of bench_tables.py.

    Returns:
        Features of both, then their targets.
    """
    x, _, y, _ = split_rows(name, x, y, seed)
    return split_rows(name, x, y, INNER + seed, share=0.25)


def run(name, setting, data, seed, options):
    """Fits NAE with a setting on three quarters of the training rows."""
    classes = CLASSES[name]
    x, x_check, y, y_check = validation_split(name, *data, seed)
    estimator = build("nae", classes > 0, seed, epochs=options.epochs)
    estimator.set_params(**setting)
    cpu, _ = fit_costs(estimator, x, y)
    score = suite_score(estimator, x_check, y_check, classes)
    return Run(error(score, classes), cpu)


def run_all(options, runs):
    """Fits what is not kept yet.

    Returns:
        Lists of `Run` over the seeds, by table and name of the setting.
    """
    choices = options.settings | options.members
    found = {pair: [] for pair in itertools.product(options.tables, choices)}
    for name in options.tables:
        data = load_table(name, options.folder)
        for seed, choice in itertools.product(range(options.seeds), choices):
            setting = choices[choice]
            words = json.dumps(setting, sort_keys=True)
            key = (name, words, seed, options.epochs)
            if key not in runs:
                runs[key] = run(name, setting, data, seed, options)
                keep(options.kept, key, runs[key])
            found[name, choice].append(runs[key])
            print(f"{name}, {choice}, {seed}: {runs[key].error:.4f}", flush=True)
    return found


def report(found, names):
    """Two tables: what each choice costs, and what would be chosen without each table.

    Args:
        found: lists of `Run` by table and name of the choice.
        names: of the choices to compare.
    """
    errors, cpu = {}, {name: [] for name in names}
    for (where, name), runs in found.items():
        if name in cpu:
            errors.setdefault(where, {})[name] = np.mean([run.error for run in runs])
            cpu[name].append(np.median([run.cpu for run in runs]))
    excess = to_best(errors)
    rows = []
    for name in names:
        values = {where: each[name] for where, each in excess.items()}
        worst = max(values, key=values.get)
        rows.append(
            [
                f"**{name}**" if name == choose(excess) else name,
                f"{np.mean([*values.values()]):.2%}",
                f"{values[worst]:.1%}, {worst}",
                f"{sum(v == 0 for v in values.values())} of {len(values)}",
                f"{np.sum(cpu[name]):.0f}",
            ]
        )
    head = ["choice", "mean error above the least", "most", "least on", "CPU, s"]
    picks = leave_one_out(excess)
    regrets = [
        [where, min(excess[where], key=excess[where].get), pick, f"{regret:.1%}"]
        for where, (pick, regret) in picks.items()
    ]
    mean = np.mean([regret for _, regret in picks.values()])
    regrets.append(["mean", "", "", f"{mean:.2%}"])
    second = ["table left out", "best on it", "chosen by the others", "regret"]
    return f"{table(head, rows)}\n\n{table(second, regrets)}"


def read_options():
    """The options, and the fits that are kept already."""
    parser = make_parser(__doc__, seeds=2)
    add_tables(parser, [*SUITE, *SMALL], SUITE)
    parser.add_argument("--epochs", type=at_least_one, help="default: by the rows")
    parser.add_argument("--kept", type=Path, help="file for the fits, to go on from")
    options = parser.parse_args()
    options.settings, options.members = SETTINGS, MEMBERS
    if options.quick:
        options.seeds, options.epochs = 1, 2
        options.tables = ["diabetes", "wine"]
        options.settings, options.members = (
            dict(list(each.items())[:2]) for each in (SETTINGS, MEMBERS)
        )
    options.tables = list(dict.fromkeys(options.tables))
    if len(options.tables) < 2:
        parser.error("got one table, expected two or more: one is left out each time")
    check_tables(parser, options)
    return options, read_kept(parser, options.kept, Run, 4)


def main():
    options, runs = read_options()
    found = run_all(options, runs)
    text = (
        f"{options.seeds} seeds; CPU seconds of one fit of every table.\n\n"
        f"Settings:\n\n{report(found, options.settings)}\n\n"
        f"Members of an ensemble:\n\n{report(found, options.members)}"
    )
    deliver(options, "choose_defaults", text)


if __name__ == "__main__":
    main()
