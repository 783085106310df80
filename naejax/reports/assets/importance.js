// Which columns matter: one bar each.

/** Features by importance for the chosen output; for one output, the report's order. */
function orderFor(c) {
  if (data.outputs.length === 1) return data.order;
  return [...data.order].sort((a, b) => data.features[b].importance[c] - data.features[a].importance[c]);
}

function drawImportance(page) {
  const banded = data.features.some((feature) => feature.member_importance);
  const box = section(
    page,
    "importance",
    "Which columns matter",
    "Each bar: how far the contributions of a column lie from their mean, on average. ",
    banded ? "The thin line spans the members of the ensemble. " : null,
    html("span", { class: "screen" }, "Choose a bar to see the shape."),
  );
  const list = html("ol", { class: "bars" });
  const note = html("p", { class: "axis-note" });
  box.append(list);
  const folded = limit(list, 20, "columns");
  box.append(folded.button, note);
  view(() => {
    const c = state.output;
    const [, top] = extentOf(
      data.features.map((f) => [f.importance[c], f.member_importance ? f.member_importance[c] : []]),
    );
    const decimals = decimalsFor(largest(data.features.map((f) => f.importance[c])));
    list.replaceChildren(...orderFor(c).map((i) => importanceBar(i, c, top, decimals)));
    folded.mark();
    note.replaceChildren("Unit: ", name(unitOf(c)), ".");
  });
}

/** What contributions to an output are measured in. */
function unitOf(c) {
  return data.score_name.replace("each class", () => data.outputs[c]);
}

function importanceBar(i, c, top, decimals) {
  const feature = data.features[i];
  const at = (value) => `${(100 * value) / top}%`;
  const members = feature.member_importance && feature.member_importance[c];
  const ends = members ? extentOf([members], [members[0], members[0]]) : null;
  const value = feature.importance[c];
  const said = `additivity ${percent(feature.additivity[c])}`;
  return html(
    "li",
    {},
    html(
      "button",
      { type: "button", class: "bar-row", on: { click: () => openShape(i) } },
      name(feature.name),
      html(
        "span",
        { class: "bar-track", "aria-hidden": "true" },
        html("span", { class: "bar", css: { width: at(value) } }),
        ends && members.length > 1
          ? html("span", { class: "whisker", css: { left: at(ends[0]), width: at(ends[1] - ends[0]) } })
          : null,
      ),
      html("span", { class: "bar-value" }, fixed(value, decimals)),
      html("span", { class: "bar-note" }, said),
    ),
  );
}
