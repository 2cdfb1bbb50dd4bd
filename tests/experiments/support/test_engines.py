"""Workers that engines start: processes that say what they were given and how they ended."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.support.engines import Engine, Worker, create_engine, end, wait_for
from experiments.support.engines.local import share
from tmd.errors import Interrupted, UserError, raise_interrupted

#: Prints its environment as JSON.
TELLING = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]

#: Says when it is ready, and with `saved` that it was asked to end.
PATIENT = """
import signal, subprocess, sys, time
def asked(*_):
    print("saved", flush=True)
    sys.exit(128 + signal.SIGTERM)
signal.signal(signal.SIGTERM, asked)
print("ready", flush=True)
time.sleep(300)
"""
#: Cannot be asked, and has a process of its own.
DEAF = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("child", child.pid, flush=True)
time.sleep(300)
"""


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *words]


def until_printed(text: str, workers: Sequence[Worker], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not all(w.output.exists() and text in w.output.read_text() for w in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, timeout: float = 20) -> bool:
    deadline = time.monotonic() + timeout
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")


def test_each_local_worker_gets_its_share_and_what_is_given(
    tmp_path: Path, two_gpus: None, capfd: pytest.CaptureFixture[str]
) -> None:
    workers = create_engine("local").start(TELLING, 2, {"GIVEN": "yes"}, tmp_path / "out")
    assert wait_for(workers) == [0, 0]
    told = [json.loads(worker.output.read_text()) for worker in workers]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in told] == ["GPU-a", "GPU-b"]
    assert [each["TMD_WORKER"] for each in told] == ["1", "2"]
    assert {(each["OMP_NUM_THREADS"], each["GIVEN"]) for each in told} == {("1", "yes")}
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"worker {w.number}: {w.place}, output in {w.output}" for w in workers]


