"""PSNR, SSIM and LPIPS as other libraries compute them: ``psnr@skimage`` is scikit-image's own.

Each is the library's function as it is, by its defaults, on what a user of it hands over: images of
8 bits where there are such, BGR where the library reads files so. Where a library turns colours to
luma itself, it does so here; others get the luma and the border of the field, so that what differs
is theirs. ``docs/conventions.md`` has the figures, and the reason of each difference.

Values of equal images are `PSNR_CEILING` where the library's are infinite: a record holds numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.metrics.fidelity import PSNR_CEILING, TooSmallError, compared, inside
from tmd.metrics.perceptual import find_lpips_weights
from tmd.metrics.registry import BY, Needs, register

PathLike = str | os.PathLike[str]

#: What is computed here, and needs no library.
OURS = "ours"


#: Metrics that some library has.
COMPARED = ("psnr", "ssim", "lpips_alex", "lpips_vgg")


class Convention(NamedTuple):
    """A library whose metrics can be had.

    Attributes:
        module: imported when it is asked for.
        install: words that bring it.
        own_luma: it turns RGB to luma itself, and leaves out the border.
        metrics: those that it has, by our names.
    """

    module: str
    install: str
    own_luma: bool
    metrics: tuple[str, ...] = ("psnr", "ssim")


BASICSR = (
    "pip install --no-deps basicsr==1.4.2 && pip install addict future lmdb opencv-python-headless "
    "pyyaml requests scipy tqdm yapf"
)
CONVENTIONS = {
    "basicsr": Convention("basicsr", BASICSR, True),
    "pyiqa": Convention("pyiqa", "pip install 'tmd[iqa]'", True),
    "torchmetrics": Convention(
        "torchmetrics", "pip install torchmetrics", False, ("psnr", "ssim", "lpips_alex")
    ),
    "skimage": Convention("skimage", "pip install scikit-image", False),
    "ignite": Convention("ignite", "pip install pytorch-ignite", False),
    "piq": Convention("piq", "pip install piq", False),
    "kornia": Convention("kornia", "pip install kornia", False),
    "lpips": Convention("lpips", "pip install lpips", False, ("lpips_alex", "lpips_vgg")),
}


def by_convention(metrics: Iterable[str], conventions: Iterable[str]) -> list[str]:
    """Names of ``metrics`` by each of the ``conventions`` that has them, our own where none does.

    Raises:
        UserError: a convention that there isn't, whose library is not installed, or that has none
            of the metrics.

    Example:
        >>> by_convention(["psnr", "sam"], ["ours", "skimage"])
        ['psnr', 'psnr@skimage', 'sam']
    """
    metrics, conventions = list(metrics), list(conventions)
    for name in conventions:
        if name == OURS:
            continue
        if name not in CONVENTIONS:
            known = ", ".join([OURS, *CONVENTIONS])
            raise UserError(f"convention={name!r}: must be among {known}; several are joined by ,")
        chosen = CONVENTIONS[name]
        if importlib.util.find_spec(chosen.module) is None:
            raise UserError(
                f"convention={name}: {chosen.module} is not installed: {chosen.install}"
            )
        if not set(metrics) & set(chosen.metrics):
            has = ", ".join(chosen.metrics)
            raise UserError(f"convention={name}: has {has}, and metrics={','.join(metrics)}")
    names: list[str] = []
    for metric in metrics:
        found = [
            metric if name == OURS else f"{metric}{BY}{name}"
            for name in conventions
            if name == OURS or metric in CONVENTIONS[name].metrics
        ]
        names.extend(dict.fromkeys(found or [metric]))
    return names


def _values(
    name: str,
    sr: Tensor,
    hr: Tensor,
    border: int = 0,
    channel: str = "y",
    lpips_weights: PathLike | None = None,
) -> Tensor:
    """(N,) of ``metric@convention``; arguments as for `tmd.metrics.psnr` and `lpips`."""
    metric, _, convention = name.partition(BY)
    if channel == "y-full" and CONVENTIONS[convention].own_luma and sr.shape[1] == 3:
        raise UserError(f"channel=y-full: {name} has a luma of its own; y and rgb can be had")
    function = _FUNCTIONS[convention]
    if metric.startswith("lpips"):
        images = (_float32(image).clamp(0, 1) for image in (sr, hr))
        pairs = list(zip(*(image.split(1) for image in images), strict=True))
        given: tuple[Any, ...] = (lpips_weights,)
    elif CONVENTIONS[convention].own_luma:
        inside(sr, hr, border, channel)  # raises what the library would not say clearly
        pairs = list(zip(sr.split(1), hr.split(1), strict=True))
        given = border, channel == "y"
    else:
        cut = inside(sr, hr, border, channel)
        images = (compared(image, channel).clamp(0, 1) for image in cut)
        pairs = list(zip(*(image.split(1) for image in images), strict=True))
        given = ()
    found = [_number(function, metric, name, a, b, given) for a, b in pairs]
    return torch.tensor(found, dtype=torch.float64, device=sr.device)


def _number(
    function: Callable[..., Any], metric: str, name: str, a: Tensor, b: Tensor, given: Any
) -> float:
    try:
        with np.errstate(divide="ignore"):  # of equal images; the value is said below
            value = float(function(metric, a, b, *given))
    except (ValueError, RuntimeError, AssertionError) as problem:
        if isinstance(problem, UserError):
            raise
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        size = "×".join(map(str, a.shape[-2:]))
        raise TooSmallError(f"{name}: of images of {size} pixels: {said}") from None
    return min(value, PSNR_CEILING) if math.isinf(value) else value


def _float32(image: Tensor) -> Tensor:
    return compared(image, "rgb").to(torch.float32)


def _levels(image: Tensor) -> Any:
    """(H, W, C) of BGR in [0, 255], whole numbers where the image has 8 bits."""
    levels = compared(image, "rgb")[0].double().clamp(0, 1) * 255
    whole = levels.round()
    if bool((levels - whole).abs().max() < 1e-3):
        levels = whole
    if levels.shape[0] == 3:
        levels = levels.flip(0)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


@lru_cache
def import_basicsr(module: str) -> Any:
    """Import a module of BasicSR, which asks for one that torchvision has renamed."""
    from torchvision.transforms import functional

    renamed = "torchvision.transforms.functional_tensor"
    sys.modules[renamed] = functional
    try:
        return importlib.import_module(f"basicsr.{module}")
    finally:
        del sys.modules[renamed]


def _by_basicsr(metric: str, sr: Tensor, hr: Tensor, border: int, luma: bool) -> float:
    function = getattr(import_basicsr("metrics.psnr_ssim"), f"calculate_{metric}")
    return function(_levels(sr), _levels(hr), crop_border=border, test_y_channel=luma)


@lru_cache(maxsize=16)
def _pyiqa_metric(name: str, border: int) -> Any:
    import pyiqa

    with contextlib.redirect_stdout(None):
        return pyiqa.create_metric(name, device="cpu", crop_border=border)


def _by_pyiqa(metric: str, sr: Tensor, hr: Tensor, border: int, luma: bool) -> float:
    names = {("psnr", True): "psnry", ("psnr", False): "psnr", ("ssim", True): "ssim"}
    function = _pyiqa_metric(names.get((metric, luma and sr.shape[1] == 3), "ssimc"), border)
    return function(_float32(sr).cpu().clamp(0, 1), _float32(hr).cpu().clamp(0, 1))


def _by_torchmetrics(metric: str, sr: Tensor, hr: Tensor, weights: Any = None) -> Any:
    from torchmetrics.functional import image

    if metric == "lpips_alex":
        return _torchmetrics_lpips(weights)(2 * sr.cpu() - 1, 2 * hr.cpu() - 1)
    if metric == "psnr":
        return image.peak_signal_noise_ratio(sr, hr, data_range=1.0)
    return image.structural_similarity_index_measure(sr, hr, data_range=1.0)


def _by_skimage(metric: str, sr: Tensor, hr: Tensor) -> float:
    from skimage import metrics

    images = hr[0].cpu().numpy(), sr[0].cpu().numpy()
    if metric == "psnr":
        return metrics.peak_signal_noise_ratio(*images, data_range=1.0)
    return metrics.structural_similarity(*images, data_range=1.0, channel_axis=0)


def _by_ignite(metric: str, sr: Tensor, hr: Tensor) -> float:
    from ignite import metrics

    function = {"psnr": metrics.PSNR, "ssim": metrics.SSIM}[metric](data_range=1.0)
    function.update((sr, hr))
    return function.compute()


def _by_piq(metric: str, sr: Tensor, hr: Tensor) -> float:
    import piq

    return getattr(piq, metric)(sr, hr, data_range=1.0)


def _by_kornia(metric: str, sr: Tensor, hr: Tensor) -> Any:
    from kornia import metrics

    if metric == "psnr":
        return metrics.psnr(sr, hr, 1.0)
    return metrics.ssim(sr, hr, 11, 1.0).mean()


def _by_lpips(metric: str, sr: Tensor, hr: Tensor, weights: Any) -> float:
    return _lpips(metric.partition("_")[2], weights)(2 * sr.cpu() - 1, 2 * hr.cpu() - 1)


@lru_cache(maxsize=4)
def _lpips(net: str, weights: Any) -> Any:
    """The package's network; it would download the backbone, which is put in from the files."""
    import lpips

    with contextlib.redirect_stdout(None):
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    _put_backbone(network.net, net, weights)
    return network


