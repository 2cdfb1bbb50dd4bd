"""The record names the code that a run was made by, wherever that lies, with git or without."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from experiments.support import sources
from experiments.support.sources import PACKAGES, ROOT


def record(root: Path, work: Path, **environment: str) -> dict:
    """What run 1 of `evaluate.py` of the checkout ``root`` says of its code."""
    images = work / "images"
    images.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "sheet.png", images)
    words = ["method=bicubic", f"benchmark={images}", "metrics=psnr", "device=cpu"]
    done = subprocess.run(
        [sys.executable, str(root / "experiments" / "evaluate.py"), "with", *words],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((work / "runs" / "1" / "run.json").read_text())["experiment"]


def copy_of_our_code(target: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package)
    return target


@pytest.fixture(scope="module")
def without_git(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A run of a copy that git knows nothing of, on a machine without git."""
    work = tmp_path_factory.mktemp("without_git")
    root = copy_of_our_code(work / "site")
    return root, record(root, work / "work", PATH=str(work))


def test_a_machine_without_git_trains(without_git: tuple[Path, dict]) -> None:
    _, experiment = without_git
    assert experiment["repositories"] == []
    assert experiment["mainfile"] == "experiments/evaluate.py"


def test_all_code_that_was_loaded_is_kept_and_no_one_elses(
    without_git: tuple[Path, dict],
) -> None:
    root, experiment = without_git
    names = {name for name, _ in experiment["sources"]}
    assert {"experiments/evaluate.py", "tmd/resize.py", "tmd/errors.py"} <= names
    assert {name.partition("/")[0] for name in names} <= set(PACKAGES)
    store = root.parent / "work" / "runs"
    for name, kept in experiment["sources"]:
        assert (store / kept).read_bytes() == (root / name).read_bytes()


def test_the_versions_of_what_we_ask_for_are_recorded(without_git: tuple[Path, dict]) -> None:
    _, experiment = without_git
    for name in ("torch", "pytorch-ignite", "sacred", "tmd"):
        assert f"{name}=={metadata.version(name)}" in experiment["dependencies"]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_commit_and_changes_of_a_checkout_are_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of_our_code(tmp_path / "checkout")
    monkeypatch.setattr(sources, "ROOT", root)
    monkeypatch.setattr(sources, "repositories", sources.repositories.__wrapped__)
    git(root, "init", "-q")
    assert sources.repositories() == ()
    git(root, "add", "-A")
    assert sources.repositories() == ()  # nothing is committed yet
    git(root, "commit", "-qm", "one")
    git(root, "remote", "add", "origin", "https://ann:sesame99@example.org/tmd.git")
    (found,) = sources.repositories()
    assert found["commit"] == git(root, "rev-parse", "HEAD")
    assert found["dirty"] is False
    assert "sesame99" not in found["url"]
    assert "example.org/tmd.git" in found["url"]
    (root / "tmd" / "__init__.py").write_text("")
    assert sources.repositories()[0]["dirty"] is True


def test_an_environment_inside_of_a_strangers_checkout_is_not_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README").write_text("theirs")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-qm", "one")
    monkeypatch.setattr(sources, "ROOT", copy_of_our_code(tmp_path / "site-packages"))
    assert sources.repositories.__wrapped__() == ()


def test_the_digests_are_those_of_the_files() -> None:
    script = ROOT / "experiments" / "runs.py"
    found = dict(sources.loaded_sources(script))
    assert found["experiments/runs.py"] == hashlib.md5(script.read_bytes()).hexdigest()
