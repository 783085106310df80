// Dots and bars over the levels of a feature, one level a line.

const MOST_LEVELS = 12;

/**
 * The same layers as in `lineChart`, for levels: each level is a line of text with its
 * marks beside it, so long names stay readable on a narrow screen.
 */
function levelChart(feature, layers, extent, folded) {
  const at = scale(extent, [0, 100]);
  const counts = feature.counts;
  const tallest = counts ? Math.max(...counts, 1) : 1;
  const chosen = byHeight(feature, layers, folded ? MOST_LEVELS : Infinity);
  const lines = chosen.map((i) => {
    const track = html("span", { class: "track" }, zeroLine(at));
    for (const layer of layers) track.append(...levelMarks(layer, i, at));
    const rows = counts
      ? html("span", { class: "level-rows", css: { "--share": counts[i] / tallest } })
      : null;
    const label = name(place(feature.positions[i]), feature.positions[i] === null ? "absent" : "");
    return html("div", { class: "level", "data-index": i }, label, track, rows);
  });
  const axis = html("div", { class: "level axis" }, html("span"), tickTrack(extent, at), html("span"));
  const node = html("div", { class: "levels", "aria-hidden": "true" }, lines, axis);
  const mark = (i) => {
    for (const line of lines) line.classList.toggle("marked", line.dataset.index === String(i));
  };
  const locate = (event) => {
    const line = event.target.closest(".level[data-index]");
    return line ? Number(line.dataset.index) : null;
  };
  return { node, stops: chosen, mark, locate };
}

/** Indices of the levels with the most rows, the highest first, a missing value last. */
function byHeight(feature, layers, most) {
  const { positions, counts } = feature;
  const all = positions.map((_, i) => i);
  if (all.length <= 3) return all;
  const kept = counts ? all.sort((a, b) => counts[b] - counts[a]).slice(0, most) : all.slice(0, most);
  const heights = positions.map((position, i) => {
    if (position === null) return -Infinity;
    return layers.reduce((sum, { dots, values }) => sum + (dots ? values[i] || 0 : 0), 0);
  });
  return kept.sort((a, b) => heights[b] - heights[a] || a - b);
}

function zeroLine(at) {
  return html("span", { class: "zero-mark", css: { left: `${at(0)}%` } });
}

function tickTrack(extent, at) {
  const labels = ticks(extent, 3).map(({ value, text }) =>
    html("span", { class: "tick", css: { left: `${at(value)}%` } }, text),
  );
  return html("span", { class: "track" }, labels);
}

function levelMarks(layer, i, at) {
  const { low, high, values, className, opacity } = layer;
  if (low) {
    if (low[i] === null) return [];
    const css = { left: `${at(low[i])}%`, width: `${at(high[i]) - at(low[i])}%` };
    return [html("span", { class: `bar-mark ${className}`, css })];
  }
  if (values[i] === null) return [];
  const css = { left: `${at(values[i])}%`, opacity: opacity || 1 };
  return [html("span", { class: `${layer.dots ? "dot-mark" : "tick-mark"} ${className}`, css })];
}
