"""Putting what rows have for stores there, before the rows are inserted.

The order is what makes it safe: an object is noted in its tracking table and held there, then
it is stored, then the row that refers to it is inserted, and then all of this is committed. A
process that is killed leaves at most an object that nothing refers to. Manual 2.5.1.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from .connection import Connection
from .declare import TableSpec, external_table
from .errors import DataJointError
from .filepaths import refusal, refused, settle
from .insertion import EncodedRow, Fault
from .storage.objects import Tracked
from .storage.outgoing import Outgoing
from .storage.registry import get_store
from .storage.transfer import transfer
from .tracking import hold, look_up

#: For each store, what is to be stored, each object once.
_Objects = Mapping[str, Mapping[UUID, Outgoing]]


class Placer:
    """Stores the objects of the rows that are inserted into one table.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table.
    action : str
        What is done to the table, for errors.
    """

    def __init__(
        self, connection: Connection, spec: TableSpec, action: str = "insert into"
    ) -> None:
        self._connection = connection
        self._spec = spec
        self._action = action
        self._ahead: set[tuple[str, UUID]] = set()

    def ahead(self, chunks: Iterable[list[EncodedRow]]) -> Iterable[list[EncodedRow]]:
        """Store the new objects of the first chunk before the transaction begins.

        That is where it would let nobody else write meanwhile, and does not do so yet. The objects
        are not held yet: when they are, it is looked whether they are still there.
        """
        is_late = self._connection.in_transaction and not self._connection.is_optimistic
        if is_late or not self._connection.backend.has_one_writer:
            return chunks
        rest = iter(chunks)
        first = list(itertools.islice(rest, 1))
        for name, objects in _objects(itertools.chain(*first)).items():
            with self._connection.unrecorded():
                known = look_up(self._connection, self._tracker(name), objects)
            early = {
                hash_: each
                for hash_, each in objects.items()
                # A file's path tells nothing of its contents: others may be storing it too.
                if hash_ not in known and each.type.kind != "filepath"
            }
            with self._explained():
                self._store(name, early, {})
            self._ahead |= {(name, hash_) for hash_ in early}
        return itertools.chain(first, rest)

    def place(self, rows: Sequence[EncodedRow]) -> list[EncodedRow]:
        """Store the objects of rows, inside the transaction that inserts them.

        Returns
        -------
        list of EncodedRow
            The rows with the hashes of the objects.

        Raises
        ------
        DataJointError
            When a store cannot be written, names the store and the object; or when a file was
            stored under the same path with other contents, also by another schema.
        """
        for name, objects in _objects(rows).items():
            tracker = self._tracker(name)
            with self._connection.unrecorded():
                held = hold(self._connection, tracker, [each.object for each in objects.values()])
                with self._explained():
                    settle(self._connection, tracker, _files(objects), held)
            with self._explained():
                self._store(name, objects, held)
        return [self._with_hashes(row) for row in rows]

    def _tracker(self, store: str) -> TableSpec:
        return self._connection.table(external_table(self._spec.name.schema, store))

    def _store(
        self, name: str, objects: Mapping[UUID, Outgoing], held: Mapping[UUID, Tracked]
    ) -> None:
        """Store objects, several at a time, but for those that the store has already."""
        store = get_store(name)

        def ensure(each: Outgoing) -> None:
            hash_ = each.object.hash
            path = each.object.path(self._spec.name.schema, store.settings.subfolding)
            may_be_there = hash_ in held or (name, hash_) in self._ahead
            if not (may_be_there and each.is_stored(store, path)):
                each.upload(store, path)

        transfer(ensure, list(objects.values()))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name the table in errors of stores and files."""
        try:
            yield
        except (DataJointError, ValueError) as error:
            kind = type(error) if isinstance(error, DataJointError) else DataJointError
            raise kind(f"Cannot {self._action} {self._spec.name}: {error}") from error

    def _with_hashes(self, row: EncodedRow) -> EncodedRow:
        columns, values = row
        encode = self._connection.dialect.encode
        return columns, tuple(
            encode(value.object.hash, value.type) if isinstance(value, Outgoing) else value
            for value in values
        )


def refused_files(
    connection: Connection, spec: TableSpec, rows: Iterable[tuple[int | None, EncodedRow]]
) -> list[Fault]:
    """Find what an insert of rows, given with their numbers, would refuse of files in stores."""
    rows = list(rows)
    taken: dict[tuple[str, UUID], Tracked] = {}
    for name, objects in _objects(row for _, row in rows).items():
        tracker = connection.table(external_table(spec.name.schema, name))
        found = refused(connection, tracker, _files(objects))
        taken |= {(name, hash_): file for hash_, file in found.items()}
    return [
        Fault(
            number, (attribute,), value.source, refusal(taken[value.type.store, value.object.hash])
        )
        for number, (columns, values) in rows
        for attribute, value in zip(columns, values, strict=True)
        if isinstance(value, Outgoing) and (value.type.store, value.object.hash) in taken
    ]


def _files(objects: Mapping[UUID, Outgoing]) -> list[Outgoing]:
    return [each for each in objects.values() if each.type.kind == "filepath"]


def _objects(rows: Iterable[EncodedRow]) -> _Objects:
    """Gather the objects of rows, each once."""
    objects: dict[str, dict[UUID, Outgoing]] = defaultdict(dict)
    for _, values in rows:
        for value in values:
            if isinstance(value, Outgoing):
                objects[value.type.store][value.object.hash] = value
    return objects
