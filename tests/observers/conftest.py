"""A database server for the tests that need one, and runs of a small experiment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mongo_server import MongoServer

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("small_experiment.py")


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """One server for all tests; each uses a database of its own name."""
    if MongoServer.program() is None:
        pytest.skip("no secantusd-py (pip install secantusdb)")
    server = MongoServer(tmp_path_factory.mktemp("mongo"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[MongoServer]:
    """A server that the test may kill."""
    if MongoServer.program() is None:
        pytest.skip("no secantusd-py (pip install secantusdb)")
    server = MongoServer(tmp_path / "mongo")
    yield server
    server.stop()


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the small experiment in a process of its own, in ``tmp_path``."""
    processes: list[subprocess.Popen[str]] = []

    def start(
        *updates: str,
        files: str | None = "runs",
        mongo: str | None = None,
        beat: float = 0.1,
        **env: str,
    ) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if k not in ("FILES", "MONGO")}
        environment.update(env, PYTHONPATH=str(ROOT), PYTHONWARNINGS="ignore")
        environment.update({"FILES": files} if files else {}, **({"MONGO": mongo} if mongo else {}))
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "with", *updates, f"--beat-interval={beat}"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture
def finish_run(start_run: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str]]:
    """As ``start_run``, to its end: its exit code and all it said."""

    def run(*updates: str, **where: str | None) -> tuple[int, str]:
        process = start_run(*updates, **where)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    return run
