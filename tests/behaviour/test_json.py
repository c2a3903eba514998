"""Attributes of type json: documents, paths into them, indexes on what is there."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest

import datajoint as dj
from datajoint.attribute_adapter import AttributeAdapter
from datajoint.errors import (
    DataJointError,
    DuplicateError,
    MissingAttributeError,
    QuerySyntaxError,
    UnknownAttributeError,
)

CARS: list[Any] = [
    {
        "name": "Rover",
        "length": 100,
        "weight": 1.5,
        "inspected": True,
        "owner": {"name": "Ann", "since": "2020-02-29", "key": None},
        "tires": [32, 31.5, "33"],
        "checked": "2021-03-04T05:06:07.25",
        "start": "08:30:00.5",
    },
    {
        "name": "rocket",
        "length": "250",
        "weight": -3.5,
        "inspected": False,
        "owner": {"name": 'O"Neil', "since": "2021-02-29"},
        "tires": [],
        "checked": "yesterday",
        "start": "25:00:00",
    },
    {"name": "Böse 😀", "length": 2**70, "weight": "heavy", "tires": {"0": 1}, "owner": "nobody"},
    None,
]


@pytest.fixture
def Car(schema):
    @schema
    class Car(dj.Manual):
        definition = """
        id : int
        ---
        car = null : json  # all that is known
        owner_id = 0 : int
        """

    Car.insert([(i, car, i) for i, car in enumerate(CARS)])
    return Car


def ids(query) -> list[int]:
    return query.fetch("id", order_by="id").tolist()


# -- documents --------------------------------------------------------------------------------


DOCUMENTS = [
    {},
    [],
    {"a": [1, {"b": [None, True, False]}], "": "empty key"},
    "text",
    "",
    "quotes \" and ' and \\ and % and ? and \n",
    "Ünïcödé 😀",
    {"ключ": "😀"},
    "\\u0000 is no NUL",
    0,
    -17,
    2**53 + 1,
    2**64,
    -(10**40),
    1.0,
    0.1,
    -2.5e-7,
    1e20,
    1.7976931348623157e308,
    5e-324,
    {"e": 1e-10, "text": "1e-10 and 1e+5"},
    True,
    False,
    ["x" * 100_000] * 10,
]


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_what_is_inserted_is_fetched(Car, number):
    document = DOCUMENTS[number]
    Car.insert1((10, document, 0))
    found = (Car & {"id": 10}).fetch1("car")
    assert json.dumps(found, sort_keys=True) == json.dumps(document, sort_keys=True)
    assert ids(Car & {"car": document}) == [10]


def test_documents_in_all_forms_of_fetch(Car):
    assert (Car & {"id": 1}).fetch1() == {"id": 1, "car": CARS[1], "owner_id": 1}
    assert list(Car.fetch("car", order_by="id")) == CARS
    assert Car.fetch(order_by="id")["car"].tolist() == CARS
    assert Car.fetch(format="frame", order_by="id")["car"].tolist() == CARS
    assert [row["car"] for row in Car.fetch(as_dict=True, order_by="id")] == CARS


def test_heading_and_description(Car):
    attribute = Car.heading["car"]
    assert (attribute.json, attribute.type, attribute.nullable) == (True, "json", True)
    assert (attribute.is_blob, attribute.string, attribute.numeric) == (False, False, False)
    assert "car=null             : json                         # all that is known" in (
        Car.describe()
    )


def test_preview_shows_documents(Car):
    assert "{'name': 'Roc" not in repr(Car & {"id": 3})
    Car.insert1((10, [1, None], 0))
    assert "[1, None]" in (Car & {"id": 10}).preview()
    assert "[1, None]" in (Car & {"id": 10})._repr_html_()


def test_none_is_null_or_no_value(Car, schema):
    assert ids(Car & "car IS NULL") == ids(Car & {"car": None}) == [3]

    @schema
    class Strict(dj.Manual):
        definition = """
        id : int
        ---
        car : json
        """

    with pytest.raises(MissingAttributeError, match="car"):
        Strict.insert1((1, None))


def test_update1(Car):
    Car.update1({"id": 0, "car": {"new": [1]}})
    assert (Car & {"id": 0}).fetch1("car") == {"new": [1]}
    Car.update1({"id": 0, "car": None})
    assert (Car & {"id": 0}).fetch1("car") is None


def test_replace_and_skip(Car):
    Car.insert1((0, [1], 0), skip_duplicates=True)
    assert (Car & {"id": 0}).fetch1("car") == CARS[0]
    Car.insert1((0, [1], 0), replace=True)
    assert (Car & {"id": 0}).fetch1("car") == [1]


def test_insert_of_a_query(Car, schema):
    @schema
    class Copy(dj.Manual):
        definition = """
        id : int
        ---
        car = null : json
        owner = null : json
        """

    Copy.insert(Car.proj("car", owner="car.owner:json"))
    assert list(Copy.fetch("car", order_by="id")) == CARS
    assert list(Copy.fetch("owner", order_by="id")) == [
        CARS[0]["owner"],
        CARS[1]["owner"],
        "nobody",
        None,
    ]


CIRCLE: list[Any] = [1]
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "is no JSON document: it contains a number that is not finite"),
        ([math.inf], "is no JSON document: it contains a number that is not finite"),
        ({"a": {1, 2}}, "is no JSON document: object of type set is not JSON serializable"),
        (dt.date(2020, 1, 1), "is no JSON document: object of type date is not JSON serializable"),
        (CIRCLE, "is no JSON document: it contains itself"),
        ("\ud83d", "half of a surrogate pair"),
        ({"a\0": 1}, "contains a NUL character"),
        ("\\\0", "contains a NUL character"),
    ],
)
def test_what_is_no_document_is_refused(Car, value, reason):
    with pytest.raises(DataJointError, match=rf"attribute `car` of type `json`: it .*{reason}"):
        Car.insert1((10, value, 0))
    with pytest.raises(DataJointError, match=rf"attribute `car` of type `json`: it .*{reason}"):
        Car.update1({"id": 0, "car": value})
    assert len(Car) == len(CARS)


def test_other_long_texts_are_of_no_known_type(Car, connection, schema, backend):
    if backend != "mysql":
        pytest.skip("only on MariaDB is json a long text")
    connection.query(
        f"CREATE TABLE `{schema.database}`.`foreign` (id int primary key, a longtext, "
        "b longtext CHECK (json_valid(b)), c longtext CHECK (length(c) < 5))"
    )
    table = dj.FreeTable(connection, f"`{schema.database}`.`foreign`")
    assert [a.type for a in table.heading.attributes.values()] == [
        "int",
        "longtext",
        "json",
        "longtext",
    ]


class PointAdapter(AttributeAdapter):
    """Complex numbers, as objects of JSON."""

    attribute_type = "json"

    def put(self, obj: complex) -> dict[str, float]:
        return {"x": obj.real, "y": obj.imag}

    def get(self, value: dict[str, float]) -> complex:
        return complex(value["x"], value["y"])


def test_adapted_documents(schema):
    point = PointAdapter()  # noqa: F841, which the definition names

    @schema
    class Place(dj.Manual):
        definition = """
        place : int
        ---
        at : <point>
        """

    Place.insert([(1, 1 + 2j), (2, 3 - 4.5j)])
    assert Place.fetch("at", order_by="place").tolist() == [1 + 2j, 3 - 4.5j]
    assert (Place & {"at": 3 - 4.5j}).fetch1("place") == 2
    assert len(Place & [{"at": 1 + 2j}, {"at": 3 - 4.5j}]) == 2
    assert (Place & {"at.y": 2}).fetch1("place") == 1


def test_texts_of_documents_compare_with_any_text(Car, connection, schema, backend):
    if backend != "mysql":
        pytest.skip("only on MariaDB and MySQL do tables have collations")
    connection.query(
        f"CREATE TABLE `{schema.database}`.`name` (name varchar(20) primary key) "
        "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
    )
    names = dj.FreeTable(connection, f"`{schema.database}`.`name`")
    names.insert([("ROVER",), ("Mini",)])
    cars = Car.proj(text="car.name")
    assert (cars * names & "text = name").fetch("id", "name", as_dict=True) == [
        {"id": 0, "name": "ROVER"}
    ]
    assert len((Car * names) & "car->>'$.name' = name") == 1


# -- paths in restrictions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        # texts compare without regard to case, as all texts do
        ({"car.name": "Rover"}, [0]),
        ({"car.name": "ROCKET"}, [1]),
        ({"car.owner.name": 'O"Neil'}, [1]),
        ({"car.name": "Böse 😀"}, [2]),
        ({"car.length": "100"}, [0]),
        # numbers compare with numbers, and with strings that are numbers
        ({"car.length": 100}, [0]),
        ({"car.length": 100.0}, [0]),
        ({"car.length": 250}, [1]),
        ({"car.length": 2**70}, [2]),
        ({"car.length": 2**70 + 1}, []),
        ({"car.weight": 1.5}, [0]),
        ({"car.weight": Decimal("-3.5")}, [1]),
        ({"car.tires[0]": 32}, [0]),
        ({"car.tires[1]": 31.5}, [0]),
        ({"car.tires[2]": 33}, [0]),
        ({"car.tires[3]": 33}, []),
        ({"car.tires.0": 1}, [2]),
        ({"car.owner[0]": "nobody"}, []),
        # true and false
        ({"car.inspected": True}, [0]),
        ({"car.inspected": False}, [1]),
        ({"car.inspected:unsigned": True}, [0]),
        ({"car.inspected:signed": 0}, [1]),
        ({"car.inspected": 1}, [0]),
        ({"car.inspected": "true"}, [0]),
        # None: nothing there, or the null of JSON
        ({"car.owner.key": None}, [0, 1, 2, 3]),
        ({"car.owner": None}, [3]),
        ({"car.inspected": None}, [2, 3]),
        ({"car.length:signed": None}, [2, 3]),
        # documents
        ({"car.tires": [32, 31.5, "33"]}, [0]),
        ({"car.tires": [31.5, 32, "33"]}, []),
        ({"car.tires": []}, [1]),
        ({"car.tires": {"0": 1}}, [2]),
        ({"car.tires": {"0": 1.0}}, [2]),
        ({"car.tires": {"0": True}}, []),
        ({"car.owner": {"since": "2021-02-29", "name": 'O"Neil'}}, [1]),
        ({"car": CARS[1]}, [1]),
        ({"car.tires:json": (32, 31.5, "33")}, [0]),
        # types
        ({"car.length:unsigned": 100}, [0]),
        ({"car.length:signed": [100, 250]}, [0, 1]),
        ({"car.length:double": 2.0**70}, [2]),
        ({"car.weight:decimal(5,2)": 1.5}, [0]),
        ({"car.weight:signed": -4}, [1]),
        ({"car.weight:unsigned": 2}, [0]),
        ({"car.weight:unsigned": 2.5}, []),
        ({"car.name:char(5)": "rover"}, [0]),
        ({"car.name:char(4)": "rove"}, []),
        ({"car.owner.since:date": dt.date(2020, 2, 29)}, [0]),
        ({"car.checked:datetime": "2021-03-04 05:06:07"}, [0]),
        ({"car.checked:datetime(3)": dt.datetime(2021, 3, 4, 5, 6, 7, 250000)}, [0]),
        ({"car.start:time(1)": dt.timedelta(hours=8, minutes=30, seconds=0.5)}, [0]),
        # several
        ({"car.name": "rover", "id": 0}, [0]),
        ({"car.name": "rover", "id": 1}, []),
        ([{"car.name": "rover"}, {"car.length": 250}], [0, 1]),
        (dj.Not({"car.name": "rover"}), [1, 2, 3]),
        (dj.Not({"car.tires": []}), [0, 2, 3]),
        # no attribute of this name: passed over, as any such key
        ({"bus.name": "rover"}, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_restriction_by_path(Car, restriction, expected):
    assert ids(Car & restriction) == expected


def test_path_from_the_document_itself(Car):
    Car.insert([(10, [7, [8]], 0), (11, "text", 0)])
    assert ids(Car & {"car[0]": 7}) == [10]
    assert ids(Car & {"car[1][0]": 8}) == [10]
    assert ids(Car & {"car": "text"}) == [11]
    assert ids(Car & {"car": [7, [8]]}) == [10]


def test_restriction_by_path_deletes_and_counts(Car):
    assert len(Car & {"car.name": "rover"}) == 1
    assert (Car & {"car.length:signed": 250}).delete() == 1
    assert ids(Car) == [0, 2, 3]


def test_path_into_a_renamed_and_joined_attribute(Car, schema):
    @schema
    class Owner(dj.Manual):
        definition = """
        owner_id : int
        ---
        person : json
        """

    Owner.insert([(0, {"age": 40}), (1, {"age": 50})])
    cars = Car.proj("owner_id", vehicle="car")
    assert ids(cars & {"vehicle.name": "rocket"}) == [1]
    joined = cars * Owner
    assert ids(joined & {"person.age": 40, "vehicle.length": 100}) == [0]
    values = joined.proj(age="person.age:signed", name="vehicle.name")
    assert values.fetch("age", "name", order_by="id", as_dict=True) == [
        {"age": 40, "name": "Rover"},
        {"age": 50, "name": "rocket"},
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "car.name:text",
            r"`car.name:text`: .* cannot be converted to `text`.* \(the types are: signed",
        ),
        ("car.name:unsinged", r"converted to `unsinged`; did you mean `unsigned`"),
        ("car.name:decimal(99,1)", r"`car.name:decimal\(99,1\)`: .*a decimal has 1 to 65 digits"),
        ("car.", "`car.` is no path into the documents of `car`"),
        ("car.a b", "`car.a b` is no path"),
        ("car[x]", r"`car\[x\]` is no path"),
        ("car[-1]", r"`car\[-1\]` is no path"),
        ("car:unsigned", "`car:unsigned` is no path"),
        ("owner_id.name", "`owner_id.name` is a path .* `owner_id` has type `int`, not json .*car"),
    ],
)
def test_paths_that_are_none(Car, key, message):
    with pytest.raises(DataJointError, match=message):
        Car & {key: 1}
    with pytest.raises(DataJointError):
        Car.proj(x=key)


def test_values_that_cannot_be_compared(Car):
    with pytest.raises(DataJointError, match=r"`car.length:signed` cannot .* 'long', which is not"):
        Car & {"car.length:signed": "long"}
    with pytest.raises(DataJointError, match=r"`car.length` cannot be restricted by a query"):
        Car & {"car.length": Car}
    with pytest.raises(DataJointError, match="is no JSON document"):
        Car & {"car.length": [{1}, dt.date(2020, 1, 1)]}


HOSTILE = ["x' OR '1'='1", 'x" OR "1"="1', "*/ OR 1=1 /*", "x\\", "%s", "?", "\\' OR 1=1 -- ", "😀"]


@pytest.mark.parametrize("text", HOSTILE)
def test_values_are_never_sql(Car, text):
    Car.insert1((10, {"name": text, "list": [text], "n": 1}, 0))
    assert ids(Car & {"car.name": text}) == [10]
    assert ids(Car & {"car.list": [text]}) == [10]
    assert ids(Car & {"car": {"name": text, "list": [text], "n": 1}}) == [10]
    assert ids(Car & {"car.list": [text, 1]}) == []


@pytest.mark.parametrize(
    "key", ["x\\", "%s", "?", ";--", "*/", "/*", "$", "*", "@", "é😀", "{value}"]
)
def test_keys_are_never_sql(Car, key):
    Car.insert1((10, {key: {"n": 5}}, 0))
    assert ids(Car & {f"car.{key}.n": 5}) == [10]
    assert (Car & {"id": 10}).proj(n=f"car.{key}.n:signed").fetch1("n") == 5
    assert ids(Car & {f"car.{key}": {"n": 5}}) == [10]


@pytest.mark.parametrize(
    "path",
    ["car.x' OR 1=1 --", 'car.x" OR 1=1', "car.x`", "car.x:unsigned) OR 1=1", "car.x:char(1 OR 1)"],
)
def test_paths_are_never_sql(Car, path):
    with pytest.raises(DataJointError, match="is no path into the documents of `car`"):
        Car & {path: 1}
    with pytest.raises(DataJointError, match="is no path into the documents of `car`"):
        Car.proj(x=path)


# -- paths in projections ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("car.name", ["Rover", "rocket", "Böse 😀", None]),
        ("car.length", ["100", "250", str(2**70), None]),
        ("car.inspected", ["true", "false", None, None]),
        ("car.tires", [None, None, None, None]),
        ("car.tires[1]", ["31.5", None, None, None]),
        ("car.owner.key", [None, None, None, None]),
        ("car.name:char(5)", ["Rover", None, None, None]),
        ("car.length:signed", [100, 250, None, None]),
        ("car.length:unsigned", [100, 250, None, None]),
        ("car.weight:unsigned", [2, None, None, None]),
        ("car.weight:signed", [2, -4, None, None]),
        ("car.inspected:unsigned", [1, 0, None, None]),
        ("car.weight:double", [1.5, -3.5, None, None]),
        ("car.length:float", [100.0, 250.0, 2.0**70, None]),
        ("car.weight:decimal(5,2)", [Decimal("1.50"), Decimal("-3.50"), None, None]),
        ("car.length:decimal(4,1)", [Decimal("100.0"), Decimal("250.0"), None, None]),
        ("car.owner.since:date", [dt.date(2020, 2, 29), None, None, None]),
        ("car.checked:date", [dt.date(2021, 3, 4), None, None, None]),
        ("car.checked:datetime", [dt.datetime(2021, 3, 4, 5, 6, 7), None, None, None]),
        ("car.checked:datetime(6)", [dt.datetime(2021, 3, 4, 5, 6, 7, 250000), None, None, None]),
        ("car.owner.since:datetime", [dt.datetime(2020, 2, 29), None, None, None]),
        ("car.start:time", [dt.timedelta(hours=8, minutes=30), None, None, None]),
        ("car.tires:json", [[32, 31.5, "33"], [], {"0": 1}, None]),
        ("car.owner.key:json", [None, None, None, None]),
    ],
)
def test_projected_paths(Car, path, expected):
    query = Car.proj(x=path)
    found = query.fetch("x", order_by="id").tolist()
    assert [(type(x), x) for x in found] == [(type(x), x) for x in expected]
    assert query.heading["x"].type == "<computed>"
    assert query.heading["x"].nullable


def test_projected_values_behave_as_their_types(Car):
    query = Car.proj(name="car.name", length="car.length:signed", since="car.owner.since:date")
    assert ids(query & "name = 'rover'") == ids(query & {"name": "ROVER"}) == [0]
    assert ids(query & "length > 99") == [0, 1]
    assert ids(query & {"length": 100}) == [0]
    assert ids(query & "since < '2020-03-01'") == [0]
    assert ids(query & {"since": "2020-02-29"}) == [0]
    assert query.proj(next="length + 1").fetch("next", order_by="id").tolist() == [
        101,
        251,
        None,
        None,
    ]
    assert (query & "length IS NOT NULL").fetch("id", order_by="length DESC").tolist() == [1, 0]


def test_order_by_path(Car):
    assert Car.fetch("id", order_by="car.weight:double, id").tolist() == [2, 3, 1, 0]
    assert Car.fetch("id", order_by="car.weight:double DESC, id DESC").tolist() == [0, 1, 3, 2]
    assert (Car & dj.Top(1, "car.name DESC")).fetch1("id") == 0


def test_grouping_by_paths(Car):
    Car.insert([(10, {"name": "Rover", "length": 300}, 0), (11, {"name": "rocket"}, 1)])
    query = Car.proj(name="car.name", length="car.length:signed") & "id <> 2"
    names = (dj.U("name") & query).fetch("name", order_by="name").tolist()
    assert names == [None, "rocket", "Rover"]
    grouped = dj.U("name").aggr(query, n="count(*)", longest="max(length)")
    assert grouped.fetch(as_dict=True, order_by="name") == [
        {"name": None, "n": 1, "longest": None},
        {"name": "rocket", "n": 2, "longest": 250},
        {"name": "Rover", "n": 2, "longest": 300},
    ]


def test_paths_in_aggregations(Car, schema):
    @schema
    class Trip(dj.Manual):
        definition = """
        -> Car
        trip : int
        ---
        log : json
        """

    Trip.insert([(0, 1, {"km": 5}), (0, 2, {"km": 7.5}), (1, 1, {})])
    km = Trip.proj(km="log.km:double")
    assert Car.aggr(km, name="car.name", total="sum(km)").fetch(as_dict=True, order_by="id") == [
        {"id": 0, "name": "Rover", "total": 12.5},
        {"id": 1, "name": "rocket", "total": None},
    ]
    with pytest.raises(DataJointError, match=r"`km` is a path into the attribute `log`.*proj"):
        Car.aggr(Trip, km="log.km")


def test_projection_by_path_of_what_is_no_attribute(Car):
    with pytest.raises(UnknownAttributeError, match="name"):
        Car.proj(x="bus.name")
    # the name of a table before an attribute
    assert Car.proj(x="car.owner_id").heading["x"].json is False


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        (2**63 - 1, "car:signed", 2**63 - 1),
        (-(2**63), "car:signed", -(2**63)),
        (2**63, "car:signed", None),
        (2**53 + 1, "car:unsigned", 2**53 + 1),
        (str(2**53 + 1), "car:unsigned", 2**53 + 1),
        (-1, "car:unsigned", None),
        (0.5, "car:signed", 1),
        (-0.5, "car:signed", -1),
        ("1e3", "car:signed", 1000),
        (1e300, "car:signed", None),
        ("007", "car:signed", None),
        ("0x10", "car:signed", None),
        ("", "car:signed", None),
        ("-1.5e1", "car:double", -15.0),
        ("Infinity", "car:double", None),
        ("nan", "car:double", None),
        (999.995, "car:decimal(5,2)", None),
        ("999.99", "car:decimal(5,2)", Decimal("999.99")),
        (1900, "car:year", None),
        (2155, "car:year", 2155),
        ("2020-13-01", "car:date", None),
        ("2020-1-1", "car:date", None),
        ("0001-01-01", "car:date", dt.date(1, 1, 1)),
        ("9999-12-31", "car:date", dt.date(9999, 12, 31)),
        ("now", "car:date", None),
        ("2020-01-01 24:00:00", "car:datetime", None),
        ("2020-01-01 12:00", "car:datetime", None),
        ("2020-01-01T23:59:59.999999", "car:datetime", dt.datetime(2020, 1, 1, 23, 59, 59)),
        ("2020-01-01T23:59:59.1234567", "car:datetime", None),
        ("23:59:59", "car:time", dt.timedelta(hours=23, minutes=59, seconds=59)),
        (20200101, "car:date", None),
        (True, "car:date", None),
        ([], "car:signed", None),
        ({"a": 1}, "car:double", None),
    ],
)
def test_conversions(Car, value, path, expected):
    Car.insert1((10, {"x": value}, 0))
    attribute, _, type_ = path.partition(":")
    found = (Car & {"id": 10}).proj(x=f"{attribute}.x:{type_}").fetch1("x")
    assert (type(found), found) == (type(expected), expected)


# -- operators in fragments -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("car->>'$.name' = 'rover'", [0]),
        ('car->>"$.owner.name" = "Ann"', [0]),
        ("car ->> '$.name' = \"rocket\" OR id = 3", [1, 3]),
        ("car->'$.name' = 'Rover'", [0]),
        ("car->'$.length' < 200", [0]),
        ("car->>'$.length' between 200 and 300", [1]),
        ("car->>'$.tires[0]' = 32 AND id < 2", [0]),
        ("car->>'$.name' LIKE 'ro%'", [0, 1]),
        ("car->>'$.name' IN ('Rover', 'Mini')", [0]),
        ("car->>'$.inspected' = 'true'", [0]),
        ("car->>'$.owner.key' = 'null'", [0]),
        ("car->>'$.inspected' IS NULL", [2, 3]),
        ("json_unquote(json_extract(car, '$.owner.name')) = 'Ann'", [0]),
        ("car->>'$.\"name\"' = 'rover'", [0]),
    ],
)
def test_operators(Car, fragment, expected):
    assert ids(Car & fragment) == expected


def test_projected_operators(Car):
    query = (Car & {"id": 0}).proj(a="car->>'$.name'", b="car->'$.name'", c="car->>'$.weight'")
    assert query.fetch1() == {"id": 0, "a": "Rover", "b": '"Rover"', "c": "1.5"}
    assert ids(Car.proj(name="car->>'$.name'") & {"name": "rover"}) == [0]


@pytest.mark.parametrize("path", ["$.*", "$.tires[last]", "$**.name"])
def test_operators_with_patterns(Car, path, differs):
    differs(mysql="the text goes to the server, which has patterns")
    with pytest.raises(QuerySyntaxError):
        (Car & f"car->>'{path}' = 1").fetch()


# -- indexes ----------------------------------------------------------------------------------

INDEXED = """
id : int
---
car = null           : json
b = 1                : int
unique index (car.name:char(20))
index (car.tires[0]:unsigned, b)
index (car.note)
index (car.since:date, car.at:datetime, car.start:time)
index (car.x:decimal(5,2), car.y:double, car.z:year)
"""


@pytest.fixture
def Indexed(schema):
    @schema
    class Indexed(dj.Manual):
        definition = INDEXED

    return Indexed


def test_index_lines_are_read_back(Indexed, schema):
    assert Indexed.heading.indexes == {
        ("car.name:char(20)",): {"unique": True, "nullable": False},
        ("car.tires[0]:unsigned", "b"): {"unique": False, "nullable": False},
        ("car.note",): {"unique": False, "nullable": False},
        ("car.since:date", "car.at:datetime", "car.start:time"): {
            "unique": False,
            "nullable": False,
        },
        ("car.x:decimal(5,2)", "car.y:double", "car.z:year"): {"unique": False, "nullable": False},
    }
    assert Indexed.heading.names == ["id", "car", "b"]
    description = Indexed.describe()
    lines = [line for line in INDEXED.splitlines() if "index" in line]
    assert sorted(lines) == sorted(x for x in description.splitlines() if "index" in x)

    @schema
    class Again(dj.Manual):
        definition = description

    assert Again.describe() == description


def test_rows_of_a_table_with_indexed_paths(Indexed):
    rows = [
        (1, {"name": "Bob", "tires": [1]}, 2),
        (2, {"name": "Eve", "since": "2021-02-29", "at": "never", "start": "1", "x": 1e9}, 2),
        (3, None, 2),
        (4, {"name": "x" * 30, "note": "y" * 300}, 2),
    ]
    Indexed.insert(rows)
    assert [tuple(row) for row in Indexed.fetch(order_by="id")] == rows
    Indexed.update1({"id": 3, "car": {"name": "Joe"}})
    assert ids(Indexed & {"car.name:char(20)": "joe"}) == [3]
    assert (Indexed & {"id": 4}).delete() == 1


def test_unique_index_on_a_path(Indexed):
    Indexed.insert1((1, {"name": "Bob"}, 1))
    Indexed.insert([(2, {}, 1), (3, {}, 1), (4, None, 1)])  # no value is no duplicate
    with pytest.raises(DuplicateError, match="Cannot insert into"):
        Indexed.insert1((5, {"name": "bob"}, 1))
    with pytest.raises(DuplicateError):
        Indexed.update1({"id": 2, "car": {"name": "BOB"}})
    assert len(Indexed) == 4


@pytest.mark.parametrize(
    "restriction",
    [
        {"car.name:char(20)": "bob"},
        {"car.tires[0]:unsigned": 3},
        {"car.note": "x"},
        {"car.since:date": "2020-01-01"},
        {"car.x:decimal(5,2)": 1.5},
    ],
    ids=str,
)
def test_indexes_are_used(Indexed, connection, backend, restriction, differs):
    differs(mysql="MariaDB 10.11 does not look for expressions among its computed columns")
    query = (Indexed & restriction).make_sql()
    if backend == "postgresql":
        connection.query("SET enable_seqscan = off")
    explain = {"sqlite": "EXPLAIN QUERY PLAN "}.get(backend, "EXPLAIN ")
    plan = str(connection.query(explain + query.replace("%", "%%")).fetchall())
    assert "INDEX djtest" in plan or "Index Scan" in plan


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("index (car)", "`car` of type `json` cannot be in an index; a path into it can"),
        ("index (b.name)", "`b.name` is a path into a document, but `b` has type `int`, not json"),
        ("index (car.name:text)", "a value of a document cannot be converted to `text`"),
        ("index (car.name:json)", "a value of type `json` cannot be in an index"),
        ("index (bus.name)", "`bus` is no attribute"),
    ],
)
def test_indexes_that_cannot_be(schema, line, message):
    class Wrong(dj.Manual):
        definition = f"""
        id : int
        ---
        car : json
        b : int
        {line}
        """

    with pytest.raises(DataJointError, match=message):
        schema(Wrong)


def test_json_in_the_primary_key(schema):
    class Wrong(dj.Manual):
        definition = "car : json"

    with pytest.raises(DataJointError, match=r"`json` cannot be in the primary key"):
        schema(Wrong)
