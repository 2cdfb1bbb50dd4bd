"""How LR images are made from HR images."""

from __future__ import annotations

from ingredients.base import Ingredient
from tmd.measurements import Measurement, create_measurement

ingredient = Ingredient("measurement")


@ingredient.config
def config():
    # In the order in which they act; dicts with a name carry options, for example
    # [{"name": "blur", "sigma": [0.8, 1.6]}, "decimate", {"name": "noise", "sigma": 0.02}]
    operators = ["bicubic"]


@ingredient.capture
def check(operators, scale):
    create_measurement(operators, scale)


@ingredient.capture
def operators(operators) -> list:
    """How the data's LR images are made."""
    return operators


@ingredient.capture
def build(operators, scale, seed, stream="measurement") -> Measurement:
    return create_measurement(operators, scale, seed, stream)
