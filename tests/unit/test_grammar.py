"""The grammar of definitions: what is read from lines, and what is said of those that mean nothing.

Of every production there are texts that it accepts and texts that it refuses:

================  ============================  ==============================
production        accepted                      refused
================  ============================  ==============================
definition        test_definition               test_no_table_comment
line              test_lines_without_meaning    test_no_line
separator         test_separators               test_no_separator
attribute         test_attributes               test_no_attribute
default           test_defaults                 test_no_default
foreign key       test_options                  test_no_foreign_key
option            test_options                  test_no_option
table             test_tables                   test_no_table
projection        test_projections              test_no_projection
pair              test_projections              test_no_pair
rename            test_projections              test_no_rename
index             test_indexes                  test_no_index
item              test_items                    test_no_item
json path         test_json_paths               test_no_json_path_in_an_index
step              test_json_paths               test_no_step
type              test_other_types              test_no_type
integer           test_integers                 test_no_integer
string            test_strings_between_quotes   test_no_string
================  ============================  ==============================

The forms are those of the manual, 5.4, 5.6 and 5.9, and those that DataJoint 0.14 declares.
"""

import re

import pytest

from datajoint import grammar, types
from datajoint.errors import DataJointError
from datajoint.grammar import (
    TYPE_NAMES,
    AttributeLine,
    Definition,
    IndexLine,
    JsonPath,
    Line,
    Reference,
    column_type,
    parse_definition,
    parse_json_path,
    parse_type,
    quoted,
    unquote,
)

from .definitions import failure, parsed_line

INT = parse_type("int")
THE_TYPES = f" The types are {', '.join(TYPE_NAMES)} and <adapter>"
EXPECTED_LINE = (
    "expected an attribute `name : type # comment`, a foreign key `-> Table`, a line `---` or "
    "`index (…)`"
)
EXPECTED_TABLE = (
    "expected a table, as in `-> Subject`, `-> lab.Subject` or "
    "`-> Subject.proj(new_name='old_name')`"
)
EXPECTED_END = "expected the end of the line, or `#` and a comment"
EXPECTED_END_OF_KEY = (
    "expected the end of the line, `.proj(new_name='old_name')` or `#` and a comment"
)
EXPECTED_END_OF_INDEX = "expected `,` or `)`: an index has attributes and paths into documents"
EXPECTED_RENAME = (
    "expected a renamed attribute, `new_name='old_name'`: a foreign key can only rename"
)
NO_CALL = "expected `)`: to rename attributes, write `.proj(new_name='old_name')`"
DECIMAL = "a decimal has 1 to 65 digits, of which up to 30 and no more than all are fractional"


def test_every_production_has_tests():
    table = re.findall(r"^(\w[\w ]*?)  +(test_\w+)  +(test_\w+)$", __doc__, re.MULTILINE)
    productions = re.findall(r"^    (\w[\w ]*?) += ", grammar.__doc__, re.MULTILINE)
    assert [production for production, *_ in table] == productions
    assert [test for _, *tests in table for test in tests if test not in globals()] == []


# -- definitions and lines ------------------------------------------------------------------------


def test_definition():
    definition = parse_definition(
        """
        # Persons in the lab
        username : varchar(16)  # username in the database
        ---
        # this line is not read
        full_name : varchar(255)

        -> Group
        index (full_name)
        """
    )
    assert definition.comment == "Persons in the lab"
    (name,) = definition.key
    assert (name.name, name.type, name.comment) == (
        "username",
        types.String("varchar(16)", 16, False),
        "username in the database",
    )
    full_name, group, index = definition.secondary
    assert (full_name.name, full_name.comment) == ("full_name", "")
    assert group.reference == Reference(("Group",))
    assert (index.items, index.unique) == (("full_name",), False)
    assert [item.source.number for item in (name, *definition.secondary)] == [3, 6, 8, 9]


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


def test_no_table_comment():
    for text, under in (("# : marker", ": marker"), ("#:uuid:", ":uuid:")):
        assert failure(f"\n{text}\na : int") == (
            2,
            under,
            "the comment of a table cannot begin with a colon",
        )


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


@pytest.mark.parametrize("line", ["", "   ", "\t", "#", "# a : int", "#-> X", "  ### x"])
def test_lines_without_meaning(line):
    assert parse_definition(f"a : int\n{line}\n---\n{line}\nb : int\n{line}") == parse_definition(
        "a : int\n---\nb : int"
    )


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (": int", ": int", EXPECTED_LINE),
        ("= 5 : int", "= 5 : int", EXPECTED_LINE),
        ("   : int # x", ": int # x", EXPECTED_LINE),
        ("(a : int)", "(a : int)", EXPECTED_LINE),
    ],
)
def test_no_line(text, under, message):
    assert failure(text) == (1, under, message)


def test_errors_point_at_the_line_as_it_is_written():
    with pytest.raises(DataJointError) as error:
        parse_definition("# table\n\n  a : int\n\tb\t:\tinx # why\n")
    number_and_message, line, caret = str(error.value).rsplit("\n", 2)
    assert number_and_message == (
        "Line 4 of the definition: unsupported attribute type `inx`; did you mean `int`?"
        + THE_TYPES
    )
    assert (line, caret) == ("    b\t:\tinx # why", "     \t \t^")


@pytest.mark.parametrize(
    "separator",
    [
        "---",
        "-----",
        "___",
        "________",
        "  ---  ",
        "--- # secondary",
        "---#",
        "---- a : int",
        "-" * 80,
    ],
)
def test_separators(separator):
    definition = parse_definition(f"a : int\n{separator}\nb : int")
    assert [item.name for item in definition.key] == ["a"]
    assert [item.name for item in definition.secondary] == ["b"]


def test_only_the_first_separator_counts():
    for again in ("---", "_____"):
        definition = parse_definition(f"a : int\n---\nb : int\n{again}\nc : int")
        assert [item.name for item in definition.key] == ["a"]
        assert [item.name for item in definition.secondary] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-", "-", "expected at least three dashes `---` between the primary key and the rest"),
        ("--", "--", "expected at least three dashes `---` between the primary key and the rest"),
        ("__", "__", "expected at least three dashes `---` between the primary key and the rest"),
        (
            "-- # x",
            "-- # x",
            "expected at least three dashes `---` between the primary key and the rest",
        ),
        ("—", "—", "expected at least three dashes `---` between the primary key and the rest"),
        ("——", "——", "expected at least three dashes `---` between the primary key and the rest"),
    ],
)
def test_no_separator(text, under, message):
    assert failure(text) == (1, under, message)


