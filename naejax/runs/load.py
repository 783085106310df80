"""The model of a run folder, or what else somebody could have meant by a folder."""

import shlex
from pathlib import Path

from naejax import artifact
from naejax.runs.folder import MODEL_FILE
from naejax.tabular import TabularNAE
from naejax.vision import ImageSOP

_LISTED = 10


def load_run(run: str | Path) -> TabularNAE | ImageSOP:
    """Loads the model of a run folder.

    Args:
        run: a folder that naejax train or naejax sweep made.

    Returns:
        The model, one that explains itself.

    Raises:
        ValueError: if there is none; where runs lie in the folder, it names them.

    Example:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        ValueError: nowhere is not a folder, expected one that naejax train made
    """
    run = Path(run)
    if not run.is_dir():
        raise ValueError(f"{run} is not a folder, expected one that naejax train made")
    file = run / MODEL_FILE
    runs = [p.parent for p in run.glob(f"*/{MODEL_FILE}") if p.parent.name[0] != "."]
    if runs and not file.exists():
        listed = ", ".join(shlex.quote(str(path)) for path in sorted(runs)[:_LISTED])
        more = f", ... ({len(runs)} in all)" if len(runs) > _LISTED else ""
        raise ValueError(f"{run} holds runs but is none; name one: {listed}{more}")
    fitted = artifact.load(file)
    if not isinstance(fitted, TabularNAE | ImageSOP):
        raise ValueError(
            f"{file} holds a model of type {type(fitted).__name__}, expected one of a "
            "table or of images that explains itself; train one with naejax train"
        )
    return fitted
