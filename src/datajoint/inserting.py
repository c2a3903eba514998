"""Inserts: rows in chunks, all of them or none, and queries inside the database.

Manual 7.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .connection import Connection
from .declare import TableSpec
from .errors import AccessError, DataJointError, DuplicateError, IntegrityError
from .expression import QueryExpression
from .insertion import EncodedRow, RowEncoder, rows_of
from .refusals import explain_duplicate, explain_missing_parent
from .sql.statements import insert_rows, insert_select

_CHUNK = 1000
#: What the modes of an insert may need on one database or another.
_PRIVILEGES = {
    "insert": "INSERT",
    "replace": "INSERT, UPDATE or DELETE",
    "skip": "INSERT or UPDATE",
}


def insert(
    connection: Connection, spec: TableSpec, rows: Any, mode: str, ignore_extra_fields: bool
) -> None:
    """Insert rows, all of them or none.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table.
    rows
        Anything but a query that ``Table.insert`` takes.
    mode : {"insert", "replace", "skip"}
        What happens when the primary key exists.
    ignore_extra_fields : bool
        Whether fields that are no attributes are passed over.

    Raises
    ------
    DataJointError
        Names the row, the attribute and the value that are refused; nothing is inserted.
    """
    if isinstance(rows, Mapping):  # one entity, as in manual 9.1.1
        rows = (rows,)
    encoder = RowEncoder(spec, connection.dialect, ignore_extra_fields)
    if isinstance(rows, tuple) and len(rows) == 1:
        _insert_chunks(connection, spec, [[encoder.encode(rows[0])]], mode)
        return
    encoded = (encoder.encode(row, i) for i, row in enumerate(rows_of(rows)))
    chunks = iter(lambda: list(itertools.islice(encoded, _CHUNK)), [])
    _insert_chunks(connection, spec, chunks, mode, connection.atomic())


def _insert_chunks(
    connection: Connection,
    spec: TableSpec,
    chunks: Iterable[list[EncodedRow]],
    mode: str,
    transaction: AbstractContextManager[None] = nullcontext(),  # noqa: B008 - has no state
) -> None:
    """Insert rows chunk by chunk, and explain why they are refused after they are undone."""
    dialect, heading = connection.dialect, spec.heading
    table = dialect.table(spec.name.schema, spec.name.table)
    key, rest = heading.stored_key, heading.secondary_attributes
    chunk: list[EncodedRow] = []
    try:
        with connection.requiring(_PRIVILEGES[mode], "insert into", spec.name), transaction:
            for chunk in chunks:
                for columns, group in itertools.groupby(chunk, lambda row: row[0]):
                    statement = insert_rows(dialect, table, columns, key, rest, mode)
                    connection.insert(statement, [values for _, values in group])
    except DuplicateError as error:
        raise explain_duplicate(connection, spec, chunk, error, mode) from error.__cause__
    except IntegrityError as error:
        raise explain_missing_parent(connection, spec, chunk, error) from error.__cause__


def insert_query(
    connection: Connection,
    spec: TableSpec,
    query: QueryExpression,
    mode: str,
    ignore_extra_fields: bool,
) -> None:
    """Insert the result of a query without fetching it.

    Parameters and errors are those of :func:`insert`.
    """
    heading = spec.heading
    extra = [name for name in query.heading.names if name not in heading]
    if extra and not ignore_extra_fields:
        raise heading.unknown(extra[0], f" of {spec.name}").suggest(
            "To pass over attributes of the query that the table does not have, set "
            "ignore_extra_fields=True"
        )
    names = [name for name in heading.names if name in query.heading]
    dialect = connection.dialect
    if not names:  # entities without any values that were given
        encoder = RowEncoder(spec, dialect, ignore_extra_fields=False)
        _insert_chunks(connection, spec, [[encoder.encode({})] * len(query)], mode)
        return
    key, rest = heading.stored_key, heading.secondary_attributes
    types = {name: heading.types[name] for name in names}
    table = dialect.table(spec.name.schema, spec.name.table)
    statement = insert_select(
        dialect, table, types, key, rest, mode, query.relation, query.heading.types
    )
    try:
        with connection.requiring(_PRIVILEGES[mode], "insert into", spec.name):
            connection.execute(statement)
    except AccessError:
        raise
    except DataJointError as error:
        # Find the row and the value that are refused, if they can be found out here.
        encoder = RowEncoder(spec, dialect, ignore_extra_fields=True)
        for number, row in enumerate(query):
            encoder.encode(row, number)
        raise type(error)(f"Cannot insert a query into {spec.name}: {error}") from error
