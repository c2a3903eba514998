"""PostgreSQL: the statements that create what all schemas share, and tables.

The type of every attribute is kept in the comment of its column, as ``:type:comment``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator

from ..declare import TableSpec
from ..errors import DataJointError
from ..grammar import unquote
from ..heading import Attribute
from ..sql.postgresql import DIALECT
from ..sql.postgresql_values import TEXT_COLLATION, TEXT_COLLATION_OPTIONS
from ..sql.text import literal
from .catalog import index_terms, names, noted_terms, references

#: Bytes in a name.
NAME_SIZE = 63

quote = DIALECT.quote

# -- what all schemas share -----------------------------------------------------------------------

SHARED = (
    'CREATE SCHEMA IF NOT EXISTS "datajoint"',
    'GRANT USAGE ON SCHEMA "datajoint" TO PUBLIC',
    f"CREATE COLLATION IF NOT EXISTS {TEXT_COLLATION} ({TEXT_COLLATION_OPTIONS})",
    # As on MySQL: after a value that was given, the next one is larger.
    """CREATE OR REPLACE FUNCTION "datajoint"."continue_sequence"() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    largest bigint;
BEGIN
    EXECUTE format('SELECT max(%I) FROM inserted', TG_ARGV[1]) INTO largest;
    IF largest > coalesce(pg_sequence_last_value(TG_ARGV[0]::regclass), 0) THEN
        PERFORM setval(TG_ARGV[0]::regclass, largest);
    END IF;
    RETURN NULL;
END $$""",
)


# -- definitions of tables ------------------------------------------------------------------------

#: Ends the names of indexes that exist only to make foreign keys fast.
FOREIGN_KEY_INDEX = " (foreign key)"


def create_statements(spec: TableSpec) -> list[str]:
    """Write the statements that create a table with its indexes and comments.

    The names of what belongs to it have a space, so that none is ever the name of a table.
    """
    check_name(spec.name.table, "table")
    heading, table = spec.heading, DIALECT.table(spec.name.schema, spec.name.table)
    sequence = DIALECT.table(spec.name.schema, _short(spec.name.table, " sequence"))
    clauses = [_column(attribute, sequence) for attribute in heading.all_attributes]
    key = quote(_short(spec.name.table, " key"))
    clauses.append(f"CONSTRAINT {key} PRIMARY KEY ({names(DIALECT, heading.stored_key)})")
    clauses += [
        f"{references(DIALECT, foreign_key)} ON UPDATE CASCADE" for foreign_key in spec.foreign_keys
    ]
    create = f"CREATE TABLE {table} (\n  " + ",\n  ".join(clauses) + "\n)"
    counted = [attribute.name for attribute in heading.all_attributes if attribute.autoincrement]
    return [
        *(f"CREATE SEQUENCE {sequence}" for _ in counted),
        create,
        *(f"COMMENT ON TABLE {table} IS {literal(c)}" for c in (heading.comment,) if c),
        *(_comment(table, attribute) for attribute in heading.all_attributes),
        *_indexes(spec, table),
        *(statement for name in counted for statement in _counting(table, sequence, name)),
    ]


def _counting(table: str, sequence: str, attribute: str) -> list[str]:
    """Write what makes an attribute go on after values that were given, for all who insert."""
    arguments = f"{literal(sequence)}, {literal(attribute)}"
    return [
        f"ALTER SEQUENCE {sequence} OWNED BY {table}.{quote(attribute)}",
        f"GRANT ALL ON SEQUENCE {sequence} TO PUBLIC",
        f"CREATE TRIGGER continue_sequence AFTER INSERT ON {table} "
        "REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT "
        f'EXECUTE FUNCTION "datajoint"."continue_sequence"({arguments})',
    ]


def _indexes(spec: TableSpec, table: str) -> Iterator[str]:
    """Write the indexes; the key of a parent is searched for the children of each of its rows."""
    covered = [tuple(spec.heading.stored_key)]
    for index in spec.heading.secondary_indexes:
        name = _short(spec.name.table, f" {len(covered)}")
        unique = "UNIQUE " if index.unique else ""
        terms = index_terms(DIALECT, index.attributes)
        yield f"CREATE {unique}INDEX {quote(name)} ON {table} ({terms})"
        noted = noted_terms(index.attributes)
        if noted:
            yield f"COMMENT ON INDEX {DIALECT.table(spec.name.schema, name)} IS {literal(noted)}"
        covered.append(index.attributes)
    for foreign_key in spec.foreign_keys:
        attributes = foreign_key.child_attributes
        if not any(index[: len(attributes)] == attributes for index in covered):
            name = _short(spec.name.table, f" {len(covered)}{FOREIGN_KEY_INDEX}")
            yield f"CREATE INDEX {quote(name)} ON {table} ({names(DIALECT, attributes)})"
            covered.append(attributes)


def _column(attribute: Attribute, sequence: str) -> str:
    check_name(attribute.name, "attribute")
    type_ = attribute.stored_type
    assert type_ is not None
    storage = DIALECT.storage[type_.category]
    name = quote(attribute.name)
    not_null = "" if attribute.nullable else " NOT NULL"
    default = f" DEFAULT nextval({literal(sequence)})" if attribute.autoincrement else ""
    check = storage.check(type_, name)  # which NULL passes
    if check:
        constraint = quote(_short(f"{attribute.name} : {attribute.type}", ""))
        check = f" CONSTRAINT {constraint} CHECK ({check})"
    return f"{name} {storage.declaration(type_)}{not_null}{default or _default(attribute)}{check}"


def _default(attribute: Attribute) -> str:
    default, type_ = attribute.default, attribute.stored_type
    if default is None or default == "null":
        return ""
    if default.upper().startswith("CURRENT_TIMESTAMP"):
        digits = getattr(type_, "digits", 0)
        if digits:
            return f" DEFAULT CAST(statement_timestamp() AS timestamp({digits}) with time zone)"
        return " DEFAULT date_trunc('second', statement_timestamp())"
    value = DIALECT.encode(unquote(default), type_)
    if isinstance(value, dt.timedelta):
        value = f"{value // dt.timedelta(microseconds=1)} microseconds"
    return f" DEFAULT {literal(str(value))}"


def _comment(table: str, attribute: Attribute) -> str:
    comment = literal(f":{attribute.type}:{attribute.comment}")
    return f"COMMENT ON COLUMN {table}.{quote(attribute.name)} IS {comment}"


def check_name(name: str, what: str) -> None:
    """Refuse a name that the server would cut off."""
    size = len(name.encode())
    if size > NAME_SIZE:
        raise DataJointError(
            f"The name of the {what} `{name}` has {size} bytes; on PostgreSQL it can have "
            f"{NAME_SIZE}"
        )


def _short(name: str, suffix: str) -> str:
    """Append to a name; what is too long for a name ends in its hash."""
    if len((name + suffix).encode()) <= NAME_SIZE:
        return name + suffix
    digest = "~" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
    room = NAME_SIZE - len((digest + suffix).encode())
    return name.encode()[:room].decode(errors="ignore") + digest + suffix
