"""How keys are handed out, to workers that are played here."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import pytest

from datajoint.errors import DataJointError
from datajoint.scheduling import Lane, Losses, Report, Result, Scheduler

Key = dict[str, Any]


class Played(Lane):
    """Workers of which `act` tells what comes of keys; each batch is done at once."""

    def __init__(self, width: int, act: Callable[[list[Key]], Report]) -> None:
        self._width = width
        self._act = act
        self.batches: list[list[int]] = []
        self.replaced = 0
        self.closed: bool | None = None

    @property
    def width(self) -> int:
        return self._width

    def submit(self, keys: list[Key]) -> Any:
        self.batches.append([key["n"] for key in keys])
        future: Future[Report] = Future()
        try:
            future.set_result(self._act(keys))
        except Exception as error:
            future.set_exception(error)
        return future

    def replace(self, error: BaseException) -> None:
        self.replaced += 1

    def close(self, now: bool) -> None:
        self.closed = now


def made(keys: list[Key], seconds: float = 0.01) -> Report:
    return Report(tuple(Result("made", seconds) for _ in keys))


def keys(count: int) -> Iterable[Key]:
    return ({"n": n} for n in range(count))


def run(lane: Lane, count: int, max_calls: int | None = None) -> Counter[str]:
    given_up: list[Key] = []
    scheduler = Scheduler([lane], keys(count), max_calls, Losses(), given_up.extend)
    statuses: Counter[str] = Counter()
    for _, report in scheduler:
        statuses.update(result.status for result in report.results)
    scheduler.end(now=False)
    assert len(given_up) == statuses["failed"]
    return statuses


def test_batches_grow_as_long_as_keys_are_cheap() -> None:
    lane = Played(1, made)
    assert run(lane, 500) == {"made": 500}
    sizes = [len(batch) for batch in lane.batches]
    assert sizes[:2] == [1, 1]
    assert max(sizes) == 100  # a second
    assert sorted(n for batch in lane.batches for n in batch) == list(range(500))
    assert lane.closed is False


def test_dear_keys_are_given_one_by_one() -> None:
    lane = Played(2, lambda keys: made(keys, seconds=10.0))
    assert run(lane, 9) == {"made": 9}
    assert {len(batch) for batch in lane.batches} == {1}


def test_the_last_keys_are_shared() -> None:
    lane = Played(4, made)
    assert run(lane, 40) == {"made": 40}
    assert max(len(batch) for batch in lane.batches) <= 10


def test_lanes_are_closed_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=10.0)

    class Slow(Played):
        def close(self, now: bool) -> None:
            meeting.wait()
            super().close(now)

    lanes = [Slow(1, made) for _ in range(3)]
    scheduler = Scheduler([*lanes], keys(9), None, Losses(), print)
    assert sum(len(batch.keys) for batch, _ in scheduler) == 9
    scheduler.end(now=False)
    assert [lane.closed for lane in lanes] == [False] * 3


def test_errors_of_closing_are_told() -> None:
    class Stuck(Played):
        def close(self, now: bool) -> None:
            raise DataJointError("It does not end")

    others = [Played(1, made), Played(1, made)]
    scheduler = Scheduler([others[0], Stuck(1, made), others[1]], keys(3), None, Losses(), print)
    with pytest.raises(DataJointError, match="does not end"):
        scheduler.end(now=True)
    assert [lane.closed for lane in others] == [True, True]


def test_no_more_calls_than_allowed() -> None:
    lane = Played(3, made)
    assert run(lane, 100, max_calls=17) == {"made": 17}


def test_skipped_keys_are_no_calls() -> None:
    def act(keys: list[Key]) -> Report:
        return Report(tuple(Result("skipped" if key["n"] % 2 else "made", 0.1) for key in keys))

    statuses = run(Played(2, act), 100, max_calls=10)
    assert statuses["made"] == 10


def test_keys_of_a_lost_worker_are_given_out_again_alone() -> None:
    lost = []

    def act(keys: list[Key]) -> Report:
        if any(key["n"] == 30 for key in keys) and not lost:
            lost.extend(keys)
            raise BrokenExecutor
        return made(keys)

    lane = Played(1, act)
    assert run(lane, 60) == {"made": 60}
    assert lane.replaced == 1
    assert len(lost) > 1
    assert all([key["n"]] in lane.batches for key in lost)


@pytest.mark.parametrize("error", [BrokenExecutor, RuntimeError])
def test_a_key_that_kills_is_given_up(error: type[Exception]) -> None:
    def act(keys: list[Key]) -> Report:
        if any(key["n"] == 30 for key in keys):
            raise error
        return made(keys)

    assert run(Played(1, act), 60) == {"made": 59, "failed": 1}


def test_workers_that_only_die_are_an_error() -> None:
    def act(keys: list[Key]) -> Report:
        raise BrokenExecutor("no memory")

    with pytest.raises(DataJointError, match="lost again and again"):
        run(Played(1, act), 60)


def test_a_lane_without_new_workers_ends_all() -> None:
    class Final(Played):
        def replace(self, error: BaseException) -> None:
            raise DataJointError("no more") from error

    def act(keys: list[Key]) -> Report:
        raise BrokenExecutor

    lane = Final(2, act)
    scheduler = Scheduler([lane], keys(4), None, Losses(), print)
    with pytest.raises(DataJointError, match="no more"):
        list(scheduler)
    scheduler.end(now=False)  # and waits for nobody
    assert lane.closed is False
