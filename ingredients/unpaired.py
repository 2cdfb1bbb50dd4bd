"""HR images of other scenes than those of the LR images."""

from __future__ import annotations

from typing import Any

import torch

from ingredients.base import Ingredient
from tmd.data.unpaired import (
    Measure,
    UnpairedData,
    check_unpaired_options,
    create_unpaired_data,
)
from tmd.distributed import ALONE, Share
from tmd.errors import check_flag

ingredient = Ingredient("unpaired")


@ingredient.config
def config():
    root = None  # folder, or a list of them; None: the images of dataset are split in two halves
    name = None  # kind of dataset; None: folder
    list_file = None  # text file that names the images of root to use
    crop = None  # side, or [height, width], of a centre crop of every image of root
    lr_given = False  # dataset holds LR images, nobody has their HR; patch_size counts HR pixels


@ingredient.capture
def check(
    options: dict[str, Any], scale: int, root: Any, name: Any, list_file: Any, crop: Any, lr_given
) -> None:
    """Raise `UserError` for what can't be.

    Args:
        options: what `dataset` says.
    """
    check_flag("unpaired.lr_given", lr_given)
    own = {"root": root, "name": name, "list_file": list_file, "crop": crop}
    check_unpaired_options(options, own, scale, lr_given)


@ingredient.capture
def build(
    options: dict[str, Any],
    measure: Measure,
    scale: int,
    seed: int,
    device: str | torch.device,
    root: Any,
    name: Any,
    list_file: Any,
    crop: Any,
    lr_given: bool,
    share: Share = ALONE,
) -> UnpairedData:
    own = {"root": root, "name": name, "list_file": list_file, "crop": crop}
    return create_unpaired_data(options, own, measure, scale, seed, device, lr_given, share)
