"""Consistency of SR with the LR image that it was made from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import psnr
from tmd.metrics.registry import Needs, register
from tmd.resize import imresize, imresize_uint8

#: (SR, index) -> LR: a measurement, whose random parameters depend on the index alone.
Measure = Callable[[Tensor, int], Tensor]


@register("consistency", Needs(hr=False, lr=True))
def consistency(
    sr: Tensor,
    lr: Tensor,
    channel: str = "y",
    scale: int = 1,
    kind: ImageKind = EIGHT_BITS,
    measurement: Measure | None = None,
    index: int = 0,
) -> Tensor:
    """PSNR in dB between SR, measured as HR was, and LR: what the result keeps of its input.

    Needs no HR. The whole image counts, by the channel that `psnr` takes.

    Args:
        sr: (N, C, H, W) in [0, 1].
        lr: (N, C, H / scale, W / scale) in [0, 1].
        channel: as for `psnr`.
        measurement: the one that LR was made by; None: MATLAB's bicubic.
        index: what random parameters of the measurement are drawn for.

    Returns:
        (N,)

    Raises:
        UserError: nothing says how LR was made, at scale 1, or SR is not of LR's size.
    """
    if measurement is not None:
        return psnr(measurement(sr, index), lr, channel=channel)
    if scale == 1:
        raise UserError("consistency: at scale=1 nothing says how LR is made; measurement= does")
    if kind.is_eight_bit:
        measured = kind.to_float(imresize_uint8(kind.to_native(sr), 1 / scale))
    else:
        measured = kind.rounded(imresize(sr, 1 / scale))
    return psnr(measured.to(lr.dtype), lr, channel=channel)
