// Begin ----------------------------------------------------------------------------------------

byId("store").textContent = data.store;
byId("made").textContent = "as of " + data.made + " UTC";
const firstShown = data.kinds.flatMap(each => each.main_metrics);
for (const name of new Set([...firstShown, ...data.metrics])) {
  byId("metrics").append(element("option", { value: name, selected: data.kinds[0].main_metrics.includes(name) }, name));
}
byId("filter").value = decodeURIComponent(location.hash.slice(1));
byId("filter").addEventListener("input", () => { history.replaceState(null, "", "#" + encodeURIComponent(byId("filter").value)); showTable(true); });
byId("unset").addEventListener("input", () => { showTable(); showComparison(); showDifferences(); showRun(); });
for (const id of ["metrics", "log", "smooth", "bands"]) byId(id).addEventListener("input", showCurves);
byId("none").addEventListener("click", () => chooseOnly([]));
if (data.studies.length) {
  byId("studies").hidden = false;
  for (const each of data.studies) byId("study").append(element("option", {}, `${each.name} (${each.experiment})`));
  byId("study").selectedIndex = data.studies.length - 1;
  byId("study").addEventListener("input", () => { brushes.clear(); showStudy(); });
}
addEventListener("resize", () => { showRows(); showStudy(); });
const first = data.runs.filter(run => run.kind === 0);
for (const run of first.slice(-5)) chosen.add(run.index);
if (first.length) opened = first.at(-1).index;
showTable();
showStudy();
showChosen();
showRun();
document.body.dataset.ready = Math.round(performance.now());
