"""Training Neural Additive Experts on a table that is larger than memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from naejax.compiled import keep_compiled_programs
from naejax.data.cells import Columns
from naejax.data.fixed_point import Places, make_places
from naejax.data.parquet_files import RowGroup
from naejax.data.streamed_table import StreamedTable, open_streamed
from naejax.data.table import encode_training
from naejax.settings import Settings
from naejax.tabular.build import (
    FINE,
    initial_variables,
    make_encoder,
    make_module,
    table_knots,
)
from naejax.tabular.fit import fit_options
from naejax.tabular.fitted import TabularNAE
from naejax.tabular.target import USUAL_LOSS, check_loss, training_loss
from naejax.train.checkpoint import Checkpoints
from naejax.train.loop import fit
from naejax.train.processes import share
from naejax.train.result import FitResult

_BUDGET = 1 << 26
_BUDGET_STEPS = 4


def fit_parquet(
    source: str | Path,
    target: str,
    settings: Settings | None = None,
    *,
    categories: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    devices: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[TabularNAE, FitResult]:
    """Trains on a Parquet file, or a folder of them, whose rows need not fit in memory.

    Rows are read in streams and kept in two bytes a cell. Of several processes
    (`jax.distributed`) each reads row groups of its own. 70 % of the rows are trained
    on, 10 % pick the best epoch; the rest are not read into memory.

    Args:
        source: path of the file or folder.
        target: column to predict.
        settings: how to build and train the model, one member; None: the defaults.
        categories: columns whose numbers are names of groups.
        drop: columns to leave out.
        devices: see `naejax.fit`.
        seed: seed of everything random.
        progress: whether to show a progress bar.

    Returns:
        The fitted model and the history of training.

    Raises:
        ValueError: if the table cannot be read, or the settings do not suit it.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> path = Path(tempfile.mkdtemp()) / "rows.parquet"
        >>> x = np.arange(200.0)
        >>> pq.write_table(pa.table({"x": x, "y": np.sin(x / 10)}), path)
        >>> settings = Settings(epochs=1, num_experts=2)
        >>> fitted, _ = fit_parquet(path, "y", settings, progress=False)
        >>> fitted.apply(np.zeros((1, 1), np.float32)).prediction.shape
        (1, 1)
    """
    table = open_streamed(
        str(source), target, categories=categories, drop=drop, seed=seed
    )
    return fit_streamed(
        table, settings or Settings(), devices=devices, seed=seed, progress=progress
    )


def fit_streamed(
    table: StreamedTable,
    settings: Settings,
    *,
    devices: int | None = None,
    device_budget: int | None = None,
    checkpoints: Checkpoints | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[TabularNAE, FitResult]:
    """Trains on a table that is read in streams, see `fit_parquet`.

    Args:
        table: result of `naejax.data.streamed_table.open_streamed`.
        settings: how to build and train the model.
        devices: see `naejax.fit`.
        device_budget: likewise; None: 64 MB, or four steps.
        checkpoints: likewise.
        seed: seed of everything random.
        progress: whether to show a progress bar.

    Returns:
        The fitted model and the history of training.

    Raises:
        ValueError: if the loss does not suit the target, or settings the table.
    """
    keep_compiled_programs()
    chosen: Any = settings.for_rows(table.sizes()[0])
    if chosen.members > 1:
        raise ValueError(
            f"members is {chosen.members}, but a table that is read in streams trains "
            "one model; leave members out, or give a sample of the rows"
        )
    groups = own_groups(table)
    fitted, places, knots, x = _prepare(table, chosen, seed)
    training, validation = table.read(places, x, groups)
    if not len(training[0]) or not len(validation[0]):
        raise ValueError(
            f"{len(training[0])} rows to train and {len(validation[0])} to validate on "
            "are too few for a process; start fewer processes, or give more rows"
        )
    row_bytes = 4 * (training[0].shape[1] + 2)
    least = 2 * _BUDGET_STEPS * chosen.batch_size * row_bytes
    result = fit(
        fitted.model,
        initial_variables(fitted.model, x, knots, [seed]),
        training,
        optimizer=chosen.learning_rate,
        seed=seed,
        validation=validation,
        device_budget=device_budget or max(_BUDGET, least),
        checkpoints=checkpoints,
        devices=devices,
        progress=progress,
        **fit_options(chosen, has_validation=True),
        loss=training_loss(fitted, None),
    )
    return replace(fitted, variables=result.variables), result


def own_groups(table: StreamedTable) -> tuple[RowGroup, ...]:
    """The row groups that this process reads: of P processes a P-th, in their order.

    Args:
        table: the table, the same in every process.

    Returns:
        Row groups; all of them if there is only one process.

    Raises:
        ValueError: if there are fewer than processes.
    """
    groups, count = table.table.groups, jax.process_count()
    if len(groups) < count:
        raise ValueError(
            f"{table.name} has {len(groups)} row groups, too few for {count} "
            "processes; start fewer processes, or write it in smaller row groups"
        )
    first, end = share(len(groups), count, jax.process_index())
    return groups[first:end]


def _prepare(
    table: StreamedTable, chosen: Any, seed: int
) -> tuple[TabularNAE, Places, np.ndarray, np.ndarray]:
    """A model to train, where cells lie, its knots, and the sample as encoded rows."""
    schema, sample = table.schema, table.sample.columns
    loss = chosen.loss or USUAL_LOSS[schema.target.kind]
    check_loss(loss, chosen.loss_parameter, schema, _targets(table))
    encoder = make_encoder(sample, schema, chosen, None, seed)
    x = encode_training(encoder, sample)
    knots = table_knots(encoder, x, chosen.num_knots)
    model = make_module(schema, chosen, knots.shape[1])
    fitted = TabularNAE(model, {}, encoder, loss, chosen.loss_parameter)
    at = knots if chosen.num_knots else table_knots(encoder, x, FINE)
    return fitted, make_places(encoder, at), knots, x


def _targets(table: StreamedTable) -> Columns:
    """The target of all rows, where a loss may have limits for it."""
    name = table.schema.target.name
    if table.schema.target.classes:
        return table.sample.columns
    return table.table.read([name])
