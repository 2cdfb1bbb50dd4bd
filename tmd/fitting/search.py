"""Degradation fitted to a folder of images: ranges of a list that make HR look like them.

AmbientGAN's idea turned round: there the measurement is known and the images are sought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tmd.fitting.samples import Sample, Statistics
from tmd.fitting.space import Space
from tmd.fitting.statistics import WEIGHTS, distance, patch_statistics
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements import create_measurement

#: A fit has come near where its distance is at most so many times that of halves of the images.
NEAR = 2.0
#: Lists that are tried.
TRIES, MOST_TRIES = 100, 400
#: The most ranges that are searched together.
FEW = 6
#: Of what a range costs by its width: of two that come equally near, the narrower.
_WIDTH = 0.5
#: Images that are degraded at once; the draws of each are the same for every list.
_AT_ONCE = 8
#: Times that the images are cut in two.
_HALVINGS = 16


@dataclass(frozen=True)
class Fit:
    """A list that was fitted, and how near it came.

    Attributes:
        operators: the list.
        fitted, before, floor: distances by group: of that list, of the one that was given, and
            between two halves of the images themselves.
        evaluations: lists that were tried.
    """

    operators: list[Any]
    fitted: dict[str, float]
    before: dict[str, float]
    floor: dict[str, float]
    evaluations: int

    @property
    def is_near(self) -> bool:
        """Return whether degraded HR is about as near as the images are to one another."""
        return total(self.fitted) <= NEAR * total(self.floor)

    @property
    def farthest(self) -> str:
        """The group in which the distance is furthest beyond the floor."""
        return max(self.fitted, key=lambda group: self.fitted[group] - self.floor[group])


def total(distances: dict[str, float]) -> float:
    """Distance over all groups."""
    return sum(distances.values())


class Objective:
    """Distance between a sample's images and its HR degraded by a list; the same draws for each."""

    def __init__(
        self, sample: Sample, scale: int, seed: int = 0, kind: ImageKind = EIGHT_BITS
    ) -> None:
        self.sample = sample
        self.scale = scale
        self.seed = seed
        self.kind = kind
        self.evaluations = 0

    def __call__(self, operators: Sequence[Any]) -> dict[str, float]:
        """Distance by group."""
        self.evaluations += 1
        measure = create_measurement(operators, self.scale, self.seed, "fit", self.kind)
        found: Statistics = []
        for number, patches in enumerate(self.sample.hr):
            parts = enumerate(patches.split(_AT_ONCE))
            found.append(
                patch_statistics(torch.cat([measure(p, 1000 * number + i) for i, p in parts]))
            )
        return distance(found, [_flat(each) for each in self.sample.target])


def _flat(by_image: dict[str, Tensor]) -> dict[str, Tensor]:
    return {group: values.flatten(0, 1) for group, values in by_image.items()}


@torch.no_grad()
def fit(
    objective: Objective,
    operators: Sequence[Any],
    budget: int | None = None,
    said: Callable[[int, int, float], None] = lambda done, budget, best: None,
) -> Fit:
    """Search the ranges of ``operators`` for those that come nearest.

    Up to `FEW` ranges by differential evolution of the places of narrow ones, then by Nelder's and
    Mead's simplex of places and widths, both from a fixed seed; more of them one after the other,
    again and again.

    Args:
        budget: about how many lists are tried; None: `TRIES` for each range, at most `MOST_TRIES`.
        said: (lists tried, budget, best distance so far), after each.
    """
    space = Space(operators)
    size = len(space.ranges)
    budget = budget or min(TRIES * size, MOST_TRIES)
    search = _Search(objective, space, budget, said)
    if size <= FEW:
        search.globally(budget * 2 // 3)
        search.nearby(budget // 3)
    else:
        search.one_by_one()
    found = space.spec_at(search.best)
    return Fit(
        found,
        objective(found),
        objective(operators),
        floor(objective.sample.target),
        objective.evaluations,
    )


class _Search:
    """The best point of a space so far, and ways to a better one."""

    def __init__(
        self,
        objective: Objective,
        space: Space,
        budget: int,
        said: Callable[[int, int, float], None],
    ) -> None:
        self.objective, self.space, self.budget, self.said = objective, space, budget, said
        self.size = len(space.ranges)
        self.best = np.tile([0.5, 1.0], self.size)
        self.least = np.inf

    def cost(self, point: np.ndarray) -> float:
        """Distance of a list, and what its widths cost."""
        point = np.clip(point, 0, 1)
        value = total(self.objective(self.space.spec_at(point))) + _WIDTH * float(
            point[1::2].mean()
        )
        if value < self.least:
            self.least, self.best = value, point
        self.said(self.objective.evaluations, self.budget, self.least)
        return value

    def globally(self, tries: int) -> None:
        """Places of ranges of a tenth, by differential evolution."""
        from scipy import optimize  # takes a while to import

        def narrow(places: np.ndarray) -> float:
            return self.cost(np.stack([places, np.full(self.size, 0.1)], 1).ravel())

        members = max(6, min(5 * self.size, tries // 5))
        optimize.differential_evolution(
            narrow,
            [(0, 1)] * self.size,
            init=_first(members, self.size),
            maxiter=max(1, tries // members - 1),
            tol=1e-3,
            seed=0,
            polish=False,
        )

    def nearby(self, tries: int) -> None:
        """Places and widths, by a simplex around the best."""
        from scipy import optimize

        optimize.minimize(
            self.cost,
            self.best,
            method="Nelder-Mead",
            bounds=[(0, 1)] * (2 * self.size),
            options={
                "maxfev": tries,
                "initial_simplex": _simplex(self.best),
                "adaptive": True,
                "xatol": 1e-3,
                "fatol": 1e-4,
            },
        )

    def one_by_one(self) -> None:
        """Each range in turn is moved and made narrower, in finer steps, while that helps."""
        step = 0.5
        self.cost(self.best)
        while self.objective.evaluations < self.budget and step > 0.02:
            before = self.least
            for number in range(self.size):
                for move in ((-step, 0), (step, 0), (0, -step), (-step, -step), (step, -step)):
                    if self.objective.evaluations >= self.budget:
                        return
                    point = self.best.copy()
                    point[2 * number : 2 * number + 2] += move
                    if not np.array_equal(np.clip(point, 0, 1), self.best):
                        self.cost(point)
            if self.least > before - 0.02:
                step /= 2


def _first(members: int, size: int) -> np.ndarray:
    """Points that fill the space evenly, a Latin hypercube, (members, size)."""
    random = np.random.default_rng(0)
    cells = np.stack([random.permutation(members) for _ in range(size)], 1)
    return (cells + random.random(cells.shape)) / members


def _simplex(point: np.ndarray) -> np.ndarray:
    """Corners around a point, each a tenth away in one direction, inside of [0, 1]."""
    steps = np.where(point > 0.5, -0.1, 0.1)
    return np.vstack([point, point + np.diag(steps)])


def floor(target: Statistics) -> dict[str, float]:
    """Mean distance by group between two halves of the images."""
    count = len(next(iter(target[0].values())))
    found = []
    for number in range(_HALVINGS):
        order = np.random.default_rng(number).permutation(count)
        halves = [
            [_flat({group: values[rows] for group, values in each.items()}) for each in target]
            for rows in (order[: count // 2], order[count // 2 :])
        ]
        found.append(distance(*halves))
    return {group: sum(each[group] for each in found) / len(found) for group in WEIGHTS}
