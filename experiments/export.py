"""Write a trained generator for other programs, and check what they make of it.

    python experiments/export.py with run=3 format=onnx

`onnx`, `torchscript`, `openvino` and `ncnn` files hold the network's arithmetic, for images of any
size or, with `size=[64,64]`, of one; the weights alone are in `safetensors` and, in the container
and by the names that other programs know, in `pth`; `half` is a checkpoint of ours in 16 bits. Each
is run by its own runtime before it is believed: the largest difference from our output and the PSNR
on a photo are said, and beyond a bound nothing is written. `precision=float16` halves a file.

Beside the file lie its card (`.md`) and manifest (`.json`): data, licence, command, config, commit,
figures with intervals by the evaluations that the store has, limits, the file's SHA-256;
`card=False` leaves them out. `check` compares a file, or those of a folder, with their manifests.

    python experiments/export.py check with checkpoint=generator_x4.onnx

Exporting leaves no record, unless `-F DIR` or `-m URL` asks for one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from experiments.support.carding import known_of, listed_limits, manifest_of, unknown
from experiments.support.experiment import Experiment
from experiments.support.inputs import check_place
from experiments.support.trained import named_file, network_file, open_trained
from tmd import __version__
from tmd.errors import UserError, check_choice, check_flag, check_number, printable
from tmd.export import FORMATS, PRECISIONS, check_installed, describe, export_generator
from tmd.export.cards import CARD, write_card
from tmd.export.manifests import MANIFEST, beside, check_files, described_in

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
    card = True  # write card and manifest beside it
    licence = None  # of the weights, for the card: MIT, CC-BY-4.0, ...
    data_licence = None  # of the images that were learnt from, for the card
    limits = None  # for the card: a sentence on what fails, or a list of them


@ex.check
def check_keys(
    format: str,
    precision: str,
    size: Any,
    output: Any,
    overwrite: bool,
    card: bool,
    licence: Any,
    data_licence: Any,
    limits: Any,
) -> None:
    check_flag("card", card)
    for key, value in (("licence", licence), ("data_licence", data_licence)):
        if value is not None and (not isinstance(value, str) or not value.isprintable()):
            raise UserError(f"{key}={value!r}: must be a licence's name in a line, like CC-BY-4.0")
    listed_limits(limits)
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
    if output is not None:
        check_place("output", output)
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
    card: bool,
    licence: str | None,
    data_licence: str | None,
    limits: Any,
) -> None:
    trained = open_trained(run, named_file(checkpoint, weights), ex.store, "cpu")
    generator = trained.generator
    path = Path(output or f"generator_x{generator.scale}{FORMATS[format].suffix}")
    sides = None if size is None else (size[0], size[1])
    _check_described(path, card, overwrite)
    content: dict[str, Any] = {}
    if card:
        found, known = known_of(trained.file)
        content = manifest_of(
            trained,
            trained.record or found,
            ex.store,
            licence=licence,
            data_licence=data_licence,
            limits=listed_limits(limits),
            known=known,
        )
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
    if card:
        how = {"format": format, "precision": precision, "difference": exported.difference}
        written = write_card(content, files, {**how, "tmd": __version__})
        print(f"card and manifest: {' and '.join(map(str, written[::-1]))}")
        for line in unknown(content, ex.store):
            print(line)


def _check_described(path: Path, card: bool, overwrite: bool) -> None:
    """Raise `UserError` for a card that lies there, where it is not to be replaced by another."""
    for each in (beside(path, MANIFEST), beside(path, CARD)):
        if not each.exists():
            continue
        if not card:
            raise UserError(f"card=False: {each} is there, of another {path.name}; delete it")
        if not overwrite:
            raise UserError(f"{each}: exists; overwrite=True replaces it")


@ex.command
def check(checkpoint: Any, weights: Any) -> None:
    """A file compared with the manifest beside it; a folder: all that have one."""
    named = named_file(checkpoint, weights)
    if named is None:
        raise UserError("export check: give the file that an export wrote, or a folder of them")
    path = Path(str(named)).expanduser()
    if path.is_dir():
        suffixes = {kind.suffix for kind in FORMATS.values()} | {".pt"}
        files = described_in(path, suffixes)
        for each in sorted(path.iterdir()):
            if each.suffix in suffixes and each not in files:
                print(f"{printable(each.name)}: has no manifest beside it, and is not checked")
    else:
        files = [network_file(named) or path]
    problems = []
    for file in files:
        try:
            for name, digest in check_files(file).items():
                print(f"{printable(name)}: is the file of its manifest, sha256 {digest}")
        except UserError as problem:
            problems.append(str(problem))
    if problems:
        raise UserError("; ".join(problems))


if __name__ == "__main__":
    ex.run_commandline()
