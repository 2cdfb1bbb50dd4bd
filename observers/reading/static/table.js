// The table ------------------------------------------------------------------------------------

const BEYOND = 40;  // rows drawn above and below those that are seen
const WIDEST = 240;  // pixels of a column's text
const table = byId("table"), room = byId("room");
let kind = data.kinds[0];
let columns = [];
let found = [];
let sorting = { name: "run", down: true };
let opened = null;
let active = 0;  // the place of the row that the keyboard is at
let rowHeight = 28;

function columnsOf(each) {
  const metric = name => [
    { name: name + " last", value: run => metricOf(run, name)?.last },
    { name: name + " best", value: run => metricOf(run, name)?.best },
  ];
  return [
    { name: "run", value: run => run.id },
    { name: "status", value: run => run.status },
    ...(each.experiments > 1 ? [{ name: "experiment", value: run => run.experiment }] : []),
    ...each.main_metrics.flatMap(metric),
    ...[...each.differing, ...(unsetShown() ? each.unset : [])].map(key => ({ name: key, value: run => configValue(run, key) })),
    { name: "duration", value: run => run.seconds, shown: run => run.duration },
    { name: "started (UTC)", value: run => run.started },
  ];
}

const cellOf = (column, run) => say((column.shown || column.value)(run));

const pen = document.createElement("canvas").getContext("2d");

// Pixels of a text in the table's font.
function breadth(text, weight) {
  const style = getComputedStyle(document.body);
  pen.font = `${weight} ${style.fontSize} ${style.fontFamily}`;
  return Math.ceil(pen.measureText(text).width);
}

// Widths that stay while rows come and go; of thousands of runs, by a part of them.
function measured(column, runs) {
  const part = Math.ceil(runs.length / 2000), some = part > 1 ? runs.filter((_, at) => at % part === 0) : runs;
  const longest = some.map(run => cellOf(column, run)).reduce((most, text) => text.length > most.length ? text : most, "");
  const numeric = some.every(run => ["number", "undefined"].includes(typeof (column.value(run) ?? undefined)));
  return { ...column, numeric, width: Math.min(WIDEST, Math.max(breadth(`${column.name} ▾`, 700), breadth(longest, 400))) };
}

function lookUp(run, key) {
  const value = configValue(run, key);
  if (value !== undefined) return value;
  const metrics = metricsOf(run);
  if (metrics.has(key)) return metrics.get(key).last;
  if (key.endsWith(".best") && metrics.has(key.slice(0, -5))) return metrics.get(key.slice(0, -5)).best;
  return { id: run.id, run: run.id, status: run.status, experiment: run.experiment, study: run.study }[key];
}

function textOf(run) {
  return run.text ??= [run.id, run.status, run.experiment, run.duration, run.started, run.study ?? "", JSON.stringify(run.config)].join(" ").toLowerCase();
}

const commonText = new Map(Object.entries(data.common).map(([name, config]) => [name, JSON.stringify(config).toLowerCase()]));

// A test of runs, by one word of the filter.
function tester(word) {
  const condition = word.match(/^([^=<>]+)(=|<|>)(.*)$/);
  if (!condition) {
    const asked = word.toLowerCase();
    const everywhere = new Set([...commonText].filter(([, text]) => text.includes(asked)).map(([name]) => name));
    return run => everywhere.has(run.experiment) || textOf(run).includes(asked);
  }
  const [, key, sign, wanted] = condition, number = Number(wanted), lower = wanted.toLowerCase();
  return run => {
    const value = lookUp(run, key);
    if (value === undefined || value === null) return false;
    if (sign === "=") return say(value).toLowerCase() === lower || String(value).toLowerCase() === lower;
    return sign === "<" ? value < number : value > number;
  };
}

const empty = value => value === null || value === undefined || value === "";

function compare(a, b, down) {
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  if (typeof a === "number" && typeof b === "number") return down ? b - a : a - b;
  return (down ? -1 : 1) * words.compare(say(a), say(b));
}

function sortedRuns(runs) {
  const { value } = columns.find(column => column.name === sorting.name) ?? columns[0];
  return runs.map(run => [value(run), run]).sort(([a, one], [b, other]) => compare(a, b, sorting.down) || other.index - one.index).map(([, run]) => run);
}

function matching() {
  const tests = byId("filter").value.trim().split(/\s+/).filter(Boolean).map(tester);
  return data.runs.filter(run => tests.every(test => test(run)));
}

function showKinds(runs) {
  const counts = data.kinds.map((each, at) => runs.reduce((sum, run) => sum + (run.kind === at), 0));
  byId("kinds").hidden = data.kinds.length < 2;
  byId("kinds").replaceChildren(...data.kinds.map((each, at) => element("button", {
    "aria-pressed": String(each === kind), onclick: () => { kind = each; sorting = { name: "run", down: true }; showTable(true); },
  }, `${each.name} ${counts[at]}`)));
}

