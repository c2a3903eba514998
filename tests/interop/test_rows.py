"""Rows that one client inserts, the other one fetches and queries, with the same results."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from .conftest import Pair, Sql
from .sides import Here, Incumbent

COMPRESSED = b"ZL123\0".hex().upper()

# type → values that any client inserts and fetches
VALUES: dict[str, list[Any]] = {
    "tinyint": [-128, 0, 127, True],
    "smallint": [-(2**15), 2**15 - 1],
    "mediumint": [-(2**23), 2**23 - 1],
    "int": [-(2**31), 2**31 - 1, np.int32(7), np.uint8(200)],
    "bigint": [-(2**63), 2**63 - 1, np.int64(-1)],
    "tinyint unsigned": [0, 255],
    "smallint unsigned": [0, 2**16 - 1],
    "mediumint unsigned": [2**24 - 1],
    "int unsigned": [2**32 - 1],
    "bigint unsigned": [2**64 - 1, np.uint64(2**63)],
    "decimal(9,3)": [Decimal("1.500"), Decimal("-123456.789"), 2, 0.5, Decimal("0.0004")],
    "decimal(30,0)": [Decimal(10**29)],
    "float": [0.1, -1.5, 3.4e38, 1e-30, 123456, np.float32(0.1)],
    "double": [0.1, -1.7976931348623157e308, 2.2250738585072014e-308, 1 / 3, np.float64(2.5)],
    "char(7)": ["", "abc", "  x", "tail  ", "naïve"],
    "varchar(40)": [
        "",
        "text",
        "trailing  ",
        "it's",
        'say "no"',
        "a\\b%c_d\n\t",
        "細胞 🧠",
        "NULL",
    ],
    "enum('a','b''c','')": ["a", "b'c", ""],
    "bool": [True, False, 1, 0],
    "date": [dt.date(1, 1, 1), dt.date(2020, 2, 29), dt.date(9999, 12, 31), "2021-03-04"],
    "datetime": [dt.datetime(2020, 1, 2, 3, 4, 5), dt.date(2020, 1, 2), "2021-03-04 05:06:07"],
    "datetime(3)": [dt.datetime(2020, 1, 2, 3, 4, 5, 678000)],
    "datetime(6)": [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)],
    "time": [dt.timedelta(hours=3), dt.time(23, 59, 59), "-12:30:00", "838:59:59"],
    "time(3)": [dt.timedelta(milliseconds=-1500), dt.time(1, 2, 3, 456000)],
    "timestamp": [dt.datetime(2020, 1, 2, 3, 4, 5), "2021-03-04 05:06:07"],
    "timestamp(6)": [dt.datetime(2020, 1, 2, 3, 4, 5, 678901)],
    "year": [1901, 2155, 2020],
    "uuid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), str(uuid.UUID(int=5))],
    "tinyblob": [None, b"", b"\0\xff", "text"],
    "blob": [[1, 2.5, None], {"a": (1, {2})}, np.arange(6).reshape(2, 3)],
    "mediumblob": [np.zeros(1000), np.array(["x", 1], object), dt.datetime(2020, 1, 2)],
    "longblob": [
        np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        uuid.UUID(int=3),
        Decimal("1.0"),
    ],
}

TABLE = """
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = f'''
    sample_id : int
    ---
    value = null : {type_}
    other = null : {type_}
    '''
