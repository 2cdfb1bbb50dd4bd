"""LPIPS, the learned perceptual distance (Zhang et al., arXiv:1801.03924), version 0.1."""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_choice
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import TooSmallError
from tmd.metrics.registry import Needs, register
from tmd.models.features import ImageNetFeatures, cached_file, find_weights

_BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}
# The ReLUs whose outputs are compared, by their place in torchvision's `features`.
_LAYERS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
_CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
NETWORKS = tuple(_BACKBONES)


class LPIPSWeights(NamedTuple):
    """Parts of one LPIPS network: an ImageNet backbone and LPIPS's linear heads.

    Attributes:
        net: ``alex`` or ``vgg``.
        backbone: by torchvision's names.
        heads: a convolution (1, C, 1, 1) for each layer compared.
    """

    net: str
    backbone: dict[str, Tensor]
    heads: list[Tensor]


def find_lpips_weights(
    net: str = "alex", path: str | os.PathLike[str] | None = None, download: bool = False
) -> LPIPSWeights | None:
    """Weights of LPIPS, as far as they can be had.

    The backbone comes from ``path``, else from torch's cache, else by torchvision's download. The
    linear heads (``alex.pth``, ``vgg.pth``) come from ``path`` or a folder in it, else from torch's
    cache, else from the package ``lpips`` if that is installed (it is not imported).

    Args:
        net: ``alex`` or ``vgg``.
        path: a folder with the backbone (``alexnet*.pth``, ``vgg16*.pth``, torchvision's key names)
            and the heads; either may be absent.
        download: let torchvision download a backbone that is not at hand.

    Returns:
        The weights, or None if a part is not at hand.

    Raises:
        UserError: ``path`` is no folder, a file in it is broken, or the download can't be had.
    """
    check_choice("net", net, NETWORKS)
    folder = None if path is None else Path(path)
    if folder is not None and not folder.is_dir():
        raise UserError(f"LPIPS weights {folder}: no such folder")
    heads = _find_heads(net, folder)
    if heads is None:
        return None
    arch = _BACKBONES[net]
    given = folder if folder is not None and any(folder.glob(f"{arch}*.pt*")) else None
    backbone = find_weights(arch, given, download)
    return None if backbone is None else LPIPSWeights(net, backbone, heads)


def _find_heads(net: str, folder: Path | None) -> list[Tensor] | None:
    places = [cached_file(_BACKBONES[net]).parent]
    if folder is not None:
        places.insert(0, folder)
    package = importlib.util.find_spec("lpips")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "weights" / "v0.1")
    for place in places:
        for file in (place / f"{net}.pth", *sorted(place.glob(f"*lpips*/{net}.pth"))):
            if file.is_file():
                return _read_heads(net, file)
    return None


def _read_heads(net: str, file: Path) -> list[Tensor]:
    names = [f"lin{index}.model.1.weight" for index in range(len(_CHANNELS[net]))]
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        heads = [state[name].float() for name in names]
    except Exception:
        raise UserError(f"LPIPS heads {file}: can't be read as {net}'s linear layers") from None
    shapes = [tuple(head.shape) for head in heads]
    if shapes != [(1, channels, 1, 1) for channels in _CHANNELS[net]]:
        raise UserError(f"LPIPS heads {file}: not those of {net}")
    return heads


