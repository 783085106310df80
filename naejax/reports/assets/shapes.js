// The shape of every column, and the contexts in which it changes.

const LAYERS = [
  ["spread", "spread"],
  ["range", "context range"],
  ["members", "members"],
  ["experts", "experts"],
];
const cards = new Map();

/** The layers of a feature's chart that are switched on, the mean on top. */
function shapeLayers(feature, c, on) {
  const layers = [];
  if (on.range) layers.push({ low: feature.lower[c], high: feature.upper[c], className: "range" });
  if (on.spread) layers.push({ low: feature.low[c], high: feature.high[c], className: "spread" });
  if (on.experts && feature.experts) {
    const most = Math.max(...feature.expert_weight, 1e-9);
    feature.experts[c].forEach((values, e) => {
      const opacity = 0.35 + (0.6 * feature.expert_weight[e]) / most;
      layers.push({ values, className: "expert", opacity: opacity.toFixed(2) });
    });
  }
  if (on.members && feature.member_means) {
    for (const values of feature.member_means[c]) layers.push({ values, className: "member" });
  }
  layers.push({ values: feature.mean[c], className: "mean", dots: true });
  return layers;
}

function sharedExtent(c) {
  return extentOf(data.features.map((f) => layerValues(shapeLayers(f, c, state.layers))));
}

function hasLayer(feature, key) {
  return key === "members" ? feature.member_means !== null : key !== "experts" || feature.experts !== null;
}

function drawShapes(page) {
  const box = section(
    page,
    "shapes",
    "The shape of every column",
    "What each value adds on average: the ",
    name(data.score_name),
    ". ",
    html("span", { class: "screen" }, "Point at a figure, or focus it and use the arrow keys, to read its values. "),
    "The grey bars count the rows.",
    data.rows.shown_from ? [" Drawn from ", name(data.rows.shown_from), "."] : null,
  );
  const used = LAYERS.filter(([key]) => data.features.some((feature) => hasLayer(feature, key)));
  const grid = html("div", { class: "cards" });
  const extents = { shared: null };
  const controls = used.map(([key, label]) => {
    const button = toggle(label, key, state.layers[key], () => {
      state.layers[key] = !state.layers[key];
      button.setAttribute("aria-pressed", String(state.layers[key]));
      for (const card of cards.values()) card.on[key] = state.layers[key];
      refresh();
    });
    return button;
  });
  const same = toggle("same scale", "scale", state.sameScale, () => {
    state.sameScale = !state.sameScale;
    same.setAttribute("aria-pressed", String(state.sameScale));
    refresh();
  });
  const bar = html("div", { class: "controls", role: "group", "aria-label": "Show in all figures" },
    html("span", { class: "controls-label" }, "Show in all:"), controls, same);
  box.append(bar);
  if (data.features.length > 12) box.append(searchBox(grid));
  box.append(grid);
  view(() => {
    extents.shared = sharedExtent(state.output);
  });
  data.order.forEach((i) => cards.set(i, shapeCard(i, extents, used)));
  grid.append(...data.order.map((i) => cards.get(i).node));
  const folded = limit(grid, 24, "columns");
  grid.reveal = () => folded.show(true);
  box.append(folded.button);
  view(() => {
    grid.append(...orderFor(state.output).map((i) => cards.get(i).node));
    folded.mark();
    for (const card of cards.values()) card.redraw();
  });
}

function searchBox(grid) {
  const result = html("span", { class: "found", role: "status" });
  const field = html("input", { type: "search", id: "find", autocomplete: "off", placeholder: "part of a name" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let found = 0;
    for (const [i, card] of cards) {
      const hit = data.features[i].name.toLowerCase().includes(wanted);
      card.node.classList.toggle("unwanted", !hit);
      found += hit;
    }
    grid.classList.toggle("searched", wanted !== "");
    result.textContent = wanted ? plural(found, "column") : "";
  });
  return html("p", { class: "search" }, html("label", { for: "find" }, "Find a column"), field, result);
}

function shapeCard(i, extents, used) {
  const feature = data.features[i];
  const on = { ...state.layers };
  const facts = html("p", { class: "facts" });
  const chips = used.filter(([key]) => hasLayer(feature, key)).map(([key, label]) =>
    toggle(label, key, on[key], () => {
      on[key] = !on[key];
      redraw();
    }),
  );
  const parts = () => {
    const layers = shapeLayers(feature, state.output, on);
    const start = state.sameScale ? extents.shared : [0, 0];
    return { feature, layers, extent: extentOf(layerValues(layers), start) };
  };
  const label = `Shape of ${feature.name}. The arrow keys read its values.`;
  const chart = figure(label, parts, (at) => (at === null ? shapeWords(feature) : pointWords(feature, at, on)));
  const heading = html("h3", { tabindex: "-1" }, name(feature.name));
  const rules = changes(feature)
    ? html("a", { href: `#context-${i}` }, "How it changes with context")
    : null;
  const legend = html("div", { class: "legend", role: "group", "aria-label": "Show in this figure" }, chips);
  const node = html("article", { class: "card", id: `shape-${i}` }, heading, facts, chart.nodes, legend, rules ? html("p", { class: "to-rules" }, rules) : null);
  function redraw() {
    const c = state.output;
    for (const chip of chips) chip.setAttribute("aria-pressed", String(on[chip.dataset.layer]));
    facts.textContent = `importance ${number(feature.importance[c])} \u00b7 additivity ${percent(feature.additivity[c])}`;
    chart.redraw();
  }
  return { node, heading, on, redraw };
}

