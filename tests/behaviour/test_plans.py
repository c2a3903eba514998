"""How the databases run queries: by indexes where keys, semijoins and antijoins select few rows."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

import datajoint as dj


@pytest.fixture(scope="module")
def lab(session_connection):
    """Tables with so many rows that to read one through is worse than an index."""
    schema = dj.Schema("djtest_plans", connection=session_connection)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        name : varchar(20)
        unique index (name)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        quality : float
        """

    @schema
    class Scan(dj.Manual):
        definition = """
        -> Session
        scan : int
        ---
        depth : float
        """

    @schema
    class Excluded(dj.Manual):
        definition = "-> Session"

    subjects, sessions = range(2000), range(5)
    Subject.insert([(n, f"s{n}") for n in subjects])
    Session.insert([(n, k, n + k) for n in subjects for k in sessions])
    Scan.insert([(n, k, j, j) for n in subjects for k in sessions for j in range(2)])
    Excluded.insert([(n, 3) for n in subjects if n % 3])
    statistics = {"mysql": "ANALYZE TABLE {}"}.get(session_connection.backend.name, "ANALYZE {}")
    for table in (Subject, Session, Scan, Excluded):
        name = session_connection.dialect.table(table.database, table.table_name)
        session_connection.query(statistics.format(name))
    return SimpleNamespace(Subject=Subject, Session=Session, Scan=Scan, Excluded=Excluded)


def plan(query: dj.Table, backend: str) -> list[tuple]:
    """Ask the database how it would run a query."""
    explain = {"sqlite": "EXPLAIN QUERY PLAN "}.get(backend, "EXPLAIN ")
    statement = query.make_sql().replace("%", "%%")
    return query.connection.query(explain + statement).fetchall()


def scans(query: dj.Table, backend: str) -> list[tuple]:
    """List the lines of the plan that read a whole table; subqueries are no tables."""
    lines = plan(query, backend)
    if backend == "sqlite":
        made = {line[3].split()[1] for line in lines if line[3].startswith(("CO-R", "MATERIAL"))}
        return [x for x in lines if re.match(r"SCAN t\d+", x[3]) and x[3].split()[1] not in made]
    if backend == "mysql":
        return [line for line in lines if line[3] in ("ALL", "index") and line[2][:1] == "t"]
    return [line for line in lines if "Seq Scan" in line[0]]


def sorts(query: dj.Table, backend: str) -> list[tuple]:
    """List the lines of the plan that sort."""
    word = {"sqlite": "TEMP B-TREE", "mysql": "filesort", "postgresql": "Sort"}[backend]
    return [line for line in plan(query, backend) if word in str(line)]


QUERIES = {
    "a key": lambda lab: lab.Session & {"subject": 7, "session": 2},
    "a part of the key": lambda lab: lab.Scan & {"subject": 7},
    "a unique attribute": lambda lab: lab.Subject & {"name": "s7"},
    "a written key": lambda lab: lab.Session & "subject = 7 and session > 2",
    "keys": lambda lab: lab.Session & [{"subject": n, "session": 1} for n in (3, 7, 1900)],
    "values of a part of the key": lambda lab: lab.Session & [{"subject": n} for n in (3, 7)],
    "a join": lambda lab: lab.Subject * lab.Session * lab.Scan & {"subject": 7},
    "an outer join": lambda lab: (lab.Session & {"subject": 7}).join(lab.Excluded, left=True),
    "a semijoin": lambda lab: (lab.Session & {"subject": 7}) & lab.Scan,
    "a semijoin with few": lambda lab: lab.Session & (lab.Excluded & {"subject": 7}),
    "a semijoin with a condition": lambda lab: (
        (lab.Session & {"subject": 7}) & (lab.Scan & "depth > 0")
    ),
    "an antijoin": lambda lab: (lab.Session & {"subject": 7}) - lab.Excluded,
    "two antijoins": lambda lab: (
        (lab.Session & {"subject": 7}) - lab.Excluded - (lab.Scan & "depth < 0")
    ),
    "the way of populate": lambda lab: (
        (lab.Session.proj() & {"subject": 7, "session": 1}) - lab.Excluded.proj()
    ),
    "an aggregation": lambda lab: lab.Session.aggr(lab.Scan, n="count(*)") & {"subject": 7},
    "a key of a union": lambda lab: lab.Session.proj() + lab.Excluded & {"subject": 7},
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_through(lab, backend, name):
    query = QUERIES[name](lab)
    assert len(query) > 0
    assert scans(query, backend) == []


@pytest.mark.parametrize("order", ["KEY", "KEY DESC", "subject", ["subject desc", "session desc"]])
def test_the_order_of_the_key_needs_no_sorting(lab, backend, order):
    assert sorts(lab.Session & dj.Top(5, order), backend) == []


def test_what_costs_is_noticed(lab, backend):
    assert len(scans(lab.Session & "quality > 3", backend)) == 1
    assert len(sorts(lab.Scan & dj.Top(5, "depth"), backend)) >= 1
