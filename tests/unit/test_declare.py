"""The definition language: what lines mean, and what is said of lines that mean nothing."""

import re

import pytest

from datajoint.declare import ForeignKey, TableName, TableSpec, resolve
from datajoint.errors import DataJointError
from datajoint.grammar import (
    AttributeLine,
    Definition,
    ForeignKeyLine,
    IndexLine,
    Reference,
    parse_definition,
    parse_type,
)
from datajoint.heading import Attribute, Heading, Index

NAME = TableName("lab", "child")


def attribute(name, type_, **options):
    return Attribute(name, parse_type(type_), **options)


def parsed_line(text, *, in_key=False):
    """Parse a definition of one line, in or below the primary key."""
    definition = parse_definition(text if in_key else f"---\n{text}")
    (item,) = definition.key if in_key else definition.secondary
    assert (definition.secondary if in_key else definition.key) == ()
    return item


def parsed_attribute(text, *, in_key=False):
    assert isinstance(parsed_line(text, in_key=in_key), AttributeLine)
    heading = resolved(text if in_key else f"own_key : int\n---\n{text}").heading
    (found,) = [each for each in heading.attributes.values() if each.name != "own_key"]
    return found


def parsed_reference(text):
    item = parsed_line(text, in_key=True)
    assert isinstance(item, ForeignKeyLine)
    return item


def spec(table, *attributes, schema="lab"):
    return TableSpec(TableName(schema, table), Heading(attributes))


SUBJECT = spec(
    "subject",
    attribute("subject_id", "int unsigned", in_key=True, comment='the "id"'),
    attribute("born", "date"),
)
SESSION = spec(
    "session",
    attribute("subject_id", "int unsigned", in_key=True, comment="of the session"),
    attribute("session", "smallint", in_key=True, comment="number"),
)
PROBE = spec("#probe", attribute("probe", "varchar(12)", in_key=True), schema="rig")
COUNTER = spec("counter", attribute("id", "int", in_key=True, autoincrement=True, default="5"))
TABLES = {
    ("Subject",): SUBJECT,
    ("Session",): SESSION,
    ("rig", "Probe"): PROBE,
    ("self", "probe_class"): PROBE,
    ("master",): SESSION,
    ("Counter",): COUNTER,
    ("rig", "#probe"): PROBE,
}


def lookup(reference):
    try:
        return TABLES[reference.path]
    except KeyError:
        raise DataJointError(f"`{reference}` is not known to the test") from None


def resolved(text):
    return resolve(parse_definition(text), NAME, lookup)


def failure(text, parse=parse_definition):
    """Parse what is wrong: the number and the text of the line, what the caret is under, and why.

    What the caret is under is the rest of the line; "" where it stands behind the line.
    """
    with pytest.raises(DataJointError) as error:
        parse(text)
    match = re.fullmatch(
        r"Line (\d+) of the definition: (.*)\n    (.*)\n    ( *)\^", str(error.value), re.DOTALL
    )
    assert match is not None, str(error.value)
    number, message, line, blanks = match.groups()
    assert text.split("\n")[int(number) - 1].strip() == line
    assert len(blanks) <= len(line)
    return int(number), line[len(blanks) :], message


# -- the whole text -------------------------------------------------------------------------------


def test_whole_definition():
    text = """
    # Persons in the lab
    username : varchar(16)  # username in the database
    ---
    # this line is not read
    full_name : varchar(255)

    start_date : date      # date when joined the lab
    """
    definition = parse_definition(text)
    assert definition.comment == "Persons in the lab"
    heading = resolved(text).heading
    assert [heading[name] for name in heading.primary_key] == [
        attribute("username", "varchar(16)", in_key=True, comment="username in the database")
    ]
    assert [heading[name] for name in heading.secondary_attributes] == [
        attribute("full_name", "varchar(255)"),
        attribute("start_date", "date", comment="date when joined the lab"),
    ]


