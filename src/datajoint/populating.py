"""Populating a table: finding the keys to make, making them, and gathering what comes of it.

Manual 9.1.2 and 9.1.3.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from . import leases
from .connection import Connection
from .errors import DataJointError, LostConnectionError
from .expression import QueryExpression
from .jobs import shortened
from .key_source import (
    ORDERS,
    Key,
    Populated,
    arranged,
    check_unrestricted,
    identity,
    not_made,
    stream_keys,
)
from .logging import logger
from .making import Makeable, Maker, Outcome, Patience, error_text
from .provenance import code_of, stale
from .terminating import terminable

#: Seconds that a batch of keys should take, and how many keys it has at the most.
BATCH_SECONDS, BATCH_KEYS = 0.5, 100
#: Seconds after which the keys that are left are kept in a temporary file.
ASIDE_SECONDS = 5.0
#: Seconds between two keys that the progress bar shows.
REDRAW_SECONDS = 0.05


class Table(Makeable, Populated, Protocol):
    """What is needed of a table to populate it."""


@dataclass(frozen=True)
class Options:
    """How a table is populated: the arguments of :meth:`AutoPopulate.populate`.

    Attributes
    ----------
    are_given : bool
        Whether the keys are given by the user.
    """

    suppress_errors: bool = False
    return_exception_objects: bool = False
    reserve_jobs: bool = False
    order: str = "original"
    limit: int | None = None
    max_calls: int | None = None
    display_progress: bool = False
    make_kwargs: Mapping[str, Any] | None = None
    retries: int = 0
    backoff: float = 1.0
    refresh: str | None = None
    are_given: bool = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise DataJointError(f"`order` is one of {', '.join(ORDERS)}, not {self.order!r}")
        if self.refresh not in (None, "stale"):
            raise DataJointError(f"`refresh` is 'stale' or None, not {self.refresh!r}")
        for name in ("limit", "max_calls", "retries"):
            value = getattr(self, name)
            if value is None and name != "retries":
                continue
            if isinstance(value, bool) or not hasattr(type(value), "__index__"):
                raise TypeError(f"populate: {name} must be an integer, not {value!r}")
            if value < 0:
                raise DataJointError(f"populate: {name} cannot be negative ({value})")
        if not isinstance(self.backoff, (int, float)):
            raise TypeError(f"populate: backoff must be a number of seconds, not {self.backoff!r}")
        if not self.backoff >= 0:
            raise DataJointError(f"populate: backoff cannot be negative ({self.backoff})")
        if self.make_kwargs is not None and not isinstance(self.make_kwargs, Mapping):
            raise TypeError(
                "populate: make_kwargs must be a dict of arguments for `make`, not "
                f"{self.make_kwargs!r}"
            )

    def maker(self, table: Table, lease: leases.Lease | None) -> Maker:
        """Make what makes the keys of a table."""
        refresh = self.refresh is not None
        options = (self.retries, self.backoff, refresh, self.are_given)
        return Maker(table, self.make_kwargs, lease, *options)


# -- the keys ------------------------------------------------------------------------------------


class Taken(Protocol):
    """Tells which keys have an entry in the jobs."""

    def __contains__(self, key: object, /) -> bool: ...

    def __len__(self) -> int: ...


#: No key is taken.
NOTHING: Taken = frozenset[Key]()


class Keys:
    """The keys that a table is to be populated with.

    Parameters
    ----------
    table : AutoPopulate
    restrictions : iterable
        Conditions that the keys must meet.
    given : iterable of dict, optional
        The keys, instead of those of the key source.
    options : Options
    """

    def __init__(
        self,
        table: Table,
        restrictions: Iterable[Any],
        given: Iterable[Mapping[str, Any]] | None,
        options: Options,
    ) -> None:
        check_unrestricted(table)
        self._connection = table.connection
        self._job_key = table._job_key
        self._options = options
        self._left = options.limit
        self._given = None if given is None else [_as_key(key) for key in given]
        self._pending: QueryExpression | None = None
        #: Those that come before those which are pending.
        self._stale: list[Key] = []
        if given is None:
            todo = table._jobs_to_do(restrictions)
            self._pending = not_made(todo, table.target)
            if options.refresh:
                self._stale = _stale(table, todo)
        #: Those that have been handed out, and are not known to be made: the others are not
        #: pending any more, and may be too many to be remembered.
        self._seen: set[tuple[Any, ...]] = set()
        self._lost = 0
        #: Those that are held anyway, and are not looked for by whether they are made.
        self._listed = {identity(key) for key in chain(self._given or (), self._stale)}

    def count(self, taken: Taken = NOTHING) -> int:
        """Count the keys that are free, so far as that is known before they are read."""
        count = len(self._given or ()) if self._pending is None else len(self._pending)
        count = max(0, count + len(self._stale) - len(taken))
        limits = (self._options.limit, self._options.max_calls)
        return min(count, *(limit for limit in limits if limit is not None), count)

    def one_pass(self, taken: Taken = NOTHING) -> Iterator[Key]:
        """Hand out the keys that were not handed out before, but for those that are taken."""
        descending = self._options.order == "reverse" and self._left is None
        if self._pending is None:
            keys: Iterable[Key] = reversed(self._given or []) if descending else self._given or []
        else:
            stale = reversed(self._stale) if descending else self._stale
            keys = chain(stale, self._read(self._pending, descending))
        order = "original" if descending else self._options.order
        for key in arranged(self._free(keys, taken), order, self._left):
            if self._left is not None:
                self._left -= 1
            yield dict(key)

    def note_made(self, key: Key) -> None:
        """Forget a key that was made, since it will not be found again."""
        place = identity(key)
        if place not in self._listed:
            self._seen.discard(place)

    def hand_back(self, outcome: Outcome) -> None:
        """Let a key be handed out again in the next pass: it was not made here."""
        self._seen.discard(identity(outcome.key))
        self._lost += outcome.is_lost

    def take_lost(self) -> int:
        """Count the keys whose reservations were lost since it was asked the last time."""
        lost, self._lost = self._lost, 0
        return lost

    def _free(self, keys: Iterable[Key], taken: Taken) -> Iterator[Key]:
        for key in keys:
            place = identity(key)
            if place in self._seen or (taken is not NOTHING and self._job_key(key) in taken):
                continue
            self._seen.add(place)
            yield key

    def _read(self, pending: QueryExpression, descending: bool) -> Iterator[Key]:
        """Read keys, from the beginning after the connection was lost."""
        patience = Patience(self._connection)
        while True:
            try:
                yield from self._read_on(stream_keys(pending, descending))
                return
            except LostConnectionError as error:
                patience.wait(error)

    def _read_on(self, keys: Iterator[Key]) -> Iterator[Key]:
        """Let go of the session that the keys are read in, once that takes long.

        It would keep the database from forgetting the state that it reads.
        """
        opened: float | None = time.monotonic()
        for key in keys:
            yield key
            if opened is not None and time.monotonic() - opened > ASIDE_SECONDS:
                self._connection.set_streams_aside()
                opened = None


def _stale(table: Table, todo: QueryExpression) -> list[Key]:
    """List the keys of some that are made, and would be made otherwise now."""
    made = table.target.restrict(todo, semantic_check=False)
    return [key for key, _ in stale(made, todo.primary_key, code_of(type(table)))]


def _as_key(given: Any) -> Key:
    if isinstance(given, Mapping):
        return dict(given)
    names = getattr(getattr(given, "dtype", None), "names", None)
    if names:
        return dict(zip(names, given.tolist(), strict=True))
    raise DataJointError(f"populate: each of `keys` is a dict, not {given!r}")


# -- making them ---------------------------------------------------------------------------------


def make_keys(
    maker: Maker,
    keys: Iterable[Key],
    max_calls: int | None = None,
    begin: Callable[[Key], object] = lambda key: None,
) -> Generator[Outcome, None, None]:
    """Claim keys in batches, and make them one by one.

    Parameters
    ----------
    maker : Maker
    keys : iterable of dict
    max_calls : int, optional
        So many are made, or tried, at the most.
    begin : callable
        Is called with each key before it is made.

    Yields
    ------
    Outcome
        One for each key.
    """
    rest = iter(keys)
    pace = _Pace()
    left = sys.maxsize if max_calls is None else max_calls
    while left > 0 and (batch := list(islice(rest, min(pace.next_size(), left, maker.most)))):
        for outcome in _make_batch(maker, batch, begin):
            if outcome.status != "skipped":
                left -= 1
                pace.learn(outcome.seconds)
            yield outcome


def _make_batch(maker: Maker, keys: list[Key], begin: Callable[[Key], object]) -> Iterator[Outcome]:
    """Make the keys of a batch that can be had; what is claimed and not made is released."""
    claimed = []
    for key, is_ours in zip(keys, maker.claim(keys), strict=True):
        if is_ours:
            claimed.append(key)
        else:
            yield Outcome(key, "skipped")
    claimed.reverse()
    try:
        while claimed:
            key = claimed.pop()
            begin(key)
            outcome = maker.make(key)
            yield outcome
            if outcome.status == "skipped" and maker.lease is None and claimed:
                # Others are at the same keys: look again which of them are made.
                wanted = maker.claim(claimed)
                gone = [key for key, is_wanted in zip(claimed, wanted) if not is_wanted]
                claimed = [key for key, is_wanted in zip(claimed, wanted) if is_wanted]
                yield from (Outcome(key, "skipped") for key in gone)
    finally:
        maker.abandon(claimed)


class _Pace:
    """How many keys are claimed at once: so many as take about half a second."""

    def __init__(self) -> None:
        self._size = 0
        self._seconds: float | None = None

    def learn(self, seconds: float) -> None:
        """Note how long a key took."""
        known = self._seconds
        self._seconds = seconds if known is None else 0.7 * known + 0.3 * seconds

    def next_size(self) -> int:
        """Choose how many are claimed next; not more than twice as many as before."""
        fitting = BATCH_SECONDS / max(self._seconds or 0.0, 1e-6)
        self._size = max(1, min(int(fitting), 2 * self._size, BATCH_KEYS))
        return self._size


# -- gathering what comes of them ----------------------------------------------------------------


class Results:
    """What has come of the keys so far, and the progress bar that shows it.

    Parameters
    ----------
    table : AutoPopulate
    options : Options
    """

    def __init__(self, table: Table, options: Options) -> None:
        self._name = type(table).__name__
        self._of = table.name
        self._options = options
        self._successes = 0
        self._errors: list[tuple[Key, Any]] = []
        self._bar: Any = None
        self._drawn = 0.0

    def expect(self, count: int) -> None:
        """Draw the bar, if it is wanted, for so many more keys."""
        if self._bar is not None:
            self._bar.total = self._bar.n + count
        elif count:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=count, desc=self._name, unit="key", file=sys.stderr)

    def begin(self, key: Key) -> None:
        """Show a key as the one in hand."""
        if self._bar is not None:
            in_hand = ", ".join(f"{name}={value}" for name, value in key.items())[:40]
            now = time.monotonic()
            is_due = now - self._drawn > REDRAW_SECONDS
            self._show(in_hand, refresh=is_due)
            self._drawn = now if is_due else self._drawn

    def add(self, outcome: Outcome) -> None:
        """Count what came of a key.

        Raises
        ------
        BaseException
            The error of the key, if errors are not suppressed.
        """
        if outcome.error is not None:
            text = error_text(outcome.error)
            logger.error("Making %s of %s failed: %s", outcome.key, self._of, shortened(text))
            if not self._options.suppress_errors:
                raise outcome.error
            as_object = self._options.return_exception_objects
            self._errors.append((outcome.key, outcome.error if as_object else text))
        self._successes += outcome.status == "made"
        if self._bar is not None:
            self._bar.update()

    def _show(self, in_hand: str, *, refresh: bool) -> None:
        errors = f"errors={len(self._errors)}" if self._errors else ""
        self._bar.set_postfix_str(", ".join(filter(None, (errors, in_hand))), refresh=refresh)

    def close(self) -> None:
        """Leave the bar as it is, without a key in hand."""
        if self._bar is not None:
            self._show("", refresh=False)
            self._bar.close()

    def as_dict(self) -> dict[str, Any]:
        """Give what populate returns."""
        return {"success_count": self._successes, "error_list": self._errors}


class Workers(Protocol):
    """Other processes that make keys."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def make_keys(
        self, keys: Iterable[Key], max_calls: int | None, /
    ) -> Generator[Outcome, None, None]: ...


