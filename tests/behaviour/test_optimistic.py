"""Transactions that let others write until they change something themselves.

On a database with one writer, they are as if they had run one after another, or a conflict. On
others they are like all transactions: snapshots (test_transactions).
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import datajoint as dj
from datajoint.errors import ConflictError, DataJointError, IntegrityError, LostConnectionError
from datajoint.sql.text import SQL
from datajoint.storage.registry import get_store

#: Databases with one transaction at a time that writes: reads are looked at again.
LOOK_AGAIN = {"sqlite"}


@pytest.fixture
def looks_again(backend):
    return backend in LOOK_AGAIN


@pytest.fixture
def lab(schema):
    @schema
    class Session(dj.Manual):
        definition = """
        session : int
        ---
        value : int
        data = null : longblob
        """

    @schema
    class Result(dj.Manual):
        definition = """
        -> Session
        ---
        result : int
        """

    @schema
    class Total(dj.Manual):
        definition = """
        total : int
        ---
        result : int
        """

    Session.insert((i, 10 * i, None) for i in (1, 2, 3))
    return SimpleNamespace(**locals())


@pytest.fixture
def other(lab, connect):
    """The tables as another connection sees them, which does not wait long for locks."""
    with dj.config(database__timeout=0.2):
        connection = connect()
    tables = {
        name: dj.FreeTable(connection, getattr(lab, name).full_table_name)
        for name in ("Session", "Result", "Total")
    }
    return SimpleNamespace(connection=connection, **tables)


@contextmanager
def optimistic(connection):
    connection.start_transaction(optimistic=True)
    try:
        yield
        connection.commit_transaction()
    finally:
        connection.cancel_transaction()


# -- what is seen, and when others may write -----------------------------------------------------


def test_others_write_until_something_is_changed(lab, connection, other):
    with optimistic(connection):
        assert len(lab.Session()) == 3
        other.Session.insert1((4, 40, None))
        other.Total.insert1((1, 1))
        assert len(lab.Session()) == 3  # a snapshot
        assert len(lab.Total()) == 0
    assert len(lab.Session()) == 4


def test_it_is_optimistic_until_something_is_changed(lab, connection, looks_again):
    assert not connection.is_optimistic
    with optimistic(connection):
        len(lab.Session())
        assert connection.is_optimistic is looks_again
        lab.Total.insert1((1, 1))
        assert not connection.is_optimistic
    assert not connection.is_optimistic
    with connection.transaction:
        assert not connection.is_optimistic


def test_in_memory_there_are_no_others():
    connection = dj.Connection(backend="sqlite", path=":memory:")
    with optimistic(connection):
        assert not connection.is_optimistic  # so nothing that is read is looked at twice
    connection.close()


def test_unrelated_changes_of_others(lab, connection, other):
    with optimistic(connection):
        value = (lab.Session & "session = 1").fetch1("value")
        other.Session.insert1((4, 40, None))
        other.Session.update1({"session": 2, "value": 0})
        lab.Result.insert1((1, value))
        lab.Total.insert1((1, len(lab.Result())))
    assert other.Result.fetch(as_dict=True) == [{"session": 1, "result": 10}]
    assert other.Total.fetch(as_dict=True) == [{"total": 1, "result": 1}]


def test_changed_input(lab, connection, other, looks_again):
    def make():
        with optimistic(connection):
            value = (lab.Session & "session = 1").fetch1("value")
            if not (other.Session & "value = 11"):
                other.Session.update1({"session": 1, "value": 11})
            lab.Total.insert1((1, value))

    if looks_again:
        with pytest.raises(ConflictError) as error:
            make()
        assert lab.Session.full_table_name in str(error.value)
        assert "can be repeated" in str(error.value)
        assert not connection.in_transaction
        assert len(lab.Total()) == 0
        make()
    else:
        make()
    assert lab.Total.fetch1("result") == (11 if looks_again else 10)


def test_changed_back_is_not_changed(lab, connection, other):
    with optimistic(connection):
        value = (lab.Session & "session = 1").fetch1("value")
        other.Session.update1({"session": 1, "value": 11})
        other.Session.update1({"session": 1, "value": 10})
        lab.Total.insert1((1, value))
    assert lab.Total.fetch1("result") == 10


def test_write_skew(lab, connection, other, looks_again):
    """Each reads what the other writes."""

    def both():
        connection.start_transaction(optimistic=True)
        other.connection.start_transaction(optimistic=True)
        assert len(lab.Total()) == len(other.Total) == 0
        other.Total.insert1((2, 0))
        other.connection.commit_transaction()
        lab.Total.insert1((1, 0))
        connection.commit_transaction()

    try:
        if looks_again:
            with pytest.raises(ConflictError):
                both()
        else:
            both()
    finally:
        connection.cancel_transaction()
        other.connection.cancel_transaction()
    assert sorted(lab.Total.fetch("total").tolist()) == ([2] if looks_again else [1, 2])


# -- the transaction that has met a conflict ------------------------------------------------------


def test_nothing_is_done_after_a_conflict(lab, connection, other, looks_again):
    if not looks_again:
        pytest.skip("reads are not looked at again")
    connection.start_transaction(optimistic=True)
    assert len(lab.Session()) == 3
    other.Session.insert1((4, 0, None))
    with pytest.raises(ConflictError, match="can be repeated"):
        lab.Total.insert1((1, 3))
    for action in (lambda: lab.Total.insert1((1, 3)), lambda: len(lab.Session())):
        with pytest.raises(ConflictError, match="nothing can be done in it"):
            action()
    other.Total.insert1((2, 2))  # nobody waits for it
    with pytest.raises(ConflictError):
        connection.commit_transaction()
    connection.cancel_transaction()
    assert len(lab.Session()) == 4


# -- recording -------------------------------------------------------------------------------------


def test_recording(lab, connection, other):
    with connection.recording() as reads:
        with connection.transaction:
            assert (lab.Session & "session = 1").fetch1("value") == 10
            assert len(lab.Total()) == 0
            with connection.unrecorded():
                assert len(lab.Result()) == 0
            lab.Result.insert1((1, 1))
        assert sum(row["value"] for row in lab.Session) == 60
    len(lab.Result())
    session, total = lab.Session.full_table_name, lab.Total.full_table_name
    assert [connection.tables_in(read.text) for read in reads] == [[session], [total], [session]]
    assert list(connection.changed(reads)) == []
    first, second, third = reads
    other.Session.update1({"session": 2, "value": 0})
    assert list(connection.changed(reads)) == [third]
    other.Session.update1({"session": 1, "value": 0})
    other.Total.insert1((1, 1))
    assert list(connection.changed(reads)) == [first, second, third]


def test_recording_of_queries_by_the_user(lab, connection):
    table = connection.dialect.table(lab.schema.database, "session")
    with connection.recording() as reads:
        cursor = connection.query(f"SELECT value FROM {table} WHERE session > %s", (1,))
        assert sorted(cursor.fetchall()) == [(20,), (30,)]
        named = {"least": 2, "most": 3}
        text = f"SELECT value FROM {table} WHERE session BETWEEN %(least)s AND %(most)s ORDER BY 1"
        cursor = connection.query(text, named, as_dict=True)
        assert cursor.fetchone() == {"value": 20}
        assert list(cursor) == [{"value": 30}]
        assert cursor.fetchone() is None
        connection.query(f"UPDATE {table} SET value = 0 WHERE session = 1")
    assert len(reads) == 2
    assert list(connection.changed(reads)) == []
    lab.Session.update1({"session": 2, "value": 0})
    assert list(connection.changed(reads)) == list(reads)
    (lab.Result.drop_quick(), lab.Session.drop_quick())
    assert list(connection.changed(reads)) == list(reads)


# -- what is looked at again ----------------------------------------------------------------------


def select(lab, rest):
    connection = lab.Session.connection
    table = connection.dialect.table(lab.schema.database, "session")
    return connection.query(f"SELECT session, value FROM {table} {rest}")


def largest(lab):
    return lab.Session & dj.Top(1, "value DESC")


def add(session, value):
    return lambda tables: tables.Session.insert1((session, value, None))


def change(**row):
    return lambda tables: tables.Session.update1(row)


def remove(session):
    return lambda tables: (tables.Session & {"session": session}).delete_quick()


#: What a transaction reads, what others do that changes the result, and what does not.
READS = {
    "fetch": (lambda lab: lab.Session.fetch(), add(4, 0), None),
    "fetch one": (
        lambda lab: (lab.Session & "session = 1").fetch1("value"),
        change(session=1, value=0),
        add(4, 0),
    ),
    "fetch keys": (
        lambda lab: lab.Session.fetch("KEY"),
        remove(2),
        change(session=1, value=0),
    ),
    "count": (lambda lab: len(lab.Session & "value > 15"), add(4, 20), add(4, 10)),
    "any": (lambda lab: bool(lab.Session & "value > 35"), add(4, 40), change(session=1, value=35)),
    "contains": (lambda lab: {"session": 4} in lab.Session(), add(4, 0), remove(3)),
    "iterate": (lambda lab: list(lab.Session & "value > 15"), add(4, 20), add(4, 10)),
    "iterate a little": (lambda lab: next(iter(lab.Session())), add(4, 0), None),
    "batches": (lambda lab: list(lab.Session.fetch_batches("KEY", size=1)), remove(3), None),
    "aggregate": (
        lambda lab: dj.U().aggr(lab.Session, total="sum(value)").fetch1("total"),
        add(4, 1),
        add(4, 0),
    ),
    "top": (
        lambda lab: largest(lab).fetch1("KEY"),
        change(session=1, value=31),
        change(session=1, value=29),
    ),
    "limit": (
        lambda lab: lab.Session.fetch("session", limit=2),
        add(0, 0),
        add(4, 0),
    ),
    "order": (
        lambda lab: lab.Session.fetch("session", order_by="value"),
        change(session=1, value=25),
        change(session=1, value=15),
    ),
    "exclusion": (
        lambda lab: (lab.Session - lab.Total.proj(session="total")).fetch("KEY"),
        lambda tables: tables.Total.insert1((3, 0)),
        lambda tables: tables.Total.insert1((5, 0)),
    ),
    "nothing there": (
        lambda lab: (lab.Session & "session = 7").fetch(),
        add(7, 0),
        add(8, 0),
    ),
    "arrow": (lambda lab: lab.Session.to_arrow("value"), change(session=1, value=0), None),
    "by the user": (
        lambda lab: select(lab, "WHERE value > 15").fetchall(),
        add(4, 20),
        add(4, 10),
    ),
    "by the user, not to the end": (
        lambda lab: select(lab, "ORDER BY 1").fetchone(),
        add(4, 20),
        None,
    ),
}


@pytest.mark.parametrize("name", READS)
class TestReads:
    def test_changed(self, lab, connection, other, looks_again, name):
        read, change, _ = READS[name]
        connection.start_transaction(optimistic=True)
        read(lab)
        change(other)
        if looks_again:
            with pytest.raises(ConflictError):
                lab.Total.insert1((1, 1))
            connection.cancel_transaction()
            connection.start_transaction(optimistic=True)
            read(lab)
        lab.Total.insert1((1, 1))
        connection.commit_transaction()
        assert other.Total & "total = 1"

    def test_not_changed(self, lab, connection, other, name):
        read, _, change = READS[name]
        with optimistic(connection):
            read(lab)
            if change is not None:
                change(other)
            lab.Total.insert1((1, 1))
        assert other.Total & "total = 1"


@pytest.mark.parametrize("name", ["delete", "update"])
def test_what_a_change_looks_at_first(lab, connection, other, monkeypatch, looks_again, name):
    """Others get in between a plan and the statements that carry it out."""
    if not looks_again:
        pytest.skip("each statement is on its own")

    def promote():
        if name == "delete":
            other.Result.insert1((1, 1))
        else:
            (other.Session & "session = 1").delete_quick()
        return promote_now()

    promote_now = connection.backend.promote
    connection.start_transaction(optimistic=True)
    monkeypatch.setattr(connection.backend, "promote", promote)
    with pytest.raises(ConflictError):
        if name == "delete":
            (lab.Session & "session = 1").delete()
        else:
            lab.Session.update1({"session": 1, "value": 0})
    connection.cancel_transaction()
    assert len(lab.Result()) == (name == "delete")
    assert len(lab.Session & "session = 1") == (name == "delete")


def test_reads_after_the_first_change_are_of_that_moment(lab, connection, other, looks_again):
    with optimistic(connection):
        other.Session.insert1((4, 40, None))
        lab.Total.insert1((1, 1))
        assert len(lab.Session()) == (4 if looks_again else 3)
        assert (len(lab.Session & "session > 3") == 1) is looks_again


def test_deleted_parent(lab, connection, other):
    connection.start_transaction(optimistic=True)
    value = (lab.Session & "session = 1").fetch1("value")
    (other.Session & "session = 1").delete()
    with pytest.raises((ConflictError, IntegrityError)):
        lab.Result.insert1((1, value))
    connection.cancel_transaction()
    assert len(lab.Result()) == 0


def test_a_table_that_is_gone(lab, connection, other, looks_again):
    if not looks_again:
        pytest.skip("tables that were read cannot be dropped")
    connection.start_transaction(optimistic=True)
    assert len(lab.Total()) == 0
    other.Total.drop_quick()
    with pytest.raises(ConflictError):
        lab.Result.insert1((1, 1))
    connection.cancel_transaction()
    assert len(lab.Result()) == 0


# -- locks -----------------------------------------------------------------------------------------


def test_nothing_is_changed(lab, connection, other):
    with optimistic(connection):
        assert len(lab.Session()) == 3
        with other.connection.transaction:
            other.Session.insert1((4, 40, None))
            assert len(lab.Session()) == 3
        (other.Session & "session = 1").delete()
        assert len(lab.Session()) == 3


def test_a_thousand_inserts_while_it_computes(lab, connection, other):
    with optimistic(connection):
        value = (lab.Session & "session = 1").fetch1("value")
        numbers = iter(lab.Session)
        next(numbers)
        for i in range(1000, 2000):
            other.Total.insert1((i, i))
        assert len(list(numbers)) == 2
        lab.Result.insert1((1, value))
    assert len(lab.Total()) == 1000


def test_waiting_for_the_lock_in_vain(lab, connection, other, looks_again):
    if not looks_again:
        pytest.skip("there are locks of rows")
    other.connection.start_transaction(optimistic=True)
    assert len(other.Session) == 3
    with connection.transaction:
        lab.Total.insert1((1, 1))
        with pytest.raises(ConflictError, match=r"locked(.|\n)*can be repeated"):
            other.Total.insert1((2, 2))
    other.connection.cancel_transaction()
    other.Total.insert1((2, 2))
    assert len(lab.Total()) == 2


def test_a_change_that_nobody_announced(lab, connection, other, backend):
    """SQLite takes the lock by itself, or tells that it is too late."""
    if backend != "sqlite":
        pytest.skip("it has one writer only")
    table = connection.dialect.table(lab.schema.database, "total")
    insert = SQL(f"INSERT INTO {table} VALUES (1, 1) RETURNING total")
    with optimistic(connection):
        assert len(lab.Session()) == 3
        assert connection.rows(insert) == [(1,)]
        with pytest.raises(ConflictError):
            other.Session.insert1((4, 0, None))
        lab.Total.insert1((2, 2))
    lab.Total.delete_quick()
    connection.start_transaction(optimistic=True)
    other.Session.insert1((4, 0, None))
    with pytest.raises(ConflictError, match=r"since the transaction began(.|\n)*can be repeated"):
        connection.rows(insert)
    connection.cancel_transaction()
    assert len(lab.Total()) == 0


def test_a_result_that_was_not_read_to_its_end(lab, connection, other):
    """It does not keep the session at the state that it is of."""
    cursor = select(lab, "ORDER BY session")
    assert cursor.fetchone() == (1, 10)
    other.Session.insert1((4, 40, None))
    lab.Total.insert1((1, 1))
    with optimistic(connection):
        assert len(lab.Session()) == 4
        lab.Total.insert1((2, 2))
    assert cursor.fetchone() == (2, 20)
    assert cursor.fetchall() == [(3, 30)]
    assert cursor.fetchone() is None


# -- savepoints ------------------------------------------------------------------------------------


def test_parts_that_are_undone(lab, connection, other):
    with optimistic(connection):
        with connection.atomic():
            assert len(lab.Session()) == 3
            other.Total.insert1((9, 9))  # nothing is changed yet
        with pytest.raises(ZeroDivisionError), connection.atomic(), connection.atomic():
            assert len(lab.Session()) == 3
            raise ZeroDivisionError
        with connection.atomic():
            with pytest.raises(ZeroDivisionError), connection.atomic():
                lab.Total.insert1((1, 1))
                raise ZeroDivisionError
            assert not lab.Total & "total = 1"
            lab.Total.insert1((2, 2))
            with connection.atomic():
                lab.Total.insert1((3, 3))
        with pytest.raises(ZeroDivisionError), connection.atomic():
            lab.Total.insert1((4, 4))
            raise ZeroDivisionError
        lab.Total.insert1((5, 5))
    assert other.Total.fetch("total", order_by="total").tolist() == [2, 3, 5, 9]


def test_a_conflict_within_a_part(lab, connection, other, looks_again):
    if not looks_again:
        pytest.skip("reads are not looked at again")
    connection.start_transaction(optimistic=True)
    assert len(lab.Session()) == 3
    other.Session.insert1((4, 0, None))
    with pytest.raises(ConflictError), connection.atomic(), connection.atomic():
        lab.Total.insert1((1, 1))
    connection.cancel_transaction()
    with optimistic(connection), connection.atomic():
        lab.Total.insert1((1, 1))
    assert len(other.Total) == 1


def test_rows_that_are_slow_to_come(lab, connection, other):
    """The first of them keeps nobody from writing while it is computed."""

    def rows():
        other.Total.insert1((9, 9))
        yield 1, 1

    with optimistic(connection):
        lab.Total.insert(rows())
    assert sorted(lab.Total.fetch("total").tolist()) == [1, 9]


# -- interruptions ---------------------------------------------------------------------------------


def interrupt(*args):
    raise KeyboardInterrupt


def test_interrupted_while_it_waits(lab, connection, other, backend, monkeypatch):
    if backend != "sqlite":
        pytest.skip("it has one writer only")
    other.connection.start_transaction()
    connection.start_transaction(optimistic=True)
    assert len(lab.Session()) == 3
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lab.Total.insert1((1, 1))
    other.connection.cancel_transaction()
    with pytest.raises(ConflictError, match="nothing can be done in it"):
        lab.Total.insert1((1, 1))  # and not alone
    connection.cancel_transaction()
    with optimistic(connection):
        lab.Total.insert1((2, 2))
    assert other.Total.fetch("total").tolist() == [2]


def test_interrupted_while_it_looks_again(lab, connection, other, looks_again, monkeypatch):
    if not looks_again:
        pytest.skip("reads are not looked at again")
    connection.start_transaction(optimistic=True)
    assert len(lab.Session()) == 3
    other.Session.insert1((4, 0, None))
    with monkeypatch.context() as patch:
        patch.setattr(connection, "_digest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lab.Total.insert1((1, 1))
    with pytest.raises(ConflictError, match="nothing can be done in it"):
        lab.Total.insert1((1, 1))
    connection.cancel_transaction()
    other.Total.insert1((2, 2))
    assert lab.Total.fetch("total").tolist() == [2]


@pytest.mark.parametrize("begins", [True, False])
def test_interrupted_when_it_begins(lab, connection, other, monkeypatch, begins):
    def begin(**options):
        if begins:
            begin_now(**options)
        raise KeyboardInterrupt

    begin_now = connection.backend.begin
    with monkeypatch.context() as patch:
        patch.setattr(connection.backend, "begin", begin)
        with pytest.raises(KeyboardInterrupt):
            connection.start_transaction()
    assert not connection.in_transaction
    lab.Total.insert1((1, 1))
    assert len(other.Total) == 1
    with connection.transaction:
        lab.Total.insert1((2, 2))


class TestInterruptedStatements:
    """A server's session is not used again: its next answer may be that of another statement."""

    def test_alone(self, lab, connection, monkeypatch):
        session = connection.connection_id
        with monkeypatch.context() as patch:
            patch.setattr(connection.backend, "execute", interrupt)
            with pytest.raises(KeyboardInterrupt):
                len(lab.Session())
        assert len(lab.Session()) == 3
        is_same = connection.connection_id == session
        assert is_same is connection.backend.survives_interrupts

    def test_in_a_transaction(self, lab, connection, other, monkeypatch):
        connection.start_transaction()
        lab.Total.insert1((1, 1))
        with monkeypatch.context() as patch:
            patch.setattr(connection.backend, "execute", interrupt)
            with pytest.raises(KeyboardInterrupt):
                len(lab.Session())
        if connection.backend.survives_interrupts:
            assert len(lab.Session()) == 3
        else:
            with pytest.raises(LostConnectionError, match="nothing can be done in it"):
                lab.Total.insert1((2, 2))
        connection.cancel_transaction()
        assert len(lab.Total()) == 0
        lab.Total.insert1((3, 3))
        assert other.Total.fetch("total").tolist() == [3]

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_by_a_signal(self, lab, connection, backend, in_transaction):
        if backend == "sqlite":
            pytest.skip("a statement is done before the signal")
        sleep = {"mysql": "SELECT SLEEP(60)", "postgresql": "SELECT pg_sleep(60)"}[backend]
        if in_transaction:
            connection.start_transaction()
            lab.Total.insert1((1, 1))
        signal.siginterrupt(signal.SIGINT, False)  # as libraries do, polars among them
        timer = threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                connection.query(sleep).fetchall()
        finally:
            timer.join()
            signal.siginterrupt(signal.SIGINT, True)
        connection.cancel_transaction()
        assert connection.query("SELECT 42").fetchall() == [(42,)]
        assert len(lab.Total()) == 0

    def test_in_the_middle_of_a_result(self, lab, connection, monkeypatch):
        batches = lab.Session.fetch_batches("session", size=1, order_by="session")
        assert next(batches) == [{"session": 1}]
        with monkeypatch.context() as patch:
            (stream,) = connection._beside._running
            patch.setattr(type(stream._source), "fetchmany", interrupt)
            with pytest.raises(KeyboardInterrupt):
                next(batches)
        assert lab.Session.fetch("session", order_by="session").tolist() == [1, 2, 3]
        assert [b[0]["session"] for b in lab.Session.fetch_batches("session", size=1)] == [1, 2, 3]


