"""The diffs of CONTRIBUTING.md apply, and what stands below each works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import split

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tmd", "ingredients", "observers", "experiments", "docs")
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
#: (title, diff, command)
CHANGES = re.findall(r"```diff\n(.*?)```\s+```\n(tmd [^\n]*)\n```", PAGE, re.DOTALL)
SHORT = (
    *("smoke", "training.epoch_length=2", "training.speed=float32", "device=cpu"),
    *("schedule.pretrain=2it", "schedule.warmup=1it", "schedule.adversarial=2it"),
)


def copy(target: Path) -> Path:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "_build", "reference")
        shutil.copytree(ROOT / package, target / package, ignore=ignored)
    return target


def apply(diff: str, root: Path) -> None:
    words = ["git", "apply", "--recount", "--whitespace=nowarn", "-"]
    # Outside of any checkout, else git takes the paths for that one's.
    subprocess.run(
        words,
        input=diff,
        text=True,
        cwd=root,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)},
        check=True,
    )


def run(root: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.command", *words[1:]],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that has all of them."""
    root = copy(tmp_path_factory.mktemp("all"))
    for diff, _ in CHANGES:
        apply(diff, root)
    return root


def test_every_kind_is_shown() -> None:
    assert len(CHANGES) == PAGE.count("```diff") == 7


@pytest.mark.parametrize(("diff", "command"), CHANGES, ids=[c for _, c in CHANGES])
def test_each_alone_is_known_by_the_configuration(diff: str, command: str, tmp_path: Path) -> None:
    root = copy(tmp_path / "one")
    words = split(command)
    at = words.index("with")
    shown = [*words[:2], "print_config", *words[at:]]
    if words[1] == "evaluate":
        shown += [f"benchmark={root / 'docs'}", "device=cpu"]
    apply(diff, root)
    done = run(root, shown)
    assert done.returncode == 0, done.stderr


def test_all_together_train_and_evaluate(checkout: Path) -> None:
    settings = [word for _, command in CHANGES for word in split(command)[3:]]
    trained = [word for word in settings if word.partition("=")[0] not in ("method", "metrics")]
    trained = [word for word in trained if "=" in word]
    done = run(checkout, ["tmd", "srgan", "with", *SHORT, *trained])
    assert done.returncode == 0, done.stderr
    (line,) = [line for _, line in CHANGES if "evaluate" in line]
    done = run(checkout, [*split(line), "device=cpu"])
    assert done.returncode == 0, done.stderr
    assert "MAE" in done.stdout
    assert list(checkout.glob("runs/1/**/table.csv"))


def test_they_pass_lint_and_format(checkout: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", checkout)
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", *PACKAGES], ["format", "--check", *PACKAGES]):
        done = subprocess.run(
            [*ruff, *words], cwd=checkout, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
