"""Checks of a sweep before anything exists: each value that trials can choose is tried out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from sacred.utils import ConfigAddedError, SacredError, get_by_dotted_path, iterate_flattened

from experiments.support.experiment import Experiment
from experiments.support.saying import one_line
from experiments.support.sweeping.space import Dimension, grid_size, with_words
from experiments.support.values import read_config
from tmd.errors import UserError, check_choice, check_number
from tmd.metrics.registry import metric

SAMPLERS = ("grid", "random", "tpe", "nsga2")
PRUNERS = ("none", "median", "hyperband")
#: Configs that are tried out at most; of a choice of hundreds, the first ones.
MOST_TRIED = 64
GROUP = "validation"


def read_space(space: Any) -> Mapping[str, Any]:
    """The space that was typed, key by key or as the name of a JSON or YAML file.

    Raises:
        UserError: it can't be read, or is neither.
    """
    if isinstance(space, str):
        return read_config(space)
    if not isinstance(space, Mapping):
        raise UserError(f"space={space!r}: give space.KEY=VALUES, or space=FILE.json")
    return space


def parts_with_names(ex: Experiment) -> dict[str, list[str]]:
    """Named configs of the experiment's parts, by the parts' names."""
    return {
        str(part.path): sorted(part.named_configs)
        for part, _ in ex.traverse_ingredients()
        if part is not ex
    }


def check_settings(settings: Mapping[str, Any], space: tuple[Dimension, ...], repeats: int) -> None:
    """Raise `UserError` for a key that is given twice, or can't be given."""
    keys = [each.key for each in space]
    for key in settings:
        if key in keys:
            raise UserError(f"{key}={settings[key]}: space.{key} is given too; give one of them")
        if key == "resume":
            raise UserError(
                "resume: a trial's run begins by itself; start_from begins with networks"
            )
    if "seed" in keys and repeats > 1:
        raise UserError("space.seed: repeats differ by their seed already; give one of them")


def check_experiment_config(
    ex: Experiment,
    named: Collection[str],
    settings: Mapping[str, Any],
    space: tuple[Dimension, ...],
    own_keys: Collection[str],
) -> dict[str, Any]:
    """The config of the first point, once the ends and choices of each dimension were tried out.

    Raises:
        UserError: the experiment doesn't take one of them, in its own words.
    """
    config = _tried(ex, named, settings, space, first_point(space, {}), own_keys)
    _check_keys(space, config)
    left = MOST_TRIED
    for each in space:
        for value in each.extremes()[0 if each.parent else 1 :][:left]:
            point = first_point(space, {each.key: value})
            _tried(ex, named, settings, space, point, own_keys)
            left -= 1
    return config


def first_point(space: tuple[Dimension, ...], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The space's first point that has the values that are asked for."""
    known = {each.key: each for each in space}
    wanted = dict(asked)
    for key in asked:
        while known[key].parent:  # what makes the key be given
            wanted[known[key].parent] = known[key].parent_values[0]
            key = known[key].parent
    point: dict[str, Any] = {}
    for each in space:
        if each.applies(point):
            point[each.key] = wanted.get(each.key, each.extremes()[0])
    return point


def _tried(
    ex: Experiment,
    named: Collection[str],
    settings: Mapping[str, Any],
    space: tuple[Dimension, ...],
    point: Mapping[str, Any],
    own: Collection[str],
) -> dict[str, Any]:
    names, entries = with_words(space, point)
    try:
        return ex.try_out({**settings, **entries}, [*named, *names])
    except ConfigAddedError as problem:
        keys = [str(each) for each in problem.__conflicting_configs__]
        close = difflib.get_close_matches(keys[0], own, n=1, cutoff=0.75)
        if close:
            raise UserError(f"{keys[0]}: no such config key; did you mean {close[0]}?") from None
        raise UserError(one_line(problem)) from None
    except SacredError as problem:
        raise UserError(one_line(problem)) from None


def _check_keys(space: tuple[Dimension, ...], config: Mapping[str, Any]) -> None:
    """Raise `UserError` for a key of which the config has nothing: a warning elsewhere."""
    absent = object()
    for each in space:
        if each.is_named:
            continue
        if get_by_dotted_path(config, each.key, default=absent) is absent:
            known = [path for path, _ in iterate_flattened(config)]
            close = difflib.get_close_matches(each.key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"space.{each.key}: no such config key{hint}")


def checked_objectives(
    objective: Any, ex: Experiment, config: Mapping[str, Any]
) -> tuple[str, ...]:
    """Names of the metrics that trials are compared by.

    Raises:
        UserError: no run records it, or neither direction of it is better.
    """
    names = objective.split(",") if isinstance(objective, str) else objective
    if not isinstance(names, (list, tuple)) or not names:
        raise UserError(f"objective={objective!r}: must be a metric's name, or several")
    asked = config["training"]["metrics"]
    recorded = [asked] if isinstance(asked, str) else list(asked)
    known = [f"{GROUP}.{each}" for each in dict.fromkeys([*recorded, *ex.validates])]
    found = tuple(str(name).strip() for name in names)
    for name in found:
        if name not in known:
            raise UserError(
                f"objective={name}: no run of {ex.path!s} records it; must be one of "
                f"{', '.join(known)} (training.metrics has more recorded)"
            )
        if metric(name).higher_is_better is None:
            raise UserError(f"objective={name}: neither direction of it is better")
    if len(set(found)) < len(found):
        raise UserError(f"objective={','.join(found)}: has one twice")
    return found


def checked_trials(trials: Any, sampler: str, space: tuple[Dimension, ...]) -> int:
    """Number of trials.

    Raises:
        UserError: there can't be so many, or it lacks.
    """
    if sampler != "grid":
        if trials is None:
            raise UserError("trials=None: give a number of trials; sampler=grid takes all points")
        check_number("trials", trials, 1, 100_000, integer=True)
        return trials
    size = grid_size(space)
    check_number("trials", size if trials is None else trials, 1, size, integer=True)
    return size if trials is None else trials


def checked_sampler(sampler: Any, pruner: Any, objectives: Collection[str]) -> str:
    """Name of the sampler, of which ``auto`` is one that suits the number of objectives."""
    check_choice("sampler", sampler, ("auto", *SAMPLERS))
    check_choice("pruner", pruner, PRUNERS)
    if len(objectives) > 1 and pruner != "none":
        raise UserError(
            f"pruner={pruner}: prunes by one objective, and there are {len(objectives)}"
        )
    if sampler == "auto":
        return "tpe" if len(objectives) == 1 else "nsga2"
    return sampler
