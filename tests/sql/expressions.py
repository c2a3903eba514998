"""Expressions as users write them, and the statements that they send; no database is needed.

The statements of each dialect are kept in a file beside this module. After a change of what is
written, ``python tests/sql/expressions.py`` writes them anew; read the difference before it is
committed: no needless subquery, no DISTINCT without need, conditions in the innermost SELECT that
can have them, nothing selected that nobody needs.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
from datajoint.declare import TableName, TableSpec, resolve
from datajoint.expression import QueryExpression
from datajoint.grammar import parse_definition
from datajoint.sql import mysql, postgresql, sqlite
from datajoint.sql.dialect import Dialect

DIALECTS = {"sqlite": sqlite.DIALECT, "mysql": mysql.DIALECT, "postgresql": postgresql.DIALECT}

DEFINITIONS = {
    "Subject": """
        subject : int
        ---
        name : varchar(40)
        sex : enum('F', 'M', 'U')
        dob=null : date
        image=null : longblob
        """,
    "Rig": """
        rig : char(4)
        ---
        room : varchar(20)
        """,
    "Session": """
        -> Subject
        session : smallint
        ---
        -> [nullable] Rig
        session_date : date
        notes="" : varchar(1000)
        """,
    "Scan": """
        -> Session
        scan : smallint
        ---
        depth : float
        movie : longblob
        """,
    "Cell": """
        -> Scan
        cell : int
        ---
        snr : double
        mask : longblob
        """,
    "Params": """
        params : int
        ---
        method : varchar(20)
        config=null : json
        """,
    "Weight": """
        -> Subject
        day : date
        ---
        weight : decimal(5,2)
        """,
    "Excluded": "-> Session",
    "Note": """
        note : int
        ---
        subject=null : int
        text : varchar(100)
        """,
}

EXPRESSIONS = """
Subject.fetch()
Subject.fetch('subject', 'name')
Subject.fetch('KEY')
len(Subject)
bool(Subject)
(Subject & 'sex = "F"').fetch('name')
(Subject & 'sex = "F"' & 'dob > "2020-01-01"').fetch('name')
len(Subject & {'subject': 1})
(Session & {'subject': 1, 'session': 2}).fetch1()
(Session & {'rig': None}).fetch('KEY')
(Session & [{'subject': 1}, {'subject': 2}]).fetch('KEY')
(Session & [{'subject': 1, 'session': 1}, {'subject': 1, 'session': 2}]).fetch('KEY')
(Session & [{'subject': 1}, 'session > 3']).fetch('KEY')
(Session & dj.AndList(['session > 1', {'subject': 2}])).fetch('KEY')
(Session - 'session > 1').fetch('KEY')
(Session & dj.Not({'rig': 'R1'})).fetch('KEY')
(Session & Scan).fetch('KEY')
(Session - Scan).fetch('KEY')
(Session & (Scan & 'depth > 100')).fetch('KEY')
(Subject & Note.proj()).fetch('KEY')
(Note & Subject.proj()).fetch('KEY')
(Note - Subject.proj()).fetch('KEY')
(Session - Scan - Excluded).fetch('KEY')
(Scan & (Session - Excluded)).fetch('KEY')
Subject.proj().fetch()
Subject.proj('name').fetch()
Session.proj(..., '-notes').fetch()
Session.proj(start='session_date').fetch()
Subject.proj(age='datediff("2026-01-01", dob)').fetch()
(Subject.proj(age='datediff("2026-01-01", dob)') & 'age > 100').fetch()
Subject.proj(age='datediff("2026-01-01", dob)').proj(years='age / 365').fetch()
(Subject.proj('name') & 'subject = 1').fetch()
(Subject * Session).fetch('KEY', 'name')
(Session * Scan & 'depth > 100' & {'subject': 1}).fetch('session_date', 'depth')
len(Subject * Session * Scan)
((Session & 'session > 1') * (Scan & 'depth > 100')).fetch('KEY')
(Subject * Rig).fetch('KEY')
(Session * Rig).fetch('room')
Session.join(Rig, left=True).fetch('KEY', 'room')
Subject.join(Weight & 'weight > 20', left=True).fetch('KEY', 'weight')
len(Subject.join(Weight, left=True))
(Scan * Scan.proj(other='scan') & 'scan < other').fetch('KEY')
Subject.aggr(Session, n='count(*)').fetch()
Subject.aggr(Session, 'name', n='count(*)').fetch()
Subject.aggr(Session, n='count(session)', keep_all_rows=True).fetch()
(Subject.aggr(Session, n='count(*)') & 'n > 3').fetch()
(Subject.aggr(Session, n='count(*)') & {'subject': 1}).fetch()
len(Subject.aggr(Session, n='count(*)'))
len(Subject.aggr(Session, n='count(*)') & 'n > 3')
(Subject & (Subject.aggr(Session, n='count(*)') & 'n > 3')).fetch('KEY')
(Subject * Subject.aggr(Session, n='count(*)')).fetch('name', 'n')
Subject.aggr(Session.aggr(Scan, n='count(*)'), most='max(n)').fetch()
dj.U('session_date').aggr(Session, n='count(*)').fetch()
dj.U().aggr(Session, n='count(*)', first='min(session_date)').fetch()
(dj.U('session_date') & Session).fetch()
(dj.U('subject', 'session') & Scan).fetch()
len(dj.U('subject') & Scan)
(dj.U('rig') & (Session & 'session > 1')).fetch()
(dj.U('session_date') * Session).fetch('KEY')
(dj.U('subject', 'session') & Session).fetch()
(Subject.proj('name') + Subject.proj('sex')).fetch()
(Session.proj() + Excluded).fetch()
len(Session.proj() + Excluded)
(Excluded + Session.proj('session_date') & 'session > 1').fetch()
Session.fetch('KEY', order_by='session_date DESC', limit=5)
Session.fetch('notes', order_by='KEY', limit=5, offset=10)
(Session & dj.Top(5, 'session_date DESC')).fetch('KEY')
(Session & dj.Top(5, 'session_date DESC') & 'session > 1').fetch('KEY')
len(Session & dj.Top(5))
(Session * (Subject & dj.Top(3, 'dob'))).fetch('KEY')
(Scan & (Session & dj.Top(3))).fetch('KEY')
(Params & {'config.rate:unsigned': 30}).fetch('KEY')
Params.proj(rate='config.rate:unsigned').fetch()
""".strip().splitlines()


class Sent(Exception):
    """Carries the statement that would be sent."""


class _Connection(SimpleNamespace):
    dialect: Dialect

    def rows(self, statement: Any) -> Any:
        raise Sent(statement)


def _tables(dialect: Dialect) -> dict[str, QueryExpression]:
    specs: dict[str, TableSpec] = {}
    for name, text in DEFINITIONS.items():
        table = TableName("lab", name.lower())
        specs[name] = resolve(parse_definition(text, name), table, lambda ref: specs[ref.path[0]])
    connection: Any = _Connection(dialect=dialect)
    return {n: QueryExpression._make(connection, s.heading, s.relation) for n, s in specs.items()}


def sent(expression: str, tables: dict[str, QueryExpression]) -> str:
    """Write the statement that an expression sends, and its values below."""
    try:
        eval(expression, {"dj": dj, **tables})
    except Sent as exception:
        (statement,) = exception.args
    text, values = statement.compile()
    shown = "".join(f"\n    <- {value!r}" for value in values)
    return f"{expression}\n    {text}{shown}\n"


def snapshot(dialect: str) -> str:
    """Write the statements of all expressions in a dialect."""
    tables = _tables(DIALECTS[dialect])
    return "\n".join(sent(expression, tables) for expression in EXPRESSIONS)


def path(dialect: str) -> Path:
    """Say where the statements of a dialect are kept."""
    return Path(__file__).with_name(f"{dialect}.txt")


if __name__ == "__main__":
    for dialect in DIALECTS:
        path(dialect).write_text(snapshot(dialect), encoding="utf-8")
