"""The generator."""

from __future__ import annotations

import dataclasses

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.models.options import GeneratorOptions
from tmd.models.published.sizes import SIZES

ingredient = Ingredient("generator")


@ingredient.config
def config():
    name = "srresnet"  # srresnet, subpixel, rrdb; of the field: compact, esrgan, span, dat, ...
    n_blocks = 8  # residual blocks
    n_features = 32  # channels between them
    norm = "none"  # batch, none
    spectral_norm = False  # spectral normalisation of every convolution but the last
    global_skip = True  # add to the bicubic upscaling, beginning with nothing
    options = {}  # what only this architecture takes
    # Begin with a file's weights, ours or other people's, or a run's: what fits is taken over, and
    # where no name is given, the architecture is the file's.
    weights = None


@ingredient.named_config
def paper():
    """SRResNet as published (arXiv:1609.04802)."""
    name = "srresnet"
    n_blocks = 16
    n_features = 64
    norm = "batch"
    spectral_norm = False
    global_skip = False


@ingredient.named_config
def rrdb():
    """ESRGAN's generator as published (arXiv:1809.00219)."""
    name = "rrdb"
    n_blocks = 23
    n_features = 64
    norm = "none"
    spectral_norm = False
    global_skip = False


for _name, _size in SIZES.items():
    # Sizes of our own networks say nothing of these: back to what nobody has given.
    _entries = {**dataclasses.asdict(GeneratorOptions()), "name": _size.name}
    ingredient.add_named_config(_name, {**_entries, "options": dict(_size.options)})
    ingredient.named_configs[_name].__doc__ = f"{_size.said}."

options = capture_options(ingredient, GeneratorOptions)
