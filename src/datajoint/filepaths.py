"""Files of type ``filepath@store``, whose paths tell nothing of their contents.

A file takes the place of another one under its path only where nothing refers to that any more.
Manual 5.7.2: deleted, changed, and inserted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from .connection import Connection
from .declare import TableSpec
from .errors import DataJointError, IntegrityError, MissingExternalFile
from .hash import uuid_from_stream
from .sharing import look_up_elsewhere
from .storage.base import Store
from .storage.objects import Tracked
from .storage.outgoing import Outgoing
from .storage.registry import get_store
from .storage.transfer import transfer
from .tracking import forget, lock, look_up, note, unused


def settle(
    connection: Connection,
    tracker: TableSpec,
    files: Sequence[Outgoing],
    held: dict[UUID, Tracked],
) -> None:
    """Find out which files may be stored, inside the transaction that inserts them.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
        The tracking table.
    files : sequence of Outgoing
    held : dict
        The rows of those that were noted before; without those that are new, in the end.

    Raises
    ------
    DataJointError
        When a file was stored before with other contents, which are in use.
    """
    if not files:
        return
    store = get_store(files[0].type.store)
    changed = _changed(files, held, store)
    for file in _in_use(connection, tracker, changed)[:1]:
        raise DataJointError(refusal(file))
    for file in changed:
        del held[file.hash]
    note(connection, tracker, changed)
    fresh = [each for each in files if each.object.hash not in held]
    _check_elsewhere(connection, tracker, store, fresh)


def refused(
    connection: Connection, tracker: TableSpec, files: Sequence[Outgoing]
) -> dict[UUID, Tracked]:
    """Find the files that an insert would refuse, without changing anything."""
    if not files:
        return {}
    known = look_up(connection, tracker, (each.object.hash for each in files))
    changed = _changed(files, known, get_store(files[0].type.store))
    free = unused(connection, tracker, [file.hash for file in changed])
    return {file.hash: file for file in changed if file.hash not in free}


def refusal(file: Tracked) -> str:
    """Say why a file is refused, and what to do."""
    return (
        f"the file `{file.filepath}` was inserted before with other contents, and is in use. To "
        "change it, delete the entities that refer to it, change the file, and insert them again"
    )


def _changed(files: Iterable[Outgoing], held: dict[UUID, Tracked], store: Store) -> list[Tracked]:
    """List the files that have other contents than their rows tell of."""
    return [
        each.object
        for each in files
        if each.object.hash in held and not _is_same(each.object, held[each.object.hash], store)
    ]


def _in_use(
    connection: Connection, tracker: TableSpec, files: Sequence[Tracked]
) -> Sequence[Tracked]:
    """Find the files that entities refer to; forget the rows of all when there is none."""
    hashes = [file.hash for file in files]
    lock(connection, tracker, hashes, shared=False)
    free = unused(connection, tracker, hashes)
    if len(free) < len(files):
        return [file for file in files if file.hash not in free]
    try:
        forget(connection, tracker, hashes)
    except IntegrityError:  # of entities, or tables, that the transaction cannot see
        return files
    return ()


def _check_elsewhere(
    connection: Connection, tracker: TableSpec, store: Store, files: Sequence[Outgoing]
) -> None:
    """Refuse files that would take the places of those that other schemas have there."""

    def replaces(file: Outgoing) -> bool:
        path = str(file.object.filepath)
        if store.info(path) is None or file.is_stored(store, path):
            return False
        return not _is_itself(store, path, file) and not _has(store, file.object)

    replacing = transfer(replaces, files)
    there = {f.object.hash: f.object for f, replaces in zip(files, replacing) if replaces}
    schemas = connection.list_schemas() if there else ()
    found = look_up_elsewhere(connection, tracker, store, there, schemas=schemas)
    for hash_, (other, noted) in found.items():
        if not _is_same(there[hash_], noted, store) and _has(store, noted):
            raise DataJointError(
                f"the store `{store.name}` has the file `{noted.filepath}` with other contents, "
                f"which {other.name} tells of. Insert it under another path; or delete the "
                "entities that refer to that one and what is unused there"
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
