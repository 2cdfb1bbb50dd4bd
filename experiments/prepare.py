"""Make tiles of photos, in files or tar shards, that trainings read as fast as they can.

    python experiments/prepare.py with input=photos/ output=prepared/
    python experiments/prepare.py with input=photos/ output=prepared/ shards=True
    python experiments/prepare.py with input=HR/ lr_input=LR/ scale=4 output=prepared/
    python experiments/srgan.py with dataset.root=prepared/

A tile is read in part, without being decoded, where a photo is decoded whole for each crop. What a
training holds out, it holds out by photo: tiles of one photo are never on both sides. Stopped at
any time, it goes on where it was when the same is typed again.

`photos.csv` in the output says of each photo what became of it, and `manifest.json` from what, by
what and how all was made. Preparing leaves no record of a run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from experiments.support.experiment import Experiment
from experiments.support.inputs import check_folder, several
from tmd.data.prepared import HR, LR
from tmd.data.preparing import PrepareOptions, Report, prepare
from tmd.errors import UserError, check_flag, printable
from tmd.images import set_max_pixels

ex = Experiment("prepare")
ex.recorded = False


@ex.config
def config():
    input = None  # a folder of photos, or a list of folders
    lr_input = None  # of pairs: a folder of LR, or one for each of input
    scale = None  # of pairs: between HR and LR
    output = "prepared"  # the folder that dataset.root takes afterwards
    tile = 512  # side of a tile in pixels; a smaller photo is one tile
    overlap = 96  # pixels shared with the next tile; a patch of that side lies whole in a tile
    format = "npy"  # npy: uncompressed, read in parts; png: for other programs
    shards = False  # True: tars, as WebDataset lays them out, instead of a file a tile
    shard_size = 500  # of a tar, in megabytes
    channels = None  # 3, 1; None: 3 for photos of 8 bits, all bands of others
    bands = None  # of each file, from 1: [3, 2, 1]; None: all
    min_side = 96  # photos with a shorter side are left out
    min_sharpness = 0  # blurred photos are left out: variance of the Laplacian; 100 say; 0: none
    min_detail = 0  # flat tiles are left out: standard deviation of luma in levels; 5 say; 0: none
    duplicates = "keep"  # exact: equal files are left out; near: what looks like a larger photo too
    overwrite = False  # replace another prepared set that is there
    max_pixels = None  # the most that an image may have to be read; None: 89 million


@ex.capture
def options(
    tile: int,
    overlap: int,
    format: str,
    shards: bool,
    shard_size: float,
    min_side: int,
    min_sharpness: float,
    min_detail: float,
    duplicates: str,
    channels: int | None,
    bands: Any,
    scale: int | None,
) -> PrepareOptions:
    """Options of the config."""
    chosen = None if bands is None else several(bands)
    return PrepareOptions(
        tile,
        overlap,
        format,
        shards,
        shard_size,
        min_side,
        min_sharpness,
        min_detail,
        duplicates,
        channels,
        chosen,
        1 if scale is None else scale,
    )


@ex.check
def check(
    input: Any,
    lr_input: Any,
    scale: int | None,
    duplicates: str,
    output: Any,
    overwrite: bool,
    max_pixels: int | None,
) -> None:
    if not several(input):
        raise UserError("input=None: give a folder of photos, input=photos/ say")
    if (lr_input is None) != (scale is None):
        raise UserError("lr_input=FOLDER and scale=4, say, go together: give both or none")
    if lr_input is not None and duplicates != "keep":
        raise UserError(f"duplicates={duplicates}: of pairs they are kept; must be keep")
    if not isinstance(output, str) or not output:
        raise UserError(f"output={output!r}: must be a folder")
    check_folder("output", output)
    check_flag("overwrite", overwrite)
    set_max_pixels(max_pixels)
    options().check()


@ex.main
def main(input: Any, lr_input: Any, output: str, overwrite: bool) -> dict[str, Any]:
    """Write the tiles and say what was left out."""
    roots = [str(Path(str(root)).expanduser()) for root in several(input)]
    report = prepare(
        roots, output, options(), command=" ".join(sys.argv), lr_roots=lr_input, overwrite=overwrite
    )
    print_report(report, output, lr_input is not None)
    return {"photos": report.photos, "tiles": report.tiles, "bytes": report.bytes}


def print_report(report: Report, output: str, pairs: bool) -> None:
    """Say what was made, what was left out and what takes it."""
    was = "was there: " if report.was_there else ""
    print(
        f"{was}{counted(report.tiles, 'tile')} of {counted(report.photos, 'photo')}, "
        f"{report.bytes / 1e6:,.0f} MB: {printable(output)}"
    )
    for reason, (count, name) in report.left_out.items():
        more = f" and {count - 1} more" if count > 1 else ""
        print(printable(f"left out: {counted(count, 'photo')}, {reason}: {name}{more}"))
    if report.flat:
        print(f"left out: {counted(report.flat, 'tile')} without detail")
    print(f"all photos: {printable(Path(output) / 'photos.csv')}")
    words = f"with dataset.root={output}/{HR} dataset.lr_root={output}/{LR}" if pairs else output
    print(f"train:      tmd srgan {printable(words)}")


def counted(number: int, noun: str) -> str:
    """Number and noun, ``1,000 tiles``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    ex.run_commandline()