/** A sentence about the whole shape. */
function shapeWords(feature) {
  const mean = feature.mean[state.output];
  const decimals = decimalsFor(largest(mean));
  const known = mean.map((_, i) => i).filter((i) => feature.counts[i] > 0 && isShown(feature, i));
  if (!known.length) return [];
  const top = known.reduce((best, i) => (mean[i] > mean[best] ? i : best), known[0]);
  const low = known.reduce((best, i) => (mean[i] < mean[best] ? i : best), known[0]);
  const words = top === low || mean[top] === mean[low]
    ? ["The same for every value."]
    : [
        "Highest at ", html("b", {}, name(place(feature.positions[top]))), ` (${signed(mean[top], decimals)}), lowest at `,
        html("b", {}, name(place(feature.positions[low]))), ` (${signed(mean[low], decimals)}).`,
      ];
  const agreement = feature.agreement && feature.agreement[state.output];
  if (agreement !== null && agreement < 0.8) words.push(` The members agree on ${percent(agreement)} of it.`);
  const others = feature.explained_by_others[state.output];
  if (others >= 0.5) words.push(` The contributions of other columns tell ${percent(others)} of it too.`);
  return words;
}

/** What stands at one position of a shape. */
function pointWords(feature, i, on) {
  const c = state.output;
  const decimals = decimalsFor(largest(feature.mean[c]));
  const text = (value) => signed(value, decimals);
  const members = on.members && feature.member_means ? feature.member_means[c].map((curve) => curve[i]) : null;
  const ends = members ? extentOf([members], [members[0], members[0]]) : null;
  return [
    html("b", {}, name(place(feature.positions[i]))), ": ", html("b", {}, text(feature.mean[c][i])),
    on.spread ? ` \u00b7 spread ${text(feature.low[c][i])} to ${text(feature.high[c][i])}` : null,
    on.range ? ` \u00b7 context range ${text(feature.lower[c][i])} to ${text(feature.upper[c][i])}` : null,
    ends ? ` \u00b7 members ${text(ends[0])} to ${text(ends[1])}` : null,
    on.experts && feature.hidden_experts ? ` \u00b7 ${feature.hidden_experts} rarely used experts not drawn` : null,
    ` \u00b7 ${plural(feature.counts[i], "row")}`,
  ];
}

/** Brings the reader to a column's shape. */
function openShape(i) {
  const card = cards.get(i);
  if (card.node.classList.contains("over")) card.node.parentNode.reveal();
  card.node.classList.remove("unwanted");
  goTo(card.heading);
}

function drawContexts(page) {
  const ruled = data.order.filter((i) => data.features[i].rules && data.features[i].rules.leaves.length > 1);
  const chosen = ruled.filter((i) => changes(data.features[i]));
  if (!chosen.length) return;
  const box = section(
    page,
    "contexts",
    "When shapes change",
    "One rule per line: the rows it holds for, and the shape the column has for them. " +
      "Each figure says how much of the change its rules tell, measured on rows they were not made from.",
  );
  box.append(html("div", { class: "cards wide" }, chosen.map(contextCard)));
  const others = ruled.filter((i) => !chosen.includes(i));
  const names = others.flatMap((i, k) => [k ? ", " : "", name(data.features[i].name)]);
  if (others.length) box.append(html("p", { class: "axis-note" }, "Changes too small to draw: ", names, "."));
}

/** Whether the shapes in different contexts can be told apart by eye. */
function changes({ rules }) {
  if (!rules || rules.leaves.length < 2) return false;
  return data.outputs.some((_, c) => {
    const curves = rules.leaves.map(({ curve }) => curve[c]);
    const [low, high] = extentOf(curves, [curves[0][0], curves[0][0]]);
    const gaps = rules.at.map((_, k) => {
      const here = curves.map((curve) => curve[k]);
      return Math.max(...here) - Math.min(...here);
    });
    return Math.max(...gaps) > 0.08 * (high - low);
  });
}

function contextCard(i) {
  const { rules, name: title, window, edges, histogram } = data.features[i];
  const feature = { positions: rules.at, window, counts: null, edges, histogram };
  const layers = () => rules.leaves.map(({ curve }, k) => ({ values: curve[state.output], className: `s${k % 6}`, dots: true }));
  const parts = () => ({ feature, layers: layers(), extent: extentOf(layerValues(layers())) });
  const tell = (at) => at === null
    ? `The rules tell ${percent(rules.fidelity)} of how the shape changes with context.`
    : valuesWords(feature.positions[at], rules.leaves.map(({ text, curve }) => [text, curve[state.output][at]]));
  const chart = figure(`Shape of ${title} in ${rules.leaves.length} contexts. The arrow keys read its values.`, parts, tell);
  view(chart.redraw);
  const key = lineKey(rules.leaves.map(({ text, share }, k) => ({
    label: name(text), note: `${percent(share)} of rows`, className: `s${k % 6}`,
  })), feature);
  return html("article", { class: "card", id: `context-${i}` }, html("h3", {}, name(title)), key, chart.nodes);
}

/** The values of several lines at one position. */
function valuesWords(position, pairs) {
  const decimals = decimalsFor(largest(pairs.map(([, value]) => value)));
  return [
    html("b", {}, name(place(position))), ": ",
    pairs.flatMap(([label, value], k) => [k ? "; " : "", name(label), " ", html("b", {}, signed(value, decimals))]),
  ];
}
