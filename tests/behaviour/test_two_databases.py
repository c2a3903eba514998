"""Queries of another database: never taken for the namesakes here, and inserted by fetching."""

from types import SimpleNamespace

import pytest

import datajoint as dj


@pytest.fixture
def there(schema, tmp_path):
    """A table of the same name in two databases, with different entities."""
    elsewhere = dj.Connection(backend="sqlite", path=str(tmp_path / "elsewhere.db"))

    def declare(schema):
        class Mouse(dj.Manual):
            definition = """
            mouse : int
            ---
            name = null : varchar(20)
            genes = null : longblob
            """

        return schema(Mouse)

    yield SimpleNamespace(
        Here=declare(schema), Mouse=declare(dj.Schema(schema.database, connection=elsewhere))
    )
    elsewhere.close()


@pytest.fixture
def mice(there):
    there.Here.insert([(1, "Ada", None), (2, "Bob", None)])
    there.Mouse.insert([(2, "Eve", {"a": 1}), (777, "Zoe", None)])
    return there


@pytest.mark.parametrize(
    "match",
    [
        lambda here, there: here & there,
        lambda here, there: here ^ there,
        lambda here, there: here & [there],
        lambda here, there: here & dj.AndList([there]),
        lambda here, there: here & dj.Not(there),
        lambda here, there: here & (query for query in [there]),
        lambda here, there: here & {"a": there}.values(),
        lambda here, there: here - there,
        lambda here, there: here * there,
        lambda here, there: here @ there,
        lambda here, there: here.join(there, left=True),
        lambda here, there: here + there,
        lambda here, there: here.aggr(there, n="count(*)"),
        lambda here, there: (dj.U("mouse") & here) * there,
    ],
)
def test_they_are_not_matched(mice, match):
    with pytest.raises(dj.DataJointError, match=r"another database .*elsewhere\.db.*fetch"):
        match(mice.Here.proj(), mice.Mouse.proj())


def test_what_is_fetched_is_matched(mice):
    query = mice.Here & mice.Mouse.fetch("KEY")
    assert query.fetch("name").tolist() == ["Bob"]


def test_delete(mice):
    with pytest.raises(dj.DataJointError, match="another database"):
        (mice.Here & mice.Mouse.proj()).delete()
    assert len(mice.Here) == 2


@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_insert(there, chunk_size):
    there.Mouse.insert([(2, "Eve", {"a": 1}), (777, "Zoe", None)])
    there.Here.insert(there.Mouse, chunk_size=chunk_size)
    assert there.Here.fetch(as_dict=True, order_by="mouse") == [
        {"mouse": 2, "name": "Eve", "genes": {"a": 1}},
        {"mouse": 777, "name": "Zoe", "genes": None},
    ]
    there.Mouse.insert1((3, "Eva", None))
    there.Here.insert(there.Mouse & "mouse < 100", skip_duplicates=True)
    assert there.Here.fetch("mouse", order_by="mouse").tolist() == [2, 3, 777]


def test_insert_of_what_does_not_fit(mice):
    with pytest.raises(dj.errors.DuplicateError, match=r"row 0.*mouse = 2"):
        mice.Here.insert(mice.Mouse)
    with pytest.raises(dj.errors.UnknownAttributeError, match="titel"):
        mice.Here.insert(mice.Mouse.proj(titel="name"))
    assert len(mice.Here) == 2


def test_connections_to_one_database(mice, connect):
    other = dj.FreeTable(connect(), mice.Here.full_table_name)
    assert (mice.Here & (other & "mouse = 1").proj()).fetch("name").tolist() == ["Ada"]
    mice.Here.insert(other.proj(mouse="mouse"), skip_duplicates=True)
    assert len(mice.Here) == 2


def test_iterators_inside_of_restrictions(mice):
    def keys():
        return iter([{"mouse": 1}])

    assert (mice.Here & [keys()]).fetch("mouse").tolist() == [1]
    assert (mice.Here & dj.AndList([keys()])).fetch("mouse").tolist() == [1]
    assert (mice.Here & dj.Not(keys())).fetch("mouse").tolist() == [2]
    assert (mice.Here - [keys()]).fetch("mouse").tolist() == [2]
