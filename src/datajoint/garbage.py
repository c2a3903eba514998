"""``dj.gc``: removing from stores what no entity refers to any more.

Manual 2.5.3.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import ModuleType
from uuid import UUID

from .collecting import BATCH, Failure, check_outside, find_strays, remove, remove_stray
from .connection import Connection, conn
from .errors import (
    ConflictError,
    DataJointError,
    IntegrityError,
    LostConnectionError,
    QueryError,
)
from .external import ExternalMapping, ExternalTable, progress_bar
from .schemas import Schema
from .storage.base import Store
from .storage.objects import Tracked
from .utils import batches, did_you_mean

#: What was stored since then is left alone, as somebody may be about to refer to it.
GRACE = timedelta(days=1)
#: How often a batch is tried while others hold what it needs.
_ATTEMPTS = 5


@dataclass(frozen=True)
class Amount:
    """How many objects, and their bytes."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.bytes + other.bytes)

    def __str__(self) -> str:
        return f"{self.count:,} ({_size(self.bytes)})"


_NOTHING = Amount()


@dataclass(frozen=True)
class Share:
    """What of the garbage is of one schema in one store.

    Attributes
    ----------
    schema, store : str
    unused : Amount
        Blobs and attached files that no entity refers to.
    files : Amount
        Files of type ``filepath@store`` that no entity refers to; without ``filepaths=True``, only
        their rows are garbage.
    orphans : Amount
        Objects that the tracking table of the schema does not tell of.
    leftovers : Amount
        What was left of writing objects, by processes that were killed.
    young : Amount
        What will be garbage when the grace period is over.
    errors : tuple of (str, Exception)
        What could not be looked at or removed, and why.
    """

    schema: str
    store: str
    unused: Amount = _NOTHING
    files: Amount = _NOTHING
    orphans: Amount = _NOTHING
    leftovers: Amount = _NOTHING
    young: Amount = _NOTHING
    errors: tuple[tuple[str, Exception], ...] = ()


@dataclass(frozen=True)
class Garbage:
    """What ``dj.gc`` has found, or removed.

    Attributes
    ----------
    shares : tuple of Share
    dry_run : bool
        Whether nothing was removed.
    filepaths : bool
        Whether files of type ``filepath@store`` are garbage with their rows.
    """

    shares: tuple[Share, ...]
    dry_run: bool
    filepaths: bool = False

    @property
    def objects(self) -> Amount:
        """What is, or was, removed from the stores."""
        kinds = ["unused", "orphans", "leftovers", *["files"] * self.filepaths]
        return sum((getattr(share, kind) for share in self.shares for kind in kinds), _NOTHING)

    @property
    def errors(self) -> tuple[tuple[str, Exception], ...]:
        """What could not be looked at or removed, and why."""
        return tuple(error for share in self.shares for error in share.errors)

    def __str__(self) -> str:
        verb = "To be removed (dry run)" if self.dry_run else "Removed"
        lines = [f"{verb}: {self.objects.count:,} objects, {_size(self.objects.bytes)}"]
        for share in self.shares:
            files = "files" if self.filepaths else "rows of files"
            named = {
                "unused": share.unused,
                files: share.files,
                "orphans": share.orphans,
                "leftovers": share.leftovers,
                "younger than the grace period": share.young,
            }
            told = ", ".join(f"{name}: {amount}" for name, amount in named.items() if amount.count)
            lines.append(f"  schema `{share.schema}`, store `{share.store}`: {told or 'nothing'}")
            lines += [f"    error: {what}: {reason}" for what, reason in share.errors]
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class _Request:
    """What to collect, and how."""

    dry_run: bool
    grace: timedelta
    filepaths: bool
    orphans: bool
    batch_size: int
    progress: bool


def gc(
    *schemas: Schema | ModuleType | str,
    stores: str | Iterable[str] | None = None,
    dry_run: bool = True,
    grace: timedelta | float = GRACE,
    filepaths: bool = False,
    orphans: bool = True,
    batch_size: int = BATCH,
    connection: Connection | None = None,
    display_progress: bool = True,
) -> Garbage:
    """Remove from stores what no entity refers to any more; by default, only tell what that is.

    It is safe while others insert, delete and fetch.

    Parameters
    ----------
    *schemas : Schema, module or str
        Schemas, virtual modules, or names of schemas.
    stores : str or iterable of str, optional
        Look into these stores only; by default, into all that the schemas use.
    dry_run : bool
        Whether to tell only what would be removed. False removes it, without asking.
    grace : timedelta or float
        Spare what was stored in this time; a number is one of seconds.
    filepaths : bool
        Whether files of type ``filepath@store`` are removed, or only their rows.
    orphans : bool
        Whether to look for objects that no table tells of, for which the stores are listed.
    batch_size : int
        So many objects are removed at once.
    connection : Connection, optional
        For names of schemas; ``dj.conn()`` by default.
    display_progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Garbage
        What would be, or was, removed from each schema and store, and the errors that there were:
        objects that could not be removed do not stop it.

    Raises
    ------
    DataJointError
        When an argument is wrong, a schema or a store does not exist, or inside a transaction.

    Notes
    -----
    Manual 2.5.3.
    """
    request = _Request(dry_run, _grace(grace), filepaths, orphans, batch_size, display_progress)
    if type(batch_size) is not int or batch_size < 1:
        raise DataJointError(f"`batch_size` is a number of objects, from 1, not {batch_size!r}")
    tables = list(_tables(list(_named(schemas, connection)), stores))
    return Garbage(tuple(_collect(table, request) for table in tables), dry_run, filepaths)