def test_a_transaction_that_the_database_ended(lab, connection, other, backend):
    """A full disk undoes it: what follows must not be done alone."""
    if backend != "sqlite":
        pytest.skip("its size cannot be limited")
    pages = connection.query("PRAGMA page_count").fetchone()[0]
    with pytest.raises(LostConnectionError, match="nothing can be done"), connection.transaction:
        lab.Total.insert1((1, 1))
        connection.query(f"PRAGMA max_page_count = {pages}").fetchall()
        with pytest.raises(DataJointError, match="full"):
            lab.Session.insert1((4, 0, os.urandom(10**6)))
        lab.Total.insert1((2, 2))
    connection.query("PRAGMA max_page_count = 1000000").fetchall()
    assert len(other.Total) == 0


# -- stores ----------------------------------------------------------------------------------------


@pytest.fixture
def movies(schema, tmp_path):
    (tmp_path / "movies").mkdir()
    dj.config["stores"] = {"raw": {"protocol": "file", "location": str(tmp_path / "movies")}}

    @schema
    class Movie(dj.Manual):
        definition = """
        movie : int
        ---
        frames : blob@raw
        """

    def stored():
        return sorted(p.name for p in (tmp_path / "movies").rglob("*") if p.is_file())

    return SimpleNamespace(**locals())


