"""Fitted models of tables as StableHLO programs, for any runtime that knows XLA.

By the suffix of the file also as a statement for databases, see `naejax.sql`.
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from naejax.data.rows import read_rows
from naejax.data.table import encode
from naejax.explain.router import tied_gates
from naejax.files import write_file
from naejax.models.predict import predict
from naejax.sql import to_sql
from naejax.tabular import TabularNAE

PLATFORMS = ("cpu", "cuda", "tpu")
TOLERANCE = 1e-4
"""Largest difference between the program and the model, relative to the largest number
of the model: compilers may sum in another order."""


def export(model: Any, path: str | Path, rows: Any = None) -> None:
    """Writes a fitted model as one program, which needs neither naejax nor Flax to run.

    The program maps encoded rows x (N, F) float32, for any N, to the predictions (N, C)
    and contributions (N, F, C) of `naejax.tabular.explain_rows`; it holds the model's
    parameters. Before the file appears, the program is read back from disk, run, and
    compared with the model.

    A path that ends in ``.sql`` gets one SELECT statement for sqlite and DuckDB, which
    makes the columns of `naejax.tabular.predict_table` from a table ``"rows"``.

    Args:
        model: a fitted model of a table, or a fitted estimator.
        path: of the file, by custom ``*.stablehlo``, or ``*.sql``; an existing one is
            replaced.
        rows: to compare on: data frame, columns, (N, F) array or path of a CSV file;
            None: random rows, with missing values. Rows in which two experts are tied
            for the last active place count for nothing: rounding chooses there. A
            statement is not compared.

    Raises:
        ValueError: if it is no model of a table, or none for a statement, the program's
            numbers differ from the model's by more than ``TOLERANCE``, or the place
            cannot be written.

    Example:
        >>> import tempfile
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0)}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> path = f"{tempfile.mkdtemp()}/model.stablehlo"
        >>> export(fitted, path, columns)

        To run it, encode the rows and call it; numpy has to encode them too where JAX
        is not what runs the program:

        >>> program = jax.export.deserialize(bytearray(Path(path).read_bytes()))
        >>> x = encode(fitted.encoder, {"x": np.array([3.0, 4.0])})
        >>> prediction, contributions = program.call(x)
        >>> prediction.shape, contributions.shape
        ((2, 1), (2, 1, 1))
    """
    fitted = getattr(model, "fitted_", model)
    if not isinstance(fitted, TabularNAE):
        raise ValueError(
            f"got a {type(model).__name__}, expected a fitted model of a table or a "
            "fitted estimator"
        )
    if Path(path).suffix == ".sql":
        return write_file(path, to_sql(fitted))
    num_features = len(fitted.encoder.codecs)
    x = (
        _random_rows(num_features)
        if rows is None
        else encode(fitted.encoder, read_rows(fitted.encoder, rows, target=False))
    )
    shape = jax_export.symbolic_shape(f"rows, {num_features}")
    argument = jax.ShapeDtypeStruct(shape, jnp.float32)
    exported = jax_export.export(_program(fitted), platforms=PLATFORMS)(argument)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "program"
        write_file(copy, bytes(exported.serialize()))
        content = copy.read_bytes()
    _check_parity(fitted, jax_export.deserialize(bytearray(content)), x)
    write_file(path, content)


def _program(fitted: TabularNAE) -> Any:
    """The function that is exported, with the model's variables in it."""
    mean, std = (np.float32(number) for number in fitted.target_scale)
    variables = jax.tree.map(jnp.asarray, fitted.variables)

    def program(x):
        output: Any = fitted.model.apply(variables, x)
        return output.prediction * std + mean, output.contributions * std

    return jax.jit(program)


def _check_parity(fitted: TabularNAE, program: Any, x: np.ndarray) -> None:
    """Compares a program with the model that it was made from, on encoded rows.

    Where two experts are tied for the last active place, either is right.
    """
    tied = tied_gates(fitted.model, fitted.variables, jnp.asarray(x), TOLERANCE)
    clear = ~np.asarray(tied).any(axis=1)
    if not clear.any():
        raise ValueError(
            f"in all {len(x)} rows two experts are tied, so that the program cannot be "
            "compared with the model; pass other rows, or train longer"
        )
    output = predict(fitted.model, fitted.variables, x)
    mean, std = fitted.target_scale
    expected = {
        "prediction": output.prediction * np.float32(std) + np.float32(mean),
        "contributions": output.contributions * np.float32(std),
    }
    size = max(np.abs(values).max() for values in expected.values())
    for (name, values), found in zip(expected.items(), program.call(x), strict=True):
        error = np.abs(np.asarray(found) - values)[clear].max()
        # Written so that NaN is refused.
        if not error <= TOLERANCE * size:
            raise ValueError(
                f"the exported program's {name} differs from the model's by "
                f"{error:.3g} on {clear.sum()} rows (at most {TOLERANCE * size:.3g} is "
                "rounding); use naejax.save, and report this"
            )


def _random_rows(num_features: int) -> np.ndarray:
    """Encoded rows as training might have seen, some values missing, (64, F)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, num_features))
    return np.where(rng.random(x.shape) < 0.1, np.nan, x).astype(np.float32)
