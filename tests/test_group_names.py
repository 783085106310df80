"""Names that pictures of groups can do without, and true classes by their names."""

import numpy as np
import pytest
from test_group_plots import CLASSES, example, words

from naejax.explain.group_plots import plot_groups


def test_one_value_needs_no_name():
    x, output = example([[0.25, -1.5]], c=1)
    figure = plot_groups(x, output)
    named = plot_groups(x, output, targets=["prediction"])
    assert [words(ax) for ax in figure.axes] == [words(ax) for ax in named.axes]


def test_true_classes_go_by_index_or_name():
    x, output = example([[0.25, -1.5], [1.0, 0.0]])
    by_index, by_name = (
        plot_groups(x, output, classes=CLASSES, y=y)
        for y in (np.array([1, 0]), np.array(["dog", "cat"]))
    )
    assert [words(a) for a in by_index.axes] == [words(a) for a in by_name.axes]
    with pytest.raises(ValueError, match="y holds 'fox', expected names among the cl"):
        plot_groups(x, output, classes=CLASSES, y=["dog", "fox"])
