"""Writing a report: one HTML file that needs nothing else."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.images import as_images
from naejax.data.rows import read_rows
from naejax.data.tokenized import TokenizedTexts
from naejax.evaluation import classification_scores, log_probabilities
from naejax.files import write_file
from naejax.reports.diagnostics import sample_rows
from naejax.reports.findings import TableRows, num_rows
from naejax.reports.images import ImageRows, image_report
from naejax.reports.page import render
from naejax.reports.table import table_report
from naejax.reports.texts import text_report
from naejax.tabular import TabularNAE, evaluate_table
from naejax.texts import TextSOP, explain_texts
from naejax.vision import ImageSOP, explain_images
from naejax.vision.evaluate import image_scores

_SCORED = 200


def report(
    model: Any,
    X: Any,
    y: Any = None,
    path: str | Path = "report.html",
    *,
    title: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Writes a page that explains a model on some rows, images or texts.

    One HTML file below 2 MB that opens without a network. For a model of a table it
    shows scores, importance, the shape of every feature with its context, interactions,
    single rows, and warnings; for Sum-of-Parts images or texts, their groups and the
    sum. What was sampled is said on the page.

    Args:
        model: a fitted estimator, `naejax.tabular.TabularNAE`,
            `naejax.vision.ImageSOP` or `naejax.texts.TextSOP`.
        X: rows, as the estimator or `naejax.data.read_columns` takes them; or images
            (N, H, W, Ch); or `naejax.data.TokenizedTexts`.
        y: their targets; without them there are no scores. For a `TabularNAE` they may
            be a column of X; texts have labels, which y replaces.
        path: of the file; an existing one is replaced.
        title: of the page.
        seed: of all samples.
        say: gets a line on what is done.

    Returns:
        The path.

    Raises:
        ValueError: if the model, the rows or the path cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax import NAERegressor
        >>> x = np.linspace(0, 1, 64)[:, None]
        >>> model = NAERegressor(num_experts=4, hidden=(8,), epochs=2)
        >>> model.fit(x, 3 * x[:, 0])  # doctest: +ELLIPSIS
        NAERegressor(...)
        >>> path = report(model, x, 3 * x[:, 0], f"{tempfile.mkdtemp()}/report.html")
        >>> path.read_text().startswith("<!doctype html>")
        True
    """
    if isinstance(model, ImageSOP):
        data = _of_images(model, X, y, title, seed)
    elif isinstance(model, TextSOP):
        data = _of_texts(model, X, y, title, seed)
    else:
        fitted, columns = _read(model, X, y)
        data = _of_table(fitted, columns, title, seed, say)
    write_file(path, render(data))
    return Path(path)


def about_table(fitted: TabularNAE) -> list[tuple[str, str]]:
    """What a model of a table is, as labels and texts.

    Args:
        fitted: a fitted model.

    Returns:
        Pairs for the head of a report.
    """
    size = getattr(fitted.model, "size", 1)
    member = getattr(fitted.model, "member", fitted.model)
    active = min(member.top_k, member.num_experts)
    experts = f"{member.num_experts} experts per column"
    if member.gate in ("context", "equal"):
        experts += f", at most {active} active per row"
    pairs = [("model", f"Neural Additive Experts, {experts}, gate “{member.gate}”")]
    if size > 1:
        pairs.append(("ensemble", f"mean of {size} such models"))
    signs = {-1: "falls", 1: "rises"}
    names = [feature.name for feature in fitted.encoder.schema.features]
    monotone = [
        f"never {signs[-sign]} with {name}"
        for name, sign in zip(names, member.monotone or (), strict=False)
        if sign
    ]
    if monotone:
        pairs.append(("constraint", f"the score {'; '.join(monotone)}"))
    pairs.append(("loss", fitted.loss.replace("_", " ")))
    pairs.append(("encoding", f"fitted on {fitted.encoder.rows:,} rows"))
    pairs.append(("naejax", package_version()))
    return pairs


def about_images(fitted: ImageSOP) -> list[tuple[str, str]]:
    """What a model of images is, as labels and texts.

    Args:
        fitted: a fitted model.

    Returns:
        Pairs for the head of a report.
    """
    height, width, channels = fitted.backbone.shape
    return [
        ("model", f"Sum-of-Parts, {fitted.model.num_groups} groups per image"),
        ("images", f"{height} x {width} pixels, {channels} channels"),
        ("naejax", package_version()),
    ]


def about_texts(fitted: TextSOP, texts: TokenizedTexts) -> list[tuple[str, str]]:
    """What a model of texts is, and how it gets them, as labels and texts.

    Args:
        fitted: a fitted model.
        texts: some of its texts.

    Returns:
        Pairs for the head of a report.
    """
    cut = f", {texts.shortened:,} of them shortened" if texts.shortened else ""
    return [
        ("model", f"Sum-of-Parts, {fitted.model.num_groups} groups per text"),
        (
            "texts",
            f"at most {texts.x.shape[1]:,} tokens, {texts.num_parts:,} parts{cut}",
        ),
        ("naejax", package_version()),
    ]


