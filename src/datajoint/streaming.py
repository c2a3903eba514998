"""Results that are read batch by batch, in bounded memory, as they were at one moment.

A result is read in a session of its own, so that the connection is free for whatever the program
does with the rows. Where no other session would do — it could not see what a transaction has
changed, or could not read while this one writes — and where another session would be in the way,
the rows go through a temporary file. Manual 8.4.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, TypeVar
from weakref import WeakSet

from .backends.base import Backend, Source
from .errors import DataJointError, LostConnectionError
from .logging import logger

Row = tuple[Any, ...]
_Result = TypeVar("_Result")

#: Rows and bytes that a batch has at the most, so far as the rows before it tell.
MOST_ROWS, MOST_BYTES = 4096, 2**23
#: Bytes of a temporary file that are kept in memory.
IN_MEMORY = 2**22
#: Sessions that are kept for the next results.
IDLE_SESSIONS = 2


class Pace:
    """How many rows are read at once.

    Parameters
    ----------
    size : int, optional
        So many each time; otherwise as many as make a batch of a sensible size.
    first : int
        How many at first, when nothing is known of their size.
    """

    def __init__(self, size: int | None = None, first: int = 256) -> None:
        self._fixed = size is not None
        self.size = first if size is None else size

    def learn(self, rows: Sequence[Row]) -> None:
        """Look at some rows of a batch to choose the size of the next one."""
        if self._fixed or not rows:
            return
        sample = rows[:: len(rows) // 16 + 1]
        weight = sum(
            len(v) for row in sample for v in row if isinstance(v, (bytes, str, memoryview))
        )
        fitting = MOST_BYTES * len(sample) // (weight + 1)
        self.size = max(1, min(4 * self.size, MOST_ROWS, fitting))


class Stream:
    """The rows of one statement, batch by batch.

    Parameters
    ----------
    session : Backend
        Where the statement runs; it does nothing else meanwhile.
    text, values
        The statement.
    pace : Pace
    release : callable
        Takes the session back as soon as it is free.
    watch : callable
        Is shown each batch that is read from the session.
    """

    def __init__(
        self,
        session: Backend,
        text: str,
        values: Sequence[Any],
        pace: Pace,
        release: Callable[[Stream, Backend], None],
        watch: Callable[[Sequence[Row]], None] = lambda rows: None,
    ) -> None:
        self._session: Backend | None = session
        self._pace = pace
        self._watch = watch
        self._release = release
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._source: Source | None = None
        self._file: SpooledTemporaryFile[bytes] | None = None
        self._broken: DataJointError | None = None
        self._first: Sequence[Row] = ()
        try:
            self._source = mapped(session, lambda: session.stream(text, values))
            self._first = self._fetch(session, self._source)
        except BaseException:
            self._end()
            raise

    def read(self) -> Sequence[Row]:
        """Read the next batch; an empty one at the end.

        Raises
        ------
        LostConnectionError
            When the connection was lost or closed before all rows were read.
        """
        if os.getpid() != self._process:
            raise LostConnectionError(
                "The rows are read by the parent process, from which this one was forked: iterate "
                "over the query anew"
            )
        with self._lock:
            if self._first:
                rows, self._first = self._first, ()
                return rows
            if self._file is not None:
                rows = _load(self._file)
                if rows or self._broken is None:
                    return rows
            if self._broken is not None:
                raise self._broken
            if self._session is None or self._source is None:
                return ()
            return self._fetch_more(self._session, self._source)

    def spool(self) -> None:
        """Read all the rest into a temporary file, so that the session is free."""
        if self._session is None:
            return
        self._file = file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (kept open)
        try:
            while self._source is not None:
                _dump(self._fetch_more(self._session, self._source), file)
        finally:
            self._end()
            file.seek(0)

    def set_aside(self) -> None:
        """Free the session; an error is for whoever reads the rows."""
        with self._lock:
            if os.getpid() == self._process:
                try:
                    self.spool()
                except BaseException as error:
                    if isinstance(error, DataJointError):
                        self._broken = error
                    else:
                        self._broken = DataJointError(f"The rows are lost: {error!r}")
                        raise

    def stop(self) -> None:
        """End because the connection is closed."""
        with self._lock:
            if self._session is not None:
                self._broken = LostConnectionError(
                    "The connection was closed before all rows of the query were read"
                )
                self.close()

    def close(self) -> None:
        """Let go of what is not read yet."""
        if os.getpid() != self._process:  # in a child: the parent goes on with the session
            if self._session is not None:
                _ABANDONED.append(self._source)
                self._session.abandon()
                self._session = None
            return
        with self._lock:
            self._first = ()
            if self._file is not None:
                self._file.close()
                self._file = None
            self._end()

    def _fetch(self, session: Backend, source: Source) -> Sequence[Row]:
        """Read a batch from the session, which is free after the last one."""
        count = self._pace.size
        rows = mapped(session, lambda: source.fetchmany(count))
        if len(rows) < count:
            self._end()
        self._pace.learn(rows)
        self._watch(rows)
        return rows

    def _fetch_more(self, session: Backend, source: Source) -> Sequence[Row]:
        try:
            return self._fetch(session, source)
        except LostConnectionError as error:
            self._end()
            self._broken = type(error)(
                *error.args, "Some rows of the query were read already; iterate over it anew"
            )
            raise self._broken from error
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        """Give the session back."""
        session, self._session = self._session, None
        source, self._source = self._source, None
        if session is None:
            return
        if source is not None:
            with suppress(DataJointError):  # whoever uses the session next will notice
                mapped(session, source.close)
        self._release(self, session)


def _dump(rows: Sequence[Row], file: SpooledTemporaryFile[bytes]) -> None:
    """Write a batch into a temporary file, which has no name: nobody else can write into it."""
    try:
        pickle.dump(rows, file, pickle.HIGHEST_PROTOCOL)
    except OSError as error:
        raise DataJointError(
            f"The rows of a query cannot be kept in a temporary file in {gettempdir()}: {error}. "
            "The variable TMPDIR names another folder"
        ) from error


def _load(file: SpooledTemporaryFile[bytes]) -> Sequence[Row]:
    """Read a batch that :func:`_dump` wrote."""
    try:
        rows: Sequence[Row] = pickle.load(file)
    except (EOFError, pickle.UnpicklingError):  # the end, or a batch that was not written whole
        return ()
    return rows


#: What belongs to the session of a parent process: to collect it is to talk to the server.
_ABANDONED: list[Any] = []


def mapped(session: Backend, operation: Callable[[], _Result]) -> _Result:
    """Run an operation of a session with the driver's errors mapped to ours."""
    try:
        return operation()
    except Exception as error:
        known = session.map_error(error)
        if known is None:
            raise
        if isinstance(known, LostConnectionError):
            session.close()
        raise known from error
    except BaseException:  # of a signal: what the server sends next may belong to this statement
        if not session.survives_interrupts:
            session.close()
        raise


