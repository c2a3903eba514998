"""Making one key: calling ``make`` in one transaction, again where that can help.

Manual 9.1.1, 9.3.1 and 9.4.
"""

from __future__ import annotations

import inspect
import random
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from .connection import Connection
from .errors import (
    ConflictError,
    DataJointError,
    DuplicateError,
    LostConnectionError,
    ReservationLostError,
)
from .hash import deep_hash
from .jobs import shortened
from .key_source import Key, Populated, made_among
from .leases import Lease
from .logging import logger
from .provenance import code_of, keeper, remove_stale, stale
from .settings import config
from .terminating import Terminated, check_terminated

_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])

#: How often a key is made again after others changed the same data.
CONFLICTS = 10
#: How many of these times it is made without keeping others from writing.
OPTIMISTIC = 3
#: Seconds of the first and of the longest pause before something is tried again.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 20.0
#: Seconds after which whoever waits for others to unlock rows may wait for one that is frozen.
FROZEN = 10.0


def left_to_users(function: _Function) -> _Function:
    """Mark a method that the class of a table is to define."""
    function.__dict__["is_left_to_users"] = True
    return function


class Makeable(Populated, Protocol):
    """What is needed of a table to make its keys."""

    transient_errors: ClassVar[tuple[type[BaseException], ...]]

    def _keeps_provenance(self) -> bool: ...

    def _job_key(self, key: Key) -> Key: ...


@dataclass(frozen=True)
class Outcome:
    """What came of one key.

    Attributes
    ----------
    key : dict
    status : str
        ``made``, ``failed``, or ``skipped``: others have made it, have taken it over, or have
        removed what it was to be made of.
    seconds : float
        How long it took.
    error : BaseException or None
        Why it failed.
    is_lost : bool
        Whether it was skipped because its reservation was not there any more.
    """

    key: Key
    status: Literal["made", "skipped", "failed"]
    seconds: float = 0.0
    error: BaseException | None = None
    is_lost: bool = False


# -- the method that makes a key -----------------------------------------------------------------

#: Does what comes before the transaction, and gives what is to be done in it.
_Steps = Callable[[Key], Callable[[], object]]


def steps_of(table: Makeable, make_kwargs: Mapping[str, Any]) -> _Steps:
    """Find how a table makes its keys.

    Raises
    ------
    NotImplementedError
        When its class does not say.
    """
    class_ = type(table)
    make = _defined(table, "_make_tuples") or _defined(table, "make")
    if make is not None:
        if inspect.isgeneratorfunction(inspect.unwrap(make)):
            return _GeneratorSteps(table, make, make_kwargs)
        return _PlainSteps(table, make, make_kwargs)
    parts = {name: _defined(table, f"make_{name}") for name in ("fetch", "compute", "insert")}
    fetch, compute, insert = parts.values()
    if fetch and compute and insert:
        return _ThreeSteps(table, fetch, compute, insert, make_kwargs)
    missing = " and ".join(f"`make_{name}`" for name, part in parts.items() if part is None)
    advice = f"; of its three parts, {missing} is missing" if any(parts.values()) else ""
    raise NotImplementedError(
        f"The class `{class_.__name__}` must have a method `make(self, key)` that computes the "
        f"entities for a key and inserts them{advice}"
    )


def _defined(table: Makeable, name: str) -> Callable[..., Any] | None:
    """Get a method, if the class of the user defines it."""
    method = getattr(table, name, None)
    return None if getattr(method, "is_left_to_users", False) else method


@dataclass(frozen=True)
class _PlainSteps:
    """``make`` does it all, in the transaction."""

    table: Makeable
    make: Callable[..., Any]
    make_kwargs: Mapping[str, Any]

    def __call__(self, key: Key) -> Callable[[], object]:
        def work() -> None:
            returned = self.make(dict(key), **self.make_kwargs)
            if inspect.isgenerator(returned):
                raise DataJointError(
                    f"`make` of {self.table.name} returned a generator, which does nothing by "
                    "itself: to make keys in three parts, `yield` in `make` itself"
                )
            if inspect.iscoroutine(returned) or inspect.isasyncgen(returned):
                if inspect.iscoroutine(returned):
                    returned.close()
                raise DataJointError(
                    f"`make` of {self.table.name} is asynchronous, and does nothing when it is "
                    "called: define it by `def make`, and use `asyncio.run` in it"
                )

        return work


