"""Names of a package that are imported when one of them is first asked for (PEP 562).

For packages that some only need an option or a name of: the front of the handlers alone would have
each of them wait for Ignite, which imports PyTorch's sharded training and SymPy with it, 0.5 s.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any


def files_of(package: str) -> list[ModuleType]:
    """The modules of a package, which are imported if they are not yet."""
    files = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return [importlib.import_module(f"{package}.{file.name}") for file in files]


def names_later(
    package: str, names: Collection[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package; its files are imported when a name is asked for.

    Args:
        package: its ``__name__``.
        names: its ``__all__``.
    """

    def get(name: str) -> Any:
        if name in names:
            found = next(file for file in files_of(package) if hasattr(file, name))
            setattr(sys.modules[package], name, getattr(found, name))
            return getattr(found, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def all_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, all_names
