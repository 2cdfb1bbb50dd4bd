"""Results of a batch: which file becomes which, and what is done where one is there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.support.inputs import find_images
from tmd.errors import UserError, check_choice, check_flag, printable

EXISTING = ("error", "skip", "replace")


@dataclass(frozen=True)
class Job:
    """One input, and where its result goes."""

    source: Path
    target: Path


def check_existing(existing: str, overwrite: bool) -> None:
    """Raise `UserError` for another value than there is, or two that contradict each other."""
    check_choice("existing", existing, EXISTING)
    check_flag("overwrite", overwrite)
    if overwrite and existing == "skip":
        raise UserError("overwrite=True, existing=skip: give one of them")


def replaces(existing: str, overwrite: bool) -> bool:
    """Return whether results that are there are replaced; ``overwrite`` is the older key."""
    return overwrite or existing == "replace"


def left_to_do(jobs: Sequence[Job], existing: str) -> list[Job]:
    """The jobs without those whose result is there and is to be left, by ``existing=skip``."""
    return [job for job in jobs if existing != "skip" or not job.target.exists()]


def named_apart(
    found: Iterable[tuple[Path, Path]], output: Path, suffix: str | Callable[[Path], str]
) -> list[Job]:
    """Results that keep the input's folders; a.jpg beside a.png becomes a.jpg.png.

    Args:
        found: (file, its place below the output folder), see `find_images`.
        suffix: of the results, ".png" say, or that of each file's.

    Raises:
        UserError: two inputs would become one file.
    """
    found = list(found)
    suffixes = [suffix if isinstance(suffix, str) else suffix(source) for source, _ in found]
    targets = [
        output / place.with_suffix(ending)
        for (_, place), ending in zip(found, suffixes, strict=True)
    ]
    times = Counter(targets)
    jobs = [
        Job(source, target if times[target] == 1 else output / f"{place}{ending}")
        for (source, place), target, ending in zip(found, targets, suffixes, strict=True)
    ]
    by_target: dict[Path, Path] = {}
    for job in jobs:
        other = by_target.setdefault(job.target, job.source)
        if other != job.source:
            raise UserError(
                f"input: {other} and {job.source} would both become {job.target}; "
                "give one folder that holds both"
            )
    return jobs


def check_no_input(jobs: Sequence[Job], output: Path) -> None:
    """Raise `UserError` where a result would replace an input."""
    sources = {os.path.realpath(job.source) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.target) in sources:
            raise UserError(f"output={output}: {job.target} is an input; give another folder")


def named_sheets(inputs: Any, folder: Path, existing: str, overwrite: bool) -> list[Job]:
    """Images and the sheets that they become; a.jpg beside a.png becomes a.jpg.png.

    Raises:
        UserError: there are none, or a sheet exists.
    """
    if not inputs:
        raise UserError("input=None: give HR images, input=photos/ say")
    found = list(find_images(inputs, folder))
    if not found:
        raise UserError(f"input={inputs}: holds no images")
    jobs = named_apart(found, folder, ".png")
    check_no_input(jobs, folder)
    for job in left_to_do(jobs, existing):
        check_absent(job.target, replaces(existing, overwrite))
    return jobs


def check_absent(path: Path, overwrite: bool) -> None:
    """Raise `UserError` for a result that is there and is not to be replaced."""
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; overwrite=True replaces it, existing=skip leaves it")


def is_left(path: Path, existing: str, overwrite: bool) -> bool:
    """Return whether a result is there and stays, which is said.

    Raises:
        UserError: it is there, and neither to be left nor to be replaced.
    """
    if existing == "skip" and path.exists():
        print(f"{printable(path)}: was there")
        return True
    check_absent(path, replaces(existing, overwrite))
    return False
