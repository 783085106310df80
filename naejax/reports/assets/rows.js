// Single rows: from the baseline to the prediction, one contribution after the other.

const MOST_BARS = 12;

function drawRows(page) {
  const rows = (data.table && data.table.rows) || [];
  if (!rows.length) return;
  const box = section(
    page,
    "rows",
    "Row by row",
    html("span", { class: "screen" }, `Choose one of ${rows.length} rows to see how its prediction comes about.`),
  );
  const panel = html("div", { class: "row-panel", "aria-live": "polite" });
  const body = html("tbody");
  const shown = { row: 0 };
  const show = (k) => {
    shown.row = k;
    [...body.children].forEach((line, i) => line.classList.toggle("chosen", i === k));
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
    drawRow(panel, rows[k]);
  };
  const buttons = rows.map((row, k) =>
    html("button", { type: "button", class: "row-button" }, name(row.id)));
  const strongest = rows.map(() => html("td", { class: "strongest-of-row" }));
  const truths = rows.some((row) => row.truth !== null);
  rows.forEach((row, k) => {
    const choose = () => {
      tabTo(buttons, buttons[k]);
      buttons[k].focus({ preventScroll: true });
      show(k);
    };
    const line = html("tr", { on: { click: choose } },
      html("th", { scope: "row" }, buttons[k]),
      truths ? html("td", {}, row.truth === null ? NONE : name(row.truth)) : null,
      html("td", {}, name(row.prediction)), strongest[k]);
    body.append(line);
  });
  rove(buttons, 1, show);
  const head = ["row", truths ? "truth" : null, "prediction", "largest contributions"].filter(Boolean);
  const table = html("table", { class: "rows-table" },
    html("thead", {}, html("tr", {}, head.map((text) => html("th", { scope: "col" }, text)))), body);
  box.append(html("div", { class: "split" }, scroller("Rows", "tall rows-box", table), panel));
  view(() => {
    rows.forEach((row, k) => strongest[k].replaceChildren(...strongestOf(row)));
    show(shown.row);
  });
}

/** A way to the class that a row is predicted to have, where another one is shown. */
function toPredicted(row, c) {
  if (data.target.kind !== "multiclass") return null;
  const best = row.score.indexOf(Math.max(...row.score));
  if (best === c) return null;
  const press = () => chooseOutput(best);
  return html("p", { class: "chips" }, html("small", {}, "Shown: ", name(data.outputs[c]), "."),
    html("button", { type: "button", class: "chip", on: { click: press } }, "Show ", name(data.outputs[best]), ", the highest score"));
}

/** A row for an output, centred as the shapes are; the baseline takes up the shifts. */
function centred(row, c) {
  const shifts = data.features.map((feature) => feature.shift[c]);
  const less = (values) => values[c].map((value, i) => value - shifts[i]);
  return {
    values: less(row.contributions), low: less(row.lower), high: less(row.upper),
    base: baselineOf(c), total: row.score[c],
  };
}

/** Indices of the features by the size of their contribution. */
function bySize(values) {
  return values.map((_, i) => i).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
}

function strongestOf(row) {
  const { values } = centred(row, state.output);
  const decimals = decimalsFor(largest(values), 2);
  return bySize(values).slice(0, 2).map((i) =>
    html("span", {}, name(data.features[i].name), ` ${signed(values[i], decimals)}`));
}

/** The steps of a waterfall: where each bar begins and ends, and how far it could reach. */
function waterfallSteps({ values, low, high, base, total }) {
  const order = bySize(values);
  const alone = order.length > MOST_BARS ? order.slice(0, MOST_BARS - 1) : order;
  const rest = order.slice(alone.length);
  let from = base;
  const steps = alone.map((i) => {
    const step = { i, from, value: values[i], low: from + low[i], high: from + high[i] };
    from += values[i];
    return step;
  });
  const sum = (list) => rest.reduce((all, i) => all + list[i], 0);
  const beyond = total - from - sum(values);
  // Columns that the report leaves out are the rest of the score, with no known range.
  if (Math.abs(beyond) > 0.005 * Math.max(largest(values), Math.abs(total - base))) {
    steps.push({ label: "all other columns", from, value: total - from, low: from, high: from });
  } else if (rest.length) {
    const label = plural(rest.length, "other column");
    steps.push({ label, from, value: sum(values), low: from + sum(low), high: from + sum(high) });
  }
  return steps;
}

