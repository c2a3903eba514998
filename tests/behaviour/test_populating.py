"""Populate at scale: few statements, little memory, clean ends, and what it shows."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import signal
import sys
import threading
import time
import tracemalloc
from decimal import Decimal

import pytest

import datajoint as dj
from datajoint import leases, making, populating, session
from datajoint.errors import DataJointError, LostConnectionError

from .test_statements import count  # noqa: F401 - a fixture


@pytest.fixture
def Scan(schema):
    @schema
    class Scan(dj.Manual):
        definition = "scan : int"

    return Scan


@pytest.fixture
def Result(schema, Scan):
    """A computed table that calls `Result.work` with each key, if there is any."""

    @schema
    class Result(dj.Computed):
        definition = "-> Scan"
        work = None

        def make(self, key):
            self.insert1(key)
            if type(self).work is not None:
                type(self).work(key["scan"])

    return Result


def fill(Scan, number):
    Scan.insert((i,) for i in range(number))


@pytest.fixture
def read_keys(monkeypatch):
    """Count the keys that are read from the database."""
    read = []
    stream = populating.stream_keys

    def counted(*args):
        for key in stream(*args):
            read.append(key)
            yield key

    monkeypatch.setattr(populating, "stream_keys", counted)
    return read


class TestCost:
    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_statements_for_each_key(
        self,
        Scan,
        Result,
        count,  # noqa: F811
        reserve_jobs,
        backend,
        monkeypatch,
    ):
        # On a busy machine, keys take longer, and batches are smaller.
        monkeypatch.setattr(populating._Pace, "learn", lambda pace, seconds: None)
        fill(Scan, 1)
        Result.populate(reserve_jobs=reserve_jobs)  # declares what is needed, and reads the catalog
        fill_more = 300
        Scan.insert((i,) for i in range(1, 1 + fill_more))
        statements = count(lambda: Result.populate(reserve_jobs=reserve_jobs))
        assert len(Result()) == 1 + fill_more
        # to begin, to insert and to commit; SQLite begins again to write, and looks for changes
        each = 7 if backend == "sqlite" else 3
        each += reserve_jobs  # to complete the reservation
        rest = statements - each * fill_more
        # for each of some 10 batches, to reserve it and to look what others have made
        assert 0 < rest < 60

    def test_a_large_key_source(self, Scan, Result, read_keys):
        fill(Scan, 100_000)
        assert Result.populate(max_calls=1)["success_count"] == 1
        assert Result.fetch("scan").tolist() == [0]
        assert len(read_keys) <= 2
        assert Result.populate(limit=3)["success_count"] == 3
        assert Result.populate(max_calls=2, order="reverse")["success_count"] == 2
        assert Result.fetch("scan", order_by="KEY").tolist() == [0, 1, 2, 3, 99_998, 99_999]
        assert len(read_keys) < 20

    def test_memory_for_a_large_key_source(self, Scan, Result):
        fill(Scan, 50_000)
        Result.insert(Scan - "scan % 1000 = 0", allow_direct_insert=True)
        Result.populate(max_calls=1)
        tracemalloc.start()
        assert Result.populate()["success_count"] == 49
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000

    def test_memory_for_many_keys_that_are_made(self, Scan, Result):
        """Keys that were made are forgotten: only those that failed are remembered."""
        fill(Scan, 20_000)
        table, options = Result(), populating.Options(suppress_errors=True)
        sizes = []

        class Workers(contextlib.nullcontext):
            def make_keys(self, keys, max_calls):
                for number, key in enumerate(keys):
                    if number in (5_000, 19_999):
                        sizes.append(tracemalloc.get_traced_memory()[0])
                    failed = number % 1000 == 0
                    error = ValueError("no luck") if failed else None
                    yield populating.Outcome(key, "failed" if failed else "made", 0.0, error)

        tracemalloc.start()
        result = populating.populate(
            table, populating.Keys(table, (), None, options), options, Workers()
        )
        tracemalloc.stop()
        assert (result["success_count"], len(result["error_list"])) == (19_980, 20)
        assert sizes[1] - sizes[0] < 500_000

    def test_batches_grow_while_makes_are_short(self, Scan, Result, monkeypatch):
        fill(Scan, 300)
        sizes = []
        claim = populating.Maker.claim
        monkeypatch.setattr(
            populating.Maker, "claim", lambda m, keys: sizes.append(len(keys)) or claim(m, keys)
        )
        Result.populate(max_calls=250)
        assert sizes[:3] == [1, 2, 4]
        assert max(sizes) <= 100
        assert sum(sizes) == 250

    def test_batches_are_small_while_makes_are_long(self):
        pace = populating._Pace()
        sizes = []
        for _ in range(20):
            sizes.append(pace.next_size())
            pace.learn(0.1)
        assert sizes[:3] == [1, 2, 4]
        assert max(sizes) == 5
        pace.learn(60)
        assert pace.next_size() == 1

    def test_the_keys_that_are_left_are_put_aside(self, Scan, Result, monkeypatch):
        """No session is kept open, with its state of the database, for as long as it all takes."""
        fill(Scan, 3000)
        monkeypatch.setattr(populating, "ASIDE_SECONDS", 0.0)
        connection, asides = Result.connection, []
        aside = connection.set_streams_aside
        monkeypatch.setattr(connection, "set_streams_aside", lambda: asides.append(1) or aside())
        assert Result.populate("scan < 600")["success_count"] == 600
        assert asides == [1]
        assert not connection._beside._running


class TestReservations:
    def test_two_workers(self, Scan, Result, connect):
        """What one has claimed, the other passes over."""
        fill(Scan, 40)
        other = dj.FreeTable(connect(), Result.full_table_name)
        jobs = dj.Schema(Result.database, connection=other.connection).jobs
        seen = []

        def work(scan):
            reserved = (jobs & 'status = "reserved"').fetch("key")
            seen.append(scan)
            assert scan in [key["scan"] for key in reserved]

        Result.work = work
        assert Result.populate(reserve_jobs=True)["success_count"] == 40
        assert seen == list(range(40))
        assert len(jobs) == 0

    def test_limit_counts_after_entries_are_left_out(self, Scan, Result, schema):
        fill(Scan, 10)
        for i in range(5):
            schema.jobs.ignore(Result.table_name, {"scan": i})
        assert Result.populate(reserve_jobs=True, limit=3)["success_count"] == 3
        assert Result.fetch("scan", order_by="KEY").tolist() == [5, 6, 7]
        assert Result.populate(reserve_jobs=True, limit=2, order="reverse")["success_count"] == 2
        assert Result.fetch("scan", order_by="KEY").tolist() == [5, 6, 7, 8, 9]

    def test_max_calls_does_not_count_what_others_have(self, Scan, Result, schema, monkeypatch):
        fill(Scan, 10)
        monkeypatch.setattr("datajoint.leases.Lease.taken", lambda self, name: populating.NOTHING)
        for i in range(5):
            schema.jobs.ignore(Result.table_name, {"scan": i})
        assert Result.populate(reserve_jobs=True, max_calls=3)["success_count"] == 3
        assert Result.fetch("scan", order_by="KEY").tolist() == [5, 6, 7]

    def test_what_is_claimed_is_released_after_an_error(self, Scan, Result, schema):
        fill(Scan, 50)

        def work(scan):
            if scan == 20:
                raise ValueError("no luck")

        Result.work = work
        with pytest.raises(ValueError, match="no luck"):
            Result.populate(reserve_jobs=True)
        assert schema.jobs.fetch("status").tolist() == ["error"]
        (job,) = schema.jobs.to_dicts()
        assert job["key"] == {"scan": 20}
        assert job["error_message"] == "ValueError: no luck"
        assert "in work" in job["error_stack"]
        Result.work = None
        assert Result.populate(reserve_jobs=True)["success_count"] == 29
        schema.jobs.delete()
        assert Result.populate(reserve_jobs=True)["success_count"] == 1

    def test_keys_that_are_given(self, Scan, Result, schema):
        fill(Scan, 5)
        schema.jobs.ignore(Result.table_name, {"scan": 1})
        keys = [{"scan": 3}, {"scan": 1}, {"scan": 2}]
        assert Result.populate(keys=keys, reserve_jobs=True)["success_count"] == 2
        assert Result.fetch("scan", order_by="KEY").tolist() == [2, 3]
        assert schema.jobs.fetch("status").tolist() == ["ignore"]

    def test_a_pass_for_what_the_dead_had(self, Scan, Result, schema, monkeypatch):
        """Keys that become free while others are made are made too."""
        fill(Scan, 6)
        jobs, name = schema.jobs, Result.table_name
        for i in (2, 4):
            jobs.reserve(name, {"scan": i})
        swept = []

        def sweep(self, table_name):
            swept.append(len(Result()))
            if len(swept) == 2:
                (jobs & 'status = "reserved"').delete()
                return 2
            return 0

        monkeypatch.setattr("datajoint.leases.Lease.sweep", sweep)
        made = []
        Result.work = made.append
        assert Result.populate(reserve_jobs=True)["success_count"] == 6
        assert made == [0, 1, 3, 5, 2, 4]
        assert swept == [0, 4, 6]

    def test_a_key_is_tried_once(self, Scan, Result, monkeypatch, schema):
        """A key that failed is not tried in another pass; one of which nothing was kept is."""
        fill(Scan, 4)
        freed = iter([0, 1, 0])
        monkeypatch.setattr("datajoint.leases.Lease.sweep", lambda self, name: next(freed))
        tried = []

        def work(scan):
            tried.append(scan)
            if scan == 1:
                raise ValueError("no luck")
            (Result & {"scan": scan}).delete_quick()

        Result.work = work
        Result.populate(reserve_jobs=True, suppress_errors=True)
        assert tried == [0, 1, 2, 3, 0, 2, 3]

    def test_keys_of_many_types(self, schema):
        @schema
        class Source(dj.Manual):
            definition = """
            a : int
            b : varchar(8)
            c : date
            d : decimal(5, 2)
            e : uuid
            f : time
            g : datetime(3)
            h : char(3)
            """

        @schema
        class Copy(dj.Computed):
            definition = "-> Source"

            def make(self, key):
                self.insert1(key)

        rows = [
            (i, f"b{i}", dt.date(2020, 1, i), Decimal(i) / 4, f"{i:032x}", dt.time(i), when, "h")
            for i, when in enumerate([dt.datetime(2020, 1, 1, 1, 1, 1, 5000)] * 5, start=1)
        ]
        Source.insert(rows)
        assert Copy.populate(max_calls=2)["success_count"] == 2
        assert Copy.populate(reserve_jobs=True)["success_count"] == 3
        assert len(schema.jobs) == 0
        assert Copy.populate(keys=Source.fetch("KEY"))["success_count"] == 0

    def test_keys_that_share_an_entry(self, Scan, schema):
        """A class may say by which key a key is reserved."""
        fill(Scan, 5)
        reserved = []

        @schema
        class Pair(dj.Computed):
            definition = "-> Scan"

            def _job_key(self, key):
                return {"pair": key["scan"] // 2}

            def make(self, key):
                reserved.append((key["scan"], *schema.jobs.fetch("key")))
                if key["scan"] == 2:
                    raise ValueError("no luck")
                self.insert1(key)

        result = Pair.populate(reserve_jobs=True, suppress_errors=True)
        assert reserved == [(i, {"pair": i // 2}) for i in (0, 1, 2)] + [
            (4, {"pair": 1}, {"pair": 2})
        ]
        assert result["success_count"] == 3
        assert schema.jobs.fetch("key", "status", as_dict=True) == [
            {"key": {"pair": 1}, "status": "error"}
        ]
        assert Pair.populate(reserve_jobs=True) == {"success_count": 0, "error_list": []}

    @pytest.mark.parametrize(
        ("message", "noted"),
        [
            ("a\0b\ud800", "ValueError: a\\x00b\\ud800"),
            ("x" * 20_000_000, "ValueError: " + "x" * 2023 + "...truncated"),
        ],
        ids=["what texts cannot hold", "long"],
    )
    def test_texts_of_errors(self, Scan, Result, schema, message, noted, caplog):
        """Whatever they are, they are noted, and logged."""
        fill(Scan, 1)

        def work(scan):
            raise ValueError(message)

        Result.work = work
        result = Result.populate(reserve_jobs=True, suppress_errors=True)
        assert result["error_list"] == [({"scan": 0}, f"ValueError: {message}")]
        assert caplog.messages == [f"Making {{'scan': 0}} of {Result().name} failed: {noted}"]
        assert schema.jobs.fetch1("status", "error_message") == ("error", noted)
        assert schema.jobs.fetch1("error_stack").startswith("Traceback (most recent")
        (schema.jobs).delete()
        schema.jobs.error(Result.table_name, {"scan": 0}, message, message)
        assert len(schema.jobs) == 1

    def test_an_error_without_a_text(self, Scan, Result, schema):
        class Speechless(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        def work(scan):
            if scan == 0:
                raise Speechless

        fill(Scan, 2)
        Result.work = work
        result = Result.populate(reserve_jobs=True, suppress_errors=True)
        text = "Speechless: (its text cannot be told: RuntimeError)"
        assert result == {"success_count": 1, "error_list": [({"scan": 0}, text)]}
        assert schema.jobs.fetch1("error_message") == text

    def test_entries_that_are_deleted_meanwhile(self, Scan, Result, schema, connect):
        """Their keys are free for everybody, and so are made in another pass by this worker."""
        fill(Scan, 20)
        jobs, calls = dj.Schema(schema.database, connection=connect()).jobs, []

        def work(scan):
            calls.append(scan)
            if len(calls) == 4:  # the first of four
                deleting = threading.Thread(target=jobs.delete)
                deleting.start()
                deleting.join(1)  # of one writer, it waits for the transaction

        Result.work = work
        assert Result.populate(reserve_jobs=True) == {"success_count": 20, "error_list": []}
        assert len(Result()) == 20
        assert len(calls) <= 21  # what is not ours any more is not computed
        assert len(jobs) == 0

    def test_a_make_that_deletes_its_own_is_told(self, Scan, Result, schema):
        fill(Scan, 3)
        jobs = schema.jobs

        def work(scan):
            if scan == 1:
                (jobs & {"status": "reserved"}).delete()

        Result.work = work
        result = Result.populate(reserve_jobs=True, suppress_errors=True)
        [(key, error)] = result.pop("error_list")
        assert (result, key) == ({"success_count": 2}, {"scan": 1})
        assert "__result` deleted the entry of its own key in the jobs" in error
        assert jobs.to_dicts("status", "key") == [{"status": "error", "key": {"scan": 1}}]


class TestThreads:
    @pytest.fixture
    def populating_thread(self, Scan, Result):
        """Populate in another thread, up to the middle of a `make`."""
        fill(Scan, 1)
        begun, go_on, outcome = threading.Event(), threading.Event(), []

        def work(scan):
            begun.set()
            go_on.wait(60)
            raise ValueError("no luck")

        Result.work = work
        thread = threading.Thread(
            target=lambda: outcome.append(Result.populate(suppress_errors=True))
        )
        thread.start()
        assert begun.wait(60)
        yield
        go_on.set()
        thread.join()
        assert [len(each["error_list"]) for each in outcome] == [1]

    def test_what_others_insert_is_not_undone_with_a_make(self, Scan, populating_thread):
        with pytest.raises(DataJointError, match="Give each thread a connection of its own"):
            Scan.insert1((7,))
        assert len(Scan()) == 1

    def test_one_populates(self, Result, populating_thread):
        with pytest.raises(DataJointError, match="another thread populates"):
            Result.populate()

    @pytest.mark.parametrize("end", ["commit_transaction", "cancel_transaction"])
    def test_nobody_else_ends_the_transaction_of_a_make(self, Scan, Result, populating_thread, end):
        with pytest.raises(DataJointError, match="Give each thread a connection of its own"):
            getattr(Scan.connection, end)()
        with (
            pytest.raises(DataJointError, match="A thread populates"),
            Scan.connection.transaction,
        ):
            raise AssertionError("others have begun one")
        with pytest.raises(DataJointError, match="A thread populates"), Scan.connection.atomic():
            raise AssertionError("what the make inserts meanwhile could be undone with it")
        assert Scan.connection.in_transaction

    def test_a_make_waits_for_the_transactions_of_others(self, schema, Scan):
        @schema
        class Note(dj.Manual):
            definition = "note : int"

        @schema
        class Parted(dj.Computed):
            definition = "-> Scan"

            def make_fetch(self, key):
                return (key["scan"],)

            def make_compute(self, key, scan):
                computing.set()
                assert go_on.wait(60)
                return (scan,)

            def make_insert(self, key, scan):
                self.insert1((scan,))

        fill(Scan, 2)
        computing, go_on, outcome = threading.Event(), threading.Event(), []
        thread = threading.Thread(
            target=lambda: outcome.append(Parted.populate(suppress_errors=True))
        )
        thread.start()
        assert computing.wait(60)
        with Scan.connection.transaction:
            Note.insert1((1,))
            go_on.set()
            thread.join(0.2)
            Note.insert1((2,))
        thread.join()
        assert outcome == [{"success_count": 2, "error_list": []}]
        assert Note.fetch("note", order_by="KEY").tolist() == [1, 2]

    def test_a_make_that_has_waited_in_vain_leaves_others_their_transaction(
        self, Scan, Result, monkeypatch
    ):
        monkeypatch.setattr(session, "OTHERS_SECONDS", 0.05)
        fill(Scan, 1)
        in_transaction, go_on = threading.Event(), threading.Event()

        def insert():
            with Scan.connection.transaction:
                Scan.insert1((7,))
                in_transaction.set()
                assert go_on.wait(60)

        maker = making.Maker(Result())
        thread = threading.Thread(target=insert)
        thread.start()
        assert in_transaction.wait(60)
        outcome = maker.make({"scan": 0})
        go_on.set()
        thread.join()
        with pytest.raises(DataJointError, match="Another thread has begun it"):
            raise outcome.error
        assert Scan.fetch("scan", order_by="KEY").tolist() == [0, 7]

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_populate_begins_when_the_transaction_of_another_is_over(
        self, Scan, Result, schema, reserve_jobs
    ):
        """The first one creates tables, too, which a transaction forbids."""
        fill(Scan, 3)
        outcome = []
        thread = threading.Thread(
            target=lambda: outcome.append(Result.populate(reserve_jobs=reserve_jobs))
        )
        with Scan.connection.transaction:
            Scan.insert1((7,))
            thread.start()
            thread.join(0.3)
            assert Scan.connection.has_own_transaction
            assert outcome == []
        thread.join()
        assert outcome == [{"success_count": 4, "error_list": []}]
        assert Result.fetch("scan", order_by="KEY").tolist() == [0, 1, 2, 7]
        assert len(schema.jobs) == 0

    def test_nothing_is_reserved_within_the_transaction_of_another(self, Scan, Result, monkeypatch):
        monkeypatch.setattr(session, "OTHERS_SECONDS", 0.05)
        fill(Scan, 1)
        outcome = []

        def populate():
            with pytest.raises(DataJointError, match="cannot be reserved inside a transaction"):
                Result.populate(reserve_jobs=True)
            outcome.append("refused")

        thread = threading.Thread(target=populate)
        with Scan.connection.transaction:
            thread.start()
            thread.join()
            Scan.insert1((7,))
        assert outcome == ["refused"]
        assert Scan.fetch("scan", order_by="KEY").tolist() == [0, 7]

    def test_afterwards_others_can(self, Scan, Result):
        fill(Scan, 3)
        outcome = []
        for _ in range(2):
            thread = threading.Thread(target=lambda: outcome.append(Result.populate(max_calls=1)))
            thread.start()
            thread.join()
        Scan.insert1((7,))
        assert [each["success_count"] for each in outcome] == [1, 1]
        assert Result.populate()["success_count"] == 2

    def test_a_child_of_a_make_has_transactions_of_its_own(self, schema, Scan):
        @schema
        class Note(dj.Manual):
            definition = "note : int"

        @schema
        class Forking(dj.Computed):
            definition = "-> Scan"

            def make(self, key):
                child = os.fork()
                if not child:
                    status = 1
                    try:
                        with self.connection.transaction:
                            Note.insert1((key["scan"],))
                        status = 0
                    finally:
                        os._exit(status)
                assert os.waitpid(child, 0)[1] == 0
                self.insert1(key)

        fill(Scan, 2)
        assert Forking.populate()["success_count"] == 2
        assert sorted(Note.fetch("note")) == [0, 1]

    def test_one_inside_another(self, schema, Scan, Result):
        @schema
        class Outer(dj.Computed):
            definition = "-> Result"

            def make_fetch(self, key):
                return ()

            def make_compute(self, key):
                return (Result.populate()["success_count"],)

            def make_insert(self, key, made):
                self.insert1(key)

        fill(Scan, 2)
        Result.populate()
        assert Outer.populate()["success_count"] == 2


class TestLosses:
    def test_lost_while_keys_are_read(self, Scan, Result, monkeypatch):
        fill(Scan, 20)
        stream, losses = populating.stream_keys, []

        def breaking(*args):
            for number, key in enumerate(stream(*args)):
                if number == 10 and not losses:
                    losses.append(1)
                    raise LostConnectionError("the network is down")
                yield key

        monkeypatch.setattr(populating, "stream_keys", breaking)
        made = []
        Result.work = made.append
        assert Result.populate() == {"success_count": 20, "error_list": []}
        assert made == list(range(20))
        assert losses == [1]

    def test_lost_between_makes(self, Scan, Result, connect, backend):
        if backend == "sqlite":
            pytest.skip("a database in a file is not lost")
        fill(Scan, 30)
        killer = connect()
        connection = Result.connection
        commit = connection.commit_transaction
        commits = []

        def kill_after_commit():
            commit()
            commits.append(1)
            if len(commits) % 7 == 0:
                killer.kill(connection.connection_id)

        connection.commit_transaction = kill_after_commit
        assert Result.populate(reserve_jobs=True) == {"success_count": 30, "error_list": []}
        assert len(dj.Schema(Result.database, connection=connection).jobs) == 0

    @pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
    @pytest.mark.parametrize("what", ["release", "fail"])
    def test_lost_while_the_jobs_are_changed(self, Result, schema, monkeypatch, what, done):
        """What was to be released, or to be noted as an error, is so after the loss."""
        key = {"scan": 1}
        with leases.lease(Result.connection, Result.database) as lease:
            maker = making.Maker(Result(), lease=lease)
            assert maker.claim([key]) == [True]
            change, losses = lease._change, []

            def lose(statement, **options):
                if losses:
                    return change(statement, **options)
                losses.append(change(statement, **options) if done else 0)
                raise LostConnectionError("the network is down")

            monkeypatch.setattr(lease, "_change", lose)
            if what == "release":
                maker.release([key])
            else:
                maker._fail_patiently(key, ValueError("no luck"))
            assert len(losses) == 1
            expected = [] if what == "release" else ["error"]
            assert schema.jobs.fetch("status").tolist() == expected
            assert not lease.held


class TestEnds:
    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_keyboard_interrupt(self, Scan, Result, schema, reserve_jobs):
        fill(Scan, 9)

        def work(scan):
            if scan == 5:
                signal.raise_signal(signal.SIGINT)

        Result.work = work
        with pytest.raises(KeyboardInterrupt):
            Result.populate(reserve_jobs=reserve_jobs, suppress_errors=True)
        assert Result.fetch("scan", order_by="KEY").tolist() == [0, 1, 2, 3, 4]
        assert not Result.connection.in_transaction
        jobs = schema.jobs.to_dicts("key", "status", "error_message")
        noted = {"key": {"scan": 5}, "status": "error", "error_message": "KeyboardInterrupt"}
        assert jobs == ([noted] if reserve_jobs else [])
        with pytest.raises(DataJointError, match="allow_direct_insert"):
            Result.insert1({"scan": 5})

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_terminated(self, Scan, Result, schema, reserve_jobs):
        fill(Scan, 9)

        def work(scan):
            if scan == 5:
                os.kill(os.getpid(), signal.SIGTERM)
                for _ in range(1000):
                    time.sleep(0.01)

        Result.work = work
        with pytest.raises(SystemExit, match="SIGTERM"):
            Result.populate(reserve_jobs=reserve_jobs, suppress_errors=True)
        assert Result.fetch("scan", order_by="KEY").tolist() == [0, 1, 2, 3, 4]
        assert len(schema.jobs) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        Result.work = None
        assert Result.populate(reserve_jobs=reserve_jobs)["success_count"] == 4

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    @pytest.mark.parametrize("last", [3, 8])
    def test_terminated_although_make_catches_all(self, Scan, Result, schema, reserve_jobs, last):
        fill(Scan, 9)

        def work(scan):
            with contextlib.suppress(BaseException):
                if scan == last:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(10)

        Result.work = work
        with pytest.raises(SystemExit, match="SIGTERM"):
            Result.populate(reserve_jobs=reserve_jobs, suppress_errors=True)
        assert Result.fetch("scan", order_by="KEY").tolist() == list(range(last))
        assert len(schema.jobs) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_terminated_where_nothing_is_made(self, Scan, Result, monkeypatch):
        def swallow(self):
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            return {"success_count": 0, "error_list": []}

        monkeypatch.setattr(populating.Results, "as_dict", swallow)
        with pytest.raises(SystemExit, match="SIGTERM"):
            Result.populate()

    def test_a_handler_of_the_program_stays(self, Scan, Result, monkeypatch):
        fill(Scan, 2)
        received = []
        handler = lambda number, frame: received.append(number)  # noqa: E731
        before = signal.signal(signal.SIGTERM, handler)
        try:
            Result.work = lambda scan: os.kill(os.getpid(), signal.SIGTERM)
            assert Result.populate()["success_count"] == 2
            assert signal.getsignal(signal.SIGTERM) is handler
        finally:
            signal.signal(signal.SIGTERM, before)
        assert received == [signal.SIGTERM] * 2

    def test_restored_after_errors(self, Scan, Result):
        fill(Scan, 2)
        handlers = []

        def work(scan):
            handlers.append(signal.getsignal(signal.SIGTERM))
            raise ValueError("no luck")

        Result.work = work
        with pytest.raises(ValueError, match="no luck"):
            Result.populate()
        assert handlers[0] is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_in_another_thread(self, Scan, Result, schema, reserve_jobs):
        """No handler is installed there, and all else is the same."""
        fill(Scan, 5)
        handlers, results = [], []
        Result.work = lambda scan: handlers.append(signal.getsignal(signal.SIGTERM))
        thread = threading.Thread(
            target=lambda: results.append(Result.populate(reserve_jobs=reserve_jobs))
        )
        thread.start()
        thread.join()
        assert results == [{"success_count": 5, "error_list": []}]
        assert set(handlers) == {signal.SIG_DFL}
        assert len(schema.jobs) == 0

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2)], ids=repr)
    def test_interrupts_in_another_thread(self, Scan, Result, schema, error):
        fill(Scan, 5)
        caught = []

        def work(scan):
            if scan == 2:
                raise error

        def run():
            try:
                Result.populate(reserve_jobs=True)
            except BaseException as raised:
                caught.append(raised)

        Result.work = work
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert caught == [error]
        assert schema.jobs.fetch1("error_message").startswith(type(error).__name__)
        assert len(Result()) == 2

    def test_interrupted_while_keys_are_reserved(self, Result, schema, monkeypatch):
        """What was reserved at that moment, unknown to the worker, is released at the end."""
        with leases.lease(Result.connection, Result.database) as lease:
            insert = lease._insert

            def interrupted(*rows):
                insert(*rows)
                raise KeyboardInterrupt

            assert lease.reserve(Result.table_name, [{"scan": 7}]) == [{"scan": 7}]
            monkeypatch.setattr(lease, "_insert", interrupted)
            with pytest.raises(KeyboardInterrupt):
                lease.reserve(Result.table_name, [{"scan": i} for i in range(3)])
            assert schema.jobs.fetch("status").tolist() == ["reserved"] * 4
        assert len(schema.jobs) == 0


class TestBar:
    def test_errors_and_the_key_in_hand(self, Scan, Result, capsys):
        fill(Scan, 4)

        def work(scan):
            time.sleep(0.11)  # the bar is drawn ten times a second at the most
            if scan == 1:
                raise ValueError("no luck")

        Result.work = work
        Result.populate(display_progress=True, suppress_errors=True)
        shown = capsys.readouterr().err
        assert "Result:" in shown
        assert "4/4" in shown
        assert "key/s" in shown or "s/key" in shown
        assert "errors=1, scan=3" in shown
        assert shown.rstrip().endswith("errors=1]")

    @pytest.mark.parametrize(
        ("options", "total"), [({"limit": 3}, 3), ({"max_calls": 2}, 2), ({"limit": 9}, 4)]
    )
    def test_total(self, Scan, Result, capsys, options, total):
        fill(Scan, 4)
        Result.populate(display_progress=True, **options)
        assert f"{total}/{total}" in capsys.readouterr().err

    def test_keys_that_others_have_are_not_expected(self, Scan, Result, schema, capsys):
        fill(Scan, 6)
        schema.jobs.ignore(Result.table_name, {"scan": 2})
        Result.populate(display_progress=True, reserve_jobs=True)
        assert "5/5" in capsys.readouterr().err

    def test_a_long_make_shows_its_key_meanwhile(self, Scan, Result, capsys):
        fill(Scan, 2)
        shown = []

        def work(scan):
            shown.append(capsys.readouterr().err)
            time.sleep(0.1)

        Result.work = work
        Result.populate(display_progress=True)
        assert ["scan=0" in shown[0], "scan=1" in shown[1]] == [True, True]

    def test_nothing_to_do(self, Result, capsys):
        Result.populate(display_progress=True)
        assert "key" not in capsys.readouterr().err

    def test_after_an_error_the_bar_is_left(self, Scan, Result, capsys):
        fill(Scan, 4)
        Result.work = lambda scan: 1 / (2 - scan)
        with pytest.raises(ZeroDivisionError):
            Result.populate(display_progress=True)
        shown = capsys.readouterr().err
        assert "2/4" in shown
        assert shown.endswith("\n")

    def test_in_a_notebook(self, Scan, Result, monkeypatch):
        """The kind of bar is chosen by tqdm, which knows notebooks."""
        fill(Scan, 2)
        bars = []

        class Bar:
            def __init__(self, **options):
                self.options, self.shown = options, []
                bars.append(self)

            def update(self):
                self.shown.append("update")

            def set_postfix_str(self, text, refresh=True):
                self.shown.append(text)

            def close(self):
                self.shown.append("close")

        import tqdm.auto

        monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
        Result.populate(display_progress=True)
        assert bars[0].options["total"] == 2
        assert bars[0].shown == ["scan=0", "update", "scan=1", "update", "", "close"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"order": "backwards"}, DataJointError, "original, reverse, random"),
            ({"retries": -1}, DataJointError, r"retries cannot be negative \(-1\)"),
            ({"retries": None}, TypeError, "retries must be an integer"),
            ({"limit": -1}, DataJointError, "limit cannot be negative"),
            ({"limit": "3"}, TypeError, "limit must be an integer, not '3'"),
            ({"max_calls": 1.5}, TypeError, "max_calls must be an integer"),
            ({"max_calls": True}, TypeError, "max_calls must be an integer"),
            ({"max_calls": -2}, DataJointError, "max_calls cannot be negative"),
            ({"backoff": -1}, DataJointError, "backoff cannot be negative"),
            ({"backoff": "1"}, TypeError, "backoff must be a number"),
            ({"make_kwargs": ["x"]}, TypeError, "make_kwargs must be a dict"),
            ({"keys": [1]}, DataJointError, "each of `keys` is a dict, not 1"),
            ({"keys": {"scan": 1}}, DataJointError, "each of `keys` is a dict, not 'scan'"),
        ],
        ids=str,
    )
    def test_wrong_options(self, Scan, Result, options, error, text):
        fill(Scan, 1)
        with pytest.raises(error, match=text):
            Result.populate(**options)
        assert len(Result()) == 0

    def test_keys_do_not_make_a_restricted_table_one(self, Scan, Result):
        fill(Scan, 1)
        with pytest.raises(DataJointError, match="restricted"):
            (Result & "scan = 1").populate(keys=[{"scan": 0}])

    def test_parts(self, schema, Scan):
        @schema
        class Whole(dj.Computed):
            definition = "-> Scan"

            class Piece(dj.Part):
                definition = "-> master"

            def make(self, key):
                self.insert1(key)

        with pytest.raises(AttributeError):
            Whole.Piece.populate()

    def test_in_make(self, Scan, Result):
        fill(Scan, 2)
        Result.work = lambda scan: Result.populate()
        with pytest.raises(DataJointError, match="inside a transaction"):
            Result.populate()
        assert len(Result()) == 0

    def test_virtual_classes(self, Scan, Result, connect):
        fill(Scan, 1)
        module = dj.VirtualModule("virtual", Result.database, connection=connect())
        with pytest.raises(NotImplementedError, match=r"`Result`.*make"):
            module.Result.populate()


class TestKeySources:
    def test_two_foreign_keys_to_a_parent_one_of_them_renamed(self, schema, Scan):
        @schema
        class Pair(dj.Computed):
            definition = """
            -> Scan
            -> Scan.proj(other='scan')
            """

            def make(self, key):
                self.insert1(key)

        fill(Scan, 3)
        assert Pair.key_source.heading.names == ["scan", "other"]
        assert Pair.populate()["success_count"] == 9

    def test_parents_of_parents_are_joined_by_what_they_share(self, schema, Scan):
        @schema
        class Cell(dj.Manual):
            definition = """
            -> Scan
            cell : int
            ---
            size : int
            """

        @schema
        class Stimulus(dj.Manual):
            definition = """
            -> Scan
            stimulus : int
            ---
            size : int
            """

        @schema
        class Response(dj.Computed):
            definition = """
            -> Cell
            -> Stimulus
            """

            def make(self, key):
                self.insert1(key)

        fill(Scan, 2)
        Cell.insert([(0, 0, 1), (0, 1, 2), (1, 0, 3)])
        Stimulus.insert([(0, 0, 5), (1, 0, 1), (1, 1, 1)])
        assert set(Response.key_source.heading.names) == {"scan", "cell", "stimulus"}
        assert Response.populate()["success_count"] == 4
        assert sorted(Response.fetch("scan").tolist()) == [0, 0, 1, 1]

    def test_renamed_twice(self, schema, Scan):
        @schema
        class Cell(dj.Manual):
            definition = """
            -> Scan.proj(session='scan')
            cell : int
            """

        @schema
        class Compared(dj.Computed):
            definition = """
            -> Cell.proj(first='cell')
            -> Cell.proj(second='cell')
            """

            def make(self, key):
                self.insert1(key)

        fill(Scan, 2)
        Cell.insert([(0, 0), (0, 1), (1, 0)])
        assert set(Compared.key_source.primary_key) == {"session", "first", "second"}
        assert Compared.populate()["success_count"] == 5
        assert Compared.progress(display=False) == (0, 5)

    def test_partly_secondary_foreign_keys_are_no_source(self, schema, Scan):
        @schema
        class Group(dj.Manual):
            definition = "grp : int"

        @schema
        class Rated(dj.Computed):
            definition = """
            -> Scan
            ---
            -> [nullable] Group
            """

            def make(self, key):
                self.insert1({**key, "grp": None})

        fill(Scan, 3)
        assert Rated.populate()["success_count"] == 3

    def test_no_key(self, schema):
        @schema
        class Settings(dj.Manual):
            definition = """
            ---
            x : int
            """

        @schema
        class Twice(dj.Computed):
            definition = """
            -> Settings
            ---
            y : int
            """

            @property
            def key_source(self):
                return Settings

            def make(self, key):
                self.insert1({"y": 2 * Settings.fetch1("x")})

        assert Twice.populate()["success_count"] == 0
        Settings.insert1({"x": 4})
        assert Twice.populate(reserve_jobs=True)["success_count"] == 1
        assert Twice.fetch1("y") == 8
        assert Twice.populate()["success_count"] == 0

    @pytest.mark.parametrize(
        "definition", ["rid : int\n---\n-> Pair", "a : int\nrid : int\n---\nb : int"]
    )
    def test_attributes_that_are_secondary_in_the_table(self, schema, definition):
        @schema
        class Pair(dj.Manual):
            definition = "a : int\nb : int"

        Pair.insert((a, b) for a in range(3) for b in range(3))
        text = definition

        @schema
        class Numbered(dj.Computed):
            definition = text
            key_source = property(lambda self: Pair())

            def make(self, key):
                self.insert1({**key, "rid": 10 * key["a"] + key["b"]})

        assert Numbered.populate(max_calls=2)["success_count"] == 2
        assert Numbered.progress(display=False) == (7, 9)
        assert schema.progress().loc["Numbered", ["done", "left"]].tolist() == [2, 7]
        assert Numbered.populate()["success_count"] == 7
        assert sorted(Numbered.fetch("rid")) == [0, 1, 2, 10, 11, 12, 20, 21, 22]

    def test_given_keys_in_any_order_of_attributes(self, schema):
        @schema
        class Pair(dj.Manual):
            definition = "a : int\nb : int"

        @schema
        class Made(dj.Computed):
            definition = "-> Pair"

            def make(self, key):
                self.insert1(key)

        Pair.insert([(1, 2), (2, 1)])
        keys = [{"a": 1, "b": 2}, {"b": 1, "a": 2}, {"b": 2, "a": 1}]
        assert Made.populate(keys=keys)["success_count"] == 2
        assert len(Made()) == 2

    def test_set_after_the_definition(self, Scan, Result):
        fill(Scan, 4)
        Result.key_source = Scan & "scan > 1"
        assert len(Result.key_source) == 2
        assert Result.populate()["success_count"] == 2
        assert Result.progress(display=False) == (0, 2)

    def test_of_a_class_that_chooses_what_is_to_do(self, Scan, schema):
        @schema
        class Low(dj.Computed):
            definition = "-> Scan"

            def _jobs_to_do(self, restrictions):
                return super()._jobs_to_do(restrictions) & "scan < 2"

            def make(self, key):
                self.insert1(key)

        fill(Scan, 4)
        assert Low.progress(display=False) == (2, 2)
        assert Low.populate("scan > 0")["success_count"] == 1
        assert Low.populate()["success_count"] == 1

    def test_null_in_what_is_made(self, schema, Scan):
        """A NULL among the entities excludes no other key."""

        @schema
        class Rated(dj.Computed):
            definition = """
            -> Scan
            ---
            rating = null : int
            """

            def make(self, key):
                self.insert1(key)

        fill(Scan, 2)
        assert Rated.populate(max_calls=1)["success_count"] == 1
        assert Rated.populate()["success_count"] == 1


def test_what_is_logged(Scan, Result, caplog):
    fill(Scan, 3)

    def work(scan):
        if scan == 1:
            raise ValueError("no luck")

    Result.work = work
    with caplog.at_level(logging.ERROR, "datajoint"):
        Result.populate(suppress_errors=True)
    (record,) = caplog.records
    assert "{'scan': 1}" in record.getMessage()
    assert "ValueError: no luck" in record.getMessage()
    assert sys.exc_info() == (None, None, None)
