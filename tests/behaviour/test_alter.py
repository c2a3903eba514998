"""``alter`` makes a table what its definition says, with its entities, or leaves it as it is."""

import datetime as dt
import decimal
import itertools
import logging
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj

from .definitions import (
    COMMENTS,
    DEFINITIONS,
    OWN_LINES,
    REFERENCES,
    STORES,
    TYPES,
    Lab,
    content,
    definitions,
    examples,
)


@pytest.fixture
def lab(make_schema):
    lab = Lab(make_schema(), make_schema())
    lab.Subject.insert([(1, None), (2, None)])
    lab.Session.insert([(1, 1), (2, 1)])
    lab.Session.Trial.insert([(1, 1, 1), (2, 1, 1)])
    lab.Probe.insert([("A",), ("B",)])
    lab.classes["Place"].insert([("here",)])
    lab.classes["Current"].insert1(("now",))
    lab.classes["Rig"].insert1((1, DAY))
    with STORES():
        yield lab


@pytest.fixture
def answers(monkeypatch):
    """Answer questions, which tests are to ask for; note them."""
    asked = []
    replies = []

    def answer(question):
        asked.append(question)
        reply = replies.pop(0)
        return reply() if callable(reply) else reply

    monkeypatch.setattr("builtins.input", answer)
    answer.asked, answer.replies = asked, replies
    return answer


def alter(lab, table, definition, **options):
    """Give a class another definition, and alter its table to it without asking."""
    table.definition = definition
    table.alter(prompt=False, context=lab.context, **options)


def rows(table):
    return table.fetch(order_by="KEY", as_dict=True)


def refused(lab, table, definition):
    """Check that an alteration is refused and changes nothing; give the error."""
    before, data, old = content(table), rows(table), table.definition
    with pytest.raises(dj.DataJointError) as error:
        alter(lab, table, definition)
    table.connection.forget_catalog(table.database)
    assert content(table) == before
    assert rows(table) == data
    table.definition = old
    return str(error.value).replace(table.full_table_name, "TABLE")


def becomes(lab, table, definition):
    """Alter a table, and check that it is what the definition declares."""
    alter(lab, table, definition)
    check_same(lab, table, definition)


def check_same(lab, table, definition):
    assert content(table) == content(lab.declare(definition))
    table.connection.forget_catalog(table.database)
    assert content(table) == content(lab.declare(definition))


# -- without changes ------------------------------------------------------------------------------


def check_unchanged(lab, definition, caplog):
    table = lab.declare(definition)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        table.alter(context=lab.context)  # would ask, and there is nobody to answer
    assert caplog.messages[-1:] == [f"Nothing to alter in {table.full_table_name}"]


@pytest.mark.parametrize(
    "definition", [*DEFINITIONS.values(), *OWN_LINES.values()], ids=[*DEFINITIONS, *OWN_LINES]
)
def test_what_is_declared_has_nothing_to_alter(lab, definition, answers, caplog):
    check_unchanged(lab, definition, caplog)


@pytest.mark.random
def test_any_definition_that_is_declared_has_nothing_to_alter(lab, answers, caplog):
    @examples(25)
    @given(definitions())
    def check(definition):
        check_unchanged(lab, definition, caplog)

    check()


def test_what_is_only_written_in_another_way_does_not_change(lab, answers):
    table = lab.declare(
        """
        id : INT   # number
        ---
        a = 5 : decimal(5, 2)
        b = 1e-3 : double
        c = "2020-1-2" : date
        d = LEFT : enum('left', "right")
        e = current_timestamp : timestamp
        f = '12:30' : time
        index (a, b)
        """
    )
    table.definition = """

        id : int # number
        ----------
        a = 5.00 : decimal(5,2)   #
        b = 0.001 : DOUBLE
        c = '2020-01-02' : date
        d = "left" : enum('left','right')
        e = CURRENT_TIMESTAMP() : timestamp
        f = "12:30:00" : time
        INDEX(a,b)
        """
    table.alter(context=lab.context)


# -- what is shown --------------------------------------------------------------------------------

BEFORE = """
# animals
id : int
---
name : varchar(20)
weight = 1.5 : decimal(6,3)
note = null : varchar(100)
age : int
-> [nullable] Probe
index (name)
"""
AFTER = """
# all animals
id : int   # in the book
---
born = null : date
weight = 2 : decimal(6,1)
full_name : varchar(30)   # {name} of it
age = null : tinyint unsigned
-> [nullable] Subject
-> [nullable] Session
unique index (full_name, age)
"""
LINES = """\
About to alter:

TABLE:
    change the comment of the table from "animals" to "all animals"
    remove attribute `note=null : varchar(100)`: loses 1 value
    remove attribute `probe=null : varchar(12)`: loses no values
    change the comment of `id` from "" to "in the book"
    retype attribute `weight` from `decimal(6,3)` to `decimal(6,1)`: changes 2 values, such as 0.125
    change the default of `weight` from 1.500 to 2.0
    rename attribute `name` to `full_name`
    retype attribute `full_name` from `varchar(20)` to `varchar(30)`
    change the comment of `full_name` from "" to "{name} of it"
    retype attribute `age` from `int` to `tinyint unsigned`
    attribute `age` may be null
    add attribute `born=null : date`
    add attribute `subject_id=null : int unsigned`
    add attribute `session=null : smallint`
    move attribute `weight` behind `id`
    drop foreign key (probe) to SCHEMA.`#probe`
    add foreign key (subject_id) to SCHEMA.`subject`
    add foreign key (subject_id, session) to SCHEMA.`session`
    drop index (full_name)
    add unique index (full_name, age)

"""


@pytest.fixture
def animals(lab):
    table = lab.declare(BEFORE)
    table.insert(
        [
            dict(id=1, name="Ada", weight="0.125", note="x", age=3),
            dict(id=2, name="Bob", weight="3.375", age=200),
            dict(id=3, name="Cid", weight="3.5", age=0),
        ]
    )
    return table


