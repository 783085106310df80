"""NAE beside related methods that explain themselves, on the same rows.

Command: python experiments/related.py [--folder DATA] [--publish | --out FOLDER]
Time: about 25 minutes on two cores with California and Bike, 8 without.
Score: R2 of NAE with penalty 0.01 0.97 or more on all made-up tables; RMSE on Bike: NAE
    44, group routing 50, feature gating 52, IME 66 to 81, NAM 103.

Interpretable Mixture of Experts (linear experts, one speaks per row), InterpretCC
(feature gating and group routing), neural additive models without and with the
concurvity penalty, and NAE with little and with much penalty on its experts' variance:
each from its equations, in experiments/baselines/. All get the same rows, the same
inputs (numbers as normal quantiles, levels as their index), networks of two layers of
64, the same epochs (IME, which has two phases, in each), and the best of four learning
rates by validation error (mean over the seeds). Group routing is told groups that make
sense: on made-up tables columns 0 and 1, 2 and 3, which are all that interact, and 4.
Additivity is measured on predictions (`table_models.additivity`).

What one reads off: how many experts speak (exp of the entropy of their use), the share
of the columns that a row uses, the mean weight of a row's first group, and the mean
width of a column's context range in standard deviations of the target.
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
from synthetic_models import CHECK, FEATURES, TRAIN, make_task
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
    x, x_test, y, y_test = split_table(name, *load_table(name, [folder]), 0)
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
    """Trains a method with every learning rate, and takes the best.

    Returns:
        Predictions of training and of test rows, (seeds, N) each; the note, the number
        of parameters, the learning rate, and the seconds of a fit.
    """
    rows, check, test = parts
    sizes = options.rates, options.seeds, options.epochs
    program = train.lower(method, rows, check, *sizes).compile()
    start = time.perf_counter()
    params, errors = jax.block_until_ready(program(rows, check))
    seconds = time.perf_counter() - start
    best = int(np.asarray(errors).mean(axis=1).argmin())
    params = jax.tree.map(lambda a: a[best], params)
    predict = jax.jit(jax.vmap(method.predict, (0, None)))
    scores, test_scores = (np.asarray(predict(params, x)) for x, _ in (rows, test))
    note = "-"
    if method.note:
        noted = jax.vmap(method.note, (0, None))(params, test[0])
        note = f"{mean_sd(np.asarray(noted).tolist(), 2)} {method.note_name}"
    count = sum(a.size for a in jax.tree.leaves(params)) // options.seeds
    fits = options.seeds * len(options.rates)
    rest = f"{count:,}", f"{options.rates[best]:g}", f"{seconds / fits:.2f}"
    return scores, test_scores, [note, *rest]


def linear(parts):
    """What `study` gives, of the linear model."""
    (x, y), _, (x_test, _) = parts
    start = time.perf_counter()
    model = LinearRegression().fit(x, y)
    seconds = time.perf_counter() - start
    rest = ["-", f"{x.shape[1] + 1}", "-", f"{seconds:.2f}"]
    return model.predict(x)[None], model.predict(x_test)[None], rest


def compare(name, parts, scale, chosen, options):
    """Lines of a table's methods: R2 on made-up tables, RMSE on real ones."""
    digits = {"bike": 2, "california": 4}.get(name, 3)
    (x, _), _, (x_test, y) = parts
    found = {}
    for method, one in chosen.items():
        found[method] = study(one, parts, options)
        print(f"{name}, {method}: {_score(found[method][1], y, scale, digits)}")
    found["linear"] = linear(parts)
    # All at once, since the basis of additive functions takes long to decompose.
    scores, test_scores = (
        np.concatenate([one[part] for one in found.values()]).T for part in (0, 1)
    )
    additive = additivity(scores, pd.DataFrame(x), test_scores, pd.DataFrame(x_test))
    lines, first = [], 0
    for method, (_, predictions, rest) in found.items():
        of_seeds = additive[first : first + len(predictions)]
        first += len(predictions)
        score = _score(predictions, y, scale, digits)
        lines.append([name, method, score, mean_sd(of_seeds, 3), *rest])
    return lines


def _score(predictions, y, scale, digits):
    """R2, or RMSE where the target has a scale, over seeds."""
    errors = ((predictions - y) ** 2).mean(axis=1)
    return mean_sd(scale * np.sqrt(errors) if scale else 1 - errors / y.var(), digits)


def main():
    parser = make_parser(__doc__, seeds=5)
    parser.add_argument("--folder", type=Path, help="for California and Bike")
    parser.add_argument("--epochs", type=at_least_one, default=40)
    options = parser.parse_args()
    for file in FILES.values() if options.folder else ():
        if not (options.folder / file).is_file():
            parser.error(f"--folder {options.folder}: it has no {file}")
    made, options.rates, chosen = MADE, RATES, methods(PAIRS, FEATURES)
    real = FILES if options.folder else ()
    if options.quick:
        options.seeds, options.epochs, options.rates = 2, 1, RATES[1:2]
        chosen = dict(list(chosen.items())[2:3])
        made, real = MADE[:1], ()
    lines = []
    # The same methods, so that tables of one shape share their programs.
    for name in made:
        lines += compare(name, made_table(name), None, chosen, options)
    for name in real:
        parts, scale = real_table(name, options.folder)
        chosen = methods(GROUPS[name], parts[0][0].shape[1])
        lines += compare(name, parts, scale, chosen, options)
    head = ["table", "method", "R2, or RMSE", "additivity", "one reads off"]
    head += ["parameters", "learning rate", "one fit, s"]
    deliver(options, "related", table(head, lines))


if __name__ == "__main__":
    main()
