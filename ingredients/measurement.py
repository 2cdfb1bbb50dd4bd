"""Operators that make LR images from HR images."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.measurements import PRESETS, MeasurementOptions

ingredient = Ingredient("measurement")


@ingredient.config
def config():
    # In the order in which they act; dicts with a name carry options, for example
    # [{"name": "blur", "sigma": [0.8, 1.6]}, "decimate", {"name": "noise", "sigma": 0.02}]
    operators = ["bicubic"]
    # a folder of photos as they are: the ranges in operators are fitted to them before the run
    fit = None
    fit_anyway = False  # take a list that does not come near all the same


for _name, _operators in PRESETS.items():
    ingredient.add_named_config(_name, {"operators": _operators()})
    ingredient.named_configs[_name].__doc__ = str(_operators.__doc__).splitlines()[0]


options = capture_options(ingredient, MeasurementOptions)