@dataclass(frozen=True)
class _ThreeSteps:
    """``make_fetch`` and ``make_compute`` before the transaction, ``make_insert`` in it."""

    table: Makeable
    fetch: Callable[..., Any]
    compute: Callable[..., Any]
    insert: Callable[..., Any]
    make_kwargs: Mapping[str, Any]

    def __call__(self, key: Key) -> Callable[[], object]:
        fetched = self._arguments(self.fetch(dict(key), **self.make_kwargs), "fetch", "compute")
        before = _fetched_hash(self.table, fetched)
        computed = self._arguments(self.compute(dict(key), *fetched), "compute", "insert")
        del fetched  # which may be large

        def work() -> None:
            _check_same(self.table, before, self.fetch(dict(key), **self.make_kwargs))
            self.insert(dict(key), *computed)

        return work

    def _arguments(self, returned: Any, part: str, following: str) -> Any:
        if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
            raise DataJointError(
                f"`make_{part}` of {self.table.name} must return a tuple, the arguments of "
                f"`make_{following}` after the key, not {type(returned).__name__}: for a single "
                "one, write a comma after it, as in `return (value,)`"
            )
        return returned


@dataclass(frozen=True)
class _GeneratorSteps:
    """``make`` yields what it fetched, then what it computed; given that, it inserts it."""

    table: Makeable
    make: Callable[..., Generator[Any, Any, Any]]
    make_kwargs: Mapping[str, Any]

    def __call__(self, key: Key) -> Callable[[], object]:
        steps = self.make(dict(key), **self.make_kwargs)
        try:
            before = _fetched_hash(self.table, self._next(steps, "what it fetched"))
            computed = self._next(steps, "what it computed")
            place = _place(steps)
        finally:
            steps.close()

        def work() -> None:
            again = self.make(dict(key), **self.make_kwargs)
            try:
                _check_same(self.table, before, self._next(again, "what it fetched"))
                with suppress(StopIteration):
                    again.send(computed)
                    if _place(again) == place:  # another `yield` may be its last word
                        raise DataJointError(
                            f"`make` of {self.table.name} computed again what it was given, and "
                            "inserted nothing: the test by which it tells that it is to compute, "
                            "such as `if result is None`, must be of something that is never so "
                            "when it is computed"
                        )
            finally:
                again.close()

        return work

    def _next(self, steps: Generator[Any, Any, Any], what: str) -> Any:
        try:
            return next(steps)
        except StopIteration:
            raise DataJointError(
                f"`make` of {self.table.name} has a `yield` and so makes its keys in three parts: "
                f"it must yield what it fetched, and then what it computed; it ended before it "
                f"yielded {what}"
            ) from None


def _place(steps: Any) -> tuple[object, int]:
    """Tell at which ``yield`` a generator stands, its own or that of one that it yields from."""
    while inspect.isgenerator(steps.gi_yieldfrom):
        steps = steps.gi_yieldfrom
    return steps.gi_code, steps.gi_frame.f_lasti


def _fetched_hash(table: Makeable, fetched: Any) -> bytes:
    try:
        return deep_hash(fetched)
    except TypeError as error:
        raise DataJointError(
            f"What {table.name} fetches to make a key cannot be compared with what it fetches "
            f"later, when it inserts: {error}. Fetch plain values and arrays"
        ) from error


def _check_same(table: Makeable, before: bytes, fetched: Any) -> None:
    """Refuse to insert what was computed from data that are others now."""
    if _fetched_hash(table, fetched) != before:
        raise DataJointError(
            f"What {table.name} fetched to make the key has changed while it was computed; nothing "
            "was inserted. Populate again to compute it from the data as they are now"
        )


# -- trying again --------------------------------------------------------------------------------


