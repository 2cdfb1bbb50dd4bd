"""Generators for other programs: ONNX, TorchScript, and the weights alone: safetensors, or half.

Each file carries the architecture, the scale and the measurement as metadata, and is believed only
after its own runtime has given our output, on sizes it was not made with.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tmd.acceleration.speed import with_torchs_convolutions
from tmd.checkpoints import load_generator, save_checkpoint
from tmd.checkpoints.safetensors import read_safetensors, write_safetensors
from tmd.errors import UserError, check_choice
from tmd.files import replacing_path

TOLERANCE = 1e-4
# Half a level of 8 bits.
HALF_TOLERANCE = 0.5 / 255
EXAMPLE_SIZE = (1, 24, 32)
OTHER_SIZES = ((1, 17, 40), (3, 40, 23), (1, 64, 64))
METADATA_KEYS = (
    "experiment",
    "iteration",
    "scale",
    "channels",
    "generator_config",
    "image_kind",
    "measurement",
)
METADATA_FILE = "tmd.json"

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """Kind of file: its writer, and the runtime that what was written is run by.

    Attributes:
        suffix: of its files.
        runtime: what runs it.
        modules: what must be installed.
        write: (generator, metadata, path).
        load: path -> function of (N, C, H, W).
        tolerance: how far from our output it may be.
    """

    suffix: str
    runtime: str
    modules: tuple[str, ...]
    write: Callable[[nn.Module, Metadata, Path], None]
    load: Callable[[Path], Callable[[Tensor], Tensor]]
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class Exported:
    """A file that was written and found right.

    Attributes:
        difference: the largest between our outputs, in [0, 1], and those of the file's runtime.
    """

    path: Path
    runtime: str
    difference: float


def describe(state: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an export, from a checkpoint's dict."""
    return {key: state[key] for key in METADATA_KEYS if key in state}


def export_generator(
    generator: nn.Module,
    format: str,
    path: str | os.PathLike[str],
    metadata: Metadata,
    overwrite: bool = False,
) -> Exported:
    """Write a generator for another runtime and compare what that makes of it with ours.

    The file takes (N, C, H, W) float32 of any N, H and W, in [0, 1]: ``lr``; it gives ``sr``.

    Args:
        generator: made by `tmd.models.create_generator`.
        format: ``onnx``, ``torchscript``, ``safetensors``, or ``half``: a checkpoint of ours with
            nothing but the weights, in 16 bits.
        metadata: `describe` of its checkpoint.
        overwrite: replace an existing file instead of refusing.

    Raises:
        UserError: an unknown format, a library that is missing, a file that exists, or a result
            that is off by more than the format's tolerance; then nothing is written.
    """
    check_choice("format", format, FORMATS)
    kind = FORMATS[format]
    path = Path(path)
    check_installed(format)
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; overwrite=True replaces it")
    ours = with_torchs_convolutions(copy.deepcopy(generator)).cpu().eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_path(path) as temporary:
        with _quiet(), torch.no_grad():
            kind.write(ours, metadata, temporary)
            difference = largest_difference(ours, kind.load(temporary))
        if not difference <= kind.tolerance:
            raise UserError(
                f"format={format}: {kind.runtime} is off by {difference:.1e}, more than "
                f"{kind.tolerance:.0e}; nothing was written"
            )
    return Exported(path, kind.runtime, difference)


def check_installed(format: str) -> None:
    """Raise `UserError` if a library that ``format`` needs is missing."""
    for module in FORMATS[format].modules:
        try:
            importlib.import_module(module)
        except ImportError:
            raise UserError(
                f"format={format}: needs {module}; pip install -e '.[export]' brings it"
            ) from None


def largest_difference(
    generator: nn.Module, other: Callable[[Tensor], Tensor], sizes: Any = OTHER_SIZES
) -> float:
    """The largest difference of two generators' outputs on noise of each (N, H, W)."""
    draws = torch.Generator().manual_seed(0)
    channels = int(generator.channels)  # type: ignore[arg-type]
    worst = 0.0
    for n, height, width in sizes:
        lr = torch.rand((n, channels, height, width), generator=draws)
        ours, theirs = generator(lr), other(lr)
        if ours.shape != theirs.shape:
            return float("inf")
        worst = max(worst, (ours - theirs).abs().max().item())
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' notes on their own future."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


def _example(generator: nn.Module) -> Tensor:
    n, height, width = EXAMPLE_SIZE
    return torch.rand(n, int(generator.channels), height, width)  # type: ignore[arg-type]


def _write_onnx(generator: nn.Module, metadata: Metadata, path: Path) -> None:
    import onnx

    program = torch.onnx.export(
        generator,
        (_example(generator),),
        dynamo=True,
        verbose=False,
        input_names=["lr"],
        output_names=["sr"],
        dynamic_shapes=({0: "n", 2: "height", 3: "width"},),
    )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda lr: torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])


def _write_torchscript(generator: nn.Module, metadata: Metadata, path: Path) -> None:
    traced = torch.jit.trace(generator, _example(generator), check_trace=False)
    torch.jit.save(traced, path, _extra_files={METADATA_FILE: json.dumps(dict(metadata))})


def _load_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.jit.load(path)


def _load_safetensors(path: Path) -> Callable[[Tensor], Tensor]:
    return load_generator(read_safetensors(path))


def _write_half(generator: nn.Module, metadata: Metadata, path: Path) -> None:
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in generator.state_dict().items()
    }
    save_checkpoint(path, {**metadata, "ema": None, "generator": weights})


FORMATS = {
    "onnx": Format(
        ".onnx",
        "onnxruntime",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_onnx,
        _load_onnx,
    ),
    "torchscript": Format(".torchscript", "libtorch", (), _write_torchscript, _load_torchscript),
    "safetensors": Format(
        ".safetensors", "PyTorch", ("safetensors",), write_safetensors, _load_safetensors
    ),
    "half": Format(".pt", "PyTorch", (), _write_half, load_generator, HALF_TOLERANCE),
}
