"""Distances of two sets of patches by the features of a network: FID's and KID's formulas.

Inception's weights come with no package, so the features are VGG16's, and the names say so: the
values stand beside one another, not beside published FID and KID.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.registry import Needs, register
from tmd.models.features import ImageNetFeatures, cached_file, find_weights

#: Side of a patch in pixels; images smaller than that give none.
PATCH = 64
#: VGG16's last ReLU, whose maps' means are a patch's features.
LAYER = 29
#: Patches that go through the network at once.
AT_ONCE = 32


class PatchFeatures:
    """Features of the patches of SR and HR; a metric of the set is made of them.

    Patches of 64×64 cover an image side by side, what is left over at its right and bottom is left
    out; of each, VGG16's last maps (before the last pooling) are averaged to 512 numbers.

    Args:
        lpips_weights, iqa_weights: folders that VGG16's weights are looked for in; else torch's
            cache.
        device: where features are computed.
        kind: of the images; their shown channels count.

    Raises:
        UserError: the weights are not at hand.
    """

    def __init__(
        self,
        lpips_weights: str | os.PathLike[str] | None = None,
        iqa_weights: str | os.PathLike[str] | None = None,
        device: str | torch.device = "cpu",
        kind: ImageKind = EIGHT_BITS,
    ) -> None:
        folders = [Path(each) for each in (iqa_weights, lpips_weights) if each is not None]
        with_weights = [str(each) for each in folders if any(each.glob("vgg16*.pt*"))]
        self.network = _network(next(iter(with_weights), None), torch.device(device))
        self.device, self.kind = device, kind
        self.sr: list[Tensor] = []
        self.hr: list[Tensor] = []

    def add(self, sr: Tensor, hr: Tensor | None) -> None:
        """Take an image, (1, C, H, W) in [0, 1]."""
        assert hr is not None, "its needs say so"
        self.sr.append(self._features(sr))
        self.hr.append(self._features(hr))

    @torch.no_grad()
    def _features(self, image: Tensor) -> Tensor:
        """(patches, 512) in float64, on the CPU."""
        if min(image.shape[-2:]) < PATCH:
            return torch.empty(0, 512, dtype=torch.double)
        tiles = self.kind.visible(image).unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
        patches = tiles[0].permute(1, 2, 0, 3, 4).flatten(0, 1).to(self.device)
        maps = [self.network(part)[0].mean((2, 3)) for part in patches.split(AT_ONCE)]
        return torch.cat(maps).double().cpu()

    def value(self) -> float | None:
        """Return the distance of the sets; None of less than two patches."""
        if not self.sr:
            return None
        a, b = torch.cat(self.sr), torch.cat(self.hr)
        return None if len(a) < 2 else self.distance(a, b)

    @staticmethod
    def distance(a: Tensor, b: Tensor) -> float:
        """Distance of two sets of features, (N, D) and (M, D) in float64."""
        raise NotImplementedError


@lru_cache(maxsize=2)
def _network(folder: str | None, device: torch.device) -> ImageNetFeatures:
    weights = find_weights("vgg16", folder)
    if weights is None:
        raise UserError(
            "its weights are not at hand; iqa_weights=FOLDER or lpips_weights=FOLDER names a "
            f"folder with VGG16's (vgg16*.pth); or put {cached_file('vgg16').name} into torch's "
            f"cache ({cached_file('vgg16').parent})"
        )
    return ImageNetFeatures("vgg16", [LAYER], weights).to(device)


_NEEDS = Needs(whole_set=True, minimum=PATCH, channels="shown", weights="VGG16's")


@register(
    "fid_vgg16",
    _NEEDS,
    PatchFeatures,
    label="patch FID (VGG16)",
    decimals=2,
    higher_is_better=False,
    range=(0.0, float("inf")),
)
class FrechetDistance(PatchFeatures):
    """Fréchet distance of the features' Gaussians (Heusel et al. 2017, eq. 6); biased upwards.

    The fewer patches, the larger: compare systems on the same images, or take `KernelDistance`.
    """

    @staticmethod
    def distance(a: Tensor, b: Tensor) -> float:
        """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), with covariances of N − 1."""
        covariances = [torch.cov(each.T) for each in (a, b)]
        # The trace of a product's root is the sum of the roots of its eigenvalues.
        roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0).sqrt()
        traces = sum(each.trace() for each in covariances)
        return float((a.mean(0) - b.mean(0)).square().sum() + traces - 2 * roots.sum())


@register(
    "kid_vgg16",
    _NEEDS,
    PatchFeatures,
    label="patch KID (VGG16)",
    decimals=4,
    higher_is_better=False,
)
class KernelDistance(PatchFeatures):
    """Squared maximum mean discrepancy of the features (Bińkowski et al. 2018, eq. 4); unbiased.

    By the kernel (x·y / D + 1)³, over all patches at once; of equal sets a little below 0.
    """

    @staticmethod
    def distance(a: Tensor, b: Tensor) -> float:
        """Means of the kernel within the sets, without a patch and itself, less those between."""
        n, m, width = len(a), len(b), a.shape[1]
        within_a, within_b, between = (
            (x @ y.T / width + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))
        )
        inside = [
            (each.sum() - each.trace()) / (count * (count - 1))
            for each, count in ((within_a, n), (within_b, m))
        ]
        return float(sum(inside) - 2 * between.mean())
