"""Correlated features with and without the concurvity penalty.

Command: python experiments/concurvity.py [--folder DATA] [--publish | --out FOLDER]
Time: about four minutes on two cores.
Score: at strength 0.1 the correlation of contributions falls from 0.8 or more to 0.2 or
    less on the made-up tables, at an R2 lower by at most 0.01; but shapes vary more
    over seeds, and are further from the truth where correlated columns both act.

Where features depend on each other, an additive model can share an effect among them in
many ways; Siems et al. (NeurIPS 2023) penalise the mean |correlation| of contributions.
Tables: five inputs that are 90 % a shared one, two of which act; an input and its
absolute value, which alone acts; with --folder 3,000 rows of California. Models: NAE
(eight experts, expert variance penalty 0.1) and gate `none`, a neural additive model.
Contributions of NAE depend on the other features, so the correlation is measured twice:
of the contributions, which is what is penalised, and of the mean shapes E[f_i | x_i].
"""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from publish import at_least_one, deliver, make_parser, mean_sd, table
from real_tables import load_table
from synthetic_models import CHECK, TEST, TRAIN, Task, train

from naejax import NAE
from naejax.data.schema import infer_schema
from naejax.explain import compute_shapes
from naejax.explain import concurvity as correlations
from naejax.explain.figure import new_figure
from naejax.explain.style import COLORS

STRENGTHS = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SHOWN = (0.0, 0.1, 1.0)
"""Strengths with a line in the table; the shapes are drawn of the first two."""
MODEL = NAE(num_experts=8, top_k=2, hidden=(32,), num_knots=64)
MODELS = {"NAE": MODEL, "NAM": MODEL.clone(gate="none", num_experts=1)}
ROWS = TRAIN + CHECK + TEST


class Found(NamedTuple):
    """What a population did on the test rows, (strengths, seeds) each.

    Attributes:
        r2: for the target, without its noise where that is known.
        contributions: mean |correlation| of two contributions.
        shapes: the same of two mean shapes.
        error: distance of the shapes from the true ones, root of the sum of their mean
            squared errors, in standard deviations of the target; NaN where unknown.
        spread: distance of a seed's shapes from the mean over seeds, likewise.
        curves: the shapes, at their features' test cells, (strengths, seeds, TEST, F).
    """

    r2: np.ndarray
    contributions: np.ndarray
    shapes: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    curves: np.ndarray


def make_task(name, x, signal, noise, rng, shapes=None):
    """Rows with a target of mean 0 and variance 1; true shapes (F, N) if known."""
    y = signal + noise * signal.std() * rng.normal(size=len(signal))
    center, scale = y.mean(), y.std()
    if shapes is None:
        shapes = np.full_like(x.T, np.nan)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    return Task(
        name,
        standard.astype(np.float32),
        ((y - center) / scale).astype(np.float32),
        (signal[-TEST:] - center) / scale,
        x[-TEST:],
        (shapes - shapes.mean(axis=1, keepdims=True))[:, -TEST:] / scale,
        pairs=(),
        ceiling=None,
    )


def make_tasks(folder):
    """The tables, the real one if there is a folder."""
    rng = np.random.default_rng(0)
    shared = rng.uniform(-2, 2, (ROWS, 1))
    x = 0.9 * shared + 0.1 * rng.uniform(-2, 2, (ROWS, 5))
    shapes = x.T * np.array([[1], [1], [0], [0], [0]])
    yield make_task("shared", x, shapes.sum(axis=0), 0.1, rng, shapes)
    first = rng.normal(0, 2, ROWS)
    x = np.column_stack([first, abs(first)])
    shapes = x.T * np.array([[0], [1]])
    yield make_task("absolute", x, shapes.sum(axis=0), 0.1, rng, shapes)
    if folder:
        frame, y = load_table("california", [folder])
        rows = rng.permutation(len(y))[:ROWS]
        # Ranks, since a few blocks have a thousand people to a home.
        x = frame.rank(pct=True).to_numpy()[rows]
        yield make_task("california", x, y.to_numpy()[rows], 0.0, rng)


def mean_shapes(task, output):
    """E[f_i | x_i] at every test row, (TEST, F)."""
    names = [f"x{i}" for i in range(task.x.shape[1])]
    columns = dict(zip([*names, "y"], [*task.cells.T, task.signal], strict=True))
    shapes = compute_shapes(output, columns, infer_schema(columns, "y"))
    return np.column_stack(
        [
            np.interp(cells, shape.positions.astype(float), shape.mean[:, 0])
            for shape, cells in zip(shapes, task.cells.T, strict=True)
        ]
    )


def mean_correlation(output):
    """The mean over pairs of features of |correlation|."""
    matrix = correlations(output)[..., 0]
    return matrix[np.triu_indices(len(matrix), 1)].mean()


def distance(shapes, others):
    """Root of the mean over rows of squared differences, summed over features."""
    return np.sqrt(((shapes - others) ** 2).sum(axis=-1).mean(axis=1))


