"""Comparing what stores have with what tracking tables tell of it.

Storage formats 3.3 and 3.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from .connection import Connection
from .declare import TableSpec
from .errors import DataJointError, MissingExternalFile
from .hash import uuid_from_buffer, uuid_from_stream
from .sql import algebra
from .sql.select import Writer
from .storage.base import Store
from .storage.objects import Tracked
from .storage.transfer import transfer
from .tracking import look_up, references
from .utils import batches

#: So many objects are looked up at once.
_BATCH = 1000
#: Larger objects are not read into memory.
_LARGE = 2**24


@dataclass(frozen=True)
class Fault:
    """An object that is not in its store as its row tells.

    Attributes
    ----------
    hash : UUID
    path : str
        The file, or the URL of the object.
    reason : str
    references : mapping
        How many entities refer to it: full table name → number.
    """

    hash: UUID
    path: str
    reason: str
    references: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        users = (f"{count} of {table}" for table, count in self.references.items())
        return f"{self.path}: {self.reason}; in use by {', '.join(users) or 'nothing'}"


@dataclass(frozen=True)
class Verification:
    """What reading the objects of a schema back has shown: true when all is well.

    Objects that are missing and that nothing refers to are no harm: they are stored anew when
    they are inserted.

    Attributes
    ----------
    schema, store : str
    count, bytes : int
        How many objects were looked for, and how many bytes they have.
    missing : tuple of Fault
        Those that the store does not have.
    damaged : tuple of Fault
        Those that have other contents than were stored, or could not be read.
    """

    schema: str
    store: str
    count: int
    bytes: int
    missing: tuple[Fault, ...] = ()
    damaged: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return not self.damaged and not any(fault.references for fault in self.missing)

    def __str__(self) -> str:
        head = (
            f"{self.count:,} objects of schema `{self.schema}` in store `{self.store}` "
            f"({self.bytes:,} bytes): {len(self.missing):,} missing, {len(self.damaged):,} damaged"
        )
        lines = [f"  missing: {fault}" for fault in self.missing]
        lines += [f"  damaged: {fault}" for fault in self.damaged]
        return "\n".join([head, *lines])


def verify(
    connection: Connection,
    tracker: TableSpec,
    store: Store,
    hashes: Iterable[UUID],
    progress: Callable[[int], object],
) -> Verification:
    """Read objects back, several at a time.

    Parameters
    ----------
    connection : Connection
    tracker : TableSpec
        The tracking table.
    store : Store
    hashes : iterable of UUID
        The objects; those that are removed meanwhile are passed over.
    progress : callable
        Is told how many objects were looked at since it was last called.
    """
    schema, subfolding = tracker.name.schema, store.settings.subfolding

    def check(tracked: Tracked) -> Fault | None:
        path = tracked.path(schema, subfolding)
        reason = _reason(store, path, tracked)
        return None if reason is None else Fault(tracked.hash, store.locate(path), reason)

    count = size = 0
    faults: dict[UUID, Fault] = {}
    for part in batches(hashes, _BATCH):
        objects = list(look_up(connection, tracker, part).values())
        found = [fault for fault in transfer(check, objects) if fault is not None]
        # Once more: others may have removed them, or stored them anew, since they were looked up.
        again = look_up(connection, tracker, [fault.hash for fault in found])
        confirmed = [fault for fault in transfer(check, list(again.values())) if fault is not None]
        count += len(objects) - len(found) + len(again)
        size += sum(each.size for each in objects)
        faults |= {fault.hash: fault for fault in _with_users(connection, tracker, confirmed)}
        progress(len(part))
    missing = tuple(fault for fault in faults.values() if fault.reason == _MISSING)
    damaged = tuple(fault for fault in faults.values() if fault.reason != _MISSING)
    return Verification(schema, store.name, count, size, missing, damaged)


_MISSING = "is missing"


def _reason(store: Store, path: str, tracked: Tracked) -> str | None:
    """Say what is wrong with an object; None when nothing is."""
    try:
        if tracked.size <= _LARGE:
            contents = store.get(path)
            size, hash_ = len(contents), uuid_from_buffer(contents, tracked.prefix)
        else:
            with store.open(path) as stream:
                hash_ = uuid_from_stream(stream, tracked.prefix)
                size = stream.tell()
    except MissingExternalFile:
        return _MISSING
    except DataJointError as error:
        return f"cannot be read ({error})"
    if size != tracked.size:
        return f"has {size:,} bytes instead of {tracked.size:,}"
    return None if tracked.checksum in (None, hash_) else "has other contents than were stored"


def _with_users(
    connection: Connection, tracker: TableSpec, faults: Sequence[Fault]
) -> Iterator[Fault]:
    """Count the entities that refer to objects."""
    users: dict[UUID, Counter[str]] = {fault.hash: Counter() for fault in faults}
    type_ = tracker.heading["hash"].attribute_type
    encode, decode = connection.dialect.encode, connection.dialect.decoder(type_)
    keys = tuple((encode(hash_, type_),) for hash_ in users)
    for spec, attribute in references(connection, tracker) if users else ():
        renamed = algebra.Projection(spec.relation, (("hash", attribute),))
        relation = algebra.Restriction(renamed, algebra.OneOf(("hash",), keys, (type_,)))
        for (value,) in connection.rows(Writer(connection.dialect).select(relation, ("hash",))):
            users[value if decode is None else decode(value)][spec.name.full] += 1
    return (replace(fault, references=dict(users[fault.hash])) for fault in faults)
