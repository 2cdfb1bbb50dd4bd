"""Time that a store of 10,000 runs takes to be listed, and its page in Chromium.

    python benchmarks/many_runs.py [--runs 10000] [--before /path/to/another/checkout] [--mongo]

The first runs are written by the observer as a training's are, with its sources, config and
metrics; the others are copies of them, in studies of their own and with other values. Each list is
a process of its own, `tmd runs`; "before" is that of another checkout on the same store. The page
is opened in a headless Chromium by chromedriver: each time is from a click, or a key, to the frame
after the one that shows it. With `--mongo` the same runs are listed from a database too.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import add_outputs, report, surroundings

from experiments.srgan import ex
from observers import FileObserver
from observers.liveness import utc_now as now
from observers.plain import plain

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "observers")]  # browser and server
from browser import Browser  # noqa: E402
from mongo_server import MongoServer  # noqa: E402

VALIDATED = ("psnr", "ssim", "score")
TRAINED = (
    *("pixel", "images_per_second", "adv_weight", "lr_g", "lr_d", "loss_d", "d_real", "d_fake"),
    *("loss_g", "content", "adversarial"),
)
WRITTEN = 240  # by the observer
STUDY_RUNS = 120  # of one study: 40 trials of 3 seeds


@functools.cache
def training() -> tuple[dict[str, Any], dict[str, Any]]:
    """About the experiment, and its config: an observer of a training is told both by Sacred."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            Image.fromarray(np.full((64, 64, 3), 30 * number, np.uint8)).save(
                Path(folder, f"{number}.png")
            )
        run = ex._create_run("train", {"dataset": {"root": folder}}, named_configs=("smoke",))
        return plain(ex.get_experiment_info()), plain(run.config)


def record(root: Path, number: int, points: int = 20) -> None:
    """One run, a trial of a study whose score has an optimum in `adv_weight` and `n_blocks`."""
    rng = random.Random(number)
    about, config = copy.deepcopy(training())
    study, place = divmod(number, STUDY_RUNS)
    trial, repeat = divmod(place, 3)
    drawn = random.Random(study * 1000 + trial)
    params = {
        "adv_weight": 10 ** drawn.uniform(-4, -1),
        "generator.n_blocks": drawn.randint(4, 16),
        "optimization.lr_g": 10 ** drawn.uniform(-4, -3),
        "losses.content": drawn.choice(["pixel", "vgg"]),
    }
    config.update(seed=repeat, adv_weight=params["adv_weight"])
    config["generator"]["n_blocks"] = params["generator.n_blocks"]
    config["optimization"]["lr_g"] = params["optimization.lr_g"]
    config["losses"]["content"] = params["losses.content"]
    psnr = 27 + params["generator.n_blocks"] / 8 - (np.log10(params["adv_weight"]) + 3) ** 2 / 4
    psnr += rng.gauss(0, 0.1)
    observer = FileObserver(root)
    meta = {"given": ["seed", *params]}
    observer.started_event(about, "train", {"hostname": "here"}, now(), config, meta, None)
    info: dict[str, Any] = {
        "study": {"name": f"study{study}", "trial": trial, "repeat": repeat, "params": params},
        "bicubic": {"psnr": 25.3, "ssim": 0.72, "score": 8.0},
    }
    steps = [10 * step for step in range(1, points + 1)]
    rise = [1 - np.exp(-step / 60) for step in steps]
    levels = {"psnr": psnr, "ssim": psnr / 33, "score": 33 - psnr}
    curves = {f"validation.{name}": [float(levels[name] * r) for r in rise] for name in VALIDATED}
    curves |= {f"train.{name}": [float(rng.random() + 1 - r) for r in rise] for name in TRAINED}
    metrics = {
        name: {"steps": steps, "values": values, "timestamps": [now()] * points}
        for name, values in curves.items()
    }
    observer.log_metrics(metrics, info)
    observer.heartbeat_event(info, "training\n" * 40, now(), None)
    if number % 50 == 7:
        observer.failed_event(now(), ["Traceback: out of memory\n"])
    else:
        observer.completed_event(now(), float(psnr))
    observer.join()