def study(model, task, options):
    """Trains strengths x seeds on a table in one program, and measures them."""
    variables = train(
        model,
        [task],
        options.strengths,
        options.seeds,
        options.epochs,
        progress=not options.quick,
        penalty="concurvity",
        others={"expert_variance": 0.1} if model.num_experts > 1 else None,
    )
    apply = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))
    numbers, curves = [], []
    for strength in range(len(options.strengths)):
        some = jax.tree.map(lambda a, i=strength: a[0, i], variables)
        outputs = jax.device_get(apply(some, task.x[-TEST:]))
        each = [
            jax.tree.map(lambda a, i=seed: a[i], outputs)
            for seed in range(options.seeds)
        ]
        found = np.stack([mean_shapes(task, output) for output in each])
        curves.append(found)
        r2 = [
            1 - np.mean((one.prediction[:, 0] - task.signal) ** 2) / task.signal.var()
            for one in each
        ]
        shape_correlations = [
            mean_correlation(one._replace(contributions=f[..., None]))
            for one, f in zip(each, found, strict=True)
        ]
        of_contributions = [mean_correlation(one) for one in each]
        apart = distance(found, task.shapes.T), distance(found, found.mean(axis=0))
        numbers.append([r2, of_contributions, shape_correlations, *apart])
    return Found(*np.moveaxis(np.array(numbers), 1, 0), np.stack(curves))


def draw_paths(found, strengths):
    """R2 and the spread of shapes against the correlation, along the penalty."""
    tables = list(dict.fromkeys(name for name, _ in found))
    figure = new_figure(figsize=(3.2 * len(tables), 5), dpi=80)
    axes = figure.subplots(2, len(tables), squeeze=False, sharex=True)
    for (name, model), one in found.items():
        color = COLORS[list(MODELS).index(model)]
        for ax, key in zip(axes[:, tables.index(name)], ("r2", "spread"), strict=True):
            x, y = one.contributions.mean(axis=1), getattr(one, key).mean(axis=1)
            ax.plot(x, y, "o-", color=color, markersize=4, linewidth=1, label=model)
            for i in (0, len(strengths) - 1):
                ax.annotate(f"{strengths[i]:g}", (x[i], y[i]), fontsize=7, color=color)
    for ax, name in zip(axes[0], tables, strict=True):
        ax.set_title(name, fontsize=10)
    axes[0, 0].set_ylabel("R2", fontsize=9)
    axes[1, 0].set_ylabel("spread of shapes over seeds", fontsize=9)
    axes[0, 0].legend(fontsize=8)
    figure.supxlabel("mean |correlation| of contributions", fontsize=9)
    return figure


def draw_shapes(task, one, strengths):
    """Shapes of all seeds, with no penalty and with some."""
    chosen = [strengths.index(s) for s in SHOWN[:2] if s in strengths]
    features = task.cells.shape[1]
    figure = new_figure(figsize=(2.2 * features, 2.1 * len(chosen)), dpi=80)
    axes = figure.subplots(len(chosen), features, squeeze=False, sharey=True)
    for line, at in zip(axes, chosen, strict=True):
        for i, ax in enumerate(line):
            order = np.argsort(task.cells[:, i])
            for curve in one.curves[at]:
                ax.plot(task.cells[order, i], curve[order, i], linewidth=0.8)
            ax.set_title(f"x{i}, penalty {strengths[at]:g}", fontsize=8)
            ax.tick_params(labelsize=7)
    return figure


def rows(found, strengths):
    """Lines of the table."""
    for (name, model), one in found.items():
        for at, strength in enumerate(strengths):
            if strength in SHOWN:
                known = [mean_sd(values[at], 3) for values in one[:5]]
                numbers = ["-" if "nan" in number else number for number in known]
                yield [name, model, f"{strength:g}", *numbers]


def main():
    parser = make_parser(__doc__, seeds=8)
    parser.add_argument("--folder", type=Path, help="holds california_housing.csv")
    parser.add_argument("--epochs", type=at_least_one, default=30)
    options = parser.parse_args()
    if options.folder and not (options.folder / "california_housing.csv").is_file():
        parser.error(f"--folder {options.folder}: it has no california_housing.csv")
    options.strengths, models = STRENGTHS, MODELS
    if options.quick:
        options.seeds, options.epochs, options.strengths = 2, 1, SHOWN[:2]
    tasks = {task.name: task for task in make_tasks(options.folder)}
    if options.quick:
        tasks, models = {"shared": tasks["shared"]}, {"NAE": MODEL}
    found = {
        (name, kind): study(model, task, options)
        for name, task in tasks.items()
        for kind, model in models.items()
    }
    head = ["table", "model", "penalty", "R2", "correlation of contributions"]
    head += ["of mean shapes", "error of shapes", "spread over seeds"]
    figures = {
        "concurvity": draw_paths(found, options.strengths),
        "concurvity_shapes": draw_shapes(
            tasks["shared"], found["shared", "NAE"], options.strengths
        ),
    }
    text = table(head, rows(found, options.strengths))
    deliver(options, "concurvity", text, figures)


if __name__ == "__main__":
    main()
