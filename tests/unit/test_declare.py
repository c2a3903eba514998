"""The definition language: what lines mean, and what is said of lines that mean nothing."""

import pytest

from datajoint.attribute_adapter import AttributeAdapter, adapt, require
from datajoint.declare import ForeignKey, TableName, TableSpec, resolve, with_timestamp
from datajoint.errors import DataJointError
from datajoint.grammar import (
    AttributeLine,
    parse_definition,
    parse_type,
)
from datajoint.heading import Attribute, Heading, Index

from .definitions import failure, parsed_line

NAME = TableName("lab", "child")


def attribute(name, type_, **options):
    return Attribute(name, parse_type(type_), **options)


def parsed_attribute(text, *, in_key=False):
    assert isinstance(parsed_line(text, in_key=in_key), AttributeLine)
    heading = resolved(text if in_key else f"own_key : int\n---\n{text}").heading
    (found,) = [each for each in heading.attributes.values() if each.name != "own_key"]
    return found


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
ONLY = TableSpec(
    TableName("lab", "settings"),
    Heading(
        (
            attribute("rate", "float"),
            attribute(
                "_singleton", "enum('1')", in_key=True, default='"1"', comment="the only entity"
            ),
        )
    ),
)
PAIR = spec(
    "pair",
    attribute("one", "int", in_key=True),
    attribute("two", "int", in_key=True),
)
TABLES = {
    ("Settings",): ONLY,
    ("Pair",): PAIR,
    ("u", "Probe"): PROBE,
    ("Child",): None,
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


class Adapter(AttributeAdapter):
    attribute_type = None

    def __init__(self, attribute_type):
        self.attribute_type = attribute_type

    def put(self, obj):
        return obj

    def get(self, value):
        return value


ADAPTERS = {
    "graph": Adapter("longblob"),
    "angle": Adapter("decimal(4,1)"),
    "raw": Adapter("blob@store"),
    "document": Adapter("json"),
    "tree": Adapter("<graph>"),
    "egg": Adapter("<hen>"),
    "hen": Adapter("<egg>"),
    "old": Adapter("text"),
}


def adapted(type_):
    found = adapt(type_, ADAPTERS.get)
    require(found)
    return found


def resolved(text):
    return resolve(parse_definition(text), NAME, lookup, adapted)


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
        # numbers, dates and times in one writing
        ("a='20200531' : date", attribute("a", "date", default='"2020-05-31"')),
        ("a=2020-5-31 : date", attribute("a", "date", default='"2020-05-31"')),
        ("a='2020-05-31' : datetime", attribute("a", "datetime", default='"2020-05-31 00:00:00"')),
        (
            "a='12345678123456781234567812345678' : uuid",
            attribute("a", "uuid", default='"12345678-1234-5678-1234-567812345678"'),
        ),
        ("a=null : <graph>", attribute("a", "<graph>", nullable=True, default="null")),
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


# -- singletons, stores, adapters and documents ---------------------------------------------------

SINGLETON = attribute(
    "_singleton", "enum('1')", in_key=True, default='"1"', comment="the only entity"
)


@pytest.mark.parametrize("text", ["---\na : int", "# table\n---\na : int\nindex (a)"])
def test_a_table_without_primary_key_has_a_hidden_one(text):
    heading = resolved(text).heading
    assert heading.all_attributes == (SINGLETON, attribute("a", "int"))
    assert (heading.names, heading.primary_key) == (["a"], [])


def test_secondary_foreign_keys_only():
    child = resolved("---\n-> Subject")
    assert child.heading.all_attributes == (
        SINGLETON,
        attribute("subject_id", "int unsigned", comment='the "id"'),
    )
    assert child.foreign_keys == (ForeignKey(SUBJECT.name, (("subject_id", "subject_id"),)),)


def test_foreign_key_to_a_singleton():
    child = resolved("a : int\n---\n-> Settings\nb : int")
    assert child.heading.names == ["a", "b"]
    assert child.heading.primary_key == ["a"]
    assert child.foreign_keys == (ForeignKey(ONLY.name, (("_singleton", "_singleton"),)),)
    in_key = resolved("-> Settings\na : int")
    assert in_key.heading.stored_key == ["a", "_singleton"]
    only = resolved("-> Settings\n---\na : int")
    assert (only.heading.names, only.heading.primary_key) == (["a"], [])
    assert only.foreign_keys == child.foreign_keys


def test_foreign_key_to_the_table_itself():
    child = resolved("a : int\nb : int\n---\n-> [nullable] Child.proj(before='a')")
    assert child.heading.names == ["a", "b", "before"]
    assert child.foreign_keys == (ForeignKey(NAME, (("before", "a"), ("b", "b"))),)


def test_attributes_in_stores_refer_to_what_tracks_them():
    child = resolved("a : int\n---\nb : blob@raw\n-> Subject\nc=null : attach@my-store # c")
    assert child.heading["c"] == attribute(
        "c", "attach@my-store", nullable=True, default="null", comment="c"
    )
    assert child.foreign_keys == (
        ForeignKey(TableName("lab", "~external_raw"), (("b", "hash"),)),
        ForeignKey(SUBJECT.name, (("subject_id", "subject_id"),)),
        ForeignKey(TableName("lab", "~external_my-store"), (("c", "hash"),)),
    )


def test_adapted_types():
    child = resolved("a : <angle>\n---\nb=1 : <angle>\nc=null : <tree>\nd : <raw>\nindex (b)")
    a, b, c, d = child.heading.attributes.values()
    assert (a.type, a.in_key, a.adapter) == ("<angle>", True, ADAPTERS["angle"])
    assert a.stored_type == parse_type("decimal(4,1)")
    assert (b.default, c.default, c.nullable) == ("1.0", "null", True)
    assert (c.adapter, c.stored_type) == (ADAPTERS["tree"], parse_type("longblob"))
    assert (d.is_external, d.store) == (True, "store")
    assert child.foreign_keys == (
        ForeignKey(TableName("lab", "~external_store"), (("d", "hash"),)),
    )


def test_indexes_into_documents():
    child = resolved("a : int\n---\nb : json\nc : <document>\nindex (b.x[0]:signed, a, c . y)")
    assert child.heading.secondary_indexes == (Index(("b.x[0]:signed", "a", "c.y")),)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "a = abc : int",
            "abc : int",
            "the default abc is not a number, as the type `int` asks",
        ),
        (
            "a = 1.5 : int # n",
            "1.5 : int # n",
            "the default 1.5 is no integer, as the type `int` asks",
        ),
        (
            "a = 300 : tinyint # n",
            "300 : tinyint # n",
            "the default 300 is out of range (-128 to 127), as the type `tinyint` asks",
        ),
        (
            'a = "up" : enum("left", "right")',
            '"up" : enum("left", "right")',
            "the default \"up\" is none of 'left', 'right', as the type `enum(\"left\", "
            '"right")` asks',
        ),
        (
            "a='2020-02-30' : date",
            "'2020-02-30' : date",
            "the default '2020-02-30' is not a date that exists, as the type `date` asks",
        ),
        (
            "a='abcd' : varchar(3)",
            "'abcd' : varchar(3)",
            "the default 'abcd' has 4 characters, of which 3 are allowed, as the type "
            "`varchar(3)` asks",
        ),
        (
            "a = CURRENT_TIMESTAMP : int",
            "CURRENT_TIMESTAMP : int",
            "`CURRENT_TIMESTAMP` cannot be the default of type `int`",
        ),
        (
            "a = CURRENT_TIMESTAMP(3) : date",
            "CURRENT_TIMESTAMP(3) : date",
            "`CURRENT_TIMESTAMP(3)` cannot be the default of type `date`",
        ),
        (
            "a = uuid() : uuid",
            "uuid() : uuid",
            "the default uuid() is not a UUID, as the type `uuid` asks",
        ),
        *(
            (
                f"a = 0 : {type_}",
                f"0 : {type_}",
                f"an attribute of type `{type_}` can have no default but null",
            )
            for type_ in ("longblob", "attach", "blob@store", "filepath@store", "json", "<graph>")
        ),
    ],
)
def test_wrong_defaults(text, under, message):
    assert failure(f"x : int\n---\n{text}", resolved) == (3, under, message)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        (
            "a = null : int",
            "null : int",
            "an attribute of the primary key identifies the entity, and cannot be null",
        ),
        *(
            (
                f"a : {type_} # x",
                f"{type_} # x",
                f"`{type_}` cannot be in the primary key: its values cannot be compared",
            )
            for type_ in ("longblob", "attach", "blob@store", "filepath@store", "json", "<tree>")
        ),
        *(
            (
                f"-> {options} Subject",
                f"{options} Subject",
                "a foreign key in the primary key identifies the entity, and cannot be nullable",
            )
            for options in ("[nullable]", "[unique, Nullable]")
        ),
    ],
)
def test_what_the_primary_key_cannot_have(text, under, message):
    assert failure(f"x : int\n{text}\n---\ny : int", resolved) == (2, under, message)
    below = resolved(f"x : int\n---\n{text}")
    assert len(below.heading.names) == 2


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("-> lab.Nobody # x", "lab.Nobody # x", "`lab.Nobody` is not known to the test"),
        ("-> [unique] Nobody", "Nobody", "`Nobody` is not known to the test"),
        ("-> [nullable] u.Nobody", "u.Nobody", "`u.Nobody` is not known to the test"),
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
            "-> Session.proj(a='session', s= ' a') # a",
            "a') # a",
            "`a` is not in the primary key of `lab`.`session`",
        ),
        (
            "-> [unique] Pair.proj(one='two')",
            "Pair.proj(one='two')",
            "`one` and `two` of `lab`.`pair` cannot both be `one` here; rename one of them",
        ),
        (
            "-> [nullable] Settings",
            "[nullable] Settings",
            "a foreign key to `lab`.`settings`, which has at most one entity and no primary key, "
            "cannot be nullable",
        ),
        (
            "-> [unique] Session.proj(x='session')",
            "Session.proj(x='session')",
            "attribute `x` is already defined, with type `int`; `session` of `lab`.`session` has "
            "type `smallint`",
        ),
        (
            "x : varchar(5)",
            "varchar(5)",
            "attribute `x` is already defined, with type `int`",
        ),
        (
            "y : int auto_increment",
            "int auto_increment",
            "only one attribute can be auto_increment, and `n` is",
        ),
        ("y : serial # n", "serial # n", "only one attribute can be auto_increment, and `n` is"),
        (
            "y : <unknown>",
            "<unknown>",
            "The adapter of type `<unknown>` is not known: define an instance of "
            "dj.AttributeAdapter with the name `unknown` where the class of the table is defined, "
            "give it as add_objects to the schema or virtual module, or install the package that "
            "provides it",
        ),
        ("y : <hen> # x", "<hen> # x", "The adapter `<hen>` adapts itself: <hen> → <egg> → <hen>"),
        ("index (x, yy)", "yy)", "`yy` is no attribute"),
        ("index (x, d)", "d)", "`d` is no attribute"),
        ("index (`X`)", "`X`)", "`X` is no attribute"),
        (
            "unique index (subjct_id)",
            "subjct_id)",
            "`subjct_id` is no attribute; did you mean `subject_id`?",
        ),
        ("index (x, n, x)", "x)", "`x` is twice in the index"),
        ("index (x, docs.key)", "docs.key)", "`docs` is no attribute; did you mean `doc`?"),
        (
            "index (x . key [0])",
            "x . key [0])",
            "`x.key[0]` is a path into a document, but `x` has type `int`, not json",
        ),
        (
            "index (x, doc)",
            "doc)",
            "`doc` of type `json` cannot be in an index; a path into it can, such as `doc.key`",
        ),
        ("index (x, image)", "image)", "`image` of type `longblob` cannot be in an index"),
    ],
)
def test_what_cannot_be_resolved(text, under, message):
    definition = (
        "# table\nx : int\nn : int auto_increment\n-> Subject\n---\ndoc : json\nimage : longblob\n"
        f"{text}"
    )
    parse_definition(definition)
    assert failure(definition, resolved) == (8, under, message)


