from __future__ import annotations

import html
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

from browser import page_after_its_script, screenshot
from driver import Driver
from mongo_server import MongoServer
from PIL import Image
from populate import populate

from experiments import runs as runs_script
from observers import FileObserver, open_run, open_store
from observers.mongo.observer import MongoObserver
from observers.reading.listing import (
    Listed,
    differing_keys,
    flattened,
    listed,
    main_metrics,
    short,
    uncollected,
)
from observers.reading.page import _kept, write_page

HOSTILE = '</script><script>document.title="HACKED"</script><img src=x onerror=alert(1)>&"\'\u2028'


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id") or "code" if tag == "script" else None

    def handle_data(self, text: str) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + text

    def handle_endtag(self, tag: str) -> None:
        self._script = None


def hostile_store(root: Path) -> None:
    artifact = root.parent / "artifact"
    Image.new("RGB", (4, 4)).save(artifact, "png")
    observer = FileObserver(root)
    driver = Driver(observer, config={HOSTILE: HOSTILE, "note": HOSTILE})
    driver.log(5, name=HOSTILE)
    driver.info["text"] = HOSTILE
    driver.beat(said=HOSTILE)
    observer.artifact_event(HOSTILE + ".png", str(artifact))
    observer.artifact_event("javascript:alert(1).png", str(artifact))
    driver.complete(result=HOSTILE)


def test_differences_between_configs() -> None:
    configs = [
        flattened({"seed": 1, "scale": 4, "g": {"n": 16, "m": 1}, "new": None}),
        flattened({"seed": 2, "scale": 4, "g": {"n": 8, "m": 1}}),
    ]
    assert differing_keys(configs) == ["g.n", "new", "seed"]
    assert differing_keys(configs[:1]) == []


def test_an_experiment_without_a_key_differs_in_none() -> None:
    trainings = [{"scale": 4, "lr": 1e-3, "blocks": 8}, {"scale": 4, "lr": 1e-3, "blocks": 16}]
    configs = [*trainings, {}, {"scale": 4, "border": None}]
    names = ["srgan", "srgan", "srgan", "evaluate"]
    assert differing_keys(configs, names) == ["blocks"]
    assert differing_keys([*configs, {"scale": 2}], [*names, "evaluate"]) == [
        "scale",
        "blocks",
        "border",
    ]


def test_an_evaluation_beside_trainings_adds_no_column_and_no_difference(tmp_path: Path) -> None:
    populate(tmp_path, 4, points=5, names=3)
    entry = json.loads((tmp_path / "4" / "run.json").read_text())
    entry["experiment"]["name"] = "evaluate"
    (tmp_path / "4" / "run.json").write_text(json.dumps(entry))
    (tmp_path / "4" / "config.json").write_text(json.dumps({"seed": 4, "border": 4}))
    write_page(open_store(tmp_path), tmp_path / "index.html")
    data = json.loads(Elements((tmp_path / "index.html").read_text()).scripts["data"])
    trainings, evaluations = data["kinds"]
    assert trainings["differing"] == ["scale", "adv_weight", "seed"]
    assert evaluations["differing"] == []
    page = page_after_its_script((tmp_path / "index.html").as_uri())
    _, _, below = page.partition("Config differences")
    differences = below.partition("</section>")[0]
    assert re.findall(r'<th scope="row">([a-z_.]+)</th>', differences) == [
        "run",
        *trainings["differing"],
    ]
    seen = [{**data["common"][run["experiment"]], **run["config"]} for run in data["runs"]]
    assert seen == [flattened(run.config) for run in open_store(tmp_path)]


def test_what_is_listed_of_a_run(tmp_path: Path) -> None:
    populate(tmp_path, 7, points=20, names=3)
    runs = [listed(record) for record in open_store(tmp_path)]
    assert [run.id for run in runs] == list(range(1, 8))
    assert [run.status for run in runs][-1] == "FAILED"
    assert runs[0].duration == "0:03:20"
    assert main_metrics(runs) == ["validation.psnr", "validation.ssim", "train.content"]
    psnr, content = runs[0].metrics["validation.psnr"], runs[0].metrics["train.content"]
    assert psnr.best == psnr.last > 20
    assert (content.best_step, content.last_step) == (10, 200)  # less is better


