"""One browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser; each module of tests opens a page of its own in it."""
    with Browser() as opened:
        yield opened
