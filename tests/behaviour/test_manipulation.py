"""Insert, update, delete, drop and transactions: manual chapter 7."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import namedtuple
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import datajoint as dj
from datajoint import inserting
from datajoint.errors import (
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    MissingAttributeError,
    MissingTableError,
    UnknownAttributeError,
)

from .relations import assert_rows


def insert_raw(table, **values):
    """Insert a row past the package, with SQL of the database."""
    connection = table.connection
    dialect = connection.dialect
    columns = ", ".join(map(dialect.quote, values))
    marks = ", ".join([dialect.placeholder] * len(values))
    name = dialect.table(table.database, table().table_name)
    return connection.query(
        f"INSERT INTO {name} ({columns}) VALUES ({marks})", list(values.values())
    )


@pytest.fixture
def answers(monkeypatch):
    """Answer the prompts: a list of answers; EOFError when they run out. Prompts are recorded."""
    state = SimpleNamespace(replies=[], prompts=[])

    def ask(prompt=""):
        state.prompts.append(prompt)
        if not state.replies:
            raise EOFError("EOF when reading a line")
        return state.replies.pop(0)

    monkeypatch.setattr("builtins.input", ask)
    return state


# -- insert -------------------------------------------------------------------------------------


@pytest.fixture
def lab(schema):
    @schema
    class Person(dj.Manual):
        definition = """
        username : varchar(20)
        ---
        first_name : varchar(30)
        last_name : varchar(30)
        """

    @schema
    class Item(dj.Manual):
        definition = """
        a : int
        ---
        x : float
        n = null : int
        s = 'dd' : varchar(5)
        """

    @schema
    class Child(dj.Manual):
        definition = """
        -> Item
        b : int
        ---
        y = 0 : int
        """

    @schema
    class Code(dj.Manual):
        definition = """
        id : int
        ---
        v : int
        w = 0 : int
        unique index (v)
        """

    return SimpleNamespace(Person=Person, Item=Item, Child=Child, Code=Code)


PEOPLE = [
    {"username": "alice", "first_name": "Alice", "last_name": "Cooper"},
    {"username": "bob", "first_name": "Bob", "last_name": "Dylan"},
    {"username": "carol", "first_name": "Carol", "last_name": "Douglas"},
]


class TestInsertForms:
    def test_dict(self, lab):
        lab.Person.insert1(dict(username="alice", first_name="Alice", last_name="Cooper"))
        assert_rows(lab.Person(), PEOPLE[:1])

    def test_dict_in_any_order(self, lab):
        lab.Person.insert1(dict(last_name="Cooper", username="alice", first_name="Alice"))
        assert_rows(lab.Person(), PEOPLE[:1])

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_sequence_in_the_order_of_the_heading(self, lab, kind):
        lab.Person.insert1(kind(["alice", "Alice", "Cooper"]))
        assert_rows(lab.Person(), PEOPLE[:1])

    def test_many(self, lab):
        lab.Person.insert(
            [
                ["alice", "Alice", "Cooper"],
                ["bob", "Bob", "Dylan"],
                ["carol", "Carol", "Douglas"],
            ]
        )
        assert_rows(lab.Person(), PEOPLE)

    def test_list_of_dicts(self, lab):
        lab.Person.insert(PEOPLE)
        assert_rows(lab.Person(), PEOPLE)

    def test_generator(self, lab):
        lab.Person.insert(dict(person) for person in PEOPLE)
        assert_rows(lab.Person(), PEOPLE)

    def test_iterator_of_sequences(self, lab):
        lab.Person.insert(map(tuple, (person.values() for person in PEOPLE)))
        assert_rows(lab.Person(), PEOPLE)

    def test_dicts_and_sequences_mixed(self, lab):
        lab.Person.insert([PEOPLE[0], tuple(PEOPLE[1].values()), list(PEOPLE[2].values())])
        assert_rows(lab.Person(), PEOPLE)

    def test_different_fields_in_each_row(self, lab):
        lab.Item.insert([{"a": 1, "x": 1}, {"a": 2, "x": 2, "n": 5}, {"s": "q", "x": 3, "a": 3}])
        expected = [(1, 1.0, None, "dd"), (2, 2.0, 5, "dd"), (3, 3.0, None, "q")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_structured_array(self, lab):
        rows = np.array(
            [(1, 1.5, 7, "np"), (2, 2.5, 8, "")],
            dtype=[("a", int), ("x", float), ("n", int), ("s", "U5")],
        )
        lab.Item.insert(rows)
        expected = [(1, 1.5, 7, "np"), (2, 2.5, 8, "")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_record(self, lab):
        lab.Item.insert1(np.array([(1, 1.5)], dtype=[("a", int), ("x", float)])[0])
        assert_rows(lab.Item(), [{"a": 1, "x": 1.5, "n": None, "s": "dd"}])

    def test_record_array(self, lab):
        lab.Item.insert(np.rec.array([(1, 1.5)], dtype=[("a", int), ("x", float)]))
        assert_rows(lab.Item(), [{"a": 1, "x": 1.5, "n": None, "s": "dd"}])

    def test_fetched_array(self, lab):
        lab.Person.insert(PEOPLE)
        rows = lab.Person.fetch()
        lab.Person.delete()
        lab.Person.insert(rows)
        assert_rows(lab.Person(), PEOPLE)

    def test_data_frame_without_index(self, lab):
        lab.Person.insert(pd.DataFrame(PEOPLE))
        assert_rows(lab.Person(), PEOPLE)

    def test_data_frame_with_index(self, lab):
        lab.Person.insert(pd.DataFrame(PEOPLE).set_index("username"))
        assert_rows(lab.Person(), PEOPLE)

    def test_data_frame_with_two_indexes(self, lab):
        lab.Item.insert1((1, 0.5, None, "x"))
        frame = pd.DataFrame({"a": [1, 1], "b": [1, 2], "y": [5, 6]}).set_index(["a", "b"])
        lab.Child.insert(frame)
        assert_rows(lab.Child(), [{"a": 1, "b": 1, "y": 5}, {"a": 1, "b": 2, "y": 6}])

    def test_data_frame_with_missing_values(self, lab):
        frame = pd.DataFrame({"a": [1, 2], "x": [0.5, 1.5], "n": [np.nan, 3], "s": [None, "q"]})
        lab.Item.insert(frame)
        expected = [(1, 0.5, None, "dd"), (2, 1.5, 3, "q")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_fetched_data_frame(self, lab):
        lab.Person.insert(PEOPLE)
        frame = lab.Person.fetch(format="frame")
        lab.Person.delete()
        lab.Person.insert(frame)
        assert_rows(lab.Person(), PEOPLE)

    def test_csv_file(self, lab, tmp_path):
        path = tmp_path / "items.csv"
        path.write_text('a,x,n,s\n1,1.5,,q\n2,2.5,7,"a,""b"\n', encoding="utf-8")
        lab.Item.insert(Path(path))
        expected = [(1, 1.5, None, "q"), (2, 2.5, 7, 'a,"b')]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_csv_file_with_an_unknown_column(self, lab, tmp_path):
        path = tmp_path / "items.csv"
        path.write_text("a,x,bogus\n1,1.5,3\n", encoding="utf-8")
        with pytest.raises(DataJointError, match="bogus"):
            lab.Item.insert(path)
        lab.Item.insert(path, ignore_extra_fields=True)
        assert lab.Item.fetch1("KEY") == {"a": 1}

    def test_nothing(self, lab):
        lab.Item.insert([])
        lab.Item.insert(())
        lab.Item.insert(pd.DataFrame({"a": [], "x": []}))
        assert len(lab.Item()) == 0

    def test_many_thousands(self, lab):
        lab.Item.insert({"a": i, "x": i / 2} for i in range(5000))
        assert len(lab.Item()) == 5000
        assert (lab.Item & "a = 4999").fetch1("x") == 2499.5

    def test_on_an_instance(self, lab):
        lab.Person().insert1(PEOPLE[0])
        lab.Person().insert(PEOPLE[1:])
        assert_rows(lab.Person(), PEOPLE)

    def test_insert_of_one_dict(self, lab):
        """The example of manual 9.1.1 calls ``self.insert(key)``."""
        lab.Item.insert({"a": 1, "x": 1})
        assert_rows(lab.Item(), [{"a": 1, "x": 1.0, "n": None, "s": "dd"}])

    def test_given_dict_is_not_changed(self, lab):
        row = {"a": 1, "x": 1}
        lab.Item.insert1(row)
        assert row == {"a": 1, "x": 1}

    @pytest.mark.parametrize("bad", [None, 5, "abc", b"abc"], ids=repr)
    def test_what_is_no_list_of_rows(self, lab, bad):
        with pytest.raises(DataJointError):
            lab.Item.insert(bad)

    @pytest.mark.parametrize("bad", [None, 5, "abcd", [{"a": 1, "x": 1}], ()], ids=repr)
    def test_what_is_no_row(self, lab, bad):
        with pytest.raises(DataJointError):
            lab.Item.insert1(bad)
        with pytest.raises(DataJointError):
            lab.Item.insert([bad])
        assert len(lab.Item()) == 0


ROWS = [(1, 0.5, 3, "abc"), (2, 1.5, None, "dd")]


class TestMoreForms:
    """Whatever has rows, each with every attribute or with names."""

    EXPECTED: ClassVar = [dict(zip("axns", row)) for row in ROWS]

    @pytest.mark.parametrize(
        "make",
        [
            tuple,
            set,
            iter,
            lambda rows: dict(enumerate(rows)).values(),
            lambda rows: zip(*zip(*rows)),
            lambda rows: (pd.Series(dict(zip("axns", row))) for row in rows),
            lambda rows: [namedtuple("Row", "a x n s")(*row) for row in rows],
            lambda rows: np.array(rows, dtype=object),
            lambda rows: pd.DataFrame(rows, columns=list("axns")).to_dict("records"),
            lambda rows: pd.DataFrame(rows, columns=list("axns")).astype({"n": "Int64"}),
            lambda rows: pd.DataFrame(rows, columns=list("axns"), index=[7, 8]),
            lambda rows: pd.DataFrame(rows, columns=list("axns")).set_index(["s", "a"]),
            lambda rows: pd.DataFrame(rows, columns=list("axns"), index=[[1, 2], [3, 4]]),
            lambda rows: (
                pd.DataFrame(rows, columns=list("axns"))
                .set_index("a")
                .set_index(pd.Index([5, 6]), append=True)
            ),
        ],
    )
    def test_rows(self, lab, make):
        lab.Item.insert(make(ROWS))
        assert_rows(lab.Item(), self.EXPECTED)

    @pytest.mark.parametrize("name", ["polars", "pyarrow"])
    def test_tables_of_other_packages(self, lab, name):
        package = pytest.importorskip(name)
        columns = {n: list(values) for n, values in zip("axns", zip(*ROWS))}
        lab.Item.insert(package.DataFrame(columns) if name == "polars" else package.table(columns))
        assert_rows(lab.Item(), self.EXPECTED)

    def test_one_record_in_an_array_without_dimensions(self, lab):
        dtype = [("a", int), ("x", float), ("n", int), ("s", "U5")]
        lab.Item.insert(np.array((1, 0.5, 3, "abc"), dtype))
        lab.Item.insert1(np.array([(2, 1.5, 4, "dd")], dtype))
        lab.Item.insert1(pd.Series({"a": 3, "x": 2.5}))
        expected = [(1, 0.5, 3, "abc"), (2, 1.5, 4, "dd"), (3, 2.5, None, "dd")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_class_as_a_query(self, lab):
        lab.Item.insert(ROWS)
        lab.Item.insert(lab.Item, skip_duplicates=True)
        lab.Item.insert(lab.Item, replace=True)
        assert_rows(lab.Item(), self.EXPECTED)

    @pytest.mark.parametrize(
        ("rows", "reason"),
        [
            ("items.csv", "give its pathlib.Path"),
            (7, "takes a list of rows, not a int"),
            ([{1, 2, 3, 4}], r"\(row 0\): a row is a mapping"),
            ([ROWS[0], iter(ROWS[1])], r"\(row 1\): a row is a mapping"),
            ([ROWS[0], None], r"\(row 1\): a row is a mapping.*not None"),
            ((3, 0.5, 3, "abc"), r"\(row 0\): a row is a mapping.*not 3 of type `int`"),
            (pd.DataFrame([ROWS[0]]), "`0` is not an attribute"),
            (
                pd.DataFrame([(1, 2, 3)], columns=["a", "x", "x"]),
                "data frame cannot .* two columns `x`",
            ),
            (Path("missing.csv"), r"CSV file cannot be read.*missing\.csv"),
            ([{"a": 1, "x": 1}, {"a": 1, "x": 1, 5: 6}], r"\(row 1\): `5`.*given is 6"),
            ([(1, 2, 3, 4, 5)], r"row \(1, 2, 3, 4, 5\) has 5 values for the 4 attributes a, x"),
        ],
    )
    def test_what_is_refused(self, lab, rows, reason):
        with pytest.raises(DataJointError, match=reason):
            lab.Item.insert(rows)
        assert len(lab.Item()) == 0

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a,x\n1,2\n2,3,4\n", "line 3: there are more values than the 2 attributes"),
            ("a,x\n1,2\n2,bogus\n", r"\(row 1\): 'bogus' cannot be the value of attribute `x`"),
            ("a,x\n1,2\n2\n", r"\(row 1\): attribute `x` has no value"),
            ("a,x,a\n1,2,3\n", "`a` stands twice in the header"),
            ("a,x,s\n1,2,\xe9\n", r"after line 0: it is not UTF-8 text .*0xe9.* save it"),
        ],
    )
    def test_faults_of_csv_files(self, lab, tmp_path, text, reason):
        path = tmp_path / "items.csv"
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DataJointError, match=reason):
            lab.Item.insert(path)
        assert len(lab.Item()) == 0


class TestChunks:
    def test_rows_are_taken_by_chunks_in_one_transaction(self, lab, connection):
        taken = []

        def rows():
            for i in range(10):
                taken.append((i, len(lab.Item()), connection.in_transaction))
                yield {"a": i, "x": 1}

        lab.Item.insert(rows(), chunk_size=4)
        assert taken == [(i, i // 4 * 4, True) for i in range(10)]
        assert len(lab.Item()) == 10

    @pytest.mark.parametrize("chunk_size", [1, 2, 5, 6, 100])
    def test_all_or_nothing(self, lab, chunk_size):
        rows = [{"a": i % 5, "x": 1} for i in range(6)]
        with pytest.raises(DuplicateError):
            lab.Item.insert(iter(rows), chunk_size=chunk_size)
        assert len(lab.Item()) == 0
        lab.Item.insert(rows[:5], chunk_size=chunk_size)
        assert len(lab.Item()) == 5

    def test_the_row_is_numbered_among_all(self, lab):
        lab.Item.insert1((7, 1.0, 1, "s"))
        with pytest.raises(DuplicateError, match=r"\(row 7\): an entity with a = 7 exists"):
            lab.Item.insert(((i, 1.0, 1, "s") for i in range(10)), chunk_size=3)
        with pytest.raises(IntegrityError, match=r"\(row 4\).*no entity with a = 8"):
            lab.Child.insert([(7, i, 0) for i in range(4)] + [(8, 1, 0)], chunk_size=2)

    def test_few_rows_are_held(self, lab):
        """However many there are: objects that only rows refer to are counted."""
        alive, most = set(), 0

        class Value(int):
            def __new__(cls, value):
                self = super().__new__(cls, value)
                alive.add(id(self))
                return self

            def __del__(self):
                alive.discard(id(self))

        def rows():
            nonlocal most
            for i in range(5000):
                most = max(most, len(alive))
                yield {"a": Value(i), "x": Value(0)}

        lab.Item.insert(rows(), chunk_size=100)
        assert len(lab.Item()) == 5000
        assert most <= 500

    def test_blobs_are_sent_before_there_are_many(self, schema, monkeypatch):
        monkeypatch.setattr(inserting, "_LARGE", 5 * 2**20)

        @schema
        class Trace(dj.Manual):
            definition = """
            i : int
            ---
            trace : longblob
            """

        seen = []

        def rows():
            for i in range(6):
                seen.append(len(Trace()))
                yield i, np.random.default_rng(i).bytes(2 * 2**20)

        Trace.insert(rows())
        assert seen == [0, 0, 0, 3, 3, 3]

    def test_options_of_an_insert_of_a_query_and_of_one(self, lab):
        lab.Item.insert1((1, 1.0, 1, "s"), chunk_size=10)
        lab.Item.insert(lab.Item, skip_duplicates=True, chunk_size=1, progress=True)
        assert len(lab.Item()) == 1

    @pytest.mark.parametrize("size", [0, -1, None, 1.5, "10"])
    def test_sizes_that_are_none(self, lab, size):
        with pytest.raises(DataJointError, match="`chunk_size` is a number of rows"):
            lab.Item.insert([(1, 1.0, 1, "s")], chunk_size=size)

    def test_a_size_of_numpy(self, lab):
        lab.Item.insert([(i, 1.0, 1, "s") for i in range(3)], chunk_size=np.int64(2))
        assert len(lab.Item()) == 3

    @pytest.mark.parametrize("known", [True, False])
    def test_progress(self, lab, capsys, known):
        rows = [(i, 1.0, 1, "s") for i in range(25)]
        lab.Item.insert(rows if known else iter(rows), chunk_size=10, progress=True)
        captured = capsys.readouterr()
        assert captured.out == ""
        last = captured.err.replace("\r", "\n").strip().splitlines()[-1]
        assert ("25/25" in last and "100%" in last) if known else "25row" in last
        assert len(lab.Item()) == 25


class TestServerSideInsert:
    def test_whole_table(self, make_schema):
        one, two = make_schema("one"), make_schema("two")

        class Protocol(dj.Manual):
            definition = """
            protocol : int
            ---
            name : varchar(20)
            notes = null : longblob
            """

        first = one(type("Protocol", (Protocol,), {}))
        second = two(type("Protocol", (Protocol,), {}))
        first.insert([(1, "a", [1, 2]), (2, "b", None)])
        second.insert(first)
        assert second.fetch(as_dict=True, order_by="KEY") == [
            {"protocol": 1, "name": "a", "notes": [1, 2]},
            {"protocol": 2, "name": "b", "notes": None},
        ]
        second.delete()
        second.insert(first.fetch())
        assert second.fetch("name", order_by="KEY").tolist() == ["a", "b"]

    def test_attributes_are_matched_by_name(self, lab):
        lab.Item.insert([(1, 0.5, 7, "s"), (2, 1.5, None, "t")])
        lab.Child.insert(lab.Item.proj(y="a * 10", b="a + 1") * dj.U("b"))
        assert_rows(lab.Child(), [{"a": 1, "b": 2, "y": 10}, {"a": 2, "b": 3, "y": 20}])

    def test_query_with_defaults_for_the_rest(self, lab):
        lab.Item.insert([(1, 0.5, 7, "s"), (2, 1.5, None, "t")])
        lab.Code.insert((lab.Item & "a = 2").proj(id="a", v="a + 5"))
        assert_rows(lab.Code(), [{"id": 2, "v": 7, "w": 0}])

    def test_extra_attributes(self, lab):
        lab.Item.insert([(1, 0.5, 7, "s")])
        with pytest.raises(DataJointError, match="ignore_extra_fields"):
            lab.Child.insert(lab.Item.proj(..., b="5") * dj.U("b"))
        assert len(lab.Child()) == 0
        lab.Child.insert(lab.Item.proj(..., b="5") * dj.U("b"), ignore_extra_fields=True)
        assert_rows(lab.Child(), [{"a": 1, "b": 5, "y": 0}])

    def test_duplicates(self, lab):
        lab.Item.insert([(i, i, i, "s") for i in range(5)])
        query = (lab.Item & "a < 3").proj(id="a", v="n", w="9")
        lab.Code.insert1((1, 1, 0))
        with pytest.raises(DuplicateError):
            lab.Code.insert(query)
        assert_rows(lab.Code(), [{"id": 1, "v": 1, "w": 0}])
        lab.Code.insert(query, skip_duplicates=True)
        expected = [(0, 0, 9), (1, 1, 0), (2, 2, 9)]
        assert_rows(lab.Code(), [dict(zip(("id", "v", "w"), row)) for row in expected])
        lab.Code.insert(query, replace=True)
        assert sorted(lab.Code.fetch("w").tolist()) == [9, 9, 9]

    def test_of_the_table_into_itself(self, lab):
        lab.Item.insert([(1, 0.5, 7, "s")])
        lab.Item.insert(
            dj.U("a").aggr(lab.Item.proj(old="a", y="x").proj("y", a="old + 1"), x="max(y)")
        )
        assert lab.Item.fetch("a", order_by="a").tolist() == [1, 2]


class TestInsertRules:
    def test_all_or_nothing_on_a_duplicate(self, lab):
        lab.Item.insert1({"a": 3, "x": 1})
        with pytest.raises(DuplicateError):
            lab.Item.insert([{"a": i, "x": 1} for i in range(5)])
        assert lab.Item.fetch("a").tolist() == [3]

    def test_all_or_nothing_on_a_bad_value_late(self, lab):
        with pytest.raises(DataJointError):
            lab.Item.insert({"a": i, "x": "bogus" if i == 2500 else 1} for i in range(3000))
        assert len(lab.Item()) == 0

    def test_all_or_nothing_when_the_generator_fails(self, lab):
        def rows():
            for i in range(2500):
                yield {"a": i, "x": 1}
            raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more"):
            lab.Item.insert(rows())
        assert len(lab.Item()) == 0
        assert not lab.Item.connection.in_transaction

    def test_all_or_nothing_on_a_missing_parent(self, lab):
        lab.Item.insert1({"a": 1, "x": 1})
        with pytest.raises(IntegrityError):
            lab.Child.insert([{"a": 1, "b": 1}, {"a": 99, "b": 1}])
        assert len(lab.Child()) == 0

    def test_failed_insert_inside_a_transaction_leaves_the_rest(self, lab, connection):
        with connection.transaction:
            lab.Item.insert1({"a": 1, "x": 1})
            with pytest.raises(DuplicateError):
                lab.Item.insert([{"a": 2, "x": 1}, {"a": 1, "x": 1}])
            lab.Item.insert1({"a": 3, "x": 1})
        assert sorted(lab.Item.fetch("a").tolist()) == [1, 3]

    def test_duplicate_names_the_table_and_gives_advice(self, lab):
        lab.Item.insert1({"a": 1, "x": 1})
        with pytest.raises(DuplicateError) as error:
            lab.Item.insert1({"a": 1, "x": 2})
        assert "`item`" in str(error.value)
        assert "skip_duplicates=True" in str(error.value)
        assert lab.Item.fetch1("x") == 1.0

    def test_duplicate_in_the_same_insert(self, lab):
        with pytest.raises(DuplicateError):
            lab.Item.insert([{"a": 1, "x": 1}, {"a": 1, "x": 2}])
        assert len(lab.Item()) == 0

    def test_skip_duplicates(self, lab):
        lab.Item.insert1({"a": 1, "x": 1})
        lab.Item.insert([{"a": 1, "x": 99}, {"a": 2, "x": 2}], skip_duplicates=True)
        assert lab.Item.fetch("x", order_by="a").tolist() == [1.0, 2.0]
        lab.Item.insert1({"a": 1, "x": 99}, skip_duplicates=True)
        assert lab.Item.fetch("x", order_by="a").tolist() == [1.0, 2.0]

    def test_skip_duplicates_within_the_rows(self, lab):
        lab.Item.insert([{"a": 1, "x": 1}, {"a": 1, "x": 2}], skip_duplicates=True)
        assert lab.Item.fetch1("x") == 1.0

    def test_skip_duplicates_does_not_swallow_a_secondary_unique_index(self, lab):
        lab.Code.insert([(1, 1, 0), (2, 2, 0)])
        with pytest.raises(DuplicateError) as error:
            lab.Code.insert1((3, 1, 0), skip_duplicates=True)
        assert "v = 1" in str(error.value)
        with pytest.raises(DuplicateError):
            lab.Code.insert([(4, 4, 0), (3, 1, 0)], skip_duplicates=True)
        assert sorted(lab.Code.fetch("id").tolist()) == [1, 2]

    def test_skip_duplicates_does_not_swallow_a_missing_parent(self, lab):
        with pytest.raises(IntegrityError):
            lab.Child.insert1({"a": 99, "b": 1}, skip_duplicates=True)

    def test_unique_index(self, lab):
        lab.Code.insert1((1, 1, 0))
        with pytest.raises(DuplicateError) as error:
            lab.Code.insert1((2, 1, 0))
        assert "v = 1" in str(error.value)
        assert "`code`" in str(error.value)

    def test_replace(self, lab):
        lab.Item.insert([(1, 1.0, 5, "a"), (2, 2.0, 6, "b")])
        lab.Item.insert1({"a": 1, "x": 77}, replace=True)
        lab.Item.insert([{"a": 3, "x": 3}, {"a": 2, "x": 22}], replace=True)
        expected = [(1, 77.0, None, "dd"), (2, 22.0, None, "dd"), (3, 3.0, None, "dd")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_replace_of_a_referenced_entity_keeps_what_refers_to_it(self, lab):
        lab.Item.insert([(1, 1.0, 5, "a"), (2, 2.0, 6, "b")])
        lab.Child.insert1((1, 1, 5))
        lab.Item.insert1({"a": 1, "x": 66}, replace=True)
        query = (lab.Item & "a = 2").proj("s", b="a").proj("s", a="1", x="3.0", n="8")
        lab.Item.insert(query, replace=True, ignore_extra_fields=True)
        expected = [(1, 3.0, 8, "b"), (2, 2.0, 6, "b")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])
        assert_rows(lab.Child(), [{"a": 1, "b": 1, "y": 5}])

    def test_replace_does_not_swallow_a_secondary_unique_index(self, lab):
        before = [{"id": 1, "v": 1, "w": 0}, {"id": 2, "v": 2, "w": 0}]
        lab.Code.insert(before)
        for row in ((1, 2, 9), (3, 2, 9)):
            with pytest.raises(DuplicateError, match="v = 2 exists already"):
                lab.Code.insert1(row, replace=True)
            with pytest.raises(DuplicateError, match=r"\(row 1\).*v = 2 exists already"):
                lab.Code.insert([(4, 4, 4), row], replace=True)
        with pytest.raises(DuplicateError, match=r"\(row 1\).*v = 7 is given twice"):
            lab.Code.insert((lab.Code & dj.Top(5)).proj("w", v="7"), replace=True)
        assert_rows(lab.Code(), before)

    def test_replace_twice_in_the_same_insert(self, lab):
        """The last one stays, and what it does not have is free for others."""
        rows = [(1, 1, 1), (1, 2, 2), (3, 1, 3)]
        assert lab.Code.validate(rows, replace=True)
        lab.Code.insert(rows, replace=True)
        expected = [{"id": 1, "v": 2, "w": 2}, {"id": 3, "v": 1, "w": 3}]
        assert_rows(lab.Code(), expected)

    def test_skip_takes_no_notice_of_the_other_values(self, lab):
        lab.Code.insert([(1, 1, 0), (2, 2, 0)])
        assert lab.Code.validate([(1, 2, 9)], skip_duplicates=True)
        lab.Code.insert1((1, 2, 9), skip_duplicates=True)
        lab.Code.insert([(1, 2, 9), (3, 3, 0), (3, 1, 0)], skip_duplicates=True)
        expected = [(1, 1, 0), (2, 2, 0), (3, 3, 0)]
        assert_rows(lab.Code(), [dict(zip(("id", "v", "w"), row)) for row in expected])

    def test_keys_that_are_defaults(self, schema):
        @schema
        class Numbered(dj.Manual):
            definition = """
            a = 7 : int
            ---
            b = 1 : int
            """

        Numbered.insert1({})
        Numbered.insert1({}, skip_duplicates=True)
        Numbered.insert1({"b": 2}, skip_duplicates=True)
        with pytest.raises(DuplicateError, match="a = 7 exists already"):
            Numbered.insert1({"b": 2})
        assert [fault.row for fault in Numbered.validate([{}, {"a": 1}, {"a": 1}]).errors] == [0, 2]
        Numbered.insert1({"b": 3}, replace=True)
        Numbered.insert1({}, replace=True)
        assert_rows(Numbered(), [{"a": 7, "b": 1}])

    def test_replace_and_skip_duplicates_contradict(self, lab):
        with pytest.raises(DataJointError, match="replace"):
            lab.Item.insert1({"a": 1, "x": 1}, replace=True, skip_duplicates=True)

    def test_extra_field(self, lab):
        with pytest.raises(UnknownAttributeError) as error:
            lab.Item.insert1({"a": 1, "x": 1, "bogus": 3})
        assert "`bogus`" in str(error.value)
        assert "`item`" in str(error.value)
        assert "ignore_extra_fields=True" in str(error.value)
        lab.Item.insert1({"a": 1, "x": 1, "bogus": 3}, ignore_extra_fields=True)
        assert_rows(lab.Item(), [{"a": 1, "x": 1.0, "n": None, "s": "dd"}])

    def test_extra_field_in_a_later_row(self, lab):
        with pytest.raises(UnknownAttributeError) as error:
            lab.Item.insert([{"a": 1, "x": 1}, {"a": 2, "x": 1}, {"a": 3, "x": 1, "bogus": 3}])
        assert "`bogus`" in str(error.value)
        assert "row 2" in str(error.value)
        assert len(lab.Item()) == 0

    def test_ignored_fields_may_differ_between_rows(self, lab):
        lab.Item.insert(
            [{"a": 1, "x": 1, "p": object()}, {"q": 3, "a": 2, "x": 2}], ignore_extra_fields=True
        )
        assert sorted(lab.Item.fetch("a").tolist()) == [1, 2]

    @pytest.mark.parametrize("row", [(1, 1.5), (1, 1.5, 3, "abc", 5)])
    def test_sequence_of_the_wrong_length(self, lab, row):
        with pytest.raises(DataJointError) as error:
            lab.Item.insert([(7, 1.5, 3, "abc"), row])
        assert "`item`" in str(error.value)
        assert "row 1" in str(error.value)
        assert str(len(row)) in str(error.value)
        assert len(lab.Item()) == 0

    @pytest.mark.parametrize(
        ("row", "attribute"),
        [({"a": 1}, "x"), ({"x": 1}, "a"), ({"a": 1, "x": None}, "x"), ({}, "a")],
    )
    def test_missing_attribute(self, lab, row, attribute):
        with pytest.raises(MissingAttributeError) as error:
            lab.Item.insert1(row)
        assert f"`{attribute}`" in str(error.value)
        assert "`item`" in str(error.value)

    @pytest.mark.parametrize("missing", [None, float("nan"), ""], ids=["None", "nan", "empty"])
    def test_missing_numbers_become_the_default(self, lab, missing):
        lab.Item.insert1({"a": 1, "x": 1, "n": missing})
        lab.Item.insert1({"a": 2, "x": 1})
        lab.Child.insert1({"a": 1, "b": 1, "y": missing})
        assert lab.Item.fetch("n").tolist() == [None, None]
        assert lab.Child.fetch1("y") == 0

    def test_none_for_text_becomes_the_default_and_empty_text_stays(self, lab):
        lab.Item.insert([{"a": 1, "x": 1, "s": None}, {"a": 2, "x": 1, "s": ""}])
        assert lab.Item.fetch("s", order_by="a").tolist() == ["dd", ""]

    def test_bad_value_names_table_attribute_value_and_row(self, lab):
        with pytest.raises(DataJointError) as error:
            lab.Item.insert([{"a": 1, "x": 1}, {"a": 2, "x": 1, "s": "too long"}])
        for part in ("`item`", "`s`", "'too long'", "row 1", "varchar(5)"):
            assert part in str(error.value)
        assert len(lab.Item()) == 0

    def test_missing_parent_names_table_key_and_parent(self, lab):
        lab.Item.insert1({"a": 1, "x": 1})
        with pytest.raises(IntegrityError) as error:
            lab.Child.insert([{"a": 1, "b": 1}, {"a": 99, "b": 1}])
        for part in ("`child`", "`item`", "a = 99"):
            assert part in str(error.value)

    def test_nul_characters_are_refused(self, lab):
        with pytest.raises(DataJointError, match=r"`s` of type `varchar.*NUL character"):
            lab.Item.insert1({"a": 1, "x": 1, "s": "a\0b"})

    def test_values_are_never_sql(self, lab):
        texts = [
            '"',
            "'",
            "\\",
            "%s",
            "a`b",
            "?",
            "';--",
            "\\'",
            '\\"',
            "%",
            "ü",
            "😀",
            "a\nb",
        ]
        lab.Item.insert([{"a": i, "x": 1, "s": text} for i, text in enumerate(texts)])
        assert lab.Item.fetch("s", order_by="a").tolist() == texts

    def test_auto_increment(self, schema):
        @schema
        class Auto(dj.Manual):
            definition = """
            id : int auto_increment
            ---
            v = 0 : int
            """

        Auto.insert1({"v": 5})
        Auto.insert1((None, 6))
        Auto.insert([{"id": 10, "v": 1}, {"v": 2}])
        assert_rows(Auto(), [{"id": i, "v": v} for i, v in [(1, 5), (2, 6), (10, 1), (11, 2)]])

    def test_unique_foreign_key(self, schema):
        @schema
        class Desk(dj.Manual):
            definition = "desk : int"

        @schema
        class Worker(dj.Manual):
            definition = """
            worker : int
            ---
            -> [unique, nullable] Desk
            """

        Desk.insert([(1,), (2,)])
        Worker.insert([(1, 1), (2, None), (3, None)])
        with pytest.raises(DuplicateError):
            Worker.insert1((4, 1))
        Worker.insert1((4, 2))
        assert Worker.fetch("desk", order_by="worker").tolist() == [1, None, None, 2]

    def test_current_timestamp(self, schema):
        @schema
        class Stamped(dj.Manual):
            definition = """
            id : int
            ---
            at = CURRENT_TIMESTAMP : timestamp
            """

        Stamped.insert1({"id": 1})
        assert abs(Stamped.fetch1("at") - dt.datetime.now()) < dt.timedelta(hours=26)

    def test_restricted_table_takes_inserts(self, lab):
        (lab.Item & "a = 1").insert1({"a": 2, "x": 1})
        assert lab.Item.fetch("a").tolist() == [2]


# -- types --------------------------------------------------------------------------------------

#: type → values that are stored, each as (given, fetched).
ACCEPTED = {
    "tinyint": [(-128, -128), (127, 127), (True, 1), ("12", 12)],
    "tinyint unsigned": [(0, 0), (255, 255)],
    "smallint": [(-32768, -32768), (32767, 32767), (np.int16(2), 2)],
    "smallint unsigned": [(0, 0), (65535, 65535)],
    "mediumint": [(-8388608, -8388608), (8388607, 8388607)],
    "mediumint unsigned": [(0, 0), (16777215, 16777215)],
    "int": [(-(2**31), -(2**31)), (2**31 - 1, 2**31 - 1), (np.float64(2), 2), (" 12 ", 12)],
    "int unsigned": [(0, 0), (2**32 - 1, 2**32 - 1)],
    "bigint": [(-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), (2**53 + 1, 2**53 + 1)],
    "bigint unsigned": [(0, 0), (2**63 - 1, 2**63 - 1)],
    "int(11)": [(5, 5)],
    "bool": [(True, 1), (False, 0), (1, 1), (np.True_, 1)],
    "boolean": [(True, 1)],
    "float": [(0.5, 0.5), (-1.25, -1.25), (3, 3.0), ("0.5", 0.5), (np.float32(0.25), 0.25)],
    "double": [(0.1, 0.1), (1e308, 1e308), (-5e-324, -5e-324), (1 / 3, 1 / 3), (7, 7.0)],
    "float unsigned": [(0.5, 0.5)],
    "decimal(5,2)": [
        (Decimal("999.99"), Decimal("999.99")),
        (Decimal("-999.99"), Decimal("-999.99")),
        ("1.1", Decimal("1.10")),
        (12, Decimal("12.00")),
        (0.1, Decimal("0.10")),
        (Decimal("-0.5"), Decimal("-0.50")),
        (0, Decimal("0.00")),
    ],
    "decimal(6,0)": [(Decimal(123456), Decimal(123456))],
    "decimal(3,3)": [(Decimal("0.123"), Decimal("0.123"))],
    "char(4)": [("ab", "ab"), ("éé12", "éé12"), ("", "")],
    "varchar(5)": [("", ""), ("éé😀ab", "éé😀ab"), ("ab  ", "ab  "), (5, "5"), (np.str_("q"), "q")],
    "enum('x','y','with, comma')": [("x", "x"), ("with, comma", "with, comma"), ("X", "x")],
    "date": [
        ("2020-02-29", dt.date(2020, 2, 29)),
        (dt.date(1000, 1, 1), dt.date(1000, 1, 1)),
        (dt.date(9999, 12, 31), dt.date(9999, 12, 31)),
        (dt.datetime(2020, 1, 2, 3, 4, 5), dt.date(2020, 1, 2)),
        (np.datetime64("2020-01-02"), dt.date(2020, 1, 2)),
        (pd.Timestamp("2020-01-02"), dt.date(2020, 1, 2)),
    ],
    "time": [
        ("01:02:03", dt.timedelta(hours=1, minutes=2, seconds=3)),
        (dt.time(1, 2, 3), dt.timedelta(hours=1, minutes=2, seconds=3)),
        (dt.timedelta(hours=30), dt.timedelta(hours=30)),
        ("-01:00:00", dt.timedelta(hours=-1)),
        (dt.timedelta(hours=838, minutes=59, seconds=59),) * 2,
        (-dt.timedelta(hours=838, minutes=59, seconds=59),) * 2,
    ],
    "datetime": [
        ("2020-01-02 03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5)),
        ("2020-01-02T03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5)),
        (dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(2020, 1, 2, 3, 4, 5)),
        (dt.date(2020, 1, 2), dt.datetime(2020, 1, 2)),
        (np.datetime64("2020-01-02T03:04:05"), dt.datetime(2020, 1, 2, 3, 4, 5)),
        (pd.Timestamp("2020-01-02 03:04:05"), dt.datetime(2020, 1, 2, 3, 4, 5)),
        (dt.datetime(9999, 12, 31, 23, 59, 59), dt.datetime(9999, 12, 31, 23, 59, 59)),
    ],
    "datetime(6)": [
        (dt.datetime(2020, 1, 2, 3, 4, 5, 678901), dt.datetime(2020, 1, 2, 3, 4, 5, 678901)),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 1), dt.datetime(2020, 1, 2, 3, 4, 5, 1)),
    ],
    "datetime(3)": [
        (dt.datetime(2020, 1, 2, 3, 4, 5, 678000), dt.datetime(2020, 1, 2, 3, 4, 5, 678000))
    ],
    "timestamp": [("2020-01-02 03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5))],
    "timestamp(3)": [
        (dt.datetime(2020, 1, 2, 3, 4, 5, 678000), dt.datetime(2020, 1, 2, 3, 4, 5, 678000))
    ],
    "year": [(1901, 1901), (2155, 2155), ("2020", 2020)],
    "uuid": [
        (uuid.UUID(int=1), uuid.UUID(int=1)),
        (str(uuid.UUID(int=2**127 + 5)), uuid.UUID(int=2**127 + 5)),
        (uuid.UUID(int=2**128 - 1).hex, uuid.UUID(int=2**128 - 1)),
    ],
    "tinyblob": [(b"x" * 10, b"x" * 10)],
    "blob": [([1, "a", None], [1, "a", None])],
    "longblob": [
        (5, 5),
        (1.5, 1.5),
        (True, True),
        ("text", "text"),
        (b"bytes", b"bytes"),
        ("", ""),
        ([1, [2, (3, "x")]], [1, [2, (3, "x")]]),
        ({"a": 1, "b": {"c": [2]}}, {"a": 1, "b": {"c": [2]}}),
        ({1, 2}, {1, 2}),
        ((1, "a", None, [1.5]), (1, "a", None, [1.5])),
        (2**70, 2**70),
        (Decimal("1.5"), Decimal("1.5")),
        (uuid.UUID(int=1), uuid.UUID(int=1)),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.datetime(2020, 1, 2, 3, 4, 5, 6)),
        (dt.date(2020, 1, 2), dt.date(2020, 1, 2)),
        (1 + 2j, 1 + 2j),
        ([], []),
        ({}, {}),
    ],
}

#: type → values that are refused.
REFUSED = {
    "tinyint": [300, 128, -129, "abc", [1]],
    "tinyint unsigned": [-1, 256],
    "smallint": [32768, -32769],
    "smallint unsigned": [-1, 65536],
    "mediumint": [8388608, -8388609],
    "int": [2**31, -(2**31) - 1, "12abc", object()],
    "int unsigned": [-1, 2**32],
    "bigint": [2**63, -(2**63) - 1],
    "bigint unsigned": [-1],
    "bool": ["maybe", 300],
    "float": ["abc", float("inf"), -float("inf"), 1e39],
    "double": ["abc", float("inf")],
    "float unsigned": [-0.5],
    "decimal(5,2)": [1000, "1234.5", Decimal("-1000"), "abc", float("inf")],
    "decimal(5,2) unsigned": [-1],
    "char(4)": ["abcde"],
    "varchar(5)": ["abcdef", [1], {"a": 1}],
    "enum('x','y')": ["z", "", "xy", 5],
    "date": ["2020-02-30", "2020-13-01", "bogus", "", 5],
    "time": ["bogus", "01:60:00", dt.timedelta(hours=839)],
    "datetime": ["2020-02-30 00:00:00", "2020-01-01 25:00:00", "bogus"],
    "timestamp": ["bogus", "2021-02-29 00:00:00"],
    "year": [1800, 1900, 2156, "abc"],
    "uuid": ["bogus", 5, "00000000-0000-0000-0000-00000000000", b"x" * 17],
    "tinyblob": [b"x" * 300],
    "longblob": [object(), len],
}

#: type → values that the database itself refuses, as they are bound by the driver.
REFUSED_RAW = {
    "tinyint": [300, -129, "abc"],
    "tinyint unsigned": [-1, 256],
    "smallint": [32768],
    "smallint unsigned": [-1],
    "mediumint": [8388608],
    "int": [2**31, "abc"],
    "int unsigned": [-1, 2**32],
    "bigint unsigned": [-1],
    "float": ["abc"],
    "double": ["abc"],
    "decimal(5,2)": ["1000.00", "12345", "abc"],
    "char(4)": ["abcde"],
    "varchar(32)": ["x" * 33, "é" * 33, "x\0" * 20],
    "enum('x','y')": ["z"],
    "date": ["2020-02-30", "2020-13-01", "bogus"],
    "time": ["bogus", "01:60:00", "900:00:00"],
    "datetime": ["2020-02-30 00:00:00", "2020-01-01 25:00:00", "bogus"],
    "timestamp": ["bogus"],
    "year": [1800, 2156],
    "uuid": [b"x" * 17],
    "tinyblob": [b"x" * 256],
}


def pairs(table):
    return [(type_, value) for type_, values in table.items() for value in values]


def short(value):
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text[:40]


class TestTypes:
    @pytest.mark.parametrize(
        ("type_", "values"), pairs(ACCEPTED), ids=lambda v: short(v) if isinstance(v, tuple) else v
    )
    def test_value_round_trips(self, schema, type_, values):
        @schema
        class Typed(dj.Manual):
            definition = f"""
            id : int
            ---
            v : {type_}
            n = null : {type_}
            """

        given, expected = values
        Typed.insert1({"id": 1, "v": given})
        row = Typed.fetch1()
        assert row == {"id": 1, "v": expected, "n": None}
        assert type(row["v"]) is type(expected)

    @pytest.mark.parametrize(("type_", "value"), pairs(REFUSED), ids=short)
    def test_value_is_refused(self, schema, type_, value):
        @schema
        class Typed(dj.Manual):
            definition = f"""
            id : int
            ---
            v : {type_}
            """

        with pytest.raises(DataJointError) as error:
            Typed.insert([{"id": 1, "v": value}])
        assert "`v`" in str(error.value)
        assert "`typed`" in str(error.value)
        assert "row 0" in str(error.value)
        assert len(Typed()) == 0

    @pytest.mark.parametrize(("type_", "value"), pairs(REFUSED_RAW), ids=short)
    def test_database_itself_refuses(self, schema, type_, value):
        @schema
        class Typed(dj.Manual):
            definition = f"""
            id : int
            ---
            v : {type_}
            """

        with pytest.raises(DataJointError):
            insert_raw(Typed, id=1, v=value)
        assert len(Typed()) == 0

    def test_database_itself_refuses_null_duplicates_and_orphans(self, lab):
        insert_raw(lab.Item, a=1, x=1.5)
        assert lab.Item.fetch1() == {"a": 1, "x": 1.5, "n": None, "s": "dd"}
        with pytest.raises(DataJointError):
            insert_raw(lab.Item, a=2, x=None)
        with pytest.raises(DuplicateError):
            insert_raw(lab.Item, a=1, x=1.5)
        with pytest.raises(IntegrityError):
            insert_raw(lab.Child, a=99, b=1)
        assert len(lab.Item()) == 1

    def test_refused_value_in_update1(self, lab):
        lab.Item.insert1((1, 1.0, 1, "a"))
        with pytest.raises(DataJointError) as error:
            lab.Item.update1({"a": 1, "s": "too long"})
        for part in ("`item`", "`s`", "'too long'"):
            assert part in str(error.value)
        assert lab.Item.fetch1("s") == "a"

    def test_rounding_of_decimals(self, schema):
        @schema
        class Typed(dj.Manual):
            definition = """
            id : int
            ---
            v : decimal(5,2)
            """

        Typed.insert([(1, "1.005"), (2, Decimal("2.344")), (3, Decimal("2.345")), (4, 1.5)])
        assert Typed.fetch("v", order_by="id").tolist() == [
            Decimal("1.01"),
            Decimal("2.34"),
            Decimal("2.35"),
            Decimal("1.50"),
        ]

    def test_decimals_order_and_compare_as_numbers(self, schema):
        @schema
        class Typed(dj.Manual):
            definition = """
            id : int
            ---
            v : decimal(6,2)
            """

        values = ["9.50", "10.00", "-1.25", "-10.00", "100.00", "0.00"]
        Typed.insert(list(enumerate(values)))
        ordered = Typed.fetch("v", order_by="v").tolist()
        assert ordered == sorted(map(Decimal, values))
        assert (Typed & "v > 9.5").fetch("v", order_by="v").tolist() == [Decimal(10), Decimal(100)]
        assert (Typed & {"v": "9.5"}).fetch1("id") == 0
        assert dj.U().aggr(Typed, m="max(v)", n="min(v)", s="sum(v)").fetch1() == {
            "m": Decimal(100),
            "n": Decimal(-10),
            "s": Decimal("108.25"),
        }

    def test_keys_of_every_simple_type(self, schema):
        @schema
        class Keyed(dj.Manual):
            definition = """
            a : date
            b : datetime
            c : uuid
            d : enum('x', 'y')
            e : decimal(4,1)
            f : varchar(10)
            g : time
            h : year
            i : bool
            """

        row = {
            "a": dt.date(2020, 1, 2),
            "b": dt.datetime(2020, 1, 2, 3, 4, 5),
            "c": uuid.UUID(int=3),
            "d": "y",
            "e": Decimal("-1.5"),
            "f": 'a"b',
            "g": dt.timedelta(minutes=5),
            "h": 1999,
            "i": 1,
        }
        Keyed.insert1(row)
        assert Keyed.fetch1("KEY") == row
        assert len(Keyed & row) == 1
        assert len(Keyed & [row, {**row, "e": 0}]) == 1
        assert row in Keyed()
        with pytest.raises(DuplicateError):
            Keyed.insert1(row)
        assert (Keyed & row).delete() == 1

    def test_arrays_in_blobs(self, schema):
        @schema
        class Arrays(dj.Manual):
            definition = """
            id : int
            ---
            v : longblob
            """

        arrays = [
            np.arange(3),
            np.arange(6, dtype=np.int16).reshape(2, 3),
            np.zeros((2, 0)),
            np.array([True, False]),
            np.array([1 + 2j]),
            np.array([np.nan, np.inf]),
            np.array([], dtype=np.float32),
        ]
        Arrays.insert(enumerate(arrays))
        for given, fetched in zip(arrays, Arrays.fetch("v", order_by="id")):
            assert fetched.dtype == given.dtype
            assert fetched.shape == given.shape
            np.testing.assert_array_equal(fetched, given)


# -- update1 ------------------------------------------------------------------------------------


class TestUpdate1:
    @pytest.fixture(autouse=True)
    def rows(self, lab):
        lab.Item.insert([(1, 1.5, 3, "abc"), (2, 2.5, 4, "def")])
        lab.Child.insert1((1, 1, 7))

    def item(self, lab, a=1):
        return (lab.Item & {"a": a}).fetch1()

    def test_one_value(self, lab):
        lab.Item.update1({"a": 1, "x": 9})
        assert self.item(lab) == {"a": 1, "x": 9.0, "n": 3, "s": "abc"}
        assert self.item(lab, 2) == {"a": 2, "x": 2.5, "n": 4, "s": "def"}

    def test_several_values(self, lab):
        lab.Item().update1({"s": "q\"'\\", "a": 1, "n": "5"})
        assert self.item(lab) == {"a": 1, "x": 1.5, "n": 5, "s": "q\"'\\"}

    def test_none_resets_to_the_default(self, lab):
        lab.Item.update1({"a": 1, "n": None, "s": None})
        assert self.item(lab) == {"a": 1, "x": 1.5, "n": None, "s": "dd"}

    def test_key_alone_resets_all(self, schema):
        """Manual 7.4.2."""

        @schema
        class Setting(dj.Manual):
            definition = """
            id : int
            ---
            value = 7 : int
            note = null : varchar(8)
            """

        Setting.insert([(1, 3, "x"), (2, 4, "y")])
        Setting.update1({"id": 1, "value": 5})
        assert Setting.fetch(as_dict=True, order_by="id") == [
            {"id": 1, "value": 5, "note": "x"},
            {"id": 2, "value": 4, "note": "y"},
        ]
        Setting.update1({"id": 1})
        assert Setting.fetch(as_dict=True, order_by="id") == [
            {"id": 1, "value": 7, "note": None},
            {"id": 2, "value": 4, "note": "y"},
        ]

    def test_key_alone_where_an_attribute_has_no_default(self, lab):
        with pytest.raises(MissingAttributeError, match="`x` has no default to be reset to"):
            lab.Item.update1({"a": 1})
        assert self.item(lab) == {"a": 1, "x": 1.5, "n": 3, "s": "abc"}

    def test_none_without_a_default(self, lab):
        with pytest.raises(MissingAttributeError, match="`x`"):
            lab.Item.update1({"a": 1, "x": None})

    def test_compound_key(self, lab):
        lab.Child.update1({"a": 1, "b": 1, "y": 8})
        assert lab.Child.fetch1("y") == 8
        with pytest.raises(DataJointError, match="b"):
            lab.Child.update1({"a": 1, "y": 9})
        assert lab.Child.fetch1("y") == 8

    def test_same_values_again(self, lab):
        lab.Item.update1({"a": 1, "x": 1.5})
        assert self.item(lab) == {"a": 1, "x": 1.5, "n": 3, "s": "abc"}

    def test_reset_of_a_timestamp(self, schema):
        @schema
        class Stamped(dj.Manual):
            definition = """
            id : int
            ---
            at = CURRENT_TIMESTAMP : timestamp
            """

        Stamped.insert1((1, "2001-01-01 00:00:00"))
        Stamped.update1({"id": 1, "at": None})
        assert abs(Stamped.fetch1("at") - dt.datetime.now()) < dt.timedelta(hours=26)

    @pytest.mark.parametrize(
        "row",
        [{"x": 1}, {"a": 99, "x": 1}, {"a": 1, "bogus": 1}, {}, None, (1, 2), [{"a": 1, "x": 1}]],
        ids=repr,
    )
    def test_errors(self, lab, row):
        with pytest.raises(DataJointError):
            lab.Item.update1(row)
        assert self.item(lab) == {"a": 1, "x": 1.5, "n": 3, "s": "abc"}

    def test_an_unknown_attribute_is_suggested(self, lab):
        with pytest.raises(UnknownAttributeError, match="did you mean `n`"):
            lab.Item.update1({"a": 1, "nn": 3})

    def test_a_unique_index(self, lab):
        lab.Code.insert([(1, 1, 0), (2, 2, 0)])
        with pytest.raises(DuplicateError, match=r"Cannot update .*v = 2 exists already"):
            lab.Code.update1({"id": 1, "v": 2})
        lab.Code.update1({"id": 1, "v": 1})
        assert sorted(lab.Code.fetch("v").tolist()) == [1, 2]

    def test_the_old_way(self, lab):
        lab.Item.delete()
        lab.Item.insert([(1, 0.5, 3, "abc"), (2, 1.5, 4, "x")])
        item = lab.Item & "a = 1"
        with pytest.warns(DeprecationWarning, match="use `update1`"):
            item._update("x", 2.5)
        with pytest.warns(DeprecationWarning, match="use `update1`"):
            item._update("n")
        with pytest.warns(DeprecationWarning, match="use `update1`"):
            item._update("s", None)
        expected = [(1, 2.5, None, "dd"), (2, 1.5, 4, "x")]
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])
        for query, attribute, reason in (
            (lab.Item(), "x", "exactly one entity; .* has 2"),
            (lab.Item, "x", "exactly one entity; .* has 2"),
            (lab.Item & "a = 9", "x", "exactly one entity; .* has 0"),
            (item, "a", "is in the primary key"),
            (item, "nn", "did you mean `n`"),
            (item, "x", "no default"),
        ):
            with (
                pytest.warns(DeprecationWarning, match="use `update1`"),
                pytest.raises(DataJointError, match=reason),
            ):
                query._update(attribute, None)
        assert_rows(lab.Item(), [dict(zip("axns", row)) for row in expected])

    def test_restricted_table(self, lab):
        with pytest.raises(DataJointError, match="restricted"):
            (lab.Item & "a = 1").update1({"a": 1, "x": 3})

    def test_foreign_key(self, schema):
        @schema
        class Desk(dj.Manual):
            definition = "desk : int"

        @schema
        class Worker(dj.Manual):
            definition = """
            worker : int
            ---
            -> [nullable] Desk
            """

        Desk.insert([(1,), (2,)])
        Worker.insert1((1, 1))
        Worker.update1({"worker": 1, "desk": 2})
        assert Worker.fetch1("desk") == 2
        with pytest.raises(IntegrityError):
            Worker.update1({"worker": 1, "desk": 3})
        assert Worker.fetch1("desk") == 2
        Worker.update1({"worker": 1, "desk": None})
        assert Worker.fetch1("desk") is None

    def test_blob(self, schema):
        @schema
        class Blobs(dj.Manual):
            definition = """
            id : int
            ---
            v = null : longblob
            """

        Blobs.insert1((1, [1]))
        Blobs.update1({"id": 1, "v": {"a": np.arange(3)}})
        np.testing.assert_array_equal(Blobs.fetch1("v")["a"], np.arange(3))
        Blobs.update1({"id": 1, "v": None})
        assert Blobs.fetch1("v") is None


# -- delete -------------------------------------------------------------------------------------


@pytest.fixture
def diamond(schema):
    """Top → Left, Right → Bottom, and a renamed and a nullable foreign key beside."""

    @schema
    class Top(dj.Manual):
        definition = "top : int"

    @schema
    class Left(dj.Manual):
        definition = """
        -> Top
        left_id : int
        """

    @schema
    class Right(dj.Manual):
        definition = """
        -> Top
        right_id : int
        """

    @schema
    class Bottom(dj.Manual):
        definition = """
        -> Left
        -> Right
        bottom : int
        """

    @schema
    class Renamed(dj.Manual):
        definition = """
        pair : int
        ---
        -> Top.proj(first='top')
        -> [nullable] Top.proj(second='top')
        """

    Top.insert([(i,) for i in (1, 2, 3)])
    Left.insert([(i, j) for i in (1, 2, 3) for j in (1, 2)])
    Right.insert([(i, j) for i in (1, 2) for j in (1, 2)])
    Bottom.insert([(i, j, k, 0) for i in (1, 2) for j in (1, 2) for k in (1, 2)])
    Renamed.insert([(1, 1, 2), (2, 2, None), (3, 3, 1), (4, 3, None), (5, 3, 3)])
    tables = SimpleNamespace(Top=Top, Left=Left, Right=Right, Bottom=Bottom, Renamed=Renamed)
    tables.counts = lambda: tuple(len(t()) for t in (Top, Left, Right, Bottom, Renamed))
    return tables


class TestDelete:
    def test_diamond(self, diamond):
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert (diamond.Top & "top = 1").delete() == 1
        assert diamond.counts() == (2, 4, 2, 4, 3)
        assert sorted(diamond.Top.fetch("top").tolist()) == [2, 3]
        assert set(diamond.Bottom.fetch("top").tolist()) == {2}

    def test_renamed_and_nullable_foreign_keys(self, diamond):
        (diamond.Top & "top = 2").delete()
        expected = [(3, 3, 1), (4, 3, None), (5, 3, 3)]
        assert_rows(
            diamond.Renamed(), [dict(zip(("pair", "first", "second"), r)) for r in expected]
        )

    def test_one_side_of_the_diamond(self, diamond):
        assert (diamond.Left & "left_id = 1").delete() == 3
        assert diamond.counts() == (3, 3, 4, 4, 5)
        assert set(diamond.Bottom.fetch("left_id").tolist()) == {2}

    def test_leaf(self, diamond):
        assert (diamond.Bottom & "top = 1" & {"left_id": 1}).delete() == 2
        assert diamond.counts() == (3, 6, 4, 6, 5)

    def test_everything(self, diamond):
        assert diamond.Top.delete() == 3
        assert diamond.counts() == (0, 0, 0, 0, 0)

    def test_exclusion(self, diamond):
        assert (diamond.Top - "top = 1").delete() == 2
        assert diamond.Top.fetch("top").tolist() == [1]
        assert diamond.counts() == (1, 2, 2, 4, 0)

    def test_nothing(self, diamond):
        assert (diamond.Top & "top = 99").delete() == 0
        assert (diamond.Top & []).delete() == 0
        assert diamond.counts() == (3, 6, 4, 8, 5)

    def test_restriction_by_children(self, diamond):
        assert (diamond.Top & diamond.Bottom).delete() == 2
        assert diamond.Top.fetch("top").tolist() == [3]
        assert diamond.counts() == (1, 2, 0, 0, 2)

    def test_exclusion_of_children(self, diamond):
        assert (diamond.Top - diamond.Bottom).delete() == 1
        assert sorted(diamond.Top.fetch("top").tolist()) == [1, 2]

    def test_restriction_by_children_of_children_that_go_first(self, diamond):
        assert (diamond.Left & (diamond.Bottom & "right_id = 1" & "left_id = 2")).delete() == 2
        assert diamond.counts() == (3, 4, 4, 4, 5)

    def test_restriction_by_parents(self, diamond):
        assert (diamond.Right & (diamond.Top & "top > 1")).delete() == 2
        assert diamond.counts() == (3, 6, 2, 4, 5)

    def test_restriction_by_an_aggregation(self, diamond):
        query = diamond.Top & (diamond.Top.aggr(diamond.Right, n="count(*)") & "n = 2" & "top = 1")
        assert query.delete() == 1
        assert sorted(diamond.Top.fetch("top").tolist()) == [2, 3]

    def test_top(self, diamond):
        assert (diamond.Top & dj.Top(1)).delete() == 1
        assert sorted(diamond.Top.fetch("top").tolist()) == [2, 3]
        assert (diamond.Top & dj.Top(1, "top desc")).delete() == 1
        assert diamond.Top.fetch("top").tolist() == [2]

    def test_top_of_a_restricted_child(self, diamond):
        assert (diamond.Left & "left_id = 2" & dj.Top(2, "KEY desc")).delete() == 2
        assert sorted((diamond.Left & "left_id = 2").fetch("top").tolist()) == [1]

    def test_list_of_keys(self, diamond):
        keys = (diamond.Top & "top < 3").fetch("KEY")
        assert (diamond.Top & keys).delete() == 2
        assert diamond.Top.fetch("top").tolist() == [3]

    def test_several_schemas(self, make_schema):
        one, two, three = make_schema("one"), make_schema("two"), make_schema("three")

        @one
        class Mouse(dj.Manual):
            definition = "mouse : int"

        @two
        class Session(dj.Manual):
            definition = """
            -> Mouse
            session : int
            """

        @three
        class Result(dj.Manual):
            definition = """
            -> Session
            ---
            value : float
            """

        @one
        class Note(dj.Manual):
            definition = """
            note : int
            ---
            -> Result
            """

        Mouse.insert([(1,), (2,)])
        Session.insert([(1, 1), (2, 1)])
        Result.insert([(1, 1, 0.5), (2, 1, 1.5)])
        Note.insert([(1, 1, 1), (2, 2, 1)])
        assert (Mouse & "mouse = 1").delete() == 1
        assert [t.fetch("mouse").tolist() for t in (Mouse, Session, Result, Note)] == [[2]] * 4

    def test_schema_that_this_connection_never_activated(self, connect, make_schema, schema_name):
        @make_schema("one")
        class Mouse(dj.Manual):
            definition = "mouse : int"

        other = connect()

        class Session(dj.Manual):
            definition = """
            -> Parent
            session : int
            """

        parent = dj.FreeTable(other, Mouse.full_table_name)
        dj.Schema(f"{schema_name}_two", connection=other)(Session, context={"Parent": parent})
        Mouse.insert([(1,), (2,)])
        Session.insert([(1, 1), (2, 1)])
        assert (Mouse & "mouse = 1").delete() == 1
        assert Session.fetch("mouse").tolist() == [2]

    def test_self_reference(self, schema):
        @schema
        class Person(dj.Manual):
            definition = """
            person : int
            ---
            -> [nullable] Person.proj(boss='person')
            """

        Person.insert1((1, None))
        Person.insert([(2, 1), (3, 2), (4, None), (5, 4)])
        assert (Person & "person = 1").delete() == 3
        assert_rows(Person(), [{"person": 4, "boss": None}, {"person": 5, "boss": 4}])

    def test_cyclic_rows_of_a_self_reference(self, schema):
        @schema
        class Person(dj.Manual):
            definition = """
            person : int
            ---
            -> [nullable] Person.proj(boss='person')
            """

        Person.insert([(1, None), (2, 1), (3, None)])
        Person.update1({"person": 1, "boss": 2})
        assert (Person & "person = 2").delete() == 2
        assert Person.fetch("person").tolist() == [3]

    def test_delete_quick(self, diamond):
        with pytest.raises(IntegrityError):
            (diamond.Top & "top = 1").delete_quick()
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert (diamond.Bottom & "top = 1").delete_quick(get_count=True) == 4
        assert diamond.Bottom.delete_quick() is None
        assert len(diamond.Bottom()) == 0

    @pytest.mark.parametrize(
        "condition", ["rand() < 0.5", "top <= 2 and rand() >= 0", "top = 1 or now() < '1999-01-01'"]
    )
    def test_conditions_that_change_are_evaluated_once(self, diamond, condition):
        before = len(diamond.Top())
        count = (diamond.Top & condition).delete()
        assert len(diamond.Top()) == before - count
        left = set(diamond.Top.fetch("top").tolist())
        assert set(diamond.Left.fetch("top").tolist()) == left
        assert len(diamond.Left()) == 2 * len(left)

    def test_subquery_of_what_goes_first(self, diamond):
        name = diamond.Bottom.connection.dialect.table(
            diamond.Bottom.database, diamond.Bottom().table_name
        )
        try:
            query = diamond.Top & f"top in (select top from {name})"
        except DataJointError:
            return  # where such conditions are not taken
        assert query.delete() == 2
        assert diamond.counts() == (1, 2, 0, 0, 2)

    def test_dry_run(self, diamond, connection, connect):
        name = diamond.Top.full_table_name.replace("`top`", "`{}`").format
        counts = (diamond.Top & "top = 1").delete(dry_run=True)
        assert counts == {
            name("top"): 1,
            name("left"): 2,
            name("right"): 2,
            name("bottom"): 4,
            name("renamed"): 2,
        }
        assert next(iter(counts)) == name("top")
        assert list(counts).index(name("bottom")) > list(counts).index(name("left"))
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert not connection.in_transaction
        assert (diamond.Top & "top = 99").delete(dry_run=True) == {name("top"): 0}
        other = connect()  # no lock is held
        dj.FreeTable(other, name("bottom")).insert1((1, 1, 1, 7))
        with connection.transaction:
            (diamond.Top & "top = 1").delete()
            assert (diamond.Top & "top > 0").delete(dry_run=True)[name("top")] == 2
            connection.cancel_transaction()
            connection.start_transaction()
        assert diamond.counts() == (3, 6, 4, 9, 5)

    def test_rows_that_refer_to_others_in_several_ways(self, schema):
        @schema
        class Node(dj.Manual):
            definition = """
            node : int
            ---
            -> [nullable] Node.proj(left_node='node')
            -> [nullable] Node.proj(right_node='node')
            """

        rows = [(1, None, None), (2, 1, None), (3, None, 2), (4, 3, None), (5, None, None)]
        Node.insert([*rows, (6, 5, 4), (7, 5, None)])
        assert (Node & "node = 2").delete(dry_run=True) == {Node.full_table_name: 4}
        assert (Node & "node = 2").delete() == 4
        assert sorted(Node.fetch("node").tolist()) == [1, 5, 7]
        assert (Node & []).delete() == 0

    def test_changes_of_others_after_the_plan_was_shown(self, diamond, connect, monkeypatch):
        other = dj.FreeTable(connect(), diamond.Bottom.full_table_name)

        def answer(prompt=""):
            other.insert1((1, 1, 1, 7))
            return "yes"

        monkeypatch.setattr("builtins.input", answer)
        with pytest.raises(ConflictError, match="changed by others"):
            (diamond.Top & "top = 1").delete(safemode=True)
        assert diamond.counts() == (3, 6, 4, 9, 5)

    def test_children_that_others_add_after_the_plan_was_shown(self, schema, connect, monkeypatch):
        @schema
        class Mouse(dj.Manual):
            definition = "mouse : int"

        @schema
        class Session(dj.Manual):
            definition = "-> Mouse"

        other = dj.FreeTable(connect(), Session.full_table_name)
        Mouse.insert([(1,), (2,)])

        def answer(prompt=""):
            other.insert1((1,))
            return "yes"

        monkeypatch.setattr("builtins.input", answer)
        with pytest.raises(ConflictError, match="changed by others meanwhile; nothing"):
            Mouse.delete(safemode=True)
        assert (len(Mouse), len(Session)) == (2, 1)

    def test_inside_a_transaction(self, diamond, connection):
        with pytest.raises(RuntimeError), connection.transaction:
            (diamond.Top & "top = 1").delete()
            assert diamond.counts() == (2, 4, 2, 4, 3)
            raise RuntimeError("undo")
        assert diamond.counts() == (3, 6, 4, 8, 5)

    def test_without_a_transaction_of_its_own(self, diamond):
        assert (diamond.Top & "top = 1").delete(transaction=False) == 1
        assert diamond.counts() == (2, 4, 2, 4, 3)


@pytest.fixture
def parts(schema):
    @schema
    class Source(dj.Manual):
        definition = "source : int"

    @schema
    class Master(dj.Manual):
        definition = """
        master_id : int
        """

        class Piece(dj.Part):
            definition = """
            -> master
            piece : int
            ---
            -> [nullable] Source
            """

        class Detail(dj.Part):
            definition = """
            -> Master.Piece
            detail : int
            """

    @schema
    class User(dj.Manual):
        definition = """
        user : int
        ---
        -> Master.Piece
        """

    Source.insert([(1,), (2,), (3,)])
    Master.insert([(1,), (2,)])
    Master.Piece.insert([(1, 1, 1), (1, 2, None), (2, 1, 2), (2, 2, 1)])
    Master.Detail.insert([(1, 1, 1), (1, 1, 2), (2, 2, 1)])
    User.insert([(1, 1, 2), (2, 2, 1)])
    tables = SimpleNamespace(Source=Source, Master=Master, User=User)
    tables.counts = lambda: tuple(
        len(t()) for t in (Source, Master, Master.Piece, Master.Detail, User)
    )
    return tables


class TestParts:
    def test_parts_go_with_their_master(self, parts):
        assert (parts.Master & "master_id = 1").delete() == 1
        assert parts.counts() == (3, 1, 2, 1, 1)
        assert set(parts.Master.Piece.fetch("master_id").tolist()) == {2}

    @pytest.mark.parametrize("condition", ["piece = 1", "piece = 99"])
    def test_direct_delete_from_a_part_is_refused(self, parts, condition):
        with pytest.raises(DataJointError, match="force=True"):
            (parts.Master.Piece & condition).delete()
        with pytest.raises(DataJointError):
            parts.Master.Piece.delete()
        assert parts.counts() == (3, 2, 4, 3, 2)

    @pytest.mark.parametrize("name", ["force", "force_parts"])
    def test_forced_delete_from_a_part(self, parts, name):
        assert (parts.Master.Piece & "piece = 1").delete(**{name: True}) == 2
        assert parts.counts() == (3, 2, 2, 1, 1)

    def test_delete_upstream_that_would_take_parts_alone_is_refused_and_undone(self, parts):
        with pytest.raises(DataJointError) as error:
            (parts.Source & "source = 1").delete()
        assert "master__piece`" in str(error.value)
        assert parts.counts() == (3, 2, 4, 3, 2)
        assert not parts.Source.connection.in_transaction

    def test_delete_upstream_that_touches_no_part(self, parts):
        assert (parts.Source & "source = 3").delete() == 1
        assert parts.counts() == (2, 2, 4, 3, 2)

    def test_force_parts(self, parts):
        assert (parts.Source & "source = 1").delete(force_parts=True) == 1
        assert parts.counts() == (2, 2, 2, 0, 2)

    def test_force_masters(self, parts):
        assert (parts.Source & "source = 2").delete(force_masters=True) == 1
        assert parts.counts() == (2, 1, 2, 2, 1)
        assert parts.Master.fetch("master_id").tolist() == [1]

    def test_force_masters_from_a_part(self, parts):
        query = parts.Master.Piece & "master_id = 1 and piece = 1"
        query.delete(force_masters=True)
        assert parts.counts() == (3, 1, 2, 1, 1)

    def test_dry_run(self, parts):
        name = parts.Master.full_table_name.replace("`master`", "`{}`").format
        query = parts.Source & "source = 2"
        with pytest.raises(DataJointError, match="force_masters=True"):
            query.delete(dry_run=True)
        with pytest.raises(DataJointError, match="force=True"):
            parts.Master.Piece.delete(dry_run=True)
        assert query.delete(dry_run=True, force_parts=True) == {
            name("source"): 1,
            name("master__piece"): 1,
            name("user"): 1,
        }
        assert query.delete(dry_run=True, force_masters=True) == {
            name("source"): 1,
            name("master"): 1,
            name("master__piece"): 2,
            name("master__detail"): 1,
            name("user"): 1,
        }
        piece = parts.Master.Piece & "master_id = 1 and piece = 2"
        assert piece.delete(dry_run=True, force=True) == {
            name("master__piece"): 1,
            name("user"): 1,
        }
        assert parts.counts() == (3, 2, 4, 3, 2)

    @pytest.mark.parametrize(
        ("options", "notes"),
        [
            (
                {"force_masters": True},
                {
                    "source": "1 row",
                    "master": "2 rows, 2 as masters of deleted parts",
                    "master__piece": "4 rows, with their masters",
                    "master__detail": "3 rows, with their masters",
                    "user": "2 rows",
                },
            ),
            (
                {"force_parts": True},
                {
                    "source": "1 row",
                    "master__piece": "2 rows, 2 without their masters",
                    "master__detail": "3 rows, 3 without their masters",
                },
            ),
        ],
    )
    def test_the_plan_tells_of_masters(self, parts, answers, capsys, options, notes):
        answers.replies = ["no"]
        assert (parts.Source & "source = 1").delete(safemode=True, **options) == 0
        lines = capsys.readouterr().out.splitlines()[1:-1]
        shown = {line.split("`")[3]: " ".join(line.split("`")[4].split()) for line in lines}
        assert shown == notes
        assert parts.counts() == (3, 2, 4, 3, 2)

    def test_drop_of_a_part_is_refused(self, parts):
        with pytest.raises(DataJointError, match="force=True"):
            parts.Master.Detail.drop()
        assert parts.Master.Detail().is_declared
        parts.Master.Detail.drop(force=True)
        assert not parts.Master.Detail().is_declared
        assert parts.Master().is_declared

    def test_drop_upstream_that_would_take_a_part_alone_is_refused(self, parts):
        with pytest.raises(DataJointError, match="master__"):
            parts.Source.drop()
        assert parts.counts() == (3, 2, 4, 3, 2)

    def test_drop_of_the_master(self, parts):
        parts.Master.drop()
        declared = [t().is_declared for t in (parts.Master, parts.Master.Piece, parts.User)]
        assert declared == [False, False, False]
        assert len(parts.Source()) == 3


class TestPrompts:
    @pytest.fixture(autouse=True)
    def asking(self, connection):
        with dj.config(safemode=True):
            yield

    @pytest.mark.parametrize("answer", ["no", "NO", "No"])
    def test_no(self, diamond, answers, answer):
        answers.replies = [answer]
        assert (diamond.Top & "top = 1").delete() == 0
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert len(answers.prompts) == 1
        assert not diamond.Top.connection.in_transaction

    @pytest.mark.parametrize("answer", ["yes", "YES", "Yes"])
    def test_yes(self, diamond, answers, answer):
        answers.replies = [answer]
        assert (diamond.Top & "top = 1").delete() == 1
        assert diamond.counts() == (2, 4, 2, 4, 3)
        assert len(answers.prompts) == 1

    def test_end_of_input_means_no(self, diamond, answers):
        assert (diamond.Top & "top = 1").delete() == 0
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert not diamond.Top.connection.in_transaction

    def test_other_answers_are_asked_again(self, diamond, answers):
        answers.replies = ["maybe", "y", "yes"]
        assert (diamond.Top & "top = 1").delete() == 1
        assert len(answers.prompts) == 3

    def test_empty_answer_means_no(self, diamond, answers):
        answers.replies = [""]
        assert (diamond.Top & "top = 1").delete() == 0
        assert diamond.counts() == (3, 6, 4, 8, 5)

    def test_interrupt_at_the_prompt_deletes_nothing(self, diamond, monkeypatch):
        def interrupt(prompt=""):
            raise KeyboardInterrupt

        monkeypatch.setattr("builtins.input", interrupt)
        with pytest.raises(KeyboardInterrupt):
            (diamond.Top & "top = 1").delete()
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert not diamond.Top.connection.in_transaction

    def test_plan_names_the_tables_and_counts(self, diamond, answers, capsys, caplog):
        answers.replies = ["no"]
        (diamond.Top & "top = 1").delete()
        captured = capsys.readouterr()
        lines = {
            line.split("`")[3]: line
            for line in (captured.out + captured.err + caplog.text).splitlines()
            if line.count("`") == 4
        }
        assert set(lines) == {"top", "left", "right", "bottom", "renamed"}
        assert "4" in lines["bottom"].split("`")[-1]
        assert "2" in lines["renamed"].split("`")[-1]

    def test_nothing_to_delete_asks_nothing(self, diamond, answers):
        assert (diamond.Top & "top = 99").delete() == 0
        assert answers.prompts == []

    def test_argument_overrides_the_setting(self, diamond, answers):
        assert (diamond.Top & "top = 1").delete(safemode=False) == 1
        assert answers.prompts == []
        with dj.config(safemode=False):
            answers.replies = ["no"]
            assert (diamond.Top & "top = 2").delete(safemode=True) == 0
        assert len(answers.prompts) == 1

    def test_refused_delete_of_parts_asks_nothing(self, parts, answers):
        with pytest.raises(DataJointError):
            (parts.Source & "source = 1").delete()
        assert answers.prompts == []

    @pytest.mark.parametrize("replies", [["no"], [], [""]])
    def test_drop_declined(self, diamond, schema, answers, replies, capsys):
        answers.replies = list(replies)
        diamond.Top.drop()
        assert diamond.counts() == (3, 6, 4, 8, 5)
        assert len(answers.prompts) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "About to drop:"
        assert [line.split() for line in lines[1:-1]] == [
            [f"`{schema.database}`.`{name}`", str(count), "rows"]
            for name, count in zip(
                schema.list_tables(), self.in_order(diamond, schema), strict=True
            )
        ]

    @staticmethod
    def in_order(diamond, schema):
        """Count the rows of all tables, parents first."""
        connection = schema.connection
        return [
            len(dj.FreeTable(connection, f"`{schema.database}`.`{name}`"))
            for name in schema.list_tables()
        ]

    def test_drop_confirmed(self, diamond, answers):
        answers.replies = ["yes"]
        diamond.Left.drop()
        assert not diamond.Left().is_declared
        assert not diamond.Bottom().is_declared
        assert diamond.Right().is_declared

    def test_drop_of_the_schema(self, diamond, schema, answers, capsys):
        answers.replies = ["no"]
        schema.drop()
        assert diamond.counts() == (3, 6, 4, 8, 5)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"About to drop the schema `{schema.database}`:"
        assert [line.split()[-2:] for line in lines[1:-1]] == [
            [str(count), "rows"] for count in self.in_order(diamond, schema)
        ]
        assert lines[-1] == "Nothing was dropped."
        answers.replies = ["yes"]
        schema.drop()
        assert not schema.exists


class TestDrop:
    def test_cascade(self, diamond):
        diamond.Top.drop()
        for table in (diamond.Top, diamond.Left, diamond.Right, diamond.Bottom, diamond.Renamed):
            assert not table().is_declared

    def test_others_stay(self, diamond):
        diamond.Right.drop()
        assert not diamond.Bottom().is_declared
        assert (len(diamond.Top()), len(diamond.Left()), len(diamond.Renamed())) == (3, 6, 5)

    def test_several_schemas(self, make_schema):
        one, two = make_schema("one"), make_schema("two")

        @one
        class Mouse(dj.Manual):
            definition = "mouse : int"

        @two
        class Session(dj.Manual):
            definition = """
            -> Mouse
            session : int
            """

        Mouse.drop()
        assert not Session().is_declared
        assert one.list_tables() == two.list_tables() == []

    def test_drop_quick(self, diamond):
        with pytest.raises(IntegrityError):
            diamond.Top.drop_quick()
        diamond.Bottom.drop_quick()
        assert not diamond.Bottom().is_declared

    def test_restricted_table(self, diamond):
        with pytest.raises(DataJointError, match="restricted"):
            (diamond.Top & "top = 1").drop()

    @pytest.mark.parametrize("what", ["drop", "drop_quick", "schema"])
    def test_inside_a_transaction(self, diamond, schema, connection, what):
        actions = {
            "drop": diamond.Top.drop,
            "drop_quick": diamond.Bottom.drop_quick,
            "schema": schema.drop,
        }
        refused = "cannot be dropped inside a transaction"
        with pytest.raises(ZeroDivisionError), connection.transaction:
            diamond.Top.insert1((99,))
            with pytest.raises(DataJointError, match=refused):
                actions[what]()
            raise ZeroDivisionError
        assert diamond.counts() == (3, 6, 4, 8, 5)

    @pytest.mark.parametrize("what", ["table", "schema"])
    def test_failure_on_the_way(self, diamond, schema, connection, monkeypatch, what):
        drop_table = connection.drop_table

        def failing(name):
            if name.full == diamond.Top.full_table_name:
                raise DataJointError("no")
            drop_table(name)

        monkeypatch.setattr(connection, "drop_table", failing)
        with pytest.raises(DataJointError) as raised:
            (diamond.Top if what == "table" else schema).drop()
        text = str(raised.value)
        if connection.undoes_drops:
            assert text == "no"
            assert diamond.counts() == (3, 6, 4, 8, 5)
        else:
            assert text.startswith("no\nDropped before it: ")
            dropped = (diamond.Bottom, diamond.Left, diamond.Right, diamond.Renamed)
            assert all(table.full_table_name in text for table in dropped)
            assert not any(table().is_declared for table in dropped)
            assert len(diamond.Top()) == 3
        monkeypatch.undo()
        diamond.Top.drop()
        assert not diamond.Top().is_declared

    def test_it_is_logged(self, diamond, schema):
        diamond.Left.drop()
        events = schema.log.fetch("event", order_by="id").tolist()
        dropped = (diamond.Bottom, diamond.Left)
        assert events[-2:] == [f"DROP TABLE {table.full_table_name}" for table in dropped]

    def test_dropped_table(self, diamond):
        diamond.Bottom.drop()
        with pytest.raises(MissingTableError):
            diamond.Bottom.drop()
        with pytest.raises(DataJointError, match="bottom"):
            diamond.Bottom.fetch()

    def test_declared_again(self, diamond, schema):
        diamond.Renamed.drop()

        @schema
        class Renamed(dj.Manual):
            definition = "other : int"

        Renamed.insert1((1,))
        assert Renamed.heading.names == ["other"]


# -- transactions -------------------------------------------------------------------------------


class TestTransactions:
    def test_commit(self, lab, connection):
        with connection.transaction:
            assert connection.in_transaction
            lab.Item.insert1({"a": 1, "x": 1})
            lab.Child.insert1({"a": 1, "b": 1})
        assert not connection.in_transaction
        assert (len(lab.Item()), len(lab.Child())) == (1, 1)

    def test_rollback_after_an_error(self, lab):
        with pytest.raises(IntegrityError), lab.Item.connection.transaction:
            lab.Item.insert1({"a": 1, "x": 1})
            lab.Child.insert1({"a": 99, "b": 1})
        assert not lab.Item.connection.in_transaction
        assert len(lab.Item()) == 0

    def test_rollback_after_any_exception(self, lab, connection):
        for error in (RuntimeError, KeyboardInterrupt, SystemExit):
            with pytest.raises(error), connection.transaction:
                lab.Item.insert1({"a": 1, "x": 1})
                raise error
            assert not connection.in_transaction
            assert len(lab.Item()) == 0

    def test_explicit(self, lab, connection):
        connection.start_transaction()
        lab.Item.insert1({"a": 1, "x": 1})
        connection.cancel_transaction()
        assert len(lab.Item()) == 0
        connection.start_transaction()
        lab.Item.insert1({"a": 2, "x": 1})
        connection.commit_transaction()
        assert lab.Item.fetch("a").tolist() == [2]
        assert not connection.in_transaction

    def test_nested_is_refused(self, lab, connection):
        with connection.transaction:
            lab.Item.insert1({"a": 1, "x": 1})
            with pytest.raises(DataJointError, match="nested"):
                connection.start_transaction()
            with pytest.raises(DataJointError, match="nested"), connection.transaction:
                pass
            assert connection.in_transaction
        assert len(lab.Item()) == 1

    def test_invisible_to_others_until_the_commit(self, lab, connection, connect):
        other = dj.FreeTable(connect(), lab.Item.full_table_name)
        assert len(other) == 0
        with connection.transaction:
            lab.Item.insert1({"a": 1, "x": 1})
            assert len(lab.Item()) == 1
            assert len(other) == 0
        assert len(other) == 1
        assert other.fetch1("KEY") == {"a": 1}

    def test_rolled_back_changes_are_never_seen(self, lab, connection, connect):
        other = dj.FreeTable(connect(), lab.Item.full_table_name)
        lab.Item.insert1({"a": 1, "x": 1})
        with pytest.raises(RuntimeError), connection.transaction:
            lab.Item.update1({"a": 1, "x": 5})
            lab.Item.insert1({"a": 2, "x": 1})
            assert other.fetch("x").tolist() == [1.0]
            raise RuntimeError
        assert other.fetch("x").tolist() == lab.Item.fetch("x").tolist() == [1.0]

    def test_consistent_snapshot(self, lab, connection, connect):
        reader = connect()
        table = dj.FreeTable(reader, lab.Item.full_table_name)
        lab.Item.insert1({"a": 1, "x": 1})
        with reader.transaction:
            assert len(table) == 1
            lab_rows = 1
            try:
                lab.Item.insert1({"a": 2, "x": 1})
                lab_rows = 2
            except DataJointError:  # the writer may have to wait for the reader
                pass
            assert len(table) == 1
        assert len(table) == lab_rows == len(lab.Item())

    def test_deletes_and_updates_are_undone_too(self, lab, connection):
        lab.Item.insert([(1, 1.0, 1, "a"), (2, 2.0, 2, "b")])
        with pytest.raises(RuntimeError), connection.transaction:
            (lab.Item & "a = 1").delete()
            lab.Item.update1({"a": 2, "s": "z"})
            raise RuntimeError
        assert lab.Item.fetch("s", order_by="a").tolist() == ["a", "b"]

    def test_declaration_inside_is_refused(self, connection, schema):
        class Late(dj.Manual):
            definition = "late : int"

        with connection.transaction, pytest.raises(DataJointError, match="transaction"):
            schema(Late)
        schema(Late)
        assert Late().is_declared

    def test_creation_of_a_schema_inside_is_refused(self, lab, connection, make_schema):
        refused = pytest.raises(DataJointError, match="later` cannot be created inside a trans")
        with refused, connection.transaction:
            lab.Item.insert1({"a": 1, "x": 1})
            make_schema("later")
        assert not len(lab.Item)  # MariaDB would have committed it
        make_schema("later")
        with connection.transaction:  # an existing one is activated
            assert make_schema("later").is_activated()

    def test_data_outlive_the_connection(self, lab, connection, connect):
        lab.Item.insert1({"a": 1, "x": 1})
        connection.close()
        assert len(dj.FreeTable(connect(), lab.Item.full_table_name)) == 1

    def test_close_during_a_transaction_undoes_it(self, lab, connection, connect):
        connection.start_transaction()
        lab.Item.insert1({"a": 1, "x": 1})
        connection.close()
        assert len(dj.FreeTable(connect(), lab.Item.full_table_name)) == 0
