"""What stands in for HR: the measurement of results, the discriminators, the terms' weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ingredients.base import Ingredient
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.measurements import Measurement, create_measurement
from tmd.training.ambientgan import Discriminators, Weights, detail

ingredient = Ingredient("ambient")

VIEWS = ("image", "detail")


@ingredient.config
def config():
    # How results are measured in training, a list like measurement.operators; None: the same.
    # Options with two ends are drawn anew each time: [{"name": "blur", "sigma": [0.5, 2]}, ...]
    operators = None
    images_weight = 1.0  # D on images, SR against unpaired HR: factor of adv_weight; 0: none
    measured_weight = 0.1  # D on measurements, re-measured SR against LR, likewise
    reconstruction_weight = 0.0  # of UNIR's term: G of the re-measured SR gives SR again
    equivariant = True  # for that, SR is moved by part of an LR pixel before it is measured
    view = "image"  # what D on images sees; detail: what lies beyond the image's own LR version
    measured_features = [32, 64, 64]  # D on measurements: channels after each convolution
    measured_strides = [1, 2, 1]  # of each
    max_consistency_loss = 6.0  # dB of consistency with LR that a better score may cost


@ingredient.capture
def check(
    scale: int,
    operators: Any,
    images_weight: float,
    measured_weight: float,
    reconstruction_weight: float,
    equivariant: bool,
    view: str,
    max_consistency_loss: float,
) -> None:
    """Raise `UserError` for values that can't be."""
    if operators is not None:
        try:
            create_measurement(operators, scale)
        except UserError as problem:
            text = str(problem).replace("measurement.operators", "ambient.operators")
            raise UserError(text) from None
    check_number("ambient.images_weight", images_weight, 0)
    check_number("ambient.measured_weight", measured_weight, 0)
    check_number("ambient.reconstruction_weight", reconstruction_weight, 0)
    check_flag("ambient.equivariant", equivariant)
    check_choice("ambient.view", view, VIEWS)
    check_number("ambient.max_consistency_loss", max_consistency_loss, 0)
    if not images_weight and not measured_weight:
        raise UserError(
            "ambient: images_weight and measured_weight are both 0; one discriminator must be on"
        )


@ingredient.capture
def build_measurement(
    data_operators: Sequence[Any], scale: int, seed: int, stream: str, operators: Any
) -> Measurement:
    """What results are measured by.

    Args:
        data_operators: what the LR images are measured by.
    """
    return create_measurement(operators or data_operators, scale, seed, stream)


@ingredient.capture
def build_discriminators(
    build: Callable[..., nn.Module],
    channels: int,
    images_weight: float,
    measured_weight: float,
    measured_features: list[int],
    measured_strides: list[int],
) -> Discriminators:
    """Those whose weight is not 0.

    Args:
        build: makes a discriminator for ``channels``; its ``features`` and ``strides`` can be
            given.
    """
    networks = {}
    if images_weight:
        networks["images"] = build(channels)
    if measured_weight:
        networks["measured"] = build(channels, features=measured_features, strides=measured_strides)
    return Discriminators(networks)


def check_sizes(discriminators: Discriminators, scale: int, patch_size: int) -> None:
    """Raise `UserError` if patches are too small for one of them."""
    for name, factor in (("images", 1), ("measured", scale)):
        needed: int = (
            getattr(discriminators[name], "minimum_size", 0) if name in discriminators else 0
        )
        if patch_size // factor < needed:
            raise UserError(
                f"dataset.patch_size={patch_size}: must be at least {factor * needed} "
                f"for the discriminator of {name}"
            )


@ingredient.capture
def weights(
    content_weight: float,
    images_weight: float,
    measured_weight: float,
    reconstruction_weight: float,
) -> Weights:
    """The factors of the generator's losses; the content loss's is the experiment's to say."""
    return Weights(content_weight, images_weight, measured_weight, reconstruction_weight)


@ingredient.capture
def is_equivariant(equivariant: bool) -> bool:
    """Whether SR is moved before the reconstruction."""
    return equivariant


@ingredient.capture
def build_view(scale: int, view: str) -> Callable[[Tensor], Tensor] | None:
    """What D on images is shown."""
    return partial(detail, scale=scale) if view == "detail" else None


@ingredient.capture
def allowed_consistency_loss(max_consistency_loss: float) -> float:
    """How many dB less consistent with LR than the pretrained generator the best may be."""
    return max_consistency_loss
