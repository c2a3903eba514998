"""Connections: reconnecting, transactions, processes, and errors that name their cause."""

import os
from pathlib import Path

import pytest

import datajoint as dj
from datajoint.errors import LostConnectionError


@pytest.fixture
def Item(make_schema):
    @make_schema()
    class Item(dj.Manual):
        definition = """
        item : int
        """

    return Item


def test_a_closed_connection_reconnects(connection, Item):
    Item.insert1((1,))
    connection.close()
    assert not connection.is_connected
    assert len(Item()) == 1
    assert connection.is_connected


def test_reconnecting_can_be_turned_off(connection, Item):
    connection.close()
    with dj.config(database__reconnect=False), pytest.raises(LostConnectionError):
        len(Item())


def test_a_connection_lost_inside_a_transaction_is_an_error_and_nothing_is_kept(connection, Item):
    with pytest.raises(LostConnectionError, match="rolled back"), connection.transaction:
        Item.insert1((1,))
        connection.backend.close()
        Item.insert1((2,))
    assert not connection.in_transaction
    assert len(Item()) == 0


def test_transaction_commits_all(connection, Item):
    with connection.transaction as same:
        assert same is connection
        assert connection.in_transaction
        Item.insert1((1,))
        Item.insert([(2,), (3,)])
    assert not connection.in_transaction
    assert Item.fetch("item").tolist() == [1, 2, 3]


def test_transaction_undoes_all_after_an_error(connection, Item):
    with pytest.raises(ZeroDivisionError), connection.transaction:
        Item.insert1((1,))
        raise ZeroDivisionError
    assert len(Item()) == 0


def test_a_failed_insert_undoes_itself_only(connection, Item):
    with connection.transaction:
        Item.insert1((1,))
        with pytest.raises(dj.errors.DuplicateError):
            Item.insert([(2,), (3,), (1,)])
        Item.insert1((4,))
    assert Item.fetch("item").tolist() == [1, 4]


def test_transactions_do_not_nest(connection):
    with connection.transaction:
        with pytest.raises(dj.DataJointError, match="nested transactions are not supported"):
            connection.start_transaction()
        assert connection.in_transaction


def test_start_commit_and_cancel(connection, Item):
    connection.start_transaction()
    Item.insert1((1,))
    connection.cancel_transaction()
    connection.start_transaction()
    Item.insert1((2,))
    connection.commit_transaction()
    assert Item.fetch("item").tolist() == [2]


def test_query_gives_a_cursor(connection):
    cursor = connection.query("SELECT 1 AS a, 'x' AS b UNION SELECT 2, 'y'")
    assert cursor.fetchone() == (1, "x")
    assert list(cursor.fetchall()) == [(2, "y")]
    rows = connection.query("SELECT 1 AS a, 'x' AS b", as_dict=True)
    assert list(rows) == [{"a": 1, "b": "x"}]


def test_a_forked_child_continues_on_a_session_of_its_own(connection, Item):
    Item.insert1((1,))
    child = os.fork()
    if not child:
        status = 1
        try:
            Item.insert1((2,))
            status = 0 if len(Item()) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    Item.insert1((3,))
    assert Item.fetch("item").tolist() == [1, 2, 3]


def test_repr_tells_state_and_place(connection):
    assert (
        repr(connection) == f"DataJoint connection (connected) to {connection.backend.description}"
    )
    connection.close()
    assert "(disconnected)" in repr(connection)


class TestSQLite:
    """What only an embedded database can do wrong."""

    def test_missing_folder_is_named(self, tmp_path: Path):
        with pytest.raises(dj.DataJointError, match=r"folder .*/nowhere does not exist"):
            dj.Connection(backend="sqlite", path=str(tmp_path / "nowhere" / "x.db"))

    def test_a_file_that_is_no_database_is_named(self, tmp_path: Path):
        path = tmp_path / "notes.txt"
        path.write_text("not a database, " * 100)
        with pytest.raises(dj.DataJointError, match=r"notes\.txt is no SQLite database"):
            dj.Connection(backend="sqlite", path=str(path))

    def test_a_lock_held_too_long_is_an_error(self, tmp_path: Path):
        path = str(tmp_path / "x.db")
        first = dj.Connection(backend="sqlite", path=path)
        second = dj.Connection(backend="sqlite", path=path, timeout=0.05)
        with first.transaction, pytest.raises(dj.DataJointError, match="locked by another"):
            second.start_transaction()
        assert not second.in_transaction
        first.close()
        second.close()

    def test_the_default_is_a_file_in_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        connection = dj.conn(reset=True)
        try:
            dj.Schema("lab")
            assert dj.list_schemas() == ["lab"]
            assert (tmp_path / "datajoint.db").exists()
            assert dj.conn() is connection is dj.conn.connection
        finally:
            connection.close()
            dj.conn.connection = None
