"""The SQL of PostgreSQL without a server: how types are stored and fragments are written."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest

from datajoint.grammar import parse_type
from datajoint.sql.fragment import parse_fragment
from datajoint.sql.postgresql import DIALECT
from datajoint.sql.text import SQL

TEXT = 'COLLATE "datajoint"."text"'
ICU = 'COLLATE "und-x-icu"'
TYPES = {
    name: parse_type(text)
    for name, text in {
        "i": "int",
        "n": "bigint",
        "f": "float",
        "q": "decimal(8,2)",
        "d": "date",
        "t": "datetime",
        "ts": "timestamp",
        "tm": "time",
        "s": "varchar(40)",
        "b": "bool",
        "u": "uuid",
    }.items()
}


def written(text, condition=False):
    """Write a fragment for PostgreSQL: the text, and the values that are bound to it."""
    return DIALECT.fragment(parse_fragment(text), SQL, TYPES, condition=condition).compile()


# -- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "declaration", "check"),
    [
        ("tinyint", "smallint", "x BETWEEN -128 AND 127"),
        ("tinyint unsigned", "smallint", "x BETWEEN 0 AND 255"),
        ("smallint", "smallint", ""),
        ("smallint unsigned", "integer", "x BETWEEN 0 AND 65535"),
        ("mediumint", "integer", "x BETWEEN -8388608 AND 8388607"),
        ("int", "integer", ""),
        ("int unsigned", "bigint", "x BETWEEN 0 AND 4294967295"),
        ("bigint", "bigint", ""),
        ("bigint unsigned", "numeric(20)", "x BETWEEN 0 AND 18446744073709551615"),
        ("bool", "boolean", ""),
        ("year", "smallint", "x = 0 OR x BETWEEN 1901 AND 2155"),
        ("float", "real", "x < 'Infinity' AND x > '-Infinity'"),
        ("double unsigned", "double precision", "x < 'Infinity' AND x >= 0"),
        ("decimal(5,2)", "numeric(5,2)", ""),
        ("decimal(5,2) unsigned", "numeric(5,2)", "x >= 0"),
        ("char(3)", f"varchar(3) {TEXT}", ""),
        ("varchar(0)", f"varchar(1) {TEXT}", "x COLLATE \"C\" = ''"),
        ("enum('a', 'it''s')", f"varchar {TEXT}", "x COLLATE \"C\" IN ('a', 'it''s')"),
        ("date", "date", ""),
        ("datetime(3)", "timestamp(3)", ""),
        ("timestamp", "timestamp(0) with time zone", ""),
        ("time", "interval(0)", "x BETWEEN '-838:59:59' AND '838:59:59'"),
        ("uuid", "uuid", ""),
        ("blob", "bytea", "octet_length(x) <= 65535"),
        ("longblob", "bytea", ""),
    ],
)
def test_columns(text, declaration, check):
    type_ = parse_type(text)
    storage = DIALECT.storage[type_.category]
    assert (storage.declaration(type_), storage.check(type_, "x")) == (declaration, check)


@pytest.mark.parametrize(
    ("text", "stored", "value"),
    [
        ("bool", True, 1),
        ("bigint unsigned", Decimal(2**64 - 1), 2**64 - 1),
        ("bigint", Decimal("3"), 3),
        ("bigint", Decimal("3.5"), Decimal("3.5")),  # inferred wrongly
        (
            "timestamp",
            dt.datetime(2020, 1, 1, 12, tzinfo=dt.timezone.utc),
            dt.datetime(2020, 1, 1, 12),
        ),
    ],
)
def test_decoding(text, stored, value):
    decoded = DIALECT.decoder(parse_type(text))(stored)
    assert (type(decoded), decoded) == (type(value), value)


def test_encoding():
    assert DIALECT.encode(1, parse_type("bool")) is True
    assert DIALECT.encode(0.1, parse_type("double")) == 0.1
    # what a column of single precision equals
    assert DIALECT.encode(0.1, parse_type("float")) == 0.10000000149011612


# -- statements -----------------------------------------------------------------------------------


def test_key_set():
    rows = [(1, "a"), (2, "b")]
    assert DIALECT.key_set(rows, (None, None)).compile("%s") == (
        "VALUES (%s, %s), (%s, %s)",
        (1, "a", 2, "b"),
    )
    assert DIALECT.key_set(rows, (TYPES["i"], TYPES["s"])).compile("%s") == (
        "SELECT * FROM unnest(CAST(%s AS integer[]), CAST(%s AS varchar[]))",
        ([1, 2], ["a", "b"]),
    )
    single = DIALECT.key_set([(1.5,), (2.25,)], (TYPES["q"],))
    assert single.compile("%s") == (
        "SELECT * FROM unnest(CAST(%s AS numeric[]))",
        ([1.5, 2.25],),
    )


def test_null():
    assert DIALECT.null(None) == "NULL"
    assert DIALECT.null(TYPES["d"]) == "CAST(NULL AS date)"
    assert DIALECT.null(TYPES["s"]) == f"CAST(NULL AS varchar(40)) {TEXT}"


def test_what_happens_when_a_key_exists():
    key, rest = ['"a"', '"b"'], ['"c"', '"d"']
    tails = {mode: tail("t", key, rest) for mode, (_, tail) in DIALECT.inserts.items()}
    assert tails == {
        "insert": "",
        "skip": ' ON CONFLICT ("a", "b") DO NOTHING',
        "replace": (' ON CONFLICT ("a", "b") DO UPDATE SET "c" = EXCLUDED."c", "d" = EXCLUDED."d"'),
    }
    assert DIALECT.inserts["replace"][1]("t", key, []) == tails["skip"]


# -- fragments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("b", "b"),
        ("i", "i <> 0"),
        ("(i)", "(i <> 0)"),
        ("not b", "NOT b"),
        ("b and i", "b AND i <> 0"),
        ("b = 1", "CAST(b AS integer) = ?"),
        ("i is true", "i <> 0 IS TRUE"),
        ("b is not true", "NOT b IS TRUE"),
        ("i <=> null", "i IS NOT DISTINCT FROM NULL"),
        ("i xor b", "(i <> 0) <> (b)"),
        ("case i when 1 then 2 end", "CASE i WHEN ? THEN ? ELSE NULL END <> 0"),
        ("if(i, b, i > 2)", "CASE WHEN i <> 0 THEN CAST(b AS integer) "
         "ELSE CAST(i > ? AS integer) END <> 0"),
        ("s = 'x'", "s = ?"),
        ("'x' = s", f"? {TEXT} = s"),
        ("upper(s) = 'x'", f"(upper(s {TEXT})) {TEXT} = ?"),
        ("s like 'a%'", f"s {ICU} ILIKE ? {ICU}"),
        ("s not like 'a%'", f"s {ICU} NOT ILIKE ? {ICU}"),
        ("i not regexp '^a'", f"NOT (CAST(i AS text)) {ICU} ~* ? {ICU}"),
        ("ts > '2020-01-01'", "ts > ?"),
        ("ts > t", "CAST(ts AS timestamp) > t"),
    ],
)  # fmt: skip
def test_conditions(fragment, text):
    assert written(fragment, condition=True)[0] == text


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("b", "CAST(b AS integer)"),
        ("i > 0", "CAST(i > ? AS integer)"),
        ("max(b)", "MAX(CAST(b AS integer))"),
        ("sum(s = 'L')", "sum(CAST(s = ? AS integer))"),
        ("i * 2", "CAST(i AS bigint) * ?"),
        ("n * 2", "n * ?"),
        ("q * 2", "q * ?"),
        ("f * 2", "CAST(f AS double precision) * ?"),
        ("i / 2", "i * 1.0 / NULLIF(?, 0)"),
        ("round(q)", "round(CAST(q AS numeric))"),
        ("greatest(i, n)", "CASE WHEN num_nulls(i, n) = 0 THEN GREATEST(i, n) END"),
        ("ifnull(i, 'none')", "COALESCE(CAST(i AS text), ?)"),
        ("concat(s, 1)", "((s) || (CAST(1 AS text)))"),
        ("d + interval 1 month", "CAST(d + make_interval(months => 1) AS date)"),
        ("t - interval i hour", "(t - make_interval(hours => CAST(i AS integer)))"),
        ("datediff('2020-3-1', d)", "(CAST(TIMESTAMP '2020-03-01 00:00:00' AS date) - d)"),
        ("date('nonsense')", "CAST(CAST(NULL AS timestamp) AS date)"),
        ("date_format(t, '%Y at %H')", "(to_char(t, 'YYYY\" at \"HH24'))"),
        ("count(distinct i, s)", "count(DISTINCT (i, s)) FILTER (WHERE (i, s) IS NOT NULL)"),
        ("5", "5"),
        ("frobnicate(i)", "FROBNICATE(i)"),
    ],
)
def test_expressions(fragment, text):
    assert written(fragment)[0] == text


@pytest.mark.parametrize(
    ("fragment", "values"),
    [
        ("i = '7'", (7,)),
        ("i = ' 7.5x'", (Decimal("7.5"),)),
        ("i = 'x'", (0,)),
        ("q in ('10.50', 3)", (Decimal("10.50"), 3)),
        ("s = '7'", ("7",)),
        ("d = '2020-1-2'", (dt.date(2020, 1, 2),)),
        ("d = 20200102", (dt.date(2020, 1, 2),)),
        ("d > '2020-01-02 12:00'", (dt.datetime(2020, 1, 2, 12),)),
        ("t > '2020-1-2'", (dt.datetime(2020, 1, 2),)),
        ("d > 'x'", ("-infinity",)),
        ("d > 0", ("-infinity",)),
        ("tm > '1:2:3'", (dt.timedelta(hours=1, minutes=2, seconds=3),)),
        ("tm > 10203", (dt.timedelta(hours=1, minutes=2, seconds=3),)),
        ("tm > 'x'", (dt.timedelta(),)),
        ("u = '00000000-0000-0000-0000-000000000001'", (uuid.UUID(int=1),)),
        ("u = 'x'", (None,)),
    ],
)
def test_literals(fragment, values):
    found = written(fragment, condition=True)[1]
    assert (found, [*map(type, found)]) == (values, [*map(type, values)])
