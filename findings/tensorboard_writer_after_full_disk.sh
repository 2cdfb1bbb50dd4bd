#!/usr/bin/env bash
# tensorboard 2.21.0's EventFileWriter never writes again after one failed write, and closes in peace.
#
# Its thread ends at the first OSError, say of a disk that is full for a moment. The event that could
# not be written is lost, though add_event() had taken it without an error. Afterwards every
# add_event() and flush() raises that same old error, also when there is room again: whoever
# catches it and goes on loses everything from there to the end of the run, while close() raises
# nothing. Of the record that was cut short the beginning stays in the file, and readers stop there
# in silence. (torch's SummaryWriter is built upon this class.)
#
# Here a limit on the size of files stands for the full disk; it is lifted again in the middle.
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     events 0 to 9: taken, written
#     no room: event 10 taken; events 11 to 14 raise OSError
#     room again: events 15 to 19 raise OSError, flush() raises OSError, close() raises nothing
#     read back: events 0 to 9; bytes behind the last whole record: 20
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet tensorboard==2.21.0 "setuptools<82" numpy==2.4.6
cd "$work"
venv/bin/python - << 'END'
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails with an error
threading.excepthook = lambda args: print("  thread ended:", args.exc_value)
writer = EventFileWriter("events", flush_secs=1)
(path,) = Path("events").iterdir()


def raised(method, *values):
    try:
        method(*values)
    except OSError as error:
        return type(error).__name__
    return None


def add(steps):
    problems = []
    for step in steps:
        summary = Summary(value=[Summary.Value(tag="loss", simple_value=step)])
        problems.append(raised(writer.add_event, Event(step=step, summary=summary)))
        time.sleep(0.2)
    print(f"events {steps[0]} to {steps[-1]}: {problems}")
    return problems


ample = add(range(10))
writer.flush()
whole = path.stat().st_size
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 20, limit[1]))
full = add(range(10, 11))
time.sleep(2)
full += add(range(11, 15))
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
again = add(range(15, 20))
end = [raised(writer.flush), raised(writer.close)]
print(f"flush, close: {end}")
steps = [event.step for event in EventFileLoader(str(path)).Load() if event.HasField("summary")]
rest = path.stat().st_size - whole
print(f"read back: {steps}; bytes behind the last whole record: {rest}")

as_told = (
    ample == [None] * 10
    and full == [None] + ["OSError"] * 4
    and again == ["OSError"] * 5
    and end == ["OSError", None]
    and steps == list(range(10))
    and rest == 20
)
sys.exit(0 if as_told else "it has changed")
END
