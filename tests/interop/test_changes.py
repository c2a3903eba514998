"""Deleting, dropping and the log, with tables and rows of both clients."""

from __future__ import annotations

import datetime as dt
import platform
from typing import Any

import pytest

from .conftest import Pair, Sql
from .sides import Here

PARENTS = """
lab = schema(name)
@lab
class Subject(dj.Manual):
    definition = '''
    subject : int
    ---
    label = '' : varchar(10)
    '''
@lab
class Session(dj.Manual):
    definition = '''
    -> Subject
    session : int
    '''
    class Trial(dj.Part):
        definition = '''
        -> master
        trial : int
        '''
"""
CHILDREN = """
@lab
class Partner(dj.Manual):
    definition = '''
    -> Subject.proj(who='subject')
    -> Subject.proj(partner='subject')
    '''
@lab
class Note(dj.Manual):
    definition = '''
    note : int
    ---
    -> [nullable] Session.proj(about='subject')
    '''
@lab
class Analysis(dj.Computed):
    definition = "-> Session"
    class Peak(dj.Part):
        definition = '''
        -> master
        peak : int
        ---
        -> Session.Trial.proj(of='trial')
        '''
"""
ROWS = """
Subject.insert((n, f'n{n}') for n in range(3))
Session.insert((n, m) for n in range(3) for m in range(2))
Session.Trial.insert((n, m, t) for n in range(3) for m in range(2) for t in range(2))
Partner.insert([(0, 1), (1, 2), (2, 2)])
Note.insert(
    dict(note=note, about=about, session=session)
    for note, about, session in [(0, 0, 1), (1, None, None), (2, 2, 0)]
)
for key in Session.fetch('KEY'):
    Analysis.insert1(key, allow_direct_insert=True)
    Analysis.Peak.insert([dict(key, peak=0, of=1)], allow_direct_insert=True)
"""
TABLES = (
    "subject",
    "session",
    "session__trial",
    "partner",
    "note",
    "__analysis",
    "__analysis__peak",
)


def counts(pair: Pair) -> dict[str, int]:
    return {
        table: pair.sql(f"SELECT COUNT(*) FROM `{pair.schema_name}`.`{table}`")[0][0]
        for table in TABLES
    }


@pytest.fixture
def mixed(pair: Pair) -> Pair:
    """Parents are tables of the maker, children of the user; so are the rows."""
    pair.maker.run(PARENTS, name=pair.schema_name)
    pair.user.run(PARENTS + CHILDREN, name=pair.schema_name)
    pair.maker.run(CHILDREN)
    pair.user.run(ROWS)
    assert list(counts(pair).values()) == [3, 6, 12, 3, 3, 6, 6]
    return pair


def both(pair: Pair) -> list[Any]:
    return [pair.maker, pair.user]


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_delete_cascades(mixed: Pair, by: int) -> None:
    assert both(mixed)[by].value("(Subject & 'subject = 0').delete()") == 1
    assert list(counts(mixed).values()) == [2, 4, 8, 2, 2, 4, 4]
    assert mixed.assert_same("Partner.fetch(as_dict=True, order_by='KEY')") == [
        {"who": 1, "partner": 2},
        {"who": 2, "partner": 2},
    ]
    assert mixed.assert_same("Note.fetch('note', order_by='KEY').tolist()") == [1, 2]


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_delete_through_renamed_foreign_keys(mixed: Pair, by: int) -> None:
    assert both(mixed)[by].value("(Subject & dict(label='n2')).delete()") == 1
    assert list(counts(mixed).values()) == [2, 4, 8, 1, 2, 4, 4]
    assert both(mixed)[by].value("(Session & 'session = 1').delete()") == 2
    assert list(counts(mixed).values()) == [2, 2, 4, 1, 1, 2, 2]


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_delete_cascades_across_schemas(pair: Pair, by: int) -> None:
    first = """
one, two = schema(name + '_one'), schema(name + '_two')
@one
class Subject(dj.Manual):
    definition = "subject : int"
@two
class Scan(dj.Manual):
    definition = '''
    -> Subject
    scan : int
    '''
    class Frame(dj.Part):
        definition = '''
        -> master
        frame : int
        '''
"""
    second = """
@one
class Report(dj.Manual):
    definition = '''
    report : int
    ---
    -> Scan.proj(reported='scan')
    '''
"""
    pair.maker.run(first, name=pair.schema_name)
    pair.user.run(first + second, name=pair.schema_name)
    pair.maker.run(second)
    pair.user.run("Subject.insert([(0,), (1,)])\nScan.insert([(0, 5), (1, 6)])")
    pair.maker.run("Scan.Frame.insert([(0, 5, 1), (1, 6, 1)])")
    pair.maker.run("Report.insert([(7, 0, 5), (8, 1, 6)])")
    assert both(pair)[by].value("(Subject & 'subject = 0').delete()") == 1
    assert pair.assert_same("Scan.Frame.fetch(as_dict=True)") == [
        {"subject": 1, "scan": 6, "frame": 1}
    ]
    assert pair.assert_same("Report.fetch(as_dict=True)") == [
        {"report": 8, "subject": 1, "reported": 6}
    ]


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_parts_are_not_deleted_alone(mixed: Pair, by: int) -> None:
    side = both(mixed)[by]
    before = counts(mixed)
    with pytest.raises(Exception, match=r"(?i)\bpart\b"):
        side.run("(Session.Trial & 'trial = 0').delete()")
    assert counts(mixed) == before


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_drop_cascades(mixed: Pair, by: int) -> None:
    both(mixed)[by].run("Session.drop()")
    left = {table for (table,) in mixed.sql(f"SHOW TABLES IN `{mixed.schema_name}`")}
    assert {table for table in left if not table.startswith("~")} == {"subject", "partner"}


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_what_one_dropped_the_other_declares_again(mixed: Pair, by: int) -> None:
    both(mixed)[by].run("Session.drop()")
    both(mixed)[1 - by].run(PARENTS + CHILDREN, name=mixed.schema_name)
    left = {table for (table,) in mixed.sql(f"SHOW TABLES IN `{mixed.schema_name}`")}
    assert {table for table in left if not table.startswith("~")} == set(TABLES)


