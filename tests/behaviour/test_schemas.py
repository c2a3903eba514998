"""Schemas as decorators and as calls; tiers, parts, contents, and the use of classes as tables."""

import hashlib

import pytest

import datajoint as dj
from datajoint.errors import MissingTableError


def test_tiers_give_the_names_of_tables(schema):
    @schema
    class TwoPhotonScan2P(dj.Manual):
        definition = "a : int"

        class ROI(dj.Part):
            definition = """
            -> master
            b : int
            """

    @schema
    class Parameter(dj.Lookup):
        definition = "p : int"

    @schema
    class EEG(dj.Imported):
        definition = "-> TwoPhotonScan2P"

    @schema
    class Filtered(dj.Computed):
        definition = "-> EEG"

        class Channel(dj.Part):
            definition = """
            -> Filtered
            c : int
            """

    assert TwoPhotonScan2P.table_name == "two_photon_scan2_p"
    assert TwoPhotonScan2P.ROI.table_name == "two_photon_scan2_p__r_o_i"
    assert Parameter.table_name == "#parameter"
    assert EEG.table_name == "_e_e_g"
    assert Filtered.table_name == "__filtered"
    assert Filtered.Channel.table_name == "__filtered__channel"
    assert Filtered.full_table_name == f"`{schema.database}`.`__filtered`"
    assert Filtered.Channel().master is Filtered
    assert schema.list_tables() == [
        "#parameter",
        "two_photon_scan2_p",
        "two_photon_scan2_p__r_o_i",
        "_e_e_g",
        "__filtered",
        "__filtered__channel",
    ]


def test_schema_as_a_call_returns_the_class(schema):
    class Item(dj.Manual):
        definition = "item : int"

    assert schema(Item) is Item
    assert Item().is_declared


def test_names_are_looked_up_around_the_class(schema):
    @schema
    class Inner(dj.Manual):
        definition = "a : int"

    def declare():
        @schema
        class Outer(dj.Manual):
            definition = "-> Inner"

        return Outer

    with pytest.raises(dj.DataJointError, match="`Inner` is not defined here"):
        declare()  # a function sees its own names and those of its module

    class Module:
        inner = Inner

    @schema
    class Dotted(dj.Manual):
        definition = "-> Module.inner"

    assert Dotted.parents() == [Inner.full_table_name]


def test_a_context_is_used_instead(make_schema):
    first = make_schema()

    @first
    class Subject(dj.Manual):
        definition = "subject : int"

    second = make_schema("other", context={"People": Subject})

    @second
    class Visit(dj.Manual):
        definition = "-> People"

    assert Visit.primary_key == ["subject"]
    assert Visit.parents() == [Subject.full_table_name]
    assert Subject.children() == [Visit.full_table_name]


def test_lookup_contents(make_schema):
    def declare(rows):
        class Method(dj.Lookup):
            definition = """
            name : varchar(10)
            ---
            value = 3 : int
            """
            contents = rows

        return make_schema()(Method)

    assert declare([("a", 1), {"name": "b"}]).fetch(as_dict=True) == [
        {"name": "a", "value": 1},
        {"name": "b", "value": 3},
    ]
    # rows that exist are left alone, and new ones are added
    again = declare([("a", 7), ("b", 7), ("c", 7)])
    assert again.fetch(as_dict=True) == [
        {"name": "a", "value": 1},
        {"name": "b", "value": 3},
        {"name": "c", "value": 7},
    ]


def test_contents_may_be_a_property_or_a_generator(schema):
    @schema
    class Range(dj.Lookup):
        definition = "n : int"

        @property
        def contents(self):
            return ((n,) for n in range(3))

    assert Range.fetch("n").tolist() == [0, 1, 2]


def test_deferred_activation(connection, schema_name):
    schema = dj.Schema()

    @schema
    class Item(dj.Manual):
        definition = "item : int"

    assert not schema.is_activated()
    with pytest.raises(dj.DataJointError, match="not connected to a table yet"):
        Item.fetch()
    schema.activate(schema_name, connection=connection)
    assert schema.is_activated()
    assert len(Item()) == 0
    schema.activate(schema_name)  # again, harmless
    with pytest.raises(dj.DataJointError, match="activated already"):
        schema.activate("another")


