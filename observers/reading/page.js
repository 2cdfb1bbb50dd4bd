"use strict";
// Everything shown is put into the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const colours = ["#1d6fd1", "#d9730d", "#1a8a4a", "#c2357f", "#7b53c9", "#0d97a6", "#a8680a", "#d03a3a", "#5b7a1d", "#7a7f8a"];
const details = new Map();
const chosen = new Set();
const NOTHING = { curves: {}, info: {}, about: {}, artifacts: [], sheets: [], output: "", trace: "" };
const words = new Intl.Collator(undefined, { numeric: true });
const MOST_ROWS = 200;  // at once: what a browser lays out in a moment
let sorting = { column: 0, down: true };
let most = MOST_ROWS;
let opened = null;

// What is the same in all runs stands in the data once, and metrics by number.
for (const run of data.runs) {
  run.config = { ...data.common, ...run.config };
  run.metrics = new Map(run.metrics.map(([name, last, last_step, best, best_step]) => [data.metrics[name], { last, last_step, best, best_step }]));
}

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
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

// The table ------------------------------------------------------------------------------------

const columns = [
  { name: "run", value: run => run.id },
  { name: "status", value: run => run.status },
  { name: "experiment", value: run => run.experiment },
  ...data.differing.map(key => ({ name: key, value: run => run.config[key] })),
  ...data.main_metrics.flatMap(name => [
    { name: name + " last", value: run => (run.metrics.get(name) || {}).last },
    { name: name + " best", value: run => (run.metrics.get(name) || {}).best },
  ]),
  { name: "duration", value: run => run.seconds, shown: run => run.duration },
  { name: "started (UTC)", value: run => run.started },
];

function lookUp(run, key) {
  if (key in run.config) return run.config[key];
  if (run.metrics.has(key)) return run.metrics.get(key).last;
  if (key.endsWith(".best") && run.metrics.has(key.slice(0, -5))) return run.metrics.get(key.slice(0, -5)).best;
  return { id: run.id, run: run.id, status: run.status, experiment: run.experiment }[key];
}

function matches(run, word) {
  const condition = word.match(/^([^=<>]+)(=|<|>)(.*)$/);
  if (!condition) {
    run.words ??= (columns.map(column => say((column.shown || column.value)(run))).join(" ") + " " + JSON.stringify(run.config)).toLowerCase();
    return run.words.includes(word.toLowerCase());
  }
  const value = lookUp(run, condition[1]);
  if (value === undefined || value === null) return false;
  if (condition[2] === "=") return say(value).toLowerCase() === condition[3].toLowerCase() || String(value).toLowerCase() === condition[3].toLowerCase();
  return condition[2] === "<" ? value < Number(condition[3]) : value > Number(condition[3]);
}

function compare(a, b) {
  const empty = value => value === null || value === undefined || value === "";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  if (typeof a === "number" && typeof b === "number") return sorting.down ? b - a : a - b;
  return (sorting.down ? -1 : 1) * words.compare(say(a), say(b));
}

function shownRuns() {
  const asked = byId("filter").value.trim().split(/\s+/).filter(Boolean);
  const value = columns[sorting.column].value;
  return data.runs.filter(run => asked.every(word => matches(run, word)))
    .sort((a, b) => compare(value(a), value(b)) || b.index - a.index);
}

const numeric = columns.map(column => data.runs.every(run => {
  const value = column.value(run);
  return value === null || value === undefined || typeof value === "number";
}));

