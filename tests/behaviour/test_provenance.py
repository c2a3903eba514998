"""How entities came to be: hidden attributes, what is stale, and making it again."""

from __future__ import annotations

import pytest

import datajoint as dj
from datajoint.declare import PROVENANCE


@pytest.fixture
def trace(schema):
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
    def test_by_the_setting(self, schema, trace):
        with dj.config(populate__provenance=True):
            Doubled = doubled(schema, trace)

            @schema
            class Note(dj.Manual):
                definition = "note : int"

        assert hidden(Doubled) == list(PROVENANCE)
        assert hidden(Note) == []

    def test_by_the_class(self, schema, trace):
        assert hidden(doubled(schema, trace, provenance=True)) == list(PROVENANCE)

    def test_the_class_has_the_last_word(self, schema, trace):
        with dj.config(populate__provenance=True):
            assert hidden(doubled(schema, trace, provenance=False)) == []

    def test_nobody_sees_them(self, schema, trace):
        Doubled = doubled(schema, trace, provenance=True)
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

    def test_altered(self, schema, trace, capsys):
        Doubled = doubled(schema, trace)
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

    def test_part_tables_have_none(self, schema, trace):
        Trace = trace  # noqa: F841 - of the definition

        @schema
        class Pieces(dj.Computed):
            provenance = True
            definition = "-> Trace"

            class Piece(dj.Part):
                definition = "-> master\npiece : int"

        assert hidden(Pieces) == list(PROVENANCE)
        assert hidden(Pieces.Piece) == []

    def test_beside_a_hidden_timestamp(self, schema, trace):
        with dj.config(add_hidden_timestamp=True):
            Doubled = doubled(schema, trace, provenance=True)
        assert hidden(Doubled)[:-1] == list(PROVENANCE)
        Doubled.alter(prompt=False)
        assert len(hidden(Doubled)) == len(PROVENANCE) + 1

    def test_table_of_one_entity(self, schema, trace):
        @schema
        class Total(dj.Computed):
            provenance = True
            definition = "---\ntotal : int"

            @property
            def key_source(self):
                return dj.U().aggr(trace, n="count(*)")

            def make(self, key):
                self.insert1({"total": 1})

        assert hidden(Total)[-len(PROVENANCE) :] == list(PROVENANCE)
        assert Total.heading.names == ["total"]
