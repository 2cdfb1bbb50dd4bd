"""Every operator is described, and drawn, in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tmd.measurements import MEASUREMENTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "degradations.md").read_text(encoding="utf-8")
DRAWN = (DOCS / "draw_operators.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_an_operator_has_its_place_in_the_documentation(name: str) -> None:
    assert f"`{name}`" in TEXT
    assert f'"{name}"' in DRAWN


def test_pictures_are_there_and_small() -> None:
    shown = set(re.findall(r"\((operators/\w+\.webp)\)", TEXT))
    files = {f"operators/{path.name}": path for path in (DOCS / "operators").iterdir()}
    assert shown == set(files)
    assert all(path.stat().st_size <= 300_000 for path in files.values())