function showTable() {
  const found = shownRuns(), runs = found.slice(0, most);
  byId("count").textContent = found.length === data.runs.length ? `${found.length} runs` : `${found.length} of ${data.runs.length} runs`;
  byId("more").replaceChildren(...(found.length > runs.length ? [element("button", {
    onclick: () => { most *= 4; showTable(); },
  }, `show more than the first ${runs.length} of ${found.length}`)] : []));
  byId("table").tHead.replaceChildren(element("tr", {}, element("th", { title: "in the curves" }, "∿"),
    ...columns.map((column, at) => element("th", {
      class: numeric[at] ? "number" : "", title: column.name,
      onclick: () => { sorting = { column: at, down: sorting.column === at ? !sorting.down : numeric[at] }; showTable(); },
    }, column.name + (sorting.column === at ? (sorting.down ? " ▾" : " ▴") : "")))));
  byId("table").tBodies[0].replaceChildren(...runs.map(run => {
    const box = element("input", {
      type: "checkbox", checked: chosen.has(run.index),
      onclick: event => { event.stopPropagation(); choose(run.index, event.target.checked); },
    });
    box.setAttribute("aria-label", "run " + run.id);
    return element("tr", {
      class: (chosen.has(run.index) ? "chosen " : "") + (opened === run.index ? "open" : ""),
      onclick: () => { opened = run.index; showTable(); showRun(); byId("run").scrollIntoView({ behavior: "smooth" }); },
    }, element("td", {}, box), ...columns.map((column, at) => {
      const text = say((column.shown || column.value)(run));
      if (column.name === "status") return element("td", { class: run.status, title: [text, ...run.warnings].join("\n") }, text + (run.warnings.length ? " ⚠" : ""));
      return element("td", { class: numeric[at] ? "number" : "", title: text }, text);
    }));
  }));
}

function choose(index, yes) {
  if (yes) chosen.add(index); else chosen.delete(index);
  showTable();
  showCurves();
  showDifferences();
}

// Curves ---------------------------------------------------------------------------------------

const chosenRuns = () => data.runs.filter(run => chosen.has(run.index));
const colour = at => colours[at % colours.length];

function ticks(low, high, logarithmic) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.ceil(low); power <= high; power++) found.push(power);
    if (found.length > 1) return found.filter((_, at) => at % Math.ceil(found.length / 8) === 0);
  }
  const rough = (high - low) / 5 || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const size = unit * ([1, 2, 5].find(each => each * unit >= rough) || 10);
  const found = [];
  for (let at = Math.ceil(low / size) * size; at <= high + size * 1e-9; at += size) found.push(at);
  return found;
}

function smoothed(values, weight) {
  let average = null;
  return values.map(value => {
    if (value === null || !weight) return value;
    average = average === null ? value : average * weight + value * (1 - weight);
    return average;
  });
}

const repeatOf = new Map(data.repeats.flatMap((group, number) => group.map(index => [index, number])));

// Runs in groups that are drawn as one: those that differ in nothing but their seeds.
function together(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = byId("bands").checked && repeatOf.has(run.index) ? repeatOf.get(run.index) : "run " + run.index;
    groups.set(key, [...groups.get(key) ?? [], run]);
  }
  return [...groups.values()];
}

// Mean, and half of the 95 % interval by Student's t, at the steps that several curves share.
function spreadOf(curves) {
  const maps = curves.map(([steps, values]) => new Map(steps.map((step, at) => [step, values[at]])));
  return curves[0][0].filter(step => maps.every(each => each.has(step))).map(step => {
    const values = maps.map(each => each.get(step)).filter(value => value !== null);
    const n = values.length, mean = values.reduce((sum, value) => sum + value, 0) / n;
    if (n < 2) return [step, n ? mean : null, null];
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
    return [step, mean, data.t[Math.min(n - 1, data.t.length) - 1] * Math.sqrt(variance / n)];
  });
}

