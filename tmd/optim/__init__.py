"""Optimisers and gradient rules by name. A new one is a file here that registers itself."""

import importlib
import pkgutil

from tmd.optim.registry import GRADIENT_RULES, OPTIMIZERS, GradientRule

__all__ = ["GRADIENT_RULES", "OPTIMIZERS", "GradientRule"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
