"""Which queries can be matched: manual 8.5.3, and 8.13.1 for the check of lineage."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import datajoint as dj
from datajoint.condition import as_expression
from datajoint.errors import DataJointError

from .relations import assert_rows


@pytest.fixture
def lab(schema):
    """Tables with attributes of the same names, some of which come from the same table."""

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        name : varchar(8)
        """

    @schema
    class Room(dj.Manual):
        definition = "room : int"

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        date : date
        ---
        -> Room
        note = "" : varchar(8)
        """

    @schema
    class Weight(dj.Manual):
        definition = """
        -> Subject
        date : date
        ---
        weight : float
        note = "" : varchar(8)
        """

    @schema
    class Scan(dj.Manual):
        definition = """
        -> Session
        scan : int
        ---
        depth : float
        """

    @schema
    class Movie(dj.Manual):
        definition = """
        -> Session.proj(day='date')
        movie : int
        """

    @schema
    class Clip(dj.Manual):
        definition = """
        -> Movie
        clip : int
        """

    @schema
    class Day(dj.Manual):
        definition = "day : date"

    @schema
    class Left(dj.Manual):
        definition = """
        -> Session
        -> Room
        """

    @schema
    class Both(dj.Manual):
        definition = """
        -> Left
        -> Scan
        """

    @schema
    class Meeting(dj.Manual):
        definition = """
        -> Session
        -> Weight
        """

    @schema
    class Node(dj.Manual):
        definition = """
        node : int
        ---
        -> [nullable] Node.proj(parent='node')
        """

    @schema
    class Nested(dj.Manual):
        definition = """
        -> Node.proj(parent='node')
        """

    days = [(1, "2024-01-01"), (2, "2024-01-02")]
    Subject.insert([(1, "Ada"), (2, "Bob")])
    Room.insert1((7,))
    Session.insert((*day, 7, "s") for day in days)
    Weight.insert((*day, 20, "w") for day in days)
    Scan.insert((*day, 1, 100) for day in days)
    Movie.insert((*day, 1) for day in days)
    Clip.insert((*day, 1, 1) for day in days)
    Day.insert((day,) for _, day in days)
    Left.insert((*day, 7) for day in days)
    Both.insert((*day, 7, 1) for day in days)
    Meeting.insert(days)
    Node.insert([(1, None), (2, 1)])
    Nested.insert1((1,))
    return SimpleNamespace(**locals())


@pytest.fixture
def by_lineage():
    """Check the lineage during the test."""
    with dj.config(join_check="lineage"):
        yield


def weights(lab):
    """Weights, with nothing but the key and the weight."""
    return lab.Weight.proj("weight")


# What matches by lineage: left and right operands.
MATCHING = {
    "parent": lambda lab: (lab.Scan, lab.Session),
    "grandparent": lambda lab: (lab.Scan, lab.Subject),
    "siblings": lambda lab: (lab.Left, lab.Scan),
    "common grandparent": lambda lab: (lab.Session.proj(), lab.Weight.proj(day="date")),
    "renamed by foreign keys": lambda lab: (lab.Clip, lab.Movie),
    "renamed by a foreign key and by proj": lambda lab: (lab.Clip, lab.Session.proj(day="date")),
    "renamed twice": lambda lab: (lab.Scan.proj(old="date").proj(day="old"), lab.Movie),
    "a secondary foreign key": lambda lab: (lab.Session, lab.Room),
    "a diamond": lambda lab: (lab.Both, lab.Scan * lab.Left),
    "one of two origins": lambda lab: (lab.Meeting, lab.Weight),
    "the other of two origins": lambda lab: (lab.Meeting, lab.Scan),
    "both of a join": lambda lab: (lab.Meeting.proj() * lab.Weight.proj(), lab.Session),
    "itself": lambda lab: (lab.Scan.proj(), lab.Scan),
    "self-reference": lambda lab: (lab.Node, lab.Node.proj(parent="node", grand="parent")),
    "self-reference and child": lambda lab: (lab.Node, lab.Nested),
    "nothing in common": lambda lab: (lab.Room, lab.Subject),
    "aggregation": lambda lab: (lab.Session.aggr(lab.Scan, n="count(*)"), lab.Scan),
    "restriction": lambda lab: (lab.Session & "note = 's'", lab.Scan & {"scan": 1}),
    "slice": lambda lab: (lab.Session & dj.Top(1), lab.Scan),
    "union": lambda lab: (lab.Session.proj() + lab.Session.proj("room"), lab.Scan),
    "left join": lambda lab: (lab.Subject.join(lab.Session.proj(), left=True), lab.Scan),
    "universal set": lambda lab: (dj.U("date") & lab.Session, lab.Weight),
    "universal set of a key": lambda lab: (dj.U("subject", "date") & lab.Session, weights(lab)),
    "universal set on the right": lambda lab: (weights(lab), dj.U("date") & lab.Session),
    "renamed universal set": lambda lab: ((dj.U("date") & lab.Session).proj(day="date"), lab.Day),
    "aggregated universal set": lambda lab: (
        dj.U("date").aggr(lab.Session, n="count(*)"),
        lab.Weight,
    ),
    "joined universal set": lambda lab: (dj.U("date") * lab.Session.proj(), weights(lab)),
    "universal set of what is computed": lambda lab: (
        dj.U("room") & lab.Scan.proj(room="scan + 6"),
        lab.Room,
    ),
}

# What does not: left and right operands, the attribute, and where it comes from in each.
DIFFERENT = {
    "parent and namesake": lambda lab: (
        (lab.Scan, weights(lab)),
        "date",
        (lab.Session, lab.Weight),
    ),
    "renamed by a foreign key": lambda lab: (
        (lab.Movie, lab.Day),
        "day",
        ("date", lab.Session, lab.Day),
    ),
    "renamed by proj": lambda lab: (
        (lab.Subject.proj(room="subject"), lab.Room),
        "room",
        ("subject", lab.Subject, lab.Room),
    ),
    "in a list": lambda lab: (
        (lab.Scan, [{"scan": 3}, weights(lab)]),
        "date",
        (lab.Session, lab.Weight),
    ),
    "secondary": lambda lab: (
        (lab.Subject, lab.Day.proj(name="day")),
        "name",
        (lab.Subject, "day", lab.Day),
    ),
    "restriction": lambda lab: (
        (lab.Scan & "scan > 0", weights(lab) & "weight > 0"),
        "date",
        (lab.Session, lab.Weight),
    ),
    "slice": lambda lab: (
        (lab.Scan & dj.Top(1), weights(lab) & dj.Top(1)),
        "date",
        (lab.Session, lab.Weight),
    ),
    "computed": lambda lab: (
        (lab.Scan.proj(room="scan + 6"), lab.Room),
        "room",
        (None, lab.Room),
    ),
    "aggregated": lambda lab: (
        (lab.Room, lab.Session.proj(kept="room").aggr(lab.Scan, room="count(*)")),
        "room",
        (lab.Room, None),
    ),
    "self-reference": lambda lab: (
        (lab.Nested, lab.Room.proj(parent="room")),
        "parent",
        ("node", lab.Node, "room", lab.Room),
    ),
    "both of a join": lambda lab: (
        (lab.Meeting.proj() * lab.Weight.proj(), lab.Day.proj(date="day")),
        "date",
        (lab.Session, lab.Weight, "day", lab.Day),
    ),
    "left join": lambda lab: (
        (lab.Session.proj().join(lab.Meeting.proj(), left=True), lab.Weight.proj()),
        "date",
        (lab.Session, lab.Weight),
    ),
    "union": lambda lab: (
        (lab.Session.proj() + lab.Meeting.proj(), lab.Weight.proj()),
        "date",
        (lab.Session, lab.Weight),
    ),
    "from a universal set, matched": lambda lab: (
        ((dj.U("date") & lab.Weight) * lab.Scan.proj(), weights(lab)),
        "date",
        (lab.Session, lab.Weight),
    ),
}


def said(name: str, origins: tuple) -> str:
    """Write where an attribute comes from, as the error does."""
    texts: list[str] = []
    of = ""
    for origin in origins:
        if isinstance(origin, str):
            of = f"`{origin}` of "
        else:
            texts.append("no table" if origin is None else of + origin.full_table_name)
            of = ""
    *left, right = texts
    left_text = " and ".join(sorted(left))
    return f"`{name}` comes from {left_text} on the left and from {right} on the right"


class TestLineage:
    @pytest.mark.parametrize("operands", MATCHING.values(), ids=MATCHING)
    def test_what_has_an_origin_in_common_matches(self, lab, operands):
        left, right = map(as_expression, operands(lab))
        unchecked = [left @ right, left.restrict(dj.Not(right), semantic_check=False)]
        expected = [sorted(map(repr, query.fetch("KEY"))) for query in unchecked]
        with dj.config(join_check="lineage"):
            checked = [left * right, left - right]
            assert [sorted(map(repr, q.fetch("KEY"))) for q in checked] == expected
            assert len(left & right) + len(left - right) == len(left)
            assert len(right & left) == len(right & [dj.Not(dj.Not(left))])

    @pytest.mark.parametrize("case", DIFFERENT.values(), ids=DIFFERENT)
    def test_what_has_none_does_not(self, lab, case):
        (left, right), name, origins = case(lab)
        operators = [
            lambda: left & right,
            lambda: left - right,
            lambda: left & [right],
            lambda: left & dj.Not(right),
            lambda: left & dj.AndList([right]),
        ]
        if not isinstance(right, list):
            operators += [
                lambda: left * right,
                lambda: left.join(right, left=True),
                lambda: left.aggr(right, n_of_them="count(*)"),
            ]
        for operator in operators:
            operator()
            with dj.config(join_check="lineage"), pytest.raises(DataJointError) as error:
                operator()
            assert said(name, origins) in str(error.value)
            assert "`join_check`" in str(error.value)

    def test_the_check_can_be_left_out(self, lab, by_lineage):
        weights_ = weights(lab)
        assert len(lab.Scan @ weights_) == len(lab.Scan() ^ weights_) == 2
        assert len(lab.Scan.join(weights_, semantic_check=False)) == 2
        assert len(lab.Scan().restrict(dj.Not(weights_), semantic_check=False)) == 0

    def test_the_error_is_whole(self, lab, by_lineage):
        with pytest.raises(DataJointError) as error:
            lab.Session.proj() * lab.Weight
        session, weight = lab.Session.full_table_name, lab.Weight.full_table_name
        assert str(error.value) == (
            f"Cannot match a query with {weight}: `date` comes from {session} on the left and from "
            f"{weight} on the right (setting `join_check`). If it means different things, "
            "rename it on the right, as in `.proj(..., other_date='date')`; to match on it all the "
            "same, use `@` instead of `*` and `^` instead of `&`"
        )

    def test_the_projection_that_it_writes_helps(self, lab, by_lineage):
        assert len(lab.Session.proj() * lab.Weight.proj(..., other_date="date")) == 2

    def test_attributes_that_are_secondary_in_both_are_refused_as_ever(self, lab, by_lineage):
        with pytest.raises(DataJointError, match="`note`: it is a secondary attribute of both"):
            lab.Session * lab.Session.proj(..., "-room")

    def test_union(self, lab):
        lab.Session.proj() + lab.Weight.proj()
        with dj.config(join_check="lineage"):
            with pytest.raises(DataJointError) as error:
                lab.Session.proj() + lab.Weight.proj()
            assert said("date", (lab.Session, lab.Weight)) in str(error.value)
            assert "`dj.U('subject', 'date') & query`" in str(error.value)
            universal = dj.U("subject", "date") & lab.Weight
            assert len(lab.Session.proj() + universal) == 2
            assert len(lab.Session.proj() + lab.Meeting) == 2

    def test_a_union_comes_from_what_both_have(self, lab, by_lineage):
        united = lab.Meeting.proj() + lab.Meeting.proj()
        assert len(united * lab.Weight.proj()) == len(united * lab.Session.proj()) == 2

    def test_populate_matches_by_names(self, lab, schema, by_lineage):
        @schema
        class Report(dj.Computed):
            definition = """
            -> lab.Session
            """
            key_source = lab.Weight.proj()

            def make(self, key):
                self.insert1(key)

        @schema
        class Summary(dj.Computed):
            definition = """
            -> lab.Session
            -> lab.Weight
            """

            def make(self, key):
                self.insert1(key)

        for table in (Report, Summary):
            assert table.populate()["success_count"] == 2
            assert table.progress(display=False) == (0, 2)
            assert table.populate()["success_count"] == 0

    def test_nothing_else_is_refused(self, lab, by_lineage):
        lab.Session.update1({"subject": 1, "date": "2024-01-01", "note": "x"})
        repr(lab.Meeting * lab.Session)
        (lab.Session & "subject = 1").delete()
        assert [len(table()) for table in (lab.Session, lab.Meeting, lab.Clip)] == [1, 1, 1]


class TestOtherSchemas:
    def test_schemas_that_were_never_activated(self, make_schema, connect, schema_name):
        first, second, third = make_schema(), make_schema("second"), make_schema("third")

        @first
        class Origin(dj.Manual):
            definition = "thing : int"

        @second
        class Middle(dj.Manual):
            definition = "-> Origin.proj(item='thing')"

        @third
        class One(dj.Manual):
            definition = "-> Middle"

        @third
        class Other(dj.Manual):
            definition = "-> Origin.proj(item='thing')"

        @third
        class Own(dj.Manual):
            definition = "item : int"

        connection = connect()
        one, other, own = (
            dj.FreeTable(connection, table.full_table_name) for table in (One, Other, Own)
        )
        with dj.config(join_check="lineage"):
            assert len(one * other) == 0
            with pytest.raises(DataJointError) as error:
                one * own
        assert said("item", ("thing", Origin, Own)) in str(error.value)

    def test_tables_that_refer_to_each_other_through_schemas(self, make_schema):
        first, second = make_schema(), make_schema("second")

        @first
        class A(dj.Manual):
            definition = "a : int"

        @second
        class B(dj.Manual):
            definition = """
            -> A
            b : int
            """

        @first
        class C(dj.Manual):
            definition = """
            -> B
            c : int
            """

        with dj.config(join_check="lineage"):
            assert (C * A).primary_key == ["a", "b", "c"]


class TestKeys:
    """The rule of the default setting."""

    def test_only_what_is_secondary_in_both_is_refused(self, lab):
        assert_rows(
            (lab.Session.proj() * lab.Weight.proj("weight")).proj("weight"),
            lab.Weight.proj("weight").fetch(as_dict=True),
        )
        with pytest.raises(DataJointError) as error:
            lab.Session * lab.Weight
        session, weight = lab.Session.full_table_name, lab.Weight.full_table_name
        assert str(error.value) == (
            f"Cannot match {session} with {weight} on `note`: it is a secondary attribute of both. "
            "If it means different things, rename it on the right, as in "
            "`.proj(..., other_note='note')`, or leave it out, as in `.proj(..., '-note')`; to "
            "match on it all the same, use `@` instead of `*` and `^` instead of `&`"
        )

    def test_what_it_writes_helps(self, lab):
        assert len(lab.Session * lab.Weight.proj(..., other_note="note")) == 2
        assert len(lab.Session * lab.Weight.proj(..., "-note")) == 2
        assert len(lab.Session @ lab.Weight) == len(lab.Session() ^ lab.Weight) == 0

    def test_several(self, lab):
        left = lab.Weight.proj(..., other_note="weight")
        with pytest.raises(DataJointError) as error:
            left & lab.Weight.proj(..., other_note="weight")
        text = str(error.value)
        assert "on `other_note`, `note`: they are secondary attributes of both" in text
        assert "rename them on the right" in text
        assert ".proj(..., other_other_note='other_note', other_other_other_note='note')" in text

    def test_setting(self):
        assert dj.config["join_check"] == "keys"
        with pytest.raises(DataJointError, match="one of 'keys', 'lineage'"):
            dj.config["join_check"] = "names"

    def test_the_catalog_is_not_asked(self, lab, connection, monkeypatch):
        left, right = lab.Scan.proj(), lab.Session.proj()
        monkeypatch.setattr(connection, "table", lambda name: pytest.fail("asked"))
        left * right
        left & right
