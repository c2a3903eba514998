"""The keys that a table is made for, and those of them that are not made yet.

Manual 9.2.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Protocol

from .condition import AndList, Not, Top
from .connection import Connection
from .declare import TableName
from .dependencies import Graph
from .errors import DataJointError
from .expression import QueryExpression
from .hash import deep_hash
from .table import FreeTable, Table

Key = dict[str, Any]
ORDERS = ("original", "reverse", "random")


class Populated(Protocol):
    """What is needed of a table to find the keys that it is made for."""

    @property
    def connection(self) -> Connection: ...

    @property
    def name(self) -> TableName: ...

    @property
    def restriction(self) -> AndList: ...

    @property
    def key_source(self) -> Any: ...

    @property
    def target(self) -> Table: ...

    def _jobs_to_do(self, restrictions: Iterable[Any]) -> QueryExpression: ...


def default_key_source(connection: Connection, name: TableName) -> QueryExpression:
    """Join the primary parents of a table, each with its primary key only (manual 9.2.1).

    Raises
    ------
    DataJointError
        When the table has none.
    """
    connection.tables(name.schema)
    graph: Graph = connection.dependencies.load(force=False)
    edges = graph.edges_in(name.full, primary=True)
    if not edges:
        raise DataJointError(
            f"{name} has no foreign key in its primary key, from which its keys would come; "
            "define a `key_source`"
        )
    sources = [FreeTable(connection, edge.parent).proj(**edge.attr_map) for edge in edges]
    joined = sources[0]
    for source in sources[1:]:
        joined = joined @ source  # whatever the origins: the table refers to all of them
    return joined


def check_unrestricted(table: Populated) -> None:
    """Refuse to populate a part of a table.

    Raises
    ------
    DataJointError
        Says what to do instead.
    """
    if table.restriction:
        raise DataJointError(
            f"A restricted table is not populated; restrict the keys instead, as in "
            f"`{type(table).__name__}.populate(restriction)` or `.progress(restriction)`"
        )


def restricted_keys(table: Populated, restrictions: Iterable[Any]) -> QueryExpression:
    """Select the keys of the key source that meet the restrictions, by primary key.

    Raises
    ------
    DataJointError
        When the table is restricted, or its key source is no query or does not fit the table.
    """
    check_unrestricted(table)
    source = table.key_source
    if isinstance(source, type):
        source = source()
    if not isinstance(source, QueryExpression):
        raise DataJointError(f"The `key_source` of {table.name} must be a query, not {source!r}")
    missing = [name for name in source.primary_key if name not in table.target.heading]
    if missing:
        raise DataJointError(
            f"The `key_source` of {table.name} has the primary attribute `{missing[0]}`, which "
            "the table does not have"
        )
    return (source & AndList(restrictions)).proj()


def not_made(keys: QueryExpression, target: Table) -> QueryExpression:
    """Leave out the keys that the table has, wherever their attributes come from.

    Some may be secondary in the table, and tell keys apart all the same.
    """
    rest = [name for name in keys.primary_key if name not in target.primary_key]
    return keys.restrict(Not(target.proj(*rest)), semantic_check=False)


def identity(key: Key) -> tuple[Any, ...]:
    """Make of a key what tells it apart and can be in a set."""
    return tuple((name, _comparable(key[name])) for name in sorted(key))


def _comparable(value: Any) -> Any:
    """Give a value, or the hash of one that an adapter made: as fetched twice, they are equal."""
    kind: Any = type(value)
    if kind.__eq__ is not object.__eq__:
        with suppress(TypeError):
            hash(value)
            return value
    return deep_hash(value)


def made_among(target: Table, keys: Sequence[Key]) -> list[bool]:
    """Tell for each of some keys whether the table has it: by one query when it has none."""
    if not target & list(keys):
        return [False] * len(keys)
    if len(keys) == 1:
        return [True]
    return [bool(target & key) for key in keys]


def stream_keys(query: QueryExpression, descending: bool = False) -> Iterator[Key]:
    """Read keys in their order from the database as they are wanted."""
    ordered = query & Top(None, "KEY DESC" if descending else "KEY") if query.primary_key else query
    return chain.from_iterable(ordered.fetch_batches("KEY"))


def arranged(keys: Iterable[Key], order: str, limit: int | None) -> Iterator[Key]:
    """Take the first keys and put them into an order that the database does not give them.

    ``"original"`` takes them as they come; the others hold what they rearrange in memory.
    """
    limited = islice(keys, limit)
    if order == "original":
        yield from limited
        return
    names: tuple[str, ...] = ()
    rows: list[tuple[tuple[str, ...], tuple[Any, ...]]] = []  # much smaller than dicts
    for key in limited:
        names = names if tuple(key) == names else tuple(key)
        rows.append((names, tuple(key.values())))
    if order == "random":
        random.shuffle(rows)
    while rows:
        names, values = rows.pop()
        yield dict(zip(names, values, strict=True))
