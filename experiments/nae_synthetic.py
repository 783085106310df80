"""What the penalty, the gate and the number of experts do, where the truth is known.

Command: python experiments/nae_synthetic.py [--publish | --out FOLDER] [--quick]
Time: two and a half minutes on two cores; --quick 20 seconds.
Score: R2 0.98 or more on every generator with interactions left free; near that of the
true shapes at the additive end; the pair that interacts ranked first.

Nine generators of 2,000 rows and five features. Generators x 13 strengths of the expert
variance penalty x 8 seeds are one population, trained by one program; so are generators
x seeds of every gate, and of every number of experts. Scores are on 2,000 fresh rows,
against the signal without its noise.
"""

import jax
import numpy as np
from publish import at_least_one, deliver, make_parser, mean_sd, table
from synthetic_models import make_tasks, r2, score, train

from naejax import NAE
from naejax.explain.figure import new_figure
from naejax.explain.style import COLORS, GREY
from naejax.explain.tradeoff import plot_tradeoff

STRENGTHS = (0, 1e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
MODEL = NAE(num_experts=8, top_k=2, hidden=(32,), num_knots=64)
GATES = ("equal", "own", "none")
EXPERTS = ((2, 2), (8, 1), (8, 8), (32, 2))
EXPERT_TASKS = ("switch", "friedman1")
WEAK = 0.01
"""Strength at which gates and numbers of experts are compared."""
MARKERS = "osD^vPX*h"


def sweep(model, tasks, strengths, options, score=score):
    """Scores of models (strengths, seeds) of every task."""
    variables = train(
        model, tasks, strengths, options.seeds, options.epochs, not options.quick
    )
    return [
        score(model, task, jax.tree.map(lambda a, i=i: a[i], variables))
        for i, task in enumerate(tasks)
    ]


def draw_tradeoffs(tasks, found):
    """Score against additivity by generator; dashed: the best additive function."""
    figure = new_figure(figsize=(9, 8), dpi=80)
    axes = figure.subplots(3, 3, sharex=True, sharey=True).ravel()
    for ax, task, scores in zip(axes, tasks, found, strict=False):
        plot_tradeoff(scores.additivity.T, scores.r2.T, ax)
        if task.ceiling is not None:
            ax.axhline(task.ceiling, color=GREY, linestyle="--", linewidth=1)
        ax.set(xlabel="", xlim=(-0.05, 1.05), ylim=(-0.08, 1.08))
        ax.set_title(task.name, fontsize=10)
    figure.supxlabel("additivity", fontsize=10)
    figure.supylabel("R2", fontsize=10)
    return figure


def draw_control(tasks, found):
    """Spread of the experts, additivity and error of the shapes along the penalty."""
    figure = new_figure(figsize=(10, 3.6), dpi=80)
    panels = {
        "spread": "variance of experts",
        "additivity": "additivity",
        "shape_error": "error of the shapes",
    }
    strengths = [f"{strength:g}" for strength in STRENGTHS]
    for ax, (name, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for i, (task, scores) in enumerate(zip(tasks, found, strict=True)):
            style = {"color": COLORS[i % 7], "marker": MARKERS[i], "linewidth": 1}
            values = getattr(scores, name).mean(axis=1)
            places = range(len(values))
            ax.plot(places, values, label=task.name, markersize=3.5, **style)
        ax.set_xticks(range(len(strengths)), strengths, rotation=60, fontsize=7)
        if name != "additivity":
            ax.set_yscale("log")
        ax.set(xlabel="penalty", ylabel=label)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right", fontsize=7)
    return figure


def strengths_table(tasks, found, strengths):
    """A line per generator: both ends of the penalty, and where it scores best."""
    rows = []
    for task, scores in zip(tasks, found, strict=True):
        best = int(scores.r2.mean(axis=1).argmax())
        additive = _additive_end(scores)
        ranked = "-" if not task.pairs else mean_sd(scores.ranking[best], 2)
        rows.append(
            [
                task.name,
                f"{mean_sd(scores.r2[0], 3)}, {mean_sd(scores.additivity[0], 3)}",
                f"{mean_sd(scores.r2[best], 3)} at {strengths[best]:g}",
                f"{mean_sd(scores.r2[additive], 3)}, "
                f"{mean_sd(scores.additivity[additive], 3)} at {strengths[additive]:g}",
                "-" if task.ceiling is None else f"{task.ceiling:.3f}",
                mean_sd(scores.shape_error[additive], 3),
                ranked,
                f"{_steps(scores.spread, -1)}, {_steps(scores.additivity, 1)}",
            ]
        )
    head = ["generator", "R2, additivity, least penalty", "best R2", "additive end"]
    head += ["true shapes' R2", "shape error", "pairs ranked", "steps down, up"]
    return table(head, rows)


def _additive_end(scores):
    """The smallest penalty whose mean additivity is within 0.01 of the highest."""
    additivity = scores.additivity.mean(axis=1)
    return int(np.flatnonzero(additivity >= additivity.max() - 0.01)[0])


def _steps(values, sign):
    """How many steps of the penalty move the mean over seeds the way they should."""
    means = values.mean(axis=1)
    # A hundredth of the highest is within the noise of seeds.
    right = sign * np.diff(means) >= -0.01 * means.max()
    return f"{right.sum()} of {len(right)}"


def gates_table(tasks, found):
    """R2 of every gate on every generator."""
    head = ["generator", *found, "true shapes"]
    rows = [
        [
            task.name,
            *(mean_sd(scores[i], 3) for scores in found.values()),
            "-" if task.ceiling is None else f"{task.ceiling:.3f}",
        ]
        for i, task in enumerate(tasks)
    ]
    return table(head, rows)


def experts_table(tasks, found):
    """R2 by the number of experts, and of those that are active."""
    head = ["experts", "active", *(task.name for task in tasks)]
    rows = [
        [*sizes, *(mean_sd(scores, 3) for scores in each)]
        for sizes, each in sorted(found.items())
    ]
    return table(head, rows)


def gated(gate):
    """The model with another gate."""
    return MODEL.clone(gate=gate, num_experts=1 if gate == "none" else 8)


def compare(models, tasks, options):
    """R2 of the seeds of each model at the weak penalty, a list over the tasks."""
    return {
        key: [scores[0] for scores in sweep(model, tasks, [WEAK], options, score=r2)]
        for key, model in models.items()
    }


def main():
    parser = make_parser(__doc__, seeds=8)
    parser.add_argument("--epochs", type=at_least_one, default=20)
    options = parser.parse_args()
    strengths, gates, experts = STRENGTHS, GATES, EXPERTS
    tasks = make_tasks()
    if options.quick:
        options.seeds, options.epochs = 1, 1
        strengths, gates, experts = (WEAK, 1000), GATES[-1:], EXPERTS[:1]
        tasks = tasks[:4]
    found = sweep(MODEL, tasks, strengths, options)
    # The sweep has the context gate, and gate none is one expert, at the weak penalty.
    by_gate = {"context": [scores.r2[strengths.index(WEAK)] for scores in found]}
    by_gate |= compare({gate: gated(gate) for gate in gates}, tasks, options)
    some = [i for i, task in enumerate(tasks) if task.name in EXPERT_TASKS]
    known = {(1, 1): by_gate["none"], (8, 2): by_gate["context"]}
    by_size = {size: [r2s[i] for i in some] for size, r2s in known.items()}
    some = [tasks[i] for i in some]
    sizes = {(K, k): MODEL.clone(num_experts=K, top_k=k) for K, k in experts}
    by_size |= compare(sizes, some, options)
    text = f"""{strengths_table(tasks, found, strengths)}

Gates, at penalty {WEAK:g}, R2:

{gates_table(tasks, by_gate)}

Experts K and active ones k, at penalty {WEAK:g}, R2:

{experts_table(some, by_size)}"""
    figures = {"nae_tradeoffs": draw_tradeoffs(tasks, found)}
    figures["nae_control"] = draw_control(tasks, found)
    deliver(options, "nae_synthetic", text, figures)


if __name__ == "__main__":
    main()
