"""What the tests share: where the real data is, and reproducible torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Runs are compared bit by bit, which depend on the number of threads, and that on the load. Read
# when torch is imported, here and in processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and weights: ``$TMD_TEST_DATA`` or ``../shared/data``."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("TMD_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no real data at {path} (set TMD_TEST_DATA)")
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered between runs is the tests' own, also in processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
