"""Omniboard itself, against the test server, in a browser.

``TMD_OMNIBOARD`` names an installed program (after ``npm install omniboard``, that is
``node_modules/.bin/omniboard``); ``TMD_SCREENSHOTS`` a folder to leave pictures in.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from driver import Driver
from mongo_server import MongoServer, free_port
from PIL import Image, ImageDraw

from observers import omniboard
from observers.mongo.observer import MongoObserver
from tmd.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
LOGIN = ("ann", "open-sesame")


def record_runs(url: str, folder: Path) -> None:
    """Three runs such as a training leaves, one of them failed."""
    for number, scale in enumerate((2, 4, 8), start=1):
        observer = MongoObserver(url, None, folder / "_spool")
        config = {"scale": scale, "adv_weight": 10.0**-number, "generator": {"n_blocks": 16}}
        driver = Driver(observer, config=config)
        for _ in range(5):
            driver.log(40, "validation.psnr", beat=False)
            driver.step -= 40
            driver.log(40, "train.content")
        sheet = Image.new("RGB", (400, 120), (30, 60 * number, 120))
        ImageDraw.Draw(sheet).text((20, 50), f"LR SR HR UR, run {number}", fill="white")
        sheet.save(folder / "sheet.png")
        observer.save_artifact("sheet_00000200.png", folder / "sheet.png")
        driver.info["device"] = "cpu"
        driver.beat("the captured words\n")
        driver.complete(result={"psnr": 27.5 + number})


@pytest.fixture
def url(own_mongo: MongoServer) -> str:
    own_mongo.start()
    return f"{own_mongo.url}/sr"


@pytest.fixture
def address(url: str, tmp_path: Path) -> Iterator[str]:
    """Omniboard, started by the documented line, on runs that are there."""
    program = os.environ.get("TMD_OMNIBOARD") or shutil.which("omniboard")
    if program is None or shutil.which("node") is None:
        pytest.skip("no omniboard (npm install omniboard; set TMD_OMNIBOARD to its program)")
    record_runs(url, tmp_path)
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "observers.omniboard", "--mongo", url),
            *("--port", str(port), "--user", LOGIN[0], "--program", program),
        ],
        cwd=ROOT,
        env={**os.environ, "OMNIBOARD_PASSWORD": LOGIN[1]},
        stdout=(tmp_path / "omniboard.txt").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, (tmp_path / "omniboard.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.3)
    yield f"127.0.0.1:{port}"
    os.killpg(process.pid, 15)  # the session that this test started
    process.wait()


def listeners(port: int) -> set[str]:
    """The local addresses that listen on ``port``, as /proc writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            host, _, number = local.rpartition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(host)
    return found


def test_omniboard_shows_our_runs_to_this_machine_and_its_user_only(
    address: str, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("TMD_SCREENSHOTS", tmp_path))
    assert listeners(int(address.rpartition(":")[2])) == {"0100007F"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{address}/sacred/api/v1/Runs")
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert LOGIN[1] not in processes.stdout

    def ask(path: str, body: dict | None = None) -> object:
        request = urllib.request.Request(f"http://{address}/sacred/api/v1/{path}")
        credentials = base64.b64encode(":".join(LOGIN).encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return json.load(urllib.request.urlopen(request))

    column = {"name": "best psnr", "metric_name": "validation.psnr", "extrema": "max"}
    ask("Omniboard.Metric.Columns", column)
    select = "_id,status,result,config,best psnr,info"
    runs = ask(f"Runs?select={urllib.request.quote(select)}")
    assert {run["_id"]: run["best psnr"] for run in runs} == {1: 200.0, 2: 200.0, 3: 200.0}
    assert {run["_id"]: run["result"] for run in runs} == {n: {"psnr": 27.5 + n} for n in (1, 2, 3)}

    with Browser() as browser:
        browser.open(f"http://{':'.join(LOGIN)}@{address}/sacred")
        browser.open(f"http://{address}/sacred")
        browser.wait_for("return document.body.innerText.includes('COMPLETED')")
        browser.screenshot(pictures / "omniboard_runs.png")
        table = browser.text()
        for words in ("driven", "C Scale", "C Adv Weight", "Best psnr", "200", "0.01", "30.5"):
            assert words in table, words
        browser.click(".public_fixedDataTableCell_cellContent", "driven")
        browser.wait_for("return document.querySelector('#sidebar')")
        browser.click("#sidebar a", "Metrics")
        browser.wait_for("return document.querySelectorAll('.scatterlayer .trace').length >= 4")
        assert "validation.psnr" in browser.text()
        assert "train.content" in browser.text()
        browser.screenshot(pictures / "omniboard_plot.png")
        browser.click("#sidebar a", "Captured Out")
        browser.wait_for("return document.body.innerText.includes('the captured words')")
        browser.click("#sidebar a", "Artifacts")
        browser.click(".accordion__title", "sheet_00000200.png")
        size = browser.wait_for(
            "const shown = document.querySelector('.tab-content img');"
            "return shown && shown.complete && shown.naturalWidth"
        )
        assert size == 400
        time.sleep(1)  # it fades in
        browser.screenshot(pictures / "omniboard_sheet.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which database"),
        (["--mongo", "mongodb://host"], "names no database"),
        (["--mongo", "mongodb://host/db", "--user", "a:b"], "must not be empty or hold a colon"),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    assert omniboard.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: in use"):
            omniboard.check_free(port)


def test_no_secret_is_on_the_command_line() -> None:
    told = omniboard.environment("mongodb://ann:pw@host/db", 9000, "ann", "open-sesame")
    assert told["MONGO_URI"] == "mongodb://ann:pw@host/db"
    assert "open-sesame" not in " ".join(omniboard.command("omniboard"))