def test_dashes_apart():
    assert failure("- - -")[1] == "- - -"


# -- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a:int", "a : int", "a :int", "  a\t:\tint  ", "a: int #", "a : int ###"],
)
def test_attributes(text):
    item = parsed_line(text)
    assert item == AttributeLine("a", None, INT, False, "", Line(text.strip(), 2))
    assert item.type.text == "int"


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
    for line in (f"a : varchar(20) {written}", f"a='#' : enum('#', \"b:c\"){written}"):
        assert parsed_line(line).comment == comment


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
        "index2",
        "unique_index",
        "serial",
        "auto_increment",
        "json",
        "attach",
        "order",
        "nullable",
        "proj",
        "master",
        "null",
        "key",
        "a" * 64,
    ],
)
def test_attribute_names(name):
    item = parsed_line(f"{name}=3:int # (a, b)")
    assert (item.name, item.default, item.comment) == (name, "3", "(a, b)")
    assert parsed_line(f"{name}:int").name == name
    assert parsed_line(f"{name} : int", in_key=True).name == name


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("a", "", "expected `:` and a type, as in `a : int`, or `=` and a default"),
        ("a int", "int", "expected `:` and a type, as in `a : int`, or `=` and a default"),
        ("a int # x", "int # x", "expected `:` and a type, as in `a : int`, or `=` and a default"),
        (
            "first name : int",
            "name : int",
            "the name of an attribute has no blanks; write `first_name`",
        ),
        (
            "first name = 5 : int",
            "name = 5 : int",
            "the name of an attribute has no blanks; write `first_name`",
        ),
        (
            "a -> Subject",
            "-> Subject",
            "a foreign key begins with `->`; to rename, write `-> Table.proj(new='old')`",
        ),
        ("a :", "", "expected a type"),
        ("a : # x", "# x", "expected a type"),
        ("a 5 : int", "5 : int", "the name of an attribute has no blanks; write `a_5`"),
        (
            "a, b : int",
            "a, b : int",
            "`a,` cannot be the name of an attribute: it can have only letters from a to "
            "z, digits and underscores, not `,`",
        ),
        ("a : int comment", "comment", EXPECTED_END),
        ("a : int, b int", ", b int", EXPECTED_END),
        ("a : int; drop table x", "; drop table x", EXPECTED_END),
        ("a : int -> Subject", "-> Subject", "a foreign key stands on a line of its own"),
        ("a : int # :uuid:", "# :uuid:", "a comment cannot begin with a colon"),
        ("a : int #  : x", "#  : x", "a comment cannot begin with a colon"),
        ("a='#' : char(1) # :x", "# :x", "a comment cannot begin with a colon"),
        (
            "a : varchar(5) auto_increment",
            "auto_increment",
            "only an integer can be auto_increment",
        ),
        (
            "a : decimal(5) auto_increment",
            "auto_increment",
            "only an integer can be auto_increment",
        ),
        ("a : int auto_increment unsigned", "unsigned", "only a number can be unsigned"),
        (
            "a : int auto_increment auto_increment",
            "auto_increment",
            "only an integer can be auto_increment",
        ),
        ("a : int = 5", "= 5", "a default stands before the type, as in `name = default : type`"),
        (
            "a : int default 5",
            "default 5",
            "a default stands before the type, as in `name = default : type`",
        ),
        (
            "a : int not null",
            "not null",
            "no attribute is null unless its default is; leave out `not null`",
        ),
        ("a : int NULL", "NULL", "an attribute that may be null is written `name = null : type`"),
        ("a : int unique", "unique", "to make it unique, write a line `unique index (name)`"),
        (
            "a : int primary key",
            "primary key",
            "the primary key is what stands above the line `---`",
        ),
    ],
)
def test_no_attribute(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "firstName : int",
            "firstName : int",
            "`firstName` cannot be the name of an attribute: it must be in lower case, as "
            "`first_name`",
        ),
        (
            "TwoPhotonScan : int",
            "TwoPhotonScan : int",
            "`TwoPhotonScan` cannot be the name of an attribute: it must be in lower case, "
            "as `two_photon_scan`",
        ),
        (
            "A : int",
            "A : int",
            "`A` cannot be the name of an attribute: it must be in lower case, as `a`",
        ),
        (
            "2photon_scan : int",
            "2photon_scan : int",
            "`2photon_scan` cannot be the name of an attribute: it must begin with a "
            "letter from a to z",
        ),
        (
            "two-photon_scan : int",
            "two-photon_scan : int",
            "`two-photon_scan` cannot be the name of an attribute: it can have only "
            "letters from a to z, digits and underscores, not `-`",
        ),
        (
            "_hidden : int",
            "_hidden : int",
            "`_hidden` cannot be the name of an attribute: it must begin with a letter from a to z",
        ),
        (
            "é : int",
            "é : int",
            "`é` cannot be the name of an attribute: it must begin with a letter from a to z",
        ),
        (
            "café : int",
            "café : int",
            "`café` cannot be the name of an attribute: it can have only letters from a to "
            "z, digits and underscores, not `é`",
        ),
        (
            "Café : int",
            "Café : int",
            "`Café` cannot be the name of an attribute: it can have only letters from a to "
            "z, digits and underscores, not `é`",
        ),
        (
            "a.b : int",
            "a.b : int",
            "`a.b` cannot be the name of an attribute: it can have only letters from a to "
            "z, digits and underscores, not `.`",
        ),
        (
            "`a` : int",
            "`a` : int",
            "``a`` cannot be the name of an attribute: it must begin with a letter from a to z",
        ),
        (
            "a$ : int",
            "a$ : int",
            "`a$` cannot be the name of an attribute: it can have only letters from a to "
            "z, digits and underscores, not `$`",
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa : int",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa : int",
            "`aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` cannot be "
            "the name of an attribute: it has 65 characters, of which 64 are allowed",
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 5 : int",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 5 : int",
            "`aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` "
            "cannot be the name of an attribute: it has 70 characters, of which 64 are allowed",
        ),
    ],
)
def test_no_attribute_name(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "increments", "type_"),
    [
        ("a : int", False, "int"),
        ("a : int auto_increment", True, "int"),
        ("a : INT AUTO_INCREMENT # x", True, "INT"),
        ("a : Bigint (20)  Unsigned\tAuto_Increment#x", True, "Bigint (20)  Unsigned"),
        ("a : serial", True, "bigint unsigned"),
        ("a : SERIAL # x", True, "bigint unsigned"),
        ("auto_increment : int", False, "int"),
        ("serial : int", False, "int"),
        ("serial : serial", True, "bigint unsigned"),
    ],
)
def test_auto_increment(text, increments, type_):
    item = parsed_line(text)
    assert (item.autoincrement, item.type.text) == (increments, type_)