@pytest.mark.parametrize(
    ("first", "comment"),
    [
        ("# Sessions", "Sessions"),
        ("#Sessions", "Sessions"),
        ("   #   Sessions   ", "Sessions"),
        ("#", ""),
        ('# it\'s "quoted": yes # really -> so', 'it\'s "quoted": yes # really -> so'),
        ("# Ströme in µA — 電流", "Ströme in µA — 電流"),
        ("# " + "long " * 100, ("long " * 100).strip()),
        ("# 100% \\ back", "100% \\ back"),
        ("\n\n# Sessions", "Sessions"),
    ],
)
def test_table_comment(first, comment):
    assert parse_definition(f"{first}\na : int").comment == comment


def test_only_the_first_line_is_the_table_comment():
    definition = parse_definition("a : int\n# no comment of the table\n---")
    assert (definition.comment, len(definition.key)) == ("", 1)
    assert parse_definition("# one\n# two\na : int").comment == "one"


def test_table_comment_with_a_colon_in_front():
    with pytest.raises(DataJointError, match=r"comment of a table cannot begin with a colon"):
        parse_definition("# : marker\na : int")


@pytest.mark.parametrize(
    "separator",
    ["---", "-----", "___", "________", "  ---  ", "--- # secondary", "---#", "-" * 80],
)
def test_separators(separator):
    definition = parse_definition(f"a : int\n{separator}\nb : int")
    assert [item.name for item in definition.key] == ["a"]
    assert [item.name for item in definition.secondary] == ["b"]


@pytest.mark.parametrize("text", ["", "\n", "   \n  ", "# comment only", "---"])
def test_empty_definitions(text):
    definition = parse_definition(text)
    assert (definition.key, definition.secondary) == ((), ())


def test_windows_lines():
    definition = parse_definition("# table\r\na : int # one\r\n---\r\nb : int\r\n")
    assert definition.comment == "table"
    assert [(line.name, line.comment) for line in definition.key] == [("a", "one")]
    assert [(line.name, line.comment) for line in definition.secondary] == [("b", "")]


def test_parsing_needs_no_tables():
    definition = parse_definition("-> Nobody.Knows\n---\n-> [nullable] This")
    assert isinstance(definition, Definition)
    assert [str(item.reference) for item in definition.key + definition.secondary] == [
        "Nobody.Knows",
        "This",
    ]


