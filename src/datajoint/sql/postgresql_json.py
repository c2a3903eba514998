"""The SQL of PostgreSQL: values at places in documents, which are of the type jsonb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..types import AttributeType, Decimal, Integer, String
from .json_path import CLOCK, MOMENT, NUMBER, Steps, path_text
from .text import SQL, Param, fill, literal

# In the templates, {value} is the value as a document, {kind} its JSON type, {text} the text that
# it is, and {double} the value as a number, or NULL where it is none.

_TEXT = "CASE WHEN {kind} IN ('string', 'number', 'boolean') THEN {text} END"
_BOOLEAN = "WHEN {kind} = 'boolean' THEN CAST(CAST({value} AS boolean) AS integer)"
_EXACT = "CAST({text} AS numeric)"


def _string(type_: String) -> str:
    unlimited = type_.length >= 65535
    size = f"char_length({_TEXT})"
    return _TEXT if unlimited else f"CASE WHEN {size} <= {type_.length} THEN {_TEXT} END"


def _number(result: str, condition: str = "") -> str:
    """Write a number as some type; true is 1 and false is 0."""
    if condition:
        result = f"CASE WHEN {condition} THEN {result} END"
    return f"CASE {_BOOLEAN} WHEN {{text}} ~ '{NUMBER}' THEN {result} END"


def _integer(type_: Integer) -> str:
    kind = "bigint" if type_.high < 2**63 else "numeric(20)"
    condition = f"round({_EXACT}) BETWEEN {type_.low} AND {type_.high}"
    return _number(f"CAST(round({_EXACT}) AS {kind})", condition)


def _decimal(type_: Decimal) -> str:
    value = f"round({_EXACT}, {type_.scale})"
    limit = f"1e{type_.precision - type_.scale}"
    kind = f"numeric({type_.precision},{type_.scale})"
    return _number(f"CAST({value} AS {kind})", f"abs({value}) < {limit}")


# Dates are made of numbers, by functions that depend on no setting of the session, so that they
# can be indexed. A day that its month does not have falls into the next one.

_DAY = (
    "(timestamp '2000-01-01' + make_interval("
    "years => CAST(substr({text}, 1, 4) AS integer) - 2000, "
    "months => CAST(substr({text}, 6, 2) AS integer) - 1, "
    "days => CAST(substr({text}, 9, 2) AS integer) - 1))"
)


def _clock(start: int, digits: int) -> str:
    size = 3 + digits if digits else 2
    return (
        f"make_interval(hours => CAST(substr({{text}}, {start}, 2) AS integer), "
        f"mins => CAST(substr({{text}}, {start + 3}, 2) AS integer), "
        f"secs => CAST(substr({{text}}, {start + 6}, {size}) AS double precision))"
    )


def _if_moment(result: str) -> str:
    month = "CAST(substr({text}, 6, 2) AS integer)"
    return (
        f"CASE WHEN {{kind}} = 'string' AND {{text}} ~ '{MOMENT}' "
        f"THEN CASE WHEN date_part('month', {_DAY}) = {month} THEN {result} END END"
    )


def _datetime(type_: Any) -> str:
    clock = f"CASE WHEN length({{text}}) > 10 THEN {_clock(12, type_.digits)} ELSE interval '0' END"
    return _if_moment(f"{_DAY} + {clock}")


def _time(type_: Any) -> str:
    return (
        f"CASE WHEN {{kind}} = 'string' AND {{text}} ~ '{CLOCK}' THEN {_clock(1, type_.digits)} END"
    )


_TEMPLATES: Mapping[str, Callable[[Any], str]] = {
    "string": _string,
    "integer": _integer,
    "float": lambda type_: (
        f"CASE {_BOOLEAN} WHEN {{text}} ~ '{NUMBER}' THEN CAST({{double}} AS double precision) END"
    ),
    "decimal": _decimal,
    "year": lambda type_: _number(
        f"CAST(round({_EXACT}) AS integer)",
        f"round({_EXACT}) = 0 OR round({_EXACT}) BETWEEN 1901 AND 2155",
    ),
    "date": lambda type_: _if_moment(f"CAST({_DAY} AS date)"),
    "datetime": _datetime,
    "time": _time,
    "json": lambda type_: "NULLIF({value}, 'null')",
}


def _at(document: SQL, path: str) -> SQL:
    """Write the value at a path; no error is raised, and no scalar is taken for an array."""
    strict = literal(f"strict {path}")
    return SQL("jsonb_path_query_first(", document, f", {strict}, '{{}}', true)")


def json_text(document: str, steps: Steps, *, unquoted: bool) -> str:
    """Write the value at a path as its JSON, or as the text that it is."""
    value = str(_at(SQL(document), path_text(steps)))
    if not unquoted:
        return f"CAST({value} AS text)"
    return f"CASE jsonb_typeof({value}) WHEN 'null' THEN 'null' ELSE {value} #>> '{{}}' END"


def json_value(document: SQL, steps: Steps, type_: AttributeType) -> SQL:
    """Write the value at a path, converted to a type."""
    path = path_text(steps)
    value = _at(document, path)
    return fill(
        _TEMPLATES[type_.category](type_),
        value=value,
        kind=SQL("jsonb_typeof(", value, ")"),
        text=SQL("(", value, " #>> '{}')"),
        double=SQL("(", _at(document, f"{path}.double()"), " #>> '{}')"),
    )


def json_equals(document: SQL, other: str) -> SQL:
    """Write whether documents are equal."""
    return SQL(document, " = CAST(", Param(other), " AS jsonb)")