@pytest.mark.parametrize(
    "default",
    [
        "null",
        "NULL",
        "nUlL",
        "5",
        "-1.",
        ".5",
        "-.5",
        "+5",
        "1e3",
        "1E-3",
        "007",
        "false",
        "True",
        "abc",
        "a b c",
        "x=y",
        "2020-05-31",
        "a-b",
        "a,b",
        "(a)",
        "`a`",
        "a\\b",
        "100%",
        "{x}",
        "µ",
        "->",
        "CURRENT_TIMESTAMP",
        "current_timestamp()",
        "CURRENT_TIMESTAMP(6)",
        "Current_Timestamp ( 3 )",
        '""',
        "''",
        '"abc"',
        "'abc'",
        '"null"',
        '"7"',
        '"a:b"',
        '"a # b"',
        "'x=y'",
        "'it''s'",
        "'it\\'s'",
        '"it\'s"',
        "'\"'",
        '"\\""',
        '""""',
        "'\\\\'",
        '"->"',
        '"---"',
        '"{x} 100% %s"',
        "'Ω é 😀'",
        '"CURRENT_TIMESTAMP"',
        '"2020-05-31 10:00:00"',
        "'# : ='",
    ],
)
def test_defaults(default):
    for line in (f"a={default}:int", f'a = {default} : int # it\'s "so" # : = -> ---'):
        item = parsed_line(line)
        assert (item.name, item.default, item.type) == ("a", default, INT)
    assert item.comment == 'it\'s "so" # : = -> ---'
    assert line[item.default_column :].startswith(f"{default} : int")
    assert line[item.type_column :].startswith("int #")


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("a = : int", ": int", "expected a default, with quotes around it if it is a text"),
        ("a =", "", "expected a default, with quotes around it if it is a text"),
        ("a = # x : int", "# x : int", "expected a default, with quotes around it if it is a text"),
        ("a = 5", "", "expected `:` and a type"),
        ("a = 5 int", "", "expected `:` and a type"),
        ("a = 5 # : int", "# : int", "expected `:` and a type"),
        ('a = "x : varchar(5)', '"x : varchar(5)', 'the quote " is not closed'),
        ("a = 'x : varchar(5)", "'x : varchar(5)", "the quote ' is not closed"),
        ('a = "x\\" : varchar(5)', '"x\\" : varchar(5)', 'the quote " is not closed'),
        ("a = \"x' : varchar(5)", "\"x' : varchar(5)", 'the quote " is not closed'),
        ("a = 'x : varchar(5) # it's", "s", "expected `:` and a type"),
        ('a = "x" y : varchar(5)', "y : varchar(5)", "expected `:` and a type"),
        (
            'a = "x" "y" : varchar(5)',
            '"y" : varchar(5)',
            "expected `:` and a type; a text stands between quotes",
        ),
        (
            "a = it's : varchar(9)",
            "'s : varchar(9)",
            "expected `:` and a type; a text stands between quotes",
        ),
        (
            'a = b"c" : varchar(9)',
            '"c" : varchar(9)',
            "expected `:` and a type; a text stands between quotes",
        ),
        ("a = a#b : varchar(5)", "#b : varchar(5)", "expected `:` and a type"),
        ("a = b:c : varchar(9)", "c : varchar(9)", "unsupported attribute type `c`." + THE_TYPES),
    ],
)
def test_no_default(text, under, message):
    assert failure(text) == (1, under, message)


# -- foreign keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "nullable", "unique"),
    [
        ("", False, False),
        ("[ ]", False, False),
        ("[nullable, nullable]", True, False),
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


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "-> [optional] Subject",
            "optional] Subject",
            "expected an option: `nullable` or `unique`",
        ),
        (
            "-> [unique, optional] Subject",
            "optional] Subject",
            "expected an option: `nullable` or `unique`",
        ),
        ("-> [unique optional] Subject", "optional] Subject", "expected `,` or `]`"),
        ("-> [unique,] Subject", "] Subject", "expected an option: `nullable` or `unique`"),
        ("-> [,] Subject", ",] Subject", "expected an option: `nullable` or `unique`"),
        ("-> [unique Subject", "Subject", "expected `,` or `]`"),
        (
            '-> ["unique"] Subject',
            '"unique"] Subject',
            "expected an option: `nullable` or `unique`",
        ),
        (
            "-> Subject [nullable]",
            "[nullable]",
            "the options of a foreign key stand before the table, as in `-> [nullable] Table`",
        ),
        (
            "-> Subject [ Unique, nullable]",
            "[ Unique, nullable]",
            "the options of a foreign key stand before the table, as in `-> [nullable] Table`",
        ),
    ],
)
def test_no_option(text, under, message):
    assert failure(text) == (1, under, message)


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
        ("-> Subject ( )", ("Subject",)),
        ("-> lab . Subject", ("lab", "Subject")),
        ("-> Session.Trial()", ("Session", "Trial")),
        ("-> Projection.project_id", ("Projection", "project_id")),
        ("-> proj", ("proj",)),
        ("-> Größe", ("Größe",)),
        ("-> nullable", ("nullable",)),
        ("-> lab.Subject()", ("lab", "Subject")),
        ("-> Subject # who", ("Subject",)),
        ("-> Subject# who -> whom.proj(a='b')", ("Subject",)),
        ("-> Scan2P", ("Scan2P",)),
        ("-> _private.Table_1", ("_private", "Table_1")),
    ],
)
def test_tables(text, path):
    item = parsed_line(text, in_key=True)
    assert (item.reference, item.nullable, item.unique) == (Reference(path), False, False)