ALTERED = [
    dict(id=1, born=None, full_name="Ada", age=3, subject_id=None, session=None),
    dict(id=2, born=None, full_name="Bob", age=200, subject_id=None, session=None),
    dict(id=3, born=None, full_name="Cid", age=0, subject_id=None, session=None),
]


def test_the_plan_is_shown_and_done(lab, animals, answers, capsys):
    animals.definition = AFTER
    answers.replies.append("yes")
    animals.alter(context=lab.context)
    shown = capsys.readouterr().out.replace(animals.full_table_name, "TABLE")
    lines, _, rest = shown.replace(f"`{animals.database}`.", "SCHEMA.").partition("\n\n")
    changes, _, statements = rest.partition("\n\n")
    assert f"{lines}\n\n{changes}\n\n" == LINES
    assert statements.rstrip().endswith(";\n\nAltered.")
    assert "ALTER TABLE" in statements
    assert answers.asked == ["Proceed? [yes, No]: "]
    assert content(animals) == content(lab.declare(AFTER))
    weights = animals.fetch("weight", order_by="id").tolist()
    assert weights == [decimal.Decimal(w) for w in ("0.1", "3.4", "3.5")]
    assert rows(animals.proj(*ALTERED[0])) == ALTERED


@pytest.mark.parametrize("reply", ["no", ""])
def test_declining_changes_nothing(lab, animals, answers, reply, capsys):
    before, data = content(animals), rows(animals)
    animals.definition = AFTER
    answers.replies.append(reply)
    animals.alter(context=lab.context)
    assert capsys.readouterr().out.endswith("\nNothing was altered.\n")
    assert (content(animals), rows(animals)) == (before, data)


def test_nobody_is_asked_without_prompt(lab, animals, answers, capsys):
    becomes(lab, animals, AFTER)
    assert capsys.readouterr().out == ""


def test_comments_and_indexes_alone_leave_the_rows_alone(lab, animals, answers, capsys):
    animals.definition = BEFORE.replace("# animals", "# beasts").replace(
        "index (name)", "index (age, name)"
    )
    answers.replies.append("yes")
    animals.alter(context=lab.context)
    assert "CREATE TABLE" not in capsys.readouterr().out
    check_same(lab, animals, animals.definition)


def test_it_is_logged(lab, animals):
    alter(lab, animals, AFTER)
    events = lab.schema.log.fetch("event").tolist()
    assert events.count(f"Altered {animals.full_table_name}") == 1


def test_nothing_is_done_when_others_change_the_table_meanwhile(lab, animals, answers, connect):
    other = connect()
    animals.definition = AFTER
    name, database = animals.table_name, animals.database

    def change():
        table = other.dialect.table(database, name)
        other.query(f"ALTER TABLE {table} ADD COLUMN more int")
        return "yes"

    answers.replies.append(change)
    with pytest.raises(dj.errors.ConflictError, match="changed by others meanwhile"):
        animals.alter(context=lab.context)
    assert "more" in animals.heading.names
    assert "full_name" not in animals.heading.names


# -- single changes -------------------------------------------------------------------------------

ONE = """
a : int
---
b : int    # of b
c = null : varchar(10)
d = 1 : int
"""


@pytest.fixture
def one(lab):
    table = lab.declare(ONE)
    table.insert([(1, 10, "x", 5), (2, 20, None, 6)])
    return table


def test_a_rename_is_done_once(lab, one, answers):
    renamed = ONE.replace("c = null : varchar(10)", "e = null : varchar(10)  # {c} as it was")
    becomes(lab, one, renamed)
    assert rows(one) == [dict(a=1, b=10, e="x", d=5), dict(a=2, b=20, e=None, d=6)]
    one.alter(context=lab.context)  # there is nothing to ask


def test_a_comment_names_a_former_attribute_only_where_it_goes(lab, one):
    becomes(lab, one, ONE + "e = null : int  # {b} doubled\nf = null : int # {a} {c}\n")
    assert one.fetch("b", "e", order_by="a")[0].tolist() == [10, 20]
    assert one.fetch("e").tolist() == [None, None]


def test_renamed_and_retyped_and_moved_at_once(lab, one):
    becomes(lab, one, "a : int\n---\nd = 1 : int\ne : varchar(5)  # {b}\nc = null : varchar(10)")
    assert rows(one) == [dict(a=1, d=5, e="10", c="x"), dict(a=2, d=6, e="20", c=None)]


def test_names_are_swapped_in_two_steps(lab, one):
    swapped = ONE.replace("b : int    # of b", "x : int # {b}\nb : int")
    assert refused(lab, one, swapped) == (
        "Cannot alter TABLE: the attribute `x` is new and has no default, but there are 2 rows, "
        "which would have no value of it\nGive it a default, as in `x = null : int`. It is not `b` "
        "under a new name, as `{b}` would say, because the definition still has `b`: rename that "
        "first, and alter again"
    )
    becomes(lab, one, ONE.replace("b : int    # of b", "x : int # {b}"))
    becomes(lab, one, ONE.replace("b : int    # of b", "x : int # {b}").replace("d =", "b ="))
    assert one.fetch("x", "b", order_by="a")[1].tolist() == [1, 1]


def test_two_attributes_cannot_be_one(lab, one):
    error = refused(lab, one, "a : int\n---\nx : int # {b}\ny : int # {b}")
    assert "two attributes cannot both be what `b` was" in error


def test_new_attributes_get_their_defaults(lab, one):
    becomes(lab, one, ONE + 'e = 7 : int\nf = "it\'s" : varchar(9)\ng = "b" : enum("a", "b")\n'
            'h = "2020-01-02" : date\ni = null : longblob\nj = true : bool')  # fmt: skip
    added = ["e", "f", "g", "h", "i", "j"]
    assert rows(one.proj(*added))[0] == dict(
        a=1, e=7, f="it's", g="b", h=dt.date(2020, 1, 2), i=None, j=1
    )


def test_the_time_of_the_change_is_the_default_of_a_timestamp(lab, one):
    becomes(lab, one, ONE + "e = CURRENT_TIMESTAMP : timestamp")
    first, second = one.fetch("e")
    assert first == second
    assert abs(first - dt.datetime.now()) < dt.timedelta(days=2)


