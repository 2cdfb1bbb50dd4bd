"""Runs whose records are cut, edited, or of a stranger: one of them hides no other."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from browser import page_after_its_script
from bson import Binary, ObjectId
from mongo_server import MongoServer
from populate import populate

from experiments import runs as runs_script
from observers import open_run, open_store
from observers.reading.listing import Listed, listed, main_metrics
from observers.reading.page import write_page
from tmd.errors import UserError

DEEP_JSON = '{"a": ' * 100_000 + "1" + "}" * 100_000


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


# Ways to write a record, by what is odd about it --------------------------------------------------

#: Files whose whole content is replaced; the run has no summary of metrics of its own then.
CONTENTS: dict[str, bytes | str] = {
    "empty": "",
    "cut": '{"validation.psnr": {"steps": [1, 2',
    "null": "null",
    "list": "[1, 2]",
    "text": '"text"',
    "number": "3",
    "zeros": bytes(100),
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "nested too deeply": DEEP_JSON,
    "keys of a stranger": '{"": 1, "__proto__": {"x": 1}, "\\u0000": null, "</script>": "\\ud800"}',
}
FILES = ("run.json", "config.json", "info.json", "metrics.json")

#: Entries of run.json (and of a document).
ENTRIES: dict[str, dict[str, Any]] = {
    "experiment is a text": {"experiment": "srgan"},
    "experiment is a list": {"experiment": ["srgan"]},
    "experiment has no name": {"experiment": {"name": None}},
    "status is a list": {"status": ["RUNNING"]},
    "status is missing": {"status": None},
    "status steers a terminal": {"status": "\x1b[2J\x1b[31mDONE"},
    "times with a zone": {"start_time": "2024-05-01T12:00:00+02:00"},
    "times in Zulu": {"start_time": "2024-05-01T12:00:00Z", "stop_time": "2024-05-01T13:00:00Z"},
    "times at the edge of the calendar": {"start_time": "0001-01-01T00:00:00+14:00"},
    "times are numbers": {"start_time": 1714564800, "stop_time": 1e300},
    "times are mappings": {"start_time": {"$date": 1}, "heartbeat": []},
    "stopped before it started": {"stop_time": "1999-01-01T00:00:00"},
    "process is a text": {"status": "RUNNING", "process": "4711"},
    "process without a number": {"status": "RUNNING", "process": {"machine": "HERE"}},
    "process number is a text": {"status": "RUNNING", "process": {"machine": "HERE", "pid": "x"}},
    "process number is huge": {"status": "RUNNING", "process": {"machine": "HERE", "pid": 1 << 40}},
    "process number is negative": {"status": "RUNNING", "process": {"machine": "HERE", "pid": -1}},
    "artifacts are a mapping": {"artifacts": {"a.png": 1}},
    "artifacts are a text": {"artifacts": "a.png"},
    "artifacts are mappings": {"artifacts": [{"name": "a.png"}, None, 3]},
    "artifacts leave the folder": {"artifacts": ["../1/run.json", "/etc/passwd", "..", "a\0b"]},
    "summary is a mapping": {"metric_summary": {"psnr": 1}},
    "summary of texts": {"metric_summary": ["psnr", None, 3]},
    "summary without names": {"metric_summary": [{"last": 3}, {"name": 7, "last": 1}]},
    "summary with texts as values": {
        "metric_summary": [{"name": "validation.psnr", "last": "x", "max": [1], "min": True}]
    },
    "summary with directions": {
        "metric_summary": [{"name": "validation.psnr", "last": 1, "higher_is_better": "yes"}]
    },
    "host is a text": {"host": "here"},
    "meta is a list": {"meta": [1]},
    "command is a mapping": {"command": {"a": 1}},
    "failures are a list": {"observer_failures": [1]},
    "failures are a text": {"observer_failures": {"count": "many"}},
    "trace is a text": {"fail_trace": "Traceback"},
    "trace of numbers": {"fail_trace": [1, None]},
    "result is nested": {"result": nested(60)},
    "result is a huge number": {"result": 10**300},
}

#: Metrics as in metrics.json (and in documents).
POINTS: dict[str, Any] = {
    "metric is a list": [1, 2],
    "metric is null": None,
    "metric without steps": {"values": [1.0], "timestamps": []},
    "metric without values": {"steps": [1], "timestamps": []},
    "metric without times": {"steps": [1], "values": [1.0]},
    "values are a mapping": {"steps": [1], "values": {"0": 1.0}, "timestamps": []},
    "values are texts": {"steps": [1, 2], "values": ["x", 1.0], "timestamps": ["", ""]},
    "values are nested": {"steps": [1, 2], "values": [[1.0], {"py/id": 3}], "timestamps": [1, 2]},
    "values are huge": {"steps": [1, 2], "values": [10**300, 2.0], "timestamps": []},
    "more values than steps": {"steps": [1], "values": [1.0, 2.0], "timestamps": []},
    "steps are texts": {"steps": ["a", 2], "values": [1.0, 2.0], "timestamps": [None, None]},
    "steps are flags": {"steps": [True, None], "values": [1.0, 2.0], "timestamps": []},
    "no points": {"steps": [], "values": [], "timestamps": []},
}

CONFIGS: dict[str, Any] = {
    "config of nested lists": {"a": [[[[1]]]], "scale": [4]},
    "config of a stranger": {"\x1b[31m": "\x1b[2J", "scale": {"a": None}, "seed": "x" * 100_000},
}


def rewrite(folder: Path, **entries: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def without_summary(folder: Path) -> None:
    entry = json.loads((folder / "run.json").read_text())
    del entry["metric_summary"]
    (folder / "run.json").write_text(json.dumps(entry))


def write_content(folder: Path, name: str, content: bytes | str) -> None:
    without_summary(folder)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def write_points(folder: Path, points: Any) -> None:
    without_summary(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({"odd": points, **metrics}))


def write_entries(folder: Path, entries: dict[str, Any]) -> None:
    from tmd.processes import machine

    text = json.dumps(entries).replace('"HERE"', json.dumps(machine()))
    rewrite(folder, **json.loads(text))


def replace(folder: Path, name: str, make: Callable[[Path], Any]) -> None:
    without_summary(folder)
    (folder / name).unlink()
    make(folder / name)


def ways() -> Iterator[Any]:
    """Ways to make a folder odd, with what makes it so."""
    for name in FILES:
        for what, content in CONTENTS.items():
            yield pytest.param(
                lambda f, n=name, c=content: write_content(f, n, c), id=f"{name}: {what}"
            )
        makers: dict[str, Callable[[Path], Any]] = {
            "missing": lambda path: None,
            "folder": Path.mkdir,
            "pipe": os.mkfifo,
            "link to itself": lambda path: path.symlink_to(path),
            "link to nothing": lambda path: path.symlink_to("absent"),
        }
        for what, make in makers.items():
            yield pytest.param(lambda f, n=name, m=make: replace(f, n, m), id=f"{name}: {what}")
    for what, entries in ENTRIES.items():
        yield pytest.param(lambda f, e=entries: write_entries(f, e), id=what)
    for what, points in POINTS.items():
        yield pytest.param(lambda f, p=points: write_points(f, p), id=what)
    for what, config in CONFIGS.items():
        text = json.dumps(config)
        yield pytest.param(lambda f, t=text: (f / "config.json").write_text(t), id=what)
    journals = {
        "journal cut": '{"name": "loss", "steps": [1], "values": [1.0], "timestamps": ["x"]}\n{"na',
        "journal of a stranger": '{"a": 1}\n[]\n',
        "journal with an odd line": '{"name": "loss", "steps": 1}\n\n{"name": 3}\n',
        "journal of no lines": "\0" * 50,
    }
    for what, text in journals.items():
        yield pytest.param(
            lambda f, t=text: (without_summary(f), (f / ".metrics.jsonl").write_text(t)), id=what
        )
    yield pytest.param(lambda f: (f / "cout.txt").write_bytes(b"\xff\x00\x1b[2J"), id="output")
    yield pytest.param(
        lambda f: ((f / "cout.txt").unlink(), (f / "cout.txt").mkdir()), id="output is a folder"
    )


WAYS = list(ways())


def check_list(runs: list[Listed], odd: Any) -> Listed:
    """The odd one of three runs; the others are as they should be."""
    assert [run.id for run in runs] == [1, odd, 3]
    for run in (runs[0], runs[2]):
        assert run.warnings == []
        assert (run.status, run.experiment, run.duration) == ("COMPLETED", "srgan", "0:00:50")
        assert run.metrics["validation.psnr"].best > 20
        assert run.config["generator.n_blocks"] == 16
    table = runs_script.table(runs, main_metrics(runs), 200)
    assert len(table) >= 5
    said = "\n".join([*table, *runs_script.warnings(runs)])
    assert all(character.isprintable() or character == "\n" for character in said)
    return runs[1]


def read_page(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data of a page, as its script reads them: the table, and each run."""
    page = path.read_text("utf-8")
    blocks = re.findall(r'<script type="application/json" id="[^"]*">(.*?)</script>', page, re.S)
    table, *details = [json.loads(block, parse_constant=pytest.fail) for block in blocks]
    return table, details