@pytest.mark.parametrize(
    ("text", "path", "renames"),
    [
        ("-> `lab`.`subject`", ("lab", "subject"), ()),
        ("-> `lab`.`__filtered_image`", ("lab", "__filtered_image"), ()),
        ("-> `lab-1`.`session__trial`", ("lab-1", "session__trial"), ()),
        ("-> `lab`.`subject`.proj(a='b')", ("lab", "subject"), (("a", "b"),)),
        ("-> `lab` . `#probe`", ("lab", "#probe"), ()),
        ("-> `lab`.`#probe`.proj(a='b') # why", ("lab", "#probe"), (("a", "b"),)),
        ("-> `lab`.`#probe__site`", ("lab", "#probe__site"), ()),
    ],
)
def test_tables_by_their_name_in_the_database(text, path, renames):
    assert parsed_line(text, in_key=True).reference == Reference(path, renames, literal=True)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("->", "", EXPECTED_TABLE),
        ("-> # nobody", "# nobody", EXPECTED_TABLE),
        ("-> []", "", EXPECTED_TABLE),
        ("->> Subject", "> Subject", EXPECTED_TABLE),
        ("-> 2p.Subject # x", "2p.Subject # x", EXPECTED_TABLE),
        ('-> "Subject"', '"Subject"', EXPECTED_TABLE),
        ("-> (Subject)", "(Subject)", EXPECTED_TABLE),
        ("-> .Subject", ".Subject", EXPECTED_TABLE),
        ("-> Subject.", "", "expected a name after the dot"),
        ("-> Subject..proj()", ".proj()", "expected a name after the dot"),
        ("-> lab.2p", "2p", "expected a name after the dot"),
        ("-> Subject(a='b')", "a='b')", NO_CALL),
        (
            "-> Cell(presynaptic_slice='slice_id', presynaptic_cell='cell_id')",
            "presynaptic_slice='slice_id', presynaptic_cell='cell_id')",
            NO_CALL,
        ),
        ("-> __import__('os').system('ls')", "'os').system('ls')", NO_CALL),
        ("-> Subject.aggr(Session)", "Session)", NO_CALL),
        ("-> `subject`", "", "expected `.` and the name of the table between backquotes"),
        ("-> `lab`.subject", "subject", "expected a table between backquotes"),
        ("-> `lab`.`subject`.Part", "Part", "expected `proj(new_name='old_name')`"),
        ("-> `lab", "`lab", EXPECTED_TABLE),
        ("-> ``.`subject`", "``.`subject`", EXPECTED_TABLE),
    ],
)
def test_no_table(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "(a) -> Subject",
            "(a) -> Subject",
            "a foreign key begins with `->`: write `-> Subject.proj(a='old_name')`",
        ),
        (
            "(a, b) -> lab.Cell (c, d) # x",
            "(a, b) -> lab.Cell (c, d) # x",
            "a foreign key begins with `->`: write `-> lab.Cell.proj(a='c', b='d')`",
        ),
        (
            "( a ) ->Subject(b)",
            "( a ) ->Subject(b)",
            "a foreign key begins with `->`: write `-> Subject.proj(a='b')`",
        ),
        (
            "() -> Subject",
            "() -> Subject",
            "a foreign key begins with `->`: write `-> Subject.proj()`",
        ),
        (
            "-> Subject, Session",
            ", Session",
            "a foreign key refers to one table; write a line for each",
        ),
        (
            "-> Subject & 'a=1'",
            "& 'a=1'",
            "a foreign key refers to all of a table, which cannot be restricted here",
        ),
        (
            "-> Subject - Session",
            "- Session",
            "a foreign key refers to all of a table, which cannot be restricted here",
        ),
        (
            "-> Subject * Session",
            "* Session",
            "a foreign key refers to one table; write a line for each",
        ),
        (
            "-> Subject @ Session",
            "@ Session",
            "a foreign key refers to one table; write a line for each",
        ),
        (
            "-> Subject + Session",
            "+ Session",
            "a foreign key refers to one table; write a line for each",
        ),
        (
            "-> Subject -> Session",
            "-> Session",
            "a foreign key refers to one table; write a line for each",
        ),
        ("-> Subject Session", "Session", EXPECTED_END_OF_KEY),
        ("-> Subject;", ";", EXPECTED_END_OF_KEY),
        ("-> Subject : int", ": int", EXPECTED_END_OF_KEY),
        ("-> classes['S']", "['S']", EXPECTED_END_OF_KEY),
        (
            "-> Subject.proj(a='b') & 'x'",
            "& 'x'",
            "a foreign key refers to all of a table, which cannot be restricted here",
        ),
        ("-> Subject.proj(a='b').proj()", ".proj()", EXPECTED_END_OF_KEY),
        (
            "- > Subject",
            "- > Subject",
            "`-` cannot be the name of an attribute: it must begin with a letter from a to z",
        ),
    ],
)
def test_no_foreign_key(text, under, message):
    assert failure(text) == (1, under, message)


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
        ("-> Cell.proj ( ) # x", ("Cell",), ()),
        ("-> Cell.proj(...)", ("Cell",), ()),
        ("-> Cell.proj(a='b', ...)", ("Cell",), (("a", "b"),)),
        ("-> Cell.proj(a='b',)", ("Cell",), (("a", "b"),)),
        ("-> Cell . proj (a = ' b ' , c=\"d\" , )", ("Cell",), (("a", "b"), ("c", "d"))),
        ("-> Cell.proj(a='b', b='a')", ("Cell",), (("a", "b"), ("b", "a"))),
        ("-> Cell.proj(a='X')", ("Cell",), (("a", "X"),)),
        ("->[nullable]Cell.proj(a='b')", ("Cell",), (("a", "b"),)),
        ("-> self.cls.proj(a='b')", ("self", "cls"), (("a", "b"),)),
        ("-> self().cls.proj(a='b')", ("self", "cls"), (("a", "b"),)),
        ("-> master.proj(a='b')", ("master",), (("a", "b"),)),
    ],
)
def test_projections(text, path, renames):
    assert parsed_line(text, in_key=True).reference == Reference(path, renames)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-> Subject.proj", "", "expected `(new_name='old_name')`"),
        ("-> Subject.proj # x", "# x", "expected `(new_name='old_name')`"),
        ("-> Subject.proj(", "", EXPECTED_RENAME),
        ("-> Subject.proj(,)", ",)", EXPECTED_RENAME),
        ("-> Subject.proj(a='b'", "", "expected `,` or `)`"),
        ("-> Subject.proj(a='b' c='d')", "c='d')", "expected `,` or `)`"),
        ("-> Subject.proj(a='b',,)", ",)", EXPECTED_RENAME),
        ("-> Subject.proj(a='x', a='y')", "a='y')", "`a` is renamed twice"),
        ("-> Subject.proj(a='x', b='x')", "b='x')", "`x` is renamed twice"),
    ],
)
def test_no_projection(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-> Subject.proj('a')", "'a')", EXPECTED_RENAME),
        ('-> Subject.proj("-a")', '"-a")', EXPECTED_RENAME),
        ("-> Subject.proj(..)", "..)", EXPECTED_RENAME),
        ("-> Subject.proj(**{'a': 'b'})", "**{'a': 'b'})", EXPECTED_RENAME),
    ],
)
def test_no_pair(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-> Subject.proj(a", "", "expected `=` and the old name, as in `new_name='old_name'`"),
        (
            "-> Subject.proj(a: 'b')",
            ": 'b')",
            "expected `=` and the old name, as in `new_name='old_name'`",
        ),
        ("-> Subject.proj(a=", "", "expected the old name between quotes"),
        ("-> Subject.proj(a=b)", "b)", "expected the old name between quotes"),
        ("-> Subject.proj(a=`b`)", "`b`)", "expected the old name between quotes"),
        ("-> Subject.proj(a='b", "'b", "the quote ' is not closed"),
        ("-> Subject.proj(a=\"b')", "\"b')", 'the quote " is not closed'),
        (
            "-> Subject.proj(a='')",
            "'')",
            "a foreign key cannot compute attributes, only rename them",
        ),
        (
            "-> Subject.proj(b='x + 1')",
            "'x + 1')",
            "a foreign key cannot compute attributes, only rename them",
        ),
        (
            "-> Subject.proj(a='b', c = \"count(*)\")",
            '"count(*)")',
            "a foreign key cannot compute attributes, only rename them",
        ),
        (
            "-> Subject.proj(Mother='subject_id')",
            "Mother='subject_id')",
            "`Mother` cannot be the name of an attribute: it must be in lower case, as `mother`",
        ),
        (
            "-> Subject.proj(_a='b')",
            "_a='b')",
            "`_a` cannot be the name of an attribute: it must begin with a letter from a to z",
        ),
    ],
)
def test_no_rename(text, under, message):
    assert failure(text) == (1, under, message)


