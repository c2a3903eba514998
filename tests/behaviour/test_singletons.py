"""Tables with an empty primary key: they have at most one entity, and nothing else is special."""

import datetime as dt

import numpy as np
import pytest

import datajoint as dj


@pytest.fixture
def uni(make_schema):
    """The current term, as in manual 8.2, and what depends on it."""
    schema = make_schema()

    @schema
    class Term(dj.Manual):
        definition = """
        term_year : year
        term : enum('Spring', 'Summer', 'Fall')
        """

    @schema
    class CurrentTerm(dj.Manual):
        definition = """
        # the one that students enroll in
        ---
        -> Term
        """

    class Tables:
        pass

    Tables.schema, Tables.Term, Tables.CurrentTerm = schema, Term, CurrentTerm
    Term.insert([(2020, "Spring"), (2020, "Fall"), (2021, "Spring")])
    return Tables


def fall(uni):
    uni.CurrentTerm.insert1({"term_year": 2020, "term": "Fall"})
    return uni.CurrentTerm


def test_heading(uni):
    assert uni.CurrentTerm.primary_key == []
    assert uni.CurrentTerm.heading.names == ["term_year", "term"]
    assert uni.CurrentTerm.heading.secondary_attributes == ["term_year", "term"]
    assert repr(uni.CurrentTerm.heading).splitlines()[:2] == [
        "# the one that students enroll in",
        "---",
    ]


def test_at_most_one_entity(uni):
    table = fall(uni)
    with pytest.raises(dj.errors.DuplicateError, match=r"at most one entity"):
        table.insert1((2021, "Spring"))
    with pytest.raises(dj.errors.DuplicateError, match=r"at most one entity"):
        uni.CurrentTerm.insert([(2021, "Spring"), (2020, "Fall")])
    assert table.fetch1() == {"term_year": 2020, "term": "Fall"}


def test_two_at_once_are_refused(uni):
    with pytest.raises(dj.errors.DuplicateError, match=r"at most one entity"):
        uni.CurrentTerm.insert([(2021, "Spring"), (2020, "Fall")])
    assert len(uni.CurrentTerm()) == 0


def test_skip_and_replace(uni):
    table = fall(uni)
    table.insert1((2021, "Spring"), skip_duplicates=True)
    assert table.fetch1("term_year") == 2020
    table.insert1((2021, "Spring"), replace=True)
    assert table.fetch1() == {"term_year": 2021, "term": "Spring"}


def test_update(uni):
    fall(uni).update1({"term": "Spring"})
    assert uni.CurrentTerm.fetch1("term") == "Spring"
    uni.CurrentTerm.delete(safemode=False)
    with pytest.raises(dj.DataJointError, match="has no entity"):
        uni.CurrentTerm.update1({"term": "Spring"})


def test_parents_are_required(uni):
    with pytest.raises(dj.errors.IntegrityError, match=r"term_year = 1999"):
        uni.CurrentTerm.insert1((1999, "Fall"))


def test_fetch(uni):
    assert uni.CurrentTerm.fetch("KEY") == []
    assert uni.CurrentTerm.fetch(as_dict=True) == []
    fall(uni)
    assert uni.CurrentTerm.fetch("KEY") == [{}]
    assert uni.CurrentTerm.fetch1("KEY") == {}
    assert uni.CurrentTerm.fetch(as_dict=True) == [{"term_year": 2020, "term": "Fall"}]
    assert uni.CurrentTerm.fetch().dtype.names == ("term_year", "term")
    assert list(uni.CurrentTerm.fetch("term")) == ["Fall"]
    frame = uni.CurrentTerm.fetch(format="frame")
    assert frame.to_dict("records") == [{"term_year": 2020, "term": "Fall"}]
    assert list(uni.CurrentTerm) == [{"term_year": 2020, "term": "Fall"}]
    assert uni.CurrentTerm.proj().fetch(as_dict=True) == [{}]
    years, keys = uni.CurrentTerm.fetch("term_year", dj.key)
    assert (list(years), keys) == ([2020], [{}])


def test_truth_and_length(uni):
    assert (len(uni.CurrentTerm()), bool(uni.CurrentTerm())) == (0, False)
    fall(uni)
    assert (len(uni.CurrentTerm()), bool(uni.CurrentTerm())) == (1, True)
    assert len(uni.CurrentTerm & {"term": "Spring"}) == 0
    assert {"term": "Fall"} in uni.CurrentTerm()


