"use strict";
// Everything shown is put into the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const colours = ["#1d6fd1", "#d9730d", "#1a8a4a", "#c2357f", "#7b53c9", "#0d97a6", "#a8680a", "#d03a3a", "#5b7a1d", "#7a7f8a"];
const details = new Map();
const chosen = new Set();
const NOTHING = { curves: {}, info: {}, about: {}, artifacts: [], sheets: [], output: "", trace: "" };
const words = new Intl.Collator(undefined, { numeric: true });

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role" || name === "for") made.setAttribute(name, value);
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

function detail(index) {
  if (!details.has(index)) {
    const block = byId("run-" + index);
    details.set(index, { ...NOTHING, known: block !== null, ...JSON.parse(block ? block.textContent : "{}") });
  }
  return details.get(index);
}

function say(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

// One run ----------------------------------------------------------------------------------------

// What is the same in all runs of an experiment stands in the data once, and metrics by number.
const common = run => data.common[run.experiment] ?? {};
const own = Object.hasOwn;

function configValue(run, key) {
  if (own(run.config, key)) return run.config[key];
  return own(common(run), key) ? common(run)[key] : undefined;
}

const configOf = run => ({ ...common(run), ...run.config });

function metricOf(run, name) {
  run.measured ??= new Map(run.metrics.map(([at, last, last_step, best, best_step]) => [data.metrics[at], { last, last_step, best, best_step }]));
  return run.measured.get(name);
}

function metricsOf(run) {
  metricOf(run, "");
  return run.measured;
}

const givenSets = data.given.map(keys => keys && new Set(keys));

// Of a run that doesn't tell, somebody may have set any.
const isGiven = (run, key) => givenSets[run.given]?.has(key) ?? true;
const unsetShown = () => byId("unset").checked;
