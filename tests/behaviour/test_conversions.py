"""Bringing values from one type to another: every database does it as Python does."""

import datetime as dt
import decimal
import uuid

import pytest

import datajoint as dj
from datajoint.alter import _KINDS, brought
from datajoint.grammar import parse_type

D, T = dt.datetime, dt.timedelta

#: Types, and values of each at the edges of what others admit.
VALUES = {
    "tinyint": [0, 1, -1, 5, 69, 70, 99, 100, 127, -128],
    "int": [0, 1, 20, 1901, 2155, 300, -7, 2**31 - 1, -(2**31)],
    "bigint unsigned": [0, 2**53 + 1, 2**64 - 1],
    "bool": [0, 1],
    "year": [0, 1901, 2155],
    "float": [0.0, 0.1, 0.5, 2.5, -2.5, 2.25, 1e6, 1234567, 16777216, 1e-5, 3e38, 0.49],
    "double": [
        0.0, 0.1, 0.5, 1.5, 2.5, -0.5, -2.5, 2.25, 1.005, 1e15, 123456789012345680.0, 2.0**60, 1e300,
        1e-5, 0.0001, 2.0**53, 1999.5,
    ],
    "decimal(8,3)": [decimal.Decimal(v) for v in ("0", "0.5", "-0.5", "2.5", "1.250", "-99999.999", "0.001")],
    "varchar(24)": [
        "", " ", "a", "A", "b", "B ", "abc", "abc  ", "  abc", "0", "00", "1", "5", "70", "0.5", "1.5", "-2.5", " 7 ", "+7", "1e3", ".5", "7.",
        "true", "FALSE", "2001", "0.1", "16777217", "9007199254740993", "1e-5", "2020-01-02", "2020-1-2", "2020/1/2", "2020.01.02",
        "20200102", "20200102030405", "2020-01-02 03:04:05", "2020-01-02T03:04:05.5", "1999-12-31 23:59:59.5",
        "2020-01-02 3:4", "12:30", "12:30:00.5", "-30:00:00", "1 12:30:00", "-1 12:30:00", "838:59:59", "é", "a1",
    ],
    "char(12)": ["", "a", "abc", "1.5", "2020-01-02", "12:30:00"],
    "enum('a', 'b', '1', '2020-01-02')": ["a", "b", "1", "2020-01-02"],
    "date": [dt.date(2020, 1, 2), dt.date(1999, 12, 31), dt.date(1000, 1, 1)],
    "datetime": [D(2020, 1, 2), D(2020, 1, 2, 3, 4, 5), D(1960, 1, 2, 3, 4, 5)],
    "datetime(3)": [D(2020, 1, 2, 3, 4, 5, 500000), D(1999, 12, 31, 23, 59, 59, 500000), D(2020, 1, 2, 3, 4, 5, 499000), D(2020, 1, 2)],
    "datetime(6)": [D(2020, 1, 2, 23, 59, 59, 999999), D(1999, 12, 31, 23, 59, 59, 500500), D(2020, 1, 2)],
    "timestamp": [D(2020, 1, 2, 3, 4, 5)],
    "timestamp(2)": [D(2020, 1, 2, 3, 4, 5, 500000), D(1999, 12, 31, 3, 4, 5, 10000)],
    "time": [T(0), T(hours=30), T(hours=-30), T(hours=838, minutes=59, seconds=59), T(seconds=-1)],
    "time(3)": [T(milliseconds=500), T(milliseconds=-500), T(hours=30, milliseconds=5), T(milliseconds=-1500)],
}  # fmt: skip
TYPES = [*VALUES, "int unsigned", "bigint", "smallint", "decimal(6,1)", "decimal(20,0) unsigned", "varchar(3)", "char(3)", "enum('A', 'b', 'c')", "datetime(1)", "timestamp(6)", "time(1)", "double unsigned"]


def kinds(old, new):
    one, other = (_KINDS.get(type_.category) for type_ in (old, new))
    return one == other or "text" in (one, other)


@pytest.mark.parametrize("new", TYPES)
@pytest.mark.parametrize("old", VALUES)
def test_explore(schema, old, new, backend):
    one, other = parse_type(old), parse_type(new)
    if old == new or not kinds(one, other):
        pytest.skip("")
    bad = []
    good = []
    for value in VALUES[old]:
        value = one.encode(value)
        try:
            good.append((value, other.encode(brought(value, one, other))))
        except ValueError:
            continue
    def go(pairs, n):
        table = type("T%d" % n, (dj.Manual,), {"definition": f"a : int\n---\nx : {old}"})
        schema(table)
        table.insert(enumerate([v for v, _ in pairs]))
        table.definition = f"a : int\n---\nx : {new}"
        try:
            table.alter(prompt=False)
        except Exception as e:
            if len(pairs) == 1 or "cannot be" in str(e) and len(pairs) == 1:
                bad.append((pairs[0][0], pairs[0][1], str(e).replace("\n", " ")[-150:]))
                return
            for k, p in enumerate(pairs):
                go([p], n * 100 + k + 1)
            return
        for (v, e), g in zip(pairs, table.fetch("x", order_by="a").tolist() if False else [r["x"] for r in table.fetch(order_by="a", as_dict=True)]):
            if type(e)(g) != e if not isinstance(e, (dt.date, dt.timedelta)) else g != e:
                bad.append((v, e, g))
            elif not len(table & {"x": e}):
                bad.append((v, e, "not found"))
    if good:
        go(good, 1)
    if bad:
        with open(f"/tmp/fixa_{backend}.txt", "a") as f:
            for b in bad:
                print(old, "->", new, *map(repr, b), sep=" | ", file=f)
    assert not bad
