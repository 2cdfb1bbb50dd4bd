"""Operators that are composed of others: one of them, all in a random order, all twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from typing import Any

import torch

from tmd.errors import UserError
from tmd.measurements.building import build_chain
from tmd.measurements.canvas import Canvas, Size
from tmd.measurements.composition import (
    Chain,
    Choice,
    Composed,
    applied_by_choice,
    relative_size_after,
    sizes_by_choice,
)
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, checked_weights


class _Chosen(Composed):
    """Operators of which each image gets some, in its own order.

    Args:
        operators: names or dicts as in a measurement's list, or lists of these, which are treated
            as one.
    """

    def __init__(self, kind: str, scale: int, operators: Sequence[Any]) -> None:
        self.children = build_chain(operators, scale, f"measurement {kind} operators").children
        if not self.children:
            raise UserError(f"measurement {kind} operators=[]: must hold an operator")

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        for chosen in self._chosen(*draws.whole(len(canvas))):
            canvas = applied_by_choice(self._choices(draws), chosen, canvas)
        return canvas

    def sizes(self, before: Sequence[Size], draws: Draws, lr_size: Size | None) -> Sequence[Size]:
        for chosen in self._chosen(draws, len(before)):
            before = sizes_by_choice(self._choices(draws), chosen, before, lr_size)
        return before

    def _choices(self, draws: Draws) -> list[Choice]:
        return [(child, draws.of(place)) for place, child in enumerate(self.children)]

    def _chosen(self, draws: Draws, n: int) -> Sequence[Sequence[int]]:
        """For each round, which of the operators each of ``n`` images gets."""
        raise NotImplementedError


@MEASUREMENTS.register("one_of")
class OneOf(_Chosen):
    """One of several operators for each image.

    Args:
        operators: names or dicts as in a measurement's list, or lists of these.
        weights: how often each of them is chosen, in any unit; by default all as often.
    """

    def __init__(
        self, scale: int, operators: Sequence[Any], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__("one_of", scale, operators)
        self.weights = checked_weights("measurement one_of weights", weights, len(self.children))

    def relative_size(self, before: Fraction | None, scale: int) -> Fraction | None:
        after = {
            relative_size_after(child, before, scale)
            for child, weight in zip(self.children, self.weights, strict=True)
            if weight
        }
        return after.pop() if len(after) == 1 else None

    def _chosen(self, draws: Draws, n: int) -> Sequence[Sequence[int]]:
        return [draws.choice("one", self.weights, n)]


@MEASUREMENTS.register("shuffle")
class Shuffle(_Chosen):
    """All of several operators, for each image in an order of its own.

    Args:
        operators: names or dicts as in a measurement's list, or lists of these, which keep theirs.
        ordered: places in ``operators``, from 0, of those that come in this order among themselves,
            whatever comes between them.
    """

    def __init__(self, scale: int, operators: Sequence[Any], ordered: Sequence[int] = ()) -> None:
        super().__init__("shuffle", scale, operators)
        places = range(len(self.children))
        if (
            not isinstance(ordered, (list, tuple))
            or len(set(ordered)) != len(ordered)
            or any(isinstance(place, bool) or place not in places for place in ordered)
        ):
            raise UserError(
                f"measurement shuffle ordered={ordered!r}: must be a list of different places "
                f"from 0 to {len(places) - 1}"
            )
        self.ordered = list(ordered)

    def relative_size(self, before: Fraction | None, scale: int) -> Fraction | None:
        after = {
            _size_after_all([self.children[place] for place in order], before, scale)
            for order in self._orders()
        }
        return after.pop() if len(after) == 1 else None

    def _orders(self) -> set[tuple[int, ...]]:
        """Orders of those that change sizes."""
        changing = [p for p, child in enumerate(self.children) if not child.keeps_sizes]
        return {tuple(self._in_order(order)) for order in permutations(changing)}

    def _chosen(self, draws: Draws, n: int) -> Sequence[Sequence[int]]:
        numbers = [draws.uniform(f"order {k}", (0, 1), n) for k in range(len(self.children))]
        orders = torch.stack(numbers).argsort(0).T.tolist()
        return list(zip(*map(self._in_order, orders), strict=True))

    def _in_order(self, order: Sequence[int]) -> list[int]:
        """The same, in which `ordered` ones share their places out in their order."""
        left = iter([place for place in self.ordered if place in order])
        return [next(left) if place in self.ordered else place for place in order]


@MEASUREMENTS.register("twice")
class Twice(Chain):
    """All of several operators and then again, drawn anew: a second-order degradation.

    Args:
        operators: names or dicts as in a measurement's list, or lists of these.
        second: options that the second time has instead, by the operator's name:
            ``{"noise": {"sigma": [0, 0.05]}}``.
    """

    def __init__(
        self,
        scale: int,
        operators: Sequence[Any],
        second: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        key = "measurement twice operators"
        chains = [build_chain(operators, scale, key)]
        if not chains[0].children:
            raise UserError(f"{key}=[]: must hold an operator")
        known = sorted({each.name for each in chains[0].walk() if each.name})
        for name, options in _checked(second).items():
            if name not in known:
                listed = ", ".join(known)
                raise UserError(f"measurement twice second={name!r}: must be one of {listed}")
            operators = _with(operators, name, options)
        chains.append(build_chain(operators, scale, key))
        super().__init__(chains)

    def locate(self, key: str) -> None:
        self.key = key
        for chain in self.children:
            chain.locate(f"{key}.operators")


def _size_after_all(
    operators: Sequence[Operator], before: Fraction | None, scale: int
) -> Fraction | None:
    for operator in operators:
        before = relative_size_after(operator, before, scale)
    return before


def _checked(second: Any) -> Mapping[str, Mapping[str, Any]]:
    if second is None:
        return {}
    if not isinstance(second, Mapping) or not all(
        isinstance(options, Mapping) and "name" not in options for options in second.values()
    ):
        raise UserError(
            f"measurement twice second={second!r}: must be options by the operator's name, "
            '{"noise": {"sigma": 0.1}} say'
        )
    return second


def _with(operators: Any, name: str, options: Mapping[str, Any]) -> Any:
    """A config's list, in which all operators of a name have other options."""
    if isinstance(operators, str):
        return {"name": operators, **options} if operators == name else operators
    if isinstance(operators, Mapping):
        inner = {key: _with(operators[key], name, options) for key in operators if key in _LISTS}
        return {**operators, **inner, **(options if operators["name"] == name else {})}
    return [_with(each, name, options) for each in operators]


_LISTS = ("operators",)
