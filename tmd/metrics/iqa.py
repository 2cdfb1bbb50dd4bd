"""Metrics that `pyiqa` computes, by its defaults: of SR alone, or of SR and HR.

Their weights come from a folder or from pyiqa's caches, never by a download in the midst of a
training; what is random in making a network, or printed, stays in here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.dists import dists_metric, dists_ready
from tmd.metrics.fidelity import TooSmallError, is_flat
from tmd.metrics.iqa_weights import made_of_files
from tmd.metrics.perceptual import lpips_alex, lpips_ready
from tmd.metrics.registry import Needs, metric, register

PathLike = str | os.PathLike[str]


class _Kind(NamedTuple):
    """A metric of pyiqa's.

    Attributes:
        key: its name there.
        description: for `register`.
        minimum: least side in pixels of an image that it rates.
        weights: in words; none for what needs none.
        hr: it compares with HR.
    """

    key: str
    description: dict[str, Any]
    minimum: int
    weights: str
    hr: bool


def _kind(
    key: str,
    label: str,
    decimals: int,
    better: bool,
    most: float,
    minimum: int = 32,
    weights: str = "",
    hr: bool = False,
) -> _Kind:
    description = {
        "label": label,
        "decimals": decimals,
        "higher_is_better": better,
        "range": (0.0, most),
    }
    return _Kind(key, description, minimum, weights, hr)


_UP, _DOWN, _ANY = True, False, float("inf")

#: By the project's names. NIQE's statistics are of blocks of 96×96; MANIQA enlarges what is smaller
#: than 224×224; FSIM is FSIMc of images in colour, as in pyiqa and piq.
KINDS = {
    "niqe": _kind("niqe", "NIQE", 3, _DOWN, _ANY, 96, "NIQE's natural images'"),
    "brisque": _kind("brisque", "BRISQUE", 2, _DOWN, _ANY, 32, "BRISQUE's support vectors"),
    "piqe": _kind("piqe", "PIQE", 2, _DOWN, 100.0, 32),
    "musiq": _kind("musiq", "MUSIQ", 2, _UP, 100.0, 32, "MUSIQ's (KonIQ-10k)"),
    "clipiqa": _kind("clipiqa", "CLIP-IQA", 4, _UP, 1.0, 32, "CLIP's RN50"),
    "maniqa": _kind("maniqa", "MANIQA", 4, _UP, _ANY, 32, "MANIQA's (KonIQ-10k)"),
    "topiq": _kind("topiq_nr", "TOPIQ", 4, _UP, 1.0, 32, "TOPIQ's (KonIQ-10k)"),
    "fsim": _kind("fsim", "FSIM", 4, _UP, 1.0, 32, hr=True),
    "topiq_fr": _kind("topiq_fr", "TOPIQ-FR", 4, _UP, 1.0, 32, "TOPIQ's (KADID-10k)", hr=True),
}


def rated(
    name: str,
    images: tuple[Tensor, ...],
    kind: ImageKind = EIGHT_BITS,
    iqa_weights: PathLike | None = None,
) -> Tensor:
    """Values of a metric of `KINDS`, of the channels shown.

    Args:
        images: SR, or SR and HR, (N, C, H, W) in [0, 1].
        iqa_weights: folder of the weights; None: pyiqa's cache.

    Returns:
        (N,)

    Raises:
        UserError: pyiqa is not installed, or the weights are not at hand.
        TooSmallError: smaller than the metric's least size.
    """
    height, width = images[0].shape[-2:]
    least = KINDS[name].minimum
    if min(height, width) < least:
        raise TooSmallError(
            f"{metric(name).label} of {height}×{width} pixels: must be at least {least}×{least}"
        )
    folder = None if iqa_weights is None else os.fspath(iqa_weights)
    network = _network(name, folder, images[0].device)
    given = [_as_rgb(kind.visible(image)) for image in images]
    pairs = zip(*(image.split(1) for image in given), strict=True)
    with _undisturbed(images[0].device):
        # One by one: some of pyiqa's give an image of a batch another value than it has alone.
        values = [_value(name, network, pair) for pair in pairs]
    return torch.cat(values).to(given[0].dtype)


def _value(name: str, network: nn.Module, images: tuple[Tensor, ...]) -> Tensor:
    """(1,); NaN of an image of one level, which pyiqa's statistics are not made for."""
    if any(is_flat(image) for image in images):
        return images[0].new_full((1,), torch.nan)
    try:
        return network(*images).reshape(1).to(images[0].dtype)
    except Exception as problem:
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        size = "×".join(map(str, images[0].shape[-2:]))
        raise UserError(f"{name}: pyiqa can't rate an image of {size} pixels: {said}") from None


