"""Queries that once went wrong, found by comparing random ones with a model of the algebra."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import datajoint as dj
from datajoint.errors import UnknownAttributeError

from .relations import assert_rows


@pytest.fixture
def tables(schema):
    """Mice with sessions, numbers, and a table without entities."""

    @schema
    class Mouse(dj.Manual):
        definition = """
        mouse : int
        ---
        weight = null : int
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Mouse
        session : int
        """

    @schema
    class Number(dj.Manual):
        definition = """
        n : int
        """

    @schema
    class Nothing(dj.Manual):
        definition = """
        nothing : int
        """

    Mouse.insert([(1, 20), (2, None), (3, 30)])
    Session.insert([(1, 1), (1, 2), (3, 1)])
    Number.insert([(1,), (20,)])
    return SimpleNamespace(Mouse=Mouse, Session=Session, Number=Number, Nothing=Nothing)


class TestTheGroupOfAll:
    def test_restricted_by_a_query_without_common_attributes(self, tables):
        count = dj.U().aggr(tables.Mouse, n="count(*)")
        assert_rows(count & tables.Mouse, [{"n": 3}])
        assert_rows(count & tables.Nothing, [])
        assert_rows(count - tables.Mouse, [])
        assert_rows(count.proj() & tables.Nothing, [])

    def test_restricted_by_a_constant_attribute(self, tables):
        count = dj.U().aggr(tables.Mouse, n="count(*)", one="1")
        assert_rows(count & "one = 1", [{"n": 3, "one": 1}])
        assert_rows(count & "one = 2", [])

    def test_united(self, tables):
        count = dj.U().aggr(tables.Mouse, n="count(*)")
        assert_rows((dj.U() & tables.Mouse) + count, [{"n": 3}])
        assert_rows((dj.U() & tables.Nothing) + count, [{"n": 3}])
        assert_rows(count + (count & "n < 3").proj(), [{"n": 3}])
        assert_rows((count & "n < 3").proj() + count, [{"n": 3}])

    def test_united_after_all_rows_are_kept(self, tables):
        everything = dj.U().aggr(tables.Mouse)
        kept = everything.aggr(tables.Nothing, one="1", keep_all_rows=True)
        assert_rows(kept + (kept & "one = 2").proj(), [{"one": 1}])


class TestRestrictionByAggregateOrQuery:
    def test_aggregates_match_attributes(self, tables):
        counts = tables.Mouse.aggr(tables.Session, n="count(*)", s="sum(session) - mouse")
        assert_rows(counts & ["s > 9", tables.Number], [{"mouse": 3, "n": 1, "s": -2}])
        assert_rows(counts - ["s > 9", tables.Number], [{"mouse": 1, "n": 2, "s": 2}])
        assert_rows(counts & ["n > 1", tables.Number.proj(s="n")], [{"mouse": 1, "n": 2, "s": 2}])

    def test_every_condition_is_checked(self, tables):
        for condition in (
            dj.AndList([False, "unknown = 1"]),
            [True, "unknown = 1"],
            dj.Not([(), {}, "unknown = 1"]),
        ):
            with pytest.raises(UnknownAttributeError, match="unknown"):
                tables.Mouse & condition


class TestTruth:
    def test_of_groups_passed_over(self, tables):
        counts = tables.Mouse.aggr(tables.Session)
        assert len(counts & dj.Top(1, offset=2)) == 0
        assert bool(counts & dj.Top(1, offset=2)) is False
        assert bool(counts & dj.Top(1, offset=1)) is True
        assert bool(dj.U("mouse") & tables.Session & dj.Top(1, offset=2)) is False


class TestExclusionByAJoinWithAnAggregation:
    def test_what_has_a_match_is_left_out(self, schema, backend):
        @schema
        class Parent(dj.Manual):
            definition = """
            name : varchar(4)
            ---
            a = null : int
            """

        @schema
        class Child(dj.Manual):
            definition = """
            a : int
            c : int
            """

        Parent.insert([("A", 0), ("b", None), ("", 1), ("Ab", 1)])
        Child.insert([(1, 0), (3, 2), (1, 2)])
        if backend == "mysql":  # with statistics, MariaDB chose a plan that was wrong
            for table in (Parent, Child):
                schema.connection.query(f"ANALYZE TABLE {table.full_table_name} PERSISTENT FOR ALL")
        matched = Parent.aggr(Child, "a") * Parent.proj()
        assert_rows(Parent.proj() - matched, [{"name": "A"}, {"name": "b"}])
        assert_rows(Parent.proj() & matched, [{"name": ""}, {"name": "Ab"}])


class TestConstants:
    def test_ordered_by(self, tables):
        query = tables.Mouse.proj(five="5", one="-1", text='"x"')
        order = ["five DESC", "one", "text", "mouse DESC"]
        assert query.fetch("mouse", order_by=order).tolist() == [3, 2, 1]
        assert len(query & dj.Top(2, "five")) == 2
        assert "ORDER BY" not in (query & dj.Top(2, ["five", "text"])).make_sql()
        assert "ORDER BY" in (query & dj.Top(2, "rand()")).make_sql()

    def test_grouped_by(self, tables):
        query = tables.Mouse.proj(five="5", text='"x"', none="NULL")
        values = {"five": 5, "text": "x", "none": None}
        universal = dj.U("five", "text", "none")
        assert_rows(universal & query, [values])
        assert_rows(universal & (query & False), [])
        assert_rows(universal.aggr(query, k="count(*)"), [{**values, "k": 3}])
        assert_rows(universal.aggr(query & False, k="count(*)"), [])
        assert_rows(universal.aggr(query), [values])

    def test_in_the_first_operand_of_an_aggregation(self, tables):
        query = tables.Mouse.proj(five="5").aggr(tables.Session, "five", n="count(*)")
        expected = [{"mouse": 1, "five": 5, "n": 2}, {"mouse": 3, "five": 5, "n": 1}]
        assert_rows(query, expected)
        assert_rows(query.proj() * query, expected)

    def test_missing_where_there_is_no_match(self, tables):
        sessions = tables.Session.proj(one="1", text='concat("x", "y")')
        query = tables.Mouse.aggr(sessions, m="max(one)", s="min(text)", keep_all_rows=True)
        assert_rows(
            query,
            [
                {"mouse": 1, "m": 1, "s": "xy"},
                {"mouse": 2, "m": None, "s": None},
                {"mouse": 3, "m": 1, "s": "xy"},
            ],
        )
        none = tables.Mouse.proj().join(sessions & False, left=True)
        assert_rows(dj.U().aggr(none, m="max(one)", n="count(one)"), [{"m": None, "n": 0}])

    def test_null_goes_with_any_type(self, tables):
        query = tables.Mouse.proj(n="NULL")
        none = [{"mouse": mouse, "n": None} for mouse in (1, 2, 3)]
        assert_rows(query & {"n": 1}, [])
        assert_rows(query - "n > 1", none)
        assert_rows(query * tables.Number, [])
        assert_rows(query - tables.Number, none)
        assert_rows(query.join(tables.Number, left=True), none)
        assert_rows((query & dj.Top(2)) - tables.Number, none[:2])


class TestUnionsWithNullInTheKey:
    def test_nulls_are_one_value(self, tables):
        weights = dj.U("weight") & tables.Mouse
        expected = [{"weight": w} for w in (20, None, 30)]
        assert_rows(weights + weights, expected)
        one = weights.proj(one="1")
        assert_rows(one + weights, [{**row, "one": 1} for row in expected])
        assert_rows(weights + one, [{**row, "one": 1} for row in expected])
        both = [{**row, "one": 1, "two": 2} for row in expected]
        assert_rows(one + weights.proj(two="2"), both)

    def test_some_of_the_key(self, tables):
        sessions = tables.Mouse.proj().join(tables.Session, left=True)
        assert sessions.primary_key == ["mouse", "session"]
        query = sessions.proj(one="1") + (sessions & "mouse < 3").proj(two="2")
        expected = [
            {"mouse": 1, "session": 1, "one": 1, "two": 2},
            {"mouse": 1, "session": 2, "one": 1, "two": 2},
            {"mouse": 2, "session": None, "one": 1, "two": 2},
            {"mouse": 3, "session": 1, "one": 1, "two": None},
        ]
        assert_rows(query, expected)
        assert_rows(query.proj(), [{n: row[n] for n in ("mouse", "session")} for row in expected])


class TestProjectionsOfUnions:
    def test_attributes_in_another_order(self, tables):
        union = tables.Session + (tables.Session & "mouse = 3").proj(one="1")
        query = dj.U("session", "mouse") & union
        assert query.heading.names == ["session", "mouse"]
        assert_rows(
            query,
            [
                {"mouse": 1, "session": 1},
                {"mouse": 1, "session": 2},
                {"mouse": 3, "session": 1},
            ],
        )

    def test_some_attributes(self, tables):
        sessions = (tables.Session + tables.Session.proj()).proj(double="2 * mouse")
        assert sorted(sessions.fetch("session")) == [1, 1, 2]
        rows = sessions.fetch("session", as_dict=True, order_by="mouse, session")
        assert rows == [{"session": 1}, {"session": 2}, {"session": 1}]
        mice = tables.Mouse + tables.Mouse.proj(one="1")
        assert_rows(mice.proj("one"), [{"mouse": m, "one": 1} for m in (1, 2, 3)])
