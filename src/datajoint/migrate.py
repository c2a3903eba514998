"""Moving what schemas keep in stores: to another store, or from the format of DataJoint 0.11.

Manual 2.5.4.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, TypeAlias
from uuid import UUID

from .alter import Alteration
from .altering import Plan, execute_alter
from .connection import Connection, conn
from .declare import ForeignKey, TableName, TableSpec, external_table
from .errors import ConflictError, DataJointError, IntegrityError
from .heading import Attribute
from .legacy import migrate_dj011_external_blob_storage_to_dj012
from .logging import logger
from .references import is_table_class
from .schemas import Schema
from .sql import algebra
from .storage.copying import copy_object, is_there
from .storage.objects import Tracked
from .storage.registry import get_store
from .storage.transfer import transfer
from .table import Table
from .trackers import declare_tracker
from .tracking import hold, lock, look_up, objects, references
from .types import Adapted, External
from .utils import did_you_mean

__all__ = ["StoreMigration", "migrate_dj011_external_blob_storage_to_dj012", "migrate_store"]

#: How often objects that others insert meanwhile are copied before a table refers to its copies.
_ATTEMPTS = 10
_Tables: TypeAlias = "Iterable[type[Table] | Table | str] | type[Table] | Table | str"


@dataclass(frozen=True)
class StoreMigration:
    """What :func:`migrate_store` did, or would do.

    Attributes
    ----------
    schema, source, target : str
    copied : int
        Objects that were copied; with ``dry_run``, those that would be.
    present : int
        Objects that the target had already.
    size : int
        Bytes of the objects that were copied.
    switched : tuple of (TableName, Attribute, Attribute)
        The attributes that refer to the target now: what they were, and what they are.
    dry_run : bool
    """

    schema: str
    source: str
    target: str
    copied: int
    present: int
    size: int
    switched: tuple[tuple[TableName, Attribute, Attribute], ...]
    dry_run: bool = False

    def __str__(self) -> str:
        verb = "would be" if self.dry_run else "were"
        lines = [
            f"Schema `{self.schema}`, from store `{self.source}` to `{self.target}`: {self.copied} "
            f"objects of {self.size:,} bytes {verb} copied, {self.present} were there already."
        ]
        if self.switched:
            when = "" if self.dry_run else ", and restart the programs that use it"
            lines.append(f"Change the definitions in your code{when}:")
            lines += [f"    {name}: {_advice(old, new, self)}" for name, old, new in self.switched]
        lines.append(
            f"What the store `{self.source}` has stays there; dj.gc removes what nothing refers to."
        )
        return "\n".join(lines)


def _advice(old: Attribute, new: Attribute, report: StoreMigration) -> str:
    """Say how the definition of an attribute changes."""
    if isinstance(new.attribute_type, Adapted):
        return (
            f"`{new.name} : {new.type}`: the adapter's attribute_type names the store "
            f"`{report.target}` in place of `{report.source}`"
        )
    return f"`{old.name} : {old.type}` becomes `{new.name} : {new.type}`"


def migrate_store(
    schema: Schema | str,
    source: str,
    target: str,
    *,
    tables: _Tables | None = None,
    connection: Connection | None = None,
    batch_size: int = 500,
    dry_run: bool = False,
    display_progress: bool = False,
) -> StoreMigration:
    """Move what a schema keeps in one store to another one.

    Objects are copied, several at a time, and each copy is read back and compared. When all of
    them are in place, the tables are altered, one by one and each as a whole, to refer to the
    target. Whenever it is interrupted, it can be called again, and goes on. Objects in the source
    stay; ``dj.gc`` removes those that nothing refers to any more.

    Parameters
    ----------
    schema : Schema or str
    source, target : str
        Names in ``dj.config['stores']``.
    tables : Table or str, or iterable of these, optional
        The tables whose attributes are moved, as classes or by their names in the database; all
        tables of the schema by default.
    connection : Connection, optional
        For a schema that is given by its name; ``dj.conn()`` by default.
    batch_size : int
        How many objects are noted in the database together.
    dry_run : bool
        Whether only to tell what would be done.
    display_progress : bool
        Whether to show a progress bar.

    Returns
    -------
    StoreMigration
        Its text tells which definitions in code are to be changed.

    Raises
    ------
    DataJointError
        When a store is not configured or cannot be used, the schema keeps nothing in the source,
        an object is missing or damaged, or the target has another file under the path of one.
        Tables that were not altered before are as they were.

    Notes
    -----
    Programs that insert into a table while it is altered are refused until they are started anew
    with the changed definition.
    """
    if isinstance(schema, Schema):
        connection, schema = schema.connection, str(schema.database)
    if not isinstance(schema, str):
        raise DataJointError(f"`migrate_store` takes a schema or its name, not {schema!r}")
    connection = connection or conn()
    move = _Move(connection, schema, source, target, batch_size, display_progress)
    return move.run(tables, dry_run=dry_run)


class _Move:
    """The move of what one schema keeps in a store to another one."""

    def __init__(
        self,
        connection: Connection,
        schema: str,
        source: str,
        target: str,
        batch_size: int,
        display_progress: bool,
    ) -> None:
        if source == target:
            raise DataJointError(f"The source and the target are both the store `{source}`")
        if connection.in_transaction:
            raise DataJointError("A store cannot be migrated inside a transaction: end it first")
        if batch_size < 1:
            raise DataJointError(f"batch_size must be 1 or more, not {batch_size}")
        connection.forget_catalog(schema)
        self._connection = connection
        self._schema = schema
        self._source, self._target = get_store(source), get_store(target)
        self._old, self._new = (external_table(schema, store) for store in (source, target))
        self._batch_size = batch_size
        self._display_progress = display_progress
        self._seen: set[UUID] = set()
        self._copied: dict[UUID, int] = {}

    def run(self, tables: _Tables | None, *, dry_run: bool) -> StoreMigration:
        specs = self._specs(tables)
        changes = tuple(chain.from_iterable(map(self._changes, specs)))
        if any(new.is_filepath for _, _, new in changes):
            _ = self._target.stage  # without which files could not be fetched
        if dry_run:
            self._estimate(specs)
        else:
            declare_tracker(self._connection, self._schema, self._target.name)
            self._copy_all(specs)
            for spec in specs:
                self._switch(spec)
        copied, size = len(self._copied), sum(self._copied.values())
        report = StoreMigration(
            self._schema,
            self._source.name,
            self._target.name,
            copied,
            len(self._seen) - copied,
            size,
            changes,
            dry_run,
        )
        if not dry_run:
            logger.info("%s", report)
        return report

    # -- what is moved ------------------------------------------------------------------------

    @property
    def _tracker(self) -> TableSpec:
        return self._connection.table(self._old)

    def _specs(self, tables: _Tables | None) -> list[TableSpec]:
        """Find the tables that refer to the source."""
        if not self._connection.is_declared(self._old):
            names = (name.store for name in self._names())
            known = ", ".join(f"`{name}`" for name in names if name) or "none"
            raise DataJointError(
                f"The schema `{self._schema}` keeps nothing in the store `{self._source.name}` "
                f"(it uses: {known})"
            )
        specs = {spec.name: spec for spec, _ in references(self._connection, self._tracker)}
        if tables is None:
            return list(specs.values())
        single = isinstance(tables, str | Table) or is_table_class(tables)
        listed: Any = (tables,) if single else tables
        chosen = [self._chosen(table) for table in listed]
        return [spec for name, spec in specs.items() if name in chosen]

    def _names(self) -> list[TableName]:
        return [spec.name for spec in self._connection.tables(self._schema).values()]

    def _chosen(self, table: type[Table] | Table | str) -> TableName:
        """Find a table that the user names; one that is moved already is right too."""
        given = table if isinstance(table, str) else getattr(table, "full_table_name", repr(table))
        known = {text: name for name in self._names() for text in (name.table, name.full)}
        if given not in known:
            raise DataJointError(
                f"The schema `{self._schema}` has no table {given}{did_you_mean(given, known)}"
            )
        return known[given]

    def _changes(self, spec: TableSpec) -> Iterator[tuple[TableName, Attribute, Attribute]]:
        """List the attributes of a table that are moved, as they are and as they will be."""
        moved = {fk.child_attributes[0] for fk in spec.foreign_keys if fk.parent == self._old}
        for attribute in spec.heading.all_attributes:
            if attribute.name in moved:
                yield spec.name, attribute, self._moved(attribute)

    def _moved(self, attribute: Attribute) -> Attribute:
        type_, stored = attribute.attribute_type, attribute.stored_type
        if isinstance(stored, External):
            there = f"{stored.kind}@{self._target.name}"
            stored = External(there, stored.kind, self._target.name)
        if isinstance(type_, Adapted):  # of which not all databases know what is stored
            stored = replace(type_, inner=stored)
        return replace(attribute, attribute_type=stored)

    def _objects(self, specs: Iterable[TableSpec]) -> list[Tracked]:
        """List the objects that tables refer to, in an order that is always the same."""
        used = tuple(
            algebra.Matching(algebra.Projection(spec.relation, (("hash", old.name),)), ("hash",))
            for spec in specs
            for _, old, _ in self._changes(spec)
        )
        found = objects(self._connection, self._tracker, algebra.AnyOf(used)) if used else ()
        return sorted(found, key=lambda each: each.hash.bytes)

    # -- copying ------------------------------------------------------------------------------

    def _estimate(self, specs: Sequence[TableSpec]) -> None:
        """Count what would be copied."""
        for batch in self._batches(specs):
            self._count(batch, self._absent(batch))

    def _copy_all(self, specs: Sequence[TableSpec]) -> None:
        """Copy all objects that tables refer to."""
        for batch in self._batches(specs):
            try:
                self._copy(batch)
            except (DataJointError, OSError) as error:
                kind = type(error) if isinstance(error, DataJointError) else DataJointError
                raise kind(
                    f"The schema `{self._schema}` is not migrated from the store "
                    f"`{self._source.name}` to `{self._target.name}`: {error}"
                ) from error

    def _copy(self, batch: Sequence[Tracked]) -> None:
        """Copy objects and note them, in the order of inserts: see :mod:`datajoint.placing`.

        Most are copied before the transaction, so that nobody waits for it meanwhile.
        """
        absent = self._absent(batch)
        self._transfer(absent)
        with self._connection.atomic(snapshot=False):
            still = lock(self._connection, self._tracker, (each.hash for each in batch)).values()
            tracker = self._connection.table(self._new)
            held = hold(self._connection, tracker, list(still))
            self._check_files(still, held)
            self._transfer(self._lacking(list(still)))
        self._count(batch, absent)

    def _transfer(self, absent: Sequence[Tracked]) -> None:
        transfer(partial(copy_object, self._source, self._target, self._schema), absent)

    def _absent(self, batch: Sequence[Tracked]) -> list[Tracked]:
        """List the objects that the target does not have for sure."""
        noted = {}
        if self._connection.is_declared(self._new):
            tracker = self._connection.table(self._new)
            noted = look_up(self._connection, tracker, (each.hash for each in batch))
        known = [each for each in batch if each.hash in noted]
        lacking = self._lacking(known)
        return [each for each in batch if each.hash not in noted] + lacking

    def _lacking(self, batch: Sequence[Tracked]) -> list[Tracked]:
        """List the objects that are not in the target, whatever the database says."""
        there = transfer(partial(is_there, self._target, self._schema), batch)
        return [each for each, is_right in zip(batch, there, strict=True) if not is_right]

    def _check_files(self, files: Iterable[Tracked], held: dict[Any, Tracked]) -> None:
        """Refuse a file that was stored in the target under the same path with other contents."""
        for file in files:
            there = held.get(file.hash, file)
            hashes = {file.contents_hash, there.contents_hash} - {None}
            if there.size != file.size or len(hashes) > 1:
                raise DataJointError(
                    f"the store `{self._target.name}` has the file `{file.filepath}` with other "
                    f"contents than the store `{self._source.name}`. Delete the entities that "
                    "refer to one of them, or insert that file under another path"
                )

    def _count(self, batch: Sequence[Tracked], absent: Sequence[Tracked]) -> None:
        self._seen |= {each.hash for each in batch}
        self._copied |= {each.hash: each.size for each in absent}

    def _batches(self, specs: Iterable[TableSpec]) -> Iterator[list[Tracked]]:
        found = self._objects(specs)
        starts: Iterable[int] = range(0, len(found), self._batch_size)
        batches = (found[start : start + self._batch_size] for start in starts)
        if not self._display_progress:
            yield from batches
            return
        from tqdm.auto import tqdm

        title = f"{self._source.name} → {self._target.name}"
        with tqdm(total=len(found), desc=title, unit="object", file=sys.stderr) as bar:
            for batch in batches:
                yield batch
                bar.update(len(batch))

    # -- switching ----------------------------------------------------------------------------

    def _switch(self, spec: TableSpec) -> None:
        """Let a table refer to the target; the foreign key tells whether all objects are there."""
        for _ in range(_ATTEMPTS):
            try:
                execute_alter(self._connection, [self._plan(self._connection.table(spec.name))])
                return
            except (ConflictError, IntegrityError) as error:  # others have inserted meanwhile
                last = error
                self._connection.forget_catalog(self._schema)
                self._copy_all([self._connection.table(spec.name)])
        raise ConflictError(
            f"{spec.name} cannot be switched to the store `{self._target.name}`: others inserted "
            "into it each time. Stop them, and repeat it"
        ) from last

    def _plan(self, spec: TableSpec) -> Plan:
        moved = {old.name: new for _, old, new in self._changes(spec)}
        heading = replace(
            spec.heading,
            all_attributes=tuple(moved.get(a.name, a) for a in spec.heading.all_attributes),
        )
        keys = tuple(
            ForeignKey(self._new, fk.attributes) if fk.parent == self._old else fk
            for fk in spec.foreign_keys
        )
        alteration = Alteration(spec, TableSpec(spec.name, heading, keys), {})
        return Plan(alteration, (), tuple(self._connection.alter_statements(alteration)))