def test_a_new_attribute_needs_a_default_where_there_are_rows(lab, one):
    assert refused(lab, one, ONE + "e : int") == (
        "Cannot alter TABLE: the attribute `e` is new and has no default, but there are 2 rows, "
        "which would have no value of it\nGive it a default, as in `e = null : int`"
    )
    error = refused(lab, one, ONE + "-> Subject")
    assert "the attribute `subject_id` is new" in error
    assert "Make the foreign key nullable" in error
    one.delete()
    becomes(lab, one, ONE + "e : int\n-> Subject")


def test_null(lab, one):
    assert refused(lab, one, ONE.replace("c = null", "c = 'y'")) == (
        "Cannot alter TABLE: the attribute `c` cannot cease to be nullable: it is null in 1 row\n"
        "Give it a value there with `update1`, or delete them: they are found by `c IS NULL`"
    )
    one.update1(dict(a=2, c="z"))
    becomes(lab, one, ONE.replace("c = null", "c"))
    with pytest.raises(dj.DataJointError):
        one.insert1(dict(a=3, b=3))
    becomes(lab, one, ONE.replace("d = 1", "d = null"))
    one.insert1(dict(a=3, b=3))
    assert one.fetch("c", "d", order_by="a")[1].tolist() == [5, 6, None]


def test_defaults(lab, one):
    becomes(lab, one, ONE.replace("d = 1", "d = 2").replace("b :", "b = -1 :"))
    one.insert1(dict(a=3))
    assert rows(one & "a = 3") == [dict(a=3, b=-1, c=None, d=2)]
    becomes(lab, one, ONE.replace("d = 1", "d"))
    with pytest.raises(dj.DataJointError, match="`d` has no value"):
        one.insert1(dict(a=4, b=1))


def test_order(lab, one):
    becomes(lab, one, "a : int\n---\nd = 1 : int\nc = null : varchar(10)\nb : int # of b\n")
    assert rows(one) == [dict(a=1, d=5, c="x", b=10), dict(a=2, d=6, c=None, b=20)]
    one.insert1((3, 7, "z", 30))
    assert rows(one & "a = 3") == [dict(a=3, d=7, c="z", b=30)]


def test_what_belongs_to_moved_attributes_moves_with_them(lab):
    before = """
        a : int
        ---
        t : tinyint unsigned
        -> Probe
        n = 5 : int
        unique index (t, n)
        index (n)
        """
    after = before.replace("---", "---\nnew = null : int")
    table = lab.declare(before)
    table.insert1((1, 2, "A", 3))
    becomes(lab, table, after)
    table.insert1(dict(a=2, t=3, probe="B"))
    assert rows(table)[1] == dict(a=2, new=None, t=3, probe="B", n=5)
    for row in (dict(t=300, probe="A"), dict(t=2, probe="A", n=3), dict(t=9, probe="Z")):
        with pytest.raises(dj.DataJointError):
            table.insert1(dict(row, a=9))


def test_long_names_that_begin_alike_are_moved(lab):
    names = [f"{'x' * 55}_{end}" for end in "ab"]
    before = "a : int\n---\n" + "".join(f"{name} = null : int\n" for name in names)
    table = lab.declare(before)
    table.insert1((1, 2, 3))
    becomes(lab, table, before.replace("---", "---\nnew = null : int"))
    assert table.fetch1(*names) == (2, 3)


# -- types ----------------------------------------------------------------------------------------

DAY, MOMENT = dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5)
CONVERSIONS = [
    ("int", -7, "bigint", -7),
    ("int", 7, "tinyint unsigned", 7),
    ("int", 7, "double", 7.0),
    ("int", 7, "decimal(5,2)", decimal.Decimal("7.00")),
    ("int", 1, "bool", 1),
    ("int", 2001, "year", 2001),
    ("int", 7, "varchar(3)", "7"),
    ("bool", 1, "int", 1),
    ("bool", 1, "varchar(1)", "1"),
    ("float", 0.1, "double", None),
    ("double", 2.25, "float", 2.25),
    ("double", 2.25, "decimal(6,3)", decimal.Decimal("2.250")),
    ("double", 0.75, "int", 1),
    ("decimal(6,2)", decimal.Decimal("1.25"), "decimal(8,4)", decimal.Decimal("1.2500")),
    ("decimal(6,2)", decimal.Decimal("1.25"), "decimal(8,1)", decimal.Decimal("1.3")),
    ("decimal(6,2)", decimal.Decimal("1.25"), "varchar(8)", "1.25"),
    ("varchar(9)", "12", "int", 12),
    ("varchar(9)", "1.5", "decimal(4,2)", decimal.Decimal("1.50")),
    ("varchar(9)", "2.5", "double", 2.5),
    ("varchar(9)", "abc", "varchar(3)", "abc"),
    ("varchar(9)", "abc", "char(4)", "abc"),
    ("varchar(9)", "b", "enum('a', 'b')", "b"),
    ("varchar(20)", "2020-01-02", "date", DAY),
    ("varchar(20)", "2020-01-02 03:04:05", "datetime", MOMENT),
    ("varchar(20)", "12:30:00", "time", dt.timedelta(hours=12, minutes=30)),
    ("enum('a', 'b')", "b", "enum('c', 'b', 'a')", "b"),
    ("enum('a', 'b')", "b", "varchar(1)", "b"),
    ("date", DAY, "datetime(3)", dt.datetime(2020, 1, 2)),
    ("date", DAY, "varchar(10)", "2020-01-02"),
    ("datetime", MOMENT, "date", DAY),
    ("datetime", MOMENT, "datetime(3)", MOMENT),
    ("datetime", MOMENT, "varchar(19)", "2020-01-02 03:04:05"),
    ("time", dt.timedelta(hours=-30), "time(2)", dt.timedelta(hours=-30)),
    ("time", dt.timedelta(hours=3), "varchar(10)", "03:00:00"),
    ("longblob", np.arange(3), "blob", np.arange(3)),
]


