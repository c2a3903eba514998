"""What a definition means: from its parsed lines to the specification of a table.

:mod:`datajoint.grammar` parses a definition without knowing any other table; here foreign keys are
resolved against their parents. Manual 5.4 and 5.9; storage formats 2.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from .errors import DataJointError
from .grammar import (
    AttributeLine,
    Definition,
    ForeignKeyLine,
    IndexLine,
    Reference,
    parse_json_path,
    parse_type,
    quoted,
    unquote,
)
from .heading import Attribute, Heading, Index
from .sql.algebra import Stored
from .sql.json_path import value_type
from .types import Adapted, AttributeType, External, time_text
from .utils import did_you_mean

#: Tables that track what a schema keeps in a store have names that begin so.
_TRACKER = "~external_"

# -- what a table is ------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableName:
    """The name of a table in the database, with its schema."""

    schema: str
    table: str

    @property
    def full(self) -> str:
        """`` `schema`.`table` ``, on every database."""
        return f"`{self.schema}`.`{self.table}`"

    @property
    def store(self) -> str | None:
        """The store, where the table tracks what its schema keeps in one."""
        return self.table.removeprefix(_TRACKER) if self.table.startswith(_TRACKER) else None

    def __str__(self) -> str:
        return self.full


@dataclass(frozen=True)
class ForeignKey:
    """A reference from attributes of a table to the primary key of its parent.

    Attributes
    ----------
    parent : TableName
    attributes : tuple of (str, str)
        Attribute of the child, attribute of the parent; in the order of the parent's key.
    """

    parent: TableName
    attributes: tuple[tuple[str, str], ...]

    @property
    def child_attributes(self) -> tuple[str, ...]:
        return tuple(child for child, _ in self.attributes)

    @property
    def parent_attributes(self) -> tuple[str, ...]:
        return tuple(parent for _, parent in self.attributes)

    @property
    def renamed(self) -> bool:
        """Whether any attribute has another name in the child."""
        return any(child != parent for child, parent in self.attributes)


@dataclass(frozen=True)
class TableSpec:
    """All there is to know about a table: read from a definition or from the database."""

    name: TableName
    heading: Heading
    foreign_keys: tuple[ForeignKey, ...] = ()

    @property
    def uses_stores(self) -> bool:
        """Whether values of any attribute are kept in stores."""
        return any(foreign_key.parent.store for foreign_key in self.foreign_keys)

    @property
    def relation(self) -> Stored:
        """The table as a relation of the algebra."""
        indexes = [
            self.heading.primary_key,
            *(index.attributes for index in self.heading.secondary_indexes),
            *(foreign_key.child_attributes for foreign_key in self.foreign_keys),
        ]
        return Stored(
            self.name.schema,
            self.name.table,
            tuple(attribute.name for attribute in self.heading.all_attributes),
            frozenset(index[0] for index in indexes if index),
        )


# -- attributes -----------------------------------------------------------------------------------

_TEMPORAL_DEFAULT = re.compile(r"current_timestamp(\s*\(\s*\d?\s*\))?", re.IGNORECASE)
#: Finds the adapter of a type such as ``<graph>``, or raises.
Adapt = Callable[[Adapted], Adapted]


def _attribute(line: AttributeLine, in_key: bool, adapt: Adapt) -> Attribute:
    """Check what a line says of an attribute."""
    type_ = line.type
    try:
        if isinstance(type_, Adapted):
            type_ = adapt(type_)
    except DataJointError as error:
        raise line.source.error(str(error), line.type_column) from error.__cause__
    try:
        default, nullable = _default(line.default, type_)
    except DataJointError as error:
        raise line.source.error(str(error), line.default_column) from None
    if nullable and in_key:
        raise line.source.error(
            "an attribute of the primary key identifies the entity, and cannot be null",
            line.default_column,
        )
    if in_key and not type_.in_key_allowed:
        raise line.source.error(
            f"`{type_}` cannot be in the primary key: its values cannot be compared",
            line.type_column,
        )
    if line.autoincrement and default is not None:
        raise line.source.error(
            "an auto_increment attribute cannot have a default", line.default_column
        )
    return Attribute(line.name, type_, in_key, nullable, default, line.comment, line.autoincrement)


def _default(text: str | None, type_: AttributeType) -> tuple[str | None, bool]:
    """Bring a default into its canonical form, and tell whether it is null."""
    stored = type_.stored
    if text is None:
        return None, False
    if text.lower() == "null":
        return "null", True
    if stored.is_opaque or stored.category == "json":
        raise DataJointError(f"an attribute of type `{type_}` can have no default but null")
    if _TEMPORAL_DEFAULT.fullmatch(text):
        if stored.category not in ("datetime", "timestamp"):
            raise DataJointError(f"`{text}` cannot be the default of type `{type_}`")
        return re.sub(r"\s|\(\)", "", text.upper()), False
    value = unquote(text)
    if stored.category == "bool" and text.lower() in ("true", "false"):
        value = "1" if text.lower() == "true" else "0"
    try:
        encoded = stored.encode(value)
    except ValueError as error:
        raise DataJointError(f"the default {text} {error}, as the type `{type_}` asks") from None
    if stored.category == "integer" and Decimal(value) != encoded:
        raise DataJointError(f"the default {text} is no integer, as the type `{type_}` asks")
    return written_default(value, type_), False


def written_default(value: str, type_: AttributeType) -> str:
    """Write the value of a default in the form in which specifications have it.

    Parameters
    ----------
    value : str
        As the definition or the database has it, without quotes.
    type_ : AttributeType
    """
    stored = type_.stored
    try:
        encoded = stored.encode(value)
    except ValueError:  # of another program
        return value if stored.numeric else quoted(value)
    if isinstance(encoded, dt.timedelta):
        return quoted(time_text(encoded, getattr(stored, "digits", 0)))
    return str(encoded) if stored.numeric else quoted(str(encoded))


# -- resolution -----------------------------------------------------------------------------------

#: Finds the table that a reference means; None stands for the table that is being defined.
Lookup = Callable[[Reference], "TableSpec | None"]

#: The hidden key of a table that has at most one entity; its only value is the default.
SINGLETON = "_singleton"
_SINGLETON = Attribute(
    SINGLETON, parse_type("enum('1')"), in_key=True, default='"1"', comment="the only entity"
)


def resolve(
    definition: Definition, name: TableName, lookup: Lookup, adapt: Adapt | None = None
) -> TableSpec:
    """Make the specification of a table of its definition.

    Parameters
    ----------
    definition : Definition
    name : TableName
        Of the table that is defined.
    lookup : callable
        Finds the table that a reference means, or raises.
    adapt : callable, optional
        Finds the adapter of a type, or raises.

    Returns
    -------
    TableSpec

    Raises
    ------
    DataJointError
        Points at the line where a table, adapter or attribute is not found, a default or type does
        not fit, or an attribute is defined twice.
    """
    attributes: dict[str, Attribute] = {}
    foreign_keys: list[ForeignKey] = []
    indexes: list[Index] = []
    for items, in_key in ((definition.key, True), (definition.secondary, False)):
        for item in items:
            if isinstance(item, AttributeLine):
                attribute = _attribute(item, in_key, adapt or _no_adapter)
                _check_increments(attributes, item)
                _add_attribute(attributes, item, attribute)
                if isinstance(attribute.stored_type, External):
                    parent = external_table(name.schema, attribute.stored_type.store)
                    foreign_keys.append(ForeignKey(parent, ((attribute.name, "hash"),)))
            elif isinstance(item, ForeignKeyLine):
                foreign_key = _add_foreign_key(attributes, item, name, lookup, in_key=in_key)
                foreign_keys.append(foreign_key)
                if item.unique:
                    indexes.append(Index(foreign_key.child_attributes, unique=True))
            else:
                indexes.append(Index(item.items, item.unique))
    _check_indexes(definition, attributes)
    _check_self_references(definition, foreign_keys, name, attributes)
    if not attributes:
        raise DataJointError(f"The definition of {name} has no attributes")
    if not any(attribute.in_key for attribute in attributes.values()):
        attributes[_SINGLETON.name] = _SINGLETON
    # A hidden key comes first, so that no attribute is ever inserted before it.
    ordered = sorted(attributes.values(), key=lambda a: a.is_hidden and (-1 if a.in_key else 1))
    return TableSpec(
        name, Heading(tuple(ordered), definition.comment, tuple(indexes)), tuple(foreign_keys)
    )


def with_timestamp(spec: TableSpec) -> TableSpec:
    """Add the hidden attribute that tells when an entity was inserted (storage formats 2.7)."""
    name = f"{spec.name.schema}.{spec.name.table}"
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    timestamp = Attribute(
        f"_{digest}_timestamp", parse_type("timestamp"), default="CURRENT_TIMESTAMP"
    )
    return _with_attributes(spec, (timestamp,))


#: The hidden attributes that tell how an entity was made, and their types.
PROVENANCE = {
    "_made_at": "timestamp",
    "_made_seconds": "double",
    "_made_host": "varchar(255)",
    "_made_user": "varchar(255)",
    "_made_version": "varchar(255)",
    "_made_commit": "varchar(80)",
    "_made_code": "varchar(80)",
    "_made_inputs": "longblob",
}


def with_provenance(spec: TableSpec) -> TableSpec:
    """Add the hidden attributes that tell how an entity was made; they may be null."""
    attributes = (
        Attribute(name, parse_type(type_), nullable=True, default="null")
        for name, type_ in PROVENANCE.items()
    )
    return _with_attributes(spec, attributes)


def _with_attributes(spec: TableSpec, attributes: Iterable[Attribute]) -> TableSpec:
    together = (*spec.heading.all_attributes, *attributes)
    return replace(spec, heading=replace(spec.heading, all_attributes=together))


def external_table(schema: str, store: str) -> TableName:
    """Name the table that tracks what a schema keeps in a store."""
    return TableName(schema, _TRACKER + store)


def _check_self_references(
    definition: Definition,
    foreign_keys: list[ForeignKey],
    name: TableName,
    attributes: dict[str, Attribute],
) -> None:
    """Refuse a reference to a part of the table's own key, of which it was not yet the whole."""
    key = {attribute.name for attribute in attributes.values() if attribute.in_key}
    for foreign_key in foreign_keys:
        if foreign_key.parent == name and set(foreign_key.parent_attributes) != key:
            raise DataJointError(
                f"The foreign key ({', '.join(foreign_key.child_attributes)}) of {name} to itself "
                f"refers to ({', '.join(foreign_key.parent_attributes)}), but the primary key is "
                f"({', '.join(sorted(key))}): write it below the line `---`"
            )


