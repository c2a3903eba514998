"""Transactions that let others write until they change something themselves.

On a database with one writer, they are as if they had run one after another, or a conflict. On
others they are like all transactions: snapshots (test_transactions).
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import datajoint as dj
from datajoint.errors import ConflictError

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
