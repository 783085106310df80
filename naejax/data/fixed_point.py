"""Cells as places between knots, in two bytes each: rows that memory has room for.

A model with knots knows of a cell where it lies between two of them. Stored is that
place, in whole steps of which at least 1,000 make the way from one of 64 knots to the
next; a table for each column turns it back into what the model reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from naejax.data.cells import Columns
from naejax.data.codec import Codec, encode_column, to_numbers
from naejax.data.schema import Feature
from naejax.data.table import TableEncoder
from naejax.train.sources import RowSource

MISSING = 65_535
"""Stands for a cell that the model sees as missing."""

_LAST = MISSING - 1
_BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Places:
    """Where the places of every column lie: what `store` and `PlacedRows` need.

    Attributes:
        encoder: of the table.
        knots: increasing codes, one array per feature, float64.
    """

    encoder: TableEncoder
    knots: tuple[np.ndarray, ...]

    def tables(self) -> np.ndarray:
        """The code of every place of every feature, (F, 65536) float32; NaN last."""
        found = np.empty((len(self.knots), MISSING + 1), np.float32)
        for row, knots in zip(found, self.knots, strict=True):
            steps = np.arange(MISSING + 1) / _scale(knots)
            row[:] = np.interp(steps, np.arange(len(knots)), knots)
        found[:, MISSING] = np.nan
        return found

    def store(self, columns: Columns) -> np.ndarray:
        """Encodes rows, see `naejax.data.table.encode`, and rounds them to places.

        Args:
            columns: rows; the target is not needed.

        Returns:
            (B, F) uint16.

        Raises:
            ValueError: see `naejax.data.table.encode`.
        """
        features = self.encoder.schema.features
        rows = len(columns[features[0].name])
        found = np.empty((rows, len(features)), np.uint16)
        for i, (feature, codec, knots) in enumerate(
            zip(features, self.encoder.codecs, self.knots, strict=True)
        ):
            found[:, i] = _store_column(feature, codec, knots, columns[feature.name])
        return found

    def store_codes(self, x: np.ndarray) -> np.ndarray:
        """Rounds encoded rows to places.

        Args:
            x: (B, F), NaN where a cell is missing.

        Returns:
            (B, F) uint16.
        """
        stored = [
            _round(column, knots) for column, knots in zip(x.T, self.knots, strict=True)
        ]
        return np.stack(stored, axis=1)


class PlacedRows(RowSource):
    """Rows that lie in memory as places, two bytes a cell, and are read as codes.

    Args:
        cells: results of `Places.store`, (N, F).
        tables: result of `Places.tables`, (F, 65536).

    Example:
        >>> tables = np.tile(np.arange(65536, dtype=np.float32), (2, 1))
        >>> PlacedRows(np.array([[1, 2], [3, 4]], np.uint16), tables)[[1, 0, 1]]
        array([[3., 4.],
               [1., 2.],
               [3., 4.]], dtype=float32)
    """

    def __init__(self, cells: np.ndarray, tables: np.ndarray):
        self.cells, self.shape = cells, cells.shape
        self._flat = tables.reshape(-1)
        self._starts = np.arange(tables.shape[0], dtype=np.int64) * tables.shape[1]

    def __getitem__(self, index: slice | Int[np.ndarray, "..."]) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        index = np.asarray(index)
        flat = index.reshape(-1)
        if len(flat) and not 0 <= flat.min() <= flat.max() < len(self):
            raise IndexError(
                f"got rows {index}, expected whole numbers from 0 to {len(self) - 1}"
            )
        # Their order does not matter to memory, as it does to files.
        return self.read(flat).reshape(*index.shape, self.shape[1])

    def read(self, rows: Int[np.ndarray, "R"]) -> np.ndarray:
        """Reads rows.

        Args:
            rows: their numbers, in any order.

        Returns:
            Them, (R, F).
        """
        found = np.empty((len(rows), self.shape[1]), np.float32)
        for first in range(0, len(rows), _BLOCK):
            cells = self.cells[rows[first : first + _BLOCK]] + self._starts
            # Places are within the table by their type: nothing to check.
            np.take(self._flat, cells, out=found[first : first + _BLOCK], mode="clip")
        return found


def make_places(encoder: TableEncoder, knots: np.ndarray) -> Places:
    """Lays places between the knots of a model.

    Args:
        encoder: of the table.
        knots: of every feature, non-decreasing, (F, T): result of
            `naejax.tabular.build.table_knots`.

    Returns:
        The places; between T knots there are 65,534 // (T - 1) steps.

    Example:
        >>> from naejax.data import encode, fit_encoder, infer_schema
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"), num_knots=4)
        >>> places = make_places(encoder, encoder.codecs[0].table[1:])
        >>> rows = PlacedRows(places.store(columns), places.tables())[:]
        >>> bool(abs(rows - encode(encoder, columns)).max() < 1e-4)
        True
    """
    # Those of a feature with fewer knots are filled up with the last.
    distinct = [np.unique(row.astype(np.float64)) for row in knots]
    return Places(encoder, tuple(distinct))


def _scale(knots: Sequence[float] | np.ndarray) -> int:
    """Steps from one knot to the next."""
    return _LAST // max(1, len(knots) - 1)


def _store_column(
    feature: Feature, codec: Codec, knots: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """The places of a column's cells."""
    if codec.kind == "quantile" and codec.table.shape[1] == len(knots):
        # Codes are linear between knots, so that the cells themselves can be placed.
        values = to_numbers(feature.name, column)
        steps = np.arange(len(knots)) * float(_scale(knots))
        places = np.interp(values, codec.table[0], steps)
        fill = _round(np.array([codec.fill]), knots)
        np.copyto(places, fill, where=np.isnan(places))
        return np.rint(places).astype(np.uint16)
    return _round(encode_column(feature, codec, column), knots)


def _round(codes: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The nearest places of codes; beyond the outermost knots those of the knots."""
    gone = np.isnan(codes)
    steps = np.arange(len(knots)) * float(_scale(knots))
    places = np.rint(np.interp(np.where(gone, knots[0], codes), knots, steps))
    return np.where(gone, MISSING, places).astype(np.uint16)
