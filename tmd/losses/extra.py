"""Further terms of the generator's loss, by name, each with a weight of its own.

A new one is a function of any of ``sr``, ``hr`` and ``lr``, (N, C, H, W) in [0, 1], and one line
that registers it; it is then to be had as ``losses.extra.NAME=WEIGHT``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from tmd.errors import UserError, check_number
from tmd.registry import Registry
from tmd.resize import imresize

#: The phases in which the generator learns.
PHASES = ("pretrain", "adversarial")
IMAGES = ("sr", "hr", "lr")


@dataclass(frozen=True)
class GeneratorTerm:
    """A term of the generator's loss.

    Attributes:
        function: of what `needs` names, to a scalar.
        phases: those of `PHASES` in which it is added.
    """

    function: Callable[..., Tensor]
    phases: tuple[str, ...] = PHASES

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the images that the term is a function of."""
        return tuple(inspect.signature(self.function).parameters)

    def __call__(self, **images: Tensor) -> Tensor:
        """Value for ``sr``, ``hr`` and ``lr``; what the term does not need is ignored."""
        return self.function(**{name: images[name] for name in self.needs})


Terms = Mapping[str, tuple[float, GeneratorTerm]]

GENERATOR_TERMS: Registry[GeneratorTerm] = Registry("losses.extra")


def generator_term(
    name: str, phases: tuple[str, ...] = PHASES
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorator that registers a function as the term ``name``.

    Args:
        name: also that of its value in the record.
        phases: those of `PHASES` in which it is added.
    """

    def add(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        term = GeneratorTerm(function, phases)
        if not set(term.needs) <= set(IMAGES) or not set(phases) <= set(PHASES):
            raise ValueError(f"{name}: takes any of {IMAGES}, in any of {PHASES}")
        GENERATOR_TERMS.register(name)(term)
        return function

    return add


@generator_term("gradient")
def gradient(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean |∂x SR − ∂x HR| plus mean |∂y SR − ∂y HR|, in differences of neighbouring pixels.

    Edges count in it and brightness does not: a blurred edge costs more than a pale one.
    """
    difference = sr - hr
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


@generator_term("lr_consistency")
def lr_consistency(sr: Tensor, lr: Tensor) -> Tensor:
    """Mean |↓SR − LR|, where ↓ is bicubic downscaling (`tmd.resize.imresize`).

    For LR images that are made so, it holds the generator to what LR says when the adversarial
    loss would invent something else. Other measurements (blur, noise) make it a wrong demand.
    """
    return F.l1_loss(imresize(sr, (lr.shape[-2], lr.shape[-1])), lr)


def create_extra_terms(extra: Any, given: Collection[str] = IMAGES) -> Terms:
    """Terms by name with their weights, those of weight 0 left out.

    Args:
        extra: names in `GENERATOR_TERMS` -> weights.
        given: the images that the trainer has.

    Raises:
        UserError: an unknown name, a weight below 0, or a term of images that are not given.

    Example:
        >>> [(name, weight) for name, (weight, _) in create_extra_terms({"gradient": 0.1}).items()]
        [('gradient', 0.1)]
    """
    if not isinstance(extra, Mapping):
        raise UserError(f"losses.extra={extra!r}: must be a mapping of names to weights")
    for name, weight in extra.items():
        term = GENERATOR_TERMS[name]
        check_number(f"losses.extra.{name}", weight, 0)
        if missing := [image for image in term.needs if image not in given]:
            raise UserError(
                f"losses.extra.{name}={weight!r}: needs {missing[0].upper()}, "
                f"which this training has not"
            )
    return {name: (weight, GENERATOR_TERMS[name]) for name, weight in extra.items() if weight}
