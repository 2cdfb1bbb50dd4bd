"""Run an experiment many times, over a space of configs, and find the best of it.

    python experiments/sweep.py with experiment=srgan smoke trials=8 'space.adv_weight=log(1e-4,.1)'
    python experiments/sweep.py status with study=NAME

What `space.KEY` may be, in quotes where a shell would take it for its own:

    log(1e-4,1e-1)        a number, equal ratios being equally likely
    4..16    0.1..0.9     a whole number, a number; 4..16..4 in steps
    8,16,32               one of these
    span,compact          one of a part's named configs, for space.generator=span,compact
    '4..16 if generator.name=srresnet'    that, in trials that have drawn this

What is no key of the sweep's own (`smoke` above, or dataset.root=PHOTOS) is the experiment's, and
the same in all trials. Every trial is an ordinary run of the store. The same command goes on with
the study after any end, and joins it from another machine that sees the same folder or database.
`best`, `table` and `importance` show what came out.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sacred.run import Run
from sacred.utils import iterate_flattened

from experiments.support.experiment import Experiment
from experiments.support.start import DEFAULT_STORE
from experiments.support.sweeping.limits import checked_limits
from experiments.support.sweeping.space import parse_space
from experiments.support.sweeping.spec import Spec, check_name
from experiments.support.sweeping.storage import check_installed, is_address
from tmd.errors import UserError, check_flag, check_number

if TYPE_CHECKING:
    from experiments.support.sweeping.studies import OpenStudy


#: Holds the address of a database, which no command line should show.
STORAGE_VARIABLE = "TMD_STUDY_STORAGE"


class Sweep(Experiment):
    """An experiment whose further settings are another's.

    Attributes:
        stores: what ``-F`` and ``-m`` named, for the runs: the sweep itself is none.
    """

    recorded = False
    stores: Mapping[str, str | None] = {}

    def own_keys(self) -> list[str]:
        """Config keys of the sweep itself, ``seed`` apart, which is that of the trials."""
        return sorted({*self.configurations[0]()} - {"seed"})

    def _create_run(
        self,
        command_name: str | None = None,
        config_updates: dict[str, Any] | None = None,
        named_configs: Sequence[str] = (),
        info: dict[str, Any] | None = None,
        meta_info: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Run:
        own, updates = self.own_keys(), dict(config_updates or {})
        theirs = {key: updates.pop(key) for key in [*updates] if key.split(".")[0] not in own}
        if theirs or named_configs:
            updates["settings"] = theirs
            updates["named"] = list(named_configs)
        return super()._create_run(command_name, updates, (), info, meta_info, options)

    def _observers(self, stores: dict[str, str | None]) -> list[Any]:
        self.stores = stores
        return []


ex = Sweep("sweep")


@ex.config
def config():
    experiment = None  # what to run: srgan, ambientgan, or another script that trains
    space = {}  # KEY: log(1e-4,1e-1), 4..16, 0.1..0.9, values such as 8,16,32; or a file of these
    trials = None  # in all; None: all points of a grid
    objective = "validation.score"  # metrics of the best state, whose best direction is known
    sampler = "auto"  # grid, random, tpe, nsga2; auto: tpe, nsga2 of several objectives
    pruner = "none"  # hyperband, median: ends trials that others were better than so far
    limits = {}  # parameters, seconds_per_iteration: a trial beyond is pruned as it begins
    repeats = 1  # runs of each trial, by seed, seed + 1, …; a trial's value is their mean
    sampler_seed = 1  # of what the sampler draws
    study = None  # its name; None: the experiment's and eight digits that hang on all above
    storage = None  # a folder, or sqlite:///FILE, postgresql://…, mysql://…; None: studies
    workers = 1  # trials at a time, each with its share of the processors, or a GPU
    engine = "local"  # where workers run: local, ray, slurm
    engine_options = {}  # address, cpus, gpus of ray; partition, time, cpus, gpus, … of slurm
    stale_after = 60.0  # seconds without a sign of life after which a worker's trial is taken over
    markdown = False  # tables as Markdown
    method = "ped-anova"  # of importance; fanova (needs scikit-learn)
    settings = {}  # of every trial: all that is no key of the sweep's
    named = []  # named configs and config files of every trial


@ex.check
def check(
    repeats: int,
    sampler_seed: int,
    study: Any,
    storage: Any,
    workers: int,
    stale_after: float,
    markdown: bool,
) -> None:
    check_number("repeats", repeats, 1, 1000, integer=True)
    check_number("sampler_seed", sampler_seed, 0, 2**31, integer=True)
    check_number("workers", workers, 1, 10_000, integer=True)
    check_number("stale_after", stale_after, 1)
    check_flag("markdown", markdown)
    if study is not None:
        check_name(study)
    if storage is not None and (not isinstance(storage, str) or not storage):
        raise UserError(f"storage={storage!r}: must be a folder or a database's address")


@ex.main
def main(
    experiment: Any,
    trials: int | None,
    study: str | None,
    workers: int,
    engine: str,
    engine_options: Any,
) -> None:
    """Begin, join or go on with a study."""
    check_installed()
    from experiments.support.engines import create_engine
    from experiments.support.sweeping.crew import Crew
    from experiments.support.sweeping.tables import said_at_the_end, said_at_the_start

    starter = create_engine(engine, engine_options)
    if experiment is None and study is not None:
        opened = _opened()
        if trials is not None:
            opened.ask_for(_checked_trials(opened.spec))
    else:
        opened = _begun_or_joined()
    print(said_at_the_start(opened, workers), flush=True)
    crew = Crew(opened, _work_command(opened), _environment(), workers, starter, _again(opened))
    crew.work()
    print(said_at_the_end(opened))


@ex.capture
def _begun_or_joined(
    experiment: Any,
    space: Mapping[str, Any] | str,
    objective: Any,
    sampler: str,
    pruner: str,
    limits: Any,
    repeats: int,
    sampler_seed: int,
    study: str | None,
    settings: Mapping[str, Any],
    named: Sequence[str],
) -> OpenStudy:
    """The study that the config says, once everything in it is checked."""
    from experiments.support.sweeping import checks
    from experiments.support.sweeping.checks import parts_with_names, read_space
    from experiments.support.sweeping.studies import create_or_join

    script, settings = _script(experiment), dict(iterate_flattened(settings))
    dimensions = parse_space(read_space(space), parts_with_names(script))
    checks.check_settings(settings, dimensions, repeats)
    found = checks.check_experiment_config(script, named, settings, dimensions, ex.own_keys())
    objectives = checks.checked_objectives(objective, script, found)
    spec = Spec(
        str(experiment),
        tuple(named),
        settings,
        dimensions,
        objectives,
        checks.checked_sampler(sampler, pruner, objectives),
        pruner,
        repeats,
        sampler_seed,
        found["seed"] if "seed" not in settings else settings["seed"],
        checked_limits(limits),
    )
    number = _checked_trials(spec)
    _check_store()
    opened = create_or_join(study or spec.default_name, _storage(), spec)
    opened.ask_for(number)
    return opened


@ex.capture
def _checked_trials(spec: Spec, trials: int | None) -> int:
    from experiments.support.sweeping.checks import checked_trials

    return checked_trials(trials, spec.sampler, spec.space)


def _script(experiment: Any) -> Experiment:
    """The experiment called so, which trains.

    Raises:
        UserError: there is none.
    """
    names = sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if "\nex.validates = " in path.read_text(encoding="utf-8")
    )
    if experiment not in names:
        raise UserError(
            f"experiment={experiment}: must be one that trains ({', '.join(names)}); "
            "tmd sweep srgan with space.adv_weight=log(1e-4,1e-1) trials=20, say"
        )
    return importlib.import_module(f"experiments.{experiment}").ex


def _check_store() -> None:
    """Raise `UserError` where the store of the runs is a database that is away."""
    from observers import open_store

    if ex.stores.get("--mongo_db"):
        open_store(ex.store).check()


@ex.capture
def _opened(study: str | None) -> OpenStudy:
    """The study that there is."""
    check_installed()
    from experiments.support.sweeping.studies import open_study

    if study is None:
        raise UserError("study=None: give the name of a study, tmd sweep status with study=NAME")
    return open_study(study, _storage())


def _store_words() -> list[str]:
    folder = ex.stores.get("--file_storage")
    return ["-F", folder or DEFAULT_STORE] if folder or not ex.stores.get("--mongo_db") else []


@ex.capture
def _again(opened: OpenStudy, workers: int) -> str:
    """The shortest command that goes on; "" where it would show an address."""
    if ex.stores.get("--mongo_db") or is_address(_storage()):
        return ""
    folder, storage = ex.stores.get("--file_storage"), _storage()
    words = ["tmd", "sweep", *(["-F", folder] if folder else []), "with", f"study={opened.name}"]
    words += [f"storage={storage}"] if storage else []
    return shlex.join([*words, *([f"workers={workers}"] if workers > 1 else [])])


def _environment() -> dict[str, str]:
    """What workers need that no command line should show."""
    url, storage = ex.stores.get("--mongo_db"), _storage()
    found = {"TMD_MONGO_URL": url, STORAGE_VARIABLE: storage if is_address(storage) else None}
    return {name: value for name, value in found.items() if value}


@ex.capture
def _storage(storage: str | None) -> str | None:
    """The place of studies: the config's, else the environment's."""
    return storage or os.environ.get(STORAGE_VARIABLE) or None


@ex.capture
def _work_command(opened: OpenStudy, stale_after: float) -> list[str]:
    words = [f"study={opened.name!r}", f"stale_after={stale_after}"]
    storage = _storage()
    words += [f"storage={storage!r}"] if storage and not is_address(storage) else []
    start = [sys.executable, "-m", "experiments.command", "sweep", "work"]
    return [*start, *_store_words(), "with", *words]


@ex.command
def work(stale_after: float) -> None:
    """Take trials of a study, one by one, until all have ended; `tmd sweep` starts this."""
    opened = _opened()
    from experiments.support.sweeping.worker import StoreOptions, Worker

    os.environ.update(_environment())
    done = Worker(opened, StoreOptions(_store_words(), ex.store), stale_after).work()
    print(f"worker {os.getpid()}: {done} trials")


@ex.command
def status() -> None:
    """Numbers of trials by their state, and those that run or failed."""
    from experiments.support.sweeping import tables

    print(tables.status(_opened()))


@ex.command
def best() -> None:
    """The best trial, or those that none is better than in all objectives, and how to type it."""
    from experiments.support.sweeping import tables

    print(tables.best(_opened()))


@ex.command
def table(markdown: bool) -> None:
    """Every trial with its values, mean ± 95 % interval over its repeats."""
    from experiments.support.sweeping import tables

    print(tables.table(_opened(), markdown))


@ex.command
def importance(markdown: bool, method: str) -> None:
    """Share of an objective's differences that each key of the space explains."""
    from experiments.support.sweeping import tables

    print(tables.importance(_opened(), markdown, method))


if __name__ == "__main__":
    ex.run_commandline()
