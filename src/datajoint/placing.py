"""Putting what rows have for stores there, before the rows are inserted.

The order is what makes it safe: an object is noted in its tracking table and held there, then
it is stored, then the row that refers to it is inserted, and then all of this is committed. A
process that is killed leaves at most an object that nothing refers to. Manual 2.5.1.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from .connection import Connection
from .declare import TableSpec, external_table
from .errors import DataJointError, IntegrityError
from .insertion import EncodedRow, Fault
from .storage.objects import Tracked
from .storage.outgoing import Outgoing
from .storage.registry import get_store
from .storage.transfer import transfer
from .tracking import forget, hold, lock, look_up, note, unused

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

        That is where it would let nobody else write meanwhile. The objects are not held yet: when
        they are, it is looked whether they are still there.
        """
        if self._connection.in_transaction or not self._connection.backend.has_one_writer:
            return chunks
        rest = iter(chunks)
        first = list(itertools.islice(rest, 1))
        for name, objects in _objects(itertools.chain(*first)).items():
            known = look_up(self._connection, self._tracker(name), objects)
            early = {
                hash_: each
                for hash_, each in objects.items()
                # A file's path tells nothing of its contents: others may be storing it too.
                if hash_ not in known and each.type.kind != "filepath"
            }
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
            stored under the same path with other contents.
        """
        for name, objects in _objects(rows).items():
            tracker = self._tracker(name)
            held = hold(self._connection, tracker, [each.object for each in objects.values()])
            self._settle_files(tracker, objects, held)
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
            if may_be_there and each.is_stored(store, path):
                return
            if hash_ in held and _is_unsure(each.object, held[hash_]) and store.info(path):
                raise ValueError(_in_use(each.object))
            each.upload(store, path)

        try:
            transfer(ensure, list(objects.values()))
        except (DataJointError, ValueError) as error:
            kind = type(error) if isinstance(error, DataJointError) else DataJointError
            raise kind(f"Cannot {self._action} {self._spec.name}: {error}") from error

    def _settle_files(
        self, tracker: TableSpec, objects: Mapping[UUID, Outgoing], held: dict[UUID, Tracked]
    ) -> None:
        """Let files with new contents take the places of those that nothing refers to any more.

        Manual 5.7.2: deleted, changed, and inserted again.
        """
        changed = _changed(objects, held)
        if not changed:
            return
        hashes = [each.hash for each in changed]
        lock(self._connection, tracker, hashes, shared=False)
        free = unused(self._connection, tracker, hashes)
        for each in changed:
            if each.hash not in free:
                raise self._refused(each)
            try:
                # What others refer to meanwhile, a transaction does not see; foreign keys do.
                forget(self._connection, tracker, [each.hash])
            except IntegrityError as error:
                raise self._refused(each) from error
            del held[each.hash]
        note(self._connection, tracker, changed)

    def _refused(self, file: Tracked) -> DataJointError:
        return DataJointError(f"Cannot {self._action} {self._spec.name}: {_in_use(file)}")

    def _with_hashes(self, row: EncodedRow) -> EncodedRow:
        columns, values = row
        encode = self._connection.dialect.encode
        return columns, tuple(
            encode(value.object.hash, value.type) if isinstance(value, Outgoing) else value
            for value in values
        )


def files_in_use(
    connection: Connection, spec: TableSpec, rows: Iterable[tuple[int | None, EncodedRow]]
) -> list[Fault]:
    """Find what an insert of rows, given with their numbers, would refuse of files in stores."""
    rows = list(rows)
    taken: dict[tuple[str, UUID], Tracked] = {}
    for name, objects in _objects(row for _, row in rows).items():
        tracker = connection.table(external_table(spec.name.schema, name))
        files = [hash_ for hash_, each in objects.items() if each.type.kind == "filepath"]
        changed = _changed(objects, look_up(connection, tracker, files))
        free = unused(connection, tracker, [each.hash for each in changed])
        taken |= {(name, each.hash): each for each in changed if each.hash not in free}
    return [
        Fault(
            number, (attribute,), value.source, _in_use(taken[value.type.store, value.object.hash])
        )
        for number, (columns, values) in rows
        for attribute, value in zip(columns, values, strict=True)
        if isinstance(value, Outgoing) and (value.type.store, value.object.hash) in taken
    ]


def _changed(objects: Mapping[UUID, Outgoing], held: Mapping[UUID, Tracked]) -> list[Tracked]:
    """Find the files that were inserted before with other contents."""
    return [
        each.object
        for hash_, each in objects.items()
        if each.type.kind == "filepath" and hash_ in held
        if each.object != held[hash_] and not _is_unsure(each.object, held[hash_])
    ]


def _is_unsure(file: Tracked, held: Tracked) -> bool:
    """Tell whether only the files themselves can tell if they are the same.

    So it is when a checksum was not computed, for the size of the file, where now it is; or the
    other way round.
    """
    unknown = None in (file.contents_hash, held.contents_hash)
    return file.size == held.size and file.contents_hash != held.contents_hash and unknown


def _in_use(file: Tracked) -> str:
    return (
        f"the file `{file.filepath}` was inserted before with other contents, and is in use. To "
        "change it, delete the entities that refer to it, change the file, and insert them again"
    )


def _objects(rows: Iterable[EncodedRow]) -> _Objects:
    """Gather the objects of rows, each once."""
    objects: dict[str, dict[UUID, Outgoing]] = defaultdict(dict)
    for _, values in rows:
        for value in values:
            if isinstance(value, Outgoing):
                objects[value.type.store][value.object.hash] = value
    return objects