def fill(store: Path, runs: int) -> None:
    """``runs`` runs in ``store``; those that are there stay."""
    there = len(list(store.glob("[0-9]*")))
    for number in range(there, min(runs, WRITTEN)):
        record(store, number)
    for number in range(max(there, WRITTEN), runs):
        model, copied = store / str(number % WRITTEN + 1), store / str(number + 1)
        copied.mkdir()
        for name in ("run.json", "config.json", "metrics.json", "cout.txt"):
            shutil.copyfile(model / name, copied / name)
        entry = json.loads((model / "run.json").read_text())
        shift = random.Random(number).gauss(0, 0.1)
        for metric in entry["metric_summary"]:
            for key in ("last", "min", "max"):
                metric[key] += shift
        (copied / "run.json").write_text(json.dumps(entry, indent=2, sort_keys=True))
        info = json.loads((model / "info.json").read_text())
        info["study"]["name"] = f"study{number // STUDY_RUNS}"
        (copied / "info.json").write_text(json.dumps(info))


def lists(checkout: Path, store: Path | str, *updates: str) -> dict[str, Any]:
    """Seconds by the clock and of the processor, of ``tmd runs`` as a process."""
    words = ["with", *updates] if updates else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "experiments.command", "runs", str(store), *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "160"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 3), "processor s": round(worked, 2)}


def measure(options: argparse.Namespace, store: Path) -> Iterator[dict[str, Any]]:
    """Rows about lists of the store of files, the last of them that of writing its page."""

    def row(name: str, checkout: Path, *updates: str) -> dict[str, Any]:
        return {"of": name, **lists(checkout, store, *updates)}

    if options.before:
        lists(options.before, store)  # the disk's cache
        yield row("list, before", options.before)
        yield row("list, before", options.before)
    (store / ".index.json").unlink(missing_ok=True)
    yield row("list, first", ROOT)
    for _ in range(options.times):
        yield row("list, later", ROOT)
    for number in range(20):
        record(store, options.runs + number)
    yield row("list, 20 runs later", ROOT)
    for grouping in ("group=study", "group=config"):
        yield row(f"list, {grouping}", ROOT, grouping)
    yield row("list and page", ROOT, "html=True")
    for file in (".index.json", "index.html"):
        print(f"{file}: {(store / file).stat().st_size / 1e6:.1f} MB", flush=True)


# The page ----------------------------------------------------------------------------------------

_SHOWN = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)));"
_FILTER = (
    "const f = byId('filter'); f.value = {}; f.dispatchEvent(new Event('input', {{bubbles: true}}))"
)
_SORT = (
    "[...document.querySelectorAll('#table thead button')].find(e => e.dataset.name === {}).click()"
)
# A wheel's turn a frame, from one end of the table to the other.
_SCROLL = (
    "let longest = 0;"
    "for (let at = 0; at < 100; at++) {"
    "const begin = performance.now(), room = byId('room');"
    f"room.scrollTop = at / 99 * room.scrollHeight; {_SHOWN}"
    "longest = Math.max(longest, performance.now() - begin); }"
    "return longest"
)
ACTIONS = {
    "filter by a word": _FILTER.format("'study12'"),
    "filter by a value": _FILTER.format("'generator.n_blocks=8 validation.psnr>27'"),
    "no filter": _FILTER.format("''"),
    "sort by a metric": _SORT.format("'validation.psnr last'"),
    "sort by a text": _SORT.format("'losses.content'"),
    "the last row, by a key": "keys.End()",
    "tick a run": "choose(found[active].index, true)",
    "another study": "byId('study').selectedIndex = 3; "
    "byId('study').dispatchEvent(new Event('input'))",
    "curves of a trial's seeds": "document.querySelectorAll('#trials tbody tr')[1].click()",
    "compare two runs": "chooseOnly(chosenRuns().slice(0, 2).map(run => run.index))",
}


