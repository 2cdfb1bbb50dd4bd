"""Imports go one way, between rooms and between files, those within functions included.

Read from the sources, so that an import counts wherever it stands and whether or not it is reached.
A package's `__init__` is its front: who imports a name from there depends on that file, which
depends on the package's files; these import one another, never their front.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: From the ground up: what stands in a line may import from the lines below it and from its own,
#: as far as no circle comes of it. A room is a folder or a file of the name.
LAYERS = [
    names.split()
    for names in (
        "tmd.errors tmd.registry tmd.seeding tmd.cache tmd.packed tmd.places tmd.resize tmd.images "
        "tmd.later tmd.distributed tmd.hardware tmd.launch tmd.files tmd.shipped tmd.processes "
        "tmd.leases",
        "tmd.acceleration tmd.optim",
        "tmd.models tmd.data tmd.metrics tmd.measurements tmd.losses tmd.photos",
        "tmd.training tmd.evaluation tmd.checkpoints tmd.export tmd.upscale tmd.tiling tmd.figures "
        "tmd.fitting",
        "tmd.recorders tmd.handlers",
        "tmd.session observers",
        "ingredients",  # whose configs are dataclasses of all that is below, the session's too
        "experiments.support",
        "experiments",
    )
]
#: What stands side by side and must not know each other.
STRANGERS = (
    ("ingredients", "observers"),
    ("tmd.session", "observers"),
)
#: The parts of the library that may be imported from `observers`.
OBSERVERS_KNOW = {*LAYERS[0], "tmd.metrics"}

Graph = Mapping[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """The project's files by the name under which they are imported."""
    found = {}
    for top in ("tmd", "ingredients", "observers", "experiments"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def named(source: str, package: str) -> Iterator[tuple[str, str | None]]:
    """(module, name in it or None) of every import in ``source``, wherever it stands.

    Args:
        package: in which relative imports begin.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(above) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            for alias in node.names:
                yield module, alias.name


def imports(name: str, path: Path, known: Mapping[str, Path]) -> set[str]:
    """The project's modules that a file imports; of a package, its `__init__`."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for module, entry in named(path.read_text(), package):
        part = f"{module}.{entry}"
        if part in known:
            found.add(part)
        elif module in known:
            found.add(module)
    return found - {name}


def graph(root: Path) -> dict[str, set[str]]:
    """Which of the project's modules imports which."""
    known = modules(root)
    return {name: imports(name, path, known) for name, path in known.items()}


def circles(edges: Graph) -> list[list[str]]:
    """The groups of more than one node that all reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return sorted(found)


def room(module: str) -> str:
    """The room of `LAYERS` that a module is in; the longest that fits.

    Raises:
        LookupError: it is in none, so that nobody knows what it may import.
    """
    rooms = [r for layer in LAYERS for r in layer if module == r or module.startswith(f"{r}.")]
    if not rooms:
        raise LookupError(f"{module}: in no room of LAYERS")
    return max(rooms, key=len)


def upward(edges: Graph) -> list[str]:
    """The imports of something in a higher layer, and between strangers."""
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for module, other in pairs(edges):
        ours, theirs = room(module), room(other)
        strange = any({ours, theirs} == set(strangers) for strangers in STRANGERS)
        unknown = ours == "observers" and theirs.startswith("tmd.") and theirs not in OBSERVERS_KNOW
        if height[theirs] > height[ours] or strange or unknown:
            wrong.append(f"{module} -> {other}")
    return wrong


def pairs(edges: Graph) -> Iterable[tuple[str, str]]:
    # The package's own docstring and nothing else.
    return ((a, b) for a in sorted(edges) for b in sorted(edges[a]) if "tmd" not in (a, b))


def own_fronts(edges: Graph) -> list[str]:
    """The imports of a package's `__init__` by a file in that package."""
    return [f"{a} -> {b}" for a, b in pairs(edges) if a.startswith(f"{b}.")]


@pytest.fixture(scope="module")
def project() -> dict[str, set[str]]:
    return graph(ROOT)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A project with one wrong import of every kind."""
    files = {
        "tmd/__init__.py": "",
        "tmd/errors.py": "def f():\n    from tmd.data import sources\n",  # upward, lazily
        "tmd/data/__init__.py": "from tmd.data.sources import read\n",
        "tmd/data/sources.py": "from . import files\n",
        "tmd/data/files.py": "import os.path\nfrom .sources import read\n",  # a circle
        "tmd/models/__init__.py": "",
        "tmd/models/layers.py": "from tmd.models import registry, create\n",  # its own front
        "tmd/models/registry.py": "import tmd.errors\n",
        "ingredients/__init__.py": "from tmd.data import read\n",
        "observers/__init__.py": "import ingredients\nimport tmd.models.layers as l\n",
        "experiments/__init__.py": "from sacred import Experiment\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_reader_of_imports_sees_every_kind(toy: Path) -> None:
    edges = graph(toy)
    assert edges["tmd.errors"] == {"tmd.data.sources"}
    assert edges["tmd.data"] == {"tmd.data.sources"}
    assert edges["tmd.data.sources"] == {"tmd.data.files"}
    assert edges["tmd.models.layers"] == {"tmd.models.registry", "tmd.models"}
    assert edges["tmd.models.registry"] == {"tmd.errors"}
    assert edges["observers"] == {"ingredients", "tmd.models.layers"}
    assert edges["experiments"] == set()


def test_every_wrong_import_of_a_project_is_found(toy: Path) -> None:
    edges = graph(toy)
    assert circles(edges) == [["tmd.data.files", "tmd.data.sources"]]
    assert own_fronts(edges) == ["tmd.models.layers -> tmd.models"]
    assert upward(edges) == [
        "observers -> ingredients",
        "observers -> tmd.models.layers",
        "tmd.errors -> tmd.data.sources",
    ]


def test_no_files_import_each_other_in_a_circle(project: Graph) -> None:
    assert not circles(project)


def test_no_rooms_import_each_other_in_a_circle(project: Graph) -> None:
    edges: dict[str, set[str]] = {name: set() for layer in LAYERS for name in layer}
    for module, other in pairs(project):
        if room(module) != room(other):
            edges[room(module)].add(room(other))
    assert not circles(edges)


def test_nothing_imports_what_lies_above_it(project: Graph) -> None:
    assert not upward(project)


def test_no_file_imports_the_front_of_its_own_package(project: Graph) -> None:
    assert not own_fronts(project)


def test_the_library_and_the_session_know_nothing_of_sacred() -> None:
    for name, path in modules(ROOT).items():
        if name.split(".")[0] == "tmd":
            assert not [m for m, _ in named(path.read_text(), name) if m.split(".")[0] == "sacred"]
