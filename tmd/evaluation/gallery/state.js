"use strict";
// What the page knows and what it shows, which its address keeps. All text enters as text.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const HR = "HR", LR = "LR";
const words = new Intl.Collator(undefined, { numeric: true });
const images = data.images.map((image, number) => ({ ...image, number, key: `${image.benchmark}/x${image.scale}/${image.name}` }));
const systems = data.systems;
const compared = systems.filter(each => each.compared).map(each => each.name);
const metrics = new Map(data.metrics.map(each => [each.name, each]));
const columns = new Map(compared.map((name, at) => [name, at]));
const rows = new Map(data.metrics.map((each, at) => [each.name, at]));
const given = [HR, LR].filter(name => systems.some(each => each.name === name));
const MODES = { side: "side by side", flip: "one", slider: "slider", difference: "difference" };
if (!given.includes(HR) && compared.length < 2) delete MODES.difference;  // from what?
const TABS = { images: "Images", figures: "Figures", plots: "Plots", systems: "Systems" };
const SORTS = { worst: "worst first", best: "best first", gap: "largest difference", behind: "furthest behind", name: "by name" };

const first = compared.includes("bicubic") ? "bicubic" : compared[0];  // what others are compared with
const main = compared.find(name => name !== first) ?? first;
const DEFAULTS = {
  tab: "images", image: "", mode: "side", hide: [], one: main, a: first === main ? given[0] ?? first : first, b: main,
  reference: given.includes(HR) ? HR : first,
  metric: data.metrics[0].name, sort: "worst", of: main, against: first, baseline: first,
  filter: "", from: "", kind: "absolute", range: "auto", smooth: false, at: 0.5, view: null, crop: null,
};
const state = { ...DEFAULTS };
const ALLOWED = {
  tab: Object.keys(TABS), mode: Object.keys(MODES), sort: Object.keys(SORTS), metric: [...metrics.keys()], kind: ["absolute", "signed"],
  one: systems.map(each => each.name), a: systems.map(each => each.name), b: systems.map(each => each.name),
  reference: systems.map(each => each.name), of: compared, against: compared, baseline: [...compared, ""],
};

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
}

/** A system's value of a metric for an image; null where there is none. */
function valueOf(image, system, metric = state.metric) {
  return image.values[columns.get(system)]?.[rows.get(metric)] ?? null;
}

const said = (metric, value) => shownAs(metrics.get(metric), value);

/** A value with the digits of its metric. */
function shownAs({ decimals }, value) {
  if (value === null || value === undefined) return "–";
  return decimals === null ? String(Number(value.toPrecision(4))) : value.toFixed(decimals);
}

/** The difference to the baseline, coloured by whether it is better; null where there is none. */
function delta(metric, value, base) {
  if (value === null || base === null || value === undefined || base === undefined) return null;
  const text = said(metric, value - base), up = metrics.get(metric).higher_is_better;
  const nothing = !/[1-9]/.test(text);
  const better = up === null || nothing ? "" : (value > base) === up ? "good" : "bad";
  return element("small", { class: better || "dim", title: `to ${state.baseline}` }, (value < base || nothing ? "" : "+") + text.replace("-", "−"));
}

/** Positive where `value` is the better one. */
const gain = (metric, value, base) => metrics.get(metric).higher_is_better === false ? base - value : value - base;

/** Mean over the images that are rated and have a value. */
function meanOf(some, system, metric) {
  const rated = some.filter(each => !each.flat), over = rated.length ? rated : some;
  const values = over.map(each => valueOf(each, system, metric)).filter(value => value !== null);
  return values.length ? values.reduce((sum, each) => sum + each, 0) / values.length : null;
}

const current = () => images.find(each => each.key === state.image) ?? images[0];

// The address ----------------------------------------------------------------------------------

const rounded = (value, digits) => Number(value.toFixed(digits));

function fragment() {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "view" || key === "crop" || value === DEFAULTS[key]) continue;
    if (key === "hide") value.forEach(each => parts.append("hide", each));
    else parts.set(key, key === "at" ? rounded(value, 3) : value);
  }
  if (state.view && !state.view.fitted) {
    parts.set("view", [rounded(state.view.zoom, 3), rounded(state.view.x, 1), rounded(state.view.y, 1)].join(","));
  }
  if (state.crop) parts.set("crop", state.crop.join(","));
  return "#" + parts.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
}

/** Take the state from the address; what it does not know, or can't be, is as by default. */
function readFragment() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const numbers = (key, count) => {
    const found = (parts.get(key) ?? "").split(",").map(Number);
    return parts.has(key) && found.length === count && found.every(Number.isFinite) ? found : null;
  };
  for (const [key, value] of Object.entries(DEFAULTS)) {
    const given = parts.get(key);
    if (given === null || (ALLOWED[key] && !ALLOWED[key].includes(given))) state[key] = value;
    else if (key === "smooth") state[key] = given === "true";
    else if (key === "at") state[key] = Math.max(0, Math.min(1, Number(given) || 0));
    else state[key] = given;
  }
  state.hide = parts.getAll("hide").filter(name => systems.some(each => each.name === name));
  const view = numbers("view", 3), crop = numbers("crop", 4);
  state.view = view && view[0] > 0 ? { zoom: view[0], x: view[1], y: view[2], fitted: false } : null;
  state.crop = crop && crop.every(each => each >= 0 && Number.isInteger(each)) && crop[2] && crop[3] ? crop : null;
}

let writing = 0;
/** Write the state into the address, soon: a browser takes so many changes a second. */
function remember() {
  writing ||= setTimeout(() => {
    writing = 0;
    history.replaceState(null, "", fragment());
  }, 200);
}

/** The address of what is shown, to be cited. */
function address() {
  return location.href.split("#")[0] + fragment();
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // not allowed in a page without a server, by some browsers
    const area = element("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}
