"""List runs: status, what differs in their configs, their last and best metrics.

    python experiments/runs.py
    python experiments/runs.py with store=mongodb://host/database last=20
    python experiments/runs.py with html=True
    python experiments/runs.py with group=study
    python experiments/runs.py with by=generator.n_blocks,scale

`html=True` also writes one page for the browser, `index.html` in the store: a table to sort and
filter, the curves of several runs in one plot, their sheets, output and artifacts. It needs no
server and no network. Listing leaves no record.

`group` and `by` put repeats together and show the mean ± half of the 95 % interval (Student's t) of
what the completed runs of each group measured last, and their number: `group=study` the trials of
each study, `group=config` runs whose configs differ in nothing but their seeds, `by` those with the
same values of some keys. A seed counts once, and evaluations are no trainings.
"""

from __future__ import annotations

import difflib
import itertools
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.support.experiment import Experiment
from experiments.support.start import DEFAULT_STORE
from observers import open_store
from observers.addresses import is_mongo
from observers.names import printable
from observers.reading.groups import (
    GROUPINGS,
    Group,
    Spread,
    by_config,
    by_keys,
    by_study,
    importance,
)
from observers.reading.index import list_runs
from observers.reading.listing import (
    LastAndBest,
    Listed,
    differing_keys,
    main_metrics,
    short,
    uncollected,
)
from observers.reading.page import write_page
from tmd.errors import UserError, check_choice, check_flag, check_number

ex = Experiment("runs")
ex.recorded = False
ex.reads_store = True

CONFIG_COLUMNS = 8
WARNINGS = 20
FEWEST_TRIALS = 8  # of fewer, importance is chance


@ex.config
def config():
    store = "runs"  # a folder, or mongodb://host/database; -F and -m name one too
    last = None  # only so many runs, the newest
    metrics = None  # names of those to show; None: the three that say most
    group = None  # study, config: what repeats of one another are shown as one line
    by = None  # keys of the config: runs with the same values of them are one line
    value = "last"  # best: of each run's metrics, the value that goes into the mean
    html = False  # also write the page
    output = None  # where to; None: index.html in the store, runs.html for a database


@ex.check
def check(
    store: Any,
    last: int | None,
    metrics: Any,
    group: Any,
    by: Any,
    value: Any,
    html: bool,
    output: Any,
) -> None:
    if not isinstance(store, (str, int)) or store == "":
        raise UserError(f"store={store!r}: must be a folder or mongodb://host/database")
    if last is not None:
        check_number("last", last, 1, integer=True)
    if metrics is not None and not isinstance(metrics, (str, list, tuple)):
        raise UserError(f"metrics={metrics!r}: must be a name or a list of names")
    if group is not None:
        check_choice("group", group, GROUPINGS)
    check_choice("value", value, ("last", "best"))
    if by is not None and group is not None:
        raise UserError(f"by={by!r}: groups by itself; give it without group={group}")
    if not all(isinstance(key, str) and key for key in names_in(by)):
        raise UserError(f"by={by!r}: must be keys of the config, like generator.n_blocks,scale")
    check_flag("html", html)
    if output is not None and not str(output).endswith(".html"):
        raise UserError(f"output={output!r}: must end in .html")


@ex.main
def main(
    store: str,
    last: int | None,
    metrics: Any,
    group: str | None,
    by: Any,
    value: str,
    html: bool,
    output: str | None,
) -> None:
    if store == DEFAULT_STORE:
        store = ex.store
    elif (folder := ex.stores.get("--file_storage")) is not None:
        raise UserError(f"store={store}: -F {folder} names a store, too; give one")
    opened = open_store(str(store))
    with uncollected():
        runs = list_runs(opened, last)
        if not runs:
            print(f"{printable(opened.spec)} holds no runs")
        else:
            wanted = names_in(metrics) or main_metrics(runs)
            width = shutil.get_terminal_size((160, 24)).columns
            if group or by:
                lines = group_lines(grouped(runs, group, names_in(by)), wanted, width, value)
            else:
                lines = table(runs, wanted, width)
            print("\n".join(lines))
            for line in warnings(runs):
                print(line, file=sys.stderr)
    if html:
        at = "runs.html" if is_mongo(str(store)) else str(Path(str(store), "index.html"))
        path = Path(output or at)
        count = write_page(opened, path)
        print(f"\n{printable(path)}: {count} runs, to be opened in a browser")


def table(runs: Sequence[Listed], metrics: Sequence[str], width: int) -> list[str]:
    """The lines of the list, newest run last, no wider than ``width`` if that can be.

    Columns are left out from the right of the config until it fits; the last line says so.
    """
    keys = differing_keys([run.config for run in runs], [run.experiment for run in runs])
    fixed = [
        ["run", *map(short, (run.id for run in runs))],
        ["status", *_texts(run.status for run in runs)],
        ["experiment", *_texts(run.experiment for run in runs)],
    ]
    measured = [
        [f"{short(name, 60)}  (best @ step)"]
        + [last_and_best(run.metrics.get(name)) for run in runs]
        for name in metrics
    ]
    durations = ["duration", *(run.duration for run in runs)]
    of_config = ([short(key), *_texts(run.config.get(key) for run in runs)] for key in keys)
    return fitted(fixed, of_config, [*measured, durations], keys, width)


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """``values`` by `short`; those of texts, which come again and again, made once."""
    known: dict[str, str] = {}
    for value in values:
        if type(value) is not str:
            yield short(value)
        elif value in known:
            yield known[value]
        else:
            yield known.setdefault(value, short(value))


