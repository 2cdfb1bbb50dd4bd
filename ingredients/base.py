"""Sacred's ingredient, without its search for sources, which asks git about each file it finds.

`experiments.support.sources` finds them once for the whole experiment.
"""

from __future__ import annotations

import sys

import sacred


class Ingredient(sacred.Ingredient):
    """A part of an experiment's config that is named like the module that makes it."""

    def __init__(self, name: str) -> None:
        caller = sys._getframe(1).f_globals
        shown = {key: caller[key] for key in ("__file__", "__doc__")}
        super().__init__(name, _caller_globals=shown, save_git_info=False)
