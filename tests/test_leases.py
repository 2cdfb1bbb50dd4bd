"""Leases: one living holder a name, whatever becomes of it, by the file system's clock alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tmd import leases
from tmd.errors import UserError
from tmd.leases import Leases, LostLease

TAKE = """
import sys, time
from pathlib import Path
from tmd.leases import Leases
folder, stale, log = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
while not (folder / "go").exists():
    time.sleep(0.001)
lease = Leases(folder, stale).take("one")
print("taken" if lease else "refused", flush=True)
sys.stdin.readline()
print("held" if lease and lease.held else "lost", flush=True)
sys.stdin.readline()
"""


def start(folder: Path, stale: float) -> subprocess.Popen:
    command = [sys.executable, "-c", TAKE, str(folder), str(stale), "-"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answers(processes: list[subprocess.Popen]) -> list[str]:
    return [process.stdout.readline().strip() for process in processes]


def ask(process: subprocess.Popen) -> str:
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.fixture
def started():
    processes: list[subprocess.Popen] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def race(processes: list[subprocess.Popen], folder: Path, stale: float, number: int) -> list[str]:
    (folder / "go").unlink(missing_ok=True)
    racing = [start(folder, stale) for _ in range(number)]
    processes += racing
    time.sleep(0.3)
    (folder / "go").touch()
    return answers(racing)


def as_if_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder of whom only its signs of life are known, as of one on another machine."""
    monkeypatch.setattr(leases, "is_alive", lambda holder: None)


def test_of_many_that_race_one_has_it_and_after_its_kill_exactly_one_more(tmp_path, started):
    assert sorted(race(started, tmp_path, 60, 8)) == ["refused"] * 7 + ["taken"]
    [holder] = [process for process in started if ask(process) == "held"]
    assert Leases(tmp_path).take("one") is None
    assert Leases(tmp_path).holder("one")["pid"] == holder.pid
    second = Leases(tmp_path).take("two")
    assert second is not None
    holder.kill()
    holder.wait()
    assert sorted(race(started, tmp_path, 60, 8)) == ["refused"] * 7 + ["taken"]


MANY = """
import sys, time
from tmd.leases import Leases
store = Leases(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
taken = [name for name in range(int(sys.argv[2])) if store.take(str(name))]
print(*taken, flush=True)
sys.stdin.readline()
"""


def test_many_names_that_many_race_for_are_each_had_by_one(tmp_path, started):
    command = [sys.executable, "-c", MANY, str(tmp_path), "300"]
    for _ in range(6):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes))
    assert answers(started) == ["ready"] * 6
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    taken = [list(map(int, answer.split())) for answer in answers(started)]
    assert sorted(name for names in taken for name in names) == list(range(300))
    assert sum(map(bool, taken)) > 1, "nobody raced"


def test_a_holder_that_stood_still_too_long_finds_that_it_lost_it(tmp_path, started, monkeypatch):
    as_if_elsewhere(monkeypatch)
    assert race(started, tmp_path, 1.0, 1) == ["taken"]
    [holder] = started
    time.sleep(1.5)
    # A patient one is told by the holder's own word how long to wait.
    assert Leases(tmp_path, stale_after=0.1).take("one") is None
    os.kill(holder.pid, signal.SIGSTOP)
    time.sleep(0.5)
    assert Leases(tmp_path, stale_after=0.1).take("one") is None
    time.sleep(1.0)
    mine = Leases(tmp_path).take("one")
    assert mine.number == 2
    os.kill(holder.pid, signal.SIGCONT)
    assert ask(holder) == "lost"
    time.sleep(0.5)
    assert mine.held
    assert Leases(tmp_path).holder("one")["pid"] == os.getpid()


def test_a_holder_that_was_late_gives_up_before_anybody_has_taken_it(tmp_path, monkeypatch):
    lease = Leases(tmp_path, stale_after=60).take("one")
    now = leases._clock()
    monkeypatch.setattr(leases, "_clock", lambda: now + 50)
    with pytest.raises(LostLease, match="one: another process may have taken it over"):
        lease.check()
    monkeypatch.undo()
    assert not lease.held, "what was lost comes back"


def test_the_clocks_of_machines_are_not_asked(tmp_path, monkeypatch):
    as_if_elsewhere(monkeypatch)
    lease = Leases(tmp_path, stale_after=5).take("one")
    for wrong in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        assert Leases(tmp_path, stale_after=5).take("one") is None
    lease.release()
    assert not lease.held


def test_what_is_released_is_free_at_once_and_old_numbers_go(tmp_path):
    store = Leases(tmp_path)
    for number in range(1, 31):
        with store.take("one") as lease:
            assert lease.number == number
            assert store.take("one") is None
        assert store.holder("one") is None
    assert len(os.listdir(tmp_path / "one")) <= leases.KEPT + 2


def test_one_that_comes_with_a_number_of_long_ago_is_refused(tmp_path, monkeypatch):
    store = Leases(tmp_path)
    for _ in range(20):
        store.take("one").release()
    seen = iter([3])
    highest = leases._highest
    monkeypatch.setattr(leases, "_highest", lambda folder: next(seen, None) or highest(folder))
    monkeypatch.setattr(store, "_is_free", lambda path: True)
    assert store.take("one") is None
    assert "4" not in os.listdir(tmp_path / "one")


def test_a_process_that_ended_and_that_nobody_waited_for_is_not_alive():
    from tmd.processes import is_alive

    say = "import json; from tmd.processes import this_process; print(json.dumps(this_process()))"
    process = subprocess.Popen([sys.executable, "-c", say], stdout=subprocess.PIPE)
    described = json.loads(process.stdout.read())
    for _ in range(100):
        if not is_alive(described):
            break
        time.sleep(0.05)
    assert is_alive(described) is False
    process.wait()


def test_a_file_of_a_holder_that_died_while_it_wrote_it_is_waited_for_and_then_free(
    tmp_path, monkeypatch
):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "1").write_bytes(b"{half")
    assert Leases(tmp_path).take("one") is None
    assert Leases(tmp_path).holder("one") == {}
    os.utime(tmp_path / "one" / "1", (0, 0))
    assert Leases(tmp_path).take("one").number == 2


def test_a_lease_whose_folder_is_deleted_is_lost_without_a_word(tmp_path):
    import shutil

    lease = Leases(tmp_path / "leases", stale_after=0.5).take("one")
    shutil.rmtree(tmp_path / "leases")
    time.sleep(0.3)
    assert not lease.held
    lease.release()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a lease's name is of"):
        Leases(tmp_path).take(name)


def test_a_time_that_can_not_be_is_refused(tmp_path):
    with pytest.raises(UserError, match="stale_after=0"):
        Leases(tmp_path, stale_after=0)
