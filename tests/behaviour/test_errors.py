"""Errors of the database, by class and text: they say what, where and what next.

The classes are those of existing code: storage formats 6.3.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import datajoint as dj
from datajoint.errors import (
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    LostConnectionError,
    MissingAttributeError,
    MissingTableError,
    QueryError,
    QuerySyntaxError,
    UnknownAttributeError,
)


@pytest.fixture
def lab(schema: dj.Schema) -> SimpleNamespace:
    """Two tables, one of which refers to the other."""

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        name : varchar(20)
        weight = null : double
        unique index (name)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        -> [nullable] Subject.proj(control="subject")
        """

    Subject.insert([(1, "Ada", None), (2, "Bo", 2.5), (3, "Cy", 3.5)])
    Session.insert([(1, 1, 2), (2, 1, None)])
    return SimpleNamespace(
        Subject=Subject,
        Session=Session,
        connection=schema.connection,
        schema=schema,
        subject=f"`{schema.database}`.`subject`",
        session=f"`{schema.database}`.`session`",
    )


#: What is done, the class of the error, and its first line.
CASES: dict[str, tuple[Callable[[Any], Any], type[DataJointError], str]] = {
    "insert: the key exists": (
        lambda lab: lab.Subject.insert1((1, "Di", None)),
        DuplicateError,
        "Cannot insert into {subject}: an entity with subject = 1 exists already",
    ),
    "insert: the key is given twice": (
        lambda lab: lab.Subject.insert([(7, "Di", None), (8, "Ed", None), (7, "Flo", None)]),
        DuplicateError,
        "Cannot insert into {subject} (row 2): an entity with subject = 7 is given twice",
    ),
    "insert: a unique index": (
        lambda lab: lab.Subject.insert([(7, "Di", None), (8, "Bo", None)]),
        DuplicateError,
        "Cannot insert into {subject} (row 1): an entity with name = 'Bo' exists already",
    ),
    "insert: no parent": (
        lambda lab: lab.Session.insert([(1, 5, None), (9, 1, None)]),
        IntegrityError,
        "Cannot insert into {session} (row 1): its foreign key (subject) refers to {subject}, "
        "which has no entity with subject = 9",
    ),
    "insert: no parent of a renamed foreign key": (
        lambda lab: lab.Session.insert1((1, 5, 9)),
        IntegrityError,
        "Cannot insert into {session}: its foreign key (control) refers to {subject}, which has "
        "no entity with subject = 9",
    ),
    "insert: no value": (
        lambda lab: lab.Subject.insert1({"subject": 7}),
        MissingAttributeError,
        "Cannot insert into {subject}: attribute `name` has no value, and no default",
    ),
    "insert: an unknown attribute": (
        lambda lab: lab.Subject.insert1({"subject": 7, "name": "Di", "wait": 1}),
        UnknownAttributeError,
        "Cannot insert into {subject}: `wait` is not an attribute; did you mean `weight`? (the "
        "attributes are: subject, name, weight); the value given is 1",
    ),
    "update1: no parent": (
        lambda lab: lab.Session.update1({"subject": 1, "session": 1, "control": 9}),
        IntegrityError,
        "Cannot update {session}: its foreign key (control) refers to {subject}, which has "
        "no entity with subject = 9",
    ),
    "update1: an unknown attribute": (
        lambda lab: lab.Subject.update1({"subject": 1, "wait": 9}),
        UnknownAttributeError,
        "`wait` is not an attribute of {subject}; did you mean `weight`? (the attributes are: "
        "subject, name, weight)",
    ),
    "update1: no default": (
        lambda lab: lab.Subject.update1({"subject": 1, "name": None}),
        MissingAttributeError,
        "Cannot update {subject}: attribute `name` has no default to be reset to",
    ),
    "delete_quick: rows that refer to it": (
        lambda lab: (lab.Subject & {"subject": 1}).delete_quick(),
        IntegrityError,
        "Cannot delete from {subject}: {session} refers to the rows by its foreign key (subject), "
        "for example with subject = 1, session = 1. Delete those first, or use `delete`, which "
        "does",
    ),
    "delete_quick: rows that refer to it by another name": (
        lambda lab: (lab.Subject & {"subject": 2}, (lab.Session & {"subject": 2}).delete_quick())[
            0
        ].delete_quick(),
        IntegrityError,
        "Cannot delete from {subject}: {session} refers to the rows by its foreign key (control), "
        "for example with subject = 1, session = 1. Delete those first, or use `delete`, which "
        "does",
    ),
    "restrict: an unknown attribute": (
        lambda lab: lab.Subject & "wait > 1",
        UnknownAttributeError,
        "`wait` is not an attribute in the condition 'wait > 1'; did you mean `weight`? (the "
        "attributes are: subject, name, weight)",
    ),
    "a table that is gone": (
        lambda lab: dj.FreeTable(lab.connection, lab.subject.replace("subject", "x")).fetch(),
        MissingTableError,
        "Table {gone} is not declared in the database",
    ),
}


