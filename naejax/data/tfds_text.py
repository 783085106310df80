"""Labelled texts with the reasons that people gave, prepared for TFDS and read back."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from naejax.data.eraser import read_eraser
from naejax.data.spans import merge_spans, token_spans
from naejax.data.text_files import Row, csv_rows, json_rows
from naejax.data.text_layouts import find_layout, locate
from naejax.data.tfds_records import (
    check_place,
    open_folder,
    quiet,
    read_cells,
    write_folder,
)
from naejax.data.tfds_splits import (
    Sizes,
    check_classes,
    split_by_name,
    split_by_size,
)


class Texts(NamedTuple):
    """Labelled texts: N of one split.

    Attributes:
        text: every text.
        query: the question about it; "" where there is none.
        label: index into `classes`, (N,).
        rationales: for every text (R, 2): the characters ``text[start:stop]`` that
            people marked as the reason for its label, increasing and apart from each
            other; R is 0 where they marked none.
        classes: names of the labels, sorted.
    """

    text: list[str]
    query: list[str]
    label: np.ndarray
    rationales: list[np.ndarray]
    classes: tuple[str, ...]


def prepare_text(
    source: str | Path | Sequence[Row],
    *,
    name: str,
    folder: str | Path,
    version: str = "1.0.0",
    unit: Literal["characters", "tokens"] = "characters",
    splits: Sizes | None = None,
    seed: int = 0,
    description: str | None = None,
) -> Path:
    """Prepares labelled texts for TFDS as array_record, without TensorFlow.

    Features: ``text`` and ``query`` (Text), ``label`` (ClassLabel) and ``rationales``,
    an int64 tensor (R, 2) of characters ``text[start:stop]``. The same texts always
    give the same bytes.

    Args:
        source: a file of JSON lines (.jsonl) or a CSV file (.csv), whose rows have
            ``text`` and ``label`` and may have ``query``, ``rationales``, a list such
            as ``[[0, 4], [9, 12]]`` (in a CSV file as that text), and ``split``: train,
            validation or test; such rows as a sequence of mappings; or a folder in the
            format of the ERASER benchmark (`naejax.data.eraser.read_eraser`).
        name: of the data set in TFDS.
        folder: of all data sets; the texts go to FOLDER/NAME/VERSION.
        version: three numbers.
        unit: of the rationales: characters, or tokens, the words between white space,
            from the first to the one after the last.
        splits: see `naejax.data.prepare_table`; for rows that do not say their split.
        seed: likewise.
        description: of the texts.

    Returns:
        FOLDER/NAME/VERSION.

    Raises:
        ValueError: naming the row, if it is not as above; if a class is missing in
            train; or if the place is taken.

    Example:
        >>> import tempfile
        >>> rows = [{"text": "so good", "label": "pos", "rationales": [[1, 2]]},
        ...         {"text": "so bad", "label": "neg", "rationales": [[1, 2]]}]
        >>> path = prepare_text(rows, name="tiny", folder=tempfile.mkdtemp(),
        ...                     unit="tokens")
        >>> texts = read_text(path)
        >>> texts.classes, texts.label, texts.rationales[0]
        (('neg', 'pos'), array([1, 0], dtype=int32), array([[3, 7]]))
    """
    place = check_place(folder, name, version)
    if unit not in ("characters", "tokens"):
        raise ValueError(f"got unit={unit!r}, expected 'characters' or 'tokens'")
    is_eraser = isinstance(source, str | Path) and Path(source).is_dir()
    if is_eraser and unit == "tokens":
        raise ValueError("got unit='tokens' for a folder, which has units of its own")
    found = list(_read(source))
    if not found:
        raise ValueError("there are no texts, expected at least one row")
    rows = [_check(row, where, unit) for where, row in found]
    said = [row.get("split") for _, row in found]
    if any(value not in (None, "") for value in said):
        if splits is not None:
            raise ValueError("got splits for rows that say their split; leave one out")
        parts = split_by_name(said)
    else:
        parts = split_by_size(len(rows), splits or {"train": len(rows)}, seed)
    names = np.array([row.label for row in rows], dtype=object)
    classes, labels = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"all labels are {classes[0]!r}, expected at least two classes"
        )
    check_classes("label", names, parts)
    with quiet():
        from tensorflow_datasets import features
    write_folder(
        place,
        {
            "text": features.Text(),
            "query": features.Text(),
            "label": features.ClassLabel(names=classes.tolist()),
            "rationales": features.Tensor(shape=(None, 2), dtype=np.int64),
        },
        {
            "text": [row.text for row in rows],
            "query": [row.query for row in rows],
            "label": labels,
            "rationales": [row.spans for row in rows],
        },
        parts,
        metadata={},
        supervised_keys=("text", "label"),
        description=description or f"the texts {name}",
    )
    return place


def read_text(folder: str | Path, split: str = "train") -> Texts:
    """Reads a split of texts that `prepare_text` or TFDS prepared.

    Besides those of `prepare_text` it knows the features of TFDS's ``eraser_multi_rc``,
    ``movie_rationales``, ``glue/sst2`` and ``ag_news_subset``, whose title and
    description become two lines. Where a data set keeps only the words of evidences,
    rationales are where the text has them first; what cannot be found is left out.

    Args:
        folder: of one version, with ``text``, ``label`` and maybe ``query`` and
            ``rationales``, or with the features of one of those above.
        split: train, validation or test.

    Returns:
        The texts, in their order.

    Raises:
        ValueError: if the folder has no such split or features.

    Example:
        >>> read_text("nowhere")
        Traceback (most recent call last):
        ValueError: no dataset_info.json in nowhere, expected a folder ...
    """
    builder = open_folder(folder)
    with quiet():
        features, splits = dict(builder.info.features), list(builder.info.splits)
    if split not in splits:
        raise ValueError(
            f"no split {split!r} in {folder}, expected one of: {', '.join(splits)}"
        )
    classes = getattr(features.get("label"), "names", None)
    layout = find_layout(features)
    if layout is None or classes is None:
        raise ValueError(
            f"got the features {', '.join(sorted(features))} in {folder}, expected "
            "text and a ClassLabel label"
        )
    given = layout.evidences or ("rationales" if "rationales" in features else None)
    scalars = [*layout.text, *filter(None, [layout.query]), "label"]
    cells = read_cells(builder, split, scalars, list(filter(None, [given])))
    label = np.array(cells["label"], dtype=np.int32)
    if label.size and not 0 <= label.min() <= label.max() < len(classes):
        raise ValueError(
            f"the split {split} in {folder} has no labels, expected 0 to "
            f"{len(classes) - 1}; read another split"
        )
    lines = zip(*(cells[name] for name in layout.text), strict=True)
    text = ["\n".join(line.decode() for line in parts) for parts in lines]
    queries = cells[layout.query] if layout.query else [b""] * len(text)
    reasons = cells[given] if given else [[]] * len(text)
    if layout.evidences:
        rationales = [
            locate(passage, (words.decode() for words in evidences))
            for passage, evidences in zip(text, reasons, strict=True)
        ]
    else:
        rationales = [np.array(r, dtype=np.int64).reshape(-1, 2) for r in reasons]
    return Texts(
        text, [query.decode() for query in queries], label, rationales, tuple(classes)
    )


class _Row(NamedTuple):
    """A row that is as it should be; spans are characters, (R, 2)."""

    text: str
    query: str
    label: str
    spans: np.ndarray


def _read(source: str | Path | Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Rows, and where each is."""
    if not isinstance(source, str | Path):
        return ((f"row {i}", row) for i, row in enumerate(source, start=1))
    path = Path(source)
    if path.is_dir():
        return read_eraser(path)
    if path.suffix == ".jsonl":
        return json_rows(path)
    if path.suffix == ".csv":
        return csv_rows(path)
    raise ValueError(
        f"got {path}, expected a .jsonl or .csv file or a folder of ERASER's format"
    )


