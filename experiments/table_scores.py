"""Scores and costs on a suite of tables, ranks, choices, and fits that are kept."""

import json
import os
import time

import jax
import numpy as np
from joblib.externals.loky import get_reusable_executor
from scipy.stats import rankdata
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

# Errors below count as this one: nobody is infinitely better than another.
LEAST = 1e-9


def suite_measure(classes):
    """What the suite reports, by the number of classes (0: a number is predicted)."""
    return {0: "RMSE", 2: "AUC"}.get(classes, "log loss")


def suite_score(estimator, x, y, classes):
    """`suite_measure` on rows that the estimator has not seen."""
    if not classes:
        return float(root_mean_squared_error(y, estimator.predict(x)))
    chances = estimator.predict_proba(x)
    if classes == 2:
        return float(roc_auc_score(y, chances[:, 1]))
    return float(log_loss(y, chances, labels=np.arange(classes)))


def error(score, classes):
    """A score as what is to be small: 1 - AUC, the others as they are."""
    return max(1 - score if classes == 2 else score, LEAST)


def relative(errors, reference):
    """How much larger errors are than one of them: 0.1 is a tenth more.

    Args:
        errors: by name, of one table.
        reference: a number.
    """
    return {name: value / reference - 1 for name, value in errors.items()}


def to_best(errors):
    """Errors relative to the least one of their table: table -> name -> number."""
    return {t: relative(each, min(each.values())) for t, each in errors.items()}


def mean_ranks(errors, names):
    """Mean ranks of names over the tables that have all of them; 1 is the best.

    Args:
        errors: table -> name -> error; equal ones share their ranks.
        names: who is ranked.

    Returns:
        name -> mean rank, empty without such a table.
    """
    rows = [[e[n] for n in names] for e in errors.values() if {*names} <= {*e}]
    if not rows:
        return {}
    return dict(zip(names, rankdata(rows, axis=1).mean(axis=0), strict=True))


def choose(excess):
    """The name whose mean over the tables is the least; of equal ones the first.

    Args:
        excess: table -> name -> relative error, the same names for all.
    """
    names = next(iter(excess.values()))
    return min(names, key=lambda name: np.mean([e[name] for e in excess.values()]))


def leave_one_out(excess):
    """What would be chosen without each table, and what that costs on it.

    Args:
        excess: as for `choose`, of two tables at least.

    Returns:
        table -> (name chosen on all others, its relative error on this one).
    """
    found = {}
    for table, own in excess.items():
        others = {t: each for t, each in excess.items() if t != table}
        found[table] = (chosen := choose(others)), own[chosen]
    return found


def fit_costs(estimator, x, y):
    """Fits, with everything to compile as in a new process.

    Returns:
        CPU seconds of this process and of those that it started, and wall seconds.
    """
    jax.clear_caches()
    cpu, start = sum(os.times()[:4]), time.perf_counter()
    estimator.fit(x, y)
    wall = time.perf_counter() - start
    # The system counts the seconds of a process when it has ended.
    get_reusable_executor().shutdown(wait=True)
    return sum(os.times()[:4]) - cpu, wall


def milliseconds(call, repeats):
    """Median wall time of a call, after a first one that compiles."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def keep(path, key, run):
    """Adds a line for a fit to a file, if there is one; several processes may."""
    if path:
        with path.open("a") as file:
            file.write(json.dumps([*key, *run]) + "\n")


def kept(path, kind, keys):
    """Fits by their keys, from a file that `keep` wrote.

    Args:
        path: of the file, or None.
        kind: the NamedTuple of a fit.
        keys: how many parts a key has.

    Raises:
        ValueError: if it is no such file.
    """
    if path is None:
        return {}
    if not path.parent.is_dir():
        raise ValueError(f"--kept {path}: there is no folder {path.parent}")
    if not path.exists():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {tuple(row[:keys]): kind(*row[keys:]) for row in rows}
    except (OSError, TypeError, ValueError) as problem:
        raise ValueError(
            f"{path} holds no kept fits of this experiment; name a file that --kept "
            "wrote, or a new one"
        ) from problem


def read_kept(parser, path, kind, keys):
    """`kept`, which ends a script with one line if it cannot be read."""
    try:
        return kept(path, kind, keys)
    except ValueError as problem:
        parser.error(str(problem))
