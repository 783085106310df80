// Numbers as a careful person writes them.

const MINUS = "\u2212";
const NONE = "\u2013";
const SPACE = "\u00a0";
const RAISED = { "-": "\u207b", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].entries()) };

function grouped(text) {
  const [whole, fraction] = text.split(".");
  // A year keeps its four digits together.
  const parts = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  return fraction === undefined ? parts : `${parts}.${fraction}`;
}

/** Decimals that show a number of this size to so many significant digits. */
function decimalsFor(size, digits = 3) {
  if (!size) return 0;
  const order = Math.floor(Math.log10(Math.abs(size)));
  return Math.max(0, Math.min(12, digits - 1 - order));
}

function fixed(value, decimals) {
  if (value === null || value === undefined) return NONE;
  const text = Math.abs(value).toFixed(decimals);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + grouped(text);
}

function signed(value, decimals) {
  const text = fixed(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A number on its own, to some significant digits. */
function number(value, digits = 3) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 9.99e-5 || size >= 1e9)) {
    const [factor, power] = value.toExponential(digits - 1).split("e");
    const raised = [...power.replace("+", "")].map((sign) => RAISED[sign]).join("");
    return `${factor.replace("-", MINUS)}\u00d710${raised}`;
  }
  if (Number.isInteger(value)) return fixed(value, 0);
  const text = fixed(value, decimalsFor(size, digits));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function count(value) {
  if (value === null || value === undefined) return NONE;
  const size = String(Math.round(value));
  return size.length > 3 ? size.replace(/\B(?=(\d{3})+$)/g, ",") : size;
}

function plural(value, word) {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** A share; the ends of the scale are kept for what really lies there. */
function percent(share) {
  if (share === null || share === undefined) return NONE;
  const whole = Math.round(100 * share);
  if (whole === 0 && share > 0) return `<${SPACE}1${SPACE}%`;
  if (whole === 100 && share < 1) return `>${SPACE}99${SPACE}%`;
  return `${whole}${SPACE}%`;
}

/** A position on a feature's axis. */
function place(position) {
  if (position === null) return "missing";
  return typeof position === "number" ? number(position, 4) : position;
}

function largest(...lists) {
  let most = 0;
  for (const value of lists.flat(3)) {
    if (value !== null && Math.abs(value) > most) most = Math.abs(value);
  }
  return most;
}

/** Smallest and largest number of some lists, null left out. */
function extentOf(lists, start = [0, 0]) {
  let [low, high] = start;
  for (const value of lists.flat(3)) {
    if (value === null || value === undefined) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low === high ? [low - 1, high + 1] : [low, high];
}

/** Round numbers within an extent, with their texts. */
function ticks([low, high], most) {
  const rough = (0.75 * (high - low)) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const size = Math.max(Math.abs(low), Math.abs(high));
  const write = (value) => {
    if (value === 0) return "0";
    if (size >= 1e6 && size < 1e9) return `${number(value / 1e6)}M`;
    return size >= 1e9 || step < 9.99e-5 ? number(value, 2) : fixed(value, decimals);
  };
  const found = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k += 1) {
    const value = k * step;
    found.push({ value, text: write(value) });
  }
  return found;
}

function scale([low, high], [from, to]) {
  const ratio = high > low ? (to - from) / (high - low) : 0;
  const middle = (from + to) / 2;
  return (value) => (ratio ? from + (value - low) * ratio : middle);
}