def test_children_that_the_other_declares_meanwhile(pair: Pair) -> None:
    """Rows are deleted from tables that were not there when a client read the schema."""
    pair.maker.run(PARENTS, name=pair.schema_name)
    pair.maker.run("Subject.insert([(0, 'a'), (1, 'b')])")
    assert pair.maker.value("(Subject & 'subject = 1').delete()") == 1
    pair.user.run(PARENTS + CHILDREN, name=pair.schema_name)
    pair.user.run("Partner.insert1((0, 0))")
    assert pair.maker.value("(Subject & 'subject = 0').delete()") == 1
    assert pair.user.value("len(Partner())") == 0


def test_tables_declared_meanwhile_are_listed(pair: Pair) -> None:
    pair.maker.run(PARENTS, name=pair.schema_name)
    assert len(pair.maker.value("lab.list_tables()")) == 3
    pair.user.run(PARENTS + CHILDREN, name=pair.schema_name)
    assert len(pair.assert_same("sorted(lab.list_tables())")) == len(TABLES)


def test_drop_of_parents_of_tables_declared_meanwhile(pair: Pair) -> None:
    pair.maker.run(PARENTS, name=pair.schema_name)
    pair.maker.run("Subject.insert1((0, 'a'))\nSubject.delete()")
    pair.user.run(PARENTS + CHILDREN, name=pair.schema_name)
    pair.maker.run("Subject.drop()")
    left = {table for (table,) in pair.sql(f"SHOW TABLES IN `{pair.schema_name}`")}
    assert all(table.startswith("~") for table in left)


def test_delete_without_a_schema(pair: Pair) -> None:
    """Rows of tables without classes are deleted, with no schema activated on the connection."""
    pair.maker.run(PARENTS + CHILDREN + ROWS, name=pair.schema_name)
    own = {"connection": pair.user.connection} if isinstance(pair.user, Here) else {}
    if not own:
        pair.user.run("connection = dj.conn()")
    table = f"dj.FreeTable(connection, '`{pair.schema_name}`.`subject`')"
    assert pair.user.value(f"({table} & 'subject = 0').delete()", **own) == 1
    assert list(counts(pair).values()) == [2, 4, 8, 2, 2, 4, 4]


@pytest.mark.parametrize("by", [0, 1], ids=["by the maker", "by the user"])
def test_drop_of_a_schema(mixed: Pair, by: int) -> None:
    both(mixed)[by].run("lab.drop()")
    assert mixed.sql("SHOW DATABASES LIKE %s", mixed.schema_name) == []


def test_list_tables(mixed: Pair) -> None:
    assert set(mixed.assert_same("sorted(lab.list_tables())")) == set(TABLES)


def test_neighbours(mixed: Pair) -> None:
    for table in ("Subject", "Session", "Partner", "Note", "Analysis"):
        for method in ("parents", "children"):
            mixed.assert_same(f"sorted({table}().{method}(), key=str)")
        for method in ("ancestors", "descendants", "parts"):
            mixed.assert_same(f"sorted(map(str, {table}().{method}()))")


def test_log(pair: Pair, sql: Sql) -> None:
    pair.maker.run(PARENTS, name=pair.schema_name)
    pair.user.run(PARENTS + CHILDREN, name=pair.schema_name)
    pair.maker.run(CHILDREN)
    pair.user.run("Subject.insert1((1, 'a'))\n(Subject & 'subject = 1').delete()")
    pair.maker.run("Subject.insert1((1, 'a'))\n(Subject & 'subject = 1').delete()")
    pair.user.run("Note.drop()")
    pair.maker.run("Partner.drop()")
    rows = pair.assert_same("lab.log.fetch(as_dict=True, order_by='id')")
    events = [row["event"] for row in rows]
    name = pair.schema_name
    declared = [f"Declared `{name}`.`{table}`" for table in TABLES]
    assert events[0] == "created"
    assert sorted(event for event in events if event.startswith("Declared")) == sorted(declared)
    deleted = [event for event in events if event.startswith("DELETE FROM")]
    assert len([event for event in deleted if f"`{name}`.`subject`" in event]) == 2
    dropped = [event for event in events if event.startswith("DROP TABLE")]
    assert dropped == [f"DROP TABLE `{name}`.`note`", f"DROP TABLE `{name}`.`partner`"]
    versions = {f"{side.value('dj.__version__')}py"[:12] for side in both(pair)}
    assert {row["version"] for row in rows} == versions
    for row in rows:
        assert list(row) == ["id", "timestamp", "version", "user", "host", "event"]
        assert row["host"] == platform.node()
        assert "@" in row["user"]
        assert isinstance(row["timestamp"], dt.datetime)
        assert len(row["event"]) <= 255
    assert len({row["user"].partition("@")[0] for row in rows}) == 1


def test_long_events_are_cut_off(pair: Pair) -> None:
    pair.run(PARENTS)
    for n, side in enumerate(both(pair)):
        side.run("Subject.insert1((n, 'a'))", n=n)
        condition = " OR ".join(["subject = 1000"] * 40)
        side.run(f"(Subject & 'subject = {n} OR {condition}').delete()")
    events = pair.assert_same("(lab.log & 'event LIKE \"DELETE%%\"').fetch('event').tolist()")
    assert [len(event) for event in events] == [255, 255]
