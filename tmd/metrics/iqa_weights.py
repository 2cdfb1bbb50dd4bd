"""Places of the weights that `pyiqa` reads, in place of its downloads."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.errors import UserError


class AwayError(Exception):
    """A file that is not where it was looked for.

    Attributes:
        url: pyiqa's address of it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def made_of_files(folder: str | None, name: str, key: str) -> nn.Module:
    """Make a metric of pyiqa's of files at hand alone, read without running code.

    A network of timm's is made without weights of its own: the metric's hold it whole, or they
    don't fit.

    Args:
        folder: looked into before pyiqa's caches.
        name: of the metric here.
        key: of the metric in pyiqa.

    Raises:
        UserError: ``folder`` is none, or a file is away, broken or another's.
    """
    import pyiqa
    from pyiqa.utils import download_util

    if folder is not None and not Path(folder).is_dir():
        raise UserError(f"iqa_weights={folder}: no such folder")
    cache = Path(download_util.DEFAULT_CACHE_DIR)
    places = [cache] if folder is None else [Path(folder), cache]
    for place in places:
        try:
            with _only_from(place):
                return pyiqa.create_metric(key, device=torch.device("cpu"))
        except AwayError as problem:
            away = problem
        except Exception as problem:
            said = str(problem).strip().splitlines() or [type(problem).__name__]
            raise UserError(
                f"{name}: pyiqa can't make {key} of the weights in {place}: {said[0]}"
            ) from None
    looked = " and ".join(map(str, places))
    raise UserError(
        f"{name}: its weights are not at hand: {away.url.rsplit('/', 1)[-1]} is not in {looked}; "
        f"iqa_weights=FOLDER names a folder with it; where there is a network, "
        f"python -c \"import pyiqa; pyiqa.create_metric('{key}')\" fetches it from {away.url}"
    )


@contextlib.contextmanager
def _only_from(place: Path) -> Iterator[None]:
    """Let pyiqa find its files in ``place`` alone, CLIP's in torch's cache, too."""
    import timm
    from pyiqa.archs import clip_model
    from pyiqa.utils import download_util

    create, read = timm.create_model, torch.load

    def no_download(url: str, *_: Any, **__: Any) -> None:
        raise AwayError(url)

    def clip_file(url: str, root: str) -> str:
        *_, digest, file = url.split("/")
        for path in (place / file, Path(root) / file):
            if path.is_file():
                if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                    raise UserError(f"{path}: not the file that CLIP published")
                return str(path)
        raise AwayError(url)

    def without_weights(*arguments: Any, **options: Any) -> Any:
        return create(*arguments, **{**options, "pretrained": False})

    def without_code(*arguments: Any, **options: Any) -> Any:
        return read(*arguments, **{**options, "weights_only": True})

    with (
        _exchanged(download_util, "DEFAULT_CACHE_DIR", str(place)),
        _exchanged(download_util, "download_url_to_file", no_download),
        _exchanged(clip_model, "_download", clip_file),
        _exchanged(timm, "create_model", without_weights),
        _exchanged(torch, "load", without_code),
    ):
        yield


@contextlib.contextmanager
def _exchanged(owner: Any, name: str, value: Callable[..., Any] | str) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
