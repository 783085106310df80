"""Shapes as the dictionaries that users of InterpretML know."""

from collections.abc import Sequence
from typing import Any

from naejax.data.cells import is_missing
from naejax.explain.additive import Shape


def shape_data(shape: Shape, classes: Sequence[str] = ()) -> dict[str, Any]:
    """One feature's shape with the keys of InterpretML's ``explain_global().data(i)``.

    Numbers come as n bins with n + 1 edges, which lie halfway between the shape's
    positions; the outer ones end where the density does. Bounds are the context range,
    the smallest and the largest contribution that any context can give there. They are
    not the error bars that InterpretML has under the same keys.

    Args:
        shape: one of `compute_shapes`.
        classes: names of the classes, if there are any.

    Returns:
        ``type`` ("univariate"), ``names`` (levels, or edges of bins), ``scores``,
        ``lower_bounds`` and ``upper_bounds`` ((n,), of several outputs (n, C)),
        ``density`` with ``names`` and ``scores`` (numbers of rows); with classes
        ``meta`` with ``label_names``; where rows lack a value ``missing`` with
        ``score``, ``lower_bound``, ``upper_bound`` and ``rows``.

    Example:
        >>> import numpy as np
        >>> from naejax.data import infer_schema
        >>> from naejax.explain import compute_shapes
        >>> from naejax.types import NAEOutput
        >>> columns = {"age": np.repeat([18.0, 65.0], 6), "pay": np.arange(12.0)}
        >>> f = np.repeat([-1.0, 1.0], 6).reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> (shape,) = compute_shapes(output, columns, infer_schema(columns, "pay"))
        >>> data = shape_data(shape)
        >>> data["names"], data["scores"], data["density"]["scores"]
        ([18.0, 41.5, 65.0], array([-1.,  1.]), [6, 6])
    """
    known = ~is_missing(shape.positions)
    positions, counts = shape.positions[known], shape.counts[known]
    curves = shape.mean, shape.lower, shape.upper
    if len(shape.shift) == 1:
        curves = shape.mean[:, 0], shape.lower[:, 0], shape.upper[:, 0]
    names = positions.tolist()
    if shape.window is not None:
        left, right = shape.window
        middle = (positions[1:] + positions[:-1]) / 2
        ends = min(left, positions[0]), max(right, positions[-1])
        names = [float(ends[0]), *middle.tolist(), float(ends[1])]
    has_bars = len(shape.histogram) > 0
    data: dict[str, Any] = {
        "type": "univariate",
        "names": names,
        **dict(
            zip(
                ("scores", "lower_bounds", "upper_bounds"),
                (curve[known] for curve in curves),
                strict=True,
            )
        ),
        "density": {
            "names": shape.edges.tolist() if has_bars else names,
            "scores": (shape.histogram if has_bars else counts).tolist(),
        },
    }
    if classes:
        data["meta"] = {"label_names": list(classes)}
    if not known.all():
        keys = ("score", "lower_bound", "upper_bound")
        ends_of_missing = (curve[~known][0] for curve in curves)
        data["missing"] = dict(zip(keys, ends_of_missing, strict=True))
        data["missing"]["rows"] = int(shape.counts[~known][0])
    return data
