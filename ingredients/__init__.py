"""Sacred ingredients: one concern a file, a config and captured builders of something in tmd."""

import subprocess
from pathlib import Path


def _has_commits() -> bool:
    """Sacred refuses to start in a git repository without commits, and without a git binary."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


#: Whether Sacred can record the git state here; pass it as ``save_git_info``.
HAS_GIT = _has_commits()