"""


@pytest.mark.parametrize("type_", VALUES)
def test_values(pair: Pair, sql: Sql, type_: str) -> None:
    pair.run(TABLE, type_=type_)
    rows = [{"sample_id": n, "value": value} for n, value in enumerate(VALUES[type_])]
    pair.maker.run("Sample.insert(rows)", rows=rows)
    assert sql(f"SELECT COUNT(*) FROM `{pair.schema_name}`.`sample`") == [(len(rows),)]
    for expression in (
        "Sample.fetch(as_dict=True, order_by='sample_id')",
        "Sample.fetch('sample_id', 'value', order_by='sample_id')",
        "Sample.fetch(order_by='sample_id').dtype.descr",
        "[(Sample & dict(sample_id=n)).fetch1('value') for n in range(len(Sample()))]",
        "(Sample & 'sample_id = 0').fetch1()",
    ):
        pair.assert_same(expression)


@pytest.mark.parametrize("type_", VALUES)
def test_both_store_the_same(pair: Pair, sql: Sql, type_: str) -> None:
    """What each client inserts is the same for the server."""
    pair.run(TABLE, type_=type_)
    count = len(VALUES[type_])
    for start, side in ((0, pair.maker), (1000, pair.user)):
        rows = [{"sample_id": start + n, "value": value} for n, value in enumerate(VALUES[type_])]
        side.run("Sample.insert(rows)", rows=rows)
    found: dict[int, str | None] = dict(
        sql(f"SELECT sample_id, HEX(value) FROM `{pair.schema_name}`.`sample`")
    )
    assert len(found) == 2 * count
    for n in range(count):
        first, second = found[n], found[1000 + n]
        if first is not None and first.startswith(COMPRESSED):
            # any compressed form is valid; that it is read is what `test_values` is about
            assert second is not None
            assert second.startswith(COMPRESSED)
        else:
            assert second == first


UNRESTRICTABLE = ("time", "time(3)")  # the other client writes invalid SQL


@pytest.mark.parametrize(
    "type_", [name for name in VALUES if "blob" not in name and name not in UNRESTRICTABLE]
)
def test_restrictions_by_values(pair: Pair, type_: str) -> None:
    pair.run(TABLE, type_=type_)
    # nor can it restrict by double quotes, backslashes and numbers that are not stored exactly
    values = [
        value
        for value in VALUES[type_]
        if not (isinstance(value, str) and re.search(r'["\\]', value))
        and value != Decimal("0.0004")
        and type_ != "float"
    ]
    rows = [{"sample_id": n, "value": value} for n, value in enumerate(values)]
    pair.maker.run("Sample.insert(rows)", rows=rows)
    for value in values:
        found = pair.assert_same(
            "(Sample & dict(value=v)).fetch('sample_id', order_by='sample_id').tolist()", v=value
        )
        assert values.index(value) in found
    assert pair.assert_same("len(Sample & Sample.fetch('KEY')[:1])") == min(1, len(values))


def test_defaults_and_nulls(pair: Pair, sql: Sql) -> None:
    pair.run(
        """
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int
    ---
    number = 3 : int
    real_number = null : double
    text = "it's" : varchar(10)
    maybe = null : varchar(10)
    kind = 'b' : enum('a','b')
    day = '2020-01-02' : date
    stamp = CURRENT_TIMESTAMP : timestamp
    data = null : longblob
    '''
"""
    )
    rows: list[dict[str, Any]] = [
        {"sample_id": 0},
        {"sample_id": 1, "number": None, "real_number": None, "text": None, "data": None},
        {"sample_id": 2, "real_number": float("nan"), "number": ""},
    ]
    for start, side in ((0, pair.maker), (10, pair.user)):
        for row in rows:
            side.run("Sample.insert1(row)", row=dict(row, sample_id=start + row["sample_id"]))
    fetched = pair.assert_same(
        "Sample.proj(..., '-stamp').fetch(as_dict=True, order_by='sample_id')"
    )
    expected = {
        "number": 3,
        "real_number": None,
        "text": "it's",
        "maybe": None,
        "kind": "b",
        "day": dt.date(2020, 1, 2),
        "data": None,
    }
    expected_rows = [{"sample_id": n, **expected} for n in (0, 1, 2, 10, 11, 12)]
    assert [{**row, "real_number": None} for row in fetched] == expected_rows
    pair.assert_same("Sample.fetch('real_number').dtype.str")
    pair.assert_same("Sample.fetch('number').dtype.str")
    assert sql(f"SELECT COUNT(*) FROM `{pair.schema_name}`.`sample` WHERE stamp IS NULL") == [(0,)]


PIPELINE = """
lab = schema(name)
@lab
class Subject(dj.Manual):
    definition = '''
    # subjects
    subject : varchar(8)
    ---
    sex = 'U' : enum('M','F','U')
    born : date
    '''
@lab
class Session(dj.Manual):
    definition = '''
    -> Subject
    session : smallint
    ---
    -> [nullable] Subject.proj(partner='subject')
    score = null : float
    cost = 1 : decimal(6,2)
    '''
    class Trial(dj.Part):
        definition = '''
        -> master
        trial : int
        ---
        start : double
        '''
@lab
class Method(dj.Lookup):
    definition = '''
    method : varchar(8)
    ---
    factor : float
    '''
    contents = [('one', 1), ('half', 0.5)]
"""

FILLED = """
Subject.insert([('anna', 'F', '2020-01-01'), ('bob', 'M', '2020-02-02')])
Subject.insert([("o'x", 'U', '2021-01-01')])
Session.insert([
    dict(subject='anna', session=1, partner='bob', score=1.5, cost=2),
    dict(subject='anna', session=2, partner=None, score=2.5, cost='0.25'),
    dict(subject='bob', session=1, partner='anna', score=None, cost=3),
])
Session.Trial.insert((s, n, t, t / 4) for s, n in [('anna', 1), ('bob', 1)] for t in range(3))
"""

QUERIES = [
    "Subject",
    "Subject & 'sex = \"F\"'",
    "Subject & \"born > '2020-01-15'\"",
    'Subject & dict(subject="o\'x")',
    "Subject & [dict(subject='anna'), dict(subject='bob', sex='F')]",
    "Subject & ['sex = \"M\"', dict(subject='anna')]",
    "Subject & dj.AndList(['sex != \"M\"', 'born < \"2021-01-01\"'])",
    "Subject - Session",
    "Subject & Session",
    "Subject - dict(sex='F')",
    "Subject - [dict(sex='F'), 'sex = \"M\"']",
    "Subject & dj.Not('sex = \"M\"')",
    "Subject & []",
    "Subject & True",
    "Subject & (Session & 'score > 2')",
    "Subject & 'subject LIKE \"%%n%%\"'",
    "Session & dict(score=None)",
    "Session & 'partner IS NULL'",
    "Subject * Session",
    "Subject * Session * Session.Trial",
    "Subject.proj() * Method",
    "Session * Subject.proj(partner='subject', partner_sex='sex')",
    "Session.proj(twice='2 * session', who='subject')",
    "Session.proj('score', other='session')",
    "Subject.proj(year_born='YEAR(born)', m='MONTH(born)')",
    "Subject.aggr(Session, n='count(*)')",
    "Subject.aggr(Session, n='count(session)', keep_all_rows=True)",
    "Subject.aggr(Session, total='sum(cost)', best='max(score)', mean='avg(score)')",
    "Session.aggr(Session.Trial, n='count(*)', last='max(start)')",
    "dj.U('sex') & Subject",
    "dj.U('sex').aggr(Subject, n='count(*)', first='min(born)')",
    "dj.U().aggr(Session, n='count(*)', total='sum(cost)')",
    "Subject.aggr(Session, n='count(*)') & 'n > 1'",
    "Method & 'factor < 1'",
    "(Subject & 'sex = \"F\"').proj() + (Subject & 'sex != \"M\"').proj()",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries(pair: Pair, query: str) -> None:
    pair.run(PIPELINE)
    pair.maker.run(FILLED)
    by_key = "sorted({}, key=repr)"
    query = f"({query}) & True"
    pair.assert_same(f"({query}).heading.names")
    pair.assert_same(f"len({query})")
    pair.assert_same(by_key.format(f"({query}).fetch(as_dict=True)"))
    if pair.assert_same(f"({query}).primary_key"):
        pair.assert_same(by_key.format(f"({query}).fetch('KEY')"))
    pair.assert_same(f"({query}).fetch().dtype.descr")


def test_order_and_limit(pair: Pair) -> None:
    pair.run(PIPELINE)
    pair.maker.run(FILLED)
    for options in (
        "order_by='subject desc'",
        "order_by=('sex', 'subject DESC')",
        "order_by='born', limit=2",
        "order_by='born desc', limit=1, offset=1",
        "order_by='KEY DESC'",
    ):
        pair.assert_same(f"Subject.fetch('subject', 'born', {options})")
        pair.assert_same(f"Subject.fetch(as_dict=True, {options})")


def test_changes(pair: Pair) -> None:
    """Each client changes what the other one inserted."""
    pair.run(PIPELINE)
    pair.maker.run(FILLED)
    pair.user.run("Subject.update1(dict(subject='bob', sex=None, born='2022-02-02'))")
    pair.user.run("Session.update1(dict(subject='anna', session=1, score=None, partner=None))")
    pair.user.run("Subject.insert1(('anna', 'M', '2000-01-01'), skip_duplicates=True)")
    pair.user.run("Method.insert1(('one', 7), replace=True)")
    pair.user.run(
        "Subject.insert1(dict(subject='eve', born='2020-01-01', x=1), ignore_extra_fields=True)"
    )
    assert pair.assert_same("Subject.fetch('sex', order_by='subject').tolist()") == list("FUUU")
    assert pair.assert_same("Method.fetch('factor', order_by='method').tolist()") == [0.5, 7.0]
    assert (
        pair.assert_same(
            "(Session & 'session = 1' & dict(subject='anna')).fetch1('score', 'partner')"
        )[1]
        is None
    )
    pair.assert_same("Subject.fetch(as_dict=True, order_by='KEY')")


def test_contents_are_completed_by_the_other(pair: Pair) -> None:
    pair.run(PIPELINE)
    more = PIPELINE.replace("('half', 0.5)]", "('half', 0.5), ('two', 2)]")
    pair.user.run(more, name=pair.schema_name)
    assert pair.assert_same("Method.fetch('method', order_by='KEY').tolist()") == [
        "half",
        "one",
        "two",
    ]


ERRORS = {
    "Subject.insert1(('anna', 'F', '2020-01-01'))": ("DuplicateError",) * 2,
    "Session.insert1(dict(subject='nobody', session=1))": ("IntegrityError",) * 2,
    "Subject.insert1(dict(subject='x'))": ("MissingAttributeError",) * 2,
    # one name for all attributes that are not there
    "Subject.insert1(dict(subject='x', born='2020-01-01', zz=1))": (
        "KeyError",
        "UnknownAttributeError",
    ),
    "Subject.update1(dict(subject='nobody', sex='F'))": ("DataJointError",) * 2,
    "(Subject & 'subjekt = 1').fetch()": ("DataJointError", "UnknownAttributeError"),
    "Subject.insert1(dict(subject='x', born='2020-01-01', sex='Z'))": (
        "DataError",  # of the driver
        "DataJointError",
    ),
}


@pytest.mark.parametrize("source", ERRORS)
def test_names_of_errors(
    here: Here, incumbent: Incumbent, schema_name: str, source: str, sql: Sql
) -> None:
    names = []
    for side in (incumbent, here):
        side.run(PIPELINE, name=schema_name)
    incumbent.run(FILLED)
    for side in (incumbent, here):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its name is compared
            side.run(source)
        names.append(getattr(caught.value, "type", type(caught.value).__name__))
    assert tuple(names) == ERRORS[source]


def test_classes_made_by_the_other(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    """The other client makes classes for our tables."""
    here.run(PIPELINE + FILLED, name=schema_name)
    incumbent.run("made = dj.VirtualModule('made', name)", name=schema_name)
    for table in ("Subject", "Session", "Session.Trial", "Method"):
        fetch = f"{table}.fetch(as_dict=True, order_by='KEY')"
        assert incumbent.text(f"made.{fetch}") == here.text(fetch)


def test_hidden_attributes(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql) -> None:
    """The other client can add an attribute that is neither shown nor fetched."""
    incumbent.run("dj.config['add_hidden_timestamp'] = True")
    try:
        incumbent.run(PIPELINE, name=schema_name)
    finally:
        incumbent.run("dj.config['add_hidden_timestamp'] = False")
    ((statement,),) = ((row[1],) for row in sql(f"SHOW CREATE TABLE `{schema_name}`.`subject`"))
    assert "_timestamp` timestamp" in statement
    here.run(PIPELINE + FILLED, name=schema_name)
    for expression in (
        "Subject().heading.names",
        "Subject.fetch(as_dict=True, order_by='KEY')",
        "(Subject * Session).heading.names",
        "sorted((Subject * Session * Method).fetch(as_dict=True), key=repr)",
        "Subject.aggr(Session, n='count(*)').fetch(as_dict=True, order_by='KEY')",
        "len(Subject & Session)",
    ):
        assert here.text(expression) == incumbent.text(expression), expression
    assert "timestamp" not in here.value("Subject.describe(printout=False)")
    here.run("Subject.update1(dict(subject='bob', sex='U'))")
    assert here.value("(Subject & 'subject = \"bob\"').delete()") == 1


def test_hidden_timestamps_are_the_same(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    statements: dict[str, list[Any]] = {}
    for side in (incumbent, here):
        side.run("dj.config['add_hidden_timestamp'] = True")
        try:
            side.run(PIPELINE, name=schema_name)
        finally:
            side.run("dj.config['add_hidden_timestamp'] = False")
        statements[side.name] = [
            sql(f"SHOW CREATE TABLE `{schema_name}`.`{table}`")[0][1]
            for table in ("subject", "session", "session__trial", "#method")
        ]
        sql(f"DROP DATABASE `{schema_name}`")
    for own, other in zip(statements["here"], statements["incumbent"], strict=True):
        assert _hidden_line(own) == _hidden_line(other)


def _hidden_line(statement: str) -> str:
    """Find the hidden attribute, which is the last."""
    *_, line = re.findall(r"^  `(.*),$", statement, re.MULTILINE)
    assert re.match(r"_[0-9a-f]{40}_timestamp` timestamp NOT NULL DEFAULT", line)
    return line


@pytest.mark.parametrize("type_", ["attach", "json"])
def test_types_to_come_do_not_hinder(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, type_: str
) -> None:
    """Tables that have them can be queried for everything else."""
    incumbent.run(TABLE, name=schema_name, type_=type_)
    incumbent.run("Sample.insert1(dict(sample_id=1))")
    here.run("lab = schema(name)", name=schema_name)
    free = "dj.FreeTable(connection, full_name)"
    values = {"connection": here.connection, "full_name": f"`{schema_name}`.`sample`"}
    assert here.value(f"{free}.heading.names", **values) == ["sample_id", "value", "other"]
    assert here.value(f"{free}.fetch('sample_id').tolist()") == [1]
    assert here.value(f"len({free} & 'value IS NULL')") == 1
    assert here.value(f"({free} & 'sample_id = 1').delete()") == 1


def test_documents_are_text_to_the_incumbent(
    here: Here, incumbent: Incumbent, schema_name: str
) -> None:
    """On MariaDB, which keeps documents as text; the columns behind indexes are hidden from it."""
    table = TABLE.replace("    other =", "    index (value.a[0]:unsigned)\n    other =")
    here.run(table, name=schema_name, type_="json")
    here.run("Sample.insert1(dict(sample_id=1, value={'a': [1.5, None, 'é']}))")
    free = f"dj.FreeTable(dj.conn(), '`{schema_name}`.`sample`')"
    assert incumbent.value(f"{free}.heading.names") == ["sample_id", "value", "other"]
    assert incumbent.value(f"{free}.fetch(as_dict=True)") == [
        {"sample_id": 1, "value": '{"a": [1.5, null, "é"]}', "other": None}
    ]
    incumbent.run(f"{free}.insert1(dict(sample_id=2))")
    assert here.value("Sample.fetch('value', order_by='sample_id').tolist()") == [
        {"a": [1.5, None, "é"]},
        None,
    ]


# -- wanted differences -------------------------------------------------------------------------


def test_floats_are_exact_here(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    """The other client fetches the six digits that the server shows."""
    for side in (incumbent, here):
        side.run(TABLE, name=schema_name, type_="float")
    here.run("Sample.insert1(dict(sample_id=0, value=16777216))")
    assert here.value("Sample.fetch1('value')") == 16777216.0
    assert incumbent.value("Sample.fetch1('value')") == 16777200.0


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("varchar(40)", 'say "no"'),
        ("varchar(40)", "a\\b%c_d\n\t"),
        ("time", dt.timedelta(hours=3)),
        ("time(3)", dt.timedelta(milliseconds=-1500)),
        ("float", 0.1),
    ],
)
def test_restrictions_that_the_other_cannot_write(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, type_: str, value: Any
) -> None:
    for side in (incumbent, here):
        side.run(TABLE, name=schema_name, type_=type_)
    incumbent.run("Sample.insert1(dict(sample_id=0, value=value))", value=value)
    assert here.value("len(Sample & dict(value=value))", value=value) == 1
    assert here.value("len(Sample - dict(value=value))", value=value) == 0


@pytest.mark.parametrize("query", ["Subject", "Session", "Session.Trial", "Method"])
def test_without_classes(pair: Pair, query: str) -> None:
    """Each client queries tables that it has no classes of."""
    pair.maker.run(PIPELINE + FILLED, name=pair.schema_name)
    name = pair.maker.value(f"{query}.full_table_name")
    connection = "conn" if pair.user.name == "here" else "dj.conn()"
    values = {"conn": pair.user.connection} if isinstance(pair.user, Here) else {}
    free = f"dj.FreeTable({connection}, name)"
    found = pair.user.value(f"{free}.fetch(as_dict=True, order_by='KEY')", name=name, **values)
    assert found == pair.maker.value(f"{query}.fetch(as_dict=True, order_by='KEY')")
    assert pair.user.value(f"{free}.primary_key") == pair.maker.value(f"{query}.primary_key")
    assert pair.user.value(f"{free}.full_table_name") == name
