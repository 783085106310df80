"""The columns that somebody named: they must be there, and fit each other."""

from collections.abc import Collection, Sequence

from naejax.data.cells import unknown_name


def check_chosen(
    names: Collection[str],
    target: str | None,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    *,
    source: str = "",
) -> str:
    """Refuses columns that a table lacks, and a target that is no longer one.

    Args:
        names: of the table's columns.
        target: the column to predict.
        categories: columns whose numbers are names of groups.
        drop: columns to leave out.
        source: of the table, for messages.

    Returns:
        The target.

    Raises:
        ValueError: with the first name at fault.

    Example:
        >>> check_chosen(["age", "city", "y"], "y", drop=["aeg"])
        Traceback (most recent call last):
        ValueError: no column 'aeg'; did you mean 'age'? There are: age, city, y
    """
    if target is None:
        where = f" for {source}" if source else ""
        raise ValueError(
            f"no target column given{where}; name one of: {', '.join(names)}"
        )
    if target not in names:
        raise ValueError(unknown_name(f"no target column {target!r}", target, names))
    for name in (*categories, *drop):
        if name not in names:
            raise ValueError(unknown_name(f"no column {name!r}", name, names))
    if target in categories:
        raise ValueError(
            f"{target!r} is the target; for classes pass task 'classification'"
        )
    if target in drop:
        raise ValueError(
            f"{target!r} is the target, which cannot be dropped; name another target, "
            "or drop other columns"
        )
    return target
