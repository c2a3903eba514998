"""A few relational operators on lists of dicts, to compute expected results with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def bag(rows: Iterable[Row]) -> Counter[frozenset[tuple[str, Any]]]:
    """Make rows comparable whatever their order; a repeated row counts twice."""
    return Counter(frozenset(row.items()) for row in rows)


def assert_rows(query: Any, expected: Iterable[Row]) -> None:
    """Check that a query has exactly the expected entities; its length and truth agree."""
    expected = list(expected)
    assert bag(query.fetch(as_dict=True)) == bag(expected)
    assert len(query) == len(expected)
    assert bool(query) is bool(expected)


def pick(rows: Iterable[Row], *names: str) -> list[Row]:
    """Project rows on attributes, keeping every row."""
    return [{name: row[name] for name in names} for row in rows]


def distinct(rows: Iterable[Row], *names: str) -> list[Row]:
    """Project rows on attributes, each combination once."""
    return [dict(zip(names, values)) for values in {tuple(r[n] for n in names) for r in rows}]


def matches(left: Row, right: Row) -> bool:
    """Tell whether two entities match: manual 8.5.2."""
    return all(left[name] == right[name] for name in left.keys() & right.keys())


def join(left: Iterable[Row], right: Iterable[Row]) -> list[Row]:
    """Combine all matching entities."""
    right = list(right)
    return [{**a, **b} for a in left for b in right if matches(a, b)]


def semijoin(left: Iterable[Row], right: Iterable[Row]) -> list[Row]:
    """Keep the entities that have a match."""
    right = list(right)
    return [a for a in left if any(matches(a, b) for b in right)]


def antijoin(left: Iterable[Row], right: Iterable[Row]) -> list[Row]:
    """Keep the entities that have no match."""
    right = list(right)
    return [a for a in left if not any(matches(a, b) for b in right)]
