"""Convolutions with few outputs on a CPU: one for each row of the kernel, then a sum.

Processors compute sixteen outputs and more at a time. SRGAN's last layer, 9 × 9 to three colours,
uses three of them; as nine kernels of 1 × 9 it has 27 outputs of the same arithmetic, whose sum
over nine rows of pixels is small: 2.6 times as fast forward and backward, 3.3 times forward alone
(64 channels, batch of 8 × 128², AVX-512, two cores; `benchmarks/layers.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_OUTPUTS = 4
MIN_KERNEL = 5


def use_rows(network: nn.Module) -> nn.Module:
    """``network``, whose convolutions with few outputs and a large kernel now go this way on a CPU.

    Parameters, their names and the network's type stay as they are.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and _suits(layer):
            layer._conv_forward = row_by_row  # type: ignore[assignment]
    return network


def _suits(layer: nn.Conv2d) -> bool:
    kernel = layer.kernel_size[0]
    return (
        layer.out_channels <= MAX_OUTPUTS
        and kernel >= MIN_KERNEL
        and kernel % 2 == 1
        and layer.kernel_size == (kernel, kernel)
        and layer.padding == (kernel // 2, kernel // 2)
        and layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
    )


def row_by_row(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.conv2d` with a padding of half the (odd, square) kernel."""
    outputs, inputs, rows, columns = weight.shape
    if images.device.type != "cpu":
        return F.conv2d(images, weight, bias, padding=rows // 2)
    weights = weight.permute(2, 0, 1, 3).reshape(rows * outputs, inputs, 1, columns)
    if bias is not None:
        before = rows // 2 * outputs  # it goes to the middle row, which every pixel has
        bias = F.pad(bias, (before, before))
    return _SumOfRows.apply(F.conv2d(images, weights, bias, padding=(0, columns // 2)), rows)


class _SumOfRows(torch.autograd.Function):
    """(N, rows · K, H, W) -> (N, K, H, W): each kernel's row comes from another row of pixels."""

    @staticmethod
    def forward(ctx, products, rows):  # type: ignore[override]
        ctx.rows = rows
        outputs = products.shape[1] // rows
        # float32 is exact, and bfloat16's additions take three times as long.
        exact = products.to(torch.promote_types(products.dtype, torch.float32))
        result = _of_row(exact, rows // 2, outputs).clone(memory_format=torch.channels_last)
        for row, into, of in _shifts(exact.shape[2], rows):
            result[:, :, into].add_(_of_row(exact, row, outputs)[:, :, of])
        return result.to(products.dtype)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[override]
        return _SpreadOverRows.apply(gradient, ctx.rows), None


class _SpreadOverRows(torch.autograd.Function):
    """`_SumOfRows` the other way round."""

    @staticmethod
    def forward(ctx, gradient, rows):  # type: ignore[override]
        ctx.rows = rows
        images, outputs, height, width = gradient.shape
        result = torch.zeros(images, height, width, rows * outputs, dtype=gradient.dtype).permute(
            0, 3, 1, 2
        )
        _of_row(result, rows // 2, outputs).copy_(gradient)
        for row, into, of in _shifts(height, rows):
            _of_row(result, row, outputs)[:, :, of] = gradient[:, :, into]
        return result

    @staticmethod
    def backward(ctx, products):  # type: ignore[override]
        return _SumOfRows.apply(products, ctx.rows), None


def _of_row(products: Tensor, row: int, outputs: int) -> Tensor:
    return products[:, row * outputs : (row + 1) * outputs]


def _shifts(height: int, rows: int) -> Iterator[tuple[int, slice, slice]]:
    """Each row of the kernel but the middle one: which rows of pixels it adds to, and from which.

    Example:
        >>> list(_shifts(5, 3))
        [(0, slice(1, 5, None), slice(0, 4, None)), (2, slice(0, 4, None), slice(1, 5, None))]
    """
    for row in range(rows):
        down = rows // 2 - row
        if down and abs(down) < height:
            of = slice(max(-down, 0), height - max(down, 0))
            yield row, slice(max(down, 0), height - max(-down, 0)), of
