"""Hashes that both clients store are the same."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import string
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from .conftest import Pair, Sql
from .sides import Here, Incumbent

EDGES: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"b": "x", "a": 1},
    {"B": 1, "a": 2},
    {"a_b": 1, "aa": 2, "a1": 3},
    {"a": True, "b": False, "c": None},
    {"a": 0.1, "b": 1e22, "c": -0.0, "d": 1e-7, "e": float("nan")},
    {"a": Decimal("1.50"), "b": Decimal("1E+5")},
    {"a": "", "b": "naïve 細胞 🧠", "c": "it's\n\\"},
    {"a": dt.date(1, 1, 1), "b": dt.datetime(2020, 1, 1), "c": dt.datetime(2020, 1, 1, 0, 0, 0, 1)},
    {"a": dt.timedelta(hours=3, minutes=4), "b": dt.timedelta(days=-1), "c": dt.time(1, 2)},
    {"a": uuid.UUID(int=5), "b": 2**64 - 1, "c": -(2**63)},
]


def random_keys(count: int) -> list[dict[str, Any]]:
    """Make keys as they are fetched; the same ones in every run."""
    source = random.Random(14)
    makers: Iterator[Callable[[], Any]] = itertools.cycle(
        [
            lambda: source.randrange(-(2**63), 2**64),
            lambda: "".join(source.choices(string.printable + "äé細", k=source.randrange(20))),
            lambda: source.uniform(-1e9, 1e9),
            lambda: Decimal(source.randrange(10**9)) / 1000,
            lambda: dt.date.fromordinal(source.randrange(1, 3_000_000)),
            lambda: dt.datetime(2000, 1, 1) + dt.timedelta(microseconds=source.randrange(2**57)),
            lambda: dt.timedelta(seconds=source.randrange(-(10**6), 10**6)),
            lambda: uuid.UUID(int=source.getrandbits(128)),
        ]
    )
    return [
        {
            f"{source.choice(string.ascii_letters)}{n}": next(makers)()
            for n in range(source.randrange(1, 6))
        }
        for _ in range(count)
    ]


def test_key_hash(here: Here, incumbent: Incumbent) -> None:
    keys = EDGES + random_keys(500)
    expression = "[dj.key_hash(key) for key in keys]"
    expected = incumbent.value(expression, keys=keys)
    assert expected[1] == "c4ca4238a0b923820dcc509a6f75849b"
    assert here.value(expression, keys=keys) == expected


def test_key_hash_of_fetched_keys(pair: Pair, sql: Sql) -> None:
    pair.run(
        """
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    a : smallint unsigned
    b : varchar(10)
    c : decimal(6,2)
    d : datetime(3)
    e : uuid
    f : float
    g : double
    h : bool
    i : enum('x','y')
    j : date
    k : year
    l : time
    m : char(5)
    '''
"""
    )
    rows = [
        (
            *(n, f"b{n} ", n / 4, f"2020-01-02 03:04:05.{n:03}", uuid.UUID(int=n), n / 10, n / 10),
            *(n % 2, "xy"[n % 2], f"2020-01-{n + 1:02}", 2000 + n, f"{n}:00:01", f"m{n}  "),
        )
        for n in range(20)
    ]
    pair.maker.run("Sample.insert(rows)", rows=rows)
    expected = pair.assert_same("[dj.key_hash(k) for k in Sample.fetch('KEY', order_by='KEY')]")
    assert len(set(expected)) == 20


def test_hashes_of_contents(here: Here, incumbent: Incumbent) -> None:
    for contents, start in ((b"", ""), (b"abc", ""), (b"abc", "name.txt\0"), (b"\0" * 5000, "é")):
        expression = "dj.hash.uuid_from_buffer(contents, init_string=start)"
        expected = incumbent.value(expression, contents=contents, start=start)
        assert here.value(expression, contents=contents, start=start) == expected