def first_line(lab: SimpleNamespace, text: str) -> str:
    return text.format(
        subject=lab.subject, session=lab.session, gone=lab.subject.replace("subject", "x")
    )


def rows(lab: SimpleNamespace) -> list[Any]:
    return [table.fetch(as_dict=True, order_by="KEY") for table in (lab.Subject, lab.Session)]


@pytest.mark.parametrize("case", CASES)
def test_operations(lab, case):
    action, kind, text = CASES[case]
    with pytest.raises(DataJointError) as raised:
        action(lab)
    assert type(raised.value) is kind
    assert str(raised.value).splitlines()[0] == first_line(lab, text)
    assert not lab.connection.in_transaction


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("insert")])
def test_nothing_is_inserted(lab, case):
    before = rows(lab)
    with pytest.raises(DataJointError):
        CASES[case][0](lab)
    assert rows(lab) == before


@pytest.mark.parametrize("case", CASES)
def test_a_transaction_goes_on(lab, case):
    """An error that was caught leaves what was done before, and what follows is done."""
    if case.endswith("another name"):
        return  # changes data before
    action, kind, _ = CASES[case]
    with lab.connection.transaction:
        lab.Subject.insert1((50, "Zoe", None))
        with pytest.raises(kind):
            action(lab)
        lab.Subject.insert1((51, "Zac", None))
    assert (lab.Subject & "subject >= 50").fetch("name").tolist() == ["Zoe", "Zac"]


#: Statements in the SQL that the databases share; the error names what stands last.
RAW: dict[str, tuple[str, type[DataJointError], str]] = {
    "the key exists": (
        "INSERT INTO {subject} (subject, name) VALUES (1, 'Di')",
        DuplicateError,
        "",
    ),
    "a unique index": (
        "INSERT INTO {subject} (subject, name) VALUES (7, 'Bo')",
        DuplicateError,
        "name",
    ),
    "update to a key that exists": (
        "UPDATE {subject} SET subject = 2 WHERE subject = 3",
        DuplicateError,
        "",
    ),
    "no parent": (
        "INSERT INTO {session} (subject, session) VALUES (9, 1)",
        IntegrityError,
        "",
    ),
    "update to no parent": (
        "UPDATE {session} SET control = 9",
        IntegrityError,
        "",
    ),
    "rows that refer to it": ("DELETE FROM {subject}", IntegrityError, ""),
    "no value": ("INSERT INTO {subject} (subject) VALUES (7)", MissingAttributeError, "name"),
    "null": (
        "INSERT INTO {subject} (subject, name) VALUES (7, NULL)",
        MissingAttributeError,
        "name",
    ),
    "an unknown attribute": ("SELECT wait FROM {subject}", UnknownAttributeError, "wait"),
    "an unknown attribute to insert": (
        "INSERT INTO {subject} (subject, wait) VALUES (7, 1)",
        UnknownAttributeError,
        "wait",
    ),
    "no such table": ("SELECT * FROM {gone}", MissingTableError, "x"),
    "no such schema": ("SELECT * FROM {lost}", MissingTableError, "x"),
    "syntax": ("SELEC * FROM {subject}", QuerySyntaxError, "SELEC"),
    "more syntax": ("SELECT * FROM {subject} WHERE", QuerySyntaxError, ""),
}


def raw(lab: SimpleNamespace, text: str) -> str:
    table = lab.connection.dialect.table
    name = lab.schema.database
    return text.format(
        subject=table(name, "subject"),
        session=table(name, "session"),
        gone=table(name, "x"),
        lost=table(f"{name}_lost", "x"),
    )


@pytest.mark.parametrize("case", RAW)
def test_raw_statements(lab, case):
    text, kind, named = RAW[case]
    before = rows(lab)
    with pytest.raises(DataJointError) as raised:
        lab.connection.query(raw(lab, text))
    assert type(raised.value) is kind
    assert named in str(raised.value)
    assert raised.value.__cause__ is not None  # the error of the driver
    assert rows(lab) == before


@pytest.mark.parametrize("case", RAW)
def test_a_transaction_goes_on_after_a_raw_statement(lab, case):
    text, kind, _ = RAW[case]
    with lab.connection.transaction:
        lab.Subject.insert1((50, "Zoe", None))
        with pytest.raises(kind):
            lab.connection.query(raw(lab, text))
        lab.Subject.insert1((51, "Zac", None))
    assert (lab.Subject & "subject >= 50").fetch("name").tolist() == ["Zoe", "Zac"]


def test_other_errors_are_query_errors(lab):
    with pytest.raises(QueryError) as raised:
        lab.connection.query("SELECT no_such_function_of_that_name(1)")
    assert "no_such_function_of_that_name" in str(raised.value)


