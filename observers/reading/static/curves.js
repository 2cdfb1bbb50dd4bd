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
    const key = byId("bands").checked && !comparing && repeatOf.has(run.index) ? repeatOf.get(run.index) : "run " + run.index;
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
  const marked = markedStep();
  if (marked >= left && marked <= right) picture.append(drawn("line", { class: "mark", x1: x(marked), x2: x(marked), y1: margin.top, y2: height - margin.bottom }));
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