@pytest.mark.parametrize(
    ("old", "value", "new", "expected"),
    CONVERSIONS,
    ids=[f"{old} to {new}" for old, _, new, _ in CONVERSIONS],
)
@pytest.mark.parametrize("null", ["", " = null"], ids=["", "nullable"])
def test_values_are_converted(lab, old, value, new, expected, null):
    table = lab.declare(f"a : int\n---\nx{null} : {old}")
    table.insert1((1, value))
    if null:
        table.insert1((2, None))
    becomes(lab, table, f"a : int\n---\nx{null} : {new}")
    fetched = (table & "a = 1").fetch1("x")
    if expected is None:
        assert fetched == pytest.approx(value)
    else:
        np.testing.assert_equal(fetched, expected)
    if null:
        assert rows(table & "a = 2")[0]["x"] in (None, pytest.approx(np.nan, nan_ok=True))
    if "blob" not in new:
        assert len(table & {"x": fetched}) == 1


MISFITS = [
    ("int", 300, "tinyint", "300", "is out of range (-128 to 127)"),
    ("int", -1, "int unsigned", "-1", "is out of range (0 to 4294967295)"),
    ("int", 2, "bool", "2", "is out of range (0 to 1)"),
    ("int", 1234, "varchar(3)", "1234", "has 4 characters, of which 3 are allowed"),
    ("double", 1e9, "decimal(5,2)", "1000000000.0", "has more than 3 digits before the point"),
    ("double", 1e300, "float", "1e+300", "is out of the range of single precision"),
    ("varchar(9)", "abcd", "varchar(3)", "'abcd'", "has 4 characters, of which 3 are allowed"),
    ("varchar(9)", "abcd", "int", "'abcd'", "is not a number"),
    ("varchar(9)", "", "int", "''", "is not a number"),
    ("varchar(9)", "c", "enum('a', 'b')", "'c'", "is none of 'a', 'b'"),
    (
        "varchar(9)",
        "soon",
        "date",
        "'soon'",
        "is not a date of the form YYYY-MM-DD[ HH:MM:SS]",
    ),
    ("enum('a', 'b')", "b", "enum('a', 'c')", "'b'", "is none of 'a', 'c'"),
]


@pytest.mark.parametrize(
    ("old", "value", "new", "shown", "reason"),
    MISFITS,
    ids=[f"{old} to {new}" for old, _, new, *_ in MISFITS],
)
def test_values_that_do_not_fit_are_refused(lab, old, value, new, shown, reason):
    table = lab.declare(f"a : int\n---\nx = null : {old}")
    table.insert([(1, None), (2, value)])
    assert refused(lab, table, f"a : int\n---\nx = null : {new}") == (
        f"Cannot alter TABLE: the value {shown} of `x`, where a = 2, cannot be of type `{new}`: "
        f"it {reason}\nCorrect it with `update1`, or choose a type that admits it"
    )


def test_blobs_that_do_not_fit_are_refused(lab):
    table = lab.declare("a : int\n---\nx = null : longblob")
    table.insert([(1, None), (2, b"x" * 300)])
    assert refused(lab, table, "a : int\n---\nx = null : tinyblob") == (
        "Cannot alter TABLE: the value of `x`, where a = 2, takes more than the 255 bytes of type "
        "`tinyblob`\nCorrect it with `update1`, or choose a type that admits it"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "date"),
        ("date", "int"),
        ("enum('1','2')", "int"),
        ("int", "enum('1','2')"),
        ("time", "datetime"),
        ("uuid", "varchar(36)"),
        ("varchar(36)", "uuid"),
        ("longblob", "varchar(99)"),
        ("varchar(99)", "longblob"),
    ],
)
def test_types_of_different_kinds(lab, old, new):
    table = lab.declare(f"a : int\n---\nx = null : {old}")
    assert refused(lab, table, f"a : int\n---\nx = null : {new}") == (
        f"TABLE: the values of `x` cannot be brought from type `{old}` to `{new}`\n"
        "Add an attribute of another name and alter; give it values with `update1`; then remove "
        "the former one and alter again"
    )


# -- the primary key ------------------------------------------------------------------------------

KEYED = "a : int\n-> Subject\nb : varchar(5)\n---\nc = null : int"
FIXED = (
    "Entities are identified by the primary key, and other tables refer to it. Declare a new "
    "table and insert a query of this one into it, or drop this one and declare it anew"
)


@pytest.mark.parametrize(
    ("definition", "difference"),
    [
        (
            "a : int\n-> Subject\n---\nc = null : int",
            "it is (a, subject_id, b); the definition says (a, subject_id)",
        ),
        (
            KEYED.replace("b :", "z :"),
            "it is (a, subject_id, b); the definition says (a, subject_id, z)",
        ),
        (
            "-> Subject\na : int\nb : varchar(5)\n---\nc = null : int",
            "it is (a, subject_id, b); the definition says (subject_id, a, b)",
        ),
        (
            KEYED.replace("---", "n : int\n---"),
            "it is (a, subject_id, b); the definition says (a, subject_id, b, n)",
        ),
        (
            KEYED.replace("varchar(5)", "varchar(6)"),
            "the type of `b` is `varchar(5)`; the definition says `varchar(6)`",
        ),
        (
            KEYED.replace("-> Subject", "subject_id : int unsigned"),
            "(subject_id) loses its foreign key to SCHEMA.`subject`",
        ),
        (
            KEYED.replace("b : varchar(5)", "b : varchar(5)\n-> Subject.proj(a='subject_id')"),
            None,
        ),
        (
            KEYED + "\n-> Subject",  # is the same, below the line
            "",
        ),
    ],
)
def test_the_primary_key_stays(lab, definition, difference):
    table = lab.declare(KEYED)
    if difference == "":
        alter(lab, table, definition)
        return
    error = refused(lab, table, definition).replace(f"`{table.database}`.", "SCHEMA.")
    if difference is not None:
        assert error == f"Table TABLE cannot be altered in its primary key: {difference}\n{FIXED}"


