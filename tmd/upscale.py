"""Upscaling images of any size: whole or in tiles that leave no seam, in memory set by the tile.

A tile is computed inside a window that is larger by the generator's receptive field, so what is
kept of it is what the whole image would have given (`tmd.tiling`). Windows end at the image's
border and never beyond it: padding happens where it happens for the whole image. A network without
a finite field gets images whole while the memory suffices, else tiles that fade into each other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_number
from tmd.images import HIGHEST_LEVEL, ImageKind, to_levels
from tmd.models.layers import padded
from tmd.tiling import (
    OVERLAPS,
    Seams,
    Tile,
    TileRule,
    blended_tiles,
    chosen_rule,
    grid_of,
    kept_tiles,
    least_tile,
    windows,
)

DEFAULT_CPU_BUDGET = 1 << 30
DEFAULT_GPU_BUDGET = 8 << 30
SMALLEST_TILE = 16
AT_ONCE = 1 << 22
"""SR pixels that `super_resolve` computes at once: 2048 × 2048, so that the images of DIV2K stay
whole; about 2 GB of float32 feature maps in the default network."""


def count_tiles(height: int, width: int, tile: int) -> int:
    """Number of tiles that `upscale_tiles` makes of an LR image."""
    return math.ceil(height / tile) * math.ceil(width / tile)


def upscale(
    generator: nn.Module,
    lr: Tensor,
    tile: int | None = None,
    *,
    out: Tensor | None = None,
    self_ensemble: bool = False,
    amp: bool | None = False,
    on_tile: Callable[[int, int], Any] | None = None,
) -> Tensor:
    """Upscale a batch of images; the result does not depend on ``tile``.

    Only one window at a time is on the generator's device; ``lr`` and the result may be elsewhere.

    Args:
        generator: has ``scale`` and ``receptive_field`` (LR pixels that one output pixel sees to
            each side; None for a network that sees everything, which is not tiled).
        lr: (N, C, H, W), float in [0, 1], uint8 or uint16.
        tile: side of a tile in LR pixels; None chooses the largest that fits the memory.
        out: (N, C, scale·H, scale·W) to write into: float takes the values as they are, uint8 and
            uint16 are clamped and rounded. By default a new float32 tensor on ``lr``'s device.
        self_ensemble: average over the eight flips and rotations (Timofte et al., 2016), 8 × the
            time.
        amp: half precision where it is safe (float16 on CUDA, bfloat16 on a CPU); None leaves it to
            the autocast that surrounds the call.
        on_tile: called after each tile with (tiles done, tiles in all).

    Returns:
        (N, C, scale·H, scale·W), ``out`` where it was given. Floats are not clamped.

    Example:
        >>> from tmd.models import create_generator
        >>> generator = create_generator("srresnet", scale=2, channels=3, n_blocks=1, n_features=8)
        >>> upscale(generator, torch.rand(1, 3, 20, 30), tile=16).shape
        torch.Size([1, 3, 40, 60])
    """
    n, channels, height, width = lr.shape
    scale = _scale(generator)
    shape = (n, channels, scale * height, scale * width)
    if out is None:
        out = torch.empty(shape, dtype=torch.float32, device=lr.device)
    elif tuple(out.shape) != shape:
        raise ValueError(f"out has the shape {tuple(out.shape)}, the result {shape}")
    tile = tile_size(generator, lr, tile)
    total = count_tiles(height, width, tile)
    tiles = upscale_tiles(generator, lr, tile, self_ensemble=self_ensemble, amp=amp)
    for done, (top, left, sr) in enumerate(tiles, start=1):
        part = out[..., top : top + sr.shape[-2], left : left + sr.shape[-1]]
        part.copy_(to_levels(sr, out.dtype))
        if on_tile is not None:
            on_tile(done, total)
    return out


def super_resolve(
    generator: nn.Module, lr: Tensor, out: Tensor | None = None, *, at_once: int = AT_ONCE
) -> Tensor:
    """G(LR) for validation, previews and evaluation: whole where small, else in tiles.

    Unlike `upscale`'s, its tiles follow from the image and the network alone, never from the memory
    that happens to be free, so that a resumed run measures the same bits. No gradient is kept; the
    generator is in evaluation mode meanwhile, and every module of it in its own mode afterwards.
    Autocast is the caller's: call it inside of ``torch.autocast(...)`` for half precision.

    Args:
        generator: as for `upscale`; one whose ``receptive_field`` is None gets the image whole.
        lr: (N, C, H, W), float in [0, 1], uint8 or uint16.
        out: as for `upscale`; ``torch.empty(..., dtype=torch.uint8)`` takes the rounded 8 bits in a
            quarter of the memory.
        at_once: SR pixels of a batch that are computed at once.

    Returns:
        (N, C, scale·H, scale·W), float32 on ``lr``'s device and not clamped, or ``out``. The values
        are those of the whole image, but for the order in which a layer may take its sums.

    Example:
        >>> from tmd.models import create_generator
        >>> generator = create_generator("srresnet", scale=2, channels=3, n_blocks=1, n_features=8)
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     super_resolve(generator.train(), torch.rand(1, 3, 20, 30)).dtype
        torch.float32
        >>> generator.training
        True
    """
    return upscale(generator, lr, _fixed_tile(generator, lr, at_once), out=out, amp=None)


def _fixed_tile(generator: nn.Module, lr: Tensor, at_once: int) -> int:
    """Side of a tile whose window makes ``at_once`` SR pixels; the image's if they suffice."""
    overlap = _receptive_field(generator)
    side = max(lr.shape[-2:])
    pixels = at_once // (lr.shape[0] * _scale(generator) ** 2)
    if overlap is None or lr.shape[-2] * lr.shape[-1] <= pixels:
        return side
    return min(max(math.isqrt(pixels) - 2 * overlap, overlap, SMALLEST_TILE), side)


