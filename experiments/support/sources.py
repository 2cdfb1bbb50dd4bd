"""The code that a run was made by: our loaded files, the packages below them, and git's commit.

Sacred's own search takes what a script imports itself, asks git about every such file, and takes
torch for a part of the experiment where both are installed in one folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from observers import without_credentials

PACKAGES = ("tmd", "ingredients", "observers", "experiments")
#: The folder that holds our packages: a checkout, or where they are installed.
ROOT = Path(__file__).resolve().parents[2]


def loaded_sources(script: Path) -> list[tuple[str, str]]:
    """(path from `ROOT`, MD5) of ``script`` and of each of our modules that are loaded."""
    files = {script.resolve()}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES and getattr(module, "__file__", None):
            files.add(Path(module.__file__).resolve())  # type: ignore[arg-type]
    return [
        (os.path.relpath(file, ROOT), hashlib.md5(file.read_bytes()).hexdigest())
        for file in sorted(files)
    ]


@lru_cache(maxsize=1)
def installed_requirements() -> tuple[str, ...]:
    """``name==version`` of what our package asks for, as installed here, and of itself.

    Empty where our package is not installed but only on the path.
    """
    try:
        required = metadata.requires("tmd") or []
    except metadata.PackageNotFoundError:
        return ()
    names = ["tmd"]
    for line in required:
        if "extra ==" not in line:
            names.append(re.split(r"[^\w.-]", line, maxsplit=1)[0])
    found = []
    for name in sorted(names):
        try:
            found.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


@lru_cache(maxsize=1)
def repositories() -> tuple[dict[str, Any], ...]:
    """Address, commit and whether files differ from it; empty where git does not keep our files.

    An environment inside of somebody's checkout is not a part of that.
    """
    try:
        _git("ls-files", "--error-unmatch", "experiments/__init__.py")
        commit = _git("rev-parse", "--verify", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return ()
    try:
        url = without_credentials(_git("remote", "get-url", "origin"))
    except subprocess.SubprocessError:
        url = f"git:/{ROOT}"
    return ({"url": url, "commit": commit, "dirty": dirty},)


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=ROOT,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
