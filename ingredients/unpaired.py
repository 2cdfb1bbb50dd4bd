"""HR images of other scenes than those of the LR images."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.data.unpaired import UnpairedOptions

ingredient = Ingredient("unpaired")


@ingredient.config
def config():
    root = None  # folder, or a list of them; None: the images of dataset are split in two halves
    name = None  # kind of dataset; None: folder
    list_file = None  # text file that names the images of root to use
    crop = None  # side, or [height, width], of a centre crop of every image of root
    lr_given = False  # dataset holds LR images, nobody has their HR; patch_size counts HR pixels


options = capture_options(ingredient, UnpairedOptions)
