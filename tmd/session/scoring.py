"""Metrics of held-out images, and which of them decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from tmd.errors import UserError
from tmd.handlers.validation import SetMetric
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.consistency import Measure
from tmd.metrics.fidelity import default_border
from tmd.metrics.functions import ImageMetric, MetricSettings, metric_function
from tmd.session.options import SessionOptions


@dataclass(frozen=True)
class Scoring:
    """Metrics of held-out images, and which of them decide which state is the best.

    Attributes:
        metrics: by name, (SR, HR) -> (N,).
        set_metrics: by name, (all SR, all LR) -> scalar. While training is adversarial, the lower
            ``score`` of either kind is better.
        guard: the metric in dB that a better score may cost ...
        max_loss: ... so much of.
    """

    metrics: Mapping[str, ImageMetric] = field(default_factory=dict)
    set_metrics: Mapping[str, SetMetric] = field(default_factory=dict)
    guard: str = "psnr"
    max_loss: float = 0.0

    def check_decides(self, means: Collection[str], name: str) -> None:
        """Raise `UserError` where nothing would decide in the adversarial phase.

        Args:
            means: the metrics that the held-out images have, some being too small for some.
            name: of the score, as the schedule has it.
        """
        if "score" not in {**self.metrics, **self.set_metrics}:
            raise UserError("scoring: has no score, which decides in the adversarial phase")
        if "score" not in means:
            raise UserError(
                f"schedule.score={name}: no held-out image is large enough for it; "
                "dataset.val_root=FOLDER gives others, schedule.adversarial=0 leaves out the phase "
                "in which it decides"
            )


def default_scoring(
    options: SessionOptions,
    device: torch.device | str = "cpu",
    kind: ImageKind = EIGHT_BITS,
    measurement: Measure | None = None,
) -> Scoring:
    """Metrics of the options and, where there is an adversarial phase, the schedule's score."""
    schedule, scale = options.schedule, options.scale
    metrics = validated_metrics(
        options.training.metrics,
        scale,
        device,
        schedule.lpips_weights,
        kind,
        schedule.iqa_weights,
        measurement,
    )
    if options.phases.adversarial:
        metrics["score"] = schedule.scoring_function(
            scale, torch.device(device), kind=kind, measurement=measurement
        )
    return Scoring(metrics, max_loss=schedule.max_psnr_loss)


def validated_metrics(
    names: Iterable[str],
    scale: int,
    device: torch.device | str = "cpu",
    lpips_weights: str | None = None,
    kind: ImageKind = EIGHT_BITS,
    iqa_weights: str | None = None,
    measurement: Measure | None = None,
) -> dict[str, ImageMetric]:
    """Registered metrics by the field's convention: on Y, without its border (`default_border`).

    Images of other channels than a photo's three have no Y: all their channels count. PSNR is
    always one of the metrics: it decides which state is the best while G is pretrained.
    """
    channel = "y" if kind.is_rgb else "rgb"
    border = default_border(scale)
    settings = MetricSettings(
        border, channel, lpips_weights, device, kind, scale, iqa_weights, measurement
    )
    return {name: metric_function(name, settings) for name in dict.fromkeys(["psnr", *names])}
