"""``auto_increment`` and ``serial``, in the key, as a part of it and below the line."""

import pytest

import datajoint as dj

DEFINITIONS = {
    "alone": ("id : int auto_increment\n---\nx = 0 : int", ["id"], "id"),
    "serial": ("id : serial\n---\nx = 0 : int", ["id"], "id"),
    "first of the key": ("id : int auto_increment\na : int\n---\nx = 0 : int", ["id", "a"], "id"),
    "last of the key": (
        "a : int\nid : smallint auto_increment\n---\nx = 0 : int",
        ["a", "id"],
        "id",
    ),
    "below the line": ("a : int\n---\nid : int unsigned auto_increment\nx = 0 : int", ["a"], "id"),
    "serial below the line": ("a : int\n---\nx = 0 : int\nid : serial # n", ["a"], "id"),
    "with an index": (
        "a : int\n---\nid : serial\nx = 0 : int\nunique index (id)\nindex (x, id)",
        ["a"],
        "id",
    ),
    "with a foreign key": ("-> Parent\n---\nid : serial\nx = 0 : int", ["a"], "id"),
    "of one entity": ("---\nid : serial\nx = 0 : int", [], "id"),
}


@pytest.fixture
def context(make_schema):
    schema = make_schema()

    @schema
    class Parent(dj.Manual):
        definition = "a : int"

    Parent.insert([(1,), (2,), (3,)])
    return {"schema": schema, "Parent": Parent}


def declare(context, definition, name="Counted"):
    class_ = type(name, (dj.Manual,), {"definition": definition})
    return context["schema"](class_, context=context)


@pytest.mark.parametrize(("definition", "key", "counter"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_counters(context, definition, key, counter):
    table = declare(context, definition)
    assert table.primary_key == key
    assert table.heading[counter].autoincrement
    assert not table.heading[counter].nullable
    count = 1 if not key else 3
    table.insert({"a": a} if "a" in table.heading else {} for a in range(1, count + 1))
    assert table.fetch(counter, order_by=counter).tolist() == [1, 2, 3][:count]
    text = table.describe(context)
    again = declare(context, text, "Again")
    assert again.describe(context) == text
    assert again.heading == table.heading
    assert again.heading.indexes == table.heading.indexes
    assert not again.connection.plan_alter(table().spec)[0]
    context["Counted"] = table
    child = declare(context, "-> Counted", "Child") if key else None
    if child is not None:
        assert child.primary_key == key
        child.insert(table.fetch("KEY"))
        assert table.delete(safemode=False) == 3
        assert len(child()) == 0


@pytest.mark.parametrize("name", ["below the line", "serial below the line", "with a foreign key"])
def test_numbers_below_the_line_are_unique(context, name):
    table = declare(context, DEFINITIONS[name][0])
    table.insert1({"a": 1, "id": 7})
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1({"a": 2, "id": 7})
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1({"a": 1, "id": 8})
    table.insert1({"a": 2})
    assert table.fetch("id", order_by="a").tolist() == [7, 8]
    table.insert1({"a": 2, "id": 5}, skip_duplicates=True)
    table.insert1({"a": 1, "id": 9, "x": 4}, replace=True)
    assert table.fetch("id", "x", order_by="a")[0].tolist() == [9, 8]


def test_only_one_entity_though_it_counts(context):
    table = declare(context, DEFINITIONS["of one entity"][0])
    table.insert1({})
    with pytest.raises(dj.errors.DuplicateError, match="at most one entity"):
        table.insert1({})


def test_alter_keeps_counting(context):
    table = declare(context, DEFINITIONS["serial below the line"][0])
    table.insert([{"a": 1}, {"a": 2}])
    table.definition = "a : int\n---\nnew = 5 : int\nid : serial # n\nindex (new)"
    table.alter(prompt=False)
    table.insert1({"a": 3})
    assert table.fetch("id", "new", order_by="a")[0].tolist() == [1, 2, 3]
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1({"a": 4, "id": 1})
    with pytest.raises(dj.errors.DuplicateError):
        table.insert1({"a": 1})
    table.definition = "a : int\n---\nnumber : serial # {id}"
    table.alter(prompt=False)
    table.insert1({"a": 5, "number": 20})
    table.insert1({"a": 6})
    assert table.fetch("number", order_by="a").tolist()[-2:] == [20, 21]