def test_restrictions(uni):
    assert len(uni.Term & uni.CurrentTerm) == 0
    assert len(uni.Term - uni.CurrentTerm) == 3
    fall(uni)
    assert (uni.Term & uni.CurrentTerm).fetch("KEY") == [{"term_year": 2020, "term": "Fall"}]
    assert len(uni.Term - uni.CurrentTerm) == 2
    assert len(uni.CurrentTerm & uni.Term) == 1
    assert len(uni.CurrentTerm & {}) == 1
    assert len(uni.CurrentTerm & "term_year = 2020") == 1
    assert len(uni.CurrentTerm & dj.Top(5)) == 1
    # no attribute in common: all or nothing
    assert len(uni.Term & uni.CurrentTerm.proj()) == 3
    uni.CurrentTerm.delete(safemode=False)
    assert len(uni.Term & uni.CurrentTerm.proj()) == 0
    assert len(uni.Term - uni.CurrentTerm.proj()) == 3


def test_operators(uni):
    fall(uni)
    assert (uni.Term * uni.CurrentTerm).primary_key == ["term_year", "term"]
    assert len(uni.Term * uni.CurrentTerm) == 1
    assert (uni.CurrentTerm * uni.CurrentTerm.proj()).primary_key == []
    renamed = uni.CurrentTerm.proj(now="term_year", next_year="term_year + 1")
    assert renamed.fetch1() == {"now": 2020, "next_year": 2021}
    assert len(uni.Term * uni.CurrentTerm.proj(now="term_year")) == 3
    assert (uni.CurrentTerm.proj() + uni.CurrentTerm.proj()).fetch(as_dict=True) == [{}]
    assert (dj.U("term_year") & uni.CurrentTerm).fetch("KEY") == [{"term_year": 2020}]
    assert (dj.U() & uni.CurrentTerm).fetch(as_dict=True) == [{}]
    counts = dj.U().aggr(uni.CurrentTerm, n="count(*)")
    assert counts.fetch1("n") == 1


def test_aggregation_has_an_entity_only_where_the_table_has_one(uni):
    count = uni.CurrentTerm.proj().aggr(uni.Term, n="count(*)")
    kept = uni.CurrentTerm.proj().aggr(uni.Term, n="count(term)", keep_all_rows=True)
    assert count.primary_key == []
    assert (len(count), bool(count), count.fetch(as_dict=True)) == (0, False, [])
    assert (len(kept), kept.fetch(as_dict=True)) == (0, [])
    fall(uni)
    assert count.fetch(as_dict=True) == [{"n": 3}]
    assert len(count) == 1
    assert kept.fetch(as_dict=True) == [{"n": 3}]
    assert (kept & "n > 5").fetch(as_dict=True) == []
    assert uni.CurrentTerm.aggr(uni.Term, ..., n="count(*)").fetch(as_dict=True) == [
        {"term_year": 2020, "term": "Fall", "n": 1}
    ]
    uni.Term.delete(safemode=False)
    assert len(kept) == 0


def test_preview(uni):
    assert "Total: 0" in repr(uni.CurrentTerm())
    fall(uni)
    assert repr(uni.CurrentTerm()).splitlines()[0].split() == ["term_year", "term"]
    assert "2020" in repr(uni.CurrentTerm())
    assert "2020" in uni.CurrentTerm()._repr_html_()


def test_deletes_cascade_through_it(uni):
    fall(uni)
    (uni.Term & "term = 'Spring'").delete(safemode=False)
    assert len(uni.CurrentTerm()) == 1
    (uni.Term & "term = 'Fall'").delete(safemode=False)
    assert len(uni.CurrentTerm()) == 0


def test_describe_and_the_graph(uni):
    context = {"Term": uni.Term}
    text = uni.CurrentTerm.describe(context)
    assert text == "# the one that students enroll in\n---\n-> Term\n"
    assert uni.Term.children() == [uni.CurrentTerm.full_table_name]
    again = type("Again", (dj.Manual,), {"definition": text})
    uni.schema(again, context=context)
    assert again.heading == uni.CurrentTerm.heading
    assert again.describe(context) == text


