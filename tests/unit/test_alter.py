"""What changes from one specification of a table to another."""

import datetime as dt
import decimal
from dataclasses import replace

import pytest

from datajoint.alter import brought, diff, survives, widens
from datajoint.backends import mysql_ddl, postgresql_alter, sqlite_ddl
from datajoint.backends.catalog import Belongings, OwnIndex
from datajoint.declare import TableName, TableSpec, resolve
from datajoint.errors import DataJointError
from datajoint.grammar import parse_definition, parse_type
from datajoint.heading import Heading, Index


def spec(definition):
    """Specify a table whose parents are those that it names, each with the key ``p``."""

    def lookup(reference):
        heading = resolve(parse_definition("p : int"), TableName("lab", "p"), lookup).heading
        return TableSpec(TableName("lab", reference.path[0].lower()), heading)

    return resolve(parse_definition(definition), TableName("lab", "t"), lookup)


def change(old, new):
    return diff(spec(old), spec(new))


def names(attributes):
    return [attribute.name for attribute in attributes]


KEY = "a : int\n---\n"


def test_nothing_changes():
    definition = f"# t\n{KEY}b = 1 : int # b\n-> [nullable] P\nindex (b)"
    alteration = change(definition, definition)
    assert not alteration
    assert alteration.new == alteration.old


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b : INT", "b : integer"),
        ("b : varchar(5)", "b : varchar( 5 )"),
        ("b = 5 : decimal(4,2)", "b = 5.00 : decimal(4,2)"),
        ("b = '2020-1-2' : date", 'b = "2020-01-02" : date'),
        ("b = current_timestamp() : timestamp(3)", "b = CURRENT_TIMESTAMP(3) : timestamp(3)"),
        ("b = NULL : int", "b = null : int"),
        ("b = A : enum('a', 'b')", "b = 'a' : enum('a','b')"),
    ],
)
def test_other_ways_to_write_the_same(old, new):
    alteration = change(KEY + old, KEY + new)
    assert not alteration
    assert alteration.new.heading == alteration.old.heading


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b : int", "b : bigint"),
        ("b : int", "b = null : int"),
        ("b : int", "b = 1 : int"),
        ("b = 1 : int", "b = 2 : int"),
        ("b = 'null' : varchar(9)", "b = null : varchar(9)"),
        ("b = 'a' : varchar(9)", "b = 'A' : varchar(9)"),
        ("b = CURRENT_TIMESTAMP : timestamp", "b = '2020-01-01' : timestamp"),
        ("b : int # x", "b : int # y"),
    ],
)
def test_an_attribute_changes(old, new):
    before, after = spec(KEY + old), spec(KEY + new)
    alteration = diff(before, after)
    assert alteration
    assert alteration.changed == ((before.heading["b"], after.heading["b"]),)


def test_only_comments_and_indexes_leave_the_columns():
    alteration = change(f"{KEY}b : int\nindex (b)", f"# t\n{KEY}b : int # x\nunique index (b)")
    assert alteration.attributes_change
    assert alteration.indexes_change
    assert not alteration.columns_change
    assert alteration.dropped_indexes == (Index(("b",)),)
    assert alteration.added_indexes == (Index(("b",), unique=True),)


def test_added_removed_renamed_moved():
    alteration = change(
        f"{KEY}b : int\nc : int\nd : int\ne : int",
        f"{KEY}x : int\ne : int\ny : int # {{b}}\nd : int",
    )
    assert names(alteration.added) == ["x"]
    assert names(alteration.removed) == ["c"]
    assert alteration.renamed == {"y": "b"}
    assert {name: a.name for name, a in alteration.sources.items()} == {
        "a": "a",
        "e": "e",
        "y": "b",
        "d": "d",
    }
    assert alteration.moved == ("e",)


