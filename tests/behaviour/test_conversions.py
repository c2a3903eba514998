"""Bringing values from one type to another: every database does it as Python does."""

import datetime as dt
import decimal

import pytest

import datajoint as dj
from datajoint.alter import brought
from datajoint.grammar import parse_type

D, T = dt.datetime, dt.timedelta

#: Categories of types whose values can be brought to each other; all can be from and to texts.
KINDS = {
    **dict.fromkeys(("integer", "bool", "year", "float", "decimal"), "number"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "moment"),
    "time": "time",
    "enum": "enum",
    "string": "text",
}

#: Types, and values of each at the edges of what others admit.
VALUES = {
    "tinyint": [0, 1, -1, 5, 69, 70, 99, 100, 127, -128],
    "int": [0, 1, 20, 1901, 2155, 300, -7, 2**31 - 1, -(2**31)],
    "bigint unsigned": [0, 2**53 + 1, 2**63 - 1],
    "bool": [0, 1],
    "year": [0, 1901, 2155],
    "float": [
        0.0,
        -0.0,
        0.1,
        2.675,
        0.45,
        1e11,
        1e17,
        1999.5,
        0.5,
        2.5,
        -2.5,
        2.25,
        1e6,
        1234567,
        16777216,
        1e-5,
        3e38,
        0.49,
    ],
    "double": [
        0.0,
        -0.0,
        0.49999999999999994,
        2.0**63,
        123456.75,
        0.1,
        0.5,
        1.5,
        2.5,
        -0.5,
        -2.5,
        2.25,
        1.005,
        1e15,
        123456789012345680.0,
        2.0**60,
        1e300,
        1e-5,
        0.0001,
        2.0**53,
        1999.5,
    ],
    "decimal(8,3)": [
        decimal.Decimal(v) for v in ("0", "0.5", "-0.5", "2.5", "1.250", "-99999.999", "0.001")
    ],
    "varchar(24)": [
        "",
        " ",
        "a",
        "A",
        "b",
        "B ",
        "abc",
        "abc  ",
        "  abc",
        "0",
        "00",
        "1",
        "5",
        "70",
        "0.5",
        "1.5",
        "-2.5",
        " 7 ",
        "+7",
        "1e3",
        ".5",
        "7.",
        "true",
        "FALSE",
        "2001",
        "0.1",
        "16777217",
        "9007199254740993",
        "1e-5",
        "2020-01-02",
        "2020-1-2",
        "2020/1/2",
        "2020.01.02",
        "20200102",
        "20200102030405",
        "2020-01-02 03:04:05",
        "2020-01-02T03:04:05.5",
        "1999-12-31 23:59:59.5",
        "2020-01-02 3:4",
        "12:30",
        "12:30:00.5",
        "-30:00:00",
        "1 12:30:00",
        "-1 12:30:00",
        "838:59:59",
        "é",
        "a1",
    ],
    "char(12)": ["", "a", "abc", "1.5", "2020-01-02", "12:30:00"],
    "enum('a', 'b', '1', '2020-01-02')": ["a", "b", "1", "2020-01-02"],
    "date": [dt.date(2020, 1, 2), dt.date(1999, 12, 31), dt.date(1000, 1, 1)],
    "datetime": [D(2020, 1, 2), D(2020, 1, 2, 3, 4, 5), D(1960, 1, 2, 3, 4, 5)],
    "datetime(3)": [
        D(2020, 1, 2, 3, 4, 5, 500000),
        D(1999, 12, 31, 23, 59, 59, 500000),
        D(2020, 1, 2, 3, 4, 5, 499000),
        D(2020, 1, 2),
    ],
    "datetime(6)": [
        D(2020, 1, 2, 23, 59, 59, 999999),
        D(1999, 12, 31, 23, 59, 59, 500500),
        D(2020, 1, 2),
    ],
    "timestamp": [D(2020, 1, 2, 3, 4, 5)],
    "timestamp(2)": [D(2020, 1, 2, 3, 4, 5, 500000), D(1999, 12, 31, 3, 4, 5, 10000)],
    "time": [T(0), T(hours=30), T(hours=-30), T(hours=838, minutes=59, seconds=59), T(seconds=-1)],
    "time(3)": [
        T(milliseconds=500),
        T(milliseconds=-500),
        T(hours=30, milliseconds=5),
        T(milliseconds=-1500),
    ],
}
TYPES = [
    *VALUES,
    "int unsigned",
    "bigint",
    "smallint",
    "decimal(6,1)",
    "decimal(20,0) unsigned",
    "varchar(3)",
    "char(3)",
    "enum('A', 'b', 'c')",
    "datetime(1)",
    "timestamp(6)",
    "time(1)",
    "double unsigned",
]


def are_convertible(old, new):
    one, other = (KINDS[type_.category] for type_ in (old, new))
    return old != new and (one == other or "text" in (one, other))


