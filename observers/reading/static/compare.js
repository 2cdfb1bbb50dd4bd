// Two runs compared ----------------------------------------------------------------------------
// One slider, over the iterations of their sheets, or else of their curves, moves pictures, values
// and a mark in the curves. Evaluations have no iterations: it goes over their common pictures.

let comparing = null;

const stepOf = name => { const found = name.match(/^sheet_(\d+)\./); return found ? Number(found[1]) : null; };
const inOrder = values => [...new Set(values)].sort((a, b) => a - b);

function momentsOf(runs) {
  const sheets = runs.map(run => detail(run.index).sheets);
  const steps = inOrder(sheets.flat().map(sheet => stepOf(sheet.name)).filter(step => step !== null));
  if (steps.length) return { steps: true, all: steps };
  const names = sheets.map(each => each.map(sheet => sheet.name));
  const both = names[0].filter(name => names[1].includes(name));
  if (both.length) return { steps: false, all: both.sort(words.compare) };
  const curves = runs.flatMap(run => Object.values(detail(run.index).curves));
  return { steps: true, all: inOrder(curves.flatMap(([at]) => at)) };
}

function sheetAt(run, moment) {
  const sheets = detail(run.index).sheets;
  if (typeof moment === "string") return sheets.find(sheet => sheet.name === moment);
  const by = sheets.filter(sheet => stepOf(sheet.name) !== null && stepOf(sheet.name) <= moment);
  return by.reduce((last, sheet) => !last || stepOf(sheet.name) > stepOf(last.name) ? sheet : last, undefined);
}

function valueAt(run, metric, moment) {
  const [steps, values] = detail(run.index).curves[metric] ?? [[], []];
  if (typeof moment === "string" || moment === undefined) return metricOf(run, metric)?.last;
  for (let at = steps.length - 1; at >= 0; at--) if (steps[at] <= moment && values[at] !== null) return values[at];
  return undefined;
}

const momentShown = () => comparing?.moments.all[Number(byId("at").value)];
const markedStep = () => comparing?.moments.steps ? momentShown() : undefined;

function showComparison() {
  const runs = chosenRuns(), two = runs.length === 2;
  byId("compare").hidden = byId("moment").hidden = !two;
  const pair = runs.map(run => run.index).join();
  if (comparing?.pair !== pair) {
    comparing?.zoom.remove();
    comparing = two ? begun(runs, pair) : null;
  }
  if (two) showMoment();
}

function begun(runs, pair) {
  const moments = momentsOf(runs);
  const pictures = runs.map(run => element("img", { alt: "run " + run.id }));
  const zoom = new SharedZoom();
  for (const picture of pictures) picture.addEventListener("load", () => zoom.setSize(picture.naturalWidth, picture.naturalHeight));
  const last = Math.max(0, moments.all.length - 1);
  Object.assign(byId("at"), { min: 0, max: last, value: last, disabled: last === 0 });
  const frames = element("div", { class: "frames", tabIndex: 0, role: "group", "aria-label": "pictures: + and - zoom, 0 fits, arrows move" });
  frames.addEventListener("keydown", event => { if (event.target === frames && zoom.key(event)) event.preventDefault(); });
  const said = element("p", { class: "dim" }), values = element("div"), differences = element("div");
  byId("compare").replaceChildren(element("h2", {}, `Runs ${runs[0].id} and ${runs[1].id} compared`), frames, said,
    element("div", { class: "columns" }, values, differences));
  const made = { pair, runs, moments, pictures, zoom, frames, said, values, differences };
  layPictures(made);
  return made;
}

function layPictures({ pictures, zoom, frames }) {
  zoom.remove();
  const beside = byId("beside").checked, made = (beside ? pictures : [0]).map(() => element("div", { class: "frame" }));
  frames.replaceChildren(...made);
  if (beside) made.forEach((frame, at) => { frame.append(pictures[at]); zoom.add(frame, pictures[at]); });
  else {
    new BeforeAfter(made[0], ...pictures, { label: "left of the line the first run, right of it the second" });
    zoom.add(made[0], ...pictures);
  }
  for (const picture of pictures) picture.style.clipPath = "";
}

function showMoment() {
  const { runs, moments, pictures, frames, said, values, differences } = comparing, moment = momentShown();
  byId("moment-name").textContent = moments.steps ? "iteration" : "picture";
  byId("moment-said").textContent = say(moment);
  byId("at").setAttribute("aria-valuetext", say(moment));
  const sheets = runs.map(run => sheetAt(run, moment));
  frames.hidden = !sheets.some(Boolean);
  sheets.forEach((sheet, at) => {
    pictures[at].style.visibility = sheet ? "" : "hidden";
    if (sheet && pictures[at].getAttribute("src") !== sheet.source) pictures[at].src = sheet.source;
  });
  said.textContent = runs.map((run, at) => `${at ? "right" : "left"}: run ${run.id}, ${sheets[at]?.name ?? "no sheet by then"}`).join("; ");
  const names = inPlaceOf(runs);
  values.replaceChildren(element("h3", {}, "Metrics"), rows([["", ...runs.map(run => "run " + run.id), "difference"], ...names.map(name => {
    const [a, b] = runs.map(run => valueAt(run, name, moment));
    return [name, a, b, empty(a) || empty(b) ? null : b - a];
  })]));
  differences.replaceChildren(element("h3", {}, "Config differences"), ...differencesTable(runs));
}

// The metrics of either run, those that say most first.
function inPlaceOf(runs) {
  const names = runs.flatMap(run => [...metricsOf(run).keys()]);
  const first = data.kinds[runs[0].kind].main_metrics.filter(name => names.includes(name));
  return [...new Set([...first, ...names])];
}

byId("at").addEventListener("input", () => { showMoment(); showCurves(); });
byId("beside").addEventListener("input", () => layPictures(comparing));
