"""The tables that track what a schema keeps in stores: one for each store.

Whoever puts an object into a store, or removes one, holds its row there until the object and
all that refers to it are in place. So an object that is referred to is never removed, and
one that is not in use can be removed while others insert. Storage formats 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from .connection import Connection
from .declare import TableSpec, external_table
from .sql import algebra
from .sql.algebra import Condition
from .sql.select import Writer
from .sql.statements import delete_keys, insert_rows, lock_rows
from .storage.objects import Tracked
from .utils import batches

#: So many rows are asked for, or locked, by one statement.
BATCH = 1000
_COLUMNS = ("hash", "size", "attachment_name", "filepath", "contents_hash")


def trackers(connection: Connection, schemas: Iterable[str], store: str) -> Iterator[TableSpec]:
    """Find the tracking tables that schemas have for a store."""
    for schema in dict.fromkeys(schemas):
        name = external_table(schema, store)
        if connection.is_declared(name):
            yield connection.table(name)


def look_up(
    connection: Connection, tracker: TableSpec, hashes: Iterable[UUID]
) -> dict[UUID, Tracked]:
    """Read the rows of objects, those that there are."""
    return _select(connection, tracker, hashes, algebra.Constant(True))


def unused(
    connection: Connection, tracker: TableSpec, hashes: Iterable[UUID]
) -> dict[UUID, Tracked]:
    """Read the rows of objects, those that nothing refers to."""
    return _select(connection, tracker, hashes, unreferenced(connection, tracker))


def unreferenced(connection: Connection, tracker: TableSpec) -> Condition:
    """Say what the objects of a tracking table have in common that nothing refers to."""
    used = (
        algebra.Projection(spec.relation, (("hash", attribute),))
        for spec, attribute in references(connection, tracker)
    )
    return algebra.AllOf(tuple(algebra.Negation(algebra.Matching(r, ("hash",))) for r in used))


def _select(
    connection: Connection, tracker: TableSpec, hashes: Iterable[UUID], condition: Condition
) -> dict[UUID, Tracked]:
    """Read the rows of those of the objects that meet a condition."""
    found: dict[UUID, Tracked] = {}
    type_ = tracker.heading["hash"].attribute_type
    for part in batches(_keys(connection, tracker, hashes), BATCH):
        given = algebra.OneOf(("hash",), tuple((key,) for key in part), (type_,))
        both = algebra.AllOf((given, condition))
        found |= {each.hash: each for each in objects(connection, tracker, both)}
    return found


def objects(connection: Connection, tracker: TableSpec, condition: Condition) -> Iterator[Tracked]:
    """Read the rows of the objects that meet a condition."""
    relation = algebra.Restriction(tracker.relation, condition)
    rows = connection.rows(Writer(connection.dialect).select(relation, _COLUMNS))
    return decoded(connection, tracker, rows)


def hold(
    connection: Connection, tracker: TableSpec, objects: Sequence[Tracked]
) -> dict[UUID, Tracked]:
    """Note objects that are about to be stored, and keep others from removing them.

    To be called inside a transaction, before it is looked whether the objects are there; they are
    held until the transaction ends.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
        The tracking table.
    objects : sequence of Tracked
        With different hashes.

    Returns
    -------
    dict
        The rows of those that others noted before, as they are.
    """
    hashes = [each.hash for each in objects]
    known = look_up(connection, tracker, hashes)
    missing = [each for each in objects if each.hash not in known]
    while True:
        note(connection, tracker, missing)
        # Those just noted too: where others have noted one meanwhile, it is not held by that.
        held = lock(connection, tracker, hashes)
        missing = [each for each in objects if each.hash not in held]
        if not missing:
            # Others may have noted one between the look and the note, as another file too.
            return {
                each.hash: held[each.hash]
                for each in objects
                if each.hash in known or held[each.hash] != each
            }
        # Removed by others in between.


def note(connection: Connection, tracker: TableSpec, objects: Sequence[Tracked]) -> None:
    """Insert the rows of objects, but for those that exist; wait for whoever holds one of them."""
    dialect, heading = connection.dialect, tracker.heading
    table = dialect.table(tracker.name.schema, tracker.name.table)
    statement = insert_rows(dialect, table, _COLUMNS, ["hash"], heading.stored_rest, "skip")
    types = [heading[name].attribute_type for name in _COLUMNS]
    # In an order that is the same for all, so that two who wait for each other are rare.
    for part in batches(sorted(objects, key=lambda each: each.hash.bytes), BATCH):
        rows = [
            [dialect.encode(getattr(each, name), t) for name, t in zip(_COLUMNS, types)]
            for each in part
        ]
        connection.insert(statement, rows)


def forget(connection: Connection, tracker: TableSpec, hashes: Iterable[UUID]) -> None:
    """Delete the rows of objects.

    Raises
    ------
    IntegrityError
        When something refers to one of them, seen by this transaction or not.
    """
    dialect = connection.dialect
    table = dialect.table(tracker.name.schema, tracker.name.table)
    with connection.requiring("DELETE", "delete from", tracker.name):
        for part in batches(_keys(connection, tracker, hashes), BATCH):
            connection.execute(delete_keys(dialect, table, "hash", part))


def lock(
    connection: Connection,
    tracker: TableSpec,
    hashes: Iterable[UUID],
    *,
    shared: bool = True,
    wait: bool = True,
) -> dict[UUID, Tracked]:
    """Read the rows of objects, and keep them as they are until the transaction ends.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
    hashes : iterable of UUID
    shared : bool
        Whether others may hold them too and refer to them; without, nobody can.
    wait : bool
        Whether to wait for whoever holds any of them; otherwise these are left out.
    """
    dialect = connection.dialect
    mode = dialect.share_lock if shared else dialect.exclusive_lock if wait else dialect.free_lock
    table = dialect.table(tracker.name.schema, tracker.name.table)
    found: dict[UUID, Tracked] = {}
    for part in batches(_keys(connection, tracker, hashes), BATCH):
        statement = lock_rows(dialect, table, _COLUMNS, "hash", part, mode)
        rows = connection.rows(statement, locks=True)
        found |= {each.hash: each for each in decoded(connection, tracker, rows)}
    return found


def references(connection: Connection, tracker: TableSpec) -> list[tuple[TableSpec, str]]:
    """List the tables and the attributes that refer to the objects of a tracking table."""
    return [
        (spec, attribute)
        for spec in connection.tables(tracker.name.schema).values()
        for foreign_key in spec.foreign_keys
        if foreign_key.parent == tracker.name
        for attribute in foreign_key.child_attributes
    ]


def decoded(
    connection: Connection, tracker: TableSpec, rows: Iterable[Sequence[object]]
) -> Iterator[Tracked]:
    """Make objects of the values of rows, in the order of the attributes of Tracked."""
    decoders = [connection.dialect.decoder(tracker.heading[n].attribute_type) for n in _COLUMNS]
    for row in rows:
        values: Any = (
            value if value is None or decode is None else decode(value)
            for value, decode in zip(row, decoders, strict=True)
        )
        yield Tracked(*values)


def _keys(connection: Connection, tracker: TableSpec, hashes: Iterable[UUID]) -> list[Any]:
    """Encode hashes, in an order that is the same for all who lock them."""
    type_ = tracker.heading["hash"].attribute_type
    ordered = sorted(hashes, key=lambda hash_: hash_.bytes)
    return [connection.dialect.encode(hash_, type_) for hash_ in ordered]
