"""Inserts: rows in chunks, all of them or none, and queries inside the database.

Manual 7.2.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import nullcontext
from functools import partial
from typing import Any

from .connection import Connection
from .declare import TableSpec
from .decoding import Options
from .errors import AccessError, ConflictError, DataJointError, DuplicateError, IntegrityError
from .expression import QueryExpression
from .fetch import fetch_batches
from .insertion import EncodedRow, RowEncoder, rows_of
from .lineage import holders
from .logging import logger
from .placing import Placer
from .refusals import Checker, explain
from .sql.select import Writer
from .sql.statements import insert_rows, insert_select
from .storage.outgoing import Outgoing
from .streaming import Pace
from .types import External
from .utils import batches

CHUNK = 1000
#: Chunks with this many bytes of blobs are sent, however few rows they have.
_LARGE = 2**26
#: How often an insert is repeated after conflicts with others.
_REPEATS = 5
#: What the modes of an insert may need on one database or another.
_PRIVILEGES = {
    "insert": "INSERT",
    "replace": "INSERT and UPDATE",
    "skip": "INSERT or UPDATE",
}


def insert(
    connection: Connection,
    spec: TableSpec,
    rows: Any,
    mode: str,
    ignore_extra_fields: bool,
    chunk_size: int = CHUNK,
    progress: bool = False,
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
    chunk_size : int
        How many rows are held and sent at once.
    progress : bool
        Whether a progress bar is shown.

    Raises
    ------
    DataJointError
        Names the row, the attribute and the value that are refused; nothing is inserted.
    """
    if isinstance(rows, Mapping):  # one entity, as in manual 9.1.1
        rows = (rows,)
    encoder = RowEncoder(spec, connection.dialect, ignore_extra_fields)
    if isinstance(rows, tuple) and len(rows) == 1:
        _insert_chunks(connection, spec, [[encoder.encode(rows[0])]], mode, alone=True)
        return
    listed = rows_of(rows)
    encoded = (encoder.encode(row, i) for i, row in enumerate(listed))
    types = (attribute.attribute_type for attribute in spec.heading.attributes.values())
    may_be_large = any(type_ is not None and type_.is_opaque for type_ in types)
    chunks: Iterable[list[EncodedRow]] = _chunks(encoded, chunk_size, may_be_large)
    if progress:
        total = len(listed) if isinstance(listed, Sized) else None
        chunks = _with_progress(chunks, spec.name.table, total)
    _insert_chunks(connection, spec, chunks, mode)


def _chunks(
    rows: Iterator[EncodedRow], chunk_size: int, may_be_large: bool
) -> Iterator[list[EncodedRow]]:
    """Divide rows into chunks of so many rows, and fewer where they hold much memory."""
    if not may_be_large:
        yield from batches(rows, chunk_size)
        return
    chunk: list[EncodedRow] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(map(_held_bytes, row[1]))
        if len(chunk) == chunk_size or size > _LARGE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _held_bytes(value: Any) -> int:
    """Tell how much memory a value takes, if it may be much."""
    if isinstance(value, Outgoing):
        return value.held_bytes
    return len(value) if isinstance(value, bytes) else 0


def _with_progress(
    chunks: Iterable[list[EncodedRow]], name: str, total: int | None
) -> Iterator[list[EncodedRow]]:
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=name, unit="row", file=sys.stderr) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))


def _insert_chunks(
    connection: Connection,
    spec: TableSpec,
    chunks: Iterable[list[EncodedRow]],
    mode: str,
    *,
    alone: bool = False,
) -> None:
    """Insert rows chunk by chunk; again after a conflict with others who store the same objects.

    That is where nothing else was undone with them, and they are few enough to be kept.
    """
    insert_all = partial(_insert_once, connection, spec, mode=mode, alone=alone)
    if connection.in_transaction or not spec.uses_stores:
        insert_all(chunks)
        return
    rest = iter(chunks)
    first = list(itertools.islice(rest, 2))
    if len(first) == 2:
        insert_all(itertools.chain(first, rest))
        return
    for attempt in range(_REPEATS):
        try:
            insert_all(first)
            return
        except ConflictError as error:
            logger.debug("The insert into %s is repeated: %s", spec.name, error)
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
    insert_all(first)