def test_a_foreign_key_in_the_primary_key_is_not_added(lab):
    table = lab.declare("subject_id : int unsigned\n---\nc = null : int")
    error = refused(lab, table, "-> Subject\n---\nc = null : int")
    assert "(subject_id) has no foreign key to" in error


def test_auto_increment(lab):
    definition = "a : int auto_increment\n---\nb : int"
    table = lab.declare(definition)
    table.insert([dict(b=i) for i in range(5)])
    (table & "a > 3").delete()
    error = refused(lab, table, definition.replace(" auto_increment", ""))
    assert "`a` cannot become or cease to be auto_increment" in error
    becomes(lab, table, "a : int auto_increment # n\n---\nnew = null : date\nb : varchar(5)")
    table.insert1(dict(b="x"))
    assert table.fetch("a", order_by="a").tolist() == [1, 2, 3, 6]


def test_auto_increment_survives_in_an_empty_table(lab):
    table = lab.declare("a : int auto_increment\n---\nb : int")
    table.insert([dict(b=i) for i in range(5)])
    table.delete()
    becomes(lab, table, "a : int auto_increment\n---\nb : int\nc = null : int")
    table.insert1(dict(b=1))
    assert table.fetch1("a") == 6


# -- foreign keys and indexes ---------------------------------------------------------------------


def test_foreign_keys_are_added_and_dropped(lab):
    table = lab.declare("a : int\n---\nprobe : varchar(12)\nn : int")
    table.insert([(1, "A", 1), (2, "B", 1)])
    becomes(lab, table, "a : int\n---\n-> Probe\nn : int")
    assert table.parents() == [lab.Probe.full_table_name]
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1((3, "Z", 1))
    with pytest.raises(dj.errors.IntegrityError):
        lab.Probe.delete_quick()
    becomes(lab, table, "a : int\n---\nprobe : varchar(12)\nn : int")
    assert table.parents() == []
    table.insert1((3, "Z", 1))


def test_a_foreign_key_is_refused_where_parents_are_missing(lab):
    table = lab.declare("a : int\n---\nprobe = null : varchar(12)")
    table.insert([(1, "A"), (2, "Z"), (3, None)])
    error = refused(lab, table, "a : int\n---\n-> [nullable] Probe")
    parent = lab.Probe.full_table_name
    assert error.startswith(f"Cannot alter TABLE: {parent} has no entity with probe = 'Z', which")
    (table & "a = 2").delete()
    becomes(lab, table, "a : int\n---\n-> [nullable] Probe")


def test_a_foreign_key_follows_a_rename(lab):
    table = lab.declare("a : int\n---\n-> Probe\nb : int")
    table.insert1((1, "A", 5))
    becomes(
        lab,
        table,
        "a : int\n---\ntip : varchar(12)  # {probe}\n-> Probe.proj(tip='probe')\nb : int",
    )
    assert rows(table) == [dict(a=1, tip="A", b=5)]
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1((2, "Z", 1))


def test_a_foreign_key_follows_a_rename_while_other_columns_are_rewritten(lab):
    table = lab.declare("a : int\n---\n-> [nullable] Probe\nb : int")
    table.insert1((1, "A", 5))
    tip = "tip : varchar(12)  # {probe}\n-> Probe.proj(tip='probe')\n"
    becomes(lab, table, f"a : int\n---\nb : varchar(9)\n{tip}")
    assert rows(table) == [dict(a=1, b="5", tip="A")]
    becomes(lab, table, f"a : int\n---\nb : int\n{tip}".replace("tip :", "tip = null :"))
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1((2, 1, "Z"))
    table.insert1((2, 1, None))


def test_a_foreign_key_to_the_table_itself(lab):
    table = lab.declare("a : int\n---\nb = null : int")
    table.insert([(1, None), (2, 1)])
    table.definition = "a : int\n---\n-> [nullable] Itself.proj(b='a')"
    table.alter(prompt=False, context={"Itself": table})
    assert [fk.child_attributes for fk in table.spec.foreign_keys] == [("b",)]
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1((3, 9))
    becomes_with = table.definition + "\nc = 5 : int"
    table.definition = becomes_with
    table.alter(prompt=False, context={"Itself": table})
    assert rows(table) == [dict(a=1, b=None, c=5), dict(a=2, b=1, c=5)]
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1((3, 9, 9))


def test_tables_cannot_form_a_cycle(lab):
    lab.context["Trial"] = lab.Session.Trial
    before = lab.Subject.definition
    error = refused(lab, lab.Subject, before + "-> [nullable] Trial.proj(s='subject_id')")
    trial = lab.Session.Trial.full_table_name
    assert error == (
        f"Cannot alter TABLE: it cannot refer to {trial}, which depends on it already; the tables "
        "would form a cycle"
    )


def test_a_unique_index_is_refused_over_equal_values(lab, one):
    one.insert1((3, 10, None, 1))
    assert refused(lab, one, ONE + "unique index (b)") == (
        "Cannot alter TABLE: the unique index (b) is not possible: 2 rows have b = 10\n"
        "Correct them with `update1`, or leave out `unique`"
    )
    becomes(lab, one, ONE + "unique index (c)\nindex (b, c)\nindex (b)")
    with pytest.raises(dj.errors.DuplicateError):
        one.insert1((4, 1, "x", 1))
    becomes(lab, one, ONE + "index (c)\nindex (b, c)")
    becomes(lab, one, ONE)


@pytest.mark.parametrize(
    ("lines", "index", "reason"),
    [
        ("e = 7 : int", "e", "2 rows have e = 7"),
        ("e = 'x' : char(1)\nf = 7 : int", "e, f", '2 rows have e = "x", f = 7'),
        ("e = 7 : int\ng = 3 : bigint # {d}", "g, e", "2 rows have d = 5, e = 7"),
    ],
)
def test_a_unique_index_over_new_attributes(lab, lines, index, reason):
    table = lab.declare("a : int\n---\nd = 3 : int")
    table.insert([(1, 5), (2, 5)])
    kept = "" if "{d}" in lines else "d = 3 : int\n"
    before = f"a : int\n---\n{kept}{lines}\n"
    assert refused(lab, table, before + f"unique index ({index})") == (
        f"Cannot alter TABLE: the unique index ({index}) is not possible: {reason}\n"
        "Correct them with `update1`, or leave out `unique`"
    )
    (table & "a = 2").delete()
    becomes(lab, table, before + f"unique index ({index})")


