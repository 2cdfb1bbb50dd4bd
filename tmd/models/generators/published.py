"""Networks of the field by their own names, built by spandrel's classes."""

from __future__ import annotations

from tmd.models.published.architectures import ARCHITECTURES
from tmd.models.published.building import Published
from tmd.models.registry import GENERATORS

for _name, _architecture in ARCHITECTURES.items():
    GENERATORS.register(_name)(Published(_name, _architecture))