def test_objects_are_stored_before_others_are_kept_from_writing(
    lab, movies, connection, other, monkeypatch
):
    def put(*args):
        other.Total.insert1((next(numbers), 0))
        return put_now(*args)

    numbers = itertools.count()
    store = get_store("raw")
    put_now = store.put
    monkeypatch.setattr(store, "put", put)
    with optimistic(connection):
        assert len(lab.Session()) == 3
        movies.Movie.insert([(1, "one"), (2, "two")])
    assert len(lab.Total()) == 2
    assert movies.Movie.fetch("frames", order_by="movie").tolist() == ["one", "two"]


def test_a_conflict_after_objects_were_stored(lab, movies, connection, other, looks_again):
    if not looks_again:
        pytest.skip("reads are not looked at again")
    connection.start_transaction(optimistic=True)
    assert len(lab.Session()) == 3
    other.Session.insert1((4, 0, None))
    with pytest.raises(ConflictError):
        movies.Movie.insert1((1, "one"))
    connection.cancel_transaction()
    assert len(movies.stored()) == 1
    assert len(movies.Movie()) == len(movies.schema.external["raw"]) == 0
    with optimistic(connection):
        movies.Movie.insert1((1, "one"))
    assert len(movies.stored()) == len(movies.schema.external["raw"]) == 1
    assert movies.Movie.fetch1("frames") == "one"


