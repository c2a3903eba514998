"""Statements that change data: INSERT, UPDATE and DELETE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .algebra import Condition, Relation
from .dialect import Dialect
from .select import Writer
from .text import SQL, Param, join


def _insert_into(
    dialect: Dialect, table: str, columns: Sequence[str], key: Iterable[str], mode: str
) -> tuple[str, str]:
    before, after = dialect.inserts[mode]
    names = ", ".join(map(dialect.quote, columns))
    return (
        f"{before} {table} ({names})",
        after.format(key=", ".join(map(dialect.quote, key))),
    )


def insert_row(
    dialect: Dialect, table: str, columns: Sequence[str], key: Iterable[str], mode: str
) -> str:
    """Write the statement that inserts one row of values.

    Parameters
    ----------
    dialect : Dialect
    table : str
        Quoted.
    columns : sequence of str
        The attributes that have values; without any, the row has defaults only.
    key : iterable of str
        The primary key.
    mode : {"insert", "replace", "skip"}
        What happens when the primary key exists.
    """
    if not columns:
        return f"{dialect.inserts[mode][0]} {table} DEFAULT VALUES"
    head, tail = _insert_into(dialect, table, columns, key, mode)
    return f"{head} VALUES ({', '.join([dialect.placeholder] * len(columns))}){tail}"


def insert_select(
    dialect: Dialect,
    table: str,
    columns: Sequence[str],
    key: Iterable[str],
    mode: str,
    relation: Relation,
) -> SQL:
    """Write the statement that inserts the result of a query, within the database."""
    head, tail = _insert_into(dialect, table, columns, key, mode)
    query = Writer(dialect).select(relation, columns)
    # The WHERE keeps what follows from being read as a part of a join.
    return SQL(head, " SELECT * FROM (", query, ") AS source WHERE TRUE", tail)


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
