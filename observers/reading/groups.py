"""Groups of runs that belong together, and what they have in common over their seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from observers.reading.listing import Listed, differing_keys

#: What says how a run was started and repeated, not what it trains.
NOT_COMPARED = frozenset({"seed", "resume"})
GROUPINGS = ("study", "config")
CONFIDENCE = 0.95
_LEVELS = 4  # groups of a number's values whose means are compared
# Student's t at 97.5 % for 1, 2, … degrees of freedom; beyond them Cornish and Fisher's expansion.
_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
_NORMAL = 1.959964


class Spread(NamedTuple):
    """Mean of several runs' values and half of its interval (95 %, Student's t).

    Attributes:
        half: `None` of one value.
        n: how many values.
    """

    mean: float
    half: float | None
    n: int


@dataclass
class Group:
    """Runs that are repeats of one another.

    Attributes:
        study, trial: of groups that are trials of a study; else "" and None.
        values: of the keys by which groups differ.
        runs: those that count: completed, of each seed the newest.
        others: how many do not, by their status or as "repeated".
    """

    experiment: str
    study: str
    trial: Any
    values: dict[str, Any]
    runs: list[Listed]
    others: Counter[str] = field(default_factory=Counter)

    def spread(self, metric: str, best: bool = False) -> Spread | None:
        """A metric over the seeds, by its last values or its best; `None` where none is known."""
        found = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        values = [each.best if best else each.last for each in found]
        return spread([value for value in values if value is not None])


def spread(values: Sequence[float]) -> Spread | None:
    """Mean, half of the 95 % interval by Student's t, and count; `None` of no values.

    Example:
        >>> round(spread([1.0, 2.0, 3.0]).half, 3)
        2.484
    """
    count = len(values)
    if not count:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Spread(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Spread(mean, t_quantile(count - 1) * math.sqrt(variance / count), count)


def t_quantile(freedom: int) -> float:
    """Student's t at 97.5 % for ``freedom`` ≥ 1, to 2e-4 (Abramowitz and Stegun, 26.7.5)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def by_study(runs: Iterable[Listed]) -> list[Group]:
    """The trials of each study, repeats together; runs of no study are left out."""

    def key(run: Listed) -> Hashable:
        study = run.study or {}
        return (run.experiment, str(study.get("name")), repr(study.get("trial")))

    def values(run: Listed) -> dict[str, Any]:
        return dict((run.study or {}).get("params") or {})

    groups = _grouped((run for run in runs if run.study), key, values, in_study=True)
    return sorted(groups, key=lambda group: (group.study, group.experiment, _order(group.trial)))


def by_config(runs: Iterable[Listed]) -> list[Group]:
    """Runs whose configs differ in nothing but their seeds; ``values`` are those that differ."""
    known = [run for run in runs if run.config]
    differing = [key for key in _differing(known) if key not in NOT_COMPARED]

    def key(run: Listed) -> Hashable:
        return (run.experiment, *(repr(run.config.get(name, KeyError)) for name in differing))

    return _grouped(known, key, lambda run: {name: run.config.get(name) for name in differing})


def by_keys(runs: Iterable[Listed], keys: Sequence[str]) -> list[Group]:
    """Runs with the same values of some keys of their configs, whatever else differs.

    Runs that have none of the keys are left out.
    """
    having = [run for run in runs if any(key in run.config for key in keys)]

    def key(run: Listed) -> Hashable:
        return (run.experiment, *(repr(run.config.get(name)) for name in keys))

    return _grouped(
        having, key, lambda run: {name: run.config.get(name) for name in keys}, seeds=False
    )


def _differing(runs: Sequence[Listed]) -> list[str]:
    return differing_keys([run.config for run in runs], [run.experiment for run in runs])


def _grouped(
    runs: Iterable[Listed],
    key: Callable[[Listed], Hashable],
    values: Callable[[Listed], dict[str, Any]],
    seeds: bool = True,
    in_study: bool = False,
) -> list[Group]:
    """Groups in the order of their first runs; with ``seeds`` a seed counts once in each."""
    groups: dict[Hashable, Group] = {}
    members: dict[Hashable, list[Listed]] = {}
    for run in runs:
        place = key(run)
        if place not in groups:
            study = (run.study or {}) if in_study else {}
            name = str(study.get("name") or "")
            groups[place] = Group(run.experiment, name, study.get("trial"), values(run), [])
        members.setdefault(place, []).append(run)
    for place, group in groups.items():
        newest: dict[Hashable, Listed] = {}
        for run in members[place]:
            if run.status != "COMPLETED":
                group.others[run.status] += 1
                continue
            seed = _repeat(run) if seeds else None
            once = ("seed", repr(seed)) if seed is not None else ("run", len(newest))
            group.others["repeated"] += once in newest
            newest[once] = run
        group.runs = list(newest.values())
        group.others = +group.others
    return list(groups.values())


def _repeat(run: Listed) -> Any:
    """The seed by which a run differs from its repeats."""
    seed = run.config.get("seed")
    return seed if seed is not None else (run.study or {}).get("repeat")


def _order(trial: Any) -> tuple[bool, Any]:
    number = isinstance(trial, (int, float)) and not isinstance(trial, bool)
    return (not number, trial if number else str(trial))


# Importance --------------------------------------------------------------------------------------


def importance(rows: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, float]:
    """Share of the objective's variance, by rank, that each parameter explains by itself.

    The values of a parameter are put in groups: each choice one, numbers four by quartile. The
    share is ε² = 1 − (within groups / (n − k)) / (total / (n − 1)) of the objective's ranks (Kelley
    1935), which of a parameter without influence is 0 on average; less than that is 0. What only
    two parameters together do isn't seen.

    Args:
        rows: each trial's parameters and objective.

    Returns:
        By parameter, in [0, 1], greatest first.
    """
    ranks = _ranks([value for _, value in rows])
    names = dict.fromkeys(name for params, _ in rows for name in params)
    shares = {name: _explained([params.get(name) for params, _ in rows], ranks) for name in names}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _explained(values: Sequence[Any], ranks: Sequence[float]) -> float:
    groups: dict[Hashable, list[float]] = {}
    for level, rank in zip(_levels(values), ranks, strict=True):
        groups.setdefault(level, []).append(rank)
    count, total = len(ranks), _squares(ranks)
    if len(groups) < 2 or count <= len(groups) or total == 0:
        return 0.0
    within = sum(map(_squares, groups.values()))
    return max(0.0, 1 - within / (count - len(groups)) / (total / (count - 1)))


def _levels(values: Sequence[Any]) -> list[Hashable]:
    """The group of each value."""
    number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not number or len(set(values)) <= _LEVELS:
        return [repr(value) for value in values]
    places = _ranks(values)
    return [min(_LEVELS - 1, int(_LEVELS * place / len(values))) for place in places]


def _ranks(values: Sequence[float]) -> list[float]:
    """Places from 0 on; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for at in order[begin : end + 1]:
            ranks[at] = (begin + end) / 2
        begin = end + 1
    return ranks


def _squares(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)
