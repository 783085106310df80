// What the model is, how well it predicts and what to be careful about.

const SCORE_NAMES = {
  rmse: "RMSE", mae: "MAE", mse: "MSE", r2: "R\u00b2", auc: "AUC", f1: "F1",
  log_loss: "log loss", macro_f1: "macro F1", roc_auc: "AUC", pr_auc: "PR AUC",
};

function scoreName(key) {
  return SCORE_NAMES[key] || key.replaceAll("_", " ");
}

function drawHeader(page) {
  const figures = html("dl", { class: "figures" });
  const standfirst = html("p", { class: "standfirst" });
  page.append(
    html(
      "header",
      { class: "masthead" },
      html("p", { class: "kicker" }, "Explanation report \u00b7 naejax"),
      html("h1", { dir: "auto" }, data.title),
      standfirst,
      figures,
    ),
  );
  const table = data.kind === "table";
  view(() => {
    standfirst.replaceChildren(...(table ? tableStandfirst() : galleryStandfirst()));
    const facts = table ? tableFigures() : galleryFigures();
    figures.replaceChildren(
      ...facts.map(([label, value]) =>
        html("div", {}, html("dt", {}, label), html("dd", {}, value)),
      ),
    );
  });
}

function tableStandfirst() {
  const c = state.output;
  const { kind } = data.target;
  const what = {
    regression: ["The model predicts ", name(data.target.name), " as"],
    binary: ["The model scores each row with the ", name(data.outputs[0]), ":"],
    multiclass: ["The model gives each class of ", name(data.target.name), " a score:"],
  }[kind];
  const own = data.additivity[c];
  return [
    ...what,
    ` a baseline plus one contribution for each of ${plural(data.features.length, "column")}. `,
    own > 0.98
      ? "The contributions follow almost entirely from the shapes below."
      : `The shapes below tell ${percent(own)} of what the contributions do` +
        (kind === "multiclass" ? " to this class" : "") +
        "; the rest depends on the other columns of a row, and the page says on which.",
  ].filter(Boolean);
}

function tableFigures() {
  const c = state.output;
  return [
    ...scoreFigures(),
    ["additivity", percent(data.additivity[c])],
    ["baseline", number(baselineOf(c))],
    ["columns", count(data.features.length)],
    ["training rows", count(data.rows.training)],
    data.members > 1 ? ["ensemble members", count(data.members)] : null,
  ].filter((figure) => figure && figure[1] !== NONE);
}

/** The score that centred contributions add to: the bias and what centring moved. */
function baselineOf(c) {
  return data.features.reduce((sum, feature) => sum + feature.shift[c], data.bias[c]);
}

function scoreFigures() {
  const [own] = data.scores || [];
  if (!own) return [];
  const words = `, ${own.split} ${data.kind === "table" ? "rows" : `${THING}s`}`;
  return Object.entries(own.values).slice(0, 2).map(([key, value]) => [
    scoreName(key) + words, number(value),
  ]);
}

function drawWarnings(page) {
  if (!data.warnings.length) return;
  const box = section(page, "care", "Read with care");
  const items = data.warnings.map(({ level, title, text, features }) =>
    html(
      "li",
      { class: `warning ${level}` },
      html("h3", {}, html("span", { class: "level-word" }, level === "warn" ? "Caution" : "Note"), title),
      html("p", { dir: "auto" }, text),
      featureLinks(features || []),
    ),
  );
  box.append(html("ul", { class: "warnings" }, items));
}

function featureLinks(indices) {
  if (!indices.length || !data.features) return null;
  const shown = indices.slice(0, 8).map((i) =>
    html("button", { type: "button", class: "chip", on: { click: () => openShape(i) } }, name(data.features[i].name)),
  );
  const rest = indices.length - shown.length;
  return html("p", { class: "chips" }, shown, rest > 0 ? `and ${count(rest)} more` : null);
}

