"""PostgreSQL: the statements that alter a table, which run in one transaction.

Columns are altered where they are. PostgreSQL has new ones at the end only, so that those which
are to stand behind a new one are copied to the end as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from ..alter import Alteration, widens
from ..declare import ForeignKey
from ..heading import Attribute
from ..sql.postgresql import DIALECT
from .catalog import SEPARATOR, Belongings, OwnIndex
from .postgresql_ddl import (
    FOREIGN_KEY_INDEX,
    check,
    check_constraint,
    column,
    comment,
    create_index,
    declaration,
    default_clause,
    foreign_key_clause,
    index_name,
    next_number,
    owned_sequence,
    sequence_of,
    sequence_trigger,
    short_name,
    table_comment,
)

quote = DIALECT.quote

#: The names of a table's own indexes and foreign keys.
OWN_INDEXES = (
    "SELECT x.relname::text, i.indisunique, "
    f"right(x.relname, {len(FOREIGN_KEY_INDEX)}) = '{FOREIGN_KEY_INDEX}', "
    f"coalesce(a.attname::text, split_part(t.description, '{SEPARATOR}', k.position::integer)) "
    "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "JOIN pg_index AS i ON i.indrelid = c.oid AND NOT i.indisprimary AND i.indpred IS NULL "
    "JOIN pg_class AS x ON x.oid = i.indexrelid "
    "LEFT JOIN pg_description AS t ON t.classoid = 'pg_class'::regclass AND t.objoid = x.oid "
    "CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attribute, position) "
    "LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attribute "
    "WHERE n.nspname = %s::text AND c.relname = %s::text AND k.position <= i.indnkeyatts "
    "AND (i.indexprs IS NULL OR t.description IS NOT NULL) "
    "ORDER BY x.relname, k.position"
)
OWN_FOREIGN_KEYS = (
    "SELECT f.conname::text, s.nspname::text, r.relname::text, a.attname::text, b.attname::text "
    "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "JOIN pg_constraint AS f ON f.conrelid = c.oid AND f.contype = 'f' "
    "JOIN pg_class AS r ON r.oid = f.confrelid JOIN pg_namespace AS s ON s.oid = r.relnamespace "
    "CROSS JOIN unnest(f.conkey, f.confkey) AS k (child, parent) "
    "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.child "
    "JOIN pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = k.parent "
    "WHERE n.nspname = %s::text AND c.relname = %s::text ORDER BY f.conname, b.attnum"
)


def alter_statements(alteration: Alteration, belongings: Belongings) -> list[str]:
    """Write the statements that alter a table.

    Parameters
    ----------
    alteration : Alteration
    belongings : Belongings
        All indexes and foreign keys of the table as it is.
    """
    spec = alteration.new
    table = DIALECT.table(spec.name.schema, spec.name.table)
    alter = f"ALTER TABLE {table} "
    moved = _moved(alteration)
    dropped, _ = belongings.index_changes(alteration)
    statements = [
        *(
            f"{alter}DROP CONSTRAINT {quote(name)}"
            for name in belongings.dropped_foreign_keys(alteration)
        ),
        *(f"DROP INDEX {DIALECT.table(spec.name.schema, name)}" for name in dropped),
        *(f"{alter}DROP COLUMN {quote(attribute.name)}" for attribute in alteration.removed),
        *(alter + clause for old, new in alteration.changed for clause in _changes(old, new)),
        *(alter + clause for clause in _additions(alteration, moved)),
        *_copies(alteration, table, moved),
        *_renamed_counters(alteration, table),
        *_index_statements(alteration, belongings, table, moved),
        *(f"{alter}ADD {foreign_key_clause(fk)}" for fk in _new_foreign_keys(alteration, moved)),
    ]
    if alteration.comment_changes:
        statements.append(table_comment(table, spec.heading.comment))
    commented = {new.name for _, new in alteration.changed} | {a.name for a in alteration.added}
    # What is noted with an adapted type names the store that the foreign key refers to.
    commented |= {name for fk in alteration.added_foreign_keys for name in fk.child_attributes}
    return statements + [
        comment(table, attribute)
        for attribute in spec.heading.all_attributes
        if attribute.name in commented or attribute in moved
    ]


def _moved(alteration: Alteration) -> list[Attribute]:
    """List the attributes that are copied to the end: all but the first that can stay."""
    attributes = alteration.new.heading.all_attributes
    current = [alteration.formerly.get(a.name) for a in alteration.old.heading.all_attributes]
    staying = 0
    for attribute in attributes:
        if attribute.name not in current:
            break
        current = current[current.index(attribute.name) + 1 :]
        staying += 1
    return [attribute for attribute in attributes[staying:] if attribute.name in alteration.sources]


def _changes(old: Attribute, new: Attribute) -> Iterator[str]:
    """Write what changes a column in its place."""
    name = quote(new.name)
    named = replace(old, name=new.name)
    if old.name != new.name:
        yield f"RENAME COLUMN {quote(old.name)} TO {name}"
    if check(old) and check(old) != check(new):
        yield f"DROP CONSTRAINT IF EXISTS {quote(check_constraint(old))}"
    retyped = _is_converted(old, new)
    redefault = retyped or default_clause(named) != default_clause(new)
    if redefault and default_clause(old):
        yield f"ALTER COLUMN {name} DROP DEFAULT"
    if retyped:
        value = DIALECT.assigned(name, old.stored_type, new.stored_type)
        yield f"ALTER COLUMN {name} TYPE {declaration(new)} USING {value}"
    if redefault and default_clause(new):
        yield f"ALTER COLUMN {name} SET{default_clause(new)}"
    if old.nullable != new.nullable:
        yield f"ALTER COLUMN {name} {'DROP' if new.nullable else 'SET'} NOT NULL"
    if check(new) and check(old) != check(new):
        yield f"ADD {check(new)}"


def _is_converted(old: Attribute, new: Attribute) -> bool:
    """Tell whether the values of an attribute change, or how they are stored."""
    one, other = old.stored_type, new.stored_type
    assert one is not None
    assert other is not None
    if declaration(old) != declaration(new):
        return True
    return not (one.same_as(other) or widens(one, other))


def _additions(alteration: Alteration, moved: list[Attribute]) -> Iterator[str]:
    """Write what adds columns at the end, in order: new ones, and those that copies are for."""
    for attribute in alteration.new.heading.all_attributes:
        if attribute.name not in alteration.sources:
            yield f"ADD COLUMN {column(attribute)}"
        elif attribute in moved:
            name = quote(attribute.name)
            yield f"RENAME COLUMN {name} TO {quote(_aside(attribute))}"
            yield f"ADD COLUMN {name} {declaration(attribute)}"


def _aside(attribute: Attribute) -> str:
    """Name the column that is copied; no attribute has such a name."""
    return short_name(attribute.name, " moved")


def _copies(alteration: Alteration, table: str, moved: list[Attribute]) -> Iterator[str]:
    """Write what fills the copies of columns, and puts them in the place of these."""
    if moved:
        values = ", ".join(f"{quote(a.name)} = {quote(_aside(a))}" for a in moved)
        yield f"UPDATE {table} SET {values}"
    alter, sequence = f"ALTER TABLE {table} ", sequence_of(alteration.new)
    for attribute in moved:
        name, default = quote(attribute.name), default_clause(attribute)
        if attribute.autoincrement:
            default = next_number(sequence)
            yield owned_sequence(table, sequence, attribute.name)  # lest it goes with the column
            yield f"{alter}ALTER COLUMN {quote(_aside(attribute))} DROP DEFAULT"
        yield f"{alter}DROP COLUMN {quote(_aside(attribute))}"
        if default:
            yield f"{alter}ALTER COLUMN {name} SET{default}"
        if not attribute.nullable:
            yield f"{alter}ALTER COLUMN {name} SET NOT NULL"
        if check(attribute):
            yield f"{alter}ADD {check(attribute)}"


def _renamed_counters(alteration: Alteration, table: str) -> Iterator[str]:
    """Write what makes the trigger of a sequence look at an attribute under its new name."""
    for old, new in alteration.changed:
        if new.autoincrement and old.name != new.name:
            yield f"DROP TRIGGER continue_sequence ON {table}"
            yield sequence_trigger(table, sequence_of(alteration.new), new.name)


def _index_statements(
    alteration: Alteration, belongings: Belongings, table: str, moved: list[Attribute]
) -> Iterator[str]:
    """Write the indexes that are new, and those that went with the columns that were moved."""
    names = {attribute.name for attribute in moved}
    staying = {
        name: index
        for name, index in belongings.indexes.items()
        if names.isdisjoint(alteration.as_indexed(index).attributes)
    }
    _, added = replace(belongings, indexes=staying).index_changes(alteration)
    numbers = _free_numbers(alteration, belongings)
    for index, number in zip(added, numbers, strict=False):
        yield from create_index(alteration.new, table, index, number)


def _free_numbers(alteration: Alteration, belongings: Belongings) -> Iterator[int]:
    """Count the numbers that no index of the table has in its name."""
    kinds = (OwnIndex(()), OwnIndex((), implied=True))
    for number in itertools.count(1):
        names = {index_name(alteration.new, kind, number) for kind in kinds}
        if names.isdisjoint(belongings.indexes):
            yield number


def _new_foreign_keys(alteration: Alteration, moved: list[Attribute]) -> list[ForeignKey]:
    """List the foreign keys that are new, and those that went with the columns that were moved."""
    names = {attribute.name for attribute in moved}
    return [
        foreign_key
        for foreign_key in dict.fromkeys(alteration.new.foreign_keys)
        if foreign_key in alteration.added_foreign_keys
        or not names.isdisjoint(foreign_key.child_attributes)
    ]
