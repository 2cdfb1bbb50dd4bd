"""Downloads that fail, told in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tmd.errors import UserError


@contextmanager
def fetching(name: str, root: str) -> Iterator[None]:
    """Turn whatever a download raises into one line that names the ways out."""
    try:
        yield
    except Exception as problem:
        # Networks, quotas, checksums and a missing `gdown` each raise something else.
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise UserError(
            f"dataset.download=True: {name} could not be fetched ({reason}); put its files into "
            f"{root} and leave dataset.download out"
        ) from None
