"""The page of a report in a browser: what it shows, does and never does."""

import os
import shutil
from pathlib import Path

import pytest
from report_data import HOSTILE, fake_report
from report_gallery import fake_gallery, fake_texts

from naejax.reports.page import render

pytestmark = pytest.mark.slow

OFF = ("gpu", "quic", "background-networking", "component-update", "sync")
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in OFF)]
WINE = ("Riesling", "Merlot", "Sémillon")
TWENTY = tuple(f"class number {k}" for k in range(20))
SENSORS = tuple(f"sensor_{k:03d}" for k in range(100))
REPORTS = {
    "homes": lambda: fake_report(members=3),
    "income": lambda: fake_report("binary", classes=("<=50K", ">50K")),
    "wine": lambda: fake_report("multiclass", classes=WINE, members=2),
    "twenty": lambda: fake_report("multiclass", classes=TWENTY, names=SENSORS[:12]),
    "sensors": lambda: fake_report(names=SENSORS),
    "hostile": lambda: fake_report(
        "multiclass", names=HOSTILE, classes=HOSTILE[:3], title=HOSTILE[0]
    ),
    "single": lambda: fake_report(names=("x",), rows=1),
    "gallery": fake_gallery,
    "texts": fake_texts,
}
SCRIPTS = Path(__file__).with_name("report_checks.js").read_text("utf-8")


def need(missing: str | None) -> None:
    """Skips, or fails where continuous integration promised a browser."""
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI is set, and there is no {missing}")
    if missing:
        pytest.skip(f"no {missing}: the report is not opened in a browser")


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    need(None if chromium else "chromium on the path")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        need("playwright (pip install playwright)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a report; in the end nothing must have been said, asked for or run."""
    contexts, said, asked = [], [], []

    def listen(page):
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: said.append(dialog.message))

    def visit(name, width=1400, **settings):
        path = tmp_path / f"{name}.html"
        path.write_text(render(REPORTS[name]()), "utf-8")
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, **settings)
        contexts.append(context)
        page = context.new_page()
        listen(page)
        page.goto(path.as_uri())
        page.wait_for_selector("section")
        page.evaluate(SCRIPTS)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert len([url for url in asked if url[:4] == "file"]) == len(contexts)


