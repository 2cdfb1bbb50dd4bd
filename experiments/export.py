"""Write a trained generator for other programs, and check what they make of it.

    python experiments/export.py with run=3 format=onnx

`onnx` and `torchscript` files take images of any size; `safetensors` holds the weights alone, and
so does `half`, in 16 bits; both can be loaded back with `checkpoint=`. All carry the architecture,
the scale and the measurement.

Exporting leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.support.experiment import Experiment
from experiments.support.trained import named_file, open_trained
from tmd.errors import UserError, check_choice, check_flag
from tmd.export import FORMATS, check_installed, describe, export_generator

ex = Experiment("export")
ex.recorded = False


@ex.config
def config():
    run = None  # whose best generator: 3, runs/3, mongodb://host/db#3
    checkpoint = None  # or a file, or a network that comes with the package: photos_x4
    weights = None  # the same as checkpoint; other people's files too: .pth, .safetensors
    format = "onnx"  # onnx, torchscript, safetensors, half
    output = None  # a file; None: generator_x4.onnx, say, in the current folder
    overwrite = False  # replace it where it is there


@ex.check
def check(format: str, output: Any, overwrite: bool) -> None:
    check_choice("format", format, FORMATS)
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
    run: Any, checkpoint: Any, weights: Any, format: str, output: str | None, overwrite: bool
) -> None:
    trained = open_trained(run, named_file(checkpoint, weights), ex.store, "cpu")
    generator = trained.generator
    path = Path(output or f"generator_x{generator.scale}{FORMATS[format].suffix}")
    exported = export_generator(generator, format, path, describe(trained.state), overwrite)
    print(
        f"{exported.path} ({path.stat().st_size / 1e6:.1f} MB) from {trained.name}: "
        f"{exported.runtime} gives our output to {exported.difference:.0e}"
    )


if __name__ == "__main__":
    ex.run_commandline()