def _no_adapter(type_: Adapted) -> Adapted:
    raise type_.unknown


def _check_increments(attributes: dict[str, Attribute], item: AttributeLine) -> None:
    known = next((a.name for a in attributes.values() if a.autoincrement), None)
    if known and item.autoincrement:
        raise item.source.error(
            f"only one attribute can be auto_increment, and `{known}` is", item.type_column
        )


def _add_attribute(
    attributes: dict[str, Attribute], item: AttributeLine, attribute: Attribute
) -> None:
    known = attributes.get(attribute.name)
    if known is None:
        attributes[attribute.name] = attribute
    elif not (
        known.attribute_type
        and attribute.attribute_type
        and known.attribute_type.same_as(attribute.attribute_type)
    ):
        raise item.source.error(
            f"attribute `{attribute.name}` is already defined, with type `{known.type}`",
            item.type_column,
        )


def _add_foreign_key(
    attributes: dict[str, Attribute],
    item: ForeignKeyLine,
    name: TableName,
    lookup: Lookup,
    *,
    in_key: bool,
) -> ForeignKey:
    reference, line = item.reference, item.source
    if in_key and item.nullable:
        raise line.error(
            "a foreign key in the primary key identifies the entity, and cannot be nullable",
            line.text.find("["),
        )
    try:
        # A table can refer to its own key, as defined so far.
        parent = lookup(reference) or TableSpec(name, Heading(tuple(attributes.values())))
    except DataJointError as error:
        raise line.error(str(error), item.column) from None
    key = parent.heading.primary_key
    if item.nullable and not key:
        raise line.error(
            f"a foreign key to {parent.name}, which has at most one entity and no primary key, "
            "cannot be nullable",
            line.text.find("["),
        )
    pairs = _paired(item, parent)
    if parent.name == name and all(child == old for child, old in pairs):
        raise line.error(
            "a table refers to itself by other attributes than its key; rename them, as in "
            f"`-> {reference}.proj(parent_{key[0] if key else 'id'}='{key[0] if key else 'id'}')`",
            item.column,
        )
    parents = {a.name: a for a in parent.heading.all_attributes}
    for child, old in pairs:
        if child in attributes:
            own, referenced = attributes[child].attribute_type, parents[old].attribute_type
            if own is not None and referenced is not None and not own.same_as(referenced):
                raise line.error(
                    f"attribute `{child}` is already defined, with type `{own}`; `{old}` of "
                    f"{parent.name} has type `{referenced}`",
                    item.column,
                )
        else:
            attributes[child] = parents[old].as_reference(child, in_key, item.nullable)
    return ForeignKey(parent.name, pairs)


