"""The examples in docstrings are right."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tmd", "ingredients", "observers", "experiments")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


WITH_EXAMPLES = [
    module_name(path)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if re.search(">>> (?!#)", path.read_text())
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_are_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # where an example may write
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert examples
    assert not any(
        doctest.SKIP in example.options for test in examples for example in test.examples
    )
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0  # what was printed says which