def check_page(path: Path, others: int = 3) -> None:
    table, details = read_page(path)
    assert len(table["runs"]) == len(details) == others
    for index in (0, others - 1):
        assert table["runs"][index]["warnings"] == []
        assert details[index]["curves"]["validation.psnr"][0] == [10, 20, 30, 40, 50]
        assert details[index]["output"].startswith("output of run")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    populate(root, 3, points=5, names=3, sheets=1)
    for folder in root.iterdir():  # without a seventh run, none of them failed
        (folder / "info.json").write_text('{"device": {"type": "cpu"}}')
    return root


def test_there_are_ways_enough() -> None:
    assert len(WAYS) >= 48


@pytest.mark.parametrize("damage", WAYS)
def test_an_odd_run_hides_no_other_in_the_list_and_the_page(
    tmp_path: Path, sound: Path, damage: Callable[[Path], None]
) -> None:
    root = tmp_path / "runs"
    shutil.copytree(sound, root)
    damage(root / "2")
    os.utime(root / "2", (0, 0))  # not one that is just starting
    runs = [listed(record) for record in open_store(root)]
    odd = check_list(runs, 2)
    write_page(open_store(root), tmp_path / "page.html")
    check_page(tmp_path / "page.html")
    table, _ = read_page(tmp_path / "page.html")
    # What could be read is shown: the config, or the status, or both.
    assert odd.config or odd.status == "COMPLETED"
    if not odd.config or odd.status == "UNREADABLE":
        assert odd.warnings
        assert table["runs"][1]["warnings"]


