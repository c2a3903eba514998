"""The SQL of SQLite: how types are stored and enforced, and how statements are written.

SQLite enforces no column types of its own, so each type is a CHECK constraint.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..grammar import parse_type
from ..types import (
    AttributeType,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    NotAdmitted,
    String,
    Time,
    time_text,
    to_datetime,
)
from ..types import Decimal as DecimalType
from .dialect import Dialect, Storage, on_conflict_replace, on_conflict_skip
from .sqlite_fragments import translate
from .sqlite_json import json_equals, json_value
from .text import SQL, Param, literal

# -- types ----------------------------------------------------------------------------------------

_MAX_INTEGER = 2**63 - 1


def _integer_check(type_: Integer, column: str) -> str:
    high = min(type_.high, _MAX_INTEGER)
    return f"typeof({column}) = 'integer' AND {column} BETWEEN {type_.low} AND {high}"


def _encode_integer(value: int, type_: Integer) -> int:
    if value > _MAX_INTEGER:
        raise NotAdmitted(f"is over {_MAX_INTEGER}, the largest integer that SQLite holds")
    return value


def _float_check(type_: Float, column: str) -> str:
    check = f"typeof({column}) = 'real' AND abs({column}) < 9e999"
    return check + (f" AND {column} >= 0" if type_.unsigned else "")


def _decimal_check(type_: DecimalType, column: str) -> str:
    """Digits, exactly ``scale`` of them after the point, in the range of the precision."""
    pattern = "*[^-0-9.]*"
    check = f"typeof({column}) = 'text' AND {column} NOT GLOB '{pattern}'"
    if type_.scale:
        check += f" AND {column} GLOB '*[0-9].{'[0-9]' * type_.scale}'"
    else:
        check += f" AND {column} GLOB '*[0-9]' AND {column} NOT GLOB '*.*'"
    digits = f"length(replace(replace({column}, '-', ''), '.', ''))"
    check += f" AND {digits} <= {max(type_.precision, type_.scale + 1)}"
    check += f" AND {column} NOT GLOB '?*-*' AND {column} NOT GLOB '*.*.*'"
    return check + (f" AND {column} NOT GLOB '-*'" if type_.unsigned else "")


def _string_check(type_: String, column: str) -> str:
    # length() stops at a NUL character
    return (
        f"typeof({column}) = 'text' AND length({column}) <= {type_.length}"
        f" AND instr({column}, char(0)) = 0"
    )


def _enum_check(type_: Enum, column: str) -> str:
    return f"{column} IN ({', '.join(map(literal, type_.members))})"


def _datetime_check(type_: DateTime, column: str) -> str:
    if not type_.digits:
        return f"{column} IS datetime({column})"
    fraction = "." + "[0-9]" * type_.digits
    return (
        f"substr({column}, 1, 19) IS datetime(substr({column}, 1, 19))"
        f" AND substr({column}, 20) GLOB '{fraction}'"
    )


def _time_check(type_: Time, column: str) -> str:
    fraction = "." + "[0-9]" * type_.digits if type_.digits else ""
    patterns = (
        f"{sign}{hours}:[0-5][0-9]:[0-5][0-9]{fraction}"
        for sign in ("", "-")
        for hours in ("[0-9][0-9]", "[1-8][0-9][0-9]")
    )
    return " OR ".join(f"{column} GLOB '{pattern}'" for pattern in patterns)


def _encode_datetime(value: dt.datetime, type_: AttributeType) -> str:
    return _datetime_text(value, getattr(type_, "digits", 0))


def _datetime_text(value: dt.datetime, digits: int) -> str:
    text = value.isoformat(" ", "microseconds")
    return text[: 20 + digits] if digits else text[:19]


def _encode_time(value: dt.timedelta, type_: AttributeType) -> str:
    return time_text(value, getattr(type_, "digits", 0))


def time_value(text: str) -> dt.timedelta:
    """Read a duration that :func:`time_text` wrote."""
    hours, minutes, seconds = text.lstrip("-").split(":")
    value = dt.timedelta(hours=int(hours), minutes=int(minutes)) + dt.timedelta(
        microseconds=int(decimal.Decimal(seconds) * 10**6)
    )
    return -value if text.startswith("-") else value


def _decimal_decoder(type_: DecimalType) -> Callable[[Any], decimal.Decimal]:
    step = decimal.Decimal(1).scaleb(-type_.scale)

    def decode(stored: Any) -> decimal.Decimal:
        if isinstance(stored, str):
            return decimal.Decimal(stored)
        return decimal.Decimal(repr(stored)).quantize(step)  # computed

    return decode


def _decode_date(text: str) -> dt.date:
    return dt.date.fromisoformat(text[:10])


def _decode_datetime(text: str) -> dt.datetime:
    if len(text) < 26 and "." in text:  # Python 3.10 reads 3 or 6 digits only
        text = text.ljust(26, "0")
    return dt.datetime.fromisoformat(text)


_INTEGER = Storage(lambda type_: "INT", _integer_check, _encode_integer)
_TEXT = Storage(lambda type_: "TEXT COLLATE NOCASE", _string_check)
_UUID = Storage(
    lambda type_: "TEXT COLLATE NOCASE",
    lambda type_, column: f"{column} GLOB '{'-'.join('[0-9a-f]' * n for n in (8, 4, 4, 4, 12))}'",
    lambda value, type_: str(value),
    lambda type_: uuid.UUID,
)

STORAGE: Mapping[str, Storage] = {
    "integer": _INTEGER,
    "bool": _INTEGER,
    "year": Storage(
        lambda type_: "INT",
        lambda type_, column: f"{column} = 0 OR {column} BETWEEN 1901 AND 2155",
    ),
    "float": Storage(lambda type_: "REAL", _float_check),
    "decimal": Storage(
        lambda type_: "TEXT COLLATE decimal",
        _decimal_check,
        lambda value, type_: format(value, "f"),
        _decimal_decoder,
    ),
    "string": _TEXT,
    "enum": Storage(lambda type_: "TEXT COLLATE NOCASE", _enum_check),
    "date": Storage(
        lambda type_: "TEXT",
        lambda type_, column: f"{column} IS date({column})",
        lambda value, type_: value.isoformat(),
        lambda type_: _decode_date,
    ),
    "datetime": Storage(
        lambda type_: "TEXT", _datetime_check, _encode_datetime, lambda type_: _decode_datetime
    ),
    "timestamp": Storage(
        lambda type_: "TEXT", _datetime_check, _encode_datetime, lambda type_: _decode_datetime
    ),
    "time": Storage(
        lambda type_: "TEXT COLLATE time", _time_check, _encode_time, lambda type_: time_value
    ),
    "uuid": _UUID,
    "json": Storage(
        lambda type_: "TEXT",
        lambda type_, column: f"json_valid({column})",
        decoder=lambda type_: json.loads,
    ),
    "attachment": Storage(lambda type_: "BLOB", lambda type_, column: f"typeof({column}) = 'blob'"),
    "external": _UUID,
    "blob": Storage(
        lambda type_: "BLOB",
        lambda type_, column: f"typeof({column}) = 'blob' AND length({column}) <= {type_.size}",
    ),
}


# -- the dialect ----------------------------------------------------------------------------------


def _encode_literal(value: Any, compared_with: AttributeType | None) -> Any:
    """Bring a literal into the stored form of what it is compared with.

    No digit is rounded away and a string of another form stays as it is, so that a comparison
    never means something else.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)  # which is compared as well
    if compared_with is None or isinstance(value, float):
        return value
    category = compared_with.category
    given = value
    if isinstance(value, int):  # of dates, as in 20200131
        if category not in ("date", "datetime", "timestamp"):
            return value
        value = str(value)
    try:
        if category in ("integer", "float", "bool", "year") or (
            category == "decimal" and len(value) <= 15
        ):
            number = float(leading_number(value))
            return int(number) if number.is_integer() else number
        if category == "date":
            moment = to_datetime(value)
            midnight = moment.time() == dt.time()
            return moment.date().isoformat() if midnight else _datetime_text(moment, 6)
        if category in ("datetime", "timestamp"):
            moment = to_datetime(value)
            digits: int = compared_with.digits  # type: ignore[attr-defined]
            fits = moment.microsecond % 10 ** (6 - digits) == 0
            return _datetime_text(moment, digits if fits else 6)
        if category == "time":
            duration = parse_type("time(6)").encode(value)
            return time_text(duration, 6 if duration.microseconds else compared_with.digits)  # type: ignore[attr-defined]
    except ValueError:
        pass
    return given