def test_the_best_is_by_the_records_direction_else_the_registrys(tmp_path: Path) -> None:
    populate(tmp_path, 3, points=5, names=3)
    for number in (1, 2, 3):
        path = tmp_path / str(number) / "run.json"
        entry = json.loads(path.read_text())
        names = ("consistency", "lpips_alex", "loss_g", "novel", "psnr")
        entry["metric_summary"] = [
            {"name": f"validation.{name}", "last": 2.0, "last_step": 2}
            | {"min": 1.0, "min_step": 1, "max": 3.0, "max_step": 3}
            for name in names
        ]
        if number == 2:  # what a run's writer has kept with each
            for each in entry["metric_summary"]:
                each["higher_is_better"] = {"validation.psnr": False}.get(each["name"])
        path.write_text(json.dumps(entry))
    told = {"novel": {"higher_is_better": True}, "psnr": {"higher_is_better": False}}
    (tmp_path / "3" / "info.json").write_text(json.dumps({"metrics_meta": told}))
    first, second, third = (listed(record) for record in open_store(tmp_path))

    def best(run: Listed) -> dict[str, float | None]:
        return {name.partition(".")[2]: each.best for name, each in run.metrics.items()}

    registry = {"consistency": 3.0, "lpips_alex": 1.0, "loss_g": None, "novel": None, "psnr": 3.0}
    assert best(first) == registry
    assert best(second) == {**dict.fromkeys(registry), "psnr": 1.0}
    assert best(third) == {**registry, "novel": 3.0, "psnr": 1.0}


def test_a_run_records_its_metrics_directions(tmp_path: Path) -> None:
    observer = FileObserver(tmp_path)
    driver = Driver(observer)
    driver.info["metrics_meta"] = {"novel": {"higher_is_better": True}}
    for name in ("validation.novel", "validation.consistency", "train.loss_d"):
        driver.log(3, name=name)
    driver.complete()
    (run,) = (listed(record) for record in open_store(tmp_path))
    last = driver.step
    assert run.metrics["validation.novel"].best == 3
    assert run.metrics["validation.consistency"].best == 6
    assert run.metrics["train.loss_d"].best is None
    assert run.metrics["train.loss_d"].last == last
    kept = open_run(1, store=tmp_path).entry["metric_summary"]
    assert [each["higher_is_better"] for each in kept] == [True, True, None]


def test_nothing_shown_steers_a_terminal() -> None:
    assert short("a\x1b[31mb\nc") == "a [31mb c"
    assert short("x" * 100) == "x" * 23 + "…"
    assert short([1, 0.1 + 0.2, None]) == "[1, 0.3, ]"


def test_thinned_curves_keep_their_extremes_ends_and_gaps() -> None:
    values = [float(index % 97) for index in range(10_000)]
    values[1234], values[7777] = 1e6, -1e6
    values[4000:4500] = [float("nan")] * 500
    kept = _kept(values, 100)
    assert len(kept) <= 100
    assert {0, 1234, 7777, 9999} <= set(kept)
    assert any(4000 <= index < 4500 for index in kept)
    assert _kept(values[:50], 100) == list(range(50))


