"""From the external blobs of DataJoint 0.11 to those of 0.12 and later.

In 0.11, the attribute is a text, the SHA-256 of the object in base 64 and the name of its store,
which is the name of the object too; one table, ``~external``, tracks the objects of all stores.
Later, the attribute refers to the tracking table of its store. Objects stay where they are.
Manual 2.5.4; storage formats 3.3.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from .alter import Alteration
from .altering import Plan, execute_alter
from .connection import Connection, conn
from .declare import ForeignKey, TableName, TableSpec, external_table
from .errors import DataJointError, MissingExternalFile
from .grammar import parse_type
from .hash import uuid_from_buffer
from .heading import Attribute
from .logging import logger
from .settings import config
from .sql import algebra
from .sql.select import Writer
from .sql.statements import update
from .storage.base import Store
from .storage.objects import Tracked
from .storage.registry import get_store
from .storage.transfer import transfer
from .trackers import declare_tracker
from .tracking import BATCH, look_up, note
from .types import External, Other
from .utils import user_choice

_TRACKER = "~external"
_HASH = parse_type("char(51)")
#: Attributes with old values, see :class:`_Column`.
_FORMER = re.compile(r"_(.+)_dj011")
#: How many digits the hash in the name of an object has.
_DIGITS = 43
#: How often rows that others insert meanwhile are brought up to date.
_ATTEMPTS = 10
#: What fails of objects is listed up to this number.
_SHOWN = 10


def migrate_dj011_external_blob_storage_to_dj012(
    migration_schema: str,
    store: str,
    *,
    connection: Connection | None = None,
    dry_run: bool = False,
) -> None:
    """Bring what a schema of DataJoint 0.11 keeps in one store into the format since 0.12.

    The plan is shown first and, with the setting ``safemode``, to be confirmed. All objects are
    read and compared with their hashes before any table is changed. The old values stay, in hidden
    attributes, until the new ones of all tables are verified; ``~external`` stays until no store
    needs it. Whenever it is interrupted, it can be called again, and goes on.

    Parameters
    ----------
    migration_schema : str
    store : str
        The name in ``dj.config['stores']``, which is that of 0.11 without ``external-``:
        ``raw`` for ``external-raw``, and ``external`` for ``external``.
    connection : Connection, optional
        ``dj.conn()`` by default.
    dry_run : bool
        Whether only to show the plan.

    Raises
    ------
    DataJointError
        When the schema has nothing of 0.11 for the store, or objects are missing or damaged, which
        are listed; no table is changed then.

    Notes
    -----
    Manual 2.5.4. Make a backup, and stop all programs that use DataJoint 0.11, before.
    """
    connection = connection or conn()
    if connection.in_transaction:
        raise DataJointError("A schema cannot be migrated inside a transaction: end it first")
    connection.forget_catalog(migration_schema)
    if _is_done(connection, migration_schema, store):
        print(f"Schema `{migration_schema}` is migrated already, and has nothing of 0.11 any more.")
        return
    upgrade = _Upgrade(connection, migration_schema, get_store(store))
    print(upgrade.plan())
    if dry_run:
        return
    if config["safemode"] and user_choice("Proceed?", default="no") != "yes":
        print("Nothing was changed.")
        return
    upgrade.run()
    print(f"Schema `{migration_schema}` is migrated for the store `{store}`.")


def _is_done(connection: Connection, schema: str, store: str) -> bool:
    """Tell whether nothing of 0.11 is left; refuse a schema that never had anything."""
    old = TableName(schema, _TRACKER)
    if connection.is_declared(old):
        return False
    if not connection.is_declared(external_table(schema, store)):
        raise DataJointError(
            f"The schema `{schema}` has nothing of DataJoint 0.11 to be migrated: there is no "
            f"table {old}"
        )
    return True


@dataclass(frozen=True)
class _Column:
    """An attribute that is brought from one format to the other."""

    table: TableName
    name: str

    @property
    def former(self) -> str:
        """The hidden attribute with the old values, after the new ones are in its place."""
        return f"_{self.name}_dj011"

    @property
    def coming(self) -> str:
        """The hidden attribute with the new values, before they are in its place."""
        return f"_{self.name}_dj012"


class _Upgrade:
    """The migration of what one schema keeps in one store."""

    def __init__(self, connection: Connection, schema: str, store: Store) -> None:
        self._connection = connection
        self._schema = schema
        self._store = store
        name = store.name
        self._suffix, self._marker = ("", name) if name == _DEFAULT else (name, f"external-{name}")
        self._old = TableName(schema, _TRACKER)
        self._new = external_table(schema, name)
        self._type = External(f"blob@{name}", "blob", name)
        self._columns = [
            _Column(spec.name, attribute)
            for spec in connection.tables(schema).values()
            for attribute in _of_011(spec, re.compile(re.escape(self._marker)))
        ]
        self._check()

    # -- what there is ------------------------------------------------------------------------

    def _check(self) -> None:
        """Refuse what is not as 0.11 made it."""
        for column in self._columns:
            left = f"{column.name}_tempsub"
            if left in self._spec(column.table).heading:
                raise DataJointError(
                    f"{column.table} has the attribute `{left}`, which another program left when "
                    "its migration failed: drop it, after you have looked whether it has values "
                    "that you need"
                )

    def _spec(self, table: TableName) -> TableSpec:
        return self._connection.table(table)

    def _is_switched(self, column: _Column) -> bool:
        return column.former in {a.name for a in self._spec(column.table).heading.all_attributes}

    def plan(self) -> str:
        """Describe what is going to be done."""
        lines = [f"Migrating schema `{self._schema}` for the store `{self._store.name}`:"]
        count = len(list(self._noted()))
        lines.append(f"    {count} objects of {self._old} are verified, noted in {self._new}")
        lines += [
            f"    {column.table}: `{column.name} : {self._marker}` becomes `{self._type}`"
            for column in self._columns
        ]
        if self._is_last():
            lines.append(f"    {self._old} is dropped, because no other store needs it")
        lines.append("Make a backup, and stop all programs that use DataJoint 0.11, before.")
        return "\n".join(lines)

    def _is_last(self) -> bool:
        """Tell whether nothing else needs the old tracking table."""
        own = {(column.table, column.name) for column in self._columns}
        there = {
            (spec.name, name)
            for spec in self._connection.tables(self._schema).values()
            for name in _of_011(spec, _ANY)
        }
        stores = {name[_DIGITS:] or _DEFAULT for (name,) in self._select(self._old, ("hash",))}
        trackers = (external_table(self._schema, store) for store in stores)
        return there <= own and all(
            name == self._new or self._connection.is_declared(name) for name in trackers
        )

    # -- the steps ----------------------------------------------------------------------------

    def run(self) -> None:
        """Migrate; each step can be done again."""
        declare_tracker(self._connection, self._schema, self._store.name)
        used = {name for column in self._columns for name in self._values(column)}
        self._note({name for name, _ in self._noted()} | used, used)
        for table in dict.fromkeys(column.table for column in self._columns):
            self._fill(table)
        for table in dict.fromkeys(column.table for column in self._columns):
            self._switch(table)
        for column in self._columns:
            self._verify(column)
        is_last = self._is_last()
        for table in dict.fromkeys(column.table for column in self._columns):
            self._alter(table, self._without_former)
        if is_last:
            self._connection.drop_table(self._old)

    # -- objects ------------------------------------------------------------------------------

    def _noted(self) -> Iterator[tuple[str, int]]:
        """List the objects of the store that the old table tracks, and their sizes."""
        for name, size in self._select(self._old, ("hash", "size")):
            if len(name) >= _DIGITS and name[_DIGITS:] == self._suffix:
                yield name, int(size)

    def _note(self, names: Iterable[str], used: Iterable[str]) -> None:
        """Verify objects, and note them in the new table; those that are not in use may lack."""
        tracker, paths = self._spec(self._new), {self._hash(name): name for name in names}
        known = look_up(self._connection, tracker, paths)
        sizes = dict(self._noted())
        wanted = [name for hash_, name in paths.items() if hash_ not in known]
        found = transfer(partial(_inspected, self._store, self._schema, sizes), wanted)
        objects = [each for each in found if isinstance(each, Tracked)]
        needed = set(used)
        faults = [each for each in found if isinstance(each, _Fault)]
        fatal = [str(fault) for fault in faults if fault.name in needed]
        if fatal:
            listed = "\n".join(f"    {fault}" for fault in fatal[:_SHOWN])
            more = f"\n    and {len(fatal) - _SHOWN} more" if len(fatal) > _SHOWN else ""
            raise DataJointError(
                f"The schema `{self._schema}` cannot be migrated for the store "
                f"`{self._store.name}`; no table was changed. Restore these objects from a backup, "
                f"or delete the entities that refer to them:\n{listed}{more}"
            )
        for fault in faults:
            logger.warning("Nothing refers to it, and it is left behind: %s", fault)
        with self._connection.atomic():
            note(self._connection, tracker, objects)

    def _hash(self, name: str) -> UUID:
        return uuid_from_buffer(b"", _path(self._schema, name))

    # -- values -------------------------------------------------------------------------------

    def _select(
        self, table: TableName, names: tuple[str, ...], *conditions: algebra.Condition
    ) -> list[tuple[Any, ...]]:
        relation = algebra.Restriction(self._spec(table).relation, algebra.AllOf(conditions))
        return self._connection.rows(Writer(self._connection.dialect).select(relation, names))

    def _values(self, column: _Column, *conditions: algebra.Condition) -> set[str]:
        """List the old values of an attribute."""
        name = column.former if self._is_switched(column) else column.name
        return {value for (value,) in self._select(column.table, (name,), *conditions)} - {None}

    def _fill(self, table: TableName) -> None:
        """Give the rows of a table their new values, beside the old ones."""
        self._alter(table, self._with_coming)
        for column in self._columns:
            if column.table == table and not self._is_switched(column):
                self._fill_column(column, column.name, column.coming)

    def _fill_column(self, column: _Column, source: str, target: str) -> None:
        lacks = algebra.Equal(target, self._type, None)
        names = sorted(self._values(column, lacks))
        self._note(names, names)
        dialect = self._connection.dialect
        table = dialect.table(column.table.schema, column.table.table)
        for start in range(0, len(names), BATCH):
            with self._connection.atomic():
                for name in names[start : start + BATCH]:
                    value = dialect.encode(self._hash(name), self._type)
                    condition = algebra.AllOf((algebra.Equal(source, _HASH, name), lacks))
                    self._connection.execute(update(dialect, table, {target: value}, condition))

    def _switch(self, table: TableName) -> None:
        """Put the new values of a table in the place of the old ones, which stay aside."""
        for attempt in range(_ATTEMPTS):
            try:
                self._alter(table, self._switched)
                return
            except DataJointError:  # a row that others inserted lacks a value
                if attempt == _ATTEMPTS - 1 or not self._lacks_values(table):
                    raise
                self._fill(table)

    def _lacks_values(self, table: TableName) -> bool:
        return any(
            self._values(column, algebra.Equal(column.coming, self._type, None))
            for column in self._columns
            if column.table == table and not self._is_switched(column)
        )

    def _verify(self, column: _Column) -> None:
        """Check that each new value stands for the object that the old one did."""
        self._fill_column(column, column.former, column.name)  # of rows inserted before the switch
        decode = self._connection.dialect.decoder(self._type) or _as_is
        for old, new in set(self._select(column.table, (column.former, column.name))):
            if old is not None and decode(new) != self._hash(old):
                raise DataJointError(
                    f"{column.table}: `{column.name}` is {decode(new)} where `{column.former}` is "
                    f"'{old}', which is the object {self._hash(old)}. Nothing is lost; look which "
                    "program has changed it"
                )

    # -- tables -------------------------------------------------------------------------------

    def _alter(self, table: TableName, change: Callable[[TableSpec], Alteration]) -> None:
        alteration = change(self._spec(table))
        if alteration:
            statements = self._connection.alter_statements(alteration)
            execute_alter(self._connection, [Plan(alteration, (), tuple(statements))])

    def _own(self, spec: TableSpec) -> dict[str, _Column]:
        return {column.name: column for column in self._columns if column.table == spec.name}

    def _with_coming(self, spec: TableSpec) -> Alteration:
        """Add the attributes for new values."""
        attributes = spec.heading.all_attributes
        there = {attribute.name for attribute in attributes}
        missing = [
            column.coming
            for column in self._own(spec).values()
            if not ({column.coming, column.former} & there)
        ]
        added = (Attribute(name, self._type, nullable=True, default="null") for name in missing)
        return _altered(spec, (*attributes, *added), spec.foreign_keys, {})

    def _switched(self, spec: TableSpec) -> Alteration:
        """Exchange the attributes with old and with new values."""
        there = {attribute.name for attribute in spec.heading.all_attributes}
        own = {n: column for n, column in self._own(spec).items() if column.coming in there}
        coming = {column.coming for column in own.values()}
        attributes: list[Attribute] = []
        for attribute in spec.heading.all_attributes:
            column = own.get(attribute.name)
            if column is not None:  # beside each other, so that no other attribute has to move
                attributes.append(replace(attribute, attribute_type=self._type))
                attributes.append(
                    Attribute(
                        column.former, _HASH, nullable=True, default="null", comment=self._marker
                    )
                )
            elif attribute.name not in coming:
                attributes.append(attribute)
        keys = tuple(
            ForeignKey(self._new, fk.attributes)
            if fk.parent == self._old and fk.child_attributes[0] in own
            else fk
            for fk in spec.foreign_keys
        )
        renamed = {column.name: column.coming for column in own.values()}
        renamed |= {column.former: column.name for column in own.values()}
        return _altered(spec, tuple(attributes), keys, renamed)

    def _without_former(self, spec: TableSpec) -> Alteration:
        """Remove the attributes with old values."""
        former = {column.former for column in self._own(spec).values()}
        attributes = tuple(a for a in spec.heading.all_attributes if a.name not in former)
        return _altered(spec, attributes, spec.foreign_keys, {})


def _altered(
    spec: TableSpec,
    attributes: tuple[Attribute, ...],
    keys: tuple[ForeignKey, ...],
    renamed: Mapping[str, str],
) -> Alteration:
    heading = replace(spec.heading, all_attributes=attributes)
    return Alteration(spec, TableSpec(spec.name, heading, keys), renamed)


# -- what 0.11 made -------------------------------------------------------------------------------

#: The store whose attributes are of type ``external``, without its name.
_DEFAULT = "external"


#: What the types of attributes are.
_ANY = re.compile(rf"{_DEFAULT}(-.*)?")


def _of_011(spec: TableSpec, marker: re.Pattern[str]) -> Iterator[str]:
    """Name the attributes of a table that are in the old format, or on their way."""
    for attribute in spec.heading.all_attributes:
        type_, former = attribute.attribute_type, _FORMER.fullmatch(attribute.name)
        if isinstance(type_, Other) and marker.fullmatch(type_.text):
            yield attribute.name
        elif former and marker.fullmatch(attribute.comment):
            yield former[1]


def _as_is(value: Any) -> Any:
    return value


def _path(schema: str, name: str) -> str:
    """Name an object of 0.11 below the location of its store."""
    return f"{schema}/{name}"


@dataclass(frozen=True)
class _Fault:
    """An object that cannot be used, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.reason


def _inspected(store: Store, schema: str, sizes: Mapping[str, int], name: str) -> Tracked | _Fault:
    """Read an object, compare it with its hash, and tell what its new row says."""
    path = _path(schema, name)
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with store.open(path) as stream:
            while chunk := stream.read(1 << 20):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
    except MissingExternalFile:
        return _Fault(name, f"{store.locate(path)} is missing")
    if _digits(sha256.digest()) != name[:_DIGITS] or size != sizes.get(name, size):
        return _Fault(name, f"{store.locate(path)} is damaged: it does not have its hash or size")
    return Tracked(uuid_from_buffer(b"", path), size, None, path, UUID(bytes=md5.digest()))


def _digits(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
