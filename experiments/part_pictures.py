"""Pictures of groups beside cuts of the same size, and of what cuts are worth."""

import numpy as np
from part_maps import BUDGETS
from part_measures import OWN, STEPS

from naejax.explain.figure import new_figure
from naejax.explain.group_panel import (
    draw_group,
    draw_image,
    draw_outline,
    draw_sum,
    show,
    to_pictures,
)
from naejax.explain.groups import merge_duplicates
from naejax.explain.style import COLORS, GREY, signed
from naejax.ops.grouping import upsample_nearest

SHOWN = 3
"""Groups that have a picture of their own; the others are one bar."""
OTHERS = ("gradient", "integrated gradients")
OTHERS += tuple(f"{name}, {BUDGETS[-1].calls} calls" for name in ("LIME", "SHAP"))
FEW = f"{BUDGETS[0].calls} calls"
COLOR = dict(zip(OTHERS[:2], COLORS[1:3], strict=True))
COLOR |= {OWN: COLORS[0], "LIME": COLORS[3], "SHAP": COLORS[4], "random": GREY}


def draw_cuts(explained, kept, classes, examples=3):
    """A row per image: its strongest groups, how they add up, and other methods' cuts.

    Args:
        explained: the models on some images, of which the first of each predicted
            class are drawn; in a regression the first.
        kept: parts that each method keeps, as many as Sum-of-Parts, (N, 1, *grid).
        classes: names of the C outputs.
        examples: how many, at most.

    Returns:
        A matplotlib Figure.
    """
    label = explained.labels[:, 0]
    first = np.sort(np.unique(label, return_index=True)[1])
    chosen = first if explained.target.ndim == 1 else np.arange(len(label))
    chosen = chosen[:examples]
    others = {name: kept[name] for name in OTHERS if name in kept}
    widths = [1] * (1 + SHOWN) + [1.6] + [1] * len(others)
    figure = new_figure(figsize=(1.3 * sum(widths), 1.4 * len(chosen) + 0.3), dpi=80)
    axes = figure.subplots(len(chosen), len(widths), width_ratios=widths, squeeze=False)
    pictures = to_pictures(explained.x, 2)
    output = explained.output
    merged = [np.asarray(a) for a in merge_duplicates(output, label)]
    for i, row in zip(chosen, axes, strict=True):
        parts = None if explained.parts is None else explained.parts[i][None]
        draw_image(row[0], pictures[i], parts)
        row[0].set_ylabel(classes[label[i]], fontsize=8)
        shares = _draw_groups(row[1:], pictures[i], output.masks[i], merged, i)
        draw_sum(row[1 + SHOWN], shares)
        for ax, cut in zip(row[2 + SHOWN :], others.values(), strict=True):
            mask = np.asarray(upsample_nearest(cut[i, 0], pictures.shape[1:3]))
            draw_cut(ax, pictures[i], mask)
    for ax, name in zip(axes[0, 2 + SHOWN :], others, strict=True):
        ax.set_title(name.replace(" ", "\n", 1), fontsize=9, color=GREY)
    axes[0, 0].set_title("input", fontsize=9, color=GREY)
    axes[0, 1 + SHOWN].set_title("groups added up", fontsize=9, color=GREY)
    return figure


def draw_cut(ax, picture, mask):
    """Draws what is left of a picture (H, W, 3); the rest is pale."""
    show(ax, 0.8 + 0.2 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1))
    show(ax, picture, alpha=mask.astype(float))
    draw_outline(ax, mask, GREY, 0.8)


def draw_shares(curves, models, ylabels):
    """Accuracy or MSE of the backbone by the share of parts that it sees.

    Args:
        curves: by data set and method, of every seed, (S, STEPS + 1).
        models: by data set, numbers of the models, means over the seeds.
        ylabels: by data set.

    Returns:
        A matplotlib Figure with a panel for each data set.
    """
    figure = new_figure(figsize=(3.4 * len(curves), 3.3), dpi=80)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    shares = np.arange(STEPS + 1) / STEPS
    for ax, (data, methods) in zip(panels, curves.items(), strict=True):
        for name, values in methods.items():
            kind, _, calls = name.partition(", ")
            ax.plot(
                shares[1:],
                np.mean(values, axis=0)[1:],
                color=COLOR[kind],
                linestyle=":" if calls == FEW else "-",
                linewidth=2 if name == OWN else 1.2,
                zorder=3 if name == OWN else 2,
                label=name,
            )
        own, backbone = models[data]["own"], models[data]["backbone"]
        ax.axhline(backbone, color="#000000", linewidth=0.8, label="whole image")
        at = models[data]["covered"]
        style = {"color": COLOR[OWN], "marker": "*", "markersize": 11, "zorder": 4}
        ax.plot([at], [own], linestyle="", label="Sum-of-Parts' own sum", **style)
        ax.set(title=data, xlabel="share of parts shown", ylabel=ylabels[data])
        ax.spines[["top", "right"]].set_visible(False)
    entries = panels[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _draw_groups(axes, picture, masks, merged, i):
    """The strongest groups of image i; what all of them add, by name."""
    contributions, counts = (a[i] for a in merged)
    order = np.lexsort((-abs(contributions), counts == 0))[: (counts > 0).sum()]
    first, rest = order[:SHOWN], order[SHOWN:]
    texts = signed(contributions[first])
    for ax, g, text in zip(axes, first, texts, strict=False):
        draw_group(ax, picture, masks[g], contributions[g], text=text)
    for ax in axes[len(first) : SHOWN]:
        ax.axis("off")
    shares = {str(k + 1): contributions[g] for k, g in enumerate(first)}
    if len(rest):
        shares[f"+{len(rest)}"] = contributions[rest].sum()
    return shares
