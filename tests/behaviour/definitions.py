"""Definitions of tables by hand and at random, and the tables that they refer to."""

import itertools
import os
import string
import unicodedata
from collections import Counter
from types import SimpleNamespace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import datajoint as dj


def examples(count):
    """Settings of a test with so many random examples; DJ_TEST_EXAMPLES asks for others."""
    return settings(
        max_examples=int(os.environ.get("DJ_TEST_EXAMPLES", count)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


_numbers = itertools.count()


class _Reversed(dj.AttributeAdapter):
    attribute_type = ""

    def put(self, obj):
        return obj[::-1]

    def get(self, value):
        return value[::-1]


def adapter(type_):
    return type("Reversed", (_Reversed,), {"attribute_type": type_})()


ADAPTERS = {
    "label": adapter("varchar(8)"),
    "array": adapter("longblob"),
    "document": adapter("json"),
}


def STORES():
    store = {"protocol": "file", "location": "."}
    return dj.config(stores={"ext": store, "raw-2": store})


class Lab:
    """A schema with some parents, in which tables are declared from any definition."""

    def __init__(self, schema, other):
        label = ADAPTERS["label"]  # noqa: F841 - for the definitions

        @schema
        class Subject(dj.Manual):
            definition = """
            subject_id : int unsigned   # the "subject", it's one
            ---
            born = null : date
            """

        @schema
        class Session(dj.Manual):
            definition = """
            -> Subject
            session : smallint   # number # of the session
            """

            class Trial(dj.Part):
                definition = """
                -> master
                trial : int
                """

        @schema
        class Probe(dj.Lookup):
            definition = """
            probe : varchar(12)
            """

        @schema
        class Place(dj.Manual):
            definition = """
            at : <label>   # a key of the user's own type
            """

        @schema
        class Current(dj.Manual):
            definition = """
            ---
            what : varchar(10)
            """

        @other
        class Rig(dj.Lookup):
            definition = """
            rig : smallint unsigned
            day : date
            """

        self.schema = schema
        self.Subject, self.Session, self.Probe = Subject, Session, Probe
        rigs = SimpleNamespace(Rig=Rig)
        self.classes = {"Subject": Subject, "Session": Session, "Probe": Probe}
        self.classes |= {"Place": Place, "Current": Current, "Rig": Rig}
        self.context = {**self.classes, **ADAPTERS, "other": rigs}

    def declare(self, definition):
        """Declare a table under a name of its own."""
        class_ = type(f"Table{next(_numbers)}", (dj.Manual,), {"definition": definition})
        return self.schema(class_, context={**self.context, **self.classes})


# -- by hand --------------------------------------------------------------------------------------

DEFINITIONS = {
    "the least": "a : int",
    "comments": """
        # it's a "table": of µm # and -> more
        a : int          # it's "quoted": yes # and more
        b : varchar(10)  # 長さ in µm, 100% \\ `ticks` {braces}
        c : int
        ---
        d : int          # -> Subject
        e : int          # = 5 : int
        f : int          # ---
        """
    + "g : int # "
    + "long " * 100,
    "types": """
        i1 : tinyint
        i2 : smallint unsigned
        i3 : MEDIUMINT
        i4 : int
        i5 : bigint unsigned
        b : bool
        d : decimal(8,3)
        c : char(7)
        v : varchar(200)
        e : enum('a', "it's", 'x, y', '#')
        day : date
        t : time(3)
        dt : datetime(6)
        ts : timestamp
        y : year
        u : uuid
        ---
        f : float
        g : double unsigned
        b1 : tinyblob
        b2 : blob
        b3 : mediumblob
        b4 : longblob
        """,
    "defaults": """
        a : int
        ---
        b = 5 : int
        c = -1.5 : float
        d = 0.25 : decimal(5,2)
        e = null : varchar(10)
        f = "" : varchar(10)
        g = "abc def" : varchar(10)
        h = 'it''s' : varchar(10)
        i = 'say "hi"' : varchar(10)
        j = "a\\\\b" : varchar(10)
        k = "x # y : z" : varchar(10)
        l = "right" : enum('left', 'right')
        m = "2020-05-31" : date
        n = "2020-05-31 10:11:12" : datetime
        o = "12:30:00" : time
        p = CURRENT_TIMESTAMP : timestamp
        q = CURRENT_TIMESTAMP(6) : datetime(6)
        r = 2001 : year
        s = false : bool
        t = true : bool
        u = null : longblob
        v = null : enum('a', 'null')
        w = "null" : enum('a', 'null')
        x = "7" : varchar(4)
        y = "é" : varchar(4)
        z = null : timestamp
        """,
    "increments": """
        id : int unsigned auto_increment   # the next one
        ---
        a : int
        """,
    "foreign keys": """
        -> Session
        x : int
        -> Probe
        ---
        y : int
        """,
    "renamed": """
        -> Session.proj(first='session')
        -> Session.proj(second="session")
        ---
        -> Subject.proj(mother='subject_id')
        -> [nullable] Session.proj(a='subject_id', b='session')
        """,
    "options": """
        id : int
        ---
        -> [nullable] Subject
        -> [unique] Probe
        -> [unique, nullable] Subject.proj(other='subject_id')
        """,
    "unique in the key": """
        id : int
        -> [unique] Subject
        """,
    "shared": """
        -> Subject
        -> Session
        -> Session.Trial
        ---
        -> [nullable] Probe
        """,
    "below the line on the key": """
        -> Subject
        ---
        -> [nullable] Session
        note = "" : varchar(10)
        """,
    "two on the same": """
        id : int
        ---
        -> Subject
        -> Session
        """,
    "parts": """
        -> Session.Trial
        """,
    "indexes": """
        a : int
        b : int
        ---
        c : varchar(20)
        -> Subject
        index (c)
        unique index (c, a)
        index (b, c, a)
        INDEX (subject_id, c)
        """,
    "index as that of a foreign key": """
        a : int
        ---
        -> [unique] Session
        unique index (session, subject_id)
        index (subject_id, session)
        """,
    "names": """
        index : int
        index_id : int
        ---
        unique = 5 : int
        null = null : int
        key : varchar(5)
        order : int
        select : int
        index (index, order)
        """,
}

OWN_LINES = {
    "comment": """
        subject_id : int unsigned   # mine, not the parent's
        -> Subject
        """,
    "default": """
        id : int
        ---
        probe = "A" : varchar(12)   # my own
        -> Probe
        """,
    "null": """
        id : int
        ---
        probe = null : varchar(12)
        -> Probe
        """,
    "order": """
        -> Subject
        x : int
        -> Session
        """,
    "order below the line": """
        id : int
        ---
        -> Subject
        x : int
        -> Session
        """,
    "one of them nullable": """
        id : int
        ---
        -> Subject
        -> [nullable] Session
        """,
    "one of them not nullable": """
        id : int
        ---
        -> [nullable] Subject
        -> Session
        """,
}


# -- at random ------------------------------------------------------------------------------------

_TEXT = string.ascii_letters + string.digits + " _-+*/=<>.,;:!?%&|()[]{}'\"`#$@~^\\éΩµ長"
_PLANE = st.characters(exclude_categories=["Cc", "Cs"], max_codepoint=0xFFFF)
_ANY = st.characters(exclude_categories=["Cc", "Cs"])
COMMENTS = (
    st.text(_TEXT, max_size=30)
    | st.text(_ANY, max_size=40)
    | st.text(_TEXT, min_size=256, max_size=900)
).filter(lambda text: not text.strip().startswith(":"))


def quoted(text):
    """Write a default between quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_default(type_, defaults):
    return st.tuples(st.just(type_) if isinstance(type_, str) else type_, defaults)


def enum(members):
    """Write the type of an enum."""
    return f"enum({', '.join(map(quoted, members))})"


BACKSLASHES = [r"'\n'", r"'a\tb'", "'%'", r"'\\'", "'\"'"]
ENUMS = st.lists(
    st.text(_TEXT, min_size=1, max_size=5).map(str.strip),
    min_size=1,
    max_size=4,
    unique_by=lambda member: unicodedata.normalize("NFKD", member).casefold(),
).map(enum)


_NOTHING = st.none()
_NULL = st.sampled_from(["null", "NULL"])
TYPES = st.one_of(
    with_default("int", _NOTHING | _NULL | st.integers(-(2**31), 2**31 - 1).map(str)),
    with_default("tinyint unsigned", _NOTHING | _NULL | st.integers(0, 255).map(str)),
    with_default(
        "decimal(8,3)",
        _NOTHING | _NULL | st.decimals(-99999, 99999, places=3, allow_nan=False).map(str),
    ),
    with_default("double", _NOTHING | _NULL | st.sampled_from(["0", "-1.", "1e-3", "2.5"])),
    with_default("varchar(40)", _NOTHING | _NULL | st.text(_TEXT, max_size=20).map(quoted)),
    with_default("varchar(9)", st.text(_PLANE, max_size=9).map(quoted)),
    with_default("VARCHAR (7)", st.sampled_from(BACKSLASHES)),
    with_default("char(5)", _NOTHING | _NULL | st.sampled_from(["abc", '"x y"', "'it''s'"])),
    with_default(
        """enum('left', "it's", 'a#b:c')""",
        _NOTHING | _NULL | st.sampled_from(['"left"', "LEFT", '"it\'s"', "'a#b:c'"]),
    ),
    with_default("date", _NOTHING | _NULL | st.dates().map(lambda day: f'"{day}"')),
    with_default("datetime(3)", _NOTHING | _NULL | st.just('"2020-01-02 03:04:05.678"')),
    with_default("timestamp", _NOTHING | _NULL | st.just("CURRENT_TIMESTAMP")),
    with_default("time", _NOTHING | _NULL | st.sampled_from(['"12:30:00"', "'-01:00:00'"])),
    with_default("bool", _NOTHING | _NULL | st.sampled_from(["true", "0", "FALSE"])),
    with_default("uuid", _NOTHING | _NULL),
    with_default("bigint unsigned", _NOTHING | st.just("9223372036854775807")),
    with_default("mediumint", _NOTHING | st.just("-8388608")),
    with_default("float", _NOTHING | st.sampled_from(["0.1", "1e30", "-.5"])),
    with_default("decimal(30,10) unsigned", _NOTHING | st.just("12345678901234567890.5")),
    with_default("year", _NOTHING | _NULL | st.just("2001")),
    with_default("timestamp(3)", _NOTHING | st.just("CURRENT_TIMESTAMP(3)")),
    with_default("datetime", _NULL | st.sampled_from(["current_timestamp", "'1999-12-31'"])),
    with_default("time(6)", _NOTHING | st.just("'838:59:58.999999'")),
    with_default("varchar(0)", _NOTHING | st.just("''")),
    with_default(
        st.sampled_from(
            [
                "tinyblob",
                "blob",
                "mediumblob",
                "longblob",
                "json",
                "attach",
                "blob@ext",
                "attach@ext",
                "filepath@raw-2",
                "<array>",
                "<document>",
            ]
        ),
        _NOTHING | _NULL,
    ),
    with_default("<label>", _NOTHING | _NULL | st.just("'none'")),
    with_default(ENUMS, _NOTHING | _NULL),
)
KEY_TYPES = st.sampled_from(
    ["int", "smallint unsigned", "varchar(12)", "char(4)", "date", "decimal(6,2)", "uuid",
     "enum('a', 'b')", "datetime", "<label>", "bool", "time(3)", "year", "int(11)", "double(8,2)"]
)  # fmt: skip

#: A foreign key without options, and the attributes that it brings.
REFERENCES = {
    "Subject": ["subject_id"],
    "Session": ["subject_id", "session"],
    "Session.Trial": ["subject_id", "session", "trial"],
    "Probe": ["probe"],
    "Session.proj(ses='session')": ["subject_id", "ses"],
    "Subject.proj(mother='subject_id')": ["mother"],
    'Session.proj(sub="subject_id", other="session")': ["sub", "other"],
    "Probe.proj(second='probe')": ["second"],
    "Place": ["at"],
    "Place.proj(here='at')": ["here"],
    "other.Rig": ["rig", "day"],
    "Current": [],
}


@st.composite
def definitions(draw):
    """Draw a definition with attributes, foreign keys and indexes in any order."""
    names = iter("abcdefgh")
    counters = iter(draw(st.sampled_from([[], [], ["int auto_increment"], ["SERIAL"]])))
    references = draw(st.lists(st.sampled_from(list(REFERENCES)), unique=True, max_size=4))
    split = draw(st.integers(0, len(references)))
    known, indexable = [], []

    def attribute(in_key):
        name = next(names)
        type_, default = (draw(KEY_TYPES), None) if in_key else draw(TYPES)
        if draw(st.booleans()):
            counter = next(counters, None)
            type_, default = (counter, None) if counter else (type_, default)
        if type_ == "json":
            path = draw(st.sampled_from([".n:unsigned", ".a[0].b:char(8)", ".x.y:decimal(5,2)"]))
            indexable.append(name + path)
        unsorted = ("blob", "json", "attach", "path", "array", "document", "varchar(0)")
        if not any(word in type_ for word in unsorted):
            indexable.append(name)
        comment = draw(st.just("") | COMMENTS)
        return (
            name
            + ("" if default is None else f" = {default}")
            + f" : {type_}"
            + (f" # {comment}" if comment else "")
        )

    def foreign_key(reference, in_key):
        options = draw(st.sampled_from([[], ["unique"]] if in_key else [
            [], ["unique"], ["nullable"], ["nullable", "unique"], ["UNIQUE", "Nullable"]
        ]))  # fmt: skip
        if not REFERENCES[reference]:
            options = []
        for name in REFERENCES[reference]:
            if name not in known:
                known.append(name)
                indexable.append(name)
        return "-> " + (f"[{', '.join(options)}] " if options else "") + reference

    key = [foreign_key(reference, True) for reference in references[:split]]
    key += [attribute(True) for _ in range(draw(st.integers(0, 3)))]
    rest = [foreign_key(reference, False) for reference in references[split:]]
    rest += [attribute(False) for _ in range(draw(st.integers(0 if known else 1, 4)))]
    columns = st.lists(st.sampled_from(indexable or ["?"]), unique=True, min_size=1, max_size=3)
    indexes = [
        f"{'unique ' * draw(st.booleans())}index ({', '.join(index)})"
        for index in draw(st.lists(columns, max_size=3 if indexable else 0, unique_by=tuple))
    ]
    comment = draw(st.just("") | COMMENTS)
    lines = [f"# {comment}", *draw(st.permutations(key)), "---", *draw(st.permutations(rest))]
    return "\n".join([*lines, *indexes])


# -- what is declared -----------------------------------------------------------------------------


def content(table):
    """All there is to know about a table, but for its name."""
    return content_of(table.spec)


def content_of(spec):
    """All there is to know about a specification, but for the name of the table."""
    return {
        "comment": spec.heading.comment,
        "attributes": sorted(spec.heading.all_attributes, key=lambda a: a.is_hidden),
        "foreign keys": Counter(spec.foreign_keys),
        "indexes": Counter(spec.heading.secondary_indexes),
    }
