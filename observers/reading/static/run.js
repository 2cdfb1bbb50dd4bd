// Differences, and one run -----------------------------------------------------------------------

function rows(entries) {
  return element("table", {}, element("tbody", {}, ...entries.map(([key, ...values]) =>
    element("tr", {}, element("th", { scope: "row" }, key), ...values.map(value => element("td", { title: say(value) }, say(value)))))));
}

const hiddenNote = count => element("p", { class: "dim" },
  `${count} more that nobody set: `, element("button", { onclick: () => byId("unset").click() }, "show"));

function differencesOf(runs) {
  // An experiment that has no such key differs in none: an evaluation is not another training.
  const configs = runs.map(configOf), known = new Map();
  runs.forEach((run, at) => known.set(run.experiment, new Set([...known.get(run.experiment) ?? [], ...Object.keys(configs[at])])));
  const keys = [...new Set([...known.values()].flatMap(each => [...each]))];
  const differing = keys.filter(key => new Set(runs.flatMap((run, at) => known.get(run.experiment).has(key) ? [JSON.stringify(configs[at][key])] : [])).size > 1);
  const given = differing.filter(key => runs.some(run => isGiven(run, key)));
  return { shown: unsetShown() ? differing : given, hidden: unsetShown() ? 0 : differing.length - given.length };
}

function differencesTable(runs) {
  const { shown, hidden } = differencesOf(runs);
  return [
    shown.length ? rows([["run", ...runs.map(run => run.id)], ...shown.map(key => [key, ...runs.map(run => configValue(run, key))])])
      : element("p", { class: "dim" }, hidden ? "what was set is the same" : "the chosen runs have the same config"),
    ...(hidden ? [hiddenNote(hidden)] : []),
  ];
}

function showDifferences() {
  const runs = chosenRuns();  // of two, the comparison shows them
  byId("differences").replaceChildren(...(runs.length < 3 ? [] : [element("h2", {}, "Config differences"), ...differencesTable(runs)]));
}

function sheetFigures(sheets) {
  return element("div", { class: "sheets" }, ...sheets.map(sheet => element("figure", {},
    element("a", { href: sheet.source }, element("img", { src: sheet.source, alt: sheet.name, loading: "lazy" })),
    element("figcaption", {}, sheet.name))));
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
  const pages = more.artifacts.filter(({ name, link }) => link && /\.html?$/.test(name));
  parts.push(rows(summary), ...pages.map(({ name, link }) => element("p", { class: "page" }, element("a", { href: link }, `open ${name}`))));
  if (metricsOf(run).size) {
    titled("Metrics", rows([["", "last", "at", "best", "at"], ...[...metricsOf(run)].map(([name, each]) =>
      [name, each.last, each.last_step, each.best, each.best_step])]));
  }
  if (more.sheets.length) titled("Sheets", sheetFigures(more.sheets));
  const config = Object.entries(configOf(run)), given = config.filter(([key]) => isGiven(run, key));
  titled(unsetShown() ? "Config" : "Config, as it was set", rows(unsetShown() ? config : given));
  if (!unsetShown() && given.length < config.length) parts.push(hiddenNote(config.length - given.length));
  if (more.artifacts.length) {
    titled("Artifacts", element("ul", {}, ...more.artifacts.map(artifact => element("li", {},
      artifact.link ? element("a", { href: artifact.link }, artifact.name) : artifact.name, " ", element("span", { class: "dim" }, artifact.size)))));
  }
  if (Object.keys(more.info).length) titled("Info", element("pre", {}, JSON.stringify(more.info, null, 2)));
  if (more.trace) titled("What it failed with", element("pre", {}, more.trace));
  titled("Output", element("pre", {}, more.output || (more.known ? "none" : "not in this page, nor its curves: it holds those of the newest runs")));
  if (more.output_link) parts.push(element("a", { href: more.output_link }, "all that was recorded of it"));
  section.replaceChildren(...parts);
}
