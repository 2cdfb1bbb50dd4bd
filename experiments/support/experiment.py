"""A Sacred experiment that checks its config before a run exists and answers mistakes in a line.

What Sacred's `Experiment` lacks for us: checks and the resolution of ``auto`` before any observer
has written anything, a default store, inheriting the config of a resumed run, and errors without
tracebacks for what a user can put right. The rest is Sacred's.
"""

from __future__ import annotations

import difflib
import io
import logging
import pdb
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import sacred
from docopt import docopt
from sacred import SETTINGS
from sacred.config import ConfigDict
from sacred.dependencies import Source
from sacred.run import Run
from sacred.utils import (
    SacredError,
    convert_to_nested_dict,
    ensure_wellformed_argv,
    get_by_dotted_path,
    iterate_flattened,
    print_filtered_stacktrace,
)

from experiments.support.earlier import with_what_went_without_saying
from experiments.support.elastic import ELASTIC, with_the_interrupted
from experiments.support.garbage import search_as_ever, spare_imports
from experiments.support.given import given_keys
from experiments.support.membership import INFO_KEY as STUDY_KEY
from experiments.support.membership import membership
from experiments.support.renamed import with_todays_names
from experiments.support.saying import (
    be_silent,
    full_disk,
    one_line,
    say,
    shown_logger,
    without_colours,
)
from experiments.support.sources import ROOT, installed_requirements, loaded_sources, repositories
from experiments.support.start import DEFAULT_STORE, check_options, started_by, take_stores
from experiments.support.values import CONFIG_SUFFIXES, parse_updates, plain_config, read_config
from observers import (
    RunArtifacts,
    create_observers,
    one_beat_at_a_time,
    open_run,
    record_output,
    store_spec,
)
from tmd.errors import Interrupted, UserError, raise_interrupted
from tmd.later import files_of
from tmd.launch import is_main_process

SETTINGS["DISCOVER_SOURCES"] = SETTINGS["DISCOVER_DEPENDENCIES"] = "none"  # see `sources`

#: Keys of a parent's config that say how it was started, not what it trains.
NOT_INHERITED = ("resume", "__doc__")

#: An ingredient, or the experiment, and a config of its entries.
FoundConfig = tuple[sacred.Ingredient, Callable[..., Any]]
#: Of a config and the entries that were typed, by path: the entries to replace.
Adapter = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


