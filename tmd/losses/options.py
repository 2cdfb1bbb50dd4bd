"""Losses of a training as a config says them, checked and built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.images import ImageKind
from tmd.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, create_adversarial_loss
from tmd.losses.content import (
    PIXEL_LOSSES,
    ContentLoss,
    ResolvedContent,
    create_content_loss,
    parse_spec,
    resolve_content,
)
from tmd.losses.extra import IMAGES, Terms, create_extra_terms


@dataclass(frozen=True)
class LossOptions:
    """Options of the losses.

    Attributes:
        pixel: name in `PIXEL_LOSSES`; pretrains G, and is what ``pixel`` means in ``content``.
        content: ``auto``, or a spec; see `tmd.losses.content`.
        content_weights: file of ImageNet weights, or None for torch's cache.
        content_weight: factor of the content loss.
        before_activation: VGG's features before the ReLU.
        adversarial: name in `ADVERSARIAL_LOSSES`.
        real_label: what D is trained to answer for real images.
        options: what only this adversarial loss takes.
        extra: names in `tmd.losses.extra.GENERATOR_TERMS` -> weights.
        dists_weights: folder with VGG16's weights and DISTS's own; None: torch's cache.
    """

    pixel: str = "l1"
    content: str = "auto"
    content_weights: str | None = None
    content_weight: float = 1.0
    before_activation: bool = True
    adversarial: str = "bce"
    real_label: float = 0.9
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    dists_weights: str | None = None

    def check(
        self,
        given: Collection[str] = IMAGES,
        channels: int | None = None,
        size: int | None = None,
        scale: int | None = None,
    ) -> None:
        """Raise `UserError` for values that can't be.

        Args:
            given: the images that the trainer has, of `tmd.losses.extra.IMAGES`.
            channels, size, scale: of the images, their sides in pixels and how many times those
                of LR they are, where that is known.
        """
        check_choice("losses.pixel", self.pixel, list(PIXEL_LOSSES))
        if self.content != "auto":
            parse_spec(self.content, self.pixel)
        check_number("losses.content_weight", self.content_weight, 0)
        check_flag("losses.before_activation", self.before_activation)
        check_number("losses.real_label", self.real_label, above=0, maximum=1)
        self.create_adversarial()
        terms = self.create_extra(given, channels, size)
        if scale == 1 and "lr_consistency" in terms:
            raise UserError(
                f"losses.extra.lr_consistency={self.extra['lr_consistency']}: at scale=1 it would "
                "hold SR to the degraded image itself; must be 0"
            )

    def check_discriminator(self, network: nn.Module) -> None:
        """Raise `UserError` if the adversarial loss can't train such a discriminator."""
        allowed = ADVERSARIAL_LOSSES[self.adversarial].allows_batch_statistics  # type: ignore[attr-defined]
        if network.batch_statistics and not allowed:
            raise UserError(
                f"losses.adversarial={self.adversarial}: needs a discriminator without batch "
                "normalisation: discriminator.norm=none"
            )

    def check_compilation(self) -> None:
        """Raise `UserError` if the adversarial loss can't be trained with compiled networks."""
        if not ADVERSARIAL_LOSSES[self.adversarial].allows_compilation:  # type: ignore[attr-defined]
            raise UserError(
                f"losses.adversarial={self.adversarial}: its penalty can't be compiled: "
                "training.speed without +compile"
            )

    def resolve_content(self, device: str | torch.device) -> ResolvedContent:
        """Spec that ``content`` stands for on this machine, and the line that says so."""
        return resolve_content(self.content, self.content_weights, device, pixel=self.pixel)

    def create_content(self, kind: ImageKind | int) -> ContentLoss:
        """Content loss for images of ``kind``, or of so many channels."""
        return create_content_loss(
            self.content,
            self.content_weights,
            kind,
            pixel=self.pixel,
            before_activation=self.before_activation,
        )

    def create_pixel(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Pixel loss (SR, HR) -> scalar."""
        return PIXEL_LOSSES[self.pixel]

    def create_adversarial(self) -> AdversarialLoss:
        """Adversarial loss with its own options."""
        return create_adversarial_loss(self.adversarial, self.real_label, **self.options)

    def create_extra(
        self,
        given: Collection[str] = IMAGES,
        channels: int | None = None,
        size: int | None = None,
    ) -> Terms:
        """Further terms of the generator's loss; see `create_extra_terms`."""
        settings = {"dists_weights": self.dists_weights}
        return create_extra_terms(self.extra, given, channels, size, settings)
