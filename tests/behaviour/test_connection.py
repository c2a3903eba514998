"""Connections: reconnecting, transactions, processes, and errors that name their cause."""

import gc
import os
import subprocess
import sys
import traceback
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


# -- lost connections ---------------------------------------------------------------------------


@pytest.fixture
def lose(backend, connect):
    """Take the session away from a connection, in a way that it does not notice at once."""
    if backend == "sqlite":  # whose sessions nobody can end from outside
        return lambda connection: connection.backend.close()
    other = connect()

    def end(connection):
        number = connection.connection_id
        other.kill(number)
        while dj.admin.sessions(other) & {"id": number}:  # the server takes a moment
            pass

    return end


@pytest.fixture
def unnoticed(connection, monkeypatch):
    """A loss that shows only when a statement is sent."""
    monkeypatch.setattr(type(connection.backend), "is_connected", True)
    monkeypatch.setattr(type(connection.backend), "has_ended", False)


def test_a_session_ended_by_the_server_is_replaced(connection, lose, Item, caplog):
    Item.insert1((1,))
    number = connection.connection_id
    lose(connection)
    with caplog.at_level("WARNING", logger="datajoint"):
        assert len(Item()) == 1
    assert [r.getMessage() for r in caplog.records] == [
        f"Reconnecting to {connection.backend.description}"
    ]
    assert connection.connection_id != number
    Item.insert1((2,))
    assert Item.fetch("item").tolist() == [1, 2]


def test_the_new_session_has_the_settings_of_the_first(connection, lose, Item):
    """A session that was replaced still reads consistently, and checks what is inserted."""
    lose(connection)
    connection.query("SELECT 1")
    with connection.transaction:
        Item.insert1((1,))
        assert len(Item()) == 1
    with pytest.raises(dj.errors.DuplicateError):
        Item.insert1((1,))


@pytest.mark.parametrize("rows", [[(2,)], [(2,), (3,)]])
def test_an_insert_is_not_repeated_silently(connection, lose, Item, rows):
    """The rows are there once, or there is an error and they are not there."""
    Item.insert1((1,))
    lose(connection)
    try:
        Item.insert(rows)
    except LostConnectionError:
        assert Item.fetch("item").tolist() == [1]
        Item.insert(rows)
    assert Item.fetch("item").tolist() == [1, *(row[0] for row in rows)]


def test_a_lost_insert1_is_an_error(connection, lose, unnoticed, Item):
    """Whether a statement was done before its answer was lost cannot be known."""
    lose(connection)
    with pytest.raises(LostConnectionError):
        Item.insert1((1,))
    assert len(Item()) == 0
    Item.insert1((1,))
    assert len(Item()) == 1


def test_an_insert_from_a_query_is_not_repeated(connection, lose, unnoticed, Item, make_schema):
    @make_schema("copies")
    class Copy(dj.Manual):
        definition = """
        item : int
        """

    Item.insert1((1,))
    lose(connection)
    with pytest.raises(LostConnectionError):
        Copy.insert(Item())
    assert len(Copy()) == 0
    Copy.insert(Item())
    assert len(Copy()) == 1


def test_reconnect_can_be_turned_off_for_all_and_for_one_query(connection, lose, Item):
    lose(connection)
    with dj.config(database__reconnect=False), pytest.raises(LostConnectionError):
        len(Item())
    assert len(Item()) == 0
    lose(connection)
    with pytest.raises(LostConnectionError):
        connection.query("SELECT 1", reconnect=False)
    with dj.config(database__reconnect=False):
        assert list(connection.query("SELECT 1", reconnect=True).fetchall()) == [(1,)]


def test_ping_tells_that_the_session_was_lost(connection, lose):
    connection.ping()
    lose(connection)
    with pytest.raises(LostConnectionError):
        connection.ping()
    assert not connection.is_connected


def test_a_session_lost_inside_a_transaction(connection, lose, Item):
    with pytest.raises(LostConnectionError, match="rolled back"), connection.transaction:
        Item.insert1((1,))
        lose(connection)
        Item.insert1((2,))
    assert not connection.in_transaction
    assert len(Item()) == 0
    with connection.transaction:
        Item.insert1((3,))
    assert Item.fetch("item").tolist() == [3]


def test_a_query_in_a_transaction_is_not_repeated_outside_of_it(connection, lose, Item):
    with pytest.raises(LostConnectionError, match="rolled back"), connection.transaction:
        Item.insert1((1,))
        lose(connection)
        len(Item())
    assert len(Item()) == 0


def test_a_session_lost_before_the_commit(connection, lose, Item):
    with pytest.raises(LostConnectionError, match="committed"), connection.transaction:
        Item.insert1((1,))
        lose(connection)
    assert not connection.in_transaction
    assert len(Item()) == 0


def test_the_error_of_the_user_is_not_hidden_by_a_lost_session(connection, lose, Item):
    with pytest.raises(ZeroDivisionError), connection.transaction:
        Item.insert1((1,))
        lose(connection)
        raise ZeroDivisionError
    assert not connection.in_transaction
    assert len(Item()) == 0


