"""Putting what rows have for stores there, before the rows are inserted.

The order is what makes it safe: an object is noted in its tracking table and held there, then
it is stored, then the row that refers to it is inserted, and then all of this is committed. A
process that is killed leaves at most an object that nothing refers to. Manual 2.5.1.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from .connection import Connection
from .declare import TableSpec, external_table
from .errors import DataJointError, IntegrityError, MissingExternalFile
from .hash import uuid_from_stream
from .insertion import EncodedRow
from .sharing import look_up_elsewhere
from .storage.base import Store
from .storage.objects import Tracked
from .storage.outgoing import Outgoing
from .storage.registry import get_store
from .storage.transfer import transfer
from .tracking import forget, hold, lock, note, unused

#: For each store, what is to be stored, each object once.
_Objects = Mapping[str, Mapping[UUID, Outgoing]]


class Placer:
    """Stores the objects of the rows that are inserted into one table.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table.
    """

    def __init__(self, connection: Connection, spec: TableSpec) -> None:
        self._connection = connection
        self._spec = spec
        self._ahead: set[tuple[str, UUID]] = set()

    def ahead(self, chunks: Iterable[list[EncodedRow]]) -> Iterable[list[EncodedRow]]:
        """Store the objects of the first chunk before the transaction begins.

        That is where it would let nobody else write meanwhile. The objects are not held yet: when
        they are, it is looked whether they are still there.
        """
        if self._connection.in_transaction or not self._connection.backend.has_one_writer:
            return chunks
        rest = iter(chunks)
        first = list(itertools.islice(rest, 1))
        for name, objects in _objects(itertools.chain(*first)).items():
            # Not files: they may be refused yet, and would have taken the places of others.
            named = {h: each for h, each in objects.items() if each.type.kind != "filepath"}
            self._store(name, named, {})
            self._ahead |= {(name, hash_) for hash_ in named}
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
            tracker = self._connection.table(external_table(self._spec.name.schema, name))
            held = hold(self._connection, tracker, [each.object for each in objects.values()])
            files = [each for each in objects.values() if each.type.kind == "filepath"]
            if files:
                self._settle_files(name, tracker, files, held)
            self._store(name, objects, held)
        return [self._with_hashes(row) for row in rows]

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

        try:
            transfer(ensure, list(objects.values()))
        except (DataJointError, ValueError) as error:
            kind = type(error) if isinstance(error, DataJointError) else DataJointError
            raise kind(f"Cannot insert into {self._spec.name}: {error}") from error

    def _settle_files(
        self, name: str, tracker: TableSpec, files: Sequence[Outgoing], held: dict[UUID, Tracked]
    ) -> None:
        """Let files with new contents take the places of those that nothing refers to any more.

        Manual 5.7.2: deleted, changed, and inserted again.
        """
        store = get_store(name)
        changed = [
            each.object
            for each in files
            if each.object.hash in held and not _is_same(each.object, held[each.object.hash], store)
        ]
        for file in self._in_use(tracker, changed)[:1]:
            raise DataJointError(
                f"Cannot insert into {self._spec.name}: the file `{file.filepath}` was inserted "
                "before with other contents, and is in use. To change it, delete the entities that "
                "refer to it, change the file, and insert them again"
            )
        for file in changed:
            del held[file.hash]
        note(self._connection, tracker, changed)
        fresh = [each for each in files if each.object.hash not in held]
        self._check_elsewhere(tracker, store, fresh)

    def _in_use(self, tracker: TableSpec, files: Sequence[Tracked]) -> Sequence[Tracked]:
        """Find the files that entities refer to; forget the rows of all when there is none."""
        hashes = [file.hash for file in files]
        lock(self._connection, tracker, hashes, shared=False)
        free = unused(self._connection, tracker, hashes)
        if len(free) < len(files):
            return [file for file in files if file.hash not in free]
        try:
            forget(self._connection, tracker, hashes)
        except IntegrityError:  # of entities, or tables, that the transaction cannot see
            return files
        return ()

    def _check_elsewhere(self, tracker: TableSpec, store: Store, files: Sequence[Outgoing]) -> None:
        """Refuse files that would take the places of those that other schemas have there."""

        def replaces(file: Outgoing) -> bool:
            path = str(file.object.filepath)
            if store.info(path) is None or file.is_stored(store, path):
                return False
            return not _is_itself(store, path, file) and not _has(store, file.object)

        replacing = transfer(replaces, files)
        there = {f.object.hash: f.object for f, replaces in zip(files, replacing) if replaces}
        schemas = self._connection.list_schemas() if there else ()
        found = look_up_elsewhere(self._connection, tracker, store, there, schemas=schemas)
        for hash_, (other, noted) in found.items():
            if not _is_same(there[hash_], noted, store) and _has(store, noted):
                raise DataJointError(
                    f"Cannot insert into {self._spec.name}: the store `{store.name}` has the file "
                    f"`{noted.filepath}` with other contents, which {other.name} tells of. Insert "
                    "it under another path; or delete the entities that refer to that one and "
                    "what is unused there"
                )

    def _with_hashes(self, row: EncodedRow) -> EncodedRow:
        columns, values = row
        encode = self._connection.dialect.encode
        return columns, tuple(
            encode(value.object.hash, value.type) if isinstance(value, Outgoing) else value
            for value in values
        )


def _is_same(file: Tracked, noted: Tracked, store: Store) -> bool:
    """Tell whether a file has the contents that a row tells of.

    Without a checksum of the file, which is large then, its size tells.
    """
    if file.size != noted.size or file.contents_hash is None:
        return file.size == noted.size
    try:
        return file.contents_hash == (noted.contents_hash or _contents_hash(store, noted))
    except MissingExternalFile:
        return True  # and is stored again


def _is_itself(store: Store, path: str, file: Outgoing) -> bool:
    """Tell whether a file is the object, as in a stage that is the location of the store."""
    with suppress(OSError):
        return isinstance(file.source, Path) and file.source.samefile(store.locate(path))
    return False


def _has(store: Store, noted: Tracked) -> bool:
    """Tell whether a store has the file that a row tells of."""
    info = store.info(str(noted.filepath))
    return (
        info is not None
        and info.size == noted.size
        and noted.contents_hash in (None, _contents_hash(store, noted))
    )


def _contents_hash(store: Store, noted: Tracked) -> UUID:
    with store.open(str(noted.filepath)) as stream:
        return uuid_from_stream(stream)


def _objects(rows: Iterable[EncodedRow]) -> _Objects:
    """Gather the objects of rows, each once."""
    objects: dict[str, dict[UUID, Outgoing]] = defaultdict(dict)
    for _, values in rows:
        for value in values:
            if isinstance(value, Outgoing):
                objects[value.type.store][value.object.hash] = value
    return objects
