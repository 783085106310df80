// The page, from top to bottom.

function drawPage() {
  const page = html("main", { id: "report" });
  document.body.append(html("a", { class: "skip", href: "#report" }, "Skip to the report"), page);
  drawHeader(page);
  if (data.kind === "table") {
    drawGuide(page);
    drawWarnings(page);
    drawScores(page);
    if (data.features.length) {
      drawImportance(page);
      drawShapes(page);
      drawContexts(page);
      drawInteractions(page);
      drawRows(page);
      drawErrors(page);
      drawColumns(page);
    }
  } else {
    drawWarnings(page);
    drawScores(page);
    drawGallery(page);
  }
  drawAbout(page);
  page.before(navigation(page));
}

function navigation(page) {
  const short = {
    care: "Cautions", scores: "Scores", importance: "Importance", shapes: "Shapes", contexts: "Contexts",
    interactions: "Interactions", rows: "Rows", errors: "Errors", columns: "Columns",
    gallery: THING === "text" ? "Texts" : "Images", about: "About",
  };
  const links = [...page.querySelectorAll("section")].map(({ id }) =>
    html("li", {}, html("a", { href: `#${id}` }, short[id])));
  const list = html("ul", {}, links);
  return html("nav", { "aria-label": "Sections" }, html("div", { class: "nav-inner" }, list, outputChooser()));
}

function outputChooser() {
  if ((data.outputs || []).length < 2) return null;
  const options = data.outputs.map((text, c) => html("option", { value: c }, text));
  const select = html("select", { id: "output" }, options);
  select.addEventListener("change", () => chooseOutput(Number(select.value)));
  return html("div", { class: "output" }, html("label", { for: "output" }, "Class"), select);
}

function chooseOutput(c) {
  state.output = c;
  document.getElementById("output").value = c;
  refresh();
}

/** On paper nothing can be opened, so everything is open. */
function openForPrint() {
  const opened = [];
  const follow = () => {
    if (paper.matches) {
      for (const box of document.querySelectorAll("details:not([open])")) {
        box.open = true;
        opened.push(box);
      }
    } else {
      for (const box of opened.splice(0)) box.open = false;
    }
    refresh();
  };
  paper.addEventListener("change", follow);
  if (paper.matches) follow();
}

drawPage();
openForPrint();