def upscale_tiles(
    generator: nn.Module,
    lr: Tensor,
    tile: int | None = None,
    *,
    self_ensemble: bool = False,
    amp: bool | None = False,
    kind: ImageKind | None = None,
    on_rule: Callable[[TileRule], Any] | None = None,
) -> Iterator[Tile]:
    """The pieces of `upscale`'s result, left to right and top to bottom, on the generator's device.

    For results that no memory holds: write each row of tiles away before asking for the next.

    Args:
        kind: of ``lr``, whose numbers it makes into those of the library; None: see `upscale`.
        on_rule: called with the rule of the tiles, and the seam found, where they are not exact.
    """
    height, width = lr.shape[-2:]
    scale = _scale(generator)
    tile = tile_size(generator, lr, tile)
    overlap, grid = _receptive_field(generator), grid_of(generator)

    def forward(window: Tensor) -> Tensor:
        return _forward(generator, window, self_ensemble, amp, kind)

    if overlap is not None or tile >= max(height, width):
        rows, columns = (windows(each, tile, overlap or 0, grid) for each in (height, width))
        yield from kept_tiles(lr, forward, scale, rows, columns)
        return
    rule, seams = chosen_rule(lr, forward, scale, tile, grid), Seams()
    rows, columns = (windows(each, tile, rule.overlap, grid) for each in (height, width))
    yield from blended_tiles(lr, forward, scale, rows, columns, seams)
    if on_rule is not None:
        on_rule(rule._replace(seam=seams.levels))


def upscale_bands(
    generator: nn.Module,
    lr: Tensor,
    tile: int | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    self_ensemble: bool = False,
    amp: bool | None = False,
    kind: ImageKind | None = None,
    on_tile: Callable[[int, int], Any] | None = None,
    on_rule: Callable[[TileRule], Any] | None = None,
) -> Iterator[Tensor]:
    """`upscale`'s result from top to bottom as bands (N, C, rows, scale·W) on the CPU.

    Args:
        dtype: float32, or uint8 or uint16 for clamped and rounded values.
        kind: of ``lr`` and of the result, in place of ``dtype``: the value range is undone.
        on_tile, on_rule: as for `upscale` and `upscale_tiles`.
    """
    dtype = dtype if kind is None else kind.torch_dtype
    n, channels, height, width = lr.shape
    scale = _scale(generator)
    tile = tile_size(generator, lr, tile)
    per_band, total = math.ceil(width / tile), count_tiles(height, width, tile)
    tiles = upscale_tiles(
        generator, lr, tile, self_ensemble=self_ensemble, amp=amp, kind=kind, on_rule=on_rule
    )
    band = torch.empty(0)
    for done, (_, left, sr) in enumerate(tiles, start=1):
        if left == 0:
            band = torch.empty((n, channels, sr.shape[-2], scale * width), dtype=dtype)
        numbers = to_levels(sr, dtype) if kind is None else kind.to_native(sr)
        band[..., left : left + sr.shape[-1]] = numbers
        if on_tile is not None:
            on_tile(done, total)
        if done % per_band == 0:
            yield band


