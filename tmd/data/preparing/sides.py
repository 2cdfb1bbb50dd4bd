"""Images that are cut into tiles: of one set, or HR and LR of pairs at the same places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tmd.data.files import find_files
from tmd.data.numbers import settled
from tmd.data.options import DatasetOptions
from tmd.data.pairing import pair_up
from tmd.data.prepared import HR, IMAGES, LR
from tmd.data.preparing.options import PrepareOptions
from tmd.data.sources import ImageSource
from tmd.errors import UserError
from tmd.images import ImageKind


class Side(NamedTuple):
    """Images of equal numbers as those of other sides.

    Attributes:
        folder: name of the folder of its tiles.
        source: the images.
        factor: what places and sizes of HR are divided by.
    """

    folder: str
    source: ImageSource
    factor: int = 1


def find_sides(
    roots: Sequence[str], lr_roots: Any, kind: ImageKind, options: PrepareOptions
) -> list[Side]:
    """The images of ``roots``, and of pairs those that belong to them, in order.

    Raises:
        UserError: all that is wrong with the pairs.
    """
    if lr_roots is None:
        return [Side(IMAGES, find_files(roots, kind, key="input"))]
    chosen = DatasetOptions(
        "folder",
        list(roots),
        channels=kind.channels,
        bands=None if kind.bands is None else list(kind.bands),
        dtype=kind.dtype,
        lr_root=lr_roots,
    )
    try:
        chosen = settled(chosen)
        pairing = pair_up(chosen, options.scale)
    except UserError as problem:
        said = str(problem).replace("dataset.lr_root", "lr_input").replace("dataset.root", "input")
        raise UserError(said) from None
    lr, hr = pairing.sides(chosen.kind.pools(chosen.request).train)
    return [Side(HR, hr), Side(LR, lr, options.scale)]