@pytest.mark.parametrize(
    "line",
    [
        "c : int # {b}",  # is there already
        "x : int # {a}",  # in the primary key
        "x : int # {z}",  # is not there
        "x : int # of {b}",  # not at the beginning
    ],
)
def test_comments_that_rename_nothing(line):
    assert change(f"{KEY}b : int\nc : int", f"{KEY}{line}").renamed == {}


def test_nothing_is_renamed_while_the_former_name_stays():
    assert change(f"{KEY}b : int", f"{KEY}b : int\nx : int # {{b}}").renamed == {}


def test_indexes_and_foreign_keys_follow_a_rename():
    alteration = change(
        f"{KEY}-> P\nindex (p, a)", f"{KEY}q : int # {{p}}\n-> P.proj(q='p')\nindex (q, a)"
    )
    assert not alteration.added_foreign_keys
    assert not alteration.dropped_foreign_keys
    assert not alteration.indexes_change


def test_foreign_keys():
    alteration = change(
        f"{KEY}-> [nullable] P\n", f"{KEY}p = null : int\n-> [nullable] Q.proj(q='p')"
    )
    assert [fk.parent.table for fk in alteration.dropped_foreign_keys] == ["p"]
    assert [fk.child_attributes for fk in alteration.added_foreign_keys] == [("q",)]
    assert names(alteration.added) == ["q"]


def test_hidden_attributes_stay_where_they_are():
    old = spec(f"{KEY}b : int\nc : int")
    attributes = list(old.heading.all_attributes)
    hidden = replace(attributes[1], name="_h")
    attributes.insert(2, hidden)
    heading = Heading(tuple(attributes), "", (Index(("_h",)),))
    old = replace(old, heading=heading)
    assert not diff(old, spec(f"{KEY}b : int\nc : int"))
    alteration = diff(old, spec(f"{KEY}x : int # {{b}}\nd : int"))
    assert names(alteration.new.heading.all_attributes) == ["a", "x", "_h", "d"]
    assert alteration.new.heading.secondary_indexes == (Index(("_h",)),)
    assert not alteration.indexes_change


def test_foreign_keys_to_service_tables_come_and_go_with_the_types_that_bring_them():
    stored, without = spec(f"{KEY}p : blob@raw\nb : int"), spec(f"{KEY}b : int")
    (service,) = stored.foreign_keys
    assert service.parent == TableName("lab", "~external_raw")
    assert not diff(stored, spec(f"{KEY}p : blob@raw\nb : int"))
    assert diff(stored, without).dropped_foreign_keys == (service,)
    assert diff(without, stored).added_foreign_keys == (service,)


def test_the_hidden_key_of_one_entity():
    one = spec("---\nb : int")
    assert not diff(one, spec("---\nb : int"))
    assert [a.name for a in diff(one, spec("---\nb : int\nc : int")).added] == ["c"]
    for other in ("a : int\n---\nb : int", f"{KEY}b : int"):
        with pytest.raises(
            DataJointError, match=r"cannot be altered in its primary key: it is \(\)"
        ):
            diff(one, spec(other))


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("b : int", r"it is \(a\); the definition says \(b\)"),
        ("a : int\nb : int", r"it is \(a\); the definition says \(a, b\)"),
        ("a : bigint", "the type of `a` is `int`; the definition says `bigint`"),
        ("-> P.proj(a='p')", r"\(a\) has no foreign key to `lab`.`p`"),
        ("a : int auto_increment", "`a` cannot become or cease to be auto_increment"),
    ],
)
def test_the_primary_key_stays(definition, reason):
    with pytest.raises(DataJointError, match=reason):
        change("a : int", definition)