class TestReferences:
    """Foreign keys to a table that has no primary key."""

    @pytest.fixture
    def tables(self, uni):
        schema, CurrentTerm = uni.schema, uni.CurrentTerm  # noqa: F841 - for definitions

        @schema
        class Student(dj.Manual):
            definition = """
            student : int
            """

        @schema
        class Enrolled(dj.Manual):
            definition = """
            -> CurrentTerm
            -> Student
            """

        @schema
        class Note(dj.Manual):
            definition = """
            note : int
            ---
            -> CurrentTerm
            text = "" : varchar(20)
            """

        @schema
        class Summary(dj.Computed):
            definition = """
            -> CurrentTerm
            ---
            n : int
            at = CURRENT_TIMESTAMP : timestamp
            """

            def make(self, key):
                assert key == {}
                self.insert1({**key, "n": len(Enrolled & key)})

        uni.Student, uni.Enrolled, uni.Note, uni.Summary = Student, Enrolled, Note, Summary
        Student.insert([(1,), (2,)])
        return uni

    def test_headings(self, tables):
        assert CurrentHeading(tables.Enrolled) == (["student"], [])
        assert CurrentHeading(tables.Note) == (["note"], ["text"])
        assert CurrentHeading(tables.Summary) == ([], ["n", "at"])

    def test_the_entity_must_exist(self, tables):
        with pytest.raises(dj.errors.IntegrityError, match="which has no entity"):
            tables.Enrolled.insert1((1,))
        fall(tables)
        tables.Enrolled.insert([(1,), (2,)])
        tables.Note.insert1((1, "x"))
        assert tables.Enrolled.fetch("student").tolist() == [1, 2]
        assert tables.Note.fetch1() == {"note": 1, "text": "x"}

    def test_cascade(self, tables):
        fall(tables)
        tables.Enrolled.insert([(1,), (2,)])
        tables.Note.insert1((1, "x"))
        with pytest.raises(dj.errors.IntegrityError):
            tables.CurrentTerm.delete_quick()
        assert tables.CurrentTerm.delete(safemode=False) == 1
        assert (len(tables.Enrolled()), len(tables.Note())) == (0, 0)
        assert len(tables.Student()) == 2

    def test_populate(self, tables):
        tables.Summary.populate()
        assert len(tables.Summary()) == 0
        fall(tables)
        tables.Enrolled.insert1((1,))
        assert tables.Summary.progress(display=False) == (1, 1)
        assert tables.Summary.populate() == {"success_count": 1, "error_list": []}
        assert tables.Summary.fetch1("n") == 1
        assert isinstance(tables.Summary.fetch1("at"), dt.datetime)
        assert tables.Summary.populate()["success_count"] == 0

    def test_populate_with_reservations(self, tables):
        fall(tables)
        assert tables.Summary.populate(reserve_jobs=True)["success_count"] == 1
        assert len(tables.schema.jobs) == 0

    def test_describe(self, tables):
        context = {"CurrentTerm": tables.CurrentTerm, "Student": tables.Student}
        text = tables.Enrolled.describe(context)
        assert text.splitlines() == ["-> Student", "-> CurrentTerm", "---"]
        again = type("Again", (dj.Manual,), {"definition": text})
        tables.schema(again, context=context)
        assert again.spec.heading == tables.Enrolled.spec.heading
        assert set(again.spec.foreign_keys) == set(tables.Enrolled.spec.foreign_keys)
        assert again.describe(context) == text
        assert tables.CurrentTerm.full_table_name in tables.Enrolled.parents(primary=True)
        assert tables.CurrentTerm.full_table_name in tables.Note.parents(primary=False)

    def test_diagram(self, tables):
        graph = dj.Diagram(tables.schema).graph()
        parents = {tables.CurrentTerm.full_table_name, tables.Student.full_table_name}
        assert set(graph.predecessors(tables.Enrolled.full_table_name)) == parents

    def test_drop(self, tables):
        with dj.config(safemode=False):
            tables.CurrentTerm.drop()
        assert tables.schema.list_tables() == ["student", "term"]


def CurrentHeading(table):
    return table.heading.primary_key, table.heading.secondary_attributes


def test_without_references_and_with_values_of_all_kinds(make_schema):
    schema = make_schema()

    @schema
    class Settings(dj.Lookup):
        definition = """
        ---
        name = "lab" : varchar(20)
        threshold = 0.5 : double
        mask = null : longblob
        """
        contents = ({"name": "here", "threshold": 1.5, "mask": np.arange(3)},)

    assert Settings.fetch1("name", "threshold") == ("here", 1.5)
    assert Settings.fetch1("mask").tolist() == [0, 1, 2]
    Settings.delete(safemode=False)
    Settings.insert1({})
    assert Settings.fetch1() == {"name": "lab", "threshold": 0.5, "mask": None}
    Settings.insert1({"name": "there"}, replace=True)
    assert Settings.fetch1("name") == "there"


def test_parts_of_a_table_with_one_entity(make_schema):
    schema = make_schema()

    @schema
    class Rig(dj.Manual):
        definition = """
        ---
        name : varchar(20)
        """

        class Lens(dj.Part):
            definition = """
            -> master
            lens : int
            """

    Rig.insert1({"name": "a"})
    Rig.Lens.insert([(1,), (2,)])
    assert len(Rig * Rig.Lens) == 2
    with pytest.raises(dj.DataJointError):
        Rig.Lens.delete(safemode=False)
    assert Rig.delete(safemode=False) == 1
    assert len(Rig.Lens()) == 0


def test_nullable_reference_is_refused(uni):
    bad = type("Bad", (dj.Manual,), {"definition": "id : int\n---\n-> [nullable] CurrentTerm"})
    with pytest.raises(dj.DataJointError, match="cannot be nullable") as error:
        uni.schema(bad, context={"CurrentTerm": uni.CurrentTerm})
    assert "-> [nullable] CurrentTerm\n       ^" in str(error.value)
