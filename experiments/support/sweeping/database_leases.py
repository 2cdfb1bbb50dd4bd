"""Leases in a database, where machines share no folder: a row each, renewed by counting.

Nobody compares clocks: a lease counts as left when its row was not changed for so long by the
watch of the one who looks, and is then taken over by the one whose update still finds it so.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

#: Signs of life in the time after which a lease counts as left, as in `tmd.leases`.
BEATS = 5
TRUSTED = 0.75

_METADATA = sql.MetaData()
_TABLE = sql.Table(
    "tmd_leases",
    _METADATA,
    sql.Column("name", sql.String(255), primary_key=True),
    sql.Column("owner", sql.String(32), nullable=False),  # empty: released
    sql.Column("beat", sql.BigInteger, nullable=False),
)


class DatabaseLeases:
    """The leases of a study; see `tmd.leases.Leases`.

    Args:
        engine: SQLAlchemy's.
        study: begins their names.
        stale_after: seconds without a sign of life after which a lease is taken over.
    """

    def __init__(self, engine: Any, study: str, stale_after: float) -> None:
        self.engine = engine
        self.study = study
        self.stale_after = stale_after
        self._seen: dict[str, tuple[tuple[str, int], float]] = {}
        # Another may be making it at the same moment.
        with contextlib.suppress(SQLAlchemyError):
            _METADATA.create_all(engine)

    def take(self, name: str) -> DatabaseLease | None:
        """The lease, or `None` where somebody alive has it, or may have."""
        key, owner, began = f"{self.study}/{name}", secrets.token_hex(8), time.monotonic()
        with self.engine.begin() as connection:
            row = connection.execute(
                sql.select(_TABLE.c.owner, _TABLE.c.beat).where(_TABLE.c.name == key)
            ).first()
        if row is None:
            return self._created(key, owner, began)
        found = (str(row.owner), int(row.beat))
        if found[0] and not self._is_stale(key, found, began):
            return None
        if not _update(self.engine, key, found, (owner, found[1] + 1)):
            return None
        return DatabaseLease(self.engine, key, (owner, found[1] + 1), self.stale_after, began)

    def _created(self, key: str, owner: str, began: float) -> DatabaseLease | None:
        try:
            with self.engine.begin() as connection:
                connection.execute(sql.insert(_TABLE).values(name=key, owner=owner, beat=0))
        except IntegrityError:
            return None
        return DatabaseLease(self.engine, key, (owner, 0), self.stale_after, began)

    def _is_stale(self, key: str, found: tuple[str, int], now: float) -> bool:
        seen, since = self._seen.get(key, (None, now))
        if seen != found:
            self._seen[key] = (found, now)
            return False
        return now - since > self.stale_after


class DatabaseLease:
    """The right to be the only one, as long as a thread of this process counts on."""

    def __init__(
        self, engine: Any, key: str, state: tuple[str, int], stale_after: float, began: float
    ) -> None:
        self._engine = engine
        self._key = key
        self._state = state
        self._trusted = TRUSTED * stale_after
        self._renewed = began
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(stale_after / BEATS,), name=f"lease {key}", daemon=True
        )
        self._thread.start()

    @property
    def held(self) -> bool:
        """True as long as nobody else can have it."""
        if time.monotonic() - self._renewed > self._trusted:
            self._ended.set()
        return not self._ended.is_set()

    def release(self) -> None:
        """Let others have it at once; nothing happens if it is lost already."""
        had = self.held
        self._ended.set()
        self._thread.join()
        if had:
            with contextlib.suppress(SQLAlchemyError):  # else it becomes stale
                _update(self._engine, self._key, self._state, ("", self._state[1] + 1))

    def _beat(self, interval: float) -> None:
        while not self._ended.wait(interval):
            began = time.monotonic()
            following = (self._state[0], self._state[1] + 1)
            try:
                renewed = _update(self._engine, self._key, self._state, following)
            except SQLAlchemyError:  # it may come back in time
                continue
            if not renewed:
                self._ended.set()
                return
            self._state, self._renewed = following, began


def _update(engine: Any, key: str, old: tuple[str, int], new: tuple[str, int]) -> bool:
    """Replace the row if it still is as it was seen; True for the one who did."""
    same = (_TABLE.c.name == key) & (_TABLE.c.owner == old[0]) & (_TABLE.c.beat == old[1])
    with engine.begin() as connection:
        done = connection.execute(sql.update(_TABLE).where(same).values(owner=new[0], beat=new[1]))
    return bool(done.rowcount)