def test_a_new_attribute_cannot_count():
    with pytest.raises(DataJointError, match="`b` cannot become or cease to be auto_increment"):
        change("a : int", f"{KEY}b : int auto_increment")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("int", "bigint", True),
        ("bigint", "int", False),
        ("int", "int unsigned", False),
        ("bool", "int", True),
        ("varchar(5)", "varchar(6)", True),
        ("varchar(5)", "char(6)", False),
        ("char(5)", "varchar(5)", True),
        ("decimal(5,2)", "decimal(6,3)", True),
        ("decimal(5,2)", "decimal(6,4)", False),
        ("decimal(5,2)", "decimal(9,1)", False),
        ("float", "double", True),
        ("double", "float", False),
        ("float", "double unsigned", False),
        ("enum('a')", "enum('b', 'a')", True),
        ("enum('a', 'b')", "enum('a')", False),
        ("blob", "longblob", True),
        ("longblob", "blob", False),
        ("datetime", "datetime(3)", True),
        ("datetime(3)", "datetime", False),
        ("datetime", "timestamp", False),
        ("int", "varchar(99)", False),
    ],
)
def test_types_that_admit_all_values_of_others(old, new, expected):
    assert widens(parse_type(old), parse_type(new)) is expected


@pytest.mark.parametrize(
    ("value", "old", "new", "expected", "kept"),
    [
        (1.5, "double", "int", 2, False),
        (2.0, "double", "int", 2, True),
        (2.0, "double", "varchar(9)", "2", True),
        (decimal.Decimal("1.50"), "decimal(5,2)", "varchar(9)", "1.50", True),
        (decimal.Decimal("1E+3"), "decimal(5,0)", "varchar(9)", "1000", True),
        (dt.timedelta(hours=-1), "time", "varchar(9)", "-01:00:00", True),
        (dt.datetime(2020, 1, 2, 3), "datetime", "date", dt.date(2020, 1, 2), False),
        (dt.datetime(2020, 1, 2), "datetime", "date", dt.date(2020, 1, 2), True),
        (dt.datetime(2020, 1, 2), "datetime(2)", "varchar(30)", "2020-01-02 00:00:00.00", True),
        ("a  ", "varchar(9)", "char(9)", "a", False),
        ("A", "varchar(9)", "enum('a')", "a", False),
        ("1.50", "varchar(9)", "double", 1.5, False),
    ],
)
def test_values_are_brought_from_type_to_type(value, old, new, expected, kept):
    one, other = parse_type(old), parse_type(new)
    assert brought(value, one, other) == expected
    assert survives(value, one, other) is kept


# -- statements -----------------------------------------------------------------------------------

OLD = "a : int\n---\nb : tinyint unsigned # b\nc = 1 : int\n-> P\nindex (c)"
NEW = "# t\na : int\n---\nx = null : date\nd = 'y' : varchar(9) # {b}\n-> Q\nunique index (d)"
BELONGINGS = Belongings(
    {"t 1": OwnIndex(("c",)), "t 2 (foreign key)": OwnIndex(("p",), implied=True)},
    {"t_ibfk_1": spec(OLD).foreign_keys[0]},
)


def test_mysql_does_it_in_one_statement():
    assert mysql_ddl.alter_statement(
        change(OLD, NEW), BELONGINGS, functional_keys=False
    ).splitlines() == [
        "ALTER TABLE `lab`.`t`",
        "DROP FOREIGN KEY `t_ibfk_1`,",
        "DROP INDEX `t 1`,",
        "DROP COLUMN `c`,",
        "ADD COLUMN `x` date DEFAULT NULL AFTER `a`,",
        'CHANGE `b` `d` varchar(9) NOT NULL DEFAULT "y" COMMENT "{b}",',
        "ADD UNIQUE INDEX (`d`),",
        "ADD FOREIGN KEY (`p`) REFERENCES `lab`.`q` (`p`) ON UPDATE CASCADE ON DELETE RESTRICT,",
        'COMMENT "t"',
    ]


