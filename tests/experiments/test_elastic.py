"""Runs of `torchrun` that lose processes and machines, here agents on loopback, and go on."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kill_and_resume import checkpoints, command, differences, environment, final_state, runs
from kinds import KINDS, TOTAL

from experiments.support.elastic import with_the_interrupted
from observers import open_run
from tmd.errors import UserError

KIND = KINDS["srgan"]


def torchrun(
    folder: Path, name: str, *updates: str, nodes: int = 1, port: int = 0, output: str = "out.txt"
) -> subprocess.Popen[bytes]:
    """An agent with one process, in a group of its own: a machine, as far as torchrun knows."""
    words = command(KIND.script, folder / "runs", *KIND.updates, *updates)[1:]
    meeting = [f"--rdzv-id={name}", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    quick = "--rdzv-conf=keep_alive_interval=1,keep_alive_max_attempt=5,join_timeout=300"
    places = [f"--nnodes={nodes}", "--nproc-per-node=1", "--local-addr=127.0.0.1"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *places, *meeting, quick]
    with open(folder / output, "ab") as file:
        return subprocess.Popen(
            [*launcher, "--max-restarts=9", *words],
            cwd=folder,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def processes_of(agent: subprocess.Popen[bytes]) -> list[int]:
    """The training processes that an agent has started."""
    tasks = Path(f"/proc/{agent.pid}/task").glob("*/children")
    return [int(pid) for path in tasks for pid in path.read_text().split()]


def kill_machine(agent: subprocess.Popen[bytes]) -> None:
    """End an agent and its processes at once; torchrun gives each a group of its own."""
    for pid in (agent.pid, *processes_of(agent)):
        os.kill(pid, signal.SIGKILL)
    agent.wait()


def wait_for_checkpoint(store: Path, at_least: int, timeout: float = 300) -> None:
    deadline = time.monotonic() + timeout
    while max((max(checkpoints(store / str(r)), default=0) for r in runs(store)), default=0) < (
        at_least
    ):
        assert time.monotonic() < deadline, (store.parent / "out.txt").read_text()
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(*agents: subprocess.Popen[bytes]) -> None:
    for agent in agents:
        if agent.poll() is None:
            kill_machine(agent)


def last_run(store: Path) -> Path:
    return store / str(max(runs(store)))


def test_a_killed_process_goes_on_with_its_own_run_and_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        KIND.prepare(tmp_path / name)
    whole = torchrun(tmp_path / "whole", "calm")
    agent = torchrun(tmp_path / "killed", "tried", "resume=elastic")
    store = tmp_path / "killed" / "runs"
    try:
        wait_for_checkpoint(store, 10)
        os.kill(processes_of(agent)[0], signal.SIGKILL)
        assert agent.wait(timeout=300) == whole.wait(timeout=300) == 0
    finally:
        end(agent, whole)
    ended = last_run(store)
    assert ended.name == "2"
    record = open_run(ended)
    assert record.info["resumed_from"]["run"] == str(store / "1")
    assert record.entry["meta"]["rendezvous"] == "tried"
    reference = final_state(tmp_path / "whole" / "runs" / "1")
    assert reference["iteration"] == TOTAL
    assert differences(reference, final_state(ended)) == []


@pytest.mark.slow
def test_two_machines_killed_at_random_end_with_the_bits_of_two_that_were_not(
    tmp_path: Path,
) -> None:
    """One that comes back, a process that its agent starts again, and both: typed again."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        KIND.prepare(tmp_path / name)
    draw = random.Random(int(os.environ.get("TMD_TEST_SEED", 0)))

    def machines(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
        options: dict[str, Any] = {"nodes": 2, "port": port}
        first = torchrun(folder, folder.name, "resume=elastic", **options)
        return [first, second_machine(folder, port)]

    def second_machine(folder: Path, port: int) -> subprocess.Popen[bytes]:
        return torchrun(
            folder, folder.name, "resume=elastic", nodes=2, port=port, output="second.txt"
        )

    agents = machines(tmp_path / "whole", free_port())
    try:
        assert [agent.wait(timeout=600) for agent in agents] == [0, 0]
    finally:
        end(*agents)
    folder, port = tmp_path / "killed", free_port()
    store = folder / "runs"
    agents = machines(folder, port)
    try:
        wait_for_checkpoint(store, draw.choice([5, 6, 10]))
        time.sleep(draw.uniform(0, 0.2))
        kill_machine(agents[1])
        agents[1] = second_machine(folder, port)
        wait_for_checkpoint(store, draw.choice([15, 18, 20]))
        time.sleep(draw.uniform(0, 0.2))
        os.kill(processes_of(agents[draw.randrange(2)])[0], signal.SIGKILL)
        wait_for_checkpoint(store, draw.choice([24, 25, 30]))
        end(*agents)
        agents = machines(folder, free_port())
        assert [agent.wait(timeout=600) for agent in agents] == [0, 0]
    finally:
        end(*agents)
    ended = last_run(store)
    said = (folder / "out.txt").read_text()
    assert open_run(ended).info["device"]["processes"] == 2
    assert len(runs(store)) >= 4, said
    reference = final_state(last_run(tmp_path / "whole" / "runs"))
    assert reference["iteration"] == TOTAL
    assert differences(reference, final_state(ended)) == []


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of this id and of others, by the state in which they were left."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    record(tmp_path / "1", "mine", checkpoint=True)
    record(tmp_path / "2", "mine", checkpoint=True, experiment="ambientgan")
    record(tmp_path / "3", "other", checkpoint=True)
    record(tmp_path / "4", "mine", checkpoint=False)
    record(tmp_path / "5", None, checkpoint=True)
    (tmp_path / "6").mkdir()
    return tmp_path


def record(
    folder: Path,
    name: str | None,
    checkpoint: bool,
    experiment: str = "srgan",
    status: str = "RUNNING",
) -> None:
    folder.mkdir()
    artifacts = ["checkpoint_00000005.pt"] if checkpoint else []
    meta = {} if name is None else {"rendezvous": name}
    entry = {"experiment": {"name": experiment}, "meta": meta, "artifacts": artifacts}
    (folder / "run.json").write_text(json.dumps({**entry, "status": status}))
    for file in artifacts:
        (folder / file).touch()


def test_elastic_is_the_newest_run_of_the_id_that_has_a_checkpoint(store: Path) -> None:
    typed = {"resume": "elastic", "scale": 2}
    found = with_the_interrupted(typed, str(store), "srgan")
    assert found == {"resume": str(store / "1"), "scale": 2}


def test_without_a_run_of_the_id_a_new_one_begins(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "new")
    typed = {"resume": "elastic", "scale": 2}
    assert with_the_interrupted(typed, str(store), "srgan") == {"scale": 2}
    assert with_the_interrupted(typed, str(store / "none"), "srgan") == {"scale": 2}


def test_a_machine_that_comes_back_to_a_finished_run_is_done(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(store / "7", "mine", checkpoint=True, status="COMPLETED")
    with pytest.raises(SystemExit) as ended:
        with_the_interrupted({"resume": "elastic"}, str(store), "srgan")
    assert ended.value.code == 0
    assert capsys.readouterr().err == ("run 7 of --rdzv-id=mine is finished; resume=7 goes on\n")


@pytest.mark.parametrize("name", [None, "none"])
def test_elastic_without_an_id_is_refused(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if name is not None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", name)
    with pytest.raises(UserError, match=r"^resume=elastic: .*--rdzv-id=NAME"):
        with_the_interrupted({"resume": "elastic"}, str(tmp_path), "srgan")
