"""Leases: reservations that last as long as their worker lives, and no longer."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import datajoint as dj
from datajoint import making
from datajoint.backends.base import Seen
from datajoint.errors import (
    ConflictError,
    DataJointError,
    LostConnectionError,
    ReservationLostError,
)
from datajoint.hash import key_hash
from datajoint.jobs import ServiceTable
from datajoint.leases import Lease, lease
from datajoint.making import Maker
from datajoint.utils import is_running

from .other_process import Failed, OtherProcess
from .test_connection import DURABLE
from .test_statements import count  # noqa: F401

servers_only = pytest.mark.parametrize("backend", ["mysql", "postgresql"], indirect=True)
TABLE = "__result"
KEYS = [{"item": i} for i in range(10)]
#: They have one hash.
TWINS = [{"a": 1, "b": 12}, {"a": 11, "b": 2}]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for something to be so."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not become so"
        time.sleep(0.01)
    return found


@pytest.fixture
def jobs(schema: dj.Schema) -> Any:
    return schema.jobs


@pytest.fixture
def workers(schema: dj.Schema, connection: Any, connect: Any) -> Iterator[tuple[Lease, Lease]]:
    """Two workers of one process, with sessions of their own."""
    name = schema.database
    with lease(connection, name, 3600) as one, lease(connect(), name, 3600) as two:
        yield one, two


@pytest.fixture
def leases(connect: Any, schema: dj.Schema) -> ServiceTable:
    """The table of leases, as a bystander sees it."""
    schema.jobs.declare()
    return ServiceTable(connect(), schema.database, "~lease")


@pytest.fixture
def other(target: Any, tmp_path: Any, schema: dj.Schema) -> Iterator[Callable[..., OtherProcess]]:
    """Make other processes, each with a lease `held` unless its duration is None."""
    made: list[OtherProcess] = []

    def make(duration: float | None = 3600, **options: Any) -> OtherProcess:
        process = OtherProcess(tmp_path, **{**target.options(tmp_path), **options})
        made.append(process)
        process.run(f"name, keys, table = {schema.database!r}, {KEYS!r}, {TABLE!r}")
        if duration is not None:
            process.run(f"context = lease(connection, name, {duration})")
            process.run("held = context.__enter__()")
        return process

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def Item(schema: dj.Schema) -> Any:
    @schema
    class Item(dj.Manual):
        definition = "item : int"

    Item.insert(KEYS)
    return Item


def entries(jobs: Any, **restriction: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (jobs & restriction).fetch("key", order_by="timestamp").tolist()
    return sorted(found, key=str)


class TestReserving:
    def test_two_workers_share_keys(self, workers, jobs):
        one, two = workers
        assert one.reserve(TABLE, KEYS[3:6]) == KEYS[3:6]
        assert two.reserve(TABLE, KEYS) == KEYS[:3] + KEYS[6:]
        assert one.reserve(TABLE, KEYS) == []
        assert two.reserve("__other", KEYS[:1]) == KEYS[:1]
        assert all(one.holds(TABLE, key) for key in KEYS[3:6])
        assert not any(two.holds(TABLE, key) for key in KEYS[3:6])

    def test_the_entries_are_those_of_reserve(self, workers, jobs, connection):
        one, _ = workers
        one.reserve(TABLE, KEYS[:1])
        jobs.reserve("__other", KEYS[0])
        ours, by_hand = (
            (jobs & {"table_name": table}).proj(..., "-timestamp").fetch1()
            for table in (TABLE, "__other")
        )
        assert ours["connection_id"] == connection.connection_id
        assert {**ours, "table_name": ""} == {**by_hand, "table_name": ""}

    def test_a_key_of_ours_is_not_given_twice(self, workers):
        one, _ = workers
        assert one.reserve(TABLE, [KEYS[0], KEYS[0]]) == [KEYS[0]]
        assert one.reserve(TABLE, KEYS[:2]) == [KEYS[1]]
        one.release(TABLE, KEYS[:1])
        assert one.reserve(TABLE, KEYS[:2]) == [KEYS[0]]

    def test_more_keys_than_fit_into_a_statement(self, workers):
        one, two = workers
        keys = [{"item": i} for i in range(250)]
        two.reserve(TABLE, keys[::10])
        expected = [key for i, key in enumerate(keys) if i % 10]
        assert one.reserve(TABLE, keys) == expected

    def test_nothing(self, workers):
        one, _ = workers
        assert one.reserve(TABLE, []) == []
        one.release(TABLE, [])

    def test_keys_with_other_entries_are_not_reserved(self, workers, jobs):
        one, _ = workers
        jobs.reserve(TABLE, KEYS[0])
        jobs.error(TABLE, KEYS[1], "message", "stack")
        jobs.ignore(TABLE, KEYS[2])
        before = jobs.fetch(as_dict=True, order_by="KEY")
        assert one.reserve(TABLE, KEYS[1:4]) == KEYS[3:4]
        one.release(TABLE, KEYS)
        assert jobs.fetch(as_dict=True, order_by="KEY") == before

    def test_keys_that_blobs_cannot_hold(self, workers, jobs):
        one, two = workers
        keys = [{"moment": dt.timedelta(seconds=i)} for i in range(3)]
        assert one.reserve(TABLE, keys[:2]) == keys[:2]
        assert two.reserve(TABLE, keys) == keys[2:]
        assert jobs.fetch("key").tolist() == [None] * 3
        assert all(key in jobs.taken(TABLE) for key in keys)

    def test_released_when_the_lease_ends(self, schema, connection, connect, jobs, leases):
        with lease(connect(), schema.database) as two:
            with lease(connection, schema.database) as one:
                assert len(leases) == 2
                one.reserve(TABLE, KEYS)
                jobs.error(TABLE, KEYS[3], "failed")
                jobs.ignore(TABLE, {"item": 77})
            assert len(leases) == 1
            assert two.reserve(TABLE, KEYS) == KEYS[:3] + KEYS[4:]
        assert len(leases) == 0
        assert sorted(jobs.fetch("status")) == ["error", "ignore"]

    def test_released_after_an_error(self, schema, connection, jobs, leases):
        with pytest.raises(ValueError, match="oops"), lease(connection, schema.database) as one:
            one.reserve(TABLE, KEYS)
            raise ValueError("oops")
        assert len(jobs) == len(leases) == 0

    def test_nested_uses_share_a_lease(self, schema, connection, jobs, leases):
        with lease(connection, schema.database) as outer:
            outer.reserve(TABLE, KEYS[:2])
            with lease(connection, schema.database) as inner:
                assert inner is outer
                assert inner.reserve(TABLE, KEYS[:4]) == KEYS[2:4]
            assert entries(jobs) == KEYS[:2]
            assert len(leases) == 1
            assert outer.holds(TABLE, KEYS[0])

    def test_not_in_a_transaction(self, schema, connection):
        schema.jobs.declare()
        refused = pytest.raises(DataJointError, match="transaction")
        with connection.transaction, refused, lease(connection, schema.database):
            pass

    def test_numbers_of_a_worker_that_is_gone(self, schema, connection, jobs, leases):
        with lease(connection, schema.database) as one:
            owner = one.owner.values
            one.reserve(TABLE, KEYS[:3])
            jobs.error(TABLE, KEYS[2], "failed")
            rows = jobs.fetch(as_dict=True)
            row = leases.fetch1()
        jobs.delete()
        leases.insert1(row)
        jobs.insert(rows)
        jobs.insert1({**rows[0], "table_name": "__else", "pid": owner["pid"] + 1})
        with lease(connection, schema.database) as again:
            assert again.owner.values == owner
            assert again.reserve(TABLE, KEYS[:3]) == KEYS[:2]
            assert len(jobs & {"table_name": "__else"}) == 1


@contextmanager
def interrupted_at(number: int, functions: Collection[Any]) -> Iterator[None]:
    """Interrupt the program where one of the lines of some functions begins."""
    codes = {function.__code__ for function in functions}
    left = number

    def begin(frame: Any, event: str, argument: object) -> Any:
        return at_line if frame.f_code in codes else None

    def at_line(frame: Any, event: str, argument: object) -> Any:
        nonlocal left
        left -= event == "line"
        if not left:
            left -= 1
            raise KeyboardInterrupt
        return at_line

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        yield
    finally:
        sys.settrace(before)


class TestInterruptions:
    """Nothing stays reserved, or half done, wherever the program is interrupted."""

    FUNCTIONS = (
        *(Lease.reserve, Lease._reserve, Lease._entries, Lease._insert, Lease.verify),
        *(Maker.claim, Maker._attempt, Maker._commit),
    )

    def test_at_each_line(self, schema, connection, jobs, leases, Item):
        @schema
        class Result(dj.Computed):
            definition = "-> Item"

            def make(self, key):
                self.insert1(key)

        key = KEYS[3]
        Result.populate(key, reserve_jobs=True)
        for line in itertools.count(1):
            (Result & key).delete_quick()
            try:
                with interrupted_at(line, self.FUNCTIONS):
                    Result.populate(key, reserve_jobs=True)
            except KeyboardInterrupt:
                assert not connection.in_transaction, line
                assert not jobs & "status = 'reserved'", line
                assert not leases, line
                jobs.delete()  # the error, which the manual asks for
            else:
                break
        assert line > 50
        assert Result & key

    def test_reserved_again_after_a_loss(self, workers, monkeypatch, jobs):
        one, two = workers
        two.reserve(TABLE, TWINS[:1])

        for lost in range(4):  # two statements for first addresses, two for second ones
            statements = itertools.count()

            def insist(
                operation: Callable[[], Any], lost: int = lost, statements: Any = statements
            ) -> Any:
                result = operation()
                if next(statements) == lost:
                    raise LostConnectionError("lost")
                return result

            with monkeypatch.context() as patch, pytest.raises(LostConnectionError):
                patch.setattr(one, "_insist", insist)
                one.reserve(TABLE, [*KEYS[:2], TWINS[1]])
            assert one.reserve(TABLE, [*KEYS[:2], *TWINS]) == [*KEYS[:2], TWINS[1]]
            one.release(TABLE, [*KEYS[:2], TWINS[1]])
        assert entries(jobs) == TWINS[:1]


class TestTwins:
    """Keys that share a hash."""

    def test_they_do(self):
        assert key_hash(TWINS[0]) == key_hash(TWINS[1])

    @pytest.mark.parametrize("order", [1, -1])
    def test_both_are_reserved(self, workers, jobs, order):
        one, two = workers
        twins = TWINS[::order]
        assert one.reserve(TABLE, [*KEYS[:2], *twins]) == [*KEYS[:2], *twins]
        assert entries(jobs) == sorted([*KEYS[:2], *TWINS], key=str)
        assert two.reserve(TABLE, twins) == []
        for key in twins:
            assert one.holds(TABLE, key)
            assert key in jobs.taken(TABLE)
            assert {"a": "1", "b": "12"} in jobs.taken(TABLE)
            assert {"a": 111, "b": 2} not in jobs.taken(TABLE)

    def test_one_for_each(self, workers, jobs):
        one, _ = workers
        for key, worker in zip(TWINS, workers, strict=True):
            assert worker.reserve(TABLE, [key]) == [key]
        assert TWINS[1] in jobs.taken(TABLE)
        one.release(TABLE, TWINS)
        assert entries(jobs) == TWINS[1:]
        assert TWINS[1] in jobs.taken(TABLE)
        assert TWINS[0] not in jobs.taken(TABLE)
        assert one.reserve(TABLE, TWINS) == TWINS[:1]

    def test_completing(self, workers, jobs, connection):
        one, _ = workers
        one.reserve(TABLE, TWINS)
        with connection.transaction:
            one.verify(TABLE, TWINS[1])
        assert entries(jobs) == TWINS[:1]
        assert one.fail(TABLE, TWINS[0], "message", "stack")
        assert entries(jobs, status="error") == TWINS[:1]

    def test_by_hand(self, jobs):
        assert jobs.reserve(TABLE, TWINS[0])
        assert not jobs.reserve(TABLE, TWINS[0])
        assert jobs.ignore(TABLE, TWINS[1])
        assert not jobs.reserve(TABLE, TWINS[1])
        jobs.error(TABLE, TWINS[1], "failed")
        assert entries(jobs, status="reserved") == TWINS[:1]
        assert entries(jobs, status="error") == TWINS[1:]
        jobs.complete(TABLE, TWINS[1])
        assert entries(jobs) == TWINS[:1]
        jobs.error(TABLE, TWINS[0], "failed")
        jobs.complete(TABLE, TWINS[0])
        jobs.complete(TABLE, TWINS[0])
        assert len(jobs) == 0


class TestFence:
    def test_completing_is_atomic_with_the_commit(self, workers, jobs, connection, Item):
        one, two = workers
        new = {"item": 77}
        one.reserve(TABLE, [new])
        with suppress(ZeroDivisionError), connection.transaction:
            Item.insert1(new)
            one.verify(TABLE, new)
            raise ZeroDivisionError
        assert one.holds(TABLE, new)
        assert len(Item & new) == 0
        with connection.transaction:
            Item.insert1(new)
            one.verify(TABLE, new)
        assert not one.holds(TABLE, new)
        assert len(Item & new) == 1
        assert two.reserve(TABLE, [new]) == [new]

    @pytest.mark.parametrize("when", ["before", "meanwhile"])
    def test_without_the_reservation_nothing_is_committed(
        self, workers, jobs, connection, connect, Item, when
    ):
        one, two = workers
        new = {"item": 77}
        bystander = ServiceTable(connect(), Item.database, "~jobs")
        one.reserve(TABLE, [new])

        def take_over() -> None:
            bystander.delete()
            assert two.reserve(TABLE, [new]) == [new]

        def make() -> None:
            if when == "before":
                take_over()
            connection.start_transaction(optimistic=True)
            try:
                Item.fetch()
                if when == "meanwhile":
                    take_over()
                Item.insert1(new)
                one.verify(TABLE, new)
                connection.commit_transaction()
            except BaseException:
                connection.cancel_transaction()
                raise

        with pytest.raises((ReservationLostError, ConflictError)) as error:
            make()
        if error.type is ReservationLostError:
            assert TABLE in str(error.value)
            assert "77" in str(error.value)
        assert len(Item & new) == 0
        assert not one.holds(TABLE, new)
        assert not one.fail(TABLE, new, "message", "stack")
        one.release(TABLE, [new])
        assert two.holds(TABLE, new)

    def test_what_was_never_reserved(self, workers, connection):
        one, _ = workers
        with pytest.raises(ReservationLostError), connection.transaction:
            one.verify(TABLE, KEYS[0])

    def test_rolled_back_and_released_at_the_end(self, schema, connection, jobs):
        with suppress(ZeroDivisionError), lease(connection, schema.database) as one:
            one.reserve(TABLE, KEYS[:1])
            with connection.transaction:
                one.verify(TABLE, KEYS[0])
                raise ZeroDivisionError
        assert len(jobs) == 0

    def test_errors(self, workers, jobs):
        one, two = workers
        one.reserve(TABLE, KEYS[:2])
        before = (jobs & {"key_hash": key_hash(KEYS[0])}).fetch1()
        assert one.fail(TABLE, KEYS[0], "ValueError: " + "ä" * 3000, "stack\n" * 1000)
        assert not one.fail(TABLE, KEYS[0], "again", "")
        assert not two.fail(TABLE, KEYS[1], "of others", "")
        entry = (jobs & {"key_hash": key_hash(KEYS[0])}).fetch1()
        assert entry["error_message"] == "ValueError: " + "ä" * 2023 + "...truncated"
        assert entry["error_stack"] == "stack\n" * 1000
        changed = {"status", "error_message", "error_stack", "timestamp"}
        assert {n: v for n, v in entry.items() if n not in changed} == {
            n: v for n, v in before.items() if n not in changed
        }
        assert entry["status"] == "error"
        assert dt.timedelta(0) <= entry["timestamp"] - before["timestamp"] < dt.timedelta(minutes=5)

    def test_populate_leaves_alone_what_others_have_taken_over(self, schema, Item, connect):
        bystander = ServiceTable(connect(), schema.database, "~jobs")
        calls = []

        @schema
        class Result(dj.Computed):
            definition = "-> Item"

            def make(self, key):
                calls.append(key["item"])
                if key["item"] == 3 and calls.count(3) == 1:
                    bystander.delete()
                    bystander.insert1(
                        {"table_name": TABLE, "key_hash": key_hash(key), "status": "reserved"}
                        | {"key": key, "host": "elsewhere", "pid": 1, "connection_id": 2**40}
                    )
                self.insert1(key)

        assert Result.populate("item = 3", reserve_jobs=True)["success_count"] in (0, 1)
        assert calls.count(3) == 1 + len(Result())
        bystander.delete()
        Result.populate(reserve_jobs=True)
        assert len(Result()) == 10
        assert len(bystander) == 0


class TestHeartbeat:
    def test_a_long_make_keeps_its_lease(self, schema, connection, connect, leases, jobs, Item):
        new = {"item": 77}
        with (
            lease(connect(), schema.database) as two,
            lease(connection, schema.database, 4) as one,
        ):
            mine = leases & one.owner.values
            one.reserve(TABLE, [new])
            connection.start_transaction(optimistic=True)
            Item.fetch()
            for _ in range(2):
                before = mine.fetch1("renewed")
                until(lambda before=before: mine.fetch1("renewed") > before)
                assert two.sweep(TABLE) == 0
            Item.insert1(new)
            one.verify(TABLE, new)
            connection.commit_transaction()
            assert mine.fetch1("heartbeat") != connection.connection_id
            assert mine.fetch1("session") == connection.connection_id
        assert len(Item & new) == 1
        assert len(leases) == len(jobs) == 0

    def test_a_lease_that_was_removed_comes_back(self, schema, connection, leases, caplog):
        with lease(connection, schema.database, 0.4) as one:
            leases.delete()
            until(lambda: len(leases & one.owner.values))
        assert len(leases) == 0
        assert "ran out" in caplog.text

    @servers_only
    def test_it_opens_another_session_when_its_own_is_lost(
        self, schema, connection, connect, leases, caplog
    ):
        with lease(connect(), schema.database) as two, lease(connection, schema.database, 6) as one:
            mine = leases & one.owner.values
            one.reserve(TABLE, KEYS)
            until(lambda: mine.fetch1("heartbeat") != connection.connection_id)
            first = mine.fetch1("heartbeat")
            leases.connection.kill(first)
            until(lambda: mine.fetch1("heartbeat") != first)
            assert two.sweep(TABLE) == 0
            assert one.holds(TABLE, KEYS[0])

    @servers_only
    def test_one_session_is_enough(self, schema, connection, connect, leases):
        with lease(connect(), schema.database) as two, lease(connection, schema.database, 8) as one:
            mine = leases & one.owner.values
            one.reserve(TABLE, KEYS)
            until(lambda: mine.fetch1("heartbeat") != connection.connection_id)
            leases.connection.kill(connection.connection_id)
            assert two.sweep(TABLE) == 0
            assert one.holds(TABLE, KEYS[0])
            leases.connection.kill(mine.fetch1("heartbeat"))
            assert two.sweep(TABLE) == 0  # the new session answers for it since `holds`
            assert one.holds(TABLE, KEYS[0])

    @servers_only
    def test_a_crash_of_the_server(self, spare_server, schema_name, caplog):
        connections = [spare_server.connect() for _ in range(3)]
        for connection in connections:
            connection.query(DURABLE[spare_server.backend])
        schema = dj.Schema(schema_name, connection=connections[0])
        schema.jobs.declare()
        leases = ServiceTable(connections[2], schema_name, "~lease")
        with lease(connections[0], schema_name, 20) as one:
            one.reserve(TABLE, KEYS)
            spare_server.server.kill()
            spare_server.server.restart()
            with lease(connections[1], schema_name) as two:
                assert two.sweep(TABLE) == 0
                assert two.reserve(TABLE, [*KEYS, {"item": 77}]) == [{"item": 77}]
                mine = leases & one.owner.values
                until(lambda: mine.fetch1("heartbeat") != one.owner.connection_id)
                assert two.sweep(TABLE) == 0
            with connections[0].transaction:
                one.verify(TABLE, KEYS[0])
            assert len(schema.jobs) == 9
        assert len(schema.jobs) == 0
        for connection in connections:
            connection.close()

    def test_nothing_is_left_of_it(self, schema, connection, leases):
        with lease(connection, schema.database, 0.4) as one:
            name = f"heartbeat of {one.owner}"
            assert name in [thread.name for thread in threading.enumerate()]
            until(lambda: leases.fetch1("heartbeat") != connection.connection_id)
        assert name not in [thread.name for thread in threading.enumerate()]

    def test_in_memory(self, caplog):
        connection = dj.Connection(backend="sqlite", path=":memory:")
        schema = dj.Schema("lab", connection=connection)
        schema.jobs.declare()
        with lease(connection, "lab", 0.04) as one:
            thread = next(t for t in threading.enumerate() if t.name == f"heartbeat of {one.owner}")
            thread.join(60)
            assert one.reserve(TABLE, KEYS) == KEYS
            assert one.sweep(TABLE) == 0
        assert len(schema.jobs) == 0
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
        connection.close()


class TestTheDead:
    @pytest.fixture
    def here(self, schema, connection) -> Iterator[Lease]:
        with lease(connection, schema.database, 3600) as here:
            yield here

    def test_killed(self, here, other, jobs, leases):
        process = other()
        assert process.run("result = held.reserve(table, keys)") == KEYS
        process.run("connection.schemas; held.reserve('__other', keys[:2])")
        assert here.sweep(TABLE) == 0
        assert here.reserve(TABLE, KEYS) == []
        process.kill()
        assert until(lambda: here.sweep(TABLE)) == 10
        assert len(jobs) == 0
        assert len(leases) == 1
        assert here.reserve(TABLE, KEYS) == KEYS

    def test_killed_with_a_heartbeat(self, here, other, leases):
        process = other(4)
        process.run("result = held.reserve(table, keys)")
        mine = leases - here.owner.values
        until(lambda: len(mine & "heartbeat <> session"))
        process.kill()
        assert until(lambda: here.sweep(TABLE)) == 10

    @pytest.mark.parametrize("inside", [False, True], ids=["between", "inside"])
    def test_frozen_and_thawed(self, here, other, Item, jobs, inside):
        process = other(1)
        process.run("result = held.reserve(table, keys)")
        process.run(f"Item = dj.FreeTable(connection, '`{Item.database}`.`item`')")
        if inside:
            process.run("connection.start_transaction(optimistic=True); Item.fetch()")
        process.freeze()
        assert until(lambda: here.sweep(TABLE)) == 10
        assert here.reserve(TABLE, KEYS) == KEYS
        process.thaw()
        if not inside:
            process.run("connection.start_transaction(optimistic=True)")
        with pytest.raises(Failed, match=r"ReservationLostError|ConflictError|LostConnectionError"):
            process.run("Item.insert1({'item': 77}); held.verify(table, keys[0])")
        process.run("connection.cancel_transaction()")
        assert process.run("result = held.holds(table, keys[1])") is False
        process.run("context.__exit__(None, None, None)")
        assert len(Item & "item = 77") == 0
        assert all(here.holds(TABLE, key) for key in KEYS)

    @servers_only
    @pytest.mark.parametrize("is_verified", [False, True], ids=["inserted", "verified"])
    def test_what_the_frozen_have_locked_is_free(
        self, backend, here, other, Item, connection, is_verified
    ):
        lock_wait = {"mysql": "innodb_lock_wait_timeout = 5", "postgresql": "lock_timeout = '5s'"}
        connection.query(f"SET {lock_wait[backend]}")  # or it would wait for very long
        process = other(1)
        process.run("result = held.reserve(table, keys)")
        process.run(f"Item = dj.FreeTable(connection, '`{Item.database}`.`item`')")
        process.run("connection.start_transaction(); Item.insert1({'item': 77})")
        if is_verified:
            process.run("held.verify(table, keys[0])")
        process.freeze()
        assert until(lambda: here.sweep(TABLE)) == 10
        assert here.reserve(TABLE, KEYS) == KEYS
        Item.insert1({"item": 77})
        process.thaw()
        with pytest.raises(Failed, match="LostConnectionError"):
            process.run("connection.commit_transaction()")
        process.run("connection.cancel_transaction()")
        assert process.run("result = held.holds(table, keys[0])") is False
        assert all(here.holds(TABLE, key) for key in KEYS)

    @servers_only
    def test_who_waits_for_the_frozen_lets_go(
        self, backend, schema, other, Item, connection, connect, monkeypatch
    ):
        """Also of what is no key: others have nothing else to do, and nobody sweeps."""
        lock_wait = {"mysql": "innodb_lock_wait_timeout = 2", "postgresql": "lock_timeout = '2s'"}
        connection.query(f"SET {lock_wait[backend]}")
        monkeypatch.setattr(making, "FROZEN", 1.0)

        @schema
        class Result(dj.Computed):
            definition = "-> Item"

            def make(self, key):
                Item.insert1({"item": 77}, skip_duplicates=True)
                self.insert1(key)

        process = other(1)
        process.run(f"Item = dj.FreeTable(connection, '`{Item.database}`.`item`')")
        process.run("connection.start_transaction(); Item.insert1({'item': 77})")
        process.freeze()
        assert Result.populate(reserve_jobs=True, limit=2)["success_count"] == 2
        process.thaw()
        with pytest.raises(Failed, match="LostConnectionError"):
            process.run("connection.commit_transaction()")

    @pytest.mark.parametrize("lost", ["lease", "session"])
    def test_what_was_taken_over_is_not_computed(
        self, backend, schema, Item, connection, connect, jobs, leases, lost
    ):
        if (backend, lost) == ("sqlite", "session"):
            pytest.skip("a database in a file is not lost")
        calls = []

        @schema
        class Result(dj.Computed):
            definition = "-> Item"

            def make(self, key):
                calls.append(key["item"])
                self.insert1(key)

        name = schema.database
        with lease(connection, name, 2) as mine, lease(connect(), name, 3600) as their:
            maker = Maker(Result(), lease=mine)
            assert maker.claim(KEYS[:4]) == [True] * 4
            assert maker.make(KEYS[0]).status == "made"
            (jobs & [{"key_hash": key_hash(key)} for key in KEYS[1:3]]).delete()
            assert their.reserve(TABLE, KEYS[1:3]) == KEYS[1:3]
            if lost == "lease":
                (leases & mine.owner.values).delete_quick()
                until(lambda: len(leases & mine.owner.values))
            else:
                connect().kill(connection.connection_id)
                until(lambda: connection.backend.has_ended)  # the server lets it go on for a while
            outcomes = [maker.make(key).status for key in KEYS[1:4]]
            assert outcomes == ["skipped", "skipped", "made"]
        assert calls == [0, 3]

    def test_without_a_lease_a_session_counts(self, here, other, jobs):
        process = other(None)
        process.run("jobs = dj.Schema(name, connection=connection).jobs")
        process.run("result = [jobs.reserve(table, key) for key in keys]")
        assert here.sweep(TABLE) == 0
        assert here.reserve(TABLE, KEYS) == []
        process.kill()
        assert until(lambda: here.sweep(TABLE)) == 10
        assert here.reserve(TABLE, KEYS) == KEYS

    def test_sessions_of_this_process(self, here, connect, schema):
        one, two = connect(), connect()
        for connection, keys in ((one, KEYS[:3]), (two, KEYS[3:])):
            for key in keys:
                dj.Schema(schema.database, connection=connection).jobs.reserve(TABLE, key)
        one.close()
        assert until(lambda: here.sweep(TABLE)) == 3
        assert here.reserve(TABLE, KEYS) == KEYS[:3]

    def test_only_reservations_go(self, here, connect, schema, jobs):
        gone = connect()
        theirs = dj.Schema(schema.database, connection=gone).jobs
        theirs.error(TABLE, KEYS[0], "failed", "stack")
        theirs.ignore(TABLE, KEYS[1])
        theirs.reserve(TABLE, KEYS[2])
        theirs.reserve("__other", KEYS[2])
        gone.close()
        assert until(lambda: here.sweep(TABLE)) == 1
        assert sorted(jobs.fetch("status")) == ["error", "ignore"]

    @servers_only
    def test_ids_of_before_the_server_was_started(self, here, connect, schema, connection, jobs):
        jobs.reserve(TABLE, KEYS[0])
        jobs.reserve(TABLE, KEYS[1])
        row = (jobs & {"key_hash": key_hash(KEYS[0])}).fetch1()
        row |= {"pid": 1, "timestamp": dt.datetime(2001, 2, 3)}
        jobs.delete()
        jobs.insert1(row)  # its session seems to be ours
        assert here.sweep(TABLE) == 1
        ended, started = connection.ended(
            [Seen(connection.connection_id, row["user"], row["host"], 1e9)]
        )
        assert len(ended) == 1
        assert 1e9 < started <= time.time() + 60

    @servers_only
    def test_a_restart_of_the_server_ends_no_lease(self, here, connect, schema, leases, jobs):
        gone = connect()
        with lease(gone, schema.database, 3600) as their:
            their.reserve(TABLE, KEYS)
            rows, row = jobs.fetch(as_dict=True), (leases & their.owner.values).fetch1()
        gone.close()
        jobs.insert(rows)
        leases.insert1({**row, "renewed": 1e9, "expires": 1e10})
        assert here.sweep(TABLE) == 0  # its worker will be back
        leases.update1({**row, "renewed": 1e9, "expires": 1e9})
        assert here.sweep(TABLE) == 10
        assert len(leases) == 1

    def test_a_lease_that_is_over_though_its_session_is_there(self, here, connect, schema, leases):
        with lease(connect(), schema.database, 3600) as their:
            their.reserve(TABLE, KEYS)
            their.reserve("__other", KEYS[:1])
            row = (leases & their.owner.values).fetch1()
            leases.update1({**row, "renewed": 1e9, "expires": 2e9})
            before = here.sweep("__else")
            assert before == 0
            leases.update1({**row, "renewed": 1e9, "expires": 1e9})
            assert here.sweep("__other") == 1
            assert here.reserve(TABLE, KEYS) == KEYS
            assert their.owner.values not in leases.proj().fetch(as_dict=True)

    def test_what_others_release_at_the_same_time_is_counted(
        self, schema, connection, connect, jobs, monkeypatch
    ):
        """Or it was this worker, before it lost the connection; somebody must make the keys."""
        gone = connect()
        session, user = gone.connection_id, gone.get_user()
        gone.close()
        owner = {"host": platform.node(), "pid": 1, "connection_id": session, "user": user}
        entry = {"table_name": TABLE, "status": "reserved", **owner}
        jobs.insert({**entry, "key_hash": key_hash(key), "key": key} for key in KEYS)
        with lease(connection, schema.database) as one:
            release = one._release
            monkeypatch.setattr(one, "_release", lambda *args: release(*args) and release(*args))
            assert one.sweep(TABLE) == 10
            assert len(jobs) == 0

    def test_several_sweep_at_once(self, schema, connect, connection, jobs):
        gone = connect()
        session = gone.connection_id
        user = gone.get_user()
        gone.close()
        keys = [{"item": i} for i in range(300)]
        owner = {"host": platform.node(), "pid": 1, "connection_id": session, "user": user}
        jobs.insert(
            {"table_name": TABLE, "key_hash": key_hash(key), "status": "reserved", "key": key}
            | owner
            for key in keys
        )
        freed, reserved, errors = [], [], []
        connections = [connect() for _ in range(4)]
        barrier = threading.Barrier(4)

        def work(connection: dj.Connection) -> None:
            try:
                with lease(connection, schema.database) as each:
                    barrier.wait()
                    freed.append(each.sweep(TABLE))
                    reserved.extend(each.reserve(TABLE, keys))
                    freed.append(each.sweep(TABLE))
                    barrier.wait()
            except Exception as error:
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=work, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sum(freed) >= 300  # each of those who have found a key tries to make it
        assert sorted(key["item"] for key in reserved) == list(range(300))
        assert len(jobs) == 0


class TestAccounts:
    @pytest.fixture
    def user(self, connection: dj.Connection, backend: str, schema: Any) -> Iterator[Any]:
        """An account without privileges but those on the jobs and leases of the schema."""
        create, grants, drops = {
            "mysql": (
                "CREATE USER worker@'%%' IDENTIFIED BY 'secret'",
                ["GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO worker@'%%'"],
                ["DROP USER worker@'%%'"],
            ),
            "postgresql": (
                "CREATE ROLE worker LOGIN PASSWORD 'secret'",
                [
                    f'GRANT USAGE ON SCHEMA "{schema.database}" TO worker',
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO worker",
                ],
                ["DROP OWNED BY worker CASCADE", "DROP ROLE worker"],
            ),
        }[backend]
        connection.query(create)

        def grant(*tables: str) -> dict[str, str]:
            for table in tables:
                for statement in grants:
                    name = connection.dialect.table(schema.database, table)
                    connection.query(statement.format(name))
            return {"user": "worker", "password": "secret", "name": "postgres"}

        yield grant
        for statement in drops:
            connection.query(statement)

    @servers_only
    def test_what_a_user_cannot_see_counts_as_alive(
        self, backend, schema, connection, target, tmp_path, other, user, leases, jobs
    ):
        process = other()
        process.run("result = held.reserve(table, keys)")
        account = user("~jobs", "~lease")
        options = {**target.options(tmp_path), **account}
        theirs = dj.Connection(**options)
        with lease(theirs, schema.database) as here:
            assert here.sweep(TABLE) == 0
            row = (leases - here.owner.values).fetch1()
            process.kill()
            seen = Seen(row["session"], row["user"], row["host"], row["renewed"])
            until(lambda: connection.ended([seen])[0])
            if backend == "mysql":  # PostgreSQL tells everybody of sessions
                assert here.sweep(TABLE) == 0
                leases.update1({**row, "expires": 1e9})
            assert here.sweep(TABLE) == 10
            # but its own
            process = other(**account)
            process.run("result = held.reserve(table, keys)")
            assert here.sweep(TABLE) == 0
            process.kill()
            assert until(lambda: here.sweep(TABLE)) == 10
        theirs.close()

    @servers_only
    def test_whoever_may_not_create_leases_does_without(
        self, schema, connection, target, tmp_path, user, caplog
    ):
        jobs = schema.jobs
        jobs.declare()
        theirs = dj.Connection(**{**target.options(tmp_path), **user("~jobs")})
        with lease(theirs, schema.database) as here:
            assert here.reserve(TABLE, KEYS) == KEYS
            assert here.sweep(TABLE) == 0
            with theirs.transaction:
                here.verify(TABLE, KEYS[0])
            assert len(jobs) == 9
        assert len(jobs) == 0
        assert "~lease" in caplog.text
        theirs.close()


def test_statements(count, schema, connection, connect):  # noqa: F811
    with lease(connect(), schema.database) as two:
        two.reserve(TABLE, KEYS)
        keys = [{"item": i} for i in range(100, 150)]
        context = lease(connection, schema.database)
        connection.tables(schema.database)
        one = []
        assert count(lambda: one.append(context.__enter__())) <= 2
        (here,) = one
        assert count(lambda: here.reserve(TABLE, keys)) == 2
        assert count(lambda: here.reserve(TABLE, [*KEYS, *keys])) == 2
        assert count(lambda: here.reserve(TABLE, keys)) == 0
        assert count(lambda: here.holds(TABLE, keys[0])) == 1

        def make() -> None:
            with connection.transaction:
                here.verify(TABLE, keys[0])

        assert count(make) == 3
        assert count(lambda: here.fail(TABLE, keys[1], "message", "stack")) == 1
        assert count(lambda: here.release(TABLE, keys[2:5])) == 1
        assert count(lambda: here.sweep(TABLE)) <= 6
        assert count(lambda: context.__exit__(None, None, None)) == 2


def test_processes_that_run():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    assert is_running(os.getpid())
    process.kill()
    until(lambda: not is_running(process.pid))  # a zombie until it is waited for
    process.communicate()
    assert not is_running(process.pid)


@servers_only
def test_its_owner_is_a_session_that_is_open(schema, connection, connect):
    """Without a table of leases, nothing else tells that the worker lives."""
    schema.jobs.declare()
    before = connection.connection_id
    connect().kill(before)
    until(lambda: connection.backend.has_ended)
    with lease(connection, schema.database) as one:
        assert one.owner.connection_id == connection.connection_id != before


def test_a_fork_leaves_the_lease_alone(schema, connection, connect, leases):
    jobs = ServiceTable(connect(), schema.database, "~jobs")
    with lease(connection, schema.database) as one:
        one.reserve(TABLE, KEYS)
        child = os.fork()
        if not child:
            one.end()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert len(jobs) == 10
        assert len(leases) == 1
    assert len(jobs) == len(leases) == 0
