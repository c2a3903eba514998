"""How many statements operations send, counted by the database itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import datajoint as dj

Count = Callable[[], list[str]]


@contextmanager
def _sqlite(connection: dj.Connection, target: Any) -> Iterator[Count]:
    statements: list[str] = []
    driver = connection.backend._open

    def note(cursor: object, sql: str, values: object) -> bool:
        statements.append(sql)
        return True

    driver.exec_trace = note
    yield lambda: statements
    driver.exec_trace = None


@contextmanager
def _mysql(connection: dj.Connection, target: Any) -> Iterator[Count]:
    number = connection.connection_id
    connection.query("SET GLOBAL log_output = 'TABLE'")
    connection.query("TRUNCATE mysql.general_log")
    connection.query("SET GLOBAL general_log = ON")

    def statements() -> list[str]:
        rows = connection.query(
            "SELECT argument FROM mysql.general_log "
            "WHERE thread_id = %s AND command_type = 'Query' AND argument NOT LIKE %s",
            (number, "%general_log%"),
        )
        return [str(text) for (text,) in rows.fetchall()]

    yield statements
    connection.query("SET GLOBAL general_log = OFF")


@contextmanager
def _postgresql(connection: dj.Connection, target: Any) -> Iterator[Count]:
    log = target.server.log
    number = connection.connection_id
    connection.query("SET log_statement = 'all'")
    start = log.stat().st_size

    def statements() -> list[str]:
        text = log.read_bytes()[start:].decode()
        pattern = rf"^\[{number}\] LOG: +(?:statement|execute [^:]*): (.*)$"
        found = re.findall(pattern, text, re.MULTILINE)
        # A statement in a transaction travels with its savepoint, in one message.
        return [s for s in found if not re.match("(RELEASE )?SAVEPOINT|RELEASE", s)]

    yield statements
    connection.query("RESET log_statement")


COUNTERS: dict[str, Any] = {"sqlite": _sqlite, "mysql": _mysql, "postgresql": _postgresql}


@pytest.fixture
def count(
    backend: str, connection: dj.Connection, target: Any
) -> Callable[[Callable[[], object]], int]:
    """Count the statements that the server receives from the connection during a call."""

    def counted(operation: Callable[[], object]) -> int:
        with COUNTERS[backend](connection, target) as statements:
            operation()
            received = statements()
        print("\n".join(dict.fromkeys(received)))
        return len(received)

    return counted


def _tables(number: int) -> list[type]:
    return [
        type(f"Table{i}", (dj.Manual,), {"definition": "i : int\n---\nx = 1.5 : double"})
        for i in range(number)
    ]


@pytest.mark.parametrize("number", [3, 100])
def test_activation_sends_a_fixed_number_of_statements(
    connect, schema_name, count, connection, number
):
    first = dj.Schema(schema_name, connection=connect())
    for table in _tables(number):
        first(table)

    def activate() -> None:
        schema = dj.Schema(schema_name, connection=connection)
        for table in _tables(number):
            schema(table)
            assert table().heading.primary_key == ["i"]

    assert count(activate) <= 6


@pytest.fixture
def Item(make_schema):
    schema = make_schema()

    @schema
    class Item(dj.Manual):
        definition = """
        item : int
        ---
        value : double
        data : longblob
        """

    @schema
    class Result(dj.Computed):
        definition = """
        -> Item
        ---
        total : double
        """

        def make(self, key):
            value, data = (Item & key).fetch1("value", "data")
            self.insert1({**key, "total": value + sum(data)})

    Item.insert([(i, i / 2, [i] * 10) for i in range(20)])
    Item.Result = Result
    return Item


def test_insert1_is_one_statement(Item, count):
    assert count(lambda: Item.insert1((100, 1.0, [1, 2]))) == 1


def test_fetch1_is_one_statement(Item, count):
    assert count(lambda: (Item & {"item": 3}).fetch1()) == 1
    assert count(lambda: (Item & {"item": 3}).fetch1("value")) == 1


def test_insert_of_many_rows(Item, count, backend):
    rows = [(i, 1.0, None) for i in range(1000, 3500)]
    rows = [(i, x, []) for i, x, _ in rows]
    expected = {"sqlite": 2502, "mysql": 5, "postgresql": 5}  # with those of the transaction
    assert count(lambda: Item.insert(rows)) == expected[backend]


def test_populate_one_key(Item, count, backend):
    Item.Result.populate({"item": 0})

    def one() -> None:
        Item.Result.populate({"item": 1})

    # the pending keys, made meanwhile?; begin, fetch1, insert1, commit. SQLite reads the keys in
    # another session and begins twice, with a look at the version each; the servers prepare to send
    # many keys, since the session is another than a new one would be.
    expected = {"sqlite": 5 + 4, "mysql": 6 + 1, "postgresql": 6 + 4}
    assert count(one) == expected[backend]


@pytest.mark.parametrize("rows", [1, 100])
def test_a_delete(make_schema, count, rows):
    """However many rows: by tables, and by levels of tables that refer to one another."""
    schema = make_schema()
    definitions = {
        "Subject": "subject : int",
        "Session": "-> Subject\nsession : int",
        "Scan": "-> Session\nscan : int",
        "Note": "-> Session\nnote : int",
    }
    context = {}
    for name, definition in definitions.items():
        class_ = type(name, (dj.Manual,), {"definition": definition})
        context[name] = schema(class_, context=context)
    Subject, Session, Scan, Note = context.values()
    Subject.insert((i,) for i in range(2 * rows))
    Session.insert((i, 1) for i in range(2 * rows))
    Scan.insert((i, 1, 1) for i in range(2 * rows))
    Note.insert((i, 1, 1) for i in range(2 * rows))
    query = Subject & f"subject < {rows}"
    # the catalog; a count for each of 3 levels
    catalog = count(lambda: schema.connection.dependencies.load())
    assert count(lambda: query.delete(dry_run=True)) == catalog + 3
    # begin, commit, and for each table a delete and its note in the log
    assert count(query.delete) == catalog + 3 + 2 + 2 * 4
    assert len(Note()) == rows


def test_declaring_a_table(make_schema, count, backend):
    schema = make_schema()
    schema(_tables(1)[0])

    @schema
    class Parent(dj.Manual):
        definition = "parent : int"

    class Child(dj.Manual):
        definition = """
        -> Parent
        child : int
        ---
        x = 1.5 : double
        """

    # is it there, create it, read it (4), note it in the log; SQLite keeps types in tables
    expected = {"sqlite": 15, "mysql": 7, "postgresql": 6}
    assert count(lambda: schema(Child, context={"Parent": Parent})) == expected[backend]


def test_declaring_a_table_with_documents(make_schema, count, backend):
    schema = make_schema()
    schema(_tables(1)[0])

    class Document(dj.Manual):
        definition = """
        document : int
        ---
        content : json
        """

    # MariaDB tells by the checks of the table that its long text is a document
    expected = {"sqlite": 15, "mysql": 8, "postgresql": 6}
    assert count(lambda: schema(Document)) == expected[backend]
