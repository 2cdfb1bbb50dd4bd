"""Keeps the best generator that was validated."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from torch import nn

from tmd.metrics.registry import metric
from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases
from tmd.training.state import copied_to_cpu


class Best:
    """Decides after each validation whether the generator is the best so far, and keeps it.

    While it is pretrained, the higher PSNR is better. In the adversarial phase the lower
    ``score`` is, among states whose PSNR is at most ``max_psnr_loss`` below the pretrained
    generator's, which is itself the first of them: the best is never worse than it. Where there is
    no HR, another metric in dB takes PSNR's place. Where nothing is validated, the newest is the
    best.

    Args:
        generator: the network that is validated.
        phases: of the run.
        max_psnr_loss: in dB.
        guard: the metric that stands for fidelity.

    Attributes:
        metrics: the best state's, or None before the first validation.
        pretrained: the metrics with which the adversarial phase began.
        iteration: after which it was reached.
        weights: its ``state_dict``, on the CPU.
    """

    def __init__(
        self, generator: nn.Module, phases: Phases, max_psnr_loss: float, guard: str = "psnr"
    ) -> None:
        self.generator = generator
        self.phases = phases
        self.max_psnr_loss = max_psnr_loss
        self.guard = guard
        self.metrics: dict[str, float] | None = None
        self.pretrained: dict[str, float] | None = None
        self.iteration = 0
        self.weights: dict[str, Any] | None = None

    def attach(self, trainer: Engine) -> None:
        """Sets ``engine.state.is_best`` at each validation."""
        trainer.add_event_handler(TrainingEvents.VALIDATED, self)

    def __call__(self, trainer: Engine) -> None:
        iteration, metrics = trainer.state.iteration, trainer.state.validation
        trainer.state.is_best = self._is_best(iteration, metrics)
        if trainer.state.is_best:
            self.metrics = dict(metrics)
            self.iteration = iteration
            self.weights = copied_to_cpu(self.generator.state_dict())

    def _is_best(self, iteration: int, metrics: dict[str, float]) -> bool:
        if self.guard not in metrics:
            return True
        if iteration < self.phases.start("adversarial") or not self.phases.adversarial:
            return not self.metrics or self._gain(self.guard, metrics, self.metrics) > 0
        if not self.pretrained or not self.metrics:
            self.pretrained = dict(metrics)
            return True
        allowed = self._gain(self.guard, metrics, self.pretrained) >= -self.max_psnr_loss
        return allowed and self._gain("score", metrics, self.metrics) > 0

    @staticmethod
    def _gain(name: str, metrics: dict[str, float], over: dict[str, float]) -> float:
        return metric(name).gain(metrics[name], over=over[name])

    def state_dict(self) -> dict[str, Any]:
        """Metrics and weights of the best state."""
        return {
            "figures": self.metrics,  # the key of earlier builds' checkpoints
            "pretrained": self.pretrained,
            "iteration": self.iteration,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as where the state was taken."""
        self.metrics = state["figures"]
        self.pretrained = state["pretrained"]
        self.iteration = state["iteration"]
        self.weights = state["weights"]
