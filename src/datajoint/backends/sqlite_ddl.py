"""SQLite: the statements that create and alter tables.

SQLite keeps neither comments nor the types of DataJoint: tables of the package do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from ..alter import Alteration, widens
from ..declare import TableSpec
from ..grammar import unquote
from ..heading import Attribute
from ..sql.sqlite import DIALECT
from ..sql.text import literal
from .catalog import (
    SEPARATOR,
    Belongings,
    OwnIndex,
    index_terms,
    names,
    noted_terms,
    noted_type,
    references,
    wanted_indexes,
)

#: Ends the names of indexes that exist only to make foreign keys fast.
FOREIGN_KEY_INDEX = " (foreign key)"

#: Categories of types whose values are stored in the same way whatever the size.
_OF_ONE_FORM = ("integer", "bool", "float", "string", "enum", "blob", "external")

quote = DIALECT.quote


def create_statements(spec: TableSpec) -> list[str]:
    """Write the statements that create a table with its indexes, and keep what SQLite does not."""
    return [
        _create_table(spec, quote(_table_name(spec))),
        *(_create_index(spec, index, n) for n, index in enumerate(wanted_indexes(spec), start=1)),
        _describe_table(spec),
        _describe_attributes(spec, spec.heading.all_attributes),
    ]


def alter_statements(
    alteration: Alteration, belongings: Belongings, triggers: Iterable[str]
) -> list[str]:
    """Write the statements that alter a table; foreign keys are not enforced meanwhile.

    Parameters
    ----------
    alteration : Alteration
    belongings : Belongings
        All indexes of the table as it is.
    triggers : iterable of str
        The statements that create its triggers.
    """
    spec = alteration.new
    if alteration.columns_change:
        return [*_rebuild(alteration), *create_statements(spec)[1:], *triggers]
    dropped, added = belongings.index_changes(alteration)
    numbers = itertools.count(1)
    used = {int(n) for name in belongings.indexes for n in re.findall(r" (\d+)", name)[-1:]}
    statements = [f"DROP INDEX {quote(name)}" for name in dropped]
    for index in added:
        statements.append(_create_index(spec, index, next(n for n in numbers if n not in used)))
    if alteration.attributes_change:
        statements.append(_describe_table(spec))
    changed = [new for _, new in alteration.changed]
    return statements + ([_describe_attributes(spec, changed)] if changed else [])


def _rebuild(alteration: Alteration) -> list[str]:
    """Write what makes the table anew, with its rows: SQLite changes little of one in place."""
    spec = alteration.new
    name = _table_name(spec)
    aside = f"{name} altered"
    counts = "sqlite_sequence WHERE name ="
    columns = names(DIALECT, alteration.sources)
    values = ", ".join(
        _assigned(old, new)
        for new in spec.heading.all_attributes
        if (old := alteration.sources.get(new.name))
    )
    counter = [
        f"DELETE FROM {counts} {literal(aside)}",
        f"INSERT INTO sqlite_sequence (name, seq) SELECT {literal(aside)}, seq "
        f"FROM {counts} {literal(name)}",
    ]
    return [
        _create_table(spec, quote(aside)),
        f"INSERT INTO {quote(aside)} ({columns})\nSELECT {values} FROM {quote(name)}",
        *(counter if any(a.autoincrement for a in spec.heading.all_attributes) else []),
        f"DROP TABLE {quote(name)}",
        f"ALTER TABLE {quote(aside)} RENAME TO {quote(name)}",
        f"DELETE FROM datajoint_attribute WHERE table_name = {literal(name)}",
    ]


def _assigned(old: Attribute, new: Attribute) -> str:
    """Write the value that an attribute has, brought to the type that it will have."""
    one, other = old.stored_type, new.stored_type
    assert one is not None
    assert other is not None
    same = old.attribute_type == new.attribute_type
    if same or (one.category in _OF_ONE_FORM and widens(one, other)):
        return quote(old.name)
    return f"retyped({quote(old.name)}, {literal(old.type)}, {literal(new.type)})"


def _create_table(spec: TableSpec, table: str) -> str:
    heading = spec.heading
    clauses = [_column(attribute) for attribute in heading.all_attributes]
    if not any(attribute.autoincrement for attribute in heading.all_attributes):
        clauses.append(f"PRIMARY KEY ({names(DIALECT, heading.stored_key)})")
    elif heading.stored_key != [a.name for a in heading.all_attributes if a.autoincrement]:
        # What counts is the primary key for SQLite; the constraint tells which one is the table's.
        clauses.append(f"UNIQUE ({names(DIALECT, heading.stored_key)})")
    clauses += [
        f"{references(DIALECT, foreign_key)} ON UPDATE CASCADE" for foreign_key in spec.foreign_keys
    ]
    return f"CREATE TABLE {table} (\n  " + ",\n  ".join(clauses) + "\n)"


def _table_name(spec: TableSpec) -> str:
    return f"{spec.name.schema}.{spec.name.table}"


def _create_index(spec: TableSpec, index: OwnIndex, number: int) -> str:
    unique, noted = "UNIQUE " * index.unique, noted_terms(index.attributes)
    name = f"{_table_name(spec)} {number}{FOREIGN_KEY_INDEX * index.implied}"
    name += f" ({noted})" if noted else ""
    terms = index_terms(DIALECT, index.attributes)
    return f"CREATE {unique}INDEX {quote(name)} ON {quote(_table_name(spec))} ({terms})"


def noted_term(index: str, number: int) -> str:
    """Read what is indexed by an expression, which the name of the index tells."""
    terms = index.partition(" (")[2].removesuffix(")").split(SEPARATOR)
    return terms[number] if number < len(terms) else "(expression)"


def _describe_table(spec: TableSpec) -> str:
    """Write the statement that keeps the comment of a table."""
    values = ", ".join(map(literal, (_table_name(spec), spec.heading.comment)))
    return (
        f"INSERT INTO datajoint_table VALUES ({values}) "
        "ON CONFLICT (name) DO UPDATE SET comment = excluded.comment"
    )


def _describe_attributes(spec: TableSpec, attributes: Iterable[Attribute]) -> str:
    """Write the statement that keeps what SQLite does not of attributes."""
    table = _table_name(spec)
    rows = (
        ", ".join(map(literal, (table, a.name, _stored_type(a), a.default, a.comment)))
        for a in attributes
    )
    listed = ",\n  ".join(f"({row})" for row in rows)
    return f"INSERT OR REPLACE INTO datajoint_attribute VALUES\n  {listed}"


def _column(attribute: Attribute) -> str:
    type_ = attribute.stored_type
    assert type_ is not None
    storage = DIALECT.storage[type_.category]
    name = quote(attribute.name)
    if attribute.autoincrement:
        declaration = "INTEGER PRIMARY KEY AUTOINCREMENT"
    else:
        declaration = storage.declaration(type_) + ("" if attribute.nullable else " NOT NULL")
    check = storage.check(type_, name)
    if check:
        condition = f"{name} IS NULL OR ({check})" if attribute.nullable else check
        constraint = quote(f"{attribute.name} : {attribute.type}")
        check = f" CONSTRAINT {constraint} CHECK ({condition})"
    return f"{name} {declaration}{_default(attribute)}{check}"


def _default(attribute: Attribute) -> str:
    default, type_ = attribute.default, attribute.stored_type
    if default is None or default == "null":
        return ""
    if default.upper().startswith("CURRENT_TIMESTAMP"):
        digits = getattr(type_, "digits", 0)
        now = "strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime') || '000'"
        return f" DEFAULT (substr({now}, 1, {20 + digits if digits else 19}))"
    return f" DEFAULT {literal(DIALECT.encode(unquote(default), type_))}"


def _stored_type(attribute: Attribute) -> str:
    return noted_type(attribute) + (" auto_increment" if attribute.autoincrement else "")
