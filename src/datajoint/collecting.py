"""Removing from stores what nothing refers to, while others insert.

Whoever inserts holds the rows of the objects until what refers to them is committed. Here, rows
are held too, alone; those that others hold are left to them, so that nobody is waited for. While
a row is held, nobody can begin to refer to its object: if nothing does, row and object are removed,
and only then others go on, find no row, and store the object anew. If this process ends before,
the row is back, perhaps without its object: as nothing refers to it, that is stored with the next
insert, for which it is looked whether it is there. Manual 2.5.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from .connection import Connection
from .declare import TableSpec
from .errors import ConflictError, DataJointError, IntegrityError
from .sharing import look_up_elsewhere
from .sql import algebra
from .sql.select import Writer
from .storage.base import ObjectInfo, Store
from .storage.objects import Tracked
from .storage.paths import hash_of, is_temporary
from .tracking import forget, lock, look_up, note, unused
from .utils import batches

#: So many objects are removed in one transaction, for which those who insert them may have to wait.
BATCH = 200
#: So many listed objects are looked up at once.
_LISTED = 1000
#: So long a temporary object may be that of somebody who writes it.
_WRITING = timedelta(hours=1)


@dataclass(frozen=True)
class Failure:
    """An object that could not be removed.

    Attributes
    ----------
    path : str
        Below the location of the store.
    reason : Exception
    hash : UUID
    """

    path: str
    reason: Exception
    hash: UUID


@dataclass(frozen=True)
class Removal:
    """What was removed of some objects.

    Attributes
    ----------
    removed : tuple of Tracked
        Those whose rows are gone.
    failures : tuple of Failure
        Those that the store could not remove, whose rows stay. All others are in use.
    """

    removed: tuple[Tracked, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Stray:
    """An object of a store that no row tells of.

    Attributes
    ----------
    info : ObjectInfo
    hash : UUID
        In its name.
    is_leftover : bool
        Whether it is what was left of the writing of an object that has a row.
    """

    info: ObjectInfo
    hash: UUID
    is_leftover: bool


class _NotRemoved(Exception):
    """Some objects are still there; their rows are to be put back."""

    def __init__(self, reasons: Mapping[str, Exception]) -> None:
        self.reasons = reasons


def check_outside(connection: Connection, action: str) -> None:
    """Refuse to remove anything from stores while that could not be undone, or queries are cached.

    Raises
    ------
    DataJointError
        Inside a transaction of the user, or while the query cache is on.
    """
    connection.check_changeable(action)
    if connection.in_transaction:
        raise DataJointError(
            f"Cannot {action} inside a transaction, which cannot undo it: do so before or after"
        )


def remove(
    connection: Connection,
    tracker: TableSpec,
    hashes: Collection[UUID],
    store: Store | None,
    *,
    files: bool,
) -> Removal:
    """Remove those of some objects that nothing refers to, with their rows.

    Parameters
    ----------
    connection : Connection
        Not in a transaction.
    tracker : TableSpec
        The tracking table.
    hashes : collection of UUID
    store : Store or None
        None removes the rows only.
    files : bool
        Whether files of type ``filepath@store`` are removed too, or only their rows.

    Raises
    ------
    ConflictError
        When others hold what the statements need; nothing is removed.
    DataJointError
        When the store cannot be reached; rows are not removed.
    """
    for last in (False, True):
        try:
            return _remove(connection, tracker, hashes, store, files=files)
        except IntegrityError:  # by a table that somebody has declared since the catalog was read
            if last:
                raise
            connection.forget_catalog(tracker.name.schema)
    raise AssertionError


def _remove(
    connection: Connection,
    tracker: TableSpec,
    hashes: Collection[UUID],
    store: Store | None,
    *,
    files: bool,
) -> Removal:
    with connection.atomic(snapshot=False):
        held = lock(connection, tracker, hashes, shared=False, wait=False)
        # Only now: what referred to them before is committed, and nothing new can.
        free = unused(connection, tracker, held)
        paths = {} if store is None else _paths(connection, tracker, store, free, files=files)
        try:
            with connection.atomic():
                # Before the objects, since the foreign keys are checked once more by it.
                forget(connection, tracker, free)
                reasons: Mapping[str, Exception] = {}
                if store is not None:
                    reasons = store.delete(paths.values())
                if reasons:
                    raise _NotRemoved(reasons)
        except _NotRemoved as error:
            reasons = error.reasons
            gone = [hash_ for hash_ in free if paths.get(hash_) not in reasons]
            forget(connection, tracker, gone)
    kept = {hash_: path for hash_, path in paths.items() if path in reasons}
    return Removal(
        tuple(each for each in free.values() if each.hash not in kept),
        tuple(Failure(path, reasons[path], hash_) for hash_, path in kept.items()),
    )


def _paths(
    connection: Connection,
    tracker: TableSpec,
    store: Store,
    objects: Mapping[UUID, Tracked],
    *,
    files: bool,
) -> dict[UUID, str]:
    """Name the objects that are to be removed with their rows: what no other table tells of."""
    schema, subfolding = tracker.name.schema, store.settings.subfolding
    removable = {hash_: each for hash_, each in objects.items() if files or not each.is_file}
    # Files are in no folder of a schema.
    has_files = any(each.is_file for each in removable.values())
    schemas = connection.list_schemas() if has_files else ()
    shared = look_up_elsewhere(connection, tracker, store, removable.keys(), schemas=schemas)
    return {
        hash_: each.path(schema, subfolding)
        for hash_, each in removable.items()
        if hash_ not in shared
    }


# -- objects without rows -------------------------------------------------------------------------


def find_strays(
    connection: Connection, tracker: TableSpec, store: Store, before: datetime
) -> Iterator[Stray]:
    """List the objects of a schema that its tracking tables do not tell of.

    What does not have a name as objects have, or is named by a row as a file, is none.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
    store : Store
    before : datetime
        They were written before; younger ones may be about to be noted.
    """
    schema, subfolding = tracker.name.schema, store.settings.subfolding
    for part in batches(store.list(schema), _LISTED):
        hashes = {each.path: hash_of(each.path, schema, subfolding) for each in part}
        named = [each for each in part if hashes[each.path] is not None]
        # Looked up after they were listed: what was stored before, and is in use, has a row now.
        wanted = {hash_ for hash_ in hashes.values() if hash_}
        rows = look_up(connection, tracker, wanted)
        elsewhere = look_up_elsewhere(connection, tracker, store, wanted - rows.keys())
        found = []
        for info in named:
            hash_ = hashes[info.path]
            assert hash_ is not None
            if hash_ in elsewhere:
                continue
            row = rows.get(hash_)
            leftover = is_temporary(info.path)
            if row is not None and not (leftover and info.path != row.path(schema, subfolding)):
                continue
            oldest = min(before, _writing_since(info)) if leftover else before
            if info.modified < oldest:
                found.append(Stray(info, hash_, row is not None))
        files = _file_paths(connection, tracker, [stray.info.path for stray in found])
        yield from (stray for stray in found if stray.info.path not in files)


def _writing_since(info: ObjectInfo) -> datetime:
    """Say before when a temporary object was last written for it to be a leftover."""
    return datetime.now(info.modified.tzinfo) - _WRITING


def _file_paths(connection: Connection, tracker: TableSpec, paths: Iterable[str]) -> set[str]:
    """Find the paths that rows name as those of files."""
    type_ = tracker.heading["filepath"].attribute_type
    keys = tuple((connection.dialect.encode(path, type_),) for path in paths)
    if not keys:
        return set()
    named = algebra.Restriction(tracker.relation, algebra.OneOf(("filepath",), keys, (type_,)))
    rows = connection.rows(Writer(connection.dialect).select(named, ("filepath",)))
    return {path for (path,) in rows}


def remove_stray(
    connection: Connection, tracker: TableSpec, store: Store, stray: Stray, before: datetime
) -> Failure | bool:
    """Remove an object that no row tells of, unless somebody notes or stores it meanwhile.

    Its hash is held by a row that is never committed: whoever would note the same hash waits, and
    then stores the object anew. One at a time, so that two who wait for each other cannot be.

    Parameters
    ----------
    connection : Connection
        Not in a transaction.
    tracker : TableSpec
    store : Store
    stray : Stray
    before : datetime
        As for :func:`find_strays`.

    Returns
    -------
    bool or Failure
        Whether it was removed; a failure when the store could not.
    """
    path = stray.info.path
    if stray.is_leftover:  # nobody looks for it
        return _outcome(stray, store.delete([path]))
    placeholder = Tracked(stray.hash, stray.info.size, attachment_name=f"removed by {uuid4().hex}")
    connection.start_transaction(snapshot=False)
    try:
        note(connection, tracker, [placeholder])
        held = lock(connection, tracker, [stray.hash], shared=False, wait=False)
        if held.get(stray.hash) != placeholder:  # others have noted it
            return False
        info = store.info(path)
        if info is None or info.modified >= before:
            return False
        return _outcome(stray, store.delete([path]))
    except ConflictError:  # with whoever inserts it
        return False
    finally:
        connection.cancel_transaction()


def _outcome(stray: Stray, reasons: Mapping[str, Exception]) -> Failure | bool:
    path = stray.info.path
    return Failure(path, reasons[path], stray.hash) if path in reasons else True