def _insert_once(
    connection: Connection,
    spec: TableSpec,
    chunks: Iterable[list[EncodedRow]],
    *,
    mode: str,
    alone: bool,
) -> None:
    """Insert rows, and explain why they are refused after they are undone.

    A row that is alone needs no transaction, unless stores get something of it.
    """
    dialect, heading = connection.dialect, spec.heading
    table = dialect.table(spec.name.schema, spec.name.table)
    key, rest = heading.stored_key, heading.stored_rest
    placer = Placer(connection, spec) if spec.uses_stores else None
    # An insert looks at nothing that others may change, but for what is in stores: there, it is to
    # see what they have stored meanwhile.
    transaction = connection.atomic(snapshot=placer is None)
    if placer is not None:
        chunks = placer.ahead(chunks)
    chunk: list[EncodedRow] = []
    start = 0
    try:
        with (
            connection.requiring(_PRIVILEGES[mode], "insert into", spec.name),
            nullcontext() if alone and placer is None else transaction,
        ):
            for chunk in chunks:
                placed = chunk if placer is None else placer.place(chunk)
                for columns, group in itertools.groupby(placed, lambda row: row[0]):
                    statement = insert_rows(dialect, table, columns, key, rest, mode)
                    connection.insert(statement, [values for _, values in group])
                start += len(chunk)
    except (DuplicateError, IntegrityError) as error:
        single = not start and len(chunk) == 1
        rows = [(None, chunk[0])] if single else enumerate(chunk, start)
        raise explain(connection, spec, rows, error, mode) from error.__cause__


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
        _insert_chunks(connection, spec, [[encoder.encode({})] * len(query)], mode, alone=True)
        return
    if any(_is_kept_elsewhere(spec, query, name) for name in names):
        batches = fetch_batches(query, names, Options(lazy=True), None)
        insert(connection, spec, itertools.chain.from_iterable(batches), mode, False)
        return
    key, rest = heading.stored_key, heading.stored_rest
    types = {name: heading.types[name] for name in names}
    table = dialect.table(spec.name.schema, spec.name.table)
    statement = insert_select(
        dialect, table, types, key, rest, mode, query.relation, query.heading.types
    )
    if connection.is_recorded:  # what only the database reads counts as well
        deque(connection.stream(Writer(dialect).select(query.relation, names), Pace(None)), 0)
    try:
        with connection.requiring(_PRIVILEGES[mode], "insert into", spec.name):
            connection.execute(statement)
    except AccessError:
        raise
    except DataJointError as error:
        _explain_query(connection, spec, query, mode)
        raise type(error)(f"Cannot insert a query into {spec.name}: {error}") from error


def _is_kept_elsewhere(spec: TableSpec, query: QueryExpression, name: str) -> bool:
    """Tell whether the values of an attribute are to be copied between stores, or out of one."""
    source, target = (
        (type_.kind, type_.store) if isinstance(type_, External) else None
        for type_ in (query.heading[name].stored_type, spec.heading[name].stored_type)
    )
    if source is None and target is None:
        return False
    schemas = {holder.table.schema for holder in holders(query.relation, name)}
    return source != target or schemas != {spec.name.schema}


def _explain_query(
    connection: Connection, spec: TableSpec, query: QueryExpression, mode: str
) -> None:
    """Raise the error of the row and the value that are refused, if they can be found out here."""
    encoder = RowEncoder(spec, connection.dialect, ignore_extra_fields=True)
    checker = Checker(connection, spec, mode)
    encoded = enumerate(encoder.encode(row, number) for number, row in enumerate(query))
    for chunk in batches(encoded, CHUNK):
        for fault in checker.faults(chunk):
            fault.throw(spec.name)
