"""The heartbeat of a worker: a thread that renews its lease in a session of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .backends.base import Backend
from .errors import DataJointError
from .logging import logger
from .sql.text import SQL
from .streaming import mapped

#: How many times a lease is renewed while it lasts.
BEATS = 4


class Heartbeat:
    """Renews a lease from time to time, whatever the worker does meanwhile.

    Nothing is opened, and no thread works, before the first renewal is due.

    Parameters
    ----------
    make : callable
        Makes a session that is not open yet.
    place : str
        Of the database; one in memory has no other session.
    renew, take : callable
        The id of the session → the statement that renews the lease, and the one that takes it anew.
    duration : float
        Of the lease, in seconds.
    name : str
        Of the worker, for people.
    """

    def __init__(
        self,
        make: Callable[[], Backend],
        place: str,
        renew: Callable[[int], SQL],
        take: Callable[[int], SQL],
        duration: float,
        name: str,
    ) -> None:
        self._make = make
        self._place = place
        self._renew = renew
        self._take = take
        self._pause = duration / BEATS
        self._name = name
        self._backend: Backend | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {name}", daemon=True)

    def start(self) -> None:
        """Begin to wait for the first renewal."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; wait a little for a renewal that is in progress."""
        self._end.set()
        if self._thread.is_alive():  # it may have been interrupted before it began
            self._thread.join(self._pause)

    def _run(self) -> None:
        pause = self._pause
        while not self._end.wait(pause):
            try:
                is_useful = self._beat()
            except DataJointError as error:  # the next one comes sooner
                logger.warning("The lease of %s could not be renewed: %s", self._name, error)
                pause = self._pause / BEATS
            except Exception:
                logger.exception("The lease of %s could not be renewed", self._name)
                pause = self._pause / BEATS
            else:
                if not is_useful:
                    break
                pause = self._pause
        if self._backend is not None:
            self._backend.close()

    def _beat(self) -> bool:
        """Renew the lease; tell whether that is of any use."""
        if self._backend is None or not self._backend.is_connected or self._backend.has_ended:
            self._connect()
        if self._backend is None:
            return False
        session = self._backend.session_id
        if not self._execute(self._backend, self._renew(session)) and not self._end.is_set():
            logger.warning(
                "The lease of %s ran out before it was renewed: others may have taken over what it "
                "had reserved",
                self._name,
            )
            self._execute(self._backend, self._take(session))
        return True

    def _connect(self) -> None:
        """Open the session, unless it would be with another database."""
        backend = self._backend or self._make()
        backend.close()
        self._backend = backend
        mapped(backend, backend.connect)
        if backend.place != self._place:
            backend.close()
            self._backend = None

    def _execute(self, backend: Backend, statement: SQL) -> int:
        text, values = statement.compile(backend.dialect.placeholder)
        return mapped(backend, lambda: backend.execute(text, values).rowcount)
