"""Further terms of the generator's loss, by name, each with a weight of its own.

A new one is a function of any of ``sr``, ``hr``, ``lr`` and ``averaged`` (SR by the average of the
generator's weights), (N, C, H, W) in [0, 1], and one line that registers it; it is then to be had
as ``losses.extra.NAME=WEIGHT``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from tmd.errors import UserError, check_number
from tmd.registry import Registry
from tmd.resize import imresize

#: The phases in which the generator learns.
PHASES = ("pretrain", "adversarial")
IMAGES = ("sr", "hr", "lr", "averaged")
#: For messages.
_CALLED = {"averaged": "the average of the generator's weights (optimization.ema above 0)"}


@dataclass(frozen=True)
class GeneratorTerm:
    """A term of the generator's loss.

    Attributes:
        function: of what `needs` names and of `settings`, to a scalar.
        phases: those of `PHASES` in which it is added.
        channels: of the images that it takes; None: any.
        minimum_size: of their sides in pixels.
        check: raises `UserError` for settings with which it can't be had.
    """

    function: Callable[..., Tensor]
    phases: tuple[str, ...] = PHASES
    channels: int | None = None
    minimum_size: int = 1
    check: Callable[..., None] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the images that the term is a function of."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(each.name for each in parameters if each.default is each.empty)

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the losses' settings that it takes; they have defaults."""
        names = inspect.signature(self.function).parameters
        return tuple(name for name in names if name not in self.needs)

    def __call__(self, **images: Tensor | Callable[[], Tensor]) -> Tensor:
        """Value for what of `IMAGES` is given.

        What the term does not need is ignored; an image may be a function that makes it.
        """
        needed = {name: images[name] for name in self.needs}
        return self.function(
            **{n: each() if callable(each) else each for n, each in needed.items()}
        )


Terms = Mapping[str, tuple[float, GeneratorTerm]]

GENERATOR_TERMS: Registry[GeneratorTerm] = Registry("losses.extra")


def generator_term(
    name: str,
    phases: tuple[str, ...] = PHASES,
    *,
    channels: int | None = None,
    minimum_size: int = 1,
    check: Callable[..., None] | None = None,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorator that registers a function as the term ``name``.

    Args:
        name: also that of its value in the record.
        phases, channels, minimum_size, check: see `GeneratorTerm`.
    """

    def add(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        term = GeneratorTerm(function, phases, channels, minimum_size, check)
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


def create_extra_terms(
    extra: Any,
    given: Collection[str] = IMAGES,
    channels: int | None = None,
    size: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Terms:
    """Terms by name with their weights, those of weight 0 left out.

    Args:
        extra: names in `GENERATOR_TERMS` -> weights.
        given: the images that the trainer has.
        channels, size: of the images and their sides in pixels, where these are to be checked.
        settings: of the losses; each term takes those that it knows.

    Raises:
        UserError: an unknown name, a weight below 0, a term of images that are not given, are too
            small or of other channels, or one that can't be had here.

    Example:
        >>> [(name, weight) for name, (weight, _) in create_extra_terms({"gradient": 0.1}).items()]
        [('gradient', 0.1)]
    """
    if not isinstance(extra, Mapping):
        raise UserError(f"losses.extra={extra!r}: must be a mapping of names to weights")
    terms = {}
    for name, weight in extra.items():
        term = GENERATOR_TERMS[name]
        check_number(f"losses.extra.{name}", weight, 0)
        said = f"losses.extra.{name}={weight!r}"
        if missing := [image for image in term.needs if image not in given]:
            called = _CALLED.get(missing[0], missing[0].upper())
            raise UserError(f"{said}: needs {called}, which this training has not")
        if not weight:
            continue
        _check_images(said, term, channels, size)
        own = {key: value for key, value in (settings or {}).items() if key in term.settings}
        if term.check is not None:
            term.check(**own)
        function = partial(term.function, **own) if own else term.function
        terms[name] = (weight, replace(term, function=function))
    return terms


def _check_images(said: str, term: GeneratorTerm, channels: int | None, size: int | None) -> None:
    if term.channels and channels not in (None, term.channels):
        raise UserError(f"{said}: takes images of {term.channels} channels, these have {channels}")
    if size is not None and size < term.minimum_size:
        raise UserError(
            f"{said}: takes images of at least {term.minimum_size} pixels; dataset.patch_size is "
            f"{size}"
        )