def pauses(first: float, longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Give pauses that double, each up to a half longer or shorter by chance."""
    while True:
        yield first * random.uniform(0.5, 1.5)
        first = min(2 * first, longest)


class Patience:
    """Waits for a database that was lost, so long in all as `populate.patience` says.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pauses = pauses(FIRST_PAUSE)
        self._left = float(config["populate.patience"])

    def wait(self, error: LostConnectionError) -> None:
        """Wait until the database is there again.

        Raises
        ------
        LostConnectionError
            The error, when patience is exhausted.
        """
        while True:
            pause = next(self._pauses)
            self._left -= pause
            if self._left < 0 or not config["database.reconnect"]:
                raise error
            logger.warning("The connection was lost; trying again in %.2g s: %s", pause, error)
            time.sleep(pause)
            try:
                self._connection.revive()
                return
            except LostConnectionError as again:
                error = again

    def run(self, operation: Callable[[], _Result]) -> _Result:
        """Do what may be done twice, once more after each loss of the connection."""
        while True:
            try:
                return operation()
            except LostConnectionError as error:
                self.wait(error)


# -- one key -------------------------------------------------------------------------------------


class _CommitLostError(LostConnectionError):
    """The connection was lost in the middle of a commit, which may have been done."""


class Maker:
    """Makes keys of a table, each in one transaction.

    Parameters
    ----------
    table : AutoPopulate
    make_kwargs : mapping, optional
        More arguments for ``make``.
    lease : Lease, optional
        What the keys are reserved by.
    retries : int
        How often a key is tried again after an error that the table lists as transient.
    backoff : float
        Seconds before the first of these; the pauses double.
    refresh : bool
        Whether to make keys that are stale again.
    are_given : bool
        Whether the keys are the user's, and not those of the key source.
    """

    def __init__(
        self,
        table: Makeable,
        make_kwargs: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
        retries: int = 0,
        backoff: float = 1.0,
        refresh: bool = False,
        are_given: bool = False,
    ) -> None:
        self.table = table
        self.lease = lease
        self.connection = table.connection
        self._job_key = table._job_key
        #: So many keys are claimed at once; keys that share an entry in the jobs one by one.
        self.most = sys.maxsize if _defined(table, "_job_key") is None else 1
        self._steps = steps_of(table, make_kwargs or {})
        self._table_name = table.target.table_name
        self._retries = retries
        self._transient = _transient_errors(table)
        self._backoff = backoff
        self._refresh = refresh
        self._are_given = are_given
        self._keeper = keeper(table.target, type(table)) if table._keeps_provenance() else None

    # -- keys that are to be made --------------------------------------------------------------

    def claim(self, keys: Sequence[Key]) -> list[bool]:
        """Reserve keys, and tell for each whether it is to be made here.

        Others have what was not reserved; and what they have made meanwhile is released.
        """
        patience = Patience(self.connection)
        ours = self._reserved(keys, patience)
        mine = [key for key, is_ours in zip(keys, ours, strict=True) if is_ours]
        if not mine:
            return ours
        made = iter(patience.run(lambda: self._made_among(mine)))
        wanted = [is_ours and not next(made) for is_ours in ours]
        self.release([key for key, i, j in zip(keys, ours, wanted, strict=True) if i and not j])
        return wanted

    def _reserved(self, keys: Sequence[Key], patience: Patience) -> list[bool]:
        lease = self.lease
        if lease is None:
            return [True] * len(keys)
        jobs = [self._job_key(key) for key in keys]
        reserved = patience.run(lambda: lease.reserve(self._table_name, jobs))
        rest = iter([*reserved, None])
        following = next(rest)
        ours = []
        for job in jobs:  # in the same order
            ours.append(job == following)
            if ours[-1]:
                following = next(rest)
        return ours

    def release(self, keys: Sequence[Key]) -> None:
        """Give up reservations of keys that are not made here."""
        lease = self.lease
        if lease is not None and keys:
            jobs = [self._job_key(key) for key in keys]
            Patience(self.connection).run(lambda: lease.release(self._table_name, jobs))

    def abandon(self, keys: Sequence[Key]) -> None:
        """Give up reservations at the end, without waiting for a database that was lost."""
        if self.lease is not None and keys:
            with suppress(DataJointError):  # others find out
                self.lease.release(self._table_name, [self._job_key(key) for key in keys])

    # -- one of them ---------------------------------------------------------------------------

    def make(self, key: Key) -> Outcome:
        """Make one key.

        Returns
        -------
        Outcome
            What an error leaves is noted in the jobs when the key was reserved.

        Raises
        ------
        BaseException
            What ends the program, such as KeyboardInterrupt; the transaction is rolled back.
        """
        start = time.perf_counter()
        try:
            if self._make_with_retries(key):
                return Outcome(key, "made", time.perf_counter() - start)
            return self._skip(key, start)
        except Exception as error:
            if isinstance(error, ReservationLostError) and self._holds(key):  # now it is undone
                error = DataJointError(
                    f"`make` of {self.table.name} deleted the entry of its own key in the jobs, by "
                    "which the key is reserved; nothing that it inserted was kept"
                )
            if isinstance(error, ReservationLostError) or self._was_changed_by_others(key, error):
                logger.info("Skipping %s of %s: %s", key, self.table.name, error)
                return self._skip(key, start)
            self._fail_patiently(key, error)
            return Outcome(key, "failed", time.perf_counter() - start, error)
        except BaseException as error:  # the program ends, and waits for nothing
            if isinstance(error, Terminated):
                self.abandon([key])
            else:
                with suppress(DataJointError):
                    self._fail(key, error)
            raise

    def _skip(self, key: Key, start: float) -> Outcome:
        is_lost = not self._holds(key)
        self.release([key])
        return Outcome(key, "skipped", time.perf_counter() - start, is_lost=is_lost)

    def _fail(self, key: Key, error: BaseException) -> None:
        """Note an error in the jobs, if the key is reserved."""
        if self.lease is not None:
            stack = "".join(traceback.format_exception(error))
            job = self._job_key(key)
            self.lease.fail(self._table_name, job, error_text(error), stack)

    def _fail_patiently(self, key: Key, error: Exception) -> None:
        Patience(self.connection).run(lambda: self._fail(key, error))

    def _was_changed_by_others(self, key: Key, error: Exception) -> bool:
        """Tell whether the key failed because others have made it, or have removed its source."""
        if isinstance(error, DuplicateError) and self._is_made(key):
            return True
        return not (self._are_given or self._has_source(key))

    def _has_source(self, key: Key) -> bool:
        """Tell whether a key is still one of the key source."""
        try:
            return Patience(self.connection).run(lambda: bool(self.table._jobs_to_do((key,))))
        except Exception as error:  # the user's own, where the key source is
            logger.debug("Whether %s is still in the key source is not known: %s", key, error)
            return True

    def _is_made(self, key: Key) -> bool:
        patience = Patience(self.connection)
        return patience.run(lambda: self._made_among([key])[0])

    def _made_among(self, keys: Sequence[Key]) -> list[bool]:
        """Tell for each of some keys whether there is nothing to do, because the table has it."""
        target = self.table.target
        made = made_among(target, keys)
        if self._refresh:
            code = code_of(type(self.table))
            made = [m and not stale(target & k, (), code) for m, k in zip(made, keys, strict=True)]
        return made

    def _make_with_retries(self, key: Key) -> bool:
        """Make a key, again after transient errors."""
        for attempt, pause in enumerate(pauses(self._backoff, float("inf")), start=1):
            try:
                return self._make_with_repeats(key)
            except Exception as error:
                if attempt > self._retries or not _is_among(error, self._transient):
                    raise
                logger.warning(
                    "Making %s of %s failed; attempt %d of %d follows in %.2g s: %s",
                    *(key, self.table.name, attempt + 1, self._retries + 1, pause),
                    shortened(error_text(error)),
                )
                time.sleep(pause)
                if not self._holds(key):
                    return False
        raise AssertionError("pauses do not end")

    def _make_with_repeats(self, key: Key) -> bool:
        """Make a key, again after conflicts with others and after losses of the connection."""
        patience = Patience(self.connection)
        waiting = pauses(FIRST_PAUSE)
        conflicts = 0
        if self._may_have_lost() and not self._holds(key):
            return False
        while True:
            start = time.monotonic()
            try:
                return self._attempt(key, optimistic=conflicts < OPTIMISTIC)
            except ConflictError as error:
                conflicts += 1
                if conflicts > CONFLICTS:
                    raise
                logger.info("Making %s of %s again: %s", key, self.table.name, error)
                time.sleep(next(waiting))
                if self.lease is not None and time.monotonic() - start > FROZEN:
                    patience.run(self.lease.end_frozen)
            except LostConnectionError as error:
                patience.wait(error)
                if isinstance(error, _CommitLostError) and self._is_made(key):
                    return True
            if not self._holds(key) or self._is_made(key):
                return False

    def _may_have_lost(self) -> bool:
        lease = self.lease
        return lease is not None and Patience(self.connection).run(lease.may_have_lost)

    def _holds(self, key: Key) -> bool:
        """Tell whether the key is still to be made here."""
        lease = self.lease
        if lease is None:
            return True
        job = self._job_key(key)
        return Patience(self.connection).run(lambda: lease.holds(self._table_name, job))

    def _attempt(self, key: Key, *, optimistic: bool) -> bool:
        """Make a key in one transaction, which is undone after an error; False if others have."""
        table, connection = self.table, self.connection
        start = time.perf_counter()
        work = self._steps(key)
        try:
            connection.start_make(table.name, optimistic=optimistic)
            if self._refresh and not remove_stale(table.target, key, code_of(type(table))):
                connection.cancel_transaction()
                return False
            self._work(key, work, start)
            if not connection.in_transaction:
                raise DataJointError(
                    f"`make` of {table.name} ended the transaction that it is called in; what it "
                    "inserts is committed when it returns"
                )
            check_terminated()
            if self.lease is not None:
                self.lease.verify(self._table_name, self._job_key(key))
            self._commit()
            return True
        except BaseException as error:
            lost_to = connection.lost_to
            if connection.has_own_transaction:
                connection.cancel_transaction()
            repeats = isinstance(error, (ConflictError, LostConnectionError))
            if lost_to is not None and isinstance(error, Exception) and not repeats:
                raise lost_to from error  # which is what `make` has made of it
            raise

    def _work(self, key: Key, work: Callable[[], object], start: float) -> None:
        """Do what is done in the transaction, and keep how it was done."""
        if self._keeper is None:
            work()
            return
        with self._keeper.recording() as reads:
            work()
        if self.connection.in_transaction:
            self._keeper.keep(key, reads, time.perf_counter() - start)

    def _commit(self) -> None:
        try:
            self.connection.commit_make()
        except LostConnectionError as error:
            raise _CommitLostError(*error.args) from error


def _transient_errors(table: Makeable) -> tuple[type[BaseException], ...]:
    """Get the errors that a table lists as transient."""
    listed: Any = table.transient_errors or ()
    is_one = isinstance(listed, (type, str)) or not isinstance(listed, Iterable)
    kinds = (listed,) if is_one else tuple(listed)
    wrong = [k for k in kinds if not (isinstance(k, type) and issubclass(k, BaseException))]
    if wrong:
        raise TypeError(
            f"`transient_errors` of {table.name} must be classes of exceptions, not {wrong[0]!r}"
        )
    return kinds


def _is_among(error: BaseException | None, kinds: tuple[type[BaseException], ...]) -> bool:
    """Tell whether an error, or one that it comes from, is of some kinds."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # they can come from each other
        if isinstance(error, kinds):
            return True
        seen.add(id(error))
        error = error.__cause__
    return False


def text_of(error: BaseException) -> str:
    """Give the text of an error, whatever its class does when it is asked."""
    try:
        return str(error)
    except Exception as other:
        return f"(its text cannot be told: {type(other).__name__})"


def error_text(error: BaseException) -> str:
    """Write an error on one line, as jobs and results have it."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
