"""List runs: status, what differs in their configs, their last and best metrics.

    python experiments/runs.py
    python experiments/runs.py with store=mongodb://host/database last=20
    python experiments/runs.py with html=True

`html=True` also writes one page for the browser, `index.html` in the store: a table to sort and
filter, the curves of several runs in one plot, their sheets, output and artifacts. It needs no
server and no network. Listing leaves no record.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.support.experiment import Experiment
from observers import open_store
from observers.addresses import is_mongo
from observers.names import printable
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
from tmd.errors import UserError, check_flag, check_number

ex = Experiment("runs")
ex.recorded = False

CONFIG_COLUMNS = 8
WARNINGS = 20


@ex.config
def config():
    store = "runs"  # a folder, or mongodb://host/database
    last = None  # only so many runs, the newest
    metrics = None  # names of those to show; None: the three that say most
    html = False  # also write the page
    output = None  # where to; None: index.html in the store, runs.html for a database


@ex.check
def check(store: Any, last: int | None, metrics: Any, html: bool, output: Any) -> None:
    if not isinstance(store, (str, int)) or store == "":
        raise UserError(f"store={store!r}: must be a folder or mongodb://host/database")
    if last is not None:
        check_number("last", last, 1, integer=True)
    if metrics is not None and not isinstance(metrics, (str, list, tuple)):
        raise UserError(f"metrics={metrics!r}: must be a name or a list of names")
    check_flag("html", html)
    if output is not None and not str(output).endswith(".html"):
        raise UserError(f"output={output!r}: must end in .html")


@ex.main
def main(store: str, last: int | None, metrics: Any, html: bool, output: str | None) -> None:
    opened = open_store(str(store))
    with uncollected():
        runs = list_runs(opened, last)
        if not runs:
            print(f"{printable(opened.spec)} holds no runs")
        else:
            wanted = [metrics] if isinstance(metrics, str) else metrics
            width = shutil.get_terminal_size((160, 24)).columns
            print("\n".join(table(runs, wanted or main_metrics(runs), width)))
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
    fixed = ["run", "status", "experiment"]
    keys = differing_keys([run.config for run in runs], [run.experiment for run in runs])
    heads = [f"{short(name, 60)}  (best @ step)" for name in metrics]
    shown = keys[:CONFIG_COLUMNS]
    rows: list[list[str]] = [[*fixed, *map(short, shown), *heads, "duration"]]
    for run in runs:
        cells = [run.id, run.status, run.experiment, *(run.config.get(key) for key in shown)]
        measured = [last_and_best(run.metrics.get(name)) for name in metrics]
        rows.append([*map(short, cells), *measured, run.duration])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while shown and sum(widths) + 2 * (len(widths) - 1) > width:
        shown = shown[:-1]
        del widths[len(fixed) + len(shown)]
        for row in rows:
            del row[len(fixed) + len(shown)]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * size for size in widths))
    if hidden := keys[len(shown) :]:
        names = ", ".join(map(short, hidden[:6])) + (", …" if len(hidden) > 6 else "")
        lines.append(f"({len(hidden)} more config keys differ: {names})")
    return lines


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
