"""DISTS, deep image structure and texture similarity (arXiv:2004.07728)."""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import TooSmallError
from tmd.metrics.registry import Needs, register
from tmd.models.features import IMAGENET_MEAN, IMAGENET_STD, cached_file, find_weights

#: VGG16's convolutions of each stage, by their place in torchvision's `features`.
STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
#: Channels that are compared: the image's own, then each stage's.
CHANNELS = (3, 64, 128, 256, 512, 512)
#: Name of DISTS's own weights in a folder.
OWN = "dists.pt"


class DISTSWeights(NamedTuple):
    """Parts of DISTS: VGG16's convolutions, and a weight for each channel's two similarities."""

    backbone: dict[str, Tensor]
    texture: Tensor
    structure: Tensor


def find_dists_weights(
    path: str | os.PathLike[str] | None = None, key: str = "losses.dists_weights"
) -> DISTSWeights | None:
    """Weights of DISTS, or None where a part is not at hand.

    VGG16's come from ``path``, else from torch's cache; DISTS's own (``dists.pt`` or
    ``weights.pt``, ``alpha`` and ``beta``) from ``path``, else from torch's cache, else from the
    package ``dists-pytorch`` if that is installed (it is not imported).

    Args:
        path: a folder; either part may be absent.
        key: whose folder it is, for the message.

    Raises:
        UserError: ``path`` is no folder, or a file in it is broken.
    """
    folder = None if path is None else Path(path)
    if folder is not None and not folder.is_dir():
        raise UserError(f"{key}={path}: no such folder")
    given = folder if folder is not None and any(folder.glob("vgg16*.pt*")) else None
    backbone, file = find_weights("vgg16", given), _own_file(folder)
    if backbone is None or file is None:
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        weights = [state[name].float().view(1, sum(CHANNELS), 1, 1) for name in ("alpha", "beta")]
    except Exception:  # bytes of another kind can raise anything in the unpickler
        raise UserError(f"DISTS weights {file}: can't be read as its alpha and beta") from None
    return DISTSWeights(backbone, *weights)


def _own_file(folder: Path | None) -> Path | None:
    places = [cached_file("vgg16").parent / OWN]
    if folder is not None:
        places[:0] = [folder / OWN, folder / "weights.pt"]
    package = importlib.util.find_spec("DISTS_pytorch")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "weights.pt")
    return next((place for place in places if place.is_file()), None)


