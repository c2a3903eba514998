"""Schemas as decorators and as calls; tiers, parts, contents, and the use of classes as tables."""

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
