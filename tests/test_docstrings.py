"""The examples in docstrings are right, and the docstrings begin with what the thing is or does.

Their presence and form are ruff's matter, but for methods, which may have their base's.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
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


# Their first words -------------------------------------------------------------------------------

QUESTION = re.compile(r"(What|Where|Whether|When|Which|How|Whose|Who|Why)\b|Everything that\b")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """(line, docstring) of the module and of each public class and function in it."""

    def visit(node: ast.AST) -> Iterator[tuple[int, str]]:
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and (said := ast.get_docstring(node)):  # type: ignore[arg-type]
            yield getattr(node, "lineno", 1), said
        for child in ast.iter_child_nodes(node):
            if not str(getattr(child, "name", "")).startswith("_"):
                yield from visit(child)

    return visit(ast.parse(source))


def test_questions_are_seen() -> None:
    source = '"""Where."""\nclass A:\n  def f():\n    """Which."""\ndef _g():\n  """How."""\n'
    assert [line for line, said in docstrings(source) if QUESTION.match(said)] == [1, 3]


@pytest.mark.parametrize("room", [*PACKAGES, "benchmarks"])
def test_no_docstring_begins_with_a_question(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said.splitlines()[0]}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, said in docstrings(path.read_text())
        if QUESTION.match(said)
    ]
    assert not found, "\n".join(found)


# Methods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["tmd", "observers"])
def test_every_public_method_is_described_here_or_by_a_base(package: str) -> None:
    missing = []
    for path in sorted((ROOT / package).rglob("*.py")):
        module = importlib.import_module(module_name(path))
        for name, kind in vars(module).items():
            if name.startswith("_") or not inspect.isclass(kind):
                continue
            if kind.__module__ != module.__name__:
                continue
            for method, value in vars(kind).items():
                known = isinstance(value, (property, classmethod, staticmethod))
                if method.startswith("_") or not (known or inspect.isfunction(value)):
                    continue
                if not inspect.getdoc(getattr(kind, method)):
                    missing.append(f"{module.__name__}.{name}.{method}")
    assert not missing, "\n".join(missing)
