"""Writing a generator in a format, and comparing what its runtime makes of it with ours."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError, check_choice
from tmd.export.formats import FORMATS, PRECISIONS
from tmd.export.kinds import Format, How, Metadata, Run, channels_of, quiet
from tmd.export.preparing import plain_copy
from tmd.files import replacing_path
from tmd.models.contract import contract_of

OTHER_SIZES = ((1, 17, 40), (3, 40, 23), (1, 64, 64))
PHOTO_SIZE = (96, 128)
METADATA_KEYS = (
    "experiment",
    "iteration",
    "scale",
    "channels",
    "generator_config",
    "image_kind",
    "measurement",
)


@dataclass(frozen=True)
class Exported:
    """A file that was written and found right.

    Attributes:
        difference: the largest between our outputs, in [0, 1], and those of the file's runtime.
        psnr: of the runtime's output of a photo against ours, in dB; infinite where they are equal.
        allowed: the largest difference that is let through.
        note: a line to be said of it, or empty.
    """

    path: Path
    runtime: str
    difference: float
    psnr: float = math.inf
    allowed: float = 0.0
    note: str = ""


def describe(state: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an export, from a checkpoint's dict."""
    return {key: state[key] for key in METADATA_KEYS if key in state}


def export_generator(
    generator: nn.Module,
    format: str,
    path: str | os.PathLike[str],
    metadata: Metadata,
    overwrite: bool = False,
    precision: str = "float32",
    size: tuple[int, int] | None = None,
) -> Exported:
    """Write a generator for another program and compare what that makes of it with ours.

    Files of graphs take (N, C, H, W) float32 in [0, 1], ``lr``, and give ``sr``; ncnn's take
    ``data`` and give ``output``.

    Args:
        generator: made by `tmd.models.create_generator`.
        format: a name in `FORMATS`: ``onnx``, ``torchscript``, ``openvino``, ``ncnn``; the weights
            alone: ``safetensors``; ``pth``, by the field's names; ``half``, a checkpoint of ours
            with nothing but the weights, in 16 bits.
        metadata: `describe` of its checkpoint.
        overwrite: replace an existing file instead of refusing.
        precision: ``float16`` for weights of 16 bits and, of ONNX, arithmetic.
        size: height and width of the only image it takes, one at a time; None: any.

    Raises:
        UserError: an unknown format, a library that is missing, a file that exists, what the format
            can't hold, or a result that is off by more than is let through; then nothing is
            written.
    """
    check_choice("format", format, FORMATS)
    check_choice("precision", precision, PRECISIONS)
    kind, path, how = FORMATS[format], Path(path), How(precision, size)
    if how.is_half and kind.half_tolerance is None:
        has = [name for name, each in FORMATS.items() if each.half_tolerance is not None]
        raise UserError(f"format={format}: has no precision=float16; {', '.join(has)} have")
    if size is not None and not kind.fixed:
        raise UserError(f"format={format}: is for any size; leave size out")
    check_installed(format)
    if problem := kind.refuse(generator):
        raise UserError(f"format={format}: {problem}")
    if kind.companions and path.suffix != kind.suffix:
        raise UserError(f"{path}: must end in {kind.suffix}; its weights are written beside it")
    companions = [path.with_suffix(suffix) for suffix in kind.companions]
    for each in (path, *companions):
        if each.exists() and not overwrite:
            raise UserError(f"{each}: exists; overwrite=True replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    ours = plain_copy(generator)
    with replacing_path(path, companions=kind.companions) as temporary, quiet(), torch.no_grad():
        _write(format, kind, ours, metadata, temporary, how)
        return _checked(format, kind, ours, temporary, path, how)


def _write(
    format: str, kind: Format, ours: nn.Module, metadata: Metadata, path: Path, how: How
) -> None:
    try:
        kind.write(ours, metadata, path, how)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as problem:  # exporters raise anything on what they have no rule for
        raise UserError(
            f"format={format}: its exporter has no rule for this {_name(ours)} ({_line(problem)})"
            f"{_way_out(kind, how)}"
        ) from None


def _checked(
    format: str, kind: Format, ours: nn.Module, written: Path, path: Path, how: How
) -> Exported:
    """Comparison of a file that was written with ours.

    Raises:
        UserError: it is off by more than is let through.
    """
    allowed = kind.half_tolerance if how.is_half else kind.tolerance
    assert allowed is not None
    try:
        runs = [run for run in (kind.load(written), kind.second(written, ours)) if run is not None]
        inputs = [photo(channels_of(ours), how.size), *noise(ours, how.size)]
        if not kind.fixed:
            inputs = [_on_grid(lr, ours) for lr in inputs]
        # Some programs write into what they are given.
        outputs = [(ours(lr.clone()), [run(lr.clone()) for run in runs]) for lr in inputs]
        wrong = kind.misunderstood(written, ours)
    except (OSError, MemoryError):
        raise
    except Exception as problem:  # a runtime that can't run it on another size, say
        raise UserError(
            f"format={format}: {kind.runtime} can't run what was made of this {_name(ours)} "
            f"({_line(problem)}){_way_out(kind, how)}; nothing was written"
        ) from None
    difference = max(_difference(sr, theirs) for sr, theirs in outputs)
    if wrong or not difference <= allowed:
        off = "gives another size" if math.isinf(difference) else f"is off by {difference:.1e}"
        told = wrong or f"{off}, more than {allowed:.0e}"
        raise UserError(
            f"format={format}: {kind.runtime} {told}{_way_out(kind, how)}; nothing was written"
        )
    sr, theirs = outputs[0]
    psnr = min(_psnr(sr, each) for each in theirs)
    note = kind.note(written, ours)
    return Exported(path, kind.runtime, difference, psnr, allowed, note)


def _on_grid(lr: Tensor, generator: nn.Module) -> Tensor:
    """An image enlarged to a size that the network's windows need no padding for."""
    contract = contract_of(generator)
    height, width = (
        -(-max(side, contract.minimum_size) // contract.multiple) * contract.multiple
        for side in lr.shape[-2:]
    )
    return lr.repeat(1, 1, -(-height // lr.shape[2]), -(-width // lr.shape[3]))[
        ..., :height, :width
    ]


def _way_out(kind: Format, how: How) -> str:
    if not kind.fixed or how.size is not None:
        return ""
    return "; size=[64,64] makes a file for images of that size alone"


def _name(generator: nn.Module) -> str:
    return str(generator.config["name"])  # type: ignore[index]


def _line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[0] if lines else type(problem).__name__)[:160]


def check_installed(format: str) -> None:
    """Raise `UserError` if a library that ``format`` needs is missing."""
    kind = FORMATS[format]
    for module in kind.modules:
        try:
            importlib.import_module(module)
        except ImportError:
            raise UserError(
                f"format={format}: needs {module}; pip install -e '.[{kind.extra}]' brings it"
            ) from None


def largest_difference(generator: nn.Module, other: Run, sizes: Any = OTHER_SIZES) -> float:
    """The largest difference of two generators' outputs on noise of each (N, H, W)."""
    inputs = noise(generator, None, sizes)
    return max(_difference(generator(lr), [other(lr)]) for lr in inputs)


def _difference(sr: Tensor, others: Sequence[Tensor]) -> float:
    if any(other.shape != sr.shape for other in others):
        return math.inf
    worst = torch.stack([(sr - other).abs().max() for other in others]).max().item()
    return worst if worst == worst else math.inf


def _psnr(sr: Tensor, other: Tensor) -> float:
    error = (sr.clamp(0, 1) - other.clamp(0, 1)).double().square().mean().item()
    return -10 * math.log10(error) if error else math.inf


def noise(
    generator: nn.Module, size: tuple[int, int] | None, sizes: Any = OTHER_SIZES
) -> list[Tensor]:
    """Images of noise, of each (N, H, W), or one of ``size``."""
    draws = torch.Generator().manual_seed(0)
    channels = channels_of(generator)
    shapes = sizes if size is None else [(1, *size)]
    return [torch.rand((n, channels, h, w), generator=draws) for n, h, w in shapes]


def photo(channels: int, size: tuple[int, int] | None) -> Tensor:
    """A part of scikit-image's astronaut, (1, C, H, W) in [0, 1].

    Grey is its luma; more bands than three are its colours again.
    """
    from skimage import data

    height, width = size or PHOTO_SIZE
    rows = torch.arange(height) % 512
    columns = (torch.arange(width) + 160) % 512
    rgb = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[:, rows][:, :, columns] / 255
    if channels == 1:
        return (rgb * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)[None, None]
    return rgb[torch.arange(channels) % 3][None]
