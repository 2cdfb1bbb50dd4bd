"""A kind of dataset: one class in a file of its own, and one line that registers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tmd.data.files import check_files
from tmd.data.sources import ImageSource
from tmd.images import ImageKind
from tmd.registry import Registry


@dataclass(frozen=True)
class Request:
    """A user's wishes, as far as it concerns where the images are.

    Attributes:
        roots: folders, at least one unless the dataset brings its own images.
        kind: of the images.
        list_file: a text file that names the images to take, or None for all.
        download: whether files that are not there may be fetched.
    """

    roots: tuple[str, ...]
    kind: ImageKind
    list_file: str | None = None
    download: bool = False

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.kind.channels


@dataclass(frozen=True)
class Pools:
    """The images to learn from, and those that the dataset itself sets apart for validation.

    Attributes:
        train: the images to learn from.
        validation: the dataset's own validation set; None to split it off by the seed.
        validation_count: how many of the validation pool to use unless the user says; None: all.
    """

    train: ImageSource
    validation: ImageSource | None = None
    validation_count: int | None = 10


class Dataset:
    """A kind of dataset; a new one overrides `pools`, and `check` where files are not all it is.

    Attributes:
        channels: of the images, unless the user says.
        patch_size: a side that fits the images and every scale, unless the user says.
        needs_root: whether the user must say where the images are.
        downloads: whether `pools` can fetch them into the root.
        of_any_numbers: whether they may have other bands and bits than photos of 8 bits.
    """

    channels = 3
    patch_size = 72
    needs_root = True
    downloads = False
    of_any_numbers = True

    def check(self, request: Request, fit: Callable[[int, int], object]) -> None:
        """Raise `tmd.errors.UserError` for what can be seen to be wrong without decoding.

        Args:
            request: what was asked for.
            fit: called with (H, W); raises `tmd.data.framing.Unusable` for a size of no use.
        """
        check_files(request.roots, request.list_file, fit)

    def pools(self, request: Request) -> Pools:
        """Find the images."""
        raise NotImplementedError


DATASETS: Registry[type[Dataset]] = Registry("dataset.name")
