// Curves over a numeric axis, drawn for the width they get.

const CHART = { height: 196, strip: 20, top: 10, bottom: 20, missing: 46, digit: 6.3 };
const draws = new WeakMap();
const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.round(contentRect.width);
    if (width && width !== draws.get(target).width) drawInto(target);
  }
});

/** A box that `draw(width)` fills, again whenever the box gets another width. */
function chartBox(draw) {
  const box = html("div", { class: "chart" });
  draws.set(box, { draw, width: 0 });
  widths.observe(box);
  drawInto(box);
  return box;
}

function drawInto(box) {
  const entry = draws.get(box);
  // A hidden box has no width; what is drawn for 340 pixels is scaled in print.
  entry.width = box.clientWidth;
  box.replaceChildren(entry.draw(entry.width || 340));
}

function isNumeric(feature) {
  return feature.window !== null && feature.positions.some((p) => typeof p === "number");
}

/** Whether a position has a place in the figure; numbers far out have none. */
function isShown(feature, i) {
  const [position, ends] = [feature.positions[i], feature.window];
  return position === null || ends === null || (position >= ends[0] && position <= ends[1]);
}

/** Values of the layers, to find the extent of their axis. */
function layerValues(layers) {
  return layers.map((layer) => (layer.values ? [layer.values] : [layer.low, layer.high]));
}

function pathOf(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** Splits the indices where a layer has no value: no line crosses the gap. */
function runs(indices, has) {
  const found = [[]];
  for (const i of indices) {
    if (has(i)) found[found.length - 1].push(i);
    else found.push([]);
  }
  return found.filter((run) => run.length);
}

/**
 * Curves and bands of one feature over its numbers, above a strip of bars that count
 * the rows. `feature` has positions, window and, if known, edges, histogram, counts;
 * a layer is a band {low, high} or a line {values}, each with a className.
 */
function lineChart(width, feature, layers, extent) {
  const { height, top, bottom, missing, digit } = CHART;
  const strip = feature.counts || (feature.histogram || []).length ? CHART.strip : 0;
  const yTicks = ticks(extent, 4);
  const left = 10 + digit * Math.max(...yTicks.map((tick) => tick.text.length));
  const lacking = feature.positions.indexOf(null);
  const right = width - 8 - (lacking < 0 ? 0 : missing);
  const floor = height - bottom - strip;
  const x = scale(feature.window, [left + 6, right - 6]);
  const y = scale(extent, [floor - 4, top]);
  const shown = feature.positions.flatMap((p, i) => (p !== null && isShown(feature, i) ? [i] : []));
  const at = feature.positions.map((p) => (p === null ? right + missing / 2 : x(p)));
  const node = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: "lines", "aria-hidden": "true",
  });
  node.append(
    ...yAxis(yTicks, y, left, width),
    ...xAxis(feature, x, left, right, height),
    ...rowBars(feature, shown, x, at, height - bottom, CHART.strip - 4, [left, right]),
  );
  if (lacking >= 0) node.append(...missingAxis(right, at[lacking], height, floor));
  const few = shown.length <= 14;
  for (const layer of layers) {
    node.append(...drawLayer(layer, shown, lacking, at, y, few));
  }
  const guide = svg("line", { class: "guide", y1: top, y2: height - bottom });
  const dot = svg("circle", { class: "dot", r: 3.5 });
  const mark = (i) => {
    node.classList.toggle("marked", i !== null);
    if (i === null) return;
    const main = layers[layers.length - 1];
    guide.setAttribute("x1", at[i]);
    guide.setAttribute("x2", at[i]);
    dot.setAttribute("cx", at[i]);
    dot.setAttribute("cy", main.values && main.values[i] !== null ? y(main.values[i]) : -9);
  };
  node.append(guide, dot);
  const stops = lacking < 0 ? shown : [...shown, lacking];
  const locate = (event) => {
    const box = node.getBoundingClientRect();
    const pointer = ((event.clientX - box.left) * width) / (box.width || 1);
    const gap = (i) => Math.abs(at[i] - pointer);
    return stops.reduce((best, i) => (gap(i) < gap(best) ? i : best), stops[0]);
  };
  return { node, stops, mark, locate };
}

