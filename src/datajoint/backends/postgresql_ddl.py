"""PostgreSQL: the statements that create what all schemas share, and tables.

The type of every attribute is kept in the comment of its column, as ``:type:comment``.
"""

from __future__ import annotations

import datetime as dt
import hashlib

from ..declare import ForeignKey, TableSpec
from ..errors import DataJointError
from ..grammar import unquote
from ..heading import Attribute
from ..sql.postgresql import DIALECT
from ..sql.postgresql_values import TEXT_COLLATION, TEXT_COLLATION_OPTIONS
from ..sql.text import literal
from .catalog import (
    OwnIndex,
    index_terms,
    names,
    noted_terms,
    noted_type,
    references,
    wanted_indexes,
)

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
    sequence = sequence_of(spec)
    clauses = [column(attribute, sequence) for attribute in heading.all_attributes]
    key = quote(short_name(spec.name.table, " key"))
    clauses.append(f"CONSTRAINT {key} PRIMARY KEY ({names(DIALECT, heading.stored_key)})")
    clauses += map(foreign_key_clause, spec.foreign_keys)
    create = f"CREATE TABLE {table} (\n  " + ",\n  ".join(clauses) + "\n)"
    counted = [attribute.name for attribute in heading.all_attributes if attribute.autoincrement]
    return [
        *(f"CREATE SEQUENCE {sequence}" for _ in counted),
        create,
        *([table_comment(table, heading.comment)] if heading.comment else []),
        *(comment(table, attribute) for attribute in heading.all_attributes),
        *(
            statement
            for number, index in enumerate(wanted_indexes(spec), start=1)
            for statement in create_index(spec, table, index, number)
        ),
        *(
            statement
            for name in counted
            for statement in (
                owned_sequence(table, sequence, name),
                f"GRANT ALL ON SEQUENCE {sequence} TO PUBLIC",
                sequence_trigger(table, sequence, name),
            )
        ),
    ]


def sequence_of(spec: TableSpec) -> str:
    """Name the sequence of a table, quoted."""
    return DIALECT.table(spec.name.schema, short_name(spec.name.table, " sequence"))


def next_number(sequence: str) -> str:
    """Write the default of an attribute that counts."""
    return f" DEFAULT nextval({literal(sequence)})"


def owned_sequence(table: str, sequence: str, attribute: str) -> str:
    """Write what makes a sequence go with the attribute that counts."""
    return f"ALTER SEQUENCE {sequence} OWNED BY {table}.{quote(attribute)}"


def sequence_trigger(table: str, sequence: str, attribute: str) -> str:
    """Write what makes a sequence go on after values that were given, for all who insert."""
    return (
        f"CREATE TRIGGER continue_sequence AFTER INSERT ON {table} "
        "REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION "
        f'"datajoint"."continue_sequence"({literal(sequence)}, {literal(attribute)})'
    )


def create_index(spec: TableSpec, table: str, index: OwnIndex, number: int) -> list[str]:
    """Write the statements that create an index, whose name has a number."""
    unique = "UNIQUE " if index.unique else ""
    name, noted = index_name(spec, index, number), noted_terms(index.attributes)
    terms = index_terms(DIALECT, index.attributes)
    comment = f"COMMENT ON INDEX {DIALECT.table(spec.name.schema, name)} IS {literal(noted)}"
    create = f"CREATE {unique}INDEX {quote(name)} ON {table} ({terms})"
    return [create, comment] if noted else [create]


def index_name(spec: TableSpec, index: OwnIndex, number: int) -> str:
    """Name an index of a table."""
    return short_name(spec.name.table, f" {number}{FOREIGN_KEY_INDEX * index.implied}")


def foreign_key_clause(foreign_key: ForeignKey) -> str:
    """Write a foreign key of a table."""
    return f"{references(DIALECT, foreign_key)} ON UPDATE CASCADE"


def column(attribute: Attribute, sequence: str = "") -> str:
    """Write the definition of a column."""
    check_name(attribute.name, "attribute")
    not_null = "" if attribute.nullable else " NOT NULL"
    default = next_number(sequence) if attribute.autoincrement else ""
    constraint = check(attribute)
    return (
        f"{quote(attribute.name)} {declaration(attribute)}{not_null}"
        f"{default or default_clause(attribute)}{constraint and f' {constraint}'}"
    )


def declaration(attribute: Attribute) -> str:
    """Write the type of a column."""
    type_ = attribute.stored_type
    assert type_ is not None
    return DIALECT.storage[type_.category].declaration(type_)


def check(attribute: Attribute) -> str:
    """Write the constraint that the values of an attribute meet, or nothing; NULL passes."""
    type_ = attribute.stored_type
    assert type_ is not None
    condition = DIALECT.storage[type_.category].check(type_, quote(attribute.name))
    return condition and f"CONSTRAINT {quote(check_constraint(attribute))} CHECK ({condition})"


def check_constraint(attribute: Attribute) -> str:
    """Name the constraint that the values of an attribute meet."""
    return short_name(f"{attribute.name} : {attribute.attribute_type}", "")


def default_clause(attribute: Attribute) -> str:
    """Write the default of a column, or nothing."""
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


def table_comment(table: str, text: str) -> str:
    """Write the statement that gives a table its comment."""
    return f"COMMENT ON TABLE {table} IS {literal(text)}"


def comment(table: str, attribute: Attribute) -> str:
    """Write the statement that keeps the type and the comment of an attribute."""
    text = literal(f":{noted_type(attribute)}:{attribute.comment}")
    return f"COMMENT ON COLUMN {table}.{quote(attribute.name)} IS {text}"


def check_name(name: str, what: str) -> None:
    """Refuse a name that the server would cut off."""
    size = len(name.encode())
    if size > NAME_SIZE:
        raise DataJointError(
            f"The name of the {what} `{name}` has {size} bytes; on PostgreSQL it can have "
            f"{NAME_SIZE}"
        )


def short_name(name: str, suffix: str) -> str:
    """Append to a name; what is too long for a name ends in its hash."""
    if len((name + suffix).encode()) <= NAME_SIZE:
        return name + suffix
    digest = "~" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
    room = NAME_SIZE - len((digest + suffix).encode())
    return name.encode()[:room].decode(errors="ignore") + digest + suffix
