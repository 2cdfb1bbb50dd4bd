"""Imports go one way: experiments -> ingredients, observers -> tmd."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("tmd", "ingredients", "observers", "experiments")
FORBIDDEN = {
    "tmd": {"sacred", "ingredients", "observers", "experiments"},
    "ingredients": {"experiments", "observers"},
    "observers": {"experiments", "ingredients"},
    "experiments": set(),
}


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_reader_of_imports_sees_them() -> None:
    source = "import os.path\ndef f():\n    from sacred.run import Run\n"
    assert imported(source) == {"os", "sacred"}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_what_lies_above_it(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = {
        str(file.relative_to(ROOT)): found
        for file in files
        if (found := imported(file.read_text()) & FORBIDDEN[room])
    }
    assert not wrong
