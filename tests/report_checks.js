// What tests ask a page about itself.
window.checks = (() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /** Any CSS colour as [red, green, blue, alpha], 0 to 255 and 0 to 1. */
  function rgba(colour) {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }

  function over([r, g, b, a], below) {
    return [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  }

  function background(node) {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  }

  function brightness(colour) {
    const [r, g, b] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(a, b) {
    const [low, high] = [brightness(a), brightness(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }

  function isShown(node) {
    return node.getClientRects().length > 0 && getComputedStyle(node).visibility === "visible";
  }

  /** Elements with a text of their own whose contrast is below 4.5. */
  function faintTexts() {
    const found = new Set();
    for (const node of document.querySelectorAll("body *:not(script)")) {
      const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
      if (!own || !isShown(node)) continue;
      const style = getComputedStyle(node);
      const colour = rgba(node instanceof SVGElement ? style.fill : style.color);
      const ground = background(node);
      const value = contrast(over(colour, ground), ground);
      if (value < 4.5) found.add(`${node.tagName}.${node.getAttribute("class")} ${value.toFixed(2)}`);
    }
    return [...found];
  }

  /** Marks that carry meaning whose contrast with the page is below 3. */
  function faintMarks() {
    const found = new Set();
    const ground = background(document.body);
    const marks = { stroke: ".line.mean, .line.member, .line.s0, .line.s1, .line.s2, .zero, .diagonal",
      fill: ".point.mean, .bin-dot, .count-bar", backgroundColor: ".bar, .step-bar, .dot-mark, .reach" };
    for (const [property, selector] of Object.entries(marks)) {
      for (const node of document.querySelectorAll(selector)) {
        const value = contrast(over(rgba(getComputedStyle(node)[property]), ground), ground);
        if (value < 3) found.add(`${node.getAttribute("class")} ${value.toFixed(2)}`);
      }
    }
    return [...found];
  }

  /** What is wider than the screen, outside of boxes that scroll. */
  function overflow() {
    const wide = document.documentElement.clientWidth;
    const found = [];
    if (document.documentElement.scrollWidth > wide) found.push(`page ${document.documentElement.scrollWidth}`);
    for (const node of document.querySelectorAll("main *, nav *")) {
      if (node.closest(".scroller, nav ul, .step-track, svg") || !isShown(node)) continue;
      const { left, right } = node.getBoundingClientRect();
      if (right > wide + 1 || left < -1) {
        if (!node.closest(".skip, .output label")) found.push(`${node.tagName}.${node.className} ${left} ${right}`);
      }
    }
    return found.slice(0, 5);
  }

  /** How a screen reader would call an element. */
  function nameOf(node) {
    const label = node.labels && node.labels[0];
    return (node.getAttribute("aria-label") || (label && label.textContent) || node.textContent).trim();
  }

  function tabStops() {
    const all = document.querySelectorAll("a[href], button, input, select, summary, [tabindex]");
    return [...all].filter((node) => node.tabIndex >= 0 && isShown(node)).map(nameOf);
  }

  function hasFocusRing() {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  }

  return {
    faintTexts, faintMarks, overflow, nameOf, tabStops, hasFocusRing,
    luminance: (node) => brightness(background(node)),
    brokenImages: () => [...document.images].filter((image) => image.complete && !image.naturalWidth).length,
  };
})();
