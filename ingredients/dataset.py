"""Which images the networks learn from, and how batches are made of them."""

from __future__ import annotations

import torch

from ingredients.base import Ingredient
from tmd.data import DATASETS, DatasetOptions, TrainingData, create_dataset
from tmd.distributed import ALONE, Share

ingredient = Ingredient("dataset")


def _default(name: str, attribute: str):
    """What suits the kind of dataset; a name that is none is left to `check`."""
    return getattr(DATASETS[name], attribute) if name in DATASETS else None


@ingredient.config
def config():
    root = None  # a folder, or a list of folders
    name = "demo" if root is None else "folder"  # demo, folder, celeba, flickr8k, mnist
    channels = _default(name, "channels")  # of every image: 1 is grey, 3 is RGB
    mode = "patches"  # patches; whole: whole images of one size
    patch_size = _default(name, "patch_size")  # HR pixels
    # divide the sides of every image first, 2 to 4 for photos straight from a camera; of several,
    # [1, 1.5, 2], each gives the set once more
    shrink = 1
    crop = None  # side, or [height, width], of a centre crop of every image
    augment = True  # flips and right-angle turns
    batch_size = 8  # HR patches
    val_root = None  # folder of images to validate on; None holds out some of root
    validation = None  # how many images to validate on, or which share
    list_file = None  # text file that names the images to use
    storage = "auto"  # disk, memory, device
    workers = None  # None: what fits the storage
    strict = False  # an image that can't be used is an error
    download = False  # fetch what is absent, where the kind of dataset can be fetched


def _options(
    name,
    root,
    channels,
    mode,
    patch_size,
    shrink,
    crop,
    augment,
    batch_size,
    val_root,
    validation,
    list_file,
    storage,
    workers,
    strict,
    download,
) -> dict:
    return dict(locals())


_captured_options = ingredient.capture(_options)


def check(scale: int, device: str | torch.device = "cpu") -> None:
    """Raise `tmd.errors.UserError` for the first thing wrong that can be seen at a glance.

    With ``strict``, every image is decoded: what is wrong with one must be known before the run.
    """
    options = _captured_options()
    DatasetOptions(**options).check(scale)
    if options["strict"]:
        create_dataset(**{**options, "storage": "disk"}, scale=scale).close()


def build(
    scale: int, seed: int, device: str | torch.device = "cpu", share: Share = ALONE
) -> TrainingData:
    options = _captured_options()
    return create_dataset(**options, scale=scale, seed=seed, device=device, share=share)


def chosen_options() -> dict:
    """The config as keyword arguments of `tmd.data.create_dataset`, for what varies them."""
    return _captured_options()


@ingredient.capture
def image_channels(channels: int) -> int:
    """Channels of every image: 1 or 3."""
    return channels


@ingredient.capture
def images_per_batch(batch_size: int) -> int:
    """HR patches in a batch."""
    return batch_size
