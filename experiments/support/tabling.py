"""Tables of systems: what is named becomes rows, trainings that differ only in seed one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.support.curves import labels, repeats
from experiments.support.evaluation_record import distinct
from experiments.support.found_values import Asked, Found, Wanted
from experiments.support.inputs import several
from experiments.support.recorded_values import recorded_values
from experiments.support.trained import best_checkpoint, network_file
from observers import RunRecord, open_run
from tmd.errors import UserError, check_choice, check_number
from tmd.evaluation import METHODS, PerImage
from tmd.evaluation.comparison import Compared, Comparison


def check_table_keys(method: Any, group: Any, scale: Any, border: Any) -> None:
    """Raise `UserError` for a value that the keys of a table can't have."""
    for name in several(method):
        check_choice("method", name, list(METHODS))
    if scale is not None:
        check_number("scale", scale, 1, integer=True)
    if border is not None:
        check_number("border", border, 0, integer=True)
    lists = isinstance(group, (list, tuple)) and all(isinstance(g, (list, tuple)) for g in group)
    if group not in ("seeds", False) and not lists:
        raise UserError(f"group={group!r}: must be seeds, False or runs, like [[3,5,8],[4,6]]")


def comparison(wanted: Wanted) -> Comparison:
    """The systems, compared on the benchmarks.

    Raises:
        UserError: what is asked for is not there, or can't be compared.
    """
    evaluations, trainings = _taken_apart(several(wanted.run), wanted.store)
    systems = {s for record in evaluations for s in recorded_values(record).systems}
    baseline = _asked_baseline(wanted, trainings, systems)
    methods = [Asked(str(name), str(name)) for name in several(wanted.method)]
    asked = [each for each in methods if each.name not in systems]
    if isinstance(baseline, Asked) and baseline not in [*asked, *trainings]:
        asked.append(baseline)
    found = Found(wanted, [*asked, *trainings], evaluations)
    rows = [*found.recorded_rows(), *_grouped(found.rows(), wanted.group)]
    at = None if baseline is None else _row_of(baseline, rows, found)
    rows = _renamed(rows, [str(name) for name in several(wanted.names)])
    base = None if at is None else rows[at].name
    return Comparison(tuple(rows), tuple(found.columns), base, found.described)


def _renamed(rows: list[Compared], names: list[str]) -> list[Compared]:
    """Rows with the names that were typed, if any were."""
    current = [row.name for row in rows]
    if names and len(names) != len(rows):
        raise UserError(f"names: {len(names)} for {len(rows)} rows, {', '.join(current)}")
    names = names or distinct(current)
    if len(set(names)) < len(names):
        raise UserError(f"names={','.join(names)}: one for two rows")
    return [replace(row, name=name) for row, name in zip(rows, names, strict=True)]


def _taken_apart(specs: Sequence[Any], store: str) -> tuple[list[RunRecord], list[Asked]]:
    """Evaluations and trained networks among what ``run=`` names."""
    evaluations, trainings = [], []
    for spec in dict.fromkeys(map(str, specs)):
        if (file := network_file(spec)) is not None:
            trainings.append(Asked(spec, Path(spec).name, None, file))
            continue
        record = open_run(spec, store=store)
        if "evaluated" in record.info:
            evaluations.append(record)
        else:
            trainings.append(Asked(spec, f"run {record.id}", record, best_checkpoint(record)))
    return evaluations, trainings


def _asked_baseline(
    wanted: Wanted, trainings: Sequence[Asked], systems: Collection[str]
) -> Asked | str | None:
    """The baseline among what is asked for, or a further one; of evaluations a system's name."""
    if wanted.baseline is None:
        return None
    spec = str(wanted.baseline)
    if (known := next((each for each in trainings if each.spec == spec), None)) is not None:
        return known
    if spec in systems:
        return spec
    if spec in METHODS:
        return Asked(spec, spec)
    _, found = _taken_apart([spec], wanted.store)
    if not found:
        names = ", ".join(sorted(systems)) or "bicubic, say"
        raise UserError(f"baseline={spec}: is an evaluation; give one system of it, {names}")
    return found[0]


def _row_of(baseline: Asked | str, rows: Sequence[Compared], found: Found) -> int:
    """Place of the row that holds the baseline: of a training's group, the group's."""
    if isinstance(baseline, str):
        return [row.name for row in rows].index(baseline)
    values = found.values[baseline.spec]
    return next(at for at, row in enumerate(rows) if any(each is values for each in row.seeds))


def _grouped(rows: Sequence[tuple[Asked, PerImage]], group: Any) -> Iterator[Compared]:
    """Rows, those of trainings that are one system but for their seeds together."""
    records = [(at, asked.record) for at, (asked, _) in enumerate(rows) if asked.record is not None]
    places = _groups(records, [asked for asked, _ in rows], group)
    of_runs = [rows[group[0]][0].record for group in places if rows[group[0]][0].record is not None]
    said = iter(labels([each for each in of_runs if each is not None], without=("seed",)))
    for members in places:
        first = rows[members[0]][0]
        name = first.name if first.record is None else next(said)
        if len(members) > 1:
            ids = ", ".join(str(rows[at][0].record.id) for at in members)  # type: ignore[union-attr]
            name = f"runs {ids}" + "".join(name.partition(", ")[1:])
        yield Compared(name, tuple(rows[at][1] for at in members))


def _groups(
    records: Sequence[tuple[int, RunRecord]], asked: Sequence[Asked], group: Any
) -> list[list[int]]:
    """Places of rows that are one system."""
    if group is False or not records:
        return [[at] for at in range(len(asked))]
    if group == "seeds":
        found = [[records[at][0] for at in each] for each in repeats([r for _, r in records])]
    else:
        found = _typed_groups(group, asked)
    together = {at for each in found for at in each}
    return sorted([*found, *([at] for at in range(len(asked)) if at not in together)])


def _typed_groups(group: Any, asked: Sequence[Asked]) -> list[list[int]]:
    places = {each.spec: at for at, each in enumerate(asked) if each.record is not None}
    found = []
    for members in group:
        for member in members:
            if str(member) not in places:
                raise UserError(f"group={group}: {member} is no run of run={','.join(places)}")
        found.append([places[str(member)] for member in members])
    flat = [at for each in found for at in each]
    if len(set(flat)) < len(flat):
        raise UserError(f"group={group}: names a run twice")
    return found
