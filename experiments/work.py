"""Take queued runs one by one, and run them.

    python experiments/srgan.py -q with bsds500 scale=4
    python experiments/work.py
    python experiments/work.py -m mongodb://host/runs with runs=1

Any experiment can be queued by Sacred's `-q`, with `-P 2` before others. Several workers, on
several machines, may take from one store: each run is begun by one of them, as it was queued, and
keeps its number. A run whose process was killed is gone on with by the next worker. One that can't
be begun is marked FAILED, and says why.
"""

from __future__ import annotations

import codecs
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.command import scripts
from experiments.support.experiment import Experiment
from experiments.support.saying import say
from experiments.support.start import DEFAULT_STORE, QUEUE_AFTER, QUEUE_ITEM
from observers import RunRecord, without_credentials
from observers.queues import Queue, item_of, meta_of, open_queue
from tmd.checkpoints import checkpoints_in
from tmd.errors import UserError, check_choice, check_number

ex = Experiment("work")
ex.recorded = False
ex.reads_store = True

#: Seconds between two looks at an empty queue.
PATIENCE = 2.0
#: Runs over which processes may end, that go on with one another, before the last is left as it is.
TRIES = 10
#: Characters of a process's last words that may be its reason.
LAST_WORDS = 2000
#: Bytes of what a process has said that are kept in its file.
MOST_SAID = 1 << 20


@ex.config
def config():
    runs = None  # how many to take; None: any number
    until = None  # empty: end when nothing waits; None: wait for more


@ex.check
def check(runs: int | None, until: str | None) -> None:
    if runs is not None:
        check_number("runs", runs, 1, integer=True)
    if until is not None:
        check_choice("until", until, ("empty",))


@ex.main
def work(runs: int | None, until: str | None) -> dict[str, int]:
    """Run what waits in the store; the number of runs that were taken."""
    queue = open_queue(ex.store)
    taken = 0
    while runs is None or taken < runs:
        if take_one(queue):
            taken += 1
        elif until == "empty":
            break
        else:
            time.sleep(PATIENCE)
    print(f"{taken} runs taken from {without_credentials(ex.store)}")
    return {"taken": taken}


def take_one(queue: Queue) -> bool:
    """Run the first that waits and that no other worker has; False if there is none."""
    for record in queue.waiting():
        if attempts(queue, record) > TRIES:
            continue
        with queue.claimed(record) as mine:
            if mine:
                begin(queue, record)
                return True
    return False


def attempts(queue: Queue, record: RunRecord) -> int:
    """The number of runs of the queue's item that ``record`` is of."""
    if record.status == "QUEUED":
        return 0
    return sum(item_of(other) == item_of(record) for other in queue.store.records())


def begin(queue: Queue, record: RunRecord) -> None:
    """Run it in a process of its own, or mark it as one that can't be."""
    name = record.entry["experiment"]["name"]
    print(f"run {record.id}: {name}, {record.status}", flush=True)
    try:
        if name not in scripts():
            raise UserError(f"{name}: no such experiment ({', '.join(scripts())})")
        why = run_process(record, name)
    except UserError as problem:
        why = str(problem)
    if why:
        say(f"run {record.id}: {why}")
        queue.fail(record, why)


def run_process(record: RunRecord, name: str) -> str:
    """Run the process of a queued or killed run to its end; its last line if it failed."""
    is_new = record.status == "QUEUED"
    resumes = not is_new and bool(checkpoints_in(record.artifacts()))
    with tempfile.TemporaryDirectory(prefix="tmd-work-") as folder:
        file = Path(folder, "config.json")
        file.write_text(json.dumps({k: v for k, v in record.config.items() if k != "__doc__"}))
        words = [f"resume={record.id}"] if resumes else [str(file)]
        number = ["-i", str(record.id)] if is_new else []
        command = [sys.executable, "-m", f"experiments.{name}", record.entry["command"]]
        wanted = meta_of(record).get("folder")
        said = Path(folder, "said.txt")
        with open(said, "ab") as output:  # not a pipe, which would break with this process
            process = subprocess.Popen(
                [*command, *store_words(), *number, "with", *words],
                cwd=wanted if wanted and os.path.isdir(wanted) else None,
                env={**os.environ, **store_variables(), **queue_variables(record)},
                stderr=output,
            )
        last = follow(process, said)
    return "" if process.returncode == 0 else last or f"exit {process.returncode}"


def queue_variables(record: RunRecord) -> dict[str, str]:
    """Variables that tell a run which of the queue it is, and which killed one it goes on with."""
    after = {} if record.status == "QUEUED" else {QUEUE_AFTER: str(record.id)}
    return {QUEUE_ITEM: str(item_of(record)), **after}


def follow(process: subprocess.Popen[bytes], said: Path) -> str:
    """Pass on what a process says until it ends; its last line. It ends with this one's block.

    Args:
        said: the file that it appends to; what has been passed on is taken out at times.
    """
    last = ""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        with open(said, "rb+", buffering=0) as file:
            while True:
                ended = process.poll() is not None
                text = decoder.decode(file.read())
                print(text, end="", file=sys.stderr, flush=True)
                last = (last + text)[-LAST_WORDS:]
                if ended:
                    break
                if file.tell() > MOST_SAID:
                    file.truncate(0)
                    file.seek(0)
                time.sleep(0.05)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    lines = [line.strip() for line in last.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""


def store_words() -> list[str]:
    """Options by which a process records to the store that is worked for."""
    folder = ex.stores.get("--file_storage")
    if folder is None and ex.stores.get("--mongo_db") is None:
        folder = DEFAULT_STORE
    return [] if folder is None else ["-F", os.path.abspath(folder)]


def store_variables() -> dict[str, str]:
    """Variables for the same; an address may hold a password, which no list of processes shows."""
    url = ex.stores.get("--mongo_db")
    return {} if url is None else {"TMD_MONGO_URL": url}


if __name__ == "__main__":
    ex.run_commandline()
