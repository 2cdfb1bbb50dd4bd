"""Keeps the best generator that was validated."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from torch import nn

from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases
from tmd.training.state import copied_to_cpu


class Best:
    """Decides after each validation whether the generator is the best so far, and keeps it.

    While it is pretrained, the higher PSNR is better. In the adversarial phase the lower
    ``score`` is, among states whose PSNR is at most ``max_psnr_loss`` below the pretrained
    generator's, which is itself the first of them: the best is never worse than it. Where there is
    no HR, another figure in dB takes PSNR's place.

    Args:
        generator: the network that is validated.
        phases: of the run.
        max_psnr_loss: in dB.
        guard: the figure that stands for fidelity.

    Attributes:
        figures: the best state's measures, or None before the first validation.
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
        self.figures: dict[str, float] | None = None
        self.pretrained: dict[str, float] | None = None
        self.iteration = 0
        self.weights: dict[str, Any] | None = None

    def attach(self, trainer: Engine) -> None:
        """Sets ``engine.state.is_best`` at each validation."""
        trainer.add_event_handler(TrainingEvents.VALIDATED, self)

    def __call__(self, trainer: Engine) -> None:
        iteration, figures = trainer.state.iteration, trainer.state.validation
        trainer.state.is_best = self._is_best(iteration, figures)
        if trainer.state.is_best:
            self.figures = dict(figures)
            self.iteration = iteration
            self.weights = copied_to_cpu(self.generator.state_dict())

    def _is_best(self, iteration: int, figures: dict[str, float]) -> bool:
        if iteration < self.phases.start("adversarial") or not self.phases.adversarial:
            return self.figures is None or figures[self.guard] > self.figures[self.guard]
        if self.pretrained is None:
            self.pretrained = dict(figures)
            return True
        assert self.figures is not None
        allowed = figures[self.guard] >= self.pretrained[self.guard] - self.max_psnr_loss
        return allowed and figures["score"] < self.figures["score"]

    def state_dict(self) -> dict[str, Any]:
        return {
            "figures": self.figures,
            "pretrained": self.pretrained,
            "iteration": self.iteration,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.figures = state["figures"]
        self.pretrained = state["pretrained"]
        self.iteration = state["iteration"]
        self.weights = state["weights"]
