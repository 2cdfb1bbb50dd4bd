"""Flickr8k's photos: with its official split, torchvision's layout, or as a plain folder."""

from __future__ import annotations

import os

from tmd.data.files import find_files, find_near, named
from tmd.data.registry import DATASETS, Dataset, Pools, Request
from tmd.data.sources import FileSource
from tmd.errors import UserError

TRAIN_LIST = "Flickr_8k.trainImages.txt"
VALIDATION_LIST = "Flickr_8k.devImages.txt"
PAGES = ("8k-pictures.html", "*[Ff]lickr*8k*.html")


@DATASETS.register("flickr8k")
class Flickr8k(Dataset):
    """Hodosh et al., *Framing Image Description as a Ranking Task* (JAIR 2013).

    Where the lists of the original archive lie in the root, next to it or in its ``Flickr8k_text``
    folder, they make the split; where its web page does (the annotation file that torchvision
    takes), the images are those that it names. Captions are not used.
    """

    def pools(self, request: Request) -> Pools:
        """Find the photos, by the official lists where they are there."""
        files = find_files(request.roots, request.kind, request.list_file)
        if len(request.roots) > 1:
            return Pools(files)
        lists = [
            find_near(request.roots, (name,), below=("Flickr8k_text",))
            for name in (TRAIN_LIST, VALIDATION_LIST)
        ]
        if lists[0] and lists[1]:
            train, validation = (
                _some(named(files, set(path.read_text().split())), path) for path in lists if path
            )
            return Pools(train, validation)
        page = find_near(request.roots, PAGES)
        if page is not None:
            from torchvision.datasets import Flickr8k as Annotated

            # torchvision wants the folder in which the images themselves lie.
            folder = os.path.dirname(files.name(0))
            names = {os.path.basename(path) for path in Annotated(folder, str(page)).ids}
            return Pools(_some(named(files, names), page))
        return Pools(files)


def _some(files: FileSource, source: object) -> FileSource:
    if not len(files):
        raise UserError(f"{source}: names no image of dataset.root")
    return files
