"""The embedded demo: photos that come with scikit-image, so that a first run needs no data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.data.sources import FileSource

# Both views of the motorcycle are of one scene, and stay on one side.
TRAIN = (
    "astronaut.png",
    "brick.png",
    "coins.png",
    "grass.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)
VALIDATION = ("camera.png", "chelsea.png", "coffee.png")
# Validation must stay quick without a GPU.
VALIDATION_SIDE = 256


class _Photos(FileSource):
    """Files that know which of them show one scene."""

    def scene(self, index: int) -> str:
        """A name that all views of one scene share."""
        return self.label(index).replace("_left.", ".").replace("_right.", ".")


class _Centres(FileSource):
    """Files of which only the central square is taken."""

    def size(self, index: int) -> tuple[int, int]:
        """(H, W) of the central square."""
        height, width = super().size(index)
        return min(height, VALIDATION_SIDE), min(width, VALIDATION_SIDE)

    def read(self, index: int) -> torch.Tensor:
        """The central square, (C, H, W)."""
        image = super().read(index)
        height, width = image.shape[1:]
        top, left = (max(0, n - VALIDATION_SIDE) // 2 for n in (height, width))
        return image[:, top : top + VALIDATION_SIDE, left : left + VALIDATION_SIDE].contiguous()


@DATASETS.register("demo")
class Demo(Dataset):
    """Ten photos to learn from; central squares of three others to validate on."""

    needs_root = False
    of_any_numbers = False

    def check(self, request: Request, fit: Callable[[int, int], object]) -> None:
        """The images come with a package that is installed."""

    def pools(self, request: Request) -> Pools:
        """The photos of scikit-image."""
        import skimage.data

        folder = Path(skimage.data.__file__).parent
        train, held_out = (
            source([str(folder / name) for name in names], request.kind, str(folder))
            for source, names in ((_Photos, TRAIN), (_Centres, VALIDATION))
        )
        return Pools(train, held_out, validation_count=None)