@lru_cache(maxsize=1)
def _torchmetrics_lpips(weights: Any) -> Any:
    from torchmetrics.functional.image.lpips import _LPIPS

    network = _LPIPS(pretrained=True, net="alex", pnet_rand=True).eval()
    _put_backbone(network.net, "alex", weights)
    return network


def _put_backbone(network: nn.Module, net: str, weights: Any) -> None:
    """Load ImageNet's convolutions into a backbone, whose slices keep torchvision's numbers."""
    found = find_lpips_weights(net, weights)
    if found is None:
        raise UserError(
            f"lpips_{net}: its weights are not at hand; lpips_weights=FOLDER gives them"
        )
    keys = {key: key.partition(".")[2] for key in network.state_dict()}
    network.load_state_dict({key: found.backbone[theirs] for key, theirs in keys.items()})


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "basicsr": _by_basicsr,
    "pyiqa": _by_pyiqa,
    "torchmetrics": _by_torchmetrics,
    "skimage": _by_skimage,
    "ignite": _by_ignite,
    "piq": _by_piq,
    "kornia": _by_kornia,
    "lpips": _by_lpips,
}

for _convention, _chosen in CONVENTIONS.items():
    for _metric in _chosen.metrics:
        _of_images = not _metric.startswith("lpips")
        _needs = Needs(
            border=_of_images, package=_chosen.module, channels="any" if _of_images else "shown"
        )
        _name = f"{_metric}{BY}{_convention}"
        register(_name, _needs)(partial(_values, _name))