# -- indexes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "items", "unique"),
    [
        ("index(a)", ("a",), False),
        ("index (a, b)", ("a", "b"), False),
        ("INDEX ( a ,b )", ("a", "b"), False),
        ("Index(`a`, `b`)", ("a", "b"), False),
        ("unique index (a)", ("a",), True),
        ("UNIQUE   INDEX(b,a)", ("b", "a"), True),
        ("unique index (a) # no two alike (ever)", ("a",), True),
        ("unique\tindex\t(a)#x", ("a",), True),
        ("index (a, b,)", ("a", "b"), False),
        ("index (a asc, b DESC)", ("a", "b"), False),
        ("index (asc, desc)", ("asc", "desc"), False),
        ("index (index)", ("index",), False),
        ("Index(`a` desc, `weird name`)", ("a", "weird name"), False),
        ("index (a.b)", ("a.b",), False),
        ("index ( a . b [ 0 ] . c : VarChar(10) , d )", ("a.b[0].c:varchar(10)", "d"), False),
        (
            "UNIQUE index(a[3]:unsigned desc, b.c:decimal(5,2))",
            ("a[3]:unsigned", "b.c:decimal(5,2)"),
            True,
        ),
    ],
)
def test_indexes(text, items, unique):
    item = parsed_line(text)
    assert isinstance(item, IndexLine)
    assert (item.items, item.unique) == (items, unique)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "index a",
            "a",
            "expected `:` and a type; an index is written `index (…)` or `unique index (…)`",
        ),
        (
            "index b : int",
            "b : int",
            "expected `:` and a type; an index is written `index (…)` or `unique index (…)`",
        ),
        (
            "unique a",
            "a",
            "expected `:` and a type; an index is written `index (…)` or `unique index (…)`",
        ),
        (
            "unique (a)",
            "(a)",
            "expected `:` and a type; an index is written `index (…)` or `unique index (…)`",
        ),
        ("unique : (a)", "(a)", "unsupported attribute type `(a)`." + THE_TYPES),
        ("index : (a", "(a", "unsupported attribute type `(a`." + THE_TYPES),
        ("index (", "", "expected an attribute, or a path into one as in `document.key[0]`"),
        ("index ()", ")", "expected an attribute, or a path into one as in `document.key[0]`"),
        ("index (,)", ",)", "expected an attribute, or a path into one as in `document.key[0]`"),
        ("index (a", "", EXPECTED_END_OF_INDEX),
        ("index (a,", "", "expected an attribute, or a path into one as in `document.key[0]`"),
        (
            "index (a,,b)",
            ",b)",
            "expected an attribute, or a path into one as in `document.key[0]`",
        ),
        ("index (a b)", "b)", EXPECTED_END_OF_INDEX),
        ("index (a) x", "x", EXPECTED_END),
        ("index (a):int", ":int", EXPECTED_END),
    ],
)
def test_no_index(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize("item", ["a", "`a`", "a desc", "`a` ASC", "a.b", "a[0] desc", "a.b:int"])
def test_items(item):
    name = re.sub(r"`| (asc|desc)$", "", item, flags=re.IGNORECASE)
    assert parsed_line(f"index ({item})").items == (name,)
    both = parsed_line(f"index (x, {item})")
    assert (both.items, both.columns) == (("x", name), (7, 10))


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("index (A)", "A)", "expected an attribute, or a path into one as in `document.key[0]`"),
        ("index (2a)", "2a)", "expected an attribute, or a path into one as in `document.key[0]`"),
        ("index (`a)", "`a)", "expected an attribute, or a path into one as in `document.key[0]`"),
        (
            "index ('a')",
            "'a')",
            "expected an attribute, or a path into one as in `document.key[0]`",
        ),
        ("index (a(5))", "(5))", EXPECTED_END_OF_INDEX),
        ("index (lower(a))", "(a))", EXPECTED_END_OF_INDEX),
        (
            "index ((a + 1))",
            "(a + 1))",
            "expected an attribute, or a path into one as in `document.key[0]`",
        ),
        ("index (a up)", "up)", EXPECTED_END_OF_INDEX),
        ("index (a:int)", ":int)", EXPECTED_END_OF_INDEX),
    ],
)
def test_no_item(text, under, message):
    assert failure(text) == (1, under, message)