def test_data_cannot_become_markup(tmp_path: Path) -> None:
    root = tmp_path / "a<b>&'\""
    hostile_store(root)
    write_page(open_store(root), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    elements = Elements(page)
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert len(scripts) == 3  # the list, one run, the code
    assert not [tag for tag, _ in elements.found if tag in ("img", "iframe", "object")]
    assert not [name for _, attributes in elements.found for name in attributes if name[:2] == "on"]
    assert json.loads(elements.scripts["data"])["common"]["driven"]["note"] == HOSTILE
    detail = json.loads(elements.scripts["run-0"])
    assert detail["output"] == HOSTILE
    assert [artifact["link"][:2] for artifact in detail["artifacts"]] == ["./", "./"]
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_nothing_hostile_runs_in_a_browser(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    hostile_store(root)
    write_page(open_store(root), root / "index.html")
    page = page_after_its_script((root / "index.html").as_uri())
    assert 'data-ready="' in page
    assert "HACKED" not in re.search("<title>(.*?)</title>", page)[1]
    elements = Elements(page)
    assert len([tag for tag, _ in elements.found if tag == "script"]) == 3
    images = [attributes for tag, attributes in elements.found if tag == "img"]
    assert len(images) == 2
    assert all(image["src"].startswith("./1/") and "onerror" not in image for image in images)
    assert html.escape(HOSTILE, quote=False).replace("\u2028", "") in page.replace("\u2028", "")


def test_a_browser_shows_the_table_the_curves_the_sheets_and_the_differences(
    tmp_path: Path,
) -> None:
    populate(tmp_path, 30, points=50, names=6)
    write_page(open_store(tmp_path), tmp_path / "index.html")
    page = page_after_its_script((tmp_path / "index.html").as_uri())
    body = page.partition('<tbody id="rows">')[2].partition("</tbody>")[0]
    assert body.count("<tr") == 30
    assert body.count("FAILED") >= 4
    for words in ("30 runs", "scale", "adv_weight", "validation.psnr last", "Config differences"):
        assert words in page
    assert page.count('class="curve"') == 15  # three metrics of five runs
    assert "of runs 26, 27, 28, 29, 30" in page
    assert page.count("<img") == 2
    assert "output of run 30" in page
    assert 'href="./30/sheet_00000000.png"' in page
    filtered = page_after_its_script(
        (tmp_path / "index.html").as_uri() + "#status=FAILED%20scale=4"
    )
    rows = filtered.partition('<tbody id="rows">')[2].partition("</tbody>")[0]
    assert re.findall(r'aria-label="run (\d+)"', rows) == ["28", "7"]
    assert "2 of 30 runs" in filtered


def test_hundreds_of_runs_open_at_once(tmp_path: Path) -> None:
    populate(tmp_path, 300, points=60, names=30, sheets=1)
    write_page(open_store(tmp_path), tmp_path / "index.html")
    page = page_after_its_script((tmp_path / "index.html").as_uri())
    # How fast depends on what else the machine does; benchmarks/many_runs.py tells.
    assert re.search(r'data-ready="\d+"', page)
    assert "300 runs" in page


def test_a_database_has_a_page_too_with_its_newest_sheets(
    tmp_path: Path, mongo: MongoServer
) -> None:
    url = f"{mongo.url}/page"
    observer = MongoObserver(url, None, tmp_path / "_spool")
    driver = Driver(observer, config={"scale": 4})
    driver.log(50)
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "sheet.png")
    observer.save_artifact("sheet_00000001.png", tmp_path / "sheet.png")
    driver.complete(result=2.5)
    write_page(open_store(url), tmp_path / "runs.html")
    page = page_after_its_script((tmp_path / "runs.html").as_uri())
    assert f"Runs in {url}" in page
    assert 'src="data:image/png;base64,' in page
    assert page.count('class="curve"') == 1


def test_ten_thousand_runs_are_listed_and_open_as_a_page(tmp_path: Path) -> None:
    populate(tmp_path, 10_000, points=1, names=6, sheets=0)
    with uncollected():
        runs = [listed(record) for record in open_store(tmp_path)]
        lines = runs_script.table(runs, main_metrics(runs), 200)
    assert len(lines) >= 10_000 + 2
    write_page(open_store(tmp_path), tmp_path / "index.html")
    page = page_after_its_script((tmp_path / "index.html").as_uri() + "#status=FAILED%20scale=4")
    assert re.search(r'data-ready="\d+"', page)
    assert "476 of 10000 runs" in page
    assert page.count('class="curve"') == 15  # of the newest five


def test_screenshot_to_look_at(tmp_path: Path) -> None:
    """``TMD_SCREENSHOTS=DIR`` leaves the picture there."""
    folder = Path(os.environ.get("TMD_SCREENSHOTS", tmp_path))
    populate(tmp_path / "runs", 40, points=300, names=6)
    write_page(open_store(tmp_path / "runs"), tmp_path / "runs" / "index.html")
    screenshot((tmp_path / "runs" / "index.html").as_uri(), folder / "runs_page.png")
    assert (folder / "runs_page.png").stat().st_size > 50_000
