"""Runs of `torchrun` that lose processes and machines, here agents on loopback, and go on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from kill_and_resume import checkpoints, command, differences, environment, final_state, runs
from kinds import KINDS, TOTAL

from experiments.support.elastic import check_agreement, with_the_interrupted
from observers import open_run
from tmd.distributed import Share
from tmd.errors import UserError

KIND = KINDS["srgan"]

#: Of the run on two machines, which is killed more often: 168 iterations.
LONGER = "schedule.adversarial=150it"

Machine = subprocess.Popen[bytes]


def torchrun(folder: Path, name: str, *updates: str, options: Sequence[str] = ()) -> list[str]:
    """What is typed on a machine with one process."""
    words = command(KIND.script, folder / "runs", *KIND.updates, *updates)[1:]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1"]
    meeting = [f"--rdzv-id={name}", "--rdzv-backend=c10d", "--local-addr=127.0.0.1", *options]
    return [*launcher, *meeting, *words]


def started(words: Sequence[str], folder: Path, output: str = "out.txt") -> Machine:
    with open(folder / output, "ab") as file:
        return subprocess.Popen(
            words, cwd=folder, env=environment(), stdout=file, stderr=subprocess.STDOUT
        )


def machine(folder: Path, port: int, number: int) -> Machine:
    """One of two machines, which begins its command anew until it succeeds."""
    # Both have the address of the meeting, which only the first keeps.
    host = f"--rdzv-conf=is_host={int(number == 0)},join_timeout=120"
    options = ("--nnodes=2", f"--rdzv-endpoint=127.0.0.1:{port}", host, "--max-restarts=0")
    words = torchrun(folder, folder.name, "resume=elastic", LONGER, options=options)
    loop = ["bash", "-c", 'until "$@"; do sleep 1; done', "machine", *words]
    return started(loop, folder, f"out{number}.txt")


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have, the last ones last."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return [*found, *(each for child in found for each in descendants(child))]


def end(*machines: Machine) -> None:
    """End machines and all that runs there at once."""
    for each in machines:
        if each.poll() is None:
            for pid in (each.pid, *descendants(each.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            each.wait()


def trainings(each: Machine) -> list[int]:
    """The training processes of a machine."""
    return [pid for pid in descendants(each.pid) if b"srgan.py" in arguments(pid)[2:4]]


def arguments(pid: int) -> list[bytes]:
    try:
        return [
            w.rpartition(b"/")[2] for w in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
    except OSError:
        return []


def wait_for_checkpoint(store: Path, at_least: int, timeout: float = 300) -> None:
    deadline = time.monotonic() + timeout
    while max((max(checkpoints(store / str(r)), default=0) for r in runs(store)), default=0) < (
        at_least
    ):
        assert time.monotonic() < deadline, said(store.parent)
        time.sleep(0.02)


def said(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("out*.txt")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_run(store: Path) -> Path:
    return store / str(max(runs(store)))


def test_a_killed_process_goes_on_with_its_own_run_and_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    for name in ("whole", "killed"):
        KIND.prepare(tmp_path / name)
    options = ("--rdzv-endpoint=127.0.0.1:0", "--max-restarts=3")
    whole = started(torchrun(tmp_path / "whole", "calm", options=options), tmp_path / "whole")
    folder = tmp_path / "killed"
    tried = started(torchrun(folder, "tried", "resume=elastic", options=options), folder)
    store = folder / "runs"
    try:
        wait_for_checkpoint(store, 10)
        os.kill(trainings(tried)[0], signal.SIGKILL)
        assert tried.wait(timeout=300) == whole.wait(timeout=300) == 0
    finally:
        end(tried, whole)
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
    """A machine that comes back, a process that is lost, and both machines at once."""
    for name in ("whole", "killed"):
        KIND.prepare(tmp_path / name)
    draw = random.Random(int(os.environ.get("TMD_TEST_SEED", 0)))
    folder, port = tmp_path / "killed", free_port()
    store = folder / "runs"
    whole_port = free_port()
    whole = [machine(tmp_path / "whole", whole_port, number) for number in range(2)]
    machines: list[Machine] = []
    try:
        assert [each.wait(timeout=300) for each in whole] == [0, 0]
        machines = [machine(folder, port, number) for number in range(2)]
        wait_for_checkpoint(store, draw.randrange(5, 20))
        time.sleep(draw.uniform(0, 0.1))
        lost = draw.randrange(2)
        end(machines[lost])
        machines[lost] = machine(folder, port, lost)
        wait_for_checkpoint(store, draw.randrange(30, 60))
        time.sleep(draw.uniform(0, 0.1))
        os.kill(trainings(machines[draw.randrange(2)])[0], signal.SIGKILL)
        wait_for_checkpoint(store, draw.randrange(70, 110))
        end(*machines)
        machines = [machine(folder, port, number) for number in range(2)]
        assert [each.wait(timeout=300) for each in machines] == [0, 0]
    finally:
        end(*whole, *machines)
    ended = last_run(store)
    assert open_run(ended).info["device"]["processes"] == 2
    assert len(runs(store)) >= 4
    reference = final_state(last_run(tmp_path / "whole" / "runs"))
    assert reference["iteration"] == TOTAL + 132
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


class TwoProcesses(Share):
    """The second of two processes, the first of which has said something."""

    def agreed(self, text: str) -> str:
        return "run 1, iteration 10"

    def any(self, value: bool) -> bool:
        return value


def test_processes_that_would_go_on_from_other_checkpoints_do_not_go_on() -> None:
    share = TwoProcesses(1, 2)
    check_agreement(share, 1, 10)
    for run, iteration in ((1, 15), (2, 10), (None, None)):
        with pytest.raises(RuntimeError, match=r"other checkpoints: .*, and run 1, iteration 10"):
            check_agreement(share, run, iteration)
