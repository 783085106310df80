"""Populations of models on the synthetic generators, and how well they did."""

from typing import NamedTuple

import jax
import numpy as np
from sklearn.metrics import average_precision_score

from naejax.data.schema import infer_schema
from naejax.data.synthetic import GENERATORS, make_synthetic
from naejax.explain.additive import compute_shapes, model_additivity
from naejax.explain.interactions import context_effects, interaction_matrix
from naejax.models.knots import KNOTS, quantile_knots
from naejax.train.population import fit_population

FEATURES, TRAIN, CHECK, TEST = 5, 1600, 400, 1000
# Their fourth feature interacts by less than a hundred thousandth of their spread.
CIRCUITS = ("friedman2", "friedman3")
NOISE = 0.1  # of the signal's standard deviation


class Task(NamedTuple):
    """A generator's rows, features and target with mean 0 and variance 1.

    Attributes:
        name: of the generator.
        x: training, then validation, then test rows, (N, F).
        y: their target, (N,).
        signal: of the test rows, without noise.
        cells: the test rows as they were drawn, a column per feature.
        shapes: true additive effects of `cells`, in the target's unit, (F, TEST).
        pairs: the features that interact.
        ceiling: R2 of the sum of the shapes for the signal, which no additive function
            beats but by chance; None where features depend on each other.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    signal: np.ndarray
    cells: np.ndarray
    shapes: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    ceiling: float | None


def make_task(name, seed=0):
    """Draws a generator's rows, with `FEATURES` features."""
    rows = TRAIN + CHECK + TEST
    scale = make_synthetic(name, 20_000, FEATURES, noise=0.0, seed=1).y.std()
    data = make_synthetic(name, rows, FEATURES, noise=NOISE * scale, seed=seed)
    center = data.signal.mean()
    cells = data.x[-TEST:]
    shapes = np.stack([f(c) for f, c in zip(data.shapes, cells.T, strict=True)])
    signal = data.signal[-TEST:]
    rest = signal - signal.mean() - shapes.sum(axis=0)
    pairs = [p for p in data.interactions if not (name in CIRCUITS and 3 in p)]
    return Task(
        name,
        ((data.x - data.x.mean(axis=0)) / data.x.std(axis=0)).astype(np.float32),
        ((data.y - center) / scale).astype(np.float32),
        (signal - center) / scale,
        cells,
        shapes / scale,
        tuple(pairs),
        None if name == "correlated" else float(1 - rest.var() / signal.var()),
    )


def make_tasks(names=tuple(GENERATORS)):
    """A task for every generator."""
    return [make_task(name) for name in names]


def train(
    model,
    tasks,
    strengths,
    seeds,
    epochs,
    progress=True,
    penalty="expert_variance",
    others=None,
):
    """Trains all tasks x strengths x seeds in one program.

    Args:
        model: of all of them.
        tasks: with equally many features.
        strengths: of the penalty.
        seeds: how many.
        epochs: over the training rows.
        progress: whether to show a progress bar.
        penalty: its name.
        others: strengths of other penalties, the same for all.

    Returns:
        Variables with leading axes (tasks, strengths, seeds).
    """
    shape = len(tasks), len(strengths), seeds
    rows = TRAIN + CHECK + TEST
    first, strength, seed = (
        part.ravel()
        for part in np.meshgrid(
            rows * np.arange(len(tasks)), strengths, np.arange(seeds), indexing="ij"
        )
    )
    init = jax.jit(jax.vmap(model.init, in_axes=(0, None)))
    own = init(jax.random.split(jax.random.key(0), seeds), tasks[0].x[:1])
    x = np.concatenate([task.x for task in tasks])
    if model.num_knots:
        knots = quantile_knots(x, model.num_knots)
        own = {**own, KNOTS: {"at": np.tile(knots, (seeds, 1, 1))}}
    result = fit_population(
        model,
        jax.tree.map(lambda a: np.asarray(a)[seed], own),
        (x, np.concatenate([task.y for task in tasks])),
        first[:, None] + np.arange(TRAIN),
        validation_rows=first[:, None] + np.arange(TRAIN, TRAIN + CHECK),
        penalties={**(others or {}), penalty: strength},
        learning_rate=0.02,
        weight_decay=1e-4,
        epochs=epochs,
        batch_size=128,
        seeds=seed.tolist(),
        progress=progress,
    )
    return jax.tree.map(lambda a: a.reshape(*shape, *a.shape[1:]), result.variables)


