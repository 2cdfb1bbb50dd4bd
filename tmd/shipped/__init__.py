"""Networks that come with the package, small enough for it.

What each was trained on, and how well it does, is in docs/real_photos.md and RESULTS.md.
"""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".pt"
#: Those that upscaling takes, by scale: for photos as they are.
BY_SCALE = {4: "real_x4", 2: "real_x2"}
DEFAULT = BY_SCALE[4]


def shipped_networks() -> dict[str, Path]:
    """The checkpoints that come with the package, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}"))}
