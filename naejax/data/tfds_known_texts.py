"""Labelled texts that TFDS knows by name, read where it has prepared them."""

import os
from pathlib import Path

from naejax.data.tfds_records import MARKER, how_to_prepare, quiet
from naejax.data.tfds_text import Texts, read_text

TFDS_TEXTS = ("eraser_multi_rc", "movie_rationales", "glue/sst2", "ag_news_subset")


def load_text(
    source: str | Path, split: str = "train", *, data_dir: str | None = None
) -> Texts:
    """Reads a split of texts by the name that TFDS gives them, or of a folder.

    Args:
        source: one of `TFDS_TEXTS`, prepared as array_record; or the folder of one
            version, as in `read_text`.
        split: its name: train, validation or test; ``glue/sst2`` keeps the labels of
            its test split to itself, and ``ag_news_subset`` has no validation split.
        data_dir: where TFDS keeps its data; None for the variable ``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``.

    Returns:
        The texts, in their order.

    Raises:
        ValueError: if they are not prepared, or there is no such split.

    Example:
        >>> import tempfile
        >>> load_text("movie_rationales", data_dir=tempfile.mkdtemp())
        Traceback (most recent call last):
        ValueError: movie_rationales is not prepared as array_record in ...
    """
    if source not in TFDS_TEXTS:
        return read_text(source, split)
    name, folder = str(source), data_dir or os.environ.get("TFDS_DATA_DIR")
    with quiet():
        import tensorflow_datasets as tfds

        place = Path(tfds.builder(name, data_dir=folder).data_dir)
    if not (place / MARKER).is_file():
        raise ValueError(how_to_prepare(name, name, place, folder))
    return read_text(place, split)