def _grace(grace: timedelta | float) -> timedelta:
    try:
        given = grace if isinstance(grace, timedelta) else timedelta(seconds=grace)
    except (TypeError, ValueError, OverflowError):
        given = None
    if given is None or given < timedelta():
        raise DataJointError(
            "`grace` is a time that has passed, a timedelta or a number of seconds from 0, not "
            f"{grace!r}"
        )
    return given


def _named(
    schemas: Sequence[Schema | ModuleType | str], connection: Connection | None
) -> Iterator[tuple[Connection, str]]:
    """Name the schemas, and the connections to them."""
    if not schemas:
        raise DataJointError("Give the schemas to look at: `dj.gc(schema)`")
    for given in schemas:
        schema = getattr(given, "schema", given)
        if isinstance(schema, Schema):
            if schema.database is None:
                raise DataJointError("The schema is not activated: call `schema.activate(name)`")
            yield schema.connection, schema.database
        elif isinstance(schema, str):
            found = connection or conn()
            if schema not in found.list_schemas():
                raise DataJointError(
                    f"There is no schema `{schema}`{did_you_mean(schema, found.list_schemas())}"
                )
            yield found, schema
        else:
            raise DataJointError(f"`dj.gc` takes schemas or their names, not {given!r}")


def _tables(
    schemas: Sequence[tuple[Connection, str]], stores: str | Iterable[str] | None
) -> Iterator[ExternalTable]:
    """Find the tracking tables of schemas."""
    for connection, schema in schemas:
        check_outside(connection, "collect garbage")
        connection.forget_catalog(schema)  # others may have declared tables
    mappings = [ExternalMapping(connection, schema) for connection, schema in schemas]
    used = {store for mapping in mappings for store in mapping}
    wanted = used if stores is None else {stores} if isinstance(stores, str) else set(stores)
    for store in sorted(wanted - used):
        names = ", ".join(f"`{name}`" for _, name in schemas)
        raise DataJointError(f"No store `{store}` is used by {names}{did_you_mean(store, used)}")
    return (mapping[store] for mapping in mappings for store in mapping if store in wanted)


def _collect(table: ExternalTable, request: _Request) -> Share:
    """Look into one store for one schema; what goes wrong with the store stops nothing else."""
    share = _Tally()
    try:
        _collect_unused(table, request, share)
        if request.orphans:
            _collect_strays(table, request, share)
    except (LostConnectionError, QueryError):
        raise
    except DataJointError as error:
        share.errors.append((f"store `{table.store_name}`", error))
    return Share(
        table.name.schema,
        table.store_name,
        **share.amounts,
        errors=tuple(share.errors),
    )


@dataclass
class _Tally:
    """What was found so far."""

    amounts: dict[str, Amount] = field(default_factory=dict)
    errors: list[tuple[str, Exception]] = field(default_factory=list)

    def add(self, name: str, size: int) -> None:
        self.amounts[name] = self.amounts.get(name, _NOTHING) + Amount(1, size)


def _collect_unused(table: ExternalTable, request: _Request, tally: _Tally) -> None:
    """Remove objects whose rows nothing refers to, batch by batch."""
    # By the clock of the database, that of the timestamps.
    aged = table.unused().proj(
        "size", "filepath", age="TIMESTAMPDIFF(SECOND, timestamp, CURRENT_TIMESTAMP)"
    )
    old = []
    for hash_, size, filepath, age in zip(*aged.fetch("hash", "size", "filepath", "age")):
        if age < request.grace.total_seconds():
            tally.add("young", int(size))
        elif request.dry_run:
            tally.add(_kind(Tracked(hash_, int(size), None, filepath)), int(size))
        else:
            old.append(hash_)
    if not old:
        return
    store = table.store
    name = f"{table.name.schema}, {table.store_name}"
    with progress_bar(len(old), name, request.progress) as bar:
        for part in batches(old, request.batch_size):
            _remove_batch(table, store, part, request, tally)
            if bar is not None:
                bar.update(len(part))


def _remove_batch(
    table: ExternalTable, store: Store, part: list[UUID], request: _Request, tally: _Tally
) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            removal = remove(table.connection, table.spec, part, store, files=request.filepaths)
            break
        except (ConflictError, IntegrityError) as error:
            if attempt == _ATTEMPTS - 1:
                tally.errors.append((f"{len(part)} objects, of which none was removed", error))
                return
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    for each in removal.removed:
        tally.add(_kind(each), each.size)
    tally.errors += [(store.locate(each.path), each.reason) for each in removal.failures]


def _kind(tracked: Tracked) -> str:
    return "files" if tracked.is_file else "unused"


def _collect_strays(table: ExternalTable, request: _Request, tally: _Tally) -> None:
    """Remove objects that have no rows, one by one."""
    store, connection, spec = table.store, table.connection, table.spec
    before = datetime.now(timezone.utc) - request.grace
    for stray in find_strays(connection, spec, store, before):
        done = request.dry_run or remove_stray(connection, spec, store, stray, before)
        if isinstance(done, Failure):
            tally.errors.append((store.locate(done.path), done.reason))
        elif done:
            tally.add("leftovers" if stray.is_leftover else "orphans", stray.info.size)


def _size(count: int) -> str:
    """Write a number of bytes for people."""
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
