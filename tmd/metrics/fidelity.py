"""PSNR and SSIM by the convention of the field, with the common others by option.

The convention: luma of BT.601 in studio range (16 to 235), ``scale`` pixels cropped from each
border, one value an image, mean over images. Grey images are taken as they are, and so are those
of other bands than three: all of these count alike.

So that no image owns a mean: PSNR is 100 dB at most (as in Ignite), images that hold nothing
(`is_flat`) are left out of means, and so are those that are too small for a metric
(`TooSmallError`), of that metric's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from tmd.errors import UserError, check_choice
from tmd.images import rgb_to_y, to_float
from tmd.metrics.registry import Needs, register

#: Pixels of a batch that are compared at once; more go in bands of rows of so many.
AT_ONCE, BAND = 1 << 22, 1 << 21
CHANNELS = ("y", "y-full", "rgb")
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
#: dB; of equal images, and of those that differ by next to nothing.
PSNR_CEILING = 100.0


class TooSmallError(UserError, ValueError):
    """An image has too few pixels for a metric; others of its set may have enough."""


def inside(sr: Tensor, hr: Tensor, border: int, channel: str) -> tuple[Tensor, Tensor]:
    """Both images without their border, as views.

    Args:
        sr, hr: (N, C, H, W) in [0, 1], or of 8 bits, which take less memory.
        channel: checked, see `compared`.

    Raises:
        UserError: shapes that differ.
        TooSmallError: the border leaves nothing.
    """
    check_choice("channel", channel, CHANNELS)
    if sr.shape != hr.shape:
        raise UserError(f"images of {tuple(sr.shape)} and {tuple(hr.shape)}: must be of one shape")
    height, width = hr.shape[-2:]
    if min(height, width) <= 2 * border:
        raise TooSmallError(f"border={border}: leaves nothing of an image of {height}×{width}")
    place = (..., slice(border, height - border), slice(border, width - border))
    return sr[place], hr[place]


def compared(image: Tensor, channel: str) -> Tensor:
    """Values in [0, 1] that are compared: at least float32, in the channels asked for."""
    return _channels(_floats(image), channel)


def bands(
    sr: Tensor, hr: Tensor, border: int, channel: str, overlap: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Parts of both images to compare, in bands of rows: a single one, unless they are large.

    Args:
        overlap: rows that a band shares with the next.

    Raises:
        UserError, TooSmallError: as `inside`.
    """
    images = inside(sr, hr, border, channel)
    n, _, rows, width = images[0].shape
    step = rows if n * rows * width <= AT_ONCE else max(1, BAND // (n * width))
    for first in range(0, max(rows - overlap, 1), step):
        part = slice(first, min(first + step + overlap, rows))
        a, b = (compared(image[..., part, :], channel) for image in images)
        yield a, b


def _floats(image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return to_float(image)
    return image.to(torch.promote_types(image.dtype, torch.float32))


def _channels(image: Tensor, channel: str) -> Tensor:
    if image.shape[1] != 3 or channel == "rgb":
        return image
    if channel == "y":
        return rgb_to_y(image)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=image.dtype, device=image.device)
    return (image * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)


def is_flat(image: Tensor, step: float = 1 / 255) -> bool:
    """Does an image hold nothing: is each channel's standard deviation below one level?

    Its PSNR says how its one level was rounded, and jumps by 50 dB with it.

    Args:
        image: (..., C, H, W) in [0, 1], or of integers, whose levels are 1 apart.
        step: from a level to the next in [0, 1].

    Example:
        >>> is_flat(torch.full((3, 8, 8), 0.5)), is_flat(torch.rand(3, 8, 8))
        (True, False)
    """
    step = step if image.is_floating_point() else 1.0
    planes = image.reshape(-1, *image.shape[-2:])
    return all(bool(plane.float().std(correction=0) < step) for plane in planes)


def default_border(scale: int) -> int:
    """Pixels that the field leaves out on each side: ``scale``, but none in restoration, at 1."""
    return scale if scale > 1 else 0


@register("psnr", Needs(border=True, levels=True, each_band=True))
def psnr(sr: Tensor, hr: Tensor, border: int = 0, channel: str = "y") -> Tensor:
    """Peak signal-to-noise ratio in dB, for a peak of 1.

    At most `PSNR_CEILING`, which equal images have.

    Args:
        sr, hr: (N, C, H, W) in [0, 1].
        border: pixels left out on each side; see `default_border` for the field's.
        channel: ``y`` (BT.601, 16 to 235), ``y-full`` (0 to 255) or ``rgb`` (mean square over the
            channels), which is taken of images that have not three channels.

    Returns:
        (N,)

    Raises:
        UserError: shapes that differ.
        TooSmallError: the border leaves nothing.

    Example:
        >>> psnr(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.1)).round()
        tensor([20.])
    """
    error = _mean((a - b).square() for a, b in bands(sr, hr, border, channel))
    return (-10 * torch.log10(error)).clamp(max=PSNR_CEILING)


@register("ssim", Needs(minimum=SSIM_WINDOW, border=True, levels=True, each_band=True))
def ssim(sr: Tensor, hr: Tensor, border: int = 0, channel: str = "y") -> Tensor:
    """Structural similarity (Wang et al., 2004) for a range of 1.

    Gaussian window of 11×11 with σ = 1.5, only where it fits whole, K = (0.01, 0.03); the mean over
    positions and channels. Arguments and errors as for `psnr`; what the border leaves must be at
    least 11×11.

    Returns:
        (N,)
    """
    height, width = (side - 2 * border for side in hr.shape[-2:])
    if min(height, width) in range(1, SSIM_WINDOW):
        raise TooSmallError(
            f"SSIM of {height}×{width} pixels (border={border}): "
            f"must be at least {SSIM_WINDOW}×{SSIM_WINDOW}"
        )
    parts = bands(sr, hr, border, channel, overlap=SSIM_WINDOW - 1)
    return _mean(_similarity(a, b) for a, b in parts)


def _mean(maps: Iterable[Tensor]) -> Tensor:
    """(N,): the mean over all places of maps (N, C, h, w)."""
    first, *others = ((values.mean((1, 2, 3)), values[0].numel()) for values in maps)
    if not others:
        return first[0]
    means, counts = zip(first, *others, strict=True)
    weights = torch.tensor(counts, dtype=torch.float64, device=means[0].device)
    mean = torch.stack(means).double().mul(weights[:, None]).sum(0) / weights.sum()
    return mean.to(means[0].dtype)


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """Similarity at each place where the window fits."""
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = blur(a), blur(b)
    variance_a = blur(a * a) - mean_a**2
    variance_b = blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return luminance * structure


def blur(image: Tensor) -> Tensor:
    """Mean weighted by the Gaussian window, where the window fits."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    weights = (window / window.sum()).tolist()
    for axis in (-2, -1):
        length = image.shape[axis] - SSIM_WINDOW + 1
        # Sums of shifted images, not a convolution: on GPUs that may round to TF32.
        image = sum(  # type: ignore[assignment]
            weight * image.narrow(axis, start, length) for start, weight in enumerate(weights)
        )
    return image
