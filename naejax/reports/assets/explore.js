// A figure that pointer and arrow keys read out, position by position.

/**
 * Builds a figure: the chart for some layers and the line of text below it.
 *
 * `parts()` gives {feature, layers, extent}; `tell(i)` the words for position i, and
 * `tell(null)` what stands there otherwise. Returns the box and a function to redraw.
 */
function figure(label, parts, tell) {
  let chart = null;
  let index = null;
  let folded = true;
  const readout = html("p", { class: "readout" });
  const unfold = html("button", { type: "button", class: "more" });
  const draw = (width) => {
    const { feature, layers, extent } = parts();
    const numeric = isNumeric(feature);
    const long = !numeric && feature.positions.length > MOST_LEVELS;
    unfold.hidden = !long;
    unfold.textContent = folded
      ? `Show all ${feature.positions.length} levels`
      : `Show the ${MOST_LEVELS} most frequent levels`;
    chart = numeric
      ? lineChart(width, feature, layers, extent)
      : levelChart(feature, layers, extent, folded && long && !paper.matches);
    if (!chart.stops.includes(index)) index = null;
    chart.mark(index);
    return chart.node;
  };
  const box = chartBox(draw);
  const show = (i) => {
    index = i;
    chart.mark(i);
    readout.replaceChildren(...[tell(i)].flat(2).filter(Boolean));
    const stop = i === null ? -1 : chart.stops.indexOf(i);
    box.setAttribute("aria-valuemax", Math.max(0, chart.stops.length - 1));
    box.setAttribute("aria-valuenow", Math.max(0, stop));
    box.setAttribute("aria-valuetext", readout.textContent);
  };
  fill(box, {
    tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": "0",
    on: {
      pointermove: (event) => show(chart.locate(event)),
      pointerdown: (event) => show(chart.locate(event)),
      pointerleave: () => show(null),
      blur: () => show(null),
      keydown: (event) => {
        const next = nextStop(event.key, chart.stops, index);
        if (next === undefined) return;
        event.preventDefault();
        show(next);
      },
    },
  }, []);
  unfold.addEventListener("click", () => {
    folded = !folded;
    drawInto(box);
  });
  show(null);
  const redraw = () => {
    drawInto(box);
    show(index);
  };
  return { nodes: [box, unfold, readout], redraw };
}

/** The position that a key leads to; undefined if the key is not for the figure. */
function nextStop(key, stops, index) {
  const here = stops.indexOf(index);
  const last = stops.length - 1;
  const step = { ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1 }[key];
  if (step) return stops[here < 0 ? (step > 0 ? 0 : last) : Math.min(last, Math.max(0, here + step))];
  if (key === "Home") return stops[0];
  if (key === "End") return stops[last];
  return key === "Escape" ? null : undefined;
}

/** A key to lines, or marks, of several colours: what each one is, in words. */
function lineKey(entries, feature) {
  const mark = (className) => {
    if (!isNumeric(feature)) return swatch(`key-mark ${className}`);
    const line = svg("line", { class: `line ${className}`, x1: 0, x2: 30, y1: 4, y2: 4 });
    return svg("svg", { class: "key-line", viewBox: "0 0 30 8", "aria-hidden": "true" }, line);
  };
  const items = entries.map(({ label, note, className }) =>
    html("li", {}, mark(className), html("span", {}, label, note ? html("small", {}, ` ${note}`) : null)),
  );
  return html("ul", { class: "line-key" }, items);
}
