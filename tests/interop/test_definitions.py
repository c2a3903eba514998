"""The same definition, declared by each client, gives the same table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Pair, Sql
from .sides import Here, Incumbent, IncumbentError, Side

ShowCreate = Callable[[str], dict[str, str]]


def attributes(*lines: str) -> str:
    """Write the class of a table that has these attributes below its key."""
    return "\n".join(
        [
            "@lab",
            "class Sample(dj.Manual):",
            "    definition = r'''",
            "    sample_id : int",
            "    ---",
            *(f"    {line}" for line in lines),
            "    '''",
        ]
    )


TYPES = [
    *(f"{name}int" for name in ("tiny", "small", "medium", "big", "")),
    *(f"{name}int unsigned" for name in ("tiny", "small", "medium", "big", "")),
    "integer",
    "INT",
    "int(5)",
    "smallint(3) unsigned",
    "decimal(9,3)",
    "decimal(9,3) unsigned",
    "numeric(4,1)",
    "decimal(6)",
    "decimal",
    "float",
    "double",
    "real",
    "float unsigned",
    "float(7,3)",
    "double(10,2)",
    "char(7)",
    "varchar(1)",
    "varchar(255)",
    "varchar(4000)",
    "enum('a','b')",
    "enum('a', 'b with blanks', 'c''s', 'é')",
    'enum("x","y")',
    "bool",
    "boolean",
    "date",
    "datetime",
    "datetime(3)",
    "datetime(6)",
    "time",
    "time(2)",
    "timestamp",
    "timestamp(6)",
    "year",
    "uuid",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
]

DEFAULTS = [
    "a = null : int",
    "a = NULL : varchar(10)",
    "a = null : uuid",
    "a = null : longblob",
    "a = null : datetime(6)",
    "a = null : timestamp",
    "a = null : enum('x','y')",
    "a = 0 : int",
    "a = -7 : smallint",
    "a=1.5 : float",
    "a = 1e-3 : double",
    "a = 2.50 : decimal(5,2)",
    'a = "3" : int unsigned',
    "a = 1 : bool",
    "a = 0 : tinyint",
    'a = "" : varchar(10)',
    "a = '' : varchar(10)",
    'a = "text" : varchar(10)',
    "a = 'text' : varchar(10)",
    "a = text : varchar(10)",
    'a = "it\'s" : varchar(10)',
    "a = 'say \"no\"' : varchar(10)",
    "a = 'it''s' : varchar(10)",
    'a = "a:b" : varchar(10)',
    "a = 'c#d' : varchar(10)",
    "a = 'naïve 細胞' : varchar(10)",
    'a = "null" : varchar(10)',
    'a = "CURRENT_TIMESTAMP" : varchar(30)',
    "a = 'x' : char(3)",
    "a = 'x' : enum('x','y')",
    'a = "y" : enum("x","y")',
    "a = y : enum('x','y')",
    "a = CURRENT_TIMESTAMP : timestamp",
    "a = current_timestamp : timestamp",
    "a = CURRENT_TIMESTAMP : datetime",
    "a = CURRENT_TIMESTAMP(6) : datetime(6)",
    "a = CURRENT_TIMESTAMP(3) : timestamp(3)",
    "a = '2020-01-02' : date",
    "a = 2020-01-02 : date",
    "a = '2020-01-02 03:04:05' : datetime",
    "a = '03:04:05' : time",
    "a = 2001 : year",
]

COMMENTS = [
    "a : int #",
    "a : int # plain",
    "a : int #no blank",
    "a : int # in the middle # of it",
    "a : int # at its end ##",
    'a : int # "quoted"',
    "a : int # it's",
    "a : int # `back`",
    "a : int # with: colon",
    "a : int # naïve 細胞",
    "a : int # a -> b, (c); d -- e /* f */",
    "a : uuid # the : id",
    "a : uuid",
    'a : uuid # "quoted"',
    "a = 'x#y' : varchar(5) # why",
    "a : enum('#','b') # signs",
    "a : enum('a:b','c') # colons",
]

# sources run with `lab`, a schema; `name`, its name; and `dj`
TABLES = {
    "comment of the table": """
@lab
class Sample(dj.Manual):
    definition = "# samples: it's `new` # 細胞\\n sample_id : int"
""",
    "no comment of the table": """
