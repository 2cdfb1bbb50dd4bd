"""Winograd's convolution on a CPU: 3 × 3 kernels by a quarter of the products (arXiv:1509.09308).

An output of 4 × 4 pixels takes 6 × 6 products for each pair of channels instead of 144: F(4×4, 3×3)
of section 4.3. The transforms between pixels and products are matrix products too; a hundred tiles
at a time pass through all of them while they are in a core's cache. A result differs from torch's
own by the rounding of float32: 2e-6 to 4e-6 of its norm, torch's by 4e-7 to 1e-6.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, nn

OUTPUT, TILE = 4, 6  # pixels of a side
#: Fewer channels (inputs, outputs, and both multiplied) leave too little to win over the cost of
#: the transforms, and so do fewer tiles, which share a weight's. 64 by 64 channels gained a tenth
#: at most, 128 by 128 a half, 512 by 512 came to twice the speed (AVX-512, one core).
MIN_CHANNELS = 64
MIN_PAIRS = 64 * 128
MIN_TILES = 64
MIN_TILES_KEPT = 16  # where the weight's transform is kept from call to call
MAX_WASTE = 1.25  # pixels that whole tiles may make up, over those there are
CHUNK = 128  # tiles that pass through the transforms together; at least a row of an image
LARGEST_SCRATCH = 1 << 24  # numbers that are kept for the next call

# Section 4.3: matrices of the image tile, the kernel and the output, for one dimension.
_IMAGE: list[list[float]] = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL: list[list[float]] = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_RESULT: list[list[float]] = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
#: The product that goes into each pixel of the output once.
EVERYWHERE = TILE + 1


def _both_dimensions(matrix: list[list[float]]) -> Tensor:
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one).float()


IMAGE, KERNEL, RESULT = (_both_dimensions(each) for each in (_IMAGE, _KERNEL, _RESULT))


def use_winograd(network: nn.Module) -> nn.Module:
    """``network``, whose suitable convolutions now go this way whenever their input suits it too.

    Parameters, their names and the network's type stay as they are. The transform of a weight that
    isn't trained is kept, four times the weight's size, and again for the way back.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and _suits(layer):
            layer._conv_forward = _Convolution(  # type: ignore[assignment]
                # To look at a weight with spectral normalisation would be to change its estimate.
                not any(parameter.requires_grad for parameter in layer.parameters())
            )
    return network


def _suits(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (3, 3)
        and layer.stride == layer.padding == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and min(layer.in_channels, layer.out_channels) >= MIN_CHANNELS
        and layer.in_channels * layer.out_channels >= MIN_PAIRS
    )