class LPIPS(nn.Module):
    """Learned distance of two images; 0 for equal ones, smaller is better.

    Args:
        weights: what `find_lpips_weights` returned.

    Example:
        >>> weights = find_lpips_weights("alex")
        >>> if weights is not None:
        ...     image = torch.rand(1, 3, 64, 64)
        ...     assert LPIPS(weights)(image, image) == 0
    """

    def __init__(self, weights: LPIPSWeights) -> None:
        super().__init__()
        self.net = weights.net
        self.features = ImageNetFeatures(
            _BACKBONES[weights.net], _LAYERS[weights.net], weights.backbone
        )
        for index, head in enumerate(weights.heads):
            self.register_buffer(f"head{index}", head, persistent=False)
        self.eval()

    @property
    def minimum_size(self) -> int:
        """Smallest side of an image in pixels: 31 for ``alex``, 16 for ``vgg``."""
        return self.features.minimum_size

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of each pair of images.

        Args:
            sr, hr: (N, C, H, W) in [0, 1], C = 3, or 1 for grey.

        Returns:
            (N,)

        Raises:
            UserError: images of different shapes.
            TooSmallError: images smaller than `minimum_size`.
        """
        if sr.shape != hr.shape:
            raise UserError(f"images of {tuple(sr.shape)} and {tuple(hr.shape)}: must be alike")
        if min(hr.shape[-2:]) < self.minimum_size:
            raise TooSmallError(
                f"LPIPS of {hr.shape[-2]}×{hr.shape[-1]} pixels: "
                f"must be at least {self.minimum_size}×{self.minimum_size}"
            )
        total = torch.zeros(len(sr), device=sr.device)
        pairs = zip(self.features(sr), self.features(hr), strict=True)
        for index, (a, b) in enumerate(pairs):
            difference = (_unit_length(a) - _unit_length(b)).square()
            total = total + (difference * self.get_buffer(f"head{index}")).sum(1).mean((1, 2))
        return total


def _unit_length(features: Tensor) -> Tensor:
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


@lru_cache(maxsize=4)
def _network(net: str, path: str | None, device: torch.device) -> LPIPS:
    weights = find_lpips_weights(net, path)
    if weights is None:
        backbone = cached_file(_BACKBONES[net])
        raise UserError(
            f"LPIPS ({net}): its weights are not at hand; lpips_weights=FOLDER names a folder with "
            f"{_BACKBONES[net]}*.pth and the heads {net}.pth; or put {backbone.name} into torch's "
            f"cache ({backbone.parent}) and install the package lpips"
        )
    return LPIPS(weights).to(device)


def lpips(
    sr: Tensor, hr: Tensor, net: str = "alex", path: str | os.PathLike[str] | None = None
) -> Tensor:
    """LPIPS with a network that is loaded once and kept; arguments as for `LPIPS.forward`.

    Args:
        net, path: as for `find_lpips_weights`.

    Raises:
        UserError: the weights are not at hand (the message names the ways to get them).
    """
    return _network(net, None if path is None else os.fspath(path), sr.device)(sr, hr)


def lpips_ready(net: str, lpips_weights: str | os.PathLike[str] | None = None) -> None:
    """Raise `UserError` for weights that are not at hand; load them."""
    _network(net, None if lpips_weights is None else os.fspath(lpips_weights), torch.device("cpu"))


_ALEX = Needs(minimum=31, channels="shown", weights="AlexNet's, LPIPS's heads")


@register("lpips", _ALEX, partial(lpips_ready, "alex"))
@register("lpips_alex", _ALEX, partial(lpips_ready, "alex"))
def lpips_alex(
    sr: Tensor,
    hr: Tensor,
    lpips_weights: str | os.PathLike[str] | None = None,
    kind: ImageKind = EIGHT_BITS,
) -> Tensor:
    """LPIPS with AlexNet, the network that is reported, of the channels shown; see `lpips`."""
    return lpips(kind.visible(sr), kind.visible(hr), "alex", lpips_weights)


@register(
    "lpips_vgg",
    Needs(minimum=16, channels="shown", weights="VGG16's, LPIPS's heads"),
    partial(lpips_ready, "vgg"),
)
def lpips_vgg(
    sr: Tensor,
    hr: Tensor,
    lpips_weights: str | os.PathLike[str] | None = None,
    kind: ImageKind = EIGHT_BITS,
) -> Tensor:
    """LPIPS with VGG16, of the channels shown; see `lpips`."""
    return lpips(kind.visible(sr), kind.visible(hr), "vgg", lpips_weights)