def test_activation_again_declares_what_failed(connection, schema_name, make_schema):
    schema = dj.Schema()

    @schema
    class Subject(dj.Manual):
        definition = "subject : int"

    @schema
    class Visit(dj.Manual):
        definition = """
        -> Person
        -> Place
        """

    @schema
    class Color(dj.Lookup):
        definition = "color : varchar(3)"
        contents = (("red",), ("green",))

    with pytest.raises(dj.DataJointError, match="`Person` is not defined here"):
        schema.activate(schema_name, connection=connection, add_objects={"Place": Subject})
    assert Subject().is_declared
    with pytest.raises(dj.DataJointError, match="`Person` is not defined here"):
        schema.activate(schema_name)
    with pytest.raises(dj.DataJointError, match="it has 5 characters, of which 3 are allowed"):
        schema.activate(schema_name, add_objects={"Person": Subject})
    assert Visit.primary_key == ["subject"]
    Color.contents = (("red",),)
    schema.activate(schema_name)
    assert Color.fetch("color").tolist() == ["red"]
    Color.delete()
    schema.activate(schema_name)  # nothing is left to declare
    assert len(Color()) == 0


def test_activation_again_may_declare_tables(make_schema):
    make_schema()
    schema = dj.Schema(create_tables=False)

    @schema
    class Item(dj.Manual):
        definition = "item : int"

    existing = make_schema()
    with pytest.raises(MissingTableError, match="create_tables=False"):
        schema.activate(existing.database, connection=existing.connection)
    schema.activate(create_tables=True)
    assert Item().is_declared


@pytest.mark.parametrize("name", [5, b"x", True, ("a",)])
def test_the_name_of_a_schema_is_a_string(connection, name):
    before = connection.list_schemas()
    with pytest.raises(dj.DataJointError, match="The name of a schema is a string, not "):
        dj.Schema(name, connection=connection)
    assert connection.list_schemas() == before


RESERVED = {
    "sqlite": (),
    "mysql": ("mysql", "information_schema", "performance_schema", "sys", "MySQL"),
    "postgresql": ("information_schema", "pg_catalog", "pg_toast", "PG_mine", "datajoint"),
}


def test_schemas_of_the_database_are_not_touched(connection, backend):
    for name in RESERVED[backend]:
        schema = dj.Schema()

        @schema
        class Item(dj.Manual):
            definition = "item : int"

        with pytest.raises(dj.DataJointError, match=f"`{name}` belongs to the database itself"):
            schema.activate(name, connection=connection)
        assert not schema.is_activated()
        assert not connection.tables(name).keys() & {"item", "~log"}


def test_a_schema_that_must_exist(connection):
    with pytest.raises(dj.DataJointError) as error:
        dj.Schema("nonexistent", connection=connection, create_schema=False)
    assert str(error.value) == (
        "Database named `nonexistent` was not defined. "
        "Set argument create_schema=True to create it."
    )
    assert "nonexistent" not in connection.list_schemas()


def test_tables_that_must_exist(make_schema):
    make_schema()
    schema = make_schema(create_tables=False)

    class Item(dj.Manual):
        definition = "item : int"

    with pytest.raises(MissingTableError, match="create_tables=False"):
        schema(Item)


def test_undecorated_classes_say_so():
    class Item(dj.Manual):
        definition = "item : int"

    for use in (Item.fetch, Item.describe, lambda: Item & "item=1", lambda: len(Item())):
        with pytest.raises(dj.DataJointError, match="`Item` is not connected to a table yet"):
            use()


@pytest.mark.parametrize("name", ["Two_photon", "twoPhoton", "Größe", "A_"])
def test_invalid_class_names(schema, name):
    class_ = type(name, (dj.Manual,), {"definition": "a : int", "__module__": __name__})
    with pytest.raises(dj.DataJointError, match=f"The class `{name}` cannot be a table: its name"):
        schema(class_)


def test_what_a_schema_does_not_decorate(schema):
    class Orphan(dj.Part):
        definition = "-> master"

    for wrong in (Orphan, dict, 5):
        with pytest.raises(dj.DataJointError):
            schema(wrong)
    assert schema.list_tables() == []


def test_a_class_without_definition(schema):
    class Item(dj.Manual):
        pass

    with pytest.raises(NotImplementedError, match="must have a `definition`"):
        schema(Item)


def test_not_inside_a_transaction(connection, schema):
    class Item(dj.Manual):
        definition = "item : int"

    with connection.transaction, pytest.raises(dj.DataJointError, match="inside a transaction"):
        schema(Item)


def test_classes_are_used_as_tables(schema):
    @schema
    class Item(dj.Manual):
        definition = """
        item : int
        ---
        name : varchar(10)
        """

    assert not Item
    Item.insert([(1, "a"), (2, "b")])
    assert Item
    assert len(Item) == 2
    assert {"item": 1} in Item
    assert {"item": 3} not in Item
    assert list(Item) == [{"item": 1, "name": "a"}, {"item": 2, "name": "b"}]
    assert (Item & "item=2").fetch1("name") == "b"
    assert (Item - "item=2").fetch1("name") == "a"
    assert len(Item * Item.proj(other="item", other_name="name")) == 4
    assert Item.heading.names == ["item", "name"]
    assert Item.primary_key == ["item"]
    assert len(Item.proj() + Item.proj()) == 2
    assert Item.connection is schema.connection
    assert Item.size_on_disk > 0
    assert type(Item & "item=1") is Item