_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def leading_number(text: str) -> str:
    """Read the number with which a text begins, which is 0 where there is none, as MySQL does."""
    match = _NUMBER.match(text)
    return match[0] if match else "0"


def _computed(expression: SQL, type_: AttributeType | None) -> SQL:
    """Give computed texts the collation of stored ones."""
    if type_ is not None and type_.is_string:
        return SQL("(", expression, ") COLLATE NOCASE")
    return expression


#: NOCASE knows the letters of ASCII only.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _key_set(rows: Sequence[tuple[Any, ...]], types: Sequence[AttributeType | None]) -> SQL:
    if len(types) == 1:
        values = json.dumps([row[0] for row in rows])
        return SQL("SELECT value FROM json_each(", Param(values), ")")
    columns = ", ".join(f"value ->> {i}" for i in range(len(types)))
    return SQL(f"SELECT {columns} FROM json_each(", Param(json.dumps(rows)), ")")


def _assigned(column: str, source: AttributeType | None, type_: AttributeType | None) -> str:
    """Write a value in the form that is stored; what has none stays as it is, and is refused."""
    if isinstance(type_, String) and type_.fixed:
        return f"rtrim({column}, ' ')"
    if isinstance(type_, Enum):
        cases = " ".join(f"WHEN {literal(m)} THEN {literal(m)}" for m in type_.members)
        return f"CASE {column} COLLATE NOCASE {cases} ELSE {column} END"
    if isinstance(type_, DecimalType):
        digits = f"printf('%.{type_.scale}f', {column})"
        return f"CASE WHEN typeof({column}) IN ('real', 'integer') THEN {digits} ELSE {column} END"
    if isinstance(type_, Date):
        return f"coalesce(date({column}), {column})"
    if isinstance(type_, DateTime):
        midnight = " 00:00:00" + ("." + "0" * type_.digits if type_.digits else "")
        return f"CASE WHEN length({column}) = 10 THEN {column} || '{midnight}' ELSE {column} END"
    return column


DIALECT = Dialect(
    quote_mark='"',
    placeholder="?",
    qualify=lambda quote, schema, table: quote(f"{schema}.{table}"),
    translate=translate,
    storage=STORAGE,
    encode_literal=_encode_literal,
    folded=lambda text: text.translate(_LOWER),
    key_set=_key_set,
    json_value=json_value,
    json_equals=json_equals,
    inserts={
        "insert": ("INSERT INTO", lambda table, key, rest: ""),
        "replace": ("INSERT INTO", on_conflict_replace),
        "skip": ("INSERT INTO", on_conflict_skip),
    },
    now="datetime('now', 'localtime')",
    clock="unixepoch('now', 'subsec')",
    moment=lambda column: f"unixepoch({column}, 'utc')",
    computed=_computed,
    assigned=_assigned,
    plans_exists=False,
)
