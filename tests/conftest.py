"""What the tests share: where the real data is, and reproducible torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and weights: ``$TMD_TEST_DATA`` or ``../shared/data``."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("TMD_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no real data at {path} (set TMD_TEST_DATA)")
    return path


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
