"""Make an update again whose loss was not finite, and say where that began.

    python experiments/replay.py with file=runs/3/nonfinite_00000037.pt

A training that breaks leaves such a file: the batches, the states before the update, all draws. It
is enough; the images need not be at hand. The exit status is 0 if every number came again, to the
bit.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import torch

from experiments.support.devices import available_device
from experiments.support.experiment import Experiment
from experiments.support.training import session_options, start
from tmd.checkpoints import load_checkpoint
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.session import replay
from tmd.session.capture import not_finite

ex = Experiment("replay")
ex.recorded = False


@ex.config
def config():
    file = None  # nonfinite_….pt, from a run's folder
    device = None  # cpu, cuda, ...; None: the run's


@ex.check
def check(file: Any, device: Any) -> None:
    if file is None:
        raise UserError("file: give the file of a run, file=runs/3/nonfinite_00000037.pt, say")
    if device is not None:
        available_device(device)


@ex.main
def main(file: str, device: Any) -> None:
    state = load_checkpoint(file)
    captured = state.get("captured")
    if captured is None:
        raise UserError(f"file={file}: a checkpoint, and no update that broke")
    run = experiment_of(file, state)
    settings = json.loads(captured["config"])
    run.ex.prepare(settings)
    torch.set_num_threads(captured["threads"])
    where = available_device(captured["device"] if device is None else device)
    place = start(settings["seed"], where, settings.get("deterministic", False))
    torch.set_num_threads(captured["threads"])
    assembled, _ = run.assemble(place, ImageKind.of_state(state.get("image_kind")), settings)
    options = session_options(settings["scale"], settings.get("adv_weight", 0.0))
    print(f"{run.ex.path}, update {captured['iteration']} ({place.speed} on {place.device})")
    result = replay(assembled, state, options, place)
    broken = not_finite(result.output)
    print("not finite: " + (", ".join(broken) or "no scalar"))
    for what in result.found.values():
        print(f"first {what}")
    if not broken and not result.found:
        print("all numbers are finite")
    if not result.same:
        raise UserError(
            f"file={file}: not the captured numbers ({', '.join(not_finite(captured['output']))}); "
            f"another device or library rounds otherwise"
        )
    print("every scalar is the captured one, to the bit")


def experiment_of(file: str, state: dict[str, Any]) -> Any:
    """The module of the experiment whose update is in ``file``.

    Raises:
        UserError: there is none that can make it again.
    """
    name = str(state.get("experiment"))
    try:
        if not re.fullmatch(r"[a-z_]+", name):
            raise ImportError
        module = importlib.import_module(f"experiments.{name}")
    except ImportError:
        module = None
    if not hasattr(module, "assemble"):
        raise UserError(f"file={file}: of the experiment {name}, which can't be made again here")
    return module


if __name__ == "__main__":
    ex.run_commandline()