def package_version() -> str:
    """The version of naejax that is installed."""
    try:
        return version("naejax")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _of_table(
    fitted: TabularNAE,
    columns: Columns,
    title: str | None,
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The report on a model and one table, whose rows serve everything."""
    target = fitted.encoder.schema.target.name
    rows = TableRows(columns, "rows given", columns, "rows given")
    scores = []
    if target in columns:
        values = evaluate_table(fitted, columns)
        scores = [{"name": "NAE", "split": "rows given", "values": values}]
    notes = [
        "Shapes, scores and single rows all come from the rows that were given; if the "
        "model was trained on them, its scores are too good."
    ]
    return table_report(
        fitted,
        rows,
        title=title or f"What tells {target}",
        about=about_table(fitted),
        scores=scores,
        notes=notes if scores else [],
        seed=seed,
        say=say,
    )


def _read(model: Any, x: Any, y: Any) -> tuple[TabularNAE, Columns]:
    """The model of a table, and its rows with their target if it is known."""
    values: np.ndarray | None
    if isinstance(model, TabularNAE):
        fitted, columns = model, read_rows(model.encoder, x)
        target = fitted.encoder.schema.target
        if y is None:
            return fitted, columns
        text = [target.name] if target.classes else []
        values = read_columns({target.name: y}, text=text)[target.name]
    else:
        fitted, columns, values = _read_estimator(model, x, y)
        target = fitted.encoder.schema.target
        if values is None:
            return fitted, columns
    rows = num_rows(columns)
    if len(values) != rows:
        raise ValueError(
            f"X has {rows} rows and y {len(values)}, expected one target per row"
        )
    return fitted, {**columns, target.name: values}


def _read_estimator(
    model: Any, x: Any, y: Any
) -> tuple[TabularNAE, Columns, np.ndarray | None]:
    """The model in an estimator, its rows, and their targets as it knows them."""
    # Estimators import scikit-learn at once; nothing else here does.
    from sklearn.utils.validation import check_is_fitted

    from naejax.estimators.base import BaseNAE
    from naejax.estimators.inputs import prediction_columns

    if not isinstance(model, BaseNAE):
        raise ValueError(
            f"got a {type(model).__name__}, expected a fitted NAERegressor, "
            "NAEClassifier, TabularNAE, ImageSOP or TextSOP"
        )
    check_is_fitted(model)
    values = None if y is None else model._read_known_target(y)
    return model.fitted_, prediction_columns(model, x), values


def _of_images(
    fitted: ImageSOP, x: Any, y: Any, title: str | None, seed: int
) -> dict[str, Any]:
    """The report on a model of images and some images."""
    target = np.zeros(len(x), np.int32) if y is None else image_target(fitted, y)
    images = as_images(np.asarray(x), target)
    scores: list[dict[str, Any]] = []
    if y is not None:
        chosen = sample_rows(len(images), _SCORED, seed)
        output = explain_images(fitted, images.x[chosen])
        prediction = np.asarray(output.prediction)
        values = image_scores(fitted.backbone, images.target[chosen], prediction)
        scores = [{"name": "Sum-of-Parts", "split": "images given", "values": values}]
    return image_report(
        fitted,
        ImageRows(images.x, "images given", None if y is None else images.target),
        title=title or "What the groups of images add up to",
        about=about_images(fitted),
        scores=scores,
    )


def image_target(fitted: ImageSOP, y: Any) -> np.ndarray:
    """Targets of images as the model knows them.

    Args:
        fitted: a fitted model.
        y: class names or indices (N,), or values (N,) or (N, C).

    Returns:
        Class indices (N,) or values (N, C).

    Raises:
        ValueError: there is no such class.
    """
    if not fitted.backbone.classes:
        return np.asarray(y).astype(np.float64)
    return _class_indices(y, fitted.backbone.classes)


def _of_texts(
    fitted: TextSOP, texts: Any, y: Any, title: str | None, seed: int
) -> dict[str, Any]:
    """The report on a model of texts and some texts."""
    if not isinstance(texts, TokenizedTexts):
        raise ValueError(
            f"got a {type(texts).__name__}, expected the TokenizedTexts that "
            "naejax.data.tokenize_texts returns"
        )
    if y is not None:
        texts = texts._replace(label=_class_indices(y, fitted.classes))
    if len(texts.label) != len(texts.x) or texts.label.max() >= len(fitted.classes):
        raise ValueError(
            f"got {len(texts.x)} texts with {len(texts.label)} labels up to "
            f"{texts.label.max()}, expected one of {len(fitted.classes)} for each"
        )
    chosen = sample_rows(len(texts.x), _SCORED, seed)
    prediction = np.asarray(explain_texts(fitted, texts.x[chosen]).prediction)
    truth, found = texts.label[chosen], log_probabilities(prediction)
    values = classification_scores(truth, found)
    return text_report(
        fitted,
        texts,
        title=title or "What the groups of texts add up to",
        about=about_texts(fitted, texts),
        scores=[{"name": "Sum-of-Parts", "split": "given", "values": values}],
    )


def _class_indices(y: Any, classes: Sequence[str]) -> np.ndarray:
    """Indices of classes that are given by names or indices."""
    values = np.asarray(y)
    if values.dtype.kind in "iu":
        unknown = values[(values < 0) | (values >= len(classes))]
    else:
        texts = values.astype(str)
        unknown = texts[~np.isin(texts, classes)]
        values = np.array([classes.index(t) if t in classes else 0 for t in texts])
    if len(unknown):
        raise ValueError(
            f"y holds {unknown.tolist()[0]!r}, expected one of the classes "
            f"{', '.join(classes[:12])}, or their indices"
        )
    return values
