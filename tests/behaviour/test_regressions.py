"""Faults that were found by trying to break the package, each with the case that showed it."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import datajoint as dj
from datajoint.errors import DataJointError, DuplicateError, IntegrityError


@pytest.fixture
def declare(schema):
    def declare(definition, base=dj.Manual):
        return schema(type("Value", (base,), {"definition": definition, "__module__": __name__}))

    return declare


def test_a_frame_keeps_large_integers_beside_missing_ones(declare):
    table = declare("id : int\n---\nbig = null : bigint")
    table.insert([(1, 2**62 + 1), (2, None)])
    frame = table.fetch(format="frame")
    assert frame["big"].tolist() == [2**62 + 1, None]
    table.insert(frame, replace=True)
    assert (table & "id = 1").fetch1("big") == 2**62 + 1


def test_whole_floats_are_inserted_exactly(declare):
    table = declare("id : int\n---\nbig : bigint")
    table.insert([(1, float(2**62)), (2, np.float64(-(2**63)))])
    assert table.fetch("big").tolist() == [2**62, -(2**63)]


@pytest.mark.parametrize("text", [".5", ".500", ".500000"])
def test_fractions_of_a_second_are_equal_however_written(declare, text):
    table = declare("id : int\n---\ndt : datetime(3)")
    table.insert([(1, "2020-01-01 10:00:00.5"), (2, "2020-01-01 10:00:00")])
    assert (table & f'dt = "2020-01-01 10:00:00{text}"').fetch("id").tolist() == [1]
    later = table & 'date_add(dt, interval 1 hour) = "2020-01-01 11:00:00"'
    assert later.fetch("id").tolist() == [2]


def test_truncate_of_a_decimal(declare):
    table = declare("id : int\n---\nd : decimal(8,2)")
    table.insert([(1, "10.25"), (2, "-10.29")])
    assert table.proj(x="truncate(d, 1)").fetch("x", order_by="id").astype(float).tolist() == [
        10.2,
        -10.2,
    ]
    assert len(table & "truncate(d, 0) = 10") == 1


def test_a_part_refers_to_its_master(schema):
    class Whole(dj.Manual):
        definition = "a : int"

        class Piece(dj.Part):
            definition = "b : int"

    with pytest.raises(DataJointError, match="add the line `-> master`"):
        schema(Whole)


def test_a_part_may_refer_to_its_master_through_another_part(schema):
    @schema
    class Whole(dj.Manual):
        definition = "a : int"

        class Piece(dj.Part):
            definition = "-> master\nb : int"

        class Crumb(dj.Part):
            definition = "-> Piece\nc : int"

    assert Whole.Crumb.primary_key == ["a", "b", "c"]


def test_a_query_that_cannot_be_inserted_names_the_value(declare, schema):
    table = declare("id : int\n---\ny : tinyint")
    table.insert1((1, 1))
    with pytest.raises(DataJointError) as error:
        table.insert(table.proj(y="y + 299").proj("y", new="id + 1").proj("y", id="id"))
    for part in ("`value`", "300", "`y`", "tinyint"):
        assert part in str(error.value)


def test_duplicates_are_named_whatever_their_case(declare):
    table = declare("k : varchar(5)\n---\nu : int\nunique index (u)")
    table.insert1(("abc", 1))
    with pytest.raises(DuplicateError, match="k = 'ABC' exists already"):
        table.insert1(("ABC", 2))
    with pytest.raises(DuplicateError, match="k = 'y' is given twice"):
        table.insert([("x", 5), ("y", 6), ("y", 7)])
    with pytest.raises(DuplicateError, match=r"u = 1 exists already$"):
        table.insert1(("z", 1))


def test_numpy_limits(declare):
    table = declare("id : int")
    table.insert([(1,), (2,), (3,)])
    assert table.fetch("id", limit=np.int64(1), offset=np.int8(1)).tolist() == [2]


def test_many_conditions(declare):
    table = declare("id : int")
    table.insert((i,) for i in range(10))
    assert len(table & [f"id = {i}" for i in range(3000)]) == 10
    assert len(table & dj.AndList(f"id < {i}" for i in range(5, 3000))) == 5


def test_missing_values_of_pandas(declare):
    table = declare("id : int\n---\nx = null : float\ns = 'hi' : varchar(5)")
    frame = pd.DataFrame({"id": [1, 2], "s": pd.array(["a", None], dtype="string")})
    table.insert(frame.convert_dtypes())
    table.insert1({"id": 3, "x": pd.NA})
    assert table.fetch("s", order_by="id").tolist() == ["a", "hi", "hi"]


def test_empty_frames(declare):
    table = declare("id : int")
    table.insert(pd.DataFrame())
    table.insert(pd.DataFrame({"id": []}))
    assert len(table()) == 0


def test_half_of_a_surrogate_pair(declare):
    table = declare("id : int\n---\ns : varchar(5)")
    with pytest.raises(DataJointError, match="surrogate"):
        table.insert1((1, "\ud800"))
    with pytest.raises(DataJointError, match="surrogate"):
        table & {"s": "\ud800"}


@pytest.mark.parametrize("name", ["", "a`b", "a.b", "a/b", "sqlite_x", "x" * 65, "a\nb"])
def test_invalid_names_of_schemas(connection, name):
    before = connection.list_schemas()
    with pytest.raises(DataJointError, match="no valid name for a schema"):
        dj.Schema(name, connection=connection)
    assert connection.list_schemas() == before


def test_make_must_not_end_its_transaction(schema, connection):
    @schema
    class Item(dj.Manual):
        definition = "item : int"

    @schema
    class Made(dj.Computed):
        definition = "-> Item"

        def make(self, key):
            self.insert1(key)
            connection.commit_transaction()

    Item.insert1((1,))
    with pytest.raises(DataJointError, match=r"`make` of .*`__made` ended the transaction"):
        Made.populate()


def test_contents_that_changed_but_not_in_number(make_schema):
    def declare(rows):
        class Method(dj.Lookup):
            definition = "a : int"
            contents = rows

        return make_schema()(Method)

    declare([{"a": 1}, {"a": 2}])
    assert declare(pd.DataFrame({"a": [1, 3]})).fetch("a").tolist() == [1, 2, 3]


def test_fetch_takes_names(declare):
    table = declare("id : int")
    with pytest.raises(DataJointError, match="names of attributes"):
        table.fetch(["id"])


def test_a_fractional_default_of_an_integer(declare):
    with pytest.raises(DataJointError, match=r"the default 1\.5 is no integer"):
        declare("id : int\n---\nb = 1.5 : int")


def test_classes_have_an_html_preview(declare):
    assert "<table" in declare("id : int")._repr_html_()


def test_a_query_is_inserted_into_attributes_of_other_types(schema):
    """The values that a query computes become those of the types of the table."""

    @schema
    class Source(dj.Manual):
        definition = """
        i : int
        ---
        day : varchar(20)
        x : double
        yes : bool
        u : uuid
        v : varchar(36)
        moment : datetime
        """

    @schema
    class Target(dj.Manual):
        definition = """
        i : bigint
        ---
        flag : bool
        day : date
        x : decimal(6,2)
        yes : varchar(5)
        u : varchar(36)
        v : uuid
        moment : date
        """

    first, second = uuid.UUID(int=1), uuid.UUID(int=2**127)
    Source.insert1((1, "2020-02-03", 1.25, True, first, str(second), "2020-02-03 12:00:00"))
    Source.insert1((-1, "2021-02-03", -2.5, False, second, str(first), "2020-02-04 00:00:00"))
    Target.insert(Source.proj(..., flag="i > 0"))
    assert [tuple(row.values()) for row in Target.fetch(as_dict=True, order_by="i")] == [
        (
            -1,
            0,
            dt.date(2021, 2, 3),
            Decimal("-2.50"),
            "0",
            str(second),
            first,
            dt.date(2020, 2, 4),
        ),
        (1, 1, dt.date(2020, 2, 3), Decimal("1.25"), "1", str(first), second, dt.date(2020, 2, 3)),
    ]


def test_an_idle_session_that_was_ended_is_no_error_for_an_insert(connect, connection, schema):
    @schema
    class Item(dj.Manual):
        definition = "item : int"

    if connection.backend.has_accounts:
        connect().kill(connection.connection_id)
        while not connection.backend.has_ended:
            pass  # until the news arrives
    else:
        connection.close()
    Item.insert1((1,))
    assert len(Item()) == 1


def test_defaults_beyond_the_precision_of_floats(declare):
    table = declare("i : int\n---\na = 9223372036854775807 : bigint\nb = 9007199254740993 : bigint")
    table.insert1({"i": 1})
    assert table.fetch1("a", "b") == (9223372036854775807, 9007199254740993)


def test_a_list_of_many_written_literals(declare):
    table = declare("i : int")
    table.insert([(i,) for i in range(10)])
    numbers = ", ".join(map(str, range(5, 40_000)))
    assert len(table & f"i in ({numbers})") == 5


def test_an_integer_beyond_64_bits_in_a_condition(declare):
    table = declare("i : int")
    table.insert1((1,))
    assert len(table & f"i < {2**70}") == 1
    assert len(table & f"i > {2**70}") == 0


def test_raw_queries_have_the_same_placeholders_on_every_database(connection):
    assert connection.query("SELECT %s AS a, '100%%' AS b", ("x",)).fetchone() == ("x", "100%")
    assert connection.query("SELECT 7 %% 4").fetchone() == (3,)
    assert connection.query("SELECT %(a)s + 1", {"a": 2}).fetchone() == (3,)


def test_a_table_declared_by_another_session_is_found(connect, connection, schema):
    schema.list_tables()
    other = dj.Schema(schema.database, connection=connect())

    @other
    class Later(dj.Manual):
        definition = "later : int"

    Later.insert1((1,))
    table = dj.FreeTable(connection, f"`{schema.database}`.`later`")
    assert table.fetch("later").tolist() == [1]


def test_a_replace_that_is_refused_names_the_unique_key(declare):
    table = declare("a : int\n---\nb : int\nunique index (b)")
    table.insert([(1, 1), (2, 2)])
    with pytest.raises(DuplicateError, match="an entity with b = 2 exists already"):
        table.insert1((1, 2), replace=True)
    assert table.fetch("b", order_by="a").tolist() == [1, 2]


def test_a_schema_with_a_view_is_dropped(connection, schema, differs):
    differs(postgresql="a table cannot be dropped before the views that others made of it")

    @schema
    class Item(dj.Manual):
        definition = "item : int"

    quote = connection.dialect.quote
    view = connection.dialect.table(schema.database, "item_view")
    item = connection.dialect.table(schema.database, "item")
    connection.query(f"CREATE VIEW {view} AS SELECT {quote('item')} FROM {item}")
    schema.drop(force=True)
    assert schema.database not in connection.list_schemas()


def test_extremes_of_uuids(declare):
    table = declare("i : int\n---\nu : uuid")
    table.insert([(i, uuid.UUID(int=i)) for i in (3, 1, 2)])
    extremes = dj.U().aggr(table, low="min(u)", high="max(u)").fetch1()
    assert extremes == {"low": uuid.UUID(int=1), "high": uuid.UUID(int=3)}


def test_a_delete_that_is_refused_leaves_references_within_the_table(schema):
    @schema
    class Person(dj.Manual):
        definition = """
        person : int
        ---
        -> [nullable] Person.proj(boss="person")
        """

    @schema
    class Badge(dj.Manual):
        definition = "-> Person"

    Person.insert1((1, None))
    Person.insert1((2, 1))
    Badge.insert1((2,))
    with pytest.raises(IntegrityError, match=r"`badge` refers to the rows"):
        (Person & "person = 2").delete_quick()
    assert Person.fetch("boss", order_by="person").tolist() == [None, 1]


def test_a_key_that_blobs_cannot_hold_is_reserved_without_it(schema):
    key = {"t": dt.timedelta(hours=3)}
    assert schema.jobs.reserve("__count", key)
    assert not schema.jobs.reserve("__count", key)
    assert schema.jobs.fetch1("key") is None
