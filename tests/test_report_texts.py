"""The data of a report on texts: what groups keep, and sums that are the model's."""

import numpy as np
import pytest
from report_contract import check_texts
from report_gallery import fake_texts
from test_texts import CLASSES, build, tokenized

from naejax import report
from naejax.explain import merge_duplicates
from naejax.ops.tokens import PART, PRESENT
from naejax.reports import texts as module
from naejax.reports.page import render
from naejax.reports.table import json_bytes
from naejax.reports.texts import LADDER, text_report
from naejax.reports.write import about_texts
from naejax.texts import explain_texts

HOSTILE = ("</script><img onerror=alert(1)>", "x" * 900, "\u202eflow", " \n", "e\u0301")


@pytest.fixture(scope="module")
def texts():
    """Texts whose tokens are told apart by their place."""
    made = tokenized(np.random.default_rng(5).integers(3, 22, 40))
    pieces = [[f"t{k}" for k in range(len(row))] for row in made.pieces]
    return made._replace(pieces=pieces)


@pytest.fixture(scope="module")
def fitted(texts):
    return build(texts.x, num_groups=8, selector_scale=0.3)


def test_galleries_add_up_and_are_the_models(fitted, texts):
    about = about_texts(fitted, texts)
    data = text_report(fitted, texts, title="t", about=about)
    check_texts(data)
    assert len(data["gallery"]) == len({e["id"] for e in data["gallery"]}) == 12
    output = explain_texts(fitted, texts.x)
    for entry in data["gallery"]:
        b = int(entry["id"].split()[1]) - 1
        c = int(np.argmax(output.prediction[b]))
        assert entry["prediction"] == CLASSES[c]
        assert entry["truth"] == CLASSES[texts.label[b]]
        assert entry["total"] == pytest.approx(output.prediction[b, c], rel=2e-3)
        there = texts.x[b, :, PRESENT] > 0
        assert entry["tokens"] == [f"t{k}" for k in there.nonzero()[0]]
        assert entry["marked"] == texts.rationale[b].nonzero()[0].tolist()
        stays = there & (texts.x[b, :, PART] < 0)
        assert entry["still"] == stays.nonzero()[0].tolist()
        one = output._replace(
            **{k: v[b : b + 1] for k, v in output._asdict().items() if k != "bias"}
        )
        merged = merge_duplicates(one, c)
        shares, counts = (np.asarray(a[0]) for a in merged)
        order = np.lexsort((-abs(shares), counts == 0))
        assert len(entry["groups"]) >= min(5, (counts > 0).sum())
        if entry["rest"] is None:
            weights = [group["weight"] for group in entry["groups"]]
            assert sum(weights) == pytest.approx(1, abs=1e-3)
        removable = (texts.x[b, :, PART] >= 0).sum()
        for group, g in zip(entry["groups"], order, strict=False):
            kept = output.masks[b, g].nonzero()[0].tolist()
            assert group["tokens"] == kept and group["copies"] == counts[g]
            assert group["kept"] == pytest.approx(len(kept) / removable, rel=1e-3)
    assert {entry["truth"] for entry in data["gallery"]} == set(CLASSES)


def test_a_smaller_size_is_kept(fitted, texts):
    full = json_bytes(text_report(fitted, texts, title="t"))
    small = text_report(fitted, texts, title="t", most_bytes=full // 2)
    check_texts(small)
    assert json_bytes(small) <= full // 2 and len(small["gallery"]) < 12
    assert f"{len(small['gallery'])} of the 40 texts given" in small["notes"][0]


def test_long_texts_are_cut_around_what_is_kept(fitted, texts, monkeypatch):
    whole = text_report(fitted, texts, title="t")
    monkeypatch.setattr(module, "LADDER", (LADDER[0]._replace(tokens=8),))
    data = text_report(fitted, texts, title="t")
    check_texts(data)
    cut = 0
    for before, after in zip(whole["gallery"], data["gallery"], strict=True):
        there = [token for token in after["tokens"] if token]
        assert len(there) == min(8, len(before["tokens"])) or after["left_out"]
        assert len(there) <= 8 and len(there) + after["left_out"] == len(
            before["tokens"]
        )
        cut += after["left_out"] > 0
        # The special token at the start is never removed, and small.
        assert there[0] == "t0"
        for old, new in zip(before["groups"], after["groups"], strict=True):
            kept = {before["tokens"][k] for k in old["tokens"]}
            shown = {after["tokens"][k] for k in new["tokens"]}
            assert shown == kept & set(there) and new["kept"] == old["kept"]
        if after["left_out"]:
            wanted = {k for group in before["groups"] for k in group["tokens"]}
            wanted |= set(before["marked"])
            others = {f"t{k}" for k in wanted} - set(there)
            assert not others or set(there) <= {"t0"} | {f"t{k}" for k in wanted}
    assert cut > 6
    assert any("with more than 8 tokens only" in note for note in data["notes"])


def test_a_report_is_one_small_page(fitted, texts, tmp_path):
    pieces = [list(HOSTILE) * 5 for _ in texts.pieces]
    pieces = [p[: len(own)] for p, own in zip(pieces, texts.pieces, strict=True)]
    hostile = texts._replace(pieces=pieces)
    y = np.array(CLASSES)[texts.label]
    path = report(fitted, hostile, y, tmp_path / "page.html", title="$x")
    page = path.read_text("utf-8")
    assert page.startswith("<!doctype html>") and len(page) < 2_000_000
    assert "<img" not in page and "\u202e" not in page and "alert" in page
    check_texts(text_report(fitted, hostile, title="t"))
    bare = report(fitted, texts, path=tmp_path / "bare.html").read_text("utf-8")
    assert "given" in bare


def test_the_made_up_report_is_like_a_real_one():
    check_texts(fake_texts())
    assert "</script><img" not in render(fake_texts())


def test_what_is_no_text_is_refused(fitted, texts, tmp_path):
    with pytest.raises(ValueError, match="expected the TokenizedTexts"):
        report(fitted, texts.x, path=tmp_path / "a.html")
    with pytest.raises(ValueError, match="y holds 'z'"):
        report(fitted, texts, ["z"] * 40, tmp_path / "a.html")
    with pytest.raises(ValueError, match="got 40 texts with 3 labels"):
        report(fitted, texts, [0, 1, 2], tmp_path / "a.html")
