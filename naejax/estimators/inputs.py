"""What users hand to an estimator, checked and read as columns and vectors."""

from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from naejax.data.cells import Columns, check_names, unknown_name
from naejax.data.columns import read_columns
from naejax.estimators.rows import MIN_ROWS


def training_columns(
    estimator: Any, x: Any, categorical: Collection[str | int] | None
) -> Columns:
    """Reads the features of training rows and sets ``n_features_in_`` and names.

    Columns of arrays, and of data frames whose names are not text, are called by
    position: x0, x1, ...

    Args:
        estimator: that is being fitted.
        x: data frame or (N, F) array.
        categorical: names or positions of columns to read as categories.

    Returns:
        Column name -> (N,).

    Raises:
        ValueError: `x` is no table of at least 2 rows and 1 column, or a column is of
            no use; the message names it.

    Example:
        >>> from naejax.estimators import NAERegressor
        >>> list(training_columns(NAERegressor(), np.zeros((2, 2)), None))
        ['x0', 'x1']
    """
    if is_frame(x):
        check_names([str(name) for name in x.columns])
        validate_data(estimator, x, skip_check_array=True)
        values = [x[name] for name in x.columns]
        if len(x) < MIN_ROWS:
            raise ValueError(
                f"Found a table with {len(x)} sample(s) (shape={x.shape}) while a "
                f"minimum of {MIN_ROWS} is required by {type(estimator).__name__}."
            )
    else:
        values = list(_matrix(estimator, x, reset=True))
    names = feature_names(estimator)
    chosen = positions(categorical or (), names, "categorical_features")
    text = {names[i].strip() for i in chosen}
    return read_columns(dict(zip(names, values, strict=True)), text=text)


def prediction_columns(estimator: Any, x: Any) -> Columns:
    """Reads the features of rows for a fitted estimator.

    Columns of data frames are found by name where the estimator was fitted with names:
    in any order, and others are ignored. Otherwise they are taken by position.

    Args:
        estimator: with ``n_features_in_`` and, maybe, ``feature_names_in_``.
        x: data frame or (N, F) array.

    Returns:
        Column name -> (N,), names and order as in training.

    Raises:
        ValueError: a column is missing, or there are too few or too many.

    Example:
        >>> from naejax.estimators import NAERegressor
        >>> estimator = NAERegressor()
        >>> _ = training_columns(estimator, np.zeros((2, 2)), None)
        >>> list(prediction_columns(estimator, np.zeros((1, 2))))
        ['x0', 'x1']
    """
    names = feature_names(estimator)
    if not is_frame(x):
        values = list(_matrix(estimator, x, reset=False))
    else:
        given = list(x.columns)
        check_names([str(name) for name in given])
        if hasattr(estimator, "feature_names_in_") and isinstance(given[0], str):
            for name in names:
                if name not in given:
                    raise ValueError(
                        unknown_name(
                            f"X lacks the column {name!r}", name, map(str, given)
                        )
                    )
            values = [x[name] for name in names]
        else:
            validate_data(estimator, x, reset=False, skip_check_array=True)
            values = [x[name] for name in given]
    return read_columns(dict(zip(names, values, strict=True)))


def is_frame(x: Any) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return hasattr(x, "columns") and hasattr(x, "__getitem__")


def feature_names(estimator: Any) -> list[str]:
    """The names of the columns that an estimator was fitted with."""
    if hasattr(estimator, "feature_names_in_"):
        return [str(name) for name in estimator.feature_names_in_]
    return [f"x{i}" for i in range(estimator.n_features_in_)]


def positions(
    keys: Collection[str | int], names: Sequence[str], what: str
) -> list[int]:
    """Translates names or positions of columns to positions.

    Args:
        keys: names or positions.
        names: of all columns.
        what: the parameter that holds the keys, for messages.

    Returns:
        One position for every key.

    Raises:
        ValueError: there is no such column; the message names the nearest.

    Example:
        >>> positions(["b", 0], ["a", "b"], "monotone")
        [1, 0]
    """
    found = []
    for key in keys:
        if isinstance(key, str) and key in names:
            found.append(list(names).index(key))
        elif isinstance(key, str):
            message = f"{what} names {key!r}, which is no column of X"
            raise ValueError(unknown_name(message, key, names))
        elif isinstance(key, Integral) and 0 <= key < len(names):
            found.append(int(key))
        else:
            raise ValueError(
                f"{what} holds {key!r}, expected the name of a column or its position "
                f"from 0 to {len(names) - 1}"
            )
    return found


def directions(
    monotone: Mapping[str | int, int], names: Sequence[str]
) -> tuple[tuple[str, int], ...]:
    """Translates ``monotone`` of an estimator to that of `naejax.settings.Settings`.

    Args:
        monotone: name or position of a column -> -1, 0 or 1.
        names: of all columns.

    Returns:
        Pairs of a column's name and its direction.

    Raises:
        ValueError: there is no such column or direction.

    Example:
        >>> directions({1: -1}, ["a", "b"])
        (('b', -1),)
    """
    at = positions(monotone, names, "monotone")
    for key, sign in monotone.items():
        if sign not in (-1, 0, 1):
            raise ValueError(f"monotone of {key!r} is {sign!r}, expected -1, 0 or 1")
    signs = map(int, monotone.values())
    return tuple((names[i].strip(), s) for i, s in zip(at, signs, strict=True))


def read_eval_set(eval_set: Any) -> tuple[Any, Any, Any, Any]:
    """Completes ``(X, y)``, ``(X, y, weight)`` or ``(X, y, weight, init_score)``."""
    if not isinstance(eval_set, tuple | list) or not 2 <= len(eval_set) <= 4:
        raise ValueError(
            f"eval_set is {type(eval_set).__name__}, expected (X, y), (X, y, weight) "
            "or (X, y, weight, init_score)"
        )
    x, y, weight, score = (*eval_set, None, None)[:4]
    return x, y, weight, score


def target_name(y: Any, columns: Columns) -> str:
    """The name of a Series, or "target"; with underscores if a feature has it."""
    name = getattr(y, "name", None)
    name = name if isinstance(name, str) and name.strip() else "target"
    while name in columns:
        name += "_"
    return name


def _matrix(estimator: Any, x: Any, *, reset: bool) -> np.ndarray:
    """Columns (F, N) of anything like an array."""
    if isinstance(x, list | tuple) and np.asarray(x).dtype.kind in "US":
        # Numbers beside text: numpy would turn all of them into text.
        x = np.asarray(x, dtype=object)
    matrix = validate_data(
        estimator,
        x,
        reset=reset,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_samples=MIN_ROWS if reset else 1,
    )
    return matrix.T