def _as_rgb(images: Tensor) -> Tensor:
    images = images.clamp(0, 1).to(torch.float32)
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


@lru_cache(maxsize=16)
def _network(name: str, folder: str | None, device: torch.device) -> nn.Module:
    """Pyiqa's metric in evaluation mode, loaded once and kept."""
    if missing := Needs(package="pyiqa", extra="iqa").missing_package():
        raise UserError(f"{name}: {missing}")
    with _undisturbed(device), _silent():
        network = made_of_files(folder, name, KINDS[name].key)
    # It sends what it is given to where this parameter is.
    network.dummy_param.data = network.dummy_param.data.to(device)
    return network.to(device).eval().requires_grad_(False)


@contextlib.contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Draw from a generator of its own, so that a training goes on with the same numbers."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing printed, and no lines of pyiqa's log below a warning."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.getLogger("pyiqa").setLevel(logging.WARNING)


def _ready(
    name: str, iqa_weights: PathLike | None = None, device: str | torch.device = "cpu"
) -> None:
    _network(name, None if iqa_weights is None else os.fspath(iqa_weights), torch.device(device))


def _register(name: str, kind: _Kind) -> None:
    def alone(
        sr: Tensor, kind: ImageKind = EIGHT_BITS, iqa_weights: PathLike | None = None
    ) -> Tensor:
        return rated(name, (sr,), kind, iqa_weights)

    def compared(
        sr: Tensor, hr: Tensor, kind: ImageKind = EIGHT_BITS, iqa_weights: PathLike | None = None
    ) -> Tensor:
        return rated(name, (sr, hr), kind, iqa_weights)

    needs = Needs(
        hr=kind.hr,
        minimum=kind.minimum,
        channels="shown",
        weights=kind.weights,
        package="pyiqa",
        extra="iqa",
    )
    ready = partial(_ready, name)
    register(name, needs, ready, **kind.description)(compared if kind.hr else alone)


for _name, _entry in KINDS.items():
    _register(_name, _entry)


def _ntire_ready(
    lpips_weights: PathLike | None = None,
    iqa_weights: PathLike | None = None,
    device: str | torch.device = "cpu",
) -> None:
    lpips_ready("alex", lpips_weights)
    dists_ready(lpips_weights, iqa_weights)
    for name in ("clipiqa", "maniqa", "musiq", "niqe"):
        _ready(name, iqa_weights, device)


@register(
    "ntire",
    Needs(
        minimum=96,
        channels="shown",
        weights="those of its six metrics",
        package="pyiqa",
        extra="iqa",
    ),
    _ntire_ready,
    label="NTIRE score",
    decimals=4,
    higher_is_better=True,
)
def ntire_score(
    sr: Tensor,
    hr: Tensor,
    lpips_weights: PathLike | None = None,
    iqa_weights: PathLike | None = None,
    kind: ImageKind = EIGHT_BITS,
) -> Tensor:
    """Perceptual score of NTIRE's image super-resolution (×4) challenges of 2025 and 2026.

    (1 − LPIPS) + (1 − DISTS) + CLIP-IQA + MANIQA + MUSIQ / 100 + (10 − NIQE) / 10, arXiv:2504.14582
    and the challenges' repositories. They take it of the means over images, where the last term
    counts as 0 for a mean NIQE above 10: below, the mean of these values is that score.

    Returns:
        (N,)
    """
    alone = partial(rated, images=(sr,), kind=kind, iqa_weights=iqa_weights)
    return (
        (1 - lpips_alex(sr, hr, lpips_weights, kind))
        + (1 - dists_metric(sr, hr, lpips_weights, iqa_weights, kind))
        + alone("clipiqa")
        + alone("maniqa")
        + alone("musiq") / 100
        + (10 - alone("niqe")) / 10
    )
