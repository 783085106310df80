"""The house keeps its rules: floors, file sizes, docstrings, packaging.

Each rule of house_rules.py is applied to the repository, which must give no complaint,
and to bad examples, which must.
"""

import importlib
import subprocess
import tomllib
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from house_rules import (
    MAX_LINES,
    Import,
    dependency_errors,
    docstring_errors,
    export_errors,
    floor_errors,
    length_errors,
    lock_errors,
    machine_errors,
    module_name,
    readme_errors,
    version_errors,
)

import naejax

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"plot", "tf", "grain", "tb", "text", "cuda12", "cuda13", "tpu", "test"}


def read(*folders: str) -> dict[str, str]:
    """Source text of every Python file below the folders, by path from the root."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


SOURCES = read("naejax")


def tracked_texts() -> dict[str, str]:
    """Text of every file that git has or would take, by path from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = {ROOT / name for name in listing.decode().split("\0") if name}
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(errors="replace")
        for path in paths
        if path.is_file()
    }


def check(errors: list[str]) -> None:
    assert not errors, "\n" + "\n".join(errors)


def test_imports_point_down():
    check(floor_errors(SOURCES))


def test_files_are_short():
    check(length_errors(read("naejax", "experiments", "tests")))


def test_public_names_have_docstrings():
    check([e for path in SOURCES for e in docstring_errors(path, SOURCES[path])])


def test_exports_exist_and_are_explained():
    paths = [path for path in SOURCES if "__all__" in SOURCES[path]]
    assert "naejax/__init__.py" in paths
    modules = [importlib.import_module(module_name(path)) for path in paths]
    check([e for module in modules for e in export_errors(module)])


def test_imports_are_declared():
    project = PYPROJECT["project"]
    check(
        [e for path in SOURCES for e in dependency_errors(path, SOURCES[path], project)]
    )


def test_extras():
    assert set(PYPROJECT["project"]["optional-dependencies"]) == EXTRAS


def test_readme_commands():
    check(readme_errors((ROOT / "README.md").read_text()))


def test_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    check(
        version_errors(PYPROJECT["project"]["version"], naejax.__version__, changelog)
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_file_names_a_folder_of_one_machine():
    texts = tracked_texts()
    check([e for path in texts for e in machine_errors(path, texts[path])])


@pytest.mark.skipif(not (ROOT / "uv.lock").exists(), reason="not in the sdist")
def test_lock_file_uses_one_public_registry():
    check(lock_errors(tomllib.loads((ROOT / "uv.lock").read_text())))


def shown(x: int) -> int:
    """Adds one.

    Args:
        x: a number.

    Returns:
        The next number.

    Example:
        >>> shown(1)
        2
    """
    return x + 1


def hidden(x: int) -> int:
    """Adds one."""
    return x + 1


def exporting(*members: FunctionType, **others: object) -> ModuleType:
    """A module that exports what it is given."""
    module = ModuleType("example")
    names = {member.__name__: member for member in members} | others
    vars(module).update(names, __all__=list(names))
    return module


UPWARD = {
    "naejax/ops/a.py": "def f():\n    from ..models import b",
    "naejax/models/b.py": "",
}
CIRCLE = {
    "naejax/ops/a.py": "from naejax.ops.b import g",
    "naejax/ops/b.py": "from naejax.ops import a",
}
BESIDE = {"naejax/cli.py": "import naejax.ops.a", "naejax/ops/a.py": "import jax"}
PROJECT = {
    "dependencies": ["jax>=0.10"],
    "optional-dependencies": {"plot": ["matplotlib"], "test": ["pandas"]},
}
ONE = "```bash\npip install -e . && pytest\n```\n"


@pytest.mark.parametrize(
    ("rule", "arguments", "complaints"),
    [
        (floor_errors, (BESIDE,), []),
        (floor_errors, (UPWARD,), ["a.py:2: imports naejax/models/b.py, which"]),
        (floor_errors, (CIRCLE,), ["circle of imports"]),
        (floor_errors, ({"naejax/attic.py": ""},), ["attic.py: give it a floor"]),
        (length_errors, ({"a.py": "\n" * MAX_LINES},), []),
        (length_errors, ({"a.py": "\n" * (MAX_LINES + 1)},), ["351 lines"]),
        (docstring_errors, ("a.py", "class A: pass"), ["no module", "A has no doc"]),
        (docstring_errors, ("a.py", '"""Doc."""\ndef _f(): pass'), []),
        (export_errors, (exporting(shown),), []),
        (export_errors, (exporting(gone=None),), ["example.gone does not exist"]),
        (export_errors, (exporting(hidden),), ["no example", "no Args", "no Returns"]),
        (export_errors, (exporting(Import),), ["no Args or Attributes"]),
        (dependency_errors, ("a.py", "import jax.numpy, os", PROJECT), []),
        (dependency_errors, ("a.py", "import pandas", PROJECT), ["pandas is not a"]),
        (dependency_errors, ("a.py", "import matplotlib", PROJECT), ["inside a"]),
        (dependency_errors, ("a.py", "def f(): import matplotlib", PROJECT), []),
        (readme_errors, (ONE,), ["want two"]),
        (readme_errors, (ONE + ONE,), ["'naejax train' not in"]),
        (version_errors, ("2", "1", "## [2] - x\n## [1]"), ["package: 1, not 2"]),
        (version_errors, ("2", "2", "# Changelog"), ["changelog: None, not 2"]),
        (machine_errors, ("a.md", "x\n" + "cd /wo" + "rk/main"), ["a.md:2: cd"]),
        (machine_errors, ("a.md", "https://example.org/wo" + "rk/"), []),
        (lock_errors, ({"package": [{"source": {"url": "file:x"}}]},), ["want one"]),
    ],
)
def test_the_rules_see_what_is_wrong(rule, arguments, complaints):
    errors = rule(*arguments)
    assert len(errors) == len(complaints), errors
    for error, complaint in zip(errors, complaints, strict=True):
        assert complaint in error
