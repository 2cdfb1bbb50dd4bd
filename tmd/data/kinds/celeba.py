"""CelebA's aligned faces: with its official partition, or as a plain folder of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tmd.data.downloading import fetching
from tmd.data.files import check_files, find_files, find_near, named
from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.errors import UserError

PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv")


@DATASETS.register("celeba")
class CelebA(Dataset):
    """Liu et al., *Deep Learning Face Attributes in the Wild* (ICCV 2015).

    Where the partition file (the original's, which torchvision downloads too, or Kaggle's) lies in
    the root, next to it or in its ``celeba`` folder, validation images come from the official
    validation set, and its test set is left alone.
    """

    # Half-size copies of the faces, 89×109, are common.
    patch_size = 72
    downloads = True

    def check(self, request: Request, fit: Callable[[int, int], object]) -> None:
        """Raise `tmd.errors.UserError` unless images are there, or will be downloaded."""
        if not request.download:
            check_files(request.roots, request.list_file, fit)

    def pools(self, request: Request) -> Pools:
        """Find the faces, by the official partition where it is there."""
        if request.download:
            with fetching("celeba", request.roots[0]):
                from torchvision.datasets import CelebA as Fetched

                Fetched(request.roots[0], split="all", download=True)
        files = find_files(request.roots, request.kind, request.list_file)
        partition = find_near(request.roots, PARTITIONS, below=("celeba",))
        if partition is None:
            return Pools(files)
        sets = _partition(partition)
        names = map(os.path.basename, files.names())
        train = [index for index, name in enumerate(names) if sets.get(name, 0) == 0]
        if not train:
            raise UserError(f"{partition}: no image of dataset.root is in its training set")
        validation = named(files, {name for name, number in sets.items() if number == 1})
        return Pools(files.subset(train), validation if len(validation) else None)


def _partition(path: Path) -> dict[str, int]:
    """File name -> 0 (train), 1 (validation) or 2 (test)."""
    rows = (line.replace(",", " ").split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1] in "012"}
