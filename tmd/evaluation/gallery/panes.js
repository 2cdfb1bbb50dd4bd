"use strict";
// The systems' pictures of one image: side by side, one, two with a slider, or their differences.
const zoom = new SharedZoom({ onchange: viewChanged });
let slider = null;
let panes = [];  // those that are shown: { name, canvas, frame }
let asked = 0;
let restoring = true;  // the view comes from the address

function viewChanged(view) {
  state.view = view;
  byId("factor").textContent = view.zoom >= 0.995 ? `${rounded(view.zoom, 2)}:1` : `1:${rounded(1 / view.zoom, 2)}`;
  placeCrop();
  remember();
}

const shownSystems = () => systems.map(each => each.name).filter(name => !state.hide.includes(name));

function namesOfPanes() {
  if (state.mode === "flip") return [state.one];
  if (state.mode === "slider") return [state.a, state.b];
  const names = shownSystems();
  return state.mode === "difference" ? names.filter(name => name !== state.reference) : names;
}

/** Show the current image as the state says; its pictures come when they are decoded. */
async function showPanes() {
  const image = current(), turn = ++asked;
  document.body.dataset.shown = "";
  showBar();
  let pictures;
  try {
    pictures = await picturesOf(image);
  } catch (problem) {
    if (turn === asked) byId("frames").replaceChildren(element("p", { id: "problem" }, problem.message));
    return;
  }
  if (turn !== asked) return;
  zoom.remove();
  zoom.setPixelated(!state.smooth);
  slider = null;
  const names = namesOfPanes().filter(name => pictures.has(name));
  byId("scale").replaceChildren();
  if (state.mode === "slider") showSlider(image, pictures, names);
  else showGrid(image, state.mode === "difference" ? differences(image, pictures, names) : names.map(name => ({ name, canvas: pictures.get(name) })));
  zoom.setSize(image.width, image.height);
  if (restoring) restore(image);
  placeCrop();
  byId("caption").textContent = image.caption;
  document.body.dataset.shown = `${image.key} ${state.mode}`;
  prepareNext(image);
}

/** Show the zoom and the rectangle that the address names, as far as they lie in the image. */
function restore(image) {
  restoring = false;
  zoom.set(state.view ?? { fitted: true });
  if (!state.crop) return;
  const [x, y, width, height] = state.crop;
  state.crop = rectangle({ x, y }, { x: x + width, y: y + height }, image);
}

/** Decode the image that is likely to come next, where there is room for both. */
function prepareNext(image) {
  const next = neighbour(1);
  if (!next || 3 * pixelCount(image) > KEPT_PIXELS || 3 * pixelCount(next) > KEPT_PIXELS) return;
  setTimeout(() => { if (image === current()) picturesOf(next).catch(() => {}); }, 100);
}

function caption(image, name, label = name) {
  const figures = element("span", { class: "figures" });
  if (columns.has(name)) {
    for (const [metric, { label, unit }] of metrics) {
      const value = valueOf(image, name, metric);
      if (value === null) continue;
      const change = metric !== state.metric || !state.baseline || name === state.baseline ? null : delta(metric, value, valueOf(image, state.baseline, metric));
      figures.append(element("span", { title: label }, element("small", { class: "dim" }, metric === state.metric ? "" : label + " "),
        said(metric, value), element("small", { class: "unit" }, unit ? " " + unit : ""), ...(change ? [" ", change] : [])));
      if (metric === state.metric) figures.prepend(figures.lastChild);
    }
  }
  return element("figcaption", {}, element("b", { title: label }, label), figures);
}

function pane(image, { name, label }, ...canvases) {
  const frame = element("div", { class: "frame" }, ...canvases);
  frame.addEventListener("pointermove", event => showPixel(frame, event));
  frame.addEventListener("pointerleave", () => { byId("pixel").textContent = ""; });
  return { frame, figure: element("figure", {}, caption(image, name, label), frame) };
}

function showGrid(image, given) {
  panes = given.map(each => ({ ...each, ...pane(image, each, each.canvas) }));
  const room = byId("frames"), across = bestColumns(panes.length, room.clientWidth, room.clientHeight, image);
  room.style.gridTemplate = `repeat(${Math.ceil(panes.length / across) || 1}, minmax(0, 1fr)) / repeat(${across}, minmax(0, 1fr))`;
  room.replaceChildren(...panes.map(each => each.figure));
  for (const { frame, canvas } of panes) zoom.add(frame, canvas);
}

