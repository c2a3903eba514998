"""PostgreSQL: tables as the server knows them.

The type of every attribute is read from the comment of its column; it is guessed from the column
where a table was not declared by this package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from ..declare import written_default
from ..errors import DataJointError
from ..grammar import column_type, parse_type
from ..heading import Attribute
from ..scanner import STRING
from ..types import AttributeType
from .catalog import SEPARATOR, marked_type
from .postgresql_ddl import FOREIGN_KEY_INDEX

_FROM = "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "

COLUMNS = (
    "SELECT c.relname::text, coalesce(t.description, ''), a.attname::text, "
    "format_type(a.atttypid, a.atttypmod), p.oid IS NOT NULL, a.attnotnull, "
    "a.attidentity <> '', pg_get_expr(d.adbin, d.adrelid), coalesce(m.description, '') "
    + _FROM
    + "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "LEFT JOIN pg_constraint AS p ON p.conrelid = c.oid AND p.contype = 'p' "
    "AND a.attnum = ANY (p.conkey) "
    "LEFT JOIN pg_description AS t ON t.classoid = 'pg_class'::regclass AND t.objoid = c.oid "
    "AND t.objsubid = 0 "
    "LEFT JOIN pg_description AS m ON m.classoid = 'pg_class'::regclass AND m.objoid = c.oid "
    "AND m.objsubid = a.attnum "
    "WHERE {} ORDER BY c.relname, a.attnum"
)
#: Those of attributes and of what is noted in the comment of the index, on all rows.
INDEXES = (
    "SELECT c.relname::text, x.relname::text, i.indisunique, "
    f"coalesce(a.attname::text, split_part(t.description, '{SEPARATOR}', k.position::integer)) "
    + _FROM
    + "JOIN pg_index AS i ON i.indrelid = c.oid AND NOT i.indisprimary AND i.indisvalid "
    "AND i.indpred IS NULL JOIN pg_class AS x ON x.oid = i.indexrelid "
    "LEFT JOIN pg_description AS t ON t.classoid = 'pg_class'::regclass AND t.objoid = x.oid "
    "CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attribute, position) "
    "LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attribute "
    "WHERE {} AND (i.indexprs IS NULL OR t.description IS NOT NULL) "
    f"AND right(x.relname, {len(FOREIGN_KEY_INDEX)}) <> '{FOREIGN_KEY_INDEX}' "
    "AND k.position <= i.indnkeyatts ORDER BY c.relname, i.indexrelid, k.position"
)
#: Joins of few tables, since the server would try all orders of more, for longer than it runs.
FOREIGN_KEYS = (
    "SELECT c.relname::text, f.oid::bigint, "
    "(SELECT nspname::text FROM pg_namespace WHERE oid = r.relnamespace), r.relname::text, "
    "(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = k.child), "
    "(SELECT attname::text FROM pg_attribute WHERE attrelid = r.oid AND attnum = k.parent) "
    + _FROM
    + "JOIN pg_constraint AS f ON f.conrelid = c.oid AND f.contype = 'f' "
    "JOIN pg_class AS r ON r.oid = f.confrelid "
    "CROSS JOIN unnest(f.conkey, f.confkey) AS k (child, parent) "
    "WHERE {} ORDER BY c.relname, f.oid, k.parent"
)

_MARKER = re.compile(rf""":((?:[^:'"]|{STRING.pattern})+):(.*)""", re.DOTALL)
_NOW = re.compile(r"statement_timestamp\(\)|now\(\)|current_timestamp|localtimestamp", re.I)
_CONSTANT = re.compile(r"(?:'((?:[^']|'')*)'|([^':(]+))(?:::.*)?", re.DOTALL)


def read_attribute(
    name: str,
    sql_type: str,
    in_key: bool,
    not_null: bool,
    identity: bool,
    expression: str | None,
    comment: str,
) -> Attribute:
    """Make an attribute of a row of COLUMNS."""
    marker = _MARKER.fullmatch(comment)
    native = column_type(_guess_type(sql_type))
    type_ = marked_type(marker[1], native) if marker else native
    counts = identity or (expression or "").startswith("nextval(")
    default = None if counts or expression is None else _default_of(expression, type_)
    return Attribute(
        name,
        type_,
        in_key,
        not not_null,
        default if not_null else "null",
        marker[2] if marker else comment,
        counts,
    )


def _default_of(expression: str, type_: AttributeType) -> str | None:
    """Bring a default into the form of a definition."""
    if _NOW.search(expression):
        digits = getattr(type_, "digits", 0)
        return f"CURRENT_TIMESTAMP({digits})" if digits else "CURRENT_TIMESTAMP"
    match = _CONSTANT.fullmatch(expression)
    if match is None:  # an expression, which the server computes
        return None
    value = match[2] if match[1] is None else match[1].replace("''", "'")
    return written_default(value, type_)


_TYPES: Mapping[str, str] = {
    "integer": "int",
    "real": "float",
    "double precision": "double",
    "numeric": "double",
    "boolean": "bool",
    "text": "varchar(65535)",
    "character varying": "varchar(65535)",
    "bytea": "longblob",
    "jsonb": "json",
    "timestamp without time zone": "datetime(6)",
    "timestamp with time zone": "timestamp(6)",
    "interval": "time(6)",
}


def _guess_type(sql_type: str) -> str:
    """Choose a type for a column of a table that was not declared by this package."""
    if sql_type in _TYPES:
        return _TYPES[sql_type]
    for pattern, type_ in (
        (r"character varying(\(\d+\))", "varchar"),
        (r"character(\(\d+\))", "char"),
        (r"numeric(\(\d+,\d+\))", "decimal"),
        (r"timestamp(\(\d\)) without time zone", "datetime"),
        (r"timestamp(\(\d\)) with time zone", "timestamp"),
        (r"interval(\(\d\))", "time"),
    ):
        match = re.fullmatch(pattern, sql_type)
        if match:
            with suppress(DataJointError):  # longer than any of ours
                return str(parse_type(type_ + match[1]))
    return sql_type