JSON_PATHS = [
    ("a.b", JsonPath("a", ("b",))),
    ("a[0]", JsonPath("a", (0,))),
    ("a.b.c[10][2].d", JsonPath("a", ("b", "c", 10, 2, "d"))),
    ("a.b:unsigned", JsonPath("a", ("b",), "unsigned")),
    ("a.b:Decimal(10, 2)", JsonPath("a", ("b",), "decimal(10, 2)")),
    ("a . b [ 1 ] : INT", JsonPath("a", ("b", 1), "int")),
    ("a.Key-1.$x.größe", JsonPath("a", ("Key-1", "$x", "größe"))),
    ("a.0", JsonPath("a", ("0",))),
]


@pytest.mark.parametrize(("text", "path"), JSON_PATHS)
def test_json_paths(text, path):
    assert parse_json_path(text) == path
    assert parse_json_path(str(path)) == path
    assert parsed_line(f"index ({text})").items == (str(path),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:int",
        "A.b",
        ".b",
        "a.",
        "a..b",
        "a[",
        "a[]",
        "a[x]",
        "a[-1]",
        "a[0",
        "a.b:",
        "a.b:5",
        "a.b:int()",
        "a.b c",
        "a.b > 5",
        "a.b = 'x'",
        "a['b']",
        'a."b"',
        "a[1234567890]",
        "a.b:int,",
    ],
)
def test_no_json_path(text):
    assert parse_json_path(text) is None


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("index (a.)", ")", "expected a key of the document"),
        ("index (a.'b')", "'b')", "expected a key of the document"),
        ("index (a.b:)", ")", "expected a type, as in `:int`"),
        ("index (a.b:int x)", "x)", EXPECTED_END_OF_INDEX),
        ("index (a.b:5)", "5)", "expected a type, as in `:int`"),
    ],
)
def test_no_json_path_in_an_index(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("index (a..b)", ".b)", "expected a key of the document"),
        ("index (a[)", ")", "expected a position, from 0"),
        ("index (a[b])", "b])", "expected a position, from 0"),
        ("index (a[-1])", "-1])", "expected a position, from 0"),
        ("index (a.b[0)", ")", "expected `]`"),
        ("index (a[1234567890])", "1234567890])", "the number has more than 9 digits"),
    ],
)
def test_no_step(text, under, message):
    assert failure(text) == (1, under, message)


# -- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "high"),
    [
        ("INT", 2147483647),
        ("Int Unsigned", 4294967295),
        ("int(11)", 2147483647),
        ("int (11)", 2147483647),
        ("int( 11 )", 2147483647),
        ("int(10) unsigned", 4294967295),
        ("TINYINT(1)", 127),
        ("tinyint (3)  UNSIGNED", 255),
        ("smallint\tunsigned", 65535),
        ("int signed", 2147483647),
        ("BigInt Signed", 9223372036854775807),
        ("int(11)unsigned", 4294967295),
    ],
)
def test_integers_in_any_writing(text, high):
    type_ = parse_type(text)
    assert (type(type_), type_.high, type_.text) == (types.Integer, high, text)


@pytest.mark.parametrize(
    ("text", "precision", "scale", "unsigned"),
    [
        ("decimal", 10, 0, False),
        ("decimal(0)", 10, 0, False),
        ("decimal(0,0)", 10, 0, False),
        ("decimal(5)", 5, 0, False),
        ("decimal(5,2)unsigned", 5, 2, True),
        ("decimal(5,2)", 5, 2, False),
        ("DECIMAL ( 5 , 2 )", 5, 2, False),
        ("numeric(65,30)", 65, 30, False),
        ("Numeric(8, 8) Unsigned", 8, 8, True),
        ("decimal unsigned", 10, 0, True),
        ("decimal(1,0)", 1, 0, False),
    ],
)
def test_decimals(text, precision, scale, unsigned):
    assert parse_type(text) == types.Decimal(text, precision, scale, unsigned)


@pytest.mark.parametrize(
    ("text", "single", "unsigned"),
    [
        ("float", True, False),
        ("FLOAT", True, False),
        ("float(7,3)", True, False),
        ("float unsigned", True, True),
        ("float(24)", True, False),
        ("float(25)", False, False),
        ("Float ( 53 ) unsigned", False, True),
        ("double", False, False),
        ("Double(5,2)", False, False),
        ("double ( 5 , 2 ) unsigned", False, True),
        ("real", False, False),
    ],
)
def test_floats(text, single, unsigned):
    assert parse_type(text) == types.Float(text, single, unsigned)


@pytest.mark.parametrize(
    ("text", "length", "fixed"),
    [
        ("char(1)", 1, True),
        ("CHAR(255)", 255, True),
        ("varchar(30)", 30, False),
        ("varchar (30)", 30, False),
        ("VarChar( 65535 )", 65535, False),
    ],
)
def test_strings(text, length, fixed):
    assert parse_type(text) == types.String(text, length, fixed)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("enum('a')", ("a",)),
        (r"enum('it\'s', 'b\\')", ("it's", "b\\")),
        ("enum ('->', '---', 'a:b', '#')", ("->", "---", "a:b", "#")),
        ('enum("a","b")', ("a", "b")),
        ("ENUM ( 'Left' , \"right\" )", ("Left", "right")),
        ('enum(\'it\'\'s\', "say ""hi""")', ("it's", 'say "hi"')),
        ('enum(\'say "hi"\', "it\'s")', ('say "hi"', "it's")),
        ("enum('a, b', '(c)', '')", ("a, b", "(c)", "")),
        ("enum('é', 'Ω # 1')", ("é", "Ω # 1")),
    ],
)
def test_enums(text, members):
    assert parse_type(text) == types.Enum(text, members)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bool", types.Bool("bool", 0, 1)),
        ("Boolean", types.Bool("Boolean", 0, 1)),
        ("date", types.Date("date")),
        ("DATE", types.Date("DATE")),
        ("datetime", types.DateTime("datetime", 0)),
        ("datetime(6)", types.DateTime("datetime(6)", 6)),
        ("DateTime ( 3 )", types.DateTime("DateTime ( 3 )", 3)),
        ("timestamp", types.Timestamp("timestamp", 0)),
        ("timestamp(3)", types.Timestamp("timestamp(3)", 3)),
        ("time", types.Time("time", 0)),
        ("TIME(2)", types.Time("TIME(2)", 2)),
        ("year", types.Year("year")),
        ("Year(4)", types.Year("Year(4)")),
        ("json", types.Json("json")),
        ("JSON", types.Json("JSON")),
        ("attach", types.Attachment("attach")),
        ("Attach", types.Attachment("Attach")),
        ("attach@store", types.External("attach@store", "attach", "store")),
        ("BLOB@my-store_2", types.External("blob@my-store_2", "blob", "my-store_2")),
        ("blob @ store", types.External("blob@store", "blob", "store")),
        ("filepath@Store", types.External("filepath@Store", "filepath", "Store")),
        ("<graph>", types.Adapted("<graph>", "graph")),
        ("< my.Graph-2 >", types.Adapted("<my.Graph-2>", "my.Graph-2")),
        ("serial", types.Integer("bigint unsigned", 0, 18446744073709551615, True)),
        ("Serial", types.Integer("bigint unsigned", 0, 18446744073709551615, True)),
        ("uuid", types.UUID("uuid")),
        ("UUID", types.UUID("UUID")),
        ("tinyblob", types.Blob("tinyblob", 255)),
        ("blob", types.Blob("blob", 65535)),
        ("mediumblob", types.Blob("mediumblob", 16777215)),
        ("LongBlob", types.Blob("LongBlob", 4294967295)),
    ],
)
def test_other_types(text, expected):
    assert parse_type(text) == expected


