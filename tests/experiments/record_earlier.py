"""Record runs of an earlier build that later ones must be able to go on with.

    python tests/experiments/record_earlier.py 82141d9

Takes the build from git, and for each of `kinds.KINDS` leaves in ``earlier/KIND``: ``run``, the
record of a run that was killed by SIGKILL (its newest checkpoint and its best network; no sources,
no output), and ``end.pt``, how the same build ended when nobody killed it. ``earlier/exported`` has
a network in the formats that it exported. `test_earlier_runs.py` goes on with all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from kill_and_resume import (
    ROOT,
    begin_parent,
    checkpoints,
    environment,
    final_state,
    train,
    train_and_surely_kill,
)
from kinds import KINDS, PHASES, TOTAL, Kind

from tmd.hardware import device_name

EARLIER = Path(__file__).with_name("earlier")
#: The formats that can be read back, and the files' names.
EXPORTED = {"safetensors": "weights.safetensors", "half": "half.pt"}
#: Of what a checkpoint holds, what is compared where other processors round otherwise.
WEIGHTS = ("generator", "ema", "discriminator")
#: Of what a checkpoint holds for its handlers, what must be equal to the bit on the same processor.
HANDLERS = ("optimizer_g", "optimizer_d", "average", "history")
#: What is copied of a run's folder if it is there, besides ``run.json``: a run that was killed
#: within its first seconds has not written all of it.
RECORD = ("config.json", "info.json", "metrics.json", "best.pt")


def extract_build(commit: str, folder: Path) -> Path:
    """Put the files of ``commit`` into ``folder``, and return that.

    Raises:
        LookupError: the repository does not have that commit.
    """
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise LookupError(f"no commit {commit} in {ROOT}: {archive.stderr.decode().strip()}")
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def ended_and_killed(kind: Kind, folder: Path, build: Path) -> tuple[Path, Path]:
    """Train a run of ``kind`` to the end with ``build``, and kill another one by SIGKILL.

    Returns:
        The folders of both.
    """
    kind.prepare(folder)
    if kind.parent is not None:
        begin_parent(kind, folder, build)
    ended = train(kind.script, folder / "ended", *kind.updates, root=build, folder=folder)
    store, first = folder / "runs", PHASES[kind.phase]
    killed, _ = train_and_surely_kill(
        kind.script, store, first, TOTAL, *kind.updates, root=build, folder=folder
    )
    return ended, killed


def place() -> dict[str, str]:
    """Return what the bits of a result depend on."""
    return {"processor": device_name(torch.device("cpu")), "torch": str(torch.__version__)}


def digest(state: dict[str, Any]) -> str:
    """Return a hash of a final state's networks, optimisers, average and history, to the bit."""
    parts = [state[key] for key in WEIGHTS]
    parts += [state["trainer"].get(key) for key in HANDLERS]
    sum_ = hashlib.sha256()
    for tensor in tensors(parts):
        sum_.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        sum_.update(tensor.contiguous().numpy().tobytes())
    return sum_.hexdigest()


def tensors(state: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of a nested state, mappings in the order of their keys' texts."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for key in sorted(state, key=str):
            yield from tensors(state[key])
    elif isinstance(state, (list, tuple)):
        for each in state:
            yield from tensors(each)


def record(killed: Path, target: Path) -> None:
    """Copy what resuming needs of a run's folder."""
    target.mkdir(parents=True)
    newest = f"checkpoint_{max(checkpoints(killed)):08d}.pt"
    copied = [name for name in (*RECORD, newest) if (killed / name).exists()]
    for name in copied:
        shutil.copy(killed / name, target / name)
    run: dict[str, Any] = json.loads((killed / "run.json").read_text())
    run["artifacts"] = [name for name in copied if name.endswith(".pt")]
    run["host"] = {"hostname": "earlier"}
    run["meta"] = {"command_line": Path(run["meta"]["command_line"]).name, "options": {}}
    run["experiment"] |= {"base_dir": "/earlier", "repositories": [], "sources": []}
    run["resources"] = []
    (target / "run.json").write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")


def export(ended: Path, build: Path) -> None:
    """Have the best network of a run exported by ``build``, and keep it beside what that gives."""
    target = EARLIER / "exported"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(ended / "best.pt", target)
    script = build / "experiments" / "export.py"
    for format, name in EXPORTED.items():
        words = [f"run={ended}", f"format={format}", f"output={target / name}"]
        subprocess.run(
            [sys.executable, str(script), "with", *words],
            cwd=build,
            env=environment(build),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def main() -> None:
    (commit,) = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch) / "cache")
        build = extract_build(commit, Path(scratch) / "build")
        for name, kind in KINDS.items():
            ended, killed = ended_and_killed(kind, Path(scratch) / name, build)
            if name == "srgan":
                export(ended, build)
            shutil.rmtree(EARLIER / name, ignore_errors=True)
            record(killed, EARLIER / name / "run")
            state = final_state(ended)
            end = {key: state[key] for key in WEIGHTS}
            torch.save(
                {"commit": commit, "digest": digest(state), **place(), **end},
                EARLIER / name / "end.pt",
            )
            print(f"{name}: killed after iteration {max(checkpoints(killed))}", flush=True)


if __name__ == "__main__":
    main()