@pytest.mark.parametrize("count", [2, 3, 5, 8, 11])
def test_shares_use_all_gpus_and_no_core_twice(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [str(i) for i in range(8)]
    shares = [share(n, count, 16, gpus) for n in range(1, count + 1)]
    given = [gpu for each in shares for gpu in each["CUDA_VISIBLE_DEVICES"].split(",")]
    assert sorted(set(given)) == gpus
    assert len(given) == max(count, 8)
    assert sum(int(each["OMP_NUM_THREADS"]) for each in shares) <= 16


def test_the_only_worker_has_the_whole_machine() -> None:
    assert share(1, 1, 16, ["0", "1"]) == {}


def test_a_dead_worker_is_told_of_and_takes_its_children_along(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = python(DEAF, "import time; time.sleep(300)")
    workers = create_engine("local").start(command, 1, {}, tmp_path)
    until_printed("child", workers)
    child = int(workers[0].output.read_text().split()[1])
    os.kill(int(workers[0].place.split()[1]), signal.SIGKILL)
    assert wait_for(workers) == [-signal.SIGKILL]
    assert f"worker 1 was ended by SIGKILL: see {workers[0].output}" in capfd.readouterr().err
    assert ends(child)


def test_workers_that_fail_leave_the_others_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import os, sys, time; time.sleep(.3); sys.exit(3 * (os.environ['TMD_WORKER'] == '2'))"
    workers = create_engine("local").start(python(code), 3, {}, tmp_path)
    assert wait_for(workers) == [0, 3, 0]
    said = capfd.readouterr().err
    assert said.count("ended with") == said.count("worker 2 ended with exit code 3") == 1


def test_who_waits_takes_all_workers_along_and_they_may_save_first(tmp_path: Path) -> None:
    """Both by a signal that raises, as the scripts have it, and by an error while waiting."""
    workers = create_engine("local").start(python(PATIENT), 2, {}, tmp_path)

    def interrupt() -> None:
        until_printed("ready", workers)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    previous = signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        with pytest.raises(Interrupted):
            wait_for(workers, interrupt)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert [worker.output.read_text().split() for worker in workers] == [["ready", "saved"]] * 2
    assert [worker.poll() for worker in workers] == [128 + signal.SIGTERM] * 2


def test_a_worker_that_will_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    deaf_child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"
    workers = create_engine("local").start(python(DEAF, deaf_child), 1, {}, tmp_path)
    until_printed("child", workers)
    child = int(workers[0].output.read_text().split()[1])

    def fail() -> None:
        raise UserError("nothing to wait for")

    with pytest.raises(UserError):
        wait_for(workers, fail, grace=0.3)
    assert workers[0].poll() == -signal.SIGKILL
    assert ends(child)


def test_workers_of_two_starts_print_into_files_of_their_own(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from experiments.support.engines import create_engine, wait_for; "
        "e = create_engine('local'); "
        "sys.exit(any(wait_for(e.start([sys.executable, '-c', ''], 2, {}, Path(sys.argv[1])))))"
    )
    for _ in range(2):
        subprocess.run(python(code, str(tmp_path)), check=True, capture_output=True)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.fixture
def slurm() -> Engine:
    """Submitit's own executor for one machine, which starts jobs as Slurm would."""
    return create_engine("slurm", {"cluster": "local"})


def test_a_worker_in_a_job_ends_with_its_code_and_is_asked_before_it_is_killed(
    slurm: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMD_MONGO_URL", "mongodb://127.0.0.1/db")
    code = (
        "import os, sys; print(dict(os.environ)); sys.exit(3 * (os.environ['TMD_WORKER'] == '2'))"
    )
    failing = slurm.start(python(code), 2, {"GIVEN": "yes"}, tmp_path)
    patient = slurm.start(python(PATIENT), 1, {}, tmp_path / "patient")
    assert wait_for(failing) == [0, 3]
    for worker in failing:
        assert "'GIVEN': 'yes'" in worker.output.read_text()
        assert "'TMD_MONGO_URL': 'mongodb://127.0.0.1/db'" in worker.output.read_text()
    until_printed("ready", patient)
    end(patient)
    assert patient[0].output.read_text().split() == ["ready", "saved"]
    assert patient[0].poll() == 128 + signal.SIGTERM
    assert not list(tmp_path.rglob("*.stop"))


def test_a_job_that_is_wanted_elsewhere_saves_and_is_queued_again(
    slurm: Engine, tmp_path: Path
) -> None:
    """What the signal is that a job gets before its time is over or its machine is taken."""
    code = (
        "import sys, pathlib; mark = pathlib.Path(sys.argv[1])\n"
        "if mark.exists(): print('again', flush=True); sys.exit(0)\n"
        f"mark.touch()\n{PATIENT}"
    )
    workers = slurm.start(python(code, str(tmp_path / "mark")), 1, {}, tmp_path)
    until_printed("ready", workers)
    (controller,) = (int(worker.place.split()[1]) for worker in workers)
    children = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGUSR2)
    assert wait_for(workers) == [0]
    assert workers[0].output.read_text().split() == ["ready", "saved", "again"]


@pytest.mark.slow
def test_workers_in_a_ray_cluster_on_this_machine(tmp_path: Path) -> None:
    """In a process of its own, to which Ray is connected; it listens to this machine alone."""
    script = tmp_path / "script.py"
    script.write_text(RAY.replace("PATIENT", repr(PATIENT)))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["codes"] == [0, 3]
    assert told["ended"] == [[128 + signal.SIGTERM, "ready saved"]] * 2
    assert told["killed"] == [-signal.SIGKILL, 128 + signal.SIGTERM]
    assert {address.rpartition(":")[0] for address in told["listening"]} <= LOOPBACK
    assert all(ends(pid) for pid in told["pids"])


#: This machine alone, as /proc/net has it.
LOOPBACK = {"0100007F", "0" * 24 + "01000000", "0000000000000000FFFF00000100007F"}

RAY = """
import json, os, signal, sys, time
from pathlib import Path
from experiments.support.engines import create_engine, end, wait_for

def ready(workers):
    while not all(w.output.exists() and "ready" in w.output.read_text() for w in workers):
        time.sleep(0.05)

def listening():
    text = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return {row.split()[1] for row in text.splitlines() if row.split()[3] == "0A"}

folder, engine = Path(sys.argv[1]), create_engine("ray")
before = listening()
code = "import os, sys; sys.exit(3 * (os.environ['TMD_WORKER'] == '2'))"
codes = wait_for(engine.start([sys.executable, "-c", code], 2, {}, folder / "a"))
workers = engine.start([sys.executable, "-c", PATIENT], 2, {}, folder / "b")
ready(workers)
end(workers)
ended = [[w.poll(), " ".join(w.output.read_text().split())] for w in workers]
workers = engine.start([sys.executable, "-c", PATIENT], 2, {}, folder / "c")
ready(workers)
pids = [int(w.place.split()[1]) for w in workers]
new = sorted(listening() - before)
os.kill(pids[0], signal.SIGKILL)
while workers[0].poll() is None:
    time.sleep(0.05)
end(workers)
killed = [w.poll() for w in workers]
left = engine.start([sys.executable, "-c", PATIENT], 1, {}, folder / "d")
ready(left)
engine.close()
pids.append(int(left[0].place.split()[1]))
told = {"codes": codes, "ended": ended, "killed": killed, "pids": pids, "listening": new}
print(json.dumps(told))
"""


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_whose_package_is_absent_says_how_to_get_it(
    engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == package else real(name, *a)
    )
    with pytest.raises(UserError) as problem:
        create_engine(engine)
    expected = f"engine={engine}: needs {package}; pip install 'tmd[{engine}]' brings it"
    assert str(problem.value) == expected


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("cloud", None, "engine='cloud': must be one of local"),
        ("local", {"gpus": 2}, "engine_options.gpus: no option of engine=local (it takes none)"),
        (
            "slurm",
            {"partitions": "a"},
            "engine_options.partitions: no option of engine=slurm (part",
        ),
        ("slurm", {"time": 0}, "engine_options.time=0: must be an integer"),
        ("ray", {"cpus": "many"}, "engine_options.cpus='many': must be a"),
        ("ray", {"address": 6379}, "engine_options.address=6379: must be HOST:PORT"),
        ("local", 3, "engine_options=3: must be options by name"),
    ],
)
def test_what_is_no_engine_is_refused_in_a_line(name: str, options: object, said: str) -> None:
    with pytest.raises(UserError) as problem:
        create_engine(name, options)  # type: ignore[arg-type]
    assert str(problem.value).startswith(said)


def test_a_program_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a worker can't be started: .*no-such-program"):
        create_engine("local").start(["no-such-program"], 2, {}, tmp_path)


def test_slurm_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"engine=slurm: .*slurm"):
        create_engine("slurm").start(TELLING, 1, {}, tmp_path)
