"""Statements that change data: INSERT, UPDATE and DELETE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..types import AttributeType
from .algebra import Condition, Relation
from .dialect import Dialect
from .select import Writer
from .text import SQL, Param, join, listed


@dataclass(frozen=True)
class Insert:
    """The insert of rows of values into a table.

    Attributes
    ----------
    head : str
        Up to the attributes.
    columns : tuple of str
        The attributes that have values; without any, a row has defaults only.
    values : str
        What stands between the attributes and the tail, for one row.
    tail : str
        What happens to entities that exist.
    """

    head: str
    columns: tuple[str, ...]
    values: str
    tail: str

    @property
    def text(self) -> str:
        """The statement that inserts one row."""
        return self.head + self.values + self.tail


def insert_rows(
    dialect: Dialect,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    rest: Sequence[str],
    mode: str,
) -> Insert:
    """Write the insert of rows.

    Parameters
    ----------
    dialect : Dialect
    table : str
        Quoted.
    columns : sequence of str
        The attributes that have values.
    key, rest : sequence of str
        The primary key of the table, and its other attributes.
    mode : {"insert", "replace", "skip"}
        What happens when the primary key exists.
    """
    before, tail = _mode(dialect, table, key, rest, mode)
    if not columns:  # where everything has a default, the primary key counts
        return Insert(f"{before} {table} ", (), dialect.row_of_defaults, "")
    names = ", ".join(map(dialect.quote, columns))
    values = f"({', '.join([dialect.placeholder] * len(columns))})"
    return Insert(f"{before} {table} ({names}) VALUES ", tuple(columns), values, tail)


def insert_together(
    dialect: Dialect,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    rest: Sequence[str],
    mode: str,
    rows: Sequence[Sequence[Any]],
) -> SQL:
    """Write one statement that inserts a few rows, so that the database counts those inserted.

    Parameters but the last, the encoded values, are those of :func:`insert_rows`.
    """
    before, tail = _mode(dialect, table, key, rest, mode)
    names = ", ".join(map(dialect.quote, columns))
    return SQL(f"{before} {table} ({names}) VALUES ", listed(rows, "({})"), tail)


def insert_select(
    dialect: Dialect,
    table: str,
    types: Mapping[str, AttributeType | None],
    key: Sequence[str],
    rest: Sequence[str],
    mode: str,
    relation: Relation,
    sources: Mapping[str, AttributeType | None],
) -> SQL:
    """Write the statement that inserts the result of a query, within the database.

    Parameters
    ----------
    dialect, table, key, rest, mode
        As for :func:`insert_rows`.
    types : mapping
        The attributes that have values, and their types in the table.
    relation : Relation
        Has these attributes.
    sources : mapping
        Their types in the relation.
    """
    before, tail = _mode(dialect, table, key, rest, mode)
    names = ", ".join(map(dialect.quote, types))
    assigned = ", ".join(
        dialect.assigned(dialect.quote(name), sources[name], type_) for name, type_ in types.items()
    )
    query = Writer(dialect).select(relation, types)
    # The WHERE keeps what follows from being read as a part of a join.
    return SQL(
        f"{before} {table} ({names}) SELECT {assigned} FROM (",
        query,
        ") AS source WHERE TRUE",
        tail,
    )


def _mode(
    dialect: Dialect, table: str, key: Sequence[str], rest: Sequence[str], mode: str
) -> tuple[str, str]:
    """Write what stands before the table and after the values of an insert."""
    before, conflict = dialect.inserts[mode]
    if not key:  # of a table that others made, where no entity is the same as another
        return before, ""
    return before, conflict(table, *(list(map(dialect.quote, part)) for part in (key, rest)))


def update(dialect: Dialect, table: str, values: Mapping[str, Any], condition: Condition) -> SQL:
    """Write the statement that sets attributes of the rows that meet a condition."""
    assignments = join(
        ", ", (SQL(dialect.quote(name), " = ", Param(value)) for name, value in values.items())
    )
    return SQL(f"UPDATE {table} SET ", assignments, " WHERE ", _where(dialect, table, condition))


def delete(dialect: Dialect, table: str, condition: Condition) -> SQL:
    """Write the statement that deletes the rows that meet a condition."""
    return SQL(f"DELETE FROM {table} WHERE ", _where(dialect, table, condition))


def _where(dialect: Dialect, table: str, condition: Condition) -> SQL:
    return Writer(dialect).where(condition, lambda name: SQL(f"{table}.{dialect.quote(name)}"))


def lock_rows(
    dialect: Dialect,
    table: str,
    columns: Sequence[str],
    key: str,
    values: Sequence[Any],
    lock: str,
) -> SQL:
    """Write the query of rows by their keys that keeps them as they are until the transaction ends.

    The database finds each by the index, and locks no other rows.

    Parameters
    ----------
    dialect, table, columns
        As for :func:`insert_rows`.
    key : str
        The only attribute of the primary key.
    values : sequence
        Encoded keys.
    lock : str
        That of the dialect: ``share_lock``, ``exclusive_lock`` or ``free_lock``.
    """
    names = ", ".join(map(dialect.quote, columns))
    listed = join(", ", map(Param, values))
    where = SQL(f" WHERE {dialect.quote(key)} IN (", listed, ")", lock)
    return SQL(f"SELECT {names} FROM {table}{dialect.by_key}", where)


def delete_keys(dialect: Dialect, table: str, key: str, values: Sequence[Any]) -> SQL:
    """Write the statement that deletes rows by their keys, and locks no others.

    Parameters are those of :func:`lock_rows`.
    """
    return dialect.delete_keys(table, dialect.quote(key), values)
