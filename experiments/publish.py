"""Where experiments leave their results: README.md and figures/ beside them.

An experiment's table stands in README.md between ``<!-- NAME -->`` and ``<!-- /NAME
-->``, with the command, date, machine and versions that made it. Only the command
writes there.
"""

import argparse
import datetime
import os
import platform
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import jax

from naejax.explain.figure import png
from naejax.files import write_file

HERE = Path(__file__).parent
README, FIGURES = HERE / "README.md", HERE / "figures"
FRONT = HERE.parent / "README.md"
PACKAGES = ("naejax", "jax", "flax", "numpy", "scikit-learn")
PEERS = ("interpret", "xgboost", "catboost", "pytabkit")
_START = time.perf_counter()


def make_parser(doc, seeds=None):
    """The options that all experiments have.

    Args:
        doc: the experiment's docstring.
        seeds: how many by default; None where there is nothing to repeat.

    Returns:
        An `argparse.ArgumentParser`.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if not find_spec("matplotlib"):
        parser.error("figures take matplotlib: pip install 'naejax[plot]'")
    if seeds:
        parser.add_argument(
            "--seeds", type=at_least_one, default=seeds, help="how many"
        )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--quick", action="store_true", help="tiny, for CI: means nothing")
    way.add_argument(
        "--publish", action="store_true", help="write README.md and figures/ here"
    )
    way.add_argument("--out", type=_folder, help="folder for the table and the figures")
    return parser


def at_least_one(word):
    """A whole number above 0, for argparse."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"got {word!r}, expected a number from 1 on")
    return int(word)


def _folder(word):
    """A folder, made before anything is computed for it."""
    try:
        Path(word).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{word}: {error.strerror}") from error
    return Path(word)


def deliver(options, name, text, figures=None, front=""):
    """Prints a table, and keeps it and its figures where the options say.

    Args:
        options: parsed by `make_parser`.
        name: of the experiment.
        text: markdown.
        figures: matplotlib Figures by name.
        front: markdown for the project's own README.md, too.
    """
    print(f"\n{text}")
    text, files = _stamped(text), {}
    if options.publish:
        FIGURES.mkdir(exist_ok=True)
        files[README] = replace_block(README.read_text(), name, text)
        if front:
            files[FRONT] = replace_block(FRONT.read_text(), name, front)
    elif options.out:
        files[options.out / f"{name}.md"] = text
    else:
        return
    folder = options.out or FIGURES
    files |= {folder / f"{key}.png": png(f) for key, f in (figures or {}).items()}
    for path, content in files.items():
        write_file(path, content)


def replace_block(page, name, text):
    """The page with other text between an experiment's marks.

    Args:
        page: markdown.
        name: of the experiment.
        text: what to put there.

    Returns:
        The new page.

    Raises:
        ValueError: if the marks are not there, once.

    Example:
        >>> replace_block("a <!-- x -->old<!-- /x --> b", "x", "new")
        'a <!-- x -->\\n\\nnew\\n\\n<!-- /x --> b'
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"README.md must hold {begin} and {end} once each")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


def mean_sd(values, digits):
    """``mean ± standard deviation`` of numbers, ignoring none."""
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return f"{mean:.{digits}f}"
    spread = (sum((value - mean) ** 2 for value in values) / (count - 1)) ** 0.5
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def table(head, rows):
    """A markdown table.

    Example:
        >>> print(table(["a", "b"], [["x", 1]]))
        | a | b |
        |---|---|
        | x | 1 |
    """
    lines = [head, ["---"] * len(head), *rows]
    marked = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([marked[0], marked[1].replace(" ", ""), *marked[2:]])


def _stamped(text):
    """Text with what made it."""
    # Whose folder it was is nobody's business.
    words = [
        "DATA" if Path(w).is_dir() else Path(w).name if Path(w).is_file() else w
        for w in sys.argv[1:]
    ]
    words = [Path(sys.argv[0]).name, *words]
    known = {name: version(name) for name in PACKAGES}
    for name in PEERS:
        if name in sys.modules:
            found = getattr(sys.modules[name], "__version__", None)
            known[name] = found or version(name)
    versions = ", ".join(f"{name} {number}" for name, number in known.items())
    devices = {device.device_kind for device in jax.local_devices()}
    machine = " and ".join([platform.machine(), *sorted(devices - {"cpu"})])
    return (
        f"{text.strip()}\n\n"
        f"<sub>`python experiments/{' '.join(words)}`, {datetime.date.today()}, "
        f"{time.perf_counter() - _START:.0f} s on {os.cpu_count()} cores "
        f"({machine}), Python {platform.python_version()}, {versions}</sub>"
    )
