"""A Sacred experiment of a few seconds that records what a training records; run by the tests.

``python small_experiment.py with seconds=2``; the stores come from ``FILES`` and ``MONGO``.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sacred import SETTINGS, Experiment

from observers import RunArtifacts, create_observers, open_run, tidy_output

SETTINGS.CAPTURE_MODE = "sys"
SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False
SETTINGS.HOST_INFO.INCLUDE_CPU_INFO = False
# A shell starts what it puts in the background with SIGINT ignored, and the tests with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
ex = Experiment("small", save_git_info=False)
ex.captured_out_filter = tidy_output
ex.observers.extend(create_observers(os.environ.get("FILES"), os.environ.get("MONGO")))
for observer in ex.observers:
    observer.recording.metrics_interval = float(os.environ.get("INTERVAL", "120"))


ex.add_config(
    seconds=1.0,
    until=None,  # a file whose appearance ends the run instead
    names=3,
    pause=0.01,  # seconds between two points of each metric
    checkpoint_every=20,  # points
    size=1000,  # floats of a checkpoint
    lr=1e-3,
    ending="completed",
    resume=None,
    note=None,
)


@ex.main
def main(_run, seconds, until, names, pause, checkpoint_every, size, ending, resume, seed):
    artifacts = RunArtifacts(_run)
    state = np.random.default_rng(seed).standard_normal(size)
    step = 0
    if resume is not None:
        parent = open_run(resume, store=os.environ.get("FILES") or os.environ["MONGO"])
        name = parent.artifacts()[-1]
        with parent.open(name) as file:
            state = np.load(file)
        step = int(name[len("checkpoint_") : -len(".npy")])
        _run.info["resumed_from"] = parent.spec
    first = step
    kept: list[str] = []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as scratch:
        while not os.path.exists(until) if until else time.monotonic() < end:
            step += 1
            state = state * 0.9 + step
            for index in range(names):
                _run.log_scalar(f"metric.{index}", float(step + index), step)
            print(f"\rstep {step}", end="", flush=True)
            if step % checkpoint_every == 0:
                path = Path(scratch, "state.npy")
                np.save(path, state)
                name = f"checkpoint_{step:08d}.npy"
                if artifacts.save(name, path):
                    kept.append(name)
                    if os.environ.get("TELL"):
                        print(f"\nSAVED {name}", flush=True)
                while len(kept) > 2:
                    artifacts.remove(kept.pop(0))
            time.sleep(pause)
    print()
    if ending == "exception":
        raise RuntimeError("the end")
    if ending != "completed":
        os.kill(os.getpid(), getattr(signal, ending))
        time.sleep(10)
    return {"steps": step - first, "last": step}


if __name__ == "__main__":

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    ex.run_commandline(sys.argv)