def _check(row: Any, where: str, unit: str) -> _Row:
    """Refuses a row that is not as it should be."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} is {type(row).__name__}, expected text and label")
    text, query = row.get("text"), row.get("query")
    label, marks = row.get("label"), row.get("rationales")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{where} has no text; write it, or remove the row")
    if not isinstance(query, str | None):
        raise ValueError(f"{where} has the query {query!r}, expected text or none")
    if isinstance(label, bool):
        label = "true" if label else "false"
    if not isinstance(label, str | int) or not str(label).strip():
        raise ValueError(
            f"{where} has the label {label!r}, expected text or a whole number"
        )
    label = str(label).strip()
    if "\n" in label or "\r" in label:
        raise ValueError(f"{where} has a label of two lines: {label!r}; make it one")
    known = token_spans(text) if unit == "tokens" else None
    return _Row(text, query or "", label, _spans(marks, where, len(text), known))


def _spans(
    marks: Any, where: str, length: int, tokens: np.ndarray | None
) -> np.ndarray:
    """Rationales as characters (R, 2)."""
    found = []
    units = length if tokens is None else len(tokens)
    marks = marks.tolist() if isinstance(marks, np.ndarray) else marks
    marks = [] if marks is None or marks == "" else marks
    for mark in marks if isinstance(marks, list | tuple) else [marks]:
        is_pair = isinstance(mark, list | tuple) and len(mark) == 2
        if not is_pair or not all(type(place) is int for place in mark):
            raise ValueError(
                f"{where} has the rationale {mark!r}, expected whole numbers such as "
                "[[0, 4], [9, 12]]"
            )
        start, stop = mark
        if not 0 <= start < stop <= units:
            raise ValueError(
                f"{where} has the rationale [{start}, {stop}], expected 0 <= start < "
                f"stop <= {units}, the length of its text"
            )
        if tokens is not None:
            start, stop = tokens[start, 0], tokens[stop - 1, 1]
        found.append((start, stop))
    return merge_spans(found)