class DISTS(nn.Module):
    """Distance of two images in structure and texture; 0 for equal ones.

    VGG16 with Gaussian-like pooling in place of the largest value: of each channel's maps, and of
    the images, means are compared (texture) and covariances (structure).

    Args:
        weights: what `find_dists_weights` returned.
    """

    def __init__(self, weights: DISTSWeights) -> None:
        super().__init__()
        for stage in STAGES:
            for index in stage:
                for kind in ("weight", "bias"):
                    name = f"{index}.{kind}"
                    self.register_buffer(name.replace(".", "_"), weights.backbone[name])
        total = weights.texture.sum() + weights.structure.sum()
        self.register_buffer("texture", weights.texture / total)
        self.register_buffer("structure", weights.structure / total)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        window = torch.tensor([0.25, 0.5, 0.25])  # Hann's of five, without its zeros
        self.register_buffer("window", torch.outer(window, window)[None, None])

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of each pair: (N, 3, H, W) twice, in [0, 1] -> (N,)."""
        similarities = []
        for a, b in zip(self._maps(sr), self._maps(hr), strict=True):
            a, b = a.float(), b.float()
            mean_a, mean_b = (each.mean((2, 3), keepdim=True) for each in (a, b))
            variances = [
                (each - mean).square().mean((2, 3), keepdim=True)
                for each, mean in ((a, mean_a), (b, mean_b))
            ]
            covariance = ((a - mean_a) * (b - mean_b)).mean((2, 3), keepdim=True)
            texture = (2 * mean_a * mean_b + 1e-6) / (mean_a**2 + mean_b**2 + 1e-6)
            structure = (2 * covariance + 1e-6) / (sum(variances) + 1e-6)
            similarities.append((texture, structure))
        texture, structure = (torch.cat(each, 1) for each in zip(*similarities, strict=True))
        total = self.get_buffer("texture") * texture + self.get_buffer("structure") * structure
        return 1 - total.sum((1, 2, 3))

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        x = (images - self.get_buffer("mean")) / self.get_buffer("std")
        for number, stage in enumerate(STAGES):
            if number:
                x = self._pooled(x)
            for index in stage:
                weight, bias = (self.get_buffer(f"{index}_{kind}") for kind in ("weight", "bias"))
                x = F.conv2d(x, weight, bias, padding=1).relu()
            maps.append(x)
        return maps

    def _pooled(self, maps: Tensor) -> Tensor:
        """Root of the windowed mean of squares, at every other place."""
        channels = maps.shape[1]
        window = self.get_buffer("window").expand(channels, -1, -1, -1)
        squares = F.conv2d(maps.float() ** 2, window, stride=2, padding=1, groups=channels)
        return (squares.float() + 1e-12).sqrt()


#: Least side of an image: what VGG16's fourth pooling leaves a pixel of.
SMALLEST = 16


@lru_cache(maxsize=2)
def dists_network(
    path: str | None, device: torch.device, key: str = "losses.dists_weights"
) -> DISTS:
    """DISTS that is loaded once and kept.

    Args:
        path, key: as for `find_dists_weights`.

    Raises:
        UserError: its weights are not at hand.
    """
    weights = find_dists_weights(path, key)
    if weights is None:
        raise UserError(
            f"dists: its weights are not at hand; {key}=FOLDER names a folder with VGG16's "
            f"(vgg16*.pth) and DISTS's own ({OWN}); or put {cached_file('vgg16').name} into "
            f"torch's cache ({cached_file('vgg16').parent}) and pip install dists-pytorch"
        )
    return DISTS(weights).to(device)


def dists_ready(
    lpips_weights: str | os.PathLike[str] | None = None,
    iqa_weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
) -> DISTS:
    """Network of the folder that holds VGG16's weights, ``iqa_weights`` before the other."""
    given = {"iqa_weights": iqa_weights, "lpips_weights": lpips_weights}
    folders = {key: os.fspath(path) for key, path in given.items() if path is not None}
    with_backbone = [k for k, path in folders.items() if any(Path(path).glob("vgg16*.pt*"))]
    key = next(iter([*with_backbone, *folders]), "iqa_weights")
    return dists_network(folders.get(key), torch.device(device), key)


@register(
    "dists",
    Needs(minimum=SMALLEST, channels="shown", weights="VGG16's, DISTS's own"),
    dists_ready,
    label="DISTS",
    decimals=4,
    higher_is_better=False,
    range=(0.0, 1.0),
)
def dists_metric(
    sr: Tensor,
    hr: Tensor,
    lpips_weights: str | os.PathLike[str] | None = None,
    iqa_weights: str | os.PathLike[str] | None = None,
    kind: ImageKind = EIGHT_BITS,
) -> Tensor:
    """DISTS of each pair, of the channels shown, at the images' own size; see `DISTS`.

    Args:
        lpips_weights: folder of VGG16's weights where ``iqa_weights`` has none.

    Raises:
        UserError: the weights are not at hand.
        TooSmallError: smaller than 16×16.
    """
    height, width = hr.shape[-2:]
    if min(height, width) < SMALLEST:
        raise TooSmallError(
            f"DISTS of {height}×{width} pixels: must be at least {SMALLEST}×{SMALLEST}"
        )
    network = dists_ready(lpips_weights, iqa_weights, sr.device)
    a, b = (kind.visible(image).float() for image in (sr, hr))
    return network(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))
