"""The SQL of SQLite: values at places in documents, which are stored as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..types import AttributeType, DateTime, Decimal, Integer, String
from .json_path import Steps, path_text
from .text import SQL, Param, fill, literal

# In the templates, {type} is the JSON type of the value, {raw} its text in the document, {text}
# the text that it is. A string is a number or a date if it is written as one.

_TEXT = (
    "CASE WHEN {type} = 'text' THEN {text} "
    "WHEN {type} IN ('integer', 'real', 'true', 'false') THEN {raw} END"
)
#: An integer where SQLite has it as one, else a number of double precision.
_NUMBER = (
    "CASE WHEN {type} IN ('integer', 'real') THEN {text} "
    "WHEN {type} IN ('true', 'false') THEN {type} = 'true' "
    "WHEN {type} = 'text' THEN CASE WHEN json_valid({text}) "
    "THEN CASE WHEN json_type({text}) IN ('integer', 'real') THEN {text} ->> '$' END END END"
)
_ROUNDED = (
    f"CASE WHEN typeof({_NUMBER}) = 'integer' THEN {_NUMBER} "
    f"WHEN abs({_NUMBER}) < 9.2e18 THEN CAST(round({_NUMBER}) AS INTEGER) END"
)
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_SECOND = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"


def _integer(type_: Integer) -> str:
    high = min(type_.high, 2**63 - 1)
    return f"CASE WHEN {_ROUNDED} BETWEEN {type_.low} AND {high} THEN {_ROUNDED} END"


def _decimal(type_: Decimal) -> str:
    value = f"round({_NUMBER}, {type_.scale})"
    return f"CASE WHEN abs({value}) < 1e{type_.precision - type_.scale} THEN {value} END"


def _string(type_: String) -> str:
    unlimited = type_.length >= 65535
    return _TEXT if unlimited else f"CASE WHEN length({_TEXT}) <= {type_.length} THEN {_TEXT} END"


def _is_fraction(start: int) -> str:
    digits = f"substr({{text}}, {start + 1})"
    return (
        f"(length({{text}}) = {start - 1} OR (substr({{text}}, {start}, 1) = '.' "
        f"AND length({digits}) BETWEEN 1 AND 6 AND {digits} NOT GLOB '*[^0-9]*'))"
    )


def _is_clock(start: int) -> str:
    clock = f"substr({{text}}, {start}, 8)"
    return (
        f"{clock} GLOB '{_SECOND}' AND CASE WHEN {clock} GLOB '{_SECOND}' "
        f"THEN time({clock}) = {clock} END AND {_is_fraction(start + 8)}"
    )


def _clock(start: int, digits: int) -> str:
    seconds = f"substr({{text}}, {start}, 8)"
    fraction = f"substr(substr({{text}}, {start + 9}) || '000000', 1, {digits})"
    return f"{seconds} || '.' || {fraction}" if digits else seconds


def _if_moment(result: str) -> str:
    day = "substr({text}, 1, 10)"
    return (
        f"CASE WHEN {{type}} = 'text' THEN CASE WHEN {day} GLOB '{_DAY}' "
        f"THEN CASE WHEN date({day}) = {day} AND (length({{text}}) = 10 OR "
        f"(substr({{text}}, 11, 1) IN (' ', 'T') AND {_is_clock(12)})) THEN {result} END END END"
    )


def _datetime(type_: DateTime) -> str:
    midnight = "'00:00:00" + ("." + "0" * type_.digits if type_.digits else "") + "'"
    clock = f"CASE WHEN length({{text}}) = 10 THEN {midnight} ELSE {_clock(12, type_.digits)} END"
    return _if_moment(f"substr({{text}}, 1, 10) || ' ' || {clock}")


def _time(type_: Any) -> str:
    return (
        f"CASE WHEN {{type}} = 'text' THEN CASE WHEN {_is_clock(1)} "
        f"THEN {_clock(1, type_.digits)} END END"
    )


def _year(type_: AttributeType) -> str:
    return f"CASE WHEN {_ROUNDED} = 0 OR {_ROUNDED} BETWEEN 1901 AND 2155 THEN {_ROUNDED} END"


_TEMPLATES: Mapping[str, Callable[[Any], str]] = {
    "string": _string,
    "integer": _integer,
    "float": lambda type_: f"CAST({_NUMBER} AS REAL)",
    "decimal": _decimal,
    "year": _year,
    "date": lambda type_: _if_moment("substr({text}, 1, 10)"),
    "datetime": _datetime,
    "time": _time,
    "json": lambda type_: "NULLIF({raw}, 'null')",
}


def json_value(document: SQL, steps: Steps, type_: AttributeType) -> SQL:
    """Write the value at a path, converted to a type."""
    path = literal(path_text(steps))
    return fill(
        _TEMPLATES[type_.category](type_),
        type=fill("json_type({document}, {path})", document=document, path=path),
        raw=fill("({document} -> {path})", document=document, path=path),
        text=fill("({document} ->> {path})", document=document, path=path),
    )


def json_text(document: str, steps: Steps, *, unquoted: bool) -> str:
    """Write the value at a path as its JSON, or as the text that it is."""
    path = literal(path_text(steps))
    raw = f"({document} -> {path})"
    if not unquoted:
        return raw
    return (
        f"CASE json_type({document}, {path}) WHEN 'text' THEN {document} ->> {path} ELSE {raw} END"
    )


def json_equals(document: SQL, other: str) -> SQL:
    """Write whether documents are equal, by a function that the backend registers."""
    return SQL("json_equals(", document, ", ", Param(other), ")")
