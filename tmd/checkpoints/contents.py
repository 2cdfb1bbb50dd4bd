"""Contents of checkpoints: what evaluation reads, and what training needs to go on exactly.

Every one says of itself what `about` lists, then ``iteration``, ``phase``, ``generator`` (a state
dict) and ``ema`` (the average of its weights, or None). One that training goes on from also has
``discriminator`` and ``trainer``, the state of all else that changes; the best one has ``figures``,
its metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

FORMAT = "tmd-checkpoint"
VERSION = 1
#: State dicts that stand beside ``trainer`` and not in it.
NETWORKS = ("generator", "discriminator")


def about(
    experiment: str,
    scale: int,
    channels: int,
    configs: Mapping[str, Any],
    measurement: Any,
) -> dict[str, Any]:
    """Description of a run that each of its checkpoints carries.

    Args:
        experiment: the script's name.
        scale: HR pixels per LR pixel.
        channels: of the images.
        configs: by the names in `NETWORKS`, the arguments that build each again.
        measurement: the operators that make LR from HR.
    """
    return {
        "experiment": experiment,
        "scale": scale,
        "channels": channels,
        **{f"{network}_config": configs.get(network) for network in NETWORKS},
        "measurement": measurement,
    }


def training_contents(
    described: Mapping[str, Any], iteration: int, phase: str, parts: Mapping[str, Any]
) -> dict[str, Any]:
    """Contents that training goes on from.

    Args:
        described: by `about`.
        parts: what `tmd.training.state.TrainingState.snapshot` returned.
    """
    trainer = dict(parts)
    networks = {network: trainer.pop(network, None) for network in NETWORKS}
    average = trainer.get("average")
    return {
        **described,
        "iteration": iteration,
        "phase": phase,
        **networks,
        # The same tensors as in trainer["average"]: stored once.
        "ema": average and _without_prefix(average, "module."),
        "trainer": trainer,
    }


def best_contents(
    described: Mapping[str, Any],
    iteration: int,
    phase: str,
    weights: Mapping[str, Tensor],
    metrics: Mapping[str, float] | None,
) -> dict[str, Any]:
    """Contents of the best generator's checkpoint.

    Args:
        described: by `about`.
        weights: the generator's, already the average where there is one.
        metrics: of its SR of the held-out images, by name.
    """
    return {
        **described,
        "iteration": iteration,
        "phase": phase,
        "generator": weights,
        "ema": None,
        "figures": metrics,
    }


def _without_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