# -- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a:int", "a : int", "a :int", "  a\t:\tint  ", "a: int #", "a : int ###"],
)
def test_attribute_without_default(text):
    assert parsed_attribute(text, in_key=True) == attribute("a", "int", in_key=True)
    assert parsed_attribute(text) == attribute("a", "int")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # null
        ("a=null : int", attribute("a", "int", nullable=True, default="null")),
        ("a = NULL : varchar(9)", attribute("a", "varchar(9)", nullable=True, default="null")),
        ("a=Null:longblob", attribute("a", "longblob", nullable=True, default="null")),
        ("a=null:timestamp", attribute("a", "timestamp", nullable=True, default="null")),
        # numbers
        ("a=0:int", attribute("a", "int", default="0")),
        ("a = -5 : tinyint", attribute("a", "tinyint", default="-5")),
        ('a="7" : int', attribute("a", "int", default="7")),
        ("a = 007 : int", attribute("a", "int", default="7")),
        ("a=-1. : float", attribute("a", "float", default="-1.0")),
        ("a=1e3 : double", attribute("a", "double", default="1000.0")),
        ("a=1.5 : decimal(5,2)", attribute("a", "decimal(5,2)", default="1.50")),
        ("a=1999 : year", attribute("a", "year", default="1999")),
        ("a=false : bool", attribute("a", "bool", default="0")),
        ("a=TRUE : boolean", attribute("a", "boolean", default="1")),
        ("a=1 : bool", attribute("a", "bool", default="1")),
        # strings
        ('a="" : varchar(9)', attribute("a", "varchar(9)", default='""')),
        ("a='' : varchar(9)", attribute("a", "varchar(9)", default='""')),
        ('a="abc" : varchar(9)', attribute("a", "varchar(9)", default='"abc"')),
        ("a='abc' : char(9)", attribute("a", "char(9)", default='"abc"')),
        ("a=abc : varchar(9)", attribute("a", "varchar(9)", default='"abc"')),
        ('a="null" : varchar(9)', attribute("a", "varchar(9)", default='"null"')),
        ('a="a:b" : varchar(9)', attribute("a", "varchar(9)", default='"a:b"')),
        ('a="a # b" : varchar(9)', attribute("a", "varchar(9)", default='"a # b"')),
        ("a='x=y' : varchar(9)", attribute("a", "varchar(9)", default='"x=y"')),
        ("a='it''s' : varchar(9)", attribute("a", "varchar(9)", default='"it\'s"')),
        ('a="it\'s" : varchar(9)', attribute("a", "varchar(9)", default='"it\'s"')),
        ("a='\"' : varchar(9)", attribute("a", "varchar(9)", default='"\\""')),
        ('a="\\"" : varchar(9)', attribute("a", "varchar(9)", default='"\\""')),
        ('a="""" : varchar(9)', attribute("a", "varchar(9)", default='"\\""')),
        ("a='\\\\' : varchar(9)", attribute("a", "varchar(9)", default='"\\\\"')),
        ('a="Ω é" : varchar(9)', attribute("a", "varchar(9)", default='"Ω é"')),
        ('a="->" : varchar(9)', attribute("a", "varchar(9)", default='"->"')),
        # enum members are spelt as in the type
        (
            'a="LEFT" : enum("left", "right")',
            attribute("a", 'enum("left", "right")', default='"left"'),
        ),
        (
            "a=right : enum('left','right')",
            attribute("a", "enum('left','right')", default='"right"'),
        ),
        # dates and times
        ('a = "2020-05-31" : date', attribute("a", "date", default='"2020-05-31"')),
        (
            'a="2020-05-31 10:00:00" : datetime',
            attribute("a", "datetime", default='"2020-05-31 10:00:00"'),
        ),
        ("a='12:30:00' : time", attribute("a", "time", default='"12:30:00"')),
        (
            "a=CURRENT_TIMESTAMP : timestamp",
            attribute("a", "timestamp", default="CURRENT_TIMESTAMP"),
        ),
        (
            "a = current_timestamp : datetime",
            attribute("a", "datetime", default="CURRENT_TIMESTAMP"),
        ),
        (
            "a=current_timestamp() : timestamp",
            attribute("a", "timestamp", default="CURRENT_TIMESTAMP"),
        ),
        (
            "a=CURRENT_TIMESTAMP(6) : datetime(6)",
            attribute("a", "datetime(6)", default="CURRENT_TIMESTAMP(6)"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_defaults(text, expected):
    assert parsed_attribute(text) == expected
    commented = parsed_attribute(f'{text} # it\'s "so" # : = ->')
    assert commented.comment == 'it\'s "so" # : = ->'
    assert (commented.default, commented.nullable) == (expected.default, expected.nullable)


@pytest.mark.parametrize(
    ("written", "comment"),
    [
        ("# plain", "plain"),
        ("#plain", "plain"),
        ("#   plain   ", "plain"),
        ('# it\'s "quoted"', 'it\'s "quoted"'),
        ("# one ' only", "one ' only"),
        ('# one " only', 'one " only'),
        ("# unit: mV", "unit: mV"),
        ("# a = b : int # nested", "a = b : int # nested"),
        ("# -> Subject", "-> Subject"),
        ("# --- ", "---"),
        ("# Länge in µm 長さ", "Länge in µm 長さ"),
        ("# " + "x" * 300, "x" * 300),
        ("# trailing ###", "trailing"),
        ("# 100% \\n {braces} `ticks`", "100% \\n {braces} `ticks`"),
        ("#", ""),
    ],
)
def test_comments(written, comment):
    assert parsed_attribute(f"a : varchar(20) {written}") == attribute(
        "a", "varchar(20)", comment=comment
    )
    assert parsed_attribute(f"a='#' : enum('#', \"b:c\"){written}") == attribute(
        "a", "enum('#', \"b:c\")", default='"#"', comment=comment
    )


@pytest.mark.parametrize(
    "name",
    [
        "first_name",
        "two_photon_scan",
        "scan_2p",
        "two_photon_scan_",
        "a",
        "index",
        "index_id",
        "unique",
        "indexes",
        "null",
        "key",
        "a" * 64,
    ],
)
def test_attribute_names(name):
    assert parsed_attribute(f"{name} : int") == attribute(name, "int")
    assert parsed_attribute(f"{name}=3:int # (a, b)") == attribute(
        name, "int", default="3", comment="(a, b)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id : int auto_increment", attribute("id", "int", in_key=True, autoincrement=True)),
        (
            "id : Bigint Unsigned AUTO_INCREMENT # n",
            attribute("id", "Bigint Unsigned", in_key=True, autoincrement=True, comment="n"),
        ),
        ("id : serial", attribute("id", "bigint unsigned", in_key=True, autoincrement=True)),
        ("id : SERIAL", attribute("id", "bigint unsigned", in_key=True, autoincrement=True)),
    ],
)
def test_auto_increment(text, expected):
    assert parsed_attribute(text, in_key=True) == expected