def test_others_store_the_same_object_meanwhile(lab, movies, connection, connect, looks_again):
    if not looks_again:
        pytest.skip("that is a conflict")
    others = dj.FreeTable(connect(), movies.Movie.full_table_name)
    with optimistic(connection):
        assert len(lab.Session()) == 3
        others.insert1((1, "same"))
        movies.Movie.insert1((2, "same"))
    assert movies.Movie.fetch("frames").tolist() == ["same", "same"]
    assert len(movies.stored()) == 1


def test_an_object_that_was_read_is_collected(lab, movies, connection, connect, looks_again):
    """Its row is found no more, where it is held for another one."""
    if not looks_again:
        pytest.skip("reads are not looked at again")
    movies.Movie.insert1((1, "one"))
    others = dj.Schema(movies.schema.database, connection=connect())
    with optimistic(connection):
        assert len(lab.Session()) == 3
        dj.FreeTable(others.connection, movies.Movie.full_table_name).delete()
        dj.gc(others, dry_run=False, grace=0, display_progress=False)
        assert movies.stored() == []
        movies.Movie.insert1((2, "one"))
    assert movies.Movie.fetch1("frames") == "one"


# -- populate --------------------------------------------------------------------------------------


def computed(lab, name, make):
    """Declare a table with a key for each session, whose `make` counts its calls."""
    calls = []

    def counting(self, key):
        calls.append(key["session"])
        make(self, key, calls.count(key["session"]))

    members = {"definition": "-> Session\n---\nresult : int", "make": counting}
    table = lab.schema(type(name, (dj.Computed,), members), context={"Session": lab.Session})
    return table, calls


