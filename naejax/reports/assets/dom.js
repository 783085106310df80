// Elements whose texts cannot become markup, and the state that figures share.

const data = JSON.parse(document.getElementById("data").textContent);
const state = {
  output: 0,
  layers: { spread: true, range: false, members: (data.members || 1) > 1, experts: false },
  sameScale: true,
};
const paper = matchMedia("print");
const views = [];

/** Draws now, and again whenever the state changes. */
function view(draw) {
  views.push(draw);
  draw();
}

function refresh() {
  for (const draw of views) draw();
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") {
      for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    } else if (key === "css") {
      for (const [property, text] of Object.entries(value)) {
        node.style.setProperty(property, text);
      }
    } else {
      node.setAttribute(key, value === true ? "" : value);
    }
  }
  node.append(...children.flat(2).filter((child) => child || child === 0));
  return node;
}

function html(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return fill(node, attributes, children);
}

/** A name from the data: its own direction, never markup, whole when pointed at. */
function name(text, className = "") {
  const shown = String(text).trim() === "" ? "(blank)" : String(text);
  return html("bdi", { class: `name ${className}`, title: shown }, shown);
}

/** A colour key beside its words; the words carry the meaning. */
function swatch(className) {
  return html("span", { class: `swatch ${className}`, "aria-hidden": "true" });
}

/** A button that is pressed or not. */
function toggle(label, key, pressed, press) {
  return html(
    "button",
    {
      type: "button",
      class: "toggle",
      "aria-pressed": String(pressed),
      "data-layer": key,
      on: { click: press },
    },
    swatch(`key-${key}`),
    label,
  );
}

function section(parent, id, title, ...lead) {
  const node = html(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    html("h2", { id: `${id}-title` }, title),
    lead.length ? html("p", { class: "lead" }, ...lead) : null,
  );
  parent.append(node);
  return node;
}

/** Hides the children of a container after the first ones, behind a button. */
function limit(container, most, what) {
  const button = html("button", { type: "button", class: "more" });
  const mark = () => {
    const nodes = [...container.children];
    nodes.forEach((node, i) => node.classList.toggle("over", i >= most));
    button.hidden = nodes.length <= most;
    const all = container.classList.contains("all");
    const which = all ? `the first ${most}` : `all ${count(nodes.length)}`;
    button.textContent = `Show ${which} ${what}`;
    button.setAttribute("aria-expanded", String(all));
  };
  const show = (all) => {
    container.classList.toggle("all", all);
    mark();
  };
  button.addEventListener("click", () => show(!container.classList.contains("all")));
  container.classList.add("limited");
  mark();
  return { button, mark, show };
}

/** A region that scrolls sideways or down, with the keyboard too. */
function scroller(label, className, ...children) {
  const attributes = { class: `scroller ${className}`, tabindex: "0", role: "region" };
  return html("div", { ...attributes, "aria-label": label }, ...children);
}

/** Moves the reader and the keyboard to an element. */
function goTo(node) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  node.focus({ preventScroll: true });
}

/** Arrow keys move among nodes in rows of a given length; one of them takes the tab. */
function rove(nodes, perRow, choose) {
  nodes.forEach((node, i) => {
    node.tabIndex = i === 0 ? 0 : -1;
    node.addEventListener("keydown", (event) => {
      const step = {
        ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow,
      }[event.key];
      const next = nodes[i + step];
      if (!next) return;
      event.preventDefault();
      tabTo(nodes, next);
      next.focus();
      if (choose) choose(i + step);
    });
  });
}

function tabTo(nodes, chosen) {
  for (const node of nodes) node.tabIndex = node === chosen ? 0 : -1;
}
