"""``describe`` gives back a definition that declares the same table."""

import logging
from dataclasses import replace

import pytest
from hypothesis import given

from .definitions import (
    DEFINITIONS,
    OWN_LINES,
    STORES,
    Lab,
    content,
    content_of,
    definitions,
    examples,
)


@pytest.fixture
def lab(make_schema):
    with STORES():
        yield Lab(make_schema(), make_schema())


def in_short(content):
    """Leave out how types are written, which servers do in their own way."""
    attributes = [
        replace(a, attribute_type=replace(a.attribute_type, text="")) for a in content["attributes"]
    ]
    return {**content, "attributes": attributes}


def check_round_trip(lab, definition):
    """Declare a definition, and again what describes it: with names of classes and without."""
    table = lab.declare(definition)
    declared = table()._defined({**lab.context, **lab.classes}, {})
    declared = table.connection.backend.catalogued(declared)
    assert in_short(content_of(declared)) == in_short(content(table))
    for context in (lab.context, {}):
        text = table.describe(context)
        again = lab.declare(text)
        assert content(again) == content(table), text
        assert again.describe(context) == text


# -- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_round_trip(lab, definition):
    check_round_trip(lab, definition)


@pytest.mark.parametrize("definition", OWN_LINES.values(), ids=OWN_LINES)
def test_attributes_of_foreign_keys_with_lines_of_their_own(lab, definition):
    check_round_trip(lab, definition)


def test_text(lab):
    table = lab.declare(DEFINITIONS_TEXT)
    assert table.describe(lab.context) == DESCRIBED


DEFINITIONS_TEXT = """
# slices
-> Session
slice:smallint # number, it's "one"
---
-> [unique, NULLABLE] Probe # which
-> Subject.proj(mother='subject_id')
weight = 1.5 : decimal(5,2)
note='' : varchar(30)
at=current_timestamp : timestamp
extra=null : longblob # all the rest
unique index(slice,note)
index ( weight )
"""

DESCRIBED = """\
# slices
-> Session
slice                : smallint                     # number, it's "one"
---
-> [unique, nullable] Probe
-> Subject.proj(mother="subject_id")
weight=1.50          : decimal(5,2)
note=""              : varchar(30)
at=CURRENT_TIMESTAMP : timestamp
extra=null           : longblob                     # all the rest
unique index (slice, note)
index (weight)
"""


def test_parents_without_a_class_are_named_as_in_the_database(lab):
    text = lab.declare("-> Session.Trial\n---\n-> Probe").describe({})
    database = lab.schema.database
    assert text == f"-> `{database}`.`session__trial`\n---\n-> `{database}`.`#probe`\n"


def test_names_come_from_around_the_caller(lab):
    table = lab.declare("-> Session.Trial\n---\n-> Probe")
    Recording = lab.Session
    assert table.describe() == (f"-> Recording.Trial\n---\n-> `{lab.schema.database}`.`#probe`\n")
    assert Recording.describe({"lab": lab, "S": lab.Subject}).splitlines()[0] == "-> S"


def test_describe_prints_only_when_asked(lab, caplog, capsys):
    table = lab.declare("a : int")
    with caplog.at_level(logging.INFO):
        text = table.describe({})
        assert text not in caplog.text + capsys.readouterr().out
        assert table.describe({}, printout=True) == text
        assert text.strip() in caplog.text + capsys.readouterr().out


def test_describe_tells_of_the_table_not_of_the_class(lab):
    table = lab.declare("a : int\n---\nb : int")
    table.definition = "z : int"
    assert [line.split()[0] for line in table.describe({}).splitlines()] == ["a", "---", "b"]


def test_part_of_a_master(lab):
    text = lab.Session.Trial.describe(lab.context)
    again = lab.declare(text)
    assert content(again) == content(lab.Session.Trial)
    assert text.splitlines()[0] == "-> Session"


# -- at random ------------------------------------------------------------------------------------


@pytest.mark.random
def test_any_definition(lab, make_schema):
    labs = [30, lab]

    @examples(25)
    @given(definitions())
    def check(definition):
        labs[0] -= 1
        if not labs[0]:  # a server cannot drop thousands of tables together
            labs[:] = [30, Lab(make_schema(), make_schema())]
        check_round_trip(labs[1], definition)

    check()