@pytest.mark.parametrize("condition", ["subject >", "subject = (1", "subject ==== 1"])
def test_conditions_that_are_no_sql(lab, condition):
    with pytest.raises(QuerySyntaxError) as raised:
        (lab.Subject & condition).fetch()
    assert condition in str(raised.value)


def test_an_update_to_what_another_has(lab):
    with pytest.raises(DuplicateError) as raised:
        lab.Subject.update1({"subject": 1, "name": "Bo"})
    assert "name" in str(raised.value)
    assert (lab.Subject & {"subject": 1}).fetch1("name") == "Ada"


def test_a_duplicate_tells_what_next(lab):
    with pytest.raises(DuplicateError) as raised:
        lab.Subject.insert1((1, "Di", None))
    assert raised.value.args[1] == (
        "To pass over entities whose primary keys exist, set skip_duplicates=True"
    )


def test_a_closed_connection(lab):
    lab.connection.close()
    with dj.config(database__reconnect=False), pytest.raises(LostConnectionError):
        lab.connection.query("SELECT 1")


# -- transactions that stand in each other's way ------------------------------------------------


@pytest.fixture
def rival(lab, connect) -> Any:
    """The tables of the lab on another connection."""
    connection = connect()
    return dj.FreeTable(connection, lab.Subject.full_table_name)


@pytest.mark.parametrize("backend", ["mysql"], indirect=True)
class TestConflictsOfMySQL:
    def test_a_lock_that_is_held_for_too_long(self, lab, rival):
        rival.connection.query("SET innodb_lock_wait_timeout = 1")
        with lab.connection.transaction:
            lab.Subject.update1({"subject": 1, "weight": 1.0})
            with pytest.raises(ConflictError) as raised:
                rival.update1({"subject": 1, "weight": 2.0})
        assert str(raised.value).startswith(
            "Others hold or changed rows that the statement needs: "
        )
        assert (lab.Subject & {"subject": 1}).fetch1("weight") == 1.0
        rival.update1({"subject": 1, "weight": 2.0})
        assert (lab.Subject & {"subject": 1}).fetch1("weight") == 2.0

    def test_a_deadlock(self, lab, rival):
        """One of two gets an error that says so and may repeat its transaction; the other ends."""
        outcomes: dict[str, Any] = {}
        meeting = threading.Barrier(2)

        def work(name: str, table: Any, first: int, second: int) -> None:
            try:
                with table.connection.transaction:
                    table.update1({"subject": first, "weight": 7.0})
                    meeting.wait()
                    table.update1({"subject": second, "weight": 7.0})
                outcomes[name] = None
            except ConflictError as error:
                outcomes[name] = error

        free = dj.FreeTable(lab.connection, lab.Subject.full_table_name)
        threads = [
            threading.Thread(target=work, args=("a", free, 1, 2)),
            threading.Thread(target=work, args=("b", rival, 2, 1)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        (error,) = [outcome for outcome in outcomes.values() if outcome is not None]
        assert len(outcomes) == 2
        assert str(error).startswith("Others hold or changed rows that the statement needs: ")
        assert not lab.connection.in_transaction
        assert not rival.connection.in_transaction
        assert lab.Subject.fetch("weight", order_by="KEY").tolist() == [7.0, 7.0, 3.5]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_conflict_of_postgresql(lab, rival):
    """What a transaction has read was changed by another before it is written."""
    with pytest.raises(ConflictError) as raised, lab.connection.transaction:
        assert len(lab.Subject()) == 3
        rival.update1({"subject": 1, "weight": 1.0})
        lab.Subject.update1({"subject": 1, "weight": 2.0})
    text = str(raised.value)
    assert text.startswith("Others hold or changed rows that the statement needs: ")
    assert text.endswith("\nThe transaction has been rolled back; it can be repeated")
    assert not lab.connection.in_transaction
    assert (lab.Subject & {"subject": 1}).fetch1("weight") == 1.0
    lab.Subject.update1({"subject": 1, "weight": 2.0})
    assert (lab.Subject & {"subject": 1}).fetch1("weight") == 2.0


@pytest.mark.parametrize("backend", ["mysql", "postgresql"], indirect=True)
def test_a_server_that_only_reads(lab, connect, backend):
    """A replica, or a server that is looked after, refuses changes and says so."""
    connection = connect()
    if backend == "postgresql":
        connection.query("SET default_transaction_read_only = on")
    else:
        connection.query("SET SESSION TRANSACTION READ ONLY")
    table = dj.FreeTable(connection, lab.Subject.full_table_name)
    assert len(table) == 3
    with pytest.raises(QueryError) as raised:
        table.insert1((9, "Kay", None))
    assert "READ" in str(raised.value).upper()
    assert len(lab.Subject()) == 3
