"""Attribute types of the user's own."""

import uuid
from types import SimpleNamespace

import numpy as np
import pytest

import datajoint as dj
from datajoint import attribute_adapter


class Point:
    """What users compute with."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    def __hash__(self):
        return hash((self.x, self.y))

    def __repr__(self):
        return f"Point({self.x}, {self.y})"


class PointAdapter(dj.AttributeAdapter):
    attribute_type = "varchar(20)"

    def put(self, obj):
        return f"{obj.x},{obj.y}"

    def get(self, value):
        return Point(*map(int, value.split(",")))


class BlobPoints(dj.AttributeAdapter):
    """Lists of points, as an array."""

    @property
    def attribute_type(self):
        return "longblob"

    def put(self, obj):
        return np.array([(p.x, p.y) for p in obj])

    def get(self, value):
        return [Point(int(x), int(y)) for x, y in value]


class Swapped(dj.AttributeAdapter):
    """A point with its coordinates the other way round: an adapter of an adapter."""

    attribute_type = "<point>"

    def put(self, obj):
        return Point(obj.y, obj.x)

    def get(self, value):
        return Point(value.y, value.x)


point = PointAdapter()
points = BlobPoints()
swapped = Swapped()
ADAPTERS = {"point": point, "points": points, "swapped": swapped}


@pytest.fixture
def lab(make_schema):
    schema = make_schema()

    class Place(dj.Manual):
        definition = """
        # places
        at : <point>   # where it is
        ---
        outline : <points>
        mirror = null : <swapped>  # "the other way" round
        name = "" : varchar(10)
        """

    context = {**ADAPTERS}
    schema(Place, context=context)
    Place.insert1((Point(1, 2), [Point(0, 0), Point(3, 4)], Point(5, 6), "a"))
    Place.insert1({"at": Point(3, 4), "outline": []})
    return SimpleNamespace(schema=schema, Place=Place, context=context)


def test_values_come_back(lab):
    assert (lab.Place & {"name": "a"}).fetch1() == {
        "at": Point(1, 2),
        "outline": [Point(0, 0), Point(3, 4)],
        "mirror": Point(5, 6),
        "name": "a",
    }
    assert (lab.Place & {"name": ""}).fetch1("outline", "mirror") == ([], None)
    assert lab.Place.fetch("at", order_by="at").tolist() == [Point(1, 2), Point(3, 4)]
    assert lab.Place.fetch("KEY", order_by="KEY") == [{"at": Point(1, 2)}, {"at": Point(3, 4)}]
    assert [row["at"] for row in lab.Place & "name = 'a'"] == [Point(1, 2)]
    frame = lab.Place.fetch(format="frame")
    assert sorted(map(repr, frame.index)) == ["Point(1, 2)", "Point(3, 4)"]


def test_what_is_stored(lab):
    free = dj.FreeTable(lab.schema.connection, lab.Place.full_table_name)
    assert (free & "at = '1,2'").fetch1("name") == "a"
    assert (lab.Place & "mirror = '6,5'").fetch1("name") == "a"


def test_restriction_by_values(lab):
    assert (lab.Place & {"at": Point(1, 2)}).fetch1("name") == "a"
    assert len(lab.Place & {"at": Point(9, 9)}) == 0
    assert len(lab.Place & [{"at": Point(1, 2)}, {"at": Point(3, 4)}]) == 2
    assert len(lab.Place & lab.Place.fetch("KEY")) == 2
    assert (lab.Place & {"mirror": Point(5, 6)}).fetch1("name") == "a"
    assert (lab.Place & {"mirror": None}).fetch1("name") == ""
    with_list = {"at": Point(1, 2), "mirror": [Point(5, 6)]}  # an object as any other
    with pytest.raises(dj.DataJointError, match="cannot put a value of type `list`"):
        lab.Place & with_list
    with pytest.raises(dj.DataJointError, match=r"attribute `outline` of type `<points>`"):
        lab.Place & {"outline": [Point(0, 0)]}


def test_operators_keep_the_types(lab):
    renamed = (lab.Place & {"name": "a"}).proj(here="at", there="mirror")
    assert renamed.fetch1() == {"here": Point(1, 2), "there": Point(5, 6)}
    both = lab.Place.proj("name") * lab.Place.proj("mirror")
    assert (both & "name = 'a'").fetch1("mirror") == Point(5, 6)
    assert (dj.U("at") & (lab.Place & "name='a'")).fetch1("KEY") == {"at": Point(1, 2)}
    counted = lab.Place.aggr(lab.Place.proj(), n="count(*)")
    assert set(counted.fetch("at")) == {Point(1, 2), Point(3, 4)}
    united = lab.Place.proj() + lab.Place.proj()
    assert set(united.fetch("at")) == {Point(1, 2), Point(3, 4)}


def test_update(lab):
    lab.Place.update1({"at": Point(1, 2), "mirror": Point(8, 9)})
    assert (lab.Place & {"at": Point(1, 2)}).fetch1("mirror") == Point(8, 9)
    lab.Place.update1({"at": Point(1, 2), "mirror": None})
    assert (lab.Place & {"at": Point(1, 2)}).fetch1("mirror") is None


def test_duplicates_and_skips(lab):
    row = {"at": Point(1, 2), "outline": []}
    with pytest.raises(dj.errors.DuplicateError, match=r"at = '1,2' exists already"):
        lab.Place.insert1(row)
    lab.Place.insert1(row, skip_duplicates=True)
    assert len(lab.Place()) == 2


def test_describe_and_heading(lab):
    text = lab.Place.describe({})
    assert text.splitlines() == [
        "# places",
        "at                   : <point>                      # where it is",
        "---",
        "outline              : <points>",
        'mirror=null          : <swapped>                    # "the other way" round',
        'name=""              : varchar(10)',
    ]
    again = type("Again", (dj.Manual,), {"definition": text})
    lab.schema(again, context=lab.context)
    assert again.describe({}) == text
    attribute = lab.Place.heading["outline"]
    assert (attribute.type, attribute.adapter, attribute.is_blob) == ("<points>", points, True)
    assert lab.Place.heading["at"].adapter is point


def test_previews(lab):
    text = repr(lab.Place & "name = 'a'")
    assert "Point(1, 2)" in text
    assert "=BLOB=" in text
    assert "Point(5, 6)" in text


class TestReferences:
    """Adapted attributes in keys that others refer to."""

    @pytest.fixture
    def visit(self, lab):
        class Visit(dj.Manual):
            definition = """
            -> Place
            visit : int
            ---
            -> [nullable] Place.proj(next="at")
            """

        # the adapter is known where the parent is defined, not here
        lab.schema(Visit, context={"Place": lab.Place})
        Visit.insert1((Point(1, 2), 1, Point(3, 4)))
        return Visit

    def test_values(self, lab, visit):
        assert visit.fetch1() == {"at": Point(1, 2), "visit": 1, "next": Point(3, 4)}
        assert (lab.Place & visit).fetch1("at") == Point(1, 2)
        assert (lab.Place * visit).fetch1("name", "at") == ("a", Point(1, 2))
        free = dj.FreeTable(lab.schema.connection, visit.full_table_name)
        assert free.fetch1("next") == Point(3, 4)

    def test_integrity(self, lab, visit):
        with pytest.raises(dj.errors.IntegrityError, match=r"no entity with at = '7,7'"):
            visit.insert1((Point(7, 7), 1, None))
        assert lab.Place.delete(safemode=False) == 2
        assert len(visit()) == 0

    def test_describe(self, lab, visit):
        text = visit.describe({"Place": lab.Place})
        assert text.splitlines() == [
            "-> Place",
            "visit                : int",
            "---",
            '-> [nullable] Place.proj(next="at")',
        ]

    def test_populate(self, lab):
        class Distance(dj.Computed):
            definition = """
            -> Place
            ---
            d : int
            """

            def make(self, key):
                self.insert1({**key, "d": key["at"].x + key["at"].y})

        lab.schema(Distance, context={"Place": lab.Place})
        assert Distance.populate()["success_count"] == 2
        assert Distance.populate()["success_count"] == 0
        assert (Distance & {"at": Point(1, 2)}).fetch1("d") == 3


def test_underlying_types(make_schema, tmp_path):
    """Adapters of every kind of type."""
    schema = make_schema()

    def adapter(type_, put, get):
        members = {
            "attribute_type": type_,
            "put": lambda self, obj: put(obj),
            "get": lambda self, value: get(value),
        }
        return type("Own", (dj.AttributeAdapter,), members)()

    def read(path):
        with open(path) as file:
            return file.read()

    def write(text):
        path = tmp_path / "note.txt"
        path.write_text(text)
        return path

    context = {
        "number": adapter("int", lambda text: int(text[1:]), "#{}".format),
        "identity": adapter("uuid", lambda n: uuid.UUID(int=n), lambda u: u.int),
        "tags": adapter("json", sorted, set),
        "text_file": adapter("attach", write, read),
    }

    class Own(dj.Manual):
        definition = """
        id : <identity>
        ---
        n = 7 : <number>
        tags = null : <tags>
        note = null : <text_file>
        """

    schema(Own, context=context)
    Own.insert1({"id": 5, "n": "#3", "tags": {"b", "a"}, "note": "hello"})
    Own.insert1({"id": 2**100})
    assert (Own & {"id": 5}).fetch1("id", "n", "tags") == (5, "#3", {"a", "b"})
    assert (Own & {"id": 5}).fetch1("note", download_path=tmp_path) == "hello"
    assert (Own & {"id": 2**100}).fetch1() == {
        "id": 2**100,
        "n": "#7",
        "tags": None,
        "note": None,
    }
    assert len(Own & {"n": "#3"}) == 1
    with pytest.raises(dj.DataJointError, match=r"attribute `n`.*`<number>`.*ValueError"):
        Own.insert1({"id": 1, "n": "#x"})
    assert len(Own()) == 2


def test_default_of_an_adapted_attribute_fits_what_is_stored(make_schema):
    bad = type("Bad", (dj.Manual,), {"definition": "id : int\n---\nat = 'abc' : <small>"})
    small = type("Small", (PointAdapter,), {"attribute_type": "tinyint"})
    with pytest.raises(dj.DataJointError, match="is not a number"):
        make_schema()(bad, context={"small": small})


class TestWhereAdaptersAreFound:
    """In the context, among registered ones, among those of installed packages."""

    DEFINITION = "id : int\n---\nat : <{}>"

    def declare(self, schema, name, context=None):
        class_ = type("Own", (dj.Manual,), {"definition": self.DEFINITION.format(name)})
        return schema(class_, context=context or {"unrelated": 1})

    def test_a_class_serves_as_well(self, make_schema):
        table = self.declare(make_schema(), "point", {"point": PointAdapter})
        table.insert1((1, Point(1, 2)))
        assert table.fetch1("at") == Point(1, 2)

    def test_around_the_class(self, make_schema):
        local = PointAdapter()
        assert local.attribute_type == "varchar(20)"

        @make_schema()
        class Own(dj.Manual):
            definition = """
            id : int
            ---
            a : <local>
            b : <point>
            """

        Own.insert1((1, Point(1, 2), Point(3, 4)))
        assert Own.fetch1("a", "b") == (Point(1, 2), Point(3, 4))

    def test_in_added_objects(self, make_schema):
        schema = make_schema()
        again = dj.Schema(
            schema.database, connection=schema.connection, add_objects={"added": point}
        )

        @again
        class Own(dj.Manual):
            definition = """
            id : int
            ---
            a : <added>
            """

        Own.insert1((1, Point(1, 2)))
        assert Own.fetch1("a") == Point(1, 2)

    def test_registered_by_name(self, make_schema, monkeypatch):
        monkeypatch.setattr(attribute_adapter, "_registered", {})
        type("Registered", (PointAdapter,), {}, name="everywhere")
        table = self.declare(make_schema(), "everywhere")
        table.insert1((1, Point(1, 2)))
        assert table.fetch1("at") == Point(1, 2)
        free = dj.FreeTable(table.connection, table.full_table_name)
        assert free.fetch1("at") == Point(1, 2)

    def test_provided_by_a_package(self, make_schema, monkeypatch):
        class EntryPoint:
            def load(self):
                return PointAdapter

        def entry_points(group, name):
            found = group == "datajoint.adapters" and name == "provided-1"
            return [EntryPoint()] if found else []

        attribute_adapter._provided.cache_clear()
        monkeypatch.setattr(attribute_adapter, "entry_points", entry_points)
        table = self.declare(make_schema(), "provided-1")
        table.insert1((1, Point(1, 2)))
        assert table.fetch1("at") == Point(1, 2)
        attribute_adapter._provided.cache_clear()

    def test_unknown(self, make_schema):
        schema = make_schema()
        with pytest.raises(dj.DataJointError) as error:
            self.declare(schema, "nobody")
        assert str(error.value) == (
            "Line 3 of the definition of `Own`: The adapter of type `<nobody>` is not known: "
            "define an instance of dj.AttributeAdapter with the name `nobody` where the class of "
            "the table is defined, give it as add_objects to the schema or virtual module, or "
            "install the package that provides it\n    at : <nobody>\n         ^"
        )
        assert schema.list_tables() == []

    def test_something_else(self, make_schema):
        with pytest.raises(dj.DataJointError, match="`point` is 5, which is no adapter"):
            self.declare(make_schema(), "point", {"point": 5})

    def test_circle(self, make_schema):
        circle = {"a": Swapped(), "point": type("B", (Swapped,), {"attribute_type": "<a>"})()}
        with pytest.raises(dj.DataJointError, match="adapts itself: <a> → <point> → <a>"):
            self.declare(make_schema(), "a", circle)

    def test_wrong_type(self, make_schema):
        wrong = type("Wrong", (PointAdapter,), {"attribute_type": "text"})()
        with pytest.raises(dj.DataJointError, match="text"):
            self.declare(make_schema(), "wrong", {"wrong": wrong})

    def test_blob_in_the_key(self, make_schema):
        bad = type("Bad", (dj.Manual,), {"definition": "a : <points>\n---\nb : int"})
        with pytest.raises(dj.DataJointError, match="`<points>` cannot be in the primary key"):
            make_schema()(bad, context=ADAPTERS)


class TestWithoutTheAdapter:
    """A table whose adapters are not known here: all else works."""

    @pytest.fixture
    def free(self, lab, connect):
        connection = connect()
        yield dj.FreeTable(connection, lab.Place.full_table_name)
        connection.close()

    def test_other_attributes(self, free):
        assert sorted(free.fetch("name")) == ["", "a"]
        assert (free & "name = 'a'").proj("name").heading.names == ["at", "name"]
        assert len(free & "at = '1,2'") == 1
        assert free.describe({}).splitlines()[1].split()[:3] == ["at", ":", "<point>"]

    def test_paths_into_documents_and_types(self, make_schema, connect):
        schema = make_schema()
        tags = type("Tags", (PointAdapter,), {"attribute_type": "json", "put": lambda _, x: x})()
        own = type("Own", (dj.Manual,), {"definition": "id : int\n---\nt : <tags>"})
        schema(own, context={"tags": tags})
        own.insert1((1, {"n": 5}))
        connection = connect()
        free = dj.FreeTable(connection, own.full_table_name)
        assert (free & {"t.n": 5}).fetch1("id") == 1
        assert free.proj(n="t.n:signed").fetch1("n") == 5
        assert free.heading["t"].json
        connection.close()

    def test_preview(self, free):
        text = repr(free & "name = 'a'")
        assert "=<point>=" in text
        assert "=<swapped>=" in text

    def test_its_values(self, free):
        with pytest.raises(dj.DataJointError, match="adapter of type `<point>` is not known"):
            free.fetch("at")
        with pytest.raises(dj.DataJointError, match="adapter of type `<point>` is not known"):
            free.insert1({"at": Point(1, 1), "outline": []})


def test_errors_of_adapters(lab):
    with pytest.raises(dj.DataJointError) as error:
        lab.Place.insert1({"at": "nowhere", "outline": []})
    assert str(error.value) == (
        f"Cannot insert into {lab.Place.full_table_name}: attribute `at`: the adapter of "
        "`<point>` cannot put a value of type `str` (AttributeError: 'str' object has no "
        "attribute 'x')"
    )
    assert isinstance(error.value.__cause__, AttributeError)
    with pytest.raises(dj.DataJointError, match="of which 20 are allowed"):
        lab.Place.insert1({"at": Point(10**12, 10**12), "outline": []})


class TestPipelinesMadeElsewhere:
    """Classes made from the database find adapters as others do."""

    def test_virtual_module(self, lab, connect):
        connection = connect()
        name = lab.schema.database
        unknown = dj.VirtualModule("places", name, connection=connection)
        with pytest.raises(dj.DataJointError, match="adapter of type `<point>` is not known"):
            unknown.Place.fetch("at")
        assert sorted(unknown.Place.fetch("name")) == ["", "a"]
        places = dj.VirtualModule("places", name, connection=connection, add_objects=ADAPTERS)
        assert (places.Place & {"at": Point(1, 2)}).fetch1("mirror") == Point(5, 6)
        places.Place.insert1((Point(7, 7), [], None, ""))
        assert len(lab.Place & {"at": Point(7, 7)}) == 1
        connection.close()

    def test_saved_source_names_the_adapters(self, lab):
        code = lab.schema.code
        assert "# Import the adapters of these types here: <point>, <points>, <swapped>" in code
        assert "    at                   : <point>                      # where it is" in code
