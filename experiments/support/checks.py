"""What all training scripts check before a run exists, and resolve into its config."""

from __future__ import annotations

from typing import Any

from experiments.support.devices import available_device
from ingredients import dataset, history, losses, optimization, schedule, training
from tmd.distributed import started_share
from tmd.errors import UserError, check_choice, check_flag, check_number

SCALES = (2, 3, 4, 8)


def check_experiment(
    scale: int, adv_weight: float, seed: int, device: str, deterministic: bool
) -> str:
    """Raise `UserError` for the experiment's own keys that can't be; the device, resolved."""
    check_choice("scale", scale, SCALES)
    check_number("adv_weight", adv_weight, 0)
    check_number("seed", seed, 0, integer=True)
    check_flag("deterministic", deterministic)
    return available_device(device)


def check_training(adv_weight: float, device: str) -> int:
    """Raise `UserError` for what can't be in the parts that every trainer has.

    Returns:
        The run's last iteration.
    """
    _check_processes()
    losses.check()
    schedule.check(adv_weight=adv_weight)
    history.check()
    optimization.check()
    training.check(device=device)
    if training.compiles():
        losses.check_compilation()
    return schedule.phases(training.settings().epoch_length).total


def _check_processes() -> None:
    count, batch_size = started_share().count, dataset.images_per_batch()
    if batch_size % count:
        raise UserError(
            f"dataset.batch_size={batch_size}: must be a multiple of the {count} processes, "
            "which share each batch"
        )


def resolved(device: str) -> dict[str, Any]:
    """What ``auto`` stands for on this machine, by the config's keys."""
    device = available_device(device)
    content = losses.resolve(device=device)
    speed = training.resolve_speed(device=device)
    print(content.message)
    print(speed.message)
    return {
        "device": device,
        "losses.content": content.spec,
        "schedule.score": schedule.resolve_score(),
        "training.speed": speed.speed,
    }
