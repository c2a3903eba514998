"""The SQL of MySQL and MariaDB: how types are stored. Fragments go through as they are, but ``->``.

Storage formats 2 and 3.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..types import (
    UUID,
    AttributeType,
    Decimal,
    Float,
    Integer,
    String,
    Timestamp,
    Year,
    shortest_single,
)
from .dialect import Dialect, Storage
from .fragment import Template
from .mysql_json import json_equals, json_value, without_arrows
from .text import SQL, Param, folded, join, listed, literal

# -- types ----------------------------------------------------------------------------------------


def _encode_float(value: float, type_: Float) -> float:
    """Give the very number that is stored, so that a comparison finds it."""
    if not type_.single:
        return value
    (single,) = struct.unpack("<f", struct.pack("<f", value))
    return float(single)


def _decode_float(type_: Float) -> Callable[[Any], float] | None:
    return shortest_single if type_.single else None


def _fetched(column: SQL, type_: AttributeType | None) -> SQL:
    """Ask for a single-precision number as a double: the server would give six of its digits."""
    if isinstance(type_, Float) and type_.single:
        return SQL("(", column, " + 0e0)")
    return column


_AS_IT_IS = Storage(lambda type_: str(type_.text))
_UUID = Storage(
    lambda type_: "binary(16)",
    encode=lambda value, type_: value.bytes,
    decoder=lambda type_: lambda stored: uuid.UUID(bytes=stored),
)

STORAGE: Mapping[str, Storage] = {
    **dict.fromkeys(
        (
            "integer",
            "bool",
            "year",
            "decimal",
            "string",
            "enum",
            "date",
            "datetime",
            "timestamp",
            "time",
            "blob",
            "other",
        ),
        _AS_IT_IS,
    ),
    "json": Storage(_AS_IT_IS.declaration, decoder=lambda type_: json.loads),
    "attachment": Storage(lambda type_: "longblob"),
    "external": _UUID,
    "float": Storage(_AS_IT_IS.declaration, encode=_encode_float, decoder=_decode_float),
    "uuid": _UUID,
}


# -- statements -----------------------------------------------------------------------------------


def _key_set(rows: Sequence[tuple[Any, ...]], types: Sequence[AttributeType | None]) -> SQL:
    return listed(rows, "{}" if len(types) == 1 else "({})")


def _skip(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    """Leave an entity with the same primary key as it is.

    The clause serves conflicts in every unique index. One in another index than the primary key
    is an error, as it is without the clause: a subquery of two rows raises it.
    """
    first = f"{table}.{key[0]}"
    same = " AND ".join(f"{table}.{name} = VALUES({name})" for name in key)
    error = "(SELECT 1 UNION SELECT 2)"
    return f" ON DUPLICATE KEY UPDATE {first} = IF({same}, {first}, {error})"


def _replace(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    """Give every attribute but the key its value in the rejected row, given or default.

    REPLACE would delete whatever has the same value of any unique index, and fail where others
    refer to the entity.
    """
    assignments = "".join(f", {table}.{name} = VALUES({name})" for name in rest)
    return _skip(table, key, rest) + assignments


def _delete_keys(table: str, key: str, values: Sequence[Any]) -> SQL:
    """Join the keys with the table: a list of many, the server compares with all of its rows."""
    keys = join(" UNION ALL ", (SQL("SELECT ", Param(value), " AS k") for value in values))
    return SQL(
        f"DELETE {table} FROM (", keys, f") AS listed STRAIGHT_JOIN {table} ON {table}.{key} = k"
    )


def _assigned(column: str, source: AttributeType | None, type_: AttributeType | None) -> str:
    """Bring UUIDs, which are stored as 16 bytes, into texts and back."""
    if isinstance(source, UUID) and isinstance(type_, String):
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        texts = ", ".join(f"SUBSTR(HEX({column}), {start}, {n})" for start, n in parts)
        return f"LOWER(CONCAT_WS('-', {texts}))"
    if isinstance(type_, UUID) and not isinstance(source, UUID):
        return f"UNHEX(REPLACE({column}, '-', ''))"
    return column


#: The moments that every server has as a timestamp, in any time zone.
_TIMESTAMPS = dt.datetime(1970, 1, 2), dt.datetime(2038, 1, 18)


def _retypes(value: Any, old: AttributeType, new: AttributeType) -> bool:
    """Tell whether the server reads, writes and rounds a value as Python does."""
    if isinstance(old, Float):
        return _retypes_float(value, old, new)
    if isinstance(new, (Integer, Year)) and isinstance(value, str):
        return re.fullmatch(r"\s*[-+]?\d+\s*", value, re.ASCII) is not None
    if isinstance(new, Timestamp):
        earliest, latest = _TIMESTAMPS
        return earliest <= new.encode(value) <= latest
    return True


def _retypes_float(value: float, old: Float, new: AttributeType) -> bool:
    """Tell it of a number: of a single one the server sees six digits, or binary ones."""
    stored = _encode_float(value, old)
    if new.is_string:
        plain = value == 0 or 1e-4 <= abs(value) < 1e15
        return plain and (not old.single or float(f"{value:.6g}") == value)
    if isinstance(new, Year):
        return stored.is_integer()
    if isinstance(new, Integer):
        return abs(stored) < 2**63 and stored % 1 != 0.5 and new.encode(stored) == new.encode(value)
    return not isinstance(new, Decimal) or new.encode(stored) == new.encode(value)


def _literal(value: Any) -> str:
    text = literal(value)
    return text.replace("\\", "\\\\") if text.startswith("'") else text


_EMPTY = re.compile(r"\bin\s*\(\s*\)", re.IGNORECASE)
_LAST_COMMA = re.compile(r",\s*\)")


def _unchanged(template: Template) -> Template:
    """Write the tuples of Python that have one member or none, besides the arrows, as MySQL can."""
    return tuple(
        _LAST_COMMA.sub(")", _EMPTY.sub("IN (SELECT NULL FROM DUAL WHERE FALSE)", part))
        if isinstance(part, str)
        else part
        for part in without_arrows(template)
    )


DIALECT = Dialect(
    quote_mark="`",
    placeholder="%s",
    qualify=lambda quote, schema, table: f"{quote(schema)}.{quote(table)}",
    translate=None,
    unchanged=_unchanged,
    storage=STORAGE,
    encode_literal=lambda value, compared_with: value,
    folded=lambda text: folded(text).rstrip(" "),
    key_set=_key_set,
    json_value=json_value,
    json_equals=json_equals,
    computed=lambda expression, type_: expression,
    fetched=_fetched,
    assigned=_assigned,
    retypes=_retypes,
    inserts={
        "insert": ("INSERT INTO", lambda table, key, rest: ""),
        "replace": ("INSERT INTO", _replace),
        "skip": ("INSERT INTO", _skip),
    },
    now="CURRENT_TIMESTAMP",
    # Not of NOW(), whose hour comes twice when summer ends.
    clock="(UNIX_TIMESTAMP() + MICROSECOND(NOW(6)) / 1e6)",
    moment=lambda column: f"UNIX_TIMESTAMP({column})",
    row_of_defaults="() VALUES ()",
    literal=_literal,
    groups_expressions=False,
    keeps_outer_constants=False,
    share_lock=" LOCK IN SHARE MODE",
    exclusive_lock=" FOR UPDATE",
    free_lock=" FOR UPDATE SKIP LOCKED",
    by_key=" FORCE INDEX (PRIMARY)",
    delete_keys=_delete_keys,
)
