"""Reach of the networks of the field whose pixels see a part of the image: the spread of one pixel.

A layer spreads an interval of positions: a convolution by its radius, an attention window to its
borders, a change of resolution to the positions of the other grid. Where a pixel lies in its window
matters, so that all places of it are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Interval = tuple[int, int]
Layer = Callable[[Interval], Interval]
Options = Mapping[str, Any]


def conv(radius: int = 1) -> Layer:
    """A convolution, or several: the sum of their radii."""
    return lambda seen: (seen[0] - radius, seen[1] + radius)


def windows(size: int, shift: int = 0) -> Layer:
    """Windows of ``size`` positions, each of which sees all of its own, beginning at ``shift``."""

    def spread(seen: Interval) -> Interval:
        first, last = ((position - shift) // size for position in seen)
        return first * size + shift, last * size + shift + size - 1

    return spread


def finer(factor: int) -> Layer:
    """Positions of a grid ``factor`` times as fine."""
    return lambda seen: (seen[0] * factor, seen[1] * factor + factor - 1)


def coarser(factor: int) -> Layer:
    """Positions of a grid ``factor`` times as coarse."""
    return lambda seen: (seen[0] // factor, seen[1] // factor)


def radius(layers: Iterable[Layer], scale: int, grid: int = 1) -> int:
    """Radius in LR pixels of a network of ``layers`` that ends at SR pixels.

    Args:
        grid: LR pixels after which the layers repeat.

    Example:
        >>> radius([conv(1), finer(2), conv(1)], scale=2)
        2
    """
    layers = list(layers)
    found = 0
    for place in range(grid):
        seen = (place, place)
        for layer in layers:
            seen = layer(seen)
        found = max(found, place - seen[0] // scale, seen[1] // scale - place)
    return found


def doublings(scale: int) -> list[int]:
    """Factors of the stages of the networks that enlarge by pixel shuffling."""
    return [scale] if scale == 3 else [2] * (scale.bit_length() - 1)


def enlarged(upsampler: str, scale: int) -> list[Layer]:
    """End of the window networks, after the features: from LR to SR positions."""
    if upsampler == "pixelshuffledirect":
        return [conv(1), finer(scale)]
    if upsampler == "nearest+conv":
        stages = [each for factor in doublings(scale) for each in (finer(factor), conv(1))]
        return [conv(1), *stages, conv(2)]
    stages = [each for factor in doublings(scale) for each in (conv(1), finer(factor))]
    return [conv(1), *stages, conv(1)]


def swin(options: Options, scale: int) -> int:
    """SwinIR's and Swin2SR's: groups of windows, every other layer shifted by half a window."""
    size = options["window_size"]
    connection = conv(1 if options["resi_connection"] == "1conv" else 2)
    layers = [conv(1)]
    for depth in options["depths"]:
        layers += [windows(size, size // 2 * (number % 2)) for number in range(depth)]
        layers.append(connection)
    return radius(
        [*layers, connection, *enlarged(options["upsampler"], scale)], scale, options["window_size"]
    )


def drct(options: Options, scale: int) -> int:
    """DRCT's: five windows a group, whatever its depth, every other one shifted."""
    size = options["window_size"]
    group = [windows(size, size // 2 * (number % 2)) for number in range(5)]
    body = [layer for _ in options["depths"] for layer in group]
    return radius([conv(1), *body, conv(1), *enlarged("pixelshuffle", scale)], scale, size)


def moesr(options: Options, scale: int) -> int:
    """MoESR's: gated blocks with bands of 11, and three of them at half the size after each."""
    gated = conv(1 + 5 + 1)
    group = [gated] * options["n_block"]
    group += [conv(1), coarser(2), gated, gated, gated, conv(1), finer(2)]
    return radius([conv(1), *group * options["blocks"], conv(1), finer(scale)], scale, 2)


def safmn(options: Options, scale: int) -> int:
    """SAFMN's: the coarsest of its pooled maps, of 8 × 8 pixels, sees the ones beside."""
    block = [coarser(8), conv(1), finer(8), conv(1)]
    return radius([conv(1), *block * options["blocks"], conv(1), finer(scale)], scale, 8)


def esrgan(blocks: int, fold: int, scale: int) -> int:
    """ESRGAN's: at ``1 / fold`` of the LR size, then enlarged by ``fold * scale``."""
    trunk = conv(1 + 15 * blocks + 1)
    stages = [each for factor in doublings(fold * scale) for each in (finer(factor), conv(1))]
    return radius([coarser(fold), trunk, *stages, conv(2)], scale, fold)
