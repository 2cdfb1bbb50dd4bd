"""The config of the operators that make LR images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tmd.errors import UserError, check_flag
from tmd.images import EIGHT_BITS, ImageKind
from tmd.measurements.measurement import Measurement, create_measurement, is_given


@dataclass(frozen=True)
class MeasurementOptions:
    """Options of the operator that makes LR images.

    Attributes:
        operators: see `create_measurement`.
        fit: a folder of images, or several, to which the ranges in ``operators`` are fitted before
            a run; see `tmd.fitting`.
        fit_anyway: a fit that does not come near is taken all the same.
    """

    operators: Sequence[Any] = field(default_factory=lambda: ["bicubic"])
    fit: Any = None
    fit_anyway: bool = False

    def check_given(self, made: float) -> None:
        """Raise `UserError` for a list that can't be where LR is given but for the share ``made``.

        By default the list is that of MATLAB's bicubic, which needs not be taken back.
        """
        if made and is_given(self.operators):
            raise UserError(
                f"dataset.made={made}: measurement.operators={list(self.operators)} make no LR; "
                "'measurement.operators=[\"bicubic\"]' do, say"
            )
        if not made and not is_given(self.operators) and list(self.operators) != ["bicubic"]:
            raise UserError(
                f"measurement.operators={list(self.operators)}: all LR is given by "
                "dataset.lr_root; dataset.made=0.5 would have half of it made by them"
            )

    def check(self, scale: int, kind: ImageKind = EIGHT_BITS) -> None:
        """Raise `UserError` for a list that can't be, or leaves nothing to learn."""
        check_flag("measurement.fit_anyway", self.fit_anyway)
        if is_given(self.operators):
            raise UserError("measurement.operators=['given']: needs dataset.lr_root")
        if create_measurement(self.operators, scale, kind=kind).changes_nothing(kind):
            raise UserError(
                f"measurement.operators={list(self.operators)}: at scale={scale} they change "
                'nothing, so that nothing is to be restored; [{"name":"jpeg","quality":[20,60]}] '
                "say, or blur, noise"
            )

    def create(
        self,
        scale: int,
        seed: int,
        stream: str = "measurement",
        kind: ImageKind = EIGHT_BITS,
    ) -> Measurement:
        """The measurement, whose draws in each ``stream`` are its own."""
        return create_measurement(self.operators, scale, seed, stream, kind)
