"""Noise: Gaussian, and Poisson's of counted photons."""

from __future__ import annotations

import math

import torch

from tmd.errors import check_flag, check_number
from tmd.images import as_8_bit
from tmd.measurements.canvas import Canvas
from tmd.measurements.counts import poisson_counts
from tmd.measurements.draws import Draws
from tmd.measurements.operator import MEASUREMENTS, Operator, Range, checked_range, straight_through

# BT.601, as Pillow's and torchvision's grey have it.
_LUMA = (0.299, 0.587, 0.114)


@MEASUREMENTS.register("noise")
class Noise(Operator):
    """Additive white Gaussian noise.

    Args:
        sigma: standard deviation in [0, 1] units (0.02 is 5 levels of 255), or [lowest, highest] to
            draw it for each image.
        grey: the probability with which all channels of an image get the same noise.
        clip: whether the result is clamped to [0, 1].
    """

    def __init__(
        self, scale: int, sigma: Range = 0.02, grey: float = 0.0, clip: bool = False
    ) -> None:
        self.sigma = checked_range("measurement noise sigma", sigma, minimum=0, maximum=1)
        check_number("measurement noise grey", grey, 0, 1)
        check_flag("measurement noise clip", clip)
        self.grey = grey
        self.clip = clip
        self.is_identity = self.sigma[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        sigma = draws.uniform("sigma", self.sigma, len(x))[:, None, None, None]
        noise = draws.normal("noise", x)
        is_grey = grey_images(self.grey, len(x), draws)
        if any(is_grey):
            rows = _mask(is_grey, x)
            noise = torch.where(rows, noise[:, :1], noise)
        noisy = x + noise * sigma.to(x.device, x.dtype, non_blocking=True)
        return _clipped(noisy) if self.clip else noisy


@MEASUREMENTS.register("correlated_noise")
class CorrelatedNoise(Operator):
    """Additive Gaussian noise, white in space and correlated between the channels.

    Its covariance is ``sigma² |Uᵀ D U|`` with a random rotation U and random variances D between 0
    and 1, for each image its own (Zhang et al. 2021, BSRGAN, section 3.3, "general" noise;
    ``add_Gaussian_noise`` of its sources).

    Args:
        sigma: the highest standard deviation in [0, 1] units, or [lowest, highest] to draw it for
            each image.
        clip: whether the result is clamped to [0, 1].
    """

    def __init__(self, scale: int, sigma: Range = 0.1, clip: bool = False) -> None:
        name = "measurement correlated_noise"
        self.sigma = checked_range(f"{name} sigma", sigma, minimum=0, maximum=1)
        check_flag(f"{name} clip", clip)
        self.clip = clip
        self.is_identity = self.sigma[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        n, channels = x.shape[:2]
        sigma = draws.uniform("sigma", self.sigma, n)
        factor = _square_root(self._covariance(draws, n, channels)) * sigma[:, None, None]
        factor = factor.to(x.device, x.dtype, non_blocking=True)
        normal = draws.normal("noise", x)
        with torch.autocast(x.device.type, enabled=False):
            noise = (factor @ normal.flatten(2)).view(x.shape)
        noisy = x + noise
        return _clipped(noisy) if self.clip else noisy

    def _covariance(self, draws: Draws, n: int, channels: int) -> torch.Tensor:
        """(N, C, C), float64, for a sigma of 1."""
        names = [f"variance {k}" for k in range(channels)]
        entries = [f"rotation {k}" for k in range(channels**2)]
        variances, rotations = (
            torch.stack([draws.uniform(key, (0, 1), n) for key in keys], 1)
            for keys in (names, entries)
        )
        for key in (*names, *entries):
            draws.note(key, None)
        rotation = torch.linalg.svd(rotations.view(n, channels, channels))[0]
        return (rotation.mT @ torch.diag_embed(variances) @ rotation).abs()


def _square_root(covariance: torch.Tensor) -> torch.Tensor:
    """Matrices whose square is that of their absolute eigenvalues, as NumPy draws from one."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag_embed(values.abs().sqrt()) @ vectors.mT


@MEASUREMENTS.register("poisson")
class Poisson(Operator):
    """Poisson's noise of counted photons, whose variance grows with the brightness.

    A pixel of value v counts photons of mean v × (photons of white). Real-ESRGAN
    (Wang et al. 2021, section 3.1; BasicSR 1.4.2, ``generate_poisson_noise_pt``) has as many for
    white as the image has levels, rounded up to a power of two, and multiplies the noise.

    Args:
        strength: multiplies the noise, or [lowest, highest] to draw it for each image.
        photons: of white, or [lowest, highest] to draw them for each image, uniformly in their
            logarithm; None: from the image's levels, as above.
        grey: the probability with which all channels of an image get the noise of its luma, and of
            images that are not RGB, of their first channel.
        clip: whether the result is clamped to [0, 1].
    """

    def __init__(
        self,
        scale: int,
        strength: Range = 1.0,
        photons: Range | None = None,
        grey: float = 0.0,
        clip: bool = False,
    ) -> None:
        name = "measurement poisson"
        self.strength = checked_range(f"{name} strength", strength, minimum=0, maximum=100)
        self.photons = None
        if photons is not None:
            self.photons = checked_range(f"{name} photons", photons, minimum=1, maximum=1e6)
        check_number(f"{name} grey", grey, 0, 1)
        check_flag(f"{name} clip", clip)
        self.grey = grey
        self.clip = clip
        self.is_identity = self.strength[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        return self.on_canvas(Canvas(x), draws).pixels

    def on_canvas(self, canvas: Canvas, draws: Draws) -> Canvas:
        x, n = canvas.pixels, len(canvas)
        strength = draws.uniform("strength", self.strength, n)[:, None, None, None]
        is_grey = grey_images(self.grey, n, draws)
        photons = self._photons(draws, n)
        if photons is not None:
            photons = photons.to(x.device, x.dtype, non_blocking=True)
        normal, noise = draws.normal("noise", x), torch.zeros_like(x)
        # One by one: they stay in the processor's cache, and what is beyond them costs nothing.
        for row, image in enumerate(canvas.images()):
            values = _luma(image.detach()) if is_grey[row] else as_8_bit(image.detach())
            height, width = image.shape[-2:]
            each = normal[row, None, : values.shape[1], :height, :width]
            white = _levels_to_photons(values) if photons is None else photons[row]
            noise[row, :, :height, :width] = poisson_counts(values * white, each) / white - values
        noisy = x + noise * strength.to(x.device, x.dtype, non_blocking=True)
        return canvas.with_pixels(_clipped(noisy) if self.clip else noisy)

    def _photons(self, draws: Draws, n: int) -> torch.Tensor | None:
        if self.photons is None:
            return None
        lowest, highest = map(math.log, self.photons)
        photons = draws.uniform("photons", (lowest, highest), n).exp()
        draws.note("photons", photons.tolist())
        return photons


def grey_images(probability: float, n: int, draws: Draws) -> list[bool]:
    """True for each of ``n`` images that gets the same noise in all channels."""
    if probability == 0:
        return [False] * n
    is_grey = [bool(place) for place in draws.choice("grey", [1 - probability, probability], n)]
    draws.note("grey", is_grey)
    return is_grey


def _mask(rows: list[bool], x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(rows)[:, None, None, None].to(x.device, non_blocking=True)


def _clipped(x: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1]; the gradient passes as if none had been out of it."""
    return straight_through(x, x.detach().clamp(0, 1))


def _luma(x: torch.Tensor) -> torch.Tensor:
    """Luma of RGB, rounded as in a file; of other images the first channel."""
    if x.shape[1] == 3:
        x = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    return as_8_bit(x[:, :1])


def _levels_to_photons(values: torch.Tensor) -> torch.Tensor:
    """Number of different levels of 255, rounded up to a power of two; no wait for the device."""
    places = (values * 255).round().long().flatten()
    found = values.new_zeros(256).scatter_(0, places, 1.0)
    return 2 ** torch.ceil(torch.log2(found.sum()))
