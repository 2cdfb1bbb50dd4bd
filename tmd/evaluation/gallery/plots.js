"use strict";
// One metric of all images: two systems against each other, and how far they are apart.
const PLOT = { width: 540, height: 380, left: 52, right: 12, top: 10, bottom: 40 };

function ticks(low, high, about = 6) {
  const rough = (high - low) / about || 1, power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map(each => each * power).find(each => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / size); at * size <= high + 1e-9; at++) found.push(Number((at * size).toPrecision(12)));
  return found;
}

/** Axes over two ranges, and what places a point on them. */
function axes([left, right], [low, high], names) {
  const x = value => PLOT.left + (value - left) / (right - left || 1) * (PLOT.width - PLOT.left - PLOT.right);
  const y = value => PLOT.height - PLOT.bottom - (value - low) / (high - low || 1) * (PLOT.height - PLOT.top - PLOT.bottom);
  const text = (at, words, more = {}) => drawn("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, words);
  const made = drawn("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": names.join(" against ") });
  for (const value of ticks(left, right)) {
    made.append(drawn("path", { class: "axis", d: `M${x(value)} ${PLOT.top}V${PLOT.height - PLOT.bottom}` }), text([x(value), PLOT.height - PLOT.bottom + 15], String(value)));
  }
  for (const value of ticks(low, high)) {
    made.append(drawn("path", { class: "axis", d: `M${PLOT.left} ${y(value)}H${PLOT.width - PLOT.right}` }), text([PLOT.left - 6, y(value) + 4], String(value), { "text-anchor": "end" }));
  }
  made.append(text([(PLOT.left + PLOT.width) / 2, PLOT.height - 6], names[0]));
  made.append(text([0, 0], names[1], { transform: `translate(12 ${(PLOT.height - PLOT.bottom) / 2}) rotate(-90)` }));
  return { made, x, y };
}

function span(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)], room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

function showPlots() {
  const pick = (key, label) => element("label", { class: "dim" }, label, " ", (() => {
    const made = element("select", { "aria-label": label, onchange: event => { state[key] = event.target.value; change(); } });
    options(made, compared.map(name => [name, name]), state[key]);
    return made;
  })());
  const { label, unit, higher_is_better: up } = metrics.get(state.metric), title = `${label}${unit ? ` (${unit})` : ""}`;
  const points = chosenImages().map(image => ({ image, x: valueOf(image, state.against), y: valueOf(image, state.of) }))
    .filter(each => each.x !== null && each.y !== null);
  const better = points.filter(each => gain(state.metric, each.y, each.x) > 0).length;
  byId("plots").replaceChildren(
    element("div", { class: "bar" }, pick("of", "of"), pick("against", "against"),
      element("span", {}, points.length && up !== null ? `${state.of} is better in ${better} of ${points.length} images` : "")),
    element("div", { class: "plots" }, ...(points.length ? [scatter(points, title), histogram(points, title)] : ["no image has both"])));
}

function scatter(points, title) {
  const range = span(points.flatMap(each => [each.x, each.y]));
  const { made, x, y } = axes(range, range, [`${title}, ${state.against}`, `${title}, ${state.of}`]);
  made.append(drawn("path", { class: "zero", d: `M${x(range[0])} ${y(range[0])}L${x(range[1])} ${y(range[1])}` }));
  for (const each of points) {
    const dot = drawn("circle", { cx: x(each.x), cy: y(each.y), r: 4, class: each.image === current() ? "now" : "" },
      drawn("title", {}, `${each.image.name}: ${said(state.metric, each.x)} → ${said(state.metric, each.y)}`));
    dot.addEventListener("click", () => choose(each.image));
    made.append(dot);
  }
  return element("figure", {}, element("h2", {}, "Image by image"), made);
}

function histogram(points, title) {
  const same = state.of === state.against, values = points.map(each => same ? each.y : each.y - each.x);
  const range = span(same ? values : [...values, 0]), count = Math.max(5, Math.min(30, Math.ceil(2 * Math.sqrt(values.length))));
  const bins = Array(count).fill(0), wide = (range[1] - range[0]) / count;
  for (const value of values) bins[Math.min(count - 1, Math.floor((value - range[0]) / wide))]++;
  const { made, x, y } = axes(range, [0, Math.max(...bins)], [same ? `${title}, ${state.of}` : `${title}, ${state.of} − ${state.against}`, "images"]);
  bins.forEach((number, at) => {
    const left = x(range[0] + at * wide);
    made.append(drawn("rect", { x: left + 0.5, y: y(number), width: Math.max(1, x(range[0] + (at + 1) * wide) - left - 1), height: y(0) - y(number) },
      drawn("title", {}, `${number} images`)));
  });
  if (!same) made.append(drawn("path", { class: "zero", d: `M${x(0)} ${PLOT.top}V${PLOT.height - PLOT.bottom}` }));
  return element("figure", {}, element("h2", {}, same ? "Distribution" : "Distribution of the differences"), made);
}
