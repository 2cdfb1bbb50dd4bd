"use strict";
// What is clicked and typed, and the parts of the page that follow.
const KEYS = [
  ["j k", "next image, the one before"], ["a o w d", "side by side, one system, slider, differences"],
  ["1 … 9", "show that system, or hide it"], ["x", "swap the slider's systems"], ["+ − 0 z", "zoom in, out, fit, 1:1"],
  ["← ↑ → ↓", "pan"], ["i", "squares or interpolation past 1:1"], ["c", "choose a rectangle; also Shift and drag"],
  ["s", "save a strip of what is shown"], ["l", "copy the address of this view"], ["/", "filter"], ["Esc", "forget the rectangle"],
];
const MODE_KEYS = { a: "side", o: "flip", w: "slider", d: "difference" };
const ACTIONS = {
  j: () => step(1), k: () => step(-1), x: swap, z: () => zoom.set({ zoom: 1 }), i: () => { state.smooth = !state.smooth; change(); },
  c: () => setChoosing(!choosing), s: saveStrip, l: () => copy(address(), byId("link")), "/": () => byId("filter").focus(),
  "?": () => byId("keys").showModal(), Escape: () => { state.crop = null; setChoosing(false); placeCrop(); remember(); },
};

function swap() {
  [state.a, state.b, state.at] = [state.b, state.a, 1 - state.at];
  change();
}

/** Show the state, all of it or only the list, and keep it in the address. */
function change() {
  for (const button of byId("tabs").children) button.setAttribute("aria-pressed", button.value === state.tab);
  for (const name of Object.keys(TABS)) byId(name).hidden = name !== state.tab;
  if (!state.image || !images.some(each => each.key === state.image)) state.image = (sortedImages()[0] ?? images[0]).key;
  showOrder();
  showList();
  if (state.tab === "images") showPanes();
  if (state.tab === "figures") showFigures();
  if (state.tab === "plots") showPlots();
  remember();
}

function showSystems() {
  const copied = text => element("button", { onclick: event => copy(text, event.target) }, "copy");
  const block = text => element("div", { style: "display:flex;gap:8px;align-items:flex-start" }, element("pre", {}, text), copied(text));
  byId("systems").replaceChildren(
    element("div", { class: "system" }, element("h2", {}, "This evaluation"), element("p", { class: "dim" }, data.convention), block(data.command),
      element("details", {}, element("summary", {}, "config"), block(JSON.stringify(data.config, null, 2)))),
    ...systems.map(({ name, source, command, config }) => element("div", { class: "system" },
      element("h2", {}, name, " ", element("span", { class: "dim" }, source)),
      element("div", { class: "bar" }, ...(columns.has(name) ? [...metrics.values()].map(({ name: metric, label, unit }) => element("span", {},
        element("span", { class: "dim" }, label + " "), said(metric, meanOf(images, name, metric)), " ", element("span", { class: "unit" }, unit), " ",
        (state.baseline && name !== state.baseline && delta(metric, meanOf(images, name, metric), meanOf(images, state.baseline, metric))) || "")) : []),
        ...data.sets.filter(each => each.system === name).map(each => element("span", { class: "of-set" },
          element("span", { class: "dim" }, `${each.label} of ${each.benchmark} `), shownAs(each, each.value), " ", element("span", { class: "unit" }, each.unit)))),
      ...(command ? [block(command)] : []),
      ...(config && Object.keys(config).length ? [element("details", {}, element("summary", {}, "config"), block(JSON.stringify(config, null, 2)))] : []))));
}

function begin() {
  byId("title").textContent = data.title;
  byId("about").textContent = `${data.convention} · ${data.made}`;
  const choice = (id, entries, key) => byId(id).replaceChildren(...Object.entries(entries).map(([value, text]) => element("button", {
    value, onclick: () => { state[key] = value; change(); },
  }, text)));
  choice("tabs", TABS, "tab");
  choice("modes", MODES, "mode");
  for (const key of ["metric", "sort", "of", "against", "baseline", "a", "b", "reference", "kind", "range"]) {
    byId(key).addEventListener("change", event => { state[key] = event.target.value; if (key === "baseline") showSystems(); change(); });
  }
  byId("benchmark").addEventListener("change", event => { state.from = event.target.value; change(); });
  byId("filter").addEventListener("input", event => { state.filter = event.target.value; change(); });
  byId("smooth").addEventListener("change", event => { state.smooth = event.target.checked; change(); });
  const click = (id, action) => byId(id).addEventListener("click", action);
  click("swap", swap);
  click("out", () => zoom.step(false));
  click("in", () => zoom.step(true));
  click("fit", () => zoom.fit());
  click("factor", () => zoom.set({ zoom: 1 }));
  click("choose", () => setChoosing(!choosing));
  click("link", event => copy(address(), event.target));
  click("strip", saveStrip);
  click("zoom-crop", zoomToCrop);
  click("clear", ACTIONS.Escape);
  click("help", ACTIONS["?"]);
  byId("keys").replaceChildren(element("h2", {}, "Keys"), element("table", {}, ...KEYS.map(([keys, text]) =>
    element("tr", {}, element("th", {}, element("kbd", {}, keys)), element("td", {}, text)))), element("form", { method: "dialog" }, element("button", {}, "close")));
  addEventListener("keydown", pressed);
  addEventListener("hashchange", () => { readFragment(); restoring = true; change(); });
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(change, 150); });
  readFragment();
  showSystems();
  change();
  document.body.dataset.ready = "yes";
}

function pressed(event) {
  if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const digit = Number(event.key) - 1;
  if (state.tab === "images" && (zoom.key(event) || (systems[digit] && (chooseSystem(systems[digit].name), true)))) event.preventDefault();
  else if (MODES[MODE_KEYS[event.key]]) { Object.assign(state, { mode: MODE_KEYS[event.key], tab: "images" }); change(); }
  else if (ACTIONS[event.key]) { event.preventDefault(); ACTIONS[event.key](); }
}

begin();
