"""Write a trained generator for other programs, and check what they make of it.

    python experiments/export.py with run=3 format=onnx

`onnx`, `torchscript`, `openvino` and `ncnn` files hold the network's arithmetic, for images of any
size or, with `size=[64,64]`, of one; the weights alone are in `safetensors` and, in the container
and by the names that other programs know, in `pth`; `half` is a checkpoint of ours in 16 bits. Each
is run by its own runtime before it is believed: the largest difference from our output and the PSNR
on a photo are said, and beyond a bound nothing is written. `precision=float16` halves a file.

Exporting leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from experiments.support.experiment import Experiment
from experiments.support.trained import named_file, open_trained
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.export import FORMATS, PRECISIONS, check_installed, describe, export_generator

ex = Experiment("export")
ex.recorded = False


@ex.config
def config():
    run = None  # whose best generator: 3, runs/3, mongodb://host/db#3
    checkpoint = None  # or a file, or a network that comes with the package: photos_x4
    weights = None  # the same as checkpoint; other people's files too: .pth, .safetensors
    format = "onnx"  # onnx, torchscript, openvino, ncnn, safetensors, pth, half
    precision = "float32"  # float16: weights of 16 bits and, of onnx, arithmetic
    size = None  # height and width of the only image it takes, [64, 64] say; None: any
    output = None  # a file; None: generator_x4.onnx, say, in the current folder
    overwrite = False  # replace it where it is there


@ex.check
def check(format: str, precision: str, size: Any, output: Any, overwrite: bool) -> None:
    check_choice("format", format, FORMATS)
    check_choice("precision", precision, PRECISIONS)
    if size is not None:
        if not isinstance(size, (list, tuple)) or len(size) != 2:
            raise UserError(f"size={size!r}: must be a height and a width, like [64, 64]")
        for side in size:
            check_number("size", side, 2, integer=True)
    check_flag("overwrite", overwrite)
    check_installed(format)
    if output is not None and (not isinstance(output, str) or Path(output).is_dir()):
        raise UserError(f"output={output!r}: must be a file")
    _check_ending(Path(output or "").suffix.lower(), format)


def _check_ending(ending: str, format: str) -> None:
    """Raise `UserError` for a file that would be taken for one of another format."""
    if (format, ending) == ("torchscript", ".pt"):  # torch's own tutorials name it so
        return
    for other, kind in FORMATS.items():
        if ending == kind.suffix != FORMATS[format].suffix:
            raise UserError(
                f"output: ends in {ending}, and format={format}, whose files end in "
                f"{FORMATS[format].suffix}; format={other} writes {ending}"
            )


@ex.main
def export(
    run: Any,
    checkpoint: Any,
    weights: Any,
    format: str,
    precision: str,
    size: Any,
    output: str | None,
    overwrite: bool,
) -> None:
    trained = open_trained(run, named_file(checkpoint, weights), ex.store, "cpu")
    generator = trained.generator
    path = Path(output or f"generator_x{generator.scale}{FORMATS[format].suffix}")
    sides = None if size is None else (size[0], size[1])
    metadata = describe(trained.state)
    exported = export_generator(generator, format, path, metadata, overwrite, precision, sides)
    files = [path, *(path.with_suffix(suffix) for suffix in FORMATS[format].companions)]
    size_text = f"{sum(each.stat().st_size for each in files) / 1e6:.1f} MB"
    photo = "the same pixels" if exported.psnr == math.inf else f"{exported.psnr:.1f} dB"
    print(
        f"{' and '.join(map(str, files))} ({size_text}) from {trained.name}: {exported.runtime} "
        f"gives our output to {exported.difference:.0e}, {photo} on a photo (beyond "
        f"{exported.allowed:.0e} nothing is written)"
    )
    if exported.note:
        print(exported.note)


if __name__ == "__main__":
    ex.run_commandline()
