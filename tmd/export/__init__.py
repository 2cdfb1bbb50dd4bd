"""Generators as files that other programs open, each run by its own runtime before it is believed.

Each file carries the architecture, the scale and the measurement where its format has a place for
that.
"""

from tmd.export.exporting import Exported, check_installed, describe, export_generator
from tmd.export.formats import FORMATS, PRECISIONS, Format

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "Exported",
    "Format",
    "check_installed",
    "describe",
    "export_generator",
]
