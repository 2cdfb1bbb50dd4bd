"""`measurement.fit`: the list of operators fitted to a folder, said, and kept for the record."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from experiments.support.inputs import several
from tmd.acceleration.memory import keep_freed_memory
from tmd.data.files import find_files
from tmd.data.sources import ImageSource
from tmd.distributed import ALONE, Share
from tmd.errors import UserError
from tmd.fitting import NEAR, Fit, Objective, Space, fit, take_sample, total
from tmd.measurements import MeasurementOptions

#: What is recorded of fits of this process, by the lists that were found.
_RECORDS: dict[str, dict[str, Any]] = {}


def fitted_operators(
    options: MeasurementOptions,
    hr: ImageSource,
    scale: int,
    seed: int,
    budget: int | None = None,
) -> list[Any]:
    """The list of ``options``, fitted to the folder that it names; the list is printed.

    Args:
        hr: images to degrade.
        budget: about how many lists are tried; None: 100 for each range, at most 400.

    Raises:
        UserError: the folder's images, or HR, can't be used; or the fit does not come near.
    """
    roots = [os.path.expanduser(str(root)) for root in several(options.fit)]
    key = f"measurement.fit={','.join(roots)}"
    Space(options.operators)  # its ranges are looked for before any image
    images = find_files(roots, hr.kind, key="measurement.fit")
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # whose sums don't depend on the machine's cores
    try:
        with torch.no_grad():
            sample = take_sample(images, hr, scale, key)
            objective = Objective(sample, scale, seed, hr.kind)
            found = _searched(objective, options.operators, budget)
    finally:
        torch.set_num_threads(threads)
    print(
        f"fitted to {sample.images} images, by {sample.hr_images} HR images: "
        f"distance {_said(found.fitted)}; before {total(found.before):.2f}; "
        f"halves of the images {_said(found.floor)}"
    )
    print(as_typed(found.operators))
    if not found.is_near and not options.fit_anyway:
        raise UserError(
            f"{key}: does not come near: {total(found.fitted):.2f}, where halves of the images are "
            f"{total(found.floor):.2f} apart, and {NEAR:g} times that is near; farthest in "
            f"{found.farthest}; measurement.fit_anyway=True takes the list above"
        )
    _RECORDS[json.dumps(found.operators)] = _record(options, found, sample.images)
    return found.operators


def _searched(objective: Objective, operators: Sequence[Any], budget: int | None) -> Fit:
    with tqdm(desc="fit", unit="list", file=sys.stderr, leave=False) as bar:

        def said(done: int, budget: int, best: float) -> None:
            bar.total = budget
            bar.set_postfix_str(f"distance {best:.2f}", refresh=False)
            bar.update(done - bar.n)

        return fit(objective, operators, budget, said)


def _said(distances: dict[str, float]) -> str:
    parts = ", ".join(f"{group} {value:.2f}" for group, value in distances.items())
    return f"{total(distances):.2f} ({parts})"


def _record(options: MeasurementOptions, found: Fit, images: int) -> dict[str, Any]:
    return {
        "fit": options.fit,
        "images": images,
        "searched": list(options.operators),
        "operators": found.operators,
        "distance": {**found.fitted, "total": total(found.fitted)},
        "before": {**found.before, "total": total(found.before)},
        "floor": {**found.floor, "total": total(found.floor)},
        "near": found.is_near,
        "lists": found.evaluations,
    }


def fit_record(operators: Sequence[Any], share: Share = ALONE) -> dict[str, Any]:
    """Entries of a run's info: how a list that was fitted in this process was found.

    Raises:
        UserError: another process, on another processor, found another list.
    """
    text = json.dumps(list(operators))
    if text not in _RECORDS:
        return {}
    if share.any(share.agreed(text) != text):
        raise UserError(
            "measurement.fit: the processes found different lists; type the one that "
            "tmd degrade fit prints"
        )
    return {"measurement_fit": _RECORDS[text]}


def as_typed(operators: Sequence[Any]) -> str:
    """A list as it is typed in a shell.

    Example:
        >>> print(as_typed([{"name": "blur", "sigma": [1, 2]}, "decimate"]))
        'measurement.operators=[{"name":"blur","sigma":[1,2]},"decimate"]'
    """
    text = json.dumps(list(operators), separators=(",", ":"))
    for theirs, ours in (("true", "True"), ("false", "False"), ("null", "None")):
        text = re.sub(rf"(?<=[:\[,]){theirs}(?=[,\]}}])", ours, text)
    return f"'measurement.operators={text}'"
