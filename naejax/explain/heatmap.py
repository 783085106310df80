"""A picture of interactions: which feature moves the contribution of which."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.style import FAINT, GREY, SMALL, shorten
from naejax.types import Numbers

MAX_FEATURES = 20
_MAX_NUMBERS = 10


def plot_interactions(
    matrix: Numbers,
    names: Sequence[str],
    ax: Any,
    *,
    unit: str = "the score",
    max_features: int = MAX_FEATURES,
) -> Any:
    """Draws an interaction matrix as a heat map.

    The square in row i and column j says how far feature j moves what feature i
    contributes. Of many features those with the largest entry in their row or column
    are drawn, in the order of the matrix.

    Args:
        matrix: of one output, from `interaction_matrix`, (F, F), not negative; the
            diagonal is not drawn.
        names: of the F features.
        ax: matplotlib Axes.
        unit: of the entries, for the colour bar.
        max_features: features to draw; a note counts the others.

    Returns:
        The same Axes, with a colour bar beside it.

    Raises:
        ValueError: the matrix does not fit the names, or has no square to draw.

    Example:
        >>> from matplotlib.figure import Figure
        >>> matrix = np.array([[0.0, 2.0], [1.0, 0.0]])
        >>> ax = plot_interactions(matrix, ["a", "b"], Figure().subplots())
        >>> ax.images[0].get_array().tolist()
        [[None, 2.0], [1.0, None]]
    """
    values = np.asarray(matrix, np.float64)
    if values.shape != (len(names), len(names)) or len(names) < 2 or max_features < 2:
        raise ValueError(
            f"the matrix has shape {values.shape} for {len(names)} names and "
            f"max_features={max_features}, expected a square of at least 2 features"
        )
    values = np.where(np.eye(len(names), dtype=bool), 0.0, values)
    strength = np.maximum(values.max(axis=0), values.max(axis=1))
    chosen = np.sort(np.argsort(-strength, kind="stable")[:max_features])
    values, count = values[np.ix_(chosen, chosen)], len(chosen)
    shown = np.ma.array(values, mask=np.eye(count, dtype=bool))
    top = values.max() or 1.0
    image = ax.imshow(shown, cmap="cividis", vmin=0, vmax=top, aspect="equal")
    if count <= _MAX_NUMBERS:
        for i, j in np.argwhere(~shown.mask):
            color = "#000000" if values[i, j] > 0.55 * top else "#FFFFFF"
            text = f"{values[i, j]:.2g}"
            ax.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=color)
    labels = [shorten(names[i], 20) for i in chosen]
    ax.set_xticks(range(count), labels, rotation=90, fontsize=8, parse_math=False)
    ax.set_yticks(range(count), labels, fontsize=8, parse_math=False)
    ax.set_facecolor(FAINT)
    hidden = len(names) - count
    note = f"\n{hidden} features with weaker interactions not shown" if hidden else ""
    ax.set_xlabel(f"… is moved by{note}", fontsize=8, color=GREY)
    ax.set_ylabel("contribution of …", fontsize=8, color=GREY)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.get_figure().colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=0)
    text = f"root mean square change, {shorten(unit, 40)}"
    bar.set_label(text, fontsize=8, parse_math=False)
    return ax