def read_all(folder: Path) -> Any:
    record = open_run(folder)
    return record.config, record.info, record.metrics()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", '{"half', "2/run.json: not valid JSON"),
        ("config.json", "[]", "2/config.json: holds no JSON object"),
        ("info.json", "", "2/info.json: not valid JSON"),
        ("metrics.json", '{"a": 3}', "metric a is no mapping but int 3"),
    ],
)
def test_who_reads_one_run_is_told_in_a_line(
    tmp_path: Path, sound: Path, name: str, content: str, said: str
) -> None:
    """Resuming from what can be read of a config would train something else."""
    shutil.copytree(sound, tmp_path / "runs")
    write_content(tmp_path / "runs" / "2", name, content)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        read_all(tmp_path / "runs" / "2")
    assert "\n" not in str(caught.value)


def test_folders_that_look_like_runs_or_numbers(tmp_path: Path, sound: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(sound, root)
    for name in ("007", "²", "trial", "-1", "1e3", "٣"):
        shutil.copytree(sound / "1", root / name)
    (root / "12").write_text("a file")
    (root / "13").mkdir()
    (root / "loop").symlink_to(root)
    shutil.copytree(sound / "1", root / os.fsdecode(b"caf\xe9"))
    ids = [listed(record).id for record in open_store(root)]
    assert ids == [1, 2, 3, 7, "-1", "1e3", "caf\udce9", "trial", "²", "٣"]
    assert write_page(open_store(root), root / "index.html") == 10
    check_page(root / "index.html", 10)


def test_all_odd_runs_in_one_page_in_a_browser(tmp_path: Path, sound: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    for number, way in enumerate(WAYS, start=1):
        shutil.copytree(sound / "1", root / str(number))
        way.values[0](root / str(number))
        os.utime(root / str(number), (0, 0))
    shutil.copytree(sound / "3", root / "1000")
    count = write_page(open_store(root), root / "index.html")
    page = page_after_its_script((root / "index.html").as_uri())
    assert 'data-ready="' in page
    assert f"{count} runs" in page
    assert f'aria-rowcount="{count + 1}"' in page
    assert count >= len(WAYS)


# The same kinds in a database ---------------------------------------------------------------------


def documents(sound: Path) -> list[dict[str, Any]]:
    made = []
    for number in (1, 2, 3):
        folder = sound / str(number)
        entry = json.loads((folder / "run.json").read_text())
        entry["artifacts"] = []
        config = json.loads((folder / "config.json").read_text())
        output = (folder / "cout.txt").read_text()
        info = {"metrics": [], "device": {"type": "cpu"}}
        made.append(
            {"_id": number, **entry, "config": config, "info": info, "captured_out": output}
        )
    return made


def mongo_ways() -> Iterator[Any]:
    """Changes of the run's document, or an odd document of a metric."""
    for what, entries in ENTRIES.items():
        if what != "result is a huge number":  # BSON has none
            yield pytest.param(entries, None, id=what)
    for what, points in POINTS.items():
        if what != "values are huge":
            document = points if isinstance(points, dict) else {"steps": points}
            yield pytest.param({"metric_summary": None}, document, id=what)
    for key in ("config", "info", "captured_out", "artifacts", "resources", "experiment", "host"):
        for what, value in (("null", None), ("a list", [1]), ("a text", "x"), ("bytes", b"\xff")):
            yield pytest.param({key: value}, None, id=f"{key} is {what}")
    files = (
        {"name": "a.png"},
        {"file_id": 1},
        {"name": 3, "file_id": ObjectId("5f0000000000000000000000")},
        None,
    )
    for entry in files:
        yield pytest.param({"artifacts": [entry]}, None, id=f"artifact {entry}")
    for odd in (
        {"_id": "77"},
        {"_id": 2.5},
        {"_id": ObjectId("5f0000000000000000000000")},
        {"_id": {"a": 1}},
    ):
        yield pytest.param(odd, None, id=f"number is {type(odd['_id']).__name__}")
    yield pytest.param(
        {"config": {"x": Binary(b"\0"), "y": ObjectId("5f0000000000000000000000")}},
        None,
        id="BSON's types",
    )


@pytest.mark.parametrize(("change", "metric"), list(mongo_ways()))
def test_an_odd_document_hides_no_other(
    tmp_path: Path, mongo: MongoServer, sound: Path, change: dict, metric: dict | None
) -> None:
    url = f"{mongo.url}/odd"
    first, odd, third = documents(sound)
    odd.update(change)
    with pymongo.MongoClient(url) as client:
        for name in ("runs", "metrics"):
            client.odd.drop_collection(name)
        client.odd.runs.insert_many([first, odd, third])
        for number in (1, odd["_id"], 3):
            for name, points in json.loads((sound / "1" / "metrics.json").read_text()).items():
                client.odd.metrics.insert_one({"run_id": number, "name": name, **points})
        if metric is not None:
            client.odd.metrics.insert_one({"run_id": odd["_id"], "name": "odd", **metric})
            client.odd.metrics.insert_one({"run_id": odd["_id"]})
    runs = [listed(record) for record in open_store(url)]
    by_place = sorted(runs, key=lambda run: {1: 1, 3: 3}.get(run.id, 2))
    number = odd["_id"]
    check_list(by_place, number if isinstance(number, int) else str(number))
    write_page(open_store(url), tmp_path / "page.html")
    table, details = read_page(tmp_path / "page.html")
    assert len(table["runs"]) == len(details) == 3
    for run, detail in zip(table["runs"], details, strict=True):
        if run["id"] in (1, 3):
            assert detail["curves"]["validation.psnr"][0] == [10, 20, 30, 40, 50]
