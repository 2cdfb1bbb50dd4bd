"""A headless Chromium that opens one address and tells what is in the page then."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

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
