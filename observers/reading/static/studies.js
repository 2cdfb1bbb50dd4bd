// Studies --------------------------------------------------------------------------------------

const MOST_TRIALS = 1000;  // rows at once: what a browser lays out in a moment
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
  const trials = [...kept].sort((a, b) => compare(by(a), by(b), trialsBy.down)).slice(0, MOST_TRIALS);
  byId("trials").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...shown.map((axis, at) => element("th", {
    onclick: () => { trialsBy = { column: at, down: trialsBy.column === at ? !trialsBy.down : true }; showStudy(); },
  }, axis.name + (trialsBy.column === at ? (trialsBy.down ? " ▾" : " ▴") : ""))))),
  element("tbody", {}, ...trials.map(trial => element("tr", {
    title: "draw its runs' curves",
    onclick: () => { chooseOnly(trial[3]); byId("curves").scrollIntoView({ behavior: "smooth" }); },
  }, ...shown.map(axis => {
    const spread = axis.spread?.(trial);
    return element("td", { class: "number" }, spread ? say(spread[0]) + (spread[1] === null ? "" : " ± " + say(Number(spread[1].toPrecision(2)))) : say(axis.value(trial)));
  }))))));
}

