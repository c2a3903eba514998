"""How entities came to be: hidden attributes, what is stale, and making it again."""

from __future__ import annotations

import datetime as dt
import importlib
import linecache
import platform
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

import datajoint as dj
from datajoint import codebase, provenance
from datajoint.blob import pack
from datajoint.declare import PROVENANCE
from datajoint.errors import DataJointError


@pytest.fixture
def Trace(schema):
    @schema
    class Trace(dj.Manual):
        definition = """
        trace : int
        ---
        level : int
        """

    Trace.insert([(1, 10), (2, 20)])
    return Trace


def hidden(class_):
    return [a.name for a in class_().heading.all_attributes if a.is_hidden]


def doubled(schema, Trace, *, provenance=None, definition="-> Trace\n---\ndouble_level : int"):
    on = provenance

    class Doubled(dj.Computed):
        provenance = on

        def make(self, key):
            level = (Trace & key).fetch1("level")
            self.insert1(dict(key, double_level=2 * level))

    Doubled.definition = definition
    return schema(Doubled, context={"Trace": Trace})


class TestDeclaration:
    def test_by_the_setting(self, schema, Trace):
        with dj.config(populate__provenance=True):
            Doubled = doubled(schema, Trace)

            @schema
            class Note(dj.Manual):
                definition = "note : int"

        assert hidden(Doubled) == list(PROVENANCE)
        assert hidden(Note) == []

    def test_by_the_class(self, schema, Trace):
        assert hidden(doubled(schema, Trace, provenance=True)) == list(PROVENANCE)

    def test_the_class_has_the_last_word(self, schema, Trace):
        with dj.config(populate__provenance=True):
            assert hidden(doubled(schema, Trace, provenance=False)) == []

    def test_nobody_sees_them(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        assert Doubled.heading.names == ["trace", "double_level"]
        assert "_made" not in Doubled.describe()
        assert "_made" not in repr(Doubled.heading)
        assert "_made" not in schema.code
        Doubled.insert1((1, 20), allow_direct_insert=True)
        assert Doubled.fetch1() == {"trace": 1, "double_level": 20}
        assert "_made" not in repr(Doubled())

        @schema
        class Copy(dj.Manual):
            definition = Doubled.describe({})

        assert Copy.heading.names == Doubled.heading.names

    def test_altered(self, schema, Trace, capsys):
        Doubled = doubled(schema, Trace)
        Doubled.populate()
        assert hidden(Doubled) == []
        Doubled.alter(prompt=False)
        assert hidden(Doubled) == []
        with dj.config(populate__provenance=True):
            Doubled.alter(prompt=False)
            assert hidden(Doubled) == list(PROVENANCE)
            Doubled.alter(prompt=False)
        Doubled.definition += "\nnote = '' : varchar(10)"
        Doubled.alter(prompt=False)  # the setting is off: they stay
        assert hidden(Doubled) == list(PROVENANCE)
        assert Doubled.fetch(as_dict=True, order_by="KEY") == [
            {"trace": 1, "double_level": 20, "note": ""},
            {"trace": 2, "double_level": 40, "note": ""},
        ]

    def test_part_tables_have_none(self, schema, Trace):
        @schema
        class Pieces(dj.Computed):
            provenance = True
            definition = "-> Trace"

            class Piece(dj.Part):
                definition = "-> master\npiece : int"

        assert hidden(Pieces) == list(PROVENANCE)
        assert hidden(Pieces.Piece) == []

    def test_beside_a_hidden_timestamp(self, schema, Trace):
        with dj.config(add_hidden_timestamp=True):
            Doubled = doubled(schema, Trace, provenance=True)
        assert hidden(Doubled)[:-1] == list(PROVENANCE)
        Doubled.alter(prompt=False)
        assert len(hidden(Doubled)) == len(PROVENANCE) + 1

    def test_table_of_one_entity(self, schema, Trace):
        @schema
        class Total(dj.Computed):
            provenance = True
            definition = "---\ntotal : int"

            @property
            def key_source(self):
                return dj.U().aggr(Trace, n="count(*)")

            def make(self, key):
                self.insert1({"total": sum(Trace.fetch("level"))})

        assert hidden(Total)[-len(PROVENANCE) :] == list(PROVENANCE)
        assert Total.heading.names == ["total"]
        assert Total.populate() == done(1)
        assert Total.made().fetch1("made_host") == platform.node()
        assert Total.stale() == []
        Trace.insert1((3, 30))
        assert Total.stale() == [({}, f"{Trace.full_table_name} has changed")]
        assert Total.populate(refresh="stale") == done(1)
        assert Total.fetch1("total") == 60
        assert Total.stale() == []


DONE = {"success_count": 0, "error_list": []}


def done(count):
    return {"success_count": count, "error_list": []}


class TestKeeping:
    def test_what_is_kept(self, schema, Trace, connection):
        Doubled = doubled(schema, Trace, provenance=True)
        before = dt.datetime.now().replace(microsecond=0)
        assert Doubled.populate() == done(2)
        assert Doubled.made().heading.names == ["trace", *(name[1:] for name in PROVENANCE)][:-1]
        for row in Doubled.made().fetch(as_dict=True):
            assert before <= row["made_at"] <= dt.datetime.now()
            assert 0 < row["made_seconds"] < 60
            assert row["made_host"] == platform.node()
            assert row["made_user"] == connection.get_user()
            assert row["made_version"] == codebase.versions_of(__name__)
            assert row["made_commit"] == codebase.commit_of(__name__)
            assert row["made_code"].startswith("source:")
        assert len(set(Doubled.made().fetch("made_code"))) == 1

    def test_it_is_a_query(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()
        assert len(Doubled.made("trace = 1") & "made_seconds < 60") == 1
        assert (Doubled & "trace = 2").made().fetch1("trace") == 2
        assert len(Trace * Doubled.made()) == 2
        assert "made_commit" in repr(Doubled.made())

    def test_rows_without_provenance(self, schema, Trace):
        Doubled = doubled(schema, Trace)
        Doubled.populate("trace = 1")
        with dj.config(populate__provenance=True):
            Doubled.alter(prompt=False)
            Doubled.populate()
            assert list(Doubled.made().fetch("made_host", order_by="KEY")) == [
                None,
                platform.node(),
            ]
            Trace.update1({"trace": 1, "level": 11})
            Trace.update1({"trace": 2, "level": 21})
            assert [key for key, _ in Doubled.stale()] == [{"trace": 2}]

    def test_switched_off_again(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate("trace = 1")
        type.__setattr__(Doubled, "provenance", False)
        Doubled.populate()
        assert list(Doubled.made().fetch("made_host", order_by="KEY")) == [platform.node(), None]

    def test_table_that_was_not_altered(self, schema, Trace, caplog):
        Doubled = doubled(schema, Trace)
        with dj.config(populate__provenance=True):
            assert Doubled.populate("trace = 1") == done(1)
            assert Doubled.populate() == done(1)
        warnings = [r.getMessage() for r in caplog.records if "rovenance" in r.getMessage()]
        assert warnings == [
            f"Provenance of {Doubled.full_table_name} is not kept: the table was declared without "
            "it. Call its `alter()` to add it"
        ]
        for question in (Doubled.stale, Doubled.made, lambda: Doubled.populate(refresh="stale")):
            with pytest.raises(DataJointError, match=r"(?s)No provenance of .*`alter\(\)`"):
                question()

    def test_several_entities_of_a_key(self, schema, Trace):
        @schema
        class Step(dj.Computed):
            provenance = True
            definition = """
            -> Trace
            step : int
            ---
            height : int
            """

            @property
            def key_source(self):
                return Trace

            def make(self, key):
                level = (Trace & key).fetch1("level")
                self.insert(dict(key, step=n, height=n * level) for n in range(3))

        Step.populate()
        assert set(Step.made().fetch("made_host")) == {platform.node()}
        Trace.update1({"trace": 2, "level": 21})
        reason = f"{Trace.full_table_name} has changed"
        assert Step.stale() == [({"trace": 2}, reason)]
        assert Step.populate(refresh="stale") == done(1)
        assert list((Step & "trace = 2").fetch("height", order_by="KEY")) == [0, 21, 42]
        assert Step.stale() == []

    def test_an_error_keeps_nothing(self, schema, Trace):
        @schema
        class Failing(dj.Computed):
            provenance = True
            definition = "-> Trace"

            def make(self, key):
                self.insert1(key)
                raise ValueError("no")

        Failing.populate(suppress_errors=True)
        assert len(Failing()) == 0


class Sequence:
    """What an adapter makes that does not say when two of it are equal."""

    def __init__(self, words):
        self.words = words


class TestStale:
    def test_nothing_is_at_first(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()
        assert Doubled.stale() == []

    def test_changed_input(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()
        Trace.insert1((3, 30))
        assert Doubled.stale() == []
        Trace.update1({"trace": 2, "level": 21})
        reason = f"{Trace.full_table_name} has changed"
        assert Doubled.stale() == [({"trace": 2}, reason)]
        assert Doubled.stale("trace = 1") == []
        assert (Doubled & "trace = 2").stale() == [({"trace": 2}, reason)]
        Trace.update1({"trace": 2, "level": 20})
        assert Doubled.stale() == []

    def test_a_key_that_has_left_the_key_source(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.key_source = property(lambda self: Trace & "level < 100")
        Doubled.populate()
        Trace.update1({"trace": 1, "level": 1000})
        Trace.update1({"trace": 2, "level": 21})
        reason = f"{Trace.full_table_name} has changed"
        gone = ({"trace": 1}, f"{reason}; the key source does not have it any more")
        assert sorted(Doubled.stale(), key=str) == [gone, ({"trace": 2}, reason)]
        assert Doubled.populate(refresh="stale") == done(1)
        assert Doubled.stale() == [gone]

    @pytest.mark.parametrize("kind", [list, Sequence], ids=["unhashable", "equal to itself alone"])
    def test_keys_of_adapters(self, schema, kind):
        class Words(dj.AttributeAdapter):
            attribute_type = "varchar(30)"

            def put(self, value):
                return " ".join(value if kind is list else value.words)

            def get(self, value):
                return kind(value.split(" "))

        words = Words()

        class Text(dj.Manual):
            definition = "text : <words>\n---\nlevel : int"

        schema(Text, context={"words": words})

        @schema
        class Level(dj.Computed):
            definition = "-> Text\n---\nlevel : int"
            provenance = True

            def make(self, key):
                self.insert1({**key, "level": (Text & key).fetch1("level")})

        Text.insert([(kind(["a", "b"]), 1), (kind(["c"]), 2)])
        Level.populate()
        Text.update1({"text": kind(["c"]), "level": 3})
        [(key, reason)] = Level.stale()
        assert words.put(key["text"]) == "c"
        assert reason == f"{Text.full_table_name} has changed"
        assert Level.populate(refresh="stale") == done(1)
        assert Level.stale() == []

    def test_changed_code(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()

        def make(self, key):
            # with a comment
            level = (Trace & key).fetch1("level")
            self.insert1(dict(key, double_level=level + level))

        Doubled.make = make
        assert sorted(Doubled.stale(), key=str) == [
            ({"trace": 1}, "`make` has changed"),
            ({"trace": 2}, "`make` has changed"),
        ]
        Trace.update1({"trace": 2, "level": 21})
        assert (Doubled & "trace = 2").stale() == [
            ({"trace": 2}, f"`make` has changed; {Trace.full_table_name} has changed")
        ]
        assert Doubled.populate(refresh="stale") == done(2)
        assert Doubled.stale() == []

    def test_what_was_read_in_every_way(self, schema, Trace, connection):
        ways = {
            "fetch": lambda key: Trace.fetch("level"),
            "fetch1": lambda key: (Trace & "trace = 2").fetch1(),
            "len": lambda key: len(Trace()),
            "bool": lambda key: bool(Trace & "level > 20"),
            "in": lambda key: {"trace": 3, "level": 30} in Trace(),
            "iteration": lambda key: list(Trace()),
            "aggregation": lambda key: dj.U().aggr(Trace, n="sum(level)").fetch1("n"),
            "limit": lambda key: Trace.fetch(limit=1, order_by="level desc"),
            "query": lambda key: connection.query(
                f"SELECT max(level) FROM {Trace().from_clause()} WHERE level > %s", (1,)
            ).fetchall(),
            "values": lambda key: (
                Trace & [{"trace": 2}, {"trace": 3, "level": 30}] & "level > 1.5"
            ).fetch(),
        }

        @schema
        class Way(dj.Lookup):
            definition = "way : varchar(20)"
            contents = [(way,) for way in (*ways, "none")]  # noqa: RUF012

        @schema
        class Seen(dj.Computed):
            provenance = True
            definition = "-> Way"

            def make(self, key):
                ways.get(key["way"], lambda key: None)(key)
                self.insert1(key)

        Seen.populate()
        assert Seen.stale() == []
        Trace.insert1((3, 30))
        Trace.update1({"trace": 2, "level": 200})
        reasons = {key["way"]: reason for key, reason in Seen.stale()}
        assert reasons == dict.fromkeys(ways, f"{Trace.full_table_name} has changed")

    def test_insert_from_a_query(self, schema, Trace):
        @schema
        class Copy(dj.Computed):
            provenance = True
            definition = "-> Trace\n---\nlevel : int"

            def make(self, key):
                self.insert(Trace & key)

        Copy.populate()
        assert Copy.stale() == []
        Trace.update1({"trace": 2, "level": 21})
        assert Copy.stale() == [({"trace": 2}, f"{Trace.full_table_name} has changed")]

    def test_what_make_changes_is_no_input(self, schema, Trace):
        @schema
        class Version(dj.Lookup):
            definition = "version : int"

        @schema
        class Made(dj.Computed):
            provenance = True
            definition = "-> Trace\n---\n-> Version\nbefore_it : int"

            class Part(dj.Part):
                definition = "-> master\npart : int"

            def make(self, key):
                if not Version & "version = 1":
                    Version.insert1((1,))
                self.insert1(dict(key, version=1, before_it=len(Made())))
                len(Made() & key), len(Made.Part()), Version.fetch()
                self.Part.insert1(dict(key, part=1))
                self.connection.query("SELECT 1")

        Made.populate()
        assert len(Made.Part()) == 2
        assert Made.stale() == []

    def test_time_and_chance_are_no_inputs(self, schema, Trace):
        @schema
        class Made(dj.Computed):
            provenance = True
            definition = "-> Trace"

            def make(self, key):
                Trace.proj(moment="now()").fetch()
                (Trace & "level > 100 * rand()").fetch()
                (Trace & "to_days(curdate()) > 1").fetch()
                self.connection.query("SELECT current_timestamp").fetchall()
                (Trace & "level < 15").proj(word="'rand()'").fetch()
                self.insert1(key)

        Made.populate()
        assert Made.stale() == []
        Trace.update1({"trace": 2, "level": 1})
        assert len(Made.stale()) == 2

    def test_tables_of_datajoint_are_no_inputs(self, schema, Trace):
        @schema
        class Made(dj.Computed):
            provenance = True
            definition = "-> Trace"

            def make(self, key):
                schema.jobs.fetch()
                self.insert1(key)

        schema.jobs.reserve("x", {"a": 1})
        Made.populate(reserve_jobs=True)
        schema.jobs.reserve("x", {"a": 2})
        assert Made.stale() == []

    def test_three_parts(self, schema, Trace):
        @schema
        class Thrice(dj.Computed):
            provenance = True
            definition = "-> Trace\n---\nlevel : int"

            def make_fetch(self, key):
                return ((Trace & key).fetch1("level"),)

            def make_compute(self, key, level):
                return (3 * level,)

            def make_insert(self, key, level):
                self.insert1(dict(key, level=level))

        @schema
        class Generated(dj.Computed):
            provenance = True
            definition = "-> Trace\n---\nlevel : int"

            def make(self, key):
                fetched = (Trace & key).fetch1("level")
                computed = yield (fetched,)
                if computed is None:
                    computed = (3 * fetched,)
                    yield computed
                self.insert1(dict(key, level=computed[0]))
                yield

        for class_ in (Thrice, Generated):
            Trace.update1({"trace": 2, "level": 20})
            class_.populate()
            assert class_.stale() == []
            Trace.update1({"trace": 2, "level": 21})
            assert class_.stale() == [({"trace": 2}, f"{Trace.full_table_name} has changed")]
            assert class_.populate(refresh="stale") == done(1)
            assert (class_ & "trace = 2").fetch1("level") == 63
        hashes = {class_.made("trace = 1").fetch1("made_code") for class_ in (Thrice, Generated)}
        assert len(hashes) == 2

    def test_table_that_is_no_longer_there(self, schema, Trace):
        @schema
        class Setting(dj.Lookup):
            definition = "setting : int"
            contents = ((1,),)

        @schema
        class Made(dj.Computed):
            provenance = True
            definition = "-> Trace"

            def make(self, key):
                Setting.fetch()
                self.insert1(key)

        Made.populate()
        name = Setting.full_table_name
        Setting.drop()
        assert [reason for _, reason in Made.stale()] == [f"{name} has changed"] * 2
        Made.make = lambda self, key: self.insert1(key)
        assert Made.populate(refresh="stale") == done(2)
        assert Made.stale() == []

    def test_each_statement_is_run_once(self, schema, Trace, connection, monkeypatch):
        Trace.insert((n, n) for n in range(10, 30))

        @schema
        class Made(dj.Computed):
            provenance = True
            definition = "-> Trace"

            def make(self, key):
                len(Trace())
                self.insert1(key)

        Made.populate()
        count = 0
        changed = connection.changed

        def counted(reads):
            nonlocal count
            count += 1
            return changed(reads)

        monkeypatch.setattr(connection, "changed", counted)
        assert Made.stale() == []
        assert count == 1

    def test_in_a_store(self, schema, stores):
        @schema
        class Image(dj.Manual):
            definition = "image : int\n---\npixels : blob@store"

        @schema
        class Mean(dj.Computed):
            provenance = True
            definition = "-> Image\n---\nmean : float"

            def make(self, key):
                self.insert1(dict(key, mean=(Image & key).fetch1("pixels").mean()))

        Image.insert((n, np.full(5, n)) for n in (1, 2))
        Mean.populate()
        assert Mean.stale() == []
        Image.insert1((3, np.full(5, 3)))
        Image.update1({"image": 1, "pixels": np.full(5, 7)})
        assert Mean.stale() == [({"image": 1}, f"{Image.full_table_name} has changed")]

    def test_other_sessions_see_it(self, schema, Trace, connect):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()
        Trace.update1({"trace": 2, "level": 21})
        other = connect()
        virtual = dj.VirtualModule("lab", schema.database, connection=other)
        assert virtual.Doubled.stale() == [({"trace": 2}, f"{Trace.full_table_name} has changed")]
        assert len(virtual.Doubled.made()) == 2


class TestPlantedStatements:
    """What is kept is data, which others may write: only what reads is run."""

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM {}",
            "SELECT 1; DELETE FROM {}",
            "WITH gone AS (DELETE FROM {} RETURNING *) SELECT * FROM gone",
            "SELECT * INTO copied FROM {}",
            " /* SELECT */ UPDATE {} SET level = 0",
            "DROP TABLE {}",
            "COMMIT",
        ],
    )
    @pytest.mark.parametrize("refresh", [False, True])
    def test_they_are_not_run(self, schema, Trace, connection, monkeypatch, statement, refresh):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate("trace = 1")
        table, target = (
            connection.dialect.table(t.database, t.table_name) for t in (Trace(), Doubled())
        )
        planted = pack([1, [statement.format(table), [], "0:0", []]])
        column = connection.dialect.quote("_made_inputs")
        connection.query(f"UPDATE {target} SET {column} = %s", (planted,))
        ((key, reason),) = Doubled.stale()
        assert key == {"trace": 1}
        assert (
            reason == f"{statement.format(table)!r} is not run again, since it may change something"
        )
        if refresh:
            assert Doubled.populate(refresh="stale") == {"success_count": 2, "error_list": []}
            assert Doubled.stale() == []
        assert Trace.fetch("level", order_by="KEY").tolist() == [10, 20]

    def test_what_may_change_something_is_not_kept(self, schema, Trace, connection):
        @schema
        class Odd(dj.Computed):
            definition = "-> Trace"
            provenance = True

            def make(self, key):
                len(Trace & key & "level <> 99 or 'please delete' = ''")
                self.insert1(key)

        Odd.populate()
        Trace.update1({"trace": 1, "level": 11})
        assert Odd.stale() == []


class TestRefresh:
    @pytest.fixture
    def pipeline(self, schema, Trace):
        failing = set()

        @schema
        class Doubled(dj.Computed):
            provenance = True
            definition = "-> Trace\n---\nlevel : int"

            class Half(dj.Part):
                definition = "-> master\nhalf : int"

            def make(self, key):
                level = (Trace & key).fetch1("level")
                self.insert1(dict(key, level=2 * level))
                self.Half.insert(dict(key, half=n) for n in (1, 2))
                if key["trace"] in failing:
                    raise ValueError("not now")

        @schema
        class Further(dj.Computed):
            definition = "-> Doubled.Half"

            @property
            def key_source(self):
                return Doubled.Half

            def make(self, key):
                self.insert1(key)

        Trace.insert1((3, 30))
        Doubled.populate("trace < 3")
        Further.populate()
        Trace.update1({"trace": 1, "level": 11})
        return SimpleNamespace(Trace=Trace, Doubled=Doubled, Further=Further, failing=failing)

    def levels(self, pipeline):
        return dict(zip(*pipeline.Doubled.fetch("trace", "level"), strict=True))

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_stale_and_pending_ones(self, pipeline, reserve_jobs, schema):
        assert pipeline.Doubled.populate(refresh="stale", reserve_jobs=reserve_jobs) == done(2)
        assert self.levels(pipeline) == {1: 22, 2: 40, 3: 60}
        assert len(pipeline.Doubled.Half()) == 6
        assert list(pipeline.Further.fetch("trace")) == [2, 2]
        assert pipeline.Doubled.stale() == []
        assert len(schema.jobs) == 0
        assert pipeline.Doubled.populate(refresh="stale") == DONE
        assert pipeline.Further.populate() == done(4)

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_nothing_is_lost_by_an_error(self, pipeline, reserve_jobs, schema):
        pipeline.failing.add(1)
        result = pipeline.Doubled.populate(
            refresh="stale", suppress_errors=True, reserve_jobs=reserve_jobs
        )
        assert result == {
            "success_count": 1,
            "error_list": [({"trace": 1}, "ValueError: not now")],
        }
        assert self.levels(pipeline) == {1: 20, 2: 40, 3: 60}
        assert len(pipeline.Doubled.Half()) == 6
        assert len(pipeline.Further()) == 4
        assert [key for key, _ in pipeline.Doubled.stale()] == [{"trace": 1}]
        assert list(schema.jobs.fetch("status")) == ["error"] * reserve_jobs
        pipeline.failing.clear()
        assert pipeline.Doubled.populate(refresh="stale") == done(1)
        with_error = pipeline.Doubled.populate(refresh="stale", reserve_jobs=True)
        assert with_error == DONE

    def test_an_error_ends_it(self, pipeline):
        pipeline.failing.add(1)
        with pytest.raises(ValueError, match="not now"):
            pipeline.Doubled.populate(refresh="stale")
        assert self.levels(pipeline) == {1: 20, 2: 40}

    def test_restrictions_and_limits(self, pipeline):
        Doubled = pipeline.Doubled
        pipeline.Trace.update1({"trace": 2, "level": 21})
        assert Doubled.populate("trace = 2", refresh="stale") == done(1)
        assert self.levels(pipeline) == {1: 20, 2: 42}
        assert Doubled.populate(refresh="stale", max_calls=1) == done(1)
        assert self.levels(pipeline) == {1: 22, 2: 42}
        assert Doubled.populate(refresh="stale", max_calls=1) == done(1)
        assert self.levels(pipeline) == {1: 22, 2: 42, 3: 60}

    def test_given_keys(self, pipeline):
        pipeline.Trace.update1({"trace": 2, "level": 21})
        assert pipeline.Doubled.populate(keys=[{"trace": 2}], refresh="stale") == done(1)
        assert self.levels(pipeline) == {1: 20, 2: 42}

    def test_what_is_not_computed_is_not_deleted(self, pipeline, schema):
        Doubled = pipeline.Doubled

        @schema
        class Curated(dj.Manual):
            definition = "-> Doubled\n---\nnote : varchar(10)"

        Curated.insert1((1, "good"))
        result = Doubled.populate(refresh="stale", suppress_errors=True)
        assert result["success_count"] == 1
        ((key, message),) = result["error_list"]
        assert key == {"trace": 1}
        assert f"in {Curated.full_table_name} (1 of its rows), is not computed" in message
        assert len(Curated()) == 1
        assert self.levels(pipeline) == {1: 20, 2: 40, 3: 60}

    def test_parts_of_others(self, pipeline, schema):
        """Masters that are computed go with their parts."""
        Doubled = pipeline.Doubled

        @schema
        class Summary(dj.Computed):
            definition = "summary : int"

            class Item(dj.Part):
                definition = "-> master\n-> Doubled"

            @property
            def key_source(self):
                return dj.U("summary") & [{"summary": 1}]

            def make(self, key):
                self.insert1(key)
                self.Item.insert(dict(key, **item) for item in Doubled.fetch("KEY"))

        Summary.insert1((1,), allow_direct_insert=True)
        Summary.Item.insert([(1, 1), (1, 2)], allow_direct_insert=True)
        assert Doubled.populate("trace = 1", refresh="stale") == done(1)
        assert len(Summary()) == len(Summary.Item()) == 0

    def test_wrong_arguments(self, pipeline):
        with pytest.raises(DataJointError, match="`refresh` is 'stale' or None, not 'all'"):
            pipeline.Doubled.populate(refresh="all")

    def test_refreshed_by_others_meanwhile(self, pipeline, connect):
        """A key that is no longer stale when its turn comes is passed over."""
        Doubled = pipeline.Doubled
        pipeline.Trace.update1({"trace": 2, "level": 21})
        calls = []
        make = Doubled.make

        def counted(self, key):
            calls.append(key["trace"])
            make(self, key)
            if len(calls) == 1:
                pipeline.Trace.update1({"trace": 2, "level": 20})

        Doubled.make = counted
        Doubled.populate("trace < 3", refresh="stale")
        assert sorted(calls) == [1, 2]

    def test_by_other_processes(self, schema, Trace):
        Trace.insert((n, n) for n in range(10, 20))
        Doubled = doubled(schema, Trace, provenance=True)
        code = provenance.code_of(Doubled)
        assert Doubled.populate("trace < 18", processes=2, reserve_jobs=True) == done(10)
        assert set(Doubled.made().fetch("made_code")) == {code}
        assert Doubled.stale() == []
        for trace in (1, 12, 13):
            Trace.update1({"trace": trace, "level": 5})
        assert len(Doubled.stale()) == 3
        assert Doubled.populate(refresh="stale", processes=2, reserve_jobs=True) == done(5)
        assert Doubled.stale() == []
        assert len(Doubled & "double_level = 10") == 3
        assert len(Doubled()) == 12

    def test_two_at_once(self, schema, Trace, connect):
        """Two workers make each stale key again once, between them."""
        Trace.insert((n, n) for n in range(10, 30))
        calls = []

        def declare(schema):
            @schema
            class Trace(dj.Manual):
                definition = "trace : int\n---\nlevel : int"

            @schema
            class Doubled(dj.Computed):
                provenance = True
                definition = "-> Trace\n---\nlevel : int"

                def make(self, key):
                    level = (Trace & key).fetch1("level")
                    self.insert1(dict(key, level=2 * level))
                    calls.append(key["trace"])
                    time.sleep(0.005)

            return Doubled

        mine = declare(schema)
        mine.populate()
        other = declare(dj.Schema(schema.database, connection=connect()))
        for key in Trace.fetch("KEY"):
            Trace.update1({**key, "level": key["trace"] + 1})
        calls.clear()
        with ThreadPoolExecutor(2) as pool:
            futures = [
                pool.submit(class_().populate, refresh="stale", reserve_jobs=True, order="random")
                for class_ in (mine, other)
            ]
            results = [future.result() for future in futures]
        assert sum(result["success_count"] for result in results) == 22
        assert [result["error_list"] for result in results] == [[], []]
        assert set(calls) == {1, 2, *range(10, 30)}
        assert mine.stale() == []
        assert len(schema.jobs) == 0


class TestValues:
    def test_of_every_type(self, schema):
        """Whatever a query was given can be given to it again."""

        @schema
        class Sample(dj.Manual):
            definition = """
            a : int
            b : bigint
            c : decimal(6, 2)
            d : datetime(3)
            e : uuid
            g : double
            h : bool
            i : enum('x', 'y')
            j : date
            k : time
            l : timestamp
            n : varchar(10)
            ---
            value : int
            o : json
            """

        row = {
            "a": 1,
            "b": 2**40,
            "c": Decimal("1.50"),
            "d": dt.datetime(2020, 1, 2, 3, 4, 5, 678000),
            "e": uuid.UUID(int=5),
            "g": 0.1,
            "h": True,
            "i": "x",
            "j": dt.date(2020, 1, 2),
            "k": dt.timedelta(hours=-3, seconds=5),
            "l": dt.datetime(2020, 1, 2, 3, 4, 5),
            "n": "ünï",
            "value": 1,
            "o": {"p": [1, None]},
        }
        Sample.insert([row, row | {"a": 2}])
        asked = [{name: value} for name, value in row.items() if name not in ("value", "o")]
        asked += [row, {"o.p[0]": 1}, [{"a": 1, "b": 2**40}, {"a": 2, "b": 2**40}]]
        asked += ["c > 1.25 and n like 'ü%'", 'd > "2020-01-01"', "not h"]

        @schema
        class Question(dj.Lookup):
            definition = "question : int"
            contents = [(n,) for n in range(len(asked))]  # noqa: RUF012

        @schema
        class Answer(dj.Computed):
            provenance = True
            definition = "-> Question"

            def make(self, key):
                (Sample & asked[key["question"]]).fetch()
                self.insert1(key)

        assert Answer.populate() == done(len(asked))
        assert Answer.stale() == []
        for a in (1, 2):
            Sample.update1(
                {name: value for name, value in row.items() if name != "o"} | {"a": a, "value": 2}
            )
        changed = {key["question"] for key, _ in Answer.stale()}
        assert changed == set(range(len(asked) - 1))  # nothing is "not h"


class TestRows:
    def test_replaced_ones_have_none(self, schema, Trace):
        Doubled = doubled(schema, Trace, provenance=True)
        Doubled.populate()
        Doubled.insert1((1, 5), replace=True, allow_direct_insert=True)
        assert list(Doubled.made().fetch("made_host", order_by="KEY")) == [None, platform.node()]
        Doubled.update1({"trace": 2, "double_level": 6})
        assert (Doubled & "trace = 2").made().fetch1("made_host") == platform.node()

    def test_input_that_is_too_large(self, schema, Trace, monkeypatch, caplog):
        monkeypatch.setattr(provenance, "_LARGEST", 100)
        Doubled = doubled(schema, Trace, provenance=True)
        assert Doubled.populate() == done(2)
        assert "has read is not kept: its 1 queries take more than 100 bytes" in caplog.text
        Trace.update1({"trace": 1, "level": 11})
        assert Doubled.stale() == []


class TestCode:
    def test_it_stays_with_the_class(self, tmp_path, monkeypatch):
        """A file that is edited while the program runs is not what the program runs."""
        file = tmp_path / "edited_while_it_runs.py"
        source = (
            "import datajoint as dj\nclass A(dj.Computed):\n    def make(self, key):\n        {}"
        )
        file.write_text(source.format("return 1"))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        module = importlib.import_module("edited_while_it_runs")
        before = provenance.code_of(module.A)
        assert before.startswith("source:")
        file.write_text(source.format("return 123456"))
        linecache.checkcache()
        assert provenance.code_of(module.A) == before
        sys.modules.pop(module.__name__)
        importlib.invalidate_caches()
        again = importlib.import_module("edited_while_it_runs")
        sys.modules.pop(module.__name__)
        assert codebase.differs(provenance.code_of(again.A), before)

    def test_methods_that_count(self):
        class Base(dj.Computed):
            def make(self, key):
                return 1

        class Same(Base):
            def helper(self):
                return 2

        class Other(Base):
            def make_insert(self, key):
                return 3

        class Nothing(dj.Computed):
            pass

        code = provenance.code_of(Base)
        assert code is not None
        assert provenance.code_of(Same) == code
        assert provenance.code_of(Other) != code
        assert provenance.code_of(Nothing) is None