function plot(metric, runs) {
  const logarithmic = byId("log").checked;
  const place = value => logarithmic ? (value > 0 ? Math.log10(value) : null) : value;
  const lines = together(runs).map((members, number) => {
    const curves = members.map(run => detail(run.index).curves[metric]).filter(Boolean)
      .map(([steps, values]) => [steps, smoothed(values, Number(byId("smooth").value))]);
    if (!curves.length) return null;
    const drawn = curves.length === 1 ? curves[0][0].map((step, at) => [step, curves[0][1][at], null]) : spreadOf(curves);
    const inPlace = value => value === null ? null : place(value);
    return {
      name: members.length === 1 ? `run ${members[0].id}` : `mean of ${curves.length} runs: ${members.map(run => run.id).join(", ")}`,
      id: members.length === 1 ? members[0].id : "mean of " + members.map(run => run.id).join(","), stroke: colour(number),
      points: drawn.map(([step, value]) => [step, inPlace(value)]),
      edges: drawn.filter(point => point[1] !== null && point[2] !== null).map(([step, value, half]) => [step, inPlace(value - half), inPlace(value + half)])
        .filter(edge => edge[1] !== null && edge[2] !== null),
    };
  }).filter(Boolean);
  const points = lines.flatMap(line => [...line.points.filter(point => point[1] !== null), ...line.edges.flatMap(([step, low, high]) => [[step, low], [step, high]])]);
  const figure = element("div", { class: "plot" }, element("h3", {}, metric));
  if (!points.length) { figure.append(element("p", { class: "dim" }, "nothing to draw")); return figure; }
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of points) { left = Math.min(left, x); right = Math.max(right, x); low = Math.min(low, y); high = Math.max(high, y); }
  if (low === high) { low -= Math.abs(low) * 0.05 || 0.5; high += Math.abs(high) * 0.05 || 0.5; }
  if (left === right) { left -= 0.5; right += 0.5; }
  const [width, height, margin] = [600, 280, { left: 62, right: 10, top: 8, bottom: 24 }];
  const x = value => margin.left + (value - left) / (right - left) * (width - margin.left - margin.right);
  const y = value => height - margin.bottom - (value - low) / (high - low) * (height - margin.top - margin.bottom);
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  picture.setAttribute("aria-label", metric + " of runs " + lines.map(line => line.id).join(", "));
  for (const at of ticks(low, high, logarithmic)) {
    picture.append(drawn("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y(at), y2: y(at) }),
      drawn("text", { x: margin.left - 6, y: y(at) + 4, "text-anchor": "end" }, say(logarithmic ? 10 ** at : Number(at.toPrecision(10)))));
  }
  for (const at of ticks(left, right, false)) {
    picture.append(drawn("line", { class: "grid", y1: margin.top, y2: height - margin.bottom, x1: x(at), x2: x(at) }),
      drawn("text", { x: x(at), y: height - 8, "text-anchor": "middle" }, say(Number(at.toPrecision(10)))));
  }
  for (const line of lines.filter(each => each.edges.length > 1)) {
    const corner = which => edge => x(edge[0]).toFixed(1) + " " + y(edge[which]).toFixed(1);
    const d = "M" + [...line.edges.map(corner(2)), ...line.edges.toReversed().map(corner(1))].join("L") + "Z";
    picture.append(drawn("path", { d, fill: line.stroke, class: "band" }));
  }
  lines.forEach(line => {
    let path = "", pen = false;
    for (const [step, value] of line.points) {
      if (value === null) { pen = false; continue; }
      path += (pen ? "L" : "M") + x(step).toFixed(1) + " " + y(value).toFixed(1);
      pen = true;
    }
    const stroke = line.stroke;
    picture.append(drawn("path", { d: path, fill: "none", stroke, "stroke-width": 1.6, class: "curve" }));
    const last = line.points.filter(point => point[1] !== null).at(-1);
    if (last) picture.append(drawn("circle", { cx: x(last[0]), cy: y(last[1]), r: 2.5, fill: stroke }));
  });
  const reading = element("div", { class: "dim" }, "\u00a0");
  picture.addEventListener("mousemove", event => {
    const box = picture.getBoundingClientRect();
    const step = left + ((event.clientX - box.left) / box.width * width - margin.left) / (width - margin.left - margin.right) * (right - left);
    reading.textContent = lines.map(line => {
      const near = line.points.reduce((best, point) => point[1] !== null && (best === null || Math.abs(point[0] - step) < Math.abs(best[0] - step)) ? point : best, null);
      return near === null ? "" : `${line.id}: ${say(logarithmic ? 10 ** near[1] : near[1])} at ${near[0]}`;
    }).join("   ");
  });
  const legend = element("div", { class: "legend" }, ...lines.map(line => {
    const stroke = element("i");
    stroke.style.background = line.stroke;
    return element("span", {}, stroke, line.name);
  }));
  figure.append(picture, legend, reading);
  return figure;
}

