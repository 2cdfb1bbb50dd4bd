"""Studies as they are made, joined and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.support.sweeping.samplers import create_pruner, create_sampler
from experiments.support.sweeping.spec import Spec
from experiments.support.sweeping.storage import StudyStorage, database_errors, open_storage
from tmd.errors import UserError

#: Keys of a study's user attributes.
SPEC, TRIALS = "tmd_spec", "tmd_trials"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class OpenStudy:
    """A study of ours in its storage.

    Attributes:
        name: of the study.
        storage: where it lies.
        spec: what its trials have in common.
        optuna: Optuna's study.
    """

    def __init__(self, name: str, storage: StudyStorage, optuna_study: Study) -> None:
        self.name = name
        self.storage = storage
        self.optuna = optuna_study
        self.spec = Spec.from_plain(optuna_study.user_attrs[SPEC])
        optuna_study.sampler = create_sampler(self.spec)
        optuna_study.pruner = create_pruner(self.spec)

    @property
    def asked(self) -> int:
        """Number of trials that were asked for."""
        return int(self.optuna.user_attrs.get(TRIALS, 0))

    def trials(self) -> list[FrozenTrial]:
        """The trials that were asked for, by number, those that nobody began included."""
        return self.optuna.get_trials(deepcopy=False)[: self.asked]

    def is_finished(self) -> bool:
        """Has every trial come to an end?"""
        trials = self.trials()
        return len(trials) >= self.asked and all(trial.state in FINISHED for trial in trials)

    def ask_for(self, trials: int) -> None:
        """Have so many trials in all.

        Places for them are made ahead and taken one by one, so that there are never more. Where two
        machines make them at once, those beyond ``trials`` are never taken.
        """
        if self.asked != trials:
            self.optuna.set_user_attr(TRIALS, trials)
        for _ in range(trials - len(self.optuna.get_trials(deepcopy=False))):
            self.optuna.add_trial(create_trial(state=TrialState.WAITING))


def create_or_join(name: str, storage: str | None, spec: Spec) -> OpenStudy:
    """The study ``name`` of ``spec``, which is made unless it is there.

    Raises:
        UserError: there is another of that name, or its place can't be had.
    """
    place = open_storage(storage, name, create=True)
    with database_errors(place.place):
        study = optuna.create_study(
            study_name=name, storage=place.optuna, directions=spec.directions, load_if_exists=True
        )
        if SPEC not in study.user_attrs:
            if study.get_trials(deepcopy=False):
                raise UserError(f"study={name}: {place.place} has one that is not of `tmd sweep`")
            study.set_user_attr(SPEC, spec.plain())
        opened = OpenStudy(name, place, study)
    if difference := spec.difference(opened.spec):
        raise UserError(
            f"study={name}: is there already, and {difference}; give another study=NAME, "
            "or the command that it was begun by"
        )
    return opened


def open_study(name: str, storage: str | None) -> OpenStudy:
    """The study ``name``.

    Raises:
        UserError: there is none, or its place can't be had.
    """
    place = open_storage(storage, name, create=False)
    with database_errors(place.place):
        try:
            study = optuna.load_study(study_name=name, storage=place.optuna)
        except KeyError:
            known = optuna.get_all_study_names(place.optuna)
            listed = ", ".join(sorted(known)) or "none"
            raise UserError(
                f"study={name}: no such study in {place.place} (it has {listed})"
            ) from None
        if SPEC not in study.user_attrs:
            raise UserError(f"study={name}: {place.place} has one that is not of `tmd sweep`")
        return OpenStudy(name, place, study)


def repeat_of(trial: FrozenTrial | Mapping[str, Any], repeat: int) -> dict[str, Any]:
    """Result of a repeat: ``run``, ``values`` (by objective), ``seconds``; empty before its end."""
    attributes = trial.user_attrs if isinstance(trial, FrozenTrial) else trial
    return dict(attributes.get(f"repeat_{repeat}") or {})
