"""Content losses: how far SR is from HR, in pixels or in the features of an ImageNet network.

A spec such as ``0.5*vgg22+vgg54+0.01*l1`` says which terms are added with which weights:
``spec = term {"+" term}``, ``term = [weight "*"] name``, where a name is a pixel loss of
`PIXEL_LOSSES`, ``pixel`` (the pixel loss chosen elsewhere), a term of `CONTENT_TERMS`, or a layer
``vggNM``: the M-th convolution before the N-th max-pool of VGG19, or of VGG16 where the weights are
VGG16's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_choice
from tmd.images import EIGHT_BITS, ImageKind
from tmd.models.features import (
    VGGFeatures,
    cached_file,
    check_layer,
    find_weights,
    identify,
)
from tmd.registry import Registry

VGGS = ("vgg19", "vgg16")
AUTO_LAYER = {"vgg19": "vgg54", "vgg16": "vgg53"}  # the deepest of each

PIXEL_LOSSES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("losses.pixel")


#: Terms of a content loss that are neither pixel losses nor layers of VGG: a function (SR, HR) ->
#: scalar, or a class of `torch.nn.Module` made without arguments, whose ``forward`` is that.
CONTENT_TERMS: Registry[Callable[..., Any]] = Registry("losses.content")


@PIXEL_LOSSES.register("mse")
def mse(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean squared error (SRGAN, eq. 4)."""
    return nn.functional.mse_loss(sr, hr)