class Experiment(sacred.Experiment):
    """See the module's docstring.

    Attributes:
        recorded: whether runs are written to `DEFAULT_STORE` when no store is named.
        reads_store: ``-F`` and ``-m`` name where it finds runs; it leaves no record there.
        store: where the run being made looks for others by their number.
        stores: the options that name it.
        starting_point: a named config that every run begins with, for what this experiment has
            other defaults of than its ingredients.
        bases: by key, (its value, store, given entries) -> config entries that the run then begins
            with, where it doesn't resume another.
        validates: metrics of held-out images that its runs record beside ``training.metrics``;
            empty: it doesn't train.
        needs: packages that only a run of the experiment itself imports, all of their files, when
            its config is found right and before its record names the code.
    """

    recorded = True
    reads_store = False
    store = DEFAULT_STORE
    stores: Mapping[str, str | None] = {}
    starting_point: str | None = None
    bases: Mapping[str, Callable[[Any, str, Mapping[str, Any]], Mapping[str, Any]]] = {}
    validates: Sequence[str] = ()
    needs: Sequence[str] = ()

    _from_command_line = False
    _given: Mapping[str, Any] = {}

    def __init__(self, name: str, ingredients: Sequence[sacred.Ingredient] = ()) -> None:
        script = sys._getframe(1).f_globals
        super().__init__(name, ingredients, base_dir=str(ROOT), save_git_info=False)
        # Sacred takes both from its caller, which is this file.
        self.doc = script["__doc__"]
        self.mainfile = Source.create(script["__file__"], save_git_info=False)

    def get_experiment_info(self) -> dict[str, Any]:
        """Name and place of the experiment; its code is added to a run that is recorded."""
        assert self.mainfile is not None
        return {
            "name": self.path,
            "base_dir": self.base_dir,
            "mainfile": self.mainfile.to_json(self.base_dir)[0],
            **dict.fromkeys(("sources", "dependencies", "repositories"), ()),
        }

    def _code(self) -> dict[str, Any]:
        """The code of the experiment, as the record of a run has it."""
        assert self.mainfile is not None
        return {
            "sources": loaded_sources(Path(self.mainfile.filename)),
            "dependencies": list(installed_requirements()),
            "repositories": list(repositories()),
        }

    def check(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: a captured function that raises `UserError` for a config that can't be.

        All of them run before any observer is told of the run.
        """
        captured = self.capture(function)
        self.__dict__.setdefault("_checks", []).append(captured)
        return captured

    def adapt(self, function: Adapter) -> Adapter:
        """Decorator: a function that returns the config entries that nobody meant, by path.

        It is given the config and the entries that were typed, by path, and runs before the checks.
        """
        self.__dict__.setdefault("_adapters", []).append(function)
        return function

    def prepare(self, config: Mapping[str, Any]) -> None:
        """Have captured functions see the config of a run that there was, without a new one."""
        logging.disable(logging.WARNING)  # "changed type", of what was typed long ago
        try:
            with self._named([(self, ConfigDict(plain_config(config, "config")))]) as names:
                super()._create_run(named_configs=names)
        finally:
            logging.disable(logging.NOTSET)

    def resolve(self, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Decorator: a captured function that returns the config entries to replace, by path.

        It runs after the checks; the config that is stored, printed and used has its values.
        """
        captured = self.capture(function)
        self.__dict__.setdefault("_resolvers", []).append(captured)
        return captured

    def run(self, command_name: str | None = None, *args: Any, **kwargs: Any) -> Run:
        """Sacred's, but that a mistake of the user's ends the command line with one line."""
        with self._mistakes_in_a_line():
            run = self._create_run(command_name, *args, **kwargs)
            if command_name in (None, self.default_command):
                for package in self.needs:
                    files_of(package)
            if run.observers or command_name == "print_dependencies":  # else nobody asks
                run.experiment_info |= self._code()
            search_as_ever()
            run()
            return run

    @contextmanager
    def _mistakes_in_a_line(self) -> Iterator[None]:
        try:
            yield
        except (UserError, SacredError) as problem:
            if not self._from_command_line or (self.current_run and self.current_run.debug):
                raise
            # A mistake in the config is every process's: the first one says it.
            started = self.current_run is not None and self.current_run.start_time is not None
            if is_main_process() or started:
                say(f"error: {one_line(problem)}")
            sys.exit(2)

    def run_commandline(
        self, argv: Any = None, given: Mapping[str, Any] | None = None
    ) -> Run | None:
        """Sacred's command line, with one-line errors and the exit codes a shell expects.

        0 completed; 2 a mistake of the user's; 1 any other exception; 128 + n ended by signal n.

        Args:
            given: config entries by dotted path that no text stands for, taken as they are.
        """
        self._from_command_line = True
        spare_imports()
        self._given = dict(given or {})
        if not is_main_process():
            be_silent()
        if not sys.stdout.isatty():
            without_colours()
        previous = signal.signal(signal.SIGTERM, raise_interrupted)
        try:
            return self._run_words([str(word) for word in ensure_wellformed_argv(argv)[1:]])
        except Interrupted as interrupted:
            say(str(interrupted))
            sys.exit(128 + interrupted.signal)
        except KeyboardInterrupt:
            say("stopped by SIGINT")
            sys.exit(128 + signal.SIGINT)
        finally:
            signal.signal(signal.SIGTERM, previous)
            self._from_command_line = False
            self._given = {}

    def _run_words(self, words: list[str]) -> Run | None:
        """Sacred's own way from words to a run, without restoring objects from what is typed."""
        _, usage, internal_usage = self.get_usage()
        options = docopt(internal_usage, words, default_help=False)
        command = options.get("COMMAND") or self.default_command
        if not options["help"] and self._check_command(command):
            known = ", ".join(sorted(self.commands))
            say(f"error: {command}: no such command ({known}); settings come after `with`")
            sys.exit(2)
        if self._handle_help(options, usage):
            sys.exit()
        try:
            with self._mistakes_in_a_line():
                check_options(options)
                updates, names = parse_updates(options["UPDATE"])
            run = self.run(command, updates, names, info={}, meta_info={}, options=options)
        except Exception as problem:
            if options["--debug"]:
                raise
            if line := full_disk(problem):
                say(f"error: {line}")
                sys.exit(1)
            print_filtered_stacktrace()
            if options["--pdb"]:
                pdb.post_mortem()
            sys.exit(1)
        if RunArtifacts(run).undelivered():  # the run's last line says what, and where it is kept
            sys.exit(1)
        return run

    def _create_run(
        self,
        command_name: str | None = None,
        config_updates: dict[str, Any] | None = None,
        named_configs: Sequence[str] = (),
        info: dict[str, Any] | None = None,
        meta_info: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Run:
        if self.logger is None:
            self.logger = shown_logger()  # type: ignore[assignment]  # Sacred declares None
        options = {**self.get_default_options(), **(options or {})}
        stores = take_stores(options)
        # Where `resume=3` is looked for: the store that the new run is written to.
        self.store = store_spec(stores["--file_storage"], stores["--mongo_db"], DEFAULT_STORE)
        updates = self._typed(config_updates or {})
        configs = [*self._bases_of(updates), *map(self._find_config, named_configs)]
        with self._named(configs) as names:

            def create(updates: dict[str, Any]) -> Run:
                return super(Experiment, self)._create_run(
                    command_name, updates, names, info, meta_info, options
                )

            run, given = self._create_complete(create, updates, queued=bool(options["--queue"]))
        self._observe(run, stores, queued=bool(options["--queue"]))
        if self.recorded and (study := membership()):
            run.info[STUDY_KEY] = study
        run.meta_info |= started_by(options, stores)
        run.meta_info |= {"named_configs": list(named_configs), "given": given}
        if run.capture_mode is None:
            run.capture_mode = "sys"  # Sacred's default redirects the file descriptors themselves
        record_output(run)
        one_beat_at_a_time(run)
        return run

    def _typed(self, config_updates: Mapping[str, Any]) -> dict[str, Any]:
        """The entries that were typed, by today's names and as plain values."""
        given = self._with_given(convert_to_nested_dict(dict(config_updates)))
        updates = plain_config(given, "config")
        self._check_parts(updates)
        if updates.get("resume") == ELASTIC:
            updates = with_the_interrupted(updates, self.store, str(self.path))
        return updates

    def _bases_of(self, updates: Mapping[str, Any]) -> list[FoundConfig]:
        """Configs that a run begins with, before the named ones, the first ones first."""
        bases: list[FoundConfig] = []
        if (resume := updates.get("resume")) is not None:
            bases.append(self._inherited_config(resume))
        else:
            for key, base in self.bases.items():
                if (value := get_by_dotted_path(updates, key)) is not None:
                    found = base(value, self.store, updates)
                    entries = plain_config(dict(found), f"{key}={value}")
                    bases.insert(0, (self, ConfigDict(entries)))
        if self.starting_point is not None:
            bases.insert(0, self._find_config(self.starting_point))
        return bases

    def _create_complete(
        self, create: Callable[[dict[str, Any]], Run], updates: dict[str, Any], *, queued: bool
    ) -> tuple[Run, list[str]]:
        """The run with its config adapted, checked and resolved; the paths that somebody set.

        It is created anew, by ``create``, where an entry becomes another than the config's.
        """
        run = create(updates)
        typed = dict(iterate_flattened(updates))
        given = given_keys(run, typed, self._own_entries())

        def changed(entries: Iterable[Mapping[str, Any]]) -> Run:
            nonlocal updates
            changes = {
                path: value
                for each in entries
                for path, value in each.items()
                if get_by_dotted_path(run.config, path) != value
            }
            if not changes:
                return run
            updates = convert_to_nested_dict({**_others(updates, changes), **changes})
            return create(updates)

        run = changed([f(run.config, typed) for f in self.__dict__.get("_adapters", ())])
        for check in self.__dict__.get("_checks", ()):
            check()
        if not queued:  # else by what there is where it will run
            run = changed([f() for f in self.__dict__.get("_resolvers", ())])
        return run, given

    def _observe(self, run: Run, stores: dict[str, str | None], *, queued: bool) -> None:
        """Give the run the observers of its stores, or none."""
        if not is_main_process():
            run.unobserved = True
        self.stores = stores
        if not run.unobserved and not self.reads_store:
            run.observers.extend(self._observers(stores))
        # Sacred warns of a run that nobody observes; here that is the rule.
        run.unobserved = run.unobserved or (not self.recorded and not run.observers)
        if queued and run.unobserved:
            raise UserError("--queue: needs a store; -F runs, or -m with an address")

    def try_out(
        self, updates: Mapping[str, Any], named_configs: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The config of a run of these settings, which is checked, but not begun or recorded.

        Raises:
            UserError, SacredError: it can't be.
        """
        with redirect_stdout(io.StringIO()):
            nested = convert_to_nested_dict(dict(updates))
            options = {"--unobserved": True}
            return self._create_run(None, nested, named_configs, {}, {}, options).config

    def _check_parts(self, updates: Mapping[str, Any]) -> None:
        """Raise `UserError` for a value in the place of a whole part of the config."""
        for part, _ in list(self.traverse_ingredients()):  # which is to be left at its end only
            value = None if part is self else get_by_dotted_path(updates, part.path)
            if value is None or isinstance(value, Mapping):
                continue
            hint = f"give its keys, {part.path}.KEY=VALUE"
            if value in part.named_configs:
                hint = f"the named config is one word, {part.path}.{value}"
            raise UserError(f"{part.path}={value}: {part.path} is a part of the config; {hint}")

    def _with_given(self, updates: dict[str, Any]) -> dict[str, Any]:
        """``updates`` and the entries that were given without text, each once."""
        flat = dict(iterate_flattened(updates))
        for path in self._given:
            if path in flat:
                raise UserError(f"{path}: given twice, as {self._given[path]} and as {flat[path]}")
        return convert_to_nested_dict({**flat, **self._given})

    def _observers(self, stores: dict[str, str | None]) -> Iterable[Any]:
        folder, url = stores["--file_storage"], stores["--mongo_db"]
        if folder is None and url is None and not self.observers and self.recorded:
            folder = DEFAULT_STORE
        return create_observers(file_storage=folder, mongo_url=url)

    def _inherited_config(self, resume: Any) -> FoundConfig:
        """The parent's config, as far as it says what is trained."""
        parent = open_run(resume, store=self.store)
        config = with_what_went_without_saying(with_todays_names(parent.config))
        inherited = {k: v for k, v in config.items() if k not in NOT_INHERITED}
        return self, ConfigDict(plain_config(inherited, f"the config of run {parent.spec}"))

    def _own_entries(self) -> Mapping[str, Any]:
        """The entries of the named config that every run begins with."""
        if self.starting_point is None:
            return {}
        return dict(self._find_config(self.starting_point)[1]())

    def _find_config(self, name: str) -> FoundConfig:
        """The named config of that name or, where there is none, the file.

        Raises:
            UserError: there is neither, or the file can't be read.
        """
        known = {
            (short if part is self else f"{part.path}.{short}"): (part, config)
            for part, _ in self.traverse_ingredients()
            for short, config in part.named_configs.items()
        }
        if name in known:
            return known[name]
        if name.endswith(CONFIG_SUFFIXES) or Path(name).exists():
            return self, ConfigDict(with_todays_names(read_config(name)))
        close = difflib.get_close_matches(name, known, n=1)
        listed = ", ".join(sorted(known)) or "none"
        hint = f"did you mean {close[0]}?" if close else f"named configs: {listed}"
        raise UserError(f"{name}: no such named config or config file; {hint}")

    @contextmanager
    def _named(self, configs: Iterable[FoundConfig]) -> Iterator[list[str]]:
        """Names that Sacred knows ``configs`` by for the moment.

        They hold a zero byte: Sacred would take, and execute, a file of a named config's name.
        """
        with ExitStack() as stack:
            names = []
            for number, (part, config) in enumerate(configs):
                name = f"\0{number}"
                part.named_configs[name] = config
                stack.callback(part.named_configs.pop, name)
                names.append(name if part is self else str(part.path) + "." + name)
            yield names


def _others(updates: Mapping[str, Any], changed: Iterable[str]) -> dict[str, Any]:
    """The entries of ``updates`` by their paths, without the changed ones and what is in them."""
    inside = tuple(f"{path}." for path in changed)
    return {k: v for k, v in iterate_flattened(updates) if not k.startswith(inside)}