def test_types_keep_their_writing():
    assert parsed_attribute("a : Decimal (5, 2)  unsigned # x").type == "Decimal (5, 2)  unsigned"


# -- indexes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("index(a)", Index(("a",))),
        ("index (a, b)", Index(("a", "b"))),
        ("INDEX ( a ,b )", Index(("a", "b"))),
        ("Index(`a`, `b`)", Index(("a", "b"))),
        ("unique index (a)", Index(("a",), unique=True)),
        ("UNIQUE   INDEX(b,a)", Index(("b", "a"), unique=True)),
        ("unique index (a) # no two alike (ever)", Index(("a",), unique=True)),
    ],
)
def test_indexes(text, index):
    item = parsed_line(text)
    assert isinstance(item, IndexLine)
    assert Index(item.items, item.unique) == index


# -- foreign keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("-> Subject", ("Subject",)),
        ("->Subject", ("Subject",)),
        ("->   Subject  ", ("Subject",)),
        ("-> lab.Subject", ("lab", "Subject")),
        ("-> a.b.Session.Trial", ("a", "b", "Session", "Trial")),
        ("-> master", ("master",)),
        ("-> master.Other", ("master", "Other")),
        ("-> self.subject_class", ("self", "subject_class")),
        ("-> self().subject_class", ("self", "subject_class")),
        ("-> Subject()", ("Subject",)),
        ("-> lab.Subject()", ("lab", "Subject")),
        ("-> Subject # who", ("Subject",)),
        ("-> Subject# who -> whom.proj(a='b')", ("Subject",)),
        ("-> Scan2P", ("Scan2P",)),
        ("-> _private.Table_1", ("_private", "Table_1")),
    ],
)
def test_references(text, path):
    item = parsed_reference(text)
    assert (item.reference, item.nullable, item.unique) == (Reference(path), False, False)


@pytest.mark.parametrize(
    ("text", "path", "renames"),
    [
        ("-> Subject.proj(mother='subject_id')", ("Subject",), (("mother", "subject_id"),)),
        ('->Subject.proj(mother="subject_id")', ("Subject",), (("mother", "subject_id"),)),
        ("-> Subject.proj( mother = 'subject_id' ) # x", ("Subject",), (("mother", "subject_id"),)),
        ("-> Subject.project(mother='subject_id')", ("Subject",), (("mother", "subject_id"),)),
        ("-> Subject().proj(mother='subject_id')", ("Subject",), (("mother", "subject_id"),)),
        ("-> lab.Cell.proj(a='b', c=\"d\")", ("lab", "Cell"), (("a", "b"), ("c", "d"))),
        ("-> Cell.proj(..., a='b')", ("Cell",), (("a", "b"),)),
        ("-> Cell.proj()", ("Cell",), ()),
        ("-> self.cls.proj(a='b')", ("self", "cls"), (("a", "b"),)),
        ("-> self().cls.proj(a='b')", ("self", "cls"), (("a", "b"),)),
        ("-> master.proj(a='b')", ("master",), (("a", "b"),)),
    ],
)
def test_renames(text, path, renames):
    assert parsed_reference(text).reference == Reference(path, renames)


