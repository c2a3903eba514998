"""Queries: manual chapter 8, and the rules about them beyond the manual."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import datajoint as dj
from datajoint.errors import DataJointError, UnknownAttributeError

from .relations import antijoin, assert_rows, bag, distinct, join, pick, semijoin

SECTION_KEY = ("dept", "course", "term_year", "term", "section")


def student_ids(query):
    return sorted(query.fetch("student_id").tolist())


def ids(rows):
    return sorted(row["student_id"] for row in rows)


# -- the tables of the figures of the manual ----------------------------------------------------


@pytest.fixture
def figures(schema):
    """The tables of the figures 4 to 9 of the manual."""

    @schema
    class Session(dj.Manual):
        definition = """
        session : int
        ---
        user : varchar(20)
        """

    @schema
    class Scan(dj.Manual):
        definition = """
        session : int
        scan : int
        ---
        duration : float
        """

    @schema
    class Experiment(dj.Manual):
        definition = """
        experiment : int
        scan : int
        ---
        duration : float
        """

    @schema
    class Nothing(dj.Manual):
        definition = """
        session : int
        scan : int
        """

    @schema
    class Unrelated(dj.Manual):
        definition = """
        thing : int
        """

    Session.insert([(1, "alice"), (2, "bob"), (3, "carol")])
    scans = [(1, 1, 33.0), (1, 2, 172.0), (3, 1, 180.0), (3, 2, 270.0), (3, 3, 180.0), (4, 1, 30.0)]
    Scan.insert(scans)
    Experiment.insert(scans)
    return SimpleNamespace(
        Session=Session, Scan=Scan, Experiment=Experiment, Nothing=Nothing, Unrelated=Unrelated
    )


class TestFigures:
    """Figures 4 to 9 and the tables of 8.7 and 8.10, as printed."""

    def test_restriction_by_a_table(self, figures):
        expected = [{"session": 1, "user": "alice"}, {"session": 3, "user": "carol"}]
        assert_rows(figures.Session & figures.Scan, expected)

    def test_exclusion_by_a_table(self, figures):
        assert_rows(figures.Session - figures.Scan, [{"session": 2, "user": "bob"}])

    def test_restriction_by_a_table_without_common_attributes(self, figures):
        assert (figures.Session & figures.Experiment).fetch("session").tolist() == [1, 2, 3]

    def test_exclusion_by_a_table_without_common_attributes(self, figures):
        assert_rows(figures.Session - figures.Experiment, [])

    @pytest.mark.parametrize("name", ["Nothing", "Unrelated"])
    def test_restriction_by_an_empty_table(self, figures, name):
        assert_rows(figures.Session & getattr(figures, name), [])

    @pytest.mark.parametrize("name", ["Nothing", "Unrelated"])
    def test_exclusion_by_an_empty_table(self, figures, name):
        query = figures.Session - getattr(figures, name)
        assert sorted(query.fetch("session").tolist()) == [1, 2, 3]

    def test_restriction_and_exclusion_of_an_empty_table(self, figures):
        assert_rows(figures.Nothing & figures.Session, [])
        assert_rows(figures.Nothing - figures.Session, [])

    def test_restriction_by_a_query(self, figures):
        query = figures.Session & 'user = "alice"'
        expected = [
            {"session": 1, "scan": 1, "duration": 33.0},
            {"session": 1, "scan": 2, "duration": 172.0},
        ]
        assert_rows(figures.Scan & query, expected)
        assert (figures.Scan - query).fetch("session").tolist() == [3, 3, 3, 4]

    def test_string_examples(self, figures):
        assert_rows(figures.Session & 'user = "alice"', [{"session": 1, "user": "alice"}])
        assert len(figures.Experiment & "duration >= 60") == 4

    def test_join_with_common_attributes(self, figures):
        expected = [
            {"session": 1, "scan": 1, "user": "alice", "duration": 33.0},
            {"session": 1, "scan": 2, "user": "alice", "duration": 172.0},
            {"session": 3, "scan": 1, "user": "carol", "duration": 180.0},
            {"session": 3, "scan": 2, "user": "carol", "duration": 270.0},
            {"session": 3, "scan": 3, "user": "carol", "duration": 180.0},
        ]
        query = figures.Session * figures.Scan
        assert_rows(query, expected)
        assert sorted(query.primary_key) == ["scan", "session"]

    def test_join_without_common_attributes_is_the_cross_product(self, schema):
        @schema
        class Scan(dj.Manual):
            definition = """
            scan : int
            ---
            image : varchar(10)
            """

        @schema
        class Filter(dj.Manual):
            definition = "filter : varchar(10)"

        Scan.insert([(i, f"image{i}") for i in (1, 2, 3)])
        Filter.insert([("canny",), ("DoG",)])
        expected = [
            {"scan": i, "image": f"image{i}", "filter": name}
            for i in (1, 2, 3)
            for name in ("canny", "DoG")
        ]
        assert_rows(Scan * Filter, expected)
        assert (Scan * Filter).primary_key == ["scan", "filter"]

    def test_join_on_a_secondary_attribute(self, schema):
        @schema
        class Signal(dj.Manual):
            definition = """
            id : int
            ---
            signal : varchar(10)
            filter : int
            """

        @schema
        class Filter(dj.Manual):
            definition = """
            filter : int
            ---
            low : float
            high : float
            """

        Signal.insert([(1, "signal1", 1), (2, "signal2", 2), (3, "signal3", 3), (4, "signal4", 1)])
        Filter.insert([(1, 3.0, 120), (2, 1.0, 600)])
        expected = [
            {"id": 1, "filter": 1, "signal": "signal1", "low": 3.0, "high": 120.0},
            {"id": 2, "filter": 2, "signal": "signal2", "low": 1.0, "high": 600.0},
            {"id": 4, "filter": 1, "signal": "signal4", "low": 3.0, "high": 120.0},
        ]
        assert_rows(Signal * Filter, expected)
        assert (Signal * Filter).primary_key == ["id", "filter"]

    def test_renaming_yields_all_ordered_pairs(self, schema):
        @schema
        class Cell(dj.Manual):
            definition = """
            slice : int
            cell : int
            """

        Cell.insert([(1, 1), (1, 2), (2, 6), (2, 7), (2, 8)])
        cells = {1: (1, 2), 2: (6, 7, 8)}
        expected = [
            {"slice": s, "cell": a, "other": b} for s in cells for a in cells[s] for b in cells[s]
        ]
        assert_rows(Cell * Cell.proj(other="cell"), expected)
        assert_rows(Cell * Cell, [{"slice": s, "cell": c} for s in cells for c in cells[s]])

    def test_depth_example(self, schema):
        @schema
        class Tab(dj.Manual):
            definition = """
            mouse : int
            scan : int
            ---
            surface_z : int
            scan_z : int
            """

        Tab.insert([(1, 1, 100, 700), (1, 2, 100, 600), (2, 1, -50, 451), (2, 2, 0, 3)])
        query = Tab.proj(depth="scan_z-surface_z") & "depth > 500"
        assert_rows(
            query, [{"mouse": 1, "scan": 1, "depth": 600}, {"mouse": 2, "scan": 1, "depth": 501}]
        )
        assert query.primary_key == ["mouse", "scan"]


# -- the dict and the string --------------------------------------------------------------------


class TestRestrictionByMapping:
    def test_equality(self, uni, data):
        expected = [s for s in data.students if s["home_city"] == "Derry" and s["sex"] == "F"]
        assert expected
        assert_rows(uni.Student & {"home_city": "Derry", "sex": "F"}, expected)

    def test_unknown_keys_are_ignored(self, uni, data):
        expected = [s for s in data.students if s["sex"] == "M"]
        assert_rows(uni.Student & {"sex": "M", "session_dat": "2018-01-01"}, expected)

    def test_no_known_key_restricts_nothing(self, uni, data):
        assert_rows(uni.Student & {"session_dat": "2018-01-01"}, data.students)
        assert_rows(uni.Student - {"session_dat": "2018-01-01"}, [])

    def test_empty_mapping(self, uni, data):
        assert_rows(uni.Student & {}, data.students)
        assert_rows(uni.Student - {}, [])

    def test_strict_restrictions_report_the_typo(self, uni):
        with dj.config(strict_restrictions="error"), pytest.raises(DataJointError) as error:
            uni.Student & {"home_cty": "Derry"}
        assert "home_cty" in str(error.value)
        assert "home_city" in str(error.value)

    @pytest.mark.parametrize(
        "key",
        [
            {"credits": Decimal("3.0")},
            {"credits": "3"},
            {"credits": 3},
            {"credits": 3.0},
            {"credits": np.float64(3)},
            {"credits": np.int64(3)},
        ],
        ids=repr,
    )
    def test_decimal_values_compare_as_numbers(self, uni, data, key):
        assert_rows(uni.Course & key, [c for c in data.courses if c["credits"] == 3])

    @pytest.mark.parametrize("course", [1010, "1010", 1010.0, np.int32(1010), Decimal(1010)])
    def test_integer_values(self, uni, data, course):
        assert_rows(
            uni.Course & {"course": course}, [c for c in data.courses if c["course"] == 1010]
        )

    @pytest.mark.parametrize(
        "convert",
        [
            str,
            lambda d: d,
            lambda d: np.datetime64(d),
            lambda d: dt.datetime(d.year, d.month, d.day),
        ],
        ids=["str", "date", "datetime64", "datetime"],
    )
    def test_dates(self, uni, data, convert):
        day = data.students[5]["date_of_birth"]
        expected = [s for s in data.students if s["date_of_birth"] == day]
        assert_rows(uni.Student & {"date_of_birth": convert(day)}, expected)

    def test_what_insert_would_cut_off_matches_nothing(self, schema):
        @schema
        class Moment(dj.Manual):
            definition = """
            id : int
            ---
            d : date
            t0 : datetime
            t3 : datetime(3)
            ts : timestamp
            h : time
            """

        moment = dt.datetime(2020, 1, 2, 3, 4, 5)
        Moment.insert1((1, moment, moment, moment, moment, moment.time()))
        late = moment.replace(microsecond=400)
        for kept, none in (
            ({"d": dt.datetime(2020, 1, 2)}, {"d": moment}),
            ({"d": "2020-01-02 00:00:00"}, {"d": "2020-01-02 03:04:05"}),
            ({"t0": moment}, {"t0": late}),
            ({"t0": "2020-01-02 03:04:05.0"}, {"t0": "2020-01-02 03:04:05.4"}),
            ({"t3": moment}, {"t3": late}),
            ({"ts": pd.Timestamp(moment)}, {"ts": pd.Timestamp(late)}),
            ({"h": moment.time()}, {"h": late.time()}),
            ({"h": "03:04:05"}, {"h": "03:04:05.4"}),
        ):
            assert len(Moment & kept) == len(Moment - none) == 1, kept
            assert len(Moment & none) == len(Moment & [none, {**none, "id": 1}]) == 0, none

    def test_record_of_a_structured_array(self, uni, data):
        record = np.array([("CS", 2010)], dtype=[("dept", "O"), ("course", int)])[0]
        expected = [c for c in data.courses if c["dept"] == "CS" and c["course"] == 2010]
        assert_rows(uni.Course & record, expected)

    @pytest.mark.parametrize(
        "last_name", ["O'Neil", 'de "Ville"', "Back\\slash", "100%", "Óskars", "%", "\\", '"', "'"]
    )
    def test_special_characters_match_only_themselves(self, uni, data, last_name):
        expected = [s for s in data.students if s["last_name"] == last_name]
        assert_rows(uni.Student & {"last_name": last_name}, expected)
        others = [s for s in data.students if s["last_name"] != last_name]
        assert_rows(uni.Student - {"last_name": last_name}, others)

    @pytest.mark.parametrize(
        "attack",
        [
            'x" OR "1"="1',
            "x' OR '1'='1",
            'x"; DROP TABLE student; --',
            "x'); DELETE FROM student; --",
            "\\' OR 1=1 -- ",
            '\\" OR 1=1 -- ',
            "%s",
            "%(name)s",
            "?",
            "{}",
            ":1",
        ],
    )
    def test_values_never_inject(self, uni, data, attack):
        assert_rows(uni.Student & {"last_name": attack}, [])
        assert_rows(uni.Student & [{"last_name": attack}, {"first_name": attack}], [])
        assert_rows(uni.Student - {"last_name": attack}, data.students)

    def test_column_names_are_not_sql(self, uni, data):
        assert_rows(uni.Student & {'last_name" = "x" OR 1=1 -- ': "x"}, data.students)


class TestRestrictionByString:
    @pytest.mark.parametrize(
        ("condition", "test"),
        [
            ('home_state = "TX"', lambda s: s["home_state"] == "TX"),
            ("home_state = 'TX'", lambda s: s["home_state"] == "TX"),
            ('home_state != "TX"', lambda s: s["home_state"] != "TX"),
            ("home_state <> 'TX'", lambda s: s["home_state"] != "TX"),
            ("student_id < 1100", lambda s: s["student_id"] < 1100),
            ("student_id between 1100 and 1200", lambda s: 1100 <= s["student_id"] <= 1200),
            ("student_id in (1007, 1014, 5)", lambda s: s["student_id"] in (1007, 1014)),
            ("student_id not in (1007, 1014)", lambda s: s["student_id"] not in (1007, 1014)),
            ("student_id % 2 = 0", lambda s: s["student_id"] % 2 == 0),
            ("student_id = '1007'", lambda s: s["student_id"] == 1007),
            ('home_address like "%Ring%"', lambda s: "Ring" in s["home_address"]),
            ('last_name like "100\\%"', lambda s: s["last_name"] == "100%"),
            ('first_name like "_ob"', lambda s: s["first_name"] == "Bob"),
            ('not home_state = "TX"', lambda s: s["home_state"] != "TX"),
            ('date_of_birth >= "1990-01-01"', lambda s: s["date_of_birth"] >= dt.date(1990, 1, 1)),
            ("year(date_of_birth) = 1990", lambda s: s["date_of_birth"].year == 1990),
            ("month(date_of_birth) = 2", lambda s: s["date_of_birth"].month == 2),
            (
                'concat(home_city, ", ", home_state) = "Derry, ME"',
                lambda s: s["home_city"] == "Derry",
            ),
            ("first_name is null", lambda s: False),
            ("first_name is not null", lambda s: True),
            (
                '(sex = "F" or sex = "U") and student_id > 2000',
                lambda s: s["sex"] in "FU" and s["student_id"] > 2000,
            ),
            ("`sex` = 'F'", lambda s: s["sex"] == "F"),
            ('last_name = "O\'Neil"', lambda s: s["last_name"] == "O'Neil"),
            ("last_name = 'O''Neil'", lambda s: s["last_name"] == "O'Neil"),
            ("last_name = 'O\\'Neil'", lambda s: s["last_name"] == "O'Neil"),
            ("last_name = 'de \"Ville\"'", lambda s: s["last_name"] == 'de "Ville"'),
            ('last_name = "100%"', lambda s: s["last_name"] == "100%"),
            ("true", lambda s: True),
            ("1 = 0", lambda s: False),
        ],
    )
    def test_condition_and_its_complement(self, uni, data, condition, test):
        assert_rows(uni.Student & condition, [s for s in data.students if test(s)])
        assert_rows(uni.Student - condition, [s for s in data.students if not test(s)])
        assert_rows(uni.Student & dj.Not(condition), [s for s in data.students if not test(s)])

    def test_python_tuple_as_in_list(self, uni, data):
        cities = ("Derry", "Salem")
        expected = [s for s in data.students if s["home_city"] in cities]
        assert_rows(uni.Student & f"home_city in {cities}", expected)

    def test_unknown_attribute_is_an_error_at_the_operator(self, uni):
        with pytest.raises(UnknownAttributeError) as error:
            uni.Student & 'home_cty = "Derry"'
        assert "`home_cty`" in str(error.value)
        assert "did you mean `home_city`" in str(error.value)

    @pytest.mark.parametrize("condition", ["student_id <", "student_id = (1", "", "sex = 'F"])
    def test_malformed_condition(self, uni, condition):
        with pytest.raises(DataJointError):
            (uni.Student & condition).fetch()

    def test_string_functions_over_numbers_compare_as_in_mysql(self, uni, data):
        expected = [c for c in data.courses if c["credits"] > 2]
        assert_rows(uni.Course & "credits > 2", expected)
        assert_rows(uni.Course & "credits > '2'", expected)


# -- collections and logic ----------------------------------------------------------------------


class TestRestrictionByCollection:
    CONDITIONS = ('first_name = "Aaron"', 'last_name = "Aaronson"')

    def expected(self, data):
        return [
            s for s in data.students if s["first_name"] == "Aaron" or s["last_name"] == "Aaronson"
        ]

    @pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
    def test_any_of_strings(self, uni, data, kind):
        expected = self.expected(data)
        assert 0 < len(expected) < len(data.students)
        assert_rows(uni.Student() & kind(self.CONDITIONS), expected)
        assert_rows(uni.Student() - kind(self.CONDITIONS), antijoin(data.students, expected))

    def test_data_frame_rows_are_alternatives(self, uni, data):
        frame = pd.DataFrame({"first_name": ["Aaron", "Bob"], "last_name": ["Aaronson", "Paul"]})
        pairs = {("Aaron", "Aaronson"), ("Bob", "Paul")}
        expected = [s for s in data.students if (s["first_name"], s["last_name"]) in pairs]
        assert_rows(uni.Student & frame, expected)
        assert_rows(uni.Student - frame, antijoin(data.students, expected))

    def test_data_frame_with_named_index(self, uni, data):
        frame = uni.Student.fetch(format="frame").iloc[[0, 3, 8]]
        assert_rows(
            uni.Student.proj() & frame, pick([data.students[i] for i in (0, 3, 8)], "student_id")
        )

    def test_structured_array_rows_are_alternatives(self, uni, data):
        rows = np.array([("CS", 1010), ("MATH", 2010)], dtype=[("dept", "O"), ("course", int)])
        pairs = {("CS", 1010), ("MATH", 2010)}
        expected = [c for c in data.courses if (c["dept"], c["course"]) in pairs]
        assert len(expected) == 2
        assert_rows(uni.Course & rows, expected)
        assert_rows(uni.Course - rows, antijoin(data.courses, expected))

    def test_fetched_entities_restrict(self, uni, data):
        some = (uni.Course & 'dept = "CS"').fetch()
        assert_rows(uni.Course & some, [c for c in data.courses if c["dept"] == "CS"])

    def test_fetched_keys_restrict(self, uni, data):
        keys = (uni.Student & "student_id < 1050").fetch("KEY")
        expected = [s for s in data.students if s["student_id"] < 1050]
        assert_rows(uni.Student & keys, expected)
        assert_rows(uni.Enroll & keys, [e for e in data.enrolments if e["student_id"] < 1050])

    def test_thousands_of_keys(self, uni, data):
        keys = [{"student_id": i} for i in range(20_000)]
        assert_rows(uni.Student & keys, data.students)
        assert_rows(uni.Student - keys, [])

    @pytest.mark.parametrize(
        ("type_", "values"),
        [
            ("int", [1, -2, 3]),
            ("bigint unsigned", [0, 2**63 - 1, 5]),
            ("bool", [0, 1]),
            ("float", [0.1, -1.5e10, 3.0]),
            ("double", [0.1, 1e300, 3.0]),
            ("decimal(6,2)", [Decimal("0.10"), Decimal("-12.50"), Decimal("3.00")]),
            ("varchar(20)", ["it's", "Zoë", "100%s"]),
            ("char(4)", ["a", "bc", "d"]),
            ("enum('x','y','z')", ["x", "y", "z"]),
            ("date", [dt.date(2020, 1, 2), dt.date(1999, 12, 31), dt.date(2020, 1, 3)]),
            (
                "datetime(3)",
                [dt.datetime(2020, 1, 2, 3, 4, 5, 678000), dt.datetime(1999, 12, 31)],
            ),
            ("timestamp", [dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(1999, 12, 31)]),
            ("time", [dt.timedelta(hours=30), dt.timedelta(minutes=-5), dt.timedelta()]),
            ("year", [1999, 2020, 1901]),
            ("uuid", [uuid.UUID(int=1), uuid.UUID(int=2**127), uuid.UUID(int=5)]),
        ],
    )
    def test_keys_of_every_type(self, schema, type_, values):
        """Each alone and each with another attribute: the second of the values is left out."""

        @schema
        class Valued(dj.Manual):
            definition = f"""
            n : int
            ---
            x : {type_}
            """

        Valued.insert(enumerate(values))
        chosen = [values[0], *values[2:], values[0]]
        expected = [{"n": n, "x": x} for n, x in enumerate(values) if n != 1]
        for condition in (
            [{"x": x} for x in chosen],
            {"x": chosen},
            [{"n": values.index(x), "x": x, "other": 3} for x in chosen],
            pd.DataFrame({"x": chosen}),
        ):
            assert_rows(Valued & condition, expected)
            assert_rows(Valued - condition, [{"n": 1, "x": values[1]}])

    def test_mixed_members(self, uni, data):
        members = [{"student_id": 1000}, "student_id = 1007", uni.Student & "student_id = 1014"]
        assert student_ids(uni.Student & [members[0], members[1], members[2].proj()]) == [
            1000,
            1007,
            1014,
        ]

    def test_nested_lists(self, uni):
        condition = ["student_id = 1000", ["student_id = 1007", ["student_id = 1014"]]]
        assert student_ids(uni.Student & condition) == [1000, 1007, 1014]

    def test_dicts_of_different_keys(self, uni, data):
        condition = [{"sex": "F"}, {"home_state": "TX", "sex": "M"}]
        expected = [
            s
            for s in data.students
            if s["sex"] == "F" or (s["home_state"] == "TX" and s["sex"] == "M")
        ]
        assert_rows(uni.Student & condition, expected)

    @pytest.mark.parametrize(
        "empty",
        [[], (), set(), frozenset(), pd.DataFrame(), np.array([], dtype=[("dept", "O")])],
        ids=["list", "tuple", "set", "frozenset", "DataFrame", "array"],
    )
    def test_empty_collections(self, uni, data, empty):
        assert_rows(uni.Student & empty, [])
        assert_rows(uni.Student - empty, data.students)
        assert_rows(uni.Student & dj.Not(empty), data.students)

    def test_empty_data_frame_with_columns(self, uni, data):
        empty = pd.DataFrame({"student_id": []})
        assert_rows(uni.Student & empty, [])
        assert_rows(uni.Student - empty, data.students)

    def test_list_with_a_dict_without_known_keys_restricts_nothing(self, uni, data):
        assert_rows(uni.Student & [{"unknown": 1}], data.students)
        assert_rows(uni.Student - [{"unknown": 1}], [])

    def test_booleans_inside(self, uni, data):
        assert_rows(uni.Student & [True, "student_id = 1000"], data.students)
        assert student_ids(uni.Student & [False, "student_id = 1000"]) == [1000]
        assert_rows(uni.Student & [False], [])

    def test_empty_list_inside(self, uni):
        assert student_ids(uni.Student & ["student_id = 1000", []]) == [1000]
        assert_rows(uni.Student & [[]], [])


class TestRestrictionByLogic:
    def test_booleans(self, uni, data):
        assert_rows(uni.Student & True, data.students)
        assert_rows(uni.Student - False, data.students)
        assert_rows(uni.Student & False, [])
        assert_rows(uni.Student - True, [])

    def test_numpy_booleans(self, uni, data):
        assert_rows(uni.Student & np.True_, data.students)
        assert_rows(uni.Student & np.False_, [])

    def test_and_list(self, uni, data):
        conditions = ['sex = "F"', {"home_state": "TX"}, "student_id < 2000"]
        expected = [
            s
            for s in data.students
            if s["sex"] == "F" and s["home_state"] == "TX" and s["student_id"] < 2000
        ]
        assert expected
        assert_rows(uni.Student & dj.AndList(conditions), expected)
        assert_rows(uni.Student & conditions[0] & conditions[1] & conditions[2], expected)
        assert_rows(uni.Student - dj.AndList(conditions), antijoin(data.students, expected))

    def test_empty_and_list(self, uni, data):
        assert_rows(uni.Student & dj.AndList([]), data.students)
        assert_rows(uni.Student - dj.AndList([]), [])

    def test_and_list_inside_a_list(self, uni):
        condition = [dj.AndList(["student_id > 1000", "student_id < 1010"]), {"student_id": 1021}]
        assert student_ids(uni.Student & condition) == [1007, 1021]

    def test_list_inside_an_and_list(self, uni):
        condition = dj.AndList([["student_id = 1000", "student_id = 1007"], "student_id > 1000"])
        assert student_ids(uni.Student & condition) == [1007]
        assert_rows(uni.Student & dj.AndList(["student_id > 0", []]), [])

    def test_not(self, uni, data):
        assert_rows(
            uni.Student & dj.Not('sex = "F"'), [s for s in data.students if s["sex"] != "F"]
        )
        assert_rows(
            uni.Student - dj.Not('sex = "F"'), [s for s in data.students if s["sex"] == "F"]
        )
        assert_rows(
            uni.Student & dj.Not(dj.Not('sex = "F"')), [s for s in data.students if s["sex"] == "F"]
        )
        assert_rows(uni.Student & dj.Not(True), [])
        assert_rows(uni.Student & dj.Not([]), data.students)

    def test_not_of_a_query(self, uni, data):
        expected = antijoin(data.students, data.enrolments)
        assert len(expected) == 10
        assert_rows(uni.Student & dj.Not(uni.Enroll), expected)

    def test_not_inside_lists(self, uni):
        condition = dj.AndList([dj.Not("student_id > 1014"), dj.Not({"student_id": 1007})])
        assert student_ids(uni.Student & condition) == [1000, 1014]
        either = [dj.Not("student_id > 1000"), "student_id = 1014"]
        assert student_ids(uni.Student & either) == [1000, 1014]

    @pytest.mark.parametrize(
        "bad", [None, 5, 1.5, object(), b"sex", np.array(5)], ids=lambda bad: type(bad).__name__
    )
    def test_what_is_no_condition_is_refused(self, uni, bad):
        with pytest.raises(DataJointError):
            uni.Student & bad
        with pytest.raises(DataJointError):
            uni.Student - bad

    def test_none_is_refused_with_advice(self, uni):
        with pytest.raises(DataJointError, match=r"cannot be restricted by None\. True restricts"):
            uni.Student & None
        with pytest.raises(DataJointError, match="cannot be restricted by Ellipsis"):
            uni.Student & [...]

    def test_what_can_be_iterated_over_once(self, uni):
        query = uni.Student & ({"student_id": n} for n in (1000, 1007))
        assert student_ids(query) == student_ids(query) == [1000, 1007]
        assert student_ids(uni.Student & map("student_id = {}".format, (1014,))) == [1014]
        assert len(uni.Student & iter([])) == 0
        assert student_ids((uni.Student & "student_id < 1010") - iter(["student_id = 1000"])) == [
            1007
        ]

    def test_expressions_are_immutable(self, uni, data):
        query = uni.Student & 'sex = "F"'
        before = query.make_sql()
        _ = query & 'home_state = "TX"'
        _ = query.proj("sex") * uni.Enroll
        assert query.make_sql() == before
        assert len(query) == sum(s["sex"] == "F" for s in data.students)
        assert len(uni.Student()) == len(data.students)

    def test_restricted_table_keeps_its_class(self, uni):
        assert type(uni.Student & "student_id > 5") is uni.Student
        assert type(uni.Student - "student_id > 5") is uni.Student
        assert not isinstance(uni.Student.proj(), uni.Student)


class TestRestrictionByQuery:
    def test_semijoin(self, uni, data):
        assert_rows(uni.Student & uni.Enroll, semijoin(data.students, data.enrolments))
        assert_rows(uni.Student - uni.Enroll, antijoin(data.students, data.enrolments))

    def test_query_with_a_condition(self, uni, data):
        failed = [g for g in data.grades if g["grade"] == "F"]
        query = uni.Student & (uni.Grade & 'grade = "F"')
        assert_rows(query, semijoin(data.students, failed))
        assert_rows(uni.Student - (uni.Grade & 'grade = "F"'), antijoin(data.students, failed))

    def test_secondary_attribute_matches_a_primary_one(self, uni, data):
        query = uni.StudentMajor & (uni.Department & 'dept_name = "Computer Science"')
        assert_rows(query, [m for m in data.majors if m["dept"] == "CS"])
        expected = semijoin(data.departments, data.majors)
        assert {d["dept"] for d in expected} == {"BIOL", "CS", "MATH", "PHYS"}
        assert_rows(uni.Department & uni.StudentMajor, expected)

    def test_chain(self, uni, data):
        rich = [c for c in data.courses if c["credits"] == 4]
        expected = semijoin(data.students, semijoin(data.enrolments, rich))
        assert_rows(uni.Student & (uni.Enroll & (uni.Course & "credits = 4")), expected)

    def test_restriction_by_a_projection(self, uni, data):
        query = uni.Student & uni.StudentMajor.proj(student_id="student_id")
        assert_rows(query, semijoin(data.students, pick(data.majors, "student_id")))

    def test_restriction_by_a_join(self, uni, data):
        graded = join(data.grades, data.letter_grades)
        expected = semijoin(data.sections, [g for g in graded if g["points"] == 4])
        assert_rows(uni.Section & (uni.Grade * uni.LetterGrade & "points = 4"), expected)

    def test_instance_and_class_are_the_same(self, uni):
        assert student_ids(uni.Student & uni.Enroll) == student_ids(uni.Student() & uni.Enroll())

    def test_complement_rules(self, uni, data):
        for condition in (
            'sex = "F"',
            {"sex": "F"},
            ['sex = "F"', {"home_state": "TX"}],
            uni.StudentMajor,
            uni.StudentMajor & 'dept = "CS"',
            dj.AndList(['sex = "F"', uni.Enroll]),
            True,
            [],
        ):
            kept, left = uni.Student & condition, uni.Student - condition
            assert sorted(student_ids(kept) + student_ids(left)) == ids(data.students)
            assert student_ids(uni.Student - dj.Not(condition)) == student_ids(kept)

    def test_incompatible_query_names_the_attributes_and_suggests_proj(self, uni):
        other = uni.Student & 'sex = "F"'
        with pytest.raises(DataJointError) as error:
            uni.Student & other
        assert "`first_name`" in str(error.value)
        assert ".proj(" in str(error.value)
        with pytest.raises(DataJointError):
            uni.Student - other

    def test_caret_does_not_check(self, uni, data):
        expected = [s for s in data.students if s["sex"] == "F"]
        assert_rows(uni.Student ^ (uni.Student & 'sex = "F"'), expected)

    def test_membership(self, uni, data):
        assert {"student_id": 1000} in uni.Student()
        assert {"student_id": 1001} not in uni.Student()
        assert {"student_id": 1000} in uni.Student
        assert data.students[3] in (uni.Student & data.students[3])
        assert "student_id = 1001" not in uni.Student()


# -- join ---------------------------------------------------------------------------------------


class TestJoin:
    def test_matching_attributes(self, uni, data):
        assert_rows(uni.Student * uni.StudentMajor, join(data.students, data.majors))
        assert (uni.Student * uni.StudentMajor).primary_key == ["student_id"]

    def test_primary_key_is_the_union(self, uni):
        query = uni.Course * uni.Term
        assert query.primary_key == ["dept", "course", "term_year", "term"]
        assert set((uni.StudentMajor * uni.Course).primary_key) == {"student_id", "dept", "course"}

    def test_cross_product(self, uni, data):
        assert_rows(uni.Course * uni.Term, join(data.courses, data.terms))

    def test_secondary_with_primary(self, uni, data):
        assert_rows(uni.StudentMajor * uni.Department, join(data.majors, data.departments))
        assert_rows(uni.Grade * uni.LetterGrade, join(data.grades, data.letter_grades))
        assert_rows(uni.StudentMajor * uni.Course, join(data.majors, data.courses))

    def test_three_tables(self, uni, data):
        expected = join(join(data.enrolments, data.sections), data.courses)
        assert_rows(uni.Enroll * uni.Section * uni.Course, expected)

    def test_commutes(self, uni):
        left, right = uni.Grade * uni.LetterGrade, uni.LetterGrade * uni.Grade
        assert bag(left.fetch(as_dict=True)) == bag(right.fetch(as_dict=True))
        assert set(left.primary_key) == set(right.primary_key)

    def test_associates(self, uni, data):
        left = (uni.Student.proj("sex") * uni.StudentMajor) * uni.Department.proj("dept_name")
        right = uni.Student.proj("sex") * (uni.StudentMajor * uni.Department.proj("dept_name"))
        assert len(left) == len(data.majors)
        assert bag(left.fetch(as_dict=True)) == bag(right.fetch(as_dict=True))

    def test_same_attributes_give_the_intersection(self, uni, data):
        query = (uni.Student & 'sex = "F"').proj() * (uni.Student & 'home_state = "TX"').proj()
        expected = [s for s in data.students if s["sex"] == "F" and s["home_state"] == "TX"]
        assert_rows(query, pick(expected, "student_id"))

    def test_restriction_of_operands_equals_restriction_of_the_join(self, uni, data):
        before = (uni.Student & 'sex = "F"') * (uni.StudentMajor & 'dept = "CS"')
        after = uni.Student * uni.StudentMajor & 'sex = "F"' & 'dept = "CS"'
        expected = [
            r for r in join(data.students, data.majors) if r["sex"] == "F" and r["dept"] == "CS"
        ]
        assert_rows(before, expected)
        assert_rows(after, expected)

    def test_pairs_with_renamed_key(self, uni, data):
        query = uni.StudentMajor.proj("dept") * uni.StudentMajor.proj(
            other_id="student_id", dept="dept"
        ).proj(..., major="dept")
        expected = [
            {
                "student_id": a["student_id"],
                "other_id": b["student_id"],
                "dept": a["dept"],
                "major": b["dept"],
            }
            for a in data.majors
            for b in data.majors
        ]
        assert_rows(query, expected)

    def test_renamed_attribute_decides_what_matches(self, uni, data):
        query = uni.Student.proj() * uni.StudentMajor.proj(advisor="student_id")
        assert len(query) == len(data.students) * len(data.majors)
        assert query.primary_key == ["student_id", "advisor"]

    def test_incompatible_operands(self, uni):
        with pytest.raises(DataJointError) as error:
            uni.Student * uni.Student.proj("sex", "home_city")
        assert "`sex`" in str(error.value)
        assert "`home_city`" in str(error.value)
        assert "first_name" not in str(error.value)
        assert ".proj(" in str(error.value)

    def test_at_sign_does_not_check(self, uni, data):
        right = (uni.Student & 'sex = "F"').proj("sex", "home_city")
        assert_rows(uni.Student @ right, [s for s in data.students if s["sex"] == "F"])

    @pytest.mark.parametrize("bad", [5, None, "Student", {"a": 1}], ids=repr)
    def test_join_with_what_is_no_query(self, uni, bad):
        with pytest.raises(DataJointError):
            uni.Student() * bad

    def test_left_join_keeps_unmatched_entities(self, uni, data):
        query = uni.Student.proj("sex").join(uni.StudentMajor, left=True)
        majors = {m["student_id"]: m for m in data.majors}
        nothing = {"dept": None, "declare_date": None}
        expected = [
            {**row, **majors.get(row["student_id"], nothing)}
            for row in pick(data.students, "student_id", "sex")
        ]
        assert_rows(query, expected)
        assert query.primary_key == ["student_id"]

    def test_left_join_can_be_restricted_and_counted(self, uni, data):
        query = uni.Student.proj().join(uni.StudentMajor, left=True) & "dept is null"
        expected = antijoin(data.students, data.majors)
        assert expected
        assert student_ids(query) == ids(expected)
        assert len(query) == len(expected)


# -- proj ---------------------------------------------------------------------------------------


class TestProj:
    def test_names_that_begin_with_an_underscore_are_not_hidden(self, uni, data):
        query = uni.Course.proj(_n="course + 1", _name="course_name") & "_n < 2000"
        expected = [
            {"dept": c["dept"], "course": c["course"], "_n": c["course"] + 1}
            | {"_name": c["course_name"]}
            for c in data.courses
            if c["course"] < 1999
        ]
        assert query.heading.names == ["dept", "course", "_name", "_n"]
        assert_rows(query, expected)
        assert_rows((query * uni.Department.proj()) & dj.Top(None, "_n"), expected)
        assert_rows(query.proj("_n") + query.proj("_name"), expected)
        (total,) = dj.U().aggr(query, _total="sum(_n)").fetch("_total")
        assert total == sum(row["_n"] for row in expected)

    @pytest.mark.parametrize(
        ("attributes", "names"),
        [
            ((), ["dept"]),
            (("dept",), ["dept"]),
            (("dept_name", "dept_phone"), ["dept", "dept_name", "dept_phone"]),
            (("dept_phone", "dept_name"), ["dept", "dept_name", "dept_phone"]),
            ((...,), ["dept", "dept_name", "dept_address", "dept_phone"]),
            ((..., "-dept_address"), ["dept", "dept_name", "dept_phone"]),
            ((..., "-dept_address", "-dept_phone"), ["dept", "dept_name"]),
            (("dept_name", "dept_name"), ["dept", "dept_name"]),
        ],
    )
    def test_selection(self, uni, data, attributes, names):
        query = uni.Department.proj(*attributes)
        assert query.heading.names == names
        assert query.primary_key == ["dept"]
        assert_rows(query, pick(data.departments, *names))

    def test_rename_secondary(self, uni, data):
        query = uni.Department.proj(phone="dept_phone")
        expected = [{"dept": d["dept"], "phone": d["dept_phone"]} for d in data.departments]
        assert_rows(query, expected)

    def test_rename_primary(self, uni, data):
        query = uni.Course.proj("credits", department="dept")
        assert query.heading.names == ["department", "course", "credits"]
        assert query.primary_key == ["department", "course"]
        expected = [
            {"department": c["dept"], "course": c["course"], "credits": c["credits"]}
            for c in data.courses
        ]
        assert_rows(query, expected)

    def test_rename_among_all(self, uni):
        query = uni.Department.proj(..., title="dept_name", code="dept")
        assert query.heading.names == ["code", "title", "dept_address", "dept_phone"]
        assert query.primary_key == ["code"]

    def test_keep_and_rename(self, uni, data):
        query = uni.Department.proj("dept_name", title="dept_name")
        expected = [
            {"dept": d["dept"], "dept_name": d["dept_name"], "title": d["dept_name"]}
            for d in data.departments
        ]
        assert_rows(query, expected)

    def test_keep_and_rename_the_key_gives_both_in_the_key(self, uni):
        query = uni.Department.proj("dept", code="dept")
        assert query.primary_key == ["dept", "code"]

    def test_swap_names(self, uni, data):
        query = uni.Department.proj(dept_name="dept_phone", dept_phone="dept_name")
        expected = [
            {"dept": d["dept"], "dept_name": d["dept_phone"], "dept_phone": d["dept_name"]}
            for d in data.departments
        ]
        assert_rows(query, expected)

    def test_rename_twice_and_back(self, uni, data):
        query = uni.Department.proj(a="dept_name").proj(b="a").proj(dept_name="b")
        assert_rows(query, pick(data.departments, "dept", "dept_name"))

    def test_computation(self, uni, data):
        query = uni.Student.proj(
            full_name='concat(first_name, " ", last_name)',
            born="year(date_of_birth)",
            next_id="student_id + 1",
        )
        expected = [
            {
                "student_id": s["student_id"],
                "full_name": f"{s['first_name']} {s['last_name']}",
                "born": s["date_of_birth"].year,
                "next_id": s["student_id"] + 1,
            }
            for s in data.students
        ]
        assert_rows(query, expected)

    def test_restriction_by_a_computed_attribute(self, uni, data):
        query = uni.Student.proj("sex", born="year(date_of_birth)") & "born < 1985" & {"sex": "F"}
        expected = [
            {"student_id": s["student_id"], "sex": "F", "born": s["date_of_birth"].year}
            for s in data.students
            if s["date_of_birth"].year < 1985 and s["sex"] == "F"
        ]
        assert expected
        assert_rows(query, expected)

    def test_computation_from_a_computed_attribute(self, uni, data):
        query = uni.Student.proj(x="student_id + 1").proj(y="x * 2")
        assert_rows(
            query,
            [{"student_id": i, "y": (i + 1) * 2} for i in ids(data.students)],
        )

    def test_restriction_before_projection_of_its_attribute(self, uni, data):
        query = (uni.Student & 'sex = "F"').proj()
        expected = pick((s for s in data.students if s["sex"] == "F"), "student_id")
        assert_rows(query, expected)

    def test_name_reused_for_a_computation(self, uni, data):
        query = (uni.Student & 'sex = "F"').proj(sex="student_id * 10") & "sex > 15000"
        expected = [
            {"student_id": s["student_id"], "sex": s["student_id"] * 10}
            for s in data.students
            if s["sex"] == "F" and s["student_id"] > 1500
        ]
        assert_rows(query, expected)

    def test_constants(self, uni):
        query = uni.LetterGrade.proj(label='"x"', zero="0", half="1.5", none="NULL")
        row = (query & {"grade": "A"}).fetch1()
        assert row == {"grade": "A", "label": "x", "zero": 0, "half": Decimal("1.5"), "none": None}

    def test_condition_as_number(self, uni, data):
        query = uni.Student.proj(is_f='sex = "F"')
        expected = [
            {"student_id": s["student_id"], "is_f": int(s["sex"] == "F")} for s in data.students
        ]
        assert_rows(query, expected)

    def test_computed_attribute_in_the_heading(self, uni):
        query = uni.Student.proj(born="year(date_of_birth)")
        assert query.heading.secondary_attributes == ["born"]
        assert "calculated attribute" in repr(query.heading)

    @pytest.mark.parametrize(
        ("args", "kwargs", "named"),
        [
            (("dept_nam",), {}, "dept_nam"),
            ((..., "-dept_nam"), {}, "dept_nam"),
            ((), {"x": "dept_nam"}, "dept_nam"),
            ((), {"x": "length(dept_nam)"}, "dept_nam"),
        ],
    )
    def test_unknown_attributes(self, uni, args, kwargs, named):
        with pytest.raises(UnknownAttributeError) as error:
            uni.Department.proj(*args, **kwargs)
        assert f"`{named}`" in str(error.value)
        assert "`dept_name`" in str(error.value)  # the suggestion

    @pytest.mark.parametrize(
        ("args", "kwargs"),
        [
            ((..., "-dept"), {}),
            ((5,), {}),
            ((["dept_name"],), {}),
            ((), {"x": 5}),
            ((), {"x": None}),
            ((), {"x": ""}),
            ((), {"dept": "dept_name"}),
            ((), {"dept": "1 + 1"}),
            (("dept_name",), {"dept_name": "1 + 1"}),
            ((...,), {"dept_name": "dept_phone"}),
            ((), {"bad name": "dept_name"}),
            ((), {"n": "count(*)"}),
        ],
    )
    def test_other_errors(self, uni, args, kwargs):
        with pytest.raises(DataJointError):
            uni.Department.proj(*args, **kwargs)

    def test_primary_key_cannot_be_left_out(self, uni):
        with pytest.raises(DataJointError) as error:
            uni.Department.proj(..., "-dept")
        assert "`dept`" in str(error.value)


# -- aggr ---------------------------------------------------------------------------------------


def counted(masters, details, *key):
    """Count the details of each master that has any."""
    result = []
    for master in masters:
        n = len(semijoin(details, [{name: master[name] for name in key}]))
        if n:
            result.append({**{name: master[name] for name in key}, "n": n})
    return result


class TestAggr:
    def test_number_of_students_in_each_section(self, uni, data):
        expected = counted(data.sections, data.enrolments, *SECTION_KEY)
        assert 0 < len(expected) < len(data.sections)
        query = uni.Section.aggr(uni.Enroll, n="count(*)")
        assert_rows(query, expected)
        assert query.primary_key == list(SECTION_KEY)

    def test_average_grade_in_each_course(self, uni, data):
        graded = join(data.grades, data.letter_grades)
        query = uni.Course.aggr(uni.Grade * uni.LetterGrade, avg_grade="avg(points)")
        result = {(r["dept"], r["course"]): r["avg_grade"] for r in query.fetch(as_dict=True)}
        expected = {
            (c["dept"], c["course"]): fmean(
                float(g["points"])
                for g in graded
                if (g["dept"], g["course"]) == (c["dept"], c["course"])
            )
            for c in semijoin(data.courses, graded)
        }
        assert {k: float(v) for k, v in result.items()} == pytest.approx(expected, abs=1e-4)
        assert len(query) == len(expected)

    def test_keep_all_rows(self, uni, data):
        query = uni.Student.aggr(uni.Enroll, n="count(course)", keep_all_rows=True)
        counts = {i: sum(e["student_id"] == i for e in data.enrolments) for i in ids(data.students)}
        assert 0 in counts.values()
        assert_rows(query, [{"student_id": i, "n": n} for i, n in counts.items()])

    def test_keep_all_rows_counts_the_row_itself(self, uni, data):
        query = uni.Student.aggr(uni.Enroll, n="count(*)", keep_all_rows=True)
        lonely = antijoin(data.students, data.enrolments)
        assert (query & lonely).fetch("n").tolist() == [1] * 10

    def test_keep_all_rows_gives_null_aggregates(self, uni, data):
        query = uni.Department.aggr(uni.Course, s="sum(credits)", keep_all_rows=True)
        sums = {d["dept"]: None for d in data.departments}
        for c in data.courses:
            sums[c["dept"]] = (sums[c["dept"]] or 0) + c["credits"]
        assert sums["ARTS"] is None
        assert_rows(query, [{"dept": d, "s": s} for d, s in sums.items()])

    def test_secondary_attributes(self, uni, data):
        query = uni.Department.aggr(uni.Course, ..., n="count(*)")
        expected = [
            {**d, "n": sum(c["dept"] == d["dept"] for c in data.courses)}
            for d in data.departments
            if d["dept"] != "ARTS"
        ]
        assert_rows(query, expected)

    def test_some_secondary_attributes(self, uni, data):
        query = uni.Department.aggr(uni.Course, "dept_name", n="count(*)")
        expected = [
            {"dept": d["dept"], "dept_name": d["dept_name"], "n": 4}
            for d in data.departments
            if d["dept"] != "ARTS"
        ]
        assert_rows(query, expected)
        without = uni.Department.aggr(uni.Course, ..., "-dept_address", "-dept_phone", n="count(*)")
        assert_rows(without, expected)

    def test_secondary_attributes_and_keep_all_rows(self, uni, data):
        query = uni.Department.aggr(uni.Course, "dept_name", n="count(course)", keep_all_rows=True)
        expected = [
            {
                "dept": d["dept"],
                "dept_name": d["dept_name"],
                "n": 0 if d["dept"] == "ARTS" else 4,
            }
            for d in data.departments
        ]
        assert_rows(query, expected)

    def test_non_aggregated_attributes_of_the_first_operand(self, uni, data):
        query = uni.Department.aggr(
            uni.Course, label='concat(dept_name, ": ", count(*))', title="dept_name"
        )
        expected = [
            {"dept": d["dept"], "title": d["dept_name"], "label": f"{d['dept_name']}: 4"}
            for d in data.departments
            if d["dept"] != "ARTS"
        ]
        assert_rows(query, expected)

    def test_without_computations_it_only_keeps_matches(self, uni, data):
        assert_rows(
            uni.Department.aggr(uni.Course),
            [{"dept": d["dept"]} for d in data.departments if d["dept"] != "ARTS"],
        )

    def test_renamed_primary_key(self, uni, data):
        query = uni.Department.aggr(uni.Course, code="dept", n="count(*)")
        assert query.primary_key == ["code"]
        assert_rows(query, [{"code": d, "n": 4} for d in ("BIOL", "CS", "MATH", "PHYS")])

    @pytest.mark.parametrize(
        ("function", "compute"),
        [
            ("min(credits)", min),
            ("max(credits)", max),
            ("sum(credits)", sum),
            ("count(distinct credits)", lambda v: len(set(v))),
            ("sum(credits > 2)", lambda v: sum(x > 2 for x in v)),
            ("max(credits) - min(credits)", lambda v: max(v) - min(v)),
        ],
    )
    def test_functions(self, uni, data, function, compute):
        query = uni.Department.aggr(uni.Course, x=function)
        values = {}
        for c in data.courses:
            values.setdefault(c["dept"], []).append(c["credits"])
        result = dict(zip(*query.fetch("dept", "x")))
        assert result == {d: compute(v) for d, v in values.items()}

    def test_group_concat(self, uni):
        query = uni.Department.aggr(
            uni.Course, numbers="group_concat(course order by course desc separator '/')"
        )
        assert (query & {"dept": "CS"}).fetch1("numbers") == "3500/2010/1020/1010"

    def test_std_and_variance_are_those_of_the_population(self, uni, data):
        query = uni.Department.aggr(uni.Course, s="std(course)", v="variance(course)")
        s, v = (query & {"dept": "CS"}).fetch1("s", "v")
        numbers = [c["course"] for c in data.courses if c["dept"] == "CS"]
        assert float(s) == pytest.approx(np.std(numbers), rel=1e-6)
        assert float(v) == pytest.approx(np.var(numbers), rel=1e-6)

    def test_restricted_operands(self, uni, data):
        summer = [e for e in data.enrolments if e["term"] == "Summer"]
        some = [s for s in data.sections if s["dept"] in ("CS", "MATH")]
        query = (uni.Section & 'dept in ("CS", "MATH")').aggr(
            uni.Enroll & 'term = "Summer"', n="count(*)"
        )
        expected = counted(some, summer, *SECTION_KEY)
        assert expected
        assert_rows(query, expected)

    def test_restricted_operands_with_all_rows_kept(self, uni, data):
        query = uni.Department.aggr(
            uni.Course & "course < 1015", n="count(course)", keep_all_rows=True
        )
        expected = [
            {"dept": d["dept"], "n": 0 if d["dept"] == "ARTS" else 1} for d in data.departments
        ]
        assert_rows(query, expected)

    def test_restriction_by_the_aggregate(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        query = uni.Section.aggr(uni.Enroll, n="count(*)")
        big = [r for r in every if r["n"] > 8]
        assert 0 < len(big) < len(every)
        assert_rows(query & "n > 8", big)
        assert_rows(query - "n > 8", [r for r in every if r["n"] <= 8])
        assert_rows(query & {"n": 5}, [r for r in every if r["n"] == 5])
        assert_rows(query & "n > 1000", [])

    def test_restriction_by_the_key_and_the_aggregate(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        query = uni.Section.aggr(uni.Enroll, n="count(*)") & 'dept = "CS"' & "n > 5"
        assert_rows(query, [r for r in every if r["dept"] == "CS" and r["n"] > 5])

    def test_restriction_by_an_aggregation(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        big = [r for r in every if r["n"] > 8]
        query = uni.Section & (uni.Section.aggr(uni.Enroll, n="count(*)") & "n > 8")
        assert_rows(query, semijoin(data.sections, pick(big, *SECTION_KEY)))
        rest = uni.Section - (uni.Section.aggr(uni.Enroll, n="count(*)") & "n > 8")
        assert_rows(rest, antijoin(data.sections, pick(big, *SECTION_KEY)))

    def test_restriction_of_an_aggregation_by_a_query(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        rich = [c for c in data.courses if c["credits"] == 4]
        query = uni.Section.aggr(uni.Enroll, n="count(*)") & (uni.Course & "credits = 4")
        assert_rows(query, semijoin(every, rich))

    def test_join_with_an_aggregation(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        aggregation = uni.Section.aggr(uni.Enroll, n="count(*)") & "n > 5"
        expected = join(data.sections, [r for r in every if r["n"] > 5])
        assert_rows(uni.Section * aggregation, expected)
        assert_rows(aggregation * uni.Section, expected)

    def test_join_of_two_aggregations(self, uni, data):
        first = uni.Department.aggr(uni.Course, courses="count(*)")
        second = uni.Department.aggr(uni.StudentMajor, majors="count(*)") & "majors > 40"
        counts = {
            d["dept"]: sum(m["dept"] == d["dept"] for m in data.majors) for d in data.departments
        }
        expected = [{"dept": d, "courses": 4, "majors": n} for d, n in counts.items() if n > 40]
        assert expected
        assert_rows(first * second, expected)

    def test_projection_of_an_aggregation(self, uni, data):
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        query = uni.Section.aggr(uni.Enroll, n="count(*)").proj(twice="2 * n")
        expected = [{**{k: r[k] for k in SECTION_KEY}, "twice": 2 * r["n"]} for r in every]
        assert_rows(query, expected)
        assert_rows(uni.Section.aggr(uni.Enroll, n="count(*)").proj(), pick(every, *SECTION_KEY))

    def test_aggregation_of_an_aggregation(self, uni, data):
        inner = uni.Section.aggr(uni.Enroll, n="count(*)")
        query = uni.Course.aggr(inner, largest="max(n)", sections="count(*)")
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        expected = []
        for c in data.courses:
            sizes = [r["n"] for r in every if (r["dept"], r["course"]) == (c["dept"], c["course"])]
            if sizes:
                expected.append(
                    {
                        "dept": c["dept"],
                        "course": c["course"],
                        "largest": max(sizes),
                        "sections": len(sizes),
                    }
                )
        assert_rows(query, expected)

    def test_aggregating_an_aggregation_again(self, uni, data):
        query = uni.Department.aggr(uni.Course, ..., n="count(*)").aggr(
            uni.StudentMajor, "n", majors="count(*)"
        )
        expected = [
            {"dept": d, "n": 4, "majors": sum(m["dept"] == d for m in data.majors)}
            for d in ("BIOL", "CS", "MATH", "PHYS")
        ]
        assert_rows(query, expected)

    def test_secondary_attribute_of_the_first_operand_matches(self, uni, data):
        query = uni.StudentMajor.aggr(uni.Course, n="count(*)")
        assert_rows(query, [{"student_id": m["student_id"], "n": 4} for m in data.majors])

    def test_no_common_attributes(self, uni, data):
        query = uni.Department.aggr(uni.Term, n="count(*)")
        assert_rows(query, [{"dept": d["dept"], "n": 9} for d in data.departments])

    def test_nothing_to_aggregate(self, uni):
        assert_rows(uni.Department.aggr(uni.Course & False, n="count(*)"), [])

    def test_equivalent_to_proj_of_a_union_of_names(self, uni):
        query = uni.Department.aggr(uni.Course, n="count(*)")
        assert query.heading.names == ["dept", "n"]
        assert query.heading.secondary_attributes == ["n"]

    def test_without_a_second_operand_it_is_proj(self, uni, data):
        """Manual 8.9."""
        query = uni.Course.aggr(double="credits * 2")
        assert query.heading.names == ["dept", "course", "double"]
        assert query.make_sql() == uni.Course.proj(double="credits * 2").make_sql()
        with pytest.raises(DataJointError, match="first argument is the table to aggregate"):
            uni.Course.aggr(n="count(*)")
        for wrong in ("course_name", ..., uni):
            with pytest.raises(DataJointError, match="first argument of `aggr` is the table"):
                uni.Course.aggr(wrong, n="count(*)")

    def test_errors(self, uni):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            uni.Department.aggr(uni.Course, n="count(bogus)")
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            uni.Department.aggr(uni.Course, "bogus", n="count(*)")
        with pytest.raises(DataJointError):
            uni.Department.aggr(uni.Course, dept="count(*)")
        with pytest.raises(DataJointError):
            uni.Department.aggr(5, n="count(*)")
        with pytest.raises(DataJointError, match="sex"):
            uni.Student.aggr(uni.Student.proj("sex"), n="count(*)")


# -- union --------------------------------------------------------------------------------------


@pytest.fixture
def unions(schema):
    @schema
    class Cell(dj.Manual):
        definition = """
        slice : int
        cell : int
        """

    @schema
    class OtherCell(dj.Manual):
        definition = """
        cell : int
        slice : int
        """

    @schema
    class Response(dj.Manual):
        definition = """
        scan : int
        ---
        response : int
        """

    @schema
    class Latency(dj.Manual):
        definition = """
        scan : int
        ---
        latency : int
        """

    Cell.insert([(1, 1), (1, 2), (2, 6)])
    OtherCell.insert([(1, 1), (1, 3), (2, 3)])
    Response.insert([(1, 6), (2, 7), (3, 6)])
    Latency.insert([(1, 8), (3, 8), (4, 8)])
    return SimpleNamespace(Cell=Cell, OtherCell=OtherCell, Response=Response, Latency=Latency)


class TestUnion:
    CELLS = ((1, 1), (1, 2), (2, 6), (3, 1), (3, 2))
    SCANS = ((1, 6, 8), (2, 7, None), (3, 6, 8), (4, None, 8))

    def cells(self):
        return [{"slice": s, "cell": c} for s, c in self.CELLS]

    def scans(self):
        return [{"scan": s, "response": r, "latency": n} for s, r, n in self.SCANS]

    def test_simple_set_union(self, unions):
        assert_rows(unions.Cell + unions.OtherCell, self.cells())
        assert_rows(unions.OtherCell + unions.Cell, self.cells())
        assert set((unions.Cell + unions.OtherCell).primary_key) == {"slice", "cell"}

    def test_secondary_attributes_are_combined_and_filled_with_null(self, unions):
        query = unions.Response + unions.Latency
        assert_rows(query, self.scans())
        assert query.primary_key == ["scan"]
        assert query.heading.secondary_attributes == ["response", "latency"]

    def test_commutes(self, unions):
        assert_rows(unions.Latency + unions.Response, self.scans())

    def test_missing_integers_are_none(self, unions):
        query = unions.Response + unions.Latency
        assert query.fetch("latency", order_by="scan").tolist() == [8, None, 8, 8]
        assert query.fetch(order_by="scan").dtype["latency"] == np.dtype("O")

    def test_associates(self, unions):
        third = unions.Cell.proj(scan="cell", part="slice").proj()
        third = dj.U("scan") & third
        left = (unions.Response + unions.Latency) + third
        right = unions.Response + (unions.Latency + third)
        expected = [*self.scans(), {"scan": 6, "response": None, "latency": None}]
        assert_rows(left, expected)
        assert_rows(right, expected)

    def test_union_with_itself(self, unions):
        assert_rows(unions.Cell + unions.Cell, [{"slice": s, "cell": c} for s, c in self.CELLS[:3]])

    def test_union_with_nothing(self, unions):
        expected = [
            {"scan": s, "response": r, "latency": None} for s, r in [(1, 6), (2, 7), (3, 6)]
        ]
        assert_rows(unions.Response + (unions.Latency & False), expected)
        assert_rows((unions.Latency & False) + unions.Response, expected)
        assert_rows((unions.Latency & False) + (unions.Response & False), [])

    def test_restriction(self, unions):
        query = unions.Response + unions.Latency
        assert_rows(query & "scan > 2", self.scans()[2:])
        assert_rows(query & "latency is null", self.scans()[1:2])
        assert_rows(query - "response = 6", [self.scans()[1], self.scans()[3]])
        assert_rows(query & {"latency": 8, "scan": 4}, self.scans()[3:])
        assert_rows(query & "scan > 4", [])

    def test_restricted_operands(self, unions):
        query = (unions.Response & "scan < 3") + (unions.Latency & "scan > 1")
        expected = [(1, 6, None), (2, 7, None), (3, None, 8), (4, None, 8)]
        assert_rows(query, [{"scan": s, "response": r, "latency": n} for s, r, n in expected])

    def test_projection(self, unions):
        query = (unions.Response + unions.Latency).proj(total="ifnull(response, 0) + 1")
        expected = [{"scan": s, "total": (r or 0) + 1} for s, r, _ in self.SCANS]
        assert_rows(query, expected)
        assert_rows((unions.Response + unions.Latency).proj(), [{"scan": s} for s in (1, 2, 3, 4)])

    def test_join(self, unions):
        query = (unions.Response + unions.Latency) * unions.Latency.proj(again="latency")
        expected = [{**row, "again": 8} for row in self.scans() if row["scan"] != 2]
        assert_rows(query, expected)

    def test_as_restriction(self, unions):
        assert (unions.Latency & (unions.Response.proj() + unions.Latency.proj())).fetch(
            "scan", order_by="scan"
        ).tolist() == [1, 3, 4]
        assert_rows(unions.Latency - (unions.Response.proj() + unions.Latency.proj()), [])

    def test_aggregation(self, unions):
        query = dj.U().aggr(
            unions.Response + unions.Latency, n="count(*)", r="sum(response)", m="count(latency)"
        )
        assert query.fetch1() == {"n": 4, "r": 19, "m": 3}

    def test_of_aggregations(self, unions):
        query = unions.Response.aggr(unions.Latency, n="count(*)") + unions.Latency.proj("latency")
        expected = [(1, 1, 8), (3, 1, 8), (4, None, 8)]
        assert_rows(query, [{"scan": s, "n": n, "latency": v} for s, n, v in expected])

    def test_different_primary_keys(self, unions):
        with pytest.raises(DataJointError) as error:
            unions.Cell + unions.Response
        assert "primary key" in str(error.value)
        assert "slice" in str(error.value)
        assert "scan" in str(error.value)

    def test_shared_secondary_attributes(self, unions):
        with pytest.raises(DataJointError) as error:
            unions.Response + unions.Response
        assert "response" in str(error.value)
        assert ".proj(" in str(error.value)

    @pytest.mark.parametrize("bad", [5, None, "scan = 1", []], ids=repr)
    def test_with_what_is_no_query(self, unions, bad):
        with pytest.raises(DataJointError):
            unions.Response() + bad


# -- universal sets -----------------------------------------------------------------------------


class TestUniversalSets:
    def test_unchecked_operators_are_the_same(self, uni):
        universal = dj.U("home_city")
        assert (universal ^ uni.Student).make_sql() == (universal & uni.Student).make_sql()
        joined = (universal * uni.Student).make_sql()
        assert (universal @ uni.Student).make_sql() == joined
        assert (uni.Student @ universal).make_sql() == joined
        assert universal.join(uni.Student, semantic_check=False).make_sql() == joined

    def test_all_home_cities(self, uni, data):
        query = dj.U("home_city", "home_state") & uni.Student
        expected = distinct(data.students, "home_city", "home_state")
        assert len(expected) == 5
        assert_rows(query, expected)
        assert query.primary_key == ["home_city", "home_state"]
        assert sorted(query.fetch("home_city").tolist()) == sorted(r["home_city"] for r in expected)

    def test_number_of_students_from_each_city(self, uni, data):
        query = dj.U("home_city", "home_state").aggr(uni.Student, n="count(*)")
        cities = distinct(data.students, "home_city", "home_state")
        assert_rows(query, counted(cities, data.students, "home_city", "home_state"))
        assert query.primary_key == ["home_city", "home_state"]

    def test_number_of_students_from_each_state(self, uni, data):
        query = dj.U("home_state").aggr(uni.Student, n="count(*)")
        states = distinct(data.students, "home_state")
        assert_rows(query, counted(states, data.students, "home_state"))

    def test_number_of_students_in_the_database(self, uni, data):
        query = dj.U().aggr(uni.Student, n="count(*)")
        assert_rows(query, [{"n": len(data.students)}])
        assert query.fetch1("n") == len(data.students)
        assert query.fetch1("n", as_dict=True) == query.fetch1(as_dict=True) == query.fetch1()
        assert query.primary_key == []

    def test_restricted_aggregates(self, uni, data):
        query = dj.U("home_city").aggr(uni.Student, n="count(*)")
        every = counted(distinct(data.students, "home_city"), data.students, "home_city")
        threshold = sorted(r["n"] for r in every)[2]
        assert_rows(query & f"n > {threshold}", [r for r in every if r["n"] > threshold])

    def test_aggregation_of_a_restricted_query(self, uni, data):
        women = [s for s in data.students if s["sex"] == "F"]
        query = dj.U("home_state").aggr(uni.Student & 'sex = "F"', n="count(*)")
        assert_rows(query, counted(distinct(women, "home_state"), women, "home_state"))

    def test_aggregation_of_a_join(self, uni, data):
        joined = join(data.students, data.majors)
        query = dj.U("dept", "home_state").aggr(uni.Student * uni.StudentMajor, n="count(*)")
        keys = distinct(joined, "dept", "home_state")
        assert_rows(query, counted(keys, joined, "dept", "home_state"))

    def test_aggregation_of_an_empty_query(self, uni):
        empty = uni.Student & False
        query = dj.U().aggr(empty, n="count(*)", m="max(student_id)", s="sum(student_id)")
        assert_rows(query, [{"n": 0, "m": None, "s": None}])
        assert_rows(dj.U("home_city").aggr(empty, n="count(*)"), [])

    def test_restriction_of_the_single_aggregate(self, uni, data):
        query = dj.U().aggr(uni.Student, n="count(*)")
        assert_rows(query & "n > 5", [{"n": len(data.students)}])
        assert_rows(query & "n < 5", [])

    def test_key_and_frame_of_the_single_aggregate(self, uni, data):
        query = dj.U().aggr(uni.Student, n="count(*)")
        assert query.fetch("KEY") == [{}]
        assert query.fetch(format="frame")["n"].tolist() == [len(data.students)]

    def test_empty_universal_set_restricted(self, uni):
        assert_rows(dj.U() & uni.Student, [{}])
        assert_rows(dj.U() & (uni.Student & False), [])

    def test_computed_attributes(self, uni, data):
        query = dj.U("born").aggr(uni.Student.proj(born="year(date_of_birth)"), n="count(*)")
        rows = [{"born": s["date_of_birth"].year} for s in data.students]
        assert_rows(query, counted(distinct(rows, "born"), rows, "born"))
        assert_rows(
            dj.U("born") & uni.Student.proj(born="year(date_of_birth)"), distinct(rows, "born")
        )

    def test_restriction_after_universal_restriction(self, uni, data):
        query = (dj.U("home_city", "home_state") & uni.Student) & 'home_state = "TX"'
        expected = [
            r for r in distinct(data.students, "home_city", "home_state") if r["home_state"] == "TX"
        ]
        assert_rows(query, expected)

    def test_attribute_that_was_left_out_is_unknown(self, uni):
        with pytest.raises(UnknownAttributeError, match="`sex`"):
            (dj.U("home_city") & uni.Student) & 'sex = "F"'

    def test_join_makes_attributes_primary(self, uni, data):
        query = dj.U("home_city") * uni.Student
        assert query.primary_key == ["student_id", "home_city"]
        assert_rows(query, data.students)
        assert (uni.Student * dj.U("home_city")).primary_key == ["student_id", "home_city"]
        assert (uni.Student * dj.U()).primary_key == ["student_id"]

    def test_join_on_an_attribute_made_primary(self, uni, data):
        query = uni.Student.proj("home_city") * (
            dj.U("home_city").aggr(uni.Student, n="count(*)") & "n > 0"
        )
        counts = {
            c: sum(s["home_city"] == c for s in data.students)
            for c in {s["home_city"] for s in data.students}
        }
        expected = [
            {
                "student_id": s["student_id"],
                "home_city": s["home_city"],
                "n": counts[s["home_city"]],
            }
            for s in data.students
        ]
        assert_rows(query, expected)

    def test_restriction_of_a_table_by_a_universal_set(self, uni, data):
        assert_rows(uni.Student & dj.U("home_city"), data.students)
        assert_rows(uni.Student & dj.U(), data.students)
        assert_rows(uni.Student - dj.U("home_city"), [])

    def test_restriction_of_universal_restrictions(self, uni, data):
        women = dj.U("home_city") & (uni.Student & 'sex = "F"')
        early = dj.U("home_city") & (uni.Student & "student_id < 1020")
        some = {s["home_city"] for s in data.students if s["student_id"] < 1020}
        every = {s["home_city"] for s in data.students if s["sex"] == "F"}
        assert_rows(women & early, [{"home_city": c} for c in every & some])
        assert_rows(women - early, [{"home_city": c} for c in every - some])
        assert_rows(women * early, [{"home_city": c} for c in every & some])
        assert_rows(women + early, [{"home_city": c} for c in every | some])

    def test_null_is_a_group(self, schema):
        @schema
        class Nullable(dj.Manual):
            definition = """
            a : int
            ---
            n = null : int
            """

        Nullable.insert([(1, 10), (2, None), (3, None), (4, 10), (5, 5)])
        query = dj.U("n").aggr(Nullable, k="count(*)")
        assert_rows(query, [{"n": 10, "k": 2}, {"n": None, "k": 2}, {"n": 5, "k": 1}])
        assert_rows(dj.U("n") & Nullable, [{"n": 10}, {"n": None}, {"n": 5}])

    def test_unknown_attribute(self, uni):
        for make in (
            lambda: dj.U("bogus") & uni.Student,
            lambda: dj.U("bogus") * uni.Student,
            lambda: dj.U("bogus").aggr(uni.Student, n="count(*)"),
        ):
            with pytest.raises(UnknownAttributeError, match="`bogus`"):
                make()

    @pytest.mark.parametrize("bad", [["sex", "home_state"], 5, None, dj.U("sex")], ids=repr)
    def test_of_what_is_no_name(self, bad):
        with pytest.raises(DataJointError, match=r"dj\.U takes names of attributes"):
            dj.U("home_city", bad)

    def test_aggr_selects_nothing_of_what_is_aggregated(self, uni, data):
        query = dj.U("sex").aggr(uni.Student, "sex", n="count(*)")
        assert_rows(query, dj.U("sex").aggr(uni.Student, ..., n="count(*)").to_dicts())
        assert sum(query.fetch("n")) == len(data.students)
        with pytest.raises(UnknownAttributeError, match="`home_city` is not an attribute"):
            dj.U("sex").aggr(uni.Student, "home_city")

    @pytest.mark.parametrize("bad", ["home_city = 'x'", 5, None, {"home_city": "x"}], ids=repr)
    def test_restricted_by_what_is_no_query(self, bad):
        with pytest.raises(DataJointError):
            dj.U("home_city") & bad
        with pytest.raises(DataJointError):
            dj.U("home_city") * bad

    def test_infinite_results_are_refused(self, uni):
        with pytest.raises(DataJointError):
            dj.U("home_city") - uni.Student
        with pytest.raises(DataJointError):
            dj.U("home_city").aggr(uni.Student, n="count(*)", keep_all_rows=True)


# -- fetch --------------------------------------------------------------------------------------


class TestOrderAndLimit:
    def test_by_attribute(self, uni, data):
        result = uni.Student.fetch("date_of_birth", order_by="date_of_birth").tolist()
        assert result == sorted(s["date_of_birth"] for s in data.students)

    @pytest.mark.parametrize("word", ["desc", "DESC", "Desc"])
    def test_descending(self, uni, data, word):
        result = uni.Student.fetch("date_of_birth", order_by=f"date_of_birth {word}").tolist()
        assert result == sorted((s["date_of_birth"] for s in data.students), reverse=True)

    @pytest.mark.parametrize(
        "order_by",
        [
            ("home_state desc", "student_id"),
            ["home_state desc", "student_id asc"],
            "home_state desc, student_id",
            ("home_state desc", "KEY"),
            "home_state DESC, KEY ASC",
        ],
    )
    def test_by_two(self, uni, data, order_by):
        expected = sorted(data.students, key=lambda s: s["student_id"])
        expected.sort(key=lambda s: s["home_state"], reverse=True)
        result = uni.Student.fetch("student_id", order_by=order_by).tolist()
        assert result == [s["student_id"] for s in expected]

    def test_key_descending(self, uni, data):
        keys = [(c["dept"], c["course"]) for c in data.courses]
        result = uni.Course.fetch("KEY", order_by="KEY desc")
        assert [(k["dept"], k["course"]) for k in result] == sorted(keys, reverse=True)
        result = uni.Course.fetch("KEY", order_by="KEY")
        assert [(k["dept"], k["course"]) for k in result] == sorted(keys)

    def test_name_then_key_descending(self, uni, data):
        result = uni.Student.fetch("student_id", order_by=("home_city", "KEY desc")).tolist()
        expected = sorted(data.students, key=lambda s: (s["home_city"], -s["student_id"]))
        assert result == [s["student_id"] for s in expected]

    def test_limit_and_offset(self, uni, data):
        result = uni.Student.fetch(
            "student_id", order_by="date_of_birth, student_id", limit=10, offset=5
        )
        expected = sorted(data.students, key=lambda s: (s["date_of_birth"], s["student_id"]))
        assert result.tolist() == [s["student_id"] for s in expected[5:15]]

    def test_limit_without_order_is_by_key(self, uni, data):
        assert uni.Student.fetch("student_id", limit=3).tolist() == [1000, 1007, 1014]

    def test_offset_past_the_end(self, uni):
        assert uni.Student.fetch("student_id", limit=3, offset=1000).tolist() == []

    def test_order_by_an_attribute_that_is_not_fetched(self, uni, data):
        result = uni.Student.fetch("sex", order_by="student_id")
        assert result.tolist() == [s["sex"] for s in data.students]

    def test_order_by_a_computed_attribute(self, uni, data, differs):
        differs(mysql="results of arithmetic with unsigned integers cannot be negative")
        query = uni.Student.proj(negative="-1 * student_id")
        assert query.fetch("student_id", order_by="negative").tolist() == ids(data.students)[::-1]

    def test_order_by_an_aggregate(self, uni, data):
        query = uni.Department.aggr(uni.StudentMajor, n="count(*)")
        result = query.fetch("n", order_by="n desc").tolist()
        assert result == sorted(result, reverse=True)
        assert sum(result) == len(data.majors)

    def test_order_by_an_expression(self, uni, data):
        result = uni.Student.fetch("student_id", order_by="student_id % 10, student_id").tolist()
        assert result == sorted(ids(data.students), key=lambda i: (i % 10, i))

    def test_reserved_word_in_backquotes(self, schema):
        @schema
        class Reserved(dj.Manual):
            definition = """
            id : int
            ---
            select : int
            """

        Reserved.insert([(1, 5), (2, 9), (3, 7)])
        assert Reserved.fetch("id", order_by="`select` desc").tolist() == [2, 3, 1]
        assert (Reserved & "`select` > 5").fetch("id").tolist() == [2, 3]
        assert (Reserved & {"select": 9}).fetch1("id") == 2
        assert Reserved.proj("select").fetch("select", order_by="id").tolist() == [5, 9, 7]

    def test_nulls_come_first(self, schema):
        @schema
        class Nullable(dj.Manual):
            definition = """
            a : int
            ---
            n = null : int
            """

        Nullable.insert([(1, 10), (2, None), (3, 5)])
        assert Nullable.fetch("a", order_by="n").tolist() == [2, 3, 1]
        assert Nullable.fetch("a", order_by="n desc").tolist() == [1, 3, 2]

    def test_unknown_attribute(self, uni):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            uni.Student.fetch(order_by="bogus")

    @pytest.mark.parametrize("limit", ["2", 2.5, -1])
    def test_bad_limit(self, uni, limit):
        with pytest.raises((DataJointError, TypeError)):
            uni.Student.fetch(limit=limit)

    def test_head(self, uni, data):
        assert uni.Student.head(3)["student_id"].tolist() == [1000, 1007, 1014]
        assert uni.Student.head(2, as_dict=True) == data.students[:2]
        assert len(uni.Student.head()) == 25

    def test_tail(self, uni, data):
        assert uni.Student.tail(3)["student_id"].tolist() == ids(data.students)[-3:]
        assert uni.Student.tail(2, as_dict=True) == data.students[-2:]
        assert list(uni.Student.tail(2, format="frame").index) == ids(data.students)[-2:]
        assert len(uni.Student.tail()) == 25
        assert len((uni.Student & False).tail()) == 0


class TestFetch:
    def test_whole_table_as_array(self, uni, data):
        array = uni.Course.fetch(order_by="KEY")
        assert isinstance(array, np.ndarray)
        assert array.dtype.names == ("dept", "course", "course_name", "credits")
        expected = sorted(data.courses, key=lambda c: (c["dept"], c["course"]))
        assert [tuple(row) for row in array] == [tuple(c.values()) for c in expected]

    def test_as_dict(self, uni, data):
        result = uni.Course.fetch(as_dict=True)
        assert bag(result) == bag(data.courses)
        assert type(result) is list
        assert all(type(row) is dict for row in result)
        assert list(result[0]) == ["dept", "course", "course_name", "credits"]
        assert type(result[0]["course"]) is int

    def test_separate_variables(self, uni, data):
        names, phones = uni.Department.fetch("dept_name", "dept_phone", order_by="dept")
        expected = sorted(data.departments, key=lambda d: d["dept"])
        assert names.tolist() == [d["dept_name"] for d in expected]
        assert phones.tolist() == [d["dept_phone"] for d in expected]
        assert names.dtype == np.dtype("O")

    def test_single_attribute(self, uni, data):
        result = uni.Student.fetch("student_id")
        assert isinstance(result, np.ndarray)
        assert result.dtype == np.dtype("int64")
        assert sorted(result.tolist()) == ids(data.students)

    def test_attributes_as_dict(self, uni, data):
        result = uni.Course.fetch("credits", "course", as_dict=True)
        assert bag(result) == bag(pick(data.courses, "course", "credits"))

    def test_keys(self, uni, data):
        result = uni.Course.fetch("KEY")
        assert bag(result) == bag(pick(data.courses, "dept", "course"))
        assert type(result[0]["course"]) is int
        assert bag(uni.Course.fetch(dj.key)) == bag(result)
        assert bag(uni.Course.fetch("KEY", as_dict=True)) == bag(result)

    def test_key_among_attributes(self, uni, data):
        credits_, keys = uni.Course.fetch("credits", "KEY", order_by="KEY")
        keys_first, credits_last = uni.Course.fetch("KEY", "credits", order_by="KEY")
        expected = sorted(data.courses, key=lambda c: (c["dept"], c["course"]))
        assert credits_.tolist() == credits_last.tolist() == [c["credits"] for c in expected]
        assert keys == keys_first == pick(expected, "dept", "course")

    def test_key_among_attributes_as_dict(self, uni, data):
        result = uni.Course.fetch("credits", "KEY", as_dict=True)
        assert bag(result) == bag(pick(data.courses, "dept", "course", "credits"))

    def test_the_same_attribute_twice(self, uni):
        first, second = uni.Course.fetch("course", "course", order_by="KEY")
        assert first.tolist() == second.tolist()

    def test_nothing(self, uni):
        query = uni.Course & False
        assert query.fetch().dtype.names == ("dept", "course", "course_name", "credits")
        assert len(query.fetch()) == 0
        assert query.fetch(as_dict=True) == []
        assert query.fetch("KEY") == []
        assert query.fetch("course").dtype == np.dtype("int64")
        credits_, keys = query.fetch("credits", "KEY")
        assert (credits_.tolist(), keys) == ([], [])
        assert list(query.fetch(format="frame").columns) == ["course_name", "credits"]

    def test_frame(self, uni, data):
        frame = uni.Course.fetch(format="frame", order_by="KEY")
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.index.names) == ["dept", "course"]
        assert list(frame.columns) == ["course_name", "credits"]
        expected = sorted(data.courses, key=lambda c: (c["dept"], c["course"]))
        assert list(frame.index) == [(c["dept"], c["course"]) for c in expected]
        assert frame["credits"].tolist() == [c["credits"] for c in expected]

    def test_frame_of_the_array(self, uni, data):
        frame = pd.DataFrame(uni.Course.fetch())
        assert bag(frame.to_dict("records")) == bag(data.courses)

    def test_frame_is_the_default_when_configured(self, uni):
        with dj.config(fetch_format="frame"):
            assert isinstance(uni.Course.fetch(), pd.DataFrame)
            assert isinstance(uni.Course.fetch("course"), np.ndarray)
            assert isinstance(uni.Course.fetch(as_dict=True), list)

    def test_frame_excludes_attributes_and_dicts(self, uni):
        for attempt in (
            lambda: uni.Course.fetch("course", format="frame"),
            lambda: uni.Course.fetch(format="frame", as_dict=True),
            lambda: uni.Course.fetch(format="bogus"),
        ):
            with pytest.raises(DataJointError):
                attempt()

    def test_unknown_attribute(self, uni):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            uni.Course.fetch("bogus")
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            uni.Course.fetch("KEY", "bogus")

    def test_fetch1(self, uni, data):
        query = uni.Student & {"student_id": 1007}
        assert query.fetch1() == data.students[1]
        assert type(query.fetch1()) is dict
        assert query.fetch1("KEY") == {"student_id": 1007}
        assert query.fetch1("first_name") == data.students[1]["first_name"]
        assert query.fetch1("student_id", "sex") == (1007, data.students[1]["sex"])
        assert type(query.fetch1("student_id", "sex")) is tuple
        assert query.fetch1("KEY", "sex") == ({"student_id": 1007}, data.students[1]["sex"])

    @pytest.mark.parametrize("args", [(), ("sex",), ("KEY",), ("sex", "KEY")])
    @pytest.mark.parametrize("condition", ["student_id < 0", "student_id < 1010"])
    def test_fetch1_of_none_or_several(self, uni, data, args, condition):
        number = "2" if "1010" in condition else "none"
        with pytest.raises(DataJointError, match=f"requires exactly one entity.* has {number}$"):
            (uni.Student & condition).fetch1(*args)

    def test_fetch1_of_many_fetches_two(self, uni, data, monkeypatch):
        fetched = []
        rows = uni.Student.connection.rows
        monkeypatch.setattr(
            uni.Student.connection, "rows", lambda sql: fetched.append(rows(sql)) or fetched[-1]
        )
        with pytest.raises(DataJointError, match=f"it has {len(data.students)}$"):
            uni.Student.fetch1()
        assert list(map(len, fetched)) == [2, 1]

    def test_fetch1_of_what_is_ordered(self, uni, data):
        last = max(data.students, key=lambda student: student["student_id"])
        assert (uni.Student & dj.Top(1, "KEY DESC")).fetch1() == last
        assert (dj.U() & uni.Student).fetch1() == {}
        with pytest.raises(DataJointError, match="it has none"):
            (dj.U() & (uni.Student & "student_id < 0")).fetch1()

    def test_fetch_of_ellipsis_is_all(self, uni, data):
        assert bag(uni.Course.fetch(..., as_dict=True)) == bag(data.courses)
        assert uni.Course.fetch(...).dtype.names == tuple(uni.Course.heading.names)

    def test_fetch1_of_an_unknown_attribute(self, uni):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            (uni.Student & {"student_id": 1007}).fetch1("bogus")

    def test_iteration(self, uni, data):
        rows = list(uni.Course)
        assert bag(rows) == bag(data.courses)
        assert bag(uni.Course & {"dept": "CS"}) == bag(c for c in data.courses if c["dept"] == "CS")
        assert all(type(row) is dict for row in rows)
        assert list(uni.Course & False) == []

    def test_iterations_do_not_disturb_each_other(self, uni, data):
        pairs = [(a["dept"], b["grade"]) for a in uni.Department for b in uni.LetterGrade]
        assert len(pairs) == len(data.departments) * len(data.letter_grades)

    def test_queries_during_iteration(self, uni, data):
        counts = {row["dept"]: len(uni.Course & row) for row in uni.Department.proj()}
        assert counts == {"BIOL": 4, "CS": 4, "MATH": 4, "PHYS": 4, "ARTS": 0}

    def test_length_and_truth_agree_for_every_kind_of_expression(self, uni):
        for query in (
            uni.Student(),
            uni.Student & False,
            uni.Student & 'sex = "F"',
            uni.Student - 'sex = "F"',
            uni.Student.proj(),
            uni.Student.proj(x="student_id + 1") & "x > 2000",
            uni.Student * uni.StudentMajor,
            uni.Student * uni.StudentMajor & False,
            uni.Student.proj().join(uni.StudentMajor, left=True),
            uni.Department.aggr(uni.Course, n="count(*)"),
            uni.Department.aggr(uni.Course, n="count(*)") & "n > 100",
            uni.Department.aggr(uni.Course, n="count(course)", keep_all_rows=True) & "n = 0",
            dj.U("sex") & uni.Student,
            dj.U("sex") & (uni.Student & False),
            dj.U("sex").aggr(uni.Student, n="count(*)"),
            dj.U().aggr(uni.Student & False, n="count(*)"),
            dj.U() & uni.Student,
            uni.Student.proj() + uni.StudentMajor,
            (uni.Student.proj() & False) + (uni.StudentMajor & False),
            uni.Student & dj.Top(5),
            uni.Student & dj.Top(5, offset=1000),
            uni.Department.aggr(uni.Course, n="count(*)") & dj.Top(2),
        ):
            rows = query.fetch(as_dict=True)
            assert len(query) == len(rows)
            assert bool(query) is bool(rows)
            assert len(query.fetch("KEY")) == len(rows)
            assert len(query.fetch(limit=3, as_dict=True)) == min(3, len(rows))
            assert sum(1 for _ in query) == len(rows)

    def test_length_of_a_class(self, uni, data):
        assert len(uni.Student) == len(data.students)
        assert bool(uni.Student) is True


# -- values -------------------------------------------------------------------------------------

TYPES = {
    "ti": ("tinyint", 1),
    "tiu": ("tinyint unsigned", 255),
    "si": ("smallint", -3),
    "siu": ("smallint unsigned", 4),
    "mi": ("mediumint", 5),
    "i": ("int", 7),
    "iu": ("int unsigned", 8),
    "bi": ("bigint", -9),
    "f": ("float", 1.5),
    "d": ("double", 0.1),
    "dc": ("decimal(8,3)", Decimal("1.500")),
    "c": ("char(4)", "ab"),
    "vc": ("varchar(20)", "abc"),
    "e": ("enum('x','y')", "x"),
    "b": ("bool", 1),
    "da": ("date", dt.date(2020, 1, 2)),
    "tm": ("time", dt.timedelta(seconds=3723)),
    "dt": ("datetime", dt.datetime(2020, 1, 2, 3, 4, 5)),
    "dt3": ("datetime(3)", dt.datetime(2020, 1, 2, 3, 4, 5, 678000)),
    "ts": ("timestamp", dt.datetime(2020, 1, 2, 3, 4, 5)),
    "y": ("year", 2020),
    "u": ("uuid", uuid.UUID(int=7)),
    "bl": ("longblob", [1, 2]),
}
INTEGERS = {"ti", "tiu", "si", "siu", "mi", "i", "iu", "bi", "b"}
FLOATS = {"f", "d"}


@pytest.fixture
def typed(schema):
    @schema
    class Full(dj.Manual):
        definition = "id : int\n---\n" + "\n".join(f"{n} : {t}" for n, (t, _) in TYPES.items())

    @schema
    class Nullable(dj.Manual):
        definition = "id : int\n---\n" + "\n".join(f"{n}=null : {t}" for n, (t, _) in TYPES.items())

    values = {name: value for name, (_, value) in TYPES.items()}
    Full.insert1({"id": 1, **values})
    Nullable.insert([{"id": 1, **values}, {"id": 3}])
    return SimpleNamespace(Full=Full, Nullable=Nullable)


class TestValues:
    def test_dtypes(self, typed):
        dtype = typed.Full.fetch().dtype
        for name in TYPES:
            expected = "int64" if name in INTEGERS else "float64" if name in FLOATS else "O"
            if name == "y":
                continue
            assert dtype[name] == np.dtype(expected), name
            assert typed.Full.fetch(name).dtype == np.dtype(expected), name

    def test_dtypes_of_nullable_attributes(self, typed):
        dtype = typed.Nullable.fetch().dtype
        for name in TYPES:
            expected = "float64" if name in FLOATS else "O"
            if name == "y":
                continue
            assert dtype[name] == np.dtype(expected), name
            assert typed.Nullable.fetch(name).dtype == np.dtype(expected), name

    @pytest.mark.parametrize("name", TYPES)
    def test_value_comes_back(self, typed, name):
        value = TYPES[name][1]
        assert typed.Full.fetch1(name) == value
        fetched = typed.Full.fetch1()[name]
        assert fetched == value
        assert type(fetched) is type(value)

    def test_nulls_in_dicts_are_none(self, typed):
        row = (typed.Nullable & "id = 3").fetch1()
        assert row == {"id": 3, **dict.fromkeys(TYPES)}
        assert (typed.Nullable & "id = 3").fetch(as_dict=True) == [row]
        assert [r for r in typed.Nullable if r["id"] == 3] == [row]

    def test_null_floats_in_arrays_are_nan(self, typed):
        array = typed.Nullable.fetch(order_by="id")
        for name in FLOATS:
            assert math.isnan(array[name][1])
            assert math.isnan((typed.Nullable & "id = 3").fetch(name)[0])
            assert math.isnan((typed.Nullable & "id = 3").fetch1(name))

    def test_other_nulls_in_arrays_are_none(self, typed):
        array = typed.Nullable.fetch(order_by="id")
        for name in set(TYPES) - FLOATS:
            assert array[name][1] is None, name
            assert (typed.Nullable & "id = 3").fetch1(name) is None, name

    def test_computed_attributes_are_objects(self, typed):
        query = typed.Full.proj(x="f + 1", n="i + 1", s="concat(c, vc)")
        assert query.fetch().dtype["x"] == np.dtype("O")
        assert query.fetch1() == {"id": 1, "x": 2.5, "n": 8, "s": "ababc"}
        assert query.fetch("n").dtype == np.dtype("O")

    def test_renamed_attributes_keep_their_types(self, typed):
        query = typed.Full.proj(a="u", b="bl", c="da", e="i", g="dc")
        assert query.fetch("e").dtype == np.dtype("int64")
        assert query.fetch1("a", "b", "c", "g") == (
            uuid.UUID(int=7),
            [1, 2],
            dt.date(2020, 1, 2),
            Decimal("1.500"),
        )

    def test_aggregates_keep_the_types_of_their_arguments(self, typed):
        query = dj.U().aggr(
            typed.Full, a="max(da)", b="max(dt)", c="max(tm)", d="sum(dc)", e="max(vc)", f="min(d)"
        )
        assert query.fetch1() == {
            "a": dt.date(2020, 1, 2),
            "b": dt.datetime(2020, 1, 2, 3, 4, 5),
            "c": dt.timedelta(seconds=3723),
            "d": Decimal("1.500"),
            "e": "abc",
            "f": 0.1,
        }

    def test_date_arithmetic(self, typed):
        query = typed.Full.proj(
            tomorrow="da + interval 1 day",
            hours="timestampdiff(hour, da, dt)",
            days="datediff(dt, '2019-12-31')",
            day="date(dt)",
        )
        assert query.fetch1() == {
            "id": 1,
            "tomorrow": dt.date(2020, 1, 3),
            "hours": 3,
            "days": 2,
            "day": dt.date(2020, 1, 2),
        }

    def test_uuid_restrictions(self, typed):
        for value in (uuid.UUID(int=7), str(uuid.UUID(int=7)), uuid.UUID(int=7).hex):
            assert (typed.Full & {"u": value}).fetch1("id") == 1
        assert len(typed.Full & {"u": uuid.UUID(int=8)}) == 0
        assert len(typed.Nullable & {"u": None}) == 1
        with pytest.raises(DataJointError, match="bogus"):
            (typed.Full & {"u": "bogus"}).fetch()

    @pytest.mark.parametrize(
        "value",
        [
            dt.datetime(2020, 1, 2, 3, 4, 5),
            "2020-01-02 03:04:05",
            np.datetime64("2020-01-02T03:04:05"),
        ],
        ids=["datetime", "str", "datetime64"],
    )
    def test_datetime_restrictions(self, typed, value):
        assert (typed.Full & {"dt": value}).fetch1("id") == 1
        assert (typed.Full & [{"dt": value}]).fetch1("id") == 1

    def test_float_restrictions(self, typed):
        assert (typed.Full & {"d": 0.1}).fetch1("id") == 1
        assert (typed.Full & {"f": np.float32(1.5)}).fetch1("id") == 1

    def test_boolean_restrictions(self, typed):
        assert (typed.Full & {"b": True}).fetch1("id") == 1
        assert (typed.Full & "b").fetch1("id") == 1
        assert len(typed.Full & {"b": False}) == 0

    def test_value_outside_of_the_type_matches_nothing(self, typed):
        assert len(typed.Full & {"ti": 1000}) == 0
        assert len(typed.Full & {"e": "z"}) == 0
        assert len(typed.Full - {"ti": 1000}) == 1

    def test_text_for_a_number_is_an_error(self, typed):
        with pytest.raises(DataJointError, match="`i` of type `int` cannot be compared with"):
            typed.Full & {"i": "bogus"}

    def test_key_of_every_type_round_trips(self, typed):
        row = typed.Full.fetch1()
        key = {name: value for name, value in row.items() if name != "bl"}
        assert len(typed.Full & key) == 1


class TestNullSemantics:
    @pytest.fixture
    def nulls(self, schema):
        @schema
        class Left(dj.Manual):
            definition = """
            a : int
            ---
            n = null : int
            """

        @schema
        class Right(dj.Manual):
            definition = """
            b : int
            ---
            n = null : int
            """

        @schema
        class Number(dj.Manual):
            definition = "n : int"

        Left.insert([(1, 10), (2, None), (3, 30)])
        Right.insert([(1, 10), (2, None), (3, None)])
        Number.insert([(10,), (20,)])
        return SimpleNamespace(Left=Left, Right=Right, Number=Number)

    def test_a_null_on_the_right_never_empties_an_exclusion(self, nulls):
        assert nulls.Number.fetch("n").tolist() == [10, 20]
        assert_rows(nulls.Number - nulls.Right, [{"n": 20}])
        assert_rows(nulls.Number & nulls.Right, [{"n": 10}])
        assert_rows(nulls.Number - dj.U("n").aggr(nulls.Right, k="count(*)"), [{"n": 20}])

    def test_complement_holds_with_nulls_on_the_left(self, nulls):
        kept = (nulls.Left & nulls.Number).fetch("a").tolist()
        left = (nulls.Left - nulls.Number).fetch("a").tolist()
        assert kept == [1]
        assert left == [2, 3]

    def test_equality_with_none(self, nulls):
        assert (nulls.Left & {"n": None}).fetch("a").tolist() == [2]
        assert (nulls.Left - {"n": None}).fetch("a").tolist() == [1, 3]
        assert (nulls.Left & [{"n": None}, {"n": 10}]).fetch("a").tolist() == [1, 2]
        assert (nulls.Left - [{"n": None}, {"n": 10}]).fetch("a").tolist() == [3]

    def test_exclusion_by_a_dict_keeps_nulls(self, nulls):
        assert (nulls.Left - {"n": 10}).fetch("a").tolist() == [2, 3]
        assert (nulls.Left - [{"n": 10}]).fetch("a").tolist() == [2, 3]

    def test_restriction_and_exclusion_by_a_string_are_complementary(self, nulls):
        assert (nulls.Left & "n > 20").fetch("a").tolist() == [3]
        assert (nulls.Left - "n > 20").fetch("a").tolist() == [1, 2]
        assert (nulls.Left & "n in (10, 20)").fetch("a").tolist() == [1]
        assert (nulls.Left - "n in (10, 20)").fetch("a").tolist() == [2, 3]

    def test_nulls_do_not_match_in_a_join(self, nulls):
        assert_rows(nulls.Left * nulls.Number, [{"a": 1, "n": 10}])
        assert_rows(nulls.Left @ nulls.Right, [{"a": 1, "b": 1, "n": 10}])

    def test_aggregates_pass_over_nulls(self, nulls):
        query = dj.U().aggr(nulls.Left, c="count(n)", k="count(*)", s="sum(n)", m="min(n)")
        assert query.fetch1() == {"c": 2, "k": 3, "s": 40, "m": 10}


# -- Top ----------------------------------------------------------------------------------------


class TestTop:
    def test_first_by_key(self, uni):
        assert student_ids(uni.Student & dj.Top(3)) == [1000, 1007, 1014]
        assert student_ids(uni.Student & dj.Top()) == [1000]

    def test_order_and_offset(self, uni, data):
        query = uni.Student & dj.Top(4, "date_of_birth desc, student_id", offset=2)
        expected = sorted(data.students, key=lambda s: s["student_id"])
        expected.sort(key=lambda s: s["date_of_birth"], reverse=True)
        result = query.fetch("student_id").tolist()
        assert sorted(result) == ids(expected[2:6])
        assert len(query) == 4

    def test_list_of_orders(self, uni, data):
        query = uni.Student & dj.Top(5, ["home_state", "KEY desc"])
        expected = sorted(data.students, key=lambda s: (s["home_state"], -s["student_id"]))
        assert student_ids(query) == ids(expected[:5])

    def test_without_limit_only_orders(self, uni, data):
        query = uni.Student & dj.Top(None, "student_id desc")
        assert query.fetch("student_id").tolist() == ids(data.students)[::-1]
        assert len(query) == len(data.students)

    def test_later_restrictions_filter_the_topped_rows(self, uni, data):
        query = uni.Student & dj.Top(20) & 'sex = "F"'
        expected = [s for s in data.students[:20] if s["sex"] == "F"]
        assert 0 < len(expected) < 20
        assert_rows(query, expected)

    def test_earlier_restrictions_come_first(self, uni, data):
        query = uni.Student & 'sex = "F"' & dj.Top(20)
        assert_rows(query, [s for s in data.students if s["sex"] == "F"][:20])

    def test_top_after_top(self, uni, data):
        query = uni.Student & dj.Top(10, "student_id desc") & dj.Top(3, "student_id")
        assert student_ids(query) == ids(data.students)[-10:-7]
        assert len(query) == 3
        wider = uni.Student & dj.Top(3) & dj.Top(10)
        assert student_ids(wider) == [1000, 1007, 1014]
        shifted = uni.Student & dj.Top(5, offset=2) & dj.Top(2, offset=1)
        assert student_ids(shifted) == [1021, 1028]

    def test_fetch_limit_after_top(self, uni, data):
        query = uni.Student & dj.Top(10, "student_id desc")
        result = query.fetch("student_id", order_by="student_id", limit=2).tolist()
        assert result == ids(data.students)[-10:-8]

    def test_operand_of_a_join(self, uni, data):
        top = uni.Student & dj.Top(30)
        expected = join(data.students[:30], data.majors)
        assert_rows(top * uni.StudentMajor, expected)
        assert_rows(uni.StudentMajor * top, expected)

    def test_join_then_top(self, uni, data):
        query = (uni.Student * uni.StudentMajor) & dj.Top(7, "student_id desc")
        assert student_ids(query) == ids(data.majors)[-7:]

    def test_operands_of_aggr(self, uni, data):
        query = (uni.Department & dj.Top(2, "dept")).aggr(uni.Course, n="count(*)")
        assert_rows(query, [{"dept": "BIOL", "n": 4}])  # ARTS comes first and has no courses
        query = uni.Department.aggr(uni.Course & dj.Top(6, "KEY"), n="count(*)")
        assert_rows(query, [{"dept": "BIOL", "n": 4}, {"dept": "CS", "n": 2}])

    def test_operand_of_universal_sets(self, uni, data):
        top = uni.Student & dj.Top(12)
        assert_rows(dj.U("sex") & top, distinct(data.students[:12], "sex"))
        assert_rows(dj.U().aggr(top, n="count(*)"), [{"n": 12}])

    def test_operand_of_a_restriction(self, uni, data):
        top = (uni.Student & dj.Top(12)).proj()
        expected = semijoin(data.enrolments, pick(data.students[:12], "student_id"))
        assert_rows(uni.Enroll & top, expected)
        assert_rows(uni.Enroll - top, antijoin(data.enrolments, expected))
        assert_rows(uni.Student & [top], data.students[:12])

    def test_operand_of_a_union(self, uni, data):
        query = (uni.Student & dj.Top(2)).proj() + (uni.Student & dj.Top(1, "KEY desc")).proj()
        assert student_ids(query) == [1000, 1007, ids(data.students)[-1]]

    def test_projection_keeps_the_top(self, uni):
        query = (uni.Student & dj.Top(2)).proj(x="student_id + 1")
        assert_rows(query, [{"student_id": 1000, "x": 1001}, {"student_id": 1007, "x": 1008}])

    def test_top_of_aggregates(self, uni, data):
        query = uni.Section.aggr(uni.Enroll, n="count(*)") & dj.Top(1, "n desc")
        every = counted(data.sections, data.enrolments, *SECTION_KEY)
        assert query.fetch1("n") == max(r["n"] for r in every)

    def test_exclusion_by_top_and_top_in_collections_are_errors(self, uni):
        for attempt in (
            lambda: uni.Student - dj.Top(1),
            lambda: uni.Student & [dj.Top(1)],
            lambda: uni.Student & dj.Not(dj.Top(1)),
            lambda: uni.Student & dj.Top(1, "bogus"),
        ):
            with pytest.raises(DataJointError):
                attempt()

    @pytest.mark.parametrize(
        "arguments",
        [{"limit": "2"}, {"limit": 1.5}, {"order_by": 5}, {"offset": "x"}],
        ids=repr,
    )
    def test_arguments_are_checked(self, arguments):
        with pytest.raises((TypeError, DataJointError)):
            dj.Top(**arguments)

    @pytest.mark.parametrize("order", [5, ["student_id", 5], [None]], ids=repr)
    def test_what_is_no_order_is_named(self, uni, order):
        with pytest.raises(TypeError, match=r"order_by takes names of attributes, not (5|None)"):
            uni.Student.fetch(order_by=order)

    def test_offset_can_be_none(self, uni):
        assert student_ids(uni.Student & dj.Top(2, offset=None)) == [1000, 1007]

    def test_limits_larger_than_the_databases_take(self, uni, data):
        assert student_ids(uni.Student & dj.Top(10**30)) == ids(data.students)
        assert len(uni.Student & dj.Top(3, offset=10**30)) == 0
        assert len(next(uni.Student.fetch_batches(size=10**30))) == len(data.students)

    def test_orders_do_not_aggregate(self, uni):
        with pytest.raises(DataJointError, match=r"'count\(\*\) desc' aggregates; .* `aggr`"):
            uni.Student & dj.Top(2, "student_id, count(*) desc")

    def test_and_list_with_top(self, uni, data):
        query = uni.Student & dj.AndList(['sex = "F"', dj.Top(3)])
        nested = uni.Student & dj.AndList(['sex = "F"', dj.AndList([dj.Top(3)])])
        assert nested.make_sql() == query.make_sql()
        assert_rows(query, [s for s in data.students if s["sex"] == "F"][:3])


# -- previews -----------------------------------------------------------------------------------


class TestPreview:
    @pytest.fixture
    def shown(self, schema):
        @schema
        class Shown(dj.Manual):
            definition = """
            # things <to> show
            a : int  # the "a" & more
            b : varchar(8)
            ---
            text = null : varchar(100)
            data = null : longblob
            """

        Shown.insert(
            [(i, "k", f"<b>row {i}</b> & more" if i else None, [i] * i or None) for i in range(30)]
        )
        return Shown

    def test_keys_are_marked(self, shown):
        header = repr(shown()).splitlines()[0].split()
        assert header == ["*a", "*b", "text", "data"]

    def test_total_and_limit(self, shown):
        lines = repr(shown()).splitlines()
        assert "(Total: 30)" in lines[-1]
        assert lines[-2].strip() == "..."
        assert len(lines) == 2 + 12 + 2
        lines = repr(shown & "a < 12").splitlines()
        assert "(Total: 12)" in lines[-1]
        assert len(lines) == 2 + 12 + 1

    def test_limit_is_configured(self, shown):
        with dj.config(display__limit=3):
            assert len(repr(shown()).splitlines()) == 2 + 3 + 2
        assert len(shown().preview(limit=2).splitlines()) == 2 + 2 + 2

    def test_width(self, shown):
        line = (shown & "a = 7").preview(width=50).splitlines()[2]
        assert "<b>row 7</b> & more" in line
        with dj.config(display__width=6):
            assert "row 7" not in repr(shown & "a = 7")

    def test_total_can_be_left_out(self, shown):
        with dj.config(display__show_tuple_count=False):
            assert "Total" not in repr(shown())

    def test_blobs_are_not_shown(self, shown):
        for line in repr(shown & "a > 0" & "a < 5").splitlines()[2:-1]:
            assert line.split()[-1] == "=BLOB="

    def test_nothing(self, shown):
        text = repr(shown & False)
        assert text.splitlines()[0].split() == ["*a", "*b", "text", "data"]
        assert "(Total: 0)" in text

    def test_str_is_repr(self, shown):
        assert str(shown()) == repr(shown())

    def test_every_kind_of_expression_has_a_preview(self, uni):
        for query, total in (
            (uni.Department.aggr(uni.Course, n="count(*)"), 4),
            (dj.U("sex") & uni.Student, 3),
            (uni.Student.proj() + uni.StudentMajor, 240),
            (dj.U().aggr(uni.Student, n="count(*)"), 1),
            (uni.Course * uni.Term, 144),
            (dj.U() & uni.Student, 1),
        ):
            assert f"(Total: {total})" in repr(query)
            assert f"Total: {total}" in query._repr_html_()

    def test_html_escapes(self, shown):
        html = (shown & "a = 7")._repr_html_()
        assert "&lt;b&gt;row 7&lt;/b&gt; &amp; more" in html
        assert "<b>row 7</b>" not in html
        assert "things &lt;to&gt; show" in html
        assert "the &quot;a&quot; &amp; more" in html
        assert "=BLOB=" in html
        assert "Total: 1" in html

    def test_universal_set(self):
        assert repr(dj.U("a", "b")) == "dj.U('a', 'b')"

    def test_multiline_text_stays_on_one_line(self, schema):
        @schema
        class Lines(dj.Manual):
            definition = """
            a : int
            ---
            text : varchar(100)
            """

        Lines.insert1((1, "new\nline\ttab"))
        assert len(repr(Lines()).splitlines()) == 4


class TestSQLOfUsers:
    def test_unknown_attributes(self, uni):
        with pytest.raises(UnknownAttributeError, match="`bogus` is not an attribute"):
            uni.Student.make_sql(["sex", "bogus"])

    """What existing code makes its own statements of."""

    @pytest.mark.parametrize(
        "restrict",
        [
            lambda uni: uni.Student(),
            lambda uni: uni.Student & {"last_name": 'de "Ville"'},
            lambda uni: uni.Student & {"last_name": "Back\\slash"},
            lambda uni: uni.Student & [{"last_name": "O'Neil"}, 'sex = "F"'],
            lambda uni: uni.Student & uni.Enroll & {"home_state": "TX"},
            lambda uni: uni.Student - uni.StudentMajor,
            lambda uni: uni.Student & dj.Top(3),
            lambda uni: uni.Student.proj(x="student_id + 1") & "x > 1100",
            lambda uni: uni.Student.aggr(uni.Enroll, n="count(*)") & "n > 2",
        ],
    )
    def test_clauses(self, uni, backend, restrict):
        query = restrict(uni)
        selected = query.heading.as_sql(["student_id"])
        if backend == "postgresql":
            selected = selected.replace("`", '"')
        statement = f"SELECT {selected} FROM {query.from_clause()}{query.where_clause()}"
        rows = query.connection.query(statement.replace("%", "%%")).fetchall()
        assert sorted(n for (n,) in rows) == student_ids(query)

    def test_where_clause_of_a_delete(self, schema):
        @schema
        class Item(dj.Manual):
            definition = """
            item : int
            ---
            name : varchar(20)
            """

        Item.insert(enumerate(["a\\", "b'", "c"]))
        query = Item & [{"name": "a\\"}, {"name": "b'"}]
        table = Item.connection.dialect.table(Item.database, Item.table_name)
        assert query.from_clause() == table
        Item.connection.query(f"DELETE FROM {table}{query.where_clause()}")
        assert Item.fetch("name").tolist() == ["c"]

    def test_make_sql_can_be_run(self, uni):
        query = uni.Student & [{"last_name": "Back\\slash"}, {"last_name": "O'Neil"}]
        rows = query.connection.query(query.make_sql(["student_id"]).replace("%", "%%"))
        assert sorted(n for (n,) in rows.fetchall()) == student_ids(query)

    def test_as_sql_of_what_is_unknown(self, uni):
        assert uni.Term.heading.as_sql(("term_year", "term")) == "`term_year`,`term`"
        with pytest.raises(UnknownAttributeError, match="did you mean `term`"):
            uni.Term.heading.as_sql(["terms"])
