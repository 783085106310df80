"""Going on with a run whose process was ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from naejax.data.image_sets import load_images
from naejax.runs.folder import MODEL_FILE
from naejax.runs.images import train_image_run
from naejax.runs.table import train_run
from naejax.runs.tables import open_data
from naejax.runs.unfinished import read_asked, remove
from naejax.settings import Settings, SOPSettings


def resume_run(
    out: str | Path, *, progress: bool = True, say: Callable[[str], None] = print
) -> None:
    """Ends a run that was begun, from its last checkpoint.

    The model is bitwise the one of a run that was never stopped.

    Args:
        out: the folder that the run is for; beside it lies ``out.unfinished``.
        progress: whether to show a progress bar.
        say: gets the lines to print.

    Raises:
        ValueError: if there is no unfinished run, or its data have changed.

    Example:
        >>> resume_run("runs/none")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: there is no .../none.unfinished, so runs/none was never begun, ...
    """
    asked = read_asked(out)
    try:
        model, data, seed = asked["model"], asked["data"], asked["seed"]
        settings = {name: _frozen(value) for name, value in asked["settings"].items()}
        how: dict[str, Any] = {
            "seed": seed,
            "overwrite": asked["how"]["overwrite"],
            "devices": asked["how"]["devices"],
            "checkpoint_seconds": asked["how"]["seconds"],
            "resume": True,
            "progress": progress,
            "say": say,
        }
        if model == "nae":
            chosen: Any = Settings(**settings)
        else:
            chosen = SOPSettings(**settings)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{out} was begun by another version of naejax ({error}); train anew, with "
            "--overwrite"
        ) from error
    if (Path(out) / MODEL_FILE).is_file() and not how["overwrite"]:
        # The process ended between the last two steps of the run.
        if jax.process_index() == 0:
            remove(out)
        say(f"{out} is done")
        return
    say(f"going on with {out}")
    if model == "nae":
        dataset = open_data(
            data,
            asked["target"],
            asked["task"],
            asked["categories"],
            asked.get("drop", ()),
            seed=seed,
        )
        train_run(dataset, chosen, out, **how)
    else:
        train_image_run(load_images(data, seed=seed), chosen, out, **how)


def _frozen(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