def _paired(item: ForeignKeyLine, parent: TableSpec) -> tuple[tuple[str, str], ...]:
    """Pair the attributes of a foreign key with those of its parent that they refer to."""
    new_names: dict[str, str] = {}
    for new, old in item.reference.renames:
        key = parent.heading.primary_key
        if old not in key:
            reason = f"`{old}` is not in the primary key of {parent.name}{did_you_mean(old, key)}"
            raise item.source.error(reason, _rename_column(item, old))
        new_names[old] = new
    inherited = [a.name for a in parent.heading.all_attributes if a.in_key]
    pairs = {new_names.get(old, old): old for old in inherited}
    for old in inherited:
        child = new_names.get(old, old)
        if pairs[child] != old:
            raise item.source.error(
                f"`{old}` and `{pairs[child]}` of {parent.name} cannot both be `{child}` here; "
                "rename one of them",
                item.column,
            )
    return tuple(pairs.items())


def _rename_column(item: ForeignKeyLine, old: str) -> int:
    """Find where the old name of a renamed attribute stands."""
    found = re.search(rf"=\s*['\"]\s*(?={old}\b)", item.source.text)
    return found.end() if found else item.column


def _check_indexes(definition: Definition, attributes: dict[str, Attribute]) -> None:
    for item in (*definition.key, *definition.secondary):
        if isinstance(item, IndexLine):
            for position, (text, column) in enumerate(zip(item.items, item.columns, strict=True)):
                fault = _index_fault(text, attributes)
                if not fault and text in item.items[:position]:
                    fault = f"`{text}` is twice in the index"
                if fault:
                    raise item.source.error(fault, column)


def _index_fault(text: str, attributes: dict[str, Attribute]) -> str:
    """Say why an index cannot have an item; "" if it can."""
    path = parse_json_path(text)
    name = path.attribute if path else text
    if name not in attributes:
        return f"`{name}` is no attribute{did_you_mean(name, attributes)}"
    type_ = attributes[name].stored_type
    if path and not (type_ and type_.category == "json"):
        return f"`{text}` is a path into a document, but `{name}` has type `{type_}`, not json"
    if path:
        return _path_fault(path.type)
    if type_ and not type_.in_key_allowed:
        hint = f"; a path into it can, such as `{name}.key`" if type_.category == "json" else ""
        return f"`{name}` of type `{type_}` cannot be in an index{hint}"
    return ""


def _path_fault(text: str) -> str:
    """Say why values of a path cannot be converted to its type and compared; "" if they can."""
    try:
        comparable = value_type(text).in_key_allowed
    except DataJointError as error:
        return str(error)
    return "" if comparable else f"a value of type `{text}` cannot be in an index"
