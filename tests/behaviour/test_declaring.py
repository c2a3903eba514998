"""Faults of declaring tables that were found and mended."""

import threading

import pytest

import datajoint as dj


def declare(schema, definition, context=None, name="Child", base=dj.Manual, **members):
    class_ = type(name, (base,), {"definition": definition, **members})
    return schema(class_, context=context or {"unrelated": 1})


def test_a_duplicate_where_another_unique_index_is_null(schema):
    @schema
    class Person(dj.Manual):
        definition = "person : int"

    rig = declare(
        schema,
        "rig : int\n---\n-> [nullable, unique] Person\nx : int\nunique index (x)",
        {"Person": Person},
    )
    rig.insert1((1, None, 7))
    with pytest.raises(dj.errors.DuplicateError, match="x = 7 exists already"):
        rig.insert1((2, None, 7))


class Shift(dj.AttributeAdapter):
    """Numbers stored by so much less; objects without a text of their own."""

    attribute_type = "int"

    def __init__(self, by):
        self.by = by

    def put(self, obj):
        return getattr(obj, "number", obj) - self.by

    def get(self, value):
        shifted = type("Number", (), {})()
        shifted.number = value + self.by
        return shifted


def test_inherited_attributes_have_the_adapter_of_the_parent(make_schema):
    one, two = make_schema(), make_schema()
    parent = declare(one, "a : <shift>", {"shift": Shift(100)}, "Parent")
    parent.insert1((101,))
    declare(two, "b : <shift>", {"shift": Shift(7)}, "Other")
    names = {"Parent": parent}
    for i, context in enumerate([names, {**names, "shift": {}}, {**names, "shift": Shift(7)}]):
        child = declare(two, "-> Parent\nx : int", context, f"Child{i}")
        child.insert1((101, 1))
        assert child.fetch1("a").number == 101
        assert len(parent & child) == 1


def test_jobs_of_keys_whose_objects_have_no_text(make_schema):
    schema = make_schema()
    context = {"shift": Shift(1)}
    context["Parent"] = declare(schema, "a : <shift>", context, "Parent")
    context["Parent"].insert([(1,), (2,)])

    def make(self, key):
        raise ValueError("fails")

    table = declare(schema, "-> Parent\n---\nx : int", context, "Sum", dj.Computed, make=make)
    for _ in range(2):
        table.populate(reserve_jobs=True, suppress_errors=True)
        assert len(schema.jobs) == 2
    assert sorted(row["key"]["a"] for row in schema.jobs.fetch(as_dict=True)) == [0, 1]
    schema.jobs.delete()
    key = context["Parent"].fetch("KEY", order_by="KEY")[0]
    assert schema.jobs.reserve(table().table_name, key)
    assert not schema.jobs.reserve(table().table_name, context["Parent"].fetch("KEY")[0])
    schema.jobs.complete(table().table_name, key)
    assert len(schema.jobs) == 0
    assert schema.jobs.ignore(table().table_name, key)
    table.populate(reserve_jobs=True, suppress_errors=True)
    assert sorted(schema.jobs.fetch("status")) == ["error", "ignore"]


def test_contents_with_adapted_keys(make_schema):
    schema = make_schema()
    for _ in range(2):
        table = declare(
            schema, "a : <shift>", {"shift": Shift(1)}, "List", dj.Lookup, contents=[(5,), (6,)]
        )
        assert sorted(row["a"].number for row in table) == [5, 6]


def test_parents_that_are_restricted_are_refused(schema):
    parent = declare(schema, "a : int", name="Parent")
    with pytest.raises(dj.DataJointError, match=r"`self\.target` is restricted: a foreign key"):
        declare(schema, "-> self.target", target=parent & "a = 1")


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("a : int\n-> Child.proj(b='a')", r"refers to \(a\), but the primary key is \(a, b\)"),
        ("a : int\n---\n-> Child", r"rename them, as in `-> Child.proj\(parent_a='a'\)`"),
        ("a : int\n-> Child", r"rename them, as in"),
    ],
)
def test_wrong_references_to_the_table_itself(schema, definition, reason):
    with pytest.raises(dj.DataJointError, match=reason):
        declare(schema, definition)
    assert schema.list_tables() == []


def test_a_diagram_of_a_table_that_refers_to_itself(schema):
    table = declare(schema, "a : int\n---\n-> [nullable] Child.proj(b='a')")
    for diagram in (dj.Diagram(table), dj.Diagram(schema)):
        assert "child" in str(diagram).lower()


def test_rows_of_defaults_that_may_exist(schema):
    table = declare(schema, "a : int auto_increment\n---\nb = 1 : int")
    for _ in range(2):
        table.insert1({}, skip_duplicates=True)
    assert len(table()) == 2
    one = declare(schema, "---\nb = 1 : int", name="One")
    for options in ({}, {"skip_duplicates": True}, {"replace": True}):
        one.insert1({}, **options)
    assert one.fetch1("b") == 1


def test_a_query_without_attributes_is_inserted(schema):
    current = declare(schema, "---\nb = 1 : int", name="Current")
    only = declare(schema, "-> Current", {"Current": current})
    only.insert(current.proj())
    assert len(only()) == 0
    current.insert1({})
    only.insert(current.proj())
    only.insert(current.proj(), skip_duplicates=True)
    assert only.fetch("KEY") == [{}]


def test_the_largest_integers_are_fetched(schema, backend):
    table = declare(schema, "a : bigint unsigned\n---\nb : bigint unsigned")
    largest = 2**63 - 1 if backend == "sqlite" else 2**64 - 1
    table.insert([(1, largest), (largest, 2)])
    assert table.fetch("b", order_by="a").tolist() == [largest, 2]
    assert [row.tolist() for row in table.fetch(order_by="a")] == [(1, largest), (largest, 2)]
    assert table.fetch(format="frame")["b"].sort_values().tolist() == [2, largest]


def test_blanks_are_no_part_of_the_names_of_types(schema):
    with dj.config(stores={"ext": {"protocol": "file", "location": "."}}):
        table = declare(schema, "a : < shift >\n---\nb = null : Blob @ ext", {"shift": Shift(0)})
    assert [table.heading[name].type for name in "ab"] == ["<shift>", "blob@ext"]


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (None, "definition of a table is a text, not None"),
        (b"a : int", "definition of a table is a text, not b'a : int'"),
        ("a : int # \0", r"Line 1 .*no database can hold the character '\\x00'"),
        ("a : int # \ud83d", r"Line 1 .*no database can hold the character '\\ud83d'"),
    ],
)
def test_definitions_that_no_database_takes(schema, definition, reason):
    with pytest.raises(dj.DataJointError, match=reason):
        declare(schema, definition)


def test_wrong_values_of_adapted_attributes_in_restrictions_are_named(schema):
    table = declare(schema, "a : <shift>", {"shift": Shift(0)})
    with pytest.raises(dj.DataJointError, match="Attribute `a`: the adapter of `<shift>` cannot"):
        table & {"a": "x"}


def test_lookups_are_filled_by_several_at_once(make_schema, connect, backend):
    """Whoever comes second, and is refused, tries again."""
    schema = make_schema()
    rows = [(i,) for i in range(200)]
    connections = [connect() for _ in range(4)]
    barrier, errors = threading.Barrier(len(connections)), []

    def fill(connection):
        own = dj.Schema(schema.database, connection=connection)
        barrier.wait()
        try:
            declare(own, "a : int", None, "Numbers", dj.Lookup, contents=rows)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fill, args=(c,)) for c in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert errors == []
    assert len(declare(schema, "a : int", None, "Numbers", dj.Lookup)()) == 200
