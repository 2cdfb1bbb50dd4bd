"""Bytes <-> floats, and the luma that the field measures on."""

from __future__ import annotations

import torch

HIGHEST_LEVEL = {torch.uint8: 255, torch.uint16: 65535}
"""The level that stands for 1, by the type of integers that images have."""


def to_float(image: torch.Tensor) -> torch.Tensor:
    """uint8 -> float32 in [0, 1], any shape."""
    return image.to(torch.float32).div_(255)


def nearest_levels(levels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Values counted in levels -> the nearest of ``dtype``: the one place where images are rounded.

    Args:
        levels: float, any shape; overwritten.
        dtype: uint8 or uint16.
    """
    rounded = levels.clamp_(0, HIGHEST_LEVEL[dtype]).round_()
    # CUDA has no kernels for uint16: the conversion goes over int32 on the CPU.
    return rounded.to(dtype) if dtype == torch.uint8 else rounded.to(torch.int32).cpu().to(dtype)


def to_levels(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Values in [0, 1] as ``dtype``, any shape.

    Args:
        dtype: uint8 or uint16, for the nearest level of the clamped values; other types take the
            values as they are.
    """
    if dtype not in HIGHEST_LEVEL:
        return image.to(dtype)
    # Half precision has no room for the levels' fractions.
    exact = image if image.dtype == torch.float64 else image.float()
    return nearest_levels(exact.mul(HIGHEST_LEVEL[dtype]), dtype)


def to_uint8(image: torch.Tensor) -> torch.Tensor:
    """Float in [0, 1] -> uint8, clamped and rounded to the nearest level, any shape."""
    return to_levels(image.detach(), torch.uint8)


def as_8_bit(image: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1] as they come back from an 8-bit file, still float, any shape."""
    return rounded_to(image, 255)


def rounded_to(image: torch.Tensor, highest: float) -> torch.Tensor:
    """Values in [0, 1] as they come back from a file whose levels are 0 to ``highest``."""
    return image.clamp(0, 1).mul_(highest).round_().div_(highest)


def rgb_to_y(image: torch.Tensor) -> torch.Tensor:
    """Luma of BT.601 in studio range, as MATLAB's ``rgb2ycbcr`` gives it.

    Args:
        image: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) in [16/255, 235/255].
    """
    if image.shape[1] != 3:
        raise ValueError(f"expected (N, 3, H, W), got {tuple(image.shape)}")
    red, green, blue = image.unbind(1)
    return ((65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255)[:, None]
