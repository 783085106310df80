"""Texts with rationales in the format of the ERASER benchmark (DeYoung et al., 2020).

A folder holds ``train.jsonl``, ``val.jsonl`` and ``test.jsonl``, and the documents as
files ``docs/DOCID`` or as lines ``{"docid": ..., "document": ...}`` of ``docs.jsonl``.
A line of the others has ``annotation_id``, ``classification``, maybe ``query``, maybe
``docids`` (else the documents of its evidences, else the one called by
``annotation_id``), and ``evidences``: groups of ``{"docid", "start_token",
"end_token"}``, where tokens are what white space divides. TFDS has two of the
benchmark's data sets, ``movie_rationales`` and ``eraser_multi_rc``, and keeps the words
of their evidences, not the places.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.spans import token_spans
from naejax.data.text_files import Row, json_rows, read_utf8

_FILES = {"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}
_BETWEEN = "\n\n"


def read_eraser(folder: Path) -> Iterator[tuple[str, Row]]:
    """Reads a folder in the format of ERASER.

    Args:
        folder: with train.jsonl, maybe val.jsonl and test.jsonl, and the documents.

    Yields:
        Where it stands, and a row for `naejax.data.prepare_text`: text (the documents,
        an empty line between them), query, label, split and rationales as characters,
        those of all groups of evidences.

    Raises:
        ValueError: if a file is missing or a line is not of the format.

    Example:
        >>> import json, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "docs").mkdir()
        >>> _ = (folder / "docs" / "a").write_text("not bad , really good")
        >>> evidence = {"docid": "a", "start_token": 3, "end_token": 5}
        >>> line = {"annotation_id": "a", "classification": "POS",
        ...         "evidences": [[evidence]]}
        >>> _ = (folder / "train.jsonl").write_text(json.dumps(line))
        >>> [(row["label"], row["rationales"]) for _, row in read_eraser(folder)]
        [('POS', [[10, 21]])]
    """
    paths = {split: folder / file for split, file in _FILES.items()}
    if not paths["train"].is_file():
        raise ValueError(
            f"no train.jsonl in {folder}, expected a folder of ERASER's format; name "
            "that folder, or a .jsonl or .csv file"
        )
    document = _documents(folder)
    for split, path in paths.items():
        if path.is_file():
            for where, line in json_rows(path):
                yield where, {**_row(line, where, document), "split": split}


def _documents(folder: Path) -> Callable[[str, str], str]:
    """Finds a document by its name."""
    lines = folder / "docs.jsonl"
    known: dict[str, str] = {}
    if lines.is_file():
        for where, row in json_rows(lines):
            if not isinstance(row.get("document"), str) or "docid" not in row:
                raise ValueError(f"{where} lacks docid or document; repair it")
            known[str(row["docid"])] = row["document"]

    def document(name: str, where: str) -> str:
        path = folder / "docs" / name
        # A name from a file must not lead out of the folder.
        inside = path.resolve().is_relative_to((folder / "docs").resolve())
        if name not in known and inside and path.is_file():
            known[name] = read_utf8(path)
        if name not in known:
            raise ValueError(
                f"{where} names the document {name!r}, which is neither in docs nor "
                f"in docs.jsonl of {folder}"
            )
        return known[name]

    return document


def _row(line: Row, where: str, document: Callable[[str, str], str]) -> dict[str, Any]:
    """A line as a row of texts."""
    groups = line.get("evidences") or []
    try:
        evidences = [
            (str(one["docid"]), one["start_token"], one["end_token"])
            for group in groups
            for one in group
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{where} has an evidence without docid, start_token or end_token; repair "
            "the line"
        ) from error
    names = line.get("docids") or [name for name, _, _ in evidences]
    names = list(dict.fromkeys(map(str, names))) or [str(line.get("annotation_id"))]
    texts = {name: document(name, where) for name in names}
    lengths = [len(text) + len(_BETWEEN) for text in texts.values()]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    offsets = dict(zip(names, starts, strict=True))
    words = {name: token_spans(text) for name, text in texts.items()}
    marks = []
    for name, start, stop in evidences:
        count = len(words.get(name, ()))
        are_whole = type(start) is int and type(stop) is int
        if not are_whole or not 0 <= start < stop <= count:
            raise ValueError(
                f"{where} has the evidence [{start}, {stop}] in {name!r}, expected 0 "
                f"<= start < stop <= {count}, the tokens of that document"
            )
        characters = words[name][start, 0], words[name][stop - 1, 1]
        marks.append([int(place) + offsets[name] for place in characters])
    return {
        "text": _BETWEEN.join(texts.values()),
        "query": line.get("query"),
        "label": line.get("classification"),
        "rationales": marks,
    }