def texts(page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_fits_a_phone_and_a_wide_screen(visit, name):
    page = visit(name, width=360)
    assert page.evaluate("checks.overflow()") == []
    page.set_viewport_size({"width": 1400, "height": 900})
    assert page.evaluate("checks.overflow()") == []


@pytest.mark.parametrize("name", ["homes", "income", "wine", "gallery", "texts"])
def test_every_text_has_contrast_by_day_and_night(visit, name):
    page = visit(name)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("checks.faintTexts()") == []
        assert page.evaluate("checks.faintMarks()") == []
        dark = page.evaluate("checks.luminance(document.body)") < 0.2
        assert dark == (scheme == "dark")


def test_sections_of_a_table(visit):
    page = visit("homes")
    assert page.locator("nav a").all_inner_texts() == [
        *("Cautions", "Scores", "Importance", "Shapes", "Contexts", "Interactions"),
        *("Rows", "Errors", "Columns", "About"),
    ]
    data = REPORTS["homes"]()
    first = data["features"][data["order"][0]]["name"]
    assert texts(page, "#importance .bar-row .name")[0] == first
    assert page.locator("#shapes .card").count() == 8
    assert page.locator("#columns tbody tr").count() == 8
    assert page.locator("#errors .row-dot").count() == 400


def test_toggles_change_all_figures_or_one(visit):
    page = visit("homes")
    ranges = page.locator("#shapes svg .band.range")
    numeric = page.locator("#shapes .card svg.lines").count()
    assert ranges.count() == 0
    page.locator(".controls [data-layer=range]").click()
    assert ranges.count() == numeric > 1
    card = page.locator("#shape-0")
    card.locator(".legend [data-layer=range]").click()
    assert ranges.count() == numeric - 1
    assert (
        card.locator(".legend [data-layer=range]").get_attribute("aria-pressed")
        == "false"
    )
    assert card.locator(".line.expert").count() == 0
    card.locator(".legend [data-layer=experts]").click()
    assert card.locator(".line.expert").count() == 5
    assert card.locator(".line.member").count() == 3
    page.locator(".controls [data-layer=members]").click()
    assert page.locator("#shapes .line.member").count() == 0
    line = card.locator(".line.mean")
    before = line.get_attribute("d")
    page.locator(".controls [data-layer=scale]").click()
    assert line.get_attribute("d") != before


def test_the_class_selector_changes_every_section(visit):
    page = visit("wine")

    def shown():
        return [
            page.locator("#shape-0 .line.mean").get_attribute("d"),
            texts(page, "#importance .bar-value"),
            texts(page, "#interactions td[title]"),
            texts(page, ".waterfall .step-value"),
            page.locator("#errors .facts").first.inner_text(),
            page.locator("#context-0 path.line").first.get_attribute("d"),
        ]

    page.locator(".controls [data-layer=scale]").click()
    before = shown()
    page.get_by_label("Class").select_option("Merlot")
    after = shown()
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert "Merlot" in after[4]
    page.get_by_label("Class").select_option("Riesling")
    assert shown() == before


def test_pointing_reads_a_shape(visit):
    page = visit("homes")
    box = page.locator("#shape-1 .chart").bounding_box()
    readout = page.locator("#shape-1 .readout")
    rest = readout.inner_text()
    page.locator("#shape-1 .chart").scroll_into_view_if_needed()
    page.locator("#shape-1 .chart").hover(position={"x": box["width"] - 4, "y": 60})
    feature = REPORTS["homes"]()["features"][1]
    assert readout.inner_text().startswith("52: ")
    assert f"{feature['counts'][-1]} row" in readout.inner_text()
    assert "spread" in readout.inner_text()
    page.mouse.move(2, 2)
    assert readout.inner_text() == rest


def test_arrow_keys_read_a_shape(visit):
    page = visit("homes")
    slider = page.locator("#shape-1 .chart")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext").startswith("1: ")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "1"
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext").startswith("52: ")
    assert page.locator("#shape-1 svg.marked").count() == 1
    missing = page.locator("#shape-3 .chart")
    missing.focus()
    page.keyboard.press("End")
    assert missing.get_attribute("aria-valuetext").startswith("missing: ")


def test_a_bar_leads_to_its_shape(visit):
    page = visit("sensors")
    assert page.locator("#shapes .card:visible").count() == 24
    page.get_by_role("button", name="Show all 100 columns").first.click()
    bars = page.locator("#importance .bar-row")
    assert bars.count() == 100
    last = bars.last.locator(".name").inner_text()
    bars.last.click()
    assert page.evaluate("document.activeElement.innerText") == last
    assert page.locator("#shapes .card:visible").count() == 100


def test_search_finds_columns(visit):
    page = visit("sensors")
    page.get_by_label("Find a column").fill("R_09")
    shown = texts(page, "#shapes .card:visible h3")
    assert sorted(shown) == [f"sensor_{k:03d}" for k in range(90, 100)]
    assert page.get_by_role("status").inner_text() == "10 columns"
    page.get_by_label("Find a column").fill("")
    assert page.locator("#shapes .card:visible").count() == 24


def test_a_square_leads_to_its_pair(visit):
    page = visit("homes")
    title = page.locator(".pair h3")
    assert title.inner_text() == "How MedInc moves the contribution of HouseAge"
    assert page.locator(".pair .line-key li").count() == 3
    page.locator("td[data-pair='0,7']").click()
    assert title.inner_text() == "How Longitude moves the contribution of MedInc"
    assert page.locator("td.chosen").get_attribute("data-pair") == "0,7"
    page.locator("td[data-pair='0,7']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert title.inner_text() == "How Latitude moves the contribution of MedInc"
    assert "Only the strongest pairs" in page.locator(".pair").inner_text()


def test_a_row_shows_how_its_prediction_comes_about(visit):
    page = visit("homes")
    row = REPORTS["homes"]()["table"]["rows"][4]
    page.locator(".rows-table tbody tr").nth(4).click()
    panel = page.locator(".row-panel")
    assert panel.locator("h3").inner_text().startswith(row["id"])
    values = texts(page, ".waterfall .step-value")
    numbers = [float(v.replace("−", "-")) for v in values]
    assert len(numbers) == 8 + 2
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.03)
    assert numbers[-1] == pytest.approx(row["score"][0], abs=0.01)
    page.keyboard.press("ArrowDown")
    assert panel.locator("h3").inner_text().startswith("test row 172: ")
    assert page.locator(".rows-table .chosen").count() == 1


def test_a_row_leads_to_its_predicted_class(visit):
    page = visit("wine")
    rows = REPORTS["wine"]()["table"]["rows"]
    best = [max(range(3), key=row["score"].__getitem__) for row in rows]
    k = next(k for k in range(len(rows)) if best[k] != 0)
    page.locator(".rows-table tbody tr").nth(k).click()
    page.locator(".row-panel .chip").click()
    assert page.get_by_label("Class").input_value() == str(best[k])
    shown = page.locator(".step.total").inner_text()
    assert shown.startswith(f"Score: {WINE[best[k]]}")
    assert page.locator(".row-panel .chip").count() == 0


def test_many_columns_of_a_row_are_summed(visit):
    page = visit("sensors")
    names = texts(page, ".waterfall .step-name")
    assert len(names) == 14 and names[-2] == "89 other columns"


def test_everything_is_reached_with_the_tab_key(visit):
    page = visit("homes")
    reached = page.evaluate("checks.tabStops()")
    page.keyboard.press("Tab")
    seen = []
    for _ in range(len(reached)):
        seen.append(page.evaluate("checks.nameOf(document.activeElement)"))
        assert page.evaluate("checks.hasFocusRing()"), seen[-1]
        page.keyboard.press("Tab")
    assert seen == reached
    assert all(seen)
    assert sum("arrow keys" in name for name in seen) == 8 + 5 + 1


def test_names_are_text(visit):
    page = visit("hostile")
    assert page.title() == HOSTILE[0].strip()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    shown = [text for text in page.locator("#columns tbody th").all_text_contents()]
    assert shown == list(HOSTILE)
    assert page.locator("h1").text_content() == HOSTILE[0]
    options = page.locator("#output option").all_text_contents()
    assert options == list(HOSTILE[:3])
    arabic = page.locator("#columns tbody th bdi").nth(2)
    assert arabic.evaluate("node => getComputedStyle(node).unicodeBidi") == "isolate"


def test_print_opens_everything(visit):
    page = visit("sensors", color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("#shapes .card:visible").count() == 100
    assert page.locator("#importance .bar-row:visible").count() == 100
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("nav").is_hidden()
    assert page.evaluate("checks.luminance(document.body)") > 0.9
    levels = page.locator("#shape-4 .level[data-index]")
    assert levels.count() == 18
    page.emulate_media(media="screen")
    page.locator("details[open]").wait_for(state="detached")
    assert levels.count() == 12


def test_the_gallery_shows_sums(visit):
    page = visit("gallery")
    data = REPORTS["gallery"]()["gallery"]
    first = page.locator(".example").first
    assert page.locator(".example").count() == 6
    assert first.locator(".group").count() == 5
    assert first.locator("img").count() == 4 + 2
    assert page.evaluate("checks.brokenImages()") == 0
    value = float(first.locator(".sum b").inner_text().replace("−", "-"))
    assert value == pytest.approx(data[0]["total"], abs=0.01)
    page.get_by_role("button", name="only wrong").click()
    assert texts(page, ".example:visible h3") == [data[3]["id"]]


def test_texts_show_what_groups_keep(visit):
    page = visit("texts")
    for item, box in zip(
        fake_texts()["gallery"], page.locator(".example").all(), strict=True
    ):
        assert box.locator(".text").count() == 1 + len(item["groups"])
        words = " ".join("…" if token is None else token for token in item["tokens"])
        assert box.locator(".text").first.text_content() == words
        for group, text in zip(
            item["groups"], box.locator(".masked").all(), strict=True
        ):
            kept = " ".join(text.locator("mark").all_text_contents())
            assert kept == " ".join(item["tokens"][k] for k in group["tokens"])
    assert page.locator("img").count() == 0
