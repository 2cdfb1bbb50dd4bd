"""MNIST's digits, from its IDX files wherever they lie below the root."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tmd.data.downloading import fetching
from tmd.data.files import check_folders
from tmd.data.framing import Unusable
from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.data.sources import ArraySource
from tmd.errors import UserError

# torchvision's layout, the files alone, and both compressed or not.
FOLDERS = ("MNIST/raw", "raw", ".")
FILES = ("{}-images-idx3-ubyte", "{}-images.idx3-ubyte")


@DATASETS.register("mnist")
class Mnist(Dataset):
    """LeCun et al., 28×28 grey digits; validation images come from its test set.

    With only one of the two sets in the root, validation images are split off by the seed.
    """

    channels = 1
    # The largest side below 28 that 2, 3, 4 and 8 divide.
    patch_size = 24
    downloads = True
    of_any_numbers = False

    def check(self, request: Request, fit: Callable[[int, int], object]) -> None:
        """Raise `tmd.errors.UserError` unless digits are there, or will be downloaded."""
        if request.list_file is not None:
            raise UserError(f"dataset.list_file={request.list_file}: mnist's images have no names")
        if request.download:
            return
        check_folders(request.roots)
        source = self.pools(request).train
        try:
            fit(*source.size(0))
        except Unusable as problem:
            raise UserError(f"dataset: MNIST's images can't be used: {problem}") from None

    def pools(self, request: Request) -> Pools:
        """Find the IDX files."""
        if request.download:
            with fetching("mnist", request.roots[0]):
                from torchvision.datasets import MNIST as Fetched

                Fetched(request.roots[0], download=True)
        digits, test = (_images(request.roots, name) for name in ("train", "t10k"))
        if digits is None or test is None:
            only = test if digits is None else digits
            if only is None:
                raise UserError(
                    f"dataset.root={', '.join(request.roots)}: holds no MNIST files such as "
                    "train-images-idx3-ubyte; dataset.download=True fetches them"
                )
            label = "train" if test is None else "t10k"
            return Pools(ArraySource(only, request.kind, label), validation_count=100)
        return Pools(
            ArraySource(digits, request.kind, "train"),
            ArraySource(test, request.kind, "t10k"),
            validation_count=100,
        )


def _images(roots: Sequence[str], name: str) -> torch.Tensor | None:
    """(N, 28, 28), uint8, of all roots; None where no root has this set."""
    found = []
    for root in roots:
        candidates = (
            Path(root, folder, file.format(name) + suffix)
            for folder in FOLDERS
            for file in FILES
            for suffix in ("", ".gz")
        )
        path = next((path for path in candidates if path.is_file()), None)
        if path is not None:
            found.append(_read_idx(path))
    return torch.cat(found) if found else None


def _read_idx(path: Path) -> torch.Tensor:
    from torchvision.datasets.mnist import read_image_file

    try:
        if path.suffix != ".gz":
            return read_image_file(str(path))
        with tempfile.NamedTemporaryFile() as unpacked, gzip.open(path) as packed:
            shutil.copyfileobj(packed, unpacked)
            unpacked.flush()
            return read_image_file(unpacked.name)
    except (ValueError, TypeError, AssertionError, KeyError, EOFError, OSError) as problem:
        reason = str(problem) or "not an IDX file of images"
        raise UserError(f"{path}: broken ({reason})") from None
