"""Optimisers, learning rates and gradient limits as a config says them, checked and built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tmd.errors import UserError, check_choice, check_number
from tmd.handlers.learning_rate import DECAYS, LearningRate
from tmd.models.frozen import FrozenLayers
from tmd.models.parts import check_apart, factors_in, matched_parameters, patterns_in
from tmd.optim import GRADIENT_RULES
from tmd.optim.creation import (
    averages_itself,
    check_optimizer,
    create_optimizer,
    is_schedule_free,
)
from tmd.optim.rates import scale_rates
from tmd.training.phases import Phases, parse_length
from tmd.training.steps import Updater

#: Entries, before the letter of a network, that choose its optimiser.
KEYS = ("optimizer", "options")


@dataclass(frozen=True)
class OptimizationOptions:
    """Options of the updates.

    Attributes:
        optimizer_g, optimizer_d: names in `tmd.optim.OPTIMIZERS`, or ``library.Class``.
        options_g, options_d: what only these optimisers take.
        lr_g, lr_d: learning rates.
        adversarial_lr: factor of ``lr_g`` in the adversarial phase.
        lr_rise: length, in epochs or as ``"500it"``, over which the rates rise at the start.
        betas: of Adam, for both.
        decay: name in `tmd.handlers.learning_rate.DECAYS`, or ``steps``.
        decay_ratio: last learning rate over the first; with ``steps``, the factor at each.
        decay_over: ``phase``, anew in each, or ``run``.
        decay_steps: with ``steps``, when: lengths as ``lr_rise``.
        clip: limit of the gradients, or None.
        clip_by: name in `tmd.optim.GRADIENT_RULES`.
        d_steps: updates of D, each on a batch of its own, for one of G.
        accumulate: batches that an update of either is of, as one batch that holds them all.
        ema: decay of the average of G's weights; 0: there is none.
        freeze_g, freeze_d: patterns of the parameters that do not learn; see
            `tmd.models.parts.matched_parameters`.
        lr_scale_g, lr_scale_d: factors of the rates of parameters, by pattern.

    Example:
        >>> OptimizationOptions(lr_g=-1).check()
        Traceback (most recent call last):
        tmd.errors.UserError: optimization.lr_g=-1: must be a number above 0
    """

    optimizer_g: str = "adam"
    optimizer_d: str = "adam"
    options_g: Mapping[str, Any] = field(default_factory=dict)
    options_d: Mapping[str, Any] = field(default_factory=dict)
    lr_g: float = 1e-3
    lr_d: float = 1e-4
    adversarial_lr: float = 0.2
    lr_rise: Any = 0
    betas: Sequence[float] = (0.9, 0.999)
    decay: str = "cosine"
    decay_ratio: float = 0.1
    decay_over: str = "phase"
    decay_steps: Sequence[Any] = ()
    clip: float | None = None
    clip_by: str = "norm"
    d_steps: int = 1
    accumulate: int = 1
    ema: float = 0.995
    freeze_g: Any = field(default_factory=list)
    freeze_d: Any = field(default_factory=list)
    lr_scale_g: Mapping[str, Any] = field(default_factory=dict)
    lr_scale_d: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `UserError` for values that can't be."""
        for name in "gd":
            key = f"optimization.optimizer_{name}"
            check_optimizer(key, *(getattr(self, f"{each}_{name}") for each in KEYS))
        for key in ("lr_g", "lr_d", "adversarial_lr"):
            check_number(f"optimization.{key}", getattr(self, key), above=0)
        parse_length("optimization.lr_rise", self.lr_rise, 1)
        if not isinstance(self.betas, (list, tuple)) or len(self.betas) != 2:
            raise UserError(
                f"optimization.betas={self.betas!r}: must be two numbers, like [0.9, 0.999]"
            )
        for beta in self.betas:
            check_number("optimization.betas", beta, 0, below=1)
        check_choice("optimization.decay", self.decay, [*DECAYS, "steps"])
        check_number("optimization.decay_ratio", self.decay_ratio, above=0, maximum=1)
        check_choice("optimization.decay_over", self.decay_over, ("phase", "run"))
        if not isinstance(self.decay_steps, (list, tuple)):
            raise UserError(
                f"optimization.decay_steps={self.decay_steps!r}: must be a list, like [4, '500it']"
            )
        for step in self.decay_steps:
            parse_length("optimization.decay_steps", step, 1)
        if self.clip is not None:
            check_number("optimization.clip", self.clip, above=0)
        check_choice("optimization.clip_by", self.clip_by, list(GRADIENT_RULES))
        check_number("optimization.d_steps", self.d_steps, 1, integer=True)
        check_number("optimization.accumulate", self.accumulate, 1, integer=True)
        check_number("optimization.ema", self.ema, 0, below=1)
        for name in "gd":
            self._patterns(name)
            self._factors(name)

    def _patterns(self, name: str) -> list[str]:
        key = f"freeze_{name}"
        return patterns_in(f"optimization.{key}", getattr(self, key))

    def _factors(self, name: str) -> dict[str, float]:
        key = f"lr_scale_{name}"
        return factors_in(f"optimization.{key}", getattr(self, key))

    def check_parts(self, networks: Mapping[str, nn.Module]) -> None:
        """Raise `UserError` for patterns that match nothing, or leave nothing to learn.

        Args:
            networks: as of `updaters`; they need no weights.
        """
        for name, network in networks.items():
            key, patterns = f"optimization.freeze_{name}", self._patterns(name)
            frozen = matched_parameters(key, patterns, network)
            if len(frozen) == sum(1 for _ in network.parameters()):
                raise UserError(f"{key}={patterns}: freezes all; nothing is left to learn")
            check_apart(f"optimization.lr_scale_{name}", self._factors(name), network)

    @property
    def averages(self) -> bool:
        """True where an average of G's weights is kept, by us or by its optimiser."""
        return self.ema > 0 or averages_itself(self.optimizer_g)

    def updaters(self, networks: Mapping[str, nn.Module]) -> dict[str, Updater]:
        """Updater of each network, with the gradients' limit.

        Parameters that are to be frozen get no gradient from here on.

        Args:
            networks: ``g`` and, where there is one, ``d``.

        Raises:
            UserError: see `check_parts`.
        """
        self.check_parts(networks)
        rule = None if self.clip is None else GRADIENT_RULES[self.clip_by](self.clip)
        betas = (self.betas[0], self.betas[1])
        result = {}
        for name, network in networks.items():
            chosen, options = (getattr(self, f"{each}_{name}") for each in KEYS)
            key, rate = f"optimization.optimizer_{name}", getattr(self, f"lr_{name}")
            optimizer = create_optimizer(key, chosen, network, rate, betas, options)
            self._set_parts(name, network, optimizer)
            result[name] = Updater(network, optimizer, rule)
        return result

    def _set_parts(self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Freeze what is to be frozen, and give parts the rates of their own."""
        frozen = matched_parameters("", self._patterns(name), network)
        if frozen:
            FrozenLayers(
                network, [n for n, _ in network.named_parameters() if n not in frozen]
            ).freeze()
        if factors := self._factors(name):
            matched = matched_parameters("", factors, network)
            scale_rates(optimizer, network, {n: factors[each] for n, each in matched.items()})

    def learning_rate(
        self,
        optimizers: dict[str, torch.optim.Optimizer],
        phases: Phases,
        epoch_length: int,
    ) -> LearningRate:
        """Handler that sets the learning rates of ``optimizers``, by ``lr_g`` and ``lr_d``.

        Those that are schedule-free have no decay.
        """
        return LearningRate(
            optimizers,
            self.decay,
            self.decay_ratio,
            phases,
            self.decay_over,
            [parse_length("optimization.decay_steps", s, epoch_length) for s in self.decay_steps],
            {"lr_g": self.adversarial_lr},
            parse_length("optimization.lr_rise", self.lr_rise, epoch_length),
            [name for name, each in optimizers.items() if is_schedule_free(each)],
        )
