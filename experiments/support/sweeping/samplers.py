"""Samplers and pruners by name: Optuna's, each trial's draws hanging on its number alone.

Two workers that begin at once would otherwise draw the same.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial

from experiments.support.sweeping.space import Dimension, grid_point, value_text
from experiments.support.sweeping.spec import Spec

#: Percent of a training: what pruners compare trials at.
WHOLE = 100
#: Trials of TPE that are drawn at random before it models them.
STARTUP = 10

#: Makes a sampler of a seed; the flag: keys hang on others.
_CREATE: dict[str, Callable[[int, bool], BaseSampler]] = {
    "random": lambda seed, hang: RandomSampler(seed),
    "tpe": lambda seed, hang: TPESampler(
        seed=seed, multivariate=True, group=hang, constant_liar=True, n_startup_trials=STARTUP
    ),
    "nsga2": lambda seed, hang: NSGAIISampler(seed=seed, population_size=20),
}


class OfNumber(BaseSampler):
    """A sampler that is made anew, with a seed of its own, for each trial.

    Args:
        create: makes one from a seed.
        seed: of all of them.
    """

    def __init__(self, create: Callable[[int], BaseSampler], seed: int) -> None:
        self.create = create
        self.seed = seed
        self.inner = create(seed)

    def before_trial(self, study: Any, trial: Any) -> None:
        """Make the trial's sampler."""
        self.inner = self.create((self.seed * 1_000_003 + trial.number) % 2**32)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """The inner sampler's."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """The inner sampler's."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, param_name: str, distribution: Any) -> Any:
        """The inner sampler's."""
        return self.inner.sample_independent(study, trial, param_name, distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """The inner sampler's."""
        self.inner.after_trial(study, trial, state, values)


class Grid(BaseSampler):
    """The point of the grid that has the trial's number.

    Args:
        space: whose every dimension is one of values.
    """

    def __init__(self, space: tuple[Dimension, ...]) -> None:
        self.space = space

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """None: each value is known by itself."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, distribution: Any) -> Any:
        """The value of the key at the trial's point."""
        return as_choice(grid_point(self.space, trial.number)[param_name])


def create_sampler(spec: Spec) -> BaseSampler:
    """The sampler of a study."""
    if spec.sampler == "grid":
        return Grid(spec.space)
    hang = any(each.parent for each in spec.space)
    return OfNumber(lambda seed: _CREATE[spec.sampler](seed, hang), spec.sampler_seed)


def create_pruner(spec: Spec) -> optuna.pruners.BasePruner:
    """The pruner of a study; it compares trials at equal percents of their training."""
    if spec.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=11, max_resource=WHOLE, reduction_factor=3
        )
    if spec.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=10)
    return optuna.pruners.NopPruner()


def draw(trial: Trial, dimension: Dimension, grid: bool) -> Any:
    """The value of a dimension in a trial; the same again once it is drawn."""
    key, low, high, log = dimension.key, dimension.low, dimension.high, dimension.log
    if grid or dimension.choices:
        values = dimension.grid() if grid else dimension.choices
        return from_choice(trial.suggest_categorical(key, [as_choice(value) for value in values]))
    with warnings.catch_warnings():  # of an end that the steps don't reach, which is then left out
        warnings.simplefilter("ignore")
        if dimension.is_integer:
            return trial.suggest_int(
                key, int(low), int(high), log=log, step=int(dimension.step or 1)
            )
        return trial.suggest_float(key, low, high, log=log, step=dimension.step)


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Values that were drawn for a trial, by key."""
    return {
        key: from_choice(value)
        if isinstance(trial.distributions[key], CategoricalDistribution)
        else value
        for key, value in trial.params.items()
    }


def as_choice(value: Any) -> Any:
    """``value`` as a choice of Optuna's: its JSON, which tells 1 from True and holds lists."""
    return value_text(value)


def from_choice(choice: str) -> Any:
    """The value that `as_choice` made a choice of."""
    return json.loads(choice)