@pytest.mark.parametrize("text", ["int", "INTEGER", "tinyint", "SmallInt", "MEDIUMINT", "bigint"])
def test_integers(text):
    for written in (text, f"{text}(3)", f"{text} ( 3 ) unsigned"):
        type_ = parse_type(written)
        assert (type(type_), type_.text) == (types.Integer, written)


@pytest.mark.parametrize("text", ["int8", "long", "hugeint", "number", "int[]", "intunsigned"])
def test_no_integer(text):
    with pytest.raises(DataJointError, match=r"unsupported attribute type|is not expected"):
        parse_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "int ",
        "Decimal (5, 2)  unsigned",
        "attach",
        "blob",
        "date",
        "bool",
        "<graph>",
        "json",
        "int",
        "enum('a' , \"b\")",
        "blob@store",
        "varchar (30)",
        "timestamp",
        "year",
        "double",
        "uuid",
    ],
)
def test_types_keep_their_writing(text):
    text = text.strip()
    assert (parse_type(f"  {text}\t").text, str(parse_type(text))) == (text, text)
    for line in (f"a:{text}", f"a  :  {text}  # comment", f"a : {text} "):
        assert parsed_line(line).type.text == text


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "a : text # notes",
            "text # notes",
            "unsupported attribute type `text`; write `varchar(N)`." + THE_TYPES,
        ),
        (
            "a : LongText",
            "LongText",
            "unsupported attribute type `LongText`; write `varchar(N)`." + THE_TYPES,
        ),
        (
            "a : string",
            "string",
            "unsupported attribute type `string`; write `varchar(N)`." + THE_TYPES,
        ),
        (
            "a : binary(16)",
            "binary(16)",
            "unsupported attribute type `binary`; write `longblob`." + THE_TYPES,
        ),
        ("a : bit(1)", "bit(1)", "unsupported attribute type `bit`; write `bool`." + THE_TYPES),
        (
            "a : set('a', 'b')",
            "set('a', 'b')",
            "unsupported attribute type `set`; write `bool` for each member, or `enum`."
            + THE_TYPES,
        ),
        (
            "a : smallblob",
            "smallblob",
            "unsupported attribute type `smallblob`; write `longblob`." + THE_TYPES,
        ),
        (
            "a : varchr(5)",
            "varchr(5)",
            "unsupported attribute type `varchr`; did you mean `varchar`?" + THE_TYPES,
        ),
        (
            "a : point",
            "point",
            "unsupported attribute type `point`; did you mean `int`?" + THE_TYPES,
        ),
        ("a : unsigned", "unsigned", "unsupported attribute type `unsigned`." + THE_TYPES),
        ("a : 5", "5", "unsupported attribute type `5`." + THE_TYPES),
        (
            'a : "int"',
            '"int"',
            'unsupported attribute type `"int"`; did you mean `int`?' + THE_TYPES,
        ),
        (
            "a : (int)",
            "(int)",
            "unsupported attribute type `(int)`; did you mean `int`?" + THE_TYPES,
        ),
        ("a : -", "-", "unsupported attribute type `-`." + THE_TYPES),
        ("a : <>", "<>", "unsupported attribute type `<>`." + THE_TYPES),
        ("a : <a b>", "<a b>", "unsupported attribute type `<a b>`." + THE_TYPES),
        ("a : <graph", "<graph", "unsupported attribute type `<graph`." + THE_TYPES),
        (
            "a : int zerofill",
            "zerofill",
            "how a number is displayed is no part of its type; leave out `zerofill`",
        ),
        (
            "a : int unsigned zerofill",
            "zerofill",
            "how a number is displayed is no part of its type; leave out `zerofill`",
        ),
        ("a : int unsinged", "unsinged", EXPECTED_END),
        ("a : int signed unsigned", "unsigned", "only a number can be unsigned"),
        ("a : int(11", "", "expected `)`"),
        ("a : int(", "", "expected a number"),
        ("a : int()", ")", "expected a number"),
        ("a : int(a)", "a)", "expected a number"),
        ("a : int(-1)", "-1)", "expected a number"),
        ("a : int(1,2)", ",2)", "expected `)`"),
        ("a : int(1234567890)", "1234567890)", "the number has more than 9 digits"),
        ("a : int٢", "int٢", "unsupported attribute type `int٢`; did you mean `int`?" + THE_TYPES),
        ("a : decimal(5,6)", "decimal(5,6)", DECIMAL),
        ("a : decimal(66,2)", "decimal(66,2)", DECIMAL),
        ("a : decimal(0,2)", "decimal(0,2)", DECIMAL),
        ("a : decimal(40,31)", "decimal(40,31)", DECIMAL),
        ("a : decimal(5,2,1)", ",1)", "expected `)`"),
        ("a : decimal(,2)", ",2)", "expected a number"),
        ("a : double(5)", "double(5)", "`double` has two numbers or none, as in `double(7,3)`"),
        (
            "a : double(5,6)",
            "double(5,6)",
            "a double has up to 255 digits, of which up to 30 and no more than all are fractional",
        ),
        ("a : float(54)", "float(54)", "a float has at most 53 binary digits"),
        (
            "a : float(256,2)",
            "float(256,2)",
            "a float has up to 255 digits, of which up to 30 and no more than all are fractional",
        ),
        (
            "a : float(40,31)",
            "float(40,31)",
            "a float has up to 255 digits, of which up to 30 and no more than all are fractional",
        ),
        ("a : double precision", "precision", EXPECTED_END),
        ("a : char", "", "expected `(` and a length, as in `char(30)`"),
        ("a : char(256)", "char(256)", "the length of char is at most 255"),
        ("a : varchar", "", "expected `(` and a length, as in `varchar(30)`"),
        ("a : varchar()", ")", "expected a number"),
        ("a : VARCHAR(65536)", "VARCHAR(65536)", "the length of varchar is at most 65535"),
        ("a : varchar(1.5)", ".5)", "expected `)`"),
        ("a : varchar(5) unsigned", "unsigned", "only a number can be unsigned"),
        ("a : varchar(5) binary", "binary", EXPECTED_END),
        ("a : enum", "", "expected `(` and the members, as in `enum('left', 'right')`"),
        ("a : enum()", ")", "expected a member between quotes"),
        ("a : enum(a, b)", "a, b)", "expected a member between quotes"),
        ("a : enum('a' 'b')", "'b')", "expected `,` or `)`"),
        ("a : enum('a',)", ")", "expected a member between quotes"),
        ("a : enum('a'", "", "expected `,` or `)`"),
        ("a : enum('a', 'b', 'a')", "enum('a', 'b', 'a')", "an enum has no member twice"),
        ("a : enum('a', 'A')", "enum('a', 'A')", "an enum has no member twice"),
        ("a : bool(1)", "(1)", "the type takes no more numbers between parentheses"),
        ("a : date(3)", "(3)", "the type takes no more numbers between parentheses"),
        ("a : datetime()", ")", "expected a number"),
        ("a : datetime unsigned", "unsigned", "only a number can be unsigned"),
        ("a : datetime(7)", "datetime(7)", "a second has at most 6 fractional digits"),
        ("a : timestamp(9)", "timestamp(9)", "a second has at most 6 fractional digits"),
        ("a : time(7)", "time(7)", "a second has at most 6 fractional digits"),
        ("a : year(2)", "year(2)", "a year has 4 digits"),
        ("a : uuid(16)", "(16)", "the type takes no more numbers between parentheses"),
        ("a : serial unsigned", "unsigned", "only a number can be unsigned"),
        (
            "a : longblob@store",
            "@store",
            "only `blob`, `attach` and `filepath` are kept in stores, as in `blob@store`",
        ),
        ("a : blob@", "", "expected the name of a store"),
        ("a : blob@2x", "2x", "expected the name of a store"),
        ("a : attach@", "", "expected the name of a store"),
        ("a : filepath", "", "expected `@` and the name of a store, as in `filepath@store`"),
        ("a : filepath@", "", "expected the name of a store"),
    ],
)
def test_no_type(text, under, message):
    assert failure(text) == (1, under, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a type"),
        ("text", "unsupported attribute type `text`; write `varchar(N)`." + " The types are"),
        ("int zerofill", "`zerofill` is not expected; how a number is displayed"),
        ("varchar(5) x", "`x` is not expected"),
        ("int # x", "`# x` is not expected"),
        ("int; drop table subject", "`; drop table subject` is not expected"),
        ("int\nunsigned, x int", "`, x int` is not expected"),
        ("varchar(65536)", "the length of varchar is at most 65535"),
    ],
)
def test_no_type_by_itself(text, message):
    with pytest.raises(DataJointError) as error:
        parse_type(f" {text} ")
    assert str(error.value).startswith(f"Attribute type `{text}`: {message}")


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("int(11)", types.Integer("int(11)", -(2**31), 2**31 - 1, False)),
        ("text", types.Other("text")),
        ("geometry", types.Other("geometry")),
        ("int(", types.Other("int(")),
    ],
)
def test_types_of_columns(text, type_):
    assert column_type(text) == type_


