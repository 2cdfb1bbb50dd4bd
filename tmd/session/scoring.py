"""Metrics of held-out images, and which of them decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from tmd.handlers.validation import SetMetric
from tmd.metrics.functions import MetricFunction, MetricSettings, metric_function


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

    metrics: Mapping[str, MetricFunction] = field(default_factory=dict)
    set_metrics: Mapping[str, SetMetric] = field(default_factory=dict)
    guard: str = "psnr"
    max_loss: float = 0.0


def validated_metrics(
    names: Iterable[str],
    scale: int,
    device: torch.device | str = "cpu",
    lpips_weights: str | None = None,
) -> dict[str, MetricFunction]:
    """Registered metrics by the field's convention: on Y, a border of ``scale`` pixels left out.

    PSNR is always one of them: it decides which state is the best while G is pretrained.
    """
    settings = MetricSettings(scale, lpips_weights=lpips_weights, device=device)
    return {name: metric_function(name, settings) for name in dict.fromkeys(["psnr", *names])}
