// Sum-of-Parts on texts: what each group keeps of a text, and how these add up.

const WHOLE = 60;
const AROUND = 5;
const TALL = 150;

function textExample(item) {
  const most = largest(item.groups.map((group) => group.contribution), item.rest ? item.rest.contribution : 0);
  const decimals = decimalsFor(Math.max(most, Math.abs(item.total)));
  const groups = item.groups.map((group, k) => textGroup(item, group, k, most, decimals));
  if (item.rest) groups.push(textRest(item.rest, most, decimals));
  const notes = [
    item.marked.length ? "underlined: the rationale" : "",
    item.left_out ? `${plural(item.left_out, "token")} left out` : "",
  ].filter(Boolean).join(" \u00b7 ");
  const whole = writeText(item, null, item.tokens.map(() => true));
  return html("article", { class: `example ${isWrong(item) ? "is-wrong" : "is-right"}` },
    exampleHead(item),
    item.tokens.length > TALL ? scroller(`${item.id}, the whole text`, "whole-text", whole) : whole,
    notes ? html("p", { class: "text-note" }, notes) : null,
    html("ol", { class: "groups" }, groups),
    exampleSum(item, decimals));
}

function textGroup(item, group, k, most, decimals) {
  const copies = group.copies > 1 ? ` \u00b7 ${group.copies} equal groups` : "";
  const shown = shownTokens(item, group);
  const words = writeText(item, new Set(group.tokens), shown);
  const tall = shown.filter(Boolean).length > TALL;
  return html("li", { class: "text-group" },
    signedBar(group.contribution, most, decimals),
    html("small", {}, `weight ${number(group.weight, 2)} \u00d7 score ${fixed(group.score, decimals)} \u00b7 ` +
      `${group.kept ? percent(group.kept) : "nothing"} of the tokens that can be removed${copies}`),
    html("div", { class: group.contribution < 0 ? "lowers" : "raises" },
      tall ? scroller(`${item.id}, group ${k + 1}`, "whole-text", words) : words));
}

function textRest(rest, most, decimals) {
  return html("li", { class: "text-group" }, signedBar(rest.contribution, most, decimals),
    html("small", {}, plural(rest.groups, "further group")));
}

/** Short texts are shown whole; of long ones what is around the kept tokens. */
function shownTokens(item, group) {
  const near = item.tokens.map(() => item.tokens.length <= WHOLE);
  for (const at of group.tokens) near.fill(true, Math.max(0, at - AROUND), at + AROUND + 1);
  if (item.still.length <= WHOLE) for (const at of item.still) near[at] = true;
  if (!near.includes(true)) near.fill(true, 0, 2 * AROUND);
  return near;
}

/** A text in its own direction; what a group keeps is marked, all of it if kept is null. */
function writeText(item, kept, shown) {
  const [marked, still] = [new Set(item.marked), new Set(item.still)];
  const runs = [];
  item.tokens.forEach((token, k) => {
    const gone = token === null || !shown[k];
    const words = gone ? "gap" : [
      kept && kept.has(k) ? "kept" : "", still.has(k) ? "still" : "", marked.has(k) ? "reason" : "",
    ].filter(Boolean).join(" ");
    const last = runs[runs.length - 1];
    if (last && last.words === words) last.tokens.push(token);
    else runs.push({ words, tokens: [token] });
  });
  const nodes = runs.flatMap(({ words, tokens }) => {
    const tag = words.startsWith("kept") ? "mark" : words.endsWith("reason") ? "u" : "span";
    return [" ", html(tag, { class: words }, words === "gap" ? "\u2026" : tokens.join(" "))];
  });
  return html("p", { class: `text ${kept ? "masked" : ""}`, dir: "auto" }, nodes.slice(1));
}
