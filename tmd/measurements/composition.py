"""Operators one after the other, and each for some of the images of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import torch

from tmd.measurements.canvas import Canvas, Size, joined
from tmd.measurements.draws import Draws
from tmd.measurements.operator import Operator

#: An operator, and the draws that it has for all images; or images that stay as they are.
Choice = tuple[Operator, Draws] | None


class Composed(Operator):
    """An operator made of others, its ``children``."""

    @property
    def is_identity(self) -> bool:  # type: ignore[override]
        return all(map(is_kept, self.children))

    @property
    def keeps_sizes(self) -> bool:
        return all(child.keeps_sizes for child in self.children)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels


class Chain(Composed):
    """Operators one after the other; each draws for itself."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.children = operators
        self.of_target = bool(operators) and all(child.of_target for child in operators)
        for operator, following in pairwise(operators):
            operator.precede(following)

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        for position, child in enumerate(self.children):
            canvas = applied(child, canvas, draws.of(position))
        return canvas

    def sizes(self, before: Sequence[Size], draws: Draws, lr_size: Size | None) -> Sequence[Size]:
        for position, child in enumerate(self.children):
            before = sizes_after(child, before, draws.of(position), lr_size)
        return before

    def relative_size(self, before: Fraction | None, scale: int) -> Fraction | None:
        for child in self.children:
            before = relative_size_after(child, before, scale)
        return before

    def locate(self, key: str) -> None:
        self.key = key
        for position, child in enumerate(self.children):
            child.locate(f"{key}[{position}]")


def is_kept(operator: Operator) -> bool:
    """Return whether an operator changes no image."""
    return operator.probability == 0 or operator.is_identity


def applied(operator: Operator, canvas: Canvas, draws: Draws) -> Canvas:
    """The images after ``operator``, each with its probability."""
    if operator.probability == 1:
        return _always(operator, canvas, draws)
    whole, total = draws.whole(len(canvas))
    hits = _hits(operator, whole, total)
    return applied_by_choice([None, (operator, draws)], hits, canvas, _always)


def applied_by_choice(
    choices: Sequence[Choice],
    chosen: Sequence[int],
    canvas: Canvas,
    apply: Callable[[Operator, Canvas, Draws], Canvas] = applied,
) -> Canvas:
    """The images, each after its own one of several operators.

    Args:
        chosen: the place of that among ``choices``, for each of the images of all processes.
        apply: by default, each operator with a probability of its own.
    """
    used = [choice for place in sorted(set(chosen)) if (choice := choices[place]) is not None]
    if not used:
        return canvas
    operator, draws = used[0]
    if len(set(chosen)) == 1:
        return apply(operator, canvas, draws)
    own = [chosen[place] for place in draws.places(len(canvas))]
    keeps = all(operator.keeps_sizes for operator, _ in used)
    parts = []
    for place in sorted(set(own)):
        rows = [row for row, other in enumerate(own) if other == place]
        if (choice := choices[place]) is None and keeps:
            continue
        part = canvas.only(rows, [i for i, other in enumerate(chosen) if other == place])
        if choice is not None:
            operator, draws = choice
            some = draws.only([other == place for other in chosen], len(canvas))
            part = apply(operator, part, some)
        parts.append((rows, part))
    if keeps:
        return canvas.replaced(parts)
    before = canvas.every_size(len(chosen))
    wholes = [choice and (choice[0], choice[1].whole(len(canvas))[0]) for choice in choices]
    after = sizes_after if apply is applied else _sizes_always
    return joined(parts, sizes_by_choice(wholes, chosen, before, canvas.lr_size, after))


def sizes_after(
    operator: Operator, before: Sequence[Size], draws: Draws, lr_size: Size | None
) -> Sequence[Size]:
    """Sizes of the images of all processes after ``operator``, each with its probability.

    Args:
        draws: of the images of all processes.
    """
    if operator.keeps_sizes:
        return before
    if operator.probability == 1:
        return operator.sizes(before, draws, lr_size)
    hits = _hits(operator, draws, len(before))
    return sizes_by_choice([None, (operator, draws)], hits, before, lr_size, _sizes_always)


def _sizes_always(
    operator: Operator, before: Sequence[Size], draws: Draws, lr_size: Size | None
) -> Sequence[Size]:
    return operator.sizes(before, draws, lr_size)


def sizes_by_choice(
    choices: Sequence[Choice],
    chosen: Sequence[int],
    before: Sequence[Size],
    lr_size: Size | None,
    sizes: Callable[..., Sequence[Size]] = sizes_after,
) -> Sequence[Size]:
    """Sizes of the images of all processes, each after its own one of several operators."""
    after = list(before)
    for place in sorted(set(chosen)):
        if (choice := choices[place]) is None or choice[0].keeps_sizes:
            continue
        operator, draws = choice
        some = draws.only([other == place for other in chosen], len(before))
        images = [image for image, other in enumerate(chosen) if other == place]
        changed = sizes(operator, [before[image] for image in images], some, lr_size)
        for image, size in zip(images, changed, strict=True):
            after[image] = size
    return after


def relative_size_after(operator: Operator, before: Fraction | None, scale: int) -> Fraction | None:
    """Sides by those of HR after ``operator``, which may have a probability; see `Operator`."""
    after = operator.relative_size(before, scale)
    return after if operator.probability == 1 or after == before else None


def _hits(operator: Operator, draws: Draws, n: int) -> list[int]:
    probability = operator.probability
    return draws.choice("probability", [1 - probability, probability], n)


def _always(operator: Operator, canvas: Canvas, draws: Draws) -> Canvas:
    return operator.on_canvas(canvas, draws if operator.children else draws.named(operator.name))
