"""``Table.validate``: all that an insert would refuse, at once and without inserting."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj
from datajoint.errors import (
    DataJointError,
    DuplicateError,
    IntegrityError,
    MissingAttributeError,
    UnknownAttributeError,
)

from .definitions import examples


@pytest.fixture
def lab(schema):
    @schema
    class Parent(dj.Manual):
        definition = """
        name : varchar(8)
        day : date
        """

    @schema
    class Row(dj.Manual):
        definition = """
        a : int
        b = 'x' : varchar(4)
        ---
        v = null : int
        w = null : decimal(4,1)
        -> [nullable] Parent
        -> [nullable] Row.proj(other_a='a', other_b='b')
        unique index (v, w)
        """

    Parent.insert([("Ann", "2026-01-01"), ("Bo", "2026-01-02")])
    return SimpleNamespace(Parent=Parent, Row=Row)


def faults(report):
    return [(fault.row, fault.attributes, fault.value) for fault in report.errors]


class TestReport:
    def test_all_is_well(self, lab):
        report = lab.Row.validate({"a": i} for i in range(3))
        assert report
        assert report.errors == ()
        assert report.count == 3
        assert str(report) == f"3 rows can be inserted into {lab.Row.full_table_name}"
        report.raise_if_invalid()
        assert len(lab.Row()) == 0

    def test_every_attribute_of_every_row(self, lab):
        rows = [
            {"a": 1},
            {"a": "one", "v": "two", "bogus": 3, "name": 5 * "long"},
            {"v": 1},
            (1, 2),
            7,
            {"a": 2, "w": "1e9"},
        ]
        report = lab.Row.validate(rows)
        assert not report
        assert faults(report) == [
            (1, ("bogus",), 3),
            (1, ("a",), "one"),
            (1, ("v",), "two"),
            (1, ("name",), 5 * "long"),
            (2, ("a",), None),
            (3, (), (1, 2)),
            (4, (), 7),
            (5, ("w",), "1e9"),
        ]
        assert [fault.kind for fault in report.errors] == [
            UnknownAttributeError,
            DataJointError,
            DataJointError,
            DataJointError,
            MissingAttributeError,
            *[DataJointError] * 3,
        ]

    def test_keys_and_parents(self, lab):
        lab.Row.insert1({"a": 1, "v": 5, "w": 0.5})
        rows = [
            {"a": 1, "b": "X"},
            {"a": 2, "b": "y", "v": 5, "w": "0.50"},
            {"a": 3, "v": 6, "w": 1},
            {"a": 4, "v": 6, "w": 1},
            {"a": 3, "b": "x"},
            {"a": 5, "name": "Cy", "day": "2026-01-01"},
            {"a": 6, "name": "ann", "day": "2026-01-01"},
            {"a": 7, "name": "Ann"},
            {"a": 8, "other_a": 1, "other_b": "x"},
            {"a": 9, "other_a": 9, "other_b": "x"},
            {"a": 10, "other_a": 2, "other_b": "y"},
            {"a": 11, "other_a": 3, "other_b": "x"},
        ]
        for chunk_size in (1, 2, 3, 100):
            report = lab.Row.validate(rows, chunk_size=chunk_size)
            assert [(fault.row, fault.attributes, fault.kind) for fault in report.errors] == [
                (0, ("a", "b"), DuplicateError),
                (1, ("v", "w"), DuplicateError),
                (3, ("v", "w"), DuplicateError),
                (4, ("a", "b"), DuplicateError),
                (5, ("name", "day"), IntegrityError),
                (10, ("other_a", "other_b"), IntegrityError),
            ]
        assert "exists already" in report.errors[0].message
        assert "is given twice" in report.errors[2].message
        bad = {fault.row for fault in report.errors}
        good = [row for i, row in enumerate(rows) if i not in bad]
        assert lab.Row.validate(good)
        lab.Row.insert(good)
        assert len(lab.Row()) == 1 + len(good)

    def test_modes(self, lab):
        lab.Row.insert1({"a": 1})
        rows = [{"a": 1}, {"a": 2}, {"a": 2}]
        assert [fault.row for fault in lab.Row.validate(rows).errors] == [0, 2]
        assert lab.Row.validate(rows, skip_duplicates=True)
        assert lab.Row.validate(rows, replace=True)
        with pytest.raises(DataJointError, match="exclude each other"):
            lab.Row.validate(rows, replace=True, skip_duplicates=True)

    def test_extra_fields_may_be_ignored(self, lab):
        assert lab.Row.validate([{"a": 1, "bogus": 2}], ignore_extra_fields=True)

    def test_a_query_and_a_computed_table(self, lab, schema):
        Parent = lab.Parent

        @schema
        class Sum(dj.Computed):
            definition = """
            -> Parent
            ---
            n : int
            """

            def make(self, key):
                raise NotImplementedError

        query = Parent.proj(n="1")
        assert Sum.validate(query)
        Sum.insert(query, allow_direct_insert=True)
        assert [fault.row for fault in Sum.validate(query).errors] == [0, 1]

    def test_the_summary(self, lab):
        report = lab.Row.validate([{"a": "x"}] * 30 + [{"a": 1}])
        lines = str(report).splitlines()
        assert lines[0] == f"30 of 31 rows cannot be inserted into {lab.Row.full_table_name}:"
        assert lines[1] == (
            "    row 0: 'x' cannot be the value of attribute `a` of type `int`: it is not a number"
        )
        assert lines[-2].startswith("    row 19: ")
        assert lines[-1] == "    and 10 errors more"
        assert len(lines) == 22

    def test_raise_if_invalid(self, lab):
        lab.Row.insert1({"a": 1})
        with pytest.raises(DuplicateError, match=r"(?s)1 of 1 row cannot.*skip_duplicates=True"):
            lab.Row.validate([{"a": 1}]).raise_if_invalid()
        with pytest.raises(DataJointError) as error:
            lab.Row.validate([{"a": 1}, {"a": None}]).raise_if_invalid()
        assert type(error.value) is DataJointError

    def test_the_report_cannot_be_changed(self, lab):
        report = lab.Row.validate([{"a": "x"}])
        with pytest.raises(AttributeError):
            report.errors = ()
        with pytest.raises(AttributeError):
            report.errors[0].row = 5

    def test_texts_that_the_database_takes_for_equal(self, lab, backend):
        """As `docs/databases.md` says: accents and blanks at the end are equal on some."""
        for one, other in (("a", "A"), ("é", "É"), ("e", "é"), ("a", "a ")):
            lab.Row.delete_quick()
            lab.Row.insert1({"a": 1, "b": one})
            report = lab.Row.validate([{"a": 1, "b": other}])
            twice = lab.Row.validate([{"a": 2, "b": one}, {"a": 2, "b": other}])
            try:
                lab.Row.insert1({"a": 1, "b": other})
                expected = True
            except DuplicateError:
                expected = False
            assert (bool(report), bool(twice)) == (expected, expected), (one, other)

    def test_a_table_of_one_entity(self, schema):
        @schema
        class Current(dj.Manual):
            definition = """
            ---
            x = 1 : int
            """

        @schema
        class User(dj.Manual):
            definition = """
            -> Current
            user : int
            """

        assert [fault.row for fault in User.validate([(1,)]).errors] == [0]
        assert [fault.row for fault in Current.validate([(1,), (2,)]).errors] == [1]
        Current.insert1({})
        assert [fault.row for fault in Current.validate([(1,)]).errors] == [0]
        assert Current.validate([(1,)], replace=True)
        assert User.validate([(1,)])


def in_one_case(row):
    """SQLite alone refuses a row that refers to itself in letters of another case."""
    own, other = str(row.get("b") or "x"), row.get("other_b")
    same = other is not None and other != own and other.lower() == own.lower()
    return {**row, "other_b": own} if same else row


NAMES = st.sampled_from(["Ann", "ann", "Bo", "Cy", "", None])
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from([0, 1, 2, 3, 4, "5", 2.6, None, "one", 10**10]),
        "b": st.sampled_from(["x", "X", "y", "", None, "too long"]),
        "v": st.sampled_from([0, 1, 2, None, "x"]),
        "w": st.sampled_from([0, 0.5, "0.50", 1, None, 12345]),
        "name": NAMES,
        "day": st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03", None, "soon"]),
        "other_a": st.sampled_from([0, 1, 2, 3, None]),
        "other_b": st.sampled_from(["x", "X", "y", None]),
        "extra": st.just(1),
    },
).map(in_one_case)
#: Most rows of values that fit, so that keys and parents are reached.
GOOD = st.fixed_dictionaries(
    {
        "a": st.integers(0, 4),
        "b": st.sampled_from(["x", "X", "y"]),
        "v": st.sampled_from([0, 1, 2, None]),
        "w": st.sampled_from([0, 0.5, "0.50", None]),
    },
    optional={
        "name": NAMES,
        "day": st.sampled_from(["2026-01-01", "2026-01-02"]),
        "other_a": st.integers(0, 4),
        "other_b": st.sampled_from(["x", "y"]),
    },
).map(in_one_case)


@pytest.mark.random
@pytest.mark.parametrize("mode", ["insert", "skip_duplicates", "replace"])
def test_it_refuses_what_an_insert_refuses(lab, mode):
    options = {} if mode == "insert" else {mode: True}

    @examples(30)
    @given(
        before=st.lists(GOOD, max_size=4),
        rows=st.lists(GOOD | GOOD | ROWS, max_size=8),
        chunk_size=st.sampled_from([1, 2, 3, 100]),
    )
    def check(before, rows, chunk_size):
        lab.Row.delete(safemode=False)
        for row in before:
            if lab.Row.validate([row]):
                lab.Row.insert1(row)
        stored = lab.Row.fetch(as_dict=True)
        report = lab.Row.validate(rows, chunk_size=chunk_size, **options)
        assert lab.Row.fetch(as_dict=True) == stored
        bad = set()
        for number, row in enumerate(rows):
            try:
                lab.Row.insert1(row, **options)
            except DataJointError:
                bad.add(number)
        assert {fault.row for fault in report.errors} == bad
        assert bool(report) == (not bad)
        after = lab.Row.fetch(as_dict=True)
        lab.Row.delete(safemode=False)
        for row in stored:
            lab.Row.insert1({**row, "other_a": None, "other_b": None})
        for row in stored:
            lab.Row.update1(row)
        lab.Row.insert([row for i, row in enumerate(rows) if i not in bad], **options)
        assert lab.Row.fetch(as_dict=True, order_by="KEY") == sorted(
            after, key=lambda row: (row["a"], row["b"].lower())
        )

    check()
