"""Any folder of images, through all its levels."""

from __future__ import annotations

from tmd.data.files import find_files
from tmd.data.registry import DATASETS, Dataset, Pools, Request


@DATASETS.register("folder")
class Folder(Dataset):
    """Images of any size and format, in one folder or several."""

    def pools(self, request: Request) -> Pools:
        """Find the images."""
        return Pools(find_files(request.roots, request.kind, request.list_file))
