"""MySQL and MariaDB: the statements that create and alter tables (storage formats 2)."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from ..alter import Alteration
from ..declare import ForeignKey, TableSpec
from ..errors import DataJointError
from ..heading import Attribute
from ..sql.mysql import DIALECT
from ..types import Enum
from .catalog import Belongings, OwnIndex, counters, names, references
from .mysql_paths import hidden, index_clause, path_column, paths_of

quote = DIALECT.quote


def create_statement(spec: TableSpec, *, functional_keys: bool) -> str:
    """Write the statement that creates a table (storage formats 2.7).

    Parameters
    ----------
    spec : TableSpec
    functional_keys : bool
        Whether the server indexes expressions.
    """
    heading, inherited = spec.heading, _inherited(spec)
    clauses = [_column(a, a.name in inherited) for a in heading.all_attributes]
    clauses += [] if functional_keys else [path_column(text) for text in paths_of(spec)]
    clauses.append(f"PRIMARY KEY ({names(DIALECT, heading.stored_key)})")
    clauses += [
        _foreign_key(spec, foreign_key, number)
        for number, foreign_key in enumerate(spec.foreign_keys, start=1)
    ]
    clauses += [
        index_clause(index, functional=functional_keys) for index in heading.secondary_indexes
    ]
    clauses += [f"UNIQUE INDEX ({quote(name)})" for name in counters(spec)]
    return (
        f"CREATE TABLE IF NOT EXISTS {DIALECT.table(spec.name.schema, spec.name.table)} (\n"
        + ",\n".join(clauses)
        + f"\n) ENGINE=InnoDB, {_comment(heading.comment)}"
    )


def alter_statement(
    alteration: Alteration, belongings: Belongings, *, functional_keys: bool
) -> str:
    """Write the statement that alters a table.

    Parameters
    ----------
    alteration : Alteration
    belongings : Belongings
        All indexes and foreign keys of the table as it is.
    functional_keys : bool
        Whether the server indexes expressions.
    """
    spec = alteration.new
    dropped, added = _index_changes(alteration, belongings)
    gone, come = _foreign_key_changes(alteration, belongings)
    clauses = [
        *(f"DROP FOREIGN KEY {quote(name)}" for name in gone),
        *(f"DROP INDEX {quote(name)}" for name in dropped),
        *([] if functional_keys else _path_changes(alteration)),
        *(f"DROP COLUMN {quote(attribute.name)}" for attribute in alteration.removed),
        *_columns(alteration),
        *(f"ADD {index_clause(index, functional=functional_keys)}" for index in added),
    ]
    numbers = itertools.count(_last_number(belongings) + 1)
    clauses += [f"ADD {_foreign_key(spec, foreign_key, next(numbers))}" for foreign_key in come]
    if alteration.comment_changes:
        clauses.append(_comment(spec.heading.comment))
    table = DIALECT.table(spec.name.schema, spec.name.table)
    return f"ALTER TABLE {table}\n" + ",\n".join(clauses)


def _path_changes(alteration: Alteration) -> Iterator[str]:
    """Write what becomes of the hidden columns for paths into documents."""
    before, after = paths_of(alteration.old), paths_of(alteration.new)
    yield from (f"DROP COLUMN {hidden(text)}" for text in before if text not in after)
    yield from (f"ADD COLUMN {path_column(text)}" for text in after if text not in before)


def _foreign_key_changes(
    alteration: Alteration, belongings: Belongings
) -> tuple[list[str], list[ForeignKey]]:
    """Tell which foreign keys are dropped and added: those of renamed columns are both.

    The server does not rename such a column in a statement that has to copy the table.
    """
    renamed = {
        name: now
        for name, foreign_key in belongings.foreign_keys.items()
        if (now := alteration.as_named(foreign_key)) != foreign_key
        and now in alteration.new.foreign_keys
    }
    dropped = belongings.dropped_foreign_keys(alteration)
    return [*dropped, *renamed], [*renamed.values(), *alteration.added_foreign_keys]


def _columns(alteration: Alteration) -> Iterator[str]:
    """Write what becomes of the columns, in their order, each with its place where that is new."""
    inherited = _inherited(alteration.new)
    changed = {new.name: old.name for old, new in alteration.changed}
    place = "FIRST"
    for attribute in alteration.new.heading.all_attributes:
        name, clause = attribute.name, _column(attribute, attribute.name in inherited)
        if name not in alteration.sources:
            yield f"ADD COLUMN {clause} {place}"
        elif name in alteration.moved or name in changed:
            former = quote(changed.get(name, name))
            change = "MODIFY" if former == quote(name) else f"CHANGE {former}"
            yield f"{change} {clause}" + (f" {place}" if name in alteration.moved else "")
        place = f"AFTER {quote(name)}"


def _inherited(spec: TableSpec) -> set[str]:
    return {name for foreign_key in spec.foreign_keys for name in foreign_key.child_attributes}


def _foreign_key(spec: TableSpec, foreign_key: ForeignKey, number: int) -> str:
    name = _constraint(spec.name.table, number)
    # What identifies an object in a store never changes.
    action = "RESTRICT" if foreign_key.parent.table.startswith("~") else "CASCADE"
    return f"{name}{references(DIALECT, foreign_key)} ON UPDATE {action} ON DELETE RESTRICT"


def _comment(text: str) -> str:
    escaped = kept_comment(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'COMMENT "{escaped}"'


def kept_comment(text: str) -> str:
    r"""Write a comment with the characters that the server keeps in its catalog.

    It has none beyond U+FFFF, such as emoji: they become ``\U0001F600``.
    """
    return re.sub(r"[\U00010000-\U0010FFFF]", lambda match: f"\\U{ord(match[0]):08X}", text)


def read_comment(text: str) -> str:
    """Read what :func:`kept_comment` wrote."""
    return re.sub(r"\\U(00[01][0-9A-F]{5})", lambda match: chr(int(match[1], 16)), text)


def _column(attribute: Attribute, inherited: bool) -> str:
    type_ = attribute.stored_type
    assert type_ is not None
    if isinstance(type_, Enum) and any(
        max(member, default="") > "\uffff" for member in type_.members
    ):
        raise DataJointError(
            f"The members of attribute `{attribute.name}` of type `{type_}` have characters beyond "
            "U+FFFF, such as emoji, which MySQL and MariaDB cannot hold there"
        )
    declaration = DIALECT.storage[type_.category].declaration(type_)
    marked = declaration != attribute.type
    comment = f":{attribute.type}:{attribute.comment}" if marked else attribute.comment
    clause = f"{quote(attribute.name)} {declaration} {_default(attribute, inherited)}"
    clause += " AUTO_INCREMENT" if attribute.autoincrement else ""
    return clause + (f" {_comment(comment)}" if comment or inherited else "")


def _default(attribute: Attribute, inherited: bool) -> str:
    default = attribute.default
    if attribute.nullable:
        return "NULL" if inherited else "DEFAULT NULL"
    if default is None:
        return "NOT NULL"
    if attribute.stored_type is not None and attribute.stored_type.category == "uuid":
        raise DataJointError(
            f"The attribute `{attribute.name}` of type `{attribute.type}` cannot have a default on "
            "MySQL and MariaDB, which keep it as 16 bytes"
        )
    if max(default) > "\uffff":
        raise DataJointError(
            f"The default {default} of attribute `{attribute.name}` has characters beyond U+FFFF, "
            "such as emoji, which MySQL and MariaDB cannot hold there"
        )
    if default.upper().startswith("CURRENT_TIMESTAMP") or default[0] in "'\"":
        return f"NOT NULL DEFAULT {default}"
    return f'NOT NULL DEFAULT "{default}"'


def _constraint(table: str, number: int) -> str:
    """Name a foreign key where the name that the server makes would be too long."""
    if len(f"{table}_ibfk_{number}") <= 64:
        return ""
    digest = hashlib.md5(table.encode(), usedforsecurity=False).hexdigest()[:8]
    return f"CONSTRAINT {quote(f'{table[:40]}_{digest}_ibfk_{number}')} "


def _last_number(belongings: Belongings) -> int:
    """Find the largest number in the names of the foreign keys."""
    found = (re.search(r"_ibfk_(\d+)$", name) for name in belongings.foreign_keys)
    return max((int(match[1]) for match in found if match), default=0)


def _index_changes(
    alteration: Alteration, belongings: Belongings
) -> tuple[list[str], list[OwnIndex]]:
    """Tell which indexes are dropped and added; those of foreign keys have no mark."""
    implied = {(fk.child_attributes, False) for fk in alteration.old.foreign_keys}
    implied |= {((name,), True) for name in counters(alteration.old)}
    indexes = {}
    for name, index in belongings.indexes.items():
        what = (index.attributes, index.unique)
        indexes[name] = replace(index, implied=what in implied)
        if index.unique:  # the next one alike is of the definition
            implied.discard(what)
    return replace(belongings, indexes=indexes).index_changes(alteration)