@lab
class Sample(dj.Manual):
    definition = '''

    # a remark
    sample_id : int # the key

    # another one
    -------
    # a third one
    x : int
    '''
""",
    "other separator": """
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int
    ____
    x : int
    '''
""",
    "text after the separator": """
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int
    --- what follows is not the key
    x : int
    '''
""",
    "key of many types": """
@lab
class Sample(dj.Manual):
    definition = '''
    a : bigint unsigned
    b : varchar(20) # b
    c : date
    d : datetime(3)
    e : uuid # e
    f : enum('x','y')
    g : decimal(6,2)
    h = 5 : smallint
    i = "i" : char(2)
    j : bool
    k : year
    l : float
    '''
""",
    "auto increment": """
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int unsigned auto_increment # counted
    ---
    x : int
    '''
""",
    "singleton of a tier": """
@lab
class ScanDay2P(dj.Manual):
    definition = "a : int"
@lab
class EEG(dj.Lookup):
    definition = "a : int"
@lab
class ROI(dj.Imported):
    definition = "-> ScanDay2P"
@lab
class X1Y2(dj.Computed):
    definition = "-> EEG"
""",
    "parts": """
@lab
class Session(dj.Manual):
    definition = '''
    session_id : int # of the session
    '''
    class Trial(dj.Part):
        definition = '''
        # a trial
        -> master
        trial : smallint # of the trial
        ---
        start : float
        '''
    class Note(dj.Part):
        definition = '''
        -> Session
        -> Session.Trial
        ---
        text : varchar(100)
        '''
@lab
class Spikes(dj.Computed):
    definition = '''
    -> Session
    '''
    class Unit(dj.Part):
        definition = '''
        -> master
        unit : int
        ---
        -> Session.Trial
        '''
@lab
class Kind(dj.Lookup):
    definition = "kind : varchar(8)"
    contents = [['a'], ['b']]
    class Alias(dj.Part):
        definition = '''
        -> Kind
        alias : varchar(8)
        '''
""",
    "lookup with contents": """
@lab
class Stain(dj.Lookup):
    definition = '''
    stain : varchar(12)
    ---
    colour = 'green' : enum('green','red')
    weight = null : float
    '''
    contents = [('dapi', 'red', 1.5), ('nissl', 'green', None)]
""",
    "foreign keys above and below": """
@lab
class Person(dj.Manual):
    definition = '''
    person : varchar(12) # who's name
    ---
    x : int
    '''
@lab
class Rig(dj.Lookup):
    definition = '''
    room : smallint unsigned # number
    rig = 'A' : char(1) # letter
    '''
@lab
class Session(dj.Manual):
    definition = '''
    -> Rig
    day : date
    ---
    before : int
    -> Person
    after = 5 : int
    '''
""",
    "renamed": """
@lab
class Node(dj.Manual):
    definition = '''
    graph : uuid # which
    node : int # id
    ---
    label : varchar(8)
    '''
@lab
class Edge(dj.Manual):
    definition = '''
    -> Node.proj(source='node')
    -> Node.proj(target="node")
    ---
    -> [nullable] Node.proj(other_graph='graph', over='node')
    '''
""",
    "self reference": """
@lab
class Cell(dj.Manual):
    definition = '''
    cell : int # id
    '''
@lab
class Mother(dj.Manual):
    definition = '''
    -> Cell
    ---
    -> Cell.proj(mother='cell')
    '''
""",
    "options": """
@lab
class Person(dj.Manual):
    definition = "person : int # id"
@lab
class Desk(dj.Manual):
    definition = '''
    room : int
    desk : int
    '''
@lab
class Place(dj.Manual):
    definition = '''
    place : int
    ---
    -> [nullable] Person
    -> [unique] Desk
    -> [nullable, unique] Person.proj(deputy='person')
    -> [UNIQUE, Nullable] Desk.proj(next_room='room', next_desk='desk')
    '''
@lab
class Only(dj.Manual):
    definition = '''
    -> [unique] Place
    -> Desk
    '''
""",
    "overlapping": """
@lab
class Subject(dj.Manual):
    definition = "subject : int # s"
@lab
class Session(dj.Manual):
    definition = '''
    -> Subject
    session : int
    '''
@lab
class Drug(dj.Manual):
    definition = '''
    -> Subject
    drug : varchar(8)
    '''
@lab
class Treatment(dj.Manual):
    definition = '''
    -> Session
    -> Drug
    ---
    -> Subject
    -> Session.proj(until='session')
    '''
@lab
class Typed(dj.Manual):
    definition = '''
    subject : int # own words
    ---
    -> Subject
    -> [nullable] Session
    '''
""",
    "types of referred attributes": """
@lab
class Parent(dj.Manual):
    definition = '''
    a : tinyint unsigned
    b = 3 : mediumint # b
    c : varchar(30)
    d : datetime(6)
    e : uuid # e
    f : enum('x','it''s')
    g : decimal(6,2)
    h : char(4)
    j : float
    k : timestamp
    '''
@lab
class Child(dj.Manual):
    definition = "-> Parent"
@lab
class Grandchild(dj.Manual):
    definition = '''
    n : int
    ---
    -> [nullable] Child.proj(a2='a', e2='e')
    '''
""",
    "indexes": """
@lab
class Sample(dj.Manual):
    definition = '''
    a : int
    b : int
    index(b)
    ---
    c : int
    d = null : varchar(30)
    e : date
    index (c, d)
    unique index (d)
    UNIQUE INDEX(c,e)
    index (e)
    '''
""",
    "indexes beside foreign keys": """
@lab
class Person(dj.Manual):
    definition = '''
    room : int
    person : int
    '''
@lab
class Place(dj.Manual):
    definition = '''
    place : int
    ---
    -> Person
    x : int
    index (x, person)
    unique index (person, room)
    index (room)
    '''
""",
    "62 characters": """
@lab
class {name}(dj.Manual):
    definition = '''
    sample_id : int
    '''
""".format(name="A" + "b" * 61),
}


def declare(side: Side, schema_name: str, source: str) -> None:
    side.reset()
    side.run(f"lab = schema({schema_name!r})\n" + source)


def assert_equal(found: dict[str, str], expected: dict[str, str]) -> None:
    """Compare tables one by one, so that what differs is shown in lines."""
    assert list(found) == list(expected) != []
    for table, text in expected.items():
        assert found[table] == text


@pytest.fixture
def assert_same_tables(
    here: Here, incumbent: Incumbent, schema_name: str, show_create: ShowCreate
) -> Callable[[str], None]:
    """Declare with each client, in schemas of their own, and compare."""

    def check(source: str) -> None:
        declare(incumbent, f"{schema_name}_a", source)
        declare(here, f"{schema_name}_b", source)
        expected = show_create(f"{schema_name}_a")
        assert_equal(show_create(f"{schema_name}_b"), expected)

    return check


SameTables = Callable[[str], None]


@pytest.mark.parametrize("type_", TYPES)
def test_types(assert_same_tables: SameTables, type_: str) -> None:
    assert_same_tables(attributes(f"a : {type_}", f"b : {type_}  # with a comment"))


@pytest.mark.parametrize("line", DEFAULTS)
def test_defaults(assert_same_tables: SameTables, line: str) -> None:
    assert_same_tables(attributes(line))


@pytest.mark.parametrize("line", COMMENTS)
def test_comments(assert_same_tables: SameTables, line: str) -> None:
    assert_same_tables(attributes(line))


@pytest.mark.parametrize("name", TABLES)
def test_tables(assert_same_tables: SameTables, name: str) -> None:
    assert_same_tables(TABLES[name])


def test_the_rows_of_contents(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql) -> None:
    source = TABLES["lookup with contents"]
    declare(incumbent, f"{schema_name}_a", source)
    declare(here, f"{schema_name}_b", source)
    expected = sql(f"SELECT * FROM `{schema_name}_a`.`#stain` ORDER BY 1")
    assert expected == [("dapi", "red", 1.5), ("nissl", "green", None)]
    assert sql(f"SELECT * FROM `{schema_name}_b`.`#stain` ORDER BY 1") == expected


def test_across_schemas(pair: Pair, show_create: ShowCreate) -> None:
    """Children of the same parents in another schema, one declared by each client."""
    parents = """
one, two = schema(name + "_one"), schema(name + "_two")
@one
class Person(dj.Manual):
    definition = "person : int # who"
@one
class Desk(dj.Manual):
    definition = '''
    -> Person
    desk = 'x' : varchar(5)
    '''
"""
    child = """
@two
class ChildOf{0}(dj.Manual):
    definition = '''
    -> Desk
    ---
    -> [nullable] Person.proj(other='person')
    '''
"""
    pair.run(parents)
    pair.maker.run(child.format("Maker"))
    pair.user.run(child.format("User"))
    tables = show_create(f"{pair.schema_name}_two")
    assert tables["child_of_user"].replace("of_user", "of_maker") == tables["child_of_maker"]
    assert tables["child_of_user"].count("REFERENCES `SCHEMA_one`.`") == 2


def test_names_of_63_characters(assert_same_tables: SameTables) -> None:
    assert_same_tables(TABLES["62 characters"].replace("Abb", "Abbb"))


@pytest.mark.parametrize("type_", ["attach", "json"])
def test_types_below_the_key(assert_same_tables: SameTables, type_: str) -> None:
    assert_same_tables(attributes(f"a : {type_}", f"b = null : {type_}  # with a comment"))


def test_types_of_stores(
    assert_same_tables: SameTables, here: Here, incumbent: Incumbent, tmp_path: Path
) -> None:
    """The tables that track stores are the same too."""
    place = f"dict(protocol='file', location={str(tmp_path)!r}, stage={str(tmp_path)!r})"
    stores = f"dj.config['stores'] = {{'ext': {place}, 'raw-2': {place}}}\n"
    assert_same_tables(
        stores
        + attributes(
            "a : blob@ext",
            "b = null : attach@ext  # with a comment",
            "c : filepath@raw-2",
            "index (sample_id)",
            "d : attach@raw-2",
        )
    )


def test_adapted_types(assert_same_tables: SameTables) -> None:
    assert_same_tables(
        ADAPTERS
        + attributes(
            "a : <graph>",
            "b = null : <graph>  # with a comment",
            "d : <short> # d",
            "index (d)",
        )
    )


ADAPTERS = """
def adapter(type_):
    class Adapter(dj.AttributeAdapter):
        attribute_type = type_
        def put(self, obj):
            return obj[::-1]
        def get(self, value):
            return value[::-1]
    return Adapter()
graph, short = map(adapter, ["longblob", "varchar(12)"])
"""


def test_values_of_adapted_types(pair: Pair) -> None:
    pair.run(
        "lab = schema(name)\n"
        + ADAPTERS
        + attributes("a : <graph>", "b = null : <graph>", "c : <short>")
    )
    row = {"sample_id": 1, "a": [1, 2], "b": ["x", 3.5], "c": "abc"}
    pair.maker.run("Sample.insert1(row)", row=row)
    pair.user.run("Sample.insert1(row)", row={**row, "sample_id": 2, "b": []})
    for key in (1, 2):
        pair.assert_same("(Sample & dict(sample_id=key)).fetch1()", key=key)
    assert pair.user.value("(Sample & dict(sample_id=1)).fetch1()") == row
    pair.assert_same("(Sample & 'sample_id=1').fetch1('c', 'b')")
    lines = [line.split() for line in pair.maker.value("Sample.describe()").splitlines()]
    assert lines == [line.split() for line in pair.user.value("Sample.describe()").splitlines()]


def test_attached_files(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "my file.tar.gz").write_bytes(b"hello\0world")
    pair.run("lab = schema(name)\n" + attributes("a : attach", "b = null : attach"))
    row = {"sample_id": 1, "a": str(tmp_path / "my file.tar.gz"), "b": None}
    pair.maker.run("Sample.insert1(row)", row=row)
    pair.user.run("Sample.insert1(row)", row={**row, "sample_id": 2})
    stored = pair.sql(f"SELECT a FROM `{pair.schema_name}`.sample")
    assert stored == [(b"my file.tar.gz\0hello\0world",)] * 2
    for side, folder in ((pair.maker, "one"), (pair.user, "two")):
        (tmp_path / folder).mkdir()
        other = b"other contents"
        (tmp_path / folder / "my file.tar.gz").write_bytes(other)
        for _ in range(2):  # the second time, the file is there
            paths = side.value(
                "list(Sample.fetch('a', download_path=path))", path=str(tmp_path / folder)
            )
            expected = str(tmp_path / folder / "my file.tar_0000.gz")
            assert paths == [expected, expected]
        assert Path(expected).read_bytes() == b"hello\0world"
        assert (tmp_path / folder / "my file.tar.gz").read_bytes() == other


def test_tables_of_one_entity_are_ours_alone(
    here: Here, incumbent: Incumbent, schema_name: str
) -> None:
    """The other client refuses to declare them, and can read them."""
    source = """
@lab
class Current(dj.Manual):
    definition = '''
    ---
    term : varchar(10)
    '''
"""
    with pytest.raises(IncumbentError, match="primary key"):
        declare(incumbent, f"{schema_name}_a", source)
    declare(here, schema_name, source)
    here.run("Current.insert1(('Fall',))")
    incumbent.run(f"lab = schema({schema_name!r})")
    free = f"dj.FreeTable(dj.conn(), '`{schema_name}`.`current`')"
    assert incumbent.value(f"{free}.fetch(as_dict=True)") == [{"term": "Fall"}]
    assert incumbent.value(f"{free}.heading.names") == ["term"]


# -- wanted differences ------------------------------------------------------------------------


def test_names_of_64_characters_are_ours_alone(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    source = TABLES["62 characters"].replace("Abb", "Abbbb")
    with pytest.raises(IncumbentError, match="exceeds the max length of 64"):
        declare(incumbent, schema_name, source)
    declare(here, schema_name, source)
    assert ("a" + "b" * 63,) in sql(f"SHOW TABLES IN `{schema_name}`")
    # what is there, the other client uses
    incumbent.run(f"lab = schema({schema_name!r})")
    free = f"dj.FreeTable(dj.conn(), '`{schema_name}`.`a{'b' * 63}`')"
    incumbent.run(f"{free}.insert1(dict(sample_id=1))")
    assert incumbent.value(f"{free}.fetch(as_dict=True)") == [{"sample_id": 1}]


@pytest.mark.parametrize(
    "source",
    [
        """
@lab
class Sample(dj.Manual):
    definition = '# the "best" samples\\n sample_id : int'
""",
        """
@lab
class Parent(dj.Manual):
    definition = 'parent : int # the "only" one'
@lab
class Child(dj.Manual):
    definition = '-> Parent'
""",
    ],
    ids=["comment of the table", "comment of a referred attribute"],
)
def test_quotes_in_comments_are_escaped_by_us_alone(
    here: Here, incumbent: Incumbent, schema_name: str, show_create: ShowCreate, source: str
) -> None:
    with pytest.raises(IncumbentError):
        declare(incumbent, f"{schema_name}_a", source)
    declare(here, schema_name, source)
    for text in show_create(schema_name).values():
        assert '"best"' in text or '"only"' in text
    # the other client reads such tables
    table = "child" if "Child" in source else "sample"
    free = f"dj.FreeTable(dj.conn(), '`{schema_name}`.`{table}`')"
    assert incumbent.value(f"len({free}.heading.names)") == 1


def test_emoji_in_comments_are_kept_by_us_alone(
    here: Here, incumbent: Incumbent, schema_name: str, show_create: ShowCreate
) -> None:
    source = attributes("a : int # \U0001f9e0")
    declare(incumbent, f"{schema_name}_a", source)
    declare(here, f"{schema_name}_b", source)
    lost, kept = show_create(f"{schema_name}_a"), show_create(f"{schema_name}_b")
    assert kept["sample"].replace("\\\\U0001F9E0", "?") == lost["sample"]
    assert here.value("Sample.heading['a'].comment") == "\U0001f9e0"


def test_bool_stays_bool_in_references_of_ours_alone(
    here: Here, incumbent: Incumbent, schema_name: str, show_create: ShowCreate
) -> None:
    source = """
@lab
class Parent(dj.Manual):
    definition = "flag : bool"
@lab
class {}(dj.Manual):
    definition = "-> Parent"
"""
    declare(incumbent, schema_name, source.format("ByThem"))
    declare(here, schema_name, source.format("ByUs"))
    tables = show_create(schema_name)
    assert "`flag` tinyint(1) NOT NULL" in tables["by_us"]
    assert tables["by_us"].replace("by_us", "by_them").replace("(1)", "(4)") == tables["by_them"]


@pytest.mark.parametrize("comment", ["100% of it", "50%s"])
def test_percent_in_comments_is_ours_alone(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, comment: str
) -> None:
    source = attributes(f"a : int # {comment}")
    declare(here, schema_name, source)
    ((found,),) = sql(
        "SELECT column_comment FROM information_schema.columns "
        "WHERE table_schema = %s AND column_name = 'a'",
        schema_name,
    )
    assert found == comment
    with pytest.raises(IncumbentError):
        declare(incumbent, f"{schema_name}_a", source)


# -- describe ----------------------------------------------------------------------------------

#: Defaults that the other client describes wrongly.
MISDESCRIBED = ("CURRENT_TIMESTAMP", "current_timestamp", "bool", 'say "no"')
LOST = re.compile(r"bool|\w*int\(")  # neither tells the width of integers
DESCRIBED_BY_BOTH = {
    **TABLES,
    "types": attributes(
        *(f"a{n} : {type_}" for n, type_ in enumerate(TYPES) if not LOST.match(type_))
    ),
    "defaults": attributes(
        *(
            f"a{n}{line[1:]}"
            for n, line in enumerate(DEFAULTS)
            if not any(word in line for word in MISDESCRIBED)
        )
    ),
    "comments": attributes(*(f"a{n}{line[1:]}" for n, line in enumerate(COMMENTS))),
}
DESCRIBED_BY_US = {
    "bool": attributes("a : bool", "b : boolean", "c = 1 : bool"),
    "quotes": attributes(*(line for line in DEFAULTS if 'say "no"' in line)),
    "now": attributes(*(f"a{n}{line[1:]}" for n, line in enumerate(DEFAULTS) if "CURRENT" in line)),
}
# what the other client describes wrongly: (name → what it loses)
DESCRIBED_BY_US |= {
    name: DESCRIBED_BY_BOTH.pop(name)
    for name in (
        "key of many types",  # bool
        "overlapping",  # key attributes of foreign keys below the line
    )
}

DESCRIPTIONS = """[
    (
        name,
        next(base.__name__ for base in table.__mro__ if base.__module__.startswith("datajoint")),
        table.describe(context=names, printout=False),
        [
            (part_name, part.describe(context=names, printout=False))
            for part_name, part in vars(table).items()
            if isinstance(part, type) and issubclass(part, dj.Part)
        ],
    )
    for names in [dict(globals())]
    for name, table in names.items()
    if isinstance(table, type) and issubclass(table, dj.Table)
]"""


def as_source(descriptions: list[tuple[str, str, str, list[tuple[str, str]]]]) -> str:
    """Write the classes of tables that are described."""
    lines = []
    for name, tier, definition, parts in descriptions:
        lines += ["@lab", f"class {name}(dj.{tier}):", f"    definition = {definition!r}"]
        for part_name, part_definition in parts:
            lines.append(f"    class {part_name}(dj.Part):")
            lines.append(f"        definition = {part_definition!r}")
    return "\n".join(lines)


def without_order_of_indexes(statements: dict[str, str]) -> dict[str, str]:
    """Leave out what describing cannot keep: the order of indexes, from which they are named."""
    return {
        table: "\n".join(
            sorted(
                re.sub(r"^( *(UNIQUE )?KEY )`\w+`|,$", r"\1", line) for line in text.splitlines()
            )
        )
        for table, text in statements.items()
    }


def check_description(pair: Pair, show_create: ShowCreate, source: str) -> None:
    """Let one make the tables, the other one describe them, and the first declare that again."""
    declare(pair.maker, pair.schema_name, source)
    expected = show_create(pair.schema_name)
    declare(pair.user, pair.schema_name, source)
    descriptions = pair.user.value(DESCRIPTIONS)
    assert descriptions
    copy = f"{pair.schema_name}_copy"
    declare(pair.maker, copy, as_source(descriptions))
    assert_equal(*map(without_order_of_indexes, (show_create(copy), expected)))


@pytest.mark.parametrize("name", DESCRIBED_BY_BOTH)
def test_descriptions_declare_the_same_tables(
    pair: Pair, show_create: ShowCreate, name: str
) -> None:
    check_description(pair, show_create, DESCRIBED_BY_BOTH[name])


@pytest.mark.parametrize("pair", ["made there"], indirect=True)
@pytest.mark.parametrize("name", DESCRIBED_BY_US)
def test_our_descriptions_declare_the_same_tables(
    pair: Pair, show_create: ShowCreate, name: str
) -> None:
    check_description(pair, show_create, DESCRIBED_BY_US[name])