@pytest.mark.parametrize(
    ("text", "path", "renames"),
    [
        ("-> `lab`.`subject`", ("lab", "subject"), ()),
        ("-> `lab`.`__filtered_image`", ("lab", "__filtered_image"), ()),
        ("-> `lab-1`.`session__trial`", ("lab-1", "session__trial"), ()),
        ("-> `lab`.`subject`.proj(a='b')", ("lab", "subject"), (("a", "b"),)),
        ("-> `lab`.`#probe`", ("lab", "#probe"), ()),
        ("-> `lab`.`#probe`.proj(a='b') # why", ("lab", "#probe"), (("a", "b"),)),
        ("-> `lab`.`#probe__site`", ("lab", "#probe__site"), ()),
    ],
)
def test_references_by_the_name_in_the_database(text, path, renames):
    assert parsed_reference(text).reference == Reference(path, renames, literal=True)


@pytest.mark.parametrize(
    ("options", "nullable", "unique"),
    [
        ("[nullable]", True, False),
        ("[unique]", False, True),
        ("[unique, nullable]", True, True),
        ("[nullable,unique]", True, True),
        ("[ NULLABLE , Unique ]", True, True),
        ("[]", False, False),
    ],
)
def test_options(options, nullable, unique):
    for text in (f"-> {options} Subject", f"->{options}Subject # [x] y", f"->  {options}  Subject"):
        item = parsed_line(text)
        assert (item.nullable, item.unique) == (nullable, unique)
        assert item.reference == Reference(("Subject",))


def test_unique_in_the_key():
    item = parsed_line("-> [Unique] Subject", in_key=True)
    assert (item.nullable, item.unique) == (False, True)


# -- resolution -----------------------------------------------------------------------------------


def test_foreign_key_brings_the_key_of_its_parent():
    child = resolved("# children\n-> Session\ntrial : int\n---\nt=0 : float # s")
    assert child.name == NAME
    assert child.heading == Heading(
        (
            attribute("subject_id", "int unsigned", in_key=True, comment="of the session"),
            attribute("session", "smallint", in_key=True, comment="number"),
            attribute("trial", "int", in_key=True),
            attribute("t", "float", default="0.0", comment="s"),
        ),
        "children",
    )
    assert child.foreign_keys == (
        ForeignKey(SESSION.name, (("subject_id", "subject_id"), ("session", "session"))),
    )
    assert child.heading.secondary_indexes == ()


def test_order_is_that_of_the_lines():
    child = resolved("a : int\n-> rig.Probe\nb : int\n---\n-> Subject\nc : int")
    assert child.heading.names == ["a", "probe", "b", "subject_id", "c"]
    assert child.heading.primary_key == ["a", "probe", "b"]


def test_secondary_foreign_key():
    child = resolved("a : int\n---\n-> Subject")
    assert child.heading["subject_id"] == attribute(
        "subject_id", "int unsigned", comment='the "id"'
    )


@pytest.mark.parametrize("line", ["-> [nullable] Subject", "-> [NULLABLE] Subject # maybe"])
def test_nullable_foreign_key(line):
    child = resolved(f"a : int\n---\n{line}")
    assert child.heading["subject_id"] == attribute(
        "subject_id", "int unsigned", nullable=True, default="null", comment='the "id"'
    )


def test_unique_foreign_key_makes_an_index():
    child = resolved("a : int\n---\n-> [unique, nullable] Session\nindex (a, session)")
    assert child.heading.secondary_indexes == (
        Index(("subject_id", "session"), unique=True),
        Index(("a", "session")),
    )