/** The extent of the bars; ranges that reach far beyond are cut at its ends. */
function waterfallExtent(steps, ends) {
  const bars = steps.flatMap(({ from, value }) => [from, from + value]);
  const [low, high] = extentOf([bars], ends);
  const room = 0.6 * (high - low);
  const reach = extentOf([steps.flatMap((step) => [step.low, step.high])], [low, high]);
  const [left, right] = [Math.max(low - room, reach[0]), Math.min(high + room, reach[1])];
  const edge = 0.02 * (right - left);
  return [left - edge, right + edge];
}

function drawRow(panel, row) {
  const c = state.output;
  const parts = centred(row, c);
  const { base, total } = parts;
  const steps = waterfallSteps(parts);
  const extent = waterfallExtent(steps, [Math.min(base, total), Math.max(base, total)]);
  const at = scale(extent, [0, 100]);
  const decimals = decimalsFor(largest(parts.values));
  const end = (label, value, className) =>
    html("li", { class: `step ${className}` },
      html("span", { class: "step-name" }, label),
      html("span", { class: "step-value" }, fixed(value, decimals)),
      html("span", { class: "step-track" }, html("span", { class: "stop", css: { left: `${at(value)}%` } })));
  const lines = steps.map((step) => stepLine(row, step, at, decimals));
  const axis = html("li", { class: "step axis" }, tickTrack(extent, at));
  const movers = row.movers.map(([j, i, effect]) =>
    html("li", {}, name(data.features[j].name), " moved the contribution of ", name(data.features[i].name), ` by ${number(effect, 2)}`));
  const heading = html("h3", {}, name(row.id), ": ", name(row.prediction),
    row.truth === null ? null : html("span", { class: "truth" }, " \u00b7 truth ", name(row.truth)));
  panel.replaceChildren(
    heading,
    ...[toPredicted(row, c)].filter(Boolean),
    html("ol", { class: "waterfall" }, end("Baseline", base, "end"), lines, end(totalName(c), total, "end total"), axis),
    html("p", { class: "axis-note" }, "Bars: contributions, blue up and orange down. Thin lines: how far other columns could move each bar (context range). Unit: ", name(unitOf(c)), "."),
    ...(movers.length ? [html("h4", {}, "What set the context"), html("ul", { class: "movers" }, movers)] : []),
  );
}

/** What the contributions of a row add up to. */
function totalName(c) {
  return data.target.kind === "regression" ? "Prediction" : ["Score: ", name(data.outputs[c])];
}

function stepLine(row, { i, label, from, value, low, high }, at, decimals) {
  const clip = (number) => Math.min(100, Math.max(0, at(number)));
  const [left, right] = [clip(low), clip(high)];
  const [start, end] = [Math.min(at(from), at(from + value)), Math.max(at(from), at(from + value))];
  const words = label || [
    name(data.features[i].name), html("span", { class: "equals" }, " = "), name(row.cells[i], "cell"),
  ];
  const cut = `${at(low) < 0 ? "cut-left " : ""}${at(high) > 100 ? "cut-right" : ""}`;
  return html("li", { class: "step" },
    html("span", { class: "step-name" }, words),
    html("span", { class: "step-value" }, signed(value, decimals)),
    html("span", { class: "step-track" },
      html("span", { class: `reach ${cut}`, css: { left: `${left}%`, width: `${right - left}%` } }),
      html("span", { class: `step-bar ${value < 0 ? "down" : "up"}`, css: { left: `${start}%`, width: `${end - start}%` } })));
}