# -- strings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''", ""),
        ('""', ""),
        ("'abc'", "abc"),
        ("'it''s'", "it's"),
        (r"'it\'s'", "it's"),
        ('"it\'s"', "it's"),
        ("'\"'", '"'),
        ('""""', '"'),
        (r'"\""', '"'),
        ("''''", "'"),
        ("'\"\"'", '""'),
        (r"'\\'", "\\"),
        (r"'a\\n'", r"a\n"),
        (r"'\n\t\r\b\0\Z'", "\n\t\r\b\0\x1a"),
        (r"'\a\x'", "ax"),
        (r"'100\% \_'", r"100\% \_"),
        ("'# : = ->'", "# : = ->"),
        ("'Ω 😀'", "Ω 😀"),
        ("'two\nlines'", "two\nlines"),
        # no strings: they stand for themselves
        ("", ""),
        ("abc", "abc"),
        ("'", "'"),
        ("'abc", "'abc"),
        ("'a'b'", "'a'b'"),
        (r"'abc\'", r"'abc\'"),
        ("'a\"", "'a\""),
        ("'a' ", "'a' "),
    ],
)
def test_strings_between_quotes(text, value):
    assert unquote(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ('"', r'"\""'),
        ("\\", r'"\\"'),
        ("a\nb", r'"a\nb"'),
        ("\\n", r'"\\n"'),
        ("%_", '"%_"'),
        ("\x00\x1a", r'"\0\Z"'),
    ],
)
def test_writing_strings(value, text):
    assert quoted(value) == text
    assert unquote(text) == value


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("a : enum('x", "'x", "the quote ' is not closed"),
        ("a : enum('x', \"y')", "\"y')", 'the quote " is not closed'),
        ("a : enum('x\\')", "'x\\')", "the quote ' is not closed"),
        ("a = 'x\\' : varchar(5)", "'x\\' : varchar(5)", "the quote ' is not closed"),
        ("-> Subject.proj(a='b)", "'b)", "the quote ' is not closed"),
    ],
)
def test_no_string(text, under, message):
    assert failure(text) == (1, under, message)