def test_postgresql_copies_what_stands_behind_new_columns():
    alter = 'ALTER TABLE "lab"."t" '
    assert postgresql_alter.alter_statements(change(OLD, NEW), BELONGINGS) == [
        alter + 'DROP CONSTRAINT "t_ibfk_1"',
        'DROP INDEX "lab"."t 1"',
        alter + 'DROP COLUMN "c"',
        alter + 'RENAME COLUMN "b" TO "d"',
        alter + 'DROP CONSTRAINT IF EXISTS "b : tinyint unsigned"',
        alter + 'ALTER COLUMN "d" TYPE varchar(9) COLLATE "datajoint"."text" '
        'USING CAST("d" AS text)',
        alter + "ALTER COLUMN \"d\" SET DEFAULT 'y'",
        alter + 'ADD COLUMN "x" date',
        alter + 'RENAME COLUMN "d" TO "d moved"',
        alter + 'ADD COLUMN "d" varchar(9) COLLATE "datajoint"."text"',
        alter + 'RENAME COLUMN "p" TO "p moved"',
        alter + 'ADD COLUMN "p" integer',
        'UPDATE "lab"."t" SET "d" = "d moved", "p" = "p moved"',
        alter + 'DROP COLUMN "d moved"',
        alter + "ALTER COLUMN \"d\" SET DEFAULT 'y'",
        alter + 'ALTER COLUMN "d" SET NOT NULL',
        alter + 'DROP COLUMN "p moved"',
        alter + 'ALTER COLUMN "p" SET NOT NULL',
        'CREATE UNIQUE INDEX "t 3" ON "lab"."t" ("d")',
        'CREATE INDEX "t 4 (foreign key)" ON "lab"."t" ("p")',
        alter + 'ADD FOREIGN KEY ("p") REFERENCES "lab"."q" ("p") ON UPDATE CASCADE',
        'COMMENT ON TABLE "lab"."t" IS \'t\'',
        'COMMENT ON COLUMN "lab"."t"."x" IS \':date:\'',
        'COMMENT ON COLUMN "lab"."t"."d" IS \':varchar(9):{b}\'',
        'COMMENT ON COLUMN "lab"."t"."p" IS \':int:\'',
    ]


def test_sqlite_makes_the_table_anew():
    statements = sqlite_ddl.alter_statements(change(OLD, NEW), BELONGINGS, ["CREATE TRIGGER x"])
    assert [statement.split("(")[0].strip() for statement in statements] == [
        'CREATE TABLE "lab.t altered"',
        'INSERT INTO "lab.t altered"',
        'DROP TABLE "lab.t"',
        'ALTER TABLE "lab.t altered" RENAME TO "lab.t"',
        "DELETE FROM datajoint_attribute WHERE table_name = 'lab.t'",
        'CREATE UNIQUE INDEX "lab.t 1" ON "lab.t"',
        'CREATE INDEX "lab.t 2',
        "INSERT INTO datajoint_table VALUES",
        "INSERT OR REPLACE INTO datajoint_attribute VALUES",
        "CREATE TRIGGER x",
    ]
    assert statements[1].splitlines() == [
        'INSERT INTO "lab.t altered" ("a", "d", "p")',
        """SELECT "a", retyped("b", 'tinyint unsigned', 'varchar(9)'), "p" FROM "lab.t\"""",
    ]


def test_sqlite_changes_comments_and_indexes_in_place():
    old = "a : int\n---\nb : int\nindex (b)"
    new = "# t\na : int # a\n---\nb : int\nunique index (b)"
    belongings = Belongings({"lab.t 1": OwnIndex(("b",))}, {})
    assert sqlite_ddl.alter_statements(change(old, new), belongings, ["CREATE TRIGGER x"]) == [
        'DROP INDEX "lab.t 1"',
        'CREATE UNIQUE INDEX "lab.t 2" ON "lab.t" ("b")',
        "INSERT INTO datajoint_table VALUES ('lab.t', 't') "
        "ON CONFLICT (name) DO UPDATE SET comment = excluded.comment",
        "INSERT OR REPLACE INTO datajoint_attribute VALUES\n  ('lab.t', 'a', 'int', NULL, 'a')",
    ]
