"""A headless Chromium that opens one address and tells what is in the page then."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from servers import free_port

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium(address: str, *options: str) -> str:
    """What Chromium prints when it opens ``address``; skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        ended = subprocess.run(
            [program, *OPTIONS, f"--user-data-dir={profile}", *options, address],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return ended.stdout


def page_after_its_script(address: str, *options: str) -> str:
    """The page's elements as HTML, once its own script has run."""
    return chromium(address, "--dump-dom", *options)


def screenshot(address: str, path: Path, *options: str, size: str = "1500,2200") -> None:
    chromium(address, f"--window-size={size}", f"--screenshot={path}", *options)


class Browser:
    """A Chromium driven by the WebDriver protocol: one that can click."""

    def __init__(self, size: str = "3000,1100") -> None:
        program = shutil.which("chromedriver")
        if program is None:
            pytest.skip("no chromedriver")
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        port = free_port()
        self._driver = subprocess.Popen(
            [program, f"--port={port}", "--silent"], stdout=subprocess.DEVNULL
        )
        self._address = f"http://127.0.0.1:{port}"
        self._session = ""
        self._size = size

    def __enter__(self) -> Browser:
        wanted = {
            "goog:chromeOptions": {
                "args": [
                    *OPTIONS,
                    f"--window-size={self._size}",
                    f"--user-data-dir={self._profile.name}",
                ]
            }
        }
        deadline = time.monotonic() + 120
        while True:
            try:
                made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            self._ask("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait()
        self._profile.cleanup()

    def open(self, address: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": address})

    def run(self, script: str) -> Any:
        """What ``script`` returns, run in the page."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """The first result of ``script`` that is true."""
        deadline = time.monotonic() + seconds
        while not (result := self.run(script)):
            assert time.monotonic() < deadline, f"{script}\n{self.text()[:2000]}"
            time.sleep(0.2)
        return result

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element that ``selector`` finds and that holds ``text``."""
        find = (
            f"const found = [...document.querySelectorAll({json.dumps(selector)})]"
            f".find(each => each.innerText.includes({json.dumps(text)}));"
        )
        element = self.wait_for(find + "return found")
        identity = next(iter(element.values()))
        self._ask("POST", f"{self._session}/element/{identity}/click", {})

    def act(self, *sources: dict) -> None:
        """Real input: `actions` of the WebDriver protocol, one source each."""
        self._ask("POST", f"{self._session}/actions", {"actions": list(sources)})

    def press(self, *keys: str) -> None:
        """Press keys one after another; of several characters, their names."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.act({"type": "key", "id": "keys", "actions": steps})

    def drag(self, begin: tuple[int, int], end: tuple[int, int], key: str = "") -> None:
        """Drag the mouse from one place of the window to another, perhaps with a key held."""
        moves = [{"type": "pointerMove", "x": x, "y": y, "duration": 0} for x, y in (begin, end)]
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        pause = {"type": "pause"}
        held = [{"type": "keyDown", "value": key}, *[pause] * 4, {"type": "keyUp", "value": key}]
        mouse = [pause, moves[0], down, moves[1], up, pause]
        sources = [{"type": "pointer", "id": "mouse", "actions": mouse}]
        if key:
            sources.append({"type": "key", "id": "keys", "actions": held})
        self.act(*sources)

    def wheel(self, at: tuple[int, int], turned: int) -> None:
        """Turn the wheel over a place of the window; upwards is negative."""
        turn = {"type": "scroll", "x": at[0], "y": at[1], "deltaX": 0, "deltaY": turned}
        self.act({"type": "wheel", "id": "wheel", "actions": [{**turn, "duration": 0}]})

    def command(self, name: str, **arguments: Any) -> Any:
        """A command of Chromium's own protocol."""
        body = {"cmd": name, "params": arguments}
        return self._ask("POST", f"{self._session}/goog/cdp/execute", body)

    def picture(self) -> bytes:
        """What is to be seen, as PNG."""
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

    def type(self, selector: str, keys: str) -> None:
        """Press ``keys``, WebDriver's codes among them, on the first that ``selector`` finds."""
        element = self.wait_for(f"return document.querySelector({json.dumps(selector)})")
        identity = next(iter(element.values()))
        self._ask("POST", f"{self._session}/element/{identity}/value", {"text": keys})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(self.picture())

    def _ask(self, method: str, path: str, body: dict | None = None) -> Any:
        request = urllib.request.Request(
            self._address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
