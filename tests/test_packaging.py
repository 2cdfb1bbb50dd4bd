"""The package is complete: a wheel alone runs, and what is imported is asked for."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import pytest
from skimage import data
from skimage.io import imsave

from tmd import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tmd", "ingredients", "observers", "experiments")
#: Needed without being imported by us: sacred imports pkg_resources.
INDIRECT = {"setuptools"}
EPOCHS = ("schedule.pretrain=4it", "schedule.warmup=2it", "schedule.adversarial=2it")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(text: str) -> set[str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return {normal(re.split(r"[^\w.-]", line)[0]) for line in lines if line} - {"tmd"}


def declared() -> tuple[set[str], set[str]]:
    """What is always installed, and what the extras of users add to it."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = dict(parser["options.extras_require"])
    for development in ("test", "docs"):
        extras.pop(development, None)
    return (
        requirements(parser["options"]["install_requires"]),
        requirements("\n".join(extras.values())),
    )


@lru_cache(maxsize=1)
def distributions() -> dict[str, set[str]]:
    return {
        module: {normal(name) for name in names}
        for module, names in metadata.packages_distributions().items()
    }


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether it is imported with the module) for what a file imports."""

    def visit(node: ast.AST, at_once: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name.split(".")[0], at_once) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
                yield child.module.split(".")[0], at_once
            yield from visit(child, at_once and not isinstance(child, ast.FunctionDef))

    return visit(ast.parse(path.read_text()), True)


def third_party() -> Iterator[tuple[str, str, bool]]:
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name, at_once in imports(path):
            if name not in PACKAGES and name not in sys.stdlib_module_names:
                yield str(path.relative_to(ROOT)), name, at_once


def test_the_reader_of_imports_sees_them(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import os.path\nfrom scipy.x import y\ndef f():\n    import onnx\n")
    assert list(imports(file)) == [("os", True), ("scipy", True), ("onnx", False)]


#: Rooms that scripts enter only after they have seen that an extra is installed.
BEHIND_A_CHECK = ("experiments/support/sweeping/",)


def test_what_is_imported_is_asked_for() -> None:
    always, in_extras = declared()
    missing = {
        (path, name)
        for path, name, at_once in third_party()
        if not distributions().get(name, {name})
        & (always if at_once and not path.startswith(BEHIND_A_CHECK) else always | in_extras)
    }
    assert not missing


def test_what_is_asked_for_is_imported() -> None:
    always, _ = declared()
    used = set().union(*(distributions().get(name, {name}) for _, name, _ in third_party()))
    assert always - used == INDIRECT


# The wheel ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what belongs to it, with the setuptools that is at hand."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q"]
    run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(work), str(source)], work)
    (built,) = work.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def tmd(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a fresh environment that holds the wheel, and whose dependencies are ours.

    A path in a .pth file brings packages but no editable install: ours is not in it.
    """
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
    python = folder / "bin" / "python"
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([str(python), "-c", place], folder).stdout.strip())
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(ours)))
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run([*pip, "install", "--no-deps", "--no-index", "-q", str(wheel)], folder)
    return folder / "bin" / "tmd"


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_holds_every_file_of_ours(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    stated = archive.read(name).decode()
    assert f"\nVersion: {__version__}\n" in stated
    assert "\nLicense-Expression: MIT\n" in stated or "\nLicense: MIT\n" in stated
    assert any(name.endswith("/LICENSE") for name in archive.namelist())


def test_the_wheel_alone_upscales_a_photo(tmd: Path, tmp_path: Path) -> None:
    imsave(tmp_path / "photo.jpg", data.astronaut()[:40, :50], check_contrast=False)
    assert run([str(tmd), "--version"], tmp_path).stdout == f"tmd {__version__}\n"
    assert "srgan" in run([str(tmd)], tmp_path).stdout
    run([str(tmd), "upscale", "photo.jpg"], tmp_path)
    assert (tmp_path / "out" / "photo.png").stat().st_size > 10_000


def test_the_wheel_alone_trains_and_shows_its_runs(tmd: Path, tmp_path: Path) -> None:
    words = ["with", "smoke", "training.epoch_length=4", *EPOCHS, "device=cpu"]
    said = run([str(tmd), "srgan", *words], tmp_path).stdout
    assert "tmd srgan with resume=runs/1 " in said
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    record = (tmp_path / "runs" / "1" / "run.json").read_text()
    assert str(ROOT) not in record
    assert '"experiments/srgan.py"' in record
    assert '"torch/' not in record
    assert "COMPLETED" in run([str(tmd), "runs", "with", "html=True"], tmp_path).stdout
    assert (tmp_path / "runs" / "index.html").stat().st_size > 10_000
    run([str(tmd), "srgan", "with", "resume=1", "schedule.adversarial=4it"], tmp_path)
