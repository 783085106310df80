// Sum-of-Parts: images or texts, their groups and how these add up.

const THING = data.kind === "texts" ? "text" : "image";

function galleryStandfirst() {
  const shown = plural(data.gallery.length, THING);
  return [
    `The model predicts from groups of ${THING === "text" ? "tokens" : "pixels"}. Each group is scored alone, with everything else ` +
      `removed, and the prediction is the sum of what the groups add. ${shown} shown below.`,
  ];
}

function galleryFigures() {
  return [...scoreFigures(), ["classes", data.target.classes ? count(data.target.classes.length) : NONE], [`${THING}s shown`, count(data.gallery.length)]]
    .filter(([, value]) => value !== NONE);
}

function drawGallery(page) {
  const box = section(
    page,
    "gallery",
    `How each ${THING} adds up`,
    "Groups from the strongest contribution down: blue raises the score, orange lowers it. " +
      "A contribution is the group\u2019s weight times its own score." +
      (THING === "text" ? " Bold tokens are kept, pale ones removed; those in italics, such as a question, always stay." : ""),
  );
  const grid = html("div", { class: `examples ${THING}s` }, data.gallery.map(THING === "text" ? textExample : example));
  const wrong = data.gallery.filter(isWrong).length;
  if (wrong && wrong < data.gallery.length) {
    const only = toggle(`only wrong predictions (${wrong})`, "wrong", false, () => {
      const on = grid.classList.toggle("only-wrong");
      only.setAttribute("aria-pressed", String(on));
    });
    box.append(html("div", { class: "controls" }, only));
  }
  box.append(grid);
  const folded = limit(grid, 24, `${THING}s`);
  box.append(folded.button, html("p", { class: "axis-note" }, "Contributions to the ", name(data.score_name), "."));
}

function isWrong(item) {
  return item.truth !== null && data.target.kind !== "regression" && item.truth !== item.prediction;
}

/** An image from the data; only what is written there is ever shown. */
function picture(uri, words) {
  if (!uri || !uri.startsWith("data:image/")) return null;
  const image = html("img", { src: uri, alt: words });
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 128));
  return image;
}

function example(item) {
  const most = largest(item.groups.map((group) => group.contribution), item.rest ? item.rest.contribution : 0);
  const decimals = decimalsFor(Math.max(most, Math.abs(item.total)));
  const groups = item.groups.map((group, k) => groupLine(group, k, most, decimals));
  if (item.rest) groups.push(restLine(item.rest, most, decimals));
  const caption = [["the image", item.image], ["true parts outlined", item.outline], ["all groups, by contribution", item.flat]];
  const pictures = caption.filter(([, uri]) => uri).map(([words, uri]) =>
    html("figure", {},
      html("div", { class: "stack" },
        uri === item.outline ? picture(item.image, "") : null, picture(uri, `${item.id}: ${words}`)),
      html("figcaption", {}, words)));
  return html("article", { class: `example ${isWrong(item) ? "is-wrong" : "is-right"}` },
    exampleHead(item),
    html("div", { class: "pictures" }, pictures),
    html("ol", { class: "groups" }, groups),
    exampleSum(item, decimals));
}

function exampleHead(item) {
  const verdict = item.truth === null
    ? null
    : html("span", { class: `truth ${isWrong(item) ? "wrong" : ""}` }, " \u00b7 truth ", name(item.truth));
  return [
    html("h3", { dir: "auto" }, name(item.id)),
    html("p", { class: "facts" }, "predicted ", name(item.prediction), verdict),
  ];
}

function exampleSum(item, decimals) {
  const parts = [...item.groups, item.rest].filter(Boolean).reduce((sum, part) => sum + part.contribution, 0);
  return html("p", { class: "sum" }, `baseline ${fixed(item.bias, decimals)} + groups ${fixed(parts, decimals)} = `,
    html("b", {}, fixed(item.total, decimals)), " (", name(item.explained), ")");
}

function groupLine(group, k, most, decimals) {
  const copies = group.copies > 1 ? ` \u00b7 ${group.copies} equal groups` : "";
  return html("li", { class: "group" },
    picture(group.image, `group ${k + 1}`),
    html("div", {},
      signedBar(group.contribution, most, decimals),
      html("small", {}, `weight ${number(group.weight, 2)} \u00d7 score ${fixed(group.score, decimals)} \u00b7 ${percent(group.kept)} of the image${copies}`)));
}

function restLine(rest, most, decimals) {
  return html("li", { class: "group" }, html("span", { class: "no-picture" }, `+${count(rest.groups)}`),
    html("div", {}, signedBar(rest.contribution, most, decimals), html("small", {}, plural(rest.groups, "further group"))));
}

function signedBar(value, most, decimals) {
  const size = most ? (50 * Math.abs(value)) / most : 0;
  const css = { left: `${value < 0 ? 50 - size : 50}%`, width: `${size}%` };
  return html("div", { class: "signed" },
    html("span", { class: "signed-track", "aria-hidden": "true" }, html("span", { class: `step-bar ${value < 0 ? "down" : "up"}`, css })),
    html("span", { class: "step-value" }, signed(value, decimals)));
}