function yAxis(yTicks, y, left, width) {
  return yTicks.flatMap(({ value, text }) => [
    svg("line", {
      class: value === 0 ? "zero" : "grid", x1: left, x2: width, y1: y(value), y2: y(value),
    }),
    svg("text", { class: "tick", x: left - 5, y: y(value) + 4, "text-anchor": "end" }, text),
  ]);
}

function xAxis(feature, x, left, right, height) {
  const room = Math.max(2, Math.min(6, Math.floor((right - left) / 60)));
  return ticks(feature.window, room)
    .filter(({ value }) => value >= feature.window[0] && value <= feature.window[1])
    .map(({ value, text }) => {
      const half = (CHART.digit * text.length) / 2;
      const middle = Math.min(Math.max(x(value), left + half - 8), right - half + 8);
      return svg("text", { class: "tick", x: middle, y: height - 5, "text-anchor": "middle" }, text);
    });
}

function missingAxis(right, middle, height, floor) {
  return [
    svg("line", { class: "grid", x1: right + 2, x2: right + 2, y1: 4, y2: floor }),
    svg("text", { class: "tick", x: middle, y: height - 5, "text-anchor": "middle" }, "missing"),
  ];
}

/** Bars that count the rows: of a histogram, or one at each position. */
function rowBars(feature, shown, x, at, ground, most, [left, right]) {
  const bars = [];
  const bar = (from, to, share) => {
    const [start, end] = [Math.max(from, left), Math.min(to, right)];
    const tall = share > 0 ? Math.max(1, share * most) : 0;
    if (end > start) {
      const width = Math.max(end - start - 0.6, 0.6);
      bars.push(svg("rect", { class: "rows", x: start, y: ground - tall, width, height: tall }));
    }
  };
  if (feature.histogram && feature.histogram.length) {
    const tallest = Math.max(...feature.histogram);
    feature.histogram.forEach((rows, k) =>
      bar(x(feature.edges[k]), x(feature.edges[k + 1]), rows / tallest),
    );
  } else if (feature.counts) {
    const tallest = Math.max(...shown.map((i) => feature.counts[i]), 1);
    const half = Math.max(1, Math.min(6, (0.35 * (right - left)) / shown.length));
    for (const i of shown) bar(at[i] - half, at[i] + half, feature.counts[i] / tallest);
  }
  return bars;
}

function drawLayer(layer, shown, lacking, at, y, few) {
  const { low, high, values, className, opacity } = layer;
  if (low) {
    const nodes = runs(shown, (i) => low[i] !== null && high[i] !== null).map((run) => {
      const edge = [...run.map((i) => [at[i], y(high[i])]), ...run.map((i) => [at[i], y(low[i])]).reverse()];
      return svg("path", { class: `band ${className}`, d: `${pathOf(edge)}Z` });
    });
    if (lacking >= 0 && low[lacking] !== null) {
      const place = { x1: at[lacking], x2: at[lacking], y1: y(low[lacking]), y2: y(high[lacking]) };
      nodes.push(svg("line", { class: `stroke ${className}`, ...place }));
    }
    return nodes;
  }
  const nodes = [];
  for (const run of runs(shown, (i) => values[i] !== null)) {
    const points = run.map((i) => [at[i], y(values[i])]);
    nodes.push(svg("path", { class: `line ${className}`, d: pathOf(points), opacity }));
    if ((few && layer.dots) || points.length === 1) {
      for (const [cx, cy] of points) {
        nodes.push(svg("circle", { class: `point ${className}`, cx, cy, r: 2.6, opacity }));
      }
    }
  }
  if (lacking >= 0 && values[lacking] !== null) {
    const place = { cx: at[lacking], cy: y(values[lacking]), r: layer.dots ? 3.2 : 2 };
    nodes.push(svg("circle", { class: `point ${className}`, ...place, opacity }));
  }
  return nodes;
}
