"""The commands of the command line, as values that run.

JAX is imported by those that run it: help and mistakes are told at once.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

import tyro

from naejax.data.datasets import DatasetInfo, available, load_dataset
from naejax.data.image_sets import ImageInfo, available_images, load_images
from naejax.data.tfds_builders import prepare_named, prepare_table
from naejax.runs.kinds import refuse_images, refuse_tables
from naejax.settings import (
    NAEOptions,
    Settings,
    SharedSettings,
    SOPOptions,
    SOPSettings,
)

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Run = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Processes:
    """How several processes find each other; None is read off the environment.

    Attributes:
        distributed: train with other processes, each of which runs the same command:
            under Slurm, Open MPI, Kubernetes or on a TPU pod as it is, elsewhere with
            the next three.
        coordinator: HOST:PORT of process 0.
        num_processes: how many there are.
        process_id: which one this is, from 0.
    """

    distributed: Flag = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


@dataclass(frozen=True)
class TableOptions:
    """What the columns of a table are.

    Attributes:
        target: column to predict; needed for a file.
        task: what the target is; auto reads it off the column.
        categories: columns whose numbers are names of groups, such as codes.
        drop: columns to leave out, such as identifiers.
    """

    target: str | None = None
    task: Literal["auto", "regression", "classification"] = "auto"
    categories: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Train:
    """Train a model that explains itself; leave a folder with scores and a picture.

    Attributes:
        data: name of a data set (see `naejax datasets`), path of a CSV or Parquet file
            or a folder of the latter (nae), of an .npz file with images x and targets
            y (sop), or of a folder of TFDS.
        out: folder for the model, its scores, its history and a picture of it.
        resume: go on with the unfinished run of that folder; instead of all others.
        model: nae: Neural Additive Experts, for tables; sop: Sum-of-Parts, for images.
        seed: seed of everything random.
        overwrite: replace an existing run in --out.
        table: of --model nae alone.
        devices: how many devices to train on; None: all.
        checkpoint_seconds: least time between two checkpoints.
        processes: for training on several machines.
        shared: of both models; None is chosen by the size of the data.
        nae: of --model nae alone.
        sop: of --model sop alone.
    """

    data: str | None = None
    out: str | None = None
    resume: str | None = None
    model: Literal["nae", "sop"] = "nae"
    seed: int = 0
    overwrite: Flag = False
    table: tyro.conf.OmitArgPrefixes[TableOptions] = field(default_factory=TableOptions)
    devices: int | None = None
    checkpoint_seconds: float = 60.0
    processes: tyro.conf.OmitArgPrefixes[Processes] = field(default_factory=Processes)
    shared: tyro.conf.OmitArgPrefixes[SharedSettings] = field(
        default_factory=SharedSettings
    )
    nae: tyro.conf.OmitArgPrefixes[NAEOptions] = field(default_factory=NAEOptions)
    sop: tyro.conf.OmitArgPrefixes[SOPOptions] = field(default_factory=SOPOptions)

    def run(self) -> None:
        """Trains and writes the run folder."""
        names = asdict(self.processes)
        if names.pop("distributed"):
            from naejax.runs.distributed import together

            with together(**names):
                self._run()
            return
        for name, value in names.items():
            if value is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for several processes; pass "
                    "--distributed with it, or leave it out"
                )
        self._run()

    def _run(self) -> None:
        """Trains in this process."""
        from naejax.runs import open_data, resume_run, train_image_run, train_run

        if self.resume is not None:
            if self != Train(resume=self.resume, processes=self.processes):
                raise ValueError(
                    "--resume goes on as the run was begun; leave out all other "
                    "options, or pass --out to begin a new one"
                )
            resume_run(self.resume)
            return
        if self.data is None or self.out is None:
            raise ValueError(
                "naejax train needs --data and --out, or --resume with the folder of a "
                "run that was stopped"
            )
        shared = asdict(self.shared)
        if self.model == "nae":
            _refuse_options(self.sop, "sop")
            refuse_images(self.data)
            train_run(
                open_data(self.data, **asdict(self.table), seed=self.seed),
                Settings(**shared, **asdict(self.nae)),
                self.out,
                seed=self.seed,
                overwrite=self.overwrite,
                devices=self.devices,
                checkpoint_seconds=self.checkpoint_seconds,
            )
        else:
            _refuse_options(self.nae, "nae")
            if self.table != TableOptions():
                raise ValueError(
                    "--target, --task, --categories and --drop are for tables and "
                    "--model nae; leave them out, images come with their targets"
                )
            refuse_tables(self.data)
            train_image_run(
                load_images(self.data, seed=self.seed),
                SOPSettings(**shared, **asdict(self.sop)),
                self.out,
                seed=self.seed,
                overwrite=self.overwrite,
                devices=self.devices,
                checkpoint_seconds=self.checkpoint_seconds,
            )


@dataclass(frozen=True)
class Predict:
    """Predict rows of a table or images: the prediction and the parts it is a sum of.

    Attributes:
        folder: a folder that `naejax train` made.
        data: CSV or Parquet file with the same columns as the training table (the
            target's column is not needed); or, for a run on images, an .npz file with
            images x, or the name of a data set, whose test images are predicted.
        out: CSV file to write.
        keep: columns of that file, such as identifiers, to copy to the front.
        overwrite: replace an existing file.
    """

    folder: Run
    data: str
    out: str
    keep: tuple[str, ...] = ()
    overwrite: Flag = False

    def run(self) -> None:
        """Predicts and writes the CSV file."""
        from naejax.runs import predict_run

        rows = predict_run(
            self.folder, self.data, self.out, keep=self.keep, overwrite=self.overwrite
        )
        print(f"{self.out}: {rows} rows")


@dataclass(frozen=True)
class Explain:
    """Explain a trained run on one HTML page that needs no network.

    Attributes:
        folder: a folder that `naejax train` made.
        out: HTML file to write.
        data: rows or images to explain in place of the run's: a CSV or Parquet file
            with its columns; for images an .npz file, or the name of a data set.
        overwrite: replace an existing file.
    """

    folder: Run
    out: str
    data: str | None = None
    overwrite: Flag = False

    def run(self) -> None:
        """Writes the page."""
        from naejax.runs import explain_run

        explain_run(self.folder, self.out, self.data, overwrite=self.overwrite)


@dataclass(frozen=True)
class Sweep:
    """Train models over a grid of settings side by side; draw accuracy by additivity.

    Attributes:
        data: name of a data set, path of a CSV or Parquet file, or of a folder.
        out: folder for the table, the picture and the picked model.
        grid: settings and their values, such as expert-variance=0,0.1,10
            num-experts=8,32 hidden=32x32,64x64; all combinations are trained. Left
            out: expert-variance from 0 to 1000.
        seeds: models of each setting.
        additivity: the least additivity of the setting to pick, from 0 to 1; the best
            validation score decides among the rest. None: any.
        seed: of the split into training, validation and test rows.
        overwrite: replace an existing run in --out.
        table: which columns are what.
        devices: how many devices to train on; None: all.
        shared: what the grid does not name; None is chosen by the number of rows.
        nae: likewise.
    """

    data: str
    out: str
    grid: tuple[str, ...] = ()
    seeds: int = 3
    additivity: float | None = None
    seed: int = 0
    overwrite: Flag = False
    table: tyro.conf.OmitArgPrefixes[TableOptions] = field(default_factory=TableOptions)
    devices: int | None = None
    shared: tyro.conf.OmitArgPrefixes[SharedSettings] = field(
        default_factory=SharedSettings
    )
    nae: tyro.conf.OmitArgPrefixes[NAEOptions] = field(default_factory=NAEOptions)

    def run(self) -> None:
        """Trains the grid and writes the run folder."""
        from naejax.runs import sweep_run
        from naejax.sweeps import parse_grid

        refuse_images(self.data)
        sweep_run(
            load_dataset(self.data, **asdict(self.table)),
            parse_grid(self.grid),
            self.seeds,
            Settings(**asdict(self.shared), **asdict(self.nae)),
            self.out,
            additivity=self.additivity,
            seed=self.seed,
            devices=self.devices,
            overwrite=self.overwrite,
        )


@dataclass(frozen=True)
class Prepare:
    """Prepare a table for TensorFlow Datasets, in a folder that --data takes, too.

    Attributes:
        data: path of a file of rows, or name of a data set (see `naejax datasets`).
        out: folder of all data sets; the table goes to OUT/NAME/VERSION.
        name: of the data set: small letters, digits and underscores.
        known: --name is california, bike, adult, year, credit, mimic2 or mimic3, and
            --data the file that its authors hand out.
        version: three numbers.
        table: which columns are what.
        splits: shares of rows to draw, such as train 0.7 validation 0.1 test 0.2; left
            out, all are in train.
        split_column: column that says train, validation or test for every row.
        seed: of the draw.
    """

    data: str
    out: str
    name: str
    known: Flag = False
    version: str = "1.0.0"
    table: tyro.conf.OmitArgPrefixes[TableOptions] = field(default_factory=TableOptions)
    splits: dict[str, float] = field(default_factory=dict)
    split_column: str | None = None
    seed: int = 0

    def run(self) -> None:
        """Writes the folder."""
        options = asdict(self) | {"folder": self.out, "splits": self.splits or None}
        options |= options.pop("table")
        source, _, known = (options.pop(name) for name in ("data", "out", "known"))
        if not known:
            print(prepare_table(source, **options))
        elif self == Prepare(source, self.out, self.name, True):
            print(prepare_named(self.name, source, folder=self.out))
        else:
            raise ValueError("--known says the target and the rest; leave them out")


@dataclass(frozen=True)
class Datasets:
    """List the data sets that have a name: tables, then images."""

    def run(self) -> None:
        """Prints the list."""
        print("tables, for --model nae")
        for table in available().values():
            size = f"{table.rows:>9,} rows {table.features:>13} features"
            _print_entry(table, size)
        print("\nimages, for --model sop")
        for images in available_images().values():
            size = (
                f"{images.rows:>9,} images of {' x '.join(map(str, images.shape)):>13}"
            )
            _print_entry(images, size)


def _refuse_options(options: NAEOptions | SOPOptions, model: str) -> None:
    """Refuses what was asked of the model that is not trained."""
    usual = type(options)()
    for name, value in asdict(options).items():
        if value != getattr(usual, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is for --model {model}; leave it out, or "
                f"pass --model {model}"
            )


def _print_entry(entry: DatasetInfo | ImageInfo, size: str) -> None:
    """One line about a data set."""
    network = "  (needs the network once)" if entry.network else ""
    print(f"  {entry.name:15} {size}  {entry.task:14} {entry.description}{network}")