function showCurves() {
  const runs = chosenRuns();
  const wanted = [...byId("metrics").selectedOptions].map(option => option.value);
  byId("curves-of").textContent = runs.length ? "of runs " + runs.map(run => run.id).join(", ") : "of no run: tick some in the table";
  byId("plots").replaceChildren(...(runs.length ? wanted.map(metric => plot(metric, runs)) : []));
}

// Studies --------------------------------------------------------------------------------------

const brushes = new Map();
let trialsBy = { column: 0, down: false };
const study = () => data.studies[byId("study").selectedIndex];

function axesOf(each) {
  return [...each.params.map(name => ({ name, value: trial => trial[1][name] })),
    ...each.objectives.map((name, at) => ({ name, value: trial => trial[2][at]?.[0], spread: trial => trial[2][at] }))].map(axis => {
    const known = each.trials.map(axis.value).filter(value => value !== undefined && value !== null);
    const numbers = known.length > 0 && known.every(value => typeof value === "number");
    if (!numbers) {
      const names = [...new Set(known.map(say))].sort(words.compare);
      return { ...axis, names, place: value => names.length < 2 ? 0.5 : names.indexOf(say(value)) / (names.length - 1) };
    }
    const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
    // What spans more than a decade and a half was drawn by its logarithm.
    const log = low > 0 && high / low > 30, scale = value => log ? Math.log10(value) : value;
    return { ...axis, low, high, log, place: value => high === low ? 0.5 : (scale(value) - scale(low)) / (scale(high) - scale(low)) };
  });
}

const keptTrials = (each, axes) => each.trials.filter(trial => axes.every(axis => {
  const brush = brushes.get(axis.name), value = axis.value(trial);
  if (!brush) return true;
  return value !== undefined && value !== null && axis.place(value) >= brush[0] && axis.place(value) <= brush[1];
}));

function showStudy() {
  const each = study();
  if (!each) return;
  const axes = axesOf(each), kept = new Set(keptTrials(each, axes));
  byId("study-count").textContent = `${kept.size} of ${each.trials.length} trials, ${each.experiment}`;
  showParallel(each, axes, kept);
  byId("importance").replaceChildren(element("h3", {}, "Importance"),
    ...each.objectives.flatMap((name, at) => Object.keys(each.importance[at]).length ? [element("p", { class: "dim" }, name),
      element("table", {}, element("tbody", {}, ...Object.entries(each.importance[at]).map(([key, share]) => {
        const bar = element("i");
        bar.style.width = Math.round(share * 120) + "px";
        return element("tr", {}, element("th", {}, key), element("td", {}, bar, Math.round(share * 100) + " %"));
      })))] : []),
    element("p", { class: "dim" }, "share of the variance of the objective's ranks that each parameter explains by itself (ε², numbers in quartiles; what two do only together isn't seen)"));
  showTrials(each, axes, kept);
}

