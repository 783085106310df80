"""The command line: ``naejax train``, ``naejax predict``, ``naejax datasets``."""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, NoReturn

import tyro

from naejax.data.datasets import available, load_dataset
from naejax.runs import predict_run, train_run
from naejax.settings import Settings


@dataclass(frozen=True)
class Train:
    """Train a model on a table; leave it in a folder with scores and a picture.

    Attributes:
        data: name of a data set (see `naejax datasets`) or path of a CSV file.
        out: folder for the model, its scores, its history and a picture of it.
        target: column to predict; needed for a CSV file.
        task: what the target is; auto reads it off the column.
        model: kind of model.
        seed: seed of everything random.
        overwrite: replace an existing run in --out.
        settings: how to build and train the model.
    """

    data: str
    out: str
    target: str | None = None
    task: Literal["auto", "regression", "classification"] = "auto"
    model: Literal["nae"] = "nae"
    seed: int = 0
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(
        default_factory=Settings
    )

    def run(self) -> None:
        """Trains and writes the run folder."""
        dataset = load_dataset(self.data, self.target, self.task)
        train_run(
            dataset, self.settings, self.out, seed=self.seed, overwrite=self.overwrite
        )


@dataclass(frozen=True)
class Predict:
    """Predict the rows of a CSV file: the prediction and every feature's part of it.

    Attributes:
        folder: a folder that `naejax train` made.
        data: CSV file with the same columns as the training table; the target's column
            is not needed.
        out: CSV file to write.
    """

    folder: tyro.conf.Positional[str]
    data: str
    out: str

    def run(self) -> None:
        """Predicts and writes the CSV file."""
        print(f"{self.out}: {predict_run(self.folder, self.data, self.out)} rows")


@dataclass(frozen=True)
class Datasets:
    """List the data sets that have a name."""

    def run(self) -> None:
        """Prints the list."""
        for info in available().values():
            network = "  (needs the network once)" if info.network else ""
            print(
                f"{info.name:14} {info.rows:>7,} rows {info.features:>3} features  "
                f"{info.task:14} {info.description}{network}"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a mistake is one line on standard error and exit status 2.

    Args:
        arguments: words of the command line; None takes the process's own.

    Example:
        >>> main(["datasets"])  # doctest: +ELLIPSIS
        diabetes           442 rows  10 features  regression ...
    """
    try:
        command = _parse(sys.argv[1:] if arguments is None else arguments)
        command.run()
    except (ValueError, OSError) as error:
        _fail(_one_line(str(error)))
    except KeyboardInterrupt:
        print("naejax: stopped by Ctrl-C, nothing was written", file=sys.stderr)
        sys.exit(130)


def _parse(arguments: Sequence[str]) -> Train | Predict | Datasets:
    """Reads the command line; tyro's boxed messages become one line."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                Train | Predict | Datasets,
                args=list(arguments),
                prog="naejax",
                description="Neural Additive Experts: models of tables that explain "
                "themselves.",
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        _fail(_one_line(messages.getvalue()))


def _one_line(message: str) -> str:
    """A message without line breaks and ruled lines."""
    lines = (line.strip() for line in message.splitlines())
    return " ".join(" ".join(x.split()) for x in lines if x.strip("-"))


def _fail(message: str) -> NoReturn:
    """Ends the program with one line and status 2."""
    print(f"naejax: error: {message}", file=sys.stderr)
    sys.exit(2)
