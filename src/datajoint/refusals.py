"""What keys and references are wrong with rows: which entity, attribute and value it is.

Rows are looked at by sets: one query for each unique key and one for each foreign key, however
many rows there are. Rows that are inserted are looked at only after they were refused, so that
nothing is asked without need. Manual 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from .connection import Connection
from .declare import ForeignKey, TableName, TableSpec
from .errors import AccessError, DataJointError, DuplicateError, IntegrityError
from .insertion import EncodedRow, Fault, RowEncoder
from .sql import algebra
from .sql.dialect import Dialect
from .sql.select import Writer
from .types import AttributeType

#: Values of some attributes, in a form in which equal ones are equal.
_Key = tuple[Any, ...]
_SKIP = "To pass over entities whose primary keys exist, set skip_duplicates=True"


class Checker:
    """Checks the keys and references of rows, one chunk after the other.

    Each row is judged as if those before it that have no fault were inserted.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table that the rows are for.
    mode : {"insert", "replace", "skip"}
        What happens when the primary key exists.
    parents : bool
        Whether foreign keys are checked too.
    """

    def __init__(
        self, connection: Connection, spec: TableSpec, mode: str, *, parents: bool = True
    ) -> None:
        self._connection = connection
        self._spec = spec
        self._mode = mode
        self._encoder = RowEncoder(spec, connection.dialect, ignore_extra_fields=False)
        # What stores are given is noted in their tables before it is referred to.
        checked = (key for key in spec.foreign_keys if not key.parent.store)
        self._foreign_keys = tuple(checked) if parents else ()
        self._known_forms: dict[TableName, dict[str, Callable[[Any], Any]]] = {}
        heading = spec.heading
        self._primary = tuple(heading.stored_key)
        # That a path into a document has a value already, only the database can tell.
        self._unique = [
            index.attributes
            for index in heading.secondary_indexes
            if index.unique and heading.attributes.keys() >= set(index.attributes)
        ]
        #: The entities of the rows so far: primary key → the unique keys.
        self._given: dict[_Key, list[_Key | None]] = {}
        #: For each unique key: its values among the rows so far → the primary key.
        self._owners: list[dict[_Key, _Key]] = [{} for _ in self._unique]

    def faults(self, rows: Iterable[tuple[int | None, EncodedRow]]) -> list[Fault]:
        """List what is wrong with rows, given with their numbers."""
        numbered = [(number, self._encoder.complete(row)) for number, row in rows]
        stored = self._stored(self._primary, numbered, self._primary)
        owners = [self._stored(names, numbered, self._primary) for names in self._unique]
        parents = [self._parents(foreign_key, numbered) for foreign_key in self._foreign_keys]
        faults: list[Fault] = []
        for number, row in numbered:
            key = self._key(self._primary, row) or (object(),)  # a new number
            exists = key in self._given or key in stored
            if exists and self._mode == "skip":
                continue
            found = [self._duplicate(number, row)] if exists and self._mode == "insert" else []
            found += self._taken(number, row, key, owners)
            found += self._orphan(number, row, parents)
            faults += found
            if not found:
                self._take(key, row)
        return faults

    # -- unique keys ------------------------------------------------------------------------------

    def _duplicate(self, number: int | None, row: Mapping[str, Any]) -> Fault:
        names = tuple(self._spec.heading.primary_key)
        if not names:
            message = (
                "without a primary key it has at most one entity. Set replace=True to replace it"
            )
            return Fault(number, (), None, message, DuplicateError)
        key = self._key(self._primary, row)
        return self._twice(number, row, names, given=key in self._given, advice=(_SKIP,))

    def _taken(
        self,
        number: int | None,
        row: Mapping[str, Any],
        key: _Key,
        stored: list[dict[_Key, _Key]],
    ) -> list[Fault]:
        """Find the unique keys of a row that another entity has."""
        faults = []
        for names, given, owners in zip(self._unique, self._owners, stored, strict=True):
            value = self._key(names, row)
            owner = None if value is None else given.get(value)
            is_given = owner is not None
            if owner is None and value is not None and owners.get(value) not in self._given:
                owner = owners.get(value)  # and the rows so far do not replace it
            if owner is not None and owner != key:
                faults.append(self._twice(number, row, names, given=is_given))
        return faults

    @staticmethod
    def _twice(
        number: int | None,
        row: Mapping[str, Any],
        names: tuple[str, ...],
        *,
        given: bool,
        advice: tuple[str, ...] = (),
    ) -> Fault:
        values = tuple(row[name] for name in names)
        shown = ", ".join(f"{n} = {v!r}" for n, v in zip(names, values, strict=True))
        message = f"an entity with {shown} {'is given twice' if given else 'exists already'}"
        return Fault(number, names, _single(values), message, DuplicateError, advice)

    def _take(self, key: _Key, row: Mapping[str, Any]) -> None:
        """Note an entity, in place of another with the same primary key if there is one."""
        values = [self._key(names, row) for names in self._unique]
        former = self._given.get(key, [None] * len(values))
        for owners, old, new in zip(self._owners, former, values, strict=True):
            if old is not None:
                del owners[old]
            if new is not None:
                owners[new] = key
        self._given[key] = values

    # -- foreign keys -----------------------------------------------------------------------------

    def _orphan(
        self, number: int | None, row: Mapping[str, Any], parents: list[Callable[[_Key], bool]]
    ) -> list[Fault]:
        """Find the foreign keys of a row that refer to no entity."""
        faults = []
        for foreign_key, exists in zip(self._foreign_keys, parents, strict=True):
            child, names = foreign_key.child_attributes, foreign_key.parent_attributes
            key = self._key(child, row)
            if key is None or exists(key) or (self._is_own(foreign_key) and self._refers(row, key)):
                continue
            visible = [(n, p) for n, p in zip(child, names, strict=True) if not n.startswith("_")]
            shown = ", ".join(f"{parent} = {row[own]!r}" for own, parent in visible)
            own = tuple(name for name, _ in visible)
            message = f"its foreign key ({', '.join(own)}) refers" if own else "it refers"
            message += f" to {foreign_key.parent}, which has no entity"
            message += f" with {shown}" if shown else ""
            values = _single(tuple(row[name] for name in own))
            faults.append(Fault(number, own, values, message, IntegrityError))
        return faults

    def _is_own(self, foreign_key: ForeignKey) -> bool:
        return foreign_key.parent == self._spec.name

    def _refers(self, row: Mapping[str, Any], key: _Key) -> bool:
        """Tell whether a key is that of the row itself, or of one so far."""
        return key in self._given or key == self._key(self._primary, row)

    def _parents(
        self, foreign_key: ForeignKey, rows: list[tuple[int | None, dict[str, Any]]]
    ) -> Callable[[_Key], bool]:
        """Find which of the entities that rows refer to exist."""
        parent = self._connection.table(foreign_key.parent)
        names = foreign_key.parent_attributes
        renamed = [(None, {p: row.get(c) for c, p in foreign_key.attributes}) for _, row in rows]
        found = self._stored(names, renamed, names, parent)
        return found.__contains__

    # -- what the database has --------------------------------------------------------------------

    def _stored(
        self,
        names: tuple[str, ...],
        rows: Iterable[tuple[int | None, Mapping[str, Any]]],
        others: tuple[str, ...],
        spec: TableSpec | None = None,
    ) -> dict[_Key, _Key]:
        """Find which values of some attributes exist, with those of others in the same entity."""
        spec = spec or self._spec
        keys = {tuple(row.get(name) for name in names): None for _, row in rows}
        wanted = tuple(key for key in keys if None not in key)
        if not wanted or not names:
            return {}
        selected = tuple(dict.fromkeys(names + others))
        condition = algebra.OneOf(names, wanted, spec.heading.types_of(names))
        existing = algebra.Restriction(spec.relation, condition)
        statement = Writer(self._connection.dialect).select(existing, selected)
        found = (dict(zip(selected, row, strict=True)) for row in self._connection.rows(statement))
        return {
            key: self._key(others, row, spec) or ()
            for row in found
            if (key := self._key(names, row, spec)) is not None
        }

    def _key(
        self, names: Iterable[str], row: Mapping[str, Any], spec: TableSpec | None = None
    ) -> _Key | None:
        """Bring values into the form that they are compared in; None when one is unknown."""
        forms = self._forms(spec or self._spec)
        values = [row.get(name) for name in names]
        if None in values:
            return None
        return tuple(forms[name](value) for name, value in zip(names, values, strict=True))

    def _forms(self, spec: TableSpec) -> dict[str, Callable[[Any], Any]]:
        """Make what brings the values of each attribute into the form they are compared in."""
        if spec.name not in self._known_forms:
            self._known_forms[spec.name] = {
                attribute.name: _form(attribute.stored_type, self._connection.dialect)
                for attribute in spec.heading.all_attributes
            }
        return self._known_forms[spec.name]


def _form(type_: AttributeType | None, dialect: Dialect) -> Callable[[Any], Any]:
    decode = dialect.decoder(type_)
    if type_ is not None and type_.category == "float":  # of single precision, in digits or bits
        return lambda value: dialect.encode(decode(value) if decode else value, type_)

    def form(value: Any) -> Any:
        value = decode(value) if decode else value
        return dialect.folded(value) if isinstance(value, str) else value

    return form


def _single(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def explain(
    connection: Connection,
    spec: TableSpec,
    rows: Iterable[tuple[int | None, EncodedRow]],
    error: DuplicateError | IntegrityError,
    mode: str,
    action: str = "insert into",
) -> DataJointError:
    """Name the first entity whose key is given twice or exists, or whose parent is missing.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table that the rows were to be inserted into.
    rows : iterable of (int or None, EncodedRow)
        The rows, none of which is there now, with their numbers.
    error : DuplicateError or IntegrityError
        What the database said.
    mode : {"insert", "replace", "skip"}
    action : str
        What was refused.
    """
    kind = type(error)
    checker = Checker(connection, spec, mode, parents=kind is IntegrityError)
    with suppress(AccessError):  # to a parent
        for fault in checker.faults(rows):
            if fault.kind is kind:
                return fault.error(spec.name, action)
    # It was given far before, and the rows given there are undone.
    return kind(f"Cannot {action} {spec.name}", *error.args)