def test_renamed_foreign_key():
    child = resolved("-> Session.proj(first='session')\n-> Session.proj(second='session')")
    assert child.heading.primary_key == ["subject_id", "first", "second"]
    assert child.heading["second"] == attribute("second", "smallint", in_key=True, comment="number")
    assert child.foreign_keys == (
        ForeignKey(SESSION.name, (("subject_id", "subject_id"), ("first", "session"))),
        ForeignKey(SESSION.name, (("subject_id", "subject_id"), ("second", "session"))),
    )
    assert [key.renamed for key in child.foreign_keys] == [True, True]
    assert child.foreign_keys[1].child_attributes == ("subject_id", "second")
    assert child.foreign_keys[1].parent_attributes == ("subject_id", "session")


def test_all_attributes_renamed():
    child = resolved("-> Session.proj(b='session', a='subject_id')")
    assert child.heading.primary_key == ["a", "b"]
    assert child.foreign_keys[0].attributes == (("a", "subject_id"), ("b", "session"))


@pytest.mark.parametrize(
    ("line", "parent"),
    [
        ("-> rig.Probe", PROBE),
        ("-> self.probe_class", PROBE),
        ("-> self().probe_class", PROBE),
        ("-> master", SESSION),
        ("-> `rig`.`#probe`", PROBE),
    ],
)
def test_parents_are_looked_up(line, parent):
    child = resolved(line)
    assert child.foreign_keys[0].parent == parent.name
    assert child.heading.names == parent.heading.primary_key


def test_defaults_and_increments_of_the_parent_are_not_inherited():
    assert resolved("-> Counter").heading["id"] == attribute("id", "int", in_key=True)


def test_foreign_keys_share_attributes():
    child = resolved("-> Subject\n-> Session\n---\n-> [nullable] rig.Probe\n-> rig.Probe")
    assert child.heading == Heading(
        (
            attribute("subject_id", "int unsigned", in_key=True, comment='the "id"'),
            attribute("session", "smallint", in_key=True, comment="number"),
            attribute("probe", "varchar(12)", nullable=True, default="null"),
        )
    )
    assert [key.parent.table for key in child.foreign_keys] == [
        "subject",
        "session",
        "#probe",
        "#probe",
    ]


def test_foreign_key_below_the_line_on_attributes_of_the_key():
    child = resolved("subject_id : int unsigned # mine\n---\n-> [nullable] Session")
    assert child.heading == Heading(
        (
            attribute("subject_id", "int unsigned", in_key=True, comment="mine"),
            attribute("session", "smallint", nullable=True, default="null", comment="number"),
        )
    )
    assert child.foreign_keys[0].child_attributes == ("subject_id", "session")


def test_attribute_repeated_with_the_same_type():
    child = resolved("-> Subject\nsubject_id : int unsigned # again\n---\nx : int")
    assert child.heading["subject_id"].comment == 'the "id"'
    assert child.heading.names == ["subject_id", "x"]


def test_indexes_may_stand_anywhere():
    child = resolved("index (b)\na : int\n---\nunique index (a, b)\nb : int")
    assert child.heading.secondary_indexes == (Index(("b",)), Index(("a", "b"), unique=True))


def test_names_of_tables():
    assert (NAME.full, str(NAME)) == ("`lab`.`child`", "`lab`.`child`")


# -- errors ---------------------------------------------------------------------------------------

EXPECTED_LINE = (
    "expected `name : type`, `name = default : type # comment`, a foreign key `-> Table`, `---` "
    "or `index (…)`"
)
EXPECTED_TABLE = (
    "expected a table after `->`, as in `-> Subject`, `-> lab.Subject` or "
    "`-> Subject.proj(new_name='old_name')`"
)