def test_a_unique_index_over_new_attributes_that_are_null(lab, one):
    becomes(lab, one, ONE + "e = 7 : int\nf = null : int\nunique index (e, f)\nunique index (e, b)")


def test_an_index_that_serves_a_foreign_key_is_dropped_and_added(lab):
    bare = "a : int\n---\n-> Probe\nb : int\n"
    table = lab.declare(bare)
    becomes(lab, table, bare + "index (probe, b)")
    becomes(lab, table, bare)
    becomes(lab, table, "a : int\n---\nprobe : varchar(12)\nb : int\nindex (probe)")
    becomes(lab, table, bare)
    becomes(lab, table, bare.replace("->", "-> [unique]"))
    becomes(lab, table, bare)


# -- other tables ---------------------------------------------------------------------------------


def test_children_keep_their_rows_and_references(lab):
    before = lab.Subject.definition
    alter(
        lab, lab.Subject, 'subject_id : int unsigned # the "subject", it\'s one\n---\nx = 1 : int'
    )
    lab.Subject.definition = before
    assert rows(lab.Session) == [
        dict(subject_id=1, session=1),
        dict(subject_id=2, session=1),
    ]
    assert lab.Subject.children() == [lab.Session.full_table_name]
    with pytest.raises(dj.errors.IntegrityError):
        lab.Session.insert1((9, 1))
    with pytest.raises(dj.errors.IntegrityError):
        lab.Subject.delete_quick()
    (lab.Subject & "subject_id = 2").delete()
    assert rows(lab.Session.Trial) == [dict(subject_id=1, session=1, trial=1)]


def test_a_master_is_altered_with_its_parts(lab, answers, capsys):
    Session, Trial = lab.Session, lab.Session.Trial

    class Pause(dj.Part):
        definition = """
        -> master
        ---
        length = 1 : int
        """

    Session.definition += "---\nroom = 'A1' : varchar(8)\n"
    Trial.definition += "---\nhit = null : bool\n"
    Session.Pause = Pause
    answers.replies.append("yes")
    Session.alter(context=lab.context)
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("    ")][:2] == [
        '    add attribute `room="A1" : varchar(8)`',
        "    add attribute `hit=null : bool`",
    ] or "SELECT" in shown
    assert f"{Pause.full_table_name}:\n    declare it\n" in shown
    assert answers.asked == ["Proceed? [yes, No]: "]
    assert rows(Session)[0] == dict(subject_id=1, session=1, room="A1")
    assert rows(Trial)[0] == dict(subject_id=1, session=1, trial=1, hit=None)
    assert Pause.is_declared
    assert Pause.parents() == [Session.full_table_name]


def test_a_part_is_altered_alone(lab, answers):
    lab.Session.definition += "---\nroom = 'A1' : varchar(8)\n"
    lab.Session.Trial.definition += "---\nhit = null : bool\n"
    lab.Session.Trial.alter(prompt=False)
    assert lab.Session.Trial.heading.names == ["subject_id", "session", "trial", "hit"]
    assert lab.Session.heading.names == ["subject_id", "session"]


def test_comments_of_a_master_reach_its_parts_at_once(lab, answers):
    Subject, Session = lab.Subject, lab.Session
    alter(lab, Subject, Subject.definition.replace('the "subject", it\'s one', "number"))
    Session.alter(prompt=False)
    assert Session.Trial.heading["subject_id"].comment == "number"
    Session.alter()  # there is nothing to ask


def test_names_are_found_around_the_caller(lab):
    table = lab.declare("a : int")
    Later = lab.Probe
    table.definition = "a : int\n---\n-> [nullable] Later"
    table.alter(prompt=False)
    assert table.parents() == [Later.full_table_name]


# -- where it is refused --------------------------------------------------------------------------


def test_misuse(lab, one):
    one.definition = ONE + "e = 1 : int"
    with pytest.raises(dj.DataJointError, match="restricted table cannot be altered"):
        (one & "a = 1").alter(prompt=False)
    with (
        pytest.raises(dj.DataJointError, match="cannot be altered inside a transaction"),
        one.connection.transaction,
    ):
        one.alter(prompt=False)
    with pytest.raises(dj.DataJointError, match="has no definition to be altered to"):
        dj.FreeTable(one.connection, one.full_table_name).alter(prompt=False)
    one.drop()
    with pytest.raises(dj.errors.MissingTableError, match="nothing to alter"):
        one.alter(prompt=False)


def test_a_definition_that_is_wrong(lab, one):
    assert "Line 2 of the definition" in refused(lab, one, "a : int\nb : wrong")
    assert "`Nobody` is not defined" in refused(lab, one, ONE + "-> Nobody")


# -- all or nothing -------------------------------------------------------------------------------


def test_what_fails_on_the_way_leaves_all_as_it_was(lab):
    table = lab.declare(BEFORE)
    table.insert([dict(id=1, name="Ada", age=3), dict(id=2, name="Bob", age=200, probe="A")])
    orphan = AFTER + 'second = "Z" : varchar(12)\n-> Probe.proj(second="probe")\n'
    error = refused(lab, table, orphan)
    assert error.startswith("Cannot alter TABLE; it is as it was\n")
    with pytest.raises(dj.errors.IntegrityError):
        table.insert1(dict(id=3, name="Cid", age=1, probe="Z"))
    with pytest.raises(dj.errors.IntegrityError):
        lab.Probe.delete_quick()
    becomes(lab, table, AFTER)


