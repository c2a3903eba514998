"""Random queries on random databases give what the model of the algebra gives."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datajoint as dj
from datajoint.errors import DataJointError

from .algebra_expressions import OPERATORS, Drawing, Expression
from .algebra_model import Relation
from .algebra_tables import TABLES, Database, draw_database, fold, stored
from .definitions import examples

#: As many expressions are tried on each database drawn.
EACH = 5


class Lab:
    """The tables on one database, and what they have in them."""

    def __init__(self, schema: dj.Schema) -> None:
        self.connection = schema.connection
        self.tables: dict[str, Any] = {}
        for name, table in TABLES.items():
            class_ = type(name, (dj.Manual,), {"definition": table.definition})
            self.tables[name] = schema(class_, context=self.tables)
        self.filled: Database = {}

    def fill(self, rows: Database) -> None:
        """Replace the contents of all tables."""
        if rows == self.filled:
            return
        with self.connection.transaction:
            for name in reversed(list(self.tables)):
                self.tables[name]().delete_quick()
            for name, table in self.tables.items():
                table.insert({n: stored(v) for n, v in row.items()} for row in rows[name])
        self.filled = rows

    def query(self, text: str) -> Any:
        """Make the query that a text writes."""
        query = eval(text, {"dj": dj, "date": dt.date, **self.tables})
        return query() if isinstance(query, type) else query


def canonical(value: Any) -> Any:
    """Bring a fetched value into the form of the model."""
    if value is None or isinstance(value, (str, dt.date)):
        return fold(value)
    return Fraction(value)


def snapped(value: Any, values: set[Any]) -> Any:
    """Take a mean, which databases round, for the one expected that is next to it."""
    return next((v for v in values if None not in (v, value) and abs(v - value) < 1e-3), value)


def entities(fetched: list[dict[str, Any]], relation: Relation, names: list[str]) -> list[Any]:
    """List what was fetched as tuples in the form of the model."""
    columns = {
        name: {row[name] for row in relation.rows}
        for name in names
        if relation.kinds[name] == "mean"
    }
    rows = []
    for row in fetched:
        assert list(row) == names
        values = {name: canonical(value) for name, value in row.items()}
        values |= {name: snapped(values[name], found) for name, found in columns.items()}
        rows.append(tuple(values.values()))
    return rows


def expected(relation: Relation, names: list[str]) -> list[Any]:
    return [tuple(row[name] for name in names) for row in relation.rows]


def check(lab: Lab, expression: Expression, asked: str, wanted: list[str]) -> None:
    """Compare one expression with the model; besides, ask for one thing more."""
    relation = expression.relation
    if relation is None:
        for operand in expression.operands:
            lab.query(operand)
        with pytest.raises(DataJointError):
            lab.query(expression.text)
        return
    query = lab.query(expression.text)
    assert query.heading.names == list(relation.names)
    assert query.primary_key == list(relation.key)
    names = query.heading.names
    got = entities(query.fetch(as_dict=True), relation, names)
    assert Counter(got) == Counter(expected(relation, names))
    if expression.ordered:
        assert got == expected(relation, names)
    if asked == "len":
        assert len(query) == len(relation.rows)
    elif asked == "bool":
        assert bool(query) is bool(relation.rows)
    elif asked == "some" and wanted:
        some = entities(query.to_dicts(*wanted), relation, wanted)
        assert Counter(some) == Counter(expected(relation, wanted))


@dataclass(frozen=True)
class Case:
    """An expression, and what is asked besides all attributes of all entities."""

    expression: Expression
    asked: str
    names: list[str]


@st.composite
def cases(draw, operators):
    """Draw a database and some expressions on it."""
    rows = draw_database(draw)
    drawing = Drawing(draw, rows, operators)
    drawn = []
    for _ in range(EACH):
        expression = drawing.expression(drawing.one([3, 2, 4, 5, 1]))
        asked = drawing.one(["nothing", "len", "bool", "some"])
        names = expression.relation.names if expression.relation and asked == "some" else ()
        drawn.append(Case(expression, asked, [name for name in names if drawing.chance(50)]))
    return rows, drawn


@pytest.mark.random
def test_any_query_gives_what_the_model_gives(schema):
    lab = Lab(schema)
    operators: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    asked = examples(500)

    @settings(asked, max_examples=asked.max_examples // EACH, report_multiple_bugs=False)
    @given(cases(operators))
    def run(drawn):
        rows, some = drawn
        lab.fill(rows)
        for case in some:
            relation = case.expression.relation
            outcomes["refused" if relation is None else "some" if relation.rows else "none"] += 1
            check(lab, case.expression, case.asked, case.names)

    run()
    print(dict(outcomes), dict(operators))
    assert outcomes["some"] > sum(outcomes.values()) / 2
    assert outcomes["refused"] > 0
    assert operators.keys() >= OPERATORS
