"""Stores at the same place, whose tracking tables tell of the same objects.

A store may be configured under two names, as after it was renamed. What one tracking table does
not tell of, or nothing refers to through it, can be in use through the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from .connection import Connection
from .declare import TableSpec, external_table
from .errors import DataJointError
from .storage.base import Store
from .storage.objects import Tracked
from .storage.registry import get_store
from .tracking import look_up


def look_up_elsewhere(
    connection: Connection,
    tracker: TableSpec,
    store: Store,
    hashes: Collection[UUID],
    *,
    schemas: Iterable[str] = (),
) -> Mapping[UUID, tuple[TableSpec, Tracked]]:
    """Find what other tracking tables tell of the objects of a store.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
        The tracking table of the store, which is left out.
    store : Store
    hashes : collection of UUID
    schemas : iterable of str
        Other schemas to look into. Blobs and attached files are in a folder of their schema.

    Returns
    -------
    dict
        For each object that is found, one of the tables, and its row.
    """
    found: dict[UUID, tuple[TableSpec, Tracked]] = {}
    for schema in dict.fromkeys((tracker.name.schema, *schemas)) if hashes else ():
        # Others may have declared it since the catalog was read: it is brought up to date by this.
        connection.is_declared(external_table(schema, store.name))
        for spec in connection.tables(schema).values():
            name = spec.name.store
            if name and spec.name != tracker.name and _may_be_at(name, store):
                rows = look_up(connection, spec, hashes)
                found |= {hash_: (spec, row) for hash_, row in rows.items()}
    return found


def _may_be_at(name: str, store: Store) -> bool:
    """Tell whether a store keeps its objects where another one does, or this is not known."""
    try:
        return name == store.name or get_store(name).whereabouts == store.whereabouts
    except DataJointError:  # it is not configured here any more, or cannot be reached
        return True