class _Convolution:
    """Stand-in for the function that `torch.nn.Conv2d` calls.

    Args:
        keeps: the weight's transforms, while it isn't trained and stays the same tensor. Not for
            networks that are trained and frozen in turn: torch's fused optimisers change a weight
            without a new version.
    """

    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self.seen: tuple[Tensor, int, int] | None = None
        self.kernels: dict[str, Tensor] = {}

    # Copies and pickles begin without what is kept.
    def __reduce__(self) -> tuple[type[_Convolution], tuple[bool]]:
        return _Convolution, (self.keeps,)

    def __call__(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if weight.requires_grad:
            self.keeps, self.kernels = False, {}
        kept = self.keeps and not weight.is_inference()
        if not _pays(images, weight, MIN_TILES_KEPT if kept else MIN_TILES):
            return nn.functional.conv2d(images, weight, bias, padding=1)
        kernel = back = None
        if kept:
            kernel = self._kept("kernel", weight)
            back = self._kept("back", weight) if images.requires_grad else None
        return _Winograd.apply(images, weight, bias, kernel, back)

    def _kept(self, which: str, weight: Tensor) -> Tensor:
        seen, now = self.seen, (weight.data_ptr(), weight._version)
        if seen is None or seen[0] is not weight or seen[1:] != now:
            self.seen, self.kernels = (weight, *now), {}
        if which not in self.kernels:
            with torch.inference_mode(False), torch.no_grad():
                self.kernels[which] = _transformed(
                    weight if which == "kernel" else _backwards(weight)
                )
        return self.kernels[which]


@cache
def leave_uncompiled() -> None:
    """Have `torch.compile` pass these convolutions by: what it makes of them is not faster.

    Not said where they are defined, as that would import all of the compiler, as long as torch.
    """
    _Convolution.__call__ = torch.compiler.disable(_Convolution.__call__)  # type: ignore[method-assign]


def _pays(images: Tensor, weight: Tensor, at_least: int) -> bool:
    count, _, height, width = images.shape
    tiles = count * -(-height // OUTPUT) * -(-width // OUTPUT)
    return (
        tiles >= at_least
        and tiles * OUTPUT**2 <= MAX_WASTE * count * height * width
        and images.device.type == "cpu"
        and images.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


class _Winograd(torch.autograd.Function):
    """The convolution; its weight's transform, and that of the way back, can be given."""

    @staticmethod
    def forward(ctx, images, weight, bias, kernel, kernel_back):  # type: ignore[override]
        ctx.save_for_backward(images if ctx.needs_input_grad[1] else None, weight)
        ctx.kernels = kernel_back, kernel
        return _convolve(images, _transformed(weight) if kernel is None else kernel, bias)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[override]
        images, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            _Winograd.apply(gradient, _backwards(weight), None, *ctx.kernels)
            if wanted[0]
            else None,
            _WeightGradient.apply(images, gradient) if wanted[1] else None,
            gradient.sum((0, 2, 3)) if wanted[2] else None,
            None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    """The gradient of a convolution's weight, for losses with gradients in them themselves."""

    @staticmethod
    def forward(ctx, images, gradient):  # type: ignore[override]
        ctx.save_for_backward(images, gradient)
        return _weight_gradient(images, gradient)

    @staticmethod
    def backward(ctx, weight):  # type: ignore[override]
        images, gradient = ctx.saved_tensors
        return (
            _Winograd.apply(gradient, _backwards(weight), None, None, None),
            _Winograd.apply(images, weight, None, None, None),
        )


def _backwards(weight: Tensor) -> Tensor:
    """Of the convolution that a gradient goes back through."""
    return weight.flip(2, 3).transpose(0, 1)


def _transformed(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) -> (36, C, K)."""
    outputs, inputs = weight.shape[:2]
    taps = weight.detach().permute(2, 3, 1, 0).reshape(9, -1)
    return (KERNEL @ taps).view(TILE * TILE, inputs, outputs)


class _Scratch(threading.local):
    """Memory that is used again: fresh memory costs more than the arithmetic done in it."""

    def __init__(self) -> None:
        self.blocks: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        size = torch.Size(shape).numel()
        if size > LARGEST_SCRATCH:
            return torch.empty(shape)
        block = self.blocks.get(name)
        if block is None or block.numel() < size:
            # A tensor made in inference mode can't be written to in training.
            with torch.inference_mode(False):
                block = self.blocks[name] = torch.empty(size)
        return block[:size].view(shape)


_scratch = _Scratch()
Index = tuple[slice, slice, slice, slice]


class _Tiles:
    """The overlapping 6 × 6 tiles of images (N, C, H, W), and the outputs they stand for."""

    def __init__(self, images: Tensor) -> None:
        self.count, self.channels, self.height, self.width = images.shape
        self.rows, self.columns = -(-self.height // OUTPUT), -(-self.width // OUTPUT)
        height, width = self.rows * OUTPUT + 2, self.columns * OUTPUT + 2
        padded = _scratch("padded", self.count, height, width, self.channels)
        padded[:, 0].zero_()
        padded[:, self.height + 1 :].zero_()
        padded[:, :, 0].zero_()
        padded[:, :, self.width + 1 :].zero_()
        padded[:, 1 : self.height + 1, 1 : self.width + 1] = images.permute(0, 2, 3, 1)
        image, row, column, _ = padded.stride()
        self.tiles = padded.as_strided(
            (TILE, TILE, self.count, self.rows, self.columns, self.channels),
            (row, column, image, OUTPUT * row, OUTPUT * column, 1),
        )

    def chunks(self) -> Iterator[Index]:
        """Indices of `tiles` that go together: whole images, or rows of one."""
        every = slice(None)
        of_image = self.rows * self.columns
        images = max(1, CHUNK // of_image)
        rows = self.rows if of_image <= CHUNK else max(1, CHUNK // self.columns)
        for image in range(0, self.count, images):
            for row in range(0, self.rows, rows):
                yield every, every, slice(image, image + images), slice(row, row + rows)

    def transformed(self, chunk: Index) -> Tensor:
        """(36, P, C) of a chunk's P tiles; overwritten by the next."""
        tiles = self.tiles[chunk]
        gathered = _scratch("gathered", *tiles.shape).copy_(tiles)
        into = _scratch("images", TILE * TILE, tiles[0, 0].numel())
        product = torch.mm(IMAGE, gathered.view(into.shape), out=into)
        return product.view(TILE * TILE, -1, self.channels)

    def outputs_in(self, images: Tensor) -> Tensor:
        """``images`` (N, H, W, K) if whole tiles make them up, else memory for those that do."""
        height, width = self.rows * OUTPUT, self.columns * OUTPUT
        if (height, width) == images.shape[1:3] and images.is_contiguous():
            return images
        return _scratch("whole", self.count, height, width, images.shape[-1])

    def outputs(self, images: Tensor) -> Tensor:
        """A view (4, 4, N, rows, columns, K) of (N, 4 · rows, 4 · columns, K)."""
        shape = (self.count, self.rows, OUTPUT, self.columns, OUTPUT, images.shape[-1])
        return images.view(shape).permute(2, 4, 0, 1, 3, 5)


def _convolve(images: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """(N, C, H, W) by the kernel (36, C, K) -> (N, K, H, W), channels last."""
    tiles, channels = _Tiles(images), kernel.shape[2]
    # In-place activations after it want a tensor of its own, not a view of one.
    result = torch.empty(
        (tiles.count, channels, tiles.height, tiles.width), memory_format=torch.channels_last
    )
    pixels_of = result.permute(0, 2, 3, 1)
    whole = tiles.outputs_in(pixels_of)
    places = tiles.outputs(whole)
    for chunk in tiles.chunks():
        factors = tiles.transformed(chunk)
        count = factors.shape[1]
        products = _scratch("products", TILE * TILE, count, channels)
        torch.bmm(factors, kernel, out=products)
        if bias is not None:
            products[EVERYWHERE].add_(bias)
        pixels = _scratch("pixels", OUTPUT * OUTPUT, count * channels)
        torch.mm(RESULT, products.view(TILE * TILE, -1), out=pixels)
        place = places[chunk]
        place.copy_(pixels.view(place.shape))
    if whole is not pixels_of:
        pixels_of.copy_(whole[:, : tiles.height, : tiles.width])
    return result


def _weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """(N, C, H, W) and (N, K, H, W) -> (K, C, 3, 3)."""
    tiles, outputs = _Tiles(images), gradient.shape[1]
    gradient = gradient.permute(0, 2, 3, 1)
    whole = tiles.outputs_in(gradient)
    if whole is not gradient:
        whole[:, tiles.height :].zero_()
        whole[:, :, tiles.width :].zero_()
        whole[:, : tiles.height, : tiles.width] = gradient
    places = tiles.outputs(whole)
    total = torch.zeros(TILE * TILE, tiles.channels, outputs)
    for chunk in tiles.chunks():
        factors = tiles.transformed(chunk)
        place = places[chunk]
        pixels = _scratch("pixels", *place.shape).copy_(place)
        products = _scratch("products", TILE * TILE, place[0, 0].numel())
        torch.mm(RESULT.T, pixels.view(OUTPUT * OUTPUT, -1), out=products)
        total.baddbmm_(factors.mT, products.view(TILE * TILE, -1, outputs))
    taps = (KERNEL.T @ total.view(TILE * TILE, -1)).view(3, 3, tiles.channels, outputs)
    return taps.permute(3, 2, 0, 1)
