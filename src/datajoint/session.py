"""The session with the database: statements that survive a loss of it, and transactions.

Manual 3.1 and 7.5.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from .backends.base import Backend
from .errors import AccessError, ConflictError, DataJointError, LostConnectionError
from .logging import announce, logger
from .settings import config
from .sql.dialect import Dialect
from .streaming import Sessions
from .version import __version__

_Result = TypeVar("_Result")


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
        self._backend = make()
        self._beside = Sessions(make)
        #: Whether the user has configured the session by statements of his own.
        self._is_configured = False
        self._lock = threading.RLock()
        self._in_transaction = False
        #: How deep blocks of `atomic` are nested in the transaction.
        self._savepoints = 0
        #: The error that ended the transaction in progress for the database, if one did.
        self._broken: DataJointError | None = None
        self._process = os.getpid()

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
        announce(
            f"DataJoint {__version__} connected to {self._backend.description}", config["loglevel"]
        )

    def close(self) -> None:
        """Close the session."""
        self._leave_parent()
        self._in_transaction = False
        self._broken = None
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

    def has_database_of(self, other: Session) -> bool:
        """Tell whether another session is with the same database, whatever its account."""
        places = {(s._backend.name, s._backend.place) for s in (self, other)}
        return len(places) == 1

    # -- operations --------------------------------------------------------------------------

    def _call(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation of the backend with the driver's errors mapped to ours."""
        try:
            return operation()
        except Exception as error:
            mapped = self._backend.map_error(error)
            if mapped is None:
                raise
            if isinstance(mapped, LostConnectionError):
                self._backend.close()
            raise mapped from error

    def _run(
        self,
        operation: Callable[[], _Result],
        reconnect: bool | None = None,
        *,
        repeat: bool = True,
    ) -> _Result:
        """Run an operation; reconnect and, if it may be done twice, repeat it after a loss."""
        with self._lock:
            if self._leave_parent():
                self._backend.connect()
            if self._broken is not None:
                raise type(self._broken)(
                    "The transaction was rolled back after an error; nothing can be done in it"
                ) from self._broken
            if reconnect is None:
                reconnect = config["database.reconnect"]
            if reconnect and not self._in_transaction and not self._is_usable():
                self._reconnect()  # nothing was sent yet, so nothing is repeated
            try:
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

    def _is_usable(self) -> bool:
        return self._backend.is_connected and not self._backend.has_ended

    def _reconnect(self) -> None:
        logger.warning("Reconnecting to %s", self._backend.description)
        self._backend.close()
        self.connect()

    def _break_transaction(self, error: DataJointError) -> DataJointError:
        """Note that the transaction is over for the database, and make the error that says so.

        What follows in it must not be done alone, so everything is refused until it is left.
        """
        self._broken = error
        if not isinstance(error, LostConnectionError):
            self._call(self._backend.rollback)
        return type(error)(*error.args, "The transaction has been rolled back; it can be repeated")

    def _leave_parent(self) -> bool:
        """Let go of the session in a process forked from the one that opened it; tell if it is."""
        if os.getpid() == self._process:
            return False
        self._process = os.getpid()
        self._in_transaction = False
        self._broken = None
        self._beside.abandon()
        self._backend.abandon()
        return True

    # -- transactions -------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is in progress."""
        return self._in_transaction and os.getpid() == self._process

    def start_transaction(self, *, snapshot: bool = True) -> None:
        """Start a transaction.

        Parameters
        ----------
        snapshot : bool
            Whether it reads one consistent state of the database throughout.

        Raises
        ------
        DataJointError
            When one is in progress.
        """
        if self.in_transaction:
            raise DataJointError(
                "A transaction is in progress: nested transactions are not supported. "
                "End it first, or leave this one out"
            )
        self._run(lambda: self._backend.begin(snapshot=snapshot))
        self._in_transaction = True
        logger.debug("Transaction started")

    def cancel_transaction(self) -> None:
        """Undo the transaction in progress."""
        self._leave_parent()
        self._in_transaction = False
        if self._broken is None:
            with suppress(LostConnectionError):  # and the transaction with it
                self._call(self._backend.rollback)
        self._broken = None
        logger.debug("Transaction cancelled")

    def commit_transaction(self) -> None:
        """Make the changes of the transaction in progress permanent, all together.

        Raises
        ------
        DataJointError
            When no transaction is in progress.
        ConflictError
            When others have changed the same data; nothing is changed, and it can be repeated.
        LostConnectionError
            When the connection was lost meanwhile: the changes are there, or none of them is.
        """
        if not self.in_transaction:
            raise DataJointError("No transaction is in progress: there is nothing to commit")
        try:
            self._run(self._backend.commit)
        except LostConnectionError as error:
            raise LostConnectionError(
                "The connection was lost while the transaction was committed: look whether its "
                "changes are there before repeating it"
            ) from error
        self._in_transaction = False
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
            if self.in_transaction:
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
        self._savepoints += 1
        name = f"atomic_{self._savepoints}"  # MySQL forgets one when another gets its name
        try:
            self._savepoint("SAVEPOINT", name)
            try:
                yield
            except BaseException:
                if self._broken is None and self.in_transaction:
                    self._savepoint("ROLLBACK TO SAVEPOINT", name)
                    self._savepoint("RELEASE SAVEPOINT", name)
                raise
            self._savepoint("RELEASE SAVEPOINT", name)
        finally:
            self._savepoints -= 1

    def _savepoint(self, verb: str, name: str) -> None:
        self._run(lambda: self._backend.execute(f"{verb} {name}"))

    # -- administration -----------------------------------------------------------------------

    def kill(self, session: int) -> None:
        """End another session of the server."""
        self._run(lambda: self._backend.kill(session))

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
