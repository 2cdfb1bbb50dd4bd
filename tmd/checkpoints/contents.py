"""Contents of checkpoints: what evaluation reads, and what training needs to go on exactly.

Every one says of itself what `about` lists, then ``iteration``, ``phase``, ``generator`` (a state
dict) and ``ema`` (the average of its weights, or None). One that training goes on from also has the
other networks, a ``discriminator`` usually, and ``trainer``, the state of all else that changes;
the best one has ``figures``, its metrics.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from tmd.errors import UserError
from tmd.images import ImageKind

FORMAT = "tmd-checkpoint"
VERSION = 1


class NotOursError(UserError):
    """A file that could be read, and that another program wrote."""


def image_kind(checkpoint: Mapping[str, Any]) -> ImageKind:
    """Kind of the images that a checkpoint's generator takes and gives.

    Of files that don't say, those of earlier versions: 8 bits in the generator's channels.
    """
    if (state := checkpoint.get("image_kind")) is not None:
        return ImageKind.of_state(state)
    return ImageKind(int((checkpoint.get("generator_config") or {}).get("channels", 3)))


def about(scale: int, channels: int, configs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Description of a run that each of its checkpoints carries.

    Args:
        scale: HR pixels per LR pixel.
        channels: of the images.
        configs: by network, the arguments that build it again.
        more: the ``experiment``, the ``image_kind`` as `ImageKind.state_dict` gives it, the
            ``measurement`` that makes LR from HR, ...
    """
    return {
        **more,
        "scale": scale,
        "channels": channels,
        **{f"{network}_config": config for network, config in configs.items()},
    }


def training_contents(
    described: Mapping[str, Any],
    iteration: int,
    phase: str,
    parts: Mapping[str, Any],
    networks: Collection[str],
    exact: bool = True,
) -> dict[str, Any]:
    """Contents that training goes on from.

    Args:
        described: by `about`.
        parts: what `tmd.training.state.TrainingState.snapshot` returned.
        networks: names of those parts that stand beside ``trainer`` and not in it.
        exact: whether all is as an iteration's end leaves it.
    """
    trainer = dict(parts)
    weights = {network: trainer.pop(network) for network in networks}
    average = trainer.get("average")
    return {
        **described,
        "iteration": iteration,
        "phase": phase,
        "exact": exact,
        **weights,
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
