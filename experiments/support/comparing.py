"""Images compared: LR by a run's measurement, what networks make of it, metrics and sheets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from experiments.support.inputs import several
from experiments.support.trained import Trained, open_any
from tmd.checkpoints import image_kind
from tmd.data.pairing import common_part, pair_folder
from tmd.data.sources import FileSource
from tmd.errors import UserError
from tmd.figures import comparison_sheet, preview_sheet, telling_regions, views
from tmd.images import EIGHT_BITS, ImageKind, read_native
from tmd.measurements import create_measurement, is_given
from tmd.metrics import LPIPS, default_border, is_flat, metric, psnr
from tmd.resize import baseline_name, imresize
from tmd.upscale import super_resolve


def open_alike(run: Any, store: str, device: str) -> list[Trained]:
    """The generators of all runs, which must be of one scale and kind of image.

    Raises:
        UserError: they are not.
    """
    specs = several(run)
    trained = [open_any(spec, store, device) for spec in specs]
    names = [each.name for each in trained]
    if len(set(names)) < len(names):
        trained = [replace(each, name=str(spec)) for each, spec in zip(trained, specs, strict=True)]
    first = trained[0]
    for other in trained[1:]:
        for key in ("scale", "channels"):
            if other.state[key] != first.state[key]:
                raise UserError(
                    f"run={run}: {other.name} has {key}={other.state[key]}, {first.name} "
                    f"{first.state[key]}; only equals can be compared"
                )
        kinds = [image_kind(each.state) for each in (other, first)]
        if replace(kinds[0], shown=None) != replace(kinds[1], shown=None):
            raise UserError(
                f"run={run}: {other.name} is for {kinds[0].described()}, {first.name} for "
                f"{kinds[1].described()}; only equals can be compared"
            )
        if other.state["measurement"] != first.state["measurement"]:
            print(
                f"warning: {other.name} was trained with another measurement than {first.name}, "
                "whose LR images are used",
                file=sys.stderr,
            )
    return trained


@dataclass(frozen=True)
class Case:
    """One image as it is compared: (C, H, W) in [0, 1], and what each run makes of it.

    The first of the results needs no network.
    """

    name: str
    lr: Tensor
    hr: Tensor
    results: dict[str, Tensor]
    kind: ImageKind = EIGHT_BITS

    @property
    def pictures(self) -> dict[str, Tensor]:
        """The results and, last, HR, as they are shown: one or three channels."""
        images = {**self.results, "HR": self.hr}
        seen = views(self.kind, self.hr, list(images.values()))
        return dict(zip(images, seen, strict=True))

    @property
    def baseline(self) -> str:
        """Name of the result that needs no network."""
        return next(iter(self.results))


class Judge:
    """PSNR and, with a network, LPIPS, by the field's convention: Y, without its border."""

    def __init__(self, scale: int, lpips: LPIPS | None) -> None:
        self.scale = scale
        self.lpips = lpips
        self.figures: dict[str, list[dict[str, float]]] = {}

    def __call__(self, case: Case) -> dict[str, str]:
        """Words on each result of an image."""
        return {
            name: in_words(self.judge(name, sr, case.hr, case.kind))
            for name, sr in case.results.items()
        }

    def judge(
        self, name: str, sr: Tensor, hr: Tensor, kind: ImageKind = EIGHT_BITS
    ) -> dict[str, float]:
        """Metrics of one result, (C, H, W) in [0, 1], which count for the means."""
        found = {}
        border = default_border(self.scale)
        if min(hr.shape[-2:]) > 2 * border:
            found["psnr"] = psnr(sr[None], hr[None], border, "y" if kind.is_rgb else "rgb").item()
        if self.lpips is not None and min(hr.shape[-2:]) >= self.lpips.minimum_size:
            with torch.no_grad():
                found["lpips"] = self.lpips(kind.visible(sr)[None], kind.visible(hr)[None]).item()
        if not is_flat(hr, kind.step):  # nothing to restore: it would own the mean
            self.figures.setdefault(name, []).append(found)
        return found

    def means(self) -> dict[str, dict[str, float]]:
        """Means over the images so far, by result."""
        return {
            name: {
                key: sum(row[key] for row in rows if key in row) / sum(key in row for row in rows)
                for key in ("psnr", "lpips")
                if any(key in row for row in rows)
            }
            for name, rows in self.figures.items()
        }


