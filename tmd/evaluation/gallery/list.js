"use strict";
// The images by name, benchmark and metric: beside the pictures, and as a table of all figures.
let order = { column: null, down: true };  // of the table
let asDeltas = false;

const groupOf = image => `${image.benchmark} ×${image.scale}`;

function keyOf(image) {
  const value = valueOf(image, state.of);
  if (state.sort === "worst" || state.sort === "best") {
    if (value === null) return null;
    return gain(state.metric, value, 0) * (state.sort === "worst" ? 1 : -1);
  }
  const other = valueOf(image, state.against);
  if (value === null || other === null) return null;
  return state.sort === "gap" ? -Math.abs(value - other) : gain(state.metric, value, other);
}

function chosenImages() {
  const asked = state.filter.trim().toLowerCase().split(/\s+/).filter(Boolean);
  return images.filter(image => (!state.from || groupOf(image) === state.from) &&
    asked.every(word => `${image.name} ${groupOf(image)}`.toLowerCase().includes(word)));
}

function sortedImages() {
  const found = chosenImages();
  if (state.sort === "name") return found.sort((a, b) => words.compare(a.name, b.name));
  const keys = new Map(found.map(image => [image, keyOf(image)]));
  const empty = image => keys.get(image) === null;
  return found.sort((a, b) => empty(a) - empty(b) || keys.get(a) - keys.get(b) || a.number - b.number);
}

function showList() {
  const found = sortedImages(), now = current(), several = new Set(images.map(groupOf)).size > 1;
  const pairs = state.sort === "gap" || state.sort === "behind", other = pairs ? state.against : state.baseline;
  byId("list").replaceChildren(...found.map(image => {
    const value = valueOf(image, state.of);
    const change = other && other !== state.of ? delta(state.metric, value, valueOf(image, other)) : null;
    if (change) change.title = `to ${other}`;
    return element("li", { role: "option", "aria-selected": String(image === now), title: image.key, onclick: () => choose(image) },
      element("img", { src: image.thumb, loading: "lazy", alt: "" }),
      element("div", { class: "name" }, image.name, element("br"), element("small", { class: "dim" }, several ? groupOf(image) : `${image.width} × ${image.height}`)),
      element("div", { class: "figure" }, said(state.metric, value), element("br"), change ?? ""));
  }));
  const mean = meanOf(found, state.of, state.metric), { label, unit } = metrics.get(state.metric);
  byId("count").textContent = `${found.length === images.length ? "" : `${found.length} of `}${images.length} images · ${label} ${said(state.metric, mean)} ${unit} by ${state.of}`;
  byId("list").querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
}

function choose(image) {
  if (image !== current()) state.crop = null;
  state.image = image.key;
  state.tab = "images";
  change();
}

/** The next image of the list, or the one before; the first where the current one is not in it. */
function neighbour(by) {
  const found = sortedImages(), at = found.indexOf(current());
  return found[at < 0 ? 0 : Math.max(0, Math.min(found.length - 1, at + by))];
}

function step(by) {
  const next = neighbour(by);
  if (next) choose(next);
}

function showOrder() {
  const names = compared.map(name => [name, name]), groups = [...new Set(images.map(groupOf))];
  options(byId("benchmark"), [["", "all benchmarks"], ...groups.map(each => [each, each])], state.from);
  byId("benchmark-label").hidden = byId("benchmark").hidden = groups.length < 2;
  options(byId("metric"), [...metrics.values()].map(({ name, label, higher_is_better: up }) => [name, label + (up === null ? "" : up ? " ↑" : " ↓")]), state.metric);
  options(byId("sort"), Object.entries(SORTS), state.sort);
  options(byId("of"), names, state.of);
  options(byId("against"), names, state.against);
  options(byId("baseline"), [...names, ["", "none"]], state.baseline);
  byId("against-label").hidden = byId("against").hidden = !["gap", "behind"].includes(state.sort);
  if (byId("filter").value !== state.filter) byId("filter").value = state.filter;
}

// The table ------------------------------------------------------------------------------------

function showFigures() {
  const found = chosenImages(), cells = [...metrics.keys()].flatMap(metric => compared.map(system => ({ metric, system })));
  const sign = at => order.column === at ? (order.down ? " ▾" : " ▴") : "";
  const sortBy = (column, down) => () => {
    order = { column, down: order.column === column ? !order.down : down };
    showFigures();
  };
  if (order.column !== null) {
    const value = order.column < 0 ? null : image => valueOf(image, cells[order.column].system, cells[order.column].metric);
    found.sort((a, b) => {
      if (!value) return (order.down ? -1 : 1) * words.compare(a.name, b.name);
      const [x, y] = [value(a), value(b)];
      return (x === null) - (y === null) || (order.down ? y - x : x - y);
    });
  }
  const head = [
    element("tr", {}, element("th", { class: "text" }), ...data.metrics.map(({ label, unit, higher_is_better: up }) => element("th", {
      colSpan: compared.length, class: "text first",
    }, label, element("span", { class: "unit" }, `${unit ? " " + unit : ""}${up === null ? "" : up ? " ↑" : " ↓"}`)))),
    element("tr", {}, element("th", { class: "text", onclick: sortBy(-1, false) }, "image" + sign(-1)), ...cells.map(({ metric, system }, at) => element("th", {
      class: system === compared[0] ? "first" : "", onclick: sortBy(at, metrics.get(metric).higher_is_better === false),
    }, system + sign(at)))),
  ];
  const line = (name, get, properties) => element("tr", properties, element("td", { class: "text" }, name), ...cells.map(({ metric, system }) => {
    const value = get(system, metric), all = compared.map(each => get(each, metric)).filter(each => each !== null);
    const best = all.length > 1 && value !== null && all.every(each => gain(metric, value, each) >= 0) && metrics.get(metric).higher_is_better !== null;
    const change = asDeltas && state.baseline && system !== state.baseline ? delta(metric, value, get(state.baseline, metric)) : null;
    return element("td", { class: (best ? "best " : "") + (system === compared[0] ? "first" : "") }, change ?? said(metric, value));
  }));
  const groups = new Set(images.map(groupOf)).size > 1;
  byId("figures").replaceChildren(
    element("div", { class: "bar" },
      element("label", {}, element("input", { type: "checkbox", checked: asDeltas, onchange: event => { asDeltas = event.target.checked; showFigures(); } }), ` as differences to ${state.baseline || "the baseline"}`),
      element("button", { onclick: event => copy(asText(found, cells), event.target) }, "copy as CSV"),
      element("span", { class: "dim" }, data.convention)),
    element("div", { class: "scroll" }, element("table", {}, element("thead", {}, ...head), element("tbody", {},
      line(`mean of ${found.length}`, (system, metric) => meanOf(found, system, metric), { class: "mean" }),
      ...found.map(image => line(groups ? `${image.name} · ${groupOf(image)}` : image.name, (system, metric) => valueOf(image, system, metric), { onclick: () => choose(image) }))))));
}

function asText(found, cells) {
  const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = [["benchmark", "scale", "image", ...cells.map(({ metric, system }) => `${metric} ${system}`)]];
  for (const image of found) lines.push([image.benchmark, image.scale, image.name, ...cells.map(({ metric, system }) => valueOf(image, system, metric) ?? "")]);
  return lines.map(line => line.map(each => quoted(String(each))).join(",")).join("\n") + "\n";
}