def test_super_calls_in_overridden_methods(schema):
    @schema
    class Item(dj.Manual):
        definition = "item : int"

        def insert(self, rows, **kwargs):
            super().insert([(2 * item,) for (item,) in rows], **kwargs)

    Item.insert([(1,), (2,)])
    assert Item.fetch("item").tolist() == [2, 4]


def test_a_table_declared_by_another_connection_is_found(connect, make_schema, schema_name):
    make_schema()
    other = dj.Schema(schema_name, connection=connect())

    class Item(dj.Manual):
        definition = "item : int"

    class Same(Item):
        pass

    Same.__name__ = "Item"
    make_schema()(Item)
    other(Same)
    Same.insert1((1,))
    assert len(Item()) == 1


def test_drop_of_a_schema(connection, make_schema):
    first, second = make_schema("a"), make_schema("b")

    @first
    class Subject(dj.Manual):
        definition = "subject : int"

    @second
    class Session(dj.Manual):
        definition = "-> Subject"

    with pytest.raises(dj.errors.IntegrityError) as raised:
        first.drop()
    assert str(raised.value) == (
        f"Schema `{first.database}` cannot be dropped while `{second.database}`.`session` refer to "
        "its tables\nDrop these tables first, with `drop` of their classes"
    )
    second.drop()
    first.drop()
    assert not {first.database, second.database} & set(connection.list_schemas())
    assert not first.exists


def test_a_dropped_schema_is_created_again(connection, make_schema):
    schema = make_schema()

    class Item(dj.Manual):
        definition = "item : int"

    schema(Item)
    schema.drop()
    schema(Item)
    Item.insert1((1,))
    assert schema.exists
    assert schema.list_tables() == ["item"]
    assert Item.full_table_name in connection.dependencies.load().tables
    schema.drop()
    schema.activate(schema.database)
    assert schema.exists
    assert schema.list_tables() == []


def test_a_schema_that_others_dropped(connect, make_schema):
    schema = make_schema()
    dj.Schema(schema.database, connection=connect()).drop()

    class Item(dj.Manual):
        definition = "item : int"

    for use in (lambda: schema(Item), lambda: schema.jobs):
        with pytest.raises(dj.DataJointError, match=r"no such schema|Unknown database"):
            use()
    assert not schema.exists
    schema.activate(schema.database)
    schema(Item)
    assert schema.list_tables() == ["item"]


def test_a_dropped_schema_that_must_exist(make_schema):
    make_schema()
    schema = make_schema(create_schema=False)
    schema.drop()

    @make_schema()
    class Other(dj.Manual):
        definition = "other : int"

    class Item(dj.Manual):
        definition = "item : int"

    make_schema().drop()
    with pytest.raises(dj.DataJointError, match="create_schema=True to create it"):
        schema(Item)


@pytest.fixture
def members(schema):
    """Classes whose members are tables too, though not their parts."""

    @schema
    class A(dj.Manual):
        definition = "a : int"

        class Q(dj.Part):
            definition = """
            -> master
            q : int
            """

    @schema
    class B(dj.Manual):
        member = A
        other = A.Q
        definition = """
        -> self.member
        b : int
        ---
        -> [nullable] self.other.proj(other_a="a", other_q="q")
        """

        class P(dj.Part):
            definition = "-> master"

        same = P

    return A, B


def test_members_that_are_other_tables_are_no_parts(members):
    A, B = members
    assert A.Q.table_name == "a__q"
    assert A.Q.master is A
    assert B.parts() == [B.P.full_table_name]
    assert B.describe() == (
        '-> A\nb                    : int\n---\n-> [nullable] A.Q.proj(other_a="a", other_q="q")\n'
    )
    assert A.Q.describe() == "-> A\nq                    : int\n---\n"
    assert B.P.describe() == "-> B\n---\n"


def test_describe_prefers_the_shortest_name_then_the_nearest(schema, members):
    A, B = members
    text = B.describe({"Q": A.Q, "A": A})
    assert text.splitlines()[-1] == '-> [nullable] Q.proj(other_a="a", other_q="q")'
    assert text.splitlines()[0] == "-> A"
    module = dj.VirtualModule("m", schema.database, connection=schema.connection)
    assert B.describe({"m": module, "A": A}).splitlines()[0] == "-> A"
    assert B.describe({"A": A, "m": module}).splitlines()[0] == "-> A"
    assert B.describe({"m": module}).splitlines()[-1].startswith("-> [nullable] m.A.Q.proj(")
    assert B.describe({"Far": A, "Near": A}).splitlines()[0] == "-> Near"