function showParallel(each, axes, kept) {
  const room = byId("parallel"), [width, height] = [room.clientWidth || 1200, 300], [top, bottom, side] = [34, 22, 70];
  const x = at => axes.length < 2 ? width / 2 : side + at * (width - 2 * side) / (axes.length - 1);
  const y = place => height - bottom - place * (height - top - bottom);
  const canvas = element("canvas", { width: width * devicePixelRatio, height: height * devicePixelRatio });
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  const last = axes[each.params.length];
  for (const faint of [true, false]) for (const trial of each.trials) {
    if (kept.has(trial) === faint) continue;
    pen.beginPath();
    let down = false;
    axes.forEach((axis, at) => {
      const value = axis.value(trial);
      if (value === undefined || value === null) { down = false; return; }
      if (down) pen.lineTo(x(at), y(axis.place(value))); else pen.moveTo(x(at), y(axis.place(value)));
      down = true;
    });
    const value = last && last.value(trial);
    const share = value === undefined || value === null ? 0 : last.place(value);
    pen.globalAlpha = faint ? 0.12 : 0.75;
    pen.strokeStyle = faint ? "#7a7f8a" : `hsl(${230 - 200 * share} 75% 50%)`;
    pen.stroke();
  }
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}` });
  axes.forEach((axis, at) => {
    const label = (place, text) => drawn("text", { x: x(at) + 5, y: y(place) + 4 }, text);
    picture.append(drawn("line", { class: "axis", x1: x(at), x2: x(at), y1: y(0), y2: y(1) }),
      drawn("text", { class: "name", x: x(at), y: 14, "text-anchor": "middle" }, axis.name + (axis.log ? " (log)" : "")),
      ...(axis.names ? axis.names.slice(0, 12).map(name => label(axis.place(name), name)) : [label(0, say(axis.low)), label(1, say(axis.high))]));
    const brush = brushes.get(axis.name);
    if (brush) picture.append(drawn("rect", { class: "brush", x: x(at) - 9, width: 18, y: y(brush[1]), height: Math.max(2, y(brush[0]) - y(brush[1])) }));
    const hit = drawn("rect", { class: "hit", x: x(at) - 14, width: 28, y: top - 8, height: height - top - bottom + 16, "data-axis": axis.name });
    hit.addEventListener("pointerdown", event => {
      const placeOf = one => Math.min(1, Math.max(0, (height - bottom - (one.clientY - room.getBoundingClientRect().top)) / (height - top - bottom)));
      const begin = placeOf(event);
      const end = one => {
        removeEventListener("pointerup", end);
        const now = placeOf(one);
        if (Math.abs(now - begin) < 0.01) brushes.delete(axis.name); else brushes.set(axis.name, [Math.min(begin, now), Math.max(begin, now)]);
        showStudy();
      };
      addEventListener("pointerup", end);
    });
    picture.append(hit);
  });
  room.replaceChildren(canvas, picture);
}

function showTrials(each, axes, kept) {
  const shown = [{ name: "trial", value: trial => trial[0] }, { name: "runs", value: trial => trial[3].length }, ...axes, { name: "not counted", value: trial => trial[4] }];
  const by = shown[Math.min(trialsBy.column, shown.length - 1)].value;
  const down = sorting.down;
  sorting.down = trialsBy.down;
  const trials = [...kept].sort((a, b) => compare(by(a), by(b))).slice(0, MOST_ROWS);
  sorting.down = down;
  byId("trials").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...shown.map((axis, at) => element("th", {
    onclick: () => { trialsBy = { column: at, down: trialsBy.column === at ? !trialsBy.down : true }; showStudy(); },
  }, axis.name + (trialsBy.column === at ? (trialsBy.down ? " ▾" : " ▴") : ""))))),
  element("tbody", {}, ...trials.map(trial => element("tr", {
    title: "draw its runs' curves",
    onclick: () => { chosen.clear(); for (const index of trial[3]) chosen.add(index); showTable(); showCurves(); showDifferences(); byId("curves").scrollIntoView({ behavior: "smooth" }); },
  }, ...shown.map(axis => {
    const spread = axis.spread?.(trial);
    return element("td", { class: "number" }, spread ? say(spread[0]) + (spread[1] === null ? "" : " ± " + say(Number(spread[1].toPrecision(2)))) : say(axis.value(trial)));
  }))))));
}

// Differences, and one run -----------------------------------------------------------------------

function rows(entries) {
  return element("table", {}, element("tbody", {}, ...entries.map(([key, ...values]) =>
    element("tr", {}, element("th", {}, key), ...values.map(value => element("td", { title: say(value) }, say(value)))))));
}

function showDifferences() {
  const runs = chosenRuns();
  const section = byId("differences");
  if (runs.length < 2) { section.replaceChildren(); return; }
  // An experiment that has no such key differs in none: an evaluation is not another training.
  const known = new Map();
  for (const run of runs) known.set(run.experiment, new Set([...known.get(run.experiment) ?? [], ...Object.keys(run.config)]));
  const keys = [...new Set([...known.values()].flatMap(each => [...each]))];
  const having = key => runs.filter(run => known.get(run.experiment).has(key));
  const differing = keys.filter(key => new Set(having(key).map(run => JSON.stringify(run.config[key]))).size > 1);
  section.replaceChildren(element("h2", {}, "Config differences"),
    differing.length ? rows([["run", ...runs.map(run => run.id)], ...differing.map(key => [key, ...runs.map(run => run.config[key])])])
      : element("p", { class: "dim" }, "the chosen runs have the same config"));
}

function showRun() {
  const section = byId("run");
  if (opened === null) { section.replaceChildren(); return; }
  const run = data.runs[opened], more = detail(opened);
  const parts = [element("h2", {}, `Run ${run.id} `, element("span", { class: run.status }, run.status))];
  const titled = (title, ...content) => parts.push(element("h3", {}, title), ...content);
  const summary = [["where", run.spec], ["experiment", run.experiment], ["started (UTC)", run.started], ["duration", run.duration]];
  for (const [key, value] of Object.entries(more.about)) summary.push([key, value]);
  for (const problem of run.warnings) summary.push(["⚠", problem]);
  parts.push(rows(summary));
  if (more.sheets.length) {
    titled("Sheets", element("div", { class: "sheets" }, ...more.sheets.map(sheet => element("figure", {},
      element("a", { href: sheet.source }, element("img", { src: sheet.source, alt: sheet.name, loading: "lazy" })),
      element("figcaption", {}, sheet.name)))));
  }
  if (run.metrics.size) {
    titled("Metrics", rows([["", "last", "at", "best", "at"], ...[...run.metrics].map(([name, each]) =>
      [name, each.last, each.last_step, each.best, each.best_step])]));
  }
  if (more.artifacts.length) {
    titled("Artifacts", element("ul", {}, ...more.artifacts.map(artifact => element("li", {},
      artifact.link ? element("a", { href: artifact.link }, artifact.name) : artifact.name, " ", element("span", { class: "dim" }, artifact.size)))));
  }
  titled("Config", rows(Object.entries(run.config)));
  if (Object.keys(more.info).length) titled("Info", element("pre", {}, JSON.stringify(more.info, null, 2)));
  if (more.trace) titled("What it failed with", element("pre", {}, more.trace));
  titled("Output", element("pre", {}, more.output || (more.known ? "none" : "not in this page, nor its curves: it holds those of the newest runs")));
  if (more.output_link) parts.push(element("a", { href: more.output_link }, "all that was recorded of it"));
  section.replaceChildren(...parts);
}

// Begin ----------------------------------------------------------------------------------------

byId("store").textContent = data.store;
byId("made").textContent = "as of " + data.made + " UTC";
for (const name of new Set([...data.main_metrics, ...data.metrics])) byId("metrics").append(element("option", { value: name, selected: data.main_metrics.includes(name) }, name));
byId("filter").value = decodeURIComponent(location.hash.slice(1));
byId("filter").addEventListener("input", () => { history.replaceState(null, "", "#" + encodeURIComponent(byId("filter").value)); showTable(); });
for (const id of ["metrics", "log", "smooth", "bands"]) byId(id).addEventListener("input", showCurves);
byId("none").addEventListener("click", () => { chosen.clear(); showTable(); showCurves(); showDifferences(); });
if (data.studies.length) {
  byId("studies").hidden = false;
  for (const each of data.studies) byId("study").append(element("option", {}, `${each.name} (${each.experiment})`));
  byId("study").selectedIndex = data.studies.length - 1;
  byId("study").addEventListener("input", () => { brushes.clear(); showStudy(); });
  addEventListener("resize", showStudy);
}
for (const run of data.runs.slice(-5)) chosen.add(run.index);
showTable();
showStudy();
showCurves();
showDifferences();
if (data.runs.length) { opened = data.runs.length - 1; showRun(); showTable(); }
document.body.dataset.ready = Math.round(performance.now());
