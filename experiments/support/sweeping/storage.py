"""Places of studies: a folder that machines may share, or a database."""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from experiments.support.saying import say
from tmd.errors import UnreachableError, UserError, printable
from tmd.leases import Leases

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

#: Studies lie below it where no other place is named, and what a study of a database has locally.
DEFAULT_FOLDER = "studies"
JOURNAL = "journal.log"
LEASES = "leases"
#: Seconds for which a place that is away is tried again, and between two tries.
PATIENCE, RETRY = 600.0, 2.0
#: Seconds that a database may take to answer the first time.
CONNECT = 10
DRIVERS = (
    "postgresql+psycopg://… needs pip install 'psycopg[binary]', mysql+pymysql://… pip install "
    "pymysql"
)

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


class PatientStorage:
    """A storage of Optuna's, each call of which is tried again while its place is away.

    A call that was carried out although no answer came is harmless when it is repeated.

    Args:
        inner: the storage.
        place: as it was named, without credentials.

    Attributes:
        patience: seconds for which a call is tried again; 0 at first, so that a place that is away
            at the start is said at once.
    """

    def __init__(self, inner: BaseStorage, place: str) -> None:
        self._inner = inner
        self._place = place
        self.patience = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, found) if callable(found) else found

    def _call(self, call: Callable[..., T], *words: Any, **named: Any) -> T:
        return patiently(partial(call, *words, **named), self._place, self.patience)


class StudyStorage:
    """An open place of studies.

    Attributes:
        place: as it was named, without credentials.
        optuna: its storage.
    """

    def __init__(self, place: str, optuna: BaseStorage, folder: Path, engine: Any = None) -> None:
        self.place = place
        self._patient = PatientStorage(optuna, place)
        self.folder = folder
        self._engine = engine

    @property
    def optuna(self) -> BaseStorage:
        """Optuna's storage."""
        return cast("BaseStorage", self._patient)

    def be_patient(self) -> None:
        """Wait for the place, from now on, where it is away."""
        self._patient.patience = PATIENCE

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
    elif address.startswith(("postgresql", "mysql", "mariadb")):
        options["connect_args"] = {"connect_timeout": CONNECT}
    with database_errors(said):
        opened = optuna.storages.RDBStorage(address, engine_kwargs=options)
    cached = optuna.storages.get_storage(opened)
    return StudyStorage(said, cached, Path(DEFAULT_FOLDER) / study, opened.engine)


def patiently(call: Callable[[], T], place: str, patience: float | None = None) -> T:
    """``call()``, tried again while what it asks is away, so that no result is lost to that.

    Args:
        place: for people, without credentials.
        patience: seconds; None: `PATIENCE`.

    Raises:
        UserError: it is still away after that time.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    said = False
    while True:
        try:
            return call()
        except _absences() as problem:
            reason = reason_of(problem)
            if time.monotonic() >= deadline:
                raise UnreachableError(f"{place}: is away ({reason})") from None
            if not said:
                say(f"{place}: is away, and is tried again ({reason})")
                said = True
            time.sleep(RETRY)


def _absences() -> tuple[type[Exception], ...]:
    """What is raised where a folder or a database is away."""
    import optuna

    kinds: tuple[type[Exception], ...] = (
        optuna.exceptions.StorageInternalError,
        OSError,
        UnreachableError,
    )
    if (sqlalchemy := sys.modules.get("sqlalchemy")) is not None:
        kinds = (*kinds, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
    return kinds


def reason_of(problem: BaseException) -> str:
    """The driver's own words in an error, in a line."""
    cause = problem if isinstance(problem, OSError) else problem.__cause__ or problem
    text = str(getattr(cause, "orig", None) or cause).replace("\n", " ")
    return printable(" ".join(text.split())[:200])


@contextmanager
def database_errors(said: str) -> Iterator[None]:
    """Errors of a database that is away, or that lacks its driver, as one line."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as problem:
        raise UserError(f"storage={said}: its driver is missing ({problem}); {DRIVERS}") from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as problem:
        raise UserError(
            f"storage={said}: the database can't be used ({reason_of(problem)})"
        ) from None
