"""Figures without pyplot and its global state, which notebooks show all the same."""

import functools
import io
import warnings
from typing import Any


def new_figure(**options: Any) -> Any:
    """A matplotlib Figure that a notebook shows as the value of a cell.

    Args:
        **options: of `matplotlib.figure.Figure`.

    Returns:
        The figure, without Axes.

    Example:
        >>> new_figure(figsize=(2, 1))._repr_png_()[1:4]
        b'PNG'
    """
    return _figure_class()(**{"dpi": 120, "layout": "constrained", **options})


def png(figure: Any) -> bytes:
    """A matplotlib Figure as the bytes of a PNG file.

    Args:
        figure: the figure.

    Returns:
        The picture.

    Example:
        >>> from matplotlib.figure import Figure
        >>> png(Figure())[1:4]
        b'PNG'
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


@functools.cache
def _figure_class() -> type:
    """Made when first used: matplotlib is not imported before."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A Figure that shows itself where no backend of a notebook does."""

        def _repr_png_(self) -> bytes:
            return png(self)

    return NotebookFigure