def tile_size(generator: nn.Module, lr: Tensor, tile: int | None = None) -> int:
    """``tile`` checked, or the largest side in LR pixels whose window fits the memory.

    Raises:
        UserError: ``tile`` is too small for a generator that sees the whole image at once.
    """
    height, width = lr.shape[-2:]
    overlap = _receptive_field(generator)
    whole = max(height, width)
    least = least_tile(grid_of(generator))
    if tile is not None:
        check_number("tile", tile, minimum=1, integer=True)
        if overlap is None and tile < min(whole, least):
            raise UserError(
                f"tile={tile}: this generator sees the whole image at once, so that its tiles "
                f"overlap: must be at least {least}"
            )
        return min(tile, whole)
    pixels = memory_budget(generator) / (lr.shape[0] * bytes_per_pixel(generator))
    if height * width <= pixels:
        return whole
    # Tiles smaller than the context around them are almost all overlap.
    smallest = max(SMALLEST_TILE, overlap) if overlap is not None else least
    overlap = OVERLAPS[1] if overlap is None else overlap
    return min(max(int(math.sqrt(pixels)) - 2 * overlap, smallest), whole)


def memory_budget(generator: nn.Module) -> int:
    """Bytes that one window's feature maps may take on the generator's device."""
    device = _device(generator)
    if device.type == "cuda":
        return min(torch.cuda.mem_get_info(device)[0] // 2, DEFAULT_GPU_BUDGET)
    return min(_available_memory() // 4, DEFAULT_CPU_BUDGET)


def bytes_per_pixel(generator: nn.Module, side: int = 16) -> float:
    """Peak bytes of feature maps for one LR pixel, measured on a patch of ``side`` × ``side``.

    The largest sum of a layer's input, output and workspace of the output's size, beside one
    feature map at LR size that a skip connection holds.
    """
    peak = 0

    def measure(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal peak
        held = sum(x.nbytes for x in inputs if isinstance(x, Tensor))
        peak = max(peak, held + (2 * output.nbytes if isinstance(output, Tensor) else 0))

    hooks = [
        module.register_forward_hook(measure)
        for module in generator.modules()
        if not any(module.children())
    ]
    try:
        channels = int(getattr(generator, "channels", 3))  # type: ignore[arg-type]
        _forward(generator, torch.zeros(1, channels, side, side), self_ensemble=False, amp=False)
    finally:
        for hook in hooks:
            hook.remove()
    return max(peak, 1) / side**2


def _available_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 * DEFAULT_CPU_BUDGET


def _scale(generator: nn.Module) -> int:
    return int(generator.scale)  # type: ignore[arg-type]


def _receptive_field(generator: nn.Module) -> int | None:
    radius = getattr(generator, "receptive_field", None)
    return None if radius is None else int(radius)  # type: ignore[arg-type]


def _device(generator: nn.Module) -> torch.device:
    return next(chain(generator.parameters(), generator.buffers()), torch.empty(0)).device


@contextmanager
def _evaluating(generator: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every module's own mode again afterwards."""
    training = [module for module in generator.modules() if module.training]
    generator.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@torch.no_grad()
def _forward(
    generator: nn.Module,
    window: Tensor,
    self_ensemble: bool,
    amp: bool | None,
    kind: ImageKind | None = None,
) -> Tensor:
    device = _device(generator)
    if kind is None and window.dtype in HIGHEST_LEVEL:
        kind = ImageKind.of_dtype(window.shape[1], str(window.dtype).removeprefix("torch."))
    # float32 before the move: CUDA has no kernels for uint16.
    x = window.float().to(device) if kind is None else kind.to_float(window).to(device)
    with _evaluating(generator), _precision(device, amp):
        if not self_ensemble:
            return generator(x).float()
        return _self_ensemble(generator, x)


def _precision(device: torch.device, amp: bool | None) -> AbstractContextManager[Any]:
    if amp is None:
        return nullcontext()
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    return torch.autocast(device.type, dtype=half, enabled=amp)


def _self_ensemble(generator: nn.Module, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    # Turned by half, the grid of windows is to lie where it lay.
    x = padded(x, 1, grid_of(generator))
    total: Tensor | None = None
    for turns in range(4):
        for flip in (False, True):
            turned = torch.rot90(x, turns, (-2, -1))
            sr = generator(turned.flip(-1) if flip else turned).float()
            sr = torch.rot90(sr.flip(-1) if flip else sr, -turns, (-2, -1))
            total = sr if total is None else total.add_(sr)
    assert total is not None
    scale = _scale(generator)
    return total[..., : scale * height, : scale * width] / 8
