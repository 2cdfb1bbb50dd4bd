"""Images that the networks learn from, and how batches are made of them."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.data import DATASETS, DatasetOptions

ingredient = Ingredient("dataset")


def _default(name: str, attribute: str):
    """What suits the kind of dataset; a name that is none is left to the check."""
    return getattr(DATASETS[name], attribute) if name in DATASETS else None


def _channels(name: str, bands: object):
    """As many as there are bands; what is no list of them is left to the check."""
    return len(bands) if isinstance(bands, (list, tuple)) else _default(name, "channels")


@ingredient.config
def config():
    # a folder, tar shards ("train-{000000..000099}.tar"), an address of either (s3://, gs://, hf://,
    # http://, https://), or a list of these
    root = None  # where the images are
    name = "demo" if root is None else "folder"  # demo, folder, celeba, flickr8k, mnist
    bands = None  # which bands of the files, in which order, from 1: [3, 2, 1, 7]; None: all
    channels = _channels(name, bands)  # of every image: 1 is grey, 3 is RGB, 13 is 13 bands
    dtype = None  # uint8, uint16, float32; None: as the files are
    # [low, high], the numbers that are 0 and 1 for the networks; {percentiles: [0.1, 99.9]} of the
    # images; None: all levels of the type, of floats [0, 1]
    value_range = None
    shown = None  # one or three bands for sheets, VGG and LPIPS: [4, 3, 2]; None: the first three
    mode = "patches"  # patches; whole: whole images of one size
    patch_size = _default(name, "patch_size")  # HR pixels
    # divide the sides of every image first, 2 to 4 for photos straight from a camera; of several,
    # [1, 1.5, 2], each gives the set once more
    shrink = 1
    crop = None  # side, or [height, width], of a centre crop of every image
    augment = True  # flips and right-angle turns
    batch_size = 8  # HR patches
    # folder of given LR images, or one for each of root in the same order; beside one root, a list
    # is of versions of LR, each of which gives the set once more
    lr_root = None  # None: LR is made by measurement
    lr_pattern = None  # names in it, '{name}x{scale}' say, or a list for versions; None: as usual
    val_lr_root = None  # folder of given LR images of val_root
    made = 0  # share of LR that measurement makes all the same, where LR is given
    align = False  # move given LR images that lie whole HR pixels beside their HR images
    val_root = None  # folder of images to validate on; None holds out some of root
    validation = None  # how many images to validate on, or which share
    list_file = None  # text file that names the images to use
    storage = "auto"  # disk, memory, device
    workers = None  # None: what fits the storage
    strict = False  # an image that can't be used is an error
    max_pixels = None  # the most that an image may have to be read; None: 89 million
    cache = 50.0  # GB of disk that images from addresses may take
    download = False  # fetch what is absent, where the kind of dataset can be fetched


options = capture_options(ingredient, DatasetOptions)