def test_views_and_triggers_of_others_stay(lab, one, backend):
    if backend != "sqlite":
        pytest.skip("the servers alter tables in their places")
    connection, database = one.connection, one.database
    table = connection.dialect.table(database, one.table_name)
    view = connection.dialect.table(database, "seen")
    connection.query(f"CREATE VIEW {view} AS SELECT a, d FROM {table}")
    connection.query(
        f"CREATE TRIGGER double AFTER INSERT ON {table} BEGIN "
        f"UPDATE {table} SET d = 2 * d WHERE a = new.a; END"
    )
    alter(lab, one, ONE + "e = 1 : int")
    one.insert1(dict(a=3, b=1, d=7))
    seen = connection.query(f"SELECT * FROM {view} ORDER BY a").fetchall()
    assert seen == [(1, 5), (2, 6), (3, 14)]


def test_a_view_on_what_changes_is_the_reason_of_a_refusal(lab, one, backend):
    if backend != "postgresql":
        pytest.skip("views do not bind the columns that they show")
    connection, database = one.connection, one.database
    table = connection.dialect.table(database, one.table_name)
    view = connection.dialect.table(database, "seen")
    connection.query(f"CREATE VIEW {view} AS SELECT a, d FROM {table}")
    assert "seen depends on column" in refused(lab, one, ONE.replace("d = 1 : int", ""))


def test_what_fails_in_a_part_tells_of_the_master(lab):
    Session, Trial = lab.Session, lab.Session.Trial
    Session.definition += "---\nroom = 'A1' : varchar(8)\n"
    Trial.definition += "---\nprobe = 'Z' : varchar(12)\n-> Probe\n"
    with pytest.raises(dj.DataJointError) as error:
        Session.alter(prompt=False, context=lab.context)
    lines = str(error.value).splitlines()
    assert lines[0] == f"Cannot alter {Trial.full_table_name}; it is as it was"
    assert lines[-1] == f"Altered before it: {Session.full_table_name}"
    assert "room" in Session.heading.names
    assert "probe" not in Trial.heading.names


# -- hidden attributes ----------------------------------------------------------------------------


def test_hidden_attributes_stay(lab, one):
    connection = one.connection
    table = connection.dialect.table(one.database, one.table_name)
    connection.query(f"ALTER TABLE {table} ADD COLUMN _seen int DEFAULT 7")
    one.alter()  # there is nothing to ask
    alter(lab, one, "a : int\n---\nnew = 1 : int\nc = null : varchar(10)\nx : int # {b}")
    assert [a.name for a in one.heading.all_attributes if a.is_hidden] == ["_seen"]
    hidden = connection.query(f"SELECT a, _seen FROM {table} ORDER BY a").fetchall()
    assert [tuple(row) for row in hidden] == [(1, 7), (2, 7)]
    assert rows(one) == [dict(a=1, new=1, c="x", x=10), dict(a=2, new=1, c=None, x=20)]


# -- documents, files in stores, types of the user's own, tables of one entity ------------------


def test_documents_and_indexes_into_them(lab):
    table = lab.declare("a : int\n---\nj : json\nb = 1 : int")
    table.insert([dict(a=1, j={"n": 5, "name": "x"}), dict(a=2, j={"n": 7})])
    becomes(lab, table, "a : int\n---\nj : json\nb = 1 : int\nindex (j.n:unsigned, b)")
    becomes(
        lab,
        table,
        "a : int\n---\nnew = null : int\nj : json # moved\nb = 1 : int\n"
        "unique index (j.n:unsigned)\nindex (j.name:char(8))",
    )
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1(dict(a=3, j={"n": 7}))
    becomes(lab, table, "a : int\n---\nk : json # {j}\nunique index (k.n:unsigned)")
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1(dict(a=3, k={"n": 7}))
    assert (table & {"k.n": 7}).fetch1("k") == {"n": 7}
    becomes(lab, table, "a : int\n---\nb = 3 : int")
    assert rows(table) == [dict(a=1, b=3), dict(a=2, b=3)]


def test_a_unique_index_into_documents_that_are_not(lab):
    table = lab.declare("a : int\n---\nj : json")
    table.insert([dict(a=1, j={"n": 5}), dict(a=2, j={"n": 5})])
    refused(lab, table, "a : int\n---\nj : json\nunique index (j.n:signed)")


def test_types_of_the_users_own(lab):
    table = lab.declare("a : <label>\n---\nb = null : <array>\nc = 1 : int")
    table.insert([dict(a="abc", b=[1, 2]), dict(a="xyz")])
    becomes(
        lab, table, "a : <label>\n---\nd = null : <document>\nc = 2 : bigint\nb = null : <array>"
    )
    assert rows(table)[0] == dict(a="abc", d=None, c=1, b=[1, 2])
    assert "cannot be brought from type `<array>` to `<document>`" in refused(
        lab, table, "a : <label>\n---\nb = null : <document>"
    )
    assert "`c`, where a = 'cba', cannot be of type `tinyint`" in (
        table.update1(dict(a="abc", c=1000))
        or refused(lab, table, "a : <label>\n---\nb = null : <array>\nc = 2 : tinyint")
    )


def test_an_adapter_that_stores_another_type_than_before(lab):
    table = lab.declare("a : int\n---\nb = null : <label>")
    label = lab.context["label"]
    wider = type("Wider", (type(label),), {"attribute_type": "varchar(50)"})()
    with pytest.raises(dj.DataJointError, match=r"`b : <label>` stores `varchar\(50\)` now"):
        table.alter(prompt=False, context={"label": wider})


def test_attributes_in_stores_bring_their_tables(lab):
    table = lab.declare("a : int\n---\nb = 1 : int")
    table.insert1((1, 2))
    becomes(lab, table, "a : int\n---\nb = 1 : int\nf = null : blob@ext\ng = null : attach")
    assert "~external_ext" in lab.schema.connection.tables(lab.schema.database)
    becomes(lab, table, "a : int\n---\ng = null : attach\nh = null : attach@raw-2\nb = 1 : int")
    becomes(lab, table, "a : int\n---\nb = 1 : int")
    assert rows(table) == [dict(a=1, b=2)]