def test_a_populate_goes_on_after_a_lost_session(connection, lose, make_schema):
    schema = make_schema()
    lost = []

    @schema
    class Source(dj.Lookup):
        definition = "source : int"
        contents = ((0,), (1,), (2,))

    @schema
    class Result(dj.Computed):
        definition = "-> Source"

        def make(self, key):
            if key["source"] == 1 and not lost:
                lost.append(key)
                lose(self.connection)
            self.insert1(key)

    assert Result.populate() == {"success_count": 3, "error_list": []}
    assert lost == [{"source": 1}]
    assert sorted(Result.fetch("source")) == [0, 1, 2]


#: The servers of the suite lose what they committed in the last moments before a crash.
DURABLE = {
    "mysql": "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
    "postgresql": "SET synchronous_commit = local",
}


@pytest.mark.parametrize("backend", ["mysql", "postgresql"], indirect=True)
class TestRestart:
    """The server ends while somebody is connected, with or without warning."""

    @pytest.fixture
    def Item(self, spare_server, schema_name):
        connection = spare_server.connect()
        connection.query(DURABLE[spare_server.backend])

        @dj.Schema(schema_name, connection=connection)
        class Item(dj.Manual):
            definition = """
            item : int
            """

        yield Item
        connection.close()

    @pytest.fixture(autouse=True)
    def running(self, spare_server):
        yield
        spare_server.server.restart()

    def test_a_restart_is_survived(self, spare_server, Item):
        Item.insert1((1,))
        spare_server.server.restart()
        assert Item.fetch("item").tolist() == [1]

    def test_a_crash_inside_a_transaction_keeps_nothing(self, spare_server, Item):
        Item.insert1((1,))
        server = spare_server.server
        connection = Item.connection
        with pytest.raises(LostConnectionError, match="rolled back"), connection.transaction:
            Item.insert1((2,))
            server.kill()
            Item.insert1((3,))
        with pytest.raises(LostConnectionError) as raised:
            len(Item())
        assert f"{server.host}:{server.port}" in str(raised.value)
        assert not connection.is_connected
        server.restart()
        assert Item.fetch("item").tolist() == [1]
        Item.insert1((4,))
        assert Item.fetch("item").tolist() == [1, 4]


# -- processes ----------------------------------------------------------------------------------


def in_child(action) -> int:
    """Run a function in a forked process that ends as programs do; give its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # Not by os._exit: what is collected at the end must do the parent no harm. What pytest holds
    # must not run twice, so that the child is a program of its own from here on.
    status = 1
    try:
        action()
        gc.collect()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def test_a_child_that_collects_its_connection_leaves_the_parents(connection, Item):
    Item.insert1((1,))
    number = connection.connection_id

    def forget():
        backend = connection.backend
        backend.abandon()
        gc.collect()

    assert in_child(forget) == 0
    with connection.transaction:  # which would not survive the loss of the session
        Item.insert1((2,))
        assert in_child(lambda: len(Item())) == 0
        Item.insert1((3,))
    assert connection.connection_id == number
    assert Item.fetch("item").tolist() == [1, 2, 3]


def test_a_child_that_closes_its_connection_leaves_the_parents(connection, Item):
    with connection.transaction:
        Item.insert1((1,))
        assert in_child(connection.close) == 0
        Item.insert1((2,))
    assert Item.fetch("item").tolist() == [1, 2]


def test_an_error_of_a_child_does_not_end_the_transaction_of_its_parent(connection, Item):
    with connection.transaction:
        Item.insert1((1,))
        assert in_child(connection.cancel_transaction) == 0
        Item.insert1((2,))
    assert Item.fetch("item").tolist() == [1, 2]


def test_a_child_is_not_in_the_transaction_of_its_parent(connection, Item):
    def look():
        assert len(Item()) == 0
        assert not connection.in_transaction

    with connection.transaction:
        Item.insert1((1,))
        assert in_child(look) == 0
    assert len(Item()) == 1


PROGRAM = """
import os, sys
import datajoint as dj

connection = dj.conn(**eval(sys.argv[1]))
schema = dj.Schema(sys.argv[2], connection=connection)

@schema
class Item(dj.Manual):
    definition = "item : int"

def fork(action):
    child = os.fork()
    if not child:
        action()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

number = connection.connection_id
Item.insert1((1,))
with connection.transaction:
    Item.insert1((2,))
    fork(lambda: None)
    Item.insert1((3,))
fork(lambda: Item.insert1((4,)))
Item.insert1((5,))
assert connection.connection_id == number
print(Item.fetch("item").tolist())
"""


def test_children_end_as_programs_do(target, connection, schema_name, tmp_path):
    options = repr(target.options(tmp_path))
    command = [sys.executable, "-W", "error", "-c", PROGRAM, options, schema_name]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # A child that ends inside the block leaves it by an exception, as the parent's would.
    assert (run.stdout, run.returncode) == ("[1, 2, 3, 4, 5]\n", 0), run.stderr