function drawScores(page) {
  if (!(data.scores || []).length) return;
  const keys = [...new Set(data.scores.flatMap((row) => Object.keys(row.values)))];
  const where = data.rows && data.rows.scored_on;
  const box = section(page, "scores", "How well it predicts", where ? ["Measured on ", name(where), "."] : null);
  const own = data.scores[0].values;
  const decimals = Object.fromEntries(keys.map((key) => [key, decimalsFor(own[key] ?? 1)]));
  const splits = new Set(data.scores.map((row) => row.split));
  const head = ["", splits.size > 1 ? "rows" : null, ...keys.map(scoreName)];
  const rows = data.scores.map((row, i) =>
    html(
      "tr",
      { class: i === 0 ? "own" : null },
      html("th", { scope: "row" }, name(row.name)),
      splits.size > 1 ? html("td", {}, row.split) : null,
      keys.map((key) => html("td", { class: "number" }, fixed(row.values[key], decimals[key]))),
    ),
  );
  box.append(scroller("Scores", "", plainTable(head, rows, "scores", splits.size > 1 ? 2 : 1)));
}

/** A table whose columns hold numbers, but for the first ones. */
function plainTable(head, rows, className, texts) {
  const cells = head
    .filter((text) => text !== null)
    .map((text, i) => (text === "" ? html("td") : html("th", { scope: "col", class: i < texts ? null : "number" }, text)));
  const body = html("tbody", {}, rows);
  return html("table", { class: className }, html("thead", {}, html("tr", {}, cells)), body);
}

function drawColumns(page) {
  const box = section(page, "columns", "The columns", "What the model knows of each column.");
  const head = ["column", "kind", "values", "missing", "distinct"];
  const rows = data.features.map((feature) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, name(feature.name)),
      html("td", {}, feature.kind),
      html("td", {}, valuesOf(feature)),
      html("td", { class: "number" }, feature.missing ? count(feature.missing) : NONE),
      html("td", { class: "number" }, count(feature.unique)),
    ),
  );
  box.append(scroller("Columns", "tall", plainTable(head, rows, "columns", 3)));
}

function valuesOf(feature) {
  if (feature.range) {
    const [low, high] = feature.range;
    return html("span", { class: "range-text" }, `${number(low, 4)} to ${number(high, 4)}`);
  }
  const levels = feature.positions.filter((p) => p !== null);
  const some = levels.slice(0, 4).flatMap((level, i) => [i ? ", " : "", name(level)]);
  return levels.length > 4 ? [...some, `, \u2026 (${count(feature.levels)} levels)`] : some;
}

function drawAbout(page) {
  const box = section(page, "about", "About this report");
  const facts = (data.about || []).map(([label, value]) =>
    html("div", {}, html("dt", {}, label), html("dd", { dir: "auto" }, value)),
  );
  if (facts.length) box.append(html("dl", { class: "about" }, facts));
  const notes = data.notes.map((note) => html("li", { dir: "auto" }, note));
  if (notes.length) box.append(html("h3", {}, "Notes"), html("ul", { class: "notes" }, notes));
}

function drawGuide(page) {
  const terms = [
    ["Contribution", "what one column adds to the score of a row. A prediction is the baseline plus all contributions, nothing else."],
    ["Shape", "the mean contribution of the rows that have a value in common, drawn along the values. Shapes are centred: their mean over the rows is 0."],
    ["Additivity", "how much of a contribution follows from the column alone. At 100\u00a0% the shape is the whole story."],
    ["Spread", "where the contributions of the middle 80\u00a0% of the rows lie. Other columns make the difference."],
    ["Context range", "how far the other columns could move the contribution at most. It is a bound of the model, not an uncertainty."],
    data.members > 1
      ? ["Members", `the ${data.members} models of the ensemble, each trained on its own. Where they differ, the data do not decide.`]
      : null,
  ].filter(Boolean);
  const items = terms.map(([term, text]) => html("div", {}, html("dt", {}, term), html("dd", {}, text)));
  page.append(
    html("details", { class: "guide-box" }, html("summary", {}, "How to read this page"), html("dl", { class: "terms" }, items)),
  );
}
