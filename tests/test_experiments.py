"""Experiments leave whole results in README.md, and know the truth they score."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
PAGE = (EXPERIMENTS / "README.md").read_text()


@pytest.fixture
def module(monkeypatch):
    """Imports a script of the folder of experiments."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module


@pytest.fixture
def publish(module, monkeypatch, tmp_path):
    """The module, with a page of its own."""
    publish = module("publish")
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- a -->old<!-- /a -->\nafter\n")
    monkeypatch.setattr(publish, "README", page)
    monkeypatch.setattr(publish, "FIGURES", tmp_path / "figures")
    return publish


def test_the_page_shows_every_script_and_figure_that_there_is():
    scripts = {path.name for path in EXPERIMENTS.glob("*.py")}
    helpers = {
        "part_maps.py",
        "part_measures.py",
        "part_pictures.py",
        "publish.py",
        "published.py",
        "real_tables.py",
        "synthetic_models.py",
        "table_models.py",
        "table_scores.py",
    }
    makers = {"golden_sparsemax.py", "golden_transformers.py", "init_rules.py"}
    assert set(re.findall(r"`(\w+\.py)`", PAGE)) == scripts - helpers - makers
    figures = {path.name for path in EXPERIMENTS.glob("figures/*")}
    assert set(re.findall(r"\]\(figures/(.*?)\)", PAGE)) == figures


def test_every_block_of_the_page_was_written_by_its_command():
    names = re.findall(r"<!-- (\w+) -->", PAGE)
    assert names
    for name in names:
        _, _, rest = PAGE.partition(f"<!-- {name} -->")
        block, _, _ = rest.partition(f"<!-- /{name} -->")
        if not block.strip():  # Not published yet.
            continue
        stamp = rf"<sub>`python experiments/{name}\.py [^`]*--publish[^`]*`, 20"
        assert len(re.findall(stamp, block)) == 1 and "--quick" not in block


def test_pictures_are_small():
    for path in EXPERIMENTS.glob("figures/*"):
        assert path.suffix == ".png" and path.stat().st_size < 150_000, path


def test_examples_of_the_shared_part(publish):
    assert doctest.testmod(publish).failed == 0


def test_publishing_replaces_a_block_and_nothing_else(publish, tmp_path, capsys):
    options = publish.make_parser("", seeds=1).parse_args(["--publish"])
    publish.deliver(options, "a", "new", {"one": Figure()})
    page = (tmp_path / "README.md").read_text()
    assert re.fullmatch(
        r"before\n<!-- a -->\n\nnew\n\n<sub>.*</sub>\n\n<!-- /a -->\nafter\n", page
    )
    assert (tmp_path / "figures" / "one.png").read_bytes()[1:4] == b"PNG"
    assert "new" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["", "<!-- a -->", 2 * "<!-- a --><!-- /a -->"])
def test_without_its_place_on_the_page_nothing_is_written(publish, tmp_path, page):
    (tmp_path / "README.md").write_text(page)
    options = publish.make_parser("", seeds=1).parse_args(["--publish"])
    with pytest.raises(ValueError, match="must hold <!-- a --> and <!-- /a --> once"):
        publish.deliver(options, "a", "new", {"one": Figure()})
    assert (tmp_path / "README.md").read_text() == page
    assert not any((tmp_path / "figures").iterdir())


def test_a_folder_of_its_own_leaves_the_page_alone(publish, tmp_path):
    out = tmp_path / "out"
    options = publish.make_parser("", seeds=1).parse_args(["--out", str(out)])
    publish.deliver(options, "a", "new", {"one": Figure()})
    assert {path.name for path in out.iterdir()} == {"a.md", "one.png"}
    assert "old" in (tmp_path / "README.md").read_text()


def test_a_quick_run_is_never_published(publish, capsys):
    with pytest.raises(SystemExit):
        publish.make_parser("", seeds=1).parse_args(["--quick", "--publish"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "got '0', expected a number from 1 on"),
        (["--seeds", "-1"], "got '-1', expected a number from 1 on"),
        (["--seeds", "two"], "got 'two', expected a number from 1 on"),
        (["--out", __file__], "File exists"),
    ],
)
def test_mistakes_end_before_the_work(publish, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        publish.make_parser("", seeds=1).parse_args(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_folders_are_not_told(publish, tmp_path, monkeypatch):
    kept = tmp_path / "fits.jsonl"
    kept.write_text("")
    words = ["/x/nae_tables.py", "--folder", str(tmp_path), "--kept", str(kept)]
    monkeypatch.setattr("sys.argv", words)
    stamp = publish._stamped("")
    assert "`python experiments/nae_tables.py --folder DATA --kept fits.jsonl`" in stamp


@pytest.mark.parametrize(
    ("name", "additive", "pairs"),
    [
        ("additive", 1.0, 0),
        ("xor", 0.0, 1),
        ("product", 0.0, 2),
        ("friedman2", 0.87, 3),
    ],
)
def test_tasks_know_their_truth(module, name, additive, pairs):
    task = module("synthetic_models").make_task(name)
    assert task.y.std() == pytest.approx(1, abs=0.05)
    assert task.ceiling == pytest.approx(additive, abs=0.02)
    assert len(task.pairs) == pairs
    # A straight line is an additive function, too.
    x = np.column_stack([task.x[-1000:], np.ones(1000)])
    _, rest, *_ = np.linalg.lstsq(x, task.signal)
    assert 1 - rest[0] / 1000 / task.signal.var() < task.ceiling + 0.02


@pytest.mark.slow
def test_scores_are_those_of_the_members(module):
    """The mean of the signal, in place of a model, explains nothing of it."""
    import jax

    from naejax import NAE

    models = module("synthetic_models")
    task, model = models.make_task("xor"), NAE(num_experts=2, hidden=(4,))
    keys = jax.random.split(jax.random.key(0), 2)
    variables = jax.vmap(model.init, (0, None))(keys, task.x[:1])
    variables = jax.tree.map(lambda a: 0 * a[None], variables)
    variables["params"]["bias"] += task.signal.mean().astype(np.float32)
    variables["params"]["bias"] *= np.array([[[1.0], [2.0]]], np.float32)
    found = models.r2(model, task, variables)
    assert found.shape == (1, 2)
    assert found[0, 0] == pytest.approx(0, abs=1e-5)
    off = task.signal.mean() ** 2 / task.signal.var()
    assert found[0, 1] == pytest.approx(-off, abs=1e-5)
    scores = models.score(model, task, variables)
    assert np.allclose(scores.r2, found, atol=1e-5)
    assert (scores.spread == 0).all() and (scores.shape_error < 1e-6).all()
