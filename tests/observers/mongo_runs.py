"""Runs for the tests of MongoDB, and what they wait for."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bson import ObjectId

from observers.mongo.observer import MongoObserver

# An absent server is given up half a second later instead of three.
HASTY = "serverSelectionTimeoutMS=500"

Start = Callable[..., subprocess.Popen]
Finish = Callable[..., tuple[int, str]]


def observer(url: str, tmp_path: Path, files: bool = True, **options: Any) -> MongoObserver:
    return MongoObserver(
        url, tmp_path / "runs" if files else None, tmp_path / "runs" / "_spool", **options
    )


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def referenced_files(database: Any) -> set[ObjectId]:
    ids = set()
    for run in database.runs.find():
        ids |= {artifact["file_id"] for artifact in run["artifacts"]}
        ids |= {file_id for _, file_id in run["experiment"]["sources"]}
    return ids