@pytest.mark.parametrize("old", VALUES)
def test_databases_convert_as_python_does(schema, old):
    source = parse_type(old)
    targets = [new for new in map(parse_type, TYPES) if are_convertible(source, new)]
    values = list(map(source.encode, VALUES[old]))
    names = {f"x{number}": new for number, new in enumerate(targets)}
    dialect = schema.connection.dialect

    def result(value, new):
        """Bring a value to a type as Python does; None where type or database do not admit it."""
        try:
            become = brought(value, source, new)
            dialect.encode(become, new)
        except ValueError:
            return None
        return become if dialect.retypes(value, source, new) else None

    def text(types):
        return "\n".join(["a : int", "---", *(f"{name} = null : {types[name]}" for name in names)])

    @schema
    class Retyped(dj.Manual):
        definition = text(dict.fromkeys(names, source))

    wanted = [{name: result(value, new) for name, new in names.items()} for value in values]
    Retyped.insert(
        {"a": a, **{name: value for name, become in row.items() if become is not None}}
        for a, (value, row) in enumerate(zip(values, wanted, strict=True))
    )
    Retyped.definition = text(names)
    Retyped.alter(prompt=False)
    for value, row, found in zip(
        values, wanted, Retyped.fetch(order_by="a", as_dict=True), strict=True
    ):
        for name, new in names.items():
            what = f"{value!r} as {new}"
            if row[name] is None or new.category == "float":
                # where single precision has binary digits beyond its own
                assert found[name] == pytest.approx(row[name], nan_ok=True) or row[name] is None
            else:
                assert (found[name], what) == (row[name], what)
                assert Retyped & {name: row[name]}, what


def test_a_timestamp_keeps_its_hour_where_clocks_change(schema, backend):
    zones = {"mysql": "SET time_zone = '+02:00'", "postgresql": "SET TIME ZONE 'Europe/Berlin'"}
    if backend in zones:
        schema.connection.query(zones[backend])

    @schema
    class Retyped(dj.Manual):
        definition = "a : int\n---\nx : timestamp(3)\ny : timestamp(3)\nz : timestamp(3)"

    moment = D(2020, 7, 2, 3, 4, 5, 500000)
    Retyped.insert1((1, moment, moment, moment))
    Retyped.definition = "a : int\n---\nx : timestamp\ny : datetime\nz : varchar(30)"
    Retyped.alter(prompt=False)
    rounded = D(2020, 7, 2, 3, 4, 6)
    assert Retyped.fetch1("x", "y", "z") == (rounded, rounded, "2020-07-02 03:04:05.500")


@pytest.mark.parametrize(
    ("old", "value", "new", "becomes"),
    [
        ("double", 2.5, "int", "3"),
        ("double", 2.0**63, "bigint unsigned", "9223372036854775808"),
        ("double", 1e300, "varchar(9)", "'1e+300'"),
        ("float", 0.45, "decimal(6,1)", "Decimal('0.5')"),
        ("float", 1234567, "varchar(9)", "'1234567'"),
        ("float", 1999.5, "year", "2000"),
        ("varchar(9)", "1.5", "int", "2"),
        ("varchar(9)", "true", "bool", "1"),
        ("date", dt.date(1960, 1, 2), "timestamp", "datetime.datetime(1960, 1, 2, 0, 0)"),
    ],
)
def test_what_a_database_would_convert_in_another_way_is_refused_before(
    schema, differs, old, value, new, becomes
):
    differs(**dict.fromkeys(("sqlite", "postgresql"), "it converts all as Python does"))

    @schema
    class Retyped(dj.Manual):
        definition = f"a : int\n---\nx : {old}"

    Retyped.insert1((1, value))
    Retyped.definition = f"a : int\n---\nx : {new}"
    with pytest.raises(dj.DataJointError) as raised:
        Retyped.alter(prompt=False)
    shown = repr(parse_type(old).encode(value))
    assert str(raised.value) == (
        f"Cannot alter {Retyped.full_table_name}: the value {shown} of `x`, where a = 1, cannot be "
        f"brought to type `{new}` by the database, which does not make {becomes} of it\nGive it "
        f"that value with `update1` if type `{old}` has it, or add an attribute of another name, "
        "and give that its values"
    )


def test_texts_inserted_meanwhile_are_not_cut_off(schema, monkeypatch):
    @schema
    class Retyped(dj.Manual):
        definition = "a : int\n---\nx : varchar(9)"

    Retyped.insert1((1, "abc"))
    Retyped.definition = "a : int\n---\nx : varchar(3)"

    def answer(question):
        Retyped.insert1((2, "abcd"))
        return "yes"

    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(dj.DataJointError, match="Cannot alter"):
        Retyped.alter()
    assert Retyped.fetch("x", order_by="a").tolist() == ["abc", "abcd"]


def test_texts_of_a_query_are_not_cut_off(schema):
    @schema
    class Long(dj.Manual):
        definition = "a : int\n---\nx : varchar(9)"

    @schema
    class Short(dj.Manual):
        definition = "a : int\n---\nx : varchar(3)"

    Long.insert1((1, "abcd"))
    with pytest.raises(dj.DataJointError):
        Short.insert(Long)
    assert len(Short()) == 0


def test_a_query_is_inserted_as_texts(schema):
    @schema
    class Values(dj.Manual):
        definition = """
        a : int
        ---
        t : time
        m : datetime(3)
        s : timestamp
        b : bool
        y : varchar(9)
        e : varchar(9)
        """

    @schema
    class Texts(dj.Manual):
        definition = """
        a : int
        ---
        t : varchar(30)
        m : varchar(30)
        s : varchar(30)
        b : varchar(30)
        y : char(9)
        e : enum('x', 'B')
        """

    Values.insert1((1, T(hours=-30), D(2020, 1, 2, 3, 4, 5, 500000), D(2020, 1, 2), 1, "y  ", "b"))
    Texts.insert(Values)
    assert Texts.fetch1("t", "m", "s", "b", "y", "e") == (
        "-30:00:00",
        "2020-01-02 03:04:05.500",
        "2020-01-02 00:00:00",
        "1",
        "y",
        "B",
    )
    assert len(Texts & {"y": "y"}) == 1