class TestPopulate:
    def test_changed_input(self, lab, other, backend):
        def make(self, key, call):
            value = (lab.Session & key).fetch1("value")
            if call == 1:
                other.Session.update1({**key, "value": value + 1})
            self.insert1({**key, "result": value})

        table, calls = computed(lab, "Copy", make)
        assert table.populate() == {"success_count": 3, "error_list": []}
        # MariaDB: because of the foreign key
        again = backend in ("sqlite", "mysql")
        assert calls == ([1, 1, 2, 2, 3, 3] if again else [1, 2, 3])
        assert table.fetch("result").tolist() == ([11, 21, 31] if again else [10, 20, 30])

    def test_others_change_other_things(self, lab, other):
        def make(self, key, call):
            value = (lab.Session & key).fetch1("value")
            number = 100 + key["session"]
            other.Total.insert1((number, 0))
            other.Session.insert1((number, 0, None))
            self.insert1({**key, "result": value})

        table, calls = computed(lab, "Copy", make)
        assert table.populate() == {"success_count": 3, "error_list": []}
        assert calls == [1, 2, 3]

    def test_phantoms(self, lab, other, looks_again):
        def make(self, key, call):
            total = dj.U().aggr(lab.Total, n="count(*)").fetch1("n")
            if call == 1:
                other.Total.insert1((key["session"], 0))
            self.insert1({**key, "result": total})

        table, calls = computed(lab, "Count", make)
        assert table.populate() == {"success_count": 3, "error_list": []}
        assert len(calls) == (6 if looks_again else 3)
        assert table.fetch("result").tolist() == ([1, 2, 3] if looks_again else [0, 1, 2])

    def test_write_skew(self, lab, other, connect, looks_again):
        """Two tables that count each other's entities, as one after the other would."""

        def make_first(self, key, call):
            count = len(second())
            if call == 1:
                second_of_others.populate(key)
            self.insert1({**key, "result": count})

        def make_second(self, key, call):
            self.insert1({**key, "result": len(dj.FreeTable(self.connection, first_name))})

        first, calls = computed(lab, "First", make_first)
        first_name = first.full_table_name
        second, _ = computed(lab, "Second", make_second)
        others = dj.Schema(lab.schema.database, connection=connect())
        second_of_others, calls_of_others = computed(
            SimpleNamespace(schema=others, Session=lab.Session), "Second", make_second
        )
        assert first.populate("session = 1") == {"success_count": 1, "error_list": []}
        assert (len(calls), len(calls_of_others)) == (2 if looks_again else 1, 1)
        results = first.fetch1("result"), second.fetch1("result")
        assert results == ((1, 0) if looks_again else (0, 0))

    def test_deleted_parent(self, lab, other):
        def make(self, key, call):
            value = (lab.Session & key).fetch1("value")
            if key["session"] == 2:
                (other.Session & key).delete()
            self.insert1({**key, "result": value})

        table, _ = computed(lab, "Copy", make)
        result = table.populate(suppress_errors=True)
        assert result["success_count"] == 2
        assert table.fetch("session").tolist() == lab.Session.fetch("session").tolist() == [1, 3]

    def test_somebody_always_changes_it(self, lab, other, looks_again):
        """In the end it keeps the others from writing."""
        if not looks_again:
            pytest.skip("reads are not looked at again")

        def make(self, key, call):
            count = len(lab.Total())
            try:
                other.Total.insert1((call, 0))
            except ConflictError:
                kept_out.append(call)
            self.insert1({**key, "result": count})

        kept_out = []
        table, calls = computed(lab, "Count", make)
        assert table.populate("session = 1") == {"success_count": 1, "error_list": []}
        assert len(calls) == 4
        assert kept_out == [4]
        assert table.fetch1("result") == 3

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_two_compute_side_by_side(self, lab, connect, looks_again, reserve_jobs):
        """Neither waits for the other's computation."""
        both = threading.Barrier(2)

        def make(self, key, call):
            value = len(dj.FreeTable(self.connection, lab.Session.full_table_name))
            both.wait(30)
            self.insert1({**key, "result": value})

        def populate(session):
            others = dj.Schema(lab.schema.database, connection=connect())
            table, calls = computed(
                SimpleNamespace(schema=others, Session=lab.Session), "Count", make
            )
            table.populate({"session": session}, reserve_jobs=reserve_jobs)
            return calls

        computed(lab, "Count", make)
        lab.schema.jobs.declare()
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(populate, [1, 2])) == [[1], [2]]
        count = dj.FreeTable(lab.Session.connection, f"`{lab.schema.database}`.`__count`")
        assert count.fetch("result").tolist() == [3, 3]
        assert len(lab.schema.jobs) == 0
