"""How far tables, schemas and pipelines are populated."""

from __future__ import annotations

from types import ModuleType

import pandas as pd
import pytest

import datajoint as dj
from datajoint.errors import DataJointError

COLUMNS = ["done", "reserved", "error", "ignored", "left"]


@pytest.fixture
def pipeline(schema):
    """A module of a schema, whose computed tables depend on each other."""

    @schema
    class Scan(dj.Manual):
        definition = "scan : int"

    @schema
    class Aligned(dj.Computed):
        definition = "-> Scan"

        def make(self, key):
            if key["scan"] == 3:
                raise ValueError("blurred")
            self.insert1(key)

    @schema
    class Activity(dj.Computed):
        definition = "-> Aligned"

        @property
        def key_source(self):
            return Aligned & "scan < 5"

        def make(self, key):
            self.insert1(key)

    @schema
    class Abstract(dj.Imported):
        definition = "number : int"

        @property
        def key_source(self):
            return dj.U("number") & Scan.proj(number="scan")

        def make(self, key):
            self.insert1(key)

    Scan.insert((i,) for i in range(10))
    module = ModuleType("pipeline")
    vars(module).update(
        schema=schema, Scan=Scan, Aligned=Aligned, Activity=Activity, Abstract=Abstract
    )
    return module


def rows(frame):
    assert list(frame.columns) == COLUMNS
    assert frame.index.name == "table"
    return {
        name: [None if pd.isna(v) else int(v) for v in row] for name, *row in frame.itertuples()
    }


def test_states(pipeline):
    Aligned, schema = pipeline.Aligned, pipeline.schema
    assert rows(schema.progress())["Aligned"] == [0, 0, 0, 0, 10]
    Aligned.populate("scan < 6", reserve_jobs=True, suppress_errors=True)
    schema.jobs.ignore(Aligned.table_name, {"scan": 7})
    schema.jobs.reserve(Aligned.table_name, {"scan": 8})
    assert rows(schema.progress()) == {
        "Aligned": [5, 1, 1, 1, 2],
        "Activity": [0, 0, 0, 0, 4],
        "Abstract": [0, 0, 0, 0, 10],
    }
    Aligned.populate(reserve_jobs=True)
    pipeline.Activity.populate()
    assert rows(schema.progress())["Aligned"] == [7, 1, 1, 1, 0]
    assert rows(schema.progress())["Activity"] == [4, 0, 0, 0, 0]


def test_entries_of_keys_that_are_done_do_not_count(pipeline):
    Aligned, jobs = pipeline.Aligned, pipeline.schema.jobs
    Aligned.populate("scan = 1")
    for scan in (1, 77):
        jobs.error(Aligned.table_name, {"scan": scan}, "failed")
    jobs.error("__other", {"scan": 2}, "failed")
    assert rows(pipeline.schema.progress())["Aligned"] == [1, 0, 0, 0, 9]


def test_parents_come_first(pipeline):
    names = list(pipeline.schema.progress().index)
    assert names.index("Aligned") < names.index("Activity")


def test_a_module_a_table_and_lists(pipeline, make_schema):
    other = make_schema("b")

    @other
    class Summary(dj.Computed):
        definition = "-> pipeline.Activity"

        def make(self, key):
            self.insert1(key)

    first, second = pipeline.schema.database, other.database
    everything = rows(dj.progress(pipeline, other))
    tables = ("Abstract", "Aligned", "Activity")
    assert set(everything) == {*(f"{first}.{name}" for name in tables), f"{second}.Summary"}
    assert list(everything)[-1] == f"{second}.Summary"
    assert rows(dj.progress([pipeline.schema, other])) == everything
    assert rows(dj.progress(pipeline)) == rows(pipeline.schema.progress())
    assert rows(dj.progress(other)) == {"Summary": [0, 0, 0, 0, 0]}
    assert rows(dj.progress(pipeline.Aligned)) == {"Aligned": [0, 0, 0, 0, 10]}
    assert rows(dj.progress(Summary(), pipeline.Aligned, Summary)) == {
        f"{first}.Aligned": [0, 0, 0, 0, 10],
        f"{second}.Summary": [0, 0, 0, 0, 0],
    }


def test_without_arguments_all_that_is_activated(pipeline, connection, monkeypatch):
    monkeypatch.setattr(dj.conn, "connection", connection)
    assert rows(dj.progress()) == rows(pipeline.schema.progress())


def test_tables_without_classes(pipeline, connect):
    pipeline.Aligned.populate("scan = 1")
    module = dj.VirtualModule("virtual", pipeline.schema.database, connection=connect())
    assert rows(dj.progress(module)) == rows(module.schema.progress())
    assert rows(dj.progress(module)) == {
        "Aligned": [1, 0, 0, 0, 9],
        "Activity": [0, 0, 0, 0, 1],  # all that is in the parent
        "Abstract": [None] * 5,  # nothing tells where its keys come from
    }


def test_it_can_be_read(pipeline):
    frame = pipeline.schema.progress()
    text = frame.to_string()
    assert "Aligned" in text
    assert text.splitlines()[0].split() == COLUMNS
    assert "<th>left</th>" in frame._repr_html_()


def test_a_schema_without_computed_tables(make_schema):
    frame = make_schema("empty").progress()
    assert frame.empty
    assert list(frame.columns) == COLUMNS


@pytest.mark.parametrize("wrong", [5, "lab", ["lab"], dj.Manual, pytest], ids=repr)
def test_what_has_no_progress(wrong):
    with pytest.raises(DataJointError, match=r"none of them|has no schema"):
        dj.progress(wrong)


def test_manual_tables_have_none(pipeline):
    with pytest.raises(DataJointError, match="none of them"):
        dj.progress(pipeline.Scan)