@pytest.mark.parametrize(
    ("text", "number", "under", "message"),
    [
        ("a", 1, "", EXPECTED_LINE),
        ("a int", 1, "", EXPECTED_LINE),
        ("# table\n\n  a : int\n  oops # why", 4, "", EXPECTED_LINE),
        ("(a) -> Subject", 1, "", EXPECTED_LINE),
        ("--\n", 1, "", EXPECTED_LINE),
        ("first name : int", 1, "first name : int", EXPECTED_LINE),
        ("a : ", 1, "a :", EXPECTED_LINE),
        (": int", 1, ": int", EXPECTED_LINE),
        ("a : enum('x", 1, "a : enum('x", EXPECTED_LINE),
        ("index : (a", 1, "(a", "Unsupported attribute type `(a`"),
    ],
)
def test_lines_that_mean_nothing(text, number, under, message):
    found = failure(text)
    assert found[:2] == (number, under)
    assert found[2].startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        "firstName",
        "2photon_scan",
        "two-photon_scan",
        "TwoPhotonScan",
        "_hidden",
        "é",
        "a" * 65,
        "a.b",
        "`a`",
    ],
)
def test_names_that_are_not_valid(name):
    assert failure(f"x : int\n{name} : int") == (
        2,
        f"{name} : int",
        f"`{name}` is no valid name for an attribute: it has up to 64 lower-case letters, digits "
        "and underscores, and begins with a letter",
    )


@pytest.mark.parametrize(
    ("text", "under", "says"),
    [
        ("a : text # notes", "text # notes", "Unsupported attribute type `text`"),
        ("a = 5 : decimal(5,6)", "decimal(5,6)", "Attribute type `decimal(5,6)`: "),
        ("a : int unsinged", "int unsinged", "Unsupported attribute type `int unsinged`"),
    ],
)
def test_wrong_types(text, under, says):
    number, pointed, message = failure(f"\nx : int\n---\n{text}")
    assert (number, pointed) == (4, under)
    assert message.startswith(says)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "a = abc : int",
            "abc : int",
            "The default abc is not a number, as the type `int` asks",
        ),
        (
            "a = 300 : tinyint # n",
            "300 : tinyint # n",
            "The default 300 is out of range (-128 to 127), as the type `tinyint` asks",
        ),
        (
            'a = "up" : enum("left", "right")',
            '"up" : enum("left", "right")',
            "The default \"up\" is none of 'left', 'right', as the type `enum(\"left\", "
            '"right")` asks',
        ),
        (
            "a='2020-02-30' : date",
            "'2020-02-30' : date",
            "The default '2020-02-30' is not a date that exists, as the type `date` asks",
        ),
        (
            "a='abcd' : varchar(3)",
            "'abcd' : varchar(3)",
            "The default 'abcd' has 4 characters, of which 3 are allowed, as the type "
            "`varchar(3)` asks",
        ),
        (
            "a = CURRENT_TIMESTAMP : int",
            "CURRENT_TIMESTAMP : int",
            "`CURRENT_TIMESTAMP` cannot be the default of type `int`",
        ),
        (
            "a = 0 : longblob",
            "0 : longblob",
            "An attribute of type `longblob` can have no default but null",
        ),
    ],
)
def test_wrong_defaults(text, under, message):
    assert failure(f"x : int\n---\n{text}") == (3, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "a = null : int",
            "null : int",
            "an attribute of the primary key cannot be null",
        ),
        ("a : longblob # x", "longblob # x", "`longblob` cannot be in the primary key"),
        (
            "-> [nullable] Subject",
            "[nullable] Subject",
            "a foreign key in the primary key cannot be nullable",
        ),
        (
            "-> [unique, Nullable] Subject",
            "[unique, Nullable] Subject",
            "a foreign key in the primary key cannot be nullable",
        ),
    ],
)
def test_what_the_primary_key_cannot_have(text, under, message):
    assert failure(f"x : int\n{text}\n---\ny : int") == (2, under, message)
    below = parse_definition(f"x : int\n---\n{text}")
    assert len(below.secondary) == 1


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("a : int # :uuid:", "# :uuid:", "a comment cannot begin with a colon"),
        ("a : int #  : x", "#  : x", "a comment cannot begin with a colon"),
        ("a='#' : char(1) # :x", "# :x", "a comment cannot begin with a colon"),
        (
            "a : varchar(9) auto_increment",
            "a : varchar(9) auto_increment",
            "only an integer without a default can be auto_increment",
        ),
        (
            "a=1 : int auto_increment",
            "a=1 : int auto_increment",
            "only an integer without a default can be auto_increment",
        ),
    ],
)
def test_other_wrong_attributes(text, under, message):
    assert failure(f"x : int\n---\n{text}") == (3, under, message)