def test_auto_increment_without_default():
    for default in ("1", "null"):
        assert failure(f"x : int\n---\na = {default} : int auto_increment", resolved) == (
            3,
            f"{default} : int auto_increment",
            "an auto_increment attribute cannot have a default",
        )


def test_type_of_an_adapter_that_is_no_type():
    number, under, message = failure("x : int\n---\na : <old> # x", resolved)
    assert (number, under) == (3, "<old> # x")
    assert message.startswith(
        "The adapter `<old>` has a wrong attribute_type. Attribute type `text`: unsupported "
        "attribute type `text`; write `varchar(N)`."
    )


def test_no_adapters_at_all():
    with pytest.raises(DataJointError, match="The adapter of type `<graph>` is not known"):
        resolve(parse_definition("a : int\n---\nb : <graph>"), NAME, lookup)


def test_foreign_key_on_an_attribute_of_another_type():
    assert failure("subject_id : varchar(9)\n---\n-> Subject", resolved) == (
        3,
        "Subject",
        "attribute `subject_id` is already defined, with type `varchar(9)`; `subject_id` of "
        "`lab`.`subject` has type `int unsigned`",
    )


@pytest.mark.parametrize("text", ["", "# table", "---", "# table\n---\n# nothing"])
def test_no_attributes(text):
    with pytest.raises(DataJointError) as error:
        resolved(text)
    assert str(error.value) == "The definition of `lab`.`child` has no attributes"


def test_the_hidden_timestamp_comes_last_and_is_named_by_the_table():
    added = with_timestamp(spec("hid", *SUBJECT.heading.all_attributes, schema="fmt_a"))
    *others, last = added.heading.all_attributes
    assert tuple(others) == SUBJECT.heading.all_attributes
    assert last == attribute(
        "_9c5d2a0d063d67f9574054baa620a0e9aec716bc_timestamp",
        "timestamp",
        default="CURRENT_TIMESTAMP",
    )
    assert added.heading.names == ["subject_id", "born"]
