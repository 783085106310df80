"""Which output of a model is explained, and what its score is called."""

from collections.abc import Sequence

from naejax.data.cells import unknown_name


def output_index(label: int | str, classes: Sequence[str], num_outputs: int) -> int:
    """Finds an output by its index or the name of its class.

    Args:
        label: index from 0 to C - 1, or one of the classes.
        classes: names of the C outputs, of two where C = 1, or empty.
        num_outputs: C.

    Returns:
        The index c; of two classes with one score, both names mean that score.

    Raises:
        ValueError: there is no such output.

    Example:
        >>> output_index("b", ["a", "b", "c"], 3), output_index("no", ["no", "yes"], 1)
        (1, 0)
    """
    if isinstance(label, str):
        if label not in classes:
            message = f"label is {label!r}, which is no class"
            raise ValueError(unknown_name(message, label, classes))
        return list(classes).index(label) if num_outputs > 1 else 0
    if not 0 <= label < num_outputs:
        raise ValueError(
            f"label is {label}, expected an output from 0 to {num_outputs - 1}"
        )
    return int(label)


def score_name(
    target: str, classes: Sequence[str] = (), label: int | None = None
) -> str:
    """What contributions add up to, on the link scale.

    Args:
        target: name of the column that is predicted, with its unit if it has one.
        classes: its classes; of two, the score is the log-odds of the second.
        label: one of more than two classes; None: all of them.

    Returns:
        The name, for an axis.

    Example:
        >>> score_name("income", ["no", "yes"]), score_name("kind", ["a", "b", "c"], 2)
        ('log-odds of yes', 'score of c')
    """
    if len(classes) == 2:
        return f"log-odds of {classes[1]}"
    if not classes:
        return target
    return f"score of each {target}" if label is None else f"score of {classes[label]}"