function showTable(fromStart = false) {
  const asked = matching(), at = data.kinds.indexOf(kind), all = data.runs.filter(run => run.kind === at);
  columns = columnsOf(kind).map(column => measured(column, all));
  found = sortedRuns(asked.filter(run => run.kind === at));
  byId("count").textContent = asked.length === data.runs.length ? `${asked.length} runs` : `${asked.length} of ${data.runs.length} runs`;
  byId("unset-count").textContent = data.kinds.reduce((most, each) => most + each.unset.length, 0);
  showKinds(asked);
  table.setAttribute("aria-rowcount", found.length + 1);
  byId("widths").replaceChildren(...[30, ...columns.map(column => column.width)].map(width => {
    const made = element("col");
    made.style.width = `${width + 22}px`;
    return made;
  }));
  table.tHead.replaceChildren(element("tr", {}, element("th", { title: "in the curves" }, "∿"), ...columns.map(headOf)));
  active = Math.min(fromStart ? 0 : active, Math.max(0, found.length - 1));
  if (fromStart) room.scrollTop = 0;
  showRows();
}

function headOf(column) {
  const down = column.name === sorting.name ? sorting.down : null;
  const head = element("th", { class: column.numeric ? "number" : "", title: column.name, scope: "col" }, element("button", {
    onclick: () => {
      sorting = { name: column.name, down: down === null ? column.numeric : !down };
      showTable(true);
      [...table.tHead.querySelectorAll("button")].find(each => each.dataset.name === column.name)?.focus();
    },
  }, column.name + (down === null ? "" : down ? " ▾" : " ▴")));
  head.firstChild.dataset.name = column.name;
  if (down !== null) head.setAttribute("aria-sort", down ? "descending" : "ascending");
  return head;
}

// Of ten thousand rows those near the ones that are seen.
function showRows(again = true) {
  const seen = Math.ceil((room.clientHeight || 600) / rowHeight);
  const first = Math.max(0, Math.min(Math.floor(room.scrollTop / rowHeight), found.length - seen) - BEYOND);
  const last = Math.min(found.length, first + seen + 2 * BEYOND);
  byId("above").style.height = first * rowHeight + "px";
  byId("below").style.height = (found.length - last) * rowHeight + "px";
  byId("rows").replaceChildren(...found.slice(first, last).map((run, at) => rowOf(run, first + at)));
  const height = byId("rows").getBoundingClientRect().height / Math.max(1, last - first);
  if (again && height && Math.abs(height - rowHeight) > 0.02) { rowHeight = height; showRows(false); }
}

function rowOf(run, place) {
  const box = element("input", {
    type: "checkbox", checked: chosen.has(run.index), tabIndex: -1, "aria-label": "run " + run.id,
    onclick: event => { event.stopPropagation(); choose(run.index, event.target.checked); },
  });
  const row = element("tr", {
    "aria-rowindex": place + 2,
    class: [chosen.has(run.index) && "chosen", opened === run.index && "open", place === active && "active"].filter(Boolean).join(" "),
    onclick: () => { active = place; openRun(run.index); },
  }, element("td", {}, box), ...columns.map(column => {
    const text = cellOf(column, run);
    if (column.name === "status") return element("td", { class: run.status, title: [text, ...run.warnings].join("\n") }, text + (run.warnings.length ? " ⚠" : ""));
    return element("td", { class: column.numeric ? "number" : "", title: text }, text);
  }));
  if (place === active) row.id = "active";
  return row;
}

function openRun(index) {
  opened = index;
  showRows();
  showRun();
  byId("run").scrollIntoView({ behavior: "smooth" });
}

function choose(index, yes) {
  if (yes) chosen.add(index); else chosen.delete(index);
  showRows();
  showChosen();
}

function chooseOnly(indices) {
  chosen.clear();
  for (const index of indices) chosen.add(index);
  showRows();
  showChosen();
}

function showChosen() {
  showComparison();
  showCurves();  // with a mark where the comparison is
  showDifferences();
}

function moveTo(place) {
  active = Math.max(0, Math.min(found.length - 1, place));
  const head = table.tHead.offsetHeight, top = active * rowHeight;
  if (top < room.scrollTop) room.scrollTop = top;
  else if (top + rowHeight + head > room.scrollTop + room.clientHeight) room.scrollTop = top + rowHeight + head - room.clientHeight;
  showRows();
}

const keys = {
  ArrowDown: () => moveTo(active + 1), ArrowUp: () => moveTo(active - 1),
  PageDown: () => moveTo(active + Math.floor(room.clientHeight / rowHeight) - 2),
  PageUp: () => moveTo(active - Math.floor(room.clientHeight / rowHeight) + 2),
  Home: () => moveTo(0), End: () => moveTo(found.length - 1),
  Enter: () => found.length && openRun(found[active].index),
  " ": () => found.length && choose(found[active].index, !chosen.has(found[active].index)),
};
room.addEventListener("keydown", event => {
  if (event.target !== room || !keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
let due = 0;
room.addEventListener("scroll", () => { due ||= requestAnimationFrame(() => { due = 0; showRows(false); }); });
