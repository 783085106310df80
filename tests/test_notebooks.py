"""Notebooks are in step with their scripts, were run, and use names that exist."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import types
import warnings
from pathlib import Path

import jupytext
import nbformat
import pytest

import naejax

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def read(script):
    """The cells of a script's notebook."""
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4).cells


def code_cells(script):
    return [cell for cell in read(script) if cell.cell_type == "code"]


def outputs(script):
    return [output for cell in code_cells(script) for output in cell.outputs]


def test_every_script_has_a_notebook():
    stems = [path.stem for path in SCRIPTS]
    assert stems == [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
    assert [stem[:3] for stem in stems] == ["01_", "02_", "03_", "04_"]


@each_script
def test_pairs_are_in_step(script):
    written = jupytext.read(script, fmt="py:percent").cells
    kept = read(script)
    assert [(c.cell_type, c.source) for c in kept] == [
        (c.cell_type, c.source) for c in written
    ]


@each_script
def test_outputs_are_those_of_one_clean_run(script):
    counts = [cell.execution_count for cell in code_cells(script)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = [output.output_type for output in outputs(script)]
    assert kinds and "error" not in kinds
    assert "stderr" not in [output.get("name") for output in outputs(script)]


@each_script
def test_notebooks_are_small_and_show_pictures_and_no_paths(script):
    notebook = script.with_suffix(".ipynb")
    assert notebook.stat().st_size < 500_000
    shown = [output.get("data", {}) for output in outputs(script)]
    assert any("image/png" in data for data in shown)
    # Letters of a picture may spell anything.
    texts = [data | {"image/png": ""} for data in shown]
    texts += [output.get("text", "") for output in outputs(script)]
    texts += [cell.source for cell in read(script)]
    foreign = r"(?<![\w.])/(tmp|home|root|usr|opt|work|Users|var)\b|site-packages"
    assert not re.search(foreign, json.dumps(texts))
    assert all("execution" not in cell.metadata for cell in read(script))


@each_script
def test_the_first_cell_installs_on_colab_and_nowhere_else(script, monkeypatch):
    source = code_cells(script)[0].source
    assert source == code_cells(SCRIPTS[0])[0].source
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda *args, **_: calls.append(*args))
    exec(source, {})
    assert not calls
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
    exec(source, {})
    wheel = f"naejax-{naejax.__version__}-py3-none-any.whl"
    assert calls == [[sys.executable, "-m", "pip", "install", "-q", wheel]]


@each_script
def test_names_of_naejax_and_their_keywords_exist(script):
    names = {"naejax": naejax}
    tree = ast.parse(script.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("naejax"):
            module = importlib.import_module(node.module)
            names |= {alias.name: getattr(module, alias.name) for alias in node.names}
    assert len(names) > 1 or "01" in script.stem

    def find(node):
        """What an expression like ``naejax.a.b`` means; None if it is another's."""
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = find(node.value)
            return None if owner is None else getattr(owner, node.attr)
        return None

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            find(node)
        elif isinstance(node, ast.Call) and callable(function := find(node.func)):
            parameters = inspect.signature(function).parameters
            given = {word.arg for word in node.keywords if word.arg}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                assert given <= set(parameters), ast.unparse(node)


def test_a_kernel_without_widgets_warns_of_nothing(monkeypatch):
    from naejax.train.progress import progress_bar

    def warnings_of(act):
        for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            act()
        return [str(warning.message) for warning in heard]

    def use_bar():
        with progress_bar(2, silent=True) as bar:
            bar.update()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = object
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("zmqshell"))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert "IProgress" in warnings_of(lambda: importlib.import_module("tqdm.auto"))[0]
    assert not warnings_of(use_bar)
