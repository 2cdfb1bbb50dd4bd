"""Python's search for garbage, kept from what imports make.

That is hundreds of thousands of objects and no garbage: to look through them again and again takes
a fifth of the processor time of a script's start.
"""

from __future__ import annotations

import gc

_AS_FOUND = gc.get_threshold()


def search_seldom() -> None:
    """Have little looked for while a script is imported."""
    gc.set_threshold(50_000, 20, 20)


def spare_imports() -> None:
    """Leave out what there is by now, once, from all searches of this process."""
    if not gc.get_freeze_count():
        gc.freeze()


def search_as_ever() -> None:
    """Look for garbage as often as Python does, for what runs."""
    gc.set_threshold(*_AS_FOUND)