/** The number of columns in which the image is shown largest. */
function bestColumns(count, width, height, image) {
  let best = 1, most = 0;
  for (let across = 1; across <= count; across++) {
    const down = Math.ceil(count / across);
    const factor = Math.min(width / across / image.width, (height / down - 26) / image.height);
    if (factor > most * 1.001) [best, most] = [across, factor];
  }
  return best;
}

function showSlider(image, pictures, names) {
  const [first, second] = names.map(name => pictures.get(name));
  const after = second === first ? copied(first) : second;
  const { frame } = pane(image, { name: names[0] });
  slider = new BeforeAfter(frame, first, after, {
    at: state.at, label: `${names[0]} left, ${names[1]} right`, onchange: at => { state.at = at; remember(); },
  });
  panes = [{ name: names[0], canvas: first, frame }, { name: names[1], canvas: after, frame }];
  const captions = element("div", { style: "display:grid;grid-template-columns:1fr 1fr" }, ...names.map(name => caption(image, name)));
  const room = byId("frames");
  room.style.gridTemplate = "minmax(0, 1fr) / minmax(0, 1fr)";
  room.replaceChildren(element("figure", {}, captions, frame));
  zoom.add(frame, first, after);
}

function copied(canvas) {
  const made = element("canvas", { width: canvas.width, height: canvas.height });
  made.getContext("2d", { willReadFrequently: true }).drawImage(canvas, 0, 0);
  return made;
}

function differences(image, pictures, names) {
  const maps = names.map(name => difference(pictures.get(name), pictures.get(state.reference), state.kind));
  const scale = state.range === "auto" ? commonScale(maps) : Number(state.range);
  const [low, high] = ends(state.kind, scale, image);
  byId("scale").replaceChildren(low, colourBar(state.kind), high, element("span", { class: "dim" }, MEANING[state.kind]));
  byId("scale").title = `each minus ${state.reference}`;
  return names.map((name, at) => ({
    name, label: `${name} − ${state.reference}`, canvas: paint(maps[at], state.kind, scale), map: maps[at],
  }));
}

function showPixel(frame, event) {
  const image = current(), place = zoom.placeAt(frame, event), [x, y] = [Math.floor(place.x), Math.floor(place.y)];
  const found = panes.filter(each => each.frame === frame);
  if (x < 0 || y < 0 || x >= image.width || y >= image.height || !found.length) {
    byId("pixel").textContent = "";
    return;
  }
  const texts = found.map(({ name: of, canvas, map }) => {
    const [px, py] = [Math.floor(x * canvas.width / image.width), Math.floor(y * canvas.height / image.height)];
    if (map) return `${of} − ${state.reference} ${rounded(map.found[py * map.width + px], 1)}`;
    return `${of} ${canvas.getContext("2d", { willReadFrequently: true }).getImageData(px, py, 1, 1).data.slice(0, 3).join(" ")}`;
  });
  byId("pixel").textContent = `${x}, ${y} · ${texts.join(" · ")}`;
}

// The bar above --------------------------------------------------------------------------------

function showBar() {
  for (const button of byId("modes").children) button.setAttribute("aria-pressed", button.value === state.mode);
  byId("pair").hidden = state.mode !== "slider";
  byId("difference").hidden = state.mode !== "difference";
  byId("chips").hidden = state.mode === "slider";
  const names = systems.map(each => [each.name, each.name]);
  for (const key of ["a", "b", "reference"]) options(byId(key), names, state[key]);
  const image = current();
  options(byId("range"), [["auto", "by the images"], ...SCALES.map(each => [String(each), ends("absolute", each, image)[1]])], state.range);
  byId("kind").value = state.kind;
  byId("smooth").checked = state.smooth;
  byId("chips").replaceChildren(...systems.map(({ name }, at) => element("button", {
    "aria-pressed": String(state.mode === "flip" ? state.one === name : !state.hide.includes(name)),
    onclick: () => chooseSystem(name),
  }, ...(at < 9 ? [element("kbd", {}, String(at + 1))] : []), name)));
}

/** In the mode that shows one system, show this one; else show it or hide it. */
function chooseSystem(name) {
  if (state.mode === "flip") state.one = name;
  else if (state.mode === "slider") return;
  else {
    const hide = state.hide.includes(name) ? state.hide.filter(each => each !== name) : [...state.hide, name];
    if (hide.length < systems.length) state.hide = hide;
  }
  change();
}
