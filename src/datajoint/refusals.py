"""Why the database refused rows: which entity, attribute and value it was.

The rows are looked at only after they were refused, so that nothing is asked without need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .connection import Connection
from .declare import TableSpec
from .errors import DuplicateError, IntegrityError
from .grammar import unquote
from .insertion import EncodedRow
from .sql import algebra
from .sql.select import Writer


def explain_duplicate(
    connection: Connection,
    spec: TableSpec,
    chunk: Sequence[EncodedRow],
    error: DuplicateError,
    mode: str,
) -> DuplicateError:
    """Name the first entity whose primary or unique key is given twice or exists.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table that the rows were to be inserted into.
    chunk : sequence of EncodedRow
        The rows, none of which is there now.
    error : DuplicateError
        What the database said.
    mode : {"insert", "replace", "skip"}
    """
    heading = spec.heading
    rows = [dict(zip(columns, values, strict=True)) for columns, values in chunk]
    primary = tuple(heading.primary_key)
    if not primary and mode == "insert":
        return DuplicateError(
            f"Cannot insert into {spec.name}: without a primary key it has at most one entity. "
            "Set replace=True to replace it"
        )
    # That a path into a document has a value already, the error of the database tells.
    unique = (
        index.attributes
        for index in heading.secondary_indexes
        if index.unique and heading.attributes.keys() >= set(index.attributes)
    )
    for names in (primary, *unique) if mode == "insert" else unique:
        keys = [tuple(row.get(name) for name in names) for row in rows]
        keys = [key for key in keys if None not in key]
        if not keys:
            continue
        existing = algebra.Restriction(spec.relation, algebra.OneOf(names, tuple(keys)))
        writer = Writer(connection.dialect)
        stored = {_folded(key) for key in connection.rows(writer.select(existing, names))}
        given: set[tuple[Any, ...]] = set()
        for key in keys:
            if _folded(key) in stored | given:
                shown = ", ".join(f"{n} = {v!r}" for n, v in zip(names, key, strict=True))
                twice = "is given twice" if _folded(key) in given else "exists already"
                found = DuplicateError(
                    f"Cannot insert into {spec.name}: an entity with {shown} {twice}"
                )
                advice = "To pass over entities whose primary keys exist, set skip_duplicates=True"
                return found.suggest(advice) if names == primary else found
            given.add(_folded(key))
    # It was given far before, and the rows given there are undone.
    return DuplicateError(f"Cannot insert into {spec.name}: {error}")


def explain_missing_parent(
    connection: Connection,
    spec: TableSpec,
    chunk: Sequence[EncodedRow],
    error: IntegrityError,
    action: str = "insert into",
) -> IntegrityError:
    """Name the foreign key and the value for which a parent is missing.

    Parameters are those of :func:`explain_duplicate`; ``action`` is what was refused.
    """
    writer = Writer(connection.dialect)
    attributes = spec.heading.all_attributes
    hidden = {a.name: unquote(a.default) for a in attributes if a.is_hidden and a.default}
    for foreign_key in spec.foreign_keys:
        parent = connection.table(foreign_key.parent)
        child, names = foreign_key.child_attributes, foreign_key.parent_attributes
        rows = (hidden | dict(zip(columns, values, strict=True)) for columns, values in chunk)
        for values in dict.fromkeys(tuple(row.get(n) for n in child) for row in rows):
            if None in values:
                continue
            condition = algebra.OneOf(names, (values,))
            found = algebra.Restriction(parent.relation, condition)
            if not connection.rows(writer.exists(found))[0][0]:
                pairs = [(n, v) for n, v in zip(names, values, strict=True) if n not in hidden]
                shown = ", ".join(f"{n} = {v!r}" for n, v in pairs)
                own = f" ({', '.join(child)})" if pairs else ""
                return IntegrityError(
                    f"Cannot {action} {spec.name}: its foreign key{own} refers to "
                    f"{foreign_key.parent}, which has no entity"
                    + (f" with {shown}" if shown else "")
                )
    return error


def _folded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Bring texts that the database takes for equal into one form."""
    return tuple(value.casefold() if isinstance(value, str) else value for value in key)
