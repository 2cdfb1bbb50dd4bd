"""What the networks are trained to minimise."""

from __future__ import annotations

from typing import Any

from torch import nn

from ingredients.base import Ingredient
from tmd.errors import UserError, check_choice, check_number
from tmd.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    create_adversarial_loss,
)
from tmd.losses.content import (
    PIXEL_LOSSES,
    ContentLoss,
    ResolvedContent,
    create_content_loss,
    parse_spec,
    resolve_content,
)

ingredient = Ingredient("losses")


@ingredient.config
def config():
    pixel = "l1"  # mse, l1, charbonnier: pretrains G, and is what `pixel` means in content
    content = "auto"  # auto, pixel, vgg54, 0.5*vgg22+vgg54+0.01*l1, ...
    content_weights = None  # file of ImageNet weights (VGG16 or VGG19); None: torch's cache
    content_weight = 1.0  # factor of the content loss
    before_activation = True  # VGG features before the ReLU
    adversarial = "bce"  # bce, relativistic, least-squares, hinge, wgan-gp
    real_label = 0.9  # one-sided label smoothing
    options = {}  # what only this adversarial loss takes


@ingredient.named_config
def paper():
    """SRGAN's losses as published; VGG19's weights are needed."""
    pixel = "mse"
    content = "vgg54"
    content_weight = 0.006  # feature maps scaled by 1/12.75, section 3.2
    before_activation = False  # section 2.2.1: "after activation"
    real_label = 1.0


@ingredient.capture
def check(
    pixel: str,
    content: str,
    content_weight: float,
    adversarial: str,
    real_label: float,
    options: dict[str, Any],
) -> None:
    """Raise `UserError` for values that can't be."""
    check_choice("losses.pixel", pixel, list(PIXEL_LOSSES))
    if content != "auto":
        parse_spec(content, pixel)
    check_number("losses.content_weight", content_weight, 0)
    check_number("losses.real_label", real_label, above=0, maximum=1)
    create_adversarial_loss(adversarial, real_label, **options)


@ingredient.capture
def check_discriminator(network: nn.Module, adversarial: str) -> None:
    """Raise `UserError` if the adversarial loss can't train such a discriminator."""
    allowed = ADVERSARIAL_LOSSES[adversarial].allows_batch_statistics  # type: ignore[attr-defined]
    if network.batch_statistics and not allowed:
        raise UserError(
            f"losses.adversarial={adversarial}: needs a discriminator without batch "
            "normalisation: discriminator.norm=none"
        )


@ingredient.capture
def check_compilation(adversarial: str) -> None:
    """Raise `UserError` if the adversarial loss can't be trained with compiled networks."""
    if not ADVERSARIAL_LOSSES[adversarial].allows_compilation:  # type: ignore[attr-defined]
        raise UserError(
            f"losses.adversarial={adversarial}: its penalty can't be compiled: "
            "training.speed without +compile"
        )


@ingredient.capture
def resolve(device: str, pixel: str, content: str, content_weights: str | None) -> ResolvedContent:
    """What ``content=auto`` stands for on this machine, and the line that says so."""
    return resolve_content(content, content_weights, device, pixel=pixel)


@ingredient.capture
def build_content(
    channels: int,
    pixel: str,
    content: str,
    content_weights: str | None,
    before_activation: bool,
) -> ContentLoss:
    return create_content_loss(
        content, content_weights, channels, pixel=pixel, before_activation=before_activation
    )


@ingredient.capture
def build_pixel(pixel: str) -> Any:
    return PIXEL_LOSSES[pixel]


@ingredient.capture
def build_adversarial(
    adversarial: str, real_label: float, options: dict[str, Any]
) -> AdversarialLoss:
    return create_adversarial_loss(adversarial, real_label, **options)


@ingredient.capture
def content_weight(content_weight: float) -> float:
    """The factor of the content loss."""
    return content_weight
