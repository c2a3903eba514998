"""Tables, and random contents of them, for the model of the algebra."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from .algebra_model import Relation, Row

#: The names of attributes of each kind: values can be compared wherever names are the same.
NAMES = {
    "int": "abcijk",
    "text": "stu",
    "real": "xyz",
    "date": "de",
    "mean": "mn",
    "null": "abcijk",
}
DOMAINS: dict[str, list[Any]] = {
    "int": [0, 1, 1, 2, 3],
    "text": ["a", "A", "b", "B", "Ab", ""],
    "real": [Fraction(0), Fraction(1, 2), Fraction(1), Fraction(-3, 2)],
    "date": [dt.date(2020, 1, 2), dt.date(2020, 1, 3), dt.date(2021, 1, 2)],
    "mean": [0, 1, 2],
    "null": [0, 1],
}


@dataclass(frozen=True)
class Stored:
    """A table: its definition, and what the model must know of it.

    Attributes
    ----------
    definition : str
    attributes : dict
        Attribute → kind, in order; a question mark after the kind allows NULL.
    key : int
        How many of them are the primary key.
    parents : tuple
        Parent, and attributes here → there.
    most : int
        How many entities it can have.
    """

    definition: str
    attributes: Mapping[str, str]
    key: int
    parents: tuple[tuple[str, Mapping[str, str]], ...] = ()
    most: int = 6

    def relation(self, rows: Iterable[Row]) -> Relation:
        names = tuple(self.attributes)
        folded = ({n: fold(v) for n, v in row.items()} for row in rows)
        kinds = {name: kind.rstrip("?") for name, kind in self.attributes.items()}
        return Relation(names, names[: self.key], tuple(folded), kinds)


TABLES = {
    "A": Stored(
        """
        a : int
        ---
        b = null : int
        s = null : varchar(4)
        """,
        {"a": "int", "b": "int?", "s": "text?"},
        1,
    ),
    "B": Stored(
        """
        -> A
        c : int
        ---
        x = null : decimal(4,1)
        t : varchar(4)
        """,
        {"a": "int", "c": "int", "x": "real?", "t": "text"},
        2,
        (("A", {"a": "a"}),),
    ),
    "C": Stored(
        """
        s : varchar(4)
        ---
        a = null : int
        d = null : date
        """,
        {"s": "text", "a": "int?", "d": "date?"},
        1,
    ),
    "D": Stored(
        """
        -> A.proj(c='a')
        k : int
        ---
        -> [nullable] C
        y = null : double
        """,
        {"c": "int", "k": "int", "s": "text?", "y": "real?"},
        2,
        (("A", {"c": "a"}), ("C", {"s": "s"})),
    ),
    "E": Stored(
        """
        a : int
        k : int
        """,
        {"a": "int", "k": "int"},
        2,
    ),
    "F": Stored(
        """
        s : varchar(4)
        e : date
        ---
        b = null : int
        index (b)
        """,
        {"s": "text", "e": "date", "b": "int?"},
        2,
    ),
    "G": Stored(
        """
        ---
        i = null : int
        """,
        {"i": "int?"},
        0,
        most=1,
    ),
}

Database = dict[str, list[Row]]
_SIZES = [0, 1, 2, 3, 3, 4, 4, 5, 6]


@lru_cache
def below(limit: int) -> st.SearchStrategy[int]:
    """Draw a number from 0 on, below a limit."""
    return st.integers(0, limit - 1)


def draw_database(draw: Any) -> Database:
    """Draw the rows of all tables."""
    rows: Database = {}
    for name, table in TABLES.items():
        sizes = [size for size in _SIZES if size <= table.most]
        size = sizes[draw(below(len(sizes)))]
        drawn = [_row(draw, table, rows) for _ in range(size)]
        unique = {
            tuple(fold(row[n]) for n in list(table.attributes)[: table.key]): row
            for row in drawn
            if row is not None
        }
        rows[name] = list(unique.values())
    return rows


def _row(draw: Any, table: Stored, rows: Database) -> Row | None:
    """Draw a row that refers to rows of the parents; None if that is not possible."""
    row: Row = {}
    for name, kind in table.attributes.items():
        domain = DOMAINS[kind.rstrip("?")]
        values = [*domain, None] if kind.endswith("?") else domain
        row[name] = values[draw(below(len(values)))]
    for parent, links in table.parents:
        if not rows[parent]:
            if not all(table.attributes[name].endswith("?") for name in links):
                return None
            row |= dict.fromkeys(links)
        elif None not in (row[name] for name in links):
            target = rows[parent][draw(below(len(rows[parent])))]
            row |= {name: target[there] for name, there in links.items()}
    return row


def fold(value: Any) -> Any:
    """Make equal what compares as equal."""
    return value.lower() if isinstance(value, str) else value


def stored(value: Any) -> Any:
    """Make of a value of the model what is inserted."""
    return float(value) if isinstance(value, Fraction) else value