def test_a_part_is_named_by_its_member(schema):
    class Outside(dj.Part):
        definition = "-> master"

    @schema
    class A(dj.Manual):
        definition = "a : int"
        Inside = Outside

    @schema
    class B(dj.Manual):
        definition = "-> A.Inside"

    assert B.describe({"A": A}) == "-> A.Inside\n---\n"


def test_a_class_defined_again_has_its_parts(schema):
    class Outside(dj.Part):
        definition = "-> master"

    for _ in range(2):

        @schema
        class A(dj.Manual):
            definition = "a : int"
            Inside = Outside

    assert Outside.master is A
    assert A.parts() == [A.Inside.full_table_name]


def test_the_master_of_a_part(schema, make_schema):
    @schema
    class A(dj.Manual):
        definition = "a : int"

        class Q(dj.Part):
            definition = "-> master"

    assert A.Q.master is A
    assert A.Q().master is A
    module = dj.VirtualModule("m", schema.database, connection=schema.connection)
    assert module.A.Q.master is module.A
    assert dj.Part.master is None


def test_hidden_timestamp(schema, schema_name):
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        sex = "U" : enum("F", "M", "U")
        """

        class Weight(dj.Part):
            definition = """
            -> master
            weight : decimal(4, 1)
            """

    class Only(dj.Lookup):
        definition = """
        ---
        value : int
        """
        contents = ((1,),)

    with dj.config(add_hidden_timestamp=True):
        schema(Subject)
        schema(Only)
    for class_ in (Subject, Subject.Weight, Only):
        *_, last = class_().heading.all_attributes
        digest = hashlib.sha1(f"{schema_name}.{class_.table_name}".encode()).hexdigest()
        assert last.name == f"_{digest}_timestamp"
        assert last.type == "timestamp"
        assert (last.nullable, last.default, last.comment) == (False, "CURRENT_TIMESTAMP", "")
    assert Subject().heading.names == ["subject", "sex"]
    Subject.insert([(1, "F"), {"subject": 2}])
    Subject.insert1((1, "M"), replace=True)
    Subject.update1({"subject": 2, "sex": "M"})
    Subject.Weight.insert((Subject & "subject = 1").proj(weight="20.5"))
    with pytest.raises(dj.errors.IntegrityError, match="has no entity with subject = 3"):
        Subject.Weight.insert1((3, 1))
    with pytest.raises(dj.errors.DuplicateError):
        Subject.insert1((1, "M"))
    assert Subject.fetch(as_dict=True, order_by="KEY") == [
        {"subject": 1, "sex": "M"},
        {"subject": 2, "sex": "M"},
    ]
    assert len(Subject * Subject.Weight) == 1
    quote = schema.connection.dialect.quote
    name = Subject().heading.all_attributes[-1].name
    table = schema.connection.dialect.table(schema_name, "subject")
    rows = schema.connection.query(f"SELECT {quote(name)} FROM {table}").fetchall()
    assert len(rows) == 2
    assert None not in {moment for (moment,) in rows}


def test_hidden_timestamp_stays(schema):
    with dj.config(add_hidden_timestamp=True):

        @schema
        class Subject(dj.Manual):
            definition = "subject : int"

    before = Subject().heading.all_attributes[-1]
    assert Subject.describe() == "subject              : int\n---\n"
    assert before.name not in schema.code
    Subject.definition = """
    subject : int
    ---
    note = "" : varchar(30)
    """
    Subject.alter(prompt=False)
    assert [a.name for a in Subject().heading.all_attributes] == ["subject", before.name, "note"]
    Subject.insert1((1, "x"))
    assert Subject.fetch1() == {"subject": 1, "note": "x"}
    assert before in Subject().heading.all_attributes


def test_no_hidden_timestamp(schema):
    @schema
    class Subject(dj.Manual):
        definition = "subject : int"

    assert [a.name for a in Subject().heading.all_attributes] == ["subject"]


def test_drop_of_schemas_that_refer_to_each_other(make_schema):
    first, second = make_schema("a"), make_schema("b")

    @first
    class Subject(dj.Manual):
        definition = "subject : int"

    @second
    class Session(dj.Manual):
        definition = "-> Subject"

    @first
    class Trial(dj.Manual):
        definition = "-> Session"

    for schema, table in ((first, Session), (second, Trial)):
        with pytest.raises(dj.errors.IntegrityError) as raised:
            schema.drop()
        assert f"while {table.full_table_name} refer" in str(raised.value)
    Session.drop()
    first.drop()
    second.drop()
    assert not first.exists
    assert not second.exists
