"""The SQL of PostgreSQL: how types are stored and enforced, and how statements are written."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..types import AttributeType, Blob, Enum, Float, Integer, String
from .dialect import Dialect, Storage, on_conflict_replace, on_conflict_skip
from .postgresql_assign import assigned
from .postgresql_fragments import translate
from .postgresql_json import json_equals, json_value
from .postgresql_values import KINDS, TEXT_COLLATION, leading_number, read_duration, read_moment
from .text import SQL, Param, folded, join, listed, literal

# -- types ----------------------------------------------------------------------------------------

_NATIVE_INTEGERS = tuple(
    (name, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for name, bits in (("smallint", 16), ("integer", 32), ("bigint", 64))
)


def _native_integer(type_: Integer) -> tuple[str, int, int]:
    """Find the smallest native type that holds the range, with its own range."""
    for name, low, high in _NATIVE_INTEGERS:
        if low <= type_.low and type_.high <= high:
            return name, low, high
    return "numeric(20)", -(10**20), 10**20


def _integer_check(type_: Integer, column: str) -> str:
    _, low, high = _native_integer(type_)
    exact = (low, high) == (type_.low, type_.high)
    return "" if exact else f"{column} BETWEEN {type_.low} AND {type_.high}"


def _integer_decoder(type_: Integer) -> Callable[[Any], Any] | None:
    """Make integers of decimals, which the widest integers and the sums of bigint come as."""
    return _whole if max(-type_.low, type_.high) > 2**32 else None


def _whole(value: Any) -> Any:
    if type(value) is decimal.Decimal and value == value.to_integral_value():
        return int(value)
    return value


def _float_check(type_: Float, column: str) -> str:
    low = ">= 0" if type_.unsigned else "> '-Infinity'"
    return f"{column} < 'Infinity' AND {column} {low}"  # NaN is the greatest


def _encode_float(value: float, type_: Float) -> float:
    """Give all digits of a number of single precision, so that the stored one equals it."""
    if not type_.single:
        return value
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single


def _string_declaration(type_: String) -> str:
    return f"varchar({max(1, type_.length)}) COLLATE {TEXT_COLLATION}"


def _enum_check(type_: Enum, column: str) -> str:
    return f'{column} COLLATE "C" IN ({", ".join(map(literal, type_.members))})'


def _blob_check(type_: Blob, column: str) -> str:
    unlimited = type_.size >= 2**30  # which is more than a value can have
    return "" if unlimited else f"octet_length({column}) <= {type_.size}"


def _decode_timestamp(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=None)


STORAGE: Mapping[str, Storage] = {
    "integer": Storage(
        lambda type_: _native_integer(type_)[0], _integer_check, decoder=_integer_decoder
    ),
    "bool": Storage(
        lambda type_: "boolean", encode=lambda value, type_: bool(value), decoder=lambda type_: int
    ),
    "year": Storage(
        lambda type_: "smallint",
        lambda type_, column: f"{column} = 0 OR {column} BETWEEN 1901 AND 2155",
    ),
    "float": Storage(
        lambda type_: "real" if type_.single else "double precision", _float_check, _encode_float
    ),
    "decimal": Storage(
        lambda type_: f"numeric({type_.precision},{type_.scale})",
        lambda type_, column: f"{column} >= 0" if type_.unsigned else "",
    ),
    "string": Storage(
        _string_declaration,
        lambda type_, column: "" if type_.length else f"{column} COLLATE \"C\" = ''",
    ),
    "enum": Storage(lambda type_: f"varchar COLLATE {TEXT_COLLATION}", _enum_check),
    "date": Storage(lambda type_: "date"),
    "datetime": Storage(lambda type_: f"timestamp({type_.digits})"),
    "timestamp": Storage(
        lambda type_: f"timestamp({type_.digits}) with time zone",
        decoder=lambda type_: _decode_timestamp,
    ),
    "time": Storage(
        lambda type_: f"interval({type_.digits})",
        lambda type_, column: f"{column} BETWEEN '-838:59:59' AND '838:59:59'",
    ),
    "uuid": Storage(lambda type_: "uuid"),
    "json": Storage(lambda type_: "jsonb", decoder=lambda type_: json.loads),
    "attachment": Storage(lambda type_: "bytea"),
    "external": Storage(lambda type_: "uuid"),
    "blob": Storage(lambda type_: "bytea", _blob_check),
    "other": Storage(lambda type_: type_.text),
}


# -- the dialect ----------------------------------------------------------------------------------


def _encode_literal(value: Any, compared_with: AttributeType | None) -> Any:
    """Bring a literal into the form of what it is compared with.

    What is no date is, as on MySQL, one before all others; what is no time is zero.
    """
    kind = None if compared_with is None else KINDS.get(compared_with.category)
    if kind in ("date", "moment"):
        moment = read_moment(str(value))
        if moment is None:
            return "-infinity"
        return moment.date() if kind == "date" and moment.time() == dt.time() else moment
    if kind == "time":
        text = value if isinstance(value, str) else _clock_text(value)
        return read_duration(text) or dt.timedelta()
    if not isinstance(value, str) or compared_with is None:
        return value
    if kind == "number":
        number = leading_number(value)
        whole = number.adjusted() < 40 and number == number.to_integral_value()
        return int(number) if whole else number
    if compared_with.category == "uuid":
        try:
            return uuid.UUID(value)
        except ValueError:
            return None
    return value


def _clock_text(number: float) -> str:
    """Read a number as the digits of a time."""
    minutes, seconds = divmod(int(number), 100)
    return "{}:{:02d}:{:02d}".format(*divmod(minutes, 100), seconds)


def _computed(expression: SQL, type_: AttributeType | None) -> SQL:
    """Give computed texts the collation of stored ones; make truth of what was a number."""
    if type_ is not None and type_.is_string:
        return SQL("(", expression, f") COLLATE {TEXT_COLLATION}")
    if type_ is not None and type_.category == "bool":
        return SQL("CAST(", expression, " AS boolean)")
    return expression


def _key_set(rows: Sequence[tuple[Any, ...]], types: Sequence[AttributeType | None]) -> SQL:
    arrays = []
    for type_, column in zip(types, zip(*rows, strict=True), strict=True):
        if type_ is None:
            return SQL("VALUES ", listed(rows, "({})"))
        arrays.append(SQL("CAST(", Param(list(column)), f" AS {_element(type_)}[])"))
    return SQL("SELECT * FROM unnest(", join(", ", arrays), ")")


def _element(type_: AttributeType) -> str:
    """Name the type of what is compared with an attribute: nothing is rounded or cut off."""
    declaration = STORAGE[type_.category].declaration(type_)
    return re.sub(r"\(.*?\)| COLLATE .*", "", declaration)


def _literal(value: Any) -> str:
    text = literal(value)
    return f"'\\x{text[2:-1]}'::bytea" if text.startswith("X") else text


def _null(type_: AttributeType | None) -> str:
    if type_ is None:
        return "NULL"
    declaration, collate, collation = (
        STORAGE[type_.category].declaration(type_).partition(" COLLATE ")
    )
    return f"CAST(NULL AS {declaration}){collate}{collation}"


DIALECT = Dialect(
    quote_mark='"',
    placeholder="%s",
    qualify=lambda quote, schema, table: f"{quote(schema)}.{quote(table)}",
    translate=translate,
    storage=STORAGE,
    encode_literal=_encode_literal,
    folded=folded,
    key_set=_key_set,
    literal=_literal,
    json_value=json_value,
    json_equals=json_equals,
    computed=_computed,
    inserts={
        "insert": ("INSERT INTO", lambda table, key, rest: ""),
        "replace": ("INSERT INTO", on_conflict_replace),
        "skip": ("INSERT INTO", on_conflict_skip),
    },
    now="date_trunc('second', statement_timestamp())",
    clock="CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
    moment=lambda column: f"CAST(extract(epoch FROM {column}) AS double precision)",
    null=_null,
    assigned=partial(assigned, storage=STORAGE),
    null_order=(" NULLS FIRST", " NULLS LAST"),
    share_lock=" FOR KEY SHARE",
    exclusive_lock=" FOR UPDATE",
    free_lock=" FOR UPDATE SKIP LOCKED",
)