def read_aside(
    session: Backend,
    text: str,
    values: Sequence[Any],
    pace: Pace,
    watch: Callable[[Sequence[Row]], None],
) -> Stream:
    """Run a statement and read its result through at once, in bounded memory."""
    stream = Stream(session, text, values, pace, lambda stream, session: None, watch)
    try:
        stream.spool()
    except BaseException:
        stream.close()
        raise
    return stream


class Sessions:
    """The sessions beside that of a connection, in each of which one result is read at a time.

    Parameters
    ----------
    make : callable
        Makes a session that is not open yet.
    """

    def __init__(self, make: Callable[[], Backend]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._idle: list[Backend] = []
        self._running: WeakSet[Stream] = WeakSet()

    def open(self, text: str, values: Sequence[Any], pace: Pace, repeat: bool) -> Stream | None:
        """Run a statement, once more if the session was lost before there were rows.

        Returns
        -------
        Stream or None
            None when there can be no other session.
        """
        session = self._take()
        if session is None:
            return None
        try:
            stream = Stream(session, text, values, pace, self._give_back)
        except LostConnectionError:
            session = self._take() if repeat else None
            if session is None:
                raise
            stream = Stream(session, text, values, pace, self._give_back)
        with self._lock:
            self._running.add(stream)
        return stream

    def set_aside(self) -> None:
        """Free all sessions, whose results keep others from changing the tables."""
        with self._lock:
            running = list(self._running)
        for stream in running:
            stream.set_aside()

    def close(self) -> None:
        """Close all sessions."""
        with self._lock:
            running = list(self._running)
        for stream in running:
            stream.stop()
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def abandon(self) -> None:
        """Forget the sessions, which belong to the parent process."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        for session in self._idle:
            session.abandon()
        self._idle = []
        self._running = WeakSet()

    def _take(self) -> Backend | None:
        """Take an idle session that answers, or open one."""
        while True:
            with self._lock:
                session = self._idle.pop() if self._idle else None
            if session is None:
                break
            if not session.has_ended:
                return session
            session.close()
        session = self._make()
        try:
            mapped(session, session.connect)
        except DataJointError as error:
            logger.debug("No second session: %s", error)
            return None
        return session

    def _give_back(self, stream: Stream, session: Backend) -> None:
        with self._lock:
            self._running.discard(stream)
            if session.is_connected and len(self._idle) < IDLE_SESSIONS:
                self._idle.append(session)
                return
        session.close()
