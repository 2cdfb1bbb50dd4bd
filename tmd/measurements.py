"""Measurement operators: how LR images come from HR images.

A measurement is a list of operators from a config, applied one after the other. What is drawn at
random (a blur's width, the noise) is a pure function of (seed, stream, index of the batch), so that
a resumed run sees the measurements that the run never stopped would have seen.
"""

from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tmd.distributed import ALONE, Share
from tmd.errors import UserError, check_choice, check_number
from tmd.images import EIGHT_BITS, ImageKind, rounded_to, to_float, to_uint8
from tmd.registry import Registry
from tmd.resize import imresize
from tmd.seeding import generator

#: The spec of LR images that nothing here makes: they are given.
GIVEN = ({"name": "given"},)


def is_given(operators: Sequence[str | Mapping[str, Any]]) -> bool:
    """Return whether a list of operators says that LR is given.

    >>> is_given(["given"]), is_given(["bicubic"])
    (True, False)
    """
    return [_entry(operator) for operator in operators] == [*GIVEN]


class Draws:
    """Draws of an operator for one batch: for each purpose the same whenever it is asked.

    Where several processes share a batch, each gets the rows of its own images.

    Args:
        path: (seed, stream, index, ...) that everything is drawn from.
        share: which rows of the batch the operator has.
    """

    def __init__(self, path: tuple[Any, ...], share: Share) -> None:
        self.path = path
        self.share = share

    def uniform(self, purpose: str, ends: tuple[float, float], n: int) -> torch.Tensor:
        """One value for each of ``n`` images, between the ends: (N,), float64."""
        lowest, highest = ends
        total = n * self.share.count
        numbers = torch.rand(total, generator=self._generator(purpose), dtype=torch.float64)
        return lowest + (highest - lowest) * numbers[self.share.rows(total)]

    def normal(self, purpose: str, like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of the shape, device and type of ``like`` (N, ...)."""
        total = len(like) * self.share.count
        numbers = torch.randn(
            (total, *like.shape[1:]),
            generator=self._generator(purpose, like.device),
            device=like.device,
            dtype=like.dtype,
        )
        return numbers[self.share.rows(total)]

    def _generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        return generator(*self.path, purpose, device=device)


class Operator:
    """One step of a measurement: (N, C, H, W) in [0, 1] -> (N, C, H / reduction, W / reduction).

    Attributes:
        reduction: of the sides.
        is_identity: as it was built, it changes no image.
        photos_only: it takes grey and RGB images of 8 bits, and no others.
    """

    reduction = 1
    photos_only = False
    is_identity = False

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        raise NotImplementedError

    def precede(self, following: Operator) -> None:
        """Adapt to the operator that takes this one's result; most need not."""


MEASUREMENTS: Registry[Callable[..., Operator]] = Registry("measurement.operators")

Range = float | Sequence[float]


class Measurement:
    """HR -> LR as a list of operators says; made by `create_measurement`.

    Attributes:
        scale: the factor between HR and LR.
        spec: the list that makes the same measurement again, JSON-able.
        share: which rows of each batch it is given; see `of_share`.
    """

    def __init__(
        self, operators: Sequence[Operator], spec: list[dict], scale: int, seed: int, stream: str
    ) -> None:
        self.operators = list(operators)
        self.spec = spec
        self.scale = scale
        self.seed = seed
        self.stream = stream
        self.share = ALONE
        for operator, following in zip(self.operators, self.operators[1:], strict=False):
            operator.precede(following)

    def changes_nothing(self, kind: ImageKind) -> bool:
        """Return whether every image of that kind stays as it is."""

        def is_kept(operator: Operator) -> bool:
            if isinstance(operator, Quantize):
                return (operator.levels or math.inf) >= (kind.levels or math.inf)
            return operator.is_identity

        return all(map(is_kept, self.operators))

    def __call__(self, hr: torch.Tensor, index: int = 0) -> torch.Tensor:
        """Make the LR images of a batch.

        Args:
            hr: (N, C, H, W) in [0, 1], H and W multiples of the scale.
            index: the batch's number; random parameters depend on it alone.

        Returns:
            (N, C, H / scale, W / scale) in [0, 1]. Rounding to 8 bits lets the gradient through.
        """
        if hr.shape[-2] % self.scale or hr.shape[-1] % self.scale:
            raise ValueError(f"size {tuple(hr.shape[-2:])} is no multiple of scale {self.scale}")
        x = hr
        for position, operator in enumerate(self.operators):
            x = operator(x, Draws((self.seed, self.stream, index, position), self.share))
        return x

    def of_share(self, share: Share) -> Measurement:
        """The same, for batches of which only the rows of ``share`` are given."""
        other = copy.copy(self)
        other.share = share
        return other


def create_measurement(
    operators: Sequence[str | Mapping[str, Any]],
    scale: int,
    seed: int = 0,
    stream: str = "measurement",
    kind: ImageKind = EIGHT_BITS,
) -> Measurement:
    """Build a measurement from a config's list.

    Args:
        operators: names, or dicts with a ``name`` and options, in the order in which they act:
            ``["bicubic"]`` or ``[{"name": "blur", "sigma": [0.8, 1.6]}, "decimate",
            {"name": "noise", "sigma": 0.02}]``. Together they must reduce the size by ``scale``.
            Unless the list ends with a ``quantize`` of its own, rounding to the levels of
            ``kind`` is added.
        scale: factor between HR and LR.
        seed, stream: what the random parameters are drawn from, with the batch's index.
        kind: of the images.

    Raises:
        UserError: an operator or option that does not exist, a value out of range, a list that
            does not reduce by ``scale``, or an operator that such images can't be given to.

    Example:
        >>> measure = create_measurement(["bicubic", {"name": "noise", "sigma": 0.02}], scale=4)
        >>> measure(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3, 8, 8])
    """
    if isinstance(operators, (str, Mapping)) or not isinstance(operators, Sequence):
        raise UserError(f"measurement.operators={operators!r}: must be a list")
    spec = [_entry(operator) for operator in operators]
    if not any(entry["name"] == "quantize" for entry in spec):
        spec.append(_quantize(kind))
    if spec[-1]["name"] != "quantize":
        raise UserError("measurement.operators: quantize must be the last of the list")
    built = [_build(entry, scale) for entry in spec]
    for entry, operator in zip(spec, built, strict=True):
        if operator.photos_only and not (kind.is_eight_bit and kind.channels in (1, 3)):
            raise UserError(
                f"measurement.operators: {entry['name']} takes grey and RGB images of 8 bits; "
                f"these have {kind.channels} channels of {kind.dtype}"
            )
    reduction = int(np.prod([operator.reduction for operator in built]))
    if reduction != scale:
        raise UserError(
            f"measurement.operators: the list reduces the size by {reduction}, not by "
            f"scale={scale}; it must hold exactly one of bicubic, decimate"
        )
    return Measurement(built, spec, scale, seed, stream)


def _quantize(kind: ImageKind) -> dict[str, Any]:
    """Rounding to what a file of this kind can hold."""
    if kind.is_eight_bit:
        return {"name": "quantize"}
    if kind.levels == 65535:
        return {"name": "quantize", "bits": 16}
    if kind.levels is None:
        return {"name": "quantize", "bits": None}
    return {"name": "quantize", "levels": kind.levels}


def _entry(operator: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(operator, str):
        return {"name": operator}
    if not isinstance(operator, Mapping) or not isinstance(operator.get("name"), str):
        raise UserError(f"measurement.operators: {operator!r} is neither a name nor has one")
    return {
        key: list(value) if isinstance(value, (list, tuple)) else value
        for key, value in operator.items()
    }


def _build(entry: dict[str, Any], scale: int) -> Operator:
    name, options = entry["name"], {k: v for k, v in entry.items() if k != "name"}
    builder = MEASUREMENTS[name]
    allowed = [option for option in inspect.signature(builder).parameters if option != "scale"]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "nothing"
            raise UserError(f"measurement.operators: {name} takes {listed}, not {option!r}")
    return builder(scale=scale, **options)


@dataclass(frozen=True)
class MeasurementOptions:
    """Options of the operator that makes LR images.

    Attributes:
        operators: see `create_measurement`.
    """

    operators: Sequence[Any] = field(default_factory=lambda: ["bicubic"])

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


@MEASUREMENTS.register("bicubic")
class Bicubic(Operator):
    """MATLAB's antialiased bicubic, the field's standard measurement."""

    def __init__(self, scale: int) -> None:
        self.reduction = scale
        self.is_identity = scale == 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        height, width = x.shape[-2:]
        return imresize(x, (height // self.reduction, width // self.reduction))


@MEASUREMENTS.register("decimate")
class Decimate(Operator):
    """One pixel of each scale × scale block.

    The central one, or the one above left of the centre where the scale is even. A blur right
    before it is centred on the block, so that LR and HR stay aligned as they are for `Bicubic`.
    """

    def __init__(self, scale: int) -> None:
        self.reduction = scale
        self.is_identity = scale == 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        first = (self.reduction - 1) // 2
        return x[..., first :: self.reduction, first :: self.reduction]


@MEASUREMENTS.register("blur")
class Blur(Operator):
    """Gaussian or box blur with replicated borders.

    Args:
        kernel: ``gaussian`` or ``box``.
        sigma: Gaussian's standard deviation in HR pixels, or [lowest, highest] to draw it for each
            image.
        size: the box's side in HR pixels; by default the scale, which with ``decimate`` gives the
            mean of each block.
    """

    def __init__(
        self, scale: int, kernel: str = "gaussian", sigma: Range = 1.6, size: int | None = None
    ) -> None:
        check_choice("measurement blur kernel", kernel, ("gaussian", "box"))
        self.kernel = kernel
        self.sigma = _checked_range("measurement blur sigma", sigma, above=0, maximum=50)
        if kernel == "box" and size is None and scale == 1:
            raise UserError("measurement blur size=None: a box needs its size at scale=1, 3 say")
        self.size = scale if size is None else size
        check_number("measurement blur size", self.size, 1, 201, integer=True)
        self.is_identity = kernel == "box" and self.size == 1
        self.centre = 0.0

    def precede(self, following: Operator) -> None:
        if isinstance(following, Decimate):
            # Between two pixels, at the middle of a block with an even side.
            self.centre = (following.reduction - 1) / 2 % 1

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        taps, first = self._taps(len(x), draws)
        n, channels, height, width = x.shape
        size = taps.shape[1]
        before, after = -first, size - 1 + first
        weight = taps.to(x.device, x.dtype, non_blocking=True).repeat_interleave(channels, 0)
        planes = x.reshape(1, n * channels, height, width)
        planes = F.pad(planes, (before, after, before, after), mode="replicate")
        with torch.autocast(x.device.type, enabled=False):
            planes = F.conv2d(planes, weight[:, None, :, None], groups=n * channels)
            planes = F.conv2d(planes, weight[:, None, None, :], groups=n * channels)
        return planes.reshape(n, channels, height, width)

    def _taps(self, n: int, draws: Draws) -> tuple[torch.Tensor, int]:
        """One-dimensional kernels (N, K), and the place of their first tap from the pixel."""
        if self.kernel == "box":
            return torch.full((n, self.size), 1 / self.size), -((self.size - 1) // 2)
        sigma = draws.uniform("sigma", self.sigma, n)
        radius = int(np.ceil(3 * self.sigma[1]))
        place = torch.arange(-radius, radius + 2 * self.centre + 1, dtype=torch.float64)
        taps = torch.exp(-((place - self.centre) ** 2) / (2 * sigma[:, None] ** 2))
        return taps / taps.sum(1, keepdim=True), -radius


@MEASUREMENTS.register("noise")
class Noise(Operator):
    """Additive white Gaussian noise.

    Args:
        sigma: standard deviation in [0, 1] units (0.02 is 5 levels of 255), or [lowest, highest] to
            draw it for each image.
    """

    def __init__(self, scale: int, sigma: Range = 0.02) -> None:
        self.sigma = _checked_range("measurement noise sigma", sigma, minimum=0, maximum=1)
        self.is_identity = self.sigma[1] == 0

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        sigma = draws.uniform("sigma", self.sigma, len(x))[:, None, None, None]
        noise = draws.normal("noise", x)
        return x + noise * sigma.to(x.device, x.dtype, non_blocking=True)


@MEASUREMENTS.register("jpeg")
class Jpeg(Operator):
    """JPEG compression by the real codec; the gradient passes as if it were not there.

    The codec runs on the CPU, so that a batch on a GPU goes there and back.

    Args:
        quality: 1 to 100, or [lowest, highest] to draw it for each image.
    """

    photos_only = True

    def __init__(self, scale: int, quality: Range = (60, 95)) -> None:
        self.quality = _checked_range("measurement jpeg quality", quality, minimum=1, maximum=100)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        qualities = draws.uniform("quality", self.quality, len(x)).round().int().tolist()
        coded = [
            _through_jpeg(image, quality)
            for image, quality in zip(to_uint8(x).cpu(), qualities, strict=True)
        ]
        return _straight_through(x, to_float(torch.stack(coded)).to(x.device, x.dtype))


@MEASUREMENTS.register("quantize")
class Quantize(Operator):
    """Clamps to [0, 1] and rounds to the levels of a file; the gradient passes as if it did not.

    A generator whose results are measured again would get no gradient where they are out of range,
    and could not come back.

    Args:
        bits: 1 to 16; None only clamps.
        levels: the number of steps from 0 to 1, instead of ``bits``.
    """

    def __init__(self, scale: int, bits: int | None = 8, levels: float | None = None) -> None:
        if bits is not None:
            check_number("measurement quantize bits", bits, 1, 16, integer=True)
        if levels is not None:
            check_number("measurement quantize levels", levels, 1)
        self.levels = levels or (None if bits is None else 2**bits - 1)

    def __call__(self, x: torch.Tensor, draws: Draws) -> torch.Tensor:
        value = x.detach()
        value = value.clamp(0, 1) if self.levels is None else rounded_to(value, self.levels)
        return _straight_through(x, value)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return gradients[0], None


def _straight_through(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``value`` exactly, with the gradient of ``x``."""
    return _StraightThrough.apply(x, value) if x.requires_grad else value


def _through_jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    file = io.BytesIO()
    pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(file, format="JPEG", quality=quality)
    coded = torch.from_numpy(np.array(Image.open(file)))
    return coded[None] if len(image) == 1 else coded.permute(2, 0, 1)


def _checked_range(key: str, value: Any, **bounds: Any) -> tuple[float, float]:
    ends = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(ends) != 2:
        raise UserError(f"{key}={value!r}: must be a number or [lowest, highest]")
    for end in ends:
        check_number(key, end, **bounds)
    if ends[0] > ends[1]:
        raise UserError(f"{key}={value!r}: the first end must not be above the second")
    return ends
