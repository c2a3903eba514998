"""Handing out keys in batches to workers that may be slow, busy, or die.

The cost of keys is measured as they are made, and tells how many go into a batch. Workers stand in
lanes: what a lane has been given is lost when its workers die, and is given out again.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

from .errors import DataJointError
from .key_source import Key
from .logging import logger

#: Seconds that a batch should take, how many keys it has at the most, and how much larger than
#: the one before it is.
SECONDS, MOST_KEYS, GROWTH = 1.0, 200, 4
#: Batches that each worker is given, so that it need not wait for the next.
AHEAD = 2
#: How often a worker may be lost over one key, and workers at all while nothing gets made.
TRIES, LOSSES = 3, 10
#: What is said of such a key.
LOST = (
    f"The worker that was to make the key ended, {TRIES} times: such is the end of a process that "
    "crashes, or takes more memory than there is"
)
#: Seconds that workers get to undo what they are making when they are to end now.
GRACE = 5.0


@dataclass(frozen=True)
class Failure:
    """An error in another process.

    Attributes
    ----------
    kind, text, stack : str
    pickled : bytes or None
        The error itself, if it can travel.
    """

    kind: str
    text: str
    stack: str
    pickled: bytes | None = None


@dataclass(frozen=True)
class Result:
    """What came of one key in another process."""

    status: Literal["made", "skipped", "failed"]
    seconds: float = 0.0
    failure: Failure | None = None
    is_lost: bool = False


@dataclass(frozen=True)
class Report:
    """What came of a batch, for its first keys; the worker stopped where the problem was."""

    results: tuple[Result, ...] = ()
    problem: Failure | None = None


@dataclass(frozen=True)
class Batch:
    """Keys that are made by one worker, one after another.

    Attributes
    ----------
    keys : list of dict
    again : bool
        Whether some of the keys may have been made before a worker was lost.
    """

    keys: list[Key]
    again: bool = False


class Future(Protocol):
    """What is needed of the futures of an executor."""

    def cancel(self) -> bool: ...

    def done(self) -> bool: ...

    def result(self) -> Report: ...

    def add_done_callback(self, fn: Any, /) -> Any: ...


class Lane(ABC):
    """Workers that take batches in turn."""

    #: Whether batches of lost workers are given to others, without anybody being told.
    repeats_by_itself = False

    @property
    @abstractmethod
    def width(self) -> int:
        """How many workers there are, at present."""

    @abstractmethod
    def submit(self, keys: list[Key]) -> Future:
        """Give keys to a worker."""

    @abstractmethod
    def replace(self, error: BaseException) -> None:
        """Get new workers for those that died; the error says why, and is raised if none come."""

    def interrupt(self) -> bool:
        """Ask the workers to end what they are making, undone; tell whether they were asked."""
        return False

    @abstractmethod
    def close(self, now: bool) -> None:
        """Let the workers go, beside other lanes; now means even if they are working."""


class Losses:
    """Counts the workers that were lost, in all passes over the keys."""

    def __init__(self) -> None:
        self._by_key: dict[str, int] = {}
        #: Since anything was made.
        self.in_turn = 0

    def add(self, key: Key) -> int:
        """Count one more over a key, and tell how many there were."""
        self._by_key[repr(key)] = count = self._by_key.get(repr(key), 0) + 1
        return count


class Scheduler:
    """Hands out keys, and gathers what comes of them.

    Parameters
    ----------
    lanes : list of Lane
    keys : iterable of dict
    max_calls : int or None
        So many keys are made, or tried, at the most.
    losses : Losses
        Over which keys workers were lost before.
    lost : callable
        Is told when a worker was lost, with the keys that are given up.
    """

    def __init__(
        self,
        lanes: list[Lane],
        keys: Iterable[Key],
        max_calls: int | None,
        losses: Losses,
        lost: Callable[[list[Key]], None],
    ) -> None:
        self._lanes = lanes
        self._keys = iter(keys)
        self._left = max_calls
        self._ahead: deque[Key] = deque()
        self._again: deque[Batch] = deque()
        self._flying: dict[Future, tuple[Lane, Batch]] = {}
        self._given_up: list[tuple[Batch, Report]] = []
        self._done: SimpleQueue[Future] = SimpleQueue()
        self._size = 1
        self._cost: float | None = None
        self._losses = losses
        self._lost = lost

    def end(self, now: bool) -> None:
        """End all work: after the batches that are being made; or now, and they are undone."""
        running = {future for future in self._flying if not (future.done() or future.cancel())}
        try:
            while running and not now:
                running.discard(self._next_done())
        except BaseException:  # whoever waits has no patience left
            now = True
            raise
        finally:
            if now and all([lane.interrupt() for lane in self._lanes]):
                deadline = time.monotonic() + GRACE
                while running and time.monotonic() < deadline:
                    try:
                        running.discard(self._done.get(timeout=0.2))
                    except Empty:  # a signal that meets another one may wake nobody
                        for lane in self._lanes:
                            lane.interrupt()
            with ThreadPoolExecutor(len(self._lanes)) as threads:  # processes take a while to end
                list(threads.map(lambda lane: lane.close(now), self._lanes))

    def __iter__(self) -> Iterator[tuple[Batch, Report]]:
        """Iterate over the batches as they are done."""
        self._fill()
        while self._flying:
            future = self._next_done()
            settled = self._settle(future) if future in self._flying else None
            if settled is not None:
                yield settled
            while self._given_up:
                yield self._given_up.pop()
            self._fill()

    def _next_done(self) -> Future:
        while True:
            try:
                return self._done.get(timeout=1.0)  # without, some systems let nobody interrupt
            except Empty:
                continue

    # -- handing out ---------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give every lane as much as it can have, one batch each in turn."""
        room = [lane for lane in self._lanes if self._load(lane) < AHEAD * lane.width]
        while room:
            for lane in list(room):
                batch = self._next_batch()
                if batch is None:
                    return
                self._submit(lane, batch)
                if self._load(lane) >= AHEAD * lane.width:
                    room.remove(lane)

    def _load(self, lane: Lane) -> int:
        return sum(lane is other for other, _ in self._flying.values())

    def _next_batch(self) -> Batch | None:
        if self._again:
            return self._again.popleft()
        size = self._size
        if self._left is not None:
            given = sum(len(batch.keys) for _, batch in self._flying.values())
            size = min(size, self._left - given)
        if size <= 0:
            return None
        workers = sum(lane.width for lane in self._lanes)
        wanted = size * workers * AHEAD
        if len(self._ahead) < wanted:
            self._ahead.extend(islice(self._keys, wanted - len(self._ahead)))
        if len(self._ahead) < wanted:  # the last ones are shared by all
            size = min(size, ceil(len(self._ahead) / workers))
        keys = [self._ahead.popleft() for _ in range(min(size, len(self._ahead)))]
        return Batch(keys) if keys else None

    def _submit(self, lane: Lane, batch: Batch) -> None:
        try:
            future = lane.submit(batch.keys)
        except BrokenExecutor as error:  # which it became since it was looked at
            self._again.appendleft(batch)
            self._replace(lane, error)
            return
        self._flying[future] = (lane, batch)
        future.add_done_callback(self._done.put)

    # -- what comes back -----------------------------------------------------------------------

    def _settle(self, future: Future) -> tuple[Batch, Report] | None:
        lane, batch = self._flying[future]
        try:
            report = future.result()
        except BrokenExecutor as error:
            self._replace(lane, error)
            return None
        except (CancelledError, Exception) as error:  # of the executor: errors of keys are reported
            del self._flying[future]
            self._lose(batch, error)
            return None
        del self._flying[future]
        self._losses.in_turn = 0
        self._learn(report)
        return replace(batch, again=batch.again or lane.repeats_by_itself), report

    def _learn(self, report: Report) -> None:
        """Choose the size of batches by what the last keys have cost."""
        tried = [result.seconds for result in report.results if result.status != "skipped"]
        if not tried:
            return
        if self._left is not None:
            self._left -= len(tried)
        cost = sum(tried) / len(tried)
        self._cost = cost if self._cost is None else (self._cost + cost) / 2
        fitting = int(SECONDS / max(self._cost, 1e-6))
        self._size = max(1, min(fitting, GROWTH * self._size, MOST_KEYS))

    def _replace(self, lane: Lane, error: BaseException) -> None:
        """Get new workers for a lane, and give out again what it had."""
        lost = [
            future
            for future, (other, _) in self._flying.items()
            if other is lane and not _has_result(future)
        ]
        lane.replace(error)
        batches = [self._flying.pop(future)[1] for future in lost]
        for batch in batches[:1]:  # in a lane, they are made in turn: over this one it was lost
            self._lose(batch, error)
        self._again.extend(batches[1:])

    def _lose(self, batch: Batch, error: BaseException) -> None:
        """Give out again a batch over which a worker was lost, each of its keys alone."""
        logger.warning(
            "A worker was lost that had %d keys, from %s on (%s)",
            len(batch.keys),
            batch.keys[0],
            type(error).__name__,
        )
        self._losses.in_turn += 1
        given_up = [key for key in batch.keys if self._losses.add(key) >= TRIES]
        if self._losses.in_turn > LOSSES + len(self._lanes):
            raise DataJointError(
                f"Workers are lost again and again, before they make anything: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._lost(given_up)
        for key in batch.keys:
            if key in given_up:
                failed = Result("failed", failure=Failure("DataJointError", LOST, ""))
                self._given_up.append((Batch([key]), Report((failed,))))
            else:
                self._again.append(Batch([key], again=True))


def _has_result(future: Any) -> bool:
    return bool(future.done() and not future.cancelled() and future.exception() is None)
