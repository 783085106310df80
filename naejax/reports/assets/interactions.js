// Which column moves the contribution of which other one.

function drawInteractions(page) {
  const { interactions } = data;
  if (!interactions || interactions.features.length < 2) return;
  const box = section(
    page,
    "interactions",
    "Which columns move each other",
    "Each square: how far the contribution of the column at its left moves, on average, " +
      "when the column above it gets the value of another row. ",
    html("span", { class: "screen" }, "Choose a square to see how."),
  );
  const panel = html("div", { class: "pair", "aria-live": "polite" });
  const shown = { pair: null };
  const show = (pair) => {
    shown.pair = pair;
    markCell(box, pair);
    drawPair(panel, pair);
  };
  const list = html("ol", { class: "strongest" });
  const grid = heatMap(interactions, show);
  box.append(
    html("div", { class: "split" },
      html("div", {}, grid.node, grid.note),
      html("div", {}, html("h3", {}, "Strongest pairs"), list, panel)),
  );
  view(() => {
    const c = state.output;
    grid.draw(c);
    const pairs = strongestPairs(c);
    const decimals = decimalsFor(pairs[0][2], 2);
    list.replaceChildren(...pairs.map(([i, j, strength]) => pairButton(i, j, fixed(strength, decimals), show)));
    show(shown.pair || pairs[0]);
  });
}

/** The strongest moves [moved, mover, strength] for an output, strongest first. */
function strongestPairs(c) {
  const { features, matrix } = data.interactions;
  const all = matrix[c].flatMap((row, a) => row.map((value, b) => [features[a], features[b], value]));
  return all.filter(([i, j]) => i !== j).sort((a, b) => b[2] - a[2]).slice(0, 6);
}

function pairButton(i, j, text, show) {
  const [moved, mover] = [data.features[i].name, data.features[j].name];
  return html("li", { "data-pair": `${i},${j}` },
    html("button", { type: "button", on: { click: () => show([i, j]) } },
      html("span", {}, name(mover), " moves ", name(moved)), html("span", { class: "number" }, text)));
}

function markCell(box, [i, j]) {
  for (const node of box.querySelectorAll("[data-pair]")) {
    const chosen = node.dataset.pair === `${i},${j}`;
    node.classList.toggle("chosen", chosen);
    if (node.tagName === "TD") node.setAttribute("aria-selected", String(chosen));
  }
}

function heatMap({ features, matrix }, show) {
  const names = features.map((i) => data.features[i].name);
  const cells = [];
  const rows = features.map((i, a) =>
    html("tr", {}, html("th", { scope: "row" }, name(names[a])), features.map((j, b) => {
      const cell = html("td", { "data-pair": `${i},${j}`, role: "gridcell" });
      if (a === b) cell.classList.add("self");
      else cell.addEventListener("click", () => choose(cells.indexOf(cell)));
      cell.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        if (a !== b) choose(cells.indexOf(cell));
      });
      cells.push(cell);
      return cell;
    })));
  const choose = (k) => {
    tabTo(cells, cells[k]);
    show([features[Math.floor(k / features.length)], features[k % features.length]]);
  };
  const head = html("tr", {}, html("td", { class: "corner" }, "moved \u2193 by \u2192"),
    names.map((text) => html("th", { scope: "col" }, name(text))));
  const many = features.length > 10;
  const table = html("table", { class: `heat ${many ? "many" : ""}`, role: "grid", "aria-label": "Interactions" },
    html("thead", {}, head), html("tbody", {}, rows));
  rove(cells, features.length);
  const note = html("p", { class: "axis-note" });
  const draw = (c) => {
    const most = largest(matrix[c]);
    const decimals = decimalsFor(most, 2);
    note.replaceChildren("Darkest: ", number(most, 2), ". Unit: ", name(unitOf(c)), ".");
    matrix[c].forEach((row, a) => row.forEach((value, b) => {
      const cell = cells[a * features.length + b];
      const text = fixed(value, decimals);
      cell.style.setProperty("--share", most ? value / most : 0);
      if (a === b) {
        cell.setAttribute("aria-label", `${names[a]} itself`);
        return;
      }
      const words = `${names[b]} moves ${names[a]} by ${text}`;
      cell.title = words;
      cell.setAttribute("aria-label", words);
      cell.textContent = many ? "" : text;
    }));
  };
  return { node: scroller("Interactions", "heat-box", table), note, draw };
}

/** The shape of column i for groups of rows that differ in column j. */
function drawPair(panel, [i, j]) {
  const [moved, mover] = [data.features[i], data.features[j]];
  const c = state.output;
  const places = data.interactions.features;
  const strength = data.interactions.matrix[c][places.indexOf(i)][places.indexOf(j)];
  const title = html("h3", {}, "How ", name(mover.name), " moves the contribution of ", name(moved.name));
  const pair = data.pairs.find((one) => one.i === i && one.j === j);
  if (!pair) {
    const words = `On average by ${number(strength, 2)}. Only the strongest pairs are drawn in detail.`;
    const link = html("button", { type: "button", class: "chip", on: { click: () => openShape(i) } }, "shape of ", name(moved.name));
    panel.replaceChildren(title, html("p", {}, words), html("p", { class: "chips" }, link));
    return;
  }
  const layers = pair.groups.map(({ curve }, k) => ({ values: curve[c], className: `s${k % 6}`, dots: true }));
  const parts = () => ({ feature: moved, layers, extent: extentOf(layerValues(layers)) });
  const tell = (at) => at === null
    ? `On average by ${number(strength, 2)}. Each line: the mean contribution of ${moved.name} in rows of one group.`
    : valuesWords(moved.positions[at], pair.groups.map(({ label, curve }) => [label, curve[c][at]]));
  const chart = figure(`${moved.name} by groups of ${mover.name}. The arrow keys read its values.`, parts, tell);
  const key = lineKey(pair.groups.map(({ label, rows }, k) => ({
    label: name(label), note: plural(rows, "row"), className: `s${k % 6}`,
  })), moved);
  panel.replaceChildren(title, key, ...chart.nodes);
}