@PIXEL_LOSSES.register("l1")
def l1(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean absolute error."""
    return nn.functional.l1_loss(sr, hr)


@PIXEL_LOSSES.register("charbonnier")
def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean of √(d² + ε²) with ε = 10⁻³ (LapSRN, section 3.2): L1 with a smooth foot."""
    return ((sr - hr).square() + 1e-6).sqrt().mean()


class Term(NamedTuple):
    """A term of a content loss: its name and its factor."""

    name: str
    weight: float


_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*(?:(?P<weight>{_NUMBER})\s*\*\s*)?(?P<name>[a-z]\w*)\s*(?P<more>\+|$)")


def parse_spec(spec: str, pixel: str = "mse") -> list[Term]:
    """The terms of a content loss, ``pixel`` replaced by the pixel loss chosen.

    Raises:
        UserError: the spec doesn't follow the grammar, or a term is unknown or comes twice.

    Example:
        >>> parse_spec("0.5*vgg22+vgg54")
        [Term(name='vgg22', weight=0.5), Term(name='vgg54', weight=1.0)]
    """
    check_choice("losses.pixel", pixel, list(PIXEL_LOSSES))
    terms: list[Term] = []
    position, more = 0, True
    while more:
        match = _TERM.match(spec, position) if isinstance(spec, str) else None
        if match is None:
            raise UserError(
                f"losses.content={spec!r}: must be terms joined by '+', each a name or "
                "weight*name, for example vgg54 or 0.5*vgg22+vgg54+0.01*l1"
            )
        name = pixel if match["name"] == "pixel" else match["name"]
        weight = float(match["weight"] or 1)
        _check_term(spec, name, weight, terms)
        terms.append(Term(name, weight))
        position, more = match.end(), bool(match["more"])
    return terms


def _check_term(spec: str, name: str, weight: float, before: list[Term]) -> None:
    if not _is_registered(name) and not re.fullmatch(r"vgg\d\d", name):
        listed = ", ".join([*PIXEL_LOSSES, "pixel", *CONTENT_TERMS])
        raise UserError(
            f"losses.content={spec!r}: {name!r} must be one of "
            f"{listed}, vggNM (a layer, for example vgg54)"
        )
    if name in [term.name for term in before]:
        raise UserError(f"losses.content={spec!r}: {name} must come once, with one weight")
    if not 0 < weight < float("inf"):
        raise UserError(f"losses.content={spec!r}: the weight of {name} must be above 0 and finite")


def _is_registered(name: str) -> bool:
    return name in PIXEL_LOSSES or name in CONTENT_TERMS


class ContentLoss(nn.Module):
    """A weighted sum of pixel losses, registered terms and distances of VGG features.

    The distance of a layer is the mean over all elements of the squared difference of its feature
    maps (SRGAN, eq. 5). The paper also scales the maps by 1/12.75, which multiplies the loss by
    about 0.006 (section 3.2); the scaling is left to the weights here: its loss is ``0.006*vgg54``.

    The gradient goes to ``sr`` alone: ``hr`` is a target.

    Args:
        terms: what `parse_spec` returned.
        features: gives every ``vggNM`` among the terms; None where there is none.
        kind: of the images; the features are of those channels that are shown.
    """

    def __init__(
        self,
        terms: list[Term],
        features: VGGFeatures | None = None,
        kind: ImageKind = EIGHT_BITS,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.weights = dict(terms)
        self.features = features
        self.registered = {name: _function(name) for name in self.weights if _is_registered(name)}
        # Modules go to the device with the loss; nothing in it is trained.
        self.modules_of_terms = nn.ModuleDict(
            {name: term for name, term in self.registered.items() if isinstance(term, nn.Module)}
        ).requires_grad_(False)

    def terms(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Each term's scalar by its name, without its weight.

        Args:
            sr, hr: (N, C, H, W) in [0, 1].
        """
        values = {name: term(sr, hr) for name, term in self.registered.items()}
        if self.features is not None:
            with torch.no_grad():
                wanted = self.features(self.kind.visible(hr))
            for name, given in self.features(self.kind.visible(sr)).items():
                values[name] = nn.functional.mse_loss(given, wanted[name])
        return {name: values[name] for name in self.weights}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of what `terms` returned."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The loss as a scalar."""
        return self.total(self.terms(sr, hr))


def create_content_loss(
    spec: str,
    weights_path: str | os.PathLike[str] | None = None,
    kind: ImageKind | int = EIGHT_BITS,
    *,
    pixel: str = "mse",
    before_activation: bool = True,
    download: bool = True,
) -> ContentLoss:
    """The content loss that ``spec`` describes (grammar: this module's docstring).

    Args:
        weights_path: ImageNet weights of VGG19 or VGG16, a file or folder for `find_weights`; None
            looks in torch's cache for VGG19's.
        kind: of the images, or their channels; VGG sees those that are shown.
        pixel: what ``pixel`` means in the spec, a name of `PIXEL_LOSSES`.
        before_activation: take VGG's features before the ReLU.
        download: let torchvision download weights that are not at hand.

    Raises:
        UserError: a bad spec, or VGG weights or a layer of them that can't be had.
    """
    terms = parse_spec(spec, pixel)
    layers = _layers(terms)
    if not layers:
        return ContentLoss(terms)
    weights = _vgg_weights(spec, layers, weights_path, download)
    arch = identify(weights)
    assert arch is not None
    features = VGGFeatures(arch, layers, before_activation, weights)
    return ContentLoss(terms, features, ImageKind.of(kind))


def _layers(terms: list[Term]) -> list[str]:
    return [term.name for term in terms if not _is_registered(term.name)]


def _function(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    if name in PIXEL_LOSSES:
        return PIXEL_LOSSES[name]
    term = CONTENT_TERMS[name]
    return term() if isinstance(term, type) else term


def _vgg_weights(
    spec: str, layers: list[str], path: str | os.PathLike[str] | None, download: bool
) -> dict[str, Tensor]:
    """Weights that have all the layers; errors say what to do in terms of the config."""
    try:
        # Without a path `vggNM` is VGG19's, whatever else the cache holds.
        weights = find_weights(VGGS if path is not None else "vgg19", path, download)
        if weights is None:
            raise UserError(f"weights of vgg19: not in torch's cache ({cached_file('vgg19')})")
        for layer in layers:
            check_layer(identify(weights) or "vgg19", layer)
    except UserError as problem:
        raise UserError(
            f"losses.content={spec}: {problem}; ways out: losses.content_weights=FILE, "
            f"another layer, or losses.content=pixel"
        ) from None
    return weights


class ResolvedContent(NamedTuple):
    """A spec that can be had, and the line that says what was chosen."""

    spec: str
    message: str


def resolve_content(
    spec: str,
    weights_path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    *,
    pixel: str = "mse",
    announce: Callable[[str], None] = print,
) -> ResolvedContent:
    """Spec that ``auto`` stands for here, or ``spec`` itself once it is known that it can be had.

    ``auto`` is VGG's deepest convolution (``vgg54``; ``vgg53`` where ``weights_path`` holds VGG16)
    if its weights are at hand, or can be downloaded and the device is not the CPU; else ``pixel``.

    Args:
        announce: told before a download starts.

    Returns:
        The spec for `create_content_loss`, and one line for the user that says what was chosen.

    Raises:
        UserError: an explicit spec is wrong or can't be had; for ``auto``, only a ``weights_path``
            that holds no VGG weights.
    """
    if spec == "auto":
        return _resolve_auto(weights_path, torch.device(device), announce)
    terms = parse_spec(spec, pixel)
    layers = _layers(terms)
    for name in dict(terms):
        if name in CONTENT_TERMS:
            _function(name)  # what it needs may be missing, too
    if layers and weights_path is None and not cached_file("vgg19").is_file():
        announce(f"content loss {spec}: downloading VGG19's weights to {cached_file('vgg19')}")
    if layers:
        _vgg_weights(spec, layers, weights_path, download=True)
    return ResolvedContent(spec, f"content loss: {spec}, as asked for")


def _resolve_auto(
    path: str | os.PathLike[str] | None, device: torch.device, announce: Callable[[str], None]
) -> ResolvedContent:
    otherwise = "choose with losses.content=pixel, vgg54, vgg22+vgg54, ..."
    if path is not None:
        weights = _vgg_weights("auto", [], path, download=False)
        arch = identify(weights) or "vgg19"
        return ResolvedContent(
            AUTO_LAYER[arch],
            f"content loss: auto chose {AUTO_LAYER[arch]} "
            f"({arch.upper()} from {path}); {otherwise}",
        )
    cache = cached_file("vgg19")
    if cache.is_file():
        return ResolvedContent(
            "vgg54", f"content loss: auto chose vgg54 (VGG19 from {cache}); {otherwise}"
        )
    why = "VGG19's weights are not at hand (losses.content_weights=FILE gives them)"
    if device.type != "cpu":
        announce(f"content loss: auto downloads VGG19's weights to {cache}")
        try:
            find_weights("vgg19", download=True)
            return ResolvedContent(
                "vgg54", f"content loss: auto chose vgg54 (VGG19 downloaded); {otherwise}"
            )
        except UserError:
            why += " and can't be downloaded"
    return ResolvedContent("pixel", f"content loss: auto chose pixel: {why}; {otherwise}")