class Scores(NamedTuple):
    """How well a model did on the test rows of a task.

    Attributes:
        r2: for the signal.
        additivity: `naejax.explain.model_additivity`.
        spread: mean variance of a feature's experts.
        shape_error: distance from the true shapes, root of the sum of their mean
            squared errors, in standard deviations of the signal.
        ranking: average precision of the true pairs among all, by interaction; NaN
            without pairs.
    """

    r2: np.ndarray
    additivity: np.ndarray
    spread: np.ndarray
    shape_error: np.ndarray
    ranking: np.ndarray


def r2(model, task, variables):
    """R2 of models of one task for the signal, in the shape of their leading axes."""
    bias = variables["params"]["bias"]
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[bias.ndim - 1 :]), variables)
    outputs = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))(flat, task.x[-TEST:])
    scores = np.asarray(outputs.prediction[..., 0])
    errors = np.mean((scores - task.signal) ** 2, axis=1)
    return 1 - errors.reshape(bias.shape[:-1]) / task.signal.var()


def score(model, task, variables):
    """Scores models of one task.

    Args:
        model: of all of them.
        task: what they were trained on.
        variables: with leading axes (strengths, seeds).

    Returns:
        `Scores` of arrays (strengths, seeds).
    """
    apply = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))
    x = task.x[-TEST:]
    per_strength = []
    for strength in range(len(variables["params"]["bias"])):
        some = jax.tree.map(lambda a, i=strength: a[i], variables)
        outputs = jax.device_get(apply(some, x))
        per_strength.append(
            [
                _score_one(
                    model,
                    task,
                    jax.tree.map(lambda a, i=seed: a[i], some),
                    jax.tree.map(lambda a, i=seed: a[i], outputs),
                )
                for seed in range(len(some["params"]["bias"]))
            ]
        )
    return Scores(*np.moveaxis(np.array(per_strength), -1, 0))


def _score_one(model, task, variables, output):
    """The numbers of `Scores` for one model."""
    error = np.mean((output.prediction[:, 0] - task.signal) ** 2)
    names = [f"x{i}" for i in range(FEATURES)]
    columns = dict(zip([*names, "y"], [*task.cells.T, task.signal], strict=True))
    schema = infer_schema(columns, "y", task="regression")
    shapes = compute_shapes(output, columns, schema)
    squares = 0.0
    for shape, cells, truth in zip(shapes, task.cells.T, task.shapes, strict=True):
        found = np.interp(cells, shape.positions.astype(float), shape.mean[:, 0])
        squares += np.mean((found - truth + truth.mean()) ** 2)
    return [
        1 - error / task.signal.var(),
        model_additivity(output, columns, schema)[0],
        output.experts.var(axis=2, ddof=1).mean() if model.num_experts > 1 else 0.0,
        np.sqrt(squares),
        _ranking(model, task, variables),
    ]


def _ranking(model, task, variables, rows=300):
    """Average precision of the true pairs among all pairs."""
    if not task.pairs:
        return np.nan
    x = task.x[-TEST:]
    effects = context_effects(model, variables, x[:rows], x)
    matrix = interaction_matrix(effects)[..., 0]
    pairs = list(zip(*np.triu_indices(FEATURES, 1), strict=True))
    truth = [pair in task.pairs for pair in pairs]
    return average_precision_score(
        truth, [max(matrix[i, j], matrix[j, i]) for i, j in pairs]
    )