#: Held by the thread that populates on a connection, in each process.
_POPULATING: WeakKeyDictionary[Connection, dict[int, threading.RLock]] = WeakKeyDictionary()


@contextmanager
def one_thread(table: Table) -> Iterator[None]:
    """Let one thread populate on a connection, whose transactions all threads share.

    Raises
    ------
    DataJointError
        When another thread does.
    """
    of_connection = _POPULATING.setdefault(table.connection, {})
    lock = of_connection.setdefault(os.getpid(), threading.RLock())
    if not lock.acquire(blocking=False):
        raise DataJointError(
            f"{table.name} cannot be populated: another thread populates on the same connection, "
            "and threads share its transactions. Use `processes=`, or give each thread a "
            "connection of its own"
        )
    try:
        yield
    finally:
        lock.release()


def populate(
    table: Table, keys: Keys, options: Options, workers: Workers | None = None
) -> dict[str, Any]:
    """Make the keys here, one after another, or let others make them."""
    patience = Patience(table.connection)
    with ExitStack() as stack:
        stack.enter_context(one_thread(table))
        stack.enter_context(terminable())
        lease = None
        if options.reserve_jobs:
            schema = table.target.name.schema
            lease = patience.run(
                lambda: stack.enter_context(leases.lease(table.connection, schema))
            )
        maker = options.maker(table, lease)
        results = stack.enter_context(closing(Results(table, options)))
        if workers is not None:
            stack.enter_context(workers)
        make = workers.make_keys if workers else partial(make_keys, maker, begin=results.begin)
        left = options.max_calls
        for taken in passes(table, keys, lease):
            if options.display_progress:
                results.expect(patience.run(partial(keys.count, taken)))
            with closing(make(keys.one_pass(taken), left)) as outcomes:
                for outcome in outcomes:
                    if outcome.status == "skipped":
                        keys.hand_back(outcome)
                    elif left is not None:
                        left -= 1
                    if outcome.status == "made":
                        keys.note_made(outcome.key)
                    if workers is not None:  # who do not tell what they begin
                        results.begin(outcome.key)
                    results.add(outcome)
        return results.as_dict()


def passes(table: Table, keys: Keys, lease: leases.Lease | None) -> Iterator[Taken]:
    """Tell which keys are taken, again while the death of others makes more of them free.

    So may whoever deletes the entries in the jobs of keys that are in hand here.

    The keys that are free must have been made before the next time.
    """
    if lease is None:
        yield NOTHING
        return
    name = table.target.table_name
    patience = Patience(table.connection)
    patience.run(lambda: lease.sweep(name))
    while True:
        yield patience.run(lambda: lease.taken(name))
        freed = patience.run(lambda: lease.sweep(name))
        if not (keys.take_lost() or freed):
            return
