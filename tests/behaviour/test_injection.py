"""Values and names of users never become SQL: they are data, or they are refused."""

from __future__ import annotations

import csv
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import datajoint as dj
from datajoint.errors import DataJointError, UnknownAttributeError

from .relations import assert_rows

ATTEMPTS = [
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "' OR '1'='1",
    '" OR "1"="1',
    "') OR (1=1",
    "x'; DELETE FROM note; --",
    "x'); DROP TABLE note; -- ",
    "-- ",
    "/* x */",
    "# x",
    "%s",
    "%(a)s",
    "%",
    "_",
    "%%",
    "?",
    ":a",
    "$1",
    "{0}",
    "\n;\n",
    "\\0",
    "É' OR TRUE -- ",
]
#: Names that are no attribute, whatever database reads them.
NAMES = [
    *(text for text in ATTEMPTS if text not in ("%", "_")),
    "text` = '' -- ",
    "text\" = '' -- ",
    "text) VALUES (9, 'x') -- ",
    "note, text",
    "text\0",
]


@pytest.fixture
def lab(schema):
    @schema
    class Note(dj.Manual):
        definition = """
        note : int
        ---
        text : varchar(60)
        other = "" : varchar(60)
        """

    @schema
    class Tag(dj.Manual):
        definition = """
        tag : varchar(60)
        """

    Note.insert([(1, "one", ""), (2, "two", "")])
    return SimpleNamespace(Note=Note, Tag=Tag, before=Note.fetch(as_dict=True))


@pytest.mark.parametrize("text", ATTEMPTS)
def test_values(lab, text):
    """They come back as they were given, and only they are found, updated and deleted."""
    note, new = lab.Note, {"note": 3, "text": text, "other": text}
    conditions = [
        {"text": text},
        {"text": [text]},
        [{"text": text}],
        {"text": (text, text + "'")},
        pd.DataFrame({"text": [text]}),
        np.array([(text,)], dtype=[("text", "O")])[0],
        np.array([(text,)], dtype=[("text", "O")]),
        dj.AndList([{"text": text}, {"other": text}]),
    ]
    for condition in conditions:
        assert len(note & condition) == 0
        assert len(note - condition) == 2
        assert (note & condition).delete() == 0
    note.insert1(new)
    for condition in conditions:
        assert (note & condition).fetch(as_dict=True) == [new]
        assert len(note - condition) == 2
        assert len(note & dj.Not(condition)) == 2
    note.update1({"note": 2, "text": text + text})
    assert (note & {"note": 2}).fetch1("text") == text + text
    note.update1({"note": 2, "text": "two"})
    lab.Tag.insert([(text,)])
    lab.Tag.insert([{"tag": text}], skip_duplicates=True)
    assert not lab.Tag.validate([(text,)])
    assert lab.Tag.fetch("tag").tolist() == [text]
    assert (lab.Tag & (note.proj(tag="text"))).fetch("tag").tolist() == [text]
    assert (lab.Tag & {"tag": text}).delete() == 1
    assert (note & {"text": text}).delete() == 1
    assert_rows(note(), lab.before)


def test_nul_characters_are_refused(lab):
    for change in (
        lambda: lab.Note.insert1((3, "a\0b", "")),
        lambda: lab.Note.update1({"note": 1, "text": "a\0b"}),
        lambda: lab.Note & {"text": "one\0"},
    ):
        with pytest.raises(DataJointError):
            change()
    assert_rows(lab.Note(), lab.before)


@pytest.mark.parametrize("name", NAMES)
def test_names(lab, name, tmp_path):
    """What is no attribute is refused, or ignored where fields that are none are."""
    note = lab.Note
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["note", "text", name], [3, "x", "y"]])
    row = {"note": 3, "text": "x", name: "y"}
    for rows in ([row], pd.DataFrame([row]), iter([row]), path):
        with pytest.raises(DataJointError):
            note.insert(rows)
    with pytest.raises(UnknownAttributeError):
        note.insert1(row)
    assert [fault.attributes for fault in note.validate([row]).errors] == [(name,)]
    with pytest.raises(UnknownAttributeError):
        note.update1({"note": 1, name: "y"})
    assert len(note & {name: "y"}) == 2
    assert len(note & [{name: "y", "note": 1}]) == 1
    note.insert1(row, ignore_extra_fields=True)
    assert (note & {"note": 3, name: "z"}).delete() == 1
    assert_rows(note(), lab.before)


@pytest.mark.parametrize("name", NAMES)
def test_orders_and_projections(lab, name):
    """They are expressions of the user, who may err, but no second statement."""
    for use in (
        lambda: lab.Note.fetch(order_by=name),
        lambda: lab.Note.fetch(order_by=[f"note; {name}"]),
        lambda: (lab.Note & dj.Top(1, name)).fetch(),
        lambda: lab.Note.fetch(name),
        lambda: lab.Note.proj(name),
        lambda: lab.Note.proj(**{name: "text"}).fetch(),
    ):
        with suppress(DataJointError, TypeError, KeyError):
            use()
    assert_rows(lab.Note(), lab.before)


@pytest.mark.parametrize(
    "condition",
    [
        "note = 1; DELETE FROM note",
        "note = 1); DELETE FROM note; --",
        "1 = 1; DROP TABLE note",
        "note = (DELETE FROM note)",
    ],
)
def test_conditions_are_no_statements(lab, condition):
    for use in (
        lambda: (lab.Note & condition).fetch(),
        lambda: (lab.Note & condition).delete(),
    ):
        with pytest.raises(DataJointError):
            use()
    assert_rows(lab.Note(), lab.before)
