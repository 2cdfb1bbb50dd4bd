"""Finding where a run stopped, and seeing early whether this one can go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from observers import RunRecord, open_run
from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import Speed
from tmd.checkpoints import newest_checkpoint
from tmd.errors import UserError
from tmd.hardware import device_name

Resumed = tuple[RunRecord, dict[str, Any]]


def find_resume_point(resume: Any, store: str, experiment: str) -> Resumed:
    """The run that ``resume`` names and its newest checkpoint.

    Raises:
        UserError: no such run, no checkpoint, or one of another experiment.
    """
    record = open_run(resume, store=store)
    state = newest_checkpoint(record.artifacts(), record.local_path)
    if state is None:
        raise UserError(
            f"resume={record.spec}: run {record.id} has no checkpoint (status {record.status})"
        )
    if state["experiment"] != experiment:
        raise UserError(
            f"resume={resume}: run {record.id} is one of {state['experiment']}.py, "
            f"this is {experiment}.py"
        )
    state.setdefault("judged_by", judged_by(record))
    return record, state


def judged_by(record: RunRecord) -> dict[str, Any] | None:
    """Score that decided a run's best state, for checkpoints that do not say so themselves."""
    validation = record.info.get("data", {}).get("validation", {})
    score = record.config.get("schedule", {}).get("score")
    if "digest" not in validation or score is None:
        return None
    return {"held_out": validation["digest"], "score": score}


def check_same_networks(
    resume: Any, state: dict[str, Any], configs: dict[str, dict[str, Any]]
) -> None:
    """Raise `UserError` if a network's config differs from the checkpoint's.

    Args:
        configs: the new run's, by the networks' names.
    """
    for network, ours in configs.items():
        if listed := different(state[f"{network}_config"], ours):
            raise UserError(
                f"resume={resume}: another {network} than the checkpoint's ({listed}); "
                "a run is resumed with the networks it was started with"
            )


def different(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The entries of two networks' configs that differ, for people; empty: none."""
    keys = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
    return ", ".join(f"{k} {theirs.get(k)} -> {ours.get(k)}" for k in keys)


def check_unfinished(resume: Any, state: dict[str, Any], total: int) -> None:
    """Raise `UserError` if the checkpoint is at or beyond the last iteration."""
    if state["iteration"] >= total:
        raise UserError(
            f"resume={resume}: that run is finished (iteration {state['iteration']} of {total}); "
            "give it more, for example schedule.adversarial=20"
        )


def note_of_place(
    began: Mapping[str, Any], device: torch.device, speed: Speed, has_gpu: bool
) -> str:
    """Line on a resumed run's device and speed, which it inherits; empty: nothing to say.

    Args:
        began: the record's ``device``: where the run was started, as far as it is known.
        device, speed: those it goes on with.
        has_gpu: whether this machine has one.
    """
    here = {"type": device.type, "name": device_name(device)}
    elsewhere = [began[key] for key in here if began.get(key) and began[key] != here[key]]
    if elsewhere and speed != fastest(device):
        return (
            f"note: training.speed={speed}, and the resumed run is from another device "
            f"({elsewhere[-1]}); training.speed=auto would be {fastest(device)}"
        )
    if has_gpu and device.type == "cpu":
        return "note: device=cpu, as in the resumed run; device=cuda would use the GPU"
    return ""
