"""The page of a report as a file: whole, closed to the world, safe with any name."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_contract import check_images, check_table
from report_data import HOSTILE, fake_report
from report_gallery import fake_gallery

from naejax.reports import page as page_module
from naejax.reports.page import render, to_script_json

ASSETS = Path(page_module.__file__).parent / "assets"
HARMFUL = "innerHTML|outerHTML|insertAdjacent|document.write|eval|Function\\("
HARMFUL += "|fetch|XMLHttpRequest|import *[(]|localStorage|</script|<!--"


class Elements(HTMLParser):
    """The tags of a page, and the texts inside elements of each tag."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.texts.setdefault(tag, []).append("")
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, text):
        if self.inside:
            self.texts[self.tags[-1][0]][-1] += text


REPORTS = {
    "homes": fake_report(members=3),
    "hostile": fake_report(
        "multiclass", names=HOSTILE, classes=HOSTILE[:3], title=HOSTILE[0]
    ),
    "gallery": fake_gallery(2),
}


@pytest.mark.parametrize("name", REPORTS)
def test_made_up_reports_are_like_real_ones(name):
    check = check_images if name == "gallery" else check_table
    check(REPORTS[name])


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_holds_the_data_and_no_other_markup(name):
    elements = Elements(render(REPORTS[name]))
    empty = Elements(render({"kind": "table", "title": ""}))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in empty.tags]
    data, _ = elements.texts["script"]
    assert json.loads(data) == REPORTS[name]
    assert not re.search("[<>&\u2028\u2029]", data)
    assert elements.texts["title"] == [REPORTS[name]["title"]]


def test_the_policy_allows_this_style_and_this_script_only():
    elements = Elements(render(REPORTS["homes"]))
    policy = next(
        a["content"] for t, a in elements.tags if t == "meta" and "http-equiv" in a
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def sha(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": sha(elements.texts["script"][1]),
        "style-src": sha(elements.texts["style"][0]),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_is_loaded():
    page = render(REPORTS["homes"])
    assert set(re.findall(r"\w+://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page and "url(" not in page
    for tag, attributes in Elements(page).tags:
        assert "src" not in attributes
        assert tag != "link" or attributes["href"] == "data:,"


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.js")), ids=lambda p: p.name)
def test_scripts_make_text_and_no_markup(path):
    text = path.read_text("utf-8")
    assert path.name in page_module._SCRIPTS
    assert not re.search(HARMFUL, text)
    assert len(text.splitlines()) <= 350


def test_the_page_without_data_is_small():
    assert len(render({"kind": "table", "title": ""}).encode()) < 100_000


@pytest.mark.parametrize("title", ["\ud800", "$policy {script}", "'\"&amp;\0"])
def test_titles_of_odd_characters(title):
    page = render({"kind": "sop", "title": title})
    page.encode("utf-8")
    data, _ = Elements(page).texts["script"]
    assert json.loads(data)["title"] == title


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_numbers_that_json_lacks(value):
    with pytest.raises(ValueError, match="write None for a number") as caught:
        to_script_json({"a": [value]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [{}, {"kind": "text", "title": "t"}, {"kind": "sop"}])
def test_refuses_what_is_no_report(data):
    with pytest.raises(ValueError, match="table_report, image_report or text_report"):
        render(data)