def test_tables_of_one_entity(lab):
    table = lab.declare("---\nb : int")
    table.insert1((5,))
    becomes(lab, table, "---\nc = 'x' : varchar(5)\nb : bigint\n-> [nullable] Subject")
    assert rows(table) == [dict(c="x", b=5, subject_id=None)]
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1(dict(b=6))
    assert "in its primary key: it is (); the definition says (b)" in refused(lab, table, "b : int")


def test_references_to_tables_of_one_entity_come_and_go(lab):
    table = lab.declare("a : int\n---\nb : int")
    table.insert1((1, 2))
    becomes(lab, table, "a : int\n---\nb : int\n-> Current")
    assert lab.classes["Current"].delete(safemode=False) == 1
    assert len(table()) == 0
    becomes(lab, table, "a : int\n---\nb : int")
    table.insert1((1, 2))
    refused(lab, table, "a : int\n---\nb : int\n-> Current")


# -- at random ------------------------------------------------------------------------------------

VALUES = {
    "int": 5,
    "tinyint unsigned": 200,
    "decimal(8,3)": decimal.Decimal("12.345"),
    "double": 2.5,
    "varchar(40)": "some text",
    "char(5)": "abc",
    """enum('left', "it's", 'a#b:c')""": "it's",
    "date": DAY,
    "datetime(3)": MOMENT,
    "timestamp": MOMENT,
    "time": dt.timedelta(hours=12),
    "bool": 1,
    "uuid": uuid.UUID(int=7),
    "longblob": "stored",
    "varchar(9)": "some text",
    "VARCHAR (7)": "text",
    "bigint unsigned": 2**63 - 1,
    "mediumint": -5,
    "float": 0.5,
    "decimal(30,10) unsigned": decimal.Decimal("1.5"),
    "year": 2001,
    "timestamp(3)": MOMENT,
    "datetime": MOMENT,
    "time(6)": dt.timedelta(hours=1, microseconds=5),
    "varchar(0)": "",
    "tinyblob": [1],
    "blob": [2],
    "mediumblob": [3],
    "json": {"a": [1, None]},
    "<array>": [1, 2],
    "<document>": [3, "x"],
    "<label>": "abc",
}
#: What foreign keys bring.
PARENTS = dict(subject_id=1, session=1, trial=1, probe="A", ses=1, mother=1, sub=1, other=1)
PARENTS |= dict(second="A", at="here", here="here", rig=1, day=DAY)
#: Types whose values tests can give.
VALUED = TYPES.filter(lambda pair: pair[0] in VALUES)
UNSORTED = ("blob", "json", "array", "document", "varchar(0)")


@st.composite
def secondary(draw, key):
    """Draw what stands below the line: lines, and attribute → type of what is no foreign key."""
    chosen = draw(st.lists(st.sampled_from("bcdef"), unique=True, max_size=5))
    types = {name: draw(VALUED) for name in chosen}
    lines = []
    for name, (type_, default) in types.items():
        comment = draw(st.just("") | COMMENTS | st.sampled_from(["{b}", "{c} now", "{d}"]))
        lines.append(f"{name}{f' = {default}' if default else ''} : {type_} # {comment}")
    references = draw(st.lists(st.sampled_from(list(REFERENCES)), unique=True, max_size=2))
    sortable = (n for n in chosen if not any(word in types[n][0] for word in UNSORTED))
    known = [*key, *sortable]
    for reference in references:
        options = draw(st.sampled_from(["", "[nullable] ", "[nullable] ", "[nullable, unique] "]))
        options = options if REFERENCES[reference] else ""
        lines.append(f"-> {options}{reference}")
        known += [name for name in REFERENCES[reference] if name not in known]
    columns = st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=2)
    indexes = [
        f"{'unique ' * draw(st.booleans())}index ({', '.join(index)})"
        for index in draw(st.lists(columns, max_size=2, unique_by=tuple))
    ]
    return [*draw(st.permutations(lines)), *indexes], {n: t for n, (t, _) in types.items()}


@st.composite
def pairs_of_definitions(draw):
    key = draw(st.sampled_from([["a : int"], ["a : int", "-> Subject"], ["-> Session", "a : int"]]))
    names = ["a"]
    for line in key:
        names += REFERENCES.get(line.removeprefix("-> "), [])
    (first, old), (second, new) = draw(secondary(names)), draw(secondary(names))
    comments = draw(st.tuples(COMMENTS, COMMENTS))
    before, after = (
        "\n".join([f"# {comment}", *key, "---", *lines])
        for comment, lines in zip(comments, (first, second), strict=True)
    )
    return before, after, old, {name for name in old if new.get(name) == old[name]}


def distinct(table):
    """All there is to know about a table, but how often a line is repeated."""
    return {**content(table), "foreign keys": set(table.spec.foreign_keys)}


@pytest.mark.random
def test_any_alteration_is_done_as_declared_or_refused_as_a_whole(lab):
    numbers = itertools.count()
    outcomes = {True: 0, False: 0}

    @examples(30)
    @given(pairs_of_definitions())
    def check(pair):
        before, after, types, same = pair
        table = lab.declare(before)
        values = {name: VALUES[type_] for name, type_ in types.items()} | PARENTS
        row = {n: values.get(n) for n in table.heading.names} | {"a": next(numbers)}
        table.insert1(row)
        kept = table.heading.primary_key + sorted(same)
        child = lab.declare(f"-> `{table.database}`.`{table.table_name}`\nx : int")
        child.insert1(dict({n: row[n] for n in table.primary_key}, x=1))
        values, state = rows(table.proj(*kept)), (content(table), rows(table))
        try:
            alter(lab, table, after)
        except dj.DataJointError:
            table.connection.forget_catalog(table.database)
            assert (content(table), rows(table)) == state
            outcomes[False] += 1
        else:
            fresh = distinct(lab.declare(after))
            table.connection.forget_catalog(table.database)
            assert distinct(table) == fresh
            assert rows(table.proj(*kept)) == values
            outcomes[True] += 1
        assert len(child * table.proj()) == 1
        with pytest.raises(dj.errors.IntegrityError):
            table.delete_quick()

    check()
    assert min(outcomes.values()) > 0