def fitted(
    left: Sequence[list[str]],
    of_config: Iterable[list[str]],
    right: Sequence[list[str]],
    keys: Sequence[str],
    width: int,
) -> list[str]:
    """Lines of columns, the first cell of each its head.

    Args:
        left, right: columns that stay.
        of_config: columns between them; at most `CONFIG_COLUMNS`, and as many as there is room for.
        keys: what those are of.
    """
    room = width - sum(max(map(len, column)) + 2 for column in (*left, *right)) + 2
    shown: list[list[str]] = []
    for column in itertools.islice(of_config, CONFIG_COLUMNS):
        room -= max(map(len, column)) + 2
        if room < 0:
            break
        shown.append(column)
    columns = [*left, *shown, *right]
    widths = [max(map(len, column)) for column in columns]
    line = "  ".join(f"%-{size}s" for size in widths)
    lines = [(line % row).rstrip() for row in zip(*columns, strict=True)]
    lines.insert(1, "  ".join("-" * size for size in widths))
    if hidden := keys[len(shown) :]:
        names = ", ".join(map(short, hidden[:6])) + (", …" if len(hidden) > 6 else "")
        lines.append(f"({len(hidden)} more config keys differ: {names})")
    return lines


def names_in(value: Any) -> list[Any]:
    """One name, or several as a list or with commas between them, as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def grouped(runs: Sequence[Listed], group: str | None, by: Sequence[str]) -> list[Group]:
    """The groups of runs that were asked for.

    Raises:
        UserError: no run belongs to one.
    """
    if by:
        known = {key for run in runs for key in run.config}
        for key in by:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UserError(f"by={key}: no run has this key of the config{hint}")
        return by_keys(runs, by)
    found = by_study(runs) if group == "study" else by_config(runs)
    if not found:
        raise UserError("group=study: no run belongs to a study; group=config, by=scale group any")
    return found


def group_lines(
    groups: Sequence[Group], metrics: Sequence[str], width: int, value: str = "last"
) -> list[str]:
    """The lines of lists of groups, one list a study and experiment."""
    lines: list[str] = []
    for (study, experiment), members in itertools.groupby(
        sorted(groups, key=lambda group: (group.study, group.experiment)),
        key=lambda group: (group.study, group.experiment),
    ):
        alike = list(members)
        in_study = bool(study)
        if lines:
            lines.append("")
        if in_study:
            lines.append(f"study {printable(study)} ({printable(experiment)})")
        lines += _group_table(alike, metrics, width, value, in_study)
        if in_study and (said := importance_line(alike, metrics, value)):
            lines.append(said)
    return [*lines, f"(mean of the {value} values ± half of the 95 % interval by Student's t)"]


def _group_table(
    groups: Sequence[Group], metrics: Sequence[str], width: int, value: str, in_study: bool
) -> list[str]:
    keys = list(dict.fromkeys(key for group in groups for key in group.values))
    named = [group.trial if in_study else group.experiment for group in groups]
    others = [
        ", ".join(f"{count} {printable(what)}" for what, count in group.others.items())
        for group in groups
    ]
    left = [
        ["trial" if in_study else "experiment", *_texts(named)],
        ["runs", *(str(len(group.runs)) for group in groups)],
    ]
    right = [
        [short(name, 60), *(in_words(group.spread(name, value == "best")) for group in groups)]
        for name in metrics
    ]
    of_config = ([short(key), *_texts(group.values.get(key) for group in groups)] for key in keys)
    return fitted(left, of_config, [*right, ["besides", *map(short, others)]], keys, width)


def in_words(spread: Spread | None) -> str:
    """``28.13 ± 0.21``, the mean to the digits that its interval leaves."""
    if spread is None:
        return ""
    if spread.half is None:
        return short(spread.mean)
    digits = 2 if spread.half == 0 else max(0, 1 - math.floor(math.log10(spread.half)))
    return f"{spread.mean:.{min(digits, 6)}f} ± {spread.half:.{min(digits, 6)}f}"


def importance_line(groups: Sequence[Group], metrics: Sequence[str], value: str) -> str:
    """Shares of the first metric's variance that the parameters explain; "" of too few trials."""
    spreads = [(group.values, group.spread(metrics[0], value == "best")) for group in groups]
    known = [(values, found.mean) for values, found in spreads if found is not None]
    shares = importance(known)
    if len(known) < FEWEST_TRIALS or not shares:
        return ""
    said = ", ".join(f"{short(name, 40)} {share:.0%}" for name, share in shares.items())
    return f"{metrics[0]} by rank is explained by: {said}"


def last_and_best(metric: LastAndBest | None) -> str:
    """A metric's cell of the list."""
    if metric is None:
        return ""
    last = "nan" if metric.last is None else short(metric.last)
    if metric.best is None:
        return last
    return f"{last}  ({short(metric.best)} @ {short(metric.best_step)})"


def warnings(runs: Sequence[Listed]) -> list[str]:
    """Lines that say what of the runs' records can't be read as it should be."""
    lines = [f"warning: run {printable(run.id)}: {said}" for run in runs for said in run.warnings]
    more = len(lines) - WARNINGS
    return [*lines[:WARNINGS], f"and {more} more warnings"] if more > 0 else lines


if __name__ == "__main__":
    ex.run_commandline()
