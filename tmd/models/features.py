"""Frozen ImageNet networks whose inner layers serve as perceptual features.

The networks are torchvision's; here are their names for layers, where their weights come from, and
the care that a frozen network needs. What the features are used for is not known here.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.models.weights import load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
REACHABLE_WITHIN = 5.0  # seconds
#: torchvision's files, which are looked for without importing it: that takes longer than torch.
FILES = {
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
}
ARCHITECTURES = tuple(FILES)


def _convolutions(arch: str) -> nn.Sequential:
    """The convolutional part of ``arch``, without memory for its weights."""
    from torchvision import models

    with torch.device("meta"):
        return getattr(models, arch)(weights=None).features


@cache
def _shapes(arch: str) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in _convolutions(arch).state_dict().items()}


@cache
def layer_indices(arch: str) -> dict[str, int]:
    """Index of each convolution of a VGG network, by the field's names.

    ``vggNM`` is the M-th convolution before the N-th max-pool (SRGAN, section 2.2.1).

    Example:
        >>> layer_indices("vgg19")["vgg54"]
        34
    """
    indices, block, convolution = {}, 1, 0
    for index, layer in enumerate(_convolutions(arch)):
        if isinstance(layer, nn.Conv2d):
            convolution += 1
            indices[f"vgg{block}{convolution}"] = index
        elif isinstance(layer, nn.MaxPool2d):
            block, convolution = block + 1, 0
    return indices


def identify(weights: dict[str, Tensor]) -> str | None:
    """Name in `ARCHITECTURES` of the network that has these weights of convolutions, if any."""
    shapes = {name: value.shape for name, value in weights.items()}
    return next((arch for arch in ARCHITECTURES if _shapes(arch) == shapes), None)


def cached_file(arch: str) -> Path:
    """Path of torchvision's download of ``arch``."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILES[arch]


def find_weights(
    arch: str | Sequence[str], path: str | os.PathLike[str] | None = None, download: bool = False
) -> dict[str, Tensor] | None:
    """ImageNet weights of the convolutions of ``arch``: from a path, torch's cache or a download.

    Args:
        arch: one of `ARCHITECTURES`, or several of them in the order of preference.
        path: a file with torchvision's key names (``features.N.weight``; what else it holds is
            ignored; half precision is fine), or a folder that holds such a file with the name of
            ``arch`` in its own (``vgg16_features.pth``). Nothing else is tried when it is given.
        download: let torchvision download what is not in its cache.

    Returns:
        The state dict of torchvision's ``.features`` as float32 (`identify` tells whose), or None
        if the weights are not at hand and ``download`` is off.

    Raises:
        UserError: ``path`` holds no such weights, or the download can't be had.
    """
    archs = [arch] if isinstance(arch, str) else list(arch)
    if path is not None:
        return _from_path(archs, Path(path))
    for name in archs:
        if cached_file(name).is_file():
            return _from_path([name], cached_file(name))
    return _download(archs[0]) if download else None