def page(address: str, times: int) -> Iterator[dict[str, Any]]:
    """Rows about the page at ``address``, opened ``times``: the fastest of each."""
    best: dict[str, float] = {}

    def keep(name: str, milliseconds: float) -> None:
        best[name] = min(milliseconds, best.get(name, milliseconds))

    with Browser("1600,1000") as browser:
        for _ in range(times):
            browser.open("about:blank")
            browser.open(address)
            keep("open", float(browser.wait_for("return document.body.dataset.ready", 600)))
            for name, action in ACTIONS.items():
                timed = f"const begin = performance.now(); {action}; {_SHOWN}"
                keep(name, awaited(browser, f"{timed} return performance.now() - begin"))
            keep("the longest of 100 frames of scrolling", awaited(browser, _SCROLL))
            rows = browser.run("return document.querySelectorAll('#rows tr').length")
        print(f"{rows} rows of the table are drawn", flush=True)
    for name, milliseconds in best.items():
        yield {"of": f"page: {name}", "seconds": round(milliseconds / 1000, 3), "processor s": ""}


def awaited(browser: Browser, script: str) -> float:
    """Return the number that the body of an asynchronous function returns."""
    return float(browser.run(f"return (async () => {{ {script} }})()"))


# A database --------------------------------------------------------------------------------------


@contextmanager
def database(folder: Path, store: Path) -> Iterator[str]:
    """The address of a database with the runs of ``store``, as our observer leaves them there."""
    import pymongo

    if MongoServer.program() is None:
        raise SystemExit("--mongo: needs a server (pip install secantusdb)")
    server = MongoServer(folder)
    server.start()
    try:
        with pymongo.MongoClient(server.url) as client:
            for number in sorted(int(path.name) for path in store.glob("[0-9]*")):
                read = functools.partial(_content, store / str(number))
                document = {**read("run.json"), "config": read("config.json")}
                document |= {"_id": number, "info": read("info.json"), "artifacts": []}
                client.many.runs.insert_one(document | {"captured_out": "training\n" * 40})
                client.many.metrics.insert_many(
                    {"run_id": number, "name": name, **points}
                    for name, points in read("metrics.json").items()
                )
            client.many.metrics.create_index("run_id")
        yield f"{server.url}/many"
    finally:
        server.stop()


def _content(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())


def from_database(options: argparse.Namespace, folder: Path, store: Path) -> Iterator[dict]:
    """Rows about the same runs in MongoDB."""
    with database(folder / "mongo", store) as url:
        for _ in range(options.times):
            yield {"of": "list, MongoDB", **lists(ROOT, url)}
        to = folder / "runs.html"
        yield {
            "of": "list and page, MongoDB",
            **lists(ROOT, url, "html=True", f"output={to}"),
        }
        yield from ({**row, "of": f"{row['of']}, MongoDB"} for row in page(to.as_uri(), 1))


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--mongo", action="store_true", help="the same from a database too")
    parser.add_argument("--times", type=int, default=3, help="repetitions")
    parser.add_argument("--store", type=Path, help="where the runs are, or are made and stay")
    default = "/dev/shm" if os.path.isdir("/dev/shm") else None
    parser.add_argument("--folder", default=default, help="where the runs are made and deleted")
    add_outputs(parser)
    options = parser.parse_args(words)
    print(surroundings(), flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        store = (options.store or Path(place, "runs")).resolve()
        store.mkdir(parents=True, exist_ok=True)
        fill(store, options.runs)
        rows: list[dict[str, Any]] = []
        for row in measure(options, store):
            rows.append(row)
            print(row, flush=True)
        rows += page((store / "index.html").as_uri(), options.times)
        if options.mongo:
            rows += from_database(options, Path(place), store)
        report(rows, options, "seconds")


if __name__ == "__main__":
    main()