def test_second_separator():
    assert failure("a : int\n---\nb : int\n-----\nc : int") == (
        4,
        "-----",
        "the attributes are divided by one line of dashes only",
    )


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("->", "", EXPECTED_TABLE),
        ("-> # nobody", " # nobody", EXPECTED_TABLE),
        ("-> Subject, Session", "Subject, Session", EXPECTED_TABLE),
        ("-> Subject & 'a=1'", "Subject & 'a=1'", EXPECTED_TABLE),
        ("-> Subject * Session", "Subject * Session", EXPECTED_TABLE),
        ("-> Subject(a='b')", "Subject(a='b')", EXPECTED_TABLE),
        ("-> 2p.Subject # x", "2p.Subject # x", EXPECTED_TABLE),
        ("-> Subject.", "Subject.", EXPECTED_TABLE),
        ("-> __import__('os').system('ls')", "__import__('os').system('ls')", EXPECTED_TABLE),
        ("-> `subject`", "`subject`", EXPECTED_TABLE),
        (
            "-> [optional] Subject",
            "optional] Subject",
            "`optional` is no option of a foreign key; there are `nullable` and `unique`",
        ),
        (
            "-> [unique, optional] Subject",
            "optional] Subject",
            "`optional` is no option of a foreign key; there are `nullable` and `unique`",
        ),
        (
            "-> Subject.proj('subject_id')",
            "'subject_id')",
            "a foreign key can only rename attributes, as in `.proj(new_name='old_name')`",
        ),
        (
            "-> Session.proj(a='session', b='x + 1')",
            "b='x + 1')",
            "a foreign key can only rename attributes, as in `.proj(new_name='old_name')`",
        ),
    ],
)
def test_wrong_foreign_keys(text, under, message):
    assert failure(f"x : int\n---\n  {text}") == (3, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-> lab.Nobody # x", "lab.Nobody # x", "`lab.Nobody` is not known to the test"),
        ("-> [unique] Nobody", "Nobody", "`Nobody` is not known to the test"),
        (
            "-> Session.proj(s='sesion')",
            "sesion')",
            "`sesion` is not in the primary key of `lab`.`session`; did you mean `session`?",
        ),
        (
            "-> Subject.proj(born_2='born')",
            "born')",
            "`born` is not in the primary key of `lab`.`subject`",
        ),
        (
            "-> Subject.proj(Mother='subject_id')",
            "Mother='subject_id')",
            "`Mother` is no valid name for an attribute",
        ),
        (
            "x : varchar(5)",
            "x : varchar(5)",
            "attribute `x` is already defined, with type `int`",
        ),
        ("index (x, yy)", "yy)", "`yy` is no attribute"),
        (
            "unique index (subjct_id)",
            "subjct_id)",
            "`subjct_id` is no attribute; did you mean `subject_id`?",
        ),
    ],
)
def test_what_cannot_be_resolved(text, under, message):
    definition = f"# table\nx : int\n-> Subject\n---\n{text}"
    parse_definition(definition)
    assert failure(definition, resolved) == (5, under, message)


def test_foreign_key_on_an_attribute_of_another_type():
    number, _, message = failure("subject_id : varchar(9)\n---\n-> Subject", resolved)
    assert number == 3
    assert "`subject_id`" in message


@pytest.mark.parametrize(
    "text", ["", "# table", "---", "---\na : int", "# table\n---\n-> Subject\n-> Session"]
)
def test_no_primary_key(text):
    with pytest.raises(DataJointError) as error:
        resolved(text)
    assert str(error.value) == (
        "The definition of `lab`.`child` has no primary key: at least one attribute must stand "
        "above the line `---`"
    )


def test_two_auto_increments():
    with pytest.raises(DataJointError, match="only one attribute can be auto_increment"):
        resolved("a : serial\n---\nb : int auto_increment")
