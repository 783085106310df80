"""A trained run explained on one HTML page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.cells import Columns
from naejax.data.image_file import read_arrays, read_npz
from naejax.data.image_sets import available_images, load_images
from naejax.data.images import Images, as_images
from naejax.data.parquet_files import is_parquet
from naejax.data.rows import column_names, read_rows
from naejax.files import check_new_file, write_file
from naejax.reports.findings import TableRows
from naejax.reports.images import ImageRows, image_report
from naejax.reports.page import render
from naejax.reports.table import table_report
from naejax.reports.write import about_images, about_table
from naejax.runs.load import load_run
from naejax.runs.tables import LargeTable, as_run_table, open_data
from naejax.tabular import TabularNAE, evaluate_table
from naejax.vision import ImageSOP

Say = Callable[[str], None]


def explain_run(
    run: str | Path,
    out: str | Path,
    data: str | Path | None = None,
    *,
    overwrite: bool = False,
    say: Say = print,
) -> None:
    """Explains a trained run on one HTML page.

    Without `data` the run's own data set is loaded and split as in training: shapes
    come from its training rows, scores and single rows from its test rows; of images
    the test images are shown. With `data`, all comes from the rows of that file, unless
    it is the run's own table at another place.

    Args:
        run: a run folder.
        out: the HTML file to write.
        data: for a run on a table a CSV file with its columns; for a run on images an
            .npz file with images ``x``, or a source of `naejax.data.load_images`.
        overwrite: whether to replace an existing file.
        say: gets a line on what is done.

    Raises:
        ValueError: if the run, the data or the file cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_dataset
        >>> from naejax.runs import train_run
        >>> from naejax.settings import Settings
        >>> folder, quiet = Path(tempfile.mkdtemp()), lambda line: None
        >>> settings = Settings(epochs=1, num_experts=4, hidden=(8,))
        >>> train_run(load_dataset("wine"), settings, folder / "run", progress=False,
        ...           say=quiet)
        >>> explain_run(folder / "run", folder / "report.html", say=quiet)
        >>> (folder / "report.html").is_file()
        True
    """
    run, out = Path(run), Path(out)
    check_new_file(out, overwrite=overwrite)
    fitted = load_run(run)
    config = _read_json(run / "config.json")
    if isinstance(fitted, TabularNAE):
        report = _explain_table(run, fitted, config, data, say)
    else:
        report = _explain_images(run, fitted, config, data, say)
    page = render(report)
    write_file(out, page)
    say(f"{out}: {len(page.encode()) / 1e6:.2f} MB, open it in a browser")


def _explain_table(
    run: Path,
    fitted: TabularNAE,
    config: dict[str, Any],
    data: str | Path | None,
    say: Say,
) -> dict[str, Any]:
    """The report of a run on a table."""
    name, seed = str(data or config["data"]), int(config["seed"])
    if name.endswith(".npz") or (data is not None and name in available_images()):
        raise ValueError(
            f"the run is on a table, {name} holds images; give a .csv file"
        )
    metrics = _read_json(run / "metrics.json")
    parts = _own_split(fitted, config, metrics, name, required=data is None)
    target, short = fitted.encoder.schema.target.name, Path(name).name
    if parts is not None:
        say(f"{name}: the run's own table")
        sizes = metrics["rows"]
        called = {
            part: _called(part, len(columns[target]), sizes[part], short)
            for part, columns in parts.items()
        }
        rows = TableRows(
            parts["training"],
            called["training"],
            parts["test"],
            called["test"],
            sizes,
            "test row",
        )
        scores = [{"name": "NAE", "split": "test", "values": metrics["test"]}]
        scores += [
            {"name": f"{baseline} model", "split": "test", "values": values}
            for baseline, values in metrics["baselines"].items()
        ]
        scores.append(
            {"name": "NAE", "split": "validation", "values": metrics["validation"]}
        )
        notes = [
            f"Shapes come from the {rows.shown_from}; scores, single rows and the "
            f"pictures of errors from the {rows.scored_on}, which training never saw."
        ]
    else:
        given = read_rows(fitted.encoder, name)
        say(f"{name}: rows that the run was not split from")
        what = f"rows of {short}"
        rows, scores = TableRows(given, what, given, what), []
        if target in given:
            values = evaluate_table(fitted, given)
            scores = [{"name": "NAE", "split": what, "values": values}]
        notes = [
            f"Shapes, single rows and scores come from the {what}, given with --data."
        ]
    return table_report(
        fitted,
        rows,
        title=f"{Path(str(config['data'])).name}: what tells {target}",
        about=[("data", short), ("run", run.name), *about_table(fitted)],
        scores=scores,
        notes=notes,
        seed=seed,
        say=say,
    )


def _own_split(
    fitted: TabularNAE,
    config: dict[str, Any],
    metrics: dict[str, Any],
    name: str,
    *,
    required: bool,
) -> dict[str, Columns] | None:
    """Training, validation and test rows of the run; None if the table is another."""
    schema = fitted.encoder.schema
    try:
        drop = config.get("drop", ())
        if Path(name).is_file() or is_parquet(name):
            # They may be gone from a copy of the table.
            drop = [column for column in drop if column in column_names(Path(name))]
        dataset = open_data(
            name,
            config["target"],
            config["task"],
            config.get("categories", ()),
            drop,
            seed=int(config["seed"]),
        )
        table = as_run_table(dataset, int(config["seed"]))
        same = table.schema == schema
        if same:
            table.split()
    except (ValueError, OSError) as error:
        if not required:
            # Rows to explain need not be a table to train on.
            return None
        raise ValueError(
            f"cannot read {name}, on which the run was trained ({error}); give the "
            "rows to explain with --data FILE.csv"
        ) from error
    if same:
        parts = table.some_rows()
        # The same cells in another order would be split otherwise, and sampled so.
        if isinstance(table, LargeTable) or _agree(
            evaluate_table(fitted, parts["test"]), metrics["test"]
        ):
            return parts
    if required:
        raise ValueError(
            f"{name} has changed since the run was trained on it, so its test rows "
            "cannot be found again; give the rows to explain with --data FILE.csv"
        )
    return None


def _called(part: str, count: int, total: int, short: str) -> str:
    """Rows of a part in words; of a large table some stand for all."""
    some = "" if count == total else f"{count:,} of {total:,} "
    return f"{some}{part} rows of {short}"


def _agree(found: dict[str, float], recorded: dict[str, float]) -> bool:
    """Whether scores are the recorded ones, up to the rounding of another machine."""
    return all(
        np.isclose(found[name], value, rtol=0.01, atol=1e-6, equal_nan=True)
        for name, value in recorded.items()
    )


def _explain_images(
    run: Path,
    fitted: ImageSOP,
    config: dict[str, Any],
    data: str | Path | None,
    say: Say,
) -> dict[str, Any]:
    """The report of a run on images."""
    name, seed = str(data or config["data"]), int(config["seed"])
    if name.endswith(".csv"):
        raise ValueError(
            f"the run is on images, {name} is a table; give an .npz file or a name"
        )
    images, is_own, what = _read_images(fitted, config, name, seed, data is not None)
    say(f"{name}: explaining {what}")
    metrics = _read_json(run / "metrics.json")["test"]
    labels = {
        "sop": "Sum-of-Parts",
        "backbone": "backbone",
        "backbone_on_parts": "backbone, true parts alone",
    }
    scores = [
        {"name": label, "split": "test", "values": metrics[key]}
        for key, label in labels.items()
        if key in metrics
    ]
    groups = metrics["groups"]
    notes = [
        f"Of the {fitted.model.num_groups} groups of a test image {groups['used']:.1f} "
        f"are used on average; together they keep {100 * groups['covered']:.0f} %."
    ]
    if not is_own:
        notes.append(
            f"Scores are those of the run's own test images; the gallery shows {what}."
        )
    return image_report(
        fitted,
        ImageRows(
            images.x,
            what,
            None if images.target.size == 0 else images.target,
            images.parts,
            "test image" if what.startswith("test") else "image",
        ),
        title=f"{Path(str(config['data'])).name}: what the groups add up to",
        about=[("data", Path(name).name), ("run", run.name), *about_images(fitted)],
        scores=scores,
        notes=notes,
    )


def _read_images(
    fitted: ImageSOP, config: dict[str, Any], name: str, seed: int, is_given: bool
) -> tuple[Images, bool, str]:
    """Images to show, whether they are the run's test images, and what they are."""
    short = Path(name).name
    if name.endswith(".npz") and is_given and name != config["data"]:
        return _read_npz(fitted, Path(name)), False, f"images of {short}"
    try:
        dataset = load_images(name, seed=seed)
    except (ValueError, OSError) as error:
        if is_given:
            raise
        raise ValueError(
            f"cannot read {name}, on which the run was trained ({error}); give the "
            f"images to explain with --data FILE.npz, or by name "
            f"({', '.join(available_images())})"
        ) from error
    names = (dataset.classes, dataset.targets)
    is_own = name == config["data"] and names == _names(fitted)
    if is_own or names == _names(fitted):
        return dataset.test, is_own, f"test images of {short}"
    test = Images(dataset.test.x, np.zeros(0), dataset.test.parts)
    return test, False, f"test images of {short}"


def _read_npz(fitted: ImageSOP, path: Path) -> Images:
    """All images of a file, with their targets where the model knows them."""
    arrays = read_arrays(path)
    if "x" not in arrays:
        raise ValueError(
            f"{path} holds {', '.join(arrays) or 'no arrays'}, expected the array x; "
            "add it with numpy.savez"
        )
    if "y" in arrays:
        source = read_npz(path)
        if (source.classes, source.targets) == _names(fitted):
            return source.images
    x = arrays["x"]
    images = as_images(x, np.zeros(x.shape[:1], np.int32), arrays.get("parts"))
    return Images(images.x, np.zeros(0), images.parts)


def _names(fitted: ImageSOP) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes and targets of a model of images."""
    return tuple(fitted.backbone.classes), tuple(fitted.backbone.targets)


def _read_json(path: Path) -> dict[str, Any]:
    """A file of a run folder."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cannot read {path} ({type(error).__name__}), expected the file that "
            "naejax train wrote; train the run again"
        ) from error
