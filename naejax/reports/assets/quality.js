// Where the predictions err: residuals, calibration, confusion.

function drawErrors(page) {
  const { residuals, calibration, confusion } = data;
  if (!residuals && !calibration && !confusion) return;
  const box = section(page, "errors", "Where it errs", "On ", name(data.rows.scored_on), ".");
  const grid = html("div", { class: "cards" });
  box.append(grid);
  if (residuals) {
    grid.append(
      plotCard("Predicted and true", `Each dot is a row; on the line the prediction is right.`, (width) => scatter(width, residuals.points)),
      plotCard("Errors", "Prediction less truth, counted; at 0 the prediction is right.", (width) => bars(width, residuals.edges, residuals.counts)),
    );
  }
  if (calibration && calibration.classes.length) grid.append(calibrationCard(calibration.classes));
  if (confusion) {
    const words = "Rows by what they are (down) and what is predicted (across).";
    const table = scroller("Confusion", "heat-box", confusionTable(confusion));
    grid.append(html("article", { class: confusion.classes.length > 6 ? "card full" : "card" }, html("h3", {}, "Truth and prediction"), html("p", { class: "facts" }, words), table));
  }
}

function plotCard(title, words, draw) {
  return html("article", { class: "card" }, html("h3", {}, title), html("p", { class: "facts" }, words), chartBox(draw));
}

/** A square field with the same axis both ways and a line where x = y. */
function squareField(width, extent, xTitle, yTitle) {
  const size = Math.min(width, 380);
  const marks = ticks(extent, 4);
  const left = 26 + CHART.digit * Math.max(...marks.map(({ text }) => text.length));
  const x = scale(extent, [left, size - 14]);
  const y = scale(extent, [size - 44, 10]);
  const node = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "field", role: "img", "aria-label": `${yTitle} against ${xTitle}` });
  for (const { value, text } of marks) {
    node.append(
      svg("line", { class: "grid", x1: left, x2: size - 14, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: left - 5, y: y(value) + 4, "text-anchor": "end" }, text),
      svg("text", { class: "tick", x: x(value), y: size - 26, "text-anchor": "middle" }, text),
    );
  }
  node.append(
    svg("line", { class: "diagonal", x1: x(extent[0]), y1: y(extent[0]), x2: x(extent[1]), y2: y(extent[1]) }),
    svg("text", { class: "axis-title", x: (left + size) / 2, y: size - 6, "text-anchor": "middle" }, xTitle),
    svg("text", { class: "axis-title", transform: `translate(11 ${size / 2 - 20}) rotate(-90)`, "text-anchor": "middle" }, yTitle),
  );
  return { node, x, y };
}

function scatter(width, points) {
  const first = points.length ? points[0][0] : 0;
  const [low, high] = extentOf([points], [first, first]);
  const room = 0.03 * (high - low);
  const { node, x, y } = squareField(width, [low - room, high + room], "predicted", "true");
  node.append(...points.map(([predicted, truth]) => svg("circle", { class: "row-dot", cx: x(predicted), cy: y(truth), r: 2.4 })));
  return node;
}

function bars(width, edges, counts) {
  const [height, floor] = [220, 176];
  const tallest = Math.max(...counts, 1);
  const extent = [edges[0], edges[edges.length - 1]];
  const x = scale(extent, [8, width - 8]);
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "field", role: "img", "aria-label": "Errors, counted" });
  counts.forEach((rows, k) => {
    const [from, to, tall] = [x(edges[k]), x(edges[k + 1]), ((floor - 10) * rows) / tallest];
    node.append(svg("rect", { class: "count-bar", x: from, y: floor - tall, width: Math.max(0.6, to - from - 0.8), height: tall },
      svg("title", {}, `${number(edges[k])} to ${number(edges[k + 1])}: ${plural(rows, "row")}`)));
  });
  if (extent[0] < 0 && extent[1] > 0) node.append(svg("line", { class: "diagonal", x1: x(0), x2: x(0), y1: 6, y2: floor }));
  for (const { value, text } of ticks(extent, Math.min(6, Math.floor(width / 60)))) {
    node.append(svg("text", { class: "tick", x: x(value), y: floor + 16, "text-anchor": "middle" }, text));
  }
  node.append(
    svg("line", { class: "grid", x1: 8, x2: width - 8, y1: floor, y2: floor }),
    svg("text", { class: "axis-title", x: width / 2, y: height - 6, "text-anchor": "middle" }, "error, in the unit of the target"),
  );
  return node;
}

function calibrationCard(classes) {
  const title = html("p", { class: "facts" });
  const pick = () => classes.find((one) => one.name === data.outputs[state.output]) || classes[0];
  const box = chartBox((width) => {
    const { bins } = pick();
    const { node, x, y } = squareField(width, [0, 1], "predicted probability", "share that is so");
    const known = bins.filter((bin) => bin.predicted !== null && bin.observed !== null && bin.rows > 0);
    const most = Math.max(...known.map((bin) => bin.rows), 1);
    node.append(svg("path", { class: "line mean", d: pathOf(known.map((bin) => [x(bin.predicted), y(bin.observed)])) }));
    for (const bin of known) {
      const r = 2.5 + 5 * Math.sqrt(bin.rows / most);
      const words = `predicted ${percent(bin.predicted)}, is ${percent(bin.observed)}, ${plural(bin.rows, "row")}`;
      node.append(svg("circle", { class: "bin-dot", cx: x(bin.predicted), cy: y(bin.observed), r }, svg("title", {}, words)));
    }
    return node;
  });
  view(() => {
    title.replaceChildren("Class ", name(pick().name), ": on the line, probabilities mean what they say. Larger dots stand for more rows.");
    drawInto(box);
  });
  return html("article", { class: "card" }, html("h3", {}, "Calibration"), title, box);
}

function confusionTable({ classes, counts }) {
  const rows = classes.map((truth, a) => {
    const all = counts[a].reduce((sum, rows) => sum + rows, 0) || 1;
    const cells = counts[a].map((rows, b) => {
      const words = `${classes[a]} predicted as ${classes[b]}: ${plural(rows, "row")}`;
      return html("td", { class: a === b ? "right" : null, title: words, css: { "--share": rows / all } }, count(rows));
    });
    return html("tr", {}, html("th", { scope: "row" }, name(truth)), cells);
  });
  const head = html("tr", {}, html("td", { class: "corner" }, "truth \u2193"), classes.map((text) => html("th", { scope: "col" }, name(text))));
  return html("table", { class: "heat" }, html("thead", {}, head), html("tbody", {}, rows));
}
