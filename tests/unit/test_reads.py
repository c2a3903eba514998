"""Digests of results, and which statements of users only read."""

import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from datajoint.reads import Digest, is_ordered, is_query

ROWS = [
    (1, "a", 0.5, None, b"\x00"),
    (2, "long" * 100, -0.0, True, memoryview(b"xy")),
    (3, "é", 2**70, False, b""),
    (4, date(2020, 1, 2), Decimal("1.50"), memoryview(b"xy"), "\ud800"),
]


def digest(rows, ordered=False):
    made = Digest(ordered)
    made.add(rows)
    return str(made)


def test_order_counts_if_it_was_asked_for():
    assert digest(ROWS) == digest(ROWS[::-1])
    assert digest(ROWS, ordered=True) != digest(ROWS[::-1], ordered=True)


@pytest.mark.parametrize("ordered", [False, True])
def test_rows_come_in_batches(ordered):
    rows = [*ROWS, *((i, "x") for i in range(250)), *ROWS]
    made = Digest(ordered)
    for start in range(0, len(rows), 7):
        made.add(iter(rows[start : start + 7]))
    assert str(made) == digest(rows, ordered)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "others",
    [
        [],
        ROWS[:3],
        [*ROWS, ROWS[0]],
        [ROWS[0], ROWS[0]],
        [*ROWS[:3], (4, date(2020, 1, 3), *ROWS[3][2:])],
        [*ROWS[:3], (4, date(2020, 1, 2), Decimal("1.5"), *ROWS[3][3:])],
    ],
)
def test_other_rows(others, ordered):
    assert digest(others, ordered) != digest(ROWS, ordered)


def test_moments_do_not_depend_on_the_time_zone_of_the_session():
    moment = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)
    elsewhere = moment.astimezone(timezone(timedelta(hours=9)))
    assert digest([(moment,)]) == digest([(elsewhere,)])
    assert digest([(moment,)]) != digest([(elsewhere.replace(tzinfo=timezone.utc),)])


def test_values_that_are_alike_are_not_the_same():
    values = [0, 0.0, -0.0, False, "0", b"0", None, Decimal(0)]
    assert len({digest([(value,)]) for value in values}) == len(values)


def test_the_same_objects_in_other_processes():
    word = "interned" * 3
    code = "from datajoint.reads import Digest; d = Digest(False); "
    code += "d.add([(1000001, 'interned' * 3, 'x'), ('x', 1.5, 'x')]); print(d)"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    same = sys.intern("x")
    assert digest([(1000001, word, same), (same, 1.5, same)]) == output.strip()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        " (select * from t) ; ",
        "VALUES (1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    ],
)
def test_queries(text):
    assert is_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1)",
        "SELECT 1; DELETE FROM t",
        "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
        "with a as (delete from t returning *) select * from a",
        "SELECT * INTO t FROM u",
        "PRAGMA user_version = 3",
        "SAVEPOINT a",
        "COMMIT",
        "selection",
    ],
)
def test_what_may_change_something(text):
    assert not is_query(text)


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("SELECT a FROM t", False),
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t order\n by f(a, b) DESC LIMIT 3", True),
        ("SELECT a FROM (SELECT * FROM t ORDER BY a LIMIT 3) AS s", False),
        ("SELECT a FROM (SELECT * FROM t ORDER BY a LIMIT 3) AS s ORDER BY b", True),
    ],
)
def test_order(text, ordered):
    assert is_ordered(text) is ordered
