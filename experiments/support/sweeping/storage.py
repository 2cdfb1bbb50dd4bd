"""Places of studies: a folder that machines may share, or a database."""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tmd.errors import UserError, printable
from tmd.leases import Leases

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

#: Studies lie below it where no other place is named, and what a study of a database has locally.
DEFAULT_FOLDER = "studies"
JOURNAL = "journal.log"
LEASES = "leases"
#: Seconds for which a place that is away is tried again, and between two tries.
PATIENCE, RETRY = 600.0, 2.0

T = TypeVar("T")


class Taken(Protocol):
    """The right to work at a trial; see `tmd.leases.Lease`."""

    @property
    def held(self) -> bool:
        """True as long as nobody else can have it."""

    def release(self) -> None:
        """Let others have it at once."""


class Takes(Protocol):
    """The leases of a study; see `tmd.leases.Leases`."""

    def take(self, name: str) -> Taken | None:
        """The lease, or `None` where somebody alive has it."""


class StudyStorage:
    """An open place of studies.

    Attributes:
        place: as it was named, without credentials.
        optuna: its storage.
    """

    def __init__(self, place: str, optuna: BaseStorage, folder: Path, engine: Any = None) -> None:
        self.place = place
        self.optuna = optuna
        self.folder = folder
        self._engine = engine

    def leases(self, study: str, stale_after: float) -> Takes:
        """The leases of the trials of a study."""
        if self._engine is None:
            return Leases(self.folder / LEASES, stale_after)
        from experiments.support.sweeping.database_leases import DatabaseLeases

        return DatabaseLeases(self._engine, study, stale_after)


def check_installed() -> None:
    """Raise `UserError` unless Optuna is there."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError("tmd sweep: needs Optuna; pip install 'tmd[sweep]' brings it")


def is_address(storage: str | None) -> bool:
    """Is it a database's?"""
    return storage is not None and "://" in storage


def open_storage(storage: str | None, study: str, create: bool) -> StudyStorage:
    """The place of the study called ``study``.

    Args:
        storage: a folder, or a database's address; None: `DEFAULT_FOLDER`.
        create: make what is missing.

    Raises:
        UserError: it is not there, or can't be had.
    """
    check_installed()
    import optuna
    from optuna.storages import journal as journals

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    if storage is not None and "://" in storage:
        return _database(storage, study)
    folder = Path(storage or DEFAULT_FOLDER).expanduser() / study
    journal = folder / JOURNAL
    if not create and not journal.exists():
        raise UserError(
            f"study={study}: no such study in {printable(folder.parent)}{_known(folder)}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        backend = journals.JournalFileBackend(str(journal))
        opened = optuna.storages.JournalStorage(backend)
    except OSError as problem:
        raise UserError(f"storage={printable(folder)}: {problem.strerror}") from None
    return StudyStorage(str(folder), opened, folder)


def _known(folder: Path) -> str:
    known = sorted(each.parent.name for each in folder.parent.glob(f"*/{JOURNAL}"))
    return f" (it has {', '.join(map(printable, known))})" if known else " (it has none)"


def _database(address: str, study: str) -> StudyStorage:
    import optuna
    import sqlalchemy

    try:
        said = sqlalchemy.engine.make_url(address).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        raise UserError(
            "storage: not a database's address; sqlite:///studies.db, "
            "postgresql://user:password@host/database say, or a folder"
        ) from None
    options: dict[str, Any] = {"pool_pre_ping": True}
    if address.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}
    with database_errors(said):
        opened = optuna.storages.RDBStorage(address, engine_kwargs=options)
    return StudyStorage(said, opened, Path(DEFAULT_FOLDER) / study, opened.engine)


def patiently(call: Callable[[], T]) -> T:
    """``call()``, tried again while the study's place is away, so that no result is lost to that.

    Raises:
        Exception: of the last try, after `PATIENCE` seconds.
    """
    import optuna

    began, said = time.monotonic(), False
    while True:
        try:
            return call()
        except (optuna.exceptions.StorageInternalError, OSError) as problem:
            if time.monotonic() - began > PATIENCE:
                raise
            if not said:
                print(f"the study's place is away, and is tried again: {problem}", file=sys.stderr)
                said = True
            time.sleep(RETRY)


@contextmanager
def database_errors(said: str) -> Iterator[None]:
    """Errors of a database that is away, or that lacks its driver, as one line."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as problem:
        raise UserError(f"storage={said}: its driver is missing ({problem})") from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as problem:
        cause = getattr(problem, "orig", None) or problem.__cause__ or problem
        reason = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise UserError(f"storage={said}: the database can't be used ({reason[:200]})") from None
