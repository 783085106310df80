"""NAE beside related methods that explain themselves, on the same rows.

Command: python experiments/related.py [--folder DATA] [--publish | --out FOLDER]
Time: about 15 minutes on two cores with California and Bike, 4 without.
Score: R2 of NAE 0.98 or more on all made-up tables; on Bike only NAE and group routing
    are far below the RMSE of 100 of an additive model.

Interpretable Mixture of Experts (linear experts, one speaks per row), InterpretCC
(feature gating and group routing), neural additive models without and with the
concurvity penalty, and NAE with little and with much penalty on its experts' variance:
each from its equations, in experiments/baselines/. All get the same rows, the same
inputs (numbers as normal quantiles, levels as their index), networks of two layers of
64, the same epochs, and the best of four learning rates by validation error (mean over
the seeds). Group routing is told groups that make sense: on made-up tables columns 0
and 1, 2 and 3, and 4. Additivity is measured on predictions
(`table_models.additivity`).
"""

import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from baselines.feature_gating import feature_gating
from baselines.group_routing import group_routing
from baselines.ime import ime
from baselines.nam import nae, nam
from baselines.training import train
from publish import at_least_one, deliver, make_parser, mean_sd, table
from real_tables import load_table, split_table
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer
from synthetic_models import CHECK, TRAIN, make_task
from table_models import additivity

MADE = ("friedman1", "multimodal", "switch", "xor", "product")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
PAIRS = [[0, 1], [2, 3], [4]]
GROUPS = {
    "california": [[0], [1, 2, 3], [4, 5], [6, 7]],
    # Season, year and month; hour and kind of day; weather.
    "bike": [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10, 11]],
}
FILES = {"california": "california_housing.csv", "bike": "bike.csv"}


def methods(groups, num_features):
    """All methods by name."""
    return {
        "IME, 3 linear experts": ime(),
        "IME, 10 linear experts": ime(num_experts=10),
        "InterpretCC, feature gating": feature_gating(),
        "InterpretCC, group routing": group_routing(groups, num_features),
        "NAM": nam(),
        "NAM, concurvity 0.1": nam(concurvity=0.1),
        "NAE, penalty 10": nae(10.0),
        "NAE, penalty 0.01": nae(0.01),
    }


def made_table(name):
    """Training, validation and test rows, the last with the signal as target."""
    task = make_task(name)
    parts = np.split(task.x, [TRAIN, TRAIN + CHECK])
    targets = [*np.split(task.y[: TRAIN + CHECK], [TRAIN]), task.signal]
    return [(x, y.astype(np.float32)) for x, y in zip(parts, targets, strict=True)]


def real_table(name, folder):
    """The same of a real table, and its target's standard deviation."""
    x, x_test, y, y_test = split_table(name, *load_table(name, folder), 0)
    x, x_check, y, y_check = train_test_split(x, y, test_size=0.125, random_state=0)
    frames = [frame.apply(_numbers) for frame in (x, x_check, x_test)]
    quantiles = QuantileTransformer(output_distribution="normal", random_state=0)
    quantiles.fit(frames[0])
    center, scale = y.mean(), y.std()
    parts = [
        (
            quantiles.transform(frame).astype(np.float32),
            ((target - center) / scale).to_numpy(np.float32),
        )
        for frame, target in zip(frames, (y, y_check, y_test), strict=True)
    ]
    return parts, scale


def _numbers(column):
    """A column as numbers."""
    is_text = isinstance(column.dtype, pd.CategoricalDtype)
    return column.cat.codes if is_text else column


def study(method, parts, options):
    """Trains a method with every learning rate, and scores the best on test rows.

    Returns:
        Mean squared errors and additivities over seeds, the note, the number of
        parameters, the learning rate and the seconds, compilation included.
    """
    rows, check, test = parts
    start = time.perf_counter()
    params, errors = jax.block_until_ready(
        train(method, rows, check, options.rates, options.seeds, options.epochs)
    )
    seconds = time.perf_counter() - start
    best = int(np.asarray(errors).mean(axis=1).argmin())
    params = jax.tree.map(lambda a: a[best], params)
    predict = jax.jit(jax.vmap(method.predict, (0, None)))
    scores, test_scores = (np.asarray(predict(params, x)) for x, _ in (rows, test))
    frames = [pd.DataFrame(x) for x, _ in (rows, test)]
    additive = [
        additivity(own, frames[0], other, frames[1])
        for own, other in zip(scores, test_scores, strict=True)
    ]
    note = "-"
    if method.note:
        noted = jax.vmap(method.note, (0, None))(params, test[0])
        note = f"{mean_sd(np.asarray(noted).tolist(), 2)} {method.note_name}"
    count = sum(a.size for a in jax.tree.leaves(params)) // options.seeds
    return (
        ((test_scores - test[1]) ** 2).mean(axis=1),
        additive,
        note,
        f"{count:,}",
        f"{options.rates[best]:g}",
        f"{seconds:.0f}",
    )


def compare(name, parts, scale, groups, options):
    """Lines of a table's methods: R2 on made-up tables, RMSE on real ones."""
    features, test = parts[0][0].shape[1], parts[2]
    chosen = methods(groups, features)
    for method in list(chosen)[:4:2] if options.quick else chosen:
        one = chosen[method]
        errors, additive, *rest = study(one, parts, options)
        if scale:
            score = mean_sd(scale * np.sqrt(errors), 2 if name == "bike" else 4)
        else:
            score = mean_sd(1 - errors / test[1].var(), 3)
        print(f"{name}, {method}: {score}", flush=True)
        yield [name, method, score, mean_sd(additive, 3), *rest]
    error = np.mean((LinearRegression().fit(*parts[0]).predict(test[0]) - test[1]) ** 2)
    score = scale * np.sqrt(error) if scale else 1 - error / test[1].var()
    line = [f"{score:.4f}" if name == "california" else f"{score:.3f}", "1.000"]
    yield [name, "linear", *line, "-", f"{features + 1}", "-", "0"]


def main():
    parser = make_parser(__doc__, seeds=5)
    parser.add_argument("--folder", type=Path, help="for California and Bike")
    parser.add_argument("--epochs", type=at_least_one, default=40)
    options = parser.parse_args()
    for file in FILES.values() if options.folder else ():
        if not (options.folder / file).is_file():
            parser.error(f"--folder {options.folder}: it has no {file}")
    made, options.rates = MADE, RATES
    if options.quick:
        options.seeds, options.epochs, options.rates = 2, 1, RATES[1:2]
        made = MADE[:1]
    lines = []
    for name in made:
        lines += compare(name, made_table(name), None, PAIRS, options)
    for name in FILES if options.folder else ():
        parts, scale = real_table(name, options.folder)
        lines += compare(name, parts, scale, GROUPS[name], options)
    head = ["table", "method", "R2, or RMSE", "additivity", "of a row", "parameters"]
    deliver(options, "related", table([*head, "learning rate", "training, s"], lines))


if __name__ == "__main__":
    main()
