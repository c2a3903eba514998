"""The session with the database: statements that survive a loss of it, and transactions.

Manual 3.1 and 7.5.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .backends.base import Backend, Seen
from .errors import (
    AccessError,
    ConflictError,
    DataJointError,
    LostConnectionError,
    MissingTableError,
    QueryError,
)
from .logging import announce, logger
from .reads import Digest, Read, Reads, Row, Values, is_ordered
from .settings import config
from .sql.dialect import Dialect
from .streaming import Sessions, mapped
from .version import __version__

_Result = TypeVar("_Result")

#: Seconds that ``populate`` waits for transactions of other threads.
OTHERS_SECONDS = 60.0
#: What to do about threads that share one.
OWN_CONNECTION = "Give each thread a connection of its own, as by dj.Connection()"


class _Opened(NamedTuple):
    """A session of ours, and when it was opened."""

    id: int
    monotonic: float
    clock: float

    @property
    def age(self) -> float:
        """Seconds; one of the clocks stands still while a computer sleeps, the other can be set."""
        return max(time.monotonic() - self.monotonic, time.time() - self.clock)


class Session:
    """One session with the database, which is opened again when it is lost.

    Parameters
    ----------
    make : callable
        Makes a backend; nothing is opened yet.
    has_password : bool
        Whether a password was given.
    """

    def __init__(self, make: Callable[[], Backend], has_password: bool) -> None:
        self._has_password = has_password
        self._make = make
        self._backend = make()
        self._beside = Sessions(make)
        #: Whether the user has configured the session by statements of his own.
        self._is_configured = False
        self._lock = threading.RLock()
        self._in_transaction = False
        #: How deep blocks of `atomic` are nested in the transaction.
        self._savepoints = 0
        #: What the transaction has read, while it is optimistic and has changed nothing.
        self._seen: Reads | None = None
        #: The savepoints that it has not told the database of meanwhile.
        self._later: list[str] = []
        #: Those who want to know what is read.
        self._recorders: list[Reads] = []
        self._unrecorded = 0
        #: The error that ended the transaction in progress for the database, if one did.
        self._broken: DataJointError | None = None
        self._opened: _Opened | None = None
        self._process = os.getpid()
        #: The thread that has begun the transaction in progress.
        self._thread: int | None = None
        #: The table whose `make` that thread calls in it.
        self._making: object = None

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database."""
        return self._backend.dialect

    @property
    def backend(self) -> Backend:
        """The database behind the connection."""
        return self._backend

    def connect(self) -> None:
        """Open the session, and say to what."""
        self._is_configured = False
        try:
            self._call(self._backend.connect)
        except AccessError as error:
            if self._has_password:
                raise
            raise error.suggest(
                "No password is configured: set dj.config['database.password'], or DJ_PASS in the "
                "environment"
            ) from error.__cause__
        self._opened = _Opened(self._backend.session_id, time.monotonic(), time.time())
        announce(
            f"DataJoint {__version__} connected to {self._backend.description}", config["loglevel"]
        )

    def close(self) -> None:
        """Close the session."""
        self._leave_parent()
        self._forget_transaction()
        self._beside.close()
        self._backend.close()

    @property
    def is_connected(self) -> bool:
        """Whether the session is open."""
        return self._backend.is_connected

    def ping(self) -> None:
        """Check that the database answers.

        Raises
        ------
        LostConnectionError
            When it does not.
        """
        self._call(lambda: self._backend.execute("SELECT 1"))

    def get_user(self) -> str:
        """Return ``user@host`` as the database knows the session."""
        return self._backend.user

    def revive(self) -> None:
        """Open the session again, if it was lost.

        Raises
        ------
        LostConnectionError
            When the database cannot be reached, or the session is not to be opened again.
        """
        self._run(lambda: None)

    @property
    def connection_id(self) -> int:
        """Identifies the session among those of the database."""
        return self._backend.session_id

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "disconnected"
        return f"DataJoint connection ({state}) to {self._backend.description}"

    def new_backend(self) -> Backend:
        """Make a session with the same database and account that is not open yet."""
        return self._make()

    def has_database_of(self, other: Session) -> bool:
        """Tell whether another session is with the same database, whatever its account."""
        places = {(s._backend.name, s._backend.place) for s in (self, other)}
        return len(places) == 1

    # -- operations --------------------------------------------------------------------------

    def _call(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation of the backend with the driver's errors mapped to ours."""
        return mapped(self._backend, operation)

    def _run(
        self,
        operation: Callable[[], _Result],
        reconnect: bool | None = None,
        *,
        repeat: bool = True,
        changes: bool = False,
    ) -> _Result:
        """Run an operation; reconnect and, if it may be done twice, repeat it after a loss.

        One that changes something is preceded by what an optimistic transaction must do before.
        """
        with self._lock:
            if self._leave_parent():
                self._backend.connect()
            if self._broken is not None:
                raise type(self._broken)(
                    "The transaction was rolled back after an error; nothing can be done in it"
                ) from self._broken
            if changes:
                self._check_thread()
            if reconnect is None:
                reconnect = config["database.reconnect"]
            if reconnect and not self._in_transaction and not self._is_usable():
                self._reconnect()  # nothing was sent yet, so nothing is repeated
            try:
                if changes and self._seen is not None:
                    self._promote(self._seen)
                return self._call(operation)
            except (LostConnectionError, ConflictError) as error:
                if self._in_transaction:
                    raise self._break_transaction(error) from error
                if isinstance(error, ConflictError):
                    raise
                if not (reconnect and repeat):
                    raise
                self._reconnect()
                return self._call(operation)
            except BaseException:
                self._look_whether_ended()
                raise

    def _is_usable(self) -> bool:
        return self._backend.is_connected and not self._backend.has_ended

    def _reconnect(self) -> None:
        logger.warning("Reconnecting to %s", self._backend.description)
        lost = self._opened
        self._backend.close()
        self.connect()
        if lost is not None:
            self.end_lost(lost.id, lost.age)

    def _break_transaction(self, error: DataJointError) -> DataJointError:
        """Note that the transaction is over for the database, and make the error that says so.

        What follows in it must not be done alone, so everything is refused until it is left.
        """
        self._broken = error
        self._seen = None
        self._later.clear()
        if not isinstance(error, LostConnectionError):
            self._call(self._backend.rollback)
        return type(error)(*error.args, "The transaction has been rolled back; it can be repeated")

    def _look_whether_ended(self) -> None:
        """Note, after an error or an interruption, if the transaction is over for the database."""
        if self._in_transaction and self._broken is None and not self._backend.in_transaction:
            self._broken = LostConnectionError(
                "A statement failed or was interrupted, which ended the transaction"
            )

    def _leave_parent(self) -> bool:
        """Let go of the session in a process forked from the one that opened it; tell if it is."""
        if os.getpid() == self._process:
            return False
        self._process = os.getpid()
        self._forget_transaction()
        self._opened = None  # the parent's
        self._beside.abandon()
        self._backend.abandon()
        return True

    # -- transactions -------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is in progress."""
        return self._in_transaction and os.getpid() == self._process

    @property
    def has_own_transaction(self) -> bool:
        """Whether a transaction is in progress that this thread has begun."""
        return self.in_transaction and self._thread == threading.get_ident()

    @property
    def is_optimistic(self) -> bool:
        """Whether a transaction is in progress that leaves it to others to write, so far."""
        return self.in_transaction and self._seen is not None

    @property
    def lost_to(self) -> ConflictError | LostConnectionError | None:
        """The conflict, or the loss, that ended the transaction in progress, if one did.

        Whatever error comes of it later, the transaction can be repeated.
        """
        broken = self._broken if self.in_transaction else None
        if isinstance(broken, LostConnectionError):
            return None if self.is_connected else broken
        return broken if isinstance(broken, ConflictError) else None

    def start_transaction(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        """Start a transaction.

        Parameters
        ----------
        snapshot : bool
            Whether it reads one consistent state of the database throughout.
        optimistic : bool
            Where one transaction at a time can write: let others do so until this one changes
            something. If they have changed what it has read by then, that is a
            :class:`ConflictError`: the transaction is rolled back, and can be repeated. On other
            databases this changes nothing.

        Raises
        ------
        DataJointError
            When one is in progress.
        """
        with self._lock:
            self._check_thread()
            if self.in_transaction:
                advice = "End it first, or leave this one out"
                if not self.has_own_transaction:
                    advice = f"Another thread has begun it on this connection. {OWN_CONNECTION}"
                raise DataJointError(
                    "A transaction is in progress: nested transactions are not supported. " + advice
                )
            try:
                self._run(lambda: self._backend.begin(snapshot=snapshot, optimistic=optimistic))
                leaves_it = self._backend.has_one_writer and self._backend.reads_beside
                self._seen = Reads() if optimistic and leaves_it else None
                self._thread = threading.get_ident()
                self._in_transaction = True
            except BaseException as error:
                if not isinstance(error, Exception):  # which may have come when it had begun
                    self._end_transaction()
                raise
        logger.debug("Transaction started")

    def cancel_transaction(self) -> None:
        """Undo the transaction in progress.

        Raises
        ------
        DataJointError
            When it is that of a ``make`` that another thread calls.
        """
        self._leave_parent()
        self._check_thread()
        self._end_transaction()
        logger.debug("Transaction cancelled")

    @property
    def _is_for_others(self) -> bool:
        """Whether the transaction in progress is that of a ``make`` that another thread calls."""
        is_make = self.in_transaction and self._making is not None
        return is_make and not self.has_own_transaction

    def _check_thread(self) -> None:
        if self._is_for_others:
            raise DataJointError(
                f"A thread populates {self._making} on this connection, and its transaction is in "
                "progress: what another thread changes would be undone with it, and the other way "
                f"round. {OWN_CONNECTION}"
            )

    def _end_transaction(self) -> None:
        """Undo the transaction, if the database has it still."""
        try:
            with suppress(LostConnectionError):  # and the transaction with it
                self._call(self._backend.rollback)
        finally:
            self._forget_transaction()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads from the connection, once their transaction is over.

        It is waited for, a minute at the most; whoever cannot do with it has to look then.
        """
        latest = time.monotonic() + OTHERS_SECONDS
        while True:
            with self._lock:
                is_others = self.in_transaction and not self.has_own_transaction
                if not is_others or time.monotonic() > latest:
                    yield
                    return
            time.sleep(0.01)

    def start_make(self, table: object, *, optimistic: bool = False) -> None:
        """Start a transaction for a ``make``, which this thread is going to call.

        It alone may change something in it, and it cannot commit. Transactions of other threads
        are waited for, as by :meth:`alone`.

        Parameters
        ----------
        table : TableName
        optimistic : bool
            As for :meth:`start_transaction`.

        Raises
        ------
        DataJointError
            When a transaction is in progress.
        """
        with self.alone():
            self.start_transaction(optimistic=optimistic)
            self._making = table

    def commit_make(self) -> None:
        """Commit the transaction in progress, once the ``make`` is done."""
        with self._lock:
            self._making = None
            self.commit_transaction()

    def is_making(self, table: object) -> bool:
        """Tell whether the transaction in progress is that of a ``make`` of a table."""
        return self.in_transaction and self._making == table

    def _forget_transaction(self) -> None:
        self._in_transaction = False
        self._thread = self._making = None
        self._broken = None
        self._seen = None
        self._later.clear()

    def commit_transaction(self) -> None:
        """Make the changes of the transaction in progress permanent, all together.

        Raises
        ------
        DataJointError
            When no transaction is in progress, or it is that of a ``make``, which ends with that.
        ConflictError
            When others have changed the same data; nothing is changed, and it can be repeated.
        LostConnectionError
            When the connection was lost meanwhile: the changes are there, or none of them is.
        """
        if not self.in_transaction:
            raise DataJointError("No transaction is in progress: there is nothing to commit")
        self._check_thread()
        if self._making is not None:
            raise DataJointError(
                f"`make` of {self._making} ended the transaction that it is called in: what it "
                "inserts is committed when it returns, and not before"
            )
        try:
            self._run(self._backend.commit)
        except LostConnectionError as error:
            raise LostConnectionError(
                "The connection was lost while the transaction was committed: look whether its "
                "changes are there before repeating it"
            ) from error
        self._forget_transaction()
        logger.debug("Transaction committed")

    @property
    def transaction(self) -> Any:
        """A context manager: all changes inside take effect together, or none after an error.

        Examples
        --------
        >>> with connection.transaction:  # doctest: +SKIP
        ...     Session.insert1(session)
        ...     Session.Experimenter.insert(experimenters)
        """
        return self._transaction()

    @contextmanager
    def _transaction(self, *, snapshot: bool = True) -> Iterator[Session]:
        self.start_transaction(snapshot=snapshot)
        try:
            yield self
            self.commit_transaction()
        except BaseException:
            if self.in_transaction and not self._is_for_others:
                self.cancel_transaction()
            raise

    @contextmanager
    def atomic(self, *, snapshot: bool = True) -> Iterator[None]:
        """All changes inside take effect together, within a transaction in progress or alone.

        Parameters
        ----------
        snapshot : bool
            As for :meth:`start_transaction`, for a transaction of its own.
        """
        if not self.in_transaction:
            with self._transaction(snapshot=snapshot):
                yield
            return
        self._check_thread()
        self._savepoints += 1
        name = f"atomic_{self._savepoints}"  # MySQL forgets one when another gets its name
        try:
            self._set_savepoint(name)
            try:
                yield
            except BaseException:
                if self._broken is None and self.in_transaction:
                    self._leave_savepoint(name, "ROLLBACK TO", "RELEASE")
                raise
            self._leave_savepoint(name, "RELEASE")
        finally:
            self._savepoints -= 1

    def _set_savepoint(self, name: str) -> None:
        with self._lock:
            if self.is_optimistic:  # until something is changed, it is as good as set
                self._later.append(name)
            else:
                self._run(lambda: self._backend.execute(f"SAVEPOINT {name}"))

    def _leave_savepoint(self, name: str, *verbs: str) -> None:
        with self._lock:
            if name in self._later:
                self._later.remove(name)
                return
            for verb in verbs:
                self._run(partial(self._backend.execute, f"{verb} SAVEPOINT {name}"))

    def _promote(self, seen: Reads) -> None:
        """Let the optimistic transaction change something; what it has read must be as it was."""
        # An interruption leaves it broken.
        self._broken = ConflictError("The transaction was interrupted before its first change")
        try:
            is_later = self._call(self._backend.promote)
        except DataJointError as error:
            self._broken = error
            raise
        changed = next(self._changed(seen, self._call), None) if is_later else None
        if changed is not None:
            tables = ", ".join(self.tables_in(changed.text)) or "the database"
            raise ConflictError(
                f"What the transaction has read of {tables} was changed by others before it "
                "changed anything itself"
            )
        for name in self._later:
            self._call(partial(self._backend.execute, f"SAVEPOINT {name}"))
        self._later.clear()
        self._seen = self._broken = None

    # -- what is read -------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[Reads]:
        """Note all that is read inside, but for the catalog and what DataJoint keeps for itself.

        Returns
        -------
        context manager
            Of the :class:`~datajoint.reads.Reads`, which become more.
        """
        reads = Reads()
        self._recorders.append(reads)
        try:
            yield reads
        finally:
            self._recorders.remove(reads)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Note nothing of what is read inside: others may change it at any time."""
        self._unrecorded += 1
        try:
            yield
        finally:
            self._unrecorded -= 1

    def changed(self, reads: Iterable[Read]) -> Iterator[Read]:
        """Run statements again, and iterate over those that give another result now, or an error.

        Parameters
        ----------
        reads : iterable of Read

        Raises
        ------
        LostConnectionError
            When the connection is lost for good.
        """
        return self._changed(reads, self._run_apart)

    def _run_apart(self, operation: Callable[[], str]) -> str:
        """Run an operation of which an error does not end the transaction in progress."""
        with self.atomic() if self.in_transaction else nullcontext():
            return self._run(operation)

    def tables_in(self, text: str) -> list[str]:
        """Name the tables that a statement names, of those that are known."""
        return []

    def _changed(
        self, reads: Iterable[Read], run: Callable[[Callable[[], str]], str]
    ) -> Iterator[Read]:
        for read in reads:
            try:
                now = run(partial(self._digest, read.text, read.values))
            except ConflictError:
                raise
            except (QueryError, MissingTableError) as error:
                logger.debug("%s: %s", read.text, error)
                now = ""
            if now != read.digest:
                yield read

    def _digest(self, text: str, values: Values) -> str:
        digest = Digest(is_ordered(text))
        digest.add(self._backend.execute(text, values))  # type: ignore[arg-type]
        return str(digest)

    @property
    def is_recorded(self) -> bool:
        """Whether somebody wants to know what is read."""
        return bool(self._recorders) and not self._unrecorded

    def _note_change(self, text: str) -> None:
        """Tell those who want to know what is read that a statement changes something."""
        for reads in self._recorders:
            reads.add_change(text)

    @property
    def _is_recording(self) -> bool:
        return self.is_recorded or (self._seen is not None and not self._unrecorded)

    @contextmanager
    def _noting(self, text: str, values: Values) -> Iterator[Callable[[Iterable[Row]], None]]:
        """Give a function that takes in the rows of a statement, which is noted at the end."""
        if not self._is_recording:
            yield lambda rows: None
            return
        digest = Digest(is_ordered(text))
        yield digest.add
        read = Read(text, values, str(digest))
        for reads in self._recorders if self._seen is None else (*self._recorders, self._seen):
            reads.add(read)

    # -- administration -----------------------------------------------------------------------

    def kill(self, session: int) -> None:
        """End another session of the server."""
        self._run(lambda: self._backend.kill(session))

    def ended(self, sessions: Collection[Seen]) -> tuple[set[Seen], float]:
        """Find which of some sessions have certainly ended, and when the server began."""
        return self._run(lambda: self._backend.ended(sessions))

    def end_lost(self, session: int, age: float) -> None:
        """End a session of the user that was lost, if the server does not know that yet.

        What it has changed would stay locked, for hours where a network was cut or a program hangs.

        Parameters
        ----------
        session : int
            Its id, which may be that of another session since.
        age : float
            For how many seconds it was, or would be, open.
        """
        try:
            self._call(lambda: self._backend.end_lost(session, age))
        except DataJointError as error:
            logger.warning("The session %d that was lost could not be ended: %s", session, error)

    def set_password(self, password: str) -> None:
        """Change the password of the user."""
        self._run(lambda: self._backend.set_password(password))

    @contextmanager
    def requiring(self, privilege: str, action: str, name: object) -> Iterator[None]:
        """Name what an operation on a table or schema needs, when the database denies it."""
        try:
            yield
        except AccessError as error:
            raise AccessError(
                f"Cannot {action} {name}: the user {self.get_user()} lacks the privilege "
                f"{privilege}",
                *error.args,
            ) from error.__cause__
