"""Options of training without HR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements import Measurement, create_measurement
from tmd.models.options import DiscriminatorOptions
from tmd.training.ambientgan import Discriminators, Weights, detail

VIEWS = ("image", "detail")


@dataclass(frozen=True)
class AmbientOptions:
    """Options of what stands in for HR.

    Attributes:
        operators: how results are measured in training; None: as the LR images are.
        images_weight: of D on images, SR against unpaired HR: factor of ``adv_weight``; 0: none.
        measured_weight: of D on measurements, re-measured SR against LR, likewise.
        reconstruction_weight: of UNIR's term: G of the re-measured SR gives SR again.
        equivariant: whether SR is moved by part of an LR pixel before it is measured for that.
        view: what D on images sees, one of `VIEWS`.
        measured_features, measured_strides: of D on measurements.
        max_consistency_loss: dB of consistency with LR that a better score may cost.
    """

    operators: Sequence[Any] | None = None
    images_weight: float = 1.0
    measured_weight: float = 0.1
    reconstruction_weight: float = 0.0
    equivariant: bool = True
    view: str = "image"
    measured_features: list[int] = field(default_factory=lambda: [32, 64, 64])
    measured_strides: list[int] = field(default_factory=lambda: [1, 2, 1])
    max_consistency_loss: float = 6.0

    def check(self, scale: int, kind: ImageKind = EIGHT_BITS) -> None:
        """Raise `UserError` for values that can't be."""
        if self.operators is not None:
            try:
                create_measurement(self.operators, scale, kind=kind)
            except UserError as problem:
                text = str(problem).replace("measurement.operators", "ambient.operators")
                raise UserError(text) from None
        check_number("ambient.images_weight", self.images_weight, 0)
        check_number("ambient.measured_weight", self.measured_weight, 0)
        check_number("ambient.reconstruction_weight", self.reconstruction_weight, 0)
        check_flag("ambient.equivariant", self.equivariant)
        check_choice("ambient.view", self.view, VIEWS)
        if self.view == "detail" and scale == 1:
            raise UserError("ambient.view=detail: at scale=1 no detail is beyond LR; must be image")
        check_number("ambient.max_consistency_loss", self.max_consistency_loss, 0)
        if not self.images_weight and not self.measured_weight:
            raise UserError(
                "ambient: images_weight and measured_weight are both 0; one discriminator must "
                "be on"
            )

    def measurement(
        self,
        data_operators: Sequence[Any],
        scale: int,
        seed: int,
        stream: str,
        kind: ImageKind = EIGHT_BITS,
    ) -> Measurement:
        """The measurement of results.

        Args:
            data_operators: those that make the LR images.
            kind: of the images.
        """
        return create_measurement(self.operators or data_operators, scale, seed, stream, kind)

    def discriminators(self, options: DiscriminatorOptions, channels: int) -> Discriminators:
        """The discriminators whose weight is not 0.

        Args:
            options: of the one on images; that on measurements differs in features and strides.
        """
        networks = {}
        if self.images_weight:
            networks["images"] = options.create(channels)
        if self.measured_weight:
            networks["measured"] = options.create(
                channels, features=self.measured_features, strides=self.measured_strides
            )
        return Discriminators(networks)

    def weights(self, content_weight: float) -> Weights:
        """The factors of the generator's losses."""
        return Weights(
            content_weight, self.images_weight, self.measured_weight, self.reconstruction_weight
        )

    def shown(self, scale: int) -> Callable[[Tensor], Tensor] | None:
        """Part of the images that D on images is shown; None: all."""
        return partial(detail, scale=scale) if self.view == "detail" else None


def check_sizes(discriminators: Discriminators, scale: int, patch_size: int) -> None:
    """Raise `UserError` if patches are too small for one of the discriminators."""
    for name, factor in (("images", 1), ("measured", scale)):
        needed: int = (
            getattr(discriminators[name], "minimum_size", 0) if name in discriminators else 0
        )
        if patch_size // factor < needed:
            raise UserError(
                f"dataset.patch_size={patch_size}: must be at least {factor * needed} "
                f"for the discriminator of {name}"
            )