def in_words(figures: Mapping[str, float]) -> str:
    """Metrics with their units or labels."""
    described = {metric(name): value for name, value in figures.items()}
    return " · ".join(
        each.text(value, unit=True) if each.unit else f"{each.label} {each.text(value)}"
        for each, value in described.items()
    )


def draw(
    case: Case, trained: Sequence[Trained], judge: Judge, zooms: int, zoom_size: int
) -> Image.Image:
    """The sheet of one run, or of several side by side in the regions that tell most."""
    notes = judge(case)
    if len(trained) > 1:
        size = max(judge.scale, zoom_size)
        guess = case.results[case.baseline]
        regions = telling_regions(guess, case.hr, size, zooms, judge.scale)
        shown = case.pictures
        return comparison_sheet(
            shown.pop("HR"), shown, notes=notes, regions=regions, title=case.name
        )
    generator, name = trained[0].generator, trained[0].name
    return preview_sheet(
        generator,
        case.lr,
        case.hr,
        sr=case.results[name],
        names=[case.name],
        notes=[{"bicubic": notes[case.baseline], "SR": notes[name]}],
        kind=case.kind,
    )


def given_lr(
    files: Sequence[Path], lr_root: str | None, trained: Sequence[Trained]
) -> dict[Path, Path]:
    """The given LR image of each file, matched by name; empty where LR is made.

    Raises:
        UserError: a file has none, or one of another size.
    """
    first = trained[0].state
    if lr_root is None:
        if is_given(first["measurement"]):
            print(
                f"note: {trained[0].name} learnt from given LR, and is shown LR by bicubic; "
                "lr_root=FOLDER gives others",
                file=sys.stderr,
            )
        return {}
    if not files:
        return {}
    root = os.path.commonpath([os.path.abspath(file.parent) for file in files])
    hr = FileSource([os.path.abspath(file) for file in files], image_kind(first), root)
    lr, _ = pair_folder(hr, lr_root, int(first["scale"]), "lr_root").sides(hr)
    return {file: Path(lr.name(number)) for number, file in enumerate(files)}


def measured(file: Path, trained: Sequence[Trained], given: Path | None = None) -> Case:
    """Case of a file: its LR, ``given`` or by the first run's measurement, and what all make of it.

    Raises:
        UserError: it can't be read, or is smaller than one LR pixel.
    """
    first = trained[0]
    scale, kind = int(first.state["scale"]), image_kind(first.state)
    hr = kind.to_float(read_native(file, kind)).contiguous()
    height, width = (side // scale * scale for side in hr.shape[-2:])
    if not height or not width:
        raise UserError(f"{file}: smaller than one LR pixel at scale={scale}")
    device = next(first.generator.parameters()).device
    hr = hr[:, :height, :width].to(device)
    if given is None:
        spec = first.state["measurement"]
        lr = create_measurement(["bicubic"] if is_given(spec) else spec, scale)(hr[None])
    else:
        lr = kind.to_float(read_native(given, kind)).contiguous()[None].to(device)
        lr, hr = common_part(lr, hr, scale)
        height, width = hr.shape[-2:]
    baseline = baseline_name(scale).capitalize()
    results = {baseline: kind.rounded(imresize(lr, (height, width)))[0]}
    for each in trained:
        results[each.name] = kind.rounded(super_resolve(each.generator, lr))[0]
    return Case(file.stem, lr[0], hr, results, kind)
