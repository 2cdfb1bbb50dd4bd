"""The learning rates' decay, a pure function of the iteration."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch

from tmd.registry import Registry
from tmd.training.phases import Phases

if TYPE_CHECKING:
    from ignite.engine import Engine

#: name -> builder of a function from progress in [0, 1) to a factor in (0, 1].
DECAYS: Registry[Callable[[float], Callable[[float], float]]] = Registry("optimization.decay")


@DECAYS.register("off")
def _off(ratio: float) -> Callable[[float], float]:
    return lambda progress: 1.0


@DECAYS.register("exponential")
def _exponential(ratio: float) -> Callable[[float], float]:
    return lambda progress: ratio**progress


@DECAYS.register("cosine")
def _cosine(ratio: float) -> Callable[[float], float]:
    return lambda progress: ratio + (1 - ratio) * (1 + math.cos(math.pi * progress)) / 2


@DECAYS.register("halfway")
def _halfway(ratio: float) -> Callable[[float], float]:
    return lambda progress: 1.0 if progress < 0.5 else ratio


class LearningRate:
    """Sets the optimisers' learning rates before each update, and shows them on the state.

    Having no state of its own, it needs no place in a checkpoint: a resumed run computes what the
    run that was never killed would have.

    Args:
        optimizers: by the name of the state's attribute, for example ``{"lr_g": adam}``; their
            present learning rates are the initial ones.
        decay: a name in `DECAYS`: ``off``; ``exponential``, reaching ``ratio`` at the end;
            ``cosine``, likewise; ``halfway``, one step to ``ratio`` in the middle (section 3.2 of
            the SRGAN paper).
        ratio: the last learning rate over the first.
        phases: of the run.
        over: ``phase``, the decay begins anew in each phase; ``run``, one decay over all.
        steps: with ``decay="steps"``, the iterations after which the rate is multiplied by
            ``ratio``; with ``over="phase"`` only those of the phase count.
        adversarial: factors, by the optimisers' names, of their rates in the adversarial phase.
        rise: the run's first iterations, over which the rates rise linearly to where the decay has
            them: Adam's first steps are as long as its rate, whatever the gradient.
        undecayed: names of optimisers whose rates do not decay.
    """

    def __init__(
        self,
        optimizers: dict[str, torch.optim.Optimizer],
        decay: str,
        ratio: float,
        phases: Phases,
        over: str = "phase",
        steps: list[int] | None = None,
        adversarial: dict[str, float] | None = None,
        rise: int = 0,
        undecayed: Collection[str] = (),
    ) -> None:
        self.optimizers = optimizers
        self.initial = {
            name: [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
            for name, optimizer in optimizers.items()
        }
        self.phases = phases
        self.over = over
        self.steps = steps
        self.adversarial = adversarial or {}
        self.ratio = ratio
        self.rise = rise
        self.undecayed = undecayed
        self.decay = DECAYS[decay](ratio) if decay != "steps" else None

    def factor(self, iteration: int) -> float:
        """Factor of the initial rates for update ``iteration`` (the first is 1)."""
        return self._risen(iteration) * self._decayed(iteration)

    def _risen(self, iteration: int) -> float:
        return min(1.0, iteration / (self.rise + 1))

    def _decayed(self, iteration: int) -> float:
        if self.over == "run":
            start, length = 0, self.phases.total
        else:
            phase = self.phases.at(iteration)
            start, length = self.phases.start(phase), self.phases.length(phase)
        if self.decay is None:
            return self.ratio ** sum(start < step < iteration for step in self.steps or [])
        return self.decay((iteration - 1 - start) / max(1, length))

    def attach(self, trainer: Engine) -> None:
        """Set the rates before each update."""
        from ignite.engine import Events  # which who only asks for a decay's name need not wait for

        trainer.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, trainer: Engine) -> None:
        iteration = trainer.state.iteration
        adversarial = self.phases.at(iteration) == "adversarial"
        for name, optimizer in self.optimizers.items():
            undecayed = name in self.undecayed
            factor = self._risen(iteration) if undecayed else self.factor(iteration)
            if adversarial:
                factor *= self.adversarial.get(name, 1.0)
            for group, initial in zip(optimizer.param_groups, self.initial[name], strict=True):
                group["lr"] = initial * factor
            shown = optimizer.param_groups[0]
            setattr(trainer.state, name, shown["lr"] / shown.get("lr_scale", 1))
