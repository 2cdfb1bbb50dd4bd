"""Networks that come with the package, small enough for it.

What each was trained on, and how well it does, is in RESULTS.md.
"""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".pt"
DEFAULT = "photos_x4"


def shipped_networks() -> dict[str, Path]:
    """The checkpoints that come with the package, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}"))}