def _from_path(archs: list[str], path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        path = _file_in_folder(archs, path)
    if not path.is_file():
        raise UserError(f"weights {path}: no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # bytes of another kind can raise anything in the unpickler
        raise UserError(f"weights {path}: truncated, or not a PyTorch file") from None
    weights = _convolution_weights(state)
    if identify(weights) not in archs:
        held = identify(weights) or "neither " + " nor ".join(ARCHITECTURES)
        raise UserError(
            f"weights {path}: holds {held}, wanted {' or '.join(archs)} "
            "with torchvision's key names (features.0.weight, ...)"
        )
    return weights


def _file_in_folder(archs: list[str], folder: Path) -> Path:
    for arch in archs:
        # "vgg16_bn-6c64b313.pth" is another network.
        found = sorted(
            file for file in folder.glob(f"{arch}*.pt*") if not file.name.startswith(f"{arch}_bn")
        )
        if found:
            return found[0]
    raise UserError(f"weights {folder}: no file named {' or '.join(f'{a}*.pth' for a in archs)}")


def _convolution_weights(state: object) -> dict[str, Tensor]:
    if not isinstance(state, dict):
        return {}
    # A saved `network.features.state_dict()` has the same names without their prefix.
    pattern = re.compile(r"(?:features\.)?(\d+\.(?:weight|bias))")
    return {
        match[1]: value.float()
        for name, value in state.items()
        if isinstance(value, Tensor) and (match := pattern.fullmatch(str(name)))
    }


def _pretrained(arch: str) -> Any:
    """Entry of torchvision's: its ``url``, and ``get_state_dict``."""
    from torchvision import models

    return models.get_model_weights(arch).IMAGENET1K_V1


def _download(arch: str) -> dict[str, Tensor]:
    pretrained, target = _pretrained(arch), cached_file(arch)
    ways_out = (
        f"give a file that holds them, or put torchvision's {target.name} into {target.parent}"
    )
    if not _reachable(pretrained.url, REACHABLE_WITHIN):
        host = urlsplit(pretrained.url).netloc
        raise UserError(
            f"weights of {arch}: not in torch's cache, and {host} can't be reached; {ways_out}"
        )
    try:
        state = pretrained.get_state_dict(map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as problem:
        raise UserError(f"weights of {arch}: download failed ({problem}); {ways_out}") from None
    return _convolution_weights(state)


def _reachable(url: str, within: float) -> bool:
    """Tell if the server of ``url`` answers in time; names that never resolve included."""
    answered = threading.Event()

    def ask() -> None:
        # urlopen, not a bare socket: it goes through the user's proxy.
        request = urllib.request.Request(url, method="HEAD")
        with suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=within):
            answered.set()

    # A name look-up knows no timeout, so it is left behind in a thread of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(within)
    return answered.is_set()


class ImageNetFeatures(nn.Module):
    """Outputs of chosen layers of a frozen ImageNet network.

    Its parameters never get a gradient and it stays in evaluation mode; a gradient flows to its
    input. Nothing deeper than the deepest layer asked for is computed.

    Args:
        arch: one of `ARCHITECTURES`.
        indices: layers by their position in torchvision's ``features``.
        weights: what `find_weights` returned.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: str, indices: Sequence[int], weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.arch = arch
        self.indices = tuple(indices)
        layers = _convolutions(arch)[: max(indices) + 1]
        used = {name: weights[name] for name in layers.state_dict() if name in weights}
        layers.to_empty(device="cpu")
        load_weights(layers, used, f"weights of {arch}")
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.ReLU):
                # In place it would overwrite the output that was asked for.
                layer.inplace = index - 1 not in self.indices
        self.layers = layers.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.minimum_size = _minimum_size(layers)
        self.eval()

    def train(self, mode: bool = True) -> ImageNetFeatures:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The layers' outputs, in the order of ``indices``.

        Args:
            images: (N, 3, H, W) or grey (N, 1, H, W), in [0, 1].
        """
        if min(images.shape[-2:]) < self.minimum_size:
            size = f"{images.shape[-2]}×{images.shape[-1]}"
            raise UserError(
                f"{self.arch} features of an image of {size} pixels: "
                f"must be at least {self.minimum_size}×{self.minimum_size}"
            )
        x = (images.to(self.mean.dtype) - self.mean) / self.std  # grey becomes three channels here
        outputs = {}
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.indices:
                outputs[index] = x
        return [outputs[index] for index in self.indices]


def _minimum_size(layers: nn.Sequential) -> int:
    """The smallest side of an image that every layer can take."""
    size = 1
    for layer in reversed(layers):
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride, padding = (
                _side(value) for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            size = max(1, (size - 1) * stride + kernel - 2 * padding)
    return size


def _side(value: int | tuple[int, ...] | str) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


class VGGFeatures(ImageNetFeatures):
    """Feature maps of VGG16 or VGG19 by the field's layer names.

    Args:
        arch: ``vgg16`` or ``vgg19``.
        layers: for example ``["vgg22", "vgg54"]``; see `layer_indices`.
        before_activation: take the convolution's own output (ESRGAN, section 3.3) instead of what
            the ReLU leaves of it.
        weights: what `find_weights` returned; None takes them from torch's cache.

    Raises:
        UserError: the network has no such layer, or no weights are at hand.
    """

    def __init__(
        self,
        arch: str,
        layers: Sequence[str],
        before_activation: bool = True,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        known = layer_indices(arch)
        for name in layers:
            check_layer(arch, name)
        if weights is None:
            weights = find_weights(arch)
        if weights is None:
            raise UserError(f"weights of {arch}: not in torch's cache ({cached_file(arch)})")
        super().__init__(
            arch, [known[name] + (0 if before_activation else 1) for name in layers], weights
        )
        self.names = tuple(layers)

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """The feature maps by layer name; ``images`` as for `ImageNetFeatures`."""
        return dict(zip(self.names, super().forward(images), strict=True))


def check_layer(arch: str, name: str) -> None:
    """Raise `UserError` unless the VGG network ``arch`` has a layer called ``name``."""
    if name not in layer_indices(arch):
        raise UserError(
            f"layer {name!r}: {arch.upper()} has no such layer, "
            f"it has {', '.join(layer_indices(arch))}"
        )
